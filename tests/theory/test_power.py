"""Exact power: the numbers of other tools, the laws it must obey, and the dense formula written out."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from lmmsim import (
    AR1,
    IID,
    CompoundSymmetry,
    Model,
    Random,
    assign,
    covariance,
    crossed,
    draws,
    nested,
    scenarios,
    simulate_many,
)
from lmmsim.estimators.least_squares import Within
from lmmsim.estimators.lmm import LMM
from lmmsim.studies.performance import performance
from lmmsim.studies.sizes import exact_size
from lmmsim.studies.study import study
from lmmsim.theory.power import exact_power, t_power


def schools(clusters=20, pupils=20, icc=0.1, effect=0.5):
    design = assign(nested(school=clusters, pupil=pupils), to="school", method=["usual", "new"])
    numbers = {"beta": {"Intercept": 0.0, "method[T.new]": effect}, "random": {"school": np.sqrt(icc)}}
    return Model("y ~ method + (1 | school)", **numbers, residual=np.sqrt(1 - icc)), design


def words(subjects, items, item_sd, effect):
    design = assign(crossed(subject=subjects, item=2 * items), to="item", kind=[-0.5, 0.5])
    subject = Random(sd={"Intercept": 100.0, "kind": 40.0}, corr=0.2)
    random = {"item": item_sd, "subject": subject}
    formula = "rt ~ kind + (1 | item) + (1 + kind | subject)"
    return Model(formula, {"Intercept": 0.0, "kind": effect}, random, residual=200.0), design


# -- numbers of other tools: tests/reference/power.json -------------------------------------------------------------


@pytest.mark.parametrize("ratio", ["var_ratio_.01", "var_ratio_.05"])
def test_longitudinal_power_is_that_of_powerlmm(reference, ratio):
    expected = reference("power")["longitudinal_two_level"]
    sd_slope = np.sqrt(float(ratio.removeprefix("var_ratio_")))
    beta = {"Intercept": 0.0, "t": 0.0, "arm[T.new]": 0.0, "t:arm[T.new]": 0.5 * np.sqrt(2) / 10}
    model = Model("y ~ t * arm + (t || id)", beta, {"id": Random(sd={"Intercept": 1.0, "t": sd_slope})}, residual=1.0)
    for n, power in zip(expected["n2_per_arm"], expected["power"][ratio], strict=True):
        design = assign(crossed(id=2 * n, t=np.arange(11)), to="id", arm=["old", "new"])
        # powerlmm takes n - 2 df; Satterthwaite's are a little more, because the intercept's variance is not in this se
        table = exact_power(model, design, df=2 * n - 2)
        assert round(table.loc["t:arm[T.new]", "power"], 8) == power


@pytest.mark.parametrize(("row", "rho"), list(enumerate([0.2, 0.5, 0.8])))
@pytest.mark.parametrize(("column", "variance"), list(enumerate([100, 200, 300])))
def test_sample_sizes_of_diggle_liang_and_zeger(reference, row, rho, column, variance):
    expected = reference("power")["diggle_p29"]["n_per_arm"][row][column]
    beta = {"Intercept": 0.0, "t": 0.0, "arm[T.new]": 0.0, "t:arm[T.new]": 0.5}

    def trial(n):
        design = assign(crossed(id=2 * n, t=[0, 2, 5]), to="id", arm=["old", "new"])
        return Model("y ~ t * arm", beta, residual=CompoundSymmetry(sd=np.sqrt(variance), rho=rho, unit="id")), design

    sizes = [expected - 1, expected, expected + 40]
    assert exact_size(trial, sizes, term="t:arm[T.new]", alternative="greater", df=np.inf).size == expected


def test_crossed_subjects_and_items_have_the_derived_df(reference):
    expected = reference("power")["crossed_subject_item"]
    row = exact_power(*words(subjects=100, items=25, item_sd=80.0, effect=50.0)).loc["kind"]
    assert round(row["se"], 5) == expected["se"]
    assert round(row["df"], 3) == expected["df"]
    assert round(row["power"], 5) == expected["power"]


@pytest.mark.parametrize("subjects", [10, 30, 50])
def test_crossed_power_table(reference, subjects):
    expected = reference("power")["crossed_subject_item"]["items_per_group_10_15_20_25_at_b1_100"]
    # all twelve entries belong to an item sd of 100; the sd of 80 named beside them gives 0.505 for the first
    power = [exact_power(*words(subjects, items, 100.0, 100.0)).loc["kind", "power"] for items in (10, 15, 20, 25)]
    assert np.round(power, 3).tolist() == expected[f"n_subj_{subjects}"]


def test_cluster_randomised_power(reference):
    for k, m, icc, effect, power in reference("power")["cluster_randomised"]["rows_k_m_rho_d_power"]:
        row = exact_power(*schools(2 * k, m, icc, effect)).loc["method[T.new]"]
        assert round(row["power"], 4) == power
        assert row["df"] == pytest.approx(2 * k - 2)


def test_power_of_clusters_with_total_variance_one(reference):
    for case in reference("theory")["power_cluster_two_arm_total_variance_1"]:
        row = exact_power(*schools(case["J"], case["m"], case["rho"], case["delta"])).loc["method[T.new]"]
        assert row["se"] ** 2 == pytest.approx(case["var"], rel=1e-12)
        assert row["effect"] / row["se"] == pytest.approx(case["ncp"], rel=1e-12)
        assert row["power"] == pytest.approx(case["power_nct"], rel=1e-10)


def test_three_level_power(reference):
    for S, se, power in reference("power")["three_level_school_randomised"]["rows_S_se_power"]:
        design = assign(nested(school=2 * S, classroom=3, pupil=20), to="school", arm=["old", "new"])
        random = {"school": np.sqrt(0.10), "school:classroom": np.sqrt(0.08)}
        beta = {"Intercept": 0.0, "arm[T.new]": 0.4}
        model = Model("y ~ arm + (1 | school/classroom)", beta, random, residual=np.sqrt(0.82))
        row = exact_power(model, design).loc["arm[T.new]"]
        assert (round(row["se"], 5), round(row["power"], 4)) == (se, power)
        assert row["df"] == pytest.approx(2 * S - 2)


def growth_of_units(case):
    """Units measured over time, as in the entries of random_slope_omitted_type1: nothing but a common slope of 0."""
    times = np.arange(case["m"], dtype=float) - (case["m"] - 1) / 2
    sds = {"Intercept": 1.0, "t": np.sqrt(case["tau11"])}
    model = Model("y ~ t + (t || id)", {"Intercept": 0.0, "t": 0.0}, {"id": Random(sds)}, np.sqrt(case["sigma2_e"]))
    return model, crossed(id=case["J"], t=times)


def test_slopes_as_data_have_the_variance_and_the_df_of_the_table(reference):
    for case in reference("theory")["random_slope_omitted_type1"]:
        row = exact_power(*growth_of_units(case)).loc["t"]
        assert row["se"] ** 2 == pytest.approx(case["true_var_slope"], rel=1e-12)
        assert row["df"] == pytest.approx(case["type1_correct_slopes_as_data_t_df"], rel=1e-9)


def test_without_random_slopes_the_reported_variance_is_that_of_the_table(reference):
    """Within units, least squares takes the spread of slopes for residual noise: its se is too small on average."""
    for case in reference("theory")["random_slope_omitted_type1"]:
        results = study(*growth_of_units(case), {"within": Within("y ~ t", unit="id")}, 5000, rng=6)
        row = performance(results).loc["t", "within"]
        for name, variance in [("model_se", case["mean_reported_var"]), ("emp_se", case["true_var_slope"])]:
            assert abs(row[name] - np.sqrt(variance)) < 4.5 * row[f"{name}_mcse"], name
        ratio = 1 / case["se_ratio_true_over_reported"]
        assert abs(row["se_ratio"] - ratio) < 4.5 * row["se_ratio_mcse"]


def test_tests_by_subject_and_by_item_reject_as_the_table_says(reference):
    """Half of the items in each condition: subjects' differences share the items, means of items are independent."""
    replicates = 20_000
    for case in reference("theory")["crossed_items_ignored"]:
        S, items = case["subjects"], case["items"]
        design = assign(crossed(subject=S, item=items), to="item", kind=["a", "b"])
        beta, random = {"Intercept": 0.0, "kind[T.b]": 0.0}, {"subject": 0.5, "item": np.sqrt(case["s2_item"])}
        model = Model("y ~ kind + (1 | subject) + (1 | item)", beta, random, residual=np.sqrt(case["s2_e"]))
        assert exact_power(model, design).loc["kind[T.b]", "se"] ** 2 == pytest.approx(case["true_var_diff"])
        Y = simulate_many(model, design, replicates, rng=7).reshape(S, items, replicates)
        b = (design["kind"] == "b").to_numpy()[:items]
        by_subject = stats.ttest_1samp(Y[:, b].mean(axis=1) - Y[:, ~b].mean(axis=1), 0.0).pvalue
        by_item = stats.ttest_ind(Y[:, b].mean(axis=0), Y[:, ~b].mean(axis=0)).pvalue
        for p, rate in [(by_subject, case["type1_by_subject_t"]), (by_item, case["type1_by_item_t_correct"])]:
            assert (p < 0.05).mean() == pytest.approx(rate, abs=4.5 * np.sqrt(rate * (1 - rate) / replicates))


