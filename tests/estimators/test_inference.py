"""Questions asked of a fitted mixed model: compare, profile, bootstrap, predict, shares of variance."""

from __future__ import annotations

import inspect
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE
from scipy import stats

from lmmsim.estimators.bootstrap import bootstrap, simulate_from
from lmmsim.estimators.contrasts import contrast, joint_test, means
from lmmsim.estimators.inference import MixedFit, compare
from lmmsim.estimators.least_squares import OLS, GroupMeans, Within
from lmmsim.estimators.lmm import LMM
from lmmsim.estimators.prediction import predict
from lmmsim.estimators.profile import profile

LME4 = json.loads((REFERENCE / "lme4.json").read_text())["fits"]


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / f"{name}.csv")


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return read("sleepstudy")


@pytest.fixture(scope="module")
def slopes(sleep):
    return LMM("Reaction ~ Days + (Days | Subject)")(sleep)


@pytest.mark.parametrize(
    ("method", "function"),
    [
        (MixedFit.bootstrap, bootstrap),
        (MixedFit.contrast, contrast),
        (MixedFit.means, means),
        (MixedFit.predict, predict),
        (MixedFit.profile, profile),
        (MixedFit.test, joint_test),
    ],
    ids=lambda called: called.__name__,
)
def test_a_question_that_a_fit_is_asked_has_the_defaults_of_the_function_that_answers_it(method, function):
    own, others = (list(inspect.signature(called).parameters.values())[1:] for called in (method, function))
    assert [(each.name, each.default) for each in own] == [(each.name, each.default) for each in others]


# ---- compare


def test_likelihood_ratio_is_the_difference_of_lme4s_criteria(sleep):
    small = LMM("Reaction ~ Days + (1 | Subject)", reml=False)(sleep)
    large = LMM("Reaction ~ Days + (Days | Subject)", reml=False)(sleep)
    table = compare(small, large)
    chisq = LME4["sleepstudy_int_ML"]["criterion"] - LME4["sleepstudy_corr_ML"]["criterion"]
    assert list(table.index) == [small.formula, large.formula]
    np.testing.assert_allclose(table["chisq"].iloc[1], chisq, atol=1e-4)
    assert table["df"].iloc[1] == 2 and list(table["npar"]) == [4, 6]
    for column, key in (("aic", "AIC"), ("bic", "BIC")):
        expected = [LME4["sleepstudy_int_ML"][key], LME4["sleepstudy_corr_ML"][key]]
        np.testing.assert_allclose(table[column], expected, atol=1e-4)


def test_a_variance_is_tested_at_its_boundary(sleep):
    from scipy import stats

    data = sleep.query("Subject < 335")
    table = compare(*(LMM(f"Reaction ~ Days + ({x} | Subject)", reml=False)(data) for x in ("1", "Days")))
    chisq = table["chisq"].iloc[1]
    np.testing.assert_allclose(table["p"].iloc[1], stats.chi2.sf(chisq, 2))
    np.testing.assert_allclose(table["p_boundary"].iloc[1], (stats.chi2.sf(chisq, 1) + stats.chi2.sf(chisq, 2)) / 2)
    assert "mixes chi2(1) and chi2(2)" in table["note"].iloc[1]
    # one intercept: half a point mass at zero; least squares is the model without it, by REML as well
    ols = OLS("Reaction ~ Days")(data)
    for reml in (True, False):
        table = compare(ols, LMM("Reaction ~ Days + (1 | Subject)", reml=reml)(data))
        np.testing.assert_allclose(table["p_boundary"].iloc[1], table["p"].iloc[1] / 2)


def test_least_squares_is_the_mixed_model_whose_variance_is_zero():
    """On dyestuff2 the estimate of the variance is zero, so both likelihoods are the same, full or restricted."""
    data = read("dyestuff2")
    for reml in (True, False):
        table = compare(OLS("Yield ~ 1")(data), LMM("Yield ~ 1 + (1 | Batch)", reml=reml)(data))
        np.testing.assert_allclose(table["chisq"].iloc[1], 0, atol=1e-6)
        assert table["p_boundary"].iloc[1] > 0.5


def test_a_coefficient_is_not_at_a_boundary(sleep):
    table = compare(*(LMM(f"Reaction ~ {x} + (1 | Subject)", reml=False)(sleep) for x in ("1", "Days")))
    assert np.isnan(table["p_boundary"].iloc[1]) and table["note"].iloc[1] == "" and table["df"].iloc[1] == 1


