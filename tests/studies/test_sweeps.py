"""Sweeps: cells share their chance on purpose or not at all; power never goes without type-I error."""

import numpy as np
import pandas as pd
import pytest
from small_estimators import Mean, MeanSingly

from lmmsim import AR1, IID, Model, assign, crossed, draws, scenarios
from lmmsim.estimators.least_squares import OLS, GroupMeans
from lmmsim.estimators.lmm import LMM
from lmmsim.studies.goals import has_exact_power
from lmmsim.studies.performance import performance
from lmmsim.studies.sizes import find_size
from lmmsim.studies.study import study
from lmmsim.studies.sweeps import calibrate, sweep
from lmmsim.theory.power import exact_power


def world(units=8, mean=1.0):
    return Model("y ~ 1", {"Intercept": mean}, residual=2.0), crossed(unit=units)


def test_a_sweep_is_a_study_in_every_cell():
    table = sweep({"units": [4, 8], "mean": [0.0, 1.0]}, world, {"mean": Mean()}, 200, rng=1)
    assert table.index.names == ["units", "mean", "term", "analysis"] and len(table) == 4
    for units in (4, 8):
        alone = performance(study(*world(units, 1.0), {"mean": Mean()}, 200, rng=1), full=True)
        pd.testing.assert_frame_equal(table.loc[(units, 1.0)], alone, check_exact=True)


def test_cells_share_their_random_numbers_unless_told_not_to():
    """With common numbers, moving the mean by 1 moves every estimate by 1: no noise is left in the difference."""
    grid = {"mean": [0.0, 1.0]}
    shared, apart = (sweep(grid, world, {"m": Mean()}, 300, rng=1, common=common)["bias"] for common in (True, False))
    assert shared.iloc[0] == pytest.approx(shared.iloc[1], abs=1e-12)
    assert abs(apart.iloc[0] - apart.iloc[1]) > 1e-4


def test_cells_apart_share_nothing_and_repeat():
    grid = {"mean": [0.0, 0.0]}
    one, other = (sweep(grid, world, {"m": Mean()}, 300, rng=1, common=False) for _ in range(2))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert one["mean"].iloc[0] != one["mean"].iloc[1]


def test_analyses_may_depend_on_the_cell():
    def analyses(units, mean):
        return {"m": Mean(fails_above=10.0 * units)}

    table = sweep({"units": [4], "mean": [1.0]}, world, analyses, 50, rng=1)
    assert table["failed"].item() == 0


def test_an_interrupted_sweep_goes_on(tmp_path):
    arguments = ({"units": [4, 8]}, world, {"m": Mean(), "s": MeanSingly()}, 40)
    whole = sweep(*arguments, rng=1)
    sweep(*arguments, rng=1, checkpoint=tmp_path)
    next((tmp_path / "cell-0001").glob("single*")).unlink()
    pd.testing.assert_frame_equal(sweep(*arguments, rng=1, checkpoint=tmp_path), whole, check_exact=True)
    with pytest.raises(ValueError, match="belongs to another study"):
        sweep(*arguments, rng=2, checkpoint=tmp_path)


def test_an_unseeded_sweep_keeps_its_seed_with_the_checkpoint(tmp_path):
    tables = [sweep({"units": [4, 8]}, world, {"m": Mean()}, 40, checkpoint=tmp_path) for _ in range(2)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_table_of_parameters_is_run_row_by_row():
    """Two of the four combinations, each the study that it is alone."""
    rows = pd.DataFrame({"units": [4, 8], "mean": [0.0, 1.0]})
    table = sweep(rows, world, {"mean": Mean()}, 100, rng=1)
    assert table.index.names == ["units", "mean", "term", "analysis"] and len(table) == 2
    for units, mean in [(4, 0.0), (8, 1.0)]:
        alone = performance(study(*world(units, mean), {"mean": Mean()}, 100, rng=1), full=True)
        pd.testing.assert_frame_equal(table.loc[(units, mean)], alone, check_exact=True)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"units": 8}, r"the grid has 8 for 'units'; give a list of values, as \[8\]"),
        ({"units": "few"}, r"the grid has 'few' for 'units'; give a list of values, as \['few'\]"),
        ({"units": [[4, 8]]}, r"\[4, 8\], a value of 'units' in the grid, cannot name a row .*let `world` look up"),
        ([4, 8], r"the grid is a mapping as .*, or a DataFrame with a row per cell; got \[4, 8\]"),
        (pd.DataFrame({"units": []}), "the grid has no cells"),
    ],
)
def test_a_grid_that_is_none_is_refused_before_anything_is_simulated(grid, message):
    def none(units):
        raise AssertionError("a world was made")

    with pytest.raises((ValueError, TypeError), match=message):
        sweep(grid, none, {"m": Mean()}, 10)


