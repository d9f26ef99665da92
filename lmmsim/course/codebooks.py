"""Codebooks: what every column of a data set means, its unit, to whom it belongs, and the order of its levels.

A CSV file forgets which level of a factor is the reference; the codebook beside it remembers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import listed
from lmmsim.model.formula import split
from lmmsim.model.residual import are_numbers
from lmmsim.stories import UNITS

COLUMNS = ["column", "meaning", "unit", "level", "type", "levels"]
TYPES = ("unit", "factor", "number", "whole number", "truth value")
ROW = "measurement"  # the level of what differs from row to row


def codebook(
    data: pd.DataFrame, formula: str | None = None, *, meanings: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Describe the columns of a data set.

    Parameters
    ----------
    data : DataFrame
        Units of measurement are taken from `data.attrs["units"]`, where the scenarios note them.
    formula : str, optional
        Says which column is the response and which ones name units.
    meanings : mapping, optional
        Sentences for columns whose own would be better.

    Returns
    -------
    DataFrame
        `column meaning unit level type levels`: the level is the unit whose rows all share the value; `levels` is a
        list in JSON, the reference first.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> growth, design = scenarios.plant_growth()
    >>> table = codebook(simulate(growth, design, rng=1).data, growth.formula).set_index("column")
    >>> table.loc["fertilizer", ["meaning", "level", "type", "levels"]].tolist()
    ['fertilizer of the plot; the reference is Control', 'plot', 'factor', '["Control", "A", "B"]']
    >>> table.loc["height", ["unit", "level"]].tolist()
    ['cm', 'measurement']
    """
    parts = split(formula) if formula is not None else None
    groups = list(dict.fromkeys(column for bar in parts.bars for column in bar.group)) if parts else []
    units = [name for name in data.columns if name in groups or _names_units(data, name)]
    units.sort(key=lambda name: data[name].nunique())
    told, rows = meanings or {}, []
    if absent := [name for name in told if name not in data]:
        raise ValueError(f"meanings has {listed(absent)}, which {'is' if len(absent) == 1 else 'are'} not in the data")
    for name in data.columns:
        kind = "unit" if name in units else _type(data[name])
        level = _level(data, name, units)
        levels = _categories(data[name]) if kind == "factor" else []
        meaning = told.get(name) or _meaning(
            str(name), kind, level, levels, parts is not None and name == parts.response
        )
        unit = data.attrs.get(UNITS, {}).get(name, "")
        rows.append([str(name), meaning, unit, level, kind, json.dumps(levels, ensure_ascii=False) if levels else ""])
    return pd.DataFrame(rows, columns=COLUMNS)


def restored(data: pd.DataFrame, book: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of a table that was read from text the types and the order of levels of its codebook.

    Raises
    ------
    ValueError
        If a column of the codebook is missing, a number is none, or a level is not in the codebook's list.
    """
    out = data.copy()
    kinds = types(book)
    if absent := [name for name in kinds if name not in data]:
        raise ValueError(
            f"the codebook has {listed(absent)}, which the data have not; they have {listed(data.columns)}"
        )
    for name, kind in kinds.items():
        column, cells = out[name], out[name].tolist()
        if kind == "factor":
            levels = _levels(book, name)
            known = {str(level): level for level in levels}
            words = pd.Series([cell if pd.isna(cell) else known.get(str(cell), cell) for cell in cells], dtype=object)
            if strange := sorted({str(cell) for cell in words.dropna() if str(cell) not in known}):
                raise ValueError(
                    f"'{name}' has {listed(strange[:5])}, which its codebook does not know: {listed(levels)}"
                )
            out[name] = pd.Categorical(words, categories=levels)
        elif kind == "unit":
            out[name] = pd.Categorical([None if pd.isna(cell) else str(cell) for cell in cells])
        elif not are_numbers(column):
            raise ValueError(f"'{name}' is a {kind} in its codebook, but not all of its cells are numbers")
    out.attrs[UNITS] = {
        str(row["column"]): str(row["unit"])
        for _, row in book.iterrows()
        if str(row["column"]) in kinds and row["unit"]
    }
    return out


def types(book: pd.DataFrame) -> dict[str, str]:
    """Type of every column; a table that is no codebook is refused."""
    if absent := [name for name in ("column", "type", "levels", "unit") if name not in book]:
        raise ValueError(f"this is no codebook: {listed(absent)} missing; a codebook has {listed(COLUMNS)}")
    for name, kind in zip(book["column"], book["type"], strict=True):
        if kind not in TYPES:
            raise ValueError(f"the codebook gives '{name}' the type '{kind}'; the types are {listed(TYPES)}")
    return dict(zip(book["column"].astype(str), book["type"], strict=True))


def _levels(book: pd.DataFrame, name: str) -> list[Any]:
    """The levels of a factor in their order."""
    text = book.loc[book["column"] == name, "levels"].iloc[0]
    try:
        levels = json.loads(text)
    except (TypeError, ValueError):
        levels = None
    if not isinstance(levels, list) or not levels:
        raise ValueError(f'the codebook\'s levels of \'{name}\' are {text!r}; write them as ["Control", "A", "B"]')
    return levels


def _names_units(data: pd.DataFrame, name: Any) -> bool:
    """Whether a column's labels are its name, or that of another column, and a number: plot01, school01/2."""
    if not isinstance(data[name].dtype, pd.CategoricalDtype) or not len(data[name].cat.categories):
        return False
    first = str(data[name].cat.categories[0])
    return any(re.match(rf"{re.escape(str(other))}_?\d", first) for other in data.columns)


def _type(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column.dropna()):
        return "factor"
    if column.dtype.kind == "b":
        return "truth value"
    if not are_numbers(column):
        raise ValueError(f"'{column.name}' holds {column.dtype}; a codebook knows numbers, truth values and words")
    return "whole number" if column.dtype.kind in "iu" else "number"


def _level(data: pd.DataFrame, name: Any, units: list[Any]) -> str:
    """The coarsest unit whose rows all share the value of a column; a unit is its own."""
    if name in units:
        return str(name)
    codes = pd.factorize(data[name])[0]
    for unit in units:
        spread = pd.Series(codes).groupby(pd.factorize(data[unit])[0])
        if bool((spread.max() == spread.min()).all()) and (codes >= 0).all():
            return str(unit)
    return ROW


def _meaning(name: str, kind: str, level: str, levels: list[Any], is_response: bool) -> str:
    if is_response:
        return f"{name}, which was measured"
    if kind == "unit":
        return f"which {name}"
    owner = f"{name} of the {level}"
    return f"{owner}; the reference is {levels[0]}" if levels else owner


def _categories(column: pd.Series) -> list[Any]:
    """Levels in their order, sorted where they have none, as JSON can write them."""
    there = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else sorted(column.dropna().unique())
    return [level.item() if isinstance(level, np.generic) else level for level in there]
