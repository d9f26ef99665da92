"""The search for an optimum in (theta, phi): from several starts, because a serial correlation and a random effect can
explain the same data, and the criterion then has a minimum for either explanation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lmmsim.reml.marginal import MarginalPoint
from lmmsim.reml.newton import Minimum, minimise
from lmmsim.reml.residual_numbers import Numbers
from lmmsim.reml.theta import Coordinates
from lmmsim.reml.unit_sums import Stack

SINGULAR = 1e-4  # a diagonal entry of theta below this counts as zero, as in lme4
NEAR_ZERO = 0.03  # relative standard deviations below this are tried at zero
FAR = 3.0  # theta of standardised columns where a second search begins
BEGINS = (0.1, 0.5, 1.5)  # theta of standardised columns where searches begin
FAR_ABOVE = 10.0  # what is tried in any case is not, where its criterion is so much above that of a given start
WORSE = 20.0  # starts whose criterion is so much above the best one's are left
AT_ONCE = 2**19  # numbers of all matrices V that are written down together
FEW = 8  # responses up to which one call for many points costs less than to invert V once for all responses
MOST = 60  # evaluations before a response is looked at again


class MarginalSearch:
    """The search for the optima of some responses to one design."""

    def __init__(
        self,
        design: list[Stack],
        coordinates: Coordinates | None,
        numbers: Numbers,
        sums: Any,
        reml: bool,
        point: type[MarginalPoint] = MarginalPoint,
    ) -> None:
        self.point = point  # what looks at `sums`
        self.design, self.coordinates, self.numbers, self.sums, self.reml = design, coordinates, numbers, sums, reml
        self.t = coordinates.size if coordinates else 0

    def minimum(self, rest: np.ndarray, start: np.ndarray | None) -> Minimum:
        """The optimum of every response; `rest` (n, r) are its residuals, `start` (a,) a place to try first."""
        r = rest.shape[1]
        if self.t + self.numbers.size == 0:  # nothing but the scale to be found
            value = self.at(np.empty((r, 0)), np.arange(r)).value
            return Minimum(np.empty((r, 0)), value, np.isfinite(value), np.ones(r, dtype=int))
        begins, which = self._begins(rest, start)
        found = self._settled(self._newton(begins, which), which)
        best = self._best(found, which, r)
        edge = np.flatnonzero(self.singular(best.theta))
        if edge.size and self.t:  # a boundary can be the end of a wrong way: come from inside, too
            inside = best.theta[edge].copy()
            inside[:, : self.t] = FAR * self._diagonal
            best = best.or_better(edge, self._settled(self._newton(inside, edge), edge))
        return best

    def at(self, parameters: np.ndarray, which: np.ndarray) -> MarginalPoint:
        """The likelihood of some responses."""
        return self.point(self.design, self.coordinates, parameters, self.sums.take(which), self.reml)

    def singular(self, parameters: np.ndarray) -> np.ndarray:
        """Whether a covariance of random effects has not full rank, (r,)."""
        if not self.coordinates:
            return np.zeros(len(parameters), dtype=bool)
        return np.asarray((parameters[:, : self.t][:, self._diagonal] < SINGULAR).any(axis=1))

    @property
    def _diagonal(self) -> np.ndarray:
        assert self.coordinates is not None
        return self.coordinates.diagonal

    def _begins(self, rest: np.ndarray, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Where searches begin, (b, a), and the response of each: the lowest points of a grid, and `start`.

        On the grid theta is the best of a few for every phi; phi is lower than its neighbours, or tried in any case. A
        `start` that is lower than the whole grid takes the place of its lowest point, where there are few numbers to be
        found; where there are many, of those points that are tried in any case but are far above it.
        """
        phis = self.numbers.start(rest)  # (K, r, s)
        K, r, s = phis.shape
        thetas = [size * self._diagonal for size in BEGINS] if self.t else [np.zeros(0)]
        grid = np.empty((len(thetas), K, r, self.t + s))
        for i, theta in enumerate(thetas):
            grid[i, ..., : self.t], grid[i, ..., self.t :] = theta, phis
        value = self._on_grid(grid)
        value = np.where(np.isnan(value), np.inf, value)
        best = value.argmin(axis=0)  # (K, r)
        chosen = np.take_along_axis(grid, best[None, ..., None], axis=0)[0]
        lowest = value.min(axis=0)
        wall = np.full((1, r), np.inf)
        low = (lowest <= np.vstack([wall, lowest[:-1]])) & (lowest <= np.vstack([lowest[1:], wall]))
        low &= lowest <= lowest.min(axis=0) + WORSE
        many = self.t + s > 2  # a coarse grid says little about minima in so many directions
        always = np.isin(np.arange(K), self.numbers.always if many else ())[:, None]
        if start is not None:
            here = np.broadcast_to(start, (1, r, self.t + s))
            at_start = self._values(here[0])
            always = always & (lowest <= np.fmin(at_start, lowest.min(axis=0)) + FAR_ABOVE)
            better = at_start <= lowest.min(axis=0)
            low[lowest.argmin(axis=0), np.arange(r)] &= ~better | many
            chosen, low, always = np.concatenate([chosen, here]), np.vstack([low, better]), np.vstack([always, better])
        low |= always
        place, which = np.nonzero(low)
        return chosen[place, which], which

    def _on_grid(self, grid: np.ndarray) -> np.ndarray:
        """The criterion everywhere on a grid (..., r, a): all at once where that is little."""
        r, a = grid.shape[-2:]
        points = grid.reshape(-1, a)
        if len(points) * sum(len(stack.count) * stack.m**2 for stack in self.design) <= AT_ONCE and r <= FEW:
            return self.at(points, np.tile(np.arange(r), len(points) // r)).value.reshape(grid.shape[:-1])
        return np.stack([self._values(each) for each in grid.reshape(-1, r, a)]).reshape(grid.shape[:-1])

    def _values(self, parameters: np.ndarray) -> np.ndarray:
        """The criterion of every response at its own parameters (r, a); at common ones V is inverted once."""
        if (parameters == parameters[0]).all():
            return self.point(self.design, self.coordinates, parameters[:1], self.sums, self.reml).value
        return self.at(parameters, np.arange(len(parameters))).value

    def _newton(self, begins: np.ndarray, which: np.ndarray) -> Minimum:
        """Newton's method, a second time for those that did not arrive."""

        found = minimise(lambda x, rows: self._evaluate(x, which[rows]), begins, MOST)
        late = np.flatnonzero(~found.converged)
        if late.size:
            inside = self._lifted(found.theta[late])
            again = minimise(lambda x, rows: self._evaluate(x, which[late[rows]]), inside, 2 * MOST)
            found = found.or_better(late, again)
        return found

    def _lifted(self, parameters: np.ndarray) -> np.ndarray:
        """The same with theta a step inside."""
        out = parameters.copy()
        if self.coordinates:
            out[:, : self.t] = self.coordinates.inside(out[:, : self.t], 0.1)
        return out

    def _settled(self, found: Minimum, which: np.ndarray) -> Minimum:
        """Diagonals of Lambda >= 0, and small variances at zero, the rest adapted to that, where it is no worse."""
        if not self.coordinates:
            return found
        theta = found.theta.copy()
        theta[:, : self.t] = self.coordinates.positive(theta[:, : self.t])
        found = replace(found, theta=theta)
        near, cut = self.coordinates.without_smallest(theta[:, : self.t], NEAR_ZERO)
        if near.size:
            begin = np.hstack([cut, theta[near, self.t :]])
            other = minimise(lambda x, rows: self._evaluate(x, which[near[rows]]), begin, MOST)
            other.theta[:, : self.t] = self.coordinates.positive(other.theta[:, : self.t])
            keep = other.converged & (other.value <= found.value[near] + 1e-9)
            here, value, converged = near[keep], found.value.copy(), found.converged.copy()
            theta[here], value[here], converged[here] = other.theta[keep], other.value[keep], True
            found = replace(found, theta=theta, value=value, converged=converged)
        return found

    def _evaluate(self, parameters: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, None]:
        """Value, gradient and Hessian."""
        point = self.at(parameters, which)
        return point.value, *point.derivatives, None

    def _best(self, found: Minimum, which: np.ndarray, r: int) -> Minimum:
        """The lowest of the minima of every response; one that converged before one that did not."""
        value = np.where(np.isnan(found.value), np.inf, found.value)
        order = np.lexsort((value, ~found.converged, which))
        first = order[np.searchsorted(which[order], np.arange(r))]
        lowest = np.full(r, np.inf)
        np.minimum.at(lowest, which, value)
        lost = lowest[np.arange(r)] < value[first] - 1e-6  # a search that did not arrive got lower
        return Minimum(
            found.theta[first],
            found.value[first],
            found.converged[first] & ~lost,
            np.bincount(which, found.evaluations, r).astype(int),
        )
