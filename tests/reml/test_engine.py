"""The engine as a whole: every structure against V written out, batches against single fits, boundaries, errors."""

import numpy as np
import pandas as pd
import pytest

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.blocks import Blocks
from lmmsim.reml.engine import Engine, what_cannot_be_told_apart
from lmmsim.reml.nested import Nested


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
    of_class = np.repeat(np.arange(20), rng.integers(1, 4, size=20))
    pupils = rng.permutation(np.repeat(np.arange(of_class.size), rng.integers(1, 7, size=of_class.size)))
    hours, district = rng.normal(size=pupils.size), np.repeat(np.arange(5), 4)[of_class[pupils]]
    with_hours = np.column_stack([np.ones(pupils.size), hours])
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
        "nested, unbalanced": (
            with_hours,
            [term("school", with_hours, of_class[pupils]), term("class", with_hours[:, :1], pupils)],
            [S, np.eye(1)],
            1.0,
        ),
        "nested three deep, class slopes apart": (
            with_hours,
            [
                term("class", with_hours[:, :1], pupils),
                term("district", with_hours[:, :1], district),
                term("school", with_hours, of_class[pupils]),
                term("class", hours, pupils),
            ],
            [np.eye(1), np.eye(1), S, 0.3 * np.eye(1)],
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
    blocks = Blocks(engine.problem)
    theta = np.abs(np.random.default_rng(5).normal(size=(12, engine.coordinates.size)))
    structure, responses, moments = engine.prepare(Y)
    responses = engine.problem.responses(Y)
    special = structure.at(theta, moments, True)
    general = blocks.at(theta, blocks.moments(responses), True)
    for name in ("value", "gradient", "hessian", "traces", "squares", "beta", "vcov", "vcov_slopes", "sigma2"):
        np.testing.assert_allclose(getattr(special, name), getattr(general, name), rtol=1e-7, atol=1e-8, err_msg=name)


def test_a_large_design_kept_sparse_gives_the_same_likelihood(world):
    _, engine, Y = world
    dense, sparse = Blocks(engine.problem), Blocks(engine.problem, dense_limit=0)
    assert dense.dense
    assert not sparse.dense
    theta = np.abs(np.random.default_rng(6).normal(size=(1, engine.coordinates.size)))
    responses = engine.problem.responses(Y[:, :1])
    one = sparse.at(theta, sparse.moments(responses), True)
    other = dense.at(theta, dense.moments(responses), True)
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
        ("nested, unbalanced", "nested factors"),
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


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", [name for name in WORLDS if name.startswith("nested")])
def test_nested_factors_eliminated_one_by_one_give_the_likelihood_of_all_at_once(name, reml):
    X, terms, _, _ = WORLDS[name]
    engine, Y = Engine(X, terms), draw(name, 6)
    assert isinstance(engine.blocks, Nested)
    blocks, responses = Blocks(engine.problem), engine.problem.responses(Y)
    theta = np.abs(np.random.default_rng(5).normal(size=(6, engine.coordinates.size)))
    one = engine.blocks.at(theta, engine.blocks.moments(responses), reml)
    other = blocks.at(theta, blocks.moments(responses), reml)
    for quantity in ("value", "gradient", "hessian", "traces", "beta", "vcov", "vcov_slopes", "vcov_curvatures"):
        got, want = getattr(one, quantity), getattr(other, quantity)
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8, err_msg=quantity)
    fits = engine.fit(Y, reml=reml)
    modes, variances = engine.modes(fits, Y), engine.mode_variances(fits)
    for i, want in enumerate(blocks.modes(fits.standard_theta, responses, reml)):
        np.testing.assert_allclose(modes[i], want, atol=1e-8)
    for i, want in enumerate(blocks.mode_variances(fits.standard_theta, fits.sigma, None)):
        np.testing.assert_allclose(variances[i], want, atol=1e-8)


