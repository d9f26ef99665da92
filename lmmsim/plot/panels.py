"""Several pictures at once: what a diagnosis looks at first."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import DARK, MIDDLE, NAMED, PALE, canvas, name_axes, new_figure, table_with
from lmmsim.plot.checks import lag_correlation, linearity, residuals
from lmmsim.plot.effects import qq

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST = 32  # letters of a title that has room above a panel where two stand side by side


def diagnosis(found: Any, *, columns: int = 2, ylabel: str | None = None) -> np.ndarray:
    """Draw what to look at first: residuals along fitted values, normal quantiles, and residuals by time or group.

    Parameters
    ----------
    found : Diagnosis
        From `lmmsim.diagnose`.
    columns : int
        Panels in a line.
    ylabel : str, optional
        Name of the residuals with their unit: "residual (cm)".

    Returns
    -------
    ndarray of Axes
        In a new figure; the title of each panel says what it shows. Grey is where 95 % of data sets lie that are
        simulated from the fit.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rows = pd.DataFrame({"fitted": [1.0, 2, 3], "conditional": [0.5, -1, 0.4], "standardised": [0.5, -1.2, 0.4]})
    >>> quantiles = pd.DataFrame({"theoretical": [-1.0, 0, 1], "sample": [-1.0, 0.4, 0.5]})
    >>> checks = {"residual_qq": SimpleNamespace(table=quantiles)}
    >>> plain = SimpleNamespace(residuals=rows, checks=checks, data=rows, time=None, group=None)
    >>> [ax.get_title("left") for ax in diagnosis(plain)]
    ['residuals along fitted values', 'residuals: quantiles']
    """
    for name in ("residuals", "checks"):
        if not hasattr(found, name):
            raise TypeError(f"a diagnosis is drawn, as diagnosis(diagnose(fit)); got {type(found).__name__}")
    checks, label = found.checks, ylabel or "residual"
    panels: list[tuple[str, Any]] = [
        ("residuals along fitted values", lambda ax: _along_fitted(found.residuals, label, ax)),
        ("residuals: quantiles", lambda ax: qq(checks["residual_qq"], ylabel=label, ax=ax)),
    ]
    if "random_qq" in checks:
        table = checks["random_qq"].table
        for (group, term), own in table.groupby(["group", "term"], sort=False):
            panels.append((f"{group}: {term}", _quantiles(own, f"predicted {term}")))
    if found.group is not None:
        panels.append((f"residuals by {found.group}", lambda ax: _by_group(found, label, ax)))
    if found.time is not None:
        if f"linearity {found.time}" in checks:
            mean = checks[f"linearity {found.time}"]
            panels.append(
                (f"mean residuals along {found.time}", lambda ax: linearity(mean, ylabel=f"mean {label}", ax=ax))
            )
        if f"lag_correlation {found.time}" in checks:
            lag = checks[f"lag_correlation {found.time}"]
            name = f"lag ({found.time})"
            panels.append(("residuals of one unit, by lag", lambda ax: lag_correlation(lag, xlabel=name, ax=ax)))
    lines = -(-len(panels) // columns)
    tall = 0.2 * any(len(title) > WIDEST for title, _ in panels)
    grid = new_figure(height=0.3 + (2.3 + tall) * lines).subplots(lines, columns, squeeze=False).ravel()
    for (title, draw), ax in zip(panels, grid, strict=False):
        draw(canvas(ax))
        ax.set_title(fill(title, WIDEST), loc="left", size="medium", pad=4)
    for ax in grid[len(panels) :]:
        ax.set_visible(False)
    return grid[: len(panels)]


def _quantiles(table: pd.DataFrame, ylabel: str) -> Any:
    return lambda ax: qq(table, ylabel=ylabel, ax=ax)


def _along_fitted(table: pd.DataFrame, label: str, ax: Axes) -> Axes:
    return residuals(table, "fitted", "conditional", xlabel="fitted value", ylabel=label, ax=ax)


def _by_group(found: Any, label: str, ax: Axes) -> Axes:
    """Residuals of every group, the groups in the order of their predicted level; names where they are few."""
    table = table_with(found.residuals, "fitted", "conditional")
    columns = str(found.group).split(":")
    groups = found.data[columns].astype(str).agg(":".join, axis=1).to_numpy()
    order = table["fitted"].groupby(groups).mean().sort_values().index
    place = pd.Series(np.arange(len(order)), index=order)[groups].to_numpy()
    ax.axhline(0, color=MIDDLE, lw=1, zorder=1)
    ends = table["conditional"].groupby(groups).agg(["min", "max"]).loc[order]
    ax.vlines(np.arange(len(order)), ends["min"], ends["max"], color=PALE, lw=2, zorder=2)
    ax.plot(place, table["conditional"], ls="", marker="o", ms=2.5, mfc="none", mec=DARK, mew=0.7, zorder=3)
    few = len(order) <= NAMED // 3
    ax.set_xticks(np.arange(len(order)) if few else [], [str(name) for name in order] if few else [])
    name_axes(ax, str(found.group) if few else f"{found.group}, by mean fitted value", label)
    return ax
