"""Collecting: the answers of many tasks, put in their places as they come.

The arrays of all replicates are made once and filled, so that a study never holds its numbers twice.
"""

from __future__ import annotations

import numpy as np

from lmmsim.answers import Answers, join

ARRAYS = ("estimate", "se", "df", "converged", "singular")


class Collected:
    """Answers of one analysis.

    Parameters
    ----------
    replicates : int
        How many are wanted; what a task has beyond them is left out.

    Attributes
    ----------
    tried, failed : int
        Replicates so far.
    problems : dict
        Reasons by replicate, as in `Answers`.
    """

    def __init__(self, replicates: int) -> None:
        self.replicates = replicates
        self.tried = self.failed = 0
        self.problems: dict[int, str] = {}
        self._whole: Answers | None = None
        self._spans: list[tuple[int, int]] = []
        self._other: list[tuple[int, Answers]] = []  # replicates with other terms

    def put(self, first: int, answers: Answers) -> None:
        """Take the answers of the replicates from first on."""
        one = rows(answers, 0, min(len(answers), self.replicates - first))
        self.tried += len(one)
        self.failed += int(one.failed.sum())
        self.problems |= {k: problem for k, problem in answers.problems.items() if k < self.replicates}
        if self._whole is None and one.terms:
            self._whole = _blank(one, self.replicates)
        if self._whole is None or _shape(one) != _shape(self._whole):
            self._other.append((first, one))
            return
        last = first + len(one)
        self._spans.append((first, last))
        for array in ARRAYS:
            getattr(self._whole, array)[first:last] = getattr(one, array)
        for name, values in one.components.items():
            self._whole.components[name][first:last] = values
        for name, values in one.given.items():
            self._whole.given[name][first:last] = values

    def finish(self) -> Answers:
        """Return the answers of all replicates."""
        whole = self._whole
        if whole is None or self._other:
            parts = list(self._other)
            if whole is not None:
                parts += [(first, rows(whole, first, last)) for first, last in self._spans]
            whole = join([part for _, part in sorted(parts, key=lambda part: part[0])])
        whole.problems.clear()
        whole.problems.update(self.problems)
        return whole


def rows(answers: Answers, begin: int, end: int) -> Answers:
    """Some rows of the arrays, without the problems."""
    return Answers(
        answers.terms,
        **{array: getattr(answers, array)[begin:end] for array in ARRAYS},
        problems={},
        components={name: values[begin:end] for name, values in answers.components.items()},
        given={name: values[begin:end] for name, values in answers.given.items()},
        level=answers.level,
    )


def _shape(answers: Answers) -> tuple:
    return answers.terms, tuple(answers.components), tuple(answers.given), answers.level


def _blank(like: Answers, replicates: int) -> Answers:
    """Arrays of the same columns for all replicates, not yet filled."""

    def room(values: np.ndarray) -> np.ndarray:
        return np.empty((replicates, *values.shape[1:]), dtype=values.dtype)

    return Answers(
        like.terms,
        **{array: room(getattr(like, array)) for array in ARRAYS},
        problems={},
        components={name: room(values) for name, values in like.components.items()},
        given={name: room(values) for name, values in like.given.items()},
        level=like.level,
    )
