"""The criterion of any design, with its first and second derivatives, for many responses at once.

V = I + Z Psi Z' in units of the residual variance. One grouping factor is absorbed: V1 = I + Z1 Psi1 Z1' is block
diagonal and costs k x k matrices only. Every other random term joins the fixed effects, X* = [Z2, X], as a column with
the prior variance Psi2 (Henderson's mixed model equations), so that with

    K = Psi1 - Psi1 Z1'V1^-1 Z1 Psi1      N = I - A K      T = N A = Z1'V1^-1 Z1      F = N B = Z1'V1^-1 X*
    C* = (X*'V1^-1 X* + diag(Psi2^-1, 0))^-1

the matrix of the likelihood is P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1 = V1^-1 - V1^-1 X* C* X*'V1^-1. The derivative of
V in the direction E_a of Psi is V_a = Z E_a Z', and

    d f / d a      = tr(P V_a) - y'P V_a P y / s2
    d2 f / d a d b = -tr(P V_a P V_b) + 2 y'P V_a P V_b P y / s2 - g_a g_b / (n - p),   g_a = y'P V_a P y / s2

(Bates et al. 2015; Gilmour, Thompson & Cullis 1995). For ML the traces are those of V^-1 in place of P.
"""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.crossproducts import Moments
from lmmsim.reml.theta import triangle


class Layout:
    """Which bars are absorbed and where the columns of the others stand in X* = [Z2, X]."""

    def __init__(self, sizes: list[int], levels: list[int], absorbed: list[int], slices: list[slice]) -> None:
        self.absorbed, self.rest = absorbed, [i for i in range(len(sizes)) if i not in absorbed]
        self.sizes, self.levels, self.slices = sizes, levels, slices
        self.columns, start = {}, 0
        for i in self.rest:
            self.columns[i] = slice(start, start + sizes[i] * levels[i])
            start = self.columns[i].stop
        self.q2 = start
        self.k = sum(sizes[i] for i in absorbed)
        self.offsets = dict(zip(absorbed, np.cumsum([0] + [sizes[i] for i in absorbed[:-1]]).tolist(), strict=True))
        self.theta1 = np.concatenate([np.arange(slices[i].start, slices[i].stop) for i in absorbed])
        self.entries1 = [
            (self.offsets[i] + int(a), self.offsets[i] + int(b))
            for i in absorbed
            for a, b in zip(*triangle(sizes[i]), strict=True)
        ]
        self.directions1 = np.zeros((len(self.entries1), self.k, self.k))  # symmetric, with ones at these entries
        for E, (a, b) in zip(self.directions1, self.entries1, strict=True):
            E[a, b] = E[b, a] = 1.0
        rest = [np.arange(slices[i].start, slices[i].stop) for i in self.rest]
        self.order = np.argsort(np.concatenate([self.theta1, *rest]))  # from (absorbed, others) to the order of theta

    @cached_property
    def pick1(self) -> np.ndarray:
        """tr(E_a T E_b U) for all a and b from the products of the entries of T and U, (k^4, t1 t1)."""
        E = self.directions1
        return np.einsum("aij,bkl->jkliab", E, E).reshape(self.k**4, -1)


@cache
def directions(k: int) -> np.ndarray:
    """Directions of one bar's Psi, (k (k + 1) / 2, k, k), in the order of theta."""
    return Layout([k], [1], [0], [slice(0, k * (k + 1) // 2)]).directions1


def flat(stack: np.ndarray) -> np.ndarray:
    """(k, k, m, G) to weights (m, k k G)."""
    return np.ascontiguousarray(stack.transpose(2, 0, 1, 3)).reshape(stack.shape[2], -1)


def scale(layout: Layout, blocks: dict[int, np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """matrix @ diag(I (x) block of every bar beside X, I), for matrix (m, r, P) and blocks (m, k, k)."""
    if not blocks:
        return matrix
    out = matrix.copy()
    for i, block in blocks.items():
        at, k, J = layout.columns[i], layout.sizes[i], layout.levels[i]
        part = matrix[:, :, at].reshape(*matrix.shape[:2], J, k)
        out[:, :, at] = np.einsum("mrjk,mkl->mrjl", part, block).reshape(*matrix.shape[:2], J * k)
    return out


class State:
    """Everything at one theta: `factors` are Lambda of every bar, (m, k, k)."""

    def __init__(self, layout: Layout, factors: list[np.ndarray], moments: Moments, p: int, reml: bool) -> None:
        self.layout, self.factors, self.moments, self.p, self.reml = layout, factors, moments, p, reml
        self.m = moments.yy.size
        self._absorb()
        self._solve()

    def _absorb(self) -> None:
        """K, N and T of every pattern."""
        lo = self.layout
        factor = np.zeros((lo.k, lo.k, self.m, 1))
        for i in lo.absorbed:
            at = slice(lo.offsets[i], lo.offsets[i] + lo.sizes[i])
            factor[at, at, :, 0] = self.factors[i].transpose(1, 2, 0)
        A = self.moments.A
        inner = stacks.product(stacks.transpose(factor), stacks.product(A, factor))
        for a in range(lo.k):
            inner[a, a] += 1.0
        root = stacks.cholesky(inner)
        half = stacks.solve_lower(root, stacks.transpose(factor))
        self.K = stacks.product(stacks.transpose(half), half)
        self.N = -stacks.product(A, self.K)
        for a in range(lo.k):
            self.N[a, a] += 1.0
        self.T = stacks.product(self.N, A)
        with np.errstate(invalid="ignore"):
            log_pivots = sum(np.log(root[a, a]) for a in range(lo.k))
        self.log_det_V = 2 * (log_pivots * self.moments.count).sum(axis=-1)

    def _solve(self) -> None:
        """The mixed model equations: C*, beta* = (u2, beta), y'Py and the determinants."""
        mo, q2 = self.moments, self.layout.q2
        weights = flat(self.K)[:, None]
        self.gram = mo.XX - mo.quadratic(weights)[:, 0]
        self.right = mo.Xy - mo.linear(weights, mo.cross)[:, 0]
        factors = {i: self.factors[i] for i in self.layout.rest}
        equations = scale(self.layout, factors, scale(self.layout, factors, self.gram).swapaxes(1, 2))
        if q2:
            rest = np.arange(q2)
            equations[:, rest, rest] += 1.0
        inverse, pivots = stacks.inverse(equations)
        back = {i: self.factors[i].swapaxes(1, 2) for i in self.layout.rest}
        self.C = scale(self.layout, back, scale(self.layout, back, inverse).swapaxes(1, 2))
        self.log_det_V = self.log_det_V + pivots[:, :q2].sum(axis=1)
        self.log_det_X = pivots[:, q2:].sum(axis=1)
        right = scale(self.layout, factors, self.right[:, None]).swapaxes(1, 2)
        solution = inverse @ right
        solution += inverse @ (right - equations @ solution)  # large variances leave few digits: refine once
        explained = (solution * (2 * right - equations @ solution)).sum(axis=(1, 2))
        self.beta_star = scale(self.layout, back, solution.swapaxes(1, 2))[:, 0]
        self.yPy = mo.yy - (self.K * mo.cc).sum(axis=(0, 1, 3)) - explained
        self.dof = mo.n - self.p if self.reml else mo.n
        self.sigma2 = self.yPy / self.dof

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
            fit = self.log_det_V + self.dof * (1 + np.log(2 * np.pi * self.yPy / self.dof))
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
