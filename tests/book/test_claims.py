"""What `claim` lets through, and what stops the build."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest
from places import BOOK

spec = importlib.util.spec_from_file_location("claims", BOOK / "claims.py")
claims = importlib.util.module_from_spec(spec)
spec.loader.exec_module(claims)
claim = claims.claim


@pytest.fixture
def glued(monkeypatch):
    """What was glued: name to (text, record)."""
    found = {}

    def keep(data, raw, metadata):
        (text,) = data.values()
        found[metadata["scrapbook"]["name"]] = text, metadata.get("claim")

    monkeypatch.setattr(claims, "display", keep)
    return found


def test_a_plain_number_is_glued_without_a_record(glued):
    claim("plots", 30)
    claim("gap", np.float64(2.5))
    claim("slope", pd.Series([1.5]))
    claim("name", "Catholic")
    assert glued == {"plots": ("30", None), "gap": ("2.5", None), "slope": ("1.5", None), "name": ("'Catholic'", None)}


def test_four_monte_carlo_errors_are_chance_and_more_are_not(glued):
    claim("rate", 0.519, theory=0.5, mcse=0.005, says="half of the surveys reject")
    assert glued["rate"][1]["says"] == "half of the surveys reject"
    assert (glued["rate_theory"][0], glued["rate_mcse"][0]) == ("0.5", "0.005")
    with pytest.raises(claims.FalseClaim, match=r"rate is 0.521 ± 0.005 by simulation and 0.5 by theory: 4.2"):
        claim("rate", 0.521, theory=0.5, mcse=0.005)


def test_the_error_of_a_rate_is_that_of_the_theory(glued):
    claim("rate", 0.0, theory=0.001, replicates=1000)  # an error made of the observed rate would be zero
    assert float(glued["rate_mcse"][0]) == pytest.approx((0.001 * 0.999 / 1000) ** 0.5)
    with pytest.raises(claims.FalseClaim, match="Monte-Carlo errors apart"):
        claim("rate", 0.0, theory=0.05, replicates=1000)


def test_without_chance_the_two_must_agree(glued):
    claim("same", 0.1 + 0.2, theory=0.3)
    with pytest.raises(claims.FalseClaim, match="no error is given"):
        claim("other", 0.3001, theory=0.3)
    claim("other", 0.3001, theory=0.3, within=0.001)
    with pytest.raises(claims.FalseClaim, match=r"further apart than 0\.001"):
        claim("third", 0.302, theory=0.3, within=0.001)


def test_bounds_hold_strictly(glued):
    claim("half", 0.52, above=0.45, below=0.55)
    assert (glued["half"][1]["above"], glued["half"][1]["below"]) == (0.45, 0.55)
    with pytest.raises(claims.FalseClaim, match=r"half is 0.5, and the sentence says more than 0.5"):
        claim("half", 0.5, above=0.5)
    with pytest.raises(claims.FalseClaim, match="less than 3"):
        claim("three", 3, below=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"value": "text", "above": 1}, "a text can be glued, not checked"),
        ({"value": None}, "no number"),
        ({"value": True}, "no number"),
        ({"value": 1.0, "mcse": 0.1}, "an error without a theory"),
        ({"value": 1.0, "theory": 1.0, "mcse": 0}, "the Monte-Carlo error is 0"),
        ({"value": 1.0, "theory": 1.0, "mcse": 0.1, "within": 0.1}, "not both"),
        ({"value": 7.0, "theory": 7.0, "replicates": 100}, "a rate between 0 and 1"),
    ],
)
def test_a_claim_that_checks_nothing_is_refused(glued, arguments, message):
    with pytest.raises(TypeError, match=message):
        claim("name", **arguments)
    assert glued == {}


def test_nothing_is_glued_for_what_is_not_a_number(glued):
    with pytest.raises(claims.FalseClaim, match="rate is nan"):
        claim("rate", float("nan"), theory=0.5, mcse=0.01)
    assert glued == {}
