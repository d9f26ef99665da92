"""statsmodels as an estimator: the same model by another route, and guards against its traps."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE

from lmmsim.estimators.lmm import LMM
from lmmsim.estimators.mixedlm import StatsmodelsLMM, guarded_fit

DATA = REFERENCE / "data"


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"{name}.csv")


@pytest.mark.parametrize(
    ("name", "formula", "reml"),
    [
        ("sleepstudy", "Reaction ~ Days + (1 | Subject)", True),
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)", True),
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)", False),
        ("sleepstudy", "Reaction ~ Days + (Days || Subject)", False),
        ("pastes", "strength ~ 1 + (1 | batch/sample)", True),
        ("machines", "score ~ Machine + (1 | Worker:Machine) + (1 | Worker)", True),
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", True),
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", False),
    ],
)
def test_well_conditioned_fits_agree_with_ours(name, formula, reml):
    data = read(name)
    theirs, ours = StatsmodelsLMM(formula, reml=reml)(data), LMM(formula, reml=reml)(data)
    assert theirs.converged and not theirs.singular
    np.testing.assert_allclose(theirs.criterion, ours.criterion, atol=1e-5)
    np.testing.assert_allclose(theirs.beta, ours.beta, rtol=1e-5)
    np.testing.assert_allclose(theirs.coef["se"], ours.coef["se"], rtol=1e-3)
    for group, G in ours.random.items():
        assert list(theirs.random[group].index) == list(G.index)
        np.testing.assert_allclose(theirs.random[group], G, rtol=2e-3, atol=1e-3 * np.diag(G).max())
    scale = ours.u.std()
    pd.testing.assert_series_equal(theirs.u, ours.u, rtol=1e-3, atol=1e-3 * scale)
    np.testing.assert_allclose(theirs.u_var, ours.u_var, rtol=5e-3)
    np.testing.assert_allclose(theirs.fitted, ours.fitted, rtol=1e-4)


def test_group_effect_survives_beside_a_variance_component():
    """statsmodels drops the random intercept where vc_formula is given without re_formula."""
    fit = StatsmodelsLMM("strength ~ 1 + (1 | batch) + (1 | batch:cask)")(read("pastes"))
    assert list(fit.random) == ["batch", "batch:cask"]
    assert fit.random["batch"].iloc[0, 0] > 1  # lme4: 1.657


def test_the_reference_distribution_is_the_normal():
    fit = StatsmodelsLMM("Reaction ~ Days + (1 | Subject)")(read("sleepstudy"))
    assert np.isinf(fit.coef["df"]).all() and fit.method.endswith("z")


def test_nothing_is_printed_where_it_warns():
    """dyestuff2 has no variance between batches: the optimiser complains, `singular` and `message` say it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = StatsmodelsLMM("Yield ~ 1 + (1 | Batch)")(read("dyestuff2"))
    assert fit.singular and fit.message
    np.testing.assert_allclose(fit.criterion, 161.828, atol=5e-3)  # lme4.json, dyestuff2_REML
    assert np.isfinite(fit.coef["se"]).all()


class Stubborn:
    """A MixedLM whose first optimiser returns zeros and says that it converged (statsmodels issue 10239)."""

    def __init__(self, honest: str | None = "bfgs") -> None:
        self.honest, self.asked = honest, []

    def fit(self, reml, method):
        self.asked.append(method)
        good = method == self.honest
        return SimpleNamespace(fe_params=np.array([1.0 if good else 0.0]), converged=True, llf=-5.0)


def test_fixed_effects_of_exactly_zero_are_fitted_again():
    model = Stubborn()
    result, message = guarded_fit(model, reml=True, smallest=10.0)
    assert result.fe_params[0] == 1.0 and model.asked == [None, "lbfgs", "bfgs"]
    assert "optimiser default returned fixed effects of exactly 0.0" in message


def test_fixed_effects_that_stay_at_zero_are_not_believed():
    result, message = guarded_fit(Stubborn(honest="none of them"), reml=True, smallest=10.0)
    assert (result.fe_params == 0).all() and message.count("exactly 0.0") == 4


