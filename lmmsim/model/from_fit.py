"""From a fit to a world: read the numbers of a fitted model, ours or statsmodels'."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from lmmsim import covariance
from lmmsim.model.columns import basis_of
from lmmsim.model.formula import term_of


def numbers(fit: Any) -> dict[str, Any]:
    """Return formula, beta, random, residual and basis of a fitted mixed model.

    Parameters
    ----------
    fit : Fit or statsmodels MixedLMResults

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For a statsmodels fit that was not made from a formula, or whose variance
        components do not bear the name of their column.
    """
    if hasattr(fit, "random") and hasattr(fit, "coef"):
        _warn_if_singular(fit)
        basis = getattr(fit.matrices, "basis", None)
        world = _world(fit.formula, fit.coef["estimate"].to_dict(), fit.random, fit.sigma) | {"basis": basis}
        structure = getattr(fit, "structure", None)
        return world if structure is None else world | {"residual": structure}
    if hasattr(fit, "fe_params") and hasattr(fit, "cov_re"):
        return _from_statsmodels(fit)
    raise TypeError(
        f"a model can be made from a Fit or from statsmodels' MixedLMResults, not from {type(fit).__name__}"
    )


def _warn_if_singular(fit: Any) -> None:
    """Say that variances of zero, or correlations of one, would be the truth of this world."""
    if getattr(fit, "singular", False):
        warnings.warn(
            "this fit is singular: an sd that was estimated as 0, or a correlation as 1 or -1, becomes the truth of "
            "the world, and a study planned with it is too sure of itself; a pilot cannot show that a variance is 0, "
            "so give plausible numbers with dataclasses.replace(model, random=...)",
            stacklevel=4,
        )


def _world(formula: str, beta: dict[str, float], random: dict[str, pd.DataFrame], sigma: float) -> dict[str, Any]:
    from lmmsim.model.random_effects import Random

    effects = {}
    for group, cov in random.items():
        sd, corr = covariance.to_sd(cov.to_numpy())
        effects[group] = Random(sd=dict(zip(cov.columns, sd.tolist(), strict=True)), corr=corr)
    return {"formula": formula, "beta": beta, "random": effects, "residual": float(sigma)}


def _from_statsmodels(result: Any) -> dict[str, Any]:
    """statsmodels calls the random intercept by its group's name and a component by its key in `vc_formula`."""
    model = result.model
    results = getattr(result, "_results", result)
    if not getattr(model, "formula", None):
        raise ValueError("this statsmodels fit was made from arrays; fit it with smf.mixedlm(formula, data, ...)")
    data, names = model.data.frame, list(model.data.exog_re_names)
    columns = model.exog_re.T if model.k_re else []
    constant = [name for name, column in zip(names, columns, strict=False) if (column == 1).all()]
    group = next((name for name in constant if name != "Group"), "")  # "Group": statsmodels was not told the name
    random, bars = {}, []
    if model.k_re:
        group = group or _grouping_column(model)
        effects = ["Intercept" if name in (group, "Group") else name for name in names]
        random[group] = pd.DataFrame(np.asarray(results.cov_re), effects, effects)
        slopes = dict.fromkeys(term_of(name) for name in effects if name != "Intercept")
        bars.append(f"({' + '.join(['1' if 'Intercept' in effects else '0', *slopes])} | {group})")
    for name, variance in zip(model.exog_vc.names, np.atleast_1d(results.vcomp), strict=True):
        if name not in data:
            raise ValueError(
                f"variance component {name!r} is not a column of the data; name it in vc_formula by its column"
            )
        label = name if model.n_groups == 1 else f"{group or _grouping_column(model)}:{name}"
        random[label] = pd.DataFrame([[variance]], ["Intercept"], ["Intercept"])
        bars.append(f"(1 | {label})")
    beta = {str(name): float(value) for name, value in result.fe_params.items()}
    formula = f"{model.formula} + {' + '.join(bars)}"
    basis = basis_of(formula, model.data.frame)
    return _world(formula, beta, random, float(np.sqrt(results.scale))) | {"basis": basis}


def _grouping_column(model: Any) -> str:
    """The column that holds the groups; statsmodels keeps their values, not their name."""
    groups = np.asarray(model.groups)
    for name, column in model.data.frame.items():
        if len(column) == len(groups) and np.array_equal(np.asarray(column, dtype=object), groups.astype(object)):
            return str(name)
    raise ValueError("the grouping column of this statsmodels fit is not in its data; pass groups='column name'")