@pytest.mark.slow
def test_a_hundred_thousand_pupils_in_four_thousand_classes_in_a_thousand_schools_take_little_memory():
    import tracemalloc

    rng = np.random.default_rng(1)
    classroom = rng.integers(0, 4000, 100_000)
    school, x = classroom // 4, rng.normal(size=100_000)
    y = x + rng.normal(size=1000)[school] + rng.normal(size=4000)[classroom] + rng.normal(size=100_000)
    X, one = np.column_stack([np.ones(x.size), x]), np.ones(x.size)
    tracemalloc.start()
    fit = Engine(X, [term("school", one, school), term("class", one, classroom)]).fit(y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fit.converged[0]
    assert peak < 100e6  # one 1000 x 1000 matrix for each of the terms of a dense solution would be a part of that
    for covariance in fit.covariances:
        assert covariance[0, 0, 0] == pytest.approx(1.0, abs=5 * np.sqrt(2 / 1000))


def one_way(ratio, columns=1):
    """8 unequal groups whose sd is so many times the residual's: engine, response, X."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(8), rng.integers(3, 8, 8))
    x = rng.normal(size=g.size)
    y = x + rng.normal(size=8)[g] * ratio + rng.normal(size=g.size)
    X = np.column_stack([np.ones(g.size), x])
    terms = [term("g", column, g) for column in X.T[:columns]]
    return Engine(X, terms), y


# mpmath, 70 digits: V written out, Cholesky, the root of the derivative of the REML criterion in log psi
ONE_WAY = {
    1e6: (318.85624204729, 349011.2791, 0.8717247198),
    1e7: (351.09243781581, 3490113.911, 0.8717247194),
    1e8: (383.3286297143, 34901140.23, 0.8717247213),
    1e9: (415.5648214885, 349011403.4, 0.8717247268),
}


@pytest.mark.parametrize("ratio", ONE_WAY)
def test_groups_a_billion_times_as_different_as_their_rows_cost_no_digits(ratio):
    engine, y = one_way(ratio)
    criterion, se, sigma = ONE_WAY[ratio]
    for fits in (engine.fit(y), engine.fit(np.column_stack([y, y]))):
        assert fits.converged.all()
        assert fits.criterion == pytest.approx(criterion, abs=1e-6 if ratio < 1e9 else 1e-5)
        assert np.sqrt(fits.vcov[:, 0, 0]) == pytest.approx(se, rel=1e-5)
        assert fits.sigma == pytest.approx(sigma, rel=1e-6)
        np.testing.assert_allclose(engine.satterthwaite(fits), [[7.0, 34.0]] * len(fits.beta), rtol=1e-4)


@pytest.mark.parametrize(
    ("ratio", "criterion"), [(1e5, 285.245707537645), (1e6, 317.481956385377), (1e7, 349.718153415719)]
)
def test_an_intercept_that_varies_far_more_than_a_slope_costs_no_digits(ratio, criterion):
    engine, y = one_way(ratio, columns=2)  # mpmath at the optimum, where its gradient is below 1e-6
    fits = engine.fit(np.column_stack([y, y]))
    assert fits.converged.all()
    assert fits.criterion == pytest.approx(criterion, abs=1e-6)
    np.testing.assert_allclose(engine.fit(y).criterion, fits.criterion[:1], atol=1e-6)


@pytest.mark.parametrize("ratio", [1e10, 1e12])
def test_a_residual_below_the_digits_of_the_response_is_said(ratio):
    engine, y = one_way(ratio)
    for fits in (engine.fit(y), engine.fit(np.column_stack([y, y]))):
        assert not fits.converged.any()
        assert all("sixteen digits" in message for message in fits.message)


def small_residual(kind, seed, ratio):
    """A design of one of five kinds and a response whose groups differ so many times as much as its rows."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(8), rng.integers(3, 8, 8) if kind == "unbalanced" else 6)
    h = {"nested": np.arange(g.size) // 2, "crossed": np.tile(np.arange(6), 8), "blocks": rng.integers(0, 5, g.size)}
    x = rng.normal(size=g.size)
    X = np.column_stack([np.ones(g.size), x])
    terms = [term("g", X if kind == "slopes" else X[:, 0], g)]
    y = x + rng.normal(size=g.size) + ratio * rng.normal(size=8)[g]
    if kind == "slopes":
        y += ratio * rng.normal(size=8)[g] * x
    if kind in h:
        terms.append(term("h", X[:, 0], h[kind]))
        y += ratio * rng.normal(size=g.size)[h[kind]]
    return Engine(X, terms), y


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("kind", ["unbalanced", "slopes", "nested", "crossed", "blocks"])
def test_a_fit_of_a_small_residual_has_its_sd_or_says_that_it_has_not(kind, reml):
    for seed in range(2):
        engine, y = small_residual(kind, seed, 1e3)
        sigma, told = engine.fit(y, reml=reml).sigma, 0
        for ratio in (1e5, 1e7, 1e8, 1e9, 1e10, 1e12):
            engine, y = small_residual(kind, seed, ratio)
            fits = engine.fit(y, reml=reml)
            if fits.converged[0]:
                assert fits.sigma == pytest.approx(sigma, rel=1e-4), (seed, ratio)
                told += 1
            else:
                assert fits.message[0], (seed, ratio)
        assert told >= (0 if kind == "blocks" else 3), seed


@pytest.mark.parametrize("ratio", [1e3, 4e3, 1e4, 1e5])
def test_kenward_roger_has_the_df_of_the_groups_at_any_ratio_of_variances(ratio):
    # the limit: 8 group means less one for the intercept; 43 rows within 8 groups, less one for the slope
    engine, y = one_way(ratio)
    fits = engine.fit(y)
    np.testing.assert_allclose(engine.kenward_roger(fits)[1], [[7.0, 34.0]], rtol=2e-3)


def test_a_response_without_a_square_is_refused_in_words():
    X, terms, _, _ = WORLDS["blocks"]
    engine, Y = Engine(X, terms), draw("blocks", 4)
    want = engine.fit(Y)
    Y[:, 0] *= 1e160
    Y[:, 1] *= 1e-170
    fits = engine.fit(Y)
    assert "numbers of size 1e+161 cannot be squared" in fits.message[0]
    assert "cannot be squared" in fits.message[1]
    assert np.isnan(fits.criterion[:2]).all()
    assert not fits.converged[:2].any()
    np.testing.assert_allclose(fits.criterion[2:], want.criterion[2:], atol=1e-8)


def test_means_of_a_hundred_thousand_residual_sds_cost_no_digits():
    rng = np.random.default_rng(8)
    plot, week = np.repeat(np.arange(200), 5), np.tile(np.arange(5.0), 200)
    X, one = np.column_stack([np.ones(1000), week]), np.ones(1000)
    item = np.tile(np.arange(10), 100)
    noise = np.round(rng.normal(scale=5e-4, size=1000) * 2.0**40) / 2.0**40  # so that a mean is added without rounding
    y = np.round(rng.normal(size=200) * 2.0**20)[plot] / 2.0**20 + noise
    for terms in ([term("plot", one, plot)], [term("plot", one, plot), term("item", one, item)]):
        engine = Engine(X, terms)
        want = engine.fit(y).criterion[0]
        for mean in (20.0, 60.0):
            assert engine.fit(y + mean).criterion[0] == pytest.approx(want, abs=1e-6)
            assert engine.fit(np.column_stack([y + mean, y])).criterion == pytest.approx(want, abs=1e-6)


def test_fixed_effects_that_take_up_all_groups_leave_no_test():
    rng = np.random.default_rng(0)
    school, x = np.repeat(np.arange(4), 6), rng.normal(size=24)
    arms, one = np.eye(4)[school], np.ones(24)
    y = rng.normal(size=24)
    for terms in ([term("school", one, school)], [term("school", np.column_stack([one, x]), school)]):
        engine = Engine(np.column_stack([arms, x]), terms)
        fits = engine.fit(np.column_stack([y, 2 * y]))
        assert not fits.converged.any()
        assert all("take up all that" in message for message in fits.message)
        assert "take up all that" in what_cannot_be_told_apart(np.column_stack([arms, x]), terms)
        assert np.isnan(engine.satterthwaite(fits)).all()
        assert np.isnan(engine.kenward_roger(fits)[1]).all()
    # full likelihood has a maximum: no variance between groups, and least squares
    engine = Engine(arms, [term("school", one, school)])
    ml = engine.fit(y, reml=False)
    assert ml.converged[0]
    assert ml.covariances[0][0, 0, 0] == 0.0
    means = np.array([y[school == j].mean() for j in range(4)])
    assert ml.sigma[0] ** 2 == pytest.approx(np.mean((y - means[school]) ** 2))


def test_random_and_residual_variances_that_do_the_same_are_said_to():
    # 6 pairs, and a fixed contrast within each: what is left are 5 differences between pairs, and no variance within
    rng = np.random.default_rng(0)
    pair = np.repeat(np.arange(6), 2)
    X = np.column_stack([np.ones(12), np.eye(6)[pair] * np.tile([-1.0, 1.0], 6)[:, None]])
    terms, y = [term("pair", np.ones(12), pair)], rng.normal(size=12)
    assert "(c0 | pair) and the residual cannot be told apart" in what_cannot_be_told_apart(X, terms)
    assert "fit any response exactly" in what_cannot_be_told_apart(X, terms, reml=False)
    for reml, says in ((True, "cannot be told apart"), (False, "has no maximum")):
        fits = Engine(X, terms).fit(y, reml=reml)
        assert not fits.converged[0]
        assert says in fits.message[0]
    # the same partition under two names
    X, terms, _, _ = WORLDS["one component"]
    twice = [terms[0], term("other", np.ones(60), terms[0].codes[::-1])]
    assert "(c0 | plot) and (c0 | other) cannot be told apart" in what_cannot_be_told_apart(X, twice)


@pytest.mark.parametrize("name", list(WORLDS))
def test_ordinary_designs_tell_everything_apart(name):
    X, terms, _, _ = WORLDS[name]
    assert what_cannot_be_told_apart(X, terms) == ""
    assert what_cannot_be_told_apart(X, terms, reml=False) == ""


@pytest.mark.parametrize("name", ["blocks, unbalanced", "nested, unbalanced", "crossed, unbalanced, slopes on both"])
def test_the_order_of_levels_and_of_terms_does_not_matter(name):
    X, terms, _, _ = WORLDS[name]
    rng, Y = np.random.default_rng(4), np.random.default_rng(1).normal(size=(len(X), 60))  # many singular fits
    shuffled = [
        RandomTerm(t.group, t.names, t.columns, rng.permutation(len(t.levels))[t.codes], t.levels) for t in terms[::-1]
    ]
    for reml in (True, False):
        one, other = Engine(X, terms).fit(Y, reml=reml), Engine(X, shuffled).fit(Y, reml=reml)
        assert one.singular.any()
        np.testing.assert_allclose(one.criterion, other.criterion, atol=1e-6)
