"""Evaluation: the columns that a formula makes of typed columns.

Columns of plain names are products of numbers and of indicators of levels: which ones depends on the kinds of the
columns only, so that the formula need not be read again for other rows. `plain` knows them for the usual formulas;
formulaic reads all others, and computes functions such as poly(x, 2).
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from lmmsim.model import plain
from lmmsim.model.formula import Parts
from lmmsim.model.frame import Kind, Values

Kinds: TypeAlias = tuple[tuple[str, Kind], ...]
Product: TypeAlias = tuple[tuple[str, ...], tuple[tuple[str, int], ...]]


@dataclass(frozen=True, eq=False)
class Part:
    """The columns of one part of a formula: the fixed part, or the effects of a bar.

    Attributes
    ----------
    names : Index
    products : tuple of (numbers, indicators)
        For each column the number columns, and the (factor, code of a level) that are multiplied; empty where the
        part has functions.
    crossings : tuple of int
        Positions of the columns that belong to two factors or more.
    """

    names: pd.Index
    products: tuple[Product, ...]
    crossings: tuple[int, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names, out of their index."""
        return tuple(self.names)


def evaluated(
    parts: Parts, kinds: Kinds, frame: Mapping[str, Values], rows: np.ndarray | None, n: int, spec: Any = None
) -> tuple[Any, list[Part], list[np.ndarray]]:
    """Compute the columns of all parts of a formula.

    Parameters
    ----------
    parts : Parts
    kinds, frame : of every column that is used
    rows : ndarray of bool, optional
        Those whose columns are wanted, n of them; functions see all.
    spec : object, optional
        What formulaic learned from other rows, to be used here.

    Returns
    -------
    object, list of Part, list of ndarray (n, k)
        What formulaic has learned, None where there is nothing to learn, and the columns of every part; those of the
        fixed part are contiguous each.
    """
    if not has_functions(parts):
        made = _plan(parts, kinds)
        fixed, *bars = made
        return None, made, [_multiplied(fixed, frame, n, "F"), *(_multiplied(part, frame, n, "C") for part in bars)]
    from formulaic.errors import FormulaicError
    from formulaic.materializers import PandasMaterializer

    lost = set() if rows is None else set(np.flatnonzero(~rows).tolist())
    source = _formula(parts) if spec is None else spec
    try:
        reader = PandasMaterializer(pd.DataFrame(frame))  # which, unlike the formula itself, minds `drop_rows`
        matrices = reader.get_model_matrix(source, drop_rows=lost, na_action="ignore", output="numpy")
    except (FormulaicError, TypeError, ValueError) as error:
        way = _way_out(str(error), parts, frame)
        raise ValueError(f"'{parts.formula}' cannot be evaluated: {error}{way}") from error
    made = _made(parts, matrices)
    arrays = [np.asarray(side, dtype=float) for side in _sides(parts, matrices)]
    arrays[0] = np.asfortranarray(arrays[0])
    for part, array in zip(made, arrays, strict=True):
        undefined = np.isnan(array)
        if undefined.any():
            j = int(undefined.any(axis=0).argmax())
            count = np.count_nonzero(undefined[:, j])
            raise ValueError(
                f"'{parts.formula}' cannot be evaluated: '{part.names[j]}' has no value in {count} of {n} rows"
            )
    return matrices.model_spec, made, arrays


def _way_out(error: str, parts: Parts, frame: Mapping[str, Values]) -> str:
    """What helps where a function cannot be computed; empty where nobody knows."""
    if re.search(r"ufunc.*str|numpy\.strings", error):
        return "; what a function writes is a factor inside C(), as C(np.where(x > 3, 'high', 'low'))"
    if "same shape" in error:
        return f"; a function has to give one value for each of the {len(next(iter(frame.values())))} rows"
    factors = [use for use in parts.uses if use.name in error and isinstance(frame[use.name], pd.Categorical)]
    if factors and re.search(r"[Cc]ategorical|dtype category", error):
        return (
            f"; '{factors[0].column}' is a factor, and this function computes with numbers: "
            f"data['{factors[0].column}'].astype(float) makes numbers of its levels, if they are"
        )
    return ""


@lru_cache(maxsize=256)
def has_functions(parts: Parts) -> bool:
    """Whether some column has to be computed, rather than be looked up."""
    if _plain_terms(parts) is not None:
        return False
    factors = {factor for side in _sides(parts, _formula(parts)) for term in side for factor in term.factors}
    return any(_column_of(factor.expr, parts) is None for factor in factors if factor.eval_method.value != "literal")


@lru_cache(maxsize=256)
def _plain_terms(parts: Parts) -> list[list[plain.Term]] | None:
    """The terms of the fixed part and of every bar, where all are plain."""
    names = {use.name for use in parts.uses}
    sides = [terms for text in parts.readable if (terms := plain.terms(text, names)) is not None]
    return sides if len(sides) == len(parts.readable) else None


def _column_of(expression: str, parts: Parts) -> str | None:
    """The column of the frame that a factor is, if it is one: x, or the x of C(x)."""
    name = plain.column_of(expression)
    return name if any(use.name == name for use in parts.uses) else None


def _sides(parts: Parts, whole: Any) -> list[Any]:
    """The fixed part and every bar of something that formulaic made of them side by side."""
    return [whole.fixed, *(getattr(whole, f"bar{i}") for i in range(len(parts.bars)))]


@lru_cache(maxsize=256)
def _formula(parts: Parts) -> Any:
    """One formulaic formula for the fixed part and every bar: shared factors are evaluated once."""
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        bars = {f"bar{i}": Formula(effects) for i, effects in enumerate(parts.readable[1:])}
        return Formula(fixed=Formula(parts.readable[0]), **bars)
    except FormulaicError as error:
        raise ValueError(f"'{parts.formula}' cannot be read: {error}") from error


