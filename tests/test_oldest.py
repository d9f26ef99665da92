"""The oldest supported versions are written once, in pyproject.toml, and tested as they are written."""

import tomllib

from packaging.requirements import Requirement
from places import TOP

PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]


FRAMES = {"polars", "pyarrow"}  # whose data are read where they are installed


def lower_bounds():
    """Every dependency of the package, and what it reads, with the version that it needs at least."""
    needed = [Requirement(line) for line in PROJECT["dependencies"]]
    needed += [r for r in map(Requirement, PROJECT["optional-dependencies"]["test"]) if r.name in FRAMES]
    return {r.name: [s.version for s in r.specifier if s.operator == ">="] for r in needed}


def test_every_dependency_says_from_which_version_on():
    assert {name for name, versions in lower_bounds().items() if len(versions) != 1} == set()


def test_the_oldest_set_is_every_lower_bound():
    lines = (TOP / "requirements-oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins == sorted(f"{name}=={version}" for name, [version] in lower_bounds().items())


def test_the_oldest_set_is_installed_and_tested_by_the_workflow():
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.split("\ntest-oldest:")[1].split("\n\n")[0]
    assert "-c requirements-oldest.txt" in recipe and "-m pytest" in recipe
    assert "make test-oldest" in (TOP / ".github/workflows/test.yml").read_text(encoding="utf-8")
