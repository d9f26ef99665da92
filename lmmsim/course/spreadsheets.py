"""Spreadsheets: rows of a CSV file that came out of one, whatever it puts between cells and at the end of lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lmmsim.course import files

SEPARATORS = (",", ";", "\t")


class Sheet(NamedTuple):
    """A table of texts.

    Attributes
    ----------
    rows : list of list of str
    separator : str
        What stands between cells; a semicolon says that decimals may have commas.
    unicode : bool
        Whether letters beyond a to z are those that were meant: false for a file in the code page of one country.
    """

    rows: list[list[str]]
    separator: str = ","
    unicode: bool = True


def read_sheet(path: files.Place) -> Sheet:
    """Read the rows of a CSV file: in UTF-8, in UTF-16, or in the code page of western Europe.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is too large, or no table.
    """
    content = files.read_bytes(path)
    name = Path(path).name
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return sheet_of(content.decode("utf-16"), name)
        except UnicodeDecodeError:
            raise ValueError(f"{name} is no text: save it as CSV in UTF-8") from None
    try:
        return sheet_of(content.decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        return sheet_of(content.decode("cp1252", errors="replace"), name)._replace(unicode=False)


def sheet_of(text: str, name: str = "the text") -> Sheet:
    """The rows of a CSV text, with the line ends of any system.

    Examples
    --------
    >>> sheet_of("student;effect\\r\\ns01;0,25\\r\\n")
    Sheet(rows=[['student', 'effect'], ['s01', '0,25']], separator=';', unicode=True)
    """
    lines = io.StringIO(text, newline=None).read()
    first, _, rest = lines.partition("\n")
    if first.startswith("sep=") and len(first) == 5:  # a line by which Excel notes the separator
        separator, lines = first[4], rest
    else:
        separator = max(SEPARATORS, key=first.count)
    try:
        return Sheet(list(csv.reader(io.StringIO(lines), delimiter=separator)), separator)
    except csv.Error as error:
        raise ValueError(f"{name} is no table in CSV: {error}") from None


def column_of(head: Sequence[str], names: Sequence[str]) -> int | None:
    """Where the first of these names stands in a head; capital and small letters are one.

    Examples
    --------
    >>> column_of(["Name", " Student "], ["student", "id"])
    1
    """
    plain = [cell.strip().casefold() for cell in head]
    return next((plain.index(name) for name in map(str.casefold, names) if name in plain), None)
