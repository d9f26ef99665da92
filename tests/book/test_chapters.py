"""The chapters: complete in their parts, and running from top to bottom in a clean kernel.

The build of the book runs all chapters under stricter conditions. To run one alone, without HTML:
`pytest tests/book/test_chapters.py -k one-data-set`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
import pytest
import yaml
from nbclient import NotebookClient
from places import TOP, files_in_toc

CHAPTERS = sorted(p for p in (TOP / "book").glob("*.md") if "{code-cell}" in p.read_text(encoding="utf-8"))
EVERY = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def code_cells(path: Path):
    """A chapter's code cells, as jupytext reads them."""
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst")
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def python(cell) -> ast.Module:
    """A cell's syntax tree, without IPython's magics."""
    return ast.parse(re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.MULTILINE))


def test_every_page_is_in_the_table_of_contents():
    pages = {p.relative_to(TOP).with_suffix("").as_posix() for p in (TOP / "book").glob("*.md")}
    assert pages == set(files_in_toc())


@EVERY
def test_a_chapter_has_the_header_that_jupyter_tools_expect(path):
    header = yaml.safe_load(path.read_text(encoding="utf-8").split("---")[1])
    assert header["jupytext"]["text_representation"]["format_name"] == "myst"
    assert header["kernelspec"]["name"] == "python3"


@EVERY
def test_visible_cells_are_no_longer_and_no_wider_than_a_reader_can_see_at_once(path):
    for cell in code_cells(path):
        tags = cell.metadata.get("tags", [])
        if "remove-cell" not in tags:
            lines = cell.source.splitlines()
            assert len(lines) <= (30 if "hide-input" in tags else 15), f"{len(lines)} lines:\n{cell.source}"
            wide = [line for line in lines if len(line) > 80]
            assert not wide, "more than 80 characters:\n" + "\n".join(wide)


@EVERY
def test_a_figure_has_a_caption_and_a_description_that_differ(path):
    for cell in code_cells(path):
        settings = cell.metadata.get("mystnb", {})
        if "image" in settings:
            assert settings["image"]["alt"].strip()
            assert settings["figure"]["caption"].strip() != settings["image"]["alt"].strip()
            assert settings["figure"]["name"]


@EVERY
def test_a_chapter_uses_only_public_names(path):
    for cell in code_cells(path):
        for node in ast.walk(python(cell)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lmmsim":
                assert not any(alias.name.startswith("_") for alias in node.names), ast.unparse(node)


@EVERY
def test_glue_keys_are_not_used_twice(path):
    keys = [
        node.args[0].value
        for cell in code_cells(path)
        for node in ast.walk(python(cell))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("glue", "claim")
        and isinstance(node.args[0], ast.Constant)
    ]
    assert len(keys) == len(set(keys)), sorted({key for key in keys if keys.count(key) > 1})


@pytest.mark.chapters
@EVERY
def test_a_chapter_runs_in_a_clean_kernel(path):
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst")
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    said = [
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert not said, "\n".join(said)
