"""Every page with cells as a notebook that readers can take away: plain Markdown, code that runs on its own, outputs.

Numbers stand in the text, hidden cells are gone (but for what a visible cell needs of them), a first cell installs
lmmsim from the site where it is missing and fetches the data. The site serves `notebooks/` with a list of what they
need; each page links its own. With the setting `repository` (https://github.com/owner/name, whose branch `notebooks`
holds that folder) pages also offer Colab and Binder.
"""

import ast
import importlib.util
import json
import re
import shutil
from functools import cache
from pathlib import Path
from urllib.parse import quote, urljoin

import matplotlib
import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from site_files import TOP, WHEEL, data_named
from to_markdown import Writer, plain, quoted

SETUP = """# Run this first: it installs lmmsim if it is missing, and fetches data that do not lie beside the notebook.
import importlib.util
from pathlib import Path
from urllib.request import urlretrieve

SITE = "{site}"
if importlib.util.find_spec("lmmsim") is None:
    %pip install --quiet {{SITE}}_static/{wheel}
for name in {data}:
    if not Path("data", name).is_file():
        Path("data").mkdir(exist_ok=True)
        urlretrieve(f"{{SITE}}book/data/{{name}}", f"data/{{name}}")

import matplotlib  # figures are laid out as in the book

matplotlib.rcParams.update({look})
"""
LOOK = re.compile(r"^(axes\.(?!facecolor|prop_cycle)|figure\.(constrained_layout|figsize)|lines\.|legend\.frameon)")
GATES = ("Fold", "exercise_node", "exercise_enumerable_node", "solution_node")


@cache
def look():
    """What a notebook takes over from the book's matplotlibrc: layout and lines, but neither paper nor type."""
    found = matplotlib.rc_params_from_file(TOP / "book" / "matplotlibrc", use_default_template=False)
    settings = {key: value for key, value in found.items() if LOOK.match(key)}
    cycle = [f"#{color.removeprefix('#')}" for color in found["axes.prop_cycle"].by_key()["color"]]
    lines = [f"    {key!r}: {value!r},".replace("'", '"') for key, value in settings.items()]
    return "\n".join(["{", *lines, f'    "axes.prop_cycle": matplotlib.cycler(color={json.dumps(cycle)}),', "}"])


def written(app, docname):
    """Where MyST-NB leaves a chapter as a notebook."""
    return Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"


def has_cells(app, docname):
    return "kernelspec" in app.env.metadata.get(docname, {}) and written(app, docname).is_file()


def put_outputs_in(app, doctree):
    """MyST-NB leaves out the outputs of a notebook whose results were kept from before: put them in."""
    if has_cells(app, app.env.docname):
        path = written(app, app.env.docname)
        notebook = nbformat.read(path, as_version=4)
        _, executed = get_cache(app.env.mystnb_config.execution_cache_path).merge_match_into_notebook(notebook)
        nbformat.write(executed, path)


def analyse(source):
    """Names that a cell reads and makes, as the page itself finds them (book/_static/live/kernel.py)."""
    if not hasattr(analyse, "kernel"):
        spec = importlib.util.spec_from_file_location("live_kernel", TOP / "book" / "_static" / "live" / "kernel.py")
        analyse.kernel = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(analyse.kernel)
    return json.loads(analyse.kernel.analyse(source))


def is_check(statement):
    """Whether a line of a hidden cell glues or checks a number."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
    imports = isinstance(statement, ast.ImportFrom) and statement.module in ("claims", "myst_nb")
    return isinstance(statement, ast.Assert) or imports or name in ("claim", "glue")


def without_checks(source):
    """A visible cell without the lines that only the build of the book needs; all else stays as it is written."""
    lines = source.split("\n")
    for statement in reversed(ast.parse(re.sub(r"^[%!].*$", "pass", source, flags=re.MULTILINE)).body):
        if is_check(statement):
            del lines[statement.lineno - 1 : statement.end_lineno]
    return "\n".join(lines).strip("\n")


def helpers(cells, seen):
    """Lines of hidden cells that make a name which a visible cell needs, by the cell's place; no others."""
    wanted, found = set(), {}
    for at in reversed(range(len(cells))):
        if cells[at].cell_type != "code":
            continue
        if at in seen:
            names = analyse(cells[at].source)
            wanted = (wanted - set(names["writes"])) | set(names["reads"])
            continue
        kept = []
        for statement in reversed(ast.parse(cells[at].source).body):
            names = analyse(ast.unparse(statement))
            if wanted & set(names["writes"]) and not is_check(statement):
                kept.append(ast.unparse(statement))
                wanted = (wanted - set(names["writes"])) | set(names["reads"])
        if kept:
            found[at] = "\n".join(reversed(kept))
    return found


