"""Goals: what a wanted power is the power of, and how it is found, exactly or in simulated studies.

A test against zero; two one-sided tests for equivalence, where a margin is given; an interval that is narrow enough,
where a width is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import check_probability
from lmmsim.estimators.estimates import Estimates, critical_value
from lmmsim.estimators.least_squares import OLS
from lmmsim.estimators.lmm import LMM
from lmmsim.model.model import Model
from lmmsim.model.residual import IID
from lmmsim.studies.crossing import TooSmall
from lmmsim.studies.question import Question
from lmmsim.studies.recipe import Analysis, Recipe
from lmmsim.studies.run import conduct
from lmmsim.studies.study import asking, check
from lmmsim.theory.intervals import Margin, exact_equivalence, exact_precision, margins
from lmmsim.theory.power import exact_power

# Streams of the looks of a search, beside those of the cells of a sweep.
LOOK = 2**25


@dataclass(frozen=True)
class Goal:
    """What is to be shown of a term.

    Attributes
    ----------
    term : str
    power, alpha : float
        Wanted power, level of the test (an interval has the level 1 - alpha).
    margin, width : optional
        As for `exact_equivalence` and `exact_precision`.
    question : mapping
        What else `exact_power` is asked: contrasts, alternative, df.
    asked : Question, optional
        The contrast or joint test that the term names.
    """

    term: str
    power: float = 0.8
    alpha: float = 0.05
    margin: Margin | None = None
    width: float | None = None
    question: Mapping[str, Any] = field(default_factory=dict)
    asked: Question | None = None

    def __post_init__(self) -> None:
        check_probability("power", self.power)
        check_probability("alpha", self.alpha)
        if self.margin is not None and self.width is not None:
            raise ValueError("margin= asks for equivalence and width= for precision: give one of the two")
        if self.tests and not (self.margin is None and self.width is None):
            raise ValueError("a joint test has no interval: margin= and width= need a coefficient or a contrast")
        if self.margin is not None:
            margins(self.margin)

    @property
    def contrasts(self) -> Mapping[str, Any] | None:
        """What `study` is asked besides coefficients."""
        return None if self.asked is None else self.asked.contrasts

    @property
    def tests(self) -> Mapping[str, Any] | None:
        """The same of joint tests."""
        return None if self.asked is None else self.asked.tests

    def exact(self, model: Model, design: pd.DataFrame, question: Mapping[str, Any] | None = None) -> pd.Series:
        """The row of the term: `se`, `df`, `power` and what comes with them."""
        asked = {**self.question, **(question or {})}
        asked |= {"contrasts": self.contrasts} if self.contrasts else {}
        asked |= {"tests": self.tests} if self.tests else {}
        try:
            if self.margin is not None:
                table = exact_equivalence(model, design, self.margin, self.alpha, **asked)
            elif self.width is not None:
                table = exact_precision(model, design, self.width, 1 - self.alpha, **asked)
            else:
                table = exact_power(model, design, self.alpha, **asked)
        except ValueError as error:
            raise TooSmall from error
        if self.term not in table.index:
            raise ValueError(f"there is no term '{self.term}'; the terms are {', '.join(table.index)}")
        return table.loc[self.term]

    def counts(self, one: Estimates) -> tuple[int, int]:
        """How many of these analyses ended with an answer, and how many of them with the wanted one."""
        if self.term not in one.terms:
            raise ValueError(f"there is no term '{self.term}'; the analysis has {', '.join(one.terms)}")
        j, done = one.terms.index(self.term), one.converged
        if self.margin is None and self.width is None:
            p = one.p[done, j]
            return int((~np.isnan(p)).sum()), int((p < self.alpha).sum())
        level = 1 - self.alpha if self.margin is None else 1 - 2 * self.alpha
        reach = critical_value(one.df[done, j], level) * one.se[done, j]
        estimate = one.estimate[done, j]
        if self.margin is None:
            return int((~np.isnan(reach)).sum()), int((2 * reach <= self.width).sum())
        low, high = margins(self.margin)
        return int((~np.isnan(reach)).sum()), int(((estimate - reach > low) & (estimate + reach < high)).sum())


@dataclass(frozen=True, eq=False)
class Looker:
    """Simulates a study wherever a search looks, each with streams that no other look has.

    Attributes
    ----------
    world : callable
        Model and design of a place (a size, an effect).
    analysis : estimator or None
        None is the mixed model of the world.
    goal : Goal
    root : SeedSequence
    n_jobs : int or None
    """

    world: Callable[[Any], tuple[Model, pd.DataFrame]]
    analysis: Analysis | None
    goal: Goal
    root: np.random.SeedSequence
    n_jobs: int | None

    def __post_init__(self) -> None:
        if self.goal.question:
            raise ValueError(
                f"{', '.join(self.goal.question)} belong to exact power: leave them out, or find it with "
                "method='exact' and without an analysis"
            )

    def __call__(self, place: Any, replicates: int, number: int) -> tuple[int, int]:
        """How many tests, and how many with the wanted end."""
        model, design = self.world(place)
        seed = np.random.SeedSequence(self.root.entropy, spawn_key=(*self.root.spawn_key, LOOK + number))
        analyses = {"analysis": self.analysis or LMM(model.formula)}
        analyses = asking(analyses, design, self.goal.contrasts, self.goal.tests, stacklevel=8)
        recipe = Recipe(model, design, analyses, seed)
        check(recipe, replicates)
        try:
            [(_, results)] = conduct([recipe], replicates, self.n_jobs, progress=False)
        except Exception as error:  # the analysis fails in every replicate
            raise TooSmall from error
        return self.goal.counts(results["analysis"])


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


def takes_exact(model: Model, analysis: Analysis | None, method: str) -> bool:
    """Whether a search is to be exact; refuse to call exact what is not."""
    if method not in ("auto", "exact", "simulation"):
        raise ValueError(f"method is {method!r}; it is 'auto', 'exact' or 'simulation'")
    exact = has_exact_power(model, analysis)
    if method == "exact" and not exact:
        raise ValueError(
            f"{analysis} has no exact power in this world: it is exact for the model of the world itself, with normal "
            "draws, one residual sd, and a t test; method='simulation' finds the size of any analysis"
        )
    return exact and method != "simulation"
