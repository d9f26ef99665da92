"""Designs without an answer, refused before any arithmetic."""

from __future__ import annotations

import numpy as np

from lmmsim.model.columns import RandomTerm


def name_of(term: RandomTerm) -> str:
    """A term as it stands in a formula."""
    return f"({' + '.join('1' if name == 'Intercept' else name for name in term.names)} | {term.group})"


def check(X: np.ndarray, terms: tuple[RandomTerm, ...]) -> None:
    """Refuse designs without an answer, by name."""
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"X must be a table of rows by at least one column, not an array of shape {X.shape}")
    if not terms:
        raise ValueError("a mixed model needs at least one random term such as (1 | group); use OLS without one")
    if not np.isfinite(X).all():
        raise ValueError(f"X has {int((~np.isfinite(X)).sum())} missing or infinite values; drop or fill these rows")
    n, p = X.shape
    if n <= p:
        raise ValueError(f"{n} rows cannot estimate {p} coefficients and a residual variance; drop columns of X")
    for term in terms:
        if term.columns.shape[0] != n or term.codes.shape != (n,):
            raise ValueError(
                f"the random term {name_of(term)} has {term.columns.shape[0]} rows, X has {n}; they must agree"
            )
        if not np.isfinite(term.columns).all():
            raise ValueError(
                f"the columns of the random term {name_of(term)} have missing or infinite values; fill them"
            )
        if not np.einsum("ij,ij->j", term.columns, term.columns).all():
            raise ValueError(f"a column of the random term {name_of(term)} is zero everywhere; drop it")
        levels = np.count_nonzero(np.bincount(term.codes))
        if levels < 2:
            raise ValueError(
                f"the group '{term.group}' of the random term {name_of(term)} has one level: a variance between "
                "groups needs at least two; remove the term"
            )
        effects = levels * term.columns.shape[1]
        if effects >= n:
            raise ValueError(
                f"the random term {name_of(term)} has {effects} random effects ({levels} levels x "
                f"{term.columns.shape[1]} columns) but there are only {n} rows: they cannot be told apart from the "
                "residual; measure each level more often or drop columns"
            )
