"""Have a voice read the main line of every page aloud, and time it.

    make book && python benchmarks/reading_aloud.py

The voice is `espeak-ng` at 150 words a minute, an unhurried pace. It reads what stands open on the built page from the
title to the exercises: sentences, formulas, code and what the code prints. A look at a figure counts half a minute, a
number to predict one minute. `says` is the number of minutes that the page names; it has to be `rounded up`, the
measured minutes up to the next five.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from bs4 import BeautifulSoup, Tag

TOP = Path(__file__).resolve().parents[1]
RATE, FIGURE, PREDICTION = 150, 0.5, 1.0  # words a minute; minutes
AFTER = ("exercises", "the-same-in-other-tools")
UNSPOKEN = ("details", "script", "style", "svg", "annotation")
CODE = "div.cell_input, div.cell_output pre, table"
SIGNS = {"=": " equals ", "~": " by ", "|": " bar ", "−": " minus ", "*": " times ", "/": " over "}
SIGNS |= {"\u22a4": " transposed "} | dict.fromkeys("()[]{}_'\"", " ")


def in_words(text: str) -> str:
    """Code or a formula, with the signs that a person would name."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def minutes(text: str) -> float:
    """How long the voice speaks."""
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder, "voice.wav")
        subprocess.run(["espeak-ng", "-s", str(RATE), "-w", sound, "--stdin"], input=text.encode(), check=True)
        with wave.open(str(sound)) as spoken:
            return spoken.getnframes() / spoken.getframerate() / 60


def take(found: Iterable[Tag]) -> None:
    """Take tags out of a page, whether or not one stands in another."""
    for tag in found:
        if not tag.decomposed:
            tag.decompose()


def row(page: str) -> dict[str, object]:
    """One page."""
    html = (TOP / "_build" / "html" / "book" / f"{page}.html").read_text(encoding="utf-8")
    article = BeautifulSoup(html, "html.parser").find("article")
    says = re.search(r"Reading takes about (\d+) minutes", article.get_text())
    take(article.find_all(UNSPOKEN))
    take(article.find_all("section", id=AFTER))
    figures, predictions = len(article.find_all("figure")), len(article.select(".predict"))
    for formula in article.find_all("math"):
        formula.replace_with(in_words(formula.get_text(" ")))
    code = article.select(CODE)
    shown = minutes(in_words(" . ".join(cell.get_text(" ") for cell in code)))
    take(code)
    prose = minutes(article.get_text(" "))
    return {
        "page": page,
        "prose": prose,
        "code and output": shown,
        "figures": figures,
        "predictions": predictions,
        "minutes": prose + shown + FIGURE * figures + PREDICTION * predictions,
        "says": int(says[1]) if says else None,
    }


def main() -> None:
    """Print the table."""
    if not shutil.which("espeak-ng"):
        sys.exit("The voice is missing: install espeak-ng (Debian: apt-get install espeak-ng).")
    listed = (TOP / "tests" / "book" / "second_edition.txt").read_text(encoding="utf-8").splitlines()
    pages = [line for line in listed if line and not line.startswith("#")]
    table = pd.DataFrame([row(page) for page in pages]).set_index("page")
    table["rounded up"] = 5 * np.ceil(table["minutes"] / 5).astype(int)
    print(table.round(1).to_string())


if __name__ == "__main__":
    main()
