"""Pictures of data and of designs: who is measured when, under what, and what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import (
    MIDDLE,
    PALE,
    canvas,
    label_ends,
    legend_above,
    levels,
    name_axes,
    new_figure,
    table_with,
    treatments,
    whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELLED, LISTED = 6, 12  # more groups than that get a legend; more than that, no names


def trajectories(
    data: pd.DataFrame,
    x: str,
    y: str,
    unit: str,
    *,
    hue: str | None = None,
    col: str | None = None,
    mean: bool = True,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes | np.ndarray:
    """Draw one line for each unit, and the mean of each group as a thick one.

    Parameters
    ----------
    data : DataFrame
        One row per measurement.
    x, y, unit : str
        Columns: time (or dose, ...), response, and what is measured repeatedly.
    hue : str, optional
        Column of groups; each has a color and a mean.
    col : str, optional
        Column of groups that get a panel each, in a new figure.
    mean : bool, default True
        Draw the means; over those units that have a value at each x.
    xlabel, ylabel : str, optional
        Names with units: "height (cm)".
    ax : Axes, optional

    Returns
    -------
    Axes, or an array of Axes with `col`

    Examples
    --------
    >>> from lmmsim import crossed
    >>> data = crossed(plot=3, week=[0, 1]).assign(height=[1.0, 2.0, 2.0, 4.0, 3.0, 5.0])
    >>> ax = trajectories(data, "week", "height", "plot", ylabel="height (cm)")
    >>> len(ax.lines)
    4
    """
    data = table_with(data, x, y, unit, hue, col)
    names = (x if xlabel is None else xlabel, y if ylabel is None else ylabel)
    looks = treatments(levels(data[hue])) if hue else {None: (MIDDLE, "-")}
    if col is None:
        ax = canvas(ax)
        _lines(ax, data, x, y, unit, hue, looks, mean)
        name_axes(ax, *names)
        whole_ticks(ax, data[x])
        _name_groups(ax, data, x, y, hue, looks, mean)
        return ax
    if ax is not None:
        raise ValueError(f"col='{col}' draws a panel for each of its levels in a new figure: leave out ax")
    panels = levels(data[col])
    axes = new_figure().subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for panel, level in zip(axes, panels, strict=True):
        part = data[data[col] == level]
        _lines(canvas(panel), part, x, y, unit, hue, looks, mean)
        panel.set_title(str(level))
        whole_ticks(panel, data[x], most=7)
        name_axes(panel, names[0], names[1] if panel is axes[0] else "")
    if hue and hue != col:
        _name_groups(axes[-1], part, x, y, hue, looks, mean)
    return axes


def _lines(
    ax: Axes, data: pd.DataFrame, x: str, y: str, unit: str, hue: str | None, looks: dict[Any, Any], mean: bool
) -> None:
    """The lines of all units, then the means above them."""
    n = data[unit].nunique()
    for _, rows in data.sort_values(x, kind="stable").groupby(unit, observed=True, sort=False):
        color, _ = looks.get(rows[hue].iloc[0] if hue else None, (PALE, None))  # pale: of no group
        alpha = 0.45 if mean or n > 12 else 0.9
        # a point as well, so that a unit that was seen only once is seen here
        ax.plot(rows[x], rows[y], color=color, lw=0.9, alpha=alpha, marker="o", ms=2.2, mew=0, zorder=1.5)
    if mean:
        for level, (color, pattern) in looks.items():
            middle = _means(data, x, y, hue, level)
            ax.plot(middle.index, middle, color=color, lw=3, ls=pattern, zorder=2.5)


def _means(data: pd.DataFrame, x: str, y: str, hue: str | None, level: Any) -> pd.Series:
    rows = data[data[hue] == level] if hue else data
    return rows.groupby(x, observed=True)[y].mean()


def _name_groups(
    ax: Axes, data: pd.DataFrame, x: str, y: str, hue: str | None, looks: dict[Any, Any], mean: bool
) -> None:
    """Names at the ends of the means; a legend where there are several groups or no means."""
    from matplotlib.lines import Line2D

    if not hue or len(looks) > LISTED:
        return
    if mean and len(looks) <= LABELLED:
        ends = {level: _means(data, x, y, hue, level).dropna() for level in looks}
        label_ends(ax, [(end.iloc[-1], str(level), looks[level][0]) for level, end in ends.items() if len(end)])
    else:
        handles = [Line2D([], [], color=color, ls=ls, lw=2, label=str(level)) for level, (color, ls) in looks.items()]
        legend_above(ax, handles)


def layout(
    design: pd.DataFrame,
    unit: str,
    time: str | None = None,
    *,
    hue: str | None = None,
    response: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw who is measured when and under what: a row for each unit, a tile for each measurement.

    Parameters
    ----------
    design : DataFrame
        One row per measurement.
    unit : str
        Column whose levels are the rows of the picture.
    time : str, optional
        Column whose levels are its columns; without it, the measurements of a unit are counted.
    hue : str, optional
        Column, such as a treatment, that colours the tiles.
    response : str, optional
        Column whose missing values leave their tile hollow.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from lmmsim import assign, crossed
    >>> design = assign(crossed(plot=6, week=[0, 1, 2]), to="plot", fertilizer=["Control", "A", "B"])
    >>> ax = layout(design, "plot", "week", hue="fertilizer")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['Control', 'A', 'B']
    """
    design = table_with(design, unit, time, hue, response)
    units = levels(design[unit])
    when = design[time] if time else design.groupby(unit, observed=True).cumcount() + 1
    times = levels(when)
    ax = canvas(ax, height=float(np.clip(1.0 + 0.14 * len(units), 2.4, 6.5)))
    looks = treatments(levels(design[hue])) if hue else {None: (MIDDLE, "-")}
    _tiles(ax, design, units, times, unit, when, hue, response, looks)

    ax.set(xlim=(-0.5, len(times) - 0.5), ylim=(len(units) - 0.5, -0.5))
    widest = max(len(str(label)) for label in times)
    _ticks(ax.xaxis, times, most=max(2, min(25, 64 // (widest + 1))))
    _ticks(ax.yaxis, units, most=25)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    name_axes(ax, xlabel or time or f"measurement of a {unit}", ylabel or unit)
    _name_tiles(ax, looks if hue else {}, design, response)
    return ax


def _tiles(
    ax: Axes, design: pd.DataFrame, units: list[Any], times: list[Any], unit: str, when: pd.Series,
    hue: str | None, response: str | None, looks: dict[Any, Any],
) -> None:  # fmt: skip
    """A filled rectangle per measurement, hollow where the response is missing."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    few = max(len(units), len(times)) <= 60
    across, down = (0.004 * len(times), min(0.1, 0.004 * len(units))) if few else (0.0, 0.0)  # the same gap in inches
    place = {value: i for i, value in enumerate(units)}, {value: i for i, value in enumerate(times)}
    hollow = design[response].isna() if response else pd.Series(False, index=design.index)
    colors = [looks.get(level, (PALE, None))[0] for level in design[hue]] if hue else [MIDDLE] * len(design)
    boxes, faces = [], []
    for who, t, empty, color in zip(design[unit], when, hollow, colors, strict=True):
        corner = place[1][t] - 0.5 + across, place[0][who] - 0.5 + down
        boxes.append(Rectangle(corner, 1 - 2 * across, 1 - 2 * down))
        faces.append("white" if empty else color)
    ax.add_collection(PatchCollection(boxes, facecolors=faces, edgecolors=colors, linewidths=0.8 if few else 0.2))


def _ticks(axis: Any, labels: list[Any], most: int) -> None:
    """Label every position, or every second, fifth, ... where there are many."""
    texts = [f"{label:g}" if isinstance(label, float) else str(label) for label in labels]
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 10**9) if len(labels) / s <= most)
    axis.set_ticks(range(0, len(texts), step), texts[::step])


def _name_tiles(ax: Axes, looks: dict[Any, Any], design: pd.DataFrame, response: str | None) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=color, label=str(level)) for level, (color, _) in looks.items()]
    if response and design[response].isna().any():
        handles.append(Patch(facecolor="white", edgecolor=MIDDLE, label="missing"))
    if handles:
        legend_above(ax, handles)
