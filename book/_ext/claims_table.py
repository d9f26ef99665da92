"""`{claims-table}`: every checked claim of the book, page by page, from the records that `claim` left (book/claims.py).

MyST-NB keeps what a page glues in a JSON file beside its executed notebook, also for pages whose results come from the
cache. The tables are made when the page is written, and it is written anew at every build that read a page.
"""

import json
from pathlib import Path

from docutils import nodes
from fold import Fold, FoldTitle
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.util.docutils import SphinxDirective

HEADER = ("claim", "computed", "theory", "apart")  # short: the table has to fit a phone


class ClaimsTable(nodes.General, nodes.Element):
    """The place of the tables."""


class Directive(SphinxDirective):
    def run(self):
        self.env.metadata[self.env.docname]["claims-table"] = True
        return [ClaimsTable()]


def records(app):
    """The records of each page, pages in the book's order and claims in the order of the page."""
    found = {}
    data = NbMetadataCollector.get_doc_data(app.env)
    order = [app.config.root_doc, *reading_order(app.env, app.config.root_doc)]
    for docname in sorted(app.env.found_docs, key=lambda name: order.index(name) if name in order else len(order)):
        keys = data.get(docname, {}).get("glue", [])
        path = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.glue.json"
        if keys and path.is_file():
            glued = json.loads(path.read_text(encoding="utf-8"))
            claims = [glued[key]["metadata"]["claim"] for key in keys if "claim" in glued[key]["metadata"]]
            if claims:
                found[docname] = claims
    return found


def reading_order(env, docname):
    """Pages below a page, as the table of contents has them."""
    for below in env.toctree_includes.get(docname, []):
        yield below
        yield from reading_order(env, below)


def digits(x):
    return f"{x:,}" if isinstance(x, int) else f"{x:.4g}".replace("-", "−")


def expected(claim):
    """What the claim was held against, in words or as a number."""
    if claim.get("theory") is not None:
        return digits(claim["theory"])
    above, below = claim["above"], claim["below"]
    if above is not None and below is not None:
        return f"{digits(above)} to {digits(below)}"
    return f"more than {digits(above)}" if below is None else f"less than {digits(below)}"


def apart(claim):
    """Distance between simulation and theory in Monte-Carlo errors, where chance plays a part."""
    return abs(claim["value"] - claim["theory"]) / claim["mcse"] if claim.get("mcse") else None


def row(claim):
    """What is claimed, computed (± Monte-Carlo error) and expected, and how far apart the two are or may be."""
    computed = digits(claim["value"]) + (f" ± {claim['mcse']:.2g}" if claim.get("mcse") else "")
    distance = apart(claim)
    if distance is not None:
        far = f"{distance:.1f}"
    elif claim.get("within"):
        far = f"within {digits(claim['within'])}"
    else:
        far = "exact" if claim.get("theory") is not None else "–"
    return claim["says"], computed, expected(claim), far


def table(rows):
    group = nodes.tgroup(cols=len(HEADER))
    group += [nodes.colspec(colwidth=width) for width in (49, 17, 17, 17)]
    head, body = nodes.thead(), nodes.tbody()
    for part, lines in ((head, [HEADER]), (body, rows)):
        for line in lines:
            entries = [nodes.entry("", nodes.paragraph("", text)) for text in line]
            part += nodes.row("", *entries)
    group += [head, body]
    return nodes.table("", group, classes=["claims", "colwidths-auto"])


def summary(claims):
    distances = [d for d in map(apart, claims) if d is not None]
    text = f"{len(claims):,} claims were checked when this book was built."
    if distances:
        n, far = len(distances), sum(d > 2 for d in distances)
        text += f" {n:,} of them compare a simulation with theory; {far:,} of these ({far / n:.0%}) are more than"
        text += " two Monte-Carlo errors apart, where chance alone makes us expect about 5%, and the farthest"
        text += f" are {max(distances):.1f} errors apart."
    return text


def fill_in(app, doctree, docname):
    for place in list(doctree.findall(ClaimsTable)):
        found = records(app)
        everything = [claim for claims in found.values() for claim in claims]
        parts = [nodes.paragraph("", summary(everything))] if everything else [nodes.paragraph("", "None yet.")]
        for page, claims in found.items():
            address = app.builder.get_relative_uri(docname, page)
            title = app.env.titles[page].astext()
            link = nodes.reference("", title, refuri=address, internal=True)
            said = "1 claim" if len(claims) == 1 else f"{len(claims)} claims"
            name = FoldTitle("", f"{title} ({said})")
            parts.append(Fold("", name, nodes.paragraph("", "", link), table(map(row, claims))))
        place.replace_self(parts)


def write_again(app, env):
    """Pages with the table, which change when other pages do."""
    return [docname for docname in env.found_docs if env.metadata.get(docname, {}).get("claims-table")]


def setup(app):
    app.add_node(ClaimsTable)
    app.add_directive("claims-table", Directive)
    app.connect("env-updated", write_again)
    app.connect("doctree-resolved", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
