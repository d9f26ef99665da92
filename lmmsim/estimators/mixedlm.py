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

from lmmsim.checks import check_choice, check_level
from lmmsim.estimators.estimates import Estimates, by_group
from lmmsim.estimators.inference import MixedFit
from lmmsim.estimators.rows import check_shape, complete_rows, response_values, unusable
from lmmsim.model.columns import Matrices, RandomTerm, build
from lmmsim.model.formula import split
from lmmsim.model.identifiable import check_bars, check_X
from lmmsim.reml.engine import Engine

OPTIMISERS = (None, "lbfgs", "bfgs", "powell")  # None: its own sequence
FAR = 0.01  # in -2 log-likelihood, above the minimum that the engine finds
ON_THE_EDGE = 1e-3  # relative sd below which a direction counts as zero; its optimisers stop short of it


@dataclass(frozen=True)
class StatsmodelsLMM:
    """Linear mixed model fitted by statsmodels.

    Parameters
    ----------
    formula : str
        As for `LMM`. Correlated random effects are possible for one factor that all others are nested in; crossed
        factors only with uncorrelated effects.
    reml : bool
    missing : "warn" or "raise"
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
    missing: Literal["warn", "raise"] = "warn"
    level: float = 0.95

    def __post_init__(self) -> None:
        check_choice("missing", self.missing, ("warn", "raise"))
        check_level(self.level)
        if not split(self.formula).bars:
            raise ValueError(f"'{self.formula}' has no random effects, as in (1 | group); use OLS without them")

    @property
    def method(self) -> str:
        """How results are labelled."""
        return f"statsmodels MixedLM by {'REML' if self.reml else 'maximum likelihood'}, z"

    def __call__(self, data: pd.DataFrame) -> MixedFit:
        """Fit one data set; see `LMM.__call__`."""
        keep = complete_rows(self.formula, data, self.missing)
        used = data if keep.all() else data[keep]
        y = response_values(split(self.formula).response, used)
        return self._fit(y, build(self.formula, used), used)

    def many(self, Y: np.ndarray, data: pd.DataFrame, start: object = None) -> Estimates:
        """Fit every column of Y, one after the other; see `LMM.many`."""
        Y = check_shape(Y, data)
        keep = complete_rows(self.formula, data, self.missing, response=False)
        data, Y = data[keep], Y[keep]
        whole = build(self.formula, data)
        message = unusable(whole.response, Y)
        fits: list[MixedFit | None] = []
        for j, y in enumerate(Y.T):
            if message[j]:
                fits.append(None)
                continue
            rows = ~np.isnan(y)
            try:
                some = whole if rows.all() else build(self.formula, data[rows])
                fits.append(self._fit(y[rows], some, data[rows]))
            except (ValueError, np.linalg.LinAlgError) as error:
                fits.append(None)
                message[j] = str(error)
        return stack(fits, whole, message, self.level)

    def _fit(self, y: np.ndarray, matrices: Matrices, data: pd.DataFrame) -> MixedFit:
        X = matrices.X.to_numpy()
        check_X(X, tuple(matrices.X.columns))
        check_bars(matrices.terms, len(X))
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
            effects=Conditional(layout, result),
            theta=relative_factors(covariances, result.scale),
        )


@dataclass(frozen=True, eq=False)
class Conditional:
    """The random effects of one fit, which statsmodels predicts on request."""

    layout: Layout
    result: Any

    def modes(self) -> tuple[np.ndarray, ...]:
        """Conditional modes, (J, k) for every bar."""
        return self.layout.modes(self.result)

    def variances(self) -> tuple[np.ndarray, ...]:
        """Their conditional covariances, (J, k, k) for every bar."""
        return self.layout.mode_variances(self.result)


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
    if np.isfinite(everything).all() and is_positive_definite(everything):
        return everything[:p, :p]
    hessian, _ = result.model.hessian(result.params_object)
    return np.linalg.inv(-hessian[:p, :p])


def is_positive_definite(matrix: np.ndarray) -> bool:
    """Whether a symmetric matrix has a Cholesky factor."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def relative_factors(covariances: tuple[np.ndarray, ...], scale: float) -> np.ndarray:
    """Lower triangles, column by column, of the Cholesky factors of the covariances over the residual variance."""
    theta: list[float] = []
    for G in covariances:
        values, vectors = np.linalg.eigh(G / scale)
        _, R = np.linalg.qr((vectors * np.sqrt(values.clip(min=0))).T)
        factor = R.T * np.where(np.diagonal(R) < 0, -1, 1)
        theta += [factor[i, j] for j in range(len(G)) for i in range(j, len(G))]
    return np.array(theta)


