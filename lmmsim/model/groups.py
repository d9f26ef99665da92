"""Groups: which rows belong together, and what each group is called.

A group is the values of its columns: school 1 and school 1.0 are one, class 1 of two schools are two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from lmmsim.model.formula import label_of
from lmmsim.model.frame import Columns, grouped

Data: TypeAlias = pd.DataFrame | Columns


def levels_of(group: Sequence[str], data: Data) -> tuple[pd.Index, np.ndarray]:
    """Levels of one grouping column, or of the combinations of several that occur, and each row's code."""
    return levels_and_keys(group, data)[:2]


def levels_and_keys(group: Sequence[str], data: Data) -> tuple[pd.Index, np.ndarray, tuple[pd.Index, ...]]:
    """The same with the values of the grouping columns at each level."""
    factors = [grouped(name, data[name]) for name in group]
    if len(factors) == 1:
        codes, levels = factors[0]
        return levels, codes, (levels,)
    codes = np.zeros(len(factors[0][0]), dtype=np.intp)
    for inner, values in factors:
        codes = codes * len(values) + inner
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    keys = tuple(values[inner[first]] for inner, values in factors)
    innermost, values = factors[-1]
    if len(first) == len(values):  # the innermost labels are unique: they name the combination, in their own order
        order = np.argsort(innermost[first])
        return values, innermost, tuple(key[order] for key in keys)
    combined = list(zip(*keys, strict=True))
    labels = [label_of(list(map(str, key))) for key in combined]
    unique = len(set(labels)) == len(labels)
    return pd.Index(labels if unique else combined, tupleize_cols=False), codes.astype(np.intp), keys


def codes_among(by: Sequence[str], keys: Sequence[pd.Index], data: pd.DataFrame) -> np.ndarray:
    """Each row's code among levels that go by these values; -1 where its very values have no level, or no column."""
    known, new = np.zeros(len(keys[0]), dtype=np.intp), np.zeros(len(data), dtype=np.intp)
    unknown = np.zeros(len(data), dtype=bool)
    for name, key in zip(by, keys, strict=True):
        if name not in data.columns:
            return np.full(len(data), -1, dtype=np.intp)
        place, values = pd.factorize(key)
        found = pd.Index(values, tupleize_cols=False).get_indexer(pd.Index(data[name].array, tupleize_cols=False))
        known, new, unknown = known * len(values) + place, new * len(values) + found, unknown | (found < 0)
    return np.where(unknown, -1, pd.Index(known).get_indexer(pd.Index(new))).astype(np.intp)


def rows_without(names: Iterable[str], data: Data) -> dict[str, np.ndarray]:
    """Which rows lack a value, (n,) bool, for each of the named columns where any does."""
    lacking = {name: _gaps(data[name]) for name in names}
    return {name: rows for name, rows in lacking.items() if rows is not None and rows.any()}


def _gaps(column: pd.Series) -> np.ndarray | None:
    """Which rows of a column lack a value; None where its type has no missing values."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iub":
        return None
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return np.isnan(column.to_numpy())
    return np.asarray(column.array.codes < 0 if isinstance(dtype, pd.CategoricalDtype) else pd.isna(column.array))
