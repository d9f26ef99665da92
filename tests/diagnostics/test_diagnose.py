"""Diagnostics: every table is what a few lines of plain pandas say, and no check cries wolf."""

import runpy

import numpy as np
import pandas as pd
import pytest
from places import TOP

from lmmsim import AR1, IID, Model, Random, assign, crossed, draws, nested, scenarios, simulate
from lmmsim.diagnostics.diagnose import diagnose
from lmmsim.diagnostics.influence import influence
from lmmsim.diagnostics.lineup import lineup
from lmmsim.diagnostics.quantiles import random_qq, residual_qq
from lmmsim.diagnostics.refits import refits, verdict
from lmmsim.diagnostics.residuals import least_confounded, pivots, residuals, simulated_residuals
from lmmsim.diagnostics.serial import lag_correlation
from lmmsim.diagnostics.trends import linearity, scale_location, slopes
from lmmsim.estimators.least_squares import OLS, GroupMeans, Within
from lmmsim.estimators.lmm import LMM


@pytest.fixture(scope="module")
def plants():
    """Plant growth, two rows missing, the index unusual."""
    data = simulate(*scenarios.plant_growth(plots=18, weeks=5), rng=1).data
    return data.drop(index=[3, 20]).set_index(pd.Index([f"row {i}" for i in range(88)]))


@pytest.fixture(scope="module")
def fit(plants):
    return LMM("height ~ week * fertilizer + (week | plot)")(plants)


@pytest.fixture(scope="module")
def refit(fit):
    return refits(fit, replicates=39, rng=2)


@pytest.fixture(scope="module")
def words():
    """Subjects crossed with items, unbalanced: one block, two grouping factors."""
    data = simulate(*scenarios.subjects_items(subjects=9, items=6), rng=3).data.sample(48, random_state=1)
    return LMM("rt ~ frequency + (1 | subject) + (1 | item)")(data)


def dense(fit):
    """V, P and X of a fit, n x n."""
    X = fit.matrices.X.to_numpy()
    V = Model.from_fit(fit).V(fit.data)
    W = np.linalg.inv(V)
    return V, W - W @ X @ np.linalg.inv(X.T @ W @ X) @ X.T @ W, X


# -- residuals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["fit", "words"])
def test_residuals_add_up_to_the_response(which, request):
    fit = request.getfixturevalue(which)
    table = residuals(fit)
    y = fit.data[fit.matrices.response]
    pd.testing.assert_series_equal(table["fixed"] + table["marginal"], y, check_names=False)
    pd.testing.assert_series_equal(table["fitted"] + table["conditional"], y, check_names=False)


@pytest.mark.parametrize("which", ["fit", "words"])
def test_conditional_residuals_are_standardised_by_their_own_sd(which, request):
    fit = request.getfixturevalue(which)
    P = dense(fit)[1]
    conditional = fit.sigma**2 * P @ fit.y
    np.testing.assert_allclose(residuals(fit)["conditional"], conditional, atol=1e-6 * fit.sigma)
    expected = conditional / (fit.sigma**2 * np.sqrt(np.diagonal(P)))
    np.testing.assert_allclose(residuals(fit)["standardised"], expected, rtol=1e-4, atol=1e-6)


def test_least_confounded_residuals_know_nothing_of_the_random_effects(plants, fit):
    slopes = fit.data["plot"].cat.codes if hasattr(fit.data["plot"], "cat") else pd.factorize(fit.data["plot"])[0]
    effects = 30 * np.sin(slopes) + 8 * np.cos(slopes) * plants["week"]
    moved = LMM(fit.formula)(plants.assign(height=plants["height"] + effects + 5 * plants["week"]))
    here, there = (least_confounded(f).table["sample"].sort_index() for f in (fit, moved))
    np.testing.assert_allclose(here, there, atol=1e-7)


