"""What every test shares: one thread, no window, the reference numbers, the worlds."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import inspect
import json

import pytest
from places import REFERENCE

from lmmsim import scenarios


@pytest.fixture(scope="session")
def reference():
    """Read a file of reference numbers by its name."""

    def read(name):
        return json.loads((REFERENCE / f"{name}.json").read_text())

    return read


@pytest.fixture(params=scenarios.ALL, ids=lambda name: name.replace(" ", "-"))
def world(request):
    """Every scenario in turn, as (model, design)."""
    make = scenarios.ALL[request.param]
    return make(rng=20) if "rng" in inspect.signature(make).parameters else make()
