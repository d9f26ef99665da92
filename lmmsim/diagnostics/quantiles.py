"""Quantile plots: are random effects and residuals normal?

Predicted random effects are pulled towards zero and towards the normal distribution, so their quantiles are compared
with those of refitted simulations, never with a table.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmmsim.diagnostics.refits import Check, Refits, as_refits, band, verdict
from lmmsim.estimators.fit import Fit
from lmmsim.streams import Rng


def random_qq(fit: Fit | Refits, replicates: int = 199, rng: Rng = None) -> Check:
    """Compare the predicted random effects with normal quantiles, each grouping factor and term by itself.

    Parameters
    ----------
    fit : Fit or Refits
    replicates : int
        Simulated data sets, if they are not there already.
    rng : Generator, int or None

    Returns
    -------
    Check
        `table`: columns `group term level theoretical sample low high`, in the units of the response. `verdict`: a row
        "random_qq group term" whose statistic is 1 - r^2 of sample and theoretical quantiles (Shapiro & Francia 1972);
        large means not normal. It is missing where all effects are predicted as zero.

    References
    ----------
    Verbeke & Lesaffre (1996), Journal of the American Statistical Association 91:217, on what shrinkage hides.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> check = random_qq(LMM(plants.model.formula)(plants.data), replicates=99, rng=2)
    >>> check.verdict.index.tolist()
    ['random_qq plot Intercept', 'random_qq plot week']
    """
    refit = as_refits(fit, replicates, rng)
    tables, verdicts = [], []
    for term, modes in zip(refit.fit.matrices.terms, refit.modes, strict=True):
        for k, name in enumerate(term.names):
            table, one = _qq(f"random_qq {term.group} {name}", modes[:, :, k].T)
            order = table.pop("order").to_numpy()
            labels = {"group": term.group, "term": name, "level": term.levels[order]}
            tables.append(table.assign(**labels)[["group", "term", "level", *table.columns]])
            verdicts.append(one)
    if not tables:
        raise ValueError(f"'{refit.fit.formula}' has no random effects")
    return Check(pd.concat(tables, ignore_index=True), pd.concat(verdicts))


def residual_qq(fit: Fit | Refits, replicates: int = 199, rng: Rng = None) -> Check:
    """Compare the conditional residuals with normal quantiles.

    Parameters
    ----------
    fit, replicates, rng
        As for `random_qq`.

    Returns
    -------
    Check
        `table`: columns `theoretical sample low high`, indexed by the row of the data. `verdict`: as for `random_qq`.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> residual_qq(LMM(plants.model.formula)(plants.data), replicates=99, rng=2).table.columns.tolist()
    ['theoretical', 'sample', 'low', 'high']
    """
    refit = as_refits(fit, replicates, rng)
    table, one = _qq("residual_qq", refit.conditional)
    return Check(table.set_index(refit.data.index[table.pop("order")]), one)


def normal_scores(n: int) -> np.ndarray:
    """Normal quantiles that belong to the ranks 1 .. n (Blom 1958)."""
    from scipy.special import ndtri

    return ndtri((np.arange(n) + 0.625) / (n + 0.25))


def _qq(name: str, values: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table and verdict for values (n, 1 + r), the real ones in column 0; the band has the real ones' sd."""
    order = np.argsort(values[:, 0], kind="stable")
    scores = normal_scores(len(values))
    ordered = np.sort(values, axis=0)
    centred = ordered - ordered.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    # effects predicted as zero have no shape
    size = np.where(size > 1e-10 * np.nanmax(size), size, np.nan)
    departure = 1 - (scores @ centred / size) ** 2 / (scores @ scores)
    shapes = centred[:, 1:] / size[1:] * size[0] + ordered[:, 0].mean()
    columns = {"theoretical": scores, "sample": ordered[:, 0], **band(shapes), "order": order}
    return pd.DataFrame(columns), verdict(name, departure, sided=1)
