"""Pages as plain Markdown, from the resolved tree: numbers are in the text, references have their names and numbers.

Only what any Jupyter shows: no directive, no role. Boxes become quotations, hints `<details>`, tabs one after another.
"""

import re

from docutils import nodes

ESCAPED = re.compile(r"([\\`*_{}\[\]<>#$|])")


class Writer:
    """Writes nodes as Markdown; `address` turns a link of the page into one that works elsewhere."""

    def __init__(self, address, fignumbers):
        self.address = address
        self.fignumbers = fignumbers

    # ---- inside a paragraph ----
    def inline(self, node):
        """The text of a node's children on one line."""
        return "".join(map(self.word, node.children))

    def word(self, node):
        name = type(node).__name__
        if isinstance(node, nodes.Text):
            return ESCAPED.sub(r"\\\1", node.astext()).replace("\n", " ")
        if name == "math":
            return f"${node.astext().strip()}$"
        if isinstance(node, nodes.literal):
            return f"`{node.astext()}`"
        if isinstance(node, nodes.strong | nodes.emphasis):
            mark = "**" if isinstance(node, nodes.strong) else "*"
            return f"{mark}{self.inline(node).strip()}{mark}"
        if isinstance(node, nodes.reference):
            target = self.address(node)
            return f"[{self.inline(node)}]({target})" if target else self.inline(node)
        if isinstance(node, nodes.superscript | nodes.subscript):
            tag = "sup" if isinstance(node, nodes.superscript) else "sub"
            return f"<{tag}>{self.inline(node)}</{tag}>"
        if isinstance(node, nodes.image | nodes.target | nodes.comment | nodes.system_message) or name == "raw":
            return ""
        return self.inline(node)

    # ---- blocks ----
    def blocks(self, node):
        """The children of a node, as blocks with an empty line between them."""
        return "\n\n".join(text for text in map(self.block, node.children) if text.strip())

    def block(self, node):
        for kind in type(node).__mro__:
            write = getattr(self, f"write_{kind.__name__.lower()}", None)
            if write:
                return write(node)
        return self.inline(node) if isinstance(node, nodes.TextElement) else self.blocks(node)

    def write_math_block(self, node):
        return f"$$\n{node.astext().strip()}\n$$"

    def write_literal_block(self, node):
        language = {"ipython3": "python", "default": ""}.get(node.get("language", ""), node.get("language", ""))
        return f"```{language}\n{node.astext().rstrip()}\n```"

    def write_doctest_block(self, node):
        return f"```\n{node.astext()}\n```"

    def items(self, node, marks):
        lines = []
        for mark, item in zip(marks, node.children, strict=False):
            text = self.blocks(item).replace("\n", "\n" + " " * len(mark))
            lines.append(mark + text)
        return "\n".join(lines)

    def write_bullet_list(self, node):
        return self.items(node, ["- "] * len(node))

    def write_enumerated_list(self, node):
        start = node.get("start", 1)
        return self.items(node, [f"{k}. " for k in range(start, start + len(node))])

    def write_definition_list(self, node):
        parts = []
        for item in node.children:
            term = "; ".join(self.inline(t) for t in item.findall(nodes.term))
            parts.append(
                f"**{term}**\n\n"
                + "\n\n".join(self.blocks(d) for d in item.children if isinstance(d, nodes.definition))
            )
        return "\n\n".join(parts)

    def write_block_quote(self, node):
        return quoted(self.blocks(node))

    def write_table(self, node):
        rows = [[self.cell(entry) for entry in row.findall(nodes.entry)] for row in node.findall(nodes.row)]
        heads = [row for head in node.findall(nodes.thead) for row in head.children]
        title = next(node.findall(nodes.title), None)
        if not rows:
            return ""
        width = max(map(len, rows))
        if not heads:
            rows.insert(0, [""] * width)
        lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
        lines.insert(max(len(heads), 1), "|" + " --- |" * width)
        return (f"**{self.inline(title)}**\n\n" if title is not None else "") + "\n".join(lines)

    def cell(self, entry):
        return " ".join(
            self.inline(part) if isinstance(part, nodes.TextElement) else self.blocks(part) for part in entry.children
        ).replace("\n", " ")

    def write_figure(self, node):
        caption = next(node.findall(nodes.caption), None)
        number = next((self.fignumbers[name] for name in node["ids"] if name in self.fignumbers), None)
        head = f"**Fig. {number}** " if number else ""
        return head + (f"*{self.inline(caption)}*" if caption is not None else "")

    def write_admonition(self, node):
        title = next((c for c in node.children if isinstance(c, nodes.title)), None)
        rest = [c for c in node.children if c is not title]
        body = "\n\n".join(filter(str.strip, map(self.block, rest)))
        name = self.inline(title) if title is not None else type(node).__name__.capitalize()
        return quoted(f"**{name}**\n\n{body}")

    def write_dropdown_main(self, node):
        title = next((c for c in node.children if type(c).__name__ == "dropdown_title"), None)
        name = plain(title) if title is not None else ""
        body = "\n\n".join(filter(str.strip, (self.block(c) for c in node.children if c is not title)))
        return f"<details><summary>{name or 'More'}</summary>\n\n{body}\n\n</details>"

    def write_sd_tab_input(self, node):
        return ""

    def write_sd_tab_label(self, node):
        return f"**{plain(node)}**"

    def write_footnote(self, node):
        label, *rest = node.children
        return f"[{label.astext()}] " + "\n\n".join(map(self.block, rest))

    def write_explorable(self, node):
        return quoted(f"**To try out, on this page of the book.** {self.blocks(node)}")

    def nothing(self, node):
        return ""

    write_comment = write_target = write_raw = write_image = write_system_message = write_substitution_definition = (
        nothing
    )
    write_toctree = write_index = write_pending = write_meta = nothing


def plain(node):
    """A node's words, without the icons that were drawn into it."""
    words = (text.astext() for text in node.findall(nodes.Text) if not isinstance(text.parent, nodes.raw))
    return " ".join(" ".join(words).split())


def quoted(text):
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
