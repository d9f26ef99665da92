"""Missing data: which values get lost, and who stops coming.

A lost value is a NaN in the response; its row stays, unless `keep_rows=False`. The data given are never changed.
`knock_out` loses single values, `drop_out` everything from some moment on. Called without data, both return an
`Observer` that does the same to any data later: `observer(data, rng)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim.hazard import Rule, chances_of, check_columns, check_rule, judge

Rng = np.random.Generator | int | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Observer:
    """A way to lose data that can be called on any data: what `knock_out` and `drop_out` return without data.

    Attributes
    ----------
    response : str or None
        Column that loses values; None for the one that `simulate` notes in ``data.attrs["response"]``.
    keep_rows : bool
        Whether rows without a response stay, with NaN.
    """

    response: str | None = None
    keep_rows: bool = True

    def __call__(self, data: pd.DataFrame, rng: Rng = None) -> pd.DataFrame:
        """Lose values of the response.

        Parameters
        ----------
        data : DataFrame
            One row per measurement, with the response.
        rng : Generator, int or None
            One uniform number is taken per row, in the order of the rows, whatever the rule.

        Returns
        -------
        DataFrame
            A new one, with NaN for what is lost, or without those rows if `keep_rows` is False.
        """
        response = _response(data, self.response)
        y = data[response].to_numpy(dtype=float, na_value=np.nan)
        left = self.many(y[:, None], data, rng, response=response)[:, 0]
        observed = data.assign(**{response: left})
        return observed if self.keep_rows else observed[~np.isnan(left)]

    def many(
        self,
        Y: np.ndarray,
        data: pd.DataFrame,
        rng: Rng | Sequence[np.random.Generator] = None,
        response: str | None = None,
    ) -> np.ndarray:
        """Lose values of many responses of one design.

        Column by column the same as one call for each, with the same numbers from `rng`.

        Parameters
        ----------
        Y : ndarray, shape (n, r)
            Responses, rows in the order of `data`.
        data : DataFrame, n rows
            The design. It need not hold the response.
        rng : Generator, int, None, or sequence of r Generators
            One generator serves column after column, so that the first columns of many lose what few would lose;
            of a sequence, each serves one column.
        response : str, optional
            The name under which a rule finds the response; by default as for one data set.

        Returns
        -------
        ndarray, shape (n, r)
            A copy, with NaN for what is lost; `keep_rows` plays no part.

        Raises
        ------
        ValueError
            If a rule gives an impossible probability, or judges a row by other rows of its table.
        """
        Y = np.asarray(Y, dtype=float)
        if Y.ndim != 2 or len(Y) != len(data):
            raise ValueError(f"Y must have one row for each of the {len(data)} rows of data; its shape is {Y.shape}")
        responses = np.ascontiguousarray(Y.T)
        U = _uniforms(rng, *responses.shape)
        name = response or self.response or data.attrs.get("response")
        return np.where(self._lost(responses, U, data, name).T, np.nan, Y)

    def _lost(self, Y: np.ndarray, U: np.ndarray, data: pd.DataFrame, response: str | None) -> np.ndarray:
        """Which values are lost, given a uniform number for each; every array is (r, n)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class KnockOut(Observer):
    """Loses single values: made by `knock_out`, where its fields are explained."""

    share: float | None = None
    probability: Rule = 0.0
    by: str | None = None
    where: Callable[[pd.DataFrame], ArrayLike] | None = None

    def __post_init__(self) -> None:
        """Refuse an impossible share or rule."""
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError(f"share must lie between 0 and 1; got {self.share:g}")
        check_rule("probability", self.probability, self.by)

    def _lost(self, Y: np.ndarray, U: np.ndarray, data: pd.DataFrame, response: str | None) -> np.ndarray:
        """Lose values one by one."""
        at_risk = ~np.isnan(Y)
        if self.where is not None:
            at_risk &= judge("where", self.where, data, Y, response) != 0
        if self.share is None:
            chance = chances_of("probability", self.probability, self.by, data, Y, response, at_risk)
            return at_risk & (chance > U)
        # The values with the smallest numbers are lost, as many as the share of those at risk comes to.
        order = np.argsort(np.where(at_risk, U, np.inf), axis=1)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(Y.shape[1])[None, :], axis=1)
        return rank < np.rint(self.share * at_risk.sum(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class DropOut(Observer):
    """Loses all that a unit would still have given: made by `drop_out`, where its fields are explained."""

    unit: str
    time: str
    hazard: Rule
    by: str | None = None
    sees: Literal["past", "present"] = "past"

    def __post_init__(self) -> None:
        """Refuse an impossible rule."""
        if self.sees not in ("past", "present"):
            raise ValueError(f"sees must be 'past' or 'present'; got {self.sees!r}")
        check_rule("hazard", self.hazard, self.by)

    def _lost(self, Y: np.ndarray, U: np.ndarray, data: pd.DataFrame, response: str | None) -> np.ndarray:
        """Lose the tail of every unit after its first leaving."""
        rows, start = _by_unit_and_time(data, self.unit, self.time)
        at = np.arange(len(rows))
        later = np.broadcast_to(at > start, Y.shape)  # the first measurement of a unit is always taken
        Y, U, table = Y[:, rows], U[:, rows], data.iloc[rows]
        # What is seen of the response is the last value that is there, within the unit.
        last = np.maximum.accumulate(np.where(np.isnan(Y), start, at), axis=1)
        seen = np.take_along_axis(Y, last, axis=1)
        if self.sees == "past":
            before = np.where(at > start, at - 1, at)
            seen = seen[:, before]
            if callable(self.hazard):
                table = table.iloc[before]
        chance = chances_of("hazard", self.hazard, self.by, table, seen, response, later)
        leaves = later & (chance > U)
        # Gone are those who have left at least once since the first row of their unit.
        times_left = np.cumsum(leaves, axis=1)
        lost = np.empty_like(leaves)
        lost[:, rows] = times_left > times_left[:, start]
        return lost


@overload
def knock_out(
    data: pd.DataFrame,
    *,
    share: float | None = None,
    probability: Rule | None = None,
    by: str | None = None,
    where: Callable[[pd.DataFrame], ArrayLike] | None = None,
    rng: Rng = None,
    response: str | None = None,
    keep_rows: bool = True,
) -> pd.DataFrame: ...
@overload
def knock_out(
    data: None = None,
    *,
    share: float | None = None,
    probability: Rule | None = None,
    by: str | None = None,
    where: Callable[[pd.DataFrame], ArrayLike] | None = None,
    rng: Rng = None,
    response: str | None = None,
    keep_rows: bool = True,
) -> Observer: ...
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
) -> pd.DataFrame | Observer:
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


@overload
def drop_out(
    data: pd.DataFrame,
    *,
    unit: str,
    time: str,
    hazard: Rule,
    by: str | None = None,
    sees: Literal["past", "present"] = "past",
    rng: Rng = None,
    response: str | None = None,
    keep_rows: bool = True,
) -> pd.DataFrame: ...
@overload
def drop_out(
    data: None = None,
    *,
    unit: str,
    time: str,
    hazard: Rule,
    by: str | None = None,
    sees: Literal["past", "present"] = "past",
    rng: Rng = None,
    response: str | None = None,
    keep_rows: bool = True,
) -> Observer: ...
def drop_out(
    data: pd.DataFrame | None = None,
    *,
    unit: str,
    time: str,
    hazard: Rule,
    by: str | None = None,
    sees: Literal["past", "present"] = "past",
    rng: Rng = None,
    response: str | None = None,
    keep_rows: bool = True,
) -> pd.DataFrame | Observer:
    """Let units stop coming: from some moment on, all their values are lost (monotone dropout).

    The first measurement of a unit is always taken. Before each later one the unit leaves with probability `hazard`,
    and never returns. A number or a rate per arm gives dropout that ignores the values; a function sees the values:
    the last one observed if ``sees="past"`` (MAR), the one about to be lost if ``sees="present"``
    (MNAR; Diggle & Kenward 1994).

    Parameters
    ----------
    data : DataFrame, optional
        Without it, the result is an `Observer`, to be called on data later.
    unit, time : str
        Columns that say who is measured and when; a unit has one row per time.
    hazard : float, mapping or callable
        Probability of leaving before a measurement, given that one came so far: a number; one for each value of the
        column `by`; or a function of a table that gives one per row. A row of this table is the measurement before
        the one at stake (``sees="past"``) or that one itself (``"present"``), and its response is the last value
        observed. The function must judge each row without looking at the others.
    by : str
        Column whose values are the keys of a mapping: an arm, or `time` for a hazard that changes with time.
    sees : "past" or "present"
        What a function sees.
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
        If a hazard is not between 0 and 1, a column is not there, or a unit has two rows at one time.

    Examples
    --------
    >>> visits = pd.DataFrame({"patient": ["p1"] * 3 + ["p2"] * 3, "month": [0, 1, 2] * 2})
    >>> visits["systolic"] = [150.0, 130.0, 135.0, 160.0, 155.0, 120.0]
    >>> leave = drop_out(unit="patient", time="month", response="systolic",
    ...                  hazard=lambda seen: np.where(seen["systolic"] < 140, 1.0, 0.0))
    >>> leave(visits, rng=1)["systolic"].tolist()       # below 140 is seen once, and then no more is
    [150.0, 130.0, nan, 160.0, 155.0, 120.0]
    """
    observer = DropOut(
        unit=unit,
        time=time,
        hazard=hazard,
        by=by,
        sees=sees,
        response=response,
        keep_rows=keep_rows,
    )
    return _now_or_later(observer, data, rng)


def dropout_pattern(
    data: pd.DataFrame,
    unit: str,
    time: str,
    response: str | None = None,
    by: str | None = None,
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
    response = _response(data, response)
    check_columns(data, [unit, time] if by is None else [unit, time, by])
    arms = [] if by is None else [by]
    there = data.assign(**{response: data[unit].where(data[response].notna())})
    pattern = there.groupby([*arms, time], observed=True)[response].nunique().rename("observed").reset_index()
    units = data.groupby(by, observed=True)[unit].nunique() if by is not None else data[unit].nunique()
    pattern.insert(
        len(arms) + 1,
        "units",
        pattern[by].map(units).astype(int) if by is not None else units,
    )
    return pattern.assign(share=pattern["observed"] / pattern["units"])


def _now_or_later(observer: Observer, data: pd.DataFrame | None, rng: Rng) -> pd.DataFrame | Observer:
    """Call the observer if there are data."""
    if data is not None:
        return observer(data, rng)
    if rng is not None:
        raise ValueError("rng belongs to the call on data: leave it out here, and write observer(data, rng) later")
    return observer


def _response(data: pd.DataFrame, response: str | None) -> str:
    """Find the name of the response, which must be a column."""
    name = response or data.attrs.get("response")
    if name is None:
        raise ValueError(
            'which column is the response? Name it with response="..."; these data do not come straight from '
            f"simulate, which notes it. Columns: {', '.join(map(str, data.columns))}"
        )
    check_columns(data, [name])
    return name


def _by_unit_and_time(data: pd.DataFrame, unit: str, time: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the order of the rows by unit and time and, in that order, where the unit of each row starts."""
    check_columns(data, [unit, time])
    for name in (unit, time):
        if data[name].isna().any():
            raise ValueError(
                f"{name!r} is missing in {data[name].isna().sum()} rows; dropout needs to know who and when"
            )
    units = pd.factorize(data[unit])[0]
    times = pd.factorize(data[time], sort=True)[0]
    rows = np.lexsort((times, units))
    u, t = units[rows], times[rows]
    same = u[1:] == u[:-1]
    twice = np.flatnonzero(same & (t[1:] == t[:-1]))
    if twice.size:
        row = data.iloc[rows[twice[0]]]
        raise ValueError(
            f"{unit} {row[unit]} has more than one row at {time} {row[time]} ({twice.size} rows too many in all): "
            f"is {unit!r} labelled uniquely?"
        )
    begins = np.concatenate([[True], ~same])[: len(rows)]
    return rows, np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))


def _uniforms(rng: Rng | Sequence[np.random.Generator], r: int, n: int) -> np.ndarray:
    """Uniform numbers (r, n), drawn response by response."""
    if isinstance(rng, Sequence):
        if len(rng) != r:
            raise ValueError(f"there are {r} responses but {len(rng)} generators; give one for each, or a single one")
        return np.array([generator.random(n) for generator in rng]).reshape(r, n)
    return np.random.default_rng(rng).random((r, n))
