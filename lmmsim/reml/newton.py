"""Newton's method for many responses at once.

Every round evaluates each unfinished response once, at its own proposal. A proposal that does not lower the
criterion enough is shortened; one that does is the base of the next. Where the Hessian is not positive definite its
eigenvalues are taken in absolute value, and a saddle point (a zero on the diagonal of Lambda is often one) is left
along the direction in which the criterion bends down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmmsim.covariance import cholesky
from lmmsim.reml import stacks

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, Any]]
TOLERANCE = 1e-10  # predicted decrease of the criterion at which a response is finished
ALMOST = 5e-6  # the same where no step of the length that is left can be told from rounding
LONGEST = 2.0  # a Newton step is never longer than this, plus the length of theta
CAREFUL = 0.3  # the same where the criterion bends down, plus half the length of theta
ESCAPE = 0.1  # how far a saddle point is left
ROUNDING = 1e-12  # relative noise of the criterion


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the optimiser stopped."""

    theta: np.ndarray
    value: np.ndarray
    converged: np.ndarray
    evaluations: np.ndarray
    point: Any = None  # of a single response: what `evaluate` knows about this theta

    def where(self, which: np.ndarray, keep: np.ndarray, other: Minimum) -> Minimum:
        """The same with the theta and value of `other` in those of the responses `which` that `keep` says."""
        if not keep.any():
            return self
        here, theta, value = which[keep], self.theta.copy(), self.value.copy()
        theta[here], value[here] = other.theta[keep], other.value[keep]
        return replace(self, theta=theta, value=value, point=other.point if len(value) == 1 else None)

    def or_better(self, which: np.ndarray, other: Minimum) -> Minimum:
        """The lower of two minima for the responses `which`; one that converged before one that did not."""
        mine = self.value[which]
        lower = other.value < mine - 1e-8
        keep = np.where(self.converged[which] == other.converged, lower, other.converged & (other.value < mine + 1e-6))
        converged, evaluations = self.converged.copy(), self.evaluations.copy()
        converged[which[keep]] = other.converged[keep]
        evaluations[which] += other.evaluations
        return replace(self.where(which, keep, other), converged=converged, evaluations=evaluations)


def minimise(evaluate: Evaluate, start: np.ndarray, most: int = 100) -> Minimum:
    """Minimise `evaluate(theta, which)` -> value, gradient, Hessian and anything, for every row of `start`.

    Parameters
    ----------
    evaluate : callable
        Takes theta (m, t) and the responses (m,) it belongs to.
    start : ndarray, shape (r, t)
    most : int
        Evaluations after which a response is given up as not converged.
    """
    r = start.shape[0]
    base, length = start.copy(), np.ones(r)
    evaluations, active = np.ones(r, dtype=int), np.arange(r)
    new, gradient, hessian, there = evaluate(start, active)
    step, slope, curved = direction(gradient, hessian, start)
    value, lost = new.copy(), np.isnan(new)
    if lost.any():
        value[lost] = np.inf
        step[lost], slope[lost], length[lost] = 0.0, 0.0, 0.25
    converged = (-slope < 2 * TOLERANCE) & ~curved & ~lost
    active = active[~converged]
    point = there if r == 1 and not lost[0] else None
    for _ in range(most - 1):
        if active.size == 0:
            break
        proposal = base[active] + length[active, None] * step[active]
        new, gradient, hessian, there = evaluate(proposal, active)
        evaluations[active] += 1
        with np.errstate(invalid="ignore"):
            allowed = value[active] + 1e-4 * length[active] * slope[active] + ROUNDING * (1 + np.abs(new))
            better = new <= allowed
        accepted = active[better]
        if r == 1 and better[0]:
            point = there
        base[accepted], value[accepted] = proposal[better], new[better]
        step[accepted], slope[accepted], curved = direction(gradient[better], hessian[better], proposal[better])
        length[accepted] = 1.0
        length[active[~better]] *= 0.25
        done = np.zeros(active.size, dtype=bool)
        done[better] = (-slope[accepted] < 2 * TOLERANCE) & ~curved
        converged[active[done]] = True
        almost = -slope[active] < 2 * ALMOST
        stuck = ~better & (length[active] < np.where(almost, 1e-3, 1e-10))
        converged[active[stuck & almost]] = True  # rounding hides what is left to gain
        active = active[~done & ~stuck]
    return Minimum(base, value, converged, evaluations, point)


def direction(
    gradient: np.ndarray, hessian: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps (m, t), their slopes (m,), and where the criterion bends down (m,)."""
    size = np.sqrt((theta**2).sum(axis=1))
    if gradient.shape[1] == 1:
        positive = np.asarray(hessian[:, 0] > 0)
        step = -gradient / np.where(positive, hessian[:, 0], np.inf)
    else:
        step = _to_the_bottom(gradient, hessian)
        positive = np.asarray(np.isfinite(step).all(axis=1, keepdims=True))
    step = _limit(step, LONGEST + size)
    curved = np.zeros(len(theta), dtype=bool)
    other = np.flatnonzero(~positive[:, 0])
    if other.size:
        step[other], curved[other] = _downhill(gradient[other], hessian[other])
        step[other] = _limit(step[other], CAREFUL + size[other] / 2)
    return step, (step * gradient).sum(axis=1), curved


def _limit(step: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """Steps no longer than allowed."""
    with np.errstate(over="ignore"):  # where the criterion is flat; what is too long to be squared is no step
        size = np.sqrt((step**2).sum(axis=1))
    return step * np.minimum(1.0, longest / np.maximum(size, 1e-100))[:, None]


def _to_the_bottom(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Steps to the bottom of the parabolas, (m, t); NaN where there is none."""
    if len(hessian) <= stacks.FEW:
        try:
            cholesky(hessian)  # fails unless all are positive definite
            return np.asarray(-np.linalg.solve(hessian, gradient[..., None])[..., 0])
        except np.linalg.LinAlgError:
            pass
    factor = stacks.cholesky(np.ascontiguousarray(hessian.transpose(1, 2, 0)))
    return np.asarray(-_back_substitute(factor, stacks.solve_lower(factor, gradient.T[:, None]))[:, 0].T)


def _back_substitute(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L'x = b for a stack with indices first."""
    flipped = factor.swapaxes(0, 1)[::-1, ::-1]
    return stacks.solve_lower(flipped, right[::-1])[::-1]


def _downhill(gradient: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps with the Hessian's eigenvalues in absolute value, and whether one is truly negative."""
    step, curved = np.zeros_like(gradient), np.zeros(len(gradient), dtype=bool)
    good = np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    values, vectors = np.linalg.eigh(hessian[good])
    size = np.abs(values)
    largest = size.max(axis=1, keepdims=True)
    slope = (vectors.swapaxes(1, 2) @ gradient[good][..., None])[..., 0]
    along = -slope / np.maximum(size, 1e-8 * largest + 1e-300)
    down = values < -1e-6 * largest
    along = np.where(down & (np.abs(along) < ESCAPE), np.where(slope > 0, -ESCAPE, ESCAPE), along)
    step[good], curved[good] = (vectors @ along[..., None])[..., 0], down.any(axis=1)
    return step, curved
