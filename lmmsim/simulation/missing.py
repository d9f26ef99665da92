"""Missing data: which values get lost, and who stops coming.

A lost value is a NaN in the response; its row stays, unless `keep_rows=False`. The data given are never changed.
`knock_out` loses single values, `drop_out` everything from some moment on, or whole units. Called without data, both
return an `Observer` that does the same to any data later: `observer(data, rng)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pandas as pd
from numpy.typing import ArrayLike

from lmmsim.checks import as_frame, check_columns
from lmmsim.simulation.mechanisms import DropOut, KnockOut, Observer, UnitLoss, response_of
from lmmsim.simulation.rules import Rule
from lmmsim.streams import Rng


def knock_out(
    data: pd.DataFrame | None = None,
    *,
    share: float | None = None,
    probability: Rule | None = None,
    by: str | None = None,
    where: Callable[[pd.DataFrame], ArrayLike] | None = None,
    rng: Rng = None,
    response: str | None = None,
    keep_rows: bool = True,
) -> Any:
    """Lose single values of the response.

    A share or a number loses them completely at random (MCAR); a rule that looks at other columns, at random (MAR);
    a rule that looks at the response itself, not at random (MNAR; Rubin 1976).

    Parameters
    ----------
    data : DataFrame, optional
        Without it, the result is an `Observer`, to be called on data later.
    share : float
        Exactly this share of the values is lost, rounded to whole values.
    probability : float, mapping or callable
        Every value is lost by itself with this probability: a number; one for each value of the column `by`; or a
        function of the data that gives one per row. It must judge each row without looking at the others.
    by : str
        Column whose values are the keys of a mapping.
    where : callable, optional
        Function of the data that gives True for the rows that can lose their value, row by row.
    rng : Generator, int or None
    response : str, optional
        Column that loses values; by default the one noted in ``data.attrs["response"]``, as `simulate` does.
    keep_rows : bool
        Whether rows without a response stay, with NaN.

    Returns
    -------
    DataFrame or Observer

    Raises
    ------
    ValueError
        If a share or a probability is not between 0 and 1, or a column is not there.

    Examples
    --------
    >>> data = pd.DataFrame({"week": [0, 1, 2, 3], "height": [10.0, 12.0, 14.0, 16.0]})
    >>> knock_out(data, share=0.5, response="height", rng=1)["height"].isna().sum().item()
    2
    >>> tall = knock_out(probability=lambda seen: seen["height"] > 13, response="height")     # MNAR
    >>> tall(data, rng=1)["height"].tolist()
    [10.0, 12.0, nan, nan]
    """
    if (share is None) == (probability is None):
        raise ValueError("give either share= (exactly this share is lost) or probability= (each value by itself)")
    observer = KnockOut(
        share=share,
        probability=0.0 if probability is None else probability,
        by=by,
        where=where,
        response=response,
        keep_rows=keep_rows,
    )
    return _now_or_later(observer, data, rng)


def drop_out(
    data: pd.DataFrame | None = None,
    *,
    unit: str,
    time: str | None = None,
    hazard: Rule,
    by: str | None = None,
    sees: Literal["past", "present"] | None = None,
    rng: Rng = None,
    response: str | None = None,
    keep_rows: bool = True,
) -> Any:
    """Let units stop coming: from some moment on, all their values are lost (monotone dropout).

    The first measurement of a unit is always taken. Before each later one the unit leaves with probability `hazard`,
    and never returns. A number or a rate per arm gives dropout that ignores the values; a function sees the values:
    the last one observed if ``sees="past"`` (MAR), the one about to be lost if ``sees="present"``
    (MNAR; Diggle & Kenward 1994).

    Without a `time`, whole units are lost: schools that withdraw before anything is measured, each with probability
    `hazard`.

    Parameters
    ----------
    data : DataFrame, optional
        Without it, the result is an `Observer`, to be called on data later.
    unit, time : str
        Columns that say who is measured and when; a unit has one row per time. Without a time, units are lost as a
        whole.
    hazard : float, mapping or callable
        Probability of leaving before a measurement, given that one came so far: a number; one for each value of the
        column `by`; or a function of a table that gives one per row. A row of this table is the measurement before
        the one at stake (``sees="past"``) or that one itself (``"present"``), and its response is the last value
        observed. Without a time a row is a unit, with the columns of its first row and the mean of its responses
        (MNAR). The function must judge each row without looking at the others.
    by : str
        Column whose values are the keys of a mapping: an arm, or `time` for a hazard that changes with time.
    sees : "past" or "present"
        What a function sees: "past" unless something is said.
    rng : Generator, int or None
    response : str, optional
        Column that loses values; by default the one noted in ``data.attrs["response"]``, as `simulate` does.
    keep_rows : bool
        Whether rows without a response stay, with NaN.

    Returns
    -------
    DataFrame or Observer

    Raises
    ------
    ValueError
        If a hazard is not between 0 and 1, a column is not there, a unit has two rows at one time, or `sees` is given
        without a time.

    Examples
    --------
    >>> import numpy as np
    >>> visits = pd.DataFrame({"patient": ["p1"] * 3 + ["p2"] * 3, "month": [0, 1, 2] * 2})
    >>> visits["systolic"] = [150.0, 130.0, 135.0, 160.0, 155.0, 120.0]
    >>> leave = drop_out(unit="patient", time="month", response="systolic",
    ...                  hazard=lambda seen: np.where(seen["systolic"] < 140, 1.0, 0.0))
    >>> leave(visits, rng=1)["systolic"].tolist()       # below 140 is seen once, and then no more is
    [150.0, 130.0, nan, 160.0, 155.0, 120.0]
    >>> drop_out(visits, unit="patient", hazard=0.5, response="systolic", rng=4)["systolic"].tolist()
    [150.0, 130.0, 135.0, nan, nan, nan]
    """
    common: dict[str, Any] = {"unit": unit, "hazard": hazard, "by": by, "response": response, "keep_rows": keep_rows}
    if time is None:
        if sees is not None:
            raise ValueError(f"sees={sees!r} is about what was measured before: give time=, or leave it out")
        return _now_or_later(UnitLoss(**common), data, rng)
    observer = DropOut(**common, time=time, sees="past" if sees is None else sees)
    return _now_or_later(observer, data, rng)


def dropout_pattern(
    data: pd.DataFrame, unit: str, time: str, response: str | None = None, by: str | None = None
) -> pd.DataFrame:
    """Count who is still observed at every time.

    Parameters
    ----------
    data : DataFrame
        Lost values may be NaN, or their rows absent.
    unit, time : str
        Columns that say who is measured and when.
    response : str, optional
        Column in which values are lost; by default the one noted in ``data.attrs["response"]``.
    by : str, optional
        Column to count separately for, such as the arm.

    Returns
    -------
    DataFrame
        A row per time (and value of `by`): `units`, how many there are in all; `observed`, how many have a value at
        this time; `share` of them.

    Raises
    ------
    ValueError
        If a column is not there.

    Examples
    --------
    >>> visits = pd.DataFrame({"patient": ["p1", "p1", "p2", "p2"], "month": [0, 1, 0, 1], "bp": [150, 130, 160, None]})
    >>> dropout_pattern(visits, unit="patient", time="month", response="bp")
       month  units  observed  share
    0      0      2         2    1.0
    1      1      2         1    0.5
    """
    data = as_frame(data)
    response = response_of(data, response)
    if made := {"units", "observed", "share"} & {time, by}:
        raise ValueError(f"{made.pop()!r} is a column of the table that is made; rename that of the data")
    check_columns(data, [unit, time] if by is None else [unit, time, by])
    arms = [] if by is None else [by]
    there = data.assign(**{response: data[unit].where(data[response].notna())})
    pattern = there.groupby([*arms, time], observed=True)[response].nunique().rename("observed").reset_index()
    units = data.groupby(by, observed=True)[unit].nunique() if by is not None else data[unit].nunique()
    pattern.insert(len(arms) + 1, "units", pattern[by].map(units).astype(int) if by is not None else units)
    return pattern.assign(share=pattern["observed"] / pattern["units"])


def _now_or_later(observer: Observer, data: pd.DataFrame | None, rng: Rng) -> pd.DataFrame | Observer:
    """Call the observer if there are data."""
    if data is not None:
        return observer(data, rng)
    if rng is not None:
        raise ValueError("rng belongs to the call on data: leave it out here, and write observer(data, rng) later")
    return observer
