"""Whitening of residuals at given numbers, the search for these numbers, and what is known of all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lmmsim.covariance import cholesky
from lmmsim.reml.residual_numbers import Numbers
from lmmsim.reml.theta import triangle

if TYPE_CHECKING:
    from lmmsim.reml.engine import Engine
    from lmmsim.reml.marginal_solution import MarginalSolution

STEP = 1e-4  # of phi, for central differences
WORSE = 20.0  # starts whose criterion is so much above the best one's are left


class Whitening:
    """R^(-1/2) of the residuals, unit by unit; units that look alike share it."""

    def __init__(self, numbers: Numbers, n: int, seen: np.ndarray) -> None:
        codes = np.arange(n) if numbers.codes is None else numbers.codes
        order = np.lexsort((*numbers.looks[seen].T, codes[seen]))
        rows = seen[order]
        start = np.flatnonzero(np.append(True, np.diff(codes[rows]) != 0))
        sizes = np.diff(np.append(start, len(rows)))
        place = np.empty(n, dtype=np.intp)
        place[seen] = np.arange(len(seen))  # of a row among those that were seen
        self.groups = []
        for m in np.unique(sizes):
            at = start[sizes == m][:, None] + np.arange(m)
            looks = numbers.looks[rows[at]]
            _, example, which = np.unique(looks.reshape(len(at), -1), axis=0, return_index=True, return_inverse=True)
            piece = numbers.piece(looks[example], np.ones((len(example), m, m), dtype=bool))
            self.groups.append((place[rows[at]], which.ravel(), piece))

    def at(self, phi: np.ndarray) -> tuple[list[np.ndarray], float]:
        """The factors L^-1 of every group of units, (units, m, m), and log|R|."""
        factors, log_det = [], 0.0
        for _, which, piece in self.groups:
            L = cholesky(piece(phi[None]).R[0])
            log_det += 2 * float(np.log(np.diagonal(L, axis1=1, axis2=2)).sum(axis=1)[which].sum())
            factors.append(np.linalg.inv(L)[which])
        return factors, log_det

    def white(self, factors: list[np.ndarray], M: np.ndarray) -> np.ndarray:
        """L^-1 M for M (n_seen, c)."""
        out = np.empty_like(M)
        for (rows, _, _), inverse in zip(self.groups, factors, strict=True):
            out[rows] = inverse @ M[rows]
        return out


class Design(Protocol):
    """What is whitened."""

    X: np.ndarray
    n: int
    numbers: Numbers

    def engine(self, phi: np.ndarray, seen: np.ndarray | None) -> tuple[Engine, list[np.ndarray], Whitening, float]:
        """The engine of the rows that were seen, whitened at phi, with the factors and log|R|."""


class Outer:
    """The criterion of one response as a function of phi alone."""

    def __init__(
        self, design: Design, y: np.ndarray, seen: np.ndarray | None, reml: bool, theta: np.ndarray | None
    ) -> None:
        self.design, self.y, self.seen, self.reml, self.theta = design, y, seen, reml, theta

    def optimum(self) -> np.ndarray:
        """Phi (s,) at the lowest of the minima that several starts lead to."""
        from scipy.optimize import minimize

        starts = self.design.numbers.start(self._rest())[:, 0]
        values = np.array([self(start)[0] for start in starts])
        near = values <= values.min() + WORSE
        if len(starts[0]) > 1:
            near[list(self.design.numbers.always)] = True
        found = [
            minimize(self, starts[k], jac=True, method="BFGS", options={"gtol": 1e-5}) for k in np.flatnonzero(near)
        ]
        return np.asarray(min(found, key=lambda one: float(one.fun)).x)

    def __call__(self, phi: np.ndarray) -> tuple[float, np.ndarray]:
        """The criterion and its derivative in phi, where theta is the best one."""
        try:
            engine, factors, whitening, log_det = self.design.engine(phi, self.seen)
        except (np.linalg.LinAlgError, ValueError):
            return np.inf, np.zeros_like(phi)
        best = engine.fit(whitening.white(factors, self.y), reml=self.reml, start=self.theta)
        if np.isnan(best.criterion[0]):
            return np.inf, np.zeros_like(phi)
        self.theta = best.theta[0]
        slope = np.empty(len(phi))
        for a, step in enumerate(STEP * np.eye(len(phi))):
            above, below = (self._at(phi + side * step, best.theta[0]) for side in (1, -1))
            slope[a] = (above - below) / (2 * STEP)
        return float(best.criterion[0] + log_det), slope

    def _at(self, phi: np.ndarray, theta: np.ndarray) -> float:
        """The criterion at any phi and theta."""
        engine, factors, whitening, log_det = self.design.engine(phi, self.seen)
        return float(engine.criterion(theta, whitening.white(factors, self.y), self.reml)[0]) + log_det

    def _rest(self) -> np.ndarray:
        """Least-squares residuals, NaN where nothing was observed."""
        rows = np.arange(self.design.n) if self.seen is None else self.seen
        X = self.design.X[rows]
        out = np.full((self.design.n, 1), np.nan)
        out[rows] = self.y - X @ np.linalg.lstsq(X, self.y, rcond=None)[0]
        return out


class Joint:
    """Second derivatives in (theta, phi, log sigma^2) at the fit of one response: exact in theta alone."""

    def __init__(
        self,
        design: Design,
        solution: MarginalSolution,
        place: np.ndarray,
        y: np.ndarray | None = None,
        seen: np.ndarray | None = None,
    ) -> None:
        j = int(place[0])
        self.design, self.seen, self.reml = design, seen, solution.reml
        if y is None and solution.observed is not None and not solution.observed[:, j].all():
            self.seen = np.flatnonzero(solution.observed[:, j])
        rows = design.n if self.seen is None else len(self.seen)
        self.y = np.random.default_rng(0).normal(size=(rows, 1)) if y is None else y
        self.theta, self.phi, self.s2 = solution.theta[j], solution.phi[j], float(solution.sigma[j]) ** 2
        self.here = self._at(self.phi, None)

    def _at(self, phi: np.ndarray, base: Engine | None) -> dict[str, Any]:
        """Parts of the criterion at sigma, theta and some phi; derivatives in the theta of the fit's own columns."""
        engine, factors, whitening, log_det = self.design.engine(phi, self.seen)
        structure, responses, moments = engine.prepare(whitening.white(factors, self.y))
        standard = engine.problem.theta_in(self.theta[None])
        point = structure.at(standard, moments, self.reml)
        dof, s2 = point.dof[0], point.sigma2[0] * responses.scale[0] ** 2
        dets = point.value[0] + 2 * dof * np.log(responses.scale[0]) - dof * (1 + np.log(2 * np.pi * s2)) + log_det
        dets += engine.problem.log_det_R if self.reml else 0.0
        slopes = point.traces[0] - point.squares[0] * s2 / self.s2
        own = base or engine
        turn = [np.linalg.inv(b) @ a for a, b in zip(_backs(own), _backs(engine), strict=True)]
        return {
            "joint": np.array(dets + dof * s2 / self.s2),
            "yPy": np.array(dof * s2 / self.s2),
            "psi": _turned(slopes, turn),
            "vcov": engine.problem.vcov_out(point.vcov)[0],
            "engine": engine,
            "point": point,
            "standard": standard,
        }

    @property
    def _sides(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        base = self.here["engine"]
        steps = STEP * np.eye(len(self.phi))
        return [(self._at(self.phi + step, base), self._at(self.phi - step, base)) for step in steps]

    @property
    def information(self) -> np.ndarray:
        """Hessian of the criterion, (t + s + 1, t + s + 1)."""
        engine, point, standard = self.here["engine"], self.here["point"], self.here["standard"]
        jacobian, squares = engine.coordinates.jacobian(standard)[0], point.squares
        joint = point.hessian + squares[:, :, None] * squares[:, None, :] / point.dof[:, None, None]
        t, s = len(jacobian), len(self.phi)
        out = np.zeros((t + s + 1,) * 2)
        out[:t, :t] = engine.coordinates.in_theta(standard, point.gradient, joint)[1][0]
        out[:t, -1] = out[-1, :t] = squares[0] @ jacobian
        out[-1, -1] = point.dof[0]
        for a, (above, below) in enumerate(self._sides):
            out[:t, t + a] = out[t + a, :t] = jacobian.T @ (above["psi"] - below["psi"]) / (2 * STEP)
            out[-1, t + a] = out[t + a, -1] = -(above["yPy"] - below["yPy"]) / (2 * STEP)
        out[t : t + s, t : t + s] = self._curvature()
        return out

    def _curvature(self) -> np.ndarray:
        """Second derivatives in phi with theta and sigma held, by wider differences."""
        s, h = len(self.phi), 10 * STEP
        E, middle = h * np.eye(s), float(self.here["joint"])

        def f(step: np.ndarray) -> float:
            return float(self._at(self.phi + step, None)["joint"])

        out = np.empty((s, s))
        for a in range(s):
            out[a, a] = (f(E[a]) - 2 * middle + f(-E[a])) / h**2
            for b in range(a):
                mixed = f(E[a] + E[b]) - f(E[a] - E[b]) - f(E[b] - E[a]) + f(-E[a] - E[b])
                out[a, b] = out[b, a] = mixed / (4 * h**2)
        return out

    def variance_gradient(self, L: np.ndarray | None) -> np.ndarray:
        """Derivatives of the contrasts' variances over sigma^2 in (theta, phi, log sigma^2), (q, t + s + 1)."""
        engine, point, standard = self.here["engine"], self.here["point"], self.here["standard"]
        vcov = self.here["vcov"]
        L = np.eye(len(vcov)) if L is None else np.atleast_2d(L)

        def of(D: np.ndarray) -> np.ndarray:
            """The contrasts' part of derivatives (a, p, p), (q, a)."""
            return np.einsum("qi,aij,qj->qa", L, D, L)

        in_psi = of(engine.problem.vcov_out(point.vcov_slopes)[0])
        in_phi = of(np.array([(above["vcov"] - below["vcov"]) / (2 * STEP) for above, below in self._sides]))
        return np.hstack([in_psi @ engine.coordinates.jacobian(standard)[0], in_phi, of(vcov[None])])


def _backs(engine: Engine) -> list[np.ndarray]:
    """From standard to the user's columns, for every random term."""
    return [bar.back for bar in engine.problem.terms]


def _turned(slopes: np.ndarray, turns: list[np.ndarray]) -> np.ndarray:
    """Derivatives in psi of other columns, Psi = A Psi' A'."""
    out, start = [], 0
    for A in turns:
        rows, columns = triangle(len(A))
        whole = np.zeros_like(A)
        half = np.where(rows == columns, 1.0, 0.5)
        whole[rows, columns] = whole[columns, rows] = slopes[start : start + len(rows)] * half
        out.append((A.T @ whole @ A)[rows, columns] / half)
        start += len(rows)
    return np.concatenate(out)
