"""LMM: a frozen spec that is called on data and fits a linear mixed model by REML or ML.

It analyses one data set when called, and many responses of one design by `many`; both are the same arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmsim.checks import as_frame, check_choice, check_level
from lmmsim.estimators.asking import Questions
from lmmsim.estimators.engines import AnyEngine, FromEngine, optimum_of, phi_of, residual_components, told
from lmmsim.estimators.estimates import Effects, Estimates, effects_of, nothing
from lmmsim.estimators.inference import MixedFit
from lmmsim.estimators.rows import (
    check_called_on_data,
    check_shape,
    chosen_rows,
    complete_rows,
    gaps_refused,
    response_values,
    unusable,
    with_doubts,
    without_tests,
)
from lmmsim.estimators.spellings import Fits
from lmmsim.model.columns import Matrices, build
from lmmsim.model.formula import split
from lmmsim.model.frame import Columns
from lmmsim.model.identifiable import check_terms, check_X
from lmmsim.model.residual import IID, Residual
from lmmsim.reml import structured
from lmmsim.reml.engine import Engine
from lmmsim.reml.solution import Solution


@dataclass(frozen=True)
class LMM(Fits):
    """Linear mixed model by restricted or full maximum likelihood.

    Without `residual` its residuals are independent and have one sd, as in lme4: in a world with `AR1` residuals, or an
    `IID` sd for each level of a factor, that is the wrong model, and a study shows what it costs.

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
    residual : IID, AR1, CompoundSymmetry or Unstructured, optional
        How the residuals vary and go together, in the words of the world; what is left out is estimated:
        `AR1(unit="patient", time="month")`, `IID(by="arm")`, `CompoundSymmetry(unit="pair")`, AR1 and CompoundSymmetry
        with `by=` too, `Unstructured(unit="patient", time="visit")`. The formula may then do without random effects,
        which is generalised least squares. Satterthwaite's df count the residual's parameters in; Kenward and Roger's
        are not available.
    weights : str, optional
        The column with the known precision of every row, as the number of values in a mean: its residual has the
        variance sigma^2 over the weight.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> plants = pd.DataFrame({"plot": np.repeat(range(10), 5), "week": np.tile(range(5), 10)})
    >>> plants["height"] = 10 + 2 * plants["week"] + rng.normal(size=10)[plants["plot"]] + rng.normal(size=50)
    >>> fit = LMM("height ~ week + (1 | plot)")(plants)
    >>> fit.coef["df"].round(1).to_dict()["week"]
    39.0

    Residuals that fade with time:

    >>> from lmmsim import AR1
    >>> fit = LMM("height ~ week", residual=AR1(unit="plot", time="week"))(plants)
    >>> fit.residual.words
    'sd 1.283, AR(1) with rho 0.463 per week within plot'
    """

    formula: str
    reml: bool = True
    df: Literal["satterthwaite", "kenward-roger", "z"] = "satterthwaite"
    missing: Literal["drop", "raise"] = "drop"
    level: float = 0.95
    residual: Residual | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        check_called_on_data(self)
        check_choice("df", self.df, ("satterthwaite", "kenward-roger", "z"))
        check_choice("missing", self.missing, ("drop", "raise"))
        check_level(self.level)
        if not split(self.formula).bars and self.spec is None:
            raise ValueError(f"'{self.formula}' has no random effects, as in (1 | group); use OLS without them")
        if self.df == "kenward-roger" and not self.reml:
            raise ValueError("Kenward and Roger's correction is one of REML: use reml=True, or df='satterthwaite'")
        self._check_residual()

    def _check_residual(self) -> None:
        """Refuse a residual that is none, that is not to be estimated, or that the df do not know."""
        if self.residual is None:
            return
        if not isinstance(self.residual, Residual):
            raise TypeError(
                f"residual is one of IID, AR1, CompoundSymmetry, Unstructured, as in AR1(unit=, time=); "
                f"got {self.residual!r}"
            )
        kind = type(self.residual).__name__
        if self.residual.sd is not None:
            raise ValueError(f"an analysis estimates the sd of the residuals: leave sd out of {kind}(...)")
        if self.weights is not None and (self.residual.weights is not None or not hasattr(self.residual, "by")):
            raise ValueError(f"the weights are named twice, in LMM and in {kind}: keep one")
        if self.df == "kenward-roger" and self.structured:
            raise ValueError(
                f"Kenward and Roger's correction is not available for residuals of the kind {kind}: "
                "use df='satterthwaite', which counts their parameters in"
            )

    @property
    def spec(self) -> Residual | None:
        """What the residuals are, weights included; None for independent ones of one sd."""
        if self.weights is not None:
            return (self.residual or IID()).given(weights=self.weights)
        return self.residual

    @property
    def structured(self) -> bool:
        """Whether the residuals have more than one number, or depend on each other."""
        return self.residual is not None and not (isinstance(self.residual, IID) and self.residual.by is None)

    @property
    def method(self) -> str:
        """How results are labelled."""
        words = {"satterthwaite": "Satterthwaite t", "kenward-roger": "Kenward-Roger t", "z": "z"}
        model = "Linear mixed model" if split(self.formula).bars else "Generalised least squares"
        return f"{model} by {'REML' if self.reml else 'maximum likelihood'}, {words[self.df]}"

    @property
    def _columns(self) -> list[str]:
        """The columns that the residual needs."""
        return [] if self.spec is None else self.spec.columns

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
        if isinstance(start, pd.DataFrame | str):
            raise TypeError(f"an estimator is called on one data frame; start is a {type(start).__name__}, not numbers")
        chosen = chosen_rows(self.formula, data, self.missing, also=self._columns)
        y = response_values(split(self.formula).response, chosen.columns)
        matrices, engine = self._engine(chosen.covered, chosen.rows, chosen.columns)
        Y = y[:, None]
        s = told(matrices, engine.fit(Y, reml=self.reml, start=start, df=self.df == "satterthwaite"))
        whole, df = self.reference(engine, s)
        vcov, df = without_tests(matrices, whole, df)
        return MixedFit(
            method=self.method,
            formula=self.formula,
            estimator=self,
            matrices=matrices,
            data=chosen.used,
            y=y,
            beta=s.beta[0],
            vcov_beta=vcov[0],
            vcov_whole=whole[0],
            df=df[0],
            sigma=float(s.sigma[0]),
            criterion=float(s.criterion[0]),
            reml=self.reml,
            converged=bool(s.converged[0]),
            singular=bool(s.singular[0]),
            message="; ".join(filter(None, [str(s.message[0]), matrices.note])),
            level=self.level,
            covariances=tuple(G[0] for G in s.covariances),
            conditional=FromEngine(engine, s, Y),
            theta=s.theta[0],
            structure=self._structure(engine, s),
            structure_size=0 if isinstance(engine, Engine) else engine.numbers.size,
        )

    def _structure(self, engine: AnyEngine, s: Solution) -> Residual | None:
        """The residual of one fit with its estimates, if it has any structure."""
        if isinstance(engine, Engine) or np.isnan(s.sigma[0]):
            return None
        return engine.numbers.filled(phi_of(s)[0], float(s.sigma[0]))

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
        data = as_frame(data)
        keep = complete_rows(self.formula, data, self.missing, response=False, also=self._columns)
        return Prepared(self, keep, *self._engine(data if keep.all() else data[keep]))

    def refit(self, fit: Any, Y: np.ndarray) -> Estimates:
        """Fit other responses (n, r) of the rows of a fit, whose columns keep their meaning.

        center(x) is that of the fit, which has seen the rows without a response too.
        """
        return Prepared(self, np.full(len(Y), True), fit.matrices, fit.conditional.engine).many(Y, optimum_of(fit))

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
        data = as_frame(data)
        keep = complete_rows(self.formula, data, self.missing, response=False, also=self._columns)
        return self._engine(data if keep.all() else data[keep])[1].explain()

    def _engine(
        self, data: pd.DataFrame, rows: np.ndarray | None = None, columns: Columns | None = None
    ) -> tuple[Matrices, AnyEngine]:
        """Build the matrices of complete rows, refuse what cannot be analysed, and do the design's work."""
        matrices = build(self.formula, data, complete=True, rows=rows, drop=True, columns=columns)
        used = data if columns is None else columns.data
        matrices = with_doubts(matrices, self.reml, self.spec, used)
        X = matrices.values
        if self.spec is not None and (self.structured or self.weights is not None or not matrices.terms):
            check_X(X, matrices.basis.names)
            check_terms(matrices.terms, len(X))
            return matrices, structured.engine(X, matrices.terms, self.spec, used)
        try:
            return matrices, Engine(X, matrices.terms)
        except ValueError:
            check_X(X, matrices.basis.names)  # the same refusals, with the names of the columns
            check_terms(matrices.terms, len(X))
            raise

    def reference(self, engine: AnyEngine, s: Solution) -> tuple[np.ndarray, np.ndarray]:
        """Covariance (r, p, p) and df (r, p) of the coefficients."""
        if self.df == "kenward-roger":
            return engine.kenward_roger(s)
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
    engine: AnyEngine
    start: np.ndarray | None = None
    questions: Questions | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self.matrices.basis.names

    @property
    def effects(self) -> tuple[Effects, ...]:
        """What the random terms are about."""
        return effects_of(self.matrices.terms)

    def phi_of(self, residual: Residual) -> np.ndarray | None:
        """Where a residual with all its numbers stands among those that are searched; None if it is another kind."""
        if isinstance(self.engine, Engine):
            return np.empty(0)
        return self.engine.numbers.phi_of(residual)

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
        if not isinstance(self.engine, Engine):
            there = np.flatnonzero(message == "")
            message[there] = gaps_refused(self.matrices, self.engine.numbers, Y[:, there])
        usable = np.flatnonzero(message == "")
        if len(usable) == 0:
            none = nothing(len(message), "", self.matrices.basis.names, self.effects)
            return replace(none, message=message, level=lmm.level)
        whole = len(usable) == len(message)
        columns = Y if whole else Y[:, usable]
        s = told(self.matrices, self.engine.fit(columns, reml=lmm.reml, start=start, df=lmm.df == "satterthwaite"))
        every, df = lmm.reference(self.engine, s)
        vcov, df = without_tests(self.matrices, every, df)
        message[usable] = s.message

        def placed(values: np.ndarray, fill: object = np.nan) -> np.ndarray:
            """Rows of the usable responses among all."""
            if whole:
                return values
            among = np.full((len(message), *values.shape[1:]), fill, dtype=values.dtype)
            among[usable] = values
            return among

        residual = residual_components(self.engine, s)
        first = next(iter(residual.values()), s.sigma)  # of the level that sigma is the sd of
        found = Estimates(
            terms=self.terms,
            estimate=placed(s.beta),
            se=placed(np.sqrt(np.diagonal(vcov, axis1=1, axis2=2))),
            df=placed(df),
            criterion=placed(s.criterion),
            sigma=placed(np.where(np.isnan(first), np.nan, s.sigma)),
            converged=placed(s.converged, False),
            singular=placed(s.singular, False),
            message=message,
            effects=self.effects,
            covariances=tuple(placed(G) for G in s.covariances),
            level=lmm.level,
            residual={name: placed(own) for name, own in residual.items()},
        )
        return found if self.questions is None else self.questions.asked_of(self, found, s, every, usable)
