"""A replicate of a batch that has lost a whole level of a factor, a whole group or a whole time.

What its rows cannot tell is refused in words, in that replicate only; the others, and the numbers that are left, are
those of a single fit of the rows that are there.
"""

import numpy as np
import pandas as pd
import pytest

from lmmsim import AR1, IID, LMM, OLS, CompoundSymmetry, GroupMeans, Unstructured
from lmmsim.estimators.asking import asked
from lmmsim.model.residual import level_names

UNIT = {"unit": "plot", "time": "week"}


@pytest.fixture(scope="module")
def plants():
    """Three arms of four plots, seen five times; four replicates have lost nothing, arm C, a plot, a week."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"arm": np.repeat(list("ABC"), 20), "plot": np.repeat(np.arange(12), 5)})
    data["week"], data["size"] = np.tile(np.arange(5.0), 12), 1.0 + np.arange(60) % 3
    data["y"] = rng.normal(size=60) + rng.normal(size=12)[data["plot"]]
    Y = np.tile(data["y"].to_numpy()[:, None], (1, 4))
    Y[data["arm"] == "C", 1] = np.nan
    Y[data["plot"] == 0, 2] = np.nan
    Y[data["week"] == 4, 3] = np.nan
    return data, Y


ANALYSES = [
    LMM("y ~ week + arm + (1 | plot)"),
    LMM("y ~ week + arm + (1 | plot)", df="kenward-roger"),
    LMM("y ~ week * arm + (week | plot)"),
    LMM("y ~ week + arm + (1 | plot)", weights="size"),
    LMM("y ~ week + arm + (1 | plot)", residual=IID(by="arm")),
    LMM("y ~ week + arm", residual=AR1(**UNIT)),
    LMM("y ~ week + arm + (1 | plot)", residual=AR1(**UNIT)),
    LMM("y ~ week + arm", residual=CompoundSymmetry(unit="plot")),
    LMM("y ~ week + arm", residual=Unstructured(**UNIT)),
    OLS("y ~ week + arm"),
    OLS("y ~ week + arm", cluster="plot"),
    GroupMeans("y ~ arm", unit="plot"),
]


@pytest.mark.parametrize("analysis", ANALYSES, ids=repr)
@pytest.mark.filterwarnings("ignore:20 of 60 rows:UserWarning", "ignore:.*were dropped:UserWarning")
def test_a_level_that_is_lost_is_a_failure_of_one_replicate(plants, analysis):
    data, Y = plants
    found = analysis.many(Y, data)
    assert found.converged.tolist() == [True, False, True, True]
    assert np.isnan(found.estimate[1]).all() and np.isnan(found.df[1]).all()
    assert "identify" in found.message[1] or "zero in every row" in found.message[1]
    for k in (0, 2, 3):
        fit = analysis(data.assign(y=Y[:, k]))
        np.testing.assert_allclose(found.estimate[k], fit.beta, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.se[k], fit.coef["se"], rtol=1e-4)
        np.testing.assert_allclose(found.df[k], fit.df, rtol=2e-3)


def test_the_coefficient_that_is_lost_is_named(plants):
    found = LMM("y ~ week + arm", residual=AR1(**UNIT)).many(plants[1], plants[0])
    assert found.message[1] == "the rows observed in this replicate do not identify 'arm[T.C]'"


def test_a_batch_in_which_every_replicate_has_lost_something_says_so(plants):
    data, Y = plants
    found = LMM("y ~ week + arm + (1 | plot)", weights="size").many(Y[:, [1, 1]], data)
    assert not found.converged.any() and np.isnan(found.estimate).all() and (found.message != "").all()


@pytest.mark.parametrize(
    ("residual", "name", "lost"),
    [
        (IID(by="arm"), "C", 1),
        (AR1(**UNIT, by="arm"), "C", 1),
        (Unstructured(**UNIT), "4.0", 3),
        (IID(by="first"), "a", 1),
    ],
    ids=["IID", "AR1", "Unstructured", "the level that sigma belongs to"],
)
@pytest.mark.filterwarnings("ignore:.*were dropped:UserWarning")
def test_a_number_of_the_residual_that_no_row_tells_is_none(plants, residual, name, lost):
    """Its place in the search is where it began; the other numbers are those of a fit without the level."""
    data, Y = plants
    data = data.assign(first=data["arm"].map({"A": "b", "B": "c", "C": "a"}))
    analysis = LMM("y ~ week", residual=residual)
    found = analysis.many(Y, data)
    own = analysis(data.assign(y=Y[:, lost]))
    for key, values in found.residual.items():
        touched = key[2] == name or key[2].endswith(f", {name}")
        assert np.isnan(values).tolist() == [touched and k == lost for k in range(4)]
        if not touched:
            assert values[lost] == pytest.approx(own.structure.components[key], rel=1e-3)
    np.testing.assert_allclose(found.se[lost], own.coef["se"], rtol=1e-3)
    assert np.isnan(found.sigma[lost]) == (name == "a")


def test_correlations_that_no_two_rows_tell_are_refused(plants):
    data, Y = plants
    alone, few = Y[:, 0].copy(), Y[:, 0].copy()
    alone[data["week"] > 0] = np.nan
    few[data["plot"] > 3] = np.nan
    both = np.column_stack([Y[:, 0], alone, few])
    found = LMM("y ~ 1", residual=AR1(**UNIT)).many(both, data)
    assert found.converged.tolist() == [True, False, True]
    assert "no two rows of one 'plot': their correlation cannot be told" in found.message[1]
    found = LMM("y ~ 1", residual=Unstructured(**UNIT)).many(both, data)
    assert found.converged.tolist() == [True, True, False]  # with one week there is one variance
    assert "Unstructured has 15 variances and covariances for 5 times" in found.message[2]


def test_one_group_that_is_left_tells_no_variance_between_groups(plants):
    data, Y = plants
    Y = Y.copy()
    Y[data["arm"] != "A", 1] = np.nan
    found = LMM("y ~ week + (1 | arm)", residual=AR1(**UNIT)).many(Y, data)
    assert "are of one 'arm': a variance between groups needs at least two" in found.message[1]
    assert found.converged[[0, 2, 3]].all()


def test_a_number_and_its_text_are_two_levels_with_two_names():
    assert level_names([1, "1", 2]) == ["1", "'1'", "2"] and level_names([1, 2]) == ["1", "2"]
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"kind": pd.Series([1, "1"] * 60, dtype=object), "plot": np.repeat(np.arange(12), 10)})
    data["y"] = rng.normal(size=120) * np.where(np.arange(120) % 2, 5.0, 1.0)
    fit = LMM("y ~ 1 + (1 | plot)", residual=IID(by="kind"))(data)
    one, other = fit.components["sd", "residual", "1"], fit.components["sd", "residual", "'1'"]
    assert one == pytest.approx(1.0, rel=0.3) and other == pytest.approx(5.0, rel=0.3)
    assert set(IID(sd={1: 2.0, "1": 3.0}, by="kind").components.values()) == {2.0, 3.0}


@pytest.fixture(scope="module")
def scattered():
    """Sixteen plots of two arms, seen up to five times at uneven weeks; each of ten replicates has gaps of its own."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"plot": np.repeat(np.arange(16), 5), "visit": np.tile(np.arange(5), 16)})
    data["week"] = data["visit"] ** 1.5 * np.where(data["plot"] % 3 == 0, 1.0, 1.2)
    data["arm"], data["n"] = np.where(data["plot"] % 2, "a", "b"), 1.0 + data["visit"]
    data = data.sample(frac=1, random_state=1).iloc[:76].reset_index(drop=True)
    scale = np.where(data["arm"] == "a", 1.0, 2.0)[:, None]
    Y = rng.normal(size=(16, 10))[data["plot"]] + scale * rng.normal(size=(76, 10)) + data[["week"]].to_numpy()
    Y[rng.random(Y.shape) < 0.15] = np.nan
    Y[:, 9] = np.where(data["visit"] < 1, Y[:, 9], np.nan)  # one row of each plot
    Y[data["arm"] == "b", 8] = np.nan
    return data, Y


