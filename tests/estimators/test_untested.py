"""Where some coefficients have no test, the questions that do not touch them keep their answers, and the others say so.

Three arms with one field each, and plots in the fields: the effects of the fields cannot be told from those of the
arms, so that nothing can be said about the arms; what changes within plots can be tested all the same.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lmmsim import AR1, IID, LMM, OLS
from lmmsim.estimators.asking import asked

pytestmark = pytest.mark.filterwarnings("ignore:there is no")
NUMBERS = ["se", "df", "t", "p", "low", "high"]


@pytest.fixture(scope="module")
def fields():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"arm": np.repeat(["A", "B", "C"], 20), "plot": np.repeat(np.arange(12), 5)})
    data["week"] = np.tile(np.arange(5.0), 12)
    data["shade"] = np.tile(["no", "yes", "no", "yes", "no", "no"], 10)
    data["y"] = rng.normal(size=60) + rng.normal(size=12)[data["plot"]] + data["week"]
    return data


WITH_ARM = "y ~ week + shade + arm + (1 | arm) + (1 | plot)"
WITHOUT = "y ~ week + shade + arm + (1 | plot)"  # the same rows, the same information within plots


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "z"])
def test_a_contrast_that_touches_no_untested_coefficient_has_its_numbers(fields, df):
    lost, kept = LMM(WITH_ARM, df=df)(fields), LMM(WITHOUT, df=df)(fields)
    question = {"growth": {"week": 1}, "growth and shade": {"week": 1, "shade[T.yes]": -2}}
    ours, known = lost.contrast(question), kept.contrast(question)
    np.testing.assert_allclose(ours.to_numpy(), known.to_numpy(), rtol=1e-4)
    np.testing.assert_allclose(ours.loc["growth"].to_numpy(), lost.coef.loc["week"].to_numpy(), rtol=1e-10)
    both = [lost.test(["week", "shade[T.yes]"]), kept.test(["week", "shade[T.yes]"])]
    np.testing.assert_allclose(both[0].to_numpy(), both[1].to_numpy(), rtol=1e-4)
    shade = {"shade": {"yes": 1, "no": -1}}
    assert lost.contrast(shade)["df"].notna().all()
    assert lost.means("shade", pairs=True)[NUMBERS].notna().all(axis=None)


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "z"])
def test_what_touches_an_untested_coefficient_has_an_estimate_and_nothing_else(fields, df):
    fit = LMM(WITH_ARM, df=df)(fields)
    for table in (
        fit.contrast({"arm": {"A": 1, "B": -1}}),
        fit.means("arm"),
        fit.means("week", at={"week": [0, 4]}),
        fit.means("arm", pairs=True, adjust="holm"),
    ):
        assert table["estimate"].notna().all() and table[NUMBERS].isna().all(axis=None)
    assert fit.test("arm")[["F", "df2", "p"]].isna().all(axis=None)
    tests = fit.test()
    assert tests[["F", "df2", "p"]].isna().all(axis=1).to_dict() == {"week": False, "shade": False, "arm": True}
    assert fit.predict()[["se", "df", "low", "high"]].isna().all(axis=None)


def test_the_columns_of_a_batch_answer_like_single_fits(fields):
    questions = {"growth": {"week": 1}, "arms": {"arm": {"A": 1, "B": -1}}}
    analysis = asked(LMM(WITH_ARM), questions, {"within": ["week", "shade[T.yes]"], "arm": "arm"})
    Y = np.column_stack([fields["y"], fields["y"] + np.random.default_rng(2).normal(size=60)])
    Y[3, 1] = np.nan
    found = analysis.many(Y, fields)
    fit, place = LMM(WITH_ARM)(fields), {name: i for i, name in enumerate(found.terms)}
    growth, within = fit.contrast({"week": 1}).iloc[0], fit.test(["week", "shade[T.yes]"]).iloc[0]
    assert found.se[0, place["growth"]] == pytest.approx(growth["se"], rel=1e-6)
    assert found.df[0, place["growth"]] == pytest.approx(growth["df"], rel=1e-6)
    assert found.p[0, place["within"]] == pytest.approx(within["p"], rel=1e-4)
    assert found.df[0, place["within"]] == pytest.approx(within["df2"], rel=1e-4)
    for name in ("arms", "arm"):
        assert np.isnan(found.df[:, place[name]]).all() and np.isnan(found.p[:, place[name]]).all()


@pytest.mark.parametrize("errors", ["CR1", "CR2"])
def test_robust_errors_of_what_varies_within_clusters_are_there_beside_those_that_are_not(fields, errors):
    """A cluster in each arm leaves no robust error of the arms; the other coefficients have theirs."""
    fit = OLS("y ~ week + shade + arm", cluster="arm", robust=errors)(fields)
    assert fit.coef.loc["arm[T.B]", ["se", "df"]].isna().all()
    table = fit.contrast({"growth": {"week": 1}, "arms": {"arm[T.B]": 1}})
    np.testing.assert_allclose(table.loc["growth"].to_numpy(), fit.coef.loc["week"].to_numpy(), rtol=1e-8)
    assert table.loc["arms", NUMBERS].isna().all()
    assert fit.test("arm")[["F", "df2", "p"]].isna().all(axis=None)
    assert fit.test("week")["p"].iloc[0] == pytest.approx(fit.coef.loc["week", "p"])


def test_a_variance_that_nothing_is_known_of_changes_no_other_number(fields):
    """Restricted likelihood does not see it, complete or with gaps: the others are those of a model without it."""
    Y = np.column_stack([fields["y"], fields["y"] + np.random.default_rng(2).normal(size=60)])
    Y[[3, 21, 22, 58], 1] = np.nan
    lost, kept = LMM(WITH_ARM).many(Y, fields), LMM(WITHOUT).many(Y, fields)
    np.testing.assert_allclose(lost.criterion, kept.criterion, atol=1e-6)
    np.testing.assert_allclose(lost.sigma, kept.sigma, rtol=1e-5)
    np.testing.assert_allclose(lost.covariances[1], kept.covariances[0], rtol=1e-4)
    np.testing.assert_allclose(lost.se[:, 1:3], kept.se[:, 1:3], rtol=1e-5)
    assert (lost.covariances[0] < 1).all()  # which a search along a flat line would take anywhere


def growing(slopes, rng=3):
    """The same fields, each arm with a trend of its own."""
    generator = np.random.default_rng(rng)
    data = pd.DataFrame({"arm": np.repeat(["A", "B", "C", "D"], 15), "week": np.tile(np.arange(5.0), 12)})
    data["soil"], data["later"] = generator.normal(size=60), data["week"] - 2
    data["plot"] = np.repeat(np.arange(12), 5)
    data["twin"] = 11 - data["plot"]
    data["y"] = data["arm"].map(dict(zip("ABCD", slopes, strict=True))) * data["week"] + generator.normal(size=60)
    return data


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_a_term_that_is_taken_up_in_part_leaves_the_tests_of_the_rest(df):
    """The arms take up the intercepts of (week | arm); its slopes are told, as by a model that has slopes only."""
    data = growing([1.0, 2.0, 1.4, 0.2])
    part = LMM("y ~ week + soil + arm + (week | arm)", df=df)(data)
    slopes = LMM("y ~ week + soil + arm + (0 + later | arm)", df=df)(data)
    assert not slopes.singular
    rows = ["week", "soil"]
    np.testing.assert_allclose(part.coef.loc[rows].to_numpy(), slopes.coef.loc[rows].to_numpy(), rtol=1e-3)
    assert part.sd.loc[("arm", "week"), "sd"] == pytest.approx(slopes.sd.loc[("arm", "later"), "sd"], rel=1e-4)
    assert part.coef.loc[["Intercept", "arm[T.B]", "arm[T.C]", "arm[T.D]"], NUMBERS].isna().all(axis=None)


@pytest.mark.filterwarnings("ignore:'plot' and 'twin' make the same")
def test_another_doubt_beside_a_term_that_is_taken_up_in_part_takes_every_test_away():
    fit = LMM("y ~ week + soil + arm + (week | arm) + (1 | plot) + (1 | twin)")(growing([1.0, 2.0, 1.4, 0.2]))
    assert not fit.converged and fit.coef[["df", "p", "low", "high"]].isna().all(axis=None)
    assert "there is no test of Intercept, arm" in fit.message and "'plot' and 'twin' make the same" in fit.message


@pytest.fixture(scope="module")
def sites():
    """Two varieties in one site, two in another, so that sites are combinations of varieties; plots within them."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"variety": np.repeat(["A", "B", "C", "D"], 20), "plot": np.repeat(np.arange(16), 5)})
    data["site"] = np.where(data["variety"] < "C", "north", "south")
    data["y"] = rng.normal(size=80) + rng.normal(size=16)[data["plot"]]
    return data


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "z"])
def test_a_difference_in_which_the_effects_of_groups_cancel_has_its_numbers(sites, df):
    """C and D have no test each, as A is of another site; their difference is one within a site."""
    lost = LMM("y ~ variety + (1 | site) + (1 | plot)", df=df)(sites)
    kept = LMM("y ~ variety + (1 | plot)", df=df)(sites)
    assert lost.coef[["se", "df"]].isna().all(axis=1).to_dict() == {
        "Intercept": True, "variety[T.B]": False, "variety[T.C]": True, "variety[T.D]": True
    }  # fmt: skip
    within = {"south": {"variety[T.C]": 1, "variety[T.D]": -1}, "north": {"variety": {"B": 1, "A": -1}}}
    np.testing.assert_allclose(lost.contrast(within), kept.contrast(within), rtol=1e-4)
    between = lost.contrast({"variety": {"A": 1, "B": 1, "C": -1, "D": -1}})
    assert between["estimate"].notna().all() and between[NUMBERS].isna().all(axis=None)
    pairs = lost.means("variety", pairs=True, adjust="holm")
    assert pairs["p"].notna().to_dict() == {
        "A - B": True, "A - C": False, "A - D": False, "B - C": False, "B - D": False, "C - D": True
    }  # fmt: skip
    low = pairs["p"].min()
    assert pairs["p_holm"].dropna().tolist() == [min(1, max(2 * low, p)) for p in pairs["p"].dropna()]
    rows = [{"variety": {"A": 1, "B": -1}}, {"variety": {"C": 1, "D": -1}}]
    np.testing.assert_allclose(lost.test(rows).to_numpy(), kept.test(rows).to_numpy(), rtol=1e-3)
    assert np.isnan(lost.test("variety")["F"].iloc[0])
    if df != "z":
        found = asked(LMM(lost.formula, df=df), within, {"within": rows}).many(sites[["y"]].to_numpy(), sites)
        single = lost.contrast(within)
        np.testing.assert_allclose(found.se[0, 4:6], single["se"], rtol=1e-6)
        np.testing.assert_allclose(found.df[0, 4:6], single["df"], rtol=1e-6)
        assert found.p[0, 6] == pytest.approx(lost.test(rows)["p"].iloc[0], rel=1e-4)


