"""The package as it is installed: wheel and source hold the same modules, with types, the bank and the command."""

import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from places import TOP

import lmmsim

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel and a source distribution, made from a copy of what belongs to the package."""
    pytest.importorskip("setuptools", minversion="77", reason="the package is built with setuptools")
    place = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"):
        shutil.copyfile(TOP / name, place / name)
    for name in ("lmmsim", "tests", "benchmarks"):
        shutil.copytree(TOP / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from setuptools import build_meta as b; print(b.build_wheel('dist')); print(b.build_sdist('dist'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place / "dist"


def modules():
    return {
        str(path.relative_to(TOP))
        for path in (TOP / "lmmsim").rglob("*")
        if path.suffix in (".py", ".toml", ".md", ".typed") and path.name != "README.md"
    }


def test_the_wheel_holds_all_modules_the_bank_and_the_types_and_nothing_else(built):
    [wheel] = built.glob("*.whl")
    assert wheel.name == f"lmmsim-{lmmsim.__version__}-py3-none-any.whl"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == modules() and "lmmsim/py.typed" in names and "lmmsim/course/bank/words.toml" in names


def test_the_wheel_that_the_site_serves_is_the_same(built):
    [wheel] = built.glob("*.whl")
    spec = importlib.util.spec_from_file_location("site_files", TOP / "book" / "_ext" / "site_files.py")
    site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site)
    ours, theirs = zipfile.ZipFile(wheel), zipfile.ZipFile(io.BytesIO(site.wheel()))
    names = {name for name in ours.namelist() if not name.endswith(("top_level.txt", "RECORD", "WHEEL", "METADATA"))}
    assert names <= set(theirs.namelist())
    assert all(ours.read(name) == theirs.read(name) for name in names)


def test_the_source_holds_what_the_wheel_is_made_of(built):
    [source] = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert modules() | {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"} <= names
    # a part of the tests, which setuptools would take along, can't run without the rest
    assert not any(name.startswith(("book", "tests", "_build", "benchmarks")) for name in names)


def test_the_wheel_works_without_the_repository(built, tmp_path):
    [wheel] = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def python(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert python("-c", "import lmmsim; print(lmmsim.__file__)").strip().startswith(str(tmp_path))
    assert "fertilizers" in python("-m", "lmmsim.cli", "assignments")
    (tmp_path / "roster.csv").write_text("student\nann\n")
    python("-m", "lmmsim.cli", "assign", "fertilizers", "roster.csv", "-o", "class")
    assert (tmp_path / "class/students/ann/data.csv").exists()


def test_the_command_is_installed_under_its_name(built):
    [wheel] = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    [entry] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert "lmmsim = lmmsim.cli:main" in archive.read(entry).decode()
    [meta] = [name for name in archive.namelist() if name.endswith("METADATA")]
    text = archive.read(meta).decode()
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    plain = [line for line in text.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert len(plain) == len(project["dependencies"]) and f"Version: {lmmsim.__version__}" in text


def test_a_release_is_built_tried_and_published_without_a_password():
    flow = yaml.safe_load((TOP / ".github/workflows/release.yml").read_text())
    jobs = flow["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"} and jobs["publish"]["needs"] == "try"
    assert jobs["try"]["needs"] == "build" and jobs["try"]["strategy"]["matrix"]["python"] == [
        "3.11",
        "3.12",
        "3.13",
        "3.14",
    ]
    text = Path(TOP / ".github/workflows/release.yml").read_text()
    assert "secrets." not in text and "password" not in text
