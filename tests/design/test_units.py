"""Labels say plainly which rows belong to the same unit, or an error asks."""

import numpy as np
import pandas as pd
import pytest

from lmmsim.checks import counted
from lmmsim.design.crossing import crossed, nested
from lmmsim.design.units import check_units, relabel, units_of


def implicit() -> pd.DataFrame:
    """Classrooms 1 to 3 in every school, as spreadsheets have them."""
    return crossed(school=["A", "B", "C", "D"], classroom=[1, 2, 3], pupil=2)


def test_units_are_numbered_by_first_appearance():
    design = pd.DataFrame({"item": ["b", "a", "b", "c"], "list": [1, 1, 2, 1]})
    codes, first = units_of(design, "item")
    assert codes.tolist() == [0, 1, 0, 2]
    assert first.tolist() == [0, 1, 3]
    codes, first = units_of(design, ["item", "list"])
    assert codes.tolist() == [0, 1, 2, 3]
    assert units_of(design, None)[0].tolist() == [0, 1, 2, 3]


def test_one_label_in_several_parents_is_an_error():
    with pytest.raises(ValueError, match="duplicated unit labels: classroom 1 stands in 4 schools") as error:
        check_units(implicit(), "classroom", within="school")
    assert "(and 2 other labels likewise)" in str(error.value)
    text = " ".join(str(error.value).split())
    assert "4 different classrooms: make labels unique, relabel(design, 'classroom', within='school')" in text
    assert max(map(len, str(error.value).splitlines()[1:])) <= 72
    assert "one classroom met in 4 schools: then it is crossed with 'school'" in str(error.value)


def test_nested_labels_pass():
    check_units(nested(school=3, classroom=2, pupil=4), "classroom", within="school")
    check_units(nested(school=3, classroom=2, pupil=4), "pupil", within=["school", "classroom"])


def test_relabelled_units_are_unique_and_the_same_units():
    design = relabel(implicit(), "classroom", within="school")
    check_units(design, "classroom", within="school")
    assert design["classroom"].nunique() == 12
    assert design["classroom"].iloc[0] == "A/1"
    np.testing.assert_array_equal(units_of(design, "classroom")[0], units_of(implicit(), ["school", "classroom"])[0])
    assert implicit()["classroom"].tolist() == [1, 1, 2, 2, 3, 3] * 4


def test_labels_that_would_collide_are_named():
    design = pd.DataFrame({"school": ["a", "a/b"], "classroom": ["b/c", "c"]})
    with pytest.raises(ValueError, match="two different units would both be called 'a/b/c'"):
        relabel(design, "classroom", within="school")


@pytest.mark.parametrize("check", [check_units, relabel])
def test_an_empty_design_or_an_unknown_column_is_an_error(check):
    with pytest.raises(ValueError, match="the design is empty"):
        check(implicit().iloc[:0], "classroom", "school")
    with pytest.raises(ValueError, match="'clas' is not a column of the design; the columns are 'school', 'classroom'"):
        check(implicit(), "clas", "school")


@pytest.mark.parametrize("wrong", [None, [1, 2], {"school": [1]}, pd.Series([1])])
def test_a_design_is_a_data_frame(wrong):
    with pytest.raises(TypeError, match=f"must be a pandas DataFrame .* got {type(wrong).__name__}"):
        check_units(wrong, "classroom", "school")


def test_a_column_that_is_there_twice_is_an_error():
    design = pd.concat([implicit(), implicit()], axis=1)
    with pytest.raises(
        ValueError, match="more than one column 'school', 'classroom', 'pupil': rename or drop the others"
    ):
        check_units(design, "classroom", "school")


@pytest.mark.parametrize(
    ("n", "unit", "text"),
    [
        (31, "plot", "31 plots"),
        (1, "plot", "1 plot"),
        (2, "class", "2 classes"),
        (2, "city", "2 cities"),
        (2, "day", "2 days"),
        (6, ["subject", "item"], "6 combinations of subject and item"),
        (3, None, "3 rows"),
    ],
)
def test_units_are_counted_in_words(n, unit, text):
    assert counted(n, unit) == text
