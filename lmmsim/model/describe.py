"""The echo of a model: its equation with the numbers in, and what they imply.

Numbers that depend on when and where one measures (implied correlations, ICC
with slopes, R2) are computed for a design.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmsim import covariance
from lmmsim.checks import counted
from lmmsim.model.columns import Matrices, RandomTerm
from lmmsim.model.formula import split, term_of
from lmmsim.model.residual import AR1, IID, CompoundSymmetry

if TYPE_CHECKING:
    from lmmsim.model.model import Model
    from lmmsim.model.random_effects import Random


def equation(model: Model) -> str:
    """The equation with its numbers, the standard deviations, and the ICC of an intercept-only model."""
    lines = [model.formula, ""]
    terms = [_number(value, name) for name, value in model.beta.items()]
    groups = [f"u[{group}]" for group in model.random]
    lines += _wrapped(f"{model.response} =", [*terms, *groups, "eps"])
    for group, effect in model.random.items():
        lines += _component(f"u[{group}]", effect.sds, _covariance(model.formula, group, effect))
    lines.append(f"  eps  {_residual(model)}")
    shares = _intercept_shares(model)
    if shares:
        lines.append("  ICC: " + ", ".join(f"{group} {share:.3g}" for group, share in shares.items()))
    return "\n".join(lines)


def describe(model: Model, design: pd.DataFrame) -> str:
    """The equation, and what it means for a design: sizes, ICC, R2, and one unit over time."""
    matrices = model.matrices(design)
    sizes = [counted(len(term.levels), term.group) for term in matrices.terms]
    lines = [equation(model), "", f"For this design of {len(design)} rows ({', '.join(dict.fromkeys(sizes))}):"]
    lines.append("  share of variance given X: " + _written(icc(model, design)))
    lines.append("  R2: " + _written(r2(model, design)))
    unit = implied(model, design)
    if len(unit):
        lines += ["  sd, and correlations, of one unit's measurements:", unit.to_string(float_format="{:.3g}".format)]
    return "\n".join(lines)


def implied(model: Model, design: pd.DataFrame, most: int = 8) -> pd.DataFrame:
    """Implied sd and correlations of the measurements of one unit, over time.

    The unit is the first level of a group within which a numeric column (week)
    never repeats, though it does between groups; empty where there is no such group.
    """
    terms = model.matrices(design).terms
    for term in terms:
        chosen = np.flatnonzero(term.codes == 0)[:most]
        rows = design.iloc[chosen]
        for name, values in rows.select_dtypes("number").items():
            if len(rows) > 1 and values.is_unique and design[name].nunique() < len(design) / 2:
                sd, corr = covariance.to_sd(_V_of(model, terms, design, chosen))
                labels = [f"{value:g}" for value in values]
                table = pd.DataFrame(corr, pd.Index(labels, name=name), labels)
                table.insert(0, "sd", sd)
                return table
    return pd.DataFrame()


def _V_of(model: Model, terms: Sequence[RandomTerm], design: pd.DataFrame, chosen: np.ndarray) -> np.ndarray:
    """Give the rows and columns of V that belong to the chosen rows of a design."""
    V = model.residual.R(design)[chosen][:, chosen].toarray()
    for term in terms:
        Z, codes = term.columns[chosen], term.codes[chosen]
        V += np.where(codes[:, None] == codes, Z @ model.covariance(term) @ Z.T, 0.0)
    return V


def icc(model: Model, design: pd.DataFrame) -> pd.Series:
    """Share of the variance given X that each group explains, averaged over the rows of a design.

    With random intercepts alone this is the (conditional) intraclass correlation
    of each group; Nakagawa, Johnson and Schielzeth (2017) call it adjusted.
    """
    matrices = model.matrices(design)
    variance = _group_variances(model, matrices)
    total = variance.sum() + model.residual.R(design).diagonal().mean()
    return (variance / total).rename("icc")


def r2(model: Model, design: pd.DataFrame) -> pd.Series:
    """Marginal and conditional R2 at the true parameters (Nakagawa and Schielzeth 2013; Johnson 2014)."""
    matrices = model.matrices(design)
    fixed = float(np.var(matrices.X.to_numpy() @ np.array([model.beta[name] for name in matrices.X.columns])))
    random = float(_group_variances(model, matrices).sum())
    total = fixed + random + model.residual.R(design).diagonal().mean()
    return pd.Series({"marginal": fixed / total, "conditional": (fixed + random) / total}, name="r2")


def latex(model: Model) -> str:
    """The equation with its numbers, in lines that a phone can show, and the distributions of u and eps."""
    terms = [
        ("", f"{value:.6g}") if name == "Intercept" else (name, rf"{value:.6g}\,\mathrm{{{_escaped(name)}}}")
        for name, value in model.beta.items()
    ]
    terms += [(group, rf"u_{{\mathrm{{{_escaped(group)}}}}}") for group in model.random] + [("eps", r"\varepsilon")]
    total = r" \\ &\quad + ".join(_wrapped_latex(terms, len(model.response))).replace("+ -", "- ")
    lines = [rf"\mathrm{{{_escaped(model.response)}}} &= {total}"]
    for group, effect in model.random.items():
        G = _covariance(model.formula, group, effect)
        rows = r" \\ ".join(" & ".join(f"{v:.4g}" for v in row) for row in G)
        variance = rows if len(G) == 1 else rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"
        lines.append(rf"u_{{\mathrm{{{_escaped(group)}}}}} &\sim N\left(0, {variance}\right)")
    lines.append(rf"\varepsilon &\sim {_residual_latex(model)}")
    return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"


def _wrapped_latex(terms: Iterable[tuple[str, str]], taken: int, most: int = 50) -> list[str]:
    """Sums of terms, each about `most` characters wide on the page; the first line begins after `taken` of them."""
    lines: list[list[str]] = [[]]
    for name, term in terms:
        width = len(name) + 6  # its number, and the sign before it
        if lines[-1] and taken + width > most:
            lines.append([])
            taken = 0
        lines[-1].append(term)
        taken += width
    return [" + ".join(line) for line in lines]


def template(formula: str, matrices: Matrices) -> str:
    """The form that a formula needs filled in, as Python source."""
    lines = ["Model(", f"    {_text(formula)},", "    beta={"]
    lines += [f"        {_text(name)}: ...," for name in matrices.X.columns] + ["    },"]
    if matrices.terms:
        lines.append("    random={")
        for group in dict.fromkeys(term.group for term in matrices.terms):
            names = [name for term in matrices.terms if term.group == group for name in term.names]
            sds = ", ".join(f"{_text(name)}: ..." for name in names)
            corr = ", corr=..." if any(len(t.names) > 1 for t in matrices.terms if t.group == group) else ""
            lines.append(f"        {_text(group)}: Random(sd={{{sds}}}{corr}),")
        lines.append("    },")
    return "\n".join([*lines, "    residual=...,", ")"])


def _text(name: str) -> str:
    """A name as Python source, in double quotes."""
    return json.dumps(name, ensure_ascii=False)


def _number(value: float, name: str) -> str:
    return f"{value:.6g}" if name == "Intercept" else f"{value:.6g}*{name}"


def _wrapped(head: str, terms: list[str], width: int = 96) -> list[str]:
    """Join terms with plus signs, on as many lines as needed."""
    lines, line = [], head
    for i, term in enumerate(terms):
        piece = f" {term}" if i == 0 else f" - {term[1:]}" if term.startswith("-") else f" + {term}"
        if len(line) + len(piece) > width:
            lines.append(line)
            line = " " * len(head)
        line += piece
    return [*lines, line]


def _covariance(formula: str, group: str, effect: Random) -> np.ndarray:
    """Covariance of the effects of a group, in the order of its sds; between effects of different bars it is 0."""
    names = list(effect.sds)
    bars = [bar.effects for bar in split(formula).bars if ":".join(bar.group) == group]
    if len(bars) == 1:
        return effect.covariance(names)
    bar = np.array([_bar_of(name, bars) for name in names])
    return np.where(bar[:, None] == bar, effect.covariance(names), 0.0)


def _bar_of(name: str, bars: Sequence[str]) -> int:
    """Which bar an effect belongs to: fertilizer[T.A] to `0 + fertilizer`, the intercept to `1`."""
    from formulaic import Formula

    term = "1" if name == "Intercept" else term_of(name)
    return next((i for i, bar in enumerate(bars) if term in map(str, Formula(bar))), -1)


def _component(label: str, sds: Mapping[str, float], cov: np.ndarray) -> list[str]:
    """One line per random effect: its sd, and its correlations with those before it."""
    _, corr = covariance.to_sd(cov)
    lines = []
    for i, (name, sd) in enumerate(sds.items()):
        others = ", ".join(f"{corr[i, j]:.3g}" for j in range(i))
        lines.append(
            f"  {label if i == 0 else ' ' * len(label)}  {name}: sd {sd:.4g}" + (f", corr {others}" if i else "")
        )
    return lines


def _residual(model: Model) -> str:
    residual = model.residual
    if isinstance(residual, AR1):
        return f"sd {residual.sd:.4g}, AR(1) with rho {residual.rho:.3g} per {residual.time} within {residual.unit}"
    if isinstance(residual, CompoundSymmetry):
        return f"sd {residual.sd:.4g}, correlation {residual.rho:.3g} within {residual.unit}"
    if isinstance(residual.sd, Mapping):
        return f"sd by {residual.by}: " + ", ".join(f"{level} {sd:.4g}" for level, sd in residual.sd.items())
    return f"sd {residual.sd:.4g}"


def _residual_latex(model: Model) -> str:
    residual = model.residual
    if isinstance(residual, IID) and not isinstance(residual.sd, Mapping):
        return f"N(0, {residual.sd**2:.4g})"
    return rf"N(0, R), \\ &\quad \mathrm{{{_escaped(_residual(model))}}}"


def _intercept_shares(model: Model) -> dict[str, float]:
    """ICC by group where it needs no design: intercepts only, one residual sd."""
    only_intercepts = all(set(effect.sds) == {"Intercept"} for effect in model.random.values())
    if not (model.random and only_intercepts) or isinstance(model.residual.sd, Mapping):
        return {}
    variances = {group: effect.sds["Intercept"] ** 2 for group, effect in model.random.items()}
    total = sum(variances.values()) + float(model.residual.sd) ** 2
    return {group: variance / total for group, variance in variances.items()} if total else {}


def _group_variances(model: Model, matrices: Matrices) -> pd.Series:
    """Average over rows of each group's diagonal of Z G Z'."""
    variance = dict.fromkeys((term.group for term in matrices.terms), 0.0)
    for term in matrices.terms:
        rows = np.einsum("ni,ij,nj->n", term.columns, model.covariance(term), term.columns)
        variance[term.group] += float(rows.mean())
    return pd.Series(variance, dtype=float)


def _written(shares: pd.Series) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in shares.items()) or "no groups"


def _escaped(name: str) -> str:
    """A name that LaTeX can set in roman type."""
    plain = re.sub(r"[_%&#${}]", r"\\\g<0>", name.replace("[T.", "["))
    return plain.replace("^", r"\hat{}").replace(" ", r"\ ")
