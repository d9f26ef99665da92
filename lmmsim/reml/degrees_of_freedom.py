"""Satterthwaite's degrees of freedom, as lmerTest computes them (Kuznetsova, Brockhoff & Christensen 2017).

The variance v of an estimate is a function of (theta, sigma), which are themselves estimated, with covariance W: twice
the inverse Hessian of the fitted criterion. A scaled chi-square with the mean and the variance of v has
2 v^2 / (v' W v') degrees of freedom, where v' is the gradient of v.

At a singular fit (a variance of zero, a correlation of one) v' and the criterion's gradient are both zero in the
direction of theta that is stuck: that direction drops out and the others count, as in lmerTest. The df are then those
of a model without it, which can be far too many.
"""

from __future__ import annotations

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.scoring import expectations
from lmmsim.reml.structure import PointOfAll


def satterthwaite(variance: np.ndarray, gradient: np.ndarray, information: np.ndarray) -> np.ndarray:
    """2 v^2 / Var(v).

    Parameters
    ----------
    variance : ndarray, shape (m, q)
        Variances of q contrasts.
    gradient : ndarray, shape (m, q, s)
        Their derivatives with respect to the variance parameters.
    information : ndarray, shape (m, s, s)
        Hessian of the criterion (-2 log-likelihood) in the same parameters.

    Returns
    -------
    ndarray, shape (m, q)
    """
    # in units of the variance, whose square may be too large or too small for a number
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 / quadratic_inverse(gradient / variance[..., None], information)


def quadratic_inverse(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """v' M^-1 v for vectors (m, q, s); directions in which M is not positive are left out."""
    factor = stacks.cholesky(np.ascontiguousarray(matrix.transpose(1, 2, 0)))
    half = stacks.solve_lower(factor, vectors.transpose(2, 1, 0))
    out = np.asarray((half**2).sum(axis=0).T)
    if np.isfinite(out).all():
        return out
    poor = ~np.isfinite(out).all(axis=1) & np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(vectors).all(axis=(1, 2))
    if poor.any():
        values, axes = np.linalg.eigh(matrix[poor])
        weight = np.where(values > 1e-8 * values[:, -1:], 1 / np.where(values > 0, values, 1.0), 0.0)
        out[poor] = ((vectors[poor] @ axes) ** 2 * weight[:, None]).sum(axis=2)
    return out


def kenward_roger(
    point: PointOfAll, psi: np.ndarray, L: np.ndarray, unknown: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The adjusted C_A (m, p, p) in units of sigma^2 and the df (m, q) of the contrasts L (q, p).

    Parameters
    ----------
    point : PointOfAll
        At the REML estimate.
    psi : ndarray, shape (m, t)
        The lower triangles of Psi there.
    L : ndarray, shape (q, p)
    unknown : ndarray of bool, shape (m, t)
        Variances that no data could tell, whose information is rounding.
    """
    C, expected = point.vcov, expectations(point, psi)
    if unknown.any():
        without = np.pad(unknown, ((0, 0), (0, 1)))
        expected = np.where(without[:, :, None] | without[:, None], 0.0, expected)
    W = 2 * stacks.pseudo_inverse(expected)[0]
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
    relative = gradient / variance[..., None]
    df = 2 / np.einsum("mqa,mab,mqb->mq", relative, W, relative)
    return C + 2 * adjustment, df
