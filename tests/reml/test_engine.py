"""The engine as a whole: every structure against V written out, batches against single fits, boundaries, errors."""

import numpy as np
import pandas as pd
import pytest

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.engine import Engine


def term(group, columns, codes):
    """A random term from arrays."""
    columns = np.asarray(columns, dtype=float).reshape(len(codes), -1)
    names = tuple(f"c{i}" for i in range(columns.shape[1]))
    return RandomTerm(group, names, columns, np.asarray(codes, dtype=np.intp), pd.RangeIndex(np.max(codes) + 1))


def worlds():
    """One small design for every structure: X, terms, covariance of each term, residual sd."""
    rng = np.random.default_rng(7)
    plot, week = np.repeat(np.arange(12), 5), np.tile(np.arange(5.0), 12)
    arm = (plot % 2).astype(float)
    one = np.ones(60)
    line = np.column_stack([one, week])
    S = np.array([[2.0, 0.3], [0.3, 0.4]])
    classroom = np.repeat(np.arange(24), 3)
    school, x = classroom // 3, rng.normal(size=72)
    subject, item = np.repeat(np.arange(10), 6), np.tile(np.arange(6), 10)
    condition = np.where((subject + item) % 2, 0.5, -0.5)
    sizes = rng.integers(2, 8, size=14)
    group = np.repeat(np.arange(14), sizes)
    time = np.concatenate([np.arange(k) for k in sizes]).astype(float)
    z = rng.normal(size=group.size)
    kept = rng.random(60) < 0.8
    full = np.column_stack([one, week, arm, arm * week])
    return {
        "one component": (full, [term("plot", one, plot)], [np.eye(1)], 1.0),
        "one component, unbalanced": (
            np.column_stack([np.ones(group.size), time, z]),
            [term("group", np.ones(group.size), group)],
            [np.eye(1)],
            1.0,
        ),
        "strata": (
            np.column_stack([np.ones(72), classroom % 2, x]),
            [term("school", np.ones(72), school), term("classroom", np.ones(72), classroom)],
            [np.eye(1), 0.5 * np.eye(1)],
            1.0,
        ),
        "blocks": (full, [term("plot", line, plot)], [S], 1.0),
        "blocks, two bars": (
            full,
            [term("plot", one, plot), term("plot", week, plot)],
            [np.eye(1), 0.3 * np.eye(1)],
            1.0,
        ),
        "blocks, unbalanced": (
            np.column_stack([np.ones(group.size), time, z]),
            [term("group", np.column_stack([np.ones(group.size), time]), group)],
            [S],
            1.0,
        ),
        "crossed with slopes": (
            np.column_stack([one, condition]),
            [term("subject", np.column_stack([one, condition]), subject), term("item", one, item)],
            [S, np.eye(1)],
            1.0,
        ),
        "crossed, unbalanced, slopes on both": (
            np.column_stack([one, condition])[kept],
            [
                term("item", np.column_stack([one, condition])[kept], item[kept]),
                term("subject", np.column_stack([one, condition])[kept], subject[kept]),
            ],
            [S, S],
            1.0,
        ),
    }


WORLDS = worlds()


def draw(world, r, seed=1):
    """Responses (n, r) of a world."""
    X, terms, covariances, sd = WORLDS[world]
    rng = np.random.default_rng(seed)
    Y = X.sum(axis=1)[:, None] + rng.normal(scale=sd, size=(len(X), r))
    for one, covariance in zip(terms, covariances, strict=True):
        root = np.linalg.cholesky(covariance)
        u = np.einsum("ab,jbr->jar", root, rng.normal(size=(len(one.levels), len(root), r)))
        Y += np.einsum("na,nar->nr", one.columns, u[one.codes])
    return Y


def V_of(terms, factors):
    """V in units of the residual variance, entry by entry."""
    n = len(terms[0].codes)
    V = np.eye(n)
    for one, factor in zip(terms, factors, strict=True):
        same = one.codes[:, None] == one.codes[None]
        V += same * (one.columns @ factor @ factor.T @ one.columns.T)
    return V


