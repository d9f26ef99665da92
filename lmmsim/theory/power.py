"""Exact power: what a test will find, computed from the equation and the design instead of simulated.

The estimate is the one of generalised least squares with the model's own variances, the df are Satterthwaite's at
these variances, the power is a noncentral t's. Beside a simulated power it is the check of both.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim.checks import check_choice, check_probability, is_number, quoted
from lmmsim.model.identifiable import check_X, taken_up, without_empty_cells
from lmmsim.theory.averages import chi_mean, t_quantile
from lmmsim.theory.gls import information

if TYPE_CHECKING:
    from lmmsim.model.columns import RandomTerm
    from lmmsim.model.model import Model


Alternative = Literal["two-sided", "greater", "less"]
Contrasts = Mapping[str, Mapping[str, float]]
Df = str | float | Mapping[str, float]
FEWEST = 0.01  # df below which the quantiles of t are beyond all numbers


def exact_power(
    model: Model,
    design: pd.DataFrame,
    alpha: float = 0.05,
    contrasts: Contrasts | None = None,
    alternative: Alternative = "two-sided",
    df: Df = "satterthwaite",
) -> pd.DataFrame:
    """Compute the power of the t test of every coefficient against zero.

    Parameters
    ----------
    model : Model
        The world; its formula is the analysis too. Any residual is allowed: the test is then that of a model with
        such a residual, estimated too. `LMM` has independent residuals of one sd, and another power in that world.
    design : DataFrame
        One row per measurement.
    alpha : float
        Level of the test.
    contrasts : mapping, optional
        Linear combinations of coefficients: `{"A - B at week 4": {"fertilizer[T.A]": 1, "week:fertilizer[T.A]": 4}}`.
        Each becomes a row below the coefficients.
    alternative : "two-sided", "greater" or "less"
    df : "satterthwaite", "z", float or mapping
        The reference distribution: Satterthwaite's t or the normal. A number, or one by name, is taken as it is.

    Returns
    -------
    DataFrame, index "term"
        `effect`, its standard error `se`, `df` and `power`. Where the effect is zero the power is `alpha`.

    Raises
    ------
    ValueError
        If X has not full rank, a residual sd is zero, df are not positive, or a contrast names what is not a
        coefficient, or nothing.

    Warns
    -----
    UserWarning
        If the coefficients take up the effects of all groups (one school in each arm): their variance cannot be
        estimated, there is no test, and `df` and `power` are missing.

    Notes
    -----
    The df are 2 v^2 / Var(v), v the variance of the estimate, Var(v) from the expected REML information about all
    variances and covariances of the model, its residual's included. A fit has the observed information instead, at
    the variances that it estimated: its df scatter around these. In balanced designs they are the df of the exact F
    test. Variances are free to be estimated below zero in this calculation; near zero a fit that truncates them has
    fewer small p values, and its power is a little lower.

    References
    ----------
    Satterthwaite (1946), Biometrics Bulletin 2:110. Giesbrecht & Burns (1985), Biometrics 41:477. Stroup (2002),
    Journal of Agricultural, Biological and Environmental Statistics 7:491.

    Examples
    --------
    >>> from lmmsim.scenarios import teaching_methods
    >>> exact_power(*teaching_methods(schools=20, pupils=25, effect=4)).round(3)
                  effect     se    df  power
    term
    Intercept       50.0  1.106  18.0  1.000
    method[T.new]    4.0  1.565  18.0  0.677
    """
    if not hasattr(model, "on"):
        raise TypeError(f"the model comes first, then the design; the model is a {type(model).__name__}")
    _check_normal(model)
    equation = without_empty_cells(model.on(design))
    names = list(equation.X.columns)
    check_X(equation.X.to_numpy(), names)
    rows = {name: np.eye(len(names))[i] for i, name in enumerate(names)}
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise TypeError(f"contrasts are weights by name, as {{'both': {{'{names[-1]}': 1}}}}; got {contrasts!r:.60}")
    rows |= {name: _weights(name, weights, names) for name, weights in (contrasts or {}).items()}

    known = information(equation)
    effect = np.array([w @ equation.beta for w in rows.values()])
    se = np.sqrt([w @ known.vcov @ w for w in rows.values()])
    given = _given(df, list(rows))
    with np.errstate(invalid="ignore"):  # information that is zero may be computed as a little below
        freedom = np.array([given[n] if n in given else known.satterthwaite(w) for n, w in rows.items()], float)
    for term, part in taken_up(equation):
        mixed = np.array([w @ part @ w for w in rows.values()]) > 1e-10 * se**2
        lost = [name for name, has in zip(rows, mixed, strict=True) if has and name not in given]
        if lost:
            _warn_no_test(lost, term)
            freedom[[name in lost for name in rows]] = np.nan
    power = t_power(effect / se, freedom, alpha, alternative)
    index = pd.Index(list(rows), name="term")
    return pd.DataFrame({"effect": effect, "se": se, "df": freedom, "power": power}, index=index)


def t_power(ncp: ArrayLike, df: ArrayLike, alpha: float = 0.05, alternative: Alternative = "two-sided") -> np.ndarray:
    """Compute the power of a t test from its noncentrality.

    Parameters
    ----------
    ncp : array_like
        Noncentrality: effect over its standard error.
    df : array_like
        Degrees of freedom; infinite is the z test. Where they are missing, so is the power.
    alpha : float
    alternative : "two-sided", "greater" or "less"

    Returns
    -------
    ndarray
        Both tails count when the test is two-sided: with `ncp` 0 it is `alpha`.

    Raises
    ------
    ValueError
        If alpha is not between 0 and 1 or the alternative is not known.

    Examples
    --------
    >>> t_power([0.0, 2.5], 18).round(4)
    array([0.05  , 0.6573])
    """
    if alternative not in get_args(Alternative):
        raise ValueError(f"alternative is {alternative!r}; it is one of {', '.join(get_args(Alternative))}")
    check_probability("alpha", alpha)
    tail = alpha / 2 if alternative == "two-sided" else alpha
    above, below = _beyond(ncp, df, tail), _beyond(-np.asarray(ncp, float), df, tail)
    return {"greater": above, "less": below, "two-sided": above + below}[alternative]


@partial(np.vectorize, otypes=[float], excluded=[2])
def _beyond(ncp: float, df: float, tail: float) -> float:
    """P(t > critical value) when t is shifted by the noncentrality: the normal, averaged over the estimated sd."""
    from scipy.special import ndtr

    if np.isnan(df) or np.isnan(ncp):
        return np.nan
    if df < FEWEST:
        return tail  # t reaches so far that an effect is lost in it
    critical = t_quantile(tail, df)
    steep = (ncp + np.array([-8.0, -3.0, 0.0, 3.0, 8.0])) / critical
    return chi_mean(lambda s: ndtr(ncp - critical * s), df, steep)


def _given(df: Df, names: Sequence[str]) -> dict[str, float]:
    """The df that are given, by name; the others are Satterthwaite's."""
    if isinstance(df, str):
        check_choice("df", df, ("satterthwaite", "z"))
        return {} if df == "satterthwaite" else dict.fromkeys(names, np.inf)
    given = dict(df) if isinstance(df, Mapping) else dict.fromkeys(names, df)
    for value in given.values():
        if not (isinstance(value, Real) and value > 0):
            raise ValueError(f"df is {quoted(value)}; degrees of freedom are numbers above 0, and df='z' is the z test")
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"df names {', '.join(unknown)}; the terms are {', '.join(names)}")
    return given


