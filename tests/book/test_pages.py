"""The built book, read as its readers do: links, pictures, a browser wide and narrow, light and dark.

The book must be built first (`make book`); the browser tests need a Chromium (or the variable BROWSER_PATH).
"""

from __future__ import annotations

import json

import pytest
import reader
from places import TOP

pytestmark = pytest.mark.pages
PAGES = reader.pages()
CHAPTERS = [name for name in PAGES if name.startswith("book/")]
AXE = """rules => axe.run({include: [["html"]], exclude: [["svg.drawn > *"], ["math > *"]]}, {runOnly: rules})
    .then(r => r.violations)"""  # what is inside of a picture or a formula has no role of its own
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


SETTINGS = [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")]
EVERY_SETTING = ("book/intro.html", "book/one-data-set.html")
VISITS = [  # width and colours hardly interact: all four on two pages, each once on the others
    (name, *setting) for name in CHAPTERS for setting in SETTINGS[: 4 if name in EVERY_SETTING else 2]
]


@pytest.mark.parametrize(("name", "width", "scheme"), VISITS)
def test_a_page_works_in_a_browser(browser, site, axe, name, width, scheme):
    page, wrong = reader.visit(browser, site + name, width, scheme)
    try:
        assert wrong == []
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"the page is {overflow} pixels wider than the screen: {widest(page)}"
        page.evaluate(axe)
        found = page.evaluate(AXE, AXE_RULES)
        grave = [
            f"{v['impact']} {v['id']}: {node['target']} {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
            for v in found
            if v["impact"] in ("moderate", "serious", "critical")
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


KINDS = ["book/intro.html", "book/one-data-set.html", "book/glossary.html", "book/how-built.html", "search.html"]
KINDS += [name for name in CHAPTERS if "api" in name][:2]


@pytest.mark.parametrize("name", KINDS)
def test_a_page_fits_every_screen(browser, site, name):
    page, _ = reader.visit(browser, site + name)
    for width in (320, 358, 480, 600, 768, 991, 992, 1199, 1200, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"at {width} pixels the page is {overflow} too wide: {widest(page)}"
    page.context.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_is_light(browser, site, name):
    page, _ = reader.visit(browser, site + name)
    sizes = reader.weight(page)
    page.context.close()
    assert sum(sizes.values()) < 250_000, sizes
    assert sum(file.endswith(".css") for file in sizes) - sum("explor" in file or "live" in file for file in sizes) <= 1


@pytest.mark.parametrize("slow", [False, True], ids=["quick line", "slow line"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", KINDS)
def test_nothing_moves_while_a_page_loads(browser, site, name, width, slow):
    page, _ = reader.visit(browser, site + name, width, slow=slow)
    shift = page.evaluate(
        """() => new Promise(done => {
            let sum = 0
            new PerformanceObserver(list => list.getEntries().forEach(e => { if (!e.hadRecentInput) sum += e.value }))
                .observe({type: "layout-shift", buffered: true})
            setTimeout(() => done(sum), 300)
        })"""
    )
    page.context.close()
    assert shift < 0.02


@pytest.mark.parametrize("name", KINDS[:2])
def test_a_page_can_be_read_without_its_script(browser, site, name):
    page, _ = reader.visit(browser, site + name, 390, java_script_enabled=False)
    assert page.locator("article h1").is_visible()
    assert page.locator(".bd-links a").first.is_visible(), "no way to the other pages"
    page.context.close()


def test_folds_menus_and_modes_answer(browser, site):
    page, wrong = reader.visit(browser, site + "book/one-data-set.html", 390, has_touch=True)
    page.locator("article details summary").first.click()
    assert page.locator("article details[open]").count() == 1
    page.locator(".primary-toggle").first.click()
    assert page.locator("#pst-primary-sidebar-modal a.current").first.is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.locator("#pst-search-dialog input").is_visible()
    page.keyboard.press("Escape")
    page.locator(".theme-switch-button:visible").first.click()
    page.locator(".theme-switch-button:visible").first.click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.locator(".copy-cell").first.evaluate("e => getComputedStyle(e).opacity") == "1"
    page.locator(".sd-tab-label", has_text="lme4").first.click()
    page.goto(site + "book/random-slopes.html")
    assert page.locator(".sd-tab-set input:checked + label", has_text="lme4").count() >= 1
    assert wrong == []
    page.context.close()


def test_the_first_page_on_a_phone_waits_for_no_font_and_the_next_one_has_them(browser, site):
    page, wrong = reader.visit(browser, site + "book/the-equation.html", 390)
    face = "getComputedStyle(document.querySelector('h1')).fontFamily"
    assert page.evaluate(face).startswith('"Serif stand-in"')
    page.wait_for_function("localStorage.fonts === 'here'")
    drawn = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    files = "performance.getEntriesByType('resource').filter(e => e.name.endsWith('.woff2')).map(e => e.startTime)"
    assert min(page.evaluate(files)) >= drawn
    page.goto(site + "book/shrinkage.html")
    assert page.evaluate(face).startswith('"Source Serif 4"')
    assert wrong == []
    page.context.close()


def test_the_book_opens_from_a_folder_without_a_server(browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(f"{request.failure}: {request.url}"))
    for name in ("book/intro.html", "book/one-data-set.html"):
        page.goto((reader.HTML / name).as_uri())
        page.evaluate("document.fonts.ready.then(() => true)")
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).fontFamily").startswith('"Source Serif 4"')
    assert [error for error in errors if "ERR_ABORTED" not in error] == []  # by the browser, which goes on to the next
    context.close()


def test_formulas_are_part_of_the_page_and_the_font_has_their_signs():
    held = (TOP / "book" / "_static" / "fonts" / "stix-two-math-signs.txt").read_text(encoding="utf-8")
    found = {}
    for name in CHAPTERS:
        text = reader.article(name)
        assert "\\(" not in text.get_text()
        for formula in text.select("math"):
            for part in formula.find_all(["mi", "mo", "mn"]):
                found |= {sign: name for sign in part.get_text()}
    assert found
    missing = {sign: name for sign, name in found.items() if sign not in held and not sign.isspace()}
    assert not missing, f"python book/make_fonts.py brings {missing}"
