"""Correlations, in whatever form a user gives them, as one matrix in a known order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TypeAlias

import numpy as np
import pandas as pd

from lmmsim.checks import is_number, quoted

Corr: TypeAlias = float | Mapping[tuple[str, str], float] | np.ndarray | Sequence[Sequence[float]] | pd.DataFrame


def correlation_matrix(corr: Corr, names: Sequence[str]) -> np.ndarray:
    """Write correlations, in whatever form they are given, as a matrix in the order of the names.

    Parameters
    ----------
    corr : float, mapping, DataFrame or array_like, shape (k, k)
        One correlation shared by all pairs; ``{("prior", "ses"): 0.3}``, where a pair that is not named has 0; a
        matrix labelled with the names in any order; or a plain matrix in the order of `names`.
    names : sequence of str, length k

    Returns
    -------
    ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If `corr` is none of these, or names what is not among `names`.

    Examples
    --------
    >>> correlation_matrix({("prior", "ses"): 0.3}, ["prior", "ses"])
    array([[1. , 0.3],
           [0.3, 1. ]])
    """
    if isinstance(corr, Mapping):
        return _from_pairs(corr, list(names))
    if isinstance(corr, pd.DataFrame):
        check_names("the rows of corr", corr.index, names)
        check_names("the columns of corr", corr.columns, names)
        corr = corr.loc[list(names), list(names)]
    elif np.ndim(corr) == 0:
        if not isinstance(corr, Real):
            raise ValueError(f"corr is a number, {{('a', 'b'): number}} or a matrix; got {corr!r}")
        return np.where(np.eye(len(names), dtype=bool), 1.0, float(corr))
    return np.asarray(corr, dtype=float)


def _from_pairs(corr: Mapping[tuple[str, str], float], names: list[str]) -> np.ndarray:
    """Correlation matrix from {(one, other): number}."""
    R = np.full((len(names), len(names)), np.nan)
    for pair, value in corr.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and is_number(value)):
            raise ValueError(
                f"a correlation is a number for a pair, {{('a', 'b'): 0.3}}; got {{{pair!r}: {quoted(value)}}}"
            )
        one, other = pair
        if one not in names or other not in names or one == other:
            raise ValueError(f"a correlation is given for {one!r} and {other!r}; the terms are {names}")
        i, j = names.index(one), names.index(other)
        if not np.isnan(R[i, j]) and R[i, j] != value:
            raise ValueError(f"{one!r} and {other!r} are given two correlations, {R[i, j]:g} and {value:g}; keep one")
        R[i, j] = R[j, i] = value
    return np.where(np.eye(len(names), dtype=bool), 1.0, np.nan_to_num(R))


def check_names(what: str, given: Mapping[str, float] | pd.Index, names: Sequence[str]) -> None:
    """Refuse names that are missing or too many, listing both."""
    missing = [name for name in names if name not in given]
    extra = [str(name) for name in given if name not in names]
    if missing or extra:
        raise ValueError(
            f"{what} does not match the names in sd.\n"
            f"  without a value: {', '.join(missing) or 'none'}\n  not in sd: {', '.join(extra) or 'none'}"
        )
