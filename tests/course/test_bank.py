"""The bank of ready assignments: each is tried right and wrong, and exported as a quiz."""

import contextlib
import json
import re
import warnings
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from lmmsim import LMM, OLS, course
from lmmsim.course import notebooks, quiz
from lmmsim.course.handing_out import assign
from lmmsim.course.keys import read_key
from lmmsim.course.ready import listing, ready_names, ready_text
from lmmsim.model.formula import split

SECRET = "a secret for the bank of assignments"
STUDENTS = ["u1", "u2", "u3", "u4"]


@pytest.fixture(scope="module", params=ready_names())
def bank(request, tmp_path_factory):
    """An assignment, and a class that has it."""
    task = course.read_assignment(request.param)
    return task, assign(task, STUDENTS, tmp_path_factory.mktemp("bank") / "class", course_secret=SECRET)


def handed_in(place, answers):
    place.mkdir(exist_ok=True)
    for student, one in answers.items():
        rounded = {name: v if isinstance(v, str) else float(f"{v:.4g}") for name, v in one.items()}
        (place / f"{student}.json").write_text(json.dumps({"answers": rounded}))
    return place


def least_squares(task, folder):
    """Ordinary regression of a student who puts the levels in order and forgets the groups."""
    book = pd.read_csv(folder / "data.codebook.csv", dtype=str, keep_default_na=False)
    own: dict[str, object] = {}
    with warnings.catch_warnings(), contextlib.chdir(folder):
        warnings.simplefilter("ignore")
        exec(notebooks.reading(book), own)
        parts = split(task.formula)
        fit = OLS(f"{parts.response} ~ {parts.fixed}")(own["data"])
    answers = {}
    for question in task.questions:
        if question.ask in ("sd", "corr"):
            continue
        row = fit.coef.loc[question.term] if question.term else fit.contrast(dict(question.contrast)).iloc[0]
        answers[question.id] = (
            ("yes" if row["p"] < 0.05 else "no") if question.ask == "significant" else row[question.ask]
        )
    return answers


def test_there_are_ten_each_with_a_lesson():
    assert len(ready_names()) == 10 and len(listing().splitlines()) == 20
    assert all(ready_text(name).startswith("# ") for name in ready_names())
    with pytest.raises(ValueError, match=r"'none' is no \.toml file and no ready assignment; they are blood-pressure"):
        course.read_assignment("none")


def test_the_right_analysis_gets_all_points(bank, tmp_path, monkeypatch):
    task, school = bank
    answers = {}
    for student in STUDENTS:
        monkeypatch.chdir(school / "students" / student)
        own: dict[str, object] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows without a response are dropped, which is right
            exec(notebooks.worked(task, 'course.read_table("data.csv")'), own)
        answers[student] = own["answers"]
    table = course.mark(school, handed_in(tmp_path / "in", answers)).table
    assert (table["recognized"] == "right").all() and (table["points"] == table["of"]).all()


def test_ordinary_regression_is_named(bank, tmp_path):
    task, school = bank
    answers = {student: least_squares(task, school / "students" / student) for student in STUDENTS}
    table = course.mark(school, handed_in(tmp_path / "in", answers)).table
    assert (table["recognized"] == "OLS").all() and (table["points"] < table["of"]).all()


def test_nonsense_gets_nothing(bank, tmp_path):
    task, school = bank
    answers = {
        "u1": {question.id: "perhaps" if question.ask == "significant" else -12345.0 for question in task.questions}
    }
    row = course.mark(school, handed_in(tmp_path / "in", answers)).table.set_index("student").loc["u1"]
    assert row["points"] == 0 and row["recognized"] == "not recognized"


def test_hardly_anybody_gets_a_singular_fit(bank):
    _, school = bank
    key = read_key(school / "teacher/key.json", SECRET)
    assert sum(record["singular"] for record in key["students"].values()) <= 1


def test_the_words_of_an_assignment_are_told(bank):
    task, _ = bank
    told = task.title + task.text + "".join(question.words for question in task.questions)
    assert not re.search(r"[{}]", told)


