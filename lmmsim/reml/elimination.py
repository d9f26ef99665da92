"""Nested factors, eliminated from the innermost outward: log|V| and S = [X, y]'V^-1 [X, y], differentiated twice.

Pupils in classrooms in schools: V = I + Z_1 Psi_1 Z_1' + Z_2 Psi_2 Z_2' + ... with every level of Z_1 inside one level
of Z_2. Write V_f for the sum up to factor f. A level of factor f knows its rows of M = [Z_f, outer, X, y] only through

    A = Z_f'V_{f-1}^-1 Z_f        B = Z_f'V_{f-1}^-1 [outer, X, y]

and by Woodbury's identity, with K = Psi (I + A Psi)^-1, R = K B, N = I - A K, F = N B, T = N A, one step takes

    M'V_f^-1 M = M'V_{f-1}^-1 M - sum B'R        log|V_f| = log|V_{f-1}| + sum log|I + A Psi|

to the levels of the next factor, whose matrices are small and apart again: the cost is linear in the number of levels.
Derivatives go along (forward differentiation). For a and b among the inner parameters, H_a = B_a - A_a R, and a
direction E, E' of Psi_f:

    of -B'R:       a: -H_a'R - R'B_a      ab: -H_ab'R - R'B_ab - H_a'K H_b - H_b'K H_a
                   E: -F'E F              aE: -(N H_a)'E F - F'E N H_a        EE': F'E'T E F + F'E T E'F
    of log|.|:     a: tr K A_a            ab: tr K A_ab - tr K A_a K A_b
                   E: tr E T              aE: tr E N A_a N'                   EE': -tr E T E'T

A derivative is named by its parameters: () the value, (a,) the first, (a, b) with a <= b the second. Matrices have
their indices first: A (k, k, m, J), B (k, d, m, J) for J levels and m responses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from lmmsim.reml.stacks import cholesky, product, solve_lower, transpose

Name = tuple[int, ...]
Jet = dict[Name, np.ndarray]  # a quantity and its derivatives
Pairs = list[tuple[np.ndarray, np.ndarray]]  # L and R of sum L'R, each (k, d, m, J)


@dataclass
class Step:
    """What eliminating one factor gives."""

    K: np.ndarray  # (k, k, m, J) conditional covariance of the effects
    R: np.ndarray  # (k, d, m, J) effects = R (-outer effects, -beta, 1)
    log_det: Jet = field(default_factory=dict)  # each (m,)
    pairs: dict[Name, Pairs] = field(default_factory=dict)  # of what is added to M'V^-1 M


def first_step(T: np.ndarray, log_det: np.ndarray, U: np.ndarray, psi: np.ndarray, E: np.ndarray) -> Step:
    """The innermost factor, where A = Z'Z is known: what U = A^+ B explains has the cross-product U'T U.

    Parameters
    ----------
    T : ndarray, shape (k, k, m, J)
    log_det : ndarray, shape (m,)
    U : ndarray, shape (k, d, m, J)
    psi : ndarray, shape (k, k, m, 1)
    E : ndarray, shape (t, k, k)
        Directions of psi.
    """
    TU = product(T, U)
    psi_T = product(psi, T)
    step = Step(psi - product(psi_T, psi), product(psi, TU))
    step.log_det[()], step.pairs[()] = log_det, [(U, TU)]
    TE = [product(T, D) for D in E[..., None, None]]
    for a, left in enumerate(TE):
        step.log_det[a,] = _trace(left)
        step.pairs[a,] = [(-TU, product(E[a][..., None, None], TU))]
        for b in range(a, len(E)):
            right = product(TE[b], TU)  # T E_b T U
            step.log_det[a, b] = -_trace(product(left, TE[b]))
            one = product(E[a][..., None, None], right)
            step.pairs[a, b] = [(TU, one), (one, TU)]
    return step


def next_step(A: Jet, B: Jet, factor: np.ndarray, E: np.ndarray, inner: int) -> Step:
    """An outer factor, where A and B depend on the parameters of the `inner` factors.

    Parameters
    ----------
    A, B : Jet
    factor : ndarray, shape (k, k, m, 1)
        Lambda, lower triangular.
    E : ndarray, shape (t, k, k)
        Directions of psi; they are numbered after the inner ones.
    inner : int
        How many inner parameters there are.
    """
    k = len(factor)
    one = np.eye(k)[:, :, None, None]
    root = cholesky(product(transpose(factor), product(A[()], factor)) + one)
    half = solve_lower(root, transpose(factor) + np.zeros_like(root))
    K = product(transpose(half), half)
    N = one - product(A[()], K)
    R, F, T = product(K, B[()]), product(N, B[()]), product(N, A[()])
    step = Step(K, R)
    with np.errstate(invalid="ignore", divide="ignore"):
        step.log_det[()] = 2 * np.log(root[np.arange(k), np.arange(k)]).sum(axis=(0, 2))
    step.pairs[()] = [(-B[()], R)]
    H = {name: B[name] - product(A[name], R) for name in A if name}
    KA = [product(K, A[a,]) for a in range(inner)]
    for a in range(inner):
        step.log_det[a,] = _trace(KA[a])
        step.pairs[a,] = [(-H[a,], R), (-R, B[a,])]
        for b in range(a, inner):
            KHa, KHb = product(K, H[a,]), product(K, H[b,])
            step.log_det[a, b] = _trace(product(K, A[a, b])) - _trace(product(KA[a], KA[b]))
            step.pairs[a, b] = [(-H[a, b], R), (-R, B[a, b]), (-H[a,], KHb), (-H[b,], KHa)]
    for i, D in enumerate(E[..., None, None]):
        e, EF, ET = inner + i, product(D, F), product(D, T)
        step.log_det[e,], step.pairs[e,] = _trace(ET), [(-F, EF)]
        for a in range(inner):
            NH = product(N, H[a,])
            step.log_det[a, e] = _trace(product(D, product(product(N, A[a,]), transpose(N))))
            step.pairs[a, e] = [(-NH, EF), (-EF, NH)]
        for j in range(i, len(E)):
            other = product(E[j][..., None, None], product(T, EF))  # E' T E F
            step.log_det[e, inner + j] = -_trace(product(ET, product(E[j][..., None, None], T)))
            step.pairs[e, inner + j] = [(F, other), (other, F)]
    return step


def added(pairs: Pairs, rows: slice, columns: slice, starts: np.ndarray) -> np.ndarray:
    """Some rows and columns of sum L'R, added up over the levels that start at `starts`: (rows, columns, m, groups)."""
    out = sum(product(transpose(left[:, rows]), right[:, columns]) for left, right in pairs)
    return np.asarray(np.add.reduceat(out, starts, axis=3))


def added_up(pairs: Pairs, rows: slice) -> np.ndarray:
    """Some rows and columns of sum L'R, added up over all levels: (m, rows, columns)."""
    return np.asarray(sum(np.einsum("apmj,aqmj->mpq", left[:, rows], right[:, rows]) for left, right in pairs))


def names(t: int) -> Iterator[Name]:
    """The value, the first and the second derivatives by t parameters."""
    yield ()
    for a in range(t):
        yield (a,)
        yield from ((a, b) for b in range(a, t))


def _trace(stack: np.ndarray) -> np.ndarray:
    """Traces, added up over levels, (m,)."""
    return np.asarray(np.einsum("iimj->m", stack))
