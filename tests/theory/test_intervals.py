"""Equivalence and precision: published powers, the law of the interval, and studies that find the same."""

import numpy as np
import pytest
from scipy import integrate, stats

from lmmsim import LMM, exact_equivalence, exact_power, exact_precision, scenarios
from lmmsim.studies.study import study
from lmmsim.theory.averages import chi_mean, t_quantile
from lmmsim.theory.intervals import _within

TERM = "method[T.new]"


@pytest.mark.parametrize("df", [0.7, 1, 3, 18, 400.5, 1e6])
@pytest.mark.parametrize("power", [1, 2, 4])
def test_moments_of_an_estimated_sd_are_those_of_chi(df, power):
    expected = stats.chi(df).moment(power) / df ** (power / 2) if df < 1e5 else np.nan
    if df < 1e5:
        assert chi_mean(lambda s: s**power, df) == pytest.approx(expected, rel=1e-9)
    else:  # E s = 1 - 1 / (4 df), E s^2 = 1, E s^4 = 1 + 2 / df
        assert chi_mean(lambda s: s**power, df) == pytest.approx(
            {1: 1 - 0.25 / df, 2: 1, 4: 1 + 2 / df}[power], rel=1e-11
        )


@pytest.mark.parametrize("df", [0.5, 1, 2, 18, 1e5, np.inf])
@pytest.mark.parametrize("tail", [0.2, 0.025, 1e-6])
def test_quantiles_of_t_have_the_tail_that_is_asked_for(df, tail):
    q = t_quantile(tail, df)
    assert q > 0
    assert (stats.norm.sf(q) if np.isinf(df) else stats.t.sf(q, df)) == pytest.approx(tail, rel=1e-8)


def test_an_expected_number_over_few_df_includes_what_lies_near_zero():
    """Half a df: the estimated sd is below a millionth of the true one once in a thousand times."""
    below = stats.gamma(0.25).cdf(0.25 * 1e-12)
    assert chi_mean(lambda s: (s < 1e-6).astype(float), 0.5, [1e-6]) == pytest.approx(below, rel=1e-6)


@pytest.mark.parametrize(("cv", "n", "power"), [(0.30, 40, 0.815845)])
def test_bioequivalence_has_the_power_of_powertost(cv, n, power):
    """R package PowerTOST, vignette "ABE", sampleN.TOST(CV = 0.30): a 2x2 crossover, ratio 0.95, margins 0.8, 1.25."""
    se, effect, margin = np.sqrt(np.log(cv**2 + 1) * 2 / n), np.log(0.95), np.log(1.25)
    assert _within((-margin - effect) / se, (margin - effect) / se, n - 2, 0.05) == pytest.approx(power, abs=5e-7)
    fewer = np.sqrt(np.log(cv**2 + 1) * 2 / (n - 2))
    assert _within((-margin - effect) / fewer, (margin - effect) / fewer, n - 4, 0.05) < 0.8


@pytest.mark.parametrize(("low", "high", "df"), [(-3.0, 3.0, 6), (-1.0, 6.0, 18), (1.0, 9.0, 3.5), (-2.0, 2.0, 300)])
def test_power_of_equivalence_is_the_double_integral(low, high, df):
    t = stats.t.isf(0.05, df)

    def passes(s):
        return (
            max(stats.norm.cdf(high - t * s) - stats.norm.cdf(low + t * s), 0.0)
            * stats.chi.pdf(s * np.sqrt(df), df)
            * np.sqrt(df)
        )

    limit = (high - low) / (2 * t)
    expected = integrate.quad(passes, 0, limit, limit=300, points=[min(limit / 2, 1.0)])[0]
    assert _within(low, high, df, 0.05) == pytest.approx(expected, abs=1e-8)


def test_a_known_sd_makes_equivalence_a_normal_probability():
    expected = stats.norm.cdf(3 - 1.644854) - stats.norm.cdf(-2 + 1.644854)
    assert _within(-2.0, 3.0, np.inf, 0.05) == pytest.approx(expected, abs=1e-6)
    assert _within(-1.0, 1.0, np.inf, 0.05) == 0  # an interval wider than the margins never lies within them


def test_at_a_margin_equivalence_is_shown_in_alpha_of_the_studies():
    model, design = scenarios.teaching_methods(schools=200, pupils=25, effect=8)
    for margin in (8.0, (-20.0, 8.0)):
        power = exact_equivalence(model, design, margin, alpha=0.03).loc[TERM, "power"]
        assert power == pytest.approx(0.03, abs=1e-6)


