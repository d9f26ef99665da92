"""Models: a formula with its numbers, and the matrices X, Z, G, R, V they imply.

    y = X beta + Z u + eps,   u ~ N(0, G),   eps ~ N(0, R),   V = Z G Z' + R

Every number is named by the term it belongs to and is in the units of the response.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.checks import as_frame, is_number, quoted
from lmmsim.model import describe
from lmmsim.model.columns import Basis, Matrices, build, on_basis
from lmmsim.model.equation import Equation
from lmmsim.model.formula import split
from lmmsim.model.random_effects import Random, as_random, check_sds
from lmmsim.model.residual import IID, Residual

if TYPE_CHECKING:
    from lmmsim.model.matrices import Labelled

LARGEST = 30_000  # rows of a V that is made as a plain array


@dataclass(frozen=True, init=False, repr=False)
class Model:
    """A world: the formula of a mixed model, with a number for each of its parameters.

    Parameters
    ----------
    formula : str
        `y ~ x + (x | g)`; the random terms in parentheses, as in lme4.
    beta : mapping
        Every fixed coefficient by name, in the units of the response.
        `Model.template` prints the names that a formula needs.
    random : mapping, optional
        For every grouping factor its `Random`, or the sd of an intercept.
    residual : float, IID, AR1, CompoundSymmetry or Unstructured
        A number is the sd of independent normal residuals.
    basis : Basis, optional
        What the columns mean, from the fit that the world was made of: the mean that center(x) subtracts, the
        polynomials of poly(x, 2), the levels. Without it a design's own rows say so.

    Raises
    ------
    ValueError
        For a formula that cannot be read, a grouping factor without numbers or
        not in the formula, a negative sd, or correlations that cannot be. What
        depends on the columns is checked when the model meets a design.

    Warns
    -----
    UserWarning
        If a coefficient means something else on each design, as that of center(x) or poly(x, 2).

    Examples
    --------
    >>> from lmmsim import crossed
    >>> model = Model("y ~ 1 + (1 | plot)", beta={"Intercept": 10.0}, random={"plot": 2.0}, residual=1.0)
    >>> model.V(crossed(plot=1, week=[0, 1]))
    array([[5., 4.],
           [4., 5.]])
    """

    formula: str
    beta: dict[str, float]
    random: dict[str, Random]
    residual: Residual
    basis: Basis | None = field(default=None, compare=False)

    def __init__(
        self,
        formula: str,
        beta: Mapping[str, float],
        random: Mapping[str, Random | float] | None = None,
        residual: Residual | float = 1.0,
        basis: Basis | None = None,
    ) -> None:
        if not isinstance(beta, Mapping | pd.Series):
            raise TypeError(f"beta names every coefficient, as in {{'Intercept': 10.0}}; got {beta!r}")
        if not isinstance(random, Mapping | None):
            raise TypeError(f"random names every grouping factor, as in {{'plot': 2.0}}; got {random!r}")
        random = dict(random or {})
        groups = dict.fromkeys(":".join(bar.group) for bar in split(formula).bars)
        _check_names(formula, "random", groups, random)
        effects = {group: as_random(random[group]) for group in groups}
        residual = IID(sd=residual) if is_number(residual) else residual
        if not isinstance(residual, Residual):
            raise TypeError(f"residual is an sd, or one of IID, AR1, CompoundSymmetry, Unstructured; got {residual!r}")
        residual.check_numbers()
        for group, effect in effects.items():
            check_sds(group, effect)
        for name, value in beta.items():
            if not is_number(value):
                raise ValueError(f"beta of '{name}' is {quoted(value)}; a coefficient is a finite number")
        # the way to give a frozen dataclass its fields
        object.__setattr__(self, "formula", formula)
        object.__setattr__(self, "beta", {name: float(value) for name, value in beta.items()})
        object.__setattr__(self, "random", effects)
        object.__setattr__(self, "residual", residual)
        object.__setattr__(self, "basis", basis)
        moving = split(formula).moving if basis is None else split(formula).forgotten
        if moving:
            warnings.warn(
                f"the columns of {', '.join(moving)} depend on the rows of the design, so the same numbers are another "
                "world on another design; say what is meant, as I(x - 2) for center(x) and I(x**2) for poly(x, 2), or "
                "make the world of a fit, which keeps center(x) but not np.mean(x)",
                UserWarning,
                stacklevel=2,
            )

    @property
    def response(self) -> str:
        """Name of the response."""
        return split(self.formula).response

    def on(self, design: pd.DataFrame) -> Equation:
        """Work out the equation on a design: the columns of all terms, every name checked against them.

        Examples
        --------
        >>> from lmmsim import crossed
        >>> model = Model("y ~ 1 + (1 | plot)", beta={"Intercept": 10.0}, random={"plot": 2.0}, residual=1.0)
        >>> model.on(crossed(plot=2, week=[0, 1])).mean
        array([10., 10., 10., 10.])
        """
        design = as_frame(design)
        matrices = self.matrices(design)
        _check_names(self.formula, "beta", matrices.X.columns, self.beta)
        for group, effect in self.random.items():
            names = [name for term in matrices.terms if term.group == group for name in term.names]
            _check_names(self.formula, f"random['{group}'] sd", names, effect.sds)
        _check_finite(matrices)
        return Equation(
            X=matrices.X,
            beta=np.array([self.beta[name] for name in matrices.X.columns]),
            terms=matrices.terms,
            covariances=tuple(self.random[term.group].covariance(term.names) for term in matrices.terms),
            residual=self.residual,
            design=design,
            shapes=[self.random[term.group].shape for term in matrices.terms],
        )

    def matrices(self, design: pd.DataFrame) -> Matrices:
        """What the formula makes of a design, on the basis of the fit where the world was made of one."""
        return build(self.formula, design) if self.basis is None else on_basis(self.basis, design)

    def X(self, design: pd.DataFrame) -> pd.DataFrame:
        """Columns of the fixed part, shape (n, p)."""
        return self.on(design).X

    def Z(self, design: pd.DataFrame) -> Labelled:
        """One column per random effect, shape (n, q), sparse."""
        return self.on(design).Z

    def G(self, design: pd.DataFrame) -> Labelled:
        """Covariance of the random effects, shape (q, q), sparse."""
        return self.on(design).G

    def R(self, design: pd.DataFrame) -> Labelled:
        """Covariance of the residuals, shape (n, n), sparse."""
        return self.on(design).R

    def V(self, design: pd.DataFrame) -> np.ndarray:
        """Covariance of the response given X, Z G Z' + R, shape (n, n); refused where that is too large to hold."""
        if len(design) > LARGEST:
            raise ValueError(
                f"V has {len(design)} rows and columns, {8 * len(design) ** 2 / 1e9:.0f} GB; take a part of it, "
                "as one unit's rows, or model.Z(design), model.G(design) and model.R(design), which are sparse"
            )
        return self.on(design).V

    def describe(self, design: pd.DataFrame) -> str:
        """Say in words and numbers what the model means for a design."""
        return describe.describe(self, self.on(design))

    def icc(self, design: pd.DataFrame) -> pd.DataFrame:
        """Intraclass correlations by grouping factor, averaged over the design; see `Equation.icc`."""
        return self.on(design).icc

    def r2(self, design: pd.DataFrame) -> pd.Series:
        """Share of the variance that the fixed part (marginal), or it and the groups (conditional), explain."""
        return self.on(design).r2

    def latex(self) -> str:
        """Write the equation with its numbers in LaTeX."""
        return describe.latex(self)

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def __repr__(self) -> str:
        return (
            f"{describe.equation(self)}\n  for a design: model.describe(design) adds ICC, R2 and correlations over time"
        )

    @staticmethod
    def template(formula: str, design: pd.DataFrame) -> str:
        """Return the form that a formula needs filled in, as Python source.

        Examples
        --------
        >>> print(Model.template("y ~ x + (x | g)", pd.DataFrame({"x": [1.0, 2.0], "g": ["a", "b"]})))
        Model(
            "y ~ x + (x | g)",
            beta={
                "Intercept": ...,
                "x": ...,
            },
            random={
                "g": Random(sd={"Intercept": ..., "x": ...}, corr=...),
            },
            residual=...,
        )
        """
        return describe.template(formula, build(formula, as_frame(design)))

    @classmethod
    def from_fit(cls, fit: Any) -> Model:
        """Make the world that a fit describes, so that a study can start from real data.

        Parameters
        ----------
        fit : Fit or statsmodels MixedLMResults
            From `LMM(...)(data)`, or from `smf.mixedlm(...).fit()`.

        Returns
        -------
        Model
            With the estimates as its truth, on the basis of the fit: poly(x, 2) has the fit's polynomials, whatever
            design it meets. Its effects are as uncertain as the fit: plan with the smallest one that
            matters, `dataclasses.replace(model, beta={**model.beta, "week": 0.5})`.

        Warns
        -----
        UserWarning
            If the fit is singular: its zeros are no knowledge.

        Examples
        --------
        >>> from lmmsim import LMM, Model, crossed, simulate
        >>> world = Model("y ~ week + (1 | plot)", {"Intercept": 10, "week": 2}, random={"plot": 2}, residual=1)
        >>> pilot = simulate(world, crossed(plot=12, week=[0, 1, 2]), rng=1)
        >>> Model.from_fit(LMM(world.formula)(pilot.data)).formula
        'y ~ week + (1 | plot)'
        """
        from lmmsim.model import from_fit

        return cls(**from_fit.numbers(fit))


def _check_names(formula: str, what: str, needed: Iterable[str], given: Iterable[str]) -> None:
    """Refuse names that are missing or too many, listing both."""
    without = [name for name in needed if name not in given]
    extra = [name for name in given if name not in set(needed)]
    if without or extra:
        lines = [f"{what} does not match the formula '{formula}'."]
        lines += [f"  without a value: {', '.join(without)}"] if without else []
        lines += [f"  not in the formula: {', '.join(map(str, extra))}"] if extra else []
        raise ValueError("\n".join(lines))


def _check_finite(matrices: Matrices) -> None:
    """Refuse columns that would make responses which are no numbers: log(0), an infinite covariate."""
    columns = [(matrices.X.columns, matrices.X.to_numpy()), *((term.names, term.columns) for term in matrices.terms)]
    for names, values in columns:
        wrong = ~np.isfinite(values)
        if wrong.any():
            j = int(wrong.any(axis=0).argmax())
            raise ValueError(
                f"'{names[j]}' is infinite or undefined in {wrong[:, j].sum()} of {len(values)} rows of the design; "
                "change these rows, or how it is computed from them"
            )