def test_least_confounded_residuals_do_not_depend_on_the_last_digits_of_a_processor():
    """In a balanced design all rows are equally good, and rounding differs from computer to computer."""
    from scipy.linalg import qr

    X = np.kron(np.eye(10), np.ones((6, 1)))
    M = np.eye(len(X)) - X @ np.linalg.pinv(X)
    free = len(X) - np.linalg.matrix_rank(X)
    rng = np.random.default_rng(1)
    others = [M + 1e-15 * rng.normal(size=M.shape) for _ in range(5)]
    assert all((pivots(other, free) == pivots(M, free)).all() for other in others)
    by_qr = [set(qr(other, pivoting=True, mode="r")[1][:free]) for other in others]
    assert any(rows != by_qr[0] for rows in by_qr), "a control: without the rule the rows differ"


def test_the_rows_of_least_confounded_residuals_are_the_pivots_of_a_projection():
    from scipy.linalg import qr

    X = np.random.default_rng(2).normal(size=(40, 7))
    M = np.eye(40) - X @ np.linalg.pinv(X)
    np.testing.assert_array_equal(pivots(M, 33), np.sort(qr(M, pivoting=True, mode="r")[1][:33]))


def test_least_confounded_residuals_keep_the_residual_sum_of_squares(fit):
    X, Z = fit.matrices.X.to_numpy(), Model.from_fit(fit).Z(fit.data).toarray()
    both = np.hstack([X, Z])
    left = fit.y - both @ np.linalg.lstsq(both, fit.y, rcond=None)[0]
    table = least_confounded(fit).table
    assert len(table) == fit.nobs - np.linalg.matrix_rank(both)
    assert (table["sample"] ** 2).sum() == pytest.approx((left**2).sum())
    assert set(table.index) <= set(fit.data.index)


def test_least_confounded_residuals_stay_near_their_own_eps():
    made = simulate(*scenarios.classrooms(schools=6, classrooms=3, pupils=8, rng=1), rng=5)
    sample = least_confounded(LMM(made.model.formula)(made.data)).table["sample"]
    assert np.corrcoef(sample, made.eps[sample.index])[0, 1] > 0.85


@pytest.mark.parametrize("residual", [IID({"a": 1.0, "b": 8.0}, by="arm"), AR1(2.0, rho=0.8, unit="g", time="t")])
def test_least_confounded_residuals_of_a_right_residual_structure_are_normal(residual):
    """A mixture of two spreads is not normal, and neighbors that resemble each other spread more unevenly by chance."""
    design = assign(crossed(g=20, t=range(8)), to="g", arm=["a", "b"])
    world = Model("y ~ t + (1 | g)", {"Intercept": 0.0, "t": 1.0}, {"g": 2.0}, residual)
    told = IID(by="arm") if isinstance(residual, IID) else AR1(unit="g", time="t")
    right, plain = LMM(world.formula, residual=told), LMM(world.formula)
    data = [simulate(world, design, rng=k).data for k in range(60)]
    p = np.array([[least_confounded(lmm(d)).verdict["p"].iloc[0] for lmm in (right, plain)] for d in data])
    alarms = (p < 0.05).mean(axis=0)
    assert alarms[0] < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 60)
    if isinstance(residual, IID):
        assert alarms[1] > 0.9


# -- refits ------------------------------------------------------------------------------------------------------------


def test_the_real_data_come_first(fit, refit):
    np.testing.assert_array_equal(refit.Y[:, 0], fit.y)
    np.testing.assert_allclose(refit.conditional[:, 0], fit.resid, atol=1e-5)
    np.testing.assert_allclose(refit.modes[0][0].ravel(), fit.u, atol=1e-4)
    V = dense(fit)[0]
    np.testing.assert_allclose(refit.sd[:, 0], np.sqrt(np.diagonal(V)), rtol=1e-4)