def test_margins_may_be_unequal_and_move_with_the_effect():
    model, design = scenarios.teaching_methods(schools=40, effect=1)
    here = exact_equivalence(model, design, (-3.0, 5.0)).loc[TERM]
    model, design = scenarios.teaching_methods(schools=40, effect=0)
    assert exact_equivalence(model, design, 4.0).loc[TERM, "power"] == pytest.approx(here["power"], rel=1e-12)
    assert (here["low"], here["high"]) == (-3.0, 5.0)


def test_studies_show_equivalence_and_narrow_intervals_as_often_as_computed():
    model, design = scenarios.teaching_methods(schools=16, pupils=10, effect=1)
    r = 4000
    one = study(model, design, {"LMM": LMM(model.formula)}, r, rng=3, progress=False).answers["LMM"]
    j = one.terms.index(TERM)
    estimate, se, df = one.estimate[:, j], one.se[:, j], one.df[:, j]
    reach = stats.t.ppf(0.95, df) * se
    shown = ((estimate - reach > -5) & (estimate + reach < 5)).mean()
    width = 2 * stats.t.ppf(0.975, df) * se
    exact = exact_precision(model, design, width=9).loc[TERM]
    power = exact_equivalence(model, design, 5.0).loc[TERM, "power"]
    assert abs(shown - power) < 4 * np.sqrt(power * (1 - power) / r)
    assert abs((width <= 9).mean() - exact["power"]) < 4 * np.sqrt(exact["power"] * (1 - exact["power"]) / r)
    assert abs(width.mean() - exact["width"]) < 4 * width.std() / np.sqrt(r)


def test_the_width_is_twice_t_times_the_mean_of_the_estimated_error():
    row = exact_precision(*scenarios.teaching_methods(schools=4, pupils=10), level=0.9).loc[TERM]
    expected = 2 * stats.t.ppf(0.95, 2) * row["se"] * stats.chi(2).mean() / np.sqrt(2)
    assert row["width"] == pytest.approx(expected, rel=1e-9) and "power" not in row


def test_where_the_sd_is_known_the_width_is_no_matter_of_chance():
    world = scenarios.teaching_methods(schools=20)
    known = exact_precision(*world, width=6.0, df="z").loc[TERM]
    assert known["width"] == pytest.approx(2 * 1.959964 * known["se"], rel=1e-6)
    assert known["power"] == float(known["width"] <= 6.0)
    assert exact_precision(*world, width=7.0, df="z").loc[TERM, "power"] == 1


def test_contrasts_are_asked_for_by_the_names_of_exact_power():
    model, design = scenarios.plant_growth()
    contrasts = {"B - A": {"week:fertilizer[T.B]": 1, "week:fertilizer[T.A]": -1}}
    row = exact_power(model, design, contrasts=contrasts).loc["B - A"]
    for table in (
        exact_equivalence(model, design, 1.0, contrasts=contrasts),
        exact_precision(model, design, contrasts=contrasts),
    ):
        assert table.loc["B - A", ["effect", "se", "df"]].tolist() == row[["effect", "se", "df"]].tolist()


def test_without_a_test_there_is_no_interval_either():
    world = scenarios.teaching_methods(schools=2)
    with pytest.warns(UserWarning, match="no test"):
        assert np.isnan(exact_equivalence(*world, 4.0).loc[TERM, "power"])
    with pytest.warns(UserWarning, match="no test"):
        assert exact_precision(*world, 4.0).loc[TERM, ["width", "power"]].isna().all()


@pytest.mark.parametrize("margin", [0, -1.0, (2, 1), (1, 1), "4", (1, 2, 3), np.nan])
def test_margins_that_leave_no_room_are_refused(margin):
    with pytest.raises(ValueError, match="give the smallest effect that matters, a number above 0, or a pair"):
        exact_equivalence(*scenarios.teaching_methods(), margin)


def test_a_width_or_a_level_that_is_none_is_refused():
    with pytest.raises(ValueError, match="width is -1; the wanted width of an interval is a number above 0"):
        exact_precision(*scenarios.teaching_methods(), width=-1)
    with pytest.raises(ValueError, match="level=95 is not between 0 and 1"):
        exact_precision(*scenarios.teaching_methods(), level=95)
    with pytest.raises(ValueError, match="alpha is 5; it lies between 0 and 1"):
        exact_equivalence(*scenarios.teaching_methods(), 4.0, alpha=5)
