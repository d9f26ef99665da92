"""A first guess at the covariance: Rao's (1971) minimum norm quadratic estimate, one step of Fisher scoring for REML.

V = sum_i phi_i V_i with V_0 = I (the residual) and V_a = Z E_a Z', so quadratic forms of the response have the
expectation E y'P V_i P y = sum_j tr(P V_i P V_j) phi_j, whatever theta P was computed at. Solving these equations is
unbiased, and in a balanced design the result does not depend on that theta: it is the ANOVA estimate, and the REML
estimate wherever no variance comes out negative.
"""

from __future__ import annotations

import numpy as np

from lmmsim.covariance import cholesky
from lmmsim.reml import stacks
from lmmsim.reml.structure import Point
from lmmsim.reml.theta import Coordinates, lower_factor, pack, triangle

SMALLEST = 1e-3  # variances, relative to the residual's, from which the optimiser starts


def expectations(point: Point, psi: np.ndarray) -> np.ndarray:
    """tr(P V_i P V_j) for the directions of Psi and, last, the residual, in units of sigma^2: (m, t + 1, t + 1).

    The residual's follow from V_0 = V - sum_a psi_a V_a, P V P = P and tr(P V) = n - p.
    """
    inner = point.curvature_trace
    mixed = point.traces - (inner @ psi[..., None])[..., 0]
    t = psi.shape[1]
    out = np.empty((len(inner), t + 1, t + 1))
    out[:, :t, :t] = inner
    out[:, t, :t] = out[:, :t, t] = mixed
    out[:, t, t] = point.dof - (psi * (point.traces + mixed)).sum(axis=1)
    return out


def guess(
    coordinates: Coordinates, psi: np.ndarray, expected: np.ndarray, point: Point
) -> tuple[np.ndarray, np.ndarray]:
    """Theta (m, t) of the quadratic estimates, moved inside the parameter space.

    The second value is near zero where `expected`, scaled to a diagonal of ones, has not full rank, (1 or m,).

    Parameters
    ----------
    psi : ndarray, shape (1, t)
        Where the point is.
    expected : ndarray, shape (1 or m, t + 1, t + 1)
        The `expectations` there: the response does not enter them.
    point : Point
        For the responses.
    """
    forms = point.squares * point.sigma2[:, None]
    residual = point.sigma2 * point.dof - (psi * forms).sum(axis=1)
    forms = np.concatenate([forms, residual[:, None]], axis=1)
    inverse, smallest = stacks.pseudo_inverse(expected)
    phi = forms @ inverse[0] if len(inverse) == 1 else (inverse @ forms[..., None])[..., 0]
    ratios = phi[:, :-1] / np.maximum(phi[:, -1:], 0.1 * point.sigma2[:, None])
    factors = []
    for k, where in zip(coordinates.sizes, coordinates.slices, strict=True):
        rows, columns = triangle(k)
        covariance = np.empty((len(ratios), k, k))
        covariance[:, rows, columns] = covariance[:, columns, rows] = ratios[:, where]
        factors.append(_inside(covariance))
    return pack(factors), smallest


def _inside(covariance: np.ndarray) -> np.ndarray:
    """Lower factors of symmetric matrices with their eigenvalues raised to a small positive number."""
    k = covariance.shape[1]
    if k == 1:
        return np.sqrt(np.maximum(covariance, SMALLEST))
    if len(covariance) <= stacks.FEW:
        try:
            factor = cholesky(covariance)
            # the product of the eigenvalues is known, and each is at most their sum
            least = np.diagonal(factor, axis1=1, axis2=2).prod(axis=1) ** 2
            if not (least > 1.01 * SMALLEST * np.trace(covariance, axis1=1, axis2=2) ** (k - 1)).all():
                cholesky(covariance - SMALLEST * np.eye(k))  # fails unless all are large enough
            return factor
        except np.linalg.LinAlgError:
            pass
    good = np.isfinite(covariance).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(good[:, None, None], covariance, np.eye(covariance.shape[1])))
    return lower_factor(vectors * np.sqrt(np.maximum(values, SMALLEST))[:, None])
