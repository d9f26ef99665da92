"""Hypotheses: a term of the formula, or several contrasts together, as rows L that are tested jointly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import listed
from lmmsim.model.grid import Grid, Part
from lmmsim.model.questions import contrast_rows

FLAT = 1e-9  # relative size below which a direction of L counts as none
PROBES = 40  # rows at which columns such as splines are looked at


def term_rows(grid: Grid, term: str, at: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The hypothesis that a term makes no difference (type III), as independent rows of weights.

    For factors: their means are equal, averaged over the other factors with equal weights; for numbers: the slope is
    zero, averaged in the same way; for an interaction: differences of these are zero. Numbers outside of the term
    stand at 0, or where `at` says; truth values outside of it are averaged, as lmerTest has it.

    Parameters
    ----------
    grid : Grid
    term : str
        As in the formula, in any order: "week:arm" or "arm:week".
    at : mapping, optional
        Values of numbers outside of the term.

    Returns
    -------
    DataFrame, shape (q, p)
    """
    part = find_part(grid, term)
    at = grid.named(at)
    grid.check_columns(at)
    if (left := _left_of(grid, part)) and not at:
        return pd.DataFrame(np.eye(len(grid.terms))[[grid.terms.index(name) for name in left]], left, grid.terms)
    places = {name: grid.value(name, value) for name, value in at.items()}
    inside = {name for used in (*part.factors, *part.numbers) for name in grid.columns_in[used]}
    if wrong := [name for name in places if name in inside or grid.levels[name] is not None]:
        raise ValueError(f"at= names {listed(wrong)}; it says where numbers outside of '{term}' stand")
    settled = {number for number in _numbers(grid) if grid.columns_in[number] <= places.keys()}
    settled |= {number for number in _numbers(grid) - part.numbers if _is_averaged(grid, number)}
    kept = [name for other in grid.parts if other.numbers - settled == part.numbers for name in other.columns]
    rows = _weighed(grid, part, places)
    rows[[name for name in rows.columns if name not in kept]] = 0.0
    L = independent(rows.to_numpy())
    alone = not part.is_constant and [other for other in grid.parts if not other.is_constant] == [part]
    alone = alone and len(grid.parts) == 2
    if alone and len(L) > 1 and set(rows.columns) == set(grid.terms):
        L = _in_sequence(grid, part)
    elif len(L) > len(part.columns):  # a term that others do not contain: all it has
        L = np.eye(rows.shape[1])[[list(rows.columns).index(name) for name in part.columns]]
    L = grid.estimable(pd.DataFrame(L, columns=rows.columns))
    return pd.DataFrame(L, [f"{part.name} {i}" for i in range(1, len(L) + 1)], grid.terms)


def _in_sequence(grid: Grid, part: Part) -> np.ndarray:
    """The rows of a term that stands alone: each level against those before it, as lmerTest writes them."""
    X = grid.rows_of_data()
    upper = np.linalg.qr(X.to_numpy(), mode="r")
    own = [list(X.columns).index(name) for name in part.columns]
    return (upper / np.diagonal(upper)[:, None])[own]


def find_part(grid: Grid, term: str) -> Part:
    """The term of the fixed part that is meant."""
    if not isinstance(term, str):
        raise TypeError(f"a term is a name, as 'week:arm'; got {term!r:.80}")
    asked = sorted(_plain(name) for name in _factors(term))
    for part in sorted(grid.parts, key=lambda one: one.is_constant):  # a column may be called Intercept
        if asked == sorted(map(_plain, part.factors | part.numbers)) or _plain(term) == _plain(part.name):
            return part
    by_column = [
        part
        for part in grid.parts
        if asked == sorted(_plain(name) for used in (*part.factors, *part.numbers) for name in grid.columns_in[used])
    ]
    if len(by_column) == 1:  # "week" for C(week)
        return by_column[0]
    raise ValueError(f"'{term}' is no term of '{grid.matrices.formula}'; its terms are {listed(_names(grid))}")


def _left_of(grid: Grid, part: Part) -> list[str]:
    """The coefficients of a term that no other contains, where empty cells have cost it some: they are what it adds."""
    own = [name for name in part.columns if name in grid.terms]
    made = part.factors | part.numbers
    contained = any(made < other.factors | other.numbers for other in grid.parts)
    return own if made and not contained and len(own) < len(part.columns) else []


def _numbers(grid: Grid) -> set[str]:
    """All numbers that the formula multiplies."""
    return {number for part in grid.parts for number in part.numbers}


def _is_averaged(grid: Grid, number: str) -> bool:
    """Whether a number has levels that are averaged, as that of a truth value."""
    return all(grid.levels[name] is not None for name in grid.columns_in[number])


def _names(grid: Grid) -> list[str]:
    return [part.name for part in grid.parts if not part.is_constant]


