"""Pictures of random effects: predictions beside the truth, shrinkage, normal quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import (
    DARK,
    MIDDLE,
    PALE,
    STYLES,
    canvas,
    height_of,
    legend_above,
    name_axes,
    name_rows,
    table_with,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def caterpillar(
    u: Any,
    truth: pd.Series | None = None,
    intervals: pd.DataFrame | None = None,
    *,
    term: str = "Intercept",
    group: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw predicted random effects in their order, with intervals and the truth where it is known.

    Parameters
    ----------
    u : Series or Fit
        Predictions by (group, level, term), or by level alone.
    truth : Series, optional
        True values on the same index, as `Simulation.u`: hollow.
    intervals : DataFrame, optional
        Columns `low` and `high` on the same index.
    term, group : str
        Which effects; the group may be left out where there is one.
    xlabel, ylabel : str, optional
        Names with units: "intercept of a plot (cm)".
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = caterpillar(pd.Series({"plot1": 1.2, "plot2": -0.4}), truth=pd.Series({"plot1": 1.5, "plot2": -1.0}))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['plot2', 'plot1']
    """
    from matplotlib.lines import Line2D

    look, true = STYLES["LMM"], STYLES["truth"]
    predicted, group = _effects(u if isinstance(u, pd.Series) else u.u, term, group)
    predicted = predicted.sort_values()
    ax = canvas(ax, height=height_of(len(predicted)))
    at = np.arange(len(predicted))
    ax.axvline(0, color=PALE, lw=1, zorder=0)
    ax.plot(predicted, at, ls="", marker=look.marker, ms=5, color=look.colour, zorder=3)
    handles = [Line2D([], [], ls="", marker=look.marker, ms=5, color=look.colour, label="predicted")]
    if intervals is not None:
        ends = _effects(table_with(intervals, "low", "high"), term, group)[0].reindex(predicted.index)
        ax.hlines(at, ends["low"], ends["high"], color=look.colour, lw=1.5, zorder=2)
    if truth is not None:
        known = _effects(truth, term, group)[0].reindex(predicted.index)
        ax.plot(known, at, ls="", marker=true.marker, ms=5, mfc="white", mec=true.colour, zorder=4)
        handles.append(Line2D([], [], ls="", marker=true.marker, ms=5, mfc="white", mec=true.colour, label="truth"))
        legend_above(ax, handles, side="right")
    name_rows(ax, predicted.index)
    ax.set_ylim(-0.8, len(predicted) - 0.2)  # the smallest at the bottom
    name_axes(ax, xlabel or f"{term} of a {group or 'group'}: deviation from the mean", ylabel or group or "")
    return ax


def _effects(values: Any, term: str, group: str | None) -> tuple[Any, str | None]:
    """The effects of one term of one group, by level, and the group's name."""
    if not len(values):
        raise ValueError("there are no random effects to draw")
    if not isinstance(values.index, pd.MultiIndex):
        return values, group
    groups = list(values.index.unique("group"))
    if group is None and len(groups) > 1:
        raise ValueError(f"there are several groups: say group= one of {', '.join(map(repr, groups))}")
    group = groups[0] if group is None else group
    if group not in groups:
        raise ValueError(f"there is no group '{group}'; the groups are {', '.join(map(repr, groups))}")
    chosen = values[values.index.get_level_values("group") == group]
    terms = list(chosen.index.unique("term"))
    if term not in terms:
        raise ValueError(f"'{group}' has no term '{term}'; its terms are {', '.join(map(repr, terms))}")
    chosen = chosen[chosen.index.get_level_values("term") == term]
    return chosen.droplevel(["group", "term"]), group


