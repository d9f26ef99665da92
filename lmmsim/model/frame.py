"""Frames: every column that a formula uses becomes numbers (float64) or a factor, whatever type it arrives in.

Formulas are computed in these two types only: eight-bit integers cannot overflow, nor does an object column decide
what a number means.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from numbers import Number
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lmmsim.checks import check_columns, listed, quoted

Values: TypeAlias = "np.ndarray | pd.Categorical"

NUMBERS = ("integer", "floating", "mixed-integer-float", "boolean", "decimal")
DATES = ("date", "datetime", "datetime64", "timedelta", "timedelta64", "time", "period")


@dataclass(frozen=True)
class Kind:
    """What a column is in a formula: numbers, or a factor with these levels.

    Attributes
    ----------
    levels : tuple or None
        None: numbers.
    type : str
        Of the levels, since 1 and 1.0 are the same but are written differently.
    """

    levels: tuple[Any, ...] | None = None
    type: str = ""


class Columns(dict[str, pd.Series]):
    """The columns of a frame, each taken out of it once: in a small frame that costs more than to read it."""

    def __init__(self, data: pd.DataFrame) -> None:
        super().__init__()
        self.data = data

    def __missing__(self, name: str) -> pd.Series:
        column = self[name] = self.data[name]
        return column


def typed(name: str, column: pd.Series) -> Values:
    """Return a column as numbers or as a factor.

    Parameters
    ----------
    name : str
    column : Series
        Numbers of any type and truth values become float64; text of any type becomes a Categorical, sorted; a
        Categorical stays one.

    Raises
    ------
    ValueError
        For dates, complex numbers, lists, and text mixed with numbers.

    Warns
    -----
    UserWarning
        If an object column holds nothing but numbers: they are taken as numbers.

    Examples
    --------
    >>> typed("x", pd.Series([1, 2], dtype="int8"))
    array([1., 2.])
    >>> typed("f", pd.Series(["b", "a"])).categories.tolist()
    ['a', 'b']
    """
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype == np.float64:
        return column.to_numpy()
    if isinstance(dtype, pd.CategoricalDtype):
        return column.array
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return _numbers(column)
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return _numbers(column)
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in NUMBERS or (kind in ("mixed", "mixed-integer") and _all(column, Number)):
        if pd.api.types.is_object_dtype(dtype) and kind != "empty" and column.notna().any():
            warnings.warn(
                f"'{name}' is an object column that holds numbers only, and is taken as numbers; a factor is made with "
                f"data['{name}'].astype('category')",
                UserWarning,
                stacklevel=2,
            )
        return _numbers(column, name)
    if kind in DATES or dtype.kind in "mM":
        days = f"data['{name}']" + ".dt.to_timestamp()" * isinstance(dtype, pd.PeriodDtype)
        way = f"count the days first, as ({days} - {days}.min()) / pd.Timedelta(days=1)"
        if kind == "time":
            way = f"count the hours first, as [t.hour + t.minute / 60 for t in data['{name}']]"
        raise ValueError(
            f"'{name}' holds dates or times ({dtype}), and a formula computes with numbers: {way}; or make text of it "
            "for a factor"
        )
    if pd.api.types.is_complex_dtype(dtype) or kind == "complex":
        raise ValueError(f"'{name}' holds complex numbers; take their real part or their absolute value first")
    if kind in ("mixed", "mixed-integer") and _any(column, str) and _any(column, Number):
        example = [next(value for value in column if isinstance(value, one)) for one in (str, Number)]
        raise ValueError(f"'{name}' holds text and numbers ({listed(example)}); make all of it one or the other first")
    if kind == "empty":
        return np.full(len(column), np.nan)
    codes, levels = grouped(name, column)
    return pd.Categorical.from_codes(codes, levels)


def holds_numbers(column: pd.Series) -> bool:
    """Whether a column has numbers and no truth values, as a formula reads it, whatever its type."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return False
    if pd.api.types.is_numeric_dtype(column.dtype):
        return True
    kind = pd.api.types.infer_dtype(column, skipna=True)
    return (kind in NUMBERS and kind != "boolean") or (kind in ("mixed", "mixed-integer") and _all(column, Number))


def whole(values: Values, column: pd.Series | None = None) -> pd.Categorical:
    """Return a column as a factor, as C(x) does; whole numbers are written without a point.

    Whole numbers from 2**53 on, as identifiers may be, are read in `column`, since no float tells them apart.
    """
    if isinstance(values, pd.Categorical):
        return values
    large = np.nanmax(np.abs(values), initial=0.0) >= 2**53
    if large and column is not None and pd.api.types.infer_dtype(column, skipna=True) == "integer":
        return pd.Categorical.from_codes(*grouped(str(column.name), column))
    seen = values[~np.isnan(values)]
    if len(seen) and np.abs(seen).max() < 2**53 and (seen == np.rint(seen)).all():
        return pd.Categorical(pd.array(values, dtype="Float64").astype("Int64"))
    return pd.Categorical(values)


