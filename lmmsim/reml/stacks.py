"""Linear algebra on many small symmetric matrices at once, without a Python loop over the matrices.

Two layouts are used (the room's page has an example). *Indices first*, (k, k, ...): every entry of the matrix is one
long array, and the loops below run over k. *Batch first*, (m, p, p): what NumPy's own stacked routines expect. Nothing
here knows about models.
"""

from __future__ import annotations

import numpy as np

from lmmsim import covariance

SMALL = 12  # up to this size a loop over the indices is faster than LAPACK called once per matrix
FEW = 8  # and for so few matrices LAPACK is faster again
DEPENDENT = 1e-10  # a pivot below this share of its diagonal entry is rounding


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Matrix products of two stacks with indices first: (a, k, ...) times (k, b, ...)."""
    out = left[:, 0, None] * right[None, 0]
    for i in range(1, right.shape[0]):
        out = out + left[:, i, None] * right[None, i]
    return out


def transpose(stack: np.ndarray) -> np.ndarray:
    """The transposes of a stack with indices first."""
    return stack.swapaxes(0, 1)


def cholesky(stack: np.ndarray) -> np.ndarray:
    """Lower Cholesky factors of a stack with indices first; NaN where a matrix is not positive definite."""
    if stack.size <= FEW * len(stack) ** 2:
        try:
            return covariance.cholesky(stack.T).T.swapaxes(0, 1)
        except np.linalg.LinAlgError:
            pass
    factor = np.zeros_like(stack)
    with np.errstate(invalid="ignore", divide="ignore"):
        for j in range(stack.shape[0]):
            column = stack[j:, j]
            if j:
                column = column - (factor[j:, :j] * factor[j, :j]).sum(axis=1)
            pivot = np.sqrt(column[0])
            factor[j, j] = pivot
            factor[j + 1 :, j] = column[1:] / pivot
    return factor


def decompose(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L and d with L diag(d) L' = A for a stack of positive semidefinite matrices with indices first.

    L (k, k, ...) has a diagonal of ones. d (k, ...) is 0, and the column of L below the diagonal too, where a column of
    A depends on those before it (Golub & Van Loan 2013, section 4.2.8).
    """
    lower, d = np.zeros_like(stack), np.zeros(stack.shape[1:])
    for j in range(stack.shape[0]):
        column = stack[j:, j]
        if j:
            column = column - (lower[j:, :j] * (d[:j] * lower[j, :j])).sum(axis=1)
        alone = column[0] > DEPENDENT * stack[j, j]
        lower[j, j] = 1.0
        if alone.all():
            d[j], lower[j + 1 :, j] = column[0], column[1:] / column[0]
        else:
            d[j] = np.where(alone, column[0], 0.0)
            lower[j + 1 :, j] = np.where(alone, column[1:] / np.where(alone, column[0], 1.0), 0.0)
    return lower, d


def solve_lower(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L x = b for a stack of lower triangles; `right` is (k, c, ...)."""
    out = np.empty(np.broadcast(right, factor[:, :1]).shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        for i in range(factor.shape[0]):
            rest = right[i]
            if i == 1:
                rest = rest - factor[1, 0] * out[0]
            elif i:
                rest = rest - (factor[i, :i, None] * out[:i]).sum(axis=0)
            out[i] = rest / factor[i, i]
    return out


def inverse(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverses (m, p, p) of positive definite matrices and the log of their squared Cholesky pivots (m, p).

    A matrix that is not positive definite gives NaN in both.
    """
    m, p, _ = stack.shape
    if p <= SMALL and m > FEW:
        factor = cholesky(np.ascontiguousarray(stack.transpose(1, 2, 0)))
        identity = np.broadcast_to(np.eye(p)[:, :, None], (p, p, m))
        half = solve_lower(factor, identity)
        pivots = factor[np.arange(p), np.arange(p)]
        inverses = product(transpose(half), half)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.ascontiguousarray(inverses.transpose(2, 0, 1)), 2 * np.log(pivots.T)
    if p > 100:
        return _inverse_one_by_one(stack)
    try:
        factor = covariance.cholesky(stack)
        return np.linalg.inv(stack), 2 * np.log(np.diagonal(factor, axis1=1, axis2=2))
    except np.linalg.LinAlgError:
        return _inverse_one_by_one(stack)


def pseudo_inverse(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Generalised inverses of symmetric positive semidefinite matrices (m, p, p), whatever the units of their rows.

    Directions in which a matrix, scaled to a diagonal of ones, is zero stay out. The second value is the smallest
    eigenvalue of the scaled matrix, (m,).
    """
    diagonal = np.diagonal(stack, axis1=1, axis2=2)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = stack * unit[:, :, None] * unit[:, None]
    values, vectors = np.linalg.eigh(scaled if np.isfinite(scaled).all() else np.nan_to_num(scaled))
    nonzero = values > DEPENDENT
    weights = nonzero / np.where(nonzero, values, 1.0)
    vectors = vectors * unit[:, :, None]
    return (vectors * weights[:, None]) @ vectors.swapaxes(1, 2), values[:, 0]


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct rows of a table (n, k), sorted: where each first occurs, which one every row is, how many are it."""
    order = np.lexsort(rows.T[::-1])
    begins = np.append(True, (np.diff(rows[order], axis=0) != 0).any(axis=1))
    starts, which = np.flatnonzero(begins), np.empty(len(rows), dtype=np.intp)
    which[order] = np.cumsum(begins) - 1
    return order[starts], which, np.diff(np.append(starts, len(rows)))


def _inverse_one_by_one(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`inverse` by LAPACK's symmetric routines, one matrix after the other."""
    from scipy.linalg import lapack

    inverses, pivots = np.full_like(stack, np.nan), np.full(stack.shape[:2], np.nan)
    for i, matrix in enumerate(stack):
        factor, info = lapack.dpotrf(matrix, lower=1)
        if info == 0:
            lower = np.tril(lapack.dpotri(factor, lower=1)[0])
            inverses[i] = lower + np.tril(lower, -1).T
            pivots[i] = 2 * np.log(np.diagonal(factor))
    return inverses, pivots
