"""Conditional modes of the random effects (best linear unbiased predictors) and their conditional variances.

With r = Z'V^-1 (y - X beta), the modes are b = Psi r. Their variance given theta, without the part that comes from
estimating beta (lme4's condVar), is sigma^2 (Psi - Psi Z'V^-1 Z Psi) (Henderson 1975; Bates et al. 2015, section 3.4).
For the absorbed factor r_j = T_j (u_j - U_j beta*) and Z_j'V^-1 Z_j = T_j - T_j U_j C U_j'T_j, C that of a model
without fixed effects; the modes of the other terms are a part of beta*, their variances a part of that C.
"""

from __future__ import annotations

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.absorption import Absorbed
from lmmsim.reml.crossproducts import Gram, block_diagonal, spread_by_block
from lmmsim.reml.derivatives import Point
from lmmsim.reml.standard_form import Responses


def modes(design: Absorbed, point: Point, responses: Responses) -> list[np.ndarray]:
    """Modes of every term, (m, J, k), in the user's columns and units."""
    layout, state, out = design.layout, point.state, []
    rest = responses.y - design.X_star @ state.beta_star.T
    if responses.observed is not None:
        rest = rest * responses.observed
    e = design.sums(rest).swapaxes(1, 2)  # (k, m, J)
    gram = state.moments.gram
    e = stacks.product(_by_block(point, gram.inverse()), e[:, None])
    r = stacks.product(_by_block(point, state.T), e)[:, 0]
    for i, term in enumerate(design.problem.terms):
        if i in layout.absorbed:
            factor = state.factors[i]
            b = np.einsum("mab,mcb,cmj->mja", factor, factor, r[layout.own[i]])
        else:
            b = state.beta_star[:, layout.columns[i]].reshape(-1, term.levels, layout.sizes[i])
        out.append(responses.scale[:, None, None] * (b @ term.back.T))
    return out


def mode_variances(design: Absorbed, point: Point, sigma: np.ndarray, observed: np.ndarray | None) -> list[np.ndarray]:
    """Conditional variances of every term, (m, J, k, k), in the user's columns and units."""
    layout, state, out = design.layout, point.state, []
    T = _by_block(point, state.T)
    ZVZ = np.array(np.broadcast_to(T, (layout.k, layout.k, state.m, design.J)))
    if layout.rest:
        spread = np.stack([_spread(design, C, observed, m) for m, C in enumerate(state.C_without_X)], axis=2)
        ZVZ -= stacks.product(stacks.product(T, spread), T)
    for i, term in enumerate(design.problem.terms):
        k, J = layout.sizes[i], term.levels
        if i in layout.absorbed:
            at, psi = layout.own[i], (state.factors[i] @ state.factors[i].swapaxes(1, 2))[:, None]
            variance = psi - psi @ ZVZ[at, at].transpose(2, 3, 0, 1) @ psi
        else:
            at = layout.columns[i]
            variance = np.einsum("mjajb->mjab", state.C_without_X[:, at, at].reshape(-1, J, k, J, k))
        out.append(sigma[:, None, None, None] ** 2 * (term.back @ variance @ term.back.T))
    return out


def _by_block(point: Point, stack: np.ndarray) -> np.ndarray:
    """Patterns (k, k, m, G) to blocks (k, k, m, J)."""
    return stack[..., point.state.moments.pattern]


def _spread(design: Absorbed, C: np.ndarray, observed: np.ndarray | None, m: int) -> np.ndarray:
    """U_j C U_j' of every block, (k, k, J), for one response."""
    from scipy import sparse

    U = design.U
    if observed is not None:
        seen = observed[:, m].astype(float)
        gram = np.ascontiguousarray(design.sums(design.columns * seen[:, None]).swapaxes(1, 2))[:, :, None]
        solve = block_diagonal(Gram.of(gram).inverse()[:, :, 0])
        U = solve @ (design.Z1t.matrix @ sparse.diags_array(seen) @ design.X_star)
    return spread_by_block(sparse.csr_array(U), C, design.layout.k, design.J)