@pytest.mark.slow
def test_satterthwaite_keeps_its_level_with_forty_clusters(reference):
    """The entry of 40 clusters; there are tests of the others with the estimators."""
    table = reference("power")["type1_cluster_treatment_m20"]
    row = dict(zip(table["columns"], table["rows"][-1], strict=True))
    model, design = schools(row["J"], 20, table["icc"], effect=0.0)
    replicates = 20_000
    results = study(model, design, {"LMM": LMM(model.formula)}, replicates, rng=8)
    table = performance(results).loc[("method[T.new]", "LMM")]
    expected = row["satterthwaite"]
    assert abs(table["rejection"] - expected) < 4.5 * np.sqrt(expected * (1 - expected) / replicates)
    zero = row["singular_reml"]
    assert abs(table["singular_rate"] - zero) < 4.5 * np.sqrt(zero * (1 - zero) / replicates)


# -- df of balanced designs are those of the exact F tests -----------------------------------------------------------


def test_between_and_within_predictors_have_the_df_of_anova():
    design = assign(nested(school=12, pupil=8), to="school", method=["usual", "new"])
    design = assign(design, to="pupil", by="school", tutor=["no", "yes"])
    beta = {"Intercept": 0.0, "method[T.new]": 0.3, "tutor[T.yes]": 0.3}
    df = exact_power(Model("y ~ method + tutor + (1 | school)", beta, {"school": 0.5}), design)["df"]
    assert df["method[T.new]"] == pytest.approx(12 - 2)
    assert df["tutor[T.yes]"] == pytest.approx(12 * 8 - 12 - 1)


