"""Z, G and their friends: sparse matrices that keep their labels.

A `Labelled` matrix is a scipy sparse array that also knows the names of its
rows and columns, so that a student can look at it as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from lmmsim.model.columns import RandomTerm, effects_index


class Labelled(sparse.csr_array):
    """A sparse matrix with names for its rows and columns.

    Everything that scipy does with a `csr_array` works; `to_frame` shows it as
    a table, and NumPy functions take it as the dense matrix that it stands for.

    Attributes
    ----------
    rows, columns : Index or None
        The labels; None once an operation has made another matrix of it.

    Examples
    --------
    >>> Z = labelled(np.eye(2), rows=pd.Index(["first", "second"]), columns=pd.Index(["a", "b"]))
    >>> Z.to_frame()
              a    b
    first   1.0  0.0
    second  0.0  1.0
    """

    rows: pd.Index | None = None
    columns: pd.Index | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return the whole matrix, zeros included, as a DataFrame."""
        return pd.DataFrame(self.toarray(), index=self.rows, columns=self.columns)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.toarray(), dtype=dtype)

    def _repr_html_(self) -> str:
        """Show the matrix as a table in a notebook: its corner, where it is large."""
        corner = self[:60, :20]
        frame = pd.DataFrame(
            corner.toarray(),
            index=None if self.rows is None else self.rows[:60],
            columns=None if self.columns is None else self.columns[:20],
        )
        size = f"<p>{self.shape[0]} rows × {self.shape[1]} columns, {self.nnz} entries are not zero</p>"
        return frame.to_html(max_rows=12, float_format="{:.4g}".format) + size


def labelled(matrix: object, rows: pd.Index, columns: pd.Index) -> Labelled:
    """Attach names to the rows and columns of a matrix."""
    result = Labelled(matrix)
    result.rows, result.columns = rows, columns
    return result


def random_columns(terms: Sequence[RandomTerm], rows: pd.Index) -> Labelled:
    """Z: one column for each random effect, each row with its own group's columns filled in.

    Parameters
    ----------
    terms : sequence of RandomTerm
        From `lmmsim.model.columns.build`.
    rows : Index
        Labels of the n rows.

    Returns
    -------
    Labelled, shape (n, q)
    """
    data, positions, offset = [], [], 0
    for term in terms:
        k = len(term.names)
        data.append(term.columns)
        positions.append(offset + term.codes[:, None] * k + np.arange(k))
        offset += k * len(term.levels)
    n = len(rows)
    if not terms:
        return labelled(sparse.csr_array((n, 0)), rows, effects_index(terms))
    values, columns = np.hstack(data), np.hstack(positions)
    start = np.arange(n + 1) * columns.shape[1]
    Z = sparse.csr_array((values.ravel(), columns.ravel(), start), shape=(n, offset))
    Z.eliminate_zeros()
    return labelled(Z, rows, effects_index(terms))


def random_covariance(terms: Sequence[RandomTerm], covariances: Sequence[np.ndarray]) -> Labelled:
    """G: the covariance of each term, once for every level, along the diagonal.

    Parameters
    ----------
    terms : sequence of RandomTerm
    covariances : sequence of ndarray, shape (k, k)
        One for each term.

    Returns
    -------
    Labelled, shape (q, q)
    """
    index = effects_index(terms)
    blocks = [sparse.kron(sparse.eye_array(len(t.levels)), cov) for t, cov in zip(terms, covariances, strict=True)]
    return labelled(sparse.block_diag(blocks) if blocks else sparse.csr_array((0, 0)), index, index)
