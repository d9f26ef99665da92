"""Estimates of many responses, and what single fits share with them: reference distributions and labels.

The p value, the interval and the df of a coefficient always belong to one and the same reference distribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lmmsim.model.columns import RandomTerm

Effects: TypeAlias = tuple[str, tuple[str, ...]]  # a grouping factor, and the effects of one of its random terms
Component: TypeAlias = tuple[str, str, str]  # ("sd", "plot", "week"), ("corr", "plot", "Intercept, week")
RESIDUAL: Component = ("sd", "residual", "")
BY_TERM, NUMBERS, FLAGS = ("estimate", "se", "df"), ("criterion", "sigma"), ("converged", "singular")


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
    """One analysis of many responses of one design: row i belongs to column i of Y.

    A response that could not be analysed has NaN, `converged` False and the reason in `message`.

    Attributes
    ----------
    terms : tuple of str, length p
    estimate, se, df, t, p, low, high : ndarray, (r, p)
    criterion, sigma, converged, singular, message : ndarray, (r,)
    effects : tuple of (group, names)
        What each random term is about: ("plot", ("Intercept", "week")).
    covariances : tuple of ndarray, (r, k, k)
        Covariance of the effects of each random term, absolute.
    given : dict of ndarray, (r, p)
        `p`, `low` and `high` where the analysis brings its own; otherwise they follow from `estimate`, `se` and `df`.
    level : float
        Level of the intervals.
    residual : dict of ndarray, (r,)
        Standard deviations and correlations of residuals with a structure, by (part, group, term).
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
    effects: tuple[Effects, ...] = ()
    covariances: tuple[np.ndarray, ...] = ()
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    level: float = 0.95
    residual: Mapping[Component, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.estimate)

    def __repr__(self) -> str:
        failed, singular = np.count_nonzero(~self.converged), np.count_nonzero(self.singular)
        return (
            f"Estimates of {', '.join(self.terms)} from {len(self)} responses: "
            f"{failed} not converged, {singular} singular"
        )

    @property
    def failed(self) -> np.ndarray:
        """Responses without any estimate, (r,)."""
        return np.isnan(self.estimate).all(axis=1)

    @cached_property
    def t(self) -> np.ndarray:
        """Estimate over standard error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.estimate / self.se

    @cached_property
    def p(self) -> np.ndarray:
        """Two-sided p values against zero."""
        return self.given["p"] if "p" in self.given else p_value(self.t, self.df)

    @cached_property
    def low(self) -> np.ndarray:
        """Lower ends of the intervals."""
        return self.given["low"] if "low" in self.given else self.estimate - self._reach

    @cached_property
    def high(self) -> np.ndarray:
        """Upper ends of the intervals."""
        return self.given["high"] if "high" in self.given else self.estimate + self._reach

    @cached_property
    def _reach(self) -> np.ndarray:
        """Half the length of the intervals."""
        return critical_value(self.df, self.level) * self.se

    def covers(self, value: float, j: int) -> np.ndarray:
        """Whether the interval of term j holds a value, as 1, 0 or NaN, (r,)."""
        if "low" in self.given:
            low, high = self.given["low"][:, j], self.given["high"][:, j]
            return np.where(np.isnan(low), np.nan, (low <= value) & (value <= high))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (self.estimate[:, j] - value) / self.se[:, j]
        p = p_value(t, self.df[:, j])  # the same question, and far cheaper than the quantiles of t
        return np.where(np.isnan(p), np.nan, p >= 1 - self.level)

    @cached_property
    def random(self) -> dict[str, np.ndarray]:
        """Covariance of the random effects by grouping factor, (r, k, k); zero between terms of one factor."""
        return by_group(self.effects, self.covariances)

    @cached_property
    def components(self) -> dict[Component, np.ndarray]:
        """Standard deviations and correlations, (r,) each, by (part, group, term); none without random effects."""
        if not self.effects:
            return dict(self.residual)
        return component_table(self.effects, self.covariances, self.sigma, self.residual)


def nothing(replicates: int, reason: str, terms: tuple[str, ...] = (), effects: tuple[Effects, ...] = ()) -> Estimates:
    """Responses that could not be analysed, all for one reason."""
    r, p = replicates, len(terms)
    return Estimates(
        terms=terms,
        estimate=np.full((r, p), np.nan),
        se=np.full((r, p), np.nan),
        df=np.full((r, p), np.nan),
        criterion=np.full(r, np.nan),
        sigma=np.full(r, np.nan),
        converged=np.zeros(r, dtype=bool),
        singular=np.zeros(r, dtype=bool),
        message=np.full(r, reason, dtype=object),
        effects=effects,
        covariances=tuple(np.full((r, len(names), len(names)), np.nan) for _, names in effects),
    )


def join(parts: Sequence[Estimates]) -> Estimates:
    """Put runs of responses one after another; a term that one of them lacks is NaN there."""
    if len(parts) == 1:
        return parts[0]
    told = next((part for part in parts if not part.failed.all()), parts[0])
    terms = tuple(dict.fromkeys(term for part in parts for term in part.terms))
    effects = tuple(dict.fromkeys(effect for part in parts for effect in part.effects))
    given = tuple(dict.fromkeys(name for part in parts for name in part.given))

    def stack(name: str) -> np.ndarray:
        values = [getattr(part, name, None) if name in BY_TERM else part.given.get(name) for part in parts]
        return np.concatenate([_placed(own, part, terms) for own, part in zip(values, parts, strict=True)])

    def covariances(effect: tuple[str, tuple[str, ...]]) -> np.ndarray:
        k = len(effect[1])
        unknown = [np.full((len(part), k, k), np.nan) for part in parts]
        known = [dict(zip(part.effects, part.covariances, strict=True)) for part in parts]
        return np.concatenate([own.get(effect, blank) for own, blank in zip(known, unknown, strict=True)])

    arrays: dict[str, Any] = {name: stack(name) for name in BY_TERM}
    arrays |= {name: np.concatenate([getattr(part, name) for part in parts]) for name in (*NUMBERS, *FLAGS, "message")}
    return Estimates(
        terms,
        **arrays,
        effects=effects,
        covariances=tuple(map(covariances, effects)),
        given={name: stack(name) for name in given},
        level=told.level,
        residual=_residuals(parts),
    )


def _residuals(parts: Sequence[Estimates]) -> dict[Component, np.ndarray]:
    """Numbers of the residual of several runs, NaN where a run has none."""
    names = dict.fromkeys(name for part in parts for name in part.residual)
    return {
        name: np.concatenate([part.residual.get(name, np.full(len(part), np.nan)) for part in parts]) for name in names
    }


def _placed(values: np.ndarray | None, part: Estimates, wanted: tuple[str, ...]) -> np.ndarray:
    """Columns of a part's terms at their places among the wanted ones; NaN where there are none."""
    if values is not None and part.terms == wanted:
        return values
    wide = np.full((len(part), len(wanted)), np.nan)
    if values is not None:
        wide[:, [wanted.index(term) for term in part.terms]] = values
    return wide


