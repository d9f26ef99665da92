"""The Python side of "Run this page" (book/_static/live/kernel.py), in this Python: what a cell needs, shows, glues."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings

import matplotlib.pyplot as plt
import pytest
from places import BOOK

STUBS = ("IPython", "IPython.display", "myst_nb", "claims")


@pytest.fixture
def kernel():
    """A fresh kernel; the modules that it stands in for come back afterwards."""
    spec = importlib.util.spec_from_file_location("live_kernel", BOOK / "_static" / "live" / "kernel.py")
    module = importlib.util.module_from_spec(spec)
    kept = {name: sys.modules.get(name) for name in STUBS}
    plt.close("all")  # figures of other tests on this worker would be shown too
    with warnings.catch_warnings():
        spec.loader.exec_module(module)
        module.prepare()
        yield module
    for name, old in kept.items():
        if old is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = old


def run(kernel, source, number=0, hidden=False):
    return json.loads(kernel.run(source, number, hidden))


def names(kernel, source):
    found = json.loads(kernel.analyse(source))
    return set(found["reads"]), set(found["writes"])


def test_a_cell_reads_the_names_that_it_uses_also_inside_functions_and_comprehensions(kernel):
    reads, writes = names(kernel, "def f(a):\n    return a + b\nx = [k * c for k in range(n)]\nimport math as m")
    assert {"b", "c", "n"} <= reads
    assert {"f", "x", "m"} == writes


@pytest.mark.parametrize(
    "source", ["d['x'] = 1", "d.x = 1", "d['x'].iloc[0] = 1", "d += 1", "d.sort()", "del d['x']", "e, d['x'] = 1, 2"]
)
def test_a_cell_that_changes_an_object_counts_as_its_maker(kernel, source):
    reads, writes = names(kernel, source)
    assert "d" in reads
    assert "d" in writes


def test_a_cell_that_only_looks_at_an_object_does_not_count_as_its_maker(kernel):
    reads, writes = names(kernel, "print(d.mean())\ny = d.sum()")
    assert "d" in reads
    assert writes == {"y"}


def test_whoever_draws_from_a_generator_changes_it(kernel):
    assert "rng" in names(kernel, "x = rng.normal(size=3)")[1]


def test_the_last_expression_of_a_cell_is_shown_and_a_semicolon_hides_it(kernel):
    assert run(kernel, "x = 2\nx + 1")["shown"] == [{"kind": "plain", "text": "3"}]
    assert run(kernel, "x + 1;")["shown"] == []
    assert run(kernel, "None")["shown"] == []


def test_a_table_is_shown_as_html_and_printed_text_stands_before_it(kernel):
    shown = run(kernel, "import pandas as pd\nprint('before')\npd.DataFrame({'a': [1]})")["shown"]
    assert [part["kind"] for part in shown] == ["stream", "html"]
    assert shown[0]["text"] == "before\n"


def test_every_open_figure_is_shown_once(kernel):
    source = "import matplotlib.pyplot as plt\nplt.subplots()\nplt.subplots();"
    shown = run(kernel, source)["shown"]
    assert [part["kind"] for part in shown] == ["svg", "svg"]
    assert run(kernel, "1")["shown"] == [{"kind": "plain", "text": "1"}]


def test_glued_numbers_take_the_format_of_their_sentence(kernel):
    source = "from claims import claim\nclaim('rate', 0.4943, theory=0.5, replicates=10_000)\nclaim('n', 7185)"
    assert set(run(kernel, source, hidden=True)["glued"]) == {"rate", "rate_theory", "rate_mcse", "n"}
    assert kernel.formatted("rate", ".0%") == "49%"
    assert kernel.formatted("rate_mcse", ".3f") == "0.005"
    assert kernel.formatted("n", ",") == "7,185"
    assert kernel.formatted("n", "s") == "7185"
    assert kernel.formatted("n", ".1f") == "7185.0"


def test_numpy_and_series_of_one_can_be_glued(kernel):
    run(kernel, "import numpy as np, pandas as pd\nfrom myst_nb import glue\nglue('a', np.float64(2.5), display=False)")
    assert kernel.formatted("a", ".2f") == "2.50"


def test_a_false_claim_does_not_stop_a_reader_who_changed_a_number(kernel):
    source = "from claims import claim\nclaim('x', 3.0, theory=2.0)\nclaim('y', 1.0, above=4)\nassert False"
    assert run(kernel, source, hidden=True)["error"] is None
    assert run(kernel, "assert False")["error"]["text"] == "AssertionError"


def test_an_error_names_the_line_of_the_readers_cell(kernel):
    run(kernel, "def f(x):\n    return 1 / x", number=3)
    error = run(kernel, "a = 1\nf(0)", number=4)["error"]
    assert error["text"] == "ZeroDivisionError: division by zero"
    assert [(s["cell"], s["line"], s["code"]) for s in error["steps"]] == [("4", 2, "f(0)"), ("3", 2, "return 1 / x")]


def test_a_typing_error_names_its_line(kernel):
    error = run(kernel, "a = 1\nb = (", number=0)["error"]
    assert error["text"].startswith("SyntaxError")
    assert error["steps"][0]["line"] == 2


def test_what_is_missing_is_told_apart_from_what_went_wrong(kernel):
    assert run(kernel, "import no_such_package")["error"]["missing"] == "no_such_package"
    error = run(kernel, "no_such_name + 1")["error"]
    assert (error["missing"], error["unknown"]) == (None, "no_such_name")


def test_a_warning_is_shown_in_one_line(kernel):
    shown = run(kernel, "import warnings\nwarnings.warn('too few groups')")["shown"]
    assert shown == [{"kind": "note", "text": "UserWarning: too few groups"}]


def test_quantiles_of_the_beta_distribution_stay_what_they_are_when_they_are_mended(kernel, monkeypatch):
    import numpy as np
    from scipy.stats import beta

    p = (np.arange(1000) + 0.5) / 1000
    before = beta.ppf(p, 2, 57)
    monkeypatch.setattr(type(beta), "_ppf", type(beta)._ppf)  # put back afterwards
    kernel.mend()
    np.testing.assert_allclose(beta.ppf(p, 2, 57), before, rtol=1e-9)


def test_an_import_is_told_apart_from_what_else_a_cell_makes(kernel):
    source = "import numpy as np\nfrom lmmsim import LMM, OLS\nx = np.ones(3)"
    found = json.loads(kernel.analyse(source))["imports"]
    assert found == {
        "np": "import numpy as np",
        "LMM": "from lmmsim import LMM, OLS",
        "OLS": "from lmmsim import LMM, OLS",
    }


def test_a_name_that_a_cell_makes_before_it_reads_it_is_not_needed_from_elsewhere(kernel):
    reads, _ = names(kernel, "for k in range(3):\n    y = k\n    print(y)\nwith f() as g:\n    print(g)")
    assert reads & {"k", "y", "g"} == set()
    assert "f" in reads
