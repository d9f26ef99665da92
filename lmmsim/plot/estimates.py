"""Pictures of estimates: intervals of several analyses side by side, and sampling distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import (
    DARK,
    PALE,
    STYLES,
    Style,
    canvas,
    legend_above,
    levels,
    name_axes,
    number,
    rows_only,
    styles,
    table_with,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def intervals(
    tables: Mapping[str, Any],
    truth: Mapping[str, float] | pd.Series | None = None,
    *,
    terms: Sequence[str] | str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw coefficients with their intervals, several analyses side by side.

    Parameters
    ----------
    tables : mapping
        Name of the analysis: its table of coefficients (index term; `estimate low high`), or its `Fit`.
    truth : mapping or Series, optional
        True values by term, as `Simulation.beta`.
    terms : str or sequence of str, optional
        Which coefficients, from top to bottom; else all of the first table.
    xlabel, ylabel : str, optional
        Names with units: "estimate (cm per week)".
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> table = pd.DataFrame({"estimate": [2.0], "low": [1.0], "high": [3.0]}, index=["method[T.new]"])
    >>> wide = table.assign(low=-1.0, high=5.0)
    >>> ax = intervals({"OLS": table, "LMM": wide}, truth={"method[T.new]": 1.5}, xlabel="effect (points)")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['OLS', 'LMM']
    """
    from matplotlib.lines import Line2D

    coefs = {str(name): _coefficients(table, str(name)) for name, table in tables.items()}
    if not coefs:
        raise ValueError("there are no analyses to draw: give a mapping of names to tables of coefficients")
    wanted = [terms] if isinstance(terms, str) else list(next(iter(coefs.values())).index if terms is None else terms)
    absent = [term for term in wanted if not any(term in coef.index for coef in coefs.values())]
    if absent:
        everything = pd.Index([]).append([coef.index for coef in coefs.values()]).unique()
        raise ValueError(f"no analysis has the term {absent[0]!r}; the terms are {', '.join(map(repr, everything))}")
    looks = styles(coefs)
    ax = canvas(ax, height=float(np.clip(1.0 + 0.17 * len(wanted) * (len(coefs) + 0.8), 2.0, 7.0)))
    step = 0.8 / len(coefs)
    offsets = (np.arange(len(coefs)) - (len(coefs) - 1) / 2) * step
    for (name, coef), offset in zip(coefs.items(), offsets, strict=True):
        for i, term in enumerate(wanted):
            if term in coef.index:
                _interval(ax, coef.loc[term], i + offset, looks[name])
    low, high = ax.get_xlim()
    if low < 0 < high:
        ax.axvline(0, color=PALE, lw=1, zorder=0)
    if len(wanted) == 1:
        _truth_line(ax, truth, wanted[0])
        ax.set_yticks(offsets, list(coefs))
    else:
        handles = [Line2D([], [], color=s.colour, marker=s.marker, ms=6, ls=s.line, label=n) for n, s in looks.items()]
        if truth is not None:
            known = {i: float(truth[term]) for i, term in enumerate(wanted) if term in truth}
            for i, value in known.items():
                ax.vlines(value, i - 0.48, i + 0.48, color=DARK, lw=1.2, zorder=1.5)
            handles.append(Line2D([], [], ls="", marker="|", ms=13, mew=1.3, color=DARK, label="truth"))
        legend_above(ax, handles, side="right")
        ax.set_yticks(range(len(wanted)), wanted)
    ax.set_ylim(len(wanted) - 0.45, -0.55)
    rows_only(ax)
    name_axes(ax, xlabel or (f"estimate of {wanted[0]}" if len(wanted) == 1 else "estimate"), ylabel or "")
    return ax


def _coefficients(table: Any, name: str) -> pd.DataFrame:
    """The table of coefficients that was given, or that of a fit."""
    coef = table if isinstance(table, pd.DataFrame) else getattr(table, "coef", None)
    if not isinstance(coef, pd.DataFrame):
        raise TypeError(f"'{name}' is {type(table).__name__}: a table of coefficients or a Fit is needed")
    coef = table_with(coef, "estimate", "low", "high")
    return coef.set_index("term") if "term" in coef.columns else coef