def stack(fits: list[MixedFit | None], matrices: Matrices, message: np.ndarray, level: float) -> Estimates:
    """One `Estimates` of single fits; NaN where there is none."""
    r, p = len(fits), matrices.X.shape[1]
    estimate, se = np.full((2, r, p), np.nan)
    criterion, sigma = np.full((2, r), np.nan)
    converged, singular = np.zeros((2, r), dtype=bool)
    covariances = [np.full((r, len(bar.names), len(bar.names)), np.nan) for bar in matrices.terms]
    for j, fit in enumerate(fits):
        if fit is None:
            continue
        estimate[j], se[j] = fit.beta, np.sqrt(np.diagonal(fit.vcov_beta))
        criterion[j], sigma[j] = fit.criterion, fit.sigma
        converged[j], singular[j], message[j] = fit.converged, fit.singular, fit.message
        for whole, G in zip(covariances, fit.covariances, strict=True):
            whole[j] = G
    df = np.where(np.isnan(estimate), np.nan, np.inf)
    random = by_group(matrices.terms, tuple(covariances))
    terms = tuple(matrices.X.columns)
    return Estimates(terms, estimate, se, df, criterion, sigma, converged, singular, message, random, level)


class Layout:
    """Which bar is the host, whose factor all others are nested in (None if crossed), and which are components."""

    def __init__(self, terms: tuple[RandomTerm, ...]) -> None:
        self.terms = terms
        self.host = self._find_host()
        groups = terms[self.host].codes if self.host is not None else np.zeros(len(terms[0].codes), dtype=int)
        self.groups = groups
        self.rows = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
        self.parts = [(b, c) for b, bar in enumerate(terms) if b != self.host for c in range(len(bar.names))]
        for b, bar in enumerate(terms):
            if b != self.host and len(bar.names) > 1:
                raise ValueError(
                    f"statsmodels cannot have correlated random effects ({', '.join(bar.names)} | {bar.group}) beside "
                    f"{', '.join(other.group for other in terms if other is not bar)}: write || or use LMM"
                )

    def _find_host(self) -> int | None:
        """Return the bar, the widest, whose factor every other is nested in."""
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
        bar = self.terms[b]
        codes = bar.codes[rows]
        return (codes[:, None] == np.unique(codes)) * bar.columns[rows, c][:, None]

    def _labels(self, b: int, c: int, rows: np.ndarray) -> list[str]:
        return [f"{b}.{c}.{code}" for code in np.unique(self.terms[b].codes[rows])]

    def covariances(self, result: Any) -> tuple[np.ndarray, ...]:
        """Return absolute covariances by bar."""
        variance = dict(zip(self.parts, np.asarray(result.vcomp), strict=True))
        return tuple(
            np.asarray(result.cov_re) if b == self.host else np.diag([variance[b, c] for c in range(len(bar.names))])
            for b, bar in enumerate(self.terms)
        )

    def _places(self) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
        """Yield, by group, its number, the host's k, and (bar, column, level) of the effects that follow."""
        k = len(self.terms[self.host].names) if self.host is not None else 0
        for g, rows in enumerate(self.rows):
            yield g, k, [(b, c, code) for b, c in self.parts for code in np.unique(self.terms[b].codes[rows])]

    def modes(self, result: Any) -> tuple[np.ndarray, ...]:
        """Return conditional modes by bar, (J, k); NaN where statsmodels cannot compute them."""
        modes = tuple(np.full((len(bar.levels), len(bar.names)), np.nan) for bar in self.terms)
        try:
            effects = result.random_effects
        except ValueError:
            return modes
        for g, k, places in self._places():
            values = np.asarray(effects[g])
            if self.host is not None:
                modes[self.host][g] = values[:k]
            for (b, c, code), value in zip(places, values[k:], strict=True):
                modes[b][code, c] = value
        return modes

    def mode_variances(self, result: Any) -> tuple[np.ndarray, ...]:
        """Return conditional covariances by bar, (J, k, k)."""
        blocks = tuple(np.zeros((len(bar.levels), len(bar.names), len(bar.names))) for bar in self.terms)
        covariances = result.random_effects_cov
        for g, k, places in self._places():
            values = np.asarray(covariances[g])
            if self.host is not None:
                blocks[self.host][g] = values[:k, :k]
            for i, (b, c, code) in enumerate(places, start=k):
                blocks[b][code, c, c] = values[i, i]
        return blocks
