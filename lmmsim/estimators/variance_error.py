"""What estimated variances add to the error of predicted effects.

A prediction t = k'beta + m'u is made by the best weights a for the variances that were estimated. Where these are off,
so are the weights: their derivative by a variance is -P (Z G_i w + R_i a), with P = V^-1 - V^-1 X C X'V^-1 and
w = Z'a - m, and the prediction has the further error variance

    g = sum_ij W_ij (Z G_i w + R_i a)'P (Z G_j w + R_j a)

for the covariance W of the estimated variances (Kackar & Harville 1984; Prasad & Rao 1990, Journal of the American
Statistical Association 85:163). Residuals with one sd sigma need no term of their own, P R_i a = -P Z G w / sigma^2,
so that all is of the size of the random effects (`directions`); those with several numbers are worked out row by row
(`RowDirections`). Put in the place of the true variances, estimates by REML make the plain variance too small by g
again, so that 2 g is added (Datta & Lahiri 2000, Statistica Sinica 10:613). For a correlation, which R is not linear
in, this holds as far as the estimated R is right on average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmmsim.model.columns import RandomTerm

Times = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction of the variances, scaled by how far they may be off along it.

    Attributes
    ----------
    of_terms : list of ndarray, (k, k)
        E of every term: the derivative of G is block diagonal with E for every level.
    far : ndarray, (p, p)
    across : ndarray, (q, p)
        Z'P Z E Z'V^-1X, and the products of E Z'V^-1X with it.
    """

    of_terms: list[np.ndarray]
    far: np.ndarray
    across: np.ndarray


def turned(of_terms: Sequence[np.ndarray], levels: Sequence[int], values: np.ndarray) -> np.ndarray:
    """E times the effects (q, c) of whole levels, so many of every term, those of the first term first."""
    out, start = np.empty_like(values), 0
    for E, count in zip(of_terms, levels, strict=True):
        stop = start + count * len(E)
        part = values[start:stop].reshape(count, len(E), -1)
        out[start:stop] = np.einsum("ab,jbc->jac", E, part).reshape(stop - start, -1)
        start = stop
    return out


def directions(
    terms: Sequence[RandomTerm],
    roots: Sequence[np.ndarray],
    uncertainty: np.ndarray,
    variance: float,
    ZVX: np.ndarray,
    C: np.ndarray,
    times: Times,
) -> list[Direction]:
    """As many directions as there are variances of random effects.

    Parameters
    ----------
    terms, roots : of the random terms, G = root root'
    uncertainty : ndarray, (t + 1, t + 1)
        W, the residual's variance last.
    variance : float
        Of the residual.
    ZVX, C : ndarray, (q, p) and (p, p)
    times : callable
        Z'V^-1Z times values (q, c).
    """
    places = [np.tril_indices(len(root)) for root in roots]
    G = np.concatenate([(root @ root.T)[place] for root, place in zip(roots, places, strict=True)])
    into = np.vstack([np.eye(len(G)), -G / variance])
    sizes, vectors = np.linalg.eigh(into.T @ uncertainty @ into)
    out = []
    for size, vector in zip(sizes, vectors.T, strict=True):
        if size <= 0:
            continue
        of_terms, start = [], 0
        for rows, columns in places:
            E = np.zeros((rows.max() + 1,) * 2)
            E[rows, columns] = E[columns, rows] = np.sqrt(size) * vector[start : start + len(rows)]
            of_terms.append(E)
            start += len(rows)
        moved = turned(of_terms, [len(term.levels) for term in terms], ZVX)
        across = times(moved) - ZVX @ (C @ (ZVX.T @ moved))
        out.append(Direction(of_terms, moved.T @ across, across))
    return out


@dataclass(frozen=True, eq=False)
class Inverse:
    """V^-1 = R^-1 - R^-1 Z root K^-1 root'Z'R^-1, of all rows or of those that no other row depends on.

    Attributes
    ----------
    R_inverse : sparse, (n, n)
    RZ : sparse, (n, q)
        R^-1 Z.
    root : sparse, (q, q)
        G = root root'.
    kernel : object with `solve`
        The factors of K = 1 + root'Z'R^-1 Z root.
    """

    R_inverse: Any
    RZ: Any
    root: Any
    kernel: Any

    def times(self, values: np.ndarray) -> np.ndarray:
        """V^-1 values, (n, c)."""
        first = np.asarray(self.R_inverse @ values)
        near = np.asarray(self.root.T @ (self.RZ.T @ values))
        return first - np.asarray(self.RZ @ (self.root @ self.kernel.solve(near)))


