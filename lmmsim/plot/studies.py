"""Pictures of studies: rejection rates with Monte-Carlo error, predictive checks, line-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import (
    DARK,
    MIDDLE,
    PALE,
    canvas,
    label_ends,
    levels,
    name_axes,
    new_figure,
    number,
    styles,
    table_with,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def power(
    table: pd.DataFrame,
    x: str,
    y: str = "rejection",
    *,
    by: str | None = "analysis",
    nominal: float | Sequence[float] = 0.05,
    exact: pd.DataFrame | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw rejection rates (or coverage, ...) along x, a curve for each analysis, with Monte-Carlo error.

    Parameters
    ----------
    table : DataFrame
        Columns x, y, that of `by`, and where y was simulated its standard error `<y>_mcse`: the band is two of them
        to both sides.
    x, y : str
        Columns: what was varied, and the rate.
    by : str or None
        Column with a curve for each level.
    nominal : float or sequence of float
        Where to draw thin horizontal lines: the level of the test, the wanted power.
    exact : DataFrame, optional
        Columns x and y: what theory says, in black. For y "rejection", `power` as `exact_power` has it will do.
    xlabel, ylabel : str, optional
        Names with units: "schools in each arm".
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> table = pd.DataFrame({"schools": [10, 20], "analysis": "LMM", "rejection": [0.4, 0.7], "rejection_mcse": 0.01})
    >>> ax = power(table, "schools", nominal=[0.05, 0.8])
    >>> ax.get_ylabel()
    'rejection rate'
    """
    error = f"{y}_mcse"
    index = table.index.names if isinstance(table, pd.DataFrame) else []
    table = table_with(table, x, y, by)
    names = [x, by] if by else [x]
    twice = table[table.duplicated(names)]
    if len(twice):
        where = ", ".join(f"{name} {twice[name].iloc[0]}" for name in names)
        left = [name for name in index if name in table and name not in names and table[name].nunique() > 1]
        choose = "".join(f".xs({name}, level='{name}')" for name in left or ["term"])
        raise ValueError(f"the table has more than one row for {where}, and a curve has one: choose, as table{choose}")
    ax = canvas(ax)
    names = levels(table[by]) if by else [y]
    looks = styles(map(str, names))
    ends = []
    for name in names:
        look = looks[str(name)]
        rows = (table[table[by] == name] if by else table).dropna(subset=[y]).sort_values(x)
        if error in rows:
            low, high = rows[y] - 2 * rows[error], rows[y] + 2 * rows[error]
            ax.fill_between(rows[x], low, high, color=look.colour, alpha=0.16, lw=0)
        ax.plot(rows[x], rows[y], color=look.colour, marker=look.marker, ls=look.line, lw=1.8, ms=5.5)
        if len(rows):
            ends.append((float(rows[y].iloc[-1]), str(name), look.colour))
    if exact is not None:
        if y == "rejection" and isinstance(exact, pd.DataFrame) and y not in exact:
            exact = exact.rename(columns={"power": y})
        theory = table_with(exact, x, y).sort_values(x)
        ax.plot(theory[x], theory[y], color=DARK, lw=1.2, zorder=1.5)
        ends.append((float(theory[y].iloc[-1]), "exact", DARK))
    for value in np.atleast_1d(nominal):
        ax.axhline(value, color=MIDDLE, lw=0.9, ls=(0, (1, 2)), zorder=1)
    top = max(0.0, *[end for end, *_ in ends], *np.atleast_1d(nominal), float(table[y].max()))
    ax.set_ylim(0, 1.02 if top > 0.5 else None)
    if by or exact is not None:
        label_ends(ax, ends)
    name_axes(ax, xlabel or x, ylabel or ("rejection rate" if y == "rejection" else y))
    return ax