def test_random_slopes_leave_the_df_of_the_groups():
    df = exact_power(*scenarios.plant_growth(plots=30))["df"]
    np.testing.assert_allclose(df, 30 - 3, rtol=1e-9)


def test_a_model_without_groups_has_the_df_of_least_squares():
    design = assign(crossed(plant=14), to="plant", light=["dim", "bright"])
    table = exact_power(Model("y ~ light", {"Intercept": 0.0, "light[T.bright]": 1.0}, residual=1.5), design)
    assert table["df"].tolist() == pytest.approx([12.0, 12.0])
    assert table.loc["light[T.bright]", "se"] == pytest.approx(1.5 * np.sqrt(2 / 7))


def test_unequal_residual_sds_give_the_df_of_welch():
    design = assign(crossed(plant=15), to="plant", light=["dim", "bright"], counts=[5, 10])
    model = Model(
        "y ~ light", {"Intercept": 0.0, "light[T.bright]": 1.0}, residual=IID({"dim": 1.0, "bright": 2.0}, "light")
    )
    v = np.array([1 / 5, 4 / 10])
    welch = v.sum() ** 2 / (v[0] ** 2 / 4 + v[1] ** 2 / 9)
    assert exact_power(model, design).loc["light[T.bright]", "df"] == pytest.approx(welch)


def test_a_confounded_pair_of_parameters_changes_nothing():
    model, design = schools(10, 6, icc=0.2)
    both = replace_model(model, residual=CompoundSymmetry(sd=np.sqrt(0.8), rho=0.0, unit="school"))
    pd.testing.assert_frame_equal(exact_power(both, design), exact_power(model, design), rtol=1e-8)


def replace_model(model, **changes):
    parts = {name: getattr(model, name) for name in ("formula", "beta", "random", "residual")}
    return Model(**parts | changes)


# -- the block-wise calculation is the dense formula -----------------------------------------------------------------


