"""Designs: who is measured, when, and under which conditions.

A design is a plain data frame with one row per planned observation. It holds everything known before the first
measurement, and nothing in it is random but what ``rng`` is given for: without ``rng`` nothing is ever drawn.
Every function returns a new frame; rows keep their order. What units are given afterwards: ``allocation``.
"""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import is_whole, quoted
from lmmsim.streams import Rng
from lmmsim.units import (
    Columns,
    Draw,
    Levels,
    check_design,
    columns_of,
    counted,
    draw,
    levels_of,
    unit_labels,
    units_of,
)


def crossed(**factors: Levels) -> pd.DataFrame:
    """Combine every level of every factor with every level of all others.

    Parameters
    ----------
    **factors : int or sequence
        An int makes that many labelled units (``plot=30``: "plot01" to "plot30"); numbers stay numeric
        (``week=[0, 1, 2]``); strings become a Categorical in the order given, the first being the reference.

    Returns
    -------
    DataFrame
        One row per combination, the first factor varying slowest.

    Raises
    ------
    ValueError
        If no factor is given, or a factor is empty, repeats a level, or mixes numbers with strings.

    Examples
    --------
    >>> crossed(plot=2, week=[0, 1, 4])
        plot  week
    0  plot1     0
    1  plot1     1
    2  plot1     4
    3  plot2     0
    4  plot2     1
    5  plot2     4
    """
    if not factors:
        raise ValueError("A design needs at least one factor, for example crossed(plot=30, week=[0, 1, 2]).")
    levels = [levels_of(name, value) for name, value in factors.items()]
    grid = np.indices([len(values) for values in levels]).reshape(len(levels), -1)
    return pd.DataFrame({name: values[codes] for name, values, codes in zip(factors, levels, grid, strict=True)})


def nested(*, rng: Rng = None, **counts: Levels | Draw) -> pd.DataFrame:
    """Put units inside units, outermost first, with labels that are unique everywhere.

    Parameters
    ----------
    **counts : int, sequence or draw
        How many units of this level each unit of the level before has: one number for all; a sequence with one
        number per parent; or a draw (a shape of ``lmmsim.draws`` or a function of ``rng`` and the number of parents),
        rounded to whole numbers. Every parent has at least one.
        The last one may instead be the occasions on which every innermost unit is measured: strings, or increasing
        numbers that cannot be sizes because 0, a negative number or a fraction is among them (``wave=[0, 1, 2]``).
        For any other occasions use `repeated`.
    rng : Generator, int or None
        Needed when a size is drawn, used for nothing else.

    Returns
    -------
    DataFrame
        One row per innermost unit (and occasion). The label of a unit is its parent's and a number:
        "school01", its classroom "school01/2", a pupil of it "school01/2/14".

    Raises
    ------
    ValueError
        If a size is below 1, a sequence does not have one number per parent, or a draw comes without `rng`.

    Examples
    --------
    >>> nested(school=2, pupil=[1, 2])
        school      pupil
    0  school1  school1/1
    1  school2  school2/1
    2  school2  school2/2
    >>> import numpy as np
    >>> len(nested(school=20, classroom=3, pupil=lambda rng, size: rng.integers(20, 30, size), rng=1)) >= 20 * 3 * 20
    True
    """
    if not counts:
        raise ValueError("A design needs at least one level, for example nested(school=20, pupil=25).")
    *outer, last = counts
    occasions = {last: counts[last]} if outer and _are_occasions(counts[last]) else {}
    generator = None if rng is None else streams.generator(rng)
    columns: dict[str, tuple[np.ndarray, list[str]]] = {}  # name: (code of each innermost unit, labels)
    parents, parent = [""], ""
    for name in counts if not occasions else outer:
        sizes = _sizes(name, counts[name], parents, parent, generator)
        labels = _labels(parents, sizes) if parent else unit_labels(name, sizes[0])
        mother = np.repeat(np.arange(len(parents)), sizes)
        columns = {above: (codes[mother], names) for above, (codes, names) in columns.items()}
        columns[name] = (np.arange(len(labels)), labels)
        parents, parent = labels, name
    design = pd.DataFrame({name: pd.Categorical.from_codes(*column) for name, column in columns.items()})
    return repeated(design, **occasions) if occasions else design


