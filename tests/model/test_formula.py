"""Formulas are read as lme4 reads them, and complain where they cannot be read."""

import numpy as np
import pandas as pd
import pytest

from lmmsim.model.columns import build, rebuild, used_columns
from lmmsim.model.formula import split


@pytest.fixture
def pupils():
    return pd.DataFrame(
        {
            "school": pd.Categorical(["b", "b", "a", "a"], categories=["b", "a"]),
            "room": [1, 2, 1, 2],
            "hours": [1.0, 2.0, 3.0, 5.0],
            "method": pd.Categorical(["usual", "new", "usual", "new"], categories=["usual", "new"]),
        }
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("(1 | a)", ["(1 | a)"]),
        ("(1 | a/b)", ["(1 | a)", "(1 | a:b)"]),
        ("(x | a/b/c)", ["(x | a)", "(x | a:b)", "(x | a:b:c)"]),
        ("(x || a)", ["(1 | a)", "(0 + x | a)"]),
        ("(1 + x + z || a)", ["(1 | a)", "(0 + x | a)", "(0 + z | a)"]),
        ("(0 + x | a:b) + (1 | c)", ["(0 + x | a:b)", "(1 | c)"]),
    ],
)
def test_bars_expand_as_in_lme4(written, meant):
    assert [str(bar) for bar in split(f"y ~ x + {written}").bars] == meant


def test_parentheses_without_a_bar_belong_to_the_fixed_part():
    parts = split("y ~ (a + b)**2 + np.log(x) + (1 | g)")
    assert parts.fixed == "(a + b)**2 + np.log(x)"


@pytest.mark.parametrize(
    ("formula", "problem", "place"),
    [
        ("y ~ x + (x | g", "never closed", "("),
        ("y ~ x) + 1", "never opened", ")"),
        ("y ~ x + (x | )", "a group is a column", " )"),
        ("y ~ ( | g)", "nothing stands before the bar", "|"),
        ("y ~ x | g", "stands alone in parentheses", "|"),
        ("y ~ x * (1 | g)", "stands alone in parentheses", "|"),
        ("y ~ (1 | g | h)", "one bar", "|"),
        ("y ~ x & z", "'&' has no meaning between terms", "&"),
        ("log(y) ~ x", "must be one column", "l"),
        ("~ x + (1 | g)", "needs a response before '~'", "~"),
        ("y x", "needs a response", ""),
        ("y ~ x ~ z", "has one '~'", "~ z"),
        ("y ~ . + (1 | g)", "'.' does not stand for all columns", ". +"),
        ("y ~ x + (1 | my g)", "in backticks unless it is made of letters, digits and _", " my g"),
    ],
)
def test_a_formula_error_points_at_the_place(formula, problem, place):
    with pytest.raises(ValueError, match=problem) as error:
        split(formula)
    _, shown, caret = str(error.value).split("\n")
    assert shown.strip() == formula
    assert shown[caret.index("^") :].startswith(place)


def test_columns_bear_the_names_that_statsmodels_prints(pupils):
    X = build("score ~ hours * method", pupils).X
    assert X.columns.tolist() == ["Intercept", "hours", "method[T.new]", "hours:method[T.new]"]


@pytest.mark.parametrize(
    "fixed",
    ["poly(hours, 2)", "bs(hours, df=4)", "C(method, contr.sum)", "I(hours ** 2)", "np.log(hours)", "0 + method"],
)
def test_whatever_formulaic_reads_can_be_used(fixed, pupils):
    assert len(build(f"score ~ {fixed} + (1 | school)", pupils).X) == len(pupils)


def test_the_order_of_a_categorical_is_kept(pupils):
    assert build("y ~ (1 | school)", pupils).terms[0].levels.tolist() == ["b", "a"]


def test_labels_that_are_used_again_in_another_school_are_other_classrooms(pupils):
    school, room = build("y ~ (1 | school/room)", pupils).terms
    assert room.levels.tolist() == ["b:1", "b:2", "a:1", "a:2"]
    assert room.codes.tolist() == [0, 1, 2, 3]
    assert school.codes.tolist() == [0, 0, 1, 1]


