"""Questions asked of a fitted mixed model: compare two, bootstrap one, profile its likelihood.

`MixedFit` is the `Fit` of a mixed model, with these questions as methods; the functions do the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lmmsim.checks import check_whole
from lmmsim.estimators.bootstrap import Bootstrap, bootstrap
from lmmsim.estimators.fit import Fit
from lmmsim.estimators.profile import profile
from lmmsim.model.columns import RandomTerm
from lmmsim.model.residual import IID, Residual
from lmmsim.model.units import WithinUnit
from lmmsim.model.unstructured import Unstructured
from lmmsim.streams import Rng


@dataclass(frozen=True, eq=False, repr=False)
class MixedFit(Fit):
    """The `Fit` of a linear mixed model.

    Attributes
    ----------
    theta : ndarray, (t,)
        Lower triangles of the relative covariance factors, term by term, as lme4's `getME(fit, "theta")`.
    """

    theta: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def bootstrap(self, replicates: int = 1000, rng: Rng = None) -> Bootstrap:
        """Refit data simulated from this fit; see `lmmsim.estimators.bootstrap.bootstrap`."""
        check_whole("replicates", replicates)
        return bootstrap(self, replicates, rng)

    def profile(self, level: float | None = None, reml: bool | None = None) -> pd.DataFrame:
        """Likelihood-profile intervals; see `lmmsim.estimators.profile.profile`."""
        return profile(self, level, reml)


def compare(fit0: Fit, fit1: Fit) -> pd.DataFrame:
    """Likelihood-ratio comparison of two nested fits of the same data.

    Parameters
    ----------
    fit0, fit1 : Fit
        The smaller model and the larger. Full maximum likelihood if their fixed parts differ; REML will do if only
        their random parts do. A least-squares fit is a mixed model without random effects.

    Returns
    -------
    DataFrame, index the formulas
        `npar criterion aic bic`, and for the larger `chisq df p`. When one random effect is added its variance is
        tested at zero, the edge of what is possible, and `p` is too large: `p_boundary` weighs chi2(df - 1) and
        chi2(df) equally (Self & Liang 1987; Stram & Lee 1994), which is what to report. `note` says so.

    Raises
    ------
    ValueError
        If the responses differ, one model does not contain the other, or REML fits have different fixed parts.

    Examples
    --------
    >>> from lmmsim.estimators.least_squares import OLS
    >>> from lmmsim.estimators.lmm import LMM
    >>> rng = np.random.default_rng(1)
    >>> plants = pd.DataFrame({"plot": np.repeat(range(10), 5), "week": np.tile(range(5), 10)})
    >>> plants["height"] = 10 + 2 * plants["week"] + rng.normal(size=10)[plants["plot"]] + rng.normal(size=50)
    >>> table = compare(OLS("height ~ week")(plants), LMM("height ~ week + (1 | plot)", reml=False)(plants))
    >>> table["npar"].tolist()
    [3, 4]
    """
    from scipy.special import chdtrc

    for fit in (fit0, fit1):
        if not isinstance(fit, Fit):
            raise TypeError(f"compare takes two fits, as LMM(formula)(data); got {type(fit).__name__}")
    reml = check_comparable(fit0, fit1)
    extra = fit1.npar - fit0.npar
    added = variances(fit1) - variances(fit0)
    fits, criteria = (fit0, fit1), [likelihood(fit0, reml), likelihood(fit1, reml)]
    # the restricted likelihood depends on the units of X; what is left of it does not
    units = [log_det(fit.matrices.X.to_numpy()) if reml else 0.0 for fit in fits]
    chisq = max(criteria[0] - criteria[1] - (units[0] - units[1]), 0.0)
    table = pd.DataFrame(
        {"npar": [fit.npar for fit in fits], "criterion": criteria}, index=pd.Index([f.formula for f in fits])
    )
    table["aic"] = table["criterion"] + 2 * table["npar"]
    table["bic"] = table["criterion"] + np.log(fit0.nobs) * table["npar"]
    p = chdtrc(extra, chisq)
    boundary = (chdtrc(extra - 1, chisq) if extra > 1 else float(chisq <= 0)) / 2 + p / 2
    note = ""
    if added == 1:
        note = f"a variance is tested at zero: p_boundary mixes chi2({extra - 1}) and chi2({extra})"
    elif added > 1:
        note = f"{added} variances are tested at zero: p is too large, and no simple mixture is right; use bootstrap"
    return table.assign(
        chisq=[np.nan, chisq],
        df=[np.nan, extra],
        p=[np.nan, p],
        p_boundary=[np.nan, boundary if added == 1 else np.nan],
        note=["", note],
    ).rename_axis("model")


def variances(fit: Fit) -> int:
    """Number of random-effect variances."""
    return sum(len(term.names) for term in fit.matrices.terms)


def likelihood(fit: Fit, reml: bool) -> float:
    """-2 log-likelihood of a fit; that of least squares in the restricted sense, where asked."""
    if fit.reml or not reml:
        return fit.criterion
    X, df = fit.matrices.X.to_numpy(), fit.nobs - len(fit.beta)
    rss = float(fit.residuals @ fit.residuals)
    return log_det(X) + df * (1 + np.log(2 * np.pi * rss / df))


def log_det(X: np.ndarray) -> float:
    """log|X'X|."""
    return 2 * float(np.log(np.abs(np.diagonal(np.linalg.qr(X)[1]))).sum())


