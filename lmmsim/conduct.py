"""Conducting studies: their tasks side by side, what is done kept, the hopeless given up.

Several studies (the cells of a sweep) share the workers: a task of any of them is done as soon as a worker is free.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial

from lmmsim.answers import Answers, read
from lmmsim.checkpoint import Checkpoint
from lmmsim.collect import Collected
from lmmsim.recipe import Recipe
from lmmsim.tasks import Task, perform, plan
from lmmsim.workers import run

# An analysis that failed in each of so many replicates has no success to wait for.
HOPELESS = 1000

Progress = dict[str, Collected]


def conduct(
    recipes: Sequence[Recipe],
    replicates: int,
    n_jobs: int | None = None,
    saved: Sequence[Checkpoint | None] | None = None,
    progress: bool = True,
) -> Iterator[tuple[int, dict[str, Answers]]]:
    """Run the studies of several recipes side by side.

    Parameters
    ----------
    recipes : sequence of Recipe
    replicates : int
        Of each.
    n_jobs, progress
        As in `lmmsim.study.study`.
    saved : sequence of Checkpoint or None
        Where each keeps what is done.

    Yields
    ------
    int, dict
        Position of a recipe and, as soon as they are complete, the answers of its analyses, by name.

    Raises
    ------
    Exception
        The first error of an analysis that fails in every replicate, or in each of the first 1,000.
    """
    plans = [plan(recipe) for recipe in recipes]
    stores = list(saved or [None] * len(plans))
    collected: list[Progress] = [{name: Collected(replicates) for name in recipe.analyses} for recipe in recipes]
    missing = [set(one.cut(replicates)) for one in plans]

    def take(i: int, task: Task, answers: dict[str, Answers]) -> None:
        for name, one in answers.items():
            collected[i][name].put(task.first, one)
        missing[i].remove(task)
        _give_up_if_hopeless(recipes[i], collected[i], replicates if not missing[i] else HOPELESS)

    work = {}
    for i, one in enumerate(plans):
        for task in one.cut(replicates):
            store = stores[i]
            answers = store.load(task) if store else None
            if answers is None:
                work[i, task] = partial(perform, one, task)
            else:
                take(i, task, answers)
        if not missing[i]:
            yield i, _finished(collected[i])
    for (i, task), answers in run(work, n_jobs, progress):
        store = stores[i]
        if store:
            store.save(task, answers)
        take(i, task, answers)
        if not missing[i]:
            yield i, _finished(collected[i])


def _finished(collected: Progress) -> dict[str, Answers]:
    """Answers of a study, which `collected` then lets go."""
    return {name: collected.pop(name).finish() for name in list(collected)}


def _give_up_if_hopeless(recipe: Recipe, collected: Progress, enough: int) -> None:
    """Raise the first error of an analysis that has failed in every replicate so far, if these are enough."""
    for name, one in collected.items():
        if one.tried >= enough and one.failed == one.tried:
            _raise_again(recipe, name, *min(one.problems.items()))


def _raise_again(recipe: Recipe, name: str, k: int, message: str) -> None:
    """Raise what an analysis raised on replicate k."""
    note = f"analysis '{name}' failed like this in every replicate that was tried; replicate {k} is the first"
    [data] = recipe.data(k, k + 1)
    unmade = [data] if isinstance(data, Exception) else []
    if recipe.redraw is None:
        unmade += recipe.responses(k, k + 1)[1].values()
    for error in unmade:
        error.add_note(f"no data in replicate {k}: a study calls observe(data, rng) and redraw(rng), where it has them")
        raise error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lost values: the error is what matters now
            read(recipe.analyses[name](data), k)
    except Exception as error:
        error.add_note(note)
        raise
    raise RuntimeError(f"{message}\n{note}")
