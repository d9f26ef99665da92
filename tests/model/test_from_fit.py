"""A fit describes a world, and that world can be simulated."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from places import REFERENCE

from lmmsim import LMM, OLS, Model, simulate

DATA = REFERENCE / "data"


def read(name):
    return pd.read_csv(DATA / f"{name}.csv")


@pytest.fixture(scope="module")
def sleep():
    return read("sleepstudy").astype({"Subject": str})


def statsmodels_fit(formula, data, **how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return smf.mixedlm(formula, data, **how).fit(method="lbfgs")


def test_the_world_of_a_fit_has_its_estimates(sleep):
    fit = LMM("Reaction ~ Days + (Days | Subject)")(sleep)
    world = Model.from_fit(fit)
    assert world.beta == pytest.approx(fit.coef["estimate"].to_dict())
    np.testing.assert_allclose(world.random["Subject"].covariance(["Intercept", "Days"]), fit.random["Subject"])
    assert world.residual.sd == fit.sigma


def test_the_world_of_a_fit_can_be_simulated_on_its_own_design(sleep):
    world = Model.from_fit(LMM("Reaction ~ Days + (Days | Subject)")(sleep))
    design = sleep.drop(columns="Reaction")
    assert np.isfinite(simulate(world, design, rng=1).y).all()


def test_a_singular_fit_is_a_world_too():
    data = read("sim_singular_corr")
    with pytest.warns(UserWarning, match=r"this fit is singular: .* so give plausible numbers"):
        world = Model.from_fit(LMM("y ~ t + (t | g)")(data))
    assert np.linalg.eigvalsh(world.V(data)).min() > 0


@pytest.mark.parametrize(
    ("data", "fixed", "bars", "how"),
    [
        ("sleepstudy", "Reaction ~ Days", "(1 | Subject)", {"groups": "Subject"}),
        ("sleepstudy", "Reaction ~ Days", "(Days | Subject)", {"groups": "Subject", "re_formula": "~Days"}),
        (
            "pastes",
            "strength ~ 1",
            "(1 | batch) + (1 | batch:cask)",
            {"groups": "batch", "re_formula": "1", "vc_formula": {"cask": "0 + C(cask)"}},
        ),
    ],
)
def test_a_statsmodels_fit_gives_the_same_world_as_ours(data, fixed, bars, how):
    rows = read(data)
    theirs = Model.from_fit(statsmodels_fit(fixed, rows, **how))
    ours = Model.from_fit(LMM(f"{fixed} + {bars}")(rows))
    assert list(theirs.beta) == list(ours.beta)
    assert list(theirs.random) == list(ours.random)
    design = rows.drop(columns=fixed.split(" ~ ")[0])
    np.testing.assert_allclose(theirs.V(design), ours.V(design), rtol=2e-3, atol=1e-3 * ours.V(design).max())


def test_the_group_of_a_statsmodels_fit_may_be_given_as_a_column_of_values(sleep):
    by_name, by_values = (
        Model.from_fit(statsmodels_fit("Reaction ~ Days", sleep, groups=groups, re_formula="~Days"))
        for groups in ("Subject", sleep["Subject"])
    )
    assert list(by_values.random) == ["Subject"]
    design = sleep.drop(columns="Reaction")
    np.testing.assert_allclose(by_values.V(design), by_name.V(design))


def test_random_effects_of_a_factor_are_found_in_the_formula(sleep):
    data = sleep.assign(half=np.where(sleep["Days"] < 5, "first", "second"))
    world = Model.from_fit(statsmodels_fit("Reaction ~ Days", data, groups="Subject", re_formula="~half"))
    assert world.formula == "Reaction ~ Days + (1 + half | Subject)"
    assert np.isfinite(world.V(data)).all()


def test_a_statsmodels_fit_that_dropped_rows_knows_its_group(sleep):
    data = sleep.assign(Reaction=sleep["Reaction"].where(sleep.index > 3))
    world = Model.from_fit(statsmodels_fit("Reaction ~ Days", data, groups="Subject", missing="drop"))
    assert list(world.random) == ["Subject"]


def test_crossed_components_of_one_big_group_become_crossed_terms():
    rows = read("penicillin").assign(everything=1)
    how = {"groups": "everything", "vc_formula": {"plate": "0 + C(plate)", "sample": "0 + C(sample)"}}
    theirs = Model.from_fit(statsmodels_fit("diameter ~ 1", rows, **how))
    assert theirs.formula == "diameter ~ 1 + (1 | plate) + (1 | sample)"
    ours = LMM(theirs.formula)(rows)
    assert theirs.random["plate"].sds["Intercept"] ** 2 == pytest.approx(ours.random["plate"].iloc[0, 0], rel=0.01)


def test_a_component_that_is_not_a_column_says_how_to_name_it():
    rows = read("pastes").assign(box=lambda d: d["cask"])
    fit = statsmodels_fit("strength ~ 1", rows, groups="batch", re_formula="1", vc_formula={"vessel": "0 + C(box)"})
    with pytest.raises(ValueError, match="'vessel' is not a column of the data; name it in vc_formula by its column"):
        Model.from_fit(fit)


def test_a_fit_made_from_arrays_has_no_names(sleep):
    model = smf.mixedlm("Reaction ~ Days", sleep, groups="Subject")
    arrays = type(model)(model.endog, model.exog, groups=sleep["Subject"].to_numpy()).fit(method="lbfgs")
    with pytest.raises(ValueError, match="made from arrays"):
        Model.from_fit(arrays)


def test_a_regression_is_a_world_without_groups():
    data = read("sim_few_groups")
    world = Model.from_fit(OLS("y ~ trt")(data))
    assert world.random == {}
    assert len(simulate(world, data.drop(columns="y"), rng=1).y) == len(data)


def test_anything_else_is_refused():
    with pytest.raises(TypeError, match="not from dict"):
        Model.from_fit({})
