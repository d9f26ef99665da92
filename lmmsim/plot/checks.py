"""Pictures of assumption checks: what the data show, and in grey what 95 % of data sets simulated from the fit show.

Each takes the check of the same name from `lmmsim.diagnose`, or its table. Quantile plots are `lmmsim.plot.qq`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import DARK, MIDDLE, PALE, canvas, height_of, name_axes, name_rows, table_with

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def residuals(
    table: Any,
    x: str = "fitted",
    y: str = "standardised",
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw residuals against fitted values.

    Parameters
    ----------
    table : DataFrame
        From `lmmsim.diagnose.residuals`.
    x, y : str
        Its columns: `fixed` or `fitted`; `marginal`, `conditional` or `standardised`.
    xlabel, ylabel : str, optional
        Names with units.
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"fitted": [1.0, 2.0, 3.0], "standardised": [0.5, -1.2, 0.4]})
    >>> residuals(table, ax=Figure().subplots()).get_ylabel()
    'standardised residual'
    """
    table = table_with(table, x, y)
    ax = canvas(ax)
    ax.axhline(0, color=MIDDLE, lw=1, zorder=1)
    ax.plot(table[x], table[y], ls="", marker="o", ms=4, mfc="none", mec=DARK, mew=0.9, zorder=3)
    name_axes(ax, xlabel or f"{x} value", ylabel or f"{y} residual")
    return ax


def linearity(check: Any, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw mean residuals along a covariate: a curve that leaves the band is missed by the model.

    Parameters
    ----------
    check : Check or DataFrame
        From `lmmsim.diagnose.linearity`: columns `at`, `mean`, `low`, `high`.
    xlabel, ylabel : str, optional
        Names with units: "week", "mean residual (cm)".
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"at": [0, 1, 2], "mean": [0.1, -0.2, 0.1], "low": -0.15, "high": 0.15})
    >>> linearity(table, ax=Figure().subplots()).get_ylabel()
    'mean residual'
    """
    ax = _along(check, "at", "mean", ("low", "high"), ax)
    ax.axhline(0, color=MIDDLE, lw=1, zorder=1)
    name_axes(ax, xlabel or _about(check, "covariate"), ylabel or "mean residual")
    return ax


def scale_location(check: Any, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the spread of residuals along fitted values, a covariate, or for the levels of a factor.

    Parameters
    ----------
    check : Check or DataFrame
        From `lmmsim.diagnose.scale_location`: columns `at`, `spread`, `low`, `high`.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"at": ["old", "new"], "spread": [0.8, 1.2], "low": 0.9, "high": 1.1})
    >>> scale_location(table, ax=Figure().subplots()).get_ylabel()
    'spread of residuals'
    """
    ax = _along(check, "at", "spread", ("low", "high"), ax)
    name_axes(ax, xlabel or _about(check, "fitted value"), ylabel or "spread of residuals")
    return ax


def lag_correlation(
    check: Any, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the correlation of residuals of one unit, by the time between them.

    Parameters
    ----------
    check : Check or DataFrame
        From `lmmsim.diagnose.lag_correlation`: columns `lag`, `correlation`, `low`, `high`.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"lag": [1, 2], "correlation": [0.3, 0.1], "low": -0.3, "high": 0.1})
    >>> lag_correlation(table, ax=Figure().subplots()).get_ylabel()
    'correlation of residuals'
    """
    ax = _along(check, "lag", "correlation", ("low", "high"), ax)
    ax.axhline(0, color=MIDDLE, lw=1, zorder=1)
    name_axes(ax, xlabel or "lag", ylabel or "correlation of residuals")
    return ax


def variogram(check: Any, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw half the mean squared difference of residuals of one unit, by the time between them.

    Parameters
    ----------
    check : Check or DataFrame
        From `lmmsim.diagnose.lag_correlation`: columns `lag`, `semivariance`, `semivariance_low`, `semivariance_high`.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"lag": [1, 2], "semivariance": [0.6, 0.9], "semivariance_low": 0.8})
    >>> variogram(table.assign(semivariance_high=1.2), ax=Figure().subplots()).get_ylabel()
    'semivariance of residuals'
    """
    ax = _along(check, "lag", "semivariance", ("semivariance_low", "semivariance_high"), ax)
    name_axes(ax, xlabel or "lag", ylabel or "semivariance of residuals")
    return ax


