"""Titles in two voices: the topic, then the question. The sidebar names topics; the page asks its question."""

import re

from docutils import nodes

LINK = re.compile(r'(<a class="(?:current )?reference internal" href="[^"]*">)([^<:]+): ([^<]+)(</a>)')


def split_heading(app, doctree, docname):
    if app.builder.format != "html":
        return
    title = next(doctree.findall(nodes.title), None)
    if title is not None and ": " in title.astext() and isinstance(title[0], nodes.Text):
        first, _, rest = title[0].astext().partition(": ")
        if rest:
            topic = nodes.inline("", first, nodes.inline("", ": ", classes=["aside"]), classes=["topic"])
            title[0:1] = [topic, nodes.Text(rest[0].upper() + rest[1:])]


def split_links(html):
    return LINK.sub(r'\1<span class="topic">\2</span><span class="question">\3</span>\4', html)


def sidebar(app, pagename, templatename, context, doctree):
    context["root_title"] = "Start here"
    make = context.get("generate_toctree_html")
    if make:

        def both(kind, *args, **kwargs):
            html = make(kind, *args, **kwargs)
            return split_links(str(html)) if kind != "raw" else html

        context["generate_toctree_html"] = both


def setup(app):
    app.connect("doctree-resolved", split_heading)
    app.connect("html-page-context", sidebar, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
