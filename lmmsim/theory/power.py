"""Exact power: what a test will find, computed from the equation and the design instead of simulated.

The estimate is the one of generalised least squares with the model's own variances, the df are Satterthwaite's at
these variances, the power is a noncentral t's. Beside a simulated power it is the check of both.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lmmsim.checks import check_choice, check_probability, quoted
from lmmsim.model.grid import Grid
from lmmsim.model.hypotheses import named_tests
from lmmsim.model.identifiable import check_X, taken_up, without_empty_cells
from lmmsim.model.questions import named_rows
from lmmsim.theory.averages import chi_mean, t_quantile
from lmmsim.theory.gls import Information, information
from lmmsim.theory.joint import f_power, fai_cornelius, uncorrelated, wald

if TYPE_CHECKING:
    from lmmsim.model.columns import RandomTerm
    from lmmsim.model.model import Model


Alternative = Literal["two-sided", "greater", "less"]
Contrasts = Mapping[str, Mapping[str, Any]]
Tests = Sequence[str] | Mapping[str, Any]
Df = str | float | Mapping[str, float]
FEWEST = 0.01  # df below which the quantiles of t are beyond all numbers


def exact_power(
    model: Model,
    design: pd.DataFrame,
    alpha: float = 0.05,
    contrasts: Contrasts | None = None,
    alternative: Alternative = "two-sided",
    df: Df = "satterthwaite",
    tests: Tests | None = None,
) -> pd.DataFrame:
    """Compute the power of the t test of every coefficient against zero, of contrasts, and of joint tests.

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
        What `Fit.contrast` takes, by name: combinations of coefficients,
        `{"A - Control at week 4": {"fertilizer[T.A]": 1, "week:fertilizer[T.A]": 4}}`, or of cells,
        `{"A - Control at week 4": {"fertilizer": {"A": 1, "Control": -1}, "week": 4}}`.
        Each becomes a row below the coefficients.
    alternative : "two-sided", "greater" or "less"
    df : "satterthwaite", "z", float or mapping
        The reference distribution: Satterthwaite's t or the normal. A number, or one by name, is taken as it is.
    tests : list or mapping, optional
        Joint F tests, as `Fit.test` takes them: terms, `["week:fertilizer"]`, whose rows are called
        "test week:fertilizer", or questions by name.

    Returns
    -------
    DataFrame, index "term"
        `effect`, its standard error `se`, `df` and `power`. Where the effect is zero the power is `alpha`. With `tests`
        also `df1`, the number of rows that are tested together, of which `df` are the denominator's; a joint test has
        no one effect and no se.

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
    >>> from lmmsim.scenarios import plant_growth
    >>> exact_power(*plant_growth(), tests=["week:fertilizer"]).loc["test week:fertilizer"].round(3).tolist()[2:]
    [2.0, 27.0, 0.968]
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
    joint: dict[str, np.ndarray] = {}
    if contrasts is not None or tests is not None:
        grid = Grid(model.matrices(equation.design), equation.design, names)
        rows |= {str(name): row.to_numpy() for name, row in named_rows(grid, contrasts).iterrows()}
        joint = named_tests(grid, tests)
        if twice := [name for name in joint if name in rows]:
            raise ValueError(f"'{twice[0]}' is a contrast and a test; give one of them another name")

    known = information(equation)
    effect = np.array([w @ equation.beta for w in rows.values()])
    se = np.sqrt([w @ known.vcov @ w for w in rows.values()])
    given = _given(df, [*rows, *joint])
    with np.errstate(invalid="ignore"):  # information that is zero may be computed as a little below
        freedom = np.array([given[n] if n in given else known.satterthwaite(w) for n, w in rows.items()], float)
        several = [_joint(known, L, equation.beta, alpha, given.get(name)) for name, L in joint.items()]
    for term, part in taken_up(equation):
        mixed = np.array([w @ part @ w for w in rows.values()]) > 1e-10 * se**2
        lost = [name for name, has in zip(rows, mixed, strict=True) if has and name not in given]
        if lost:
            _warn_no_test(lost, term)
            freedom[[name in lost for name in rows]] = np.nan
        for (name, L), row in zip(joint.items(), several, strict=True):
            if name not in given and (np.einsum("qi,ij,qj->q", L, part, L) > 0).any():
                _warn_no_test([name], term)
                row |= {"df": np.nan, "power": np.nan}
    power = t_power(effect / se, freedom, alpha, alternative)
    index = pd.Index(list(rows), name="term")
    table = pd.DataFrame({"effect": effect, "se": se, "df": freedom, "power": power}, index=index)
    if not joint:
        return table
    together = pd.DataFrame(several, pd.Index(list(joint), name="term"))
    return pd.concat([table.assign(df1=1), together])[["effect", "se", "df1", "df", "power"]]


def _joint(known: Information, L: np.ndarray, beta: np.ndarray, alpha: float, df: float | None) -> dict[str, float]:
    """Row of a joint test: its noncentrality is the squared effects over the variances of uncorrelated directions."""
    axes, _ = uncorrelated(L, known.vcov[None])
    directions = axes[0] @ L
    ncp = float(wald(L, beta[None], known.vcov[None])[0])
    if df is None:
        df = fai_cornelius(np.array([known.satterthwaite(row) for row in directions]))
    return {"effect": np.nan, "se": np.nan, "df1": len(L), "df": df, "power": f_power(ncp, len(L), df, alpha)}


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
