"""First and second derivatives of the criterion at one `Point`, with respect to psi (see `absorb` for the letters).

Everything about the absorbed factor is a sum over its patterns; everything about the other random terms is a
q2 x q2 matrix. Directions are ordered as theta is.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.mixed_model_equations import State, directions, flat


class Point(State):
    """One theta with the derivatives there; each part is computed when it is first asked for."""

    @property
    def t1(self) -> int:
        """Number of absorbed directions."""
        return self.layout.theta1.size

    @cached_property
    def gradient(self) -> np.ndarray:
        """Of the profiled criterion, (m, t)."""
        return self.traces - self.squares

    @cached_property
    def traces(self) -> np.ndarray:
        """tr(P V_a), (m, t)."""
        first = np.einsum("aij,ijm->ma", self.layout.directions1, (self._T_sum - self._D).sum(axis=3))
        if not self.layout.q2:
            return first
        return self._join(first, self._rest_sums(self._trace_rows[1]))

    @cached_property
    def squares(self) -> np.ndarray:
        """y'P V_a P y / s2, (m, t)."""
        first = np.einsum("aij,ijm->ma", self.layout.directions1, self._S.sum(axis=3))
        if not self.layout.q2:
            return first
        rho = self.rho[:, :, None]
        return self._join(first, self._rest_traces(rho, rho) / self.sigma2[:, None])

    @cached_property
    def hessian(self) -> np.ndarray:
        """Of the profiled criterion, (m, t, t): the exact one, not its expectation."""
        profile = self.squares[:, :, None] * self.squares[:, None, :] / self.dof[:, None, None]
        return 2 * self.curvature_y - self.curvature_trace - profile

    @cached_property
    def curvature_trace(self) -> np.ndarray:
        """tr(P V_a P V_b), (m, t, t): twice the expected information of absolute variances."""
        C, H = self.C_trace, self.H1
        CH = C[:, None] @ H
        HC = CH.swapaxes(2, 3).reshape(self.m, self.t1, -1)
        first = self._pairs(self._T_sum - 2 * self._D) + CH.reshape(self.m, self.t1, -1) @ HC.swapaxes(1, 2)
        if not self.layout.q2:
            return first
        rows, T2 = self._trace_rows[0][:, None], self._trace_rows[1]
        between = self._rest_traces(rows @ H, rows)
        scaled = np.stack([self._times_direction(T2, s) for s in self._rest_directions], axis=1)
        rest = np.einsum("maij,mbji->mab", scaled, scaled, optimize=True)
        return self._join_blocks(first, between, rest)

    @cached_property
    def curvature_y(self) -> np.ndarray:
        """y'P V_a P V_b P y / s2, (m, t, t)."""
        C, s2 = self.C, self.sigma2[:, None, None]
        v = self.moments.linear(self.weights1, self._residual[1])
        first = self._pairs(self._S) - v @ C @ v.swapaxes(1, 2) / s2
        if not self.layout.q2:
            return first
        rows, T2 = self._y_rows
        pushed = np.stack([self._times_direction(self.rho[:, None], s)[:, 0] for s in self._rest_directions], axis=1)
        between = v @ rows.swapaxes(1, 2) @ pushed.swapaxes(1, 2) / s2
        return self._join_blocks(first, between, pushed @ T2 @ pushed.swapaxes(1, 2) / s2)

    @cached_property
    def vcov_slopes(self) -> np.ndarray:
        """Derivatives of (X'V^-1 X)^-1, (m, t, p, p)."""
        C, q2 = self.C, self.layout.q2
        fixed = C[:, None, q2:]
        first = fixed @ self.H1 @ fixed.swapaxes(2, 3)
        if not q2:
            return first
        rest = [self._times_direction(self.U.swapaxes(1, 2), s) @ self.U for s in self._rest_directions]
        return np.concatenate([first, np.stack(rest, axis=1)], axis=1)[:, self.layout.order]

    @cached_property
    def vcov_curvatures(self) -> np.ndarray:
        """C X'V^-1 V_a P V_b V^-1 X C, symmetrised over a and b, (m, t, t, p, p): for Kenward and Roger."""
        C, q2 = self.C, self.layout.q2
        fixed = C[:, None, None, q2:]
        H = self.H1
        inside = self._sandwiches - H[:, :, None] @ C[:, None, None] @ H[:, None]
        first = fixed @ inside @ fixed.swapaxes(3, 4)
        first = (first + first.swapaxes(1, 2)) / 2
        if not q2:
            return first
        rows, T2 = self._y_rows
        pushed = np.stack(
            [self._times_direction(self.U.swapaxes(1, 2), s) for s in self._rest_directions], axis=1
        )  # (m, t2, p, q2)
        half = C[:, None, q2:] @ H @ rows[:, None].swapaxes(2, 3)
        between = half[:, :, None] @ pushed[:, None].swapaxes(3, 4)
        rest = (pushed @ T2[:, None])[:, :, None] @ pushed[:, None].swapaxes(3, 4)
        t, t1, p = self.layout.order.size, self.t1, self.p
        out = np.empty((self.m, t, t, p, p))
        out[:, :t1, :t1], out[:, t1:, t1:] = first, (rest + rest.swapaxes(1, 2)) / 2
        out[:, :t1, t1:] = (between + between.swapaxes(3, 4)) / 2
        out[:, t1:, :t1] = out[:, :t1, t1:].swapaxes(1, 2)
        return out[:, self.layout.order][:, :, self.layout.order]

    # -- the absorbed factor --------------------------------------------------------------------------------------

    @cached_property
    def _T_sum(self) -> np.ndarray:
        """T of a pattern times its number of blocks."""
        return self.T * self.moments.count

    @cached_property
    def _D(self) -> np.ndarray:
        """sum_j F_j C F_j' by pattern."""
        if not self.reml and not self.layout.q2:
            return np.zeros_like(self._T_sum)
        return self._project(self.moments.spread(self.C_trace))

    @cached_property
    def _residual(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums of e_j e_j', e_j = c_j - B_j beta*, and their cross-products with B_j."""
        return self.moments.residual(self.beta_star)

    @cached_property
    def _S(self) -> np.ndarray:
        """sum_j r_j r_j' / s2 by pattern, r_j = Z_j'P y."""
        return self._project(self._residual[0]) / self.sigma2[:, None]

    def _project(self, stack: np.ndarray) -> np.ndarray:
        """N stack N'."""
        return stacks.product(stacks.product(self.N, stack), stacks.transpose(self.N))

    @cached_property
    def weights1(self) -> np.ndarray:
        """N'E_a N, (m, t1, k k G)."""
        out = []
        for a, b in self.layout.entries1:
            pair = self.N[a][:, None] * self.N[b][None]
            out.append(flat(pair if a == b else pair + stacks.transpose(pair)))
        return np.stack(out, axis=1)

    @cached_property
    def H1(self) -> np.ndarray:
        """X*'V1^-1 V_a V1^-1 X*, (m, t1, P, P)."""
        return self.moments.quadratic(self.weights1)

    def _pairs(self, U: np.ndarray) -> np.ndarray:
        """sum over patterns of tr(E_a T E_b U), (m, t1, t1)."""
        k, m = self.layout.k, self.m
        together = flat(self.T).reshape(m, k * k, -1) @ flat(U).reshape(m, k * k, -1).swapaxes(1, 2)
        return (together.reshape(m, -1) @ self.layout.pick1).reshape(m, self.t1, self.t1)

    @cached_property
    def _sandwiches(self) -> np.ndarray:
        """F'E_a T E_b F summed over blocks, (m, t1, t1, P, P)."""
        N, T = self.N, self.T
        expand = [E[:, :, None, None] for E in self.layout.directions1]
        left = [stacks.product(stacks.transpose(N), stacks.product(E, T)) for E in expand]
        right = [stacks.product(E, N) for E in expand]
        rows = [self.moments.quadratic(np.stack([flat(stacks.product(a, b)) for b in right], axis=1)) for a in left]
        return np.stack(rows, axis=1)

    # -- the random terms beside X --------------------------------------------------------------------------------

    def _rows(self, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of I - A* C that belong to Z2 (Z2'P = these rows times X*'V1^-1), and T2 = Z2'P Z2."""
        q2, gram = self.layout.q2, self.gram
        rows = np.eye(q2, gram.shape[1]) - gram[:, :q2] @ C
        return rows, rows @ gram[:, :, :q2]

    @cached_property
    def _trace_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and T2 for the traces."""
        return self._rows(self.C_trace)

    @cached_property
    def _y_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and T2 for the response: always without the fixed effects."""
        return self._trace_rows if self.reml else self._rows(self.C)

    @cached_property
    def rho(self) -> np.ndarray:
        """Z2'P y, (m, q2)."""
        q2 = self.layout.q2
        return self.right[:, :q2] - (self.gram[:, :q2] @ self.beta_star[..., None])[..., 0]

    @cached_property
    def U(self) -> np.ndarray:
        """Z2'V^-1 X (X'V^-1 X)^-1, (m, q2, p)."""
        q2 = self.layout.q2
        return self.gram[:, :q2] @ self.C[:, :, q2:]

    @cached_property
    def _rest_directions(self) -> list[tuple[int, np.ndarray]]:
        """The bar and the symmetric k x k matrix of every direction beside X."""
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
            out.append(np.einsum("...jar,...jbr,sab->...s", a, b, directions(k), optimize=True))
        return np.concatenate(out, axis=-1) if out else np.zeros((*left.shape[:-2], 0))

    def _rest_sums(self, matrix: np.ndarray) -> np.ndarray:
        """tr((I (x) E_b) matrix) for matrix (m, q2, q2): (m, t2)."""
        out = [np.zeros((self.m, 0))]
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
