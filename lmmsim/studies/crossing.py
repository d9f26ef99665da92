"""Crossings: where a power curve crosses the power that is wanted.

`bracket` finds the first of some places, sizes or effects in increasing order, that is enough; it begins with the
small ones, which cost least. Where power can only be simulated, every *look* is a study at one place. `Curve` is what
all looks say together, the probit line

    power(x) = Phi(a + b x),

which is nearly true of a test whose noncentrality is proportional to x: the square root of a number of groups, or an
effect. It is fitted to the looks near the crossing by Fisher scoring (McCullagh & Nelder 1989, section 4.4). `Search`
decides where to look next.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

NEAR = 1.0  # probits: looks so near to the wanted power decide where it is crossed
FIRST_LOOK, NEXT_LOOK, LOOKS = 500, 2000, 60  # replicates of a first and of a later look; looks at most

Look = Callable[[Any, int, int], tuple[int, int]]  # (size, replicates, number of the look) -> (tests, rejections)


class TooSmall(Exception):
    """At this place nothing can be analysed; what was raised is its cause."""


class NotReached(ValueError):
    """Not even the last place is enough."""


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise what was raised where nothing can be analysed, for it is the largest place."""
    try:
        yield
    except TooSmall as error:
        raise (error.__cause__ or error) from None


def bracket(enough: Callable[[int], bool], count: int, start: int = 0) -> tuple[int, int]:
    """Find neighbours of which the first is not enough and the second is.

    Parameters
    ----------
    enough : callable
        Of the number of a place; once true, it stays true.
    count : int
        Places are numbered from 0 to count - 1.
    start : int
        Where to begin; what is below it is not enough.

    Returns
    -------
    low, high : int
        `low` is start - 1 if the first place is enough already, `high` is `count` if the last is not.

    Examples
    --------
    >>> asked = []
    >>> bracket(lambda place: asked.append(place) or place >= 11, count=1000)
    (10, 11)
    >>> asked
    [0, 1, 3, 7, 15, 11, 9, 10]
    """

    def asked(place: int) -> bool:
        try:
            return enough(place)
        except TooSmall:
            if place == count - 1:
                raise
            return False

    low, high, step = start - 1, start, 1
    while not asked(high):
        low = high
        if high == count - 1:
            return low, count
        high, step = min(high + step, count - 1), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if asked(middle) else (middle, high)
    return low, high


@contextmanager
def counted_looks(progress: bool) -> Iterator[Callable[[Any], None]]:
    """Count looks in a bar that appears after a second while standard error is a terminal; call it before each."""
    from tqdm import tqdm

    hidden = not (progress and sys.stderr.isatty())
    with tqdm(unit=" looks", delay=1, leave=False, disable=hidden, bar_format="{n}{unit} [{elapsed}]{postfix}") as bar:

        def before(place: Any) -> None:
            bar.set_postfix_str(f"at {place}", refresh=False)
            bar.update()

        yield before