def test_a_quiz_holds_everybodys_numbers(bank, tmp_path):
    task, school = bank
    path = course.write_moodle(school, tmp_path / "quiz.xml")
    root = ET.parse(path).getroot()
    cloze = [one for one in root if one.get("type") == "cloze"]
    assert [one.findtext("name/text").rpartition(", ")[2] for one in cloze] == STUDENTS
    key = read_key(school / "teacher/key.json", SECRET)
    import base64

    for student, one in zip(STUDENTS, cloze, strict=True):
        attached = base64.b64decode(one.findtext("questiontext/file"))
        assert attached == (school / "students" / student / "data.csv").read_bytes()
        gaps = re.findall(r"\{\d+:(NUMERICAL:|MULTICHOICE:(?:yes~)?)=([^:~}]+)", one.findtext("questiontext/text"))
        assert len(gaps) == len(task.questions)
        for (kind, said), question in zip(gaps, task.questions, strict=True):
            right = key["students"][student]["analyses"][0]["values"][question.id]
            assert said == right if kind.startswith("MULTICHOICE") else float(said) == pytest.approx(right, rel=1e-5)
    with pytest.raises(FileExistsError):
        course.write_moodle(school, path)


def test_an_autoregressive_residual_that_is_forgotten_is_named(tmp_path):
    task = course.read_assignment("blood-pressure")
    school = assign(task, STUDENTS, tmp_path / "class", course_secret=SECRET)
    answers = {}
    for student in STUDENTS:
        fit = LMM(task.formula)(course.read_table(school / "students" / student / "data.csv"))
        row = fit.coef.loc["week:drug[T.drug]"]
        yes = "yes" if row["p"] < 0.05 else "no"
        answers[student] = {
            "effect": row["estimate"],
            "effect_se": row["se"],
            "effect_high": row["high"],
            "significant": yes,
        }
    table = course.mark(school, handed_in(tmp_path / "in", answers)).table
    assert table["recognized"].str.startswith("independent residuals").all()


@pytest.mark.parametrize(
    ("name", "averaged", "formula", "names"),
    [
        ("words", ["subject", "frequency"], "rt ~ frequency", {"effect": "frequency[T.rare]"}),
        ("classrooms", ["school", "method"], "score ~ method", {"effect": "method[T.new]"}),
        ("fertilizers", ["fertilizer", "week"], "height ~ week * fertilizer", {"faster": "week:fertilizer[T.B]"}),
    ],
)
def test_means_of_units_under_a_treatment_and_of_the_cells_of_a_figure_are_aggregated(
    name, averaged, formula, names, tmp_path
):
    """Means by pandas and a regression by statsmodels, as somebody does it who has a table of means."""
    import statsmodels.formula.api as smf

    school = assign(course.read_assignment(name), STUDENTS, tmp_path / "class", course_secret=SECRET)
    answers = {}
    for student in STUDENTS:
        data = course.read_table(school / "students" / student / "data.csv")
        fit = smf.ols(formula, data.groupby(averaged, observed=True).mean(numeric_only=True).reset_index()).fit()
        one = {}
        for what, term in names.items():
            low, high = fit.conf_int().loc[term]
            one |= {what: fit.params[term], f"{what}_se": fit.bse[term], f"{what}_low": low, f"{what}_high": high}
            one |= {f"{what}_df": fit.df_resid, f"{what}_p": fit.pvalues[term]}
        asked = {question.id for question in course.read_assignment(name).questions}
        answers[student] = {what: value for what, value in one.items() if what in asked}
    table = course.mark(school, handed_in(tmp_path / "in", answers)).table
    assert (table["recognized"] == "aggregated").all() and (table["points"] < table["of"]).all()


