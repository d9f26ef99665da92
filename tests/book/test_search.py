"""What a reader types into the search, and the page that must come first."""

from __future__ import annotations

import pytest
import reader

pytestmark = [pytest.mark.pages, pytest.mark.skipif(not reader.pages(), reason="the book is not built: make book")]

QUERIES = {
    "random slope": "random-slopes",
    "singular": "singular-fits",
    "kenward": "few-groups",
    "icc": "why-groups-matter",
    "nested": "nested-and-crossed",
    "reml": "fitting",
    "power": "planning-a-study",
    "missing": "missing-data",
    "ancova": "repeated-measures",
    "lme4 to python": "same-model-elsewhere",
    "satterthwaite": "few-groups",
    "shrinkage": "shrinkage",
    "crossed": "nested-and-crossed",
    "ar1": "repeated-measures",
    "sample size": "planning-a-study",
    "diagnostics": "checking-assumptions",
    "few groups": "few-groups",
    "glossary": "glossary",
    "fixed or random": "fixed-or-random",
    "simpson": "within-and-between",
}


def results(browser, site, query):
    page, wrong = reader.visit(browser, f"{site}search.html?q={query.replace(' ', '+')}")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    page.wait_for_function("Search.status.innerText != ''")
    found = page.eval_on_selector_all("#search-results li a", "links => links.map(a => a.getAttribute('href'))")
    page.context.close()
    assert wrong == []
    return [link.split("#")[0].removeprefix("book/").removesuffix(".html") for link in found]


@pytest.mark.parametrize("query", QUERIES)
def test_the_right_page_comes_first(browser, site, query):
    found = list(dict.fromkeys(results(browser, site, query)))
    assert found[0] == QUERIES[query], found[:5]
