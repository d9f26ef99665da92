"""Tables for reading: a few columns of a wide table, each number with its Monte-Carlo error beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any, ClassVar

import pandas as pd

WIDTH = 100  # of a terminal


class Readable(pd.DataFrame):
    """A table that holds many columns and prints some; whatever is taken out of it is an ordinary DataFrame."""

    _metadata: ClassVar[list[str]] = ["_read"]

    def __init__(self, data: Any, read: Sequence[str] = (), **options: Any) -> None:
        super().__init__(data, **options)
        self._read = tuple(name for name in read if name in self)

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        return f"{as_text(self, self._read)}\n{self._more}" if self._read else super().__repr__()

    def _repr_html_(self) -> str | None:
        if not self._read:
            return super()._repr_html_()
        return f"{readable(self, self._read).to_html(border=0)}<p>{self._more}</p>"

    @property
    def _more(self) -> str:
        hidden = [name for name in self if name not in self._read and not name.endswith("_mcse")]
        return fill(f"also there: {', '.join(hidden)} (full=True prints all)", WIDTH)


def readable(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns as text, with the Monte-Carlo error beside those that have one: "0.953 ±0.002"."""
    return pd.DataFrame({name: _written(table, name) for name in columns}, index=table.index)


def as_text(table: pd.DataFrame, columns: Sequence[str]) -> str:
    """The same in lines of at most `WIDTH` characters, a block of rows for every term."""
    text = readable(table, columns)
    *outer, _ = table.index.names
    blocks = []
    for key, rows in text.groupby(level=list(outer), sort=False):
        title = " ".join(str(part) for part in (key if isinstance(key, tuple) else (key,)) if part != "")
        own = rows.droplevel(list(outer)).rename_axis(None)
        blocks.append(f"{title}\n{own.to_string(line_width=WIDTH)}")
    return "\n".join(blocks)


def _written(table: pd.DataFrame, name: str) -> list[str]:
    """A column as text."""
    errors = table.get(f"{name}_mcse")
    if errors is None or name in ("emp_se", "model_se"):  # their own errors are read by nobody
        return [_number(value) for value in table[name]]
    return [
        _number(value) if pd.isna(error) else f"{value:.{places(error)}f} ±{error:.{places(error)}f}"
        for value, error in zip(table[name], errors, strict=True)
    ]


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4g}"


def places(error: float) -> int:
    """Decimals in which an error has one digit: two for 0.012, none for 12."""
    from math import floor, log10

    return 0 if error <= 0 else min(max(-floor(log10(error)), 0), 6)
