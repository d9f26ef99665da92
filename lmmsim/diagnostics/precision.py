"""Precision: the inverse of the covariance of the response, block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmmsim import covariance
from lmmsim.estimators.fit import Fit
from lmmsim.model.blocks import columns, components, diagonal, restrict, row_sets


@dataclass(frozen=True, eq=False)
class Inverse:
    """V^-1 of a fit, as (1 - H H') / sigma^2 for every set of rows that depend on each other.

    Attributes
    ----------
    parts : list of (rows, H)
    X : ndarray, (n, p)
        V^-1 X.
    C : ndarray, (p, p)
        (X'V^-1X)^-1.
    """

    fit: Fit
    parts: list[tuple[np.ndarray, np.ndarray]]
    X: np.ndarray
    C: np.ndarray

    @classmethod
    def of(cls, fit: Fit) -> Inverse:
        """Invert the V that a fit has estimated."""
        from scipy import sparse
        from scipy.linalg import solve_triangular

        n, s2, parts = fit.nobs, fit.sigma**2, []
        roots = [covariance.square_root(G) for G in fit.covariances]
        for rows in row_sets(components(fit.matrices.terms, sparse.eye_array(n, format="csr"))):
            here = [restrict(term, rows) for term in fit.matrices.terms]
            ZL = columns(here, len(rows)) @ diagonal(here, roots)
            factor = np.linalg.cholesky(s2 * np.eye(ZL.shape[1]) + ZL.T @ ZL)
            parts.append((rows, solve_triangular(factor, ZL.T, lower=True).T))
        X = fit.matrices.X.to_numpy()
        whole = cls(fit, parts, X, np.empty(0))
        solved = whole.solve(X)
        return cls(fit, parts, solved, np.linalg.inv(X.T @ solved))

    def solve(self, M: np.ndarray) -> np.ndarray:
        """V^-1 M for M (n, r)."""
        out = np.empty_like(M)
        for rows, H in self.parts:
            out[rows] = (M[rows] - H @ (H.T @ M[rows])) / self.fit.sigma**2
        return out

    def projection_diagonal(self) -> np.ndarray:
        """Diagonal of P = V^-1 - V^-1 X C X'V^-1."""
        own = np.empty(self.fit.nobs)
        for rows, H in self.parts:
            own[rows] = (1 - np.sum(H**2, axis=1)) / self.fit.sigma**2
        return own - np.sum((self.X @ self.C) * self.X, axis=1)
