"""Printed: worlds, truths, tables and pictures in the forms that the command writes."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim import scenarios
from lmmsim.course import files
from lmmsim.course.sources import Source
from lmmsim.course.tables import as_csv
from lmmsim.course.worlds import random_table, residual_table
from lmmsim.estimators.least_squares import OLS, GroupMeans
from lmmsim.estimators.lmm import LMM
from lmmsim.model.formula import split, term_of
from lmmsim.model.model import Model
from lmmsim.simulation.simulate import Simulation, simulate
from lmmsim.stories import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lmmsim.studies.study import Study

PICTURES = (".svg", ".png", ".pdf")


def drawn(source: Source, rng: int | None) -> Simulation:
    """One data set of a world; what its design draws owes the data nothing."""
    chance = np.random.default_rng(None if rng is None else [rng, 1])
    return simulate(*source.world(rng=chance), rng=rng)


def size(
    source: Source, vary: str, sizes: Sequence[int], term: str | None, power: float, rng: int | None, n_jobs: int
) -> str:
    """The smallest size of a world with a power, in a sentence."""
    from lmmsim.studies.sizes import find_size

    def world(size: int) -> tuple[Model, pd.DataFrame]:
        return source.with_numbers({vary: size}).world(rng=rng)

    if not len(sizes):
        raise ValueError("there is no size from the smallest to the largest that was named")
    term = term or list(world(sizes[0])[0].beta)[-1]
    return f"{vary}, for {term}: {find_size(world, sizes, power=power, term=term, rng=rng, n_jobs=n_jobs)}\n"


def listing() -> str:
    """Every scenario with its formula and its sentence."""
    lines = []
    for name, make in scenarios.ALL.items():
        first = (inspect.getdoc(make) or "").splitlines()[0]
        lines.append(f"{name.replace(' ', '-')}\n    {first}\n    {make()[0].formula}")
    return "\n".join(lines)


def about(name: str) -> str:
    """A scenario's sentence, its numbers as they stand, and what they mean."""
    make = scenarios.ALL[name]
    text = inspect.getdoc(make) or ""
    what, _, rest = text.partition("\n\nParameters\n----------\n")
    numbers = [
        f"  {key} = {parameter.default}"
        for key, parameter in inspect.signature(make).parameters.items()
        if key not in ("names", "rng") and not callable(parameter.default)
    ]
    return "\n".join(
        [what, make()[0].formula, "", "Numbers, to change with --set:", *numbers, "", rest.split("\n\nReturns")[0]]
    )


def truth_of(simulation: Simulation) -> dict[str, Any]:
    """The truth of a simulation: the fields of its model, and every random effect that was drawn, by group and unit."""
    u: dict[str, dict[str, dict[str, float]]] = {}
    for (group, unit, term), value in simulation.u.items():
        u.setdefault(str(group), {}).setdefault(str(unit), {})[str(term)] = float(value)
    return numbers_of(simulation.model) | {"u": u}


def numbers_of(model: Model) -> dict[str, Any]:
    """The fields of a model as JSON can hold them."""
    return {
        "formula": model.formula,
        "beta": dict(model.beta),
        "random": {group: random_table(effect) for group, effect in model.random.items()},
        "residual": residual_table(model.residual),
    }


def as_json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def in_form(table: pd.DataFrame, form: str, text: str | None = None) -> str:
    """A table as text, CSV or JSON; numbers in full unless it is text."""
    plain = pd.DataFrame(table.reset_index().to_dict("list"))
    if form == "csv":
        return as_csv(plain)
    if form == "json":
        return as_json(json.loads(plain.to_json(orient="records", double_precision=15)))
    return (str(table) if text is None else text) + "\n"


def asked(fit: Any, contrast: Iterable[str], means: str | None, by: str | None, pairs: bool) -> pd.DataFrame | None:
    """The contrasts or the marginal means that are asked of a fit; None for its coefficients."""
    if means:
        return fit.means(means, by=by, pairs=pairs)
    return fit.contrast(contrasts_of(contrast)) if contrast else None


def fitted(data: pd.DataFrame, formula: str, df: Any = "satterthwaite", reml: bool = True) -> Any:
    """Fit a mixed model, or least squares where the formula has no random terms."""
    return LMM(formula, reml=reml, df=df)(data) if split(formula).bars else OLS(formula)(data)