class Page:
    """Turns a resolved tree into the cells of a notebook."""

    def __init__(self, writer, cells, address):
        self.writer, self.cells, self.address = writer, cells, address
        self.text, self.made, self.level = [], [], 0
        self.places = []

    def flush(self):
        if self.text:
            self.made.append(nbformat.v4.new_markdown_cell("\n\n".join(self.text)))
            self.text = []

    def say(self, text):
        if text.strip():
            self.text.append(text)

    def add(self, node):
        """One node: a heading, a cell, something that holds cells, or text."""
        if isinstance(node, nodes.section):
            self.level += 1
            for child in node.children:
                self.add(child)
            self.level -= 1
        elif isinstance(node, nodes.title):
            self.say(f"{'#' * self.level} {self.writer.inline(node)}")
        elif isinstance(node, nodes.container) and node.get("nb_element") == "cell_code":
            self.code(node)
        elif type(node).__name__ in GATES or any(
            n.get("nb_element") == "cell_code" for n in node.findall(nodes.container)
        ):
            self.gate(node)
        else:
            self.say(self.writer.block(node))

    def gate(self, node):
        """Something with a title that may hold cells: its title in bold, then what it holds."""
        kind, rest = type(node).__name__, list(node.children)
        if rest and (isinstance(rest[0], nodes.title) or type(rest[0]).__name__ == "FoldTitle"):
            title = rest.pop(0)
            self.flush()
            if kind != "solution_node":
                self.say("---")
            self.say(f"**{self.title(node, kind, title)}**")
        for child in rest:
            self.add(child)
        if kind == "Fold":
            self.say("---")

    def title(self, node, kind, title):
        """What stands over a fold, an exercise (with its number) or a solution."""
        if kind == "solution_node":
            return "Solution"
        if not kind.startswith("exercise"):
            return self.writer.inline(title)
        number = self.writer.fignumbers.get(node.get("label", ""))
        words = plain(title).removeprefix("Exercise").strip().removeprefix("%s").strip()
        words = words[1:-1] if words.startswith("(") and words.endswith(")") else words
        words = words.strip()
        return f"Exercise {number}. {words}" if number else f"Exercise. {words}"

    def code(self, node):
        self.flush()
        at = node["cell_index"]
        source = without_checks(self.cells[at].source)
        if not source:
            return
        cell = nbformat.v4.new_code_cell(source)
        cell.outputs = [
            output
            for output in self.cells[at].get("outputs", [])
            if not any(kind.startswith("application/papermill") for kind in output.get("data", {}))
        ]
        cell.execution_count = self.cells[at].get("execution_count")
        if "hide-input" in self.cells[at].metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}
        if "raises-exception" in self.cells[at].metadata.get("tags", []):
            cell.metadata["tags"] = ["raises-exception"]
        self.made.append(cell)
        self.places.append((at, cell))
        figure = next(node.findall(nodes.figure), None)
        if figure is not None:
            self.say(self.writer.write_figure(figure))


