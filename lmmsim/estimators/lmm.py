"""The estimators: frozen specs that are called on data and return a `Fit`.

`LMM` fits linear mixed models with the engine of `reml`; `OLS`, `GroupMeans` and `Within` are what people do instead,
and `StatsmodelsLMM` is the same model in the reader's own tool. Each analyses one data set when called, and many
responses of one design by `many`; both are the same arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from lmmsim.checks import check_choice, check_level
from lmmsim.estimators.estimates import Estimates, by_group
from lmmsim.estimators.inference import MixedFit
from lmmsim.estimators.rows import check_shape, complete_rows, response_values, unusable
from lmmsim.model.columns import Matrices, build
from lmmsim.model.formula import split
from lmmsim.model.identifiable import check_bars, check_X
from lmmsim.reml.engine import Engine
from lmmsim.reml.solution import Solution


@dataclass(frozen=True, eq=False)
class Conditional:
    """The random effects of one fit, which the engine predicts on request."""

    engine: Engine
    solution: Solution
    Y: np.ndarray

    def modes(self) -> tuple[np.ndarray, ...]:
        """Conditional modes, (J, k) for every bar."""
        return tuple(mode[0] for mode in self.engine.modes(self.solution, self.Y))

    def variances(self) -> tuple[np.ndarray, ...]:
        """Their conditional covariances, (J, k, k) for every bar."""
        return tuple(block[0] for block in self.engine.mode_variances(self.solution))


@dataclass(frozen=True)
class LMM:
    """Linear mixed model by restricted or full maximum likelihood.

    Its residuals are independent and have one sd, as in lme4: in a world with `AR1` residuals, or an `IID` sd for each
    level of a factor, it is the wrong model, and a study shows what that costs.

    Parameters
    ----------
    formula : str
        `y ~ x * z + (x | g) + (1 | a/b)`, as lme4 writes it.
    reml : bool
        Restricted maximum likelihood (the default), or full, for comparing models with different fixed parts.
    df : "satterthwaite", "kenward-roger" or "z"
        The reference distribution of the coefficients. Satterthwaite's t as in lmerTest (Kuznetsova, Brockhoff &
        Christensen 2017); Kenward & Roger's (1997), which also corrects the standard errors and needs REML; or the
        normal, which is right for many groups only. Where a variance is estimated as zero,
        Satterthwaite df jump to those of a model without it, up to n - p, as lmerTest's do; Kenward-Roger's do not.
    missing : "warn" or "raise"
        What happens to rows that lack a value: dropped with a warning that counts them, or an error.
    level : float
        Level of the intervals.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> plants = pd.DataFrame({"plot": np.repeat(range(10), 5), "week": np.tile(range(5), 10)})
    >>> plants["height"] = 10 + 2 * plants["week"] + rng.normal(size=10)[plants["plot"]] + rng.normal(size=50)
    >>> fit = LMM("height ~ week + (1 | plot)")(plants)
    >>> fit.coef["df"].round(1).to_dict()["week"]
    39.0
    """

    formula: str
    reml: bool = True
    df: Literal["satterthwaite", "kenward-roger", "z"] = "satterthwaite"
    missing: Literal["warn", "raise"] = "warn"
    level: float = 0.95

    def __post_init__(self) -> None:
        check_choice("df", self.df, ("satterthwaite", "kenward-roger", "z"))
        check_choice("missing", self.missing, ("warn", "raise"))
        check_level(self.level)
        if not split(self.formula).bars:
            raise ValueError(f"'{self.formula}' has no random effects, as in (1 | group); use OLS without them")
        if self.df == "kenward-roger" and not self.reml:
            raise ValueError("Kenward and Roger's correction is one of REML: use reml=True, or df='satterthwaite'")

    @property
    def method(self) -> str:
        """How results are labelled."""
        words = {"satterthwaite": "Satterthwaite t", "kenward-roger": "Kenward-Roger t", "z": "z"}
        return f"Linear mixed model by {'REML' if self.reml else 'maximum likelihood'}, {words[self.df]}"

    def __call__(self, data: pd.DataFrame, start: np.ndarray | None = None) -> MixedFit:
        """Fit one data set.

        Parameters
        ----------
        data : DataFrame
            One row per observation.
        start : ndarray, (t,), optional
            Where the search for theta starts; the answer does not depend on it.

        Returns
        -------
        MixedFit
            With NaN and a message where the fixed effects leave no residual.

        Raises
        ------
        ValueError
            If the data cannot be analysed: a column is absent or infinite, X has not full rank, the response is
            constant, a grouping factor has one level, there are as many random effects of a factor as rows, or rows
            lack values and `missing` is "raise".
        """
        keep = complete_rows(self.formula, data, self.missing)
        used = data if keep.all() else data[keep]
        y = response_values(split(self.formula).response, used)
        matrices, engine = self._engine(used)
        Y = y[:, None]
        s = engine.fit(Y, reml=self.reml, start=start, df=self.df == "satterthwaite")
        vcov, df = self._reference(engine, s)
        return MixedFit(
            method=self.method,
            formula=self.formula,
            estimator=self,
            matrices=matrices,
            data=used,
            y=y,
            beta=s.beta[0],
            vcov_beta=vcov[0],
            df=df[0],
            sigma=float(s.sigma[0]),
            criterion=float(s.criterion[0]),
            reml=self.reml,
            converged=bool(s.converged[0]),
            singular=bool(s.singular[0]),
            message=str(s.message[0]),
            level=self.level,
            covariances=tuple(G[0] for G in s.covariances),
            effects=Conditional(engine, s, Y),
            theta=s.theta[0],
        )

    def many(self, Y: np.ndarray, data: pd.DataFrame, start: np.ndarray | None = None) -> Estimates:
        """Fit every column of Y: the numbers of r single calls, with the work on the design done once.

        Parameters
        ----------
        Y : ndarray, (n, r)
            Responses; rows in the order of `data`. NaN: not observed in that replicate.
        data : DataFrame
            The design; its own response column, if any, is not looked at.
        start : ndarray, (t,), optional
            Where the search for theta starts; the answers do not depend on it.

        Returns
        -------
        Estimates
            With NaN and a message where a column cannot be analysed.
        """
        Y = check_shape(Y, data)
        keep = complete_rows(self.formula, data, self.missing, response=False)
        if not keep.all():
            data, Y = data[keep], Y[keep]
        matrices, engine = self._engine(data)
        message = unusable(matrices.response, Y)
        usable = np.flatnonzero(message == "")
        if len(usable) == 0:
            return nothing(matrices, message, self.level)
        usable_Y = Y if len(usable) == len(message) else Y[:, usable]
        s = engine.fit(usable_Y, reml=self.reml, start=start, df=self.df == "satterthwaite")
        vcov, df = self._reference(engine, s)
        message[usable] = s.message

        def placed(values: np.ndarray, fill: object = np.nan) -> np.ndarray:
            """Rows of the usable responses among all."""
            if len(usable) == len(message):
                return values
            whole = np.full((len(message), *values.shape[1:]), fill, dtype=values.dtype)
            whole[usable] = values
            return whole

        return Estimates(
            terms=tuple(matrices.X.columns),
            estimate=placed(s.beta),
            se=placed(np.sqrt(np.diagonal(vcov, axis1=1, axis2=2))),
            df=placed(df),
            criterion=placed(s.criterion),
            sigma=placed(s.sigma),
            converged=placed(s.converged, False),
            singular=placed(s.singular, False),
            message=message,
            random={group: placed(G) for group, G in by_group(matrices.terms, tuple(s.covariances)).items()},
            level=self.level,
        )

    def explain(self, data: pd.DataFrame) -> str:
        """Say which structure of the design makes the fits fast, and why; the response is not looked at.

        Parameters
        ----------
        data : DataFrame
            The design, as for `many`.

        Returns
        -------
        str

        Examples
        --------
        >>> plants = pd.DataFrame({"plot": np.repeat(range(10), 5), "week": np.tile(range(5), 10)})
        >>> LMM("height ~ week + (1 | plot)").explain(plants).split(":")[0]
        'one variance component'
        """
        keep = complete_rows(self.formula, data, self.missing, response=False)
        return self._engine(data if keep.all() else data[keep])[1].explain()

    def _engine(self, data: pd.DataFrame) -> tuple[Matrices, Engine]:
        """Build the matrices of complete rows, refuse what cannot be analysed, and do the design's work."""
        matrices = build(self.formula, data, complete=True)
        X = matrices.X.to_numpy()
        try:
            return matrices, Engine(X, matrices.terms)
        except ValueError as error:
            refusal = error
        check_X(X, tuple(matrices.X.columns))  # the same refusals, with the names of the columns
        check_bars(matrices.terms, len(X))
        raise refusal

    def _reference(self, engine: Engine, s: Solution) -> tuple[np.ndarray, np.ndarray]:
        """Covariance (r, p, p) and df (r, p) of the coefficients."""
        if self.df == "kenward-roger":
            vcov, df = engine.kenward_roger(s)
            return vcov, df
        if self.df == "satterthwaite":
            return s.vcov, engine.satterthwaite(s)
        return s.vcov, np.full(s.beta.shape, np.inf)


def nothing(matrices: Matrices, message: np.ndarray, level: float) -> Estimates:
    """Estimates of a batch in which no response can be analysed."""
    r, p = len(message), matrices.X.shape[1]
    blank, no = np.full((r, p), np.nan), np.zeros(r, dtype=bool)
    covariances = tuple(np.full((r, len(bar.names), len(bar.names)), np.nan) for bar in matrices.terms)
    random = by_group(matrices.terms, covariances)
    terms = tuple(matrices.X.columns)
    return Estimates(terms, blank, blank, blank, blank[:, 0], blank[:, 0], no, no, message, random, level)
