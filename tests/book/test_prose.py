"""The sources of the book: no typed results, all parts of a chapter, public names, links and citations that exist.

`prose_allowed.txt` lists the digits that a person has looked at: page | text around the digits | why they may be typed.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import jupytext
import pytest
import yaml
from places import TOP, files_in_toc

import lmmsim
from lmmsim.diagnostics.verdicts import CHECKS

BOOK = TOP / "book"
ALLOWED = Path(__file__).with_name("prose_allowed.txt")
SECOND_EDITION = set(Path(__file__).with_name("second_edition.txt").read_text(encoding="utf-8").split("\n"))
PAGES = sorted(path.stem for path in BOOK.glob("*.md"))
EVERY = pytest.mark.parametrize("page", PAGES)

NOT_PROSE = {"code-cell", "code-block", "literalinclude", "eval-rst", "math", "bibliography"}
OUTSIDE = [  # what is no sentence, or is written by rule and not by hand; the order matters
    r"\A---\n[\s\S]*?\n---\n",
    r"^ *`{3,}(?:\{[\w:-]+\})?",  # of a directive its content and its title stay
    r"\$\$[\s\S]*?\$\$(?:\s*\([\w:-]+\))?",
    r"\{[\w:]+\}`[^`]*`",  # roles: glue, citations, references
    r"(`+)(?!`)(?:.|\n(?!\n))+?(?<!`)\1(?!`)",
    r"(?<![\\$])\$[^$\n]+(?:\n[^$\n]+)?\$",
    r"\]\([^)\s]*\)",  # where a link leads
    r"https?://\S+",
    r"^\([\w-]+\)=$",
    r"<[^>\n]+>",
    r"^ *:(?!alt:)[\w-]+:.*$",
    r"^ *(?:\||>|-)? *\d+\.(?= )",  # numbers of list items
    r"\bAR\(1\)|\b(?:BY|version|lme4|lmerTest|pbkrtest) \d[\d.-]*",  # names with a number in them
    r"\b(?:weeks?|days?|months?) 0\b",  # the origin of time
    r"\b\d+(?:st|nd|rd|th)\b",  # percentiles by name
    r"\bAbout \d+ minutes\b|\babout \d+ minutes, the exercises another \d+",  # to read a chapter: nothing computes that
]
NUMBER = re.compile(r"(?<![\w.,^#-])[−-]?\d[\d,]*(?:\.\d+)?(?: ?%| percent)?|(?<![\w.])[−-]?\.\d+(?: ?%| percent)?")
YEAR = re.compile(r"(?:1[89]|20)\d\d$")
LINK = re.compile(r"\]\((?!https?:)([\w./-]+)\.md(?:#[\w-]+)?\)")
# levels, wholes, the normal limit: names, not measurements
NOMINAL = {"5%", "95%", "100%", "5 %", "95 %", "100 %", "95 percent", "1.96"}


@cache
def source(page: str) -> str:
    return (BOOK / f"{page}.md").read_text(encoding="utf-8")


@cache
def cells(page: str):
    """The code cells of a page."""
    return [cell for cell in jupytext.reads(source(page), fmt="md:myst").cells if cell.cell_type == "code"]


def shown(cell) -> bool:
    return not {"remove-cell", "remove-input", "hide-cell"} & set(cell.metadata.get("tags", []))


def tree(cell) -> ast.Module:
    """Its syntax tree, without IPython's magics."""
    return ast.parse(re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.MULTILINE))


def chapters() -> list[str]:
    """The pages of the numbered parts; the others are appendices."""
    toc = yaml.safe_load((TOP / "_toc.yml").read_text(encoding="utf-8"))
    return [Path(c["file"]).stem for part in toc["parts"] if part.get("numbered") for c in part["chapters"]]


def pages_in_toc() -> set[str]:
    return {Path(name).stem for name in files_in_toc()}


CHAPTERS = pytest.mark.parametrize("page", [page for page in chapters() if page in PAGES])


# Digits in prose


def without_code(text: str) -> str:
    """Blank out fenced code, line by line; of a code cell its caption and its alt text stay."""
    lines, fence, header = [], None, False
    for line in text.split("\n"):
        opening = re.match(r" *(`{3,})(?:\{([\w:-]+)\})?([\w+-]*)", line)
        if fence:
            if line.strip() == fence:
                fence = None
            elif line == "---":
                header = not header
            elif header and not re.match(r" *(?:mystnb|figure|image|name|tags|width|height):", line):
                lines.append(line)
                continue
            lines.append("")
        elif opening and (opening[2] in NOT_PROSE or opening[3]):
            fence = opening[1]
            lines.append("")
        else:
            lines.append(line)
    return "\n".join(lines)


