"""The engine for residuals that depend on each other: the questions of `engine.Engine`, answered by V itself.

A design is sorted into blocks once; then any number of responses are fitted together. A response with gaps has the
blocks of the rows that it was observed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.degrees_of_freedom import satterthwaite
from lmmsim.reml.gaps import GapPoint, Together, standardised
from lmmsim.reml.marginal import MarginalPoint, Sums
from lmmsim.reml.marginal_form import Form, Standard
from lmmsim.reml.marginal_search import MarginalSearch
from lmmsim.reml.marginal_solution import MarginalSolution, blank, put
from lmmsim.reml.residual_numbers import Numbers
from lmmsim.reml.solution import Solution
from lmmsim.reml.unit_sums import Stack, label, stacks

LARGEST = 2**21  # numbers that are carried together


class MarginalEngine:
    """Profiled likelihood of one design with residuals of one kind.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    terms : sequence of RandomTerm
        May be empty: generalised least squares.
    numbers : Numbers
        The residual's.
    """

    def __init__(self, X: np.ndarray, terms: Sequence[RandomTerm], numbers: Numbers) -> None:
        self.form, self.numbers, self.terms = Form(X, terms), numbers, tuple(terms)
        self.coordinates, self.t = self.form.coordinates, self.form.t
        self.block = label([bar.codes for bar in self.form.bars], numbers.codes, self.form.n)
        self.everything = np.arange(self.form.n)
        self.complete = self._stacks(self.everything)
        self.gaps = Together(self.form, self.complete, numbers)

    def check(self) -> None:
        """Refuse numbers that do the same to V, so that no data can tell them apart."""
        theta = self.coordinates.diagonal[None].astype(float) if self.coordinates else np.zeros((1, 0))
        phi = self.numbers.start(np.random.default_rng(0).normal(size=(self.form.n, 1)))[-1]
        sums = Sums.of(self.complete, np.random.default_rng(0).normal(size=(self.form.n, 1)))
        point = MarginalPoint(self.complete, self.coordinates, np.hstack([theta, phi]), sums, False)
        same = point.same()
        if same.any():
            names = [f"({' + '.join(term.names)} | {term.group})" for term in self.terms]
            where = [name for name, bar in zip(names, self.form.bars, strict=True) for _ in bar.directions]
            words = [*where, *["the residual"] * (len(same) - len(where))]
            what = list(dict.fromkeys(word for word, shares in zip(words, same, strict=True) if shares))
            raise ValueError(
                f"these rows cannot tell the numbers of {' and '.join(what)} apart: different ones make the same "
                f"variances and correlations; drop a random effect, or take a residual with fewer numbers"
            )

    def explain(self) -> str:
        """One sentence about the structure."""
        blocks = int(sum(stack.count.sum() for stack in self.complete))
        patterns = sum(len(stack.count) for stack in self.complete)
        largest = max(stack.m for stack in self.complete)
        return f"independent blocks of V: {blocks} in {patterns} pattern(s), up to {largest} rows each"

    def fit(self, Y: np.ndarray, reml: bool = True, start: np.ndarray | None = None, df: bool = False) -> Solution:
        """Fit every column of Y (n, r), NaN where nothing was observed; see `Engine.fit`.

        `start` is theta, or theta and phi one after the other.
        """
        Y = np.asarray(Y, dtype=float)
        Y = Y[:, None] if Y.ndim == 1 else Y
        begin = self._start(start)
        out: MarginalSolution | None = None
        observed = ~np.isnan(Y)
        alone = self.gaps.alone(observed)
        for which, part in self._parts(Y, alone, reml, begin):
            out = blank(part, Y.shape[1]) if out is None else out
            put(out, which, part)
        assert out is not None
        return out if observed.all() else replace(out, observed=observed)

    def satterthwaite(self, solution: Solution, L: np.ndarray | None = None) -> np.ndarray:
        """Satterthwaite's df, (r, p), of every coefficient or, with L (q, p), of its rows: (r, q)."""
        if L is None and solution.variance_gradient is not None:
            gradient = solution.variance_gradient
        else:
            L = self.form.contrasts(L)
            r = len(solution.sigma)
            gradient = np.empty((r, len(L), solution.information.shape[1]))
            alone = self.gaps.alone(solution.observed)
            for which, _, point in self._points(solution, alone):
                gradient[which] = point.variance_gradient(L)
            for which in self.gaps.chunks(alone):
                gradient[which] = self.gaps.point(cast(MarginalSolution, solution), which).variance_gradient(L)
        df = satterthwaite(gradient[..., -1], gradient, solution.information)
        return np.where(np.isnan(solution.sigma)[:, None], np.nan, df)

    def kenward_roger(self, solution: Solution, L: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Refused: the adjustment is not linear in the residual's numbers."""
        raise ValueError(
            "Kenward and Roger's correction is not available for residuals with a structure: use df='satterthwaite'"
        )

    def modes(self, solution: Solution, Y: np.ndarray) -> list[np.ndarray]:
        """Conditional modes of every random term, (r, J, k); J as in the term's levels."""
        Y = np.asarray(Y, dtype=float)
        Y = Y[:, None] if Y.ndim == 1 else Y
        rest = np.nan_to_num(Y - self.form.X @ (solution.beta @ self.form.R.T).T)
        return [value[0] for value in self._predicted(solution, rest)]

    def mode_variances(self, solution: Solution) -> list[np.ndarray]:
        """Conditional variances of the modes given theta and phi, (r, J, k, k) for every random term."""
        return [value[1] for value in self._predicted(solution, None)]

    # -- small things ---------------------------------------------------------------------------------------------

    def _stacks(self, seen: np.ndarray) -> list[Stack]:
        return stacks(self.form.X, self.form.bars, self.numbers, self.block, seen)

    def _start(self, start: np.ndarray | None) -> np.ndarray | None:
        """A start in standard coordinates; one that has only theta says too little."""
        if start is None or len(start) != self.t + self.numbers.size or not np.isfinite(start).all():
            return None
        start = np.array(start, dtype=float)
        if self.coordinates:
            theta = self.form.theta(start[None, : self.t], inward=True)[0]
            start[: self.t] = np.where(self.coordinates.diagonal & (np.abs(theta) < 0.05), 0.05, theta)
        return start

    def _parts(
        self, Y: np.ndarray, alone: np.ndarray, reml: bool, start: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, MarginalSolution]]:
        """Fits of responses (n, r), as many at a time as go together."""
        for which in self.gaps.chunks(alone):
            own, observed = standardised(self.form, Y[:, which]), np.isfinite(Y[:, which])
            sums = self.gaps.sums(own.y, observed)
            search = MarginalSearch(self.complete, self.coordinates, self.numbers, sums, reml, GapPoint)
            yield which, self._fitted(search, np.where(observed, own.y, np.nan), own, start)
        others = np.setdiff1d(np.arange(Y.shape[1]), alone)
        if not len(others):
            return
        for members, seen, design in self._designs(~np.isnan(Y[:, others]), len(others)):
            which = others[members]
            own = self.form.standardised(Y[np.ix_(seen, which)], seen)
            rows = np.zeros((self.form.n, len(which)))
            rows[seen] = own.y
            search = MarginalSearch(design, self.coordinates, self.numbers, Sums.of(design, rows), reml)
            rest = rows if len(seen) == self.form.n else np.where(np.isin(self.everything, seen)[:, None], rows, np.nan)
            yield which, self._fitted(search, rest, own, start)

    def _designs(self, observed: np.ndarray | None, r: int) -> Iterator[tuple[np.ndarray, np.ndarray, list[Stack]]]:
        """Responses that were observed in the same rows, these rows, and their blocks; as many as go together."""
        if observed is None or observed.all():
            groups = [(np.arange(r), self.everything)]
        else:
            masks, inverse = np.unique(observed.T, axis=0, return_inverse=True)
            groups = [(np.flatnonzero(inverse.ravel() == g), np.flatnonzero(mask)) for g, mask in enumerate(masks)]
        for members, seen in groups:
            design = self.complete if len(seen) == self.form.n else self._stacks(seen)
            size = self._chunk(design)
            for first in range(0, len(members), size):
                yield members[first : first + size], seen, design

    def _chunk(self, design: list[Stack]) -> int:
        """How many responses to carry together."""
        a = self.t + self.numbers.size
        each = 0
        for stack in design:
            G, E, m, p = stack.X.shape
            each += G * m * m * (4 * a + 8) + G * E * m * p * (2 * a + 2)
        return max(1, LARGEST // (3 * each))

    def _fitted(
        self, search: MarginalSearch, rest: np.ndarray, standard: Standard, start: np.ndarray | None
    ) -> MarginalSolution:
        """Fit the responses of one chunk; `rest` (n, r) are their residuals, NaN where nothing was observed."""
        reml, found = search.reml, search.minimum(rest, start)
        point = search.at(found.theta, np.arange(len(found.value)))
        scale, failed = standard.scale, np.isnan(standard.scale)
        sigma = np.sqrt(point.sigma2) * scale
        theta, phi = found.theta[:, : self.t], found.theta[:, self.t :]
        out = self.form.theta(theta)
        factors = self.coordinates.factors(out) if self.coordinates else []
        beta = self.form.beta(standard.base + np.nan_to_num(scale)[:, None] * point.beta)
        message = standard.message.copy()
        for i in np.flatnonzero(~failed & ~found.converged):
            message[i] = self._why_not(phi[i], int(found.evaluations[i]))
        edge = self.numbers.at_edge(phi)
        message[~failed & found.converged & edge] = "a correlation of the residuals is at the edge of what is possible"
        with np.errstate(invalid="ignore"):
            criterion = point.value + 2 * point.dof * np.log(scale) + (self.form.log_det_R if reml else 0.0)
        blank = np.where(failed, np.nan, 1.0)
        return MarginalSolution(
            theta=out * blank[:, None],
            beta=beta * blank[:, None],
            vcov=sigma[:, None, None] ** 2 * self.form.vcov(point.vcov),
            sigma=sigma,
            criterion=criterion,
            converged=found.converged & ~failed,
            singular=(search.singular(found.theta) | edge) & ~failed,
            evaluations=found.evaluations + 1,
            message=message,
            covariances=[sigma[:, None, None] ** 2 * (f @ f.swapaxes(1, 2)) for f in factors],
            reml=reml,
            standard_theta=theta,
            information=point.information,
            observed=None,
            indistinct=np.zeros(len(sigma), dtype=bool),
            variance_gradient=point.variance_gradient(self.form.contrasts(None)),
            phi=phi,
        )

    def _why_not(self, phi: np.ndarray, evaluations: int) -> str:
        """Why a search has found no end."""
        if gone := self.numbers.vanishing(phi):
            return (
                f"the likelihood has no maximum that could be found: it grows while {gone} goes to zero; take a "
                "residual with fewer numbers, or more units"
            )
        return f"the optimiser did not converge in {evaluations} evaluations of the likelihood"

    def _points(
        self, solution: Solution, alone: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, list[Stack], MarginalPoint]]:
        """The likelihood of all responses but those `alone` at a solution."""
        found = cast(MarginalSolution, solution)
        others = np.setdiff1d(np.arange(len(solution.sigma)), [] if alone is None else alone)
        if not len(others):
            return
        observed = None if solution.observed is None else solution.observed[:, others]
        for members, seen, design in self._designs(observed, len(others)):
            which = others[members]
            noise = np.random.default_rng(0).normal(size=(self.form.n, 1))
            sums = Sums.of(design, np.tile(noise, (1, len(which))))
            parameters = np.hstack([found.standard_theta[which], found.phi[which]])
            sums = replace(sums, n=len(seen))
            yield which, design, MarginalPoint(design, self.coordinates, parameters, sums, solution.reml)

    def _predicted(self, solution: Solution, rest: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
        """Modes (r, J, k) from residuals (n, r), and their variances (r, J, k, k), in the user's columns."""
        r = len(solution.sigma)
        out = []
        for bar in self.form.bars:
            k = bar.k
            out.append((np.zeros((r, bar.levels, k)), np.zeros((r, bar.levels, k, k))))
        if not self.coordinates:
            return out
        for which, design, point in self._points(solution):
            factors = self.coordinates.factors(solution.standard_theta[which])
            for bar, factor, (mode, variance) in zip(self.form.bars, factors, out, strict=True):
                Psi, k = factor @ factor.swapaxes(1, 2), bar.k
                variance[which] += (solution.sigma[which, None, None] ** 2 * Psi)[:, None]
                for stack, T in zip(design, point.T, strict=True):
                    for g, rows in enumerate(stack.rows):
                        levels, here = np.unique(bar.codes[rows[0]], return_inverse=True)
                        Z = np.zeros((stack.m, len(levels), k))
                        Z[np.arange(stack.m), here] = bar.columns[rows[0]]
                        ZT = np.einsum("mlk,rmn->rlkn", Z, T[:, g])
                        at = _levels_of(bar.codes[rows], here, len(levels))  # (J_g, l)
                        if rest is not None:
                            across = np.einsum("rlkn,jnr->rjlk", ZT, rest[rows][..., which])
                            mode[np.ix_(which, at.ravel())] = across.reshape(len(which), -1, k) @ Psi
                        ZTZ = np.einsum("rlkn,nlh->rlkh", ZT, Z)
                        less = solution.sigma[which, None, None, None] ** 2 * (Psi[:, None] @ ZTZ @ Psi[:, None])
                        variance[np.ix_(which, at.ravel())] -= np.tile(less, (1, len(rows), 1, 1))
        backs = [bar.back for bar in self.form.bars]
        return [(u @ b.T, b @ v @ b.T) for (u, v), b in zip(out, backs, strict=True)]


def _levels_of(codes: np.ndarray, here: np.ndarray, count: int) -> np.ndarray:
    """The level of a factor that stands at each of its places in every block, (J, l)."""
    out = np.empty((len(codes), count), dtype=np.intp)
    out[:, here] = codes
    return out
