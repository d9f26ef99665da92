"""Analyses: the right ones of a data set, and the typical wrong ones, each with its answers to the questions.

An answer that is wrong is often right for another analysis; which one says what has to be explained.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.course.orders import moved_levels
from lmmsim.course.questions import AS_IS, OF_PART, Question
from lmmsim.estimators.estimates import critical_value, p_value
from lmmsim.estimators.least_squares import OLS, GroupMeans
from lmmsim.estimators.lmm import LMM
from lmmsim.model.formula import Parts, split, terms_of
from lmmsim.model.residual import Residual

Values = dict[str, float | str]

# Mistakes: where the numbers come from, and the share of the points that an answer with it gets.
MISTAKES: dict[str, tuple[str, float]] = {
    "OLS": ("an ordinary regression, which takes the rows for independent", 0.0),
    "aggregated": ("a regression of unit means, which leaves out what happens inside the units", 0.25),
    "missing slope": ("a mixed model without the random slope, in which units differ in their intercepts only", 0.25),
    "missing level": ("a mixed model that leaves out a level of grouping", 0.25),
    "complete cases": ("the units without a missing value alone, which throws measurements away", 0.25),
    "wrong reference": (
        "a model whose levels are in another order, as after sorting, so the coefficient compares other levels",
        0.5,
    ),
    "z": ("the normal distribution (z) in place of t, which ignores how few units there are", 0.5),
    "independent residuals": ("a model with independent residuals, where they go together within a unit", 0.25),
    "ML": ("full maximum likelihood in place of REML, which makes variances too small", 0.5),
    "variance": ("a variance where the standard deviation was asked for", 0.5),
}


@dataclass(frozen=True)
class Reading:
    """What one analysis answers to every question that it can answer.

    Attributes
    ----------
    name : str
    mistakes : tuple of str
        None of them for a right analysis.
    values : dict
        By id of the question.
    estimates : dict
        Estimate and standard error of what each question is about.
    singular : bool
    undecided : tuple of str
        Questions for a yes or no whose p is at 0.05, as far as other programs agree on it.
    """

    name: str
    mistakes: tuple[str, ...]
    values: Values
    estimates: dict[str, tuple[float, float]]
    singular: bool = False
    undecided: tuple[str, ...] = ()


def readings(
    data: pd.DataFrame, formula: str, questions: Sequence[Question], residual: Residual | None = None
) -> list[Reading]:
    """Analyse a data set in the right and the wrong ways.

    Parameters
    ----------
    data : DataFrame
        As it was read from the file that is handed out.
    formula : str
        The right analysis.
    questions : sequence of Question
    residual : Residual, optional
        How the residuals of the right analysis go together.

    Returns
    -------
    list of Reading
        The right ones first: REML with Satterthwaite's and with Kenward and Roger's degrees of freedom.

    Raises
    ------
    ValueError
        If the right analysis of these data cannot answer a question.
    """
    parts = split(formula)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best = LMM(formula, residual=residual)(data)
        first = _reading("REML, Satterthwaite", (), best, questions, {})
        if lost := [question.id for question in questions if question.id not in first.values]:
            raise ValueError(f"the analysis {formula} has no answer to {', '.join(lost)}")
        moved = moved_levels(data, formula, questions)
        found: list[Reading | None] = [first]
        if residual is None:
            found.append(_tried("REML, Kenward-Roger", (), LMM(formula, df="kenward-roger"), data, questions, {}))
        found += [_decided_otherwise(one) for one in found if one is not None and one.undecided]
        found.append(_with_z(first, questions))
        if moved:
            other = _reading("REML, other reference", ("wrong reference",), best, questions, moved)
            found += [other, _with_z(other, questions)]
        found += _wrong(data, parts, questions, moved, residual)
        if any(question.ask == "sd" for question in questions):
            squares: Values = {q.id: float(first.values[q.id]) ** 2 for q in questions if q.ask == "sd"}
            found.append(Reading("variance", ("variance",), first.values | squares, first.estimates))
    return _different([one for one in found if one is not None])


def _wrong(
    data: pd.DataFrame, parts: Parts, questions: Sequence[Question], moved: Mapping[str, Any], residual: Residual | None
) -> list[Reading]:
    """The wrong analyses that this formula and these data allow."""
    fixed, bars = f"{parts.response} ~ {parts.fixed}", [f"({bar.effects} | {_group(bar.group)})" for bar in parts.bars]
    specs: list[tuple[tuple[str, ...], Any, pd.DataFrame]] = [(("OLS",), OLS(fixed), data)]
    specs.append((("ML",), LMM(parts.formula, reml=False, residual=residual), data))
    if residual is not None and bars:
        specs.append((("independent residuals",), LMM(parts.formula), data))
    plain = [f"(1 | {_group(group)})" for group in dict.fromkeys(bar.group for bar in parts.bars)]
    if any(bar.effects != "1" for bar in parts.bars):
        specs.append((("missing slope",), LMM(f"{fixed} + {' + '.join(plain)}"), data))
    if len(bars) > 1:
        for k in range(len(bars)):
            rest = " + ".join(bar for i, bar in enumerate(bars) if i != k)
            specs.append((("missing level",), LMM(f"{fixed} + {rest}"), data))
    if data[parts.response].isna().any() and parts.bars:
        group = list(parts.bars[0].group)
        whole = ~data[parts.response].isna().groupby([data[name] for name in group], observed=True).transform("any")
        specs.append((("complete cases",), LMM(parts.formula, residual=residual), data[whole]))
        specs.append((("OLS", "complete cases"), OLS(fixed), data[whole]))
    found: list[Reading | None] = []
    for mistakes, spec, rows in specs:
        name, last = ", ".join(mistakes), []
        last.append(_tried(name, mistakes, spec, rows, questions, {}))
        if moved and mistakes[0] in ("OLS", "missing slope"):
            last.append(_tried(name, (*mistakes, "wrong reference"), spec, rows, questions, moved))
        found += last
        if mistakes[0] != "OLS":
            found += [_with_z(one, questions) for one in last if one is not None]
    found += [_tried("aggregated", ("aggregated",), spec, data, questions, {}) for spec in _aggregated(data, parts)]
    return [one for one in found if one is not None]


def _aggregated(data: pd.DataFrame, parts: Parts) -> list[GroupMeans]:
    """Regressions of means, on all terms and on those that are the same inside of what is averaged."""
    found, terms = [], terms_of(parts.fixed)
    columns = list(dict.fromkeys(c for term in terms for c in _plain(term).split(":") if c in data))
    for unit in _averaged(data, parts, columns):
        same = {*unit, *_same_within(data, unit, columns)}
        between = [term for term in terms if term == "1" or same.issuperset(_plain(term).split(":"))]
        for some in (terms, between) if len(between) < len(terms) else (terms,):
            if len(some) > 1:
                right = " + ".join(some if "1" in terms else ["0", *some])
                found.append(GroupMeans(f"{parts.response} ~ {right}", unit=unit))
    return found


def _averaged(data: pd.DataFrame, parts: Parts, columns: Sequence[str]) -> list[list[str]]:
    """Whose rows students average: those of a unit, of a unit under each treatment, and of each cell of a figure."""
    units = [list(group) for group in dict.fromkeys(bar.group for bar in parts.bars)]
    factors = [c for c in columns if isinstance(data[c].dtype, pd.CategoricalDtype)]
    cells = [list(columns)] if units and columns else []
    for unit in units:
        same = {*unit, *_same_within(data, unit, factors)}
        if inside := [c for c in factors if c not in same]:
            cells.append([*unit, *inside])
    return [*units, *(one for one in cells if 2 * data.groupby(one, observed=True).ngroups <= len(data))]


def _same_within(data: pd.DataFrame, unit: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The columns that have one value in all rows of a unit."""
    codes = data.groupby(list(unit), observed=True, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(codes, return_index=True)[1]
    looks = {name: pd.factorize(data[name])[0] for name in columns}
    return [name for name, look in looks.items() if (look[first][codes] == look).all()]


def _plain(term: str) -> str:
    """The columns of a term as the data name them."""
    return term.replace("`", "")


def _tried(
    name: str,
    mistakes: tuple[str, ...],
    spec: Any,
    data: pd.DataFrame,
    questions: Sequence[Question],
    moved: Mapping[str, Any],
) -> Reading | None:
    """The reading of an analysis, if these data allow it."""
    try:
        return _reading(name, mistakes, spec(data), questions, moved)
    except (ValueError, np.linalg.LinAlgError):
        return None


def _reading(
    name: str, mistakes: tuple[str, ...], fit: Any, questions: Sequence[Question], moved: Mapping[str, Any]
) -> Reading:
    """Ask a fit all questions, under the levels' order that `moved` says."""
    table = _by_row(fit.coef)
    components = fit.components.to_dict() if any(question.ask in OF_PART for question in questions) else {}
    asked = {q.id: q.contrast or moved[q.id] for q in questions if q.contrast is not None or q.id in moved}
    asked = {name: one for name, one in asked.items() if name not in moved or all(term in table for term in one)}
    distinct = {str(weights): weights for weights in asked.values()}
    rows = _by_row(fit.contrast(distinct)) if distinct else {}
    values: Values = {}
    estimates: dict[str, tuple[float, float]] = {}
    undecided = []
    for question in questions:
        if question.ask in OF_PART:
            value = components.get((question.ask, question.group, question.term), np.nan)
            scatter = table.get(question.term, {}).get("se", 0.0) * np.sqrt(_count(fit, question.group))
            row = {question.ask: value, "estimate": value, "se": scatter, "p": 1.0}
        elif question.id in asked:
            row = rows[str(asked[question.id])]
        else:
            row = {} if question.id in moved else table.get(question.term, {})
        if row and np.isfinite([row["estimate"], row["se"], row["p"]]).all():
            values[question.id] = _value(question, row)
            estimates[question.id] = float(row["estimate"]), float(row["se"])
            if question.ask == "significant" and abs(row["p"] - 0.05) <= AS_IS["p"]:
                undecided.append(question.id)
    return Reading(name, mistakes, values, estimates, bool(getattr(fit, "singular", False)), tuple(undecided))


def _by_row(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The numbers of a table by row and column; pandas' own way takes as long as the fit."""
    numbers = table.select_dtypes("number")
    return {
        name: dict(zip(numbers.columns, row, strict=True))
        for name, row in zip(numbers.index, numbers.to_numpy(dtype=float).tolist(), strict=True)
    }


def _decided_otherwise(one: Reading) -> Reading:
    """The same analysis where a p-value at 0.05 comes out on the other side."""
    words: Values = {name: "no" if one.values[name] == "yes" else "yes" for name in one.undecided}
    return replace(one, name=f"{one.name}, other side of 0.05", values=one.values | words)


def _count(fit: Any, group: str) -> int:
    """How many units of a grouping factor a fit has; none of the residual."""
    return int(dict(getattr(fit, "ngroups", {})).get(group, 0))


def _value(question: Question, row: Any) -> float | str:
    if question.ask == "significant":
        return "yes" if row["p"] < 0.05 else "no"
    return float(row[question.ask])


def _with_z(one: Reading, questions: Sequence[Question]) -> Reading:
    """The same analysis with the normal distribution in place of t: p and intervals change, df are none."""
    values = dict(one.values)
    for question in questions:
        estimate, se = one.estimates.get(question.id, (np.nan, 0.0))
        if question.id not in values or question.ask in ("estimate", "se", "t", *OF_PART):
            continue
        infinite = np.array([np.inf])
        p, reach = p_value(np.array([estimate / se]), infinite)[0], critical_value(infinite)[0] * se
        z = pd.Series({"p": float(p), "low": float(estimate - reach), "high": float(estimate + reach)})
        if question.ask == "df":
            del values[question.id]
        else:
            values[question.id] = _value(question, z)
    return Reading(f"{one.name}, z", (*one.mistakes, "z"), values, one.estimates, one.singular)


def _group(columns: Sequence[str]) -> str:
    """A grouping factor as a formula writes it."""
    return ":".join(column if column.isidentifier() and column.isascii() else f"`{column}`" for column in columns)


def _different(found: Sequence[Reading]) -> list[Reading]:
    """Drop what answers as an earlier one does, if that explains it by nothing else, or is right."""
    kept: list[Reading] = []
    for one in found:
        before = (other for other in kept if set(other.mistakes) <= set(one.mistakes))
        if one.values and not any(_same(one.values, other.values) for other in before):
            kept.append(one)
    return kept


def _same(one: Values, other: Values) -> bool:
    """Whether all answers of one are those of the other, up to the arithmetic."""
    if not set(one) <= set(other):
        return False
    return all(
        value == other[name] if isinstance(value, str) else np.isclose(value, float(other[name]), rtol=1e-5, atol=1e-12)
        for name, value in one.items()
    )