def prose(page: str) -> str:
    """What a reader reads as sentences, every line in its place."""
    text = without_code(source(page).replace("\\$", "  "))
    for pattern in OUTSIDE:
        text = re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.MULTILINE)
    return text


def value(number: str) -> float:
    return float(number.replace("−", "-").replace(",", "").removesuffix("percent").rstrip(" %").rstrip("."))


@cache
def inputs(page: str) -> frozenset[float]:
    """Numbers that stand in code which the reader sees: what goes in, and what an assertion checks."""
    nodes = [node for cell in cells(page) if shown(cell) for node in ast.walk(tree(cell))]
    literals = {float(n.value) for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, int | float)}
    for node in nodes:  # 2**14 is an input as much as 16384
        if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant):
            with suppress(Exception):
                literals.add(float(eval(ast.unparse(node), {})))
    return frozenset(literals)


def is_input(number: str, page: str) -> bool:
    """A percentage must stand in the code as a share (or as what it leaves), another number as itself."""
    x, known = abs(value(number)), inputs(page)
    if number.endswith(("%", "percent")):
        return any(abs(y - x / 100) < 1e-9 or abs(1 - y - x / 100) < 1e-9 for y in known)
    return x in known


def typed_numbers(page: str) -> list[tuple[int, str, str]]:
    """(line, number, the line's text) of digits that neither glue nor visible code accounts for."""
    found = []
    for k, line in enumerate(prose(page).split("\n"), start=1):
        for match in NUMBER.finditer(line):
            number = match[0].rstrip(",")
            if not (YEAR.match(number) or number in NOMINAL or is_input(number, page)):
                found.append((k, number, source(page).split("\n")[k - 1]))
    return found


def allowed() -> list[list[str]]:
    """Page, snippet and reason of every line; a snippet may have the bars of a table in it."""
    lines = ALLOWED.read_text(encoding="utf-8").splitlines()
    return [
        [line.split(" | ")[0], " | ".join(line.split(" | ")[1:-1]), line.split(" | ")[-1]]
        for line in lines
        if line and not line.startswith("#")
    ]


@EVERY
def test_no_result_is_typed(page):
    known = [snippet for where, snippet, _ in allowed() if where == page]
    typed = [
        f"{page}.md:{k}: {number} in: {text.strip()}"
        for k, number, text in typed_numbers(page)
        if not any(snippet in text and number in snippet for snippet in known)
    ]
    assert not typed, "glue these, or give a reason in prose_allowed.txt:\n" + "\n".join(typed)


def test_every_exception_is_still_needed_and_has_a_reason():
    found = {page: typed_numbers(page) for page in PAGES}
    for page, snippet, reason in allowed():
        assert len(reason) > 10, f"{page} | {snippet}: why?"
        assert any(snippet in text and number in snippet for _, number, text in found.get(page, [])), (page, snippet)


def test_the_lint_sees_a_typed_result(tmp_path, monkeypatch):
    sentence = (
        "With 2 weeks the power was 83.4 % in 1,234 runs ({glue:text}`n:.1f`, $12.5$, `77.7`, [9](a-8.md), AR(1))."
    )
    cell = (
        "```{code-cell} ipython3\n---\nmystnb:\n  figure:\n    caption: |\n      It fell to 61.\n---\nweeks = 2\n```\n"
    )
    titles = (
        "```{fold-start} Why 51 % and $9.9$?\n```\n\n:::{dropdown} Hint 52\n:::\n\n```{exercise-start} Read: 53\n```\n"
    )
    (tmp_path / "typed.md").write_text(f"# Why?\n\n{sentence}\n\n{cell}\n{titles}", encoding="utf-8")
    monkeypatch.setitem(globals(), "BOOK", tmp_path)
    found = [number for _, number, _ in typed_numbers("typed")]
    assert found == ["83.4 %", "1,234", "9", "61", "51 %", "52", "53"]


# Parts of a chapter


@CHAPTERS
def test_the_title_is_a_question(page):
    title = re.search(r"^# (.+)$", source(page), flags=re.MULTILINE)
    assert title and title[1].endswith("?"), title


