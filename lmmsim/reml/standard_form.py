"""The problem in standard form: one design, checked and rescaled so that units do not matter.

Inside the engine the columns of X are orthonormal, the columns of a bar have unit mean square (and are orthogonal
where their covariance is free), and a response is its least-squares residual in units of its own size. Gram
matrices of such columns keep all their digits, whether time starts at 0 or at 1000 and y is in grams or kilograms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.theta import Coordinates, lower_factor

EXACT = 1e-11  # residuals smaller than this share of the response are rounding, not noise
FEW = 8  # coefficients for whose covariances one product with a Kronecker square is faster than two
DIGITS = 1e5  # how much rounding is bearable: rows times the explained sum of squares over the residual one


@dataclass(frozen=True, eq=False)
class Bar:
    """One bar in standard form: b = back @ b_standard returns to the user's columns."""

    columns: np.ndarray
    codes: np.ndarray
    levels: int
    back: np.ndarray


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses in standard form: y, the least-squares residual with a mean square of 1, is (rest - X within') / scale.

    Sums such as Z'y follow from those of `rest`, which can be the response as it came: no pass over its rows is needed
    to subtract anything.
    """

    X: np.ndarray  # (n, p), orthonormal
    rest: np.ndarray  # (n, m), zeros where nothing was observed; dropped when its moments are known
    within: np.ndarray  # (m, p), coefficients of X that are still in `rest`
    base: np.ndarray  # (m, p), coefficients of X in the response
    scale: np.ndarray  # (m,), NaN where there is no fit
    observed: np.ndarray | None  # (n, m) bool, None when complete
    message: np.ndarray  # (m,) why a response cannot be fitted, '' if it can

    @property
    def y(self) -> np.ndarray:
        """The standardised responses, (n, m)."""
        return (self._rows - self.X @ self.within.T) * self._factor

    def sums(self, Z: Any, across: np.ndarray) -> np.ndarray:
        """Z y, (q, m), for a matrix Z (q, n) whose product Z X is `across`."""
        return np.asarray((Z @ self._rows - across @ self.within.T) * self._factor)

    @cached_property
    def _rows(self) -> np.ndarray:
        """`rest` row by row in memory: sparse products would copy it slowly."""
        return np.ascontiguousarray(self.rest)

    @cached_property
    def _factor(self) -> np.ndarray:
        """1 / scale; 1 for the stand-ins of responses without a fit."""
        return 1 / np.where(np.isnan(self.scale), 1.0, self.scale)


class Problem:
    """X and the bars of one design, standardised once."""

    def __init__(self, X: np.ndarray, terms: Sequence[RandomTerm]) -> None:
        X = np.asarray(X, dtype=float)
        terms = tuple(terms)
        _check(X, terms)
        self.n, self.p = X.shape
        self.X, self.R = _orthonormal(X)
        self.log_det_R = 2 * float(np.log(np.abs(np.diagonal(self.R))).sum())
        self.bars = [_standard_bar(term) for term in terms]
        self.coordinates = Coordinates([bar.columns.shape[1] for bar in self.bars])

    def theta_out(self, theta: np.ndarray) -> np.ndarray:
        """Theta of the user's columns from theta of the standard ones."""
        factors = self.coordinates.factors(theta)
        pairs = zip(factors, self.bars, strict=True)
        return self.coordinates.pack([_times(bar.back, factor) for factor, bar in pairs])

    def theta_in(self, theta: np.ndarray) -> np.ndarray:
        """Theta of the standard columns from theta of the user's."""
        factors = self.coordinates.factors(theta)
        pairs = zip(factors, self.bars, strict=True)
        return self.coordinates.pack([_times(np.linalg.inv(bar.back), factor) for factor, bar in pairs])

    def beta_out(self, beta: np.ndarray) -> np.ndarray:
        """Coefficients (m, p) of the user's X from those of the orthonormal one."""
        return np.linalg.solve(self.R, beta.T).T

    def vcov_out(self, vcov: np.ndarray) -> np.ndarray:
        """Covariances (..., p, p) of the user's coefficients."""
        back = np.linalg.inv(self.R)
        if self.p <= FEW:
            return (vcov.reshape(-1, self.p**2) @ np.kron(back, back).T).reshape(vcov.shape)
        half = (vcov.reshape(-1, self.p) @ back.T).reshape(vcov.shape).swapaxes(-1, -2)
        return (half.reshape(-1, self.p) @ back.T).reshape(vcov.shape)

    def responses(self, Y: np.ndarray) -> Responses:
        """Standardise responses (n, m); NaN means not observed."""
        with np.errstate(invalid="ignore"):
            base = Y.T @ self.X
        if np.isfinite(base).all():  # a value that is not finite would have spread to base
            return self._complete(Y, base)
        if np.isinf(Y).any():
            raise ValueError(f"{int(np.isinf(Y).sum())} values of the response are infinite; remove them or set NaN.")
        missing = np.isnan(Y)
        return self._incomplete(np.where(missing, 0.0, Y), ~missing)

    def _complete(self, Y: np.ndarray, base: np.ndarray) -> Responses:
        """Least squares of responses without gaps, given X'Y.

        Responses stay as they came where the digits allow it. The sum of squares that X explains is rounded, and its
        error, as a share of the residual's sum of squares, enters the criterion n times.
        """
        rest, within = Y, base
        explained = (base**2).sum(axis=1)
        square = _squares(Y) - explained
        if np.any(self.n * explained > DIGITS * square):
            rest = np.ascontiguousarray(Y) - self.X @ base.T
            more = rest.T @ self.X
            base, rest = base + more, rest - self.X @ more.T
            within, square = np.zeros_like(base), _squares(rest)
        return self._scaled(rest, within, base, square, None, np.full(Y.shape[1], "", dtype=object))

    def no_response(self, m: int, observed: np.ndarray | None) -> Responses:
        """Zeros in place of m responses, for questions about the design only."""
        nothing = np.zeros((m, self.p))
        empty = np.full(m, "", dtype=object)
        return Responses(self.X, np.zeros((self.n, m)), nothing, nothing, np.ones(m), observed, empty)

    def _incomplete(self, Y: np.ndarray, observed: np.ndarray) -> Responses:
        """Least squares of every column on the rows that it has."""
        message = np.full(Y.shape[1], "", dtype=object)
        for bar in self.bars:
            levels = _levels_seen(bar, observed)
            effects = levels * bar.columns.shape[1]
            message[effects >= observed.sum(axis=0)] = "as many random effects as rows observed in this replicate"
            message[levels < 2] = "fewer than two levels of a group observed in this replicate"
        gram = np.einsum("ip,iq,im->mpq", self.X, self.X, observed.astype(float), optimize=True)
        poor = np.linalg.eigvalsh(gram)[:, 0] < 1e-10
        message[poor] = "the rows observed in this replicate do not identify every coefficient"
        message[observed.sum(axis=0) <= self.p] = "no more rows observed in this replicate than coefficients"
        gram[poor] = np.eye(self.p)
        base, y = np.zeros((Y.shape[1], self.p)), Y
        for _ in range(2):  # the second pass removes the rounding of the first
            step = np.linalg.solve(gram, (self.X.T @ y).T[..., None])[..., 0]
            base, y = base + step, (y - self.X @ step.T) * observed
        return self._scaled(y, np.zeros_like(base), base, _squares(y), observed, message)

    def _scaled(
        self,
        rest: np.ndarray,
        within: np.ndarray,
        base: np.ndarray,
        total: np.ndarray,
        observed: np.ndarray | None,
        message: np.ndarray,
    ) -> Responses:
        """Divide by the residual's root mean square; responses without a fit get a stand-in and the scale NaN."""
        count = self.n if observed is None else np.maximum(observed.sum(axis=0), 1)
        square = total / count
        exact = square <= EXACT**2 * ((base**2).sum(axis=1) / count + square)
        if exact.any():
            message[exact & (message == "")] = "an exact linear function of the fixed effects: nothing is left to vary"
        scale, failed = np.sqrt(np.maximum(square, 0.0)), np.flatnonzero(message.astype(bool))
        if failed.size:
            rest, within = rest.copy(), within.copy()
            rest[:, failed], within[failed], scale[failed] = self._stand_in[:, None], 0.0, np.nan
            if observed is not None:
                observed[:, failed] = True
        return Responses(self.X, rest, within, base, scale, observed, message)

    @cached_property
    def _stand_in(self) -> np.ndarray:
        """Harmless numbers in the place of a response that cannot be fitted; its results are NaN."""
        noise: np.ndarray = np.random.default_rng(0).normal(size=(self.n, 1))
        noise -= self.X @ (self.X.T @ noise)
        return (noise / np.sqrt(_squares(noise) / self.n))[:, 0]


def _squares(Y: np.ndarray) -> np.ndarray:
    """Sum of squares of every column."""
    return np.einsum("im,im->m", Y, Y)


def _levels_seen(bar: Bar, observed: np.ndarray) -> np.ndarray:
    """How many levels of a bar have an observation in each response, (m,)."""
    from scipy import sparse

    rows = np.arange(bar.codes.size)
    member = sparse.csr_array((np.ones(rows.size), (bar.codes, rows)), shape=(bar.levels, rows.size))
    return np.asarray((member @ observed.astype(float) > 0).sum(axis=0))


def _times(matrix: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Lower factor of matrix Lambda Lambda' matrix'; a 1 x 1 bar needs no decomposition."""
    if factor.shape[1] == 1:
        return np.abs(matrix * factor)
    return lower_factor(matrix @ factor)


def _standard_bar(term: RandomTerm) -> Bar:
    """Orthogonal columns with unit mean square, where the bar's columns allow it."""
    columns = np.asarray(term.columns, dtype=float)
    n = columns.shape[0]
    upper = np.linalg.qr(columns, mode="r") / np.sqrt(n)
    sizes = np.sqrt((columns**2).mean(axis=0))
    if np.any(np.abs(np.diagonal(upper)) < 1e-10 * sizes):
        upper = np.diag(sizes)  # collinear columns: rescale only
    upper = upper * np.where(np.diagonal(upper) < 0, -1.0, 1.0)[:, None]
    back = np.linalg.inv(upper)
    standard = np.linalg.solve(upper.T, columns.T).T
    return Bar(standard, np.asarray(term.codes, dtype=np.intp), len(term.levels), back)


def _orthonormal(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X = Q R after scaling; an error that names the columns where X has not full rank."""
    sizes = np.sqrt((X**2).sum(axis=0))
    zero = np.flatnonzero(sizes == 0)
    if zero.size:
        raise ValueError(f"X is rank deficient: column(s) {zero.tolist()} are zero everywhere; remove them.")
    Q, R = np.linalg.qr(X / sizes)
    alone = np.abs(np.diagonal(R))
    dependent = np.flatnonzero(alone < 1e-10)
    if dependent.size:
        raise ValueError(
            f"X is rank deficient: it has {X.shape[1]} columns but rank {X.shape[1] - dependent.size}; column(s) "
            f"{dependent.tolist()} are linear combinations of the columns before them. Remove them."
        )
    signs = np.where(np.diagonal(R) < 0, -1.0, 1.0)
    return Q * signs, (R * signs[:, None]) * sizes


def _check(X: np.ndarray, terms: tuple[RandomTerm, ...]) -> None:
    """Refuse designs without an answer, by name."""
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"X must be a table of rows by at least one column, not an array of shape {X.shape}.")
    if not terms:
        raise ValueError("A mixed model needs at least one random term such as (1 | group); use OLS without one.")
    if not np.isfinite(X).all():
        raise ValueError(f"X has {int((~np.isfinite(X)).sum())} missing or infinite values.")
    n, p = X.shape
    if n <= p:
        raise ValueError(f"{n} rows cannot estimate {p} coefficients and a residual variance.")
    for term in terms:
        name = f"({' + '.join(term.names)} | {term.group})"
        if term.columns.shape[0] != n or term.codes.shape != (n,):
            raise ValueError(f"The random term {name} has {term.columns.shape[0]} rows, X has {n}.")
        if not np.isfinite(term.columns).all():
            raise ValueError(f"The columns of the random term {name} have missing or infinite values.")
        if not (term.columns**2).sum(axis=0).all():
            raise ValueError(f"A column of the random term {name} is zero everywhere.")
        levels = np.unique(term.codes).size
        if levels < 2:
            raise ValueError(
                f"The group '{term.group}' of the random term {name} has one level: a variance between "
                "groups needs at least two. Remove the term."
            )
        effects = levels * term.columns.shape[1]
        if effects >= n:
            raise ValueError(
                f"The random term {name} has {effects} random effects ({levels} levels x {term.columns.shape[1]} "
                f"columns) but there are only {n} rows: they cannot be told apart from the residual. "
                "Measure each level more often or drop columns."
            )
