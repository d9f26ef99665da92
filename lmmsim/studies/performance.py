"""Performance: how good an analysis is, each number with its Monte-Carlo error.

The measures and their Monte-Carlo standard errors are those of Morris, White & Crowther (2019), Statistics in Medicine
38:2074, table 6; those of the sign and the exaggeration of significant estimates are Gelman & Carlin's (2014).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from lmmsim.checks import check_choice, check_probability, is_number, listed, quoted
from lmmsim.estimators.estimates import Estimates
from lmmsim.studies.tables import Readable

Number = tuple[float, float]
NOTHING: Number = (np.nan, np.nan)
MEASURES = (
    *("mean", "bias", "emp_se", "model_se", "se_ratio", "mse", "coverage", "rejection", "rejection_all"),
    *("type_s", "type_m", "failure_rate", "singular_rate"),
)
READ = ("truth", "bias", "emp_se", "model_se", "coverage", "rejection", "n", "singular")  # what people read
MOST = 1e15  # replicates that nobody makes


class Results(Protocol):
    """What is read of a `Study` here."""

    @property
    def answers(self) -> dict[str, Estimates]: ...
    @property
    def truth(self) -> pd.Series: ...
    @property
    def true_components(self) -> pd.Series: ...


def performance(
    study: Results,
    alpha: float = 0.05,
    truth: Mapping[str, float] | None = None,
    unconverged: bool = False,
    *,
    of: Literal["coefficients", "components"] = "coefficients",
    full: bool = False,
) -> pd.DataFrame:
    """Summarise a study: bias, precision, coverage and rejection of every analysis.

    Parameters
    ----------
    study : Study
    alpha : float
        Level of the tests against zero. Intervals have the level of their estimator.
    truth : mapping, optional
        True values of terms that are no coefficients of the model.
    unconverged : bool
        Whether fits that did not converge count like others; by default they are left out.
    of : "coefficients" or "components"
        Components are the standard deviations and correlations of the analyses that have random effects.
    full : bool
        Print all columns; otherwise those that people read. The table has all of them either way.

    Returns
    -------
    DataFrame, index (term, analysis), or (part, group, term, analysis) of components
        With a column `<name>_mcse` beside each that is simulated:

        - `truth`; `mean` of the estimates; `bias`, their difference
        - `emp_se`, standard deviation of the estimates; `model_se`, root mean square of the reported ones;
          `se_ratio`, model over empirical: below 1 is overconfident
        - `mse`, mean squared error
        - `coverage` of the intervals
        - `rejection`, share of p < alpha among the replicates that could be analysed: type-I error where the truth is
          0, power elsewhere; `rejection_all`, where the others count as not rejected
        - `type_s`, share of wrong signs, and `type_m`, mean the size of estimate / truth, among the rejections
        - `failure_rate` of all replicates, `singular_rate` of those that were used
        - `n` replicates that were used, `failed`, `not_converged`; `singular` among those used

        Components have no standard errors, so no columns of intervals and tests; a correlation with a zero sd is left
        out.

    Raises
    ------
    ValueError
        If alpha is not between 0 and 1, or `truth` names what no analysis estimates.

    References
    ----------
    Morris, White & Crowther (2019), Statistics in Medicine 38:2074. Gelman & Carlin (2014), Perspectives on
    Psychological Science 9:641.

    Examples
    --------
    >>> from lmmsim import OLS, scenarios
    >>> from lmmsim.studies.study import study
    >>> table = performance(study(*scenarios.teaching_methods(), {"OLS": OLS("score ~ method")}, 1000, rng=1))
    >>> bool(table.loc[("method[T.new]", "OLS"), "se_ratio"] < 0.7)     # OLS is overconfident about schools
    True
    """
    if not hasattr(study, "answers"):
        kind = type(study).__name__
        raise TypeError(f"performance is asked of what study() returned, which knows the truth; got {kind}")
    check_probability("alpha", alpha)
    check_choice("of", of, ("coefficients", "components"))
    if of == "components":
        table = _of_components(study, unconverged)
    else:
        table = _of_coefficients(study, alpha, truth or {}, unconverged)
    return table if full else Readable(table, READ)


def _of_coefficients(study: Results, alpha: float, truth: Mapping[str, float], unconverged: bool) -> pd.DataFrame:
    """A row for every term and analysis, term by term."""
    terms = list(dict.fromkeys(term for one in study.answers.values() for term in one.terms))
    if strangers := [name for name in truth if name not in terms]:
        raise ValueError(f"truth names {listed(strangers)}, which no analysis estimates; the terms are {listed(terms)}")
    true = study.truth.to_dict() | dict(truth)
    rows = {
        (term, name): _coefficient(one, one.terms.index(term), true.get(term, np.nan), _usable(one, unconverged), alpha)
        for term in terms
        for name, one in study.answers.items()
        if term in one.terms
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["term", "analysis"])
    return pd.DataFrame(list(rows.values()), index=index)


def _of_components(study: Results, unconverged: bool) -> pd.DataFrame:
    """A row for every standard deviation or correlation and analysis."""
    true = study.true_components.to_dict()
    components = dict.fromkeys(component for one in study.answers.values() for component in one.components)
    rows = {
        (*component, name): _component(one, component, true.get(component, np.nan), _usable(one, unconverged))
        for component in components
        for name, one in study.answers.items()
        if component in one.components
    }
    if not rows:
        raise ValueError("no analysis of this study has random effects, so there are no components to summarise")
    index = pd.MultiIndex.from_tuples(list(rows), names=["part", "group", "term", "analysis"])
    return pd.DataFrame(list(rows.values()), index=index).dropna(axis=1, how="all")


def _usable(one: Estimates, unconverged: bool) -> np.ndarray:
    """The replicates that count."""
    return ~one.failed & (one.converged | unconverged)


def _coefficient(one: Estimates, j: int, truth: float, usable: np.ndarray, alpha: float) -> dict[str, float]:
    """Row of one term."""
    usable = usable & ~np.isnan(one.estimate[:, j])
    estimate, se = one.estimate[usable, j], one.se[usable, j]
    p = one.p[:, j]
    tested = usable & ~np.isnan(p)
    rejected = tested & (p < alpha)
    covers = one.covers(truth, j)[usable]
    significant = one.estimate[rejected, j]
    sure = truth != 0 and not np.isnan(truth)
    numbers = _of_estimates(estimate, truth)
    numbers |= {"model_se": root_mean_square(se), "se_ratio": se_ratio(se, estimate)}
    numbers |= {
        "coverage": share(covers[~np.isnan(covers)]) if not np.isnan(truth) else NOTHING,
        "rejection": share(rejected[tested]),
        # whoever reports all replicates has to say something about those without a p value: not rejected
        "rejection_all": share(rejected) if tested.any() else NOTHING,
        "type_s": share(np.sign(significant) == -np.sign(truth)) if sure else NOTHING,
        "type_m": average(np.abs(significant / truth)) if sure else NOTHING,
    }
    return _row(truth, numbers, one, usable)


def _component(one: Estimates, component: Any, truth: float, usable: np.ndarray) -> dict[str, float]:
    """Row of a standard deviation or a correlation."""
    values = one.components[component]
    usable = usable & ~np.isnan(values)
    return _row(truth, _of_estimates(values[usable], truth), one, usable)


def _of_estimates(estimate: np.ndarray, truth: float) -> dict[str, Number]:
    """What needs nothing but estimates and the truth."""
    mean, mcse = average(estimate)
    return {
        "mean": (mean, mcse),
        "bias": (mean - truth, mcse if not np.isnan(truth) else np.nan),
        "emp_se": empirical_se(estimate),
        "mse": average((estimate - truth) ** 2),
    }


def _row(truth: float, numbers: Mapping[str, Number], one: Estimates, usable: np.ndarray) -> dict[str, float]:
    row: dict[str, Any] = {"truth": truth}
    numbers = {**numbers, "failure_rate": share(one.failed), "singular_rate": share(one.singular[usable])}
    for name in MEASURES:
        row[name], row[f"{name}_mcse"] = numbers.get(name, NOTHING)
    return row | {
        "n": int(usable.sum()),
        "failed": int(one.failed.sum()),
        "not_converged": int((~one.converged & ~one.failed).sum()),
        "singular": int((one.singular & usable).sum()),
    }


def share(events: np.ndarray) -> Number:
    """A proportion and its Monte-Carlo error, sqrt(p (1 - p) / n)."""
    if not len(events):
        return NOTHING
    p = float(np.mean(events))
    return p, math.sqrt(p * (1 - p) / len(events))


def average(values: np.ndarray) -> Number:
    """A mean and its Monte-Carlo error, sd / sqrt(n)."""
    n = len(values)
    if n == 0:
        return NOTHING
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else np.nan


def empirical_se(estimate: np.ndarray) -> Number:
    """The sd of estimates and its Monte-Carlo error, sd / sqrt(2 (n - 1))."""
    n = len(estimate)
    if n < 2:
        return NOTHING
    sd = float(estimate.std(ddof=1))
    return sd, sd / math.sqrt(2 * (n - 1))


def root_mean_square(se: np.ndarray) -> Number:
    """Root mean square of reported standard errors, and its Monte-Carlo error by the delta method."""
    known = se[~np.isnan(se)]
    if len(known) < 2:
        return NOTHING
    rms = math.sqrt(np.mean(known**2))
    return rms, float(np.std(known**2, ddof=1)) / (2 * math.sqrt(len(known)) * rms) if rms > 0 else np.nan


def se_ratio(se: np.ndarray, estimate: np.ndarray) -> Number:
    """Reported over empirical standard error, and its Monte-Carlo error by the delta method."""
    (model, model_mcse), (empirical, _) = root_mean_square(se), empirical_se(estimate)
    if not (model > 0 and empirical > 0):
        return NOTHING
    ratio = model / empirical
    return ratio, ratio * math.hypot(model_mcse / model, 1 / math.sqrt(2 * (len(estimate) - 1)))


def replicates_for(mcse: float, *, rate: float | None = None, sd: float | None = None) -> int:
    """How many replicates make a Monte-Carlo error small enough.

    Parameters
    ----------
    mcse : float
        Wanted Monte-Carlo standard error.
    rate : float, optional
        Expected rejection rate or coverage, between 0 and 1: n = rate (1 - rate) / mcse^2. 0.5 is the worst case.
    sd : float, optional
        Expected sd of the estimates, for a mean or a bias in their units: n = (sd / mcse)^2.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If not exactly one of `rate` and `sd` is given, or a number is impossible.

    References
    ----------
    Morris, White & Crowther (2019), section 5.3.

    Examples
    --------
    >>> replicates_for(mcse=0.002, rate=0.05)
    11875
    """
    if (rate is None) == (sd is None):
        raise ValueError("give rate= (for a rejection rate or a coverage) or sd= (for a bias), one of the two")
    if not (is_number(mcse) and mcse > 0):
        raise ValueError(f"mcse is {quoted(mcse)}; an error to aim at is above 0")
    if rate is not None and not 0 < rate < 1:
        raise ValueError(f"rate is {rate}; a rate lies between 0 and 1, and 0.5 needs the most replicates")
    if sd is not None and not sd > 0:
        raise ValueError(f"sd is {sd}; a standard deviation of estimates is above 0")
    variance = rate * (1 - rate) if rate is not None else float(sd or 0.0) ** 2
    if variance / mcse > MOST * mcse:
        raise ValueError(f"mcse is {mcse:g}: that needs more than {MOST:.0e} replicates")
    # 0.05 * 0.95 / 0.002**2 is 11875.000000000002 in floating point
    return math.ceil(round(variance / mcse**2, 6))
