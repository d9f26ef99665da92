"""Intervals: how wide the interval of a coefficient will be, and how probably it will lie within margins.

Both need what the power needs, the standard error and the df that `exact_power` gives, and nothing is simulated.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import check_level, check_probability, is_number, quoted
from lmmsim.model.model import Model
from lmmsim.theory.averages import chi_mean, t_quantile
from lmmsim.theory.power import exact_power

Margin = float | tuple[float, float]


def exact_equivalence(
    model: Model, design: pd.DataFrame, margin: Margin, alpha: float = 0.05, **question: Any
) -> pd.DataFrame:
    """Compute the power to show that a coefficient is too small to matter.

    Equivalence is shown by two one-sided tests (TOST): the coefficient is significantly above the lower margin and
    significantly below the upper one. That is so if its interval of level 1 - 2 alpha lies within the margins.

    Parameters
    ----------
    model : Model
        The world; its coefficients are the true effects, 0 where there is none.
    design : DataFrame
        One row per measurement.
    margin : float or (float, float)
        Smallest effect that matters, in the units of the coefficient; a pair where the margins are not symmetric.
    alpha : float
        Level of each of the two tests, which is the level of both together.
    **question
        `contrasts` and `df`, as for `exact_power`.

    Returns
    -------
    DataFrame, index "term"
        `effect`, `se`, `df`; the margins `low` and `high`; `power`.

    Raises
    ------
    ValueError
        If a margin is not above 0, or the lower is not below the upper one, or what `exact_power` refuses.

    Notes
    -----
    Given the estimated standard error, s times the true one, the estimate has to fall between low + t s se and
    high - t s se. This normal probability is averaged over the distribution of s, which is Owen's Q. The df are
    Satterthwaite's, so that it is exact where these are, as in balanced designs.

    References
    ----------
    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657, for the two tests. Phillips (1990),
    Journal of Pharmacokinetics and Biopharmaceutics 18:137, for their power. Owen (1965), Biometrika 52:437.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> world = teaching_methods(schools=40, pupils=25, effect=0)
    >>> exact_equivalence(*world, margin=4).loc["method[T.new]"].round(3).to_dict()
    {'effect': 0.0, 'se': 1.106, 'df': 38.0, 'low': -4.0, 'high': 4.0, 'power': 0.943}
    """
    low, high = margins(margin)
    check_probability("alpha", alpha)
    known = exact_power(model, design, alpha, **question).drop(columns="power")
    power = _within((low - known["effect"]) / known["se"], (high - known["effect"]) / known["se"], known["df"], alpha)
    return known.assign(low=low, high=high, power=power)


def exact_precision(
    model: Model, design: pd.DataFrame, width: float | None = None, level: float = 0.95, **question: Any
) -> pd.DataFrame:
    """Compute how wide the interval of every coefficient will be, and how probably it is narrow enough.

    Parameters
    ----------
    model : Model
        The world; its effects play no part.
    design : DataFrame
        One row per measurement.
    width : float, optional
        Width that is wanted, from the lower to the upper end.
    level : float
        Level of the intervals.
    **question
        `contrasts` and `df`, as for `exact_power`.

    Returns
    -------
    DataFrame, index "term"
        `effect`, `se`, `df`; `width`, which the interval has on average; with `width` given, `power`, the probability
        that it is no wider.

    Raises
    ------
    ValueError
        If the width is not above 0, the level is not between 0 and 1, or what `exact_power` refuses.

    Notes
    -----
    The interval is t times the estimated standard error to both sides, and the square of that error is a chi-square
    variable over its df. A design whose interval is narrow enough on average has one that is too wide in about half
    of the studies; hence the probability.

    References
    ----------
    Beal (1989), Biometrics 45:969. Kupper & Hafner (1989), The American Statistician 43:101.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> exact_precision(*teaching_methods(schools=40, pupils=25), width=5).loc["method[T.new]"].round(3).to_dict()
    {'effect': 2.0, 'se': 1.106, 'df': 38.0, 'width': 4.45, 'power': 0.858}
    """
    from scipy.special import gammainc, gammaln

    check_level(level)
    if width is not None and not (is_number(width) and width > 0):
        raise ValueError(f"width is {quoted(width)}; the wanted width of an interval is a number above 0")
    known = exact_power(model, design, **question).drop(columns="power")
    df = known["df"].to_numpy()
    few = np.where(np.isfinite(df), df, 1.0)
    true = 2 * known["se"].to_numpy() * np.array([t_quantile((1 - level) / 2, k) for k in df])
    mean_s = np.exp(gammaln((few + 1) / 2) - gammaln(few / 2)) * np.sqrt(2 / few)
    table = known.assign(width=np.where(np.isinf(df), true, true * mean_s))
    if width is None:
        return table
    narrow = np.where(np.isinf(df), true <= width, gammainc(few / 2, few / 2 * (width / true) ** 2))
    return table.assign(power=np.where(np.isnan(df), np.nan, narrow))


def margins(margin: Margin) -> tuple[float, float]:
    """Lower and upper margin of equivalence."""
    pair = (-margin, margin) if is_number(margin) else margin
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(map(is_number, pair)) and pair[0] < pair[1]):
        raise ValueError(
            f"margin is {quoted(margin)}; give the smallest effect that matters, a number above 0, or a pair as (-1, 2)"
        )
    return float(pair[0]), float(pair[1])


@partial(np.vectorize, otypes=[float], excluded=[3])
def _within(low: float, high: float, df: float, alpha: float) -> float:
    """P(low + t s < z < high - t s), z normal and s the estimated over the true sd; margins in standard errors."""
    from scipy.special import ndtr

    if np.isnan(df):
        return np.nan
    t = t_quantile(alpha, df)
    widest = (high - low) / (2 * t)  # above it no estimate passes both tests
    steep = [(end + shift) / t for end in (-low, high) for shift in (-8.0, -3.0, 0.0, 3.0, 8.0)]
    return chi_mean(lambda s: np.maximum(ndtr(high - t * s) - ndtr(low + t * s), 0.0), df, [widest, *steep])
