"""A model is a formula with a number for every name in it, and implies X, Z, G, R and V."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import AR1, IID, CompoundSymmetry, Model, Random, assign, crossed, draws, nested
from lmmsim.model import describe

PLOTS = assign(crossed(plot=6, week=[0, 1, 2]), to="plot", fertilizer=["Control", "B"])
BETA = {"Intercept": 10.0, "week": 2.0, "fertilizer[T.B]": 0.0, "week:fertilizer[T.B]": 1.0}


def growth(**changes):
    numbers = {
        "formula": "height ~ week * fertilizer + (week | plot)",
        "beta": BETA,
        "random": {"plot": Random(sd={"Intercept": 2.0, "week": 0.4}, corr=0.3)},
        "residual": 1.0,
    }
    return Model(**numbers | changes)


def test_V_is_ZGZ_plus_R(world):
    model, design = world
    Z, G, R = (np.asarray(matrix(design)) for matrix in (model.Z, model.G, model.R))
    np.testing.assert_allclose(model.V(design), Z @ G @ Z.T + R)


def marginal_cases():
    intercept = {"g": np.sqrt(2)}
    slope = {"g": Random(sd={"t": 0.5})}
    recentred = Random(sd={"Intercept": np.sqrt(2.56), "t": 0.5})
    crossed_slope = {
        "subj": Random(sd={"Intercept": np.sqrt(2), "c": np.sqrt(0.8)}, corr=0.3 / np.sqrt(1.6)),
        "item": np.sqrt(0.5),
    }
    three = np.sqrt(3)
    return {
        "random_intercept": ("y ~ (1 | g)", intercept, three),
        "slope_only": ("y ~ (0 + t | g)", slope, three),
        "nested_3level": ("y ~ (1 | school/cls)", {"school": 1.0, "school:cls": np.sqrt(0.5)}, np.sqrt(2)),
        "crossed_slope": ("y ~ (c | subj) + (1 | item)", crossed_slope, 1.0),
        "AR1_unequal_spacing_CAR1": ("y ~ 1", {}, AR1(sd=three, rho=0.6, unit="g", time="t")),
        "compound_symmetry_negative": ("y ~ 1", {}, CompoundSymmetry(sd=np.sqrt(5), rho=-0.3, unit="g")),
        "intercept_slope_recentred_at_2.4": ("y ~ (t | g)", {"g": recentred}, three),
    }


@pytest.mark.parametrize("case", marginal_cases())
def test_V_is_the_matrix_written_entry_by_entry(case, reference):
    expected = next(entry for entry in reference("marginal_cov") if entry["id"] == case)
    formula, random, residual = marginal_cases()[case]
    V = Model(formula, beta={"Intercept": 0.0}, random=random, residual=residual).V(pd.DataFrame(expected["rows"]))
    np.testing.assert_allclose(V, expected["V"], atol=1e-12)
    assert np.linalg.slogdet(V)[1] == pytest.approx(expected["logdet"])


def test_every_reference_covariance_is_tried(reference):
    assert {entry["id"] for entry in reference("marginal_cov")} == set(marginal_cases())


def test_covariance_is_sd_times_correlation_times_sd():
    cov = Random(sd={"a": 1.0, "b": 10.0}, corr=0.5).covariance(["b", "a"])
    np.testing.assert_allclose(cov, [[100.0, 5.0], [5.0, 1.0]])


@pytest.mark.parametrize("corr", [0.3, {("week", "Intercept"): 0.3}, [[1, 0.3], [0.3, 1]]])
def test_correlations_may_be_one_number_a_mapping_or_a_matrix(corr):
    effect = Random(sd={"Intercept": 2.0, "week": 0.4}, corr=corr)
    np.testing.assert_allclose(effect.covariance(["Intercept", "week"]), [[4, 0.24], [0.24, 0.16]])


def test_labelled_correlations_belong_to_their_labels_in_any_order():
    names = ["week", "Intercept", "year"]
    corr = pd.DataFrame([[1, 0.3, 0.1], [0.3, 1, 0.2], [0.1, 0.2, 1]], names, names)
    cov = Random(sd={"Intercept": 1.0, "week": 1.0, "year": 1.0}, corr=corr).covariance(["Intercept", "week", "year"])
    np.testing.assert_allclose(cov, [[1, 0.3, 0.2], [0.3, 1, 0.1], [0.2, 0.1, 1]])


def test_numbers_of_any_numeric_type_are_numbers():
    one = growth(
        residual=np.float32(1.0), random={"plot": Random({"Intercept": np.int64(2), "week": 1}, np.float32(0.5))}
    )
    np.testing.assert_allclose(one.V(PLOTS), growth(random={"plot": Random({"Intercept": 2, "week": 1}, 0.5)}).V(PLOTS))


def test_a_shape_needs_no_parentheses():
    assert Random(sd=1.0, shape=draws.skewed) == Random(sd=1.0, shape=draws.skewed())
    assert IID(sd=1.0, shape=draws.uniform) == IID(sd=1.0, shape=draws.uniform())


@pytest.mark.parametrize(
    "table", [np.array, lambda rows: pd.DataFrame(rows, ["Intercept", "week"], ["Intercept", "week"])]
)
def test_models_with_the_same_numbers_are_equal_also_where_correlations_are_a_table(table):
    def world(r):
        return growth(random={"plot": Random({"Intercept": 2.0, "week": 0.4}, corr=table([[1.0, r], [r, 1.0]]))})

    assert world(0.3) == world(0.3)
    assert world(0.3) != world(0.4)


def test_effects_in_separate_bars_are_independent():
    model = Model(
        "y ~ 1 + (week || plot)",
        {"Intercept": 0},
        random={"plot": Random(sd={"Intercept": 2.0, "week": 0.4}, corr=0.9)},
    )
    V = model.V(crossed(plot=1, week=[0, 1]))
    np.testing.assert_allclose(V, [[5, 4], [4, 5.16]])
    assert "week: sd 0.4, corr 0\n" in str(model)
    assert r"4 & 0 \\ 0 & 0.16" in model.latex()


def test_residuals_may_differ_by_a_factor():
    R = Model("y ~ 1", {"Intercept": 0}, residual=IID(sd={"Control": 1.0, "B": 3.0}, by="fertilizer")).R(PLOTS)
    expected = np.where(PLOTS["fertilizer"] == "B", 9.0, 1.0)
    np.testing.assert_allclose(np.asarray(R), np.diag(expected))


def test_labels_of_Z_name_group_level_and_term():
    Z = growth().Z(PLOTS)
    assert Z.columns[:2].tolist() == [("plot", "plot1", "Intercept"), ("plot", "plot1", "week")]
    assert Z.to_frame().loc[1, ("plot", "plot1")].tolist() == [1.0, 1.0]
    assert "18 rows × 12 columns" in Z._repr_html_()


def test_sum_contrasts_are_named_and_used():
    model = Model("y ~ C(fertilizer, contr.sum)", beta={"Intercept": 5.0, "C(fertilizer, contr.sum)[S.Control]": 1.0})
    means = model.X(PLOTS) @ pd.Series(model.beta)
    assert means.groupby(PLOTS["fertilizer"], observed=True).first().tolist() == [6.0, 4.0]


def test_a_coefficient_without_a_value_and_one_too_many_are_both_listed():
    beta = {name: value for name, value in BETA.items() if ":" not in name} | {"weak": 1.0}
    message = (
        r"beta does not match the formula .*\n  without a value: week:fertilizer\[T.B\]\n  not in the formula: weak"
    )
    with pytest.raises(ValueError, match=message):
        growth(beta=beta).X(PLOTS)


def test_a_grouping_factor_without_numbers_is_listed():
    with pytest.raises(
        ValueError, match=r"random does not match .*\n  without a value: plot\n  not in the formula: block"
    ):
        growth(random={"block": 2.0})


def test_an_sd_for_a_term_that_is_not_in_the_formula_is_listed():
    with pytest.raises(
        ValueError, match=r"random\['plot'\] sd does not match .*\n  without a value: week\n  not in the formula: year"
    ):
        growth(random={"plot": Random(sd={"Intercept": 2.0, "year": 0.4})}).Z(PLOTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"random": {"plot": Random(sd={"Intercept": -2.0, "week": 0.4})}}, "sd of 'Intercept' in 'plot' is -2"),
        ({"random": {"plot": Random(sd={"Intercept": 2.0, "week": 0.4}, corr=1.3)}}, r"random\['plot'\]: .*1\.3"),
        (
            {"random": {"plot": Random(sd={"Intercept": 2, "week": 1}, corr={("week", "year"): 0.1})}},
            "'week' and 'year'",
        ),
        ({"residual": np.float64(-1.0)}, r"sd of 'residual' is -1\.0; a standard deviation is a finite number"),
        ({"beta": {**BETA, "week": np.nan}}, "beta of 'week' is nan"),
        ({"residual": IID(sd={"Control": 1.0}, by="fertilizer")}, "no residual sd for 'B' of 'fertilizer'"),
        ({"beta": {**BETA, "week": "2"}}, "beta of 'week' is '2'; a coefficient is a finite number"),
        ({"beta": {**BETA, "week": True}}, "beta of 'week' is True"),
        ({"random": {"plot": "2"}}, "sd of 'Intercept' in 'plot' is '2'"),
        (
            {"random": {"plot": Random(sd={"Intercept": 2, "week": 1}, corr="0.3")}},
            r"random\['plot'\]: corr is a number",
        ),
        (
            {"residual": IID(sd={"Control": 1.0, "B": 1.0, "C": 1.0}, by="fertilizer")},
            "a residual sd for 'C', no level, of 'fertilizer'; .* the levels are 'Control', 'B'",
        ),
        ({"residual": IID(sd={"0": 1.0}, by="week")}, "no residual sd for 0, 1, 2 of 'week'; sd names '0', the levels"),
        ({"residual": AR1(sd=1.0, rho=0.5, unit="plot", time="fertilizer")}, "'fertilizer' holds no numbers"),
        ({"residual": AR1(sd=1.0, rho=0.5, unit="plant", time="week")}, "'plant' is not a column of the design"),
        ({"residual": AR1(sd=1.0, rho=1.5, unit="plot", time="week")}, r"residuals of plot 'plot1': .*1\.5"),
        ({"residual": AR1(sd=1.0, rho=0.5, unit="fertilizer", time="week")}, "two rows at week 0"),
    ],
)
def test_impossible_numbers_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        growth(**changes).V(PLOTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formula": None}, "a formula is a text"),
        ({"beta": [10.0, 2.0, 0.0, 1.0]}, r"beta names every coefficient, .* got \[10.0, 2.0, 0.0, 1.0\]"),
        ({"random": 2.0}, "random names every grouping factor, .* got 2.0"),
        ({"residual": "1"}, "residual is an sd, or one of .* got '1'"),
        ({"residual": {"Control": 1.0, "B": 2.0}}, "residual is an sd, or one of IID"),
    ],
)
def test_what_is_no_name_or_number_is_refused(changes, message):
    with pytest.raises(TypeError, match=message):
        growth(**changes)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AR1(sd="1", rho=0.5, unit="plot", time="week"),
        lambda: AR1(sd=1.0, rho="0.5", unit="plot", time="week"),
        lambda: AR1(sd={"Control": 1.0, "B": 2.0}, rho=0.5, unit="plot", time="week"),
        lambda: IID(sd="1"),
    ],
)
def test_residuals_are_described_by_numbers(make):
    with pytest.raises(ValueError, match=r"must be a number|is a finite number|unequal residuals need both"):
        make()


@pytest.mark.parametrize("residual", [AR1(sd=1, rho=0.5, unit="who", time="week"), CompoundSymmetry(1, 0.5, "who")])
def test_a_residual_without_a_unit_is_an_error(residual):
    design = PLOTS.assign(who=PLOTS["plot"].where(PLOTS["week"] > 0))
    with pytest.raises(ValueError, match="'who' is missing in 6 of 18 rows"):
        growth(residual=residual).V(design)


def test_dates_are_no_times_for_ar1():
    design = PLOTS.assign(day=pd.Timestamp("2024-01-01") + pd.to_timedelta(PLOTS["week"], "D"))
    with pytest.raises(
        ValueError, match=r"'day' holds dates or times .*: count the days first, .* AR\(1\) needs numbers"
    ):
        growth(residual=AR1(sd=1.0, rho=0.5, unit="plot", time="day")).V(design)


@pytest.mark.parametrize("week", [np.inf, -1.0])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_column_that_is_not_finite_is_named(week):
    model = Model("height ~ np.log(week + 1)", {"Intercept": 1.0, "np.log(week + 1)": 1.0})
    design = PLOTS.astype({"week": float}).replace({"week": {0.0: week}})
    with pytest.raises(ValueError, match=r"'np.log\(week \+ 1\)' is infinite or undefined in 6 of 18 rows"):
        model.X(design)


def test_unequal_residuals_need_a_column():
    with pytest.raises(ValueError, match="unequal residuals need both"):
        IID(sd={"a": 1.0})


def test_the_template_is_the_form_that_the_model_needs():
    text = Model.template("height ~ week * fertilizer + (week || plot)", PLOTS)
    filled = eval(text.replace("...", "0.1"), {"Model": Model, "Random": Random})
    assert list(filled.beta) == list(BETA)
    filled.V(PLOTS)


def test_the_template_can_be_run_whatever_the_names():
    text = Model.template('height ~ C(fertilizer, contr.treatment("B")) + (week | plot)', PLOTS)
    eval(text.replace("...", "0.1"), {"Model": Model, "Random": Random}).V(PLOTS)


def test_the_echo_has_every_number():
    text = growth().describe(PLOTS)
    for number in ("10 + 2*week", "sd 2", "sd 0.4, corr 0.3", "sd 1", "marginal", "conditional", "(6 plots)"):
        assert number in text


def test_the_printed_equation_has_every_random_term():
    """A slope is a term of its own, not hidden in one u."""
    text = str(growth())
    equation = next(line for line in text.splitlines() if line.startswith("height = "))
    assert "u[plot] + u[plot, week]*week + eps" in " ".join(text.split())
    assert equation.startswith("height = 10 + 2*week")
    latex = growth().latex()
    assert r"u_{\mathrm{plot}}" in latex and r"u_{\mathrm{plot},\,\mathrm{week}}\,\mathrm{week}" in latex


def test_the_echo_gives_implied_correlations_over_time():
    V = growth().V(PLOTS)
    assert f"{V[0, 2] / np.sqrt(V[0, 0] * V[2, 2]):.3g}" in growth().describe(PLOTS)


@pytest.mark.parametrize("term", ["fertilizer", "center(week)", "poly(week, 2)"])
def test_implied_correlations_are_those_of_V_whatever_the_columns_need(term):
    """Contrasts, means and polynomials are those of the whole design, though one plot has one fertilizer."""
    design = PLOTS.astype({"fertilizer": str}).drop(index=2)
    formula = f"height ~ {term} + ({term} | plot)"
    model = eval(Model.template(formula, design).replace("...", "0.5"), {"Model": Model, "Random": Random})
    table, V = describe.implied(model.on(design)), model.V(design)
    np.testing.assert_allclose(table["sd"], np.sqrt(np.diag(V)[:2]))
    np.testing.assert_allclose(table.iloc[0, 2], V[0, 1] / np.sqrt(V[0, 0] * V[1, 1]))


def test_the_printed_model_says_where_the_rest_is():
    assert "model.describe(design) adds ICC, R2 and correlations over time" in str(growth())
    assert "model.describe" not in growth().describe(PLOTS)


def test_the_icc_of_an_intercept_model_needs_no_design():
    assert "ICC: school 0.1" in str(
        Model("y ~ 1 + (1 | school)", {"Intercept": 0}, random={"school": 3.0}, residual=9.0)
    )


def test_icc_and_r2_are_shares_of_the_variance():
    design = nested(school=4, pupil=5).assign(x=np.tile([-2.0, -1, 0, 1, 2], 4))
    model = Model("y ~ x + (1 | school)", {"Intercept": 0, "x": 1.0}, random={"school": 1.0}, residual=2.0)
    assert model.icc(design).loc["school", "conditional"] == pytest.approx(1 / 5)
    assert model.r2(design).tolist() == pytest.approx([2 / 7, 3 / 7])


def test_latex_has_the_numbers_and_the_distributions():
    latex = growth().latex()
    assert r"4 & 0.24 \\ 0.24 & 0.16" in latex
    assert r"\varepsilon &{}\sim N(0, 1)" in latex
    assert "$$" in growth()._repr_latex_()


def test_latex_breaks_a_long_equation_and_loses_no_term_and_no_sign():
    names = ["Intercept", "week", "fertilizer[T.A]", "fertilizer[T.B]", "week:fertilizer[T.A]", "week:fertilizer[T.B]"]
    beta = dict(zip(names, (10, 2, -0.5, 0.25, 0.5, -1.0), strict=True))
    latex = Model("height ~ week * fertilizer + (1 | plot)", beta, {"plot": 2.0}, 1.0).latex()
    assert r"N\left(0, 4\right)" in latex  # one variance is no matrix
    equation = latex.split(r"u_{\mathrm{plot}} &{}\sim")[0].split(r" \\ ")
    assert len(equation) > 2
    whole = " ".join(equation)
    assert r"- 0.5\,\mathrm{fertilizer[A]}" in whole and r"- 1\,\mathrm{week:fertilizer[B]}" in whole
    assert whole.count(" + ") + whole.count(" - ") == len(beta) - 1 + len(["u", "eps"])


def test_latex_keeps_powers_and_escapes_names():
    names = {"Intercept": 1.0, "I(week ** 2)": 2.0, "arm[T.50 %]": 3.0}
    residual = AR1(sd=1.0, rho=0.5, unit="plot_id", time="week")
    latex = Model("blood_pressure ~ I(week ** 2) + arm", names, residual=residual).latex()
    for text in (r"blood\_pressure", r"I(week\ **\ 2)", r"arm[50\ \%]", r"plot\_id"):
        assert text in latex


def test_a_model_keeps_no_hold_of_what_it_was_given():
    beta, sd, levels, corr = dict(BETA), {"Intercept": 2.0, "week": 0.4}, {"Control": 1.0, "B": 2.0}, np.eye(2)
    model = growth(beta=beta, random={"plot": Random(sd, corr)}, residual=IID(levels, by="fertilizer"))
    V = model.V(PLOTS)
    beta["week"] = sd["week"] = levels["B"] = corr[0, 1] = 99.0
    assert model.beta["week"] == 2.0
    np.testing.assert_array_equal(model.V(PLOTS), V)
