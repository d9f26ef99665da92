"""What a model means in words: its equation with the numbers in, and what they imply.

Numbers that depend on when and where one measures (implied correlations, ICC with slopes, R2) belong to a design.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from lmmsim import covariance
from lmmsim.checks import counted, is_number
from lmmsim.model.columns import Matrices
from lmmsim.model.equation import Equation
from lmmsim.model.formula import split, term_of, terms_of
from lmmsim.model.random_effects import Random
from lmmsim.model.residual import IID, Residual


class World(Protocol):
    """What is read of a `Model` here."""

    @property
    def formula(self) -> str: ...
    @property
    def beta(self) -> dict[str, float]: ...
    @property
    def random(self) -> dict[str, Random]: ...
    @property
    def residual(self) -> Residual: ...


def equation(world: World) -> str:
    """The equation with its numbers, the standard deviations, and the ICC of an intercept-only model."""
    lines = [world.formula, ""]
    terms = [_number(value, name) for name, value in world.beta.items()]
    effects = [_effect(group, name) for group, effect in world.random.items() for name in effect.sds]
    lines += _wrapped(f"{split(world.formula).response} =", [*terms, *effects, "eps"])
    for group, effect in world.random.items():
        lines += _component(group, effect.sds, _covariance(world.formula, group, effect))
    lines.append(f"  eps  {world.residual.words}")
    shares = _intercept_shares(world)
    if shares:
        lines.append("  ICC: " + ", ".join(f"{group} {share:.3g}" for group, share in shares.items()))
    return "\n".join(lines)


def describe(world: World, on: Equation) -> str:
    """The equation, and what it means for a design: sizes, ICC, R2, and one unit over time."""
    sizes = [counted(len(term.levels), term.group) for term in on.terms]
    lines = [equation(world), "", f"For this design of {on.n} rows ({', '.join(dict.fromkeys(sizes))}):"]
    lines.append("  share of variance given X: " + _written(on.icc["conditional"]))
    lines.append("  R2: " + _written(on.r2))
    unit = implied(on)
    if len(unit):
        lines += ["  sd, and correlations, of one unit's measurements:", unit.to_string(float_format="{:.3g}".format)]
    return "\n".join(lines)


def implied(on: Equation, most: int = 8) -> pd.DataFrame:
    """Implied sd and correlations of the measurements of one unit, over time.

    The unit is the first level of a group within which a numeric column (week)
    never repeats, though it does between groups; empty where there is no such group.
    """
    for term in on.terms:
        chosen = np.flatnonzero(term.codes == 0)[:most]
        rows = on.design.iloc[chosen]
        for name, values in rows.select_dtypes("number").items():
            if len(rows) > 1 and values.is_unique and on.design[name].nunique() < on.n / 2:
                sd, corr = covariance.to_sd(on.V_of(chosen))
                labels = [f"{value:g}" for value in values]
                table = pd.DataFrame(corr, pd.Index(labels, name=name), labels)
                table.insert(0, "sd", sd)
                return table
    return pd.DataFrame()


def latex(world: World) -> str:
    """The equation with its numbers, in lines that a phone can show, and the distributions of u and eps."""
    response = split(world.formula).response
    terms = [
        ("", f"{value:.6g}") if name == "Intercept" else (name, rf"{value:.6g}\,\mathrm{{{_escaped(name)}}}")
        for name, value in world.beta.items()
    ]
    for group, effect in world.random.items():
        terms += [(f"{group}{name}", _effect_latex(group, name, times=True)) for name in effect.sds]
    total = r" \\ &\quad + ".join(_wrapped_latex([*terms, ("eps", r"\varepsilon")], len(response))).replace("+ -", "- ")
    lines = [rf"\mathrm{{{_escaped(response)}}} &= {total}"]
    for group, effect in world.random.items():
        names = [_effect_latex(group, name) for name in effect.sds]
        G = _covariance(world.formula, group, effect)
        rows = r" \\ ".join(" & ".join(f"{v:.4g}" for v in row) for row in G)
        variance = rows if len(G) == 1 else rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"
        u = names[0] if len(names) == 1 else rf"({', '.join(names)})"
        lines.append(rf"{u} &{{}}\sim N\left(0, {variance}\right)")
    lines.append(rf"\varepsilon &{{}}\sim {_residual_latex(world.residual)}")
    return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"


def _effect(group: str, name: str) -> str:
    """A random effect in the equation: u[plot], or u[plot, week]*week."""
    return f"u[{group}]" if name == "Intercept" else f"u[{group}, {name}]*{name}"


def _effect_latex(group: str, name: str, times: bool = False) -> str:
    """The same in LaTeX, with the column that it multiplies if asked."""
    if name == "Intercept":
        return rf"u_{{\mathrm{{{_escaped(group)}}}}}"
    effect = rf"u_{{\mathrm{{{_escaped(group)}}},\,\mathrm{{{_escaped(name)}}}}}"
    return rf"{effect}\,\mathrm{{{_escaped(name)}}}" if times else effect


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
    term = "1" if name == "Intercept" else term_of(name)
    return next((i for i, bar in enumerate(bars) if term in terms_of(bar)), -1)


def _component(group: str, sds: Mapping[str, float], cov: np.ndarray) -> list[str]:
    """One line per random effect: its sd, and its correlations with those before it."""
    _, corr = covariance.to_sd(cov)
    lines, label = [], f"u[{group}]"
    for i, (name, sd) in enumerate(sds.items()):
        others = ", ".join(f"{corr[i, j]:.3g}" for j in range(i))
        lines.append(
            f"  {label if i == 0 else ' ' * len(label)}  {name}: sd {sd:.4g}" + (f", corr {others}" if i else "")
        )
    return lines


def _residual_latex(residual: Residual) -> str:
    if isinstance(residual, IID) and residual.weights is None and is_number(residual.sd):
        return f"N(0, {residual.sd**2:.4g})"
    return rf"N(0, R), \\ &\quad \mathrm{{{_escaped(residual.words)}}}"


def _intercept_shares(world: World) -> dict[str, float]:
    """ICC by group where it needs no design: intercepts only, one residual sd."""
    sd = world.residual.sd
    only_intercepts = all(set(effect.sds) == {"Intercept"} for effect in world.random.values())
    if not (world.random and only_intercepts) or isinstance(sd, Mapping) or world.residual.weights:
        return {}
    variances = {group: effect.sds["Intercept"] ** 2 for group, effect in world.random.items()}
    total = sum(variances.values()) + float(sd) ** 2
    return {group: variance / total for group, variance in variances.items()} if total else {}


def _written(shares: pd.Series) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in shares.items()) or "no groups"


def _escaped(name: str) -> str:
    """A name that LaTeX can set in roman type."""
    plain = re.sub(r"[_%&#${}]", r"\\\g<0>", name.replace("[T.", "["))
    return plain.replace("^", r"\hat{}").replace(" ", r"\ ")
