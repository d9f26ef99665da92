"""Residuals that go together within a unit, and are independent between units: AR(1) and compound symmetry."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import covariance, draws
from lmmsim.checks import Columns, columns_of, is_number, quoted
from lmmsim.model.columns import RandomTerm, levels_of
from lmmsim.model.residual import Residual, are_numbers, column_of


class WithinUnit(Residual):
    """What the kinds that correlate the rows of a unit share."""

    unit: Columns

    @property
    def unit_columns(self) -> list[str]:
        """The columns that say which unit a row belongs to."""
        return columns_of(self.unit)

    @property
    def unit_name(self) -> str:
        """The unit in words: "school:class" where two columns name it."""
        return ":".join(self.unit_columns)

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys([*super().columns, *self.unit_columns]))

    def _check_unit(self) -> None:
        """Refuse a unit that is no name."""
        kind = type(self).__name__
        if not self.unit or not all(isinstance(name, str) for name in self.unit_columns):
            raise ValueError(f"{kind} needs unit='the column with the unit'; got unit={self.unit!r}")
        if not isinstance(self.unit, str):
            names = [f"`{name}`" if ":" in name else name for name in self.unit_columns]
            object.__setattr__(self, "unit", ":".join(names))

    @abstractmethod
    def looks(self, design: pd.DataFrame) -> np.ndarray:
        """What two units must share, row by row, to have the same correlations: (n,)."""

    def check_unit(self, design: pd.DataFrame, label: object, look: np.ndarray) -> None:
        """Refuse a unit that cannot have correlations, as one with two rows at one time."""

    def units(self, design: pd.DataFrame) -> tuple[pd.Index, np.ndarray]:
        """Labels of the units, and each row's code."""
        for name in self.unit_columns:
            column_of(design, name)
        return levels_of(self.unit_columns, design)

    def same_for_all(self, design: pd.DataFrame) -> RandomTerm:
        """An intercept for each unit, smaller where a weight is larger."""
        labels, codes = self.units(design)
        columns = 1 / np.sqrt(self.precisions(design))[:, None]
        return RandomTerm(self.unit_name, ("Intercept",), columns, codes, labels)

    def unit_rows(self, design: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield for each size m the units (J,) that have m rows, and their rows (J, m)."""
        _, codes = self.units(design)
        order = np.argsort(codes, kind="stable")
        sizes = np.bincount(codes)
        first = np.cumsum(sizes) - sizes
        for m in np.unique(sizes):
            mine = np.flatnonzero(sizes == m)
            yield mine, order[first[mine][:, None] + np.arange(m)]

    def patterns(self, design: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        looks, (labels, _) = self.looks(design), self.units(design)
        for units, rows in self.unit_rows(design):
            values, first, which = np.unique(looks[rows], axis=0, return_index=True, return_inverse=True)
            for g, look in enumerate(values):
                label = labels[units[first[g]]]
                try:
                    self.check_unit(design, label, look)
                    self._correlations(look)
                except ValueError as error:
                    raise ValueError(f"residuals of {self.unit_name} {quoted(label)}: {error}") from error
                yield look, rows[which.ravel() == g]


@dataclass(frozen=True)
class _OneCorrelation(WithinUnit):
    """One number rho says how the rows of a unit go together."""

    sd: float | Mapping[Any, float] | None = None
    rho: float | None = None
    unit: Columns = ""
    shape: draws.Shape = field(default_factory=draws.normal, kw_only=True)
    by: str | None = field(default=None, kw_only=True)
    weights: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check()
        self._check_unit()
        if self.rho is not None and not is_number(self.rho):
            raise ValueError(f"rho, the correlation of two residuals, must be a number; got {quoted(self.rho)}")

    @property
    def left_out(self) -> tuple[str, ...]:
        return super().left_out + (("rho",) if self.rho is None else ())

    @property
    def components(self) -> dict[tuple[str, str, str], float]:
        return {**super().components, ("corr", "residual", "rho"): self.number}

    @property
    def number(self) -> float:
        """Rho, which must have been given."""
        self.check_numbers()
        assert self.rho is not None
        return float(self.rho)


@dataclass(frozen=True)
class AR1(_OneCorrelation):
    """Residuals that fade with time: correlation rho^|t - s| between two times of one unit.

    Parameters
    ----------
    sd : float or mapping
        In the units of the response. A mapping gives each level of `by` its own.
    rho : float
        Correlation of two residuals one unit of time apart. Gaps may be unequal.
    unit : str
        The column with the unit (patient); "school:class" for a combination.
    time : str
        The column with the time (month), in numbers.
    by : str, optional
        The column that decides which sd a row has.
    shape : draws.Shape, optional
        Shape of the independent draws that are added up.
    weights : str, optional
        The column with the known precision of every row: its variance is the sd squared over the weight.

    Notes
    -----
    A world needs `sd` and `rho`. In an analysis, `LMM(..., residual=AR1(unit="patient", time="month"))`, what is left
    out is estimated: the sd always, and rho unless it is given.

    Examples
    --------
    >>> visits = pd.DataFrame({"patient": ["p1"] * 3, "month": [0, 1, 3]})
    >>> AR1(sd=2.0, rho=0.5, unit="patient", time="month").R(visits).toarray()
    array([[4. , 2. , 0.5],
           [2. , 4. , 1. ],
           [0.5, 1. , 4. ]])
    """

    time: str = field(kw_only=True)

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys([*super().columns, self.time]))

    @property
    def words(self) -> str:
        """The sd, and how fast the correlation fades."""
        return f"{self._sd_words}{';' if self.by is not None else ','} {self.goes_together}"

    @property
    def goes_together(self) -> str:
        rho = "rho to be estimated" if self.rho is None else f"rho {self.rho:.3g}"
        return f"AR(1) with {rho} per {self.time} within {self.unit_name}"

    def looks(self, design: pd.DataFrame) -> np.ndarray:
        times = column_of(design, self.time)
        if getattr(times.dtype, "kind", "O") in "mM" or isinstance(times.dtype, pd.PeriodDtype):
            raise ValueError(
                f"'{self.time}' holds dates or times ({times.dtype}): count the days first, as "
                f"(data['{self.time}'] - data['{self.time}'].min()) / pd.Timedelta(days=1); AR(1) needs numbers"
            )
        if not are_numbers(times):
            raise ValueError(f"'{self.time}' holds no numbers ({times.dtype}); AR(1) needs the time between two rows")
        return times.to_numpy(dtype=float)

    def check_unit(self, design: pd.DataFrame, label: object, look: np.ndarray) -> None:
        check_times(self.time, look)

    def _correlations(self, look: np.ndarray) -> np.ndarray:
        return covariance.continuous_ar1(look, self.number)

    def _slopes(self, look: np.ndarray) -> list[np.ndarray]:
        distance = np.abs(look[:, None] - look)
        # d rho^(d - 1), which is 1 for neighbours where rho is 0
        powers = np.power(self.number, np.where(distance > 0, distance - 1, 0.0))
        return [np.where(distance > 0, distance * powers, 0.0)]


@dataclass(frozen=True)
class CompoundSymmetry(_OneCorrelation):
    """Residuals that all share one correlation within a unit, negative ones too.

    Parameters
    ----------
    sd : float or mapping
        In the units of the response. A mapping gives each level of `by` its own.
    rho : float
        Correlation of any two residuals of a unit with m rows, above -1 / (m - 1).
    unit : str
        The column with the unit; "school:class" for a combination.
    by : str, optional
        The column that decides which sd a row has.
    shape : draws.Shape, optional
        Shape of the independent draws that are added up.
    weights : str, optional
        The column with the known precision of every row: its variance is the sd squared over the weight.

    Notes
    -----
    A world needs `sd` and `rho`; an analysis, `LMM(..., residual=CompoundSymmetry(unit="twins"))`, estimates what is
    left out.

    Examples
    --------
    >>> pairs = pd.DataFrame({"twins": ["a", "a"]})
    >>> CompoundSymmetry(sd=1.0, rho=-0.5, unit="twins").R(pairs).toarray()
    array([[ 1. , -0.5],
           [-0.5,  1. ]])
    """

    @property
    def words(self) -> str:
        """The sd, and the correlation."""
        return f"{self._sd_words}{';' if self.by is not None else ','} {self.goes_together}"

    @property
    def goes_together(self) -> str:
        rho = "to be estimated" if self.rho is None else f"{self.rho:.3g}"
        return f"correlation {rho} within {self.unit_name}"

    def shared(self, design: pd.DataFrame) -> RandomTerm | None:
        codes = self.units(design)[1]
        varies = self.by is not None and pd.Series(pd.factorize(design[self.by])[0]).groupby(codes).nunique().max() > 1
        return None if varies else self.same_for_all(design)

    def looks(self, design: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(design))

    def _correlations(self, look: np.ndarray) -> np.ndarray:
        return covariance.exchangeable(len(look), self.number)

    def _slopes(self, look: np.ndarray) -> list[np.ndarray]:
        return [1.0 - np.eye(len(look))]


def check_times(name: str, look: np.ndarray) -> None:
    """Refuse two rows of one unit at one time."""
    values, counts = np.unique(look, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"two rows at {name} {values[counts > 1][0]:.12g}; one row per {name}")
