"""Other parametrisations, against the world they describe."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lmmsim.convert import beta_from_means, effect_from_d, icc, sd_from_icc, slope_from_r2


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.5, 0.99])
def test_icc_comes_back_from_the_sds_it_gave(rho):
    for scale in ({"sd_total": 10.0}, {"sd_residual": 3.0}):
        sd_group, sd_residual = sd_from_icc(rho, **scale)
        assert icc(sd_group=sd_group, sd_residual=sd_residual) == pytest.approx(rho, abs=1e-15)
    assert sd_from_icc(rho, sd_residual=3.0)[1] == 3.0
    assert np.hypot(*sd_from_icc(rho, sd_total=10.0)) == pytest.approx(10.0)


def test_icc_is_the_correlation_of_two_measurements_of_a_group():
    rng = np.random.default_rng(1)
    sd_group, sd_residual = sd_from_icc(0.3, sd_total=5.0)
    n = 100_000
    y = sd_group * rng.standard_normal((n, 1)) + sd_residual * rng.standard_normal((n, 2))
    assert abs(np.corrcoef(y.T)[0, 1] - 0.3) < 4.5 * (1 - 0.3**2) / np.sqrt(n)


def test_a_d_means_another_difference_with_every_standardizer():
    sds = {"sd_group": 3.0, "sd_residual": 4.0}
    assert [effect_from_d(0.2, **sds, standardizer=s) for s in ("total", "residual", "group")] == pytest.approx(
        [1.0, 0.8, 0.6]
    )


def test_standardizer_has_no_default():
    with pytest.raises(TypeError, match="standardizer"):
        effect_from_d(0.2, sd_group=3.0, sd_residual=4.0)


def test_slope_from_r2_explains_that_share_of_the_variance():
    slope = slope_from_r2(0.13, sd_predictor=2.0, sd_group=3.0, sd_residual=4.0)
    fixed = slope**2 * 2.0**2
    assert fixed / (fixed + 3.0**2 + 4.0**2) == pytest.approx(0.13)


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (3, 2), (2, 3, 3)])
def test_coefficients_reproduce_the_cell_means_by_the_names_of_formulaic(sizes):
    from formulaic import model_matrix

    rng = np.random.default_rng(2)
    factors = ["dose", "kind", "site"][: len(sizes)]
    # labels whose alphabetical order is not the order they are named in
    levels = [[f"{factor}{size - i}" for i in range(size)] for factor, size in zip(factors, sizes, strict=True)]
    index = pd.MultiIndex.from_product(levels, names=factors)
    means = pd.Series(rng.normal(size=len(index)), index=index)
    if len(factors) == 1:
        beta = beta_from_means({"dose": dict(zip(levels[0], means, strict=True))})
    else:
        beta = beta_from_means(means)

    cells = pd.DataFrame(list(itertools.product(*levels)), columns=factors)
    for factor, named in zip(factors, levels, strict=True):
        cells[factor] = pd.Categorical(cells[factor], categories=named)
    X = model_matrix(" * ".join(factors), cells)
    assert list(beta) == list(X.columns)
    np.testing.assert_allclose(X.to_numpy() @ np.array(list(beta.values())), means.to_numpy(), atol=1e-14)


def test_cells_may_come_in_any_order():
    index = pd.MultiIndex.from_tuples([("u", "x"), ("v", "y"), ("v", "x"), ("u", "y")], names=["a", "b"])
    beta = beta_from_means(pd.Series([1, 10, 4, 3], index=index))
    assert beta == {"Intercept": 1.0, "a[T.v]": 3.0, "b[T.y]": 2.0, "a[T.v]:b[T.y]": 4.0}


def test_categories_keep_their_order():
    arm = pd.CategoricalIndex(["drug", "Control"], categories=["Control", "drug"], name="arm")
    assert beta_from_means(pd.Series([7.0, 5.0], index=arm)) == {"Intercept": 5.0, "arm[T.drug]": 2.0}


def test_means_of_observed_groups_can_be_passed_on():
    data = pd.DataFrame({"a": ["u", "u", "v", "v"], "b": ["x", "y", "x", "y"], "m": [1.0, 3.0, 4.0, 10.0]})
    assert beta_from_means(data.groupby(["a", "b"])["m"].mean())["a[T.v]:b[T.y]"] == 4.0


two = pd.MultiIndex.from_tuples([("u", "x"), ("u", "y"), ("v", "x")], names=["a", "b"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sd_from_icc(0.1), "give exactly one of sd_total= and sd_residual="),
        (lambda: sd_from_icc(0.1, sd_total=1, sd_residual=1), "give exactly one"),
        (lambda: sd_from_icc(-0.1, sd_total=1), "between 0 and 1; got -0.1"),
        (lambda: sd_from_icc(1.0, sd_residual=1), "leaves no residual variance"),
        (lambda: sd_from_icc(0.1, sd_total=-1), "sd_total is a standard deviation and cannot be negative; got -1"),
        (lambda: sd_from_icc("0.1", sd_total=1), "between 0 and 1; got '0.1'"),
        (lambda: icc(sd_group="1", sd_residual=1), "sd_group is a standard deviation .* got '1'"),
        (lambda: effect_from_d(np.nan, sd_group=1, sd_residual=1, standardizer="total"), "d is a finite number"),
        (lambda: slope_from_r2("0.5", sd_predictor=1, sd_group=1, sd_residual=1), "below 1; got '0.5'"),
        (lambda: beta_from_means({"arm": {"a": 1, "b": "x"}}), "no finite value for the cell arm = b"),
        (lambda: icc(sd_group=0, sd_residual=0), "both 0"),
        (lambda: icc(sd_group=-1, sd_residual=1), "sd_group is a standard deviation"),
        (
            lambda: effect_from_d(1, sd_group=1, sd_residual=1, standardizer="pooled"),
            "standardizer must be 'total', 'residual' or 'group'; got 'pooled'",
        ),
        (lambda: slope_from_r2(1.0, sd_predictor=1, sd_group=1, sd_residual=1), "below 1; got 1"),
        (lambda: slope_from_r2(0.5, sd_predictor=0, sd_group=1, sd_residual=1), "sd_predictor is 0"),
        (lambda: beta_from_means(pd.Series([1, 2, 3], index=two)), "no finite value for the cell a = v, b = y"),
        (lambda: beta_from_means(pd.Series([1, 2], index=two[[0, 0]])), "the cell a = u, b = x more than once"),
        (lambda: beta_from_means(pd.Series([1, 2])), "needs the name of its factor"),
        (lambda: beta_from_means({"Control": 10, "A": 12}), "means must be {factor: {level: mean}} for one factor"),
        (lambda: beta_from_means({"arm": {}}), "means is empty"),
    ],
)
def test_impossible_requests_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- several levels ------------------------------------------------------------


def test_shares_of_several_levels_add_up_to_the_whole_variance():
    sds = sd_from_icc(school=0.10, class_=0.05, total=10.0)
    assert list(sds) == ["school", "class", "residual"]
    assert {name: sd**2 for name, sd in sds.items()} == pytest.approx({"school": 10, "class": 5, "residual": 85})
    assert sds == sd_from_icc({"school": 0.10, "class": 0.05}, sd_total=10.0)
    assert sd_from_icc({"school:class": 0.05}, school=0.10, total=10.0)["school:class"] == sds["class"]


def test_the_residual_may_set_the_scale_of_several_levels():
    sds = sd_from_icc(school=0.2, class_=0.3, sd_residual=3.0)
    total = sum(sd**2 for sd in sds.values())
    assert sds["residual"] == 3.0 and sds["school"] ** 2 / total == pytest.approx(0.2)
    assert sds["class"] ** 2 / total == pytest.approx(0.3)


def test_pupils_correlate_as_the_shares_say():
    """Of one school 0.10, of one class of it 0.10 + 0.05."""
    from lmmsim import Model, nested

    sds = sd_from_icc(school=0.10, class_=0.05, total=10.0)
    random = {"school": sds["school"], "school:klass": sds["class"]}
    model = Model("y ~ 1 + (1 | school/klass)", {"Intercept": 0}, random, sds["residual"])
    V = model.V(nested(school=2, klass=2, pupil=2)) / 100
    assert V[0].tolist() == pytest.approx([1, 0.15, 0.10, 0.10, 0, 0, 0, 0])


def test_one_named_level_is_what_the_two_level_call_says():
    group, residual = sd_from_icc(0.3, total=5.0)
    assert sd_from_icc(school=0.3, total=5.0) == {"school": group, "residual": residual}


def test_a_variance_may_be_used_up_exactly():
    sds = sd_from_icc(a=0.1, b=0.2, c=0.7, total=2.0)
    assert sds["residual"] == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: sd_from_icc(school=0.7, class_=0.5, total=1.0),
            r"add up to 1.2, .* \(school 0.7, class_ 0.5\)",
        ),
        (lambda: sd_from_icc(school=-0.1, total=1.0), "the ICC of 'school' is -0.1; a share lies between 0 and 1"),
        (lambda: sd_from_icc(school="0.1", total=1.0), "the ICC of 'school' is '0.1'"),
        (lambda: sd_from_icc(0.1, school=0.1, total=1.0), "icc=0.1 has no name: name all levels"),
        (lambda: sd_from_icc(total=1.0), "give an ICC, or the share of each level by its name"),
        (lambda: sd_from_icc(0.1, total=1.0, sd_total=1.0), "total= is short for sd_total=: give one of the two"),
        (lambda: sd_from_icc(school=0.1), "give exactly one of sd_total= and sd_residual="),
        (lambda: sd_from_icc(school=0.5, class_=0.5, sd_residual=1.0), "leaves no residual variance"),
        (lambda: sd_from_icc(residual=0.5, total=1.0), "need names of their own, other than 'residual'"),
        (
            lambda: sd_from_icc({"class": 0.1}, class_=0.1, total=1.0),
            "the levels class, class_ need names",
        ),
    ],
)
def test_shares_that_are_none_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
