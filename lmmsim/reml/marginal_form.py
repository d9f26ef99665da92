"""One design in standard form, for the likelihood by V itself: units do not matter, and there may be no random term.

The columns of X are orthonormal, those of a random term orthogonal with unit mean square, and a response is its
least-squares residual in units of its own size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.theta import Coordinates, lower_factor, triangle

EXACT = 1e-11  # residuals smaller than this share of the response are rounding, not noise


@dataclass(frozen=True, eq=False)
class Bar:
    """A random term: b = back @ b_standard returns to the user's columns `raw`."""

    columns: np.ndarray  # (n, k)
    raw: np.ndarray  # (n, k)
    codes: np.ndarray  # (n,)
    levels: int
    back: np.ndarray  # (k, k)

    @property
    def k(self) -> int:
        """How many columns."""
        return int(self.columns.shape[1])

    @property
    def directions(self) -> np.ndarray:
        """The matrices E_a with a one, or two, for every entry of the lower triangle of Psi, (t, k, k)."""
        rows, columns = triangle(self.k)
        out = np.zeros((len(rows), self.k, self.k))
        each = np.arange(len(rows))
        out[each, rows, columns] = out[each, columns, rows] = 1.0
        return out


@dataclass(frozen=True, eq=False)
class Standard:
    """Responses whose least-squares residual has a mean square of 1."""

    y: np.ndarray  # (n_seen, r)
    base: np.ndarray  # (r, p)
    scale: np.ndarray  # (r,), NaN where there is no fit
    message: np.ndarray


class Form:
    """X and the random terms of one design, standardised once."""

    def __init__(self, X: np.ndarray, terms: Sequence[RandomTerm]) -> None:
        X = np.asarray(X, dtype=float)
        self.n, self.p = X.shape
        sizes = np.sqrt((X**2).sum(axis=0))
        self.X, R = np.linalg.qr(X / sizes)
        self.R, self.units, self.unit_R = R * sizes, sizes, R
        self.log_det_R = 2 * float(np.log(np.abs(np.diagonal(self.R))).sum())
        self.bars = [_standard(term) for term in terms]
        self.coordinates = Coordinates([bar.k for bar in self.bars]) if self.bars else None
        self.t = self.coordinates.size if self.coordinates else 0

    def theta(self, theta: np.ndarray, inward: bool = False) -> np.ndarray:
        """Theta (r, t) of the user's columns from that of the standard ones, or back."""
        if not self.coordinates:
            return theta
        out = []
        for bar, factor in zip(self.bars, self.coordinates.factors(theta), strict=True):
            whole = lower_factor((np.linalg.inv(bar.back) if inward else bar.back) @ factor)
            out.append(whole[:, *triangle(bar.k)])
        return np.concatenate(out, axis=1)

    def beta(self, beta: np.ndarray) -> np.ndarray:
        """Coefficients (r, p) of the user's X from those of the orthonormal one."""
        return np.linalg.solve(self.unit_R, beta.T).T / self.units

    def vcov(self, vcov: np.ndarray) -> np.ndarray:
        """Covariances (..., p, p) of the user's coefficients."""
        back = np.linalg.inv(self.unit_R) / self.units[:, None]
        return back @ vcov @ back.T

    def contrasts(self, L: np.ndarray | None) -> np.ndarray:
        """Contrasts of the orthonormal coefficients from those of the user's; all of these by default."""
        L = np.eye(self.p) if L is None else np.atleast_2d(np.asarray(L, dtype=float))
        if L.ndim != 2 or L.shape[1] != self.p:
            raise ValueError(f"L has shape {L.shape}, but the model has {self.p} coefficients: give that many columns")
        return np.linalg.solve(self.unit_R.T, (L / self.units).T).T

    def standardised(self, Y: np.ndarray, seen: np.ndarray) -> Standard:
        """Least-squares residuals of responses (n_seen, r), in units of their size."""
        X, r, n = self.X[seen], Y.shape[1], len(seen)
        message, gram = np.full(r, "", dtype=object), X.T @ X
        stand_in = np.random.default_rng(0).normal(size=(n, 1))
        poor = np.linalg.eigvalsh(gram)[0] < 1e-10
        if n <= self.p or poor:
            few = "no more rows observed in this replicate than coefficients"
            message[:] = few if n <= self.p else "the rows observed in this replicate do not identify every coefficient"
            return Standard(np.tile(stand_in, (1, r)), np.zeros((r, self.p)), np.full(r, np.nan), message)
        base, y = np.zeros((r, self.p)), Y
        for _ in range(2):  # the second pass removes the rounding of the first
            step = np.linalg.solve(gram, X.T @ y).T
            base, y = base + step, y - X @ step.T
        square = np.einsum("im,im->m", y, y) / n
        exact = square <= EXACT**2 * ((base**2).sum(axis=1) / n + square)
        message[exact] = "an exact linear function of the fixed effects: nothing is left to vary"
        scale = np.where(exact, np.nan, np.sqrt(square))
        return Standard(np.where(exact, stand_in, y / np.where(exact, 1.0, scale)), base, scale, message)


def _standard(term: RandomTerm) -> Bar:
    """Orthogonal columns with unit mean square, where the columns allow it."""
    raw = np.asarray(term.columns, dtype=float)
    upper = np.linalg.qr(raw, mode="r") / np.sqrt(len(raw))
    sizes = np.sqrt((raw**2).mean(axis=0))
    if (np.abs(np.diagonal(upper)) < 1e-10 * sizes).any():
        upper = np.diag(sizes)  # collinear columns: rescale only
    upper = upper * np.where(np.diagonal(upper) < 0, -1.0, 1.0)[:, None]
    columns = np.linalg.solve(upper.T, raw.T).T
    return Bar(columns, raw, np.asarray(term.codes, dtype=np.intp), len(term.levels), np.linalg.inv(upper))