@dataclass(frozen=True, eq=False)
class Curve:
    """The probit line through some looks.

    Attributes
    ----------
    sizes : ndarray, increasing
        The sizes that are possible.
    looks : DataFrame
        `size replicates hits`.
    wanted : float
        The power to be reached.
    scale : callable
        What noncentrality is proportional to.
    """

    sizes: np.ndarray
    looks: pd.DataFrame
    wanted: float
    scale: Callable[[np.ndarray], np.ndarray] = np.sqrt

    @property
    def rates(self) -> pd.DataFrame:
        """The looks with their `power` and its error `mcse`."""
        seen = self.looks.assign(power=lambda d: d["hits"] / d["replicates"]).drop(columns="hits")
        return seen.assign(mcse=np.sqrt(seen["power"] * (1 - seen["power"]) / seen["replicates"]))

    @cached_property
    def _line(self) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (a, b) and their covariance."""
        from scipy.special import ndtr, ndtri

        size, n, hits = (self.looks[name].to_numpy(dtype=float) for name in ("size", "replicates", "hits"))
        rate = (hits + 0.5) / (n + 1)
        distance = np.abs(ndtri(rate) - ndtri(self.wanted))
        near = np.flatnonzero(distance < NEAR)
        if len(np.unique(size[near])) < 2:
            near = np.argsort(distance)[: max(3, len(near))]
        X, n, hits, eta = self._columns(size[near]), n[near], hits[near], ndtri(rate[near])
        for _ in range(25):
            mu = np.clip(ndtr(eta), 1e-10, 1 - 1e-10)
            slope = _density(eta)
            weight = n * slope**2 / (mu * (1 - mu))
            information = X.T @ (weight[:, None] * X)
            beta = np.linalg.lstsq(information, X.T @ (weight * (eta + (hits / n - mu) / slope)), rcond=None)[0]
            eta = np.clip(X @ beta, -6, 6)
        return beta, np.linalg.pinv(information)

    @cached_property
    def _probits(self) -> tuple[np.ndarray, np.ndarray]:
        """Fitted probits at all sizes, and their standard errors."""
        (beta, covariance), X = self._line, self._columns(self.sizes)
        return X @ beta, np.sqrt(np.einsum("ij,jk,ik->i", X, covariance, X))

    def _columns(self, sizes: np.ndarray) -> np.ndarray:
        """Columns 1 and x of the line."""
        return np.column_stack([np.ones(len(sizes)), self.scale(sizes)])

    @property
    def crossing(self) -> Any:
        """Smallest size whose fitted power is enough."""
        return self._first(self._probits[0])

    @property
    def between(self) -> tuple[Any, Any]:
        """Sizes at which the ends of the 95 % band cross, no wider than what was seen at the sizes themselves."""
        eta, se = self._probits
        rate = self.looks["hits"] / self.looks["replicates"]
        mcse = np.sqrt(rate * (1 - rate) / self.looks["replicates"])
        surely = self.looks["size"][rate - 3 * mcse >= self.wanted]
        return self._first(eta + 1.96 * se), min([self._first(eta - 1.96 * se), *surely.tolist()])

    def power(self, size: Any) -> tuple[float, float]:
        """Fitted power at a size, and its Monte-Carlo error."""
        from scipy.special import ndtr

        eta, se = (values[np.searchsorted(self.sizes, size)] for values in self._probits)
        return float(ndtr(eta)), float(se * _density(eta))

    def _first(self, eta: np.ndarray) -> Any:
        from scipy.special import ndtri

        enough = np.flatnonzero(eta >= ndtri(self.wanted))
        return self.sizes[enough[0] if len(enough) else -1].item()


@dataclass(eq=False)
class Search:
    """Bracket the crossing, beginning with small sizes, then look where the fitted curve crosses.

    Attributes
    ----------
    look : callable
        Simulates a study.
    sizes : list, increasing
    wanted : float
    scale : callable
        As for `Curve`.
    counts : list of (size, replicates, hits)
        The looks so far.
    """

    look: Look
    sizes: list[Any]
    wanted: float
    scale: Callable[[np.ndarray], np.ndarray] = np.sqrt
    counts: list[tuple[Any, int, int]] = field(default_factory=list)

    def run(self, mcse: float) -> Curve:
        """Look until the power at the crossing is known to this error."""
        self._bracket()
        for _ in range(LOOKS):
            curve = self._curve()
            place = self.sizes.index(curve.crossing)
            seen = sum(n for size, n, _ in self.counts if size in self.sizes[max(place - 1, 0) : place + 2])
            if curve.power(curve.crossing)[1] <= mcse and seen >= 2 * NEXT_LOOK:
                break
            with suppress(TooSmall):
                self._at(max(place - 1, 0), NEXT_LOOK)
            self._at(place, NEXT_LOOK)
        return self._curve()

    def _bracket(self) -> None:
        """Find neighbours between which the power crosses, roughly."""
        last = len(self.sizes) - 1
        low, high = bracket(lambda place: self._at(place, FIRST_LOOK) >= self.wanted, last + 1)
        if high > last:
            best = self.counts[-1][2] / max(self.counts[-1][1], 1)
            if best + 3 * np.sqrt(self.wanted * (1 - self.wanted) / FIRST_LOOK) < self.wanted:
                raise NotReached(
                    f"the power is about {best:.2f} at the largest size, {self.sizes[-1]}; {self.wanted:g} needs "
                    "larger sizes, a larger effect or less noise"
                )
        elif low < 0 < last:
            self._at(1, FIRST_LOOK)  # one place makes no line

    def _at(self, place: int, replicates: int) -> float:
        """Look at one size; the rate of rejections there."""
        size = self.sizes[place]
        tests, hits = self.look(size, replicates, len(self.counts))
        self.counts.append((size, tests, hits))
        return hits / max(tests, 1)

    def _curve(self) -> Curve:
        """What all looks say, those at one size together."""
        looks = pd.DataFrame(self.counts, columns=["size", "replicates", "hits"]).groupby("size").sum().reset_index()
        return Curve(np.array(self.sizes), looks, self.wanted, self.scale)


def _density(eta: np.ndarray) -> np.ndarray:
    """Density of the standard normal."""
    return np.exp(-(eta**2) / 2) / np.sqrt(2 * np.pi)
