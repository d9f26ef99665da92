"""Chapters run in kernels that are forks of one process: each is as if it had been started by itself."""

import os
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "book" / "_ext"))
from warm_kernels import MODULES, warm_kernels  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only"),
]


def answers(folder, *cells):
    """What the cells of one notebook print, in a kernel of its own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs[0].text.strip() for cell in notebook.cells]


def running(pid):
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


def test_a_warm_kernel_is_in_the_folder_and_the_environment_of_who_asked_and_has_its_imports_done(
    tmp_path, monkeypatch
):
    with warm_kernels(TOP / "book"):
        monkeypatch.setenv("ONLY_HERE", "yes")
        where, what, path, missing = answers(
            tmp_path,
            "import os, sys; print(os.getcwd())",
            "print(os.environ['ONLY_HERE'])",
            "print([place for place in sys.path if place.endswith('_ext')])",
            f"print([name for name in {MODULES} if name not in sys.modules])",
        )
    assert (where, what, path, missing) == (str(tmp_path), "yes", "[]", "[]")


def test_kernels_share_nothing_and_end_with_their_notebook(tmp_path):
    with warm_kernels(TOP / "book"):
        first = answers(tmp_path, "import os, numpy; numpy.mine = 1; print(os.getpid())")[0]
        second, fresh = answers(tmp_path, "import os, numpy; print(os.getpid())", "print(hasattr(numpy, 'mine'))")
        assert first != second and fresh == "False"
        end = time.monotonic() + 10
        while time.monotonic() < end and (running(first) or running(second)):
            time.sleep(0.05)
        assert not running(first) and not running(second)


def test_figures_are_drawn_with_the_settings_of_the_book(tmp_path):
    settings = "import matplotlib; print(matplotlib.rcParams['svg.fonttype'], matplotlib.get_backend())"
    alone = answers(TOP / "book", settings)
    with warm_kernels(TOP / "book"):
        assert answers(tmp_path, settings) == alone


def test_afterwards_jupyter_starts_its_own_kernels_again(tmp_path):
    before = os.environ.get("JUPYTER_PATH")
    with warm_kernels(TOP / "book"):
        assert os.environ["JUPYTER_PATH"] != before
    assert os.environ.get("JUPYTER_PATH") == before
    assert answers(tmp_path, "import sys; print('statsmodels' in sys.modules)") == ["False"]
