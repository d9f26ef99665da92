"""Pages that run in the reader's browser: every cell of every page, the book's digits, sentences that follow an edit.

They need the built book, a Chromium, and the files that `make live` collects; without these they say so and are
skipped. A few pages are run with every build of the book, all of them by `make live-test`.
"""

from __future__ import annotations

import json
import re
import time

import pytest
import reader
from places import BOOK

pytestmark = [pytest.mark.live, pytest.mark.pages]
COLLECTED = reader.HTML / "_static" / "py" / "pyodide-lock.json"
if not COLLECTED.is_file():
    pytestmark.append(pytest.mark.skip(reason="Python for the page was not collected: make live, then make book"))
SHIPPED = sorted((reader.HTML / "_static" / "live" / "pages").glob("*.json"))
PAGES = [
    path.stem
    for path in SHIPPED
    if f'data-live="{path.name}"' in (reader.HTML / "book" / f"{path.stem}.html").read_text(encoding="utf-8")
]
TIMES = {"what-it-costs", "how-built"}  # pages that print how long something took, or what is installed where they run
MINUTES = 15
# short ones, one with statsmodels, and one that writes files
EVERY_BUILD = {"the-equation", "ols-or-lmm", "case-nested-crossed", "for-teachers"}
FEW = 4  # numbers of a page's tables that another version of scipy may end at; in sentences none
STATE = """livePage.cells.map(cell => ({
    label: cell.label, hidden: cell.hidden, fails: cell.fails, source: cell.source,
    error: cell.result?.error, notes: cell.result?.shown.filter(part => part.kind === "note"),
    text: cell.hidden ? "" : (cell.place?.innerText || "").trim(),
    svg: cell.hidden ? 0 : cell.place?.querySelectorAll("svg.drawn").length || 0}))"""
BEFORE = """livePage.seen.map(cell =>
    [(cell.place?.innerText || "").trim(), cell.place?.querySelectorAll("svg.drawn").length || 0])"""
READY = """document.documentElement.classList.contains("live") ||
    document.querySelector(".live-status")?.textContent.includes("could not")"""
AXE = """rules => axe.run({exclude: [["svg.drawn > *"], ["math > *"]]}, {runOnly: rules}).then(r => r.violations)"""
FRAMES = """[...document.querySelectorAll(".live-frame")].filter(e => e.offsetParent).map(e =>
    [e.children[0], e.children[1]].map(c => {
        const s = getComputedStyle(c), r = c.getBoundingClientRect()
        return [s.fontFamily, s.fontSize, s.lineHeight, s.paddingTop, s.paddingLeft, s.whiteSpace,
            Math.round(r.left), Math.round(r.width), Math.round(r.height)]
    }))"""


def opened(browser, site, name, width=1280, scheme="light"):
    """A page that is ready to run, and what went wrong on the way."""
    page, wrong = reader.visit(browser, f"{site}book/{name}.html", width, scheme)
    page.set_default_timeout(120_000)
    page.locator(".live-offer button").click()
    page.wait_for_function(READY)
    return page, wrong


def plain(text):
    """Text of an output without its caption's link and the axes of figures."""
    return re.sub(r"\s+", " ", text.replace("#", "")).strip()


def differences(book, live, label):
    """Numbers of a table that differ; the words may not. A search that ends at a flat place may end elsewhere."""
    number = r"[-−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?"
    assert re.sub(number, "0", book) == re.sub(number, "0", live), label
    pairs = zip(re.findall(number, book), re.findall(number, live), strict=True)
    return [(label, old, new) for old, new in pairs if old != new]


@pytest.mark.parametrize(
    "name", [name if name in EVERY_BUILD else pytest.param(name, marks=pytest.mark.slow) for name in PAGES]
)
def test_every_cell_of_a_page_runs_and_finds_the_books_numbers(browser, site, name):
    page, wrong = opened(browser, site, name)
    page.set_default_timeout(MINUTES * 60_000)
    before = page.evaluate(BEFORE)
    start = time.perf_counter()
    page.locator(".live-offer button").click()
    page.wait_for_function("livePage.busy === true")
    page.wait_for_function("livePage.busy === false")
    took = time.perf_counter() - start
    cells = page.evaluate(STATE)
    spans = page.evaluate("livePage.spans.map(span => [span.dataset.glue, span.dataset.book, span.textContent])")
    ready = page.evaluate("livePage.seconds")
    page.context.close()
    skipped = [cell for cell in cells if cell["error"] and cell["error"]["missing"]]
    failed = [cell for cell in cells if cell["error"] and not cell["error"]["missing"] and not cell["fails"]]
    lacks = " ".join(sorted({cell["error"]["missing"] for cell in skipped}))
    print(f"\n{name}: ready in {ready:.1f} s, {len(cells)} cells in {took:.0f} s, ", end="")
    print(f"{len(failed)} failed, {len(skipped)} skipped {lacks}")
    if name not in TIMES:
        missing = {cell["error"]["missing"].split(".")[0] for cell in skipped}
        assert missing <= {"bambi", "pymer4"}, missing
        assert not failed, [(cell["label"], cell["error"]["text"], cell["source"][:200]) for cell in failed]
        assert [s for s in spans if s[1] != s[2]] == [], "numbers in sentences differ from the book's"
        assert [cell["notes"] for cell in cells if cell["notes"] and not cell["hidden"]] == []
        seen = [cell for cell in cells if cell["label"]]
        other = []
        for (text, figures), cell in zip(before, seen, strict=True):
            assert cell["svg"] == figures, cell["label"]
            if not cell["error"] and not figures:  # matplotlib of another version may set ticks otherwise
                other += differences(plain(text), plain(cell["text"]), cell["label"])
        print("numbers of tables that differ:", other or "none")
        assert len(other) <= FEW, other
    assert wrong == []


