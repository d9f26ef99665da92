"""The same question put to a fit, to many, to a study, and to a plan."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lmmsim import (
    LMM,
    OLS,
    GroupMeans,
    Model,
    StatsmodelsLMM,
    Within,
    assign,
    calibrate,
    crossed,
    exact_power,
    find_size,
    performance,
    scenarios,
    simulate,
    simulate_many,
    study,
    sweep,
)
from lmmsim.estimators.asking import asked

MODEL, DESIGN = scenarios.plant_growth(plots=15)
FIXED = "height ~ week * fertilizer"
CONTRASTS = {
    "A - Control at 4": {"fertilizer": {"A": 1, "Control": -1}, "week": 4},
    "slopes": {"week:fertilizer[T.A]": 1, "week:fertilizer[T.B]": -1},
}
TESTS = ["week:fertilizer", "fertilizer"]


def gaps(Y):
    """A few values of every second response are lost."""
    Y = Y.copy()
    lost = np.random.default_rng(2).random(Y.shape) < 0.05
    lost[:, ::2] = False
    Y[lost] = np.nan
    return Y


ANALYSES = [
    LMM(MODEL.formula),
    LMM(MODEL.formula, df="kenward-roger"),
    LMM(MODEL.formula, df="z"),
    OLS(FIXED),
    OLS(FIXED, cluster="plot"),
    OLS(FIXED, cluster="plot", robust="CR2"),
]


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda one: one.method)
def test_many_fits_answer_as_each_alone(analysis):
    Y = gaps(simulate_many(MODEL, DESIGN, 12, rng=1))
    many = asked(analysis, CONTRASTS, TESTS).many(Y, DESIGN)
    names = list(many.terms[6:])
    assert names == [*CONTRASTS, "test week:fertilizer", "test fertilizer"]
    for j in range(12):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = analysis(DESIGN.assign(height=Y[:, j]))
        alone, together = fit.contrast(CONTRASTS), pd.concat([fit.test(term) for term in TESTS])
        np.testing.assert_allclose(many.estimate[j, 6:], [*alone["estimate"], *together["F"]], rtol=1e-5)
        np.testing.assert_allclose(many.df[j, 6:], [*alone["df"], *together["df2"]], rtol=1e-5)
        np.testing.assert_allclose(many.p[j, 6:], [*alone["p"], *together["p"]], rtol=1e-4, atol=1e-12)
        np.testing.assert_allclose(many.se[j, 6:8], alone["se"], rtol=1e-5)
        np.testing.assert_allclose(many.p[j, :6], fit.coef["p"], rtol=1e-4, atol=1e-12)


def test_three_rows_together_in_many_responses_are_what_each_is_alone():
    tests = {"three": {"a": {"fertilizer[T.A]": 1}, "b": {"fertilizer[T.B]": 1}, "c": {"week:fertilizer[T.A]": 1}}}
    Y = gaps(simulate_many(MODEL, DESIGN, 10, rng=3))
    many = asked(LMM(MODEL.formula), None, tests).many(Y, DESIGN)
    for j in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = LMM(MODEL.formula)(DESIGN.assign(height=Y[:, j])).test(tests["three"]).iloc[0]
        np.testing.assert_allclose([many.estimate[j, -1], many.df[j, -1]], [row["F"], row["df2"]], rtol=1e-5)


def test_a_study_holds_contrasts_against_their_truth():
    results = study(MODEL, DESIGN, {"LMM": LMM(MODEL.formula)}, 400, rng=1, contrasts=CONTRASTS, tests=TESTS)
    assert results.truth["A - Control at 4"] == pytest.approx(4 * MODEL.beta["week:fertilizer[T.A]"])
    table = performance(results, full=True).xs("LMM", level="analysis")
    row = table.loc["A - Control at 4"]
    assert abs(row["bias"]) < 4 * row["bias_mcse"]
    assert abs(row["coverage"] - 0.95) < 4 * row["coverage_mcse"]
    exact = exact_power(MODEL, DESIGN, contrasts=CONTRASTS, tests=TESTS)["power"]
    for name in (*CONTRASTS, "test week:fertilizer", "test fertilizer"):
        assert abs(table.loc[name, "rejection"] - exact[name]) < 4 * np.sqrt(exact[name] * (1 - exact[name]) / 400), (
            name
        )
    assert np.isnan(table.loc["test fertilizer", "truth"])


def test_an_analysis_without_an_answer_is_left_out_and_said():
    analyses = {"LMM": LMM(MODEL.formula), "within": Within("height ~ week + week:fertilizer", unit="plot")}
    with pytest.warns(UserWarning, match="'within' is not asked the contrasts and tests: .*knows differences"):
        results = study(MODEL, DESIGN, analyses, 20, rng=1, contrasts={"mean": {"fertilizer": "A"}})
    assert "mean" in results.answers["LMM"].terms and "mean" not in results.answers["within"].terms
    with pytest.raises(ValueError, match="'C' is not a level of 'fertilizer'"):
        study(MODEL, DESIGN, {"OLS": OLS(FIXED)}, 20, contrasts={"c": {"fertilizer": "C"}})
    with pytest.raises(ValueError, match="'week' is a coefficient already"):
        study(MODEL, DESIGN, {"OLS": OLS(FIXED)}, 20, contrasts={"week": {"week": 2}})


def test_a_function_of_ones_own_answers_for_itself():
    def mine(data):
        return OLS(FIXED)(data).contrast(CONTRASTS).rename_axis("term")

    results = study(MODEL, DESIGN, {"mine": mine, "OLS": OLS(FIXED)}, 8, rng=1, contrasts=CONTRASTS)
    table = performance(results, full=True)
    np.testing.assert_allclose(table.loc[("slopes", "mine"), "mean"], table.loc[("slopes", "OLS"), "mean"])


def test_one_after_another_answers_too():
    one = asked(StatsmodelsLMM("score ~ method + (1 | school)"), {"d": {"method": {"new": 1, "usual": -1}}}, ["method"])
    model, design = scenarios.teaching_methods(schools=8)
    results = study(model, design, {"statsmodels": one}, 2, rng=1, progress=False)
    answers = results.answers["statsmodels"]
    np.testing.assert_allclose(answers.estimate[:, 1], answers.estimate[:, 2])
    np.testing.assert_allclose(answers.p[:, 1], answers.p[:, 3])


def test_a_sweep_asks_in_every_cell():
    table = sweep(
        {"plots": [6, 30]},
        lambda plots: scenarios.plant_growth(plots=plots),
        {"OLS": OLS(FIXED, cluster="plot")},
        60,
        rng=1,
        contrasts=CONTRASTS,
        tests=["week:fertilizer"],
    )
    power = table.xs("test week:fertilizer", level="term")["rejection"]
    assert len(power) == 2
    assert table.xs("slopes", level="term")["truth"].tolist() == [-0.5, -0.5]


# ---- plans


def test_the_power_of_a_joint_test_is_that_of_a_noncentral_f():
    """The noncentrality and the power written out, for balanced slopes where the df are exact."""
    model, design = scenarios.plant_growth(plots=30)
    row = exact_power(model, design, tests=["week:fertilizer"]).loc["test week:fertilizer"]
    X, V = model.X(design).to_numpy(), model.V(design)
    C = np.linalg.inv(X.T @ np.linalg.solve(V, X))
    beta = np.array([model.beta[name] for name in model.X(design)])
    L = np.eye(6)[[list(model.X(design)).index(name) for name in ("week:fertilizer[T.A]", "week:fertilizer[T.B]")]]
    ncp = (L @ beta) @ np.linalg.solve(L @ C @ L.T, L @ beta)
    assert (row["df1"], round(row["df"], 6)) == (2, 27)
    np.testing.assert_allclose(row["power"], stats.ncf.sf(stats.f.isf(0.05, 2, 27), 2, 27, ncp), rtol=1e-9)


def test_a_joint_test_of_one_row_has_the_power_of_its_t():
    model, design = scenarios.plant_growth(plots=12)
    table = exact_power(model, design, tests={"one": ["week:fertilizer[T.A]"]}, df="satterthwaite")
    np.testing.assert_allclose(table.loc["one", ["df", "power"]], table.loc["week:fertilizer[T.A]", ["df", "power"]])
    z = exact_power(model, design, tests={"one": ["week:fertilizer[T.A]"]}, df="z")
    np.testing.assert_allclose(z.loc["one", "power"], z.loc["week:fertilizer[T.A]", "power"])


def test_contrasts_of_cells_and_of_coefficients_have_one_power():
    by_coefficient = {"fertilizer[T.A]": 1, "week:fertilizer[T.A]": 4}
    table = exact_power(
        MODEL, DESIGN, contrasts={"cells": CONTRASTS["A - Control at 4"], "coefficients": by_coefficient}
    )
    np.testing.assert_allclose(table.loc["cells"], table.loc["coefficients"])


def test_a_test_that_cannot_be_made_has_no_power():
    model, design = scenarios.teaching_methods(schools=2)
    with pytest.warns(UserWarning, match="there is no test of"):
        table = exact_power(model, design, tests=["method"])
    assert np.isnan(table.loc["test method", "power"])


def test_a_size_is_found_for_a_contrast_and_for_a_joint_test():
    def world(plots):
        return scenarios.plant_growth(plots=plots)

    sizes = range(6, 160, 3)
    for question in ({"contrast": CONTRASTS["slopes"]}, {"test": "week:fertilizer"}):
        found = find_size(world, sizes, **question)
        name = found.looks  # the size before it is not enough
        assert name.set_index("size")["power"][found.size - 3] < 0.8 <= found.power
    one = find_size(world, sizes, contrast={"week:fertilizer[T.A]": 1})
    assert one.size == find_size(world, sizes, term="week:fertilizer[T.A]").size
    rough = find_size(
        world, range(6, 60, 3), LMM(MODEL.formula), method="simulation", test="week:fertilizer", rng=1, mcse=0.02
    )
    assert rough.low <= find_size(world, sizes, test="week:fertilizer").size <= rough.high
    with pytest.raises(TypeError, match="give one of term=, contrast= and test=, what is tested; got none"):
        find_size(world, sizes)
    with pytest.raises(TypeError, match="got term, test"):
        find_size(world, sizes, term="week", test="week")


def test_a_question_is_calibrated_in_a_world_where_its_answer_is_nothing():
    table = calibrate(MODEL, DESIGN, {"OLS": OLS(FIXED, cluster="plot"), "LMM": LMM(MODEL.formula)}, 400, rng=1,
                      test="week:fertilizer")  # fmt: skip
    null, error = table["rejection_null"], table["rejection_null_mcse"]
    assert null["LMM"] - 0.05 < 4 * error["LMM"]
    assert (table["rejection"] > 0.3).all()
    assert null["OLS"] > null["LMM"]  # CR1 is too sure of fifteen plots
    contrast = calibrate(MODEL, DESIGN, {"LMM": LMM(MODEL.formula)}, 200, rng=1, contrast=CONTRASTS["slopes"])
    assert abs(contrast.loc["LMM", "rejection_null"] - 0.05) < 4 * contrast.loc["LMM", "rejection_null_mcse"]
    with pytest.raises(ValueError, match="the true value of 'test fertilizer' is 0"):
        calibrate(MODEL, DESIGN, {"LMM": LMM(MODEL.formula)}, 10, test="fertilizer")


def test_group_means_answer_what_is_between_groups():
    model, design = scenarios.teaching_methods(schools=10, effect=4)
    contrasts = {"new - usual": {"method": {"new": 1, "usual": -1}}}
    results = study(
        model, design, {"means": GroupMeans("score ~ method", unit="school")}, 30, rng=1, contrasts=contrasts
    )
    one = results.answers["means"]
    np.testing.assert_allclose(one.p[:, 1], one.p[:, 2])
    assert results.truth["new - usual"] == 4


@pytest.mark.slow
def test_joint_tests_have_their_level_with_a_dozen_plots():
    """Type-I error of F with two numerator df, 4,000 worlds without an effect; chi-square is the negative control."""
    model, design = scenarios.plant_growth(plots=12)
    beta = model.beta | {name: 0.0 for name in model.beta if "fertilizer" in name}
    null = type(model)(model.formula, beta, model.random, model.residual)
    analyses = {
        "Satterthwaite": LMM(model.formula),
        "CR2": OLS(FIXED, cluster="plot", robust="CR2"),
        "z": LMM(model.formula, df="z"),
    }
    results = study(null, design, analyses, 4000, rng=1, tests=["week:fertilizer"], progress=False)
    table = performance(results, full=True).loc["test week:fertilizer"]
    error = np.sqrt(0.05 * 0.95 / 4000)
    assert abs(table.loc["Satterthwaite", "rejection"] - 0.05) < 3.5 * error
    assert 0.03 < table.loc["CR2", "rejection"] < 0.05 + 3.5 * error  # conservative with few clusters
    assert table.loc["z", "rejection"] > 0.08


# ---- a world that was made of a fit, on other rows than the fit's

BY_CELLS = {"arms at 3": {"arm": {"B": 1, "A": -1}, "x": 3}, "growth": {"x": {3: 1, 0: -1}}}


def arms(plots, x):
    return assign(crossed(plot=plots, x=x), to="plot", arm=["A", "B"])


def of_a_fit(fixed):
    """A fit to eight occasions, and its world."""
    names = ["Intercept", "x", "arm[T.B]", "x:arm[T.B]"]
    truth = Model("y ~ x * arm + (1 | plot)", dict(zip(names, [1.0, 0.5, 1.0, 0.3], strict=True)), {"plot": 1.0})
    fit = LMM(f"y ~ {fixed} * arm + (1 | plot)")(simulate(truth, arms(16, range(8)), rng=1).data)
    return fit, Model.from_fit(fit)


@pytest.mark.parametrize("fixed", ["center(x)", "scale(x)", "poly(x, 2)", "bs(x, df=4)"])
@pytest.mark.filterwarnings("ignore:.*means something else on this design")
def test_contrasts_of_cells_are_those_of_the_fit_on_any_design(fixed):
    fit, world = of_a_fit(fixed)
    want, fewer = [fit.contrast(one)["estimate"].iloc[0] for one in BY_CELLS.values()], arms(20, [0, 1, 2, 3, 5])
    np.testing.assert_allclose(exact_power(world, fewer, contrasts=BY_CELLS).loc[list(BY_CELLS), "effect"], want)
    found = study(world, fewer, {"LMM": LMM(fit.formula)}, 60, rng=1, contrasts=BY_CELLS, progress=False)
    table = performance(found).droplevel("analysis").loc[list(BY_CELLS)]
    np.testing.assert_allclose(table["truth"], want)
    assert (table["bias"].abs() < 5 * table["bias_mcse"]).all()
    asked_for, analyses = BY_CELLS["growth"], {"LMM": LMM(fit.formula)}
    nothing = calibrate(world, fewer, analyses, 200, rng=1, contrast=asked_for, progress=False)
    assert nothing.loc["LMM", "rejection_null"] < 0.05 + 5 * np.sqrt(0.05 * 0.95 / 200)


def test_coefficients_that_mean_something_else_than_in_the_world_are_not_called_biased():
    fit, world = of_a_fit("center(x)")
    says = r"center\(x\) means something else on this design .*coefficients of 'LMM'"
    analysis = {"LMM": LMM(fit.formula)}
    fewer = arms(20, [0, 1, 2, 3, 5])
    with pytest.warns(UserWarning, match=says):
        study(world, fewer, analysis, 3, rng=1, progress=False)
    with pytest.warns(UserWarning, match=says):
        sweep({"plots": [20]}, lambda plots: (world, arms(plots, [0, 1])), analysis, 3, rng=1, progress=False)
    with pytest.warns(UserWarning, match=says):
        calibrate(world, fewer, analysis, 3, rng=1, term="arm[T.B]", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study(world, arms(40, range(8)), analysis, 3, rng=1, progress=False)
        study(world, fewer, {"plain": LMM("y ~ x * arm + (1 | plot)")}, 3, rng=1, progress=False)


def test_contrasts_are_planned_where_cells_are_empty_and_levels_unused():
    """The cell b of B has no rows, and no row has Z; simulated without noise, the fit has the planned effect."""
    design = arms(12, range(4)).assign(soil=lambda d: np.where(d["x"] % 2 == 1, "b", "a"))
    design = design[(design["arm"] != "B") | (design["soil"] != "b")].reset_index(drop=True)
    names = ["Intercept", "arm[T.B]", "soil[T.b]", "arm[T.B]:soil[T.b]"]
    world = Model("y ~ arm * soil + (1 | plot)", dict(zip(names, [1.0, 2.0, 4.0, 8.0], strict=True)), {"plot": 1}, 1e-6)
    ask = {"arms in a": {"arm": {"B": 1, "A": -1}, "soil": "a"}, "soils in A": {"soil": {"b": 1, "a": -1}, "arm": "A"}}
    with pytest.warns(UserWarning, match="1 of 4 coefficients are left out"):
        table = exact_power(world, design, contrasts=ask, tests={"both": ask})
    np.testing.assert_allclose(table.loc[list(ask), "effect"], [2.0, 4.0])
    assert table.loc["both", "df1"] == 2
    with pytest.warns(UserWarning, match="1 of 4 coefficients are left out"):
        fit = LMM(world.formula)(simulate(world, design, rng=1).data)
    np.testing.assert_allclose(fit.contrast(ask["soils in A"])["estimate"], 4.0, atol=1e-4)
    unused = design.assign(arm=pd.Categorical(design["arm"], categories=["Z", "A", "B"]))
    for data in (unused, design):
        planned = exact_power(Model.from_fit(fit), data, contrasts=ask).loc[list(ask)]
        np.testing.assert_allclose(planned["effect"], fit.contrast(ask)["estimate"])
    found = study(Model.from_fit(fit), unused, {"LMM": LMM(fit.formula)}, 2, rng=1, contrasts=ask, progress=False)
    np.testing.assert_allclose(performance(found).loc["soils in A", "truth"], fit.contrast(ask)["estimate"].iloc[1])
