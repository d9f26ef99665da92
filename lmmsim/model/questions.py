"""Questions: contrasts and tables of means, named as people name them, become rows L of weights of coefficients.

The same question in the same words is put to a fit, to an exact power and to a study; only the matrices differ. Every
answer is about L beta.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmsim.checks import check_choice, columns_of, is_number, listed, quoted
from lmmsim.model.grid import Grid

Pairs = Literal["all", "reference", "mean", "interaction"]


def contrast_rows(grid: Grid, question: Any) -> pd.DataFrame:
    """Read one contrast, or several by name, as weights of the coefficients.

    Parameters
    ----------
    grid : Grid
    question : mapping, list of mappings, or DataFrame
        A contrast is a mapping of one of two kinds. By coefficients: `{"week": 1, "week:arm[T.A]": 1}`. By cells:
        `{"arm": {"A": 1, "Control": -1}, "week": 4}`; weights of several columns are multiplied, which makes
        differences of differences, and what is not named is averaged (factors) or at its mean (numbers). Several
        contrasts are a mapping from names to contrasts, or a list. A DataFrame has a column for every coefficient.

    Returns
    -------
    DataFrame, shape (q, p)
        Index the names of the contrasts, columns the coefficients.

    Raises
    ------
    ValueError
        If a name is neither a coefficient nor a column, a level is not there, or nothing is weighed.

    Examples
    --------
    >>> from lmmsim.model.columns import build
    >>> plants = pd.DataFrame({"arm": ["A", "A", "B", "B"], "week": [0.0, 2.0, 0.0, 4.0]})
    >>> grid = Grid(build("height ~ week * arm", plants), plants)
    >>> contrast_rows(grid, {"arm": {"B": 1, "A": -1}, "week": 4})
                     Intercept  week  arm[T.B]  week:arm[T.B]
    B - A, week = 4        0.0   0.0       1.0            4.0
    """
    if isinstance(question, pd.DataFrame):
        return _table(grid, question)
    if isinstance(question, Mapping | pd.Series) and len(question):
        question = grid.named(dict(question))
        known = [name in grid.columns or name in grid.terms for name in question]
        nested = [isinstance(value, Mapping | pd.Series) for value in question.values()]
        if not any(known) and all(nested):
            rows = {str(name): _row(grid, one, f"the contrast '{name}'") for name, one in question.items()}
            return pd.DataFrame(list(rows.values()), list(rows), grid.terms)
        return pd.DataFrame([_row(grid, question, "the contrast")], [label(question)], grid.terms)
    if (
        isinstance(question, list | tuple)
        and question
        and all(isinstance(one, Mapping | pd.Series) for one in question)
    ):
        rows_ = [_row(grid, one, f"the contrast {i}") for i, one in enumerate(question, start=1)]
        return pd.DataFrame(rows_, [label(one) for one in question], grid.terms)
    raise TypeError(
        f"a contrast is a mapping of coefficients, as {{'{grid.terms[-1]}': 1}}, or of cells, as "
        f"{{'arm': {{'A': 1, 'B': -1}}}}; got {question!r:.80}"
    )


def named_rows(grid: Grid, contrasts: Mapping[str, Any] | None) -> pd.DataFrame:
    """Contrasts by name, as `exact_power` and `study` take them; none gives no rows.

    Raises
    ------
    TypeError, ValueError
        As `contrast_rows`, and if a name is a coefficient's.
    """
    if not isinstance(contrasts, Mapping | None):
        raise TypeError(f"contrasts have names, as {{'A - B': {{'{grid.terms[-1]}': 1}}}}; got {contrasts!r:.80}")
    rows = {}
    for name, one in (contrasts or {}).items():
        if name in grid.terms:
            raise ValueError(f"'{name}' is a coefficient already; give the contrast another name")
        rows[str(name)] = _row(grid, one, f"the contrast '{name}'")
    return pd.DataFrame(list(rows.values()), list(rows), grid.terms, dtype=float)


def _table(grid: Grid, table: pd.DataFrame) -> pd.DataFrame:
    """Rows that are given as a table of weights by coefficient."""
    unknown = [name for name in table.columns if name not in grid.terms]
    if unknown:
        raise ValueError(f"the table names {listed(unknown)}; the coefficients are {listed(grid.terms)}")
    rows = table.reindex(columns=grid.terms, fill_value=0.0).astype(float)
    for name, row in zip(rows.index, rows.to_numpy(), strict=True):
        _check_weights(f"the contrast '{name}'", row)
    return rows.set_axis([str(name) for name in rows.index])


def _row(grid: Grid, question: Mapping[str, Any], what: str) -> np.ndarray:
    """Weights of the coefficients for one contrast."""
    if not isinstance(question, Mapping | pd.Series) or not len(question):
        raise TypeError(f"{what} is {question!r:.80}; give weights by coefficient, as {{'{grid.terms[-1]}': 1}}")
    question = grid.named(dict(question))
    plain = {name: value for name, value in question.items() if not isinstance(value, Mapping)}
    if len(plain) == len(question) and all(name in grid.terms for name in question):
        for name, value in question.items():
            if not is_number(value):
                raise ValueError(f"{what} weighs '{name}' by {quoted(value)}; a weight is a finite number")
        row = np.array([float(question.get(name, 0.0)) for name in grid.terms])
        _check_weights(what, row, grid.terms)
        return row
    unknown = [name for name in question if name not in grid.columns]
    if unknown:
        mixed = [name for name in unknown if name in grid.terms]
        if mixed:
            raise ValueError(
                f"{what} names the coefficient {listed(mixed)} beside cells; use coefficients only, or cells only"
            )
        raise ValueError(
            f"{what} names {', '.join(map(str, unknown))}; the coefficients are {', '.join(grid.terms)}"
            + (f", and the columns that have cells {', '.join(grid.columns)}" if grid.columns else "")
        )
    row = grid.weighted(question)
    if not row.any():
        raise ValueError(f"{what} weighs cells that the formula makes equal: it is 0 whatever the coefficients are")
    return row


def _check_weights(what: str, row: np.ndarray, terms: Sequence[str] = ()) -> None:
    """Refuse weights that are not finite, or all zero."""
    if not np.isfinite(row).all():
        raise ValueError(f"{what} has weights that are not finite")
    if not row.any():
        there = f"; the coefficients are {', '.join(terms)}" if len(terms) else ""
        raise ValueError(f"{what} has no weight other than 0{there}")


def label(question: Mapping[str, Any]) -> str:
    """Write a contrast in one line: "A - Control, week = 4"."""
    question = dict(question)
    if not any(isinstance(value, Mapping | str) for value in question.values()) and all(
        is_number(value) for value in question.values()
    ):
        return _sum(question)
    compared = [_sum(value) for value in question.values() if isinstance(value, Mapping)]
    fixed = [f"{name} = {value}" for name, value in question.items() if not isinstance(value, Mapping)]
    many = " x ".join(f"({text})" for text in compared) if len(compared) > 1 else "".join(compared)
    return ", ".join([*([many] if many else []), *fixed])


def _sum(weights: Mapping[Any, Any]) -> str:
    """Write a weighted sum: "0.5 A + 0.5 B - Control"."""
    text = ""
    for name, weight in weights.items():
        size = "" if abs(weight) == 1 else f"{abs(weight):g} "
        if weight:
            text += f" {'-' if weight < 0 else '+'} {size}{name}"
    return text.removeprefix(" + ").strip() if not text.startswith(" -") else f"-{text[3:]}"


def mean_rows(
    grid: Grid, of: str | Sequence[str], by: str | Sequence[str] | None = None, at: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Marginal means as weights of the coefficients.

    Parameters
    ----------
    grid : Grid
    of : str or list of str
        Columns whose combinations have a mean each.
    by : str or list of str, optional
        Columns for whose values the table is repeated.
    at : mapping, optional
        Values of columns: of those that are named in `of` and `by` the rows of the table, of others where they stand.

    Returns
    -------
    DataFrame, shape (cells, p)
        Index the values of the columns in `of` and `by`, the first varying fastest; columns the coefficients.
    """
    names, places = columns_of(of) + columns_of(by), grid.named(at)
    if not names:
        raise ValueError("means of what? name a factor, as means('arm')")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"'{twice[0]}' is named twice; a column is in `of` or in `by`")
    grid.check_columns([*names, *places])
    axes = [grid.values(name, places.pop(name, None)) for name in names]
    held = {name: grid.weights(name, value) for name, value in places.items() if not _several(value)}
    for name in places.keys() - held.keys():
        values = grid.values(name, places[name])
        held[name] = dict.fromkeys(values, 1 / len(values))
    cells = [cell[::-1] for cell in product(*axes[::-1])]
    choices = [held | {name: {value: 1.0} for name, value in zip(names, cell, strict=True)} for cell in cells]
    index = (
        pd.Index([cell[0] for cell in cells], name=names[0])
        if len(names) == 1
        else pd.MultiIndex.from_tuples(cells, names=names)
    )
    return pd.DataFrame(grid.combined(choices), index, grid.terms)


