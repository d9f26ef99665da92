"""Stories: tell a world in the words of another field, with the units that its numbers have.

A world's columns, levels and unit labels get other names, in the formula, the coefficients and the design alike; its
numbers, and what is drawn from it, stay what they were.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pandas as pd

from lmmsim.checks import listed
from lmmsim.model.formula import label_of, split
from lmmsim.model.model import Model
from lmmsim.model.residual import Residual
from lmmsim.model.tokens import tokens

UNITS = "units"  # in the attrs of a design: {column: unit of measurement}
Names = Mapping[str, str]


def tell(
    model: Model, design: pd.DataFrame, names: Names | None = None, units: Names | None = None
) -> tuple[Model, pd.DataFrame]:
    """Give the columns and levels of a world other names, and note the units of its numbers.

    Parameters
    ----------
    model, design
        A world, whose columns have plain names.
    names : mapping, optional
        `{"school": "clinic", "score": "pain (mm)"}`: a column's new name, with its unit in parentheses if it has one;
        `{"new": "trial"}`: a level's. A level that is called as a column is, or as a level of another factor, is
        written as the coefficients write it: `{"drug[placebo]": "usual care"}`. Labels of units follow their
        column: "school01" becomes "clinic01".
    units : mapping, optional
        `{"height": "cm"}`: the units under the world's own names. A column that is renamed loses its unit, which may
        be wrong for the new story, unless the new name brings one.

    Returns
    -------
    Model, DataFrame
        The design notes the units in `attrs["units"]`.

    Raises
    ------
    ValueError
        If a name is not in the world, is empty, or two columns or two levels would be called the same.

    Examples
    --------
    >>> from lmmsim import scenarios
    >>> model, design = scenarios.teaching_methods(names={"school": "clinic", "new": "massage", "score": "pain (mm)"})
    >>> model.formula, list(model.beta)
    ('pain ~ method + (1 | clinic)', ['Intercept', 'method[T.massage]'])
    >>> design["clinic"].iloc[0], design.attrs["units"]
    ('clinic01', {'pain': 'mm'})
    """
    units = dict(units or {})
    columns, levels = _sorted_out(dict(names or {}), model, design)
    told = {old: _name_and_unit(new) for old, new in columns.items()}
    called = {old: name for old, (name, _) in told.items()}
    _check_free([called.get(name, name) for name in [*design.columns, model.response]], "columns")
    design = _renamed(design, called, levels)
    new_units = {called.get(old, old): told[old][1] if old in told else unit for old, unit in units.items()}
    new_units |= {name: unit for name, unit in told.values() if unit}
    design.attrs[UNITS] = {name: unit for name, unit in new_units.items() if unit}
    if not called and not levels:
        return model, design

    def term(name: str) -> str:
        return _term(name, called, levels)

    random = {
        label_of([called.get(column, column) for column in group.split(":")]): replace(
            effect, sd=_sds(effect.sd, term), corr=_pairs(effect.corr, term)
        )
        for group, effect in model.random.items()
    }
    formula = _formula(model.formula, called)
    beta = {term(name): value for name, value in model.beta.items()}
    return Model(formula, beta, random, _residual(model.residual, called, levels)), design


@dataclass(frozen=True)
class Words:
    """The words of a story: what the columns and levels of a world are called in it.

    Attributes
    ----------
    columns : dict
        {old: new name}
    levels : dict
        {"column[old level]": new level}
    """

    columns: Names
    levels: Names

    @classmethod
    def of(cls, model: Model, design: pd.DataFrame, names: Names | None) -> Words:
        """Part names into those of columns and of levels, as `tell` does."""
        columns, levels = _sorted_out(dict(names or {}), model, design)
        return cls({old: _name_and_unit(new)[0] for old, new in columns.items()}, levels)

    def term(self, name: str) -> str:
        """A column, or a coefficient, under its new name.

        Examples
        --------
        >>> Words({"week": "month"}, {"fertilizer[A]": "milk"}).term("week:fertilizer[T.A]")
        'month:fertilizer[T.milk]'
        """
        return _term(name, self.columns, self.levels)

    def text(self, text: str, design: pd.DataFrame) -> str:
        """A sentence with `{height}`, `{fertilizer[A]}` and `{unit of height}` in it, told in the new words.

        Raises
        ------
        ValueError
            If braces hold something else.
        """

        def told(match: re.Match[str]) -> str:
            column, _, level = match[2].removesuffix("]").partition("[")
            new = self.columns.get(column, column)
            if new not in design and new not in design.attrs.get(UNITS, {}) and column not in self.columns:
                raise ValueError(f"{match[0]} is no column; a text has {{height}}, {{method[new]}}, {{unit of height}}")
            if match[1]:
                return str(design.attrs.get(UNITS, {}).get(new, ""))
            return self.levels.get(f"{column}[{level}]", level) if level else new

        return re.sub(r"\{(unit of )?([^{}]+)\}", told, text)


def label(design: pd.DataFrame, column: str) -> str:
    """A column with its unit, for an axis or a question: "height (cm)".

    Examples
    --------
    >>> from lmmsim import scenarios
    >>> label(scenarios.plant_growth()[1], "height")
    'height (cm)'
    """
    unit = design.attrs.get(UNITS, {}).get(column, "")
    return f"{column} ({unit})" if unit and unit not in (column, f"{column}s") else column


def portable(formula: str, design: pd.DataFrame) -> str:
    """Write the reference level into a formula wherever sorting the levels would put another one first.

    A text file forgets the order of levels, and what reads it sorts them: Control would come after A and B.

    Parameters
    ----------
    formula : str
    design : DataFrame
        Whose Categoricals say which level is the reference.

    Returns
    -------
    str

    Examples
    --------
    >>> from lmmsim import scenarios
    >>> model, design = scenarios.plant_growth()
    >>> portable(model.formula, design)
    'height ~ week * C(fertilizer, Treatment("Control")) + (week | plot)'
    """
    parts = split(formula)
    grouping = {column for bar in parts.bars for column in bar.group}
    moved = {name: levels[0] for name, levels in _factors(design, grouping).items() if levels[0] != sorted(levels)[0]}
    out, end = "", 0
    for token in tokens(formula):
        if token.is_column and not token.code and token.value in moved:
            quote = '"' if '"' not in moved[token.value] else "'"
            reference = f"{quote}{moved[token.value]}{quote}"
            out += f"{formula[end : token.start]}C({token.text}, Treatment({reference}))"
            end = token.end
    return out + formula[end:]


def _factors(design: pd.DataFrame, without: Iterable[str] = ()) -> dict[str, list[str]]:
    """Levels of the columns that hold words, but for some columns, as those that name units."""
    return {
        str(name): [str(level) for level in column.cat.categories]
        for name, column in design.items()
        if isinstance(column.dtype, pd.CategoricalDtype) and name not in without
    }


def _unit_columns(design: pd.DataFrame) -> list[str]:
    """Categoricals whose levels are the column's name, or that of the unit around it, and a number."""
    words = {
        str(name): str(column.cat.categories[0])
        for name, column in design.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }
    return [name for name, first in words.items() if any(re.match(rf"{re.escape(one)}_?\d", first) for one in words)]