@pytest.fixture(scope="module")
def ready(browser, site):
    """The page about grouped data, ready to run."""
    page, wrong = opened(browser, site, "why-groups-matter")
    page.evaluate("document.querySelectorAll('article details').forEach(fold => { fold.open = true })")
    yield page, wrong
    page.context.close()


def settle(page):
    page.wait_for_function("livePage.busy === false")
    return page.locator(".live-status").text_content()


def field(page, text):
    """The number of the first cell whose code has this text, and its text field."""
    at = page.evaluate("text => livePage.seen.findIndex(cell => cell.source.includes(text))", text)
    assert at >= 0, f"no cell has {text}"
    return at, page.locator(".cell[id]:has(.live-code)").nth(at)


def test_python_starts_from_the_sites_own_files(ready):
    page, wrong = ready
    assert page.locator(".live-status").text_content().startswith("Python is ready")
    assert wrong == []
    print(f"\nready in {page.evaluate('livePage.seconds'):.1f} s")


def test_an_edited_cell_changes_its_table_and_the_sentences_follow(ready):
    page, wrong = ready
    _, cell = field(page, '"data/hsb82.csv"')
    code = cell.locator("textarea")
    book = page.locator("[data-glue=pupils]").first.text_content()
    source = code.input_value()
    code.fill(source.replace("pupils[[", "pupils = pupils.iloc[:3000]\npupils[["))
    code.press("Shift+Enter")
    settle(page)
    assert page.locator(".live-stale").count() >= 2, "cells that use the pupils are not marked"
    page.get_by_role("button", name="Run them").click()
    said = settle(page)
    assert "differ from the book" in said, said
    span = page.locator("[data-glue=pupils]").first
    assert span.text_content() == "3,000"
    assert "live-new" in (span.get_attribute("class") or "")
    assert book in (span.get_attribute("title") or "")
    assert page.locator(".live-stale").count() == 0
    cell.get_by_role("button", name="Reset").click()
    page.get_by_role("button", name="Run them").click() if page.get_by_role(
        "button", name="Run them"
    ).is_visible() else None
    settle(page)
    assert span.text_content() == book
    assert code.input_value() == source
    assert wrong == []


def test_the_digits_of_ten_thousand_data_sets_are_those_of_this_python(ready):
    page, _ = ready
    at, _ = field(page, "replicates=10_000, rng=2")
    page.evaluate("at => livePage.run([livePage.seen[at]])", at)
    assert "ran in" in settle(page)
    last = page.locator(".live-code").last
    kept = last.input_value()
    last.fill("print(performance(surveys).to_json(double_precision=15))")
    last.press("Shift+Enter")
    settle(page)
    there = json.loads(page.evaluate("livePage.seen.at(-1).result.shown[0].text"))
    last.fill(kept)
    sources = page.evaluate("livePage.seen.map(cell => cell.source)")
    here: dict = {}
    for source in sources[: at + 1]:
        wanted = any(part in source for part in ("surveys = study", "no_difference = Model", "from lmmsim import"))
        if wanted and "plt." not in source:
            exec(re.sub(r"^(ols|lmm)\b.*$", "", source, flags=re.MULTILINE), here)
    found = json.loads(here["performance"](here["surveys"]).to_json(double_precision=15))
    assert set(found) == set(there)
    for column, values in found.items():
        for row, value in values.items():
            if isinstance(value, float):
                assert there[column][row] == pytest.approx(value, rel=1e-9, abs=1e-12), (column, row)


def test_an_error_names_the_line_and_the_next_run_recovers(ready):
    page, _ = ready
    _, cell = field(page, '"data/hsb82.csv"')
    code = cell.locator("textarea")
    source = code.input_value()
    code.fill(source + "\n1 / 0")
    cell.get_by_role("button", name="Run cell").click()
    assert "did not run" in settle(page)
    assert "ZeroDivisionError" in cell.locator(".live-error pre").text_content()
    assert "of this cell" in cell.locator(".live-error p").first.text_content()
    cell.get_by_role("button", name="Reset").click()
    cell.get_by_role("button", name="Run cell").click()
    assert "ran in" in settle(page)
    assert cell.locator(".live-error").count() == 0


