"""Handing out: a folder for every student, and one for the teacher."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lmmsim.course import files, notebooks, roster, secret
from lmmsim.course.assignment import Assignment, read_assignment
from lmmsim.course.keys import Handout, handout, key_of, overview
from lmmsim.course.printed import as_json
from lmmsim.course.tables import as_csv

HANDED_OUT = ("data.csv", "data.codebook.csv", "assignment.ipynb", "answers.json")
CHUNK = 8  # students that one process makes at a time


def assign(
    assignment: Assignment | files.Place,
    students: Sequence[str] | files.Place,
    folder: files.Place,
    *,
    course_secret: str | None = None,
    n_jobs: int = 1,
    progress: bool = False,
    force: bool = False,
) -> Path:
    """Make a data set of their own for every student, and the key.

    Parameters
    ----------
    assignment : Assignment or path
        From `read_assignment`, its file, or the name of a ready one.
    students : sequence of str, or path
        Ids, or a roster: a CSV file with a column `student`.
    folder : path
        Where everything goes. `students/<id>/` is what each of them gets: data.csv, its codebook, the notebook,
        answers.json. `teacher/` is never handed out: key.json, secret, a solution, an overview, the assignment.
    course_secret : str, optional
        From which all data are made. By default that of the class that is replaced, else a new one. With the same
        one, the same data come again.
    n_jobs : int
        Processes; -1 is one per core.
    progress : bool
        Show a bar.
    force : bool
        Replace the class that is there, as when somebody joins it late.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder is there; with `force`, if it holds anything but an untouched class.
    ValueError
        If an id cannot name a folder or stands twice, or the right analysis has no answer for somebody's data.
    """
    task = assignment if isinstance(assignment, Assignment) else read_assignment(assignment)
    ids = roster.read_roster(students) if isinstance(students, str | os.PathLike) else roster.checked(students)
    key_secret = _secret(Path(folder), course_secret, force)
    if force:
        _check_untouched(Path(folder) / "students")
    with files.whole_folder(folder, force=force, own=("students", "teacher")) as place:
        teacher = place / "teacher"
        teacher.mkdir(mode=0o700)
        notebook, records = "", {}
        for student, one in zip(ids, _made(task, key_secret, ids, n_jobs, progress), strict=True):
            if force:
                _check_same(Path(folder) / "students" / student / "data.csv", one.data)
            if not notebook:
                notebook = notebooks.common(task, _table(one.book))
            _hand_out(place / "students" / student, one, notebook, task, student)
            records[student] = one.record
        files.write(teacher / "key.json", key_of(task, records, key_secret), private=True)
        files.write(teacher / "secret", key_secret + "\n", private=True)
        files.write(teacher / "solution.ipynb", notebooks.solution(task), private=True)
        files.write(teacher / "overview.csv", as_csv(overview(records, task.questions)), private=True)
        for name, text in task.texts.items():
            files.write(teacher / name, text, private=True)
    return Path(folder)


def blank(task: Assignment, student: str) -> str:
    """The file that a student fills in."""
    empty = {question.id: None for question in task.questions}
    return as_json({"assignment": task.id, "student": student, "answers": empty})


def _secret(folder: Path, course_secret: str | None, force: bool) -> str:
    """The secret that was given; else that of the class that is replaced, whose data students have; else a new one."""
    if course_secret is not None:
        return secret.checked(course_secret)
    kept = folder / "teacher" / "secret"
    return secret.read_secret(kept) if force and kept.is_file() else secret.new_secret()


def _check_untouched(students: Path) -> None:
    """Refuse to replace folders in which somebody has worked."""
    for file in students.glob("*/*"):
        if file.name not in (*HANDED_OUT, *files.OF_SYSTEMS) or (file.name == "answers.json" and not _is_blank(file)):
            raise FileExistsError(
                f"{file} is somebody's work and was left as it is; choose another name for the class, and give it the "
                "secret of this one (--secret, course_secret=), so that everybody keeps their data"
            )


def _check_same(file: Path, data: str) -> None:
    """Refuse to replace data by others, as with a changed assignment: students may have them already."""
    if file.is_file() and file.read_bytes() != data.encode():
        raise FileExistsError(
            f"{file} would hold other data than it does, which may be handed out already; choose another name for the "
            "class, or remove it yourself"
        )


def _is_blank(file: Path) -> bool:
    """Whether an answers.json is as it was handed out."""
    try:
        return all(value is None for value in json.loads(files.read_text(file))["answers"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


def _hand_out(place: Path, one: Handout, notebook: str, task: Assignment, student: str) -> None:
    """Fill the folder of one student."""
    place.mkdir(parents=True)
    for name, content in zip(HANDED_OUT, (one.data, one.book, notebook, blank(task, student)), strict=True):
        (place / name).write_text(content, encoding="utf-8", newline="\n")


def _made(task: Assignment, key_secret: str, ids: Sequence[str], n_jobs: int, progress: bool) -> Iterator[Handout]:
    """Make all handouts, in the order of the roster."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    pieces = [ids[k : k + CHUNK] for k in range(0, len(ids), CHUNK)]
    jobs = Parallel(n_jobs=n_jobs if len(pieces) > 1 else 1, return_as="generator")(
        delayed(_piece)(task, key_secret, piece) for piece in pieces
    )
    with tqdm(total=len(ids), unit="student", disable=None if progress else True) as bar:
        for piece in jobs:
            yield from piece
            bar.update(len(piece))


def _piece(task: Assignment, key_secret: str, ids: Sequence[str]) -> list[Handout]:
    """Make the handouts of a few students, on one thread."""
    from threadpoolctl import threadpool_limits

    made: list[Any] = []
    with threadpool_limits(1):
        for student in ids:
            try:
                made.append(handout(task, key_secret, student))
            except (ValueError, TypeError) as error:
                raise ValueError(f"no data for student {student}: {error}") from None
    return made


def _table(book: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(book), dtype=str, keep_default_na=False)
