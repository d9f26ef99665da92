"""A residual's free numbers, on a scale without bounds, and R with its first and second derivatives in them.

R is in units of sigma^2, the residual variance of the first level (of the first time), which the likelihood profiles
out. phi holds the rest: logs of the other sds over the first, and what the correlation needs.

Shapes: r responses, each with its own phi (r, s); rows of G blocks of m rows; arrays end in (G, m, m).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lmmsim.model.columns import levels_of
from lmmsim.model.residual import Residual, column_of
from lmmsim.model.units import WithinUnit

Component = tuple[str, str, str]
EDGE = 1e-6  # a correlation nearer than this to where it must stop counts as being there


class Here(Protocol):
    """R of some blocks at one phi of each response, with its derivatives."""

    R: np.ndarray  # (r, G, m, m), or (1, G, m, m) where phi has no say

    def slopes(self) -> np.ndarray:
        """R_a, (r, s, G, m, m)."""

    def bend(self, M: np.ndarray) -> np.ndarray:
        """The sum of M R_ab for M (r, G, m, m), (r, s, s)."""


Piece = Callable[[np.ndarray], Here]  # of phi (r, s)


class Numbers(ABC):
    """The free numbers of one kind of residual on the rows of one data set.

    Attributes
    ----------
    spec : Residual
        With what is to be estimated left out.
    size : int
        Length of phi.
    codes : ndarray of int, (n,), or None
        The unit of every row; None where all rows are independent.
    looks : ndarray, (n, d)
        What decides R within a unit, row by row: the precision, then what the kind needs.
    """

    spec: Residual
    size: int
    codes: np.ndarray | None
    looks: np.ndarray

    @abstractmethod
    def piece(self, looks: np.ndarray, same: np.ndarray) -> Piece:
        """R of blocks with these looks (G, m, d), where `same` (G, m, m) says which rows share a unit."""

    @abstractmethod
    def start(self, rest: np.ndarray) -> np.ndarray:
        """Guesses (K, r, s), the correlation growing, from least-squares residuals (n, r), NaN where there is none."""

    @property
    @abstractmethod
    def always(self) -> tuple[int, ...]:
        """Which guesses are tried, wherever the criterion is lowest, if there are more than two numbers to be found."""

    @abstractmethod
    def numbers(self, phi: np.ndarray, sigma: np.ndarray) -> dict[str, Any]:
        """Sds and correlations by the field of the spec they belong to, each (r,), or {level: (r,)}."""

    @abstractmethod
    def at_edge(self, phi: np.ndarray) -> np.ndarray:
        """Whether a correlation is as far as it can go, (r,)."""

    def variances(self, phi: np.ndarray) -> np.ndarray:
        """Variance of every row's residual in units of sigma^2, (r, n)."""
        alone = self.piece(self.looks[:, None], np.ones((len(self.looks), 1, 1), dtype=bool))(phi)
        return np.broadcast_to(alone.R[:, :, 0, 0], (len(phi), len(self.looks)))

    def components(self, phi: np.ndarray, sigma: np.ndarray) -> dict[Component, np.ndarray]:
        """Sds and correlations by (part, "residual", term)."""
        out: dict[Component, np.ndarray] = {}
        numbers = self.numbers(phi, sigma)
        sds = numbers["sd"] if isinstance(numbers["sd"], Mapping) else {"": numbers["sd"]}
        out |= {("sd", "residual", str(level)): sd for level, sd in sds.items()}
        if "rho" in numbers:
            out["corr", "residual", "rho"] = numbers["rho"]
        for (one, other), corr in numbers.get("corr", {}).items():
            out["corr", "residual", f"{one}, {other}"] = corr
        return out

    def filled(self, phi: np.ndarray, sigma: float) -> Residual:
        """The residual with the estimates of one response for its numbers."""

        def plain(value: Any) -> Any:
            return {k: plain(v) for k, v in value.items()} if isinstance(value, Mapping) else float(value[0])

        numbers = self.numbers(phi[None], np.array([sigma]))
        return replace(self.spec, **{name: plain(value) for name, value in numbers.items()})  # type: ignore[type-var]


