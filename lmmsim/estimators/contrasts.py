"""Contrasts, marginal means and joint tests of a fit, each with its standard error, df, interval and p.

What is asked becomes rows L of weights of coefficients (`lmmsim.model.questions`); what is answered is L beta, with
the reference distribution that the estimator brings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from lmmsim.checks import check_choice, check_level, columns_of
from lmmsim.estimators.estimates import critical_value, p_value
from lmmsim.estimators.freedom import Freedom, KenwardRoger
from lmmsim.model.grid import Grid, Undetermined
from lmmsim.model.hypotheses import find_part, joint_rows
from lmmsim.model.questions import Pairs, contrast_rows, differences, mean_rows
from lmmsim.theory.joint import f_tail, without_test

Adjust = Literal["holm", "tukey", "bonferroni"]


class Answer(pd.DataFrame):
    """A table that says below its rows what they are; whatever is taken out of it is an ordinary DataFrame."""

    _metadata: ClassVar[list[str]] = ["note"]

    def __init__(self, data: Any, note: str = "", **options: Any) -> None:
        super().__init__(data, **options)
        self.note = note

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def _read(self) -> pd.DataFrame:
        """The columns as people read them."""
        forms = {"df": "{:.1f}", "df2": "{:.1f}", "t": "{:.2f}", "df1": "{:.0f}"}
        shown = {
            name: ["<0.001" if value < 0.001 else f"{value:.3f}" for value in self[name]]
            if name.startswith("p")
            else [forms.get(name, "{:.4g}").format(value) for value in self[name]]
            for name in self.columns
        }
        return pd.DataFrame(shown, index=self.index)

    def __repr__(self) -> str:
        return "\n".join([self._read().to_string(), *([self.note] if self.note else [])])

    def _repr_html_(self) -> str:
        from html import escape

        return self._read().to_html(border=0) + (f"<p>{escape(self.note)}</p>" if self.note else "")


def contrast(fit: Any, question: Any, level: float | None = None) -> Answer:
    """Estimate contrasts: differences that are named by coefficients, or by cells of the design.

    Parameters
    ----------
    fit : Fit
    question : mapping, list of mappings, or DataFrame
        One contrast, by coefficients as `{"week": 1, "week:arm[T.A]": 1}`, or by cells as
        `{"arm": {"A": 1, "Control": -1}, "week": 4}`. Weights of several columns are multiplied:
        `{"arm": {"A": 1, "Control": -1}, "week": {4: 1, 0: -1}}` is a difference of differences. Columns that are not
        named are averaged (factors, with equal weights) or stand at their mean (numbers). A mapping from names to
        contrasts, or a list, is several at once.
    level : float, optional
        Of the intervals; the fit's by default.

    Returns
    -------
    DataFrame, index "contrast"
        `estimate se df t p low high`.

    Raises
    ------
    ValueError
        If a name is neither a coefficient nor a column of the formula, a level is not there, the combination is not
        determined by the data, or nothing is weighed.

    Examples
    --------
    >>> from lmmsim import LMM, scenarios, simulate
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> fit = LMM(plants.model.formula)(plants.data)
    >>> fit.contrast({"fertilizer": {"A": 1, "Control": -1}, "week": 4})["df"].round(1).to_dict()
    {'A - Control, week = 4': 27.0}
    """
    rows = contrast_rows(grid_of(fit), question)
    table = answered(fit, rows.rename_axis("contrast"), level)
    return Answer(table, _with_reason(fit.method, fit, table["se"]))


def means(
    fit: Any,
    of: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    pairs: bool | Pairs = False,
    adjust: Adjust | None = None,
    level: float | None = None,
) -> Answer:
    """Estimate marginal means, or the differences between them.

    Parameters
    ----------
    fit : Fit
    of : str or list of str
        Columns whose levels, or combinations of levels, have a mean each.
    by : str or list of str, optional
        Columns for whose values this is repeated: differences are then simple effects.
    at : mapping, optional
        Where columns stand: `{"age": 50}`, or `{"week": [0, 4]}` for the rows of the table. Numbers that are not named
        stand at their mean over the rows, factors are averaged with equal weights.
    pairs : bool or "all", "reference", "mean", "interaction"
        Differences in place of the means: every two (True or "all"), each minus the first ("reference"), each minus the
        mean of all ("mean"), or differences of differences of several columns ("interaction").
    adjust : "holm", "tukey" or "bonferroni", optional
        Adds a column `p_holm` and so on, adjusted for the differences of one value of `by`. Tukey's is for pairs="all".
        `p` and the intervals are those of each difference alone.
    level : float, optional
        Of the intervals; the fit's by default.

    Returns
    -------
    DataFrame
        `estimate se df t p low high`, index the values of `of` and `by`, or "contrast" and `by`.

    Raises
    ------
    ValueError
        If a column or a level is not there, numbers have too many values, or the analysis has no means.

    References
    ----------
    Searle, Speed & Milliken (1980), The American Statistician 34:216.

    Examples
    --------
    >>> from lmmsim import LMM, scenarios, simulate
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> fit = LMM(plants.model.formula)(plants.data)
    >>> fit.means("fertilizer", by="week", at={"week": [0, 4]}).shape
    (6, 7)
    >>> fit.means("fertilizer", pairs=True, adjust="tukey").index.tolist()
    ['Control - A', 'Control - B', 'A - B']
    """
    grid = grid_of(fit)
    at = grid.named(at)
    names, apart = columns_of(of), columns_of(by)
    check_choice("adjust", adjust, (None, "holm", "tukey", "bonferroni"))
    if not pairs:
        if adjust:
            raise ValueError(f"adjust='{adjust}' is for differences between means: add pairs=True")
        table = answered(fit, mean_rows(grid, names, apart, at), level)
        return Answer(table, _with_reason(_where(grid, [*names, *apart], at, fit), fit, table["se"]))
    kind: Pairs = "all" if pairs is True else pairs
    if adjust == "tukey" and kind != "all":
        raise ValueError(f"Tukey's adjustment is for all pairs of means, not for pairs='{kind}'; use adjust='holm'")
    tables = []
    for place, rows in _families(mean_rows(grid.whole, names, apart, at), apart):
        between = differences(rows, names, kind)
        table = answered(fit, pd.DataFrame(grid.estimable(between), between.index), level)
        if adjust:
            table[f"p_{adjust}"] = adjusted(table, adjust, len(rows))
        tables.append(_placed(table, place, apart))
    table = pd.concat(tables)
    return Answer(table, _with_reason(_where(grid, [*names, *apart], at, fit), fit, table["se"]))


def joint_test(fit: Any, question: Any = None, at: Mapping[str, Any] | None = None) -> Answer:
    """Test a term, or several contrasts together, by F.

    Parameters
    ----------
    fit : Fit
    question : str, list of str, mapping or DataFrame, optional
        A term by its name, as "week:arm"; coefficients in a list; or contrasts as for `contrast`. All terms, a row
        each, by default.
    at : mapping, optional
        Where numbers outside of a term stand; at 0 by default, as lmerTest has it. `test("arm", at={"week": 4})` asks
        whether the arms are equal in week 4.

    Returns
    -------
    DataFrame, index "test"
        `F df1 df2 p`. Kenward-Roger's F is scaled. Where `df2` is infinite, F times df1 is a chi-square.

    Raises
    ------
    ValueError
        If there is no such term, coefficient or column.

    Notes
    -----
    The hypothesis of a term is that of type III: the means of its factors are equal, or its slopes zero, averaged over
    other factors with equal weights. Where the term is part of an interaction with a number, that is a statement about
    one value of this number.

    References
    ----------
    Fai & Cornelius (1996). Kenward & Roger (1997). Pustejovsky & Tipton (2018), Journal of Business & Economic
    Statistics 36:672, for CR2.

    Examples
    --------
    >>> from lmmsim import LMM, scenarios, simulate
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> fit = LMM(plants.model.formula)(plants.data)
    >>> fit.test("week:fertilizer")[["df1", "df2"]].round(1).iloc[0].tolist()
    [2.0, 27.0]
    """
    grid = grid_of(fit)
    at = grid.named(at)
    asked = [part.name for part in grid.parts if not part.is_constant] if question is None else [question]
    rows: dict[str, dict[str, float]] = {}
    undetermined = []
    for one in asked:
        statistic = df2 = np.nan
        try:
            name, L = joint_rows(grid, one, at)
        except Undetermined:  # among all terms, a row without an answer
            if question is not None:
                raise
            undetermined.append(one)
            rows[one] = dict.fromkeys(["F", "df1", "df2", "p"], np.nan)
            continue
        try:
            [statistic], [df2] = together(fit.freedom, L, fit.beta[None], fit.vcov_all[None], fit.untold)
            _check_f(fit, L, df2)
        except ValueError:  # too few clusters for this term
            if question is not None:
                raise
        rows[name] = {"F": statistic, "df1": len(L), "df2": df2, "p": float(f_tail(statistic, len(L), df2))}
    table = pd.DataFrame(list(rows.values()), pd.Index(list(rows), name="test"))
    note = _stand(grid, [one for one in asked if isinstance(one, str)], at)
    if undetermined:
        lost = f"no test of {', '.join(undetermined)}: their means need cells that have no rows"
        note = "\n".join(filter(None, [note, lost]))
    return Answer(table, _with_reason(note, fit, table["F"]))


def _check_f(fit: Any, L: np.ndarray, df2: float) -> None:
    """Refuse a joint test of more rows than Kenward and Roger have an F for."""
    if not (isinstance(fit.freedom, KenwardRoger) and np.isnan(df2)):
        return
    if np.isfinite(standard_errors(L, fit.vcov_all, fit.untold)).all():
        raise ValueError(
            f"Kenward and Roger's approximation has no F for {len(L)} contrasts together in so few groups: test fewer "
            "at once, or use df='satterthwaite'"
        )


def grid_of(fit: Any) -> Grid:
    """The cells that a fit can be asked about."""
    if fit.matrices.spec is None:
        raise ValueError("this fit has no formula, so its cells have no names: weigh its coefficients by hand")
    return Grid(fit.matrices, fit.data, fit.terms)


def answered(fit: Any, rows: pd.DataFrame, level: float | None = None) -> pd.DataFrame:
    """Estimates of the combinations that the rows weigh, on their index."""
    level = fit.level if level is None else level
    check_level(level)
    L = rows.to_numpy(dtype=float)
    estimate, se = L @ fit.beta, standard_errors(L, fit.vcov_all, fit.untold)
    df = np.where(np.isnan(se), np.nan, fit.freedom.df(L)[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate / se
    reach = critical_value(df, level) * se
    columns = {"estimate": estimate, "se": se, "df": df, "t": t, "p": p_value(t, df)}
    return pd.DataFrame({**columns, "low": estimate - reach, "high": estimate + reach}, index=rows.index)


def standard_errors(L: np.ndarray, vcov: np.ndarray, absorbed: np.ndarray | None = None) -> np.ndarray:
    """Standard errors (q,) of L beta; NaN where a coefficient, or a direction of them, is weighed that has none."""
    vcov, unknown = without_test(L, vcov[None], absorbed)
    return np.where(unknown[0], np.nan, np.sqrt(np.clip(((L @ vcov[0]) * L).sum(axis=1), 0, None)))


def together(
    freedom: Freedom, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray, absorbed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """F and its denominator df, (r,), for L beta = 0; NaN where something is weighed that has no test."""
    known, unknown = without_test(L, vcov, absorbed)
    lost = np.asarray(unknown.any(axis=1))
    if lost.all():
        return np.full(len(beta), np.nan), np.full(len(beta), np.nan)
    statistic, df2 = freedom.joint(L, beta, np.where(lost[:, None, None], np.nan, known))
    return np.where(lost, np.nan, statistic), np.where(lost, np.nan, df2)


def adjusted(table: pd.DataFrame, how: Adjust, n: int) -> np.ndarray:
    """p values of all differences of a family of n means, adjusted for the number of those that have one."""
    p = table["p"].to_numpy()
    told = np.isfinite(p)
    if not told.all() and how != "tukey":
        out = np.full(len(p), np.nan)
        if told.any():
            out[told] = adjusted(table[told], how, n)
        return out
    if how == "bonferroni":
        return np.minimum(p * len(p), 1.0)
    if how == "holm":
        order = np.argsort(p, kind="stable")
        steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
        out = np.empty(len(p))
        out[order] = np.minimum(steps, 1.0)
        return out
    if n == 2:
        return p
    from scipy.stats import studentized_range

    return np.asarray(studentized_range.sf(np.sqrt(2) * np.abs(table["t"]), n, table["df"]))


def _families(rows: pd.DataFrame, by: Sequence[str]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The means of every value of `by`."""
    if not by:
        return [((), rows)]
    places = list(dict.fromkeys(zip(*(rows.index.get_level_values(name) for name in by), strict=True)))
    families = []
    for place in places:
        here = np.ones(len(rows), dtype=bool)
        for name, value in zip(by, place, strict=True):
            here &= rows.index.get_level_values(name) == value
        families.append((place, rows[here].droplevel(list(by))))
    return families


