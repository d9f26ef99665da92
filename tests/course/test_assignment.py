"""Assignments, rosters, secrets: what is asked is there, and what is wrong is named with its line."""

import numpy as np
import pytest
from small_class import EXAM

from lmmsim.course import secret
from lmmsim.course.assignment import assignment_of, read_assignment
from lmmsim.course.keys import handout
from lmmsim.course.questions import Question
from lmmsim.course.ranges import drawn
from lmmsim.course.roster import checked, read_roster
from lmmsim.course.toml import Document


def read(text):
    return assignment_of(Document.read(text, "exam.toml"))


def test_an_assignment_tells_its_story():
    exam = read(EXAM)
    assert exam.text == "plots got Control, A or B." and exam.id == "fertilizers"
    assert exam.questions[0].words == "How much more do plants under B grow per week, in cm?"
    assert exam.questions[1].words == "Standard error of week:fertilizer[T.B]."


def test_other_words_go_into_text_questions_and_data():
    words = '[names]\nplot = "child"\nfertilizer = "diet"\nControl = "usual"\nB = "milk"\nheight = "weight (kg)"\n'
    exam = read(EXAM.replace("[numbers]", words + "[numbers]"))
    assert exam.text == "childs got usual, A or milk."
    assert exam.questions[0].words == "How much more do plants under milk grow per week, in kg?"
    assert exam.questions[0].term == "week:diet[T.milk]" and exam.questions[5].group == "child"
    one = handout(exam, "a secret of the course", "ann")
    assert one.data.startswith("child,week,diet,weight\nchild01,0,usual,")
    assert 'weight,"weight, which was measured",kg' in one.book
    plain = handout(read(EXAM), "a secret of the course", "ann")
    assert plain.record["analyses"][0]["values"] == one.record["analyses"][0]["values"]  # the same numbers


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('scenario = "plant growth"', "", r"line 1, the file: an assignment has either a scenario or a model"),
        ('"plant growth"', '"plant grow"', r"line 3, scenario: 'plant grow' is no scenario"),
        ('scenario = "plant growth"', 'model = "no.toml"', r"line 3, model: there is no file"),
        ("plots = 12", "plot = 12", r"line 7, numbers.plot: 'plot': no number of 'plant growth'"),
        ("plots = 12", "plots = 13", r"13 plots cannot be shared equally"),
        ("extra = [", "extra = { from = 2, to = 1 }\nother = [", r"line 10, ranges.extra: this is .* a range is"),
        ("to = 1.5, step = 0.05 }, {", "to = 1.5, step = 0 }, {", r"line 10, ranges.extra\[1\]: this is"),
        ('id = "se"', 'id = "faster"', r"line 12, question: two questions have the id 'faster'"),
        ('id = "se"', 'id = "s e"', r"line 20, question\[2\].id: 's e' is no id"),
        ('ask = "se"', 'ask = "error"', r"line 21, question\[2\].ask: 'error' can't be asked; what can is 'estimate'"),
        ('ask = "sd"', 'ask = "icc"', r"question\[6\].ask: 'icc' can't be asked"),
        ('[T.B]"\ntext', '[T.C]"\ntext', r"question\[1\].term: 'week:fertilizer\[T.C\]' is no coefficient of"),
        ('group = "plot"', 'group = "school"', r"question\[6\]: the analysis has no sd of 'school, week'"),
        ('group = "plot"\n', "", r"question\[6\]: a question for sd needs group"),
        ("points = 2", "points = 0", r"line 17, question\[1\].points: 0 points"),
        ("points = 2", "tolerance = -3", r"line 17, question\[1\].tolerance: a tolerance of -3"),
        ("points = 2", "pints = 2", r"line 17, question\[1\].pints: 'pints' is not known here"),
        ("{unit of height}", "{unit of size}", r"line 16, question\[1\].text: {unit of size} is no column"),
        ("[ranges]", "[credit]\nOLS = 2\n[ranges]", r"line 10, credit.OLS: a share of the points lies between 0 and 1"),
        ("[ranges]", "[credit]\nOSL = 0\n[ranges]", r"line 10, credit.OSL: 'OSL' is not known here"),
        ("[ranges]", "[missing]\ndrop_out = {}\n[ranges]", r"line 10, missing.drop_out: "),
        ("[ranges]", "[missing]\nlose = {}\n[ranges]", r"line 10, missing.lose: 'lose' loses nothing"),
        ("[ranges]", '[analysis]\nformula = "height ~ day"\n[ranges]', r"line 10, analysis.formula: .*'day'"),
        ("[ranges]", '[names]\nday = "week"\n[ranges]', r"line 10, names.day: names has 'day'"),
        ("[ranges]", '[names]\nA = "NA"\n[ranges]', r"names.A: 'fertilizer' has the levels 'NA', which come back"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_line(old, new, match):
    with pytest.raises(ValueError, match="(?s)exam.toml, .*" + match):
        read(EXAM.replace(old, new, 1))


def test_numbers_are_drawn_from_their_ranges():
    rng = np.random.default_rng(1)
    many = [drawn({"from": 0.0, "to": 1.5, "step": 0.05}, rng) for _ in range(500)]
    assert min(many) == 0.0 and max(many) == 1.5 and len(set(many)) == 31
    whole = [drawn({"from": 10, "to": 30, "step": 10}, rng) for _ in range(50)]
    assert set(whole) == {10, 20, 30} and all(isinstance(n, int) for n in whole)
    assert {drawn({"of": ["a", "b"]}, rng) for _ in range(50)} == {"a", "b"}
    assert drawn([{"of": [1]}, 2], rng) == [1, 2] and 0 <= drawn({"from": 0, "to": 1}, rng) <= 1


def test_students_world_and_data_are_drawn_from_streams_that_owe_each_other_nothing():
    told = [("a", "b", "data"), ("a", "b", "world"), ("ab", "", "data"), ("a", "c", "data"), ("", "ab", "data")]
    streams = {secret.stream("a secret of the course", *one).entropy for one in told}
    assert len(streams) == 5 and all(entropy.bit_length() > 200 for entropy in streams)
    assert secret.stream("x" * 16, "a", "b", "data").entropy != secret.stream("y" * 16, "a", "b", "data").entropy


def test_a_secret_that_can_be_guessed_is_refused(tmp_path):
    (tmp_path / "secret").write_text("1234\n")
    with pytest.raises(ValueError, match="secret has 4 characters; a secret that cannot be found by trying has 16"):
        secret.read_secret(tmp_path / "secret")
    assert len({secret.new_secret() for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name\nAnn\n", "has no column 'student' .or 'id'.; its columns are 'name'"),
        ("", "has no column 'student'"),
        ("student\n", "names no student"),
        ("student,x\n,1\n", "row 2: no student"),
        ("student\nann\nAnn\n", "'ann' and 'Ann' are one student"),
        ("student\n../key\n", "'../key' can't name a folder"),
        ("student\ne\u0301\n\u00e9\n", "are one student"),
    ],
)
def test_a_roster_that_cannot_be_meant_is_refused(text, match, tmp_path):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=match):
        read_roster(tmp_path / "roster.csv")


