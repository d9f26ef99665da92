"""Covariance matrices against their definitions and against matrices written out by hand."""

import json

import numpy as np
import pytest
from places import REFERENCE

from lmmsim.covariance import ar1, continuous_ar1, exchangeable, from_sd, square_root, to_sd

REFERENCE = json.loads((REFERENCE / "marginal_cov.json").read_text(encoding="utf-8"))
V = {case["id"]: np.array(case["V"]) for case in REFERENCE}

CORR = np.array([[1.0, 0.3, -0.2], [0.3, 1.0, 0.5], [-0.2, 0.5, 1.0]])


def test_covariance_is_sd_times_correlation_times_sd():
    sd = np.array([12.0, 0.6, 3.0])
    cov = from_sd(sd, CORR)
    for i in range(3):
        for j in range(3):
            assert cov[i, j] == pytest.approx(sd[i] * CORR[i, j] * sd[j], rel=1e-15)
    # the mistake of R @ SD @ SD, which is not even symmetric when the sds differ
    assert not np.allclose(cov, CORR @ np.diag(sd) @ np.diag(sd))


def test_one_correlation_is_shared_by_all_pairs():
    assert np.array_equal(from_sd([1, 2, 3], 0.5), [[1, 1, 1.5], [1, 4, 3], [1.5, 3, 9]])
    assert np.array_equal(from_sd([2.0], 0.5), [[4.0]])
    assert np.array_equal(from_sd(2.0), [[4.0]])


def test_sd_and_correlations_come_back():
    sd, corr = to_sd(from_sd([12.0, 0.6, 3.0], CORR))
    np.testing.assert_allclose(sd, [12.0, 0.6, 3.0], rtol=1e-14)
    np.testing.assert_allclose(corr, CORR, rtol=1e-14)


def test_what_does_not_vary_has_no_correlation():
    cov = from_sd([2.0, 0.0], 0.3)
    sd, corr = to_sd(cov)
    assert np.array_equal(corr, np.eye(2))
    assert np.array_equal(from_sd(sd, corr), cov)


def test_unequal_spacing_counts_gaps_not_ranks():
    np.testing.assert_allclose(continuous_ar1([0, 1, 3, 7], 0.6, np.sqrt(3)), V["AR1_unequal_spacing_CAR1"], rtol=1e-12)


def test_negative_compound_symmetry_matches_the_written_matrix():
    two_groups = np.kron(np.eye(2), exchangeable(4, -0.3, np.sqrt(5)))
    np.testing.assert_allclose(two_groups, V["compound_symmetry_negative"], rtol=1e-12)


def test_equal_spacing_is_a_case_of_continuous_time():
    assert np.array_equal(ar1(4, 0.7, 2.0), continuous_ar1([3, 4, 5, 6], 0.7, 2.0))
    assert np.array_equal(ar1(4, 0.0), np.eye(4))
    assert ar1(3, -0.5)[0].tolist() == [1.0, -0.5, 0.25]


def test_halving_the_unit_of_time_takes_the_root_of_rho():
    times = np.array([0.0, 0.3, 1.1, 4.0])
    np.testing.assert_allclose(continuous_ar1(times, 0.64), continuous_ar1(2 * times, 0.8), rtol=1e-13)


def test_sd_may_differ_from_measurement_to_measurement():
    assert np.array_equal(np.diagonal(ar1(3, 0.5, sd=[1, 2, 3])), [1, 4, 9])


@pytest.mark.parametrize(
    "cov",
    [
        from_sd([12.0, 0.6, 3.0], CORR),
        from_sd([1e-6, 1e6], 0.9),
        from_sd([2.0, 0.0, 1.0], 0.3),
        from_sd([2.0, 0.5], 1.0),
        from_sd([2.0, 0.5], -1.0),
        from_sd([1.0, 2.0, 3.0], 1.0),
        exchangeable(4, -1 / 3, 2.0),
        np.zeros((2, 2)),
        ar1(30, 0.99),
    ],
)
def test_square_root_times_itself_is_the_covariance(cov):
    L = square_root(cov)
    np.testing.assert_allclose(L @ L.T, cov, rtol=1e-9, atol=1e-12 * max(cov.max(), 1e-300))
    assert np.array_equal(L, np.tril(L))
    assert (np.diagonal(L) >= 0).all()


