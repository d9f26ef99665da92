"""Type-I errors of common analyses of balanced layouts, exactly. Readers find these functions in `lmmsim.theory`.

A test statistic of a balanced layout compares one chi-square with a mixture of two others. Their share B is a beta
variable, independent of their sum, so a probability is one integral over B.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from lmmsim.checks import check_count, check_number, check_probability, check_sd
from lmmsim.theory.averages import beta_mean, t_quantile

Analysis = Literal["OLS", "LMM z", "LMM z, ML", "LMM t", "LMM LRT, ML", "group means", "CR0 z", "CR1 t"]


def type1_between(clusters: int, size: int, icc: float, analysis: Analysis = "OLS", alpha: float = 0.05) -> float:
    """Type-I error for a treatment of whole clusters, half of them in each arm.

    Parameters
    ----------
    clusters, size : int
        Number of clusters (even), and of rows in each.
    icc : float
        Intraclass correlation.
    analysis : str
        "OLS" ignores clusters. "LMM z" and "LMM z, ML" are the Wald z of a random-intercept fit by REML and by ML,
        "LMM t" is REML's t with clusters - 2 df (Kenward-Roger's, where the variance is not estimated as zero): all
        three with a cluster variance that cannot be negative. "LMM LRT, ML" is the likelihood ratio against
        chi-square(1). "group means" is the t test of cluster means. "CR0 z"
        and "CR1 t" are OLS with cluster-robust errors, plain with z, or as Stata's with t and clusters - 1 df.
    alpha : float
        Nominal level.

    Returns
    -------
    float

    Notes
    -----
    With lambda = size s2_cluster + s2 and SSB, SSW the sums of squares between clusters of an arm and within clusters,
    t^2 = lambda chi2(1) / D, where D is (SSB + SSW) / (n - 2) for OLS, SSB / (J - 2) for cluster means, and for REML
    the larger of the two.

    References
    ----------
    Searle, Casella & McCulloch (1992), Variance Components, section 3.5-3.8, for the distributions.

    Examples
    --------
    >>> round(type1_between(20, 10, icc=0.2), 4), round(type1_between(20, 10, icc=0.2, analysis="group means"), 4)
    (0.2448, 0.05)
    """
    from scipy.special import ndtri, stdtr

    if analysis not in get_args(Analysis):
        raise ValueError(f"analysis is {analysis!r}; it is one of {', '.join(get_args(Analysis))}")
    check_count("clusters", clusters, least=4, multiple=2)
    check_count("size", size)
    check_number("icc", icc, least=0, most=1)
    check_probability("alpha", alpha)
    if icc == 1 and analysis in ("LMM z", "LMM z, ML", "LMM LRT, ML", "LMM t"):
        raise ValueError("icc is 1, so rows of a cluster are all alike and a mixed model has no residual")
    if size == 1 and analysis not in ("OLS", "group means", "CR0 z", "CR1 t"):
        raise ValueError("size is 1: with one row in each cluster there is no variance within them")
    J, n = clusters, clusters * size
    z, means = -ndtri(alpha / 2), J - 2
    if analysis == "group means":
        return alpha
    if analysis == "CR0 z":  # its variance divides the sum of squares by J, not J - 2
        return float(2 * stdtr(means, -z * np.sqrt(means / J)))
    if analysis == "CR1 t":
        stretch = J / (J - 1) * (n - 1) / (n - 2)
        return float(2 * stdtr(means, -t_quantile(alpha / 2, J - 1) * np.sqrt(stretch * means / J)))
    small = (1 - icc) / (1 - icc + size * icc)  # s2 / lambda
    ml = analysis in ("LMM z, ML", "LMM LRT, ML")
    ssb_df, total_df = (J, n) if ml else (means, n - 2)

    def denominator(B: np.ndarray) -> np.ndarray:
        """D / lambda where SSB / lambda and SSW / s2 add up to n - 2 and the first has the share B."""
        ssb, ssw = B * (n - 2), small * (1 - B) * (n - 2)
        if analysis == "LMM LRT, ML":
            return _likelihood_ratio(ssb, ssw, J, n, z**2) / z**2
        pooled = (ssb + ssw) / total_df
        return pooled if analysis == "OLS" else np.maximum(ssb / ssb_df, pooled)

    # the estimated variance is zero below the share at which SSB / ssb_df equals SSW / (n - J)
    ratio = ssb_df / (n - J) * small
    quantile = {"OLS": t_quantile(alpha / 2, n - 2), "LMM t": t_quantile(alpha / 2, means)}.get(analysis, z)
    return _rejection(denominator, means / 2, (n - J) / 2, n - 2, quantile, kink=ratio / (1 + ratio))


def _likelihood_ratio(ssb: np.ndarray, ssw: np.ndarray, J: int, n: int, critical: float) -> np.ndarray:
    """How much the treatment must add to SSB for a likelihood ratio as large as `critical`."""
    within = (n - J) * np.log(ssw / (n - J))
    pooled = n * np.log((ssb + ssw) / n)
    free = J * np.log(ssb / J) + within
    deviance = np.where(ssb / J < ssw / (n - J), pooled, free) + critical
    if_pooled, if_free = n * np.exp(deviance / n) - ssw, J * np.exp((deviance - within) / J)
    return np.where(if_pooled / J < ssw / (n - J), if_pooled, if_free) - ssb


def type1_within(clusters: int, size: int, icc: float, alpha: float = 0.05) -> float:
    """Type-I error of OLS for a treatment of half the rows of every cluster: too small, as power is.

    Parameters
    ----------
    clusters, size : int
        Number of clusters, and of rows in each (even).
    icc : float
        Intraclass correlation.
    alpha : float
        Nominal level.

    Returns
    -------
    float

    Examples
    --------
    >>> round(type1_within(20, 10, icc=0.2), 4)
    0.0297
    """
    check_count("clusters", clusters, least=2)
    check_count("size", size, least=2)
    check_number("icc", icc, least=0, most=1)
    check_probability("alpha", alpha)
    if icc == 1:
        raise ValueError("icc is 1, so rows of a cluster are all alike and there is no residual")
    n = clusters * size
    large = (1 - icc + size * icc) / (1 - icc)
    quantile = t_quantile(alpha / 2, n - 2)
    return _rejection(lambda B: B * large + 1 - B, (clusters - 1) / 2, (n - clusters - 1) / 2, n - 2, quantile)


def type1_omitted_slope(
    groups: int, x: ArrayLike, sd_slope: float, sd_residual: float, alpha: float = 0.05, z: bool = False
) -> float:
    """Type-I error for the slope of x when groups differ in it and only a random intercept is fitted.

    Parameters
    ----------
    groups : int
        Number of groups.
    x : array_like, (m,)
        Values of x at which every group is measured: [0, 1, 2, 3, 4] weeks, or twelve 0 and twelve 1.
    sd_slope, sd_residual : float
        True standard deviations, of slopes (per unit of x) and of residuals.
    alpha : float
        Nominal level.
    z : bool
        Compare with the normal, rather than with t on groups (m - 1) - 1 df.

    Returns
    -------
    float
        Exact unless the fitted intercept variance is zero.

    Notes
    -----
    The residual that is fitted pools Sxx s2_slope + s2 on groups - 1 df with s2 on groups (m - 2) df, but the slope
    varies by the first. The remedy is the random slope, or the t test of the groups' own slopes.

    References
    ----------
    Barr, Levy, Scheepers & Tily (2013), Journal of Memory and Language 68:255.

    Examples
    --------
    >>> round(type1_omitted_slope(20, [0, 1, 2, 3, 4], sd_slope=1.0, sd_residual=1.0), 3)
    0.277
    """
    from scipy.special import ndtri

    check_count("groups", groups, least=2)
    check_sd("slopes", sd_slope)
    check_sd("the residual", sd_residual)
    check_probability("alpha", alpha)
    if np.ndim(x) != 1 or len(np.unique(np.asarray(x, dtype=float))) < 2 or len(np.atleast_1d(x)) < 3:
        raise ValueError(f"x is {x!r:.60}; a slope and its residual need three values or more, two of them different")
    x = np.asarray(x, dtype=float)
    m, df = len(x), groups * (len(x) - 1) - 1
    small = sd_residual**2 / (sd_residual**2 + np.sum((x - x.mean()) ** 2) * sd_slope**2)
    quantile = -ndtri(alpha / 2) if z else t_quantile(alpha / 2, df)
    return _rejection(lambda B: B + small * (1 - B), (groups - 1) / 2, groups * (m - 2) / 2, df, quantile)


def type1_items_ignored(
    subjects: int, items: int, sd_item: float, sd_residual: float, sd_slope: float = 0.0, alpha: float = 0.05
) -> float:
    """Type-I error of the by-subject paired t test when items were sampled, half for each condition.

    Parameters
    ----------
    subjects, items : int
        Every subject answers every item.
    sd_item, sd_residual : float
        Standard deviations of items of one condition, and of single answers.
    sd_slope : float
        Standard deviation of the condition's effect between subjects.
    alpha : float
        Nominal level.

    Returns
    -------
    float

    Notes
    -----
    The difference of the condition means varies by 4 s2_item / items more than differences between subjects tell.

    References
    ----------
    Clark (1973), Journal of Verbal Learning and Verbal Behavior 12:335.

    Examples
    --------
    >>> round(type1_items_ignored(30, 16, sd_item=0.5, sd_residual=1.0), 3)
    0.489
    """
    from scipy.special import stdtr

    check_count("subjects", subjects, least=2)
    check_count("items", items, least=2, multiple=2)
    for name, sd in (("items", sd_item), ("the residual", sd_residual), ("slopes", sd_slope)):
        check_sd(name, sd)
    check_probability("alpha", alpha)
    if sd_item == sd_residual == sd_slope == 0:
        raise ValueError("all sds are 0, so no test statistic has a distribution")
    seen = (sd_slope**2 + 4 * sd_residual**2 / items) / subjects
    unseen = 4 * sd_item**2 / items
    return float(2 * stdtr(subjects - 1, -t_quantile(alpha / 2, subjects - 1) * np.sqrt(seen / (seen + unseen))))


def type1_wald_z(df: ArrayLike, alpha: float = 0.05) -> np.ndarray:
    """Type-I error of a t statistic with these df that is compared with the normal distribution.

    Parameters
    ----------
    df : array_like
        Degrees of freedom of the standard error.
    alpha : float
        Nominal level.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> type1_wald_z([2, 18, 98]).round(3)
    array([0.189, 0.066, 0.053])
    """
    from scipy.special import ndtri, stdtr

    check_probability("alpha", alpha)
    if not (np.asarray(df, dtype=float) > 0).all():
        raise ValueError(f"df is {df!r:.60}; degrees of freedom are above 0")
    return 2 * stdtr(np.asarray(df, dtype=float), ndtri(alpha / 2))


def type1_pooled_t(n: tuple[int, int], sd: tuple[float, float], alpha: float = 0.05) -> float:
    """Type-I error of the pooled t test when two groups have different sds, for large groups.

    Parameters
    ----------
    n : (int, int)
        Sizes of the groups.
    sd : (float, float)
        Their standard deviations.
    alpha : float
        Nominal level.

    Returns
    -------
    float
        Asymptotic: variances are taken as estimated without error, and only their weights are those of n.

    References
    ----------
    Scheffe (1959), The Analysis of Variance, section 10.2.

    Examples
    --------
    >>> round(type1_pooled_t((5, 15), (1.0, 2.0)), 4), round(type1_pooled_t((15, 5), (1.0, 2.0)), 2)
    (0.0068, 0.16)
    """
    from scipy.special import ndtr, ndtri

    check_probability("alpha", alpha)
    for size, spread in zip(n, sd, strict=True):
        check_count("n", size, least=2)
        check_sd("a group", spread)
    if not any(sd):
        raise ValueError("both sds are 0, so no test statistic has a distribution")
    (n1, n2), (v1, v2) = n, np.square(sd)
    pooled = ((n1 - 1) * v1 + (n2 - 1) * v2) / (n1 + n2 - 2) * (1 / n1 + 1 / n2)
    return float(2 * ndtr(ndtri(alpha / 2) * np.sqrt(pooled / (v1 / n1 + v2 / n2))))


def _rejection(
    denominator: Callable[[np.ndarray], np.ndarray], a: float, b: float, df: int, quantile: float, kink: float = 0.5
) -> float:
    """P(|t(df)| > quantile sqrt(denominator(B))), B a beta(a, b) variable."""
    from scipy.special import stdtr

    return beta_mean(lambda B: 2 * stdtr(df, -quantile * np.sqrt(denominator(B))), a, b, kink)
