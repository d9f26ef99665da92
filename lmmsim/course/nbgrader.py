"""nbgrader: one notebook for all, the student's own data by their id, and hidden tests that look up the key.

nbgrader runs what students hand in, with the rights of whoever marks, and their code could read what that person can
read. For an exam with marks at stake run it in a container, as nbgrader's manual says, or mark the submitted notebooks
by `lmmsim mark`, which reads them and runs nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.course import files, notebooks, secret
from lmmsim.course.answers import answer
from lmmsim.course.assignment import Assignment, read_assignment
from lmmsim.course.keys import read_key
from lmmsim.course.marking import mark_one
from lmmsim.course.submissions import Submission

CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "{course}"
c.ClearSolutions.code_stub = {{"python": "# your code here"}}
"""
STUDENT = """\
student = ""   # your id, as it stands on the roster
### BEGIN SOLUTION
student = "{first}"
### END SOLUTION"""
HIDDEN = """\
assert isinstance(answers, dict)
### BEGIN HIDDEN TESTS
from lmmsim.course.nbgrader import credit
credit({question!r}, answers, {folder!r})
### END HIDDEN TESTS"""


def write_nbgrader(folder: files.Place, course: files.Place, *, force: bool = False) -> Path:
    """Put the assignment of a class into a course of nbgrader.

    Parameters
    ----------
    folder : path
        What `assign` made, from an assignment file.
    course : path
        The course's folder of nbgrader; made, with its configuration, if it is not there.
    force : bool
        Replace the assignment's folder in `source`.

    Returns
    -------
    Path
        `<course>/source/<id>`, with the notebook, and everybody's data by id. Then, in the course's folder:
        `nbgrader generate_assignment <id>`, `nbgrader release_assignment <id>`, `nbgrader collect <id>`,
        `nbgrader autograde <id>`.

    Raises
    ------
    FileExistsError
        If the assignment is in the course already.
    """
    folder, course = Path(folder).resolve(), Path(course)
    task = read_assignment(folder / "teacher" / "assignment.toml")
    students = sorted(path.name for path in (folder / "students").iterdir())
    if not (course / "nbgrader_config.py").exists():
        config = CONFIG.format(course=files.safe_name(course.resolve().name))
        course.mkdir(parents=True, exist_ok=True)
        files.write(course / "nbgrader_config.py", config)
    (course / "source").mkdir(exist_ok=True)
    own = ("data", f"{task.id}.ipynb", ".ipynb_checkpoints")
    with files.whole_folder(course / "source" / task.id, force=force, own=own) as place:
        (place / "data").mkdir()
        for student in students:
            shutil.copyfile(folder / "students" / student / "data.csv", place / "data" / f"{student}.csv")
        book = pd.read_csv(folder / "students" / students[0] / "data.codebook.csv", dtype=str, keep_default_na=False)
        text = _notebook(task, book, students[0], str(folder))
        (place / f"{task.id}.ipynb").write_text(text, encoding="utf-8", newline="\n")
    return course / "source" / task.id


def credit(question: str, answers: Any, folder: files.Place, student: str | None = None) -> float:
    """Points for one answer, which nbgrader takes as partial credit.

    Parameters
    ----------
    question : str
        Its id.
    answers : dict
        What the notebook computed.
    folder : path
        The class.
    student : str, optional
        By default the one in whose folder nbgrader runs the notebook: autograded/<student>/<assignment>.

    Returns
    -------
    float
    """
    key = _key(str(folder))
    owner = Path.cwd().parent.name if student is None else student
    if owner not in key["students"]:
        raise ValueError(f"'{owner}' is not on the roster of this class")
    given = answers if isinstance(answers, Mapping) else {}
    one = Submission(owner)
    for asked in key["questions"]:
        value = given.get(asked["id"])
        try:
            plain = value.item() if isinstance(value, np.generic) else value
            one.answers[asked["id"]] = answer(plain, asked["ask"])
        except (ValueError, TypeError):
            one.answers[asked["id"]] = None
    points = {mark.question: mark.points for mark in mark_one(key, owner, one).marks}
    return float(points[question])


@lru_cache(maxsize=1)
def _key(folder: str) -> dict[str, Any]:
    teacher = Path(folder) / "teacher"
    return read_key(teacher / "key.json", secret.read_secret(teacher / "secret"))


def _notebook(task: Assignment, book: pd.DataFrame, first: str, folder: str) -> str:
    """The instructor's version: solutions and hidden tests in, which nbgrader takes out of the released one."""
    read = notebooks.reading(book).replace('"data.csv"', 'f"data/{student}.csv"')
    own = f'pd.read_csv("data/{first}.csv")'
    restored = f"course.codebooks.restored({own}, pd.DataFrame({book.to_dict('list')!r}))"
    solution = f"### BEGIN SOLUTION\n{notebooks.worked(task, restored)}\n### END SOLUTION"
    cells = [
        notebooks.text(f"# {task.title}\n\n{task.text}".rstrip(), **_locked("title")),
        notebooks.code(STUDENT.format(first=first), **_solution("student")),
        notebooks.code(read, **_locked("reading")),
        notebooks.text(f"## Questions\n\n{notebooks.asked(task.questions)}", **_locked("questions")),
        notebooks.code(
            f"{notebooks.template(task.questions)}\n{solution}", tags=[notebooks.ANSWERS], **_solution("answers")
        ),
    ]
    for question in task.questions:
        hidden = HIDDEN.format(question=question.id, folder=folder)
        cells.append(notebooks.code(hidden, **_test(f"test_{question.id}", question.points)))
    return notebooks.notebook(cells)


def _meta(name: str, **more: Any) -> dict[str, Any]:
    plain = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, "grade_id": name}
    return {"nbgrader": plain | more}


def _locked(name: str) -> dict[str, Any]:
    return _meta(name, locked=True)


def _solution(name: str) -> dict[str, Any]:
    return _meta(name, solution=True)


def _test(name: str, points: float) -> dict[str, Any]:
    return _meta(name, grade=True, locked=True, points=points)
