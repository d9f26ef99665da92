"""A study repeats: every replicate is what it is whoever computes it, and what fails is counted."""

import os
import signal
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from small_estimators import Mean, MeanSingly

from lmmsim import (
    AR1,
    IID,
    CompoundSymmetry,
    Model,
    Random,
    Unstructured,
    assign,
    covariate,
    crossed,
    draws,
    drop_out,
    knock_out,
    scenarios,
    simulate_many,
)
from lmmsim.estimators.estimates import effects_of
from lmmsim.estimators.least_squares import OLS, GroupMeans, Within
from lmmsim.estimators.lmm import LMM
from lmmsim.streams import root
from lmmsim.studies.performance import performance
from lmmsim.studies.recipe import Recipe, true_theta
from lmmsim.studies.run import run
from lmmsim.studies.study import study
from lmmsim.studies.tasks import Task, batch_width, plan

MODEL = Model("y ~ 1", {"Intercept": 1.0}, residual=2.0)
DESIGN = crossed(unit=8)
BOTH = {"mean": Mean(), "singly": MeanSingly()}


def same(one, other):
    """Whether two studies agree to the last bit."""
    pd.testing.assert_frame_equal(one.estimates, other.estimates, check_exact=True)
    return True


def test_estimates_are_those_of_the_data():
    results = study(MODEL, DESIGN, BOTH, 50, rng=3)
    Y = simulate_many(MODEL, DESIGN, 50, rng=3)
    table = results.estimates.set_index(["analysis", "replicate"])
    for analysis in BOTH:
        assert np.allclose(table.loc[analysis, "estimate"], Y.mean(axis=0), rtol=1e-12)
        assert np.allclose(table.loc[analysis, "se"], Y.std(axis=0, ddof=1) / np.sqrt(8), rtol=1e-12)
    assert results.estimates.columns.tolist() == (
        ["replicate", "analysis", "term", "estimate", "se", "df", "p", "low", "high", "converged", "singular"]
    )


def test_intervals_and_p_values_are_those_of_t():
    from scipy import stats

    table = study(MODEL, DESIGN, BOTH, 40, rng=3).estimates
    reach = stats.t.ppf(0.975, 7) * table["se"]
    assert np.allclose(table["low"], table["estimate"] - reach)
    assert np.allclose(table["high"], table["estimate"] + reach)
    assert np.allclose(table["p"], 2 * stats.t.sf(np.abs(table["estimate"] / table["se"]), 7))


@pytest.mark.slow
def test_two_workers_give_the_same_bits_as_one():
    assert same(study(MODEL, DESIGN, BOTH, 300, rng=1), study(MODEL, DESIGN, BOTH, 300, rng=1, n_jobs=2))


@pytest.mark.parametrize("replicates", [1, 20, 1030])
def test_a_replicate_does_not_depend_on_the_total(replicates):
    world = scenarios.teaching_methods(schools=6, pupils=4)
    analyses = {"OLS": OLS("score ~ method"), "LMM": LMM("score ~ method + (1 | school)")}
    if replicates < 100:  # one by one takes its time
        analyses["one"] = _largest
    few, many = (study(*world, analyses, r, rng=1) for r in (replicates, replicates + 20))
    many = many.estimates[many.estimates["replicate"] < replicates].reset_index(drop=True)
    pd.testing.assert_frame_equal(few.estimates, many, check_exact=True)


def _largest(data):
    return {"largest": data["score"].max()}


def test_a_replicate_does_not_depend_on_the_order_or_the_other_tasks():
    recipe = Recipe(*scenarios.blood_pressure(patients=6), {}, root(1))
    alone = np.column_stack([recipe.responses(k, k + 1)[0][:, 0] for k in (300, 17, 5)])
    together = recipe.responses(0, 512)[0][:, [300, 17, 5]]
    assert (alone == together).all()


def test_batches_are_cut_by_the_design_alone():
    few, many = (list(plan(Recipe(MODEL, DESIGN, BOTH, root(1))).cut(r)) for r in (100, 5000))
    assert {task for task in few if task.kind == "many"} <= set(many)
    widths = {n: batch_width(Recipe(MODEL, crossed(unit=n), BOTH, root(1))) for n in (150, 10_000, 10**6)}
    assert widths == {150: 1024, 10_000: 16, 10**6: 1}


