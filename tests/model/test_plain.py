"""Plain formulas have the columns that formulaic gives them, to the letter, without formulaic."""

import itertools
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from lmmsim.model import evaluation, formula, plain
from lmmsim.model.columns import build, rebuild
from lmmsim.model.evaluation import specification
from lmmsim.model.formula import split
from lmmsim.model.tokens import FUNCTIONS, PYTHON

FORMULAS = [
    "1", "0 + x", "x + 0", "x - 1", "-1 + x", "x", "x + z", "z + x", "x:z", "x*z", "x * z + z:x", "x + x",
    "a", "0 + a", "a - 1", "a + b", "b + a", "0 + b + a", "a:b", "0 + a:b", "a*b", "b*a", "0 + a*b", "a + a:b",
    "b + a:b", "a:b + a", "a:x", "0 + a:x", "a + a:x", "x + a:x", "x:a + x", "a*x", "x*a", "a*x - 1", "a*b*x",
    "a:b:flag", "a*b:flag", "a*b*flag", "0 + a*flag:x", "a:b + b:flag + a:flag", "flag", "flag*x", "0 + flag",
    "C(w)", "0 + C(w)", "C(w):x", "C(w)*a", "C(w) + w", "C(w)*w", "C(w):w", "0 + w:C(w)", "gap", "gap*a", "0 + gap:x",
    "`my x`", "`my x`*a", "C(`my x`)", "`my x` + C(`my x`)", "`my x`:`a.b`", "0 + `a.b`", "`1st`*`a:b`", "class*x",
    "`naïve`*a", "`a[T.q]`*x", "x+a", " x\n + a ", "1 + x + a", "x + 1 + a + 0", "0 + x + 1", "z*a + x:b + a:x",
]  # fmt: skip
NOT_PLAIN = ["(a + b)*x", "a/b", "(a + b)**2", "np.log(x)", "C(a, Sum)", "I(x + 1)", "poly(x, 2)", "a %in% b"]


@pytest.fixture(scope="module")
def rows():
    """Every kind of column: three levels never come together, one level and some values are not there."""
    rng, n = np.random.default_rng(1), 200
    data = pd.DataFrame({name: rng.normal(size=n) for name in ("x", "z", "my x", "a[T.q]")})
    data["a"] = rng.choice(["p", "q", "r"], n)
    data["b"] = pd.Categorical(rng.choice(["low", "high"], n), categories=["low", "high"], ordered=True)
    data["flag"] = pd.Categorical(rng.random(n) < 0.5)
    data["w"] = rng.integers(1, 4, n).astype("int8")
    data["gap"] = pd.Categorical(rng.choice([1, 2, 7], n), categories=[7, 1, 5, 2])
    data["a.b"] = pd.Series(rng.choice([0.5, 2.0], n)).astype("category")
    data["1st"], data["a:b"] = rng.choice(["u [v]", "w:x"], n), rng.random(n) < 0.5
    data["class"], data["naïve"] = rng.choice(["ä", "ö"], n), rng.normal(size=n).astype("float32")
    data["my x"] = data["my x"].round()
    return data


@pytest.mark.parametrize("fixed", FORMULAS)
def test_columns_are_those_of_formulaic(fixed, rows):
    matrices = build(f"y ~ {fixed}", rows)
    parts, kinds = split(f"y ~ {fixed}"), tuple(matrices.basis.kinds.items())
    assert matrices.basis.learned is None
    named = [parts.named(str(name)) for name in specification(parts, kinds).fixed.column_names]
    assert matrices.X.columns.tolist() == named
    frame = {"nothing": rows["x"]} | {use.name: _as_used(rows[use.column], use.factor) for use in parts.uses}
    values = matrices.spec.get_model_matrix(pd.DataFrame(frame)).fixed
    np.testing.assert_array_equal(matrices.X.to_numpy(), np.asarray(values, dtype=float))


