"""What all least-squares estimators share: which rows are analysed, one data set, many responses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lmmsim.checks import check_choice, check_level
from lmmsim.estimates import Estimates
from lmmsim.fit import Fit
from lmmsim.formula import Matrices, build, split
from lmmsim.observed import check_shape, complete_rows, response_values, unusable
from lmmsim.projection import Groups, Prepare, Projection, by_pattern


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that are analysed: X, its column names, and the group of every row (none without a group)."""

    X: np.ndarray
    names: tuple[str, ...]
    codes: np.ndarray | None = None

    def __getitem__(self, rows: np.ndarray) -> Rows:
        return Rows(self.X[rows], self.names, None if self.codes is None else self.codes[rows])

    @property
    def groups(self) -> Groups:
        """The groups that these rows belong to."""
        if self.codes is None:
            raise ValueError("these rows have no groups")
        return Groups(self.codes)


class LeastSquares(ABC):
    """What the three estimators share: which rows, one data set, many responses."""

    formula: str
    missing: str
    level: float

    @property
    @abstractmethod
    def method(self) -> str:
        """How results are labelled."""

    @property
    @abstractmethod
    def _group(self) -> str | None:
        """The column of the groups, if the analysis has any."""

    @abstractmethod
    def _analyse(self, rows: Rows) -> tuple[Projection, Prepare]:
        """Return what is regressed on X, and how a response (n, r) is made ready for it."""

    def _describe(self, matrices: Matrices, rows: Rows) -> Matrices:
        """Return the labelled X that belongs to the rows of the regression."""
        return matrices

    def __post_init__(self) -> None:
        check_choice("missing", self.missing, ("warn", "raise"))
        check_level(self.level)
        bars = split(self.formula).bars
        if bars:
            name = type(self).__name__
            raise ValueError(f"{name} has no random effects, but '{self.formula}' has {bars[0]}: remove it or use LMM")

    def __call__(self, data: pd.DataFrame) -> Fit:
        """Analyse one data set.

        Parameters
        ----------
        data : DataFrame
            One row per observation.

        Returns
        -------
        Fit

        Raises
        ------
        ValueError
            If the data cannot be analysed: a column is absent or infinite, X has not full rank, the response is
            constant, or rows lack values and `missing` is "raise".
        """
        keep = complete_rows(self.formula, data, self.missing, also=self._columns)
        used = data if keep.all() else data[keep]
        y = response_values(split(self.formula).response, used)
        matrices, rows = self._build(used)
        projection, prepare = self._analyse(rows)
        solved = projection.solve(prepare(y[:, None]))
        matrices = self._describe(matrices, rows)
        if len(matrices.X) != len(y):
            y = prepare(y[:, None])[:, 0]
        X, absorbed = matrices.X.to_numpy(), len(y) - solved.estimate.shape[1] - projection.df_resid
        return Fit(
            method=self.method,
            formula=self.formula,
            estimator=self,
            matrices=matrices,
            data=used,
            y=y,
            beta=solved.estimate[0],
            vcov_beta=projection.vcov(solved),
            df=projection.df,
            sigma=float(solved.sigma[0]),
            criterion=float(solved.criterion[0]),
            level=self.level,
            absorbed=absorbed,
            group_means=y - X @ solved.estimate[0] - solved.resid[:, 0] if absorbed else None,
        )

    def many(self, Y: np.ndarray, data: pd.DataFrame, start: object = None) -> Estimates:
        """Analyse every column of Y.

        Parameters
        ----------
        Y : ndarray, (n, r)
            Responses; rows in the order of `data`. NaN: not observed in that replicate.
        data : DataFrame
            The design; its own response column, if any, is not looked at.
        start : object
            Not used; there is nothing to iterate.

        Returns
        -------
        Estimates
            What r single calls return.
        """
        Y = check_shape(Y, data)
        keep = complete_rows(self.formula, data, self.missing, response=False, also=self._columns)
        if not keep.all():
            data, Y = data[keep], Y[keep]
        _, rows = self._build(data)
        reasons = unusable(split(self.formula).response, Y)
        return by_pattern(Y, self._names(rows), self.level, reasons, lambda observed: self._analyse(rows[observed]))

    @property
    def _columns(self) -> list[str]:
        return self._group.split(":") if self._group else []

    def _names(self, rows: Rows) -> tuple[str, ...]:
        return rows.names

    def _build(self, data: pd.DataFrame) -> tuple[Matrices, Rows]:
        """Return X with its labels, and as arrays with the group of every row."""
        matrices = build(
            f"{self.formula} + (1 | {self._group})" if self._group else self.formula,
            data,
        )
        codes = matrices.terms[0].codes if self._group else None
        rows = Rows(matrices.X.to_numpy(), tuple(matrices.X.columns), codes)
        return replace(matrices, formula=self.formula), rows
