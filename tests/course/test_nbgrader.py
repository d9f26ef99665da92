"""nbgrader from end to end: a class of five gets one notebook, and their marks are those of the key."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from places import TOP
from small_class import handed_in, worked

from lmmsim import course
from lmmsim.course.handing_out import assign
from lmmsim.course.nbgrader import credit, write_nbgrader

FIVE = ["ann", "ben", "cem", "dot", "eve"]
HOW = {"ann": "right", "ben": "OLS", "cem": "wrong reference", "dot": "right", "eve": "nonsense"}


@pytest.fixture(scope="module")
def five(exam, tmp_path_factory):
    return assign(exam, FIVE, tmp_path_factory.mktemp("five") / "class", course_secret="correct horse battery")


def answers(folder, student):
    if HOW[student] == "nonsense":
        return {"faster": "__import__('os')", "se": 99, "low": [1], "p": True, "yes": "perhaps"}
    return worked(folder / "students" / student, HOW[student])


def test_the_credit_of_a_hidden_test_is_that_of_the_key(five, tmp_path, monkeypatch):
    handed_in(tmp_path / "in", "ann", answers(five, "ann"))
    handed_in(tmp_path / "in", "ben", answers(five, "ben"))
    table = course.mark(five, tmp_path / "in").table.set_index("student")
    for student in ("ann", "ben"):
        (tmp_path / "autograded" / student / "fertilizers").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "autograded" / student / "fertilizers")
        for question in ("faster", "se", "low", "p", "yes", "slopes"):
            assert credit(question, answers(five, student), five) == table.loc[student, question]
    assert credit("faster", None, five, student="eve") == 0
    with pytest.raises(ValueError, match="'nobody' is not on the roster"):
        credit("faster", {}, five, student="nobody")


def test_the_source_holds_everybodys_data_and_no_key(five, tmp_path):
    place = write_nbgrader(five, tmp_path / "course")
    assert sorted(p.name for p in (place / "data").iterdir()) == [f"{student}.csv" for student in FIVE]
    with pytest.raises(FileExistsError):
        write_nbgrader(five, tmp_path / "course")
    assert "seal" not in (place / "fertilizers.ipynb").read_text()


@pytest.mark.slow
def test_a_class_of_five_goes_through_nbgrader(five, tmp_path, monkeypatch):
    if os.environ.get("REQUIRE_NBGRADER"):
        import nbgrader.apps as apps
    else:
        apps = pytest.importorskip("nbgrader.apps", reason="nbgrader is not installed: make nbgrader-test")
    from nbgrader.api import Gradebook
    from traitlets.config import Config

    monkeypatch.setenv("PYTHONPATH", str(TOP) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"])  # it calls alembic
    root = tmp_path / "course101"
    write_nbgrader(five, root)
    monkeypatch.chdir(root)
    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.course_id = "course101"
    config.ClearSolutions.code_stub = {"python": "# your code here"}
    config.Exchange.root = str(tmp_path / "exchange")
    (tmp_path / "exchange").mkdir(mode=0o777)
    (tmp_path / "exchange").chmod(0o777)
    api = apps.NbGraderAPI(config=config)
    made = api.generate_assignment("fertilizers")
    assert made["success"], made["log"]
    released = (root / "release/fertilizers/fertilizers.ipynb").read_text()
    assert "credit" not in released and str(five) not in released and "BEGIN SOLUTION" not in released
    done = api.release_assignment("fertilizers")
    assert done["success"], done["log"]
    for student in FIVE:
        place = root / "submitted" / student / "fertilizers"
        shutil.copytree(root / "release/fertilizers", place)
        book = json.loads((place / "fertilizers.ipynb").read_text())
        for cell in book["cells"]:
            name = cell["metadata"].get("nbgrader", {}).get("grade_id")
            if name == "student":
                cell["source"] = f"student = {student!r}"
            if name == "answers":
                given = {
                    k: v if isinstance(v, (str, list, bool)) else float(v) for k, v in answers(five, student).items()
                }
                cell["source"] = f"answers = {given!r}"
        (place / "fertilizers.ipynb").write_text(json.dumps(book))
    for student in FIVE:
        graded = api.autograde("fertilizers", student, create=True)
        assert graded["success"], graded["log"]
    there = course.mark(five, root / "submitted").table.set_index("student")  # the same, without running anything
    with Gradebook(f"sqlite:///{root}/gradebook.db") as gradebook:
        for student in FIVE:
            submission = gradebook.find_submission("fertilizers", student)
            assert submission.score == pytest.approx(there.loc[student, "points"])
            assert submission.max_score == 7
    assert there["points"].to_dict()["ann"] == 7 and there.loc["eve", "points"] == 0
    assert there.loc["ben", "recognized"] == "OLS" and 0 < there.loc["cem", "points"] < 7
