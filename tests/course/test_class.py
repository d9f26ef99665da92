"""From a roster to marks: right analyses are right, wrong ones are named, and the data keep the teacher's secret."""

import json
import os
import stat
import warnings

import nbformat
import numpy as np
import pandas as pd
import pytest
from small_class import EXAM, FORMULA, STUDENTS, answers_of, handed_in, plainly, worked

from lmmsim import LMM, course, scenarios, simulate
from lmmsim.cli import main
from lmmsim.course.handing_out import assign
from lmmsim.course.keys import read_key

SECRET = "correct horse battery"


def key(school):
    return read_key(school / "teacher" / "key.json", SECRET)


def test_every_correct_analysis_is_marked_right(school, marked):
    table, _ = marked({student: worked(school / "students" / student) for student in STUDENTS})
    assert (
        (table["recognized"] == "right").all() and (table["points"] == table["of"]).all() and table["of"].iloc[0] == 7
    )


@pytest.mark.slow
def test_sixty_of_sixty_correct_analyses_are_marked_right(exam, tmp_path):
    """From the plain CSV, as the notebook reads it; the first edition of this page marked all sixty wrong."""
    sixty = [f"{k}" for k in range(4701, 4761)]
    school = assign(exam, sixty, tmp_path / "class", course_secret=SECRET, n_jobs=2)
    for student in sixty:
        handed_in(tmp_path / "in", student, worked(school / "students" / student))
    assert (course.mark(school, tmp_path / "in").table["points"] == 7).all()


def test_what_statsmodels_prints_is_right_up_to_z(school, marked):
    """Another program, which knows the reference from the formula and the normal distribution only."""
    import statsmodels.formula.api as smf

    term = "week:C(fertilizer, Treatment('Control'))[T.B]"
    told = [student for student in STUDENTS if not key(school)["students"][student]["singular"]]
    answers = {}
    for student in told:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pd.read_csv(school / "students" / student / "data.csv")
            formula = "height ~ week * C(fertilizer, Treatment('Control'))"
            fit = smf.mixedlm(formula, data, groups="plot", re_formula="~week").fit(method=["lbfgs", "bfgs"])
        if fit.converged:
            low = fit.conf_int().loc[term, 0]
            answers[student] = {"faster": fit.params[term], "se": fit.bse[term], "low": low, "p": fit.pvalues[term]}
    table, _ = marked(answers)
    table = table.loc[list(answers)]
    assert len(answers) >= 4 and (table["faster"] == 2).all() and (table["se"] == 1).mean() > 0.7
    assert table["recognized"].isin(["z", "right (incomplete)"]).mean() > 0.7


def test_kenward_and_rogers_answers_are_right_too(school, marked):
    table, _ = marked({student: worked(school / "students" / student, "Kenward-Roger") for student in STUDENTS})
    assert (table["recognized"] == "right").all()


@pytest.mark.parametrize("how", ["OLS", "missing slope", "wrong reference", "ML", "variance"])
def test_a_wrong_analysis_is_named_and_gets_a_share(how, school, marked):
    table, marks = marked({student: worked(school / "students" / student, how) for student in STUDENTS})
    # a variance of slopes that is estimated as zero leaves nothing to tell two analyses apart
    told = [student for student in STUDENTS if not key(school)["students"][student]["singular"]]
    assert len(told) >= 8 and (table.loc[told, "recognized"] == how).all()
    assert (table.loc[told, "points"] < table.loc[told, "of"]).all()
    assert "Your numbers come from" in marks.pages[told[0]]


def test_z_is_told_from_t_where_there_are_few_plots(school, marked):
    table, _ = marked({student: worked(school / "students" / student, "z") for student in STUDENTS})
    assert (table["recognized"] == "z").sum() >= 8
    assert (table["faster"] == 2).all() and (table["low"] < 1).all()