def grouped(name: str, column: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """Return each row's group, numbered, and the values that the groups go by, sorted where they can be; -1: missing.

    Groups are values, not their text: 1 and 1.0 are one group, 1 and "1" are two.
    """
    if isinstance(column.array, pd.Categorical):
        return _used(column.array)
    if isinstance(column.dtype, pd.ArrowDtype) and str(column.dtype).startswith("dictionary"):
        column = column.astype(object)
    if pd.api.types.is_object_dtype(column.dtype) and _has_two_kinds_of_one(column):
        raise ValueError(
            f"'{name}' holds truth values beside the numbers 0 or 1, which are equal to them: make all of it numbers, "
            "or text, first"
        )
    try:
        codes, values = pd.factorize(column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array)
    except TypeError:
        unlike = next(value for value in column if not isinstance(value, Hashable))
        raise ValueError(f"'{name}' holds {quoted(unlike)}, which cannot name a group; numbers and text can") from None
    dtype = object if pd.api.types.is_object_dtype(column.dtype) else None
    levels = pd.Index(values, dtype=dtype, tupleize_cols=False)
    try:
        order = np.asarray(levels.argsort())
    except TypeError:  # numbers beside text: in the order in which they come
        return codes.astype(np.intp), levels
    place = np.empty(len(order) + 1, dtype=np.intp)
    place[order], place[-1] = np.arange(len(order)), -1
    return place[codes], levels[order]


def _used(factor: pd.Categorical) -> tuple[np.ndarray, pd.Index]:
    """Codes and categories of a Categorical, without the categories that no row has."""
    codes, categories = factor.codes.astype(np.intp), factor.categories
    there = codes if codes.min(initial=0) >= 0 else codes[codes >= 0]
    used = np.bincount(there, minlength=len(categories)) > 0
    if used.all():
        return codes, categories
    place = np.append(np.cumsum(used) - 1, -1)
    return place[codes].astype(np.intp), categories[used]


def without_unused(factor: pd.Categorical, rows: np.ndarray | None) -> pd.Categorical:
    """The same without the levels that none of these rows has."""
    chosen = factor if rows is None else factor[rows]
    count = np.bincount(chosen.codes[chosen.codes >= 0], minlength=len(factor.categories))
    return factor if count.all() else factor.set_categories(factor.categories[count > 0])


def kind_of(values: Values) -> Kind:
    """What a typed column is."""
    if isinstance(values, pd.Categorical):
        return Kind(tuple(values.categories), values.categories.dtype.name)
    return Kind()


def as_kind(name: str, column: pd.Series, kind: Kind) -> Values:
    """Return a column of new rows in the type that it has in a fit; refuse levels that the fit has not seen."""
    if kind.levels is None:
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of object columns: the fit says what they are
            values = typed(name, column)
        if isinstance(values, pd.Categorical):
            raise ValueError(f"'{name}' is text in these rows and numbers in the fit")
        return values
    levels = pd.Index(kind.levels, tupleize_cols=False)
    values = np.asarray(column, dtype=object)
    if pd.api.types.infer_dtype(values, skipna=True) == "boolean" and not any(_is_truth(one) for one in levels):
        values = np.array([int(one) if _is_truth(one) else one for one in values], dtype=object)  # as in the fit
    codes = levels.get_indexer(pd.Index(values, tupleize_cols=False))
    new = (codes < 0) & np.asarray(column.notna())
    if new.any():
        unseen = column[new].unique()
        raise ValueError(
            f"the fit has not seen the level {listed(unseen[:5])} of '{name}': there is no coefficient for it; its "
            f"levels are {listed(kind.levels[:10])}"
        )
    return pd.Categorical.from_codes(codes, levels)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _numbers(column: pd.Series, name: str = "") -> np.ndarray:
    """Numbers of any type as float64, missing ones as NaN."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":
        return column.to_numpy().astype(np.float64)
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"'{name or column.name}' holds numbers that are no floats ({error})") from error


def _all(column: pd.Series, what: Any) -> bool:
    return all(isinstance(value, what) and not isinstance(value, complex) for value in column.dropna())


def _has_two_kinds_of_one(column: pd.Series) -> bool:
    """Whether a column of objects holds True or False beside 1 or 0, which no table of values can tell apart."""
    if not pd.api.types.infer_dtype(column, skipna=True).startswith("mixed") or not _any(column, bool | np.bool_):
        return False
    numbers = [value for value in column if isinstance(value, Number) and not isinstance(value, bool | np.bool_)]
    return any(value in (0, 1) for value in numbers)


def _any(column: pd.Series, what: Any) -> bool:
    return any(isinstance(value, what) for value in column.dropna())


def check_named(names: Collection[str], formula: str, data: pd.DataFrame) -> None:
    """Refuse names of a formula that are no columns, and functions of a module, which is looked for among them."""
    absent = sorted(set(names) - set(data.columns))
    if absent and re.search(rf"\b{re.escape(absent[0])}\.\w+\(", formula):
        raise ValueError(
            f"'{absent[0]}' is not a column of the data, and formulas know functions of no module but np: compute "
            f"the column before, as data.assign(new={absent[0]}...), and name it in the formula"
        )
    if absent:
        check_columns(data, sorted(names))
