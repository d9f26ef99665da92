"""Missing data: the mechanisms do what their names say, and complete cases are biased as theory says."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from places import REFERENCE

from lmmsim.simulation.missing import drop_out, dropout_pattern, knock_out

THEORY = json.loads((REFERENCE / "theory.json").read_text(encoding="utf-8"))


def panel(units=200, times=(0, 1, 2, 3), rng=0, rho=0.5):
    """Units measured at several times, correlated within a unit; the arms alternate."""
    rng = np.random.default_rng(rng)
    values = np.sqrt(rho) * rng.standard_normal((units, 1)) + np.sqrt(1 - rho) * rng.standard_normal(
        (units, len(times))
    )
    return pd.DataFrame(
        {
            "patient": np.repeat([f"p{i}" for i in range(units)], len(times)),
            "month": np.tile(times, units),
            "drug": pd.Categorical(np.repeat(["Control", "drug"], len(times)).tolist() * (units // 2)),
            "y": values.ravel(),
        }
    )


UNIT = {"unit": "patient", "time": "month", "response": "y"}


def two_waves(case, rng, n):
    """Bivariate normal measurements at two times, one row each."""
    z = np.random.default_rng(rng).standard_normal((n, 2))
    y = z @ np.linalg.cholesky([[1, case["rho"]], [case["rho"], 1]]).T
    return pd.DataFrame({"patient": np.repeat(np.arange(n), 2), "month": np.tile([0, 1], n), "y": y.ravel()})


# ---------------------------------------------------------------- theory


@pytest.mark.parametrize("case", THEORY["mar_dropout_two_waves_bivariate_normal"], ids=lambda c: f"rho {c['rho']}")
def test_mar_dropout_biases_completers_as_theory_says(case):
    n, cut = 100_000, case["drop_if_y1_above"]
    data = drop_out(two_waves(case, 1, n), **UNIT, hazard=lambda seen: seen["y"] > cut, rng=2)
    first, second = data["y"].to_numpy().reshape(n, 2).T
    stayed = ~np.isnan(second)
    p = case["p_complete"]
    assert abs(stayed.mean() - p) < 4.5 * np.sqrt(p * (1 - p) / n)
    for values, expected in [(second, case["complete_case_mean_y2"]), (second - first, case["change_completers"])]:
        kept = values[stayed]
        assert abs(kept.mean() - expected) < 4.5 * kept.std() / np.sqrt(len(kept))
    # negative control: the bias that is there can be seen
    assert abs(second[stayed].mean() - case["true_mean_y2"]) > 10 / np.sqrt(n)
    # what makes it MAR: given the first measurement, those who stay are like all (regression through the completers)
    slope, intercept = np.polyfit(first[stayed], second[stayed], 1)
    error = np.sqrt((1 - case["rho"] ** 2) / stayed.sum())
    assert abs(intercept) < 10 * error and abs(slope - case["rho"]) < 4.5 * error / first[stayed].std()


def test_mnar_dropout_biases_even_given_the_past():
    case, n = {"rho": 0.5}, 100_000
    data = drop_out(two_waves(case, 3, n), **UNIT, hazard=lambda now: now["y"] > 0, sees="present", rng=4)
    first, second = data["y"].to_numpy().reshape(n, 2).T
    stayed = ~np.isnan(second)
    kept = second[stayed]
    assert abs(kept.mean() + np.sqrt(2 / np.pi)) < 4.5 * kept.std() / np.sqrt(len(kept))  # half-normal, in closed form
    intercept = np.polyfit(first[stayed], kept, 1)[1]
    assert intercept < -0.3


@pytest.mark.parametrize("lose", [{"share": 0.3}, {"probability": 0.3}], ids=str)
def test_values_lost_completely_at_random_do_not_move_the_mean(lose):
    data = panel(units=25_000, rng=5)
    y = knock_out(data, **lose, response="y", rng=6)["y"]
    lost = y.isna().mean()
    assert abs(lost - 0.3) < 4.5 * np.sqrt(0.21 / len(y))
    difference = y.mean() - data["y"].mean()
    # sampling without replacement: variance s²/m (1 - m/n)
    assert abs(difference) < 4.5 * data["y"].std() * np.sqrt(0.3 / y.count())


def test_knocking_out_by_the_value_itself_moves_the_mean():
    data = panel(units=5_000, rng=7)
    kept = knock_out(data, probability=lambda d: 0.8 * (d["y"] > 0), response="y", rng=8)["y"].dropna()
    assert kept.mean() < data["y"].mean() - 0.2


def test_a_constant_hazard_gives_geometric_survival():
    units, hazard = 20_000, 0.2
    pattern = dropout_pattern(drop_out(panel(units, rng=9), **UNIT, hazard=hazard, rng=10), **UNIT)
    expected = (1 - hazard) ** np.arange(4)
    error = np.sqrt(expected * (1 - expected) / units)
    assert (abs(pattern["share"] - expected) <= 4.5 * error).all()
    assert pattern["units"].eq(units).all() and pattern["month"].tolist() == [0, 1, 2, 3]


def test_every_arm_has_its_own_hazard():
    units, rates = 20_000, {"Control": 0.05, "drug": 0.2}
    data = drop_out(panel(units, rng=11), **UNIT, hazard=rates, by="drug", rng=12)
    pattern = dropout_pattern(data, **UNIT, by="drug").set_index(["drug", "month"])
    assert list(pattern.columns) == ["units", "observed", "share"]
    for arm, rate in rates.items():
        expected = (1 - rate) ** 3
        assert pattern.loc[(arm, 3), "units"] == units / 2
        assert abs(pattern.loc[(arm, 3), "share"] - expected) < 4.5 * np.sqrt(expected * (1 - expected) / (units / 2))


def test_the_hazard_may_change_with_time():
    data = drop_out(panel(), **UNIT, hazard={1: 0.0, 2: 1.0, 3: 0.0}, by="month", rng=13)
    assert dropout_pattern(data, **UNIT)["share"].tolist() == [1.0, 1.0, 0.0, 0.0]


# ---------------------------------------------------------------- invariants


def test_who_has_left_never_returns_and_all_come_once():
    there = drop_out(panel(rng=14), **UNIT, hazard=0.4, rng=15)["y"].notna().to_numpy().reshape(-1, 4)
    assert there[:, 0].all()
    assert (np.diff(there.astype(int), axis=1) <= 0).all()
    assert 0 < there[:, 3].sum() < len(there)


def test_leaving_before_a_measurement_is_decided_by_the_one_before():
    data = panel(units=2, rng=16)
    data["y"] = [5, 9, 5, 5, 5, 5, 5, 9]
    lost = drop_out(data, **UNIT, hazard=lambda seen: seen["y"] > 8, rng=1)["y"]
    assert np.array_equal(lost, [5, 9, np.nan, np.nan, 5, 5, 5, 9], equal_nan=True)
    lost = drop_out(data, **UNIT, hazard=lambda now: now["y"] > 8, sees="present", rng=1)["y"]
    assert np.array_equal(lost, [5, np.nan, np.nan, np.nan, 5, 5, 5, np.nan], equal_nan=True)


def test_the_table_that_a_hazard_sees_is_consistent():
    data = panel(units=2, rng=17)
    tables = {}

    def keep(sees):
        def hazard(seen):
            tables[sees] = seen.copy()
            return 0.0

        return hazard

    for sees in ("past", "present"):
        drop_out(data, **UNIT, hazard=keep(sees), sees=sees, rng=1)
    by_unit_and_month = data.set_index(["patient", "month"])["y"]
    for table in tables.values():
        own = by_unit_and_month.loc[list(zip(table["patient"], table["month"], strict=True))]
        assert np.array_equal(table["y"], own)
    assert tables["past"]["month"].tolist() == [0, 0, 1, 2] * 2
    assert tables["present"]["month"].tolist() == [0, 1, 2, 3] * 2


def test_the_last_observed_value_stands_for_one_that_is_lost():
    data = panel(units=2, rng=18)
    data["y"] = [9, np.nan, 5, 5, 5, np.nan, np.nan, 5]
    lost = drop_out(data, **UNIT, hazard=lambda seen: (seen["y"] > 8) & (seen["month"] == 1), rng=1)["y"]
    assert np.array_equal(lost, [9, np.nan, np.nan, np.nan, 5, np.nan, np.nan, 5], equal_nan=True)


def test_nobody_is_judged_by_the_values_of_another():
    data = panel(units=2, rng=18)
    data["y"] = [9, 9, 9, 9, np.nan, 5, 5, 5]
    lost = drop_out(data, **UNIT, hazard=lambda seen: seen["y"] > 8, rng=1)["y"]
    assert np.array_equal(lost, [9, np.nan, np.nan, np.nan, np.nan, 5, 5, 5], equal_nan=True)


def test_rows_in_any_order_with_unequal_visits_are_understood():
    data = panel(units=4, rng=19).drop(index=[1, 6, 12])
    data["y"] = np.arange(len(data), dtype=float)
    at_month_3 = {
        "unit": "patient",
        "time": "month",
        "response": "y",
        "hazard": {0: 0, 1: 0, 2: 1, 3: 0},
        "by": "month",
    }
    straight = drop_out(data, **at_month_3, rng=1)
    mixed = drop_out(data.sample(frac=1, random_state=1), **at_month_3, rng=1)
    pd.testing.assert_frame_equal(mixed.sort_index(), straight)
    assert straight["y"].notna().groupby(straight["patient"]).sum().tolist() == [1, 3, 2, 1]


def test_an_exact_share_is_exact():
    data = panel(units=50)
    assert knock_out(data, share=0.25, response="y", rng=1)["y"].isna().sum() == 50
    assert knock_out(data, share=0.0, response="y", rng=1)["y"].notna().all()
    assert knock_out(data, share=1.0, response="y", rng=1)["y"].isna().all()
    twice = knock_out(knock_out(data, share=0.5, response="y", rng=1), share=0.5, response="y", rng=2)
    assert twice["y"].isna().sum() == 150  # half of what was left


def test_values_are_only_lost_where_they_may_be():
    data = panel(units=50)
    y = knock_out(data, share=0.5, where=lambda d: d["month"] > 0, response="y", rng=1).set_index("month")["y"].isna()
    assert not y.loc[0].any() and y.sum() == 75
    y = knock_out(data, probability={"Control": 0.0, "drug": 1.0}, by="drug", response="y")
    assert y["y"].isna().eq(y["drug"] == "drug").all()


def test_data_are_left_as_they_were_and_rows_stay():
    data = panel()
    data.attrs["response"] = "y"
    before = data.copy(deep=True)
    for lose in (knock_out(share=0.5), drop_out(unit="patient", time="month", hazard=0.5)):
        observed = lose(data, rng=1)
        pd.testing.assert_frame_equal(data, before)
        assert observed.index.equals(data.index) and list(observed) == list(data)
        pd.testing.assert_frame_equal(observed.drop(columns="y"), data.drop(columns="y"))
        kept = observed["y"].notna()
        assert observed["y"][kept].equals(data["y"][kept])
        assert observed.attrs["response"] == "y"


def test_rows_can_be_removed():
    data = panel()
    kept = drop_out(data, **UNIT, hazard=0.3, keep_rows=False, rng=1)
    pd.testing.assert_frame_equal(kept, drop_out(data, **UNIT, hazard=0.3, rng=1).dropna())
    pd.testing.assert_frame_equal(
        dropout_pattern(kept, **UNIT), dropout_pattern(drop_out(data, **UNIT, hazard=0.3, rng=1), **UNIT)
    )
    short = knock_out(data, share=0.5, response="y", keep_rows=False, rng=1)
    assert len(short) == len(data) / 2 and short["y"].notna().all()


def test_integers_and_dates_serve_too():
    data = panel(units=2)
    data["y"] = np.arange(8)
    data["month"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(data["month"] * 30, unit="D")
    assert drop_out(data, **UNIT, hazard=1.0, rng=1)["y"].notna().sum() == 2


# ---------------------------------------------------------------- one path, many responses

OBSERVERS = {
    "share": knock_out(share=0.3, response="y"),
    "probability": knock_out(probability=lambda d: 1 / (1 + np.exp(-d["y"])), response="y"),
    "where": knock_out(share=0.5, where=lambda d: d["y"] > 0, response="y"),
    "number": drop_out(**UNIT, hazard=0.2),
    "arms": drop_out(**UNIT, hazard={"Control": 0.05, "drug": 0.3}, by="drug"),
    "past": drop_out(**UNIT, hazard=lambda seen: np.where(seen["y"] > 0, 0.4, 0.1)),
    "present": drop_out(**UNIT, hazard=lambda now: np.where(now["y"] > 0, 0.4, 0.1), sees="present"),
}


@pytest.mark.parametrize("observer", OBSERVERS.values(), ids=OBSERVERS.keys())
@pytest.mark.parametrize("units", [30, 1200])  # 120,000 values: more than a function is given in one table
def test_many_responses_lose_what_one_at_a_time_would(observer, units):
    data = panel(units=units).sample(frac=1, random_state=3)
    Y = np.random.default_rng(20).standard_normal((len(data), 25))
    kept = Y.copy()
    many = observer.many(Y, data.drop(columns="y"), 21)
    assert np.array_equal(Y, kept)
    rng = np.random.default_rng(21)
    one_by_one = [observer(data.assign(y=y), rng)["y"].to_numpy() for y in Y.T]
    assert np.array_equal(many, np.column_stack(one_by_one), equal_nan=True)
    assert 0.05 < np.isnan(many).mean() < 0.8
    # the first few of many, and every response with a generator of its own
    assert np.array_equal(observer.many(Y[:, :4], data, 21), many[:, :4], equal_nan=True)
    streams = np.random.default_rng(22).spawn(25)
    own = observer.many(Y, data, streams)
    again = np.random.default_rng(22).spawn(25)
    assert np.array_equal(observer.many(Y[:, 7:9], data, again[7:9]), own[:, 7:9], equal_nan=True)


@pytest.mark.parametrize("responses", [2, 3])
def test_who_is_judged_by_the_rows_of_all_is_refused_from_two_data_sets_on(responses):
    """One data set may be judged by its own mean; the mean of two in one table is another number."""
    data, observer = panel(), drop_out(**UNIT, hazard=lambda seen: 0.2 * (seen["y"] > seen["y"].mean()))
    Y = data["y"].to_numpy()[:, None] + np.arange(responses)
    assert np.isnan(observer.many(Y[:, :1], data, 1)).any()
    with pytest.raises(ValueError, match="hazard judges a row by the other rows"):
        observer.many(Y, data, 1)


def test_a_higher_hazard_loses_more_of_the_same():
    data = panel()
    few, more = (drop_out(data, **UNIT, hazard=h, rng=1)["y"].isna() for h in (0.1, 0.3))
    assert (more | ~few).all() and more.sum() > few.sum()


def test_an_observer_can_be_sent_to_another_process():
    observer = drop_out(**UNIT, hazard={"Control": 0.05, "drug": 0.3}, by="drug")
    data = panel()
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(observer))(data, 1), observer(data, 1))


# ---------------------------------------------------------------- numbers that do not come out


def test_shares_of_unequal_arms_are_of_the_units_of_each_arm():
    """Three patients of whom one leaves, seven of whom six leave: a third and six sevenths, not of ten."""
    data = pd.DataFrame({"patient": np.repeat(np.arange(10), 2), "month": [0, 1] * 10})
    data["arm"] = np.where(data["patient"] < 3, "few", "many")
    data["y"] = 1.0
    data.loc[(data["month"] == 1) & data["patient"].isin([0, 3, 4, 5, 6, 7, 8]), "y"] = np.nan
    pattern = dropout_pattern(data, "patient", "month", "y", by="arm").set_index(["arm", "month"])
    assert pattern["units"].tolist() == [3, 3, 7, 7]
    assert pattern["observed"].tolist() == [3, 2, 7, 1]
    assert pattern["share"].tolist() == [1, 2 / 3, 1, 1 / 7]
    together = dropout_pattern(data, "patient", "month", "y").set_index("month")
    assert together["share"].tolist() == [1, 0.3] and together["units"].tolist() == [10, 10]


def test_arms_and_times_that_nobody_has_are_not_counted():
    data = panel(units=4)
    data["drug"] = pd.Categorical(data["drug"], ["Control", "drug", "placebo"])
    pattern = dropout_pattern(data, **UNIT, by="drug")
    assert pattern["drug"].astype(str).tolist() == ["Control"] * 4 + ["drug"] * 4 and (pattern["share"] == 1).all()


@pytest.mark.parametrize(
    ("share", "rows", "lost"), [(0.3, 9, 3), (0.1, 14, 1), (0.1, 16, 2), (0.99, 7, 7), (0.05, 9, 0)]
)
def test_a_share_is_rounded_to_the_nearest_whole_number_of_values(share, rows, lost):
    data = pd.DataFrame({"y": np.arange(float(rows))})
    for seed in range(5):
        assert knock_out(data, share=share, response="y", rng=seed)["y"].isna().sum() == lost
    Y = np.arange(float(rows))[:, None] + np.zeros(20)
    Y[0, ::2] = np.nan  # one value less is at risk in every other response
    gone = np.isnan(knock_out(share=share, response="y").many(Y, data, 1)).sum(axis=0)
    assert (gone[1::2] == lost).all() and (gone[::2] == 1 + np.rint(share * (rows - 1))).all()


# ---------------------------------------------------------------- whole units


def schools(n, size=5, rng=0):
    """Schools of pupils, half of them in each arm, school effects in the response."""
    rng = np.random.default_rng(rng)
    frame = pd.DataFrame({"school": np.repeat([f"s{k}" for k in range(n)], size)})
    frame["arm"] = np.repeat(np.where(np.arange(n) % 2, "new", "usual"), size)
    return frame.assign(y=np.repeat(rng.normal(size=n), size) + rng.normal(size=n * size))


def share_lost(data):
    """Share of the schools that are gone; none is half gone."""
    gone = data["y"].isna().groupby(data["school"]).mean()
    assert gone.isin([0, 1]).all()
    return gone


def test_a_unit_is_lost_as_a_whole_with_the_probability_that_is_given():
    n, p = 20_000, 0.15
    gone = share_lost(drop_out(schools(n), unit="school", hazard=p, response="y", rng=1))
    assert abs(gone.mean() - p) < 4.5 * np.sqrt(p * (1 - p) / n)


def test_every_arm_loses_units_at_its_own_rate_and_neighbours_independently():
    n, rates = 20_000, {"usual": 0.05, "new": 0.3}
    data = schools(n)
    lost = drop_out(data, unit="school", hazard=rates, by="arm", response="y", rng=2)
    gone = share_lost(lost).reindex(data["school"].unique())
    for arm, part in gone.groupby(data.groupby("school", sort=False)["arm"].first()):
        assert abs(part.mean() - rates[arm]) < 4.5 * np.sqrt(rates[arm] * (1 - rates[arm]) / len(part))
    assert abs(np.corrcoef(gone[:-2], gone[2:])[0, 1]) < 0.2


def test_units_lost_at_random_do_not_move_the_mean_and_units_lost_by_their_mean_do():
    data = schools(5000)
    means = data.groupby("school")["y"].mean()
    at_random = drop_out(data, unit="school", hazard=0.4, response="y", rng=3)["y"].mean()
    assert abs(at_random - means.mean()) < 4.5 * means.std() * np.sqrt(0.4 / 3000)
    worst = drop_out(data, unit="school", hazard=lambda seen: seen["y"] < 0, response="y", rng=3)
    gone = share_lost(worst)
    assert (gone.reindex(means.index) == (means < 0)).all()


def test_a_hazard_of_units_sees_one_row_for_each_with_the_mean_of_what_was_measured():
    data = schools(4).assign(size=np.repeat([10, 20, 30, 40], 5))
    data.loc[[0, 1], "y"] = np.nan
    tables = []
    drop_out(data, unit="school", hazard=lambda seen: tables.append(seen) or 0.0, response="y", rng=1)
    [table] = tables
    assert table["size"].tolist() == [10, 20, 30, 40]
    assert table["y"].tolist() == pytest.approx(data.groupby("school", sort=False)["y"].mean().tolist())


def test_many_responses_lose_the_units_that_one_at_a_time_would():
    data = schools(40).sample(frac=1, random_state=1)
    Y = np.random.default_rng(4).standard_normal((len(data), 30))
    Y[::7] = np.nan
    for hazard in (0.3, lambda seen: 1 / (1 + np.exp(-seen["y"]))):
        observer = drop_out(unit="school", hazard=hazard, response="y")
        many = observer.many(Y, data.drop(columns="y"), 5)
        rng = np.random.default_rng(5)
        one_by_one = [observer(data.assign(y=y), rng)["y"].to_numpy() for y in Y.T]
        assert np.array_equal(many, np.column_stack(one_by_one), equal_nan=True)
        assert 0.1 < (np.isnan(many) & ~np.isnan(Y)).mean() < 0.9


def test_units_without_any_value_have_none_to_lose():
    data = schools(3)
    data.loc[data["school"] == "s1", "y"] = np.nan
    lost = drop_out(data, unit="school", hazard=lambda seen: 0.0 * seen["y"], response="y", rng=1)
    pd.testing.assert_frame_equal(lost, data)
    assert len(drop_out(data, unit="school", hazard=0.0, response="y", keep_rows=False, rng=1)) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sees": "past"}, "sees='past' is about what was measured before: give time=, or leave it out"),
        ({"hazard": 1.5}, "hazard must be a probability"),
        (
            {"hazard": {"a": 0.1, "b": 0.2}, "by": "pupil"},
            "'pupil' has several values in school s0: a unit",
        ),
        ({"unit": "classroom"}, "'classroom' is not a column of the data"),
    ],
)
def test_impossible_losses_of_units_are_refused(arguments, message):
    data = schools(4).assign(pupil=list("ab") * 10)
    with pytest.raises(ValueError, match=message):
        drop_out(data, **{"unit": "school", "hazard": 0.1, "response": "y", **arguments})
    with pytest.raises(ValueError, match="'school' is missing in 20 rows"):
        drop_out(data.assign(school=None), unit="school", hazard=0.1, response="y")


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d: drop_out(d, **UNIT, hazard=1.5),
            r"hazard must be a probability, between 0 and 1; 1 of 1 are not, the first is 1\.5",
        ),
        (
            lambda d: drop_out(d, **UNIT, hazard=lambda s: np.where(s["month"] == 1, -0.2, 0.1)),
            r"hazard must be .* 200 of 600 are not, the first is -0\.2",
        ),
        (lambda d: drop_out(d, **UNIT, hazard={"Control": 2, "drug": 0}, by="drug"), "the first is 2"),
        (lambda d: drop_out(d, **UNIT, hazard=lambda s: s["y"] * np.nan), "hazard is NaN for 600 of 600 rows"),
        (
            lambda d: drop_out(d, **UNIT, hazard=lambda s: [0.1, 0.2]),
            r"one number per row; for 800 rows it gave .*\(2,\)",
        ),
        (
            lambda d: drop_out(d, **UNIT, hazard={"Control": 0.1, "placebo": 0.1}, by="drug"),
            "hazard does not match the column 'drug'.\n  without a value: drug\n  not in the column: placebo",
        ),
        (lambda d: drop_out(d, **UNIT, hazard={"Control": 0.1}), "hazard and by belong together"),
        (lambda d: drop_out(d, **UNIT, hazard=0.1, by="drug"), "hazard and by belong together"),
        (
            lambda d: drop_out(d, **UNIT, hazard={"a": 0.1}, by="arm"),
            "'arm' is not a column of the data; the columns are 'patient', 'month'",
        ),
        (
            lambda d: drop_out(d, unit="person", time="month", hazard=0.1, response="y"),
            "'person' is not a column of the data",
        ),
        (lambda d: drop_out(d, unit="patient", time="week", hazard=0.1, response="y"), "'week' is not a column"),
        (
            lambda d: drop_out(d.assign(month=0), **UNIT, hazard=0.1),
            "patient p0 has more than one row at month 0 .600 rows",
        ),
        (lambda d: drop_out(d.assign(month=np.nan), **UNIT, hazard=0.1), "'month' is missing in 800 rows"),
        (lambda d: drop_out(d, **UNIT, hazard=0.1, sees="future"), "must be 'past' or 'present'; got 'future'"),
        (
            lambda d: drop_out(d, unit="patient", time="month", hazard=0.1),
            'which column is the response.*response="..."',
        ),
        (lambda d: drop_out(d, unit="patient", time="month", hazard=0.1, response="bp"), "'bp' is not a column"),
        (lambda d: drop_out(**UNIT, hazard=0.1, rng=1), "rng belongs to the call on data"),
        (lambda d: knock_out(d, response="y"), "give either share= .* or probability="),
        (lambda d: knock_out(d, share=0.1, probability=0.1, response="y"), "give either share="),
        (lambda d: knock_out(d, share=1.1, response="y"), "share must lie between 0 and 1; got 1.1"),
        (
            lambda d: knock_out(d, probability=-0.1, response="y"),
            "probability must be a probability.*the first is -0.1",
        ),
        (lambda d: knock_out(d, share="0.1", response="y"), "share must lie between 0 and 1; got '0.1'"),
        (lambda d: knock_out(d, share=0.1, response="drug"), "'drug' is not a number column"),
        (lambda d: drop_out(d, **UNIT, hazard="high"), "hazard is a number, one for each .* got 'high'"),
        (lambda d: drop_out(d, **UNIT, hazard={"0": 0.1}, by="month"), "numbers and text are not the same: 1 is not"),
        (
            lambda d: drop_out(d.assign(month=d["month"].astype(str)), **UNIT, hazard=0.1),
            "'month' is text, which has no order in time",
        ),
        (lambda d: dropout_pattern(d, "patient", "week", "y"), "'week' is not a column"),
        (lambda d: knock_out(share=0.1).many(np.zeros((3, 2)), d), r"one row for each of the 800 rows.*\(3, 2\)"),
        (
            lambda d: knock_out(share=0.1).many(np.zeros((800, 2)), d, [np.random.default_rng(1)]),
            "2 responses but 1 gen",
        ),
        (
            lambda d: drop_out(**UNIT, hazard=lambda s: 0.2 * (s["y"] > s["y"].mean())).many(
                np.random.default_rng(1).standard_normal((800, 50)), d
            ),
            "hazard judges a row by the other rows",
        ),
    ],
)
def test_impossible_requests_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(panel())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: drop_out(d.to_dict(), **UNIT, hazard=0.1), "from a DataFrame, as in simulate.* got a dict"),
        (lambda d: drop_out(d, unit=["patient"], time="month", response="y", hazard=0.1), "is a list; name one column"),
        (lambda d: drop_out(d, **UNIT, hazard=0.1, rng="one"), "rng is a Generator, .* got 'one'"),
        (lambda d: knock_out(d, share=0.1, response="y", where="month > 1"), "where is a function of the data"),
    ],
)
def test_what_is_no_table_column_generator_or_function_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call(panel())


def test_only_keys_that_look_like_a_value_are_said_to_be_text_or_numbers():
    data = panel(units=4)
    for hazard, by, alike in [({"0": 0.1}, "month", True), ({"Control": 0.1, "placebo": 0.1}, "drug", False)]:
        with pytest.raises(ValueError, match="hazard does not match the column") as error:
            drop_out(data, **UNIT, hazard=hazard, by=by)
        assert ("numbers and text are not the same" in str(error.value)) == alike


def test_times_in_words_come_in_the_order_of_their_categories():
    data = panel(units=2, times=(0, 1, 2))
    data["month"] = pd.Categorical(np.tile(["before", "during", "after"], 2), ["before", "during", "after"])
    lost = drop_out(data, **UNIT, hazard={"before": 0, "during": 0, "after": 1}, by="month", rng=1)
    assert lost.loc[lost["y"].isna(), "month"].tolist() == ["after", "after"]


@pytest.mark.parametrize("levels", [(0, 1), (False, True)])
@pytest.mark.parametrize("kind", [bool, "boolean", object, "int8", float, "category"])
def test_a_chance_for_a_truth_value_is_found_under_the_number_that_it_equals(levels, kind):
    data = panel().assign(late=lambda d: d["month"] > 1)
    rule = dict(zip(levels, [0.0, 1.0], strict=True))
    y = knock_out(data.astype({"late": kind}), probability=rule, by="late", response="y", rng=1)["y"]
    np.testing.assert_array_equal(y.isna(), data["late"])
