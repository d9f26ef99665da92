"""What lmmsim makes for the explorables: draws, as standard normals, and grids. One function each, named after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmmsim import LMM, OLS, Model, Random, convert, covariate, crossed, draws, nested, performance, simulate, study


def whole(z: np.ndarray, per: int = 100) -> list[int]:
    """Draws in hundredths (or finer), as short integers."""
    return [int(value) for value in np.rint(np.ravel(z) * per)]


# The first replicate of rng=1 whose survey misleads in an ordinary way; `misleads` says what that means.
MISLEADING = 34


def effective_n(replicate: int = MISLEADING) -> dict[str, Any]:
    """Standardized school effects and pupils' residuals of 60 schools with 40 pupils each."""
    tau, sigma = convert.sd_from_icc(0.2, sd_total=10)
    world = Model("score ~ 1 + (1 | school)", beta={"Intercept": 50}, random={"school": tau}, residual=sigma)
    survey = simulate(world, nested(school=60, pupil=40), rng=1, replicate=replicate)
    return {"per": 100, "school": whole(survey.u.to_numpy() / tau), "pupil": whole(survey.eps / sigma)}


def misleads(data: dict[str, Any]) -> bool:
    """Whether OLS is sure of a difference between the first 20 schools (10 pupils each) and the mixed model is not.

    And at other settings of the sliders the mixed model is not misled either.
    """
    difference, ols, mixed = p_values(data, 0.2, 10, 20)
    others = [(rho, m, J) for rho in (0.0, 0.05, 0.2, 0.5) for m in (2, 10, 40) for J in (8, 20, 40, 60)]
    ordinary = difference > 0 and 0.005 < ols < 0.02 and 0.1 < mixed < 0.2
    return bool(ordinary and all(p_values(data, *other)[2] > 0.06 for other in others))


def p_values(data: dict[str, Any], rho: float, m: int, J: int) -> tuple[float, float, float]:
    """Difference between the sectors, p of OLS, p of the school means; school j is in arm j % 2."""
    from scipy.special import stdtr

    u, e = np.array(data["school"]) / data["per"], np.array(data["pupil"]).reshape(60, 40) / data["per"]
    y = 50 + 10 * (np.sqrt(rho) * u[:J, None] + np.sqrt(1 - rho) * e[:J, :m])
    arm, means, n = np.arange(J) % 2, y.mean(axis=1), J * m
    centers = np.array([means[arm == k].mean() for k in (0, 1)])
    between, within = m * ((means - centers[arm]) ** 2).sum(), ((y - means[:, None]) ** 2).sum()
    difference = centers[1] - centers[0]
    se = np.sqrt(4 / n * np.array([(between + within) / (n - 2), between / (J - 2)]))
    ols, mixed = 2 * stdtr(np.array([n - 2, J - 2]), -abs(difference) / se)
    return float(difference), float(ols), float(mixed)


def matrix() -> dict[str, Any]:
    """Standardized u and eps of three plots in four weeks: those of rng=1, whatever the standard deviations."""
    standard = Random(sd={"Intercept": 1.0, "week": 1.0}, corr=0.0)
    world = Model("height ~ week + (week | plot)", {"Intercept": 0, "week": 0}, {"plot": standard}, residual=1.0)
    plants = simulate(world, crossed(plot=3, week=[0, 1, 2, 3]), rng=1)
    return {"per": 10_000, "u": whole(plants.u.to_numpy(), 10_000), "eps": whole(plants.eps, 10_000)}


SCHOOL_SIZES = [2, 2, 4, 4, 6, 6, 8, 10, 12, 16, 20, 30]


def ladder() -> dict[str, Any]:
    """Standardized effects of twelve schools of unequal size, and the residuals of four times as many pupils."""
    most = 4
    world = Model("score ~ 1 + (1 | school)", {"Intercept": 0}, {"school": 1.0}, residual=1.0)
    survey = simulate(world, nested(school=12, pupil=[most * n for n in SCHOOL_SIZES]), rng=1)
    return {
        "per": 1000,
        "sizes": SCHOOL_SIZES,
        "most": most,
        "school": whole(survey.u.to_numpy(), 1000),
        "pupil": whole(survey.eps, 1000),
    }


