"""Folds without a script: drop-down boxes and hidden code become <details>, and the code of a figure follows it."""

from html import escape

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx_design.dropdown import dropdown_main, dropdown_title


def details(node, summary, classes, *children):
    name = f' id="{escape(node["ids"][0])}"' if node.get("ids") else ""
    start = f'<details{name} class="{escape(" ".join(classes))}"><summary>{escape(summary)}</summary><div>'
    at = node.parent.index(node)  # not replace_self, which would hand the classes down and so make another <div>
    node.parent[at : at + 1] = [
        nodes.raw("", start, format="html"),
        *children,
        nodes.raw("", "</div></details>", format="html"),
    ]


def fold(app, doctree, docname):
    if app.builder.format != "html":
        return
    for box in list(doctree.findall(nodes.Admonition)):
        if "dropdown" in box.get("classes", []):
            title, *rest = box.children
            kept = [c for c in box["classes"] if c != "dropdown" and not c.startswith("admonition-")]
            details(box, "Solution" if "solution" in kept else title.astext(), ["fold", *kept], *rest)
    for box in list(doctree.findall(dropdown_main)):
        title = next(box.findall(dropdown_title), None)
        text = (
            " ".join(t.astext() for t in title.findall(nodes.Text) if not isinstance(t.parent, nodes.raw))
            if title
            else "More"
        )
        details(box, text.strip() or "More", ["hint"], *(c for c in box.children if c is not title))
    for hidden in list(doctree.findall(HideCodeCellNode)):
        cell = hidden.parent
        drawn = any(True for _ in cell.findall(nodes.image)) or any(
            'class="drawn"' in r.astext() for r in cell.findall(nodes.raw)
        )
        table = any("<table" in r.astext() for r in cell.findall(nodes.raw))
        text = "How this figure is drawn" if drawn else "How this table is made" if table else "The code"
        cell.remove(hidden)
        cell.append(hidden)
        details(hidden, text, ["code-fold"], *hidden.children)


def setup(app):
    app.connect("doctree-resolved", fold, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