def rows(one: Estimates, begin: int, end: int) -> Estimates:
    """Some of the responses."""
    if begin == 0 and end >= len(one):
        return one
    some = slice(begin, end)
    arrays: dict[str, Any] = {name: getattr(one, name)[some] for name in (*BY_TERM, *NUMBERS, *FLAGS, "message")}
    return replace(
        one,
        **arrays,
        covariances=tuple(G[some] for G in one.covariances),
        given={name: values[some] for name, values in one.given.items()},
        residual={name: values[some] for name, values in one.residual.items()},
    )


def p_value(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Two-sided p of a t statistic; infinite df are the normal distribution."""
    from scipy.special import ndtr, stdtr

    t, df = -np.abs(np.asarray(t, float)), np.asarray(df, float)
    if t.shape != df.shape:
        t, df = np.broadcast_arrays(t, df)
    p = 2 * ndtr(t)
    finite = np.isfinite(df)
    p[finite] = 2 * stdtr(df[finite], t[finite])
    return np.where(np.isnan(df), np.nan, p)


def critical_value(df: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The t (or z, for infinite df) that a two-sided interval of this level reaches to."""
    from scipy.special import ndtri, stdtrit

    each, upper = np.asarray(df, float), (1 + level) / 2
    df, place = np.unique(each, return_inverse=True) if each.size > 20 else (each, ...)  # few are distinct, or all
    quantile = np.where(np.isnan(df), np.nan, ndtri(upper))
    finite = np.isfinite(df)
    quantile[finite] = stdtrit(df[finite], upper)
    return quantile[place]


def effects_of(terms: Sequence[RandomTerm]) -> tuple[Effects, ...]:
    """What each random term is about: its grouping factor and the names of its columns."""
    return tuple((term.group, tuple(term.names)) for term in terms)


def spread(terms: Sequence[RandomTerm], modes: Sequence[np.ndarray]) -> np.ndarray | float:
    """Z u: every row's sum of its groups' random effects."""
    parts = [(term.columns * u[term.codes]).sum(axis=1) for term, u in zip(terms, modes, strict=True)]
    return np.sum(parts, axis=0) if parts else 0.0


def by_group(effects: Iterable[Effects], covariances: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Merge the random terms of a group into one covariance (..., k, k), with zeros between terms."""
    merged: dict[str, np.ndarray] = {}
    for (group, _), G in zip(effects, covariances, strict=True):
        if group in merged:
            first, k = merged[group], merged[group].shape[-1]
            both = np.zeros((*G.shape[:-2], k + G.shape[-1], k + G.shape[-1]))
            both[..., :k, :k], both[..., k:, k:] = first, G
            merged[group] = both
        else:
            merged[group] = G
    return merged


def names_by_group(effects: Iterable[Effects]) -> dict[str, tuple[str, ...]]:
    """Column names of every grouping factor, in the order of `by_group`."""
    names: dict[str, tuple[str, ...]] = {}
    for group, own in effects:
        names[group] = names.get(group, ()) + own
    return names


def component_table(
    effects: Iterable[Effects],
    covariances: Sequence[np.ndarray],
    sigma: np.ndarray | float,
    residual: Mapping[Component, Any] | None = None,
) -> dict[Component, np.ndarray]:
    """Standard deviations and correlations by name, from covariances (..., k, k); NaN where there is none.

    Those of the residual are `sigma`, or what is given.
    """
    table: dict[Component, np.ndarray] = {}
    for (group, names), G in zip(effects, covariances, strict=True):
        sd = np.sqrt(np.diagonal(G, axis1=-2, axis2=-1))
        table |= {("sd", group, name): sd[..., i] for i, name in enumerate(names)}
        for i, name in enumerate(names):
            for j in range(i):
                with np.errstate(divide="ignore", invalid="ignore"):
                    table["corr", group, f"{names[j]}, {name}"] = G[..., i, j] / (sd[..., i] * sd[..., j])
    return table | dict(residual or {RESIDUAL: np.asarray(sigma, dtype=float)})