def test_two_mistakes_at_once_are_both_named(school, marked):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = plainly(school / "students" / "s01", sort=True)
        from lmmsim import OLS

        row = OLS("height ~ week * fertilizer")(data).coef.loc["week:fertilizer[T.B]"]
    table, _ = marked({"s01": {"faster": row["estimate"], "se": row["se"], "low": row["low"], "p": row["p"]}})
    assert table.loc["s01", "recognized"] == "OLS + wrong reference"


def test_numbers_that_nobody_could_get_are_not_recognized(marked):
    table, _ = marked({"s01": {"faster": 99, "se": 99, "low": -99, "p": 0.99, "slopes": 99}})
    assert table.loc["s01", "recognized"] == "not recognized" and table.loc["s01", "points"] == 0
    assert table.loc["s02", "recognized"] == "nothing handed in"


def test_the_answers_of_a_neighbour_are_named_as_such_and_the_page_names_nobody(school, marked):
    table, marks = marked(
        {"s01": worked(school / "students" / "s02"), "s03": worked(school / "students" / "s02", "OLS")}
    )
    assert table.loc["s01", "points"] <= 2  # a yes may agree, and an sd by chance
    assert (table.loc[["s01", "s03"], "recognized"] == "data of s02").all()
    assert "another student's data" in marks.pages["s01"] and "s02" not in marks.pages["s01"]


def test_two_numbers_are_too_few_to_say_whose_data_they_are(school, marked):
    other = worked(school / "students" / "s02")
    table, _ = marked({"s01": {"faster": other["faster"], "se": other["se"]}})
    assert table.loc["s01", "recognized"] == "not recognized"


def test_right_answers_to_some_of_the_questions_are_right_and_incomplete(school, marked):
    right = worked(school / "students" / "s04")
    table, marks = marked({"s04": {"faster": right["faster"], "se": right["se"]}})
    assert table.loc["s04", "recognized"] == "right (incomplete)" and table.loc["s04", "points"] == 3
    assert "What you answered is what a right analysis" in marks.pages["s04"]


def test_answers_that_are_only_close_are_not_called_right(school, marked):
    right = worked(school / "students" / "s03")
    table, marks = marked({"s03": right | {"se": right["se"] * 1.06}})
    assert table.loc["s03", "recognized"] == "close" and "Every answer is" not in marks.pages["s03"]


def test_analyses_that_give_the_same_numbers_are_both_named():
    """And the share is the larger one, as nobody can say which mistake it was."""
    from lmmsim.course.feedback import page
    from lmmsim.course.marking import mark_one
    from lmmsim.course.submissions import Submission

    def analysis(*mistakes, **values):
        return {"mistakes": list(mistakes), "values": values, "margins": dict.fromkeys(values, 0.01)}

    analyses = [analysis(a=1.0, b=1.0), analysis("OLS", a=2.0, b=2.0), analysis("missing level", a=2.0, b=2.0)]
    questions = [{"id": name, "ask": "se", "points": 1.0, "words": name} for name in ("a", "b")]
    key = {"students": {"s1": {"analyses": analyses}}, "questions": questions, "credit": {}}
    one = mark_one(key, "s1", Submission("s1", {"a": 2.0, "b": 2.0}))
    assert one.recognized == "OLS or missing level" and one.points == 0.5
    said = page(one, "Exam", questions)
    assert "come from an ordinary regression" in said and "that leaves out a level of grouping gives the same" in said
    assert mark_one(key, "s1", Submission("s1", {"a": 1.0})).recognized == "right (incomplete)"


def test_two_mistakes_that_come_to_the_same_in_these_data_are_both_in_the_key(tmp_path):
    """Without a variance of intercepts, what a mixed model without the slope says is what ordinary regression says."""
    exam = EXAM.replace("[ranges]", "sd_start = 0.0\nsd_growth = 0.0\n\n[ranges]")
    (tmp_path / "flat.toml").write_text(exam)
    names = [f"t{k}" for k in range(12)]
    school = assign(tmp_path / "flat.toml", names, tmp_path / "class", course_secret=SECRET)
    both = 0
    for name in names:
        data = plainly(school / "students" / name)
        fit = LMM("height ~ week * fertilizer + (1 | plot)")(data)
        if fit.components["sd", "plot", "Intercept"] < 1e-6:
            handed_in(tmp_path / "in", name, answers_of(fit, slopes=False))
            both += 1
    table = course.mark(school, tmp_path / "in").table
    told = table.loc[table["recognized"] != "nothing handed in", "recognized"]
    assert both >= 2 and told.isin(["OLS or missing slope", "right (incomplete)"]).all()
    assert (told == "OLS or missing slope").any()