def test_two_variances_at_once_have_no_simple_mixture(sleep):
    data = read("pastes")
    table = compare(OLS("strength ~ 1")(data), LMM("strength ~ 1 + (1 | batch/cask)", reml=False)(data))
    assert np.isnan(table["p_boundary"].iloc[1]) and "2 variances are tested at zero" in table["note"].iloc[1]


def test_fits_that_cannot_be_compared_are_refused(sleep, slopes):
    one, days = (LMM(f"Reaction ~ {x} + (Days | Subject)")(sleep) for x in ("1", "Days"))
    with pytest.raises(ValueError, match="different fixed parts cannot be compared: refit both with reml=False"):
        compare(one, days)
    with pytest.raises(ValueError, match="one fit is by REML and the other by maximum likelihood"):
        compare(LMM("Reaction ~ Days + (1 | Subject)", reml=False)(sleep), slopes)
    with pytest.raises(ValueError, match=r"not of the same data \(170 and 180 rows\)"):
        compare(LMM("Reaction ~ Days + (1 | Subject)")(sleep.iloc[10:]), slopes)
    with pytest.raises(ValueError, match="not of the same data"):
        compare(LMM("Reaction ~ Days + (1 | Subject)")(sleep.assign(Reaction=sleep["Reaction"] + 1)), slopes)
    with pytest.raises(ValueError, match="the first has 6 parameters and the second 6"):
        compare(slopes, slopes)
    with pytest.raises(ValueError, match="is not contained in"):
        other = sleep.assign(late=sleep["Days"] > 5)
        compare(
            *(LMM(f, reml=False)(other) for f in ("Reaction ~ late + (1|Subject)", "Reaction ~ Days + (Days|Subject)"))
        )
    with pytest.raises(ValueError, match="within groups has no likelihood to compare"):
        compare(Within("Reaction ~ Days", unit="Subject")(sleep), slopes)


def test_the_units_of_x_do_not_matter_to_a_comparison(sleep):
    """The restricted likelihood itself changes by 2 log 24 when days become hours."""
    small, large = (LMM(f"Reaction ~ Days + ({x} | Subject)")(sleep) for x in ("1", "Days"))
    hours = LMM("Reaction ~ I(Days * 24) + (Days | Subject)")(sleep)
    np.testing.assert_allclose(hours.criterion - large.criterion, 2 * np.log(24), atol=1e-5)
    np.testing.assert_allclose(compare(small, hours)["chisq"], compare(small, large)["chisq"], atol=1e-5)


# ---- profile

# lme4 1.1-31, confint(lmer(formula, data, REML = FALSE), method = "profile"), sds and correlations
PROFILES = {
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)"): {
        ("coef", "", "Intercept"): (237.68069547, 265.12951469),
        ("coef", "", "Days"): (7.35865330, 13.57591874),
        ("sd", "Subject", "Intercept"): (14.38148112, 37.71601874),
        ("sd", "Subject", "Days"): (3.80116476, 8.75336666),
        ("corr", "Subject", "Intercept, Days"): (-0.48150044, 0.68498614),
        ("sd", "residual", ""): (22.89826622, 28.85799732),
    },
    ("dyestuff2", "Yield ~ 1 + (1 | Batch)"): {
        ("coef", "", "Intercept"): (4.3121002, 7.0190923),
        ("sd", "Batch", "Intercept"): (0.0, 2.0840435),
        ("sd", "residual", ""): (2.8928310, 4.8158326),
    },
    ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"): {
        ("coef", "", "Intercept"): (21.26662738, 24.67781762),
        ("sd", "plate", "Intercept"): (0.63356597, 1.18210398),
        ("sd", "sample", "Intercept"): (1.09578947, 3.55629186),
        ("sd", "residual", ""): (0.48584540, 0.62945348),
    },
    ("pastes", "strength ~ 1 + (1 | batch) + (1 | sample)"): {
        ("coef", "", "Intercept"): (58.66365038, 61.4430164),
        ("sd", "batch", "Intercept"): (0.0, 2.9465913),
        ("sd", "sample", "Intercept"): (2.15793374, 4.0535890),
        ("sd", "residual", ""): (0.65202336, 1.0854481),
    },
}