def check_comparable(fit0: Fit, fit1: Fit) -> bool:
    """Refuse fits whose likelihoods cannot be compared; say whether they are REML's."""
    if fit0.nobs != fit1.nobs or not np.array_equal(fit0.y, fit1.y):
        raise ValueError(
            f"the fits are not of the same data ({fit0.nobs} and {fit1.nobs} rows): fit both models to the same rows, "
            "in the same order"
        )
    if fit0.absorbed or fit1.absorbed:
        raise ValueError("an analysis within groups has no likelihood to compare: use OLS or LMM")
    if fit0.npar >= fit1.npar:
        raise ValueError(f"compare(smaller, larger): the first has {fit0.npar} parameters and the second {fit1.npar}")
    mixed = [fit for fit in (fit0, fit1) if fit.matrices.terms or fit.structure is not None]
    kinds = {fit.reml for fit in mixed}
    if len(kinds) > 1:
        raise ValueError("one fit is by REML and the other by maximum likelihood: refit both with reml=False")
    X0, X1 = fit0.matrices.X.to_numpy(), fit1.matrices.X.to_numpy()
    inside = within_span(X0, X1)
    if kinds == {True} and not (inside and within_span(X1, X0)):
        raise ValueError(
            "REML likelihoods of models with different fixed parts cannot be compared: refit both with reml=False"
        )
    outside = [term for term in fit0.matrices.terms if not any(holds(other, term) for other in fit1.matrices.terms)]
    if not inside or outside:
        raise ValueError(
            f"'{fit0.formula}' is not contained in '{fit1.formula}'{_why(outside)}: a likelihood ratio needs nested "
            "models"
        )
    if not residual_within(fit0.residual, fit1.residual):
        raise ValueError(
            f"the residual of the first fit ({fit0.residual.words_below}) is not contained in that of the second "
            f"({fit1.residual.words_below}): a likelihood ratio needs nested models; compare their AIC"
        )
    return kinds == {True}


def _why(outside: list[RandomTerm]) -> str:
    """What of the smaller model the larger has not."""
    if not outside:
        return ""
    term = outside[0]
    together = f"correlations of {' and '.join(term.names)}" if len(term.names) > 1 else f"effect {term.names[0]}"
    return f", which has not the {together} in '{term.group}'"


def holds(large: RandomTerm, small: RandomTerm) -> bool:
    """Whether effects of one random term, correlations included, are among those that another can have.

    The groups are the same, whatever they are called, and the columns of one are combinations of the other's.
    """
    place = np.full(len(small.levels), -1)
    place[small.codes] = large.codes
    same = len(small.levels) == len(large.levels) and np.array_equal(place[small.codes], large.codes)
    return same and within_span(small.columns, large.columns)


def residual_within(small: Residual, large: Residual) -> bool:
    """Whether one kind of residual is a case of another: one with fewer levels, or without its correlation."""
    if small.weights != large.weights:
        return False
    if isinstance(large, Unstructured):
        units = {kind.unit_name for kind in (small, large) if isinstance(kind, WithinUnit)}
        return len(units) == 1 and (small.by in (None, large.time))
    alike = isinstance(small, IID) or (type(small) is type(large) and _same_unit(small, large))
    return alike and small.by in (None, large.by)


def _same_unit(small: Residual, large: Residual) -> bool:
    """Whether both correlate the same rows by the same time."""
    return all(getattr(small, name, None) == getattr(large, name, None) for name in ("unit", "time"))


def within_span(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether every column of one matrix is a combination of the columns of another."""
    Q, _ = np.linalg.qr(outer)
    rest = inner - Q @ (Q.T @ inner)
    return bool((np.linalg.norm(rest, axis=0) <= 1e-8 * np.linalg.norm(inner, axis=0)).all())