class Scaled(Numbers):
    """R_st = e_s e_t C_st: an sd for each level, and a correlation that has at most one number."""

    def __init__(self, spec: Residual, data: pd.DataFrame, correlation: Correlation | None = None) -> None:
        n = len(data)
        self.spec, self.correlation = spec, correlation
        if spec.by is None:
            self.levels, level = pd.Index([""]), np.zeros(n)
        else:
            column_of(data, spec.by)
            self.levels, level = levels_of([spec.by], data)
        self.ratios = len(self.levels) - 1
        self.size = self.ratios + (correlation.size if correlation else 0)
        self.codes = spec.units(data)[1] if isinstance(spec, WithinUnit) else None
        times = correlation.looks if correlation else np.zeros(n)
        self.looks = np.column_stack([spec.precisions(data), level, times])

    def piece(self, looks: np.ndarray, same: np.ndarray) -> Piece:
        scale = 1 / np.sqrt(looks[..., 0])
        known = scale[..., :, None] * scale[..., None, :]
        member = (looks[None, ..., 1] == np.arange(1, self.ratios + 1)[:, None, None]).astype(float)
        correlation = self.correlation.piece(looks[..., 2], same) if self.correlation else None
        return lambda phi: ScaledHere(phi, known, member, correlation)

    def start(self, rest: np.ndarray) -> np.ndarray:
        from scipy import sparse

        n, level = len(rest), self.looks[:, 1].astype(int)
        member = sparse.csr_array((np.ones(n), (level, np.arange(n))), shape=(self.ratios + 1, n))
        squares = member @ np.nan_to_num(rest**2 * self.looks[:, :1])
        mean = squares / np.maximum(member @ np.isfinite(rest).astype(float), 1.0)
        mean = np.maximum(mean, 1e-4 * mean.max(axis=0))
        logs = 0.5 * np.log(mean[1:] / mean[:1]).T
        if self.size == self.ratios:
            return np.stack([logs, logs / 2]) if self.ratios else logs[None]
        assert self.correlation is not None
        begins = [(logs, begin) for begin in self.correlation.begins]
        if self.ratios:
            begins.append((logs / 2, begins[-1][1]))
        return np.stack([np.column_stack([sds, np.full(len(sds), z)]) for sds, z in begins])

    @property
    def always(self) -> tuple[int, ...]:
        if self.size == self.ratios:
            return (0, 1)[: 1 + bool(self.ratios)]
        middle = len(self.correlation.begins) // 2 if self.correlation else 0
        return (middle - 1, middle + 1, *([2 * middle + 1] if self.ratios else []))

    def numbers(self, phi: np.ndarray, sigma: np.ndarray) -> dict[str, Any]:
        sds = np.exp(np.column_stack([np.zeros(len(phi)), phi[:, : self.ratios]])) * sigma[:, None]
        by_level = dict(zip(self.levels.tolist(), sds.T, strict=True))
        out: dict[str, Any] = {"sd": sigma if self.spec.by is None else by_level}
        if self.correlation is not None:
            out["rho"] = self.correlation.rho(phi[:, self.ratios :])
        return out

    def at_edge(self, phi: np.ndarray) -> np.ndarray:
        if self.size == self.ratios:
            return np.zeros(len(phi), dtype=bool)
        assert self.correlation is not None
        return self.correlation.at_edge(phi[:, self.ratios])


class ScaledHere:
    """R = e e' C at one phi."""

    def __init__(self, phi: np.ndarray, known: np.ndarray, member: np.ndarray, correlation: OfZ | None) -> None:
        self.size, self.k, self.member = phi.shape[1], len(member), member
        self.scale = known[None]
        if self.k:
            e = np.exp(np.tensordot(phi[:, : self.k], member, 1))
            self.scale = known * e[..., :, None] * e[..., None, :]
        if correlation is None:
            self.R = self.scale * np.eye(known.shape[-1])
        else:
            self.C = correlation(phi[:, self.k :])
            self.R = self.scale * self.C[0]

    @cached_property
    def count(self) -> np.ndarray:
        """How often the sd of a level is in every entry of R, (L - 1, G, m, m)."""
        return self.member[..., :, None] + self.member[..., None, :]

    def slopes(self) -> np.ndarray:
        of_sds = self.count * self.R[:, None]
        if self.size == self.k:
            return of_sds
        of_correlation = (self.scale * self.C[1])[:, None]
        return np.concatenate([of_sds, of_correlation], axis=1) if self.k else of_correlation

    def bend(self, M: np.ndarray) -> np.ndarray:
        r, k = len(M), self.k
        out = np.zeros((r, self.size, self.size))
        flat = self.count.reshape(k, M[0].size)
        if k:
            out[:, :k, :k] = (flat * (M * self.R).reshape(r, 1, -1)) @ flat.T
        if self.size > k:
            sized = (self.scale * M).reshape(r, -1)
            out[:, k, k] = (sized * self.C[2].reshape(r, -1)).sum(axis=1)
            if k:
                out[:, :k, k] = out[:, k, :k] = (sized * self.C[1].reshape(r, -1)) @ flat.T
        return out


OfZ = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]  # C and its two derivatives in z (r, size)


class Correlation(ABC):
    """A correlation matrix with one number, which is estimated (size 1) or known (size 0)."""

    size: int
    begins: tuple[float, ...]
    looks: np.ndarray

    @abstractmethod
    def piece(self, looks: np.ndarray, same: np.ndarray) -> OfZ:
        """C and its first and second derivative in z, (r, G, m, m) each, as a function of z (r, size)."""

    @abstractmethod
    def rho(self, z: np.ndarray) -> np.ndarray:
        """The number as a user knows it."""

    @abstractmethod
    def at_edge(self, z: np.ndarray) -> np.ndarray:
        """Whether it is as far as it can go."""