@pytest.mark.parametrize("case", PROFILES, ids=[name for name, _ in PROFILES])
def test_profile_intervals_are_those_of_lme4(case):
    """lme4 interpolates its profile; ours is compared at 1e-3 of the interval's width."""
    name, formula = case
    table = profile(LMM(formula)(read(name)), reml=False)
    assert (table["criterion"] == "ML").all()
    assert set(table.index) == set(PROFILES[case])
    for key, (low, high) in PROFILES[case].items():
        width = high - low
        np.testing.assert_allclose(table.loc[key, ["low", "high"]].astype(float), (low, high), atol=1.5e-3 * width)
        assert table.loc[key, "low"] <= table.loc[key, "estimate"] <= table.loc[key, "high"]


def test_a_profile_interval_can_be_wider_or_narrower(slopes):
    half, most = slopes.profile(level=0.5), slopes.profile(level=0.99)
    assert (half["low"] > most["low"]).all() and (half["high"] < most["high"]).all()
    assert ((half["low"] < half["estimate"]) & (half["estimate"] < half["high"])).all()


def test_the_unit_of_time_does_not_matter_to_a_profile(sleep, slopes):
    in_seconds = LMM("Reaction ~ Days + (Days | Subject)")(sleep.assign(Days=86_400 * sleep["Days"]))
    ends = [fit.profile().loc[("sd", "Subject", "Days"), ["low", "high"]].tolist() for fit in (slopes, in_seconds)]
    np.testing.assert_allclose(86_400 * np.array(ends[1]), ends[0], rtol=1e-4)


def test_a_profile_of_spread_far_from_the_data_is_the_slopes_at_that_distance():
    rng = np.random.default_rng(2)
    plot, week = np.repeat(np.arange(12), 5), np.tile(np.arange(5.0), 12)
    u = rng.normal(size=12)[plot]
    height = 10 + week + 2 * u + 0.5 * rng.normal(size=12)[plot] * week + rng.normal(size=60)
    plants = pd.DataFrame({"plot": plot, "week": week + 1000, "height": height})
    table = LMM("height ~ week + (week | plot)")(plants).profile()
    sds = table.loc["sd", ["estimate", "low", "high"]]
    np.testing.assert_allclose(sds.loc[("plot", "Intercept")], 1000 * sds.loc[("plot", "week")], rtol=0.05)
    assert sds.loc[("plot", "week"), "low"] == 0
    # where the slopes may all be alike, their correlation with anything may be anything
    assert table.loc[("corr", "plot", "Intercept, week"), ["low", "high"]].tolist() == [-1.0, 1.0]


class OneWay:
    """J groups of m rows with one mean: the criterion depends on the sums of squares between and within groups."""

    def __init__(self, B, W, J, m, reml):
        self.B, self.W, self.J, self.m, self.df = B, W, J, m, J - reml

    def __call__(self, tau, sigma2):
        """-2 log-likelihood of an sd among groups and a variance within them, without constants."""
        of_means = sigma2 + self.m * tau**2
        within = self.J * (self.m - 1) * np.log(sigma2) + self.W / sigma2
        return self.df * np.log(of_means) + self.B / of_means + within

    def lowest(self):
        """The minimum over both."""
        dof = self.J * (self.m - 1)
        of_means, within, both = self.B / self.df, self.W / dof, (self.B + self.W) / (self.df + dof)
        zero = of_means < within
        sigma2 = np.where(zero, both, within)
        return self(np.sqrt(np.where(zero, 0, of_means - within) / self.m), sigma2)

    def height(self, tau):
        """How much the best variance within leaves the criterion above its minimum."""
        grid = np.linspace(0.2, 5, 2000)
        held = np.min([self(tau, sigma2) for sigma2 in grid], axis=0)
        return held - self.lowest()

    @staticmethod
    def drawn(tau, replicates, rng, J=6, m=5):
        """Sums of squares of data with an sd of tau among groups and 1 within."""
        between = (1 + m * tau**2) * rng.chisquare(J - 1, replicates)
        return between, rng.chisquare(J * (m - 1), replicates)


