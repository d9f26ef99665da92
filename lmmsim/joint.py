"""Covariates that are drawn together: several normal columns with given correlations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from lmmsim.covariance import from_sd, square_root

Rng = np.random.Generator | int | None


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
    corr: float | np.ndarray | pd.DataFrame = 0.0,
    mean: float | Mapping[str, float] = 0.0,
) -> Correlated:
    """Describe correlated covariates, normal each and together.

    Parameters
    ----------
    sd : mapping of str to float
        Name and standard deviation of every covariate.
    corr : float, DataFrame or array_like, shape (k, k)
        One correlation shared by all pairs; or a matrix labelled with the names in any order; or a plain matrix in
        the order of `sd`.
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
    names = tuple(sd)
    if not names:
        raise ValueError("sd names no covariate; give at least one, as in sd={'prior': 1.0}")
    means = mean if isinstance(mean, Mapping) else dict.fromkeys(names, mean)
    _same_names("mean", means, names)
    if isinstance(corr, pd.DataFrame):
        _same_names("the rows of corr", corr.index, names)
        _same_names("the columns of corr", corr.columns, names)
        corr = corr.loc[list(names), list(names)].to_numpy(dtype=float)
    sds = tuple(float(sd[name]) for name in names)
    R = np.asarray(corr, dtype=float)
    if R.ndim == 0:
        R = np.where(np.eye(len(names), dtype=bool), 1.0, R)
    from_sd(sds, corr if np.ndim(corr) == 0 else R)  # refuses what cannot exist
    return Correlated(
        names,
        tuple(float(means[name]) for name in names),
        sds,
        tuple(map(tuple, R.tolist())),
    )


def _same_names(what: str, given: Mapping[str, float] | pd.Index, names: tuple[str, ...]) -> None:
    """Refuse names that are missing or too many, listing both."""
    missing = [name for name in names if name not in given]
    extra = [str(name) for name in given if name not in names]
    if missing or extra:
        raise ValueError(
            f"{what} does not match the names in sd.\n"
            f"  without a value: {', '.join(missing) or 'none'}\n  not in sd: {', '.join(extra) or 'none'}"
        )
