"""A residual's free numbers, on a scale without bounds, and R with its first and second derivatives in them.

R is in units of sigma^2, the residual variance of the first level (of the first time), which the likelihood profiles
out. phi holds the rest: logs of the other sds over the first, and what the correlation needs.

Shapes: r responses, each with its own phi (r, s); rows of G blocks of m rows; arrays end in (G, m, m).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lmmsim.checks import quoted
from lmmsim.model.columns import levels_of
from lmmsim.model.residual import Residual, column_of, level_names
from lmmsim.model.units import WithinUnit
from lmmsim.reml.residual_correlations import Correlation, OfZ

Component = tuple[str, str, str]
NOTHING = 0.03  # an sd below this share of the others', in a search that found no end, has gone to zero


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
    levels, level : Index and ndarray of int, (n,)
        What has an sd of its own, and which of them every row has.
    """

    spec: Residual
    size: int
    codes: np.ndarray | None
    looks: np.ndarray
    levels: pd.Index
    level: np.ndarray

    @abstractmethod
    def piece(self, looks: np.ndarray, same: np.ndarray) -> Piece:
        """R of blocks with these looks (G, m, d), where `same` (G, m, m) says which rows share a unit."""

    @abstractmethod
    def start(self, rest: np.ndarray) -> np.ndarray:
        """Guesses (K, r, s), the correlation growing, from least-squares residuals (n, r), NaN where there is none."""

    def phi_of(self, spec: Residual) -> np.ndarray | None:
        """Phi (s,) of a residual of this kind with all its numbers; None if it is another kind, or at an edge."""
        mine = {name: getattr(self.spec, name, None) for name in ("unit", "time", "by", "weights")}
        alike = type(spec) is type(self.spec) and all(getattr(spec, name, None) == own for name, own in mine.items())
        if not alike or spec.left_out:
            return None
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                phi = self._phi(spec)
        except np.linalg.LinAlgError:
            return None
        return phi if np.isfinite(phi).all() else None

    @abstractmethod
    def _phi(self, spec: Residual) -> np.ndarray:
        """The same, for a residual of this kind."""

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

    @abstractmethod
    def vanishing(self, phi: np.ndarray) -> str:
        """What has all but gone to zero at one phi (s,), beside the rest of the residual; '' for nothing."""

    def variances(self, phi: np.ndarray) -> np.ndarray:
        """Variance of every row's residual in units of sigma^2, (r, n)."""
        alone = self.piece(self.looks[:, None], np.ones((len(self.looks), 1, 1), dtype=bool))(phi)
        return np.broadcast_to(alone.R[:, :, 0, 0], (len(phi), len(self.looks)))

    def components(self, phi: np.ndarray, sigma: np.ndarray) -> dict[Component, np.ndarray]:
        """Sds and correlations by (part, "residual", term)."""
        out: dict[Component, np.ndarray] = {}
        numbers = self.numbers(phi, sigma)
        sds = numbers["sd"] if isinstance(numbers["sd"], Mapping) else {"": numbers["sd"]}
        names = dict(zip(sds, level_names(sds), strict=True))
        out |= {("sd", "residual", names[level]): sd for level, sd in sds.items()}
        if "rho" in numbers:
            out["corr", "residual", "rho"] = numbers["rho"]
        for (one, other), corr in numbers.get("corr", {}).items():
            out["corr", "residual", f"{names[one]}, {names[other]}"] = corr
        return out

    def seen(self, observed: np.ndarray) -> dict[Component, np.ndarray]:
        """Which sds and correlations of `components` responses with these rows (n, r) can tell, (r,) bool each."""
        names = level_names(self.levels.tolist())
        there = {name: observed[self.level == i].any(axis=0) for i, name in enumerate(names)}
        out = {("sd", "residual", name): known for name, known in there.items()}
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                out["corr", "residual", f"{one}, {other}"] = there[one] & there[other]
        return out

    def refusal(self, rows: np.ndarray) -> str:
        """Why these of the rows (n,) cannot tell the numbers, '' where they can."""
        return ""

    def filled(self, phi: np.ndarray, sigma: float) -> Residual:
        """The residual with the estimates of one response for its numbers."""

        def plain(value: Any) -> Any:
            return {k: plain(v) for k, v in value.items()} if isinstance(value, Mapping) else float(value[0])

        numbers = self.numbers(phi[None], np.array([sigma]))
        return self.spec.given(**{name: plain(value) for name, value in numbers.items()})


class Scaled(Numbers):
    """R_st = e_s e_t C_st: an sd for each level, and a correlation that has at most one number."""

    def __init__(self, spec: Residual, data: pd.DataFrame, correlation: Correlation | None = None) -> None:
        n = len(data)
        self.spec, self.correlation = spec, correlation
        if spec.by is None:
            self.levels, self.level = pd.Index([""]), np.zeros(n, dtype=np.intp)
        else:
            column_of(data, spec.by)
            self.levels, self.level = levels_of([spec.by], data)
        self.ratios = len(self.levels) - 1
        self.size = self.ratios + (correlation.size if correlation else 0)
        self.codes = spec.units(data)[1] if isinstance(spec, WithinUnit) else None
        times = correlation.looks if correlation else np.zeros(n)
        self.looks = np.column_stack([spec.precisions(data), self.level, times])

    def refusal(self, rows: np.ndarray) -> str:
        if self.correlation is None or self.correlation.size == 0:
            return ""
        if not isinstance(self.spec, WithinUnit) or self.codes is None or np.bincount(self.codes[rows]).max() > 1:
            return ""
        return f"no two rows of one '{self.spec.unit_name}': their correlation cannot be told"

    def piece(self, looks: np.ndarray, same: np.ndarray) -> Piece:
        scale = 1 / np.sqrt(looks[..., 0])
        known = scale[..., :, None] * scale[..., None, :]
        member = (looks[None, ..., 1] == np.arange(1, self.ratios + 1)[:, None, None]).astype(float)
        correlation = self.correlation.piece(looks[..., 2], same) if self.correlation else None
        return lambda phi: ScaledHere(phi, known, member, correlation)

    def start(self, rest: np.ndarray) -> np.ndarray:
        from scipy import sparse

        n = len(rest)
        member = sparse.csr_array((np.ones(n), (self.level, np.arange(n))), shape=(self.ratios + 1, n))
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

    def _phi(self, spec: Any) -> np.ndarray:
        sds = np.array(
            [spec.sd[level] for level in self.levels] if self.spec.by is not None else [spec.sd], dtype=float
        )
        logs = np.log(sds[1:] / sds[0])
        if self.correlation is None or self.correlation.size == 0:
            return logs
        return np.append(logs, self.correlation.z(spec.rho))

    @property
    def always(self) -> tuple[int, ...]:
        if self.size == self.ratios:
            return (0, 1)[: 1 + bool(self.ratios)]
        middle = len(self.correlation.begins) // 2 if self.correlation else 0
        return (middle - 1, middle + 1, *([2 * middle + 1] if self.ratios else []))

    def vanishing(self, phi: np.ndarray) -> str:
        logs = np.append(0.0, phi[: self.ratios])
        if logs.min() < logs.max() + np.log(NOTHING):
            return f"the residual sd of {quoted(self.levels[int(logs.argmin())])}"
        return "what the residuals of a unit do not share" if self.at_edge(phi[None])[0] else ""

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
