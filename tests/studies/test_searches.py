"""Searches: the smallest size, effect or pair of sizes is the first that is enough, and small ones are tried first."""

import io
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lmmsim import (
    LMM,
    OLS,
    GroupMeans,
    Model,
    Random,
    assign,
    crossed,
    draws,
    exact_equivalence,
    exact_power,
    exact_precision,
    find_effect,
    find_size,
    find_sizes,
    nested,
    scenarios,
)
from lmmsim.studies.crossing import TooSmall, bracket
from lmmsim.studies.sizes import exact_size

TERM = "method[T.new]"
MEANS = GroupMeans("score ~ method", unit="school")


def schools(size, effect=4):
    return scenarios.teaching_methods(size, effect=effect)


def reading(subjects, items):
    design = assign(crossed(subject=subjects, item=items), to="item", kind=["frequent", "rare"])
    beta = {"Intercept": 800.0, "kind[T.rare]": 100.0}
    random = {"subject": 100.0, "item": 80.0}
    return Model("rt ~ kind + (1 | subject) + (1 | item)", beta, random, residual=200.0), design


# -- the bracket ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("count", [4, 5, 7, 64, 65])
def test_the_bracket_is_the_first_place_that_is_enough(count, start):
    for first in range(start, count + 1):
        asked = []

        def enough(place, first=first, asked=asked):
            asked.append(place)
            return place >= first

        assert bracket(enough, count, start) == (first - 1, first)
        assert len(asked) == len(set(asked))  # nothing is worked out twice


def test_a_place_where_nothing_can_be_analysed_is_not_enough_unless_it_is_the_last():
    def enough(place):
        if place < 5:
            raise TooSmall from ValueError("no rows")
        return place > 8

    assert bracket(enough, 20) == (8, 9)
    with pytest.raises(TooSmall):
        bracket(enough, 5)


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_a_search_looks_at_no_size_much_larger_than_its_answer():
    made = []

    def world(size):
        made.append(size)
        return schools(size)

    for analysis in (None, MEANS):
        made.clear()
        found = find_size(world, range(4, 5000, 2), analysis, term=TERM, rng=1, mcse=0.02)
        assert made[0] == 4 and max(made) < 3 * found.size


