"""Workers: do many tasks, on as many processes as joblib has, and lose none.

joblib decides where the work is done: in this process, in others on this machine, or on a cluster that the user
named with `joblib.parallel_config`. A worker that dies takes its tasks with it; they are done again.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from lmmsim.studies.checkpoint import Checkpoint
from lmmsim.studies.recipe import Recipe
from lmmsim.studies.results import Answers, Collected, read
from lmmsim.studies.tasks import Task, perform, plan

Key = TypeVar("Key", bound=Hashable)
PATIENCE = 3


def run(
    work: Mapping[Key, Callable[[], Any]], n_jobs: int | None = None, progress: bool = True
) -> Iterator[tuple[Key, Any]]:
    """Do all work, yielding (key, result) as soon as each is done.

    Parameters
    ----------
    work : mapping
        What is to be called, by a key of its own.
    n_jobs : int, optional
        Processes, as in joblib: -1 is one per core; None is what `joblib.parallel_config` says, or this process alone.
    progress : bool
        Show a bar while standard error is a terminal.

    Raises
    ------
    RuntimeError
        If workers died three times in a row without finishing anything.

    Examples
    --------
    >>> from functools import partial
    >>> dict(run({"first": partial(abs, -1), "second": partial(abs, -2)}))
    {'first': 1, 'second': 2}
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    left = dict(work)
    deaths = 0
    with tqdm(total=len(left), unit="task", disable=not (progress and sys.stderr.isatty()), leave=False) as bar:
        while left:
            # one task at a time for each worker: what is done is handed over, and saved, at once
            parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
            results = parallel(delayed(_call)(key, call) for key, call in list(left.items()))
            try:
                for key, result in results:
                    deaths = 0
                    del left[key]
                    bar.update()
                    yield key, result
            except Exception as error:
                deaths += 1
                if not _is_death(error) or deaths >= PATIENCE:
                    raise


def _call(key: Key, call: Callable[[], Any]) -> tuple[Key, Any]:
    return key, call()


def _is_death(error: Exception) -> bool:
    """Whether a worker died, rather than a task failed."""
    from concurrent.futures import BrokenExecutor, CancelledError

    # dask's KilledWorker, without importing dask
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"


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
        As in `lmmsim.studies.study.study`.
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
