"""Columns: build what `y ~ x + (x | g)` names.

One formula serves the world (`Model`) and the analysis (`LMM`, `OLS`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import as_frame, check_columns, check_frame, listed
from lmmsim.model.evaluation import Part, check_remembered, dependent_columns, evaluated, has_functions, specification
from lmmsim.model.formula import Bar, Parts, label_of, split
from lmmsim.model.frame import Columns, Kind, Values, as_kind, check_named, kind_of, typed, whole, without_unused
from lmmsim.model.groups import Data, codes_among, levels_and_keys, rows_without
from lmmsim.model.groups import levels_of as levels_of


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
    by : tuple of str
        The grouping columns: ("school", "classroom").
    keys : tuple of Index, length J each
        Their values at each level, which say what the level is; the label only calls it.
    """

    group: str
    names: tuple[str, ...]
    columns: np.ndarray
    codes: np.ndarray
    levels: pd.Index
    by: tuple[str, ...] = ()
    keys: tuple[pd.Index, ...] = ()

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
class Basis:
    """What columns mean, fixed by the rows that they were first built from: R's predvars.

    Attributes
    ----------
    formula : str
    kinds : dict
        What every column of the data was: numbers, or a factor with its levels.
    learned : object
        What formulaic has learned of the rows: means that are subtracted, knots, contrasts. None where it has learned
        nothing, since the columns are plain.
    names : tuple of str
        The columns of X.
    """

    formula: str
    kinds: Mapping[str, Kind]
    learned: Any = field(repr=False)
    names: tuple[str, ...]

    @property
    def spec(self) -> Any:
        """What formulaic says about the columns."""
        if self.learned is not None:
            return self.learned
        return specification(split(self.formula), tuple(self.kinds.items()))


@dataclass(frozen=True, eq=False)
class Matrices:
    """What a formula makes of a data frame.

    Attributes
    ----------
    formula, response : str
        The formula, and the name on its left side.
    values : ndarray, shape (n, p)
        The columns of the fixed part.
    names, rows : Index
        What its columns and rows are called: the rows as in the data.
    terms : tuple of RandomTerm
        One per bar, in the order of the formula.
    basis : Basis
        What the columns mean, for other rows.
    note : str
        What was left out, or cannot be told, and why.
    untested : tuple of str
        Coefficients of which there is no test, since part of their variance cannot be estimated.
    """

    formula: str
    response: str
    values: np.ndarray
    names: pd.Index
    rows: pd.Index
    terms: tuple[RandomTerm, ...]
    basis: Basis = field(repr=False)
    note: str = ""
    untested: tuple[str, ...] = ()

    @cached_property
    def X(self) -> pd.DataFrame:
        """The columns of the fixed part with their names, on the data's index."""
        return pd.DataFrame(self.values, self.rows, self.names, copy=False)

    def with_X(self, X: pd.DataFrame) -> Matrices:
        """The same with another table of the fixed part."""
        return replace(self, values=X.to_numpy(), names=X.columns, rows=X.index)

    @property
    def spec(self) -> Any:
        """What formulaic says about the columns."""
        return self.basis.spec


def effects_index(terms: Sequence[RandomTerm]) -> pd.MultiIndex:
    """Names of all random effects: (group, level, term), bar by bar, level by level."""
    if not terms:
        return pd.MultiIndex.from_arrays([[], [], []], names=["group", "level", "term"])
    first, *others = (term.index for term in terms)
    return first.append(others) if others else first


