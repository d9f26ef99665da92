"""The Python side of "Run this page": runs one page's cells, says what each reads and makes, shows and glues.

It runs in Pyodide, in a worker (worker.js); nothing in it needs a browser, so the tests run it in any Python.
`analyse` and `run` take and give JSON.
"""

import ast
import importlib.util
import io
import json
import linecache
import logging
import symtable
import sys
import traceback
import types
import warnings
from ast import literal_eval
from contextlib import redirect_stderr, redirect_stdout
from math import sqrt
from pprint import pformat

page = {"__name__": "__main__"}  # the names that the page's cells share
shown = []  # what the cell that runs has shown so far
glued = {}  # key: the number or text of a sentence


# ---- what a cell reads and makes ----


def analyse(source):
    """Names that a cell reads and names that it makes or changes, so that what it needs can be run before it.

    A name that a cell makes itself before it reads it is not needed from elsewhere.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return json.dumps({"reads": [], "writes": [], "imports": {}})
    reads, writes = follow(tree.body, set())
    return json.dumps({"reads": sorted(reads), "writes": sorted(writes), "imports": imports(tree.body)})


def imports(statements):
    """Names that a cell imports, each with its line: they don't depend on what else the cell does."""
    return {
        (alias.asname or alias.name).split(".")[0]: ast.unparse(statement)
        for statement in statements
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for alias in statement.names
    }


def follow(statements, made):
    """What statements read that none before them made, and what they make; `made` grows on the way."""
    reads, writes = set(), set()
    for statement in statements:
        if isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.Try):
            parts = [getattr(statement, part, None) for part in ("iter", "test")]
            parts += [item.context_expr for item in getattr(statement, "items", [])]
            used = {name for part in parts if part is not None for name in names(ast.unparse(part))[0]}
            targets = [getattr(statement, "target", None)]
            targets += [item.optional_vars for item in getattr(statement, "items", [])]
            bound = {node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)}
            reads |= used - made
            made |= bound
            inside = [*statement.body, *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]
            inside += [line for handler in getattr(statement, "handlers", []) for line in handler.body]
            needs, makes = follow(inside, made)
            reads, writes = reads | needs, writes | bound | makes
            continue
        used, makes = names(ast.unparse(statement))
        changes = changed(statement) | {name for name in used if name == "rng" or name.endswith("_rng")}
        own = makes if isinstance(statement, ast.FunctionDef | ast.ClassDef) else set()  # a function may call itself
        reads |= (used | changes) - made - own
        made |= makes
        writes |= makes | changes
    return reads, writes


def names(statement):
    """Names that a statement reads, also inside functions, and names that it binds."""
    table = symtable.symtable(statement, "cell", "exec")
    used = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    makes = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    below = list(table.get_children())
    while below:
        scope = below.pop()
        below += scope.get_children()
        used |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
    return used, makes


def changed(tree):
    """Names whose objects a cell changes: `x[0] = 1`, `x.y = 1`, `x += 1`, `del x`, and `x.sort()` on a line alone."""
    places = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            places += [target for target in node.targets if not isinstance(target, ast.Name)]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            places.append(node.target)
        elif isinstance(node, ast.Delete):
            places += node.targets
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            places.append(node.value.func if isinstance(node.value.func, ast.Attribute) else None)
    return {name for place in places for name in roots(place)}


def roots(place):
    """The name that an attribute or an item hangs on."""
    while isinstance(place, ast.Attribute | ast.Subscript | ast.Call):
        place = place.func if isinstance(place, ast.Call) else place.value
    if isinstance(place, ast.Tuple | ast.List):
        return {name for part in place.elts if not isinstance(part, ast.Name) for name in roots(part)}
    return {place.id} if isinstance(place, ast.Name) else set()


# ---- what a cell shows ----


class Said(io.TextIOBase):
    """Printed text, in its place among the other things that a cell shows."""

    def __init__(self, kind):
        self.kind = kind

    def writable(self):
        return True

    def write(self, text):
        if shown and shown[-1]["kind"] == self.kind:
            shown[-1]["text"] += text
        elif text:
            shown.append({"kind": self.kind, "text": text})
        return len(text)


def show(value):
    """A value in the richest form that it has, as a notebook shows it."""
    for kind in ("html", "svg", "markdown", "latex"):
        write = getattr(value, f"_repr_{kind}_", None)
        text = write() if callable(write) and not isinstance(value, type) else None
        if text:
            shown.append({"kind": kind, "text": text})
            return
    text = pformat(value, width=79, sort_dicts=False) if isinstance(value, dict | list | tuple | set) else repr(value)
    shown.append({"kind": "plain", "text": text})