def _as_used(column, factor):
    """A column as formulaic is to see it: truth values are numbers, and C(x) makes a factor of whole numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(column.dtype):
        return column
    return pd.Categorical(column.astype(int)) if factor else column.astype(float)


@pytest.fixture
def without_plain(monkeypatch):
    """A way to build columns where nothing is plain, so that formulaic reads everything."""
    kept = [evaluation.has_functions, evaluation._plain_terms, evaluation._plan, formula._split]

    def built(*args, **kwargs):
        with monkeypatch.context() as patch:
            for cache in kept:
                cache.cache_clear()
            patch.setattr(plain, "terms", lambda *_: None)
            matrices = build(*args, **kwargs)
        for cache in kept:
            cache.cache_clear()
        return matrices

    return built


def test_any_formula_of_any_columns_is_read_as_by_formulaic(without_plain, rows):
    """Random sums of products, with empty cells and levels of other rows only: values, names, notes and new rows."""
    rng = np.random.default_rng(5)
    names = ["x", "z", "a", "b", "flag", "w", "gap", "C(w)", "C(a)", "`my x`", "C(`my x`)", "`a:b`", "class", "`1st`"]
    for _ in range(60):
        data = rows.sample(int(rng.integers(12, 60)), random_state=rng).reset_index(drop=True)
        products = [
            "".join(
                itertools.chain(*zip(rng.choice(names, k), [*rng.choice([":", "*", " * "], k - 1), ""], strict=True))
            )
            for k in rng.integers(1, 4, rng.integers(1, 4))
        ]
        sign = rng.choice(["", "", "0 + ", "1 + "])
        text = f"y ~ {sign}{' + '.join(products)} + (1 + {rng.choice(names)} | b)"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty cells
            ours, theirs = build(text, data, drop=True), without_plain(text, data, drop=True)
        assert (list(ours.names), ours.note) == (list(theirs.names), theirs.note), text
        np.testing.assert_array_equal(ours.values, theirs.values, err_msg=text)
        np.testing.assert_array_equal(ours.terms[0].columns, theirs.terms[0].columns, err_msg=text)
        some = rng.permutation(len(data))[: rng.integers(1, 4)]
        np.testing.assert_array_equal(rebuild(ours, data.iloc[some]).values, ours.values[some], err_msg=text)


@pytest.mark.parametrize("effects", ["1", "x", "0 + a", "x + a", "a*x", "0 + a:b"])
def test_so_are_those_of_random_effects(effects, rows):
    term = build(f"y ~ z + ({effects} | w)", rows).terms[0]
    assert list(term.names) == build(f"y ~ {effects}", rows).X.columns.tolist()


def test_terms_and_columns_of_any_sum_are_those_of_formulaic():
    """All sums of up to three products of up to three names, with and without an intercept, for all kinds of names."""
    from formulaic import Formula

    levels = {"a": ("p", "q"), "b": (1, 2, 3), "x": None}
    nobody = pd.DataFrame({name: _without_rows(own) for name, own in levels.items()})
    products = ["".join(pair) for pair in itertools.product("abx", ["", ":a", "*b", "*x", ":b*x", "*a:x", ":x:b"])]
    rng = np.random.default_rng(3)
    for _ in range(400):
        text = " + ".join([*rng.choice(["1", "0"], rng.integers(2)), *rng.choice(products, rng.integers(1, 4))])
        formula, terms = Formula(text), plain.terms(text, levels)
        assert [":".join(term) or "1" for term in terms] == [str(term) for term in formula], text
        spec = formula.get_model_matrix(nobody, na_action="ignore").model_spec
        spanned = set()
        named = [column.name for term in terms for column in plain.columns(term, levels, spanned)]
        assert named == list(spec.column_names), text


def _without_rows(levels):
    return np.empty(0) if levels is None else pd.Categorical([], categories=levels)


@pytest.mark.parametrize("fixed", NOT_PLAIN)
def test_everything_else_is_left_to_formulaic(fixed):
    parts = split(f"y ~ {fixed}")
    assert plain.terms(parts.readable[0], {use.name for use in parts.uses}) is None


def test_a_name_that_is_no_column_is_not_plain():
    assert plain.terms("x + np", {"x"}) is None


def test_functions_are_those_of_formulaic():
    from formulaic.transforms import TRANSFORMS

    assert {*TRANSFORMS, *PYTHON} == FUNCTIONS


def loaded(lines):
    """Which of these libraries an analysis has loaded in a process of its own."""
    code = (
        "import sys, numpy as np, pandas as pd\nfrom lmmsim import LMM, OLS\n"
        "data = pd.DataFrame({'g': np.arange(40) // 4, 'x': np.arange(40) % 4, 'arm': list('ab') * 20})\n"
        f"data['y'] = np.sin(np.arange(40.0))\n{lines}\n"
        "print(*[name for name in ('formulaic', 'scipy.sparse', 'scipy.special') if name in sys.modules])"
    )
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_a_plain_analysis_loads_no_formulaic():
    assert "formulaic" not in loaded(
        "fit = LMM('y ~ x * arm + (x || g)')(data)\n"
        "fit.coef, fit.predict(data), OLS('y ~ C(x)')(data).coef\n"
        "LMM('y ~ arm + (1 | g)').many(data[['y']].to_numpy(), data).p\n"
    )


@pytest.mark.parametrize("random", ["(x | g)", "(1 | g)", "(1 | g) + (1 | x)"])
def test_a_small_fit_loads_no_scipy_until_it_is_asked_for_p(random):
    assert loaded(f"fit = LMM('y ~ arm + {random}')(data)") == []
    after = loaded(f"fit = LMM('y ~ arm + {random}')(data).coef")
    assert "scipy.special" in after and "formulaic" not in after


def test_a_function_is_left_to_formulaic():
    assert "formulaic" in loaded("LMM('y ~ np.exp(x) + (1 | g)')(data)")
