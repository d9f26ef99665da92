"""What the engines are made of, part by part: derivatives against differences, and the last design that is refused."""

import numpy as np
import pandas as pd
import pytest

from lmmsim.model.columns import RandomTerm
from lmmsim.model.standard import MANY, thin_qr
from lmmsim.reml.engine import Engine
from lmmsim.reml.level_sums import FEW, LevelSums
from lmmsim.reml.newton import Minimum
from lmmsim.reml.residual_correlations import Fading, Shared
from lmmsim.reml.theta import Coordinates, pack

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


@pytest.mark.parametrize("m", [1, 2, FEW, FEW + 1, 30])
def test_sums_over_levels_are_those_of_the_matrix_to_the_last_digit(m):
    """Two factors whose rows come in any order, one of them with a level that no row has."""
    rng = np.random.default_rng(5)
    codes = [rng.integers(0, 7, 200), np.delete(np.arange(12), 4)[rng.integers(0, 11, 200)]]
    columns = [rng.normal(size=200), np.ones(200)]
    sums, values, effects = LevelSums(codes, columns, [7, 12]), rng.normal(size=(200, m)), rng.normal(size=(19, m))
    Z = np.zeros((200, 19))
    Z[np.arange(200), codes[0]], Z[np.arange(200), 7 + codes[1]] = columns
    np.testing.assert_array_equal(sums.matrix.toarray(), Z.T)
    np.testing.assert_array_equal(sums @ values, sums.matrix @ values)
    np.testing.assert_allclose(sums @ values, Z.T @ values, atol=1e-12)
    np.testing.assert_array_equal(sums.back(effects), sums.matrix.T @ effects)
    left = values.copy()
    sums.take_away(left, effects)
    np.testing.assert_array_equal(left, values - sums.matrix.T @ effects)


@pytest.mark.parametrize("rows", [MANY - 1, MANY])
def test_long_columns_are_made_orthonormal_as_short_ones_are(rows):
    X = np.random.default_rng(2).normal([0.0, 5.0, 5000.0], size=(rows, 3))
    Q, R = thin_qr(X.copy(order="F"))
    np.testing.assert_allclose(Q @ R, X, rtol=1e-12)
    np.testing.assert_allclose(Q.T @ Q, np.eye(3), atol=1e-14)
    assert Q.shape == (rows, 3) and (np.tril(R, -1) == 0).all()


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_bound_finds_the_same_small_standard_deviations_as_the_singular_values(k):
    rng, coordinates = np.random.default_rng(k), Coordinates([k])
    factors = np.tril(rng.normal(size=(300, k, k)))
    factors[:, -1] *= 10.0 ** rng.uniform(-4, 0, size=(300, 1))
    small = np.flatnonzero(np.linalg.svd(factors, compute_uv=False).min(axis=1) < 0.03)
    one_by_one = [i for i in range(300) if coordinates.without_smallest(pack([factors[i : i + 1]]), 0.03)[0].size]
    assert 0 < small.size < 300 and one_by_one == small.tolist()
    assert coordinates.without_smallest(pack([factors]), 0.03)[0].tolist() == small.tolist()


@pytest.mark.parametrize(
    ("mine", "other", "better"),
    [
        ((2.0, True), (1.0, True), "other"),
        ((1.0, True), (2.0, True), "mine"),
        ((2.0, False), (1.0, False), "other"),
        ((1.0, True), (0.5, False), "mine"),
        ((1.0, True), (2.0, False), "mine"),
        ((1.0, False), (1.0, True), "other"),
        ((1.0, False), (2.0, True), "mine"),
    ],
)
def test_of_two_searches_the_lower_end_counts_and_one_that_did_not_converge_never_replaces_one_that_did(
    mine, other, better
):
    ends = {
        name: Minimum(np.array([[at]]), np.array([value]), np.array([converged]), np.array([5]))
        for at, (name, (value, converged)) in enumerate({"mine": mine, "other": other}.items())
    }
    found = ends["mine"].or_better(np.array([0]), ends["other"])
    for field in ("theta", "value", "converged"):
        np.testing.assert_array_equal(getattr(found, field), getattr(ends[better], field))
    assert found.evaluations == 10