def _sorted_out(names: dict[str, str], model: Model, design: pd.DataFrame) -> tuple[dict[str, str], Names]:
    """Part the names into those of columns and those of levels, the latter as "column[level]"."""
    places = {*map(str, design.columns), model.response}
    factors = _factors(design, _unit_columns(design))
    owners: dict[str, list[str]] = {}
    for name, levels in factors.items():
        for level in levels:
            owners.setdefault(level, []).append(f"{name}[{level}]")
    known = {whole for wholes in owners.values() for whole in wholes}
    columns: dict[str, str] = {}
    told: dict[str, str] = {}
    for old, new in names.items():
        if not isinstance(new, str) or not new.strip():
            raise ValueError(f"names gives '{old}' the name {new!r}; a name is a text")
        if old in places:
            columns[old] = new.strip()
        elif old in known or len(owners.get(old, [])) == 1:
            told[old if old in known else owners[old][0]] = new.strip()
        elif old in owners:
            raise ValueError(f"'{old}' is a level of several factors: write {' or '.join(owners[old])}")
        else:
            raise ValueError(
                f"names has '{old}', which is no column and no level of this world; the columns are "
                f"{listed([*design.columns, model.response])}, the levels {listed(known) or 'none'}"
            )
    for name, levels in factors.items():
        _check_free([told.get(f"{name}[{level}]", level) for level in levels], f"levels of '{name}'")
    return columns, told


