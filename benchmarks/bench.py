"""What a fit costs: the engine against lme4, statsmodels, lme-python and mcpower, as Markdown on standard output.

    python benchmarks/bench.py              # everything, some minutes
    python benchmarks/bench.py --quick      # fewer repetitions

One process, one thread, medians of repeated runs, every peer on the same designs and responses. Times are processor
times, so that whatever else the machine does counts little. A peer that is not installed is left out: lme-python (with
polars and pyarrow) and mcpower (with msgpack) from PyPI, Rscript with lme4 from CRAN or Debian. lme4 is timed by
`refit`, which keeps the design. lme-python is timed by `lmer(formula, data)` and, as "prepared", by
`prepare_lmer(formula, data).fit(y)`, which keeps the design as the engine does. The ratios are those of the engine
that has its design; `LMM.many` reads formula and data frame as well.
"""

# ruff: noqa: E402 (the number of threads has to be set before numpy is imported)

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[_name] = "1"

import argparse
import importlib.metadata
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lmmsim import LMM, Model, Random, assign, covariate, crossed, draws, nested, simulate_many
from lmmsim.model.columns import build
from lmmsim.reml.engine import Engine

R_SCRIPT = """
suppressMessages({library(lme4)})
args <- commandArgs(TRUE)
for (name in args[-(1:2)]) {
  data <- read.csv(file.path(args[1], paste0(name, ".csv")), stringsAsFactors = TRUE)
  Y <- as.matrix(read.csv(file.path(args[1], paste0(name, "_Y.csv"))))
  formula <- as.formula(readLines(file.path(args[1], paste0(name, ".txt"))))
  data$y <- Y[, 1]
  control <- lmerControl(calc.derivs = FALSE, check.conv.singular = "ignore")
  incomplete <- anyNA(Y)
  fit <- suppressWarnings(lmer(formula, data, control = control))
  fits <- min(ncol(Y), as.integer(args[2]))
  seconds <- sapply(1:5, function(part) {
    columns <- split(seq_len(fits), cut(seq_len(fits), 5, labels = FALSE))[[part]]
    used <- system.time(for (j in columns) {
      data$y <- Y[, j]
      suppressWarnings(suppressMessages(
        if (incomplete) lmer(formula, data, control = control) else refit(fit, Y[, j])
      ))
    })
    (used[[1]] + used[[2]]) / length(columns)
  })
  cat(name, median(seconds), "\\n")
}
cat("version", as.character(packageVersion("lme4")), "\\n")
"""


@dataclass(frozen=True, eq=False)
class Design:
    """One row of the table: a world, its data frame, and what must be reached against each peer."""

    title: str
    model: Model
    data: pd.DataFrame
    must: dict[str, float]


