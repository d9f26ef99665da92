"""Coverage of prediction intervals and type-I error of joint tests, each with its Monte-Carlo error.

python benchmarks/predictions.py [replicates]
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd

from lmmsim import LMM, OLS, Model, Random, assign, crossed, nested, simulate, study
from lmmsim.studies.performance import share


def schools(n: int, pupils: int, icc: float = 0.2) -> tuple[Model, pd.DataFrame]:
    """Pupils in schools, half of which try a method."""
    design = assign(nested(school=n, pupil=pupils), to="school", method=["usual", "new"])
    beta = {"Intercept": 50.0, "method[T.new]": 0.0}
    return Model("score ~ method + (1 | school)", beta, {"school": 10 * np.sqrt(icc)}, 10 * np.sqrt(1 - icc)), design


def growth(plots: int, weeks: int = 5) -> tuple[Model, pd.DataFrame]:
    """Plants with their own slopes, three fertilizers that make no difference."""
    design = assign(crossed(plot=plots, week=np.arange(weeks)), to="plot", fertilizer=["Control", "A", "B"])
    names = ["Intercept", "week", "fertilizer[T.A]", "fertilizer[T.B]", "week:fertilizer[T.A]", "week:fertilizer[T.B]"]
    beta = dict.fromkeys(names, 0.0) | {"Intercept": 10.0, "week": 2.0}
    plot = Random(sd={"Intercept": 2.0, "week": 0.6}, corr=0.3)
    return Model("height ~ week * fertilizer + (week | plot)", beta, {"plot": plot}, residual=1.0), design


def words(subjects: int, items: int) -> tuple[Model, pd.DataFrame]:
    """Subjects who answer to items, crossed."""
    design = assign(crossed(subject=subjects, item=items), to="item", kind=["a", "b"])
    beta = {"Intercept": 800.0, "kind[T.b]": 0.0}
    return Model("rt ~ kind + (1 | subject) + (1 | item)", beta, {"subject": 80.0, "item": 50.0}, 150.0), design


WORLDS = {
    "6 schools of 20": schools(6, 20),
    "20 schools of 10": schools(20, 10),
    "12 plots, own slopes": growth(12),
    "30 plots, own slopes": growth(30),
    "12 subjects x 10 items": words(12, 10),
}


def coverage(model: Model, design: pd.DataFrame, replicates: int, df: str) -> dict[str, np.ndarray]:
    """Of every kind of prediction of a row of the design: whether the interval held the truth, by replicate."""
    held: dict[str, list[float]] = {"population": [], "conditional": [], "new group": []}
    rng = np.random.default_rng(1)
    equation = model.on(design)
    spread = np.sqrt(sum(equation.variances.values()) + equation.residual.sds(design) ** 2)
    for k in range(replicates):
        world = simulate(model, design, rng=k)
        fit = LMM(model.formula, df=df)(world.data)
        row = [int(rng.integers(len(design)))]
        fixed = equation.mean[row][0]
        truth = {
            "population": fixed,
            "conditional": fixed + (world.Z @ world.u.to_numpy())[row][0],
            "new group": fixed + spread[row][0] * rng.normal(),
        }
        for kind, value in truth.items():
            table = fit.predict(design.iloc[row], kind=kind)
            held[kind].append(float(table["low"].iloc[0] <= value <= table["high"].iloc[0]))
    return {kind: np.array(values) for kind, values in held.items()}


def rate(p: np.ndarray) -> str:
    """The share of p-values below 5 % among those that there are, with its error."""
    p = p[np.isfinite(p)]
    return "{:.4f} ±{:.4f}".format(*share(p < 0.05)) if len(p) else "no test"


def main(replicates: int) -> None:
    """Print both tables."""
    print(f"Coverage of 95 % intervals, {replicates} replicates, one random row each")
    for name, (model, design) in WORLDS.items():
        for df in ("satterthwaite", "kenward-roger"):
            shares = {kind: share(values) for kind, values in coverage(model, design, replicates, df).items()}
            print(f"{name:24} {df:14}", *(f"{kind} {p:.3f} ±{e:.3f}" for kind, (p, e) in shares.items()))
    print(f"\nType-I error of joint F tests at 5 %, {10 * replicates} replicates")
    for plots in (6, 12, 30):
        model, design = growth(plots)
        fixed = "height ~ week * fertilizer"
        analyses = {
            "Satterthwaite": LMM(model.formula),
            "Kenward-Roger": LMM(model.formula, df="kenward-roger"),
            "z": LMM(model.formula, df="z"),
            "OLS, CR1": OLS(fixed, cluster="plot"),
            "OLS, CR2": OLS(fixed, cluster="plot", robust="CR2"),
        }
        tests = {"slopes": "week:fertilizer", "any": {"A": {"fertilizer[T.A]": 1}, "B": {"fertilizer[T.B]": 1},
                 "A slope": {"week:fertilizer[T.A]": 1}, "B slope": {"week:fertilizer[T.B]": 1}}}  # fmt: skip
        for name, analysis in analyses.items():
            few = replicates if name == "Kenward-Roger" else 10 * replicates
            try:
                found = study(model, design, {name: analysis}, few, rng=1, tests=tests, progress=False)
            except ValueError as error:
                print(f"{plots:3} plots  {name:14} {error}")
                continue
            one = found.answers[name]
            rates = {test: rate(one.p[one.converged, one.terms.index(test)]) for test in tests}
            print(f"{plots:3} plots  {name:14}", *(f"{test} {text}" for test, text in rates.items()))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
