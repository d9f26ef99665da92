"""Diagnose: ask a fit all questions at once; every answer is a table and a number with its reference distribution.

Nothing here says "fine" or "bad": a `p` is the share of data sets simulated from the fit, and analysed like the real
one, that are at least as extreme. A dozen questions make a small p by chance likely; look at the pictures too. What
each number means is said in words when a diagnosis is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from textwrap import fill
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import check_columns, columns_of, is_whole
from lmmsim.diagnostics.influence import influence
from lmmsim.diagnostics.quantiles import random_qq, residual_qq
from lmmsim.diagnostics.refits import Check, Refits, refits, rows_of
from lmmsim.diagnostics.residuals import LARGEST, least_confounded, residuals, simulated_residuals
from lmmsim.diagnostics.serial import lag_correlation
from lmmsim.diagnostics.trends import linearity, scale_location, slopes
from lmmsim.diagnostics.verdicts import opening, verdicts
from lmmsim.estimators.fit import Fit
from lmmsim.estimators.lmm import LMM
from lmmsim.model.columns import used_columns
from lmmsim.model.frame import holds_numbers
from lmmsim.model.from_fit import numbers
from lmmsim.streams import Rng, generator


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """The answers.

    Attributes
    ----------
    summary : DataFrame, index "check"
        `statistic low high p replicates` of all checks; see `Check`.
    residuals : DataFrame
        Of every row; see `lmmsim.diagnostics.residuals.residuals`.
    checks : mapping of str to Check
        By name: "random_qq", "linearity week", ...; `diagnosis["random_qq"]` is its table, and so is that of a row
        of the summary, `diagnosis["slopes week | plot"]`.
    words : list of str
        A sentence for every check, which `print` shows too.
    data : DataFrame
        The rows that were analysed.
    time, group : str or None
        The column of the time and the first grouping factor, where there are any.
    note : str
        What was done to get here, if there is anything to say.
    """

    summary: pd.DataFrame
    residuals: pd.DataFrame
    checks: Mapping[str, Check] = field(default_factory=dict)
    data: pd.DataFrame = field(default_factory=pd.DataFrame)
    time: str | None = None
    group: str | None = None
    note: str = ""

    @property
    def words(self) -> list[str]:
        """A sentence for every check: what was looked at, and whether it is more than chance makes."""
        return verdicts(self.summary)

    def __getitem__(self, name: str) -> pd.DataFrame:
        for key, check in self.checks.items():
            if name == key or name in check.verdict.index:
                return check.table
        raise KeyError(f"there is no check '{name}'; there are {', '.join(self.checks)}")

    def __repr__(self) -> str:
        table = self.summary.to_string(float_format="{:.4g}".format)
        parts = [fill(line, 100, subsequent_indent="  ") for line in (*self._head, *self.words)]
        return "\n".join([*parts, "", table])

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{escape(line)}</p>" for line in self._head)
        words = "".join(f"<li>{escape(line)}</li>" for line in self.words)
        return f"{head}<ul>{words}</ul>{self.summary.to_html(float_format='{:.4g}'.format, border=0)}"

    @property
    def _head(self) -> list[str]:
        return [*([self.note] if self.note else []), opening(self.summary)]


def diagnose(
    fit: Any,
    data: pd.DataFrame | None = None,
    rng: Rng = None,
    *,
    replicates: int = 199,
    time: str | None = None,
    covariates: Sequence[str] | None = None,
    left_out: int = 100,
) -> Diagnosis:
    """Check the assumptions of a fit.

    Parameters
    ----------
    fit : Fit or statsmodels MixedLMResults
        From LMM or OLS. A fit of statsmodels that was made from a formula is repeated by `LMM` on the same rows, which
        the diagnosis says.
    data : DataFrame, optional
        Rows of the fit, with columns beside those of the model; its own data by default.
    rng : Generator, int or None
        Simulates the reference data sets.
    replicates : int
        Their number; the smallest possible p is 1 / (1 + replicates).
    time : str, optional
        When a unit was measured, for the lag correlation. By default a numeric column of the formula with the same few
        values in the groups of the first grouping factor, none of them twice.
    covariates : sequence of str, optional
        Columns to look along; by default all of the formula, `time` included.
    left_out : int
        Grouping factors with more levels than this are left out one by one at kept variances only.

    Returns
    -------
    Diagnosis
        Printed, it says of every check in words what was looked at and whether it is more than chance makes;
        `lmmsim.plot.diagnosis` draws it. Its `summary` has the numbers, `diagnosis["linearity week"]` and so on the
        tables.

    Raises
    ------
    ValueError
        If a column is not there, or the data have other rows than the fit.

    Notes
    -----
    What each check asks:

    - `random_qq`, `residual_qq`: do the predicted effects of a term, do the residuals follow normal quantiles?
    - `least_confounded`: the same for combinations of rows in which no random effect and no estimate is left.
    - `linearity`: do mean residuals bend along a covariate?
    - `scale_location`: does the spread of residuals follow the fitted values, or a covariate?
    - `lag_correlation`: are residuals of one unit more alike the nearer they are in time?
    - `slopes`: do the residuals of groups have slopes that the model leaves out?
    - `uniformity`, `dispersion`, `outliers`: where do the responses stand among simulated ones: their ranks, their
      spread, how many are beyond all of them?
    - `influence`: how far does the fit move without a group?

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> diagnosis = diagnose(LMM(plants.model.formula)(plants.data), rng=2, replicates=99)
    >>> list(diagnosis.checks)[:4]
    ['random_qq', 'residual_qq', 'least_confounded', 'linearity week']
    >>> diagnosis["lag_correlation week"]["lag"].tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    if not is_whole(replicates) or replicates < 1:
        raise ValueError(f"replicates is {replicates}; the checks need simulated data sets, 199 for p down to 0.005")
    fit, note = as_fit(fit)
    rng = generator(rng)
    refit = refits(replace(fit, data=rows_of(fit, data)), replicates, rng)
    bars = fit.matrices.terms
    along = _covariates(refit) if covariates is None else columns_of(covariates)
    numeric = [name for name in along if _is_number(refit.data, name)]
    if time is not None and not _is_number(refit.data, time):
        raise ValueError(f"time='{time}' holds no numbers, so there is no time between two measurements")
    time = _time(refit, numeric) if time is None else time

    checks: dict[str, Check] = {}
    if bars:
        checks["random_qq"] = random_qq(refit)
    checks["residual_qq"] = residual_qq(refit)
    if _free_rows(fit) >= 3:
        checks["least_confounded"] = least_confounded(fit)
    for name in numeric:
        if refit.data[name].nunique() > 2:
            checks[f"linearity {name}"] = linearity(refit, name)
    checks["scale_location fitted"] = scale_location(refit)
    for name in along:
        own = f"scale_location {name}"
        checks[f"{own} (a column)" if own in checks else own] = scale_location(refit, by=name)
    for name in numeric:
        if bars and _varies_within(refit, name):
            checks[f"slopes {name}"] = slopes(refit, name)
    if time is not None and bars:
        checks[f"lag_correlation {time}"] = lag_correlation(refit, time)
    checks["simulated_residuals"] = simulated_residuals(refit)
    for term in {term.group: term for term in bars}.values():
        checks[f"influence {term.group}"] = influence(refit, term.group, keep_variances=len(term.levels) > left_out)
    summary = pd.concat([check.verdict for check in checks.values()])
    group = bars[0].group if bars else None
    return Diagnosis(summary, residuals(fit), MappingProxyType(checks), refit.data, time, group, note)


