"""Random effects: how the effects of one grouping factor vary and go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lmmsim import covariance, draws
from lmmsim.checks import check_sd
from lmmsim.covariance import Corr, correlation_matrix


@dataclass(frozen=True)
class Random:
    """How the random effects of one grouping factor vary.

    Parameters
    ----------
    sd : float or mapping
        Standard deviations in the units of the response, by term:
        `{"Intercept": 2.0, "week": 0.4}`. A single number is an intercept's.
    corr : float, mapping, DataFrame or array_like
        One correlation for all pairs, `{("Intercept", "week"): 0.3}`, a matrix
        labelled with the terms, or a plain one in the order of `sd`. Terms in
        different bars are independent.
    shape : draws.Shape, optional
        Normal unless said otherwise; the standard deviations stay what they are.

    Examples
    --------
    >>> Random(sd={"Intercept": 2.0, "week": 0.4}, corr=0.3).covariance(["Intercept", "week"])
    array([[4.  , 0.24],
           [0.24, 0.16]])
    """

    sd: float | Mapping[str, float]
    corr: Corr = 0.0
    shape: draws.Shape = field(default_factory=draws.normal)

    def __post_init__(self) -> None:
        """Keep no hold of what was given, nothing that == cannot compare, and read `draws.skewed` as a shape."""
        object.__setattr__(self, "sd", dict(self.sd) if isinstance(self.sd, Mapping | pd.Series) else self.sd)
        is_table = isinstance(self.corr, np.ndarray | pd.DataFrame)
        corr = correlation_matrix(self.corr, list(self.sds)).tolist() if is_table else deepcopy(self.corr)
        object.__setattr__(self, "corr", corr)
        object.__setattr__(self, "shape", draws.as_shape(self.shape))

    @property
    def sds(self) -> dict[str, float]:
        """Standard deviations by term."""
        return dict(self.sd) if isinstance(self.sd, Mapping) else {"Intercept": self.sd}

    def covariance(self, names: Iterable[str]) -> np.ndarray:
        """Covariance matrix of the named terms, in that order."""
        names, sds = list(names), self.sds
        corr = self.corr if isinstance(self.corr, int | float) else self._matrix(names)
        return covariance.from_sd([sds[name] for name in names], corr)

    def _matrix(self, names: list[str]) -> np.ndarray:
        """The correlation matrix of the named terms, from a mapping or a larger matrix."""
        everyone = list(self.sds)
        k = len(everyone)
        corr = correlation_matrix(self.corr, everyone)
        if corr.shape != (k, k):
            raise ValueError(f"corr has shape {corr.shape}; {k} terms need ({k}, {k})")
        chosen = [everyone.index(name) for name in names]
        return corr[np.ix_(chosen, chosen)]


def as_random(value: Random | Mapping[str, float] | float) -> Random:
    return value if isinstance(value, Random) else Random(sd=value)


def check_sds(group: str, effect: Random) -> None:
    for name, sd in effect.sds.items():
        check_sd(f"'{name}' in '{group}'", sd)
    try:
        effect.covariance(effect.sds)
    except ValueError as error:
        raise ValueError(f"random['{group}']: {error}") from error
