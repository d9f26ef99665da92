"""Explorables: small simulations that a reader drives, with a picture for those whose page runs no script.

    ```{explorable} effective-n
    :alt: What the picture shows, for those who cannot see it.
    :howto: Move a slider; the draws stay, only the numbers of the world change.
    The caption, which states the finding.
    ```

`numbers_of_explorables.py` in book/explorables makes the draws and grids with lmmsim; they stand in the page as JSON.
The scripts (book/_static/explorables) run at build time too, in QuickJS, and write the controls and the static twin.
Pages without an explorable load nothing; the tags are added last, relative to the page, so that file:// works.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

BOOK = Path(__file__).resolve().parents[1]
ASSETS = BOOK / "_static" / "explorables"
SITE_SHEET = "_static/site.css"  # of the finished book, which has the style of explorables in it
TWIN_WIDTH = 420  # CSS pixels: its text is legible on a phone and not too large on paper


class explorable(nodes.General, nodes.Element):
    """A figure whose markup is HTML; other builders see its caption only."""


@cache
def numbers(name: str) -> str:
    """What an explorable is given, as JSON: draws and grids that lmmsim made."""
    folder = str(BOOK / "explorables")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    make = getattr(import_module("numbers_of_explorables"), name.replace("-", "_"), None)
    return json.dumps(make() if make else {}, separators=(",", ":"))


@cache
def written(name: str, label: str) -> dict[str, str]:
    """The controls (`shell`), the static picture (`twin`) and the heights of the live one, from its own script."""
    import quickjs

    context = quickjs.Context()
    for script in ("lmm", name):
        context.eval((ASSETS / f"{script}.js").read_text(encoding="utf-8"))
    context.eval(f"const data = {numbers(name)};")

    def said(call: str) -> Any:
        """What a call returns; as JSON, because a text that was put together piece by piece does not leave QuickJS."""
        return json.loads(context.eval(f"JSON.stringify({call})"))

    tall, short = said(f"lmm.heights({json.dumps(name)})")
    return {
        "shell": said(f"lmm.shell({json.dumps(name)}, data)"),
        "twin": said(f"lmm.twin({json.dumps(name)}, data, {TWIN_WIDTH}, {json.dumps(escape(label))})"),
        "style": f"--tall:{tall}px;--short:{short}px",
    }


def opening(name: str, label: str, howto: str) -> str:
    """The figure up to its caption."""
    parts = written(name, label)
    data = numbers(name).replace("</", "<\\/")
    return (
        f'<figure class="explorable" id="explorable-{name}" data-explorable="{name}" style="{parts["style"]}">\n'
        f'<p class="howto">{escape(howto)}</p>\n<div class="live">{parts["shell"]}</div>\n'
        f'<div class="twin">{parts["twin"]}</div>\n'
        f'<script type="application/json">{data}</script>\n<figcaption><div class="caption-text">'
    )


LOAD = """<script>addEventListener("load",()=>{
const near=new IntersectionObserver(seen=>{if(!seen.some(x=>x.isIntersecting))return;near.disconnect();
for(let src of [FILES]){let s=document.createElement("script");s.async=false;s.src=src;
s.onerror=()=>document.documentElement.classList.add("no-explorables");document.head.append(s)}},
{rootMargin:"1500px 0px"});document.querySelectorAll("[data-explorable]").forEach(e=>near.observe(e))})</script>
"""


def tags(names: list[str], up: str) -> str:
    """What loads the scripts of a page with these explorables when a reader comes near; `up` leads to the top."""
    return LOAD.replace("FILES", ",".join(f'"{up}_static/explorables/{name}.js"' for name in ("lmm", *names)))


class Explorable(SphinxDirective):
    """`{explorable} name`, with `:alt:`, `:howto:` and the caption as its content."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"alt": directives.unchanged_required, "howto": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        for path in (ASSETS / f"{name}.js", ASSETS / "lmm.js", BOOK / "explorables" / "numbers_of_explorables.py"):
            if not path.is_file():
                raise self.error(f"no explorable is called {name!r}: {path.name} is missing")
            self.env.note_dependency(str(path))
        if missing := [option for option in self.option_spec if option not in self.options]:
            raise self.error(f"explorable {name!r} lacks :{missing[0]}:")
        node = explorable(name=name, **self.options)
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


def visit(self, node: explorable) -> None:
    self.body.append(opening(node["name"], node["alt"], node["howto"]))


def depart(self, node: explorable) -> None:
    self.body.append("</div></figcaption>\n</figure>\n")


def skip(self, node: explorable) -> None:
    """Other builders show the caption."""


def finish_pages(top: Path) -> None:
    """Write what loads them into the finished pages of a site that have an explorable and do not load it yet."""
    for page in top.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if 'data-explorable="' not in text or "_static/explorables/lmm.js" in text:
            continue
        names = list(dict.fromkeys(part.split('"', 1)[0] for part in text.split('data-explorable="')[1:]))
        head, end, body = text.partition("</head>")
        up = "../" * (len(page.relative_to(top).parts) - 1)
        sheet = (
            "" if SITE_SHEET in head else f'<link rel="stylesheet" href="{up}_static/explorables/explorables.css">\n'
        )
        page.write_text(head + sheet + tags(names, up) + end + body, encoding="utf-8")


def finish(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        finish_pages(Path(app.outdir))


def setup(app):
    others = {builder: (skip, skip) for builder in ("latex", "text", "man", "texinfo")}
    app.add_node(explorable, html=(visit, depart), **others)
    app.add_directive("explorable", Explorable)
    app.connect("build-finished", finish, priority=990)  # after whatever trims scripts and style sheets
    return {"parallel_read_safe": True, "parallel_write_safe": True}
