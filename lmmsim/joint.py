"""Covariates that are drawn together: several normal columns with given correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TypeAlias

import numpy as np
import pandas as pd

from lmmsim.covariance import from_sd, is_number, quoted, square_root

Rng = np.random.Generator | int | None
Corr: TypeAlias = float | Mapping[tuple[str, str], float] | np.ndarray | Sequence[Sequence[float]] | pd.DataFrame


@dataclass(frozen=True)
class Correlated:
    """Several covariates drawn together from a multivariate normal distribution.

    Attributes
    ----------
    names : tuple of str
        The covariates, in the order of the columns that `draw` gives.
    mean, sd : tuple of float
        One per covariate.
    corr : tuple of tuples of float
        Their correlation matrix.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    corr: tuple[tuple[float, ...], ...]

    @property
    def cov(self) -> pd.DataFrame:
        """Covariance matrix, labelled."""
        return pd.DataFrame(from_sd(self.sd, self.corr), index=self.names, columns=self.names)

    @cached_property
    def _root(self) -> np.ndarray:
        """L with L L' equal to the covariance."""
        return square_root(from_sd(self.sd, self.corr))

    def draw(self, rng: Rng, n: int) -> np.ndarray:
        """Draw `n` rows.

        Parameters
        ----------
        rng : Generator, int or None
        n : int

        Returns
        -------
        ndarray, shape (n, k)
            Columns in the order of `names`.
        """
        z = np.random.default_rng(rng).standard_normal((n, len(self.names)))
        return z @ self._root.T + np.array(self.mean)


def correlated(
    sd: Mapping[str, float],
    corr: Corr = 0.0,
    mean: float | Mapping[str, float] = 0.0,
) -> Correlated:
    """Describe correlated covariates, normal each and together.

    Parameters
    ----------
    sd : mapping of str to float
        Name and standard deviation of every covariate.
    corr : float, mapping, DataFrame or array_like, shape (k, k)
        One correlation shared by all pairs; ``{("prior", "ses"): 0.4}``; a matrix labelled with the names in any
        order; or a plain matrix in the order of `sd`.
    mean : float or mapping of str to float
        One mean for all, or one per name.

    Returns
    -------
    Correlated

    Raises
    ------
    ValueError
        If names do not match, an sd is negative, or no distribution has these correlations.

    Examples
    --------
    >>> pupil = correlated(sd={"prior": 1.0, "ses": 2.0}, corr=0.4)
    >>> pupil.cov
           prior  ses
    prior    1.0  0.8
    ses      0.8  4.0
    >>> pupil.draw(rng=1, n=5).shape
    (5, 2)
    """
    if not isinstance(sd, Mapping):
        raise TypeError(f"sd names every covariate, as in sd={{'prior': 1.0, 'ses': 2.0}}; got {sd!r}")
    names = tuple(sd)
    if not names:
        raise ValueError("sd names no covariate; give at least one, as in sd={'prior': 1.0}")
    means = mean if isinstance(mean, Mapping) else dict.fromkeys(names, mean)
    _same_names("mean", means, names)
    sds = tuple(float(sd[name]) for name in names)
    R = correlation_matrix(corr, names)
    from_sd(sds, corr if is_number(corr) else R)  # refuses what cannot exist
    return Correlated(
        names,
        tuple(float(means[name]) for name in names),
        sds,
        tuple(map(tuple, R.tolist())),
    )


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
        _same_names("the rows of corr", corr.index, names)
        _same_names("the columns of corr", corr.columns, names)
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
    R = np.where(np.isnan(R), 0.0, R)
    np.fill_diagonal(R, 1.0)
    return R


def _same_names(what: str, given: Mapping[str, float] | pd.Index, names: Sequence[str]) -> None:
    """Refuse names that are missing or too many, listing both."""
    missing = [name for name in names if name not in given]
    extra = [str(name) for name in given if name not in names]
    if missing or extra:
        raise ValueError(
            f"{what} does not match the names in sd.\n"
            f"  without a value: {', '.join(missing) or 'none'}\n  not in sd: {', '.join(extra) or 'none'}"
        )
