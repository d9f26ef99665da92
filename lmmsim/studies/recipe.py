"""Recipes: everything that decides the data of replicate k, and nothing else.

A recipe gives back the data of any replicate alone. The responses are drawn in whole blocks of `lmmsim.streams`, so
that not even the last bit depends on which replicates are asked for together. What loses values, and what redraws the
design, has a random stream of its own in every replicate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.covariance import cholesky
from lmmsim.estimators.estimates import Component, Effects, component_table, effects_of
from lmmsim.model.columns import levels_of
from lmmsim.model.equation import Equation
from lmmsim.model.model import Model
from lmmsim.model.residual import Residual
from lmmsim.reml.theta import pack
from lmmsim.simulation.mechanisms import Observer
from lmmsim.simulation.simulate import Simulation, drawn, equation_of, responses, simulate
from lmmsim.streams import BLOCK

Analysis = Callable[[pd.DataFrame], Any]
Observe = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
Redraw = Callable[[np.random.Generator], pd.DataFrame | tuple[Model, pd.DataFrame]]
# Third numbers of stream keys (block, part, replicate); the parts of the equation count from 0.
OBSERVE, REDRAW, REDRAWN = 10_000, 20_000, 20_001


@dataclass(frozen=True, eq=False)
class Recipe:
    """A model, a design, the analyses, and the root of all chance.

    Attributes
    ----------
    model, design
        As in `study`.
    analyses : mapping
        By name.
    seed : SeedSequence
        Root of all streams.
    observe, redraw : callable or None
        As in `study`.
    """

    model: Model
    design: pd.DataFrame
    analyses: Mapping[str, Analysis]
    seed: np.random.SeedSequence
    observe: Observe | None = None
    redraw: Redraw | None = None

    @cached_property
    def equation(self) -> Equation:
        """The model on its design, worked out once for all replicates."""
        return equation_of(self.model, self.design)

    def responses(self, first: int, last: int) -> tuple[np.ndarray, dict[int, Exception]]:
        """Responses of the replicates first .. last - 1, and why some could not be observed.

        Returns
        -------
        ndarray, shape (n, last - first)
            NaN is a value that was not observed.
        dict
            Number of a replicate in which `observe` failed: the error.
        """
        Y = self._complete(first, last)
        if self.observe is None:
            return Y, {}
        chances = [self._rng(OBSERVE, k) for k in range(first, last)]
        if isinstance(self.observe, Observer):
            return self.observe.many(Y, self.design, chances, response=self.model.response), {}
        left = np.full(Y.shape, np.nan)
        problems: dict[int, Exception] = {}
        for j, rng in enumerate(chances):
            try:
                left[:, j] = self._column(self._seen(self._data(Y[:, j]), rng))
            except Exception as error:
                problems[first + j] = error
        return left, problems

    def data(self, first: int, last: int) -> Iterator[pd.DataFrame | Exception]:
        """Yield the data of the replicates first .. last - 1, or why one could not be made."""
        complete = self._complete(first, last).T if self.redraw is None else None
        for k in range(first, last):
            try:
                data = self.simulation(k).data if complete is None else self._data(complete[k - first])
                yield self.observed(data, k)
            except Exception as error:
                yield error

    def observed(self, data: pd.DataFrame, k: int) -> pd.DataFrame:
        """What is seen of the data of replicate k."""
        return data if self.observe is None else self._seen(data, self._rng(OBSERVE, k))

    def simulation(self, k: int) -> Simulation:
        """Replicate k before anything of it is lost, with its truth."""
        if self.redraw is None:
            return drawn(self.model, self.equation, self.seed, k)
        new = self.redraw(self._rng(REDRAW, k))
        model, design = new if isinstance(new, tuple) and len(new) == 2 else (self.model, new)
        if not hasattr(model, "beta") or not isinstance(design, pd.DataFrame):
            raise TypeError(f"redraw returns a design, or a model and a design; this one returned {new!r:.200}")
        if model.beta != self.model.beta:
            raise ValueError(
                f"redraw gave a model with other coefficients: {model.beta}, and {self.model.beta} in the study; the "
                "estimates are compared with one truth. Let coefficients vary as random effects instead"
            )
        # its own root, since designs of unequal size would share numbers of a common stream
        return simulate(model, design, rng=self._seed(REDRAWN, k))

    def _complete(self, first: int, last: int) -> np.ndarray:
        """Responses before anything is lost, cut out of whole blocks."""
        begin, end = first // BLOCK * BLOCK, -(-last // BLOCK) * BLOCK
        return responses(self.equation, self.seed, begin, end)[:, first - begin : last - begin]

    def _data(self, y: np.ndarray) -> pd.DataFrame:
        data = self.design.assign(**{self.model.response: y})
        data.attrs["response"] = self.model.response
        return data

    def _seen(self, data: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """What `observe` leaves of data, or say that it is none."""
        left = self.observe(data, rng) if self.observe else data
        if isinstance(left, pd.DataFrame) and len(left) > len(data):
            raise ValueError(f"observe may lose rows, not add any: of {len(data)} rows it made {len(left)}")
        if not isinstance(left, pd.DataFrame) or self.model.response not in left:
            raise TypeError(f"observe returns the data with '{self.model.response}'; this one returned {left!r:.200}")
        return left

    def _column(self, observed: pd.DataFrame) -> np.ndarray:
        """What is left of a response, on the rows of the design."""
        others = [name for name in self.design.columns if name != self.model.response]
        index = self.design.index
        aligned = index.is_unique and observed.index.isin(index).all()
        if not aligned or not observed[others].equals(self.design.loc[observed.index, others]):
            raise ValueError(
                "observe may lose responses: set them to NaN or drop their rows, and keep the index and the other "
                "columns as they are. What changes covariates belongs to redraw, or into an analysis of your own"
            )
        return observed[self.model.response].reindex(index).to_numpy(dtype=float)

    def _seed(self, part: int, k: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, k // BLOCK, part, k))

    def _rng(self, part: int, k: int) -> np.random.Generator:
        return np.random.default_rng(self._seed(part, k))


def explain(error: Exception) -> str:
    """What a failure is counted as."""
    return f"{type(error).__name__}: {error}"


def true_start(recipe: Recipe, prepared: Any) -> np.ndarray | None:
    """The truth as a place to start from, where an analysis has the very random terms of the model.

    Theta, and after it the numbers of the residual if the analysis estimates those that the model has. It is only where
    the search starts. None at the edge of what is possible, from where no search should start.
    """
    residual = recipe.model.residual
    phi = prepared.phi_of(residual) if hasattr(prepared, "phi_of") else None
    theta = true_theta(recipe, prepared.effects, first_sd(residual, recipe.design))
    if phi is None or not len(phi) or (theta is None and prepared.effects):
        return theta
    return phi if theta is None else np.append(theta, phi)


def first_sd(residual: Residual, design: pd.DataFrame) -> float:
    """The sd of the residual that the others are compared with: that of its first level."""
    if not isinstance(residual.sd, Mapping):
        return float(residual.sd)
    return float(residual.sd[levels_of([str(residual.by)], design)[0][0]])


def true_theta(recipe: Recipe, effects: tuple[Effects, ...], sigma: float) -> np.ndarray | None:
    """The true covariance factors of the random terms relative to sigma; None for other terms, and at an edge."""
    equation = recipe.equation
    if not (sigma > 0 and effects) or effects != effects_of(equation.terms):
        return None
    try:
        factors = [cholesky(G / sigma**2)[None] for G in equation.covariances]
    except np.linalg.LinAlgError:
        return None
    return pack(factors)[0]


def true_components(recipe: Recipe) -> dict[Component, float]:
    """Standard deviations and correlations of the model by (part, group, term), a correlation in both orders."""
    equation, sigma = recipe.equation, np.array(residual_sd(recipe))
    effects = effects_of(equation.terms)
    backwards = [(group, names[::-1]) for group, names in effects]
    other = [G[::-1, ::-1] for G in equation.covariances]
    truth = component_table(effects, equation.covariances, sigma) | component_table(backwards, other, sigma)
    return {name: float(value) for name, value in truth.items()} | recipe.model.residual.components


def residual_sd(recipe: Recipe) -> float:
    """The one residual sd of the model; NaN where rows have unequal ones."""
    sd = recipe.model.residual.sd
    return float(sd) if isinstance(sd, int | float) else np.nan
