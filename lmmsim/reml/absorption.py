"""The design's part of absorbing a factor: which one, its patterns, and the cross-products that no response changes.

The letters are those of `crossproducts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.crossproducts import Gram, block_diagonal
from lmmsim.reml.level_sums import LevelSums
from lmmsim.reml.mixed_model_equations import layout_of
from lmmsim.reml.standard_form import Problem
from lmmsim.reml.theta import triangle

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DENSE_LIMIT = 2**24  # entries of the design's own cross-products; beyond it blocks are kept apart
FEW_ROWS = 1000  # up to which a sparse product costs more than it saves
SMALL = 2**18  # entries up to which X* is a plain array
NOTHING_LEFT = 1e-13  # cross-products below this share of their columns' size are rounding


@dataclass(frozen=True, eq=False)
class Alike:
    """Patterns that have the same number of blocks."""

    patterns: np.ndarray  # (g,)
    members: np.ndarray  # (g, c), the blocks of each
    U: np.ndarray  # (g, k P, c), their U_j


class Absorbed:
    """A design with one grouping factor absorbed: independent blocks of that factor beside everything else.

    Parameters
    ----------
    problem : Problem
    dense_limit : int
        Most entries of the cross-products summed over patterns; a larger design keeps its blocks apart.
    """

    def __init__(self, problem: Problem, dense_limit: int = DENSE_LIMIT) -> None:
        self.problem = problem
        terms, sizes = problem.terms, problem.coordinates.sizes
        together = [
            [j for j, t in enumerate(terms) if t is term or np.array_equal(t.codes, term.codes)] for term in terms
        ]
        absorbed = max(together, key=lambda same: sum(sizes[j] * terms[j].levels for j in same))
        self.layout = layout_of(problem.coordinates, tuple(term.levels for term in terms), tuple(absorbed))
        self.J, self.codes = terms[absorbed[0]].levels, terms[absorbed[0]].codes
        self.columns = np.concatenate([terms[i].columns for i in absorbed], axis=1)
        self.P = self.layout.q2 + problem.p
        self._find_patterns()
        entries = self.layout.k**2 * self.P**2
        self.dense, self.dense_masked = self.G * entries <= dense_limit, self.J * entries <= dense_limit

    def _find_patterns(self) -> None:
        """Z1', A_j, and which blocks have the same A_j."""
        k = self.columns.shape[1]
        self.Z1t = LevelSums([self.codes] * k, list(self.columns.T), [self.J] * k)
        self.A = self.sums(self.columns).transpose(0, 2, 1)  # (k, k, J)
        digits = np.round(self.A[triangle(k)].T / max(float(np.abs(self.A).max()), 1e-300) * 1e9)
        first, self.pattern = np.zeros(1, dtype=np.intp), np.zeros(self.J, dtype=np.intp)
        if not (digits == digits[0]).all():
            first, self.pattern, _ = stacks.distinct(digits)
        self.G = first.size
        self.gram = Gram.of(self.A[:, :, None, first])
        self.A_inverse = self.gram.inverse()[:, :, 0, self.pattern]  # (k, k, J)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Z1'values (k, J, m) for values (n, m)."""
        return np.asarray(self.Z1t @ values).reshape(self.layout.k, self.J, -1)

    @cached_property
    def X_star(self) -> np.ndarray | csr_array:
        """[Z2, X], (n, P): a sparse matrix if it is large."""
        if not self.layout.rest:
            return self.problem.X
        if isinstance(self.Z2, np.ndarray):
            return np.concatenate([self.Z2, self.problem.X], axis=1)
        from scipy import sparse

        return sparse.csr_array(sparse.hstack([self.Z2, sparse.csr_array(self.problem.X)], format="csr"))

    @cached_property
    def Z2(self) -> np.ndarray | csr_array:
        """Columns of the random terms that are not absorbed, (n, q2)."""
        n, rows = self.problem.n, np.arange(self.problem.n)[:, None]
        if n * self.P <= SMALL:
            dense = np.zeros((n, self.layout.q2))
            for i, at in self.layout.columns.items():
                term, k = self.problem.terms[i], self.layout.sizes[i]
                dense[rows, at.start + term.codes[:, None] * k + np.arange(k)] = term.columns
            return dense
        from scipy import sparse

        parts = []
        for i in self.layout.rest:
            term, k = self.problem.terms[i], self.layout.sizes[i]
            where = term.codes[:, None] * k + np.arange(k)
            entries = (term.columns.ravel(), (np.repeat(rows, k), where.ravel()))
            parts.append(sparse.csr_array(entries, shape=(n, term.levels * k)))
        return sparse.csr_array(sparse.hstack(parts, format="csr"))

    @cached_property
    def B(self) -> np.ndarray | csr_array:
        """Z1'X*, (k J, P), sparse where X* is; rows ordered by column of Z, then block."""
        return self.Z1t @ self.X_star if isinstance(self.X_star, np.ndarray) else self.Z1t.matrix @ self.X_star

    @cached_property
    def U(self) -> np.ndarray | csr_array:
        """A_j^+ Z_j'X* of every block, in the same order."""
        if not isinstance(self.B, np.ndarray):
            return block_diagonal(self.A_inverse) @ self.B
        return np.einsum("abj,bjp->ajp", self.A_inverse, self.B.reshape(-1, self.J, self.P)).reshape(-1, self.P)

    @cached_property
    def Z1X(self) -> np.ndarray:
        """Z1'X, (k J, p)."""
        return plain(self.B[:, self.layout.q2 :])

    @cached_property
    def X_left(self) -> np.ndarray:
        """What least squares within blocks leaves of X, (n, p)."""
        U = plain(self.U[:, self.layout.q2 :])
        if self.problem.n > FEW_ROWS:
            return self.problem.X - self.Z1t.back(U)
        by_row = U.reshape(self.layout.k, self.J, -1)[:, self.codes]
        return self.problem.X - np.einsum("na,anp->np", self.columns, by_row)

    @cached_property
    def XX(self) -> np.ndarray:
        """Cross-products of what is left of X*, (P, P)."""
        q2, out = self.layout.q2, np.zeros((self.P, self.P))
        out[q2:, q2:] = self.X_left.T @ self.X_left
        if q2:
            out[:q2] = remainder(plain(self.Z2.T @ self.X_star), plain(self.B[:, :q2].T @ self.U), self.sizes_of_X)
            out[q2:, :q2] = out[:q2, q2:].T
        return out

    @cached_property
    def sizes_of_X(self) -> np.ndarray:
        """Lengths of the columns of X*, (P,)."""
        out = np.ones(self.P)
        for i, at in self.layout.columns.items():
            term = self.problem.terms[i]
            squares = [np.bincount(term.codes, column**2, term.levels) for column in term.columns.T]
            out[at] = np.sqrt(np.stack(squares, axis=1).ravel())
        return out

    @cached_property
    def by_pattern(self) -> tuple[list[Alike], np.ndarray, np.ndarray]:
        """The patterns, those with as many blocks together; how many blocks each has; and UU (1, k k G, P P)."""
        k, G, P = self.layout.k, self.G, self.P
        U = plain(self.U).reshape(k, self.J, P).swapaxes(0, 1)
        order, count = np.argsort(self.pattern, kind="stable"), np.bincount(self.pattern)
        first = np.cumsum(count) - count
        alike, UU = [], np.empty((k, k, G, P, P))
        for size in sorted(set(count.tolist())):
            patterns = np.flatnonzero(count == size)
            members = order[first[patterns, None] + np.arange(size)]
            own = U[members].reshape(len(patterns), size, k * P).swapaxes(1, 2)
            alike.append(Alike(patterns, members, own))
            squares = (own @ own.swapaxes(1, 2)).reshape(-1, k, P, k, P)
            UU[:, :, patterns] = squares.transpose(1, 3, 0, 2, 4)
        return alike, count, UU.reshape(1, k * k * G, P**2)


def remainder(whole: np.ndarray, explained: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Cross-products (..., P, P) of columns of some size less what blocks explain of them; rounding is set to zero."""
    left = whole - explained
    rows = size[..., : left.shape[-2], None]
    return np.where(np.abs(left) > NOTHING_LEFT * rows * size[..., None, :], left, 0.0)


def plain(matrix: np.ndarray | csr_array) -> np.ndarray:
    """A matrix as an array."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