def residuals_of_every_kind():
    return {
        "iid": 2.0,
        "by level": IID({"a": 1.0, "b": 2.5}, by="arm"),
        "AR1": AR1(sd=2.0, rho=0.6, unit="id", time="t"),
        "AR1 at zero": AR1(sd=2.0, rho=0.0, unit="id", time="t"),
        "negative AR1": AR1(sd=2.0, rho=-0.4, unit="id", time="t"),
        "compound symmetry": CompoundSymmetry(sd=2.0, rho=-0.1, unit="id"),
    }


def by_hand(model, design, parameters):
    """Vcov and df from n x n matrices, the derivatives of V by central differences over its parameters."""
    X, V = model.X(design).to_numpy(), model.V(design)
    V_inverse = np.linalg.inv(V)
    C = np.linalg.inv(X.T @ V_inverse @ X)
    P = V_inverse - V_inverse @ X @ C @ X.T @ V_inverse
    step = 1e-5
    dV = [(up(step).V(design) - up(-step).V(design)) / (2 * step) for up in parameters]
    information = np.array([[np.trace(P @ a @ P @ b) / 2 for b in dV] for a in dV])
    slopes = np.array([np.diagonal(C @ X.T @ V_inverse @ D @ V_inverse @ X @ C) for D in dV])
    variance = np.einsum("ap,ab,bp->p", slopes, np.linalg.pinv(information, rcond=1e-8, hermitian=True), slopes)
    return C, 2 * np.diagonal(C) ** 2 / variance


def directions(model):
    """Worlds a step away in each parameter: sds and correlation of the slopes, and those of the residual."""
    sd, corr, residual = model.random["id"].sds, model.random["id"].corr, model.residual
    others = {group: value for group, value in model.random.items() if group != "id"}

    def effects(intercept=0.0, slope=0.0, rho=0.0):
        moved = {"Intercept": sd["Intercept"] + intercept, "t": sd["t"] + slope}
        return replace_model(model, random={**others, "id": Random(sd=moved, corr=corr + rho)})

    out = [lambda h: effects(intercept=h), lambda h: effects(slope=h), lambda h: effects(rho=h)]
    for group, value in others.items():
        out.append(lambda h, g=group, v=value: replace_model(model, random={**model.random, g: v.sds["Intercept"] + h}))
    if isinstance(residual, IID) and residual.by:
        for level in residual.sd:
            out.append(
                lambda h, k=level: replace_model(
                    model, residual=replace(residual, sd={**residual.sd, k: residual.sd[k] + h})
                )
            )
    else:
        out.append(lambda h: replace_model(model, residual=replace(residual, sd=residual.sd + h)))
    if not isinstance(residual, IID):
        out.append(lambda h: replace_model(model, residual=replace(residual, rho=residual.rho + h)))
    return out


@pytest.mark.parametrize("ids", [8, 60])  # 29 rows, and 237 that a rater ties together
@pytest.mark.parametrize(
    ("kind", "rater"), [("iid", False), ("AR1", False), *((kind, True) for kind in residuals_of_every_kind())]
)
def test_blocks_give_what_the_whole_matrix_gives(kind, rater, ids):
    rng = np.random.default_rng(3)
    design = crossed(id=ids, t=[0, 1, 2, 4])
    design = assign(design, to="id", arm=["a", "b"]).assign(
        rater=rng.integers(0, 3, len(design)).astype(str), z=rng.normal(size=len(design))
    )
    design = design.drop(index=[3, 10, 11]).sample(frac=1, random_state=4)
    random = {"id": Random(sd={"Intercept": 1.5, "t": 0.7}, corr=-0.3)} | ({"rater": 0.8} if rater else {})
    beta = {"Intercept": 1.0, "t": 0.5, "arm[T.b]": 0.7, "z": 0.2}
    formula = "y ~ t + arm + z + (t | id)" + (" + (1 | rater)" if rater else "")
    model = Model(formula, beta, random, residuals_of_every_kind()[kind])
    C, df = by_hand(model, design, directions(model))
    table = exact_power(model, design)
    np.testing.assert_allclose(table["se"], np.sqrt(np.diagonal(C)), rtol=1e-10)
    np.testing.assert_allclose(table["df"], df, rtol=1e-5)