def test_the_note_below_a_contrast_without_a_test_says_why(sites):
    fit = LMM("y ~ variety + (1 | site) + (1 | plot)")(sites)
    asked_for = fit.contrast({"variety": {"A": 1, "C": -1}})
    assert "with 2 of 'site' their effects cannot be told from the coefficients" in repr(asked_for)
    assert "cannot be told" not in repr(fit.contrast({"variety": {"C": 1, "D": -1}}))


@pytest.mark.parametrize("residual", [IID(by="shade"), AR1(unit="plot", time="week")])
def test_structured_residuals_do_not_make_a_variance_told_that_the_fixed_effects_take_up(fields, residual):
    """The likelihood is flat in it: whatever stands there is no estimate, and the fit says that it found none."""
    lmm = LMM("y ~ week + shade + arm + (1 | arm)", residual=residual)
    fit, batch = lmm(fields), lmm.many(fields[["y"]].to_numpy(), fields)
    kept = LMM("y ~ week + shade + arm", residual=residual)(fields)
    assert not fit.converged and not batch.converged[0]
    assert "there is no test of" in fit.message and "cannot be told" in batch.message[0]
    assert fit.coef.loc[["arm[T.B]", "arm[T.C]"], NUMBERS].isna().all(axis=None)
    rows = ["week", "shade[T.yes]"]
    np.testing.assert_allclose(
        fit.coef.loc[rows, ["estimate", "se"]], kept.coef.loc[rows, ["estimate", "se"]], rtol=1e-3
    )
    full = replace(lmm, reml=False)(fields)
    assert full.converged and full.sd.loc[("arm", "Intercept"), "sd"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_what_no_data_of_the_design_tell_has_no_profile_either(fields, reml):
    table = LMM(WITH_ARM, reml=reml)(fields).profile()
    kept = LMM(WITHOUT, reml=reml)(fields).profile()
    ends, arm = ["low", "high"], ("sd", "arm", "Intercept")
    assert table.loc["coef"].droplevel(0)[ends].isna().all(axis=1).to_dict() == {
        "Intercept": True, "week": False, "shade[T.yes]": False, "arm[T.B]": True, "arm[T.C]": True
    }  # fmt: skip
    both = [("coef", "", "week"), ("sd", "plot", "Intercept"), ("sd", "residual", "")]
    if reml:
        assert table.loc[arm, ["estimate", *ends]].isna().all()
        shape = ["estimate", *ends]
        ours, known = (one.loc[both[1:], shape].astype(float) for one in (table, kept))
        np.testing.assert_allclose(ours, known, rtol=1e-3, atol=1e-4)
    else:
        assert table.loc[arm, "estimate"] == pytest.approx(0, abs=1e-6)
