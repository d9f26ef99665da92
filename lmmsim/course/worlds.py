"""Worlds as files: the very fields of a model, and the steps of its design, in TOML.

What is written reads back as the same model and the same design; what cannot be meant is refused with its line.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path as File
from typing import Any

import pandas as pd

from lmmsim import draws
from lmmsim.checks import is_number, listed
from lmmsim.course import files
from lmmsim.course.steps import SHAPES, design_of, steps_of
from lmmsim.course.toml import Document, Path, dumps
from lmmsim.model.model import Model
from lmmsim.model.random_effects import Random
from lmmsim.model.residual import IID, Residual
from lmmsim.model.units import AR1, CompoundSymmetry
from lmmsim.model.unstructured import Unstructured
from lmmsim.stories import UNITS
from lmmsim.streams import Rng

RESIDUALS: dict[str, Any] = {kind.__name__: kind for kind in (IID, AR1, CompoundSymmetry, Unstructured)}
KEYS = ("formula", "residual", "beta", "random", "design", "units")


def read_model(path: files.Place, *, rng: Rng = None) -> tuple[Model, pd.DataFrame]:
    """Read a model and its design from a TOML file.

    Parameters
    ----------
    path : path
        `formula`, `[beta]`, `[random.GROUP]`, `residual`: the fields of `Model`. `[[design]]`: one step each, with the
        arguments of `crossed`, `nested`, `repeated`, `assign`, `counterbalance`, `covariate`. `[units]`: "cm".
    rng : Generator, int or None
        For what the design draws.

    Returns
    -------
    Model, DataFrame

    Raises
    ------
    ValueError
        With the line and the key of what is wrong.
    """
    return model_of(Document.read(files.read_text(path), File(path).name), rng=rng)


def write_model(path: files.Place, model: Model, design: pd.DataFrame, *, force: bool = False) -> File:
    """Write a model and its design as a TOML file that `read_model` reads back the same.

    Raises
    ------
    FileExistsError
        If the file is there.
    ValueError
        If the model stands on the basis of a fit, which is no number.
    """
    return files.write(path, as_toml(model, design), force=force)


def as_toml(model: Model, design: pd.DataFrame | None = None) -> str:
    """A model and its design as TOML.

    Examples
    --------
    >>> from lmmsim import scenarios
    >>> print(as_toml(*scenarios.teaching_methods()))
    formula = "score ~ method + (1 | school)"
    residual = 9.0
    <BLANKLINE>
    [beta]
    Intercept = 50.0
    "method[T.new]" = 2.0
    <BLANKLINE>
    [random.school]
    sd = 3.0
    <BLANKLINE>
    [[design]]
    nested = { school = 20, pupil = 25 }
    <BLANKLINE>
    [[design]]
    assign = { to = "school", method = ["usual", "new"] }
    <BLANKLINE>
    [units]
    score = "points"
    <BLANKLINE>
    """
    if model.basis is not None:
        raise ValueError("a model that was made from a fit stands on its data, which a file of numbers cannot hold")
    values: dict[str, Any] = {"formula": model.formula, "residual": residual_table(model.residual), "beta": model.beta}
    values["random"] = {group: random_table(effect) for group, effect in model.random.items()}
    if design is not None:
        values["design"] = steps_of(design)
        columns = {*map(str, design.columns), model.response}
        values["units"] = {name: unit for name, unit in design.attrs.get(UNITS, {}).items() if name in columns}
    return dumps({key: value for key, value in values.items() if value != {}})


def model_of(
    document: Document, at: Path = (), rng: Rng = None, also: tuple[str, ...] = ()
) -> tuple[Model, pd.DataFrame]:
    """The model and the design at a path of a document.

    Parameters
    ----------
    document : Document
    at : tuple
    rng : Generator, int or None
    also : tuple of str
        Other keys that may stand beside.
    """
    document.check_keys(at, [*KEYS, *also])
    residual = residual_of(document, (*at, "residual"))
    random = {group: _random(document, (*at, "random", group)) for group in document.take((*at, "random"), dict, {})}
    beta = document.take((*at, "beta"), dict)
    for name in beta:
        document.take((*at, "beta", name), float)
    formula = document.take((*at, "formula"), str)
    try:
        model = Model(formula, beta, random, residual)
    except (ValueError, TypeError) as error:
        document.fail(_guilty(document, at, str(error)), error)
    design = design_of(document, (*at, "design"), rng)
    units = document.take((*at, "units"), dict, {})
    for name in units:
        document.take((*at, "units", name), str)
        if name not in design and name != model.response:
            document.fail((*at, "units", name), f"'{name}' is no column; they are {listed([*design, model.response])}")
    design.attrs[UNITS] = dict(units)
    try:
        model.on(design)
    except (ValueError, TypeError) as error:
        document.fail(_guilty(document, at, str(error)), error)
    return model, design


def _guilty(document: Document, at: Path, message: str) -> Path:
    """The key that a message of `Model` is about: a name that it says, else the field it begins with, else formula."""
    for field in ("beta", "random"):
        table = document.take((*at, field), dict, {})
        last = message.rsplit("not in the formula: ", 1)[-1] if "not in the formula: " in message else ""
        for name in table:
            if message.startswith(field) and name in last.split(", "):
                return (*at, field, name)
            if field == "random" and (f"in '{name}'" in message or message.startswith(f"random['{name}']")):
                return (*at, field, name)
        if message.startswith(field):
            return (*at, field)
    return (*at, "residual") if message.startswith(("residual", "no residual", "a residual")) else (*at, "formula")


def _random(document: Document, path: Path) -> Random:
    """A number is an intercept's sd; a table has the fields of `Random`."""
    value = document.take(path[:-1], dict)[path[-1]]
    if is_number(value):
        return Random(sd=value)
    document.take(path, dict)
    document.check_keys(path, [field.name for field in fields(Random)])
    if not is_number(value.get("sd")):
        for name in document.take((*path, "sd"), dict):
            document.take((*path, "sd", name), float)
    return _made(document, path, Random, value)


