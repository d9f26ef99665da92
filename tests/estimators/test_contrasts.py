"""Questions asked of a fit: contrasts, marginal means, joint tests, against R and against what must be true of them."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE
from scipy import stats

from lmmsim import LMM, OLS, GroupMeans, StatsmodelsLMM, Within, assign, crossed, scenarios, simulate, study
from lmmsim.model.columns import build
from lmmsim.model.grid import Grid
from lmmsim.model.questions import contrast_rows

FITS = json.loads((REFERENCE / "contrasts.json").read_text())["fits"]
METHODS = ("satterthwaite", "kenward-roger")


def names(fit):
    """Coefficients as this package calls them: R's 'fertilizerA' is 'fertilizer[T.A]'."""
    levels = fit["fixed_factor_levels"]

    def piece(text):
        for factor, own in levels.items():
            for level in own:
                if text == f"{factor}{level}":
                    return f"{factor}[T.{level}]"
        return {"(Intercept)": "Intercept"}.get(text, text)

    return [":".join(map(piece, name.split(":"))) for name in fit["beta_names"]]


def weights(fit, row):
    return dict(zip(names(fit), row, strict=True))


@pytest.fixture(scope="module", params=[(key, how) for key in FITS for how in METHODS], ids=str)
def case(request):
    key, how = request.param
    fit = FITS[key]
    data = pd.read_csv(REFERENCE / "data" / fit["data"])
    for name, levels in fit["fixed_factor_levels"].items():
        data[name] = pd.Categorical(data[name].astype(str), categories=levels)
    return fit, LMM(fit["formula"], df=how)(data), how.replace("-", "_")


def agree(table, estimate, se, wanted):
    """Estimate to 1e-3 standard errors, df to 2 %, and what follows from them."""
    se = np.atleast_1d(wanted.get("se", se))
    assert np.all(np.abs(table["estimate"] - estimate) < 1e-3 * se)
    np.testing.assert_allclose(table["se"], se, rtol=1e-3)
    np.testing.assert_allclose(table["df"], np.atleast_1d(wanted["df"]), rtol=0.02)
    np.testing.assert_allclose(table["p"], np.atleast_1d(wanted["p"]), rtol=0.02, atol=1e-12)
    assert np.all(np.abs(table["low"] - wanted["lower"]) < 1e-2 * se)
    assert np.all(np.abs(table["high"] - wanted["upper"]) < 1e-2 * se)


# ---- against R: tests/reference/contrasts.json


def test_contrasts_match_lmertest(case):
    reference, fit, how = case
    for one in reference.get("contrasts", []):
        table = fit.contrast({one["name"]: weights(reference, one["L"])})
        agree(table, one["estimate"], one["se"], one[how])


def test_joint_tests_match_lmertest_and_pbkrtest(case):
    reference, fit, how = case
    for one in reference["joint_tests"]:
        row = fit.test({f"row {i}": weights(reference, L) for i, L in enumerate(one["L"])}).iloc[0]
        np.testing.assert_allclose(row["F"], one[how]["F"], rtol=1e-3)
        assert row["df1"] == one[how]["numdf"]
        np.testing.assert_allclose(row["df2"], one[how]["dendf"], rtol=0.02)
        np.testing.assert_allclose(row["p"], one[how]["p"], rtol=0.02, atol=1e-12)


def test_terms_match_the_type_three_tests_of_lmertest(case):
    reference, fit, how = case
    table = fit.test()
    for one in reference["type3"]:
        row = fit.test(one["name"]).iloc[0]
        np.testing.assert_allclose(row["F"], one[how]["F"], rtol=1e-3)
        np.testing.assert_allclose(row["df2"], one[how]["dendf"], rtol=0.02)
        np.testing.assert_allclose(table.loc[fit.test(one["name"]).index[0]], row)


def test_marginal_means_match_emmeans(case):
    reference, fit, how = case
    for one in reference.get("means", []):
        table = fit.means(one["means_of"], at=one["at"])
        grid = table.index.to_frame()
        for name in one["means_of"]:
            assert [str(cell[name]) for cell in one["grid"]] == list(map(str, grid[name]))
        agree(table, one["estimate"], one["se"], one[how])


