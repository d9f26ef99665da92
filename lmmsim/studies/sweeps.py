"""Sweeps: one study after another, as a number of the world changes.

`sweep` draws power curves, `calibrate` shows the type-I error beside the power, `find_size` solves for a size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import check_probability
from lmmsim.model.model import Model
from lmmsim.studies.checkpoint import Checkpoint, seed_of
from lmmsim.studies.meaning import warn_of_basis, warn_of_moving
from lmmsim.studies.performance import performance, share
from lmmsim.studies.question import one_question, without
from lmmsim.studies.recipe import Analysis, Observe, Recipe
from lmmsim.studies.run import conduct
from lmmsim.studies.study import Study, asking, check, named, truths, warn
from lmmsim.theory.power import Contrasts, Tests

World = Callable[..., tuple[Model, pd.DataFrame]]
# Cells with streams of their own have them under keys that no block of replicates reaches.
CELL = 2**24


def sweep(
    grid: Mapping[str, Sequence[Any]] | pd.DataFrame,
    world: World,
    analyses: Mapping[str, Analysis] | Callable[..., Mapping[str, Analysis]],
    replicates: int = 1000,
    *,
    rng: streams.Rng = None,
    common: bool = True,
    alpha: float = 0.05,
    observe: Observe | None = None,
    n_jobs: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    contrasts: Contrasts | None = None,
    tests: Tests | None = None,
) -> pd.DataFrame:
    """Run a study in every cell of a grid.

    Parameters
    ----------
    grid : mapping or DataFrame
        Values of every number that changes: `{"schools": [10, 20, 40], "icc": [0.05, 0.1]}`; all combinations are run.
        Of a table with these columns each row is run, and no other combination.
    world : callable
        `world(schools=10, icc=0.05)` gives `(model, design)`.
    analyses : mapping or callable
        As for `study`; a callable is called as `world` is.
    replicates : int
        In each cell.
    rng : Generator, int or None
    common : bool
        Whether all cells draw from the same streams (common random numbers), so that their differences are less noisy
        than they are. False: every cell has streams of its own.
    alpha
        As for `performance`.
    observe, n_jobs, checkpoint, progress, contrasts, tests
        As for `study`.

    Returns
    -------
    DataFrame, index (the names of the grid, term, analysis)
        What `performance` says of every cell.

    Raises
    ------
    ValueError
        If the grid is empty or holds what cannot name a row of the table, or what `study` refuses.

    Examples
    --------
    >>> from lmmsim import GroupMeans, scenarios
    >>> table = sweep({"schools": [10, 40]}, lambda schools: scenarios.teaching_methods(schools, effect=4),
    ...               {"means": GroupMeans("score ~ method", unit="school")}, replicates=500, rng=1)
    >>> power = table.xs("method[T.new]", level="term")["rejection"]
    >>> power.index.names, bool(power.loc[40, "means"] > power.loc[10, "means"])
    (FrozenList(['schools', 'analysis']), True)
    """
    check_probability("alpha", alpha)
    cells = _cells(grid)
    if common and (twice := [cell for i, cell in enumerate(cells) if cell in cells[:i]]):
        raise ValueError(f"the grid has {twice[0]} twice, which from common streams is the same cell; name it once")
    root = seed_of(checkpoint, rng)
    recipes = []
    for i, cell in enumerate(cells):
        model, design = made(world, **cell)
        chosen = named(analyses(**cell) if callable(analyses) else analyses)
        chosen = asking(chosen, design, contrasts, tests, stacklevel=3)
        recipes.append(Recipe(model, design, chosen, root if common else _own(root, i), observe))
    warn_of_moving([(recipe.model, recipe.design) for recipe in recipes])
    tables: dict[int, pd.DataFrame] = {}
    for i, study in _studies(recipes, replicates, n_jobs, checkpoint, progress, contrasts):
        tables[i] = performance(study, alpha, full=True)
    in_order = [tables[i] for i in range(len(cells))]
    return pd.concat(in_order, keys=[tuple(cell.values()) for cell in cells], names=list(cells[0]))


def _cells(grid: Mapping[str, Sequence[Any]] | pd.DataFrame) -> list[dict[str, Any]]:
    """The numbers of each cell, by name: all combinations, or the rows of a table."""
    if isinstance(grid, pd.DataFrame):
        rows: Any = zip(*(grid[name].tolist() for name in grid), strict=True)
    elif isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, str) or not np.iterable(values):
                raise ValueError(f"the grid has {values!r} for '{name}'; give a list of values, as [{values!r}]")
        rows = product(*grid.values())
    else:
        raise TypeError(
            f'the grid is a mapping as {{"schools": [10, 20]}}, or a DataFrame with a row per cell; got {grid!r}'
        )
    cells = [dict(zip(map(str, grid), row, strict=True)) for row in rows]
    if not cells or not cells[0]:
        raise ValueError('the grid has no cells; give the values of at least one number, as {"schools": [10, 20]}')
    for name, value in ((name, value) for cell in cells for name, value in cell.items()):
        if not isinstance(value, Hashable) or isinstance(value, tuple):
            raise ValueError(
                f"{value!r}, a value of '{name}' in the grid, cannot name a row of the table: give a number or a name, "
                "and let `world` look up what it stands for"
            )
    return cells


def calibrate(
    model: Model,
    design: pd.DataFrame,
    analyses: Mapping[str, Analysis],
    replicates: int = 1000,
    *,
    rng: streams.Rng = None,
    term: str | None = None,
    alpha: float = 0.05,
    observe: Observe | None = None,
    n_jobs: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    contrast: Mapping[str, Any] | None = None,
    test: Any = None,
) -> pd.DataFrame:
    """Find the power of a test beside its type-I error.

    A power without the size of its test is worth nothing: a test that rejects too often has more of it. The world in
    which the coefficient is 0 is simulated first, then the model, from the same streams.

    Parameters
    ----------
    model, design, analyses, replicates, rng
        As for `study`.
    term : str, optional
        The coefficient that is tested.
    contrast : mapping, optional
        In its place a contrast, as `Fit.contrast` takes it.
    test : optional
        In its place a joint test, as `Fit.test` takes it. What is tested is 0 in the world without an effect, whose
        means over the design are otherwise as near to those of the model as can be.
    alpha, observe, n_jobs, checkpoint, progress
        As for `performance` and `study`.

    Returns
    -------
    DataFrame, index "analysis"
        `rejection_null`, the rate where what is tested is 0, which is the type-I error; `rejection`, the rate in the
        model, which is the power; `rejection_adjusted`, the power of the test at the level of p at which its type-I
        error is `alpha` exactly (`level_adjusted`); each with `_mcse`. `n` and `n_null` say how many replicates could
        be used.

    Raises
    ------
    ValueError
        If not one of `term`, `contrast` and `test` is given, `term` is not a coefficient of the model, or what is
        tested is 0 already.

    Examples
    --------
    >>> from lmmsim import OLS, scenarios
    >>> model, design = scenarios.teaching_methods(effect=4)
    >>> table = calibrate(model, design, {"OLS": OLS("score ~ method")}, 1000, rng=1, term="method[T.new]")
    >>> rates = table.loc["OLS"]
    >>> bool(rates["rejection_null"] > 0.15), bool(rates["rejection_adjusted"] < rates["rejection"])
    (True, True)
    """
    check_probability("alpha", alpha)
    asked = one_question(term, contrast, test)
    null = without(model, design, asked)
    analyses = asking(named(analyses), design, asked.contrasts, asked.tests, stacklevel=3)
    term = asked.name
    root = seed_of(checkpoint, rng)
    recipes = [Recipe(world, design, analyses, root, observe) for world in (null, model)]
    studies = dict(_studies(recipes, replicates, n_jobs, checkpoint, progress))
    bootstrap = np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, CELL)))
    rows = {name: _calibration(studies[0], studies[1], name, term, alpha, bootstrap) for name in analyses}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("analysis")


def _calibration(
    null: Study, study: Study, name: str, term: str, alpha: float, rng: np.random.Generator
) -> dict[str, float]:
    """Row of one analysis."""
    p0, p1 = _p_values(null, name, term), _p_values(study, name, term)
    seen0, seen1 = p0[~np.isnan(p0)], p1[~np.isnan(p1)]
    row: dict[str, float] = {}
    row["rejection_null"], row["rejection_null_mcse"] = share(seen0 < alpha)
    row["rejection"], row["rejection_mcse"] = share(seen1 < alpha)
    level = np.quantile(seen0, alpha) if len(seen0) else np.nan
    row["rejection_adjusted"] = share(seen1 <= level)[0]
    both = ~np.isnan(p0) & ~np.isnan(p1)  # replicates are pairs: they share their random numbers
    row["rejection_adjusted_mcse"] = _bootstrap(p0[both], p1[both], alpha, rng)
    return row | {"level_adjusted": float(level), "n": len(seen1), "n_null": len(seen0)}


def _bootstrap(p0: np.ndarray, p1: np.ndarray, alpha: float, rng: np.random.Generator, times: int = 200) -> float:
    """Monte-Carlo error of an adjusted power: its level is an estimate, too."""
    if len(p0) < 2:
        return np.nan
    powers = []
    for _ in range(times):
        again = rng.integers(0, len(p0), len(p0))
        powers.append(np.mean(p1[again] <= np.quantile(p0[again], alpha)))
    return float(np.std(powers, ddof=1))


def _p_values(study: Study, name: str, term: str) -> np.ndarray:
    """p values of a term by replicate; NaN where the analysis has none or did not converge."""
    one = study.answers[name]
    if term not in one.terms:
        raise ValueError(f"analysis '{name}' has no term '{term}'; it has {', '.join(one.terms)}")
    return np.where(one.converged, one.p[:, one.terms.index(term)], np.nan)


def _studies(
    recipes: Sequence[Recipe],
    replicates: int,
    n_jobs: int | None,
    checkpoint: str | os.PathLike[str] | None,
    progress: bool,
    contrasts: Contrasts | None = None,
) -> Iterator[tuple[int, Study]]:
    """Yield the studies of several recipes as they are done, each kept in a folder of its own below the checkpoint."""
    for recipe in recipes:
        check(recipe, replicates)
    warn_of_basis(recipes[-1].model, recipes[-1].design, recipes[-1].analyses, stacklevel=4)
    saved = None
    if checkpoint is not None:
        saved = [Checkpoint(Path(checkpoint) / f"cell-{i:04d}", recipe) for i, recipe in enumerate(recipes)]
    for i, answers in conduct(recipes, replicates, n_jobs, saved, progress):
        warn(answers, stacklevel=4)
        yield i, Study(recipes[i], replicates, answers, truths(recipes[i].model, recipes[i].design, contrasts))


def _own(root: np.random.SeedSequence, i: int) -> np.random.SeedSequence:
    """Root of the streams of one cell alone."""
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, CELL + i))


def made(world: Any, *size: Any, **cell: Any) -> tuple[Model, pd.DataFrame]:
    """Make the model and the design of a size or a cell, or say what `world` does instead."""
    if not callable(world):
        raise TypeError(
            "world is a function that returns a model and a design, as lambda schools: (model, nested(school=schools, "
            f"pupil=20)); got a {type(world).__name__}"
        )
    try:
        answer = world(*size, **cell)
    except Exception as error:
        given = [*map(repr, size), *(f"{name}={value!r}" for name, value in cell.items())]
        error.add_note(f"world({', '.join(given)}) failed like this")
        raise
    if not isinstance(answer, tuple) or len(answer) != 2 or not hasattr(answer[0], "beta"):
        raise TypeError(f"world returns a model and a design; this one returned {answer!r:.200}")
    return answer