def _warn_no_test(names: Sequence[str], term: RandomTerm) -> None:
    """Say that the variance of a term, which is part of these estimates' variances, cannot be estimated."""
    warnings.warn(
        f"there is no test of {', '.join(names)}: with {len(term.levels)} of '{term.group}' their effects cannot be "
        "told from the coefficients, so their variance cannot be estimated; add groups, or give df=",
        stacklevel=3,
    )


def _weights(name: str, weights: Mapping[str, float], names: list[str]) -> np.ndarray:
    """A contrast as a vector over the coefficients."""
    if not isinstance(weights, Mapping):
        raise TypeError(f"the contrast '{name}' is {weights!r}; give weights by coefficient, as {{'{names[-1]}': 1}}")
    if wrong := [value for value in weights.values() if not is_number(value)]:
        raise ValueError(f"the contrast '{name}' has the weight {quoted(wrong[0])}; weights are numbers")
    unknown = [term for term in weights if term not in names]
    if unknown:
        raise ValueError(f"the contrast '{name}' names {', '.join(unknown)}; the coefficients are {', '.join(names)}")
    if name in names:
        raise ValueError(f"'{name}' is a coefficient already; give the contrast another name")
    if not any(weights.values()):
        raise ValueError(f"the contrast '{name}' has no weight other than 0; the coefficients are {', '.join(names)}")
    return np.array([float(weights.get(term, 0.0)) for term in names])


def _check_normal(model: Model) -> None:
    """Say so when the model draws from something that is not normal."""
    shapes = {part: effect.shape.name for part, effect in model.random.items()} | {
        "residual": model.residual.shape.name
    }
    other = [f"{part} ({shape})" for part, shape in shapes.items() if shape != "normal"]
    if other:
        warnings.warn(
            f"not normal: {', '.join(other)}; the power is that of normal draws with the same sd, "
            "close when groups are many; a study simulates it as it is",
            stacklevel=3,
        )
