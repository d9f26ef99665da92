"""The free numbers of an unstructured covariance: the Cholesky factor L of R0 = L L', with logs on its diagonal.

R0 is the covariance of all T times in units of the first time's variance, so L[0, 0] = 1 is known. A unit that was seen
at some of the times has these rows and columns of R0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import counted, quoted
from lmmsim.covariance import correlation_matrix
from lmmsim.model.unstructured import Unstructured
from lmmsim.reml.residual_correlations import EDGE
from lmmsim.reml.residual_numbers import NOTHING, Numbers, Piece

SHRINK = 0.05  # eigenvalues of the correlations that a search begins with are at least this


class Factor(Numbers):
    """One free number for every entry of L but the first, row by row."""

    spec: Unstructured

    def __init__(self, spec: Unstructured, data: pd.DataFrame) -> None:
        self.spec = spec
        self.times = spec.times(data)
        self.T = len(self.times)
        rows, columns = np.tril_indices(self.T)
        self.rows, self.columns = rows[1:], columns[1:]
        self.size = len(self.rows)
        self.diagonal = self.rows == self.columns
        self.codes = spec.units(data)[1]
        self.place = self.times.get_indexer(pd.Index(data[spec.time]))
        self.levels, self.level = self.times, self.place
        self.looks = np.column_stack([np.ones(len(data)), self.place])
        if why := self.refusal(np.arange(len(data))):
            raise ValueError(why)

    def refusal(self, rows: np.ndarray) -> str:
        """More times than the units can tell apart."""
        assert self.codes is not None
        name, times = self.spec.unit_name, np.unique(self.place[rows])
        seen = np.zeros((int(self.codes.max()) + 1, self.T))
        seen[self.codes[rows], self.place[rows]] = 1.0
        units, T = int(seen.any(axis=1).sum()), len(times)
        if units <= T:
            return (
                f"Unstructured has {T * (T + 1) // 2} variances and covariances for {T} times of "
                f"'{self.spec.time}', which {counted(units, name)} cannot tell; AR1 and CompoundSymmetry have two"
            )
        together = seen[:, times].T @ seen[:, times]
        if (together >= 2).all():
            return ""
        i, j = np.argwhere(np.triu(together < 2))[0]
        one, other = quoted(self.times[times[i]]), quoted(self.times[times[j]])
        what = f"both {one} and {other}" if i != j else one
        return (
            f"{counted(int(together[i, j]), name)} of {units} {'has' if together[i, j] == 1 else 'have'} {what} of "
            f"'{self.spec.time}': their covariance cannot be told; leave a time out, or use AR1"
        )

    def L(self, phi: np.ndarray) -> np.ndarray:
        """The factor, (r, T, T)."""
        out = np.zeros((len(phi), self.T, self.T))
        out[:, 0, 0] = 1.0
        out[:, self.rows, self.columns] = np.where(self.diagonal, np.exp(phi), phi)
        return out

    def phi(self, L: np.ndarray) -> np.ndarray:
        """The free numbers of factors (..., T, T), after division by the first entry."""
        entries = (L / L[..., :1, :1])[..., self.rows, self.columns]
        return np.where(self.diagonal, np.log(np.where(self.diagonal, entries, 1.0)), entries)

    def piece(self, looks: np.ndarray, same: np.ndarray) -> Piece:
        at = looks[..., 1].astype(int)
        here = np.zeros((*at.shape, self.T))  # (G, m, T)
        np.put_along_axis(here, at[..., None], 1.0, axis=-1)
        return lambda phi: FactorHere(self, self.L(phi), at, here, same)

    def start(self, rest: np.ndarray) -> np.ndarray:
        """Covariances of the residuals, pulled a little and a lot towards equal correlations."""
        assert self.codes is not None
        table = np.full((int(self.codes.max()) + 1, self.T, rest.shape[1]), np.nan)
        table[self.codes, self.place] = rest
        seen, values = np.isfinite(table).astype(float), np.nan_to_num(table)
        both = np.maximum(np.einsum("jsr,jtr->rst", seen, seen), 1.0)
        S = np.einsum("jsr,jtr->rst", values, values) / both
        sd = np.sqrt(np.maximum(np.diagonal(S, axis1=1, axis2=2), 1e-12))
        C = S / (sd[:, :, None] * sd[:, None, :])
        equal = np.clip((C.sum(axis=(1, 2)) - self.T) / max(self.T * (self.T - 1), 1), 0.0, 0.9)
        same = np.where(np.eye(self.T, dtype=bool), 1.0, equal[:, None, None])
        out = []
        for share in (0.1, 0.9):
            values, vectors = np.linalg.eigh((1 - share) * C + share * same)
            R = (vectors * np.maximum(values, SHRINK)[:, None]) @ vectors.swapaxes(1, 2)
            out.append(self.phi(np.linalg.cholesky(R * sd[:, :, None] * sd[:, None, :])))
        return np.stack(out)

    def _phi(self, spec: Any) -> np.ndarray:
        sd = np.array([spec.sd[time] for time in self.times], dtype=float)
        place = [list(spec.sd).index(time) for time in self.times]
        corr = correlation_matrix(spec.corr, list(spec.sd))[np.ix_(place, place)]
        return self.phi(np.linalg.cholesky(corr * np.outer(sd, sd)))

    @property
    def always(self) -> tuple[int, ...]:
        return (0, 1)

    def numbers(self, phi: np.ndarray, sigma: np.ndarray) -> dict[str, Any]:
        L = self.L(phi) * sigma[:, None, None]
        S = L @ L.swapaxes(1, 2)
        sd = np.sqrt(np.diagonal(S, axis1=1, axis2=2))
        C = S / (sd[:, :, None] * sd[:, None, :])
        names = self.times.tolist()
        corr = {(names[i], names[j]): C[:, i, j] for i in range(self.T) for j in range(i + 1, self.T)}
        return {"sd": dict(zip(names, sd.T, strict=True)), "corr": corr}

    def at_edge(self, phi: np.ndarray) -> np.ndarray:
        return np.asarray((self._alone(phi) ** 2 < EDGE).any(axis=1))

    def vanishing(self, phi: np.ndarray) -> str:
        alone = self._alone(phi[None])[0]
        if alone.min() > NOTHING:
            return ""
        return f"what {quoted(self.times[int(alone.argmin())])} of '{self.spec.time}' has beside the earlier times"

    def _alone(self, phi: np.ndarray) -> np.ndarray:
        """Share of every time's sd that is left when the earlier times are known, (r, T)."""
        L = self.L(phi)
        return np.asarray(np.diagonal(L, axis1=1, axis2=2) / np.sqrt((L**2).sum(axis=2)))


