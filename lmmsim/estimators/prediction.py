"""What a fit says about rows, old or new, and how far that may be off.

The three kinds of prediction answer three questions and are named for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmsim.checks import as_frame, check_choice, check_columns, check_frame, check_level
from lmmsim.estimators.contrasts import standard_errors
from lmmsim.estimators.estimates import critical_value
from lmmsim.model.columns import Matrices, RandomTerm, levels_of, rebuild
from lmmsim.model.grid import Grid

Kind = Literal["population", "conditional", "new group"]
NewGroups = Literal["raise", "zero"]


def predict(
    fit: Any,
    data: pd.DataFrame | None = None,
    kind: Kind = "population",
    level: float = 0.95,
    new_groups: NewGroups = "raise",
    interval: bool = True,
) -> pd.DataFrame:
    """Predict rows, old or new.

    Parameters
    ----------
    fit : Fit
    data : DataFrame, optional
        Rows with the columns of the formula; the rows of the fit by default.
    kind : "population", "conditional" or "new group"
        population: X beta, the average over all groups. conditional: X beta + Z u, this group of the data.
        new group: one new measurement in groups that were never seen; the same mean as population, but with the
        spread of groups, residual and estimated coefficients around it.
    level : float
        Level of the intervals: t, with the df of what is predicted.
    new_groups : "raise" or "zero"
        Of a conditional prediction, what happens to groups that the fit has not seen. "zero": what is known of a row,
        as the school of a new class, is used, and the effect of what is new is 0, with its whole variance in the
        interval.
    interval : bool
        False leaves out all but the mean, which is faster for many rows of large data.

    Returns
    -------
    DataFrame, index of the rows
        `mean`, `se`, `df`, `low`, `high`. Of a conditional prediction `se` is the standard deviation of its error,
        which comes from the coefficients and from the effects of the group. For a new group it is called `sd`: that of
        a new measurement around the mean.

    Raises
    ------
    ValueError
        If the kind is not known, or has no meaning for the analysis; if a column is absent, rows have a level without a
        coefficient, or "conditional" is asked for a group that was not in the data.

    Notes
    -----
    The df of a prediction are Satterthwaite's, from the expected information about the variances; those of a population
    mean are the same as in `Fit.contrast`. Where the effect of a known group is predicted, `se` contains the error that
    comes from the estimated variances, by the formula of Prasad and Rao: without it, six schools of 20 pupils had 94 %
    of their means in intervals of 95 %, with it 96 %. Where the variance of few groups is often estimated as zero, the
    intervals are then somewhat too long. The numbers of residuals with a structure (AR1, unequal sds, Unstructured) are
    among the estimated variances: with eight plots of six weeks, AR1 with an sd for each of two arms, 93.4 % of the
    means were in their intervals without this part, and 96.0 % with it.

    References
    ----------
    Henderson (1975), Biometrics 31:423. Kackar & Harville (1984), Journal of the American Statistical Association
    79:853. Prasad & Rao (1990), the same 85:163. Datta & Lahiri (2000), Statistica Sinica 10:613.

    Examples
    --------
    >>> from lmmsim.estimators.lmm import LMM
    >>> rng = np.random.default_rng(1)
    >>> plants = pd.DataFrame({"plot": np.repeat(range(10), 5), "week": np.tile(range(5), 10)})
    >>> plants["height"] = 10 + 2 * plants["week"] + rng.normal(size=10)[plants["plot"]] + rng.normal(size=50)
    >>> fit = LMM("height ~ week + (1 | plot)")(plants)
    >>> list(fit.predict(pd.DataFrame({"week": [5], "plot": ["new"]}), kind="new group").columns)
    ['mean', 'sd', 'df', 'low', 'high']
    """
    check_choice("kind", kind, ("population", "conditional", "new group"))
    check_choice("new_groups", new_groups, ("raise", "zero"))
    check_level(level)
    if len(fit.y) != len(fit.data) and kind != "population":
        raise ValueError(
            f"kind='{kind}' has no meaning for {fit.method}: an analysis of means knows neither the effect of a group "
            "nor the spread within it; use kind='population', or LMM"
        )
    data = as_frame(data)
    if fit.absorbed:
        return _within(fit, data, kind, level)
    rows = fit.matrices if data is None else new_rows(fit, with_groups(fit.matrices, data, kind))
    X = rows.X[list(fit.terms)].to_numpy()
    if not np.isfinite(X).all():
        name = fit.terms[int(np.argmin(np.isfinite(X).all(axis=0)))]
        raise ValueError(
            f"the column '{name}' of X is infinite or undefined in these rows: there is nothing to predict"
        )
    if data is not None and "left out" in fit.matrices.note:
        _check_cells(fit, data)
    mean = X @ fit.beta
    if kind == "conditional":
        for term in rows.terms:
            if new_groups == "raise":
                check_known(term.group, term.codes, rows.X.index, why_unknown(term.by, term.keys, data))
        mean = mean + sum(_effects(term, u) for term, u in zip(rows.terms, fit.modes, strict=True))
    if not interval:
        return pd.DataFrame({"mean": mean}, index=rows.X.index)
    if kind == "population" or not (fit.matrices.terms or kind == "new group"):
        se = standard_errors(X, fit.vcov_all, fit.untold)
        return _table(rows, mean, se, np.where(np.isnan(se), np.nan, _df(fit, X)), level)
    from lmmsim.estimators.prediction_error import errors

    measured = (fit.data if data is None else data) if kind == "new group" else None
    found = errors(fit.equation, fit.information, fit.vcov_beta, rows, kind == "conditional", measured)
    df = np.where(np.isnan(found.variance), np.nan, found.df if np.isfinite(fit.df).any() else np.inf)
    sd = np.sqrt(np.clip(found.variance, 0, None))
    return _table(rows, mean, sd, df, level, "sd" if measured is not None else "se")


def _check_cells(fit: Any, data: pd.DataFrame) -> None:
    """Refuse rows in cells of an interaction that had none: what was left out says what is predicted there."""
    grid = Grid(fit.matrices, fit.data, fit.terms)
    if set(grid.whole.terms) == set(fit.terms):
        return  # a level has left, and its rows are refused
    columns = grid.all_columns(data)
    try:
        grid.estimable(columns)
    except ValueError:
        for i in range(len(columns)):  # the first of them has a name
            try:
                grid.estimable(columns[i : i + 1])
            except ValueError as error:
                raise ValueError(f"row {columns.index[i]}: {error}") from None


def _table(
    rows: Matrices, mean: np.ndarray, se: np.ndarray, df: np.ndarray, level: float, name: str = "se"
) -> pd.DataFrame:
    """Predictions with their intervals."""
    reach = critical_value(df, level) * se
    columns = {"mean": mean, name: se, "df": df, "low": mean - reach, "high": mean + reach}
    return pd.DataFrame(columns, index=rows.X.index)


def _df(fit: Any, X: np.ndarray) -> np.ndarray:
    """Df of every row; rows that are alike are worked out once."""
    distinct, place = np.unique(X, axis=0, return_inverse=True)
    return np.asarray(fit.freedom.df(distinct)[0][place.ravel()])


def _effects(term: RandomTerm, u: np.ndarray) -> np.ndarray:
    """z'u of every row; 0 where the group is new."""
    known = term.codes >= 0
    return np.where(known, (term.columns * u[np.where(known, term.codes, 0)]).sum(axis=1), 0.0)


