"""The built book, read as its readers do: links, pictures, a browser wide and narrow, light and dark.

The book must be built first (`make book`); the browser tests need a Chromium (or the variable BROWSER_PATH).
"""

from __future__ import annotations

import json
import os
import time
from importlib.resources import files

import pytest
import reader

pytestmark = pytest.mark.pages
PAGES = reader.pages()
CHAPTERS = [name for name in PAGES if name.startswith("book/")]
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]

if not PAGES:
    pytestmark = [pytest.mark.pages, pytest.mark.skip(reason="the book is not built: make book")]
    PAGES = CHAPTERS = EXECUTED = ["book/intro.html"]
else:
    EXECUTED = [name for name in CHAPTERS if reader.article(name).select_one("div.cell")]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    assert reader.broken_links(name) == []


@pytest.mark.parametrize("name", PAGES)
def test_no_page_asks_another_host_for_anything(name):
    assert reader.foreign_requests(name) == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_figure_has_a_caption_and_another_text_for_those_who_cannot_see_it(name):
    for source, alt, caption in reader.figures(name):
        assert alt, f"{source} has no alt text"
        assert caption, f"{source} ({alt}) has no caption"
        assert alt != caption, f"{source}: the alt text repeats the caption: {alt}"
        assert len(alt) >= 20, f"{source}: '{alt}' does not describe a picture"


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_representation_of_an_object_is_left_on_a_page(name):
    text = reader.article(name).get_text(" ")
    for sign in ("<matplotlib.", "<Axes:", "<Figure size", "np.float64(", "np.int64(", "<seaborn.", "Text(0", "{glue"):
        assert sign not in text, f"{sign} on {name}"


@pytest.mark.parametrize("name", EXECUTED)
def test_executed_chapters_can_be_downloaded_as_notebooks(name):
    links = [str(a["href"]) for a in reader.tree(name).select("a[href$='.ipynb']")]
    assert links
    notebook = json.loads(((reader.HTML / name).parent / links[0]).read_text(encoding="utf-8"))
    assert any(cell.get("outputs") for cell in notebook["cells"])


@pytest.fixture(scope="module")
def browser():
    path = reader.browser_path()
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no Chromium on this machine, and REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=reader.FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site():
    with reader.served() as address:
        yield address


@pytest.fixture(scope="module")
def axe():
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def visit(browser, address, width=1280, scheme="light"):
    """Open a page; returns it with what went wrong on the way: errors, failed and foreign requests."""
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    wrong = []
    home = "/".join(address.split("/")[:3])

    def route(request):
        if request.request.url.startswith((home, "data:", "blob:")):
            request.continue_()
        else:
            wrong.append(f"asks {request.request.url}")
            request.abort()

    page.route("**/*", route)
    page.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("response", lambda reply: wrong.append(f"{reply.status} {reply.url}") if reply.status >= 400 else None)
    page.goto(address)
    page.wait_for_load_state("load")
    if page.locator(".math").count():
        page.wait_for_selector("mjx-container", state="attached", timeout=20_000)
        page.wait_for_function("() => MathJax.startup.promise.then(() => true)")
    time.sleep(0.3)
    return page, wrong


SETTINGS = [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")]
EVERY_SETTING = ("book/intro.html", "book/one-data-set.html")
VISITS = [  # width and colours hardly interact: all four on two pages, each once on the others
    (name, *setting) for name in CHAPTERS for setting in SETTINGS[: 4 if name in EVERY_SETTING else 2]
]


@pytest.mark.parametrize(("name", "width", "scheme"), VISITS)
def test_a_page_works_in_a_browser(browser, site, axe, name, width, scheme):
    page, wrong = visit(browser, site + name, width, scheme)
    try:
        assert wrong == []
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"the page is {overflow} pixels wider than the screen: {widest(page)}"
        page.evaluate(axe)
        found = page.evaluate("rules => axe.run(document, {runOnly: rules}).then(r => r.violations)", AXE_RULES)
        grave = [
            f"{v['impact']} {v['id']}: {node['target']} {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
            for v in found
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"][:4]
        ]
        assert not grave, "\n".join(grave)
    finally:
        page.context.close()


def widest(page):
    """The elements that stick out at the right."""
    script = """() => [...document.querySelectorAll('article *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    return page.evaluate(script)


def test_the_book_opens_from_a_folder_without_a_server(browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
    name = next((n for n in CHAPTERS if reader.article(n).select_one(".math")), CHAPTERS[0])
    page.goto((reader.HTML / name).as_uri())
    if reader.article(name).select_one(".math"):
        page.wait_for_selector("mjx-container", state="attached", timeout=20_000)
    assert errors == []
    context.close()


def test_the_search_finds_a_word(browser, site):
    page, wrong = visit(browser, site + "search.html?q=mixed")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert wrong == []
    page.context.close()
