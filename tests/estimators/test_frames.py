"""Whatever frame the data arrive in, the numbers are the same; what cannot be meant is refused by name."""

from __future__ import annotations

import datetime
import warnings
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from lmmsim import (
    AR1,
    IID,
    LMM,
    OLS,
    CompoundSymmetry,
    GroupMeans,
    Model,
    Unstructured,
    Within,
    assign,
    crossed,
    diagnose,
    exact_power,
    knock_out,
    lineup,
    nested,
    performance,
    simulate,
    study,
)
from lmmsim.estimators.bootstrap import bootstrap
from lmmsim.estimators.inference import compare, likelihood
from lmmsim.model.identifiable import doubts


@pytest.fixture
def plots():
    """Twelve plots, eight weeks, three arms, two soils; a few heights were not measured."""
    k = np.arange(96)
    data = pd.DataFrame({"plot": k // 8, "week": k % 8, "arm": np.array(["A", "B", "C"])[k // 8 % 3]})
    data["soil"] = np.where(k % 5 < 2, "clay", "sand")
    data["height"] = 10 + 2 * data["week"] - 0.1 * data["week"] ** 2 + 3 * np.sin(5.0 * (k // 8)) + np.sin(7.0 * k)
    data["height"] += data["arm"] == "B"
    data.loc[(data["week"] > 4) & (k % 3 > 0), "height"] = np.nan
    return data


@pytest.fixture
def complete(plots):
    return plots.dropna().reset_index(drop=True)


quiet = pytest.mark.filterwarnings("ignore::UserWarning")


# ---- A: numbers are float64 and text is a factor, whatever their types


NUMBERS = ["int8", "uint8", "uint64", "Int64", "UInt8", "float32", "Float32", "float16", "Sparse[int]"]
CURVED = "height ~ I(week**2) * arm + week:soil + (week | plot)"


@pytest.mark.parametrize("kind", NUMBERS)
def test_the_type_of_a_number_does_not_matter(complete, kind):
    theirs = LMM(CURVED)(complete.astype({"week": kind}))
    ours = LMM(CURVED)(complete.astype({"week": float}))
    pd.testing.assert_frame_equal(theirs.coef, ours.coef)
    assert theirs.criterion == ours.criterion


@pytest.mark.parametrize("make", [int, float, Decimal, Fraction, np.int8])
def test_numbers_in_an_object_column_are_numbers_and_a_warning_says_so(complete, make):
    objects = complete.assign(week=pd.Series([make(int(w)) for w in complete["week"]], dtype=object))
    with pytest.warns(
        UserWarning, match=r"'week' is an object column that holds numbers only, and is taken as numbers"
    ):
        fit = LMM("height ~ week + (1 | plot)")(objects)
    pd.testing.assert_frame_equal(fit.coef, LMM("height ~ week + (1 | plot)")(complete).coef)


@quiet
@pytest.mark.parametrize("make", [int, Decimal, Fraction])
def test_numbers_in_an_object_column_are_asked_about_as_numbers(complete, make):
    """Its means stand at the mean of the numbers, not at every level with equal weights; so do tests and checks."""
    formula = "height ~ I(week**2) + week * arm + (1 | plot)"
    objects = complete.assign(week=pd.Series([make(int(w)) for w in complete["week"]], dtype=object))
    fit, plain = LMM(formula)(objects), LMM(formula)(complete)
    np.testing.assert_allclose(fit.means("arm"), plain.means("arm"))
    assert fit.means("arm").note == plain.means("arm").note
    np.testing.assert_allclose(fit.test("arm", at={"week": 4}), plain.test("arm", at={"week": 4}))
    ask = {"arms": {"arm": {"B": 1, "A": -1}}}
    plans = [exact_power(Model.from_fit(one), one.data, contrasts=ask) for one in (fit, plain)]
    np.testing.assert_allclose(plans[0], plans[1])
    checks, others = (diagnose(one, rng=1, replicates=9).checks for one in (fit, plain))
    assert list(checks) == list(others)


def test_a_function_of_a_factor_says_how_it_becomes_numbers(complete):
    for function in ("I(week**2)", "np.log(week + 1)", "C(week > 2)"):
        with pytest.raises(ValueError, match=r"'week' is a factor, .* data\['week'\].astype\(float\)"):
            LMM(f"height ~ arm + {function} + (1 | plot)")(complete.astype({"week": "category"}))


@quiet
@pytest.mark.parametrize("kind", [bool, "boolean", object, "int8"])
def test_a_truth_value_is_one_number_with_one_name(complete, kind):
    late = complete.assign(late=complete["week"] > 3)
    fit = LMM("height ~ late * arm + (1 | plot)")(late.astype({"late": kind}))
    assert fit.terms[:2] == ("Intercept", "late")
    pd.testing.assert_frame_equal(fit.coef, LMM("height ~ late * arm + (1 | plot)")(late.astype({"late": float})).coef)


@pytest.mark.parametrize("kind", [bool, "boolean", "object", "int8", float, "category"])
@pytest.mark.parametrize("levels", [(0, 1), (False, True), (0.0, 1.0)])
def test_the_sd_of_a_truth_value_is_found_under_the_number_that_it_equals(kind, levels):
    """Series.map finds no True in {0: 1.0, 1: 2.0}: such a world had residuals that were missing, in silence."""
    late = crossed(plot=3, week=range(4)).assign(late=lambda d: d["week"] > 1)
    beta, sd = {"Intercept": 0.0, "week": 1.0}, dict(zip(levels, [1.0, 2.0], strict=True))
    world = Model("y ~ week + (1 | plot)", beta, {"plot": 1.0}, IID(sd=sd, by="late"))
    design = late.astype({"late": int}).astype({"late": kind})
    np.testing.assert_array_equal(np.diagonal(world.R(design).toarray()), np.where(late["late"], 4.0, 1.0))
    assert np.isfinite(simulate(world, design, rng=1).y).all()


@quiet
@pytest.mark.parametrize("kind", [bool, "boolean", object, "int8"])
def test_a_truth_value_as_a_factor_is_known_again(complete, kind):
    late = complete.assign(late=(complete["week"] > 3).astype(kind))
    fit = LMM("height ~ C(late) * arm + (1 | plot)")(late)
    plain = LMM("height ~ late * arm + (1 | plot)")(complete.assign(late=(complete["week"] > 3).astype(float)))
    np.testing.assert_allclose(fit.predict(late[50:51]), plain.predict(late[50:51]), rtol=1e-6)
    effect = fit.contrast({"late": {late["late"].max(): 1, late["late"].min(): -1}})
    np.testing.assert_allclose(effect["estimate"], plain.contrast({"late": {1: 1, 0: -1}})["estimate"], rtol=1e-9)


@quiet
@pytest.mark.parametrize("first", [2**53, 2**60, 2**70])
def test_large_numbers_that_no_float_tells_apart_are_levels_of_their_own(complete, first):
    large = complete.assign(arm=[first + "ABC".index(arm) for arm in complete["arm"]])
    fit, plain = LMM("height ~ C(arm) + (1 | plot)")(large), LMM("height ~ arm + (1 | plot)")(complete)
    np.testing.assert_allclose(fit.coef["estimate"], plain.coef["estimate"])
    np.testing.assert_allclose(fit.predict(large[9:10])["mean"], plain.predict(complete[9:10])["mean"])


@quiet
@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
@pytest.mark.parametrize("kind", ["Int64", "Float64", object])
def test_a_missing_value_of_any_kind_is_one_row_less(complete, kind, gap):
    week = complete["week"].astype(kind)
    week[3] = gap
    fit = LMM("height ~ I(week**2) + (1 | plot)")(complete.assign(week=week))
    pd.testing.assert_frame_equal(fit.coef, LMM("height ~ I(week**2) + (1 | plot)")(complete.drop(index=3)).coef)


@pytest.mark.parametrize(
    "kind", ["str", "string", "object", "category", pd.CategoricalDtype(list("zABCy"), ordered=True)]
)
def test_the_type_of_a_text_does_not_matter(complete, kind):
    fit = LMM("height ~ arm * week + (1 | plot)")(complete.astype({"arm": kind}))
    plain = LMM("height ~ arm * week + (1 | plot)")(complete)
    np.testing.assert_array_equal(fit.coef, plain.coef)
    assert fit.terms == plain.terms


def test_types_of_arrow_are_read_too(complete):
    pytest.importorskip("pyarrow")
    kinds = {"week": "uint8[pyarrow]", "arm": "string[pyarrow]", "height": "double[pyarrow]", "plot": "int8[pyarrow]"}
    fit, plain = (LMM(CURVED)(data) for data in (complete.astype(kinds), complete))
    np.testing.assert_array_equal(fit.coef, plain.coef)


def test_a_polars_frame_is_read_at_every_door(complete):
    polars = pytest.importorskip("polars")
    theirs = polars.DataFrame({name: complete[name].tolist() for name in complete})
    enum = theirs.with_columns(polars.col("arm").cast(polars.Enum(["C", "A", "B"])))
    assert LMM("height ~ week + arm + (1 | plot)")(enum).terms[2:] == ("arm[T.A]", "arm[T.B]")
    for analysis in (
        LMM("height ~ week + arm + (1 | plot)"),
        OLS("height ~ week", cluster="plot"),
        GroupMeans("height ~ arm", unit="plot"),
        Within("height ~ week", unit="plot"),
    ):
        np.testing.assert_array_equal(analysis(theirs).coef, analysis(complete).coef)
    fit = LMM("height ~ week + arm + (1 | plot)")(complete)
    for kind in ("population", "conditional"):
        np.testing.assert_array_equal(fit.predict(theirs, kind=kind), fit.predict(complete, kind=kind))
    within = Within("height ~ week", unit="plot")(complete)
    np.testing.assert_array_equal(within.predict(theirs, kind="conditional"), within.predict(kind="conditional"))
    lost = knock_out(theirs, share=0.5, response="height", rng=1)["height"]
    np.testing.assert_array_equal(lost, knock_out(complete, share=0.5, response="height", rng=1)["height"])


def test_what_is_no_frame_is_told_how_to_become_one(complete):
    for other, says in (
        (complete.to_dict("list"), r"a dict; .* pd.DataFrame\(data\) makes one"),
        (complete.to_records(), r"a recarray; .* pd.DataFrame\(data\) makes one"),
        (complete["height"].to_list(), "a list; an analysis needs a pandas DataFrame with a row per observation$"),
    ):
        with pytest.raises(TypeError, match=says):
            LMM("height ~ week + (1 | plot)")(other)
    polars = pytest.importorskip("polars")
    lazy = polars.DataFrame({name: complete[name].tolist() for name in complete}).lazy()
    with pytest.raises(TypeError, match=r"a LazyFrame; .* data.collect\(\) makes one"):
        LMM("height ~ week + (1 | plot)")(lazy)


def test_a_year_is_squared_without_overflow():
    years = pd.DataFrame({"year": np.array([2000, 2010, 2020, 2023], dtype="int16"), "y": [1.0, 2.0, 4.0, 4.5]})
    curve = OLS("y ~ I(year**2)")(years).fitted
    np.testing.assert_allclose(
        curve,
        np.polyval(np.polyfit(years["year"].astype(float) ** 2, years["y"], 1), years["year"].astype(float) ** 2),
        rtol=1e-9,
    )


def test_the_mean_of_a_world_is_that_of_its_numbers_in_any_type():
    world = Model("y ~ I(t**2) + (1 | p)", {"Intercept": 0, "I(t ** 2)": 1.0}, random={"p": 0}, residual=0)
    design = crossed(p=1, t=[0, 10, 20]).astype({"t": "int8"})
    assert simulate(world, design, rng=1).y.tolist() == [0.0, 100.0, 400.0]


DAYS = pd.date_range("2024-01-01", periods=96)


@pytest.mark.parametrize("days", [DAYS, DAYS.date, DAYS.tz_localize("UTC"), DAYS - DAYS[0], DAYS.to_period("D")])
@pytest.mark.parametrize(
    "formula", ["height ~ day + (1 | plot)", "day ~ week + (1 | plot)", "height ~ C(day) + (1 | plot)"]
)
def test_dates_are_refused_by_name(plots, days, formula):
    data = plots.fillna({"height": 1.0}).assign(day=days)
    with pytest.raises(ValueError, match=r"'day' holds dates or times .*count the days first"):
        LMM(formula)(data)


@quiet
def test_what_dates_are_told_to_do_can_be_done(plots):
    for days in (DAYS, DAYS.date, DAYS.tz_localize("UTC"), DAYS - DAYS[0], DAYS.to_period("D")):
        data = plots.assign(day=days)
        with pytest.raises(ValueError, match="count the days first") as error:
            LMM("height ~ day + (1 | plot)")(data)
        way = str(error.value).split(", as ")[1].split(";")[0]
        counted = eval(way, {"data": data, "pd": pd})
        np.testing.assert_array_equal(counted.astype(float), np.arange(96.0))
    with pytest.raises(ValueError, match=r"count the hours first, as \[t.hour"):
        LMM("height ~ day + (1 | plot)")(plots.assign(day=DAYS.time))


@pytest.mark.parametrize("spline", ["cr(week, df=4)", "cc(week, df=4)", "arm * cs(week, df=4)"])
def test_a_spline_with_an_intercept_of_its_own_says_how_it_loses_it(complete, spline):
    formula = f"height ~ {spline} + (1 | plot)"
    with pytest.raises(ValueError, match=r"an intercept of its own, which c.\(week, df=4, constraints='center'\)"):
        LMM(formula)(complete)
    assert LMM(formula.replace("df=4", "df=4, constraints='center'"))(complete).converged


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.arange(96) + 1j, "'odd' holds complex numbers"),
        ([1, "a"] * 48, r"'odd' holds text and numbers \('a', 1\)"),
        ([[1]] * 96, r"'odd' holds \[1\], which cannot name a group"),
    ],
)
@pytest.mark.parametrize("formula", ["height ~ odd + (1 | plot)", "odd ~ week + (1 | plot)"])
def test_what_is_neither_numbers_nor_text_is_refused_by_name(plots, values, says, formula):
    data = plots.fillna({"height": 1.0}).assign(odd=values)
    with pytest.raises(ValueError, match=says):
        LMM(formula)(data)


def test_responses_are_real_numbers(complete):
    with pytest.raises(ValueError, match="Y holds complex numbers"):
        LMM("height ~ week + (1 | plot)").many(complete[["height"]].to_numpy() + 1j, complete)


@quiet
def test_new_rows_are_read_in_the_types_of_the_fit(complete):
    fit = LMM("height ~ week + arm + (1 | plot)")(complete)
    want = fit.predict(complete.iloc[:3])
    for rows in (complete.iloc[:3].astype(object), complete.iloc[:3].astype({"week": "category", "arm": "category"})):
        pd.testing.assert_frame_equal(fit.predict(rows), want)
    pd.testing.assert_frame_equal(fit.predict(complete.iloc[0].to_frame().T), want.iloc[:1])
    with pytest.raises(ValueError, match=r"'week' is missing in 1 of 2 rows \(the first: 7\)"):
        fit.predict(pd.DataFrame({"week": [3, None], "arm": ["A", "B"]}, index=[5, 7]))
    with pytest.raises(ValueError, match="'week' is text in these rows and numbers in the fit"):
        fit.predict(complete.iloc[:3].assign(week="early"))


@pytest.mark.parametrize("index", [np.zeros(96, int), pd.MultiIndex.from_product([range(12), range(8)])])
def test_the_index_of_the_rows_plays_no_part(plots, index):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [LMM("height ~ poly(week, 2) * arm + (1 | plot)")(data) for data in (plots, plots.set_axis(index))]
    pd.testing.assert_frame_equal(fits[0].coef, fits[1].coef)


def test_levels_of_a_factor_made_of_numbers_are_called_alike(complete):
    names = {
        LMM("height ~ C(week) + (1 | plot)")(complete.astype({"week": kind})).terms for kind in ("int8", float, "Int64")
    }
    assert names == {("Intercept", *(f"C(week)[T.{k}]" for k in range(1, 8)))}


# ---- B: functions of the rows see all rows that have covariates


# lme4 1.1-31, lmer(..., data with the gaps): it evaluates scale() and poly() before it drops rows.
LME4 = {
    "height ~ scale(week) + (1 | plot)": ([15.423452817, 3.152328525], 228.1667181),
    "height ~ poly(week, 2) + (1 | plot)": ([15.298949962, 28.929523672, -4.675573259], 199.84351),
    "height ~ I(week - week.mean()) + (1 | plot)": ([15.423452817, 1.368604635], 229.8354175),
}


@quiet
@pytest.mark.parametrize("formula", LME4)
def test_who_has_lost_a_response_has_not_lost_the_covariates(plots, formula):
    beta, criterion = LME4[formula]
    fit = LMM(formula)(plots)
    np.testing.assert_allclose(fit.beta, beta, rtol=2e-6)
    assert fit.criterion == pytest.approx(criterion, abs=1e-5)
    batch = LMM(formula).many(plots[["height"]].to_numpy(), plots.drop(columns="height"))
    np.testing.assert_allclose(batch.estimate[0], fit.beta, rtol=1e-6)


@quiet
@pytest.mark.parametrize(
    "fixed", ["bs(week, df=4)", "scale(week)", "center(week) * soil", "C(soil, contr.sum) * poly(week, 2)"]
)
@pytest.mark.parametrize(
    "kind", [OLS, lambda formula: LMM(f"{formula} + (1 | plot)"), lambda formula: Within(formula, unit="plot")]
)
def test_single_fits_and_batches_mean_the_same(plots, fixed, kind):
    fixed = (
        fixed.replace("C(arm, contr.sum) * ", "") if kind("y ~ 1").method.startswith("Least squares within") else fixed
    )
    fixed = fixed.replace(" * arm", "") if kind("y ~ 1").method.startswith("Least squares within") else fixed
    fit = kind(f"height ~ {fixed}")(plots)
    batch = kind(f"height ~ {fixed}").many(plots[["height"]].to_numpy(), plots)
    assert batch.terms == fit.terms
    np.testing.assert_allclose(batch.estimate[0], fit.beta, rtol=1e-5)


@quiet
@pytest.mark.parametrize("residual", [None, AR1(unit="plot", time="week")])
def test_a_bootstrap_keeps_the_columns_of_the_fit(plots, residual):
    """Weeks are centred at 3.5, the mean of all rows; those that have a response have a mean of 2.7."""
    for make in (
        lambda fixed: LMM(f"height ~ {fixed} * arm + (1 | plot)", residual=residual),
        lambda fixed: OLS(f"height ~ {fixed} * arm", cluster="plot"),
    ):
        ours, plain = make("center(week)")(plots), make("I(week - 3.5)")(plots)
        np.testing.assert_allclose(ours.beta, plain.beta)
        draws, others = (bootstrap(fit, 20, rng=1).draws for fit in (ours, plain))
        np.testing.assert_allclose(draws, others, rtol=1e-3, atol=1e-5)
        assert "tested where center(week) = 0" in ours.test("arm").note
        assert "tested where week = 4" in ours.test("arm", at={"week": 4}).note


@quiet
def test_two_routes_of_one_estimator_give_one_study():
    formula = "y ~ center(week) + (1 | plot)"
    world = Model(formula, {"Intercept": 10, "center(week)": 2}, random={"plot": 1}, residual=1)
    late = knock_out(share=0.4, where=lambda seen: seen["week"] > 2)
    analyses = {"batch": LMM(formula), "one by one": lambda data: LMM(formula)(data)}
    both = study(world, crossed(plot=12, week=range(6)), analyses, 40, rng=1, observe=late, progress=False)
    np.testing.assert_allclose(both.answers["batch"].estimate, both.answers["one by one"].estimate, rtol=1e-6)


@pytest.mark.parametrize("fixed", ["poly(x, 2)", "center(x)", "scale(x)", "bs(x, df=4)"])
def test_a_world_made_of_a_fit_keeps_its_basis(fixed):
    truth = Model("y ~ x + I(x**2) + (1 | g)", {"Intercept": 10, "x": 1, "I(x ** 2)": 0.3}, random={"g": 2}, residual=1)
    fit = LMM(f"y ~ {fixed} + (1 | g)")(simulate(truth, crossed(g=20, x=range(8)), rng=1).data)
    world = Model.from_fit(fit)
    same = crossed(g=40, x=list(range(8)))
    np.testing.assert_allclose(world.on(same).mean, fit.predict(same)["mean"], rtol=1e-9)
    few = crossed(g=20, x=[0, 1, 2, 3])
    np.testing.assert_allclose(world.on(few).mean, fit.predict(few)["mean"], rtol=1e-9)
    np.testing.assert_allclose(replace(world, residual=2.0).on(few).mean, world.on(few).mean)


@pytest.mark.parametrize(
    "fixed",
    [
        "I(week - np.mean(week))",
        "np.cumsum(week)",
        "I(week / week.max())",
        "lag(week)",
        "week.rank()",
        "I(week - week[0])",
    ],
)
def test_what_a_fit_does_not_remember_is_not_computed_from_other_rows(complete, fixed):
    fixed = f"np.nan_to_num({fixed})" if "lag" in fixed else fixed
    fit = LMM(f"height ~ arm + {fixed} + (1 | plot)")(complete)
    np.testing.assert_allclose(fit.predict(complete)["mean"], fit.matrices.X @ fit.beta)
    for ask in (lambda: fit.predict(complete[:1]), lambda: fit.predict(complete[::-1]), lambda: fit.means("arm")):
        with pytest.raises(ValueError, match=r"looks at all rows, and would mean something else .*write center\(x\)"):
            ask()
    with pytest.warns(UserWarning, match=r"keeps center\(x\) but not np.mean\(x\)"):
        Model.from_fit(fit)


@pytest.mark.parametrize(
    "analysis",
    [
        OLS("height ~ I(week - np.mean(week))"),
        Within("height ~ I(week - np.mean(week))", unit="plot"),
        LMM("height ~ week + (0 + I(week - np.mean(week)) | plot)"),
    ],
)
def test_no_analysis_takes_the_mean_of_new_rows_for_that_of_the_fit(complete, analysis):
    kind = "population" if isinstance(analysis, OLS) else "conditional"
    with pytest.raises(ValueError, match="looks at all rows, and would mean something else"):
        analysis(complete).predict(complete[:1], kind=kind)


@pytest.mark.parametrize(
    "fixed",
    [
        *("C(arm, contr.sum)", "C(arm, contr.poly())", "I(week ** 2)", "week.clip(1)"),
        pytest.param(
            "np.clip(week, min=1, max=5)",
            marks=pytest.mark.skipif(np.__version__ < "2.1", reason="NumPy 2.1 was the first to know min= and max="),
        ),
    ],
)
def test_what_looks_at_its_own_row_only_is_the_same_for_one_row(complete, fixed):
    fit = LMM(f"height ~ {fixed} + soil + (1 | plot)")(complete)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Model.from_fit(fit)
        Model(fit.formula, dict.fromkeys(fit.terms, 1.0), random={"plot": 1})
    alone = [fit.predict(complete[i : i + 1])["mean"].item() for i in (0, 11, 40)]
    np.testing.assert_allclose(alone, (fit.matrices.X @ fit.beta).iloc[[0, 11, 40]])


def test_a_world_whose_numbers_move_with_the_design_says_so():
    for fixed in ("center(x)", "poly(x, 2)", "scale(x)", "bs(x, df=4)", "I(x - x.mean())", "np.log(x / np.max(x))"):
        with pytest.warns(UserWarning, match="depend on the rows of the design"):
            Model(f"y ~ {fixed} + (1 | g)", {"Intercept": 1}, random={"g": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fixed in ("x", "I(x**2)", "np.log(x)", "C(x)", "poly(x, 2, raw=True)"):
            Model(f"y ~ {fixed} + (1 | g)", {"Intercept": 1}, random={"g": 1})


# ---- C: what the coefficients take up


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_a_group_that_is_a_fixed_effect_too_has_no_test(complete, df):
    with pytest.warns(UserWarning, match=r"no test of Intercept, arm\[T.B\], arm\[T.C\]: with 3 of 'arm' .*told from"):
        fit = LMM("height ~ week + arm + (1 | arm) + (1 | plot)", df=df)(complete)
    lost = ["Intercept", "arm[T.B]", "arm[T.C]"]
    assert fit.coef.loc[lost, ["se", "df", "p", "low", "high"]].isna().all(axis=None)
    assert fit.coef.loc["week"].notna().all()
    assert "there is no test" in fit.message


@pytest.mark.parametrize(
    ("beside", "reml"), [("(1 | pair) + (0 + x | pair)", False), ("(1 | four) + (1 | twin)", True)]
)
def test_a_doubt_beside_one_that_has_names_takes_every_test_away(beside, reml):
    """A likelihood without a maximum, and two names for one factor, beside an arm that is a group as well."""
    rng, pair = np.random.default_rng(0), np.repeat(np.arange(12), 2)
    data = pd.DataFrame({"arm": np.repeat(["a", "b"], 12), "pair": pair, "four": pair // 2, "twin": 9 - pair // 2})
    data["x"], data["y"] = rng.normal(size=(2, 24))
    with pytest.warns(UserWarning, match="no test of Intercept, arm"):
        fit = LMM(f"y ~ x + arm + {beside} + (1 | arm)", reml=reml)(data)
    assert not fit.converged and fit.coef[["df", "p", "low", "high"]].isna().all(axis=None)


def test_only_what_the_groups_vary_in_loses_its_test(complete):
    names = doubts(*_parts("height ~ week * arm + (week | arm)", complete))[0].untested
    assert names == ("Intercept", "week", "arm[T.B]", "arm[T.C]", "week:arm[T.B]", "week:arm[T.C]")
    names = doubts(*_parts("height ~ week + soil + arm + (week | arm)", complete))[0].untested
    assert names == ("Intercept", "arm[T.B]", "arm[T.C]")
    assert doubts(*_parts("height ~ week + arm + (week | plot)", complete)) == []


def test_full_likelihood_puts_such_a_variance_at_zero(complete):
    # deviance of lme4 1.1-31, lmer(height ~ week + arm + (1 | arm), REML = FALSE): 313.2874065, sd of arm 0
    with pytest.warns(UserWarning, match="there is no test"):
        fit = LMM("height ~ week + arm + (1 | arm)", reml=False)(complete)
    assert fit.criterion == pytest.approx(313.2874065, abs=1e-5)
    assert fit.sd.loc[("arm", "Intercept"), "sd"] == pytest.approx(0, abs=1e-4)
    assert fit.coef["p"].isna().tolist() == [True, False, True, True]


def test_restricted_likelihood_of_what_is_left_is_that_of_least_squares(complete):
    with pytest.warns(UserWarning, match="there is no test"):
        fit = LMM("height ~ week + arm + (1 | arm)")(complete)
    assert fit.criterion == pytest.approx(likelihood(OLS("height ~ week + arm")(complete), True), abs=1e-5)


@pytest.mark.parametrize("structure", [CompoundSymmetry, Unstructured])
@pytest.mark.parametrize("reml", [True, False])
def test_what_residuals_share_is_taken_up_by_coefficients_of_every_unit(complete, structure, reml):
    """One plot in each arm: y ~ arm with a shared correlation is as little as y ~ arm + (1 | plot)."""
    data = complete[(complete["plot"] < 3) & (complete["week"] < 3)]
    residual = structure(unit="plot", **({"time": "week"} if structure is Unstructured else {}))
    data = pd.concat([data, data.assign(plot=data["plot"] + 3, arm=data["arm"] + "2", height=data["height"] ** 1.1)])
    with pytest.warns(UserWarning, match=r"no test of Intercept, arm.*: with 6 of 'plot' what their residuals share"):
        fit = LMM("height ~ week + arm", residual=residual, reml=reml)(data)
    within = fit.coef.index == "week"
    assert fit.coef.loc[~within, ["se", "df", "p", "low", "high"]].isna().all(axis=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        many = LMM("height ~ week + arm", residual=residual, reml=reml).many(data[["height"]].to_numpy(), data)
        apart = fit.means("arm", pairs="reference")
    np.testing.assert_array_equal(np.isnan(many.p[0]), ~within)
    assert apart["p"].isna().all()
    if structure is CompoundSymmetry and reml:
        plain = OLS("height ~ week + arm")(data)
        np.testing.assert_allclose(fit.coef.loc["week"], plain.coef.loc["week"], rtol=1e-5)
        assert fit.criterion == pytest.approx(likelihood(plain, True), abs=1e-6)


def test_a_plan_has_no_test_either_where_residuals_share_what_an_arm_has():
    design = assign(nested(plot=3, row=4), to="plot", arm=["A", "B", "C"])
    beta = {"Intercept": 0.0, "arm[T.B]": 5.0, "arm[T.C]": 5.0}
    world = Model("y ~ arm", beta, residual=CompoundSymmetry(sd=1.0, rho=0.3, unit="plot"))
    with pytest.warns(UserWarning, match="there is no test of Intercept, arm"):
        assert exact_power(world, design)["power"].isna().all()
    enough = assign(nested(plot=6, row=4), to="plot", arm=["A", "B", "C"])
    np.testing.assert_allclose(exact_power(world, enough)["df"], 3.0)


def test_residuals_that_are_told_by_their_differences_have_their_tests(complete):
    for residual in (AR1(unit="plot", time="week"), CompoundSymmetry(unit="plot", rho=0.2), IID(by="soil")):
        assert LMM("height ~ week + C(plot)", residual=residual)(complete).coef.notna().all(axis=None)
    beside = LMM("height ~ week + arm", residual=CompoundSymmetry(unit="plot"))(complete)
    plain = LMM("height ~ week + arm + (1 | plot)")(complete)
    np.testing.assert_allclose(beside.coef[["se", "df"]], plain.coef[["se", "df"]], rtol=1e-3)
    by_soil = LMM("height ~ week + arm", residual=CompoundSymmetry(unit="plot", by="soil"))(complete)
    assert by_soil.coef.notna().all(axis=None)


def test_a_correlation_of_effects_that_no_group_has_both_of_is_named(complete):
    part = complete.assign(early=1.0 * (complete["plot"] < 6), late=1.0 * (complete["plot"] >= 6))
    with pytest.warns(UserWarning, match="tell nothing of the correlation of early and late: no 'plot' has both"):
        fit = LMM("height ~ week + (0 + early + late | plot)")(part)
    apart = LMM("height ~ week + (0 + early | plot) + (0 + late | plot)")(part)
    assert fit.criterion == pytest.approx(apart.criterion, abs=1e-6)
    np.testing.assert_allclose(fit.coef[["estimate", "se", "df"]], apart.coef[["estimate", "se", "df"]], rtol=1e-3)
    assert "the correlation of early and late" in fit.message
    assert "correlation" not in LMM("height ~ week + (0 + soil | plot)")(complete).message


def test_the_same_groups_twice_are_named(complete):
    twice = complete.assign(field=complete["plot"].map("field{}".format))
    [doubt] = doubts(*_parts("height ~ week + (1 | plot) + (1 | field)", twice))
    assert doubt.reason == "'plot' and 'field' make the same groups: their variances cannot be told apart"
    assert doubts(*_parts("height ~ week + (1 | plot) + (0 + week | field)", twice)) == []


def test_a_design_without_a_residual_is_named():
    pairs = pd.DataFrame({"g": np.repeat(range(6), 2), **{f"w{k}": np.zeros(12) for k in range(6)}})
    for k in range(6):
        pairs.loc[[2 * k, 2 * k + 1], f"w{k}"] = [-1.0, 1.0]
    formula = "y ~ " + " + ".join(f"w{k}" for k in range(6)) + " + (1 | g)"
    [flat] = doubts(*_parts(formula, pairs))
    assert "the variances of 'g' and of the residual cannot be told apart in 12 rows with 7 coefficients" in flat.reason
    [unbounded] = doubts(*_parts(formula, pairs), reml=False)
    assert "fit 12 rows exactly, so the likelihood has no maximum" in unbounded.reason


def test_robust_errors_of_whole_clusters_are_not_zero_but_missing(complete):
    data = complete.assign(big=np.where(complete["arm"] == "A", "one", "two"))
    with pytest.warns(UserWarning, match=r"no cluster-robust error of big\[T.two\]: they take up whole levels"):
        fit = OLS("height ~ big + week", cluster="big")(data)
    assert fit.coef.loc["big[T.two]", ["se", "df", "p"]].isna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert OLS("height ~ arm + week", cluster="plot")(complete).coef.notna().all(axis=None)


def _parts(formula, data):
    from lmmsim.model.columns import build

    matrices = build(formula, data)
    return matrices.values, matrices.names, matrices.terms


# ---- D: a group is its values


@pytest.mark.parametrize("kind", [float, "Int64", "int8", object])
def test_a_group_is_known_by_its_values_in_any_type(complete, kind):
    data = complete.assign(row=complete["plot"] % 4, block=complete["plot"] // 4)
    fit = LMM("height ~ week + (1 | block / row)")(data)
    rows = data.iloc[[3, 50]].astype({"block": kind, "row": kind})
    np.testing.assert_allclose(fit.predict(rows, kind="conditional")["mean"], fit.fitted.iloc[[3, 50]])


def test_a_combination_that_was_not_there_is_unknown_though_its_parts_were():
    data = pd.DataFrame({"school": list("aabbcc") * 4, "room": ["a1", "a2", "b1", "b2", "c1", "c2"] * 4})
    data["y"] = np.sin(np.arange(24.0) * 3)
    fit = LMM("y ~ 1 + (1 | school / room)")(data)
    with pytest.raises(ValueError, match="in a 'school:room' that the fit has not seen"):
        fit.predict(pd.DataFrame({"school": ["a"], "room": ["b1"]}), kind="conditional")


@pytest.mark.parametrize("analysis", [LMM("height ~ week + (1 | plot)"), Within("height ~ week", unit="plot")])
def test_a_group_that_is_not_known_is_told_why(complete, analysis):
    fit, new = analysis(complete), complete[9:11]
    for change, says in (
        ({"plot": ["1", "1"]}, r"'plot' is 1 in these rows and in the fit, but of another type .*astype\('int64'\)"),
        ({"plot": [1, None]}, "'plot' is missing in 1 of 2 rows"),
        ({"plot": [1, 77]}, "kind='new group' predicts for those"),
    ):
        with pytest.raises(ValueError, match=says):
            fit.predict(new.assign(**change), kind="conditional")
    if isinstance(analysis, LMM):
        with pytest.raises(ValueError, match=r"of another type \(bool here, int64 in the fit\)"):
            fit.predict(new.assign(plot=[True, True]), kind="conditional")
    for name in ("plot", "week"):
        with pytest.raises(ValueError, match=f"more than one column '{name}'"):
            fit.predict(pd.concat([new, new[[name]]], axis=1), kind="conditional")


def test_a_covariate_may_be_called_response(complete):
    theirs = complete.rename(columns={"arm": "response", "week": "response_"})
    fit, plain = LMM("height ~ response * response_ + (1 | plot)")(theirs), LMM("height ~ arm * week + (1 | plot)")
    np.testing.assert_allclose(fit.means("response")["estimate"], plain(complete).means("arm")["estimate"])


def test_groups_are_not_told_by_their_text():
    one, other = pd.DataFrame({"a": ["x:y", "x"] * 12, "b": ["z", "y:z"] * 12}), pd.DataFrame({"a": ["p", "q"] * 12})
    numbers = np.cos(np.arange(24.0))
    fit = LMM("y ~ 1 + (1 | a:b)")(one.assign(y=numbers))
    assert fit.ngroups == {"a:b": 2}
    np.testing.assert_allclose(fit.u, LMM("y ~ 1 + (1 | a)")(other.assign(y=numbers)).u[::-1], atol=1e-9)


@pytest.mark.parametrize(
    "groups",
    [
        [k / 10 for k in range(12)],
        pd.date_range("2024-01-01", periods=12),
        [datetime.date(2024, 1, 1 + k) for k in range(12)],
        [("a", k) for k in range(12)],
        pd.interval_range(0, 12).array,
        [k if k else "none" for k in range(12)],
        pd.period_range("2024-01", periods=12, freq="M"),
    ],
)
def test_anything_that_has_values_can_name_groups(complete, groups):
    values = pd.Series(
        list(groups) if isinstance(groups, list) else groups, dtype=object if isinstance(groups, list) else None
    )
    data = complete.assign(plot=values.iloc[complete["plot"]].reset_index(drop=True))
    fit = LMM("height ~ week + (1 | plot)")(data)
    assert fit.criterion == pytest.approx(LMM("height ~ week + (1 | plot)")(complete).criterion, abs=1e-9)
    np.testing.assert_allclose(fit.predict(data.iloc[[40, 5]], kind="conditional")["mean"], fit.fitted.iloc[[40, 5]])


# ---- E: nothing that was asked for leaves in silence


@pytest.mark.parametrize(
    "formula", ["height ~ arm * week + (1 | plot)", "height ~ C(arm) + (1 | plot)", "height ~ week + (0 + arm | plot)"]
)
def test_a_factor_with_one_level_is_refused(complete, formula):
    with pytest.raises(
        ValueError, match=r"the factor 'arm' has one level \('A'\): there is nothing to compare it with"
    ):
        LMM(formula)(complete[complete["arm"] == "A"])


def test_two_coefficients_of_one_name_are_refused(complete):
    with pytest.raises(ValueError, match="two coefficients that are called 'Intercept'"):
        LMM("height ~ Intercept + (1 | plot)")(complete.rename(columns={"week": "Intercept"}))
    with pytest.raises(ValueError, match="two coefficients that are called 'week:soil"):
        both = complete.assign(**{"week:soil[T.sand]": np.arange(len(complete)) % 7})
        LMM("height ~ week * soil + `week:soil[T.sand]` + (1 | plot)")(both)


def test_a_factor_called_intercept_is_tested(complete):
    fit = LMM("height ~ week * Intercept + (1 | plot)")(complete.rename(columns={"arm": "Intercept"}))
    plain = LMM("height ~ week * arm + (1 | plot)")(complete)
    np.testing.assert_array_equal(fit.test(), plain.test())
    np.testing.assert_array_equal(fit.test("Intercept", at={"week": 4}), plain.test("arm", at={"week": 4}))


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("height ~ week**2 + (1 | plot)", r"week\*\*2 as a term is week alone; its power is I\(week \*\* 2\)"),
        ("height ~ height + (1 | plot)", "'height' stands on both sides"),
        ("height ~ week + (height | plot)", "'height' stands on both sides"),
        ("height ~ week + (1 | plot:height)", "'height' stands on both sides .* makes no groups"),
        ("height ~ week + (1 | plot/plot)", "'plot' is in this group already"),
        ("height ~ 0 + (1 | plot)", "the fixed part has no coefficient"),
        ("height ~ week + (0 | plot)", "leaves 'plot' no random effect"),
        ("height ~ week + (-1 | plot)", "leaves 'plot' no random effect"),
    ],
)
def test_what_a_formula_would_lose_is_refused(complete, formula, says):
    with pytest.raises(ValueError, match=says):
        LMM(formula)(complete)


def test_a_column_that_is_a_number_in_backticks_is_a_column(complete):
    fit = LMM("height ~ `1` + (1 | plot)")(complete.rename(columns={"week": "1"}))
    assert fit.terms == ("Intercept", "1")


def test_a_covariate_called_fitted_does_not_take_the_place_of_the_fitted_values(complete):
    checks = diagnose(
        LMM("height ~ fitted + (1 | plot)")(complete.rename(columns={"week": "fitted"})), rng=1, replicates=9
    )
    named = [name for name in checks.checks if "scale" in name]
    assert named == ["scale_location fitted", "scale_location fitted (a column)"]


# ---- F: a smaller model lies within the larger


def test_models_are_nested_by_their_correlations_not_their_names(complete):
    correlated = LMM("height ~ week + (week | plot)")(complete)
    larger = LMM("height ~ week + (week || plot) + (1 | soil) + (1 | arm)")(complete)
    with pytest.raises(ValueError, match="not the correlations of Intercept and week in 'plot'"):
        compare(correlated, larger)
    for small in ("(1 | plot)", "(week || plot)", "(0 + week | plot)"):
        assert compare(LMM(f"height ~ week + {small}")(complete), correlated)["df"].iloc[1] >= 1


def test_fits_of_the_same_rows_in_another_order_are_told_so(complete):
    one, other = LMM("height ~ week + (1 | plot)")(complete), LMM("height ~ week + (week | plot)")(complete[::-1])
    with pytest.raises(ValueError, match="fit both models to the same rows, in the same order"):
        compare(one, other)


def test_the_same_effects_in_other_columns_are_the_same_effects(complete):
    renamed = complete.assign(field=complete["plot"].map("f{}".format), late=complete["week"] - 3.5)
    small = LMM("height ~ week + (late || field)")(renamed)
    assert compare(small, LMM("height ~ week + (week | plot) + (1 | soil)")(renamed))["df"].iloc[1] == 2
    with pytest.raises(ValueError, match="is not contained"):
        compare(LMM("height ~ week + (1 | arm)")(renamed), LMM("height ~ week + (week | plot)")(renamed))


# ---- G: what is empty leaves and is named; names in backticks


# lme4 1.1-31, lmer(height ~ arm * soil + (1 | plot)) and with week, on the rows of the tests: fixef and REMLcrit;
# "fixed-effect model matrix is rank deficient so dropping 2 columns" and 1 column.
EMPTY = {
    "height ~ arm * soil + (1 | plot)": (
        lambda d: ~((d["arm"] == "A") & (d["soil"] == "clay")) & ~((d["arm"] == "C") & (d["soil"] == "sand")),
        [14.72055706501, 0.08416814929, -1.49624059986, 0.01409867287],
        248.2787879,
    ),
    "height ~ week + arm * soil + (1 | plot)": (
        lambda d: ~((d["arm"] == "B") & (d["soil"] == "sand")),
        [10.5319294468, 1.3816411925, 0.7374333962, -0.4293359098, 0.7097829992, -0.9698959943],
        179.6108835,
    ),
}


@pytest.mark.parametrize("formula", EMPTY)
def test_coefficients_of_empty_cells_are_left_out_as_by_lme4(complete, formula):
    there, beta, criterion = EMPTY[formula]
    with pytest.warns(UserWarning, match="cells of an interaction have no rows, so .* left out: 'arm"):
        fit = LMM(formula)(complete[there(complete)])
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-5)
    assert fit.criterion == pytest.approx(criterion, abs=1e-5)
    assert "left out" in fit.message


@quiet
def test_a_cell_without_rows_is_not_predicted_and_what_is_left_of_its_interaction_is_tested(complete):
    data = complete[(complete["arm"] != "A") | (complete["soil"] != "clay")]
    fit = LMM("height ~ week + arm * soil + (1 | plot)")(data)
    cells = pd.DataFrame({"arm": ["B", "A", "A"], "soil": ["clay", "sand", "clay"], "week": 3.0}, index=[5, 6, 7])
    # lme4 1.1-31, predict(re.form = NA) of the two that have rows; lmerTest 3.1-3, anova: F and df of arm:soil, week
    np.testing.assert_allclose(fit.predict(cells[:2])["mean"], [15.39090, 15.39859], rtol=1e-6)
    for kind in ("population", "new group"):
        with pytest.raises(ValueError, match=r"row 7: the data do not determine this .*: it needs 'arm\[T.C\]"):
            fit.predict(cells, kind=kind)
    table = fit.test()
    np.testing.assert_allclose(table.loc["arm:soil"].iloc[:3], [0.3111, 1, 47.065], rtol=1e-3)
    np.testing.assert_allclose(table.loc["week"].iloc[:3], [598.9971, 1, 47.025], rtol=1e-3)
    assert table.loc[["arm", "soil"]].isna().all(axis=None)
    assert "no test of arm, soil: their means need cells that have no rows" in table.note
    with pytest.raises(ValueError, match="ask about cells that have rows"):
        fit.test("arm")


def test_a_world_with_empty_cells_can_be_analysed_and_planned():
    design = crossed(id=40, b=["b0", "b1", "b2"], c=["b0", "b1", "b2", "c3"])
    design = design[design["b"].astype(str) != design["c"].astype(str)].reset_index(drop=True)
    names = ["Intercept", "b[T.b1]", "b[T.b2]", "c[T.b1]", "c[T.b2]", "c[T.c3]"]
    names += [f"b[T.{i}]:c[T.{j}]" for j in ("b1", "b2", "c3") for i in ("b1", "b2")]
    world = Model("y ~ b*c + (1 | id)", dict.fromkeys(names, 1.0), random={"id": 1}, residual=1e-6)
    with pytest.warns(UserWarning, match="3 of 12 coefficients are left out"):
        fit = LMM(world.formula)(simulate(world, design, rng=1).data)
    with pytest.warns(UserWarning, match="3 of 12 coefficients are left out"):
        table = exact_power(world, design)
    assert tuple(table.index) == fit.terms
    np.testing.assert_allclose(fit.beta[1:], table["effect"].iloc[1:], atol=1e-4)


# lme4 1.1-31, lmer(height ~ week * arm + (1 | plot)) on the rows of B and C: fixef.
WITHOUT_A = [11.1891756333, 1.2791863241, -1.5458186211, 0.2254564461]


@quiet
def test_levels_that_no_row_has_leave_and_are_named(plots):
    some = plots.astype({"arm": "category"})
    for data in (some[some["arm"] != "A"], some.assign(height=some["height"].where(some["arm"] != "A"))):
        fit = LMM("height ~ week * arm + (1 | plot)")(data)
        assert fit.terms == ("Intercept", "week", "arm[T.C]", "week:arm[T.C]")
        np.testing.assert_allclose(fit.beta, WITHOUT_A, rtol=1e-5)
        assert "no row has the level 'A' of 'arm'" in fit.message


ODD = [
    "a+b",
    "p|q",
    "x~1",
    "my x",
    "a:b",
    "class",
    "lambda",
    "in",
    "größe",
    "µ",
    "1",
    "[x]",
    "a,b",
    "x.y",
    "C",
    "np",
    "I",
    "a\\b",
    "%",
    "T.B",
]


@pytest.mark.parametrize("name", ODD)
def test_a_name_in_backticks_stands_everywhere_for_its_column(complete, name):
    tick, plain = f"`{name}`", LMM("height ~ week * arm + I(week**2) + (week | plot)")(complete)
    covariate = complete.rename(columns={"week": name})
    fit = LMM(f"height ~ {tick} * arm + I({tick}**2) + ({tick} | plot)")(covariate)
    np.testing.assert_array_equal(fit.coef, plain.coef)
    assert fit.terms[1] == name and f"{name}:arm[T.B]" in fit.terms
    np.testing.assert_array_equal(fit.predict(covariate.iloc[:3]), plain.predict(complete.iloc[:3]))
    world = Model.from_fit(fit)
    np.testing.assert_allclose(world.on(covariate.drop(columns="height")).mean, fit.predict()["mean"])
    factor = LMM(f"height ~ C({tick}) + (1 | plot)")(covariate)
    np.testing.assert_array_equal(factor.coef, LMM("height ~ C(week) + (1 | plot)")(complete).coef)
    group = LMM(f"height ~ week * arm + I(week**2) + (week | {tick})")(complete.rename(columns={"plot": name}))
    np.testing.assert_array_equal(group.coef, plain.coef)
    assert list(group.random) == [name]
    response = LMM(f"{tick} ~ week * arm + I(week**2) + (week | plot)")(complete.rename(columns={"height": name}))
    np.testing.assert_array_equal(response.coef, plain.coef)
    clusters = complete.rename(columns={"plot": name})
    robust = OLS("height ~ week", cluster=tick)(clusters)
    np.testing.assert_array_equal(robust.coef, OLS("height ~ week", cluster="plot")(complete).coef)


def test_backticks_are_read_in_questions_and_residuals_too(complete):
    odd = complete.rename(columns={"week": "week no.", "arm": "arm/group", "plot": "a:b"})
    formula = "height ~ `week no.` * `arm/group`"
    fit = LMM(f"{formula} + (1 | `a:b`)")(odd)
    for tick in ("`", ""):
        week, arm = f"{tick}week no.{tick}", f"{tick}arm/group{tick}"
        ask = {arm: {"A": 1, "B": -1}, week: 4}
        np.testing.assert_array_equal(fit.contrast(ask), fit.contrast({"arm/group": {"A": 1, "B": -1}, "week no.": 4}))
        means = fit.means(arm, at={week: 4})
        np.testing.assert_array_equal(means, fit.means("arm/group", at={"week no.": 4}))
        assert "week no. = 4" in means.note
        table = fit.test(arm, at={week: 4})
        np.testing.assert_array_equal(table, fit.test("arm/group", at={"week no.": 4}))
        for unit in (["a:b"], "`a:b`"):
            beside = LMM(formula, residual=AR1(unit=unit, time=week, by=arm))(odd)
            plain = LMM("height ~ week * arm", residual=AR1(unit="plot", time="week", by="arm"))(complete)
            assert beside.criterion == pytest.approx(plain.criterion, abs=1e-9)


def test_a_name_is_the_same_column_with_backticks_and_without(complete):
    fit = LMM("height ~ week * `arm` + arm + I(`week` ** 2) + I(week**2) + (`week` | `plot`)")(complete)
    plain = LMM("height ~ week * arm + I(week**2) + (week | plot)")(complete)
    assert fit.terms == plain.terms
    assert fit.criterion == plain.criterion


def test_no_column_is_taken_for_the_stand_in_of_another(complete):
    """Odd names go through formulaic in hexadecimal; a column may be called just so."""
    odd = complete.assign(**{"a b": complete["week"], "column_612062_": np.sin(complete.index), "week2": 0})
    odd["week2"], odd["factor_7765656b32_"] = odd["week"] % 3, np.cos(3.0 * odd.index)
    fit = LMM("height ~ `a b` + column_612062_ + (1 | plot)")(odd)
    assert fit.terms == ("Intercept", "a b", "column_612062_")
    assert fit.coef["estimate"]["a b"] == pytest.approx(
        LMM("height ~ week + column_612062_ + (1 | plot)")(odd).coef["estimate"]["week"]
    )
    both = LMM("height ~ C(week2) + week2:week + factor_7765656b32_ + (1 | plot)")(odd)
    assert both.terms[-2:] == ("factor_7765656b32_", "week2:week")


def test_a_column_that_has_a_number_for_a_name_is_told_how_to_be_found(complete):
    with pytest.raises(ValueError, match=r"'1' is not a column .*a formula finds them after data.columns = data.col"):
        LMM("height ~ `1` + (1 | plot)")(complete.rename(columns={"week": 1}))


def test_a_function_that_gives_too_few_values_is_told_how_many(complete):
    with pytest.raises(ValueError, match=r"one value for each of the \d+ rows"):
        LMM("height ~ np.diff(week) + (1 | plot)")(complete)


def test_what_a_function_writes_becomes_a_factor_in_C(complete):
    with pytest.raises(ValueError, match=r"is a factor inside C\(\), as C\(np.where"):
        LMM("height ~ np.where(week > 3, 'late', 'early') + (1 | plot)")(complete)
    assert len(LMM("height ~ C(np.where(week > 3, 'late', 'early')) + (1 | plot)")(complete).terms) == 2


def test_a_keyword_may_be_a_column_inside_a_function(complete):
    fit = LMM("height ~ np.log1p(lambda) + C(class) + (1 | plot)")(
        complete.rename(columns={"week": "lambda", "arm": "class"})
    )
    assert fit.terms == ("Intercept", "np.log1p(lambda)", "C(class)[T.B]", "C(class)[T.C]")


def test_a_quoted_name_of_patsy_is_read_with_its_gaps(complete):
    data = complete.rename(columns={"week": "my week"}).astype({"my week": float})
    data.loc[3, "my week"] = np.nan
    with pytest.warns(UserWarning, match="rows have no my week and were dropped"):
        fit = LMM("height ~ Q('my week') + (1 | plot)")(data)
    assert fit.terms == ("Intercept", "Q('my week')")


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("Sepal.Length ~ x + (1 | g)", "stands in backticks: `Sepal.Length`"),
        ("y ~ Sepal.Width + (1 | g)", "stands in backticks: `Sepal.Width`"),
        ("y ~ as.factor(f) + (1 | g)", r"'as.factor' of R is not known here; write C\(x\)"),
        ("y ~ factor(f) + (1 | g)", r"write C\(x\)"),
        ("y ~ sqrt(x) + (1 | g)", "NumPy's stands as np.sqrt"),
        ("x.1 ~ z + (1 | g)", "stands in backticks: `x.1`"),
        ("y ~ z + x.1.b + (1 | g)", "stands in backticks: `x.1.b`"),
        ("y ~ ns(x, df=3) + (1 | g)", r"write cr\(x, df=3, constraints='center'\)"),
        ("y ~ a b + (1 | g)", "an operator is missing between 'a' and 'b'; a name with a space .* backticks: `a b`"),
        ("y ~ 3*x + (1 | g)", "a number other than 0 and 1 is no term"),
        ('y ~ "x" + (1 | g)', "a text is no term"),
        ("y ~ x # c + (1 | g)", "# has no meaning in a formula"),
        ("y ~ x + (x g || g)", "an operator is missing between 'x' and 'g'"),
        ("y ~ __import__('os').getcwd() + (1 | g)", "the function '__import__' is not known"),
        ("y ~ C(True) + (1 | g)", "is of no column, .*'True' is a word of Python, .* stands in backticks"),
        ("y ~ x + I(3) + (1 | g)", "this function is of no column"),
        ("y ~ x.clip(0).round() + (1 | g)", r"one call after the other stands inside I\(\)"),
        ("y ~ x + + z", "a term is missing here"),
        ("y ~ x * ", "a term is missing here"),
        ("y ~ `x + (1 | g)", "` is never closed"),
    ],
)
def test_a_formula_that_cannot_be_read_has_a_caret_and_a_way_out(formula, says):
    for make in (LMM, OLS):
        with pytest.raises(ValueError, match=says) as error:
            make(formula)
        assert "^" in str(error.value).splitlines()[-1]


def test_the_design_of_a_study_may_have_odd_names():
    world = Model("`my y` ~ `a:b` + (1 | `the g`)", {"Intercept": 1, "a:b": 2}, random={"the g": 1}, residual=1)
    design = nested(g=6, row=4).rename(columns={"g": "the g"}).assign(**{"a:b": np.arange(24) % 4})
    found = study(world, design, {"LMM": LMM(world.formula)}, 20, rng=1, progress=False)
    assert abs(performance(found).loc[("a:b", "LMM"), "bias"]) < 0.5
    assert len(diagnose(LMM(world.formula)(found.redraw(0).data), rng=1, replicates=9).checks)


# ---- more of the same kinds: other types, scales, orders, and what is asked


@quiet
@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.assign(week=d["week"].map(lambda v: Decimal(int(v)))),
        lambda d: d.assign(height=d["height"].map(lambda v: Decimal(repr(float(v))))),
        lambda d: d.assign(plot=pd.Timestamp("2020-01-01", tz="Asia/Tokyo") + pd.to_timedelta(d["plot"], "D")),
        lambda d: d.assign(plot=pd.cut(d["plot"], np.arange(-1, 12))),
        lambda d: d.assign(plot=[(int(v), "a") for v in d["plot"]]),
        lambda d: d.assign(plot=pd.Categorical(d["plot"], categories=np.arange(20)[::-1])),
        lambda d: d.assign(arm=d["arm"].replace("A", "")),
        lambda d: d.assign(arm=d["arm"].map({"A": "a[T.b]", "B": "b]:week", "C": "c~`|"})),
        lambda d: d.assign(arm=pd.Categorical(d["arm"], categories=list("AZBC"))),
        lambda d: d.set_index(np.zeros(len(d), dtype=int)),
        lambda d: d.sample(frac=1, random_state=1),
        lambda d: d.set_axis(pd.CategoricalIndex(d.columns), axis=1),
        lambda d: d.assign(**{"1": object()}).rename(columns={"1": 7}),
    ],
    ids=[
        "decimals", "decimal response", "dates with a zone as groups", "intervals as groups", "tuples as groups",
        "unused levels in another order", "an empty text", "operators in levels", "an unused level of a factor",
        "equal labels of rows", "another order of rows", "a categorical of names", "a column named by a number",
    ],
)  # fmt: skip
def test_the_same_data_in_another_dress_give_the_same_fit(complete, change):
    lmm = LMM("height ~ week * arm + soil + (week | plot)")
    plain, changed = lmm(complete), change(complete)
    before = changed.copy(deep=True)
    fit = lmm(changed)
    np.testing.assert_allclose(fit.coef.to_numpy(), plain.coef.to_numpy(), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(fit.components, plain.components, rtol=1e-4)
    pd.testing.assert_frame_equal(changed, before)


@pytest.mark.parametrize("size", [1e-140, 1e-20, 1e9, 6e23, 1e100, 1e139])
@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_the_unit_of_a_covariate_changes_its_coefficient_and_nothing_else(complete, size, df):
    """A covariate in molecules, 6e23 of them in a mole, has the df of one in moles."""
    lmm = LMM("height ~ week * arm + soil + (1 | plot)", df=df)
    plain, scaled = lmm(complete), lmm(complete.assign(week=complete["week"] * size))
    np.testing.assert_allclose(scaled.coef[["df", "t", "p"]], plain.coef[["df", "t", "p"]], rtol=1e-6, atol=1e-12)
    factor = np.where(plain.coef.index.str.contains("week"), size, 1.0)
    np.testing.assert_allclose(scaled.beta * factor, plain.beta, rtol=1e-6)


def test_the_unit_of_a_covariate_plays_no_part_beside_structured_residuals(complete):
    lmm = LMM("height ~ week * arm + soil + (1 | plot)", residual=AR1(unit="plot", time="week"))
    moles = complete.assign(amount=complete["week"] + np.sin(complete["plot"]))
    lmm = replace(lmm, formula="height ~ amount * arm + (1 | plot)")
    plain, scaled = lmm(moles), lmm(moles.assign(amount=moles["amount"] * 6e23))
    np.testing.assert_allclose(scaled.coef[["df", "t", "p"]], plain.coef[["df", "t", "p"]], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("size", [1e-170, 1e160])
def test_numbers_that_cannot_be_squared_are_named(complete, size):
    with pytest.raises(ValueError, match=r"the column 'week' of X holds numbers of size .*, which cannot be squared"):
        LMM("height ~ week + (1 | plot)")(complete.assign(week=complete["week"] * size))


def test_a_truth_value_is_not_the_group_of_a_number_that_equals_it(complete):
    """True == 1 in a table of values: two plots would be one in silence."""
    names = {0: True, 1: 1, 2: "two"}
    mixed = complete.assign(plot=[names.get(int(v), str(v)) for v in complete["plot"]])
    mixed["plot"] = mixed["plot"].astype(object)
    with pytest.raises(ValueError, match="'plot' holds truth values beside the numbers 0 or 1"):
        LMM("height ~ week + (1 | plot)")(mixed)
    apart = complete.assign(plot=pd.Series([names.get(int(v), str(v)) if v != 1 else 2 for v in complete["plot"]]))
    assert LMM("height ~ week + (1 | plot)")(apart).ngroups == {"plot": 12}


def test_what_is_asked_in_the_wrong_words_is_refused(complete):
    fit = LMM("height ~ week + (1 | plot)")(complete)
    with pytest.raises(TypeError, match="reml is 'ML'; it is True, False, or None"):
        fit.profile(reml="ML")
    with pytest.raises(TypeError, match="an estimator is called on one data frame"):
        LMM("height ~ week + (1 | plot)")(complete, complete)
    with pytest.raises(TypeError, match="data is a int; a line-up takes the rows of the fit"):
        lineup(fit, 20)
    with pytest.raises(ValueError, match="pupil='': give a whole number, one number per parent, or a draw"):
        nested(school=2, pupil="")
    for row in (complete.iloc[0], {"week": [1.0]}):
        with pytest.raises(TypeError, match=r"rows are predicted from a DataFrame, as pd.DataFrame\(\[row\]\)"):
            fit.predict(row)
    with pytest.raises(ValueError, match="the column 'week' of X is infinite or undefined in these rows"):
        fit.predict(complete.assign(week=np.inf))
    with pytest.raises(ValueError, match="Y holds what is no number"):
        fit.estimator.many(complete[["arm"]].to_numpy(), complete)
    dated = complete.assign(day=pd.Timestamp("2020") + pd.to_timedelta(complete["week"], "D"))
    with pytest.raises(ValueError, match=r"'day' holds dates or times .*: count the days first"):
        LMM("height ~ week", residual=AR1(unit="plot", time="day"))(dated)
    world = Model("y ~ 1 + (1 | g)", {"Intercept": 0}, {"g": 1.0}, CompoundSymmetry(sd=1, rho=1, unit="g"))
    with pytest.raises(ValueError, match="the residuals of one unit are an exact function of each other"):
        exact_power(world, crossed(g=6, row=3))


def test_a_function_of_another_module_and_a_level_without_rows_have_a_way_out():
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 4), "x": np.tile(np.arange(4.0), 6), "y": np.arange(24.0) % 7})
    with pytest.raises(ValueError, match=r"'pd' is not a column .* no module but np: compute .*\(new=pd\.\.\.\), and"):
        LMM("y ~ C(pd.cut(x, 3)) + (1 | g)")(data)
    data["arm"] = pd.Categorical(np.where(data["g"] % 2, "a", "b"), categories=["a", "b", "c"])
    beta = {"Intercept": 0, "arm[T.b]": 1, "arm[T.c]": 1}
    with pytest.raises(ValueError, match=r"'arm\[T.c\]' of X is zero .*; cat.remove_unused_categories\(\) takes out"):
        exact_power(Model("y ~ arm + (1 | g)", beta, {"g": 1.0}, 1.0), data)
