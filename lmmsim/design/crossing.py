"""Designs: who is measured, when, and under which conditions.

A design is a plain data frame with one row per planned observation. It holds everything known before the first
measurement, and nothing in it is random but what ``rng`` is given for: without ``rng`` nothing is ever drawn.
Every function returns a new frame; rows keep their order. What units are given afterwards: ``allocation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import counted, is_whole
from lmmsim.design.units import Draw, Levels, check_design, draw, levels_of, unit_labels
from lmmsim.streams import Rng

MANY = 10**9  # rows that no memory holds


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
        raise ValueError("a design needs at least one factor, for example crossed(plot=30, week=[0, 1, 2])")
    if len(factors) > 30:
        raise ValueError(f"{len(factors)} factors cannot be crossed: two levels of each make too many rows already")
    levels = [levels_of(name, value) for name, value in factors.items()]
    rows = float(np.prod([float(len(values)) for values in levels]))
    if rows > MANY:
        sizes = " x ".join(str(len(values)) for values in levels)
        raise ValueError(f"{sizes} levels make {rows:.3g} rows, more than {MANY:.0e}")
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
    if any(not name.strip() for name in counts):
        raise ValueError("a level has an empty name; name it as in school=20")
    if not counts:
        raise ValueError("a design needs at least one level, for example nested(school=20, pupil=25)")
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


def _sizes(name: str, value: Any, parents: list[str], parent: str, rng: np.random.Generator | None) -> np.ndarray:
    """Return how many units each parent has."""
    if is_whole(value):
        sizes = np.full(len(parents), value, dtype=float)
    elif hasattr(value, "draw") or callable(value):
        sizes = np.rint(draw(name, value, rng, len(parents)).astype(float))
    elif _is_list(value) and all(isinstance(n, Real) for n in value):
        sizes = np.asarray(value, dtype=float)
    else:
        raise ValueError(f"{name}={value!r}: give a whole number, one number per parent, or a draw")
    if sizes.shape != (len(parents),) and not parent:
        raise ValueError(f"{name!r} is the outermost level: give one number, not {sizes.size}")
    if sizes.shape != (len(parents),):
        raise ValueError(
            f"{name!r} has {sizes.size} sizes for {counted(len(parents), parent)}: give one for each, or one for all. "
            f"(Units measured on several occasions: repeated(nested(...), {name}=[...]).)"
        )
    wrong = ~(np.isfinite(sizes) & (sizes >= 1) & (sizes == np.rint(sizes)))
    if wrong.any():
        k = int(np.argmax(wrong))
        where = f" in {parents[k]}" if parent else ""
        raise ValueError(f"{name!r} has a size of {sizes[k]:g}{where}: sizes are whole numbers, at least 1 everywhere")
    return sizes.astype(np.intp)


def _is_list(value: Any) -> bool:
    """Whether it lists sizes; a text is none, not even an empty one."""
    return isinstance(value, Sequence | np.ndarray | pd.Series | pd.Index) and not isinstance(value, str)


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
