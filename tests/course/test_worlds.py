"""A model and its design go to a TOML file and back; what cannot be meant is refused with its line."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import AR1, IID, CompoundSymmetry, Model, Random, Unstructured, crossed, draws, nested, simulate
from lmmsim.course.steps import steps_of
from lmmsim.course.toml import Document, dumps
from lmmsim.course.worlds import as_toml, model_of, read_model, write_model


def back(text, **kwargs):
    return model_of(Document.read(text, "model.toml"), **kwargs)


def test_every_scenario_comes_back_from_toml_as_it_went(world, tmp_path):
    model, design = world
    write_model(tmp_path / "model.toml", model, design)
    again, rows = read_model(tmp_path / "model.toml")
    assert again == model
    pd.testing.assert_frame_equal(rows, design)
    assert rows.attrs["units"] == design.attrs["units"]
    np.testing.assert_array_equal(simulate(again, rows, rng=4).y, simulate(model, design, rng=4).y)
    assert as_toml(again, rows) == as_toml(model, design)


def test_a_design_is_written_as_the_calls_that_make_it():
    from lmmsim import scenarios

    _, design = scenarios.classrooms(schools=2, classrooms=4, pupils=2, rng=1)
    steps = steps_of(design)
    assert [next(iter(step)) for step in steps] == ["nested", "given", "covariate"]
    assert steps[0] == {"nested": {"school": 2, "classroom": 4, "pupil": 2}}
    assert steps_of(nested(school=2, pupil=[1, 3])) == [{"nested": {"school": 2, "pupil": [1, 3]}}]


def test_any_table_is_a_design():
    odd = pd.DataFrame({"g": pd.Categorical(["b", "a", "b"], ["b", "a", "unused"]), "x": [0.1, 2.0, -1.0]})
    model = Model("y ~ g + (1 | x)", {"Intercept": 0, "g[T.a]": 1, "g[T.unused]": 1}, {"x": 1.0}, 1.0)
    assert list(steps_of(odd)[0]) == ["table"]
    pd.testing.assert_frame_equal(back(as_toml(model, odd))[1], odd)


KINDS = [
    IID(sd={"a": 1.0, "b": 2.0}, by="arm"),
    IID(sd=2.0, weights="n"),
    IID(sd=1.0, shape=draws.skewed(2)),
    AR1(sd=2.0, rho=0.5, unit="plot", time="week", shape=draws.student_t(5)),
    CompoundSymmetry(sd={"a": 1.0, "b": 2.0}, rho=-0.2, unit="plot", by="arm"),
    Unstructured(sd={0: 1.0, 1: 2.0}, corr={(0, 1): 0.3}, unit="plot", time="week"),
    Unstructured(sd={0: 1.0, 1: 2.0, 2: 1.5}, corr={(0, 1): 0.3, (0, 2): 0.3, (1, 2): 0.1}, unit="plot", time="week"),
    Unstructured(sd={"v1": 1.0, "v2": 2.0}, corr=0.3, unit="plot", time="visit"),
]


@pytest.mark.parametrize("residual", KINDS, ids=lambda one: type(one).__name__)
def test_every_kind_of_residual_comes_back(residual):
    design = crossed(plot=2, week=[0, 1, 2], arm=["a", "b"]).assign(n=1.0)
    model = Model("y ~ 1 + (1 | plot)", {"Intercept": 1}, {"plot": 1.0}, residual)
    text = as_toml(model) + "[[design]]\ncrossed = { plot = 2, week = [0] }\n"
    document = Document.read(text)
    from lmmsim.course.worlds import residual_of

    assert residual_of(document, ("residual",)) == residual
    assert len(design)


@pytest.mark.parametrize(
    "effect",
    [
        Random(2.0),
        Random({"Intercept": 1.0, "week": 2}, 0.3, draws.uniform()),
        Random({"Intercept": 1.0, "week": 2.0}, {("Intercept", "week"): -0.5}),
        Random({"Intercept": 1.0, "week": 2.0}, np.array([[1.0, 0.25], [0.25, 1.0]])),
        Random({"Intercept": 1.0}, 0.0, draws.contaminated(0.1, 4)),
    ],
)
def test_every_random_effect_comes_back(effect):
    bar = "week" if len(effect.sds) > 1 else "1"
    model = Model(f"y ~ week + ({bar} | plot)", {"Intercept": 1, "week": 1}, {"plot": effect}, 1.0)
    design = crossed(plot=3, week=[0, 1])
    assert back(as_toml(model, design))[0].random == model.random


def test_words_of_any_kind_come_back():
    words = {"formula": 'y ~ "a\\b"', "beta": {"x=1": 1.5, "é # [q]": 2, "": -1e-300}, "t": ["\x7f\n\t", True], "e": {}}
    assert Document.read(dumps(words)).values == words


def test_a_design_can_be_drawn():
    text = """
