"""What estimators by least squares share: which rows, one data set, many responses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from lmmsim.checks import Columns, as_frame, check_choice, check_level, columns_of
from lmmsim.estimators.asking import Questions
from lmmsim.estimators.estimates import Effects, Estimates
from lmmsim.estimators.fit import Fit
from lmmsim.estimators.projection import Groups, Prepare, Projection, by_pattern
from lmmsim.estimators.rows import (
    check_called_on_data,
    check_shape,
    chosen_rows,
    complete_rows,
    response_values,
    unusable,
)
from lmmsim.estimators.spellings import Fits
from lmmsim.model.columns import Matrices, build, levels_of
from lmmsim.model.formula import split


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that are analysed: X, its column names, and the unit of every row (none without units)."""

    X: np.ndarray
    names: tuple[str, ...]
    codes: np.ndarray | None = None
    levels: pd.Index | None = None

    def __getitem__(self, rows: np.ndarray) -> Rows:
        return Rows(self.X[rows], self.names, None if self.codes is None else self.codes[rows], self.levels)

    @property
    def groups(self) -> Groups:
        """The units as groups of rows."""
        assert self.codes is not None  # only analyses that name a unit ask
        return Groups(self.codes)


@dataclass(frozen=True, eq=False)
class Prepared:
    """An analysis of one design, whose responses may come in any number of batches."""

    estimator: LeastSquares
    keep: np.ndarray
    rows: Rows
    effects: tuple[Effects, ...] = ()
    questions: Questions | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self.estimator._names(self.rows)

    @cached_property
    def _whole(self) -> tuple[Projection, Prepare]:
        """The analysis of responses without gaps."""
        return self.estimator._analyse(self.rows)

    def __call__(self, Y: np.ndarray) -> Estimates:
        """Analyse every column of Y."""
        return self.many(Y)

    def many(self, Y: np.ndarray) -> Estimates:
        """Analyse every column of Y, (n, r); see `LeastSquares.many`."""
        one = self.estimator
        Y = check_shape(Y, len(self.keep))
        Y = Y if self.keep.all() else Y[self.keep]
        reasons = unusable(split(one.formula).response, Y)

        def analyse(observed: np.ndarray) -> tuple[Projection, Prepare]:
            return self._whole if observed.all() else one._analyse(self.rows[observed])

        return by_pattern(Y, self.terms, one.level, reasons, analyse, self.questions)


class LeastSquares(Fits, ABC):
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
    def _unit(self) -> Columns | None:
        """The column of the units, if the analysis has any."""

    @abstractmethod
    def _analyse(self, rows: Rows) -> tuple[Projection, Prepare]:
        """Return what is regressed on X, and how a response (n, r) is made ready for it."""

    def _describe(self, matrices: Matrices, rows: Rows) -> Matrices:
        """Return the labelled X that belongs to the rows of the regression."""
        return matrices

    def __post_init__(self) -> None:
        check_called_on_data(self)
        check_choice("missing", self.missing, ("drop", "raise"))
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
        chosen = chosen_rows(self.formula, data, self.missing, also=self._columns)
        y = response_values(split(self.formula).response, chosen.used)
        matrices, rows = self._build(chosen.covered, chosen.rows)
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
            data=chosen.used,
            y=y,
            beta=solved.estimate[0],
            vcov_beta=projection.vcov(solved)[0],
            df=projection.df,
            sigma=float(solved.sigma[0]),
            criterion=float(solved.criterion[0]),
            message=matrices.note,
            level=self.level,
            absorbed=absorbed,
            reference=projection.freedom,
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
        return self.prepare(data).many(Y)

    def prepare(self, data: pd.DataFrame) -> Prepared:
        """Do the work on a design once, for any number of batches of responses."""
        data = as_frame(data)
        keep = complete_rows(self.formula, data, self.missing, response=False, also=self._columns)
        _, rows = self._build(data if keep.all() else data[keep])
        return Prepared(self, keep, rows)

    def refit(self, fit: Fit, Y: np.ndarray) -> Estimates:
        """Analyse other responses (n, r) of the rows of a fit, whose columns keep their meaning."""
        levels, codes = levels_of(self._columns, fit.data) if self._columns else (None, None)
        rows = Rows(fit.matrices.X.to_numpy(), tuple(fit.matrices.X.columns), codes, levels)
        return Prepared(self, np.ones(len(fit.y), dtype=bool), rows).many(Y)

    @property
    def _columns(self) -> list[str]:
        return columns_of(self._unit)

    @property
    def _label(self) -> str:
        """The columns of the units in one word: school, or school:class."""
        return ":".join(self._columns)

    def _names(self, rows: Rows) -> tuple[str, ...]:
        return rows.names

    def _build(self, data: pd.DataFrame, chosen: np.ndarray | None = None) -> tuple[Matrices, Rows]:
        """Return X with its labels, and as arrays with the unit of every row."""
        matrices = build(self.formula, data, complete=True, rows=chosen, drop=True)
        X, names = matrices.X.to_numpy(), tuple(matrices.X.columns)
        if not self._columns:
            return matrices, Rows(X, names)
        levels, codes = levels_of(self._columns, data if chosen is None else data[chosen])
        return matrices, Rows(X, names, codes, levels)
