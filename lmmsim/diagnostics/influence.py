"""Influence: how the fit changes when a group is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmsim.diagnostics.precision import Inverse
from lmmsim.diagnostics.refits import Check, Refits, as_refits, verdict
from lmmsim.estimators.engines import AnyEngine, engine_of, optimum_of, residual_components
from lmmsim.estimators.estimates import component_table, effects_of
from lmmsim.estimators.fit import Fit
from lmmsim.model.columns import RandomTerm
from lmmsim.streams import Rng

if TYPE_CHECKING:
    from lmmsim.reml.solution import Solution


MEMORY = 10_000_000  # numbers of Y held at a time


def influence(
    fit: Fit | Refits, unit: str | None = None, keep_variances: bool = False, replicates: int = 199, rng: Rng = None
) -> Check:
    """Leave out each group in turn and fit the others.

    Parameters
    ----------
    fit : Fit or Refits
        Of LMM.
    unit : str, optional
        Grouping factor; the first of the fit by default.
    keep_variances : bool
        Leave the variances as they are, which is fast; otherwise all of the model is fitted without each group.
    replicates : int
        Simulated data sets, if they are not there already.
    rng : Generator, int or None

    Returns
    -------
    Check
        `table`, index level of the group: `n` rows; `cooks_kept`, the squared distance that the coefficients move while
        the variances stay, in units of their covariance and per coefficient. Unless variances are kept: `cooks`, the
        same with new variances; `change <term>`, how far each coefficient moves, in its standard errors;
        `ratio <group term>` and `ratio residual`, each standard deviation without the group over that with it;
        `converged`. What the other groups cannot tell is missing. `verdict`: "influence group", the largest
        `cooks_kept`, against data sets simulated from the fit.

    Raises
    ------
    ValueError
        If there is no such grouping factor.

    References
    ----------
    Cook (1977), Technometrics 19:15. Demidenko & Stukel (2005), Statistics in Medicine 24:893.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> schools = simulate(*scenarios.teaching_methods(schools=8), rng=1)
    >>> table = influence(LMM(schools.model.formula)(schools.data), rng=2).table
    >>> len(table), "change method[T.new]" in table, "ratio school Intercept" in table
    (8, True, True)
    """
    refits = as_refits(fit, replicates, rng)
    fit = refits.fit
    term = next((term for term in fit.matrices.terms if unit in (None, term.group)), None)
    if term is None:
        groups = ", ".join(dict.fromkeys(term.group for term in fit.matrices.terms)) or "none"
        raise ValueError(f"'{unit}' is not a grouping factor of the fit; it has {groups}")
    kept = _kept(fit, refits.Y, term)
    known = {"n": np.bincount(term.codes, minlength=len(term.levels)), "cooks_kept": kept[:, 0]}
    table = pd.DataFrame(
        known | ({} if keep_variances else _refitted(fit, term)), index=pd.Index(term.levels, name=term.group)
    )
    return Check(table, verdict(f"influence {term.group}", np.nanmax(kept, axis=0), sided=1))


def _kept(fit: Fit, Y: np.ndarray, term: RandomTerm) -> np.ndarray:
    """Cook's distances (J, r) of each column of Y with the variances of the fit.

    Leaving out rows I moves the coefficients by C X'V^-1_I (P_II)^-1 (P y)_I, as if each of them had its own intercept.
    """
    V, s2 = Inverse.of(fit), fit.sigma**2
    C, R = V.C, V.R
    Py = V.solve(Y) - V.X @ (C @ (V.X.T @ Y))
    out = np.full((len(term.levels), Y.shape[1]), np.nan)
    for rows, H in V.parts:
        for level in np.unique(term.codes[rows]):
            mine = term.codes[rows] == level
            own, h, x = rows[mine], H[mine], V.X[rows[mine]]
            P = R[own][:, own].toarray() - h @ h.T - x @ C @ x.T
            if np.linalg.eigvalsh(P * s2)[0] > 1e-9:
                move = C @ x.T @ np.linalg.solve(P, Py[own])
                out[level] = np.einsum("pr,pr->r", move, np.linalg.solve(C, move)) / len(C)
    return out


def _refitted(fit: Fit, term: RandomTerm) -> dict[str, np.ndarray]:
    """Columns of the table that need a fit without each group."""
    engine = engine_of(fit)
    parts = [
        _without(engine, fit, term, levels)
        for levels in np.array_split(np.arange(len(term.levels)), _chunks(fit, term))
    ]
    beta, sigma, converged = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("beta", "sigma", "converged")
    )
    change = beta - fit.beta
    cooks = np.einsum("ji,ji->j", change, np.linalg.solve(fit.vcov_beta, change.T).T) / len(fit.beta)
    out = {"cooks": cooks}
    out |= {f"change {name}": change[:, j] / fit.coef["se"].iloc[j] for j, name in enumerate(fit.terms)}
    covariances = tuple(np.concatenate(G) for G in zip(*(part.covariances for part in parts), strict=True))
    own = [residual_components(engine, part) for part in parts]
    residual = {name: np.concatenate([part[name] for part in own]) for name in own[0]}
    table = component_table(effects_of(fit.matrices.terms), covariances, sigma, residual)
    for (part, group, name), values in table.items():
        if part == "sd":
            before = fit.components[part, group, name]
            out[f"ratio {group} {name}".strip()] = values / before if before > 0 else np.full(len(values), np.nan)
    return out | {"converged": converged & np.isfinite(cooks)}


def _without(engine: AnyEngine, fit: Fit, term: RandomTerm, levels: np.ndarray) -> Solution:
    """Fits without each of these levels."""
    Y = np.where(term.codes[:, None] == levels, np.nan, fit.y[:, None])
    return engine.fit(Y, reml=fit.reml, start=optimum_of(fit))


def _chunks(fit: Fit, term: RandomTerm) -> int:
    return max(1, min(len(term.levels), fit.nobs * len(term.levels) // MEMORY))
