"""The parametric bootstrap: data simulated from a fit, and analysed the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmmsim.checks import check_level
from lmmsim.estimators.engines import optimum_of
from lmmsim.estimators.estimates import RESIDUAL, Estimates
from lmmsim.estimators.fit import Fit, named_components
from lmmsim.simulation.simulate import responses
from lmmsim.streams import Rng, root


def simulate_from(fit: Fit, replicates: int, rng: Rng = None) -> np.ndarray:
    """Draw responses (n, replicates) from a fit: X beta + Z u + eps with its estimates for truth."""
    return responses(fit.equation, root(rng), 0, replicates)


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Refits of data sets that were simulated from a fit.

    Attributes
    ----------
    fit : Fit
        What was simulated from.
    estimates : Estimates
        One row per simulated data set.
    """

    fit: Fit
    estimates: Estimates

    @property
    def draws(self) -> pd.DataFrame:
        """Estimates of every data set: columns (part, group, term), part "coef" or "sd" or "corr"."""
        columns = {("coef", "", name): self.estimates.estimate[:, j] for j, name in enumerate(self.estimates.terms)}
        columns |= self.estimates.components or {RESIDUAL: self.estimates.sigma}
        return pd.DataFrame(columns).rename_axis(columns=["part", "group", "term"])

    def __repr__(self) -> str:
        return f"Bootstrap of {self.fit.formula}\n{self.estimates!r}"

    def interval(self, level: float | None = None) -> pd.DataFrame:
        """Percentile intervals.

        Parameters
        ----------
        level : float, optional
            The fit's own by default.

        Returns
        -------
        DataFrame, index (part, group, term)
            `estimate` of the fit; `bias` and `se` of the simulated estimates; `low`, `high`; `n` data sets counted.
        """
        level = self.fit.level if level is None else level
        check_level(level)
        draws = self.draws[self.estimates.converged]
        truth = named_components({("coef", "", term): value for term, value in self.fit.coef["estimate"].items()})
        truth = pd.concat([truth, self.fit.components])
        table = pd.DataFrame({"estimate": truth, "bias": draws.mean() - truth, "se": draws.std()})
        table["low"], table["high"] = draws.quantile((1 - level) / 2), draws.quantile((1 + level) / 2)
        return table.assign(n=draws.count()).loc[list(draws.columns)].rename_axis(index=["part", "group", "term"])


def bootstrap(fit: Fit, replicates: int = 1000, rng: Rng = None) -> Bootstrap:
    """Parametric bootstrap: simulate from a fit and analyse every simulated data set the same way.

    Parameters
    ----------
    fit : Fit
        Of a mixed model, or of least squares (whose rows are then independent).
    replicates : int
        Number of data sets.
    rng : Generator, int or None

    Returns
    -------
    Bootstrap
        `.interval()` has the intervals, `.draws` the estimates.

    Raises
    ------
    ValueError
        If there is nothing to simulate, or the fit is of group means: they have no model of single rows.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 6 and 13.
    """
    if replicates < 1:
        raise ValueError(f"replicates={replicates} makes no data set: ask for 1000, or at least for one")
    if fit.nobs != len(fit.data):
        raise ValueError(f"{fit.method} does not say how the {len(fit.data)} rows vary: bootstrap an LMM or OLS fit")
    Y = simulate_from(fit, replicates, rng)
    if hasattr(fit.estimator, "refit") and not fit.absorbed:
        return Bootstrap(fit, fit.estimator.refit(fit, Y))
    return Bootstrap(fit, fit.estimator.many(Y, fit.data, start=optimum_of(fit)))


def spreads(random: dict[str, np.ndarray], names: dict[str, tuple[str, ...]]) -> dict[tuple[str, str], np.ndarray]:
    """Standard deviations and correlations of covariances (r, k, k), named "plot week" and "plot Intercept week"."""
    columns: dict[tuple[str, str], np.ndarray] = {}
    for group, G in random.items():
        sd = np.sqrt(np.diagonal(G, axis1=1, axis2=2))
        columns |= {("sd", f"{group} {name}"): sd[:, i] for i, name in enumerate(names[group])}
        for i in range(len(names[group])):
            for j in range(i):
                if not G[:, i, j].any():
                    continue
                with np.errstate(divide="ignore", invalid="ignore"):
                    corr = G[:, i, j] / (sd[:, i] * sd[:, j])
                columns["corr", f"{group} {names[group][j]} {names[group][i]}"] = corr
    return columns
