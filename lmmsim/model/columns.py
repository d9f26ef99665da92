"""Formulas: build the columns that `y ~ x + (x | g)` names, with formulaic.

One formula serves the world (`Model`) and the analysis (`LMM`, `OLS`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import check_columns, listed
from lmmsim.model.formula import Bar, Parts, fail, split


@dataclass(frozen=True, eq=False)
class RandomTerm:
    """The columns of one bar and the group of every row.

    Attributes
    ----------
    group : str
        "plot", or "school:classroom" for an interaction of grouping columns.
    names : tuple of str, length k
        The columns: ("Intercept", "week").
    columns : ndarray, shape (n, k)
        Their values, one row per observation.
    codes : ndarray of int, shape (n,)
        Which level of the group a row belongs to, 0 .. J - 1.
    levels : Index, length J
        The labels of the levels.
    """

    group: str
    names: tuple[str, ...]
    columns: np.ndarray
    codes: np.ndarray
    levels: pd.Index

    @property
    def index(self) -> pd.MultiIndex:
        """Names of this term's random effects: (group, level, term), level by level."""
        levels, names = np.repeat(np.arange(len(self.levels)), len(self.names)), self.names
        terms = np.tile(np.arange(len(names)), len(self.levels))
        return pd.MultiIndex(
            levels=[[self.group], self.levels, list(names)],
            codes=[np.zeros(len(levels), dtype=int), levels, terms],
            names=["group", "level", "term"],
        )


@dataclass(frozen=True, eq=False)
class Matrices:
    """What a formula makes of a data frame.

    Attributes
    ----------
    formula, response : str
        The formula, and the name on its left side.
    X : DataFrame, shape (n, p)
        The columns of the fixed part, on the data's index.
    terms : tuple of RandomTerm
        One per bar, in the order of the formula.
    """

    formula: str
    response: str
    X: pd.DataFrame
    terms: tuple[RandomTerm, ...]
    spec: Any = field(default=None, repr=False)


def effects_index(terms: Sequence[RandomTerm]) -> pd.MultiIndex:
    """Names of all random effects: (group, level, term), bar by bar, level by level."""
    if not terms:
        return pd.MultiIndex.from_arrays([[], [], []], names=["group", "level", "term"])
    first, *others = (term.index for term in terms)
    return first.append(others) if others else first


def build(formula: str, data: pd.DataFrame, complete: bool = False) -> Matrices:
    """Build the columns that a formula names; the response itself is not needed.

    Parameters
    ----------
    formula : str
        See `lmmsim.model.formula.split`.
    data : DataFrame
        One row per observation, complete in the columns that are used.
    complete : bool
        Whether that is known already and need not be looked at again.

    Returns
    -------
    Matrices

    Raises
    ------
    ValueError
        For a formula that cannot be read, a column that is not there, missing
        values, no rows, or a random effect named twice.

    Examples
    --------
    >>> pupils = pd.DataFrame({"school": ["a", "a", "b"], "hours": [1.0, 2.0, 4.0]})
    >>> matrices = build("score ~ hours + (1 | school)", pupils)
    >>> matrices.X.columns.tolist(), matrices.terms[0].levels.tolist()
    (['Intercept', 'hours'], ['a', 'b'])
    """
    parts = split(formula)
    _check_columns(parts, data)
    if not complete:
        _check_complete(parts, data)
    matrices = _evaluate(parts, data)
    X = _labelled(matrices.fixed, data)
    terms = tuple(_random_term(bar, getattr(matrices, f"bar{i}"), data) for i, bar in enumerate(parts.bars))
    _check_no_effect_twice(formula, terms)
    return Matrices(formula, parts.response, X, terms, matrices.model_spec)