PARTS = [
    r":::\{admonition\} What you will be able to do\n:class: tip\n(?:- .+\n(?: .+\n)*){3}\nAbout \d+ minutes",
    r":::\{admonition\} Predict before you look\n:class: predict\n",
    r"\(mistakes-PAGE\)=\n:::\{admonition\} Mistakes\n:class: mistakes\n\*\*",
    r":::\{admonition\} What to remember\n:class: remember\n(?:\d\. .+\n(?: .+\n)*){3,5}:::",
    r"## Exercises\n",
    r"## The same in other tools\n",
]
PARTS_OF_THE_SECOND_EDITION = [
    r":::\{admonition\} What you will be able to do\n:class: objectives\n(?:- .+\n(?: .+\n)*){3}\n"
    r"Reading takes about \d+ minutes, the exercises another \d+\b",
    r":::\{admonition\} Predict before you look\n:class: predict\n",
    r"(?::::\{admonition\}|##) With your own data\n",
    *PARTS[2:],
]


@CHAPTERS
def test_a_chapter_has_its_parts_in_order(page):
    text, start = source(page), 0
    for part in PARTS_OF_THE_SECOND_EDITION if page in SECOND_EDITION else PARTS:
        found = re.compile(part.replace("PAGE", page)).search(text, start)
        assert found, f"missing, or out of order: {part}"
        start = found.start()


@CHAPTERS
def test_the_same_model_is_written_in_three_tools(page):
    tools = source(page).split("## The same in other tools")[-1]
    for tool in ("statsmodels", "lme4", "Bambi"):
        assert re.search(rf"\{{tab-item\}} {tool}\n", tools), tool


@CHAPTERS
def test_there_are_four_kinds_of_exercises(page):
    titles = re.findall(r"\{exercise-start\} (.+)", source(page))
    if page in SECOND_EDITION:
        kinds = {title.split(":")[0] for title in titles}
        assert kinds <= {"Warm-up", "Code", "Design", "Data", "Read", "Say"}, kinds
        assert len(titles) >= 4 and {"Read", "Say"} <= kinds, titles
        return
    for kind in ("Warm-up", "Code", "Design", "Data"):
        assert any(title.startswith(f"{kind}: ") for title in titles), f"no {kind} among {titles}"


@EVERY
def test_an_exercise_has_a_hint_and_a_solution_that_checks_the_answer(page):
    for exercise in re.findall(r"`{3,}\{exercise-start\}[\s\S]+?\{exercise-end\}", source(page)):
        label = re.search(r"^:label: (\S+)$", exercise, flags=re.MULTILINE)[1]
        assert "{dropdown} Hint" in exercise, f"{label} has no hint"
        solution = re.search(
            rf"\{{solution-start\}} {label}\n:class: dropdown\n[\s\S]+?\{{solution-end\}}", source(page)
        )
        assert solution, f"{label} has no folded solution"
        if page not in SECOND_EDITION:
            assert re.search(r"\{code-cell\}[\s\S]*\bassert\b", solution[0]), f"the solution of {label} checks nothing"
        elif not re.search(r"\{exercise-start\} (?:Read|Say):", exercise):
            assert "{code-cell}" in solution[0], f"the solution of {label} runs nothing"


# Names, citations, links


