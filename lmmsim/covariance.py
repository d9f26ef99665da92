"""Covariance matrices: standard deviations and correlations in, matrices out, and back.

Everything is a plain array in the units of the response (sd) or their square (covariance). A matrix that no
distribution could have is an error; a singular one (an sd of 0, a correlation of 1 or -1) is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim.checks import is_number, quoted

# Correlation matrices typed from a publication are rounded, and those on the boundary have eigenvalues of +-1e-17.
# Below -TOLERANCE a matrix is impossible; between -TOLERANCE and RANK the direction has no variance.
TOLERANCE = 1e-10
RANK = 1e-13


def from_sd(sd: ArrayLike, corr: ArrayLike = 0.0) -> np.ndarray:
    """Build a covariance matrix from standard deviations and correlations.

    Parameters
    ----------
    sd : array_like, shape (k,)
        Standard deviations, in the units of the response.
    corr : float or array_like, shape (k, k)
        One correlation shared by all pairs, or the correlation matrix.

    Returns
    -------
    ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If an sd is negative, or if no distribution has these correlations.

    Examples
    --------
    >>> from_sd([2.0, 0.5], corr=0.3)
    array([[4.  , 0.3 ],
           [0.3 , 0.25]])
    """
    sd = _standard_deviations(sd)
    R = _correlations(corr, len(sd))
    return sd[:, None] * R * sd[None, :]


def to_sd(cov: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Take a covariance matrix apart into standard deviations and correlations.

    What does not vary has no correlation with anything; it is given as 0, so that
    ``from_sd(*to_sd(cov))`` is `cov` again.

    Parameters
    ----------
    cov : array_like, shape (k, k)

    Returns
    -------
    sd : ndarray, shape (k,)
    corr : ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If `cov` is not symmetric or has a negative variance.

    Examples
    --------
    >>> sd, corr = to_sd([[4.0, 0.3], [0.3, 0.25]])
    >>> sd
    array([2. , 0.5])
    >>> corr
    array([[1. , 0.3],
           [0.3, 1. ]])
    """
    cov = _symmetric(cov, "cov")
    variances = np.diagonal(cov)
    if variances.size and variances.min() < 0:
        raise ValueError(f"cov is not a covariance matrix: it has the variance {variances.min():g}, which is below 0")
    sd = np.sqrt(variances)
    scale = np.where(sd > 0, sd, 1.0)
    corr = cov / scale[:, None] / scale[None, :]
    np.fill_diagonal(corr, 1.0)
    return sd, corr


def exchangeable(k: int, rho: float, sd: ArrayLike = 1.0) -> np.ndarray:
    """Build the covariance of `k` measurements that are all equally correlated (compound symmetry).

    A random intercept gives this pattern, but only with `rho` of 0 or more.

    Parameters
    ----------
    k : int
        Number of measurements.
    rho : float
        Correlation of any two, from -1/(k - 1) to 1.
    sd : float or array_like, shape (k,)
        Standard deviation, in the units of the response.

    Returns
    -------
    ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If `k` measurements cannot all have this correlation.

    Examples
    --------
    >>> exchangeable(3, -0.5)
    array([[ 1. , -0.5, -0.5],
           [-0.5,  1. , -0.5],
           [-0.5, -0.5,  1. ]])
    """
    return from_sd(_shared_sd(sd, _count(k)), rho)


def ar1(k: int, rho: float, sd: ArrayLike = 1.0) -> np.ndarray:
    """Build the covariance of `k` equally spaced measurements whose correlation decays geometrically, AR(1).

    Parameters
    ----------
    k : int
        Number of measurements.
    rho : float
        Correlation of neighbours, between -1 and 1; `rho**d` at a distance of `d`.
    sd : float or array_like, shape (k,)
        Standard deviation, in the units of the response.

    Returns
    -------
    ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If `rho` is not strictly between -1 and 1.

    Examples
    --------
    >>> ar1(3, 0.5, sd=2.0)
    array([[4., 2., 1.],
           [2., 4., 2.],
           [1., 2., 4.]])
    """
    return continuous_ar1(np.arange(_count(k)), rho, sd)


