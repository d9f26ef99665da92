"""Extending: more units of the same kind as those of a design or of pilot data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lmmsim import streams
from lmmsim.checks import Columns, check_whole, columns_of, counted, listed, plural, quoted
from lmmsim.design.units import check_design, unit_labels, units_of
from lmmsim.streams import Rng


def extend(
    design: pd.DataFrame, *, rng: Rng = None, labels: Columns | None = None, response: str | None = None, **units: int
) -> pd.DataFrame:
    """Plan more units of the same kind as those that are there.

    Every new unit is a copy of one that is there, with a label of its own: it is measured on the same occasions (the
    same items, the same weeks) and has the same covariates. Factors that belong to units, as arms do, keep their shares
    and what goes together with what.

    Parameters
    ----------
    design : DataFrame
        A design, or pilot data.
    rng : Generator, int or None
        None copies the units in turn, each as often as any other of its arm (or once more); otherwise units are drawn
        with replacement within their arm, so that covariates are resampled.
    labels : str or list of str, optional
        Columns that name units inside the extended ones (the pupils of a school), which get new labels too. None finds
        them: text each of whose values stands in one unit only. An empty list says that there are none.
    response : str, optional
        Column that was measured and is left out; by default the one noted in ``data.attrs["response"]``.
    **units : int
        How many units there are to be, by their column: ``subject=40``. Of several columns one after the other, so that
        with crossed subjects and items every new subject meets every new item.

    Returns
    -------
    DataFrame
        The columns of `design`, without the response. Units are named from 1 on ("subject01"), in order.

    Raises
    ------
    ValueError
        If a column is missing, the units are fewer than the combinations of their factors, or it cannot be told
        whether a column names units or measures them.

    Notes
    -----
    Shares that do not come out as whole numbers of units are rounded by largest remainder. A pilot of few units has few
    values of a covariate, however many units it is extended to: draw new ones with `covariate` if that matters.

    Examples
    --------
    >>> from lmmsim.design.crossing import crossed
    >>> pilot = crossed(plot=3, week=[0, 2]).assign(arm=["new", "new", "old", "old", "old", "old"])
    >>> larger = extend(pilot, plot=12)
    >>> larger.groupby("arm")["plot"].nunique().to_dict(), larger["week"].unique().tolist()
    ({'new': 4, 'old': 8}, [0, 2])
    """
    if not units:
        raise ValueError("say of which units there should be how many, for example extend(pilot, subject=40)")
    generator = None if rng is None else streams.generator(rng)
    name = response or design.attrs.get("response")
    check_design(design, units, new=())
    out = design.drop(columns=[name] if name in design.columns else [])
    for unit, n in units.items():
        out = _extended(out, unit, n, labels, generator)
    return out


def _extended(
    design: pd.DataFrame, unit: str, n: int, labels: Columns | None, rng: np.random.Generator | None
) -> pd.DataFrame:
    """The design with n units of one column."""
    check_whole(unit, n)
    codes, first = units_of(design, unit)
    owned = _kinds(design, unit, codes, first)
    inner = _inner(design, unit, owned) if labels is None else columns_of(labels)
    check_design(design, inner)
    factors = [name for name, kind in owned.items() if kind == "factor" and name not in inner]
    templates = _templates(design, unit, n, factors, first, rng)
    order = np.argsort(codes, kind="stable")
    size = np.bincount(codes)
    start = np.cumsum(size) - size
    taken = size[templates]
    new = np.repeat(np.arange(n), taken)  # the new unit of each row
    within = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    rows = order[start[templates][new] + within]
    out = design.iloc[rows].reset_index(drop=True)
    names = unit_labels(unit, n)
    changed = {unit: pd.Categorical.from_codes(new, names)}
    for column in inner:
        old = design[column].astype(str).to_numpy()[rows]
        if column in owned:
            changed[column] = pd.Categorical.from_codes(new, unit_labels(column, n))
        else:
            codes_inside, values = pd.factorize(pd.MultiIndex.from_arrays([new, old]))
            changed[column] = pd.Categorical.from_codes(codes_inside, [f"{names[u]}/{text}" for u, text in values])
    return out.assign(**changed)


def _kinds(design: pd.DataFrame, unit: str, codes: np.ndarray, first: np.ndarray) -> dict[str, str]:
    """The columns that have one value in each unit: "factor" where values are shared, else "own"."""
    kinds = {}
    for name in design.columns.drop(unit):
        values = pd.factorize(design[name], use_na_sentinel=False)[0]
        if (values == values[first][codes]).all():
            shared = np.bincount(values[first])
            whole = _is_text(design[name]) or shared.min() > 1
            kinds[name] = "factor" if whole and (shared > 1).any() else "own"
    return kinds


def _inner(design: pd.DataFrame, unit: str, owned: dict[str, str]) -> list[str]:
    """Columns that name units inside of the extended ones; refuse to guess."""
    names: list[str] = []
    unclear: list[str] = []
    for name in design.columns.drop(unit):
        text = _is_text(design[name])
        if owned.get(name) == "own" and text:
            unclear.append(name)  # another label of the unit, or an arm with one unit
        elif name not in owned and (text or _is_whole(design[name])):
            values = design[[unit, name]].drop_duplicates()
            if not values[name].duplicated().any():
                (names if text else unclear).append(name)
    if unclear:
        raise ValueError(
            f"does {listed(unclear)} name units, or is it something measured or given? Each of its values stands in "
            f"one {unit} only. labels={unclear!r} gives new labels to it, labels=[] copies it as it is"
        )
    return names


def _templates(
    design: pd.DataFrame, unit: str, n: int, factors: list[str], first: np.ndarray, rng: np.random.Generator | None
) -> np.ndarray:
    """Which of the units that are there each new one is a copy of."""
    of_units = design.iloc[first]
    stratum = units_of(of_units, factors)[0] if factors else np.zeros(len(first), dtype=np.intp)
    size = np.bincount(stratum)
    if n < len(size):
        what = " and ".join(map(quoted, factors)) or "nothing"
        raise ValueError(
            f"{counted(n, unit)} cannot stand for the {len(size)} combinations of {what} that the {plural(unit)} have: "
            f"give at least {len(size)}"
        )
    exact = n * size / size.sum()
    share = np.maximum(np.floor(exact), 1).astype(np.intp)
    while share.sum() != n:  # by largest remainder; small strata keep one
        over = share.sum() > n
        place = np.argmax(np.where(share > 1, share - exact, -np.inf)) if over else np.argmax(exact - share)
        share[place] += -1 if over else 1
    chosen = []
    for k, many in enumerate(share):
        there = np.flatnonzero(stratum == k)
        chosen.append(there[np.arange(many) % len(there)] if rng is None else rng.choice(there, many))
    # in turn through the strata as they stand in the design, so that labels do not tell the arms
    turn = np.concatenate([(np.arange(many) + 0.5) / many for many in share])
    return np.concatenate(chosen)[np.argsort(turn, kind="stable")]


def _is_text(column: pd.Series) -> bool:
    """Whether values are names rather than numbers."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))


def _is_whole(column: pd.Series) -> bool:
    """Whether all values are whole numbers, as labels may be."""
    return pd.api.types.is_numeric_dtype(column) and bool((column.dropna() % 1 == 0).all())
