"""What the likelihood needs to know of blocks of rows that depend on each other: sums over blocks that look alike.

V is block diagonal: rows that share neither a group nor a residual unit are independent. Blocks whose rows of Z and R
are the same have the same V_j and form one *pattern*. The likelihood does not change when the J blocks of a pattern are
rotated, that is replaced by J orthonormal combinations of each other, X_i* = sum_j O_ij X_j and y_i* likewise. The
rotation is chosen so that few of the X_i* differ from zero: as many as there are linearly independent X_j, three for
three arms. The other blocks enter through S = sum_j y_j y_j' alone, so that the cost does not grow with their number.

Patterns with equally many rows m stand in one array, padded to the same number E of rotated blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmmsim.model.blocks import components
from lmmsim.model.columns import RandomTerm
from lmmsim.reml.marginal_form import Bar
from lmmsim.reml.residual_numbers import Numbers, Piece

FEW = 1e-12  # singular values of the X_j below this share of the largest are rounding


@dataclass(frozen=True, eq=False)
class Stack:
    """The patterns of one size: G of them, m rows each.

    Attributes
    ----------
    rows : tuple of ndarray, (J_g, m)
        The rows of every block of every pattern.
    count : ndarray, (G,)
    rotation : tuple of ndarray, (E_g, J_g)
    X : ndarray, (G, E, m, p)
        Rotated.
    Z : ndarray, (t, G, m, m)
        Z E_a Z' for every entry of psi.
    piece : Piece
        R.
    """

    rows: tuple[np.ndarray, ...]
    count: np.ndarray
    rotation: tuple[np.ndarray, ...]
    X: np.ndarray
    Z: np.ndarray
    piece: Piece

    @property
    def m(self) -> int:
        """Rows of a block."""
        return int(self.X.shape[2])

    def sums(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotated responses (r, G, E, m) and S (r, G, m, m) of responses (n, r)."""
        r, (G, E, m, _) = Y.shape[1], self.X.shape
        rotated, S = np.zeros((r, G, E, m)), np.empty((r, G, m, m))
        for g, (rows, turn) in enumerate(zip(self.rows, self.rotation, strict=True)):
            y = np.ascontiguousarray(Y[rows].transpose(2, 1, 0))  # (r, m, J)
            S[:, g] = y @ y.swapaxes(1, 2)
            rotated[:, g, : len(turn)] = (y @ turn.T).swapaxes(1, 2)
        return rotated, S


def label(groups: Sequence[np.ndarray], codes: np.ndarray | None, n: int) -> np.ndarray:
    """The block of every row, from the levels of the grouping factors and the units of the residual."""
    from scipy import sparse

    units = [] if codes is None else [_only_codes(codes)]
    terms = [_only_codes(own) for own in groups]
    return components([*terms, *units], sparse.csr_array((n, n)))


def stacks(X: np.ndarray, bars: Sequence[Bar], numbers: Numbers, block: np.ndarray, seen: np.ndarray) -> list[Stack]:
    """Sort the rows that were seen into blocks, patterns and stacks.

    Parameters
    ----------
    X : ndarray, (n, p)
    bars : sequence of Bar
        The random terms in standard form.
    numbers : Numbers
        Of the residual.
    block : ndarray of int, (n,)
    seen : ndarray of int
        The rows to be used.
    """
    codes = np.zeros(len(X), dtype=np.intp) if numbers.codes is None else numbers.codes
    looks = numbers.looks
    order = np.lexsort((*looks[seen].T, codes[seen], block[seen]))  # rows of a unit by time
    rows, mine = seen[order], block[seen][order]
    start = np.flatnonzero(np.append(True, np.diff(mine) != 0))
    sizes = np.diff(np.append(start, len(rows)))
    inside = [_numbered(part[rows], mine) for part in (*(bar.codes for bar in bars), codes)]
    values = np.column_stack([looks[rows], *(bar.raw[rows] for bar in bars), *inside])
    out = []
    for m in np.unique(sizes):
        at = start[sizes == m][:, None] + np.arange(m)
        _, example, which = np.unique(values[at].reshape(len(at), -1), axis=0, return_index=True, return_inverse=True)
        which = which.ravel()
        members = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
        blocks = tuple(rows[at[one]] for one in members)
        turned = [_rotated(X[one]) for one in blocks]
        most = max(len(turn) for turn, _ in turned)
        first = rows[at[example]]  # (G, m)
        alone = numbers.codes is None
        unit = np.tile(np.arange(m), (len(first), 1)) if alone else codes[first]
        together = np.zeros((len(first), most, m, X.shape[1]))
        for g, (_, own) in enumerate(turned):
            together[g, : len(own)] = own
        out.append(
            Stack(
                rows=blocks,
                count=np.array([float(len(one)) for one in blocks]),
                rotation=tuple(turn for turn, _ in turned),
                X=together,
                Z=_directions(bars, first),
                piece=numbers.piece(looks[first], unit[:, :, None] == unit[:, None, :]),
            )
        )
    return out


def _rotated(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (E, J) and X* (E, m, p) of the blocks (J, m, p) of a pattern."""
    J, m, p = X.shape
    if J == 1:
        return np.ones((1, 1)), X
    left, size, right = np.linalg.svd(X.reshape(J, m * p), full_matrices=False)
    E = max(int((size > FEW * size[0]).sum()), 1)
    return left[:, :E].T, (size[:E, None] * right[:E]).reshape(E, m, p)


def _directions(bars: Sequence[Bar], rows: np.ndarray) -> np.ndarray:
    """Z E_a Z' of the first block of every pattern, (t, G, m, m)."""
    out = [np.zeros((0, *rows.shape, rows.shape[1]))]
    for bar in bars:
        Z, codes = bar.columns[rows], bar.codes[rows]
        same = codes[:, :, None] == codes[:, None, :]
        out.append(np.einsum("gik,akl,gjl->agij", Z, bar.directions, Z, optimize=True) * same)
    return np.concatenate(out)


def _numbered(codes: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Number the levels of a factor anew in each block, in the order in which they come; rows stand by block."""
    pairs = block * np.int64(codes.max() + 1) + codes  # as many as the product of both, which 32 bits may not hold
    _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
    begins = np.flatnonzero(np.append(True, np.diff(block) != 0))
    new = np.zeros(len(codes), dtype=np.intp)
    new[first] = 1
    count = np.cumsum(new)
    home = np.searchsorted(begins, np.arange(len(codes)), side="right") - 1
    number = count - count[begins[home]]
    return number[first][inverse.ravel()]


def _only_codes(codes: np.ndarray) -> RandomTerm:
    """A grouping factor without columns."""
    import pandas as pd

    return RandomTerm("", (), np.empty((len(codes), 0)), codes, pd.RangeIndex(int(codes.max()) + 1))