def _within(fit: Any, data: pd.DataFrame | None, kind: Kind, level: float) -> pd.DataFrame:
    """Predictions of an analysis within groups: the mean of the group, and the differences within it."""
    if kind != "conditional":
        raise ValueError(
            f"kind='{kind}' has no meaning for {fit.method}: it has an intercept for each of its groups and none for "
            "others; use kind='conditional', or LMM"
        )
    unit = fit.estimator._columns
    rows = fit.matrices if data is None else new_rows(fit, data)
    frame = fit.data if data is None else data
    check_columns(frame, unit)
    check_frame(frame[list(unit)], "data")
    codes = _known_units(fit.data, frame, unit)
    known = [pd.Index(fit.data[name].unique(), tupleize_cols=False) for name in unit]
    check_known(":".join(unit), codes, rows.X.index, why_unknown(unit, known, data))
    own = levels_of(unit, fit.data)[1]
    size = np.bincount(own)
    X_all, X = fit.matrices.X[list(fit.terms)].to_numpy(), rows.X[list(fit.terms)].to_numpy()
    centre = np.column_stack([np.bincount(own, weights=column) / size for column in X_all.T])
    level_of = np.bincount(own, weights=fit.y) / size
    deviation = X - centre[codes]
    variance = fit.sigma**2 / size[codes] + standard_errors(deviation, fit.vcov_beta) ** 2
    mean = level_of[codes] + deviation @ fit.beta
    return _table(rows, mean, np.sqrt(variance), np.broadcast_to(fit.df[:1], len(X)), level)


