"""Precision: the inverse of the covariance of the response, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmmsim import covariance
from lmmsim.estimators.fit import Fit
from lmmsim.model.blocks import columns, components, diagonal, restrict, row_sets
from lmmsim.theory.gls import inverse

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Inverse:
    """V^-1 of a fit, as R^-1 - H H' for every set of rows that depend on each other.

    Attributes
    ----------
    parts : list of (rows, H)
    R : sparse array, (n, n)
        R^-1.
    X : ndarray, (n, p)
        V^-1 X.
    C : ndarray, (p, p)
        (X'V^-1X)^-1.
    """

    fit: Fit
    parts: list[tuple[np.ndarray, np.ndarray]]
    R: csr_array
    X: np.ndarray
    C: np.ndarray

    @classmethod
    def of(cls, fit: Fit) -> Inverse:
        """Invert the V that a fit has estimated."""
        from scipy.linalg import solve_triangular

        R, parts = fit.equation.R, []
        inverted = inverse(R)
        roots = [covariance.square_root(G) for G in fit.covariances]
        for rows in row_sets(components(fit.matrices.terms, abs(R))):
            here = [restrict(term, rows) for term in fit.matrices.terms]
            ZL = columns(here, len(rows)) @ diagonal(here, roots)
            RZ = inverted[rows][:, rows] @ ZL
            factor = np.linalg.cholesky(np.eye(ZL.shape[1]) + ZL.T @ RZ)
            parts.append((rows, solve_triangular(factor, RZ.T, lower=True).T))
        X = fit.matrices.X.to_numpy()
        whole = cls(fit, parts, inverted, X, np.empty(0))
        solved = whole.solve(X)
        return cls(fit, parts, inverted, solved, np.linalg.inv(X.T @ solved))

    def solve(self, M: np.ndarray) -> np.ndarray:
        """V^-1 M for M (n, r)."""
        out = self.R @ M
        for rows, H in self.parts:
            out[rows] -= H @ (H.T @ M[rows])
        return out

    def residual_variances(self) -> np.ndarray:
        """Variances of the conditional residuals R P y, P = V^-1 - V^-1 X C X'V^-1: the diagonal of R P R."""
        R = self.fit.equation.R
        out, RX = R.diagonal(), R @ self.X
        for rows, H in self.parts:
            out[rows] -= np.sum((R[rows][:, rows] @ H) ** 2, axis=1)
        return np.asarray(out - np.sum((RX @ self.C) * RX, axis=1))
