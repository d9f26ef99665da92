"""Coordinates of the random effects' covariance: theta, Lambda, Psi and the chain rule between them.

For one random term, Lambda is lower triangular, Psi = Lambda Lambda' is the covariance in units of the residual
variance, theta is the lower triangle of Lambda and psi the lower triangle of Psi, both read down the columns (lme4's
order).
Psi is quadratic in theta, psi_s = theta' D_s theta / 2, so one constant array D holds both derivatives.

The optimiser works on theta without bounds. The criterion only sees Lambda Lambda', which does not change when a
column of Lambda changes its sign, so a variance of zero or a correlation of one is an ordinary stationary point.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np


@cache
def triangle(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every entry of a lower triangle, down the columns."""
    columns, rows = np.triu_indices(k)
    return rows, columns


def pack(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Lower triangles of matrices (..., k, k), read down the columns, one after the other: (..., t).

    Examples
    --------
    >>> pack([np.array([[1.0, 0.0], [2.0, 3.0]]), np.array([[4.0]])]).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    return np.concatenate([matrix[..., *triangle(matrix.shape[-1])] for matrix in matrices], axis=-1)


def unpack(theta: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Lower triangular matrices (..., k, k) of these sizes k: what `pack` undoes.

    Examples
    --------
    >>> [factor.tolist() for factor in unpack(np.array([1.0, 2.0, 3.0, 4.0]), [2, 1])]
    [[[1.0, 0.0], [2.0, 3.0]], [[4.0]]]
    """
    out, start = [], 0
    for k in sizes:
        stop = start + k * (k + 1) // 2
        factor = np.zeros((*theta.shape[:-1], k, k))
        factor[..., *triangle(k)] = theta[..., start:stop]
        out.append(factor)
        start = stop
    return out


def place_of_terms(sizes: Sequence[int]) -> list[slice]:
    """Where every term's part of theta stands."""
    stops = np.cumsum([k * (k + 1) // 2 for k in sizes])
    return [slice(int(stop) - k * (k + 1) // 2, int(stop)) for k, stop in zip(sizes, stops, strict=True)]


@lru_cache(maxsize=64)
def coordinates_of(sizes: tuple[int, ...]) -> Coordinates:
    """The same coordinates for the same sizes."""
    return Coordinates(sizes)


class Coordinates:
    """The order of theta for terms with `sizes` columns."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.slices = place_of_terms(self.sizes)
        self.size = self.slices[-1].stop
        self.curvature = np.zeros((self.size, self.size, self.size))
        for k, where in zip(self.sizes, self.slices, strict=True):
            self.curvature[where, where, where] = _curvature(k)
        self.diagonal = np.concatenate([rows == columns for rows, columns in map(triangle, self.sizes)])

    def factors(self, theta: np.ndarray) -> list[np.ndarray]:
        """Lambda of every term: theta (m, t) to arrays (m, k, k)."""
        return unpack(theta, self.sizes)

    def psi(self, theta: np.ndarray) -> np.ndarray:
        """Lower triangles of Psi, (m, t)."""
        return 0.5 * np.einsum("sab,ma,mb->ms", self.curvature, theta, theta)

    def positive(self, theta: np.ndarray) -> np.ndarray:
        """The same covariances with every diagonal entry of Lambda >= 0."""
        if (theta[:, self.diagonal] >= 0).all():
            return theta
        out = [f * np.where(np.diagonal(f, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, None] for f in self.factors(theta)]
        return pack(out)

    def without_smallest(self, theta: np.ndarray, below: float) -> tuple[np.ndarray, np.ndarray]:
        """Which rows have a principal standard deviation under `below`, and their theta with those set to zero."""
        factors = self.factors(theta)
        smallest = np.minimum.reduce([_at_least(factor, below) for factor in factors])
        near = np.flatnonzero(smallest < below)
        if near.size == 0:
            return near, theta[near]
        cut = []
        for factor in factors:
            left, values, _ = np.linalg.svd(factor[near])
            cut.append(lower_factor(left * np.where(values < below, 0.0, values)[:, None, :]))
        return near, pack(cut)

    def inside(self, theta: np.ndarray, least: float) -> np.ndarray:
        """Theta with every principal standard deviation at least this large."""
        raised = []
        for factor in self.factors(theta):
            left, values, _ = np.linalg.svd(factor)
            raised.append(lower_factor(left * np.maximum(values, least)[:, None, :]))
        return pack(raised)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """d psi / d theta, (m, t, t): rows psi, columns theta."""
        t = self.size
        return (theta @ self.curvature.reshape(t * t, t).T).reshape(-1, t, t)

    def in_theta(self, theta: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian with respect to theta from those with respect to psi."""
        if self.size == 1:
            slope = theta * self.curvature[0, 0]
            return gradient * slope, hessian * slope[..., None] ** 2 + gradient[..., None] * self.curvature[0]
        jacobian = self.jacobian(theta)
        transposed = jacobian.swapaxes(1, 2)
        t = self.size
        bend = (gradient @ self.curvature.reshape(t, t * t)).reshape(-1, t, t)
        return (transposed @ gradient[..., None])[..., 0], transposed @ hessian @ jacobian + bend


@cache
def _curvature(k: int) -> np.ndarray:
    """Second derivatives of psi with respect to theta for one term: psi_ij = sum_c Lambda_ic Lambda_jc."""
    rows, columns = triangle(k)
    out = np.zeros((len(rows),) * 3)
    place = {(int(i), int(j)): s for s, (i, j) in enumerate(zip(rows, columns, strict=True))}
    for (i, j), s in place.items():
        for c in range(j + 1):
            a, b = place[i, c], place[j, c]
            out[s, a, b] += 1.0
            out[s, b, a] += 1.0
    return out


def _at_least(factor: np.ndarray, enough: float) -> np.ndarray:
    """The smallest principal standard deviation, (m,), or a smaller number where all of those are `enough`.

    The product of all is that of the diagonal, and each is at most the root of the sum of squares.
    """
    k = factor.shape[1]
    if k == 1:
        return np.abs(factor[:, 0, 0])
    largest = np.sqrt((factor**2).sum(axis=(1, 2)))
    bound = np.abs(np.diagonal(factor, axis1=1, axis2=2).prod(axis=1)) / np.maximum(largest, 1e-100) ** (k - 1)
    if (bound > 1.01 * enough).all():
        return np.asarray(bound)
    return np.asarray(np.linalg.svd(factor, compute_uv=False).min(axis=1))


def lower_factor(root: np.ndarray) -> np.ndarray:
    """Lower triangular factors, diagonal >= 0, of root root' for a stack of square roots (m, k, k)."""
    upper = np.asarray(np.linalg.qr(root.swapaxes(1, 2), mode="r"))
    factor = upper.swapaxes(1, 2)
    signs = np.where(np.diagonal(factor, axis1=1, axis2=2) < 0, -1.0, 1.0)
    return factor * signs[:, None, :]
