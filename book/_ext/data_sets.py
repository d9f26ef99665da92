"""`{data-sets}`: each data set of the book with its file, what was measured, its chapters, its columns and its source.

All but the chapters comes from the two tables of `book/data/PROVENANCE.md`; a file without a line in both is a warning.
"""

from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)
BOOK = Path(__file__).resolve().parents[1]
DATA = BOOK / "data"


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


def chapters():
    """The numbered pages of the book, in its order."""
    toc = yaml.safe_load((BOOK.parent / "_toc.yml").read_text(encoding="utf-8"))
    files = (chapter["file"] for part in toc["parts"] if part.get("numbered") for chapter in part["chapters"])
    return [BOOK.parent / f"{file}.md" for file in files]


def readers(name):
    """Links to the chapters that read a file."""
    links = []
    for page in chapters():
        text = page.read_text(encoding="utf-8")
        if f"data/{name}" in text:
            title = next(line for line in text.splitlines() if line.startswith("# "))
            links.append(f"[{title.removeprefix('# ').split(':')[0]}]({page.name})")
    return links


class DataSets(SphinxDirective):
    def run(self):
        path = DATA / "PROVENANCE.md"
        for page in (path, *chapters()):
            self.env.note_dependency(str(page))
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
        measured, used = told["measured"], readers(name)
        lines = [
            f"{measured[0].upper()}{measured[1:]}." + (f" *Chapters:* {', '.join(used)}." if used else ""),
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