def redraw() -> dict[str, Any]:
    """Standardized effects of twenty schools: those that stay when the study is repeated with the same schools."""
    world = Model("score ~ 1 + (1 | school)", {"Intercept": 0}, {"school": 1.0}, residual=1.0)
    return {"per": 1000, "school": whole(simulate(world, nested(school=20, pupil=2), rng=1).u.to_numpy(), 1000)}


def analyses() -> dict[str, Any]:
    """Standardized effects of twelve plots and residuals of their six plants."""
    world = Model("height ~ 1 + (1 | plot)", {"Intercept": 0}, {"plot": 1.0}, residual=1.0)
    plants = simulate(world, nested(plot=12, plant=6), rng=1)
    return {"per": 1000, "plot": whole(plants.u.to_numpy(), 1000), "plant": whole(plants.eps, 1000)}


def origin() -> dict[str, Any]:
    """Standardized levels and slopes of sixteen children."""
    standard = Random(sd={"Intercept": 1.0, "week": 1.0}, corr=0.0)
    world = Model("score ~ week + (week | child)", {"Intercept": 0, "week": 0}, {"child": standard}, residual=1.0)
    children = simulate(world, crossed(child=16, week=list(range(9))), rng=1)
    return {"per": 10_000, "u": whole(children.u.to_numpy(), 10_000)}


def two_slopes() -> dict[str, Any]:
    """Standardized means and pupils of the predictor, school effects and residuals: 10 schools with 10 pupils."""
    pupils = covariate(nested(school=10, pupil=10), at="school", level=draws.normal(), rng=1)
    pupils = covariate(pupils, at="pupil", dev=draws.normal(), rng=2)
    world = Model("y ~ 1 + (1 | school)", {"Intercept": 0}, {"school": 1.0}, residual=1.0)
    made = simulate(world, pupils, rng=3)
    level = pupils.groupby("school", sort=False)["level"].first()
    columns = {"level": level, "dev": pupils["dev"], "u": made.u, "eps": made.eps}
    return {"per": 1000, **{name: whole(np.asarray(column), 1000) for name, column in columns.items()}}


def lineup() -> dict[str, Any]:
    """Standard normal residuals of twenty data sets, and where the first stands in each of nine line-ups."""
    panels, rounds = 20, 9
    world = Model("y ~ 1 + (1 | plant)", {"Intercept": 0}, {"plant": 0.0}, residual=1.0)
    design = crossed(plant=10, week=list(range(8)))
    made = [whole(simulate(world, design, rng=1, replicate=k).eps, 100) for k in range(panels)]
    rng = np.random.default_rng(1)
    places, orders = [], []
    for _ in range(rounds):
        order = rng.permutation(panels)  # order[k] is the data set that stands in panel k + 1; 0 is the real one
        places.append(int(np.flatnonzero(order == 0)[0]) + 1)
        orders.append([int(k) for k in order])
    return {"per": 100, "panels": made, "places": places, "orders": orders}


SCORES = {"groups": [6, 10, 20, 40], "icc": [0.0, 0.1, 0.3], "slope": [0.0, 0.25, 0.5]}


def scorecard(replicates: int = 1000) -> dict[str, Any]:
    """False positives of OLS, LMM (1 | group) and LMM (x | group) where x varies within groups, on a grid of worlds."""
    analyses = {
        "OLS": OLS("y ~ x"),
        "intercept": LMM("y ~ x + (1 | group)"),
        "slope": LMM("y ~ x + (x | group)"),
    }

    def counts(groups: int, icc: float, slope: float) -> list[int]:
        tau, sigma = convert.sd_from_icc(icc, sd_residual=1.0)
        effects = Random(sd={"Intercept": tau, "x": slope})
        world = Model("y ~ x + (x | group)", {"Intercept": 0, "x": 0}, {"group": effects}, residual=sigma)
        design = crossed(group=groups, x=[-0.5, 0.5], row=5)
        results = performance(study(world, design, analyses, replicates=replicates, rng=1, progress=False))
        rejection = results.loc["x", "rejection"]
        return [round(replicates * float(rejection[name])) for name in analyses]

    grid = [[[counts(J, icc, s) for s in SCORES["slope"]] for icc in SCORES["icc"]] for J in SCORES["groups"]]
    return {"replicates": replicates, "grid": grid}
