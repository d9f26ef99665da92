"""What a fit returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np


@dataclass(frozen=True, eq=False)
class Solution:
    """Fits of r responses by p coefficients and t entries of theta.

    Attributes
    ----------
    theta : ndarray, shape (r, t)
        Lower triangles, column by column, of the relative covariance factor Lambda of every random term; diagonal >= 0.
    beta, vcov : ndarray, shapes (r, p) and (r, p, p)
        Fixed effects and sigma^2 (X' V^-1 X)^-1.
    sigma : ndarray, shape (r,)
        Residual standard deviation.
    criterion : ndarray, shape (r,)
        -2 log-likelihood (REML or ML) with all constants.
    converged, singular : ndarray of bool, shape (r,)
        Singular: a covariance matrix without full rank, that is lme4's rule (a diagonal entry of theta below 1e-4)
        applied to standardised columns, so that it does not depend on units.
    evaluations : ndarray of int, shape (r,)
        How often the likelihood was evaluated.
    message : ndarray of str, shape (r,)
        Why a response has no fit (its numbers are NaN); '' when all is fine.
    covariances : list of ndarray, shape (r, k, k)
        Covariance matrix of every random term, sigma^2 Lambda Lambda'.
    reml : bool
    """

    theta: np.ndarray
    beta: np.ndarray
    vcov: np.ndarray
    sigma: np.ndarray
    criterion: np.ndarray
    converged: np.ndarray
    singular: np.ndarray
    evaluations: np.ndarray
    message: np.ndarray
    covariances: list[np.ndarray]
    reml: bool
    standard_theta: np.ndarray = field(repr=False)  # of the standardised columns
    information: np.ndarray = field(repr=False)  # Hessian of the criterion in (standard theta, log sigma^2)
    observed: np.ndarray | None = field(repr=False)  # (n, r), None when complete
    indistinct: np.ndarray = field(repr=False)  # (r,) bool: REML is flat in some variance, no test is right
    # variances of beta over sigma^2, differentiated like `information`, (r, p, t + 1); None when not asked for
    variance_gradient: np.ndarray | None = field(repr=False, default=None)


def join(parts: Sequence[Solution]) -> Solution:
    """Several chunks of responses as one."""
    first = parts[0]
    if len(parts) == 1:
        return first

    def together(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Solution(
        theta=together("theta"),
        beta=together("beta"),
        vcov=together("vcov"),
        sigma=together("sigma"),
        criterion=together("criterion"),
        converged=together("converged"),
        singular=together("singular"),
        evaluations=together("evaluations"),
        message=together("message"),
        covariances=[np.concatenate(term) for term in zip(*(part.covariances for part in parts), strict=True)],
        reml=first.reml,
        standard_theta=together("standard_theta"),
        information=together("information"),
        observed=_observed(parts),
        indistinct=together("indistinct"),
        variance_gradient=None if first.variance_gradient is None else together("variance_gradient"),
    )


def replaced(whole: Solution, which: np.ndarray, part: Solution) -> Solution:
    """The same with the responses `which` from elsewhere."""
    out = {}
    for item in fields(Solution):
        old, new = getattr(whole, item.name), getattr(part, item.name)
        if isinstance(old, np.ndarray) and item.name != "observed":
            old = old.copy()
            old[which] = new
        elif isinstance(old, list):
            old = [term.copy() for term in old]
            for term, other in zip(old, new, strict=True):
                term[which] = other
        out[item.name] = old
    return Solution(**out)


def _observed(parts: Sequence[Solution]) -> np.ndarray | None:
    """Which rows every response has; chunks without a missing value say None."""
    rows = {part.observed.shape[0] for part in parts if part.observed is not None}
    if not rows:
        return None
    shape = rows.pop()
    full = [np.ones((shape, part.sigma.size), bool) if part.observed is None else part.observed for part in parts]
    return np.concatenate(full, axis=1)
