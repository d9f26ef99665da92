"""What can be told apart: X of full rank, and random effects that are not the residual or the coefficients.

What cannot be analysed is refused before any arithmetic, with the names of the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lmmsim.checks import listed
from lmmsim.model.blocks import columns
from lmmsim.model.columns import RandomTerm
from lmmsim.model.equation import Equation


def check_X(X: np.ndarray, names: Sequence[str], unit: str = "rows", spent: int = 0) -> None:
    """Refuse columns that are not finite, too few rows, and columns that the others determine.

    `spent` degrees of freedom are gone before X is looked at (one per group, within groups).
    """
    n, p = X.shape
    finite = np.isfinite(X).all(axis=0)
    if not finite.all():
        bad = names[int(np.argmin(finite))]
        raise ValueError(f"the column '{bad}' of X has infinite or undefined values; look at how it is computed")
    if n - spent <= p:
        besides = f", {spent} group means" if spent else ""
        raise ValueError(f"{n} {unit} cannot estimate {p} coefficients ({', '.join(names)}){besides} and a residual")
    zero = [name for name, column in zip(names, X.T, strict=True) if not column.any()]
    if zero:
        raise ValueError(
            f"the column '{zero[0]}' of X is zero in every row; a level that no row has leaves with "
            "data[column].cat.remove_unused_categories()"
        )
    dependent = [names[j] for j in dependent_columns(X)]
    if dependent:
        raise ValueError(
            f"X has {p} columns but rank {p - len(dependent)}: {listed(dependent)} can be computed from the columns "
            "before; remove what repeats another column, or collect data that tell them apart"
        )


def check_terms(terms: Sequence[RandomTerm], n: int) -> None:
    """Refuse random effects that n rows cannot tell from the residual."""
    for term in terms:
        J, k = len(term.levels), len(term.names)
        if not np.isfinite(term.columns).all():
            raise ValueError(f"the random effects of '{term.group}' have infinite or undefined values in their columns")
        if J < 2:
            raise ValueError(
                f"the grouping factor '{term.group}' has one level ('{term.levels[0]}'): "
                "a variance between groups needs at least two"
            )
        if J * k >= n:
            raise ValueError(
                f"{J} levels of '{term.group}' times {k} ({', '.join(term.names)}) make {J * k} random effects for {n} "
                "rows: they cannot be told from the residual; drop a random effect or measure more often"
            )


def dependent_columns(X: np.ndarray, tolerance: float = 1e-10) -> list[int]:
    """Columns that are linear combinations of the columns before them, whatever the units."""
    length = np.sqrt((X**2).sum(axis=0))
    unit = X / np.where(length > 0, length, 1)
    _, R = np.linalg.qr(unit)
    if np.abs(np.diagonal(R)).min() > tolerance:
        return []
    independent: list[int] = []
    for j in range(X.shape[1]):
        # the last diagonal of R is what the columns kept so far leave of column j
        _, R = np.linalg.qr(unit[:, [*independent, j]])
        if abs(R[-1, -1]) > tolerance:
            independent.append(j)
    return [j for j in range(X.shape[1]) if j not in independent]


def taken_up(equation: Equation) -> Iterator[tuple[RandomTerm, np.ndarray]]:
    """Yield terms whose effects the coefficients take up, as where there is one school in each arm.

    No fit can estimate such a variance. Beside the term stands its part of the covariance of the coefficients, (p, p).
    """
    X = equation.X.to_numpy()
    for term, G in zip(equation.terms, equation.covariances, strict=True):
        J, k = len(term.levels), len(term.names)
        if J * k > X.shape[1]:
            continue
        Z = columns([term], len(X))
        u = np.linalg.lstsq(X, Z, rcond=None)[0]  # the coefficients that do what each group effect does
        if np.allclose(X @ u, Z, atol=1e-8 * np.abs(Z).max()):
            yield term, u @ np.kron(np.eye(J), G) @ u.T
