"""Least squares: all rows, means of groups, differences within groups; plain and cluster-robust errors."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from lmmsim.estimators.fit import Fit
from lmmsim.estimators.least_squares import OLS, GroupMeans, Within

ESTIMATORS = [
    OLS("score ~ hours * method"),
    OLS("score ~ hours * method", cluster="school", robust="CR0"),
    OLS("score ~ hours * method", cluster="school"),
    OLS("score ~ hours * method", cluster="school", robust="CR2"),
    GroupMeans("score ~ hours + method", unit="school"),
    Within("score ~ hours + hours:method", unit="school"),
]
names = [estimator.method for estimator in ESTIMATORS]


def schools(sizes=(3, 8, 5, 6, 4, 7, 5, 9), seed=1) -> pd.DataFrame:
    """Unequal schools, a treatment of whole schools, a covariate of pupils, strong dependence within schools."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(len(sizes)), sizes)
    data = pd.DataFrame({"school": [f"s{i}" for i in school], "hours": rng.normal(5, 2, len(school))})
    data["method"] = pd.Categorical(np.where(school % 2, "new", "usual"), categories=["usual", "new"])
    between, slopes = rng.normal(0, 3, len(sizes)), rng.normal(1, 0.5, len(sizes))
    data["score"] = 50 + between[school] + slopes[school] * data["hours"] + rng.normal(0, 2, len(school))
    return data.sample(frac=1, random_state=1).reset_index(drop=True)


def same(fit: Fit, many, column: int, rtol=1e-9) -> None:
    for name in ("estimate", "se", "df", "t", "p", "low", "high"):
        np.testing.assert_allclose(getattr(many, name)[column], fit.coef[name], rtol=rtol, err_msg=name)
    np.testing.assert_allclose([many.sigma[column], many.criterion[column]], [fit.sigma, fit.criterion], rtol=rtol)


# ---- against others


def test_plain_least_squares_is_that_of_statsmodels():
    import statsmodels.api as sm

    data = schools()
    fit = OLS("score ~ hours * method")(data)
    other = sm.OLS(data["score"], fit.matrices.X).fit()
    np.testing.assert_allclose(fit.coef["estimate"], other.params, rtol=1e-10)
    np.testing.assert_allclose(fit.coef["se"], other.bse, rtol=1e-10)
    np.testing.assert_allclose(fit.coef["p"], other.pvalues, rtol=1e-8)
    np.testing.assert_allclose(fit.coef[["low", "high"]], other.conf_int(), rtol=1e-10)
    np.testing.assert_allclose(fit.loglik, other.llf, rtol=1e-12)
    np.testing.assert_allclose(fit.sigma**2, other.scale, rtol=1e-12)
    np.testing.assert_allclose(fit.resid, other.resid, atol=1e-10)


@pytest.mark.parametrize(("robust", "corrected"), [("CR0", False), ("CR1", True)])
def test_cluster_robust_errors_are_those_of_statsmodels(robust, corrected):
    import statsmodels.api as sm

    data = schools()
    fit = OLS("score ~ hours * method", cluster="school", robust=robust)(data)
    groups = data["school"].astype("category").cat.codes
    other = sm.OLS(data["score"], fit.matrices.X).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": corrected}, use_t=corrected
    )
    np.testing.assert_allclose(fit.vcov, other.cov_params(), rtol=1e-8)
    np.testing.assert_allclose(fit.coef["p"], other.pvalues, rtol=1e-8)
    assert (fit.coef["df"] == (7 if corrected else np.inf)).all()