def test_each_simulated_data_set_is_analysed_as_the_real_one(fit, refit):
    again = LMM(fit.formula)(fit.data.assign(height=refit.Y[:, 5]))
    np.testing.assert_allclose(refit.conditional[:, 5], again.resid, atol=1e-4)
    np.testing.assert_allclose(refit.modes[0][5].ravel(), again.u, atol=1e-3)


def test_the_same_rng_gives_the_same_refits(fit, refit):
    np.testing.assert_array_equal(refits(fit, 39, rng=2).Y, refit.Y)
    assert not np.array_equal(refits(fit, 39, rng=3).Y[:, 1], refit.Y[:, 1])


@pytest.mark.parametrize(
    ("sided", "observed", "p"), [(1, 9.5, 1 / 10), (1, -1.0, 1.0), (2, 9.5, 2 / 10), (2, 4.5, 1.0)]
)
def test_p_is_the_share_at_least_as_extreme(sided, observed, p):
    row = verdict("it", np.array([observed, *range(1, 10)], dtype=float), sided).iloc[0]
    assert row["p"] == pytest.approx(p)
    assert row["replicates"] == 9


def test_replicates_without_a_statistic_do_not_count():
    row = verdict("it", np.array([2.0, 1.0, np.nan, 3.0]), 1).iloc[0]
    assert row["replicates"] == 2
    assert np.isnan(verdict("it", np.array([np.nan, 1.0, 2.0]), 1)["p"].iloc[0])


# -- tables are what pandas says ---------------------------------------------------------------------------------------


def test_random_qq_orders_the_predicted_effects(fit, refit):
    table = random_qq(refit).table
    for term, part in table.groupby("term"):
        expected = fit.u["plot"].xs(term, level="term").sort_values()
        np.testing.assert_allclose(part["sample"], expected, atol=1e-4)
        assert part["level"].tolist() == expected.index.tolist()
        assert (np.diff(part["theoretical"]) > 0).all()


def test_the_bands_of_quantile_plots_hold_95_percent_of_the_points_of_a_true_model():
    design = crossed(plot=10, week=[0, 1, 2, 3])
    model = Model("y ~ 1 + (1 | plot)", {"Intercept": 0.0}, {"plot": 2.0}, 1.0)
    inside = []
    for k in range(100):
        refit = refits(LMM(model.formula)(simulate(model, design, rng=1, replicate=k).data), replicates=199, rng=k)
        tables = [random_qq(refit).table, residual_qq(refit).table]
        inside.append([table["sample"].between(table["low"], table["high"]).mean() for table in tables])
    # the ends are themselves estimated from 199 simulated data sets: between them lie 95 % of 198 / 200
    share, mcse = np.mean(inside, axis=0), np.std(inside, axis=0, ddof=1) / np.sqrt(100)
    assert (np.abs(share - 0.95 * 198 / 200) < 4 * mcse).all()


def test_residual_qq_orders_the_residuals(fit, refit):
    table = residual_qq(refit).table
    np.testing.assert_allclose(table["sample"], fit.resid.sort_values(), atol=1e-4)
    assert table.index.tolist() == fit.resid.sort_values().index.tolist()


def test_linearity_averages_residuals(fit, refit):
    table = linearity(refit, "week").table.set_index("at")
    expected = fit.resid.groupby(fit.data["week"].astype(float)).agg(["count", "mean"])
    np.testing.assert_allclose(table["mean"], expected["mean"], atol=1e-5)
    assert table["n"].tolist() == expected["count"].tolist()


def test_a_covariate_of_groups_is_looked_at_with_marginal_residuals():
    design = nested(school=12, pupil=6)
    size = design["school"].map(dict(zip(design["school"].unique(), np.linspace(-1, 1, 12), strict=True))).astype(float)
    design = design.assign(size=size)
    model = Model("y ~ size + (1 | school)", {"Intercept": 0.0, "size": 1.0}, {"school": 1.0}, 1.0)
    fit = LMM(model.formula)(simulate(model, design, rng=1).data)
    table = linearity(fit, "size", bins=4, replicates=19, rng=1).table
    marginal = residuals(fit)["marginal"]
    classes = np.repeat(np.arange(4), 18)
    np.testing.assert_allclose(table["mean"], marginal.groupby(classes).mean(), atol=1e-5)


