"""Workers: do many tasks, on as many processes as joblib has, and lose none.

joblib decides where the work is done: in this process, in others on this machine, or on a cluster that the user
named with `joblib.parallel_config`. A worker that dies takes its tasks with it; they are done again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar

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
