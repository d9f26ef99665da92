"""What estimated variances add to the error of predicted effects.

A prediction t = k'beta + m'u is made by the best weights a for the variances that were estimated. Where these are off,
so are the weights: their derivative by a variance is -P (Z G_i w + R_i a), with P = V^-1 - V^-1 X C X'V^-1 and
w = Z'a - m, and the prediction has the further error variance

    g = sum_ij W_ij (Z G_i w + R_i a)'P (Z G_j w + R_j a)

for the covariance W of the estimated variances (Kackar & Harville 1984; Prasad & Rao 1990, Journal of the American
Statistical Association 85:163). Residuals with one sd sigma need no term of their own, P R_i a = -P Z G w / sigma^2.
Put in the place of the true variances, estimates by REML make the plain variance too small by g again, so that 2 g is
added (Datta & Lahiri 2000, Statistica Sinica 10:613).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
