"""First and second derivatives of the criterion at one `Point`, with respect to psi.

The derivative of V in the direction E_a of Psi is V_a = Z E_a Z', and with P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1

    d f / d a      = tr(P V_a) - g_a                            g_a = y'P V_a P y / s2
    d2 f / d a d b = -tr(P V_a P V_b) + 2 y'P V_a P V_b P y / s2 - g_a g_b / (n - p)

(Bates et al. 2015; Gilmour, Thompson & Cullis 1995). For ML the traces are those of V^-1 in place of P. With the
letters of `crossproducts` and `mixed_model_equations`, P = V1^-1 - V1^-1 X* C* X*'V1^-1 and Z_j'V1^-1 X* = T_j U_j, so

    Z_j'P Z_j = T_j - T_j U_j C* U_j' T_j            Z_j'P y = T_j (u_j - U_j beta*)

for the absorbed factor: everything about it is a sum over its patterns. For the other random terms Z2'P are rows of
(I - X*'V1^-1 X* C*) X*'V1^-1: everything about them is a q2 x q2 matrix. Directions are ordered as theta is.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.mixed_model_equations import State, directions, flat


class Point:
    """One theta: its `state`, and the derivatives there, each computed when it is first asked for."""

    def __init__(self, state: State) -> None:
        self.state, self.layout = state, state.layout
        self.t1 = len(state.layout.entries1)
        self.sigma2, self.dof, self.beta, self.vcov = state.sigma2, state.dof, state.beta, state.vcov

    @cached_property
    def value(self) -> np.ndarray:
        """The profiled criterion, (m,)."""
        return self.state.value

    @property
    def rounding(self) -> np.ndarray:
        """Size of the rounding error that large variances leave in the value, (m,)."""
        return self.state.rounding

    @cached_property
    def gradient(self) -> np.ndarray:
        """Of the profiled criterion, (m, t)."""
        return self.traces - self.squares

    @cached_property
    def hessian(self) -> np.ndarray:
        """Of the profiled criterion, (m, t, t): the exact one, not its expectation."""
        profile = self.squares[:, :, None] * self.squares[:, None, :] / self.dof[:, None, None]
        return 2 * self.curvature_y - self.curvature_trace - profile

    @cached_property
    def traces(self) -> np.ndarray:
        """tr(P V_a), (m, t)."""
        first = np.einsum("aij,ijm->ma", self.layout.directions1, (self._T_sum - self._taken_by_C).sum(axis=3))
        if not self.layout.q2:
            return first
        return self._join(first, self._rest_sums(self._trace_rows[1]))

    @cached_property
    def squares(self) -> np.ndarray:
        """y'P V_a P y / s2, (m, t)."""
        first = np.einsum("aij,ijm->ma", self.layout.directions1, self._rr.sum(axis=3))
        if not self.layout.q2:
            return first
        r2 = self._r2[:, :, None]
        return self._join(first, self._rest_traces(r2, r2) / self.sigma2[:, None])

    @cached_property
    def curvature_trace(self) -> np.ndarray:
        """tr(P V_a P V_b), (m, t, t): twice the expected information of absolute variances."""
        C, H, m = self.state.C_trace, self.H1, self.state.m
        CH = C[:, None] @ H
        HC = CH.swapaxes(2, 3).reshape(m, self.t1, -1)
        first = self._pairs(self._T_sum - 2 * self._taken_by_C)
        first = first + CH.reshape(m, self.t1, -1) @ HC.swapaxes(1, 2)
        if not self.layout.q2:
            return first
        rows, T2 = self._trace_rows[0][:, None], self._trace_rows[1]
        between = self._rest_traces(rows @ H, rows)
        scaled = np.stack([self._times_direction(T2, s) for s in self._rest_directions], axis=1)
        flipped = scaled.swapaxes(2, 3).reshape(m, len(self._rest_directions), -1)
        rest = scaled.reshape(flipped.shape) @ flipped.swapaxes(1, 2)
        return self._join_blocks(first, between, rest)

    @cached_property
    def curvature_y(self) -> np.ndarray:
        """y'P V_a P V_b P y / s2, (m, t, t)."""
        C, s2 = self.state.C, self.sigma2[:, None, None]
        v = self.state.moments.linear(self.weights1, self._residual[1])
        first = self._pairs(self._rr) - v @ C @ v.swapaxes(1, 2) / s2
        if not self.layout.q2:
            return first
        rows, T2 = self._y_rows
        pushed = np.stack([self._times_direction(self._r2[:, None], s)[:, 0] for s in self._rest_directions], axis=1)
        between = v @ rows.swapaxes(1, 2) @ pushed.swapaxes(1, 2) / s2
        return self._join_blocks(first, between, pushed @ T2 @ pushed.swapaxes(1, 2) / s2)

    @cached_property
    def vcov_slopes(self) -> np.ndarray:
        """Derivatives of (X'V^-1 X)^-1, (m, t, p, p)."""
        q2 = self.layout.q2
        fixed = self.state.C[:, None, q2:]
        first = fixed @ self.H1 @ fixed.swapaxes(2, 3)
        if not q2:
            return first
        rest = [self._times_direction(self._U2.swapaxes(1, 2), s) @ self._U2 for s in self._rest_directions]
        return np.concatenate([first, np.stack(rest, axis=1)], axis=1)[:, self.layout.order]

    @cached_property
    def vcov_curvatures(self) -> np.ndarray:
        """C X'V^-1 V_a P V_b V^-1 X C, symmetrised over a and b, (m, t, t, p, p): for Kenward and Roger (1997)."""
        C, q2, H = self.state.C, self.layout.q2, self.H1
        fixed = C[:, None, None, q2:]
        inside = self._sandwiches - H[:, :, None] @ C[:, None, None] @ H[:, None]
        first = fixed @ inside @ fixed.swapaxes(3, 4)
        first = (first + first.swapaxes(1, 2)) / 2
        if not q2:
            return first
        rows, T2 = self._y_rows
        U2 = self._U2.swapaxes(1, 2)
        pushed = np.stack([self._times_direction(U2, s) for s in self._rest_directions], axis=1)  # (m, t2, p, q2)
        half = C[:, None, q2:] @ H @ rows[:, None].swapaxes(2, 3)
        between = half[:, :, None] @ pushed[:, None].swapaxes(3, 4)
        rest = (pushed @ T2[:, None])[:, :, None] @ pushed[:, None].swapaxes(3, 4)
        t, t1 = self.layout.order.size, self.t1
        out = np.empty((*first.shape[:1], t, t, *first.shape[3:]))
        out[:, :t1, :t1], out[:, t1:, t1:] = first, (rest + rest.swapaxes(1, 2)) / 2
        out[:, :t1, t1:] = (between + between.swapaxes(3, 4)) / 2
        out[:, t1:, :t1] = out[:, :t1, t1:].swapaxes(1, 2)
        return out[:, self.layout.order][:, :, self.layout.order]

    # -- the absorbed factor: sums over its patterns ------------------------------------------------------------------

    @cached_property
    def _T_sum(self) -> np.ndarray:
        """T of a pattern times its number of blocks."""
        return self.state.T * self.state.moments.count

    @cached_property
    def _taken_by_C(self) -> np.ndarray:
        """sum_j T_j U_j C* U_j' T_j by pattern: what the columns X* take from Z_j'V1^-1 Z_j."""
        if not self.state.reml and not self.layout.q2:
            return np.zeros_like(self._T_sum)
        return self._between_T(self.state.moments.spread(self.state.C_trace))

    @cached_property
    def _residual(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums of e_j e_j', e_j = u_j - U_j beta*, and their cross-products with U_j."""
        return self.state.moments.residual(self.state.beta_star)

    @cached_property
    def _rr(self) -> np.ndarray:
        """sum_j r_j r_j' / s2 by pattern, r_j = Z_j'P y."""
        return self._between_T(self._residual[0]) / self.sigma2[:, None]

    def _between_T(self, stack: np.ndarray) -> np.ndarray:
        """T stack T."""
        return stacks.product(stacks.product(self.state.T, stack), self.state.T)

    @cached_property
    def weights1(self) -> np.ndarray:
        """T E_a T, (m, t1, k k G)."""
        T = self.state.T
        k, _, m, G = T.shape
        out = np.empty((m, self.t1, k, k, G))
        for s, (a, b) in enumerate(self.layout.entries1):
            pair = T[:, a, None] * T[None, b]
            out[:, s] = (pair if a == b else pair + stacks.transpose(pair)).transpose(2, 0, 1, 3)
        return out.reshape(m, self.t1, -1)

    @cached_property
    def H1(self) -> np.ndarray:
        """X*'V1^-1 V_a V1^-1 X*, (m, t1, P, P)."""
        return self.state.moments.quadratic(self.weights1)

    def _pairs(self, U: np.ndarray) -> np.ndarray:
        """sum over patterns of tr(E_a T E_b U), (m, t1, t1)."""
        k, m = self.layout.k, self.state.m
        together = flat(self.state.T).reshape(m, k * k, -1) @ flat(U).reshape(m, k * k, -1).swapaxes(1, 2)
        return (together.reshape(m, -1) @ self.layout.pick1).reshape(m, self.t1, self.t1)

    @cached_property
    def _sandwiches(self) -> np.ndarray:
        """U_j'T E_a T E_b T U_j summed over blocks, (m, t1, t1, P, P)."""
        T = self.state.T
        E_T = [stacks.product(E[:, :, None, None], T) for E in self.layout.directions1]
        rows = [[flat(stacks.product(stacks.product(T, a), b)) for b in E_T] for a in E_T]
        return np.stack([self.state.moments.quadratic(np.stack(row, axis=1)) for row in rows], axis=1)

    # -- the random terms beside X ----------------------------------------------------------------------------------

    def _rows(self, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of I - X*'V1^-1 X* C that belong to Z2 (Z2'P = these rows times X*'V1^-1), and T2 = Z2'P Z2."""
        q2, matrix = self.layout.q2, self.state.matrix
        rows = np.eye(q2, matrix.shape[1]) - matrix[:, :q2] @ C
        return rows, rows @ matrix[:, :, :q2]

    @cached_property
    def _trace_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and T2 for the traces."""
        return self._rows(self.state.C_trace)

    @cached_property
    def _y_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and T2 for the response: always without the fixed effects."""
        return self._trace_rows if self.state.reml else self._rows(self.state.C)

    @cached_property
    def _r2(self) -> np.ndarray:
        """Z2'P y, (m, q2)."""
        q2, s = self.layout.q2, self.state
        return s.right[:, :q2] - (s.matrix[:, :q2] @ s.beta_star[..., None])[..., 0]

    @cached_property
    def _U2(self) -> np.ndarray:
        """Z2'V^-1 X (X'V^-1 X)^-1, (m, q2, p)."""
        q2 = self.layout.q2
        return self.state.matrix[:, :q2] @ self.state.C[:, :, q2:]

    @cached_property
    def _rest_directions(self) -> list[tuple[int, np.ndarray]]:
        """The term and the symmetric k x k matrix of every direction beside X."""
        return [(i, E) for i in self.layout.rest for E in directions(self.layout.sizes[i])]

    def _times_direction(self, matrix: np.ndarray, direction: tuple[int, np.ndarray]) -> np.ndarray:
        """matrix (m, r, q2) @ (I (x) E)."""
        i, E = direction
        out = np.zeros_like(matrix)
        at, k, J = self.layout.columns[i], self.layout.sizes[i], self.layout.levels[i]
        part = matrix[:, :, at].reshape(*matrix.shape[:2], J, k) @ E
        out[:, :, at] = part.reshape(*matrix.shape[:2], J * k)
        return out

    def _rest_traces(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """tr((I (x) E_b) left right') for left and right (..., q2, r): (..., t2)."""
        out = []
        for i in self.layout.rest:
            at, k, J = self.layout.columns[i], self.layout.sizes[i], self.layout.levels[i]
            a, b = (side[..., at, :].reshape(*side.shape[:-2], J, k, -1) for side in (left, right))
            a, b = (side.swapaxes(-3, -2).reshape(*side.shape[:-3], k, -1) for side in (a, b))
            both = a @ b.swapaxes(-2, -1)
            out.append(both.reshape(*both.shape[:-2], k * k) @ directions(k).reshape(-1, k * k).T)
        return np.concatenate(out, axis=-1)

    def _rest_sums(self, matrix: np.ndarray) -> np.ndarray:
        """tr((I (x) E_b) matrix) for matrix (m, q2, q2): (m, t2)."""
        out = []
        for i in self.layout.rest:
            at, k, J = self.layout.columns[i], self.layout.sizes[i], self.layout.levels[i]
            sums = np.einsum("mjajb->mab", matrix[:, at, at].reshape(-1, J, k, J, k))
            out.append(np.einsum("mab,sab->ms", sums, directions(k)))
        return np.concatenate(out, axis=1)

    def _join(self, first: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """(m, t1) and (m, t2) in the order of theta."""
        return np.concatenate([first, rest], axis=1)[:, self.layout.order]

    def _join_blocks(self, first: np.ndarray, between: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """A symmetric (m, t, t) from its blocks, in the order of theta."""
        upper = np.concatenate([first, between], axis=2)
        lower = np.concatenate([between.swapaxes(1, 2), rest], axis=2)
        return np.concatenate([upper, lower], axis=1)[:, self.layout.order][:, :, self.layout.order]
