"""The likelihood by V itself, block by block, with its first and second derivatives, for many responses at once.

It serves residuals that depend on each other, and models without random effects. In units of the residual variance a
block has V_j = Z_j Psi Z_j' + R_j(phi). With T = V_j^-1, r = y - X beta, C = (X'V^-1 X)^-1 and, summed over the
blocks of a pattern, S = sum r r', W = T S T, D = T (sum X C X') T, the profiled REML criterion has the derivatives

    f_a  = sum of M V_a              M = J T - D - W / s2
    f_ab = sum of M V_ab + tr(V_a T V_b Q) - tr(C H_a C H_b) - 2 h_a'C h_b / s2 - g_a g_b / (n - p)
           Q = 2 W / s2 - J T + 2 D    H_a = X'T V_a T X    h_a = X'T V_a T r    g_a = sum of W V_a / s2

(Lindstrom & Bates 1988; Gilmour, Thompson & Cullis 1995). For ML leave out D and tr(C H_a C H_b).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.residual_numbers import Here
from lmmsim.reml.theta import Coordinates
from lmmsim.reml.unit_sums import Stack


@dataclass(frozen=True, eq=False)
class Sums:
    """Responses as the likelihood sees them: of every stack the rotated blocks and S; and how many rows there are."""

    n: int
    rotated: tuple[np.ndarray, ...]
    S: tuple[np.ndarray, ...]

    @staticmethod
    def of(design: Sequence[Stack], rows: np.ndarray) -> Sums:
        """Sums of responses (n, r), of which only the rows of the design are read."""
        both = [stack.sums(rows) for stack in design]
        n = int(sum(stack.count.sum() * stack.m for stack in design))
        return Sums(n, tuple(y for y, _ in both), tuple(S for _, S in both))

    def take(self, which: np.ndarray) -> Sums:
        """Some of the responses."""
        return Sums(self.n, tuple(y[which] for y in self.rotated), tuple(S[which] for S in self.S))


class MarginalPoint:
    """The likelihood of r responses, each at its own (theta, phi), or all at one, which gives values only."""

    def __init__(
        self,
        design: Sequence[Stack],
        coordinates: Coordinates | None,
        parameters: np.ndarray,
        sums: Sums,
        reml: bool,
    ) -> None:
        self.design, self.coordinates, self.sums, self.reml = design, coordinates, sums, reml
        self.t = coordinates.size if coordinates else 0
        self.theta, self.phi = parameters[:, : self.t], parameters[:, self.t :]
        self.psi = coordinates.psi(self.theta) if coordinates else self.theta
        self.r, self.p = len(parameters), design[0].X.shape[3]
        self.residual = [stack.piece(self.phi) for stack in design]
        self._solve()

    def _solve(self) -> None:
        """T, V^-1 X and the normal equations."""
        k, p = self.r, self.p
        r = self.sums.S[0].shape[0]
        self.T, self.U = [], []
        log_det, XX, Xy, yy = np.zeros(k), np.zeros((k, p, p)), np.zeros((r, p)), np.zeros(r)
        for stack, here, y, S in zip(self.design, self.residual, self.sums.rotated, self.sums.S, strict=True):
            G, E, m, _ = stack.X.shape
            V = here.R + np.tensordot(self.psi, stack.Z, 1)
            inverse, pivots = stacks.inverse(np.broadcast_to(V, (k, G, m, m)).reshape(-1, m, m))
            T = inverse.reshape(k, G, m, m)
            columns = stack.X.transpose(0, 2, 1, 3).reshape(G, m, E * p)
            U = (T @ columns).reshape(k, G, m, E, p)
            log_det += pivots.sum(axis=1).reshape(k, G) @ stack.count
            XX += columns.reshape(-1, p).T @ U.reshape(k, -1, p)
            Xy += (y.swapaxes(2, 3).reshape(r, 1, -1) @ U.reshape(k, -1, p))[:, 0]
            yy += (S.reshape(r, 1, -1) @ T.reshape(k, -1, 1))[:, 0, 0]
            self.T.append(T)
            self.U.append(U)
        self._estimate(log_det, XX, Xy, yy)

    def _estimate(self, log_det: np.ndarray, XX: np.ndarray, Xy: np.ndarray, yy: np.ndarray) -> None:
        """Generalized least squares from the sums X'V^-1 X, X'V^-1 y and y'V^-1 y."""
        self.vcov, pivots = stacks.inverse(XX)
        self.log_det_V, self.log_det_X = log_det, pivots.sum(axis=1)
        self.beta = (self.vcov @ Xy[..., None])[..., 0]
        self.beta += (self.vcov @ (Xy - (XX @ self.beta[..., None])[..., 0])[..., None])[..., 0]
        self.yPy = yy - (self.beta * Xy).sum(axis=1)
        self.dof = np.full(len(yy), self.sums.n - self.p if self.reml else self.sums.n, dtype=float)
        self.sigma2 = self.yPy / self.dof

    @property
    def value(self) -> np.ndarray:
        """The profiled criterion, -2 log-likelihood with all constants, (r,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            fit = self.log_det_V + self.dof * (1 + np.log(2 * np.pi * self.sigma2))
        return fit + self.log_det_X if self.reml else fit

    @cached_property
    def _parts(self) -> tuple[np.ndarray, ...]:
        """The derivatives, worked out once."""
        return self._of_all()

    def _of_all(self) -> tuple[np.ndarray, ...]:
        """Gradient, squares g, joint Hessian without the profiled scale, H: in (psi, phi)."""
        r, p, a = self.r, self.p, self.t + self.phi.shape[1]
        gradient, squares, hessian = np.zeros((r, a)), np.zeros((r, a)), np.zeros((r, a, a))
        H, h = np.zeros((r, a, p, p)), np.zeros((r, a, p))
        s2 = self.sigma2[:, None, None, None]
        groups = zip(self.design, self.residual, self.T, self.U, self.sums.rotated, self.sums.S, strict=True)
        for stack, here, T, U, y, S in groups:
            G, E, m, _ = stack.X.shape
            rest = y - np.einsum("geip,rp->rgei", stack.X, self.beta)
            left = S - y.swapaxes(2, 3) @ y + rest.swapaxes(2, 3) @ rest
            W = T @ left @ T / s2
            M = stack.count[:, None, None] * T
            Q = 2 * W - M
            if self.reml:
                flat = U.reshape(r, G, m, E * p)
                D = (U @ self.vcov[:, None, None]).reshape(r, G, m, E * p) @ flat.swapaxes(2, 3)
                M, Q = M - D, Q + 2 * D
            M = M - W
            V = self._slopes(stack, here)  # (r, a, G, m, m)
            tall = V.reshape(r, a, G * m * m)
            gradient += (tall @ M.reshape(r, -1, 1))[..., 0]
            squares += (tall @ W.reshape(r, -1, 1))[..., 0]
            VT, VQ = V @ T[:, None], V @ Q[:, None]
            hessian += VT.reshape(tall.shape) @ VQ.swapaxes(3, 4).reshape(tall.shape).swapaxes(1, 2)
            if self.phi.shape[1]:
                hessian[:, self.t :, self.t :] += here.bend(M)
            moved = (V @ U.reshape(r, 1, G, m, E * p)).reshape(r, a, G * m * E, p)
            H += U.reshape(r, 1, -1, p).swapaxes(2, 3) @ moved
            Tr = (T @ rest.swapaxes(2, 3)).reshape(r, 1, 1, -1)  # (r, G, m, E) in the order of `moved`
            h += (Tr @ moved)[:, :, 0]
        C = self.vcov
        if self.reml:
            CH = C[:, None] @ H
            hessian -= CH.reshape(r, a, p * p) @ CH.swapaxes(2, 3).reshape(r, a, p * p).swapaxes(1, 2)
        hessian -= 2 * h @ C @ h.swapaxes(1, 2) / self.sigma2[:, None, None]
        return gradient, squares, (hessian + hessian.swapaxes(1, 2)) / 2, H

    def _slopes(self, stack: Stack, here: Here) -> np.ndarray:
        """V_a for the entries of psi and phi, (r, a, G, m, m)."""
        G, m = stack.X.shape[0], stack.m
        of_Z = np.broadcast_to(stack.Z.reshape(1, self.t, G, m, m), (self.r, self.t, G, m, m))
        if not self.phi.shape[1]:
            return of_Z
        return np.concatenate([of_Z, here.slopes()], axis=1) if self.t else here.slopes()

    def same(self) -> np.ndarray:
        """Which of (psi, phi, sigma^2) a combination that leaves V as it is contains, (a + 1,); for one response."""
        a = self.t + self.phi.shape[1]
        gram = np.zeros((a + 1, a + 1))
        for stack, here, T in zip(self.design, self.residual, self.T, strict=True):
            VT = self._slopes(stack, here)[0] @ T[0]
            VT = np.concatenate([VT, np.broadcast_to(np.eye(stack.m), VT[:1].shape)])
            weighted = VT * stack.count[:, None, None]
            gram += weighted.reshape(a + 1, -1) @ VT.swapaxes(2, 3).reshape(a + 1, -1).T
        size = np.sqrt(np.diagonal(gram))
        size = np.where(size > 0, size, 1.0)
        values, vectors = np.linalg.eigh(gram / np.outer(size, size))
        flat = vectors[:, values < 1e-9 * values[-1]]
        return np.asarray((np.abs(flat) > 1e-3).any(axis=1))

    @cached_property
    def jacobian(self) -> np.ndarray:
        """d (psi, phi) / d (theta, phi), (r, a, a)."""
        a = self.t + self.phi.shape[1]
        out = np.tile(np.eye(a), (self.r, 1, 1))
        if self.coordinates:
            out[:, : self.t, : self.t] = self.coordinates.jacobian(self.theta)
        return out

    @cached_property
    def derivatives(self) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian of the profiled criterion in (theta, phi)."""
        gradient, squares, hessian, _ = self._parts
        profile = squares[:, :, None] * squares[:, None, :] / self.dof[:, None, None]
        return self._chained(gradient, hessian - profile)

    def _chained(self, gradient: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same in (theta, phi)."""
        if not self.coordinates:
            return gradient, hessian
        back = self.jacobian.swapaxes(1, 2)
        out = back @ hessian @ self.jacobian
        out[:, : self.t, : self.t] += np.einsum("rs,sab->rab", gradient[:, : self.t], self.coordinates.curvature)
        return (back @ gradient[..., None])[..., 0], out

    @cached_property
    def information(self) -> np.ndarray:
        """Hessian of the criterion in (theta, phi, log sigma^2), (r, a + 1, a + 1)."""
        gradient, squares, hessian, _ = self._parts
        a = gradient.shape[1]
        out = np.empty((self.r, a + 1, a + 1))
        out[:, :a, :a] = self._chained(gradient, hessian)[1]
        out[:, a, :a] = out[:, :a, a] = (squares[:, None] @ self.jacobian)[:, 0]
        out[:, a, a] = self.dof
        return out

    def variance_gradient(self, L: np.ndarray) -> np.ndarray:
        """Derivatives of the contrasts' variances over sigma^2 in (theta, phi, log sigma^2), (r, q, a + 1)."""
        H = self._parts[3]
        LC = L @ self.vcov  # (r, q, p)
        slopes = ((LC[:, None] @ H) * LC[:, None]).sum(axis=3).swapaxes(1, 2)  # (r, q, a)
        variance = (LC * L).sum(axis=2)
        return np.concatenate([slopes @ self.jacobian, variance[..., None]], axis=2)