def test_differences_between_means_match_emmeans(case):
    reference, fit, how = case
    means = {one["id"]: one for one in reference.get("means", [])}
    for one in reference.get("mean_contrasts", []):
        of, at = means[one["of"]]["means_of"], means[one["of"]]["at"]
        if one["kind"] == "simple effects":
            by = [name for name in one["contrasts"][0] if name != "contrast"]
            table = fit.means([name for name in of if name not in by], by=by, at=at, pairs=True, adjust="holm")
            if "p_holm_within_by" in one[how]:
                np.testing.assert_allclose(table["p_holm"], one[how]["p_holm_within_by"], rtol=0.02)
        elif one["kind"] == "pairwise":
            for adjust in ("tukey", "holm", "bonferroni"):
                table = fit.means(of, at=at, pairs=True, adjust=adjust)
                np.testing.assert_allclose(table[f"p_{adjust}"], one[how][f"p_{adjust}"], rtol=0.02, atol=1e-10)
            assert [cell["contrast"] for cell in one["contrasts"]] == list(table.index)
        elif one["kind"] == "interaction":
            table = fit.means(of, at=at, pairs="interaction")
            if any("revpairwise" in name for name in one["contrasts"][0]):  # 4 - 0 in R, 0 - 4 here
                table[["estimate", "t"]] *= -1
                table[["low", "high"]] = -table[["high", "low"]].to_numpy()
        else:
            table = fit.means(of, at=at, pairs="mean")
        agree(table, one["estimate"], one["se"], one[how])


# ---- what must be true whatever the numbers


@pytest.fixture(scope="module")
def unbalanced():
    """Two factors and a number, unbalanced, in eleven groups."""
    rng = np.random.default_rng(5)
    n = 220
    data = pd.DataFrame({"g": rng.integers(0, 11, n), "x": rng.normal(size=n) * 2 + 5, "week": rng.integers(0, 4, n)})
    data["a"] = rng.choice(["p", "q", "r"], n, p=[0.5, 0.3, 0.2])
    data["b"] = rng.choice(["lo", "hi", "top"], n, p=[0.5, 0.3, 0.2])
    effect = (data["a"] == "q") * 1.0 + (data["b"] == "hi") * 0.5 + 0.3 * data["x"]
    data["y"] = effect + rng.normal(size=11)[data["g"]] + rng.normal(size=n)
    return data


