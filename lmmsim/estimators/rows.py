"""Which rows an analysis uses, and whether they can be analysed at all.

Rows that lack a value are never dropped in silence, and what cannot be analysed is refused before any arithmetic,
with the names of the columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import as_frame, check_columns, check_frame, listed, way_to_frame
from lmmsim.estimators.projection import Groups, Projection, patterns
from lmmsim.model.columns import Matrices, used_columns
from lmmsim.model.evaluation import dependent_columns
from lmmsim.model.formula import split
from lmmsim.model.frame import Columns, typed
from lmmsim.model.groups import Data, rows_without
from lmmsim.model.identifiable import doubts
from lmmsim.model.residual import Residual
from lmmsim.reml.residual_numbers import Numbers


def complete_rows(
    formula: str, data: pd.DataFrame, missing: str, response: bool = True, also: Sequence[str] = ()
) -> np.ndarray:
    """Find the rows that have a value in every column of the analysis.

    Parameters
    ----------
    formula : str
        Its columns are looked at, and those named in `also`.
    data : DataFrame
    missing : "drop" or "raise"
        What happens when rows lack a value: a UserWarning that counts them, or a ValueError.
    response : bool
        Whether the response is looked at; a batch brings its own.

    Returns
    -------
    ndarray of bool, one per row

    Raises
    ------
    ValueError
        If a column is not there, if there are no rows or none is left, or if rows lack a value and `missing` is
        "raise".
    TypeError
        If `data` is not a DataFrame.

    Examples
    --------
    >>> plants = pd.DataFrame({"height": [1.0, 2.0], "week": [0.0, None]})
    >>> complete_rows("height ~ week", plants, missing="raise")
    Traceback (most recent call last):
        ...
    ValueError: 1 of 2 rows have no week; drop or fill them, or say missing="drop" to analyse the other 1
    """
    return _complete(formula, Columns(data), missing, response, also)[1]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rows of an analysis.

    Attributes
    ----------
    covered : DataFrame
        The rows that have all covariates: those that center(x) and other functions look at.
    rows : ndarray of bool
        Which of them have a response too.
    columns : Columns
        Those of the rows that are analysed.
    """

    covered: pd.DataFrame
    rows: np.ndarray
    columns: Columns

    @property
    def used(self) -> pd.DataFrame:
        """The rows that are analysed."""
        return self.columns.data


def chosen_rows(formula: str, data: pd.DataFrame, missing: str, also: Sequence[str] = ()) -> Chosen:
    """Choose the rows of an analysis of one data set; errors and warnings are those of `complete_rows`."""
    columns = Columns(as_frame(data))
    gaps, keep = _complete(formula, columns, missing, True, also)
    if not gaps:
        return Chosen(columns.data, keep, columns)
    response = split(formula).response
    covered = np.logical_and.reduce([keep | True, *(~lacking for name, lacking in gaps.items() if name != response)])
    rows = keep[covered]
    whole = columns.data[covered]
    return Chosen(whole, rows, Columns(whole[rows]))


