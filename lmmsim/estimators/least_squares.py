"""Regressions by least squares: `OLS`, on `GroupMeans`, and `Within` groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from lmmsim.checks import Columns, check_choice, listed
from lmmsim.estimators.projection import Prepare, Projection
from lmmsim.estimators.regression import LeastSquares, Rows
from lmmsim.estimators.rows import (
    without_errors,
)
from lmmsim.model.columns import Matrices
from lmmsim.model.identifiable import check_X


@dataclass(frozen=True)
class OLS(LeastSquares):
    """Ordinary least squares, with plain or cluster-robust standard errors.

    Parameters
    ----------
    formula : str
        `y ~ x * z`, without random effects.
    cluster : str or list of str, optional
        Column of the clusters, or columns whose combinations they are; errors are then robust to any dependence
        within them.
    robust : "CR1", "CR0" or "CR2", optional
        Which robust variance of clusters; CR1 unless another is named. CR0: the plain sandwich, z. CR1: Stata's
        small-sample factor J / (J - 1) (n - 1) / (n - p), t with J - 1 df. CR2: unbiased when errors are independent,
        t with Satterthwaite df (Bell & McCaffrey 2002; Pustejovsky & Tipton 2018); the one for few clusters.
    missing : "drop" or "raise"
        What happens to rows that lack a value: dropped, which a warning and the fit's print count, or an error.
    level : float
        Level of the intervals.

    Examples
    --------
    >>> pupils = pd.DataFrame({"score": [1.0, 2.0, 4.0, 3.0, 6.0, 5.0], "hours": [0, 1, 2, 3, 4, 5]})
    >>> OLS("score ~ hours")(pupils).coef["estimate"].round(3).to_dict()
    {'Intercept': 1.286, 'hours': 0.886}
    """

    formula: str
    cluster: Columns | None = None
    robust: Literal["CR0", "CR1", "CR2"] | None = None
    missing: Literal["drop", "raise"] = "drop"
    level: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("robust", self.robust, (None, "CR0", "CR1", "CR2"))
        if self.robust and not self.cluster:
            raise ValueError(f"robust='{self.robust}' needs cluster=, the column that says which errors go together")
        if self.cluster and not self.robust:
            object.__setattr__(self, "robust", "CR1")

    @property
    def method(self) -> str:
        """How results are labelled."""
        return f"Least squares, {self.robust} errors by {self._label}" if self.cluster else "Least squares"

    @property
    def _unit(self) -> Columns | None:
        return self.cluster

    def _analyse(self, rows: Rows) -> tuple[Projection, Prepare]:
        check_X(rows.X, rows.names)
        projection = Projection(rows.X, len(rows.X) - len(rows.names), rows.codes, self.robust or "")
        return without_errors(projection, rows.names, self._label), lambda Y: Y


@dataclass(frozen=True)
class GroupMeans(LeastSquares):
    """Least squares on one row per group: the means of the response and of every column of X.

    Parameters
    ----------
    formula : str
        `y ~ x`, without random effects; columns of X are averaged, so `x` becomes the mean of x in the group.
    unit : str or list of str
        Column of the groups; `"a:b"` or `["a", "b"]` for the combinations of two.
    by : str, optional
        Another word for `unit`.
    missing, level
        As in `OLS`.

    Examples
    --------
    >>> pupils = pd.DataFrame({"school": [*"aabbcc"], "new": [0, 0, 0, 0, 1, 1], "score": [1.0, 3, 2, 4, 6, 8]})
    >>> GroupMeans("score ~ new", unit="school")(pupils).coef["estimate"].round(3).to_dict()
    {'Intercept': 2.5, 'new': 4.5}
    """

    formula: str
    unit: Columns | None = None
    missing: Literal["drop", "raise"] = "drop"
    level: float = 0.95
    by: Columns | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", self.by if self.unit is None else self.unit)
        object.__setattr__(self, "by", None)
        if self.unit is None:
            raise TypeError("GroupMeans needs unit=, the column that says whose rows are averaged, as unit='school'")
        super().__post_init__()

    @property
    def method(self) -> str:
        """How results are labelled."""
        return f"Least squares on means by {self._label}"

    @property
    def _unit(self) -> Columns | None:
        return self.unit

    def _analyse(self, rows: Rows) -> tuple[Projection, Prepare]:
        groups = rows.groups
        X = groups.means(rows.X)
        self._check_between(rows, X)
        check_X(X, rows.names, unit="groups")
        return Projection(X, groups.J - X.shape[1]), groups.means

    def _check_between(self, rows: Rows, X: np.ndarray) -> None:
        """Refuse columns that vary within groups only: beside an intercept, their means X say nothing."""
        if "Intercept" not in rows.names or len(X) <= X.shape[1]:
            return
        inside = (np.ptp(X, axis=0) <= 1e-10 * np.abs(rows.X).max(axis=0)) & (np.ptp(rows.X, axis=0) > 0)
        if inside.any():
            raise ValueError(
                f"{listed(name for name, flat in zip(rows.names, inside, strict=True) if flat)} has the same mean in "
                f"every level of '{self._label}', so the means say nothing about it: remove it from the formula, or "
                "use Within or LMM"
            )

    def _describe(self, matrices: Matrices, rows: Rows) -> Matrices:
        X = pd.DataFrame(rows.groups.means(rows.X), columns=list(rows.names))
        return matrices.with_X(X.set_axis(rows.levels).rename_axis(self._label))


@dataclass(frozen=True)
class Within(LeastSquares):
    """Least squares on deviations from group means: "fixed effects", every group its own intercept.

    Parameters
    ----------
    formula : str
        `y ~ x`, without random effects. The intercept disappears into the groups; a column that is constant within
        all groups cannot be estimated and is an error.
    unit : str or list of str
        Column of the groups; `"a:b"` or `["a", "b"]` for the combinations of two.
    missing, level
        As in `OLS`.

    Examples
    --------
    >>> pupils = pd.DataFrame({"school": [*"aabb"], "hours": [0, 1, 0, 2], "score": [1.0, 3, 7, 10]})
    >>> Within("score ~ hours", unit="school")(pupils).coef["estimate"].round(3).to_dict()
    {'hours': 1.6}
    """

    formula: str
    unit: Columns
    missing: Literal["drop", "raise"] = "drop"
    level: float = 0.95

    @property
    def method(self) -> str:
        """How results are labelled."""
        return f"Least squares within {self._label}"

    @property
    def _unit(self) -> Columns | None:
        return self.unit

    def _names(self, rows: Rows) -> tuple[str, ...]:
        return tuple(name for name in rows.names if name != "Intercept")

    def _analyse(self, rows: Rows) -> tuple[Projection, Prepare]:
        groups, names = rows.groups, self._names(rows)
        X = rows.X[:, [rows.names.index(name) for name in names]]
        if not names:
            raise ValueError(f"'{self.formula}' has only an intercept; within groups there is nothing to estimate")

        def deviations(Y: np.ndarray) -> np.ndarray:
            return Y - groups.means(Y)[groups.codes]

        D = deviations(X)
        flat = np.abs(D).max(axis=0) <= 1e-10 * np.abs(X).max(axis=0)
        constant = [name for name, is_flat in zip(names, flat, strict=True) if is_flat]
        if constant:
            raise ValueError(
                f"{listed(constant)} does not vary within the levels of '{self._label}', so differences within them "
                "say nothing about it: remove it from the formula, or use GroupMeans or LMM"
            )
        check_X(D, names, spent=groups.J)
        return Projection(D, len(D) - groups.J - D.shape[1]), deviations

    def _describe(self, matrices: Matrices, rows: Rows) -> Matrices:
        return matrices.with_X(matrices.X[list(self._names(rows))])
