"""Folds: what stands between two gates, cells included, is hidden until a reader opens it."""

from __future__ import annotations

import sys

import pytest
from bs4 import BeautifulSoup
from places import BOOK

CONF = """
extensions = ["myst_nb", "fold"]
source_suffix = {".md": "myst-nb"}  # Sphinx keeps what an earlier application of the same process added
nb_execution_mode = "off"
highlight_language = "python"
suppress_warnings = ["myst-nb.lexer"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
"""
HEADER = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n# A page\n\n"


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Build one page; returns its text as a tree, and the warnings."""
    testing = pytest.importorskip("sphinx.testing.util")
    monkeypatch.syspath_prepend(str(BOOK / "_ext"))

    def run(text):
        (tmp_path / "conf.py").write_text(CONF, encoding="utf-8")
        (tmp_path / "index.md").write_text(HEADER + text, encoding="utf-8")
        app = testing.SphinxTestApp("html", srcdir=tmp_path)
        try:
            app.build(force_all=True)
            warnings = app.warning.getvalue()
            page = (tmp_path / "_build" / "html" / "index.html").read_text(encoding="utf-8")
        finally:
            app.cleanup()
            sys.modules.pop("fold", None)
        return BeautifulSoup(page, "lxml"), warnings

    return run


def test_cells_formulas_and_folds_are_folded(build):
    page, warnings = build("""\
Before.

:::{fold-start} Why $\\rho$ and `code`?
:name: why
:::
Inside.

```{code-cell} ipython3
1 + 1
```

```{fold-start} Even deeper
```
Deep.
```{fold-end}
```
Again.
```{fold-end}
```

After, [the fold](#why).
""")
    assert warnings == ""
    outer, inner = page.select("details.fold")
    assert outer.summary.select_one(".math") and outer.summary.code.text == "code"
    assert outer["id"] == "why"
    assert "1 + 1" in outer.select_one("div.cell").text
    assert inner in outer.descendants and "Deep." in inner.text
    assert "Again." in outer.text and "Before." not in outer.text and "After" not in outer.text


@pytest.mark.parametrize(
    ("text", "line", "missing"),
    [
        ("```{fold-start} Open\n```\n\nText.\n", 8, "fold-end"),
        ("Text.\n\n```{fold-end}\n```\n", 10, "fold-start"),
        ("```{fold-start} Open\n```\n\n## A heading\n\n```{fold-end}\n```\n", 8, "fold-end"),
    ],
)
def test_a_gate_without_its_other_half_is_a_warning_with_its_place(build, text, line, missing):
    page, warnings = build(text)
    assert f"index.md:{line}: WARNING: no {{{missing}}} for this marker" in warnings
    assert not page.select("details.fold")
