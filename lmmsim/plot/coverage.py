"""The zip plot: which intervals of a study cover the truth, and which miss it on what side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import DARK, MIDDLE, PALE, canvas, levels, name_axes, new_figure, styles
from lmmsim.plot.estimates import one_term, true_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def zip_plot(
    estimates: pd.DataFrame | Any,
    truth: float | Mapping[str, float],
    *,
    by: str = "analysis",
    term: str | None = None,
    level: float = 0.95,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes | np.ndarray:
    """Draw the intervals of all replicates, those farthest from the truth on top (Morris et al. 2019).

    Parameters
    ----------
    estimates : DataFrame or Study
        Columns `estimate se low high`, `term` and that of `by`.
    truth : float or mapping
        The true value, or those of all terms.
    by : str, default "analysis"
        Column with a panel for each level, in a new figure where there are several.
    term : str, optional
        Which coefficient; may be left out where there is one.
    level : float, default 0.95
        Share of intervals that should cover the truth: a line at that height.
    xlabel, ylabel : str, optional
    ax : Axes, optional
        For a single analysis.

    Returns
    -------
    Axes, or an array of Axes for several analyses

    References
    ----------
    Morris, T. P., White, I. R., & Crowther, M. J. (2019). Using simulation studies to evaluate statistical methods.
    Statistics in Medicine, 38, 2074–2102.

    Examples
    --------
    >>> table = pd.DataFrame({"analysis": "LMM", "estimate": [1.0, 2.0, 3.0], "se": 1.0})
    >>> table = table.assign(low=table["estimate"] - 1.5, high=table["estimate"] + 1.5)
    >>> zip_plot(table, truth=1.0).get_title("left")
    'LMM\\n66.7 % cover'
    """
    table, term = one_term(estimates, term, "estimate", "se", "low", "high", by)
    value = true_value(truth, term)
    if value is None:
        raise ValueError("truth is needed: a zip plot shows which intervals cover it")
    names = levels(table[by])
    if len(names) > 1 and ax is not None:
        raise ValueError(f"there are {len(names)} levels of '{by}', a panel each in a new figure: leave out ax")
    axes = [canvas(ax)] if len(names) == 1 else _panels(len(names))
    looks = styles(map(str, names))
    for name, panel in zip(names, axes, strict=True):
        rows = table.loc[table[by] == name, ["estimate", "se", "low", "high"]].dropna().astype(float)
        share = _zip(panel, rows, value, looks[str(name)].colour, level)
        panel.set_title(f"{name}\n{100 * share:.3g} % cover", loc="left", size="medium")
        span = panel.get_subplotspec()
        left, bottom = (True, True) if span is None or ax is not None else (span.is_first_col(), span.is_last_row())
        name_axes(panel, xlabel or f"interval of {term or 'the estimate'}" if bottom else "", "")
        if left:
            name_axes(panel, None, ylabel or "centile of |z|")
    return axes[0] if len(names) == 1 else np.asarray(axes)


def _panels(count: int) -> list[Axes]:
    """A new figure with a panel each: up to three in a line."""
    columns = count if count <= 3 else -(-count // 2)
    lines = -(-count // columns)
    grid = new_figure(0.6 + 2.8 * lines).subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for unused in grid[count:]:
        unused.set_visible(False)
    return [canvas(panel) for panel in grid[:count]]


def _zip(ax: Axes, rows: pd.DataFrame, truth: float, colour: str, level: float) -> float:
    """One panel; returns the share of intervals that cover."""
    if rows.empty:
        raise ValueError("no interval is complete: there is nothing to draw")
    rows = rows.iloc[np.argsort(((rows["estimate"] - truth) / rows["se"]).abs(), kind="stable")]
    height = (np.arange(len(rows)) + 0.5) / len(rows) * 100
    covers = ((rows["low"] <= truth) & (truth <= rows["high"])).to_numpy()
    width = float(np.clip(250 / len(rows), 0.4, 2))
    for inside, hue in ((True, PALE), (False, colour)):
        part = covers == inside
        ax.hlines(height[part], rows["low"][part], rows["high"][part], color=hue, lw=width)
    ax.axvline(truth, color=DARK, lw=1.2)
    ax.axhline(100 * level, color=MIDDLE, lw=1, ls=(0, (4, 2)))
    ax.set_ylim(0, 100)
    ax.set_yticks([0, 25, 50, 75, 100 * level])
    return float(covers.mean())