def test_a_world_that_returns_no_model_is_refused():
    with pytest.raises(TypeError, match="world returns a model and a design; this one returned None"):
        sweep({"units": [4]}, lambda units: None, {"m": Mean()}, 10)
    with pytest.raises(TypeError, match="world returns a model and a design; this one returned 'small'"):
        find_size(lambda size: "small", [4, 8], term="Intercept")


def test_a_model_is_not_a_world_of_many_sizes():
    with pytest.raises(TypeError, match=r"world is a function that returns a model and a design, .* got a Model"):
        find_size(scenarios.teaching_methods()[0], [4, 8], term="method[T.new]")


def test_an_error_in_a_world_says_where_it_came_from():
    with pytest.raises(ValueError, match="clinics cannot be shared") as caught:
        find_size(
            lambda clinics: assign(crossed(clinic=clinics), to="clinic", arm=["a", "b"]), [9, 11], term="arm[T.b]"
        )
    assert caught.value.__notes__ == ["world(9) failed like this"]
    with pytest.raises(ZeroDivisionError) as caught:
        sweep({"units": [4], "arm": ["a"]}, lambda units, arm: units / 0, {"m": Mean()}, 10)
    assert caught.value.__notes__ == ["world(units=4, arm='a') failed like this"]


def test_an_empty_grid_is_refused():
    for grid in ({}, {"units": []}):
        with pytest.raises(ValueError, match="the grid has no cells"):
            sweep(grid, world, {"m": Mean()}, 10)


def test_power_stands_beside_the_type_one_error():
    model, design = scenarios.teaching_methods(effect=4)
    analyses = {"OLS": OLS("score ~ method"), "means": GroupMeans("score ~ method", unit="school")}
    r = 4000
    table = calibrate(model, design, analyses, r, rng=1, term="method[T.new]")
    null, _ = scenarios.teaching_methods(effect=0)
    for i, (world, column) in enumerate([(null, "rejection_null"), (model, "rejection")]):
        alone = performance(study(world, design, analyses, r, rng=1)).loc["method[T.new]", "rejection"]
        assert (table[column] == alone).all(), i
    assert table.loc["OLS", "rejection_null"] > 0.15
    exact = exact_power(model, design).loc["method[T.new]", "power"]
    assert abs(table.loc["means", "rejection"] - exact) < 4.5 * table.loc["means", "rejection_mcse"]
    # at equal type-I error OLS, whose error has hundreds of df, is a z test with the right se
    expected = {"means": exact, "OLS": exact_power(model, design, df=np.inf).loc["method[T.new]", "power"]}
    for name in analyses:
        error = abs(table.loc[name, "rejection_adjusted"] - expected[name])
        assert error < 4.5 * table.loc[name, "rejection_adjusted_mcse"], name
    assert table.loc["OLS", "level_adjusted"] < 0.02 < 0.04 < table.loc["means", "level_adjusted"] < 0.06
    assert (table["rejection_adjusted_mcse"] > table["rejection_mcse"]).all()


def test_a_calibration_needs_a_coefficient_with_an_effect():
    model, design = world()
    with pytest.raises(ValueError, match="'slope' is not a coefficient of the model; they are Intercept"):
        calibrate(model, design, {"m": Mean()}, 10, term="slope")
    with pytest.raises(ValueError, match="the true value of 'Intercept' is 0"):
        calibrate(world(mean=0.0)[0], design, {"m": Mean()}, 10, term="Intercept")


def schools(n):
    return scenarios.teaching_methods(schools=n, effect=4)


def test_the_size_is_the_smallest_with_enough_power():
    found = find_size(schools, range(4, 100, 2), term="method[T.new]")
    assert found.method == "exact" and found.mcse == 0 and found.low == found.high == found.size == 28
    power = found.looks.set_index("size")["power"]
    assert power[26] < 0.8 <= power[28] == found.power
    assert repr(found).startswith("28 is the smallest size with a power of 0.8 or more: there it is 0.8")
    same = find_size(schools, range(4, 100, 2), LMM("score ~ method + (1 | school)"), term="method[T.new]")
    assert same.size == 28 and same.method == "exact"


