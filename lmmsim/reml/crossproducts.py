"""What the likelihood needs to know of a design and its responses: sums over the levels of one grouping factor.

Call the rows of level j of that factor *block* j. Least squares within it, on its own columns Z_j, splits every other
column, and the response, into what Z_j explains and what is left:

    X* = Z_j U_j + (left)        y = Z_j u_j + (left)        U_j = A_j^+ Z_j'X*        A_j = Z_j'Z_j

X* = [Z_rest, X]: the columns of all other random terms stand beside the fixed ones. What is left is orthogonal to Z_j,
so that V never touches it, and sums of squares under V^-1 are sums of two parts without a minus sign. That keeps the
digits of a small residual beside large random effects.

Blocks with the same A_j are one *pattern* and enter only through sums over the pattern, so the cost of a criterion
does not depend on how many blocks share it. `Dense` holds sum_j U_j (x) U_j by pattern: matrix products for many
responses. `Sparse` keeps the U_j themselves, for designs so large that one response at a time is fitted.

Shapes: m responses, k columns of Z_j, G patterns, P columns of X*. A leading 1 in place of m: the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from lmmsim.reml import stacks

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Gram:
    """A = L diag(d) L' of every pattern; a d of zero where a column depends on those before it."""

    lower: np.ndarray  # (k, k, 1 or m, G)
    d: np.ndarray  # (k, 1 or m, G)

    @classmethod
    def of(cls, A: np.ndarray) -> Gram:
        """Decompose A (k, k, 1 or m, G)."""
        return cls(*stacks.decompose(A))

    def take(self, which: np.ndarray) -> Gram:
        """Those of some of the responses."""
        return Gram(self.lower[:, :, which], self.d[:, which])

    @cached_property
    def log_det(self) -> np.ndarray:
        """Logarithm of the product of all d > 0, (1 or m, G)."""
        return np.log(np.where(self.d > 0, self.d, 1.0)).sum(axis=0)

    def inverse(self) -> np.ndarray:
        """A generalised inverse A^+ of every pattern."""
        k = len(self.d)
        if self._diagonal:
            return np.eye(k)[:, :, None, None] / self.d
        identity = np.broadcast_to(np.eye(k)[:, :, None, None], self.lower.shape)
        half = stacks.solve_lower(self.lower, identity)
        weight = np.where(self.d > 0, 1 / np.where(self.d > 0, self.d, 1.0), 0.0)
        return stacks.product(stacks.transpose(half), weight[:, None] * half)

    def absorb(self, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """T = Z_j'V^-1 Z_j for V = I + Z_j Psi Z_j', and log|V| by pattern, for Psi (k, k, m, 1).

        With A = L D L', T = A (I + Psi A)^-1 = L (D^-1 + L'Psi L)^-1 L': sums of positive matrices only.
        """
        k, lower = len(self.d), self._columns
        inner = psi if self._diagonal else stacks.product(stacks.transpose(lower), stacks.product(psi, lower))
        root = stacks.cholesky(inner + self._inverse_d)
        half = stacks.solve_lower(root, stacks.transpose(lower))
        with np.errstate(invalid="ignore", divide="ignore"):
            log_pivots = np.log(root[np.arange(k), np.arange(k)]).sum(axis=0)
        return stacks.product(stacks.transpose(half), half), 2 * log_pivots + self.log_det

    @cached_property
    def _columns(self) -> np.ndarray:
        """L without the columns that depend on others."""
        return self.lower * (self.d > 0)[None]

    @cached_property
    def _inverse_d(self) -> np.ndarray:
        """D^-1 as (k, k, 1 or m, G); ones in the place of what depends on others."""
        return np.eye(len(self.d))[:, :, None, None] / np.where(self.d > 0, self.d, 1.0)

    @cached_property
    def _diagonal(self) -> bool:
        """Whether every A is diagonal and has full rank, as where all groups are observed at the same times."""
        off = self.lower - np.eye(len(self.d))[:, :, None, None]
        return bool((self.d > 0).all() and (np.abs(off) < 1e-13).all())


@dataclass(frozen=True, eq=False)
class Moments(ABC):
    """What both kinds share. `cross` is passed to `linear` unread: it stands for the u_j, or for u_j - U_j beta."""

    gram: Gram
    count: np.ndarray  # (1 or m, G) blocks of each pattern
    pattern: np.ndarray  # (J,) the pattern of every block
    n: np.ndarray  # (m,) rows observed
    XX: np.ndarray  # (1 or m, P, P) cross-products of what is left of X* within blocks
    Xy: np.ndarray  # (m, P) and of y
    yy: np.ndarray  # (m,)
    uu: np.ndarray  # (k, k, m, G) sum_j u_j[a] u_j[b]
    cross: np.ndarray

    def take(self, which: np.ndarray) -> Self:
        """The moments of some of the responses."""
        if which.size == self.yy.size and (which == np.arange(which.size)).all():
            return self
        mine = replace(self, n=self.n[which], Xy=self.Xy[which], yy=self.yy[which], uu=self.uu[:, :, which])
        mine = replace(mine, cross=self.cross[which])
        if self.XX.shape[0] == 1:
            return mine
        return replace(mine, gram=self.gram.take(which), count=self.count[which], XX=self.XX[which])

    @abstractmethod
    def quadratic(self, weights: np.ndarray) -> np.ndarray:
        """sum_j U_j' W U_j for weights (m, a, k k G): (m, a, P, P)."""

    @abstractmethod
    def linear(self, weights: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """sum_j U_j' W u_j for weights (m, a, k k G): (m, a, P)."""

    @abstractmethod
    def spread(self, C: np.ndarray) -> np.ndarray:
        """sum_j U_j C U_j' by pattern for C (m, P, P): (k, k, m, G)."""

    @abstractmethod
    def residual(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """With e_j = u_j - U_j beta: sum_j e_j e_j' by pattern, (k, k, m, G), and the `cross` of the e_j."""


@dataclass(frozen=True, eq=False)
class Dense(Moments):
    """Here cross[(a, b, g), p] = sum_j U_j[a, p] u_j[b], (m, k k G, P)."""

    UU: np.ndarray  # (1 or m, k k G, P P): sum_j U_j[a, p] U_j[b, q]

    def take(self, which: np.ndarray) -> Self:
        taken = super().take(which)
        return taken if taken is self or self.UU.shape[0] == 1 else replace(taken, UU=self.UU[which])

    @staticmethod
    def join(parts: list[Dense]) -> Dense:
        """The moments of several pieces of complete responses."""
        return replace(
            parts[0],
            n=np.concatenate([part.n for part in parts]),
            Xy=np.concatenate([part.Xy for part in parts]),
            yy=np.concatenate([part.yy for part in parts]),
            uu=np.concatenate([part.uu for part in parts], axis=2),
            cross=np.concatenate([part.cross for part in parts]),
        )

    def quadratic(self, weights: np.ndarray) -> np.ndarray:
        m, a, size = weights.shape
        P = self.Xy.shape[1]
        if self.UU.shape[0] == 1:
            return (weights.reshape(-1, size) @ self.UU[0]).reshape(m, a, P, P)
        return (weights @ self.UU).reshape(m, a, P, P)

    def linear(self, weights: np.ndarray, cross: np.ndarray) -> np.ndarray:
        return weights @ cross

    def spread(self, C: np.ndarray) -> np.ndarray:
        k, m, G = len(self.uu), C.shape[0], self.uu.shape[3]
        if self.UU.shape[0] == 1:
            return (self.UU[0] @ C.reshape(m, -1).T).reshape(k, k, G, m).swapaxes(2, 3)
        return (self.UU @ C.reshape(m, -1, 1)).reshape(m, k, k, G).transpose(1, 2, 0, 3)

    def residual(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k, (m, P), G = len(self.uu), beta.shape, self.uu.shape[3]
        if self.UU.shape[0] == 1:
            fitted = (beta @ self.UU[0].reshape(-1, P).T).reshape(m, -1, P)
        else:
            fitted = (self.UU.reshape(m, -1, P) @ beta[..., None]).reshape(m, -1, P)
        cross = self.cross - fitted

        def times_beta(sums: np.ndarray) -> np.ndarray:
            return (sums @ beta[..., None]).reshape(m, k, k, G).transpose(1, 2, 0, 3)

        return self.uu - times_beta(self.cross).swapaxes(0, 1) - times_beta(cross), cross


@dataclass(frozen=True, eq=False)
class Sparse(Moments):
    """Every block its own pattern, and the same U_j for all responses. Here cross is u itself, (m, k J)."""

    U: csr_array  # (k J, P), rows ordered by column of Z, then block

    def quadratic(self, weights: np.ndarray) -> np.ndarray:
        return np.stack([[(self.U.T @ (self._diagonal(w) @ self.U)).toarray() for w in own] for own in weights])

    def linear(self, weights: np.ndarray, cross: np.ndarray) -> np.ndarray:
        rows = zip(weights, cross, strict=True)
        return np.stack([[self.U.T @ (self._diagonal(w) @ u) for w in own] for own, u in rows])

    def spread(self, C: np.ndarray) -> np.ndarray:
        k, J = len(self.uu), self.uu.shape[3]
        return np.stack([spread_by_block(self.U, own, k, J) for own in C], axis=2)

    def residual(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rest = self.cross - (self.U @ beta.T).T
        by_column = rest.reshape(len(rest), len(self.uu), -1).swapaxes(0, 1)
        return by_column[:, None] * by_column[None], rest

    def _diagonal(self, weight: np.ndarray) -> csr_array:
        """The block diagonal matrix of one set of weights (k k J,)."""
        k, J = len(self.uu), self.uu.shape[3]
        return block_diagonal(weight.reshape(k, k, J))


def block_diagonal(stack: np.ndarray) -> csr_array:
    """Matrices (k, k, J) as one sparse matrix, rows and columns ordered by index, then block."""
    from scipy import sparse

    k, J = stack.shape[1:]
    columns = np.arange(k) * J + np.arange(J)[:, None]  # (J, k), the same for every row index
    entries = (stack.transpose(0, 2, 1).ravel(), np.tile(columns.ravel(), k), np.arange(k * J + 1) * k)
    return sparse.csr_array(entries, shape=(k * J, k * J))


def spread_by_block(U: csr_array, C: np.ndarray, k: int, J: int) -> np.ndarray:
    """U_j C U_j' of every block, (k, k, J), for U (k J, P)."""
    right = U @ C
    out = np.empty((k, k, J))
    for a in range(k):
        rows = U[a * J : (a + 1) * J]
        for b in range(k):
            out[a, b] = np.asarray(rows.multiply(right[b * J : (b + 1) * J]).sum(axis=1)).ravel()
    return out
