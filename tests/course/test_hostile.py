"""Whatever is handed in is read as data: told if it cannot be used, never run, never trusted."""

import json
import os

import pandas as pd
import pytest
from small_class import STUDENTS, handed_in, worked

from lmmsim import course
from lmmsim.course import answers
from lmmsim.course.feedback import page
from lmmsim.course.files import harmless
from lmmsim.course.marking import Mark, Marked


@pytest.fixture
def mark(school, tmp_path):
    """Mark a folder that holds one honest student and something else."""
    place = tmp_path / "in"
    handed_in(place, "s12", worked(school / "students/s12"))

    def run(name=None, content=None):
        if name is not None:
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        marks = course.mark(school, place)
        table = marks.table.set_index("student")
        assert table.loc["s12", "points"] == 7  # nobody else's work is touched
        return table, marks

    run.place = place
    return run


BAD = {
    "nothing": "",
    "no JSON": "import os; os.system('touch /tmp/owned')",
    "a list": "[1, 2]",
    "a number": "7",
    "answers in a list": '{"answers": [1]}',
    "too deep": "[" * 100_000 + "]" * 100_000,
    "deep answers": '{"answers": ' + '{"a":' * 50_000 + "1" + "}" * 50_001,
    "NaN": '{"answers": {"faster": NaN}}',
    "infinite": '{"answers": {"faster": Infinity}}',
    "a key twice": '{"answers": {"faster": 1, "faster": 2}}',
    "digits without end": '{"answers": {"faster": ' + "9" * 10_000 + "}}",
    "not UTF-8": b"\xff\xfe{",
    "too large": '{"answers": {"faster": 1}}' + " " * 1_100_000,
    "someone else's": '{"student": "s02", "answers": {"faster": 1}}',
    "a path for a name": '{"student": "../../teacher/key", "answers": {}}',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_used_is_told_and_gets_nothing(content, mark):
    table, marks = mark("s01.json", content)
    assert table.loc["s01", "points"] == 0 and table.loc["s01", "problems"]
    assert "Not everything could be read" in marks.pages["s01"]
    assert table.loc["s02", "recognized"] == "nothing handed in"
    assert not os.path.exists("/tmp/owned")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("__import__('os').system('touch /tmp/owned')", "is no number"),
        ("=1+1", "'=1+1' is no number"),
        ("0x10", "is no number"),
        ("1_000", "is no number"),
        ("nan", "'nan' is no number"),
        ("1e999", "it is not finite"),
        ("9" * 41, "is no number"),
        (True, "a bool is no number"),
        ([1.0], "a list is no number"),
        ({"a": 1}, "a dict is no number"),
        (10**400, "it is not finite"),
        (1e999, "it is not finite"),
    ],
)
def test_an_answer_that_is_no_number_is_told(value, said, mark):
    table, marks = mark("s01.json", json.dumps({"answers": {"faster": value, "se": 0.5}}))
    assert said in table.loc["s01", "problems"] and table.loc["s01", "faster"] == 0
    assert "could not be read, see below" in marks.pages["s01"]


def test_a_yes_has_to_be_one(mark):
    table, _ = mark("s01.json", json.dumps({"answers": {"yes": "maybe <script>"}}))
    assert "'maybe ?script?' is neither" in table.loc["s01", "problems"]


def test_names_that_are_not_asked_are_told_and_ignored(mark):
    table, marks = mark("s01.json", json.dumps({"answers": {"=cmd|' /C calc'!A0": 1, "points": 100}}))
    assert table.loc["s01", "points"] == 0 and "2 unknown names" in table.loc["s01", "problems"]
    assert "|" not in marks.pages["s01"].split("Not everything")[1]


NOTEBOOK = '{{"cells": [{{"cell_type": "code", "metadata": {{"tags": ["answers"]}}, "source": {source}}}]}}'


@pytest.mark.parametrize(
    "source",
    [
        "answers = {'faster': __import__('os').system('touch /tmp/owned')}",
        "answers = {'faster': open('/etc/passwd').read()}",
        "answers = {'faster': 9**9**9**9}",
        "answers = dict(faster=1)",
        "import os\nanswers = {'faster': 1}",
        "answers = {[]: 1}",
        "answers = " + "(" * 5000 + ")" * 5000,
        "answers = {'faster': " + "9" * 9000 + "}",
        "x" * 30_000,
        "answers = {'faster': lambda: 1}",
        "",
    ],
)
def test_a_notebook_is_read_and_never_run(source, mark):
    table, _ = mark("s01.ipynb", NOTEBOOK.format(source=json.dumps(source)))
    assert table.loc["s01", "points"] == 0 and table.loc["s01", "problems"]
    assert not os.path.exists("/tmp/owned")