def notebook(app, doctree, docname):
    """The page as a notebook."""
    site = app.config.html_baseurl or "./"
    page = urljoin(site, app.builder.get_target_uri(docname))

    def address(node):
        if node.get("refid"):
            return f"{page}#{node['refid']}"
        link = node.get("refuri", "")
        return link if re.match(r"[a-z]+:", link) else urljoin(page, link) if link else ""

    numbers = {}
    for kinds in app.env.toc_fignumbers.get(docname, {}).values():
        numbers |= {name: ".".join(map(str, number)) for name, number in kinds.items()}
    cells = nbformat.read(written(app, docname), as_version=4).cells
    made = Page(Writer(address, numbers), cells, address)
    for child in doctree.children:
        made.add(child)
    made.flush()
    for at, source in helpers(cells, {at for at, _ in made.places}).items():
        after = next((cell for place, cell in made.places if place > at), None)
        helper = nbformat.v4.new_code_cell(source)
        helper.metadata["jupyter"] = {"source_hidden": True}
        made.made.insert(made.made.index(after) if after is not None else len(made.made), helper)
    code = "\n".join(cell.source for cell in made.made if cell.cell_type == "code")
    setup = nbformat.v4.new_code_cell(
        SETUP.format(site=site, wheel=WHEEL, data=json.dumps(data_named(code)), look=look())
    )
    source = quoted(f"From the book [*{app.config.html_title}*]({page}). Text: CC BY 4.0, code: MIT.")
    first = made.made[0] if made.made and made.made[0].cell_type == "markdown" else None
    title, _, rest = (first.source if first else "").partition("\n\n")
    head = [nbformat.v4.new_markdown_cell(f"{title}\n\n{source}"), setup]
    body = ([nbformat.v4.new_markdown_cell(rest)] if rest else []) + made.made[1 if first else 0 :]
    whole = nbformat.v4.new_notebook(cells=[*head, *body])
    whole.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole.metadata.language_info = {"name": "python"}
    for number, cell in enumerate(whole.cells):
        cell["id"] = f"cell-{number}"  # the same at every build
    return whole


def write(app, doctree, docname):
    if (
        app.builder.format == "html"
        and has_cells(app, docname)
        and any(c.get("nb_element") == "cell_code" for c in doctree.findall(nodes.container))
    ):
        target = Path(app.outdir) / "notebooks" / f"{Path(docname).name}.ipynb"
        target.parent.mkdir(exist_ok=True)
        nbformat.write(notebook(app, doctree, docname), target)


def serve(app, exception):
    """What the notebooks need, beside them."""
    folder = Path(app.outdir) / "notebooks"
    if exception is None and folder.is_dir():
        (folder / "data").mkdir(exist_ok=True)
        for path in (TOP / "book" / "data").glob("*.csv"):
            shutil.copy(path, folder / "data" / path.name)
        site = app.config.html_baseurl or ""
        (folder / "requirements.txt").write_text(f"jupyterlab\nlmmsim @ {site}_static/{WHEEL}\n", encoding="utf-8")


def launchers(repository, name):
    """Addresses that open a notebook of the repository's branch `notebooks` elsewhere."""
    place = repository.rstrip("/").removeprefix("https://github.com/")
    return {
        "Colab": f"https://colab.research.google.com/github/{place}/blob/notebooks/{name}.ipynb",
        "Binder": f"https://mybinder.org/v2/gh/{place}/notebooks?urlpath={quote(f'lab/tree/{name}.ipynb', safe='')}",
    }


def offer(app, pagename, templatename, context, doctree):
    """Tell the theme's download menu where the notebook is."""
    if doctree is not None and (Path(app.outdir) / "notebooks" / f"{Path(pagename).name}.ipynb").is_file():
        context["ipynb_source"] = f"{Path(pagename).name}.ipynb"


def link(app, pagename, templatename, context, doctree):
    """The notebook first in the menu, from its own folder; then Colab and Binder, where they can be."""
    for group in context.get("header_buttons", []):
        if group.get("label") != "download-buttons":
            continue
        for at, button in enumerate(list(group["buttons"])):
            if button.get("label") == "download-notebook-button":
                name = context["ipynb_source"].removesuffix(".ipynb")
                button["url"] = f"{context['pathto']('notebooks', 1)}/{name}.ipynb"
                if app.config.repository:
                    for tool, url in reversed(launchers(app.config.repository, name).items()):
                        group["buttons"].insert(
                            at + 1,
                            {
                                "type": "link",
                                "url": url,
                                "text": tool,
                                "icon": "fas fa-code",
                                "tooltip": f"Open in {tool}",
                            },
                        )


def setup(app):
    app.add_config_value("repository", "", "html", str)
    app.connect("doctree-read", put_outputs_in)
    app.connect("doctree-resolved", write, priority=100)  # before figures, tables and folds take the page's form
    app.connect("html-page-context", offer, priority=400)
    app.connect("html-page-context", link, priority=940)
    app.connect("build-finished", serve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