FORMULAS = ["a * b * x", "a * b + x", "a * x + b", "a + x * b", "a * C(week) + x", "a * bs(x,df=4)", "a * poly(x,2)"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_term_is_tested_as_its_coefficients_in_sum_to_zero_coding(unbalanced, formula):
    # type III by its definition: recode every factor so that its effects add up to zero, then drop the term
    fit = OLS(f"y ~ {formula}")(unbalanced)
    recoded = formula.replace("C(week)", "C(week, contr.sum)")
    recoded = " ".join(f"C({word}, contr.sum)" if word in ("a", "b") else word for word in recoded.split())
    other = OLS(f"y ~ {recoded}")(unbalanced)
    np.testing.assert_allclose(other.criterion, fit.criterion)
    plain, coded = Grid(fit.matrices, unbalanced).parts, Grid(other.matrices, unbalanced).parts
    for own, part in zip(plain[1:], coded[1:], strict=True):
        np.testing.assert_allclose(fit.test(own.name)["F"], other.test(list(part.columns))["F"], rtol=1e-8)


def test_a_contrast_of_cells_is_the_difference_of_their_predictions(unbalanced):
    fit = LMM("y ~ a * b * x + (1 | g)")(unbalanced)
    cells = pd.DataFrame({"a": ["q", "p"], "b": "hi", "x": 3.0, "g": 0})
    first, second = fit.predict(cells)["mean"]
    table = fit.contrast({"a": {"q": 1, "p": -1}, "b": "hi", "x": 3})
    np.testing.assert_allclose(table["estimate"], first - second)
    assert list(table.index) == ["q - p, b = hi, x = 3"]


def test_what_is_not_named_is_averaged_with_equal_weights_and_numbers_stand_at_their_mean(unbalanced):
    fit = LMM("y ~ a * b * x + (1 | g)")(unbalanced)
    cells = pd.DataFrame({"a": "q", "b": ["hi", "lo", "top"], "x": unbalanced["x"].mean(), "g": 0})
    np.testing.assert_allclose(fit.means("a").loc["q", "estimate"], fit.predict(cells)["mean"].mean())
    # at the factor's mode it would be another number
    assert abs(fit.means("a").loc["q", "estimate"] - fit.predict(cells)["mean"][1]) > 0.005


def test_a_difference_of_differences_is_one(unbalanced):
    fit = LMM("y ~ a * b + (1 | g)")(unbalanced)
    cells = {
        (a, b): fit.contrast({"a": a, "b": b})["estimate"].iloc[0] for a, b in itertools.product("pq", ("lo", "hi"))
    }
    found = fit.contrast({"a": {"q": 1, "p": -1}, "b": {"hi": 1, "lo": -1}})
    np.testing.assert_allclose(
        found["estimate"].iloc[0], cells["q", "hi"] - cells["p", "hi"] - cells["q", "lo"] + cells["p", "lo"]
    )
    np.testing.assert_allclose(found["estimate"].iloc[0], -fit.coef.loc["a[T.q]:b[T.lo]", "estimate"])


def test_a_coefficient_asked_as_a_contrast_is_the_coefficient(unbalanced):
    for analysis in (
        LMM("y ~ a * x + (x | g)"),
        LMM("y ~ a * x + (1 | g)", df="kenward-roger"),
        LMM("y ~ a * x + (1 | g)", df="z"),
        StatsmodelsLMM("y ~ a * x + (1 | g)"),
        OLS("y ~ a * x"),
        OLS("y ~ a * x", cluster="g"),
        OLS("y ~ a * x", cluster="g", robust="CR0"),
        OLS("y ~ a * x", cluster="g", robust="CR2"),
        Within("y ~ a * x", unit="g"),
    ):
        fit = analysis(unbalanced)
        table = fit.contrast({f"asked {name}": {name: 1.0} for name in fit.terms})
        np.testing.assert_allclose(table.to_numpy(), fit.coef.to_numpy(), rtol=1e-9)
        row = fit.test([fit.terms[-1]]).iloc[0]  # F of one row is t squared
        np.testing.assert_allclose(
            [row["F"], row["p"]], [fit.coef["t"].iloc[-1] ** 2, fit.coef["p"].iloc[-1]], rtol=1e-9
        )


def test_z_is_a_chi_square(unbalanced):
    fit = LMM("y ~ a * x + (1 | g)", df="z")(unbalanced)
    row = fit.test("a:x").iloc[0]
    L = fit.vcov.iloc[-2:, -2:].to_numpy()
    chi2 = fit.beta[-2:] @ np.linalg.solve(L, fit.beta[-2:])
    assert np.isinf(row["df2"])
    np.testing.assert_allclose([row["F"] * 2, row["p"]], [chi2, stats.chi2.sf(chi2, 2)])


def test_the_level_of_a_factor_that_comes_first_does_not_matter(unbalanced):
    turned = unbalanced.assign(a=pd.Categorical(unbalanced["a"], categories=["r", "p", "q"]))
    one, other = (LMM("y ~ a * b + x + (1 | g)")(data) for data in (unbalanced, turned))
    columns = ["estimate", "se", "df"]
    np.testing.assert_allclose(
        one.means("a").loc[["p", "q", "r"], columns], other.means("a").loc[["p", "q", "r"], columns], rtol=1e-5
    )
    np.testing.assert_allclose(one.test()["F"], other.test()["F"], rtol=1e-5)


def test_joint_tests_do_not_depend_on_units(unbalanced):
    scaled = unbalanced.assign(x=unbalanced["x"] * 1e5)
    one, other = (LMM("y ~ a * x + (1 | g)", df="kenward-roger")(data) for data in (unbalanced, scaled))
    rows = {"first": {"a[T.q]:x": 1}, "second": {"a[T.r]": 1}}
    np.testing.assert_allclose(one.test(rows).to_numpy(), other.test(rows).to_numpy(), rtol=1e-6)


def test_rows_that_say_the_same_twice_count_once(unbalanced):
    fit = OLS("y ~ a")(unbalanced)
    rows = {"q": {"a[T.q]": 1}, "r": {"a[T.r]": 1}, "q - r": {"a[T.q]": 1, "a[T.r]": -1}}
    np.testing.assert_allclose(fit.test(rows).to_numpy(), fit.test("a").to_numpy())


def test_simultaneous_adjustments_are_ordered(unbalanced):
    fit = OLS("y ~ a * b")(unbalanced)
    tables = {how: fit.means(["a", "b"], pairs=True, adjust=how) for how in ("tukey", "holm", "bonferroni")}
    assert len(tables["holm"]) == 36
    p = {how: table[f"p_{how}"].to_numpy() for how, table in tables.items()}
    assert (p["holm"] <= p["bonferroni"]).all() and (p["tukey"] <= p["bonferroni"] + 1e-12).all()
    assert (p["holm"] >= tables["holm"]["p"]).all()


def test_tukeys_adjustment_of_two_means_is_the_t_test(unbalanced):
    fit = OLS("y ~ a")(unbalanced[unbalanced["a"] != "r"])
    table = fit.means("a", pairs=True, adjust="tukey")
    np.testing.assert_allclose(table["p_tukey"], table["p"])


# ---- cluster-robust: the joint test of Pustejovsky & Tipton (2018)


def test_the_covariance_of_cr2_has_the_variance_that_normal_errors_give_it(unbalanced):
    """Var of every entry, from the vectors whose products with the errors make it, written out n by n."""
    data = unbalanced.iloc[:90]
    fit = OLS("y ~ a * x", cluster="g", robust="CR2")(data)
    X, codes = fit.matrices.X.to_numpy(), pd.factorize(data["g"])[0]
    bread, n = np.linalg.inv(X.T @ X), len(X)
    rest = np.eye(n) - X @ bread @ X.T
    L = np.eye(6)[[5, 4, 2]]
    vectors = np.zeros((3, codes.max() + 1, n))
    for g in range(codes.max() + 1):
        own = codes == g
        values, axes = np.linalg.eigh(rest[np.ix_(own, own)])
        adjust = (axes * np.where(values > 1e-10, 1 / np.sqrt(np.maximum(values, 1e-300)), 0)) @ axes.T
        for a in range(3):
            w = np.zeros(n)
            w[own] = adjust @ X[own] @ bread @ L[a]
            vectors[a, g] = rest @ w
    total = 0.0
    for a, b in itertools.product(range(3), repeat=2):
        first, second = vectors[a], vectors[b]
        total += ((first @ first.T) * (second @ second.T)).sum() + ((first @ second.T) * (second @ first.T)).sum()
    np.testing.assert_allclose(fit.reference.total_variance(L), total, rtol=1e-9)


@pytest.mark.parametrize("occasions", [2, 3, 5])
def test_where_every_cluster_has_every_occasion_the_joint_test_is_hotellings(occasions):
    """Then the covariance of CR2 is that of the clusters' own differences, and its df are the clusters less one."""
    rng, J, q = np.random.default_rng(3), 12, occasions - 1
    Y = rng.normal(size=(J, occasions)) @ rng.normal(size=(occasions, occasions)) + rng.normal(size=(J, 1))
    data = crossed(g=J, occasion=[f"o{k}" for k in range(occasions)]).assign(y=Y.ravel())
    row = OLS("y ~ occasion", cluster="g", robust="CR2")(data).test("occasion").iloc[0]
    change = Y[:, 1:] - Y[:, :1]
    T2 = J * change.mean(axis=0) @ np.linalg.solve(np.atleast_2d(np.cov(change.T)), change.mean(axis=0))
    F = (J - q) / (q * (J - 1)) * T2
    np.testing.assert_allclose([row["F"], row["df1"], row["df2"]], [F, q, J - q], rtol=1e-9)
    np.testing.assert_allclose(row["p"], stats.f.sf(F, q, J - q), rtol=1e-9)


def test_with_too_few_clusters_a_joint_test_is_refused(unbalanced):
    fit = OLS("y ~ a * b", cluster="g", robust="CR2")(unbalanced[unbalanced["g"] < 4])
    with pytest.raises(ValueError, match=r"a joint test of 4 contrasts with CR2 errors has .* use more clusters"):
        fit.test("a:b")
    assert np.isnan(fit.test().loc["a:b", "p"])


# ---- GroupMeans, Within, refusals


def test_an_analysis_within_groups_knows_differences_and_no_means(unbalanced):
    fit = Within("y ~ a * x", unit="g")(unbalanced)
    table = fit.means("a", pairs=True)
    np.testing.assert_allclose(
        table.loc["p - q", "estimate"], -fit.beta[0] - fit.beta[-2] * unbalanced["x"].mean(), rtol=1e-9
    )
    with pytest.raises(ValueError, match="knows differences and no means: ask for a difference"):
        fit.means("a")
    with pytest.raises(ValueError, match="knows differences and no means"):
        fit.contrast({"a": "p"})


def test_means_of_group_means_are_those_of_the_regression_on_groups():
    model, design = scenarios.teaching_methods(schools=12)
    data = simulate(model, design, rng=1).data
    fit = GroupMeans("score ~ method", unit="school")(data)
    by_school = data.groupby(["school", "method"], observed=True)["score"].mean().groupby("method").mean()
    np.testing.assert_allclose(fit.means("method")["estimate"], by_school.to_numpy())
    assert fit.means("method", pairs=True)["df"].iloc[0] == 10


def test_a_cell_without_rows_is_refused_by_name(unbalanced):
    gap = unbalanced[(unbalanced["a"] != "q") | (unbalanced["b"] != "top")]
    matrices = build("y ~ a * b", gap)
    kept = [name for name in matrices.X.columns if matrices.X[name].any()]
    assert len(kept) == 8
    grid = Grid(matrices, gap, kept)
    with pytest.raises(ValueError, match=r"the data do not determine this combination: it needs 'a\[T.q\]:b\[T.top\]'"):
        contrast_rows(grid, {"a": "q", "b": "top"})
    with pytest.raises(ValueError, match="do not determine"):
        contrast_rows(grid, {"a": {"q": 1, "p": -1}})
    assert contrast_rows(grid, {"a": {"q": 1, "p": -1}, "b": "lo"}).shape == (1, 8)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"a": {"q": 1, "z": -1}}, "'z' is not a level of 'a'; its levels are 'p', 'q', 'r'"),
        ({"a": {"q": 1, "p": -1}, "wek": 4}, "the contrast names wek; the coefficients are"),
        ({"a": {"q": 1}, "a[T.r]": 1}, r"names the coefficient 'a\[T.r\]' beside cells"),
        ({"a": {"q": 1, "p": np.nan}}, "the weight of 'p' of 'a' is nan; it is a finite number"),
        ({"a[T.q]": np.inf}, r"the contrast weighs 'a\[T.q\]' by inf"),
        ({"a": {"q": 0}}, "weighs cells that the formula makes equal"),
        ({"a": {}}, "no weights are given for 'a'"),
        ({"x": 0}, "has no weight other than 0"),
        ({"a": "q", "x": "high"}, "'x' holds numbers, and 'high' is none"),
    ],
)
def test_a_contrast_that_says_nothing_is_refused(unbalanced, question, message):
    with pytest.raises(ValueError, match=message):
        OLS("y ~ a * x")(unbalanced).contrast(question)


