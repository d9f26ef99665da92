"""The engine for residuals that depend on each other in designs whose blocks of V are large, as crossed ones are.

Given phi the residuals are whitened unit by unit: with R = L L', the rows L^-1 X, L^-1 Z and L^-1 y belong to a model
with independent residuals, which `engine.Engine` fits by whatever structure it finds. The criterion is that fit's plus
log|R|. phi is optimised outside, one response at a time: at the optimum over everything else the criterion's derivative
in phi is its partial derivative, a central difference that needs no other fit.

Where nothing of the residual is left to be estimated, as with known precisions, all responses are fitted together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import cast

import numpy as np

from lmmsim.model.columns import RandomTerm
from lmmsim.reml.degrees_of_freedom import satterthwaite
from lmmsim.reml.engine import Engine
from lmmsim.reml.marginal_solution import MarginalSolution
from lmmsim.reml.residual_numbers import Numbers
from lmmsim.reml.solution import Solution
from lmmsim.reml.whitening import Joint, Outer, Whitening


class Whitened:
    """The likelihood of one design whose residuals are whitened before it is looked at.

    Parameters
    ----------
    X : ndarray, (n, p)
    terms : sequence of RandomTerm
        At least one.
    numbers : Numbers
        The residual's.
    """

    def __init__(self, X: np.ndarray, terms: Sequence[RandomTerm], numbers: Numbers) -> None:
        self.X, self.terms, self.numbers = np.asarray(X, dtype=float), tuple(terms), numbers
        self.n, self.none = len(self.X), np.empty(0)
        self.complete = Whitening(numbers, self.n, np.arange(self.n))

    def explain(self) -> str:
        """One sentence about the structure."""
        return f"residuals whitened unit by unit, then {self.engine(self._middle, None)[0].explain()}"

    def fit(self, Y: np.ndarray, reml: bool = True, start: np.ndarray | None = None, df: bool = False) -> Solution:
        """Fit every column of Y (n, r), NaN where nothing was observed; see `Engine.fit`."""
        Y = np.asarray(Y, dtype=float)
        Y = Y[:, None] if Y.ndim == 1 else Y
        parts, order = [], []
        for which, seen in self._groups(Y):
            y = Y[:, which] if seen is None else Y[np.ix_(seen, which)]
            parts.append(self._fitted(y, seen, reml, start, df))
            order.append(which)
        back = np.argsort(np.concatenate(order))
        whole = replace(_together(parts, back), observed=None if not np.isnan(Y).any() else ~np.isnan(Y))
        return whole

    def satterthwaite(self, solution: Solution, L: np.ndarray | None = None) -> np.ndarray:
        """Satterthwaite's df, (r, p), of every coefficient or, with L (q, p), of its rows: (r, q)."""
        out = []
        for which, own, engine, _ in self._each(solution):
            if self.numbers.size == 0:
                out.append((which, engine.satterthwaite(own, L)))
                continue
            gradient = own.variance_gradient if L is None else None
            if gradient is None:
                gradient = Joint(self, cast(MarginalSolution, solution), which).variance_gradient(L)[None]
            out.append((which, satterthwaite(gradient[..., -1], gradient, own.information)))
        return _placed(out)

    def kenward_roger(self, solution: Solution, L: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Kenward and Roger's vcov and df where the residual has known precisions; refused otherwise."""
        if self.numbers.size:
            raise ValueError(
                "Kenward and Roger's correction is not available for residuals with a structure: use df='satterthwaite'"
            )
        parts = [(which, *engine.kenward_roger(own, L)) for which, own, engine, _ in self._each(solution)]
        return _placed([part[:2] for part in parts]), _placed([part[::2] for part in parts])

    def modes(self, solution: Solution, Y: np.ndarray) -> list[np.ndarray]:
        """Conditional modes of every random term, (r, J, k)."""
        Y = np.asarray(Y, dtype=float)
        Y = Y[:, None] if Y.ndim == 1 else Y
        parts = [(which, engine.modes(own, white(Y[:, which]))) for which, own, engine, white in self._each(solution)]
        return [_placed([(which, part[i]) for which, part in parts]) for i in range(len(self.terms))]

    def mode_variances(self, solution: Solution) -> list[np.ndarray]:
        """Conditional variances of the modes, (r, J, k, k)."""
        parts = [(which, engine.mode_variances(own)) for which, own, engine, _ in self._each(solution)]
        return [_placed([(which, part[i]) for which, part in parts]) for i in range(len(self.terms))]

    # -- one design -----------------------------------------------------------------------------------------------

    @property
    def _middle(self) -> np.ndarray:
        """A phi to look at the design with."""
        return self.numbers.start(np.random.default_rng(0).normal(size=(self.n, 1)))[-1, 0]

    def engine(self, phi: np.ndarray, seen: np.ndarray | None) -> tuple[Engine, list[np.ndarray], Whitening, float]:
        """The engine of the rows that were seen, whitened at phi, with the factors and log|R|."""
        rows = np.arange(self.n) if seen is None else seen
        whitening = self.complete if seen is None else Whitening(self.numbers, self.n, seen)
        factors, log_det = whitening.at(phi)
        X = whitening.white(factors, self.X[rows])
        terms = [
            replace(term, columns=whitening.white(factors, term.columns[rows]), codes=term.codes[rows])
            for term in self.terms
        ]
        return Engine(X, terms), factors, whitening, log_det

    def _groups(self, Y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Responses that are fitted together, and the rows that they have: None for all of them."""
        alone = self.numbers.size > 0
        observed = ~np.isnan(Y)
        masks, inverse = np.unique(observed.T, axis=0, return_inverse=True)
        for g, mask in enumerate(masks):
            members, seen = np.flatnonzero(inverse.ravel() == g), None if mask.all() else np.flatnonzero(mask)
            for which in members[:, None] if alone else [members]:
                yield which, seen

    def _fitted(
        self, y: np.ndarray, seen: np.ndarray | None, reml: bool, start: np.ndarray | None, df: bool
    ) -> Solution:
        """Fit responses (n_seen, r) that share rows: one response, where the residual has free numbers."""
        t = sum(len(term.names) * (len(term.names) + 1) // 2 for term in self.terms)
        theta = None if start is None or len(start) < t else np.asarray(start, dtype=float)[:t]
        phi = self.none if self.numbers.size == 0 else Outer(self, y, seen, reml, theta).optimum()
        engine, factors, whitening, log_det = self.engine(phi, seen)
        found = engine.fit(whitening.white(factors, y), reml=reml, start=theta, df=df)
        found = replace(found, criterion=found.criterion + log_det)
        if self.numbers.size == 0:
            return found
        values = {field.name: getattr(found, field.name) for field in fields(found)}
        edge = self.numbers.at_edge(phi[None])
        values |= {"singular": found.singular | edge, "phi": phi[None]}
        own = MarginalSolution(**values)
        if not df or np.isnan(found.sigma[0]):
            size = found.information.shape[1] + self.numbers.size
            nothing = np.full((1, self.X.shape[1], size), np.nan)
            return replace(own, information=np.full((1, size, size), np.nan), variance_gradient=nothing)
        joint = Joint(self, own, np.array([0]), y, seen)
        return replace(own, information=joint.information[None], variance_gradient=joint.variance_gradient(None)[None])

    def _each(self, solution: Solution) -> Iterator[tuple[np.ndarray, Solution, Engine, Callable[..., np.ndarray]]]:
        """Responses that share an engine: their places, their part of the solution, it, and how it sees responses."""
        r = len(solution.sigma)
        Y = np.zeros((self.n, r)) if solution.observed is None else np.where(solution.observed, 0.0, np.nan)
        for which, seen in self._groups(Y):
            own = replace(_together([solution], which), observed=None)
            phi = own.phi[0] if isinstance(own, MarginalSolution) else self.none
            engine, factors, whitening, _ = self.engine(phi, seen)
            rows = np.arange(self.n) if seen is None else seen

            def white(
                Y: np.ndarray,
                rows: np.ndarray = rows,
                whitening: Whitening = whitening,
                factors: list[np.ndarray] = factors,
            ) -> np.ndarray:
                return whitening.white(factors, np.ascontiguousarray(Y[rows]))

            yield which, own, engine, white


def _placed(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Values of all responses from those of groups of them."""
    back = np.argsort(np.concatenate([which for which, _ in parts]))
    return np.concatenate([values for _, values in parts])[back]


def _together(parts: list[Solution], order: np.ndarray) -> Solution:
    """Several solutions as one, in an order."""
    first, out = parts[0], {}
    for field in fields(first):
        value = getattr(first, field.name)
        if isinstance(value, np.ndarray) and field.name != "observed":
            out[field.name] = np.concatenate([getattr(part, field.name) for part in parts])[order]
    covariances = [np.concatenate(term)[order] for term in zip(*(part.covariances for part in parts), strict=True)]
    return replace(first, **out, covariances=covariances)
