"""Blocks: V is block diagonal, because rows that share no group and no residual unit are independent.

Blocks that look alike (the same rows of X and Z, the same R) are listed once, with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.model.equation import Equation
from lmmsim.model.standard import standardised

DENSE = 200  # a block with fewer rows than this is held in plain arrays, a larger one in sparse ones
Form = Callable[[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]], Any]
Matrix = Any  # an ndarray, or a scipy sparse array: what is done with them (@, .T) both can do


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that depend on each other.

    Attributes
    ----------
    X, Z, R : (n, p), (n, q), (n, n)
    root : (q, q)
        G = root root'.
    dG, dR : tuples of (q, q) and of (n, n)
        Derivatives of G by each variance and covariance, and of R by each of its parameters. The columns of Z and the
        effects behind them are standardised, so that time may be counted in weeks or from the birth of Christ.
    copies : int
        How many blocks of the design look like this one.
    """

    X: np.ndarray
    Z: Matrix
    R: Matrix
    root: Matrix
    dG: tuple[Matrix, ...]
    dR: tuple[Matrix, ...]
    copies: int


def blocks(equation: Equation) -> Iterator[Block]:
    """Go through the different blocks of an equation.

    Parameters
    ----------
    equation : Equation
        `model.on(design)`.

    Yields
    ------
    Block

    Raises
    ------
    ValueError
        If a residual has no variance: V could not be inverted.

    Examples
    --------
    >>> from lmmsim.scenarios import plant_growth
    >>> model, design = plant_growth(plots=30, weeks=5)
    >>> [(block.X.shape, block.copies) for block in blocks(model.on(design))]
    [((5, 6), 10), ((5, 6), 10), ((5, 6), 10)]
    """
    R, X = equation.R, equation.X.to_numpy()
    if (R.diagonal() <= 0).any():
        raise ValueError("a residual sd is 0, so V has no inverse; give the residual a small sd instead")
    dR = equation.residual.derivatives(equation.design)
    # a correlation of 0 hides which rows share a unit; its derivative tells
    label = components(equation.terms, sum(map(abs, dR), start=abs(R)))
    standardised = [standard(term, root) for term, root in zip(equation.terms, equation.roots, strict=True)]
    for rows, copies in _alike(X, equation.terms, R, label):
        terms = [restrict(term, rows) for term, _ in standardised]
        form = to_dense if len(rows) < DENSE else to_sparse
        yield Block(
            X=X[rows],
            Z=columns(terms, len(rows), form),
            R=_part(R, rows, form),
            root=diagonal(terms, [root for _, root in standardised], form),
            dG=tuple(diagonal(terms, units, form) for units in _unit_covariances(terms)),
            dR=tuple(_part(D, rows, form) for D in dR),
            copies=copies,
        )


def components(terms: Sequence[RandomTerm], links: Matrix) -> np.ndarray:
    """Number every row by the set it belongs to, which shares no group and no link with other rows.

    `links` (n, n) is sparse; rows with an entry that is not zero belong together.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    n = links.shape[0]
    for term in terms:
        # a chain through the rows of a group links as much as all its pairs would
        order = np.argsort(term.codes, kind="stable")
        same = np.diff(term.codes[order]) == 0
        links = links + sparse.csr_array((np.ones(same.sum()), (order[:-1][same], order[1:][same])), shape=(n, n))
    return connected_components(links, directed=False)[1]


def _alike(
    X: np.ndarray, terms: Sequence[RandomTerm], R: Matrix, label: np.ndarray
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the rows of one set of each look, and how many sets look like it."""
    order = np.argsort(label, kind="stable")
    sizes = np.bincount(label)
    first = np.cumsum(sizes) - sizes
    place = np.empty(len(label), dtype=np.intp)  # of each row inside its set
    place[order] = np.arange(len(label)) - np.repeat(first, sizes)
    values = np.column_stack([X, *(term.columns for term in terms), *(_inside(term, label) for term in terms)])
    for m in np.unique(sizes):
        sets = np.flatnonzero(sizes == m)
        rows = order[first[sets][:, None] + np.arange(m)]
        looks = [values[rows].reshape(len(sets), -1)]
        if len(sets) > 1:
            looks.append(_residual_blocks(R, label, place, sets, m))
        _, example, copies = np.unique(np.hstack(looks), axis=0, return_index=True, return_counts=True)
        yield from zip(rows[example], copies.tolist(), strict=True)


