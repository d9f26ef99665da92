"""What the tests of built pages share: a browser, the site on this machine, the rules of accessibility."""

from __future__ import annotations

import os
from importlib.resources import files

import pytest
import reader


@pytest.fixture(scope="module")
def browser():
    path = reader.browser_path()
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no Chromium on this machine, and REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=reader.FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site():
    with reader.served() as address:
        yield address


@pytest.fixture(scope="module")
def axe():
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
