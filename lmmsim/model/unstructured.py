"""Residuals with a standard deviation for each time and a correlation for each two: nothing is assumed about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim import covariance, draws
from lmmsim.checks import Columns, listed
from lmmsim.model.residual import assembled, column_of, level_names
from lmmsim.model.units import WithinUnit

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from lmmsim.model.columns import RandomTerm


@dataclass(frozen=True)
class Unstructured(WithinUnit):
    """Residuals of a few planned times: an sd for each time, a correlation for each two.

    Parameters
    ----------
    sd : mapping
        {time: sd}, in the units of the response.
    corr : float, mapping, DataFrame or array_like
        One correlation for all pairs; `{("v1", "v2"): 0.6, ...}`, where a pair that is not named has 0; or a matrix, in
        the order of `sd` or labelled with its times.
    unit : str
        The column with the unit (patient); "school:class" for a combination.
    time : str
        The column with the planned times, in numbers or words: visits, weeks, occasions.
    shape : draws.Shape, optional
        Shape of the independent draws that are added up.

    Notes
    -----
    `LMM("change ~ base + arm * visit", residual=Unstructured(unit="patient", time="visit"))`, a formula without random
    terms, estimates all of them: what trialists call a mixed model for repeated measures, MMRM. The times are known by
    their label, so a visit that a patient missed is simply not there.

    Examples
    --------
    >>> visits = pd.DataFrame({"patient": ["p1", "p1", "p2"], "visit": ["v1", "v2", "v2"]})
    >>> R = Unstructured(sd={"v1": 2.0, "v2": 3.0}, corr=0.5, unit="patient", time="visit").R(visits)
    >>> R.toarray()
    array([[4., 3., 0.],
           [3., 9., 0.],
           [0., 0., 9.]])
    """

    sd: Mapping[Any, float] | None = None
    corr: Any = None
    unit: Columns = ""
    time: str = field(kw_only=True)
    shape: draws.Shape = field(default_factory=draws.normal, kw_only=True)
    weights = None

    def __post_init__(self) -> None:
        if self.sd is not None and not isinstance(self.sd, Mapping):
            raise ValueError(f"Unstructured has an sd for each time, sd={{time: sd, ...}}; got {self.sd!r}")
        self._check()
        self._check_unit()
        if self.corr is not None:
            if self.sd is None:
                raise ValueError("Unstructured is given corr but no sd; give both, or leave both out to estimate them")
            matrix = covariance.correlation_matrix(self.corr, list(self.sd))
            covariance.from_sd(np.ones(len(matrix)), matrix)  # refuses correlations that cannot be
            object.__setattr__(self, "corr", pairs(list(self.sd), matrix))

    @property
    def by(self) -> str:  # type: ignore[override]
        """The sd is that of the time."""
        return self.time

    @property
    def left_out(self) -> tuple[str, ...]:
        return super().left_out + (("corr",) if self.corr is None else ())

    @property
    def goes_together(self) -> str:
        return f"a correlation for each two of {self.time} within {self.unit_name}"

    @property
    def words(self) -> str:
        """The sd of each time, and that every two have their own correlation."""
        if not isinstance(self.sd, Mapping) or self.corr is None:
            return f"sds and correlations of all times of {self.time} within {self.unit_name}, to be estimated"
        told = ", ".join(f"{one} and {other} {value:.2g}" for (one, other), value in self.corr.items())
        what = f"; correlations {told}" if len(self.corr) <= 6 else "; a correlation for each two"
        return f"{self._sd_words}{what} within {self.unit_name}"

    @property
    def components(self) -> dict[tuple[str, str, str], float]:
        sds = super().components
        names = dict(zip(self.sd or (), level_names(self.sd or ()), strict=True))
        told = {("corr", "residual", f"{names[i]}, {names[j]}"): value for (i, j), value in self.corr.items()}
        return sds | told

    def times(self, design: pd.DataFrame) -> pd.Index:
        """The times of the design, in their order: that of a categorical, else sorted."""
        from lmmsim.model.columns import levels_of

        return levels_of([self.time], column_of(design, self.time).to_frame())[0]

    def shared(self, design: pd.DataFrame) -> RandomTerm | None:
        return self.same_for_all(design)

    def looks(self, design: pd.DataFrame) -> np.ndarray:
        known = self.times(design)
        if self.sd is not None:
            known = pd.Index(list(self.sd))
            self._level_sds(design)  # refuses a time without a number
        return known.get_indexer(pd.Index(design[self.time])).astype(float)

    def check_unit(self, design: pd.DataFrame, label: object, look: np.ndarray) -> None:
        values, counts = np.unique(look, return_counts=True)
        if (counts > 1).any():
            time = listed([list(self.sd or self.times(design))[int(values[counts > 1][0])]])
            raise ValueError(f"two rows at {self.time} {time}; one row per {self.time}")

    @property
    def _matrix(self) -> np.ndarray:
        """The correlations in the order of `sd`."""
        self.check_numbers()
        return covariance.correlation_matrix(self.corr, list(self.sd or ()))

    def _correlations(self, look: np.ndarray) -> np.ndarray:
        here = look.astype(int)
        return self._matrix[np.ix_(here, here)]

    def derivatives(self, design: pd.DataFrame) -> list[csr_array]:
        """Derivatives of R by its variances and covariances, those that a unit of the design has."""
        patterns = list(self.patterns(design))
        out = []
        for i in range(len(self.sd or ())):
            for j in range(i + 1):
                parts = []
                for look, rows in patterns:
                    block = (look[:, None] == i) & (look == j)
                    parts.append(((block | block.T).astype(float), rows))
                if any(block.any() for block, _ in parts):
                    out.append(_sparse(assembled(parts, len(design))))
        return out


def pairs(names: list[Any], matrix: np.ndarray) -> dict[tuple[Any, Any], float]:
    """Correlations by the two names that each belongs to."""
    k = len(names)
    return {(names[i], names[j]): float(matrix[i, j]) for i in range(k) for j in range(i + 1, k)}


def _sparse(matrix: csr_array) -> csr_array:
    """The same without the entries that are zero."""
    matrix.eliminate_zeros()
    return matrix
