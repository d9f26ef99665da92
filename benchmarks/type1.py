"""Type-I error of ten analyses of a treatment given to clusters, against reference rates from a million data sets.

    python benchmarks/type1.py                          # 100,000 data sets for each number of clusters, some minutes
    python benchmarks/type1.py --replicates 10000

J clusters of 20, every second one treated to no effect, intraclass correlation 0.05, level 0.05. The difference to the
reference is printed in Monte-Carlo errors: of both rates, as the reference has one, too, and is rounded to four digits.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from lmmsim import LMM, OLS, GroupMeans, Model, assign, nested, simulate_many

REFERENCE = Path(__file__).parent.parent / "tests" / "reference" / "power.json"
OF_REFERENCE = 1_000_000  # its replicates
LEVEL, SIZE, ICC = 0.05, 20, 0.05
CHUNK = 10_000
MIXED = "score ~ method + (1 | school)"
# the analyses, by the reference's names
ANALYSES: dict[str, LMM | OLS | GroupMeans] = {
    "OLS": OLS("score ~ method"),
    "wald_z_reml": LMM(MIXED, df="z"),
    "wald_z_ml": LMM(MIXED, df="z", reml=False),
    "satterthwaite": LMM(MIXED),
    "kenward_roger_eq_between_within_t": LMM(MIXED, df="kenward-roger"),
    "cluster_means_t": GroupMeans("score ~ method", unit="school"),
    "cr0_z": OLS("score ~ method", cluster="school", robust="CR0"),
    "cr1_t(J-1)": OLS("score ~ method", cluster="school"),
}
WITHOUT = LMM("score ~ 1 + (1 | school)", df="z", reml=False)


def rejections(Y: np.ndarray, data: pd.DataFrame) -> dict[str, int]:
    """How many of the data sets each analysis rejects; singular REML fits, and fits that failed."""
    from scipy.stats import chi2

    results = {name: analysis.many(Y, data) for name, analysis in ANALYSES.items()}
    without = WITHOUT.many(Y, data)
    counts = {name: int((result.p[:, 1] < LEVEL).sum()) for name, result in results.items()}
    ratio = without.criterion - results["wald_z_ml"].criterion
    counts["lrt_ml"] = int((chi2.sf(ratio, 1) < LEVEL).sum())
    counts["singular_reml"] = int(results["satterthwaite"].singular.sum())
    counts["failed"] = sum(int((~result.converged).sum()) for result in (without, *results.values()))
    return counts


def rates(J: int, replicates: int, seed: int) -> pd.Series:
    """Share of rejections by each analysis with J clusters."""
    data = assign(nested(school=J, pupil=SIZE), to="school", method=["usual", "new"])
    beta = {"Intercept": 0.0, "method[T.new]": 0.0}
    model = Model(MIXED, beta=beta, random={"school": np.sqrt(ICC)}, residual=np.sqrt(1 - ICC))
    rng = np.random.default_rng([seed, J])
    counts: pd.Series | int = 0
    for first in range(0, replicates, CHUNK):
        Y = simulate_many(model, data, min(CHUNK, replicates - first), rng=rng)
        counts = counts + pd.Series(rejections(Y, data))
    return counts / replicates


def compared(rate: pd.Series, reference: pd.Series, replicates: int) -> pd.DataFrame:
    """Rates beside the reference, and their difference in Monte-Carlo errors."""
    table = pd.DataFrame({"rate": rate, "reference": reference}).loc[reference.index]
    chance = reference * (1 - reference) * (1 / replicates + 1 / OF_REFERENCE) + (1e-4) ** 2 / 12
    table["errors"] = (table["rate"] - table["reference"]) / np.sqrt(chance)
    return table


def main() -> None:
    """Print the table of every number of clusters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    known = json.loads(REFERENCE.read_text(encoding="utf-8"))["type1_cluster_treatment_m20"]
    references = pd.DataFrame(known["rows"], columns=known["columns"]).astype({"J": int}).set_index("J")
    print(f"{options.replicates:,} data sets for each J, {SIZE} in a cluster, icc {ICC}, level {LEVEL}")
    differences = []
    for J, reference in references.iterrows():
        rate = rates(int(J), options.replicates, options.seed)
        table = compared(rate, reference, options.replicates)
        differences.append(table["errors"])
        shown = table.assign(errors=table["errors"].map("{:+.1f}".format)).round(4)
        print(f"\nJ = {J}, {rate['failed'] * options.replicates:.0f} fits failed\n{shown.to_string()}", flush=True)
    errors = np.concatenate(differences)
    print(f"\nof {errors.size} differences, {(np.abs(errors) > 2).sum()} exceed 2 errors; the largest is ", end="")
    print(f"{np.abs(errors).max():.1f}")


if __name__ == "__main__":
    main()
