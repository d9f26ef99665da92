"""What is simulated is the equation, with the distributions that the model states."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import AR1, IID, CompoundSymmetry, Model, Random, crossed, draws, nested, scenarios, simulate, simulate_many

DRAWS = 20_000


def worst_z(observed, expected, se):
    """Largest deviation in Monte-Carlo standard errors, and what it should stay below."""
    z = np.abs(observed - expected) / se
    from scipy.stats import norm

    return z.max(), norm.isf(1e-4 / 2 / z.size)  # one false alarm in 10,000 tests of all entries together


def test_response_is_the_sum_of_its_parts(world):
    model, design = world
    s = simulate(model, design, rng=1)
    assert (s.y == s.X @ s.beta + s.Z @ s.u + s.eps).all()
    assert (s.data[model.response] == s.y).all()


@pytest.mark.slow
def test_moments_are_those_of_the_equation(world):
    """Mean X beta and covariance V, every entry, from 20,000 draws of the first rows of each scenario."""
    model, design = world
    Y = simulate_many(model, design, DRAWS, rng=2)
    mean = (model.X(design) @ pd.Series(model.beta)).to_numpy()
    V = model.V(design)
    sd = np.sqrt(np.diag(V))
    worst, limit = worst_z(Y.mean(axis=1), mean, sd / np.sqrt(DRAWS))
    assert worst < limit
    centred = Y - mean[:, None]
    observed = centred @ centred.T / DRAWS
    worst, limit = worst_z(observed, V, np.sqrt((V**2 + np.outer(sd**2, sd**2)) / DRAWS))
    assert worst < limit


def test_the_check_of_moments_sees_a_wrong_covariance():
    """Negative control: sd and variance confused in a random slope."""
    model, design = scenarios.plant_growth(plots=3)
    wrong, _ = scenarios.plant_growth(plots=3, sd_growth=0.4**2)
    Y = simulate_many(wrong, design, DRAWS, rng=2)
    V, centred = model.V(design), Y - Y.mean(axis=1, keepdims=True)
    sd = np.sqrt(np.diag(V))
    worst, limit = worst_z(centred @ centred.T / DRAWS, V, np.sqrt((V**2 + np.outer(sd**2, sd**2)) / DRAWS))
    assert worst > 2 * limit


SHAPES = [draws.normal(), draws.student_t(8), draws.skewed(1.0), draws.uniform(), draws.contaminated(0.05, 3.0)]
RESIDUALS = {
    "iid": lambda shape: IID(sd=2.0, shape=shape),
    "by factor": lambda shape: IID(sd={"a": 1.0, "b": 3.0}, by="x", shape=shape),
    "ar1": lambda shape: AR1(sd=2.0, rho=0.6, unit="g", time="t", shape=shape),
    "exchangeable": lambda shape: CompoundSymmetry(sd=2.0, rho=-0.2, unit="g", shape=shape),
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("residual", RESIDUALS)
def test_covariance_is_V_for_every_shape_of_u_and_eps(shape, residual):
    design = crossed(g=2, t=[0, 1, 4]).assign(x=["a", "b", "a", "a", "b", "a"])
    model = Model(
        "y ~ 1 + (t | g)",
        {"Intercept": 3.0},
        random={"g": Random(sd={"Intercept": 1.0, "t": 0.5}, corr=-0.4, shape=shape)},
        residual=RESIDUALS[residual](shape),
    )
    Y = simulate_many(model, design, DRAWS, rng=3) - 3.0
    products = Y[:, None] * Y[None]
    worst, limit = worst_z(products.mean(axis=2), model.V(design), products.std(axis=2) / np.sqrt(DRAWS))
    assert worst < limit


def test_row_order_of_the_design_does_not_matter():
    model, design = scenarios.blood_pressure(patients=4)
    shuffled = design.sample(frac=1, random_state=1)
    np.testing.assert_allclose(model.V(design)[np.ix_(shuffled.index, shuffled.index)], model.V(shuffled), atol=1e-12)
    s = simulate(model, shuffled, rng=1)
    assert s.data.index.equals(shuffled.index)
    assert (s.y == s.X @ s.beta + s.Z @ s.u + s.eps).all()


def test_a_replicate_is_the_same_alone_and_among_many():
    model, design = scenarios.subjects_items(subjects=6, items=4)
    Y = simulate_many(model, design, 600, rng=5)
    for k in (0, 255, 256, 599):
        np.testing.assert_allclose(simulate(model, design, rng=5, replicate=k).y, Y[:, k], rtol=1e-12)


def test_the_one_data_set_that_is_drawn_without_a_number_is_the_first_of_many():
    model, design = scenarios.subjects_items(subjects=6, items=4)
    first, second = simulate_many(model, design, 2, rng=5).T
    np.testing.assert_allclose(simulate(model, design, rng=5).y, first, rtol=1e-12)
    assert abs(first - second).min() > 0


def test_a_replicate_does_not_depend_on_how_many_are_drawn():
    model, design = scenarios.blood_pressure(patients=4)
    Y = simulate_many(model, design, 600, rng=5)
    assert (simulate_many(model, design, 300, rng=5) == Y[:, :300]).all()
    assert (simulate_many(model, design, 100, rng=5, first=250) == Y[:, 250:350]).all()


def test_replicates_and_groups_are_independent():
    """Negative control of a generator that is seeded anew in a loop: everything would be equal."""
    model, design = scenarios.teaching_methods(schools=4, pupils=3)
    Y = simulate_many(model, design, 1000, rng=6)
    assert len(np.unique(Y)) == Y.size
    r = np.corrcoef(Y[0, :-1], Y[0, 1:])[0, 1]
    assert abs(r) < 4 / np.sqrt(999)
    same = np.equal.outer(*[design["school"].to_numpy()] * 2)
    r = np.corrcoef(Y)
    assert np.abs(r[~same]).max() < 4.5 / np.sqrt(1000)
    V = model.V(design)
    assert np.abs(r[same] - V[same] / V[0, 0]).max() < 4.5 / np.sqrt(1000)


def test_neighbouring_seeds_share_no_data():
    model, design = scenarios.teaching_methods(schools=4, pupils=3)
    one, other = (simulate_many(model, design, 300, rng=seed) for seed in (1, 2))
    assert not np.intersect1d(one, other).size


def test_an_int_repeats_and_a_generator_moves_on():
    model, design = scenarios.plant_growth(plots=3)
    rng = np.random.default_rng(1)
    assert (simulate(model, design, rng=1).y == simulate(model, design, rng=1).y).all()
    assert not (simulate(model, design, rng=rng).y == simulate(model, design, rng=rng).y).any()
    assert not (simulate(model, design).y == simulate(model, design).y).any()


def test_truth_has_the_names_of_the_columns(world):
    model, design = world
    s = simulate(model, design, rng=1)
    assert s.beta.index.equals(s.X.columns)
    assert s.u.index.equals(s.Z.columns)
    assert s.u.index.is_unique


def test_the_design_is_left_as_it_was():
    model, design = scenarios.plant_growth(plots=3)
    before = design.copy()
    data = simulate(model, design, rng=1).data
    data["week"] = 0
    pd.testing.assert_frame_equal(design, before)


def test_a_response_that_exists_is_not_overwritten():
    model, design = scenarios.plant_growth(plots=3)
    data = simulate(model, design, rng=1).data
    with pytest.raises(ValueError, match=r"already has a column 'height'.*drop\(columns='height'\)"):
        simulate(model, data, rng=1)
    with pytest.raises(ValueError, match="already has a column 'height'"):
        simulate_many(model, data, 2, rng=1)


def test_the_model_comes_before_the_design():
    model, design = scenarios.plant_growth(plots=3)
    with pytest.raises(TypeError, match="the model comes first, then the design; the model is a DataFrame"):
        simulate(design, model, rng=1)
    with pytest.raises(TypeError, match=r"must be a pandas DataFrame .* got NoneType"):
        simulate(model, None, rng=1)


@pytest.mark.parametrize("wrong", [-1, 1.5, "10", True])
def test_replicates_are_counted_in_whole_numbers(wrong):
    world = scenarios.plant_growth(plots=3)
    for call in (
        lambda: simulate_many(*world, wrong, rng=1),
        lambda: simulate_many(*world, 2, rng=1, first=wrong),
        lambda: simulate(*world, rng=1, replicate=wrong),
    ):
        with pytest.raises(ValueError, match=f"={wrong!r}: give a whole number, 0 or more"):
            call()


@pytest.mark.parametrize(("wrong", "error"), [("one", TypeError), (1.5, TypeError), (-1, ValueError)])
def test_what_is_no_seed_is_refused(wrong, error):
    with pytest.raises(error, match=f"rng is a Generator, a whole number of 0 or more, or None; got {wrong!r}"):
        simulate(*scenarios.plant_growth(plots=3), rng=wrong)


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (lambda: scenarios.plant_growth(weeks=[0, 1]), r"weeks=\[0, 1\]: give a whole number"),
        (lambda: scenarios.plant_growth(extra=0.5), "extra=0.5: give two numbers"),
        (lambda: scenarios.blood_pressure(weeks=5), "weeks=5: give the weeks of the measurements"),
    ],
)
def test_a_scenario_says_what_it_takes(world, message):
    with pytest.raises(ValueError, match=message):
        world()


def test_a_model_without_groups_is_a_regression():
    model = Model("y ~ x", {"Intercept": 1.0, "x": 2.0}, residual=0.0)
    s = simulate(model, pd.DataFrame({"x": [0.0, 1.0, 5.0]}), rng=1)
    assert s.y.tolist() == [1.0, 3.0, 11.0]
    assert s.Z.shape == (3, 0)


def test_a_variance_of_zero_and_a_correlation_of_one_are_worlds_too():
    random = {"g": Random(sd={"Intercept": 1.0, "t": 2.0}, corr=1.0)}
    model = Model("y ~ 0 + t + (t | g)", {"t": 0.0}, random=random, residual=0.0)
    u = simulate(model, crossed(g=5, t=[0, 1]), rng=1).u.unstack()
    np.testing.assert_allclose(u["t"], 2 * u["Intercept"])


def test_large_n_recovers_every_coefficient():
    """Interactions included: another simulator drew them as independent factors."""
    model, design = scenarios.plant_growth(plots=3000)
    s = simulate(model, design, rng=7)
    estimate, *_ = np.linalg.lstsq(s.X.to_numpy(), s.y)
    X, V = s.X.to_numpy(), model.V(design.iloc[:5].reset_index(drop=True))
    blocks = X.reshape(3000, 5, -1)
    bread = np.linalg.inv(X.T @ X)
    se = np.sqrt(np.diag(bread @ np.einsum("gij,ik,gkl->jl", blocks, V, blocks) @ bread))
    assert (np.abs(estimate - s.beta) < 4.5 * se).all()


def test_nested_units_of_unequal_size_are_simulated():
    design = nested(school=3, pupil=[1, 4, 2])
    s = simulate(Model("y ~ 1 + (1 | school)", {"Intercept": 0}, random={"school": 1.0}), design, rng=1)
    assert s.Z.sum(axis=0).tolist() == [1, 4, 2]


def test_simulation_prints_its_world():
    model, design = scenarios.teaching_methods(schools=4, pupils=3)
    assert "12 rows, 2 coefficients, 4 random effects" in repr(simulate(model, design, rng=1))
