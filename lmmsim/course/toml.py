"""TOML: read a text with the line of every key at hand, and write one that reads back the same."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from lmmsim.checks import listed, quoted

WIDTH = 100  # of a line that is written
Path = tuple[str | int, ...]
KINDS = {
    str: "a text",
    bool: "true or false",
    dict: "a table",
    list: "a list",
    float: "a number",
    int: "a whole number",
}


@dataclass(frozen=True)
class Document:
    """A TOML text that was read: its name, its lines, its values.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    text : str
    values : dict
    """

    name: str
    text: str
    values: dict[str, Any]

    @classmethod
    def read(cls, text: str, name: str = "text") -> Document:
        """Read a text; what is no TOML is refused with its line."""
        try:
            return cls(name, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{name}: {error}") from None
        except RecursionError:
            raise ValueError(f"{name}: tables in tables in tables, more than can be read") from None

    def fail(self, path: Path, problem: object) -> NoReturn:
        """Refuse what stands at a path, with its line."""
        raise ValueError(f"{self.name}, line {self.line(path)}, {shown(path)}: {problem}") from None

    def line(self, path: Path) -> int:
        """The line of a key; of the table or the list around it, where it has none of its own."""
        lines = _lines(self.text)
        while path and path not in lines:
            path = path[:-1]
        return lines.get(path, 1)

    def take(self, path: Path, kind: type, default: Any = None) -> Any:
        """The value at a path, if it is of a kind: str, bool, dict, list, float (any number) or int.

        Raises
        ------
        ValueError
            If it is missing and has no default, or is of another kind.
        """
        value: Any = self.values
        for key in path:
            if isinstance(value, dict) and key not in value:
                if default is not None:
                    return default
                self.fail(path[:-1], f"'{path[-1]}' is missing")
            value = value[key]
        right = isinstance(value, (int, float) if kind is float else kind) and (
            kind is bool or not isinstance(value, bool)
        )
        if not right or (isinstance(value, float) and not math.isfinite(value)):
            self.fail(path, f"this is {quoted(value)}; it has to be {KINDS[kind]}")
        return value

    def check_keys(self, path: Path, known: Iterable[str]) -> None:
        """Refuse keys of a table that mean nothing, which may be misspelled."""
        known = list(known)
        for key in self.take(path, dict) if path else self.values:
            if key not in known:
                self.fail((*path, key), f"'{key}' is not known here; the keys are {listed(known)}")


def shown(path: Path) -> str:
    """A path as one reads it: random.plot.sd, design[2].assign."""
    text = ""
    for key in path:
        text += f"[{key + 1}]" if isinstance(key, int) else ("." if text else "") + _key(key)
    return text or "the file"


def dumps(values: Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """Write values as TOML: tables by their header, everything inside them on a line of its own.

    Parameters
    ----------
    values : mapping
        Texts, truth values, finite numbers, lists and mappings with names as keys.
    comments : mapping, optional
        {"key" or "table.key": what to say behind it}.

    Examples
    --------
    >>> print(dumps({"formula": "y ~ x", "beta": {"x": 2.0, "x:g[T.b]": 1.0}}, {"beta.x": "cm per week"}), end="")
    formula = "y ~ x"
    <BLANKLINE>
    [beta]
    x = 2.0                        # cm per week
    "x:g[T.b]" = 1.0
    """
    said = comments or {}
    lines = [_assigned(key, value, said.get(key)) for key, value in values.items() if not _is_table(value)]
    for key, value in values.items():
        for table in value if _is_table(value) and not isinstance(value, Mapping) else [value]:
            if isinstance(table, Mapping):
                lines += _table((key,), table, isinstance(value, Mapping), said)
    return "\n".join(lines).lstrip("\n") + "\n"


def _table(path: tuple[str, ...], table: Mapping[str, Any], single: bool, said: Mapping[str, str]) -> list[str]:
    """A table under its header; tables inside a table that holds nothing else get their own."""
    name = ".".join(map(_key, path))
    if single and len(path) == 1 and table and all(isinstance(value, Mapping) for value in table.values()):
        return [line for key, value in table.items() for line in _table((*path, key), value, True, said)]
    head = f"[{name}]" if single else f"[[{name}]]"
    return ["", head, *(_assigned(key, value, said.get(f"{'.'.join(path)}.{key}")) for key, value in table.items())]


def _is_table(value: Any) -> bool:
    """Whether a value stands under a header: a table, or a list of tables."""
    if isinstance(value, Mapping | str) or not isinstance(value, Sequence):
        return isinstance(value, Mapping)
    return len(value) > 0 and all(isinstance(one, Mapping) for one in value)


def _assigned(key: str, value: Any, comment: str | None) -> str:
    text = f"{_key(key)} = {_value(value)}"
    if len(text) > WIDTH and isinstance(value, Sequence) and not isinstance(value, str):
        text = f"{_key(key)} = [\n" + "".join(f"    {_value(one)},\n" for one in value) + "]"
    return f"{text:<30} # {comment}" if comment else text


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(float(value))
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(str(key))} = {_value(one)}" for key, one in value.items())
        return "{ " + inside + " }" if inside else "{}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise ValueError(f"{value!r} ({type(value).__name__}) cannot stand in a TOML file")


def _lines(text: str) -> dict[Path, int]:
    """The line of every header and of every key that begins a line."""
    found: dict[Path, int] = {}
    here: Path = ()
    counts: dict[Path, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)(.*?)(\]\]?)\s*(#.*)?$", line)
        if header and (keys := _keys(f"{header[2]}=0")):
            here = keys
            if header[1] == "[[":
                counts[keys] = counts.get(keys, -1) + 1
                found.setdefault(keys, number)
                here = (*keys, counts[keys])
            found.setdefault(here, number)
        elif keys := _keys(line.partition("=")[0] + "=0") or _keys(_quoted_key(line) + "=0"):
            found.setdefault((*here, *keys), number)
    return found


def _quoted_key(line: str) -> str:
    """A key in quotes that has an equals sign inside."""
    match = re.match(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*')\s*=""", line)
    return match[1] if match else ""


def _keys(text: str) -> Path:
    """The keys of `a."b c" = 0`; none where this is no assignment."""
    try:
        value: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(value, dict) and value:
        [(key, value)] = value.items()
        path.append(key)
    return tuple(path)