class Fading(Correlation):
    """AR(1): c^u, where u is the time between two rows in steps of usual length and c the correlation over a step.

    c may be negative, c = tanh z, where all rows of a unit are whole steps apart, and rho with it where a step is an
    odd number of units of time. Otherwise c = 1 / (1 + exp(-z)).
    """

    def __init__(self, times: np.ndarray, codes: np.ndarray, fixed: float | None) -> None:
        self.looks, self.fixed, self.size = times, fixed, 0 if fixed is not None else 1
        order = np.lexsort((times, codes))
        gaps = np.diff(times[order])[np.diff(codes[order]) == 0]
        whole = bool((gaps == np.round(gaps)).all()) and gaps.size > 0 and gaps.max() < 2**31
        common = int(np.gcd.reduce(gaps.astype(int))) if whole else 0
        self.signed = common % 2 == 1
        self.step = float(common) if self.signed else float(np.median(gaps)) if gaps.size else 1.0
        nodes = (0.05, 0.35, 0.65, 0.85, 0.97)
        self.begins = tuple(float(np.arctanh(c) if self.signed else np.log(c / (1 - c))) for c in nodes)

    def c(self, z: np.ndarray) -> np.ndarray:
        """The correlation over one step."""
        if self.fixed is not None:
            return np.full(len(z), np.sign(self.fixed) * np.abs(self.fixed) ** self.step)
        return np.tanh(z[:, 0]) if self.signed else 1 / (1 + np.exp(-z[:, 0]))

    def piece(self, looks: np.ndarray, same: np.ndarray) -> OfZ:
        u = np.abs(looks[..., :, None] - looks[..., None, :]) / self.step
        if self.signed:
            u = np.round(u)
        steps, where = np.unique(np.where(same, u, -1.0), return_inverse=True)  # few distinct powers
        where = where.reshape(u.shape)

        def C(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return tuple(np.take(part, where, axis=1) for part in self._powers(self.c(z)[:, None], steps))  # type: ignore

        return C

    def _powers(self, c: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """c^u and its derivatives in z, (r, distinct u); 0 for u = -1, two rows of different units."""
        there = u >= 0
        if self.signed:
            one, two = 1 - c**2, -2 * c * (1 - c**2)
            lower = np.where(u > 0, u * c ** np.maximum(u - 1, 0), 0.0)
            lowest = np.where(u > 1, u * (u - 1) * c ** np.maximum(u - 2, 0), 0.0)
            return np.where(there, c ** np.maximum(u, 0), 0.0), lower * one, lowest * one**2 + lower * two
        power = np.where(there, c ** np.maximum(u, 0), 0.0)
        first = u * power * (1 - c)
        return power, first, first * (u * (1 - c) - c)

    def rho(self, z: np.ndarray) -> np.ndarray:
        c = self.c(z)
        return np.sign(c) * np.abs(c) ** (1 / self.step)

    def at_edge(self, z: np.ndarray) -> np.ndarray:
        c = self.c(z[:, None])
        return (np.abs(c) > 1 - EDGE) | (not self.signed) & (c < EDGE)


class Shared(Correlation):
    """Compound symmetry: (1 - rho) I + rho J, rho from -1 / (m - 1) of the largest unit to 1."""

    def __init__(self, codes: np.ndarray, fixed: float | None) -> None:
        self.looks, self.fixed, self.size = np.zeros(len(codes)), fixed, 0 if fixed is not None else 1
        self.lowest = -1 / (np.bincount(codes).max() - 1)
        wanted = np.array([0.05, 0.5, 0.9])
        share = (wanted - self.lowest) / (1 - self.lowest)
        self.begins = tuple(np.log(share / (1 - share)).tolist())

    def rho(self, z: np.ndarray) -> np.ndarray:
        if self.fixed is not None:
            return np.full(len(z), self.fixed)
        return self.lowest + (1 - self.lowest) / (1 + np.exp(-z[:, 0]))

    def piece(self, looks: np.ndarray, same: np.ndarray) -> OfZ:
        eye = np.eye(looks.shape[1])
        together = same * (1 - eye)

        def C(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            rho = self.rho(z)[:, None, None, None]
            share = (rho - self.lowest) / (1 - self.lowest)
            first = (1 - self.lowest) * share * (1 - share)
            return eye + rho * together, first * together, first * (1 - 2 * share) * together

        return C

    def at_edge(self, z: np.ndarray) -> np.ndarray:
        share = (self.rho(z[:, None]) - self.lowest) / (1 - self.lowest)
        return (share < EDGE) | (share > 1 - EDGE)
