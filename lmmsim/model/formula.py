"""Formulas as text: take `y ~ x + (x | g)` apart, and point at what cannot be read.

The fixed part and the effects of each bar go to `plain` or to formulaic, which know terms and functions; the
parenthesised bars are split off here, as lme4 and Bambi read them. What formulaic or Python would misread (names in
backticks, keywords as names) gets a plain stand-in on the way there and its own name on the way back.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lmmsim.model import plain
from lmmsim.model.tokens import Token, check_terms, fail, tokens

# Functions that look at other rows than the one they are asked about, and those of them that a fit does not forget.
# fmt: off
REMEMBERED = frozenset(["center", "scale", "standardize", "poly", "bs", "cc", "cr", "cs"])
OTHER_ROWS = REMEMBERED | frozenset([
    "lag", "mean", "std", "var", "median", "min", "max", "sum", "prod", "quantile", "percentile", "average", "ptp",
    "amin", "amax", "nanmean", "nanstd", "nanvar", "nanmedian", "nanmin", "nanmax", "nansum", "nanquantile",
    "nanpercentile", "rank", "argsort", "sort", "sort_values", "unique", "shift", "roll", "diff", "pct_change",
    "gradient", "convolve", "cumsum", "cumprod", "cummax", "cummin", "rolling", "expanding", "ewm", "groupby",
    "transform", "mode", "norm", "len",
])
ATTRIBUTES = frozenset(["size", "shape", "iloc", "loc", "iat", "at", "random"])
# fmt: on


@dataclass(frozen=True)
class Bar:
    """One `(effects | group)`, after `a/b` and `||` are expanded."""

    effects: str
    group: tuple[str, ...]

    def __str__(self) -> str:
        return f"({self.effects} | {label_of(self.group)})"


@dataclass(frozen=True)
class Use:
    """A column that the terms of a formula use.

    Attributes
    ----------
    name : str
        What it is called on the way through formulaic: its own name, or one that Python can read.
    column, written : str
        The column, and how it stands in the formula: `my x` in backticks, Q('my x'), class.
    factor : bool
        Whether it is used as a factor whatever it holds, as in C(x).
    """

    name: str
    column: str
    written: str
    factor: bool = False


@dataclass(frozen=True)
class Parts:
    """A formula taken apart: response, fixed part, random terms.

    Attributes
    ----------
    formula, response, fixed : str
    bars : tuple of Bar
    readable : tuple of str
        The fixed part and the effects of each bar as formulaic can read them.
    uses : tuple of Use
        The columns of these terms.
    columns, inside : frozenset of str
        Columns that stand as terms or groups, and names inside functions, which may be columns.
    moving : tuple of str
        Functions whose columns mean something else on other rows: center(x), poly(x, 2).
    forgotten : tuple of str
        Those of which not even a fit keeps the numbers: np.mean(x).
    """

    formula: str
    response: str
    fixed: str
    bars: tuple[Bar, ...]
    readable: tuple[str, ...]
    uses: tuple[Use, ...]
    columns: frozenset[str]
    inside: frozenset[str]
    moving: tuple[str, ...]
    forgotten: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.formula)

    def named(self, name: str) -> str:
        """Put the names that the user wrote into a name that formulaic made."""
        return _named(name, self.uses)


def split(formula: str) -> Parts:
    """Split a formula into response, fixed part and random terms.

    Parameters
    ----------
    formula : str
        `y ~ x * z + (x | g) + (1 | a/b) + (0 + z || h)`, as lme4 and Bambi write it. A name that is not made of
        letters, digits and _ stands in backticks, wherever it stands.

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
    left, right = _sides(formula)
    response = _response(formula, left)
    fixed: list[list[Token]] = []
    bars: list[tuple[str, list[Token], tuple[str, ...]]] = []
    for summand in _summands(formula, right):
        if _is_bar(summand):
            bars.extend(_expand(formula, summand, response))
            continue
        stray = next((token for token in summand if token.text in ("|", "||") and not token.code), None)
        if stray:
            fail(formula, stray.start, "a random term stands alone in parentheses: + (effects | group)")
        fixed.append(summand)
    for terms in fixed:
        check_terms(formula, terms, response)
    names = [token for terms in (*fixed, *(terms for _, terms, _ in bars)) for token in terms]
    uses: dict[str, Use] = {}
    readable = [" + ".join(_readable(formula, terms, names, uses) for terms in fixed) or "1"]
    expanded: list[Bar] = []
    for bar, terms, group in bars:
        text = _readable(formula, terms, names, uses)
        for one in _one_by_one(text, uses) if bar == "||" else [text]:
            readable.append(one)
            expanded.append(Bar(_named(one, uses.values()), group))
    return Parts(
        formula=formula,
        response=response,
        fixed=" + ".join(formula[terms[0].start : terms[-1].end] for terms in fixed) or "1",
        bars=tuple(expanded),
        readable=tuple(readable),
        uses=tuple(uses.values()),
        columns=frozenset(token.value for token in names if token.is_column and not token.code).union(
            *(group for _, _, group in bars)
        ),
        inside=frozenset(token.value for token in names if token.is_column and token.code),
        moving=tuple(dict.fromkeys(text for text, _ in _moving(formula, names))),
        forgotten=tuple(dict.fromkeys(text for text, kept in _moving(formula, names) if not kept)),
    )


