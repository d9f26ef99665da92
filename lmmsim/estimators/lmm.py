"""LMM: a frozen spec that is called on data and fits a linear mixed model by REML or ML.

It analyses one data set when called, and many responses of one design by `many`; both are the same arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from lmmsim.checks import check_choice, check_level
from lmmsim.estimators.asking import Questions
from lmmsim.estimators.estimates import Effects, Estimates, effects_of, nothing
from lmmsim.estimators.inference import MixedFit
from lmmsim.estimators.rows import check_called_on_data, check_shape, complete_rows, response_values, unusable
from lmmsim.estimators.spellings import Fits
from lmmsim.model.columns import Matrices, build
from lmmsim.model.formula import split
from lmmsim.model.identifiable import check_terms, check_X
from lmmsim.reml.engine import Engine
from lmmsim.reml.solution import Solution


@dataclass(frozen=True, eq=False)
class FromEngine:
    """The random effects of one fit, which the engine predicts on request."""

    engine: Engine
    solution: Solution
    Y: np.ndarray

    def modes(self) -> tuple[np.ndarray, ...]:
        """Conditional modes, (J, k) for every random term."""
        return tuple(mode[0] for mode in self.engine.modes(self.solution, self.Y))

    def variances(self) -> tuple[np.ndarray, ...]:
        """Their conditional covariances, (J, k, k) for every random term."""
        return tuple(block[0] for block in self.engine.mode_variances(self.solution))


@dataclass(frozen=True)
class LMM(Fits):
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
    missing : "drop" or "raise"
        What happens to rows that lack a value: dropped, which a warning and the fit's print count, or an error.
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
    missing: Literal["drop", "raise"] = "drop"
    level: float = 0.95

    def __post_init__(self) -> None:
        check_called_on_data(self)
        check_choice("df", self.df, ("satterthwaite", "kenward-roger", "z"))
        check_choice("missing", self.missing, ("drop", "raise"))
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
        vcov, df = self.reference(engine, s)
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
            conditional=FromEngine(engine, s, Y),
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
        return self.prepare(data).many(Y, start)

    def prepare(self, data: pd.DataFrame) -> Prepared:
        """Do the work on a design once, for any number of batches of responses; it is not looked at.

        Parameters
        ----------
        data : DataFrame
            The design, as for `many`.

        Returns
        -------
        Prepared
            `.many(Y)` fits the columns of Y.
        """
        keep = complete_rows(self.formula, data, self.missing, response=False)
        return Prepared(self, keep, *self._engine(data if keep.all() else data[keep]))

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
        except ValueError:
            check_X(X, tuple(matrices.X.columns))  # the same refusals, with the names of the columns
            check_terms(matrices.terms, len(X))
            raise

    def reference(self, engine: Engine, s: Solution) -> tuple[np.ndarray, np.ndarray]:
        """Covariance (r, p, p) and df (r, p) of the coefficients."""
        if self.df == "kenward-roger":
            vcov, df = engine.kenward_roger(s)
            return vcov, df
        if self.df == "satterthwaite":
            return s.vcov, engine.satterthwaite(s)
        return s.vcov, np.full(s.beta.shape, np.inf)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A mixed model on one design, whose responses may come in any number of batches.

    Attributes
    ----------
    estimator : LMM
    keep : ndarray of bool
        The rows of the design that have all columns.
    matrices, engine
        What belongs to these rows.
    start : ndarray, (t,), optional
        Where the search for theta starts.
    """

    estimator: LMM
    keep: np.ndarray
    matrices: Matrices
    engine: Engine
    start: np.ndarray | None = None
    questions: Questions | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return tuple(self.matrices.X.columns)

    @property
    def effects(self) -> tuple[Effects, ...]:
        """What the random terms are about."""
        return effects_of(self.matrices.terms)

    def starting(self, start: np.ndarray) -> Prepared:
        """The same, with a place to start from."""
        return replace(self, start=start)

    def __call__(self, Y: np.ndarray) -> Estimates:
        """Fit every column of Y."""
        return self.many(Y, self.start)

    def many(self, Y: np.ndarray, start: np.ndarray | None = None) -> Estimates:
        """Fit every column of Y, (n, r); see `LMM.many`."""
        lmm = self.estimator
        Y = check_shape(Y, len(self.keep))
        Y = Y if self.keep.all() else Y[self.keep]
        message = unusable(self.matrices.response, Y)
        usable = np.flatnonzero(message == "")
        if len(usable) == 0:
            none = nothing(len(message), "", tuple(self.matrices.X.columns), self.effects)
            return replace(none, message=message, level=lmm.level)
        whole = len(usable) == len(message)
        s = self.engine.fit(Y if whole else Y[:, usable], reml=lmm.reml, start=start, df=lmm.df == "satterthwaite")
        vcov, df = lmm.reference(self.engine, s)
        message[usable] = s.message

        def placed(values: np.ndarray, fill: object = np.nan) -> np.ndarray:
            """Rows of the usable responses among all."""
            if whole:
                return values
            among = np.full((len(message), *values.shape[1:]), fill, dtype=values.dtype)
            among[usable] = values
            return among

        found = Estimates(
            terms=self.terms,
            estimate=placed(s.beta),
            se=placed(np.sqrt(np.diagonal(vcov, axis1=1, axis2=2))),
            df=placed(df),
            criterion=placed(s.criterion),
            sigma=placed(s.sigma),
            converged=placed(s.converged, False),
            singular=placed(s.singular, False),
            message=message,
            effects=self.effects,
            covariances=tuple(placed(G) for G in s.covariances),
            level=lmm.level,
        )
        return found if self.questions is None else self.questions.asked_of(self, found, s, vcov, usable)
