"""Designs are complete: every combination once, labels unique everywhere, nothing random without rng."""

import time

import numpy as np
import pandas as pd
import pytest

from lmmsim import draws
from lmmsim.design.covariates import covariate
from lmmsim.design.crossing import crossed, nested, repeated


def pupils() -> pd.DataFrame:
    return nested(school=4, classroom=3, pupil=5)


def test_every_combination_of_every_factor_occurs_once():
    design = crossed(subject=4, item=3, context=["plain", "odd"], week=[0, 1, 2.5])
    for a in design:
        for b in design.columns.drop(a):
            table = pd.crosstab(design[a], design[b])
            assert table.size == design[a].nunique() * design[b].nunique()
            assert (table == len(design) / table.size).all(axis=None)
    assert len(design) == 4 * 3 * 2 * 3
    assert not design.duplicated().any()


def test_first_factor_varies_slowest():
    design = crossed(plot=2, week=[0, 1, 2])
    assert design["plot"].tolist() == ["plot1"] * 3 + ["plot2"] * 3
    assert design["week"].tolist() == [0, 1, 2, 0, 1, 2]
    assert design.index.equals(pd.RangeIndex(6))


def test_units_are_labelled_so_that_they_sort():
    plot = crossed(plot=30)["plot"]
    assert plot.iloc[0] == "plot01"
    assert plot.tolist() == sorted(plot)
    assert plot.cat.categories.tolist() == sorted(plot)
    assert not plot.cat.ordered


def test_units_of_two_factors_never_share_a_label():
    design = crossed(x=111, x1=11)
    assert not set(design["x"]) & set(design["x1"])


@pytest.mark.parametrize("values", [[0, 1, 2], range(3), np.array([0.5, 1.5]), pd.Series([3, 1]), [np.int64(4), 2.0]])
def test_numbers_stay_numbers(values):
    week = crossed(week=values)["week"]
    assert pd.api.types.is_numeric_dtype(week)
    assert week.tolist() == list(values)


@pytest.mark.parametrize("levels", [["usual", "new"], np.array(["usual", "new"]), pd.Categorical(["usual", "new"])])
def test_first_string_is_the_reference_level(levels):
    assert crossed(method=levels)["method"].cat.categories.tolist() == ["usual", "new"]


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({}, "at least one factor"),
        ({"plot": 0}, "plot=0: a number of units must be at least 1"),
        ({"plot": np.array(3)}, r"plot=array\(3\): give a whole number of units"),
        ({"plot": -3}, "plot=-3: a number of units must be at least 1"),
        ({"plot": True}, "plot=True: give a whole number"),
        ({"plot": 2.5}, "plot=2.5: give a whole number of units, or a list"),
        ({"method": "usual"}, "method='usual': give a whole number of units, or a list"),
        ({"method": {"usual", "new"}}, "or a list of levels in the order they have"),
        ({"week": []}, "'week' is empty"),
        ({"week": [0, 1, 1, 2, 2]}, "'week' has the same level twice: 1, 2"),
        ({"method": ["a", "b", "a"]}, "'method' has the same level twice: 'a'"),
        ({"week": [0, "one"]}, r"week=\[0, 'one'\]: levels are all strings or all finite numbers"),
        ({"week": [0, np.nan]}, r"week=\[0, nan\]: levels are all strings or all finite numbers"),
    ],
)
def test_factors_that_make_no_design_are_named(factors, message):
    with pytest.raises(ValueError, match=message):
        crossed(**factors)


def test_nested_labels_are_unique_everywhere():
    design = nested(region=2, school=[2, 3], classroom=2, pupil=11)
    assert design.columns.tolist() == ["region", "school", "classroom", "pupil"]
    for inner, outer in [("school", "region"), ("classroom", "school"), ("pupil", "classroom")]:
        assert (design.groupby(inner, observed=True)[outer].nunique() == 1).all()
    assert design.nunique().tolist() == [2, 5, 10, 110]
    labels = pd.concat([design[column].astype(object).drop_duplicates() for column in design])
    assert labels.is_unique


def test_a_label_is_the_parents_and_a_number():
    design = nested(school=20, classroom=3, pupil=25)
    assert design.iloc[-1].tolist() == ["school20", "school20/3", "school20/3/25"]
    assert design.iloc[0].tolist() == ["school01", "school01/1", "school01/1/01"]
    assert design["pupil"].tolist() == sorted(design["pupil"])


def test_a_sequence_gives_each_parent_its_own_size():
    design = nested(school=3, pupil=[4, 1, 2])
    assert design["school"].value_counts(sort=False).tolist() == [4, 1, 2]