def residual_of(document: Document, path: Path) -> Residual:
    """A number is the sd of independent residuals; a table names its kind and has its fields."""
    value = document.take(path[:-1], dict, {}).get(path[-1]) if len(path) > 1 else document.values.get(str(path[-1]))
    if value is None:
        document.fail(path[:-1], "'residual' is missing, the sd of the residuals")
    if is_number(value):
        return _made(document, path, IID, {"sd": value})
    document.take(path, dict)
    kind = value.get("kind", "IID")
    if kind not in RESIDUALS:
        document.fail((*path, "kind"), f"'{kind}' is no kind of residual; they are {listed(RESIDUALS)}")
    document.check_keys(path, ["kind", *(field.name for field in fields(RESIDUALS[kind]))])
    return _made(document, path, RESIDUALS[kind], {key: one for key, one in value.items() if key != "kind"})


def _made(document: Document, path: Path, kind: Any, values: Mapping[str, Any]) -> Any:
    """An object from the table at a path."""
    try:
        told = {
            key: _unlisted(value) if key == "sd" or (key == "corr" and isinstance(value, dict)) else value
            for key, value in values.items()
        }
        if "shape" in told:
            told["shape"] = _shape(told["shape"])
        return kind(**told)
    except (ValueError, TypeError) as error:
        document.fail(path, error)


def _shape(value: Any) -> draws.Shape:
    """ "skewed", or { skewed = { skewness = 2 } }."""
    name, arguments = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, {})
    if name not in SHAPES or not isinstance(arguments, dict):
        raise ValueError(
            f"the shape is {value!r}; it is one of {listed(SHAPES)}, as in {{ skewed = {{ skewness = 2 }} }}"
        )
    return SHAPES[name](**arguments)


def _unlisted(value: Any) -> Any:
    """What TOML has no keys for as a mapping: sds [[time, sd], ...], and { pairs = [[one, other, number], ...] }."""
    if isinstance(value, dict) and list(value) == ["pairs"]:
        if any(not isinstance(row, list) or len(row) != 3 for row in value["pairs"]):
            raise ValueError("pairs is a list of [one, other, correlation]")
        return {(one, other): number for one, other, number in value["pairs"]}
    if isinstance(value, list) and value and all(isinstance(row, list) and len(row) == 2 for row in value):
        return dict(value)
    return value


def random_table(effect: Random) -> dict[str, Any]:
    table: dict[str, Any] = {"sd": _plain(effect.sd)}
    if not (is_number(effect.corr) and effect.corr == 0):
        table["corr"] = _plain(effect.corr)
    return table | _shape_table(effect.shape)


def residual_table(residual: Residual) -> Any:
    """A number, where that says it all."""
    table: dict[str, Any] = {"kind": type(residual).__name__}
    assert is_dataclass(residual)
    for field in fields(residual):
        value = getattr(residual, field.name)
        if field.name != "shape" and value is not None:
            table[field.name] = _plain(value)
    table |= _shape_table(residual.shape)
    return table["sd"] if set(table) == {"kind", "sd"} and table["kind"] == "IID" and is_number(table["sd"]) else table


def _shape_table(shape: draws.Shape) -> dict[str, Any]:
    """What is not normal, as the call that makes it."""
    name = shape.sampler.__name__.removeprefix("_")
    if name == "normal":
        return {}
    if name not in SHAPES:
        raise ValueError(f"the shape {shape.name!r} is no function of lmmsim.draws, which a file could name")
    wanted = list(inspect.signature(SHAPES[name]).parameters)[: len(shape.parameters)]
    return {"shape": {name: dict(zip(wanted, shape.parameters, strict=True))}}


def _plain(value: Any) -> Any:
    """A mapping with names as keys stays one; pairs of names, and keys that are numbers, become lists."""
    if not isinstance(value, Mapping) or all(isinstance(key, str) for key in value):
        return dict(value) if isinstance(value, Mapping) else value
    if all(isinstance(key, tuple) for key in value):
        return {"pairs": [[*key, number] for key, number in value.items()]}
    return [[key, number] for key, number in value.items()]