def written_out(X, terms, y, theta, reml):
    """The profiled criterion from V and its inverse: Bates et al. (2015), without any of the engine's algebra."""
    factors, place = [], 0
    for one in terms:
        k = one.columns.shape[1]
        columns, rows = np.triu_indices(k)
        factor = np.zeros((k, k))
        factor[rows, columns] = theta[place : place + rows.size]
        place += rows.size
        factors.append(factor)
    V = V_of(terms, factors)
    Vi = np.linalg.inv(V)
    XVX = X.T @ Vi @ X
    beta = np.linalg.solve(XVX, X.T @ Vi @ y)
    e = y - X @ beta
    n, p = X.shape
    dof = n - p if reml else n
    value = np.linalg.slogdet(V)[1] + dof * (1 + np.log(2 * np.pi * (e @ Vi @ e) / dof))
    return value + (np.linalg.slogdet(XVX)[1] if reml else 0.0)


@pytest.fixture(scope="module", params=list(WORLDS))
def world(request):
    X, terms, _, _ = WORLDS[request.param]
    return request.param, Engine(X, terms), draw(request.param, 12)


@pytest.mark.parametrize("reml", [True, False])
def test_criterion_is_the_one_written_out(world, reml):
    name, engine, Y = world
    X, terms, _, _ = WORLDS[name]
    theta = np.random.default_rng(3).normal(size=(12, engine.coordinates.size))
    got = engine.criterion(theta, Y, reml=reml)
    want = [written_out(X, terms, Y[:, i], theta[i], reml) for i in range(12)]
    np.testing.assert_allclose(got, want, atol=1e-8)


