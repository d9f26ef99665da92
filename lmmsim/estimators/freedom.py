"""Degrees of freedom: what a combination of coefficients, or several of them together, is compared with.

One combination has a t distribution, several together have an F. Every estimator brings its own `Freedom`; how the df
of several follow from those of one is in `lmmsim.theory.joint`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lmmsim.theory.gls import Information, information
from lmmsim.theory.joint import f_tail, fai_cornelius, kenward_roger, uncorrelated, wald


@dataclass(frozen=True)
class F:
    """A joint test: the statistic, its degrees of freedom, and p. Infinite `df2` is chi-square over `df1`."""

    statistic: float
    df1: int
    df2: float

    @property
    def p(self) -> float:
        """Share of the F distribution above the statistic."""
        return f_tail(self.statistic, self.df1, self.df2)


class Freedom(Protocol):
    """What an estimator knows about its reference distribution."""

    def df(self, L: np.ndarray) -> np.ndarray:
        """Degrees of freedom, (q,), of every row of L (q, p)."""
        ...

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> F:
        """The test that L beta is zero, for independent rows L (q, p)."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same degrees of freedom for every combination: n - p of least squares, J - 1 of CR1, infinite for z."""

    value: float

    def df(self, L: np.ndarray) -> np.ndarray:
        """The same for every row."""
        return np.full(len(L), self.value)

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> F:
        """Wald's statistic over the number of rows, against F with the same df."""
        return F(wald(L, beta, vcov) / len(L), len(L), self.value)


@dataclass(frozen=True, eq=False)
class Satterthwaite:
    """Degrees of freedom by Satterthwaite's approximation.

    Attributes
    ----------
    of : callable
        The df (q,) of every row of L (q, p).
    """

    of: Callable[[np.ndarray], np.ndarray]

    def df(self, L: np.ndarray) -> np.ndarray:
        """Those of every row."""
        return self.of(L)

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> F:
        """The mean of uncorrelated t squared, with the df that the mean of such F has.

        The statistic does not depend on how the rows are written, the df do a little, as lmerTest's.
        """
        directions, variances = uncorrelated(L, vcov)
        with np.errstate(divide="ignore", invalid="ignore"):
            t2 = (directions @ beta) ** 2 / variances
        return F(float(t2.mean()), len(t2), fai_cornelius(self.of(directions)))


@dataclass(frozen=True, eq=False)
class KenwardRoger:
    """Degrees of freedom, and the scale of F, by Kenward & Roger (1997).

    Attributes
    ----------
    of : callable
        The df (q,) of every row of L (q, p).
    information : callable
        Returns the `Information` at the estimated variances.
    """

    of: Callable[[np.ndarray], np.ndarray]
    information: Callable[[], Information]

    def df(self, L: np.ndarray) -> np.ndarray:
        """Those of every row."""
        return self.of(L)

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> F:
        """Wald's statistic with the adjusted covariance, scaled."""
        if len(L) == 1:
            return F(wald(L, beta, vcov), 1, float(self.of(L)[0]))
        scale, df2 = kenward_roger(L, self.information())
        return F(scale * wald(L, beta, vcov) / len(L), len(L), df2)


def of_engine(fit: Any) -> Freedom | None:
    """The reference distribution of a mixed model that the engine has fitted; None if it has not."""
    held, choice = fit.conditional, getattr(fit.estimator, "df", "z")
    if choice == "z" or not hasattr(held, "engine"):
        return None
    if choice == "satterthwaite":
        return Satterthwaite(lambda L: held.engine.satterthwaite(held.solution, L)[0])
    return KenwardRoger(lambda L: held.engine.kenward_roger(held.solution, L)[1][0], lambda: information(fit.equation))
