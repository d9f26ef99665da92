"""Serial correlation: are residuals of one unit more alike the closer they are in time?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmmsim.diagnostics.refits import Check, Refits, as_refits, band, column, verdict
from lmmsim.estimators.fit import Fit
from lmmsim.streams import Rng


def lag_correlation(
    fit: Fit | Refits, time: str, unit: str | None = None, lags: int = 12, replicates: int = 199, rng: Rng = None
) -> Check:
    """Correlate the conditional residuals of a unit with each other, by the time between them, and give the variogram.

    Parameters
    ----------
    fit : Fit or Refits
    time : str
        A numeric column.
    unit : str, optional
        Whose measurements follow each other: a column, the first grouping factor by default.
    lags : int
        Classes of the time between two measurements; fewer distinct times are taken as they are.
    replicates : int
        Simulated data sets, if they are not there already.
    rng : Generator, int or None

    Returns
    -------
    Check
        `table`, a row for each lag: `lag` (in units of time), `pairs`, `correlation`, `low`, `high`; and half the mean
        squared difference, `semivariance`, with `semivariance_low` and `semivariance_high`. Fitted groups make
        residuals negatively correlated, which the simulated limits know. `verdict`, "lag_correlation time": the
        correlation at the shortest lag.

    Raises
    ------
    ValueError
        If a column is not there, or no unit is measured twice.

    References
    ----------
    Diggle, Heagerty, Liang & Zeger (2002), Analysis of Longitudinal Data, section 3.4.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> check = lag_correlation(LMM(plants.model.formula)(plants.data), time="week", replicates=99, rng=2)
    >>> check.table[["lag", "pairs"]].astype(int).to_numpy().tolist()
    [[1, 120], [2, 90], [3, 60], [4, 30]]
    """
    refit = as_refits(fit, replicates, rng)
    times = column(refit, time).to_numpy(dtype=float)
    earlier, later = _pairs(_units(refit, unit), times)
    if not len(earlier):
        raise ValueError(f"no unit is measured at two different values of '{time}': there is no lag to look at")
    distance, number = _classes(np.abs(times[later] - times[earlier]), lags)
    residuals = refit.conditional
    correlation, semivariance = np.empty((2, len(distance), residuals.shape[1]))
    for lag in range(len(distance)):
        first, second = residuals[earlier[number == lag]], residuals[later[number == lag]]
        size = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
        correlation[lag] = (first * second).sum(axis=0) / size
        semivariance[lag] = ((first - second) ** 2).mean(axis=0) / 2
    table = pd.DataFrame(
        {
            "lag": distance,
            "pairs": np.bincount(number),
            "correlation": correlation[:, 0],
            **band(correlation[:, 1:]),
            "semivariance": semivariance[:, 0],
            **{f"semivariance_{end}": values for end, values in band(semivariance[:, 1:]).items()},
        }
    )
    return Check(table, verdict(f"lag_correlation {time}", correlation[0], sided=2))


def _units(refit: Refits, unit: str | None) -> np.ndarray:
    """Number of the unit that each row belongs to."""
    bars = refit.fit.matrices.terms
    if unit is None:
        if not bars:
            raise ValueError(
                "the fit has no grouping factor: name the column with the unit that is measured repeatedly"
            )
        return bars[0].codes
    for term in bars:
        if term.group == unit:
            return term.codes
    return pd.factorize(column(refit, unit))[0]


def _pairs(units: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (earlier, later) of every two measurements of a unit at different times."""
    order = np.lexsort((times, units))
    earlier, later = [np.zeros(0, int)], [np.zeros(0, int)]
    for step in range(1, int(np.bincount(units).max())):
        one, other = order[:-step], order[step:]
        same = (units[one] == units[other]) & (times[one] < times[other])
        earlier.append(one[same])
        later.append(other[same])
    return np.concatenate(earlier), np.concatenate(later)


def _classes(distance: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance of each class, and the class of each pair."""
    values, number = np.unique(distance.round(9), return_inverse=True)
    if len(values) > lags:
        cuts = np.unique(np.quantile(distance, np.linspace(0, 1, lags + 1)[1:-1]))
        _, number = np.unique(np.searchsorted(cuts, distance, side="right"), return_inverse=True)
    return np.bincount(number, weights=distance) / np.bincount(number), number
