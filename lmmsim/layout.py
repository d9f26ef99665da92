"""How the bars of a formula are told to statsmodels' MixedLM, and read back from it.

It knows one grouping factor, whose random effects may be correlated, and independent effects with a common variance
inside its groups (variance components). Crossed factors are components inside one big group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lmmsim.formula import RandomTerm


class Layout:
    """Which bar is the host, whose factor all others are nested in (None if crossed), and which are components."""

    def __init__(self, terms: tuple[RandomTerm, ...]) -> None:
        self.terms = terms
        self.host = self._find_host()
        groups = terms[self.host].codes if self.host is not None else np.zeros(len(terms[0].codes), dtype=int)
        self.groups = groups
        self.rows = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
        self.parts = [(b, c) for b, bar in enumerate(terms) if b != self.host for c in range(len(bar.names))]
        for b, bar in enumerate(terms):
            if b != self.host and len(bar.names) > 1:
                raise ValueError(
                    f"statsmodels cannot have correlated random effects ({', '.join(bar.names)} | {bar.group}) beside "
                    f"{', '.join(other.group for other in terms if other is not bar)}: write || or use LMM"
                )

    def _find_host(self) -> int | None:
        """Return the bar, the widest, whose factor every other is nested in."""
        order = sorted(range(len(self.terms)), key=lambda b: -len(self.terms[b].names))
        for b in order:
            codes = self.terms[b].codes
            pairs = [np.unique(np.stack([other.codes, codes]), axis=1).shape[1] for other in self.terms]
            if all(pair == len(other.levels) for pair, other in zip(pairs, self.terms, strict=True)):
                return b
        return None

    def model(self, y: np.ndarray, X: np.ndarray) -> Any:
        """Make the MixedLM."""
        from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

        names = [f"{b}.{c}" for b, c in self.parts]
        blocks = [[self._block(b, c, rows) for rows in self.rows] for b, c in self.parts]
        labels = [[self._labels(b, c, rows) for rows in self.rows] for b, c in self.parts]
        components = VCSpec(names, labels, blocks) if names else None
        effects = self.terms[self.host].columns if self.host is not None else None
        return MixedLM(y, X, groups=self.groups, exog_re=effects, exog_vc=components)

    def _block(self, b: int, c: int, rows: np.ndarray) -> np.ndarray:
        bar = self.terms[b]
        codes = bar.codes[rows]
        return (codes[:, None] == np.unique(codes)) * bar.columns[rows, c][:, None]

    def _labels(self, b: int, c: int, rows: np.ndarray) -> list[str]:
        return [f"{b}.{c}.{code}" for code in np.unique(self.terms[b].codes[rows])]

    def covariances(self, result: Any) -> tuple[np.ndarray, ...]:
        """Return absolute covariances by bar."""
        variance = dict(zip(self.parts, np.asarray(result.vcomp), strict=True))
        return tuple(
            np.asarray(result.cov_re) if b == self.host else np.diag([variance[b, c] for c in range(len(bar.names))])
            for b, bar in enumerate(self.terms)
        )

    def _places(self) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
        """Yield, by group, its number, the host's k, and (bar, column, level) of the effects that follow."""
        k = len(self.terms[self.host].names) if self.host is not None else 0
        for g, rows in enumerate(self.rows):
            yield g, k, [(b, c, code) for b, c in self.parts for code in np.unique(self.terms[b].codes[rows])]

    def modes(self, result: Any) -> tuple[np.ndarray, ...]:
        """Return conditional modes by bar, (J, k); NaN where statsmodels cannot compute them."""
        modes = tuple(np.full((len(bar.levels), len(bar.names)), np.nan) for bar in self.terms)
        try:
            effects = result.random_effects
        except ValueError:
            return modes
        for g, k, places in self._places():
            values = np.asarray(effects[g])
            if self.host is not None:
                modes[self.host][g] = values[:k]
            for (b, c, code), value in zip(places, values[k:], strict=True):
                modes[b][code, c] = value
        return modes

    def mode_variances(self, result: Any) -> tuple[np.ndarray, ...]:
        """Return conditional covariances by bar, (J, k, k)."""
        blocks = tuple(np.zeros((len(bar.levels), len(bar.names), len(bar.names))) for bar in self.terms)
        covariances = result.random_effects_cov
        for g, k, places in self._places():
            values = np.asarray(covariances[g])
            if self.host is not None:
                blocks[self.host][g] = values[:k, :k]
            for i, (b, c, code) in enumerate(places, start=k):
                blocks[b][code, c, c] = values[i, i]
        return blocks