def test_what_a_notebook_printed_is_not_trusted(mark):
    book = {"cells": [{"cell_type": "code", "metadata": {}, "source": "1", "outputs": [{"text": '{"faster": 1}'}]}]}
    table, _ = mark("s01.ipynb", json.dumps(book))
    assert table.loc["s01", "points"] == 0


@pytest.mark.parametrize(
    "content",
    ['{"cells": 3}', "[]", '{"cells": [7, null, {"metadata": []}]}', '{"cells": [{"metadata": {"tags": "answers"}}]}'],
)
def test_a_broken_notebook_breaks_nothing(content, mark):
    table, _ = mark("s01.ipynb", content)
    assert table.loc["s01", "points"] == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has other links")
def test_links_are_not_followed(school, mark):
    key = school / "teacher" / "key.json"
    (mark.place / "s01.json").symlink_to(key)
    (mark.place / "s02").symlink_to(school / "students" / "s02", target_is_directory=True)
    (mark.place / "s03").mkdir()
    (mark.place / "s03" / "answers.json").symlink_to("/etc/passwd")
    os.mkfifo(mark.place / "s04.json")
    (mark.place / "s05.json").mkdir()
    table, marks = mark()
    assert (table.loc[["s01", "s02", "s03", "s04"], "recognized"] == "nothing handed in").all()
    assert sum("link" in one for one in marks.strange) == 4


def test_work_under_a_strange_name_is_told_and_counts_for_nobody(mark):
    for name in ("s99.json", "...json", "key.json", "s01 .json", "=cmd.json"):
        _, marks = mark(name, '{"student": "s01", "answers": {"faster": 1}}')
    assert len(marks.strange) >= 4
    assert marks.table.set_index("student").loc["s01", "recognized"] == "nothing handed in"


def test_two_files_have_to_agree(school, mark):
    right = worked(school / "students/s01")
    handed_in(mark.place, "s01", right)
    table, _ = mark("s01/again.json", json.dumps({"answers": {"faster": 99}}))
    assert table.loc["s01", "faster"] == 0 and "two files say different things" in table.loc["s01", "problems"]
    assert table.loc["s01", "se"] == 1


def test_two_notebooks_have_to_agree_too(school, mark):
    for name, value in (("one", 1.0), ("two", 2.0)):
        path = mark.place / "s01" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(NOTEBOOK.format(source=json.dumps(f"answers = {{'faster': {value}}}")))
    table, _ = mark()
    assert "two files say different things" in table.loc["s01", "problems"]


def test_a_copy_that_jupyter_keeps_is_no_second_submission(school, mark):
    right = worked(school / "students/s01")
    for folder, faster in (("s01", right["faster"]), ("s01/.ipynb_checkpoints", 99)):
        source = json.dumps(f"answers = {right | {'faster': faster}!r}")
        (mark.place / folder).mkdir(exist_ok=True)
        (mark.place / folder / "a.ipynb").write_text(NOTEBOOK.format(source=source.replace("np.float64", "")))
    table, _ = mark()
    assert table.loc["s01", "points"] == 7 and pd.isna(table.loc["s01", "problems"] or None)


def test_a_number_that_is_none_takes_no_other_answer_with_it(school, mark):
    right = worked(school / "students/s01") | {"low": float("nan")}
    table, _ = mark("s01.json", json.dumps({"student": "S01", "answers": right}))
    assert table.loc["s01", "points"] == 6 and "low: it is not finite" in table.loc["s01", "problems"]


def test_an_expression_in_a_notebook_takes_no_other_answer_with_it(school, mark):
    right = worked(school / "students/s01")
    told = ", ".join(f"{name!r}: {value!r}" for name, value in right.items()).replace("np.float64", "")
    source = json.dumps("answers = {" + told.replace("'low': ", "'low': 0 * ") + "}")
    table, _ = mark("s01.ipynb", NOTEBOOK.format(source=source))
    assert "low: it has to be a number" in table.loc["s01", "problems"] and table.loc["s01", "low"] == 0


