"""Workers: do many tasks, on as many processes as joblib has, and lose none.

joblib decides where the work is done: in this process, in others on this machine, or on a cluster that the user
named with `joblib.parallel_config`. A worker that dies takes its tasks with it; they are done again.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

from lmmsim.checks import is_whole, quoted
from lmmsim.estimators.estimates import Estimates, join, rows
from lmmsim.studies.checkpoint import Checkpoint
from lmmsim.studies.recipe import Recipe
from lmmsim.studies.results import read
from lmmsim.studies.tasks import Task, perform, plan

Key = TypeVar("Key", bound=Hashable)
Parts = dict[str, list[tuple[int, Estimates]]]  # of every analysis: the first replicate of a piece, and its results
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
        Processes, as in joblib: -1 is one per core; None is what `joblib.parallel_config` says, or this one alone.
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
    if n_jobs is not None and (not is_whole(n_jobs) or n_jobs == 0):
        raise ValueError(f"n_jobs is {quoted(n_jobs)}; it is a number of processes, -1 for one per core, or None")
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


def conduct(
    recipes: Sequence[Recipe],
    replicates: int,
    n_jobs: int | None = None,
    saved: Sequence[Checkpoint | None] | None = None,
    progress: bool = True,
) -> Iterator[tuple[int, dict[str, Estimates]]]:
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
        Position of a recipe and, as soon as they are complete, the results of its analyses, by name.

    Raises
    ------
    Exception
        The first error of an analysis that fails in every replicate, or in each of the first 1,000.
    """
    plans = [plan(recipe) for recipe in recipes]
    stores = list(saved or [None] * len(plans))
    missing = [set(one.cut(replicates)) for one in plans]
    parts: list[Parts] = [{name: [] for name in recipe.analyses} for recipe in recipes]

    def take(i: int, task: Task, results: dict[str, Estimates]) -> None:
        for name, one in results.items():
            parts[i][name].append((task.first, rows(one, 0, replicates - task.first)))
        missing[i].remove(task)
        _give_up_if_hopeless(recipes[i], parts[i], replicates if not missing[i] else HOPELESS)

    work = {}
    for i, one in enumerate(plans):
        for task in one.cut(replicates):
            store = stores[i]
            results = store.load(task) if store else None
            if results is None:
                work[i, task] = partial(perform, one, task)
            else:
                take(i, task, results)
        if not missing[i]:
            yield i, _joined(parts[i])
    for (i, task), results in run(work, n_jobs, progress):
        store = stores[i]
        if store:
            store.save(task, results)
        take(i, task, results)
        if not missing[i]:
            yield i, _joined(parts[i])


def _joined(parts: Parts) -> dict[str, Estimates]:
    """Results of a study in the order of its replicates; their pieces are let go."""
    return {name: join([one for _, one in sorted(parts.pop(name), key=itemgetter(0))]) for name in list(parts)}


def _give_up_if_hopeless(recipe: Recipe, parts: Parts, enough: int) -> None:
    """Raise the first error of an analysis that has failed in every replicate so far, if these are enough."""
    for name, pieces in parts.items():
        if sum(len(one) for _, one in pieces) >= enough and all(one.failed.all() for _, one in pieces):
            first, one = min(pieces, key=itemgetter(0))
            _raise_again(recipe, name, first, str(one.message[0]))


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
            read(recipe.analyses[name](data))
    except Exception as error:
        error.add_note(note)
        raise
    raise RuntimeError(f"{message}\n{note}")
