"""Orders of levels: what a coefficient is under its name when a reader of a file has sorted the levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmmsim.course.questions import OF_PART, Question
from lmmsim.model.columns import build
from lmmsim.model.formula import split


def moved_levels(data: pd.DataFrame, formula: str, questions: Sequence[Question]) -> dict[str, dict[str, float]]:
    """What the coefficient that a question names is under another order of levels, in coefficients of the right one.

    Levels that are not in alphabetical order are sorted, as a reader of CSV sorts them; others are turned around.
    """
    other = data.copy()
    for name, column in data.items():
        if isinstance(column.dtype, pd.CategoricalDtype) and name in split(formula).columns:
            levels = list(column.cat.categories)
            first = sorted(levels, key=str)
            other[name] = column.cat.reorder_categories(first if first[0] != levels[0] else levels[::-1])
    X, new = build(formula, data).X, build(formula, other).X
    change = np.linalg.lstsq(new.to_numpy(), X.to_numpy(), rcond=None)[0]  # new coefficients = change @ old ones
    found = {}
    for question in questions:
        term = _namesake(question.term, data, list(new.columns))
        if question.contrast is None and question.ask not in OF_PART and term is not None:
            row = change[list(new.columns).index(term)]
            weights = {name: round(float(w), 9) for name, w in zip(X.columns, row, strict=True) if abs(w) > 1e-9}
            if weights != {question.term: 1.0}:
                found[question.id] = weights
    return found


def _namesake(term: str, data: pd.DataFrame, names: list[str]) -> str | None:
    """The coefficient of that name; where its level has become the reference, the one of the level that was it."""
    if term in names:
        return term
    parts = []
    for part in term.split(":"):
        column, _, level = part.removesuffix("]").partition("[T.")
        parts.append(f"{column}[T.{data[column].cat.categories[0]}]" if level and column in data else part)
    return other if (other := ":".join(parts)) in names else None