formula = "score ~ prior + (1 | school)"
residual = 1
[beta]
Intercept = 50
prior = 2
[random]
school = 3
[[design]]
nested = { school = 4, pupil = 5 }
[[design]]
covariate = { at = "pupil", prior = { normal = { sd = 2 } } }
[[design]]
assign = { to = "pupil", seat = ["front", "back"], rng = true }
"""
    one, other, same = (back(text, rng=k)[1] for k in (1, 2, 1))
    pd.testing.assert_frame_equal(one, same)
    assert not one["prior"].equals(other["prior"]) and not one["seat"].equals(other["seat"])
    with pytest.raises(ValueError, match=r"line 12, design\[2\].covariate: this step draws at random"):
        back(text)


GOOD = """formula = "height ~ week + (week | plot)"
residual = 1.0

[beta]
Intercept = 10.0
week = 2.0

[random.plot]
sd = { Intercept = 2.0, week = 0.4 }
corr = 0.3

[[design]]
crossed = { plot = 10, week = [0, 1, 2] }
"""


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("week = 2.0", "wek = 2.0", r"line 6, beta.wek: beta does not match the formula.*\n.*week\n.*wek"),
        ("week = 2.0", "week = 'two'", r"line 6, beta.week: this is 'two'; it has to be a number"),
        ("week = 2.0", "week = true", r"line 6, beta.week: this is True; it has to be a number"),
        ("week = 2.0", "week = inf", r"line 6, beta.week: this is inf; it has to be a number"),
        ("residual = 1.0", "residual = -1", r"line 2, residual: the sd of 'residual' is -1"),
        ("residual = 1.0", "residual = { kind = 'AR2' }", r"line 2, residual.kind: 'AR2' is no kind of residual"),
        ("residual = 1.0", "", r"line 1, the file: 'residual' is missing"),
        ("corr = 0.3", "corr = 1.3", r"line 8, random.plot: .*correlation"),
        ("corr = 0.3", "core = 0.3", r"line 10, random.plot.core: 'core' is not known here; the keys are 'sd', 'corr'"),
        ("corr = 0.3", "shape = 'lumpy'", r"line 8, random.plot: the shape is 'lumpy'; it is one of 'normal'"),
        ("[random.plot]", "[random.plots]", r"line 8, random.plots: random does not match the formula"),
        ("crossed", "cross", r"line 13, design\[1\].cross: 'cross' can't stand here; the first step is one of table"),
        ("plot = 10", "plot = 0", r"line 13, design\[1\].crossed: .*plot"),
        ("plot = 10", "plants = 10", r"line 1, formula: .*'plot' is not a column"),
        ("week | plot", "week || || plot", r"line 1, formula: "),
        ("[beta]", "[beta", r"model.toml: .*line 4"),
        ("[beta]", "[bets]", r"line 4, bets: 'bets' is not known here"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line_and_key(old, new, match):
    back(GOOD)
    with pytest.raises(ValueError, match="(?s)" + match):
        back(GOOD.replace(old, new, 1))


def test_units_belong_to_columns():
    assert back(GOOD + '[units]\nheight = "cm"\n')[1].attrs["units"] == {"height": "cm"}
    with pytest.raises(
        ValueError, match=r"line 15, units.size: 'size' is no column; they are 'plot', 'week', 'height'"
    ):
        back(GOOD + '[units]\nsize = "cm"\n')


def test_tables_without_end_are_refused():
    with pytest.raises(ValueError, match=r"more than can be read|line"):
        Document.read("a = " + "[" * 100_000)


def test_what_a_file_cannot_hold_is_refused():
    from lmmsim import LMM

    data = simulate(*back(GOOD), rng=1).data
    with pytest.raises(ValueError, match="made from a fit stands on its data"):
        as_toml(Model.from_fit(LMM("height ~ week + (week | plot)")(data)))
    own = draws.Shape("mine", lambda rng, size: rng.normal(size=size), (), 0.0, 1.0)
    with pytest.raises(ValueError, match="'mine' is no function of"):
        as_toml(Model("y ~ 1 + (1 | g)", {"Intercept": 1}, {"g": Random(1.0, shape=own)}, 1.0))
