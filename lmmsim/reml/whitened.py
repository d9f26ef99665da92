"""The engine for residuals that depend on each other in designs whose blocks of V are large, as crossed ones are.

Given phi the residuals are whitened unit by unit: with R = L L', the rows L^-1 X, L^-1 Z and L^-1 y belong to a model
with independent residuals, which `engine.Engine` fits by whatever structure it finds. The criterion is that fit's plus
log|R|. phi is optimised outside, one response at a time: at the optimum over everything else the criterion's derivative
in phi is its partial derivative, a central difference that needs no other fit.

Where nothing of the residual is left to be estimated, as with known precisions, all responses are fitted together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.engine import Engine
from lmmsim.reml.residual_numbers import Numbers


class Whitening:
    """R^(-1/2) of the residuals, unit by unit; units that look alike share it."""

    def __init__(self, numbers: Numbers, n: int, seen: np.ndarray) -> None:
        codes = np.arange(n) if numbers.codes is None else numbers.codes
        order = np.lexsort((*numbers.looks[seen].T, codes[seen]))
        rows = seen[order]
        start = np.flatnonzero(np.append(True, np.diff(codes[rows]) != 0))
        sizes = np.diff(np.append(start, len(rows)))
        place = np.empty(n, dtype=np.intp)
        place[seen] = np.arange(len(seen))  # of a row among those that were seen
        self.groups = []
        for m in np.unique(sizes):
            at = start[sizes == m][:, None] + np.arange(m)
            looks = numbers.looks[rows[at]]
            _, example, which = np.unique(
                looks.reshape(len(at), -1), axis=0, return_index=True, return_inverse=True
            )
            piece = numbers.piece(looks[example], np.ones((len(example), m, m), dtype=bool))
            self.groups.append((place[rows[at]], which.ravel(), piece))

    def at(self, phi: np.ndarray) -> tuple[list[np.ndarray], float]:
        """The factors L^-1 of every group of units, (units, m, m), and log|R|."""
        factors, log_det = [], 0.0
        for _, which, piece in self.groups:
            L = np.linalg.cholesky(piece(phi[None]).R[0])
            log_det += 2 * float(np.log(np.diagonal(L, axis1=1, axis2=2)).sum(axis=1)[which].sum())
            factors.append(np.linalg.inv(L)[which])
        return factors, log_det

    def white(self, factors: list[np.ndarray], M: np.ndarray) -> np.ndarray:
        """L^-1 M for M (n_seen, c)."""
        out = np.empty_like(M)
        for (rows, _, _), inverse in zip(self.groups, factors, strict=True):
            out[rows] = inverse @ M[rows]
        return out


class Whitened:
    """The likelihood of one design whose residuals are whitened before it is looked at."""

    def __init__(self, X: np.ndarray, terms: Sequence[RandomTerm], numbers: Numbers) -> None:
        self.X, self.terms, self.numbers = np.asarray(X, dtype=float), tuple(terms), numbers

    def engine(self, phi: np.ndarray, seen: np.ndarray) -> Engine:
        raise NotImplementedError