def row_sets(label: np.ndarray) -> list[np.ndarray]:
    """The rows of every set that `components` found."""
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _inside(term: RandomTerm, label: np.ndarray) -> np.ndarray:
    """Number the levels of a term anew in each set: no two sets share a level."""
    home = np.zeros(len(term.levels), dtype=np.intp)
    home[term.codes] = label
    order = np.argsort(home, kind="stable")
    count = np.bincount(home, minlength=label.max() + 1)
    number = np.empty_like(home)
    number[order] = np.arange(len(home)) - np.repeat(np.cumsum(count) - count, count)
    return number[term.codes]


def _residual_blocks(R: Matrix, label: np.ndarray, place: np.ndarray, sets: np.ndarray, m: int) -> np.ndarray:
    """R of each of these sets of m rows, one after the other: (sets, m) where it is diagonal, else (sets, m * m)."""
    number = np.full(label.max() + 1, -1)
    number[sets] = np.arange(len(sets))
    entries = R.tocoo()
    rows, columns = entries.coords
    diagonal = (rows == columns).all()
    mine = number[label[rows]] >= 0
    rows, columns, data = rows[mine], columns[mine], entries.data[mine]
    out = np.zeros((len(sets), m if diagonal else m * m))
    out[number[label[rows]], place[rows] if diagonal else place[rows] * m + place[columns]] = data
    return out


def to_dense(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A plain array from the entries that may differ from zero."""
    out = np.zeros(shape)
    out[rows, columns] = values
    return out


def to_sparse(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Matrix:
    """A sparse array from the same."""
    from scipy import sparse

    return sparse.csr_array((values, (rows, columns)), shape=shape)


def _part(matrix: Matrix, rows: np.ndarray, form: Form) -> Matrix:
    """Rows and columns of a sparse matrix that belong to a block."""
    part = matrix if len(rows) == matrix.shape[0] else matrix[rows][:, rows]
    return part.toarray() if form is to_dense else part


def restrict(term: RandomTerm, rows: np.ndarray) -> RandomTerm:
    """The term of these rows alone, with the levels that they have."""
    levels, codes = np.unique(term.codes[rows], return_inverse=True)
    return RandomTerm(term.group, term.names, term.columns[rows], codes, term.levels[levels])


def columns(terms: Sequence[RandomTerm], n: int, form: Form = to_dense) -> Matrix:
    """Z without its labels."""
    values, rows, places, offset = [np.zeros(0)], [np.zeros(0, int)], [np.zeros(0, int)], 0
    for term in terms:
        k = len(term.names)
        values.append(term.columns.ravel())
        rows.append(np.repeat(np.arange(n), k))
        places.append((offset + term.codes[:, None] * k + np.arange(k)).ravel())
        offset += k * len(term.levels)
    return form(np.concatenate(values), np.concatenate(rows), np.concatenate(places), (n, offset))


def diagonal(terms: Sequence[RandomTerm], matrices: Sequence[np.ndarray], form: Form = to_dense) -> Matrix:
    """One matrix for each term, repeated for each of its levels along the diagonal."""
    values, rows, places, offset = [np.zeros(0)], [np.zeros(0, int)], [np.zeros(0, int)], 0
    for term, matrix in zip(terms, matrices, strict=True):
        k, J = len(matrix), len(term.levels)
        start = offset + k * np.arange(J)[:, None]
        values.append(np.tile(matrix.ravel(), J))
        rows.append((start + np.repeat(np.arange(k), k)).ravel())
        places.append((start + np.tile(np.arange(k), k)).ravel())
        offset += k * J
    return form(np.concatenate(values), np.concatenate(rows), np.concatenate(places), (offset, offset))


def standard(term: RandomTerm, root: np.ndarray) -> tuple[RandomTerm, np.ndarray]:
    """The term with orthogonal columns of unit mean square, and the square root of its effects' covariance."""
    standard, upper, _ = standardised(term.columns)
    return replace(term, columns=standard), upper @ root


def _unit_covariances(terms: Sequence[RandomTerm]) -> Iterator[list[np.ndarray]]:
    """For each variance and covariance, the derivative of every term's covariance matrix: a one, and zeros."""
    for chosen, term in enumerate(terms):
        for i, j in zip(*np.tril_indices(len(term.names)), strict=True):
            matrices = [np.zeros((len(t.names), len(t.names))) for t in terms]
            matrices[chosen][[i, j], [j, i]] = 1.0
            yield matrices
