"""Joint tests: from the df of single combinations of coefficients to those of several together, and the power of F.

Fai & Cornelius (1996) for Satterthwaite's df, as lmerTest has it; Kenward & Roger (1997), as pbkrtest has it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lmmsim.theory.gls import Information

FIXED = 1e8  # a larger noncentrality leaves nothing to chance in the numerator of F
WEIGHED = 1e-8  # a direction has this share at least of the weights that the coefficients in it have


def wald(L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> np.ndarray:
    """(L beta)' (L vcov L')^-1 (L beta), (r,), for rows L (q, p), beta (r, p) and vcov (r, p, p)."""
    size = np.sqrt(np.nanmedian(np.einsum("qi,rij,qj->rq", L, vcov, L), axis=0))  # in units of standard errors
    unit = L / np.where(size > 0, size, 1.0)[:, None]
    axes, variances = uncorrelated(unit, vcov)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.einsum("raq,qp,rp->ra", axes, unit, beta) ** 2 / variances).sum(axis=1)


def without_test(L: np.ndarray, vcov: np.ndarray, absorbed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What is known of the covariance of coefficients, and the combinations that need what is not.

    Parameters
    ----------
    L : ndarray, shape (q, p)
    vcov : ndarray, shape (r, p, p)
        NaN in the rows and columns of coefficients whose variance cannot be estimated.
    absorbed : ndarray, shape (p, c), optional
        Directions of the coefficients in which their variance cannot be estimated: what the effects of a group do.

    Returns
    -------
    ndarray, shape (r, p, p)
        The same with 0 for NaN.
    ndarray of bool, shape (r, q)
        The rows of L that weigh a coefficient without a variance, or a direction without one.

    Examples
    --------
    >>> vcov = np.array([[[np.nan, np.nan], [np.nan, 4.0]]])
    >>> known, unknown = without_test(np.array([[0.0, 1.0], [1.0, 1.0]]), vcov)
    >>> known.tolist(), unknown.tolist()
    ([[[0.0, 0.0], [0.0, 4.0]]], [[False, True]])
    """
    lost = np.isnan(np.diagonal(vcov, axis1=1, axis2=2))
    unknown = lost @ (L != 0).T
    if absorbed is not None and absorbed.size:
        unknown = unknown | ((np.abs(L @ absorbed) > WEIGHED * (np.abs(L) @ np.abs(absorbed))).any(axis=1))
    return np.where(lost[:, :, None] | lost[:, None], 0.0, vcov), unknown


def uncorrelated(L: np.ndarray, vcov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (r, q, q) of the rows of L in which estimates are uncorrelated, and their variances (r, q)."""
    covariance = L @ vcov @ L.T
    good = np.isfinite(covariance).all(axis=(1, 2))
    variances, axes = np.linalg.eigh(np.where(good[:, None, None], covariance, np.eye(len(L))))
    return axes.swapaxes(1, 2), np.where(good[:, None], variances, np.nan)


def fai_cornelius(df: np.ndarray) -> float:
    """Denominator df of the mean of independent t squared with these df.

    The mean of F(q, m) is m / (m - 2); m is chosen so that it is the mean of the average.

    References
    ----------
    Fai & Cornelius (1996), Journal of Statistical Computation and Simulation 54:363. Kuznetsova, Brockhoff &
    Christensen (2017), Journal of Statistical Software 82(13).

    Examples
    --------
    >>> round(fai_cornelius(np.array([8.0, 12.0])), 3)
    9.5
    """
    q = len(df)
    if not np.isfinite(df).any() and not np.isnan(df).any():
        return float("inf")
    if np.ptp(df) <= 1e-8 * np.abs(df).max():
        return float(df.mean())
    if np.isnan(df).any():
        return float("nan")
    if (df <= 2).any():
        return 2.0
    with np.errstate(invalid="ignore"):
        expected = np.where(np.isfinite(df), df / (df - 2), 1.0).sum()
    return float(2 * expected / (expected - q))


def kenward_roger(L: np.ndarray, known: Information) -> tuple[float, float]:
    """Scale and denominator df of the joint F of independent rows L (q, p).

    References
    ----------
    Kenward & Roger (1997), Biometrics 53:983. Halekoh & Hojsgaard (2014), Journal of Statistical Software 59(9).
    """
    q = len(L)
    axes, variances = uncorrelated(L, known.vcov[None])
    unit = axes[0] @ L / np.sqrt(variances[0])[:, None]
    S = np.einsum("ai,tij,bj->tab", unit, known.slopes, unit)
    W = known.uncertainty
    traces = np.einsum("taa->t", S)
    A1 = float(traces @ W @ traces)
    A2 = float(np.einsum("ij,iab,jba->", W, S, S))
    if A2 <= 1e-12:
        return 1.0, float("inf")
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    c = np.array([g, q - g, q + 2 - g]) / (3 * q + 2 * (1 - g))
    mean, v1 = 1 - A2 / q, 1 - c[1] * B
    ratio = 1.0 if max(abs(mean), abs(v1)) < 1e-10 else mean / v1
    rho = ratio**2 * (1 + c[0] * B) / (1 - c[2] * B) / q
    df2 = 4 + (q + 2) / (q * rho - 1)
    return (1.0 if abs(df2 - 2) < 0.01 else df2 * mean / (df2 - 2)), df2


def f_tail(statistic: ArrayLike, df1: int, df2: ArrayLike) -> np.ndarray:
    """P(F > statistic); with infinite df2 that of chi-square over df1."""
    from scipy.special import chdtrc, fdtrc

    statistic, df2 = np.broadcast_arrays(np.asarray(statistic, float), np.asarray(df2, float))
    known = np.isfinite(statistic) & (df2 > 0)
    f = fdtrc(df1, np.where(np.isfinite(df2), df2, 1.0), np.where(known, statistic, 0.0))
    return np.where(known, np.where(np.isinf(df2), chdtrc(df1, df1 * statistic), f), np.nan)


def f_power(ncp: float, df1: int, df2: float, alpha: float) -> float:
    """Power of an F test from its noncentrality; infinite df2 is the chi-square test, missing df have no power.

    A noncentral chi-square with df1 is a central one with df1 + 2k, where k is a Poisson number of mean ncp / 2. Given
    k the F statistic is a ratio of two gamma variables, so that its tail is a beta's (Johnson, Kotz & Balakrishnan
    1995, Continuous Univariate Distributions 2, chapter 30); the average over k is summed to 12 standard deviations.

    Examples
    --------
    >>> round(f_power(0.0, 2, 18, 0.05), 4), round(f_power(9.0, 2, 18, 0.05), 4)
    (0.05, 0.6934)
    """
    from scipy import special

    if np.isnan(df2):
        return float("nan")
    if np.isinf(df2):
        return float(1 - special.chndtr(special.chdtri(df1, alpha), df1, ncp))
    critical = special.fdtri(df1, df2, 1 - alpha)
    if ncp > FIXED:
        return float(special.chdtr(df2, df2 * ncp / (df1 * critical)))
    mean, reach = ncp / 2, 12 * np.sqrt(ncp / 2) + 50
    k = np.arange(max(np.floor(mean - reach), 0), mean + reach)
    weight = np.exp(special.xlogy(k, mean) - mean - special.gammaln(k + 1))
    tail = special.betainc(df2 / 2, df1 / 2 + k, df2 / (df2 + df1 * critical))
    return float(weight @ tail / weight.sum())
