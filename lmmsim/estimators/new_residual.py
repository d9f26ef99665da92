"""The residual of a new measurement: its variance, and the number of the fitted residual that this variance is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import listed
from lmmsim.model.equation import Equation
from lmmsim.model.residual import column_of


def own_variances(
    equation: Equation, parts: Sequence[Any], measured: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The variance of the residual of new rows, which number of the residual it has, and its derivative by that.

    Parameters
    ----------
    equation : Equation
        Of the data that were analysed.
    parts : sequence of sparse, (n, n)
        Derivatives of R by its numbers, on the rows of these data.
    measured : DataFrame
        Rows with the column by which residuals differ, if they do; their unit and time do not matter.

    Raises
    ------
    ValueError
        If a row is of a level whose sd the data do not tell.
    """
    residual = equation.residual
    share = 1 / residual.precisions(measured)
    if not isinstance(residual.sd, Mapping):
        return float(residual.sd) ** 2 * share, np.zeros(len(measured), dtype=int), share
    name = str(residual.by)
    diagonals = np.array([D.diagonal() for D in parts])
    old, place = column_of(equation.design, name).to_numpy(), {}
    for level in residual.sd:
        rows = np.flatnonzero(old == level)
        place[level] = int((diagonals[:, rows[0]] > 0).argmax()) if len(rows) else 0
    new = column_of(measured, name).tolist()
    absent = [level for level in dict.fromkeys(new) if level not in place]
    if absent:
        raise ValueError(
            f"no residual sd for {listed(absent)} of '{name}': the fit has those of {listed(residual.sd)}; "
            "kind='population' does not need one"
        )
    sds = np.array([residual.sd[level] for level in new])
    return sds**2 * share, np.array([place[level] for level in new]), share
