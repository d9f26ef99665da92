"""Other ways to say the same numbers: from ICC, Cohen's d, R² and cell means to what a model is given.

Every function returns absolute numbers in the units of the response, and every standard deviation is passed by a
name that says which one it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from keyword import iskeyword
from math import sqrt
from typing import Any, Literal, overload

import numpy as np
import pandas as pd

from lmmsim.checks import is_number, quoted


def icc(*, sd_group: float, sd_residual: float) -> float:
    """Give the intraclass correlation: the share of the variance that lies between groups.

    It is also the correlation of two measurements of one group, in a model with a random intercept and no random
    slope. Both standard deviations are those that remain given the fixed effects (the conditional ICC of a model
    with predictors, the unconditional ICC of one without).

    Parameters
    ----------
    sd_group : float
        Standard deviation of the random intercepts, in the units of the response.
    sd_residual : float
        Standard deviation of the residuals, in the units of the response.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an sd is negative, or both are 0.

    Examples
    --------
    >>> icc(sd_group=1.0, sd_residual=3.0)
    0.1
    """
    _total_sd(sd_group, sd_residual)  # refuses what is not a pair of standard deviations
    return sd_group**2 / (sd_group**2 + sd_residual**2)


@overload
def sd_from_icc(
    icc: float, *, sd_total: float | None = None, sd_residual: float | None = None, total: float | None = None
) -> tuple[float, float]: ...
@overload
def sd_from_icc(
    icc: Mapping[str, float] | None = None,
    *,
    sd_total: float | None = None,
    sd_residual: float | None = None,
    total: float | None = None,
    **shares: float,
) -> dict[str, float]: ...
def sd_from_icc(
    icc: float | Mapping[str, float] | None = None,
    *,
    sd_total: float | None = None,
    sd_residual: float | None = None,
    total: float | None = None,
    **shares: float,
) -> tuple[float, float] | dict[str, float]:
    """Find the standard deviations behind one intraclass correlation, or one for each level, given one more number.

    Parameters
    ----------
    icc : float or mapping, optional
        Share of the variance that lies between groups, 0 or more and below 1 (1 is allowed with `sd_total`). Of several
        levels, the share of each by name, as keywords or as a mapping: ``{"school": 0.10, "school:class": 0.05}``.
    sd_total : float, optional
        Standard deviation of single measurements around the fixed effects: the root of the sum of all variances.
    sd_residual : float, optional
        Standard deviation within the innermost groups. Give this or `sd_total`.
    total : float, optional
        Short for `sd_total`.
    **shares : float
        Share of each level. A word that Python keeps for itself ends in "_", as `class_`; the result has "class".

    Returns
    -------
    (sd_group, sd_residual) or dict
        In the units of the response. Of several levels a dict with the sd of each by name, and of "residual".

    Raises
    ------
    ValueError
        If a share is outside its range, the shares add up to more than 1, or not exactly one sd is given.

    Notes
    -----
    The shares are those of the levels themselves: with 0.10 for schools and 0.05 for classes, two pupils of one school
    but of different classes correlate by 0.10, two of one class by 0.15. Some authors call the latter the ICC of
    classes (Hox, Moerbeek & van de Schoot 2018, section 2.4, have both): subtract the one of schools from it first.

    Examples
    --------
    >>> sd_group, sd_residual = sd_from_icc(0.1, sd_total=10.0)
    >>> round(sd_group, 3), round(sd_residual, 3)
    (3.162, 9.487)
    >>> sds = sd_from_icc(school=0.10, class_=0.05, total=10.0)
    >>> {name: round(sd, 3) for name, sd in sds.items()}
    {'school': 3.162, 'class': 2.236, 'residual': 9.22}
    """
    if total is not None and sd_total is not None:
        raise ValueError("total= is short for sd_total=: give one of the two")
    sd_total = total if sd_total is None else sd_total
    if (sd_total is None) == (sd_residual is None):
        raise ValueError("an ICC is a ratio: give exactly one of sd_total= and sd_residual= to set the scale")
    if isinstance(icc, Mapping) or icc is None:
        return _sds_of_levels({**(icc or {}), **shares}, sd_total, sd_residual)
    if shares:
        raise ValueError(f"icc={quoted(icc)} has no name: name all levels, as school=0.10, class_=0.05")
    if not (is_number(icc) and 0 <= icc <= 1):
        raise ValueError(f"an ICC of a random intercept lies between 0 and 1; got {quoted(icc)}")
    group, residual = _sds_of_levels({"group": icc}, sd_total, sd_residual).values()
    return group, residual


def _sds_of_levels(shares: Mapping[str, float], sd_total: Any, sd_residual: Any) -> dict[str, float]:
    """Standard deviation of each level and of the residual, given the shares of the variance."""
    if not shares:
        raise ValueError("give an ICC, or the share of each level by its name, as school=0.10, class_=0.05")
    for name, share in shares.items():
        if not (is_number(share) and 0 <= share <= 1):
            raise ValueError(f"the ICC of {quoted(name)} is {quoted(share)}; a share lies between 0 and 1")
    left = 1 - sum(shares.values())
    if -1e-12 < left < 1e-12:
        left = 0.0
    named = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    if left < 0:
        raise ValueError(
            f"the shares add up to {1 - left:g}, more than the whole variance ({named}): give the share of each level "
            "alone, without those of the levels that it is nested in"
        )
    if sd_residual is not None and left == 0:
        raise ValueError("an ICC of 1 leaves no residual variance: give sd_total= instead of sd_residual=")
    variance = _sd(sd_total, "sd_total") ** 2 if sd_residual is None else _sd(sd_residual, "sd_residual") ** 2 / left
    sds = {_plain_name(name): sqrt(share * variance) for name, share in shares.items()}
    if len(sds) < len(shares) or "residual" in sds:
        raise ValueError(f"the levels {', '.join(shares)} need names of their own, other than 'residual'")
    return {**sds, "residual": sqrt(left * variance) if sd_residual is None else float(sd_residual)}


def _plain_name(name: str) -> str:
    """The name of a level without the underscore that keeps it from being a word of Python."""
    return name[:-1] if name.endswith("_") and iskeyword(name[:-1]) else name


def effect_from_d(
    d: float, *, sd_group: float, sd_residual: float, standardizer: Literal["total", "residual", "group"]
) -> float:
    """Turn Cohen's d into a difference in the units of the response.

    With groups there are several standard deviations that a d may have been divided by, and they give different
    differences; this is why the standardizer has no default (Hedges 2007).

    Parameters
    ----------
    d : float
        Standardised difference of two means.
    sd_group : float
        Standard deviation of the random intercepts, in the units of the response.
    sd_residual : float
        Standard deviation of the residuals, in the units of the response.
    standardizer : "total", "residual" or "group"
        The sd that `d` is a multiple of: ``sqrt(sd_group**2 + sd_residual**2)`` (of single measurements),
        `sd_residual` (within groups) or `sd_group` (between the true means of groups).

    Returns
    -------
    float
        Difference of two means, in the units of the response.

    Raises
    ------
    ValueError
        If `standardizer` is none of the three, or an sd is negative.

    Examples
    --------
    >>> effect_from_d(0.5, sd_group=3.0, sd_residual=4.0, standardizer="total")
    2.5
    >>> effect_from_d(0.5, sd_group=3.0, sd_residual=4.0, standardizer="residual")
    2.0
    """
    sds = {"total": _total_sd(sd_group, sd_residual), "residual": sd_residual, "group": sd_group}
    if standardizer not in sds:
        raise ValueError(f"standardizer must be 'total', 'residual' or 'group'; got {standardizer!r}")
    if not is_number(d):
        raise ValueError(f"d is a finite number, a difference in multiples of an sd; got {quoted(d)}")
    return d * sds[standardizer]


def slope_from_r2(r2: float, *, sd_predictor: float, sd_group: float, sd_residual: float) -> float:
    """Find the slope of a single predictor that explains a share of the variance.

    The share is the marginal R²: the variance of the fixed part over the variance of everything
    (Nakagawa & Schielzeth 2013).

    Parameters
    ----------
    r2 : float
        Marginal R² of a model with this one predictor, 0 or more and below 1.
    sd_predictor : float
        Standard deviation of the predictor, in its own units.
    sd_group : float
        Standard deviation of the random intercepts, in the units of the response (0 if there are none).
    sd_residual : float
        Standard deviation of the residuals, in the units of the response.

    Returns
    -------
    float
        Positive slope, in units of the response per unit of the predictor.

    Raises
    ------
    ValueError
        If `r2` is outside its range, an sd is negative, or `sd_predictor` is 0.

    Examples
    --------
    >>> slope_from_r2(0.2, sd_predictor=2.0, sd_group=3.0, sd_residual=4.0)
    1.25
    """
    if not (is_number(r2) and 0 <= r2 < 1):
        raise ValueError(f"r2 must be 0 or more and below 1; got {quoted(r2)}")
    if _sd(sd_predictor, "sd_predictor") == 0:
        raise ValueError("sd_predictor is 0: a predictor that does not vary explains nothing")
    return sqrt(r2 / (1 - r2)) * _total_sd(sd_group, sd_residual) / sd_predictor


def beta_from_means(means: pd.Series | Mapping[str, Mapping[Any, float]]) -> dict[str, float]:
    """Turn the means of the cells of a factorial design into coefficients in treatment coding.

    The first level named of every factor is its reference (of an ordered level of categories: the first category).

    Parameters
    ----------
    means : Series or mapping
        Means in the units of the response. For one factor a mapping ``{factor: {level: mean}}``; for any number, a
        Series whose index levels are named after the factors and that holds every combination once.

    Returns
    -------
    dict of str to float
        By the names that formulaic gives to ``a * b``: "Intercept", "a[T.x]", "b[T.y]", "a[T.x]:b[T.y]".

    Raises
    ------
    ValueError
        If a factor has no name, or a combination of levels is missing or occurs twice.

    Examples
    --------
    >>> beta_from_means({"fertilizer": {"Control": 10, "A": 12}})
    {'Intercept': 10.0, 'fertilizer[T.A]': 2.0}

    >>> cells = pd.MultiIndex.from_product([["word", "nonword"], ["easy", "hard"]], names=["kind", "context"])
    >>> beta_from_means(pd.Series([500, 530, 600, 680], index=cells))
    {'Intercept': 500.0, 'kind[T.nonword]': 100.0, 'context[T.hard]': 30.0, 'kind[T.nonword]:context[T.hard]': 50.0}
    """
    cells = _cells(means)
    factors = [str(name) for name in cells.index.names]
    levels = [_levels(cells.index.get_level_values(i)) for i in range(len(factors))]
    combinations_ = pd.MultiIndex.from_product(levels)
    ordered = pd.Series(cells.to_numpy(), index=_plain(cells.index)).reindex(combinations_)
    table = pd.to_numeric(ordered, errors="coerce").to_numpy(dtype=float).reshape([len(named) for named in levels])
    if not np.isfinite(table).all():
        lost = combinations_[~np.isfinite(table.ravel())][0]
        raise ValueError(f"means has no finite value for the cell {_cell(factors, lost)}; every combination needs one")
    # Along every axis: the reference stays, every other level becomes its difference from the reference.
    for axis in range(table.ndim):
        reference, others = np.split(table, [1], axis=axis)
        table = np.concatenate([reference, others - reference], axis=axis)

    beta = {}
    for size in range(len(factors) + 1):
        for chosen in combinations(range(len(factors)), size):
            # formulaic lets the first factor vary fastest among the columns of an interaction
            for cell in sorted(np.ndindex(*table.shape), key=lambda cell: cell[::-1]):
                if all((cell[i] > 0) == (i in chosen) for i in range(len(factors))):
                    name = ":".join(f"{factors[i]}[T.{levels[i][cell[i]]}]" for i in chosen)
                    beta[name or "Intercept"] = float(table[cell])
    return beta


def _cells(means: pd.Series | Mapping[str, Mapping[Any, float]]) -> pd.Series:
    """Cell means as a Series whose index has named levels and no duplicates."""
    if not isinstance(means, pd.Series):
        if not isinstance(means, Mapping) or len(means) != 1 or not isinstance(next(iter(means.values())), Mapping):
            raise ValueError(
                "means must be {factor: {level: mean}} for one factor, as in {'fertilizer': {'Control': 10, 'A': 12}}, "
                "or a Series with one named index level per factor"
            )
        factor, by_level = next(iter(means.items()))
        means = pd.Series(dict(by_level)).rename_axis(factor)
    if not len(means):
        raise ValueError("means is empty; give the mean of every cell")
    if any(name is None for name in means.index.names):
        raise ValueError(f"every index level of means needs the name of its factor; got {list(means.index.names)}")
    if means.index.has_duplicates:
        twice = means.index[means.index.duplicated()][0]
        raise ValueError(f"means holds the cell {_cell([str(n) for n in means.index.names], twice)} more than once")
    return means


def _levels(values: pd.Index) -> list[Any]:
    """Levels of a factor, the reference first."""
    if isinstance(values, pd.CategoricalIndex):
        return [level for level in values.categories if level in set(values)]
    return list(values.unique())


def _plain(index: pd.Index) -> pd.MultiIndex:
    """Same cells as a MultiIndex of plain objects, also for one factor."""
    return pd.MultiIndex.from_arrays([list(index.get_level_values(i)) for i in range(index.nlevels)])


def _cell(factors: list[str], cell: Any) -> str:
    """Name a cell: kind = word, context = easy."""
    values = cell if isinstance(cell, tuple) else (cell,)
    return ", ".join(f"{factor} = {value}" for factor, value in zip(factors, values, strict=True))


def _sd(value: Any, name: str) -> float:
    """Finite number of 0 or more."""
    if not is_number(value) or value < 0:
        raise ValueError(f"{name} is a standard deviation and cannot be negative; got {quoted(value)}")
    return float(value)


def _total_sd(sd_group: float, sd_residual: float) -> float:
    """Standard deviation of single measurements, above 0."""
    total = sqrt(_sd(sd_group, "sd_group") ** 2 + _sd(sd_residual, "sd_residual") ** 2)
    if total == 0:
        raise ValueError("sd_group and sd_residual are both 0: without any variance there is no scale")
    return total
