"""Generalised least squares at known variances: what a design will tell, before there are data.

Every block of V is inverted in the space of its random effects, V^-1 = R^-1 - R^-1 Z K Z' R^-1 (Woodbury), so that
nothing is ever n x n.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from lmmsim.model.blocks import Block, Matrix, blocks, components, row_sets
from lmmsim.model.equation import Equation

TAKEN_UP = 1e-10  # a variance of whose information X leaves a smaller share than this is taken up


@dataclass(frozen=True, eq=False)
class Information:
    """What a design tells about coefficients and variances when the model's numbers are true.

    Attributes
    ----------
    vcov : ndarray, (p, p)
        C = (X' V^-1 X)^-1, the covariance of the GLS estimates.
    slopes : ndarray, (t, p, p)
        Derivatives of C by the variance parameters.
    expected : ndarray, (t, t)
        Expected REML information about the variance parameters, tr(P V_a P V_b) / 2.
    """

    vcov: np.ndarray
    slopes: np.ndarray
    expected: np.ndarray

    @cached_property
    def uncertainty(self) -> np.ndarray:
        """Covariance (t, t) of estimated variance parameters, the inverse of what is expected to be known of them."""
        # units differ between parameters, and two may say the same: scale, then take the pseudo-inverse
        size: np.ndarray = np.sqrt(np.maximum(np.diagonal(self.expected), 0.0))
        size = np.where(size > 0, size, 1.0)
        inverse = np.linalg.pinv(self.expected / np.outer(size, size), rcond=1e-10, hermitian=True)
        return inverse / np.outer(size, size)

    def satterthwaite(self, weights: np.ndarray) -> float:
        """Df of a linear combination of the coefficients: 2 v^2 / Var(v), by the delta method."""
        variance = weights @ self.vcov @ weights
        gradient = np.einsum("i,tij,j->t", weights, self.slopes, weights)
        spread = gradient @ self.uncertainty @ gradient
        return float(2 * variance**2 / spread) if spread > 1e-12 * variance**2 else float("inf")


def information(equation: Equation) -> Information:
    """Add up what the blocks of a design tell.

    Parameters
    ----------
    equation : Equation
        `model.on(design)`.

    Returns
    -------
    Information
        Its variance parameters are the variances and covariances of each random term, then those of the residual.

    References
    ----------
    Giesbrecht & Burns (1985), Biometrics 41:477. Searle, Casella & McCulloch (1992), Variance Components, section 6.6.
    """
    # orthonormal columns keep all digits whatever the units of X
    back = np.linalg.inv(np.linalg.qr(equation.X.to_numpy(), mode="r"))
    totals: list[Any] = [0, 0, 0, 0]
    for block in blocks(equation):
        sums = _sums(replace(block, X=block.X @ back))
        totals = [total + block.copies * part for total, part in zip(totals, sums, strict=True)]
    XVX, Q, QQ, trace = totals
    C = np.linalg.inv(XVX)
    CQ = C @ Q
    # P = V^-1 - V^-1 X C X' V^-1, multiplied out
    expected = trace - 2 * np.einsum("ij,abji->ab", C, QQ) + np.einsum("aij,bji->ab", CQ, CQ)
    taken = np.diagonal(expected) < TAKEN_UP * np.diagonal(trace)  # by X: nothing is known of these variances
    expected[taken] = expected[:, taken] = 0.0
    return Information(back @ C @ back.T, back @ (CQ @ C) @ back.T, expected / 2)


def _sums(block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X'V^-1X (p, p), X'V^-1V_aV^-1X (t, p, p), X'V^-1V_aV^-1V_bV^-1X (t, t, p, p), tr(V^-1V_aV^-1V_b) (t, t)."""
    X, Z, R_inverse = block.X, block.Z, inverse(block.R)
    ZR = Z.T @ R_inverse
    A = dense(ZR @ Z)
    K = _kernel(A, block.root)

    def solve(M: np.ndarray) -> np.ndarray:
        return R_inverse @ M - ZR.T @ (K @ (ZR @ M))

    Y = solve(X)
    moved = [Z @ (E @ (Z.T @ Y)) for E in block.dG] + [D @ Y for D in block.dR]
    solved = [solve(M) for M in moved]
    Q = np.array([Y.T @ M for M in moved])
    QQ = np.array([[M.T @ S for S in solved] for M in moved])
    return X.T @ Y, Q, QQ, _traces(block, R_inverse, ZR, A, K)


def _kernel(A: np.ndarray, root: Matrix) -> np.ndarray:
    """K = (G^-1 + Z'R^-1Z)^-1, written so that G may be singular."""
    root = dense(root)
    return root @ np.linalg.solve(np.eye(len(A)) + root.T @ A @ root, root.T)


def _traces(block: Block, R_inverse: Matrix, ZR: Matrix, A: np.ndarray, K: np.ndarray) -> np.ndarray:
    """tr(V^-1 V_a V^-1 V_b) for every two parameters, those of G first."""
    N = np.eye(len(A)) - A @ K
    T = N @ A  # Z'V^-1Z
    TE = [np.asarray(T @ E) for E in block.dG]
    RD = [R_inverse @ D for D in block.dR]
    S = [dense(M @ ZR.T) for M in (ZR @ D for D in block.dR)]
    a = len(TE)
    traces = np.zeros((a + len(RD),) * 2)
    for i, left in enumerate(TE):
        traces[i, :a] = [np.sum(left * right.T) for right in TE]
        traces[i, a:] = traces[a:, i] = [np.sum(dense(block.dG[i]) * (N @ middle @ N.T)) for middle in S]
    for i, left in enumerate(RD):
        for j, right in enumerate(RD):
            cross = dense(ZR @ block.dR[i] @ right @ ZR.T)
            traces[a + i, a + j] = (left * right.T).sum() - 2 * np.sum(K * cross) + np.sum((K @ S[i]) * (K @ S[j]).T)
    return traces


def inverse(R: Matrix) -> Matrix:
    """Inverse of a residual covariance: unit by unit where it is sparse."""
    try:
        return _inverse(R)
    except np.linalg.LinAlgError:
        raise ValueError(
            "the residuals of one unit are an exact function of each other, as with a correlation of 1: their "
            "covariance has no inverse; take a correlation short of it"
        ) from None


def _inverse(R: Matrix) -> Matrix:
    from scipy import sparse

    if isinstance(R, np.ndarray):
        return np.linalg.inv(R)
    if R.nnz == R.shape[0]:
        return sparse.csr_array(sparse.diags_array(1 / R.diagonal()))
    units = row_sets(components((), R))
    inverses = sparse.block_diag([np.linalg.inv(R[unit][:, unit].toarray()) for unit in units], format="csr")
    back = np.argsort(np.concatenate(units))
    return sparse.csr_array(inverses)[back][:, back]


def dense(M: Any) -> Any:
    """The plain array of a sparse one."""
    return M if isinstance(M, np.ndarray) else M.toarray()