def _complete(
    formula: str, columns: Columns, missing: str, response: bool, also: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Which rows lack a value of which column, and which lack none."""
    data = columns.data
    if not isinstance(data, pd.DataFrame):
        raise TypeError(
            f"data is a {type(data).__name__}; an analysis needs a pandas DataFrame with a row per observation"
            f"{way_to_frame(data)}"
        )
    if len(data) == 0:
        raise ValueError("the data have no rows: there is nothing to analyse")
    if data.columns.nlevels > 1:
        check_frame(data, "data")
    parts = split(formula)
    wanted = [parts.response] if response else []
    names = list(dict.fromkeys([*wanted, *filter(data.columns.__contains__, parts.columns | parts.inside), *also]))
    check_columns(data, names)
    if not data.columns.is_unique:
        check_frame(data[names], "data")
    keep = np.ones(len(data), dtype=bool)
    gaps = rows_without(names, columns)
    if not gaps:
        return gaps, keep
    order = dict.fromkeys([*wanted, *used_columns(formula, data), *also])
    gaps = {name: gaps[name] for name in order if name in gaps}
    for lacking in gaps.values():
        keep &= ~lacking
    counts = {name: int(lacking.sum()) for name, lacking in gaps.items()}
    n, dropped = len(keep), int((~keep).sum())
    which = (
        " or ".join(f"{name} ({count})" for name, count in counts.items()) if len(counts) > 1 else next(iter(counts))
    )
    problem = f"{dropped} of {n} rows have no {which}"
    if dropped == n:
        raise ValueError(f"{problem}: nothing is left to analyse")
    if missing == "raise":
        raise ValueError(f'{problem}; drop or fill them, or say missing="drop" to analyse the other {n - dropped}')
    warnings.warn(f"{problem} and were dropped; the other {n - dropped} are analysed", UserWarning, stacklevel=4)
    return gaps, keep


def check_called_on_data(estimator: Any) -> None:
    """Refuse a spec that was given data where one of its settings stands."""
    for setting in fields(estimator):
        value = getattr(estimator, setting.name)
        if isinstance(value, pd.DataFrame) or (setting.type == "bool" and not isinstance(value, bool)):
            name = type(estimator).__name__
            raise TypeError(
                f"{setting.name} is a {type(value).__name__}; an estimator is made first and then called on data: "
                f"{name}(formula)(data)"
            )


def check_shape(Y: np.ndarray, n: int) -> np.ndarray:
    """Return Y as floats; refuse one that has not a row for every row of the data."""
    if np.iscomplexobj(Y):
        raise ValueError("Y holds complex numbers; responses are real")
    try:
        Y = np.asarray(Y, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Y holds what is no number ({error}); responses are measured in numbers") from None
    if Y.ndim != 2 or len(Y) != n:
        raise ValueError(
            f"Y has shape {Y.shape}; it needs one row for each of the {n} rows of the data and one column for "
            "each response"
        )
    return Y


def response_values(name: str, data: Data) -> np.ndarray:
    """Return the response as floats; refuse words, infinite values and a constant."""
    y = typed(name, data[name])
    if isinstance(y, pd.Categorical):
        raise ValueError(f"'{name}' is not a number column ({data[name].dtype}); a response is measured in numbers")
    infinite = np.flatnonzero(~np.isfinite(y))
    if len(infinite):
        row = data[name].index[infinite[0]]
        raise ValueError(f"'{name}' is infinite in {len(infinite)} of {len(y)} rows (the first: row {row})")
    if y.min() == y.max():
        raise ValueError(f"'{name}' is {y[0]:g} in all {len(y)} rows: a constant has no variance to explain")
    return y


def unusable(name: str, Y: np.ndarray) -> np.ndarray:
    """Say for each column of Y (n, r) why it cannot be analysed; an empty text when it can."""
    reasons = np.full(Y.shape[1], "", dtype=object)
    finite = np.isfinite(Y) | np.isnan(Y)
    for j in np.flatnonzero(~finite.all(axis=0)):
        reasons[j] = f"'{name}' is infinite in {np.count_nonzero(~finite[:, j])} of {len(Y)} rows"
    low, high = np.fmin.reduce(Y, axis=0), np.fmax.reduce(Y, axis=0)
    for j in np.flatnonzero((low == high) & (reasons == "")):
        reasons[j] = f"'{name}' is {low[j]:g} in all rows: a constant has no variance to explain"
    reasons[np.isnan(low)] = f"'{name}' is missing in all rows"
    return reasons


def gaps_refused(matrices: Matrices, numbers: Numbers, Y: np.ndarray) -> np.ndarray:
    """Say for each column of Y (n, r) why the rows that it has cannot be analysed; an empty text when they can."""
    reasons = np.full(Y.shape[1], "", dtype=object)
    for seen, members in patterns(~np.isnan(Y)):
        if not seen.all() and seen.any():
            reasons[members] = _refused(matrices, numbers, np.flatnonzero(seen))
    return reasons


def _refused(matrices: Matrices, numbers: Numbers, rows: np.ndarray) -> str:
    """The same for the rows of one pattern of gaps."""
    X, n = matrices.X.to_numpy()[rows], len(rows)
    where = "the rows observed in this replicate"
    if n <= X.shape[1]:
        return f"{n} rows observed in this replicate cannot estimate {X.shape[1]} coefficients and a residual"
    if dependent := dependent_columns(X):
        return f"{where} do not identify {listed(matrices.X.columns[dependent])}"
    for term in matrices.terms:
        levels, k = len(np.unique(term.codes[rows])), len(term.names)
        if levels < 2:
            return f"{where} are of one '{term.group}': a variance between groups needs at least two"
        if levels * k >= n:
            return f"{where} are {n}, no more than the random effects of '{term.group}' ({levels * k})"
    why = numbers.refusal(rows)
    return f"{where}: {why}" if why else ""


def with_doubts(matrices: Matrices, reml: bool, spec: Residual | None, used: pd.DataFrame) -> Matrices:
    """Warn of variances that no data of this design could tell, and note the coefficients that have no test then."""
    estimated = spec is not None and not {"rho", "corr"}.isdisjoint(spec.left_out)
    shared = spec.shared(used) if spec is not None and estimated else None
    found = doubts(matrices.values, matrices.basis.names, matrices.terms, reml, shared)
    for doubt in found:
        warnings.warn(doubt.reason, UserWarning, stacklevel=4)
    if not found:
        return matrices
    note = "; ".join(filter(None, [matrices.note, *(doubt.reason for doubt in found)]))
    untested = dict.fromkeys(name for doubt in found for name in doubt.untested)
    return replace(matrices, note=note, untested=tuple(untested))


def without_tests(matrices: Matrices, vcov: np.ndarray, df: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take variances (r, p, p) and df (r, p) away from the coefficients that have no test."""
    if not matrices.untested:
        return vcov, df
    lost = matrices.X.columns.isin(matrices.untested)
    return np.where(lost[:, None] | lost, np.nan, vcov), np.where(lost, np.nan, df)


def without_errors(projection: Projection, names: Sequence[str], unit: str) -> Projection:
    """Take robust errors away from coefficients that whole clusters determine: their residuals add up to zero there.

    With one cluster in each arm the sandwich is zero whatever the data, and every effect would be significant.
    """
    if not projection.robust:
        return projection
    X, weights, groups = projection.X, projection.weights, projection.groups
    probe = np.cos(np.arange(1, len(X) + 1) ** 1.5)[:, None]  # any response would do
    rest = probe - X @ (projection.pinv @ probe)
    own, plain = (weights**2).sum(axis=0), (projection.pinv**2).sum(axis=1)
    size = np.sqrt(np.maximum(own, plain)) * np.linalg.norm(rest)
    candidates = np.flatnonzero(np.abs(groups.sums(weights * rest)).max(axis=0) <= 1e-9 * size)
    if not len(candidates):
        return projection
    Q = np.linalg.qr(X)[0]
    nothing = own <= 1e-16 * plain  # CR2 has no weight in directions that a cluster alone determines
    lost = [int(j) for j in candidates if nothing[j] or _within(Q, weights[:, [j]], groups)]
    if lost:
        warnings.warn(
            f"there is no cluster-robust error of {', '.join(names[j] for j in lost)}: they take up whole levels of "
            f"'{unit}', whose residuals add up to zero; add clusters",
            UserWarning,
            stacklevel=5,
        )
        projection.df[lost] = np.nan
        weights[:, lost] = np.nan
    return projection


def _within(Q: np.ndarray, weight: np.ndarray, groups: Groups) -> bool:
    """Whether a column, cut into its clusters, lies within X cluster by cluster; Q has X's orthonormal columns."""
    total = float((weight**2).sum())
    return total - float((groups.sums(Q * weight) ** 2).sum()) <= 1e-10 * total