def test_scale_location_measures_the_spread(fit, refit):
    table = scale_location(refit, by="fertilizer").table.set_index("at")
    expected = np.sqrt((fit.resid**2).groupby(fit.data["fertilizer"], observed=True).mean())
    np.testing.assert_allclose(table["spread"], expected.loc[table.index], atol=1e-5)
    by_fitted = scale_location(refit, bins=4).table
    assert by_fitted["n"].tolist() == [22, 22, 22, 22]
    ordered = fit.resid.loc[fit.fitted.sort_values().index].to_numpy()
    np.testing.assert_allclose(by_fitted["spread"], np.sqrt((ordered.reshape(4, 22) ** 2).mean(axis=1)), atol=1e-4)


def test_slopes_are_those_of_each_group(fit, refit):
    table = slopes(refit, "week").table.set_index("level")
    for plot, rows in fit.data.groupby("plot", observed=True):
        line = np.polyfit(rows["week"], fit.resid.loc[rows.index], 1)
        assert table.loc[plot, "slope"] == pytest.approx(line[0], abs=1e-4)


def test_lag_correlation_pairs_rows_of_a_unit(fit, refit):
    table = lag_correlation(refit, "week").table.set_index("lag")
    both = fit.data.assign(r=fit.resid).pipe(lambda d: d.merge(d, on="plot"))
    both = both[both["week_x"] < both["week_y"]]
    for lag, pairs in both.groupby(both["week_y"] - both["week_x"]):
        products = (pairs["r_x"] * pairs["r_y"]).sum() / np.sqrt((pairs["r_x"] ** 2).sum() * (pairs["r_y"] ** 2).sum())
        assert table.loc[lag, "pairs"] == len(pairs)
        assert table.loc[lag, "correlation"] == pytest.approx(products, abs=1e-5)
        assert table.loc[lag, "semivariance"] == pytest.approx(
            ((pairs["r_x"] - pairs["r_y"]) ** 2).mean() / 2, rel=1e-4
        )


def test_many_different_lags_are_classed():
    rng = np.random.default_rng(1)
    data = crossed(id=10, visit=range(6)).assign(day=lambda d: rng.uniform(0, 100, len(d)), y=rng.normal(size=60))
    table = lag_correlation(OLS("y ~ 1")(data), "day", unit="id", lags=5, replicates=9, rng=1).table
    assert table["pairs"].sum() == 10 * 15
    assert len(table) == 5
    assert table["lag"].is_monotonic_increasing


def test_scaled_residuals_are_the_share_of_simulations_below(fit, refit):
    table = simulated_residuals(refit).table
    below = (refit.fresh < fit.y[:, None]).sum(axis=1)
    np.testing.assert_allclose(table["scaled"], (below + 0.5) / (refit.fresh.shape[1] + 1), atol=1 / 40 + 1e-9)
    np.testing.assert_array_equal(table["observed"], fit.y)


# -- influence ---------------------------------------------------------------------------------------------------------


def test_leaving_a_group_out_is_fitting_the_others(plants, fit):
    table = influence(fit, replicates=0).table
    for plot in table.index[:3]:
        others = LMM(fit.formula)(plants[plants["plot"] != plot])
        moved = others.beta - fit.beta
        assert table.loc[plot, "cooks"] == pytest.approx(moved @ np.linalg.solve(fit.vcov_beta, moved) / 6, rel=1e-3)
        assert table.loc[plot, "change week"] == pytest.approx(moved[1] / fit.coef.loc["week", "se"], abs=1e-3)
        assert table.loc[plot, "ratio residual"] == pytest.approx(others.sigma / fit.sigma, rel=1e-4)
        ratio = np.sqrt(others.random["plot"].loc["week", "week"] / fit.random["plot"].loc["week", "week"])
        assert table.loc[plot, "ratio plot week"] == pytest.approx(ratio, rel=1e-3)


