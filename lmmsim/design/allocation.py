"""Allocation: what the units of a design are given: treatments, lists of items.

Treatments are shared exactly, never by coin flips, unless these are asked for. Without ``rng`` nothing is drawn.
Every function returns a new frame; rows keep their order. Units are numbered by first appearance.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import Columns, columns_of, counted, plural, quoted
from lmmsim.design.units import check_design, levels_of, units_of
from lmmsim.streams import Rng


def assign(
    design: pd.DataFrame,
    to: Columns | None,
    *,
    counts: Sequence[float] | np.ndarray | None = None,
    by: Columns | None = None,
    rng: Rng = None,
    balanced: bool | Literal["near"] = True,
    **factors: Sequence[Any] | np.ndarray,
) -> pd.DataFrame:
    """Hand out the levels of one or more factors to units.

    Parameters
    ----------
    design : DataFrame
    to : str, list of str or None
        The column whose units receive a level (their combinations for a list); None for each row.
    counts : sequence, optional
        How many units receive each level, where shares should not be equal; for several factors, one number per
        combination, the first factor varying slowest. With ``balanced=False``, in proportion to these numbers.
    by : str or list of str, optional
        Share separately inside each of these units (randomised blocks). Each must have a number of units that can be
        shared; where they have not, as in sites of any size, take ``balanced="near"``.
    rng : Generator, int or None
        None deals the levels out in turn, by first appearance of the units; otherwise the same shares are shuffled.
    balanced : bool or "near"
        "near" shares as equally as it can be done, 31 plots among 3 levels as 11, 10 and 10, inside every block and
        over all of them; with `counts`, as nearly in proportion to them. False draws the level of each unit
        independently, so that shares vary by chance; needs `rng`.
    **factors : list
        Levels: strings become a Categorical in the order given (the first is the reference), numbers stay numeric.
        Several factors are fully crossed: every combination gets its share.

    Returns
    -------
    DataFrame
        The design with one more column per factor.

    Raises
    ------
    ValueError
        If the units cannot be shared as asked, a column is missing or in the way, or, without `rng`, a factor
        would go hand in hand with a column that is there (two calls deal in the same order: use one call, or `rng`).

    Examples
    --------
    >>> from lmmsim.design.crossing import crossed
    >>> design = assign(crossed(plot=6, week=[0, 1]), to="plot", fertilizer=["Control", "A", "B"])
    >>> design["fertilizer"][::2].tolist()
    ['Control', 'A', 'B', 'Control', 'A', 'B']
    >>> assign(crossed(plot=31), to="plot", fertilizer=["Control", "A", "B"])
    Traceback (most recent call last):
    ...
    ValueError: 31 plots cannot be shared equally among the 3 levels of 'fertilizer': remove 1 or add 2, or say
    balanced='near'
    >>> assign(crossed(plot=31), to="plot", fertilizer=["Control", "A", "B"], balanced="near").value_counts(
    ...     "fertilizer", sort=False).tolist()
    [11, 10, 10]
    """
    check_design(design, [*columns_of(to), *columns_of(by)], new=factors)
    levels = _levels(factors)
    n_cells = int(np.prod([len(values) for values in levels.values()]))
    generator = None if rng is None else streams.generator(rng)
    if balanced not in (True, False, "near"):
        raise ValueError(f"balanced={balanced!r} is not known; it is True, False or 'near'")
    if balanced == "near":
        cells = _nearly_shared(design, to, by, counts, levels, generator)
    elif balanced:
        cells = _shared(design, to, by, counts, levels, generator)
    else:
        cells = _independent(design, to, by, counts, n_cells, generator)
    new = _columns(levels, cells)
    if generator is None and n_cells < units_of(design, to)[1].size:  # else the factor is the unit by another name
        _check_not_hand_in_hand(design, new, [*columns_of(to), *columns_of(by)])
    return design.assign(**new)


def counterbalance(
    design: pd.DataFrame,
    *,
    subject: str,
    item: str,
    by: Columns | None = None,
    list_name: str | None = "list",
    rng: Rng = None,
    **factors: Sequence[Any] | np.ndarray,
) -> pd.DataFrame:
    """Rotate the levels of a factor over subjects and items in a Latin square.

    With L levels the items are cut into L sets and the subjects into L lists; list l shows set s at level
    (l + s) mod L. Each subject meets every item once, and every subject and item every level equally often.

    Parameters
    ----------
    design : DataFrame
        Every subject with every item, once.
    subject, item : str
        Their columns.
    by : str or list of str, optional
        Factors of the items (frequency of a word) or the subjects (age group): the sets or the lists are dealt out
        inside each of their combinations, so that these factors are crossed with the rotated one for everybody.
    list_name : str or None
        Name of the column for the list; None for no such column.
    rng : Generator, int or None
        None deals the lists out in turn; otherwise it shuffles which subject gets which list.
    **factors : list
        As for `assign`; with several, L is the number of their combinations.

    Returns
    -------
    DataFrame
        The design with the factors and the list.

    Raises
    ------
    ValueError
        If the subjects or the items cannot be shared equally, a subject does not meet every item exactly once,
        or the sets or lists would go hand in hand with a factor that is there and not in `by`.

    References
    ----------
    Raaijmakers, Schrijnemakers & Gremmen (1999), Journal of Memory and Language 41, 416-426.

    Examples
    --------
    >>> from lmmsim.design.crossing import crossed
    >>> design = counterbalance(crossed(subject=2, item=2), subject="subject", item="item", context=["plain", "odd"])
    >>> design["context"].tolist(), design["list"].tolist()
    (['plain', 'odd', 'odd', 'plain'], ['list1', 'list1', 'list2', 'list2'])
    """
    check_design(design, [subject, item, *columns_of(by)], new=[*factors, *([list_name] if list_name else [])])
    if list_name in factors:
        raise ValueError(f"{list_name!r} is both a factor and the name of the list: choose another list_name")
    levels = _levels(factors)
    n_lists = int(np.prod([len(values) for values in levels.values()]))
    _check_every_pair_once(design, subject, item)
    of_items = [column for column in columns_of(by) if _belongs_to(design, column, item)]
    of_subjects = [column for column in columns_of(by) if column not in of_items]
    if stray := [column for column in of_subjects if not _belongs_to(design, column, subject)]:
        raise ValueError(f"by={stray!r}: not a factor of the {plural(subject)}, nor of the {plural(item)}")
    generator = None if rng is None else streams.generator(rng)
    lists = _shared(design, subject, of_subjects, None, levels, generator)
    sets = _shared(design, item, of_items, None, levels, None)
    _check_crossed(design, item, sets, "sets")
    if generator is None:
        _check_crossed(design, subject, lists, "lists")
    new = _columns(levels, (lists + sets) % n_lists)
    if list_name:
        new[list_name] = levels_of(list_name, n_lists)[lists]
    return design.assign(**new)


def _levels(factors: Mapping[str, Any]) -> dict[str, Any]:
    """Read the levels of the factors to be handed out."""
    if not factors:
        raise ValueError("name the factor and its levels, for example fertilizer=['Control', 'A', 'B']")
    for name, value in factors.items():
        if name == "within" and isinstance(value, str):
            raise ValueError(f"within={value!r}: what is shared separately inside each {value} is said by by={value!r}")
        if name == "within" and isinstance(value, str):
            raise ValueError(f"within={value!r}: to share separately inside each {value}, say by={value!r}")
        if isinstance(value, Integral):
            raise ValueError(f"{name}={value}: give the levels as a list, for example {name}=['usual', 'new']")
    return {name: levels_of(name, value) for name, value in factors.items()}


def _columns(levels: Mapping[str, Any], cells: np.ndarray) -> dict[str, Any]:
    """Turn numbers of combinations into one column per factor, the first factor varying slowest."""
    codes = np.unravel_index(cells, [len(values) for values in levels.values()])
    return {name: values[code] for (name, values), code in zip(levels.items(), codes, strict=True)}


def _dealt(shares: np.ndarray) -> np.ndarray:
    """Deal out levels in turn until the share of each is used up: shares 2, 1, 2 give 0, 1, 2, 0, 2."""
    level = np.repeat(np.arange(len(shares)), shares)
    turn = np.concatenate([np.arange(share) for share in shares])
    return level[np.lexsort((level, turn))]


def _shares(n: int, n_cells: int, counts: Any, to: Columns | None, where: str, levels: Mapping[str, Any]) -> np.ndarray:
    """Return how many of n units receive each level."""
    among = f"{n_cells} {'levels' if len(levels) == 1 else 'combinations'} of {' and '.join(map(repr, levels))}"
    if counts is None:
        if over := n % n_cells:
            remove = f"remove {over} or " if n > n_cells else ""
            near = ", or say balanced='near'" if n > n_cells else ""
            raise ValueError(
                f"{where}{counted(n, to)} cannot be shared equally among the {among}: {remove}add {n_cells - over}"
                f"{near}"
            )
        return np.full(n_cells, n // n_cells)
    shares, given = _per_cell(counts, n_cells), f"counts={np.asarray(counts).tolist()}"
    if (shares < 1).any() or (shares != np.rint(shares)).any():
        raise ValueError(f"{given}: each of the {among} needs a whole number of units, at least 1")
    if shares.sum() != n:
        there = f"{shares.sum():.0f}, but there are {counted(n, to)}"
        raise ValueError(f"{where}{given} add up to {there}: make them add up to {n}")
    return shares.astype(np.intp)


def _per_cell(counts: Any, n_cells: int) -> np.ndarray:
    """Read one number per level or combination."""
    if isinstance(counts, str | Mapping) or not all(isinstance(n, Real) for n in np.ravel(counts).tolist()):
        raise ValueError(f"counts={counts!r}: give a list with one number per level, in the order of the levels")
    shares = np.asarray(counts, dtype=float).ravel()
    if len(shares) != n_cells:
        raise ValueError(f"counts has {len(shares)} numbers for {n_cells} levels or combinations: give one for each")
    return shares


def _shared(
    design: pd.DataFrame, to: Columns | None, by: Columns | None, counts: Any, levels: Mapping[str, Any], rng: Any
) -> np.ndarray:
    """Share the levels (or combinations) exactly among the units, and return the one of each row."""
    codes, first = units_of(design, to)
    n_cells = int(np.prod([len(values) for values in levels.values()]))
    cells = np.empty(len(first), dtype=np.intp)
    for where, block in _blocks(design, to, by, codes, first):
        dealt = _dealt(_shares(len(block), n_cells, counts, to, where, levels))
        cells[block] = dealt if rng is None else rng.permutation(dealt)
    return cells[codes]


def _nearly_shared(
    design: pd.DataFrame, to: Columns | None, by: Columns | None, counts: Any, levels: Mapping[str, Any], rng: Any
) -> np.ndarray:
    """Share the levels (or combinations) as nearly as can be, and return the one of each row.

    Every block has its whole shares; who gets what is left over is whoever is furthest behind so far, first as a
    combination, then by the levels of its factors; then the first, or with `rng` any.
    """
    codes, first = units_of(design, to)
    sizes = [len(values) for values in levels.values()]
    n_cells = int(np.prod(sizes))
    weights = np.ones(n_cells) if counts is None else _per_cell(counts, n_cells)
    if not np.isfinite(weights).all() or (weights <= 0).any():
        raise ValueError(f"counts={weights.tolist()}: proportions are above 0")
    if len(first) < n_cells:
        raise ValueError(f"{counted(len(first), to)} cannot have {n_cells} levels or combinations: one has none")
    weights = weights / weights.sum()
    behind = np.zeros(n_cells)  # how many units a combination should have had beyond those it was given
    factors = np.unravel_index(np.arange(n_cells), sizes)
    cells = np.empty(len(first), dtype=np.intp)
    for _, block in _blocks(design, to, by, codes, first):
        ideal = len(block) * weights
        shares = np.floor(ideal + 1e-9).astype(np.intp)
        behind += ideal - shares
        left = np.arange(n_cells)
        for _ in range(len(block) - int(shares.sum())):
            margins = np.sum([np.bincount(own, behind)[own] for own in factors], axis=0)
            luck = np.arange(n_cells) if rng is None else rng.permutation(n_cells)
            order = np.lexsort((luck[left], -np.round(margins[left], 9), -np.round(behind[left], 9)))
            chosen = left[order[0]]
            shares[chosen] += 1
            behind[chosen] -= 1
            left = left[left != chosen]
        dealt = _dealt(shares)
        cells[block] = dealt if rng is None else rng.permutation(dealt)
    return cells[codes]


def _independent(
    design: pd.DataFrame, to: Columns | None, by: Columns | None, counts: Any, n_cells: int, rng: Any
) -> np.ndarray:
    """Draw the level of each unit by itself, and return the one of each row."""
    if rng is None:
        raise ValueError("balanced=False draws the level of each unit at random: say from where, for example rng=1")
    if by is not None:
        raise ValueError(f"balanced=False draws each unit by itself, so by={by!r} means nothing: drop one")
    shares = np.ones(n_cells) if counts is None else _per_cell(counts, n_cells)
    if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() == 0:
        raise ValueError(f"counts={shares.tolist()}: proportions are 0 or more, and not all 0")
    codes, first = units_of(design, to)
    return rng.choice(n_cells, size=len(first), p=shares / shares.sum()).astype(np.intp)[codes]


def _blocks(
    design: pd.DataFrame, to: Columns | None, by: Columns | None, codes: np.ndarray, first: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """List the blocks to share inside of: how an error calls the block, and its units."""
    if not columns_of(by):
        return [("", np.arange(len(first)))]
    block, first_of_block = units_of(design, by)
    wrong = block != block[first][codes]
    if wrong.any():
        row = int(np.argmax(wrong))
        n = np.unique(block[codes == codes[row]]).size
        raise ValueError(
            f"{_label(design.iloc[row], to)} stands in {counted(n, by)}, so it cannot keep one level and be shared "
            f"inside each. For a level per combination: to={[*columns_of(by), *columns_of(to)]!r}"
        )
    order = np.argsort(block[first], kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(block[first]))[:-1])
    names = [f"In {_label(design.iloc[row], by)}, " for row in first_of_block]
    return list(zip(names, groups, strict=True))


def _label(row: pd.Series, unit: Columns | None) -> str:
    """Call a unit by its columns: "school 'school01'"."""
    return ", ".join(f"{name} {quoted(row[name])}" for name in columns_of(unit))


def _check_not_hand_in_hand(design: pd.DataFrame, new: Mapping[str, Any], units: list[str]) -> None:
    """Refuse a factor that splits the rows as an existing column does: nobody could tell their effects apart."""
    for name, other in itertools.product(new, design.columns.difference(units, sort=False)):
        mine, theirs = pd.factorize(new[name])[0], pd.factorize(design[other])[0]
        if mine.max() > 0 and np.array_equal(mine, theirs):
            raise ValueError(
                f"{name!r} would go hand in hand with {other!r}, so that their effects could not be told apart: "
                f"assign both in one call to cross them, or shuffle with rng"
            )
        of_units = units_of(design, units)[1].size
        pairs, more = len(np.unique(mine * (theirs.max() + 1) + theirs)), max(mine.max(), theirs.max()) + 1
        if min(mine.max(), theirs.max()) > 0 and pairs == more <= of_units / 2 and _belongs_to(design, other, units):
            coarse, fine = (other, name) if theirs.max() < mine.max() else (name, other)
            raise ValueError(
                f"each level of {fine!r} would have one level of {coarse!r} only, so that their effects could not be "
                "told apart: assign both in one call to cross them, or shuffle with rng"
            )


def _check_every_pair_once(design: pd.DataFrame, subject: str, item: str) -> None:
    """Refuse repeated or missing pairs: a Latin square has every pair once."""
    n_pairs = units_of(design, subject)[1].size * units_of(design, item)[1].size
    pairs = units_of(design, [subject, item])[1].size
    if not len(design) == pairs == n_pairs:
        raise ValueError(
            f"counterbalancing needs every {subject} with every {item} once, {n_pairs} rows; this design has "
            f"{len(design)} rows and {pairs} of the pairs. Start from crossed({subject}=..., {item}=...), "
            "and add repetitions afterwards"
        )


def _belongs_to(design: pd.DataFrame, column: str, unit: Columns) -> bool:
    """Whether a column has one value for each unit."""
    return units_of(design, [*columns_of(unit), column])[1].size == units_of(design, unit)[1].size


def _check_crossed(design: pd.DataFrame, unit: str, groups: np.ndarray, what: str) -> None:
    """Refuse sets of items (lists of subjects) that a factor of the items (subjects) determines, such as frequency."""
    grouped = design.assign(**{what: groups})
    for name in design.columns.drop(unit):
        few = 1 < units_of(design, name)[1].size <= units_of(design, unit)[1].size / 2  # a factor, not a measurement
        if few and groups.max() > 0 and _belongs_to(design, name, unit) and _belongs_to(grouped, what, name):
            raise ValueError(
                f"the {what} of {plural(unit)} would go hand in hand with {name!r}: each of its levels is in one "
                f"of the {what} only. Deal them out inside its levels: by={name!r}"
            )