def build(
    formula: str,
    data: pd.DataFrame,
    complete: bool = False,
    rows: np.ndarray | None = None,
    drop: bool = False,
    columns: Columns | None = None,
) -> Matrices:
    """Build the columns that a formula names; the response itself is not needed.

    Parameters
    ----------
    formula : str
        See `lmmsim.model.formula.split`.
    data : DataFrame
        One row per observation, complete in the columns that are used.
    complete : bool
        Whether that is known already and need not be looked at again.
    rows : ndarray of bool, optional
        The rows that are wanted. Functions such as center(x) see all rows of the data: who has lost a response has not
        lost the covariates.
    drop : bool
        Whether levels that no row has leave, and columns of cells of an interaction that are empty; `note` says so.
    columns : Columns, optional
        Those of the rows that are wanted, where some have been taken out already.

    Returns
    -------
    Matrices

    Raises
    ------
    ValueError
        For a formula that cannot be read, a column that is not there, missing
        values, no rows, a factor with one level, an effect named twice, dates, and other columns that are neither
        numbers nor a factor.

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
    if rows is not None and rows.all():
        rows = None
    wanted = Columns(data if rows is None else data[rows]) if columns is None else columns
    if rows is not None and not has_functions(parts):
        rows = None
    index = wanted.data.index
    frame = _typed(parts, wanted if rows is None else Columns(data))
    notes = [*_without_unused(parts, frame, rows)] if drop else []
    _check_levels(parts, frame)
    kinds = tuple((name, kind_of(values)) for name, values in frame.items())
    learned, made, arrays = evaluated(parts, kinds, frame, rows, len(index))
    X, names = arrays[0], made[0].names
    if drop and made[0].crossings:
        whole, left_out = drop_empty_cells(pd.DataFrame(X, index, names, copy=False), made[0].crossings)
        X, names, notes = whole.to_numpy(), whole.columns, [*notes, *left_out]
    terms = tuple(
        random_term(bar, part.labels, values, wanted)
        for bar, part, values in zip(parts.bars, made[1:], arrays[1:], strict=True)
    )
    _check_named_once(parts, names, terms)
    labels = made[0].labels if names is made[0].names else tuple(names)
    basis = Basis(formula, dict(kinds), learned, labels)
    return Matrices(formula, parts.response, X, names, index, terms, basis, "; ".join(notes))


def _typed(parts: Parts, data: Data) -> dict[str, Values]:
    """The columns that the terms use, as numbers or factors, by the name that formulaic knows them by."""
    frame = {use.name: typed(use.column, data[use.column]) for use in parts.uses}
    return frame | {use.name: whole(frame[use.name], data[use.column]) for use in parts.uses if use.factor}


def basis_of(formula: str, data: pd.DataFrame) -> Basis:
    """What the columns of a formula mean on the rows of the data that have them; its groups are not looked at."""
    parts = split(formula)
    names = [use.column for use in parts.uses]
    check_columns(data, names)
    frame = _typed(parts, data.dropna(subset=names))
    kinds = tuple((name, kind_of(values)) for name, values in frame.items())
    learned, made, _ = evaluated(parts, kinds, frame, None, len(data))
    return Basis(formula, dict(kinds), learned, made[0].labels)


def on_basis(basis: Basis, data: pd.DataFrame) -> Matrices:
    """Build the columns of a basis for other rows, whose groups are their own."""
    parts = split(basis.formula)
    X, arrays, made = _on(basis, data)
    terms = zip(parts.bars, made[1:], arrays[1:], strict=True)
    return Matrices(
        basis.formula,
        parts.response,
        X.to_numpy(),
        X.columns,
        X.index,
        tuple(random_term(bar, part.labels, columns, data) for bar, part, columns in terms),
        basis,
    )


def rebuild(matrices: Matrices, data: pd.DataFrame) -> Matrices:
    """Build the same columns for new rows: same types, same contrasts, same spline knots, same levels.

    A row whose group was not there before gets the code -1; so does every row if its column is absent.

    Raises
    ------
    ValueError
        If rows have gaps, or a level that the fit has no coefficient for; if a function such as np.mean(x) would take
        the mean of these rows where the fit has taken that of its own.
    """
    parts = split(matrices.formula)
    check_remembered(parts, len(data) == len(matrices.values))
    X, arrays, _ = _on(matrices.basis, data)
    check_remembered(parts, lambda: np.array_equal(X[list(matrices.names)], matrices.values))
    terms = tuple(
        RandomTerm(old.group, old.names, columns, codes_among(old.by, old.keys, data), old.levels, old.by, old.keys)
        for old, columns in zip(matrices.terms, arrays[1:], strict=True)
    )
    return Matrices(matrices.formula, matrices.response, X.to_numpy(), X.columns, X.index, terms, matrices.basis)


def _on(basis: Basis, data: pd.DataFrame) -> tuple[pd.DataFrame, list[np.ndarray], list[Part]]:
    """X with its labels, and the arrays of all parts, for new rows."""
    parts, data = split(basis.formula), as_frame(data)
    names = [use.column for use in parts.uses]
    check_columns(data, names)
    if not data.columns.is_unique:
        check_frame(data.loc[:, data.columns.isin([*names, *parts.columns])], "data")
    for name, lacking in rows_without(names, data).items():
        first = data.index[int(lacking.argmax())]
        raise ValueError(f"'{name}' is missing in {lacking.sum()} of {len(data)} rows (the first: {first})")
    frame = {use.name: as_kind(use.column, data[use.column], basis.kinds[use.name]) for use in parts.uses}
    kinds = tuple(basis.kinds.items())
    _, made, arrays = evaluated(parts, kinds, frame, None, len(data), basis.learned)
    X = pd.DataFrame(arrays[0], data.index, made[0].names, copy=False)
    return (X if len(basis.names) == X.shape[1] else X[list(basis.names)]), arrays, made


def used_columns(formula: str, data: pd.DataFrame) -> list[str]:
    """Columns of the data that the right side of a formula uses, in the data's order."""
    parts = split(formula)
    return [column for column in data.columns if column in parts.columns or column in parts.inside]


