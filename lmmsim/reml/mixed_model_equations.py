"""The criterion of any design, for many responses at once, each at its own theta.

V = I + Z Psi Z' in units of the residual variance. One grouping factor is absorbed: V1 = I + Z1 Psi1 Z1' is block
diagonal and costs k x k matrices only, T = Z1'V1^-1 Z1 (see `crossproducts` for U, u and what is left). Every other
random term joins the fixed effects, X* = [Z2, X], as a column with the prior variance Psi2 (Henderson's mixed model
equations; Henderson 1975, Bates et al. 2015 section 5.4):

    X*'V1^-1 X* = (what is left) + sum_j U_j'T_j U_j            C* = (X*'V1^-1 X* + diag(Psi2^-1, 0))^-1
    beta* = (u2, beta) = C* X*'V1^-1 y                          y'P y = y'V1^-1 y - beta*'X*'V1^-1 y

The corner of C* that belongs to X is (X'V^-1 X)^-1. With Psi2 = Lambda Lambda' nothing is divided by a variance:
C* = L (L'X*'V1^-1 X* L + diag(I, 0))^-1 L', L = diag(Lambda, I), also where a variance is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property, lru_cache

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.crossproducts import Moments
from lmmsim.reml.theta import Coordinates, triangle

ROUNDING = 1e-16


@lru_cache(maxsize=64)
def layout_of(coordinates: Coordinates, levels: tuple[int, ...], absorbed: tuple[int, ...]) -> Layout:
    """The same layout for the same terms."""
    return Layout(coordinates, levels, absorbed)


class Layout:
    """Which terms are absorbed, and where the columns of the others stand in X* = [Z2, X]."""

    def __init__(self, coordinates: Coordinates, levels: Sequence[int], absorbed: Sequence[int]) -> None:
        sizes, slices = coordinates.sizes, coordinates.slices
        self.sizes, self.levels, self.absorbed = sizes, levels, absorbed
        self.rest = [i for i in range(len(sizes)) if i not in absorbed]
        self.columns, start = {}, 0
        for i in self.rest:
            self.columns[i] = slice(start, start + sizes[i] * levels[i])
            start = self.columns[i].stop
        self.q2 = start
        self.k = sum(sizes[i] for i in absorbed)
        self.offsets = dict(zip(absorbed, np.cumsum([0] + [sizes[i] for i in absorbed[:-1]]).tolist(), strict=True))
        self.own = {i: slice(self.offsets[i], self.offsets[i] + sizes[i]) for i in absorbed}
        self.entries1 = [
            (self.offsets[i] + int(a), self.offsets[i] + int(b))
            for i in absorbed
            for a, b in zip(*triangle(sizes[i]), strict=True)
        ]
        self.directions1 = np.zeros((len(self.entries1), self.k, self.k))  # symmetric, with ones at these entries
        for E, (a, b) in zip(self.directions1, self.entries1, strict=True):
            E[a, b] = E[b, a] = 1.0
        places = [np.arange(slices[i].start, slices[i].stop) for i in [*absorbed, *self.rest]]
        self.order = np.argsort(np.concatenate(places))  # from (absorbed, others) to the order of theta

    @cached_property
    def pick1(self) -> np.ndarray:
        """tr(E_a T E_b U) for all a and b from the products of the entries of T and U, (k^4, t1 t1)."""
        E = self.directions1
        return np.einsum("aij,bkl->jkliab", E, E).reshape(self.k**4, -1)


@cache
def directions(k: int) -> np.ndarray:
    """Directions of one term's Psi, (k (k + 1) / 2, k, k), in the order of theta."""
    return Layout(Coordinates([k]), [1], [0]).directions1


def flat(stack: np.ndarray) -> np.ndarray:
    """(k, k, m, G) to weights (m, k k G)."""
    return np.ascontiguousarray(stack.transpose(2, 0, 1, 3)).reshape(stack.shape[2], -1)


