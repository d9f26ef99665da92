"""A lecture of fifty minutes as a notebook, and its pictures as files for slides."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lmmsim import scenarios
from lmmsim.course import files, notebooks, printed
from lmmsim.estimators.least_squares import OLS
from lmmsim.estimators.lmm import LMM
from lmmsim.simulation.simulate import simulate

SOURCE = resources.files("lmmsim.course") / "bank" / "lecture.md"


def lecture() -> str:
    """The notebook, in Jupyter's format: a cell for each piece of code, and for each text between."""
    pieces = re.split(r"```python\n(.*?)```", SOURCE.read_text(encoding="utf-8"), flags=re.DOTALL)
    cells = [
        (notebooks.code if k % 2 else notebooks.text)(piece.strip()) for k, piece in enumerate(pieces) if piece.strip()
    ]
    return notebooks.notebook(cells)


def write_lecture(path: files.Place, *, force: bool = False) -> Path:
    """Write the notebook of the lecture; it needs lmmsim and Jupyter, and no file beside it.

    Raises
    ------
    FileExistsError
        If the file is there.
    """
    return files.write(path, lecture(), force=force)


def write_figures(folder: files.Place, *, form: str = "svg", force: bool = False) -> Path:
    """Write the pictures of the lecture into a new folder, a file for each slide.

    Parameters
    ----------
    folder : path
    form : "svg", "png" or "pdf"
    force : bool
        Replace the folder.

    Raises
    ------
    FileExistsError
        If the folder is there.
    """
    import matplotlib.pyplot as plt

    printed.check_picture(f"figure.{form}")
    figures = {f"{number}-{name}": draw for number, (name, draw) in enumerate(_figures().items(), start=1)}
    own = [f"{name}{ending}" for name in figures for ending in printed.PICTURES]
    with files.whole_folder(folder, force=force, own=own) as place:
        for name, draw in figures.items():
            plt.close("all")
            printed.picture(place / f"{name}.{form}", draw())
        plt.close("all")
    return Path(folder)


def _figures() -> dict[str, Callable[[], Any]]:
    """How each picture is made, by its name."""
    from lmmsim import plot
    from lmmsim.studies.study import study
    from lmmsim.studies.sweeps import sweep

    nothing = scenarios.teaching_methods(effect=0)
    trial = simulate(*nothing, rng=1)
    plants = simulate(*scenarios.plant_growth(), rng=1)
    analyses: dict[str, Any] = {"OLS": OLS("score ~ method"), "LMM": LMM("score ~ method + (1 | school)")}
    trials = study(*nothing, analyses, replicates=1000, rng=1, progress=False)
    effect = "method[T.new]"

    def rejections() -> Any:
        table = sweep(
            {"pupils": [5, 10, 25, 50]},
            lambda pupils: scenarios.teaching_methods(pupils=pupils, effect=0),
            analyses,
            replicates=500,
            rng=1,
            progress=False,
        )
        rows = table.xs(effect, level="term") if "term" in table.index.names else table[table["term"] == effect]
        return plot.power(rows.reset_index(), "pupils", xlabel="pupils in each school", ylabel="false alarms")

    return {
        "one-trial": lambda: printed.picture_of_data(trial.data, trial.model.formula),
        "two-analyses": lambda: plot.intervals({k: one(trial.data).coef for k, one in analyses.items()}, terms=effect),
        "a-thousand-trials": lambda: plot.sampling(trials, term=effect, truth=0.0, xlabel="estimated effect (points)"),
        "their-intervals": lambda: np.atleast_1d(np.asarray(plot.zip_plot(trials, 0.0, term=effect)))[0],
        "more-pupils": rejections,
        "plants": lambda: printed.picture_of_data(plants.data, plants.model.formula),
    }
