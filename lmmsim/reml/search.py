"""The search for an optimum: where it starts, when a variance is zero, and what is tried a second time."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from lmmsim.reml.identified import taken_up
from lmmsim.reml.newton import Minimum, minimise
from lmmsim.reml.scoring import expectations, guess
from lmmsim.reml.standard_form import Problem, Responses
from lmmsim.reml.structure import Point, Structure
from lmmsim.reml.theta import Coordinates

SINGULAR = 1e-4  # a diagonal entry of theta below this counts as zero, as in lme4
NEAR_ZERO = 0.03  # relative standard deviations below this are tried at zero
FAR = 3.0  # theta of standardised columns where a second search begins
LIFT = 0.1  # relative standard deviations are at least this where a search that got stuck begins again
START = 0.5  # theta of standardised columns where nothing better is known
FIRST_TRY = 50  # evaluations before a response is looked at again


def singular(coordinates: Coordinates, theta: np.ndarray) -> np.ndarray:
    """Whether a covariance of standardised columns has not full rank, (m,)."""
    return np.asarray((theta[:, coordinates.diagonal] < SINGULAR).any(axis=1))


class Search:
    """The search for the optima of some responses to one design."""

    def __init__(self, problem: Problem, structure: Structure, responses: Responses, moments: Any, reml: bool) -> None:
        self.problem, self.coordinates, self.structure = problem, problem.coordinates, structure
        self.responses, self.moments, self.reml = responses, moments, reml
        self.everything = np.arange(len(responses.scale))

    @cached_property
    def stuck(self) -> np.ndarray | None:
        """Where X takes up all that a variance could explain, (m, t): REML is flat there, and theta stays as it is."""
        if not self.reml or all(term.levels > self.problem.p for term in self.problem.terms):
            return None
        theta = np.tile(START * self.coordinates.diagonal, (self.everything.size, 1))
        stuck = taken_up(self.problem, self.structure.at(theta, self.moments, True))[0]
        return stuck if stuck.any() else None

    def minimum(self, guessed: np.ndarray) -> Minimum:
        """The optimum of every response, from its own theta (m, t)."""
        found = self.minimum_from(guessed, self.everything)
        again = np.flatnonzero(singular(self.coordinates, found.theta))
        if again.size and self.coordinates.size > 1:  # a boundary can be the end of a wrong way: come from inside, too
            inside, *_ = self.guess(FAR * self.coordinates.diagonal, again)
            new = ~np.isclose(inside, guessed[again], 1e-6, 1e-6).all(axis=1)  # never so in a balanced design
            if new.any():
                found = found.or_better(again[new], self.minimum_from(inside[new], again[new]))
        return found

    def minimum_from(self, start: np.ndarray, which: np.ndarray) -> Minimum:
        """Newton's method from given theta (m, t), and again for those that do not arrive.

        A narrow curved valley, usually towards a zero that has just been set, needs more time. One that winds around a
        zero above the last row of Lambda, where the entries below turn freely, is left by a step inside.
        """
        found = self._newton(start, which, FIRST_TRY)
        for least in (0.0, LIFT):
            late = np.flatnonzero(~found.converged)
            if late.size:
                again = self.coordinates.inside(found.theta[late], least)
                found = found.or_better(late, self._newton(again, which[late], 2 * FIRST_TRY))
        return found

    def at(self, theta: np.ndarray, which: np.ndarray) -> Point:
        """The likelihood of some responses."""
        return self.structure.at(theta, self.moments.take(which), self.reml)

    def _newton(self, start: np.ndarray, which: np.ndarray, most: int) -> Minimum:
        """Newton's method for some responses: diagonals >= 0, and variances set to zero where that is no worse."""
        found = minimise(lambda theta, rows: self._evaluate(theta, which[rows]), start, most)
        theta = self.coordinates.positive(found.theta)
        found = found if theta is found.theta else replace(found, theta=theta)
        near, cut = self.coordinates.without_smallest(found.theta, NEAR_ZERO)
        if near.size:
            there = self.at(cut, which[near])
            at_zero = Minimum(cut, there.value, found.converged[near], found.evaluations[near], there)
            found = found.where(near, there.value <= found.value[near] + 1e-9, at_zero)
        return found

    def _evaluate(self, theta: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, Point]:
        """Value, gradient and Hessian with respect to theta, and where they come from."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # where rounding leaves no residual
            point = self.at(theta, which)
            gradient, hessian = self.coordinates.in_theta(theta, point.gradient, point.hessian)
        if self.stuck is not None:
            still = self.stuck[which]
            gradient = np.where(still, 0.0, gradient)
            hessian = np.where(still[:, None] | still[:, :, None], np.eye(self.coordinates.size), hessian)
        return point.value, gradient, hessian, point

    def guess(self, start: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray, Point]:
        """One scoring step from a common theta (t,); how well it was determined; the point there, of the design."""
        here = np.repeat(start[None], which.size, axis=0)
        point = design = self.structure.at(here, self.moments.take(which), True)
        if self.responses.observed is None and which.size > 1:
            blank = self.structure.moments(self.problem.no_response(1, None))
            design = self.structure.at(here[:1], blank, True)
        psi = self.coordinates.psi(here[:1])
        guessed, determined = guess(self.coordinates, psi, expectations(design, psi), point)
        return (guessed if self.stuck is None else np.where(self.stuck[which], here, guessed)), determined, design