def test_sizes_that_are_too_small_to_analyse_are_passed_over():
    """Two covariates of schools, so that fewer than four schools leave nothing to estimate from."""

    def world(size):
        design = nested(school=size, pupil=5)
        a = design["school"].cat.codes.to_numpy()
        design = design.assign(a=a % 2, b=(a // 2) % 2)
        return Model("y ~ a + b + (1 | school)", {"Intercept": 0, "a": 2, "b": 0}, {"school": 1.0}, 1.0), design

    exact = find_size(world, range(1, 60), term="a")
    assert exact.size > 4 and exact.power >= 0.8
    assert exact_power(*world(exact.size - 1)).loc["a", "power"] < 0.8
    with pytest.raises(ValueError, match="the column 'b' of X is zero in every row"):
        find_size(world, [1, 2], term="a")


def test_an_analysis_that_always_fails_is_an_error_and_not_a_power_of_zero():
    with pytest.raises(ValueError, match="metod"):
        find_size(schools, [4, 6, 8], OLS("score ~ metod"), term=TERM, rng=1)


def test_where_the_smallest_size_is_enough_it_is_the_answer():
    for found in (
        find_size(lambda k: schools(k, 40), range(8, 60, 2), term=TERM),
        exact_size(lambda k: schools(k, 40), range(8, 60, 2), term=TERM),
    ):
        assert found.size == 8 and found.looks["size"].tolist() == [8]


def test_find_size_is_asked_what_exact_power_is_asked():
    contrasts = {"half": {TERM: 0.5}}
    same = find_size(schools, range(4, 100, 2), term=TERM)
    half = find_size(schools, range(4, 100, 2), term="half", contrasts=contrasts)
    assert (half.size, half.power) == (same.size, pytest.approx(same.power))
    one_sided = find_size(schools, range(4, 100, 2), term=TERM, alternative="greater")
    known = find_size(schools, range(4, 100, 2), term=TERM, df="z")
    assert one_sided == exact_size(schools, range(4, 100, 2), term=TERM, alternative="greater")
    assert one_sided.size < same.size and known == exact_size(schools, range(4, 100, 2), term=TERM, df="z")
    with pytest.raises(ValueError, match="alternative belong to exact power: leave them out"):
        find_size(schools, range(4, 100, 2), MEANS, term=TERM, alternative="greater", rng=1)


@pytest.mark.parametrize("interval", [{"margin": 4}, {"width": 5.0}], ids=["margin", "width"])
def test_a_joint_test_has_no_interval_to_be_narrow_or_within_margins(interval):
    with pytest.raises(ValueError, match="a joint test has no interval: margin= and width= need a coefficient"):
        find_size(schools, range(4, 60, 2), test="method", **interval)


def test_a_single_size_is_enough_or_is_not():
    assert find_size(schools, [28], term=TERM).size == 28
    with pytest.raises(ValueError, match="at the largest size, 26"):
        find_size(schools, [26], term=TERM)
    assert find_size(lambda k: schools(k, 40), [8], MEANS, term=TERM, rng=1, mcse=0.02).size == 8
    with pytest.raises(ValueError, match=r"the power is about 0.\d+ at the largest size, 6"):
        find_size(schools, [6], MEANS, term=TERM, rng=1, mcse=0.02)


def test_a_size_for_equivalence_and_one_for_precision_are_the_first_that_are_enough():
    nothing = lambda size: schools(size, effect=0)  # noqa: E731
    found = find_size(nothing, range(4, 200, 2), term=TERM, margin=4)
    powers = [exact_equivalence(*nothing(k), 4).loc[TERM, "power"] for k in (found.size - 2, found.size)]
    assert powers[0] < 0.8 <= powers[1] == found.power
    found = find_size(schools, range(4, 200, 2), term=TERM, width=5.0, alpha=0.1, power=0.9)
    powers = [exact_precision(*schools(k), 5.0, 0.9).loc[TERM, "power"] for k in (found.size - 2, found.size)]
    assert powers[0] < 0.9 <= powers[1] == found.power
    with pytest.raises(ValueError, match="margin= asks for equivalence and width= for precision: give one of the two"):
        find_size(schools, range(4, 10, 2), term=TERM, margin=1, width=1)


@pytest.mark.parametrize("asked", [{"margin": 5.0}, {"width": 8.0}])
def test_equivalence_and_precision_are_found_by_simulation_too(asked):
    """Means of schools have the t test of the mixed model wherever the variance of schools is not zero."""
    world = lambda size: schools(size, effect=0)  # noqa: E731
    exact = find_size(world, range(4, 200, 2), term=TERM, **asked)
    found = find_size(world, range(4, 200, 2), MEANS, term=TERM, rng=2, mcse=0.01, **asked)
    assert found.method == "simulation"
    assert abs(found.size - exact.size) <= 2


# -- the smallest effect ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_the_smallest_effect_has_the_wanted_power(alternative):
    model, design = schools(14)
    found = find_effect(model, design, term=TERM, power=0.9, alpha=0.01, alternative=alternative)
    world = Model(model.formula, {**model.beta, TERM: found.effect}, model.random, model.residual)
    assert exact_power(world, design, 0.01, alternative=alternative).loc[TERM, "power"] == pytest.approx(0.9, abs=1e-9)
    assert (found.effect < 0) == (alternative == "less")
    assert found.low == found.high == found.effect and found.mcse == 0


def test_the_smallest_effect_of_known_variances_is_the_sum_of_two_quantiles():
    found = find_effect(*schools(20), term=TERM, df="z", alternative="greater", power=0.8)
    assert found.effect == pytest.approx(found.se * (stats.norm.ppf(0.95) + stats.norm.ppf(0.8)), rel=1e-9)


def test_the_number_of_the_model_for_the_term_plays_no_part():
    assert find_effect(*schools(20, effect=0), term=TERM) == find_effect(*schools(20, effect=-30), term=TERM)


def test_size_and_effect_are_two_sides_of_one_question():
    size = find_size(schools, range(4, 100, 2), term=TERM).size
    assert find_effect(*schools(size), term=TERM).effect <= 4 < find_effect(*schools(size - 2), term=TERM).effect


def test_a_contrast_has_a_smallest_effect_as_well():
    model, design = schools(20)
    half = find_effect(model, design, term="half", contrasts={"half": {TERM: 0.5}}).effect
    assert 2 * half == pytest.approx(find_effect(model, design, term=TERM).effect)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_simulated_smallest_effect_holds_the_exact_one(seed):
    exact = find_effect(*schools(20), term=TERM).effect
    found = find_effect(*schools(20), MEANS, term=TERM, rng=seed, mcse=0.01)
    assert found.method == "simulation" and found.mcse <= 0.01
    spread = (found.high - found.low) / 3.92
    assert abs(found.effect - exact) < 4 * spread + 0.01 * exact  # effects are looked for in steps of 1 %
    assert found.looks["power"].between(0, 1).all() and len(found.looks) >= 3


def test_the_smallest_effect_of_a_wrong_analysis_is_smaller_and_of_skewed_schools_about_the_same():
    exact = find_effect(*schools(20), term=TERM).effect
    assert find_effect(*schools(20), OLS("score ~ method"), term=TERM, rng=1, mcse=0.02).effect < 0.9 * exact
    model, design = schools(20)
    skewed = {"school": Random(model.random["school"].sds["Intercept"], shape=draws.skewed(1))}
    world = Model(model.formula, model.beta, skewed, model.residual)
    found = find_effect(world, design, term=TERM, rng=1, mcse=0.02)
    assert found.method == "simulation" and found.effect == pytest.approx(exact, rel=0.1)


def test_an_effect_is_said_in_a_sentence():
    exact = find_effect(*schools(20), term=TERM)
    assert " ".join(str(exact).split()) == (
        "4.635 is the smallest effect of 'method[T.new]' that this design detects with a power of 0.8, computed "
        "exactly (standard error 1.565, 18 df)"
    )
    text = str(find_effect(*schools(20), MEANS, term=TERM, rng=1, mcse=0.02))
    assert "by simulation; with 95 % confidence it lies between 4." in " ".join(text.split())
    for sentence in (str(exact), text):
        assert max(map(len, sentence.splitlines())) <= 88


def test_an_effect_that_cannot_be_found_is_refused():
    with pytest.raises(ValueError, match=r"there is no term 'novelty'; the terms are Intercept, method\[T.new\]"):
        find_effect(*schools(20), term="novelty")
    with (
        pytest.warns(UserWarning, match="no test"),
        pytest.raises(ValueError, match=r"no test of .* more groups"),
    ):
        find_effect(*schools(2), term=TERM)
    with pytest.raises(ValueError, match=r"power is 0.05, and alpha 0.05 is reached without any effect: ask for more"):
        find_effect(*schools(20), term=TERM, power=0.05)
    with pytest.raises(ValueError, match="has no exact power in this world"):
        find_effect(*schools(20), MEANS, term=TERM, method="exact")
    with pytest.raises(ValueError, match="'half' is not a coefficient of the model"):
        find_effect(*schools(20), MEANS, term="half", contrasts={"half": {TERM: 0.5}})
    with pytest.raises(ValueError, match="mcse is 0"):
        find_effect(*schools(20), MEANS, term=TERM, mcse=0)


# -- two sizes --------------------------------------------------------------------------------------------------------

GRID = {"subjects": range(4, 61, 4), "items": range(4, 81, 2)}


def test_a_frontier_is_the_smallest_second_size_for_every_first():
    found = find_sizes(reading, GRID, term="kind[T.rare]", power=0.8)
    by_hand = {}
    for subjects in GRID["subjects"]:
        for items in GRID["items"]:
            power = exact_power(*reading(subjects, items)).loc["kind[T.rare]", "power"]
            if power >= 0.8:
                by_hand[subjects] = (items, power)
                break
    expected = [(k, *pair) for k, pair in by_hand.items() if all(pair[0] < by_hand[j][0] for j in by_hand if j < k)]
    rows = found.table[["subjects", "items", "power"]]
    assert [tuple(row) for row in rows.to_numpy()] == [pytest.approx(row) for row in expected]
    assert (found.table["cost"] == found.table["subjects"] * found.table["items"]).all()
    assert (found.table["mcse"] == 0).all() and found.method == "exact"


def test_the_cheapest_pair_depends_on_what_is_expensive():
    rows = find_sizes(reading, GRID, term="kind[T.rare]")
    people = find_sizes(reading, GRID, term="kind[T.rare]", cost=lambda subjects, items: 100 * subjects + items)
    words = find_sizes(reading, GRID, term="kind[T.rare]", cost=lambda subjects, items: subjects + 100 * items)
    assert people.cheapest["subjects"] == people.table["subjects"].min()
    assert words.cheapest["items"] == words.table["items"].min()
    assert rows.cheapest["subjects"] * rows.cheapest["items"] == rows.table["cost"].min()


def test_a_simulated_frontier_lies_by_the_exact_one():
    analysis = LMM("rt ~ kind + (1 | subject) + (1 | item)")
    grid = {"subjects": [10, 20, 40], "items": range(10, 61, 10)}
    exact = find_sizes(reading, grid, analysis, term="kind[T.rare]").table.set_index("subjects")["items"]
    found = find_sizes(reading, grid, analysis, term="kind[T.rare]", method="simulation", rng=1, mcse=0.02)
    near = found.table.set_index("subjects")["items"]
    both = near.index.intersection(exact.index)
    assert found.method == "simulation" and len(both) >= 2 and (found.table["mcse"] > 0).all()
    assert (abs(near[both] - exact[both]) <= 10).all()


def test_a_frontier_prints_a_sentence_and_the_pairs():
    text = str(find_sizes(reading, GRID, term="kind[T.rare]"))
    assert "pairs just have a power of 0.8, computed exactly;\nthe cheapest is" in text
    assert "subjects  items" in text and max(map(len, text.splitlines())) <= 100


def test_a_frontier_that_is_none_is_refused():
    with pytest.raises(ValueError, match="sizes has the values of two numbers"):
        find_sizes(reading, {"subjects": [4, 8]}, term="kind[T.rare]")
    with pytest.raises(ValueError, match=r"the power for 'kind\[T.rare\]' is 0.\d+ at the largest size, 6"):
        find_sizes(reading, {"subjects": [4, 8], "items": [4, 6]}, term="kind[T.rare]")
    with pytest.raises(ValueError, match="cannot be shared equally"):
        find_sizes(reading, {"subjects": [40, 80], "items": [41, 61]}, term="kind[T.rare]")
    with pytest.raises(ValueError, match="there is no term 'context'"):
        find_sizes(reading, GRID, term="context")


# -- the bar ----------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def slowly(size, seconds=0.15):
    time.sleep(seconds)
    return schools(size)


@pytest.mark.parametrize(
    "search",
    [
        lambda **how: find_size(slowly, range(4, 200, 2), term=TERM, **how),
        lambda **how: find_size(slowly, range(4, 60, 2), MEANS, term=TERM, rng=1, mcse=0.05, **how),
        lambda **how: find_sizes(lambda a, b: slowly(a * b), {"a": [4, 6, 8], "b": range(1, 20)}, term=TERM, **how),
    ],
    ids=["exact", "simulated", "two sizes"],
)
def test_a_search_that_takes_longer_than_a_second_counts_its_looks(search, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    search()
    assert "looks" in sys.stderr.getvalue()
    monkeypatch.setattr(sys, "stderr", Terminal())
    search(progress=False)
    assert sys.stderr.getvalue() == ""


def test_a_fast_search_shows_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    find_size(schools, [20, 28, 36], term=TERM)
    assert sys.stderr.getvalue() == ""


def test_searches_repeat_with_their_seed():
    one, other = (find_effect(*schools(20), MEANS, term=TERM, rng=5, mcse=0.02) for _ in range(2))
    pd.testing.assert_frame_equal(one.looks, other.looks)
    assert one.effect == other.effect
    assert np.isfinite(one.se)
