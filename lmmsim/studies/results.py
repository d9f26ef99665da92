"""Answers: what one analysis said about a run of replicates, as arrays.

Whatever an analysis returns (an `Estimates`, a `Fit`, a table, a Series, a statsmodels result) is read into the same
arrays: a row per replicate, a column per term. A replicate that could not be analysed is a row of NaN, and its reason
is kept under its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.estimators.estimates import Estimates, component_table, critical_value, p_value
from lmmsim.estimators.fit import Fit

COLUMNS = ("estimate", "se", "df", "p", "low", "high")


@dataclass(frozen=True, eq=False)
class Answers:
    """One analysis of m replicates.

    Attributes
    ----------
    terms : tuple of str, length p
    estimate, se, df : ndarray, (m, p)
    given : dict of ndarray, (m, p)
        `p`, `low` and `high` where the analysis brings its own; otherwise they follow from `estimate`, `se` and `df`.
    components : dict of ndarray, (m,)
        Standard deviations and correlations by name: "sd plot Intercept", "corr plot Intercept week", "sd residual".
    converged, singular : ndarray of bool, (m,)
    problems : dict
        Number of a replicate that failed or did not converge: the reason.
    level : float
        Level of the intervals.
    """

    terms: tuple[str, ...]
    estimate: np.ndarray
    se: np.ndarray
    df: np.ndarray
    converged: np.ndarray
    singular: np.ndarray
    components: dict[str, np.ndarray] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    given: dict[str, np.ndarray] = field(default_factory=dict)
    level: float = 0.95

    def __len__(self) -> int:
        return len(self.estimate)

    @property
    def failed(self) -> np.ndarray:
        """Replicates without any estimate, (m,)."""
        return np.isnan(self.estimate).all(axis=1)

    def p(self, j: int) -> np.ndarray:
        """Two-sided p values of term j against zero, (m,)."""
        return self.given["p"][:, j] if self.given else self.p_against(0.0, j)

    def p_against(self, value: float, j: int) -> np.ndarray:
        """p values of term j against any value, by its t distribution, (m,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (self.estimate[:, j] - value) / self.se[:, j]
        return p_value(t, self.df[:, j])

    def interval(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the intervals of term j, (m,) each."""
        if self.given:
            return self.given["low"][:, j], self.given["high"][:, j]
        df, place = np.unique(self.df[:, j], return_inverse=True)  # few distinct df, or all are
        reach = critical_value(df, self.level)[place] * self.se[:, j]
        return self.estimate[:, j] - reach, self.estimate[:, j] + reach

    def covers(self, value: float, j: int) -> np.ndarray:
        """Whether the interval of term j holds a value, as 1, 0 or NaN, (m,)."""
        if self.given:
            low, high = self.interval(j)
            return np.where(np.isnan(low), np.nan, (low <= value) & (value <= high))
        p = self.p_against(value, j)  # the same question, and far cheaper than the quantiles of t
        return np.where(np.isnan(p), np.nan, p >= 1 - self.level)


def join(parts: Sequence[Answers]) -> Answers:
    """Put runs of replicates one after another; a term that one of them lacks is NaN there."""
    # a run that failed as a whole knows no terms
    terms = tuple(dict.fromkeys(term for part in parts for term in part.terms))
    names = tuple(dict.fromkeys(name for part in parts for name in part.components))
    given = tuple(dict.fromkeys(name for part in parts for name in part.given))

    def stack(arrays: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([_spread(a, part.terms, terms) for a, part in zip(arrays, parts, strict=True)])

    return Answers(
        terms,
        stack(part.estimate for part in parts),
        stack(part.se for part in parts),
        stack(part.df for part in parts),
        np.concatenate([part.converged for part in parts]),
        np.concatenate([part.singular for part in parts]),
        {n: np.concatenate([part.components.get(n, np.full(len(part), np.nan)) for part in parts]) for n in names},
        {k: problem for part in parts for k, problem in part.problems.items()},
        {n: stack(part.given.get(n, np.full(part.estimate.shape, np.nan)) for part in parts) for n in given},
        next((part.level for part in parts if part.terms), 0.95),
    )


def _spread(values: np.ndarray, terms: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Columns of `terms` at their places among the wanted ones."""
    if terms == wanted:
        return values
    wide = np.full((len(values), len(wanted)), np.nan)
    wide[:, [wanted.index(term) for term in terms]] = values
    return wide


def nothing(first: int, last: int, reason: str) -> Answers:
    """Replicates that could not be analysed, all for one reason."""
    m = last - first
    none, no = np.empty((m, 0)), np.zeros(m, dtype=bool)
    return Answers((), none, none, none, no, no, problems={k: reason for k in range(first, last)})


def from_estimates(estimates: Estimates, first: int, names: Mapping[str, tuple[str, ...]]) -> Answers:
    """Read what `.many` returns; `names` has the columns of every grouping factor."""
    components = {}
    if estimates.random:
        components = component_table(estimates.random, names, estimates.sigma)
    failed = np.isnan(estimates.estimate).all(axis=1)
    converged = np.asarray(estimates.converged, dtype=bool) & ~failed
    problems = {}
    for i in np.flatnonzero(~converged):
        problems[first + int(i)] = str(estimates.message[i]) or ("no estimates" if failed[i] else "not converged")
    return Answers(
        tuple(estimates.terms),
        estimates.estimate,
        estimates.se,
        np.broadcast_to(estimates.df, estimates.estimate.shape),
        converged,
        np.asarray(estimates.singular, dtype=bool),
        components,
        problems,
        level=float(getattr(estimates, "level", 0.95)),
    )


def read(result: Any, k: int) -> Answers:
    """Read what an analysis returned for the data of replicate k.

    Parameters
    ----------
    result : Fit, DataFrame, Series, mapping or statsmodels result
        A DataFrame has a row per term (its index, or a column "term") and the columns `estimate` and, as far as they
        are known, `se df p low high converged singular`. A Series or mapping holds estimates by term.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(result, Fit):
        random = {group: G.to_numpy()[None] for group, G in result.random.items()}
        names = {group: tuple(G.columns) for group, G in result.random.items()}
        components = component_table(random, names, np.array([result.sigma])) if random else {}
        flags = (result.converged, result.singular)
        return _row(result.coef, k, components, *flags, message=result.message, level=result.level)
    if isinstance(result, pd.DataFrame) and "estimate" in result:
        table = result.set_index("term") if "term" in result else result
        converged = bool(table["converged"].all()) if "converged" in table else True
        singular = bool(table["singular"].any()) if "singular" in table else False
        return _row(table, k, {}, converged, singular)
    if isinstance(result, pd.Series | Mapping):
        return _row(pd.DataFrame({"estimate": pd.Series(dict(result), dtype=float)}), k)
    if all(hasattr(result, name) for name in ("params", "bse", "pvalues", "conf_int")):
        return _row(_from_statsmodels(result), k, {}, bool(getattr(result, "converged", True)))
    what = f"a table with the columns {list(map(str, result))}" if isinstance(result, pd.DataFrame) else repr(result)
    raise TypeError(
        "an analysis returns a Fit, a DataFrame with a row per term and a column 'estimate' (and se, df, p, low, high "
        f"as far as they are known), a Series of estimates or a statsmodels result; this one returned {what[:200]}"
    )


def _row(
    table: pd.DataFrame,
    k: int,
    components: dict[str, np.ndarray] | None = None,
    converged: bool = True,
    singular: bool = False,
    message: str = "",
    level: float = 0.95,
) -> Answers:
    """Answers of one replicate; p and interval are filled in where se and df say what they are."""
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise ValueError(f"the table that an analysis returned has more than one row for the term '{twice[0]}'")
    columns = {
        name: table[name].to_numpy(dtype=float) if name in table else np.full(len(table), np.nan) for name in COLUMNS
    }
    estimate, se, df, p, low, high = columns.values()
    estimate = np.where(np.isfinite(estimate), estimate, np.nan)  # whatever diverged has no mean either
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(np.isnan(p), p_value(estimate / se, df), p)
        reach = critical_value(df, level) * se
    low, high = np.where(np.isnan(low), estimate - reach, low), np.where(np.isnan(high), estimate + reach, high)
    problems = {} if converged else {k: message or "not converged"}
    if np.isnan(estimate).all():
        converged, problems = False, {k: message or "no finite estimates"}
    return Answers(
        tuple(map(str, table.index)),
        estimate[None],
        se[None],
        df[None],
        np.array([converged]),
        np.array([singular]),
        components or {},
        problems,
        {"p": p[None], "low": low[None], "high": high[None]},
        level,
    )


def _from_statsmodels(result: Any) -> pd.DataFrame:
    """Coefficients of a statsmodels result; of a mixed model the fixed effects, not its variance ratios."""
    mixed = hasattr(result, "fe_params")
    params = result.fe_params if mixed else result.params
    names = params.index if isinstance(params, pd.Series) else result.model.exog_names[: len(params)]
    p = len(params)
    df = getattr(result, "df_resid_inference", None) or getattr(result, "df_resid", np.inf)
    ends = np.asarray(result.conf_int())[:p]
    columns = {
        "estimate": np.asarray(params),
        "se": np.asarray(result.bse)[:p],
        "df": df if getattr(result, "use_t", False) else np.inf,
        "p": np.asarray(result.pvalues)[:p],
        "low": ends[:, 0],
        "high": ends[:, 1],
    }
    return pd.DataFrame(columns, index=names)


ARRAYS = ("estimate", "se", "df", "converged", "singular")


class Collected:
    """Answers of one analysis.

    Parameters
    ----------
    replicates : int
        How many are wanted; what a task has beyond them is left out.

    Attributes
    ----------
    tried, failed : int
        Replicates so far.
    problems : dict
        Reasons by replicate, as in `Answers`.
    """

    def __init__(self, replicates: int) -> None:
        self.replicates = replicates
        self.tried = self.failed = 0
        self.problems: dict[int, str] = {}
        self._whole: Answers | None = None
        self._spans: list[tuple[int, int]] = []
        self._other: list[tuple[int, Answers]] = []  # replicates with other terms

    def put(self, first: int, answers: Answers) -> None:
        """Take the answers of the replicates from first on."""
        one = rows(answers, 0, min(len(answers), self.replicates - first))
        self.tried += len(one)
        self.failed += int(one.failed.sum())
        self.problems |= {k: problem for k, problem in answers.problems.items() if k < self.replicates}
        if self._whole is None and one.terms:
            self._whole = _blank(one, self.replicates)
        if self._whole is None or _shape(one) != _shape(self._whole):
            self._other.append((first, one))
            return
        last = first + len(one)
        self._spans.append((first, last))
        for array in ARRAYS:
            getattr(self._whole, array)[first:last] = getattr(one, array)
        for name, values in one.components.items():
            self._whole.components[name][first:last] = values
        for name, values in one.given.items():
            self._whole.given[name][first:last] = values

    def finish(self) -> Answers:
        """Return the answers of all replicates."""
        whole = self._whole
        if whole is None or self._other:
            parts = list(self._other)
            if whole is not None:
                parts += [(first, rows(whole, first, last)) for first, last in self._spans]
            whole = join([part for _, part in sorted(parts, key=lambda part: part[0])])
        whole.problems.clear()
        whole.problems.update(self.problems)
        return whole


def rows(answers: Answers, begin: int, end: int) -> Answers:
    """Some rows of the arrays, without the problems."""
    return Answers(
        answers.terms,
        **{array: getattr(answers, array)[begin:end] for array in ARRAYS},
        problems={},
        components={name: values[begin:end] for name, values in answers.components.items()},
        given={name: values[begin:end] for name, values in answers.given.items()},
        level=answers.level,
    )


def _shape(answers: Answers) -> tuple:
    return answers.terms, tuple(answers.components), tuple(answers.given), answers.level


def _blank(like: Answers, replicates: int) -> Answers:
    """Arrays of the same columns for all replicates, not yet filled."""

    def room(values: np.ndarray) -> np.ndarray:
        return np.empty((replicates, *values.shape[1:]), dtype=values.dtype)

    return Answers(
        like.terms,
        **{array: room(getattr(like, array)) for array in ARRAYS},
        problems={},
        components={name: room(values) for name, values in like.components.items()},
        given={name: room(values) for name, values in like.given.items()},
        level=like.level,
    )
