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

from lmmsim.reml import small


def degrees_of_freedom(variance: np.ndarray, gradient: np.ndarray, information: np.ndarray) -> np.ndarray:
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
    return variance**2 / quadratic_inverse(gradient, information)


def quadratic_inverse(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """v' M^-1 v for vectors (m, q, s); directions in which M is not positive are left out."""
    factor = small.cholesky(np.ascontiguousarray(matrix.transpose(1, 2, 0)))
    half = small.solve_lower(factor, vectors.transpose(2, 1, 0))
    out = (half**2).sum(axis=0).T
    poor = ~np.isfinite(out).all(axis=1) & np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(vectors).all(axis=(1, 2))
    if poor.any():
        values, axes = np.linalg.eigh(matrix[poor])
        weight = np.where(values > 1e-8 * values[:, -1:], 1 / np.where(values > 0, values, 1.0), 0.0)
        out[poor] = ((vectors[poor] @ axes) ** 2 * weight[:, None]).sum(axis=2)
    return out
