"""Mechanisms: who loses which values: single values, all from some moment on, whole units.

An `Observer` works on many responses of one design at once, as arrays of one row per response, and asks a rule
(`lmmsim.simulation.rules`) how probable each loss is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim import streams
from lmmsim.checks import as_frame, check_columns, check_frame, is_number, quoted
from lmmsim.simulation.occasions import check_order
from lmmsim.simulation.rules import Rule, chances_of, check_rule, judge
from lmmsim.streams import Rng


@dataclass(frozen=True, eq=False, kw_only=True)
class Observer(ABC):
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
        response = response_of(data := as_frame(data), self.response)
        if not pd.api.types.is_numeric_dtype(data[response]):
            raise ValueError(f"{response!r} is not a number column ({data[response].dtype}); is it the response?")
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

    @abstractmethod
    def _lost(self, Y: np.ndarray, U: np.ndarray, data: pd.DataFrame, response: str | None) -> np.ndarray:
        """Which values are lost, given a uniform number for each; every array is (r, n)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class KnockOut(Observer):
    """Loses single values: made by `knock_out`, where its fields are explained."""

    share: float | None = None
    probability: Rule = 0.0
    by: str | None = None
    where: Callable[[pd.DataFrame], ArrayLike] | None = None

    def __post_init__(self) -> None:
        """Refuse an impossible share or rule."""
        if self.share is not None and not (is_number(self.share) and 0 <= self.share <= 1):
            raise ValueError(f"share must lie between 0 and 1; got {quoted(self.share)}")
        if self.where is not None and not callable(self.where):
            raise TypeError(
                f"where is a function of the data, such as lambda seen: seen['week'] > 2; got {self.where!r}"
            )
        check_rule("probability", self.probability, self.by)

    def _lost(self, Y: np.ndarray, U: np.ndarray, data: pd.DataFrame, response: str | None) -> np.ndarray:
        """Lose values one by one."""
        at_risk = ~np.isnan(Y)
        if self.where is not None:
            answer = judge("where", self.where, data, Y, response)
            if np.isnan(answer).any():
                raise ValueError(
                    f"where is NaN in {np.isnan(answer).sum()} of {answer.size} rows: it says True or False of each"
                )
            at_risk &= answer != 0
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


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitLoss(Observer):
    """Loses whole units: made by `drop_out` without a time, where its fields are explained."""

    unit: str
    hazard: Rule
    by: str | None = None

    def __post_init__(self) -> None:
        """Refuse an impossible rule."""
        check_rule("hazard", self.hazard, self.by)

    def _lost(self, Y: np.ndarray, U: np.ndarray, data: pd.DataFrame, response: str | None) -> np.ndarray:
        """Lose all rows of a unit, by the number that its first row was given."""
        units, first = _first_rows(data, self.unit, self.by)
        seen = ~np.isnan(Y)
        counts, sums = np.zeros((2, len(Y), len(first)))
        for i, (there, y) in enumerate(zip(seen, np.where(seen, Y, 0.0), strict=True)):
            counts[i] = np.bincount(units[there], minlength=len(first))
            sums[i] = np.bincount(units, y, minlength=len(first))
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        table, at_risk = data.iloc[first], counts > 0
        chance = chances_of("hazard", self.hazard, self.by, table, means, response, at_risk)
        return (at_risk & (chance > U[:, first]))[:, units]


def response_of(data: pd.DataFrame, response: str | None) -> str:
    """Find the name of the response, which must be a column."""
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"values are lost from a DataFrame, as in simulate(...).data; got a {type(data).__name__}")
    name = response or data.attrs.get("response")
    if name is None:
        raise ValueError(
            'which column is the response? Name it with response="..."; these data do not come straight from '
            f"simulate, which notes it. Columns: {', '.join(map(str, data.columns))}"
        )
    check_columns(data, [name])
    check_frame(data, "data")
    return name


def _first_rows(data: pd.DataFrame, unit: str, by: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Number the unit of each row, and find the first row of each; `by` must be the same in all rows of a unit."""
    check_columns(data, [unit] if by is None else [unit, by])
    if data[unit].isna().any():
        raise ValueError(f"{unit!r} is missing in {data[unit].isna().sum()} rows; dropout needs to know who")
    units = pd.factorize(data[unit])[0]
    first = np.flatnonzero(~pd.Series(units).duplicated())
    if by is not None:
        values = pd.factorize(data[by])[0]
        wrong = np.flatnonzero(values != values[first][units])
        if wrong.size:
            label = data[unit].iloc[wrong[0]]
            raise ValueError(f"{by!r} has several values in {unit} {label}: a unit that is lost as a whole needs one")
    return units, first


def _by_unit_and_time(data: pd.DataFrame, unit: str, time: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the order of the rows by unit and time and, in that order, where the unit of each row starts."""
    check_columns(data, [unit, time])
    for name in (unit, time):
        if data[name].isna().any():
            raise ValueError(
                f"{name!r} is missing in {data[name].isna().sum()} rows; dropout needs to know who and when"
            )
    if pd.api.types.is_string_dtype(data[time]) and not isinstance(data[time].dtype, pd.CategoricalDtype):
        raise ValueError(
            f"{time!r} is text, which has no order in time ('10' would come before '2'); make it numbers, or a "
            "pd.Categorical with its categories in order"
        )
    check_order(time, data[time])
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
    if isinstance(rng, Sequence) and not isinstance(rng, str):
        if len(rng) != r:
            raise ValueError(f"there are {r} responses but {len(rng)} generators; give one for each, or a single one")
        return np.array([generator.random(n) for generator in rng]).reshape(r, n)
    return streams.generator(rng).random((r, n))
