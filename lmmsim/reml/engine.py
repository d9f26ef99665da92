"""The likelihood engine: a design's work once, then any number of responses.

An `Engine` belongs to one X and its random terms. `fit` maximises the profiled REML or ML likelihood of every column
of Y; the other methods answer questions about those fits. Everything is an array: rows as in X, coefficients as X's
columns, random terms in the order given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.absorption import DENSE_LIMIT
from lmmsim.reml.blocks import Blocks
from lmmsim.reml.degrees_of_freedom import kenward_roger, satterthwaite
from lmmsim.reml.identified import FLAT, indistinct, no_bound, taken_up
from lmmsim.reml.nested import Nested
from lmmsim.reml.one_component import OneComponent
from lmmsim.reml.report import ROUGH, criterion_out, report, variance_gradient, without_digits
from lmmsim.reml.search import START, Search
from lmmsim.reml.solution import Solution, join, replaced
from lmmsim.reml.standard_form import Problem, Responses
from lmmsim.reml.strata import Strata
from lmmsim.reml.structure import Structure, StructureOfAll

FEW_DIGITS = 1e8  # a sum of squares over the residual variance from which its digits are counted
AWAY = 0.05  # a start is never nearer to a zero on the diagonal: every derivative is zero there
STEEP = 1e6  # the largest ratio of standard deviations at which coefficients to go on from are computed
ROUNDS = 2  # of a fit about coefficients that the one before has found
BESIDE = (0.5, 0.99, 1.01, 2.0)  # theta times these has no lower criterion, where its digits can be trusted
PIECE = 2**19  # numbers of Y that are read together


class Engine:
    """Profiled likelihood of one design.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Fixed-effect columns, of full rank.
    terms : sequence of RandomTerm
        At least one.
    together : int, optional
        Most responses that are carried through the optimisation together; by default as many as memory suggests.
    dense_limit : int
        See `Blocks`.

    Raises
    ------
    ValueError
        Missing or infinite values, X without full rank, a group with one level, as many random effects as rows.

    References
    ----------
    Bates, Maechler, Bolker & Walker (2015), Journal of Statistical Software 67(1).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from lmmsim.model.columns import RandomTerm
    >>> plot = np.repeat(np.arange(6), 4)
    >>> term = RandomTerm("plot", ("Intercept",), np.ones((24, 1)), plot, pd.RangeIndex(6))
    >>> rng = np.random.default_rng(1)
    >>> Y = 10 + 2 * rng.normal(size=(6, 3))[plot] + rng.normal(size=(24, 3))
    >>> fits = Engine(np.ones((24, 1)), [term]).fit(Y)
    >>> fits.beta.shape, bool(fits.converged.all())
    ((3, 1), True)
    """

    def __init__(
        self, X: np.ndarray, terms: Sequence[RandomTerm], *, together: int | None = None, dense_limit: int = DENSE_LIMIT
    ) -> None:
        self.problem, self.together = Problem(X, terms), together
        self.coordinates = self.problem.coordinates
        self.dense_limit = dense_limit
        strata = Strata.find(self.problem)
        self.complete: Structure = OneComponent.find(strata) or strata or self.blocks

    @cached_property
    def blocks(self) -> StructureOfAll:
        """What answers every question about any responses; some designs have something faster for complete ones."""
        return Nested.find(self.problem) or Blocks(self.problem, self.dense_limit)

    def explain(self) -> str:
        """One paragraph: which structure of the design is used, why, and how large it is."""
        return self.complete.explain()

    def fit(self, Y: np.ndarray, reml: bool = True, start: np.ndarray | None = None, df: bool = False) -> Solution:
        """Fit every column of Y.

        Parameters
        ----------
        Y : ndarray, shape (n,) or (n, r)
            Responses; NaN where a replicate has no observation.
        reml : bool
            Restricted (default) or full maximum likelihood.
        start : ndarray, shape (t,), optional
            Theta to start from: the truth, in a simulation study. The optimum does not depend on it.
        df : bool
            Whether `satterthwaite` will be asked: it costs less on the way.

        Returns
        -------
        Solution

        Raises
        ------
        ValueError
            Y or start of the wrong shape; infinite values.
        """
        Y = self._table(Y)
        begin = self._start(start)
        return join([self._fit_chunk(Y[:, which], reml, begin, df) for which in self._chunks(Y)])

    def criterion(self, theta: np.ndarray, Y: np.ndarray, reml: bool = True) -> np.ndarray:
        """The profiled criterion (r,) of every column of Y at theta (t,), or each at its own theta (r, t)."""
        Y = self._table(Y)
        standard = self.problem.theta_in(np.broadcast_to(theta, (Y.shape[1], self.coordinates.size)))
        out = []
        for which in self._chunks(Y):
            structure, responses, moments = self.prepare(Y[:, which])
            out.append(criterion_out(self.problem, structure.at(standard[which], moments, reml), responses, reml))
        return np.concatenate(out)

    def satterthwaite(self, solution: Solution, L: np.ndarray | None = None) -> np.ndarray:
        """Satterthwaite's df, (r, p), of every coefficient or, with L (q, p), of its rows: (r, q)."""
        if L is None and solution.variance_gradient is not None:
            gradient = solution.variance_gradient
        else:
            structure, parts, L = self._structure(solution.observed), [], self.problem.contrasts(L)
            for _, theta, responses in self._designs(solution, structure):
                point = structure.at(theta, structure.moments(responses), solution.reml)
                parts.append(variance_gradient(self.problem, theta, point, L))
            gradient = np.concatenate(parts)
        df = satterthwaite(gradient[..., -1], gradient, solution.information)
        return self._where_fitted(solution, df)

    def kenward_roger(self, solution: Solution, L: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Kenward and Roger's adjusted vcov (r, p, p) and df, (r, p) or (r, q) for L (q, p)."""
        if not solution.reml:
            raise ValueError("the method of Kenward and Roger is defined for REML fits: fit with reml=True")
        L = self.problem.contrasts(L)
        vcov, df = [], []
        for which, theta, responses in self._designs(solution, self.blocks):
            point = self.blocks.at(theta, self.blocks.moments(responses), True)
            unknown = taken_up(self.problem, point)[0]
            C, degrees = kenward_roger(point, self.coordinates.psi(theta), L, unknown)
            vcov.append(solution.sigma[which, None, None] ** 2 * self.problem.vcov_out(C))
            df.append(degrees)
        return np.concatenate(vcov), self._where_fitted(solution, np.concatenate(df))

    def modes(self, solution: Solution, Y: np.ndarray) -> list[np.ndarray]:
        """Conditional modes of every random term, (r, J, k); J as in the term's levels."""
        Y = self._table(Y)
        parts = []
        for which, theta, _ in self._designs(solution, self.blocks):
            parts.append(self.blocks.modes(theta, self.problem.responses(Y[:, which]), solution.reml))
        return [np.concatenate(term) for term in zip(*parts, strict=True)]

    def mode_variances(self, solution: Solution) -> list[np.ndarray]:
        """Conditional variances of the modes given theta (lme4's condVar), (r, J, k, k) for every random term."""
        parts = []
        for which, theta, responses in self._designs(solution, self.blocks):
            parts.append(self.blocks.mode_variances(theta, solution.sigma[which], responses.observed))
        return [np.concatenate(term) for term in zip(*parts, strict=True)]

    def prepare(self, Y: np.ndarray) -> tuple[Structure, Responses, Any]:
        """Standardise responses and add up their moments: the only pass over the rows of Y."""
        size = max(1, PIECE // self.problem.n)
        pieces: list[Responses] = []
        moments: list[Any] = []
        for first in range(0, Y.shape[1], size):  # pieces that stay in the processor's cache
            piece = self.problem.responses(Y[:, first : first + size])
            if piece.observed is not None:
                whole = self.problem.responses(Y)
                return self.blocks, whole.without_rows(), self.blocks.moments(whole)
            moments.append(self.complete.moments(piece))
            pieces.append(piece.without_rows())
        if len(pieces) == 1:
            return self.complete, pieces[0], moments[0]
        return self.complete, Responses.join(pieces), type(moments[0]).join(moments)

    # -- one chunk ------------------------------------------------------------------------------------------------

    def _fit_chunk(self, Y: np.ndarray, reml: bool, start: np.ndarray, df: bool) -> Solution:
        """Fit as many responses as are carried together."""
        structure, responses, moments = self.prepare(Y)
        search = Search(self.problem, structure, responses, moments, reml)
        guessed, determined, design = search.guess(start, search.everything)
        found = search.minimum(guessed)
        point = found.point or search.at(found.theta, search.everything)
        solution = report(self.problem, point, found, responses, reml, df)
        failed = np.isnan(responses.scale)
        few = np.flatnonzero(~(responses.magnitude <= FEW_DIGITS * point.sigma2) & ~failed)
        if few.size and (reml or not self._no_bound):
            beta = coefficients(search, responses, found.theta, few)
            solution = replaced(solution, few, self._fit_exactly(Y[:, few], responses.take(few), beta, start, reml, df))
        if reml and self._surely_distinct and (determined > FLAT).all():
            return solution
        flat = indistinct(self.problem, design, self.coordinates.psi(start[None]))
        return self._with_doubts(solution, flat, failed)

    def _fit_exactly(
        self, Y: np.ndarray, responses: Responses, beta: np.ndarray, start: np.ndarray, reml: bool, df: bool
    ) -> Solution:
        """Fit responses whose residual is so small beside them that sums of their squares have lost its digits.

        What is left after the first fit's coefficients is small in every direction but those of Z, and what least
        squares within groups leaves of that has all digits. Every round starts from better coefficients.
        """
        structure = self._structure(responses.observed)
        for _ in range(ROUNDS):
            around = self.problem.around(Y, np.where(np.isfinite(beta), beta, responses.base), responses)
            search = Search(self.problem, structure, around, structure.moments(around), reml)
            found = search.minimum(search.guess(start, search.everything)[0])
            beta = coefficients(search, around, found.theta, search.everything)
        point = found.point or search.at(found.theta, search.everything)
        beside = [search.at(found.theta * factor, search.everything).value for factor in BESIDE]
        lower = ~(np.min(beside, axis=0) >= point.value - ROUGH)
        return without_digits(report(self.problem, point, found, around, reml, df), lower)

    def _with_doubts(self, solution: Solution, flat: np.ndarray, failed: np.ndarray) -> Solution:
        """Say where the likelihood is flat or has no bound: no optimum is one."""
        why = np.where(failed, "", flat if solution.reml else self._no_bound)
        doubt = why != ""
        if not doubt.any():
            return solution
        message = np.where(doubt, why, solution.message)
        return replace(solution, message=message, converged=solution.converged & ~doubt, indistinct=doubt)

    @cached_property
    def _surely_distinct(self) -> bool:
        """Whether every term has more levels than X could take up."""
        return all(term.levels > self.problem.p for term in self.problem.terms)

    @cached_property
    def _no_bound(self) -> str:
        """Why full likelihood has no maximum, '' where it has."""
        return no_bound(self.problem)

    def what_cannot_be_told_apart(self, reml: bool = True) -> str:
        """One sentence on a variance that this design cannot estimate, '' where there is none; see the function."""
        if not reml:
            return self._no_bound
        theta = START * self.coordinates.diagonal[None]
        blank = self.complete.moments(self.problem.no_response(1, None))
        return str(indistinct(self.problem, self.complete.at(theta, blank, True), self.coordinates.psi(theta))[0])

    # -- small things ---------------------------------------------------------------------------------------------

    def _table(self, Y: np.ndarray) -> np.ndarray:
        """Y as (n, r) floats."""
        Y = np.asarray(Y, dtype=float)
        Y = Y[:, None] if Y.ndim == 1 else Y
        if Y.ndim != 2 or Y.shape[0] != self.problem.n or Y.shape[1] == 0:
            raise ValueError(f"the response has shape {Y.shape}, but the design has {self.problem.n} rows")
        return Y

    def _start(self, start: np.ndarray | None) -> np.ndarray:
        """Standard theta to begin with."""
        if start is None:
            return START * self.coordinates.diagonal
        start = np.asarray(start, dtype=float)
        if start.shape != (self.coordinates.size,) or not np.isfinite(start).all():
            raise ValueError(f"start must be {self.coordinates.size} finite numbers (theta), not {start!r}")
        theta = self.problem.theta_in(start[None])[0]
        return np.where(self.coordinates.diagonal & (np.abs(theta) < AWAY), AWAY, theta)

    def _structure(self, observed: np.ndarray | None) -> Structure:
        """What fits responses that are complete (observed is None) or not."""
        return self.complete if observed is None else self.blocks

    def _chunks(self, Y: np.ndarray) -> list[slice]:
        """Columns of Y that are carried together."""
        complete = not np.isnan(Y.sum())
        size = self.together or (self.complete if complete else self.blocks).chunk(complete)
        return [slice(first, first + size) for first in range(0, Y.shape[1], size)]

    def _designs(self, solution: Solution, structure: Structure) -> Iterator[tuple[slice, np.ndarray, Responses]]:
        """Chunks of a solution, for questions that do not need Y: their places, theta, and zeros as responses."""
        size = self.together or structure.chunk(solution.observed is None)
        for first in range(0, len(solution.theta), size):
            which = slice(first, first + size)
            theta = solution.standard_theta[which]
            observed = None if solution.observed is None else solution.observed[:, which]
            yield which, theta, self.problem.no_response(len(theta), observed)

    def _where_fitted(self, solution: Solution, df: np.ndarray) -> np.ndarray:
        """NaN where a response has no fit."""
        return np.where((np.isfinite(solution.sigma) & ~solution.indistinct)[:, None], df, np.nan)


def what_cannot_be_told_apart(X: np.ndarray, terms: Sequence[RandomTerm], reml: bool = True) -> str:
    """One sentence on a variance that a design cannot estimate, '' where there is none.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Of full rank.
    terms : sequence of RandomTerm
    reml : bool
        Whether restricted likelihood is asked, which is flat where the fixed effects take up all groups or two
        variances do the same, or full likelihood, which has no maximum where X and Z fit any response exactly.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from lmmsim.model.columns import RandomTerm
    >>> school = np.repeat([0, 1], 10)
    >>> term = RandomTerm("school", ("Intercept",), np.ones((20, 1)), school, pd.RangeIndex(2))
    >>> what_cannot_be_told_apart(np.column_stack([np.ones(20), school]), [term])
    'the fixed effects take up all that (1 | school) could explain; drop one of the two'
    """
    return Engine(X, terms).what_cannot_be_told_apart(reml)


def coefficients(search: Search, responses: Responses, theta: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Coefficients (m, p) of some responses at their theta, or as near to it as their equations keep their digits."""
    theta = theta[which]
    steepness = np.abs(theta).max(axis=1, keepdims=True)
    point = search.at(theta * (STEEP / np.maximum(steepness, STEEP)), which)
    return responses.base[which] + responses.scale[which, None] * point.beta