def test_a_replicate_is_redrawn_alone():
    results = study(MODEL, DESIGN, BOTH, 20, rng=4)
    simulation = results.redraw(13)
    expected = results.estimates.query("replicate == 13")["estimate"]
    assert np.allclose(simulation.data["y"].mean(), expected, rtol=1e-12)
    assert (simulation.y == simulation.X @ simulation.beta + simulation.Z @ simulation.u + simulation.eps).all()
    with pytest.raises(ValueError, match=r"replicate 1\.5: they are numbered from 0, in whole numbers"):
        results.redraw(1.5)
    with pytest.raises(ValueError, match="numbered from 0"):
        results.redraw(-1)


PRESSURE = drop_out(unit="patient", time="week", hazard=lambda seen: np.where(seen["systolic"] < 145, 0.4, 0.05))


def _drop_out_plain(data, rng):
    """The same dropout as a plain function, which deletes the rows."""
    return PRESSURE(data, rng).dropna(subset="systolic")


@pytest.mark.parametrize("observe", [PRESSURE, _drop_out_plain], ids=["observer", "function"])
def test_batched_and_single_fits_see_the_same_missing_values(observe):
    world = scenarios.blood_pressure(patients=12)
    ols = OLS("systolic ~ week * drug")
    results = study(*world, {"batch": ols, "single": lambda data: ols(data)}, 10, rng=2, observe=observe)
    table = results.estimates.pivot(index=["replicate", "term"], columns="analysis", values="estimate")
    assert np.allclose(table["batch"], table["single"], rtol=1e-9)
    seen = results.redraw(7)
    assert 0 < seen["systolic"].isna().sum() + 72 - len(seen) < 72
    alone = ols(seen.dropna()).coef["estimate"]
    assert np.allclose(table.loc[7, "batch"].loc[alone.index], alone, rtol=1e-9)


def test_losing_values_does_not_change_the_others():
    results = [study(MODEL, DESIGN, {"m": _first}, 5, rng=2, observe=o) for o in (None, knock_out(share=0.5))]
    whole, part = (r.estimates["estimate"].to_numpy() for r in results)
    data = results[1].redraw(0)
    assert data["y"].isna().sum() == 4
    assert set(data["y"].dropna().round(9)) <= set(results[0].redraw(0).data["y"].round(9))
    assert not np.isnan(part).all() and not np.isnan(whole).any()


def _first(data):
    return pd.Series({"Intercept": data["y"].dropna().iloc[0]})


def test_an_observe_that_changes_covariates_is_a_failure_that_says_why():
    with pytest.raises(ValueError, match="observe may lose responses"):
        study(MODEL, DESIGN, {"m": Mean()}, 5, rng=2, observe=lambda data, rng: data.assign(unit=0))


def test_the_design_can_be_redrawn_in_every_replicate():
    model = Model("y ~ x", {"Intercept": 1.0, "x": 2.0}, residual=1.0)
    redraw = partial(_with_x, crossed(unit=30))
    results = study(model, redraw(np.random.default_rng(0)), {"OLS": OLS("y ~ x")}, 12, rng=1, redraw=redraw)
    first, second = results.redraw(0), results.redraw(1)
    assert not np.allclose(first.data["x"], second.data["x"])
    assert len({round(float(results.redraw(k).eps[0]), 9) for k in range(12)}) == 12
    expected = OLS("y ~ x")(second.data).coef.loc["x", "estimate"]
    found = results.estimates.query("replicate == 1 and term == 'x'")["estimate"].item()
    assert found == pytest.approx(expected, rel=1e-12)
    again = study(model, first.design, {"OLS": OLS("y ~ x")}, 5, rng=1, redraw=redraw)
    pd.testing.assert_frame_equal(results.estimates.query("replicate < 5"), again.estimates, check_exact=True)


def _with_x(design, rng):
    return covariate(design, at="unit", x=draws.normal(), rng=rng)


def test_a_redrawn_model_keeps_its_coefficients():
    other = Model("y ~ 1", {"Intercept": 5.0}, residual=2.0)
    with pytest.raises(ValueError, match="other coefficients"):
        study(MODEL, DESIGN, BOTH, 5, rng=1, redraw=lambda rng: (other, DESIGN))


