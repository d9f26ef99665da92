"""Units: which rows of a design belong to the same plot, pupil or item, and whether labels say so plainly.

A unit is a value of one column, or a combination of several. Units are numbered by first appearance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from lmmsim import draws
from lmmsim.checks import Columns, check_columns, check_frame, columns_of, counted, is_whole, listed, plural


class Drawable(Protocol):
    """Anything that can draw, such as the shapes of ``lmmsim.draws``."""

    def draw(self, rng: Any, size: Any) -> np.ndarray: ...


Draw: TypeAlias = Drawable | Callable[[np.random.Generator, int], Any]
Levels: TypeAlias = int | Sequence[Any] | np.ndarray | pd.Series | pd.Index


def check_units(design: pd.DataFrame, unit: str, within: Columns) -> None:
    """Raise if one label of `unit` stands in several units of `within`: one classroom, or one in every school?

    Parameters
    ----------
    design : DataFrame
    unit, within : str
        Column of the units, and column (or list of columns) of what they should be nested in.

    Raises
    ------
    ValueError
        If a label stands in more than one parent.

    Examples
    --------
    >>> from lmmsim.design.crossing import crossed, nested
    >>> check_units(nested(school=2, classroom=3), "classroom", within="school")
    >>> check_units(crossed(school=2, classroom=[1, 2, 3]), "classroom", within="school")
    Traceback (most recent call last):
    ...
    ValueError: duplicated unit labels: classroom 1 stands in 2 schools (and 2 other labels likewise).
      2 different classrooms: make labels unique,
        relabel(design, 'classroom', within='school').
      one classroom met in 2 schools: then it is crossed with 'school',
        not nested in it
    """
    check_design(design, [unit, *columns_of(within)])
    _, first = units_of(design, [unit, *columns_of(within)])
    parents = design[unit].iloc[first].value_counts(sort=False)
    several = parents[parents > 1]
    if len(several):
        label, n = several.index[0], several.iloc[0]
        others = len(several) - 1
        likewise = f" (and {others} other {'labels' if others > 1 else 'label'} likewise)" if others else ""
        raise ValueError(
            f"duplicated unit labels: {unit} {label} stands in {counted(n, within)}{likewise}.\n"
            f"  {n} different {plural(unit)}: make labels unique,\n"
            f"    relabel(design, {unit!r}, within={within!r}).\n"
            f"  one {unit} met in {counted(n, within)}: then it is crossed with {within!r},\n"
            "    not nested in it"
        )


def relabel(design: pd.DataFrame, unit: str, within: Columns) -> pd.DataFrame:
    """Make the labels of nested units unique: classroom 1 of school B becomes "B/1".

    Parameters
    ----------
    design : DataFrame
    unit, within : str
        Column of the units, and column (or list of columns) of what they are nested in.

    Returns
    -------
    DataFrame
        The design with `unit` as a Categorical whose labels are the parents' and its own, joined by "/".

    Raises
    ------
    ValueError
        If two different units would still share a label.

    Examples
    --------
    >>> from lmmsim.design.crossing import crossed
    >>> relabel(crossed(school=["A", "B"], classroom=[1, 2]), "classroom", within="school")["classroom"].tolist()
    ['A/1', 'A/2', 'B/1', 'B/2']
    """
    keys = [*columns_of(within), unit]
    check_design(design, keys)
    codes, first = units_of(design, keys)
    labels = ["/".join(map(str, row)) for row in design[keys].iloc[first].itertuples(index=False)]
    if repeats := _repeats(labels):
        raise ValueError(f"two different units would both be called {repeats}: rename them first")
    return design.assign(**{unit: pd.Categorical.from_codes(codes, labels)})


def check_design(design: pd.DataFrame, columns: Iterable[str] = (), new: Iterable[str] = ()) -> None:
    """Refuse a design without rows, without a column that is needed, with gaps in it, or with a column in the way."""
    check_frame(design, "design")
    if len(design) == 0:
        raise ValueError("the design is empty: it has no rows, so there is nobody to measure")
    for name in columns:
        check_columns(design, [name], "design")
        if gaps := int(design[name].isna().sum()):
            raise ValueError(f"{name!r} is missing in {gaps} of {len(design)} rows: every row must belong to a unit")
    for name in new:
        if name in design.columns:
            raise ValueError(f"{name!r} is a column of the design already: choose another name, or drop it first")


def units_of(design: pd.DataFrame, unit: Columns | None) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's unit, numbered by first appearance, and the first row of each unit."""
    columns = columns_of(unit)
    codes = np.zeros(len(design), dtype=np.intp) if columns else np.arange(len(design), dtype=np.intp)
    for column in columns:
        inner, labels = pd.factorize(design[column])
        pairs = codes * np.int64(len(labels)) + inner  # as many as the product of both, which 32 bits may not hold
        codes = pd.factorize(pairs)[0].astype(np.intp)
    return codes, np.flatnonzero(~pd.Series(codes).duplicated())


def levels_of(name: str, value: Levels) -> Any:
    """Return the levels of a factor: a Categorical for units and strings, an array for numbers."""
    if is_whole(value):
        if value < 1:
            raise ValueError(f"{name}={value}: a number of units must be at least 1")
        labels = unit_labels(name, int(value))
        return pd.Categorical(labels, categories=labels)
    listing = Sequence | np.ndarray | pd.Series | pd.Index | pd.Categorical
    if isinstance(value, str) or not isinstance(value, listing) or np.ndim(value) == 0:
        raise ValueError(f"{name}={value!r}: give a whole number of units, or a list of levels in the order they have")
    levels = list(value)
    if not levels:
        raise ValueError(f"{name!r} is empty: a factor needs at least one level")
    strings = all(isinstance(level, str) for level in levels)
    if not strings and not all(isinstance(level, Real | np.bool_) and np.isfinite(float(level)) for level in levels):
        raise ValueError(f"{name}=[{listed(levels)}]: levels are all strings or all finite numbers")
    if repeats := _repeats(levels):
        raise ValueError(f"{name!r} has the same level twice: {repeats}. Each level is named once")
    return pd.Categorical(levels, categories=levels) if strings else np.asarray(levels)


def unit_labels(name: str, n: int) -> list[str]:
    """Name units "plot01" to "plot30"; "x1_01" after a digit, lest "x1" + "01" be taken for "x10" + "1"."""
    if not name.strip():
        raise ValueError("a factor has an empty name; name it as in plot=30")
    stem, width = f"{name}_" if name[-1].isdigit() else name, len(str(n))
    return [f"{stem}{k:0{width}d}" for k in range(1, n + 1)]


def draw(name: str, shape: Any, rng: np.random.Generator | None, size: int) -> np.ndarray:
    """Draw `size` values from a shape or a function of (rng, size)."""
    if rng is None:
        raise ValueError(f"{name!r} is drawn at random: say from where, for example rng=1")
    if shape in draws.SHAPES:  # draws.normal for draws.normal()
        shape = draws.as_shape(shape)
    return np.asarray(shape.draw(rng, size) if hasattr(shape, "draw") else shape(rng, size))


def _repeats(levels: Sequence[Any]) -> str:
    """Name the levels that occur more than once."""
    series = pd.Series(levels, dtype=object)
    return listed(series[series.duplicated()].unique())
