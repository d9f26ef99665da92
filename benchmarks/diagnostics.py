"""A study of the diagnostics themselves: how often does each raise an alarm, when it should not and when it should?

    python benchmarks/diagnostics.py [--replicates 400] [--simulated 79] [--seed 1]

Data sets are simulated from two true models and from worlds that each break one assumption. Each is fitted and
diagnosed, and an alarm is a p of 0.05 or less (39, 79, 119, ... simulated data sets make this level exact). Under a
true model the rate should be 0.05 within its Monte-Carlo error; in the world that a check is made for it should be
large. The whole table is printed: what else raises an alarm in a world tells how specific a check is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from lmmsim import AR1, IID, Model, Random, assign, crossed, draws, simulate
from lmmsim.diagnostics.diagnose import diagnose
from lmmsim.estimators.lmm import LMM

LEVEL = 0.05
FORMULA = "y ~ week * arm + (week | unit)"
PARALLEL = "y ~ week * arm + (1 | unit)"
DESIGN = assign(crossed(unit=40, week=range(8)), to="unit", arm=["old", "new"])
SKEWED = draws.skewed(2.5)
BETA = {"Intercept": 10.0, "week": 1.0, "arm[T.new]": 0.0, "week:arm[T.new]": 0.3}

World = Callable[[np.random.Generator], tuple[str, pd.DataFrame]]


def model(formula: str = FORMULA, shape: draws.Shape | None = None, residual: object = 1.0, **beta: float) -> Model:
    """The true model, or one that differs from it in a respect."""
    unit = Random(sd={"Intercept": 2.0, "week": 0.4}, corr=0.3, shape=shape or draws.normal())
    return Model(formula, BETA | beta, {"unit": unit}, residual)


def parallel() -> Model:
    """A world in which units differ in their level only: the model without slopes is true."""
    return Model(PARALLEL, BETA, {"unit": 2.0}, 1.0)


def drawn(world: Model, fitted: str = FORMULA) -> World:
    """Simulate from a model, and fit a formula."""
    return lambda rng: (fitted, simulate(world, DESIGN, rng=rng).data)


def outlying_group(rng: np.random.Generator) -> tuple[str, pd.DataFrame]:
    """One of forty units starts six standard deviations high and grows six too fast."""
    data = simulate(model(), DESIGN, rng=rng).data
    strange = data["unit"] == data["unit"].iloc[0]
    return FORMULA, data.assign(y=data["y"] + strange * (6 * 2.0 + 6 * 0.4 * data["week"]))


def spread_with_the_mean(rng: np.random.Generator) -> tuple[str, pd.DataFrame]:
    """The residual sd grows from one to two thirds to four thirds along the expected value."""
    made = simulate(model(), DESIGN, rng=rng)
    mean = made.y - made.eps
    rank = pd.Series(mean).rank(pct=True).to_numpy()
    return FORMULA, made.data.assign(y=mean + made.eps * (2 / 3 + 2 / 3 * rank))


def spread_over_weeks(rng: np.random.Generator) -> tuple[str, pd.DataFrame]:
    """The residual sd grows from two thirds to four thirds in seven weeks."""
    made = simulate(model(), DESIGN, rng=rng)
    return FORMULA, made.data.assign(y=made.y - made.eps + made.eps * (2 / 3 + 2 / 3 * made.data["week"] / 7))


def varied_large_groups(rng: np.random.Generator) -> tuple[str, pd.DataFrame]:
    """Three units of four are seen in three weeks only, and differ far less than the others: one variance fits none."""
    made = simulate(model(), DESIGN, rng=rng)
    short = made.data["unit"].cat.codes.to_numpy() % 8 < 6  # in both arms
    effects = made.Z @ made.u.to_numpy() * np.where(short, 0.3, 2.0)
    data = made.data.assign(y=made.X.to_numpy() @ made.beta.to_numpy() + effects + made.eps)
    return FORMULA, data[~short | (data["week"] < 3)]


def missed_curve(rng: np.random.Generator) -> tuple[str, pd.DataFrame]:
    """Growth slows down: a quarter of a unit is missed at the ends and in the middle."""
    data = simulate(model(), DESIGN, rng=rng).data
    bend = (data["week"] - 3.5) ** 2
    return FORMULA, data.assign(y=data["y"] - 0.25 * (bend - bend.mean()) / bend.std())


# every world, and the checks that are made for it
WORLDS: dict[str, tuple[World, tuple[str, ...]]] = {
    "true model": (drawn(model()), ()),
    "true, no slopes": (drawn(parallel(), PARALLEL), ()),
    "skewed u": (drawn(model(shape=SKEWED)), ("random_qq unit Intercept", "random_qq unit week")),
    "heavy-tailed eps": (
        drawn(model(residual=IID(1.0, shape=draws.student_t(4)))),
        ("residual_qq", "least_confounded"),
    ),
    "skewed u and eps": (drawn(model(shape=SKEWED, residual=IID(1.0, shape=SKEWED))), ("uniformity",)),
    "unequal variances": (drawn(model(residual=IID({"old": 0.8, "new": 1.2}, by="arm"))), ("scale_location arm",)),
    "spread with the mean": (spread_with_the_mean, ("scale_location fitted",)),
    "spread over weeks": (spread_over_weeks, ("scale_location week",)),
    "varied large groups": (varied_large_groups, ("dispersion", "outliers")),
    "outlying group": (outlying_group, ("influence unit",)),
    "missed slope": (drawn(model(), PARALLEL), ("slopes week | unit",)),
    "missed curve": (missed_curve, ("linearity week",)),
    "serial correlation": (
        drawn(model(residual=AR1(sd=1.0, rho=0.5, unit="unit", time="week"))),
        ("lag_correlation week",),
    ),
}


def alarms(replicates: int, simulated: int, seed: int) -> pd.DataFrame:
    """Share of data sets in which each check (row) raises an alarm, in each world (column)."""
    rates = {}
    for number, (name, (world, _)) in enumerate(WORLDS.items()):
        count: pd.Series | int = 0
        for replicate in range(replicates):
            rng = np.random.default_rng([seed, number, replicate])
            formula, data = world(rng)
            diagnosis = diagnose(LMM(formula)(data), rng=rng, replicates=simulated, left_out=0)
            count = count + (diagnosis.summary["p"] <= LEVEL).astype(int)
        rates[name] = count / replicates
    return pd.DataFrame(rates).reindex(rates["true model"].index)


def report(rates: pd.DataFrame, replicates: int) -> pd.DataFrame:
    """For each check: false alarms, and alarms in the world that it is for, with Monte-Carlo errors."""

    def error(p: pd.Series) -> pd.Series:
        return np.sqrt(p * (1 - p) / replicates)

    made_for = {check: name for name, (_, checks) in WORLDS.items() for check in checks}
    # whether slopes are missed can only be asked of a model without them
    quiet = rates["true model"].where(~rates.index.str.startswith("slopes"), rates["true, no slopes"])
    table = pd.DataFrame({"false alarms": quiet, "error": error(quiet)})
    table["made for"] = [made_for.get(check, "") for check in table.index]
    table["alarms"] = [rates.loc[check, name] if name else np.nan for check, name in table["made for"].items()]
    table["error of alarms"] = error(table["alarms"])
    return table


def main() -> None:
    """Run the study and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=400, help="data sets in each world")
    parser.add_argument("--simulated", type=int, default=79, help="data sets simulated from each fit")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rates = alarms(options.replicates, options.simulated, options.seed)
    print(f"{options.replicates} data sets in each world, alarm at p <= {LEVEL}")
    print(report(rates, options.replicates).round(3).to_string(na_rep=""))
    print("\nall checks in all worlds")
    print(rates.round(2).to_string())


if __name__ == "__main__":
    main()