def test_gaps_give_a_share_for_usual_mistakes():
    right = {"mistakes": [], "values": {"se": 0.25}, "margins": {"se": 0.01}}
    wrong = {"mistakes": ["ML"], "values": {"se": 0.2}, "margins": {"se": 0.008}}
    none = {"mistakes": ["OLS"], "values": {"se": 0.1}, "margins": {"se": 0.008}}
    same = {"mistakes": ["z"], "values": {"se": 0.25}, "margins": {"se": 0.01}}
    gap = quiz.gap({"id": "se", "ask": "se"}, [right, wrong, none, same], {"ML": 0.5, "OLS": 0.0, "z": 0.5}, 2)
    assert gap == "{2:NUMERICAL:=0.25:0.01~%50%0.2:0.008#ML}"


NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
ANSWER = rf"(?:=|%\d+%){NUMBER}:{NUMBER}(?:#[^~}}#]*)?"
GAP = re.compile(rf"\{{[1-9]\d*:(?:NUMERICAL:{ANSWER}(?:~{ANSWER})*|MULTICHOICE:=?yes~=?no)\}}")


def test_a_quiz_has_the_structure_that_moodle_documents(bank, tmp_path):
    """docs.moodle.org: Moodle XML format; Embedded Answers (Cloze) question type."""
    _, school = bank
    path = course.write_moodle(school, tmp_path / "quiz.xml")
    assert path.read_text().startswith('<?xml version="1.0" encoding="UTF-8"?>\n<quiz>')  # nothing may stand before
    first, *others = ET.parse(path).getroot()
    assert first.get("type") == "category" and first.findtext("category/text").startswith("$course$/top/")
    for one in others:
        assert one.get("type") == "cloze" and [part.tag for part in one] == ["name", "questiontext", "penalty"]
        asked = one.find("questiontext")
        assert asked.get("format") == "html" and [part.tag for part in asked] == ["text", "file"]
        assert asked.find("file").attrib == {"name": "data.csv", "path": "/", "encoding": "base64"}
        text = asked.findtext("text")
        assert "@@PLUGINFILE@@/data.csv" in text
        assert "{" not in GAP.sub("", text) and "}" not in GAP.sub("", text)
        ET.fromstring(f"<div>{GAP.sub('', text)}</div>")  # the text is well formed in its turn


def test_a_title_with_a_slash_is_one_category_of_moodle(tmp_path):
    (tmp_path / "t.toml").write_text(ready_text("clinics").replace('"A therapy in clinics"', '"T & <b> 1/2"'))
    school = assign(tmp_path / "t.toml", ["u1"], tmp_path / "class", course_secret=SECRET)
    root = ET.parse(course.write_moodle(school, tmp_path / "quiz.xml")).getroot()
    assert root.findtext("question/category/text") == "$course$/top/T & <b> 1//2"
    assert "T &amp; &lt;b&gt; 1/2" in root.findtext("question[2]/questiontext/text")


def test_the_right_word_of_a_gap_has_no_place_of_its_own():
    """A list whose right entry always comes first would need no statistics."""
    for word, gap in (("yes", "{1:MULTICHOICE:=yes~no}"), ("no", "{1:MULTICHOICE:yes~=no}")):
        right = {"mistakes": [], "values": {"a": word}, "margins": {}}
        assert quiz.gap({"id": "a", "ask": "significant"}, [right], {}) == gap


def test_the_command_lists_writes_and_exports(tmp_path, monkeypatch, capsys):
    from lmmsim.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["assignments"]) == 0 and "fertilizers" in capsys.readouterr().out
    assert main(["assignments", "clinics", "-o", "mine.toml"]) == 0
    (tmp_path / "roster.csv").write_text("student\nu1\n")
    assert main(["assign", "mine.toml", "roster.csv", "-o", "class"]) == 0
    assert main(["export", "class", "--moodle", "quiz.xml", "--nbgrader", "course101"]) == 0
    assert (tmp_path / "quiz.xml").exists() and (tmp_path / "course101/source").exists()
    assert main(["export", "class", "--moodle", "quiz.xml"]) == 1
    assert main(["export", "class"]) == 2 and "say where to" in capsys.readouterr().err
    assert main(["assign", "nothing", "roster.csv", "-o", "other"]) == 1
    assert "'nothing' is no .toml file and no ready assignment" in capsys.readouterr().err