def dense_cr2(X: np.ndarray, codes: np.ndarray, resid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CR2 and its df from n x n matrices, as Pustejovsky & Tipton (2018) write them, for independent errors."""
    n, p = X.shape
    A = np.linalg.inv(X.T @ X)
    I_H = np.eye(n) - X @ A @ X.T
    V = np.zeros((p, p))
    P = []
    for g in np.unique(codes):
        rows = codes == g
        values, vectors = np.linalg.eigh(I_H[np.ix_(rows, rows)])
        root = np.where(values > 1e-10, 1 / np.sqrt(np.maximum(values, 1e-10)), 0)
        B = (vectors * root) @ vectors.T
        score = A @ X[rows].T @ B @ resid[rows]
        V += np.outer(score, score)
        P.append(I_H[:, rows] @ B @ X[rows] @ A)
    df = []
    for j in range(p):
        columns = np.stack([part[:, j] for part in P], axis=1)
        cross = columns.T @ columns
        df.append(np.trace(cross) ** 2 / (cross**2).sum())
    return V, np.array(df)


def test_cr2_and_its_df_are_the_published_formula():
    data = schools()
    fit = OLS("score ~ hours * method", cluster="school", robust="CR2")(data)
    V, df = dense_cr2(fit.matrices.X.to_numpy(), data["school"].to_numpy(), fit.resid.to_numpy())
    np.testing.assert_allclose(fit.vcov, V, rtol=1e-9)
    np.testing.assert_allclose(fit.coef["df"], df, rtol=1e-9)


def test_cr2_stands_a_cluster_that_alone_decides_a_coefficient():
    data = schools().assign(first=lambda d: (d["school"] == "s0") * 1.0)
    fit = OLS("score ~ hours + first", cluster="school", robust="CR2")(data)
    V, df = dense_cr2(fit.matrices.X.to_numpy(), data["school"].to_numpy(), fit.resid.to_numpy())
    np.testing.assert_allclose(fit.vcov, V, rtol=1e-7)
    np.testing.assert_allclose(fit.coef["df"], df, rtol=1e-7)


def test_cr2_is_unbiased_when_errors_are_independent():
    """E V = sigma^2 (X'X)^-1 exactly, by linearity: the scores' covariance summed over clusters."""
    data = schools()
    solved = OLS("score ~ hours * method", cluster="school", robust="CR2")
    n = len(data)
    # the variance is a quadratic form in y: its mean under N(0, I) is its sum over the unit vectors
    many = solved.many(np.eye(n), data)
    X = solved(data).matrices.X.to_numpy()
    np.testing.assert_allclose((many.se**2).sum(axis=0), np.diag(np.linalg.inv(X.T @ X)), rtol=1e-9)


# ---- identities


def test_least_squares_within_groups_is_least_squares_with_a_dummy_per_group():
    data = schools()
    within = Within("score ~ hours + hours:method", unit="school")(data)
    dummies = OLS("score ~ 0 + school + hours + hours:method")(data)
    shared = list(within.coef.index)
    pd.testing.assert_frame_equal(within.coef, dummies.coef.loc[shared], rtol=1e-8)
    pd.testing.assert_series_equal(within.fitted, dummies.fitted, rtol=1e-8)
    np.testing.assert_allclose([within.sigma, within.criterion], [dummies.sigma, dummies.criterion])
    assert within.npar == dummies.npar


def test_group_means_are_least_squares_on_the_table_of_means():
    data = schools()
    means = data.groupby("school").agg(score=("score", "mean"), hours=("hours", "mean"), method=("method", "first"))
    pd.testing.assert_frame_equal(
        GroupMeans("score ~ hours + method", unit="school")(data).coef, OLS("score ~ hours + method")(means).coef
    )


def test_combinations_of_columns_can_be_the_groups():
    data = schools().assign(part=lambda d: np.arange(len(d)) % 2)
    joined = data.assign(both=data["school"] + data["part"].astype(str))
    for kind in (GroupMeans, Within, lambda formula, unit: OLS(formula, cluster=unit)):
        both = kind("score ~ hours", "both")(joined).coef
        pd.testing.assert_frame_equal(kind("score ~ hours", "school:part")(data).coef, both)
        pd.testing.assert_frame_equal(kind("score ~ hours", ["school", "part"])(data).coef, both)


def test_robust_errors_without_clusters_are_refused():
    with pytest.raises(ValueError, match="robust='CR2' needs cluster=, the column that says which errors go together"):
        OLS("score ~ hours", robust="CR2")


def test_means_need_a_unit_and_take_it_by_either_word():
    with pytest.raises(TypeError, match="GroupMeans needs unit="):
        GroupMeans("score ~ hours")
    assert GroupMeans("score ~ hours", by="school") == GroupMeans("score ~ hours", unit="school")


@pytest.mark.parametrize("kind", [OLS, GroupMeans, Within])
def test_an_estimator_is_called_on_data(kind):
    with pytest.raises(
        TypeError, match=rf"is a DataFrame; an estimator is made first .*: {kind.__name__}\(formula\)\(data\)"
    ):
        kind("score ~ hours", schools())


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=names)
def test_row_order_does_not_matter(estimator):
    data = schools()
    shuffled = data.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(estimator(data).coef, estimator(shuffled).coef)
    pd.testing.assert_series_equal(
        estimator(data).resid.sort_index(), estimator(shuffled).resid.sort_index(), atol=1e-9
    )


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=names)
def test_many_responses_give_the_same_fit_as_one(estimator):
    data = schools()
    Y = data["score"].to_numpy()[:, None] + np.random.default_rng(2).normal(0, 3, (len(data), 5))
    many = estimator.many(Y, data.drop(columns="score"))
    for j in range(5):
        same(estimator(data.assign(score=Y[:, j])), many, j)
    assert many.converged.all() and not many.singular.any()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=names)
def test_a_value_that_is_missing_in_one_replicate_is_missing_there_only(estimator):
    data = schools()
    rng = np.random.default_rng(3)
    Y = data["score"].to_numpy()[:, None] + rng.normal(0, 3, (len(data), 6))
    Y[:, 1:][rng.random((len(data), 5)) < 0.15] = np.nan
    Y[:, 4] = np.where(np.isnan(Y[:, 3]), np.nan, Y[:, 4])  # misses at least what its neighbour misses
    many = estimator.many(Y, data)
    for j in range(6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            same(estimator(data.assign(score=Y[:, j])), many, j)


def test_estimators_are_plain_values():
    assert OLS("y ~ x") == OLS("y ~ x") and hash(OLS("y ~ x")) == hash(OLS("y ~ x"))
    for estimator in ESTIMATORS:
        assert pickle.loads(pickle.dumps(estimator)) == estimator


def test_data_are_left_as_they_were():
    data = schools()
    before = data.copy()
    for estimator in ESTIMATORS:
        estimator(data)
    pd.testing.assert_frame_equal(data, before)


# ---- rows that are missing, and what cannot be analysed


def test_rows_without_a_value_are_counted_and_dropped():
    data = schools()
    gaps = data.copy()
    gaps.loc[[0, 5, 7], "score"] = np.nan
    with pytest.warns(UserWarning, match=r"3 of 47 rows have no score and were dropped; the other 44 are analysed"):
        fit = OLS("score ~ hours")(gaps)
    pd.testing.assert_frame_equal(fit.coef, OLS("score ~ hours")(data.drop([0, 5, 7])).coef)
    assert fit.nobs == 44 and len(fit.resid) == 44


def test_rows_without_a_cluster_are_counted_too():
    gaps = schools()
    gaps.loc[[1, 2], "school"] = None
    gaps.loc[3, "hours"] = np.nan
    with pytest.warns(UserWarning, match=r"3 of 47 rows have no hours \(1\) or school \(2\)"):
        OLS("score ~ hours", cluster="school")(gaps)
    with pytest.warns(UserWarning, match="3 of 47 rows"):
        many = OLS("score ~ hours", cluster="school").many(gaps[["score"]].to_numpy(), gaps)
    with pytest.warns(UserWarning):
        same(OLS("score ~ hours", cluster="school")(gaps), many, 0)


def test_missing_rows_can_be_an_error():
    gaps = schools()
    gaps.loc[0, "score"] = np.nan
    with pytest.raises(ValueError, match=r"1 of 47 rows have no score; drop or fill them"):
        OLS("score ~ hours", missing="raise")(gaps)


@pytest.mark.parametrize(
    ("estimator", "change", "message"),
    [
        (OLS("score ~ hours + twice"), {"twice": lambda d: 2 * d["hours"]}, "rank 2: 'twice' can be computed"),
        (OLS("score ~ hours"), {"score": 7.0}, "'score' is 7 in all 47 rows"),
        (OLS("score ~ hours"), {"score": lambda d: d["score"].where(d.index != 3, np.inf)}, "infinite in 1 of 47 rows"),
        (OLS("score ~ hours"), {"hours": lambda d: d["hours"].where(d.index != 3, np.inf)}, "column 'hours' of X"),
        (OLS("score ~ hours"), {"score": "high"}, "'score' is not a number column"),
        (OLS("marks ~ hours"), {}, "'marks' is not a column of the data; the columns are 'school'"),
        (OLS("score ~ hours", cluster="class"), {}, "'class' is not a column of the data"),
        (OLS("score ~ hours", cluster="school"), {"school": "one"}, "at least two clusters"),
        (Within("score ~ hours + method", unit="school"), {}, r"'method\[T.new\]' does not vary within .* 'school'"),
        (Within("score ~ 1", unit="school"), {}, "only an intercept"),
        (
            GroupMeans("score ~ method + half", unit="school"),
            {"half": lambda d: d["hours"] - d.groupby("school")["hours"].transform("mean")},
            "'half' has the same mean in every level of 'school'.* Within or LMM",
        ),
        (GroupMeans("score ~ poly(hours, 8)", unit="school"), {}, "8 groups cannot estimate 9 coefficients"),
    ],
)
def test_what_cannot_be_analysed_is_refused(estimator, change, message):
    with pytest.raises(ValueError, match=message):
        estimator(schools().assign(**change))


@pytest.mark.parametrize("kind", [OLS, lambda f: GroupMeans(f, unit="g"), lambda f: Within(f, unit="g")])
def test_a_random_effect_is_sent_to_the_mixed_model(kind):
    with pytest.raises(ValueError, match=r"has no random effects, but 'y ~ x \+ \(1 \| g\)' has \(1 \| g\)"):
        kind("y ~ x + (1 | g)")


def test_an_unknown_word_is_refused():
    with pytest.raises(ValueError, match="robust='HC3' is not known; choose one of None, 'CR0', 'CR1', 'CR2'"):
        OLS("y ~ x", cluster="g", robust="HC3")
    with pytest.raises(ValueError, match="missing='warn' is not known"):
        OLS("y ~ x", missing="warn")
    with pytest.raises(ValueError, match="level=95 is not between 0 and 1"):
        OLS("y ~ x", level=95)


def test_a_replicate_that_cannot_be_analysed_says_why():
    data = schools()
    Y = np.repeat(data[["score"]].to_numpy(), 4, axis=1)
    Y[:, 1] = 3.0
    Y[0, 2] = np.inf
    Y[2:, 3] = np.nan
    many = OLS("score ~ hours").many(Y, data)
    assert many.converged.tolist() == [True, False, False, False]
    assert np.isnan(many.estimate[1:]).all() and np.isnan(many.p[1:]).all()
    for message, word in zip(
        many.message[1:], ("is 3 in all rows", "infinite in 1 of 47", "2 rows cannot"), strict=True
    ):
        assert word in message


def test_responses_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"Y has shape \(40, 2\); it needs one row for each of the 47 rows"):
        OLS("score ~ hours").many(np.ones((40, 2)), schools())


# ---- theory


@pytest.mark.slow
def test_type_one_error_of_least_squares_about_clusters_is_what_theory_says():
    """10 schools of 10, ICC 0.1: theory.json, ols_vs_lmm_type1_cluster_two_arm_balanced."""
    r, J, m, rho = 40_000, 10, 10, 0.1
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"school": np.repeat(np.arange(J), m), "new": np.repeat(np.arange(J) % 2, m)})
    Y = np.sqrt(rho) * np.repeat(rng.normal(size=(J, r)), m, axis=0) + np.sqrt(1 - rho) * rng.normal(size=(J * m, r))

    def rejects(estimator):
        return (estimator.many(Y, data).p[:, 1] < 0.05).mean()

    for rate, truth in (
        (rejects(OLS("y ~ new")), 0.15716676),  # type1_ols_between_exact
        (rejects(GroupMeans("y ~ new", unit="school")), 0.05),  # exact: normal means, equal groups
    ):
        assert abs(rate - truth) < 4.5 * np.sqrt(truth * (1 - truth) / r)
    # with equal clusters and a treatment of whole clusters CR2 is the t test on the means
    cr2 = OLS("y ~ new", cluster="school", robust="CR2").many(Y[:, :50], data)
    means = GroupMeans("y ~ new", unit="school").many(Y[:, :50], data)
    np.testing.assert_allclose(cr2.se[:, 1], means.se[:, 1])
    np.testing.assert_allclose(cr2.df[:, 1], 8)