def test_a_unit_seen_hundreds_of_times_is_handled_as_one_seen_five_times():
    """One patient measured daily for a year: the residuals of one unit alone make a large block."""
    design = assign(crossed(id=2, t=np.arange(250)), to="id", arm=["a", "b"])
    beta = {"Intercept": 0.0, "t": 0.1}
    model = Model("y ~ t + (1 | id)", beta, {"id": 1.0}, AR1(sd=2.0, rho=0.6, unit="id", time="t"))
    X, W = model.X(design).to_numpy(), np.linalg.inv(model.V(design))
    expected = np.sqrt(np.diagonal(np.linalg.inv(X.T @ W @ X)))
    np.testing.assert_allclose(exact_power(model, design)["se"], expected, rtol=1e-10)


def test_two_hundred_thousand_rows_take_less_than_a_hundred_numbers_each():
    world = scenarios.teaching_methods(schools=400, pupils=500, effect=0.4)
    tracemalloc.start()
    table = exact_power(*world)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 8 * 200_000
    assert table.loc["method[T.new]", "df"] == pytest.approx(398)


def test_the_origin_and_the_unit_of_time_do_not_matter():
    model, design = scenarios.plant_growth()
    # days since year 0 instead of weeks since the start
    at, unit = 2026.0 * 365, 7.0
    back = np.array([[1.0, -at / unit], [0.0, 1 / unit]])  # effects in the new coordinates from the old ones
    sd, corr = covariance.to_sd(back @ model.random["plot"].covariance(["Intercept", "week"]) @ back.T)
    beta = {name: value / unit if "week" in name else value for name, value in model.beta.items()}
    effects = Random(dict(zip(["Intercept", "week"], sd, strict=True)), corr)
    late = exact_power(
        Model(model.formula, beta, {"plot": effects}, 1.0), design.assign(week=at + unit * design["week"])
    )
    early = exact_power(model, design)
    slopes = [name for name in beta if "week" in name]
    np.testing.assert_allclose(late.loc[slopes, "df"], 27.0, rtol=1e-4)
    np.testing.assert_allclose(late.loc[slopes, "power"], early.loc[slopes, "power"], rtol=1e-4)


def test_row_order_does_not_matter(world):
    model, design = world
    shuffled = design.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(exact_power(model, shuffled), exact_power(model, design), rtol=1e-7)


# -- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alternative", "alpha"), [("two-sided", 0.001), ("greater", 0.05), ("less", 0.2)])
def test_power_of_a_zero_effect_is_alpha(world, alternative, alpha):
    model, design = world
    nothing = replace_model(model, beta=dict.fromkeys(model.beta, 0.0))
    power = exact_power(nothing, design, alpha=alpha, alternative=alternative)["power"]
    np.testing.assert_allclose(power, alpha, rtol=1e-12)


def test_the_two_sided_test_spends_alpha_on_both_sides():
    both = t_power(1.3, 9, 0.05)
    assert both == pytest.approx(t_power(1.3, 9, 0.025, "greater") + t_power(1.3, 9, 0.025, "less"))
    assert t_power(-1.3, 9) == pytest.approx(both)


@pytest.mark.parametrize("df", [1, 3.7, 400])
@pytest.mark.parametrize("ncp", [-12.0, 0.4, 2.5, 40.0])
def test_t_power_is_the_normal_averaged_over_the_variance(df, ncp):
    critical = stats.t.isf(0.025, df)

    def rejected(u):
        scale = np.sqrt(stats.chi2.ppf(u, df) / df)
        return stats.norm.sf(critical * scale - ncp) + stats.norm.cdf(-critical * scale - ncp)

    expected = integrate.quad(rejected, 0, 1, limit=200)[0]
    assert t_power(ncp, df) == pytest.approx(expected, abs=1e-6)


def test_many_df_are_the_z_test():
    assert t_power(2.2, 1e8) == pytest.approx(t_power(2.2, np.inf), abs=1e-7)
    assert t_power(2.2, np.inf) == pytest.approx(
        stats.norm.sf(1.959964 - 2.2) + stats.norm.cdf(-1.959964 - 2.2), abs=1e-7
    )