def test_what_has_no_variance_is_exactly_constant():
    L = square_root(from_sd([2.0, 0.0, 1.0], 0.3))
    assert not L[1].any() and not L[:, 1].any()


def test_perfectly_correlated_effects_are_multiples_of_each_other():
    L = square_root(from_sd([0.3, 0.7], -1.0))
    np.testing.assert_allclose(L[1] / 0.7, -L[0] / 0.3, atol=1e-15)


def test_square_root_of_a_regular_matrix_is_its_cholesky_factor():
    cov = from_sd([12.0, 0.6, 3.0], CORR)
    np.testing.assert_allclose(square_root(cov), np.linalg.cholesky(cov), rtol=1e-13)


def test_arguments_are_left_as_they_were():
    sd, corr = np.array([1.0, 2.0]), np.array([[1.0, 0.2], [0.2, 1.0]])
    cov = from_sd(sd, corr)
    before = cov.copy()
    square_root(cov), to_sd(cov)
    assert np.array_equal(cov, before)
    assert sd.tolist() == [1.0, 2.0] and corr[0, 1] == 0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: from_sd([1.0, -2.0]), r"sd cannot be negative: got -2 in \[1.0, -2.0\]"),
        (lambda: from_sd([1.0, np.nan]), "sd must be finite numbers"),
        (lambda: from_sd(np.ones((2, 2))), r"one per effect; it has the shape \(2, 2\)"),
        (lambda: from_sd([1, 1, 1], -0.6), r"impossible correlations.*is -0\.2,.*shared by 3 .* between -0\.5 and 1"),
        (lambda: from_sd([1, 1], 1.2), r"impossible correlations.*between -1 and 1, got 1\.2"),
        (
            lambda: from_sd([1, 1, 1], [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]),
            r"impossible correlations: the smallest eigenvalue of the correlation matrix is -0\.8,",
        ),
        (lambda: from_sd([1, 1], CORR), "corr has 3 rows and columns, but there are 2 sds"),
        (
            lambda: from_sd([1, 1], [[1, 0.2], [0.3, 1]]),
            r"corr is not symmetric: entry \(0, 1\) is 0.2, \(1, 0\) is 0.3",
        ),
        (lambda: from_sd([1, 1], [[2, 0.2], [0.2, 1]]), "with 1 on the diagonal"),
        (lambda: from_sd([1, 1], np.nan), "finite numbers"),
        (lambda: to_sd([[-1.0]]), "has the variance -1, which is below 0"),
        (lambda: to_sd([1.0, 2.0]), r"cov must be a square matrix; it has the shape \(2,\)"),
        (lambda: square_root([[1, 2], [2, 1]]), "its smallest eigenvalue is -1, and none may be below 0"),
        (lambda: square_root([[1, 1], [1, 0]]), "its smallest eigenvalue is -0.618034"),
        (lambda: square_root([[1, np.inf], [np.inf, 1]]), "finite numbers"),
        (lambda: exchangeable(4, -0.4), r"shared by 4 must lie between -0\.333333 and 1, got -0\.4"),
        (lambda: exchangeable(0, 0.4), "must be 1, 2, 3, ...; got 0"),
        (lambda: ar1(2.5, 0.4), "must be 1, 2, 3, ...; got 2.5"),
        (lambda: ar1(3, 1.0), "must lie between -1 and 1; got 1"),
        (lambda: ar1(3, 0.5, sd=[1, 2]), r"sd must be one number or 3, one per measurement; it has the shape \(2,\)"),
        (lambda: continuous_ar1([0, 1], "0.5"), "must lie between -1 and 1; got '0.5'"),
        (lambda: continuous_ar1([0, 0.5], -0.5), r"rho = -0\.5 is negative, and has no power 0\.5"),
        (lambda: continuous_ar1([0, 2, 2], 0.5), "time 2 occurs 2 times"),
        (lambda: continuous_ar1([0, np.nan], 0.5), "times must be a list of numbers"),
    ],
)
def test_impossible_requests_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
