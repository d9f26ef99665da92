"""The equation of a design is worked out once for every question that is asked of it."""

import numpy as np
import pytest

from lmmsim import LMM, OLS, scenarios, simulate, simulate_many, study
from lmmsim.estimators import lmm, regression
from lmmsim.model import columns, model


@pytest.fixture
def counted(monkeypatch):
    """How often the columns of a formula are built from a frame."""
    formulas = []

    def build(formula, *arguments, **options):
        formulas.append(formula)
        return columns.build(formula, *arguments, **options)

    for user in (model, lmm, regression):
        monkeypatch.setattr(user, "build", build)
    return formulas


@pytest.mark.parametrize("question", ["V", "G", "R", "Z", "X", "describe", "icc", "r2"])
def test_every_question_builds_the_columns_once(counted, question):
    world, design = scenarios.plant_growth()
    getattr(world, question)(design)
    assert counted == [world.formula]


@pytest.mark.parametrize("draw", [simulate, lambda world, design, rng: simulate_many(world, design, 600, rng=rng)])
def test_a_simulation_builds_the_columns_once(counted, draw):
    world, design = scenarios.plant_growth()
    draw(world, design, rng=1)
    assert counted == [world.formula]


def test_a_study_builds_the_columns_once_for_itself_and_once_for_each_analysis(counted):
    """Three batches, which share the work on the design."""
    world, design = scenarios.plant_growth()
    study(world, design, {"LMM": LMM(world.formula), "OLS": OLS("height ~ week")}, 3000, rng=1)
    assert sorted(counted) == sorted([world.formula, world.formula, "height ~ week"])


def test_the_equation_of_a_fit_is_that_of_its_estimates():
    world, design = scenarios.plant_growth()
    fit = LMM(world.formula)(simulate(world, design, rng=1).data)
    equation = fit.equation
    G, R = equation.G.toarray()[:2, :2], equation.R.toarray()
    np.testing.assert_allclose(G, fit.random["plot"])
    np.testing.assert_allclose(R, fit.sigma**2 * np.eye(len(design)))
    rows = np.array([0, 3, 7])
    np.testing.assert_allclose(equation.V_of(rows), equation.V[np.ix_(rows, rows)])
