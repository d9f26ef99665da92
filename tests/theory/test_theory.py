"""Every number of tests/reference/theory.json, and of the type-I tables of power.json, from a formula."""

import numpy as np
import pytest
from scipy import stats

from lmmsim import theory
from lmmsim.theory.clusters import design_effect
from lmmsim.theory.type1 import type1_between, type1_within
from lmmsim.theory.variances import beta_mean


def cases(reference, name):
    return reference("theory")[name]


def monte_carlo(p, replicates):
    """Four standard errors of a simulated probability."""
    return 4 * np.sqrt(p * (1 - p) / replicates)


def test_least_squares_and_wald_z_are_as_overconfident_as_the_table_says(reference):
    for case in cases(reference, "ols_vs_lmm_type1_cluster_two_arm_balanced"):
        J, m, icc = case["J"], case["m"], case["rho"]
        assert theory.design_effect(m, icc) == pytest.approx(case["deff"])
        assert J * m / theory.design_effect(m, icc) == pytest.approx(case["neff"])
        assert np.sqrt(theory.design_effect(m, icc)) == pytest.approx(case["se_ratio_true_over_ols_between"])
        assert np.sqrt(1 - icc) == pytest.approx(case["se_ratio_within"])
        assert type1_between(J, m, icc) == pytest.approx(case["type1_ols_between_exact"], rel=1e-10)
        assert type1_between(J, m, icc) == pytest.approx(
            case["type1_ols_between_mc4e6"], abs=monte_carlo(case["type1_ols_between_exact"], 4e6)
        )
        assert type1_within(J, m, icc) == pytest.approx(case["type1_ols_within_exact"], rel=1e-10)
        truncated = type1_between(J, m, icc, "LMM z")
        assert truncated == pytest.approx(case["type1_lmm_waldz_with_reml_boundary"], rel=1e-10)
        z = case["type1_lmm_waldz_no_truncation"]
        assert theory.type1_wald_z(J - 2) == pytest.approx(z, abs=1e-8)  # the table rounded z to 1.96 minus 4e-5


@pytest.mark.parametrize(
    ("key", "size", "function"),
    [
        ("type1_ols_between_largeJ", lambda m, icc: theory.design_effect(m, icc), type1_between),
        ("type1_ols_within_largeJ", lambda m, icc: 1 - icc, type1_within),
    ],
)
def test_many_clusters_reach_the_limit(reference, key, size, function):
    for case in cases(reference, "ols_vs_lmm_type1_cluster_two_arm_balanced"):
        m, icc = case["m"], case["rho"]
        limit = 2 * stats.norm.sf(1.96 / np.sqrt(size(m, icc)))
        assert limit == pytest.approx(case[key], abs=5e-5)
        assert function(20_000, m, icc) == pytest.approx(limit, abs=5e-5)


def test_wald_z_by_df(reference):
    for df, expected in cases(reference, "wald_z_type1_by_df").items():
        assert theory.type1_wald_z(float(df)) == pytest.approx(expected, abs=1e-8)


