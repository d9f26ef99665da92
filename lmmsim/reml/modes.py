"""Conditional modes of the random effects (best linear unbiased predictors) and their conditional variances.

With r = Z'V^-1 (y - X beta), the modes are b = Psi r. Their variance given theta, without the part that comes from
estimating beta (lme4's condVar), is sigma^2 (Psi - Psi Z'V^-1 Z Psi).
"""

from __future__ import annotations

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.blocks import Blocks
from lmmsim.reml.derivatives import Point
from lmmsim.reml.standard_form import Responses


def modes(blocks: Blocks, point: Point, responses: Responses) -> list[np.ndarray]:
    """Modes of every bar, (m, J, k), in the user's columns and units."""
    layout, bars = blocks.layout, blocks.problem.bars
    rest = responses.y - blocks.X_star @ point.beta_star.T
    if responses.observed is not None:
        rest = rest * responses.observed
    e = blocks.sums(rest).swapaxes(1, 2)  # (k, m, J)
    r = stacks.product(_by_block(point, point.N), e[:, None])[:, 0]
    out = []
    for i, bar in enumerate(bars):
        k = layout.sizes[i]
        if i in layout.absorbed:
            own = r[layout.offsets[i] : layout.offsets[i] + k]
            factor = point.factors[i]
            b = np.einsum("mab,mcb,cmj->mja", factor, factor, own)
        else:
            b = point.beta_star[:, layout.columns[i]].reshape(-1, bar.levels, k)
        out.append(responses.scale[:, None, None] * (b @ bar.back.T))
    return out


def mode_variances(blocks: Blocks, point: Point, sigma: np.ndarray, observed: np.ndarray | None) -> list[np.ndarray]:
    """Conditional variances of every bar, (m, J, k, k), in the user's columns and units."""
    layout = blocks.layout
    T = np.array(np.broadcast_to(_by_block(point, point.T), (layout.k, layout.k, point.m, blocks.J)))
    if layout.rest:
        N = _by_block(point, point.N)
        spread = np.stack([_spread(blocks, C, observed, m) for m, C in enumerate(point.C_without_X)], axis=2)
        T -= stacks.product(stacks.product(N, spread), stacks.transpose(N))
    out = []
    for i, bar in enumerate(blocks.problem.bars):
        k, J = layout.sizes[i], bar.levels
        psi = point.factors[i] @ point.factors[i].swapaxes(1, 2)
        if i in layout.absorbed:
            at = slice(layout.offsets[i], layout.offsets[i] + k)
            variance = psi[:, None] - psi[:, None] @ T[at, at].transpose(2, 3, 0, 1) @ psi[:, None]
        else:
            at = layout.columns[i]
            block = point.C_without_X[:, at, at].reshape(-1, J, k, J, k)
            variance = np.einsum("mjajb->mjab", block)
        out.append(sigma[:, None, None, None] ** 2 * (bar.back @ variance @ bar.back.T))
    return out


def _by_block(point: Point, stack: np.ndarray) -> np.ndarray:
    """Patterns (k, k, m, G) to blocks (k, k, m, J)."""
    return stack[..., point.moments.pattern]


def _spread(blocks: Blocks, C: np.ndarray, observed: np.ndarray | None, m: int) -> np.ndarray:
    """B_j C B_j' of every block, (k, k, J), for one response."""
    from scipy import sparse

    B = sparse.csr_array(blocks.B)
    if observed is not None:
        seen = sparse.diags_array(observed[:, m].astype(float))
        B = sparse.csr_array(blocks.Z1t @ seen @ blocks.X_star)
    k, J = blocks.layout.k, blocks.J
    right = B @ C
    out = np.empty((k, k, J))
    for a in range(k):
        rows = B[a * J : (a + 1) * J]
        for b in range(k):
            out[a, b] = np.asarray(rows.multiply(right[b * J : (b + 1) * J]).sum(axis=1)).ravel()
    return out
