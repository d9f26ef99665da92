"""Estimates of many responses, and what single fits share with them: reference distributions and labels.

The p value, the interval and the df of a coefficient always belong to one and the same reference distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.model.columns import RandomTerm


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
    """One analysis of many responses of one design: row i belongs to column i of Y.

    A response that could not be analysed has NaN, `converged` False and the reason in `message`.

    Attributes
    ----------
    terms : tuple of str, length p
    estimate, se, df, t, p, low, high : ndarray, (r, p)
    criterion, sigma, converged, singular, message : ndarray, (r,)
    random : dict of ndarray, (r, k, k)
        Covariance of the random effects by grouping factor, absolute.
    """

    terms: tuple[str, ...]
    estimate: np.ndarray
    se: np.ndarray
    df: np.ndarray
    criterion: np.ndarray
    sigma: np.ndarray
    converged: np.ndarray
    singular: np.ndarray
    message: np.ndarray
    random: dict[str, np.ndarray] = field(default_factory=dict)
    level: float = 0.95

    def __len__(self) -> int:
        return len(self.estimate)

    def __repr__(self) -> str:
        failed, singular = np.count_nonzero(~self.converged), np.count_nonzero(self.singular)
        return (
            f"Estimates of {', '.join(self.terms)} from {len(self)} responses: "
            f"{failed} not converged, {singular} singular"
        )

    @cached_property
    def t(self) -> np.ndarray:
        """Estimate over standard error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.estimate / self.se

    @cached_property
    def p(self) -> np.ndarray:
        """Two-sided p values against zero."""
        return p_value(self.t, self.df)

    @cached_property
    def low(self) -> np.ndarray:
        """Lower ends of the intervals."""
        return self.estimate - critical_value(self.df, self.level) * self.se

    @cached_property
    def high(self) -> np.ndarray:
        """Upper ends of the intervals."""
        return self.estimate + critical_value(self.df, self.level) * self.se

    def frame(self) -> pd.DataFrame:
        """Tidy table: one row per replicate and term."""
        r, p = self.estimate.shape
        columns: dict[str, Any] = {
            "replicate": np.repeat(np.arange(r), p),
            "term": np.tile(np.array(self.terms), r),
        }
        for name in ("estimate", "se", "df", "t", "p", "low", "high"):
            columns[name] = getattr(self, name).ravel()
        for name in ("converged", "singular"):
            columns[name] = np.repeat(getattr(self, name), p)
        return pd.DataFrame(columns)


def p_value(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Two-sided p of a t statistic; infinite df are the normal distribution."""
    from scipy.special import ndtr, stdtr

    t, df = np.broadcast_arrays(-np.abs(np.asarray(t, float)), np.asarray(df, float))
    p = 2 * ndtr(t)
    finite = np.isfinite(df)
    p[finite] = 2 * stdtr(df[finite], t[finite])
    return np.where(np.isnan(df), np.nan, p)


def critical_value(df: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The t (or z, for infinite df) that a two-sided interval of this level reaches to."""
    from scipy.special import ndtri, stdtrit

    df = np.asarray(df, float)
    upper = (1 + level) / 2
    quantile = np.full(df.shape, ndtri(upper))
    finite = np.isfinite(df)
    quantile[finite] = stdtrit(df[finite], upper)
    return np.where(np.isnan(df), np.nan, quantile)


def effects_index(terms: tuple[RandomTerm, ...]) -> pd.MultiIndex:
    """Labels of all random effects: bar by bar, level by level, column by column."""
    if not terms:
        return pd.MultiIndex.from_arrays([[], [], []], names=["group", "level", "term"])
    index = terms[0].index
    return index.append([bar.index for bar in terms[1:]]) if len(terms) > 1 else index


def spread(terms: Sequence[RandomTerm], modes: Sequence[np.ndarray]) -> np.ndarray | float:
    """Z u: every row's sum of its groups' random effects."""
    parts = [(bar.columns * u[bar.codes]).sum(axis=1) for bar, u in zip(terms, modes, strict=True)]
    return np.sum(parts, axis=0) if parts else 0.0


def by_group(terms: tuple[RandomTerm, ...], covariances: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """Merge the bars of a group into one covariance (..., k, k), with zeros between bars."""
    merged: dict[str, np.ndarray] = {}
    for bar, G in zip(terms, covariances, strict=True):
        if bar.group in merged:
            first, k = merged[bar.group], merged[bar.group].shape[-1]
            both = np.zeros((*G.shape[:-2], k + G.shape[-1], k + G.shape[-1]))
            both[..., :k, :k], both[..., k:, k:] = first, G
            merged[bar.group] = both
        else:
            merged[bar.group] = G
    return merged


def names_by_group(terms: tuple[RandomTerm, ...]) -> dict[str, tuple[str, ...]]:
    """Column names of every grouping factor, in the order of `by_group`."""
    names: dict[str, tuple[str, ...]] = {}
    for bar in terms:
        names[bar.group] = names.get(bar.group, ()) + tuple(bar.names)
    return names


def component_table(
    random: Mapping[str, np.ndarray], names: Mapping[str, tuple[str, ...]], sigma: np.ndarray
) -> dict[str, np.ndarray]:
    """Standard deviations and correlations by name, from covariances (m, k, k) by group; NaN where there is none."""
    table: dict[str, np.ndarray] = {}
    for group, G in random.items():
        columns = names.get(group, tuple(map(str, range(G.shape[-1]))))
        sd = np.sqrt(np.diagonal(G, axis1=-2, axis2=-1))
        for i, name in enumerate(columns):
            table[f"sd {group} {name}"] = sd[..., i].copy()
        for i, name in enumerate(columns):
            for j in range(i):
                with np.errstate(divide="ignore", invalid="ignore"):
                    table[f"corr {group} {columns[j]} {name}"] = G[..., i, j] / (sd[..., i] * sd[..., j])
    table["sd residual"] = np.asarray(sigma, dtype=float)
    return table
