"""From a design and its responses to `Moments`: what one factor's blocks add up to, and the likelihood of the sums.

`absorption` has done the design's part once. A response then costs one pass over its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lmmsim.reml import modes, stacks
from lmmsim.reml.absorption import Absorbed, plain, remainder
from lmmsim.reml.crossproducts import Dense, Gram, Moments, Sparse, block_diagonal
from lmmsim.reml.derivatives import Point
from lmmsim.reml.mixed_model_equations import State
from lmmsim.reml.standard_form import Responses


class Blocks(Absorbed):
    """Any design, seen as independent blocks of one grouping factor beside everything else."""

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
            left = responses.y - self.Z1t.back(u.reshape(-1, m))
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
        alike, count, UU = self.by_pattern
        uu, cross = np.empty((k, k, m, self.G)), np.empty((m, k, k, self.G, self.P))
        for one in alike:
            part = u[one.members]  # (g, c, k, m)
            uu[..., one.patterns] = np.einsum("gjam,gjbm->abmg", part, part)
            products = one.U @ part.reshape(*one.members.shape, k * m)
            cross[:, :, :, one.patterns] = products.reshape(-1, k, self.P, k, m).transpose(4, 1, 3, 0, 2)
        cross = cross.reshape(m, -1, self.P)
        return Dense(count=count[None].astype(float), pattern=self.pattern, uu=uu, cross=cross, UU=UU, **shared)

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
        y, seen, X = responses.y, observed.astype(float), plain(self.X_star)
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
        XX = remainder(XX, B.reshape(m, -1, P).swapaxes(1, 2) @ rows, np.sqrt(np.diagonal(XX, axis1=1, axis2=2)))
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
        solve, Z1t, X = block_diagonal(gram.inverse()[:, :, 0]), self.Z1t.matrix @ mask, self.X_star
        B = Z1t @ X
        U, u = solve @ B, solve @ (Z1t @ y)
        left = y - mask @ self.Z1t.back(u)
        shared = {
            "n": np.array([float(observed.sum())]),
            "XX": remainder(plain(X.T @ mask @ X), plain(B.T @ U), self.sizes_of_X)[None],
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