@lru_cache(maxsize=256)
def _plan(parts: Parts, kinds: Kinds) -> list[Part]:
    """The columns of every part; no rows are needed to know the columns of plain names."""
    sides = _plain_terms(parts)
    if sides is None:
        return _made(parts, _for_nobody(parts, kinds))
    levels = {name: kind.levels for name, kind in kinds}
    return [_plain_part(parts, side, levels) for side in sides]


def specification(parts: Parts, kinds: Kinds) -> Any:
    """What formulaic says about columns of plain names: nothing that the rows could change."""
    return _for_nobody(parts, kinds).model_spec


@lru_cache(maxsize=256)
def _for_nobody(parts: Parts, kinds: Kinds) -> Any:
    """What formulaic makes of columns without rows."""
    nobody = pd.DataFrame({name: _empty(kind) for name, kind in kinds})
    return _formula(parts).get_model_matrix(nobody, na_action="ignore", output="numpy")


def _plain_part(parts: Parts, terms: list[plain.Term], levels: dict[str, tuple[Any, ...] | None]) -> Part:
    """The columns of one plain part."""
    names: list[str] = []
    products: list[Product] = []
    crossings: list[int] = []
    spanned: set[frozenset[object]] = set()
    for term in terms:
        columns = plain.columns(term, levels, spanned)
        if sum(levels[plain.column_of(one)] is not None for one in term) > 1:
            crossings += range(len(names), len(names) + len(columns))
        names += (parts.named(column.name) for column in columns)
        products += ((column.numbers, column.indicators) for column in columns)
    return Part(pd.Index(names), tuple(products), tuple(crossings))


def _empty(kind: Kind) -> Values:
    """A column of a kind without rows."""
    if kind.levels is None:
        return np.empty(0)
    return pd.Categorical([], categories=pd.Index(kind.levels, dtype=kind.type, tupleize_cols=False))


def _made(parts: Parts, matrices: Any) -> list[Part]:
    """How the columns of every side are called and put together."""
    specs = [side.model_spec for side in _sides(parts, matrices)]
    states: dict[str, Any] = {}  # a factor of two sides is known to the first only
    for spec in reversed(specs):
        states |= spec.encoder_state
    return [_part(parts, spec, states) for spec in specs]


def _part(parts: Parts, spec: Any, states: Mapping[str, Any]) -> Part:
    """The same of one side."""
    products: list[Product] = []
    crossings: list[int] = []
    place, plain = 0, not has_functions(parts)
    for term in spec.structure:
        kinds = [states[factor.expr][0].value for factor in term.term.factors if factor.expr in states]
        if kinds.count("categorical") > 1:
            crossings += range(place, place + len(term.columns))
        place += len(term.columns)
        for scoped in term.scoped_terms if plain else ():
            products += _products(parts, scoped, states)
    names = pd.Index([parts.named(str(name)) for name in spec.column_names])
    return Part(names, tuple(products), tuple(crossings))


def _products(parts: Parts, scoped: Any, states: Mapping[str, Any]) -> list[Product]:
    """What is multiplied for each column of a term, in formulaic's order: the first factor varies fastest."""
    numbers: list[str] = []
    choices: list[list[tuple[str, int]]] = []
    for one in scoped.factors:
        name, (kind, state) = str(_column_of(one.factor.expr, parts)), states[one.factor.expr]
        if kind.value == "numerical":
            numbers.append(name)
        else:
            choices.append([(name, k) for k in range(len(state["categories"])) if k or not one.reduced])
    return [(tuple(numbers), tuple(reversed(chosen))) for chosen in itertools.product(*reversed(choices))]


def _multiplied(part: Part, frame: Mapping[str, Values], n: int, order: Literal["C", "F"]) -> np.ndarray:
    """Columns (n, k) of plain names: products of numbers and of indicators of levels."""
    out = np.ones((n, len(part.products)), order=order)
    for j, (numbers, indicators) in enumerate(part.products):
        values = [*(frame[name] for name in numbers), *(_indicator(frame[name], level) for name, level in indicators)]
        if values:
            out[:, j] = functools.reduce(operator.mul, values)
    return out


def check_remembered(parts: Parts, same: bool | Callable[[], bool]) -> None:
    """Refuse functions of other rows whose numbers nobody has kept, unless these are the same rows as in the fit."""
    if parts.forgotten and not (same() if callable(same) else same):
        raise ValueError(
            f"'{parts.forgotten[0]}' looks at all rows, and would mean something else in these than in those of the "
            "fit: write center(x), scale(x) or poly(x, 2), which keep what they have seen, or compute the column in "
            "the data first"
        )


def _indicator(factor: Values, level: int) -> np.ndarray:
    """Whether a row has a level."""
    return np.asarray(factor.codes == level)  # type: ignore[union-attr]


def dependent_columns(X: np.ndarray, tolerance: float = 1e-10) -> list[int]:
    """Columns that are linear combinations of the columns before them, whatever the units."""
    length = np.sqrt((X**2).sum(axis=0))
    unit = X / np.where(length > 0, length, 1)
    _, R = np.linalg.qr(unit)
    if np.abs(np.diagonal(R)).min() > tolerance:
        return []
    independent: list[int] = []
    for j in range(X.shape[1]):
        # the last diagonal of R is what the columns kept so far leave of column j
        _, R = np.linalg.qr(unit[:, [*independent, j]])
        if abs(R[-1, -1]) > tolerance:
            independent.append(j)
    return [j for j in range(X.shape[1]) if j not in independent]
