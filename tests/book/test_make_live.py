"""Collecting Python for the page: no file without its hash, and wheels without what readers never need."""

from __future__ import annotations

import importlib.util
import re
import zipfile

import pytest
from places import BOOK


@pytest.fixture(scope="module")
def collector():
    spec = importlib.util.spec_from_file_location("make_live", BOOK / "make_live.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_with_another_hash_is_refused_and_the_next_source_is_asked(collector):
    def tampered(name):
        return b"other"

    def good(name):
        return b"content"

    wanted = collector.sha256(b"content")
    assert collector.first_good("numpy.whl", wanted, [tampered, lambda name: None, good]) == b"content"
    with pytest.raises(SystemExit, match=r"numpy\.whl with sha256 .* found nowhere.*tampered"):
        collector.first_good("numpy.whl", wanted, [tampered])


def test_everything_that_pypi_gives_is_pinned_to_a_hash(collector):
    lines = (BOOK / "live-requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}", line) for line in pins)
    assert {line.split("==")[0] for line in pins} == set(collector.THEIRS)


def test_every_package_that_one_needs_is_collected(collector):
    needs = {need for listed in (collector.OURS, collector.THEIRS) for found in listed.values() for need in found}
    assert needs <= set(collector.OURS) | set(collector.THEIRS)


def test_a_wheel_loses_its_tests_and_compiled_parts_and_keeps_its_licence(collector, tmp_path):
    names = [
        "statsmodels/api.py",
        "statsmodels/robust/_qn.cp312-win_amd64.pyd",
        "statsmodels/regression/tests/test_lme.py",
        "statsmodels/datasets/fair/fair.csv",
        "statsmodels-1.dist-info/licenses/LICENSE.txt",
        "statsmodels-1.dist-info/METADATA",
    ]
    with zipfile.ZipFile(tmp_path / "old.whl", "w") as wheel:
        for name in names:
            wheel.writestr(name, "x")
    collector.repacked(tmp_path / "old.whl", tmp_path / "new.whl", "statsmodels")
    kept = set(zipfile.ZipFile(tmp_path / "new.whl").namelist())
    assert kept == {names[0], names[4], names[5], *collector.COMPILED}


def test_what_stands_in_for_a_compiled_module_can_be_imported_and_says_so_when_it_is_used(collector):
    names: dict = {"__name__": "statsmodels.robust._qn"}
    exec(collector.PLACEHOLDER, names)
    used = names["__getattr__"]("_qn")
    with pytest.raises(ImportError, match="is compiled, and the Python in this page has not got it"):
        used([1.0, 2.0])


def test_nothing_that_was_collected_can_be_committed():
    ignored = (BOOK.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "book/_static/py/" in ignored