SCATTERED = [
    LMM("y ~ week * arm + (1 | plot)", residual=AR1(**UNIT)),
    LMM("y ~ week * arm + (1 | plot)", residual=AR1(**UNIT, by="arm"), reml=False),
    LMM("y ~ week * arm + (week | plot)", residual=IID(by="arm")),
    LMM("y ~ week * arm", residual=IID(by="arm", weights="n")),
    LMM("y ~ week * arm", residual=CompoundSymmetry(unit="plot", by="arm")),
    LMM("y ~ week * arm", residual=Unstructured(unit="plot", time="visit"), reml=False),
    LMM("y ~ week * arm", residual=Unstructured(unit="plot", time="visit")),
]


@pytest.mark.parametrize("analysis", SCATTERED, ids=repr)
@pytest.mark.filterwarnings("ignore:.*were dropped:UserWarning")
def test_replicates_with_gaps_of_their_own_are_fitted_as_each_is_alone(scattered, analysis):
    data, Y = scattered
    if isinstance(analysis.residual, Unstructured):  # sixteen plots tell three visits, hardly five
        first = (data["visit"] < 3).to_numpy()
        data, Y = data[first].reset_index(drop=True), Y[first]
    found = analysis.many(Y, data)
    assert not found.converged[8] and np.isnan(found.estimate[8]).all() and "identify" in found.message[8]
    for k in range(8):
        fit = analysis(data.assign(y=Y[:, k]))
        assert (found.converged[k], found.singular[k]) == (fit.converged, fit.singular)
        assert found.criterion[k] == pytest.approx(fit.criterion, abs=1e-6)
        np.testing.assert_allclose(found.estimate[k], fit.beta, atol=1e-4 * fit.coef["se"].min())
        np.testing.assert_allclose(found.se[k], fit.coef["se"], rtol=1e-4)
        if not fit.singular:
            np.testing.assert_allclose(found.df[k], fit.df, rtol=1e-3)
            for name, own in found.residual.items():
                assert own[k] == pytest.approx(fit.components[name], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("analysis", SCATTERED[:5], ids=repr)
@pytest.mark.filterwarnings("ignore:.*were dropped:UserWarning")
def test_many_replicates_with_gaps_of_their_own_are_fitted_as_each_is_alone(scattered, analysis):
    """A few are looked at in many places at once, many of them place by place."""
    data, Y = scattered
    Y = np.tile(Y[:, :8], 3)
    Y[np.random.default_rng(5).random(Y.shape) < 0.05] = np.nan
    found = analysis.many(Y, data)
    for k in (0, 11, 23):
        fit = analysis(data.assign(y=Y[:, k]))
        assert found.criterion[k] == pytest.approx(fit.criterion, abs=1e-6)
        np.testing.assert_allclose(found.estimate[k], fit.beta, atol=1e-4 * fit.coef["se"].min())
        np.testing.assert_allclose(found.se[k], fit.coef["se"], rtol=1e-4)


def test_questions_of_replicates_with_gaps_of_their_own_have_the_answers_of_each_alone(scattered):
    data, Y = scattered
    questions = {"difference at week 3": {"arm[T.b]": 1, "week:arm[T.b]": 3}}
    found = asked(SCATTERED[0], questions, {"arms": ["arm[T.b]", "week:arm[T.b]"]}).many(Y[:, :8], data)
    for k in range(8):
        with pytest.warns(UserWarning, match="were dropped"):
            fit = SCATTERED[0](data.assign(y=Y[:, k]))
        one, both = fit.contrast(questions).iloc[0], fit.test(["arm[T.b]", "week:arm[T.b]"]).iloc[0]
        np.testing.assert_allclose([found.se[k, 4], found.df[k, 4]], [one["se"], one["df"]], rtol=1e-3)
        np.testing.assert_allclose([found.df[k, 5], found.p[k, 5]], [both["df2"], both["p"]], rtol=2e-3)
