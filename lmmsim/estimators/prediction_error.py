"""How far predictions of a mixed model may be off: their variance, and the df of it.

What is predicted is t = k'beta + m'u, for a row with columns k of X and m of Z. With y as it was seen, the error of the
prediction is a'y - t for weights a; it has the variance w'G w + a'R a, with w = Z'a - m. At the best weights the
derivatives of this variance are those of G and R alone, w'G_i w + a'R_i a, so that Satterthwaite's df follow as for a
coefficient. The best weights are a = R^-1 Z D m + V^-1 X C d, with D = (G^-1 + Z'R^-1 Z)^-1, C = (X'V^-1 X)^-1 and
d = k - X'R^-1 Z D m (Henderson 1975, Biometrics 31:423).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from lmmsim.estimators.new_residual import own_variances
from lmmsim.estimators.variance_error import Direction, Inverse, RowDirections, directions, turned
from lmmsim.model.blocks import components, diagonal, standard, to_sparse
from lmmsim.model.columns import Matrices
from lmmsim.model.equation import Equation
from lmmsim.model.matrices import random_columns
from lmmsim.theory.gls import Information, inverse
from lmmsim.theory.joint import without_test

PIECE = 2**17  # numbers of a dense matrix at a time
DENSE = 0.05  # share of entries that are not zero above which a plain product is faster than a sparse one


@dataclass(frozen=True, eq=False)
class Errors:
    """Variances (r,) of prediction errors, and their df (r,)."""

    variance: np.ndarray
    df: np.ndarray


def errors(
    equation: Equation, information: Information, vcov: np.ndarray, rows: Matrices, known: bool, measured: Any = None
) -> Errors:
    """Work out how far predictions of some rows may be off.

    Parameters
    ----------
    equation : Equation
        Of the data that were analysed.
    information : Information
        Of the same equation.
    vcov : ndarray, (p, p)
        Covariance of the estimated coefficients.
    rows : Matrices
        Of the rows that are predicted, codes among the levels of the data, -1 for a group that was not there.
    known : bool
        Whether the effects of groups that were there are predicted too; otherwise all groups are new.
    measured : DataFrame, optional
        The rows, where one new measurement of each is predicted: its residual is then a part of the error.
    """
    return _Predictor(equation, information, vcov).errors(rows, known, measured)


class _Predictor:
    """What belongs to the data that were analysed, in columns of Z that are standardised as those of `gls`."""

    def __init__(self, equation: Equation, known: Information, vcov: np.ndarray) -> None:
        self.equation, self.known, self.vcov = equation, known, vcov
        pairs = [standard(term, root) for term, root in zip(equation.terms, equation.roots, strict=True)]
        self.terms = tuple(term for term, _ in pairs)
        self.roots = [root for _, root in pairs]
        self.turns = [
            np.linalg.lstsq(own.columns, term.columns, rcond=None)[0]
            for own, term in zip(equation.terms, self.terms, strict=True)
        ]
        X, n = equation.X.to_numpy(), equation.n
        self.Z = sparse.csr_array(random_columns(self.terms, equation.X.index))
        self.root = diagonal(self.terms, self.roots, to_sparse)
        self.R_inverse = sparse.csr_array(inverse(sparse.csr_array(equation.R)))
        self.RZ = sparse.csr_array(self.R_inverse @ self.Z)
        ZRZ = sparse.csr_array(self.Z.T @ self.RZ)
        self.ZRZ = ZRZ
        self.kernel = sparse.csc_array(sparse.eye_array(self.Z.shape[1]) + self.root.T @ ZRZ @ self.root)
        self.ZRX = np.asarray(self.RZ.T @ X)
        self.VX = self.R_inverse @ X
        if self.Z.shape[1]:
            self.VX = self.VX - self.RZ @ (self.root @ self._whole.solve(np.asarray(self.root.T @ self.ZRX)))
        self.ZVX = np.asarray(self.Z.T @ self.VX)
        parts = self.parts = [sparse.csr_array(D) for D in equation.residual.derivatives(equation.design)]
        self.dR = [(self.VX.T @ (D @ self.VX), (D @ self.VX).T @ self.RZ, self.RZ.T @ D @ self.RZ) for D in parts]
        self.unit = components(equation.terms, abs(equation.R)) if equation.terms else np.zeros(n, dtype=int)

    def errors(self, rows: Matrices, known: bool, measured: Any) -> Errors:
        """Variances and df, piece by piece of the rows that share groups."""
        K = rows.X[list(self.equation.X.columns)].to_numpy()
        new = [term.columns @ turn for term, turn in zip(rows.terms, self.turns, strict=True)]
        codes = [term.codes if known else np.full(len(K), -1) for term in rows.terms]
        variance, variance0 = np.zeros((2, len(K)))
        gradient = np.zeros((len(K), len(self.known.expected)))
        for these in self._pieces(codes, len(K)):
            part = self._part(K[these], [z[these] for z in new], [code[these] for code in codes])
            variance[these], variance0[these], gradient[these] = part
        if measured is not None:
            own, which, slope = own_variances(self.equation, self.parts, measured)
            variance, variance0 = variance + own, variance0 + own
            gradient[np.arange(len(own)), gradient.shape[1] - len(self.dR) + which] += slope
        spread = np.einsum("ri,ij,rj->r", gradient, self.known.uncertainty, gradient)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.where(spread > 1e-12 * variance0**2, 2 * variance0**2 / spread, np.inf)
        return Errors(variance, df)

    def _pieces(self, codes: list[np.ndarray], r: int) -> Iterator[np.ndarray]:
        """Rows in an order in which those of one set of groups stand together, so many at a time as memory has."""
        place = np.full(r, -1)
        for term, code in zip(self.terms, codes, strict=True):
            home = np.zeros(len(term.levels), dtype=int)
            home[term.codes] = self.unit
            place = np.where(code >= 0, home[code], place)
        order = np.argsort(place, kind="stable")
        sizes = np.zeros(int(self.unit.max()) + 1, dtype=int)  # effects that belong to the rows of a unit
        for term in self.terms:
            home = np.zeros(len(term.levels), dtype=int)
            home[term.codes] = self.unit
            sizes += np.bincount(home, minlength=len(sizes)) * len(term.names)
        begin, width = 0, 0
        for end in range(1, r + 1):
            first = end - 1 == begin or place[order[end - 1]] != place[order[end - 2]]
            width += int(sizes[place[order[end - 1]]]) if first and place[order[end - 1]] >= 0 else 0
            if end == r or (end - begin) * max(width, 1) >= PIECE:
                yield order[begin:end]
                begin, width = end, 0

    def _part(
        self, K: np.ndarray, new: list[np.ndarray], codes: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Variance with the given and with the plain covariance of coefficients, and derivatives, of some rows."""
        r = len(K)
        M = self._columns(new, codes, r)
        own = np.unique(M.indices)
        inside = self._together(own)
        M, root = M[:, inside].toarray().T, self.root[inside][:, inside]
        moved = np.asarray(root.T @ M)
        solved = self._solver(inside).solve(moved) if len(inside) else moved
        Dm = np.asarray(root @ solved)
        d = K - Dm.T @ self.ZRX[inside]
        c = d @ self.known.vcov
        vcov, unknown = without_test(K, self.vcov[None])
        fixed = np.where(unknown[0], np.nan, np.einsum("ri,ij,rj->r", d, vcov[0], d))
        plain = (c * d).sum(axis=1)
        shared = (moved * solved).sum(axis=0)
        for z, code, factor in zip(new, codes, self.roots, strict=True):
            shared = shared + np.where(code < 0, ((z @ factor) ** 2).sum(axis=1), 0.0)
        e = np.asarray(_within(self.ZRZ, inside) @ Dm) - M
        gradient = self._random_gradient(c, e, inside, new, codes)
        more = self._of_variances(c, e, Dm, inside, codes)
        for of_X, across, of_Z in self.dR:
            value = ((c @ of_X) * c).sum(axis=1) + 2 * ((c @ across[:, inside]) * Dm.T).sum(axis=1)
            gradient.append(value + ((_within(of_Z, inside) @ Dm) * Dm).sum(axis=0))
        return shared + fixed + more, shared + plain, np.column_stack(gradient)

    def _of_variances(
        self, c: np.ndarray, e: np.ndarray, Dm: np.ndarray, inside: np.ndarray, codes: list[np.ndarray]
    ) -> np.ndarray:
        """What the error of the variances adds where an effect of a known group is predicted, (r,)."""
        if not len(inside):
            return np.zeros(len(c))
        there = np.any([code >= 0 for code in codes], axis=0)
        if self._by_rows is None:
            return np.where(there, 2 * self._in_effects(c, e, inside), 0.0)
        rows = np.flatnonzero(np.isin(self.unit, self._homes[inside]))
        R_inverse, RZ = self.R_inverse[rows][:, rows], self.RZ[rows][:, inside]
        near = Inverse(R_inverse, RZ, self.root[inside][:, inside], self._solver(inside))
        return np.where(there, 2 * self._by_rows.error(c, e, np.asarray(RZ @ Dm), inside, rows, near), 0.0)

    def _in_effects(self, c: np.ndarray, e: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """The same, once, where the residual has one number, by matrices of the size of the effects."""
        out, starts = np.zeros(len(c)), np.cumsum([0, *(len(term.levels) * len(term.names) for term in self.terms)])
        S, ends = self.ZVX[inside], np.searchsorted(inside, starts)
        levels = [int(size) // len(term.names) for size, term in zip(np.diff(ends), self.terms, strict=True)]
        for one in self._directions:
            near = turned(one.of_terms, levels, e)
            along = S.T @ near
            own = (near * self._times(near, inside)).sum(axis=0) - ((self.known.vcov @ along) * along).sum(axis=0)
            far = ((c @ one.far) * c).sum(axis=1)
            out += far + 2 * ((near.T @ one.across[inside]) * c).sum(axis=1) + own
        return out

    @cached_property
    def _by_rows(self) -> RowDirections | None:
        """Of the variances of a residual with several numbers; None where it has one."""
        if len(self.parts) == 1 or not self.terms:
            return None
        everything = Inverse(self.R_inverse, self.RZ, self.root, self._whole)
        uncertainty, C = self.known.uncertainty, self.known.vcov
        return RowDirections.of(self.terms, uncertainty, self.Z, self.VX, C, self.parts, everything)

    @cached_property
    def _directions(self) -> list[Direction]:
        """Of the variances, where the residual has one number."""
        everything = np.arange(self.Z.shape[1])
        return directions(
            self.terms,
            self.roots,
            self.known.uncertainty,
            float(self.equation.residual.sd) ** 2,
            self.ZVX,
            self.known.vcov,
            lambda values: self._times(values, everything),
        )

    def _times(self, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Z'V^-1Z times values (q', r), for effects that share no row with others."""
        ZRZ, root = _within(self.ZRZ, inside), self.root[inside][:, inside]
        first = np.asarray(ZRZ @ values)
        return first - np.asarray(ZRZ @ (root @ self._solver(inside).solve(np.asarray(root.T @ first))))

    def _solver(self, inside: np.ndarray) -> Any:
        """The factored kernel of some effects."""
        if len(inside) == self.Z.shape[1]:
            return self._whole
        return splu(sparse.csc_array(self.kernel[inside][:, inside]))

    @cached_property
    def _whole(self) -> Any:
        """The factored kernel of all effects."""
        return splu(self.kernel)

    def _columns(self, new: list[np.ndarray], codes: list[np.ndarray], r: int) -> Any:
        """M (r, q): the columns of Z for rows whose groups were there; nothing for others."""
        parts = []
        for term, z, code in zip(self.terms, new, codes, strict=True):
            k, there = len(term.names), np.flatnonzero(code >= 0)
            places = code[there, None] * k + np.arange(k)
            rows = np.repeat(there, k)
            shape = (r, k * len(term.levels))
            parts.append(sparse.csr_array((z[there].ravel(), (rows, places.ravel())), shape=shape))
        return sparse.csr_array(sparse.hstack(parts)) if parts else sparse.csr_array((r, 0))

    def _together(self, own: np.ndarray) -> np.ndarray:
        """All effects of the sets of groups that some effects belong to."""
        if not len(own):
            return own
        home = self._homes
        return np.flatnonzero(np.isin(home, home[own]))

    @cached_property
    def _homes(self) -> np.ndarray:
        """The set of rows that depend on each other to which every effect belongs, (q,)."""
        homes = []
        for term in self.terms:
            home = np.zeros(len(term.levels), dtype=int)
            home[term.codes] = self.unit
            homes.append(np.repeat(home, len(term.names)))
        return np.concatenate(homes)

    def _random_gradient(
        self, c: np.ndarray, e: np.ndarray, inside: np.ndarray, new: list[np.ndarray], codes: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Derivatives of the variance by each variance and covariance of the random terms."""
        out, offset = [], 0
        for term, z, code in zip(self.terms, new, codes, strict=True):
            k, J = len(term.names), len(term.levels)
            whole = self.ZVX[offset : offset + J * k].reshape(J, k, -1)  # of the estimated coefficients, all levels
            mine = np.flatnonzero((inside >= offset) & (inside < offset + J * k))
            near = e[mine].reshape(-1, k, len(c))  # of the predicted effects, the levels nearby
            part = np.einsum("jkp,rp->jkr", whole[np.unique((inside[mine] - offset) // k)], c)
            for i, j in zip(*np.tril_indices(k), strict=True):
                value = np.einsum("rp,pq,rq->r", c, whole[:, i].T @ whole[:, j], c)
                value += (part[:, i] * near[:, j] + near[:, i] * part[:, j] + near[:, i] * near[:, j]).sum(axis=0)
                value += np.where(code < 0, z[:, i] * z[:, j], 0.0)
                out.append(value if i == j else 2 * value)
            offset += J * k
        return out


def _within(matrix: Any, inside: np.ndarray) -> Any:
    """Some rows and the same columns of a sparse matrix; a plain array where many entries are not zero."""
    part = matrix[inside][:, inside]
    return part.toarray() if part.nnz > DENSE * len(inside) ** 2 else part
