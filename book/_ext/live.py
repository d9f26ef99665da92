"""What "Run this page" needs of the build: numbered cells, sentences that know their numbers, the cells' sources.

A glued number carries its key and its format, a cell its place in the notebook; `_static/live/pages/` gets the sources
of each page's cells, hidden ones too. The offer itself stands only on pages of a site that has the files which
`make live` collects (book/_static/py); without them a page carries no trace of it.
"""

import gzip
import json
import re
import shutil
from functools import cache
from pathlib import Path

import nbformat
from docutils import nodes
from myst_nb.ext.glue.domain import NbGlueDomain
from myst_nb.ext.glue.roles import PasteTextRole
from notebooks import written
from site_files import WHEEL

BOOK = Path(__file__).resolve().parents[1]
COLLECTED = BOOK / "_static" / "py"
HIDDEN = {"remove-cell", "remove_cell", "remove-input", "remove_input"}
LINKS = '<link rel="stylesheet" href="../_static/live/live.css"><script defer src="../_static/live/live.js"></script>\n'
OFFER = re.compile(r'\n<div class="live-offer".*?</div>|' + re.escape(LINKS))
SEEN = re.compile(r'<div class="cell[^"]*" id="cell-\d+"')


class Glued(nodes.inline):
    """A glued number with its key and format."""


class Paste(PasteTextRole):
    """`{glue:text}`, which says in the page what it wrote."""

    def run(self):
        key, _, spec = self.text.partition(":") if "::" not in self.text else ("", "", "")
        found, problems = super().run()
        if key and len(found) == 1 and isinstance(found[0], nodes.inline):
            old = found[0]
            found = [Glued(old.rawsource, "", *old.children, key=key, spec=spec or "s", **old.attributes)]
        return found, problems


def visit_glued(self, node):
    self.body.append(self.starttag(node, "span", "", **{"data-glue": node["key"], "data-format": node["spec"]}))


def depart_glued(self, node):
    self.body.append("</span>")


def number_cells(app, doctree, docname):
    if app.builder.format == "html":
        for cell in doctree.findall(nodes.container):
            if cell.get("nb_element") == "cell_code":
                cell["ids"].append(f"cell-{cell['cell_index']}")


def ship_sources(app, pagename, templatename, context, doctree):
    """Write the sources of a page's cells, and what else the page needs to run them."""
    if (
        doctree is None
        or "kernelspec" not in app.env.metadata.get(pagename, {})
        or not written(app, pagename).is_file()
    ):
        return
    notebook = nbformat.read(written(app, pagename), as_version=4)
    cells = [
        {
            "at": at,
            "source": cell.source,
            "hidden": bool(HIDDEN & set(cell.metadata.get("tags", []))),
            "fails": "raises-exception" in cell.metadata.get("tags", []),
        }
        for at, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    ]
    target = Path(app.outdir) / "_static" / "live" / "pages" / f"{Path(pagename).name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"cells": cells, "wheel": f"_static/{WHEEL}"}), encoding="utf-8")


@cache
def megabytes():
    """What a reader loads, compressed as a server sends it, without packages that few pages need."""
    total = 0
    for path in COLLECTED.iterdir():
        if not path.name.startswith(("statsmodels", "patsy", "seaborn")):
            content = path.read_bytes()
            total += len(content) if path.suffix in (".whl", ".zip") else len(gzip.compress(content, 6))
    return round(total / 2**20)


def offer(name):
    return (
        f'\n<div class="live-offer" data-live="{name}.json"><button type="button">Run this page</button> '
        "<span>Change any number in it and see what follows. Python starts in your browser "
        f"({megabytes()} MB, once); nothing you do leaves it.</span></div>"
    )


def finish(app, exception):
    """Put the offer under the title of every page with cells, or take it away when the files are not there."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    there = (COLLECTED / "pyodide-lock.json").is_file()
    if there:
        shutil.copy(BOOK / "matplotlibrc", out / "_static" / "live")
        shutil.copy(BOOK / "_ext" / "vendor" / "temml.min.js", out / "_static" / "live")
    else:
        shutil.rmtree(out / "_static" / "py", ignore_errors=True)
    for page in (out / "book").glob("*.html"):
        old = page.read_text(encoding="utf-8")
        text = OFFER.sub("", old)
        if there and SEEN.search(text) and (out / "_static" / "live" / "pages" / f"{page.stem}.json").is_file():
            head, end, body = text.partition("</head>")
            menus, article, body = body.partition('<article class="bd-article')
            body = body.replace("</h1>", "</h1>" + offer(page.stem), 1)
            text = head + LINKS + end + menus + article + body
        if text != old:
            page.write_text(text, encoding="utf-8")


def setup(app):
    NbGlueDomain.roles["text"] = Paste()  # in the place of MyST-NB's
    app.add_node(Glued, html=(visit_glued, depart_glued))
    app.connect("doctree-resolved", number_cells)
    app.connect("html-page-context", ship_sources)
    app.connect("build-finished", finish, priority=991)  # after trim and explorable
    return {"parallel_read_safe": True, "parallel_write_safe": True}
