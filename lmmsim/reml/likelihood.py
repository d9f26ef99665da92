"""The profiled likelihood and its derivatives from two things: log|V|, and S = [X, y]'V^-1 [X, y].

With S and log|V| differentiated twice by psi everything else follows (Bates et al. 2015; Harville 1977), for
C = (S_XX)^-1, beta = C S_Xy, g = (-beta, 1) and a subscript for each derivative:

    y'P y = g'S g                    (y'P y)_a = g'S_a g             (y'P y)_ab = g'S_ab g - 2 (S_a g)_X'C (S_b g)_X
    tr(P V_a) = (log|V| + log|S_XX|)_a                               tr(P V_a P V_b) = -(log|V| + log|S_XX|)_ab

For ML the traces are those of log|V| alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.mixed_model_equations import ROUNDING


@dataclass(frozen=True, eq=False)
class Likelihood:
    """m responses, each at its own theta; derivatives are with respect to psi."""

    log_det: np.ndarray  # (m,) log|V|
    log_det_a: np.ndarray  # (m, t)
    log_det_ab: np.ndarray  # (m, t, t)
    S: np.ndarray  # (m, p + 1, p + 1)
    S_a: np.ndarray  # (m, t, p + 1, p + 1)
    S_ab: np.ndarray  # (m, t, t, p + 1, p + 1)
    before: np.ndarray  # (m, p + 1) the diagonal of S before a minus sign was met
    n: np.ndarray  # (m,)
    reml: bool

    @cached_property
    def dof(self) -> np.ndarray:
        """n - p (REML) or n (ML), (m,)."""
        return self.n - (self.S.shape[1] - 1) if self.reml else self.n

    @cached_property
    def _inverse(self) -> tuple[np.ndarray, np.ndarray]:
        """C and the pivots of S_XX."""
        return stacks.inverse(np.ascontiguousarray(self.S[:, :-1, :-1]))

    @property
    def vcov(self) -> np.ndarray:
        """(X'V^-1 X)^-1, (m, p, p)."""
        return self._inverse[0]

    @cached_property
    def beta(self) -> np.ndarray:
        """Fixed effects, (m, p)."""
        return (self.vcov @ self.S[:, :-1, -1:])[..., 0]

    @cached_property
    def _g(self) -> np.ndarray:
        """(-beta, 1), (m, p + 1)."""
        return np.append(-self.beta, np.ones((len(self.beta), 1)), axis=1)

    @cached_property
    def sigma2(self) -> np.ndarray:
        """Residual variance, (m,)."""
        return np.einsum("mi,mij,mj->m", self._g, self.S, self._g) / self.dof

    @cached_property
    def value(self) -> np.ndarray:
        """The profiled criterion, (m,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            fit = self.log_det + self.dof * (1 + np.log(2 * np.pi * self.sigma2))
        return fit + self._inverse[1].sum(axis=1) if self.reml else fit

    @cached_property
    def rounding(self) -> np.ndarray:
        """Size of the rounding error that large variances leave in the value, (m,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            of_X = (self.before[:, :-1] * np.diagonal(self.vcov, axis1=1, axis2=2)).sum(axis=1)
            return np.asarray(ROUNDING * (self.before[:, -1] / self.sigma2 + of_X))

    @property
    def gradient(self) -> np.ndarray:
        """Of the profiled criterion, (m, t)."""
        return self.traces - self.squares

    @property
    def hessian(self) -> np.ndarray:
        """Of the profiled criterion, (m, t, t)."""
        profile = self.squares[:, :, None] * self.squares[:, None, :] / self.dof[:, None, None]
        return 2 * self.curvature_y - self.curvature_trace - profile

    @cached_property
    def _CS(self) -> np.ndarray:
        """C S_a, (m, t, p, p)."""
        return self.vcov[:, None] @ self.S_a[:, :, :-1, :-1]

    @cached_property
    def traces(self) -> np.ndarray:
        """tr(P V_a), (m, t)."""
        return self.log_det_a + np.einsum("mapp->ma", self._CS) if self.reml else self.log_det_a

    @cached_property
    def squares(self) -> np.ndarray:
        """y'P V_a P y / s2, (m, t)."""
        return -np.einsum("mi,maij,mj->ma", self._g, self.S_a, self._g) / self.sigma2[:, None]

    @cached_property
    def curvature_trace(self) -> np.ndarray:
        """tr(P V_a P V_b), (m, t, t)."""
        if not self.reml:
            return -self.log_det_ab
        of_X = np.einsum("mpq,mabpq->mab", self.vcov, self.S_ab[..., :-1, :-1])
        return np.einsum("mapq,mbqp->mab", self._CS, self._CS) - of_X - self.log_det_ab

    @cached_property
    def curvature_y(self) -> np.ndarray:
        """y'P V_a P V_b P y / s2, (m, t, t)."""
        w = (self.S_a @ self._g[:, None, :, None])[:, :, :-1, 0]
        whole = np.einsum("mi,mabij,mj->mab", self._g, self.S_ab, self._g) / 2
        return (whole - w @ self.vcov @ w.swapaxes(1, 2)) / self.sigma2[:, None, None]

    @cached_property
    def vcov_slopes(self) -> np.ndarray:
        """Derivatives of (X'V^-1 X)^-1, (m, t, p, p)."""
        return -self._CS @ self.vcov[:, None]

    @cached_property
    def vcov_curvatures(self) -> np.ndarray:
        """C X'V^-1 V_a P V_b V^-1 X C, symmetrised over a and b, (m, t, t, p, p): for Kenward and Roger (1997)."""
        C, S_a = self.vcov[:, None, None], self.S_a[:, :, :-1, :-1]
        pair = S_a[:, :, None] @ C @ S_a[:, None]
        inside = self.S_ab[..., :-1, :-1] - pair - pair.swapaxes(1, 2)
        return C @ inside @ C / 2