def test_an_optimiser_that_breaks_is_not_the_end():
    class Breaks(Stubborn):
        def fit(self, reml, method):
            if method is None:
                raise np.linalg.LinAlgError("Singular matrix")
            return super().fit(reml, method)

    result, message = guarded_fit(Breaks(), reml=True, smallest=10.0)
    assert result.fe_params[0] == 1.0 and "default failed: Singular matrix" in message


def test_a_standard_error_is_never_smaller_than_with_known_variances():
    """A slope without variance: the Hessian of all parameters is no maximum, and its inverse no covariance."""
    rng = np.random.default_rng(3)
    plot, week, rain = np.repeat(np.arange(12), 5), np.tile(np.arange(5.0), 12), rng.normal(size=60)
    height = 10 + 2 * week + rain + rng.normal(size=12)[plot] + rng.normal(size=60)
    data = pd.DataFrame({"plot": plot, "week": week, "rain": rain, "height": height})
    formula = "height ~ week + rain + (rain | plot)"
    theirs, ours = StatsmodelsLMM(formula)(data), LMM(formula)(data)
    np.testing.assert_allclose(theirs.criterion, ours.criterion, atol=1e-5)
    assert (theirs.coef["se"] > 0.999 * ours.coef["se"]).all()


@pytest.mark.slow
def test_an_optimiser_that_stalls_is_not_called_converged():
    """Days from 1000 on: statsmodels 0.15 stops 42 above the minimum and says that it converged."""
    data = read("sleepstudy").assign(Days=lambda d: d["Days"] + 1000)
    formula = "Reaction ~ Days + (Days | Subject)"
    fit = StatsmodelsLMM(formula)(data)
    gap = fit.criterion - LMM(formula)(data).criterion
    assert fit.converged == (abs(gap) < 0.01)
    assert fit.converged or "above the smallest -2 log-likelihood" in fit.message


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 28])
def test_what_is_called_converged_is_at_the_minimum(seed):
    """No variance between groups at all: the optimisers stop short of zero, or break."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(range(8), 4), "x": np.tile([0, 1, 2, 3], 8)})
    data["y"] = 5 + data["x"] + rng.normal(size=32)
    theirs, ours = StatsmodelsLMM("y ~ x + (x | g)")(data), LMM("y ~ x + (x | g)")(data)
    assert theirs.converged == (abs(theirs.criterion - ours.criterion) < 0.01)
    assert theirs.converged or theirs.message


def test_correlated_slopes_of_crossed_factors_are_refused():
    formula = "rt ~ cond + (cond | subj) + (1 | item)"
    with pytest.raises(
        ValueError, match=r"cannot have correlated random effects \(Intercept, cond \| subj\) beside item"
    ):
        StatsmodelsLMM(formula)(read("sim_crossed_unbalanced"))


def test_uncorrelated_slopes_of_crossed_factors_are_fitted():
    data, formula = read("sim_crossed_unbalanced"), "rt ~ cond + (cond || subj) + (1 | item)"
    theirs, ours = StatsmodelsLMM(formula)(data), LMM(formula)(data)
    np.testing.assert_allclose(theirs.criterion, ours.criterion, atol=1e-4)
    assert theirs.random["subj"].iloc[0, 1] == 0


def test_many_is_a_loop_with_the_same_numbers():
    data = read("sleepstudy")
    y = data["Reaction"].to_numpy()
    gaps = np.where(np.arange(180) % 7 == 0, np.nan, y)
    Y = np.stack([y, y + 5 * np.sin(np.arange(180)), gaps, np.ones(180), np.full(180, np.nan)], axis=1)
    analysis = StatsmodelsLMM("Reaction ~ Days + (Days | Subject)")
    many = analysis.many(Y, data)
    for j in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = analysis(data.assign(Reaction=Y[:, j]))
        np.testing.assert_allclose(many.estimate[j], fit.beta)
        np.testing.assert_allclose(many.se[j], fit.coef["se"])
        np.testing.assert_allclose(many.random["Subject"][j], fit.random["Subject"])
    assert not many.converged[3:].any()
    assert "is 1 in all rows" in many.message[3] and "is missing in all rows" in many.message[4]


def test_a_formula_without_random_effects_is_refused():
    with pytest.raises(ValueError, match="has no random effects"):
        StatsmodelsLMM("y ~ x")