def continuous_ar1(times: ArrayLike, rho: float, sd: ArrayLike = 1.0) -> np.ndarray:
    """Build the covariance of measurements at any times, AR(1) in continuous time.

    The correlation of two measurements depends on the time between them, not on how many lie between
    (Jones & Boadi-Boateng 1991).

    Parameters
    ----------
    times : array_like, shape (k,)
        When each measurement is taken, in any order and unit, no time twice.
    rho : float
        Correlation of two measurements one unit of time apart; `rho**d` at a distance of `d`. Between 0 and 1
        (1 excluded); it may be negative only if every distance is a whole number.
    sd : float or array_like, shape (k,)
        Standard deviation, in the units of the response.

    Returns
    -------
    ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If `rho` is outside its range, or a time occurs twice.

    Examples
    --------
    >>> continuous_ar1([0, 1, 3], rho=0.5)
    array([[1.   , 0.5  , 0.125],
           [0.5  , 1.   , 0.25 ],
           [0.125, 0.25 , 1.   ]])
    """
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or not np.isfinite(times).all():
        raise ValueError("times must be a list of numbers, one per measurement, none missing")
    values, counts = np.unique(times, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"time {values[counts > 1][0]:g} occurs {counts.max()} times: two measurements of one unit at one "
            "moment would have the same residual; give them different times"
        )
    distance = np.abs(times[:, None] - times[None, :])
    _check_decay(rho, distance)
    # 0.0 ** 0.0 is 1 in NumPy, so rho = 0 gives the identity.
    return from_sd(_shared_sd(sd, len(times)), np.power(float(rho), distance))


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Factor positive definite matrices (..., k, k) into their lower triangles; `LinAlgError` if one of them is not.

    NumPy tells by the processor's floating-point flags. WebAssembly has none, so that NaN comes back there instead.
    """
    factors = np.linalg.cholesky(matrices)
    if np.isnan(factors).any():
        raise np.linalg.LinAlgError("not positive definite")
    return factors


def square_root(cov: ArrayLike) -> np.ndarray:
    """Find the lower triangular L with ``L @ L.T == cov``, so that ``L @ z`` has covariance `cov`.

    It is the Cholesky factor, carried on to singular matrices: something with an sd of 0 gets a row of zeros.

    Parameters
    ----------
    cov : array_like, shape (k, k)

    Returns
    -------
    ndarray, shape (k, k)
        Lower triangular, with a diagonal of 0 or more.

    Raises
    ------
    ValueError
        If `cov` has a negative eigenvalue.

    Examples
    --------
    >>> square_root([[4.0, 2.0], [2.0, 2.0]])
    array([[2., 0.],
           [1., 1.]])
    >>> square_root([[4.0, 0.0], [0.0, 0.0]])
    array([[2., 0.],
           [0., 0.]])
    """
    cov = _symmetric(cov, "cov")
    sd = np.sqrt(np.clip(np.diagonal(cov), 0.0, None))
    # Working with correlations makes the tolerances mean the same for sds of 0.001 and of 1000.
    scale = np.where(sd > 0, sd, 1.0)
    R = cov / scale[:, None] / scale[None, :]
    if _smallest_eigenvalue(R) < -TOLERANCE * len(R):
        raise ValueError(
            f"this is not a covariance matrix: its smallest eigenvalue is {_smallest_eigenvalue(cov):.6g}, "
            "and none may be below 0"
        )
    varies = np.ix_(sd > 0, sd > 0)
    L = np.zeros_like(cov)
    L[varies] = _root_of_correlations(R[varies])
    return sd[:, None] * L


def _root_of_correlations(R: np.ndarray) -> np.ndarray:
    """Cholesky factor of a correlation matrix that may be singular."""
    values, vectors = np.linalg.eigh(R)
    if len(R) == 0 or values[0] > RANK * len(R):
        return np.linalg.cholesky(R)
    # R = S S' for S = vectors * sqrt(values); the QR factorisation of S' turns S into a triangle.
    S = vectors * np.sqrt(np.where(values > RANK * len(R), values, 0.0))
    _, upper = np.linalg.qr(S.T)
    L = upper.T
    return L * np.where(np.diagonal(L) < 0, -1.0, 1.0)


def _standard_deviations(sd: ArrayLike) -> np.ndarray:
    """One-dimensional float array of sds, none negative or missing."""
    sd = np.atleast_1d(np.asarray(sd, dtype=float))
    if sd.ndim != 1:
        raise ValueError(f"sd must be a list of numbers, one per effect; it has the shape {sd.shape}")
    if not np.isfinite(sd).all():
        raise ValueError(f"sd must be finite numbers; got {sd.tolist()}")
    if (sd < 0).any():
        raise ValueError(f"an sd cannot be negative: got {sd[sd < 0][0]:g} in {sd.tolist()}")
    return sd


def _correlations(corr: ArrayLike, k: int) -> np.ndarray:
    """Turn one shared correlation or a matrix into a (k, k) correlation matrix that can exist."""
    corr = np.asarray(corr, dtype=float)
    shared = corr.ndim == 0
    R = np.full((k, k), float(corr)) if shared else _symmetric(corr, "corr")
    if R.shape != (k, k):
        raise ValueError(f"corr has {len(R)} rows and columns, but there are {k} sds")
    if shared:
        np.fill_diagonal(R, 1.0)
    if not np.isfinite(corr).all() or not np.allclose(np.diagonal(R), 1.0, rtol=0, atol=1e-12):
        raise ValueError(f"corr must hold finite numbers, with 1 on the diagonal; got\n{corr}")
    smallest = _smallest_eigenvalue(R)
    if smallest < -TOLERANCE * k:
        message = (
            f"impossible correlations: the smallest eigenvalue of the correlation matrix is {smallest:.6g}, "
            "and none may be below 0"
        )
        if shared:
            message += f"; one correlation shared by {k} must lie between {-1 / (k - 1):.6g} and 1, got {corr:g}"
        raise ValueError(message)
    return R


def _check_decay(rho: float, distance: np.ndarray) -> None:
    """Refuse a correlation per unit of time that these distances do not allow."""
    if not (is_number(rho) and -1 < rho < 1):
        raise ValueError(f"rho, the correlation one unit of time apart, must lie between -1 and 1; got {quoted(rho)}")
    if rho < 0 and (distance != np.round(distance)).any():
        gap = distance[distance != np.round(distance)][0]
        raise ValueError(
            f"rho = {rho:g} is negative, and has no power {gap:g}: with times that are not whole numbers apart "
            "rho must be between 0 and 1"
        )


def _symmetric(matrix: ArrayLike, name: str) -> np.ndarray:
    """Square symmetric float matrix, or an error that shows where it is not."""
    M = np.array(matrix, dtype=float)
    if M.ndim != 2 or M.shape[0] != M.shape[1]:
        raise ValueError(f"{name} must be a square matrix; it has the shape {M.shape}")
    if not np.isfinite(M).all():
        raise ValueError(f"{name} must hold finite numbers; got\n{M}")
    gap = np.abs(M - M.T)
    if M.size and gap.max() > 1e-8 * np.abs(M).max():
        i, j = np.unravel_index(int(gap.argmax()), gap.shape)
        raise ValueError(f"{name} is not symmetric: entry ({i}, {j}) is {M[i, j]:g}, ({j}, {i}) is {M[j, i]:g}")
    return (M + M.T) / 2


def _smallest_eigenvalue(M: np.ndarray) -> float:
    """Smallest eigenvalue of a symmetric matrix; 0 of an empty one."""
    return float(np.linalg.eigvalsh(M)[0]) if len(M) else 0.0


def _shared_sd(sd: ArrayLike, k: int) -> np.ndarray:
    """One sd for all k, or k of them."""
    sd = np.asarray(sd, dtype=float)
    if sd.ndim and sd.shape != (k,):
        raise ValueError(f"sd must be one number or {k}, one per measurement; it has the shape {sd.shape}")
    return np.broadcast_to(sd, (k,))


def _count(k: int) -> int:
    """Accept a whole number of measurements, 1 or more."""
    if not is_number(k) or int(k) != k or k < 1:
        raise ValueError(f"the number of measurements must be 1, 2, 3, ...; got {quoted(k)}")
    return int(k)


Corr: TypeAlias = float | Mapping[tuple[str, str], float] | np.ndarray | Sequence[Sequence[float]] | pd.DataFrame


def correlation_matrix(corr: Corr, names: Sequence[str]) -> np.ndarray:
    """Write correlations, in whatever form they are given, as a matrix in the order of the names.

    Parameters
    ----------
    corr : float, mapping, DataFrame or array_like, shape (k, k)
        One correlation shared by all pairs; ``{("prior", "ses"): 0.3}``, where a pair that is not named has 0; a
        matrix labelled with the names in any order; or a plain matrix in the order of `names`.
    names : sequence of str, length k

    Returns
    -------
    ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If `corr` is none of these, or names what is not among `names`.

    Examples
    --------
    >>> correlation_matrix({("prior", "ses"): 0.3}, ["prior", "ses"])
    array([[1. , 0.3],
           [0.3, 1. ]])
    """
    if isinstance(corr, Mapping):
        return _from_pairs(corr, list(names))
    if isinstance(corr, pd.DataFrame):
        check_names("the rows of corr", corr.index, names)
        check_names("the columns of corr", corr.columns, names)
        corr = corr.loc[list(names), list(names)]
    elif np.ndim(corr) == 0:
        if not isinstance(corr, Real):
            raise ValueError(f"corr is a number, {{('a', 'b'): number}} or a matrix; got {corr!r}")
        return np.where(np.eye(len(names), dtype=bool), 1.0, float(corr))
    return np.asarray(corr, dtype=float)


def _from_pairs(corr: Mapping[tuple[str, str], float], names: list[str]) -> np.ndarray:
    """Correlation matrix from {(one, other): number}."""
    R = np.full((len(names), len(names)), np.nan)
    for pair, value in corr.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and is_number(value)):
            raise ValueError(
                f"a correlation is a number for a pair, {{('a', 'b'): 0.3}}; got {{{pair!r}: {quoted(value)}}}"
            )
        one, other = pair
        if one not in names or other not in names or one == other:
            raise ValueError(f"a correlation is given for {one!r} and {other!r}; the terms are {names}")
        i, j = names.index(one), names.index(other)
        if not np.isnan(R[i, j]) and R[i, j] != value:
            raise ValueError(f"{one!r} and {other!r} are given two correlations, {R[i, j]:g} and {value:g}; keep one")
        R[i, j] = R[j, i] = value
    return np.where(np.eye(len(names), dtype=bool), 1.0, np.nan_to_num(R))


def check_names(what: str, given: Mapping[str, float] | pd.Index, names: Sequence[str]) -> None:
    """Refuse names that are missing or too many, listing both."""
    missing = [name for name in names if name not in given]
    extra = [str(name) for name in given if name not in names]
    if missing or extra:
        raise ValueError(
            f"{what} does not match the names in sd.\n"
            f"  without a value: {', '.join(missing) or 'none'}\n  not in sd: {', '.join(extra) or 'none'}"
        )
