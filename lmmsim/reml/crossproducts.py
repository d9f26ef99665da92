"""What the likelihood needs to know of a design and its responses: sums over the levels of one grouping factor.

Call the blocks of that factor j = 1..J, with A_j = Z_j'Z_j, B_j = Z_j'X* and c_j = Z_j'y, where X* = [Z_rest, X]: the
columns of all other random terms stand beside the fixed ones. Blocks with the same A_j are one *pattern* and enter
only through sums over the pattern, so the cost of a criterion does not depend on how many blocks share it.

`Dense` holds sum_j B_j (x) B_j by pattern: matrix products for many responses. `Sparse` keeps the B_j themselves, for
designs so large that one response at a time is fitted.

Shapes: m responses, k columns of Z, G patterns, P columns of X*. A leading 1 in place of m: the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Moments(ABC):
    """What both kinds share. `cross` is passed to `linear` unread: it stands for the c_j, or for c_j - B_j beta."""

    A: np.ndarray  # (k, k, 1 or m, G)
    count: np.ndarray  # (1 or m, G) blocks of each pattern
    XX: np.ndarray  # (1 or m, P, P) X*'X*
    n: np.ndarray  # (m,) rows observed
    Xy: np.ndarray  # (m, P)
    yy: np.ndarray  # (m,)
    cc: np.ndarray  # (k, k, m, G) sum_j c_j[a] c_j[b]
    cross: np.ndarray
    pattern: np.ndarray  # (J,) the pattern of every block

    def take(self, which: np.ndarray) -> Self:
        """The moments of some of the responses."""
        if which.size == self.yy.size:
            return self
        own = self.XX.shape[0] > 1
        changes: dict[str, np.ndarray] = {
            "n": self.n[which],
            "Xy": self.Xy[which],
            "yy": self.yy[which],
            "cc": self.cc[:, :, which],
        }
        changes["cross"] = self.cross[which]
        if own:
            changes |= {"A": self.A[:, :, which], "count": self.count[which], "XX": self.XX[which]}
        return replace(self, **changes)

    @staticmethod
    def join(parts: list[Moments]) -> Moments:
        """The moments of several pieces of complete responses."""
        return replace(
            parts[0],
            n=np.concatenate([part.n for part in parts]),
            Xy=np.concatenate([part.Xy for part in parts]),
            yy=np.concatenate([part.yy for part in parts]),
            cc=np.concatenate([part.cc for part in parts], axis=2),
            cross=np.concatenate([part.cross for part in parts]),
        )

    @abstractmethod
    def quadratic(self, weights: np.ndarray) -> np.ndarray:
        """sum_j B_j' W B_j for weights (m, a, k k G): (m, a, P, P)."""

    @abstractmethod
    def linear(self, weights: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """sum_j B_j' W c_j for weights (m, a, k k G): (m, a, P)."""

    @abstractmethod
    def spread(self, C: np.ndarray) -> np.ndarray:
        """sum_j B_j C B_j' by pattern for C (m, P, P): (k, k, m, G)."""

    @abstractmethod
    def residual(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """With e_j = c_j - B_j beta: sum_j e_j e_j' by pattern, (k, k, m, G), and the `cross` of the e_j."""


@dataclass(frozen=True, eq=False)
class Dense(Moments):
    """Here cross[(a, b, g), p] = sum_j B_j[a, p] c_j[b], (m, k k G, P)."""

    BB: np.ndarray  # (1 or m, k k G, P P): sum_j B_j[a, p] B_j[b, q]

    def take(self, which: np.ndarray) -> Self:
        taken = super().take(which)
        return taken if taken is self or self.BB.shape[0] == 1 else replace(taken, BB=self.BB[which])

    def quadratic(self, weights: np.ndarray) -> np.ndarray:
        m, a, size = weights.shape
        P = self.Xy.shape[1]
        if self.BB.shape[0] == 1:
            return (weights.reshape(-1, size) @ self.BB[0]).reshape(m, a, P, P)
        return (weights @ self.BB).reshape(m, a, P, P)

    def linear(self, weights: np.ndarray, cross: np.ndarray) -> np.ndarray:
        return weights @ cross

    def spread(self, C: np.ndarray) -> np.ndarray:
        k, m, G = self.A.shape[0], C.shape[0], self.A.shape[3]
        if self.BB.shape[0] == 1:
            return (self.BB[0] @ C.reshape(m, -1).T).reshape(k, k, G, m).swapaxes(2, 3)
        return (self.BB @ C.reshape(m, -1, 1)).reshape(m, k, k, G).transpose(1, 2, 0, 3)

    def residual(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k, (m, P), G = self.A.shape[0], beta.shape, self.A.shape[3]
        if self.BB.shape[0] == 1:
            fitted = (beta @ self.BB[0].reshape(-1, P).T).reshape(m, -1, P)
        else:
            fitted = (self.BB.reshape(m, -1, P) @ beta[..., None]).reshape(m, -1, P)
        cross = self.cross - fitted

        def times_beta(sums: np.ndarray) -> np.ndarray:
            return (sums @ beta[..., None]).reshape(m, k, k, G).transpose(1, 2, 0, 3)

        return self.cc - times_beta(self.cross).swapaxes(0, 1) - times_beta(cross), cross


@dataclass(frozen=True, eq=False)
class Sparse(Moments):
    """One response, every block its own pattern. Here cross is c itself, (1, k J), column of Z by block."""

    B: csr_array  # (k J, P), rows in the same order

    def quadratic(self, weights: np.ndarray) -> np.ndarray:
        return np.stack([(self.B.T @ (self._blocks(w) @ self.B)).toarray() for w in weights[0]])[None]

    def linear(self, weights: np.ndarray, cross: np.ndarray) -> np.ndarray:
        return np.stack([self.B.T @ (self._blocks(w) @ cross[0]) for w in weights[0]])[None]

    def spread(self, C: np.ndarray) -> np.ndarray:
        k, J = self.A.shape[0], self.A.shape[3]
        right = self.B @ C[0]
        out = np.empty((k, k, 1, J))
        for a in range(k):
            rows = self.B[a * J : (a + 1) * J]
            for b in range(k):
                out[a, b, 0] = np.asarray(rows.multiply(right[b * J : (b + 1) * J]).sum(axis=1)).ravel()
        return out

    def residual(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k, J = self.A.shape[0], self.A.shape[3]
        rest = self.cross[0] - self.B @ beta[0]
        by_column = rest.reshape(k, 1, J)
        return by_column[:, None] * by_column[None], rest[None]

    def _blocks(self, weight: np.ndarray) -> csr_array:
        """The block diagonal matrix of one set of weights (k k J,)."""
        from scipy import sparse

        k, J = self.A.shape[0], self.A.shape[3]
        weight = weight.reshape(k, k, J)
        return sparse.bmat([[sparse.diags(weight[a, b]) for b in range(k)] for a in range(k)], format="csr")
