"""Where the likelihood of a residual's numbers has no maximum, the message says which of them runs away."""

import numpy as np
import pytest

from lmmsim import AR1, IID, LMM, Unstructured, crossed


def units(count, times, rng):
    """Units in two arms at some times, and noise; the arms take two of the units' dimensions."""
    design = crossed(unit=count, t=list(range(times)))
    arm = np.repeat(np.where(np.arange(count) % 2, "a", "b"), times)
    return design.assign(arm=arm), np.random.default_rng(rng).normal(size=(count * times, 3))


def test_more_times_than_the_arms_leave_of_the_units_name_the_time_that_is_fitted_exactly():
    """Six units less two means have four dimensions: some combination of five times does not vary at all."""
    design, Y = units(6, 5, 1)
    X = np.column_stack([np.ones(6), np.arange(6) % 2])
    by_unit = Y[:, 0].reshape(6, 5)
    assert np.linalg.matrix_rank(by_unit - X @ np.linalg.lstsq(X, by_unit, rcond=None)[0]) == 4
    found = LMM("y ~ arm * C(t)", residual=Unstructured(unit="unit", time="t")).many(Y, design)
    assert not found.converged.any()
    for message in found.message:
        assert message == (
            "the likelihood has no maximum that could be found: it grows while what 4 of 't' has beside the earlier "
            "times goes to zero; take a residual with fewer numbers, or more units"
        )
    enough, Y = units(9, 5, 1)
    found = LMM("y ~ arm * C(t)", residual=Unstructured(unit="unit", time="t")).many(Y, enough)
    assert found.converged.all() and (found.message == "").all()


@pytest.mark.parametrize("few", ["a", "b"])
def test_a_level_whose_rows_are_fitted_exactly_is_named(few):
    """Every unit of one arm has one row, which its own random intercept can fit."""
    design, Y = units(8, 4, 2)
    Y = Y + 3 * np.repeat(np.random.default_rng(3).normal(size=8), 4)[:, None]
    keep = ~((design["arm"] == few) & (design["t"] > 0))
    design, Y = design[keep].reset_index(drop=True), Y[keep]
    fits = LMM("y ~ arm + (1 | unit)", residual=IID(by="arm")).many(Y, design)
    for message, converged in zip(fits.message, fits.converged, strict=True):
        assert converged == (few == "b")
        assert converged or f"it grows while the residual sd of '{few}' goes to zero" in message


def test_gaps_that_leave_a_covariance_all_but_singular_end_in_words():
    """Eight units at four times that go together closely, a fifth of the rows lost: no search ends in an exception."""
    rng = np.random.default_rng(2)
    L = np.linalg.cholesky(0.9 ** np.abs(np.subtract.outer(range(4), range(4))))
    design, _ = units(8, 4, 0)
    Y = np.stack([(rng.normal(size=(8, 4)) @ L.T + 0 * rng.normal(size=(8, 1))).ravel() for _ in range(6)], 1)
    Y[rng.random(Y.shape) < 0.2] = np.nan
    found = LMM("y ~ arm + t", residual=Unstructured(unit="unit", time="t")).many(Y, design)
    assert ((found.message == "") == found.converged).all()


def test_a_search_from_many_starts_is_the_same_alone_and_among_others():
    """Few responses are tried at all points of the grid at once, many at one point after the other."""
    design, _ = units(10, 5, 0)
    rng = np.random.default_rng(5)
    Y = rng.normal(size=(50, 12)).cumsum(axis=0) / 3 + rng.normal(size=(50, 12))
    analysis = LMM("y ~ arm + t + (1 | unit)", residual=AR1(unit="unit", time="t"))
    together = analysis.many(Y, design)
    for k in (0, 5, 11):
        np.testing.assert_allclose(analysis.many(Y[:, [k]], design).criterion[0], together.criterion[k], atol=1e-6)