def test_other_questions_without_an_answer_are_refused(unbalanced):
    fit = OLS("y ~ a * x")(unbalanced)
    with pytest.raises(TypeError, match="a contrast is a mapping of coefficients"):
        fit.contrast(5)
    with pytest.raises(ValueError, match=r"'g' is no column of the fixed part of 'y ~ a \* x'; its columns are"):
        fit.means("g")
    with pytest.raises(ValueError, match=r"'x' has 220 different values; say at which of them, as at=\{'x'"):
        fit.means("x")
    with pytest.raises(ValueError, match=r"'b' is no term of 'y ~ a \* x'; its terms are 'a', 'x', 'a:x'"):
        fit.test("b")
    with pytest.raises(ValueError, match="it says where numbers outside of 'a:x' stand"):
        fit.test("a:x", at={"x": 1})
    with pytest.raises(ValueError, match="adjust='holm' is for differences between means"):
        fit.means("a", adjust="holm")
    with pytest.raises(ValueError, match="Tukey's adjustment is for all pairs of means"):
        fit.means("a", pairs="reference", adjust="tukey")
    with pytest.raises(ValueError, match="'a' is named twice"):
        fit.means("a", by="a")
    with pytest.raises(ValueError, match="makes a factor of 'x' whose levels are not its own"):
        OLS("y ~ a + C(x > 5)")(unbalanced).means("a")