def test_a_notebook_that_computes_is_no_problem_beside_the_json_that_it_wrote(school, mark):
    handed_in(mark.place / "s01", "answers", worked(school / "students/s01")).write_text(
        json.dumps({"student": "s01", "answers": worked(school / "students/s01")})
    )
    source = json.dumps("answers = {'faster': fit.coef.loc['x', 'estimate'], 'se': 1 + 1}")
    table, _ = mark("s01/assignment.ipynb", NOTEBOOK.format(source=source))
    assert table.loc["s01", "points"] == 7 and not table.loc["s01", "problems"]


@pytest.mark.parametrize("name", ["s01.zip", "s01.docx", "s01/work.zip", "s01/answers.json.txt"])
def test_a_file_of_another_kind_is_told_and_its_owner_has_handed_in(name, mark):
    table, marks = mark(name, b"PK\x03\x04")
    assert table.loc["s01", "recognized"] == "nothing readable"
    way = "unpack it" if name.endswith("zip") else "what is read is .json or .ipynb"
    assert way in table.loc["s01", "problems"] and way in marks.pages["s01"]


def test_the_file_of_another_assignment_is_told(school, mark):
    content = {"assignment": "words", "student": "s01", "answers": worked(school / "students/s01")}
    table, _ = mark("s01.json", json.dumps(content))
    assert "for the assignment 'words'" in table.loc["s01", "problems"] and table.loc["s01", "points"] == 0


@pytest.mark.parametrize("said", ["\N{MINUS SIGN}0.25", "\N{EN DASH}0.25", " -0,25 ", "-.25", "-2.5e-1"])
def test_a_number_may_be_pasted_from_print(said):
    assert answers.answer(said, "estimate") == -0.25


@pytest.mark.parametrize(
    ("said", "means"), [("TRUE", "yes"), (False, "no"), (" No ", "no"), ("NA", None), ("  ", None)]
)
def test_yes_and_no_come_from_other_programs_too(said, means):
    assert answers.answer(said, "significant") == means


def test_a_comma_that_may_stand_for_thousands_is_told(mark):
    table, _ = mark("s01.json", json.dumps({"answers": {"faster": "1,234", "se": "0,234"}}))
    assert table.loc["s01", "problems"] == "faster: '1,234' was read as 1.234"


@pytest.mark.parametrize("name", ["s01\u202e", "s\u200b01", "\uff53\uff10\uff11", "s01\u00ad"])
def test_a_name_that_only_looks_like_one_on_the_roster_is_nobodys(name, mark):
    table, marks = mark(f"{name}.json", '{"answers": {"faster": 1}}')
    assert table.loc["s01", "recognized"] == "nothing handed in" and len(marks.strange) == 1
    assert all(c.isprintable() for c in marks.strange[0])


def test_a_link_to_a_web_page_is_no_link_in_the_feedback(mark):
    _, marks = mark("s01.json", json.dumps({"answers": {"[x](http://evil)": 1}}))
    assert "[x]" not in marks.pages["s01"] and "unknown names" in marks.pages["s01"]


def test_cells_that_a_decimal_comma_has_cut_are_told_and_not_read(school, tmp_path):
    head = "student,faster,se,low,p,yes,slopes\n"
    (tmp_path / "in.csv").write_text(head + "s01,0,5,0,25,0,01,0,04,yes,0,3\ns02,0.5,0.25,0.01,0.04,yes,0.3\n")
    marks = course.mark(school, tmp_path / "in.csv")
    assert "row 2: 12 cells under 7 columns" in marks.strange[0] and "commas in numbers?" in marks.strange[0]
    assert marks.table.set_index("student").loc["s01", "recognized"] == "nothing handed in"


@pytest.mark.parametrize(
    "text",
    [
        "Student;Faster;se;low;p;yes;slopes\r\nS01;{faster};{se};{low};{p};{yes};{slopes}\r\n",
        "sep=;\r\nstudent;faster;se;low;p;yes;slopes\r\ns01;{faster};{se};{low};{p};{yes};{slopes}\r\n",
        "student\tfaster\tse\tlow\tp\tyes\tslopes\rs01\t{faster}\t{se}\t{low}\t{p}\t{yes}\t{slopes}\r",
    ],
)
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_of_the_class_comes_from_any_spreadsheet(text, code, school, tmp_path):
    right = {k: f"{v:.4f}".replace(".", ",") if k != "yes" else v for k, v in worked(school / "students/s01").items()}
    (tmp_path / "in.csv").write_bytes(text.format(**right).encode(code))
    table = course.mark(school, tmp_path / "in.csv").table.set_index("student")
    assert table.loc["s01", "points"] == 7 and not table.loc["s01", "problems"]