def _known_units(old: pd.DataFrame, new: pd.DataFrame, unit: Sequence[str]) -> np.ndarray:
    """For every new row the code of its group among those of the old rows, -1 for another."""
    codes = levels_of(unit, old)[1]
    keys = dict(zip(zip(*(old[name].tolist() for name in unit), strict=True), codes.tolist(), strict=True))
    return np.array([keys.get(key, -1) for key in zip(*(new[name].tolist() for name in unit), strict=True)], dtype=int)


def with_groups(matrices: Matrices, data: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return the data; a conditional prediction needs their groups, and predictions for no group in particular none."""
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"data is a {type(data).__name__}; rows are predicted from a DataFrame, as pd.DataFrame([row])")
    absent = [name for term in matrices.terms for name in term.by if name not in data.columns]
    if absent and kind == "conditional":
        raise ValueError(f"a conditional prediction needs the column '{absent[0]}'; kind='population' does not")
    return data


def new_rows(fit: Any, data: pd.DataFrame) -> Matrices:
    """Build the columns of the fit for these rows; refuse a level that it has no coefficient for."""
    return rebuild(fit.matrices, data)


def check_known(group: str, codes: np.ndarray, index: pd.Index, why: str = "") -> None:
    """Refuse rows whose group has no predicted effect."""
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        way = "kind='new group' predicts for those, and new_groups='zero' uses what is known of their other groups"
        raise ValueError(
            f"{len(unknown)} rows (the first: {index[unknown[0]]}) are in a '{group}' that the fit has not seen; "
            f"{why or way}"
        )


def why_unknown(by: Sequence[str], keys: Sequence[pd.Index], data: pd.DataFrame | None) -> str:
    """What is the matter with groups that are written like known ones, or not at all; empty if they are new."""
    for name, known in zip(by, keys, strict=True):
        if data is None or name not in data.columns:
            continue
        column = data[name]
        if column.isna().any():
            return f"'{name}' is missing in {column.isna().sum()} of {len(column)} rows: leave them out, or fill them"
        values = pd.Index(column.unique(), tupleize_cols=False)
        new = values[known.unique().get_indexer(values) < 0]
        equal = map(str, {*new.tolist()} & {*known.tolist()})  # True and 1
        if like := sorted({*map(str, new)} & {*map(str, known)}) or sorted(equal):
            return (
                f"'{name}' is {like[0]} in these rows and in the fit, but of another type ({values.dtype} here, "
                f"{known.dtype} in the fit): convert one to the other, as data['{name}'].astype({_type_of(known)})"
            )
    return ""


def _type_of(known: pd.Index) -> str:
    """A type as `astype` is told it."""
    return "str" if pd.api.types.infer_dtype(known) == "string" else repr(str(known.dtype))
