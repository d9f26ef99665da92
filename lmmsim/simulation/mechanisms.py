"""Rules: how probable it is that a value gets lost, said by a number, by arm, or by a function of the rows.

A rule is judged for many responses of one design at once, as arrays of one row per response. Whatever it gives is
checked to be a probability.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim import streams
from lmmsim.checks import as_frame, check_columns, check_frame, is_number, quoted
from lmmsim.simulation.occasions import check_order
from lmmsim.streams import Rng

# A probability for everyone, one for each value of the column `by`, or a judge of the rows of a table.
Rule = float | Mapping[Any, float] | Callable[[pd.DataFrame], ArrayLike]
# Rows of a table that a function judges at once: bounds the memory when many responses share one design.
BLOCK = 100_000


def check_rule(what: str, rule: Rule, by: str | None) -> None:
    """Refuse what is wrong with a rule whatever the data."""
    if isinstance(rule, Mapping) != (by is not None):
        raise ValueError(
            f"{what} and by belong together: a mapping such as {{'Control': 0.05, 'drug': 0.2}} needs by= with the "
            "column of its keys, and nothing else does"
        )
    if not callable(rule):
        given = list(rule.values()) if isinstance(rule, Mapping) else [rule]
        if wrong := [value for value in given if not isinstance(value, Real)]:
            raise ValueError(
                f"{what} is a number, one for each value of a column, or a function of the data; got {quoted(wrong[0])}"
            )
        _check_chances(what, np.array(given, dtype=float))


def chances_of(
    what: str, rule: Rule, by: str | None, table: pd.DataFrame, Y: np.ndarray, response: str | None, at_risk: np.ndarray
) -> np.ndarray:
    """Probability of a loss for every row of every response, (r, n) or broadcastable to it; checked where at risk."""
    if callable(rule):
        chances = judge(what, rule, table, Y, response)
        _check_chances(what, chances[at_risk])
        return chances
    if not isinstance(rule, Mapping):
        return np.array([[float(rule)]])
    check_columns(table, [by])
    chances = table[by].map(dict(rule)).to_numpy(dtype=float, na_value=np.nan)[None, :]
    missing = table[by][np.isnan(chances[0]) & at_risk.any(axis=0)].unique()
    extra = [key for key in rule if key not in set(table[by])]
    if len(missing) or extra:
        alike = set(map(str, table[by].unique())) & set(map(str, extra))
        raise ValueError(
            f"{what} does not match the column {by!r}.\n  without a value: {', '.join(map(str, missing)) or 'none'}\n"
            f"  not in the column: {', '.join(map(str, extra)) or 'none'}"
            + ("\n  numbers and text are not the same: 1 is not '1'" if alike else "")
        )
    return chances


def judge(
    what: str, rule: Callable[[pd.DataFrame], ArrayLike], table: pd.DataFrame, Y: np.ndarray, response: str | None
) -> np.ndarray:
    """What a function says of every row of every response, (r, n), many tables stacked into one at a time."""
    r, n = Y.shape
    per_block = max(1, BLOCK // max(1, n))
    out = np.empty((r, n))
    for first in range(0, r, per_block):
        block = Y[first : first + per_block]
        out[first : first + per_block] = _ask(what, rule, table, block, response)
    # rtol: a vectorised function may round the last bit another way in a longer array.
    if r > 1 and not np.allclose(_ask(what, rule, table, Y[:1], response)[0], out[0], rtol=1e-9, equal_nan=True):
        raise ValueError(
            f"{what} judges a row by the other rows of its table (by their mean, say): with many data sets in one "
            "table this means something else. Compare each row with a fixed number, or with another column"
        )
    return out


def _ask(
    what: str, rule: Callable[[pd.DataFrame], ArrayLike], table: pd.DataFrame, Y: np.ndarray, response: str | None
) -> np.ndarray:
    """One call of the function on the table repeated for every response; (r, n)."""
    r, n = Y.shape
    stacked = table.iloc[np.tile(np.arange(n), r)] if r > 1 else table
    if response is not None:
        stacked = stacked.assign(**{response: Y.ravel()})
    answer = np.asarray(rule(stacked), dtype=float)
    if answer.ndim and answer.shape != (r * n,):
        raise ValueError(f"{what} must give one number per row; for {r * n} rows it gave the shape {answer.shape}")
    return np.broadcast_to(answer, (r * n,)).reshape(r, n)


def _check_chances(what: str, chances: np.ndarray) -> None:
    """Refuse probabilities that are none, saying how many and giving one."""
    unknown = int(np.isnan(chances).sum())
    if unknown:
        raise ValueError(
            f"{what} is NaN for {unknown} of {chances.size} rows: does it use a column, or a first measurement, "
            "that is missing?"
        )
    wrong = chances[(chances < 0) | (chances > 1)]
    if wrong.size:
        raise ValueError(
            f"{what} must be a probability, between 0 and 1; {wrong.size} of {chances.size} are not, "
            f"the first is {wrong[0]:g}"
        )


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