def label_of(columns: Sequence[str]) -> str:
    """One word for the combinations of several columns: school:class."""
    return ":".join(columns)


def term_of(column: str) -> str:
    """The term that a column of a factor belongs to: fertilizer for fertilizer[T.A], dose for dose[T.(0, 3]]."""
    return re.sub(r"\[.*?\](?=:|$)", "", column)


def terms_of(effects: str) -> list[str]:
    """The terms of one side of a bar by their names: `1`, `x`, `x:z`."""
    uses: dict[str, Use] = {}
    found = list(tokens(effects))
    text = _readable(effects, found, found, uses)
    return [_named(term, uses.values()) for term in _terms(text, uses)]


def _sides(formula: str) -> tuple[list[Token], list[Token]]:
    """The tokens on the left and on the right of the tilde."""
    everything = list(tokens(formula))
    tildes = [i for i, token in enumerate(everything) if token.text == "~" and not token.depth]
    if not tildes:
        fail(formula, len(formula), "a formula needs a response and '~', as in 'y ~ x + (1 | g)'")
    if len(tildes) > 1:
        fail(formula, everything[tildes[1]].start, "a formula has one '~', between the response and its terms")
    left, right = everything[: tildes[0]], everything[tildes[0] + 1 :]
    if not left:
        fail(formula, 0, "a formula needs a response before '~', as in 'y ~ x + (1 | g)'")
    return left, right


def _response(formula: str, left: list[Token]) -> str:
    """The one column on the left."""
    named = left[0].kind == "name" and len(left) > 1
    if named and all(token.kind in ("name", "number") or token.text == "." for token in left):
        written = formula[left[0].start : left[-1].end]
        fail(formula, left[0].start, f"a name with a dot or a space in it stands in backticks: `{written}`")
    if len(left) > 1 or left[0].kind not in ("name", "quoted"):
        fail(formula, left[0].start, "the response must be one column; transform it in the data first")
    return left[0].value


def _summands(formula: str, right: list[Token]) -> Iterator[list[Token]]:
    """Yield what stands between the plus signs outside parentheses."""
    end = Token("end", "+", len(formula), len(formula), 0, False)
    summand: list[Token] = []
    for token in [*right, end]:
        if token.text == "+" and not token.depth:
            if not summand and (token.kind == "end" or token is not right[0]):
                fail(formula, token.start, "a term is missing here")
            if summand:
                yield summand
            summand = []
        else:
            summand.append(token)


def _is_bar(summand: list[Token]) -> bool:
    """Whether a summand is one pair of parentheses with a bar inside."""
    first, last = summand[0], summand[-1]
    inside = summand[1:-1]
    closed = first.text == "(" and last.text == ")" and all(token.depth > first.depth for token in inside)
    return closed and any(token.text in ("|", "||") and not token.code for token in inside)


def _expand(formula: str, summand: list[Token], response: str) -> Iterator[tuple[str, list[Token], tuple[str, ...]]]:
    """Yield (bar, effects, columns of the group) for every group that one pair of parentheses names."""
    inside = summand[1:-1]
    bars = [i for i, token in enumerate(inside) if token.text in ("|", "||") and not token.code]
    bar = inside[bars[0]]
    if len(bars) > 1:
        fail(formula, bar.start, "one random term has one bar: (effects | group)")
    effects, group = inside[: bars[0]], inside[bars[0] + 1 :]
    if not effects:
        fail(formula, bar.start, "nothing stands before the bar; an intercept is (1 | group)")
    check_terms(formula, effects, response)
    names, signs = group[::2], group[1::2]
    good = len(group) % 2 and all(name.kind in ("name", "quoted") for name in names)
    if not good or any(sign.text not in (":", "/") for sign in signs):
        fail(
            formula,
            bar.start + 1,
            "a group is a column (in backticks unless it is made of letters, digits and _), a:b, or a/b for b nested "
            "in a",
        )
    columns = [name.value for name in names]
    for i, name in enumerate(names):
        if name.value == response:
            fail(formula, name.start, f"'{response}' stands on both sides of '~'; what is explained makes no groups")
        if name.value in columns[:i]:
            fail(formula, name.start, f"'{name.value}' is in this group already; name every column once")
    ends = [i + 1 for i, sign in enumerate(signs) if sign.text == "/"]
    for end in [*ends, len(names)]:
        yield bar.text, effects, tuple(columns[:end])