def random_term(bar: Bar, names: Iterable[str], columns: np.ndarray, data: Data) -> RandomTerm:
    """The random effects of one bar, for these rows."""
    levels, codes, keys = levels_and_keys(bar.group, data)
    return RandomTerm(label_of(bar.group), tuple(names), columns, codes, levels, bar.group, keys)


def _check_columns(parts: Parts, data: pd.DataFrame) -> None:
    """Refuse a frame without rows, without a column that is named, or with one that is not to be told from another."""
    if not isinstance(data, pd.DataFrame):
        got = type(data).__name__
        raise TypeError(f"the data must be a pandas DataFrame with one row per measurement; got {got}")
    if len(data) == 0:
        raise ValueError(f"the data have no rows, so '{parts.formula}' has nothing to describe")
    needed = parts.columns | parts.inside
    check_named(needed, parts.formula, data)
    if not data.columns.is_unique:
        twice = [name for name in data.columns[data.columns.duplicated()] if name in needed]
        if twice:
            raise ValueError(f"the data have more than one column {listed(twice)}; rename or drop the others")


def _check_complete(parts: Parts, data: pd.DataFrame) -> None:
    """Refuse a frame with gaps in a column that is used."""
    gaps = rows_without(used_columns(parts.formula, data), data)
    if gaps:
        counts = ", ".join(f"{rows.sum()} in '{name}'" for name, rows in gaps.items())
        raise ValueError(f"missing values: {counts} (of {len(data)} rows); drop or fill these rows first")


def _without_unused(parts: Parts, frame: dict[str, Values], rows: np.ndarray | None) -> list[str]:
    """Let levels go that none of these rows has; say which."""
    notes = []
    for use in parts.uses:
        values = frame[use.name]
        if isinstance(values, pd.Categorical):
            frame[use.name] = used = without_unused(values, rows)
            gone = values.categories.difference(used.categories, sort=False)
            if len(gone):
                notes.append(f"no row has the level {listed(gone)} of '{use.column}', so it is left out")
    return list(dict.fromkeys(notes))


def _check_levels(parts: Parts, frame: Mapping[str, Values]) -> None:
    """Refuse a factor that has nothing to compare."""
    for use in parts.uses:
        values = frame[use.name]
        if isinstance(values, pd.Categorical) and len(values.categories) < 2:
            only = listed(values.categories)
            raise ValueError(
                f"the factor '{use.column}' has one level ({only}): there is nothing to compare it with; remove "
                f"'{use.column}' from '{parts.formula}'"
            )


def drop_empty_cells(X: pd.DataFrame, crossings: Sequence[int]) -> tuple[pd.DataFrame, list[str]]:
    """Leave out columns of crossed factors that the columns before determine, as those of empty cells are."""
    values = X.to_numpy()
    if not np.isfinite(values).all() or len(values) < values.shape[1]:
        return X, []
    gone = sorted(set(dependent_columns(values)) & set(crossings))
    if not gone:
        return X, []
    names = listed(X.columns[gone])
    problem = f"cells of an interaction have no rows, so {len(gone)} of {X.shape[1]} coefficients are left out: {names}"
    warnings.warn(problem, UserWarning, stacklevel=5)
    return X.drop(columns=X.columns[gone]), [problem]


def _check_named_once(parts: Parts, names: pd.Index, terms: tuple[RandomTerm, ...]) -> None:
    """Refuse two effects of one name: a number could not be given to one of them."""
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise ValueError(
            f"'{parts.formula}' has two coefficients that are called '{twice}'; rename a column of the data"
        )
    seen: set[tuple[str, str]] = set()
    for term in terms:
        for name in term.names:
            if (term.group, name) in seen:
                raise ValueError(f"'{parts.formula}' gives '{term.group}' the random effect '{name}' twice; keep one")
            seen.add((term.group, name))
        if not term.names:
            raise ValueError(f"'{parts.formula}' leaves '{term.group}' no random effect; an intercept is (1 | group)")
