"""Residuals: what is left of a measurement when its group is known.

Every kind has R = S C S: the standard deviations of the rows on the diagonal of S, their correlations in C. It also
says how independent draws become residuals (`colour`), and how R changes with each of its numbers (`derivatives`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim import covariance, draws
from lmmsim.checks import check_columns, check_sd, is_number, listed, quoted

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Colour = Callable[[np.ndarray], np.ndarray]


class Residual(ABC):
    """What every kind of residual can say of a design of n rows."""

    sd: float | Mapping[Any, float]
    by: str | None = None
    shape: draws.Shape

    @property
    @abstractmethod
    def words(self) -> str:
        """How large the residuals are, and what is correlated."""

    def _check(self) -> None:
        """Refuse what is no standard deviation; keep no hold of what was given."""
        if isinstance(self.sd, Mapping) != (self.by is not None):
            raise ValueError("unequal residuals need both: sd={level: sd, ...} and by='the column with the levels'")
        object.__setattr__(self, "sd", dict(self.sd) if isinstance(self.sd, Mapping) else self.sd)
        object.__setattr__(self, "shape", draws.as_shape(self.shape))
        for level, sd in self.sd.items() if isinstance(self.sd, Mapping) else [("residual", self.sd)]:
            check_sd(f"'{level}'", sd)

    def sds(self, design: pd.DataFrame) -> np.ndarray:
        """Return the sd of every row's residual, shape (n,)."""
        if not isinstance(self.sd, Mapping):
            return np.full(len(design), float(self.sd))
        levels = _column(design, str(self.by))
        there = levels.cat.categories if isinstance(levels.dtype, pd.CategoricalDtype) else levels.unique()
        absent = [level for level in levels.unique() if level not in self.sd]
        extra = [level for level in self.sd if level not in set(there)]
        if absent or extra:
            what = f"no residual sd for {listed(absent)}" if absent else f"a residual sd for {listed(extra)}, no level,"
            raise ValueError(f"{what} of '{self.by}'; sd names {listed(self.sd)}, the levels are {listed(there)}")
        return levels.map(dict(self.sd)).to_numpy(dtype=float)

    def _patterns(self, design: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """Yield (unit, rows): one unit of each look, and the row numbers (units, m) of all units that look like it."""
        yield from ()

    def _correlations(self, unit: pd.DataFrame) -> np.ndarray:
        """C of the m rows of one unit."""
        return np.eye(len(unit))

    def _slopes(self, unit: pd.DataFrame) -> list[np.ndarray]:
        """Derivatives of this C by each of its numbers."""
        return []

    def R(self, design: pd.DataFrame) -> csr_array:
        """Covariance of the residuals, shape (n, n): diagonal, or one block for each unit."""
        from scipy import sparse

        sds = self.sds(design)
        parts = [(self._correlations(unit), rows) for unit, rows in self._patterns(design)]
        if not parts:
            return sparse.csr_array(sparse.diags_array(sds**2))
        S = sparse.diags_array(sds)
        return sparse.csr_array(S @ _assembled(parts, len(design)) @ S)

    def derivatives(self, design: pd.DataFrame) -> list[csr_array]:
        """Derivatives of R by its variance, or its variances by level, then by its correlations."""
        from scipy import sparse

        S, R, n = sparse.diags_array(self.sds(design)), self.R(design), len(design)
        if isinstance(self.sd, Mapping):
            mine = [(design[str(self.by)] == level).to_numpy(float) for level in self.sd]
            halves = [sparse.diags_array(one / (2 * sd**2)) for one, sd in zip(mine, self.sd.values(), strict=True)]
            out = [sparse.csr_array(half @ R + R @ half) for half, one in zip(halves, mine, strict=True) if one.any()]
        else:
            out = [R / self.sd**2]
        slopes = [[(slope, rows) for slope in self._slopes(unit)] for unit, rows in self._patterns(design)]
        return out + [sparse.csr_array(S @ _assembled(list(parts), n) @ S) for parts in zip(*slopes, strict=True)]

    def colour(self, design: pd.DataFrame) -> Colour:
        """Return the step from standard draws (replicates, n) to residuals, in place."""
        sds = self.sds(design)
        scale = sds[0] if (sds == sds[0]).all() else sds
        roots = [(covariance.square_root(self._correlations(unit)), rows) for unit, rows in self._patterns(design)]

        def apply(z: np.ndarray) -> np.ndarray:
            for root, rows in roots:
                z[:, rows] = z[:, rows] @ root.T
            return np.multiply(z, scale, out=z)

        return apply


@dataclass(frozen=True)
class IID(Residual):
    """Independent residuals: one standard deviation, or one for each level of a factor.

    Parameters
    ----------
    sd : float or mapping
        In the units of the response. A mapping gives each level of `by` its own.
    by : str, optional
        The column that decides which sd a row has.
    shape : draws.Shape, optional
        Normal unless said otherwise; the sd stays what it is.

    Examples
    --------
    >>> design = pd.DataFrame({"method": ["usual", "new"]})
    >>> IID(sd={"usual": 9.0, "new": 12.0}, by="method").R(design).toarray()
    array([[ 81.,   0.],
           [  0., 144.]])
    """

    sd: float | Mapping[Any, float]
    by: str | None = None
    shape: draws.Shape = field(default_factory=draws.normal)

    def __post_init__(self) -> None:
        self._check()

    @property
    def words(self) -> str:
        """The sd, or the sd of each level."""
        if isinstance(self.sd, Mapping):
            return f"sd by {self.by}: " + ", ".join(f"{level} {sd:.4g}" for level, sd in self.sd.items())
        return f"sd {self.sd:.4g}"


@dataclass(frozen=True)
class _WithinUnit(Residual):
    """Residuals that are correlated within a unit and independent between units."""

    sd: float
    rho: float
    unit: str
    shape: draws.Shape = field(default_factory=draws.normal, kw_only=True)

    def __post_init__(self) -> None:
        self._check()
        if not is_number(self.rho):
            raise ValueError(f"rho, the correlation of two residuals, must be a number; got {quoted(self.rho)}")

    def _look(self, unit: pd.DataFrame) -> object:
        """What two units must share to have the same correlations."""
        return len(unit)

    def _patterns(self, design: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        _column(design, self.unit)
        alike: dict[object, tuple[pd.DataFrame, list[np.ndarray]]] = {}
        for label, rows in design.reset_index(drop=True).groupby(self.unit, observed=True, sort=False):
            look = self._look(rows)
            if look not in alike:
                try:
                    self._correlations(rows)
                except ValueError as error:
                    raise ValueError(f"residuals of {self.unit} {label!r}: {error}") from error
                alike[look] = rows, []
            alike[look][1].append(rows.index.to_numpy())
        yield from ((unit, np.array(members)) for unit, members in alike.values())


@dataclass(frozen=True)
class AR1(_WithinUnit):
    """Residuals that fade with time: correlation rho^|t - s| between two times of one unit.

    Parameters
    ----------
    sd : float
        In the units of the response.
    rho : float
        Correlation of two residuals one unit of time apart. Gaps may be unequal.
    unit, time : str
        The columns with the unit (patient) and the time (month).
    shape : draws.Shape, optional
        Shape of the independent draws that are added up.

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
    def words(self) -> str:
        """The sd, and how fast the correlation fades."""
        return f"sd {self.sd:.4g}, AR(1) with rho {self.rho:.3g} per {self.time} within {self.unit}"

    def _patterns(self, design: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        times = _column(design, self.time)
        if not _are_numbers(times):
            raise ValueError(f"'{self.time}' holds no numbers ({times.dtype}); AR(1) needs the time between two rows")
        yield from super()._patterns(design)

    def _look(self, unit: pd.DataFrame) -> object:
        return unit[self.time].to_numpy(dtype=float).tobytes()

    def _correlations(self, unit: pd.DataFrame) -> np.ndarray:
        times = unit[self.time]
        if times.duplicated().any():
            raise ValueError(f"two rows at {self.time} {times[times.duplicated()].iloc[0]}; one row per {self.time}")
        return covariance.continuous_ar1(times.to_numpy(dtype=float), self.rho)

    def _slopes(self, unit: pd.DataFrame) -> list[np.ndarray]:
        times = unit[self.time].to_numpy(dtype=float)
        distance = np.abs(times[:, None] - times)
        # d rho^(d - 1), which is 1 for neighbours where rho is 0
        powers = np.power(float(self.rho), np.where(distance > 0, distance - 1, 0.0))
        return [np.where(distance > 0, distance * powers, 0.0)]


@dataclass(frozen=True)
class CompoundSymmetry(_WithinUnit):
    """Residuals that all share one correlation within a unit, negative ones too.

    Parameters
    ----------
    sd : float
        In the units of the response.
    rho : float
        Correlation of any two residuals of a unit with m rows, above -1 / (m - 1).
    unit : str
        The column with the unit.
    shape : draws.Shape, optional
        Shape of the independent draws that are added up.

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
        return f"sd {self.sd:.4g}, correlation {self.rho:.3g} within {self.unit}"

    def _correlations(self, unit: pd.DataFrame) -> np.ndarray:
        return covariance.exchangeable(len(unit), self.rho)

    def _slopes(self, unit: pd.DataFrame) -> list[np.ndarray]:
        return [1.0 - np.eye(len(unit))]


def _assembled(parts: list[tuple[np.ndarray, np.ndarray]], n: int) -> csr_array:
    """A sparse (n, n) matrix from blocks (m, m), each at the rows (units, m) of the units that have it."""
    from scipy import sparse

    entries, rows, columns = [], [], []
    for block, members in parts:
        units, m = members.shape
        entries.append(np.tile(block.ravel(), units))
        rows.append(np.repeat(members, m, axis=1).ravel())
        columns.append(np.tile(members, (1, m)).ravel())
    where = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_array((np.concatenate(entries), where), shape=(n, n))


def _are_numbers(column: pd.Series) -> bool:
    """Whether a column can be read as numbers; dates cannot, whatever their unit may be."""
    if column.dtype.kind in "mM":
        return False
    try:
        column.to_numpy(dtype=float)
    except (TypeError, ValueError):
        return False
    return True


def _column(design: pd.DataFrame, name: str) -> pd.Series:
    if not isinstance(name, str):
        raise TypeError(f"the residuals need the name of one column; got {name!r}")
    check_columns(design, [name], "design")
    if missing := int(design[name].isna().sum()):
        raise ValueError(f"'{name}' is missing in {missing} of {len(design)} rows; the residuals need it in each")
    return design[name]
