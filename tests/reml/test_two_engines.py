"""Residuals with a structure, by V itself and by whitening: two ways to one likelihood, in any unit of the response."""

import numpy as np
import pytest

from lmmsim import AR1, IID, crossed
from lmmsim.model.columns import build
from lmmsim.reml.marginal_engine import MarginalEngine
from lmmsim.reml.structured import numbers_of
from lmmsim.reml.whitened import Whitened


@pytest.mark.parametrize("unit", [1.0, 1000.0], ids=["in meters", "in millimeters"])
@pytest.mark.parametrize("residual", [AR1(unit="plot", time="week"), IID(by="week")], ids=["AR1", "IID by week"])
@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
def test_both_engines_find_the_same_fit_with_the_same_df(residual, unit, reml):
    data, rng = crossed(plot=8, week=[0, 1, 2, 3]), np.random.default_rng(4)
    data["x"] = rng.normal(size=32)
    y = rng.normal(size=32) + np.repeat(rng.normal(size=8), 4) + 0.3 * rng.normal(size=32).cumsum()
    matrices, numbers = build("y ~ week + x + (1 | plot)", data), numbers_of(residual, data)
    X, Y = matrices.X.to_numpy(), unit * y[:, None]
    one, other = (kind(X, matrices.terms, numbers) for kind in (MarginalEngine, Whitened))
    found, white = (engine.fit(Y, reml=reml, df=True) for engine in (one, other))
    np.testing.assert_allclose(white.criterion, found.criterion, atol=1e-5)
    np.testing.assert_allclose(white.beta, found.beta, rtol=1e-3)
    np.testing.assert_allclose(white.vcov, found.vcov, rtol=1e-3, atol=1e-5 * np.abs(found.vcov).max())
    L = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    for asked in (None, L):
        np.testing.assert_allclose(other.satterthwaite(white, asked), one.satterthwaite(found, asked), rtol=5e-3)


@pytest.mark.parametrize("residual", [AR1(unit="plot", time="week"), IID(by="week")], ids=["AR1", "IID by week"])
def test_both_engines_find_the_same_fits_and_df_of_contrasts_where_values_are_missing(residual):
    data, rng = crossed(plot=9, week=[0, 1, 2, 3]), np.random.default_rng(5)
    Y = rng.normal(size=(36, 3)) + np.repeat(rng.normal(size=(9, 3)), 4, axis=0)
    Y[rng.permutation(36)[:9], 1] = np.nan
    Y[rng.permutation(36)[:9], 2] = np.nan
    matrices, numbers = build("y ~ week + (1 | plot)", data), numbers_of(residual, data)
    engines = [kind(matrices.X.to_numpy(), matrices.terms, numbers) for kind in (MarginalEngine, Whitened)]
    one, other = (engine.fit(Y, df=True) for engine in engines)
    np.testing.assert_allclose(other.criterion, one.criterion, atol=1e-5)
    np.testing.assert_allclose(other.beta, one.beta, rtol=1e-3, atol=1e-4)
    for asked in (None, np.array([[1.0, 2.0]])):
        found, white = (e.satterthwaite(fit, asked) for e, fit in zip(engines, (one, other), strict=True))
        np.testing.assert_allclose(white, found, rtol=5e-3)
        assert (abs(found[1:] / found[0] - 1) > 0.01).all()  # the df tell that rows are missing
    for left, right in zip(engines[0].modes(one, Y), engines[1].modes(other, Y), strict=True):
        np.testing.assert_allclose(right, left, atol=1e-3)
