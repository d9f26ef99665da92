"""Pictures of what a fit answers: marginal means, differences between them, predictions, each with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import (
    DARK,
    MIDDLE,
    PALE,
    canvas,
    height_of,
    legend_above,
    levels,
    name_axes,
    name_rows,
    table_with,
    treatments,
    whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def means(
    table: pd.DataFrame,
    x: str | None = None,
    hue: str | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw marginal means, or differences between them, with their intervals.

    Parameters
    ----------
    table : DataFrame
        From `Fit.means` or `Fit.contrast`: columns `estimate`, `low`, `high`; the index says what each row is.
    x, hue : str, optional
        Names of the index: along the axis, and told apart by colour. By default numbers lie along the axis.
        Differences are rows, one below the other, with a line at 0.
    xlabel, ylabel : str, optional
        Names with units: "week", "height (cm)".
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> index = pd.MultiIndex.from_product([["A", "B"], [0, 4]], names=["arm", "week"])
    >>> table = pd.DataFrame({"estimate": [1.0, 2, 1, 3], "low": 0.5, "high": 3.5}, index=index)
    >>> means(table, ax=Figure().subplots()).get_xlabel()
    'week'
    """
    table_with(table, "estimate", "low", "high")
    if "contrast" in table.index.names:
        return _differences(table, xlabel, ylabel, ax)
    names = [str(name) for name in table.index.names]
    flat = table.reset_index()
    if x is None:
        x = next((name for name in names if pd.api.types.is_numeric_dtype(flat[name])), names[0])
    others = [name for name in names if name != x]
    hue = hue or (others[0] if others else None)
    lost = [name for name in (x, hue) if name is not None and name not in names]
    if lost:
        raise ValueError(f"'{lost[0]}' is not in the index of the table, which has {', '.join(names)}")
    if rest := [name for name in names if name not in (x, hue)]:
        raise ValueError(
            f"the table also differs by {', '.join(rest)}: draw one of its values, as table.xs(..., level=...)"
        )
    ax = canvas(ax)
    numbers = pd.api.types.is_numeric_dtype(flat[x])
    along = levels(flat[x])
    place = flat[x].to_numpy(float) if numbers else np.array([along.index(value) for value in flat[x]], dtype=float)
    step = float(np.min(np.diff(np.unique(place)))) if len(np.unique(place)) > 1 else 1.0
    looks = treatments(levels(flat[hue])) if hue else {None: (DARK, "-")}
    handles = []
    for i, (level, (colour, pattern)) in enumerate(looks.items()):
        own = flat[hue] == level if hue else np.ones(len(flat), dtype=bool)
        at = place[own] + (i - (len(looks) - 1) / 2) * 0.08 * step
        ax.vlines(at, flat["low"][own], flat["high"][own], color=colour, lw=1.8, zorder=2)
        [line] = ax.plot(at, flat["estimate"][own], color=colour, marker="o", ms=5, zorder=3, label=str(level))
        line.set_linestyle(pattern if numbers else "none")
        handles.append(line)
    if numbers:
        whole_ticks(ax, flat[x])
    else:
        ax.set_xticks(np.arange(len(along)), [str(value) for value in along])
        ax.set_xlim(-0.5, len(along) - 0.5)
    name_axes(ax, xlabel or x, ylabel or "mean")
    if hue:
        legend_above(ax, handles)
    return ax


def _differences(table: pd.DataFrame, xlabel: str | None, ylabel: str | None, ax: Axes | None) -> Axes:
    """Differences as rows with a line at 0."""
    by = [name for name in table.index.names if name != "contrast"]
    frame = table.index.to_frame()
    names = [", ".join([str(row["contrast"]), *(f"{name} {row[name]}" for name in by)]) for _, row in frame.iterrows()]
    ax, rows = canvas(ax, height=height_of(len(table))), np.arange(len(table))
    ax.axvline(0, color=MIDDLE, lw=1, zorder=1)
    ax.hlines(rows, table["low"], table["high"], color=DARK, lw=1.8, zorder=2)
    ax.plot(table["estimate"], rows, ls="", marker="o", ms=5, color=DARK, zorder=3)
    name_rows(ax, pd.Index(names))
    name_axes(ax, xlabel or "difference", ylabel or "")
    return ax


def prediction(
    predicted: Any,
    rows: pd.DataFrame,
    x: str,
    hue: str | None = None,
    *,
    unit: str | None = None,
    data: pd.DataFrame | None = None,
    y: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw predictions along a column, with their intervals and the data behind them.

    Parameters
    ----------
    predicted : DataFrame or Fit
        From `Fit.predict`: `mean`, and `low` and `high` where it has them. A fit predicts the means of the population.
    rows : DataFrame
        The rows that were predicted, in the same order.
    x : str
        Column of `rows` along the axis.
    hue : str, optional
        Column of `rows` that is told apart by colour.
    unit : str, optional
        Column of `rows` with a line for each of its values, as in a conditional prediction.
    data, y : DataFrame and str, optional
        Measured rows to draw as points, and their response.
    xlabel, ylabel : str, optional
        Names with units.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the tables have not the same number of rows, lack a column, or a line has two values at one place.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> rows = pd.DataFrame({"week": [0, 1, 2]})
    >>> predicted = pd.DataFrame({"mean": [1.0, 2.0, 3.0], "low": 0.5, "high": 3.5})
    >>> prediction(predicted, rows, "week", ax=Figure().subplots()).get_ylabel()
    'prediction'
    """
    predicted = predicted.predict(rows) if hasattr(predicted, "predict") else predicted
    table_with(predicted, "mean")
    table_with(rows, x, hue, unit)
    if len(predicted) != len(rows):
        raise ValueError(f"{len(predicted)} predictions of {len(rows)} rows: pass the rows that were predicted")
    keys = [name for name in dict.fromkeys((hue, unit)) if name is not None]
    values = {name: predicted[name].to_numpy() for name in ("mean", "low", "high") if name in predicted}
    table = rows[list(dict.fromkeys([x, *keys]))].reset_index(drop=True).assign(**values)
    twice = int(table.duplicated([x, *keys]).sum())
    if twice and len(table.drop_duplicates()) > len(table.drop_duplicates([x, *keys])):
        raise ValueError(f"a line has several predictions at one '{x}': say hue= or unit=, what they differ in")
    table = table.drop_duplicates([x, *keys]).sort_values(x, kind="stable")
    looks = treatments(levels(rows[hue])) if hue else {None: (DARK, "-")}
    ax = canvas(ax)
    if data is not None:
        if y is None:
            raise ValueError("y= names the response of the data")
        table_with(data, x, hue, y)
        for level, (colour, _) in looks.items():
            own = data[data[hue] == level] if hue else data
            ax.plot(
                own[x], own[y], ls="", marker="o", ms=3.5, mfc="none", mec=colour if hue else MIDDLE, mew=0.7, zorder=1
            )
    handles = []
    for level, (colour, pattern) in looks.items():
        own = table[table[hue] == level] if hue else table
        lines = [line for _, line in own.groupby(unit, observed=True, sort=False)] if unit else [own]
        for line in lines:
            if "low" in line:
                ax.fill_between(
                    line[x], line["low"], line["high"], color=colour if hue else PALE, alpha=0.25 if hue else 0.6, lw=0
                )
            handle = ax.plot(line[x], line["mean"], color=colour, ls=pattern, lw=1.6, zorder=3, label=str(level))[0]
        handles.append(handle)
    whole_ticks(ax, rows[x])
    name_axes(ax, xlabel or x, ylabel or y or "prediction")
    if hue:
        legend_above(ax, handles)
    return ax
