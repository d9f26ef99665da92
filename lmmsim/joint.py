"""Covariates that are drawn together: several normal columns with given correlations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from lmmsim.checks import is_number
from lmmsim.correlations import Corr, check_names, correlation_matrix
from lmmsim.covariance import from_sd, square_root
from lmmsim.streams import Rng, generator


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
        z = generator(rng).standard_normal((n, len(self.names)))
        return z @ self._root.T + np.array(self.mean)


def correlated(sd: Mapping[str, float], corr: Corr = 0.0, mean: float | Mapping[str, float] = 0.0) -> Correlated:
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
    check_names("mean", means, names)
    sds = tuple(float(sd[name]) for name in names)
    R = correlation_matrix(corr, names)
    from_sd(sds, corr if is_number(corr) else R)  # refuses what cannot exist
    return Correlated(names, tuple(float(means[name]) for name in names), sds, tuple(map(tuple, R.tolist())))