def scale(layout: Layout, factors: dict[int, np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """matrix @ diag(I (x) factor of every term beside X, I), for matrix (m, r, P) and factors (m, k, k)."""
    if not factors:
        return matrix
    out = matrix.copy()
    for i, factor in factors.items():
        at, k, J = layout.columns[i], layout.sizes[i], layout.levels[i]
        part = matrix[:, :, at].reshape(*matrix.shape[:2], J, k)
        out[:, :, at] = np.einsum("mrjk,mkl->mrjl", part, factor).reshape(*matrix.shape[:2], J * k)
    return out


class State:
    """The solution of the mixed model equations at one theta: `factors` are Lambda of every term, (m, k, k)."""

    def __init__(self, layout: Layout, factors: list[np.ndarray], moments: Moments, p: int, reml: bool) -> None:
        self.layout, self.factors, self.moments, self.p, self.reml = layout, factors, moments, p, reml
        self.m = moments.yy.size
        self.dof = moments.n - p if reml else moments.n
        self._absorb()
        self._solve()

    def _absorb(self) -> None:
        """T of every pattern."""
        psi = np.zeros((self.layout.k, self.layout.k, self.m, 1))
        for i, at in self.layout.own.items():
            psi[at, at, :, 0] = (self.factors[i] @ self.factors[i].swapaxes(1, 2)).transpose(1, 2, 0)
        self.T, log_det = self.moments.gram.absorb(psi)
        self.log_det_V = (log_det * self.moments.count).sum(axis=-1)

    def _solve(self) -> None:
        """C*, beta* = (u2, beta), y'Py and the determinants."""
        mo, q2 = self.moments, self.layout.q2
        weights = flat(self.T)[:, None]
        self.matrix = mo.XX + mo.quadratic(weights)[:, 0]
        self.right = mo.Xy + mo.linear(weights, mo.cross)[:, 0]
        factors = {i: self.factors[i] for i in self.layout.rest}
        equations = scale(self.layout, factors, scale(self.layout, factors, self.matrix).swapaxes(1, 2))
        if q2:
            rest = np.arange(q2)
            equations[:, rest, rest] += 1.0
        inverse, pivots = stacks.inverse(equations)
        back = {i: self.factors[i].swapaxes(1, 2) for i in self.layout.rest}
        self.C = scale(self.layout, back, scale(self.layout, back, inverse).swapaxes(1, 2))
        if q2:
            self.log_det_V = self.log_det_V + pivots[:, :q2].sum(axis=1)
        self.log_det_X = pivots[:, q2:].sum(axis=1)
        right = scale(self.layout, factors, self.right[:, None]).swapaxes(1, 2)
        solution = inverse @ right
        solution += inverse @ (right - equations @ solution)  # large variances leave few digits: refine once
        explained = (solution * (2 * right - equations @ solution)).sum(axis=(1, 2))
        self.beta_star = scale(self.layout, back, solution.swapaxes(1, 2))[:, 0]
        self.yVy = mo.yy + (self.T * mo.uu).sum(axis=(0, 1, 3))
        self.yPy = self.yVy - explained
        self.sigma2 = self.yPy / self.dof

    @property
    def rounding(self) -> np.ndarray:
        """Size of the rounding error that large variances leave in the criterion, (m,)."""
        before, q2 = np.diagonal(self.matrix, axis1=1, axis2=2)[:, self.layout.q2 :], self.layout.q2
        with np.errstate(invalid="ignore", divide="ignore"):
            after = 1 / np.diagonal(self.C, axis1=1, axis2=2)[:, q2:]
            lost = (before / after).sum(axis=1) if q2 else 0.0
            return np.asarray(ROUNDING * (self.dof * self.yVy / self.yPy + lost))

    @property
    def beta(self) -> np.ndarray:
        """Fixed effects, (m, p)."""
        return self.beta_star[:, self.layout.q2 :]

    @property
    def vcov(self) -> np.ndarray:
        """(X'V^-1 X)^-1, (m, p, p): without the residual variance."""
        return self.C[:, self.layout.q2 :, self.layout.q2 :]

    @property
    def value(self) -> np.ndarray:
        """The profiled criterion, -2 log-likelihood with all constants, (m,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            fit = self.log_det_V + self.dof * (1 + np.log(2 * np.pi * self.sigma2))
        return fit + self.log_det_X if self.reml else fit

    @cached_property
    def C_without_X(self) -> np.ndarray:
        """C* of a model without fixed effects: V^-1 = V1^-1 - V1^-1 X* (this) X*'V1^-1."""
        q2 = self.layout.q2
        out = np.zeros_like(self.C)
        if q2:
            across = self.C[:, :q2, q2:]
            out[:, :q2, :q2] = self.C[:, :q2, :q2] - across @ np.linalg.solve(self.vcov, across.swapaxes(1, 2))
        return out

    @property
    def C_trace(self) -> np.ndarray:
        """What stands for C* in the traces."""
        return self.C if self.reml else self.C_without_X
