"""Tasks: the pieces that a study is cut into, and the analysis of one piece.

An analysis that has `.many` takes a batch of replicates at once, any other callable one data set at a time. The cuts
depend on the design alone, never on the number of workers or of replicates: a batch is always computed whole, so that
its numbers are the same to the last bit in every study that needs some of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmsim.estimators.estimates import Estimates, join, nothing
from lmmsim.simulation.mechanisms import Observer
from lmmsim.studies.recipe import Recipe, explain, true_start
from lmmsim.studies.results import checked, read

# A batch is wide enough for the work on the design not to count, and small enough to stay in the cache.
WIDEST, NUMBERS = 1024, 2**18
# Data sets that are analysed one by one between two chances to save them.
SINGLY = 16
# So many responses that fail alike, and like their batch: it is the design that cannot be analysed.
ALIKE = 16

Batch = Callable[[np.ndarray], Estimates]


@dataclass(frozen=True)
class Task:
    """Replicates first .. last - 1, for the analyses that take a batch ("many") or those that do not ("single")."""

    kind: Literal["many", "single"]
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.first:09d}-{self.last:09d}"


@dataclass(frozen=True, eq=False)
class Plan:
    """A recipe, and what is worked out once for all of its tasks.

    Attributes
    ----------
    recipe : Recipe
    batches : dict
        For every analysis that takes a batch, the function that analyses one on this design.
    singles : list
        The other analyses.
    """

    recipe: Recipe
    batches: dict[str, Batch]
    singles: list[str]

    def cut(self, replicates: int) -> Iterator[Task]:
        """Cut a study into tasks; the last batch may reach beyond it."""
        if self.batches:
            width = batch_width(self.recipe)
            for first in range(0, replicates, width):
                yield Task("many", first, first + width)
        if self.singles:
            for first in range(0, replicates, SINGLY):
                yield Task("single", first, min(first + SINGLY, replicates))


@dataclass(frozen=True, eq=False)
class Unprepared:
    """An analysis whose `many` is given the design each time."""

    analysis: Any
    design: pd.DataFrame

    def __call__(self, Y: np.ndarray) -> Estimates:
        return self.analysis.many(Y, self.design)


def plan(recipe: Recipe) -> Plan:
    """Sort the analyses of a recipe, and do the design's part of their work."""
    batched = [] if recipe.redraw else [name for name, analysis in recipe.analyses.items() if hasattr(analysis, "many")]
    batches = {name: _prepared(recipe, name) for name in batched}
    return Plan(recipe, batches, [name for name in recipe.analyses if name not in batched])


def _prepared(recipe: Recipe, name: str) -> Batch:
    """The analysis of a batch, the work on the design done and the search begun at the truth, as far as that goes."""
    analysis: Any = recipe.analyses[name]
    if not hasattr(analysis, "prepare"):
        return Unprepared(analysis, recipe.design)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each batch is told anew
            prepared = analysis.prepare(recipe.design)
    except ValueError:
        return Unprepared(analysis, recipe.design)  # which will say what is wrong, replicate by replicate
    start = true_start(recipe, prepared)
    return prepared if start is None else prepared.starting(start)


def batch_width(recipe: Recipe) -> int:
    """How many replicates a batch has: a power of two."""
    # a function that loses values takes its time for each replicate, needed or not
    width = WIDEST if recipe.observe is None or isinstance(recipe.observe, Observer) else 4 * SINGLY
    while width > 1 and width * len(recipe.design) > NUMBERS:
        width //= 2
    return width


def perform(plan: Plan, task: Task) -> dict[str, Estimates]:
    """Do one task: the results of its analyses.

    BLAS is held to one thread: the matrices are small, the cores are busy with other tasks, and the order in which
    threads add up could change the last bit. Warnings of single fits are dropped; what matters of them is counted.
    """
    import scipy.linalg  # noqa: F401  loads the BLAS that is to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings(record=True):  # some packages insist on "always"
        warnings.simplefilter("ignore")
        if task.kind == "single":
            return singly(plan, task)
        Y, unseen = plan.recipe.responses(task.first, task.last)
        results = {name: batch(analyse, Y) for name, analyse in plan.batches.items()}
        for one in results.values():
            for k, error in unseen.items():
                one.message[k - task.first] = explain(error)
        return results


def batch(analyse: Batch, Y: np.ndarray) -> Estimates:
    """Analyse all columns of Y at once; if that cannot be done, column by column."""
    try:
        return checked(analyse(Y), Y.shape[1])
    except Exception as error:
        reason = explain(error)
    parts = []
    for j in range(Y.shape[1]):
        try:
            parts.append(checked(analyse(Y[:, [j]]), 1))
        except Exception as error:
            parts.append(nothing(1, explain(error)))
        if j + 1 == ALIKE and all(part.message[0] == reason for part in parts):
            return nothing(Y.shape[1], reason)
    return join(parts)


def singly(plan: Plan, task: Task) -> dict[str, Estimates]:
    """Results of analyses that are called on one data set after another."""
    parts: dict[str, list[Estimates]] = {name: [] for name in plan.singles}
    for data in plan.recipe.data(task.first, task.last):
        for name in parts:
            parts[name].append(single(plan.recipe.analyses[name], data))
    return {name: join(results) for name, results in parts.items()}


def single(analysis: Any, data: pd.DataFrame | Exception) -> Estimates:
    """Result of one analysis of the data of a replicate, if they could be made."""
    if isinstance(data, Exception):
        return nothing(1, explain(data))
    try:
        return read(analysis(data.copy()))
    except Exception as error:
        return nothing(1, explain(error))