def predictive(
    observed: float,
    simulated: Any,
    statistic_name: str | None = None,
    *,
    bins: int = 30,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a statistic of the data among the same statistic of data sets simulated from the fit.

    Parameters
    ----------
    observed : float
        The statistic of the data.
    simulated : array_like
        The statistic of every simulated data set.
    statistic_name : str, optional
        What it is, with its unit; names the horizontal axis.
    bins : int
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = predictive(1.3, np.linspace(0.5, 1.5, 100), "sd of the slopes (ms per day)")
    >>> ax.texts[0].get_text()
    'observed 1.3'
    """
    values = np.asarray(simulated, dtype=float).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        raise ValueError("no simulated value is a finite number: there is nothing to draw")
    ax = canvas(ax)
    ax.hist(values, bins=bins, color=PALE, edgecolor="white", linewidth=0.5)
    ax.axvline(observed, color=DARK, lw=2)
    ax.annotate(
        f"observed {number(observed)}", (observed, 1), (0, 2), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="center", va="bottom",
    )  # fmt: skip
    name_axes(ax, xlabel or statistic_name or "statistic", ylabel or "simulated data sets")
    return ax


def lineup(
    frames: Any,
    draw: Callable[..., Any],
    *,
    observed: pd.DataFrame | None = None,
    position: int = 1,
    reveal: bool = False,
    columns: int = 5,
    xlabel: str | None = None,
    ylabel: str | None = None,
) -> np.ndarray:
    """Draw a panel for each data set, the real one hidden among the simulated (Buja et al. 2009).

    Parameters
    ----------
    frames : Lineup or sequence of DataFrame
        What `lmmsim.lineup` hides; or simulated data sets, usually nineteen; or all of them, with the real one already
        at its place.
    draw : callable
        Called as `draw(frame, ax=ax)` for every panel.
    observed : DataFrame, optional
        The real data set, put in at `position`.
    position : int
        Number of the panel that is real, counted from 1; a Lineup knows its own.
    reveal : bool, default False
        Frame that panel.
    columns : int
        Panels in a line.
    xlabel, ylabel : str, optional
        Names with units of the axes of all panels.

    Returns
    -------
    ndarray of Axes
        In the order of their numbers, in a new figure.

    References
    ----------
    Buja, A., Cook, D., Hofmann, H., et al. (2009). Statistical inference for exploratory data analysis and model
    diagnostics. Philosophical Transactions of the Royal Society A, 367, 4361–4383.

    Examples
    --------
    >>> frames = [pd.DataFrame({"x": [1, 2], "y": [1, i]}) for i in range(3)]
    >>> axes = lineup(frames, lambda data, ax: ax.plot(data["x"], data["y"]), observed=frames[0], position=2, columns=4)
    >>> [ax.get_title("left") for ax in axes]
    ['1', '2', '3', '4']
    """
    if reveal and hasattr(frames, "reveal"):
        position = frames.reveal()
    frames = list(getattr(frames, "frames", frames))
    total = len(frames) + (observed is not None)
    if not total:
        raise ValueError("there are no data sets to draw")
    if not 1 <= position <= total:
        raise ValueError(f"position={position}, but the panels are numbered 1 to {total}")
    if observed is not None:
        frames.insert(position - 1, observed)
    columns = min(columns, total)
    lines = -(-total // columns)
    figure = new_figure(height=0.4 + 1.25 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for i, (frame, ax) in enumerate(zip(frames, grid, strict=False)):
        draw(frame, ax=canvas(ax))
        ax.set(xlabel="", ylabel="")
        ax.set_title(str(i + 1), loc="left", size="medium", pad=2)
        ax.tick_params(labelbottom=False, labelleft=False, length=0)
        if reveal and i == position - 1:
            ax.spines[:].set(visible=True, color=DARK, linewidth=2)
    for ax in grid[total:]:
        ax.set_visible(False)
    if xlabel:
        figure.supxlabel(xlabel, size="medium")
    if ylabel:
        figure.supylabel(ylabel, size="medium")
    return grid[:total]
