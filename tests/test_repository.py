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
from places import TOP

PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Floors of the house: what is on one imports from the floors below it only. A room is a folder, or a file at the top.
FLOORS: list[set[str]] = [
    {"checks", "streams"},
    {"covariance", "convert"},
    {"draws"},
    {"design", "model"},
    {"stories"},
    {"simulation", "reml", "theory", "scenarios"},
    {"estimators"},
    {"diagnostics", "studies"},
    {"course"},
    {"cli"},
]
APART = {"plot"}  # tables in, pictures out: imports nothing of the package
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def read(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def module(path: Path) -> str:
    """Dotted name of a file: "lmmsim.reml.blocks"."""
    return ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module(path): path for path in sorted((TOP / "lmmsim").rglob("*.py"))}
PAGES = {name for name, path in SOURCES.items() if path.name == "__init__.py"}
ROOMS = {name.split(".")[1] for name in SOURCES if name != "lmmsim"}


def room(name: str) -> str:
    """The room of a module: "reml" for "lmmsim.reml.blocks"."""
    return name.split(".")[1]


def imported(path: Path) -> set[str]:
    """Modules of lmmsim that a file imports anywhere: at its top, inside a function, for its types."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(SOURCES) - PAGES


IMPORTS = {name: imported(path) - {name} for name, path in SOURCES.items() if name not in PAGES}


def test_no_module_needs_itself():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle


def test_the_rooms_are_those_of_the_plan():
    assert set(FLOOR) | APART == ROOMS


@pytest.mark.parametrize("name", sorted(IMPORTS))
def test_a_room_is_built_only_from_rooms_below_it(name):
    others = {room(other) for other in IMPORTS[name]} - {room(name)}
    if room(name) in APART:
        assert not others
    else:
        above = {other for other in others if FLOOR[other] >= FLOOR[room(name)]}
        assert not above, f"{name} needs {sorted(above)}, beside or above it"


def code_lines(text: str) -> int:
    """Lines of code: no blank lines, no comments, no docstrings."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and i not in told for i, line in lines)


def test_code_is_counted_without_what_explains_it():
    assert code_lines('"""Doc.\n\nMore."""\n\n# why\nx = 1\n\n\ndef f():\n    """Doc."""\n    return x\n') == 3


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_module_says_what_it_is_for_and_stays_short(name):
    text = SOURCES[name].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert code_lines(text) <= 220


def test_a_room_can_be_overlooked():
    at_the_top = [path for path in (TOP / "lmmsim").glob("*.py") if path.name != "__init__.py"]
    assert len(at_the_top) <= 8
    assert len({room for room in ROOMS if (TOP / "lmmsim" / room).is_dir()}) <= 10


@pytest.mark.parametrize("name", sorted(PAGES - {"lmmsim", "lmmsim.plot"}))
def test_the_page_of_a_room_names_its_modules_in_an_order_that_works(name):
    words = re.findall(r"`(\w+)`", ast.get_docstring(ast.parse(SOURCES[name].read_text(encoding="utf-8"))) or "")
    order = [f"{name}.{word}" for word in dict.fromkeys(words) if f"{name}.{word}" in SOURCES]
    assert set(order) == {other for other in IMPORTS if other.startswith(f"{name}.")}
    for place, one in enumerate(order):
        assert not IMPORTS[one] & set(order[place:]), f"{one} needs a module that is named after it"


def test_no_function_hides_a_module_of_its_name():
    import importlib

    for name in IMPORTS:
        parent, _, last = name.rpartition(".")
        whole = importlib.import_module(name)
        assert getattr(importlib.import_module(parent), last) is whole


def test_the_reading_guide_names_every_room_in_an_order_that_works():
    rows = read("lmmsim/README.md").split("| read |")[1].splitlines()
    place = {name: i for i, row in enumerate(rows) for name in re.findall(r"^\| `(\w+)(?:\.py|/)`", row)}
    assert set(place) == ROOMS
    wrong = {(room(a), room(b)) for a in IMPORTS for b in IMPORTS[a] if place[room(a)] < place[room(b)]}
    assert not wrong, f"needs something from a row below: {sorted(wrong)}"


def test_importing_lmmsim_loads_nothing_heavy():
    heavy = "scipy.stats formulaic statsmodels matplotlib seaborn joblib tqdm click"
    use = "[getattr(lmmsim, name) for name in lmmsim.__all__ if name != 'plot']"
    code = f"import sys, lmmsim; {use}; print(*[m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP)
    assert done.stdout.split() == []


def test_importing_lmmsim_loads_nothing_until_a_name_is_used():
    code = "import sys, lmmsim; print(*[m for m in ('numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP)
    assert done.stdout.split() == []


def test_python_and_editors_are_told_the_same_homes_of_names():
    import lmmsim

    told: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(read("lmmsim/__init__.py"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lmmsim"):
            told.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
    modules = told.pop("lmmsim")
    assert {home: set(names.split()) for home, names in lmmsim.HOMES.items()} == told
    assert sorted(modules.union(*told.values())) == sorted(lmmsim.__all__)
    assert set(lmmsim.__all__) <= set(dir(lmmsim))


def test_every_file_tells_the_same_version():
    from lmmsim import __version__

    assert PROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load(read("CITATION.cff"))
    newest = re.search(r"^## \[(\d[^\]]*)\] - (\d{4}-\d{2}-\d{2})$", read("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert (newest[1], newest[2]) == (__version__, citation["date-released"])
    assert citation["version"] == __version__


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
    page = "\n".join(path.read_text(encoding="utf-8") for path in sorted((TOP / "book").glob("api*.md")))
    plain = {n for n in public if callable(getattr(lmmsim, n)) and getattr(lmmsim, n).__module__.startswith("lmmsim")}
    assert sorted(n for n in plain if not re.search(rf"auto(function|class):: {n}$", page, re.MULTILINE)) == []


def test_every_target_of_make_has_one_recipe_and_says_what_it_is_for():
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    promised = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert promised
    targets = re.findall(r"^([a-z-]+):(?!=)", makefile, flags=re.MULTILINE)
    assert sorted(targets) == sorted(promised.group(1).split())
    assert sorted(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE)) == sorted(targets)


def test_continuous_integration_runs_the_tests_that_make_test_leaves_to_the_built_book():
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    recipes = dict(re.findall(r"^([a-z-]+):.*\n\t(.+)$", makefile, flags=re.MULTILINE))
    assert recipes["test"].endswith('-m "not chapters and not pages"')
    assert recipes["book-test"].endswith('-m "pages and not slow" tests/book')
    run = (TOP / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make test", "make book-test"} <= set(run)
    for path in (TOP / "tests" / "book").glob("test_*.py"):
        if "pages" in re.findall(r"pytest\.mark\.(\w+)", path.read_text(encoding="utf-8")):
            assert re.search(r"^pytestmark = .*pages", path.read_text(encoding="utf-8"), flags=re.MULTILINE), path.name