def test_leaving_a_group_out_fits_the_residual_of_the_others_anew(plants):
    analysis = LMM("height ~ week + (1 | plot)", residual=AR1(unit="plot", time="week"))
    fit = analysis(plants)
    table = influence(fit, replicates=0).table
    assert len(table) > 8 and table["converged"].all()
    for plot in table.index[::6]:
        others = analysis(plants[plants["plot"] != plot])
        assert table.loc[plot, "change week"] * fit.coef.loc["week", "se"] == pytest.approx(
            others.beta[1] - fit.beta[1], abs=1e-4 * fit.coef.loc["week", "se"]
        )
        assert table.loc[plot, "ratio residual"] == pytest.approx(others.sigma / fit.sigma, rel=1e-3)


@pytest.mark.parametrize("group", ["subject", "item"])
def test_kept_variances_give_the_gls_of_the_others(words, group):
    table = influence(words, group, keep_variances=True, replicates=0).table
    V, _, X = dense(words)
    level = table.index[2]
    rest = (words.data[group] != level).to_numpy()
    W = np.linalg.inv(V[np.ix_(rest, rest)])
    moved = np.linalg.solve(X[rest].T @ W @ X[rest], X[rest].T @ W @ words.y[rest]) - words.beta
    C = np.linalg.inv(X.T @ np.linalg.inv(V) @ X)
    assert table.loc[level, "cooks_kept"] == pytest.approx(moved @ np.linalg.solve(C, moved) / 2, rel=1e-3)
    assert table["n"].sum() == words.nobs


def test_a_group_that_alone_tells_a_coefficient_has_no_distance():
    design = assign(nested(school=7, pupil=5), to="school", method=["usual", "new"], counts=[6, 1])
    model = Model("y ~ method + (1 | school)", {"Intercept": 0.0, "method[T.new]": 1.0}, {"school": 1.0}, 1.0)
    data = simulate(model, design, rng=1).data
    table = influence(LMM(model.formula)(data), replicates=19, rng=1).table
    alone = data.loc[data["method"] == "new", "school"].iloc[0]
    assert np.isnan(table.loc[alone, ["cooks", "cooks_kept"]].astype(float)).all()
    assert not table.loc[alone, "converged"]
    assert table.drop(index=alone)[["cooks", "cooks_kept"]].notna().all().all()


# -- line-up -----------------------------------------------------------------------------------------------------------


def test_one_panel_of_a_lineup_is_real(plants, fit):
    hidden = lineup(fit, rng=5)
    real = [i + 1 for i, frame in enumerate(hidden.frames) if (frame["height"] == plants["height"]).all()]
    assert real == [hidden.reveal()]
    assert len(hidden) == 20
    assert sorted(hidden.table["panel"].unique()) == list(range(1, 21))
    np.testing.assert_allclose(hidden.frames[hidden.reveal() - 1]["conditional"], fit.resid, atol=1e-5)
    assert set(hidden.frames[0]) == set(plants) | {"fitted", "marginal", "conditional"}


def test_the_place_is_sealed_and_drawn(fit):
    places = [lineup(fit, rng=seed, n=4).reveal() for seed in range(24)]
    assert set(places) == {1, 2, 3, 4}
    assert places == [lineup(fit, rng=seed, n=4).reveal() for seed in range(24)]
    hidden = lineup(fit, rng=5, n=4)
    assert str(hidden) == "Lineup of 4 panels; reveal() says which is real"
    assert not any(isinstance(value, int) for value in vars(hidden).values())


def test_lineups_that_cannot_be_made_are_refused(plants, fit):
    with pytest.raises(ValueError, match="at least 2 panels, got 1"):
        lineup(fit, n=1)
    with pytest.raises(ValueError, match=r"data has 10 rows, not those of the fit \(88\)"):
        lineup(fit, plants.head(10))


