"""Formulas as MathML, made at build time: no script in the page, no tab stops, and screen readers read them.

Temml (vendor/temml.min.js, version 0.13.5, MIT) runs inside QuickJS (PyPI: quickjs-ng), so the build needs no Node.
A formula that it does not understand is a warning with its place, and fails the build.
"""

import json
from functools import cache
from html import escape
from pathlib import Path

import quickjs
from docutils import nodes
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

log = logging.getLogger(__name__)
TEMML = Path(__file__).with_name("vendor") / "temml.min.js"
CONVERT = """function convert(tex, display) {
  try {
    const html = temml.renderToString(tex, {displayMode: display, throwOnError: true, wrap: "tex", trust: false})
    return JSON.stringify([html, ""])
  } catch (error) { return JSON.stringify(["", error.message]) }
}"""


@cache
def converter():
    """The function that turns TeX into MathML."""
    context = quickjs.Context()
    context.eval(TEMML.read_text(encoding="utf-8"))
    context.eval(CONVERT)
    return context.get("convert")


def mathml(tex, display, node):
    html, problem = json.loads(converter()(tex, display))
    if problem:
        log.warning("formula %r: %s", tex, problem, location=node, type="maths")
        return f"<code>{escape(tex)}</code>"
    return html


def visit_inline(self, node):
    self.body.append(mathml(node.astext(), False, node))
    raise nodes.SkipNode


def visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append('<div class="formula">' + mathml(node.astext(), True, node) + "</div>")
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body.append("</div>")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