def test_failures_are_counted_kept_and_can_be_redrawn():
    analyses = {"batch": Mean(fails_above=2.0), "single": MeanSingly(fails_above=2.0)}
    with pytest.warns(UserWarning, match=r"'batch' failed in \d+ of 400 replicates \(first: too large\)"):
        results = study(MODEL, DESIGN, analyses, 400, rng=1)
    truly = np.flatnonzero(simulate_many(MODEL, DESIGN, 400, rng=1).mean(axis=0) > 2.0)
    for name, message in [("batch", "too large"), ("single", "ValueError: too large")]:
        mine = results.failures.query("analysis == @name")
        assert mine["replicate"].tolist() == truly.tolist()
        assert (mine["kind"] == "failed").all() and (mine["message"] == message).all()
        assert results.failure_counts.loc[(name, "failed", message), ["count", "first"]].tolist() == [
            len(truly),
            truly[0],
        ]
    assert results.redraw(int(truly[0])).y.mean() > 2.0
    assert not set(truly) & set(results.estimates["replicate"])


def test_fits_that_do_not_converge_are_counted_apart():
    with pytest.warns(UserWarning, match="did not converge in"):
        results = study(MODEL, DESIGN, {"mean": Mean(stuck_above=2.0)}, 300, rng=1)
    assert set(results.failures["kind"]) == {"not converged"} and set(results.failures["message"]) == {"stuck"}
    stuck = results.estimates.query("not converged")
    assert len(stuck) == len(results.failures) and (stuck["estimate"] > 2.0).all()


def test_terms_may_differ_between_replicates():
    """One replicate in three has another table: what it lacks is NaN, whoever comes first."""
    analyses = {"odd": _odd, "fails": lambda data: {"Intercept": 1.0} if data["y"].iloc[0] > 1 else 1 / 0}
    with pytest.warns(UserWarning, match="'fails' failed"):
        results = study(MODEL, DESIGN, analyses, 60, rng=1)
    first = simulate_many(MODEL, DESIGN, 60, rng=1)[0]
    wide = results.estimates.query("analysis == 'odd'").pivot(index="replicate", columns="term", values="estimate")
    assert (wide["sum"].notna().to_numpy() == (first > 2)).all() and wide["Intercept"].notna().all()
    assert results.failures["replicate"].tolist() == np.flatnonzero(first <= 1).tolist()


def _odd(data):
    y = data["y"]
    return {"Intercept": y.mean()} | ({"sum": y.sum()} if y.iloc[0] > 2 else {})


def test_a_batch_that_raises_is_analysed_column_by_column():
    class Fragile(Mean):
        def many(self, Y, data):
            if (np.mean(Y, axis=0) > 2.5).any():
                raise np.linalg.LinAlgError("singular matrix")
            return super().many(Y, data)

    results = study(MODEL, DESIGN, {"mean": Fragile()}, 300, rng=1)
    means = simulate_many(MODEL, DESIGN, 300, rng=1).mean(axis=0)
    assert results.failures["replicate"].tolist() == np.flatnonzero(means > 2.5).tolist() != []
    assert np.allclose(results.estimates["estimate"], means[means <= 2.5])


def test_a_study_in_which_everything_fails_raises_the_first_error():
    with pytest.raises(ValueError, match="methd") as caught:
        study(*scenarios.teaching_methods(), {"OLS": OLS("score ~ methd")}, 3000, rng=1)
    assert "analysis 'OLS' failed" in caught.value.__notes__[0]
    with pytest.raises(ZeroDivisionError):
        study(MODEL, DESIGN, {"good": Mean(), "bad": lambda data: 1 / 0}, 40, rng=1)
    with pytest.raises(KeyError, match="week") as caught:
        study(MODEL, DESIGN, {"good": Mean()}, 40, rng=1, observe=lambda data, rng: data[data["week"] > 1])
    assert "a study calls observe(data, rng)" in caught.value.__notes__[0]
    model, design = scenarios.teaching_methods()
    with pytest.raises(ValueError, match="does not vary within"), warnings.catch_warnings():
        warnings.simplefilter("error")  # of the lost values, which are no news beside the error
        within = Within("score ~ method", unit="school")
        study(model, design, {"within": within}, 40, rng=1, observe=knock_out(share=0.1))
    with pytest.raises(TypeError, match="an analysis returns a Fit, a DataFrame"):
        study(MODEL, DESIGN, {"bad": lambda data: 3.0}, 40, rng=1)