# -- diagnose ----------------------------------------------------------------------------------------------------------


def test_diagnose_asks_everything(plants, fit):
    before = plants.copy()
    diagnosis = diagnose(fit, rng=1, replicates=19)
    assert list(diagnosis.checks) == [
        "random_qq",
        "residual_qq",
        "least_confounded",
        "linearity week",
        "scale_location fitted",
        "scale_location week",
        "scale_location fertilizer",
        "slopes week",
        "lag_correlation week",
        "simulated_residuals",
        "influence plot",
    ]
    assert list(diagnosis.summary.columns) == ["statistic", "low", "high", "p", "replicates"]
    assert diagnosis.summary["p"].between(0, 1).all()
    assert diagnosis.summary.index.is_unique
    pd.testing.assert_frame_equal(diagnosis["linearity week"], diagnosis.checks["linearity week"].table)
    pd.testing.assert_frame_equal(diagnosis["slopes week | plot"], diagnosis["slopes week"])
    pd.testing.assert_frame_equal(diagnosis["dispersion"], diagnosis["simulated_residuals"])
    pd.testing.assert_frame_equal(diagnosis.residuals, residuals(fit))
    pd.testing.assert_frame_equal(plants, before)
    pd.testing.assert_frame_equal(diagnose(fit, rng=1, replicates=19).summary, diagnosis.summary)
    with pytest.raises(KeyError, match="there is no check 'qq'; there are random_qq, residual_qq"):
        diagnosis["qq"]


def test_every_world_can_be_diagnosed(world):
    model, design = world
    summary = diagnose(LMM(model.formula)(simulate(model, design, rng=4).data), rng=1, replicates=9, left_out=0).summary
    assert summary["p"].notna().all()


def test_least_squares_can_be_diagnosed(plants):
    diagnosis = diagnose(OLS("height ~ week * fertilizer")(plants), rng=1, replicates=39)
    assert "random_qq" not in diagnosis.checks
    assert "linearity week" in diagnosis.checks
    with pytest.raises(ValueError, match="name the column with the unit"):
        lag_correlation(OLS("height ~ week")(plants), "week", replicates=9)
    # the plots that least squares forgot
    assert (
        lag_correlation(OLS("height ~ week")(plants), "week", "plot", replicates=39, rng=1).verdict["p"].iloc[0] <= 0.05
    )


def test_other_columns_can_be_brought_along(plants, fit):
    with_rain = plants.assign(rain=np.arange(88.0) % 7)
    assert "linearity rain" in diagnose(fit, with_rain, rng=1, replicates=9, covariates=["rain"]).checks
    with pytest.raises(ValueError, match="'sun' is not a column of the data; the columns are 'plot', 'week'"):
        diagnose(fit, rng=1, replicates=9, covariates=["sun"])
    with pytest.raises(ValueError, match="not those of the fit"):
        diagnose(fit, plants.reset_index(drop=True), rng=1, replicates=9)


def test_a_variance_estimated_as_zero_has_no_quantiles():
    data = nested(school=6, pupil=4).assign(y=np.tile([1.0, -1.0, 2.0, -2.0], 6) + np.arange(24) * 1e-3)
    fit = LMM("y ~ 1 + (1 | school)")(data)
    assert fit.singular
    row = random_qq(fit, replicates=19, rng=1).verdict.iloc[0]
    assert np.isnan(row["statistic"]) and np.isnan(row["p"])


def test_what_is_not_there_is_refused_by_name(fit, refit):
    with pytest.raises(ValueError, match="'month' is not a column of the data; the columns are 'plot', 'week'"):
        lag_correlation(refit, "month")
    with pytest.raises(ValueError, match="no unit is measured at two different values of 'one'"):
        lag_correlation(LMM(fit.formula)(fit.data.assign(one=1.0)), "one", replicates=0)
    with pytest.raises(ValueError, match="'school' is not a grouping factor of the fit; it has plot"):
        influence(fit, "school", replicates=0)
    with pytest.raises(ValueError, match="'school' is not a grouping factor of"):
        slopes(refit, "week", "school")
    with pytest.raises(ValueError, match="has no random effects"):
        random_qq(OLS("height ~ week")(fit.data), replicates=9)