@pytest.mark.parametrize("size", [lambda rng, n: rng.poisson(5, n) + 1, draws.uniform(mean=20, sd=3)])
def test_sizes_can_be_drawn(size):
    a, b, c = (nested(school=50, pupil=size, rng=seed) for seed in (1, 1, 2))
    sizes = a["school"].value_counts(sort=False)
    assert len(sizes) == 50
    assert sizes.min() >= 1
    assert sizes.nunique() > 1
    pd.testing.assert_frame_equal(a, b)
    assert not sizes.equals(c["school"].value_counts(sort=False))


def test_drawn_sizes_are_rounded():
    design = nested(school=2, pupil=lambda rng, n: np.array([1.6, 2.4]), rng=1)
    assert design["school"].value_counts(sort=False).tolist() == [2, 2]


@pytest.mark.parametrize("occasions", [[0, 1, 2], range(3), ["before", "after"], [-1.5, 0, 7], np.array([0.5, 1])])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_last_of_nested_may_be_occasions(n, occasions):
    design = nested(patient=n, month=occasions)
    pd.testing.assert_frame_equal(design, crossed(patient=n, month=occasions))


def test_a_list_that_can_be_sizes_is_sizes():
    with pytest.raises(ValueError, match=r"'month' has 3 sizes for 4 patients.*repeated\(nested\(...\), month="):
        nested(patient=4, month=[1, 3, 6])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "at least one level"),
        ({"school": 0}, "'school' has a size of 0: sizes are whole numbers, at least 1 everywhere"),
        ({"school": 3, "pupil": [2, 0, 1]}, "'pupil' has a size of 0 in school2: sizes are whole numbers, at least 1"),
        ({"school": 3, "pupil": [2, 2.5, 1]}, "'pupil' has a size of 2.5 in school2"),
        ({"school": 3, "pupil": [2, np.nan, 1]}, "'pupil' has a size of nan in school2"),
        ({"school": 3, "pupil": [2, 1]}, "'pupil' has 2 sizes for 3 schools: give one for each, or one for all"),
        ({"school": [3, 4]}, "'school' is the outermost level: give one number, not 2"),
        ({"school": 3, "pupil": "many"}, "pupil='many': give a whole number, one number per parent, or a draw"),
        ({"school": 3, "pupil": lambda rng, n: rng.poisson(5, n)}, "'pupil' is drawn at random: say from where"),
        ({"school": 3, "pupil": lambda rng, n: np.zeros(n), "rng": 1}, "'pupil' has a size of 0 in school1"),
        ({"school": 3, "pupil": lambda rng, n: 5, "rng": 1}, "'pupil' has 1 sizes for 3 schools"),
    ],
)
def test_sizes_that_make_no_design_are_named(counts, message):
    with pytest.raises(ValueError, match=message):
        nested(**counts)


def test_a_hundred_thousand_rows_take_well_under_a_second():
    start = time.perf_counter()
    design = nested(school=100, classroom=10, pupil=100)
    assert len(design) == 100_000
    assert time.perf_counter() - start < 1


def test_each_row_is_repeated_at_every_occasion():
    design = repeated(pupils(), wave=[1, 5], test=["a", "b"])
    assert len(design) == 60 * 4
    assert (design.groupby("pupil", observed=True)[["wave", "test"]].nunique() == 2).all(axis=None)
    assert not design.duplicated().any()
    assert design.columns.tolist() == ["school", "classroom", "pupil", "wave", "test"]
    pd.testing.assert_frame_equal(design[::4].iloc[:, :3].reset_index(drop=True), pupils())


def test_a_factor_that_is_there_already_is_not_overwritten():
    with pytest.raises(ValueError, match="'pupil' is a column of the design already"):
        repeated(pupils(), pupil=3)
    with pytest.raises(ValueError, match="'school' is a column of the design already"):
        covariate(pupils(), at="pupil", school=np.zeros(60))


def test_an_empty_design_is_an_error():
    empty = pupils().iloc[:0]
    with pytest.raises(ValueError, match="the design is empty"):
        repeated(empty, wave=[1, 2])
    with pytest.raises(ValueError, match="the design is empty"):
        covariate(empty, at="pupil", x=[])


def test_the_design_given_is_left_as_it_was():
    design = pupils().set_index(np.arange(60) + 7)
    before = design.copy()
    new = covariate(design, at="pupil", x=draws.normal(), rng=1)
    repeated(design, wave=[1, 2])
    pd.testing.assert_frame_equal(design, before)
    assert new.index.equals(before.index)
