"""Residuals: what is left of a measurement when its group is known.

Every kind has R = S C S: the standard deviations of the rows on the diagonal of S, their correlations in C. It also
says how independent draws become residuals (`colour`), and how R changes with each of its numbers (`derivatives`).

One grammar serves the world and the analysis: a world gives every number, an analysis estimates what is left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pandas as pd

from lmmsim import covariance, draws
from lmmsim.checks import check_columns, check_sd, listed, quoted

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from lmmsim.model.columns import RandomTerm

Colour = Callable[[np.ndarray], np.ndarray]


class Residual(ABC):
    """What every kind of residual can say of a design of n rows."""

    sd: Any  # a number, a mapping, or None where it is left out
    by: str | None
    weights: str | None
    shape: draws.Shape

    @property
    @abstractmethod
    def words(self) -> str:
        """How large the residuals are, and what is correlated."""

    @property
    def goes_together(self) -> str:
        """What is correlated, in words; empty where nothing is."""
        return ""

    @property
    def words_below(self) -> str:
        """The same below a table that lists the sds of levels."""
        if not isinstance(self.sd, Mapping):
            return self.words
        return f"sd by {self.by}" + (f"; {self.goes_together}" if self.goes_together else "")

    @property
    def left_out(self) -> tuple[str, ...]:
        """The numbers that are not given: an analysis estimates them."""
        return ("sd",) if self.sd is None else ()

    @property
    def columns(self) -> list[str]:
        """The columns of the data that it needs."""
        return [name for name in (self.by, self.weights) if name is not None]

    def _check(self) -> None:
        """Refuse what is no standard deviation; keep no hold of what was given."""
        if self.sd is not None and isinstance(self.sd, Mapping) != (self.by is not None):
            raise ValueError("unequal residuals need both: sd={level: sd, ...} and by='the column with the levels'")
        object.__setattr__(self, "sd", dict(self.sd) if isinstance(self.sd, Mapping) else self.sd)
        object.__setattr__(self, "shape", draws.as_shape(self.shape))
        for name in {"by", "time", "weights"} & vars(self).keys():
            if isinstance(column := getattr(self, name), str):
                object.__setattr__(self, name, column.strip("`"))
        for level, sd in self.sd.items() if isinstance(self.sd, Mapping) else [("residual", self.sd)]:
            if sd is not None:
                check_sd(f"'{level}'", sd)

    @property
    def components(self) -> dict[tuple[str, str, str], float]:
        """Its sds and correlations by (part, "residual", term)."""
        self.check_numbers()
        sds = self.sd if isinstance(self.sd, Mapping) else {"": self.sd}
        names = zip(level_names(sds), sds.values(), strict=True)
        return {("sd", "residual", name): float(sd) for name, sd in names if sd is not None}

    def given(self, **fields: Any) -> Self:
        """The same residual with these fields instead of its own."""
        kind: Any = self  # every kind is a dataclass; this class, which has no fields, is none
        return cast(Self, replace(kind, **fields))

    def check_numbers(self) -> None:
        """Refuse a residual that could not be drawn because a number is left out."""
        if self.left_out:
            what = " and ".join(self.left_out)
            raise ValueError(
                f"{type(self).__name__} leaves out {what}: an analysis estimates what is left out, a world needs it"
            )

    @property
    def _sd_words(self) -> str:
        """The sd, or the sd of each level."""
        if isinstance(self.sd, Mapping):
            return f"sd by {self.by}: " + ", ".join(f"{level} {sd:.4g}" for level, sd in self.sd.items())
        size = f"sd by {self.by}" if self.by is not None else "sd"
        size += " to be estimated" if self.sd is None else f" {self.sd:.4g}"
        return size if self.weights is None else f"{size} over the square root of {self.weights}"

    def shared(self, design: pd.DataFrame) -> RandomTerm | None:
        """The random effect that such residuals are free to act as, whatever their numbers; None if there is none."""
        return None

    def sds(self, design: pd.DataFrame) -> np.ndarray:
        """Return the sd of every row's residual, shape (n,)."""
        self.check_numbers()
        return self._level_sds(design) / np.sqrt(self.precisions(design))

    def _level_sds(self, design: pd.DataFrame) -> np.ndarray:
        """The sd of every row's level, (n,)."""
        if not isinstance(self.sd, Mapping):
            assert self.sd is not None
            return np.full(len(design), float(self.sd))
        levels = column_of(design, str(self.by))
        there = levels.cat.categories if isinstance(levels.dtype, pd.CategoricalDtype) else levels.unique()
        absent = [level for level in levels.unique() if level not in self.sd]
        extra = [level for level in self.sd if level not in set(there)]
        if absent or extra:
            what = f"no residual sd for {listed(absent)}" if absent else f"a residual sd for {listed(extra)}, no level,"
            raise ValueError(f"{what} of '{self.by}'; sd names {listed(self.sd)}, the levels are {listed(there)}")
        codes, names = pd.factorize(levels)  # a table of values would not find True under 1
        return np.array([self.sd[level] for level in names], dtype=float)[codes]

    def precisions(self, design: pd.DataFrame) -> np.ndarray:
        """What the variance of every row is divided by, shape (n,): 1, or its weight."""
        if self.weights is None:
            return np.ones(len(design))
        weights = column_of(design, self.weights)
        if not are_numbers(weights):
            raise ValueError(f"the weights '{self.weights}' are no numbers ({weights.dtype}) to divide a variance by")
        values = weights.to_numpy(dtype=float)
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            raise ValueError(
                f"the weight '{self.weights}' is {values[wrong[0]]:g} in row {design.index[wrong[0]]}: the variance of "
                "a row is sigma^2 over its weight, which must be above 0; leave out rows that carry no information"
            )
        return values

    def patterns(self, design: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (look, rows): what decides C of a unit with m rows, and the rows (units, m) of all units like it."""
        yield from ()

    def _correlations(self, look: np.ndarray) -> np.ndarray:
        """C of the m rows of one unit."""
        return np.eye(len(look))

    def _slopes(self, look: np.ndarray) -> list[np.ndarray]:
        """Derivatives of this C by each of its numbers."""
        return []

    def R(self, design: pd.DataFrame) -> csr_array:
        """Covariance of the residuals, shape (n, n): diagonal, or one block for each unit."""
        from scipy import sparse

        sds = self.sds(design)
        parts = [(self._correlations(look), rows) for look, rows in self.patterns(design)]
        if not parts:
            return sparse.csr_array(sparse.diags_array(sds**2))
        S = sparse.diags_array(sds)
        return sparse.csr_array(S @ assembled(parts, len(design)) @ S)

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
        slopes = [[(slope, rows) for slope in self._slopes(look)] for look, rows in self.patterns(design)]
        return out + [sparse.csr_array(S @ assembled(list(parts), n) @ S) for parts in zip(*slopes, strict=True)]

    def colour(self, design: pd.DataFrame) -> Colour:
        """Return the step from standard draws (replicates, n) to residuals, in place."""
        sds = self.sds(design)
        scale = sds[0] if (sds == sds[0]).all() else sds
        roots = [(covariance.square_root(self._correlations(look)), rows) for look, rows in self.patterns(design)]

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
        In the units of the response. A mapping gives each level of `by` its own. An analysis estimates it: leave it
        out there.
    by : str, optional
        The column that decides which sd a row has.
    shape : draws.Shape, optional
        Normal unless said otherwise; the sd stays what it is.
    weights : str, optional
        The column with the known precision of every row, as the number of values in a mean: its variance is the sd
        squared over the weight.

    Examples
    --------
    >>> design = pd.DataFrame({"method": ["usual", "new"]})
    >>> IID(sd={"usual": 9.0, "new": 12.0}, by="method").R(design).toarray()
    array([[ 81.,   0.],
           [  0., 144.]])
    >>> IID(sd=6.0, weights="n").R(pd.DataFrame({"n": [1, 4]})).toarray()
    array([[36.,  0.],
           [ 0.,  9.]])
    """

    sd: float | Mapping[Any, float] | None = None
    by: str | None = None
    shape: draws.Shape = field(default_factory=draws.normal)
    weights: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check()

    @property
    def words(self) -> str:
        """The sd, or the sd of each level."""
        return self._sd_words


def assembled(parts: list[tuple[np.ndarray, np.ndarray]], n: int) -> csr_array:
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


def level_names(levels: Iterable[Any]) -> list[str]:
    """Levels as text: the number 1 and the text "1" of one column are told apart by quotes.

    Examples
    --------
    >>> level_names([1, "a"]), level_names([1, "1"])
    (['1', 'a'], ['1', "'1'"])
    """
    given = list(levels)
    names = [str(level) for level in given]
    return names if len(set(names)) == len(names) else [quoted(level) for level in given]


def are_numbers(column: pd.Series) -> bool:
    """Whether a column can be read as numbers; dates cannot, whatever their unit may be."""
    if column.dtype.kind in "mM":
        return False
    try:
        column.to_numpy(dtype=float)
    except (TypeError, ValueError):
        return False
    return True


def column_of(design: pd.DataFrame, name: str) -> pd.Series:
    """A column that the residuals need, without gaps."""
    if not isinstance(name, str):
        raise TypeError(f"the residuals need the name of one column; got {name!r}")
    check_columns(design, [name], "design")
    if missing := int(design[name].isna().sum()):
        raise ValueError(f"'{name}' is missing in {missing} of {len(design)} rows; the residuals need it in each")
    return design[name]
