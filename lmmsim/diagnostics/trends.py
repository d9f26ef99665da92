"""Trends: does the mean or the spread of the residuals follow something that the model does not know?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmmsim.diagnostics.refits import Check, Refits, as_refits, band, column, verdict
from lmmsim.estimators.fit import Fit
from lmmsim.model.frame import holds_numbers
from lmmsim.streams import Rng


def linearity(fit: Fit | Refits, covariate: str, bins: int = 10, replicates: int = 199, rng: Rng = None) -> Check:
    """Average the residuals along a covariate: a curve that the model misses shows.

    Parameters
    ----------
    fit : Fit or Refits
    covariate : str
        A numeric column of the data, in the model or not.
    bins : int
        Equally filled classes of the covariate; fewer distinct values are taken as they are.
    replicates : int
        Simulated data sets, if they are not there already.
    rng : Generator, int or None

    Returns
    -------
    Check
        `table`, a row for each class: `at` (mean of the covariate), `n`, `mean` residual, and `low` and `high`.
        `verdict`: "linearity covariate", the sum of squares of the means, each over its root mean square in
        all data sets. Conditional residuals where the covariate varies within groups; marginal ones where it does not,
        because there the random effects would follow the curve.

    References
    ----------
    Lin, Wei & Ying (2002), Biometrics 58:1, on residuals summed along a covariate.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> linearity(LMM(plants.model.formula)(plants.data), "week", replicates=99, rng=2).table["at"].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    refit = as_refits(fit, replicates, rng)
    x = _numbers(refit, covariate)
    within = all(_varies(x, term.codes) for term in refit.fit.matrices.terms)
    classes = _Classes.of(x, bins)
    means = classes.means(refit.conditional if within else refit.marginal)
    size = np.sqrt((means**2).mean(axis=1, keepdims=True))
    statistic = np.sum((means / np.where(size > 0, size, np.inf)) ** 2, axis=0)
    table = pd.DataFrame({"at": classes.means(x), "n": classes.n, "mean": means[:, 0], **band(means[:, 1:])})
    return Check(table, verdict(f"linearity {covariate}", statistic, sided=1))


