"""From a design and its responses to `Moments`: choose the factor to absorb, find its patterns, add up cross-products.

The design's part is done once. A response then costs one pass over its rows.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lmmsim.reml.absorb import Layout
from lmmsim.reml.derivatives import Point
from lmmsim.reml.moments import Dense, Moments, Sparse
from lmmsim.reml.problem import Problem, Responses

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
        rows = np.arange(n)
        self.Z1 = [sparse.csr_array((self.columns[:, a], (self.codes, rows)), shape=(self.J, n)) for a in range(k)]
        products = np.einsum("ia,ib->iab", self.columns, self.columns).reshape(n, -1)
        member = sparse.csr_array((np.ones(n), (self.codes, rows)), shape=(self.J, n))
        self.A = (member @ products).reshape(self.J, k, k)
        digits = np.round(self.A.reshape(self.J, -1) / max(float(np.abs(self.A).max()), 1e-300) * 1e9)
        _, self.pattern = np.unique(digits, axis=0, return_inverse=True)
        self.pattern = self.pattern.ravel()
        self.G = int(self.pattern.max()) + 1
        self.dense = self.G * k * k * self.P**2 <= DENSE_LIMIT
        self.dense_masked = self.J * k * k * self.P**2 <= DENSE_LIMIT

    @cached_property
    def X_star(self) -> csr_array:
        """[Z2, X] as a sparse matrix (n, P)."""
        from scipy import sparse

        rows, parts = np.arange(self.problem.n), []
        for i in self.layout.rest:
            bar, k = self.problem.bars[i], self.layout.sizes[i]
            where = bar.codes[:, None] * k + np.arange(k)
            entries = (bar.columns.ravel(), (np.repeat(rows, k), where.ravel()))
            parts.append(sparse.csr_array(entries, shape=(rows.size, bar.levels * k)))
        return sparse.hstack([*parts, sparse.csr_array(self.problem.X)], format="csr")

    @cached_property
    def B(self) -> csr_array:
        """Z1'X*, sparse (k J, P), rows ordered by column of Z, then block."""
        from scipy import sparse

        return sparse.csr_array(sparse.vstack([Z @ self.X_star for Z in self.Z1]))

    @cached_property
    def XX(self) -> np.ndarray:
        """X*'X*, (P, P)."""
        return (self.X_star.T @ self.X_star).toarray()

    @cached_property
    def _by_pattern(self) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Blocks of every pattern, their B (J_g, k, P), and BB (1, k k G, P P)."""
        k = len(self.Z1)
        B = self.B.toarray().reshape(k, self.J, self.P).swapaxes(0, 1)
        blocks = np.split(np.argsort(self.pattern, kind="stable"), np.cumsum(np.bincount(self.pattern))[:-1])
        own = [B[members] for members in blocks]
        BB = np.stack([np.tensordot(b, b, axes=(0, 0)) for b in own])  # (G, k, P, k, P)
        return blocks, own, BB.transpose(1, 3, 0, 2, 4).reshape(1, k * k * self.G, self.P**2)

    def chunk(self, complete: bool) -> int:
        """How many responses to carry through the optimisation together."""
        k, t1 = len(self.Z1), self.layout.theta1.size
        if not (self.dense if complete else self.dense_masked):
            return 1
        G = self.G if complete else self.J
        each = k * k * G * (self.P + 8 * k) + (t1 + 3) * self.P**2
        if not complete:
            each += k * k * G * self.P**2 + self.problem.n
        return int(np.clip(2**22 // each, 1, 2000))

    def moments(self, responses: Responses) -> Moments:
        """The sums that the criterion needs, for every response."""
        if responses.observed is not None:
            return (self._masked if self.dense_masked else self._masked_sparse)(responses.y, responses.observed)
        y = responses.y
        m, k, n = y.shape[1], len(self.Z1), self.problem.n
        c = np.stack([Z @ y for Z in self.Z1], axis=1)  # (J, k, m)
        shared = {
            "XX": self.XX[None],
            "n": np.full(m, float(n)),
            "Xy": np.ascontiguousarray((self.X_star.T @ y).T),
            "yy": np.einsum("im,im->m", y, y),
        }
        if not self.dense:
            A = np.ascontiguousarray(self.A.transpose(1, 2, 0))[:, :, None]
            cc = (c[:, :, None] * c[:, None]).transpose(1, 2, 3, 0)
            c_rows = np.ascontiguousarray(c.transpose(2, 1, 0)).reshape(m, -1)
            each = np.arange(self.J)
            return Sparse(A=A, count=np.ones((1, self.J)), cc=cc, cross=c_rows, pattern=each, B=self.B, **shared)
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
        m, k = y.shape[1], len(self.Z1)
        seen = observed.astype(float)
        c = np.stack([Z @ y for Z in self.Z1], axis=1)  # (J, k, m)
        pairs = [[Z.multiply(self.columns[:, b]) @ seen for b in range(k)] for Z in self.Z1]
        A = np.array(pairs).transpose(0, 1, 3, 2)  # (k, k, m, J)
        X = self.X_star.toarray()
        B = np.empty((m, k, self.J, self.P))
        for p in range(self.P):
            column = X[:, p, None] * seen
            for a, Z in enumerate(self.Z1):
                B[:, a, :, p] = (Z @ column).T
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

        k = len(self.Z1)
        seen = sparse.csr_array(sparse.diags_array(observed[:, 0].astype(float)))
        c = np.stack([(Z @ y)[:, 0] for Z in self.Z1])  # (k, J)
        pairs = [[Z.multiply(self.columns[:, b]) @ observed[:, 0].astype(float) for b in range(k)] for Z in self.Z1]
        return Sparse(
            A=np.array(pairs)[:, :, None],
            count=np.ones((1, self.J)),
            XX=(self.X_star.T @ seen @ self.X_star).toarray()[None],
            n=np.array([float(observed.sum())]),
            Xy=(self.X_star.T @ y).T,
            yy=np.einsum("im,im->m", y, y),
            cc=(c[:, None] * c[None])[:, :, None],
            cross=c.reshape(1, -1),
            pattern=np.arange(self.J),
            B=sparse.csr_array(sparse.vstack([Z @ seen @ self.X_star for Z in self.Z1])),
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
            f"{len(self.Z1)} x {len(self.Z1)} matrices each"
            + (f", then a dense {self.P} x {self.P} system" if self.layout.rest else "")
        )
