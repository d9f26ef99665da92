"""Groups that were observed alike are one pattern, whose cross-products are added up; that costs no digit."""

import sys

import numpy as np
import pandas as pd
import pytest

from lmmsim import LMM
from lmmsim.model.columns import build
from lmmsim.reml import stacks
from lmmsim.reml.engine import Engine


def groups(times):
    """One group for each list of times."""
    return pd.DataFrame(
        {"g": np.repeat(np.arange(len(times)), [len(own) for own in times]), "t": np.concatenate(times).astype(float)}
    )


def criterion(data, Y, G, reml=True):
    """-2 log-likelihood of y ~ t + (t | g) with residual variance profiled, from whole n x n matrices."""
    n, X = len(data), np.column_stack([np.ones(len(data)), data["t"]])
    same = np.equal.outer(data["g"].to_numpy(), data["g"].to_numpy())
    V = np.eye(n) + same * (X @ G @ X.T)
    inverse = np.linalg.inv(V)
    XVX = X.T @ inverse @ X
    rest = Y - X @ np.linalg.solve(XVX, X.T @ inverse @ Y)
    dof = n - 2
    s2 = np.einsum("im,ij,jm->m", rest, inverse, rest) / dof
    return np.linalg.slogdet(V)[1] + np.linalg.slogdet(XVX)[1] + dof * (1 + np.log(2 * np.pi * s2))


@pytest.mark.parametrize(
    "times",
    [
        [[0, 1, 2]] * 6,
        [[0, 1, 2]] * 4 + [[0, 1]] * 3 + [[0, 1, 2, 3]] * 3 + [[1, 2, 4]] + [[0, 5]],
        [[0, 1 + j / 7, 2 + j] for j in range(9)],
    ],
    ids=["one pattern", "five patterns, of one, three and four groups", "every group its own"],
)
def test_the_criterion_is_that_of_whole_matrices_whoever_was_observed_alike(times):
    data, G = groups(times), np.array([[1.5, 0.2], [0.2, 0.4]])
    Y = np.random.default_rng(1).normal(size=(len(data), 3))
    matrices = build("y ~ t + (t | g)", data)
    L = np.linalg.cholesky(G)
    ours = Engine(matrices.X.to_numpy(), matrices.terms).criterion(np.array([L[0, 0], L[1, 0], L[1, 1]]), Y)
    np.testing.assert_allclose(ours, criterion(data, Y, G), rtol=1e-10)


def test_distinct_rows_are_sorted_and_found_again():
    rows = np.array([[2.0, 1.0], [0.0, 5.0], [2.0, 1.0], [2.0, 0.0], [0.0, 5.0], [2.0, 1.0]])
    first, which, count = stacks.distinct(rows)
    assert rows[first].tolist() == [[0.0, 5.0], [2.0, 0.0], [2.0, 1.0]]
    assert first.tolist() == [1, 3, 0] and count.tolist() == [2, 1, 3]
    assert (rows[first][which] == rows).all()


def calls_of(work):
    """How many functions Python calls, those written in C included."""
    count = 0

    def counting(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counting)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_ten_times_as_many_groups_take_no_more_steps_of_python():
    """Every group is its own pattern where a covariate differs; a loop over the groups would show in every fit."""
    fit, counts = LMM("y ~ t + (t | g)"), []
    for size in (40, 400):
        rng = np.random.default_rng(size)
        data = groups([[0, 1, 2, 3, 4]] * size)
        data["t"] += rng.random(len(data))
        data["y"] = rng.normal(size=len(data)) + (rng.normal(size=(size, 2)) @ [[1, 0.5], [0, 1]])[data["g"], 0]
        fit(data)
        counts.append(calls_of(lambda data=data: fit(data)))
    assert counts[1] < 2 * counts[0]
