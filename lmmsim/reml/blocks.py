"""From a design and its responses to `Moments`: choose the factor to absorb, find its patterns, add up cross-products.

The design's part is done once. A response then costs one pass over its rows.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lmmsim.reml.crossproducts import Dense, Moments, Sparse
from lmmsim.reml.derivatives import Point
from lmmsim.reml.mixed_model_equations import Layout
from lmmsim.reml.standard_form import Problem, Responses

if TYPE_CHECKING:
    from scipy.sparse import csr_array


DENSE_LIMIT = 2**24  # entries of the design's own cross-products; beyond it blocks are kept apart


class Blocks:
    """Any design, seen as independent blocks of one grouping factor beside everything else."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        bars = problem.bars
        sizes = [bar.columns.shape[1] for bar in bars]
        levels = [bar.levels for bar in bars]
        together = [[j for j in range(len(bars)) if np.array_equal(bars[j].codes, bar.codes)] for bar in bars]
        absorbed = max(together, key=lambda same: sum(sizes[j] * levels[j] for j in same))
        self.layout = Layout(sizes, levels, absorbed, problem.coordinates.slices)
        self.J = levels[absorbed[0]]
        self.codes = bars[absorbed[0]].codes
        self.columns = np.concatenate([bars[i].columns for i in absorbed], axis=1)
        self.P = self.layout.q2 + problem.p
        self._sums_by_block()

    def _sums_by_block(self) -> None:
        """A_j and its patterns, blocks sorted by pattern."""
        from scipy import sparse

        n, k = self.columns.shape
        order = np.argsort(self.codes, kind="stable")
        ends = np.arange(k)[:, None] * n + np.cumsum(np.bincount(self.codes, minlength=self.J))
        entries = (self.columns[order].T.ravel(), np.tile(order, k), np.append(0, ends))
        self.Z1t = sparse.csr_array(entries, shape=(k * self.J, n))  # Z1', rows ordered by column of Z, then block
        self.A = self.sums(self.columns).swapaxes(0, 1)
        digits = np.round(self.A.reshape(self.J, -1) / max(float(np.abs(self.A).max()), 1e-300) * 1e9)
        if (digits == digits[0]).all():  # balanced: nothing to sort
            self.pattern = np.zeros(self.J, dtype=np.intp)
        else:
            self.pattern = np.unique(digits, axis=0, return_inverse=True)[1].ravel()
        self.G = int(self.pattern.max()) + 1
        self.dense = self.G * k * k * self.P**2 <= DENSE_LIMIT
        self.dense_masked = self.J * k * k * self.P**2 <= DENSE_LIMIT

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Z1'values (k, J, m) for values (n, m)."""
        return np.asarray(self.Z1t @ values).reshape(self.layout.k, self.J, -1)

    @cached_property
    def X_star(self) -> np.ndarray | csr_array:
        """[Z2, X], (n, P): a sparse matrix, or X itself where there is no Z2."""
        from scipy import sparse

        if not self.layout.rest:
            return self.problem.X
        rows, parts = np.arange(self.problem.n), []
        for i in self.layout.rest:
            bar, k = self.problem.bars[i], self.layout.sizes[i]
            where = bar.codes[:, None] * k + np.arange(k)
            entries = (bar.columns.ravel(), (np.repeat(rows, k), where.ravel()))
            parts.append(sparse.csr_array(entries, shape=(rows.size, bar.levels * k)))
        return sparse.hstack([*parts, sparse.csr_array(self.problem.X)], format="csr")

    @cached_property
    def Z1X(self) -> np.ndarray:
        """Z1'X, (k J, p)."""
        return np.asarray(self.Z1t @ self.problem.X)

    @cached_property
    def B(self) -> np.ndarray | csr_array:
        """Z1'X*, (k J, P), sparse where X* is; rows ordered by column of Z, then block."""
        return self.Z1t @ self.X_star

    @cached_property
    def XX(self) -> np.ndarray:
        """X*'X*, (P, P)."""
        return _dense(self.X_star.T @ self.X_star)

    @cached_property
    def _by_pattern(self) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Blocks of every pattern, their B (J_g, k, P), and BB (1, k k G, P P)."""
        k = self.layout.k
        B = _dense(self.B).reshape(k, self.J, self.P).swapaxes(0, 1)
        blocks = np.split(np.argsort(self.pattern, kind="stable"), np.cumsum(np.bincount(self.pattern))[:-1])
        own = [B[members] for members in blocks]
        BB = np.stack([np.tensordot(b, b, axes=(0, 0)) for b in own])  # (G, k, P, k, P)
        return blocks, own, BB.transpose(1, 3, 0, 2, 4).reshape(1, k * k * self.G, self.P**2)

    def chunk(self, complete: bool) -> int:
        """How many responses to carry through the optimisation together."""
        k, t1 = self.layout.k, self.layout.theta1.size
        if not (self.dense if complete else self.dense_masked):
            return 1
        G = self.G if complete else self.J
        each = k * k * G * (self.P + 8 * k) + (t1 + 3) * self.P**2
        if not complete:
            each += k * k * G * self.P**2 + self.problem.n
        return max(1, min(2**22 // each, 2000))

    def moments(self, responses: Responses) -> Moments:
        """The sums that the criterion needs, for every response."""
        if responses.observed is not None:
            return (self._masked if self.dense_masked else self._masked_sparse)(responses.y, responses.observed)
        m, k, n = len(responses.scale), self.layout.k, self.problem.n
        c = responses.sums(self.Z1t, self.Z1X).reshape(k, self.J, m)
        c = np.ascontiguousarray(c.swapaxes(0, 1))  # (J, k, m)
        shared = {
            "XX": self.XX[None],
            "n": np.full(m, float(n)),
            "Xy": np.ascontiguousarray(responses.sums(self.X_star.T, self.XX[:, self.layout.q2 :]).T),
            "yy": np.full(m, float(n)),  # a standardised response has a mean square of 1
        }
        if not self.dense:
            from scipy import sparse

            A = np.ascontiguousarray(self.A.transpose(1, 2, 0))[:, :, None]
            cc = (c[:, :, None] * c[:, None]).transpose(1, 2, 3, 0)
            c_rows = np.ascontiguousarray(c.transpose(2, 1, 0)).reshape(m, -1)
            B, each = sparse.csr_array(self.B), np.arange(self.J)
            return Sparse(A=A, count=np.ones((1, self.J)), cc=cc, cross=c_rows, pattern=each, B=B, **shared)
        blocks, own, BB = self._by_pattern
        cc = np.empty((k, k, m, self.G))
        cross = np.empty((m, k, k, self.G, self.P))
        for g, (members, b) in enumerate(zip(blocks, own, strict=True)):
            part = c[members]
            cc[..., g] = np.einsum("jam,jbm->abm", part, part)
            cross[:, :, :, g] = np.tensordot(b, part, axes=(0, 0)).transpose(3, 0, 2, 1)
        A = np.stack([self.A[members[0]] for members in blocks], axis=2)[:, :, None]
        count = np.array([[float(members.size) for members in blocks]])
        cross = cross.reshape(m, -1, self.P)
        return Dense(A=A, count=count, cc=cc, cross=cross, pattern=self.pattern, BB=BB, **shared)

    def _masked(self, y: np.ndarray, observed: np.ndarray) -> Moments:
        """Every block of every response is its own pattern: what was observed differs."""
        m, k = y.shape[1], self.layout.k
        seen = observed.astype(float)
        c = np.ascontiguousarray(self.sums(y).swapaxes(0, 1))  # (J, k, m)
        A = np.stack([self.sums(column[:, None] * seen) for column in self.columns.T], axis=1).swapaxes(2, 3)
        X = _dense(self.X_star)
        B = np.empty((m, k, self.J, self.P))
        for p in range(self.P):
            B[..., p] = self.sums(X[:, p, None] * seen).transpose(2, 0, 1)
        BB = np.einsum("majp,mbjq->mabjpq", B, B).reshape(m, -1, self.P**2)
        cross = np.einsum("majp,jbm->mabjp", B, c).reshape(m, -1, self.P)
        return Dense(
            A=np.ascontiguousarray(A),
            count=np.ones((m, self.J)),
            XX=np.einsum("ip,iq,im->mpq", X, X, seen, optimize=True),
            n=seen.sum(axis=0),
            Xy=(X.T @ y).T,
            yy=np.einsum("im,im->m", y, y),
            cc=(c[:, :, None] * c[:, None]).transpose(1, 2, 3, 0),
            cross=cross,
            pattern=np.arange(self.J),
            BB=BB,
        )

    def _masked_sparse(self, y: np.ndarray, observed: np.ndarray) -> Moments:
        """The same for one response of a design so large that its blocks are kept apart."""
        from scipy import sparse

        seen = sparse.csr_array(sparse.diags_array(observed[:, 0].astype(float)))
        c = self.sums(y)[:, :, 0]
        A = self.sums(self.columns * observed).swapaxes(1, 2)
        return Sparse(
            A=np.ascontiguousarray(A)[:, :, None],
            count=np.ones((1, self.J)),
            XX=_dense(self.X_star.T @ seen @ self.X_star)[None],
            n=np.array([float(observed.sum())]),
            Xy=(self.X_star.T @ y).T,
            yy=np.einsum("im,im->m", y, y),
            cc=(c[:, None] * c[None])[:, :, None],
            cross=c.reshape(1, -1),
            pattern=np.arange(self.J),
            B=sparse.csr_array(self.Z1t @ seen @ self.X_star),
        )

    def at(self, theta: np.ndarray, moments: Moments, reml: bool) -> Point:
        """The likelihood and its derivatives at theta (m, t)."""
        factors = self.problem.coordinates.factors(theta)
        return Point(self.layout, factors, moments, self.problem.p, reml)

    def explain(self) -> str:
        """One sentence about the structure."""
        kind = "crossed or nested terms joined to the fixed effects" if self.layout.rest else "independent blocks"
        return (
            f"{kind}: {self.J} blocks of the largest factor in {self.G} pattern(s), "
            f"{self.layout.k} x {self.layout.k} matrices each"
            + (f", then a dense {self.P} x {self.P} system" if self.layout.rest else "")
        )


def _dense(matrix: np.ndarray | csr_array) -> np.ndarray:
    """A matrix as an array."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
