"""The problem in standard form: one design, checked and rescaled so that units do not matter.

Inside the engine the columns of X are orthonormal, the columns of a random term have unit mean square (and are
orthogonal where their covariance is free), and a response is its least-squares residual in units of its own size. Gram
matrices of such columns keep all their digits, whether time starts at 0 or at 1000 and y is in grams or kilograms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.model.standard import standardised, thin_qr
from lmmsim.reml.refused import check, name_of
from lmmsim.reml.theta import coordinates_of, lower_factor, pack

EXACT = 1e-11  # residuals smaller than this share of the response are rounding, not noise
# responses for which stacked products are fastest, and coefficients up to which one product with a Kronecker square is
# faster than two
FEW = 8
DIGITS = 1e5  # how much rounding is bearable: rows times the explained sum of squares over the residual one
BY_RESPONSE = ("within", "base", "scale", "message")
SQUARED = 1e150  # numbers up to this, and down to its inverse, can be squared and added up


@dataclass(frozen=True, eq=False)
class Term:
    """One random term in standard form: b = back @ b_standard returns to the user's columns."""

    name: str
    columns: np.ndarray  # (n, k)
    codes: np.ndarray  # (n,)
    levels: int
    back: np.ndarray  # (k, k)


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses in standard form: y, the least-squares residual with a mean square of 1, is (rest - X within') / scale.

    Sums such as Z'y follow from those of `rest`, which can be the response as it came: no pass over its rows is needed
    to subtract anything. Where that would cost digits, `exact` says that every sum is to be taken of y, row by row.
    """

    X: np.ndarray  # (n, p), orthonormal
    rest: np.ndarray  # (n, m), zeros where nothing was observed; dropped when its moments are known
    within: np.ndarray  # (m, p), coefficients of X that are still in `rest`
    base: np.ndarray  # (m, p), coefficients of X in the response
    scale: np.ndarray  # (m,), NaN where there is no fit
    observed: np.ndarray | None  # (n, m) bool, None when complete
    message: np.ndarray  # (m,) why a response cannot be fitted, '' if it can
    exact: bool = False

    @property
    def y(self) -> np.ndarray:
        """The standardised responses, (n, m)."""
        return (self._rows - self.X @ self.within.T) * self._factor

    def sums(self, Z: Any, across: np.ndarray) -> np.ndarray:
        """Z y, (q, m), for a matrix Z (q, n) whose product Z X is `across`."""
        if self.exact:
            return np.asarray(Z @ self.y)
        return np.asarray((Z @ self._rows - across @ self.within.T) * self._factor)

    def without_rows(self) -> Responses:
        """The same without `rest`, when all its moments are known."""
        return Responses(
            self.X, np.empty((0, 0)), self.within, self.base, self.scale, self.observed, self.message, self.exact
        )

    def take(self, which: np.ndarray) -> Responses:
        """Some of the responses; `rest` may have been dropped."""
        rest = self.rest[:, which] if self.rest.size else self.rest
        some = {name: getattr(self, name)[which] for name in BY_RESPONSE}
        observed = None if self.observed is None else self.observed[:, which]
        return replace(self, rest=rest, observed=observed, **some)

    @staticmethod
    def join(parts: list[Responses]) -> Responses:
        """Several pieces of complete responses whose `rest` was dropped."""
        together: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in BY_RESPONSE
        }
        return replace(parts[0], **together)

    @property
    def magnitude(self) -> np.ndarray:
        """Sum of squares of what is added up to find the sums of y, (m,)."""
        return len(self.X) + (self.within * self._factor[:, None]) ** 2 @ np.ones(self.X.shape[1])

    @cached_property
    def _rows(self) -> np.ndarray:
        """`rest` row by row in memory: sparse products would copy it slowly."""
        return np.ascontiguousarray(self.rest)

    @cached_property
    def _factor(self) -> np.ndarray:
        """1 / scale; 1 for the stand-ins of responses without a fit."""
        return 1 / np.where(np.isnan(self.scale), 1.0, self.scale)


class Problem:
    """X and the random terms of one design, standardised once."""

    def __init__(self, X: np.ndarray, terms: Sequence[RandomTerm]) -> None:
        X = np.asarray(X, dtype=float)
        terms = tuple(terms)
        check(X, terms)
        self.n, self.p = X.shape
        self.terms = [_standard_term(term) for term in terms]
        self.X, self.R = _orthonormal(X, max(self.terms, key=lambda term: term.levels))
        self.log_det_R = 2 * float(np.linalg.slogdet(self.R)[1])
        self.units = np.linalg.norm(self.R, axis=0)  # columns of 1 and of 1e20 lose digits to each other in one system
        self.unit_R = self.R / self.units
        self.coordinates = coordinates_of(tuple(term.columns.shape[1] for term in self.terms))

    def theta_out(self, theta: np.ndarray) -> np.ndarray:
        """Theta of the user's columns from theta of the standard ones."""
        pairs = zip(self.coordinates.factors(theta), self.terms, strict=True)
        return pack([_times(term.back, factor) for factor, term in pairs])

    def theta_in(self, theta: np.ndarray) -> np.ndarray:
        """Theta of the standard columns from theta of the user's."""
        pairs = zip(self.coordinates.factors(theta), self.terms, strict=True)
        return pack([_times(np.linalg.inv(term.back), factor) for factor, term in pairs])

    def beta_out(self, beta: np.ndarray) -> np.ndarray:
        """Coefficients (m, p) of the user's X from those of the orthonormal one."""
        return np.linalg.solve(self.unit_R, beta.T).T / self.units

    def vcov_out(self, vcov: np.ndarray) -> np.ndarray:
        """Covariances (..., p, p) of the user's coefficients."""
        back = np.linalg.inv(self.unit_R) / self.units[:, None]
        if vcov.size <= FEW * self.p**2:
            return np.asarray(back @ vcov @ back.T)
        if self.p <= FEW:
            return (vcov.reshape(-1, self.p**2) @ np.kron(back, back).T).reshape(vcov.shape)
        half = (vcov.reshape(-1, self.p) @ back.T).reshape(vcov.shape).swapaxes(-1, -2)
        return (half.reshape(-1, self.p) @ back.T).reshape(vcov.shape)

    def contrasts(self, L: np.ndarray | None) -> np.ndarray:
        """Contrasts (q, p) of the orthonormal coefficients from those of the user's; None: every coefficient."""
        L = np.eye(self.p) if L is None else np.atleast_2d(np.asarray(L, dtype=float))
        if L.ndim != 2 or L.shape[1] != self.p:
            raise ValueError(f"L has shape {L.shape}, but the model has {self.p} coefficients, one a column")
        return np.linalg.solve(self.unit_R.T, (L / self.units).T).T

    def responses(self, Y: np.ndarray) -> Responses:
        """Standardise responses (n, m); NaN means not observed."""
        with np.errstate(invalid="ignore", over="ignore"):
            base = Y.T @ self.X
        if np.isfinite(base).all():  # a value that is not finite would have spread to base
            return self._complete(Y, base)
        if np.isinf(Y).any():
            raise ValueError(f"{int(np.isinf(Y).sum())} values of the response are infinite; remove them or set NaN")
        missing = np.isnan(Y)
        return self._incomplete(np.where(missing, 0.0, Y), ~missing)

    def around(self, Y: np.ndarray, beta: np.ndarray, responses: Responses) -> Responses:
        """The same responses about other coefficients (m, p) of the orthonormal X, with sums that keep their digits."""
        rest = Y - self.X @ beta.T
        if responses.observed is not None:
            rest = np.where(responses.observed & ~np.isnan(Y), rest, 0.0)
        failed = np.isnan(responses.scale)
        rest[:, failed] = self._stand_in[:, None]
        within = np.zeros_like(beta)
        scale, message = responses.scale, responses.message
        return Responses(self.X, rest, within, beta, scale, responses.observed, message, exact=True)

    def no_response(self, m: int, observed: np.ndarray | None) -> Responses:
        """Zeros in place of m responses, for questions about the design only."""
        nothing = np.zeros((m, self.p))
        empty = np.full(m, "", dtype=object)
        return Responses(self.X, np.zeros((self.n, m)), nothing, nothing, np.ones(m), observed, empty)

    def _complete(self, Y: np.ndarray, base: np.ndarray) -> Responses:
        """Least squares of responses without gaps, given X'Y.

        Responses stay as they came where the digits allow it. The sum of squares that X explains is rounded, and its
        error, as a share of the residual's sum of squares, enters the criterion n times.
        """
        message = np.full(Y.shape[1], "", dtype=object)
        tame, total = self._tame(Y, message)
        if tame is not Y:
            Y, base, total = tame, tame.T @ self.X, _squares(tame)
        explained = (base**2).sum(axis=1)
        rest, within, square = Y, base, total - explained
        if np.any(self.n * explained > DIGITS * square):
            rest = np.ascontiguousarray(Y) - self.X @ base.T
            more = rest.T @ self.X
            base, rest = base + more, rest - self.X @ more.T
            within, square = np.zeros_like(base), _squares(rest)
        return self._scaled(rest, within, base, square, None, message)

    def _incomplete(self, Y: np.ndarray, observed: np.ndarray) -> Responses:
        """Least squares of every column on the rows that it has."""
        message = np.full(Y.shape[1], "", dtype=object)
        Y, _ = self._tame(Y, message)
        for term in self.terms:
            levels = _levels_seen(term, observed)
            effects = levels * term.columns.shape[1]
            message[effects >= observed.sum(axis=0)] = "as many random effects as rows observed in this replicate"
            message[levels < 2] = "fewer than two levels of a group observed in this replicate"
        gram = np.einsum("ip,iq,im->mpq", self.X, self.X, observed.astype(float), optimize=True)
        poor = np.linalg.eigvalsh(gram)[:, 0] < 1e-10
        message[poor] = "the rows observed in this replicate do not identify every coefficient"
        message[observed.sum(axis=0) <= self.p] = "no more rows observed in this replicate than coefficients"
        gram[poor] = np.eye(self.p)
        # one pass: what rounding leaves of X in the rest, the sums of `moments` see and the coefficients take back
        base = np.linalg.solve(gram, (self.X.T @ Y).T[..., None])[..., 0]
        rest = (Y - self.X @ base.T) * observed
        return self._scaled(rest, np.zeros_like(base), base, _squares(rest), observed, message)

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

    def _tame(self, Y: np.ndarray, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Y with a stand-in for columns whose numbers cannot be squared, why in `message`; sums of squares of Y."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = _squares(Y)
        beyond = ~((total < SQUARED**2) & (total > 1 / SQUARED**2))
        if beyond.any():
            beyond &= Y.any(axis=0)
        if not beyond.any():
            return Y, total
        size = np.abs(Y[:, beyond]).max()
        message[beyond] = f"numbers of size {size:.0e} cannot be squared in floating point: change the response's unit"
        return np.where(beyond, self._stand_in[:, None], Y), total

    @cached_property
    def _stand_in(self) -> np.ndarray:
        """Harmless numbers in the place of a response that cannot be fitted; its results are NaN."""
        noise: np.ndarray = np.random.default_rng(0).normal(size=(self.n, 1))
        noise -= self.X @ (self.X.T @ noise)
        return (noise / np.sqrt(_squares(noise) / self.n))[:, 0]


def _squares(Y: np.ndarray) -> np.ndarray:
    """Sum of squares of every column."""
    return np.einsum("im,im->m", Y, Y)


def _levels_seen(term: Term, observed: np.ndarray) -> np.ndarray:
    """How many levels of a term have an observation in each response, (m,)."""
    from scipy import sparse

    rows = np.arange(term.codes.size)
    member = sparse.csr_array((np.ones(rows.size), (term.codes, rows)), shape=(term.levels, rows.size))
    return np.asarray((member @ observed.astype(float) > 0).sum(axis=0))


def _times(matrix: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Lower factor of matrix Lambda Lambda' matrix'; 1 x 1 needs no decomposition."""
    if factor.shape[1] == 1:
        return np.abs(matrix * factor)
    return lower_factor(matrix @ factor)


def _standard_term(term: RandomTerm) -> Term:
    """Orthogonal columns with unit mean square, where the term's columns allow it."""
    standard, _, back = standardised(np.asarray(term.columns, dtype=float))
    codes = np.asarray(term.codes, dtype=np.intp)
    return Term(name_of(term), standard, codes, len(term.levels), back)


def _orthonormal(X: np.ndarray, term: Term) -> tuple[np.ndarray, np.ndarray]:
    """X = Q R with orthonormal Q, the columns ordered from what varies between the term's levels to what varies within.

    A column that is constant within groups has little information where groups differ much, one that varies within
    them has more by orders of magnitude. Columns that mix the two would lose the digits of the former.
    """
    with np.errstate(over="ignore"):
        sizes = np.sqrt([(column**2).sum() for column in X.T])
    zero = np.flatnonzero(sizes == 0)
    if zero.size:
        raise ValueError(f"X is rank deficient: column(s) {zero.tolist()} are zero everywhere; remove them")
    if not ((sizes < SQUARED) & (sizes > 1 / SQUARED)).all():
        raise ValueError(f"columns of X of size {sizes.max():.0e} to {sizes.min():.0e} cannot be squared: change units")
    Q, R = thin_qr(X / sizes)
    dependent = np.flatnonzero(np.abs(np.diagonal(R)) < 1e-10)
    if dependent.size:
        raise ValueError(
            f"X is rank deficient: it has {X.shape[1]} columns but rank {X.shape[1] - dependent.size}; column(s) "
            f"{dependent.tolist()} are linear combinations of the columns before them; remove them"
        )
    counts = np.bincount(term.codes, minlength=term.levels)
    totals = np.array([np.bincount(term.codes, column, term.levels) for column in Q.T])
    _, turn = np.linalg.eigh(totals / -np.maximum(counts, 1) @ totals.T)
    return Q @ turn, (turn.T @ R) * sizes
