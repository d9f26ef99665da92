"""Spellings: the names that users of statsmodels know, read-only, for what a fit has under its own.

`.fit(data)` of an estimator is the estimator called on the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


class Fits:
    """What every estimator has beside being called: `.fit(data)`."""

    def fit(self: Any, data: pd.DataFrame) -> Any:
        """Fit one data set: the same as calling the estimator on it.

        Examples
        --------
        >>> from lmmsim import OLS
        >>> pupils = pd.DataFrame({"score": [1.0, 2.0, 4.0, 3.0, 6.0, 5.0], "hours": [0, 1, 2, 3, 4, 5]})
        >>> OLS("score ~ hours").fit(pupils).coef.equals(OLS("score ~ hours")(pupils).coef)
        True
        """
        return self(data)


class Spellings:
    """Names of statsmodels' results on a `Fit`.

    Examples
    --------
    >>> from lmmsim import OLS
    >>> pupils = pd.DataFrame({"score": [1.0, 2.0, 4.0, 3.0, 6.0, 5.0], "hours": [0, 1, 2, 3, 4, 5]})
    >>> fit = OLS("score ~ hours").fit(pupils)
    >>> fit.params.round(3).to_dict(), fit.conf_int().shape
    ({'Intercept': 1.286, 'hours': 0.886}, (2, 2))
    """

    @property
    def params(self: Any) -> pd.Series:
        """Estimates, `coef["estimate"]`."""
        return _column(self, "estimate")

    @property
    def bse(self: Any) -> pd.Series:
        """Standard errors, `coef["se"]`."""
        return _column(self, "se")

    @property
    def tvalues(self: Any) -> pd.Series:
        """Estimates over their standard errors, `coef["t"]`."""
        return _column(self, "t")

    @property
    def pvalues(self: Any) -> pd.Series:
        """p values, `coef["p"]`: of t with small-sample df, where statsmodels' mixed models have z."""
        return _column(self, "p")

    @property
    def fittedvalues(self: Any) -> pd.Series:
        """Fitted values, `fitted`: random effects included."""
        return self.fitted

    @property
    def llf(self: Any) -> float:
        """Log-likelihood, `loglik`: the restricted one of a REML fit."""
        return self.loglik

    @property
    def aic(self: Any) -> float:
        """Akaike's criterion, -2 log-likelihood + 2 `npar`.

        It counts all parameters, as lme4 does. Of REML fits only those with the same fixed part can be compared.
        """
        return self.criterion + 2 * self.npar

    @property
    def bic(self: Any) -> float:
        """Schwarz's criterion, -2 log-likelihood + log(n) `npar`; n is the number of rows, as lme4 has it."""
        return self.criterion + float(np.log(self.nobs)) * self.npar

    def conf_int(self: Any, alpha: float = 0.05) -> pd.DataFrame:
        """Intervals of level 1 - alpha: columns 0 (low) and 1 (high)."""
        unit = pd.DataFrame(np.eye(len(self.terms)), list(self.terms), list(self.terms))
        table = self.contrast(unit, level=1 - alpha)
        return table[["low", "high"]].set_axis([0, 1], axis=1).rename_axis(None)

    def summary(self: Any) -> Any:
        """The fit itself, which prints as a summary."""
        return self


def _column(fit: Any, name: str) -> pd.Series:
    return fit.coef[name].rename(None).rename_axis(None)


NAMES = frozenset(name for name in vars(Spellings) if not name.startswith("_")) - {"aic", "bic"}