def test_a_table_of_means_says_what_it_is_averaged_over(unbalanced):
    fit = LMM("y ~ a * b + x + (1 | g)")(unbalanced)
    assert "x at its mean, 5.057; averaged over b" in repr(fit.means("a"))
    assert "x = 7" in repr(fit.means("a", at={"x": 7}))
    assert "are tested where x = 0" in repr(OLS("y ~ a * x")(unbalanced).test("a"))


def test_a_factor_times_a_number_is_asked_at_that_number(unbalanced):
    fit = LMM("y ~ a * x + (1 | g)")(unbalanced)
    at5 = fit.test({"q": {"a": {"q": 1, "p": -1}, "x": 5}, "r": {"a": {"r": 1, "p": -1}, "x": 5}})
    np.testing.assert_allclose(fit.test("a", at={"x": 5}).to_numpy(), at5.to_numpy(), rtol=1e-6)


def test_levels_that_are_numbers_or_truth_values_are_named_as_they_are(unbalanced):
    data = unbalanced.assign(late=unbalanced["week"] > 1)
    fit = OLS("y ~ C(week) + a")(data)
    assert fit.means("week").index.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(
        fit.contrast({"week": {3: 1, 0: -1}})["estimate"], fit.coef.loc["C(week)[T.3]", "estimate"]
    )
    late = OLS("y ~ late + a")(data).means("late")
    assert late.index.tolist() == [False, True]


