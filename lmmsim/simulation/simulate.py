"""Simulation: draw u and eps, add up the equation, keep the truth.

`simulate` makes one data set that a reader can take apart; `simulate_many`
makes the responses of thousands, for one design.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import check_whole
from lmmsim.model.equation import Equation
from lmmsim.model.model import Model

if TYPE_CHECKING:
    from lmmsim.model.matrices import Labelled


@dataclass(frozen=True, eq=False)
class Simulation:
    """A data set and the truth that made it: y = X beta + Z u + eps.

    Attributes
    ----------
    data : DataFrame
        The design and the response, ready for any other tool.
    X : DataFrame, shape (n, p)
        Columns of the fixed part.
    beta : Series, length p
        True coefficients, by name.
    Z : Labelled, shape (n, q)
        Columns of the random part, sparse.
    u : Series, length q
        The random effects that were drawn, by (group, level, term).
    eps, y : ndarray, shape (n,)
        Residuals and response.
    model, design
        What was simulated.
    """

    data: pd.DataFrame
    X: pd.DataFrame
    beta: pd.Series
    Z: Labelled
    u: pd.Series
    eps: np.ndarray
    y: np.ndarray
    model: Model
    design: pd.DataFrame

    def __repr__(self) -> str:
        return f"{self._headline}\n{self.model}"

    def _repr_html_(self) -> str:
        """Show what was simulated, the model, and the first rows."""
        rows = self.data.to_html(max_rows=6, border=0, float_format="{:.4g}".format)
        return f"<p><strong>{self._headline}</strong></p><pre>{escape(str(self.model))}</pre>{rows}"

    @property
    def _headline(self) -> str:
        n, q = self.Z.shape
        return f"Simulation of {n} rows, {self.X.shape[1]} coefficients, {q} random effects"


def simulate(model: Model, design: pd.DataFrame, *, rng: streams.Rng = None, replicate: int = 0) -> Simulation:
    """Draw one data set from a model.

    Parameters
    ----------
    model : Model
        The world, with its true numbers.
    design : DataFrame
        One row per measurement, without the response.
    rng : Generator, int or None
        A Generator moves on; an int gives the same data each time.
    replicate : int, default 0
        Which of the data sets of this `rng`: the column of `simulate_many`.

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError
        If model and design do not fit together; the message lists the names.

    Examples
    --------
    >>> from lmmsim import Model, crossed
    >>> model = Model("height ~ 1 + (1 | plot)", {"Intercept": 10}, random={"plot": 2}, residual=1)
    >>> plants = simulate(model, crossed(plot=3, week=[0, 1]), rng=1)
    >>> bool((plants.y == plants.X @ plants.beta + plants.Z @ plants.u + plants.eps).all())
    True
    """
    equation = equation_of(model, design)
    check_whole("replicate", replicate)
    return drawn(model, equation, streams.root(rng), replicate)


def simulate_many(
    model: Model, design: pd.DataFrame, replicates: int, *, rng: streams.Rng = None, first: int = 0
) -> np.ndarray:
    """Draw the responses of many data sets of one design.

    Parameters
    ----------
    model, design
        As for `simulate`.
    replicates : int
        How many.
    rng : Generator, int or None
        As for `simulate`. With an int, replicate k is the same whatever their number.
    first : int, default 0
        Number of the first replicate that is wanted.

    Returns
    -------
    ndarray, shape (n, replicates)
        One column per data set, rows in the order of the design.

    Examples
    --------
    >>> from lmmsim import Model, crossed
    >>> model = Model("height ~ 1 + (1 | plot)", {"Intercept": 10}, random={"plot": 2}, residual=1)
    >>> simulate_many(model, crossed(plot=3, week=[0, 1]), replicates=1000, rng=1).shape
    (6, 1000)
    """
    equation = equation_of(model, design)
    check_whole("replicates", replicates)
    check_whole("first", first)
    return responses(equation, streams.root(rng), first, first + replicates)


def drawn(model: Model, equation: Equation, seed: np.random.SeedSequence, replicate: int) -> Simulation:
    """Draw replicate number `replicate` of an equation and keep the truth."""
    block, place = divmod(replicate, streams.BLOCK)
    effects, residuals = _chance(equation, seed, block, place + 1)

    X, Z = equation.X, equation.Z
    beta = pd.Series(equation.beta, X.columns, name="truth")
    u = pd.Series(np.concatenate([e[-1].ravel() for e in effects] or [[]]), Z.columns, name="truth")
    eps = residuals[-1].copy()
    y = (X @ beta + Z @ u + eps).to_numpy()

    data = equation.design.assign(**{model.response: y})
    data.attrs["response"] = model.response
    return Simulation(data, X, beta, Z, u, eps, y, model, equation.design)


def responses(equation: Equation, seed: np.random.SeedSequence, first: int, last: int) -> np.ndarray:
    """Draw the responses (n, last - first) of the replicates first .. last - 1 of an equation."""
    Y = np.empty((last - first, equation.n))
    done = 0
    for block, begin, end in streams.blocks(first, last):
        effects, residuals = _chance(equation, seed, block, end)
        chunk = Y[done : done + end - begin]
        np.add(residuals[begin:], equation.mean, out=chunk)
        for term, u in zip(equation.terms, effects, strict=True):
            for j, column in enumerate(term.columns.T):
                contribution = np.take(u[begin:, :, j], term.codes, axis=1)
                chunk += contribution if (column == 1).all() else np.multiply(contribution, column, out=contribution)
        done += end - begin
    return Y.T


def equation_of(model: Model, design: pd.DataFrame) -> Equation:
    """The equation of a model on a design; refuse what is no model, and a design that has the response already."""
    if not isinstance(model, Model):
        raise TypeError(f"the model comes first, then the design; the model is a {type(model).__name__}")
    equation = model.on(design)
    if model.response in design:
        raise ValueError(
            f"the design already has a column '{model.response}', which the simulation would make; "
            f"pass design.drop(columns='{model.response}')"
        )
    return equation


def _chance(
    equation: Equation, seed: np.random.SeedSequence, block: int, rows: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw the first rows of a block of replicates: u of each term (rows, J, k), and eps (rows, n)."""
    *for_u, for_eps = streams.generators(seed, block, len(equation.terms) + 1)
    u = []
    for term, shape, root, rng in zip(equation.terms, equation.shapes, equation.roots, for_u, strict=True):
        J, k = len(term.levels), len(root)
        u.append((shape.standard(rng, (rows * J, k)) @ root.T).reshape(rows, J, k))
    return u, equation.colour(equation.residual.shape.standard(for_eps, (rows, equation.n)))
