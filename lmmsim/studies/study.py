"""Studies: many data sets of one world, several analyses of each.

`study` repeats, `Study` holds what came out: the estimates of every replicate, the failures, and the way back to the
data of any replicate. How good the analyses are is `lmmsim.performance`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import is_whole
from lmmsim.estimators.asking import asked
from lmmsim.estimators.estimates import Estimates
from lmmsim.estimators.fit import named_components
from lmmsim.model.formula import split
from lmmsim.model.grid import Grid
from lmmsim.model.model import Model
from lmmsim.model.questions import named_rows
from lmmsim.simulation.simulate import Simulation
from lmmsim.studies.checkpoint import Checkpoint, seed_of
from lmmsim.studies.meaning import warn_of_basis
from lmmsim.studies.performance import performance
from lmmsim.studies.recipe import Analysis, Observe, Recipe, Redraw, true_components
from lmmsim.studies.results import COLUMNS, failures
from lmmsim.studies.run import conduct
from lmmsim.studies.tables import as_text, readable
from lmmsim.theory.power import Contrasts, Tests

TOO_MANY = 0.05
SHOWN = ("truth", "bias", "coverage", "rejection", "singular")


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """What came out of a study. `performance` says how good its analyses are.

    Attributes
    ----------
    recipe : Recipe
        Model, design, analyses and seed.
    replicates : int
    answers : dict of Estimates
        The arrays behind the tables, by analysis: a row per replicate.
    """

    recipe: Recipe
    replicates: int
    answers: dict[str, Estimates]
    true_contrasts: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """Tidy table: `replicate analysis term estimate se df p low high converged singular`.

        Replicates are numbered from 0. A failed one has no rows; one that did not converge has. The table is made when
        it is first asked for, and is larger than all arrays together.
        """
        names = list(self.answers)
        terms = list(dict.fromkeys(term for one in self.answers.values() for term in one.terms))
        tables = [_tidy(i, names, terms, one) for i, one in enumerate(self.answers.values())]
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def components(self) -> pd.DataFrame:
        """Estimated sds and correlations: a row per replicate, a column per (analysis, part, group, term)."""
        columns = {(n, *c): values for n, one in self.answers.items() for c, values in one.components.items()}
        index = pd.RangeIndex(self.replicates, name="replicate")
        labels = (
            pd.MultiIndex.from_tuples(list(columns), names=["analysis", "part", "group", "term"]) if columns else None
        )
        table = pd.DataFrame(dict(enumerate(columns.values())), index=index)
        return table.set_axis(labels, axis=1) if labels is not None else table

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row each: `replicate analysis kind message`; the kind is "failed" or "not converged"."""
        rows = [(k, name, kind, text) for name, one in self.answers.items() for k, kind, text in failures(one)]
        return pd.DataFrame(rows, columns=["replicate", "analysis", "kind", "message"])

    @property
    def failure_counts(self) -> pd.DataFrame:
        """How often each message came, by analysis, with the first replicate that had it."""
        by = self.failures.groupby(["analysis", "kind", "message"], sort=False)["replicate"]
        return by.agg(count="size", first="min").sort_values("count", ascending=False, kind="stable")

    @property
    def truth(self) -> pd.Series:
        """True coefficients and contrasts by name."""
        return pd.Series({**self.recipe.model.beta, **self.true_contrasts}, dtype=float, name="truth")

    @property
    def true_components(self) -> pd.Series:
        """True standard deviations and correlations, index (part, group, term), a correlation in both orders."""
        return named_components(true_components(self.recipe)).rename("truth")

    def redraw(self, k: int) -> Simulation | pd.DataFrame:
        """Draw replicate k again, alone.

        Parameters
        ----------
        k : int
            Number of the replicate, from 0; it may be one that the study did not reach.

        Returns
        -------
        Simulation or DataFrame
            The simulation with its truth; the data as observed where the study has an `observe`. The response is
            that of the study, up to the order in which the parts are added up.
        """
        if not is_whole(k) or k < 0:
            raise ValueError(f"replicate {k!r}: they are numbered from 0, in whole numbers")
        simulation = self.recipe.simulation(k)
        return simulation if self.recipe.observe is None else self.recipe.observed(simulation.data, k)

    def __repr__(self) -> str:
        return "\n".join([*self._headline, as_text(performance(self, full=True), SHOWN)])

    def _repr_html_(self) -> str:
        head = "<br>".join(escape(line) for line in self._headline)
        return f"<p>{head}</p>{readable(performance(self, full=True), SHOWN).to_html(border=0)}"

    @property
    def _headline(self) -> list[str]:
        """How many replicates of what, and which analyses could not do all of them."""
        lines = [f"Study of {self.replicates:,} replicates of {self.recipe.model.formula}"]
        for name, one in self.answers.items():
            failed, stuck = int(one.failed.sum()), int((~one.converged & ~one.failed).sum())
            if failed or stuck:
                lines.append(f"  {name}: {failed:,} failed, {stuck:,} not converged")
        return lines


