"""Ranges: numbers of a world that are drawn for every student."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmmsim.checks import is_number
from lmmsim.course.toml import Document, Path


def drawn(one: Any, rng: np.random.Generator) -> Any:
    """Draw a number from a range, one of several, or a list of such.

    Examples
    --------
    >>> drawn({"from": 1, "to": 3, "step": 0.5}, np.random.default_rng(1)) in (1, 1.5, 2, 2.5, 3)
    True
    """
    if isinstance(one, list):
        return [drawn(part, rng) for part in one]
    if not isinstance(one, dict):
        return one
    if "of" in one:
        return one["of"][int(rng.integers(len(one["of"])))]
    low, high = one["from"], one["to"]
    if "step" not in one:
        return round(float(rng.uniform(low, high)), 4)
    value = low + one["step"] * int(rng.integers(int((high - low) / one["step"] + 1e-9) + 1))
    return value if all(isinstance(part, int) for part in (low, one["step"])) else round(float(value), 10)


def check_range(document: Document, path: Path) -> None:
    """Refuse what is no range."""
    values = document.take(path[:-1], dict if isinstance(path[-1], str) else list)[path[-1]]
    if isinstance(values, list):
        for k in range(len(values)):
            check_range(document, (*path, k))
        return
    if is_number(values) and isinstance(path[-1], int):
        return
    bounds = set(values) if isinstance(values, dict) else set()
    numbers = bounds in ({"from", "to"}, {"from", "to", "step"}) and all(map(is_number, values.values()))
    if numbers and values["from"] <= values["to"] and values.get("step", 1) > 0:
        return
    if bounds == {"of"} and isinstance(values["of"], list) and values["of"]:
        return
    document.fail(path, f"this is {values}; a range is {{ from = 1, to = 3, step = 0.5 }} or {{ of = [18, 24, 30] }}")
