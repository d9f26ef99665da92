"""From an optimum in standard form to what is reported: the user's columns and units, and what the df need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmmsim.reml.mixed_model_equations import ROUNDING
from lmmsim.reml.newton import Minimum
from lmmsim.reml.search import singular
from lmmsim.reml.solution import Solution
from lmmsim.reml.standard_form import Problem, Responses
from lmmsim.reml.structure import Point

ROUGH = 1e-4  # error of the criterion that is said
FEW_DIGITS_LEFT = (
    "the residual is so small beside the random effects that too few of the response's sixteen digits are its own: "
    "give the response more digits or subtract what is known of it"
)


def report(problem: Problem, point: Point, found: Minimum, responses: Responses, reml: bool, df: bool) -> Solution:
    """The solution at an optimum."""
    theta, coordinates = found.theta, problem.coordinates
    scale, failed = responses.scale, np.isnan(responses.scale)
    out = problem.theta_out(theta)
    sigma = np.sqrt(point.sigma2) * scale  # NaN where there is no fit, and with it all that is made of it
    beta = problem.beta_out(responses.base + scale[:, None] * point.beta)
    out[failed] = np.nan
    message, few = responses.message.copy(), _few_digits(point, responses)
    message[~failed & ~found.converged] = "the optimiser did not converge"
    message[~failed & few] = FEW_DIGITS_LEFT
    return Solution(
        theta=out,
        beta=beta,
        vcov=sigma[:, None, None] ** 2 * problem.vcov_out(point.vcov),
        sigma=sigma,
        criterion=criterion_out(problem, point, responses, reml),
        converged=found.converged & ~failed & ~few,
        singular=singular(coordinates, theta) & ~failed,
        evaluations=found.evaluations + 1,
        message=message,
        covariances=[sigma[:, None, None] ** 2 * (f @ f.swapaxes(1, 2)) for f in coordinates.factors(out)],
        reml=reml,
        standard_theta=theta,
        information=_information(problem, theta, point),
        observed=responses.observed,
        indistinct=np.zeros(len(theta), dtype=bool),
        variance_gradient=variance_gradient(problem, theta, point, problem.contrasts(None)) if df else None,
    )


def without_digits(solution: Solution, doubtful: np.ndarray) -> Solution:
    """The solution with the responses said in which too few digits are the residual's."""
    doubtful = doubtful & solution.converged
    if not doubtful.any():
        return solution
    message = np.where(doubtful, FEW_DIGITS_LEFT, solution.message)
    return replace(solution, message=message, converged=solution.converged & ~doubtful)


def criterion_out(problem: Problem, point: Point, responses: Responses, reml: bool) -> np.ndarray:
    """The criterion in the user's units."""
    return point.value + 2 * point.dof * np.log(responses.scale) + (problem.log_det_R if reml else 0.0)


def variance_gradient(problem: Problem, theta: np.ndarray, point: Point, L: np.ndarray) -> np.ndarray:
    """Derivatives of the contrasts' variances over sigma^2 in (theta, log sigma^2), (m, q, t + 1)."""
    variance = ((L @ point.vcov) * L).sum(axis=2)
    slopes = ((L @ point.vcov_slopes) * L).sum(axis=3).swapaxes(1, 2)
    return np.concatenate([slopes @ problem.coordinates.jacobian(theta), variance[..., None]], axis=2)


def _few_digits(point: Point, responses: Responses) -> np.ndarray:
    """Where too few of the sixteen digits of y, or of a sum of its squares, are the residual's, (m,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.sqrt(len(responses.X) / point.sigma2)
        return ~(point.dof * ROUNDING * share + point.rounding < ROUGH)


def _information(problem: Problem, theta: np.ndarray, point: Point) -> np.ndarray:
    """Hessian of the criterion in (theta, log sigma^2), (m, t + 1, t + 1)."""
    squares, t = point.squares, problem.coordinates.size
    joint = point.hessian + squares[:, :, None] * squares[:, None, :] / point.dof[:, None, None]
    out = np.empty((len(theta), t + 1, t + 1))
    _, out[:, :t, :t] = problem.coordinates.in_theta(theta, point.gradient, joint)
    out[:, t, :t] = out[:, :t, t] = (squares[:, None] @ problem.coordinates.jacobian(theta))[:, 0]
    out[:, t, t] = point.dof
    return out
