"""Treatments are shared exactly, units keep theirs, and chance enters only by rng."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lmmsim.design.allocation import assign, counterbalance
from lmmsim.design.crossing import crossed, nested

ABC = ["Control", "A", "B"]


def per_unit(design: pd.DataFrame, unit: str, factor: str) -> pd.Series:
    return design.drop_duplicates(unit).set_index(unit)[factor]


@pytest.mark.parametrize("rng", [None, 1])
def test_each_plot_keeps_one_fertilizer(rng):
    design = assign(crossed(plot=30, week=range(5)), to="plot", fertilizer=ABC, rng=rng)
    assert (design.groupby("plot", observed=True)["fertilizer"].nunique() == 1).all()
    assert per_unit(design, "plot", "fertilizer").value_counts().tolist() == [10, 10, 10]
    assert design["fertilizer"].cat.categories.tolist() == ABC


def test_without_rng_levels_are_dealt_in_turn():
    design = assign(crossed(plot=6, week=[0, 1]), to="plot", fertilizer=ABC)
    assert per_unit(design, "plot", "fertilizer").tolist() == ABC + ABC


def test_numeric_levels_stay_numeric():
    design = assign(crossed(plot=6), to="plot", dose=[0, 2.5])
    assert design["dose"].tolist() == [0, 2.5] * 3


def test_several_factors_are_balanced_jointly():
    design = assign(crossed(patient=24, month=[0, 1]), to="patient", drug=["placebo", "drug"], dose=[1, 2, 4], rng=3)
    patients = design.drop_duplicates("patient")
    assert (pd.crosstab(patients["drug"], patients["dose"]) == 4).all(axis=None)


@pytest.mark.parametrize("rng", [None, 1])
def test_unequal_shares_are_exact(rng):
    design = assign(crossed(plot=10, week=range(5)), to="plot", fertilizer=ABC, counts=[4, 3, 3], rng=rng)
    assert per_unit(design, "plot", "fertilizer").value_counts().reindex(ABC).tolist() == [4, 3, 3]


def test_unequal_shares_of_combinations_follow_their_order():
    counts = np.array([[1, 2], [3, 4]])
    design = assign(crossed(plot=10), to="plot", counts=counts, drug=["p", "d"], dose=[1, 2])
    np.testing.assert_array_equal(pd.crosstab(design["drug"], design["dose"]).loc[["p", "d"]], counts)


@pytest.mark.parametrize("rng", [None, 1])
def test_within_shares_inside_every_block(rng):
    design = nested(school=5, classroom=4, pupil=3)
    design = assign(design, to="classroom", by="school", method=["usual", "new"], rng=rng)
    classrooms = design.drop_duplicates("classroom")
    assert (pd.crosstab(classrooms["school"], classrooms["method"]) == 2).all(axis=None)
    assert (design.groupby("classroom", observed=True)["method"].nunique() == 1).all()


def test_blocks_are_shuffled_independently():
    design = assign(crossed(block=200, row=2), to=None, by="block", arm=[0, 1], rng=1)
    first = design["arm"][::2].sum()  # binomial(200, 1/2)
    assert abs(first - 100) < 4 * np.sqrt(50)


@pytest.mark.parametrize("shuffled_rows", [False, True])
def test_combinations_and_rows_can_be_units(shuffled_rows):
    design = crossed(subject=4, item=6)
    design = design.sample(frac=1, random_state=1) if shuffled_rows else design
    new = assign(design, to=["subject", "item"], by="subject", context=["plain", "odd"])
    assert (pd.crosstab(new["subject"], new["context"]) == 3).all(axis=None)
    assert new.index.equals(design.index)
    assert assign(design, to=None, context=["plain", "odd"])["context"].value_counts().tolist() == [12, 12]


def test_every_balanced_allocation_is_equally_likely():
    design, rng, n = crossed(plot=4), np.random.default_rng(1), 1500
    seen = pd.Series([tuple(assign(design, to="plot", arm=[0, 1], rng=rng)["arm"]) for _ in range(n)]).value_counts()
    assert len(seen) == 6
    chi2 = ((seen - n / 6) ** 2 / (n / 6)).sum()
    assert chi2 < 5 + 4 * np.sqrt(2 * 5)  # mean and sd of chi-square on 5 degrees of freedom


def test_coin_flips_only_when_asked_for():
    design = crossed(plot=10_000)
    arms = assign(design, to="plot", arm=["a", "b"], counts=[1, 3], balanced=False, rng=1)["arm"]
    n = (arms == "a").sum()
    assert abs(n - 2500) < 4 * np.sqrt(10_000 * 0.25 * 0.75)
    counts = {assign(crossed(plot=20), to="plot", arm=[0, 1], balanced=False, rng=k)["arm"].sum() for k in range(20)}
    assert len(counts) > 1


def test_the_same_seed_gives_the_same_allocation():
    a, b, c = (assign(crossed(plot=30), to="plot", fertilizer=ABC, rng=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(a, b)
    assert not a.equals(c)


def test_a_crossed_classroom_number_is_a_legitimate_unit():
    design = assign(crossed(school=3, classroom=[1, 2], pupil=4), to="classroom", method=["usual", "new"])
    assert (pd.crosstab(design["classroom"], design["method"]) > 0).sum().tolist() == [1, 1]


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (
            31,
            "31 plots cannot be shared equally among the 3 levels of 'fertilizer': remove 1 or add 2, or say "
            "balanced='near'",
        ),
        (2, "2 plots cannot be shared equally among the 3 levels of 'fertilizer': add 1"),
        (1, "1 plot cannot be shared equally among the 3 levels of 'fertilizer': add 2"),
    ],
)
def test_unequal_sharing_is_an_error_that_says_how_many_to_add(n, text):
    with pytest.raises(ValueError) as error:
        assign(crossed(plot=n, week=[0, 1]), to="plot", fertilizer=ABC)
    assert str(error.value) == text


@pytest.mark.parametrize("n", [n for n in range(1, 30) if n % 4])
def test_the_advice_of_the_error_works(n):
    design = crossed(plot=n + 4 - n % 4)
    assert assign(design, to="plot", a=[0, 1], b=[0, 1]).groupby(["a", "b"]).size().nunique() == 1
    with pytest.raises(ValueError, match=f"combinations of 'a' and 'b': .*add {4 - n % 4}"):
        assign(crossed(plot=n), to="plot", a=[0, 1], b=[0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "plot"}, "name the factor and its levels"),
        ({"to": "plt", "arm": [0, 1]}, "'plt' is not a column of the design; the columns are 'plot', 'week'"),
        ({"to": 3, "arm": [0, 1]}, "3 is not a column of the design"),
        ({"to": "plot", "by": "farm", "arm": [0, 1]}, "'farm' is not a column of the design"),
        ({"to": "plot", "week": [0, 1]}, "'week' is a column of the design already"),
        ({"to": "plot", "arm": 3}, "arm=3: give the levels as a list"),
        ({"to": "plot", "arm": "new"}, "arm='new': give a whole number of units, or a list"),
        ({"to": "plot", "arm": ["a", "a"]}, "'arm' has the same level twice: 'a'"),
        ({"to": None, "arm": [1, 2, 3, 4, 5]}, "12 rows cannot be shared equally .*: remove 2 or add 3"),
        (
            {"to": ["plot", "week"], "arm": [1, 2, 3, 4, 5]},
            "12 combinations of plot and week cannot be shared equally among the 5 levels of 'arm'",
        ),
        ({"to": "plot", "arm": [1, 2], "counts": [4, 3]}, r"counts=\[4, 3\] add up to 7, but there are 6 plots: make"),
        ({"to": "plot", "arm": [1, 2], "counts": [2, 2, 2]}, "counts has 3 numbers for 2 levels or combinations"),
        ({"to": "plot", "arm": [1, 2], "counts": [6, 0]}, r"counts=\[6, 0\]: each of the 2 levels of 'arm' needs"),
        ({"to": "plot", "arm": np.int64(3)}, "arm=3: give the levels as a list"),
        ({"to": "plot", "arm": [1, 2], "counts": {1: 4, 2: 2}}, "counts={1: 4, 2: 2}: give a list with one number per"),
        ({"to": "plot", "arm": [1, 2], "counts": [4, "2"]}, "give a list with one number per level"),
        ({"to": "plot", "arm": [1, 2], "rng": -1}, "rng is a Generator, a whole number of 0 or more, or None; got -1"),
        ({"to": "plot", "arm": [1, 2], "counts": [3.5, 2.5]}, r"needs a whole number of units, at least 1"),
        ({"to": "plot", "arm": [1, 2], "balanced": False}, "balanced=False draws the level of each unit at random"),
        (
            {"to": "plot", "arm": [1, 2], "balanced": False, "rng": 1, "by": "week"},
            "balanced=False draws each unit by itself, so by='week' means nothing",
        ),
        ({"to": "plot", "arm": [1, 2], "balanced": False, "rng": 1, "counts": [-1, 2]}, "proportions are 0 or more"),
    ],
)
def test_allocations_that_cannot_be_made_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        assign(crossed(plot=6, week=[0, 1]), **arguments)


def test_a_block_that_cannot_be_shared_is_named():
    with pytest.raises(ValueError, match=r"In school 'school2', 3 pupils cannot be shared .*: remove 1 or add 1"):
        assign(nested(school=3, pupil=[4, 3, 2]), to="pupil", by="school", method=["usual", "new"])
    with pytest.raises(ValueError, match=r"In school 'school2', counts=\[2, 2\] add up to 4, but there are 3 pupils"):
        assign(nested(school=3, pupil=[4, 3, 2]), to="pupil", by="school", method=["usual", "new"], counts=[2, 2])


def test_a_unit_that_stands_in_several_blocks_is_an_error():
    with pytest.raises(ValueError, match=r"item 'item1' stands in 3 subjects.*combination: to=\['subject', 'item'\]"):
        assign(crossed(subject=3, item=4), to="item", by="subject", context=["plain", "odd"])


def test_two_factors_that_would_go_hand_in_hand_are_an_error():
    design = assign(crossed(plot=8, week=[0, 1]), to="plot", water=["dry", "wet"])
    with pytest.raises(ValueError, match=r"'light' would go hand in hand with 'water'.*one call to cross them"):
        assign(design, to="plot", light=["sun", "shade"])
    assign(design, to="plot", light=["sun", "shade"], rng=1)
    assign(crossed(plot=2), to=None, light=["sun", "shade"])


def latin(subjects: int, items: int, levels: list[str], **arguments) -> pd.DataFrame:
    return counterbalance(
        crossed(subject=subjects, item=items), subject="subject", item="item", context=levels, **arguments
    )


@pytest.mark.parametrize("rng", [None, 1])
@pytest.mark.parametrize(("subjects", "items", "n_levels"), [(4, 6, 2), (6, 9, 3), (8, 4, 4), (3, 2, 1)])
def test_counterbalancing_is_a_latin_square(subjects, items, n_levels, rng):
    levels = [f"level{k}" for k in range(n_levels)]
    design = latin(subjects, items, levels, rng=rng)
    assert (pd.crosstab(design["subject"], design["item"]) == 1).all(axis=None)
    assert (pd.crosstab(design["subject"], design["context"]) == items / n_levels).all(axis=None)
    assert (pd.crosstab(design["item"], design["context"]) == subjects / n_levels).all(axis=None)
    assert (design.groupby("subject", observed=True)["list"].nunique() == 1).all()
    by_list = design.groupby(["list", "item"], observed=True)["context"]
    assert (by_list.nunique() == 1).all()  # a list is one fixed set of materials
    for item in design["item"].unique():  # over the lists, each item meets every level once
        assert set(by_list.first().xs(item, level="item")) == set(levels)


def test_counterbalanced_factors_may_be_several():
    design = counterbalance(
        crossed(s=4, i=8), subject="s", item="i", word=["long", "short"], prime=[0, 1], list_name=None
    )
    assert (design.groupby(["s", "word", "prime"], observed=True).size() == 2).all()
    assert design.columns.tolist() == ["s", "i", "word", "prime"]


def words() -> pd.DataFrame:
    """Frequency belongs to the items, age to the subjects, and both alternate, as the sets and lists would."""
    design = assign(crossed(subject=8, item=12), to="item", frequency=["frequent", "rare"])
    return assign(design, to="subject", age=["young", "old"])


@pytest.mark.parametrize("rng", [None, 1])
def test_a_rotated_factor_is_crossed_with_the_factors_of_items_and_subjects(rng):
    inside = ["frequency", "age"]
    design = counterbalance(words(), subject="subject", item="item", by=inside, context=["plain", "odd"], rng=rng)
    assert (design.groupby(["subject", "frequency", "context"], observed=False).size() == 3).all()
    assert (design.groupby(["item", "age", "context"], observed=False).size() == 2).all()


def test_sets_and_lists_that_go_hand_in_hand_with_a_factor_are_an_error():
    rotate = {"subject": "subject", "item": "item", "context": ["plain", "odd"]}
    with pytest.raises(ValueError, match="the sets of items would go hand in hand with 'frequency'"):
        counterbalance(words(), **rotate)
    with pytest.raises(ValueError, match=r"the lists of subjects would go .* 'age'.*by='age'"):
        counterbalance(words(), by="frequency", **rotate)
    with pytest.raises(
        ValueError, match="In frequency 'frequent', 5 items cannot be shared equally among the 2 levels"
    ):
        counterbalance(words().query("item not in ['item01', 'item02']"), by=["frequency", "age"], **rotate)


def test_a_factor_of_neither_subjects_nor_items_cannot_be_balanced():
    design = words().assign(order=np.arange(96) % 5)
    with pytest.raises(ValueError, match=r"by=\['order'\]: not a factor of the subjects, nor of the items"):
        counterbalance(design, subject="subject", item="item", by="order", context=["plain", "odd"])


def test_rng_shuffles_who_gets_which_list():
    lists = [tuple(per_unit(latin(6, 4, ["a", "b"], rng=k), "subject", "list")) for k in range(5)]
    assert len(set(lists)) > 1
    assert per_unit(latin(6, 4, ["a", "b"]), "subject", "list").tolist() == ["list1", "list2"] * 3


def test_order_of_rows_does_not_break_the_square():
    design = crossed(subject=4, item=4).sample(frac=1, random_state=2)
    new = counterbalance(design, subject="subject", item="item", context=["a", "b"])
    assert (pd.crosstab(new["subject"], new["context"]) == 2).all(axis=None)
    assert new.index.equals(design.index)


@pytest.mark.parametrize(
    ("design", "arguments", "message"),
    [
        (
            crossed(subject=5, item=4),
            {},
            "5 subjects cannot be shared equally among the 2 levels of 'context': remove 1 or",
        ),
        (
            crossed(subject=4, item=7),
            {},
            "7 items cannot be shared equally among the 2 levels of 'context': remove 1 or",
        ),
        (
            crossed(subject=4, item=4, block=2),
            {},
            "every subject with every item once, 16 rows; this design has 32 rows",
        ),
        (crossed(subject=4, item=4)[1:], {}, "16 rows; this design has 15 rows and 15 of the pairs"),
        (crossed(subject=4, item=4), {"list_name": "item"}, "'item' is a column of the design already"),
        (crossed(subject=4, item=4), {"list_name": "context"}, "'context' is both a factor and the name of the list"),
        (crossed(subject=4, word=4), {}, "'item' is not a column of the design; the columns are 'subject', 'word'"),
    ],
)
def test_designs_that_cannot_be_counterbalanced_are_named(design, arguments, message):
    with pytest.raises(ValueError, match=message):
        counterbalance(design, subject="subject", item="item", context=["a", "b"], **arguments)


def test_an_empty_design_is_an_error():
    empty = crossed(subject=2, item=2).iloc[:0]
    with pytest.raises(ValueError, match="the design is empty"):
        assign(empty, to="subject", arm=[0, 1])
    with pytest.raises(ValueError, match="the design is empty"):
        counterbalance(empty, subject="subject", item="item", arm=[0, 1])


def test_the_design_given_is_left_as_it_was():
    design = crossed(subject=4, item=4)
    before = design.copy()
    assign(design, to="subject", arm=[0, 1], rng=1)
    counterbalance(design, subject="subject", item="item", context=[0, 1])
    pd.testing.assert_frame_equal(design, before)


@pytest.mark.parametrize(("n", "k", "seed"), list(itertools.product([6, 12, 60], [1, 2, 3, 6], [None, 5])))
def test_any_divisible_number_is_shared_exactly(n, k, seed):
    design = assign(crossed(unit=n, time=[0, 1]), to="unit", level=list(range(k)), rng=seed)
    assert per_unit(design, "unit", "level").value_counts().tolist() == [n // k] * k