def study(
    model: Model,
    design: pd.DataFrame,
    analyses: Mapping[str, Analysis],
    replicates: int = 1000,
    *,
    rng: streams.Rng = None,
    observe: Observe | None = None,
    redraw: Redraw | None = None,
    n_jobs: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
    contrasts: Contrasts | None = None,
    tests: Tests | None = None,
) -> Study:
    """Simulate many data sets of one world and analyse each.

    Replicate k is the same whatever the number of workers and of replicates, and so are its estimates, to the last
    bit, on one kind of machine.

    Parameters
    ----------
    model, design
        The world, as for `simulate`.
    analyses : mapping
        Estimators by name: `OLS`, `LMM`, ..., or any callable that takes a DataFrame and returns a `Fit`, a table with
        a row per term and a column `estimate` (and `se df p low high` as far as they are known), a Series of
        estimates, or a statsmodels result. Terms are held against the truth by name, so name them as the model does.
        An estimator with `.many` analyses replicates in batches.
    replicates : int
        How many data sets; `replicates_for` says how many are needed.
    rng : Generator, int or None
        An int gives the same study each time.
    observe : callable, optional
        Loses values in every replicate: what `drop_out` or `knock_out` return without data, or a function of
        `(data, rng)` that returns the data with less of the response.
    redraw : callable, optional
        Function of `rng` that returns a new design for every replicate, or a model and a design; the model must keep
        its coefficients. The fits are then one by one.
    n_jobs : int, optional
        Processes: -1 is one per core. None leaves it to `joblib.parallel_config`, which may name a cluster, and is
        otherwise one.
    checkpoint : path, optional
        Folder in which finished pieces are kept. The same call goes on from there after an interruption, or extends
        the study to more replicates. A checkpoint of another study is refused.
    progress : bool
        Show a progress bar, if standard error is a terminal.
    contrasts : mapping, optional
        What `Fit.contrast` takes, by name; each is a term beside the coefficients, with its own truth.
    tests : list or mapping, optional
        Joint tests, what `Fit.test` takes: `["week:arm"]`, whose term is "test week:arm", or questions by name. The
        estimate is F and has no truth; `rejection` is its type-I error or power. Contrasts and tests are asked of the
        estimators of this package; a function of your own returns rows of these names, if it has them.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If there is nothing to do, model and design do not fit together, or the checkpoint is another study's.
    Exception
        The first error of an analysis that fails in every replicate, or in each of the first 1,000.

    Warns
    -----
    UserWarning
        If an analysis failed, or did not converge, in more than 5 % of the replicates; if one of several analyses has
        no answer to the contrasts or tests.

    Examples
    --------
    >>> from lmmsim import scenarios
    >>> from lmmsim.estimators.least_squares import OLS
    >>> from lmmsim.studies.performance import performance
    >>> model, design = scenarios.teaching_methods(effect=0)
    >>> results = study(model, design, {"OLS": OLS("score ~ method")}, replicates=1000, rng=1)
    >>> results.estimates.shape
    (2000, 11)
    >>> bool(performance(results).loc[("method[T.new]", "OLS"), "rejection"] > 0.15)    # it should be 0.05
    True
    """
    analyses = asking(named(analyses), design, contrasts, tests, stacklevel=3)
    recipe = Recipe(model, design, analyses, seed_of(checkpoint, rng), observe, redraw)
    check(recipe, replicates)
    warn_of_basis(model, design, analyses, stacklevel=2)
    saved = [Checkpoint(checkpoint, recipe) if checkpoint is not None else None]
    [(_, answers)] = conduct([recipe], replicates, n_jobs, saved, progress)
    warn(answers, stacklevel=3)
    return Study(recipe, replicates, answers, truths(model, design, contrasts))


def named(analyses: Mapping[str, Analysis]) -> dict[str, Analysis]:
    """Analyses by name, or say that they have none."""
    if not isinstance(analyses, Mapping):
        raise TypeError(f'analyses have names, as {{"LMM": LMM("y ~ x + (1 | g)")}}; got {analyses!r}')
    if wrong := [name for name in analyses if not isinstance(name, str) or not name.strip()]:
        raise TypeError(f"{wrong[0]!r} cannot name an analysis: a name is a text, as 'LMM'")
    return dict(analyses)