@pytest.mark.parametrize(
    ("said", "named"),
    [(0.2905, "z"), (0.29, "z"), (0.2999, "right"), (0.3, "right"), (0.296, "right"), (0.31, "right")],
)
def test_z_is_named_by_its_digits_where_it_is_close_enough_for_all_points(said, named):
    """p from z is off by less than a tenth with eighteen degrees of freedom; a rounded p says nothing about it."""
    from lmmsim.course.feedback import page
    from lmmsim.course.marking import mark_one
    from lmmsim.course.submissions import Submission

    margins = {"se": 0.03, "p": 0.03}
    right = {"mistakes": [], "values": {"se": 1.0, "p": 0.29985}, "margins": margins}
    z = {"mistakes": ["z"], "values": {"se": 1.0, "p": 0.29048}, "margins": margins}
    both = {"mistakes": ["ML", "z"], "values": {"se": 1.01, "p": 0.2906}, "margins": margins}
    questions = [{"id": name, "ask": name, "points": 1.0, "words": name} for name in ("se", "p")]
    key = {"students": {"s1": {"analyses": [right, z, both]}}, "questions": questions, "credit": {}}
    one = mark_one(key, "s1", Submission("s1", {"se": 1.0, "p": said}))
    assert one.recognized == named and one.points == 2
    assert ("so little that the answers count" in page(one, "Exam", questions)) == (named == "z")


@pytest.mark.parametrize(("wanted", "words"), [(0.0498, {"yes", "no"}), (0.0502, {"yes", "no"}), (0.055, {"no"})])
def test_either_word_is_right_where_p_is_five_percent_to_the_last_digits(wanted, words):
    """Programs differ in the fourth digit of p, and a student can't know on which side the key's lies."""
    from scipy.optimize import brentq

    from lmmsim.course.analyses import readings
    from lmmsim.course.questions import Question

    model, design = scenarios.teaching_methods(effect=0.0)
    data = simulate(model, design, rng=3).data
    new = (data["method"] == "new").to_numpy()

    def p(effect):
        return LMM(model.formula)(data.assign(score=data["score"] + effect * new)).coef.loc["method[T.new]", "p"]

    null = LMM(model.formula)(data).coef.loc["method[T.new]", "estimate"]
    effect = brentq(lambda x: p(x) - wanted, -null, -null + 20, xtol=1e-10)
    asked = [Question("yes", "significant", "method[T.new]")]
    found = readings(data.assign(score=data["score"] + effect * new), model.formula, asked)
    assert {one.values["yes"] for one in found if not one.mistakes} == words


def test_a_variance_of_zero_need_not_be_zero_to_the_last_digit(tmp_path):
    """Other programs stop a little above zero."""
    exam = EXAM.replace("[ranges]", "sd_growth = 0.0\nsd_start = 0.0\n\n[ranges]")
    (tmp_path / "flat.toml").write_text(exam)
    names = [f"z{k}" for k in range(8)]
    school = assign(tmp_path / "flat.toml", names, tmp_path / "class", course_secret=SECRET)
    records = read_key(school / "teacher/key.json", SECRET)["students"]
    zeros = [name for name in names if records[name]["analyses"][0]["values"]["slopes"] < 1e-6]
    assert zeros
    for name in zeros:
        handed_in(tmp_path / "in", name, {"slopes": 0.0008})
    table = course.mark(school, tmp_path / "in").table.set_index("student")
    assert (table.loc[zeros, "slopes"] == 1).all()


