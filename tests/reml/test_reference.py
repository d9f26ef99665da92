"""The engine against lme4, lmerTest and pbkrtest: every fit of reference/lme4.json, alone and within a batch."""

import json

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE

from lmmsim.model.columns import build
from lmmsim.reml.engine import Engine

FITS = json.loads((REFERENCE / "lme4.json").read_text())["fits"]
FITS = FITS if isinstance(FITS, dict) else {fit["id"]: fit for fit in FITS}


def problem(fit):
    """Data, matrices and response of one reference fit."""
    data = pd.read_csv(REFERENCE / "data" / fit["data"])
    for name, levels in (fit["fixed_factor_levels"] or {}).items():
        data[name] = pd.Categorical(data[name].astype(str), categories=[str(level) for level in levels])
    matrices = build(fit["formula"], data)
    return matrices, data[matrices.response].to_numpy(float)


def numbers(value):
    """A list of numbers, also where the JSON has a single one."""
    return np.atleast_1d(np.array(value, dtype=float))


def fitted(fit, batch):
    """The engine and its solution, alone or as the middle one of three columns."""
    matrices, y = problem(fit)
    engine = Engine(matrices.X.to_numpy(), matrices.terms)
    noise = np.random.default_rng(1).normal(size=(2, y.size)) * y.std()
    Y = np.column_stack([y + noise[0], y, y + noise[1]]) if batch else y
    return matrices, engine, engine.fit(Y, reml=fit["REML"]), Y, 1 if batch else 0


@pytest.fixture(scope="module", params=[(key, batch) for key in FITS for batch in (False, True)], ids=str)
def case(request):
    key, batch = request.param
    return FITS[key], *fitted(FITS[key], batch)


def test_criterion_and_coefficients_match_lme4(case):
    fit, _, _, solution, _, i = case
    assert solution.converged[i]
    assert solution.message[i] == ""
    assert solution.singular[i] == fit["singular"]
    assert solution.criterion[i] == pytest.approx(fit["criterion"], abs=1e-5)
    se = numbers(fit["se"])
    assert np.all(np.abs(solution.beta[i] - numbers(fit["beta"])) < 1e-5 * se)
    np.testing.assert_allclose(np.sqrt(np.diag(solution.vcov[i])), se, rtol=1e-5)
    vcov = np.atleast_2d(np.array(fit["vcov_beta"], dtype=float))
    np.testing.assert_allclose(solution.vcov[i], vcov, rtol=1e-4, atol=1e-6 * np.abs(vcov).max())


def test_variances_match_lme4(case):
    fit, matrices, _, solution, _, i = case
    assert solution.sigma[i] ** 2 == pytest.approx(fit["sigma2"], rel=1e-3)
    places = {}  # lme4 names a second bar of the same group "group.1"
    for place, term in enumerate(matrices.terms):
        earlier = sum(same_group(term.group, other.group) for other in matrices.terms[:place])
        places[":".join(sorted(term.group.split(":"))) + (f".{earlier}" if earlier else "")] = place
    for name, want in fit["varcorr"].items():
        diagonal = np.diag(solution.covariances[places[":".join(sorted(name.split(":")))]][i])
        cov = np.atleast_2d(np.array(want["cov"], dtype=float))
        np.testing.assert_allclose(diagonal, np.diag(cov), rtol=1e-3, atol=1e-6 * fit["sigma2"])


def test_degrees_of_freedom_match_lmertest_and_pbkrtest(case):
    fit, _, engine, solution, _, i = case
    df = engine.satterthwaite(solution)[i]
    np.testing.assert_allclose(df, numbers(fit["satterthwaite"]["df"]), rtol=1e-2)
    if fit["REML"]:
        vcov, df = engine.kenward_roger(solution)
        np.testing.assert_allclose(df[i], numbers(fit["kenward_roger"]["df"]), rtol=1e-2)
        np.testing.assert_allclose(np.sqrt(np.diag(vcov[i])), numbers(fit["kenward_roger"]["se_adj"]), rtol=1e-4)


def test_conditional_modes_match_lme4(case):
    fit, matrices, engine, solution, Y, i = case
    modes, variances = engine.modes(solution, Y), engine.mode_variances(solution)
    for want in fit["ranef"]:
        mine = [t for t, term in enumerate(matrices.terms) if same_group(term.group, want["group"])]
        levels = [":".join(sorted(str(level).split(":"))) for level in matrices.terms[mine[0]].levels]
        where = [levels.index(":".join(sorted(str(level).split(":")))) for level in want["levels"]]
        got = np.concatenate([modes[t][i][where] for t in mine], axis=1)
        expected = np.array(want["modes"], dtype=float).reshape(got.shape)
        np.testing.assert_allclose(got, expected, atol=1e-4 * (np.abs(expected).max() + 1e-9))
        first = np.concatenate([np.diag(variances[t][i][where[0]]) for t in mine])
        want_first = np.diag(np.atleast_2d(np.array(want["condvar_first_level"], dtype=float)))
        if np.isnan(want_first).all():
            continue  # lme4 1.1-31 gives none for `||`
        np.testing.assert_allclose(first, want_first, rtol=1e-3, atol=1e-9 * fit["sigma2"])


def same_group(mine, theirs):
    """Group names, whatever the order in an interaction."""
    return sorted(mine.split(":")) == sorted(theirs.split(":"))