def _several(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray | range)


def differences(means: pd.DataFrame, of: Sequence[str], pairs: Pairs) -> pd.DataFrame:
    """Differences between the rows of one table of means, as weights of what the rows weigh.

    Parameters
    ----------
    means : DataFrame
        From `mean_rows`, without `by`.
    of : sequence of str
        Its columns.
    pairs : "all", "reference", "mean" or "interaction"
        Every two rows, first minus second; each minus the first; each minus the mean of all; or differences of
        differences, for every two levels of each column.

    Returns
    -------
    DataFrame
        Index the names of the differences.
    """
    check_choice("pairs", pairs, ("all", "reference", "mean", "interaction"))
    n, names = len(means), [" ".join(map(str, cell if isinstance(cell, tuple) else (cell,))) for cell in means.index]
    if n < 2:
        raise ValueError(f"there is one mean of {listed(of)}: a difference needs two")
    rows: dict[str, np.ndarray] = {}
    unit = np.eye(n)
    if pairs == "all":
        rows = {f"{names[i]} - {names[j]}": unit[i] - unit[j] for i, j in combinations(range(n), 2)}
    elif pairs == "reference":
        rows = {f"{names[i]} - {names[0]}": unit[i] - unit[0] for i in range(1, n)}
    elif pairs == "mean":
        rows = {f"{name} - mean": unit[i] - 1 / n for i, name in enumerate(names)}
    else:
        if len(of) < 2:
            raise ValueError(f"pairs='interaction' needs two columns or more, as means(['{of[0]}', 'week'])")
        levels = [means.index.unique(name) for name in of]
        for chosen in product(*(list(combinations(range(len(own)), 2)) for own in levels)):
            weights = np.ones(1)
            for (i, j), own in zip(chosen, levels, strict=True):
                weights = np.kron(np.eye(len(own))[i] - np.eye(len(own))[j], weights)  # the first varies fastest
            text = " x ".join(f"({own[i]} - {own[j]})" for (i, j), own in zip(chosen, levels, strict=True))
            rows[text] = weights
    W = np.array(list(rows.values()))
    return pd.DataFrame(W @ means.to_numpy(), pd.Index(list(rows), name="contrast"), means.columns)
