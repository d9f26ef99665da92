"""Residuals: what is left of a measurement when its group is known.

Each kind says how large the residuals are, which of them are correlated (R), and
how a table of independent draws becomes residuals (`colour`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmsim import covariance, draws
from lmmsim.checks import check_sd, is_number, listed, quoted

if TYPE_CHECKING:
    from scipy import sparse


Colour = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class IID:
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

    sd: float | Mapping[str, float]
    by: str | None = None
    shape: draws.Shape = field(default_factory=draws.normal)

    def __post_init__(self) -> None:
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

    def R(self, design: pd.DataFrame) -> sparse.csr_array:
        """Covariance of the residuals, diagonal, shape (n, n)."""
        from scipy import sparse

        return sparse.csr_array(sparse.diags_array(self.sds(design) ** 2))

    def colour(self, design: pd.DataFrame) -> Colour:
        """Return the step from standard draws (replicates, n) to residuals, in place."""
        sds = self.sds(design)
        scale = sds[0] if (sds == sds[0]).all() else sds
        return lambda z: np.multiply(z, scale, out=z)


@dataclass(frozen=True)
class _WithinUnit:
    """Residuals that are correlated within a unit and independent between units."""

    sd: float
    rho: float
    unit: str
    shape: draws.Shape = field(default_factory=draws.normal, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", draws.as_shape(self.shape))
        check_sd("'residual'", self.sd)
        if not is_number(self.rho):
            raise ValueError(f"rho, the correlation of two residuals, must be a number; got {quoted(self.rho)}")

    def block(self, rows: pd.DataFrame) -> np.ndarray:
        """Covariance of one unit's residuals."""
        raise TypeError(f"{type(self).__name__} has no covariance of its own; use AR1 or CompoundSymmetry")

    def _same(self, rows: pd.DataFrame) -> object:
        """What two units must share to have the same block."""
        return len(rows)

    def _patterns(self, design: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (block, rows): a covariance, and the row numbers (units, m) of the units that have it."""
        _column(design, self.unit)
        units = design.reset_index(drop=True).groupby(self.unit, observed=True, sort=False)
        patterns: dict[object, tuple[np.ndarray, list[np.ndarray]]] = {}
        for label, rows in units:
            key = self._same(rows)
            if key not in patterns:
                try:
                    patterns[key] = self.block(rows), []
                except ValueError as error:
                    raise ValueError(f"residuals of {self.unit} {label!r}: {error}") from error
            patterns[key][1].append(rows.index.to_numpy())
        for block, members in patterns.values():
            yield block, np.array(members)

    def R(self, design: pd.DataFrame) -> sparse.csr_array:
        """Covariance of the residuals, one block per unit, shape (n, n)."""
        from scipy import sparse

        n = len(design)
        R = sparse.csr_array((n, n))
        for block, members in self._patterns(design):
            units, m = members.shape
            entries = np.tile(block.ravel(), units)
            rows, columns = np.repeat(members, m, axis=1).ravel(), np.tile(members, (1, m)).ravel()
            R = R + sparse.csr_array((entries, (rows, columns)), shape=(n, n))
        return R

    def colour(self, design: pd.DataFrame) -> Colour:
        """Return the step from standard draws (replicates, n) to residuals, in place."""
        roots = [(covariance.square_root(block), rows) for block, rows in self._patterns(design)]

        def apply(z: np.ndarray) -> np.ndarray:
            for root, rows in roots:
                z[:, rows] = z[:, rows] @ root.T
            return z

        return apply


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

    def block(self, rows: pd.DataFrame) -> np.ndarray:
        """Covariance of one unit's residuals."""
        times = rows[self.time]
        if times.duplicated().any():
            raise ValueError(f"two rows at {self.time} {times[times.duplicated()].iloc[0]}; one row per {self.time}")
        return covariance.continuous_ar1(times.to_numpy(dtype=float), self.rho, self.sd)

    def _patterns(self, design: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        times = _column(design, self.time)
        if not _are_numbers(times):
            raise ValueError(f"'{self.time}' holds no numbers ({times.dtype}); AR(1) needs the time between two rows")
        yield from super()._patterns(design)

    def _same(self, rows: pd.DataFrame) -> object:
        return rows[self.time].to_numpy(dtype=float).tobytes()


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

    def block(self, rows: pd.DataFrame) -> np.ndarray:
        """Covariance of one unit's residuals."""
        return covariance.exchangeable(len(rows), self.rho, self.sd)


Residual = IID | AR1 | CompoundSymmetry


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
    if name not in design:
        raise ValueError(f"the residuals need the column '{name}'; the columns are {listed(design.columns)}")
    if missing := int(design[name].isna().sum()):
        raise ValueError(f"'{name}' is missing in {missing} of {len(design)} rows; the residuals need it in each")
    return design[name]
