"""The habits of people who come from statsmodels: its names on a fit, and .fit(data) on every estimator."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE

from lmmsim import LMM, OLS, GroupMeans, StatsmodelsLMM, Within

LME4 = json.loads((REFERENCE / "lme4.json").read_text())["fits"]


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "sleepstudy.csv")


ESTIMATORS = [
    LMM("Reaction ~ Days + (1 | Subject)"),
    OLS("Reaction ~ Days"),
    GroupMeans("Reaction ~ 1", unit="Subject"),
    Within("Reaction ~ Days", unit="Subject"),
    StatsmodelsLMM("Reaction ~ Days + (1 | Subject)"),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_fit_is_the_estimator_called_on_data(sleep, estimator):
    one, other = estimator.fit(sleep), estimator(sleep)
    pd.testing.assert_frame_equal(one.coef, other.coef)


def test_the_names_of_statsmodels_are_those_of_its_least_squares(sleep):
    from statsmodels.formula.api import ols

    theirs, ours = ols("Reaction ~ Days", sleep).fit(), OLS("Reaction ~ Days").fit(sleep)
    for name in ("params", "bse", "tvalues", "pvalues", "fittedvalues"):
        found = getattr(ours, name)
        assert isinstance(found, pd.Series)
        np.testing.assert_allclose(found, getattr(theirs, name), rtol=1e-9)
    assert list(ours.params.index) == list(theirs.params.index)
    for alpha in (0.05, 0.2):
        np.testing.assert_allclose(ours.conf_int(alpha), theirs.conf_int(alpha), rtol=1e-9)
    assert list(ours.conf_int().columns) == [0, 1]
    np.testing.assert_allclose(ours.llf, theirs.llf)
    assert ours.nobs == theirs.nobs
    assert "Days" in str(ours.summary())


@pytest.mark.parametrize(
    "key", ["sleepstudy_corr_REML", "sleepstudy_corr_ML", "sleepstudy_int_ML", "sleepstudy_int_REML"]
)
def test_aic_and_bic_are_lme4s(sleep, key):
    fit = LMM(LME4[key]["formula"], reml=LME4[key]["REML"]).fit(sleep)
    np.testing.assert_allclose([fit.aic, fit.bic], [LME4[key]["AIC"], LME4[key]["BIC"]], atol=1e-4)


def test_the_names_work_and_are_not_listed_twice(sleep):
    fit = LMM("Reaction ~ Days + (1 | Subject)").fit(sleep)
    listed = dir(fit)
    assert {"coef", "contrast", "means", "test", "predict", "aic", "bic"} <= set(listed)
    assert not {"params", "bse", "llf", "tvalues", "freedom", "information"} & set(listed)
    with pytest.raises(AttributeError):
        fit.params = 3


def test_a_response_of_two_values_or_counts_is_fitted_and_said(sleep):
    rng = np.random.default_rng(1)
    data = sleep.assign(slow=(sleep["Reaction"] > 300).astype(int), lapses=rng.poisson(3.0, len(sleep)))
    slow = LMM("slow ~ Days + (1 | Subject)").fit(data)
    assert "'slow' is 0 or 1: this is a linear model of its mean, the share of 1" in repr(slow)
    assert 'see the page "Not normal?"' in repr(slow)
    assert "'lapses' takes" in repr(OLS("lapses ~ Days").fit(data))
    assert "Not normal?" not in repr(OLS("Reaction ~ Days").fit(sleep))
    whole = sleep.assign(Reaction=sleep["Reaction"].round())  # whole milliseconds are not counts
    assert "Not normal?" not in repr(OLS("Reaction ~ Days").fit(whole))
