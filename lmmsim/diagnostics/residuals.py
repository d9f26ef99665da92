"""Residuals of a mixed model: of the population, of the groups, standardised, free of the groups, and simulated."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmmsim.diagnostics.precision import Inverse
from lmmsim.diagnostics.quantiles import normal_scores
from lmmsim.diagnostics.refits import Check, Refits, as_refits, verdict
from lmmsim.estimators.fit import Fit
from lmmsim.model.blocks import columns
from lmmsim.streams import Rng

LARGEST = 3000  # rows for which the n x n projection of `least_confounded` is formed


def residuals(fit: Fit) -> pd.DataFrame:
    """Take the residuals apart.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    DataFrame, on the index of the rows
        `fixed` is X beta, `fitted` is X beta + Z u. `marginal` is y minus the first, `conditional` y minus the second,
        in the units of the response; `standardised` is the conditional residual over its own standard deviation.

    Notes
    -----
    Conditional residuals have the covariance R P R, with P = V^-1 - V^-1 X (X'V^-1X)^-1 X'V^-1: less where a row has
    leverage on the coefficients or on its group's effects.

    References
    ----------
    Nobre & Singer (2007), Biometrical Journal 49:863.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> residuals(LMM(plants.model.formula)(plants.data)).columns.tolist()
    ['fixed', 'fitted', 'marginal', 'conditional', 'standardised']
    """
    fixed = fit.matrices.X.to_numpy() @ fit.beta
    sd = np.sqrt(np.clip(Inverse.of(fit).residual_variances(), 0, None))
    # a row that its own group effect fits exactly has no residual to standardise
    sd = np.where(sd > 1e-8 * fit.sigma, sd, np.nan)
    return pd.DataFrame(
        {
            "fixed": fixed,
            "fitted": fit.y - fit.residuals,
            "marginal": fit.y - fixed,
            "conditional": fit.residuals,
            "standardised": fit.residuals / sd,
        },
        index=fit.matrices.X.index,
    )


def least_confounded(fit: Fit) -> Check:
    """Find residuals that contain nothing of the random effects: independent and equally spread if the model is true.

    Parameters
    ----------
    fit : Fit
        With at most 3000 rows.

    Returns
    -------
    Check
        `table`: `theoretical` and `sample` quantiles by row, for n - rank([X Z]) rows. `verdict`: the test of Shapiro &
        Wilk, `statistic` 1 - W, whose `p` needs no simulation here, because no effect has been estimated with error.

    Raises
    ------
    ValueError
        If there are too many rows, or groups leave none to look at.

    Notes
    -----
    Conditional residuals are confounded with u: skewed effects make them skewed. These are the best linear unbiased
    residuals with a scalar covariance, M_SS^(-1/2) e_S, of the regression on X and on all columns of Z as if fixed:
    each is as near as can be to the eps of its own row. Of rows that are equally good, as in a balanced design, those
    that come first in the frame are taken. Where R is not sigma^2 I, everything is multiplied by the
    inverse of its root first, after which the errors are alike and independent.

    References
    ----------
    Theil (1965), Journal of the American Statistical Association 60:1067; Hilden-Minton (1995), Multilevel Diagnostics
    for Mixed and Hierarchical Linear Models.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> len(least_confounded(LMM(plants.model.formula)(plants.data)).table)
    90
    """
    from scipy.stats import shapiro

    n, X = len(fit.y), fit.matrices.X.to_numpy()
    if n > LARGEST:
        raise ValueError(f"least_confounded forms an n x n matrix and takes {LARGEST} rows; this fit has {n}")
    both = whitened(fit, np.hstack([X, columns(fit.matrices.terms, n)]))
    left, values, _ = np.linalg.svd(both / np.maximum(np.abs(both).max(axis=0), 1e-300), full_matrices=False)
    Q = left[:, values > 1e-10 * values[0]]
    free = n - Q.shape[1]
    if free < 3:
        raise ValueError(f"{n} rows less {Q.shape[1]} effects leave {free} residuals free of them: too few to look at")
    M = np.eye(n) - Q @ Q.T
    rows = pivots(M, free)
    size, axes = np.linalg.eigh(M[np.ix_(rows, rows)])
    blus = axes @ ((axes.T @ (M @ whitened(fit, fit.y))[rows]) / np.sqrt(size))
    order = np.argsort(blus, kind="stable")
    index = fit.matrices.X.index[rows[order]]
    table = pd.DataFrame({"theoretical": normal_scores(free), "sample": blus[order]}, index=index)
    W, p = shapiro(blus)
    row = {"statistic": 1 - W, "low": np.nan, "high": np.nan, "p": float(p), "replicates": 0}
    return Check(table, pd.DataFrame([row], index=pd.Index(["least_confounded"], name="check")))


def pivots(M: np.ndarray, free: int) -> np.ndarray:
    """Choose `free` rows of a projection M (n, n), each the one that those before it leave the largest variance.

    They are the pivots of a Cholesky factor of M. Equal rows differ in their last digits, and differently on every
    processor, so the first of all that are equal up to rounding is taken.
    """
    variance, factor, rows = M.diagonal().copy(), np.empty((free, len(M))), []
    for done in range(free):
        row = int(np.argmax(variance > variance.max() * (1 - 1e-8)))
        before = factor[:done]
        factor[done] = (M[row] - before[:, row] @ before) / np.sqrt(variance[row])
        variance -= factor[done] ** 2
        variance[row] = -np.inf
        rows.append(row)
    return np.sort(rows)


def whitened(fit: Fit, values: np.ndarray) -> np.ndarray:
    """Values (n, ...) times the inverse root of R: errors become alike and independent, of the same mean variance."""
    from scipy.linalg import solve_triangular

    R = fit.equation.R
    spread = R.diagonal()
    if R.nnz == len(spread) and np.ptp(spread) == 0:
        return values
    return np.asarray(solve_triangular(np.linalg.cholesky(R.toarray() / spread.mean()), values, lower=True))


def simulated_residuals(fit: Fit | Refits, replicates: int = 199, rng: Rng = None) -> Check:
    """Rank every response among responses simulated from the fit: uniform if the model is true.

    Parameters
    ----------
    fit : Fit or Refits
    replicates : int
        Simulated data sets, if they are not there already.
    rng : Generator, int or None

    Returns
    -------
    Check
        `table`, by row: the `observed` response, `low`, `median` and `high` (2.5, 50 and 97.5 %) of the simulated ones
        and `scaled`, the share of them below. `verdict`: "uniformity", the distance of Kolmogorov and Smirnov from the
        uniform distribution; "dispersion", the sd of the responses around the population mean over that of simulated
        ones; "outliers", the number of responses below or above all that were simulated. Each against refits, which
        know that rows of a group are correlated and that the parameters were estimated.

    Notes
    -----
    Groups are drawn anew. A normal model estimates its own spread, so its dispersion is near 1 whatever the data; it
    moves when variances are fixed or shared wrongly.

    References
    ----------
    Dunn & Smyth (1996), Journal of Computational and Graphical Statistics 5:236. Hartig, DHARMa, an R package.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> check = simulated_residuals(LMM(plants.model.formula)(plants.data), replicates=99, rng=2)
    >>> check.verdict.index.tolist()
    ['uniformity', 'dispersion', 'outliers']
    """
    refit = as_refits(fit, replicates, rng)
    # one set of simulated responses serves all refits: in units of the model's own sd they do not depend on it
    z, drawn = refit.marginal / refit.sd, (refit.fresh - refit.fixed[:, [0]]) / refit.sd[:, [0]]
    m = drawn.shape[1]
    below = np.array([np.searchsorted(pool, row) for pool, row in zip(np.sort(drawn, axis=1), z, strict=True)])
    scaled = (below + 0.5) / (m + 1)
    ordered, n = np.sort(scaled, axis=0), len(scaled)
    rank = np.arange(n)[:, None]
    distance = np.maximum((rank + 1) / n - ordered, ordered - rank / n).max(axis=0)
    low, median, high = np.quantile(refit.fresh, [0.025, 0.5, 0.975], axis=1)
    seen = {"observed": refit.Y[:, 0], "low": low, "median": median, "high": high, "scaled": scaled[:, 0]}
    verdicts = [
        verdict("uniformity", distance, sided=1),
        verdict("dispersion", z.std(axis=0) / drawn.std(axis=0).mean(), sided=2),
        verdict("outliers", ((below == 0) | (below == m)).sum(axis=0).astype(float), sided=1),
    ]
    return Check(pd.DataFrame(seen, index=refit.fit.matrices.X.index), pd.concat(verdicts))