# -- negative controls: the checks can see the problem -----------------------------------------------------------------


def p_of(check):
    return check.verdict["p"].iloc[0]


def growth(rng, formula="y ~ week + (week | unit)", **changes):
    unit = Random({"Intercept": 2.0, "week": 0.4}, shape=changes.pop("shape", draws.normal()))
    model = Model(
        "y ~ week + (week | unit)", {"Intercept": 10.0, "week": 1.0}, {"unit": unit}, changes.pop("residual", 1.0)
    )
    return LMM(formula)(simulate(model, crossed(unit=50, week=range(8)), rng=rng).data)


def test_a_missed_slope_is_seen():
    fit = growth(1, "y ~ week + (1 | unit)")
    assert p_of(slopes(fit, "week", replicates=99, rng=1)) <= 0.02
    assert p_of(lag_correlation(fit, "week", replicates=99, rng=1)) <= 0.04


def test_serial_correlation_is_seen():
    fit = growth(2, residual=AR1(sd=1.0, rho=0.6, unit="unit", time="week"))
    assert p_of(lag_correlation(fit, "week", replicates=99, rng=1)) <= 0.04


def test_skewed_effects_are_seen():
    assert p_of(random_qq(growth(3, shape=draws.skewed(1.9)), replicates=99, rng=1)) <= 0.02


# -- the study of the diagnostics --------------------------------------------------------------------------------------


def test_what_is_no_fit_of_the_rows_is_refused(plants, fit):
    for ask in (diagnose, lineup):
        with pytest.raises(TypeError, match=r"a fit of LMM or OLS is needed, as LMM\(formula\)\(data\); got DataFrame"):
            ask(plants)
        for other in (GroupMeans("height ~ fertilizer", unit="plot"), Within("height ~ week", unit="plot")):
            with pytest.raises(
                ValueError, match="plot\\) has taken the groups out of the rows: fit LMM with these groups"
            ):
                ask(other(plants), rng=1)
    for replicates in (0, -1, 1.5):
        with pytest.raises(ValueError, match=f"replicates is {replicates}; the checks need simulated data sets"):
            diagnose(fit, rng=1, replicates=replicates)


def test_levels_have_no_order_to_look_along(fit, refit):
    for ask in (linearity, slopes):
        with pytest.raises(ValueError, match="'fertilizer' holds no numbers: its levels have no order"):
            ask(refit, "fertilizer")
    with pytest.raises(ValueError, match="time='fertilizer' holds no numbers"):
        diagnose(fit, rng=1, replicates=19, time="fertilizer")


def test_one_covariate_may_be_named_without_a_list(fit):
    assert "linearity week" in diagnose(fit, rng=1, replicates=19, covariates="week").checks


@pytest.mark.slow
def test_each_check_fires_where_it_should_and_keeps_quiet_where_it_should_not():
    study = runpy.run_path(str(TOP / "benchmarks" / "diagnostics.py"))
    replicates = 40
    table = study["report"](study["alarms"](replicates, simulated=39, seed=3), replicates)
    nominal = 0.05
    # five binomial standard errors: fifteen checks, some of them looking at the same thing
    assert (table["false alarms"] <= nominal + 5 * np.sqrt(nominal * (1 - nominal) / replicates)).all()
    # no check without a world that it is made for, and no world without a check but the two true ones
    assert set(table["made for"]) == {name for name, (_, checks) in study["WORLDS"].items() if checks}
    assert len(study["WORLDS"]) == table["made for"].nunique() + 2
    assert (table["alarms"] >= 0.6).all()
