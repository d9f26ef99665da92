"""The grid of a formula: which combinations of its columns there are, and the row of X that belongs to each.

A mean of the model at some cells is a weighted sum of such rows. Factors that nobody names are averaged with equal
weights, whatever their numbers in the data; numbers that nobody names stand at their mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import is_number, listed, quoted
from lmmsim.model.columns import Matrices, levels_of, rebuild, used_columns
from lmmsim.model.formula import split
from lmmsim.model.frame import holds_numbers

LARGEST = 20_000  # cells of a grid
FEW = 12  # different values up to which a number is taken value by value
EXACT = 1e-8  # relative size below which a weight of a left-out coefficient counts as zero
ROUNDED = 1e-13  # what rounding leaves of a sum that is zero, relative to its parts


class Undetermined(ValueError):
    """A combination of coefficients that cells without rows would be needed for."""


@dataclass(frozen=True)
class Part:
    """A term of the fixed part: its factors by kind, and the columns of X that it makes.

    Attributes
    ----------
    name : str
    factors, numbers : frozenset of str
        What is multiplied, as the formula writes it: `C(week)` is a factor, `log(dose)` a number.
    columns : tuple of str
    """

    name: str
    factors: frozenset[str]
    numbers: frozenset[str]
    columns: tuple[str, ...]

    @property
    def is_constant(self) -> bool:
        """Whether it is the intercept, and no column that is called so."""
        return not self.factors and not self.numbers


class Grid:
    """The cells that a formula can be asked about.

    Parameters
    ----------
    matrices : Matrices
        What the formula made of the data.
    data : DataFrame
        The rows: their levels and means are those of the grid.
    terms : sequence of str, optional
        The coefficients that there are, where an analysis has fewer of them than the formula names.

    Examples
    --------
    >>> from lmmsim.model.columns import build
    >>> plants = pd.DataFrame({"arm": ["A", "A", "B"], "week": [0.0, 2.0, 4.0]})
    >>> Grid(build("height ~ week + arm", plants), plants).levels
    {'arm': ['A', 'B'], 'week': None}
    """

    def __init__(self, matrices: Matrices, data: pd.DataFrame, terms: Sequence[str] | None = None) -> None:
        self.matrices, self.data = matrices, data
        self.terms = list(matrices.X.columns if terms is None else terms)

    @cached_property
    def parts(self) -> list[Part]:
        """The terms of the fixed part, in the order of X's columns."""
        spec = self.matrices.spec.fixed
        kinds = {self._named(expression): kind.value for expression, (kind, _) in spec.encoder_state.items()}

        def part(encoded: Any) -> Part:
            multiplied = [self._named(factor.expr) for factor in encoded.term.factors]
            multiplied = [name for name in multiplied if name in kinds]
            factors = frozenset(name for name in multiplied if kinds[name] == "categorical")
            columns = tuple(map(self._named, encoded.columns))
            return Part(":".join(multiplied) or "Intercept", factors, frozenset(multiplied) - factors, columns)

        return [part(encoded) for encoded in spec.structure]

    @cached_property
    def whole(self) -> Grid:
        """The same with all coefficients that the formula names."""
        return Grid(self.matrices, self.data, [name for part in self.parts for name in part.columns])

    @cached_property
    def columns_in(self) -> dict[str, frozenset[str]]:
        """For everything that the formula multiplies, the columns of the data that it is made of."""
        spec, names = self.matrices.spec.fixed, set(self.columns)
        uses = {use.name: use.column for use in split(self.matrices.formula).uses}
        return {
            self._named(factor.expr): frozenset(uses.get(str(name), str(name)) for name in used) & names
            for factor, used in spec.factor_variables.items()
        }

    def _named(self, expression: Any) -> str:
        """An expression, or a column of X, as the formula writes it: formulaic knows odd names by others."""
        return split(self.matrices.formula).named(str(expression))

    @cached_property
    def columns(self) -> list[str]:
        """Columns of the data that the fixed part uses."""
        parts = split(self.matrices.formula)
        response = "response"
        while response in self.data.columns:
            response += "_"
        return used_columns(f"{response} ~ {parts.fixed}", self.data)

    @cached_property
    def levels(self) -> dict[str, list[Any] | None]:
        """Levels of every column that is a factor; None for a number."""
        factors = {name for part in self.parts for used in part.factors for name in self.columns_in[used]}
        numbers = {name for name in self.columns if name not in factors and holds_numbers(self.data[name])}
        return {name: None if name in numbers else levels_of([name], self.data)[0].tolist() for name in self.columns}

    def mean(self, name: str) -> float:
        """The mean of a column of numbers."""
        return float(self.data[name].to_numpy(dtype=float).mean())

    def weighted(self, choice: Mapping[str, Any]) -> np.ndarray:
        """The weighted sum of rows of X, (p,), for one choice of cells.

        Parameters
        ----------
        choice : mapping
            By column: a level or a value, or weights of several, as `{"A": 1, "Control": -1}`. Weights of several
            columns are multiplied.
        """
        picked = {name: self.weights(name, wanted) for name, wanted in choice.items()}
        return self.combined([picked])[0]

    def combined(self, choices: Sequence[Mapping[str, Mapping[Any, float]]]) -> np.ndarray:
        """The same for several choices, each with weights by value for the columns that it names, (q, p)."""
        cells, weights, owner = [], [], []
        for i, choice in enumerate(choices):
            axes = [self._axis(name, choice) for name in self.columns]
            size = int(np.prod([len(axis) for axis in axes]))
            if size > LARGEST:
                raise ValueError(
                    f"the formula has {size} combinations of its factors, too many to average over: name a level of "
                    f"some with at=, of {listed(name for name, own in self.levels.items() if own)}"
                )
            for cell in product(*axes):
                cells.append([value for value, _ in cell])
                weights.append(float(np.prod([weight for _, weight in cell])))
                owner.append(i)
        X = self._estimable(np.array(weights)[:, None] * self.rows(cells), np.array(owner), len(choices))
        return X

    def _axis(self, name: str, choice: Mapping[str, Mapping[Any, float]]) -> list[tuple[Any, float]]:
        """Values of a column with their weights: those that are chosen, all levels alike, or the mean of numbers."""
        if name in choice:
            return list(choice[name].items())
        levels = self.levels[name]
        if levels is None:
            return [(self.mean(name), 1.0)]
        self._check_averaged(name)
        return [(level, 1 / len(levels)) for level in levels]

    def _check_averaged(self, name: str) -> None:
        """Refuse to average over a column of which the formula makes a factor with other levels, as C(week > 2)."""
        own = re.escape(name)
        for used in {used for part in self.parts for used in part.factors if name in self.columns_in[used]}:
            if not re.fullmatch(rf"`?{own}`?|C\(\s*`?{own}`?\s*(,.*)?\)", used):
                raise ValueError(
                    f"'{used}' makes a factor of '{name}' whose levels are not its own: make it a column of the data, "
                    f"or say which '{name}' is meant"
                )

    def rows(self, cells: Sequence[Sequence[Any]]) -> pd.DataFrame:
        """Rows of X for cells that give a value to each of `columns`, those of left-out coefficients included."""
        frame = self.data.iloc[np.zeros(len(cells), dtype=int)].reset_index(drop=True)
        for name, values in zip(self.columns, zip(*cells, strict=True), strict=True):
            if self.levels[name] is None:
                frame[name] = np.array(values, dtype=float)
            else:
                frame[name] = pd.Series(list(values), dtype=self.data[name].dtype)
        return self.all_columns(frame)

    def rows_of_data(self) -> pd.DataFrame:
        """All columns of X for the rows of the data."""
        return self.all_columns(self.data)

    def all_columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The columns that the formula names for these rows, those of left-out coefficients included."""
        names = tuple(name for part in self.parts for name in part.columns)
        matrices: Any = self.matrices
        if hasattr(matrices, "basis"):
            return rebuild(replace(matrices, basis=replace(matrices.basis, names=names)), frame).X
        X = rebuild(self.matrices, frame).X
        if len(names) == X.shape[1]:
            return X
        return pd.DataFrame(np.asarray(self.matrices.spec.get_model_matrix(frame).fixed), columns=list(names))

    def _estimable(self, weighted: pd.DataFrame, owner: np.ndarray, q: int) -> np.ndarray:
        """Sums by owner over the coefficients that there are; refuse sums that need one that there is not."""
        total, size = np.zeros((2, q, weighted.shape[1]))
        np.add.at(total, owner, weighted.to_numpy())
        np.add.at(size, owner, np.abs(weighted.to_numpy()))
        total[np.abs(total) <= ROUNDED * size] = 0.0  # what cancels is exactly zero
        return self.estimable(pd.DataFrame(total, columns=weighted.columns))

    def estimable(self, rows: pd.DataFrame) -> np.ndarray:
        """Combinations of all columns of X as combinations of the coefficients that there are, (q, p).

        Raises
        ------
        ValueError
            If the data do not determine one of them, as the mean of a cell that has no rows.
        """
        lost = [name for name in rows.columns if name not in self.terms]
        if not lost:
            return rows[self.terms].to_numpy()
        L, rest = rows[self.terms].to_numpy(), rows[lost].to_numpy()
        implied = L @ self._aliases(lost)
        size = np.abs(rows.to_numpy()).max(axis=1, keepdims=True)
        free = np.abs(rest - implied) > EXACT * np.maximum(size, 1.0)
        if free.any():
            names = [name for name, has in zip(lost, free.any(axis=0), strict=True) if has]
            if names == ["Intercept"]:
                raise ValueError(
                    "this analysis has taken the level of every group out, so it knows differences and no means: "
                    "ask for a difference (pairs=True), or use LMM"
                )
            raise Undetermined(
                f"the data do not determine this combination: it needs {listed(names)}, which was left out because "
                "the rows cannot tell it from the other columns; ask about cells that have rows"
            )
        return L

    def _aliases(self, lost: Sequence[str]) -> np.ndarray:
        """How coefficients that were left out are made of those that there are, (p, lost)."""
        X = self.rows_of_data()
        mixed = np.linalg.lstsq(X[self.terms].to_numpy(), X[list(lost)].to_numpy(), rcond=None)[0]
        mixed[:, [name == "Intercept" for name in lost]] = 0.0
        return mixed

    # -- what a user names ----------------------------------------------------------------------------------------

    def named(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is given by names of columns or coefficients, by those names without the backticks of a formula."""
        known = {*self.columns, *self.terms}
        bare = {name: name if name in known or not isinstance(name, str) else name.strip("`") for name in given or {}}
        return {bare[name]: value for name, value in (given or {}).items()}

    def weights(self, name: str, wanted: Any) -> dict[Any, float]:
        """Weights by value for one column; refuse what is no level of it."""
        self.check_columns([name])
        given = wanted if isinstance(wanted, Mapping) else {wanted: 1.0}
        if not given:
            raise ValueError(f"no weights are given for '{name}'; name its cells, as {{'{name}': {{...}}}}")
        for value, weight in given.items():
            if not is_number(weight):
                raise ValueError(
                    f"the weight of {quoted(value)} of '{name}' is {quoted(weight)}; it is a finite number"
                )
        return {self.value(name, value): float(weight) for value, weight in given.items()}

    def value(self, name: str, wanted: Any) -> Any:
        """A value as the column has it."""
        levels = self.levels[name]
        if levels is None:
            if not is_number(wanted):
                raise ValueError(f"'{name}' holds numbers, and {quoted(wanted)} is none")
            whole = float(wanted).is_integer() and pd.api.types.is_integer_dtype(self.data[name].dtype)
            return int(wanted) if whole else float(wanted)
        same = [level for level in levels if level == wanted and isinstance(level, bool) == isinstance(wanted, bool)]
        same = same or [level for level in levels if str(level) == str(wanted)]
        if not same:
            raise ValueError(f"{quoted(wanted)} is not a level of '{name}'; its levels are {listed(levels)}")
        return same[0]

    def values(self, name: str, at: Any = None) -> list[Any]:
        """All values of a column that a table has rows for: those that are given, all levels, or a few numbers."""
        self.check_columns([name])
        if at is not None:
            several = isinstance(at, Iterable) and not isinstance(at, str | Mapping)
            found = [self.value(name, one) for one in (at if several else [at])]
            if not found:
                raise ValueError(f"at= gives '{name}' no values; name at least one")
            return list(dict.fromkeys(found))
        levels = self.levels[name]
        if levels is not None:
            return levels
        numbers = np.unique(self.data[name].to_numpy(dtype=float))
        if len(numbers) > FEW:
            raise ValueError(
                f"'{name}' has {len(numbers)} different values; say at which of them, as at={{'{name}': [...]}}"
            )
        return [self.value(name, float(number)) for number in numbers]

    def check_columns(self, names: Iterable[str]) -> None:
        """Refuse what is no column of the fixed part."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            there = listed(self.columns) if self.columns else "none"
            raise ValueError(
                f"{listed(absent)} is no column of the fixed part of '{self.matrices.formula}'; its columns are {there}"
            )