def test_a_contrast_is_the_coefficient_of_a_recoded_model():
    model, design = scenarios.plant_growth()
    at_week_4 = {
        "B - A at week 4": {
            "fertilizer[T.A]": -1,
            "fertilizer[T.B]": 1,
            "week:fertilizer[T.A]": -4,
            "week:fertilizer[T.B]": 4,
        }
    }
    row = exact_power(model, design, contrasts=at_week_4).loc["B - A at week 4"]
    recoded = design.assign(
        week=design["week"] - 4, fertilizer=design["fertilizer"].cat.reorder_categories(["A", "Control", "B"])
    )
    # the same world seen from week 4: the random intercept is the one at week 4
    sd4 = np.sqrt(4 + 16 * 0.16 + 2 * 4 * 0.3 * 2 * 0.4)
    corr4 = (0.3 * 2 * 0.4 + 4 * 0.16) / (sd4 * 0.4)
    beta = dict.fromkeys(
        ["Intercept", "week", "fertilizer[T.Control]", "week:fertilizer[T.Control]", "week:fertilizer[T.B]"], 0.0
    )
    seen = Model(
        model.formula, beta | {"fertilizer[T.B]": 2.0}, {"plot": Random({"Intercept": sd4, "week": 0.4}, corr4)}, 1.0
    )
    expected = exact_power(seen, recoded).loc["fertilizer[T.B]"]
    np.testing.assert_allclose(row, expected, rtol=1e-9)


def test_exact_size_is_the_first_that_is_enough():
    size = exact_size(lambda k: schools(k, effect=0.4), range(4, 200, 2), power=0.9, term="method[T.new]").size
    at, before = (exact_power(*schools(k, effect=0.4)).loc["method[T.new]", "power"] for k in (size, size - 2))
    assert before < 0.9 <= at


def test_exact_size_takes_the_df_of_each_size():
    arguments = {"sizes": range(4, 200, 2), "term": "method[T.new]"}
    exact = exact_size(schools, **arguments).size
    assert exact_size(schools, df=lambda k: k - 2, **arguments).size == exact
    assert exact_size(schools, df="z", **arguments).size <= exact


# -- refusals --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_answered_is_refused_by_name():
    model, design = schools()
    with pytest.raises(ValueError, match=r"contrast 'a' names methd; the coefficients are Intercept, method\[T.new\]"):
        exact_power(model, design, contrasts={"a": {"methd": 1}})
    with pytest.raises(ValueError, match="'Intercept' is a coefficient already"):
        exact_power(model, design, contrasts={"Intercept": {"Intercept": 1}})
    with pytest.raises(ValueError, match="df names methd"):
        exact_power(model, design, df={"methd": 3})
    with pytest.raises(ValueError, match="alpha is 5; it lies between 0 and 1"):
        exact_power(model, design, alpha=5)
    with pytest.raises(ValueError, match="alternative is 'both'"):
        exact_power(model, design, alternative="both")
    with pytest.raises(ValueError, match="a residual sd is 0"):
        exact_power(replace_model(model, residual=0.0), design)
    with pytest.raises(ValueError, match="rank 1"):
        exact_power(
            model, design[design["method"] == "new"].assign(method=pd.Categorical(["new"] * 200, ["usual", "new"]))
        )

    with pytest.raises(ValueError, match=r"df is 0; degrees of freedom are numbers above 0, and df='z' is the z test"):
        exact_power(model, design, df=0)
    with pytest.raises(ValueError, match="the contrast 'nothing' has no weight other than 0"):
        exact_power(model, design, contrasts={"nothing": {"Intercept": 0}})
    with pytest.raises(TypeError, match=r"the contrast 'all' is \[1, 1\]; give weights by coefficient, as {'method"):
        exact_power(model, design, contrasts={"all": [1, 1]})


def test_one_school_in_each_arm_is_no_test_of_the_method():
    model, design = schools(clusters=2, pupils=5, effect=4.0)
    tutored = design.assign(tutor=np.arange(10) % 2)
    both = Model("y ~ method + tutor + (1 | school)", model.beta | {"tutor": 4.0}, model.random, model.residual)
    with pytest.warns(UserWarning, match=r"no test of Intercept, method\[T.new\]: with 2 of 'school' .*; add groups"):
        table = exact_power(both, tutored)
    assert table.loc[["Intercept", "method[T.new]"], ["df", "power"]].isna().all(axis=None)
    assert table.loc["tutor", "df"] == pytest.approx(10 - 3)  # pupils of one school can still be compared
    with pytest.warns(UserWarning, match="no test"):
        assert exact_size(lambda k: schools(k, 5, effect=40.0), [2, 4, 6], term="method[T.new]").size == 4
    with (
        pytest.warns(UserWarning),
        pytest.raises(ValueError, match="no test of 'Intercept' even at the largest size, 2"),
    ):
        exact_size(lambda k: schools(k, 5), [2], term="Intercept")
    with pytest.warns(UserWarning, match=r"no test of Intercept: with 2 of 'school'"):
        given = exact_power(model, design, df={"method[T.new]": np.inf})["power"]
    assert np.isnan(given["Intercept"]) and given["method[T.new]"] > 0.99
    assert exact_power(model, design, df=np.inf).loc["method[T.new]", "power"] > 0.99  # if the variance were known