def scale_location(
    fit: Fit | Refits, by: str | None = None, bins: int = 10, replicates: int = 199, rng: Rng = None
) -> Check:
    """Compare the spread of the conditional residuals along the fitted values, a covariate, or the levels of a factor.

    Parameters
    ----------
    fit : Fit or Refits
    by : str, optional
        A column of the data; the fitted values by default.
    bins : int
        Equally filled classes of numbers.
    replicates, rng
        As for `linearity`.

    Returns
    -------
    Check
        `table`, a row for each class or level: `at`, `n`, `spread` (root mean square of the residuals, in the units of
        the response), `low`, `high`. `verdict`, "scale_location by": for numbers the correlation of absolute residual
        and rank of `by`, for a factor the share of the variance of absolute residuals that lies between its levels.

    References
    ----------
    Levene (1960), in Contributions to Probability and Statistics; Cook & Weisberg (1983), Biometrika 70:1.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> fit = LMM(plants.model.formula)(plants.data)
    >>> scale_location(fit, by="fertilizer", replicates=99, rng=2).table["at"].tolist()
    ['Control', 'A', 'B']
    """
    refit = as_refits(fit, replicates, rng)
    residuals = refit.conditional
    if by is not None and not _has_order(column(refit, by)):
        factor = pd.Categorical(column(refit, by)).remove_unused_categories()
        classes = _Classes(np.asarray(factor.codes), len(factor.categories))
        spread, at = np.sqrt(classes.means(residuals**2)), np.asarray(factor.categories)
        statistic, sided = classes.share(np.abs(residuals)), 1
    elif by is not None:
        x = column(refit, by).to_numpy(dtype=float)
        classes = _Classes.of(x, bins)
        spread, at = np.sqrt(classes.means(residuals**2)), classes.means(x)
        statistic, sided = _correlation(_ranks(x[:, None]), np.abs(residuals)), 2
    else:
        # every replicate has its own fitted values: class by rank
        order = np.argsort(refit.fitted, axis=0, kind="stable")
        n = len(order)
        classes = _Classes(np.arange(n) * min(bins, n) // n, min(bins, n))
        spread = np.sqrt(classes.means(np.take_along_axis(residuals**2, order, axis=0)))
        at = classes.means(np.sort(refit.fitted[:, 0]))
        statistic, sided = _correlation(_ranks(refit.fitted), np.abs(residuals)), 2
    table = pd.DataFrame({"at": at, "n": classes.n, "spread": spread[:, 0], **band(spread[:, 1:])})
    return Check(table, verdict(f"scale_location {by or 'fitted'}", statistic, sided))


def slopes(
    fit: Fit | Refits, covariate: str, group: str | None = None, replicates: int = 199, rng: Rng = None
) -> Check:
    """Fit a line to the conditional residuals of every group: slopes that differ are random slopes that are missed.

    Parameters
    ----------
    fit : Fit or Refits
    covariate : str
        A numeric column that varies within groups.
    group : str, optional
        Grouping factor of the fit; its first by default.
    replicates, rng
        As for `linearity`.

    Returns
    -------
    Check
        `table`, a row for each group in which the covariate varies: `level`, `n`, `slope` of the residuals, and `low`
        and `high` in refitted simulations. `verdict`, "slopes covariate | group": the share of the residual sum of
        squares that these lines explain.

    References
    ----------
    Barr, Levy, Scheepers & Tily (2013), Journal of Memory and Language 68:255, on what a missed slope does.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> forgetful = LMM("height ~ week * fertilizer + (1 | plot)")(plants.data)
    >>> float(slopes(forgetful, "week", replicates=99, rng=2).verdict["p"].iloc[0])
    0.01
    """
    refit = as_refits(fit, replicates, rng)
    bars = refit.fit.matrices.terms
    term = next((term for term in bars if group in (None, term.group)), None)
    if term is None:
        raise ValueError(f"'{group}' is not a grouping factor of '{refit.fit.formula}'; fit one with it")
    x = _numbers(refit, covariate)
    groups = _Classes(term.codes, len(term.levels))
    x = x - groups.means(x)[term.codes]
    residuals = refit.conditional - groups.means(refit.conditional)[term.codes]
    Sxx, Sxy = groups.sums(x**2), groups.sums(x[:, None] * residuals)
    there = Sxx > 1e-12 * max(Sxx.max(), 1e-300)
    if not there.any():
        raise ValueError(f"'{covariate}' does not vary within any '{term.group}', so there are no slopes to compare")
    slope = Sxy[there] / Sxx[there][:, None]
    statistic = (slope * Sxy[there]).sum(axis=0) / (residuals**2).sum(axis=0)
    columns = {"level": term.levels[there], "n": groups.n[there], "slope": slope[:, 0], **band(slope[:, 1:])}
    return Check(pd.DataFrame(columns), verdict(f"slopes {covariate} | {term.group}", statistic, sided=1))


@dataclass(frozen=True, eq=False)
class _Classes:
    """Rows sorted into `count` classes by `codes` (n,)."""

    codes: np.ndarray
    count: int

    @classmethod
    def of(cls, x: np.ndarray, bins: int) -> _Classes:
        """Distinct values if they are few, otherwise equally filled classes."""
        values, codes = np.unique(x, return_inverse=True)
        if len(values) > bins:
            cuts = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1]))
            _, codes = np.unique(np.searchsorted(cuts, x, side="right"), return_inverse=True)
        return cls(codes, int(codes.max()) + 1)

    @property
    def n(self) -> np.ndarray:
        """Rows of each class."""
        return np.bincount(self.codes, minlength=self.count)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums by class, (n, ...) to (count, ...)."""
        out = np.zeros((self.count, *values.shape[1:]))
        np.add.at(out, self.codes, values)
        return out

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means by class."""
        n = self.n.reshape(-1, *[1] * (values.ndim - 1))
        return self.sums(values) / n

    def share(self, values: np.ndarray) -> np.ndarray:
        """Share of the variance of each column that lies between classes."""
        centred = values - values.mean(axis=0)
        return (self.n[:, None] * self.means(centred) ** 2).sum(axis=0) / (centred**2).sum(axis=0)


def _numbers(refit: Refits, covariate: str) -> np.ndarray:
    """A covariate, or say that it has no order."""
    values = column(refit, covariate)
    if not _has_order(values):
        raise ValueError(f"'{covariate}' holds no numbers: its levels have no order to look along; see scale_location")
    return values.to_numpy(dtype=float)


def _has_order(values: pd.Series) -> bool:
    """Whether a column holds numbers or truth values."""
    return holds_numbers(values) or pd.api.types.is_bool_dtype(values)


def _varies(x: np.ndarray, codes: np.ndarray) -> bool:
    """Whether x differs within groups."""
    groups = _Classes(codes, int(codes.max()) + 1)
    return not np.allclose(x, groups.means(x)[codes])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks within columns, ties shared."""
    from scipy.stats import rankdata

    return rankdata(values, axis=0)


def _correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Correlation column by column; one column on the left serves all."""
    left, right = left - left.mean(axis=0), right - right.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (left * right).sum(axis=0) / np.sqrt((left**2).sum(axis=0) * (right**2).sum(axis=0))
