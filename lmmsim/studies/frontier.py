"""Frontiers: pairs of two sizes, as subjects and items, whose power is just enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import in_lines
from lmmsim.model.model import Model
from lmmsim.studies.crossing import NotReached, TooSmall, counted_looks, unwrapped
from lmmsim.studies.goals import Goal, takes_exact
from lmmsim.studies.recipe import Analysis
from lmmsim.studies.sizes import Size, check_mcse, exactly, increasing, simulated
from lmmsim.studies.sweeps import made
from lmmsim.theory.intervals import Margin


@dataclass(frozen=True, repr=False, eq=False)
class Frontier:
    """Pairs of sizes whose power is just enough.

    Attributes
    ----------
    table : DataFrame
        A row for each pair: both sizes by name, `power`, `mcse` (0 if exact) and `cost`.
    wanted : float
        The power that was asked for.
    method : "exact" or "simulation"
    """

    table: pd.DataFrame
    wanted: float
    method: str

    @property
    def cheapest(self) -> dict[str, int]:
        """The pair of the lowest cost, by name."""
        first, second = self.table.columns[:2]
        row = self.table.loc[self.table["cost"].idxmin()]
        return {str(first): int(row[first]), str(second): int(row[second])}

    def __repr__(self) -> str:
        pair = " and ".join(f"{size} {name}" for name, size in self.cheapest.items())
        how = "computed exactly" if self.method == "exact" else "by simulation"
        pairs = f"{len(self.table)} pairs just have" if len(self.table) > 1 else "1 pair just has"
        cheapest = in_lines(f"the cheapest is {pair}, at a cost of {self.table['cost'].min():g}")
        table = self.table.to_string(index=False, float_format="{:.4g}".format)
        return f"{pairs} a power of {self.wanted:g}, {how};\n{cheapest}\n\n{table}"


def find_sizes(
    world: Callable[..., tuple[Model, pd.DataFrame]],
    sizes: Mapping[str, Sequence[int]],
    analysis: Analysis | None = None,
    power: float = 0.8,
    *,
    term: str,
    cost: Callable[..., float] | None = None,
    alpha: float = 0.05,
    margin: Margin | None = None,
    width: float | None = None,
    rng: streams.Rng = None,
    mcse: float = 0.005,
    n_jobs: int | None = None,
    method: str = "auto",
    progress: bool = True,
    **question: Any,
) -> Frontier:
    """Find the pairs of two sizes that have the wanted power with nothing to spare.

    Parameters
    ----------
    world : callable
        `world(subjects=20, items=12)` gives `(model, design)`.
    sizes : mapping
        The sizes that are possible, by the names of two arguments of `world`, each increasing:
        `{"subjects": range(10, 101, 10), "items": range(4, 61, 2)}`. Power is taken to rise along both.
    analysis, power, term, alpha, margin, width, rng, mcse, n_jobs, method, progress, **question
        As for `find_size`.
    cost : callable, optional
        `cost(subjects=20, items=12)`; by default the number of measurements, which are the rows of the design.

    Returns
    -------
    Frontier
        For every value of the first size, the smallest value of the second that is enough; values of the first that
        no second is enough for, or that add nothing to a smaller one, are left out.

    Raises
    ------
    ValueError
        If there are not two sizes, or not even the largest of both are enough, or what `find_size` refuses.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> found = find_sizes(lambda schools, pupils: teaching_methods(schools, pupils, effect=4),
    ...                    {"schools": range(20, 41, 4), "pupils": [5, 10, 20, 40]}, term="method[T.new]")
    >>> found.cheapest
    {'schools': 36, 'pupils': 10}
    """
    if not isinstance(sizes, Mapping) or len(sizes) != 2:
        raise ValueError(
            f"sizes has the values of two numbers, as {{'subjects': [20, 40], 'items': [8, 16]}}; got {sizes!r}"
        )
    (one, firsts), (other, seconds) = ((name, increasing(values)) for name, values in sizes.items())
    goal = Goal(term, power, alpha, margin, width, question)
    check_mcse(mcse)
    exact = takes_exact(made(world, **{one: firsts[0], other: seconds[0]})[0], analysis, method)
    root = streams.root(rng)
    found: dict[int, Size] = {}
    with unwrapped(), counted_looks(progress) as before:
        start = 0
        for number, first in reversed(list(enumerate(firsts))):

            def world_of(second: int, first: int = first) -> tuple[Model, pd.DataFrame]:
                before(f"{one} {first}, {other} {second}")
                return made(world, **{one: first, other: second})

            try:
                if exact:
                    size = exactly(world_of, seconds, goal, start)
                else:
                    own = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, number))
                    size = simulated(world_of, seconds[start:], analysis, goal, own, n_jobs, mcse)
            except (NotReached, TooSmall):
                if not found:  # not even the largest of both
                    raise
                break
            found[first] = size
            # fewer of the first need at least as many of the second; a simulated answer may be one too large
            start = max(seconds.index(size.size) - (0 if exact else 2), 0)
    rows = [{one: k, other: found[k].size, "power": found[k].power, "mcse": found[k].mcse} for k in sorted(found)]
    table = pd.DataFrame(rows).drop_duplicates(other, ignore_index=True)  # the smallest first that is enough with it

    def price(pair: pd.Series) -> float:
        named = {one: int(pair[one]), other: int(pair[other])}
        return float(len(made(world, **named)[1]) if cost is None else cost(**named))

    return Frontier(table.assign(cost=table.apply(price, axis=1)), power, "exact" if exact else "simulation")