def display(*values, raw=False, metadata=None, **_):
    """Stands for IPython's: shows values, or takes a glued one that is wrapped for MyST-NB."""
    book = (metadata or {}).get("scrapbook")
    for value in values:
        if book:
            glued[book["name"]] = next(iter(value.values())) if raw else repr(value)
        elif raw:
            shown.append({"kind": "plain", "text": str(value.get("text/plain", ""))})
        else:
            show(value)


def glue(name, value, display=True):
    glued[name] = repr(value.item() if hasattr(value, "item") else value)


def claim(name, value, theory=None, mcse=None, *, replicates=None, **_):
    """As book/claims.py, but nothing is checked: a reader may change what a sentence promises."""
    glue(name, value)
    if theory is not None:
        glue(f"{name}_theory", theory)
        if replicates is not None:
            mcse = sqrt(max(float(theory) * (1 - float(theory)), 0) / replicates)
        if mcse is not None:
            glue(f"{name}_mcse", mcse)


def formatted(key, spec):
    """A glued number as its sentence writes it; as MyST-NB does it."""
    text = glued[key]
    try:
        value = literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    try:
        if spec[-1:] in tuple("bcdoxX"):
            value = int(value)
        elif spec[-1:] in tuple("eEfFgGn%"):
            value = float(value)
        elif spec[-1:] == "s":
            value = str(value)
        return format(value, spec)
    except (ValueError, TypeError):
        return str(value)


def figures():
    """Every figure that is open, as SVG; then none is."""
    if "matplotlib.pyplot" not in sys.modules:
        return
    pyplot = sys.modules["matplotlib.pyplot"]
    for number in pyplot.get_fignums():
        drawn = io.StringIO()
        pyplot.figure(number).savefig(drawn, format="svg", metadata={"Date": None})
        shown.append({"kind": "svg", "text": drawn.getvalue()})
    pyplot.close("all")


# ---- running a cell ----


def module(name, **names):
    made = types.ModuleType(name)
    made.__dict__.update(names)
    sys.modules[name] = made
    return made


def prepare():
    """Modules that pages import and that a browser has no need of."""
    kinds = {
        name: type(
            name, (), {"__init__": lambda self, data: setattr(self, "data", data), method: lambda self: self.data}
        )
        for name, method in {"HTML": "_repr_html_", "Markdown": "_repr_markdown_", "Latex": "_repr_latex_"}.items()
    }
    shows = module("IPython.display", display=display, clear_output=shown.clear, **kinds)
    module("IPython", display=shows, get_ipython=lambda: None, version_info=(9, 0))
    module("myst_nb", glue=glue)
    module("claims", claim=claim)
    if importlib.util.find_spec("tqdm"):
        importlib.import_module("tqdm").tqdm.monitor_interval = 0  # its monitor wants a thread
    warnings.filterwarnings("ignore", message=".*non-interactive.*")
    warnings.filterwarnings("ignore", message="`kurtosistest`")  # of this SciPy, about a line of statsmodels' summaries
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it says when it looks for fonts

    def note(message, category, filename, lineno, file=None, line=None):
        shown.append({"kind": "note", "text": f"{category.__name__}: {message}"})

    warnings.showwarning = note


def mend():
    """SciPy 1.14 in the browser gives up at single places of `beta.ppf`; the function below it does not."""
    from scipy.special import betaincinv
    from scipy.stats import beta

    type(beta)._ppf = lambda self, q, a, b: betaincinv(a, b, q)


class NoAsserts(ast.NodeTransformer):
    """A hidden cell checks what the page's own numbers promise; a reader's numbers need not keep it."""

    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


def run(source, number, hidden):
    """Run a cell; what it showed, the sentences' numbers that it made, and what went wrong."""
    shown.clear()
    glued.clear()
    name = f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    wrong = None
    if sys.platform == "emscripten" and "scipy.stats" in source:
        mend()
    try:
        with redirect_stdout(Said("stream")), redirect_stderr(Said("note")):
            tree = ast.parse(source, name)
            if hidden:
                tree = NoAsserts().visit(tree)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, name, "exec"), page)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), name, "eval"), page)
                if value is not None and not source.rstrip().endswith(";"):
                    show(value)
            figures()
    except BaseException as error:
        wrong = report(error, name)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
    return json.dumps({"shown": shown, "error": wrong, "glued": list(glued)})


def report(error, name):
    """An error in the words of Python, with the lines of the page's cells that led to it."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    steps = [
        {"cell": frame.filename[6:-1], "line": frame.lineno, "code": (frame.line or "").strip()}
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith("<cell ")
    ]
    if isinstance(error, SyntaxError) and error.filename == name:
        steps = [{"cell": name[6:-1], "line": error.lineno, "code": (error.text or "").strip()}]
        text = f"{type(error).__name__}: {error.msg}"
    else:
        text = "".join(traceback.format_exception_only(error)).strip()
    unknown = error.name if isinstance(error, NameError) else None
    return {"steps": steps, "text": text, "missing": missing, "unknown": unknown}
