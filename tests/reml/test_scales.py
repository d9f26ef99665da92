"""Where the response lies, and on which scale it is measured, costs no digits and changes nothing but units."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import LMM, OLS, GroupMeans, Within, assign, crossed, scenarios, simulate_many
from lmmsim.model.columns import build
from lmmsim.reml.engine import Engine


@pytest.fixture(scope="module")
def plants():
    """Matrices and ten responses of plant growth, rows in the order of the design."""
    model, design = scenarios.plant_growth(plots=12)
    return build(model.formula, design.assign(height=0.0)), simulate_many(model, design, 10, rng=1)


def spread(columns):
    """Which values are lost: none, or some of most responses."""
    lost = np.random.default_rng(2).random((60, 10)) < 0.1
    lost[:, 0] = False
    return lost & columns


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "with gaps"])
@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_an_offset_moves_the_intercept_and_nothing_else(plants, offset, gaps):
    """A billion on top of centimetres leaves seven digits of each; the fit of what is left is the same to as many."""
    matrices, Y = plants
    engine = Engine(matrices.X.to_numpy(), matrices.terms)
    moved = Y + offset
    exact = moved - offset  # what floating point has left of Y
    lost = spread(gaps)
    here, there = engine.fit(np.where(lost, np.nan, exact)), engine.fit(np.where(lost, np.nan, moved))
    digits = 1e-9 * offset / 1e6
    np.testing.assert_allclose(there.criterion, here.criterion, atol=1e-6)
    np.testing.assert_allclose(there.sigma, here.sigma, rtol=1e-6)
    np.testing.assert_allclose(there.vcov, here.vcov, rtol=1e-5, atol=1e-6 * np.abs(here.vcov).max())
    np.testing.assert_allclose(there.beta[:, 1:], here.beta[:, 1:], atol=digits)
    np.testing.assert_allclose(there.beta[:, 0] - offset, here.beta[:, 0], atol=max(digits, 4e-16 * offset))


def test_an_offset_of_ten_billion_costs_a_hundred_thousand_rows_no_more_than_its_last_bits():
    """Every row loses up to half a unit in the last place of the offset, 2**36 * 2**-53 of the residual's sd.

    Independent losses move the criterion by about 2 sqrt(n / 3) of these, 0.003. What least squares of such numbers
    leaves of X, sqrt(n) times as much, would come in squared and n times if it stayed: a second pass takes it out, and
    into the coefficients. What these keep is a last bit of the offset, 1.5e-5.
    """
    rng, plot = np.random.default_rng(1), np.repeat(np.arange(20_000), 5)
    data = pd.DataFrame({"plot": plot, "week": np.tile(np.arange(5.0), 20_000)})
    Y = rng.normal(size=(100_000, 2)) + rng.normal(size=(20_000, 2))[plot]
    Y = np.round(Y * 2**12) / 2**12  # so that the sum has every bit
    matrices = build("y ~ week + (1 | plot)", data)
    engine = Engine(matrices.X.to_numpy(), matrices.terms)
    here, there = engine.fit(Y), engine.fit(Y + 2.0**36)
    np.testing.assert_allclose(there.criterion, here.criterion, atol=0.02)
    np.testing.assert_allclose(there.sigma, here.sigma, rtol=2e-7)
    np.testing.assert_allclose(there.beta - [2.0**36, 0], here.beta, atol=2e-5)


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "with gaps"])
def test_a_steep_common_trend_costs_no_digits_of_what_scatters_around_it(plants, gaps):
    matrices, Y = plants
    X = matrices.X.to_numpy()
    engine = Engine(X, matrices.terms)
    trend = 2.0**30 * X[:, list(matrices.X.columns).index("week")]
    exact = (Y + trend[:, None]) - trend[:, None]
    lost = spread(gaps)
    here, there = (engine.fit(np.where(lost, np.nan, y)) for y in (exact, exact + trend[:, None]))
    np.testing.assert_allclose(there.criterion, here.criterion, atol=1e-6)
    np.testing.assert_allclose(there.sigma, here.sigma, rtol=1e-6)


@pytest.mark.parametrize(
    "analysis",
    [
        OLS("height ~ week * fertilizer"),
        OLS("height ~ week * fertilizer", cluster="plot"),
        GroupMeans("height ~ fertilizer", unit="plot"),
        Within("height ~ week", unit="plot"),
        LMM("height ~ week * fertilizer + (1 | plot)"),
    ],
    ids=lambda analysis: type(analysis).__name__,
)
@pytest.mark.parametrize("offset", [1e8])
def test_no_analysis_loses_its_errors_in_a_large_mean(analysis, offset):
    model, design = scenarios.plant_growth(plots=12)
    Y = simulate_many(model, design, 5, rng=1)
    exact = (Y + offset) - offset
    here, there = analysis.many(exact, design), analysis.many(exact + offset, design)
    np.testing.assert_allclose(there.se, here.se, rtol=1e-5)
    slopes = [i for i, term in enumerate(here.terms) if term != "Intercept"]
    np.testing.assert_allclose(there.estimate[:, slopes], here.estimate[:, slopes], atol=1e-6)
    one = analysis(design.assign(height=exact[:, 0] + offset))
    np.testing.assert_allclose(one.coef["se"], here.se[0], rtol=1e-5)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_another_unit_of_the_response_scales_everything(plants, unit):
    matrices, Y = plants
    engine = Engine(matrices.X.to_numpy(), matrices.terms)
    here, there = engine.fit(Y), engine.fit(unit * Y)
    np.testing.assert_allclose(there.beta, unit * here.beta, rtol=1e-6, atol=1e-9 * unit)
    np.testing.assert_allclose(there.sigma, unit * here.sigma, rtol=1e-6)
    dof = Y.shape[0] - matrices.X.shape[1]
    np.testing.assert_allclose(there.criterion, here.criterion + 2 * dof * np.log(unit), atol=1e-5)


def test_values_and_gaps_in_one_batch_do_not_disturb_each_other():
    """A response of a billion beside one around zero: each is what it is alone."""
    design = assign(crossed(plot=8, week=range(4)), to="plot", arm=["a", "b"])
    rng = np.random.default_rng(3)
    Y = rng.normal(size=(32, 3)) + rng.normal(size=(8, 3))[pd.factorize(design["plot"])[0]]
    Y[:, 1] += 1e9
    lmm = LMM("y ~ week * arm + (1 | plot)")
    together = lmm.many(Y, design)
    for i in range(3):
        alone = lmm.many(Y[:, [i]], design)
        np.testing.assert_allclose(together.se[i], alone.se[0], rtol=1e-6)
        np.testing.assert_allclose(together.criterion[i], alone.criterion[0], atol=1e-6)
