"""The likelihood of one response as a function of all its parameters: what a profile climbs on.

Parameters are (theta, phi, log sigma), one row each: theta of standardised columns, phi the residual's numbers (none
where residuals are independent and have one sd), and last a coefficient, where one is held. The other coefficients are
at their best, or integrated out, which is what REML does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmmsim.estimators.engines import engine_of
from lmmsim.estimators.fit import Fit
from lmmsim.reml.engine import Engine
from lmmsim.reml.marginal import MarginalPoint, Sums
from lmmsim.reml.marginal_engine import MarginalEngine
from lmmsim.reml.marginal_solution import MarginalSolution
from lmmsim.reml.residual_numbers import Numbers
from lmmsim.reml.theta import Coordinates
from lmmsim.reml.whitened import Whitened


class Surface(ABC):
    """-2 log-likelihood, full or restricted, of one response.

    Attributes
    ----------
    best : ndarray, (t + s + 1,)
        The parameters at the minimum.
    minimum : float
    beta, se : ndarray, (p,)
        Coefficients and their standard errors there.
    """

    coordinates: Coordinates | None
    backs: Sequence[np.ndarray]  # from standardised to the user's columns, for every random term
    numbers: Numbers | None

    def __init__(self, engine: Any, y: np.ndarray, reml: bool) -> None:
        self.reml = reml
        found = engine.fit(y[:, None], reml=reml)
        self.beta, self.se = found.beta[0], np.sqrt(np.diagonal(found.vcov[0]))
        phi = found.phi[0] if isinstance(found, MarginalSolution) else np.empty(0)
        self.t = found.standard_theta.shape[1]
        self.best = np.concatenate([found.standard_theta[0], phi, np.log(found.sigma)])
        self.minimum = float(self(self.best[None])[0])

    @property
    def diagonal(self) -> np.ndarray:
        """Which entries of theta are on a diagonal, where a zero is a variance of zero."""
        return self.coordinates.diagonal if self.coordinates else np.zeros(0, dtype=bool)

    @property
    def log_sigma(self) -> int:
        """Where log sigma stands."""
        return len(self.best) - 1

    @abstractmethod
    def _at(self, parameters: np.ndarray) -> tuple[Any, float]:
        """What the likelihood knows at (theta, phi), and the unit of its response."""

    @abstractmethod
    def _coefficients(self, point: Any) -> tuple[np.ndarray, np.ndarray]:
        """Best coefficients (m, p), and their covariances over sigma^2, (m, p, p)."""

    def __call__(self, parameters: np.ndarray, j: int | None = None) -> np.ndarray:
        """-2 log-likelihood (m,); coefficient j is where the parameters end in its value, which is one of ML."""
        point, unit = self._at(parameters[:, : self.log_sigma])
        sigma2 = np.exp(2 * parameters[:, self.log_sigma])
        squares = point.dof * point.sigma2 * unit**2
        if j is not None:
            beta, vcov = self._coefficients(point)
            squares = squares + (parameters[:, -1] - beta[:, j]) ** 2 / vcov[:, j, j]
        log_det = point.value - point.dof * (1 + np.log(2 * np.pi * point.sigma2))
        return np.asarray(log_det + point.dof * np.log(2 * np.pi * sigma2) + squares / sigma2)

    def covariance(self, parameters: np.ndarray, term: int) -> np.ndarray:
        """Absolute covariances (m, k, k) of one term."""
        assert self.coordinates is not None
        factor = self.backs[term] @ self.coordinates.factors(parameters[:, : self.t])[term]
        return np.exp(2 * parameters[:, self.log_sigma])[:, None, None] * factor @ factor.swapaxes(1, 2)

    def residual(self, parameters: np.ndarray) -> dict[tuple[str, str, str], np.ndarray]:
        """The numbers of residuals with a structure, (m,) each."""
        assert self.numbers is not None
        phi, sigma = parameters[:, self.t : self.log_sigma], np.exp(parameters[:, self.log_sigma])
        return self.numbers.components(phi, sigma)


class Independent(Surface):
    """Residuals with one sd, or with known precisions."""

    def __init__(self, engine: Engine, y: np.ndarray, reml: bool, numbers: Numbers | None = None) -> None:
        self.problem, self.structure = engine.problem, engine.blocks
        self.coordinates, self.numbers = self.problem.coordinates, numbers
        self.backs = [term.back for term in self.problem.terms]
        self.response = self.problem.responses(y[:, None])
        self.moments = self.structure.moments(self.response)
        super().__init__(engine, y, reml)

    def _at(self, parameters: np.ndarray) -> tuple[Any, float]:
        moments = self.moments.take(np.zeros(len(parameters), dtype=int))
        return self.structure.at(parameters, moments, self.reml), float(self.response.scale[0])

    def _coefficients(self, point: Any) -> tuple[np.ndarray, np.ndarray]:
        beta = self.problem.beta_out(self.response.base + self.response.scale[0] * point.beta)
        return beta, self.problem.vcov_out(point.vcov)


class Structured(Surface):
    """Residuals that depend on each other, or have several sds."""

    def __init__(self, engine: MarginalEngine, y: np.ndarray, reml: bool) -> None:
        self.form, self.design = engine.form, engine.complete
        self.coordinates, self.numbers = engine.coordinates, engine.numbers
        self.backs = [bar.back for bar in self.form.bars]
        self.standard = self.form.standardised(y[:, None], engine.everything)
        self.sums = Sums.of(self.design, self.standard.y)
        super().__init__(engine, y, reml)

    def _at(self, parameters: np.ndarray) -> tuple[Any, float]:
        sums = self.sums.take(np.zeros(len(parameters), dtype=int))
        return MarginalPoint(self.design, self.coordinates, parameters, sums, self.reml), float(self.standard.scale[0])

    def _coefficients(self, point: Any) -> tuple[np.ndarray, np.ndarray]:
        beta = self.form.beta(self.standard.base + self.standard.scale[0] * point.beta)
        return beta, self.form.vcov(point.vcov)


def surface_of(fit: Fit, reml: bool) -> Surface:
    """The surface of a fit's response.

    Raises
    ------
    ValueError
        If the residual has numbers and its units are part of blocks so large that the likelihood is worked out anew
        for every value of these numbers.
    """
    engine = engine_of(fit)
    if isinstance(engine, MarginalEngine):
        return Structured(engine, fit.y, reml)
    if not isinstance(engine, Whitened):
        return Independent(engine, fit.y, reml)
    if engine.numbers.size:
        raise ValueError(
            "likelihood profiles are not available for residuals with a structure in a design whose groups tie so "
            "many rows together, as crossed ones do: use fit.bootstrap()"
        )
    plain, factors, whitening, _ = engine.engine(engine.none, None)
    return Independent(plain, whitening.white(factors, fit.y[:, None])[:, 0], reml, engine.numbers)
