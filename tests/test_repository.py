"""The repository agrees with itself: versions, dependencies, and the order in which modules import each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

TOP = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# The steps of a simulation: reading order, which is also the import order. What is not here helps one of them.
STEPS = ["covariance", "draws", "design", "model", "simulate", "missing", "reml", "estimators"]
STEPS += ["diagnose", "study", "power", "plot", "scenarios", "course", "cli"]


def read(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def module(path: Path) -> str:
    """The top-level module of lmmsim that a file belongs to: 'reml' for lmmsim/reml/blocks.py."""
    return path.relative_to(TOP / "lmmsim").with_suffix("").parts[0]


def imports_when_loaded(tree: ast.AST) -> set[str]:
    """Top-level modules of lmmsim that a file imports when it is itself imported (not inside its functions)."""
    found: set[str] = set()
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lmmsim":
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("lmmsim.")}
        waiting += ast.iter_child_nodes(node)
    return found


SOURCES = sorted(p for p in (TOP / "lmmsim").rglob("*.py") if p != TOP / "lmmsim" / "__init__.py")
STEPS_THERE = [step for step in STEPS if step in {module(path) for path in SOURCES}]


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Every module of lmmsim, with the others that it needs when it is imported."""
    graph: dict[str, set[str]] = {module(path): set() for path in SOURCES}
    for path in SOURCES:
        found = imports_when_loaded(ast.parse(path.read_text(encoding="utf-8")))
        graph[module(path)] |= found & set(graph) - {module(path)}
    return graph


def test_no_module_needs_itself(imports):
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("step", STEPS_THERE)
def test_a_step_is_built_only_from_steps_above_it(imports, step):
    reached, waiting = set(), [step]
    while waiting:
        new = imports[waiting.pop()] - reached
        reached |= new
        waiting += new
    below = reached & set(STEPS[STEPS.index(step) + 1 :])
    assert not below, f"{step} needs {sorted(below)}, which come after it in the reading order"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(TOP).as_posix())
def test_a_module_says_what_it_is_for_and_stays_short(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 500


def test_the_reading_guide_names_every_module_once_and_in_an_order_that_works(imports):
    rows = read("lmmsim/README.md").split("| read |")[1].splitlines()
    place = [(name, i) for i, row in enumerate(rows) for name in re.findall(r"`(\w+)(?:\.py|/)`", row)]
    assert sorted(name for name, _ in place) == sorted(imports)
    row_of = dict(place)
    wrong = {(name, other) for name in imports for other in imports[name] if row_of[other] > row_of[name]}
    assert not wrong, f"needs something from a row below: {sorted(wrong)}"


def test_importing_lmmsim_loads_nothing_heavy():
    heavy = "scipy.stats formulaic statsmodels matplotlib seaborn joblib tqdm"
    code = f"import sys, lmmsim; print(*[m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP)
    assert done.stdout.split() == []


def test_every_file_tells_the_same_version():
    citation = yaml.safe_load(read("CITATION.cff"))
    newest = re.search(r"^## \[(\d[^\]]*)\] - (\d{4}-\d{2}-\d{2})$", read("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert (newest[1], newest[2]) == (PROJECT["version"], citation["date-released"])
    assert citation["version"] == PROJECT["version"]


def requirements(name: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in read(name).splitlines())
    return [Requirement(line) for line in lines if line]


def direct() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    return [Requirement(line) for line in PROJECT["dependencies"] + extras["book"] + extras["test"]]


def key(requirement: Requirement) -> str:
    return re.sub(r"[-_.]+", "-", requirement.name).lower()


def test_requirements_are_those_of_the_project():
    assert {key(r): r.specifier for r in requirements("requirements.txt")} == {key(r): r.specifier for r in direct()}


def test_the_tools_of_the_course_come_first():
    first = [key(r) for r in requirements("requirements.txt")[:5]]
    assert first == ["jupyter-book", "numpy", "pandas", "statsmodels", "seaborn"]


def test_the_lock_holds_one_tested_version_of_everything_direct():
    locked = {key(r): r for r in requirements("requirements-lock.txt")}
    for requirement in direct() + [Requirement(line) for line in PROJECT["optional-dependencies"]["cluster"]]:
        pins = list(locked[key(requirement)].specifier)
        assert [pin.operator for pin in pins] == ["=="]
        assert requirement.specifier.contains(pins[0].version, prereleases=True), requirement


def test_the_lock_names_no_place():
    for line in read("requirements-lock.txt").splitlines():
        assert not re.search(r"://|^-|@|file:|\\", line.split("#")[0]), line


def test_the_api_page_documents_every_public_name():
    import lmmsim

    public = [n for n in dir(lmmsim) if not n.startswith("_") and n in getattr(lmmsim, "__all__", dir(lmmsim))]
    page = read("book/api.md")
    plain = {n for n in public if callable(getattr(lmmsim, n)) and getattr(lmmsim, n).__module__.startswith("lmmsim")}
    assert sorted(n for n in plain if not re.search(rf"auto(function|class):: {n}$", page, re.MULTILINE)) == []
