"""Variances: what estimates of them are on average, exactly, in balanced layouts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmmsim.checks import check_count, check_number, check_sd, check_whole
from lmmsim.theory.averages import beta_mean


def boundary_probability(groups: int, size: int, ratio: float, reml: bool = True) -> float:
    """Probability that the variance between groups is estimated as zero, in a balanced one-way layout.

    Parameters
    ----------
    groups, size : int
        Number of groups, and of rows in each.
    ratio : float
        True variance between groups over that within.
    reml : bool
        Restricted or full maximum likelihood.

    Returns
    -------
    float
        P(MSB < MSW), and for full likelihood P(SSB / groups < MSW).

    References
    ----------
    Searle, Casella & McCulloch (1992), Variance Components, section 3.5d.

    Examples
    --------
    >>> round(boundary_probability(6, 5, ratio=0), 3), round(boundary_probability(6, 5, ratio=0, reml=False), 3)
    (0.561, 0.661)
    """
    from scipy.special import fdtr

    check_count("groups", groups, least=2)
    check_count("size", size, least=2)
    check_number("ratio", ratio, least=0)
    shrink = 1.0 if reml else groups / (groups - 1)
    return float(fdtr(groups - 1, groups * (size - 1), shrink / (1 + size * ratio)))


def variance_estimates(groups: int, size: int, sd_group: float, sd_residual: float) -> pd.Series:
    """Means and variances of the estimated variances of a balanced one-way layout.

    Parameters
    ----------
    groups, size : int
        Number of groups, and of rows in each.
    sd_group, sd_residual : float
        True standard deviations.

    Returns
    -------
    Series
        Means of the estimated group variance: `anova` (unbiased, may be negative), `reml` and `ml` (both 0 or more)
        and `ml_untruncated`; `anova_var` and `anova_cv`, its variance and coefficient of variation; `residual_var`.

    References
    ----------
    Searle, Casella & McCulloch (1992), Variance Components, sections 3.5 to 3.8.

    Examples
    --------
    >>> variance_estimates(5, 5, sd_group=1.0, sd_residual=1.0)[["anova", "reml", "ml"]].round(3).to_dict()
    {'anova': 1.0, 'reml': 1.004, 'ml': 0.766}
    """
    check_count("groups", groups, least=2)
    check_count("size", size, least=2)
    check_sd("groups", sd_group)
    check_sd("the residual", sd_residual)
    J, N = groups, groups * (size - 1)
    s2 = sd_residual**2
    large = s2 + size * sd_group**2

    def truncated(divisor: int) -> float:
        """Mean of max(0, SSB / divisor - MSW) / size; SSB / large and SSW / s2 add up to chi2(J - 1 + N)."""

        def mean(B: np.ndarray) -> np.ndarray:
            return np.maximum(large * B / divisor - s2 * (1 - B) / N, 0)

        kink = s2 / N / (s2 / N + large / divisor)
        return beta_mean(mean, (J - 1) / 2, N / 2, kink) * (J - 1 + N) / size

    variance = 2 / size**2 * (large**2 / (J - 1) + s2**2 / N)
    return pd.Series(
        {
            "anova": sd_group**2,
            "reml": truncated(J - 1),
            "ml": truncated(J),
            "ml_untruncated": sd_group**2 - large / (size * J),
            "anova_var": variance,
            "anova_cv": np.sqrt(variance) / sd_group**2 if sd_group else np.inf,
            "residual_var": 2 * s2**2 / N,
        }
    )


def forgotten_level(
    schools: int, classes: int, pupils: int, sd_school: float, sd_class: float, sd_residual: float
) -> pd.DataFrame:
    """Mean ANOVA (and, rarely truncated, REML) variances when one of three nested levels is left out of the model.

    Parameters
    ----------
    schools, classes, pupils : int
        Number of schools, of classes in each, and of pupils in each of those.
    sd_school, sd_class, sd_residual : float
        True standard deviations.

    Returns
    -------
    DataFrame, index "forgotten"
        `school`, `class`, `residual`: the variances that remain, NaN for the one that is forgotten.

    References
    ----------
    Moerbeek (2004), Multivariate Behavioral Research 39:129.

    Examples
    --------
    >>> forgotten_level(20, 4, 5, 1.0, 1.0, 1.0).round(3)
               school  class  residual
    forgotten
    class       1.211    NaN     1.789
    school        NaN  1.962     1.000
    """
    for name, value, least in (("schools", schools, 2), ("classes", classes, 1), ("pupils", pupils, 1)):
        check_count(name, value, least)
    check_count("classes * pupils", classes * pupils, least=2)
    for name, sd in (("schools", sd_school), ("classes", sd_class), ("the residual", sd_residual)):
        check_sd(name, sd)
    school, classroom, residual = sd_school**2, sd_class**2, sd_residual**2
    moved_down = classroom * pupils * (classes - 1) / (classes * pupils - 1)
    lifted = school * classes * (schools - 1) / (schools * classes - 1)
    return pd.DataFrame(
        {
            "school": [school + (pupils * classroom - moved_down) / (classes * pupils), np.nan],
            "class": [np.nan, classroom + lifted],
            "residual": [residual + moved_down, residual],
        },
        index=pd.Index(["class", "school"], name="forgotten"),
    )


def group_mean_mse(size: int, sd_group: float, sd_residual: float) -> pd.Series:
    """Mean squared error of three estimates of a group's mean, when the other numbers are known.

    Parameters
    ----------
    size : int
        Rows in the group.
    sd_group, sd_residual : float
        True standard deviations.

    Returns
    -------
    Series
        `none` (no pooling: the group's own mean), `complete` (the mean of all), `partial` (the BLUP), and `shrinkage`,
        the weight that the BLUP gives the group's own mean.

    References
    ----------
    Robinson (1991), Statistical Science 6:15.

    Examples
    --------
    >>> group_mean_mse(2, sd_group=1.0, sd_residual=1.0).round(3).to_dict()
    {'none': 0.5, 'complete': 1.0, 'partial': 0.333, 'shrinkage': 0.667}
    """
    check_count("size", size)
    check_sd("groups", sd_group)
    check_sd("the residual", sd_residual)
    if sd_group == sd_residual == 0:
        raise ValueError("both sds are 0, so nothing varies and no mean has an error")
    own = sd_residual**2 / size
    weight = sd_group**2 / (sd_group**2 + own)
    return pd.Series({"none": own, "complete": sd_group**2, "partial": weight * own, "shrinkage": weight})


def variance_of_variance(n: int, sd: float = 1.0, kurtosis: float = 0.0) -> float:
    """Variance of the sample variance s^2 of n independent draws.

    Parameters
    ----------
    n : int
    sd : float
        True standard deviation.
    kurtosis : float
        Excess kurtosis: 0 for the normal, 3 for the Laplace, 6 for the exponential distribution.

    Returns
    -------
    float
        s^4 (2 / (n - 1) + kurtosis / n): normal theory is wrong about variances however large n is.

    References
    ----------
    Scheffe (1959), The Analysis of Variance, section 10.2.

    Examples
    --------
    >>> variance_of_variance(11), variance_of_variance(10, kurtosis=6.0) > 3 * variance_of_variance(10)
    (0.2, True)
    """
    check_count("n", n, least=2)
    check_sd("the draws", sd)
    check_number("kurtosis", kurtosis, least=-2)
    return sd**4 * (2 / (n - 1) + kurtosis / n)


def p_boundary(chisq: float, effects: int = 0) -> float:
    """P value of a likelihood ratio for one more random effect: a mixture of two chi-squares.

    Parameters
    ----------
    chisq : float
        Difference of the criteria of the two fits.
    effects : int
        Random effects that the new one may correlate with: 0 for an intercept or an uncorrelated slope.

    Returns
    -------
    float
        Half of chi2(effects) and half of chi2(effects + 1), for many groups; chi2(effects + 1) alone gives too much.

    References
    ----------
    Self & Liang (1987), Journal of the American Statistical Association 82:605. Stram & Lee (1994), Biometrics 50:1171.

    Examples
    --------
    >>> round(p_boundary(2.705543), 4), round(p_boundary(5.1387, effects=1), 4)
    (0.05, 0.05)
    """
    from scipy.special import chdtrc

    check_number("chisq", chisq, least=0)
    check_whole("effects", effects)
    below = chdtrc(effects, chisq) if effects else float(chisq <= 0)
    return float(below + chdtrc(effects + 1, chisq)) / 2
