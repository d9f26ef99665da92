"""statsmodels' MixedLM as an estimator: the same formula, the same `Fit`, and guards against its known traps.

It serves for single fits and for comparison; `many` is a loop. Variance components are absolute, not ratios to the
residual variance, and random intercepts are always named to it, since it drops them in silence beside others.

Two answers are not believed: fixed effects of exactly zero with `converged=True` (statsmodels issue 10239), and a stop
above the smallest -2 log-likelihood, which happens where time is far from zero or a variance near it. They are fitted
again with another optimiser, and are not called converged if none does better. `message` tells, warnings included.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmsim.checks import as_frame, check_choice, check_level
from lmmsim.covariance import cholesky
from lmmsim.estimators.estimates import Estimates, effects_of, join, nothing
from lmmsim.estimators.inference import MixedFit
from lmmsim.estimators.rows import (
    check_called_on_data,
    check_shape,
    chosen_rows,
    complete_rows,
    response_values,
    unusable,
)
from lmmsim.estimators.spellings import Fits
from lmmsim.model.columns import Matrices, RandomTerm, build
from lmmsim.model.formula import split
from lmmsim.model.identifiable import check_terms, check_X
from lmmsim.reml.engine import Engine
from lmmsim.reml.theta import lower_factor, pack

OPTIMISERS = (None, "lbfgs", "bfgs", "powell")  # None: its own sequence
FAR = 0.01  # in -2 log-likelihood, above the minimum that the engine finds
ON_THE_EDGE = 1e-3  # relative sd below which a direction counts as zero; its optimisers stop short of it


@dataclass(frozen=True)
class StatsmodelsLMM(Fits):
    """Linear mixed model fitted by statsmodels.

    Parameters
    ----------
    formula : str
        As for `LMM`. Correlated random effects are possible for one factor that all others are nested in; crossed
        factors only with uncorrelated effects.
    reml : bool
    missing : "drop" or "raise"
    level : float
        As for `LMM`.

    Notes
    -----
    The reference distribution is the normal: statsmodels has no small-sample df for mixed models.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> plants = pd.DataFrame({"plot": np.repeat(range(10), 5), "week": np.tile(range(5), 10)})
    >>> plants["height"] = 10 + 2 * plants["week"] + rng.normal(size=10)[plants["plot"]] + rng.normal(size=50)
    >>> StatsmodelsLMM("height ~ week + (1 | plot)")(plants).converged
    True
    """

    formula: str
    reml: bool = True
    missing: Literal["drop", "raise"] = "drop"
    level: float = 0.95

    def __post_init__(self) -> None:
        check_called_on_data(self)
        check_choice("missing", self.missing, ("drop", "raise"))
        check_level(self.level)
        if not split(self.formula).bars:
            raise ValueError(f"'{self.formula}' has no random effects, as in (1 | group); use OLS without them")

    @property
    def method(self) -> str:
        """How results are labelled."""
        return f"statsmodels MixedLM by {'REML' if self.reml else 'maximum likelihood'}, z"

    def __call__(self, data: pd.DataFrame) -> MixedFit:
        """Fit one data set; see `LMM.__call__`."""
        chosen = chosen_rows(self.formula, data, self.missing)
        y = response_values(split(self.formula).response, chosen.used)
        return self._fit(y, build(self.formula, chosen.covered, True, chosen.rows), chosen.used)

    def many(self, Y: np.ndarray, data: pd.DataFrame, start: object = None) -> Estimates:
        """Fit every column of Y, one after the other; see `LMM.many`."""
        Y = check_shape(Y, len(data := as_frame(data)))
        keep = complete_rows(self.formula, data, self.missing, response=False)
        data, Y = data[keep], Y[keep]
        whole = build(self.formula, data)
        terms, effects = tuple(whole.X.columns), effects_of(whole.terms)
        parts = []
        for y, reason in zip(Y.T, unusable(whole.response, Y), strict=True):
            rows = ~np.isnan(y)
            try:
                if reason:
                    raise ValueError(reason)
                some = whole if rows.all() else build(self.formula, data, True, rows)
                parts.append(self._fit(y[rows], some, data[rows]).estimates)
            except (ValueError, np.linalg.LinAlgError) as error:
                parts.append(nothing(1, str(error), terms, effects))
        return join(parts)

    def _fit(self, y: np.ndarray, matrices: Matrices, data: pd.DataFrame) -> MixedFit:
        X = matrices.X.to_numpy()
        check_X(X, tuple(matrices.X.columns))
        check_terms(matrices.terms, len(X))
        layout = Layout(matrices.terms)
        smallest = float(Engine(X, matrices.terms).fit(y[:, None], reml=self.reml).criterion[0])
        result, message = guarded_fit(layout.model(y, X), self.reml, smallest)
        covariances = layout.covariances(result)
        p = X.shape[1]
        narrowest = min(np.linalg.eigvalsh(G / result.scale)[0] for G in covariances)
        return MixedFit(
            method=self.method,
            formula=self.formula,
            estimator=self,
            matrices=matrices,
            data=data,
            y=y,
            beta=np.asarray(result.fe_params),
            vcov_beta=fixed_covariance(result, p),
            df=np.full(p, np.inf),
            sigma=float(np.sqrt(result.scale)),
            criterion=-2 * float(result.llf),
            reml=self.reml,
            converged=trouble(result, smallest) == "",
            singular=bool(narrowest < ON_THE_EDGE**2),
            message=message,
            level=self.level,
            covariances=covariances,
            conditional=FromStatsmodels(layout, result),
            theta=theta_of(covariances, result.scale),
        )


def guarded_fit(model: Any, reml: bool, smallest: float) -> tuple[Any, str]:
    """Fit, and fit again with another optimiser while the answer cannot be trusted; keep the best and say so.

    `smallest` is the -2 log-likelihood that can be reached.
    """
    said: list[str] = []
    heard: list[str] = []
    best = None
    for optimiser in OPTIMISERS:
        name = f"optimiser {optimiser or 'default'}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = model.fit(reml=reml, method=optimiser)
            except (np.linalg.LinAlgError, ValueError) as error:
                said.append(f"{name} failed: {error}")
                continue
        if best is None or rank(result, smallest) > rank(best, smallest):
            best = result
            heard = [str(warning.message).splitlines()[0] for warning in caught if is_about_the_fit(warning)]
        problem = trouble(result, smallest)
        if not problem:
            break
        said.append(f"{name} {problem}")
    if best is None:
        raise ValueError(f"statsmodels could not fit this: {'; '.join(said)}")
    return best, "; ".join(dict.fromkeys([*said, *heard]))


def is_about_the_fit(warning: warnings.WarningMessage) -> bool:
    """Whether a warning says something about the estimates."""
    return issubclass(warning.category, (UserWarning, RuntimeWarning)) or "onverg" in str(warning.message)


def stuck_at_zero(result: Any) -> bool:
    """Whether a fixed effect is exactly zero, which no optimiser arrives at by itself."""
    return bool((np.asarray(result.fe_params) == 0.0).any())


def trouble(result: Any, smallest: float) -> str:
    """Why a result cannot be trusted; nothing if it can."""
    if stuck_at_zero(result):
        return "returned fixed effects of exactly 0.0"
    gap = -2 * float(result.llf) - smallest
    if not abs(gap) < FAR:
        return f"stopped {gap:.3g} above the smallest -2 log-likelihood"
    return ""


def rank(result: Any, smallest: float) -> tuple[bool, float]:
    """Trust in a result: not stuck, and how near to the minimum."""
    gap = abs(-2 * float(result.llf) - smallest)
    return not stuck_at_zero(result), -gap if np.isfinite(gap) else -np.inf


def fixed_covariance(result: Any, p: int) -> np.ndarray:
    """Covariance of the fixed effects.

    statsmodels inverts the Hessian of all parameters together. Where a variance is estimated at its edge that is no
    maximum and its inverse no covariance: standard errors may then be far too small. The part of the fixed effects is.
    """
    everything = np.asarray(result.cov_params())
    try:
        cholesky(everything)
    except np.linalg.LinAlgError:  # no covariance matrix, or not finite
        return np.linalg.inv(-result.model.hessian(result.params_object)[0][:p, :p])
    return everything[:p, :p]


def theta_of(covariances: tuple[np.ndarray, ...], scale: float) -> np.ndarray:
    """Theta of absolute covariances, which may be singular."""
    roots = []
    for G in covariances:
        values, vectors = np.linalg.eigh(G / scale)
        roots.append(lower_factor((vectors * np.sqrt(values.clip(min=0)))[None]))
    return pack(roots)[0]


class Layout:
    """Which term is the host, whose factor all others are nested in (None if crossed), and which are components."""

    def __init__(self, terms: tuple[RandomTerm, ...]) -> None:
        self.terms = terms
        self.host = self._find_host()
        groups = terms[self.host].codes if self.host is not None else np.zeros(len(terms[0].codes), dtype=int)
        self.groups = groups
        self.rows = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
        self.parts = [(b, c) for b, term in enumerate(terms) if b != self.host for c in range(len(term.names))]
        for b, term in enumerate(terms):
            if b != self.host and len(term.names) > 1:
                raise ValueError(
                    f"statsmodels cannot have correlated random effects ({', '.join(term.names)} | {term.group}) "
                    f"beside {', '.join(other.group for other in terms if other is not term)}: write || or use LMM"
                )

    def _find_host(self) -> int | None:
        """Return the term, the widest, whose factor every other is nested in."""
        order = sorted(range(len(self.terms)), key=lambda b: -len(self.terms[b].names))
        for b in order:
            codes = self.terms[b].codes
            pairs = [np.unique(np.stack([other.codes, codes]), axis=1).shape[1] for other in self.terms]
            if all(pair == len(other.levels) for pair, other in zip(pairs, self.terms, strict=True)):
                return b
        return None

    def model(self, y: np.ndarray, X: np.ndarray) -> Any:
        """Make the MixedLM."""
        from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

        names = [f"{b}.{c}" for b, c in self.parts]
        blocks = [[self._block(b, c, rows) for rows in self.rows] for b, c in self.parts]
        labels = [[self._labels(b, c, rows) for rows in self.rows] for b, c in self.parts]
        components = VCSpec(names, labels, blocks) if names else None
        effects = self.terms[self.host].columns if self.host is not None else None
        return MixedLM(y, X, groups=self.groups, exog_re=effects, exog_vc=components)

    def _block(self, b: int, c: int, rows: np.ndarray) -> np.ndarray:
        term = self.terms[b]
        codes = term.codes[rows]
        return (codes[:, None] == np.unique(codes)) * term.columns[rows, c][:, None]

    def _labels(self, b: int, c: int, rows: np.ndarray) -> list[str]:
        return [f"{b}.{c}.{code}" for code in np.unique(self.terms[b].codes[rows])]

    def covariances(self, result: Any) -> tuple[np.ndarray, ...]:
        """Return absolute covariances by term."""
        variance = dict(zip(self.parts, np.asarray(result.vcomp), strict=True))
        return tuple(
            np.asarray(result.cov_re) if b == self.host else np.diag([variance[b, c] for c in range(len(term.names))])
            for b, term in enumerate(self.terms)
        )


@dataclass(frozen=True, eq=False)
class FromStatsmodels:
    """The random effects of one fit, which statsmodels predicts on request."""

    layout: Layout
    result: Any

    def _places(self) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
        """Yield, by group, its number, the host's k, and (term, column, level) of the effects that follow."""
        lo = self.layout
        k = len(lo.terms[lo.host].names) if lo.host is not None else 0
        for g, rows in enumerate(lo.rows):
            yield g, k, [(b, c, code) for b, c in lo.parts for code in np.unique(lo.terms[b].codes[rows])]

    def modes(self) -> tuple[np.ndarray, ...]:
        """Conditional modes by term, (J, k); NaN where statsmodels cannot compute them."""
        lo = self.layout
        modes = tuple(np.full((len(term.levels), len(term.names)), np.nan) for term in lo.terms)
        try:
            effects = self.result.random_effects
        except ValueError:
            return modes
        for g, k, places in self._places():
            values = np.asarray(effects[g])
            if lo.host is not None:
                modes[lo.host][g] = values[:k]
            for (b, c, code), value in zip(places, values[k:], strict=True):
                modes[b][code, c] = value
        return modes

    def variances(self) -> tuple[np.ndarray, ...]:
        """Conditional covariances by term, (J, k, k)."""
        lo = self.layout
        blocks = tuple(np.zeros((len(term.levels), len(term.names), len(term.names))) for term in lo.terms)
        for g, k, places in self._places():
            values = np.asarray(self.result.random_effects_cov[g])
            if lo.host is not None:
                blocks[lo.host][g] = values[:k, :k]
            for i, (b, c, code) in enumerate(places, start=k):
                blocks[b][code, c, c] = values[i, i]
        return blocks
