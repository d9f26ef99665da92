"""The notebooks that readers take away: plain Markdown, and they run in an empty folder with lmmsim and Jupyter alone.

The book must be built. `make notebook-test` executes all of them, as they are and with one number changed; the kernel
then finds the wheel that the site serves and what it needs, and nothing else that the book is made with.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import textwrap
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from types import SimpleNamespace

import nbformat
import pytest
import reader
from nbclient import NotebookClient
from packaging.requirements import Requirement

pytestmark = pytest.mark.pages
FOLDER = reader.HTML / "notebooks"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] or ["none"]
if NAMES == ["none"]:
    pytestmark = [pytest.mark.pages, pytest.mark.skip(reason="the book is not built: make book")]
EVERY = pytest.mark.parametrize("name", NAMES)
ABOUT_THE_BUILD = {"how-built"}  # prints the versions of what the book was made with


def notebook(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code(cells):
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@EVERY
def test_a_notebook_is_valid_and_plain(name):
    nb = notebook(name)
    nbformat.validate(nb)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$", "", cell.source, flags=re.DOTALL)
            assert not re.search(r"\{[\w:.-]+\}\s*`|^\s*:{3,}|^\([\w-]+\)=$|%s", text, re.MULTILINE), cell.source[:400]
            assert "<svg" not in text
    assert not re.search(r"\b(myst_nb|claims|glue|claim)\b", code(nb.cells))


@EVERY
def test_a_notebook_has_the_numbers_and_the_results_of_its_page(name):
    nb, page = notebook(name), reader.article(f"book/{name}.html")
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown").replace("\\", "")
    for span in page.select("p > .pasted-text"):
        assert span.get_text() in text
    seen = [cell for cell in page.select("div.cell") if cell.select_one(".cell_output")]
    assert sum(bool(cell.get("outputs")) for cell in nb.cells) == len(seen)


@EVERY
def test_a_page_links_its_notebook(name):
    links = [str(a["href"]) for a in reader.tree(f"book/{name}.html").select("a[href$='.ipynb']")]
    assert f"../notebooks/{name}.ipynb" in links


def test_colab_and_binder_open_the_branch_of_notebooks():
    sys.path.insert(0, str(reader.TOP / "book" / "_ext"))
    from notebooks import launchers

    found = launchers("https://github.com/someone/some-book/", "shrinkage")
    assert found["Colab"] == "https://colab.research.google.com/github/someone/some-book/blob/notebooks/shrinkage.ipynb"
    assert (
        found["Binder"] == "https://mybinder.org/v2/gh/someone/some-book/notebooks?urlpath=lab%2Ftree%2Fshrinkage.ipynb"
    )


@pytest.mark.parametrize(("repository", "tools"), [("", []), ("https://github.com/a/b", ["Colab", "Binder"])])
def test_the_menu_of_a_page_offers_colab_and_binder_only_where_the_repository_is_named(repository, tools):
    sys.path.insert(0, str(reader.TOP / "book" / "_ext"))
    from notebooks import link

    buttons = [{"label": "download-notebook-button", "url": "elsewhere"}, {"label": "download-source-button"}]
    context = {
        "header_buttons": [{"label": "download-buttons", "buttons": buttons}],
        "ipynb_source": "shrinkage.ipynb",
        "pathto": lambda name, resource: f"../{name}",
    }
    link(SimpleNamespace(config=SimpleNamespace(repository=repository)), "book/shrinkage", "", context, None)
    assert buttons[0]["url"] == "../notebooks/shrinkage.ipynb"
    assert [button["text"] for button in buttons if "text" in button] == tools


# ---- running them as a reader does ----


def needed(*names):
    """Distributions that these need, and what those need in turn."""
    found, waiting = set(), list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting += [r.name for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="session")
def reader_home(tmp_path_factory):
    """A folder for PYTHONPATH: the site's wheel unpacked, and a lock on all that a reader has not installed."""
    home = tmp_path_factory.mktemp("reader")
    with zipfile.ZipFile(next((reader.HTML / "_static").glob("lmmsim-*.whl"))) as wheel:
        wheel.extractall(home)
    allowed = needed("lmmsim", "ipykernel")
    other = sorted(
        module
        for module, owners in packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & allowed
    )
    assert {"myst_nb", "sphinx", "bs4"} <= set(other)
    lock = f"""
        import sys
        class Lock:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {other!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}} where only lmmsim is installed", name=name)
        sys.meta_path.insert(0, Lock())
    """
    (home / "sitecustomize.py").write_text(textwrap.dedent(lock), encoding="utf-8")
    return home


def with_one_number_changed(nb):
    """The first seed, or else the first number with a decimal point, is another one."""
    for seeds in (True, False):
        for cell in nb.cells[2:]:
            if cell.cell_type != "code" or "raises-exception" in cell.metadata.get("tags", []):
                continue
            for node in ast.walk(ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE))):
                seed = isinstance(node, ast.keyword) and node.arg == "rng"
                value = node.value if seed else node
                if seed is seeds and isinstance(value, ast.Constant) and type(value.value) is (int if seeds else float):
                    lines = cell.source.split("\n")
                    line = lines[value.lineno - 1]
                    new = str(value.value + 1 if seeds else round(value.value * 1.1, 6))
                    lines[value.lineno - 1] = line[: value.col_offset] + new + line[value.end_col_offset :]
                    cell.source = "\n".join(lines)
                    return nb
    return None


@pytest.mark.notebooks
@pytest.mark.slow
@pytest.mark.parametrize("changed", [False, True], ids=["as-it-is", "one-number-changed"])
@EVERY
def test_a_notebook_runs_in_an_empty_folder(site, reader_home, tmp_path, name, changed):
    nb = notebook(name)
    if name in ABOUT_THE_BUILD:
        pytest.skip("it prints what the book was made with")
    if changed:
        nb = with_one_number_changed(nb)
        if nb is None:
            pytest.skip("it has no number to change")
    address = re.search(r'^SITE = "(.*)"$', nb.cells[1].source, re.MULTILINE)
    nb.cells[1].source = nb.cells[1].source.replace(address[1], site)
    environment = {**os.environ, "PYTHONPATH": str(reader_home), "OMP_NUM_THREADS": "1", "MPLBACKEND": ""}
    environment.pop("IPYTHONDIR", None)
    NotebookClient(nb, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute(
        env=environment
    )
    said = [output.text for cell in nb.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert said == []
