"""A diagnosis says in words what it found, and takes statsmodels' fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lmmsim import LMM, diagnose, scenarios, simulate
from lmmsim.diagnostics.verdicts import CHECKS, opening, sentence


@pytest.fixture(scope="module")
def bent():
    """Plants that grow along a curve, fitted by a line."""
    model, design = scenarios.plant_growth(plots=21)
    data = simulate(model, design, rng=1).data
    return data.assign(height=data["height"] + 2.0 * (data["week"] - 2) ** 2)


def test_a_missing_curve_is_named_in_a_sentence(bent):
    found = diagnose(LMM("height ~ week * fertilizer + (week | plot)")(bent), rng=1, replicates=99)
    [line] = [words for words in found.words if words.startswith("linearity week")]
    assert "more than chance makes (p = 0.01): it bends, so a curve is missing." in line
    assert 'See the page "Checking assumptions".' in line
    assert line.split(":")[0] in repr(found) and "checks, of which" in repr(found)
    assert "<li>linearity week" in found._repr_html_()


def test_a_curve_that_is_in_the_formula_is_not_missed(bent):
    found = diagnose(LMM("height ~ (week + I(week**2)) * fertilizer + (week | plot)")(bent), rng=1, replicates=99)
    [line] = [words for words in found.words if words.startswith("linearity week")]
    assert "no more than chance makes" in line


def test_every_check_of_a_diagnosis_has_its_words(bent):
    found = diagnose(LMM("height ~ week * fertilizer + (week | plot)")(bent), rng=1, replicates=9)
    assert {name.split(" ")[0] for name in found.summary.index} <= set(CHECKS)
    assert len(found.words) == len(found.summary)


def test_the_opening_says_how_many_small_p_chance_alone_makes():
    summary = pd.DataFrame({"p": [0.5] * 19 + [0.01]})
    assert opening(summary).startswith("20 checks, of which 1 shows more than chance makes;")
    assert "where all assumptions hold, about 1.0 of 20 do so by chance" in opening(summary)
    assert "this could not be worked out" in sentence("slopes week | plot", float("nan"))


def test_a_fit_of_statsmodels_is_repeated_and_said(bent):
    from statsmodels.formula.api import mixedlm

    model, design = scenarios.plant_growth(plots=21)
    data = simulate(model, design, rng=2).data
    theirs = mixedlm("height ~ week * fertilizer", data, groups="plot", re_formula="~week").fit()
    found = diagnose(theirs, rng=1, replicates=9)
    own = diagnose(LMM("height ~ week * fertilizer + (1 + week | plot)")(data), rng=1, replicates=9)
    assert found.note.startswith(
        "statsmodels' fit was repeated by LMM('height ~ week * fertilizer + (1 + week | plot)') on the same rows; its "
    )
    assert repr(found).startswith("statsmodels' fit was repeated") and own.note == ""
    np.testing.assert_allclose(found.summary.to_numpy(), own.summary.to_numpy(), rtol=1e-5)
    with pytest.raises(TypeError, match="a fit of LMM or OLS is needed"):
        diagnose(bent)
