"""Measure what is claimed about studies: speed, memory, workers, and that nothing is lost.

    python benchmarks/studies.py                  everything but the cluster
    python benchmarks/studies.py speed memory     some of it
    python benchmarks/studies.py cluster          needs the extra: pip install "lmmsim[cluster]"

Every part prints its figures beside what is asked for.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# before NumPy: one thread for BLAS, here and in the workers
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from lmmsim import LMM, OLS, scenarios
from lmmsim.studies.performance import performance
from lmmsim.studies.study import Study, study

FORMULA = "height ~ week * fertilizer"
THREE = {
    "OLS": OLS(FORMULA),
    "OLS, cluster-robust": OLS(FORMULA, cluster="plot"),
    "LMM": LMM(f"{FORMULA} + (week | plot)"),
}


def statsmodels_fit(data: pd.DataFrame) -> object:
    """A mixed model by statsmodels: what a reader would write."""
    import statsmodels.formula.api as smf

    return smf.mixedlm(FORMULA, data, groups="plot", re_formula="week").fit()


def digest(results: Study) -> str:
    """Fingerprint of every bit of the estimates."""
    content = hashlib.sha256()
    for name, one in results.answers.items():
        content.update(name.encode())
        for array in (one.estimate, one.se, one.df, one.converged, one.singular, *one.components.values()):
            content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def speed() -> None:
    """10,000 replicates of plant growth, three analyses, performance included: below 3 s on two cores."""
    world = scenarios.plant_growth()
    for n_jobs in (1, 2):
        seconds, processor = [], []
        for _ in range(4):
            begin, spent = time.perf_counter(), time.process_time()
            performance(study(*world, THREE, 10_000, rng=1, n_jobs=n_jobs))
            seconds.append(time.perf_counter() - begin)
            processor.append(time.process_time() - spent)
        first, *others = seconds
        print(
            f"10,000 replicates, n_jobs={n_jobs}: first {first:.2f} s, then {min(others):.2f} s "
            f"(processor time of this process {min(processor):.2f} s; asked: below 3 s)"
        )


def memory() -> None:
    """A million replicates: within 1 GB."""
    import resource

    begin = time.perf_counter()
    results = study(*scenarios.plant_growth(), THREE, 1_000_000, rng=1)
    table = performance(results)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)
    print(f"1,000,000 replicates: {time.perf_counter() - begin:.0f} s, peak memory {peak:.2f} GB (asked: 1 GB)")
    print(table.loc["week:fertilizer[T.A]", ["bias", "coverage", "coverage_mcse", "rejection"]].round(5).to_string())


def workers() -> None:
    """Two processes against one, on a study of a statsmodels estimator: at least 1.6 times as fast."""
    world = scenarios.plant_growth()
    study(*world, {"statsmodels": statsmodels_fit}, 32, rng=1, n_jobs=2)  # the workers start and import
    seconds, digests = {}, set()
    for n_jobs in (1, 2):
        begin = time.perf_counter()
        digests.add(digest(study(*world, {"statsmodels": statsmodels_fit}, 320, rng=1, n_jobs=n_jobs)))
        seconds[n_jobs] = time.perf_counter() - begin
    print(
        f"320 statsmodels fits: one process {seconds[1]:.1f} s, two {seconds[2]:.1f} s, "
        f"{seconds[1] / seconds[2]:.2f} times as fast (asked: 1.6); same bytes: {len(digests) == 1}"
    )


def statsmodels_ols(data: pd.DataFrame) -> object:
    """Least squares by statsmodels, one data set at a time."""
    import statsmodels.formula.api as smf

    return smf.ols(FORMULA, data).fit()


FOUR = THREE | {"statsmodels OLS": statsmodels_ols}


def interrupted_study(folder: str, n_jobs: int | None = None, replicates: int = 2000) -> Study:
    """The study that is killed: batches and single fits."""
    return study(*scenarios.plant_growth(), FOUR, replicates, rng=1, checkpoint=folder or None, n_jobs=n_jobs)


def interruption() -> None:
    """kill -9 half-way, then the same call again: the same bytes, with one process and with two."""
    whole = digest(interrupted_study(""))
    for n_jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            code = f"import studies; studies.interrupted_study({folder!r}, {n_jobs})"
            process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
            while (saved := len(list(Path(folder).glob("*.npz")))) < 60 and process.poll() is None:
                time.sleep(0.01)
            process.kill()
            process.wait()
            begin = time.perf_counter()
            again = digest(interrupted_study(folder, n_jobs))
            seconds = time.perf_counter() - begin
        print(f"n_jobs={n_jobs}: killed after {saved} pieces, resumed in {seconds:.1f} s; same bytes: {again == whole}")


def cluster() -> None:
    """The same call on a Dask cluster of two workers, one of which is killed: the same bytes."""
    import threading

    import joblib
    from distributed import Client, LocalCluster

    whole = digest(interrupted_study(""))
    cores = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cores, Client(cores) as client, tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        with joblib.parallel_config("dask"):
            calm = digest(interrupted_study(""))
        print(f"two Dask workers: {time.perf_counter() - begin:.1f} s; same bytes: {calm == whole}")
        pids = list(client.run(os.getpid).values())
        killed: list[int] = []

        def kill_one() -> None:
            while len(list(Path(folder).glob("*.npz"))) < 30:
                time.sleep(0.01)
            os.kill(pids[0], 9)
            killed.append(len(list(Path(folder).glob("*.npz"))))

        killer = threading.Thread(target=kill_one)
        killer.start()
        with joblib.parallel_config("dask"):
            again = digest(interrupted_study(folder))
        killer.join()
        now = list(client.run(os.getpid).values())
        print(
            f"one Dask worker killed after {killed[0]} pieces (process {pids[0]} of {pids}, now {now}); "
            f"same bytes: {again == whole}"
        )


PARTS = {"speed": speed, "workers": workers, "interruption": interruption, "memory": memory, "cluster": cluster}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import studies  # functions have to be known by this name in the processes that are started

    for part in sys.argv[1:] or [name for name in PARTS if name != "cluster"]:
        getattr(studies, part)()