def test_means_of_a_covariate_are_recognized_as_aggregated(tmp_path):
    from lmmsim import GroupMeans

    school = assign("hospitals", ["c1", "c2"], tmp_path / "class", course_secret=SECRET)
    for student in ("c1", "c2"):
        data = pd.read_csv(school / "students" / student / "data.csv")
        table = GroupMeans("days ~ severity", unit="hospital")(data).coef
        answers = {"severity": "severity", "severity_se": "severity", "mean": "Intercept", "mean_se": "Intercept"}
        handed_in(
            tmp_path / "in",
            student,
            {q: table.loc[t, "se" if q.endswith("se") else "estimate"] for q, t in answers.items()},
        )
    assert (course.mark(school, tmp_path / "in").table["recognized"] == "aggregated").all()


def test_an_answer_that_was_rounded_early_is_close(school, marked):
    right = worked(school / "students" / "s03")
    off = right | {"se": right["se"] * 1.06}
    table, marks = marked({"s03": off})
    assert table.loc["s03", "se"] == 0.5 and "rounded early" in marks.pages["s03"]


def test_the_truth_itself_is_not_the_answer(school, marked):
    """A student who gave the numbers of the world would be off by the chance of their data."""
    truths = {s: key(school)["students"][s]["numbers"]["extra"][1] for s in STUDENTS}
    table, _ = marked({s: {"faster": truth} for s, truth in truths.items()})
    assert (table["faster"] == 2).mean() < 0.4


def test_the_key_is_what_the_file_says(school):
    for student in STUDENTS[:4]:
        data = course.read_table(school / "students" / student / "data.csv")
        row = LMM(FORMULA)(data).coef.loc["week:fertilizer[T.B]"]
        record = key(school)["students"][student]
        assert record["analyses"][0]["values"]["faster"] == row["estimate"]
        assert record["truth"]["beta"]["week:fertilizer[T.B]"] == record["numbers"]["extra"][1]


def test_everybody_has_another_world_and_other_data(school):
    worlds = [tuple(key(school)["students"][student]["numbers"]["extra"]) for student in STUDENTS]
    assert len(set(worlds)) > 8
    contents = {(school / "students" / student / "data.csv").read_text() for student in STUDENTS}
    assert len(contents) == len(STUDENTS)


def test_the_same_secret_makes_the_same_class_whoever_else_is_in_it(exam, school, tmp_path):
    again = assign(exam, ["newcomer", "s07"], tmp_path / "again", course_secret=SECRET, n_jobs=1)
    for name in ("data.csv", "data.codebook.csv", "assignment.ipynb", "answers.json"):
        assert (again / "students/s07" / name).read_bytes() == (school / "students/s07" / name).read_bytes()
    other = assign(exam, ["s07"], tmp_path / "other")
    assert (other / "students/s07/data.csv").read_bytes() != (school / "students/s07/data.csv").read_bytes()


def test_a_class_that_somebody_joins_keeps_everybody_elses_data(exam, tmp_path):
    school = assign(exam, ["a1"], tmp_path / "class")
    before = (school / "students/a1/data.csv").read_bytes()
    assign(exam, ["a1", "late"], tmp_path / "class", force=True)
    assert (school / "students/a1/data.csv").read_bytes() == before
    assert (school / "students/late/data.csv").exists()


