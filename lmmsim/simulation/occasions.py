"""Occasions: whether names of times stand in the order of time."""

from __future__ import annotations

import re

import pandas as pd

from lmmsim.checks import listed

# fmt: off
CALENDAR = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march",
    "april", "may", "june", "july", "august", "september", "october", "november", "december",
)
# fmt: on


def check_order(time: str, column: pd.Series) -> None:
    """Refuse categories that are in the order of the alphabet, where time has another: week1, week10, week2."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return
    names = column.cat.categories.tolist()
    if all(isinstance(name, str) for name in names) and names == sorted(names):
        order = sorted(names, key=_when)
        if order != names:
            raise ValueError(
                f"the categories of {time!r} are in the order of the alphabet ({listed(names[:4])}, ...), which is not "
                f"that of time; say pd.Categorical(data[{time!r}], categories={order[:4]!r} and so on)"
            )


def _when(name: str) -> list[tuple[int, float, str]]:
    """What a name of a time is sorted by: its numbers as numbers, days and months by the calendar."""
    pieces = re.findall(r"\d+\.?\d*|[^\W\d]+", name.lower())
    return [_piece(piece) for piece in pieces]


def _piece(piece: str) -> tuple[int, float, str]:
    if piece[0].isdigit():
        return 0, float(piece), ""
    whole = [day for day in CALENDAR if len(piece) >= 3 and day.startswith(piece)]
    return (1, float(CALENDAR.index(whole[0])), "") if whole else (2, 0.0, piece)