def test_any_table_is_an_answer():
    import statsmodels.formula.api as smf

    model = Model("y ~ x", {"Intercept": 1.0, "x": 0.5}, residual=1.0)
    design = crossed(unit=20).assign(x=np.linspace(-1, 1, 20))
    analyses = {
        "many": OLS("y ~ x"),
        "fit": lambda data: OLS("y ~ x")(data),
        "statsmodels": lambda data: smf.ols("y ~ x", data).fit(),
        "frame": lambda data: OLS("y ~ x")(data).coef.reset_index()[["term", "estimate", "se", "df"]],
        "series": lambda data: OLS("y ~ x")(data).coef["estimate"],
    }
    results = study(model, design, analyses, 4, rng=1).estimates
    wide = results.pivot(index=["replicate", "term"], columns="analysis", values=["estimate", "p", "low", "high"])
    for name in ("fit", "statsmodels", "frame"):
        assert np.allclose(wide.xs(name, axis=1, level=1), wide.xs("many", axis=1, level=1), rtol=1e-8), name
    assert np.allclose(wide["estimate", "series"], wide["estimate", "many"])
    assert wide["p", "series"].isna().all()


def test_a_mixed_model_of_statsmodels_gives_its_fixed_effects_only():
    import statsmodels.formula.api as smf

    def mixed(data):
        return smf.mixedlm("height ~ week", data, groups="plot").fit()

    model, design = scenarios.plant_growth(plots=10, counts=(4, 3, 3))
    results = study(model, design, {"statsmodels": mixed}, 2, rng=1)
    assert results.estimates["term"].unique().tolist() == ["Intercept", "week"]


def test_the_search_starts_at_the_truth_and_the_answer_does_not_depend_on_it():
    model, design = scenarios.plant_growth()
    formula = model.formula
    lmm = LMM(formula)
    recipe = Recipe(model, design, {"LMM": lmm}, root(1))
    theta = plan(recipe).batches["LMM"].start
    G = model.random["plot"].covariance(["Intercept", "week"])
    assert np.allclose(theta, np.linalg.cholesky(G)[[0, 1, 1], [0, 0, 1]])
    Y = recipe.responses(0, 50)[0]
    started, cold = lmm.many(Y, design, start=theta), lmm.many(Y, design)
    assert np.allclose(started.criterion, cold.criterion, atol=1e-6)
    other = plan(Recipe(model, design, {"LMM": LMM("height ~ week + (1 | plot)")}, root(1)))
    assert other.batches["LMM"].start is None


@pytest.mark.parametrize(
    "world",
    [
        Model("y ~ 1 + (1 | unit)", {"Intercept": 0}, {"unit": 0.0}),
        Model("y ~ 1 + (1 | unit)", {"Intercept": 0}, {"unit": 1.0}, residual=0.0),
    ],
    ids=["no variance", "no residual"],
)
def test_no_search_starts_at_the_edge(world):
    recipe = Recipe(world, crossed(unit=4, time=3), {}, root(1))
    assert true_theta(recipe, effects_of(recipe.equation.terms), recipe.model.residual.sd) is None


