"""A world told in other words is the same world: same numbers, same draws, new names everywhere."""

import inspect

import numpy as np
import pandas as pd
import pytest

from lmmsim import LMM, simulate
from lmmsim import scenarios as s
from lmmsim.stories import label, portable, tell

WORDS = {
    "plant growth": {"plot": "child", "fertilizer": "diet", "Control": "usual", "A": "milk", "height": "weight (kg)"},
    "teaching methods": {"school": "clinic", "method": "therapy", "score": "pain", "pupil": "patient"},
    "classrooms": {
        "school": "clinic",
        "classroom": "ward",
        "pupil": "patient",
        "new": "massage",
        "prior": "age (years)",
    },
    "hospitals": {"hospital": "pupil", "patient": "hospital", "severity": "how ill"},
    "departments": {"department": "région", "experience": "size (m²)", "salary": "rent 2"},
    "blood pressure": {"patient": "athlete1", "drug[drug]": "training", "drug": "plan", "week": "month"},
    "subjects and items": {"item": "face", "frequency": "mood", "rare": "very sad", "frequent": "happy"},
}


def made(name, **kwargs):
    make = s.ALL[name]
    return make(**kwargs, **({"rng": 20} if "rng" in inspect.signature(make).parameters else {}))


@pytest.mark.parametrize("name", s.ALL)
def test_other_words_change_no_number(name):
    plain, told = (simulate(*made(name, names=names), rng=3) for names in (None, WORDS[name]))
    np.testing.assert_array_equal(plain.y, told.y)
    np.testing.assert_array_equal(plain.X.to_numpy(), told.X.to_numpy())
    np.testing.assert_array_equal(plain.u.to_numpy(), told.u.to_numpy())
    np.testing.assert_array_equal(plain.beta.to_numpy(), told.beta.to_numpy())
    one, other = (LMM(x.model.formula)(x.data).coef for x in (plain, told))
    np.testing.assert_array_equal(one.to_numpy(), other.to_numpy())


@pytest.mark.parametrize("name", s.ALL)
def test_nothing_of_the_old_words_is_left(name):
    model, design = made(name, names=WORDS[name])
    old = {word for word in WORDS[name] if "[" not in word} - {n.split(" (")[0] for n in WORDS[name].values()}
    text = repr(model) + model.formula + " ".join(map(str, design.columns))
    text += " ".join(str(x) for c in design.select_dtypes("category") for x in design[c].cat.categories)
    words = set(__import__("re").findall(r"[A-Za-z]+", text))
    assert not old & words


def test_labels_of_units_follow_their_unit():
    _, design = s.classrooms(rng=1, names={"school": "clinic", "classroom": "ward"})
    assert design["ward"].iloc[-1] == "clinic20/4" and design["pupil"].iloc[0] == "clinic01/1/01"


def test_two_columns_may_change_places():
    _, design = s.teaching_methods(names={"school": "pupil", "pupil": "school"})
    assert design["pupil"].iloc[0] == "pupil01" and design["school"].iloc[0] == "pupil01/01"


def test_a_unit_belongs_to_its_name():
    _, design = s.teaching_methods(names={"score": "pain (mm)"})
    assert label(design, "pain") == "pain (mm)"
    _, design = s.teaching_methods(names={"score": "pain"})  # points may be wrong for pain
    assert label(design, "pain") == "pain"
    assert label(s.blood_pressure()[1], "systolic") == "systolic (mmHg)"


def test_the_data_carry_the_units():
    assert label(simulate(*s.subjects_items(subjects=4, items=4), rng=1).data, "rt") == "rt (ms)"


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (
            {"class": "ward"},
            "'class', which is no column and no level of this world; the columns are 'school', 'pupil'",
        ),
        ({"school": ""}, "names gives 'school' the name ''; a name is a text"),
        ({"school": "pupil"}, "two columns would both be called 'pupil'"),
        ({"new": "usual"}, "two levels of 'method' would both be called 'usual'"),
        ({"school": "a:b"}, "the name 'a:b' has ':' in it"),
        ({"score": "school"}, "two columns would both be called 'school'"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(names, match):
    with pytest.raises(ValueError, match=match):
        s.teaching_methods(names=names)


def test_a_level_called_like_a_column_is_written_with_its_column():
    model, design = s.blood_pressure(names={"drug": "diet"})
    assert list(model.beta)[2] == "diet[T.drug]" and "diet" in design


def test_residuals_by_level_are_told_too():
    model, design = s.teaching_methods()
    from lmmsim import IID, Model

    unequal = Model(model.formula, model.beta, model.random, IID(sd={"usual": 5, "new": 9}, by="method"))
    told, _ = tell(unequal, design, {"method": "therapy", "new": "massage"})
    assert told.residual == IID(sd={"usual": 5, "massage": 9}, by="therapy")


def test_a_portable_formula_keeps_its_reference_when_levels_are_sorted():
    model, design = s.plant_growth()
    data = simulate(model, design, rng=1).data
    sorted_anew = data.assign(fertilizer=data["fertilizer"].astype(str))
    right = LMM(model.formula)(data).coef
    kept = LMM(portable(model.formula, design))(sorted_anew).coef
    np.testing.assert_allclose(kept.to_numpy(), right.to_numpy(), rtol=1e-6)
    lost = LMM(model.formula)(sorted_anew).coef  # negative control: the same name, another number
    assert abs(lost.loc["week:fertilizer[T.B]", "estimate"] - right.loc["week:fertilizer[T.B]", "estimate"]) > 0.1


def test_a_portable_formula_changes_nothing_that_is_sorted():
    model, design = s.classrooms(rng=1, names={"usual": "a", "new": "b"})
    assert portable(model.formula, design) == model.formula
    odd = pd.DataFrame({"g": pd.Categorical(["it's", "a"], ["it's", "a"])})
    assert portable("y ~ g", odd) == 'y ~ C(g, Treatment("it\'s"))'