def test_one_plot_for_each_fertiliser_has_no_test_of_growth_either():
    with pytest.warns(UserWarning, match="with 3 of 'plot' their effects cannot be told from the coefficients"):
        assert exact_power(*scenarios.plant_growth(plots=3))["power"].isna().all()


def test_a_size_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="power is 80; it lies between 0 and 1"):
        exact_size(schools, [6, 8], power=80, term="method[T.new]")
    with pytest.raises(
        ValueError, match=r"power for 'method\[T.new\]' is 0.\d+ at the largest size, 8; 0.8 needs larger"
    ):
        exact_size(schools, [4, 6, 8], term="method[T.new]")
    with pytest.raises(ValueError, match="sizes must be increasing"):
        exact_size(schools, [8, 6], term="method[T.new]")
    with pytest.raises(ValueError, match=r"there is no term 'method'; the terms are Intercept, method\[T.new\]"):
        exact_size(schools, [6, 8], term="method")


def test_draws_that_are_not_normal_are_pointed_out():
    model, design = schools()
    skewed = replace_model(model, random={"school": Random(sd=0.3, shape=draws.skewed())})
    with pytest.warns(UserWarning, match=r"not normal: school \(skewed"):
        exact_power(skewed, design)


# -- against simulation ----------------------------------------------------------------------------------------------


def test_cluster_means_reject_as_often_as_exact_power_says():
    model, design = schools(clusters=12, pupils=5, icc=0.3, effect=0.9)
    replicates = 20_000
    Y = simulate_many(model, design, replicates, rng=11)
    means = Y.reshape(12, 5, -1).mean(axis=1)
    new = design.drop_duplicates("school")["method"].to_numpy() == "new"
    rejected = (stats.ttest_ind(means[new], means[~new]).pvalue < 0.05).mean()
    power = exact_power(model, design).loc["method[T.new]", "power"]
    assert rejected == pytest.approx(power, abs=4 * np.sqrt(power * (1 - power) / replicates))


def two_arms():
    return schools(clusters=16, pupils=10, icc=0.2, effect=0.7)


def slopes():
    return scenarios.plant_growth(plots=18)


def unequal_schools():
    design = nested(school=20, pupil=[4, 7, 10, 25] * 5)
    design = assign(design, to="school", method=["usual", "new"], counts=[12, 8])
    return schools(icc=0.2, effect=0.6)[0], design


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "term"),
    [(two_arms, "method[T.new]"), (slopes, "week:fertilizer[T.B]"), (unequal_schools, "method[T.new]")],
)
def test_mixed_models_reject_as_often_as_exact_power_says(world, term):
    """Balanced clusters, random slopes, and clusters of 4 to 25; se and power also from n x n matrices and SciPy."""
    model, design = world()
    row = exact_power(model, design).loc[term]
    X = model.X(design)
    C = np.linalg.inv(X.T.to_numpy() @ np.linalg.solve(model.V(design), X.to_numpy()))
    se = np.sqrt(C[X.columns.get_loc(term), X.columns.get_loc(term)])
    critical, shift = stats.t.isf(0.025, row["df"]), model.beta[term] / se
    by_scipy = stats.nct.sf(critical, row["df"], shift) + stats.nct.cdf(-critical, row["df"], shift)
    assert row["se"] == pytest.approx(se, rel=1e-9) and row["power"] == pytest.approx(by_scipy, rel=1e-7)
    simulated = performance(study(model, design, {"LMM": LMM(model.formula)}, 10_000, rng=9)).loc[(term, "LMM")]
    assert simulated["n"] > 9_990
    assert abs(simulated["rejection"] - row["power"]) < 4.5 * simulated["rejection_mcse"]
