"""Shapes of chance: one contract for all of them."""

import pickle

import numpy as np
import pandas as pd
import pytest

from lmmsim import draws

SHAPES = [
    draws.normal(),
    draws.student_t(df=5),
    draws.student_t(df=30),
    draws.skewed(skewness=1),
    draws.skewed(skewness=2),
    draws.skewed(skewness=-0.7),
    draws.skewed(skewness=0),
    draws.uniform(),
    draws.contaminated(share=0.1, ratio=3),
    draws.contaminated(),
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
N = 400_000


@every_shape
def test_standardised_mean_is_0_and_variance_1(shape):
    z = shape.standard(1, N)
    assert abs(z.mean()) < 4.5 / np.sqrt(N)
    assert abs(z.var() - 1) < 4.5 * np.sqrt((shape.kurtosis + 2) / N)  # Var(s²) = σ⁴ (excess kurtosis + 2) / n


@pytest.mark.parametrize("shape", [s for s in SHAPES if s != draws.student_t(5)], ids=lambda shape: shape.name)
def test_skewness_and_kurtosis_are_those_of_theory(shape):
    z = shape.standard(2, N)
    # the Monte-Carlo errors from 20 independent parts of the draws
    third, fourth = ((z**k).reshape(20, -1).mean(axis=1) for k in (3, 4))
    assert abs(third.mean() - shape.skewness) < 5 * third.std(ddof=1) / np.sqrt(20)
    assert abs(fourth.mean() - 3 - shape.kurtosis) < 5 * fourth.std(ddof=1) / np.sqrt(20)


def test_student_t_has_the_tails_of_student_t():
    from scipy import stats

    z = draws.student_t(df=5).standard(3, N)
    p = 2 * stats.t.sf(4 * np.sqrt(5 / 3), df=5)  # |z| > 4
    assert abs((abs(z) > 4).mean() - p) < 4.5 * np.sqrt(p / N)
    assert p > 20 * 2 * stats.norm.sf(4)  # far more than a normal would have


def test_skewness_2_is_the_exponential_distribution():
    from scipy import stats

    z = draws.skewed(skewness=2).standard(4, 20_000)
    assert stats.kstest(z + 1, "expon").pvalue > 1e-4


@every_shape
def test_first_rows_of_many_are_the_rows_of_few(shape):
    many, few = shape.standard(5, (50, 3)), shape.standard(5, (7, 3))
    assert np.array_equal(many[:7], few)
    rng = np.random.default_rng(5)
    assert np.array_equal(np.vstack([shape.standard(rng, (7, 3)), shape.standard(rng, (43, 3))]), many)


@every_shape
def test_sd_is_the_sd_of_what_is_drawn(shape):
    import dataclasses

    moved = dataclasses.replace(shape, mean=50.0, sd=10.0)
    np.testing.assert_allclose(moved.draw(6, 100), 50 + 10 * shape.standard(6, 100), rtol=1e-12)


@every_shape
def test_out_gets_the_same_numbers(shape):
    out = np.empty((4, 3))
    assert shape.standard(7, (4, 3), out=out) is out
    assert np.array_equal(out, shape.standard(7, (4, 3)))


@every_shape
def test_shapes_are_values(shape):
    again = pickle.loads(pickle.dumps(shape))
    assert again == shape and hash(again) == hash(shape)
    assert np.array_equal(again.standard(8, 5), shape.standard(8, 5))


def test_shapes_with_other_numbers_are_other_shapes():
    assert len(set(SHAPES)) == len(SHAPES)
    assert draws.student_t(2.5) == draws.student_t(2.5)


def test_skewness_0_is_the_normal_distribution():
    assert np.array_equal(draws.skewed(0).standard(9, 10), draws.normal().standard(9, 10))
    assert draws.skewed(1e-5).standard(9, 100_000).std() == pytest.approx(1, abs=4.5 / np.sqrt(200_000))


def test_contamination_of_0_or_1_is_normal():
    for share in (0, 1):
        assert draws.contaminated(share=share, ratio=5).kurtosis == pytest.approx(0)
        z = draws.contaminated(share=share, ratio=5).standard(10, 10_000)
        assert abs(z.var() - 1) < 4.5 * np.sqrt(2 / 10_000)


def test_a_function_without_arguments_serves_as_a_shape():
    assert draws.as_shape(draws.normal) == draws.NORMAL == draws.as_shape(draws.normal())
    assert draws.as_shape(draws.skewed).skewness == 1


@pytest.mark.parametrize("wrong", ["normal", 3, dict, draws.student_t])
def test_what_is_no_shape_is_refused(wrong):
    with pytest.raises(TypeError, match=r"draws.student_t\(df=5\)"):
        draws.as_shape(wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: draws.student_t(2),
            "variance of Student's t with df = 2 is infinite, so it has no sd; use df above 2",
        ),
        (lambda: draws.normal(sd=-1), "sd must be a number of 0 or more; got -1"),
        (lambda: draws.normal(mean=np.nan), "mean must be a finite number"),
        (lambda: draws.normal(sd="1"), "sd must be a number of 0 or more; got '1'"),
        (lambda: draws.student_t("5"), "use df above 2"),
        (lambda: draws.contaminated(share=True), "between 0 and 1; got True"),
        (lambda: draws.skewed(np.inf), "skewness must be a finite number; got inf"),
        (lambda: draws.contaminated(share=1.5), "must lie between 0 and 1; got 1.5"),
        (lambda: draws.contaminated(ratio=0), "must be above 0; got 0"),
        (lambda: draws.correlated({}), "names no covariate"),
        (lambda: draws.correlated({"a": -1}), "sd cannot be negative: got -1"),
        (lambda: draws.correlated({"a": 1, "b": 1}, corr=-1.1), "impossible correlations"),
        (
            lambda: draws.correlated({"a": 1, "b": 1}, mean={"a": 0, "c": 1}),
            "mean does not match the names in sd.\n  without a value: b\n  not in sd: c",
        ),
        (lambda: draws.correlated({"a": 1, "b": 1}, corr=pd.DataFrame([[1.0]], ["a"], ["a"])), "without a value: b"),
        (lambda: draws.correlated({"a": 1, "b": 1}, corr={"a": 0.5}), "a number for a pair, .* got {'a': 0.5}"),
        (lambda: draws.correlated({"a": 1, "b": 1}, corr={("a", "b"): np.nan}), r"got {\('a', 'b'\): nan}"),
        (lambda: draws.correlated({"a": 1, "b": 1}, corr={("a", "c"): 0.5}), "for 'a' and 'c'; the terms are"),
        (
            lambda: draws.correlated({"a": 1, "b": 1}, corr={("a", "b"): 0.5, ("b", "a"): 0.4}),
            "'b' and 'a' are given two correlations, 0.5 and 0.4; keep one",
        ),
        (lambda: draws.correlated({"a": 1, "b": 1}, corr="0.5"), "corr is a number, .* got '0.5'"),
        (lambda: draws.correlated({"a": 1, "b": 1}, corr=np.eye(3)), "corr has 3 rows and columns, but there are 2"),
    ],
)
def test_impossible_requests_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_covariates_have_the_covariance_asked_for():
    wanted = draws.correlated({"prior": 1.0, "ses": 2.0, "age": 0.5}, corr=0.4, mean={"prior": 0, "ses": 5, "age": 9})
    x = wanted.draw(11, N)
    assert x.shape == (N, 3) and wanted.names == ("prior", "ses", "age")
    sd = np.array(wanted.sd)
    assert (abs(x.mean(axis=0) - wanted.mean) < 4.5 * sd / np.sqrt(N)).all()
    # Var(s_ij) = (s_ii s_jj + s_ij²) / n
    cov = wanted.cov.to_numpy()
    error = np.sqrt((np.outer(sd, sd) ** 2 + cov**2) / N)
    assert (abs(np.cov(x.T) - cov) < 4.5 * error).all()


