"""Plain formulas: the terms and columns of `a * b + x`, where everything that stands is a column or C(column).

The rules are those of formulaic, to the letter: terms in the order of their degree, a factor without its first level
where the columns before span that level, in an interaction the first factor varying fastest. Whatever else a formula
may hold (functions, parentheses, other contrasts) is formulaic's own business, whose import takes as long as a hundred
fits.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

Term: TypeAlias = tuple[str, ...]  # what is multiplied; nothing: the intercept
Coded: TypeAlias = tuple[tuple[str, bool], ...]  # the same, and whether a factor goes without its first level

NAME = r"(?:C\(\w+\)|[^\W\d]\w*)"
PRODUCT = rf"{NAME}(?:\s*[:*]\s*{NAME})*"
SUMMAND = re.compile(rf"\s*(?P<sign>[-+]?)\s*(?P<what>{PRODUCT}|[01])\s*(?=[-+]|$)")


class Column(NamedTuple):
    """One column of a plain formula.

    Attributes
    ----------
    name : str
    numbers : tuple of str
        The number columns that are multiplied.
    indicators : tuple of (str, int)
        And the factors, each with the position of the level that is 1.
    """

    name: str
    numbers: tuple[str, ...]
    indicators: tuple[tuple[str, int], ...]


def column_of(expression: str) -> str:
    """The column that an expression stands for: x, or the x of C(x)."""
    return expression[2:-1] if expression.startswith("C(") else expression


def terms(text: str, known: Container[str]) -> list[Term] | None:
    """The terms of a sum, the intercept first; None if it is not plain.

    Parameters
    ----------
    text : str
        `a * b + x`, `0 + a:b`, `C(year) - 1`.
    known : container of str
        The names that are columns.

    Examples
    --------
    >>> terms("x + a * b", {"a", "b", "x"})
    [(), ('x',), ('a',), ('b',), ('a', 'b')]
    >>> terms("0 + log(x)", {"x"})
    """
    found: dict[frozenset[str], Term] = {frozenset(): ()}
    end = 0
    while end < len(text):
        summand = SUMMAND.match(text, end)
        if summand is None or (end and not summand["sign"]):
            return None
        end, minus, what = summand.end(), summand["sign"] == "-", summand["what"]
        if what == "0" or (minus and what == "1"):
            if minus and what == "0":
                return None
            found.pop(frozenset(), None)
        elif minus:
            return None
        else:
            for term in [()] if what == "1" else _expanded(what):
                if not all(column_of(one) in known for one in term):
                    return None
                found.setdefault(frozenset(term), term)
    return sorted(found.values(), key=len)


def columns(term: Term, levels: Mapping[str, Sequence[object] | None], spanned: set[frozenset[object]]) -> list[Column]:
    """The columns of one term beside those before it, whose span is in `spanned`: the term's own is added.

    Parameters
    ----------
    term : tuple of str
    levels : mapping
        Of every column: its levels if it is a factor, None if it holds numbers.
    spanned : set
        Empty before the first term.

    Examples
    --------
    >>> span = set()
    >>> [column.name for term in [(), ("x", "a")] for column in columns(term, {"a": ["p", "q"], "x": None}, span)]
    ['Intercept', 'x:a[p]', 'x:a[q]']
    """
    new = [coded for coded in _span(term, levels) if frozenset(coded) not in spanned]
    spanned.update(map(frozenset, new))
    return [column for coded in _simplified(new) for column in _coded(coded, levels)]


def _expanded(product: str) -> list[Term]:
    """The terms of `a * b:c`: a, b:c, a:b:c."""
    first, *others = (_multiplied(map(str.strip, one.split(":"))) for one in product.split("*"))
    out = [first]
    for other in others:
        out = [*out, other, *(_multiplied([*term, *other]) for term in out)]
    return out


def _multiplied(expressions: Iterable[str]) -> Term:
    """A product, in which nothing stands twice."""
    return tuple(dict.fromkeys(expressions))


def _span(term: Term, levels: Mapping[str, Sequence[object] | None]) -> list[Coded]:
    """What adds up to the space of a term: each of its factors spans the intercept and a part without first level."""
    choices: list[tuple[Coded, ...]] = []
    for one in term:
        factor = levels[column_of(one)] is not None
        choices.append((((one, True),), ()) if factor else (((one, False),),))
    return [tuple(itertools.chain(*chosen)) for chosen in itertools.product(*choices)]


def _simplified(parts: Iterable[Coded]) -> list[Coded]:
    """The fewest parts of the same space: b and a:b, both without the first level of a, are b with all levels of a."""
    out: list[Coded] = []
    for part in sorted(parts, key=len):
        for i, before in enumerate(out):
            more = set(part) - set(before)
            if len(part) != len(before) + 1 or len(more) != 1:
                continue
            one, without_first = more.pop()
            if without_first:
                whole = tuple((other, other != one and reduced) for other, reduced in part)
                out = _simplified([*out[:i], *out[i + 1 :], whole])
                break
        else:
            out.append(part)
    return out


def _coded(coded: Coded, levels: Mapping[str, Sequence[object] | None]) -> list[Column]:
    """The columns of one part: all combinations of its factors' levels."""
    numbers = tuple(column_of(one) for one, _ in coded if levels[column_of(one)] is None)
    choices = [_choices(one, levels[column_of(one)], reduced) for one, reduced in coded]
    out = []
    for chosen in itertools.product(*reversed(choices)):
        labels, places = zip(*reversed(chosen), strict=True) if chosen else ((), ())
        indicators = tuple((column_of(one), k) for (one, _), k in zip(coded, places, strict=True) if k is not None)
        out.append(Column(":".join(labels) or "Intercept", numbers, indicators))
    return out


def _choices(one: str, levels: Sequence[object] | None, reduced: bool) -> list[tuple[str, int | None]]:
    """What a column of a product can be called, and the position of its level."""
    if levels is None:
        return [(one, None)]
    return [(f"{one}[{'T.' * reduced}{level}]", k) for k, level in enumerate(levels) if k or not reduced]
