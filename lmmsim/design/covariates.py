"""Covariates: what every unit of a design brings along: age, prior score, frequency of a word.

A value is drawn, or given by label, once for every unit, and is the same in all of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import Columns, columns_of, counted, quoted
from lmmsim.design.units import Draw, check_design, draw, units_of
from lmmsim.streams import Rng


def covariate(
    design: pd.DataFrame,
    *,
    at: Columns | None,
    rng: Rng = None,
    **values: Draw | Sequence[float] | np.ndarray | pd.Series | Mapping[Any, Any],
) -> pd.DataFrame:
    """Give every unit a value of its own: age, prior score, frequency of a word.

    Parameters
    ----------
    design : DataFrame
    at : str, list of str or None
        The column whose units have the value (their combinations for a list); None for each row.
    rng : Generator, int or None
        Needed when something is drawn, used for nothing else. Pass one Generator from step to step: the same int in
        two steps draws the same numbers twice, and a covariate equal to the random effects would deceive every model.
    **values : draw, array_like or mapping
        A draw: a shape of ``lmmsim.draws`` or a function of ``rng`` and the number of units. Or the values themselves:
        an array in order of first appearance, a mapping or Series by the label of the unit. Several are drawn
        independently; correlated ones come together from ``draws.correlated``, which names its own columns.
        Strings become a Categorical, sorted.

    Returns
    -------
    DataFrame
        The design with the new columns, each constant within a unit.

    Raises
    ------
    ValueError
        If a column exists already, the values do not fit the units, are missing, or are drawn without `rng`.

    Examples
    --------
    >>> from lmmsim.design.crossing import nested
    >>> design = covariate(nested(school=2, pupil=2), at="school", size=[310, 840])
    >>> covariate(design, at="pupil", age=lambda rng, size: rng.normal(9, 0.5, size), rng=1).columns.tolist()
    ['school', 'pupil', 'size', 'age']
    """
    if not values:
        raise ValueError("name the covariate and its values, for example prior=draws.normal(mean=0, sd=1)")
    check_design(design, columns_of(at))
    codes, first = units_of(design, at)
    generator = None if rng is None else streams.generator(rng)
    new: dict[str, Any] = {}
    for name, value in values.items():
        for column, x in _unit_values(name, value, design, at, first, generator).items():
            check_design(design, new=[column])
            if column in new:
                raise ValueError(f"{column!r} is given twice: each column needs a name of its own")
            new[column] = x[codes] if x.dtype.kind in "iufb" else pd.Categorical(x[codes])
    return design.assign(**new)


def _unit_values(
    name: str, value: Any, design: pd.DataFrame, at: Columns | None, first: np.ndarray, rng: np.random.Generator | None
) -> dict[str, np.ndarray]:
    """Return one value per unit, by column: one column, or as many as correlated covariates name."""
    names = [name]
    if isinstance(value, Mapping | pd.Series):
        values = _looked_up(name, value, design, at, first)
    elif hasattr(value, "draw") or callable(value):
        values, names = draw(name, value, rng, len(first)), list(getattr(value, "names", names))
    else:
        values = np.asarray(value)
    if values.shape != (len(first),) and values.shape != (len(first), len(names)):
        raise ValueError(
            f"{name!r} has values of shape {values.shape} for {counted(len(first), at)}: one value each is needed"
        )
    if pd.isna(values).any() or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise ValueError(f"{name!r} has missing or infinite values: a covariate of a design is known everywhere")
    return dict(zip(names, values.reshape(len(first), -1).T, strict=True))


def _looked_up(name: str, value: Any, design: pd.DataFrame, at: Columns | None, first: np.ndarray) -> np.ndarray:
    """Take each unit's value by its label."""
    if len(columns_of(at)) != 1:
        raise ValueError(f"{name!r} is given by label, which needs one column in at, not {at!r}")
    labels = design[columns_of(at)[0]].iloc[first].tolist()
    if isinstance(value, pd.Series) and value.index.has_duplicates:
        twice = quoted(value.index[value.index.duplicated()][0])
        raise ValueError(f"{name!r} has more than one value for {twice}: give each of the units one")
    known = dict(value.items())
    if absent := [label for label in labels if label not in known]:
        raise ValueError(
            f"{name!r} has no value for {len(absent)} of {counted(len(labels), at)}, such as {quoted(absent[0])}"
        )
    return np.asarray([known[label] for label in labels])