def _factors(term: str) -> list[str]:
    """What a term multiplies: split at colons outside of parentheses and backticks."""
    pieces, depth, quote = [""], 0, False
    for character in term:
        quote ^= character == "`"
        depth += (character in "([") - (character in ")]")
        if character == ":" and depth == 0 and not quote:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def _plain(name: str) -> str:
    return name.replace(" ", "").replace("`", "")


def _weighed(grid: Grid, part: Part, places: Mapping[str, Any]) -> pd.DataFrame:
    """Differences between the levels of a term's factors, averaged over others, at numbers that occur in the data."""
    own = {name for used in part.factors for name in grid.columns_in[used]}
    if len(own) < len(part.factors) or any(len(grid.columns_in[used]) != 1 for used in part.factors):
        raise ValueError(f"'{part.name}' mixes columns in one factor: name its coefficients instead, as test([...])")
    there = {other.factors | other.numbers for other in grid.parts}
    axes: list[list[dict[Any, float]]] = []
    names = [name for name in grid.columns if grid.levels[name] is not None]
    for name in names:
        levels = grid.levels[name] or []
        used = next((used for used in part.factors if name in grid.columns_in[used]), None)
        if used is None:
            axes.append([dict.fromkeys(levels, 1 / len(levels))])
        elif (part.factors | part.numbers) - {used} in there:
            axes.append([{level: 1.0, levels[0]: -1.0} for level in levels[1:]])
        else:  # nothing else has the level of this factor: the term holds the means themselves
            axes.append([{level: 1.0} for level in levels])
    numbers = [name for name in grid.columns if grid.levels[name] is None and name not in places]
    held = {name: {value: 1.0} for name, value in places.items()}
    choices = []
    for point in _points(grid, numbers, bool(part.numbers)):
        at = held | {name: {float(value): 1.0} for name, value in zip(numbers, point, strict=True)}
        choices += [at | dict(zip(names, weights, strict=True)) for weights in product(*axes)]
    return pd.DataFrame(grid.whole.combined(choices), columns=grid.whole.terms)


def _points(grid: Grid, numbers: Sequence[str], several: bool) -> np.ndarray:
    """Values of the number columns that occur together: one row of them will do where none is in the term."""
    if not numbers:
        return np.zeros((1, 0))
    values = grid.data[list(numbers)].to_numpy(dtype=float)
    if not several:
        return values[:1]
    values = np.unique(values, axis=0)
    return values[np.unique(np.linspace(0, len(values) - 1, PROBES).astype(int))]


def independent(L: np.ndarray) -> np.ndarray:
    """Rows that span what the rows of L span; L itself where its rows are independent."""
    scale = np.abs(L).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    _, size, axes = np.linalg.svd(L / scale, full_matrices=False)
    rank = int((size > FLAT * size[0]).sum()) if len(size) and size[0] > 0 else 0
    if rank == 0:
        raise ValueError("the rows weigh nothing: they are 0 whatever the coefficients are")
    return L if rank == len(L) else axes[:rank] * scale


def joint_rows(grid: Grid, question: Any, at: Mapping[str, Any] | None = None) -> tuple[str, np.ndarray]:
    """What is tested jointly: a term by its name, coefficients in a list, or contrasts; a name and rows (q, p)."""
    if isinstance(question, str):
        return find_part(grid, question).name, term_rows(grid, question, at).to_numpy()
    if at:
        raise ValueError("at= belongs to a term; in a contrast say the value, as {'arm': {...}, 'week': 4}")
    if isinstance(question, list | tuple) and question and all(isinstance(name, str) for name in question):
        unknown = [name for name in question if name not in grid.terms]
        if unknown:
            raise ValueError(f"{listed(unknown)} is no coefficient; they are {listed(grid.terms)}")
        rows = np.eye(len(grid.terms))[[grid.terms.index(name) for name in dict.fromkeys(question)]]
        return ", ".join(question), rows
    table = contrast_rows(grid, question)
    return ", ".join(table.index), independent(table.to_numpy())


def named_tests(grid: Grid, tests: Any) -> dict[str, np.ndarray]:
    """Joint tests by name, as `exact_power` and `study` take them: rows (q, p) of each.

    Parameters
    ----------
    grid : Grid
    tests : list or mapping
        Terms, of which "week:arm" is called "test week:arm"; or by name a term, a list of coefficients, or contrasts.
    """
    if isinstance(tests, str) or not isinstance(tests, Mapping | Sequence | None):
        raise TypeError(f"tests are a list of terms, as ['week:arm'], or questions by name; got {tests!r:.80}")
    asked = dict(tests) if isinstance(tests, Mapping) else {f"test {term}": term for term in tests or ()}
    for name in asked:
        if name in grid.terms:
            raise ValueError(f"'{name}' is a coefficient already; give the test another name")
    return {str(name): joint_rows(grid, one)[1] for name, one in asked.items()}
