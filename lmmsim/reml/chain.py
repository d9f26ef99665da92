"""Which factor of a design is nested in which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmmsim.reml.mixed_model_equations import Layout
from lmmsim.reml.standard_form import Problem
from lmmsim.reml.theta import Coordinates


@dataclass(frozen=True, eq=False)
class Factor:
    """One grouping factor with all its columns, levels numbered so that those of one outer level are neighbours."""

    terms: list[int]
    codes: np.ndarray  # (n,)
    columns: np.ndarray  # (n, k)
    number: np.ndarray  # (J,) the term's own number of every level
    layout: Layout  # of these terms alone

    def stacked(self, factors: list[np.ndarray]) -> np.ndarray:
        """Lambda of all columns, (k, k, m, 1)."""
        k = self.layout.k
        out = np.zeros((k, k, len(factors[0]), 1))
        for i, at in zip(self.terms, self.layout.own.values(), strict=True):
            out[at, at, :, 0] = factors[i].transpose(1, 2, 0)
        return out


def chain(problem: Problem) -> list[Factor] | None:
    """The factors from the inside to the outside, each nested in the next; None for one factor or crossed ones."""
    terms, sizes = problem.terms, problem.coordinates.sizes
    owners: list[list[int]] = []  # terms with the same levels belong to one factor
    for i, term in enumerate(terms):
        same = [own for own in owners if np.array_equal(terms[own[0]].codes, term.codes)]
        if same:
            same[0].append(i)
        else:
            owners.append([i])
    if len(owners) == 1:
        return None
    owners.sort(key=lambda own: terms[own[0]].levels)
    factors: list[Factor] = []
    for own in owners:  # from the outside to the inside
        codes, J = terms[own[0]].codes, terms[own[0]].levels
        if np.bincount(codes, minlength=J).min() == 0:  # a level without rows has no place
            return None
        home = np.zeros(J, dtype=np.intp)
        if factors:
            home[codes] = factors[-1].codes
            if not np.array_equal(home[codes], factors[-1].codes):
                return None
        number = np.argsort(home, kind="stable")
        rank = np.empty_like(number)
        rank[number] = np.arange(J)
        columns = np.concatenate([terms[i].columns for i in own], axis=1)
        layout = Layout(Coordinates([sizes[i] for i in own]), [J] * len(own), list(range(len(own))))
        factors.append(Factor(own, rank[codes], columns, number, layout))
    return factors[::-1]
