"""Averages: what is expected when a variance is itself an estimate, so that a probability is one integral over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np


def beta_mean(function: Callable[[np.ndarray], np.ndarray], a: float, b: float, kink: float = 0.5) -> float:
    """Mean of function(B), B a beta(a, b) variable: Gauss-Legendre between quantiles, and on both sides of a kink."""
    from scipy.special import betaincinv, betaln

    ends = betaincinv(a, b, [1e-12, 1e-6, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-6, 1 - 1e-12])
    # with B = sin(angle)^2 the density is smooth also where a or b is 1/2
    angle, weights = _nodes(np.arcsin(np.sqrt([0.0, *ends, 1.0, kink])))
    sine, cosine = np.sin(angle), np.cos(angle)
    density = 2 * np.exp((2 * a - 1) * np.log(sine) + (2 * b - 1) * np.log(cosine) - betaln(a, b))
    return float(np.sum(weights * density * function(sine**2)))


def chi_mean(function: Callable[[np.ndarray], np.ndarray], df: float, kinks: Iterable[float] = ()) -> float:
    """Mean of function(s), where s is an estimated sd over the true one: df s^2 is chi-square on df.

    Parameters
    ----------
    function : callable
        Bounded.
    df : float
        Above 0; infinite where the sd is known, so that s is 1.
    kinks : iterable of float
        Values of s at which the function bends, or between which it rises.

    Returns
    -------
    float

    Examples
    --------
    >>> round(chi_mean(lambda s: s**2, df=7.5), 12)
    1.0
    """
    from scipy.special import gammainc, gammainccinv, gammaincinv

    if np.isinf(df):
        return float(function(np.ones(1))[0])
    half = df / 2
    chi = [*gammaincinv(half, [1e-18, 1e-9, 1e-3, 0.1, 0.5]), *gammainccinv(half, [0.1, 1e-3, 1e-9, 1e-18])]
    ends = np.log(np.maximum(np.array(chi) / half, 1e-300)) / 2  # of log s, whose density is smooth for any df
    with np.errstate(divide="ignore", invalid="ignore"):
        bends = np.log(np.array(list(kinks), dtype=float))
    log_s, weights = _nodes([*ends, *bends[(bends > ends[0]) & (bends < ends[-1])]])
    # the density up to a factor, without the loss of digits that x log x - x has at large df
    weights = weights * np.exp(half * (2 * log_s - np.expm1(2 * log_s)))
    below = gammainc(half, half * np.exp(2 * ends[0]))  # not covered by the nodes, where few df reach far down
    inside = np.sum(weights * function(np.exp(log_s))) / np.sum(weights)
    return float((1 - below) * inside + below * function(np.exp(ends[:1]))[0])


def t_quantile(tail: float, df: float) -> float:
    """Value that t on these df exceeds with this probability, below 1/2; infinite df are the normal distribution."""
    from scipy.special import betainccinv, betaincinv, ndtri

    if np.isinf(df):
        return float(-ndtri(tail))
    # t^2 / (df + t^2) is a beta variable; each end by its own function keeps digits that older SciPy's t loses
    return float(np.sqrt(df * betainccinv(0.5, df / 2, 2 * tail) / betaincinv(df / 2, 0.5, 2 * tail)))


def _nodes(ends: Iterable[float]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre, 40 between each two neighbours of these ends."""
    ends = np.unique(np.array(list(ends)))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    half = np.diff(ends)[:, None] / 2
    return ends[:-1, None] + half * (1 + nodes), weights * half
