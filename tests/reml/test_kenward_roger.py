"""Kenward and Roger's errors and df, from n x n matrices, where a design is far from balanced and groups are few."""

import numpy as np
import pytest

from lmmsim.model.columns import build
from lmmsim.reml.engine import Engine


def by_hand(matrices, covariances, sigma):
    """Adjusted covariance and df: Kenward & Roger (1997), Biometrics 53:983, as pbkrtest has them (Halekoh & Hojsgaard
    2014, Journal of Statistical Software 59(9), section 5), for every coefficient, from V and its derivatives."""
    X, n = matrices.X.to_numpy(), len(matrices.X)
    G = []  # dV by each variance, covariance and the residual variance
    V = sigma**2 * np.eye(n)
    for term, covariance in zip(matrices.terms, covariances, strict=True):
        same = term.codes[:, None] == term.codes[None]
        V += same * (term.columns @ covariance @ term.columns.T)
        for i in range(len(covariance)):
            for j in range(i + 1):
                unit = np.zeros_like(covariance)
                unit[i, j] = unit[j, i] = 1.0
                G.append(same * (term.columns @ unit @ term.columns.T))
    G.append(np.eye(n))
    W = np.linalg.inv(V)
    Phi = np.linalg.inv(X.T @ W @ X)
    P = [-X.T @ W @ D @ W @ X for D in G]
    Q = [[X.T @ W @ A @ W @ B @ W @ X for B in G] for A in G]
    s = range(len(G))
    information = np.array(
        [[np.trace(W @ G[a] @ W @ G[b]) - np.trace(2 * Phi @ Q[a][b] - Phi @ P[a] @ Phi @ P[b]) for b in s] for a in s]
    )
    spread = 2 * np.linalg.inv(information)
    middle = sum(spread[a, b] * (Q[a][b] - P[a] @ Phi @ P[b]) for a in s for b in s)
    slopes = np.array([np.diagonal(Phi @ -D @ Phi) for D in P])  # of the variances of the estimates
    df = 2 * np.diagonal(Phi) ** 2 / np.einsum("ap,ab,bp->p", slopes, spread, slopes)
    return Phi + 2 * Phi @ middle @ Phi, df, Phi