def shrinkage(
    no_pooling: pd.Series | pd.DataFrame,
    partial: pd.Series | pd.DataFrame,
    population: float | pd.Series | None = None,
    *,
    truth: pd.Series | pd.DataFrame | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how a mixed model moves every group's own estimate towards the population.

    Parameters
    ----------
    no_pooling, partial : Series or DataFrame, one row for each group
        Estimates from the group's own data alone, and from the mixed model: one column (or a Series) gives a line
        for each group, in the order given; two columns (intercept, slope) give a map.
    population : float or Series, optional
        What they are pulled towards, by column for a map.
    truth : Series or DataFrame, optional
        True values, where they are known: hollow.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> own, shared = pd.Series({"a": 1.0, "b": 5.0}), pd.Series({"a": 2.0, "b": 4.0})
    >>> ax = shrinkage(own, shared, population=3.0, xlabel="days")
    >>> len(ax.patches)  # an arrow for each group
    2
    """
    own = pd.DataFrame(no_pooling)
    if own.empty:
        raise ValueError("there are no groups to draw")
    if own.shape[1] not in (1, 2):
        raise ValueError(f"shrinkage draws 1 or 2 columns, not {own.shape[1]}: choose among {list(own.columns)}")
    shared = _same_groups(partial, own, "partial")
    true = None if truth is None else _same_groups(truth, own, "truth")
    frames = [own, shared] if true is None else [own, shared, true]
    if own.shape[1] == 2:
        ax = canvas(ax, height=4.4)
        clouds = [(frame.iloc[:, 0].to_numpy(float), frame.iloc[:, 1].to_numpy(float)) for frame in frames]
        name_axes(ax, xlabel or str(own.columns[0]), ylabel or str(own.columns[1]))
    else:
        ax = canvas(ax, height=height_of(len(own)))
        clouds = [(frame.iloc[:, 0].to_numpy(float), np.arange(len(own))) for frame in frames]
        name_rows(ax, own.index)
        estimate = str(getattr(no_pooling, "name", None) or "estimate")
        name_axes(ax, xlabel or estimate, ylabel or str(own.index.name or ""))
    handles = _arrows(ax, *clouds)
    if population is not None:
        handles.insert(2, _population(ax, np.ravel(np.asarray(population, dtype=float)), own.shape[1]))
    legend_above(ax, handles, side="left" if own.shape[1] == 2 else "right")
    return ax


def _same_groups(values: pd.Series | pd.DataFrame, own: pd.DataFrame, what: str) -> pd.DataFrame:
    """The rows of a table in the order of the first one; refuse it if it lacks any."""
    frame = pd.DataFrame(values)
    lacking = own.index.difference(frame.index)
    if len(lacking):
        raise ValueError(f"{what} has no row for {', '.join(map(str, lacking[:5]))}; both need the same groups")
    if frame.shape[1] != own.shape[1]:
        raise ValueError(f"{what} has {frame.shape[1]} columns and no_pooling {own.shape[1]}; both need the same")
    return frame.loc[own.index]


def _arrows(ax: Axes, own: Any, shared: Any, truth: Any = None) -> list[Any]:
    """An arrow for each group, from its own estimate to the shared one; returns what the legend shows."""
    from matplotlib.patches import FancyArrowPatch

    before, after, true = STYLES["group means"], STYLES["LMM"], STYLES["truth"]
    handles = [
        *ax.plot(*own, ls="", marker=before.marker, ms=5.5, color=before.colour, zorder=3, label="own data only"),
        *ax.plot(*shared, ls="", marker=after.marker, ms=5, color=after.colour, zorder=4, label="mixed model"),
    ]
    shape: dict[str, Any] = {"arrowstyle": "-|>,head_length=3,head_width=1.5", "shrinkA": 0, "shrinkB": 2.5}
    for x0, y0, x1, y1 in zip(*own, *shared, strict=True):
        ax.add_patch(FancyArrowPatch((x0, y0), (x1, y1), lw=0.9, color=MIDDLE, zorder=2, **shape))
    if truth is not None:
        ax.plot(*truth, ls="", marker=true.marker, ms=5, mfc="none", mec=true.colour, zorder=3, label="truth")
        handles.append(ax.lines[-1])
    return handles


def _population(ax: Axes, centre: np.ndarray, columns: int) -> Any:
    """What the groups are pulled towards: a line, or a point of the map."""
    look = STYLES["OLS"]
    if columns == 1:
        return ax.axvline(centre[0], color=look.colour, lw=1.5, ls=look.line, zorder=0, label="population")
    ax.plot(*centre[:2], ls="", marker="P", ms=11, color=look.colour, mec="white", zorder=5, label="population")
    return ax.lines[-1]


def qq(
    values: Any,
    envelope: pd.DataFrame | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw sample quantiles against normal ones, with an envelope computed elsewhere.

    Parameters
    ----------
    values : DataFrame, Check or array_like
        A table, or a check of `lmmsim.diagnose`, with columns `theoretical` and `sample`, and `low` and `high` where it
        has its envelope; or the bare values, which are then ordered and set against the quantiles at
        (i − 3/8) / (n + 1/4) (Blom 1958).
    envelope : DataFrame, optional
        Columns `theoretical`, `low`, `high`; in place of the table's own.
    xlabel, ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = qq([0.3, -1.2, 0.9, 0.1, -0.4], ylabel="residual (cm)")
    >>> ax.get_xlabel()
    'normal quantile'
    """
    table = table_with(_quantiles(values), "theoretical", "sample").sort_values("theoretical")
    if {"group", "term"} <= set(table.columns) and len(kinds := table[["group", "term"]].drop_duplicates()) > 1:
        which = ", ".join(f"{group} {term}" for group, term in kinds.itertuples(index=False))
        raise ValueError(
            f"the table has quantiles of {which}, and a picture shows one: choose, as table[table['term'] == 'week']"
        )
    if envelope is None and {"low", "high"} <= set(table.columns):
        envelope = table
    ax = canvas(ax)
    if envelope is not None:
        band = table_with(envelope, "theoretical", "low", "high").sort_values("theoretical")
        ax.fill_between(band["theoretical"], band["low"], band["high"], color=PALE, alpha=0.6, lw=0)
    x, y = table["theoretical"].to_numpy(), table["sample"].to_numpy()
    (x1, x3), (y1, y3) = np.quantile(x, [0.25, 0.75]), np.quantile(y, [0.25, 0.75])
    if x3 > x1:
        ax.axline((x1, y1), slope=(y3 - y1) / (x3 - x1), color=MIDDLE, lw=1, zorder=1)
    ax.plot(x, y, ls="", marker="o", ms=4, mfc="none", mec=DARK, mew=0.9, zorder=3)
    name_axes(ax, xlabel or "normal quantile", ylabel or "sample quantile")
    return ax


def _quantiles(values: Any) -> pd.DataFrame:
    """A table as it is; bare values with the normal quantiles that belong to their ranks."""
    values = getattr(values, "table", values)
    if isinstance(values, pd.DataFrame):
        return values
    from scipy.special import ndtri

    sample = np.sort(np.asarray(values, dtype=float))
    sample = sample[~np.isnan(sample)]
    n = len(sample)
    return pd.DataFrame({"theoretical": ndtri((np.arange(n) + 0.625) / (n + 0.25)), "sample": sample})