def _readable(formula: str, terms: Sequence[Token], everything: Sequence[Token], uses: dict[str, Use]) -> str:
    """The text of these terms as formulaic can read it; the columns that they use are added to `uses`."""
    also_numbers = {token.value for i, token in enumerate(everything) if token.is_column and not _in_C(everything, i)}
    taken = {token.value for token in everything}
    text, place = "", terms[0].start
    for i, token in enumerate(terms):
        if not token.is_column:
            continue
        factor = _in_C(terms, i)
        if token.is_plain and not (factor and token.value in also_numbers):
            name = token.value
        else:
            name = f"{'factor' if factor else 'column'}_{token.value.encode().hex()}_"
            while name in taken:
                name += "_"
        uses[name] = Use(name, token.value, token.text, factor)
        text += formula[place : token.start] + name
        place = token.end
    return text + formula[place : terms[-1].end]


def _in_C(terms: Sequence[Token], i: int) -> bool:
    """Whether a token is the column of C(column)."""
    before = [one.text for one in terms[max(i - 2, 0) : i]]
    return before == ["C", "("] and i + 1 < len(terms) and terms[i + 1].text in (",", ")")


def _named(text: str, uses: Iterable[Use]) -> str:
    """Put columns' names for stand-ins: bare where it is a whole factor, as it was written inside a function."""
    for use in uses:
        if use.name != use.column and use.name in text:
            bare = use.column if use.written.startswith("`") else use.written
            text = re.sub(rf"(^|:){use.name}(?=$|[:\[])", rf"\g<1>{_literal(bare)}", text)
            text = text.replace(use.name, use.written)
    return text


def _literal(name: str) -> str:
    """A name as `re.sub` puts it in unchanged."""
    return name.replace("\\", r"\\")


def _one_by_one(effects: str, uses: Container[str]) -> Iterator[str]:
    """The terms of `1 + x`, each without the others: `1`, `0 + x`."""
    return ("1" if term == "1" else f"0 + {term}" for term in _terms(effects, uses))


def _terms(text: str, uses: Container[str]) -> list[str]:
    """The terms of a text that formulaic can read, as it writes them."""
    terms = plain.terms(text, uses)
    if terms is not None:
        return [":".join(term) or "1" for term in terms]
    from formulaic import Formula

    return [str(term) for term in Formula(text)]


def _moving(formula: str, terms: Sequence[Token]) -> Iterator[tuple[str, bool]]:
    """Yield the functions whose values for a row depend on the other rows, and whether a fit keeps what they learn."""
    for i, token in enumerate(terms):
        start = i
        while start > 1 and terms[start - 1].text == ".":
            start -= 2
        if token.code or token.role != "function" or (start < i and terms[start].role == "function"):
            continue  # the mean of np.mean(x) is seen with its np
        end = next(j for j in range(i, len(terms)) if terms[j].text == ")" and terms[j].depth == token.depth)
        call = terms[start : end + 1]
        arguments = {one.text for one in call if one.role == "argument"}
        fixed = {"raw"} <= arguments or {"knots", "lower_bound", "upper_bound"} <= arguments
        used = {one.text for k, one in enumerate(call) if _looks_around(call, k)}
        if used and not fixed:
            yield formula[call[0].start : call[-1].end], used <= REMEMBERED


def _looks_around(call: Sequence[Token], k: int) -> bool:
    """Whether a token takes other rows: the mean of x.mean(), the brackets of x[0], not the sum of contr.sum."""
    if call[k].text == "[":
        return k > 0 and (call[k - 1].kind in ("name", "quoted") or call[k - 1].text in (")", "]"))
    if k > 1 and (call[k - 2].text, call[k - 1].text) == ("contr", "."):
        return False
    names = {"function": OTHER_ROWS, "attribute": ATTRIBUTES}
    return call[k].text in names.get(call[k].role, ())
