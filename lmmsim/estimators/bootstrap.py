"""The parametric bootstrap: data simulated from a fit, and analysed the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmmsim.checks import check_level
from lmmsim.estimators.estimates import Estimates
from lmmsim.estimators.fit import Fit
from lmmsim.streams import Rng, generator


def simulate_from(fit: Fit, replicates: int, rng: Rng = None) -> np.ndarray:
    """Draw responses (n, replicates) from a fit: X beta + Z u + eps with its estimates for truth."""
    rng = generator(rng)
    mean = fit.matrices.X.to_numpy() @ fit.beta
    if fit.group_means is not None:
        mean = mean + fit.group_means
    Y = np.repeat(mean[:, None], replicates, axis=1)
    for bar, G in zip(fit.matrices.terms, fit.covariances, strict=True):
        values, vectors = np.linalg.eigh(G)
        root = vectors * np.sqrt(values.clip(min=0))  # a singular G has no Cholesky factor
        u = rng.standard_normal((len(bar.levels), replicates, len(G))) @ root.T
        for k in range(len(G)):
            Y += bar.columns[:, [k]] * u[bar.codes, :, k]
    return Y + fit.sigma * rng.standard_normal(Y.shape)


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
        """Estimates of every data set: columns (part, name), part "coef" or "sd" or "corr"."""
        columns = {("coef", name): self.estimates.estimate[:, j] for j, name in enumerate(self.estimates.terms)}
        columns |= spreads(self.estimates.random, {g: tuple(G.columns) for g, G in self.fit.random.items()})
        columns["sd", "residual"] = self.estimates.sigma
        return pd.DataFrame(columns).rename_axis(columns=["part", "name"])

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
        DataFrame, index (part, name)
            `estimate` of the fit; `bias` and `se` of the simulated estimates; `low`, `high`; `n` data sets counted.
        """
        level = self.fit.level if level is None else level
        check_level(level)
        draws = self.draws[self.estimates.converged]
        truth = {("coef", name): value for name, value in zip(self.fit.terms, self.fit.beta, strict=True)}
        random = {group: G.to_numpy()[None] for group, G in self.fit.random.items()}
        spread = spreads(random, {g: tuple(G.columns) for g, G in self.fit.random.items()})
        truth |= {key: float(value[0]) for key, value in spread.items()}
        truth["sd", "residual"] = self.fit.sigma
        table = pd.DataFrame({"estimate": pd.Series(truth), "bias": draws.mean() - pd.Series(truth), "se": draws.std()})
        table["low"], table["high"] = draws.quantile((1 - level) / 2), draws.quantile((1 + level) / 2)
        return table.assign(n=draws.count()).loc[list(draws.columns)].rename_axis(index=["part", "name"])


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
    start = getattr(fit, "theta", None)
    return Bootstrap(fit, fit.estimator.many(Y, fit.data, start=start))


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
