"""Tasks: the pieces that a study is cut into, and the analysis of one piece.

An analysis that has `.many` takes a batch of replicates at once, any other callable one data set at a time. The cuts
depend on the design alone, never on the number of workers or of replicates: a batch is always computed whole, so that
its numbers are the same to the last bit in every study that needs some of them.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmsim.estimators.estimates import names_by_group
from lmmsim.model.columns import Matrices, build
from lmmsim.model.formula import split
from lmmsim.simulation.mechanisms import Observer
from lmmsim.studies.recipe import Recipe, explain, true_theta
from lmmsim.studies.results import Answers, from_estimates, join, nothing, read

# A batch is wide enough for the work on the design not to count, and small enough to stay in the cache.
WIDEST, NUMBERS = 1024, 2**18
# Data sets that are analysed one by one between two chances to save them.
SINGLY = 16
# So many responses that fail alike, and like their batch: it is the design that cannot be analysed.
ALIKE = 16


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
    names : dict
        The analyses of each kind of task.
    components : dict
        For every analysis the columns of its random effects, by grouping factor.
    starts : dict
        Where the search of an analysis may start: the truth.
    """

    recipe: Recipe
    names: dict[str, list[str]]
    components: dict[str, dict[str, tuple[str, ...]]]
    starts: dict[str, np.ndarray]

    def cut(self, replicates: int) -> Iterator[Task]:
        """Cut a study into tasks; the last batch may reach beyond it."""
        if self.names["many"]:
            width = batch_width(self.recipe)
            for first in range(0, replicates, width):
                yield Task("many", first, first + width)
        if self.names["single"]:
            for first in range(0, replicates, SINGLY):
                yield Task("single", first, min(first + SINGLY, replicates))


def plan(recipe: Recipe) -> Plan:
    """Sort the analyses of a recipe and look at their random effects."""
    batched = [] if recipe.redraw else [name for name, analysis in recipe.analyses.items() if hasattr(analysis, "many")]
    names = {"many": batched, "single": [name for name in recipe.analyses if name not in batched]}
    components, starts = {}, {}
    for name in batched:
        analysis: Any = recipe.analyses[name]
        matrices = _matrices(analysis, recipe.design)
        components[name] = names_by_group(matrices.terms) if matrices else {}
        if matrices and "start" in inspect.signature(analysis.many).parameters:
            theta = true_theta(recipe, matrices.terms)
            if theta is not None:
                starts[name] = theta
    return Plan(recipe, names, components, starts)


def batch_width(recipe: Recipe) -> int:
    """How many replicates a batch has: a power of two."""
    # a function that loses values takes its time for each replicate, needed or not
    width = WIDEST if recipe.observe is None or isinstance(recipe.observe, Observer) else 4 * SINGLY
    while width > 1 and width * len(recipe.design) > NUMBERS:
        width //= 2
    return width


def perform(plan: Plan, task: Task) -> dict[str, Answers]:
    """Do one task: the answers of its analyses.

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
        answers = {name: batch(plan, name, Y, task.first) for name in plan.names["many"]}
        for one in answers.values():
            one.problems.update({k: explain(error) for k, error in unseen.items()})
        return answers


def batch(plan: Plan, name: str, Y: np.ndarray, first: int) -> Answers:
    """Answers of an analysis that takes all columns of Y at once; if it cannot, column by column."""
    analysis: Any = plan.recipe.analyses[name]
    extra = {"start": plan.starts[name]} if name in plan.starts else {}

    def answer(Y: np.ndarray, first: int) -> Answers:
        return from_estimates(analysis.many(Y, plan.recipe.design, **extra), first, plan.components[name])

    try:
        return answer(Y, first)
    except Exception as error:
        reason = explain(error)
    parts = []
    for j in range(Y.shape[1]):
        try:
            parts.append(answer(Y[:, [j]], first + j))
        except Exception as error:
            parts.append(nothing(first + j, first + j + 1, explain(error)))
        if j + 1 == ALIKE and all(part.problems.get(first + i) == reason for i, part in enumerate(parts)):
            return nothing(first, first + Y.shape[1], reason)
    return join(parts)


def singly(plan: Plan, task: Task) -> dict[str, Answers]:
    """Answers of analyses that are called on one data set after another."""
    parts: dict[str, list[Answers]] = {name: [] for name in plan.names["single"]}
    for k, data in enumerate(plan.recipe.data(task.first, task.last), start=task.first):
        for name in parts:
            parts[name].append(single(plan.recipe.analyses[name], data, k))
    return {name: join(answers) for name, answers in parts.items()}


def single(analysis: Any, data: pd.DataFrame | Exception, k: int) -> Answers:
    """Answers of one analysis of the data of replicate k, if they could be made."""
    if isinstance(data, Exception):
        return nothing(k, k + 1, explain(data))
    try:
        return read(analysis(data.copy()), k)
    except Exception as error:
        return nothing(k, k + 1, explain(error))


def _matrices(analysis: Any, design: pd.DataFrame) -> Matrices | None:
    """Matrices of an analysis that has a formula with random effects; None if it has not, or the design lacks them."""
    formula = getattr(analysis, "formula", None)
    try:
        return build(formula, design) if isinstance(formula, str) and split(formula).bars else None
    except ValueError:
        return None  # the analysis itself will say what is wrong
