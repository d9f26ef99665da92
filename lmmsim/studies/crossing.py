"""Crossings: where a power curve that can only be simulated crosses the power that is wanted.

Every *look* simulates a study at one size. `Curve` is what all looks say together, the probit line

    power(n) = Phi(a + b sqrt(n)),

which is nearly true of a test whose noncentrality grows with the square root of n, as those of means do; it is fitted
to the looks near the crossing by Fisher scoring (McCullagh & Nelder 1989, section 4.4). `Search` decides where to look
next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

NEAR = 1.0  # probits: looks so near to the wanted power decide where it is crossed
FIRST_LOOK, NEXT_LOOK, LOOKS = 500, 2000, 60  # replicates of a first and of a later look; looks at most

Look = Callable[[int, int, int], tuple[int, int]]  # (size, replicates, number of the look) -> (tests, rejections)


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
    """

    sizes: np.ndarray
    looks: pd.DataFrame
    wanted: float

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
        X, n, hits, eta = _columns(size[near]), n[near], hits[near], ndtri(rate[near])
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
        (beta, covariance), X = self._line, _columns(self.sizes)
        return X @ beta, np.sqrt(np.einsum("ij,jk,ik->i", X, covariance, X))

    @property
    def crossing(self) -> int:
        """Smallest size whose fitted power is enough."""
        return self._first(self._probits[0])

    @property
    def between(self) -> tuple[int, int]:
        """Sizes at which the ends of the 95 % band cross, no wider than what was seen at the sizes themselves."""
        eta, se = self._probits
        rate = self.looks["hits"] / self.looks["replicates"]
        mcse = np.sqrt(rate * (1 - rate) / self.looks["replicates"])
        surely = self.looks["size"][rate - 3 * mcse >= self.wanted]
        return self._first(eta + 1.96 * se), min([self._first(eta - 1.96 * se), *surely])

    def power(self, size: int) -> tuple[float, float]:
        """Fitted power at a size, and its Monte-Carlo error."""
        from scipy.special import ndtr

        eta, se = (values[np.searchsorted(self.sizes, size)] for values in self._probits)
        return float(ndtr(eta)), float(se * _density(eta))

    def _first(self, eta: np.ndarray) -> int:
        from scipy.special import ndtri

        enough = np.flatnonzero(eta >= ndtri(self.wanted))
        return int(self.sizes[enough[0] if len(enough) else -1])


@dataclass(eq=False)
class Search:
    """Halve the sizes until the crossing is bracketed, then look where the fitted curve crosses.

    Attributes
    ----------
    look : callable
        Simulates a study.
    sizes : list of int, increasing
    wanted : float
    counts : list of (size, replicates, hits)
        The looks so far.
    """

    look: Look
    sizes: list[int]
    wanted: float
    counts: list[tuple[int, int, int]] = field(default_factory=list)

    def run(self, mcse: float) -> Curve:
        """Look until the power at the crossing is known to this error."""
        self._bracket()
        for _ in range(LOOKS):
            curve = self._curve()
            place = self.sizes.index(curve.crossing)
            seen = sum(n for size, n, _ in self.counts if size in self.sizes[max(place - 1, 0) : place + 2])
            if curve.power(curve.crossing)[1] <= mcse and seen >= 2 * NEXT_LOOK:
                break
            for near in range(max(place - 1, 0), place + 1):
                self._at(near, NEXT_LOOK)
        return self._curve()

    def _bracket(self) -> None:
        """Find neighbours between which the power crosses, roughly."""
        best = self._at(len(self.sizes) - 1, FIRST_LOOK)
        if best + 3 * np.sqrt(self.wanted * (1 - self.wanted) / FIRST_LOOK) < self.wanted:
            raise ValueError(
                f"the power is about {best:.2f} at the largest size, {self.sizes[-1]}; {self.wanted:g} needs larger "
                "sizes, a larger effect or less noise"
            )
        low, high = 0, len(self.sizes) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._at(middle, FIRST_LOOK) >= self.wanted else (middle, high)
        seen = {size for size, _, _ in self.counts}
        for place in (low, high):
            if self.sizes[place] not in seen:
                self._at(place, FIRST_LOOK)

    def _at(self, place: int, replicates: int) -> float:
        """Look at one size; the rate of rejections there."""
        size = self.sizes[place]
        tests, hits = self.look(size, replicates, len(self.counts))
        self.counts.append((size, tests, hits))
        return hits / max(tests, 1)

    def _curve(self) -> Curve:
        """What all looks say, those at one size together."""
        looks = pd.DataFrame(self.counts, columns=["size", "replicates", "hits"]).groupby("size").sum().reset_index()
        return Curve(np.array(self.sizes), looks, self.wanted)


def _columns(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Columns 1 and sqrt(n) of the line."""
    return np.column_stack([np.ones(len(sizes)), np.sqrt(sizes)])


def _density(eta: np.ndarray) -> np.ndarray:
    """Density of the standard normal."""
    return np.exp(-(eta**2) / 2) / np.sqrt(2 * np.pi)
