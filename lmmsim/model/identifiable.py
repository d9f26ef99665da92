"""What can be told apart: X of full rank, and random effects that are not the residual or the coefficients.

What cannot be analysed is refused before any arithmetic, with the names of the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmmsim.checks import listed
from lmmsim.model.blocks import columns
from lmmsim.model.columns import RandomTerm, drop_empty_cells
from lmmsim.model.equation import Equation
from lmmsim.model.evaluation import dependent_columns

LARGEST = 1e140  # of a number in X
SMALL = 1500  # rows up to which whole matrices are looked at


def check_X(X: np.ndarray, names: Sequence[str], unit: str = "rows", spent: int = 0) -> None:
    """Refuse columns that are not finite, too few rows, and columns that the others determine.

    `spent` degrees of freedom are gone before X is looked at (one per group, within groups).
    """
    n, p = X.shape
    if p == 0:
        raise ValueError("the fixed part has no coefficient; an intercept is 1, as in 'y ~ 1 + (1 | group)'")
    finite = np.isfinite(X).all(axis=0)
    if not finite.all():
        bad = names[int(np.argmin(finite))]
        raise ValueError(f"the column '{bad}' of X has infinite or undefined values; look at how it is computed")
    size = np.abs(X).max(axis=0)
    for name, largest in zip(names, size, strict=True):
        if largest > LARGEST or 0 < largest < 1 / LARGEST:
            raise ValueError(
                f"the column '{name}' of X holds numbers of size {largest:.0e}, which cannot be squared in floating "
                "point: change its unit"
            )
    if n - spent <= p:
        besides = f", {spent} group means" if spent else ""
        raise ValueError(f"{n} {unit} cannot estimate {p} coefficients ({', '.join(names)}){besides} and a residual")
    zero = [name for name, column in zip(names, X.T, strict=True) if not column.any()]
    if zero:
        level = "; cat.remove_unused_categories() takes out levels that no row has" if zero[0].endswith("]") else ""
        raise ValueError(
            f"the column '{zero[0]}' of X is zero in every row, which tells nothing about its coefficient{level}"
        )
    dependent = [names[j] for j in dependent_columns(X)]
    if dependent:
        raise ValueError(
            f"X has {p} columns but rank {p - len(dependent)}: {listed(dependent)} can be computed from the columns "
            f"before; remove what repeats another column, or collect data that tell them apart{_of_spline(dependent)}"
        )


def _of_spline(names: Sequence[str]) -> str:
    """The way out where a spline holds an intercept beside the intercept."""
    spline = next((name for name in names if name.startswith(("cr(", "cc(", "cs("))), None)
    if spline is None or "constraints" in spline:
        return ""
    return f"; a spline holds an intercept of its own, which {spline.rpartition(')')[0]}, constraints='center') has not"


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


@dataclass(frozen=True)
class Doubt:
    """What no data of a design could tell.

    Attributes
    ----------
    reason : str
    untested : tuple of str
        Coefficients of which there is no test, since part of their variance is unknown.
    """

    reason: str
    untested: tuple[str, ...]


def doubts(
    X: np.ndarray,
    names: Sequence[str],
    terms: Sequence[RandomTerm],
    reml: bool = True,
    shared: RandomTerm | None = None,
) -> list[Doubt]:
    """Look for random effects whose variance no data of this design could tell.

    The coefficients take up the effects of all groups (one school in each arm), two factors make the same groups,
    nothing is left for the residual, or two effects that are correlated never meet in one group. Where the coefficients
    take them up, restricted likelihood is flat, and full likelihood has its maximum at a variance of zero, whatever it
    is. So it is with what residuals are free to share within a unit, `shared`.
    """
    n, p = X.shape
    found: list[Doubt] = [] if shared is None else _taken_from(X, names, shared, "what their residuals share")
    if any(len(term.levels) < 2 or len(term.levels) * len(term.names) >= n for term in terms):
        return found  # which `check_terms` refuses
    for i, term in enumerate(terms):
        for other in terms[:i]:
            if _same(term, other):
                groups = f"'{other.group}' and '{term.group}'"
                found.append(Doubt(f"{groups} make the same groups: their variances cannot be told apart", ()))
        found += _taken_from(X, names, term, "their effects")
    apart = [Doubt(_never_together(term, pairs), ()) for term in terms if (pairs := _strangers(term))]
    q = sum(len(term.levels) * len(term.names) for term in terms)
    if not found and p + q >= n and n <= SMALL:
        found += [Doubt(reason, tuple(names)) for reason in _residual_lost(X, terms, reml)]
    return found + apart


def absorbed(X: np.ndarray, names: Iterable[str], terms: Sequence[RandomTerm], untested: Sequence[str]) -> np.ndarray:
    """Directions (p, c) of the coefficients in which their variance is unknown: what the effects of a group do there.

    A combination of coefficients that weighs none of them has a test even where its coefficients have none: with one
    field for two of four varieties, and one for the other two, the varieties of one field can be compared.
    """
    p = X.shape[1]
    found = [np.zeros((p, 0))]
    for term in terms:
        if len(term.levels) <= p:
            u, within, _ = _split(X, term)
            found.append((u @ within.T).reshape(p, -1) if len(within) else found[0])
    directions = np.hstack(found)
    size = np.abs(directions).max(initial=0.0)
    directions = np.where(np.abs(directions) > 1e-8 * size, directions, 0.0)
    alone = np.isin(list(names), list(untested)) & ~directions.any(axis=1)  # in doubt for another reason
    return np.hstack([directions, np.eye(p)[:, alone]])


def _taken_from(X: np.ndarray, names: Sequence[str], term: RandomTerm, what: str) -> list[Doubt]:
    """The doubt that there is where the coefficients take up effects of all groups."""
    if len(term.levels) > X.shape[1] or not np.isfinite(X).all() or not (mixed := _absorbed(X, term)).any():
        return []
    untested = tuple(name for name, is_mixed in zip(names, mixed, strict=True) if is_mixed)
    reason = (
        f"there is no test of {', '.join(untested)}: with {len(term.levels)} of '{term.group}' {what} cannot be "
        "told from the coefficients, so their variance cannot be estimated; add groups, or take "
        f"'{term.group}' out of one part of the {'formula' if what == 'their effects' else 'model'}"
    )
    return [Doubt(reason, untested)]


def _strangers(term: RandomTerm) -> list[tuple[str, str]]:
    """Effects of a term that no group has both of: nothing tells their correlation."""
    if len(term.names) - ("Intercept" in term.names) < 2:
        return []  # an intercept meets every other effect
    there = term.columns != 0
    partial = np.flatnonzero(~there.all(axis=0))
    if len(partial) < 2:
        return []
    has = np.array([np.bincount(term.codes, weights=there[:, j], minlength=len(term.levels)) > 0 for j in partial])
    together = has.astype(np.intp) @ has.T
    return [
        (term.names[partial[i]], term.names[partial[j]])
        for i, j in zip(*np.triu_indices(len(partial), 1), strict=True)
        if not together[i, j] and has[i].any() and has[j].any()
    ]


def _never_together(term: RandomTerm, pairs: Sequence[tuple[str, str]]) -> str:
    which = "; ".join(f"{one} and {other}" for one, other in pairs[:5]) + "; and others" * (len(pairs) > 5)
    return (
        f"the data tell nothing of the correlation of {which}: no '{term.group}' has both, so the number in its place "
        "has no meaning; the others do not depend on it, and effects in bars of their own have none"
    )


def _same(one: RandomTerm, other: RandomTerm) -> bool:
    """Whether two terms have the same groups and an effect in common."""
    if len(one.levels) != len(other.levels) or not set(one.names) & set(other.names):
        return False
    place = np.full(len(one.levels), -1)
    place[one.codes] = other.codes
    shared = [(one.names.index(name), other.names.index(name)) for name in one.names if name in other.names]
    alike = any(np.array_equal(one.columns[:, i], other.columns[:, j]) for i, j in shared)
    return alike and np.array_equal(place[one.codes], other.codes)


def _absorbed(X: np.ndarray, term: RandomTerm) -> np.ndarray:
    """Which coefficients do what some combination of a term's effects does in every group, (p,) bool; mostly none."""
    u, within, _ = _split(X, term)
    if not len(within):
        return np.zeros(X.shape[1], dtype=bool)
    doing = np.abs(u @ within.T).max(axis=(1, 2), initial=0.0)
    return np.asarray(doing > 1e-8 * doing.max(initial=0.0))