@pytest.mark.parametrize("reml", [False, True])
def test_the_profile_of_a_balanced_design_ends_where_its_criterion_in_closed_form_does(reml):
    J, m, rng = 6, 5, np.random.default_rng(3)
    g = np.repeat(np.arange(J), m)
    data = pd.DataFrame({"g": g, "y": 10 + rng.normal(size=J)[g] + rng.normal(size=J * m)})
    means = data.groupby("g")["y"].mean()
    B, W = m * ((means - means.mean()) ** 2).sum(), ((data["y"] - means[g].to_numpy()) ** 2).sum()
    table = LMM("y ~ 1 + (1 | g)", reml=not reml)(data).profile(reml=reml)
    closed = OneWay(B, W, J, m, reml)
    ends = table.loc[("sd", "g", "Intercept"), ["low", "high"]].to_numpy(dtype=float)
    np.testing.assert_allclose([closed.height(end) for end in ends], stats.chi2.ppf(0.95, 1), atol=2e-3)
    for end in table.loc[("sd", "residual", ""), ["low", "high"]]:
        grid = np.min([closed(tau, end**2) for tau in np.linspace(0, 4, 4001)])
        assert grid - closed.lowest() == pytest.approx(stats.chi2.ppf(0.95, 1), abs=2e-3)
    assert table["criterion"].to_dict() == {
        ("coef", "", "Intercept"): "ML",
        ("sd", "g", "Intercept"): "REML" if reml else "ML",
        ("sd", "residual", ""): "REML" if reml else "ML",
    }


def test_with_few_groups_the_profile_of_reml_covers_their_sd_more_often_than_that_of_ml():
    """By the closed form in many worlds; in some of them the package's interval holds the truth where that says so."""
    r, J, m, rng = 10_000, 6, 5, np.random.default_rng(5)
    between, within = OneWay.drawn(1.0, r, rng)
    covered = {
        reml: OneWay(between, within, J, m, reml).height(1.0) < stats.chi2.ppf(0.95, 1) for reml in (True, False)
    }
    error = np.sqrt(0.95 * 0.05 / r)
    assert abs(covered[True].mean() - 0.95) < 0.01 + 3 * error
    gain = covered[True].astype(float) - covered[False]
    assert gain.mean() - 3 * gain.std() / np.sqrt(r) > 0.025  # six groups: a sixth of the variance is lost by ML
    telling = np.concatenate([np.flatnonzero(gain > 0)[:4], np.flatnonzero(~covered[True])[:4], [0, 1]])
    g = np.repeat(np.arange(J), m)
    for k in telling:
        pattern = np.tile(np.arange(m) - (m - 1) / 2, J)
        u = np.arange(J) - (J - 1) / 2
        y = u[g] * np.sqrt(between[k] / (m * (u**2).sum())) + pattern * np.sqrt(within[k] / (pattern**2).sum())
        fit = LMM("y ~ 1 + (1 | g)")(pd.DataFrame({"g": g, "y": y}))
        for reml in (None, False):
            low, high = fit.profile(reml=reml).loc[("sd", "g", "Intercept"), ["low", "high"]]
            assert (low < 1 < high) == covered[reml is None][k]


def test_the_profile_of_a_fit_has_its_own_estimates_by_its_own_criterion(sleep, slopes):
    table = slopes.profile().sort_index()
    spread = table.drop(index="coef", level="part")
    assert (spread["criterion"] == "REML").all() and (table.loc["coef", "criterion"] == "ML").all()
    np.testing.assert_allclose(spread["estimate"], slopes.components[spread.index], rtol=1e-4, atol=1e-4)
    full = LMM(slopes.formula, reml=False)(sleep)
    np.testing.assert_allclose(table["estimate"].xs("coef").droplevel(0)[list(full.terms)], full.beta, rtol=1e-6)
    assert full.profile().drop(columns="criterion").equals(slopes.profile(reml=False).drop(columns="criterion"))


def test_profile_of_least_squares_is_refused(sleep):
    with pytest.raises(ValueError, match="has no random effects to profile"):
        profile(OLS("Reaction ~ Days")(sleep))


# ---- bootstrap


def test_simulated_responses_have_the_moments_of_the_fit(slopes):
    r = 20_000
    Y = simulate_from(slopes, r, rng=1)
    X, G = slopes.matrices.X.to_numpy(), slopes.random["Subject"].to_numpy()
    same = slopes.data["Subject"].to_numpy()[:, None] == slopes.data["Subject"].to_numpy()
    V = np.where(same, X @ G @ X.T, 0) + slopes.sigma**2 * np.eye(180)
    sd = np.sqrt(np.diag(V))
    assert (np.abs(Y.mean(axis=1) - X @ slopes.beta) < 5 * sd / np.sqrt(r)).all()
    error = np.sqrt((np.outer(sd, sd) ** 2 + V**2) / r)
    assert (np.abs(np.cov(Y) - V) < 5.5 * error).all()


