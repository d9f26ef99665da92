"""Tables from pandas, set as a book sets them: one header row, numbers to the right, words to the left, scopes."""

import re
from html import escape

from bs4 import BeautifulSoup
from docutils import nodes

NUMBER = re.compile(r"^[<>≤≥~]?\s*[-−+]?[\d,]*\.?\d+(e[-+]?\d+)?\s*%?$|^(NaN|nan|inf|-inf|True|False)?$")


def one_header(table):
    """Put the names of an index, which pandas writes into a row of their own, into the row above."""
    rows = table.thead.find_all("tr") if table.thead else []
    if len(rows) < 2:
        return
    upper, lower = rows[-2].find_all("th"), rows[-1].find_all("th")
    filled = [bool(c.get_text(strip=True)) for c in lower]
    k = sum(filled)
    if not (k and all(filled[:k]) and not any(filled[k:]) and len(upper) == len(lower)):
        return
    of_columns = upper[k - 1].get_text(strip=True)  # the columns' own name, as after unstack()
    for above, below in zip(upper[:k], lower[:k], strict=True):
        above.string = below.get_text(strip=True)
    rows[-1].decompose()
    if of_columns and all(NUMBER.match(c.get_text(strip=True)) for c in upper[k:]):  # "week" over 0, 1, 2, ...
        rest = f'<th colspan="{len(upper) - k}" scope="colgroup">{escape(of_columns)}</th>'
        markup = f'<tr class="spanner"><td colspan="{k}"></td>{rest}</tr>'
        rows[-2].insert_before(BeautifulSoup(markup, "html.parser"))


def set_table(table):
    for attribute in ("border", "style"):
        table.attrs.pop(attribute, None)
    one_header(table)
    head = table.thead.find_all("tr") if table.thead else []
    body = table.tbody.find_all("tr") if table.tbody else []
    for row in table.find_all("tr"):
        row.attrs.pop("style", None)
    width = max((len(r.find_all(["th", "td"])) for r in body), default=0)
    words = set()
    for column in range(width):
        cells = [r.find_all(["th", "td"])[column] for r in body if len(r.find_all(["th", "td"])) == width]
        if not all(NUMBER.match(c.get_text(strip=True)) for c in cells):
            words.add(column)
    for row in [*head, *body]:
        cells = row.find_all(["th", "td"])
        missing = width - len(cells)  # cells of rows above that span this one stand at the left
        for column, cell in enumerate(cells, start=missing):
            cell.attrs.pop("valign", None)
            if "spanner" in (row.get("class") or []):
                continue
            if column in words:
                cell["class"] = "w"
            if cell.name == "th":
                if row in head:
                    if cell.get_text(strip=True):
                        cell["scope"] = "col"
                    else:
                        cell.name = "td"
                else:
                    cell["scope"] = "row"
            elif cell.string:
                cell.string = re.sub(r"^-(?=[\d.])", "−", cell.string)
    index = [r.find("th") for r in body]
    numbered = index and head and all(cell is not None and cell.get_text(strip=True).isdigit() for cell in index)
    if numbered and not head[-1].find(["th", "td"]).get_text(strip=True):
        table["class"] = [*table.get("class", []), "counted"]  # a plain row number: quiet
    return table


def set_tables(app, doctree, docname):
    if app.builder.format != "html":
        return
    for raw in list(doctree.findall(nodes.raw)):
        if "dataframe" in raw.astext():
            soup = BeautifulSoup(raw.astext(), "html.parser")
            for style in soup.find_all("style"):
                style.decompose()
            for table in soup.find_all("table"):
                set_table(table)
            raw.replace_self(nodes.raw("", re.sub(r">\s+<", "><", str(soup)), format="html"))


def setup(app):
    app.connect("doctree-resolved", set_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