def uses(page: str) -> tuple[set[str], list[str]]:
    """Names of lmmsim that a page uses in code or links to, and those in its code that are not public."""
    names, private = set(re.findall(r"\{py:\w+\}`(?:[^`<]*<)?lmmsim\.(\w+)", source(page))), []
    for node in (node for cell in cells(page) for node in ast.walk(tree(cell))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lmmsim":
            path = [*node.module.split(".")[1:], None]
            for alias in node.names:
                first = path[0] or alias.name
                names.add(first)
                if first not in lmmsim.__all__ or alias.name.startswith("_"):
                    private.append(ast.unparse(node))
        elif isinstance(node, ast.Import):
            private += [a.name for a in node.names if a.name.startswith("lmmsim.") and a.name[7:] not in lmmsim.__all__]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "lmmsim":
            names.add(node.attr)
            if node.attr not in [*lmmsim.__all__, "__version__"]:
                private.append(ast.unparse(node))
    return names, private


@EVERY
def test_a_page_uses_only_public_names(page):
    assert uses(page)[1] == []


def test_every_public_name_is_used_on_some_page():
    used = set().union(*(uses(page)[0] for page in PAGES if not page.startswith("api")))
    # by functions that are used; nobody writes their names
    returned = {"Diagnosis", "Effect", "Fit", "Frontier", "Lineup", "Size"}
    assert sorted(set(lmmsim.__all__) - used - returned) == []


def test_pages_that_messages_name_exist():
    topics = {re.search(r"^# (.*)$", source(page), flags=re.MULTILINE)[1] for page in PAGES}
    for named in {page for _, _, page in CHECKS.values()} | {"Not normal?"}:
        assert any(title.startswith((f"{named}:", named)) for title in topics), named


def cited(page: str) -> set[str]:
    keys = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", source(page))
    return {key.strip() for group in keys for key in group.split(",")}


def test_what_is_cited_is_in_the_bibliography_and_the_reverse():
    entries = re.findall(
        r"^@\w+\{([^,\s]+),", (BOOK / "references.bib").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert len(entries) == len(set(entries)), sorted({key for key in entries if entries.count(key) > 1})
    everything = set().union(*map(cited, PAGES))
    assert sorted(everything - set(entries)) == [], "cited, not in references.bib"
    assert sorted(set(entries) - everything) == [], "in references.bib, cited nowhere"


def test_the_index_of_mistakes_leads_to_every_box():
    boxes = {page for page in PAGES if f"(mistakes-{page})=" in source(page)}
    assert boxes == set(re.findall(r"\]\(#mistakes-([\w-]+)\)", source("mistakes")))


def test_the_map_for_teachers_agrees_with_what_chapters_ask_for():
    maps = [node for cell in cells("for-teachers") for node in ast.walk(tree(cell)) if isinstance(node, ast.Dict)]
    needs = {k: v.split() for part in maps[:2] for k, v in ast.literal_eval(part).items()}
    assert set(chapters()) <= set(needs)

    def before(page):
        return set(needs[page]).union(*map(before, needs[page]))

    for page in needs:
        start = re.compile(r"^(?:About|Reading takes about) \d+ minutes.*$", flags=re.MULTILINE)
        time = start.search(source(page)) if page in PAGES else None
        asked = (
            {name for s in re.split(r"(?<=[.;]) ", time[0]) if "useful" not in s.lower() for name in LINK.findall(s)}
            if time
            else set()
        )
        assert asked <= before(page), f"{page} asks for {asked}, the map has {before(page)}"
        assert time is None or set(needs[page]) <= asked, f"the map has {needs[page]}, {page} asks for {asked}"


KINDS = ("Read", "Say", "Warm-up", "Code", "Design", "Data")


def kinds_of_exercises(page: str) -> list[str]:
    return re.findall(r"\{exercise-start\} ([\w-]+):", source(page))


def test_what_the_page_for_teachers_says_about_exercises():
    text = source("for-teachers")
    assert "Each chapter has at least five, of these kinds" in text and "not every chapter has all six" in text
    table = LINK.findall(text.split("## What the exercises practice")[1])
    assert set(chapters()) <= set(table)
    kinds = {page: kinds_of_exercises(page) for page in table}
    assert {page: len(own) for page, own in kinds.items() if len(own) < 5} == {}
    assert {kind for own in kinds.values() for kind in own} == set(KINDS)
    assert any(set(own) < set(KINDS) for own in kinds.values())


def test_the_exercises_that_the_page_for_teachers_sets_exist():
    rows = [row for row in source("for-teachers").split("\n") if row.startswith("|") and LINK.search(row)]
    rows = [row.strip("| ").split(" | ") for row in rows if row.count(" | ") >= 2]
    assert len(rows) > 15
    for row in rows:
        pages = [name for cell in row[:-1] for name in LINK.findall(cell)]
        each = row[-1].split(";") if len(row[-1].split(";")) == len(pages) else [row[-1]] * len(pages)
        for page, words in zip(pages, each, strict=True):
            asked = {kind for kind in KINDS if re.search(rf"\b{kind}\b", words, flags=re.IGNORECASE)}
            assert asked <= set(kinds_of_exercises(page)), f"{row[-1]!r}: {page} has {kinds_of_exercises(page)}"


@EVERY
def test_links_to_other_pages_lead_to_pages_of_the_book(page):
    text = source(page)
    targets = LINK.findall(text)
    targets += re.findall(r"\{doc\}`(?:[^`<]*<)?([\w./-]+?)>?`", text)
    assert {Path(target).name for target in targets} <= pages_in_toc(), page


if __name__ == "__main__":
    for page in PAGES:
        for k, number, text in typed_numbers(page):
            print(f"{page}.md:{k}: [{number}] {text.strip()[:230]}")
