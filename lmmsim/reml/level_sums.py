"""Sums over the levels of a factor, Z'y, and the way back, Z u: with a matrix, or without one where y is short.

Z has one entry a row and column: everything it does is to add rows up, and to give every row its level's number.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FEW = 4  # columns up to which `bincount` is faster than a sparse product


class LevelSums:
    """Z' of several factors, or of several columns of one: its rows ordered by factor or column, then level.

    Both ways give the same sums to the last digit: rows are added up in their order.

    Parameters
    ----------
    codes : sequence of ndarray, shape (n,)
        The level of every row, for each factor or column.
    columns : sequence of ndarray, shape (n,)
        What rows are multiplied by.
    levels : sequence of int
        How many levels each of them has.

    Examples
    --------
    >>> plot = np.array([0, 0, 1])
    >>> sums = LevelSums([plot], [np.ones(3)], [2])
    >>> (sums @ np.array([[1.0], [2.0], [5.0]])).ravel().tolist(), sums.back(np.array([[3.0], [5.0]])).ravel().tolist()
    ([3.0, 5.0], [3.0, 3.0, 5.0])
    """

    def __init__(self, codes: Sequence[np.ndarray], columns: Sequence[np.ndarray], levels: Sequence[int]) -> None:
        self.codes, self.columns, self.levels = codes, columns, levels
        stops = list(itertools.accumulate(levels))
        self.rows = [slice(stop - size, stop) for stop, size in zip(stops, levels, strict=True)]
        self.size = stops[-1]

    def __matmul__(self, values: np.ndarray) -> np.ndarray:
        """Z'values, (q, m), for values (n, m)."""
        if values.shape[1] > FEW:
            return np.asarray(self.matrix @ values)
        out, weights = np.empty((self.size, values.shape[1])), np.empty(len(values))
        for codes, column, rows, levels in zip(self.codes, self.columns, self.rows, self.levels, strict=True):
            for j, one in enumerate(values.T):
                out[rows, j] = np.bincount(codes, np.multiply(column, one, out=weights), levels)
        return out

    def back(self, effects: np.ndarray) -> np.ndarray:
        """Z effects, (n, m), for effects (q, m)."""
        if effects.shape[1] > FEW:
            return np.asarray(self.matrix.T @ effects)
        out = np.empty((len(self.codes[0]), effects.shape[1]))
        for j, own in enumerate(effects.T):
            out[:, j] = self._back(own)
        return out

    def take_away(self, values: np.ndarray, effects: np.ndarray) -> None:
        """Subtract Z effects from values (n, m), in place."""
        if effects.shape[1] > FEW:
            values -= self.matrix.T @ effects
            return
        for j, own in enumerate(effects.T):
            values[:, j] -= self._back(own)

    def _back(self, effects: np.ndarray) -> np.ndarray:
        """Z effects, (n,), for effects (q,)."""
        places = zip(self.codes, self.columns, self.rows, strict=True)
        return functools.reduce(operator.add, (column * effects[rows].take(codes) for codes, column, rows in places))

    @cached_property
    def matrix(self) -> csr_array:
        """Z' itself, (q, n)."""
        from scipy import sparse

        factors = {id(codes): codes for codes in self.codes}  # columns of one factor share its order
        by_factor = {key: np.argsort(codes, kind="stable") for key, codes in factors.items()}
        orders = [by_factor[id(codes)] for codes in self.codes]
        values = [column[order] for column, order in zip(self.columns, orders, strict=True)]
        sizes = [np.bincount(codes, minlength=J) for codes, J in zip(self.codes, self.levels, strict=True)]
        entries = (np.concatenate(values), np.concatenate(orders), np.append(0, np.cumsum(np.concatenate(sizes))))
        return sparse.csr_array(entries, shape=(self.size, len(self.codes[0])))
