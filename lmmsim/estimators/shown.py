"""How a fit is printed: what was fitted to what, what is unusual about it, its standard deviations and coefficients."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd


def text(fit: Any) -> str:
    """A fit as it is printed."""
    (sd_title, sd), (coef_title, coef) = tables(fit)
    spread = sd.to_string(index=False) if len(sd) > 1 else f"residual {sd['sd'].iloc[-1]}"
    spread += f"\n{residual_words(fit)}" if fit.structure is not None else ""
    return "\n".join([fit.method, *headline(fit), "", sd_title, spread, "", coef_title, coef.to_string()])


def html(fit: Any) -> str:
    """A fit as a notebook shows it."""
    head = "<br>".join(escape(line) for line in headline(fit))
    (sd_title, sd), (coef_title, coef) = tables(fit)
    words = f"<p>{escape(residual_words(fit))}</p>" if fit.structure is not None else ""
    body = f"<p>{sd_title}</p>{sd.to_html(index=False, border=0)}{words}<p>{coef_title}</p>{coef.to_html(border=0)}"
    return f"<p><strong>{escape(fit.method)}</strong><br>{head}</p>{body}"


def residual_words(fit: Any) -> str:
    """The structure of the residuals with its numbers."""
    return f"residual {fit.structure.words_below}"


def headline(fit: Any) -> list[str]:
    """Formula, numbers of rows and groups, likelihood, and what is unusual."""
    groups = "".join(f", {J} levels of {group}" for group, J in fit.ngroups.items())
    likelihood = "REML criterion" if fit.reml else "-2 log-likelihood"
    lines = [fit.formula, f"{fit.nobs} rows{groups}; {likelihood} {fit.criterion:.4f}"]
    if fit.singular:
        lines.append("singular: a variance is estimated as zero or a correlation as -1 or 1")
    if not fit.converged:
        lines.append("NOT CONVERGED")
    return lines + [line for line in (fit.message, kind_of_response(fit)) if line]


def kind_of_response(fit: Any) -> str:
    """What it means that a response takes two values, or counts; nothing for a measurement."""
    values = np.unique(fit.y)
    if len(fit.y) != len(fit.data) or len(values) < 2:
        return ""
    name = fit.matrices.response
    page = 'see the page "Not normal?"'
    if len(values) == 2:
        low, high = (f"{value:g}" for value in values)
        return (
            f"'{name}' is {low} or {high}: this is a linear model of its mean"
            f"{', the share of 1' if (low, high) == ('0', '1') else ''}, whose residuals are not normal and whose "
            f"fitted values may leave this range; {page}"
        )
    counts = (values >= 0).all() and (values == np.round(values)).all() and values[0] <= 1 and len(values) <= 30
    if counts and values[-1] - values[0] < 100 and len(values) < len(fit.y) / 3:
        return (
            f"'{name}' takes {len(values)} whole values from {values[0]:g} to {values[-1]:g}: this is a linear model "
            f"of its mean, with one spread for all rows, and counts spread more where their mean is larger; {page}"
        )
    return ""


def tables(fit: Any) -> list[tuple[str, pd.DataFrame]]:
    """Standard deviations and coefficients with their titles."""
    number = "{:.4g}".format
    sd = fit.sd.apply(lambda column: column.map(number if column.name == "sd" else "{:.2f}".format))
    sd = sd.where(fit.sd.notna(), "").reset_index()
    coef = fit.coef.apply(lambda column: column.map(number))
    coef["df"] = fit.coef["df"].map("{:.1f}".format)
    coef["t"] = fit.coef["t"].map("{:.2f}".format)
    coef["p"] = ["<0.001" if p < 0.001 else f"{p:.3f}" for p in fit.coef["p"]]
    if np.isinf(fit.df).all():
        coef = coef.drop(columns="df").rename(columns={"t": "z"})
    coef = coef.rename_axis(index=None)
    return [("Standard deviations", sd), (f"Coefficients ({fit.level:.0%} intervals)", coef)]
