"""Ready assignments: a bank of ten, each a TOML file to use as it is or to change."""

from __future__ import annotations

from importlib import resources

BANK = resources.files("lmmsim.course") / "bank"


def ready_names() -> list[str]:
    """Names of the ready assignments.

    Examples
    --------
    >>> len(ready_names())
    10
    """
    return sorted(one.name.removesuffix(".toml") for one in BANK.iterdir() if one.name.endswith(".toml"))


def ready_text(name: str) -> str:
    """A ready assignment as it is written.

    Raises
    ------
    ValueError
        If there is none of this name; the message lists them.
    """
    if name not in ready_names():
        raise ValueError(f"'{name}' is no .toml file and no ready assignment; they are {', '.join(ready_names())}")
    return (BANK / f"{name}.toml").read_text(encoding="utf-8")


def listing() -> str:
    """Every ready assignment with its lesson, which is the first line of its file."""
    lines = (f"{name}\n    {ready_text(name).splitlines()[0].removeprefix('# ')}" for name in ready_names())
    return "\n".join(lines)
