"""Asking: the contrasts and joint tests of `lmmsim.estimators.contrasts`, put to the fits of many responses.

`asked` makes an estimator of an estimator and questions; what is asked stands beside the coefficients, by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import draws
from lmmsim.estimators.contrasts import together
from lmmsim.estimators.estimates import Estimates, p_value
from lmmsim.estimators.freedom import Constant, Freedom, KenwardRoger, Satterthwaite
from lmmsim.model.blocks import restrict
from lmmsim.model.columns import build
from lmmsim.model.equation import Equation
from lmmsim.model.grid import Grid
from lmmsim.model.hypotheses import named_tests
from lmmsim.model.identifiable import absorbed
from lmmsim.model.questions import named_rows
from lmmsim.model.residual import IID
from lmmsim.theory.gls import Information, information
from lmmsim.theory.joint import f_tail, without_test
from lmmsim.theory.power import Contrasts, Tests


@dataclass(frozen=True)
class Answers:
    """Of m responses and q questions, each (m, q)."""

    estimate: np.ndarray
    se: np.ndarray
    df: np.ndarray
    p: np.ndarray


@dataclass(frozen=True, eq=False)
class Questions:
    """What is asked of every fit of one design.

    Attributes
    ----------
    contrasts : DataFrame, (q, p)
        Weights of the coefficients, by name.
    tests : dict of ndarray
        Rows that are tested together, by name.
    """

    contrasts: pd.DataFrame
    tests: dict[str, np.ndarray]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contrasts, then of the tests."""
        return (*map(str, self.contrasts.index), *self.tests)

    def answers(self, beta: np.ndarray, vcov: np.ndarray, freedom: Freedom, lost: np.ndarray | None = None) -> Answers:
        """Answer them for coefficients beta (m, p) with covariances vcov (m, p, p).

        The estimate of a joint test is F, its df are the denominator's, and it has no standard error.
        """
        L, m = self.contrasts.to_numpy(dtype=float), len(beta)
        shape = (m, len(self.names))
        estimate, se, df, p = (np.full(shape, np.nan) for _ in range(4))
        if len(L):
            few = slice(0, len(L))
            known, unknown = without_test(L, vcov, lost)
            variance = np.clip(np.einsum("qi,mij,qj->mq", L, known, L), 0, None)
            estimate[:, few] = beta @ L.T
            se[:, few] = np.where(unknown, np.nan, np.sqrt(variance))
            df[:, few] = np.where(unknown, np.nan, freedom.df(L))
            with np.errstate(divide="ignore", invalid="ignore"):
                p[:, few] = p_value(estimate[:, few] / se[:, few], df[:, few])
        for j, rows in enumerate(self.tests.values(), start=len(L)):
            estimate[:, j], df[:, j] = together(freedom, rows, beta, vcov, lost)
            p[:, j] = f_tail(estimate[:, j], len(rows), df[:, j])
        return Answers(estimate, se, df, p)

    def beside(self, found: Estimates, parts: Sequence[tuple[np.ndarray, Answers]]) -> Estimates:
        """The coefficients of many responses, and beside them the answers of those that have any."""

        def wide(name: str) -> np.ndarray:
            own = np.full((len(found), len(self.names)), np.nan)
            for responses, part in parts:
                own[responses] = getattr(part, name)
            return np.concatenate([getattr(found, name), own], axis=1)

        given = {"p": wide("p")} if self.tests else {}
        together: dict[str, Any] = {name: wide(name) for name in ("estimate", "se", "df")}
        return replace(found, terms=(*found.terms, *self.names), **together, given=given)

    def asked_of(self, prepared: Any, found: Estimates, s: Any, vcov: np.ndarray, usable: np.ndarray) -> Estimates:
        """Answer them for the fits of a mixed model: the solutions s of the usable responses among all."""
        engine, choice = prepared.engine, prepared.estimator.df

        def known(i: int) -> Information:
            return information(_equation(prepared, s, i))

        freedom: Freedom = Constant(np.inf)
        if choice == "satterthwaite":
            freedom = Satterthwaite(lambda L: engine.satterthwaite(s, L))
        elif choice == "kenward-roger":
            freedom = KenwardRoger(lambda L: engine.kenward_roger(s, L)[1], known)
        matrices = prepared.matrices
        lost = (
            absorbed(matrices.values, matrices.names, matrices.terms, matrices.untested) if matrices.untested else None
        )
        return self.beside(found, [(usable, self.answers(s.beta, vcov, freedom, lost))])