def as_fit(fit: Any) -> tuple[Any, str]:
    """A fit as it is; one of statsmodels repeated by LMM, and the sentence that says so."""
    if hasattr(fit, "matrices") or not (hasattr(fit, "fe_params") and hasattr(fit, "cov_re")):
        return fit, ""
    world = numbers(fit)
    again = LMM(world["formula"], reml=fit.model.reml)(fit.model.data.frame)
    theirs = fit.fe_params.reindex(list(again.terms)).to_numpy(dtype=float)
    apart = float(np.nanmax(np.abs(theirs - again.beta) / again.coef["se"].to_numpy()))
    same = f"its coefficients differ by {apart:.2g} standard errors at most"
    better = -2 * float(fit.llf) - again.criterion
    if better > 0.01:
        same += f", and its -2 log-likelihood is {better:.3g} smaller: statsmodels had stopped too early"
    return again, f"statsmodels' fit was repeated by LMM('{world['formula']}') on the same rows; {same}."


def _covariates(refit: Refits) -> list[str]:
    """Columns of the formula that are not grouping factors."""
    groups = {part for term in refit.fit.matrices.terms for part in term.by}
    return [name for name in used_columns(refit.fit.formula, refit.data) if name not in groups]


def _is_number(data: pd.DataFrame, name: str) -> bool:
    check_columns(data, [name])
    return holds_numbers(data[name])


def _varies_within(refit: Refits, name: str) -> bool:
    """Whether some group of the first grouping factor has more than two rows and more than one value."""
    groups = refit.data[name].groupby(refit.fit.matrices.terms[0].codes)
    return bool(((groups.nunique() > 1) & (groups.size() > 2)).any())


def _time(refit: Refits, numeric: Sequence[str]) -> str | None:
    """A column that is a schedule: its values come back in most groups, none twice in one."""
    if not refit.fit.matrices.terms:
        return None
    codes = refit.fit.matrices.terms[0].codes
    for name in numeric:
        values = refit.data[name]
        twice = pd.DataFrame({"group": codes, "time": values.to_numpy()}).duplicated().any()
        if values.nunique() > 2 and values.nunique() <= len(values) / 2 and not twice:
            return name
    return None


def _free_rows(fit: Fit) -> int:
    """A lower bound of the rows that groups and coefficients leave free; none where there are too many to look at."""
    effects = sum(len(term.levels) * len(term.names) for term in fit.matrices.terms)
    return fit.nobs - effects - len(fit.beta) if fit.nobs <= LARGEST else 0