def _interval(ax: Axes, row: pd.Series, at: float, look: Style) -> None:
    """An estimate with its interval, at a height."""
    ax.hlines(at, row["low"], row["high"], color=look.colour, lw=2, ls=look.line, zorder=2)
    ax.plot([row["low"], row["high"]], [at, at], ls="", marker="|", ms=7, mew=1.5, color=look.colour, zorder=2)
    ax.plot(row["estimate"], at, marker=look.marker, ms=7, color=look.colour, mec="white", mew=0.6, zorder=3)


def sampling(
    estimates: pd.DataFrame | Any,
    truth: float | Mapping[str, float] | None = None,
    *,
    by: str = "analysis",
    term: str | None = None,
    bins: int = 40,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the sampling distribution of an estimate, one histogram above the other for each analysis.

    The point below each is its mean, with two Monte-Carlo standard errors to both sides.

    Parameters
    ----------
    estimates : DataFrame or Study
        Columns `estimate`, `term` and that of `by`; one row per replicate, analysis and term.
    truth : float or mapping, optional
        The true value, or those of all terms.
    by : str, default "analysis"
        Column that makes the rows of the picture.
    term : str, optional
        Which coefficient; may be left out where there is one.
    bins : int
        Bars over the common range.
    xlabel, ylabel : str, optional
        Names with units: "estimated effect (points)".
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> table = pd.DataFrame({"analysis": ["OLS", "LMM"] * 50, "term": "x", "estimate": np.linspace(0, 2, 100)})
    >>> ax = sampling(table, truth=1.0)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['OLS', 'LMM']
    """
    table, term = one_term(estimates, term, "estimate", by)
    table = table[np.isfinite(table["estimate"].astype(float))]
    if table.empty:
        raise ValueError("no estimate is a finite number: there is nothing to draw")
    names = levels(table[by])
    looks = styles(map(str, names))
    ax = canvas(ax, height=max(2.2, 0.9 + 0.75 * len(names)))
    edges = np.histogram_bin_edges(table["estimate"].to_numpy(float), bins)
    counts = {name: np.histogram(table.loc[table[by] == name, "estimate"], edges, density=True)[0] for name in names}
    tallest = max(float(count.max()) for count in counts.values())
    for i, name in enumerate(names):
        base, look = len(names) - 1 - i, looks[str(name)]
        heights = base + 0.72 * counts[name] / tallest
        ax.stairs(heights, edges, baseline=base, fill=True, color=look.colour, alpha=0.35, lw=0)
        ax.stairs(heights, edges, baseline=base, color=look.colour, lw=1.2)
        values = table.loc[table[by] == name, "estimate"].to_numpy(float)
        error = 2 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        ax.errorbar(
            values.mean(), base - 0.1, xerr=error, fmt=look.marker, color=look.colour, ms=5, capsize=2.5, zorder=4
        )
    _truth_line(ax, truth, term)
    ax.set_yticks(np.arange(len(names))[::-1] + 0.15, [str(name) for name in names])
    ax.set_ylim(-0.25, len(names) - 0.1)
    rows_only(ax)
    name_axes(ax, xlabel or (f"estimate of {term}" if term else "estimate"), ylabel or "")
    return ax


def one_term(estimates: Any, term: str | None, *needed: str) -> tuple[pd.DataFrame, str | None]:
    """The rows of one term, and its name."""
    table = estimates if isinstance(estimates, pd.DataFrame) else getattr(estimates, "estimates", estimates)
    table = table_with(table, *needed, *(["term"] if term is not None else []))
    if "term" not in table.columns:
        return table, None
    names = levels(table["term"])
    if term is None and len(names) > 1:
        raise ValueError(f"there are several terms: say term= one of {', '.join(map(repr, names))}")
    term = names[0] if term is None else term
    if term not in names:
        raise ValueError(f"there is no term {term!r}; the terms are {', '.join(map(repr, names))}")
    return table[table["term"] == term], term


def true_value(truth: Any, term: str | None) -> float | None:
    """The true value of the term: a number as it is, or from a mapping."""
    if truth is None:
        return None
    if np.ndim(truth) == 0 and not isinstance(truth, Mapping):
        return float(truth)
    if term not in truth:
        raise ValueError(f"truth has no value for the term {term!r}")
    return float(truth[term])


def _truth_line(ax: Axes, truth: Any, term: str | None) -> None:
    """A line at the true value, with the number above it."""
    value = true_value(truth, term)
    if value is not None:
        ax.axvline(value, color=STYLES["truth"].colour, lw=1.2, zorder=1.5)
        ax.annotate(
            f"truth {number(value)}", (value, 1), (0, 2), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom",
        )  # fmt: skip
