"""Submissions: find what students hand in, each under its owner's name, and read it as data, never as code.

A submission is a small JSON, a row of a table, or a notebook whose cell of answers is read and not run. Whatever is
too large, of the wrong type, hidden behind a link, or in somebody else's name is told and not trusted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lmmsim.checks import listed
from lmmsim.course import files
from lmmsim.course.answers import Answer, answer, from_json, from_notebook, has_two_meanings, parsed, same_name, shown
from lmmsim.course.roster import COLUMNS
from lmmsim.course.spreadsheets import column_of, read_sheet

LARGEST = 1_000_000  # bytes of a JSON
LARGEST_NOTEBOOK = 20_000_000  # with its pictures
MOST = 500  # files in one student's folder
READ = (".json", ".ipynb")
PACKED = (".zip", ".7z", ".rar", ".gz", ".tar", ".tgz")


@dataclass
class Submission:
    """What one student handed in.

    Attributes
    ----------
    student : str
    answers : dict
        By id of the question: a number, "yes" or "no", None where nothing can be used.
    problems : list of str
        What was wrong with it, in words.
    """

    student: str
    answers: dict[str, Answer] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def collect(
    place: files.Place, students: Collection[str], questions: Mapping[str, str], assignment: str | None = None
) -> tuple[dict[str, Submission], list[str]]:
    """Read all submissions.

    Parameters
    ----------
    place : path
        A folder with `<id>.json`, `<id>.ipynb` or `<id>/...` of each student; or a CSV file of the class, with a column
        `student` and one for each question.
    students : collection of str
        Who takes the course; nobody else is heard.
    questions : mapping
        {id: what is asked}.
    assignment : str, optional
        Its id; a JSON that names another one is refused.

    Returns
    -------
    dict of Submission, list of str
        By student; and what could not be given to a student.
    """
    path = Path(place)
    if path.is_file() and path.suffix.lower() == ".csv":
        return _from_table(path, students, questions)
    if path.is_file():
        raise ValueError(f"{path.name} is no folder and no .csv file: unpack what is packed, save a spreadsheet as CSV")
    if not path.is_dir():
        raise FileNotFoundError(f"there is no folder and no CSV file {path}")
    handed_in: dict[str, list[Path]] = {}
    strange: list[str] = []
    for entry in _entries(path):
        owner = entry.name if entry.is_dir() else entry.stem
        there = _files(entry, strange)
        if not there:
            continue
        student = _match(owner, students)
        if student is None:
            strange.append(f"{shown(owner)}: nobody of this name is on the roster")
        else:
            handed_in.setdefault(student, []).extend(there)
    return {student: _read(student, there, questions, assignment) for student, there in handed_in.items()}, strange


def _files(entry: Path, strange: list[str]) -> list[Path]:
    """The files that one entry of the folder is or holds; links are told in `strange` and left alone.

    A folder may hold one more, as nbgrader's submitted/<student>/<assignment>.
    """
    if entry.is_symlink():
        strange.append(f"{shown(entry.name)} is a link, which is not followed")
        return []
    inside = _entries(entry)[: MOST + 1] if entry.is_dir() else [entry]
    deeper = (file for one in inside if one.is_dir() and not one.is_symlink() for file in _entries(one))
    there = list(islice(chain(inside, deeper), MOST + 1))
    if len(there) > MOST:
        strange.append(f"{shown(entry.name)} holds more than {MOST} files, and is not read")
        return []
    found = []
    for file in there:
        if file.is_symlink() or not (file.is_file() or file.is_dir()) or (file.is_dir() and file.suffix in READ):
            strange.append(f"{shown(entry.stem)}: {shown(file.name)} is a link or no file, and is not read")
        elif file.is_file():
            found.append(file)
    return found


def _entries(folder: Path) -> list[Path]:
    """What a folder holds that is not hidden; nothing if it cannot be read."""
    try:
        return sorted(one for one in folder.iterdir() if not one.name.startswith((".", "__MACOSX")))
    except OSError:
        return []


def _match(owner: str, students: Collection[str]) -> str | None:
    """Whose name a file has; capital and small letters are one where that is one student."""
    owner = unicodedata.normalize("NFC", owner)
    if owner in students:
        return owner
    same = [student for student in students if same_name(owner, student)]
    return same[0] if len(same) == 1 else None


def _read(student: str, there: list[Path], questions: Mapping[str, str], assignment: str | None) -> Submission:
    """The answers in the files of one student: those of JSON, and of notebooks where JSON has none."""
    one, before = Submission(student), 0
    for ending, largest in zip(READ, (LARGEST, LARGEST_NOTEBOOK), strict=True):
        before, tables = len(one.answers), []
        for file in there:
            if file.suffix.lower() != ending:
                continue
            try:
                content = parsed(files.read_text(file, most=largest))
                own = from_json(content, student, assignment) if ending == ".json" else from_notebook(content)
                tables.append((file.name, own or {}))
            except (ValueError, OSError) as error:
                if not before:  # a notebook beside JSON that was read need not be readable
                    one.problems.append(f"{shown(file.name)}: {_in_words(error)}")
        _add(one, tables, questions, "the notebook says something else than the JSON, which counts")
    if not any(file.suffix.lower() in READ for file in there):
        names = listed(shown(file.name) for file in there[:3])
        way = "unpack it" if there[0].suffix.lower() in PACKED else "what is read is .json or .ipynb"
        one.problems.append(f"nothing but {names} was handed in: {way}")
    return one


def _add(
    one: Submission,
    tables: Sequence[tuple[str, Mapping[Any, Any]]],
    questions: Mapping[str, str],
    other: str,
    european: bool = False,
) -> None:
    """Take over what several tables say that came in the same way; they have to agree, and what is known counts."""
    for place, answers in tables:
        if unknown := [key for key in answers if key not in questions]:
            one.problems.append(f"{shown(place)}: {len(unknown)} unknown names, such as {shown(unknown[0])}")
    for name, ask in questions.items():
        known, said = name in one.answers, []
        for _, answers in tables:
            try:
                if (value := answer(answers.get(name), ask)) is not None:
                    said.append(value)
                    if has_two_meanings(answers[name]) and not european:
                        one.problems.append(f"{name}: {shown(answers[name])} was read as {value:g}")
            except ValueError as error:
                if not known:
                    one.problems.append(f"{name}: {error}")
        if known and any(value != one.answers[name] for value in said):
            one.problems.append(f"{name}: {other}")
        elif len(set(said)) > 1:
            one.problems.append(f"{name}: two files say different things, so neither counts")
            one.answers[name] = None
        elif said:
            one.answers[name] = said[0]


def _from_table(
    path: Path, students: Collection[str], questions: Mapping[str, str]
) -> tuple[dict[str, Submission], list[str]]:
    """Read the CSV of a class."""
    rows, separator, _ = read_sheet(path)
    head = [cell.strip() for cell in rows[0]] if rows else []
    first = column_of(head, COLUMNS)
    if first is None:
        raise ValueError(f"{path.name} has no column 'student'")
    columns = {name: column_of(head, [name]) for name in questions}
    if lost := [name for name, column in columns.items() if column is None]:
        raise ValueError(f"{path.name} has no column for {', '.join(lost)}")
    plain = [cell.casefold() for cell in head]
    if any(plain.count(name.casefold()) > 1 for name in [head[first], *questions]):
        raise ValueError(f"{path.name} has two columns of one name")
    tables: dict[str, list[tuple[str, dict[str, str]]]] = {}
    strange: list[str] = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [*row, *[""] * (len(head) - len(row))]
        student = _match(cells[first].strip(), students)
        if student is None:
            strange.append(f"row {number}: {shown(cells[first])} is not on the roster")
        elif any(cell.strip() for cell in cells[len(head) :]):
            strange.append(
                f"row {number}: {len(row)} cells under {len(head)} columns, so it is not read; are there commas in "
                "numbers?"
            )
        else:
            own = {name: cells[column] for name, column in columns.items() if column is not None}
            tables.setdefault(student, []).append((f"row {number}", own))
    found = {student: Submission(student) for student in tables}
    for student, one in found.items():
        _add(one, tables[student], questions, "", european=separator == ";")
    return found, strange


def _in_words(error: Exception) -> str:
    """An error without anything that a submission could have put into it unseen."""
    return "".join(c if c.isprintable() else " " for c in str(error))[:200]
