"""What the engines are made of, part by part: derivatives against differences, and the last design that is refused."""

import numpy as np
import pandas as pd
import pytest

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.engine import Engine
from lmmsim.reml.residual_correlations import Fading, Shared

UNITS, TIMES = np.repeat(np.arange(3), 4), np.tile([0.0, 1.0, 2.0, 5.0], 3)
STEP = 1e-5


@pytest.mark.parametrize(
    "correlation",
    [Fading(TIMES, UNITS, None), Fading(TIMES * 0.7, UNITS, None), Shared(UNITS, None)],
    ids=["AR1 at whole steps", "AR1 at any times", "compound symmetry"],
)
@pytest.mark.parametrize("z", [-0.7, 0.4])
def test_a_correlation_is_differentiated_twice(correlation, z):
    looks = correlation.looks[None, :4]
    C = correlation.piece(looks, np.ones((1, 4, 4), dtype=bool))
    (value, first, second), (above, *_), (below, *_) = (C(np.array([[at]])) for at in (z, z + STEP, z - STEP))
    np.testing.assert_allclose(first, (above - below) / (2 * STEP), atol=1e-9)
    np.testing.assert_allclose(second, (above - 2 * value + below) / STEP**2, atol=1e-4)
    assert np.linalg.eigvalsh(value[0, 0]).min() > 0 and np.allclose(np.diagonal(value[0, 0]), 1)


@pytest.mark.parametrize("rows", [12, 13])
def test_as_many_random_effects_as_rows_are_refused_and_one_less_is_not(rows):
    t = np.tile([0.0, 1.0], 6)
    columns, codes = np.column_stack([np.ones(12), t]), np.repeat(np.arange(6), 2)
    if rows == 13:
        columns, codes = np.vstack([columns, [1.0, 3.0]]), np.append(codes, 5)
    term = RandomTerm("g", ("Intercept", "t"), columns, codes, pd.RangeIndex(6))
    if rows == 12:
        with pytest.raises(ValueError, match=r"has 12 random effects \(6 levels x 2 columns\) .* only 12 rows"):
            Engine(np.ones((12, 1)), [term])
    else:
        assert Engine(np.ones((13, 1)), [term]).problem.n == 13
