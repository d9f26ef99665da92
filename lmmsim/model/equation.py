"""The equation on a design: y = X beta + Z u + eps, with everything that belongs to it, worked out once.

A `Model` makes it of a design, a `Fit` of its data. What draws from it, describes it or inverts it needs nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmsim import covariance, draws
from lmmsim.model.columns import RandomTerm
from lmmsim.model.residual import Colour, Residual

if TYPE_CHECKING:
    from lmmsim.model.matrices import Labelled


@dataclass(frozen=True, eq=False)
class Equation:
    """Columns, coefficients and covariances of one model on one design of n rows.

    Attributes
    ----------
    X : DataFrame, shape (n, p)
    beta : ndarray, shape (p,)
        In the order of X's columns.
    terms : tuple of RandomTerm
    covariances : tuple of ndarray, shape (k, k)
        Of the effects of each term.
    residual
        Says how the residuals vary and go together.
    design : DataFrame, n rows
    shapes : sequence of Shape
        What the effects of each term are drawn from.
    shift : ndarray, shape (n,)
        What the mean has beside X beta: the group means that an analysis has taken out.
    """

    X: pd.DataFrame
    beta: np.ndarray
    terms: tuple[RandomTerm, ...]
    covariances: tuple[np.ndarray, ...]
    residual: Residual
    design: pd.DataFrame
    shapes: Sequence[draws.Shape]
    shift: np.ndarray | float = 0.0

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.X)

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of the response, X beta and the shift, shape (n,)."""
        return self.X.to_numpy() @ self.beta + self.shift

    @cached_property
    def Z(self) -> Labelled:
        """One column per random effect, shape (n, q), sparse."""
        from lmmsim.model.matrices import random_columns

        return random_columns(self.terms, self.X.index)

    @cached_property
    def G(self) -> Labelled:
        """Covariance of the random effects, shape (q, q), sparse."""
        from lmmsim.model.matrices import random_covariance

        return random_covariance(self.terms, self.covariances)

    @cached_property
    def R(self) -> Labelled:
        """Covariance of the residuals, shape (n, n), sparse."""
        from lmmsim.model.matrices import labelled

        return labelled(self.residual.R(self.design), self.X.index, self.X.index)

    @property
    def V(self) -> np.ndarray:
        """Covariance of the response, Z G Z' + R, shape (n, n)."""
        return (self.Z @ self.G @ self.Z.T + self.R).toarray()

    def V_of(self, rows: np.ndarray) -> np.ndarray:
        """The rows and columns of V that belong to some rows of the design."""
        V = self.R[rows][:, rows].toarray()
        for term, G in zip(self.terms, self.covariances, strict=True):
            Z, codes = term.columns[rows], term.codes[rows]
            V += np.where(codes[:, None] == codes, Z @ G @ Z.T, 0.0)
        return V

    @cached_property
    def roots(self) -> tuple[np.ndarray, ...]:
        """For each term the L with L L' equal to its covariance."""
        return tuple(covariance.square_root(G) for G in self.covariances)

    @cached_property
    def colour(self) -> Colour:
        """The step from standard draws (replicates, n) to residuals."""
        return self.residual.colour(self.design)

    @cached_property
    def variances(self) -> dict[str, np.ndarray]:
        """Variance of z'u of every row, shape (n,), by grouping factor."""
        by_group: dict[str, np.ndarray] = {}
        for term, G in zip(self.terms, self.covariances, strict=True):
            variance = ((term.columns @ G) * term.columns).sum(axis=1)
            by_group[term.group] = by_group.get(term.group, 0.0) + variance
        return by_group

    def _shares(self) -> tuple[float, pd.Series, float]:
        """Variance of the fixed part, of each factor, and of the residual, the last two averaged over the rows."""
        groups = {group: float(variance.mean()) for group, variance in self.variances.items()}
        residual = float(np.mean(self.residual.sds(self.design) ** 2))
        return float(np.var(self.mean)), pd.Series(groups, dtype=float), residual

    @property
    def icc(self) -> pd.DataFrame:
        """Intraclass correlations: the share of the variance that lies between the groups of a factor.

        With random slopes the share depends on x; the variances are averaged over the rows (Johnson 2014).

        Returns
        -------
        DataFrame, index the grouping factors
            `conditional`: of the variance that the fixed part leaves, the correlation of two rows with the same x that
            share this factor and no other. `marginal`: of all variance, that of the fixed part included. Where factors
            are nested, two rows of one class share the school too: add the rows.

        References
        ----------
        Johnson (2014), Methods in Ecology and Evolution 5:944. Nakagawa, Johnson & Schielzeth (2017), J R Soc Interface
        14.
        """
        fixed, groups, residual = self._shares()
        left = groups.sum() + residual
        return pd.DataFrame({"conditional": groups / left, "marginal": groups / (left + fixed)}).rename_axis("group")

    @property
    def r2(self) -> pd.Series:
        """Shares of variance explained: by the fixed part (`marginal`), and with the groups known (`conditional`).

        References
        ----------
        Nakagawa & Schielzeth (2013), Methods in Ecology and Evolution 4:133. Johnson (2014), 5:944.
        """
        fixed, groups, residual = self._shares()
        total = fixed + groups.sum() + residual
        return pd.Series({"marginal": fixed / total, "conditional": (fixed + groups.sum()) / total}, name="r2")
