"""Kenward and Roger's (1997) covariance of the fixed effects and degrees of freedom, as pbkrtest computes them.

V is linear in its parameters, V = I + sum_a psi_a V_a times sigma^2. So everything about the residual's own direction,
V_0 = I = V - sum_a psi_a V_a, follows from the other directions. In units of sigma^2:

    W    = 2 [tr(P V_i P V_j)]^-1                                       covariance of phi, from the expected information
    C_A  = C + 2 sum_ij W_ij C X'V^-1 V_i P V_j V^-1 X C                the adjusted covariance of beta
    df   = 2 v^2 / sum_ij W_ij v_i v_j,  v_i = d v / d phi_i            for a single contrast of variance v

(Halekoh & Hojsgaard 2014; for one contrast the moment matching of Kenward and Roger reduces to that df and scale 1.)
"""

from __future__ import annotations

import numpy as np

from lmmsim.reml import small
from lmmsim.reml.derivatives import Point
from lmmsim.reml.scoring import expectations


def adjusted(point: Point, psi: np.ndarray, L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The adjusted C_A (m, p, p) in units of sigma^2 and the df (m, q) of the contrasts L (q, p).

    Parameters
    ----------
    point : Point
        At the REML estimate.
    psi : ndarray, shape (m, t)
        The lower triangles of Psi there.
    L : ndarray, shape (q, p)
    """
    C = point.vcov
    W = 2 * small.pseudo_inverse(expectations(point, psi))
    slopes = point.vcov_slopes
    own = C - np.einsum("ma,mapq->mpq", psi, slopes)
    slopes = np.concatenate([slopes, own[:, None]], axis=1)
    curvatures = point.vcov_curvatures
    to_residual = -np.einsum("ma,mabpq->mbpq", psi, curvatures)
    twice = -np.einsum("ma,mapq->mpq", psi, to_residual)
    adjustment = (
        np.einsum("mab,mabpq->mpq", W[:, :-1, :-1], curvatures)
        + 2 * np.einsum("ma,mapq->mpq", W[:, :-1, -1], to_residual)
        + W[:, -1, -1, None, None] * twice
    )
    variance = np.einsum("qi,mij,qj->mq", L, C, L)
    gradient = np.einsum("qi,maij,qj->mqa", L, slopes, L)
    df = 2 * variance**2 / np.einsum("mqa,mab,mqb->mq", gradient, W, gradient)
    return C + 2 * adjustment, df
