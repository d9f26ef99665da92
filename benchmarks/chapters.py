"""List the chapters: words of prose, cells, figures, exercises, seconds of their last execution.

    make book && python benchmarks/chapters.py

Words are those outside code, maths, settings and placeholders. Seconds are those of the kept result, with the other
processor at work on another chapter.
"""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import pandas as pd
import yaml
from jupyter_cache import get_cache

TOP = Path(__file__).resolve().parents[1]
NO_PROSE = (
    r"\A---\n.*?\n---\n",
    r"^(`{3,}|:{3,})\{(?:code-cell|literalinclude|include|math)\}.*?^\1$",
    r"^```(?:python|r|julia).*?^```$",
    r"\$\$.*?\$\$",
    r"\$[^$\n]+\$",
    r"\{[\w:]+\}`[^`]*`",
    r"^:[\w-]+:.*?$",
)


def chapters() -> list[Path]:
    """The files of the numbered chapters and of the appendices, in the order of the book."""
    toc = yaml.safe_load((TOP / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    return [TOP / f"{name}.md" for name in names]


def words(text: str) -> int:
    """Words of prose."""
    for pattern in NO_PROSE:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    return len(re.findall(r"[^\W\d_][\w'’-]+", text))


def seconds() -> dict[str, float]:
    """How long the kept results took, by the name of the file."""
    found = {}
    for folder in (TOP / "_build" / "executed").glob("*"):
        for record in get_cache(folder).list_cache_records():
            found[Path(record.uri).stem] = float((record.data or {}).get("execution_seconds", float("nan")))
    return found


def row(path: Path, took: dict[str, float]) -> dict[str, object]:
    """One chapter."""
    text = path.read_text(encoding="utf-8")
    cells = [cell for cell in jupytext.reads(text, fmt="md:myst").cells if cell.cell_type == "code"]
    return {
        "chapter": path.stem,
        "lines": text.count("\n"),
        "words": words(text),
        "cells": len(cells),
        "shown": sum("remove-cell" not in cell.metadata.get("tags", []) for cell in cells),
        "figures": sum("image" in cell.metadata.get("mystnb", {}) for cell in cells),
        "exercises": text.count("{exercise-start}"),
        "seconds": took.get(path.stem, float("nan")),
    }


def main() -> None:
    """Print the table."""
    took = seconds()
    table = pd.DataFrame([row(path, took) for path in chapters()]).set_index("chapter")
    table.loc["all"] = table.sum()
    whole = table.columns.drop("seconds")
    table[whole] = table[whole].astype(int)
    print(table.round(1).to_string(na_rep=""))


if __name__ == "__main__":
    main()
