"""What an analysis returns: tables that agree with each other, and a print that says what matters."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE

from lmmsim.estimators.estimates import Estimates, critical_value, p_value
from lmmsim.estimators.least_squares import OLS
from lmmsim.estimators.lmm import LMM

DATA = REFERENCE / "data"


@pytest.fixture(scope="module")
def sleep():
    return LMM("Reaction ~ Days + (Days | Subject)")(pd.read_csv(DATA / "sleepstudy.csv"))


def test_p_values_are_those_of_scipy():
    from scipy import stats

    t, df = np.array([0.0, -1.5, 8.0, 30.0, 2.0]), np.array([3.0, 7.3, 100.0, 40.0, np.inf])
    np.testing.assert_allclose(p_value(t, df), 2 * stats.t.sf(np.abs(t), df), rtol=1e-8)
    np.testing.assert_allclose(critical_value(df, 0.9), stats.t.ppf(0.95, df), rtol=1e-8)
    assert np.isnan(p_value(np.array([1.0, np.nan]), np.array([np.nan, 3.0]))).all()


def test_interval_and_p_are_of_one_distribution():
    """An interval whose level is 1 - p ends exactly at zero."""
    data = pd.read_csv(DATA / "sleepstudy.csv").query("Subject in [308, 309, 310, 330]")
    p = LMM("Reaction ~ Days + (Days | Subject)")(data).coef.loc["Days", "p"]
    fit = LMM("Reaction ~ Days + (Days | Subject)", level=1 - p)(data)
    np.testing.assert_allclose(fit.coef.loc["Days", "low"], 0, atol=1e-6)


def test_tables_are_labelled_by_the_formula(sleep):
    assert list(sleep.coef.columns) == ["estimate", "se", "df", "t", "p", "low", "high"]
    assert sleep.coef.index.name == "term" and list(sleep.coef.index) == ["Intercept", "Days"]
    assert list(sleep.vcov.index) == list(sleep.vcov.columns) == ["Intercept", "Days"]
    assert list(sleep.random["Subject"].index) == ["Intercept", "Days"]
    assert sleep.u.index.names == ["group", "level", "term"]
    assert sleep.u["Subject"].unstack().shape == (18, 2)
    assert sleep.u.index.equals(sleep.u_var.index)
    assert (sleep.nobs, sleep.ngroups, sleep.npar, sleep.reml) == (180, {"Subject": 18}, 6, True)


def test_truth_and_estimate_join_by_name(sleep):
    table = sleep.coef.assign(truth=pd.Series({"Days": 10.0, "Intercept": 250.0}))
    assert table.loc["Days", "truth"] == 10.0


def test_the_numbers_of_a_fit_agree_with_each_other(sleep):
    np.testing.assert_allclose(np.sqrt(np.diag(sleep.vcov)), sleep.coef["se"])
    np.testing.assert_allclose(sleep.fitted + sleep.resid, sleep.y)
    np.testing.assert_allclose(sleep.loglik, -sleep.criterion / 2)
    X, slopes = sleep.matrices.X.to_numpy(), sleep.u["Subject"].unstack()[["Intercept", "Days"]]
    Zu = (X * slopes.loc[sleep.data["Subject"]].to_numpy()).sum(axis=1)
    np.testing.assert_allclose(sleep.fitted, X @ sleep.coef["estimate"] + Zu)
    np.testing.assert_allclose(
        sleep.sd.loc[("Subject", "Days"), "sd"] ** 2, sleep.random["Subject"].loc["Days", "Days"]
    )


def test_bars_of_one_group_are_one_covariance_with_zeros_between():
    fit = LMM("Reaction ~ Days + (Days || Subject)")(pd.read_csv(DATA / "sleepstudy.csv"))
    G = fit.random["Subject"]
    assert list(G.columns) == ["Intercept", "Days"] and G.loc["Intercept", "Days"] == 0
    assert fit.u["Subject"].unstack().shape == (18, 2) and fit.npar == 5


def test_rows_keep_the_index_of_the_data():
    data = pd.read_csv(DATA / "sleepstudy.csv").set_index(pd.Index(range(1000, 1180)))
    fit = LMM("Reaction ~ Days + (1 | Subject)")(data)
    assert fit.resid.index.equals(data.index) and fit.fitted.index.equals(data.index)


def test_print_shows_formula_criterion_spread_and_coefficients(sleep):
    text = repr(sleep)
    for part in (
        "Reaction ~ Days + (Days | Subject)",
        "180 rows, 18 levels of Subject; REML criterion 1743.6283",
        "24.74",  # lme4: Std.Dev. of Subject (Intercept)
        "0.07",  # its correlation with Days
        "25.59",  # residual
        "10.47",
        "<0.001",
    ):
        assert part in text
    assert "612" not in text  # no variances
    html = sleep._repr_html_()
    assert html.count("<table") == 2 and "(Days | Subject)" in html


def test_dir_shows_what_a_user_may_ask_and_nothing_else(sleep):
    shown = dir(sleep)
    assert {"coef", "sd", "random", "u", "icc", "r2", "predict", "profile", "bootstrap", "fitted", "resid"} <= set(
        shown
    )
    assert not {"beta", "vcov_beta", "covariances", "conditional", "theta_"} & set(shown)
    assert not [name for name in shown if name.startswith("_")]


def test_correlations_are_numbers_too(sleep):
    """lme4: sds 24.741, 5.922, 25.592, correlation 0.066."""
    assert sleep.sd["sd"].dtype == float and sleep.sd["corr Intercept"].dtype == float
    assert sleep.sd.loc[("Subject", "Days"), "corr Intercept"] == pytest.approx(0.066, abs=1e-3)
    assert np.isnan(sleep.sd.loc[("Subject", "Intercept"), "corr Intercept"])
    assert sleep.components["corr", "Subject", "Intercept, Days"] == pytest.approx(0.066, abs=1e-3)


def test_print_says_when_a_fit_is_singular():
    fit = LMM("Yield ~ 1 + (1 | Batch)")(pd.read_csv(DATA / "dyestuff2.csv"))
    assert fit.singular and "singular: a variance is estimated as zero" in repr(fit)


def test_print_of_least_squares_has_no_random_effects():
    text = repr(OLS("Reaction ~ Days")(pd.read_csv(DATA / "sleepstudy.csv")))
    assert "residual" in text and "levels of" not in text


def test_a_z_fit_shows_z():
    text = repr(LMM("Reaction ~ Days + (1 | Subject)", df="z")(pd.read_csv(DATA / "sleepstudy.csv")))
    assert " z " in text and " df " not in text


def test_a_fit_can_be_pickled_and_copied(sleep):
    for twin in (pickle.loads(pickle.dumps(sleep)), copy.deepcopy(sleep)):
        pd.testing.assert_frame_equal(twin.coef, sleep.coef)
        pd.testing.assert_series_equal(twin.u, sleep.u)


def test_estimates_say_how_many_they_are_and_what_failed():
    nothing = np.array(["", ""], dtype=object)
    yes, no = np.ones(2, dtype=bool), np.zeros(2, dtype=bool)
    estimate = np.array([[1.0, 2.0], [3.0, np.nan]])
    many = Estimates(("a", "b"), estimate, estimate / 2, estimate * 0 + 9, yes * 1.0, yes * 1.0, yes, no, nothing)
    assert repr(many) == "Estimates of a, b from 2 responses: 0 not converged, 0 singular"
    assert len(many) == 2
    np.testing.assert_allclose(many.t, [[2, 2], [2, np.nan]])
    np.testing.assert_allclose(many.p, p_value(many.t, many.df))
    inside = (many.low < 1.5) & (many.high > 1.5)
    assert [many.covers(1.5, 0).tolist(), many.covers(1.5, 1)[0]] == [inside[:, 0].tolist(), inside[0, 1]]
    assert np.isnan(many.covers(1.5, 1)[1])
