"""Formulas as text: take `y ~ x + (x | g)` apart, and point at what cannot be read.

The fixed part is left as it stands, for formulaic; the parenthesised bars are
split off here, as lme4 and Bambi read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn


@dataclass(frozen=True)
class Bar:
    """One `(effects | group)`, after `a/b` and `||` are expanded."""

    effects: str
    group: tuple[str, ...]

    def __str__(self) -> str:
        return f"({self.effects} | {':'.join(self.group)})"


@dataclass(frozen=True)
class Parts:
    """A formula taken apart: response, fixed part, random terms."""

    formula: str
    response: str
    fixed: str
    bars: tuple[Bar, ...]


def split(formula: str) -> Parts:
    """Split a formula into response, fixed part and random terms.

    Parameters
    ----------
    formula : str
        `y ~ x * z + (x | g) + (1 | a/b) + (0 + z || h)`, as lme4 and Bambi write it.

    Returns
    -------
    Parts
        With `a/b` expanded to `a` and `a:b`, and `||` to one bar per term.

    Raises
    ------
    ValueError
        If the formula cannot be read; a caret stands under the place.

    Examples
    --------
    >>> parts = split("score ~ method + (1 | school/classroom)")
    >>> parts.fixed
    'method'
    >>> print(*parts.bars)
    (1 | school) (1 | school:classroom)
    """
    if not isinstance(formula, str):
        raise TypeError(f"a formula is a text such as 'y ~ x + (1 | g)'; got {formula!r}")
    return _split(formula)


@lru_cache(maxsize=256)
def _split(formula: str) -> Parts:
    """Split a formula that is text."""
    tilde = formula.find("~")
    if tilde < 0:
        fail(formula, len(formula), "a formula needs a response and '~', as in 'y ~ x + (1 | g)'")
    response = formula[:tilde].strip()
    if not response:
        fail(formula, 0, "a formula needs a response before '~', as in 'y ~ x + (1 | g)'")
    if not re.fullmatch(r"\w+|`[^`]+`", response):
        fail(formula, 0, "the response must be one column; transform it in the data first")
    fixed: list[str] = []
    bars: list[Bar] = []
    for start, text in _summands(formula, tilde + 1):
        if not text:
            fail(formula, start, "a term is missing here")
        if text == ".":
            fail(formula, start, "'.' does not stand for all columns here; name those that you mean")
        if _is_bar(text):
            bars.extend(_expand(formula, start, text))
        elif "|" in text:
            fail(formula, start + text.index("|"), "a random term stands alone in parentheses: + (effects | group)")
        else:
            fixed.append(text)
    return Parts(formula, response.strip("`"), " + ".join(fixed) or "1", tuple(bars))


def fail(formula: str, position: int, problem: str) -> NoReturn:
    """Refuse a formula, with a caret under the place."""
    line = re.sub(r"\s", " ", formula)  # a formula may be written on several lines; the caret needs one
    raise ValueError(f"{problem}\n    {line}\n    {' ' * position}^")


def term_of(column: str) -> str:
    """The term that a column of a factor belongs to: fertilizer for fertilizer[T.A]."""
    return re.sub(r"\[[^\]]*\]", "", column)


def _summands(formula: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield (position, text) of what stands between the plus signs outside parentheses."""
    opened: list[int] = []
    begin = start
    for i in range(start, len(formula) + 1):
        char = formula[i] if i < len(formula) else "+"
        if char in "([{":
            opened.append(i)
        elif char in ")]}":
            if not opened:
                fail(formula, i, "this parenthesis was never opened")
            opened.pop()
        elif char == "~" and not opened:
            fail(formula, i, "a formula has one '~', between the response and its terms")
        elif char == "+" and i == len(formula) and opened:
            fail(formula, opened[-1], "this parenthesis is never closed")
        elif char == "+" and not opened:
            text = formula[begin:i]
            yield begin + len(text) - len(text.lstrip()), text.strip()
            begin = i + 1


def _is_bar(text: str) -> bool:
    """Whether a summand is one pair of parentheses with a bar inside."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return i == len(text) - 1 and text[0] == "(" and "|" in text
    return False


def _expand(formula: str, start: int, text: str) -> Iterator[Bar]:
    """Yield the bars that one pair of parentheses stands for."""
    pieces = re.split(r"\|{1,2}", text[1:-1])
    bar = start + text.index("|")
    if len(pieces) != 2:
        fail(formula, bar, "one random term has one bar: (effects | group)")
    effects, group = (piece.strip() for piece in pieces)
    if not effects:
        fail(formula, bar, "nothing stands before the bar; an intercept is (1 | group)")
    if not re.fullmatch(r"\w+(\s*[:/]\s*\w+)*", group):
        fail(formula, bar + 1, "a group is a column (named by letters, digits and _), a:b, or a/b for b nested in a")
    for columns in _groups(group):
        if "||" in text:
            yield from (Bar(one, columns) for one in _one_by_one(effects))
        else:
            yield Bar(effects, columns)


def _groups(text: str) -> Iterator[tuple[str, ...]]:
    """`a/b` is a, then a:b."""
    columns: tuple[str, ...] = ()
    for level in text.split("/"):
        columns += tuple(name.strip() for name in level.split(":"))
        yield columns


def _one_by_one(effects: str) -> Iterator[str]:
    """The terms of `1 + x`, each without the others: `1`, `0 + x`."""
    from formulaic import Formula

    return ("1" if str(term) == "1" else f"0 + {term}" for term in Formula(effects))