@pytest.mark.parametrize("reml", [True, False])
def test_derivatives_are_those_of_the_criterion(world, reml):
    _, engine, Y = world
    coordinates = engine.coordinates
    theta = np.abs(np.random.default_rng(4).normal(size=(12, coordinates.size))) + 0.2
    structure, _, moments = engine.prepare(Y)

    def at(theta):
        point = structure.at(theta, moments, reml)
        return point, *coordinates.in_theta(theta, point.gradient, point.hessian)

    _, gradient, hessian = at(theta)
    for a in range(coordinates.size):
        step = 1e-5 * np.eye(coordinates.size)[a]
        (up, g_up, _), (down, g_down, _) = at(theta + step), at(theta - step)
        np.testing.assert_allclose(gradient[:, a], (up.value - down.value) / 2e-5, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(hessian[:, a], (g_up - g_down) / 2e-5, rtol=1e-4, atol=1e-4)


def test_a_specialised_structure_agrees_with_blocks(world):
    _, engine, Y = world
    theta = np.abs(np.random.default_rng(5).normal(size=(12, engine.coordinates.size)))
    structure, responses, moments = engine.prepare(Y)
    responses = engine.problem.responses(Y)
    special = structure.at(theta, moments, True)
    general = engine.blocks.at(theta, engine.blocks.moments(responses), True)
    for name in ("value", "gradient", "hessian", "traces", "squares", "beta", "vcov", "vcov_slopes", "sigma2"):
        np.testing.assert_allclose(getattr(special, name), getattr(general, name), rtol=1e-7, atol=1e-8, err_msg=name)


def test_a_large_design_kept_sparse_gives_the_same_likelihood(world):
    name, engine, Y = world
    X, terms, _, _ = WORLDS[name]
    sparse = Engine(X, terms, dense_limit=0).blocks
    assert not sparse.dense
    theta = np.abs(np.random.default_rng(6).normal(size=(1, engine.coordinates.size)))
    responses = engine.problem.responses(Y[:, :1])
    one = sparse.at(theta, sparse.moments(responses), True)
    other = engine.blocks.at(theta, engine.blocks.moments(responses), True)
    for quantity in ("value", "gradient", "hessian", "beta", "vcov", "vcov_slopes", "vcov_curvatures"):
        np.testing.assert_allclose(getattr(one, quantity), getattr(other, quantity), rtol=1e-7, atol=1e-8)


def test_a_large_design_with_missing_values_is_kept_sparse_too(world):
    name, engine, Y = world
    X, terms, _, _ = WORLDS[name]
    Y = np.where(np.random.default_rng(2).random(Y.shape) < 0.1, np.nan, Y)[:, :2]
    want = engine.fit(Y)
    large = Engine(X, terms, dense_limit=0)
    got = large.fit(Y)
    np.testing.assert_allclose(got.criterion, want.criterion, atol=1e-6)
    np.testing.assert_allclose(large.satterthwaite(got), engine.satterthwaite(want), rtol=1e-3)
    for one, other in zip(large.modes(got, Y), engine.modes(want, Y), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("reml", [True, False])
def test_many_responses_give_the_same_fit_as_one(world, reml):
    _, engine, Y = world
    batch = engine.fit(Y, reml=reml, start=np.abs(np.random.default_rng(1).normal(size=engine.coordinates.size)))
    assert batch.converged.all()
    for i in range(4):
        alone = engine.fit(Y[:, i], reml=reml)
        assert alone.criterion[0] == pytest.approx(batch.criterion[i], abs=1e-6)
        np.testing.assert_allclose(alone.beta[0], batch.beta[i], atol=1e-5)
        assert alone.singular[0] == batch.singular[i]


def test_no_direction_improves_the_optimum(world):
    name, engine, Y = world
    X, terms, _, _ = WORLDS[name]
    fits = engine.fit(Y)
    rng = np.random.default_rng(8)
    for i in range(4):
        for size in (1e-3, 1e-1):
            for _ in range(5):
                theta = fits.theta[i] + size * rng.normal(size=engine.coordinates.size)
                assert written_out(X, terms, Y[:, i], theta, True) > fits.criterion[i] - 1e-7


def test_singular_fits_lie_on_the_boundary_exactly_and_satisfy_the_conditions_there():
    X, terms, _, _ = WORLDS["blocks"]
    rng = np.random.default_rng(2)
    Y = rng.normal(size=(60, 300))  # no variance between plots at all: most optima are on the boundary
    engine = Engine(X, terms)
    fits = engine.fit(Y)
    assert fits.converged.all()
    assert 0.5 < fits.singular.mean() < 1.0
    smallest = np.linalg.eigvalsh(fits.covariances[0])[:, 0] / fits.sigma**2
    assert np.abs(smallest[fits.singular]).max() < 1e-12
    assert smallest[~fits.singular].min() > 1e-10
    # Karush-Kuhn-Tucker: no covariance that is positive semidefinite lowers the criterion
    structure, _, moments = engine.prepare(Y)
    point = structure.at(fits.standard_theta, moments, True)
    G = point.gradient[:, [0, 1, 1, 2]].reshape(-1, 2, 2) * [[1.0, 0.5], [0.5, 1.0]]
    assert np.linalg.eigvalsh(G)[:, 0].min() > -1e-3


@pytest.mark.parametrize("name", ["strata", "blocks", "crossed with slopes"])
def test_the_optimum_does_not_depend_on_the_start(name):
    X, terms, _, _ = WORLDS[name]
    engine, Y = Engine(X, terms), draw(name, 200)
    diagonal = engine.problem.theta_out(engine.coordinates.diagonal[None].astype(float))[0]
    criteria = np.array([engine.fit(Y, start=s * diagonal).criterion for s in (0.05, 0.5, 3.0)])
    assert np.ptp(criteria, axis=0).max() < 1e-6


def test_a_search_that_winds_around_a_singular_covariance_arrives():
    # of these 200 responses one turned the last row of Lambda about a zero above it, 0.76 from the smallest criterion
    rng = np.random.default_rng(5)
    sizes = rng.integers(2, 9, size=15)
    group = np.repeat(np.arange(15), sizes)
    time = np.concatenate([np.arange(k) for k in sizes]).astype(float)
    X = np.column_stack([np.ones(group.size), time, rng.normal(size=group.size)])
    u = rng.normal(scale=1.5, size=(15, 3, 200))
    Y = np.einsum("na,nar->nr", X, u[group]) + rng.normal(size=(group.size, 200))
    engine = Engine(X, [term("group", X, group)])
    fits, elsewhere = engine.fit(Y), engine.fit(Y, start=[3.0, 0.0, 0.0, 3.0, 0.0, 3.0])
    assert fits.converged.all()
    np.testing.assert_allclose(fits.criterion, elsewhere.criterion, atol=1e-6)


def test_balanced_reml_is_the_anova_estimate():
    # Searle, Casella & McCulloch (1992), section 4.8: (MSB - MSW) / n when positive, else 0
    _, terms, _, _ = WORLDS["one component"]
    rng = np.random.default_rng(3)
    Y = rng.normal(size=(60, 200)) + rng.normal(scale=0.4, size=(12, 200))[terms[0].codes]
    fits = Engine(np.ones((60, 1)), terms).fit(Y)
    means = Y.reshape(12, 5, -1).mean(axis=1)
    between = 5 * means.var(axis=0, ddof=1)
    within = ((Y.reshape(12, 5, -1) - means[:, None]) ** 2).sum(axis=(0, 1)) / 48
    inside = between > within
    np.testing.assert_allclose(fits.covariances[0][inside, 0, 0], ((between - within) / 5)[inside], rtol=1e-6)
    assert np.all(fits.covariances[0][~inside] == 0.0)
    np.testing.assert_array_equal(fits.singular, ~inside)
    # its degrees of freedom are those of the plot means
    np.testing.assert_allclose(Engine(np.ones((60, 1)), terms).satterthwaite(fits)[inside], 11.0, rtol=1e-5)


def test_satterthwaite_of_a_contrast_is_that_of_the_coefficient_it_becomes():
    X, terms, _, _ = WORLDS["blocks"]
    Y = draw("blocks", 5)
    turn = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0.5, 0, 1, 0], [0, 2, 0, 1]])
    engine, turned = Engine(X, terms), Engine(X @ turn, terms)
    L = np.linalg.inv(turn)  # coefficients of X @ turn in terms of those of X
    fits, other = engine.fit(Y), turned.fit(Y)
    np.testing.assert_allclose(engine.satterthwaite(fits, L), turned.satterthwaite(other), rtol=1e-5)
    np.testing.assert_allclose(engine.kenward_roger(fits, L)[1], turned.kenward_roger(other)[1], rtol=1e-5)