def slopes(check: Any, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the slope of the residuals of every group, sorted: many outside of their bands are missed random slopes.

    Parameters
    ----------
    check : Check or DataFrame
        From `lmmsim.diagnose.slopes`: columns `level`, `slope`, `low`, `high`.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"level": ["plot1", "plot2"], "slope": [0.5, -0.4], "low": -0.3, "high": 0.3})
    >>> [label.get_text() for label in slopes(table, ax=Figure().subplots()).get_yticklabels()]
    ['plot1', 'plot2']
    """
    table = table_with(_table(check), "level", "slope", "low", "high").sort_values("slope", ascending=False)
    ax, rows = canvas(ax, height=height_of(len(table))), np.arange(len(table))
    ax.axvline(0, color=MIDDLE, lw=1, zorder=1)
    ax.hlines(rows, table["low"], table["high"], color=PALE, lw=3, zorder=2)
    ax.plot(table["slope"], rows, ls="", marker="o", ms=4, color=DARK, zorder=3)
    name_rows(ax, pd.Index(table["level"]))
    name_axes(ax, xlabel or "slope of residuals", ylabel or "")
    return ax


def influence(
    check: Any, x: str | None = None, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how far the fit moves without each group, sorted.

    Parameters
    ----------
    check : Check or DataFrame
        From `lmmsim.diagnose.influence`: a row for each group.
    x : str, optional
        Its column: `cooks` where the fits were repeated and `cooks_kept` elsewhere; or `change week`, ...
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"cooks_kept": [0.1, 0.9]}, index=pd.Index(["school1", "school2"], name="school"))
    >>> ax = influence(table, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ("Cook's distance", 'school')
    """
    table = _table(check)
    x = x or ("cooks" if "cooks" in table else "cooks_kept")
    table = table_with(table, x).sort_values(x, ascending=False)
    ax, rows = canvas(ax, height=height_of(len(table))), np.arange(len(table))
    ax.hlines(rows, 0, table[x], color=PALE, lw=3, zorder=2)
    ax.plot(table[x], rows, ls="", marker="o", ms=4, color=DARK, zorder=3)
    name_rows(ax, table.index)
    name_axes(ax, xlabel or ("Cook's distance" if x.startswith("cooks") else x), ylabel or str(table.index.name or ""))
    return ax


def simulated_residuals(
    check: Any, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the ranks of the responses among simulated ones against uniform quantiles: on the diagonal if all is well.

    Parameters
    ----------
    check : Check or DataFrame
        From `lmmsim.diagnose.simulated_residuals`: a column `scaled`.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> simulated_residuals(pd.DataFrame({"scaled": [0.2, 0.9, 0.5]}), ax=Figure().subplots()).get_xlabel()
    'uniform quantile'
    """
    scaled = np.sort(table_with(_table(check), "scaled")["scaled"].to_numpy(dtype=float))
    ax = canvas(ax)
    ax.axline((0, 0), slope=1, color=MIDDLE, lw=1, zorder=1)
    ax.plot(
        (np.arange(len(scaled)) + 0.5) / len(scaled), scaled, ls="", marker="o", ms=4, mfc="none", mec=DARK, mew=0.9
    )
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    name_axes(ax, xlabel or "uniform quantile", ylabel or "share of simulated responses below")
    return ax


def _table(check: Any) -> pd.DataFrame:
    return check if isinstance(check, pd.DataFrame) else check.table


def _about(check: Any, otherwise: str) -> str:
    """The column that a check looks along, which its verdict names; a bare table does not know it."""
    name = "" if isinstance(check, pd.DataFrame) else str(check.verdict.index[0]).partition(" ")[2]
    return otherwise if name in ("", "fitted") else name


def _along(check: Any, x: str, y: str, ends: tuple[str, str], ax: Axes | None) -> Axes:
    """Values along x with the band of the simulated ones; bars where x has no order."""
    table = table_with(_table(check), x, y, *ends)
    low, high = (table[end] for end in ends)
    ax = canvas(ax)
    if pd.api.types.is_numeric_dtype(table[x]):
        ax.fill_between(table[x], low, high, color=PALE, alpha=0.6, lw=0)
        ax.plot(table[x], table[y], color=DARK, marker="o", ms=4.5, lw=1.2, zorder=3)
        return ax
    at = np.arange(len(table))
    ax.vlines(at, low, high, color=PALE, lw=8, zorder=2)
    ax.plot(at, table[y], ls="", color=DARK, marker="o", ms=5.5, zorder=3)
    ax.set_xticks(at, [str(level) for level in table[x]])
    ax.set_xlim(-0.5, len(at) - 0.5)
    return ax
