"""Times whose names are in the order of the alphabet are refused; losses say what they are about."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import crossed, drop_out, knock_out
from lmmsim.simulation.missing import dropout_pattern

WEEKS = [f"week{k}" for k in range(1, 13)]


@pytest.mark.parametrize(
    "times",
    [
        WEEKS,
        ["10 days", "2 days", "30 days"],
        ["Apr", "Feb", "Jan", "Mar"],
        ["Friday", "Monday", "Thursday"],
        ["t9", "t10"],
    ],
)
def test_categories_in_the_order_of_the_alphabet_are_refused(times):
    visits = crossed(p=5, time=times).assign(y=1.0)
    visits["time"] = visits["time"].astype(str).astype("category")
    with pytest.raises(ValueError, match="the categories of 'time' are in the order of the alphabet"):
        drop_out(visits, unit="p", time="time", hazard=0.2, rng=1, response="y")


@pytest.mark.parametrize(
    "times", [WEEKS, ["Jan", "Feb", "Mar"], ["pre", "post"], ["a", "b", "c"], ["week01", "week10"]]
)
def test_categories_in_the_order_of_time_are_taken(times):
    visits = crossed(p=50, time=times).assign(y=1.0)
    left = (
        drop_out(visits, unit="p", time="time", hazard=0.2, rng=1, response="y")
        .groupby("time", observed=True)["y"]
        .count()
    )
    assert left.loc[times].is_monotonic_decreasing


def test_where_says_yes_or_no():
    visits = crossed(p=5, time=[0, 1]).assign(y=1.0)
    with pytest.raises(ValueError, match="where is NaN in 10 of 10 rows"):
        knock_out(visits, share=0.5, where=lambda seen: np.nan, response="y", rng=1)


def test_two_columns_of_one_name_are_refused():
    visits = crossed(p=5, time=[0, 1]).assign(y=1.0)
    with pytest.raises(ValueError, match="the data has more than one column 'y'"):
        knock_out(pd.concat([visits, visits[["y"]]], axis=1), share=0.5, response="y", rng=1)


def test_a_column_that_would_be_overwritten_is_named():
    visits = crossed(p=5, observed=[0, 1]).assign(y=1.0)
    with pytest.raises(ValueError, match="'observed' is a column of the table that is made"):
        dropout_pattern(visits, "p", "observed", "y")
