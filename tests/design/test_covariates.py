"""Covariates belong to units: one value for each, drawn or known, and the same in all of its rows."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import draws
from lmmsim.design.covariates import covariate
from lmmsim.design.crossing import crossed, nested, repeated


def pupils() -> pd.DataFrame:
    return nested(school=4, classroom=3, pupil=5)


@pytest.mark.parametrize("at", ["school", "classroom", "pupil", ["school", "wave"], None])
def test_a_covariate_is_constant_within_its_unit_and_differs_between(at):
    design = covariate(repeated(pupils(), wave=[1, 2]), at=at, x=draws.normal(), rng=1)
    units = design.groupby(at, observed=True)["x"] if at else design.groupby(design.index)["x"]
    assert (units.nunique() == 1).all()
    assert units.first().is_unique


def test_a_covariate_has_the_mean_and_sd_of_its_shape():
    x = covariate(crossed(pupil=40_000), at="pupil", x=draws.normal(mean=100, sd=15), rng=1)["x"]
    assert abs(x.mean() - 100) < 4 * 15 / np.sqrt(40_000)
    assert abs(x.std() - 15) < 4 * 15 / np.sqrt(2 * 40_000)


def test_a_shape_without_arguments_needs_no_parentheses():
    given, called = (covariate(pupils(), at="pupil", x=shape, rng=1) for shape in (draws.normal, draws.normal()))
    pd.testing.assert_frame_equal(given, called)


def test_correlated_covariates_come_together_and_separate_ones_are_independent():
    n, rho = 20_000, 0.6
    joint = draws.correlated(sd={"prior": 2.0, "hours": 0.5}, corr=rho)
    design = covariate(crossed(pupil=n), at="pupil", joint=joint, age=draws.normal(), iq=draws.skewed(1.0), rng=1)
    assert design.columns.tolist() == ["pupil", "prior", "hours", "age", "iq"]
    R = design.drop(columns="pupil").corr()
    assert abs(R.loc["prior", "hours"] - rho) < 4 * (1 - rho**2) / np.sqrt(n)
    assert np.abs([R.loc["prior", "age"], R.loc["age", "iq"], R.loc["hours", "iq"]]).max() < 4.5 / np.sqrt(n)


def test_the_same_seed_draws_the_same_covariate():
    a, b, c = (covariate(pupils(), at="pupil", x=draws.normal(), rng=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(a, b)
    assert (a["x"] != c["x"]).all()


def test_known_values_are_given_by_order_or_by_label():
    by_order = covariate(nested(school=3, pupil=2), at="school", size=[10, 20, 30])
    labels = pd.Series({"school3": 30, "school1": 10, "school2": 20, "elsewhere": 99})
    pd.testing.assert_frame_equal(by_order, covariate(nested(school=3, pupil=2), at="school", size=labels))
    pd.testing.assert_frame_equal(by_order, covariate(nested(school=3, pupil=2), at="school", size=dict(labels)))
    assert by_order["size"].tolist() == [10, 10, 20, 20, 30, 30]


def test_labels_that_are_drawn_become_a_categorical():
    design = covariate(pupils(), at="pupil", sex=lambda rng, n: rng.choice(["m", "f"], n), rng=1)
    assert design["sex"].cat.categories.tolist() == ["f", "m"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at": "pupil"}, "name the covariate and its values"),
        ({"at": "pupil", "x": draws.normal()}, "'x' is drawn at random: say from where, for example rng=1"),
        (
            {"at": "pupl", "x": [1]},
            "'pupl' is not a column of the design; the columns are 'school', 'classroom', 'pupil'",
        ),
        ({"at": "school", "x": [1, 2, 3]}, r"'x' has values of shape \(3,\) for 4 schools: one value each is needed"),
        ({"at": "school", "x": pd.Series(1, ["school1", "school1"])}, "'x' has more than one value for 'school1'"),
        ({"at": "school", "x": [1, 2, 3, np.nan]}, "'x' has missing or infinite values"),
        ({"at": "school", "x": [1, 2, 3, np.inf]}, "'x' has missing or infinite values"),
        ({"at": "school", "x": {"school1": 1}}, "'x' has no value for 3 of 4 schools, such as 'school2'"),
        ({"at": None, "x": {"school1": 1}}, "'x' is given by label, which needs one column in at, not None"),
        (
            {"at": "school", "rng": 1, "x": draws.normal(), "joint": draws.correlated(sd={"x": 1.0, "z": 1.0})},
            "'x' is given twice",
        ),
    ],
)
def test_covariates_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        covariate(pupils(), **arguments)


def test_a_unit_that_is_missing_somewhere_is_an_error():
    design = pd.DataFrame({"school": ["a", None, "b"]})
    with pytest.raises(ValueError, match="'school' is missing in 1 of 3 rows"):
        covariate(design, at="school", x=[1, 2])