class FactorHere:
    """R, rows and columns of L L', at one phi."""

    def __init__(self, factor: Factor, L: np.ndarray, at: np.ndarray, here: np.ndarray, same: np.ndarray) -> None:
        self.factor, self.L, self.at, self.here, self.same = factor, L, at, here, same
        # d L / d phi: 1, or the entry itself on the diagonal
        self.size = np.where(factor.diagonal, L[:, factor.rows, factor.columns], 1.0)
        self.R = self._spread(L @ L.swapaxes(1, 2))

    def _spread(self, whole: np.ndarray) -> np.ndarray:
        """The rows and columns of matrices (..., T, T) that the blocks have, (..., G, m, m)."""
        return whole[..., self.at[:, :, None], self.at[:, None, :]] * self.same

    def slopes(self) -> np.ndarray:
        f, T = self.factor, self.factor.T
        half = np.zeros((len(self.L), f.size, T, T))
        half[:, np.arange(f.size), f.rows] = self.L[:, :, f.columns].swapaxes(1, 2)
        half *= self.size[..., None, None]
        return self._spread(half + half.swapaxes(2, 3))

    def bend(self, M: np.ndarray) -> np.ndarray:
        f = self.factor
        whole = (self.here.swapaxes(1, 2) @ (M * self.same) @ self.here).sum(axis=1)
        pairs = whole[:, f.rows[:, None], f.rows] * (f.columns[:, None] == f.columns)
        out = 2 * pairs * self.size[:, :, None] * self.size[:, None, :]
        each = np.flatnonzero(f.diagonal)
        out[:, each, each] += 2 * (whole @ self.L)[:, f.rows[each], f.columns[each]] * self.size[:, each]
        return out
