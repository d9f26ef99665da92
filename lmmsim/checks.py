"""Checks: refuse in one sentence what cannot be meant, and write a value as the user did.

What several modules ask of an argument stands here; what only one asks stands where it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import pandas as pd


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is one finite number: no text, no truth value, nothing missing."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and bool(np.isfinite(float(value)))
    except OverflowError:  # 10**400
        return False


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is one whole number, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def quoted(value: object) -> str:
    """Write a value as the user did: text in quotes, numbers without their NumPy type."""
    return repr(str(value)) if isinstance(value, str) else str(value)


def listed(values: Iterable[object]) -> str:
    """Write values one after the other."""
    return ", ".join(map(quoted, values))


def in_lines(text: str, width: int = 88) -> str:
    """A sentence in lines that a page has room for; no word, name or number is torn apart."""
    import textwrap

    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def check_whole(name: str, value: object) -> None:
    """Refuse what is no whole number of 0 or more."""
    if not is_whole(value) or value < 0:
        raise ValueError(f"{name}={quoted(value)}: give a whole number, 0 or more")


def check_sd(what: str, sd: object) -> None:
    """Refuse what is no standard deviation."""
    if not (is_number(sd) and sd >= 0):
        raise ValueError(f"the sd of {what} is {quoted(sd)}; a standard deviation is a finite number, 0 or more")


def check_probability(name: str, value: object) -> None:
    """Refuse an alpha, or a power, that is not between 0 and 1."""
    if not (is_number(value) and 0 < value < 1):
        raise ValueError(f"{name} is {quoted(value)}; it lies between 0 and 1")


def check_level(level: object) -> None:
    """Refuse a confidence level that is not between 0 and 1."""
    if not (is_number(level) and 0 < level < 1):
        raise ValueError(f"level={quoted(level)} is not between 0 and 1; 0.95 makes 95 % intervals")


def check_number(name: str, value: object, least: float = -np.inf, most: float = np.inf) -> None:
    """Refuse what is no number from `least` to `most`."""
    if not (is_number(value) and least <= value <= most):
        limits = f" from {least:g} to {most:g}" if np.isfinite(most) else f", {least:g} or more"
        raise ValueError(f"{name} is {quoted(value)}; it is a number{limits if np.isfinite(least) else ''}")


def check_count(name: str, value: object, least: int = 1, multiple: int = 1) -> None:
    """Refuse what is no whole number of `least` or more, or not even where it has to be."""
    if not is_whole(value) or value < least or value % multiple:
        even = "an even" if multiple == 2 else "a whole"
        raise ValueError(f"{name} is {quoted(value)}; it is {even} number, {least} or more")


def check_choice(what: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a word that is not one of the choices."""
    if value not in choices:
        raise ValueError(f"{what}={value!r} is not known; choose one of {', '.join(map(repr, choices))}")


def check_columns(data: pd.DataFrame, names: Iterable[object], what: str = "data") -> None:
    """Refuse names that are no columns, saying which there are."""
    names = list(names)
    if lists := [name for name in names if isinstance(name, list)]:
        raise TypeError(f"{lists[0]!r} is a list; name one column, or combine several into one first")
    if absent := [name for name in names if name not in data.columns]:
        are = "is not a column" if len(absent) == 1 else "are not columns"
        texts = "" if all(isinstance(name, str) for name in data.columns) else _as_texts(data, absent, what)
        raise ValueError(f"{listed(absent)} {are} of the {what}; the columns are {listed(data.columns)}{texts}")


def _as_texts(data: pd.DataFrame, absent: Sequence[object], what: str) -> str:
    """The way out where a column is called 1 and asked for as '1'."""
    if not {*map(str, absent)} & {str(name) for name in data.columns if not isinstance(name, str)}:
        return ""
    return f", not all of which are text; a formula finds them after {what}.columns = {what}.columns.map(str)"


def check_frame(data: Any, what: str) -> None:
    """Refuse what is no DataFrame, or has two columns of one name."""
    if not isinstance(data, pd.DataFrame):
        got = type(data).__name__
        raise TypeError(
            f"the {what} must be a pandas DataFrame with one row per measurement; got {got}{way_to_frame(data)}"
        )
    if data.columns.nlevels > 1:
        raise ValueError(
            f"the columns of the {what} have {data.columns.nlevels} levels of names; give each one name, as "
            "data.columns = ['_'.join(map(str, name)) for name in data.columns]"
        )
    if not data.columns.is_unique:
        repeats = listed(data.columns[data.columns.duplicated()].unique())
        raise ValueError(f"the {what} has more than one column {repeats}: rename or drop the others")


def as_frame(data: Any) -> Any:
    """A polars DataFrame as a pandas one, column by column; anything else as it is."""
    if type(data).__module__.split(".")[0] != "polars" or not hasattr(data, "get_columns"):
        return data
    return pd.DataFrame({column.name: _from_polars(column) for column in data.get_columns()})


def way_to_frame(data: Any) -> str:
    """How something that is no DataFrame becomes one, as the end of a sentence; empty where nobody knows."""
    if hasattr(data, "collect"):
        return ": data.collect() makes one"
    if hasattr(data, "to_pandas"):
        return ": data.to_pandas() makes one"
    has_names = isinstance(data, dict) or getattr(getattr(data, "dtype", None), "names", None) is not None
    return ": pd.DataFrame(data) makes one" if has_names else ""


def _from_polars(column: Any) -> Any:
    """Values of a polars column; those of an Enum keep their order."""
    if column.dtype.is_numeric() and not column.dtype.is_decimal():
        return column.to_numpy() if column.null_count() == 0 else column.cast(float).fill_null(np.nan).to_numpy()
    values = column.to_list()
    if type(column.dtype).__name__ == "Enum":
        return pd.Categorical(values, categories=list(column.dtype.categories))
    return pd.Series(values, dtype="boolean" if type(column.dtype).__name__ == "Boolean" else None)


def plural(name: str) -> str:
    """English plural of a column name: plots, classes, cities."""
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    return name[:-1] + "ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else name + "s"


def counted(n: int, unit: Columns | None) -> str:
    """Spell out "31 plots", "1 plot", "20 combinations of subject and item", "7 rows"."""
    columns = columns_of(unit) or ["row"]
    if len(columns) > 1:
        return f"{n} {'combination' if n == 1 else 'combinations'} of {' and '.join(columns)}"
    return f"{n} {columns[0] if n == 1 else plural(columns[0])}"


def columns_of(unit: Columns | None) -> list[str]:
    """Columns that say which unit a row belongs to, "school:class" as ["school", "class"]; none if each row is one.

    A name with a colon in it stands in backticks, or in a list.
    """
    if unit is None:
        return []
    if isinstance(unit, str):
        names = re.findall(r"\s*(`[^`]+`|[^:]+)\s*(?::|$)", unit)
        return [name.strip().strip("`") for name in names]
    return list(unit) if isinstance(unit, Iterable) else [unit]


Columns: TypeAlias = str | Sequence[str]
