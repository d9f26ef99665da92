"""Rules: how probable it is that a value gets lost, said by a number, by arm, or by a function of the rows.

A rule is judged for many responses of one design at once, as arrays of one row per response. Whatever it gives is
checked to be a probability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim.checks import check_columns, quoted

# A probability for everyone, one for each value of the column `by`, or a judge of the rows of a table.
Rule = float | Mapping[Any, float] | Callable[[pd.DataFrame], ArrayLike]
# Rows of a table that a function judges at once: bounds the memory when many responses share one design.
BLOCK = 100_000


def check_rule(what: str, rule: Rule, by: str | None) -> None:
    """Refuse what is wrong with a rule whatever the data."""
    if isinstance(rule, Mapping) != (by is not None):
        raise ValueError(
            f"{what} and by belong together: a mapping such as {{'Control': 0.05, 'drug': 0.2}} needs by= with the "
            "column of its keys, and nothing else does"
        )
    if not callable(rule):
        given = list(rule.values()) if isinstance(rule, Mapping) else [rule]
        if wrong := [value for value in given if not isinstance(value, Real)]:
            raise ValueError(
                f"{what} is a number, one for each value of a column, or a function of the data; got {quoted(wrong[0])}"
            )
        _check_chances(what, np.array(given, dtype=float))


def chances_of(
    what: str, rule: Rule, by: str | None, table: pd.DataFrame, Y: np.ndarray, response: str | None, at_risk: np.ndarray
) -> np.ndarray:
    """Probability of a loss for every row of every response, (r, n) or broadcastable to it; checked where at risk."""
    if callable(rule):
        chances = judge(what, rule, table, Y, response)
        _check_chances(what, chances[at_risk])
        return chances
    if not isinstance(rule, Mapping):
        return np.array([[float(rule)]])
    check_columns(table, [by])
    codes, names = pd.factorize(table[by])  # Series.map would not find True under 1
    chances = np.array([*(rule.get(name, np.nan) for name in names), np.nan], dtype=float)[None, codes]
    missing = table[by][np.isnan(chances[0]) & at_risk.any(axis=0)].unique()
    extra = [key for key in rule if key not in set(table[by])]
    if len(missing) or extra:
        alike = set(map(str, table[by].unique())) & set(map(str, extra))
        raise ValueError(
            f"{what} does not match the column {by!r}.\n  without a value: {', '.join(map(str, missing)) or 'none'}\n"
            f"  not in the column: {', '.join(map(str, extra)) or 'none'}"
            + ("\n  numbers and text are not the same: 1 is not '1'" if alike else "")
        )
    return chances


def judge(
    what: str, rule: Callable[[pd.DataFrame], ArrayLike], table: pd.DataFrame, Y: np.ndarray, response: str | None
) -> np.ndarray:
    """What a function says of every row of every response, (r, n), many tables stacked into one at a time."""
    r, n = Y.shape
    per_block = max(1, BLOCK // max(1, n))
    out = np.empty((r, n))
    for first in range(0, r, per_block):
        block = Y[first : first + per_block]
        out[first : first + per_block] = _ask(what, rule, table, block, response)
    # rtol: a vectorised function may round the last bit another way in a longer array.
    if r > 1 and not np.allclose(_ask(what, rule, table, Y[:1], response)[0], out[0], rtol=1e-9, equal_nan=True):
        raise ValueError(
            f"{what} judges a row by the other rows of its table (by their mean, say): with many data sets in one "
            "table this means something else. Compare each row with a fixed number, or with another column"
        )
    return out


def _ask(
    what: str, rule: Callable[[pd.DataFrame], ArrayLike], table: pd.DataFrame, Y: np.ndarray, response: str | None
) -> np.ndarray:
    """One call of the function on the table repeated for every response; (r, n)."""
    r, n = Y.shape
    stacked = table.iloc[np.tile(np.arange(n), r)] if r > 1 else table
    if response is not None:
        stacked = stacked.assign(**{response: Y.ravel()})
    answer = np.asarray(rule(stacked), dtype=float)
    if answer.ndim and answer.shape != (r * n,):
        raise ValueError(f"{what} must give one number per row; for {r * n} rows it gave the shape {answer.shape}")
    return np.broadcast_to(answer, (r * n,)).reshape(r, n)


def _check_chances(what: str, chances: np.ndarray) -> None:
    """Refuse probabilities that are none, saying how many and giving one."""
    unknown = int(np.isnan(chances).sum())
    if unknown:
        raise ValueError(
            f"{what} is NaN for {unknown} of {chances.size} rows: does it use a column, or a first measurement, "
            "that is missing?"
        )
    wrong = chances[(chances < 0) | (chances > 1)]
    if wrong.size:
        raise ValueError(
            f"{what} must be a probability, between 0 and 1; {wrong.size} of {chances.size} are not, "
            f"the first is {wrong[0]:g}"
        )
