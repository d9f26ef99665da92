"""What a fit with the numbers of a residual returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lmmsim.reml.solution import Solution


@dataclass(frozen=True, eq=False)
class MarginalSolution(Solution):
    """A solution with the residual's numbers: phi, (r, s). `information` is in (theta, phi, log sigma^2)."""

    phi: np.ndarray = field(repr=False, default_factory=lambda: np.empty((0, 0)))


_ARRAYS = (
    "theta", "beta", "vcov", "sigma", "criterion", "converged", "singular", "evaluations", "message",
    "standard_theta", "information", "indistinct", "variance_gradient", "phi",
)  # fmt: skip


def blank(part: MarginalSolution, r: int) -> MarginalSolution:
    """Room for r responses."""
    room: dict[str, Any] = {
        name: np.empty((r, *getattr(part, name).shape[1:]), getattr(part, name).dtype) for name in _ARRAYS
    }
    return replace(part, **room, covariances=[np.empty((r, *G.shape[1:])) for G in part.covariances])


def put(whole: MarginalSolution, which: np.ndarray, part: MarginalSolution) -> None:
    """Put the fits of some responses where they belong among all."""
    for name in _ARRAYS:
        getattr(whole, name)[which] = getattr(part, name)
    for everywhere, own in zip(whole.covariances, part.covariances, strict=True):
        everywhere[which] = own
