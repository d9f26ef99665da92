"""Clusters: what dependence between the rows of a unit does to means and slopes, and what dropout does to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim import covariance
from lmmsim.checks import check_number, check_sd, is_number


def design_effect(size: float, icc: float) -> float:
    """Factor by which clusters inflate the variance of a mean, or of an effect between clusters.

    Parameters
    ----------
    size : float
        Rows in each cluster.
    icc : float
        Intraclass correlation.

    Returns
    -------
    float
        1 + (size - 1) icc. Rows divided by it are the effective sample size; its square root is by how much the
        standard error of least squares is too small. For a predictor that varies within clusters it is 1 - icc.

    References
    ----------
    Kish (1965), Survey Sampling, section 5.4.

    Examples
    --------
    >>> round(design_effect(size=20, icc=0.05), 2)
    1.95
    """
    check_number("size", size, least=1)
    check_number("icc", icc, least=-1 / (size - 1) if size > 1 else -1, most=1)
    return 1 + (size - 1) * icc


def dropout_means(limit: float, corr: float, mean: tuple[float, float] = (0.0, 0.0), sd: float = 1.0) -> pd.Series:
    """Means at two waves when whoever is above a limit at the first does not come to the second (MAR).

    Parameters
    ----------
    limit : float
        The second value is missing if the first is above it.
    corr : float
        Correlation of the two values, which are normal.
    mean : (float, float)
        Their means.
    sd : float
        Their standard deviation.

    Returns
    -------
    Series
        `complete`, the share that stays; `mean2`, the mean of the second values that are seen; `change_completers`, the
        mean change of those who stay; `change_available`, `mean2` minus the mean of all first values; `change` itself.

    References
    ----------
    Little & Rubin (2019), Statistical Analysis with Missing Data, chapters 1 and 7.

    Examples
    --------
    >>> dropout_means(limit=0.0, corr=0.8)[["mean2", "change_completers"]].round(3).to_dict()
    {'mean2': -0.638, 'change_completers': 0.16}
    """
    from scipy.special import ndtr

    check_number("limit", limit)
    check_number("corr", corr, least=-1, most=1)
    check_sd("the values", sd)
    if sd == 0 or len(mean) != 2 or not all(map(is_number, mean)):
        raise ValueError(f"mean is {mean!r} and sd {sd}; two means are numbers, and their sd is above 0")
    a = (limit - mean[0]) / sd
    complete = float(ndtr(a))
    selected = -sd * np.exp(-(a**2) / 2) / np.sqrt(2 * np.pi) / complete  # mean of those who stay, from their own mean
    seen = mean[1] + corr * selected
    return pd.Series(
        {
            "complete": complete,
            "mean2": seen,
            "change": mean[1] - mean[0],
            "change_completers": seen - (mean[0] + selected),
            "change_available": seen - mean[0],
        }
    )


def ar1_design_effects(times: ArrayLike, rho: float) -> pd.Series:
    """Factors by which AR(1) errors change the variance of a mean and of a least-squares slope over time.

    Parameters
    ----------
    times : array_like, (m,)
        When a unit is measured.
    rho : float
        Correlation one unit of time apart.

    Returns
    -------
    Series
        `mean` and `slope`; below 1 where neighbours that are alike make a slope more precise.

    References
    ----------
    Diggle, Heagerty, Liang & Zeger (2002), Analysis of Longitudinal Data, chapter 4.

    Examples
    --------
    >>> ar1_design_effects(range(5), rho=0.9).round(3).to_dict()
    {'mean': 4.258, 'slope': 0.45}
    """
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or len(np.unique(times)) < 2 or not np.isfinite(times).all():
        raise ValueError(f"times are {times.tolist()}; a slope needs two different times or more")
    R, c = covariance.continuous_ar1(times, rho), times - times.mean()
    return pd.Series({"mean": R.sum() / len(times), "slope": c @ R @ c / (c @ c)})
