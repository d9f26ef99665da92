"""Designs whose Z_i Z_i' commute: one random intercept of any kind, balanced nested or crossed intercepts.

Then all Z_i Z_i' share their eigenvectors and V = I + sum_i psi_i Z_i Z_i' is diagonal in them, with a few distinct
eigenvalues v_s = 1 + sum_i psi_i d_si: one for each *stratum* (Nelder 1965). With the projectors P_s on the strata,

    X'V^-1 X = sum_s X'P_s X / v_s        X'V^-1 y = sum_s X'P_s y / v_s        y'V^-1 y = sum_s y'P_s y / v_s

so a response enters through p + 1 numbers per stratum, and the size of the data never matters again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.commuting import common_eigenvectors
from lmmsim.reml.level_sums import LevelSums
from lmmsim.reml.standard_form import Problem, Responses

LARGEST = 1500  # random effects of several factors for which eigenvectors are computed
ENTRIES = 2**22  # of all X'P_s X


@dataclass(frozen=True, eq=False)
class StrataMoments:
    """What the likelihood needs of m responses in L strata."""

    Xy: np.ndarray  # (m, L, p)
    yy: np.ndarray  # (m, L)

    @staticmethod
    def join(parts: list[StrataMoments]) -> StrataMoments:
        """The moments of several pieces of responses."""
        return StrataMoments(np.concatenate([part.Xy for part in parts]), np.concatenate([part.yy for part in parts]))

    def take(self, which: np.ndarray) -> StrataMoments:
        """The moments of some of the responses."""
        return self if which.size == self.yy.shape[0] else replace(self, Xy=self.Xy[which], yy=self.yy[which])


class Strata:
    """The common eigenspaces of a design. `Strata.find` returns None where there are none."""

    def __init__(self, problem: Problem, common: tuple[np.ndarray, np.ndarray] | None) -> None:
        self.problem, n = problem, problem.n
        if common is None:  # one factor: the columns of Z are eigenvectors already
            sizes = np.bincount(problem.terms[0].codes, problem.terms[0].columns[:, 0] ** 2, problem.terms[0].levels)
            common = sizes[:, None], np.where(sizes > 0, 1 / np.sqrt(np.where(sizes > 0, sizes, 1.0)), 0.0)
        roots, basis = common
        keys = np.round(roots / np.abs(roots).max() * 1e9)
        first, stratum, counts = stacks.distinct(keys)
        order = np.argsort(stratum, kind="stable")
        self.basis, self.roots = basis[order], roots[order]
        codes = [term.codes for term in problem.terms]
        if basis.ndim == 1:
            codes = [_inverse_of(order)[codes[0]]]
        levels = [term.levels for term in problem.terms]
        self.Z = LevelSums(codes, [term.columns[:, 0] for term in problem.terms], levels)  # Z'
        self.starts = np.cumsum(counts) - counts
        self.d = np.concatenate([roots[first], np.zeros((1, roots.shape[1]))])  # (L, t); last: the residual stratum
        self.multiplicity = np.append(counts, n - counts.sum()).astype(float)
        self.ZX = self.Z @ problem.X
        self.UX = np.split(self._turn(self.ZX), self.starts[1:])

    @cached_property
    def X_left(self) -> np.ndarray:
        """The part of X in the residual stratum, (n, p)."""
        return self.left(self.problem.X)

    @cached_property
    def XX(self) -> np.ndarray:
        """X'P_s X, (L, p, p)."""
        return np.stack([part.T @ part for part in [*self.UX, self.X_left]])

    @cached_property
    def turned(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The same in common eigenvectors, where there are any."""
        return _diagonal_together(self.XX)

    @classmethod
    def find(cls, problem: Problem) -> Strata | None:
        """The strata of a design with single columns whose Z_i Z_i' commute."""
        if any(term.columns.shape[1] > 1 for term in problem.terms):
            return None
        one = len(problem.terms) == 1
        if not one and sum(term.levels for term in problem.terms) > LARGEST:
            return None
        common = None if one else common_eigenvectors(problem)
        if not one and common is None:
            return None
        strata = cls(problem, common)
        return strata if len(strata.d) * problem.p**2 <= ENTRIES else None

    @cached_property
    def ml_roots(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of the only Z Z' and how often each occurs."""
        return self.d[:-1, 0], self.multiplicity[:-1]

    def _turn(self, sums: np.ndarray) -> np.ndarray:
        """U'y from Z'y, for the common eigenvectors U outside the residual stratum."""
        return self.basis[:, None] * sums if self.basis.ndim == 1 else self.basis @ sums

    def left(self, values: np.ndarray) -> np.ndarray:
        """The part (n, m) of values in the residual stratum; the second pass removes the rounding of the first."""
        values = values.copy()
        for _ in range(2):
            along = self._turn(self.Z @ values)
            back = self.basis[:, None] * along if self.basis.ndim == 1 else self.basis.T @ along
            self.Z.take_away(values, back)
        return values

    def chunk(self, complete: bool) -> int:
        """How many responses to carry through the optimisation together."""
        each = len(self.d) * (self.problem.p + 8) + 8 * self.problem.p**2
        return max(1, min(2**19 // each, 4000))

    def moments(self, responses: Responses) -> StrataMoments:
        """Sums of squares and products of every response in every stratum."""
        left = self.left(responses.y) if responses.exact else None
        return self.moments_of_sums(responses.sums(self.Z, self.ZX), left)

    def moments_of_sums(self, sums: np.ndarray, left: np.ndarray | None = None) -> StrataMoments:
        """Moments from the sums over levels Z'y, and what is left of y where that is known.

        Where it is not, it follows from the whole: a standardised response has y'y = n and X'y = 0.
        """
        L, p, m = len(self.d), self.problem.p, sums.shape[1]
        Uy = self._turn(sums)
        yy, Xy = np.empty((m, L)), np.empty((m, L, p))
        yy[:, :-1] = np.add.reduceat(Uy**2, self.starts, axis=0).T
        for s, (ux, uy) in enumerate(zip(self.UX, np.split(Uy, self.starts[1:]), strict=True)):
            Xy[:, s] = uy.T @ ux
        if left is None:
            yy[:, -1] = np.maximum(self.problem.n - yy[:, :-1].sum(axis=1), 0.0)
            Xy[:, -1] = -Xy[:, :-1].sum(axis=1)
        else:
            yy[:, -1], Xy[:, -1] = np.einsum("im,im->m", left, left), left.T @ self.X_left
        return StrataMoments(Xy, yy)

    def at(self, theta: np.ndarray, moments: StrataMoments, reml: bool) -> StrataPoint:
        """The likelihood and its derivatives at theta (m, t)."""
        return StrataPoint(self, theta, moments, reml)

    def explain(self) -> str:
        """One sentence about the structure."""
        return (
            f"strata: all Z Z' of the random terms commute, so V is diagonal in {len(self.d)} strata of "
            f"{', '.join(f'{c:.0f}' for c in self.multiplicity[:8])}{', ...' if len(self.d) > 8 else ''} dimensions; "
            f"a response is {self.problem.p + 1} numbers per stratum"
        )


class StrataPoint:
    """One theta with the value and the derivatives there."""

    rounding = 0.0  # sums without a minus sign

    def __init__(self, strata: Strata, theta: np.ndarray, moments: StrataMoments, reml: bool) -> None:
        self.strata, self.reml, p = strata, reml, strata.problem.p
        self.d, self.multiplicity = strata.d, strata.multiplicity
        self.v = 1 + theta**2 @ self.d.T  # (m, L)
        self.XX = strata.XX.reshape(len(self.d), -1)
        self.vcov, pivots = self._inverse(1 / self.v)
        right = (moments.Xy / self.v[:, :, None]).sum(axis=1)
        self.beta = (self.vcov @ right[..., None])[..., 0]
        self.moments, self.log_det_X = moments, pivots.sum(axis=1)
        self.dof = np.full(self.v.shape[0], float(strata.problem.n - p if reml else strata.problem.n))

    def _inverse(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(X'V^-1 X)^-1, (m, p, p), and p numbers per response whose sum is the log-determinant of X'V^-1 X."""
        p = self.strata.problem.p
        if self.strata.turned is None:
            return stacks.inverse((weights @ self.XX).reshape(-1, p, p))
        squares, diagonals = self.strata.turned
        pivots = weights @ diagonals
        return (1 / pivots @ squares).reshape(-1, p, p), np.log(pivots)

    @cached_property
    def cross(self) -> np.ndarray:
        """X'P_s (y - X beta), (m, L, p)."""
        p = self.strata.problem.p
        return self.moments.Xy - (self.beta @ self.strata.XX.reshape(-1, p).T).reshape(-1, len(self.d), p)

    @cached_property
    def square(self) -> np.ndarray:
        """Squared length of P_s (y - X beta), (m, L)."""
        return self.moments.yy - ((self.moments.Xy + self.cross) @ self.beta[..., None])[..., 0]

    @cached_property
    def sigma2(self) -> np.ndarray:
        """Residual variance, (m,)."""
        return (self.square / self.v).sum(axis=1) / self.dof

    @cached_property
    def value(self) -> np.ndarray:
        """The profiled criterion, (m,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            fit = np.log(self.v) @ self.multiplicity + self.dof * (1 + np.log(2 * np.pi * self.sigma2))
        return fit + self.log_det_X if self.reml else fit

    @property
    def gradient(self) -> np.ndarray:
        """Of the profiled criterion with respect to psi, (m, t)."""
        return self.traces - self.squares

    @property
    def hessian(self) -> np.ndarray:
        """Of the profiled criterion with respect to psi, (m, t, t)."""
        profile = self.squares[:, :, None] * self.squares[:, None, :] / self.dof[:, None, None]
        return 2 * self.curvature_y - self.curvature_trace - profile

    @cached_property
    def traces(self) -> np.ndarray:
        """tr(P V_a), (m, t)."""
        weights = self.multiplicity / self.v
        return (weights - self.leverage / self.v**2 if self.reml else weights) @ self.d

    @cached_property
    def squares(self) -> np.ndarray:
        """y'P V_a P y / s2, (m, t)."""
        return (self.square / (self.sigma2[:, None] * self.v**2)) @ self.d

    @cached_property
    def leverage(self) -> np.ndarray:
        """tr(C X'P_s X), (m, L)."""
        return self.vcov.reshape(self.v.shape[0], -1) @ self.XX.T

    @cached_property
    def information1(self) -> np.ndarray:
        """X'V^-1 V_a V^-1 X, (m, t, p, p)."""
        m, p = self.beta.shape
        weights = self.d.T / self.v[:, None] ** 2
        return (weights.reshape(-1, len(self.d)) @ self.XX).reshape(m, -1, p, p)

    @cached_property
    def curvature_trace(self) -> np.ndarray:
        """tr(P V_a P V_b), (m, t, t)."""
        m, t = self.v.shape[0], self.d.shape[1]
        weights = self.multiplicity / self.v**2
        if not self.reml:
            return (weights @ self._pairs).reshape(m, t, t)
        out = ((weights - 2 * self.leverage / self.v**3) @ self._pairs).reshape(m, t, t)
        CM = self.vcov[:, None] @ self.information1
        return out + CM.reshape(m, t, -1) @ CM.swapaxes(2, 3).reshape(m, t, -1).swapaxes(1, 2)

    @cached_property
    def curvature_y(self) -> np.ndarray:
        """y'P V_a P V_b P y / s2, (m, t, t)."""
        m, t = self.v.shape[0], self.d.shape[1]
        w = (self.d.T / self.v[:, None] ** 2) @ self.cross
        inner = (self.square / self.v**3 @ self._pairs).reshape(m, t, t)
        return (inner - w @ self.vcov @ w.swapaxes(1, 2)) / self.sigma2[:, None, None]

    @property
    def _pairs(self) -> np.ndarray:
        """d_sa d_sb, (L, t t)."""
        return (self.d[:, :, None] * self.d[:, None, :]).reshape(len(self.d), -1)

    @cached_property
    def vcov_slopes(self) -> np.ndarray:
        """Derivatives of (X'V^-1 X)^-1 with respect to psi, (m, t, p, p)."""
        return self.vcov[:, None] @ self.information1 @ self.vcov[:, None]


def _diagonal_together(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """For symmetric A_s that commute: squares q_k q_k' (p, p p) of common eigenvectors and eigenvalues (L, p)."""
    weights = np.sqrt(np.arange(2.0, 2.0 + len(matrices)))[None]
    mixture = (weights @ matrices.reshape(len(matrices), -1)).reshape(matrices.shape[1:])
    _, Q = np.linalg.eigh(mixture)
    turned = Q.T @ matrices @ Q
    diagonals = np.diagonal(turned, axis1=1, axis2=2)
    off = np.abs(turned - diagonals[:, :, None] * np.eye(Q.shape[0])).max(initial=0.0)
    squares = (Q.T[:, :, None] * Q.T[:, None, :]).reshape(Q.shape[0], -1)
    return (squares, np.where(diagonals > 1e-13, diagonals, 0.0)) if off < 1e-12 else None


def _inverse_of(order: np.ndarray) -> np.ndarray:
    """The place of every element in an order."""
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return place