def test_labelled_correlations_join_by_name():
    corr = pd.DataFrame(
        [[1.0, 0.1, 0.2], [0.1, 1.0, 0.3], [0.2, 0.3, 1.0]], index=["c", "a", "b"], columns=["c", "a", "b"]
    )
    cov = draws.correlated({"a": 1, "b": 2, "c": 3}, corr=corr).cov
    assert cov.loc["a", "b"] == pytest.approx(0.3 * 1 * 2)
    assert cov.loc["c", "b"] == pytest.approx(0.2 * 3 * 2)


def test_correlated_covariates_are_a_value_and_may_be_redundant():
    same = draws.correlated({"a": 1, "b": 2}, corr=1.0)
    assert pickle.loads(pickle.dumps(same)) == same == draws.correlated({"a": 1, "b": 2}, corr=np.ones((2, 2)))
    assert isinstance(hash(same), int)
    x = same.draw(12, 20)
    np.testing.assert_allclose(x[:, 1], 2 * x[:, 0], atol=1e-14)
    np.testing.assert_allclose(same.draw(12, 5), x[:5], atol=1e-14)


def test_correlations_of_pairs_are_those_of_the_matrix():
    by_pair = draws.correlated({"a": 1.0, "b": 2.0, "c": 3.0}, corr={("c", "a"): 0.5})
    assert by_pair == draws.correlated({"a": 1.0, "b": 2.0, "c": 3.0}, corr=[[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]])


@pytest.mark.parametrize("wrong", ["one", 1.5])
def test_what_is_no_seed_is_refused(wrong):
    with pytest.raises(TypeError, match=f"rng is a Generator, a whole number of 0 or more, or None; got {wrong!r}"):
        draws.normal().draw(wrong, 3)
