"""Coverage and type-I error of fits with residual structures, each with its Monte-Carlo error, beside fits without.

    python benchmarks/residual_structures.py [replicates]

Two worlds without effects: AR(1) residuals beside a random intercept (12 plots, 8 weeks, two arms between plots), and
an unstructured covariance with dropout (30 patients, 4 visits, two arms, every visit after the first lost with a
chance of 15 % for good). The df of every analysis are Satterthwaite's.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from lmmsim import AR1, LMM, Model, Unstructured, assign, crossed, study
from lmmsim.studies.performance import performance


def serial() -> tuple[Model, pd.DataFrame, dict[str, LMM]]:
    """Plots whose residuals fade over weeks; the truth, one structure too few, one too many."""
    design = assign(crossed(plot=12, week=list(range(8))), to="plot", arm=["a", "b"])
    names = ["Intercept", "week", "arm[T.b]", "week:arm[T.b]"]
    formula = "y ~ week * arm + (1 | plot)"
    world = Model(formula, dict.fromkeys(names, 0.0), {"plot": 1.0}, AR1(1.0, 0.6, "plot", time="week"))
    ar1 = AR1(unit="plot", time="week")
    return (
        world,
        design,
        {
            "independent": LMM(formula),
            "AR(1)": LMM(formula, residual=ar1),
            "AR(1), no intercept": LMM("y ~ week * arm", residual=ar1),
        },
    )


def visits() -> tuple[Model, pd.DataFrame, dict[str, LMM]]:
    """Patients with an unstructured covariance over four visits."""
    design = assign(crossed(patient=30, visit=["v1", "v2", "v3", "v4"]), to="patient", arm=["a", "b"])
    formula = "y ~ visit * arm"
    residual = Unstructured(
        sd={"v1": 5.0, "v2": 6.0, "v3": 7.5, "v4": 9.0},
        corr=np.array([[1, 0.7, 0.5, 0.35], [0.7, 1, 0.75, 0.55], [0.5, 0.75, 1, 0.8], [0.35, 0.55, 0.8, 1]]),
        unit="patient",
        time="visit",
    )
    names = [
        "Intercept",
        *(f"visit[T.v{k}]" for k in (2, 3, 4)),
        "arm[T.b]",
        *(f"visit[T.v{k}]:arm[T.b]" for k in (2, 3, 4)),
    ]
    world = Model(formula, dict.fromkeys(names, 0.0), residual=residual)
    return (
        world,
        design,
        {
            "random intercept": LMM(f"{formula} + (1 | patient)"),
            "MMRM": LMM(formula, residual=Unstructured(unit="patient", time="visit")),
        },
    )


def leave(data: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Patients leave after any visit with a chance of 15 %."""
    visit = data["visit"].astype(str).str[1:].astype(int)
    last = rng.geometric(0.15, size=data["patient"].nunique())
    return data.assign(y=data["y"].where(visit.to_numpy() <= last[pd.factorize(data["patient"])[0]]))


def main(replicates: int) -> None:
    """Print both tables."""
    pd.set_option("display.width", 150)
    columns = ["coverage", "coverage_mcse", "rejection", "rejection_mcse", "n", "failed", "singular"]
    for name, make, observe in (("AR(1)", serial, None), ("MMRM with dropout", visits, leave)):
        world, design, analyses = make()
        results = study(world, design, analyses, replicates=replicates, rng=1, observe=observe)
        print(f"\n{name}, {replicates} replicates\n{performance(results)[columns].round(4).to_string()}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
