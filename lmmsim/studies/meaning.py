"""Meaning: whether the coefficients of several cells are about the same columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import pandas as pd

from lmmsim.model.columns import basis_of
from lmmsim.model.formula import split
from lmmsim.model.model import Model
from lmmsim.studies.fingerprint import describe, learned


def warn_of_moving(worlds: Sequence[tuple[Model, pd.DataFrame]]) -> None:
    """Warn where center(x), poly(x, 2) and their like mean something else in each cell of a sweep.

    The cells are then different worlds in more than what the grid says, and their powers are not one curve.
    """
    meanings: dict[str, set[str]] = {}
    for model, design in worlds:
        if split(model.formula).moving:
            known = model.basis or basis_of(model.formula, design)
            meanings.setdefault(model.formula, set()).add(describe(learned(known.spec)))
    for formula, found in meanings.items():
        if len(found) > 1:
            moving = ", ".join(split(formula).moving)
            warnings.warn(
                f"{moving} means something else on each of these designs, so the coefficients of one cell are not "
                "those of another; fix what is meant, as I(x - 2) for center(x), or make the world of a fit",
                UserWarning,
                stacklevel=3,
            )