@pytest.mark.parametrize("name", list(WORLDS))
def test_a_missing_value_is_a_row_that_was_never_planned(name):
    X, terms, _, _ = WORLDS[name]
    engine, Y = Engine(X, terms), draw(name, 6)
    Y[np.random.default_rng(9).random(Y.shape) < 0.15] = np.nan
    Y[:, 0] = draw(name, 1)[:, 0]  # a complete column beside incomplete ones
    fits = engine.fit(Y)
    df, (vcov, kr) = engine.satterthwaite(fits), engine.kenward_roger(fits)
    modes, variances = engine.modes(fits, Y), engine.mode_variances(fits)
    for i in range(3):
        seen = ~np.isnan(Y[:, i])
        rest = [RandomTerm(t.group, t.names, t.columns[seen], t.codes[seen], t.levels) for t in terms]
        small = Engine(X[seen], rest)
        alone = small.fit(Y[seen, i])
        assert alone.criterion[0] == pytest.approx(fits.criterion[i], abs=1e-6)
        np.testing.assert_allclose(alone.beta[0], fits.beta[i], atol=1e-5)
        np.testing.assert_allclose(alone.vcov[0], fits.vcov[i], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(small.satterthwaite(alone)[0], df[i], rtol=1e-2)
        alone_vcov, alone_df = small.kenward_roger(alone)
        np.testing.assert_allclose(alone_df[0], kr[i], rtol=1e-2)
        np.testing.assert_allclose(alone_vcov[0], vcov[i], rtol=1e-2, atol=1e-6)
        for got, want in zip(modes, small.modes(alone, Y[seen, i]), strict=True):
            np.testing.assert_allclose(got[i], want[0], atol=1e-3)
        for got, want in zip(variances, small.mode_variances(alone), strict=True):
            np.testing.assert_allclose(got[i], want[0], atol=1e-3)


def test_units_of_the_response_do_not_matter():
    X, terms, _, _ = WORLDS["blocks"]
    engine, Y = Engine(X, terms), draw("blocks", 50)
    fits = engine.fit(Y)
    for factor in (1e-6, 1e6):
        other = engine.fit(Y * factor)
        np.testing.assert_allclose(other.theta, fits.theta, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(other.beta, fits.beta * factor, rtol=1e-8, atol=1e-10 * factor)
        np.testing.assert_allclose(engine.satterthwaite(other), engine.satterthwaite(fits), rtol=1e-8)
    shifted = engine.fit(Y + 1e6)
    np.testing.assert_allclose(shifted.beta[:, 1:], fits.beta[:, 1:], atol=1e-7)


@pytest.mark.parametrize("columns", [1, 2])
def test_the_mean_of_the_response_costs_no_digits_of_a_small_residual(columns):
    rng = np.random.default_rng(8)
    plot, week = np.repeat(np.arange(600), 5), np.tile(np.arange(5.0), 600)
    X = np.column_stack([np.ones(3000), week])
    y = (X[:, :columns] * rng.normal(size=(600, columns))[plot]).sum(axis=1) + rng.normal(scale=0.01, size=3000)
    y = np.round(y * 2.0**30) / 2.0**30  # so that a mean can be added without rounding
    engine = Engine(X, [term("plot", X[:, :columns], plot)])
    want = engine.fit(y).criterion[0]
    for mean in (4.0, 16.0, 32.0, 64.0, 1e6):
        assert engine.fit(y + mean).criterion[0] == pytest.approx(want, abs=1e-5)
        assert engine.fit(np.column_stack([y + 1.0, y + mean])).criterion == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize(("origin", "unit"), [(1000.0, 1.0), (0.0, 1e4), (1e5, 1e-3)])
def test_origin_and_unit_of_time_do_not_matter(origin, unit):
    X, terms, _, _ = WORLDS["blocks"]
    Y = draw("blocks", 50)
    engine = Engine(X, terms)
    fits = engine.fit(Y)
    week = (X[:, 1] + origin) * unit
    one = np.ones(60)
    line = term("plot", np.column_stack([one, week]), terms[0].codes)
    moved = Engine(np.column_stack([one, week, X[:, 2], X[:, 2] * week]), [line])
    other = moved.fit(Y)
    np.testing.assert_allclose(other.beta[:, 3] * unit, fits.beta[:, 3], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        other.covariances[0][:, 1, 1] * unit**2, fits.covariances[0][:, 1, 1], rtol=1e-6, atol=1e-10
    )
    np.testing.assert_allclose(other.sigma, fits.sigma, rtol=1e-8)
    np.testing.assert_array_equal(other.singular, fits.singular)
    np.testing.assert_allclose(moved.satterthwaite(other)[:, 3], engine.satterthwaite(fits)[:, 3], rtol=1e-6)


def test_columns_that_cannot_be_fitted_say_why_and_leave_the_others_alone():
    X, terms, _, _ = WORLDS["blocks"]
    engine, Y = Engine(X, terms), draw("blocks", 6)
    want = engine.fit(Y)
    Y[:, 0] = 3.0
    Y[:, 1] = X @ [1.0, 2.0, 3.0, 4.0]
    fits = engine.fit(Y)
    assert "exact linear function" in fits.message[0]
    assert "exact linear function" in fits.message[1]
    assert not fits.converged[:2].any()
    for numbers in (fits.beta, fits.sigma, fits.criterion, fits.theta, fits.vcov, engine.satterthwaite(fits)):
        assert np.isnan(numbers[:2]).all()
    np.testing.assert_allclose(fits.criterion[2:], want.criterion[2:], atol=1e-8)
    Y[:, 2] = np.nan
    Y[4:, 3] = np.nan
    fits = engine.fit(Y)
    assert "rows observed" in fits.message[2]
    assert "rows observed" in fits.message[3]
    np.testing.assert_allclose(fits.criterion[4:], want.criterion[4:], atol=1e-6)


def test_user_input_is_never_changed():
    X, terms, _, _ = WORLDS["blocks"]
    Y = draw("blocks", 3)
    Y[3, 1] = np.nan
    before = Y.copy()
    engine = Engine(X, terms)
    engine.modes(engine.fit(Y), Y)
    np.testing.assert_array_equal(Y, before)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("one component", "one variance component"),
        ("strata", "strata"),
        ("blocks", "independent blocks"),
        ("crossed with slopes", "crossed"),
    ],
)
def test_explain_names_the_structure(name, says):
    X, terms, _, _ = WORLDS[name]
    assert says in Engine(X, terms).explain()