@pytest.mark.slow
def test_a_size_found_by_simulation_is_the_exact_one():
    """Means of schools have exactly the power of the formula; the search does not know."""
    exact = find_size(schools, range(4, 100, 2), term="method[T.new]")
    means = GroupMeans("score ~ method", unit="school")
    found = find_size(schools, range(4, 100, 2), means, term="method[T.new]", rng=1)
    assert found.method == "simulation" and found.mcse <= 0.005
    assert found.low <= exact.size <= found.high and found.low <= found.size <= found.high
    truth = exact_power(*schools(found.size)).loc["method[T.new]", "power"]
    assert abs(found.power - truth) < 4.5 * found.mcse
    assert found.looks["replicates"].sum() < 60_000


@pytest.mark.slow
def test_searches_by_simulation_are_right_as_often_as_they_say():
    """15 searches: the 95 % interval holds the exact size in at least 11 (4 sd below 14.25)."""

    def small_schools(n):
        return scenarios.teaching_methods(schools=n, pupils=4, effect=6)

    exact = find_size(small_schools, range(4, 100, 2), term="method[T.new]").size
    means = GroupMeans("score ~ method", unit="school")
    held = 0
    for seed in range(15):
        found = find_size(small_schools, range(4, 100, 2), means, term="method[T.new]", rng=seed, mcse=0.01)
        held += found.low <= exact <= found.high
    assert held >= 11


def test_where_every_size_is_enough_the_smallest_is_the_answer_beyond_doubt():
    found = find_size(
        lambda k: scenarios.teaching_methods(k, effect=60),
        range(8, 60, 2),
        term="method[T.new]",
        rng=1,
        method="simulation",
    )
    assert (found.size, found.low, found.high) == (8, 8, 8)


def test_a_level_or_an_error_that_is_none_is_refused():
    model, design = scenarios.teaching_methods(effect=4)
    analyses, term = {"OLS": OLS("score ~ method")}, "method[T.new]"
    for refused in (
        lambda: calibrate(model, design, analyses, 10, term=term, alpha=5),
        lambda: sweep({"units": [4]}, world, {"m": Mean()}, 10, alpha=5),
        lambda: find_size(lambda k: (model, design), [10], term=term, alpha=5),
    ):
        with pytest.raises(ValueError, match="alpha is 5; it lies between 0 and 1"):
            refused()
    with pytest.raises(ValueError, match=r"mcse is 0; a search by simulation ends at an error above 0"):
        find_size(lambda k: (model, design), [10], term=term, mcse=0)


def test_a_size_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="largest size, 6"):
        find_size(schools, [4, 6], term="method[T.new]")
    means = GroupMeans("score ~ method", unit="school")
    with pytest.raises(ValueError, match=r"is about 0.[0-9]+ at the largest size, 6"):
        find_size(schools, [4, 6], means, term="method[T.new]", rng=1)
    with pytest.raises(ValueError, match="sizes must be increasing"):
        find_size(schools, [6, 4], term="method[T.new]")
    with pytest.raises(ValueError, match="has no exact power in this world"):
        find_size(schools, [4, 6], means, term="method[T.new]", method="exact")
    with pytest.raises(ValueError, match="there is no term 'novelty'"):
        find_size(schools, [4, 60], means, term="novelty", rng=1)


def test_exact_power_is_for_the_model_of_the_world():
    model, _ = schools(4)
    lmm = LMM("score ~ method + (1 | school)")
    assert has_exact_power(model, None) and has_exact_power(model, lmm)
    assert not has_exact_power(model, OLS("score ~ method"))
    assert not has_exact_power(model, LMM("score ~ method + (1 | school)", df="z"))
    assert not has_exact_power(model, LMM("score ~ 1 + (1 | school)"))
    skewed = Model(model.formula, model.beta, model.random, IID(9.0, shape=draws.skewed(1.0)))
    assert not has_exact_power(skewed, lmm) and not has_exact_power(skewed, None)
    fading = Model(model.formula, model.beta, model.random, AR1(9.0, rho=0.5, unit="school", time="pupil"))
    assert has_exact_power(fading, None) and not has_exact_power(fading, lmm)
    plain = Model("score ~ method", model.beta, residual=9.0)
    assert has_exact_power(plain, OLS("score ~ method"))
    assert np.isfinite(exact_power(*schools(4))["power"]).all()
