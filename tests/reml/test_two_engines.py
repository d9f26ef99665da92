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
