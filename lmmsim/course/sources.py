"""Sources: a world by the name of a scenario or from a model file, with some of its numbers changed."""

from __future__ import annotations

import copy
import inspect
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from lmmsim import scenarios
from lmmsim.checks import listed
from lmmsim.course import files
from lmmsim.course.toml import Document
from lmmsim.course.worlds import model_of
from lmmsim.model.model import Model
from lmmsim.stories import tell
from lmmsim.streams import Rng


@dataclass(frozen=True)
class Source:
    """Where a world comes from.

    Attributes
    ----------
    name : str
        Of a scenario ("plant growth", "plant-growth"), or of the file.
    document : Document or None
        A model file that was read; None for a scenario.
    numbers : dict
        What is changed: arguments of the scenario, or keys of the file: "beta.week", "random.plot.sd.week",
        "residual", or a count of the design, "plot".
    names : dict
        Other words, as for `lmmsim.stories.tell`.
    """

    name: str
    document: Document | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, numbers: Mapping[str, Any] | None = None, names: Mapping[str, str] | None = None) -> Source:
        """A scenario by its name, or a model file by its path.

        Examples
        --------
        >>> model, design = Source.of("plant-growth", {"plots": 6, "weeks": 2}).world()
        >>> len(design)
        12
        """
        if name.endswith(".toml"):
            document = Document.read(files.read_text(name), Path(name).name)
            return cls(name, document, dict(numbers or {}), dict(names or {}))
        plain = re.sub(r"[-_]", " ", name).strip().lower()
        if plain not in scenarios.ALL:
            known = ", ".join(one.replace(" ", "-") for one in scenarios.ALL)
            raise ValueError(f"'{name}' is no scenario and no .toml file; the scenarios are {known}")
        return cls(plain, None, dict(numbers or {}), dict(names or {}))

    def with_numbers(self, numbers: Mapping[str, Any]) -> Source:
        """The same source with further numbers changed."""
        return Source(self.name, self.document, {**self.numbers, **numbers}, self.names)

    def world(self, rng: Rng = None) -> tuple[Model, pd.DataFrame]:
        """Make the model and the design; `rng` is for what the design draws.

        Raises
        ------
        ValueError
            If a number is not one of the world, or cannot be meant.
        """
        if self.document is not None:
            changed = changed_document(self.document, self.numbers)
            return tell(*(world := model_of(changed, rng=rng)), self.names, world[1].attrs["units"])
        make = scenarios.ALL[self.name]
        known = [name for name in inspect.signature(make).parameters if name not in ("rng", "names")]
        if strange := [name for name in self.numbers if name not in known]:
            raise ValueError(f"{listed(strange)}: no number of '{self.name}'; its numbers are {listed(known)}")
        chance = {"rng": rng} if "rng" in inspect.signature(make).parameters else {}
        try:
            return make(**self.numbers, names=self.names, **chance)
        except TypeError as error:
            raise ValueError(f"'{self.name}' cannot take {dict(self.numbers)}: {error}") from None


def changed_document(document: Document, numbers: Mapping[str, Any]) -> Document:
    """A model file with other numbers under some of its keys."""
    values = copy.deepcopy(document.values)
    for key, value in numbers.items():
        _change(values, key, value, document.name)
    return Document(document.name, document.text, values)


def _change(values: dict[str, Any], key: str, value: Any, name: str) -> None:
    """Put a value under "beta.week", "random.plot.sd.week", or a count of the design."""
    steps = [
        arguments for step in values.get("design", []) for arguments in step.values() if isinstance(arguments, dict)
    ]
    if counts := [arguments for arguments in steps if key in arguments and key not in ("to", "at", "by")]:
        counts[0][key] = value
        return
    here: Any = values
    path = key.split(".")
    while path:  # a key may have dots of its own
        for k in range(len(path), 0, -1):
            part = ".".join(path[:k])
            if isinstance(here, dict) and part in here:
                if k == len(path) and not isinstance(here[part], dict):
                    here[part] = value
                    return
                here, path = here[part], path[k:]
                break
        else:
            break
    raise ValueError(
        f"'{key}' is no number of {name}; write beta.NAME, random.GROUP.sd.NAME, residual, or a count of the design"
    )


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read what is set as `plots=24`, `extra=0.5,1`, `weeks=[0,1,4]`.

    Examples
    --------
    >>> settings(["plots=24", "extra=0.5,1", "balanced=near"])
    {'plots': 24, 'extra': [0.5, 1], 'balanced': 'near'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.rpartition("=") if pair.startswith('"') else pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"'{pair}' sets nothing; write NAME=VALUE, as in plots=24")
        found[key.strip().strip('"')] = _value(text.strip())
    return found


def _value(text: str) -> Any:
    """A number, a truth value, a list; anything else is a text."""
    for attempt in (text, f"[{text}]"):
        try:
            return tomllib.loads(f"x = {attempt}")["x"]
        except tomllib.TOMLDecodeError:
            continue
    return text
