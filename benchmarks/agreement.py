"""Does the optimum depend on the way to it? 2,000 data sets from every scenario, each fitted along several ways.

    python benchmarks/agreement.py                      # some minutes
    python benchmarks/agreement.py --responses 200 --sample 10

Every scenario is analysed with its own formula. The columns are

    start      largest difference in the criterion between `LMM.many` and `Engine.fit` started at a random theta
    single     the same between `LMM.many` and `LMM(formula)(data, start=random)`, one data set at a time
    L-BFGS-B   the same between `LMM.many` and SciPy's optimiser on the bare criterion, from the random theta: it shares
               no step with the engine, whose own search leaves a start by a scoring step
    lower      how much lower than `LMM.many` any of them came

on all data sets (start) or on a sample of them (single, L-BFGS-B), half of it singular fits where there are as many.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import inspect
import time

import numpy as np
import pandas as pd

from lmmsim import LMM, scenarios, simulate_many
from lmmsim.model.columns import build
from lmmsim.reml.engine import Engine

AGREED = 1e-6


def elsewhere(engine: Engine, rng: np.random.Generator) -> np.ndarray:
    """A random theta of the user's columns: relative standard deviations of standardised columns up to 4."""
    coordinates = engine.coordinates
    theta = rng.uniform(-1, 1, size=(1, coordinates.size))
    theta[:, coordinates.diagonal] = rng.uniform(0.1, 4, size=coordinates.diagonal.sum())
    return engine.problem.theta_out(theta)[0]


def by_scipy(engine: Engine, y: np.ndarray, theta: np.ndarray) -> float:
    """The lowest criterion that SciPy finds from theta, in the coordinates of standardised columns."""
    from scipy.optimize import minimize

    structure, _, moments = engine.prepare(y[:, None])
    start = engine.problem.theta_in(theta[None])[0]
    constant = float(engine.criterion(theta, y)[0] - structure.at(start[None], moments, True).value[0])

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        point = structure.at(x[None], moments, True)
        gradient = engine.coordinates.jacobian(x[None])[0].T @ point.gradient[0]
        return float(point.value[0]), gradient

    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-8}
    return float(minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options).fun + constant)


def sample_of(singular: np.ndarray, size: int) -> np.ndarray:
    """Columns to look at one by one: half of them singular, if there are as many."""
    inside, boundary = np.flatnonzero(~singular), np.flatnonzero(singular)
    some = boundary[: max(size // 2, size - len(inside))]
    return np.concatenate([some, inside[: size - len(some)]])


def row(scenario: str, responses: int, sample: int, seed: int) -> dict[str, object]:
    """One scenario: a row of the table."""
    begin = time.process_time()
    rng = np.random.default_rng(seed)
    world = scenarios.ALL[scenario]
    model, design = world(rng=rng) if "rng" in inspect.signature(world).parameters else world()
    Y = simulate_many(model, design, responses, rng=rng)
    matrices = build(model.formula, design)
    engine = Engine(matrices.X.to_numpy(), matrices.terms)
    lmm = LMM(model.formula, df="z")
    batch = lmm.many(Y, design)
    away = engine.fit(Y, start=elsewhere(engine, rng))
    chosen = sample_of(batch.singular, sample)
    single, scipy = np.empty(len(chosen)), np.empty(len(chosen))
    for i, j in enumerate(chosen):
        theta = elsewhere(engine, rng)
        single[i] = lmm(design.assign(**{matrices.response: Y[:, j]}), start=theta).criterion
        scipy[i] = by_scipy(engine, Y[:, j], theta)
    differences = {
        "start": away.criterion - batch.criterion,
        "single": single - batch.criterion[chosen],
        "L-BFGS-B": scipy - batch.criterion[chosen],
    }
    return {
        "scenario": scenario,
        "rows": len(design),
        "structure": engine.explain().split(":")[0],
        **{name: f"{np.abs(values).max():.1e}" for name, values in differences.items()},
        "lower": f"{max(0.0, *(-values.min() for values in differences.values())):.1e}",
        "singular": f"{batch.singular.sum()} / {away.singular.sum()}",
        "in sample": int(batch.singular[chosen].sum()),
        "failed": f"{(~batch.converged).sum()} / {(~away.converged).sum()}",
        "seconds": round(time.process_time() - begin, 1),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=2000, help="data sets from each scenario")
    parser.add_argument("--sample", type=int, default=50, help="data sets fitted one by one")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        f"{options.responses:,} data sets from each scenario, {options.sample} of them one by one; REML criteria agree "
        f"where they differ by less than {AGREED:g}. 'singular' and 'failed': default start / random start.\n"
    )
    rows = [row(scenario, options.responses, options.sample, options.seed) for scenario in scenarios.ALL]
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
