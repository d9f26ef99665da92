"""Where no flags tell NumPy that a matrix is not positive definite, as in a browser, results are the same."""

from __future__ import annotations

import numpy as np
import pytest

from lmmsim import LMM, Model, crossed, performance, study

plain = np.linalg.cholesky


def silent(matrices):
    """NumPy's function in WebAssembly: NaN, and no error."""
    try:
        return plain(matrices)
    except np.linalg.LinAlgError:
        return np.full(np.shape(matrices), np.nan)


@pytest.mark.parametrize("sd", [0.0, 20.0])
def test_a_study_is_the_same_without_flags(sd, monkeypatch):
    design = crossed(person=12, trial=4, condition=[-0.5, 0.5])
    world = Model(
        "rt ~ condition + (condition | person)",
        beta={"Intercept": 800.0, "condition": 0.0},
        random={"person": {"Intercept": 100.0, "condition": sd}},
        residual=200.0,
    )
    once = performance(study(world, design, {"LMM": LMM(world.formula)}, 60, rng=1, progress=False), full=True)
    monkeypatch.setattr(np.linalg, "cholesky", silent)
    again = performance(study(world, design, {"LMM": LMM(world.formula)}, 60, rng=1, progress=False), full=True)
    np.testing.assert_allclose(again.to_numpy(float), once.to_numpy(float), rtol=1e-6)
