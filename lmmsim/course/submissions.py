"""Submissions: read what students hand in, as data and never as code.

A submission is a small JSON, a row of a table, or a notebook whose cell of answers is read and not run. Whatever is
too large, of the wrong type, hidden behind a link, or in somebody else's name is told and not trusted.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lmmsim.course import files
from lmmsim.course.notebooks import ANSWERS

LARGEST = 1_000_000  # bytes of a JSON or a CSV
LARGEST_NOTEBOOK = 20_000_000  # with its pictures
MOST = 500  # files in one student's folder
LONGEST = 40  # characters of an answer
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d{1,3})?")

Answer = float | str | None


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
    places : list of str
        Files it came from.
    """

    student: str
    answers: dict[str, Answer] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


def collect(
    place: files.Place, students: Collection[str], questions: Mapping[str, str]
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

    Returns
    -------
    dict of Submission, list of str
        By student; and what could not be given to a student.
    """
    path = Path(place)
    if path.is_file() and path.suffix.lower() == ".csv":
        return _from_table(path, students, questions)
    if not path.is_dir():
        raise FileNotFoundError(f"there is no folder and no CSV file {path}")
    found: dict[str, Submission] = {}
    strange: list[str] = []
    for owner, file in _files(path, strange):
        student = _match(owner, students)
        if student is None:
            strange.append(f"{shown(owner)}: nobody of this name is on the roster")
            continue
        one = found.setdefault(student, Submission(student))
        _read_file(file, one, questions)
    return found, strange


def parsed(text: str) -> Any:
    """Read JSON strictly: no NaN, no key twice, no depth that breaks the reader."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(items)
        if len(table) < len(items):
            raise ValueError("a key stands twice")
        return table

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no number")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None


def shown(value: object) -> str:
    """What somebody wrote, short and harmless enough to be told."""
    text = value if isinstance(value, str) else type(value).__name__
    clean = "".join(c if c.isprintable() and c not in "`<>|\\" else "?" for c in text)
    return repr(clean[:LONGEST] + ("..." if len(clean) > LONGEST else ""))


def answer(value: Any, ask: str) -> Answer:
    """One answer as a number, or "yes" or "no".

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> answer("0,25", "estimate"), answer(" Yes", "significant")
    (0.25, 'yes')
    """
    if value is None or value == "":
        return None
    if ask == "significant":
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str) and value.strip().lower() in ("yes", "no"):
            return value.strip().lower()
        raise ValueError(f'{shown(value)} is neither "yes" nor "no"')
    if isinstance(value, str):
        text = value.strip()
        if len(text) > LONGEST or not NUMBER.fullmatch(text):
            raise ValueError(f"{shown(value)} is no number")
        value = float(text.replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a {type(value).__name__} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("it is not finite")
    return number


def _files(folder: Path, strange: list[str]) -> Iterator[tuple[str, Path]]:
    """Every file that may be a submission, with the name of its owner: of the file, or of the folder it is in.

    A folder may hold one more, as nbgrader's submitted/<student>/<assignment>. JSON comes before notebooks, and counts.
    """
    for entry in _entries(folder):
        if entry.is_symlink():
            strange.append(f"{shown(entry.name)} is a link, which is not followed")
            continue
        inside = _entries(entry)[: MOST + 1] if entry.is_dir() else [entry]
        deeper = (file for one in inside if one.is_dir() and not one.is_symlink() for file in _entries(one))
        there = list(islice(chain(inside, deeper), MOST + 1))
        if len(there) > MOST:
            strange.append(f"{shown(entry.name)} holds more than {MOST} files, and is not read")
            continue
        for file in sorted(there, key=_notebooks_last):
            owner = entry.name if entry.is_dir() else file.stem
            if file.suffix.lower() not in (".json", ".ipynb") or file.name.startswith("."):
                continue
            if file.is_symlink() or not file.is_file():
                strange.append(f"{shown(owner)}: {shown(file.name)} is a link or no file, and is not read")
                continue
            yield owner, file


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, notebooks last; nothing if it cannot be read."""
    try:
        return sorted(folder.iterdir(), key=_notebooks_last)
    except OSError:
        return []


def _notebooks_last(file: Path) -> tuple[bool, str]:
    return file.suffix.lower() == ".ipynb", file.name


def _match(owner: str, students: Collection[str]) -> str | None:
    """Whose name a file has; capital and small letters are one where that is one student."""
    owner = unicodedata.normalize("NFC", owner)
    if owner in students:
        return owner
    same = [student for student in students if student.casefold() == owner.casefold()]
    return same[0] if len(same) == 1 else None


def _read_file(file: Path, one: Submission, questions: Mapping[str, str]) -> None:
    """Add the answers of a file to a submission; what is wrong becomes a problem of it."""
    is_notebook = file.suffix.lower() == ".ipynb"
    try:
        content = parsed(files.read_text(file, most=LARGEST_NOTEBOOK if is_notebook else LARGEST))
        answers = from_notebook(content) if is_notebook else from_json(content, one.student)
    except (ValueError, OSError) as error:
        one.problems.append(f"{shown(file.name)}: {_in_words(error)}")
        return
    if answers is None:
        return
    _add(one, answers, file.name, questions)


def from_json(content: Any, student: str) -> Mapping[str, Any]:
    """The answers of a JSON: under "answers", or the whole of it."""
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, where answers by name are needed")
    told = content.get("student", student)
    if told != student:
        raise ValueError(f"it says that it is the work of {shown(told)}")
    answers = content.get("answers", {k: v for k, v in content.items() if k not in ("student", "assignment")})
    if not isinstance(answers, dict):
        raise ValueError(f"its answers are a {type(answers).__name__}, where a name for each is needed")
    return answers


def from_notebook(content: Any) -> Mapping[str, Any] | None:
    """The answers of a notebook: the cell with the tag "answers", read as literals and never run; None without one.

    Raises
    ------
    ValueError
        If the cell holds anything but a table of numbers and words.
    """
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it is no notebook of Jupyter's format 4")
    for cell in cells:
        metadata = cell.get("metadata") if isinstance(cell, dict) else None
        tags = metadata.get("tags") if isinstance(metadata, dict) else None
        if isinstance(tags, list) and ANSWERS in tags:
            source = cell.get("source", "")
            text = "".join(part for part in source if isinstance(part, str)) if isinstance(source, list) else source
            return literal(text)
    return None


def literal(text: Any) -> Mapping[str, Any]:
    """The table in `answers = {...}`, which may hold numbers and words and nothing that could run."""
    if not isinstance(text, str) or len(text) > 20_000:
        raise ValueError("its cell of answers is no text, or longer than 20,000 characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of the style of a student is not told to the teacher
            tree = ast.parse(text.strip())
        [statement] = tree.body
        value = statement.value if isinstance(statement, ast.Assign | ast.Expr) else None
        table = ast.literal_eval(value) if isinstance(value, ast.Dict) else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ValueError("its cell of answers has to be answers = {...} with numbers or words, and nothing to compute")
    return table


def _add(one: Submission, answers: Mapping[Any, Any], place: str, questions: Mapping[str, str]) -> None:
    """Take answers over, one by one; two files have to agree."""
    one.places.append(place)
    unknown = [key for key in answers if key not in questions]
    if unknown:
        one.problems.append(f"{shown(place)}: {len(unknown)} unknown names, such as {shown(unknown[0])}")
    for name, ask in questions.items():
        try:
            value = answer(answers.get(name), ask)
        except ValueError as error:
            one.problems.append(f"{name}: {error}")
            continue
        if value is None:
            continue
        if one.answers.get(name, value) != value and place.lower().endswith(".ipynb"):
            one.problems.append(f"{name}: the notebook says something else than the JSON, which counts")
        elif one.answers.get(name, value) != value:
            one.problems.append(f"{name}: two files say different things, so neither counts")
            one.answers[name] = None
        else:
            one.answers[name] = value


def _from_table(
    path: Path, students: Collection[str], questions: Mapping[str, str]
) -> tuple[dict[str, Submission], list[str]]:
    """Read the CSV of a class."""
    text = files.read_text(path)
    first = text.partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ","))
    except csv.Error as error:
        raise ValueError(f"{path.name} is no table in CSV: {error}") from None
    head = [cell.strip() for cell in rows[0]] if rows else []
    if "student" not in head:
        raise ValueError(f"{path.name} has no column 'student'")
    if lost := [name for name in questions if name not in head]:
        raise ValueError(f"{path.name} has no column for {', '.join(lost)}")
    if any(head.count(name) > 1 for name in ["student", *questions]):
        raise ValueError(f"{path.name} has two columns of one name")
    found: dict[str, Submission] = {}
    strange: list[str] = []
    for number, row in enumerate(rows[1:], start=2):
        cells = dict(zip(head, row, strict=False))
        student = _match(cells.get("student", "").strip(), students)
        if student is None:
            if any(cell.strip() for cell in row):
                strange.append(f"row {number}: {shown(cells.get('student', ''))} is not on the roster")
            continue
        one = found.setdefault(student, Submission(student))
        _add(one, {name: cells.get(name, "").strip() for name in questions}, f"row {number}", questions)
    return found, strange


def _in_words(error: Exception) -> str:
    """An error without anything that a submission could have put into it unseen."""
    return "".join(c if c.isprintable() else " " for c in str(error))[:200]
