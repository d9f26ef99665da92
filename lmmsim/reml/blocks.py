"""From a design and its responses to `Moments`: choose the factor to absorb, find its patterns, add up cross-products.

The design's part is done once. A response then costs one pass over its rows. The letters are those of `crossproducts`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmsim.reml import modes, stacks
from lmmsim.reml.crossproducts import Dense, Gram, Moments, Sparse, block_diagonal
from lmmsim.reml.derivatives import Point
from lmmsim.reml.mixed_model_equations import Layout, State
from lmmsim.reml.standard_form import Problem, Responses

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DENSE_LIMIT = 2**24  # entries of the design's own cross-products; beyond it blocks are kept apart
SMALL = 2**18  # entries up to which X* is a plain array
NOTHING_LEFT = 1e-13  # cross-products below this share of their columns' size are rounding


class Blocks:
    """Any design, seen as independent blocks of one grouping factor beside everything else.

    Parameters
    ----------
    problem : Problem
    dense_limit : int
        Most entries of the cross-products summed over patterns; a larger design keeps its blocks apart.
    """

    def __init__(self, problem: Problem, dense_limit: int = DENSE_LIMIT) -> None:
        self.problem = problem
        terms, sizes = problem.terms, problem.coordinates.sizes
        together = [[j for j, t in enumerate(terms) if np.array_equal(t.codes, term.codes)] for term in terms]
        absorbed = max(together, key=lambda same: sum(sizes[j] * terms[j].levels for j in same))
        self.layout = Layout(problem.coordinates, [term.levels for term in terms], absorbed)
        self.J, self.codes = terms[absorbed[0]].levels, terms[absorbed[0]].codes
        self.columns = np.concatenate([terms[i].columns for i in absorbed], axis=1)
        self.P = self.layout.q2 + problem.p
        self._find_patterns()
        entries = self.layout.k**2 * self.P**2
        self.dense, self.dense_masked = self.G * entries <= dense_limit, self.J * entries <= dense_limit

    def _find_patterns(self) -> None:
        """Z1', A_j, and which blocks have the same A_j."""
        from scipy import sparse

        n, k = self.columns.shape
        order = np.argsort(self.codes, kind="stable")
        ends = np.arange(k)[:, None] * n + np.cumsum(np.bincount(self.codes, minlength=self.J))
        entries = (self.columns[order].T.ravel(), np.tile(order, k), np.append(0, ends))
        self.Z1t = sparse.csr_array(entries, shape=(k * self.J, n))  # rows ordered by column of Z, then block
        self.A = self.sums(self.columns).transpose(0, 2, 1)  # (k, k, J)
        digits = np.round(self.A.reshape(k * k, -1).T / max(float(np.abs(self.A).max()), 1e-300) * 1e9)
        first, self.pattern = np.zeros(1, dtype=np.intp), np.zeros(self.J, dtype=np.intp)
        if not (digits == digits[0]).all():
            _, first, self.pattern = np.unique(digits, axis=0, return_index=True, return_inverse=True)
            self.pattern = self.pattern.ravel()
        self.G = first.size
        self.gram = Gram.of(self.A[:, :, None, first])
        self.A_inverse = self.gram.inverse()[:, :, 0, self.pattern]  # (k, k, J)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Z1'values (k, J, m) for values (n, m)."""
        return np.asarray(self.Z1t @ values).reshape(self.layout.k, self.J, -1)

    @cached_property
    def X_star(self) -> np.ndarray | csr_array:
        """[Z2, X], (n, P): a sparse matrix if it is large."""
        from scipy import sparse

        if not self.layout.rest:
            return self.problem.X
        if isinstance(self.Z2, np.ndarray):
            return np.concatenate([self.Z2, self.problem.X], axis=1)
        return sparse.csr_array(sparse.hstack([self.Z2, sparse.csr_array(self.problem.X)], format="csr"))

    @cached_property
    def Z2(self) -> np.ndarray | csr_array:
        """Columns of the random terms that are not absorbed, (n, q2)."""
        from scipy import sparse

        n, rows = self.problem.n, np.arange(self.problem.n)[:, None]
        if n * self.P <= SMALL:
            dense = np.zeros((n, self.layout.q2))
            for i, at in self.layout.columns.items():
                term, k = self.problem.terms[i], self.layout.sizes[i]
                dense[rows, at.start + term.codes[:, None] * k + np.arange(k)] = term.columns
            return dense
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
        return self.Z1t @ self.X_star

    @cached_property
    def U(self) -> np.ndarray | csr_array:
        """A_j^+ Z_j'X* of every block, in the same order."""
        if not isinstance(self.B, np.ndarray):
            return block_diagonal(self.A_inverse) @ self.B
        return np.einsum("abj,bjp->ajp", self.A_inverse, self.B.reshape(-1, self.J, self.P)).reshape(-1, self.P)

    @cached_property
    def Z1X(self) -> np.ndarray:
        """Z1'X, (k J, p)."""
        return np.asarray(self.Z1t @ self.problem.X)

    @cached_property
    def X_left(self) -> np.ndarray:
        """What least squares within blocks leaves of X, (n, p)."""
        return self.problem.X - self.Z1t.T @ _dense(self.U[:, self.layout.q2 :])

    @cached_property
    def XX(self) -> np.ndarray:
        """Cross-products of what is left of X*, (P, P)."""
        q2, out = self.layout.q2, np.zeros((self.P, self.P))
        out[q2:, q2:] = self.X_left.T @ self.X_left
        if q2:
            out[:q2] = _left(_dense(self.Z2.T @ self.X_star), _dense(self.B[:, :q2].T @ self.U), self._sizes)
            out[q2:, :q2] = out[:q2, q2:].T
        return out

    @cached_property
    def _sizes(self) -> np.ndarray:
        """Lengths of the columns of X*, (P,)."""
        out = np.ones(self.P)
        for i, at in self.layout.columns.items():
            term = self.problem.terms[i]
            squares = [np.bincount(term.codes, column**2, term.levels) for column in term.columns.T]
            out[at] = np.sqrt(np.stack(squares, axis=1).ravel())
        return out

    @cached_property
    def _by_pattern(self) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Blocks of every pattern, their U (J_g, k, P), and UU (1, k k G, P P)."""
        k = self.layout.k
        U = _dense(self.U).reshape(k, self.J, self.P).swapaxes(0, 1)
        blocks = np.split(np.argsort(self.pattern, kind="stable"), np.cumsum(np.bincount(self.pattern))[:-1])
        own = [U[members] for members in blocks]
        UU = np.stack([np.tensordot(u, u, axes=(0, 0)) for u in own])  # (G, k, P, k, P)
        return blocks, own, UU.transpose(1, 3, 0, 2, 4).reshape(1, k * k * self.G, self.P**2)

    def chunk(self, complete: bool) -> int:
        """How many responses to carry through the optimisation together."""
        k, t1 = self.layout.k, len(self.layout.entries1)
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
            return (self._masked if self.dense_masked else self._masked_sparse)(responses, responses.observed)
        m, k, n = len(responses.scale), self.layout.k, float(self.problem.n)
        c = responses.sums(self.Z1t, self.Z1X).reshape(k, self.J, m)
        u = np.einsum("abj,bjm->ajm", self.A_inverse, c) if k > 1 else self.A_inverse[0][..., None] * c
        shared: dict[str, Any] = {"gram": self.gram, "n": np.full(m, n), "XX": self.XX[None]}
        if responses.exact:
            left = responses.y - self.Z1t.T @ u.reshape(-1, m)
            beside, X = self.Z2.T @ left, self.X_left.T @ left
            shared |= {"yy": np.einsum("im,im->m", left, left), "Xy": np.concatenate([beside, X]).T.copy()}
        else:  # a standardised response has a mean square of 1 and is orthogonal to X
            Xy = -(self.U.T @ c.reshape(-1, m)).T
            Xy[:, : self.layout.q2] += self._sums_beside(responses)
            shared |= {"yy": n - np.einsum("ajm,ajm->m", c, u), "Xy": Xy}
        u = np.ascontiguousarray(u.swapaxes(0, 1))  # (J, k, m)
        if not self.dense:
            uu = (u[:, :, None] * u[:, None]).transpose(1, 2, 3, 0)
            return self._apart(Gram.of(self.A[:, :, None]), u.transpose(2, 1, 0).reshape(m, -1), uu, self.U, shared)
        blocks, own, UU = self._by_pattern
        uu, cross = np.empty((k, k, m, self.G)), np.empty((m, k, k, self.G, self.P))
        for g, (members, U) in enumerate(zip(blocks, own, strict=True)):
            part = u[members]
            uu[..., g] = np.einsum("jam,jbm->abm", part, part)
            cross[:, :, :, g] = np.tensordot(U, part, axes=(0, 0)).transpose(3, 0, 2, 1)
        count = np.array([[float(members.size) for members in blocks]])
        cross = cross.reshape(m, -1, self.P)
        return Dense(count=count, pattern=self.pattern, uu=uu, cross=cross, UU=UU, **shared)

    def _sums_beside(self, responses: Responses) -> np.ndarray:
        """Z2'y, (m, q2)."""
        if not self.layout.rest:
            return np.zeros((len(responses.scale), 0))
        return responses.sums(self.Z2.T, self.Z2.T @ self.problem.X).T

    def _apart(self, gram: Gram, u: np.ndarray, uu: np.ndarray, U: Any, shared: dict[str, Any]) -> Sparse:
        """Every block its own pattern."""
        from scipy import sparse

        each, count = np.arange(self.J), np.ones((1, self.J))
        return Sparse(**shared | {"gram": gram}, count=count, pattern=each, uu=uu, cross=u, U=sparse.csr_array(U))

    def _masked(self, responses: Responses, observed: np.ndarray) -> Moments:
        """Every block of every response is its own pattern: what was observed differs."""
        y, seen, X = responses.y, observed.astype(float), _dense(self.X_star)
        m, k, P = y.shape[1], self.layout.k, self.P
        A = np.stack([self.sums(column[:, None] * seen) for column in self.columns.T], axis=1).swapaxes(2, 3)
        gram = Gram.of(np.ascontiguousarray(A))
        inverse = gram.inverse()  # (k, k, m, J)
        c = self.sums(y).swapaxes(1, 2)  # (k, m, J)
        u = stacks.product(inverse, c[:, None])[:, 0]
        B = np.empty((k, m, self.J, P))
        for j in range(P):
            B[..., j] = self.sums(X[:, j, None] * seen).swapaxes(1, 2)
        U = np.stack([sum(inverse[a, b][..., None] * B[b] for b in range(k)) for a in range(k)])
        XX = np.einsum("ip,iq,im->mpq", X, X, seen, optimize=True)
        by_response = (1, 0, 2, 3)
        B, U = B.transpose(by_response), U.transpose(by_response)  # (m, k, J, P)
        rows = U.reshape(m, -1, P)
        XX = _left(XX, B.reshape(m, -1, P).swapaxes(1, 2) @ rows, np.sqrt(np.diagonal(XX, axis1=1, axis2=2)))
        left = (y - np.einsum("na,amn->nm", self.columns, u[:, :, self.codes])) * seen
        return Dense(
            gram=gram,
            count=np.ones((m, self.J)),
            pattern=np.arange(self.J),
            n=seen.sum(axis=0),
            XX=XX,
            Xy=(X.T @ left).T,
            yy=np.einsum("im,im->m", left, left),
            uu=u[:, None] * u[None],
            cross=np.einsum("majp,bmj->mabjp", U, u).reshape(m, -1, P),
            UU=np.einsum("majp,mbjq->mabjpq", U, U).reshape(m, -1, P**2),
        )

    def _masked_sparse(self, responses: Responses, observed: np.ndarray) -> Moments:
        """The same for one response of a design so large that its blocks are kept apart."""
        from scipy import sparse

        y, mask = responses.y, sparse.csr_array(sparse.diags_array(observed[:, 0].astype(float)))
        gram = Gram.of(np.ascontiguousarray(self.sums(self.columns * observed).swapaxes(1, 2))[:, :, None])
        solve, Z1t, X = block_diagonal(gram.inverse()[:, :, 0]), self.Z1t @ mask, self.X_star
        B = Z1t @ X
        U, u = solve @ B, solve @ (Z1t @ y)
        left = y - mask @ (self.Z1t.T @ u)
        shared = {
            "n": np.array([float(observed.sum())]),
            "XX": _left(_dense(X.T @ mask @ X), _dense(B.T @ U), self._sizes)[None],
            "Xy": (X.T @ left).T,
            "yy": np.einsum("im,im->m", left, left),
        }
        by_column = u.reshape(self.layout.k, 1, self.J)
        return self._apart(gram, u.T, by_column[:, None] * by_column[None], U, shared)

    def at(self, theta: np.ndarray, moments: Moments, reml: bool) -> Point:
        """The likelihood and its derivatives at theta (m, t)."""
        factors = self.problem.coordinates.factors(theta)
        return Point(State(self.layout, factors, moments, self.problem.p, reml))

    def modes(self, theta: np.ndarray, responses: Responses, reml: bool) -> list[np.ndarray]:
        """Modes of every term, (m, J, k), in the user's columns and units."""
        return modes.modes(self, self.at(theta, self.moments(responses), reml), responses)

    def mode_variances(self, theta: np.ndarray, sigma: np.ndarray, observed: np.ndarray | None) -> list[np.ndarray]:
        """Conditional variances of every term, (m, J, k, k), in the user's columns and units."""
        blank = self.moments(self.problem.no_response(len(theta), observed))
        return modes.mode_variances(self, self.at(theta, blank, True), sigma, observed)

    def explain(self) -> str:
        """One sentence about the structure."""
        kind = "crossed or nested terms joined to the fixed effects" if self.layout.rest else "independent blocks"
        return (
            f"{kind}: {self.J} blocks of the largest factor in {self.G} pattern(s), "
            f"{self.layout.k} x {self.layout.k} matrices each"
            + (f", then a dense {self.P} x {self.P} system" if self.layout.rest else "")
        )


def _left(whole: np.ndarray, explained: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Cross-products (..., P, P) of columns of some size less what blocks explain of them; rounding is set to zero."""
    left = whole - explained
    rows = size[..., : left.shape[-2], None]
    return np.where(np.abs(left) > NOTHING_LEFT * rows * size[..., None, :], left, 0.0)


def _dense(matrix: np.ndarray | csr_array) -> np.ndarray:
    """A matrix as an array."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
