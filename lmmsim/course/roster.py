"""Rosters: who takes the course, from a CSV file with a column `student`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from lmmsim.checks import listed
from lmmsim.course import files
from lmmsim.course.spreadsheets import column_of, read_sheet

COLUMNS = ("student", "id", "student_id")  # what the column with the ids may be called
LARGEST = 100_000


def read_roster(path: files.Place) -> list[str]:
    """Read the ids of a roster: the column `student` (or `id`) of a CSV file as a spreadsheet saves it.

    Returns
    -------
    list of str
        Ids as they are written, leading zeros included.

    Raises
    ------
    ValueError
        If there is no such column, an id is empty, stands twice, or cannot name a folder.
    """
    name = Path(path).name
    rows, _, is_unicode = read_sheet(path)
    head = rows[0] if rows else []
    column = column_of(head, COLUMNS)
    if column is None:
        known = listed(cell.strip() for cell in head)
        raise ValueError(f"{name} has no column 'student' (or 'id'); its columns are {known or 'none'}")
    ids = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= column or not row[column].strip():
            raise ValueError(f"{name}, row {number}: no student")
        if not is_unicode and not row[column].isascii():
            raise ValueError(
                f"{name}, row {number}: the file is not in UTF-8, so the letters of {row[column].strip()!r} are "
                "uncertain; save it as CSV in UTF-8"
            )
        ids.append(row[column].strip())
    return checked(ids, name)


def checked(students: Sequence[str], where: str = "the roster") -> list[str]:
    """Refuse ids that stand twice, that cannot name a folder, or that only differ where a disk sees no difference."""
    if not students:
        raise ValueError(f"{where} names no student")
    if len(students) > LARGEST:
        raise ValueError(f"{where} names {len(students):,} students, more than {LARGEST:,}")
    seen: dict[str, str] = {}
    for student in students:
        if not isinstance(student, str):
            raise TypeError(f"{where}: a student's id is a text, so that 007 keeps its zeros; got {student!r}")
        try:
            plain = files.safe_name(student)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        same = unicodedata.normalize("NFC", plain).casefold()
        if same in seen:
            raise ValueError(f"{where}: '{seen[same]}' and '{student}' are one student, or two who differ too little")
        seen[same] = student
    return [unicodedata.normalize("NFC", student) for student in students]
