"""Refits: what a fit would look like if its model were true.

Data sets are simulated from the fit and analysed in the same way. Every check computes one number from the real data
and the same number from each of these, so its reference distribution includes that the parameters were estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmmsim.checks import check_columns
from lmmsim.estimators.bootstrap import simulate_from
from lmmsim.estimators.engines import engine_of, optimum_of, residual_variances
from lmmsim.estimators.fit import Fit
from lmmsim.streams import Rng, generator


@dataclass(frozen=True, eq=False)
class Refits:
    """The real data in column 0, simulated data in the others, and what the model makes of each.

    Attributes
    ----------
    fit : Fit
    Y : ndarray, (n, 1 + r)
        Responses.
    fixed, fitted : ndarray, (n, 1 + r)
        X beta, and X beta + Z u.
    modes : tuple of ndarray, (1 + r, J, k)
        Predicted random effects of every term.
    sd : ndarray, (n, 1 + r)
        Standard deviation of Y - X beta as each analysis has it: groups and residual together.
    fresh : ndarray, (n, r)
        Responses simulated from the fit that nobody analysed.
    """

    fit: Fit
    Y: np.ndarray
    fixed: np.ndarray
    fitted: np.ndarray
    modes: tuple[np.ndarray, ...]
    sd: np.ndarray
    fresh: np.ndarray

    @property
    def marginal(self) -> np.ndarray:
        """Y - X beta."""
        return self.Y - self.fixed

    @property
    def conditional(self) -> np.ndarray:
        """Y - X beta - Z u."""
        return self.Y - self.fitted

    @property
    def replicates(self) -> int:
        """Number of simulated data sets."""
        return self.Y.shape[1] - 1

    @property
    def data(self) -> pd.DataFrame:
        """The rows that were analysed."""
        return self.fit.data


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """One question asked of a fit.

    Attributes
    ----------
    table : DataFrame
        What to draw.
    verdict : DataFrame, index "check"
        `statistic` of the real data; `low` and `high`, between which 95 % of the simulated ones lie; `p`, the share
        of simulated data sets at least as extreme, the real one counted among them; `replicates`, their number.
    """

    table: pd.DataFrame
    verdict: pd.DataFrame

    def __repr__(self) -> str:
        return f"{self.verdict.to_string(float_format='{:.4g}'.format)}\n\n{self.table}"


def refits(fit: Fit, replicates: int = 199, rng: Rng = None) -> Refits:
    """Simulate from a fit and analyse every simulated data set as the real one was.

    Parameters
    ----------
    fit : Fit
        From LMM or OLS.
    replicates : int
        Number of simulated data sets; the smallest p is 1 / (1 + replicates).
    rng : Generator, int or None

    Returns
    -------
    Refits

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> refits(LMM(plants.model.formula)(plants.data), replicates=19, rng=2).conditional.shape
    (150, 20)
    """
    rng = generator(rng)
    Y = np.column_stack([fit.y, simulate_from(fit, replicates, rng)])
    fresh = simulate_from(fit, replicates, rng)
    X = fit.matrices.X.to_numpy()
    if not fit.matrices.terms and fit.structure is None:
        fixed = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
        sigma = np.sqrt(np.sum((Y - fixed) ** 2, axis=0) / (len(X) - X.shape[1]))
        return Refits(fit, Y, fixed, fixed, (), np.broadcast_to(sigma, Y.shape), fresh)
    engine = engine_of(fit)
    solution = engine.fit(Y, reml=fit.reml, start=optimum_of(fit))
    good = np.isfinite(solution.criterion)
    if not good[0]:
        raise ValueError(f"the fit cannot be repeated: {solution.message[0]}")
    modes = tuple(engine.modes(solution, Y))
    fixed, variance = X @ solution.beta.T, residual_variances(engine, solution, len(X))
    fitted = fixed.copy()
    for term, u, G in zip(fit.matrices.terms, modes, solution.covariances, strict=True):
        variance += np.einsum("ni,rij,nj->nr", term.columns, G, term.columns)
        for k, values in enumerate(term.columns.T):
            fitted += values[:, None] * u[:, term.codes, k].T
    modes = tuple(u[good] for u in modes)
    return Refits(fit, Y[:, good], fixed[:, good], fitted[:, good], modes, np.sqrt(variance[:, good]), fresh)


def as_refits(fit: Fit | Refits, replicates: int, rng: Rng) -> Refits:
    """Simulate from a fit, unless that was done already."""
    return fit if isinstance(fit, Refits) else refits(fit, replicates, rng)


def verdict(name: str, statistics: np.ndarray, sided: int) -> pd.DataFrame:
    """One row: the first of these statistics against the others; only large ones are extreme if `sided` is 1."""
    observed, simulated = statistics[0], statistics[1:]
    simulated = simulated[np.isfinite(simulated)]
    row = {"statistic": float(observed), "low": np.nan, "high": np.nan, "p": np.nan, "replicates": len(simulated)}
    if len(simulated) and np.isfinite(observed):
        above = (1 + np.count_nonzero(simulated >= observed)) / (1 + len(simulated))
        below = (1 + np.count_nonzero(simulated <= observed)) / (1 + len(simulated))
        row["p"] = above if sided == 1 else min(1.0, 2 * min(above, below))
        row["low"], row["high"] = np.quantile(simulated, [0.0, 0.95] if sided == 1 else [0.025, 0.975])
    return pd.DataFrame([row], index=pd.Index([name], name="check"))


def band(simulated: np.ndarray) -> dict[str, np.ndarray]:
    """Columns `low` and `high`: between them lie 95 % of the simulated values (..., r), point by point."""
    known = np.isfinite(simulated).all(axis=tuple(range(simulated.ndim - 1)))
    if not known.any():
        nothing = np.full(simulated.shape[:-1], np.nan)
        return {"low": nothing, "high": nothing}
    low, high = np.quantile(simulated[..., known], [0.025, 0.975], axis=-1)
    return {"low": low, "high": high}


def column(refit: Refits, name: str) -> pd.Series:
    """A column of the data, or an error that names those there are."""
    check_columns(refit.data, [name])
    return refit.data[name]


def rows_of(fit: Fit, data: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of the fit, with the columns of `data` if it is given."""
    if not hasattr(fit, "matrices"):
        raise TypeError(f"a fit of LMM or OLS is needed, as LMM(formula)(data); got {type(fit).__name__}")
    if len(fit.y) != len(fit.data) or fit.absorbed:
        raise ValueError(
            f"a fit of LMM or OLS is needed; this one ({fit.method}) has taken the groups out of the rows: fit "
            "LMM with these groups as random effects instead"
        )
    if data is None:
        return fit.data
    index = fit.matrices.X.index
    if not data.index.is_unique or not index.isin(data.index).all():
        raise ValueError(
            f"data has {len(data)} rows, not those of the fit ({len(index)}): pass the data that were fitted"
        )
    return data.loc[index]
