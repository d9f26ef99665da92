"""What a fitted mixed model says about rows, old or new.

The three kinds of prediction answer three questions and are named for them.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from lmmsim.checks import check_choice, check_columns, check_level
from lmmsim.estimators.estimates import spread
from lmmsim.estimators.fit import Fit
from lmmsim.model.columns import Matrices, rebuild, used_columns

Kind = Literal["population", "conditional", "new group"]


def predict(fit: Fit, data: pd.DataFrame | None = None, kind: Kind = "population", level: float = 0.95) -> pd.DataFrame:
    """Predict the response of rows, old or new.

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
        Level of the intervals (normal).

    Returns
    -------
    DataFrame, index of the rows
        population: `mean`, its standard error `se`, and `low`, `high` around the mean.
        conditional: `mean`.
        new group: `mean`, the `sd` of a new measurement around it, and `low`, `high` that it falls between.

    Raises
    ------
    ValueError
        If the kind is not known, a column is absent, rows have a level without a coefficient, or "conditional" is asked
        for a group that was not in the data.

    Examples
    --------
    >>> from lmmsim.estimators.lmm import LMM
    >>> rng = np.random.default_rng(1)
    >>> plants = pd.DataFrame({"plot": np.repeat(range(10), 5), "week": np.tile(range(5), 10)})
    >>> plants["height"] = 10 + 2 * plants["week"] + rng.normal(size=10)[plants["plot"]] + rng.normal(size=50)
    >>> fit = LMM("height ~ week + (1 | plot)")(plants)
    >>> list(predict(fit, pd.DataFrame({"week": [5], "plot": ["new"]}), kind="new group").columns)
    ['mean', 'sd', 'low', 'high']
    """
    from scipy.special import ndtri

    check_choice("kind", kind, ("population", "conditional", "new group"))
    check_level(level)
    rows = fit.matrices if data is None else new_rows(fit, with_groups(fit.matrices, data, kind))
    X = rows.X[list(fit.terms)].to_numpy()
    mean = X @ fit.beta
    if kind == "conditional":
        for term in rows.terms:
            check_known(term.group, term.codes, rows.X.index)
        return pd.DataFrame({"mean": mean + spread(rows.terms, fit.modes)}, index=rows.X.index)
    variance = np.einsum("ni,ij,nj->n", X, fit.vcov_beta, X)
    if kind == "new group":
        variance = variance + sum(replace(fit.equation, X=rows.X, terms=rows.terms).variances.values())
        variance = variance + fit.residual.sds(fit.data if data is None else data) ** 2
    sd = np.sqrt(variance)
    reach = ndtri((1 + level) / 2) * sd
    columns = {"mean": mean, "se" if kind == "population" else "sd": sd, "low": mean - reach, "high": mean + reach}
    return pd.DataFrame(columns, index=rows.X.index)


def with_groups(matrices: Matrices, data: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return the data with grouping columns: predictions for no group in particular need none."""
    columns = [name for term in matrices.terms for name in term.group.split(":")]
    absent = [name for name in dict.fromkeys(columns) if name not in data.columns]
    if absent and kind == "conditional":
        raise ValueError(f"a conditional prediction needs the column '{absent[0]}'; kind='population' does not")
    return data.assign(**dict.fromkeys(absent, "")) if absent else data


def new_rows(fit: Fit, data: pd.DataFrame) -> Matrices:
    """Build the columns of the fit for these rows; refuse a level that it has no coefficient for."""
    from formulaic.errors import DataMismatchWarning

    check_columns(data, used_columns(fit.formula, fit.data))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)  # formulaic would take the reference level instead
        try:
            return rebuild(fit.matrices, data)
        except DataMismatchWarning as problem:
            unseen = str(problem).partition(": ")[2].partition(". ")[0]
            raise ValueError(f"the fit has not seen the level {unseen}: there is no coefficient for it") from None


def check_known(group: str, codes: np.ndarray, index: pd.Index) -> None:
    """Refuse rows whose group has no predicted effect."""
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} rows (the first: {index[unknown[0]]}) are in a '{group}' that the fit has not seen; "
            "kind='new group' predicts for those"
        )