def test_bootstrap_is_a_study_of_the_fit(slopes):
    """se of the coefficients is known; the sd of the residual is nearly chi with n - p - ... df."""
    boot = bootstrap(slopes, replicates=2000, rng=2)
    table = boot.interval()
    assert table["n"].eq(2000).all()
    for name in slopes.terms:
        ratio = table.loc[("coef", "", name), "se"] / slopes.coef.loc[name, "se"]
        assert abs(ratio - 1) < 5 / np.sqrt(2 * 2000)
        mcse = table.loc[("coef", "", name), "se"] / np.sqrt(2000)
        assert abs(table.loc[("coef", "", name), "bias"]) < 4.5 * mcse
    assert set(table.index.get_level_values("part")) == {"coef", "sd", "corr"}
    assert ("corr", "Subject", "Intercept, Days") in table.index and ("sd", "residual", "") in table.index
    assert (table["low"] < table["estimate"]).all() and (table["estimate"] < table["high"]).all()
    assert (boot.interval(0.5)["low"] > table["low"]).all()


def test_a_bootstrap_says_what_it_holds_in_two_lines(slopes):
    first, second = repr(bootstrap(slopes, 5, rng=1)).splitlines()
    assert first == f"Bootstrap of {slopes.formula}"
    assert second.startswith("Estimates of Intercept, Days from 5 responses: ")


def test_bootstrap_depends_on_its_rng_alone(slopes):
    one, two, other = (bootstrap(slopes, 5, rng=rng).draws for rng in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)


def test_a_bootstrap_of_nothing_is_refused(slopes):
    with pytest.raises(ValueError, match="replicates=0 makes no data set"):
        slopes.bootstrap(0)
    with pytest.raises(ValueError, match="level=95 is not between 0 and 1"):
        slopes.bootstrap(2, rng=1).interval(level=95)


def test_bootstrap_of_rows_that_were_dropped(sleep):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = LMM("Reaction ~ Days + (1 | Subject)")(sleep.assign(Reaction=sleep["Reaction"].where(sleep.index > 8)))
    assert len(fit.bootstrap(10, rng=1).estimates) == 10


@pytest.mark.parametrize(
    ("name", "formula"), [("dyestuff2", "Yield ~ 1 + (1 | Batch)"), ("sim_singular_corr", "y ~ t + (t | g)")]
)
def test_a_singular_fit_can_be_bootstrapped(name, formula):
    table = LMM(formula)(read(name)).bootstrap(50, rng=1).interval()
    assert (table["low"] <= table["high"]).all() and table["n"].eq(50).all()


def test_bootstrap_of_least_squares_keeps_the_groups_where_they_are(sleep):
    boot = bootstrap(Within("Reaction ~ Days", unit="Subject")(sleep), 500, rng=1)
    ratio = boot.interval().loc[("coef", "", "Days"), "se"] / boot.fit.coef.loc["Days", "se"]
    assert abs(ratio - 1) < 5 / np.sqrt(2 * 500)
    means = simulate_from(boot.fit, 4000, rng=2).mean(axis=1)
    assert np.abs(means - boot.fit.fitted).max() < 5 * boot.fit.sigma / np.sqrt(4000)
    with pytest.raises(ValueError, match="does not say how the 180 rows vary"):
        bootstrap(GroupMeans("Reaction ~ 1", unit="Subject")(sleep), 5)


# ---- predictions


def test_population_prediction_is_the_fixed_part(slopes, sleep):
    table = slopes.predict()
    np.testing.assert_allclose(table["mean"], 251.405104848484 + 10.4672859595956 * sleep["Days"], rtol=1e-6)
    X = slopes.matrices.X.to_numpy()
    np.testing.assert_allclose(table["se"] ** 2, np.diag(X @ slopes.vcov.to_numpy() @ X.T))


def test_conditional_prediction_of_the_data_is_the_fit(slopes, sleep):
    np.testing.assert_allclose(slopes.predict(kind="conditional")["mean"], slopes.fitted)
    some = sleep.iloc[[5, 100, 17]]
    np.testing.assert_allclose(slopes.predict(some, kind="conditional")["mean"], slopes.fitted.iloc[[5, 100, 17]])


