"""What the tests of residual structures share: the reference fits as analyses, and a likelihood written out in full."""

import json

import numpy as np
import pandas as pd
from places import REFERENCE
from scipy.optimize import approx_fprime, minimize

from lmmsim import AR1, IID, CompoundSymmetry, Unstructured

FITS = json.loads((REFERENCE / "nlme.json").read_text())["fits"]


def spec(fit):
    """The residual of a reference fit, as an analysis names it."""
    correlation, variance = fit["residual"]["correlation"], fit["residual"]["variance"]
    by = variance["by"] if variance else None
    if not correlation:
        return IID(by=by)
    kind, unit = correlation["type"], correlation["group"]
    if kind in ("AR1", "CAR1"):
        return AR1(unit=unit, time=correlation["time"], by=by)
    if kind == "compound symmetry":
        return CompoundSymmetry(unit=unit, by=by)
    return Unstructured(unit=unit, time=correlation["time"])


def data_of(fit):
    """The data of a reference fit, factors in their order."""
    data = pd.read_csv(REFERENCE / "data" / fit["data"])
    for name, levels in (fit["fixed_factor_levels"] or {}).items():
        data[name] = pd.Categorical(data[name], categories=levels)
    return data


class Dense:
    """-2 log-likelihood from V (n, n) as a function of any parameters, and Satterthwaite's df by its definition."""

    def __init__(self, V, X, y, reml=True):
        self.V, self.X, self.y, self.reml = V, X, y, reml

    def gls(self, parameters):
        V = self.V(parameters)
        root = np.linalg.cholesky(V)
        X, y = np.linalg.solve(root, self.X), np.linalg.solve(root, self.y)
        C = np.linalg.inv(X.T @ X)
        beta = C @ X.T @ y
        return 2 * np.log(np.diag(root)).sum(), C, beta, ((y - X @ beta) ** 2).sum()

    def __call__(self, parameters):
        try:
            log_det, C, _, rest = self.gls(parameters)
        except np.linalg.LinAlgError:
            return 1e10
        n, p = self.X.shape
        if self.reml:
            return (n - p) * np.log(2 * np.pi) + log_det - np.linalg.slogdet(C)[1] + rest
        return n * np.log(2 * np.pi) + log_det + rest

    def optimum(self, start):
        """The lowest minimum that is found from a start, refined."""
        found = minimize(self, start, method="BFGS", options={"gtol": 1e-7})
        return minimize(self, found.x, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 20000})

    def df(self, parameters, L):
        """2 v^2 / (g'W g), W twice the inverse of the Hessian, all by differences."""
        k, h = len(parameters), 1e-3 * np.maximum(np.abs(parameters), 0.1)

        def slope(x):
            steps = np.diag(h)
            return np.array([(self(x + s) - self(x - s)) / (2 * s.sum()) for s in steps])

        H = np.array([(slope(parameters + s) - slope(parameters - s)) / (2 * s.sum()) for s in np.diag(h)])
        g = approx_fprime(parameters, lambda x: L @ self.gls(x)[1] @ L, 1e-6 * np.ones(k))
        v = L @ self.gls(parameters)[1] @ L
        return 2 * v**2 / (g @ np.linalg.solve((H + H.T) / 4, g))
