"""`{data-sets}`: each data set of the book with its file, what was measured, its columns and its source.

Everything comes from the two tables of `book/data/PROVENANCE.md`; a file without a line in both is a warning.
"""

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)
DATA = Path(__file__).resolve().parents[1] / "data"


def rows(text, header):
    """The rows of the table of PROVENANCE.md that starts with these words."""
    lines = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[part.strip() for part in line.strip().strip("|").split("|")] for line in lines]


def names(cell):
    """The files that a cell names."""
    return [part.strip(" `") for part in cell.split(",") if part.strip(" `").endswith(".csv")]


def codebook(text):
    """What is said about every file: rows, what was measured, source, licence, copies, columns."""
    found = {}
    for files, number, measured, source, licence, copies in rows(text, "| file | rows |"):
        for name in names(files):
            found[name] = {
                "rows": number,
                "measured": measured,
                "source": source,
                "licence": licence,
                "copies": copies,
                "columns": [],
            }
    current = []
    for files, column, meaning in rows(text, "| file | column |"):
        current = names(files) or current
        for name in current:
            found[name]["columns"].append((column, meaning))
    return found


class DataSets(SphinxDirective):
    def run(self):
        path = DATA / "PROVENANCE.md"
        self.env.note_dependency(str(path))
        told = codebook(path.read_text(encoding="utf-8"))
        made = []
        for file in sorted(DATA.glob("*.csv")):
            if not told.get(file.name, {}).get("columns"):
                log.warning(
                    "PROVENANCE.md does not describe %s and its columns", file.name, location=self.get_location()
                )
                continue
            made.append(self.section(file.name, told[file.name]))
        return made

    def section(self, name, told):
        section = nodes.section(ids=[name.removesuffix(".csv").replace("_", "-")], names=[name])
        section += nodes.title(name, name)
        link = nodes.paragraph()
        link += nodes.reference("", f"Download {name}", refuri=f"data/{name}", internal=True)
        link += nodes.Text(f" ({told['rows']} rows)")
        section += link
        measured = told["measured"]
        lines = [
            f"{measured[0].upper()}{measured[1:]}.",
            "",
            "| column | meaning, unit |",
            "|---|---|",
            *(f"| {column} | {meaning} |" for column, meaning in told["columns"]),
            "",
            f"*Source:* {told['source'].rstrip('.')}. *License of the copy:* {told['licence']}."
            + ("" if told["copies"] in ("–", "-", "") else f" *Copies:* {told['copies']}."),
        ]
        self.state.nested_parse(StringList(lines, source=name), self.content_offset, section)
        return section


def setup(app):
    app.add_directive("data-sets", DataSets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
