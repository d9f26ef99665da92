"""Columns of a random term without their units: orthogonal, with a mean square of 1."""

from __future__ import annotations

import numpy as np

COLLINEAR = 1e-10  # what a column has beside those before it, as a share of its size
MANY = 2000  # rows from which NumPy's copies cost more than the import of SciPy's LAPACK


def standardised(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns in which time may be counted in weeks or from the birth of Christ.

    Parameters
    ----------
    columns : ndarray, shape (n, k)

    Returns
    -------
    standard : ndarray, shape (n, k)
        Orthogonal columns with a mean square of 1; only rescaled where the columns are collinear.
    upper : ndarray, shape (k, k)
        `columns = standard @ upper`, upper triangular with a positive diagonal.
    back : ndarray, shape (k, k)
        Its inverse.

    Examples
    --------
    >>> standard, upper, back = standardised(np.column_stack([np.ones(5), np.arange(2000.0, 2005.0)]))
    >>> (standard.T @ standard / 5).round(9).tolist(), upper.round(3).tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 2002.0], [0.0, 1.414]])
    """
    sizes = np.sqrt(np.einsum("ij,ij->j", columns, columns) / len(columns))
    if columns.shape[1] > 1:
        triangle = np.linalg.qr(columns, mode="r") / np.sqrt(len(columns))
        diagonal = np.diagonal(triangle)
        if (np.abs(diagonal) > COLLINEAR * sizes).all():
            upper = triangle * np.where(diagonal < 0, -1.0, 1.0)[:, None]
            back = np.linalg.inv(upper)
            return columns @ back, upper, back
    upper = np.diag(np.where(sizes > 0, sizes, 1.0))
    back = np.linalg.inv(upper)
    return columns / upper[0, 0] if len(upper) == 1 else columns @ back, upper, back


def thin_qr(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal Q (n, p) and upper triangular R with X = Q R, for n >= p; X may be overwritten.

    Examples
    --------
    >>> Q, R = thin_qr(np.array([[3.0, 1.0], [4.0, 0.0]]))
    >>> np.abs(R).round(9).tolist()
    [[5.0, 0.6], [0.0, 0.8]]
    """
    if len(X) < MANY:
        Q, R = np.linalg.qr(X)
        return Q, R
    from scipy.linalg import lapack

    reflectors, tau, *_ = lapack.dgeqrf(X, overwrite_a=1)
    R = np.triu(reflectors[: X.shape[1]])
    return lapack.dorgqr(reflectors, tau, overwrite_a=1)[0], R