def _check_free(names: list[str], what: str) -> None:
    """Refuse two of one name."""
    if repeats := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two {what} would both be called {listed(repeats)}")


def _name_and_unit(text: str) -> tuple[str, str]:
    """ "pain (mm)" is the name pain and the unit mm."""
    match = re.fullmatch(r"(.*\S)\s*\(([^()]*)\)", text)
    name, unit = (match[1], match[2].strip()) if match else (text, "")
    if wrong := set(name) & set("`:[]\"'\n"):
        raise ValueError(f"the name {name!r} has {listed(sorted(wrong))} in it, which formulas need for themselves")
    return name, unit


def _renamed(design: pd.DataFrame, called: Names, levels: Names) -> pd.DataFrame:
    """The design under its new names; labels of units follow the unit's."""
    stems = {old: f"{new}_" if new[-1].isdigit() else new for old, new in called.items()}
    start = re.compile(rf"^({'|'.join(map(re.escape, stems))})_?(?=\d)") if stems else None
    out = design.copy()
    for name, categories in _factors(design).items():
        new = [levels.get(f"{name}[{level}]", level) for level in categories]
        if start is not None:
            new = [start.sub(lambda match: stems[match[1]], level) for level in new]
        if new != categories:
            out[name] = out[name].cat.rename_categories(new)
    return out.rename(columns=dict(called))


def _term(name: str, called: Names, levels: Names) -> str:
    """A coefficient under its new name: week:method[T.new]."""
    parts = []
    for part in name.split(":"):
        column, _, level = part.removesuffix("]").partition("[T.")
        new = called.get(column, column)
        parts.append(f"{new}[T.{levels.get(f'{column}[{level}]', level)}]" if level else new)
    return ":".join(parts)


def _sds(sd: Any, term: Callable[[str], str]) -> Any:
    """An intercept's sd, or those of terms under their new names."""
    return {term(name): one for name, one in sd.items()} if isinstance(sd, Mapping) else sd


def _pairs(corr: Any, term: Callable[[str], str]) -> Any:
    """A correlation, or those of pairs of terms under their new names."""
    if not isinstance(corr, Mapping):
        return corr
    return {tuple(term(name) for name in pair): value for pair, value in corr.items()}


def _formula(formula: str, called: Names) -> str:
    """The formula with new names, in backticks where Python could not read them."""
    out, end = "", 0
    for token in tokens(formula):
        if token.is_column and token.value in called:
            name = called[token.value]
            out += formula[end : token.start] + (name if name.isidentifier() and name.isascii() else f"`{name}`")
            end = token.end
    return out + formula[end:]


def _residual(residual: Any, called: Names, levels: Names) -> Residual:
    """The residuals with their columns under new names."""
    own = {field.name for field in fields(residual)}
    new: dict[str, Any] = {
        name: label_of([called.get(column, column) for column in str(getattr(residual, name)).split(":")])
        for name in {"unit", "time", "by", "weights"} & own
        if getattr(residual, name) is not None
    }
    if isinstance(residual.sd, Mapping):
        new["sd"] = {levels.get(f"{residual.by}[{level}]", level): sd for level, sd in residual.sd.items()}
    return replace(residual, **new)
