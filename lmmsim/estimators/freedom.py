"""Degrees of freedom: what a combination of coefficients, or several of them together, is compared with.

One combination has a t distribution, several together have an F. Every estimator brings its own `Freedom`, for one
response or for many; how the df of several combinations follow from those of one is in `lmmsim.theory.joint`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Protocol

import numpy as np

from lmmsim.theory.gls import Information
from lmmsim.theory.joint import fai_cornelius, kenward_roger, uncorrelated, wald

TOGETHER = 10  # rows at most that are tested together in many responses


class Freedom(Protocol):
    """What an estimator knows about its reference distribution. Arrays have a row for each of r responses."""

    def df(self, L: np.ndarray) -> np.ndarray:
        """Degrees of freedom, (r, q) or (1, q) if all have the same, of every row of L (q, p)."""
        ...

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F and its denominator df, (r,), for L beta = 0; independent rows L (q, p), beta (r, p), vcov (r, p, p)."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same degrees of freedom for every combination: n - p of least squares, J - 1 of CR1, infinite for z."""

    value: float

    def df(self, L: np.ndarray) -> np.ndarray:
        """The same for every row."""
        return np.full((1, len(L)), self.value)

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wald's statistic over the number of rows, against F with the same df."""
        return wald(L, beta, vcov) / len(L), np.full(len(beta), self.value)


@dataclass(frozen=True, eq=False)
class Satterthwaite:
    """Degrees of freedom by Satterthwaite's approximation.

    Attributes
    ----------
    of : callable
        The df (r, q) of every row of L (q, p).
    """

    of: Callable[[np.ndarray], np.ndarray]

    def df(self, L: np.ndarray) -> np.ndarray:
        """Those of every row."""
        return self.of(L)

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean of uncorrelated t squared, with the df that the mean of such F has.

        The statistic does not depend on how the rows are written, the df do a little, as lmerTest's.
        """
        axes, variances = uncorrelated(L, vcov)
        with np.errstate(divide="ignore", invalid="ignore"):
            t2 = np.einsum("raq,qp,rp->ra", axes, L, beta) ** 2 / variances
        each = self.of(axes[0] @ L) if len(beta) == 1 else self._each(L, axes, variances, vcov)
        return t2.mean(axis=1), np.array([fai_cornelius(df) for df in each])

    def _each(self, L: np.ndarray, axes: np.ndarray, variances: np.ndarray, vcov: np.ndarray) -> np.ndarray:
        """Df (r, q) in directions that differ from response to response.

        The variance of an estimated variance, 2 v^2 / df, is a form of degree four in the direction. It is known in all
        directions when it is known in as many as it has coefficients, which are the same for all responses.
        """
        q = len(L)
        if q > TOGETHER:
            raise ValueError(f"{q} rows cannot be tested together in many responses; {TOGETHER} can")
        powers = list(combinations_with_replacement(range(q), 4))
        probes = np.random.default_rng(0).normal(size=(2 * len(powers), q))  # any directions do: the form is exact
        size = np.sqrt(np.nanmedian(np.einsum("qi,rij,qj->rq", L, vcov, L), axis=0))
        unit = L / size[:, None]
        seen = np.einsum("ni,rij,nj->rn", probes @ unit, vcov, probes @ unit) ** 2 / self.of(probes @ unit)
        good = np.isfinite(seen).all(axis=1)
        form: np.ndarray = np.linalg.lstsq(_monomials(probes, powers), seen[good].T, rcond=None)[0]
        out = np.full(variances.shape, np.nan)
        values = (_monomials(axes[good] * size, powers) * form.T[:, None]).sum(axis=2)
        out[good] = variances[good] ** 2 / np.maximum(values, 1e-300)
        return out


def _monomials(directions: np.ndarray, powers: Sequence[tuple[int, ...]]) -> np.ndarray:
    """All products of four entries of each direction, (..., q) to (..., f)."""
    return np.stack([directions[..., list(four)].prod(axis=-1) for four in powers], axis=-1)


@dataclass(frozen=True, eq=False)
class KenwardRoger:
    """Degrees of freedom, and the scale of F, by Kenward & Roger (1997).

    Attributes
    ----------
    of : callable
        The df (r, q) of every row of L (q, p).
    information : callable
        Returns the `Information` at the variances that were estimated from response i.
    """

    of: Callable[[np.ndarray], np.ndarray]
    information: Callable[[int], Information]

    def df(self, L: np.ndarray) -> np.ndarray:
        """Those of every row."""
        return self.of(L)

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wald's statistic with the adjusted covariance, scaled; NaN where the moments are those of no F."""
        statistic = wald(L, beta, vcov)
        if len(L) == 1:
            return statistic, self.of(L)[:, 0]
        scale, df2 = np.full((2, len(beta)), np.nan)
        for i in np.flatnonzero(np.isfinite(statistic)):
            scale[i], df2[i] = kenward_roger(L, self.information(int(i)))
        none = (df2 <= 0) | (scale < 0)  # more rows than the groups have df for
        scale[none], df2[none] = np.nan, np.nan
        return scale * statistic / len(L), df2


def of_engine(fit: Any) -> Freedom | None:
    """The reference distribution of a mixed model that the engine has fitted; None if it has not."""
    held, choice = fit.conditional, getattr(fit.estimator, "df", "z")
    if choice == "z" or not hasattr(held, "engine"):
        return None
    if choice == "satterthwaite":
        return Satterthwaite(lambda L: held.engine.satterthwaite(held.solution, L))
    return KenwardRoger(lambda L: held.engine.kenward_roger(held.solution, L)[1], lambda i: fit.information)
