"""Losses: what gets lost of a student's data, as an assignment says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import listed
from lmmsim.course.toml import Document
from lmmsim.simulation.missing import drop_out, knock_out
from lmmsim.stories import Words

Losses = Mapping[str, Mapping[str, Any]]


def lost(data: pd.DataFrame, losses: Losses, rng: np.random.Generator) -> pd.DataFrame:
    """The data without what gets lost."""
    for what, arguments in losses.items():
        if what == "knock_out":
            data = knock_out(data, rng=rng, **arguments)
        else:
            data = drop_out(data, rng=rng, **_with_rule(arguments, str(data.attrs["response"])))
    return data


def losses_of(document: Document, words: Words) -> dict[str, dict[str, Any]]:
    """What gets lost, with its columns in the words of the story."""
    found = {}
    for what in document.take(("missing",), dict, {}):
        known = {"drop_out": ("unit", "time", "hazard", "by", "above"), "knock_out": ("share", "probability", "by")}
        if what not in known:
            document.fail(("missing", what), f"'{what}' loses nothing; write {listed(known)}")
        arguments = dict(document.take(("missing", what), dict))
        document.check_keys(("missing", what), known[what])
        for key in ("unit", "time", "by"):
            if key in arguments:
                arguments[key] = words.term(document.take(("missing", what, key), str))
        try:
            knock_out(**arguments) if what == "knock_out" else drop_out(**_with_rule(arguments, ""))
        except (ValueError, TypeError) as error:
            document.fail(("missing", what), error)
        found[what] = arguments
    return found


def _with_rule(arguments: Mapping[str, Any], response: str) -> dict[str, Any]:
    """`above = 160, hazard = [0.05, 0.4]`: who was last seen above this leaves with the second probability."""
    if "above" not in arguments:
        return dict(arguments)
    rest = {key: value for key, value in arguments.items() if key not in ("above", "hazard")}
    if not isinstance(arguments.get("hazard"), list) or len(arguments["hazard"]) != 2:
        raise ValueError("with above, hazard is a list of two: the probability of leaving up to it, and above it")
    low, high = arguments["hazard"]
    limit = arguments["above"]
    return {**rest, "sees": "past", "hazard": lambda seen: np.where(seen[response] > limit, high, low)}