def _placed(table: pd.DataFrame, place: tuple[Any, ...], by: Sequence[str]) -> pd.DataFrame:
    """The differences of one family with the values of `by` beside their names."""
    if not by:
        return table
    index = pd.MultiIndex.from_tuples([(name, *place) for name in table.index], names=["contrast", *by])
    return table.set_axis(index)


def _with_reason(note: str, fit: Any, numbers: pd.Series) -> str:
    """The note below a table, and why some of its rows have no test."""
    reason = fit.matrices.note if fit.matrices.untested and numbers.isna().any() else ""
    return "\n".join(filter(None, [note, reason]))


def _where(grid: Grid, shown: Sequence[str], at: Mapping[str, Any] | None, fit: Any) -> str:
    """What the means are averaged over, and where numbers stand."""
    words = []
    for name in grid.columns:
        if name in shown:
            continue
        if at and name in at:
            words.append(f"{name} = {at[name]}")
        elif grid.levels[name] is None:
            words.append(f"{name} at its mean, {grid.mean(name):.4g}")
        else:
            words.append(f"averaged over {name}")
    return "; ".join([*words, fit.method])


def _stand(grid: Grid, terms: Sequence[str], at: Mapping[str, Any] | None) -> str:
    """Where numbers outside of a tested term stand, if that matters."""
    numbers: dict[str, float] = {}
    for term in terms:
        part = find_part(grid, term)
        for other in grid.parts:
            if part.factors | part.numbers < other.factors | other.numbers:
                for used in sorted(other.numbers - part.numbers):
                    names = grid.columns_in[used]
                    if names <= (at or {}).keys():
                        numbers |= {name: (at or {})[name] for name in sorted(names)}
                    elif any(grid.levels[name] is None for name in names):
                        numbers[used] = 0
    if not numbers:
        return ""
    where = ", ".join(f"{name} = {value}" for name, value in numbers.items())
    return f"terms that are part of an interaction with a number are tested where {where}"