UNIT = {"unit": "plot", "time": "week"}
STRUCTURES = {
    "AR1": (AR1(sd=2.0, rho=0.5, **UNIT), AR1(**UNIT)),
    "AR1 by arm": (AR1(sd={"a": 2.0, "b": 3.0}, by="arm", rho=0.5, **UNIT), AR1(by="arm", **UNIT)),
    "by arm": (IID(sd={"a": 2.0, "b": 3.0}, by="arm"), IID(by="arm")),
    "shared": (CompoundSymmetry(sd=2.0, rho=0.3, unit="plot"), CompoundSymmetry(unit="plot")),
    "unstructured": (
        Unstructured(sd=dict(enumerate([1.0, 1.5, 2.0, 1.0])), corr=0.4, **UNIT),
        Unstructured(**UNIT),
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_search_for_a_residuals_numbers_starts_at_the_truth_and_takes_fewer_steps(name):
    residual, estimated = STRUCTURES[name]
    design = assign(crossed(plot=24, week=[0, 1, 2, 3]), to="plot", arm=["a", "b"])
    term = "" if name in ("shared", "unstructured") else " + (1 | plot)"
    random = {"plot": 1.0} if term else {}
    world = Model("y ~ week + arm" + term, {"Intercept": 1, "week": 1, "arm[T.b]": 0}, random, residual)
    lmm = LMM(world.formula, residual=estimated)
    recipe = Recipe(world, design, {"LMM": lmm}, root(2))
    prepared = plan(recipe).batches["LMM"]
    engine, start = prepared.engine, prepared.start
    numbers = engine.numbers.filled(start[engine.t :], 2.0 if name != "unstructured" else 1.0)
    assert {key: round(value, 6) for key, value in numbers.components.items()} == residual.components
    Y = recipe.responses(0, 200)[0]
    started, cold = engine.fit(Y, start=start), engine.fit(Y)
    np.testing.assert_allclose(started.criterion, cold.criterion, atol=1e-6)
    np.testing.assert_allclose(started.beta, cold.beta, atol=1e-4)
    assert started.converged.all() and started.evaluations.sum() < cold.evaluations.sum()


@pytest.mark.parametrize("name", ["AR1", "AR1 by arm", "by arm"])
def test_random_effects_start_at_their_true_size_beside_the_residual_of_the_first_level(name):
    """An sd of 1 among plots beside one of 2, that of arm a, whatever that of arm b."""
    residual, estimated = STRUCTURES[name]
    design = assign(crossed(plot=24, week=[0, 1, 2, 3]), to="plot", arm=["a", "b"])
    world = Model("y ~ week + (1 | plot)", {"Intercept": 1, "week": 1}, {"plot": 1.0}, residual)
    prepared = plan(Recipe(world, design, {"LMM": LMM(world.formula, residual=estimated)}, root(2))).batches["LMM"]
    assert prepared.start[: prepared.engine.t] == pytest.approx([1.0 / 2.0])


def test_a_residual_of_another_kind_is_no_place_to_start_from():
    design = assign(crossed(plot=24, week=[0, 1, 2, 3]), to="plot", arm=["a", "b"])
    world = Model("y ~ week", {"Intercept": 1, "week": 1}, {}, STRUCTURES["AR1"][0])
    for estimated in (IID(by="arm"), CompoundSymmetry(unit="plot"), AR1(by="arm", **UNIT), AR1(unit="plot", time="t")):
        recipe = Recipe(world, design.assign(t=design["week"]), {"LMM": LMM("y ~ week", residual=estimated)}, root(1))
        assert plan(recipe).batches["LMM"].start is None


def test_truth_names_coefficients_and_components():
    model = Model(
        "y ~ t + (t | g)",
        {"Intercept": 3.0, "t": 1.0},
        {"g": Random({"Intercept": 2.0, "t": 0.5}, corr=-0.4)},
        residual=AR1(sd=1.5, rho=0.3, unit="g", time="t"),
    )
    design = crossed(g=6, t=[0, 1, 2])
    results = study(model, design, {"LMM": LMM("y ~ t + (t | g)")}, 5, rng=1)
    assert results.truth.to_dict() == {"Intercept": 3.0, "t": 1.0}
    assert results.true_components.round(12).to_dict() == {
        ("sd", "g", "Intercept"): 2.0,
        ("sd", "g", "t"): 0.5,
        ("corr", "g", "Intercept, t"): -0.4,
        ("corr", "g", "t, Intercept"): -0.4,
        ("sd", "residual", ""): 1.5,
        ("corr", "residual", "rho"): 0.3,
    }
    assert set(results.components["LMM"].columns) <= set(results.true_components.index)
    fit = LMM("y ~ t + (t | g)")(results.redraw(3).data)
    row = results.components["LMM"].loc[3]
    assert row["sd", "g", "t"] == pytest.approx(np.sqrt(fit.random["g"].loc["t", "t"]), rel=1e-3, abs=1e-4)
    assert row["sd", "residual", ""] == pytest.approx(fit.sigma, rel=1e-4)


def test_what_cannot_begin_is_refused():
    with pytest.raises(ValueError, match="at least one analysis"):
        study(MODEL, DESIGN, {}, 10)
    with pytest.raises(ValueError, match="replicates is 0"):
        study(MODEL, DESIGN, BOTH, 0)
    with pytest.raises(TypeError, match="analysis 'OLS' is 'y ~ 1'"):
        study(MODEL, DESIGN, {"OLS": "y ~ 1"}, 10)
    for odd in (10.0, "10", None):
        with pytest.raises(ValueError, match=f"replicates is {odd!r}; a study needs a whole number"):
            study(MODEL, DESIGN, BOTH, odd)
    with pytest.raises(TypeError, match=r'analyses have names, as {"LMM": .*; got OLS'):
        study(MODEL, DESIGN, OLS("y ~ 1"), 10)
    for name in ("observe", "redraw"):
        with pytest.raises(TypeError, match=f"{name} is 3; it is a function, or None"):
            study(MODEL, DESIGN, BOTH, 10, **{name: 3})
    with pytest.raises(ValueError, match="already has a column 'y'"):
        study(MODEL, DESIGN.assign(y=1.0), BOTH, 10)


@pytest.mark.parametrize("estimator", [OLS("z ~ 1"), OLS("z ~ 1", cluster="unit"), GroupMeans("z ~ 1", unit="unit")])
def test_an_analysis_of_another_response_is_not_given_this_one(estimator):
    """In a batch an estimator is handed the response; on data it would not find its own."""
    with pytest.raises(ValueError, match=r"analysis 'odd' explains 'z' \(z ~ 1\); the response of the model is 'y'"):
        study(MODEL, DESIGN, {"odd": estimator}, 10)


def test_what_redraw_and_observe_return_is_looked_at():
    with pytest.raises(TypeError, match="redraw returns a design, or a model and a design; this one returned None"):
        study(MODEL, DESIGN, BOTH, 5, rng=1, redraw=lambda rng: None)
    with pytest.raises(TypeError, match="observe returns the data with 'y'; this one returned None"):
        study(MODEL, DESIGN, BOTH, 20, rng=1, observe=lambda data, rng: None)


def test_a_term_with_two_rows_is_a_failure_that_says_so():
    def twice(data):
        return pd.DataFrame({"estimate": [1.0, 2.0]}, index=["a", "a"])

    with pytest.raises(ValueError, match="has more than one row for the term 'a'"):
        study(MODEL, DESIGN, {"twice": twice}, 10, rng=1)


def test_estimates_that_diverged_are_failures():
    """An infinite estimate would make every mean infinite."""

    def diverges(data):
        y = data["y"].mean()
        return {"Intercept": np.inf if y > 1 else y}

    with pytest.warns(UserWarning, match="no finite estimates"):
        results = study(MODEL, DESIGN, {"single": diverges}, 50, rng=1)
    above = np.flatnonzero(simulate_many(MODEL, DESIGN, 50, rng=1).mean(axis=0) > 1)
    assert results.failures["replicate"].tolist() == above.tolist()
    assert performance(results)["mean"].item() < 1


def test_no_progress_bar_where_no_one_watches(capsys):
    study(MODEL, DESIGN, BOTH, 20, rng=1)
    assert capsys.readouterr() == ("", "")


def test_the_design_is_left_as_it_was():
    design = DESIGN.copy()
    study(MODEL, design, {"bad habits": _in_place}, 3, rng=1)
    assert design.equals(DESIGN) and not design.attrs.get("response")


def _in_place(data):
    data["unit"] = 0
    return Mean()(data)


def test_a_study_prints_what_it_found_and_who_failed():
    """Columns that people read, each with its Monte-Carlo error, in lines that fit a terminal."""
    results = study(MODEL, DESIGN, {"mean": Mean(), "often": Mean(fails_above=2.0)}, 40, rng=1)
    text, table = repr(results), performance(results).loc["Intercept"]
    failed = int(table.loc["often", "failed"])
    assert 0 < failed < 40
    assert text.startswith(f"Study of 40 replicates of y ~ 1\n  often: {failed} failed, 0 not converged\nIntercept\n")
    assert all(word in text for word in ("truth", "bias", "coverage", "rejection", "singular"))
    row = next(line for line in text.splitlines() if line.startswith("mean"))
    assert f"{table.loc['mean', 'coverage']:.2f} ±{table.loc['mean', 'coverage_mcse']:.2f}" in row
    assert max(map(len, text.splitlines())) <= 100
    assert results._repr_html_().count("<tr") == 4  # two of the header, one for each analysis


class KilledWorker(Exception):
    """What dask raises, by its name."""


@pytest.mark.parametrize(("error", "times"), [(ValueError, 1), (KilledWorker, 3)])
def test_a_task_that_fails_is_tried_once_and_one_whose_worker_dies_three_times(error, times):
    tried = []

    def task():
        tried.append(error)
        raise error("no")

    with pytest.raises(error, match="no"):
        dict(run({"task": task}, progress=False))
    assert len(tried) == times


@pytest.mark.slow
def test_a_worker_that_dies_loses_nothing(tmp_path):
    work = {k: partial(_die_once, k, str(tmp_path / "died")) for k in range(12)}
    assert dict(run(work, n_jobs=2, progress=False)) == {k: k * k for k in range(12)}
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_task_that_always_kills_its_worker_is_given_up():
    from concurrent.futures import BrokenExecutor

    with pytest.raises(BrokenExecutor, match="unexpectedly terminated"):
        dict(run({k: partial(_die, k) for k in range(2)}, n_jobs=2, progress=False))


def _die_once(k, flag):
    if k == 5 and not os.path.exists(flag):
        open(flag, "w").close()
        _die(k)
    return k * k


def _die(k):
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(6))
def test_least_squares_rejects_as_often_as_theory_says(reference, place):
    """Type-I error of OLS when clusters are treated (between) and when members are (within); exact F values."""
    case = reference("theory")["ols_vs_lmm_type1_cluster_two_arm_balanced"][place]
    J, m, rho, replicates = case["J"], case["m"], case["rho"], 20_000
    design = crossed(cluster=J, member=m)
    design["between"] = design["cluster"].cat.codes % 2
    design["within"] = design["member"].cat.codes % 2
    model = Model(
        "y ~ between + within + (1 | cluster)",
        {"Intercept": 0.0, "between": 0.0, "within": 0.0},
        {"cluster": np.sqrt(rho)},
        residual=np.sqrt(1 - rho),
    )
    kinds = ["between", "within"] if m % 2 == 0 else ["between"]
    results = study(model, design, {kind: OLS(f"y ~ {kind}") for kind in kinds}, replicates, rng=1)
    for kind in kinds:
        exact = case[f"type1_ols_{kind}_exact"]
        rate = (results.answers[kind].p[:, 1] < 0.05).mean()
        assert abs(rate - exact) < 4.5 * np.sqrt(exact * (1 - exact) / replicates), kind


@pytest.mark.slow
def test_cluster_means_and_robust_errors_reject_as_published(reference):
    """10^6 replicates behind every reference number."""
    case = reference("power")["type1_cluster_treatment_m20"]
    place = {name: i for i, name in enumerate(case["columns"])}
    row = case["rows"][1]
    world = scenarios.teaching_methods(
        schools=row[0], pupils=20, effect=0, sd_school=np.sqrt(case["icc"]), sd_residual=np.sqrt(1 - case["icc"])
    )
    analyses = {
        "OLS": OLS("score ~ method"),
        "cluster_means_t": GroupMeans("score ~ method", unit="school"),
        "cr1_t(J-1)": OLS("score ~ method", cluster="school"),
        "satterthwaite": LMM("score ~ method + (1 | school)"),
        "wald_z_reml": LMM("score ~ method + (1 | school)", df="z"),
    }
    replicates = 20_000
    results = study(*world, analyses, replicates, rng=1)
    for name in analyses:
        expected = row[place[name]]
        rate = (results.answers[name].p[:, 1] < 0.05).mean()
        assert abs(rate - expected) < 4.5 * np.sqrt(expected * (1 - expected) / replicates) + 0.0005, name


def test_a_task_names_its_file():
    assert str(Task("single", 16, 32)) == "single-000000016-000000032"
