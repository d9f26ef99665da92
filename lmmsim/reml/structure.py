"""What every structure of a design offers to the engine, and every point of its likelihood to the optimiser."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from lmmsim.reml.standard_form import Responses


class Point(Protocol):
    """The likelihood of m responses, each at its own theta; derivatives are with respect to psi."""

    @property
    def value(self) -> np.ndarray:
        """The profiled criterion, -2 log-likelihood with all constants, (m,)."""

    @property
    def gradient(self) -> np.ndarray:
        """(m, t)."""

    @property
    def hessian(self) -> np.ndarray:
        """(m, t, t)."""

    @property
    def traces(self) -> np.ndarray:
        """tr(P V_a), (m, t)."""

    @property
    def squares(self) -> np.ndarray:
        """y'P V_a P y / s2, (m, t)."""

    @property
    def curvature_trace(self) -> np.ndarray:
        """tr(P V_a P V_b), (m, t, t)."""

    @property
    def sigma2(self) -> np.ndarray:
        """Residual variance, (m,)."""

    @property
    def dof(self) -> np.ndarray:
        """n - p (REML) or n (ML), (m,)."""

    @property
    def beta(self) -> np.ndarray:
        """(m, p)."""

    @property
    def rounding(self) -> np.ndarray | float:
        """Size of the rounding error in the value that large variances leave, (m,)."""

    @property
    def vcov(self) -> np.ndarray:
        """(X'V^-1 X)^-1, (m, p, p): without the residual variance."""

    @property
    def vcov_slopes(self) -> np.ndarray:
        """Its derivatives, (m, t, p, p)."""


class PointOfAll(Point, Protocol):
    """What a structure for every kind of question knows besides."""

    @property
    def vcov_curvatures(self) -> np.ndarray:
        """C X'V^-1 V_a P V_b V^-1 X C, symmetrised over a and b, (m, t, t, p, p), C = (X'V^-1 X)^-1."""


class Structure(Protocol):
    """A way to compute the likelihood of a design. What `moments` returns is for `at` only."""

    def chunk(self, complete: bool) -> int:
        """How many responses to carry through the optimisation together."""

    def moments(self, responses: Responses) -> Any:
        """Everything the likelihood needs to know of the responses."""

    def at(self, theta: np.ndarray, moments: Any, reml: bool) -> Point:
        """The likelihood at theta (m, t) of the standard columns."""

    def explain(self) -> str:
        """One sentence: what it is, why it fits the design, how large it is."""


class StructureOfAll(Structure, Protocol):
    """A structure that also knows incomplete responses, random effects, and what Kenward and Roger ask."""

    def at(self, theta: np.ndarray, moments: Any, reml: bool) -> PointOfAll:
        """The likelihood at theta (m, t) of the standard columns."""

    def modes(self, theta: np.ndarray, responses: Responses, reml: bool) -> list[np.ndarray]:
        """Conditional modes of every term, (m, J, k), in the user's columns and units."""

    def mode_variances(self, theta: np.ndarray, sigma: np.ndarray, observed: np.ndarray | None) -> list[np.ndarray]:
        """Their conditional variances given theta, (m, J, k, k), in the user's columns and units."""