def test_an_endless_cell_can_be_stopped_and_python_starts_again(ready):
    page, _ = ready
    _, cell = field(page, '"data/hsb82.csv"')
    code = cell.locator("textarea")
    source = code.input_value()
    code.fill("while True:\n    pass")
    code.press("Control+Enter")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("livePage.status.textContent.startsWith('Stopped')")
    code.fill(source)
    code.press("Shift+Enter")
    assert "ran in" in settle(page)


def test_new_lines_keep_the_indentation_and_tab_leaves_the_field(ready):
    page, _ = ready
    _, cell = field(page, '"data/hsb82.csv"')
    code = cell.locator("textarea")
    source = code.input_value()
    code.fill("for k in range(3):")
    code.press("Enter")
    code.press_sequentially("k")
    assert code.input_value() == "for k in range(3):\n    k"
    code.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    assert cell.locator("pre .k").all_text_contents() == ["for", "in"]
    code.fill(source)


def test_code_and_field_lie_on_each_other(ready):
    page, _ = ready
    boxes = page.evaluate(FRAMES)
    assert boxes
    for pre, code in boxes:
        assert pre == code


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_a_page_that_runs_is_accessible_and_fits(browser, site, axe, width, scheme):
    page, wrong = opened(browser, site, "why-groups-matter", width, scheme)
    page.locator(".live-code").first.press("Shift+Enter")
    settle(page)
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, overflow
    page.evaluate(axe)
    rules = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate(AXE, rules)
    grave = [
        f"{v['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for v in found
        if v["impact"] in ("moderate", "serious", "critical")
        for node in v["nodes"][:3]
    ]
    assert not grave, "\n".join(grave)
    assert wrong == []
    page.context.close()


SCRIPT = """async ([svgs, tables]) => {
    const out = await import(new URL("../_static/live/output.js", location.href))
    const set = html => {
        const box = document.createElement("div")
        box.innerHTML = html
        box.querySelectorAll("table").forEach(out.setTable)
        return box.innerHTML
    }
    return [await Promise.all(svgs.map(async svg => (await out.drawn(svg, "label")).outerHTML)), tables.map(set)]
}"""


def shape(html):
    """What must agree between the build's figures and tables and the page's own: tags, texts, styles.

    Not the marks: the build writes them shorter (svg_paths.py), because they are loaded with the page.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    parts = []
    for tag in soup.find_all(True):
        if tag.name in ("text", "tspan", "th", "td", "tr", "table", "svg", "image"):
            style = ";".join(
                sorted(part.strip().replace(": ", ":") for part in (tag.get("style") or "").split(";") if part.strip())
            )
            own = tag.get_text().strip() if tag.name in ("text", "th", "td") else ""
            parts.append(
                (
                    tag.name,
                    own,
                    re.sub(r"(\d+\.\d{2})\d+", r"\1", style),
                    " ".join(tag.get("class") or []),
                    tag.get("scope"),
                )
            )
    return parts


def test_figures_and_tables_are_set_as_the_build_sets_them(browser, site):
    import sys

    sys.path.insert(0, str(BOOK / "_ext"))
    from bs4 import BeautifulSoup
    from svg_figures import clean
    from tables import set_table

    folder = reader.HTML.parent / "jupyter_execute"
    svgs = [
        path.read_text(encoding="utf-8")
        for path in sorted(folder.glob("*.svg"), key=lambda p: p.stat().st_size)[-40:-4:3]
    ]
    svgs += [text for path in sorted(folder.glob("*.svg")) if "<image" in (text := path.read_text(encoding="utf-8"))]
    tables = []
    for path in sorted((folder / "book").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                html = "".join(output.get("data", {}).get("text/html", ""))
                if "<table" in html:
                    tables.append(html)
    assert svgs
    assert tables
    page, _ = reader.visit(browser, f"{site}book/glossary.html")
    drawn, made = page.evaluate(SCRIPT, [svgs, tables])
    page.context.close()
    for svg, mine in zip(svgs, drawn, strict=True):
        assert shape(mine) == shape(clean(svg.encode(), "x", "label"))
    for html, mine in zip(tables, made, strict=True):
        soup = BeautifulSoup(html, "html.parser")
        for style in soup.find_all("style"):
            style.decompose()
        for table in soup.find_all("table"):
            set_table(table)
        assert shape(re.sub(r"<style.*?</style>", "", mine, flags=re.DOTALL)) == shape(str(soup))


def test_a_page_loads_nothing_of_python_before_the_click(browser, site):
    page, wrong = reader.visit(browser, f"{site}book/why-groups-matter.html")
    names = set(reader.weight(page))
    page.context.close()
    assert not {name for name in names if "pyodide" in name or name.endswith((".whl", ".wasm", "page.js", "worker.js"))}
    assert wrong == []