def designs() -> dict[str, Design]:
    """The five designs of the table."""
    rng = np.random.default_rng(1)
    plots = assign(crossed(plot=30, week=range(5)), to="plot", fertilizer=["Control", "A", "B"])
    growth = {
        "Intercept": 10.0,
        "week": 2.0,
        "fertilizer[T.A]": 0.0,
        "fertilizer[T.B]": 0.0,
        "week:fertilizer[T.A]": 0.5,
        "week:fertilizer[T.B]": 1.0,
    }
    line = Random(sd={"Intercept": 2.0, "week": 0.4}, corr=0.3)
    main = {name: value for name, value in growth.items() if ":" not in name}
    pupils = covariate(nested(school=20, classroom=4, pupil=10), at="pupil", prior=draws.normal(mean=0, sd=1), rng=rng)
    pupils = assign(pupils, to="classroom", method=["usual", "new"])
    items = crossed(subject=40, item=20)
    items["condition"] = np.where(
        (items.groupby("subject").cumcount() + pd.factorize(items["subject"])[0]) % 2, 0.5, -0.5
    )
    sizes = rng.integers(2, 13, size=40)
    groups = pd.DataFrame({"group": np.repeat([f"g{i:02d}" for i in range(40)], sizes)})
    groups["time"] = groups.groupby("group").cumcount().astype(float)
    groups["x"] = rng.normal(size=len(groups))
    return {
        "intercept": Design(
            "random intercept, 30 plots x 5 weeks",
            Model("y ~ week + fertilizer + (1 | plot)", beta=main, random={"plot": 2.0}, residual=1.0),
            plots,
            {"lme4": 2000, "statsmodels": 20_000, "lme-python": 500},
        ),
        "slope": Design(
            "correlated slope, same design",
            Model("y ~ week * fertilizer + (week | plot)", beta=growth, random={"plot": line}, residual=1.0),
            plots,
            {"lme4": 300, "statsmodels": 4000, "lme-python": 80},
        ),
        "nested": Design(
            "10 pupils in each of 80 classrooms in 20 schools, a covariate",
            Model(
                "y ~ method + prior + (1 | school/classroom)",
                beta={"Intercept": 50, "method[T.new]": 2, "prior": 3},
                random={"school": 4.0, "school:classroom": 3.0},
                residual=9.0,
            ),
            pupils,
            {"lme4": 100, "statsmodels": 1000, "lme-python": 15},
        ),
        "crossed": Design(
            "40 subjects x 20 items, by-subject slope, item intercept",
            Model(
                "y ~ condition + (condition | subject) + (1 | item)",
                beta={"Intercept": 800, "condition": 40},
                random={"subject": Random(sd={"Intercept": 60, "condition": 30}, corr=0.3), "item": 40.0},
                residual=100.0,
            ),
            items,
            {"lme4": 40, "lme-python": 25},
        ),
        "unbalanced": Design(
            "40 groups of 2-12, correlated slope, a covariate",
            Model(
                "y ~ time + x + (time | group)",
                beta={"Intercept": 10, "time": 1, "x": 0.5},
                random={"group": Random(sd={"Intercept": 2.0, "time": 0.5}, corr=0.2)},
                residual=1.0,
            ),
            groups,
            {"lme4": 60, "statsmodels": 800, "lme-python": 20},
        ),
    }


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """Median processor time of several runs, after one that warms up."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def median_difference(whole: Callable[[], object], part: Callable[[], object], repeats: int) -> float:
    """Median processor time that the whole takes beyond a part of it, run in turn."""
    both = [(median_seconds(whole, 1), median_seconds(part, 1)) for _ in range(repeats)]
    return statistics.median(a - b for a, b in both)


def engine_of(design: Design) -> tuple[Engine, pd.DataFrame]:
    """The engine of a design, and the data frame with a response column for the formula."""
    data = design.data.assign(y=0.0)
    matrices = build(design.model.formula, data)
    return Engine(matrices.X.to_numpy(), matrices.terms), data


def truth(design: Design, engine: Engine, Y: np.ndarray) -> np.ndarray:
    """A start for theta, as a study has one: the average of a hundred fits stands for it."""
    return engine.fit(Y[:, :100]).theta.mean(axis=0)


def lme4_seconds(cases: dict[str, tuple[str, pd.DataFrame, np.ndarray]], fits: int) -> dict[str, float]:
    """Median seconds of lme4's `refit` (of `lmer` where responses are incomplete); {} without R."""
    if shutil.which("Rscript") is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (formula, data, Y) in cases.items():
            data.to_csv(Path(folder, f"{name}.csv"), index=False)
            pd.DataFrame(Y[:, :fits]).to_csv(Path(folder, f"{name}_Y.csv"), index=False)
            Path(folder, f"{name}.txt").write_text(formula + "\n")
        script = Path(folder, "bench.R")
        script.write_text(R_SCRIPT)
        out = subprocess.run(
            ["Rscript", str(script), folder, str(fits), *cases], capture_output=True, text=True, check=False
        )
    if out.returncode != 0:
        print(f"lme4 left out: {out.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    pairs = [line.split() for line in out.stdout.splitlines() if line.strip()]
    return {name: (value if name == "version" else float(value)) for name, value in pairs}


def statsmodels_seconds(name: str, data: pd.DataFrame, Y: np.ndarray, fits: int) -> float | None:
    """Median seconds of a statsmodels MixedLM fit; None for the crossed design, which it cannot take in this form."""
    if name == "crossed":
        return None
    import statsmodels.formula.api as smf

    fixed = {
        "intercept": ("y ~ week + fertilizer", {"groups": "plot"}),
        "slope": ("y ~ week * fertilizer", {"groups": "plot", "re_formula": "~week"}),
        "nested": (
            "y ~ method + prior",
            {"groups": "school", "re_formula": "1", "vc_formula": {"classroom": "0 + C(classroom)"}},
        ),
        "unbalanced": ("y ~ time + x", {"groups": "group", "re_formula": "~time"}),
    }
    formula, options = fixed[name]
    column = iter(range(10**6))

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            smf.mixedlm(formula, data.assign(y=Y[:, next(column)]), **options).fit()

    return median_seconds(run, fits)


def lme_python_seconds(formula: str, data: pd.DataFrame, Y: np.ndarray, fits: int) -> tuple[float | None, float | None]:
    """Median seconds of `lmer(formula, data)` and of a prepared fit; None when it is not installed or refuses."""
    try:
        import lme_python
    except ImportError:
        return None, None
    column = iter(np.tile(np.arange(Y.shape[1]), 10))
    try:
        text = plain(data)
        prepared = lme_python.prepare_lmer(formula, text.assign(y=Y[:, 0]))
        return (
            median_seconds(lambda: list(lme_python.lmer(formula, text.assign(y=Y[:, next(column)])).std_errors), fits),
            median_seconds(lambda: list(prepared.fit(Y[:, next(column)].copy()).std_errors), fits),
        )
    except Exception as error:  # a peer's failure is a missing number, not the end of the benchmark
        print(f"lme-python left out for {formula}: {error}", file=sys.stderr)
        return None, None


def plain(data: pd.DataFrame) -> pd.DataFrame:
    """Categories as strings, which is what lme-python reads."""
    return data.astype({name: str for name in data.select_dtypes(["category", "object", "string"])})


def peak_megabytes() -> float:
    """Peak memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike ru_maxrss it does not count what the parent process held before
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return float(lines["VmHWM"].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def mcpower_seconds(simulations: int) -> float | None:
    """Seconds per simulated random-intercept data set of 30 x 5 in mcpower, drawing included; None without it."""
    try:
        from mcpower import MCPower
    except ImportError:
        return None
    try:
        model = MCPower("y = x + z + (1|plot)", family="lme")
        model.set_cluster("plot", ICC=0.5, n_clusters=30)
        model.set_effects("x=0.2, z=0.2")

        def run() -> object:
            return model.find_power(150, n_sims=simulations, verbose=False, progress_callback=False, seed=1)

        return median_seconds(run, 3) / simulations
    except Exception as error:
        print(f"mcpower left out: {error}", file=sys.stderr)
        return None


def against(mine: float, theirs: float | None, must: float | None) -> str:
    """One cell: how many times as fast, the peer's time, and what must be reached."""
    if theirs is None:
        return "-"
    ratio = theirs / mine
    goal = "" if must is None else f", must {must:,.0f} {'reached' if ratio >= must else 'MISSED'}"
    times = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return f"{times} x ({theirs * 1e3:.3g} ms{goal})"


def main_table(responses: int, repeats: int, fits: int) -> None:
    """The table of peers."""
    cases, mine = {}, {}
    for name, design in designs().items():
        engine, data = engine_of(design)
        Y = simulate_many(design.model, design.data, responses, rng=2)
        start = truth(design, engine, Y)
        rng = np.random.default_rng(3)
        solution = engine.fit(Y, start=start)
        public = LMM(design.model.formula, df="z")
        mine[name] = (
            median_seconds(lambda e=engine, Y=Y, s=start: e.fit(Y, start=s), repeats) / responses,
            median_seconds(lambda e=engine, s=solution: e.satterthwaite(s), repeats) / responses,
            median_seconds(lambda a=public, Y=Y, d=data: a.many(Y, d), repeats) / responses,
            median_seconds(lambda d=design, g=rng: simulate_many(d.model, d.data, responses, rng=g), repeats)
            / responses,
            median_seconds(lambda Y=Y, g=rng: g.normal(size=Y.shape), repeats) / responses,
        )
        cases[name] = (design.model.formula, data, Y)
    lme4 = lme4_seconds(cases, fits)
    print(f"## {responses:,} responses of one design: µs for each\n")
    print("| design | estimates, se | df | `LMM.many` | `simulate_many` | normals alone |")
    print("|---|---|---|---|---|---|")
    for name, design in designs().items():
        numbers = [f"{1e6 * value:.2f}" for value in mine[name]]
        print(f"| {design.title} | {' | '.join(numbers)} |", flush=True)
    print("\n## How many times as fast: estimates and se against peers, ms for one of theirs\n")
    print("| design | lme4 `refit` | statsmodels | lme-python | lme-python, prepared |\n|---|---|---|---|---|")
    for name, design in designs().items():
        formula, data, Y = cases[name]
        fit = mine[name][0]
        call, prepared = lme_python_seconds(formula, data, Y, fits)
        peers = [
            against(fit, lme4.get(name), design.must.get("lme4")),
            against(fit, statsmodels_seconds(name, data, Y, max(fits // 4, 5)), design.must.get("statsmodels")),
            against(fit, call, design.must.get("lme-python")),
            against(fit, prepared, None),
        ]
        print(f"| {design.title} | {' | '.join(peers)} |", flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds = mcpower_seconds(2000)
    if seconds is not None:
        together = mine["intercept"][0] + mine["intercept"][3]
        print(
            f"\nmcpower draws and fits a random-intercept data set of 30 x 5 in {seconds * 1e6:.0f} µs; lmmsim "
            f"draws and fits the first design in {together * 1e6:.1f} µs."
        )
    print(f"\nlme4 {lme4.get('version', 'not found')}\n")


def dropout_table(responses: int, repeats: int, fits: int) -> None:
    """The slope design with a fifth of every column missing."""
    design = designs()["slope"]
    engine, data = engine_of(design)
    Y = simulate_many(design.model, design.data, responses, rng=4)
    start = truth(design, engine, Y)
    rng = np.random.default_rng(5)
    week = data["week"].to_numpy()
    last = rng.choice([1, 2, 3, 4, 5], p=[0.05, 0.1, 0.15, 0.2, 0.5], size=(30, responses))
    Y = np.where(week[:, None] >= last[pd.factorize(data["plot"])[0]], np.nan, Y)
    mine = median_seconds(lambda: engine.fit(Y, start=start), repeats) / responses
    lme4 = lme4_seconds({"dropout": (design.model.formula, data, Y)}, fits).get("dropout")
    print("## Dropout: the slope design, NaN differing by column\n")
    print(f"{np.isnan(Y).mean():.0%} missing: {mine * 1e6:.1f} µs a fit; lme4 `lmer`: {against(mine, lme4, 30)}\n")


def growth_tables(repeats: int) -> None:
    """Time against the number of groups and of responses; memory."""
    print("## The optimisation does not grow with the number of groups\n")
    print("| plots | rows | µs a fit after reading Y | reading Y |\n|---|---|---|---|")
    for plots in (30, 300, 3000):
        base = designs()["slope"]
        data = assign(crossed(plot=plots, week=range(5)), to="plot", fertilizer=["Control", "A", "B"])
        engine, _ = engine_of(Design(base.title, base.model, data, {}))
        r = 1000
        Y = simulate_many(base.model, data, r, rng=1)
        start = engine.fit(Y[:, :50]).theta.mean(axis=0)
        beyond = median_difference(
            lambda e=engine, Y=Y, s=start: e.fit(Y, start=s), lambda e=engine, Y=Y: e.prepare(Y), repeats
        )
        reading = median_seconds(lambda e=engine, Y=Y: e.prepare(Y), repeats)
        print(f"| {plots:,} | {len(data):,} | {1e6 * beyond / r:.1f} | {1e6 * reading / r:.1f} |", flush=True)
    print("\n## Time grows linearly in the number of responses, memory does not\n")
    print("| responses of the first design | seconds to draw and fit, by chunks of 20,000 | peak memory, MB |")
    print("|---|---|---|")
    for responses in (10_000, 100_000, 1_000_000):
        code = f"import bench; bench.chunks({responses})"
        out = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"| {responses:,} | {out.stdout.strip()} |", flush=True)
    print()


def chunks(responses: int, size: int = 20_000) -> None:
    """Draw and fit the first design by chunks; print seconds and peak memory."""
    design = designs()["intercept"]
    engine, _ = engine_of(design)
    rng = np.random.default_rng(1)
    start = time.process_time()
    estimates = []
    for _ in range(responses // size or 1):
        Y = simulate_many(design.model, design.data, min(size, responses), rng=rng)
        solution = engine.fit(Y, start=np.array([2.0]))
        estimates.append(np.stack([solution.beta, np.sqrt(np.diagonal(solution.vcov, axis1=1, axis2=2))]))
    seconds = time.process_time() - start
    print(f"{seconds:.2f} | {peak_megabytes():.0f}")


def single_table(repeats: int) -> None:
    """One call from formula and data frame to the coefficient table."""
    import statsmodels.formula.api as smf

    design = designs()["slope"]
    data = design.data.assign(y=simulate_many(design.model, design.data, 1, rng=6)[:, 0])
    mine = median_seconds(lambda: LMM(design.model.formula)(data).coef, 3 * repeats)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = median_seconds(
            lambda: smf.mixedlm("y ~ week * fertilizer", data, groups="plot", re_formula="~week").fit().summary(), 3
        )
    other = None
    try:
        import lme_python

        text = plain(data)

        def call() -> None:
            fit = lme_python.lmer(design.model.formula, text)
            fit.with_satterthwaite(text)

        other = median_seconds(call, 3 * repeats)
    except Exception as error:
        print(f"lme-python left out: {error}", file=sys.stderr)
    print("## One call: formula and data frame to `coef`, correlated slope\n")
    print("| lmmsim | statsmodels | lme-python |\n|---|---|---|")
    print(f"| {mine * 1e3:.1f} ms | {against(mine, theirs, 40)} | {against(mine, other, 1)} |\n")


def large_table() -> None:
    """Single fits of large designs, in a process of their own each."""
    print("## Large single fits\n")
    print("| design | seconds, formula to solution | peak memory, MB |\n|---|---|---|")
    for title, what in (
        ("100,000 rows, 10,000 groups, correlated slope", "slopes"),
        ("10,000 rows, crossed factors of 1,000 and 450 levels", "crossed"),
    ):
        out = subprocess.run(
            [sys.executable, "-c", f"import bench; bench.large('{what}')"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"| {title} | {out.stdout.strip()} |", flush=True)
    print()


def large(what: str) -> None:
    """Fit one large data set; print seconds and peak memory."""
    rng = np.random.default_rng(1)
    n, a, b = (100_000, 10_000, 2) if what == "slopes" else (10_000, 1000, 450)
    data = pd.DataFrame({"a": rng.integers(0, a, n), "b": rng.integers(0, b, n), "x": rng.normal(size=n)})
    noise = rng.normal(size=n) + rng.normal(size=a)[data["a"]] + data["x"] * rng.normal(0, 0.7, size=a)[data["a"]]
    if what == "crossed":
        noise = rng.normal(size=n) + rng.normal(size=a)[data["a"]] + rng.normal(0, 0.7, size=b)[data["b"]]
    data["y"] = 1 + data["x"] + noise
    start = time.process_time()
    fit = LMM("y ~ x + (x | a)" if what == "slopes" else "y ~ x + (1 | a) + (1 | b)")(data)
    seconds = time.process_time() - start
    if not fit.converged:
        raise RuntimeError(f"the large fit did not converge: {fit.message}")
    print(f"{seconds:.2f} | {peak_megabytes():.0f}")


def versions() -> str:
    """Machine and versions."""
    found = []
    for name in ("lmmsim", "numpy", "scipy", "pandas", "statsmodels", "lme-python", "mcpower"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(found)}"


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    quick = parser.parse_args().quick
    repeats, fits = (3, 20) if quick else (7, 100)
    print(f"# What a fit costs\n\n{versions()}; one thread, medians of processor time; df: Satterthwaite's.\n")
    main_table(2000, 3 * repeats, fits)
    dropout_table(2000, repeats, fits)
    single_table(repeats)
    growth_tables(repeats)
    large_table()


if __name__ == "__main__":
    main()
