"""Fingerprints: everything that the numbers of a study depend on, in words that are the same in every session."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.studies.recipe import Recipe


def fingerprint(recipe: Recipe) -> dict[str, str]:
    """Everything that the numbers of a study depend on, by name."""
    from importlib.metadata import version

    from lmmsim import __version__

    model = recipe.model
    lines = {
        "lmmsim": __version__,
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "formula": model.formula,
        "residual": describe(model.residual),
        "design": describe(recipe.design),
        "seed": describe([recipe.seed.entropy, list(recipe.seed.spawn_key)]),
        "observe": describe(recipe.observe),
        "redraw": describe(recipe.redraw),
    }
    if model.basis is not None:
        lines["basis"] = describe([dict(model.basis.kinds), model.basis.names, learned(model.basis.spec)])
    lines |= {f"beta of {name}": describe(value) for name, value in model.beta.items()}
    lines |= {f"random effects of {group}": describe(effect) for group, effect in model.random.items()}
    return lines | {f"analysis '{name}'": describe(analysis) for name, analysis in recipe.analyses.items()}


def describe(what: Any) -> str:
    """Say what an object is, the same in every session.

    Examples
    --------
    >>> describe({"sd": 2.0, "corr": [0.1, 0.3]})
    '{sd: 2.0, corr: [0.1, 0.3]}'
    >>> from lmmsim import Random
    >>> describe(Random(2.0))
    "Random(sd=2.0, corr=0.0, shape=Shape(name='normal', sampler=lmmsim.draws._normal, ...))"
    """
    if isinstance(what, pd.DataFrame | pd.Series):
        return _of_table(what)
    if isinstance(what, np.ndarray):
        return f"array {what.shape} {what.dtype} {_digest(np.ascontiguousarray(what).tobytes())}"
    if isinstance(what, np.generic):
        return repr(what.item())
    if isinstance(what, Mapping):
        return "{" + ", ".join(f"{key}: {describe(value)}" for key, value in what.items()) + "}"
    if isinstance(what, list | tuple):
        return "[" + ", ".join(map(describe, what)) + "]"
    if is_dataclass(what) and not isinstance(what, type):
        inside = ", ".join(f"{field.name}={describe(getattr(what, field.name))}" for field in fields(what))
        return f"{type(what).__name__}({inside})"
    if isinstance(what, functools.partial):
        return f"partial({describe(what.func)}, {describe(what.args)}, {describe(what.keywords)})"
    if isinstance(what, types.MethodType):
        return f"{describe(what.__func__)} of {describe(what.__self__)}"
    if isinstance(what, types.FunctionType):
        return _of_function(what)
    if isinstance(what, type | types.BuiltinFunctionType):
        return f"{what.__module__}.{what.__qualname__}"
    if isinstance(what, str | int | float | bool | bytes | None):
        return repr(what)
    state = getattr(what, "__dict__", None)  # its repr may hold an address, which no other session shares
    name = f"{type(what).__module__}.{type(what).__qualname__}"
    return f"{name}({describe(state)})" if state else name


def learned(spec: Any) -> list[Any]:
    """What functions of a formula have learned of the rows of a fit: means, knots."""
    return [dict(side.transform_state) for side in spec._flatten()]


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """One line for everything that is not the same in two fingerprints."""
    lines = []
    for name in dict.fromkeys([*there, *here]):
        if there.get(name) != here.get(name):
            left, right = _short(there.get(name), here.get(name))
            lines.append(f"{name}: {left} there, {right} here")
    return lines


def _of_table(table: pd.DataFrame | pd.Series) -> str:
    """Shape, columns, types, order of categories, and content."""
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    content = hashlib.sha256(pd.util.hash_pandas_object(frame, index=True).to_numpy().tobytes())
    for name, column in frame.items():
        content.update(f"{name} {column.dtype.kind}".encode())
        if isinstance(column.dtype, pd.CategoricalDtype):
            content.update(repr(column.cat.categories.tolist()).encode())
    return f"{len(frame)} rows of {', '.join(map(str, frame.columns))}, content {content.hexdigest()[:12]}"


def _of_function(function: types.FunctionType) -> str:
    """Name and a digest of everything that belongs to a function itself."""
    inside = [_of_code(function.__code__), describe(function.__defaults__), describe(function.__kwdefaults__)]
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # a name that is not bound yet
            continue
        inside.append(describe(value) if value is not function else "itself")
    digest = _digest("\n".join(inside).encode())
    return f"{function.__module__}.{function.__qualname__}, code {digest}"


def _of_code(code: types.CodeType) -> str:
    constants = [_of_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _short(one: str | None, other: str | None) -> tuple[str, str]:
    """Two texts as they are; of long ones the beginning, and the place where they part."""
    parting = next((i for i, (a, b) in enumerate(zip(one or "", other or "", strict=False)) if a != b), 0)
    begin = max(40, parting - 30)
    return _cut(one, begin), _cut(other, begin)


def _cut(text: str | None, begin: int) -> str:
    if text is None:
        return "nothing"
    if len(text) <= 160:
        return text
    gap = " ... " if begin > 40 else ""
    return f"{text[:40]}{gap}{text[begin : begin + 100]}... (content {_digest(text.encode())})"
