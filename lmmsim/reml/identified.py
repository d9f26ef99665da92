"""What a design cannot tell apart: variances that leave the likelihood flat or let it grow without bound.

REML sees y through M = I - X (X'X)^-1 X'. Its variances are identified when the matrices M V_i M of the residual
(V_0 = I) and of every direction of Psi are linearly independent, that is when tr(P V_i P V_j), computed at any theta,
has full rank (Rao & Kleffe 1988, section 5.1). Full likelihood is bounded when X and Z leave the residual at least one
dimension.
"""

from __future__ import annotations

import numpy as np

from lmmsim.reml.scoring import expectations
from lmmsim.reml.standard_form import Problem
from lmmsim.reml.structure import Point

TAKEN_UP = 1e-8  # a variance of whose trace X leaves a smaller share than this is taken up
FLAT = 1e-10  # eigenvalue, of a matrix with ones on the diagonal, below which a direction is flat


def indistinct(problem: Problem, point: Point, psi: np.ndarray) -> np.ndarray:
    """Why REML cannot estimate some variance, '' where it can: (1,) for all responses, or one for each.

    Parameters
    ----------
    problem : Problem
    point : Point
        Of the REML criterion, anywhere.
    psi : ndarray, shape (1, t)
        Where that is.
    """
    expected = expectations(point, psi)
    out = np.full(len(expected), "", dtype=object)
    flat, why = taken_up(problem, point)
    out[why != ""] = why[why != ""]
    size: np.ndarray = np.sqrt(np.maximum(np.diagonal(expected, axis1=1, axis2=2), 0.0))
    size[:, :-1][flat] = np.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = expected / size[:, :, None] / size[:, None]
    scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    scaled[:, np.arange(size.shape[1]), np.arange(size.shape[1])] = 1.0
    values, vectors = np.linalg.eigh(scaled)
    for i in np.flatnonzero((values[:, 0] < FLAT) & (out == "")):
        owners = [
            term.name
            for term, where in zip(problem.terms, problem.coordinates.slices, strict=True)
            if (np.abs(vectors[i, where, 0]) > 1e-4).any()
        ]
        if abs(vectors[i, -1, 0]) > 1e-4:
            owners.append("the residual")
        out[i] = f"the variances of {' and '.join(owners)} cannot be told apart in this design; drop a term"
    return out


def taken_up(problem: Problem, point: Point) -> tuple[np.ndarray, np.ndarray]:
    """Directions (m, t) in which X leaves nothing of Z, and the sentence about them, (m,)."""
    coordinates, m = problem.coordinates, len(point.traces)
    flat, why = np.zeros((m, coordinates.size), dtype=bool), np.full(m, "", dtype=object)
    if not any(term.levels <= problem.p for term in problem.terms):
        return flat, why
    taken = np.einsum("mpq,mapq->ma", np.linalg.inv(point.vcov), point.vcov_slopes)  # tr(V^-1 V_a) - tr(P V_a)
    gone = (point.traces < TAKEN_UP * (point.traces + taken)) & coordinates.diagonal
    for term, where, k in zip(problem.terms, coordinates.slices, coordinates.sizes, strict=True):
        rows, columns = np.tril_indices(k)
        for i in np.flatnonzero(gone[:, where].any(axis=1)):
            lost = gone[i, where][coordinates.diagonal[where]]  # by column of the term
            order = np.lexsort((rows, columns))
            flat[i, where] = (lost[rows] | lost[columns])[order]
            why[i] = f"the fixed effects take up all that {term.name} could explain; drop one of the two"
    return flat, why


def no_bound(problem: Problem) -> str:
    """Why full likelihood has no maximum, '' where it has: X and Z together leave no dimension to the residual."""
    from scipy import sparse
    from scipy.sparse.linalg import lsmr

    columns = problem.p + sum(term.levels * term.columns.shape[1] for term in problem.terms)
    if columns < problem.n:
        return ""
    rows, parts = np.arange(problem.n), [sparse.csr_array(problem.X)]
    for term in problem.terms:
        for column in term.columns.T:
            parts.append(sparse.csr_array((column, (rows, term.codes)), shape=(problem.n, term.levels)))
    y = np.random.default_rng(0).normal(size=(problem.n, 1))[:, 0]
    # a response drawn at random lies in the space of the columns only if everything does
    left = lsmr(sparse.hstack(parts, format="csr"), y, atol=1e-10, btol=1e-10, maxiter=10 * problem.n)[3]
    if left > 1e-6 * np.sqrt(y @ y):
        return ""
    names = " and ".join(term.name for term in problem.terms)
    return f"the fixed effects and {names} fit any response exactly: the likelihood has no maximum; drop a term"
