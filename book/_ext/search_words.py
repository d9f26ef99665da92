"""Index entries from `book/search_words.yml`: the words that readers type lead to the page that answers them.

Sphinx's search ranks main entries of the index above words of the text, and the index lists them.
"""

from pathlib import Path

import yaml
from sphinx import addnodes


def words(app):
    return yaml.safe_load((Path(app.srcdir) / "book" / "search_words.yml").read_text(encoding="utf-8"))


def add_entries(app, doctree):
    docname = app.env.docname
    folder, _, page = docname.partition("/")
    if folder == "book":
        entries = [("single", word, "", "main", None) for word in words(app).get(page, [])]
        doctree.append(addnodes.index(entries=entries))  # for the search
        app.env.domaindata["index"]["entries"].setdefault(docname, []).extend(entries)  # for the page of the index
        app.env.note_dependency("book/search_words.yml")


def remember(app):
    """Sphinx forgets index entries of pages that a build does not write: say them again before the index is written."""
    found, indexer = words(app), getattr(app.builder, "indexer", None)
    for docname in app.env.found_docs if indexer else ():
        known = indexer._index_entries.setdefault(docname, [])
        entries = [(word, "", "main") for word in found.get(docname.removeprefix("book/"), [])]
        known += [entry for entry in entries if entry not in known]
    return []


def setup(app):
    app.connect("doctree-read", add_entries)
    app.connect("html-collect-pages", remember)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