def rebuild(matrices: Matrices, data: pd.DataFrame) -> Matrices:
    """Build the same columns for new rows: same contrasts, same spline knots, same levels.

    A row whose group was not there before gets the code -1.
    """
    new = matrices.spec.get_model_matrix(data, na_action="raise")
    terms = []
    for i, old in enumerate(matrices.terms):
        codes = _codes_among(old.levels, old.group.split(":"), data)
        columns = np.asarray(getattr(new, f"bar{i}"), dtype=float)
        terms.append(RandomTerm(old.group, old.names, columns, codes, old.levels))
    return Matrices(matrices.formula, matrices.response, _labelled(new.fixed, data), tuple(terms), new)


def rows_without(names: Iterable[str], data: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which rows lack a value, (n,) bool, for each of the named columns where any does."""
    if not data.isna().to_numpy().any():  # one look at the whole frame is faster than one at each column
        return {}
    lacking = {name: np.asarray(pd.isna(data[name].array)) for name in names}
    return {name: rows for name, rows in lacking.items() if rows.any()}


def used_columns(formula: str, data: pd.DataFrame) -> list[str]:
    """Columns of the data that the right side of a formula uses, in the data's order."""
    used = _names(split(formula)).possible
    return [column for column in data.columns if column in used]


@lru_cache(maxsize=256)
def _side_by_side(parts: Parts) -> Any:
    """One formulaic formula for the fixed part and every bar: shared factors are evaluated once."""
    from formulaic import Formula
    from formulaic.errors import FormulaSyntaxError

    try:
        bars = {f"bar{i}": Formula(bar.effects) for i, bar in enumerate(parts.bars)}
        return Formula(fixed=Formula(parts.fixed), **bars)
    except FormulaSyntaxError as error:
        problem, *marked = re.sub(r"\x1b\[[\d;]*m", "", str(error)).splitlines()
        wrong = re.search("⧛(.*?)⧚", " ".join(marked))
        position = parts.formula.find(wrong[1], parts.formula.index("~")) if wrong else len(parts.formula)
        fail(parts.formula, max(position, 0), problem.replace("insuffient", "insufficient").rstrip("."))


def _evaluate(parts: Parts, data: pd.DataFrame) -> Any:
    """Let formulaic build all columns; say which formula it was when it cannot."""
    from formulaic.errors import FormulaicError

    names = _names(parts)
    # columns are known to be complete here; what functions make of them is not
    na_action = "ignore" if names.columns == names.possible else "raise"
    try:
        return _side_by_side(parts).get_model_matrix(data, na_action=na_action, output="numpy")
    except (FormulaicError, TypeError, ValueError) as error:
        raise ValueError(f"'{parts.formula}' cannot be evaluated: {error}") from error


@dataclass(frozen=True)
class _Names:
    """The names in a formula: those that must be columns, those that may be, and those of formulaic's functions."""

    columns: frozenset[str]
    possible: frozenset[str]
    functions: frozenset[str]


@lru_cache(maxsize=256)
def _names(parts: Parts) -> _Names:
    """Sort names by where they stand: alone or behind a bar, inside a function, or before its parenthesis or dot."""
    from formulaic import Formula
    from formulaic.transforms import TRANSFORMS

    columns = {name for bar in parts.bars for name in bar.group}
    inside: set[str] = set()
    called: set[str] = set()
    for expression in (parts.fixed, *(bar.effects for bar in parts.bars)):
        for factor in (factor for term in Formula(expression) for factor in term.factors):
            if factor.eval_method.value == "lookup":
                columns.add(factor.expr)
            elif factor.eval_method.value == "python":
                nodes = list(ast.walk(ast.parse(factor.expr)))
                owners = [node.func for node in nodes if isinstance(node, ast.Call)]  # C of C(x)
                owners += [node.value for node in nodes if isinstance(node, ast.Attribute)]  # np of np.log(x)
                inside |= {node.id for node in nodes if isinstance(node, ast.Name)}
                called |= {node.id for node in owners if isinstance(node, ast.Name)}
    return _Names(frozenset(columns), frozenset(columns | inside), frozenset(called & set(TRANSFORMS)))


def _check_columns(parts: Parts, data: pd.DataFrame) -> None:
    """Refuse a frame without rows, without a column that is named, or with one that is not to be told from another."""
    if not isinstance(data, pd.DataFrame):
        got = type(data).__name__
        raise TypeError(f"the data must be a pandas DataFrame with one row per measurement; got {got}")
    if len(data) == 0:
        raise ValueError(f"the data have no rows, so '{parts.formula}' has nothing to describe")
    _side_by_side(parts)  # a formula that cannot be read is reported before the columns are
    names = _names(parts)
    check_columns(data, sorted(names.columns))
    twice = [name for name in data.columns[data.columns.duplicated()] if name in names.possible]
    if twice:
        raise ValueError(f"the data have more than one column {listed(twice)}; rename or drop the others")
    hidden = sorted(names.functions & set(data.columns))
    if hidden:
        raise ValueError(
            f"the data have a column '{hidden[0]}', which hides the function '{hidden[0]}' of '{parts.formula}'; "
            "rename the column"
        )


def _check_complete(parts: Parts, data: pd.DataFrame) -> None:
    """Refuse a frame with gaps in a column that is used."""
    gaps = rows_without(used_columns(parts.formula, data), data)
    if gaps:
        counts = ", ".join(f"{rows.sum()} in '{name}'" for name, rows in gaps.items())
        raise ValueError(f"missing values: {counts} (of {len(data)} rows); drop or fill these rows first")


def _labelled(columns: Any, data: pd.DataFrame) -> pd.DataFrame:
    """Put formulaic's names, and the data's index, to the columns that it built."""
    return pd.DataFrame(np.asarray(columns, dtype=float), data.index, list(columns.model_spec.column_names))


def _random_term(bar: Bar, columns: Any, data: pd.DataFrame) -> RandomTerm:
    levels, codes = levels_of(bar.group, data)
    names = tuple(columns.model_spec.column_names)
    return RandomTerm(":".join(bar.group), names, np.asarray(columns, dtype=float), codes, levels)


def levels_of(group: Sequence[str], data: pd.DataFrame) -> tuple[pd.Index, np.ndarray]:
    """Levels of one grouping column, or of the combinations of several that occur, and each row's code."""
    factors = [_categories(data[name]) for name in group]
    if len(factors) == 1:
        return pd.Index(factors[0].categories), np.asarray(factors[0].codes, dtype=np.intp)
    codes = np.zeros(len(data), dtype=np.intp)
    for factor in factors:
        codes = codes * len(factor.categories) + factor.codes
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    inner = factors[-1]
    if len(first) == len(inner.categories):  # the innermost labels are unique: they name the combination
        return pd.Index(inner.categories), np.asarray(inner.codes, dtype=np.intp)
    return pd.Index(_combined(group, data.iloc[first])), codes.astype(np.intp)


def _categories(column: pd.Series) -> pd.Categorical:
    """A column as the categories that occur; asking first is faster where all of them do."""
    factor = column.array if isinstance(column.array, pd.Categorical) else pd.Categorical(column)
    used = np.bincount(factor.codes, minlength=len(factor.categories))
    return factor if used.all() else factor.remove_unused_categories()


def _codes_among(known: pd.Index, group: list[str], data: pd.DataFrame) -> np.ndarray:
    """Each row's code among levels that are known already; -1 for a new level."""
    codes = known.get_indexer(pd.Index(data[group[-1]]))
    if len(group) > 1:
        codes = np.where(codes < 0, known.get_indexer(pd.Index(_combined(group, data))), codes)
    return codes.astype(np.intp)


def _combined(group: Sequence[str], data: pd.DataFrame) -> list[str]:
    """One label for the combination of several grouping columns, row by row."""
    return [":".join(map(str, labels)) for labels in zip(*(data[name] for name in group), strict=True)]


def _check_no_effect_twice(formula: str, terms: tuple[RandomTerm, ...]) -> None:
    seen: set[tuple[str, str]] = set()
    for term in terms:
        for name in term.names:
            if (term.group, name) in seen:
                raise ValueError(f"'{formula}' gives '{term.group}' the random effect '{name}' twice; keep one")
            seen.add((term.group, name))
