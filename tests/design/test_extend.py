"""Extending: more units of the same kind, measured when and treated as those of the pilot."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import (
    LMM,
    Model,
    assign,
    check_units,
    counterbalance,
    covariate,
    crossed,
    draws,
    exact_power,
    extend,
    find_size,
    nested,
    scenarios,
    simulate,
)


@pytest.fixture
def pilot():
    """Twelve subjects, a third of them trained, four weeks; ages of their own; some occasions not planned."""
    design = assign(crossed(subject=12, week=[0, 1, 2, 4]), to="subject", counts=[8, 4], arm=["usual", "trained"])
    design = covariate(design, at="subject", age=draws.normal(mean=30, sd=5), rng=1)
    return design.drop(index=[3, 17])


def test_a_larger_pilot_of_a_balanced_design_is_the_larger_design():
    small, large = (
        assign(crossed(plot=n, week=range(5)), to="plot", fertilizer=["Control", "A", "B"]) for n in (6, 30)
    )
    extended = extend(small, plot=30)
    pd.testing.assert_frame_equal(extended[["plot", "week"]], large[["plot", "week"]])
    assert extended["fertilizer"].cat.categories.equals(small["fertilizer"].cat.categories)
    model, _ = scenarios.plant_growth()
    pd.testing.assert_frame_equal(exact_power(model, extended), exact_power(model, large), rtol=1e-9)


@pytest.mark.parametrize("rng", [None, 3])
@pytest.mark.parametrize("n", [3, 12, 36, 120])
def test_arms_keep_their_shares(pilot, n, rng):
    arms = extend(pilot, subject=n, rng=rng).groupby("subject", observed=True)["arm"].agg(["nunique", "first"])
    assert len(arms) == n and (arms["nunique"] == 1).all()
    assert (arms["first"] == "trained").sum() == n / 3


@pytest.mark.parametrize("n", [13, 40, 41])
def test_shares_that_do_not_come_out_are_off_by_less_than_one_unit(pilot, n):
    arms = extend(pilot, subject=n).groupby("subject", observed=True)["arm"].first()
    assert abs((arms == "trained").sum() - n / 3) < 1


@pytest.mark.parametrize("rng", [None, 3])
def test_every_new_unit_has_the_occasions_and_the_covariates_of_one_that_was_there(pilot, rng):
    rows = lambda frame: frame.drop(columns="subject").apply(tuple, axis=1)  # noqa: E731
    known = {tuple(group) for _, group in rows(pilot).groupby(pilot["subject"], observed=True)}
    new = extend(pilot, subject=40, rng=rng)
    assert {tuple(group) for _, group in rows(new).groupby(new["subject"], observed=True)} <= known
    assert list(new) == list(pilot) and new.index.equals(pd.RangeIndex(len(new)))


def test_without_rng_every_unit_is_copied_as_often_as_any_other_of_its_arm(pilot):
    ages = extend(pilot, subject=36).drop_duplicates("subject")["age"].value_counts()
    assert (ages == 3).all() and len(ages) == 12
    pd.testing.assert_frame_equal(extend(pilot, subject=40), extend(pilot, subject=40))


def test_with_rng_covariates_are_resampled(pilot):
    one, again, other = (extend(pilot, subject=36, rng=seed).drop_duplicates("subject")["age"] for seed in (1, 1, 2))
    assert one.tolist() == again.tolist() != other.tolist()
    assert one.value_counts().max() > 3 and set(one) <= set(pilot["age"])
    many = extend(pilot, subject=30_000, rng=4).drop_duplicates("subject")
    means = pilot.drop_duplicates("subject").groupby("arm", observed=True)["age"].agg(["mean", "std"])
    for arm, ages in many.groupby("arm", observed=True)["age"]:
        assert abs(ages.mean() - means.loc[arm, "mean"]) < 4.5 * means.loc[arm, "std"] / np.sqrt(len(ages))


def test_new_subjects_meet_the_same_items_and_new_items_the_same_subjects():
    design = assign(crossed(subject=4, item=6), to="item", kind=["rare", "frequent"])
    both = extend(design, subject=10, item=20)
    pairs = pd.crosstab(both["subject"], both["item"])
    assert pairs.shape == (10, 20) and (pairs == 1).all(axis=None)
    assert both.drop_duplicates("item")["kind"].value_counts().tolist() == [10, 10]
    pd.testing.assert_frame_equal(
        both.sort_values(["subject", "item"], ignore_index=True),
        extend(design, item=20, subject=10).sort_values(["subject", "item"], ignore_index=True),
    )


def test_a_latin_square_stays_one():
    square = counterbalance(crossed(subject=4, item=8), subject="subject", item="item", context=["plain", "odd"])
    larger = extend(square, subject=12)
    assert (pd.crosstab(larger["item"], larger["context"]) == 6).all(axis=None)
    assert larger.drop_duplicates("subject")["list"].value_counts().tolist() == [6, 6]


def test_units_inside_of_extended_ones_get_labels_that_are_unique_everywhere():
    design = nested(school=4, classroom=[2, 1, 3, 2], pupil=5)
    larger = extend(design, school=10)
    check_units(larger, "classroom", within="school")
    check_units(larger, "pupil", within="classroom")
    assert larger["classroom"].nunique() == 2 * 8 + 2 + 1 and larger["pupil"].is_unique
    assert len(larger) == larger["classroom"].nunique() * 5


def test_pupils_can_be_added_to_the_schools_that_are_there():
    larger = extend(nested(school=3, pupil=[4, 8, 4]), pupil=160)
    assert larger["school"].value_counts(sort=False).tolist() == [40, 80, 40] and larger["pupil"].is_unique


def test_pilot_data_lose_their_response_and_keep_what_was_planned():
    pilot = simulate(*scenarios.plant_growth(plots=6), rng=1).data
    assert "height" not in extend(pilot, plot=12)
    measured = pilot.rename(columns={"height": "cm"})
    assert "cm" in extend(measured, plot=12, labels=[]) and "cm" not in extend(measured, plot=12, response="cm")
    assert "height" in pilot


def test_a_size_is_found_from_a_pilot():
    model, design = scenarios.teaching_methods(schools=6, pupils=25, effect=4)
    pilot = simulate(model, design, rng=1).data
    found = find_size(lambda n: (model, extend(pilot, school=n)), range(6, 100, 2), term="method[T.new]")
    assert found == find_size(lambda n: scenarios.teaching_methods(n, effect=4), range(6, 100, 2), term="method[T.new]")


def test_numbers_that_name_units_are_asked_about():
    data = pd.DataFrame({"school": ["A"] * 3 + ["B"] * 3, "pupil": range(6), "x": [1, 2, 3, 1, 2, 3]})
    with pytest.raises(ValueError, match=r"does 'pupil' name units, .* labels=\['pupil'\] gives new labels to it, lab"):
        extend(data, school=4)
    assert extend(data, school=4, labels="pupil")["pupil"].nunique() == 12
    assert extend(data, school=4, labels=[])["pupil"].nunique() == 6
    named = data.assign(head=["Ms X"] * 3 + ["Mr Y"] * 3)
    with pytest.raises(ValueError, match="does 'pupil', 'head' name units"):
        extend(named, school=4)
    assert extend(named, school=4, labels=["pupil", "head"])["head"].nunique() == 4


def test_fewer_units_than_arms_are_refused(pilot):
    with pytest.raises(ValueError, match="1 subject cannot stand for the 2 combinations of 'arm' that"):
        extend(pilot, subject=1)
    with pytest.raises(ValueError, match=r"say of which units there should be how many, for example extend\(pilot"):
        extend(pilot)
    with pytest.raises(ValueError, match=r"subject=2\.5: give a whole number"):
        extend(pilot, subject=2.5)
    with pytest.raises(ValueError, match="'person' is not a column of the design"):
        extend(pilot, person=20)


def test_the_pilot_is_left_as_it_was(pilot):
    before = pilot.copy(deep=True)
    extend(pilot, subject=30, rng=1)
    pd.testing.assert_frame_equal(pilot, before)


def test_an_extended_pilot_is_fitted_like_any_other(pilot):
    beta = {"Intercept": 0, "week": 1, "arm[T.trained]": 1, "age": 0.1}
    model = Model("y ~ week + arm + age + (1 | subject)", beta, {"subject": 1.0}, 1.0)
    data = simulate(model, extend(pilot, subject=60, rng=1), rng=2).data
    assert len(LMM(model.formula)(data).u["subject"]) == 60