def test_ids_stay_as_they_are_written(tmp_path):
    (tmp_path / "roster.csv").write_text("\ufeffid;name\n007;Bond\n\n42;Ann\n", encoding="utf-8")
    assert read_roster(tmp_path / "roster.csv") == ["007", "42"]
    with pytest.raises(TypeError, match="a student's id is a text"):
        checked([7])


@pytest.mark.parametrize("title", ["!!!", "con", " - "])
def test_a_title_that_names_no_folder_is_refused(title):
    with pytest.raises(ValueError, match=r"exam\.toml, line 2, title: .* can't name a folder"):
        assignment_of(Document.read(EXAM.replace('"Fertilizers"', f'"{title}"'), "exam.toml"))


def test_a_long_title_names_a_short_folder():
    task = assignment_of(Document.read(EXAM.replace('"Fertilizers"', f'"{"Plants, again. " * 30}"'), "exam.toml"))
    assert task.id.startswith("plants-again-plants") and len(task.id) <= 64 and not task.id.endswith("-")


@pytest.mark.parametrize("name", ["points", "Student", "of"])
def test_a_question_takes_no_other_column_of_the_marks(name):
    with pytest.raises(ValueError, match="is the name of another column of the marks"):
        assignment_of(Document.read(EXAM.replace('id = "se"', f'id = "{name}"'), "exam.toml"))


def test_two_questions_differ_in_more_than_capital_letters():
    with pytest.raises(ValueError, match="two questions have the id 'SE', 'se'"):
        assignment_of(Document.read(EXAM.replace('id = "low"', 'id = "SE"'), "exam.toml"))


def roster(tmp_path, content):
    (tmp_path / "roster.csv").write_bytes(content)
    return read_roster(tmp_path / "roster.csv")


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_roster_comes_from_any_spreadsheet(code, end, between, tmp_path):
    rows = [["Name", "Student"], ["M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller", "007"], ["", ""], ["\xc5sa", "a2"]]
    assert roster(tmp_path, end.join(between.join(row) for row in rows).encode(code)) == ["007", "a2"]


def test_letters_of_an_id_that_may_be_others_are_refused(tmp_path):
    name = "j\xfcrgen"
    assert roster(tmp_path, f"student\n{name}\n".encode()) == [name]
    with pytest.raises(ValueError, match=r"row 2: the file is not in UTF-8, .* save it as CSV in UTF-8"):
        roster(tmp_path, f"student\n{name}\n".encode("cp1252"))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'student\n"' + b"x" * 200_000 + b'"\n', b"\x00\x01\x02"])
def test_a_roster_that_is_no_table_is_refused_in_words(content, tmp_path):
    with pytest.raises(ValueError, match=r"roster\.csv"):
        roster(tmp_path, content)


@pytest.mark.parametrize("name", ["s\u200b1", "s1\u202e", "../s1", "CON", "s1.", "=1+1", "a/b", "s" * 65, "\u00a0s 1"])
def test_an_id_with_something_hidden_in_it_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="can't name a folder"):
        roster(tmp_path, f"student\n{name}\n".encode())


def test_margins_come_from_the_standard_error():
    assert Question("a", "estimate", "x").margin(2.0, 0.5) == 0.05
    assert Question("a", "estimate", "x", tolerance=0.2).margin(2.0, 0.5) == 0.1
    assert Question("a", "se", "x").margin(0.5, 0.5) == pytest.approx(0.015)
    assert Question("a", "p", "x").margin(0.4, 0.5) == pytest.approx(0.04)
    assert Question("a", "p", "x").margin(1e-9, 0.5) == 0.0005


def test_a_model_file_beside_the_assignment_is_its_world(tmp_path):
    from lmmsim import course, scenarios

    course.write_model(tmp_path / "methods.toml", *scenarios.teaching_methods(schools=8))
    (tmp_path / "exam.toml").write_text(
        'title = "Methods"\nmodel = "methods.toml"\n[ranges]\n"beta.method[T.new]" = { from = 1, to = 3 }\n'
        '[[question]]\nid = "effect"\nask = "estimate"\ncontrast = { method = { new = 1, usual = -1 } }\n'
    )
    exam = read_assignment(tmp_path / "exam.toml")
    one = handout(exam, "a secret of the course", "ann").record
    assert 1 <= one["truth"]["beta"]["method[T.new]"] <= 3
