"""Steps: a design as the calls that make it, written in a file: crossed, nested, repeated, assign, covariate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import draws
from lmmsim.course.toml import Document, Path
from lmmsim.design.allocation import assign, counterbalance
from lmmsim.design.covariates import covariate
from lmmsim.design.crossing import crossed, nested, repeated
from lmmsim.design.units import units_of
from lmmsim.streams import Rng, generator

STARTS: dict[str, Callable[..., pd.DataFrame]] = {"crossed": crossed, "nested": nested}
LATER: dict[str, Callable[..., pd.DataFrame]] = {
    "repeated": repeated,
    "assign": assign,
    "counterbalance": counterbalance,
    "covariate": covariate,
}
SHAPES = {shape.__name__: shape for shape in draws.SHAPES}
Steps = list[dict[str, Any]]


def table(columns: Mapping[str, Sequence[Any]], levels: Mapping[str, Sequence[Any]] | None = None) -> pd.DataFrame:
    """Columns with their values row by row; words become a Categorical, in the order of `levels` if it is given."""
    frame = pd.DataFrame({name: list(values) for name, values in columns.items()})
    for name, column in frame.items():
        if name in (levels or {}):
            frame[name] = pd.Categorical(column, categories=list((levels or {})[str(name)]))
        elif column.map(type).eq(str).any():
            frame[name] = pd.Categorical(column)
    return frame


def given(design: pd.DataFrame, at: str, levels: Sequence[str], **factor: Sequence[int]) -> pd.DataFrame:
    """Give each unit, by first appearance, the level with this number, from 0."""
    codes, first = units_of(design, at)
    columns = {}
    for name, numbers in factor.items():
        if len(numbers) != len(first):
            raise ValueError(f"'{name}' has {len(numbers)} numbers for {len(first)} units of '{at}'")
        columns[name] = pd.Categorical.from_codes(np.asarray(numbers)[codes], list(levels))
    return design.assign(**columns)


def design_of(document: Document, path: Path, rng: Rng = None) -> pd.DataFrame:
    """Follow the steps at a path of a document.

    Parameters
    ----------
    document : Document
    path : tuple
        Where a list of tables stands, each with one key: what is done, and its arguments.
    rng : Generator, int or None
        For the steps that say `rng = true`, and for covariates and sizes that are drawn.

    Raises
    ------
    ValueError
        With the line and the key of the step that cannot be followed.
    """
    steps = document.take(path, list)
    chance = None if rng is None else generator(rng)
    design: pd.DataFrame | None = None
    for i, step in enumerate(steps):
        here = (*path, i)
        if not isinstance(step, dict) or len(step) != 1:
            document.fail(here, "a step has one key, as crossed = { plot = 30, week = [0, 1, 2] }")
        [(name, arguments)] = step.items()
        known = ["table", *STARTS] if design is None else ["given", *LATER]
        if name not in known:
            place = "a later step" if i else "the first step"
            document.fail((*here, name), f"'{name}' can't stand here; {place} is one of {', '.join(known)}")
        document.take((*here, name), dict)
        try:
            design = _step(design, name, dict(arguments), chance)
        except (ValueError, TypeError, KeyError) as error:
            document.fail((*here, name), error)
    if design is None:
        document.fail(path, "there is no step; begin with crossed, nested or table")
    return design


def steps_of(design: pd.DataFrame) -> Steps:
    """Find steps that make a design again, exactly: grid or nesting, then what units are given; or the whole table.

    Examples
    --------
    >>> from lmmsim import scenarios
    >>> for step in steps_of(scenarios.plant_growth()[1]):
    ...     print(step)
    {'crossed': {'plot': 30, 'week': [0, 1, 2, 3, 4]}}
    {'assign': {'to': 'plot', 'fertilizer': ['Control', 'A', 'B']}}
    """
    plain = design.reset_index(drop=True)
    for base in (_grid(plain), _nesting(plain)):
        if base is not None:
            steps = _completed(plain, *base)
            if steps is not None:
                return steps
    levels = {
        str(n): list(map(str, c.cat.categories)) for n, c in plain.items() if isinstance(c.dtype, pd.CategoricalDtype)
    }
    columns = {str(n): [str(x) for x in c] if n in levels else c.tolist() for n, c in plain.items()}
    return [{"table": {"columns": columns, "levels": levels}}]


def _step(design: pd.DataFrame | None, name: str, arguments: dict[str, Any], chance: Any) -> pd.DataFrame:
    """Do one step."""
    arguments = {key: _shape(value) for key, value in arguments.items()}
    drawn = any(isinstance(value, draws.Shape) for value in arguments.values())
    if arguments.get("rng") is True or (drawn and "rng" not in arguments):
        if chance is None:
            raise ValueError("this step draws at random: say from where, for example rng=1")
        arguments["rng"] = chance
    if design is None:
        return table(**arguments) if name == "table" else STARTS[name](**arguments)
    return given(design, **arguments) if name == "given" else LATER[name](design, **arguments)


def _shape(value: Any) -> Any:
    """{ normal = { mean = 0, sd = 1 } } as a shape of chance."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, arguments)] = value.items()
        if name in SHAPES and isinstance(arguments, dict):
            return SHAPES[name](**arguments)
    return value


