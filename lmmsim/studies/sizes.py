"""Sizes: how many groups, or members of a group, a wanted power takes.

Exact where the test is the one that `exact_power` describes; otherwise by simulation, which looks where the power
curve crosses the wanted one and says how sure it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import check_probability
from lmmsim.estimators.least_squares import OLS
from lmmsim.estimators.lmm import LMM
from lmmsim.model.model import Model
from lmmsim.model.residual import IID
from lmmsim.studies.performance import share
from lmmsim.studies.recipe import Analysis, Recipe
from lmmsim.studies.run import conduct
from lmmsim.studies.study import check
from lmmsim.studies.sweeps import made
from lmmsim.theory.power import exact_power, exact_size, increasing

World = Callable[[int], tuple[Model, pd.DataFrame]]
# Streams of the looks of a search, beside those of the cells of a sweep.
LOOK = 2**25
FIRST_LOOK, NEXT_LOOK, LOOKS = 500, 2000, 60


@dataclass(frozen=True)
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
    looks : DataFrame
        `size replicates power mcse` wherever the power was computed.
    """

    size: int
    power: float
    mcse: float
    low: int
    high: int
    method: str
    looks: pd.DataFrame = field(repr=False, compare=False)


def find_size(
    world: World,
    sizes: Sequence[int],
    analysis: Analysis | None = None,
    power: float = 0.8,
    *,
    term: str,
    alpha: float = 0.05,
    rng: streams.Rng = None,
    mcse: float = 0.005,
    n_jobs: int | None = None,
    method: str = "auto",
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
    term : str
        The coefficient that is tested.
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
    >>> find_size(lambda schools: teaching_methods(schools, effect=4), range(4, 100, 2), term="method[T.new]").size
    28
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

    exact = has_exact_power(world_of(sizes[-1])[0], analysis)
    if method == "exact" and not exact:
        raise ValueError(
            f"{analysis} has no exact power in this world: it is exact for the model of the world itself, with normal "
            "draws, one residual sd, and a t test; method='simulation' finds the size of any analysis"
        )
    if exact and method != "simulation":
        return _exactly(world_of, sizes, power, term, alpha)
    return _Search(world_of, sizes, analysis, power, term, alpha, streams.root(rng), n_jobs).run(mcse)


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


def _exactly(world: World, sizes: list[int], power: float, term: str, alpha: float) -> Size:
    """Size by `exact_size`, with the power of it and of the size before."""
    size = exact_size(world, sizes, power, term=term, alpha=alpha)
    place = sizes.index(size)
    near = sizes[max(place - 1, 0) : place + 1]
    powers = [float(exact_power(*world(one), alpha).loc[term, "power"]) for one in near]
    looks = pd.DataFrame({"size": near, "replicates": 0, "power": powers, "mcse": 0.0})
    return Size(size, powers[-1], 0.0, size, size, "exact", looks)


@dataclass(eq=False)
class _Search:
    """A search by simulation: its looks, and what they say together."""

    world: World
    sizes: list[int]
    analysis: Analysis | None
    power: float
    term: str
    alpha: float
    root: np.random.SeedSequence
    n_jobs: int | None
    counts: list[tuple[int, int, int]] = field(default_factory=list)  # (size, replicates, rejections)

    def run(self, mcse: float) -> Size:
        """Halve the sizes until the crossing is bracketed, then look where the fitted curve crosses."""
        self._bracket()
        for _ in range(LOOKS):
            size = self._crossing()
            _, error = self._power_at(size)
            if error <= mcse and self._replicates_near(size) >= 2 * NEXT_LOOK:
                break
            place = self.sizes.index(size)
            self._look(size, NEXT_LOOK)
            if place > 0:
                self._look(self.sizes[place - 1], NEXT_LOOK)
        size = self._crossing()
        power, error = self._power_at(size)
        low, high = self._between()
        return Size(size, power, error, low, high, "simulation", self._table())

    def _bracket(self) -> None:
        best, replicates = self._look(self.sizes[-1], FIRST_LOOK), FIRST_LOOK
        if best + 3 * np.sqrt(self.power * (1 - self.power) / replicates) < self.power:
            raise ValueError(
                f"the power for '{self.term}' is about {best:.2f} at the largest size, {self.sizes[-1]}; "
                f"{self.power:g} needs larger sizes"
            )
        low, high = 0, len(self.sizes) - 1
        while high - low > 1:
            middle = (low + high) // 2
            enough = self._look(self.sizes[middle], FIRST_LOOK) >= self.power
            low, high = (low, middle) if enough else (middle, high)
        for place in {low, high} - {self.sizes.index(size) for size, _, _ in self.counts}:
            self._look(self.sizes[place], FIRST_LOOK)

    def _look(self, size: int, replicates: int) -> float:
        """Simulate at one size, with streams that no other look has."""
        key = (*self.root.spawn_key, LOOK + len(self.counts))
        model, design = self.world(size)
        analysis = self.analysis or LMM(model.formula)
        recipe = Recipe(model, design, {"analysis": analysis}, np.random.SeedSequence(self.root.entropy, spawn_key=key))
        check(recipe, replicates)
        [(_, answers)] = conduct([recipe], replicates, self.n_jobs, progress=False)
        one = answers["analysis"]
        if self.term not in one.terms:
            raise ValueError(f"there is no term '{self.term}'; the analysis has {', '.join(one.terms)}")
        p = np.where(one.converged, one.p(one.terms.index(self.term)), np.nan)
        p = p[~np.isnan(p)]
        rejections = int((p < self.alpha).sum())
        self.counts.append((size, len(p), rejections))
        return rejections / max(len(p), 1)

    def _fit(self) -> tuple[np.ndarray, np.ndarray]:
        """Probit line over sqrt(size) through the looks near the crossing: coefficients and their covariance."""
        from scipy.special import ndtr, ndtri

        size, n, hits = np.array(self.counts, dtype=float).T
        rate = (hits + 0.5) / (n + 1)
        near = np.abs(ndtri(rate) - ndtri(self.power)) < 1.0
        if len(np.unique(size[near])) < 2:
            near = np.argsort(np.abs(ndtri(rate) - ndtri(self.power)))[: max(3, int(near.sum()))]
        X = np.column_stack([np.ones(len(size)), np.sqrt(size)])[near]
        n, hits = n[near], hits[near]
        eta = ndtri(rate[near])
        for _ in range(25):  # Fisher scoring
            mu = np.clip(ndtr(eta), 1e-10, 1 - 1e-10)
            slope = np.exp(-(eta**2) / 2) / np.sqrt(2 * np.pi)
            weight = n * slope**2 / (mu * (1 - mu))
            z = eta + (hits / n - mu) / slope
            information = X.T @ (weight[:, None] * X)
            beta = np.linalg.lstsq(information, X.T @ (weight * z), rcond=None)[0]
            eta = np.clip(X @ beta, -6, 6)
        return beta, np.linalg.pinv(information)

    def _curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Fitted probits at all sizes, and their standard errors."""
        beta, covariance = self._fit()
        X = np.column_stack([np.ones(len(self.sizes)), np.sqrt(self.sizes)])
        return X @ beta, np.sqrt(np.einsum("ij,jk,ik->i", X, covariance, X))

    def _crossing(self) -> int:
        """Smallest size whose fitted power is enough."""
        return self._first(self._curve()[0])

    def _between(self) -> tuple[int, int]:
        """Sizes at which the ends of the 95 % band cross, no wider than what was seen at the sizes themselves."""
        eta, se = self._curve()
        low, high = self._first(eta + 1.96 * se), self._first(eta - 1.96 * se)
        looks = self._table()
        surely = looks["size"][looks["power"] - 3 * looks["mcse"] >= self.power]
        return low, min([high, *surely])

    def _first(self, eta: np.ndarray) -> int:
        from scipy.special import ndtri

        enough = np.flatnonzero(eta >= ndtri(self.power))
        return self.sizes[enough[0]] if len(enough) else self.sizes[-1]

    def _power_at(self, size: int) -> tuple[float, float]:
        """Fitted power at a size and its Monte-Carlo error."""
        from scipy.special import ndtr

        eta, se = (values[self.sizes.index(size)] for values in self._curve())
        return float(ndtr(eta)), float(se * np.exp(-(eta**2) / 2) / np.sqrt(2 * np.pi))

    def _replicates_near(self, size: int) -> int:
        place = self.sizes.index(size)
        near = self.sizes[max(place - 1, 0) : place + 2]
        return sum(n for at, n, _ in self.counts if at in near)

    def _table(self) -> pd.DataFrame:
        """All looks, those at one size together."""
        looks = pd.DataFrame(self.counts, columns=["size", "replicates", "hits"]).groupby("size").sum().reset_index()
        rates = [
            share(np.repeat([1.0, 0.0], [h, n - h])) for n, h in zip(looks["replicates"], looks["hits"], strict=True)
        ]
        return looks.drop(columns="hits").assign(power=[p for p, _ in rates], mcse=[error for _, error in rates])
