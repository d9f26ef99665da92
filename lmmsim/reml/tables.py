"""What nested factors need to know of a design and its responses: small matrices for each level of each factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmmsim.reml.crossproducts import Gram


@dataclass(frozen=True, eq=False)
class Table:
    """The design's numbers: columns are those of the outer factors, from the inside, then those of X."""

    gram: Gram  # of the innermost columns
    U: np.ndarray  # (k, d, 1 or m, J)
    outer: list[np.ndarray]  # for each outer factor: cross-products of what is left, (k_f, d_f, 1 or m, J_f)
    XX: np.ndarray  # (1 or m, p, p)


@dataclass(frozen=True, eq=False)
class NestedMoments:
    """A table, and what the responses add to it."""

    table: Table
    n: np.ndarray  # (m,)
    u: np.ndarray  # (k, m, J)
    outer_y: list[np.ndarray]  # (k_f, m, J_f)
    Xy: np.ndarray  # (m, p)
    yy: np.ndarray  # (m,)

    def take(self, which: np.ndarray) -> NestedMoments:
        """The moments of some of the responses."""
        table = self.table
        if table.XX.shape[0] > 1:
            outer = [part[:, :, which] for part in table.outer]
            table = Table(table.gram.take(which), table.U[:, :, which], outer, table.XX[which])
        return NestedMoments(
            table,
            self.n[which],
            self.u[:, which],
            [part[:, which] for part in self.outer_y],
            self.Xy[which],
            self.yy[which],
        )

    @staticmethod
    def join(parts: list[NestedMoments]) -> NestedMoments:
        """The moments of several pieces of responses, which share their table or each have their own."""
        first = parts[0].table
        if any(part.table is not first for part in parts):
            tables = [part.table for part in parts]
            gram = Gram(
                np.concatenate([t.gram.lower for t in tables], 2), np.concatenate([t.gram.d for t in tables], 1)
            )
            outer = [np.concatenate(own, axis=2) for own in zip(*(t.outer for t in tables), strict=True)]
            U, XX = np.concatenate([t.U for t in tables], axis=2), np.concatenate([t.XX for t in tables])
            first = Table(gram, U, outer, XX)
        return NestedMoments(
            first,
            np.concatenate([part.n for part in parts]),
            np.concatenate([part.u for part in parts], axis=1),
            [np.concatenate(own, axis=1) for own in zip(*(part.outer_y for part in parts), strict=True)],
            np.concatenate([part.Xy for part in parts]),
            np.concatenate([part.yy for part in parts]),
        )