def left_over(X: np.ndarray, term: RandomTerm) -> RandomTerm | None:
    """A term without the combinations of its effects that the coefficients take up; None if they take up all."""
    if len(term.levels) > X.shape[1]:
        return term
    _, within, beside = _split(X, term)
    if not len(within):
        return term
    if not len(beside):
        return None
    return replace(term, names=tuple(f"effect {i + 1}" for i in range(len(beside))), columns=term.columns @ beside.T)


def _split(X: np.ndarray, term: RandomTerm) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The coefficients (p, J, k) nearest to each effect, and combinations (c, k) of effects: in X, and beside it."""
    Z = columns([term], len(X))
    shape = (-1, len(term.levels), len(term.names))
    u = np.linalg.lstsq(X, Z, rcond=None)[0]
    size = np.sqrt((Z.reshape(shape) ** 2).sum(axis=(0, 1)))
    size = np.where(size > 0, size, 1)
    left = ((Z - X @ u).reshape(shape) / size).reshape(-1, shape[2])
    values, vectors = np.linalg.svd(left, full_matrices=False)[1:]
    nothing = values < 1e-8 * np.sqrt(len(X))
    return u.reshape(shape), vectors[nothing] / size, vectors[~nothing] / size


def _residual_lost(X: np.ndarray, terms: Sequence[RandomTerm], reml: bool) -> Iterator[str]:
    """Say where coefficients and random effects together leave nothing that only the residual explains."""
    n, p = X.shape
    rank = np.linalg.matrix_rank
    Z = columns(terms, n)
    if not reml:
        if rank(np.hstack([X / np.abs(X).max(axis=0), Z])) == n and rank(Z) < n:
            yield (
                f"the {p} coefficients and {Z.shape[1]} random effects fit {n} rows exactly, so the likelihood has no "
                "maximum: drop a random effect, or measure more often"
            )
        return
    Q = np.linalg.qr(X, mode="complete")[0][:, p:].T  # what the coefficients leave, (n - p, n)
    parts = [np.eye(n - p)]
    for term in terms:
        own = (Q @ columns([term], n)).reshape(n - p, len(term.levels), -1)
        for i, j in zip(*np.tril_indices(len(term.names)), strict=True):
            part = own[:, :, i] @ own[:, :, j].T
            parts.append(part + part.T)
    vectors = np.array([part.ravel() / (np.linalg.norm(part) or 1) for part in parts])
    if rank(vectors @ vectors.T, tol=1e-10, hermitian=True) < len(vectors):
        groups = listed(dict.fromkeys(term.group for term in terms))
        yield (
            f"the variances of {groups} and of the residual cannot be told apart in {n} rows with {p} coefficients: "
            "drop a random effect or a coefficient, or measure more often"
        )


def taken_up(equation: Equation) -> Iterator[tuple[RandomTerm, np.ndarray]]:
    """Yield terms whose effects the coefficients take up, as where there is one school in each arm.

    No fit can estimate such a variance. Beside the term stands its part of the covariance of the coefficients, (p, p).
    """
    X, shared = equation.X.to_numpy(), equation.residual.shared(equation.design)
    terms = list(zip(equation.terms, equation.covariances, strict=True))
    if shared is not None:
        terms.append((shared, np.full((1, 1), np.mean(equation.residual.sds(equation.design) ** 2))))
    for term, G in terms:
        J, k = len(term.levels), len(term.names)
        if J * k > X.shape[1]:
            continue
        Z = columns([term], len(X))
        u = np.linalg.lstsq(X, Z, rcond=None)[0]  # the coefficients that do what each group effect does
        if np.allclose(X @ u, Z, atol=1e-8 * np.abs(Z).max()):
            yield term, u @ np.kron(np.eye(J), G) @ u.T


def without_empty_cells(equation: Equation) -> Equation:
    """The equation without columns of crossed factors that empty cells leave without a meaning; a warning names them.

    The other coefficients are those of the same mean.
    """
    crossed = [i for i, name in enumerate(equation.X.columns) if name.count("[") > 1]
    X, notes = drop_empty_cells(equation.X, crossed) if crossed else (equation.X, [])
    if not notes:
        return equation
    beta = np.linalg.lstsq(X.to_numpy(), equation.X.to_numpy() @ equation.beta, rcond=None)[0]
    return replace(equation, X=X, beta=beta)
