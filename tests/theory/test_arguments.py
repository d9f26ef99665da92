"""Theory refuses numbers that no world has."""

import inspect

import numpy as np
import pytest

from lmmsim import Model, exact_power, theory
from lmmsim.scenarios import teaching_methods


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: theory.design_effect(20, 20), "icc is 20"),
        (lambda: theory.design_effect(20, -5), "icc is -5"),
        (lambda: theory.design_effect("a", 0.1), "size is 'a'"),
        (lambda: theory.type1_between(10, 5, 20), "icc is 20"),
        (lambda: theory.type1_between(10, 5, -0.5), "icc is -0.5"),
        (lambda: theory.type1_between(10, 5, 0.1, alpha=5), "alpha is 5"),
        (lambda: theory.type1_between(1, 5, 0.1), "clusters is 1; it is an even number, 4 or more"),
        (lambda: theory.type1_between(7, 5, 0.1), "clusters is 7; it is an even number"),
        (lambda: theory.type1_within(10, 1, 0.1), "size is 1"),
        (lambda: theory.type1_omitted_slope(10, [1, 1, 1], 1, 1), "two of them different"),
        (lambda: theory.type1_items_ignored(10, 5, 1, 1), "items is 5"),
        (lambda: theory.type1_wald_z([2, 0]), "degrees of freedom are above 0"),
        (lambda: theory.type1_pooled_t((10, 10), (-1, 1)), "the sd of a group is -1"),
        (lambda: theory.boundary_probability(10, 5, -3), "ratio is -3"),
        (lambda: theory.boundary_probability(np.nan, 5, 0.0), "groups is nan"),
        (lambda: theory.variance_estimates(5, 1, 1, 1), "size is 1"),
        (lambda: theory.forgotten_level(20, 1, 1, 1, 1, 1), r"classes \* pupils is 1"),
        (lambda: theory.group_mean_mse(2, 0, 0), "both sds are 0"),
        (lambda: theory.variance_of_variance(0), "n is 0"),
        (lambda: theory.p_boundary(-1), "chisq is -1"),
        (lambda: theory.dropout_means(0, 2), "corr is 2"),
        (lambda: theory.dropout_means(0, 0.5, sd=0), "their sd is above 0"),
        (lambda: theory.ar1_design_effects([1, 1], 0.5), "two different times"),
    ],
)
def test_impossible_numbers_are_refused_by_name(call, says):
    with pytest.raises(ValueError, match=says):
        call()


AT_LEVEL = {
    "type1_between": (10, 5, 0.1),
    "type1_within": (10, 4, 0.1),
    "type1_omitted_slope": (10, [0, 1, 2], 1, 1),
    "type1_items_ignored": (10, 6, 1, 1),
    "type1_wald_z": (5,),
    "type1_pooled_t": ((10, 20), (1, 2)),
}


@pytest.mark.parametrize("name", [name for name in theory.__all__ if name.startswith("type1")])
def test_every_level_that_a_test_may_have_is_a_probability(name):
    function = getattr(theory, name)
    assert "alpha" in inspect.signature(function).parameters and 0 < function(*AT_LEVEL[name], alpha=0.01) < 1
    for wrong in (0, 1, 5, -0.05, float("nan"), "0.05"):
        with pytest.raises(ValueError, match=f"alpha is '?{wrong}'?; it lies between 0 and 1"):
            function(*AT_LEVEL[name], alpha=wrong)


def test_exact_power_refuses_what_cannot_be_meant():
    model, design = teaching_methods(schools=6, pupils=4, effect=4)
    for wrong in (lambda: exact_power(None, design), lambda: exact_power(design, model)):
        with pytest.raises(TypeError, match="the model comes first, then the design"):
            wrong()
    with pytest.raises(TypeError, match="contrasts are weights by name"):
        exact_power(model, design, contrasts=[1])
    with pytest.raises(ValueError, match=r"the contrast 'c' weighs .* by nan"):
        exact_power(model, design, contrasts={"c": {"method[T.new]": float("nan")}})
    with pytest.raises(ValueError, match=r"alpha is '0.05'"):
        exact_power(model, design, "0.05")


def test_a_test_with_hardly_any_degrees_of_freedom_finds_nothing():
    model, design = teaching_methods(schools=6, pupils=4, effect=4)
    np.testing.assert_allclose(exact_power(model, design, df=1e-9)["power"], 0.05)


def test_a_covariance_that_no_memory_holds_is_refused():
    from lmmsim import crossed

    world = Model("y ~ 1 + (1 | g)", {"Intercept": 1}, {"g": 1.0}, 1.0)
    with pytest.raises(ValueError, match="V has 1000000 rows and columns, 8000 GB"):
        world.V(crossed(g=500_000, w=2))
    with pytest.raises(ValueError, match="a coefficient is a finite number"):
        Model("y ~ 1 + (1 | g)", {"Intercept": 10**400}, {"g": 1.0}, 1.0)