def asking(
    analyses: Mapping[str, Analysis],
    design: pd.DataFrame,
    contrasts: Contrasts | None,
    tests: Tests | None,
    stacklevel: int,
) -> dict[str, Analysis]:
    """Analyses that are asked contrasts and tests beside their coefficients, as far as they have an answer."""
    together = {name: asked(analysis, contrasts, tests) for name, analysis in analyses.items()}
    problems: dict[str, ValueError] = {}
    for name, analysis in together.items():
        if analysis is not analyses[name]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of rows without values: each batch is told anew
                    analysis.check(design)
            except ValueError as error:
                problems[name] = error
    able = [name for name in together if together[name] is not analyses[name] and name not in problems]
    for name, problem in problems.items():
        if not able:
            raise problem
        warnings.warn(f"'{name}' is not asked the contrasts and tests: {problem}", UserWarning, stacklevel=stacklevel)
        together[name] = analyses[name]
    return together


def truths(model: Model, design: pd.DataFrame, contrasts: Contrasts | None) -> dict[str, float]:
    """True values of contrasts; missing where the model itself does not determine one."""
    if not contrasts:
        return {}
    grid = Grid(model.matrices(design), design)
    true: dict[str, float] = {}
    for name, question in contrasts.items():
        try:
            row = named_rows(grid, {name: question}).iloc[0]
            true[str(name)] = float(sum(row[term] * model.beta[term] for term in row.index))
        except ValueError:
            true[str(name)] = float("nan")
    return true


def check(recipe: Recipe, replicates: int) -> None:
    """Refuse a study that cannot begin."""
    if not is_whole(replicates) or replicates < 1:
        raise ValueError(f"replicates is {replicates!r}; a study needs a whole number of them, at least one")
    if not recipe.analyses:
        raise ValueError('a study needs at least one analysis, such as {"LMM": LMM("y ~ x + (1 | g)")}')
    for name, analysis in recipe.analyses.items():
        if not callable(analysis):
            raise TypeError(f"analysis '{name}' is {analysis!r}; an analysis is called with a DataFrame")
        _check_response(name, analysis, recipe.model.response)
    for what, called in (("observe", recipe.observe), ("redraw", recipe.redraw)):
        if called is not None and not callable(called):
            raise TypeError(f"{what} is {called!r}; it is a function, or None")
    recipe.simulation(0)  # the model and the design fit together, or this says what does not


def _check_response(name: str, analysis: Analysis, response: str) -> None:
    """Refuse an estimator of another response: in a batch it would be given this one unseen."""
    formula = getattr(analysis, "formula", None)
    if not hasattr(analysis, "many") or not isinstance(formula, str) or "~" not in formula:
        return
    asked = split(formula).response
    if asked != response:
        raise ValueError(f"analysis '{name}' explains '{asked}' ({formula}); the response of the model is '{response}'")


def warn(answers: Mapping[str, Estimates], stacklevel: int) -> None:
    """Warn once of analyses that failed or did not converge too often."""
    lines = []
    for name, one in answers.items():
        failed, stuck = one.failed, ~one.converged & ~one.failed
        for what, which in (("failed", failed), ("did not converge", stuck)):
            if which.mean() > TOO_MANY:
                message = one.message[which][0]
                lines.append(f"'{name}' {what} in {which.sum():,} of {len(one):,} replicates (first: {message})")
    if lines:
        text = "\n  ".join(lines)
        warnings.warn(
            f"{text}\nRates leave these replicates out, so they are biased towards data that are easy to analyse; "
            "see results.failure_counts, and results.redraw(k) for the data",
            UserWarning,
            stacklevel=stacklevel,
        )


def _tidy(analysis: int, names: list[str], terms: list[str], one: Estimates) -> pd.DataFrame:
    """Rows of one analysis, replicate by replicate and term by term, without those that have no estimate."""
    p = len(one.terms)
    there = np.flatnonzero(~np.isnan(one.estimate).ravel())
    places = np.array([terms.index(term) for term in one.terms], dtype=int)
    replicate = there // p
    columns = {
        "replicate": replicate,
        "analysis": pd.Categorical.from_codes(np.full(len(there), analysis), names),
        "term": pd.Categorical.from_codes(places[there % p], terms),
    }
    columns |= {name: getattr(one, name).ravel()[there] for name in COLUMNS}
    return pd.DataFrame({**columns, "converged": one.converged[replicate], "singular": one.singular[replicate]})
