"""Meaning: whether the coefficients of several cells are about the same columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import listed
from lmmsim.model.columns import basis_of, build
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


def warn_of_basis(model: Model, design: pd.DataFrame, analyses: Mapping[str, Any], stacklevel: int) -> None:
    """Warn where an analysis reads center(x) on the design, and the world on the rows of the fit that it was made of.

    Its coefficients are then other numbers than those of the world, and are right although they look biased.
    """
    moving = split(model.formula).moving
    if model.basis is None or not moving:
        return
    formulas = {name: getattr(one, "formula", None) for name, one in analyses.items()}
    same = [name for name, formula in formulas.items() if isinstance(formula, str) and _share(formula, moving)]
    ours, own = model.matrices(design).X, build(model.formula, design).X
    size = np.abs(own.to_numpy()).max(initial=0.0)
    if same and not (own.columns.equals(ours.columns) and np.allclose(own, ours, rtol=0, atol=1e-3 * size)):
        warnings.warn(
            f"{', '.join(moving)} means something else on this design than in the fit that the world was made of, so "
            f"the coefficients of {listed(same)} are not those of the world, and their bias and coverage say nothing: "
            "ask for contrasts of cells, which are the same in both, or fix what is meant, as I(x - 2) for center(x)",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def _share(formula: str, moving: Sequence[str]) -> bool:
    """Whether a formula has one of these functions."""
    return not set(split(formula).moving).isdisjoint(moving)
