"""Sizes: how many groups, or members of a group, a wanted power takes.

Exact where the test is the one that `exact_power` describes; otherwise by simulation, which looks where the power
curve crosses the wanted one and says how sure it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import check_probability
from lmmsim.estimators.least_squares import OLS
from lmmsim.estimators.lmm import LMM
from lmmsim.model.model import Model
from lmmsim.model.residual import IID
from lmmsim.studies.crossing import Search
from lmmsim.studies.question import Question, one_question
from lmmsim.studies.recipe import Analysis, Recipe
from lmmsim.studies.run import conduct
from lmmsim.studies.study import asking, check
from lmmsim.studies.sweeps import made
from lmmsim.theory.power import Alternative, Contrasts, Df, Tests, exact_power

World = Callable[[int], tuple[Model, pd.DataFrame]]
# Streams of the looks of a search, beside those of the cells of a sweep.
LOOK = 2**25


@dataclass(frozen=True, repr=False)
class Size:
    """The smallest size whose power is enough.

    Attributes
    ----------
    size : int
    power, mcse : float
        Power at this size, and its Monte-Carlo error: 0 if exact.
    low, high : int
        Sizes between which the answer lies with 95 % confidence.
    method : "exact" or "simulation"
    wanted : float
        The power that was asked for.
    looks : DataFrame
        `size replicates power mcse` wherever the power was computed.
    """

    size: int
    power: float
    mcse: float
    low: int
    high: int
    method: str
    wanted: float
    looks: pd.DataFrame = field(compare=False)

    def __repr__(self) -> str:
        start = f"{self.size} is the smallest size with a power of {self.wanted:g} or more: there it is"
        if self.method == "exact":
            return f"{start} {self.power:.3f}, computed exactly"
        return (
            f"{start} {self.power:.3f} ±{self.mcse:.3f}, by simulation; with 95 % confidence the smallest size lies "
            f"between {self.low} and {self.high}"
        )


def find_size(
    world: World,
    sizes: Sequence[int],
    analysis: Analysis | None = None,
    power: float = 0.8,
    *,
    term: str | None = None,
    alpha: float = 0.05,
    rng: streams.Rng = None,
    mcse: float = 0.005,
    n_jobs: int | None = None,
    method: str = "auto",
    contrast: Mapping[str, Any] | None = None,
    test: Any = None,
) -> Size:
    """Find the smallest size with the wanted power.

    Parameters
    ----------
    world : callable
        `world(size)` gives `(model, design)`; size is the number of groups, or of members, or whatever is wanted.
    sizes : sequence of int
        The sizes that are possible, increasing: `range(4, 200, 2)`. Power is taken to rise along them.
    analysis : estimator, optional
        Whose test it is. None is the mixed model of the world, its residual included, with Satterthwaite's t.
    power : float
        Wanted power.
    term : str, optional
        The coefficient that is tested.
    contrast : mapping, optional
        In its place a contrast, as `Fit.contrast` takes it: `{"arm": {"A": 1, "Control": -1}, "week": 4}`.
    test : optional
        In its place a joint test, as `Fit.test` takes it: "week:arm".
    alpha : float
    rng : Generator, int or None
        For a search by simulation.
    mcse : float
        Monte-Carlo error of the power at the answer, at which a search by simulation ends.
    n_jobs : int, optional
        As for `study`.
    method : "auto", "exact" or "simulation"
        "auto" is exact where the analysis is the model of the world, with normal draws, one residual sd, and a t test.

    Returns
    -------
    Size

    Raises
    ------
    ValueError
        If sizes are not increasing, not even the largest is enough, or "exact" is asked for an analysis that has no
        exact power.

    Notes
    -----
    The search fits power = Phi(a + b sqrt(size)) to all looks near the crossing, each with streams of its own, and
    looks where the fit is; the interval is that of the fitted curve.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> find_size(lambda schools: teaching_methods(schools, effect=4), range(4, 100, 2), term="method[T.new]")
    28 is the smallest size with a power of 0.8 or more: there it is 0.829, computed exactly
    """
    sizes = increasing(sizes)
    check_probability("power", power)
    check_probability("alpha", alpha)
    if not mcse > 0:
        raise ValueError(f"mcse is {mcse}; a search by simulation ends at an error above 0, as 0.005")
    if method not in ("auto", "exact", "simulation"):
        raise ValueError(f"method is {method!r}; it is 'auto', 'exact' or 'simulation'")

    def world_of(size: int) -> tuple[Model, pd.DataFrame]:
        return made(world, size)

    asked = one_question(term, contrast, test)
    exact = has_exact_power(world_of(sizes[-1])[0], analysis)
    if method == "exact" and not exact:
        raise ValueError(
            f"{analysis} has no exact power in this world: it is exact for the model of the world itself, with normal "
            "draws, one residual sd, and a t test; method='simulation' finds the size of any analysis"
        )
    if exact and method != "simulation":
        return exact_size(
            world, sizes, power, term=asked.name, alpha=alpha, contrasts=asked.contrasts, tests=asked.tests
        )
    return _simulated(world_of, sizes, analysis, power, asked, alpha, streams.root(rng), n_jobs, mcse)


def _simulated(
    world: World,
    sizes: list[int],
    analysis: Analysis | None,
    power: float,
    asked: Question,
    alpha: float,
    root: np.random.SeedSequence,
    n_jobs: int | None,
    mcse: float,
) -> Size:
    """Size by looks at simulated studies, each with streams that no other has."""

    def look(size: int, replicates: int, number: int) -> tuple[int, int]:
        model, design = world(size)
        seed = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, LOOK + number))
        chosen = asking(
            {"analysis": analysis or LMM(model.formula)}, design, asked.contrasts, asked.tests, stacklevel=5
        )
        recipe = Recipe(model, design, chosen, seed)
        check(recipe, replicates)
        [(_, results)] = conduct([recipe], replicates, n_jobs, progress=False)
        one, term = results["analysis"], asked.name
        if term not in one.terms:
            raise ValueError(f"there is no term '{term}'; the analysis has {', '.join(one.terms)}")
        p = one.p[one.converged, one.terms.index(term)]
        return int((~np.isnan(p)).sum()), int((p < alpha).sum())

    curve = Search(look, sizes, power).run(mcse)
    found = curve.looks.assign(power=lambda d: d["hits"] / d["replicates"]).drop(columns="hits")
    found["mcse"] = np.sqrt(found["power"] * (1 - found["power"]) / found["replicates"])
    size = curve.crossing
    return Size(size, *curve.power(size), *curve.between, "simulation", power, found)


def exact_size(
    world: Callable[[int], tuple[Model, pd.DataFrame]],
    sizes: Sequence[int],
    power: float = 0.8,
    *,
    term: str,
    alpha: float = 0.05,
    contrasts: Contrasts | None = None,
    alternative: Alternative = "two-sided",
    df: Df | Callable[[int], float] = "satterthwaite",
    tests: Tests | None = None,
) -> Size:
    """Find the smallest size whose power is enough.

    Parameters
    ----------
    world : callable
        `world(size)` gives `(model, design)`; size is the number of groups, or whatever is to be found.
    sizes : sequence of int
        The sizes that are possible, increasing, as `range(4, 400, 2)`. Power is taken to rise along them.
    power : float
        Wanted power.
    term : str
        Coefficient, contrast or test, whose power it is.
    alpha, contrasts, alternative, tests
        As for `exact_power`.
    df : str, float, mapping or callable
        As for `exact_power`; a callable is given the size.

    Returns
    -------
    Size

    Raises
    ------
    ValueError
        If `sizes` is empty or not increasing, the power is not between 0 and 1, not even the largest size is enough, or
        there is no such term.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> exact_size(lambda schools: teaching_methods(schools, effect=4), range(4, 100, 2), term="method[T.new]")
    28 is the smallest size with a power of 0.8 or more: there it is 0.829, computed exactly
    """
    sizes = increasing(sizes)
    check_probability("power", power)

    looks: dict[int, float] = {}

    def reached(size: int) -> float:
        if size not in looks:
            given = df(size) if callable(df) else df
            table = exact_power(*made(world, size), alpha, contrasts, alternative, given, tests)
            if term not in table.index:
                raise ValueError(f"there is no term '{term}'; the terms are {', '.join(table.index)}")
            looks[size] = float(table.loc[term, "power"])
        return looks[size]

    best = reached(sizes[-1])
    if np.isnan(best):
        raise ValueError(f"there is no test of '{term}' even at the largest size, {sizes[-1]}; it needs larger sizes")
    if best < power:
        raise ValueError(
            f"the power for '{term}' is {best:.3f} at the largest size, {sizes[-1]}; {power:g} needs larger sizes"
        )
    low, high = 0, len(sizes) - 1  # the answer is sizes[low] .. sizes[high]
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(sizes[middle]) >= power else (middle + 1, high)
    reached(sizes[max(low - 1, 0)])  # of the size before, to be seen beside it
    size, seen = sizes[low], sorted(looks)
    table = pd.DataFrame({"size": seen, "replicates": 0, "power": [looks[n] for n in seen], "mcse": 0.0})
    return Size(size, looks[size], 0.0, size, size, "exact", power, table)


def has_exact_power(model: Model, analysis: Analysis | None) -> bool:
    """Whether `exact_power` describes the test of an analysis in the world of a model."""
    shapes = [model.residual.shape, *(effect.shape for effect in model.random.values())]
    if any(shape.name != "normal" for shape in shapes):
        return False
    if analysis is None:
        return True
    if not isinstance(model.residual, IID) or isinstance(model.residual.sd, Mapping):
        return False
    if isinstance(analysis, OLS):
        return not model.random and analysis.cluster is None and analysis.formula == model.formula
    return isinstance(analysis, LMM) and analysis.reml and analysis.df != "z" and analysis.formula == model.formula


def increasing(sizes: Sequence[int]) -> list[int]:
    """Sizes as a list; refuse none, and those that do not rise."""
    sizes = list(sizes)
    if not sizes or any(big <= small for small, big in pairwise(sizes)):
        raise ValueError(f"sizes must be increasing whole numbers, as range(4, 400, 2); got {sizes[:6]}")
    return sizes
