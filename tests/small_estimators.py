"""Estimators so small that what a study makes of them can be worked out by hand."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmmsim.estimators.estimates import Estimates


@dataclass(frozen=True)
class Mean:
    """Mean of the response, with the t interval of a sample; a replicate can be told to fail."""

    fails_above: float = np.inf
    stuck_above: float = np.inf

    def many(self, Y, data):
        n = len(Y) - np.isnan(Y).sum(axis=0)
        estimate = np.nanmean(Y, axis=0)
        se = np.nanstd(Y, axis=0, ddof=1) / np.sqrt(n)
        failed, stuck = estimate > self.fails_above, estimate > self.stuck_above
        message = np.where(failed, "too large", np.where(stuck, "stuck", "")).astype(object)
        estimate = np.where(failed, np.nan, estimate)
        df = (n - 1.0)[:, None]
        nothing = np.full(len(n), np.nan)
        return Estimates(
            ("Intercept",), estimate[:, None], se[:, None], df, nothing, nothing, message == "", failed & False, message
        )

    def __call__(self, data):
        y = data["y"]
        if y.mean() > self.fails_above:
            raise ValueError("too large")
        return pd.DataFrame({"estimate": y.mean(), "se": y.std() / np.sqrt(len(y)), "df": len(y) - 1.0}, ["Intercept"])


@dataclass(frozen=True)
class MeanSingly:
    """The same, one data set at a time."""

    fails_above: float = np.inf

    def __call__(self, data):
        return Mean(self.fails_above)(data.dropna())
