"""Shares as near to equal as they can be, where they are asked for."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import assign, crossed, nested


@pytest.mark.parametrize("rng", [None, 1])
def test_31_plots_in_3_arms_are_11_10_and_10(rng):
    design = assign(crossed(plot=31), to="plot", arm=["a", "b", "c"], balanced="near", rng=rng)
    assert sorted(design["arm"].value_counts()) == [10, 10, 11]


@pytest.mark.parametrize("rng", [None, *range(20)])
def test_unequal_sites_are_shared_inside_and_over_all(rng):
    sites = nested(site=6, plot=[5, 6, 7, 5, 9, 1])
    design = assign(sites, to="plot", by="site", arm=["a", "b"], balanced="near", rng=rng)
    inside = pd.crosstab(design["site"], design["arm"])
    assert (abs(inside["a"] - inside["b"]) <= 1).all()
    assert abs(inside.sum().diff().iloc[1]) <= 1


def test_the_odd_one_is_drawn():
    who = {
        assign(crossed(plot=3), to="plot", arm=["a", "b"], balanced="near", rng=k)["arm"].mode()[0] for k in range(20)
    }
    assert who == {"a", "b"}


@pytest.mark.parametrize("n", range(6, 30))
def test_crossed_factors_are_near_equal_in_cells_and_in_margins(n):
    design = assign(crossed(plot=n), to="plot", dose=[0, 1], arm=["a", "b", "c"], balanced="near")
    for factors in ("dose", "arm", ["dose", "arm"]):
        assert np.ptp(design.value_counts(factors)) <= 1


def test_shares_that_come_out_even_are_those_of_a_balanced_design():
    even = assign(nested(site=3, plot=6), to="plot", by="site", arm=["a", "b", "c"])
    near = assign(nested(site=3, plot=6), to="plot", by="site", arm=["a", "b", "c"], balanced="near")
    pd.testing.assert_frame_equal(even, near)


def test_proportions_are_kept_as_nearly_as_can_be():
    design = assign(crossed(plot=10), to="plot", arm=["a", "b", "c"], counts=[2, 1, 1], balanced="near")
    assert design.value_counts("arm", sort=False).tolist() == [5, 3, 2]


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="2 plots cannot have 3 levels"):
        assign(crossed(plot=2), to="plot", arm=["a", "b", "c"], balanced="near")
    with pytest.raises(ValueError, match="balanced='nearly' is not known"):
        assign(crossed(plot=2), to="plot", arm=["a", "b"], balanced="nearly")
    with pytest.raises(ValueError, match="what is shared separately inside each site is said by by='site'"):
        assign(nested(site=2, plot=2), to="plot", within="site", arm=["a", "b"])


def test_a_factor_that_another_determines_is_refused():
    design = assign(crossed(plot=12), to="plot", f=["a", "b"])
    with pytest.raises(ValueError, match="each level of 'g' would have one level of 'f' only"):
        assign(design, to="plot", g=["x", "y", "z", "w"])
    crossed_ones = assign(design, to="plot", g=["x", "y", "z"])
    assert (pd.crosstab(crossed_ones["f"], crossed_ones["g"]) == 2).all(axis=None)


def test_names_and_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="a factor has an empty name"):
        crossed(**{"": 2})
    with pytest.raises(ValueError, match="a level has an empty name"):
        nested(school=2, **{" ": 2})
    with pytest.raises(ValueError, match="65 factors cannot be crossed"):
        crossed(**{f"f{i}": [0] for i in range(65)})
    with pytest.raises(ValueError, match=r"100000 x 100000 levels make 1e\+10 rows"):
        crossed(a=100_000, b=100_000)
