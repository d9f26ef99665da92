"""Results: what one analysis said about a run of replicates, as `Estimates`.

Whatever an analysis returns (an `Estimates`, a `Fit`, a table, a Series, a statsmodels result) is read into the same
arrays: a row per replicate, a column per term. A replicate that could not be analysed is a row of NaN with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.estimators.estimates import BY_TERM, FLAGS, NUMBERS, Estimates, critical_value, p_value
from lmmsim.estimators.fit import Fit

COLUMNS = ("estimate", "se", "df", "p", "low", "high")


def checked(estimates: Any, replicates: int) -> Estimates:
    """What `.many` of an analysis returned for so many responses; refuse arrays of another length."""
    if not isinstance(estimates, Estimates):
        raise TypeError(f"`many` returns Estimates with a row per response; this one returned {estimates!r:.200}")
    r, p = replicates, len(estimates.terms)
    wanted = dict.fromkeys(BY_TERM, (r, p)) | dict.fromkeys((*NUMBERS, *FLAGS, "message"), (r,))
    found = {name: np.shape(getattr(estimates, name)) for name in wanted}
    found |= {f"given[{name!r}]": np.shape(values) for name, values in estimates.given.items()}
    wanted |= {name: (r, p) for name in found if name.startswith("given")}
    wrong = [f"{name} {found[name]}, not {wanted[name]}" for name in found if found[name] != wanted[name]]
    wrong += [f"covariances {len(G)}, not {r}" for G in estimates.covariances if len(G) != r]
    if wrong:
        raise ValueError(f"`many` was given {r} responses, and returned arrays of another shape: {'; '.join(wrong)}")
    return settled(estimates)


def settled(one: Estimates) -> Estimates:
    """The same with types that can be relied on: what failed has not converged, and every failure a reason."""
    converged = np.asarray(one.converged, dtype=bool) & ~one.failed
    message = np.array([str(text) for text in one.message], dtype=object)
    message[~converged & (message == "")] = "not converged"
    message[one.failed & (message == "not converged")] = "no estimates"
    return replace(one, converged=converged, singular=np.asarray(one.singular, dtype=bool), message=message)


def read(result: Any) -> Estimates:
    """Read what an analysis returned for one data set.

    Parameters
    ----------
    result : Fit, Estimates of one response, DataFrame, Series, mapping or statsmodels result
        A DataFrame has a row per term (its index, or a column "term") and the columns `estimate` and, as far as they
        are known, `se df p low high converged singular`. A Series or mapping holds estimates by term.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For two rows of one term, a negative standard error, a p value that is no probability.
    """
    if isinstance(result, Fit | Estimates):
        return settled(result.estimates if isinstance(result, Fit) else result)
    if isinstance(result, pd.DataFrame) and "estimate" in result:
        table = result.set_index("term") if "term" in result else result
        flags = {name: _flags(table, name) for name in FLAGS if name in table}
        return _row(table, bool(flags.get("converged", np.True_).all()), bool(flags.get("singular", np.False_).any()))
    if isinstance(result, pd.Series | Mapping):
        return _row(pd.DataFrame({"estimate": pd.Series(dict(result), dtype=float)}))
    if all(hasattr(result, name) for name in ("params", "bse", "pvalues", "conf_int")):
        return _row(_from_statsmodels(result), bool(getattr(result, "converged", True)))
    what = f"a table with the columns {list(map(str, result))}" if isinstance(result, pd.DataFrame) else repr(result)
    raise TypeError(
        "an analysis returns a Fit, a DataFrame with a row per term and a column 'estimate' (and se, df, p, low, high "
        f"as far as they are known), a Series of estimates or a statsmodels result; this one returned {what[:200]}"
    )


def _flags(table: pd.DataFrame, name: str) -> Any:
    """A column of truth values, or say that it is none."""
    values = table[name]
    if not values.isin([True, False]).all():
        raise ValueError(
            f"the table that an analysis returned has {values.tolist()[0]!r} for '{name}'; it is yes or no"
        )
    return values.to_numpy(dtype=bool)


def _row(
    table: pd.DataFrame, converged: bool = True, singular: bool = False, message: str = "", level: float = 0.95
) -> Estimates:
    """Estimates of one replicate; p and interval are filled in where se and df say what they are."""
    _check_table(table)
    values = {n: table[n].to_numpy(dtype=float) if n in table else np.full(len(table), np.nan) for n in COLUMNS}
    estimate, se, df, p, low, high = values.values()
    estimate = np.where(np.isfinite(estimate), estimate, np.nan)  # whatever diverged has no mean either
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(np.isnan(p), p_value(estimate / se, df), p)
        reach = critical_value(df, level) * se
    low, high = np.where(np.isnan(low), estimate - reach, low), np.where(np.isnan(high), estimate + reach, high)
    if np.isnan(estimate).all():
        converged, message = False, message or "no finite estimates"
    one = Estimates(
        tuple(map(str, table.index)),
        estimate[None],
        se[None],
        df[None],
        criterion=np.full(1, np.nan),
        sigma=np.full(1, np.nan),
        converged=np.array([converged]),
        singular=np.array([singular]),
        message=np.array([message], dtype=object),
        given={"p": p[None], "low": low[None], "high": high[None]},
        level=level,
    )
    return settled(one)


def _check_table(table: pd.DataFrame) -> None:
    """Refuse what no analysis can mean."""
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise ValueError(f"the table that an analysis returned has more than one row for the term '{twice[0]}'")
    for name, least, most in (("se", 0.0, np.inf), ("df", 0.0, np.inf), ("p", 0.0, 1.0)):
        values = table[name] if name in table else pd.Series(dtype=float)
        wrong = values.index[(values < least) | (values > most)]
        if len(wrong):
            raise ValueError(
                f"the table that an analysis returned has {name} {values[wrong[0]]:g} for '{wrong[0]}'; it "
                f"lies between {least:g} and {most:g}"
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


def failures(one: Estimates) -> Iterable[tuple[int, str, str]]:
    """Number, kind and reason of every replicate that failed or did not converge."""
    failed = one.failed
    for k in np.flatnonzero(~one.converged):
        yield int(k), "failed" if failed[k] else "not converged", str(one.message[k])
