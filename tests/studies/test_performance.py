"""Performance: the numbers are the formulas of Morris, White & Crowther (2019), table 6, each with its error."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_estimators import Mean

from lmmsim import Model, crossed, scenarios
from lmmsim.estimators.estimates import rows as some_rows
from lmmsim.estimators.least_squares import OLS
from lmmsim.estimators.lmm import LMM
from lmmsim.streams import root
from lmmsim.studies.performance import performance, replicates_for
from lmmsim.studies.recipe import Recipe
from lmmsim.studies.study import Study, study

MODEL = Model("y ~ 1", {"Intercept": 1.0}, residual=2.0)
DESIGN = crossed(unit=8)
MEASURES = ["mean", "bias", "emp_se", "model_se", "se_ratio", "mse", "coverage", "rejection"]
MEASURES += ["rejection_all", "type_s", "type_m", "failure_rate", "singular_rate"]


@pytest.fixture(scope="module")
def results():
    """Some replicates fail and some do not converge."""
    with pytest.warns(UserWarning, match="did not converge"):
        return study(MODEL, DESIGN, {"mean": Mean(fails_above=2.7, stuck_above=2.0)}, 500, rng=5)


def test_every_number_is_its_formula(results):
    table = performance(results)
    row = table.loc["Intercept", "mean"]
    used = results.estimates.query("converged")
    n, theta = len(used), 1.0
    estimate, se = used["estimate"], used["se"]
    bar, emp, mod = estimate.mean(), estimate.std(), np.sqrt((se**2).mean())
    squares, variances = (estimate - theta) ** 2, se**2
    covered = (used["low"] <= theta) & (theta <= used["high"])
    rejected = used["p"] < 0.05
    wrong = estimate[rejected] < 0
    exaggeration = estimate[rejected].abs() / theta
    mod_mcse = np.sqrt(variances.var() / (4 * n * mod**2))
    failed = 500 - len(results.estimates)
    expected = {
        "truth": theta,
        "mean": bar,
        "mean_mcse": emp / np.sqrt(n),
        "bias": bar - theta,
        "bias_mcse": np.sqrt(((estimate - bar) ** 2).sum() / (n * (n - 1))),
        "emp_se": emp,
        "emp_se_mcse": emp / np.sqrt(2 * (n - 1)),
        "mse": squares.mean(),
        "mse_mcse": np.sqrt(((squares - squares.mean()) ** 2).sum() / (n * (n - 1))),
        "model_se": mod,
        "model_se_mcse": mod_mcse,
        "se_ratio": mod / emp,
        "se_ratio_mcse": mod / emp * np.sqrt(variances.var() / (4 * n * mod**4) + 1 / (2 * (n - 1))),
        "coverage": covered.mean(),
        "coverage_mcse": np.sqrt(covered.mean() * (1 - covered.mean()) / n),
        "rejection": rejected.mean(),
        "rejection_mcse": np.sqrt(rejected.mean() * (1 - rejected.mean()) / n),
        "rejection_all": rejected.sum() / 500,
        "rejection_all_mcse": np.sqrt(rejected.sum() / 500 * (1 - rejected.sum() / 500) / 500),
        "type_s": wrong.mean(),
        "type_s_mcse": np.sqrt(wrong.mean() * (1 - wrong.mean()) / rejected.sum()),
        "type_m": exaggeration.mean(),
        "type_m_mcse": exaggeration.std() / np.sqrt(rejected.sum()),
        "failure_rate": failed / 500,
        "failure_rate_mcse": np.sqrt(failed / 500 * (1 - failed / 500) / 500),
        "singular_rate": 0.0,
        "singular_rate_mcse": 0.0,
        "n": n,
        "failed": failed,
        "not_converged": len(results.estimates) - n,
        "singular": 0,
    }
    assert row["failed"] > 0 and row["not_converged"] > 0 and row["rejection_all"] < row["rejection"]
    pd.testing.assert_series_equal(
        row, pd.Series(expected), check_names=False, check_index=True, rtol=1e-10, check_like=True
    )


def test_every_simulated_number_has_its_error(results):
    table = performance(results)
    assert all(f"{measure}_mcse" in table for measure in MEASURES)
    assert table[[f"{measure}_mcse" for measure in MEASURES]].notna().all(axis=None)


def test_fits_that_did_not_converge_can_be_counted_too(results):
    table = performance(results, unconverged=True)
    assert table["n"].item() == len(results.estimates)


def test_monte_carlo_errors_are_the_spread_of_repeated_studies():
    """160 studies of 100 replicates: each number scatters as its error says, within 4.5 errors of a sd."""
    whole = study(MODEL, DESIGN, {"mean": Mean()}, 16_000, rng=2).answers["mean"]
    tables = [performance(_piece(whole, 100 * i, 100)).iloc[0] for i in range(160)]
    repeated = pd.DataFrame(tables)
    for measure in ["mean", "emp_se", "model_se", "se_ratio", "mse", "coverage", "rejection", "type_m"]:
        ratio = repeated[measure].std() / np.sqrt((repeated[f"{measure}_mcse"] ** 2).mean())
        assert abs(ratio - 1) < 4.5 / np.sqrt(2 * 160), measure


def _piece(whole, first, m):
    """A study of some replicates of another."""
    piece = some_rows(whole, first, first + m)
    return Study(Recipe(MODEL, DESIGN, {"mean": Mean()}, root(2)), m, {"mean": piece})


def test_a_t_interval_of_normal_data_covers_as_it_says():
    r = 20_000
    row = performance(study(MODEL, DESIGN, {"mean": Mean()}, r, rng=1)).iloc[0]
    assert abs(row["coverage"] - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / r)
    power = stats.nct.sf(stats.t.ppf(0.975, 7), 7, np.sqrt(8) / 2) + stats.nct.cdf(
        stats.t.ppf(0.025, 7), 7, np.sqrt(8) / 2
    )
    assert abs(row["rejection"] - power) < 4.5 * np.sqrt(power * (1 - power) / r)
    assert abs(row["bias"]) < 4.5 * row["bias_mcse"]
    assert abs(row["emp_se"] - 2 / np.sqrt(8)) < 4.5 * row["emp_se_mcse"]
    assert abs(row["model_se"] - 2 / np.sqrt(8)) < 4.5 * row["model_se_mcse"]


def test_least_squares_is_overconfident_about_schools():
    """Negative control: OLS of a treatment of schools."""
    world = scenarios.teaching_methods(effect=0)
    table = performance(study(*world, {"OLS": OLS("score ~ method")}, 2000, rng=1))
    row = table.loc["method[T.new]", "OLS"]
    assert row["se_ratio"] + 5 * row["se_ratio_mcse"] < 0.8
    assert row["coverage"] + 5 * row["coverage_mcse"] < 0.85
    assert row["rejection"] - 5 * row["rejection_mcse"] > 0.15


def test_sign_and_exaggeration_are_of_significant_estimates_and_need_an_effect():
    """Low power: what is significant is far too large, and sometimes of the wrong sign."""
    world = scenarios.teaching_methods(effect=0.5)
    row = performance(study(*world, {"OLS": OLS("score ~ method")}, 3000, rng=1)).loc["method[T.new]", "OLS"]
    assert row["type_m"] > 2 and 0.02 < row["type_s"] < 0.5
    null = performance(study(*scenarios.teaching_methods(effect=0), {"OLS": OLS("score ~ method")}, 50, rng=1))
    assert null.loc[("method[T.new]", "OLS"), ["type_s", "type_m"]].isna().all()


def test_variance_components_have_rows_of_their_own():
    model, design = scenarios.plant_growth()
    analyses = {"OLS": OLS("height ~ week * fertilizer"), "LMM": LMM(model.formula)}
    results = study(model, design, analyses, 300, rng=1)
    table = performance(results, of="components")
    rows = table.xs("LMM", level="analysis")
    week, together, residual = ("sd", "plot", "week"), ("corr", "plot", "Intercept, week"), ("sd", "residual", "")
    assert rows.index.tolist() == [("sd", "plot", "Intercept"), week, together, residual]
    assert rows["truth"].round(12).tolist() == [2.0, 0.4, 0.3, 1.0]
    sds = results.components["LMM"]
    assert rows.loc[week, "emp_se"] == pytest.approx(sds[week].std())
    assert rows.loc[residual, "bias"] == pytest.approx(sds[residual].mean() - 1.0)
    assert rows.loc[together, "n"] == sds[together].notna().sum()
    assert "coverage" not in table and set(table.index.get_level_values("analysis")) == {"LMM"}
    assert rows["singular"].iloc[0] == results.answers["LMM"].singular.sum()
    with pytest.raises(ValueError, match="no analysis of this study has random effects"):
        performance(study(model, design, {"OLS": OLS("height ~ week")}, 20, rng=1), of="components")


def test_a_table_of_performance_prints_what_people_read_and_has_the_rest(results):
    table = performance(results)
    text = repr(table)
    assert all(f" {name}" in text for name in ("truth", "bias", "emp_se", "model_se", "coverage", "rejection", "n"))
    assert "type_m" in text.split("also there: ")[1] and "mcse" not in text
    assert max(map(len, text.splitlines())) <= 100
    whole = performance(results, full=True)
    assert type(whole) is pd.DataFrame and list(whole) == list(table)
    pd.testing.assert_frame_equal(pd.DataFrame(table), whole)
    assert type(table[["bias", "coverage"]]) is pd.DataFrame  # a part of it prints as it is


def test_a_truth_that_is_nobodys_is_refused(results):
    with pytest.raises(ValueError, match="truth names 'wek', which no analysis estimates; the terms are 'Intercept'"):
        performance(results, truth={"wek": 1.0})


@pytest.mark.slow
@pytest.mark.parametrize("place", range(3))
def test_variance_components_have_the_moments_of_theory(reference, place):
    """One-way layout; REML is ANOVA truncated at 0, ML is biased; means over 4 x 10^6 replicates."""
    case = reference("theory")["variance_components_one_way"][place]
    model = Model("y ~ 1 + (1 | g)", {"Intercept": 0.0}, {"g": np.sqrt(case["su2"])}, residual=np.sqrt(case["se2"]))
    design = crossed(g=case["J"], i=case["m"])
    analyses = {"reml": LMM("y ~ 1 + (1 | g)"), "ml": LMM("y ~ 1 + (1 | g)", reml=False)}
    results = study(model, design, analyses, 20_000, rng=3)
    for name in analyses:
        variance = results.components[name]["sd", "g", "Intercept"] ** 2
        error = variance.std() / np.sqrt(len(variance))
        assert abs(variance.mean() - case[f"mc_mean_{name}_truncated"]) < 4.5 * error, name


@pytest.mark.slow
@pytest.mark.parametrize("place", range(4))
def test_fits_are_singular_as_often_as_theory_says(reference, place):
    case = reference("theory")["prob_boundary_one_way"][place]
    model = Model("y ~ 1 + (1 | g)", {"Intercept": 0.0}, {"g": np.sqrt(case["ratio_su2_se2"])}, residual=1.0)
    design = crossed(g=case["J"], i=case["m"])
    analyses = {"reml": LMM("y ~ 1 + (1 | g)"), "ml": LMM("y ~ 1 + (1 | g)", reml=False)}
    r = 20_000
    table = performance(study(model, design, analyses, r, rng=4)).loc["Intercept"]
    for name in analyses:
        p = case[f"P_{name}_zero"]
        assert abs(table.loc[name, "singular"] / r - p) < 4.5 * np.sqrt(p * (1 - p) / r), name


def test_the_truth_of_other_terms_can_be_given():
    results = study(MODEL, DESIGN, {"median": lambda data: {"median": data["y"].median()}}, 40, rng=1)
    assert np.isnan(performance(results)["bias"]).all()
    row = performance(results, truth={"median": 1.0}).loc["median", "median"]
    assert row["bias"] == pytest.approx(results.estimates["estimate"].mean() - 1.0)
    assert np.isnan(row["rejection"]) and np.isnan(row["coverage"]) and np.isnan(row["model_se"])


def test_a_table_of_estimates_does_not_know_the_truth(results):
    with pytest.raises(TypeError, match=r"what study\(\) returned, which knows the truth; got DataFrame"):
        performance(results.estimates)


def test_alpha_is_a_probability():
    with pytest.raises(ValueError, match=r"alpha is 5; it lies between 0 and 1"):
        performance(study(MODEL, DESIGN, {"mean": Mean()}, 5, rng=1), alpha=5)


def test_the_number_of_replicates_follows_from_the_wanted_error():
    assert replicates_for(mcse=0.002, rate=0.05) == 11_875
    assert replicates_for(mcse=0.01, rate=0.5) == 2500
    assert replicates_for(mcse=0.1, sd=2.0) == 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of the two"),
        ({"rate": 0.5, "sd": 1.0}, "one of the two"),
        ({"rate": 1.0}, "between 0 and 1"),
        ({"sd": 0.0}, "above 0"),
        ({"rate": 0.5, "mcse": 0.0}, "mcse is 0.0"),
    ],
)
def test_impossible_precision_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        replicates_for(**{"mcse": 0.01} | arguments)


# -- worlds in which a wrong formula shows ------------------------------------------------------------


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99])
@pytest.mark.parametrize("own", [False, True], ids=["from se and df", "brought along"])
def test_intervals_of_every_level_cover_as_they_say(level, own):
    """Exactly, for a mean of normal data; whether the interval is worked out here or brought along by the analysis."""
    r = 8000
    analysis = OLS("y ~ 1", level=level)
    one = study(MODEL, DESIGN, {"mean": analysis}, r, rng=3, progress=False).answers["mean"]
    if own:
        one = replace(one, given={"p": one.p, "low": one.low, "high": one.high})
    results = Study(Recipe(MODEL, DESIGN, {"mean": analysis}, root(3)), r, {"mean": one})
    row = performance(results).loc["Intercept", "mean"]
    assert abs(row["coverage"] - level) < 4.5 * np.sqrt(level * (1 - level) / r)
    width = 2 * stats.t.ppf((1 + level) / 2, 7) * one.se[:, 0]
    np.testing.assert_allclose(one.high[:, 0] - one.low[:, 0], width, rtol=1e-8)
    assert row["coverage"] == ((one.low[:, 0] <= 1) & (one.high[:, 0] >= 1)).mean()


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_intervals_of_a_mixed_model_cover_at_other_levels_too(level):
    model, design = scenarios.teaching_methods(schools=16, pupils=10, effect=2)
    r = 3000
    results = study(model, design, {"LMM": LMM(model.formula, level=level)}, r, rng=4, progress=False)
    row = performance(results).loc["method[T.new]", "LMM"]
    assert abs(row["coverage"] - level) < 4.5 * np.sqrt(level * (1 - level) / r) + 0.005  # variances estimated as zero


@pytest.mark.parametrize("effect", [0.2, -0.2])
def test_sign_and_exaggeration_are_those_of_the_truncated_normal(effect):
    """Of what is significant a quarter has the wrong sign: Gelman & Carlin (2014), in closed form for a known error."""
    r, n = 60_000, 4
    model = Model("y ~ 1", {"Intercept": effect}, residual=2.0)
    one = study(model, crossed(unit=n), {"mean": Mean()}, r, rng=6, progress=False).answers["mean"]
    se = 2 / np.sqrt(n)
    known = replace(one, se=np.full_like(one.se, se), df=np.full_like(one.df, np.inf))
    row = performance(Study(Recipe(model, crossed(unit=n), {"mean": Mean()}, root(6)), r, {"mean": known})).iloc[0]
    cut, size = stats.norm.isf(0.025), abs(effect) / se
    right, wrong = stats.norm.sf(cut - size), stats.norm.cdf(-cut - size)
    ends = stats.norm.pdf(cut - size) + stats.norm.pdf(cut + size)
    assert abs(row["type_s"] - wrong / (right + wrong)) < 4.5 * row["type_s_mcse"]
    assert wrong / (right + wrong) > 0.2
    expected = (size * (right - wrong) + ends) / (right + wrong) / size  # mean of |estimate| over |truth|
    assert abs(row["type_m"] - expected) < 4.5 * row["type_m_mcse"] and row["type_m_mcse"] < 0.05 * expected
    assert abs(row["rejection"] - right - wrong) < 4.5 * row["rejection_mcse"]


def test_singular_fits_are_a_share_of_the_fits_that_there_are():
    """Of 400 replicates a quarter fails, a quarter gets stuck, and half of the rest is singular."""
    k = np.arange(400) % 4
    one = study(MODEL, DESIGN, {"mean": Mean()}, 400, rng=5, progress=False).answers["mean"]
    gone = (k == 0)[:, None]
    one = replace(
        one,
        estimate=np.where(gone, np.nan, one.estimate),
        se=np.where(gone, np.nan, one.se),
        converged=k > 1,
        singular=(k == 3) | (k == 0),
    )
    recipe = Recipe(MODEL, DESIGN, {"mean": Mean()}, root(5))
    row = performance(Study(recipe, 400, {"mean": one}), full=True).iloc[0]
    assert (row["n"], row["failed"], row["not_converged"], row["singular"]) == (200, 100, 100, 100)
    assert (row["singular_rate"], row["failure_rate"]) == (0.5, 0.25)
    assert row["singular_rate_mcse"] == pytest.approx(np.sqrt(0.25 / 200))
    assert row["failure_rate_mcse"] == pytest.approx(np.sqrt(0.25 * 0.75 / 400))
    counted = performance(Study(recipe, 400, {"mean": one}), unconverged=True, full=True).iloc[0]
    assert (counted["n"], counted["singular_rate"]) == (300, pytest.approx(1 / 3))