def test_force_replaces_no_folder_that_holds_anything_else(exam, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("ten years")
    with pytest.raises(FileExistsError, match=r"holds 'thesis\.txt', which would be lost"):
        assign(exam, ["a1"], tmp_path / "home", force=True)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with pytest.raises(FileExistsError, match="is no folder"):
        assign(exam, ["a1"], tmp_path / "link", force=True)
    assert (tmp_path / "home/thesis.txt").read_text() == "ten years"


def test_force_changes_no_data_that_may_be_handed_out(exam, tmp_path):
    school = assign(exam, ["a1"], tmp_path / "class")
    before = (school / "students/a1/data.csv").read_bytes()
    (tmp_path / "changed.toml").write_text(exam.read_text().replace("plots = 12", "plots = 15"))
    for change in ({"assignment": tmp_path / "changed.toml"}, {"assignment": exam, "course_secret": SECRET}):
        with pytest.raises(FileExistsError, match="would hold other data than it does"):
            assign(students=["a1"], folder=tmp_path / "class", force=True, **change)
    assert (school / "students/a1/data.csv").read_bytes() == before
    words = exam.read_text().replace('text = "{plot}s got', 'text = "Many {plot}s got')
    (tmp_path / "words.toml").write_text(words)
    assign(tmp_path / "words.toml", ["a1"], tmp_path / "class", force=True)
    assert "Many plots got" in (school / "students/a1/assignment.ipynb").read_text()


@pytest.mark.parametrize("name", ["answers.json", "my.ipynb"])
def test_force_replaces_no_class_in_which_somebody_has_worked(name, exam, tmp_path):
    school = assign(exam, ["a1"], tmp_path / "class")
    (school / "students/a1" / name).write_text('{"answers": {"faster": 1}}')
    with pytest.raises(FileExistsError, match="is somebody's work"):
        assign(exam, ["a1"], tmp_path / "class", force=True)
    assert (school / "students/a1" / name).read_text() == '{"answers": {"faster": 1}}'


def test_several_processes_make_the_same_class(exam, school, tmp_path):
    again = assign(exam, STUDENTS, tmp_path / "again", course_secret=SECRET, n_jobs=2)
    assert (again / "teacher/key.json").read_text() == (school / "teacher/key.json").read_text()


def test_a_students_folder_holds_nothing_of_the_truth(exam, school, tmp_path):
    """Two classes with other secrets differ in nothing but the data, whose rows are in the same order."""
    other = assign(exam, STUDENTS[:2], tmp_path / "other")
    for student in STUDENTS[:2]:
        here, there = school / "students" / student, other / "students" / student
        assert sorted(p.name for p in here.iterdir()) == [
            "answers.json",
            "assignment.ipynb",
            "data.codebook.csv",
            "data.csv",
        ]
        for name in ("answers.json", "assignment.ipynb", "data.codebook.csv"):
            assert (here / name).read_bytes() == (there / name).read_bytes()
        one, two = pd.read_csv(here / "data.csv"), pd.read_csv(there / "data.csv")
        pd.testing.assert_frame_equal(one.drop(columns="height"), two.drop(columns="height"))
        assert all(len(str(x).partition(".")[2]) <= 3 for x in one["height"])
    # the notebook is the same for everybody
    assert len({(school / "students" / s / "assignment.ipynb").read_bytes() for s in STUDENTS}) == 1


def test_no_small_number_and_no_name_is_the_seed(school):
    record = key(school)["students"]["s01"]
    model, design = scenarios.plant_growth(plots=12, extra=tuple(record["numbers"]["extra"]))
    data = pd.read_csv(school / "students/s01/data.csv")["height"].to_numpy()
    for seed in [*range(300), 4711, int.from_bytes(b"s01", "big")]:  # even for one who knew the truth
        assert np.abs(simulate(model, design, rng=seed).y - data).max() > 0.01


def test_the_seal_breaks_when_the_key_is_changed(school, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(school, copy)
    path = copy / "teacher/key.json"
    path.chmod(0o600)
    path.write_text(path.read_text().replace('"points": 2,', '"points": 9,'))
    with pytest.raises(ValueError, match="the seal of the key is broken"):
        course.mark(copy, tmp_path)
    (copy / "teacher/secret").write_text("another secret of the course")
    shutil.copyfile(school / "teacher/key.json", path)
    with pytest.raises(ValueError, match="the seal of the key is broken"):
        course.mark(copy, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_only_the_teacher_reads_the_key(school):
    for name in ("key.json", "secret", "overview.csv", "solution.ipynb"):
        assert stat.S_IMODE((school / "teacher" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((school / "teacher").stat().st_mode) == 0o700


def run_notebook(path, folder):
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    NotebookClient(book, resources={"metadata": {"path": str(folder)}}, timeout=120).execute()
    return book


def test_the_students_notebook_runs_and_fills_in_answers_json(school, tmp_path):
    import shutil

    folder = tmp_path / "s05"
    shutil.copytree(school / "students/s05", folder)
    right = worked(folder)
    path = folder / "assignment.ipynb"
    text = path.read_text()
    for name, value in right.items():
        text = text.replace(f'\\"{name}\\": None', f'\\"{name}\\": ' + json.dumps(value).replace('"', '\\"'))
    path.write_text(text)
    run_notebook(path, folder)
    assert json.loads((folder / "answers.json").read_text())["answers"] == right
    marks = course.mark(school, tmp_path)
    assert marks.table.set_index("student").loc["s05", "recognized"] == "right"
    (folder / "answers.json").unlink()  # the notebook alone says the same, without being run
    assert course.mark(school, tmp_path).table.set_index("student").loc["s05", "points"] == 7


def test_the_students_notebook_reads_and_writes_unicode_on_every_system(exam, tmp_path):
    """Windows would take its own code page, and send the work of Jürgen back as somebody else's."""
    name = "j\xfcrgen"
    school = assign(exam, [name], tmp_path / "class")
    folder = school / "students" / name
    assert name in (folder / "answers.json").read_text(encoding="utf-8")
    cells = nbformat.read(folder / "assignment.ipynb", as_version=4).cells
    [code] = [cell["source"] for cell in cells if "answers.json" in cell["source"] and cell["cell_type"] == "code"]
    assert code.count('encoding="utf-8"') == code.count("_text(") == 2


def test_numbers_of_numpy_are_handed_in_by_the_students_notebook(school, tmp_path):
    import shutil

    folder = tmp_path / "s05"
    shutil.copytree(school / "students/s05", folder)
    path = folder / "assignment.ipynb"
    text = path.read_text().replace("import pandas as pd", "import numpy as np, pandas as pd")
    text = text.replace('\\"faster\\": None', '\\"faster\\": np.float32(0.5)')
    text = text.replace('\\"se\\": None', '\\"se\\": np.int64(2)').replace(
        '\\"yes\\": None', '\\"yes\\": np.bool_(True)'
    )
    path.write_text(text)
    run_notebook(path, folder)
    answers = json.loads((folder / "answers.json").read_text())["answers"]
    assert (answers["faster"], answers["se"], answers["yes"], answers["low"]) == (0.5, 2, True, None)


def test_the_model_solution_gets_all_points(school, tmp_path):
    import shutil

    folder = tmp_path / "s06"
    shutil.copytree(school / "students/s06", folder)
    book = run_notebook(school / "teacher/solution.ipynb", folder)
    [output] = [cell["outputs"] for cell in book.cells if "answers" in cell["metadata"].get("tags", [])]
    answers = eval(output[0]["data"]["text/plain"])  # our own notebook
    handed_in(tmp_path / "in", "s06", answers)
    assert course.mark(school, tmp_path / "in").table.set_index("student").loc["s06", "points"] == 7


def test_a_csv_of_the_class_is_marked(school, tmp_path):
    rows = [{"student": s, **worked(school / "students" / s)} for s in STUDENTS[:3]]
    pd.DataFrame(rows).to_csv(tmp_path / "in.csv", index=False)
    table = course.mark(school, tmp_path / "in.csv").table.set_index("student")
    assert table["points"].tolist() == [7, 7, 7] + [0] * 9
    german = pd.DataFrame(rows).to_csv(index=False, sep=";", decimal=",")
    (tmp_path / "german.csv").write_text(german)
    assert course.mark(school, tmp_path / "german.csv").table["points"].tolist()[:3] == [7, 7, 7]


def test_the_command_takes_a_roster_and_gives_marks(exam, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roster.csv").write_text("name;Student\nAnn;007\nBen;ben@uni.de\n")
    assert main(["assign", str(exam), "roster.csv", "-o", "class"]) == 0
    assert main(["assign", str(exam), "roster.csv", "-o", "class"]) == 1
    assert main(["assign", str(exam), "roster.csv", "-o", "again", "--secret", "class/teacher/secret"]) == 0
    assert (tmp_path / "again/teacher/key.json").read_text() == (tmp_path / "class/teacher/key.json").read_text()
    handed_in(tmp_path / "in", "007", worked(tmp_path / "class/students/007"))
    assert main(["mark", "class", "in", "-o", "marks"]) == 0
    said = capsys.readouterr().out
    assert "Fertilizers: 2 students" in said and "1  right" in said and "1  nothing handed in" in said
    table = pd.read_csv("marks/marks.csv", dtype={"student": str})
    assert table["student"].tolist() == ["007", "ben@uni.de"] and table["points"].tolist() == [7, 0]
    assert "7 of 7 points" in (tmp_path / "marks/feedback/007.md").read_text()
    assert "marks/marks.csv has the points" in said
    assert main(["mark", "class", "in", "-o", "marks"]) == 1


def test_feedback_tells_no_right_number(school, marked):
    _, marks = marked({student: worked(school / "students" / student, "OLS") for student in STUDENTS})
    record = key(school)["students"]["s01"]
    for value in record["analyses"][0]["values"].values():
        if not isinstance(value, str):
            assert f"{value:.3g}" not in marks.pages["s01"]


def test_missing_values_and_complete_cases(tmp_path):
    text = EXAM.replace("[ranges]", '[missing]\ndrop_out = { unit = "plot", time = "week", hazard = 0.25 }\n\n[ranges]')
    (tmp_path / "gaps.toml").write_text(text.replace("plots = 12", "plots = 30"))
    school = assign(tmp_path / "gaps.toml", ["a1", "a2", "a3"], tmp_path / "class", course_secret=SECRET)
    for student in ("a1", "a2", "a3"):
        folder = school / "students" / student
        handed_in(tmp_path / "right", student, worked(folder))
        data = plainly(folder)
        whole = data[~data["height"].isna().groupby(data["plot"]).transform("any")]
        assert 0 < len(whole) < len(data)
        handed_in(tmp_path / "complete", student, answers_of(LMM(FORMULA)(whole)))
    assert (course.mark(school, tmp_path / "right").table["points"] == 7).all()
    assert set(course.mark(school, tmp_path / "complete").table["recognized"]) <= {
        "complete cases",
        "complete cases + z",
    }


def test_unit_means_are_recognized_where_units_are_unequal(tmp_path):
    (tmp_path / "days.toml").write_text(
        'title = "Days"\nmodel = "days.model.toml"\n'
        + "".join(f'[[question]]\nid = "{a}"\nask = "{a}"\nterm = "care[T.new]"\n' for a in ("estimate", "se", "low"))
    )
    _model, design = scenarios.hospitals(hospitals=16, rng=1)
    from lmmsim import GroupMeans, Model
    from lmmsim import assign as allot

    design = allot(design, to="hospital", care=["usual", "new"])
    world = Model("days ~ care + (1 | hospital)", {"Intercept": 30, "care[T.new]": -3}, {"hospital": 4.0}, 8.0)
    course.write_model(tmp_path / "days.model.toml", world, design.drop(columns="severity"))
    school = assign(tmp_path / "days.toml", ["b1", "b2"], tmp_path / "class", course_secret=SECRET)
    for student in ("b1", "b2"):
        data = pd.read_csv(school / "students" / student / "data.csv")
        data["care"] = pd.Categorical(data["care"], ["usual", "new"])
        row = GroupMeans("days ~ care", by="hospital")(data).coef.loc["care[T.new]"]
        handed_in(tmp_path / "in", student, {a: row[a] for a in ("estimate", "se", "low")})
    assert (course.mark(school, tmp_path / "in").table["recognized"] == "aggregated").all()
