"""Mixed models whose residuals have a structure: against nlme, against V written out, and against themselves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimators.residual_cases import FITS, Dense, data_of, spec
from places import BOOK
from scipy.optimize import minimize
from scipy.stats import chi2

from lmmsim import (
    AR1,
    IID,
    LMM,
    OLS,
    CompoundSymmetry,
    Model,
    Unstructured,
    assign,
    compare,
    crossed,
    exact_power,
    simulate_many,
)
from lmmsim.diagnostics.influence import influence
from lmmsim.diagnostics.residuals import residuals
from lmmsim.diagnostics.serial import lag_correlation
from lmmsim.reml import structured
from lmmsim.reml.structured import numbers_of
from lmmsim.reml.whitened import Whitened


def analysis(fit):
    return LMM(fit["formula"], reml=fit["REML"], residual=spec(fit))


@pytest.fixture(scope="module", params=list(FITS))
def case(request):
    fit = FITS[request.param]
    data = data_of(fit)
    return fit, data, analysis(fit)(data)


def test_criterion_coefficients_and_errors_match_nlme(case):
    fit, _, own = case
    assert own.converged
    assert own.singular == fit["singular"]
    assert own.criterion == pytest.approx(fit["criterion"], abs=1e-6)
    se = np.array(fit["se"])
    assert (np.abs(own.beta - fit["beta"]) < 1e-5 * se).all()
    np.testing.assert_allclose(own.coef["se"], se, rtol=1e-5)
    np.testing.assert_allclose(own.vcov, fit["vcov_beta"], rtol=1e-3, atol=1e-5 * np.abs(fit["vcov_beta"]).max())
    assert own.npar == fit["npar"]


def test_degrees_of_freedom_count_the_numbers_of_the_residual(case):
    fit, _, own = case
    if fit["satterthwaite"] is None:
        assert own.singular
        return
    np.testing.assert_allclose(own.coef["df"], fit["satterthwaite"]["df"], rtol=1e-4)
    np.testing.assert_allclose(own.coef["p"], fit["satterthwaite"]["p"], rtol=1e-3)


def test_sds_and_correlations_match_nlme(case):
    fit, _, own = case
    correlation, variance = fit["residual"]["correlation"], fit["residual"]["variance"]
    if variance:
        sds = (
            [own.components["sd", "residual", level] for level in variance["levels"]]
            if not _unstructured(fit)
            else [own.components["sd", "residual", str(time)] for time in correlation["times"]]
        )
        np.testing.assert_allclose(sds, variance["sds"], rtol=1e-4)
    else:
        assert own.components["sd", "residual", ""] == pytest.approx(fit["sigma"], rel=1e-4)
    if correlation and "rho" in correlation:
        assert own.components["corr", "residual", "rho"] == pytest.approx(correlation["rho"], abs=1e-4)
    if _unstructured(fit):
        times = correlation["times"]
        for i in range(len(times)):
            for j in range(i):
                name = f"{times[j]}, {times[i]}"
                assert own.components["corr", "residual", name] == pytest.approx(correlation["corr"][i][j], abs=1e-4)
    for group, G in fit["varcorr"].items():
        np.testing.assert_allclose(own.random[group], G["cov"], rtol=1e-3, atol=1e-4 * np.abs(G["cov"]).max())


def _unstructured(fit):
    return (fit["residual"]["correlation"] or {}).get("type") == "unstructured"


def test_the_equation_of_the_fit_has_the_covariance_that_nlme_has(case):
    fit, _, own = case
    rows = np.array(fit["V_example"]["rows"])
    V = np.array(fit["V_example"]["V"])
    np.testing.assert_allclose(own.equation.V_of(rows), V, rtol=1e-3, atol=1e-4 * V.max())


def test_conditional_modes_match_nlme(case):
    fit, _, own = case
    for group in fit.get("ranef", ()):
        table = own.u[group["group"]].unstack()
        names = [name.replace("(Intercept)", "Intercept") for name in group["columns"]]
        expected = pd.DataFrame(group["modes"], index=group["levels"])
        table.index = table.index.map(str)
        np.testing.assert_allclose(table[names], expected.loc[table.index], atol=1e-4 * np.abs(expected).max().max())


def test_a_fit_is_the_same_alone_and_as_a_column_of_a_batch(case):
    fit, data, own = case
    noise = np.random.default_rng(1).normal(size=(2, len(data))) * own.y.std() / 3
    Y = np.column_stack([own.y + noise[0], own.y, own.y + noise[1]])
    many = analysis(fit).many(Y, data)
    assert many.criterion[1] == pytest.approx(own.criterion, abs=1e-7)
    np.testing.assert_allclose(many.estimate[1], own.beta, rtol=1e-5, atol=1e-5 * own.coef["se"].min())
    if not own.singular:
        np.testing.assert_allclose(many.df[1], own.coef["df"], rtol=1e-4)
    for name, value in own.components.items():
        assert many.components[name][1] == pytest.approx(value, abs=1e-4 * own.sigma, nan_ok=True)


@pytest.mark.parametrize("key", [key for key in FITS if "|" in FITS[key]["formula"]])
def test_whitening_gives_what_V_gives(key):
    """Two ways to the same numbers: V block by block, and the engine for independent residuals on whitened rows."""
    fit = FITS[key]
    data = data_of(fit)
    own = analysis(fit)(data)
    engine = Whitened(own.matrices.X.to_numpy(), own.matrices.terms, numbers_of(spec(fit), data))
    solution = engine.fit(own.y, reml=fit["REML"], df=True)
    assert solution.criterion[0] == pytest.approx(own.criterion, abs=1e-5)
    assert (np.abs(solution.beta[0] - own.beta) < 1e-4 * own.coef["se"]).all()
    np.testing.assert_allclose(engine.modes(solution, own.y)[0][0], own.modes[0], atol=1e-4 * own.y.std())
    np.testing.assert_allclose(engine.mode_variances(solution)[0][0], own.mode_variances[0], rtol=1e-3, atol=1e-9)
    if not own.singular:
        np.testing.assert_allclose(engine.satterthwaite(solution)[0], own.coef["df"], rtol=1e-3)
        L = np.ones((1, len(own.beta)))
        np.testing.assert_allclose(
            engine.satterthwaite(solution, L),
            own.conditional.engine.satterthwaite(own.conditional.solution, L),
            rtol=1e-3,
        )


@pytest.mark.parametrize(
    ("reml", "time", "criterion"),
    # nlme 3.1-162: gls(weight ~ Time * Diet, correlation = corCAR1(form = ~ Time | Chick), weights = varIdent(form =
    # ~ 1 | Time), control = glsControl(maxIter = 500, msMaxIter = 1000)); with k, the number of the weighing, corAR1
    [(True, "Time", 3871.17077), (False, "Time", 3877.01296), (True, "k", 3891.50290)],
)
def test_the_better_of_two_optima_is_found_for_chickens_whose_sds_grow(reml, time, criterion):
    chicks = pd.read_csv(BOOK / "data" / "chickweight.csv").rename(columns=str.capitalize)
    chicks["Diet"] = "d" + chicks["Diet"].astype(str)
    chicks["k"] = chicks["Time"].rank(method="dense")
    fit = LMM("Weight ~ Time * Diet", reml=reml, residual=AR1(unit="Chick", time=time, by="Time"))(chicks)
    assert fit.converged
    assert fit.criterion == pytest.approx(criterion, abs=1e-4)


# -- V written out ------------------------------------------------------------------------------------------------


def patients(rng, n=14, times=(0.0, 1.0, 2.5, 3.0), arms=("a", "b")):
    """Uneven times, a covariate, some visits missing, two sites."""
    design = crossed(patient=n, month=list(times))
    design = assign(design, to="patient", arm=list(arms))
    rng = np.random.default_rng(rng)
    design["x"] = rng.normal(size=len(design))
    design["n"] = rng.integers(1, 9, size=len(design))
    design["y"] = (
        3
        + design["x"]
        + rng.normal(size=n)[design.groupby("patient", sort=False).ngroup()]
        + rng.normal(size=len(design)) * np.where(design["arm"] == "a", 1.0, 2.0)
    )
    return design[rng.random(len(design)) > 0.15].reset_index(drop=True)


def same(data, column):
    codes = pd.factorize(data[column])[0]
    return codes[:, None] == codes


def fading(data, rho):
    times = data["month"].to_numpy(float)
    return np.where(same(data, "patient"), np.abs(rho) ** np.abs(times[:, None] - times), 0.0)


def by_arm(data, a, b):
    s = np.where(data["arm"] == "a", np.exp(a), np.exp(b))
    return s[:, None] * s


def expit(z):
    return 1 / (1 + np.exp(-z))


DENSE = {
    "AR1 by arm": (
        "y ~ x + month",
        dict(residual=AR1(unit="patient", time="month", by="arm")),
        lambda d, v: by_arm(d, v[0], v[1]) * fading(d, expit(v[2])),
        [0.0, 0.3, 0.0],
    ),
    "AR1 beside an intercept": (
        "y ~ x + (1 | patient)",
        dict(residual=AR1(unit="patient", time="month")),
        lambda d, v: np.exp(2 * v[0]) * fading(d, expit(v[1])) + v[2] ** 2 * same(d, "patient"),
        [0.3, -1.0, 0.6],
    ),
    "sds by arm beside an intercept": (
        "y ~ x + arm + (1 | patient)",
        dict(residual=IID(by="arm")),
        lambda d, v: by_arm(d, v[0], v[1]) * np.eye(len(d)) + v[2] ** 2 * same(d, "patient"),
        [0.0, 0.3, 0.8],
    ),
    "compound symmetry by arm": (
        "y ~ x",
        dict(residual=CompoundSymmetry(unit="patient", by="arm")),
        lambda d, v: by_arm(d, v[0], v[1]) * np.where(np.eye(len(d)), 1.0, np.tanh(v[2]) * same(d, "patient")),
        [0.0, 0.3, 0.2],
    ),
    "known precisions": (
        "y ~ x + (1 | patient)",
        dict(weights="n"),
        lambda d, v: np.exp(2 * v[0]) * np.diag(1 / d["n"]) + v[1] ** 2 * same(d, "patient"),
        [0.5, 0.8],
    ),
    "known precisions in an AR1": (
        "y ~ x",
        dict(residual=AR1(unit="patient", time="month"), weights="n"),
        lambda d, v: np.exp(2 * v[0]) * fading(d, expit(v[1])) / np.sqrt(np.outer(d["n"], d["n"])),
        [0.5, 0.0],
    ),
    "a known rho": (
        "y ~ x + (1 | patient)",
        dict(residual=AR1(rho=0.3, unit="patient", time="month")),
        lambda d, v: np.exp(2 * v[0]) * fading(d, 0.3) + v[1] ** 2 * same(d, "patient"),
        [0.3, 0.6],
    ),
}


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", DENSE)
def test_fits_are_the_optimum_of_the_likelihood_written_out(name, reml):
    formula, settings, V, start = DENSE[name]
    data = patients(3)
    fit = LMM(formula, reml=reml, **settings)(data)
    X = fit.matrices.X.to_numpy()
    dense = Dense(lambda v: V(data, v), X, fit.y, reml)
    best = dense.optimum(np.array(start))
    assert fit.criterion == pytest.approx(best.fun, abs=1e-5)
    _, C, beta, _ = dense.gls(best.x)
    assert (np.abs(fit.beta - beta) < 1e-4 * np.sqrt(np.diag(C))).all()
    np.testing.assert_allclose(fit.vcov, C, rtol=1e-3, atol=1e-6)
    df = [dense.df(best.x, row) for row in np.eye(len(beta))]
    np.testing.assert_allclose(fit.coef["df"], df, rtol=5e-3)
    np.testing.assert_allclose(fit.equation.V, V(data, best.x), rtol=1e-3, atol=1e-4 * fit.sigma**2)


def test_unstructured_residuals_beside_sites_are_the_optimum_of_the_likelihood_written_out():
    data = patients(5, n=30, times=(0.0, 1.0, 2.0))
    data["site"] = pd.factorize(data["patient"])[0] % 6
    rng = np.random.default_rng(2)
    data["y"] += 2 * rng.normal(size=6)[data["site"]]
    fit = LMM("y ~ x + arm + (1 | site)", residual=Unstructured(unit="patient", time="month"))(data)
    times = data["month"].astype(int).to_numpy()

    def V(v):
        L = np.zeros((3, 3))
        L[np.tril_indices(3)] = v[:6]
        return (L @ L.T)[times[:, None], times] * same(data, "patient") + v[6] ** 2 * same(data, "site")

    dense = Dense(V, fit.matrices.X.to_numpy(), fit.y)
    best = dense.optimum(np.array([1.5, 0.5, 1.5, 0.5, 0.5, 1.5, 1.5]))
    assert fit.criterion == pytest.approx(best.fun, abs=1e-5)
    df = [dense.df(best.x, row) for row in np.eye(3)]
    np.testing.assert_allclose(fit.coef["df"], df, rtol=5e-3)


# -- what must agree with itself ----------------------------------------------------------------------------------

GROWTH = Model(
    "y ~ week * arm + (1 | plot)",
    {"Intercept": 10.0, "week": 1.0, "arm[T.b]": 0.0, "week:arm[T.b]": 0.3},
    random={"plot": 1.0},
    residual=AR1(sd=1.0, rho=0.6, unit="plot", time="week"),
)
PLOTS = assign(crossed(plot=20, week=[0, 1, 2, 3, 4, 5]), to="plot", arm=["a", "b"])
ESTIMATED = {
    "AR1": AR1(unit="plot", time="week"),
    "AR1 by arm": AR1(unit="plot", time="week", by="arm"),
    "by arm": IID(by="arm"),
    "a known rho": AR1(rho=0.6, unit="plot", time="week"),
}


@pytest.mark.parametrize("name", ESTIMATED)
def test_rows_that_are_absent_and_values_that_are_missing_are_the_same(name):
    lmm = LMM(GROWTH.formula, residual=ESTIMATED[name])
    Y = simulate_many(GROWTH, PLOTS, 6, rng=2)
    gone = np.random.default_rng(3).random(Y.shape) < 0.2
    gone[:, 3:] = gone[:, [3]]  # the same rows are missing in several replicates
    gone[:, 0] = False
    many = lmm.many(np.where(gone, np.nan, Y), PLOTS)
    for k in range(6):
        here = ~gone[:, k]
        fit = lmm(PLOTS[here].assign(y=Y[here, k]))
        assert many.criterion[k] == pytest.approx(fit.criterion, abs=1e-6)
        np.testing.assert_allclose(many.estimate[k], fit.beta, atol=1e-4 * fit.coef["se"].min())
        np.testing.assert_allclose(many.df[k], fit.coef["df"], rtol=1e-3)


def test_the_order_of_the_rows_and_the_names_of_the_units_do_not_matter():
    y = simulate_many(GROWTH, PLOTS, 1, rng=4)[:, 0]
    data = PLOTS.assign(y=y)
    mixed = data.sample(frac=1, random_state=1)
    mixed["plot"] = pd.Categorical(mixed["plot"].map(lambda name: name[::-1]))
    one, other = (LMM(GROWTH.formula, residual=ESTIMATED["AR1 by arm"])(d) for d in (data, mixed))
    assert one.criterion == pytest.approx(other.criterion, abs=1e-7)
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize("factor", [1 / 7, 24.0])
def test_the_unit_of_time_only_changes_rho(factor):
    data = patients(8)
    other = data.assign(month=data["month"] * factor)
    one, two = (LMM("y ~ x", residual=AR1(unit="patient", time="month"))(d) for d in (data, other))
    assert one.criterion == pytest.approx(two.criterion, abs=1e-6)
    assert one.residual.rho == pytest.approx(two.residual.rho**factor, rel=1e-3)


def test_one_correlation_of_pairs_is_a_random_intercept_where_it_is_positive():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=4)[:, 0])
    one = LMM("y ~ week * arm", residual=CompoundSymmetry(unit="plot"))(data)
    other = LMM("y ~ week * arm + (1 | plot)")(data)
    assert one.criterion == pytest.approx(other.criterion, abs=1e-7)
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-4, atol=1e-10)


def test_a_negative_correlation_is_found_where_a_random_intercept_stops_at_zero():
    world = Model("y ~ 1", {"Intercept": 0.0}, residual=CompoundSymmetry(sd=1.0, rho=-0.4, unit="pot"))
    design = crossed(pot=200, plant=2)
    fit = LMM("y ~ 1", residual=CompoundSymmetry(unit="pot"))(design.assign(y=simulate_many(world, design, 1, rng=1)))
    assert fit.residual.rho == pytest.approx(-0.4, abs=4 * (1 - 0.4**2) / np.sqrt(200))


def test_without_any_structure_generalised_least_squares_are_ordinary():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=4)[:, 0])
    one, other = LMM("y ~ week * arm", residual=IID())(data), OLS("y ~ week * arm")(data)
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-6, atol=1e-12)


def test_weights_are_those_of_weighted_least_squares():
    data = patients(6)
    fit = LMM("y ~ x", weights="n")(data)
    X, w = fit.matrices.X.to_numpy(), data["n"].to_numpy(float)
    C = np.linalg.inv(X.T @ (w[:, None] * X))
    beta = C @ X.T @ (w * data["y"])
    sigma2 = (w * (data["y"] - X @ beta) ** 2).sum() / (len(data) - 2)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-9)
    np.testing.assert_allclose(fit.vcov, sigma2 * C, rtol=1e-9)
    np.testing.assert_allclose(fit.coef["df"], len(data) - 2, rtol=1e-6)


def test_means_weighted_by_their_number_are_the_analysis_of_the_single_values():
    """The within-group variance apart, which the means do not show: with sigma known both have one likelihood."""
    rng = np.random.default_rng(5)
    schools = pd.DataFrame({"school": np.repeat(np.arange(12), rng.integers(2, 9, 12))})
    schools["y"] = rng.normal(size=12)[schools["school"]] + rng.normal(size=len(schools))
    means = schools.groupby("school")["y"].agg(["mean", "size"]).reset_index()
    means["district"] = np.arange(12) % 4
    schools["district"] = schools["school"] % 4
    by_mean = LMM("mean ~ 1 + (1 | district)", weights="size", df="kenward-roger")(means)
    assert by_mean.residual.R(by_mean.data).toarray()[0, 0] == pytest.approx(by_mean.sigma**2 / means["size"][0])


# -- what a fit says ----------------------------------------------------------------------------------------------


def test_a_fit_says_what_its_residuals_are():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=4)[:, 0])
    fit = LMM(GROWTH.formula, residual=ESTIMATED["AR1"])(data)
    text = f"residual sd {fit.sigma:.4g}, AR(1) with rho {fit.residual.rho:.3g} per week within plot"
    assert text in repr(fit)
    assert text in fit._repr_html_()
    assert ("corr", "residual", "rho") in fit.components.index
    assert fit.npar == 4 + 1 + 2
    several = LMM(GROWTH.formula, residual=ESTIMATED["AR1 by arm"])(data)
    assert "residual sd by arm; AR(1) with rho" in repr(several)
    assert several.npar == fit.npar + 1
    assert several.sd.loc["residual", "sd"].index.tolist() == ["a", "b"]


@pytest.mark.parametrize("name", ESTIMATED)
def test_a_world_is_made_of_a_fit_and_simulated_from(name):
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=4)[:, 0])
    fit = LMM(GROWTH.formula, residual=ESTIMATED[name])(data)
    world = Model.from_fit(fit)
    assert world.residual == fit.residual
    np.testing.assert_allclose(world.V(PLOTS), fit.equation.V)
    boot = fit.bootstrap(20, rng=1)
    assert boot.estimates.converged.all()
    assert set(fit.components.index) <= set(boot.draws.columns)


def test_least_squares_are_compared_with_generalised_ones_in_one_likelihood():
    """OLS has the restricted likelihood of the same model by REML, whose residuals are independent."""
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=4)[:, 0])
    plain, large = OLS("y ~ week * arm")(data), LMM("y ~ week * arm", residual=ESTIMATED["AR1"])(data)
    same = LMM("y ~ week * arm", residual=IID())(data)
    table = compare(plain, large)
    assert table["chisq"].iloc[1] == pytest.approx(same.criterion - large.criterion, abs=1e-6)
    assert table["df"].iloc[1] == 1


def test_comparisons_count_the_numbers_of_the_residual():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=4)[:, 0])
    small = LMM(GROWTH.formula, reml=False)(data)
    large = LMM(GROWTH.formula, reml=False, residual=ESTIMATED["AR1"])(data)
    table = compare(small, large)
    assert table["npar"].tolist() == [6, 7]
    assert table["df"].iloc[1] == 1
    assert table["chisq"].iloc[1] == pytest.approx(small.criterion - large.criterion)


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AR1(unit="", time="week"), "AR1 needs unit='the column with the unit'"),
        (lambda: LMM("y ~ x", residual=AR1(sd=1.0, unit="g", time="t")), "leave sd out of AR1"),
        (lambda: LMM("y ~ x", residual=IID(by="x"), df="kenward-roger"), "not available for residuals of the kind IID"),
        (lambda: LMM("y ~ x"), "has no random effects"),
        (lambda: Unstructured(corr=0.5, unit="g", time="t"), "given corr but no sd"),
        (lambda: Unstructured(sd=2.0, unit="g", time="t"), "an sd for each time"),
        (lambda: Unstructured(sd={0: 1.0, 1: 1.0, 2: 1.0}, corr=-0.9, unit="g", time="t"), "impossible correlations"),
        (lambda: Model("y ~ 1", {"Intercept": 0.0}, residual=AR1(unit="g", time="t")), "AR1 leaves out sd and rho"),
        (lambda: Model("y ~ 1", {"Intercept": 0.0}, residual=IID()), "IID leaves out sd"),
        (lambda: LMM("y ~ x", residual=IID(weights="n"), weights="m"), "named twice"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_residual_is_refused():
    with pytest.raises(TypeError, match="residual is one of IID, AR1, CompoundSymmetry, Unstructured"):
        LMM("y ~ x + (1 | g)", residual="AR1")


@pytest.mark.parametrize(
    ("formula", "residual", "change", "message"),
    [
        ("y ~ week", AR1(unit="arm", time="week"), {}, "residuals of arm 'a': two rows at week 0; one row per week"),
        ("y ~ week", AR1(unit="plot", time="arm"), {}, "'arm' holds no numbers"),
        ("y ~ week", AR1(unit="row", time="week"), {}, "every 'row' has one row: .* cannot be told"),
        ("y ~ week", CompoundSymmetry(unit="row"), {}, "every 'row' has one row"),
        ("y ~ week", AR1(unit="pot", time="week"), {}, "'pot' is not a column of the data"),
        ("y ~ week", Unstructured(unit="arm", time="week"), {}, "residuals of arm 'a': two rows at week 0"),
        (
            "y ~ week",
            Unstructured(unit="plot", time="week"),
            {"plots": 5},
            "21 variances and covariances for 6 times of 'week', which 5 plots cannot tell",
        ),
        ("y ~ week", Unstructured(unit="plot", time="half"), {}, "have both 'early 0' and 'late 0' of 'half'"),
        ("y ~ week + (1 | plot)", Unstructured(unit="plot", time="week"), {}, r"all that \(Intercept \| plot\) could"),
        ("y ~ week + (1 | plot)", CompoundSymmetry(unit="plot"), {}, "drop one of them"),
        ("y ~ week + (1 | plot)", AR1(unit="plot", time="week"), {"weeks": [0, 1]}, "cannot tell the numbers of"),
        ("y ~ week", IID(weights="minus"), {}, "the weight 'minus' is -1 in row 0"),
        ("y ~ week", IID(weights="arm"), {}, "the weights 'arm' are no numbers"),
    ],
)
def test_designs_that_cannot_tell_are_refused_in_words(formula, residual, change, message):
    data = PLOTS.assign(y=np.random.default_rng(1).normal(size=len(PLOTS)), row=np.arange(len(PLOTS)), minus=-1.0)
    early = np.where(pd.factorize(data["plot"])[0] < 10, "early ", "late ")
    data["half"] = early + data["week"].astype(str).to_numpy()
    if "plots" in change:
        data = data[pd.factorize(data["plot"])[0] < change["plots"]]
    if "weeks" in change:
        data = data[data["week"].isin(change["weeks"])]
    with pytest.raises(ValueError, match=message):
        LMM(formula, residual=residual)(data)


# -- what is asked of a fit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ESTIMATED)
def test_a_fit_of_its_own_model_looks_right_to_diagnose(name):
    world = Model(GROWTH.formula, GROWTH.beta, GROWTH.random, AR1(sd=1.0, rho=0.6, unit="plot", time="week"))
    data = PLOTS.assign(y=simulate_many(world, PLOTS, 1, rng=9)[:, 0])
    fit = LMM(GROWTH.formula, residual=ESTIMATED[name])(data)
    V = fit.equation.V
    R, X = fit.equation.R.toarray(), fit.matrices.X.to_numpy()
    P = np.linalg.inv(V)
    P -= P @ X @ np.linalg.solve(X.T @ P @ X, X.T @ P)
    np.testing.assert_allclose(fit.residuals, R @ P @ fit.y, atol=1e-6 * fit.sigma)
    standard = residuals(fit)["standardised"]
    np.testing.assert_allclose(standard, fit.residuals / np.sqrt(np.diag(R @ P @ R)), rtol=1e-5, atol=1e-8)


def test_serial_correlation_is_seen_without_and_gone_with_the_right_residual():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=11)[:, 0])
    wrong = lag_correlation(LMM(GROWTH.formula)(data), time="week", unit="plot", replicates=199, rng=1).verdict
    right = lag_correlation(
        LMM(GROWTH.formula, residual=ESTIMATED["AR1"])(data), time="week", unit="plot", replicates=199, rng=1
    )
    assert wrong["p"].iloc[0] < 0.02
    assert right.verdict["p"].iloc[0] > 0.05


def test_influence_refits_with_the_same_residual():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=9)[:, 0])
    lmm = LMM(GROWTH.formula, residual=ESTIMATED["AR1 by arm"])
    table = influence(lmm(data), replicates=19, rng=1).table
    without = lmm(data[data["plot"] != table.index[3]])
    fit = lmm(data)
    np.testing.assert_allclose(
        table.filter(like="change").iloc[3], (without.beta - fit.beta) / fit.coef["se"], rtol=1e-3, atol=1e-5
    )
    ratio = without.components["sd", "residual", "b"] / fit.components["sd", "residual", "b"]
    assert table["ratio residual b"].iloc[3] == pytest.approx(ratio, rel=1e-3)


def _dense_of(fit, reml):
    """The likelihood of a fit from V written out, as a function of its components one after the other."""
    z, same = fit.data["plot"].to_numpy(), fit.data["plot"].to_numpy()
    together = (z[:, None] == same).astype(float)
    gap = np.abs(fit.data["week"].to_numpy()[:, None] - fit.data["week"].to_numpy())
    names = list(fit.components.index)
    arm = (fit.data["arm"] == "b").to_numpy()

    def V(values):
        value = dict(zip(names, values, strict=True))
        first = value.get(("sd", "residual", ""), value.get(("sd", "residual", "a")))
        sd = np.where(arm, value.get(("sd", "residual", "b"), first), first)
        out = np.outer(sd, sd) * together * np.sign(value["corr", "residual", "rho"]) ** gap
        out *= np.abs(value["corr", "residual", "rho"]) ** gap
        return out + value.get(("sd", "plot", "Intercept"), 0.0) ** 2 * together

    return Dense(V, fit.matrices.X.to_numpy(), fit.y, reml)


@pytest.mark.parametrize(
    "kind, formula",
    [("AR1", "y ~ week * arm"), ("AR1", "y ~ week * arm + (1 | plot)"), ("AR1 by arm", "y ~ week * arm")],
)
@pytest.mark.parametrize("reml", [True, False])
def test_the_profile_of_the_residuals_numbers_ends_where_v_written_out_says(kind, formula, reml):
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=9)[:, 0])
    fit = LMM(formula, reml=reml, residual=ESTIMATED[kind])(data)
    table, dense = fit.profile().drop(index="coef", level="part"), _dense_of(fit, reml)
    assert list(table.index) == list(fit.components.index)
    assert (table["criterion"] == ("REML" if reml else "ML")).all()
    best = fit.components.to_numpy()
    np.testing.assert_allclose(table["estimate"], best, rtol=1e-4)
    for i, key in enumerate(table.index):
        for end in table.loc[key, ["low", "high"]]:
            if key[0] == "sd" and end == 0:
                assert dense(np.where(np.arange(len(best)) == i, 0, best)) > dense(best)
                continue

            def held(rest, i=i, end=end):
                return dense(np.insert(rest, i, end))

            lowest = minimize(held, np.delete(best, i), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-6})
            assert lowest.fun - dense(best) == pytest.approx(chi2.ppf(0.95, 1), abs=5e-3)


def test_every_number_of_a_residual_has_a_profile():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=9)[:, 0])
    kinds = [(GROWTH.formula, residual) for residual in ESTIMATED.values()]
    kinds += [("y ~ week * arm", CompoundSymmetry(unit="plot")), ("y ~ week", Unstructured(unit="plot", time="week"))]
    for formula, residual in kinds:
        fit = LMM(formula, residual=residual)(data)
        table = fit.profile()
        estimated = [key for key in fit.components.index if getattr(residual, "rho", None) is None or key[2] != "rho"]
        assert list(table.drop(index="coef", level="part").index) == estimated
        assert ((table["low"] <= table["estimate"]) & (table["estimate"] <= table["high"])).all(), residual


def test_the_profile_with_known_precisions_is_that_of_the_rows_that_the_means_stand_for():
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"g": np.repeat(np.arange(8), 12), "cell": np.repeat(np.arange(32), 3)})
    rows["y"] = rng.normal(size=8)[rows["g"]] + rng.normal(size=96)
    means = rows.groupby(["g", "cell"], as_index=False)["y"].mean().assign(n=3)
    weighted = LMM("y ~ 1 + (1 | g)", weights="n")(means).profile()
    plain = LMM("y ~ 1 + (1 | g)")(means).profile()
    key, residual = ("sd", "g", "Intercept"), ("sd", "residual", "")
    shape = ["estimate", "low", "high"]
    np.testing.assert_allclose(weighted.loc[key, shape].astype(float), plain.loc[key, shape].astype(float), rtol=1e-4)
    ratio = weighted.loc[residual, shape].astype(float) / plain.loc[residual, shape].astype(float)
    np.testing.assert_allclose(ratio, np.sqrt(3), rtol=1e-4)


def test_a_profile_of_large_blocks_with_a_structure_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(structured, "WORK", 0)
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=9)[:, 0])
    fit = LMM(GROWTH.formula, residual=ESTIMATED["AR1"])(data)
    assert isinstance(fit.conditional.engine, Whitened)
    with pytest.raises(ValueError, match="not available for residuals with a structure in a design whose groups tie"):
        fit.profile()


@pytest.mark.parametrize(
    "residual",
    [
        AR1(sd={"a": 1.0, "b": 2.0}, by="arm", rho=0.5, unit="plot", time="week"),
        CompoundSymmetry(sd={"a": 1.0, "b": 2.0}, by="arm", rho=0.3, unit="plot"),
        Unstructured(sd=dict(enumerate([1.0, 1.2, 1.1, 1.5, 2.0, 2.1])), corr=0.5, unit="plot", time="week"),
    ],
    ids=lambda residual: type(residual).__name__,
)
def test_exact_power_has_the_degrees_of_freedom_that_fits_scatter_around(residual):
    world = Model("y ~ week * arm", GROWTH.beta, residual=residual)
    design = assign(crossed(plot=40, week=[0, 1, 2, 3, 4, 5]), to="plot", arm=["a", "b"])
    exact = exact_power(world, design)
    left = [name for name in ("sd", "rho", "corr") if hasattr(residual, name)]
    lmm = LMM("y ~ week * arm", residual=replace(residual, **dict.fromkeys(left)))
    many = lmm.many(simulate_many(world, design, 150, rng=1), design)
    assert many.converged.all()
    spread = many.df.std(axis=0) / np.sqrt(150)
    assert (np.abs(many.df.mean(axis=0) - exact["df"]) < 5 * spread + 0.05 * exact["df"]).all()
    size = many.estimate.std(axis=0)
    assert (np.abs(size - exact["se"]) < 4 * exact["se"] / np.sqrt(2 * 150)).all()


def test_a_drawn_unstructured_residual_has_the_covariance_that_is_asked_for():
    residual = Unstructured(
        sd={"v1": 1.0, "v2": 2.0, "v3": 3.0}, corr={("v1", "v2"): 0.5, ("v2", "v3"): -0.4}, unit="patient", time="visit"
    )
    design = crossed(patient=1, visit=["v1", "v2", "v3"])
    Y = simulate_many(Model("y ~ 1", {"Intercept": 0.0}, residual=residual), design, 40_000, rng=1)
    expected = np.array([[1.0, 1.0, 0.0], [1.0, 4.0, -2.4], [0.0, -2.4, 9.0]])
    error = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / 40_000)
    assert (np.abs(np.cov(Y) - expected) < 4 * error).all()


@pytest.mark.slow
def test_the_right_residual_keeps_its_level_and_independent_ones_do_not():
    names = ["Intercept", "week", "arm[T.b]", "week:arm[T.b]"]
    world = Model("y ~ week * arm", dict.fromkeys(names, 0.0), residual=AR1(1.0, 0.6, "plot", time="week"))
    design = assign(crossed(plot=16, week=list(range(8))), to="plot", arm=["a", "b"])
    Y = simulate_many(world, design, 2000, rng=1)
    right = LMM(world.formula, residual=AR1(unit="plot", time="week")).many(Y, design)
    wrong = LMM(f"{world.formula} + (1 | plot)").many(Y, design)
    error = np.sqrt(0.05 * 0.95 / 2000)
    assert right.converged.all()
    assert (np.abs((right.p < 0.05).mean(axis=0) - 0.05) < 4 * error).all()
    assert (wrong.p[:, [1, 3]] < 0.05).mean() > 0.1


@pytest.mark.slow
def test_an_unstructured_covariance_keeps_its_level_when_patients_leave():
    sds = {"v1": 5.0, "v2": 6.0, "v3": 7.5, "v4": 9.0}
    names = ["Intercept", *(f"visit[T.v{k}]" for k in (2, 3, 4)), "arm[T.b]"]
    names += [f"visit[T.v{k}]:arm[T.b]" for k in (2, 3, 4)]
    residual = Unstructured(sd=sds, corr=0.6, unit="patient", time="visit")
    world = Model("y ~ visit * arm", dict.fromkeys(names, 0.0), residual=residual)
    design = assign(crossed(patient=40, visit=list(sds)), to="patient", arm=["a", "b"])
    Y = simulate_many(world, design, 600, rng=1)
    last = np.random.default_rng(2).geometric(0.15, size=(40, 600))
    Y[np.tile(np.arange(1, 5), 40)[:, None] > np.repeat(last, 4, axis=0)] = np.nan
    fits = LMM(world.formula, residual=Unstructured(unit="patient", time="visit")).many(Y, design)
    assert fits.converged.mean() > 0.99
    error = np.sqrt(0.05 * 0.95 / 600)
    assert (np.abs(np.nanmean(fits.p < 0.05, axis=0) - 0.05) < 4 * error).all()


def test_a_new_group_has_the_residual_sd_of_its_level():
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=9)[:, 0])
    fit = LMM("y ~ 1 + (1 | plot)", residual=IID(by="arm"))(data)
    sd = fit.predict(data, kind="new group")["sd"]
    own = data["arm"].map(fit.residual.sd).astype(float)
    expected = np.sqrt(fit.vcov.iloc[0, 0] + fit.random["plot"].iloc[0, 0] + own**2)
    np.testing.assert_allclose(sd, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("small", "large", "inside"),
    [
        (IID(), AR1(unit="plot", time="week"), True),
        (AR1(unit="plot", time="week"), AR1(unit="plot", time="week", by="arm"), True),
        (IID(by="arm"), AR1(unit="plot", time="week"), False),
        (AR1(unit="plot", time="week"), IID(by="arm"), False),
        (CompoundSymmetry(unit="plot"), AR1(unit="plot", time="week", by="arm"), False),
        (AR1(unit="plot", time="week"), Unstructured(unit="plot", time="week"), True),
        (AR1(unit="plot", time="week", by="arm"), Unstructured(unit="plot", time="week"), False),
    ],
)
def test_only_nested_residuals_are_compared_by_likelihood(small, large, inside):
    data = PLOTS.assign(y=simulate_many(GROWTH, PLOTS, 1, rng=9)[:, 0])
    fits = [LMM("y ~ week * arm", residual=residual)(data) for residual in (small, large)]
    if inside:
        assert compare(*fits)["chisq"].iloc[1] >= 0
    else:
        with pytest.raises(ValueError, match=r"is not contained in that of the second|has 6 parameters and the second"):
            compare(*fits)
