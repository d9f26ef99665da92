"""The question of a plan: a coefficient, a contrast or a joint test, and the world in which its answer is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.model.grid import Grid
from lmmsim.model.hypotheses import named_tests
from lmmsim.model.model import Model
from lmmsim.model.questions import label, named_rows


@dataclass(frozen=True)
class Question:
    """What is tested.

    Attributes
    ----------
    name : str
        Of its row in every table.
    contrasts, tests : mapping or None
        As `study` and `exact_power` take them; neither for a coefficient.
    """

    name: str
    contrasts: Mapping[str, Any] | None = None
    tests: Mapping[str, Any] | None = None


def one_question(term: str | None, contrast: Mapping[str, Any] | None, test: Any) -> Question:
    """The question that is given in one of three ways; refuse none, and several."""
    given = [name for name, value in (("term", term), ("contrast", contrast), ("test", test)) if value is not None]
    if len(given) != 1:
        raise TypeError(
            f"give one of term=, contrast= and test=, what is tested; got {', '.join(given) if given else 'none'}"
        )
    if term is not None:
        return Question(term)
    if contrast is not None:
        if not isinstance(contrast, Mapping):
            raise TypeError(f"contrast is a mapping, as {{'arm': {{'A': 1, 'Control': -1}}}}; got {contrast!r:.80}")
        name = label(contrast)
        return Question(f"contrast {name}", contrasts={f"contrast {name}": contrast})
    name = f"test {test}" if isinstance(test, str) else "joint test"
    return Question(name, tests={name: test})


def without(model: Model, design: pd.DataFrame, asked: Question) -> Model:
    """The model with nothing to find: what is tested is 0, and its means over the design change as little as can be.

    Raises
    ------
    ValueError
        If it is 0 in the model, or is nothing that the model has.
    """
    if asked.contrasts is None and asked.tests is None:
        if asked.name not in model.beta:
            raise ValueError(
                f"'{asked.name}' is not a coefficient of the model; they are {', '.join(model.beta)}; for cells use "
                "contrast=, for a term test="
            )
        if model.beta[asked.name] == 0:
            raise ValueError(
                f"the true value of '{asked.name}' is 0: there is no power to find; study() gives the type-I error"
            )
        return replace(model, beta={**model.beta, asked.name: 0.0})
    equation = model.on(design)
    grid = Grid(model.matrices(equation.design), equation.design)
    L = np.vstack([named_rows(grid, asked.contrasts).to_numpy(dtype=float), *named_tests(grid, asked.tests).values()])
    effect = L @ equation.beta
    if np.abs(effect).max() <= 1e-12 * max(np.abs(equation.beta).max(), 1e-300):
        raise ValueError(
            f"the true value of '{asked.name}' is 0: there is no power to find; study() gives the type-I error"
        )
    X = equation.X.to_numpy()
    size = np.linalg.norm(X, axis=0)
    size = np.where(size > 0, size, 1.0)
    inverse = np.linalg.pinv(X / size) / size[:, None]  # cells of an interaction may be empty
    toward = inverse @ (inverse.T @ L.T)
    beta = equation.beta - toward @ np.linalg.solve(L @ toward, effect)
    return replace(model, beta=dict(zip(grid.terms, beta.tolist(), strict=True)))