def _grid(design: pd.DataFrame) -> tuple[Steps, pd.DataFrame] | None:
    """The longest run of first columns that are fully crossed."""
    for k in range(len(design.columns), 0, -1):
        part = design.iloc[:, :k]
        counts = [
            len(c.cat.categories) if isinstance(c.dtype, pd.CategoricalDtype) else c.nunique() for _, c in part.items()
        ]
        if np.prod([float(n) for n in counts]) == len(design):
            factors = {str(name): _levels(str(name), column) for name, column in part.items()}
            try:
                made = crossed(**factors)
            except ValueError:
                continue
            if _same(made, part):
                return [{"crossed": factors}], made
    return None


def _nesting(design: pd.DataFrame) -> tuple[Steps, pd.DataFrame] | None:
    """The longest run of first columns that are nested, each unit in the one before."""
    for k in range(len(design.columns), 0, -1):
        part, parent = design.iloc[:, :k], None
        sizes: dict[str, Any] = {}
        for name in part:
            n = part[name].nunique()
            inside = [n] if parent is None else part.groupby(parent, observed=True, sort=False)[name].nunique().tolist()
            sizes[str(name)] = inside[0] if len(set(inside)) == 1 else inside
            parent = name
        if np.max([1, *np.ravel(list(map(np.max, sizes.values())))]) > len(design):
            continue
        try:
            made = nested(**sizes)
        except ValueError:
            continue
        if _same(made, part):
            return [{"nested": sizes}], made
    return None


def _completed(design: pd.DataFrame, steps: Steps, made: pd.DataFrame) -> Steps | None:
    """Add the other columns, each given to the coarsest unit that shares its values."""
    units = sorted(made.columns, key=lambda name: made[name].nunique())
    for name in map(str, design.columns[made.shape[1] :]):
        column = design[name]
        owner = next((u for u in units if (design.groupby(u, observed=True)[name].nunique() == 1).all()), None)
        tries: Steps = []
        if isinstance(column.dtype, pd.CategoricalDtype) and owner is not None:
            levels = list(column.cat.categories)
            _, first = units_of(design, owner)
            tries = [
                {"assign": {"to": owner, name: levels}},
                {"given": {"at": owner, "levels": levels, name: column.cat.codes.iloc[first].tolist()}},
            ]
        elif column.dtype.kind in "iufb" and owner is not None:
            _, first = units_of(design, owner)
            tries = [{"covariate": {"at": owner, name: column.iloc[first].tolist()}}]
        for step in tries:
            [(what, arguments)] = step.items()
            try:
                new = _step(made, what, dict(arguments), None)
            except ValueError:
                continue
            if _same(new, design[new.columns]):
                made = new
                steps = [*steps, step]
                break
        else:
            return None
    return steps


def _levels(name: str, column: pd.Series) -> Any:
    """What `crossed` was given: a number of units, or levels."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = list(column.cat.categories)
        return (
            len(levels)
            if _same(crossed(**{name: len(levels)}), pd.DataFrame({name: pd.Categorical(levels)}))
            else levels
        )
    return column.unique().tolist()


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one.astype(object).equals(other.astype(object)) and list(one.dtypes) == list(other.dtypes)
