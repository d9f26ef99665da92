"""LMM, formula and data frame in, labelled numbers out: against lme4, against itself in batches, and its refusals."""

from __future__ import annotations

import json
import pickle
import warnings
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE

from lmmsim.estimators.least_squares import GroupMeans
from lmmsim.estimators.lmm import LMM

# 32 fits by lme4 1.1-31, lmerTest 3.1-3 and pbkrtest 0.5-2, optimised to the floor
LME4 = json.loads((REFERENCE / "lme4.json").read_text())["fits"]
FITS = sorted(LME4)
REML_FITS = [name for name in FITS if LME4[name]["REML"]]


@lru_cache
def read(name: str) -> pd.DataFrame:
    """The data of a reference fit, categorical columns with the levels in lme4's order."""
    reference = LME4[name]
    data = pd.read_csv(REFERENCE / "data" / reference["data"])
    if reference["fixed_factor_levels"]:
        for column, levels in reference["fixed_factor_levels"].items():
            data[column] = pd.Categorical(data[column].astype(str), categories=[str(level) for level in levels])
    return data


def lmm(name: str, df: str = "satterthwaite") -> LMM:
    return LMM(LME4[name]["formula"], reml=LME4[name]["REML"], df=df)


def listed(values) -> list:
    return values if isinstance(values, list) else [values]


def check_variances(random: dict[str, np.ndarray], reference: dict) -> None:
    """Covariances within 1e-3; lme4 lists the bars of one group as Subject, Subject.1."""
    for group, G in random.items():
        sds = np.sqrt(np.diag(G))
        blocks = [listed(block["cov"]) for key, block in reference["varcorr"].items() if key.split(".")[0] == group]
        expected = np.zeros_like(G)
        at = 0
        for block in blocks:
            block = np.atleast_2d(np.array(block, dtype=float))
            expected[at : at + len(block), at : at + len(block)] = block
            at += len(block)
        assert at == len(G)
        np.testing.assert_allclose(G, expected, rtol=1e-3, atol=1e-3 * np.outer(sds, sds).max())


@pytest.mark.parametrize("name", FITS)
def test_fits_are_those_of_lme4(name):
    reference, fit = LME4[name], lmm(name)(read(name))
    se = np.array(listed(reference["se"]))
    np.testing.assert_allclose(fit.criterion, reference["criterion"], atol=1e-5)
    assert (np.abs(fit.coef["estimate"] - listed(reference["beta"])) < 1e-5 * se).all()
    assert fit.converged and fit.singular == reference["singular"]
    assert fit.nobs == reference["nobs"] and fit.ngroups == {g: reference["ngroups"][g] for g in fit.ngroups}
    if reference["singular"]:
        return
    np.testing.assert_allclose(fit.coef["se"], se, rtol=1e-5)
    np.testing.assert_allclose(fit.vcov, np.atleast_2d(reference["vcov_beta"]), rtol=1e-4, atol=1e-5 * se.max() ** 2)
    np.testing.assert_allclose(fit.sigma, reference["sigma"], rtol=1e-4)
    np.testing.assert_allclose(fit.loglik, reference["logLik"], atol=1e-5)
    check_variances({group: G.to_numpy() for group, G in fit.random.items()}, reference)


