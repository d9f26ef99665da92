"""What an analysis of one data set returns: `Fit`.

A `Fit` holds plain arrays and labels them when asked: every table it shows is a pandas object that carries the names
of the formula. Standard deviations and covariances are absolute, in the units of the response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lmmsim import draws
from lmmsim.estimators import shown
from lmmsim.estimators.asked import Asked
from lmmsim.estimators.estimates import (
    Component,
    Estimates,
    by_group,
    component_table,
    critical_value,
    effects_of,
    names_by_group,
    p_value,
    spread,
)
from lmmsim.estimators.freedom import Freedom
from lmmsim.estimators.spellings import NAMES, Spellings
from lmmsim.model.columns import Matrices, effects_index
from lmmsim.model.equation import Equation
from lmmsim.model.identifiable import absorbed
from lmmsim.model.residual import IID, Residual

COLUMNS = pd.Index(["estimate", "se", "df", "t", "p", "low", "high"])  # of a table of coefficients


class Conditional(Protocol):
    """Predicted random effects of one fit, computed when they are first asked for."""

    def modes(self) -> tuple[np.ndarray, ...]:
        """Conditional modes, (J, k) for every random term."""
        ...

    def variances(self) -> tuple[np.ndarray, ...]:
        """Their conditional covariances, (J, k, k) for every random term."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Asked, Spellings):
    """One analysis of one data set.

    Estimators make it; nobody writes it by hand. The tables are made when they are first asked for.

    Attributes
    ----------
    coef : DataFrame, index "term"
        `estimate se df t p low high`. `low` and `high` end the interval of the estimator's `level`.
    vcov : DataFrame, (p, p)
        Covariance of the estimates, the one that `se` comes from.
    sigma : float
        Residual standard deviation, in the units of the response.
    random : dict of DataFrame
        Covariance of the random effects by grouping factor. Empty without random effects.
    u : Series, index (group, level, term)
        Predicted random effects (conditional modes); `u_var` has their conditional variances.
    criterion, loglik : float
        -2 log-likelihood with all constants (the restricted one if `reml`), and the log-likelihood itself.
    fitted, resid : Series on the index of the rows that were used
    converged, singular, message
        `singular`: a variance is zero or a correlation is -1 or 1. `message` is empty when there is nothing to say.
    """

    method: str
    formula: str
    estimator: Any
    matrices: Matrices
    data: pd.DataFrame
    y: np.ndarray
    beta: np.ndarray
    vcov_beta: np.ndarray
    df: np.ndarray
    sigma: float
    criterion: float
    reml: bool = False
    converged: bool = True
    singular: bool = False
    message: str = ""
    level: float = 0.95
    absorbed: int = 0
    covariances: tuple[np.ndarray, ...] = ()
    conditional: Conditional | None = None
    group_means: np.ndarray | None = None
    structure: Residual | None = None
    structure_size: int = 0
    reference: Freedom | None = None
    vcov_whole: np.ndarray | None = None

    @cached_property
    def coef(self) -> pd.DataFrame:
        """Table of coefficients."""
        se = np.sqrt(np.diagonal(self.vcov_beta))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = self.beta / se
        reach = critical_value(self.df, self.level) * se
        p, low, high = p_value(t, self.df), self.beta - reach, self.beta + reach
        values = np.array([self.beta, se, self.df, t, p, low, high]).T
        return pd.DataFrame(values, self.matrices.names.rename("term"), COLUMNS)

    @property
    def estimates(self) -> Estimates:
        """The fit as a row of `Estimates`."""
        return Estimates(
            terms=self.terms,
            estimate=self.beta[None],
            se=np.sqrt(np.diagonal(self.vcov_beta))[None],
            df=self.df[None],
            criterion=np.array([self.criterion]),
            sigma=np.array([self.sigma]),
            converged=np.array([self.converged]),
            singular=np.array([self.singular]),
            message=np.array([self.message], dtype=object),
            effects=effects_of(self.matrices.terms),
            covariances=tuple(G[None] for G in self.covariances),
            level=self.level,
            residual={name: np.array([value]) for name, value in self._structured.items()},
        )

    @property
    def vcov_all(self) -> np.ndarray:
        """Covariance of the coefficients, those that have no test of their own included."""
        return self.vcov_beta if self.vcov_whole is None else self.vcov_whole

    @cached_property
    def untold(self) -> np.ndarray | None:
        """Directions (p, c) of the coefficients in which their variance is unknown; None if there are none."""
        if not self.matrices.untested:
            return None
        return absorbed(self.matrices.values, self.matrices.names, self.matrices.terms, self.matrices.untested)

    @cached_property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients."""
        return pd.DataFrame(self.vcov_beta, index=list(self.terms), columns=list(self.terms))

    @cached_property
    def random(self) -> dict[str, pd.DataFrame]:
        """Covariance matrix of the random effects of every grouping factor."""
        effects = effects_of(self.matrices.terms)
        names, merged = names_by_group(effects), by_group(effects, self.covariances)
        return {g: pd.DataFrame(G, index=list(names[g]), columns=list(names[g])) for g, G in merged.items()}

    @property
    def G(self) -> dict[str, pd.DataFrame]:
        """The same matrices, by the letter that they have in the equation."""
        return self.random

    @cached_property
    def equation(self) -> Equation:
        """The equation of the data, with the estimates for its numbers."""
        return Equation(
            X=self.matrices.X,
            beta=self.beta,
            terms=self.matrices.terms,
            covariances=self.covariances,
            residual=self.residual,
            design=self.data,
            shapes=[draws.normal()] * len(self.covariances),
            shift=0.0 if self.group_means is None else self.group_means,
        )

    @property
    def residual(self) -> Residual:
        """The residuals of the model with the estimates for their numbers: a world has them in the same form."""
        return IID(self.sigma) if self.structure is None else self.structure

    @property
    def _structured(self) -> dict[Component, float]:
        """Numbers of residuals with a structure."""
        return {} if self.structure is None else self.structure.components

    @cached_property
    def components(self) -> pd.Series:
        """Standard deviations and correlations, index (part, group, term)."""
        table = component_table(effects_of(self.matrices.terms), self.covariances, self.sigma, self._structured)
        return named_components({name: float(value) for name, value in table.items()})

    @property
    def icc(self) -> pd.DataFrame:
        """Intraclass correlations by grouping factor; see `lmmsim.model.equation.Equation.icc`."""
        return self.equation.icc

    @property
    def r2(self) -> pd.Series:
        """Marginal and conditional R2; see `lmmsim.model.equation.Equation.r2`."""
        return self.equation.r2

    @cached_property
    def modes(self) -> tuple[np.ndarray, ...]:
        """Conditional modes of the random effects, (J, k) for every random term."""
        return self.conditional.modes() if self.conditional else ()

    @cached_property
    def mode_variances(self) -> tuple[np.ndarray, ...]:
        """Conditional covariances of the modes, (J, k, k) for every random term."""
        return self.conditional.variances() if self.conditional else ()

    @cached_property
    def residuals(self) -> np.ndarray:
        """Response minus fitted values, without labels."""
        rest = self.y - self.matrices.X.to_numpy() @ self.beta - spread(self.matrices.terms, self.modes)
        return rest if self.group_means is None else rest - self.group_means

    @cached_property
    def u(self) -> pd.Series:
        """Conditional modes of the random effects."""
        values = np.concatenate([np.zeros(0), *(mode.ravel() for mode in self.modes)])
        return pd.Series(values, index=effects_index(self.matrices.terms), name="u")

    @cached_property
    def u_var(self) -> pd.Series:
        """Conditional variances of the random effects given the data, at the estimates."""
        blocks = [np.diagonal(block, axis1=1, axis2=2).ravel() for block in self.mode_variances]
        return pd.Series(np.concatenate([np.zeros(0), *blocks]), index=effects_index(self.matrices.terms), name="u_var")

    @cached_property
    def fitted(self) -> pd.Series:
        """Fitted values, random effects included."""
        return pd.Series(self.y - self.residuals, index=self.matrices.X.index, name="fitted")

    @cached_property
    def resid(self) -> pd.Series:
        """Response minus fitted values."""
        return pd.Series(self.residuals, index=self.matrices.X.index, name="resid")

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return tuple(self.matrices.X.columns)

    @property
    def loglik(self) -> float:
        """Log-likelihood (restricted if `reml`)."""
        return -self.criterion / 2

    @property
    def nobs(self) -> int:
        """Number of rows that were used."""
        return len(self.y)

    @property
    def ngroups(self) -> dict[str, int]:
        """Number of levels of every grouping factor."""
        return {term.group: len(term.levels) for term in self.matrices.terms}

    @property
    def npar(self) -> int:
        """Number of parameters: coefficients, `absorbed` group means, variances, covariances, the residual's."""
        return (
            len(self.beta)
            + self.absorbed
            + 1
            + self.structure_size
            + sum(len(term.names) * (len(term.names) + 1) // 2 for term in self.matrices.terms)
        )

    @property
    def sd(self) -> pd.DataFrame:
        """Standard deviations, index (group, term); "corr <term>" has the correlations with an earlier term."""
        rows: dict[tuple[str, str], dict[str, float]] = {}
        for part, group, term in self.components.index:
            value = self.components[part, group, term]
            if part == "sd":
                rows[group, term] = {"sd": value}
            elif term == "rho" and group == "residual":
                next(row for (own, _), row in rows.items() if own == group)["rho"] = value
            else:
                first, second = term.split(", ")
                rows[group, second][f"corr {first}"] = value
        index = pd.MultiIndex.from_tuples(rows, names=["group", "term"])
        return pd.DataFrame(list(rows.values()), index=index)

    def __dir__(self) -> list[str]:
        """What a user may ask, without the plain arrays behind it."""
        hidden = {"beta", "vcov_beta", "covariances", "conditional", "absorbed", "group_means", "df", "mode_variances"}
        hidden |= {
            "estimates",
            "modes",
            "residuals",
            "structure",
            "structure_size",
            "freedom",
            "reference",
            "information",
            "vcov_whole",
            "vcov_all",
            "untold",
        }
        hidden |= NAMES
        return [name for name in super().__dir__() if not name.startswith("_") and name not in hidden]

    def __repr__(self) -> str:
        return shown.text(self)

    def _repr_html_(self) -> str:
        return shown.html(self)


def named_components(values: Mapping[Component, float]) -> pd.Series:
    """Numbers by component as a Series, index (part, group, term)."""
    levels, codes = zip(*(_levels_and_codes(names) for names in zip(*values, strict=True)), strict=True)
    index = pd.MultiIndex(levels, codes, names=["part", "group", "term"], verify_integrity=False)
    return pd.Series(list(values.values()), index=index, dtype=float)


def _levels_and_codes(names: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct names, sorted, and the place of each, from which an index is made faster than from tuples."""
    levels = sorted(set(names))
    places = {name: place for place, name in enumerate(levels)}
    return levels, [places[name] for name in names]
