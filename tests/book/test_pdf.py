"""The book as one PDF: links lead inside it, bookmarks read as their headings."""

from __future__ import annotations

import importlib.util
import re

import pytest
from places import BOOK


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_pdf", BOOK / "make_pdf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_between_pages_become_links_inside_the_pdf(maker):
    pages, site = {"book/shrinkage", "book/api"}, "https://example.org/lmmsim/"
    assert maker.place("shrinkage.html#u", "book/api", pages, site) == "#shrinkage--u"
    assert maker.place("#top", "book/api", pages, site) == "#api--top"
    assert maker.place("https://doi.org/1", "book/api", pages, site) == "https://doi.org/1"
    assert maker.place("data/hsb82.csv", "book/api", pages, site) == "https://example.org/lmmsim/book/data/hsb82.csv"


PDF = b"""%PDF-1.4
1 0 obj
<</Title (The whole)
/Creator (x)>>
endobj
2 0 obj
<</Title (FirstFirst)
/Parent 9 0 R
/Next 3 0 R>>
endobj
3 0 obj
<</Title (two lineshere \\(really\\))
/Parent 9 0 R
/Prev 2 0 R>>
endobj
trailer
<</Size 10
/Root 5 0 R>>
startxref
123
%%EOF
"""


def test_bookmarks_get_the_words_of_their_headings(maker):
    new = maker.with_whole_titles(PDF, ["First", "two lines here: ε"])
    assert new.startswith(PDF)
    for number, heading in ((2, "First"), (3, "two lines here: ε")):
        place = int(re.search(rb"xref\n(?:\d+ 1\n.*\n)*?%d 1\n(\d{10})" % number, new[len(PDF) :])[1])
        written = re.match(rb"%d 0 obj\n<</Title <([0-9a-f]+)>\n/Parent" % number, new[place:])
        assert bytes.fromhex(written[1].decode()).decode("utf-16") == heading
    assert b"/Prev 123>>" in new
    assert int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", new)[1]) == new.index(b"xref\n2 1")


def test_bookmarks_that_cannot_be_told_apart_stay_as_they_are(maker):
    assert maker.with_whole_titles(PDF, ["only one"]) == PDF