def test_labels_that_are_unique_keep_their_own_name():
    data = pd.DataFrame({"school": ["a", "a", "b"], "room": ["a/1", "a/2", "b/1"]})
    assert build("y ~ (1 | school/room)", data).terms[1].levels.tolist() == ["a/1", "a/2", "b/1"]


def test_new_rows_get_the_old_columns_and_unknown_groups_get_no_code(pupils):
    old = build("y ~ center(hours) + (hours | school) + (1 | school:room)", pupils)
    new = rebuild(old, pupils.iloc[[2, 3]].assign(school=["a", "c"]))
    np.testing.assert_allclose(new.X["center(hours)"], [3 - 2.75, 5 - 2.75])
    assert new.terms[0].codes.tolist() == [1, -1]
    assert new.terms[1].codes.tolist() == [2, -1]


def test_used_columns_include_those_inside_functions_and_groups(pupils):
    assert used_columns("y ~ poly(hours, 2) + (1 | school)", pupils) == ["school", "hours"]


def test_a_column_that_is_not_there_is_named_with_those_that_are(pupils):
    with pytest.raises(ValueError, match=r"'klass', 'time' are not columns of the data; the columns are 'school'"):
        build("y ~ time + (1 | klass)", pupils)
    with pytest.raises(ValueError, match="'minutes'"):
        build("y ~ np.log(minutes)", pupils)


def test_missing_values_are_counted(pupils):
    with pytest.raises(ValueError, match=r"missing values: 1 in 'hours' \(of 4 rows\)"):
        build("y ~ hours", pupils.assign(hours=[1.0, np.nan, 2.0, 3.0]))


def test_a_frame_without_rows_is_refused(pupils):
    with pytest.raises(ValueError, match="the data have no rows"):
        build("y ~ hours", pupils.iloc[:0])


def test_one_random_effect_cannot_be_named_twice(pupils):
    with pytest.raises(ValueError, match="the random effect 'Intercept' twice"):
        build("y ~ (hours | school) + (1 | school)", pupils)


def test_the_caret_stands_right_in_a_formula_of_several_lines():
    with pytest.raises(ValueError, match="nothing stands before the bar") as error:
        split("y ~ x\n  + ( | g)")
    _, shown, caret = str(error.value).split("\n")
    assert shown[caret.index("^")] == "|"


@pytest.mark.parametrize("wrong", [None, ["y ~ x"], 3])
def test_a_formula_is_text(wrong):
    with pytest.raises(TypeError, match="a formula is a text such as"):
        split(wrong)


@pytest.mark.parametrize("wrong", [None, {"hours": [1.0]}, pd.Series([1.0])])
def test_data_are_a_data_frame(wrong):
    with pytest.raises(TypeError, match=f"must be a pandas DataFrame .* got {type(wrong).__name__}"):
        build("y ~ hours", wrong)


@pytest.mark.parametrize(
    ("formula", "name"), [("y ~ C(method)", "C"), ("y ~ poly(hours, 2)", "poly"), ("y ~ np.log(hours)", "np")]
)
def test_a_column_may_bear_the_name_of_a_function(formula, name, pupils):
    data = pupils.assign(**{name: [1.0, 2.0, 4.0, 5.0]})
    both = build(f"{formula} + {name}", data).X
    pd.testing.assert_frame_equal(both.drop(columns=name), build(formula, pupils).X)
    assert both[name].tolist() == [1.0, 2.0, 4.0, 5.0]


def test_a_column_that_is_there_twice_is_named_if_it_is_used(pupils):
    data = pd.concat([pupils, pupils[["hours"]]], axis=1)
    with pytest.raises(ValueError, match="more than one column 'hours'; rename or drop the others"):
        build("y ~ hours", data)
    assert len(build("y ~ method", data).X) == 4


@pytest.mark.parametrize("fixed", ["np.log(hours - 2)", "np.log(method)"])
def test_what_cannot_be_computed_names_the_formula(fixed, pupils):
    with pytest.raises(ValueError, match="cannot be evaluated"), np.errstate(all="ignore"):
        build(f"y ~ {fixed}", pupils)
