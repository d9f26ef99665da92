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
from lmmsim.checks import in_lines
from lmmsim.model.formula import split
from lmmsim.model.model import Model
from lmmsim.studies.crossing import NotReached, Search, bracket, counted_looks, unwrapped
from lmmsim.studies.goals import Goal, Looker, takes_exact
from lmmsim.studies.meaning import warn_of_moving
from lmmsim.studies.question import one_question
from lmmsim.studies.recipe import Analysis
from lmmsim.studies.sweeps import made
from lmmsim.theory.intervals import Margin
from lmmsim.theory.power import Alternative, Contrasts, Df, Tests

World = Callable[[int], tuple[Model, pd.DataFrame]]


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
            return in_lines(f"{start} {self.power:.3f}, computed exactly")
        return in_lines(
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
    contrast: Mapping[str, Any] | None = None,
    test: Any = None,
    alpha: float = 0.05,
    margin: Margin | None = None,
    width: float | None = None,
    rng: streams.Rng = None,
    mcse: float = 0.005,
    n_jobs: int | None = None,
    method: str = "auto",
    progress: bool = True,
    **question: Any,
) -> Size:
    """Find the smallest size with the wanted power.

    Parameters
    ----------
    world : callable
        `world(size)` gives `(model, design)`; size is the number of groups, or of members, or whatever is wanted.
    sizes : sequence of int
        The sizes that are possible, increasing: `range(4, 200, 2)`. Power is taken to rise along them. The search
        begins with the smallest, which cost least; one at which nothing can be analysed is not enough.
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
    margin : float or (float, float), optional
        The power is that of showing equivalence within these margins, as in `exact_equivalence`.
    width : float, optional
        The power is the probability that the interval of level 1 - alpha is no wider, as in `exact_precision`.
    rng : Generator, int or None
        For a search by simulation.
    mcse : float
        Monte-Carlo error of the power at the answer, at which a search by simulation ends.
    n_jobs : int, optional
        As for `study`.
    method : "auto", "exact" or "simulation"
        "auto" is exact where the analysis is the model of the world, with normal draws, one residual sd, and a t test.
    progress : bool
        Count the looks in a bar, if the search takes longer than a second and standard error is a terminal.
    **question
        `alternative`, `df` and named `contrasts`, as for `exact_power`; only where the answer is exact.

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
    The search by simulation fits power = Phi(a + b sqrt(size)) to all looks near the crossing, each with streams of its
    own, and looks where the fit is; the interval is that of the fitted curve.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> find_size(lambda schools: teaching_methods(schools, effect=4), range(4, 100, 2), term="method[T.new]")
    28 is the smallest size with a power of 0.8 or more: there it is 0.829, computed exactly
    """
    asked = one_question(term, contrast, test)
    sizes, goal = increasing(sizes), Goal(asked.name, power, alpha, margin, width, question, asked)
    check_mcse(mcse)
    with unwrapped(), counted_looks(progress) as before:

        def world_of(size: int) -> tuple[Model, pd.DataFrame]:
            before(size)
            return made(world, size)

        first = made(world, sizes[0])
        if split(first[0].formula).moving:
            warn_of_moving([first, made(world, sizes[-1])])
        if takes_exact(first[0], analysis, method):
            return exactly(world_of, sizes, goal)
        return simulated(world_of, sizes, analysis, goal, streams.root(rng), n_jobs, mcse)


def exact_size(
    world: World,
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
    """Find the smallest size whose exact power is enough, for the test of the model of the world.

    Parameters
    ----------
    world, sizes, power, term, alpha
        As for `find_size`.
    contrasts, alternative, tests
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
    question = {"contrasts": contrasts, "alternative": alternative, "df": df, "tests": tests}
    with unwrapped():
        return exactly(lambda size: made(world, size), increasing(sizes), Goal(term, power, alpha, question=question))


def exactly(world: World, sizes: list[int], goal: Goal, start: int = 0) -> Size:
    """Size by exact power, looking from the size number `start` on."""
    looks: dict[int, float] = {}
    df = goal.question.get("df")

    def reached(place: int) -> bool:
        size = sizes[place]
        model, design = world(size)
        looks[size] = float(goal.exact(model, design, {"df": df(size)} if callable(df) else None)["power"])
        return looks[size] >= goal.power

    _, place = bracket(reached, len(sizes), start)
    if place == len(sizes):
        best, largest = looks[sizes[-1]], sizes[-1]
        if np.isnan(best):
            raise NotReached(
                f"there is no test of '{goal.term}' even at the largest size, {largest}; it needs larger sizes"
            )
        raise NotReached(
            f"the power for '{goal.term}' is {best:.3f} at the largest size, {largest}; {goal.power:g} needs larger "
            "sizes"
        )
    size, seen = sizes[place], sorted(looks)
    table = pd.DataFrame({"size": seen, "replicates": 0, "power": [looks[n] for n in seen], "mcse": 0.0})
    return Size(size, looks[size], 0.0, size, size, "exact", goal.power, table)


def simulated(
    world: World,
    sizes: list[int],
    analysis: Analysis | None,
    goal: Goal,
    root: np.random.SeedSequence,
    n_jobs: int | None,
    mcse: float,
) -> Size:
    """Size by looks at simulated studies."""
    curve = Search(Looker(world, analysis, goal, root, n_jobs), sizes, goal.power).run(mcse)
    size = curve.crossing
    return Size(size, *curve.power(size), *curve.between, "simulation", goal.power, curve.rates)


def increasing(sizes: Sequence[int]) -> list[int]:
    """Sizes as a list; refuse none, and those that do not rise."""
    sizes = list(sizes)
    if not sizes or any(big <= small for small, big in pairwise(sizes)):
        raise ValueError(f"sizes must be increasing whole numbers, as range(4, 400, 2); got {sizes[:6]}")
    return sizes


def check_mcse(mcse: float) -> None:
    """Refuse an error that no search reaches."""
    if not mcse > 0:
        raise ValueError(f"mcse is {mcse}; a search by simulation ends at an error above 0, as 0.005")
