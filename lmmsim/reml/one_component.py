"""One random intercept (or one random slope alone): each fit is a sum over a few numbers.

With one variance ratio psi, V = I + psi Z Z'. The part of Z Z' that X does not explain, M Z Z'M with M = I - X X', has
eigenvalues lambda_l and eigenvectors u_l, and the REML criterion is

    f(psi) = sum_l log(1 + psi lambda_l) + (n - p) (1 + log(2 pi q / (n - p)))
    q      = sum_l (u_l'y)^2 / (1 + psi lambda_l)

(Patterson & Thompson 1971). For ML the determinant has the eigenvalues of Z Z' itself. Equal eigenvalues are pooled:
a balanced design has one. Coefficients are computed at the end, from the strata.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lmmsim.reml.standard_form import Responses
from lmmsim.reml.strata import Strata, StrataMoments, StrataPoint

LARGEST = 1000  # levels for which the eigenvectors are computed


@dataclass(frozen=True, eq=False)
class OneMoments:
    """Sums of squares along the eigenvectors, and what the coefficients need."""

    squares: np.ndarray  # (L, m): the last one is everything outside Z
    strata: StrataMoments

    @staticmethod
    def join(parts: list[OneMoments]) -> OneMoments:
        """The moments of several pieces of responses."""
        squares = np.concatenate([part.squares for part in parts], axis=1)
        return OneMoments(squares, StrataMoments.join([part.strata for part in parts]))

    def take(self, which: np.ndarray) -> OneMoments:
        """The moments of some of the responses."""
        if which.size == self.squares.shape[1]:
            return self
        return replace(self, squares=self.squares[:, which], strata=self.strata.take(which))


class OneComponent:
    """A design with one term of one column."""

    def __init__(self, strata: Strata, values: np.ndarray, vectors: np.ndarray) -> None:
        self.problem, self.strata = strata.problem, strata
        digits = np.round(values / values[-1] * 1e9)
        starts = np.flatnonzero(np.diff(digits, prepend=-1.0))  # eigh sorts: equal ones are neighbours
        self.starts, self.basis = starts, (vectors / np.sqrt(values)).T
        self.roots = np.append(values[starts], 0.0)
        self.counts = np.append(np.diff(starts, append=values.size), 0.0)

    @classmethod
    def find(cls, strata: Strata | None) -> OneComponent | None:
        """The one component of a design, None if it has more, too many levels, or nothing of Z beside X."""
        if strata is None or len(strata.problem.terms) > 1 or strata.problem.terms[0].levels > LARGEST:
            return None
        values, vectors = np.linalg.eigh(np.diag(strata.roots[:, 0]) - strata.ZX @ strata.ZX.T)
        keep = values > 1e-9 * strata.d.max()
        return cls(strata, values[keep], vectors[:, keep]) if keep.any() else None

    def chunk(self, complete: bool) -> int:
        """How many responses to carry through the optimisation together."""
        return max(1, min(2**19 // (len(self.roots) + self.problem.p**2), 20000))

    def moments(self, responses: Responses) -> OneMoments:
        """Sums of squares of every response."""
        strata, sums = self.strata, responses.sums(self.strata.Z, self.strata.ZX)
        moments = strata.moments_of_sums(sums, strata.left(responses.y) if responses.exact else None)
        if responses.exact:  # y is a residual of other than least squares
            sums = sums - strata.ZX @ (self.problem.X.T @ responses.y)
        along = self.basis @ sums
        squares = np.empty((len(self.roots), sums.shape[1]))
        squares[:-1] = np.add.reduceat(along * along, self.starts, axis=0)
        squares[-1] = np.maximum(self.problem.n - squares[:-1].sum(axis=0), 0.0)  # y'y is n
        if responses.exact:
            Xy = moments.Xy[:, -1]
            squares[-1] = moments.yy[:, -1] - np.einsum("mp,mp->m", Xy @ np.linalg.pinv(strata.XX[-1]), Xy)
        return OneMoments(squares, moments)

    def at(self, theta: np.ndarray, moments: OneMoments, reml: bool) -> OnePoint:
        """The likelihood and its derivatives at theta (m, 1)."""
        return OnePoint(self, theta, moments, reml)

    def explain(self) -> str:
        """One sentence about the structure."""
        return (
            f"one variance component: {len(self.roots) - 1} distinct eigenvalue(s) of Z Z' beside X for "
            f"{self.problem.terms[0].levels} levels, so each fit is a sum of {len(self.roots)} numbers"
        )


class OnePoint:
    """One theta with the value and the derivatives there."""

    rounding = 0.0  # sums without a minus sign

    def __init__(self, design: OneComponent, theta: np.ndarray, moments: OneMoments, reml: bool) -> None:
        self.design, self.theta, self.moments, self.reml = design, theta, moments, reml
        psi = theta[:, 0] ** 2
        size = 1 + psi * design.roots[:, None]  # (L, m)
        self.share, self.over = design.roots[:, None] / size, moments.squares / size
        dof = float(design.problem.n - design.problem.p if reml else design.problem.n)
        self.sigma2 = self.over.sum(axis=0) / dof
        self.dof = np.full(psi.shape, dof)
        roots, self.counts = (design.roots, design.counts) if reml else design.strata.ml_roots
        self.size = 1 + psi * roots[:, None]
        self.trace_share = roots[:, None] / self.size

    @cached_property
    def value(self) -> np.ndarray:
        """The profiled criterion, (m,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.counts @ np.log(self.size) + self.dof * (1 + np.log(2 * np.pi * self.sigma2))

    @cached_property
    def first(self) -> np.ndarray:
        """y'P Z Z'P y / s2, (m,)."""
        return (self.over * self.share).sum(axis=0) / self.sigma2

    @property
    def squares(self) -> np.ndarray:
        """The same as (m, 1)."""
        return self.first[:, None]

    @property
    def traces(self) -> np.ndarray:
        """tr(P Z Z'), (m, 1)."""
        return (self.counts @ self.trace_share)[:, None]

    @property
    def curvature_trace(self) -> np.ndarray:
        """tr(P Z Z'P Z Z'), (m, 1, 1)."""
        return (self.counts @ self.trace_share**2)[:, None, None]

    @property
    def gradient(self) -> np.ndarray:
        """With respect to psi, (m, 1)."""
        return self.traces - self.squares

    @property
    def hessian(self) -> np.ndarray:
        """With respect to psi, (m, 1, 1)."""
        second = (self.over * self.share**2).sum(axis=0) / self.sigma2
        return (2 * second - self.first**2 / self.dof)[:, None, None] - self.curvature_trace

    @cached_property
    def _strata(self) -> StrataPoint:
        """The same point with its coefficients."""
        return self.design.strata.at(self.theta, self.moments.strata, self.reml)

    @property
    def beta(self) -> np.ndarray:
        """Fixed effects, (m, p)."""
        return self._strata.beta

    @property
    def vcov(self) -> np.ndarray:
        """(X'V^-1 X)^-1, (m, p, p)."""
        return self._strata.vcov

    @property
    def vcov_slopes(self) -> np.ndarray:
        """Its derivative with respect to psi, (m, 1, p, p)."""
        return self._strata.vcov_slopes