def _equation(prepared: Any, s: Any, i: int) -> Equation:
    """The equation of response i with the numbers that were estimated from it, on the rows that it has."""
    matrices = prepared.matrices
    rows = np.arange(len(matrices.X)) if s.observed is None else np.flatnonzero(s.observed[:, i])
    return Equation(
        X=matrices.X.iloc[rows],
        beta=s.beta[i],
        terms=tuple(restrict(term, rows) for term in matrices.terms),
        covariances=tuple(G[i] for G in s.covariances),
        residual=IID(float(s.sigma[i])),
        design=matrices.X.iloc[rows],
        shapes=[draws.normal()] * len(matrices.terms),
    )


@dataclass(frozen=True)
class AskedSingly:
    """An analysis of one data set after another, and what is asked of each fit."""

    analysis: Any
    contrasts: Contrasts | None = None
    tests: Tests | None = None
    formula: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formula", self.analysis.formula)

    def __call__(self, data: pd.DataFrame) -> Estimates:
        """Fit one data set, and answer."""
        fit = self.analysis(data)
        questions = _questions(Grid(fit.matrices, fit.data, fit.terms), self.contrasts, self.tests)
        answers = questions.answers(fit.beta[None], fit.vcov_all[None], fit.freedom, fit.untold)
        return questions.beside(fit.estimates, [(np.arange(1), answers)])

    def check(self, design: pd.DataFrame) -> None:
        """Refuse questions that have no answer on this design."""
        matrices = build(self.formula, design)
        _questions(Grid(matrices, design), self.contrasts, self.tests)


@dataclass(frozen=True)
class Asked(AskedSingly):
    """The same for an estimator that does its work on a design once."""

    def prepare(self, data: pd.DataFrame) -> Any:
        """Do the work on a design, and put the questions into its coefficients."""
        prepared = self.analysis.prepare(data)
        rows = data if prepared.keep.all() else data[prepared.keep]
        grid = Grid(build(self.formula, rows), rows, prepared.terms)
        return replace(prepared, questions=_questions(grid, self.contrasts, self.tests))

    def many(self, Y: np.ndarray, data: pd.DataFrame, start: np.ndarray | None = None) -> Estimates:
        """Analyse every column of Y, and answer."""
        prepared = self.prepare(data)
        return prepared.many(Y) if start is None else prepared.many(Y, start)

    def check(self, design: pd.DataFrame) -> None:
        """Refuse questions that have no answer on this design."""
        self.prepare(design)


def _questions(grid: Grid, contrasts: Contrasts | None, tests: Tests | None) -> Questions:
    """What is asked, in the coefficients of an analysis."""
    rows, together = named_rows(grid, contrasts), named_tests(grid, tests)
    if twice := [name for name in together if name in rows.index]:
        raise ValueError(f"'{twice[0]}' is a contrast and a test; give one of them another name")
    return Questions(rows, together)


def asked(analysis: Any, contrasts: Contrasts | None = None, tests: Tests | None = None) -> Any:
    """An analysis that also answers questions; what is no estimator of this package answers for itself."""
    if not (contrasts or tests) or not isinstance(getattr(analysis, "formula", None), str):
        return analysis
    return (Asked if hasattr(analysis, "prepare") else AskedSingly)(analysis, contrasts, tests)