@pytest.mark.parametrize("name", FITS)
def test_satterthwaite_is_that_of_lmertest(name):
    reference = LME4[name]["satterthwaite"]
    fit = lmm(name)(read(name))
    np.testing.assert_allclose(fit.coef["df"], listed(reference["df"]), rtol=1e-2)
    np.testing.assert_allclose(fit.coef["t"], listed(reference["t"]), rtol=1e-4)
    np.testing.assert_allclose(np.log(fit.coef["p"]), np.log(listed(reference["p"])), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", REML_FITS)
def test_kenward_roger_is_that_of_pbkrtest(name):
    reference = LME4[name]["kenward_roger"]
    fit = lmm(name, df="kenward-roger")(read(name))
    np.testing.assert_allclose(fit.coef["df"], listed(reference["df"]), rtol=1e-2)
    np.testing.assert_allclose(fit.coef["se"], listed(reference["se_adj"]), rtol=1e-4)
    vcov = np.atleast_2d(reference["vcov_adj"])
    np.testing.assert_allclose(fit.vcov, vcov, rtol=1e-3, atol=1e-4 * np.diag(vcov).max())
    # its t divides by the adjusted error, so the p value belongs to the interval
    np.testing.assert_allclose(fit.coef["t"], fit.coef["estimate"] / fit.coef["se"])


@pytest.mark.parametrize("name", FITS)
def test_conditional_modes_are_those_of_lme4(name):
    fit = lmm(name)(read(name))
    sd = np.sqrt(sum(np.trace(G) for G in fit.random.values()) + fit.sigma**2)
    by_bar = {}
    for bar, modes, blocks in zip(fit.matrices.terms, fit.modes, fit.mode_variances, strict=True):
        by_bar.setdefault(bar.group, []).append((bar, modes, blocks))
    for theirs in LME4[name]["ranef"]:
        labels = [str(level).split(":")[-1] if ":" not in str(level) else str(level) for level in theirs["levels"]]
        values = np.array(theirs["modes"], dtype=float).reshape(len(labels), -1)
        known = theirs["condvar_first_level"]
        first = np.atleast_2d(np.array(known, dtype=float)) if known is not None else None
        bars = by_bar[theirs["group"]]
        ours = np.concatenate([modes for _, modes, _ in bars], axis=1)
        levels = [str(level) for level in bars[0][0].levels]
        where = [levels.index(label) for label in labels]
        np.testing.assert_allclose(ours[where], values, atol=1e-4 * sd)
        at = 0
        for bar, _, blocks in bars if first is not None else []:
            k = len(bar.names)
            expected = first[at : at + k, at : at + k]
            atol = 1e-3 * np.abs(first).max() if not fit.singular else 1e-3 * sd**2
            np.testing.assert_allclose(blocks[where[0]], expected, rtol=1e-3, atol=atol)
            at += k


@pytest.mark.parametrize(
    ("name", "df"), [(name, "satterthwaite") for name in FITS] + [(name, "kenward-roger") for name in REML_FITS]
)
def test_many_responses_give_the_same_fit_as_one(name, df):
    """The reference data as a column among others, against single calls."""
    data, analysis = read(name), lmm(name, df)
    response = LME4[name]["formula"].split(" ~ ")[0]
    y = data[response].to_numpy(dtype=float)
    noise = np.random.default_rng(1).normal(0, y.std(), (len(y), 3))
    Y = np.column_stack([y + noise[:, 0], y, 1000 * (y + 0.3 * noise[:, 1])])
    many = analysis.many(Y, data.drop(columns=response))
    se = np.array(listed(LME4[name]["se"]))
    np.testing.assert_allclose(many.criterion[1], LME4[name]["criterion"], atol=1e-5)
    assert (np.abs(many.estimate[1] - listed(LME4[name]["beta"])) < 1e-5 * se).all()
    for j in range(3):
        fit = analysis(data.assign(**{response: Y[:, j]}))
        np.testing.assert_allclose(many.criterion[j], fit.criterion, atol=1e-6)
        assert many.converged[j] == fit.converged and many.singular[j] == fit.singular
        assert (np.abs(many.estimate[j] - fit.coef["estimate"]) < 1e-5 * fit.coef["se"]).all()
        np.testing.assert_allclose(many.se[j], fit.coef["se"], rtol=1e-4)
        if not fit.singular:
            np.testing.assert_allclose(many.df[j], fit.coef["df"], rtol=1e-3)
            np.testing.assert_allclose(many.p[j], fit.coef["p"], rtol=1e-2, atol=1e-12)
        np.testing.assert_allclose(many.sigma[j], fit.sigma, rtol=1e-4)
        for group, G in fit.random.items():
            size = np.diag(G).max() + 1e-3 * fit.sigma**2
            np.testing.assert_allclose(many.random[group][j], G, rtol=1e-3, atol=1e-3 * size)


# ---- properties


@pytest.fixture
def plants() -> pd.DataFrame:
    """Thirty plots over five weeks, three fertilizers."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"plot": np.repeat(np.arange(30), 5), "week": np.tile(np.arange(5.0), 30)})
    data["fertilizer"] = pd.Categorical(np.repeat(["Control", "A", "B"], 50), categories=["Control", "A", "B"])
    u = rng.normal(size=(30, 2)) * [2.0, 0.4]
    data["height"] = (
        10 + 2 * data["week"] + u[data["plot"], 0] + u[data["plot"], 1] * data["week"] + rng.normal(size=150)
    )
    return data


SLOPES = LMM("height ~ week * fertilizer + (week | plot)")


def test_units_of_the_response_do_not_matter(plants):
    fit, kilo = SLOPES(plants), SLOPES(plants.assign(height=plants["height"] / 1000))
    np.testing.assert_allclose(kilo.coef[["estimate", "se"]] * 1000, fit.coef[["estimate", "se"]], rtol=1e-6)
    np.testing.assert_allclose(kilo.coef[["df", "t"]], fit.coef[["df", "t"]], rtol=1e-5)
    np.testing.assert_allclose(kilo.random["plot"] * 1e6, fit.random["plot"], rtol=1e-5)


def test_where_time_starts_does_not_matter(plants):
    fit, late = SLOPES(plants), SLOPES(plants.assign(week=plants["week"] + 1000))
    np.testing.assert_allclose(late.criterion, fit.criterion, atol=1e-5)
    np.testing.assert_allclose(late.coef.loc["week"], fit.coef.loc["week"], rtol=1e-4)


def test_row_order_does_not_matter(plants):
    fit, shuffled = SLOPES(plants), SLOPES(plants.sample(frac=1, random_state=1))
    np.testing.assert_allclose(shuffled.coef, fit.coef, rtol=1e-5)
    pd.testing.assert_series_equal(shuffled.u.sort_index(), fit.u.sort_index(), atol=1e-5)
    pd.testing.assert_series_equal(shuffled.resid.sort_index(), fit.resid, atol=1e-5)


def test_the_answer_does_not_depend_on_the_start(plants):
    fit = SLOPES(plants)
    for start in (np.array([0.1, 0.0, 0.1]), np.array([5.0, -1.0, 2.0]), fit.theta):
        again = SLOPES(plants, start=start)
        np.testing.assert_allclose(again.criterion, fit.criterion, atol=1e-6)
        np.testing.assert_allclose(again.coef["estimate"], fit.coef["estimate"], rtol=1e-6)


def test_a_balanced_treatment_of_whole_groups_is_the_t_test_on_means():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"school": np.repeat(np.arange(12), 6), "new": np.repeat(np.arange(12) % 2, 6)})
    data["score"] = np.repeat(rng.normal(0, 2, 12), 6) + rng.normal(size=72)
    lmm, means = LMM("score ~ new + (1 | school)")(data), GroupMeans("score ~ new", unit="school")(data)
    assert not lmm.singular
    columns = ["estimate", "se", "df", "t", "p", "low", "high"]
    np.testing.assert_allclose(lmm.coef[columns], means.coef[columns], rtol=1e-5)
    kr = LMM("score ~ new + (1 | school)", df="kenward-roger")(data)
    np.testing.assert_allclose(kr.coef, means.coef, rtol=1e-5)


def test_z_is_the_normal(plants):
    from scipy import stats

    fit = LMM("height ~ week + (1 | plot)", df="z")(plants)
    assert np.isinf(fit.coef["df"]).all()
    np.testing.assert_allclose(fit.coef["p"], 2 * stats.norm.sf(np.abs(fit.coef["t"])), rtol=1e-8)
    np.testing.assert_allclose(fit.coef["high"] - fit.coef["estimate"], 1.959964 * fit.coef["se"], rtol=1e-6)


def test_interval_has_the_level_that_was_asked_for(plants):
    narrow, wide = (LMM("height ~ week + (1 | plot)", level=level)(plants).coef for level in (0.5, 0.99))
    assert (wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])).all()


# ---- missing values


def test_rows_without_a_value_are_counted_and_dropped(plants):
    gaps = plants.copy()
    gaps.loc[gaps.index[:12], "height"] = np.nan
    with pytest.warns(UserWarning, match="12 of 150 rows have no height and were dropped; the other 138 are analysed"):
        fit = SLOPES(gaps)
    pd.testing.assert_frame_equal(fit.coef, SLOPES(plants.iloc[12:]).coef)
    assert fit.nobs == 138 and fit.ngroups == {"plot": 28}


@pytest.mark.parametrize("column", ["week", "plot", "fertilizer"])
def test_rows_without_a_group_or_covariate_are_counted_too(plants, column):
    gaps = plants.copy()
    gaps[column] = gaps[column].where(gaps.index % 10 != 3)
    with pytest.warns(UserWarning, match=f"15 of 150 rows have no {column} and were dropped"):
        fit = SLOPES(gaps)
    assert fit.nobs == 135
    with pytest.warns(UserWarning, match=f"15 of 150 rows have no {column}"):
        many = SLOPES.many(plants[["height"]].to_numpy(), gaps)
    np.testing.assert_allclose(many.estimate[0], fit.coef["estimate"], rtol=1e-6)


def test_missing_rows_can_be_an_error(plants):
    gaps = plants.assign(height=plants["height"].where(plants.index != 4))
    with pytest.raises(ValueError, match=r"1 of 150 rows have no height; drop or fill them"):
        LMM("height ~ week + (1 | plot)", missing="raise")(gaps)


def test_nothing_is_said_where_nothing_is_missing(plants):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SLOPES(plants.assign(note=None))  # a column that the formula does not use


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_a_value_missing_in_one_replicate_is_missing_there_only(plants, df):
    """Dropout: every replicate loses other rows; the batch agrees with single calls, and says nothing."""
    rng = np.random.default_rng(3)
    last = rng.integers(2, 6, size=(30, 6))
    Y = plants["height"].to_numpy()[:, None] + rng.normal(size=(150, 6))
    Y[plants["week"].to_numpy()[:, None] >= last[plants["plot"]]] = np.nan
    Y[:, 0] = plants["height"]
    Y[plants["plot"] == 3, 1] = np.nan  # a plot that is never seen
    analysis = LMM("height ~ week * fertilizer + (week | plot)", df=df)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        many = analysis.many(Y, plants)
    for j in range(6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            fit = analysis(plants.assign(height=Y[:, j]))
        np.testing.assert_allclose(many.criterion[j], fit.criterion, atol=1e-6)
        np.testing.assert_allclose(many.estimate[j], fit.coef["estimate"], atol=1e-5 * fit.coef["se"].min())
        np.testing.assert_allclose(many.se[j], fit.coef["se"], rtol=1e-5)
        if not fit.singular:
            np.testing.assert_allclose(many.df[j], fit.coef["df"], rtol=1e-3)


# ---- refusals


@pytest.mark.parametrize(
    ("formula", "change", "message"),
    [
        ("height ~ week + twice + (1 | plot)", {"twice": lambda d: 2 * d["week"]}, "rank 2: 'twice' can be computed"),
        ("height ~ week + (1 | plot)", {"height": 3.0}, "'height' is 3 in all 150 rows: a constant"),
        (
            "height ~ week + (1 | plot)",
            {"height": lambda d: d["height"].where(d.index != 9, -np.inf)},
            "infinite in 1 of 150",
        ),
        ("height ~ week + (1 | plot)", {"week": lambda d: d["week"].where(d.index != 9, np.inf)}, "column 'week' of X"),
        ("height ~ 1 + (week | plot)", {"week": lambda d: d["week"].where(d.index != 9, np.inf)}, "effects of 'plot'"),
        ("height ~ week + (1 | plot)", {"plot": "p1"}, r"'plot' has one level \('p1'\): .* at least two"),
        (
            "height ~ week + (1 | plot)",
            {"plot": lambda d: d.index},
            "150 levels of 'plot' times 1 .* 150 random effects",
        ),
        (
            "height ~ week + (week | pair)",
            {"pair": lambda d: d.index // 2},
            "75 levels of 'pair' times 2 .* 150 random",
        ),
        ("height ~ week + (1 | plots)", {}, "'plots' is not a column of the data"),
        ("size ~ week + (1 | plot)", {}, "'size' is not a column of the data; the columns are 'plot', 'week'"),
    ],
)
def test_what_cannot_be_analysed_is_refused(plants, formula, change, message):
    with pytest.raises(ValueError, match=message):
        LMM(formula)(plants.assign(**change))


def test_what_is_not_a_table_of_rows_is_refused(plants):
    with pytest.raises(ValueError, match="the data have no rows"):
        SLOPES(plants.iloc[:0])
    with pytest.raises(TypeError, match="data is a dict; an analysis needs a pandas DataFrame"):
        SLOPES(plants.to_dict("list"))
    with pytest.raises(ValueError, match=r"Y has shape \(150,\); .* and one column for each response"):
        SLOPES.many(plants["height"].to_numpy(), plants)
    with pytest.raises(ValueError, match=r"start must be 3 finite numbers"):
        SLOPES.many(plants[["height"]].to_numpy(), plants, start=np.array([1.0]))


def test_a_level_that_no_row_has_leaves_and_is_named(plants):
    fit = LMM("height ~ fertilizer + (1 | plot)")(plants[plants["fertilizer"] != "B"])
    assert fit.terms == ("Intercept", "fertilizer[T.A]")
    assert "no row has the level 'B' of 'fertilizer'" in fit.message


def test_an_estimator_is_called_on_data(plants):
    with pytest.raises(TypeError, match=r"reml is a DataFrame; an estimator is made first .*: LMM\(formula\)\(data\)"):
        LMM("height ~ week + (1 | plot)", plants)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="df='kr' is not known; choose one of 'satterthwaite', 'kenward-roger', 'z'"):
        LMM("y ~ x + (1 | g)", df="kr")
    with pytest.raises(ValueError, match="missing='warn' is not known"):
        LMM("y ~ x + (1 | g)", missing="warn")
    with pytest.raises(ValueError, match="'y ~ x' has no random effects"):
        LMM("y ~ x")
    with pytest.raises(ValueError, match="Kenward and Roger's correction is one of REML"):
        LMM("y ~ x + (1 | g)", reml=False, df="kenward-roger")


def test_a_replicate_that_cannot_be_analysed_says_why(plants):
    Y = np.repeat(plants[["height"]].to_numpy(), 5, axis=1)
    Y[:, 1] = 2.0
    Y[7, 2] = np.inf
    Y[5:, 3] = np.nan
    Y[:, 4] = np.nan
    many = LMM("height ~ week * fertilizer + (1 | plot)").many(Y, plants)
    assert many.converged.tolist() == [True, False, False, False, False]
    assert np.isnan(many.estimate[1:]).all() and np.isnan(many.se[1:]).all() and np.isnan(many.p[1:]).all()
    assert all(many.message[1:]) and many.message[0] == ""
    assert not many.singular[1:].any()
    nothing = LMM("height ~ week + (1 | plot)").many(Y[:, 1:2], plants)
    assert np.isnan(nothing.estimate).all() and nothing.random["plot"].shape == (1, 1, 1)


def test_an_estimator_is_a_plain_value():
    assert LMM("y ~ x + (1 | g)") == LMM("y ~ x + (1 | g)") and hash(SLOPES) == hash(SLOPES)
    assert pickle.loads(pickle.dumps(SLOPES)) == SLOPES


def test_data_are_left_as_they_were(plants):
    before, Y = plants.copy(), plants[["height"]].to_numpy().copy()
    SLOPES(plants)
    SLOPES.many(Y, plants)
    pd.testing.assert_frame_equal(plants, before)
    np.testing.assert_array_equal(Y[:, 0], plants["height"])


# ---- frequencies


@pytest.mark.slow
@pytest.mark.parametrize(("J", "z", "satterthwaite"), [(6, 0.0863, 0.0509), (10, 0.0755, 0.0490), (20, 0.0643, 0.0496)])
def test_type_one_error_about_clusters_is_what_theory_says(J, z, satterthwaite):
    """power.json, type1_cluster_treatment_m20: ICC 0.05, 20 per cluster, 1e6 replicates (+- 0.0002)."""
    r, m = 40_000, 20
    rng = np.random.default_rng(J)
    data = pd.DataFrame({"school": np.repeat(np.arange(J), m), "new": np.repeat(np.arange(J) % 2, m)})
    Y = np.sqrt(0.05) * np.repeat(rng.normal(size=(J, r)), m, axis=0) + np.sqrt(0.95) * rng.normal(size=(J * m, r))
    for df, truth in (("z", z), ("satterthwaite", satterthwaite)):
        many = LMM("score ~ new + (1 | school)", df=df).many(Y, data)
        assert many.converged.all()
        rate = (many.p[:, 1] < 0.05).mean()
        assert abs(rate - truth) < 4.5 * np.sqrt(truth * (1 - truth) / r) + 0.0004, (df, rate, truth)