def test_a_new_group_has_the_same_mean_and_all_the_spread(slopes):
    table = slopes.predict(pd.DataFrame({"Days": [0.0, 9.0]}, index=["first", "last"]), kind="new group")
    G, x = slopes.random["Subject"].to_numpy(), np.array([1.0, 9.0])
    sd = np.sqrt(x @ slopes.vcov.to_numpy() @ x + x @ G @ x + slopes.sigma**2)
    last, reach = table.loc["last"], stats.t.ppf(0.975, table.loc["last", "df"]) * sd
    np.testing.assert_allclose(last[["mean", "sd"]], [x @ slopes.beta, sd], rtol=1e-6)
    np.testing.assert_allclose(last[["low", "high"]], [x @ slopes.beta - reach, x @ slopes.beta + reach], rtol=1e-6)
    assert list(table.columns) == ["mean", "sd", "df", "low", "high"]


def test_predictions_use_the_contrasts_and_splines_of_the_fit(sleep):
    fit = LMM("Reaction ~ bs(Days, df=4) + (1 | Subject)")(sleep)
    some = sleep.iloc[[3, 50]]
    np.testing.assert_allclose(fit.predict(some)["mean"], fit.predict()["mean"].iloc[[3, 50]])


def test_predictions_that_make_no_sense_are_refused(slopes):
    with pytest.raises(
        ValueError, match="kind='marginal' is not known; choose one of 'population', 'conditional', 'new group'"
    ):
        slopes.predict(kind="marginal")
    with pytest.raises(ValueError, match=r"1 rows \(the first: 0\) are in a 'Subject' that the fit has not seen"):
        slopes.predict(pd.DataFrame({"Days": [1], "Subject": [999]}), kind="conditional")
    with pytest.raises(ValueError, match="needs the column 'Subject'"):
        slopes.predict(pd.DataFrame({"Days": [1]}), kind="conditional")
    with pytest.raises(ValueError, match="'Days' is not a column of the data"):
        slopes.predict(pd.DataFrame({"Subject": [308]}))
    with pytest.raises(ValueError, match="level=95 is not between 0 and 1"):
        slopes.predict(level=95)


def test_a_level_without_a_coefficient_has_no_prediction(sleep):
    half = sleep.assign(half=np.where(sleep["Days"] < 5, "early", "late"))
    fit = LMM("Reaction ~ half + (1 | Subject)")(half)
    with pytest.raises(ValueError, match="has not seen the level 'never' of 'half'"):
        fit.predict(half.assign(half="never"))


# ---- shares of variance


def test_icc_of_one_intercept_is_its_share():
    """dyestuff by REML, lme4: variances 1764.05 and 2451.25."""
    table = LMM("Yield ~ 1 + (1 | Batch)")(read("dyestuff")).icc
    np.testing.assert_allclose(table.loc["Batch"], 1764.05 / (1764.05 + 2451.25), rtol=1e-4)


def test_shares_of_nested_factors_add_up():
    fit = LMM("strength ~ 1 + (1 | batch/cask)")(read("pastes"))
    table, r2 = fit.icc, fit.r2
    np.testing.assert_allclose(table["conditional"].sum(), r2["conditional"])
    assert r2["marginal"] < 1e-12


def test_r2_with_a_slope_averages_over_the_rows(slopes):
    """Johnson (2014): the mean of z'Gz over the rows is trace(Z G Z') / n."""
    X, G = slopes.matrices.X.to_numpy(), slopes.random["Subject"].to_numpy()
    fixed, between = np.var(X @ slopes.beta), np.trace(X @ G @ X.T) / 180
    total = fixed + between + slopes.sigma**2
    np.testing.assert_allclose(slopes.r2, [fixed / total, (fixed + between) / total])
    np.testing.assert_allclose(slopes.icc.loc["Subject"], [between / (between + slopes.sigma**2), between / total])


def test_shares_do_not_depend_on_where_time_starts(sleep, slopes):
    late = LMM("Reaction ~ Days + (Days | Subject)")(sleep.assign(Days=sleep["Days"] + 100))
    np.testing.assert_allclose(late.r2, slopes.r2, rtol=1e-4)
