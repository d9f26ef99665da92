"""From a residual with numbers left out to the engine that estimates them; what cannot be told is refused in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmmsim.checks import quoted
from lmmsim.model.columns import RandomTerm
from lmmsim.model.residual import IID, Residual
from lmmsim.model.units import AR1, CompoundSymmetry, WithinUnit
from lmmsim.model.unstructured import Unstructured
from lmmsim.reml.marginal_engine import MarginalEngine
from lmmsim.reml.residual_correlations import Correlation, Fading, Shared
from lmmsim.reml.residual_numbers import Numbers, Scaled
from lmmsim.reml.unstructured_numbers import Factor
from lmmsim.reml.whitened import Whitened

WORK = 4e8  # multiplications in the blocks of V, for one evaluation, beyond which residuals are whitened instead
ROOM = 2e7  # numbers in them


def engine(X: np.ndarray, terms: Sequence[RandomTerm], spec: Residual, data: pd.DataFrame) -> MarginalEngine | Whitened:
    """Prepare a design whose residuals are of this kind.

    Parameters
    ----------
    X : ndarray, (n, p)
        Of full rank.
    terms : sequence of RandomTerm
        May be empty.
    spec : Residual
        What is left out is estimated.
    data : DataFrame, n rows
        Complete in the columns of `spec`.

    Raises
    ------
    ValueError
        If two rows of a unit have one time, all units have one row, times are no numbers, a random effect does what the
        residual does, or there are more times than the units can tell apart.
    """
    numbers = numbers_of(spec, data)
    _check_terms(spec, terms)
    if terms and (numbers.size == 0 or _is_large(terms, numbers, len(data))):
        return Whitened(X, terms, numbers)
    own = MarginalEngine(X, terms, numbers)
    own.check()
    return own


def numbers_of(spec: Residual, data: pd.DataFrame) -> Numbers:
    """The free numbers of a residual on these rows."""
    if isinstance(spec, WithinUnit):
        _check_units(spec, data)
    if isinstance(spec, Unstructured):
        return Factor(spec, data)
    if isinstance(spec, AR1 | CompoundSymmetry):
        codes = spec.units(data)[1]
        correlation: Correlation = (
            Fading(spec.looks(data), codes, spec.rho) if isinstance(spec, AR1) else Shared(codes, spec.rho)
        )
        return Scaled(spec, data, correlation)
    if isinstance(spec, IID):
        return Scaled(spec, data)
    raise TypeError(f"residual is one of IID, AR1, CompoundSymmetry, Unstructured; got {spec!r}")


def _check_units(spec: WithinUnit, data: pd.DataFrame) -> None:
    """Refuse a unit with two rows at one time, and units that all have one row."""
    looks, (labels, _), most = spec.looks(data), spec.units(data), 0
    for units, rows in spec.unit_rows(data):
        most = max(most, rows.shape[1])
        if not isinstance(spec, CompoundSymmetry):
            ordered = np.sort(looks[rows], axis=1)
            twice = np.flatnonzero((np.diff(ordered, axis=1) == 0).any(axis=1))
            if len(twice):
                label = labels[units[twice[0]]]
                try:
                    spec.check_unit(data, label, looks[rows[twice[0]]])
                except ValueError as error:
                    raise ValueError(f"residuals of {spec.unit_name} {quoted(label)}: {error}") from error
    if most == 1:
        raise ValueError(
            f"every '{spec.unit_name}' has one row: no two residuals share one, so their correlation cannot be told; "
            "name the unit that is measured repeatedly"
        )


def _check_terms(spec: Residual, terms: Sequence[RandomTerm]) -> None:
    """Refuse a random effect of the unit where the residual is free to do the same."""
    for term in terms:
        same = isinstance(spec, WithinUnit) and term.group == spec.unit_name
        what = f"({' + '.join(term.names)} | {term.group})"
        if same and isinstance(spec, Unstructured):
            raise ValueError(
                f"Unstructured residuals within '{spec.unit_name}' contain all that {what} could add: drop {what}"
            )
        if same and isinstance(spec, CompoundSymmetry) and spec.by is None and "Intercept" in term.names:
            raise ValueError(
                f"a shared correlation within '{spec.unit_name}' is what {what} makes, too: drop one of them"
            )


def _is_large(terms: Sequence[RandomTerm], numbers: Numbers, n: int) -> bool:
    """Whether blocks of V are so large that they had better not be written down."""
    from lmmsim.reml.unit_sums import label

    sizes = np.bincount(label([term.codes for term in terms], numbers.codes, n)).astype(float)
    return bool((sizes**3).sum() > WORK or (sizes**2).sum() * (numbers.size + len(terms)) > ROOM)
