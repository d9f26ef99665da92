"""Effects: the smallest effect that a design detects with the wanted power."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import in_lines
from lmmsim.model.model import Model
from lmmsim.studies.crossing import Search, counted_looks, unwrapped
from lmmsim.studies.goals import Goal, Looker, takes_exact
from lmmsim.studies.recipe import Analysis
from lmmsim.studies.sizes import check_mcse
from lmmsim.theory.power import t_power


@dataclass(frozen=True, repr=False)
class Effect:
    """The smallest effect whose power is enough.

    Attributes
    ----------
    effect : float
        In the units of the coefficient; negative where the test is of the alternative "less".
    term : str
    power, mcse : float
        Power at this effect, and its Monte-Carlo error: 0 if exact.
    low, high : float
        Effects between which the answer lies with 95 % confidence.
    method : "exact" or "simulation"
    wanted : float
        The power that was asked for.
    se, df : float
        Standard error and df of the estimate, which do not depend on the effect; of the model of the world.
    looks : DataFrame
        `effect replicates power mcse` wherever the power was simulated.
    """

    effect: float
    term: str
    power: float
    mcse: float
    low: float
    high: float
    method: str
    wanted: float
    se: float
    df: float
    looks: pd.DataFrame = field(compare=False)

    def __repr__(self) -> str:
        start = (
            f"{self.effect:.4g} is the smallest effect of '{self.term}' that this design detects with a power of "
            f"{self.wanted:g}"
        )
        if self.method == "exact":
            return in_lines(f"{start}, computed exactly (standard error {self.se:.4g}, {self.df:.4g} df)")
        between = f"between {self.low:.4g} and {self.high:.4g}"
        return in_lines(f"{start}, by simulation; with 95 % confidence it lies {between}")


def find_effect(
    model: Model,
    design: pd.DataFrame,
    analysis: Analysis | None = None,
    power: float = 0.8,
    *,
    term: str,
    alpha: float = 0.05,
    rng: streams.Rng = None,
    mcse: float = 0.005,
    n_jobs: int | None = None,
    method: str = "auto",
    progress: bool = True,
    **question: Any,
) -> Effect:
    """Find the smallest effect that a design detects with the wanted power.

    Parameters
    ----------
    model : Model
        The world; its number for `term` plays no part.
    design : DataFrame
        One row per measurement.
    analysis : estimator, optional
        Whose test it is. None is the mixed model of the world, its residual included, with Satterthwaite's t.
    power : float
        Wanted power.
    term : str
        The coefficient, or contrast, that is tested.
    alpha : float
    rng : Generator, int or None
        For a search by simulation.
    mcse : float
        Monte-Carlo error of the power at the answer, at which a search by simulation ends.
    n_jobs : int, optional
        As for `study`.
    method : "auto", "exact" or "simulation"
        As for `find_size`.
    progress : bool
        As for `find_size`.
    **question
        `contrasts`, `alternative` and `df`, as for `exact_power`; only where the answer is exact.

    Returns
    -------
    Effect

    Raises
    ------
    ValueError
        If there is no such term or no test of it, the power is not above alpha, or an analysis finds no effect even of
        five times the size that the model of the world would detect.

    Notes
    -----
    The power depends on the effect by its ratio to the standard error alone, which does not depend on the effect: the
    exact answer solves one equation. A search by simulation fits power = Phi(a + b effect), as `find_size` does. An
    effect that is detected with this power is not what one should expect to find: plan for the smallest that matters.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> find_effect(*teaching_methods(schools=20), term="method[T.new]")
    4.635 is the smallest effect of 'method[T.new]' that this design detects with a power of 0.8, ...
    """
    goal = Goal(term, power, alpha, question=question)
    check_mcse(mcse)
    if power <= alpha:
        raise ValueError(f"power is {power:g}, and alpha {alpha:g} is reached without any effect: ask for more")
    exact = takes_exact(model, analysis, method)
    with unwrapped(), warnings.catch_warnings():
        if not exact:  # then the exact numbers only say where to look
            warnings.simplefilter("ignore")
        row = goal.exact(model, design)
    se, df = float(row["se"]), float(row["df"])
    if np.isnan(df):
        raise ValueError(f"there is no test of '{term}' in this design; it needs more groups")
    alternative = question.get("alternative", "two-sided")
    effect = se * _noncentrality(goal, df, alternative)
    if exact:
        signed = -effect if alternative == "less" else effect
        none = pd.DataFrame(columns=["effect", "replicates", "power", "mcse"])
        return Effect(signed, term, power, 0.0, signed, signed, "exact", power, se, df, none)
    if term not in model.beta:
        raise ValueError(f"'{term}' is not a coefficient of the model; they are {', '.join(model.beta)}")
    with unwrapped(), counted_looks(progress) as before:

        def world(value: float) -> tuple[Model, pd.DataFrame]:
            before(f"{value:.4g}")
            return Model(model.formula, {**model.beta, term: value}, model.random, model.residual), design

        places = (effect * np.geomspace(0.2, 5, 400)).tolist()
        curve = Search(Looker(world, analysis, goal, streams.root(rng), n_jobs), places, power, np.asarray).run(mcse)
    value = curve.crossing
    looks = curve.rates.rename(columns={"size": "effect"})
    return Effect(value, term, *curve.power(value), *curve.between, "simulation", power, se, df, looks)


def _noncentrality(goal: Goal, df: float, alternative: str) -> float:
    """Effect in standard errors whose t test has the wanted power."""
    from scipy.optimize import brentq

    one_sided: Any = "two-sided" if alternative == "two-sided" else "greater"

    def missing(ncp: float) -> float:
        return float(t_power(ncp, df, goal.alpha, one_sided)) - goal.power

    top = 4.0
    while missing(top) < 0:
        top *= 2
    return float(brentq(missing, 0.0, top, xtol=1e-12, rtol=1e-12))