def contrasts_of(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Contrasts as they are typed: `fertilizer=A:1,Control:-1; week=4`.

    Examples
    --------
    >>> contrasts_of(["fertilizer=A:1,Control:-1; week=4"])
    {'fertilizer=A:1,Control:-1; week=4': {'fertilizer': {'A': 1.0, 'Control': -1.0}, 'week': 4.0}}
    """
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        cells: dict[str, Any] = {}
        for part in text.split(";"):
            column, equals, value = part.partition("=")
            try:
                weights = [one.rpartition(":") for one in value.split(",")]
                cells[column.strip()] = (
                    float(value) if ":" not in value else {level.strip(): float(n) for level, _, n in weights}
                )
            except ValueError:
                equals = ""
            if not equals or not column.strip():
                raise ValueError(f"'{text}' is no contrast; write it as fertilizer=A:1,Control:-1; week=4")
        found[text.strip()] = cells
    return found


def analyses_of(
    formula: str,
    lmm: Iterable[str],
    ols: Iterable[str],
    robust: Iterable[tuple[str, str]],
    means: Iterable[tuple[str, str]],
) -> dict[str, Any]:
    """Estimators by name; without any, the mixed model of the world and the regression that forgets its groups."""
    found: dict[str, Any] = {}
    for one in lmm:
        found[f"LMM {one}" if "LMM" in found else "LMM"] = LMM(one)
    for one in ols:
        found[f"OLS {one}" if "OLS" in found else "OLS"] = OLS(one)
    for unit, one in robust:
        found[f"OLS, robust by {unit}"] = OLS(one, cluster=unit)
    for unit, one in means:
        found[f"means of {unit}"] = GroupMeans(one, by=unit)
    parts = split(formula)
    return found or {"LMM": LMM(formula), "OLS": OLS(f"{parts.response} ~ {parts.fixed}")}


def picture(path: files.Place, ax: Axes, force: bool = False) -> Path:
    """Save the figure of some Axes, in the form that the ending names."""
    from matplotlib.figure import Figure

    path = Path(path)
    check_picture(path)
    buffer = io.BytesIO()
    stamp = {} if path.suffix == ".png" else {"Date": None} if path.suffix == ".svg" else {"CreationDate": None}
    figure = ax.figure
    assert isinstance(figure, Figure)  # and no part of one
    figure.savefig(buffer, format=path.suffix[1:], dpi=150, metadata=stamp)
    return files.write(path, buffer.getvalue(), force=force)


def check_picture(path: files.Place) -> None:
    if Path(path).suffix not in PICTURES:
        raise ValueError(f"{Path(path).name} ends in none of {', '.join(PICTURES)}")


def picture_of_data(data: pd.DataFrame, formula: str) -> Axes:
    """Lines over time where units have a slope; else every value beside its group."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    from lmmsim import plot

    parts = split(formula)
    y, hue = parts.response, _factor(data, formula)
    slopes = [(bar.group[-1], term) for bar in parts.bars for term in bar.effects.split(" + ") if term in data]
    for unit, x in slopes:
        if data[x].dtype.kind in "iuf" and not data.duplicated([unit, x]).any():
            axes = plot.trajectories(data, x, y, unit, hue=hue, xlabel=label(data, x), ylabel=label(data, y))
            first: Axes = np.ravel(np.asarray(axes, dtype=object))[0]
            return first
    ax = plt.figure(layout="constrained").subplots()
    unit = parts.bars[0].group[0] if parts.bars else data.columns[0]
    order = data.groupby(unit, observed=True)[y].mean().sort_values().index
    levels = list(data[hue].cat.categories) if hue else [None]
    for i, level in enumerate(levels):
        rows = data[data[hue] == level] if hue else data
        at = order.get_indexer(rows[unit]) + 1
        ax.plot(at, rows[y], "o", ms=2.5, color=plot.TREATMENTS[i % 6], label=str(level), alpha=0.6)
    ax.set(xlabel=f"{unit}, by its mean", ylabel=label(data, y))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    if hue:
        ax.legend(title=hue, frameon=False)
    return ax


def picture_of_fit(fit: Any, table: pd.DataFrame | None) -> Axes:
    """Coefficients with their intervals, or the means or contrasts that were asked for."""
    from lmmsim import plot

    return plot.intervals({"estimate": fit.coef}) if table is None else plot.means(table)


def picture_of_study(study: Study, term: str | None) -> Axes:
    """The sampling distribution of a coefficient, the last one of the model unless another is named."""
    from lmmsim import plot

    term = term or list(study.truth.index)[-1]
    return plot.sampling(study, term=term, truth=study.truth.to_dict())


def _factor(data: pd.DataFrame, formula: str) -> str | None:
    """The first factor of the fixed part."""
    groups = {column for bar in split(formula).bars for column in bar.group}
    words = [str(n) for n, c in data.items() if isinstance(c.dtype, pd.CategoricalDtype) and n not in groups]
    used = {term_of(name) for name in split(formula).columns}
    return next((name for name in words if name in used), None)