COLUMNS = {
    "OLS": "OLS",
    "wald_z_reml": "LMM z",
    "wald_z_ml": "LMM z, ML",
    "lrt_ml": "LMM LRT, ML",
    "kenward_roger_eq_between_within_t": "LMM t",
    "cluster_means_t": "group means",
    "cr0_z": "CR0 z",
    "cr1_t(J-1)": "CR1 t",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_million_replicates_agree_with_the_exact_type1_of_a_cluster_treatment(reference, column):
    # the column `satterthwaite` has no closed form; a study simulates it
    table = reference("power")["type1_cluster_treatment_m20"]
    for row in table["rows"]:
        simulated = dict(zip(table["columns"], row, strict=True))
        exact = type1_between(simulated["J"], 20, table["icc"], COLUMNS[column])
        assert simulated[column] == pytest.approx(exact, abs=monte_carlo(exact, 1e6) + 5e-5)


def test_a_million_replicates_agree_with_the_exact_probability_of_a_zero_variance(reference):
    table = reference("power")["type1_cluster_treatment_m20"]
    for row in table["rows"]:
        simulated = dict(zip(table["columns"], row, strict=True))
        J = simulated["J"]
        # two arms leave J - 2 df between clusters
        exact = stats.f.cdf(1 / (1 + 20 * 0.05 / 0.95), J - 2, J * 19)
        assert simulated["singular_reml"] == pytest.approx(exact, abs=monte_carlo(exact, 1e6) + 5e-5)


def test_an_omitted_slope(reference):
    for case in cases(reference, "random_slope_omitted_type1"):
        arguments = (case["J"], np.arange(case["m"]), np.sqrt(case["tau11"]), np.sqrt(case["sigma2_e"]))
        assert theory.type1_omitted_slope(*arguments) == pytest.approx(case["type1_exact_F"], rel=1e-10)
        assert theory.type1_omitted_slope(*arguments, z=True) == pytest.approx(case["type1_exact_z"], rel=1e-10)


def test_an_omitted_slope_of_two_conditions(reference):
    for n, r, sd_slope, sd_residual, simulated in reference("power")["omitted_random_slope"][
        "rows_n_r_tau1_sigma_type1"
    ]:
        exact = theory.type1_omitted_slope(n, np.repeat([0, 1], r), sd_slope, sd_residual, z=True)
        assert simulated == pytest.approx(exact, abs=monte_carlo(exact, 1e6) + 5e-5)


def test_probability_of_a_variance_of_zero(reference):
    for case in cases(reference, "prob_boundary_one_way"):
        arguments = (case["J"], case["m"], case["ratio_su2_se2"])
        assert theory.boundary_probability(*arguments) == pytest.approx(case["P_reml_zero"], rel=1e-10)
        assert theory.boundary_probability(*arguments, reml=False) == pytest.approx(case["P_ml_zero"], rel=1e-10)


def test_variance_components_of_a_one_way_layout(reference):
    for case in cases(reference, "variance_components_one_way"):
        exact = theory.variance_estimates(case["J"], case["m"], np.sqrt(case["su2"]), np.sqrt(case["se2"]))
        assert exact["anova_var"] == pytest.approx(case["var_anova_su2"])
        assert exact["anova_cv"] == pytest.approx(case["cv_su2"])
        assert exact["ml_untruncated"] - case["su2"] == pytest.approx(case["ml_bias_untruncated"])
        assert exact["residual_var"] == pytest.approx(case["var_sigma2e"])
        error = 4 * np.sqrt(exact["anova_var"] / 1e6)  # of a mean over a million replicates
        assert case["mc_mean_anova"] == pytest.approx(exact["anova"], abs=error)
        assert case["mc_mean_reml_truncated"] == pytest.approx(exact["reml"], abs=error)
        assert case["mc_mean_ml_truncated"] == pytest.approx(exact["ml"], abs=error)
        assert case["mc_var"] == pytest.approx(exact["anova_var"], rel=0.01)


def test_means_under_dropout_at_random(reference):
    for case in cases(reference, "mar_dropout_two_waves_bivariate_normal"):
        means = theory.dropout_means(case["drop_if_y1_above"], case["rho"], (case["mu1"], case["mu2"]), case["sd"])
        assert means["complete"] == pytest.approx(case["p_complete"])
        assert means["mean2"] == pytest.approx(case["complete_case_mean_y2"])
        assert means["change"] == case["true_change"]
        assert means["change_completers"] == pytest.approx(case["change_completers"])
        assert means["change_available"] == pytest.approx(case["change_available_means"])


def test_dropout_means_in_other_units():
    rng = np.random.default_rng(1)
    first = 140 + 12 * rng.standard_normal(400_000)
    second = 135 + 0.6 * (first - 140) + 12 * 0.8 * rng.standard_normal(400_000)
    stays = first <= 150
    means = theory.dropout_means(150, 0.6, (140, 135), 12)
    assert second[stays].mean() == pytest.approx(means["mean2"], abs=4 * 12 / np.sqrt(stays.sum()))
    change = (second - first)[stays].mean()
    assert change == pytest.approx(means["change_completers"], abs=4 * 12 / np.sqrt(stays.sum()))


def test_autocorrelation_blunts_means_more_than_slopes(reference):
    for case in cases(reference, "ar1_deff_of_mean_and_slope_vs_iid"):
        effects = theory.ar1_design_effects(np.arange(case["m"]), case["phi"])
        assert effects["mean"] == pytest.approx(case["deff_mean"])
        assert effects["slope"] == pytest.approx(case["deff_slope"])


def test_where_a_forgotten_level_goes(reference):
    for case in cases(reference, "missing_level_expected_anova_components"):
        sds = [np.sqrt(case[name]) for name in ("s2_school", "s2_class", "s2_e")]
        table = theory.forgotten_level(case["schools"], case["classes"], case["pupils"], *sds)
        assert table.loc["class", "school"] == pytest.approx(case["ignore_class"]["s2_school"])
        assert table.loc["class", "residual"] == pytest.approx(case["ignore_class"]["s2_e"])
        assert table.loc["school", "class"] == pytest.approx(case["ignore_school"]["s2_class"])
        assert table.loc["school", "residual"] == pytest.approx(case["ignore_school"]["s2_e"])


def test_sampled_items_are_not_the_subjects_business(reference):
    for case in cases(reference, "crossed_items_ignored"):
        arguments = (case["subjects"], case["items"], np.sqrt(case["s2_item"]), np.sqrt(case["s2_e"]))
        assert theory.type1_items_ignored(*arguments) == pytest.approx(case["type1_by_subject_t"], rel=1e-10)
        # t by items: each item's mean over subjects, half the items in each condition
        assert 4 * case["s2_item"] / case["items"] + 4 * case["s2_e"] / (
            case["items"] * case["subjects"]
        ) == pytest.approx(case["true_var_diff"])


def test_pooling_wins(reference):
    for case in cases(reference, "group_mean_mse_known_params"):
        mse = theory.group_mean_mse(case["m"], np.sqrt(case["su2"]), np.sqrt(case["se2"]))
        expected = [case[f"mse_{how}"] for how in ("no_pooling", "complete_pooling", "blup")] + [case["B"]]
        assert mse.tolist() == pytest.approx(expected)


def test_the_pooled_t_of_unequal_variances(reference):
    for case in cases(reference, "heteroscedastic_two_arm_pooled_t"):
        sds = np.sqrt(case["v1"]), np.sqrt(case["v2"])
        # the table took z = 1.96
        assert theory.type1_pooled_t((case["n1"], case["n2"]), sds) == pytest.approx(case["asym_type1"], abs=1e-8)


@pytest.mark.parametrize(
    ("name", "draw"), [("laplace", np.random.Generator.laplace), ("exp", np.random.Generator.exponential)]
)
def test_kurtosis_is_the_error_of_a_variance(reference, name, draw):
    kurtosis = cases(reference, "kurtosis_and_MSW")[f"{name}_kappa"]
    variances = draw(np.random.default_rng(2), size=(200_000, 12)).var(axis=1, ddof=1)
    expected = theory.variance_of_variance(12, sd=np.sqrt(2.0 if name == "laplace" else 1.0), kurtosis=kurtosis)
    squares = (variances - variances.mean()) ** 2
    assert squares.mean() == pytest.approx(expected, abs=4 * squares.std() / np.sqrt(len(squares)))


def test_the_boundary_mixture_is_half_of_two_chi_squares():
    for effects in (1, 2, 5):
        expected = (stats.chi2.sf(4.0, effects) + stats.chi2.sf(4.0, effects + 1)) / 2
        assert theory.p_boundary(4.0, effects) == pytest.approx(expected)
    assert theory.p_boundary(0.0) == 1.0
    assert theory.p_boundary(1e-12) == pytest.approx(0.5, abs=1e-5)


def test_the_right_analysis_keeps_its_level():
    assert type1_between(10, 8, 0.3, "group means", alpha=0.01) == 0.01
    assert type1_between(10, 8, 0.0, "OLS", alpha=0.01) == pytest.approx(0.01)
    assert type1_between(40, 50, 0.5, "LMM t") == pytest.approx(0.05, abs=1e-6)


def test_an_unknown_analysis_is_refused():
    with pytest.raises(ValueError, match="analysis is 'lmer'; it is one of OLS, LMM z"):
        type1_between(10, 8, 0.3, "lmer")


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.5, 30.0), (2.0, 3.0), (49.0, 450.0), (300.0, 0.5), (5e3, 1e5)])
def test_beta_means_are_right_for_thin_and_for_peaked_densities(a, b):
    assert beta_mean(lambda B: 1.0 + 0 * B, a, b) == pytest.approx(1, rel=1e-10)
    assert beta_mean(lambda B: B, a, b) == pytest.approx(a / (a + b), rel=1e-10)


def test_the_unit_of_the_response_does_not_matter_where_items_are_ignored():
    plain = theory.type1_items_ignored(30, 16, sd_item=0.5, sd_residual=1.0, sd_slope=0.3)
    assert theory.type1_items_ignored(30, 16, sd_item=1.5, sd_residual=3.0, sd_slope=0.9) == pytest.approx(
        plain, rel=1e-12
    )


def test_a_cluster_of_one_has_no_design_effect():
    assert design_effect(size=1, icc=0.5) == 1.0
    assert design_effect(size=1, icc=-1.0) == 1.0  # one member goes together with nobody
