"""Answers: what a student wrote as a number, "yes" or "no"; out of JSON or the cell of a notebook, and never run."""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Any

from lmmsim.course.notebooks import ANSWERS

LONGEST = 40  # characters of an answer
LONGEST_CELL = 20_000  # characters of a notebook's cell of answers
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d{1,3})?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # 1,234 is a thousand for some and a little more than one for others
MINUS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-"})
SAID = {"yes": "yes", "no": "no", "true": "yes", "false": "no"}
NOTHING = ("", "na")

Answer = float | str | None


class Computed:
    """What stands in a notebook where a number should: an expression, which is not run."""


def answer(value: Any, ask: str) -> Answer:
    """One answer as a number, or "yes" or "no"; None if it was left empty.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> answer("0,25", "estimate"), answer(" Yes", "significant")
    (0.25, 'yes')
    """
    if isinstance(value, Computed):
        raise ValueError("it has to be a number or a word, as nothing in a notebook is run")
    text = value.strip() if isinstance(value, str) else ""
    if value is None or (isinstance(value, str) and text.casefold() in NOTHING):
        return None
    if ask == "significant":
        said = SAID.get(str(value).casefold() if isinstance(value, bool) else text.casefold())
        if said is None:
            raise ValueError(f'{shown(value)} is neither "yes" nor "no"')
        return said
    if isinstance(value, str):
        text = text.translate(MINUS)
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


def has_two_meanings(value: Any) -> bool:
    """Whether a comma in a number may stand for thousands.

    Examples
    --------
    >>> has_two_meanings("1,234"), has_two_meanings("0,234"), has_two_meanings("1,23")
    (True, False, False)
    """
    return isinstance(value, str) and THOUSANDS.fullmatch(value.strip().translate(MINUS)) is not None


def same_name(one: Any, other: str) -> bool:
    """Whether two names are one, where capital and small letters are.

    Examples
    --------
    >>> same_name("S01", "s01"), same_name(["s01"], "s01")
    (True, False)
    """
    return isinstance(one, str) and _plain(one) == _plain(other)


def parsed(text: str) -> Any:
    """Read JSON strictly: no key twice, no depth that breaks the reader."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(items)
        if len(table) < len(items):
            raise ValueError("a key stands twice")
        return table

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None


def shown(value: object) -> str:
    """What somebody wrote, short and harmless enough to be told."""
    text = value if isinstance(value, str) else type(value).__name__
    clean = "".join(c if c.isprintable() and c not in "`<>|\\[]" else "?" for c in text)
    return repr(clean[:LONGEST] + ("..." if len(clean) > LONGEST else ""))


def from_json(content: Any, student: str, assignment: str | None = None) -> Mapping[str, Any]:
    """The answers of a JSON: under "answers", or the whole of it; somebody else's, or of another task, are refused."""
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, where answers by name are needed")
    if not same_name(told := content.get("student", student), student):
        raise ValueError(f"it says that it is the work of {shown(told)}")
    if assignment is not None and not same_name(task := content.get("assignment", assignment), assignment):
        raise ValueError(f"it says that it is for the assignment {shown(task)}")
    answers = content.get("answers", {k: v for k, v in content.items() if k not in ("student", "assignment")})
    if not isinstance(answers, dict):
        raise ValueError(f"its answers are a {type(answers).__name__}, where a name for each is needed")
    return answers


def from_notebook(content: Any) -> Mapping[str, Any] | None:
    """The answers of a notebook: the cell with the tag "answers", read as literals and never run; None without one.

    Raises
    ------
    ValueError
        If the cell holds anything but a table.
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
    """The table in `answers = {...}`: its numbers and words; what would have to run becomes `Computed`.

    Examples
    --------
    >>> found = literal('answers = {"effect": -2.5, "se": fit.se}')
    >>> found["effect"], type(found["se"]).__name__
    (-2.5, 'Computed')
    """
    if not isinstance(text, str) or len(text) > LONGEST_CELL:
        raise ValueError(f"its cell of answers is no text, or longer than {LONGEST_CELL:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of the style of a student is not told to the teacher
            [statement] = ast.parse(text.strip()).body
        table = statement.value if isinstance(statement, ast.Assign | ast.Expr) else None
        if isinstance(table, ast.Dict) and all(isinstance(key, ast.Constant) for key in table.keys):
            names = [ast.literal_eval(key) for key in table.keys if key is not None]
            if len(set(names)) == len(table.keys):
                return dict(zip(names, map(_evaluated, table.values), strict=True))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    raise ValueError("its cell of answers has to be answers = {...} with numbers or words, and nothing to compute")


def _evaluated(node: ast.expr) -> Any:
    """A literal, or `Computed`."""
    try:
        return ast.literal_eval(node)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return Computed()


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
