"""What drawing data costs: ratios to NumPy's normals and to importing pandas, medians of one run.

python benchmarks/simulation.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from lmmsim import scenarios, simulate_many

HEAVY = ("scipy.stats", "formulaic", "statsmodels", "matplotlib", "seaborn")


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def drawing(replicates: int = 10_000, rounds: int = 25) -> float:
    """Median ratio: `simulate_many` of the plant design to as many standard normals, in turn."""
    model, design = scenarios.plant_growth()
    effects = model.Z(design).shape[1]
    rng = np.random.default_rng(1)
    simulate_many(model, design, 1, rng=1)
    return median(
        seconds(lambda: simulate_many(model, design, replicates, rng=1))
        / seconds(lambda: rng.standard_normal(replicates * (len(design) + effects)))
        for _ in range(rounds)
    )


def importing(rounds: int = 9) -> float:
    """Median ratio: `import lmmsim` to `import pandas` in fresh interpreters, the bare interpreter taken off."""

    def start(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    start("import lmmsim")
    ratios = []
    for _ in range(rounds):
        bare = start("pass")
        ratios.append((start("import lmmsim") - bare) / (start("import pandas") - bare))
    return median(ratios)


def loaded() -> list[str]:
    """Heavy packages that `import lmmsim` loads."""
    code = f"import sys, lmmsim; print(*[name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


if __name__ == "__main__":
    print(f"10,000 plant data sets, time over as many standard normals: {drawing():.2f}")
    print(f"import lmmsim, time over import pandas: {importing():.2f}")
    print(f"of {', '.join(HEAVY)} it loads: {', '.join(loaded()) or 'none'}")
