"""Correlation matrices of residuals that one number decides, on a scale without bounds: AR(1), compound symmetry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

EDGE = 1e-6  # a correlation nearer than this to where it must stop counts as being there
OfZ = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]  # C and its two derivatives in z (r, size)


class Correlation(ABC):
    """A correlation matrix with one number, which is estimated (size 1) or known (size 0)."""

    size: int
    begins: tuple[float, ...]
    looks: np.ndarray

    @abstractmethod
    def piece(self, looks: np.ndarray, same: np.ndarray) -> OfZ:
        """C and its first and second derivative in z, (r, G, m, m) each, as a function of z (r, size)."""

    @abstractmethod
    def rho(self, z: np.ndarray) -> np.ndarray:
        """The number as a user knows it."""

    @abstractmethod
    def z(self, rho: float) -> float:
        """Where the number stands on the scale without bounds."""

    @abstractmethod
    def at_edge(self, z: np.ndarray) -> np.ndarray:
        """Whether it is as far as it can go."""


class Fading(Correlation):
    """AR(1): c^u, where u is the time between two rows in steps of usual length and c the correlation over a step.

    c may be negative, c = tanh z, where all rows of a unit are whole steps apart, and rho with it where a step is an
    odd number of units of time. Otherwise c = 1 / (1 + exp(-z)).
    """

    def __init__(self, times: np.ndarray, codes: np.ndarray, fixed: float | None) -> None:
        self.looks, self.fixed, self.size = times, fixed, 0 if fixed is not None else 1
        order = np.lexsort((times, codes))
        gaps = np.diff(times[order])[np.diff(codes[order]) == 0]
        whole = bool((gaps == np.round(gaps)).all()) and gaps.size > 0 and gaps.max() < 2**31
        common = int(np.gcd.reduce(gaps.astype(int))) if whole else 0
        self.signed = common % 2 == 1
        self.step = float(common) if self.signed else float(np.median(gaps)) if gaps.size else 1.0
        nodes = (0.05, 0.35, 0.65, 0.85, 0.97)
        self.begins = tuple(float(np.arctanh(c) if self.signed else np.log(c / (1 - c))) for c in nodes)

    def c(self, z: np.ndarray) -> np.ndarray:
        """The correlation over one step."""
        if self.fixed is not None:
            return np.full(len(z), np.sign(self.fixed) * np.abs(self.fixed) ** self.step)
        return np.tanh(z[:, 0]) if self.signed else 1 / (1 + np.exp(-z[:, 0]))

    def piece(self, looks: np.ndarray, same: np.ndarray) -> OfZ:
        u = np.abs(looks[..., :, None] - looks[..., None, :]) / self.step
        if self.signed:
            u = np.round(u)
        steps, where = np.unique(np.where(same, u, -1.0), return_inverse=True)  # few distinct powers
        where = where.reshape(u.shape)

        def C(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            power, first, second = (np.take(part, where, axis=1) for part in self._powers(self.c(z)[:, None], steps))
            return power, first, second

        return C

    def _powers(self, c: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """c^u and its derivatives in z, (r, distinct u); 0 for u = -1, two rows of different units."""
        there = u >= 0
        if self.signed:
            one, two = 1 - c**2, -2 * c * (1 - c**2)
            lower = np.where(u > 0, u * c ** np.maximum(u - 1, 0), 0.0)
            lowest = np.where(u > 1, u * (u - 1) * c ** np.maximum(u - 2, 0), 0.0)
            return np.where(there, c ** np.maximum(u, 0), 0.0), lower * one, lowest * one**2 + lower * two
        power = np.where(there, c ** np.maximum(u, 0), 0.0)
        first = u * power * (1 - c)
        return power, first, first * (u * (1 - c) - c)

    def rho(self, z: np.ndarray) -> np.ndarray:
        c = self.c(z)
        return np.sign(c) * np.abs(c) ** (1 / self.step)

    def z(self, rho: float) -> float:
        c = np.sign(rho) * np.abs(rho) ** self.step
        return float(np.arctanh(c) if self.signed else np.log(c / (1 - c)))

    def at_edge(self, z: np.ndarray) -> np.ndarray:
        c = self.c(z[:, None])
        return (np.abs(c) > 1 - EDGE) | (not self.signed) & (c < EDGE)


class Shared(Correlation):
    """Compound symmetry: (1 - rho) I + rho J, rho from -1 / (m - 1) of the largest unit to 1."""

    def __init__(self, codes: np.ndarray, fixed: float | None) -> None:
        self.looks, self.fixed, self.size = np.zeros(len(codes)), fixed, 0 if fixed is not None else 1
        self.lowest = -1 / (np.bincount(codes).max() - 1)
        wanted = np.array([0.05, 0.5, 0.9])
        share = (wanted - self.lowest) / (1 - self.lowest)
        self.begins = tuple(np.log(share / (1 - share)).tolist())

    def rho(self, z: np.ndarray) -> np.ndarray:
        if self.fixed is not None:
            return np.full(len(z), self.fixed)
        return self.lowest + (1 - self.lowest) / (1 + np.exp(-z[:, 0]))

    def z(self, rho: float) -> float:
        share = (rho - self.lowest) / (1 - self.lowest)
        return float(np.log(share / (1 - share)))

    def piece(self, looks: np.ndarray, same: np.ndarray) -> OfZ:
        eye = np.eye(looks.shape[1])
        together = same * (1 - eye)

        def C(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            rho = self.rho(z)[:, None, None, None]
            share = (rho - self.lowest) / (1 - self.lowest)
            first = (1 - self.lowest) * share * (1 - share)
            return eye + rho * together, first * together, first * (1 - 2 * share) * together

        return C

    def at_edge(self, z: np.ndarray) -> np.ndarray:
        share = (self.rho(z[:, None]) - self.lowest) / (1 - self.lowest)
        return (share < EDGE) | (share > 1 - EDGE)
