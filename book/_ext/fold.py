"""Fold a stretch of a page, cells included: `{fold-start} Title` ... `{fold-end}`, closed until the reader opens it.

The markers are gates, not fences, because MyST-NB runs no cell inside a directive. What stands between two of them
moves into `<details>`. Folds may hold folds, boxes, figures and exercises, but no heading: a heading opens a section
that the fold would cut in two. A marker without its other half is a warning with file and line.
"""

import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)
GATE = re.compile(r"^ *(?:`{3,}|:{3,}) *\{fold-(?:start|end)\}", re.MULTILINE)


class Start(nodes.General, nodes.Element):
    """Where a fold starts; its only child is the title."""


class End(nodes.General, nodes.Element):
    """Where the fold ends that was opened last."""


class Fold(nodes.General, nodes.Element):
    """A title and what it hides."""


class FoldTitle(nodes.Part, nodes.TextElement):
    """The line that a reader opens."""


class FoldStart(SphinxDirective):
    """`{fold-start} Title`, whose title is text like any other: formulas, code, glued numbers."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"name": directives.unchanged, "class": directives.class_option}  # noqa: RUF012

    def run(self):
        start, title = Start(classes=self.options.get("class", [])), FoldTitle()
        parsed, problems = self.state.inline_text(self.arguments[0], self.lineno)
        title.extend(parsed)
        start += title
        self.set_source_info(start)
        self.set_source_info(title)
        self.add_name(start)
        return [start, *problems]


class FoldEnd(SphinxDirective):
    def run(self):
        end = End()
        self.set_source_info(end)
        return [end]


def place(markers, path):
    """Give the markers their lines in the file: MyST-NB counts lines of a notebook from the stripped cell."""
    text = Path(path).read_text(encoding="utf-8")
    gates = [text.count("\n", 0, gate.start()) + 1 for gate in GATE.finditer(text)]
    if len(gates) == len(markers):
        for marker, line in zip(markers, gates, strict=True):
            marker.line = line


def pairs(markers):
    """Markers that belong together, inner pairs first, and those that are left over."""
    found, waiting, lonely = [], [], []
    for marker in markers:
        if isinstance(marker, Start):
            waiting.append(marker)
        elif waiting and waiting[-1].parent is marker.parent:
            found.append((waiting.pop(), marker))
        else:
            lonely.append(marker)
    return found, [*waiting, *lonely]


class Folding(SphinxTransform):
    """Runs after sphinx-exercise has moved what stands between its own gates."""

    default_priority = 11

    def apply(self):
        markers = list(self.document.findall(lambda node: isinstance(node, Start | End)))
        if markers:
            place(markers, self.env.doc2path(self.env.docname))
        found, lonely = pairs(markers)
        for marker in lonely:
            missing = "fold-end" if isinstance(marker, Start) else "fold-start"
            log.warning("no {%s} for this marker in its section", missing, location=marker, type="fold")
            marker.parent.remove(marker)
        for start, end in found:
            parent = start.parent
            first, last = parent.index(start), parent.index(end)
            fold = Fold("", *start.children, *parent.children[first + 1 : last], **start.attributes)
            fold.source, fold.line = start.source, start.line
            parent[first : last + 1] = [fold]
            if fold["ids"]:
                self.document.ids[fold["ids"][0]] = fold


def visit_fold(self, node):
    self.body.append(self.starttag(node, "details", CLASS="fold"))


def depart_fold(self, node):
    self.body.append("</div></details>\n")


def visit_title(self, node):
    self.body.append("<summary>")


def depart_title(self, node):
    self.body.append('</summary>\n<div class="fold-content">')


def setup(app):
    app.add_directive("fold-start", FoldStart)
    app.add_directive("fold-end", FoldEnd)
    app.add_node(Fold, html=(visit_fold, depart_fold))
    app.add_node(FoldTitle, html=(visit_title, depart_title))
    app.add_transform(Folding)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
