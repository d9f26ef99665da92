"""Random intercepts whose Z_i Z_i' commute, as in balanced nested and crossed designs: their common eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmmsim.reml.standard_form import Problem, Term


def common_eigenvectors(problem: Problem) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenvalues (q', t) of every Z_i Z_i' and the map (q', q) from Z'y to the coordinates, or None."""
    parts = problem.terms
    if not _commute(parts):
        return None
    full = np.concatenate([np.concatenate([_products(a, b) for b in parts], axis=1) for a in parts])
    # a sum with unequal, irrational weights has the common eigenvectors and separates the strata
    weights = np.concatenate([np.full(b.levels, np.sqrt(2.0 + 3.0 * i)) for i, b in enumerate(problem.terms)])
    values, vectors = np.linalg.eigh(weights[:, None] ** 0.5 * full * weights**0.5)
    keep = values > 1e-10 * values[-1]
    basis = (weights[:, None] ** 0.5 * vectors[:, keep] / np.sqrt(values[keep])).T
    starts = np.cumsum([0] + [term.levels for term in problem.terms])
    roots = np.empty((keep.sum(), len(parts)))
    for i in range(len(parts)):
        coordinates = basis @ full[:, starts[i] : starts[i + 1]]  # U'Z_i
        inside = coordinates @ coordinates.T  # U'Z_i Z_i'U
        roots[:, i] = np.diagonal(inside)
        if np.abs(inside - np.diag(roots[:, i])).max() > 1e-8 * values[-1]:
            return None
    return np.where(roots < 1e-9 * values[-1], 0.0, roots), basis


def _products(one: Term, other: Term) -> np.ndarray:
    """Z_i'Z_j."""
    cell = one.codes * other.levels + other.codes
    sums = np.bincount(cell, one.columns[:, 0] * other.columns[:, 0], one.levels * other.levels)
    return sums.reshape(one.levels, other.levels)


def _commute(terms: Sequence[Term]) -> bool:
    """Whether Z_i Z_i' Z_j Z_j' x is the same in both orders for a random x: certain not to, or almost certain to."""
    x = np.random.default_rng(0).normal(size=terms[0].codes.size)

    def smoothed(term: Term, values: np.ndarray) -> np.ndarray:
        """Z Z' values."""
        column = term.columns[:, 0]
        return np.asarray(column * np.bincount(term.codes, column * values, term.levels)[term.codes])

    for i, a in enumerate(terms):
        for b in terms[:i]:
            one, other = smoothed(a, smoothed(b, x)), smoothed(b, smoothed(a, x))
            if np.abs(one - other).max() > 1e-8 * np.abs(one).max():
                return False
    return True