@dataclass(frozen=True, eq=False)
class RowDirections:
    """Directions of all variances, those of the residual included, each scaled by how far they may be off along it.

    Attributes
    ----------
    terms : sequence of RandomTerm
    Z, VX, C : (n, q), (n, p) and (p, p)
        VX is V^-1 X.
    of_terms : list of list of ndarray
        E of every term, for every direction.
    of_R : list of sparse, (n, n)
    far : list of ndarray, (n, p)
        What a coefficient's weights V^-1 X are moved by: Z E Z'V^-1X + R_i V^-1X.
    seen : list of ndarray, (n, p)
        P far.
    """

    terms: Sequence[RandomTerm]
    Z: Any
    VX: np.ndarray
    C: np.ndarray
    of_terms: list[list[np.ndarray]]
    of_R: list[Any]
    far: list[np.ndarray]
    seen: list[np.ndarray]

    @classmethod
    def of(
        cls,
        terms: Sequence[RandomTerm],
        uncertainty: np.ndarray,
        Z: Any,
        VX: np.ndarray,
        C: np.ndarray,
        dR: Sequence[Any],
        inverse: Inverse,
    ) -> RowDirections:
        """As many directions as there are variances that are known to be uncertain; W has those of G first."""
        unit = np.sqrt(np.maximum(np.diagonal(uncertainty), 1e-300))  # a correlation beside large variances
        sizes, vectors = np.linalg.eigh(uncertainty / np.outer(unit, unit))
        levels, ZVX = [len(term.levels) for term in terms], np.asarray(Z.T @ VX)
        found = cls(terms, Z, VX, C, [], [], [], [])
        for size, vector in zip(sizes, vectors.T, strict=True):
            if size <= 0:
                continue
            step, start = np.sqrt(size) * unit * vector, 0
            E = []
            for k in (len(term.names) for term in terms):
                rows, columns = np.tril_indices(k)
                own = np.zeros((k, k))
                own[rows, columns] = own[columns, rows] = step[start : start + len(rows)]
                E.append(own)
                start += len(rows)
            D = sum(
                (float(part) * one for part, one in zip(step[start + 1 :], dR[1:], strict=True)), step[start] * dR[0]
            )
            far = np.asarray(Z @ turned(E, levels, ZVX)) + np.asarray(D @ VX)
            found.of_terms.append(E)
            found.of_R.append(D)
            found.far.append(far)
            found.seen.append(inverse.times(far) - VX @ (C @ (VX.T @ far)))
        return found

    def error(
        self, c: np.ndarray, e: np.ndarray, a: np.ndarray, inside: np.ndarray, rows: np.ndarray, inverse: Inverse
    ) -> np.ndarray:
        """What the error of the variances adds to predictions (r,), once.

        Parameters
        ----------
        c : ndarray, (r, p)
            What a prediction takes of the coefficients: its weights are a + V^-1 X c.
        e, a : ndarray, (q', r) and (n', r)
            The same of the effects `inside`, of which all rows are among `rows`.
        inverse : Inverse
            Of these rows.
        """
        starts = np.cumsum([0, *(len(term.levels) * len(term.names) for term in self.terms)])
        ends = np.searchsorted(inside, starts)
        levels = [int(size) // len(term.names) for size, term in zip(np.diff(ends), self.terms, strict=True)]
        out, Z, VX = np.zeros(len(c)), self.Z[rows][:, inside], self.VX[rows]
        for E, D, far, seen in zip(self.of_terms, self.of_R, self.far, self.seen, strict=True):
            near = np.asarray(Z @ turned(E, levels, e)) + np.asarray(D[rows][:, rows] @ a)
            along = VX.T @ near
            out += ((c @ (far.T @ seen)) * c).sum(axis=1) + 2 * ((near.T @ seen[rows]) * c).sum(axis=1)
            out += (near * inverse.times(near)).sum(axis=0) - ((self.C @ along) * along).sum(axis=0)
        return out