def uneven(seed, n, **levels):
    """A table whose rows meet groups at random, with a covariate and a factor of the first group."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.integers(0, k, n).astype(str) for name, k in levels.items()})
    first = next(iter(levels))
    arm = table[first].astype(int) % 2
    return table.assign(x=rng.normal(size=n), t=rng.integers(0, 4, n).astype(float), arm=arm.to_numpy(float))


WORLDS = {
    "an intercept": ("y ~ arm + x + (1 | g)", uneven(1, 24, g=5)),
    "correlated slopes": ("y ~ arm * t + (t | g)", uneven(2, 60, g=8)),
    "uncorrelated slopes": ("y ~ arm + t + (t || g)", uneven(3, 50, g=7)),
    "crossed": ("y ~ arm + x + (1 | g) + (1 | h)", uneven(4, 40, g=6, h=5)),
    "crossed with slopes": ("y ~ arm + t + (t | g) + (1 | h)", uneven(5, 80, g=8, h=6)),
    "nested": ("y ~ arm + x + (1 | g/h)", uneven(6, 60, g=6, h=3)),
    "three factors": ("y ~ x + (1 | g) + (1 | h) + (1 | k)", uneven(7, 60, g=5, h=6, k=4)),
}


@pytest.fixture(scope="module", params=WORLDS)
def case(request):
    """Matrices, engine, and those of many responses whose variances are not at an edge."""
    formula, table = WORLDS[request.param]
    rng = np.random.default_rng(8)
    matrices = build(formula, table.assign(y=0.0))
    Y = rng.normal(size=(len(table), 40))
    for term in matrices.terms:
        for column in term.columns.T:
            Y += 1.5 * column[:, None] * rng.normal(size=(len(term.levels), 40))[term.codes]
    engine = Engine(matrices.X.to_numpy(), matrices.terms)
    solution = engine.fit(Y)
    inside = np.flatnonzero(solution.converged & ~solution.singular)
    assert len(inside) >= 5
    return matrices, engine, solution, inside


def test_errors_and_df_are_those_of_the_formula(case):
    matrices, engine, solution, inside = case
    vcov, df = engine.kenward_roger(solution)
    for i in inside[:8]:
        expected, freedom, plain = by_hand(matrices, [G[i] for G in solution.covariances], solution.sigma[i])
        np.testing.assert_allclose(plain, solution.vcov[i], rtol=1e-6, atol=1e-7 * np.abs(plain).max())
        np.testing.assert_allclose(vcov[i], expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
        np.testing.assert_allclose(df[i], freedom, rtol=1e-4)


def test_the_adjustment_is_large_enough_to_be_seen(case):
    """Negative control: without it, or with half of it, the test above would fail by far more than its tolerance."""
    _, engine, solution, inside = case
    vcov, _ = engine.kenward_roger(solution)
    ratio = np.diagonal(vcov[inside], axis1=1, axis2=2) / np.diagonal(solution.vcov[inside], axis1=1, axis2=2)
    assert np.abs(np.log(ratio)).max() > 1e-3


def test_a_contrast_has_the_df_of_the_coefficient_that_it_becomes(case):
    matrices = case[0]
    X, p = matrices.X.to_numpy(), matrices.X.shape[1]
    L = np.eye(p)
    L[-1] = np.arange(1.0, p + 1)  # the last coefficient of the turned columns is this contrast
    back = np.linalg.inv(L)
    turned = Engine(X @ back, matrices.terms)
    plain = Engine(X, matrices.terms)
    Y = (
        np.random.default_rng(9).normal(size=(len(X), 3))
        + 2 * np.random.default_rng(10).normal(size=(len(matrices.terms[0].levels), 3))[matrices.terms[0].codes]
    )
    vcov, df = turned.kenward_roger(turned.fit(Y))
    mine, freedom = plain.kenward_roger(plain.fit(Y), L)
    np.testing.assert_allclose(freedom[:, -1], df[:, -1], rtol=1e-3)
    np.testing.assert_allclose(np.einsum("i,mij,j->m", L[-1], mine, L[-1]), vcov[:, -1, -1], rtol=1e-4)


@pytest.mark.parametrize("many", [False, True])
def test_the_mixed_model_reports_the_adjusted_errors_alone_and_in_a_batch(many):
    """Few groups, met at random: the adjusted error is larger by a fourteenth, and t, p and interval use it."""
    from scipy import stats

    from lmmsim import LMM

    formula, table = WORLDS["crossed"]
    rng = np.random.default_rng(12)
    y = rng.normal(size=40) + 0.7 * rng.normal(size=6)[table["g"].astype(int)]
    table = table.assign(y=y + 0.7 * rng.normal(size=6)[table["h"].astype(int)])
    model = LMM(formula, df="kenward-roger", level=0.9)
    plain = LMM(formula)(table)
    vcov, df, _ = by_hand(build(formula, table), [G.to_numpy() for G in plain.random.values()], plain.sigma)
    se = np.sqrt(np.diagonal(vcov))
    assert (se / plain.coef["se"]).max() > 1.07
    if many:
        one = model.many(table["y"].to_numpy()[:, None], table)
        got = {name: getattr(one, name)[0] for name in ("estimate", "se", "df", "t", "p", "low", "high")}
    else:
        got = model(table).coef
        np.testing.assert_allclose(model(table).vcov, vcov, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got["se"], se, rtol=1e-5)
    np.testing.assert_allclose(got["df"], df, rtol=1e-4)
    t = plain.coef["estimate"] / se
    np.testing.assert_allclose(got["t"], t, rtol=1e-5)
    np.testing.assert_allclose(got["p"], 2 * stats.t.sf(abs(t), df), rtol=1e-3)
    np.testing.assert_allclose(got["high"] - got["low"], 2 * stats.t.ppf(0.95, df) * se, rtol=1e-4)
