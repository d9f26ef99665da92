"""The engines that fit mixed models, and what one says of the random effects and of the residual."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lmmsim.estimators.estimates import Component
from lmmsim.estimators.fit import Fit
from lmmsim.model.columns import Matrices
from lmmsim.model.identifiable import left_over
from lmmsim.reml.engine import Engine, what_cannot_be_told_apart
from lmmsim.reml.marginal_engine import MarginalEngine
from lmmsim.reml.marginal_solution import MarginalSolution
from lmmsim.reml.solution import Solution
from lmmsim.reml.whitened import Whitened

AnyEngine = Engine | MarginalEngine | Whitened


@dataclass(frozen=True, eq=False)
class FromEngine:
    """The random effects of one fit, which the engine predicts on request."""

    engine: AnyEngine
    solution: Solution
    Y: np.ndarray

    def modes(self) -> tuple[np.ndarray, ...]:
        """Conditional modes, (J, k) for every random term."""
        return tuple(mode[0] for mode in self.engine.modes(self.solution, self.Y))

    def variances(self) -> tuple[np.ndarray, ...]:
        """Their conditional covariances, (J, k, k) for every random term."""
        return tuple(block[0] for block in self.engine.mode_variances(self.solution))


def told(matrices: Matrices, s: Solution) -> Solution:
    """The same, where the design says by name which coefficients have no test: complete responses have the others."""
    if matrices.untested and s.reml and isinstance(s, MarginalSolution):
        message = np.where(s.message == "", "a variance cannot be told from the fixed effects", s.message)
        return replace(s, converged=np.zeros_like(s.converged), message=message)
    if not matrices.untested or not s.indistinct.any() or not s.reml:  # full likelihood may have no maximum at all
        return s
    X = matrices.X.to_numpy()
    rest = [left for term in matrices.terms if (left := left_over(X, term)) is not None]
    if rest and what_cannot_be_told_apart(X, rest):  # another doubt stands beside the one that has names
        return s
    gaps = np.zeros(len(s.sigma), dtype=bool) if s.observed is None else ~s.observed.all(axis=0)
    return replace(s, indistinct=s.indistinct & gaps)


def engine_of(fit: Fit) -> AnyEngine:
    """The engine that a mixed model was fitted with, or one like it."""
    return getattr(fit.conditional, "engine", None) or Engine(fit.matrices.X.to_numpy(), fit.matrices.terms)


def residual_variances(engine: AnyEngine, s: Solution, n: int) -> np.ndarray:
    """Variance of the residual of every row, (n, r)."""
    if isinstance(engine, Engine):
        return np.tile(s.sigma**2, (n, 1))
    return s.sigma**2 * engine.numbers.variances(phi_of(s)).T


def residual_components(engine: AnyEngine, s: Solution) -> dict[Component, np.ndarray]:
    """Numbers of residuals with a structure by (part, group, term), (r,) each; NaN where no row tells them."""
    if isinstance(engine, Engine):
        return {}
    values = engine.numbers.components(phi_of(s), s.sigma)
    if s.observed is None:
        return values
    told = engine.numbers.seen(s.observed)
    return {name: np.where(told.get(name, True), value, np.nan) for name, value in values.items()}


def phi_of(s: Solution) -> np.ndarray:
    """The residual's numbers, (r, s); none where nothing of it was free."""
    return s.phi if isinstance(s, MarginalSolution) else np.empty((len(s.sigma), 0))


def optimum_of(fit: Fit) -> np.ndarray | None:
    """Where searches on similar data may begin: theta of a fit, then the residual's numbers; None for least squares."""
    solution = getattr(fit.conditional, "solution", None)
    if solution is None:
        return getattr(fit, "theta", None)
    return np.concatenate([solution.theta[0], phi_of(solution)[0]])