def test_one_design_with_names_of_several_words():
    design = assign(crossed(plot=12, week=[0, 1, 2]), to="plot", arm=["old way", "new way"])
    rng = np.random.default_rng(1)
    data = design.assign(y=rng.normal(size=36) + rng.normal(size=12).repeat(3))
    fit = LMM("y ~ week * arm + (1 | plot)")(data)
    assert fit.means("arm", by="week", pairs=True).index.tolist()[0] == ("old way - new way", 0)


# lmerTest 3.1-3, anova(lmer(height ~ late * arm * dose + (1 | plot))) with a logical `late`: F, df2.
LOGICAL = {
    "late * arm": [(86.0851792, 57.0), (0.5134296, 9.294297), (0.1861791, 57.0)],
    "late * arm * dose": [
        (7.2534958822, 51.76004), (0.1570230969, 36.84381), (0.0085729045, 51.76605), (0.0384118619, 52.07046),
        (0.0006645271, 51.62774), (0.0294391298, 52.21749), (0.0321102177, 52.12667),
    ],
}  # fmt: skip


@pytest.mark.parametrize("fixed", LOGICAL)
@pytest.mark.parametrize("kind", [bool, "boolean", "category"])
def test_truth_values_outside_of_a_term_are_averaged_as_the_levels_of_a_factor(fixed, kind):
    k = np.arange(96)
    data = pd.DataFrame({"plot": k // 8, "week": k % 8, "arm": np.array(["A", "B", "C"])[k // 8 % 3]})
    data["height"] = 10 + 2 * data["week"] - 0.1 * data["week"] ** 2 + 3 * np.sin(5.0 * (k // 8)) + np.sin(7.0 * k)
    data["height"] += data["arm"] == "B"
    data["late"], data["dose"] = (data["week"] > 3).astype(kind), np.round(np.exp(np.sin(3.0 * k)), 3) + 0.5
    fit = LMM(f"height ~ {fixed} + (1 | plot)")(data[(data["week"] <= 4) | (k % 3 == 0)])
    np.testing.assert_allclose(fit.test()[["F", "df2"]], LOGICAL[fixed], rtol=2e-3)
    assert "late = " not in fit.test().note


def test_more_contrasts_than_kenward_and_roger_have_an_f_for_are_refused():
    """pbkrtest's KRmodcomp of these four rows: F scaling 1e-13, -2 degrees of freedom, p missing."""
    model, design = scenarios.plant_growth(plots=6)
    data = simulate(model, design, rng=3).data
    four = [name for name in model.beta if "fertilizer" in name]
    assert LMM(model.formula)(data).test(four)["p"].notna().all()
    fit = LMM(model.formula, df="kenward-roger")(data)
    with pytest.raises(ValueError, match=r"no F for 4 contrasts together in so few groups: test fewer at once, or use"):
        fit.test(four)
    assert fit.test("week:fertilizer").loc["week:fertilizer", "df2"] == pytest.approx(3, abs=1e-3)
    found = study(model, design, {"KR": fit.estimator}, 5, rng=1, tests={"all": four}, progress=False).answers["KR"]
    which = found.terms.index("all")
    assert np.isnan([found.p[:, which], found.df[:, which], found.estimate[:, which]]).all()


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"weke": 3}, "'weke' is no column of the fixed part"),
        ({"week": "three"}, "'week' holds numbers, and 'three' is none"),
        ({"fertilizer": "A"}, "at= names 'fertilizer'; it says where numbers outside of 'week' stand"),
    ],
)
def test_a_wrong_place_is_refused_when_all_terms_are_tested_and_no_cell_is_blamed(at, said):
    plants = simulate(*scenarios.plant_growth(plots=12, weeks=4), rng=1)
    for analysis in (LMM(plants.model.formula), OLS("height ~ week * fertilizer", cluster="plot")):
        with pytest.raises(ValueError, match=said):
            analysis(plants.data).test(at=at)
