"""Exact answers that no published table holds, against numbers drawn from the definitions."""

import numpy as np
import pytest

from lmmsim.theory import dropout_means, type1_between, variance_estimates

DRAWS = 200_000


@pytest.mark.parametrize(("groups", "size", "sd_group", "sd_residual"), [(5, 4, 0.7, 1.5), (8, 2, 2.0, 0.5)])
def test_estimated_variances_vary_as_sums_of_squares_do(groups, size, sd_group, sd_residual):
    rng = np.random.default_rng(1)
    large = sd_residual**2 + size * sd_group**2
    msb = large * rng.chisquare(groups - 1, DRAWS) / (groups - 1)
    msw = sd_residual**2 * rng.chisquare(groups * (size - 1), DRAWS) / (groups * (size - 1))
    anova = (msb - msw) / size
    exact = variance_estimates(groups, size, sd_group, sd_residual)
    for name, values in {"anova_var": anova, "residual_var": msw}.items():
        squares = (values - values.mean()) ** 2
        assert abs(squares.mean() - exact[name]) < 4.5 * squares.std() / np.sqrt(DRAWS), name
    assert exact["anova_cv"] == pytest.approx(np.sqrt(exact["anova_var"]) / sd_group**2)


def test_means_after_dropout_are_those_of_pairs_that_are_drawn():
    rng, mean, sd, corr, limit = np.random.default_rng(2), (3.0, 4.5), 2.0, 0.6, 2.5
    first = rng.normal(mean[0], sd, DRAWS)
    second = mean[1] + corr * (first - mean[0]) + sd * np.sqrt(1 - corr**2) * rng.normal(size=DRAWS)
    stays = first <= limit
    exact = dropout_means(limit, corr, mean, sd)
    error = 4.5 * sd / np.sqrt(stays.sum())
    assert exact["change"] == 1.5
    assert abs(stays.mean() - exact["complete"]) < 4.5 / np.sqrt(DRAWS)
    assert abs(second[stays].mean() - exact["mean2"]) < error
    assert abs((second - first)[stays].mean() - exact["change_completers"]) < error
    assert abs(second[stays].mean() - first.mean() - exact["change_available"]) < 1.5 * error


@pytest.mark.parametrize(("clusters", "size", "icc"), [(6, 5, 0.05), (4, 3, 0.0), (8, 10, 0.3)])
def test_the_likelihood_ratio_rejects_as_often_as_maximised_likelihoods_do(clusters, size, icc):
    """Both fits from sums of squares; where they are small, one or both variances of clusters are zero."""
    rng, J, n = np.random.default_rng(3), clusters, clusters * size
    large = 1 - icc + size * icc
    ssb, ssw = large * rng.chisquare(J - 2, DRAWS), (1 - icc) * rng.chisquare(n - J, DRAWS)
    added = large * rng.chisquare(1, DRAWS)

    def deviance(between):
        pooled = n * np.log((between + ssw) / n)
        free = J * np.log(between / J) + (n - J) * np.log(ssw / (n - J))
        return np.where(between / J < ssw / (n - J), pooled, free)

    rate = (deviance(ssb + added) - deviance(ssb) > 3.841459).mean()
    exact = type1_between(J, size, icc, analysis="LMM LRT, ML")
    assert abs(rate - exact) < 4.5 * np.sqrt(exact * (1 - exact) / DRAWS)