def test_designs_without_an_answer_are_refused():
    one, codes = np.ones((6, 1)), np.array([0, 0, 1, 1, 2, 2])
    good = term("g", one, codes)
    with pytest.raises(ValueError, match="needs at least one random term"):
        Engine(one, [])
    with pytest.raises(ValueError, match=r"has 3 columns but rank 2; column\(s\) \[2\]"):
        Engine(np.column_stack([one, codes, 2 * codes + 1]), [good])
    with pytest.raises(ValueError, match=r"'g' of the random term .* has one level"):
        Engine(one, [term("g", one, np.zeros(6, dtype=int))])
    with pytest.raises(ValueError, match=r"has 6 random effects .* only 6 rows"):
        Engine(one, [term("g", np.column_stack([one, np.arange(6)]), codes)])
    with pytest.raises(ValueError, match="missing or infinite"):
        Engine(np.where(np.arange(6)[:, None] == 2, np.inf, one), [good])
    with pytest.raises(ValueError, match="6 rows cannot estimate 6 coefficients"):
        Engine(np.eye(6), [good])


def test_responses_without_an_answer_are_refused():
    engine = Engine(np.ones((6, 1)), [term("g", np.ones(6), [0, 0, 1, 1, 2, 2])])
    with pytest.raises(ValueError, match="1 values of the response are infinite"):
        engine.fit([1.0, 2.0, np.inf, 1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="the design has 6 rows"):
        engine.fit(np.ones(5))
    with pytest.raises(ValueError, match="start must be 1 finite numbers"):
        engine.fit(np.arange(6.0), start=[1.0, 2.0])
    fits = engine.fit(np.arange(6.0), reml=False)
    with pytest.raises(ValueError, match="defined for REML fits"):
        engine.kenward_roger(fits)
    with pytest.raises(ValueError, match="the model has 1 coefficients"):
        engine.satterthwaite(fits, [[1.0, 0.0]])


def test_a_batch_in_chunks_is_the_same_batch():
    X, terms, _, _ = WORLDS["one component"]
    Y = draw("one component", 9000)  # more than are read in one piece
    whole, parts = Engine(X, terms).fit(Y), Engine(X, terms, together=1700).fit(Y)
    np.testing.assert_allclose(parts.criterion, whole.criterion, atol=1e-9)
    np.testing.assert_allclose(parts.beta, whole.beta, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(WORLDS))
def test_two_thousand_data_sets_all_converge_to_the_same_optimum_from_elsewhere(name):
    X, terms, _, _ = WORLDS[name]
    engine, Y = Engine(X, terms), draw(name, 2000, seed=11)
    diagonal = engine.problem.theta_out(engine.coordinates.diagonal[None].astype(float))[0]
    one, other = engine.fit(Y), engine.fit(Y, start=2.0 * diagonal)
    assert one.converged.all()
    assert other.converged.all()
    np.testing.assert_allclose(one.criterion, other.criterion, atol=1e-6)


@pytest.mark.slow
def test_a_large_single_fit_takes_little_memory():
    import tracemalloc

    rng = np.random.default_rng(1)
    n = 10_000
    a, b = rng.integers(0, 1000, n), rng.integers(0, 450, n)
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = rng.normal(size=n) + rng.normal(size=1000)[a] + rng.normal(scale=0.7, size=450)[b]
    tracemalloc.start()
    fits = Engine(X, [term("a", np.ones(n), a), term("b", np.ones(n), b)]).fit(y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fits.converged.all()
    assert peak < 0.5 * 8 * n * n
    assert fits.covariances[0][0, 0, 0] == pytest.approx(1.0, abs=0.3)
    assert fits.covariances[1][0, 0, 0] == pytest.approx(0.49, abs=0.2)


@pytest.mark.parametrize("name", ["one component", "strata", "blocks", "crossed with slopes"])
def test_a_residual_far_smaller_than_the_random_effects_is_no_problem(name):
    X, terms, covariances, _ = WORLDS[name]
    rng = np.random.default_rng(5)
    Y = rng.normal(scale=0.01, size=(len(X), 40)) + X.sum(axis=1)[:, None]
    for one, covariance in zip(terms, covariances, strict=True):
        u = np.einsum(
            "ab,jbr->jar", np.linalg.cholesky(covariance), rng.normal(size=(len(one.levels), len(covariance), 40))
        )
        Y += np.einsum("na,nar->nr", one.columns, u[one.codes])
    fits = Engine(X, terms).fit(Y)
    assert fits.converged.all()
    # n - p - (random effects) dimensions are left for the residual; four standard errors of the mean of 40
    left = len(X) - np.linalg.matrix_rank(np.column_stack([X, *(dense(one) for one in terms)]))
    assert np.mean(fits.sigma**2) == pytest.approx(1e-4, rel=4 * np.sqrt(2 / left / 40))


def dense(one):
    """Z of one term, (n, J k)."""
    indicator = np.eye(len(one.levels))[one.codes]
    return np.einsum("nj,na->nja", indicator, one.columns).reshape(len(one.codes), -1)