@pytest.mark.parametrize("name", ["all.zip", "answers.xlsx"])
def test_what_is_packed_has_to_be_unpacked_first(name, school, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=f"{name} is no folder and no .csv file: unpack what is packed, save a spread"):
        course.mark(school, tmp_path / name)


def test_a_table_that_is_none_is_refused_in_words(school, tmp_path):
    (tmp_path / "in.csv").write_text('student,faster\n"' + "x" * 200_000 + '"\n')
    with pytest.raises(ValueError, match=r"in.csv is no table in CSV: field larger"):
        course.mark(school, tmp_path / "in.csv")


def test_a_table_of_the_class_is_as_strict(school, tmp_path):
    head = "student,faster,se,low,p,yes,slopes\n"
    rows = "s01,=1+1,@SUM(A1),0.1,0.1,perhaps,1e999\ns01,0.5,,,,,\n../../etc,1,1,1,1,yes,1\n=s02,1,1,1,1,yes,1\ns03\n"
    (tmp_path / "in.csv").write_text(head + rows)
    marks = course.mark(school, tmp_path / "in.csv")
    table = marks.table.set_index("student")
    assert len(marks.strange) == 2 and table.loc["s03", "points"] == 0
    assert "'=1+1' is no number" in table.loc["s01", "problems"]
    (tmp_path / "bad.csv").write_text("name,faster\n")
    with pytest.raises(ValueError, match="has no column 'student'"):
        course.mark(school, tmp_path / "bad.csv")
    (tmp_path / "short.csv").write_text("student,faster\n")
    with pytest.raises(ValueError, match="has no column for se, low, p, yes, slopes"):
        course.mark(school, tmp_path / "short.csv")
    (tmp_path / "twice.csv").write_text("student,faster,faster,se,low,p,yes,slopes\n")
    with pytest.raises(ValueError, match="two columns of one name"):
        course.mark(school, tmp_path / "twice.csv")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd", "-cmd|x", "@SUM(A1)", "\t=1+1", "  =1", "\r=1", "+1+1", "\uff1d1+1", "\uff20SUM(A1)"]
)
def test_no_cell_of_the_marks_is_a_formula(cell):
    assert str(harmless(cell)).startswith("'")
    one = Marked("s01", [Mark("a", 0.0, 1.0, "no answer")], problems=[cell])
    from lmmsim.course.feedback import table

    assert table([one]).loc[0, "problems"].startswith("'")


@pytest.mark.parametrize("cell", ["-2.5", "+3", "Ann", "0.1", "a=b"])
def test_usual_cells_stay_as_they_are(cell):
    assert harmless(cell) == cell


def test_feedback_is_no_web_page_of_the_students():
    one = Marked("s01", [Mark("a", 0.0, 1.0, "no answer")], problems=[answers.shown("<script>alert(1)</script>|`x`")])
    assert "<script" not in page(one, "Exam", [{"id": "a", "words": "what | is\nit"}])


def test_a_thousand_strange_files_are_looked_at_quickly(mark):
    for k in range(1000):
        (mark.place / f"x{k}.json").write_text("{")
    _, marks = mark()
    assert len(marks.strange) == 1000


def test_a_folder_without_end_stops_nobody_else(mark):
    for k in range(300):
        (mark.place / "s01" / "deep").mkdir(parents=True, exist_ok=True)
        (mark.place / "s01" / f"{k}.json").write_text('{"answers": {"faster": 1}}')
        (mark.place / "s01" / "deep" / f"{k}.json").write_text('{"answers": {"faster": 1}}')
    table, marks = mark()
    assert marks.strange == ["'s01' holds more than 500 files, and is not read"]
    assert table.loc["s01", "recognized"] == "nothing handed in"


def test_what_python_thinks_of_a_notebook_is_not_told(mark, recwarn):
    source = json.dumps("answers = {'faster': 1if 1 else 2}")
    table, _ = mark("s01.ipynb", NOTEBOOK.format(source=source))
    assert table.loc["s01", "points"] == 0
    assert not [one for one in recwarn if issubclass(one.category, SyntaxWarning)]


def test_students_are_who_the_roster_says(school):
    assert set(STUDENTS) == {path.name for path in (school / "students").iterdir()}
