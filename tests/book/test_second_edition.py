"""Pages of the second edition: how long the main line is, how much code it shows, how many figures carry it.

A page joins by a line in `second_edition.txt`. The main line is what a reader reads who opens no fold and does no
exercise. `python tests/book/test_second_edition.py` prints the figures of every page.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from places import BOOK

LIST = Path(__file__).with_name("second_edition.txt")
PAGES = [line for line in LIST.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
EVERY = pytest.mark.parametrize("page", PAGES)
WORDS, CODE_LINES, FIGURES = range(900, 1501), range(61), range(3, 6)

CELL = re.compile(
    r"^(`{3,})\{code-cell\}[^\n]*\n(?:---\n(?P<yaml>.*?)\n---\n|(?P<colons>(?::[^\n]*\n)*))(?P<code>.*?)^\1$",
    re.M | re.S,
)
FOLD = re.compile(  # an inner one
    r"^(?:`{3,}|:{3,})\{fold-start\}(?:(?!\{fold-start\}).)*?\{fold-end\}[^\n]*\n(?:`{3,}|:{3,})$", re.M | re.S
)
HIDDEN = {"remove-cell", "remove-input", "hide-input", "hide-cell"}
NEVER_SEEN = re.compile(r"\b(?:assert|glue|claim)\b")
PLUMBING = re.compile(r"\.reshape\(|\beinsum\b|\.many\(|\[:, *(?:\d|[a-z]\b)|\bplot\.COLOU?RS\b")


def source(page: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", (BOOK / f"{page}.md").read_text(encoding="utf-8"), flags=re.S)


def main_line(text: str) -> str:
    """The page up to its exercises, without its folds."""
    body = re.split(r"^## Exercises\b", text, flags=re.M)[0]
    body = re.split(r"^## The same in other tools\b", body, flags=re.M)[0]
    while "{fold-start}" in body:
        body, found = FOLD.subn("", body)
        assert found, "a fold is not closed on the main line"
    return re.sub(r"^(:{3,}|`{3,})\{dropdown\}.*?^\1$", "", body, flags=re.M | re.S)


def seen(text: str) -> list[str]:
    """The code of cells that stand open, without empty lines."""
    cells = []
    for cell in CELL.finditer(text):
        header = yaml.safe_load(cell["yaml"] or "") or {}
        tags = set(header.get("tags", [])) | set(re.findall(r"[\w-]+", cell["colons"] or ""))
        if not tags & HIDDEN:
            cells.append("\n".join(line for line in cell["code"].split("\n") if line.strip()))
    return cells


def words(text: str) -> int:
    text = re.sub(r"\$\$.*?\$\$(?:\s*\([\w:-]+\))?", " ", CELL.sub(" ", text), flags=re.S)
    text = re.sub(
        r"^(`{3,})(?:\w+|\{(?:code-block|literalinclude|bibliography|picture)\}).*?^\1$", " ", text, flags=re.M | re.S
    )
    text = re.sub(r"\$[^$\n]*\$|\{[\w:-]+\}(?:`[^`]*`)?|\]\([^)]*\)|^:[\w-]+:.*$|^\(.*\)=$", " ", text, flags=re.M)
    return len(re.findall(r"[A-Za-z]{2,}(?:['’-][A-Za-z]+)*", text))


def figures(text: str) -> int:
    drawn = sum("image" in (yaml.safe_load(cell["yaml"] or "") or {}).get("mystnb", {}) for cell in CELL.finditer(text))
    return drawn + len(re.findall(r"^(?::{3,}|`{3,})\{(?:figure|explorable)\}", text, flags=re.M))


def title(page: str) -> str:
    return re.search(r"^# (.+)$", source(page), flags=re.M)[1]


@EVERY
def test_the_main_line_is_read_in_one_sitting(page):
    assert words(main_line(source(page))) in WORDS


@EVERY
def test_the_main_line_shows_little_code(page):
    assert sum(len(cell.split("\n")) for cell in seen(main_line(source(page)))) in CODE_LINES


@EVERY
def test_no_plumbing_is_seen(page):
    cells = seen(source(page))
    assert not [cell for cell in cells if NEVER_SEEN.search(cell)], "checks belong into remove-cell, by claim()"
    assert not [cell for cell in seen(main_line(source(page))) if PLUMBING.search(cell)]


@EVERY
def test_figures_carry_the_page(page):
    assert figures(main_line(source(page))) in FIGURES


@EVERY
def test_the_page_does_not_promise_fewer_minutes_than_a_voice_needs(page):
    """What `benchmarks/reading_aloud.py` measures, from below: output is not counted here.

    The voice needs a minute for 105 of the words counted here, because it also speaks formulas and numbers, which are
    not counted, and a minute for a dozen lines of code.
    """
    line = main_line(source(page))
    lines_of_code = sum(len(cell.split("\n")) for cell in seen(line))
    promised = int(re.search(r"^Reading takes about (\d+) minutes", source(page), flags=re.M)[1])
    assert promised % 5 == 0
    assert promised >= words(line) / 105 + lines_of_code / 12 + figures(line) / 2 + line.count(":class: predict")


@EVERY
def test_the_title_names_the_topic_and_asks_the_question(page):
    assert re.fullmatch(r"[^:?]+: [^:]+\??", title(page)), title(page)


def test_the_list_is_in_order_and_names_pages():
    assert sorted(set(PAGES)) == PAGES
    assert [page for page in PAGES if not (BOOK / f"{page}.md").is_file()] == []


def test_the_counts_see_what_a_reader_sees():
    page = """# Topic: a question?

Seven words and {glue:text}`x:.1f` stand before $a + b$ here.

```{code-cell} ipython3
---
mystnb:
  image:
    alt: A picture.
tags: [hide-input]
---
assert plot.COLORS
```

:::{fold-start} Why exactly?
:::
Nobody counts this.

```{code-cell} ipython3
x.reshape(2, 3)

y = 1
```

```{fold-start} Even more exactly?
```
Nor this.
```{fold-end}
```
:::{fold-end}
:::

```{code-cell} ipython3
z = X[:, 1]

w = 2
```

## Exercises

```{code-cell} ipython3
assert z == 1
```
"""
    body = main_line(page)
    assert words(body) == 8  # topic, question, and six of the sentence: numbers and formulas are no words
    assert seen(body) == ["z = X[:, 1]\nw = 2"] and PLUMBING.search(seen(body)[0])
    assert figures(body) == 1
    assert [bool(NEVER_SEEN.search(cell)) for cell in seen(page)] == [False, False, True]


if __name__ == "__main__":
    print(f"{'page':24} words  code  figures  plumbing  title")
    for path in sorted(BOOK.glob("*.md")):
        text = main_line(source(path.stem))
        cells = seen(text)
        plumbing = sum(len(NEVER_SEEN.findall(cell)) + len(PLUMBING.findall(cell)) for cell in cells)
        lines = sum(len(cell.split("\n")) for cell in cells)
        print(f"{path.stem:24} {words(text):5} {lines:5} {figures(text):8} {plumbing:9}  {title(path.stem)}")