def repeated(design: pd.DataFrame, **factors: Levels) -> pd.DataFrame:
    """Measure every row of a design once at every combination of further factors.

    Parameters
    ----------
    design : DataFrame
    **factors : int or sequence
        As for `crossed`.

    Returns
    -------
    DataFrame
        The rows of `design`, each followed by its repetitions; the last factor varies fastest.

    Raises
    ------
    ValueError
        If a factor is a column of the design already, or as for `crossed`.

    Examples
    --------
    >>> repeated(nested(school=1, pupil=2), wave=[1, 5])
        school      pupil  wave
    0  school1  school1/1     1
    1  school1  school1/1     5
    2  school1  school1/2     1
    3  school1  school1/2     5
    """
    check_design(design, new=factors)
    occasions = crossed(**factors)
    rows = np.repeat(np.arange(len(design)), len(occasions))
    times = np.tile(np.arange(len(occasions)), len(design))
    return pd.concat([part.iloc[i].reset_index(drop=True) for part, i in ((design, rows), (occasions, times))], axis=1)


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
    >>> design = covariate(nested(school=2, pupil=2), at="school", size=[310, 840])
    >>> covariate(design, at="pupil", age=lambda rng, size: rng.normal(9, 0.5, size), rng=1).columns.tolist()
    ['school', 'pupil', 'size', 'age']
    """
    if not values:
        raise ValueError("Name the covariate and its values, for example prior=draws.normal(mean=0, sd=1).")
    check_design(design, columns_of(at))
    codes, first = units_of(design, at)
    generator = None if rng is None else streams.generator(rng)
    new: dict[str, Any] = {}
    for name, value in values.items():
        for column, x in _unit_values(name, value, design, at, first, generator).items():
            check_design(design, new=[column])
            if column in new:
                raise ValueError(f"{column!r} is given twice: each column needs a name of its own.")
            new[column] = x[codes] if x.dtype.kind in "iufb" else pd.Categorical(x[codes])
    return design.assign(**new)


def _sizes(name: str, value: Any, parents: list[str], parent: str, rng: np.random.Generator | None) -> np.ndarray:
    """Return how many units each parent has."""
    if is_whole(value):
        sizes = np.full(len(parents), value, dtype=float)
    elif hasattr(value, "draw") or callable(value):
        sizes = np.rint(draw(name, value, rng, len(parents)).astype(float))
    elif isinstance(value, Sequence | np.ndarray | pd.Series | pd.Index) and all(isinstance(n, Real) for n in value):
        sizes = np.asarray(value, dtype=float)
    else:
        raise ValueError(f"{name}={value!r}: give a whole number, one number per parent, or a draw.")
    if sizes.shape != (len(parents),) and not parent:
        raise ValueError(f"{name!r} is the outermost level: give one number, not {sizes.size}.")
    if sizes.shape != (len(parents),):
        raise ValueError(
            f"{name!r} has {sizes.size} sizes for {counted(len(parents), parent)}: give one for each, or one for all. "
            f"(Units measured on several occasions: repeated(nested(...), {name}=[...]).)"
        )
    wrong = ~(np.isfinite(sizes) & (sizes >= 1) & (sizes == np.rint(sizes)))
    if wrong.any():
        k = int(np.argmax(wrong))
        where = f" in {parents[k]}" if parent else ""
        raise ValueError(f"{name!r} has a size of {sizes[k]:g}{where}: sizes are whole numbers, at least 1 everywhere.")
    return sizes.astype(np.int64)


def _labels(parents: list[str], sizes: np.ndarray) -> list[str]:
    """Number the children of each parent, padded with zeros so that labels sort: "school01/2" has "school01/2/14"."""
    width = len(str(sizes.max()))
    return [f"{label}/{k:0{width}d}" for label, n in zip(parents, sizes, strict=True) for k in range(1, n + 1)]


def _are_occasions(value: Any) -> bool:
    """Whether a list says when rather than how many: no list of sizes has strings, or rises from 0 or through 0.5."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray | pd.Series | pd.Index):
        return False
    levels = list(value)
    if levels and all(isinstance(level, str) for level in levels):
        return True
    if len(levels) < 2 or not all(isinstance(level, Real) for level in levels):
        return False
    numbers = np.asarray(levels, dtype=float)
    return bool((np.diff(numbers) > 0).all() and ((numbers < 1) | (numbers % 1 != 0)).any())


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
            f"{name!r} has values of shape {values.shape} for {counted(len(first), at)}: one value each is needed."
        )
    if pd.isna(values).any() or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise ValueError(f"{name!r} has missing or infinite values: a covariate of a design is known everywhere.")
    return dict(zip(names, values.reshape(len(first), -1).T, strict=True))


def _looked_up(name: str, value: Any, design: pd.DataFrame, at: Columns | None, first: np.ndarray) -> np.ndarray:
    """Take each unit's value by its label."""
    if len(columns_of(at)) != 1:
        raise ValueError(f"{name!r} is given by label, which needs one column in at, not {at!r}.")
    labels = design[columns_of(at)[0]].iloc[first].tolist()
    if isinstance(value, pd.Series) and value.index.has_duplicates:
        twice = quoted(value.index[value.index.duplicated()][0])
        raise ValueError(f"{name!r} has more than one value for {twice}: give each of the units one.")
    known = dict(value.items())
    if absent := [label for label in labels if label not in known]:
        raise ValueError(
            f"{name!r} has no value for {len(absent)} of {counted(len(labels), at)}, such as {quoted(absent[0])}."
        )
    return np.asarray([known[label] for label in labels])
