"""Pictures: what they show, in whose colours, on which Axes; not their pixels."""

import ast
import warnings
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from lmmsim import LMM, Model, crossed, diagnose, lineup, plot, scenarios, simulate
from lmmsim.plot.appearance import luminance, spread, styles
from lmmsim.plot.matrices import entries_of, shades


@pytest.fixture(autouse=True)
def no_other_figure():
    plt.close("all")  # the examples of docstrings leave theirs open
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def plants():
    model, design = scenarios.plant_growth(plots=9)
    return simulate(model, design, rng=1)


@pytest.fixture
def coefficients():
    index = pd.Index(["Intercept", "week"], name="term")
    return pd.DataFrame({"estimate": [10.0, 2.0], "low": [9.0, 1.5], "high": [11.0, 2.5]}, index=index)


@pytest.fixture
def estimates():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"analysis": np.repeat(["OLS", "LMM"], 200), "term": "method", "se": 1.0})
    table["estimate"] = rng.normal(2.0, 1.0, len(table))
    half = np.where(table["analysis"] == "OLS", 1.0, 1.96)
    return table.assign(low=table["estimate"] - half, high=table["estimate"] + half)


@pytest.fixture
def rates():
    table = pd.DataFrame({"schools": [10, 20, 10, 20], "analysis": ["OLS", "OLS", "LMM", "LMM"]})
    return table.assign(rejection=[0.3, 0.5, 0.2, 0.4], rejection_mcse=0.02)


def named_effects(**values):
    """Random effects of plots, as `Fit.u` has them."""
    tuples = [("plot", f"plot{i}", term) for i in range(3) for term in values]
    index = pd.MultiIndex.from_tuples(tuples, names=["group", "level", "term"])
    return pd.Series([values[term][i] for i in range(3) for term in values], index)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def pictures(plants, coefficients, estimates, rates):
    """Every picture that draws on given Axes, by name."""
    u = named_effects(Intercept=[1.0, -1.0, 0.0])
    own = pd.Series({"a": 1.0, "b": 3.0})
    one = estimates[estimates["analysis"] == "LMM"]
    return {
        "trajectories": lambda ax: plot.trajectories(plants.data, "week", "height", "plot", hue="fertilizer", ax=ax),
        "layout": lambda ax: plot.layout(plants.design, "plot", "week", hue="fertilizer", ax=ax),
        "matrix": lambda ax: plot.matrix(plants.Z, "Z", ax=ax),
        "parts": lambda ax: plot.parts(plants, 7, ax=ax),
        "caterpillar": lambda ax: plot.caterpillar(u, truth=u, ax=ax),
        "shrinkage": lambda ax: plot.shrinkage(own, own + 0.5, 2.0, ax=ax),
        "qq": lambda ax: plot.qq(plants.eps, ax=ax),
        "intervals": lambda ax: plot.intervals({"OLS": coefficients, "LMM": coefficients}, ax=ax),
        "sampling": lambda ax: plot.sampling(estimates, 2.0, ax=ax),
        "zip_plot": lambda ax: plot.zip_plot(one, 2.0, ax=ax),
        "power": lambda ax: plot.power(rates, "schools", ax=ax),
        "predictive": lambda ax: plot.predictive(1.0, [0.5, 1.0, 1.5], ax=ax),
    } | {name: partial(getattr(plot, name), table) for name, table in checks().items()}


def checks():
    """A table for every check that has a picture."""
    ends = {"low": -0.3, "high": 0.3}
    lags = pd.DataFrame({"lag": [1, 2, 3], "correlation": [0.5, 0.1, 0.0], "semivariance": [0.5, 0.9, 1.0], **ends})
    return {
        "residuals": pd.DataFrame({"fitted": [1.0, 2.0, 3.0], "standardised": [0.5, -1.2, 0.4]}),
        "linearity": pd.DataFrame({"at": [0.0, 1.0, 2.0], "mean": [0.1, -0.4, 0.2], **ends}),
        "scale_location": pd.DataFrame({"at": ["old", "new"], "spread": [0.8, 1.2], "low": 0.9, "high": 1.1}),
        "lag_correlation": lags,
        "variogram": lags.assign(semivariance_low=0.8, semivariance_high=1.1),
        "slopes": pd.DataFrame({"level": ["a", "b", "c"], "slope": [0.1, 0.5, -0.4], **ends}),
        "influence": pd.DataFrame({"cooks_kept": [0.1, 0.9, np.nan]}, index=pd.Index(["a", "b", "c"], name="school")),
        "simulated_residuals": pd.DataFrame({"scaled": [0.2, 0.9, 0.5]}),
    }


def test_pictures_are_drawn_on_the_given_axes_and_return_them(plants, coefficients, estimates, rates):
    for name, draw in pictures(plants, coefficients, estimates, rates).items():
        figure, axes = plt.subplots(1, 2)
        assert draw(ax=axes[0]) is axes[0], name
        assert not axes[1].has_data(), name
        assert plt.get_fignums() == [figure.number], name
        plt.close(figure)


def test_pictures_change_no_style_and_no_input_and_show_nothing(plants, coefficients, estimates, rates, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_: pytest.fail("a picture showed itself"))
    before, data = dict(plt.rcParams), plants.data.copy()
    for draw in pictures(plants, coefficients, estimates, rates).values():
        draw(ax=None)
        plt.close("all")
    plot.equation(plants)
    assert dict(plt.rcParams) == before
    pd.testing.assert_frame_equal(plants.data, data)


def test_pictures_are_drawn_without_a_warning_in_readable_type(plants, coefficients, estimates, rates):
    from matplotlib.text import Text

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, draw in pictures(plants, coefficients, estimates, rates).items():
            figure = draw(ax=None).figure
            figure.draw_without_rendering()
            sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
            assert min(sizes) >= 9, name
            plt.close(figure)


def test_two_pictures_in_one_cell_do_not_end_up_on_top_of_each_other(plants):
    first, second = plot.matrix(plants.X), plot.matrix(plants.Z)
    assert first.figure is not second.figure


def test_a_figure_that_the_reader_has_opened_is_used():
    figure = plt.figure(figsize=(3, 2))
    assert plot.qq([1.0, 2.0, 3.0]).figure is figure


def test_plot_imports_nothing_of_lmmsim_and_no_matplotlib_at_the_top():
    folder = Path(plot.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                for name in names:
                    assert name.startswith("lmmsim.plot") or name.split(".")[0] not in {"lmmsim", "matplotlib", "scipy"}


# colours ------------------------------------------------------------------------------------------------------------


def test_an_analysis_has_the_same_colour_in_every_picture(estimates, rates, coefficients):
    for name in ("OLS", "LMM"):
        colour = plot.COLOURS[name].lower()
        drawn = {
            to_hex(line.get_color())
            for ax in (
                plot.power(rates[rates["analysis"] == name], "schools"),
                plot.intervals({name: coefficients}),
            )
            for line in ax.lines
            if line.get_marker() == plot.style(name).marker
        }
        assert drawn == {colour}
        ax = plot.sampling(estimates[estimates["analysis"] == name])
        filled, outline = ax.patches
        assert to_hex(filled.get_facecolor()) == to_hex(outline.get_edgecolor()) == colour


def test_a_name_tells_its_family():
    assert plot.style("school means") == plot.style("group means")
    assert plot.style("LMM, random slopes") == plot.style("LMM")
    assert plot.style("OLS with cluster-robust se") == plot.style("OLS, cluster-robust")


def test_two_analyses_of_a_family_do_not_look_the_same_and_the_plain_one_keeps_its_colour():
    looks = styles(["LMM, intercepts only", "LMM", "something else", "statsmodels"])
    assert looks["LMM"].colour == plot.COLOURS["LMM"]
    assert len({look.colour for look in looks.values()}) == 4


def test_markers_and_lines_tell_analyses_apart_in_grey_print():
    looks = [plot.style(name) for name in plot.COLOURS]
    assert len({look.marker for look in looks}) == len({str(look.line) for look in looks}) + 1 == len(looks)


def test_every_colour_stands_out_from_the_white_card():
    from matplotlib.colors import to_rgb

    for colour in [*plot.COLOURS.values(), *plot.TREATMENTS, *plot.PARTS.values()]:
        contrast = 1.05 / (luminance(np.array(to_rgb(colour))) + 0.05)
        assert contrast >= 3, colour  # WCAG 2.2, 1.4.11


# data and designs ---------------------------------------------------------------------------------------------------


def test_every_unit_has_a_line_and_every_group_a_mean(plants):
    ax = plot.trajectories(plants.data, "week", "height", "plot", hue="fertilizer", ylabel="height (cm)")
    assert len(ax.lines) == 9 + 3
    assert texts(ax) == ["Control", "A", "B"]
    assert ax.get_ylabel() == "height (cm)"
    means = plants.data.groupby(["fertilizer", "week"], observed=True)["height"].mean()
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), means["B"])


def test_rows_out_of_order_give_the_same_lines(plants):
    shuffled = plants.data.sample(frac=1, random_state=1)
    lines = [
        {tuple(line.get_ydata()) for line in plot.trajectories(data, "week", "height", "plot", mean=False).lines}
        for data in (plants.data, shuffled)
    ]
    assert lines[0] == lines[1]


def test_panels_share_their_axes_and_hold_their_own_units(plants):
    axes = plot.trajectories(plants.data, "week", "height", "plot", hue="fertilizer", col="fertilizer")
    assert [ax.get_title() for ax in axes] == ["Control", "A", "B"]
    assert len({ax.get_ylim() for ax in axes}) == 1
    with pytest.raises(ValueError, match="leave out ax"):
        plot.trajectories(plants.data, "week", "height", "plot", col="fertilizer", ax=axes[0])


def test_units_of_no_group_are_pale(plants):
    data = plants.data.assign(fertilizer=plants.data["fertilizer"].where(plants.data["plot"] != "plot1"))
    ax = plot.trajectories(data, "week", "height", "plot", hue="fertilizer")
    assert to_hex(ax.lines[0].get_color()) not in {colour.lower() for colour in plot.TREATMENTS}
    plot.layout(data, "plot", "week", hue="fertilizer")


def test_weeks_are_marked_at_whole_numbers(plants):
    ax = plot.trajectories(plants.data, "week", "height", "plot")
    assert list(ax.get_xticks()) == [0, 1, 2, 3, 4]


def test_a_design_has_a_tile_for_each_measurement(plants):
    data = plants.data.assign(height=plants.data["height"].where(plants.data["week"] < 3))
    ax = plot.layout(data, "plot", "week", hue="fertilizer", response="height")
    assert len(ax.collections[0].get_paths()) == len(data)
    assert legend(ax) == ["Control", "A", "B", "missing"]
    hollow = (ax.collections[0].get_facecolor()[:, :3] == 1).all(axis=1)
    assert hollow.sum() == data["height"].isna().sum()


def test_a_design_without_time_counts_the_measurements():
    _, design = scenarios.teaching_methods(schools=4, pupils=6)
    ax = plot.layout(design, "school", hue="method")
    assert ax.get_xlabel() == "measurement of a school"
    assert ax.get_xlim() == (-0.5, 5.5)


def test_a_missing_column_is_named_with_those_that_there_are(plants):
    with pytest.raises(ValueError, match=r"no column 'weeek'; its columns are plot, week, fertilizer, height"):
        plot.trajectories(plants.data, "weeek", "height", "plot")


def test_an_empty_table_is_refused(plants, rates):
    with pytest.raises(ValueError, match="no rows"):
        plot.trajectories(plants.data.iloc[:0], "week", "height", "plot")
    with pytest.raises(ValueError, match="no rows"):
        plot.power(rates.iloc[:0], "schools")
    with pytest.raises(TypeError, match="DataFrame is needed to draw from, not dict"):
        plot.power({}, "schools")


# matrices and the equation ------------------------------------------------------------------------------------------


def test_a_matrix_says_its_dimensions_and_prints_its_numbers_when_small(plants):
    ax = plot.matrix(plants.model.G(plants.design.iloc[:10]), "G")
    assert (ax.get_title(), ax.get_xlabel()) == ("G", "4 × 4")
    assert texts(ax)[:2] == ["4.00", "0.24"]
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["plot1: Intercept", "plot1: week"]
    assert not texts(plot.matrix(plants.Z))


def test_only_zeros_are_white():
    rgba = shades(np.array([[0.0, 1e-6, -1e-6, 1.0]]))
    assert [bool((cell == 1).all()) for cell in rgba[0]] == [True, False, False, False]
    assert rgba[0, 1, 2] > rgba[0, 1, 0]  # positive is blue
    assert rgba[0, 2, 0] > rgba[0, 2, 2]  # negative is red


def test_a_large_sparse_matrix_loses_no_entry_to_the_screen():
    from scipy import sparse

    rng = np.random.default_rng(1)
    M = sparse.coo_array((np.ones(50), (rng.integers(0, 10**6, 50), rng.integers(0, 2000, 50))), shape=(10**6, 2000))
    entries = entries_of(M)[0]
    assert max(entries.shape) <= 600
    patches = set(zip(M.row * 600 // 10**6, M.col * 600 // 2000, strict=True))
    assert {(int(i), int(j)) for i, j in np.argwhere(entries)} == {(int(i), int(j)) for i, j in patches}
    assert plot.matrix(M).get_xlabel() == "1000000 × 2000"


def test_a_matrix_without_entries_is_refused():
    with pytest.raises(ValueError, match="at least one row and one column"):
        plot.matrix(np.zeros((0, 3)))


def test_the_equation_that_is_drawn_holds_for_the_rows_that_are_shown(plants):
    axes = plot.equation(plants, rows=[0, 4, 5])
    size = [tuple(map(int, ax.get_xlabel().split("\n")[1].split(" × "))) for ax in axes]
    assert size == [(3, 1), (3, 6), (6, 1), (3, 3), (3, 1), (3, 1)]  # plot 2 is seen in week 0 alone: no slope
    signs = [text for ax in axes for text in texts(ax) if text in ("=", "+")]
    assert signs == ["=", "+", "+"]
    numbers = [np.array([float(t.replace("−", "-")) for t in texts(ax) if t not in ("=", "+", "")]) for ax in axes]
    y, X, beta, Z, u, eps = (values.reshape(shape) for values, shape in zip(numbers, size, strict=True))
    np.testing.assert_allclose(y, X @ beta + Z @ u + eps, atol=0.05)  # two decimals are printed
    with pytest.raises(ValueError, match="chooses none of the 45 rows"):
        plot.equation(plants, rows=slice(0, 0))


def test_a_model_without_random_effects_has_an_equation_too():
    model = Model("y ~ 1", {"Intercept": 1.0}, residual=1.0)
    axes = plot.equation(simulate(model, crossed(plant=3), rng=1))
    assert [ax.get_xlabel()[0] for ax in axes] == ["y", "X", "β", "ε"]


def test_every_world_has_an_equation_and_a_row_to_draw(world):
    simulation = simulate(*world, rng=1)
    plot.equation(simulation)
    ax = plot.parts(simulation, row=-1)
    total = float(texts(ax)[-1].replace("−", "-"))
    assert total == pytest.approx(simulation.y[-1], abs=0.006)


def test_the_parts_of_a_row_end_at_its_response(plants):
    ax = plot.parts(plants, row=7, xlabel="height (cm)")
    bars = [patch.get_width() for patch in ax.patches]
    assert 10.0 + sum(bars) == pytest.approx(plants.y[7])
    with pytest.raises(ValueError, match="row=45, but the data have rows 0 to 44"):
        plot.parts(plants, row=45)


# random effects -----------------------------------------------------------------------------------------------------


def test_a_caterpillar_is_sorted_and_keeps_the_truth_beside_its_prediction():
    u = named_effects(Intercept=[1.0, -2.0, 0.5], week=[0.1, 0.2, -0.3])
    truth = 2 * u
    intervals = pd.DataFrame({"low": u - 1, "high": u + 1})
    ax = plot.caterpillar(u, truth, intervals, term="week")
    predicted, hollow = ax.lines[-2:]
    np.testing.assert_array_equal(predicted.get_xdata(), [-0.3, 0.1, 0.2])
    np.testing.assert_array_equal(hollow.get_xdata(), [-0.6, 0.2, 0.4])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["plot2", "plot0", "plot1"]
    np.testing.assert_allclose(ax.collections[0].get_paths()[0].vertices[:, 0], [-1.3, 0.7])
    assert legend(ax) == ["predicted", "truth"]
    with pytest.raises(ValueError, match="'plot' has no term 'month'; its terms are 'Intercept', 'week'"):
        plot.caterpillar(u, term="month")
    with pytest.raises(ValueError, match="no group 'school'; the groups are 'plot'"):
        plot.caterpillar(u, group="school")


def test_shrinkage_has_an_arrow_for_each_group_in_one_dimension_and_in_two():
    own = pd.DataFrame({"Intercept": [1.0, 2.0, 3.0], "week": [0.1, 0.2, 0.3]}, index=list("abc"))
    shared = own.iloc[::-1] * 0.5  # another order of the same groups
    for k, population in ((1, 1.0), (2, [1.0, 0.1])):
        ax = plot.shrinkage(own.iloc[:, :k], shared.iloc[:, :k], population)
        assert len(ax.patches) == 3
        np.testing.assert_array_equal(ax.lines[1].get_xdata(), [0.5, 1.0, 1.5])
        assert legend(ax) == ["own data only", "mixed model", "population"]
    with pytest.raises(ValueError, match="partial has no row for a"):
        plot.shrinkage(own, shared.drop("a"))


def test_quantiles_are_drawn_in_order_within_their_envelope():
    table = pd.DataFrame({"theoretical": [1.0, -1.0, 0.0], "sample": [1.2, -0.8, 0.1]})
    assert len(plot.qq(table).collections) == 0
    ax = plot.qq(table.assign(low=table["sample"] - 1, high=table["sample"] + 1))
    assert len(ax.collections) == 1
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), [-0.8, 0.1, 1.2])


# studies ------------------------------------------------------------------------------------------------------------


def test_intervals_name_terms_or_analyses_at_the_side(coefficients):
    tables = {"OLS": coefficients, "LMM": coefficients.iloc[1:]}
    ax = plot.intervals(tables, truth={"Intercept": 10.0, "week": 2.0})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Intercept", "week"]
    assert legend(ax) == ["OLS", "LMM", "truth"]
    ax = plot.intervals(tables, terms="week", truth={"week": 2.0})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["OLS", "LMM"]
    assert texts(ax) == ["truth 2"]
    with pytest.raises(ValueError, match="no analysis has the term 'month'; the terms are 'Intercept', 'week'"):
        plot.intervals(tables, terms="month")
    with pytest.raises(TypeError, match="'OLS' is float"):
        plot.intervals({"OLS": 1.0})


def test_intervals_take_fits():
    from lmmsim.estimators.least_squares import OLS

    model, design = scenarios.teaching_methods(schools=4, pupils=5)
    data = simulate(model, design, rng=1).data
    ax = plot.intervals({"OLS": OLS("score ~ method")(data)}, truth=model.beta, terms="method[T.new]")
    assert texts(ax) == ["truth 2"]


def test_sampling_distributions_have_a_row_each_and_the_truth(estimates):
    ax = plot.sampling(estimates, truth={"method": 2.0}, xlabel="estimated effect (points)")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["OLS", "LMM"]
    assert texts(ax) == ["truth 2"]
    two = pd.concat([estimates, estimates.assign(term="prior")])
    with pytest.raises(ValueError, match="several terms: say term= one of 'method', 'prior'"):
        plot.sampling(two)
    with pytest.raises(ValueError, match="no estimate is a finite number"):
        plot.sampling(estimates.assign(estimate=np.nan))


def test_a_zip_plot_colours_the_intervals_that_miss(estimates):
    axes = plot.zip_plot(estimates, truth=2.0)
    for ax, (_, rows) in zip(axes, estimates.groupby("analysis", sort=False), strict=True):
        covers = ((rows["low"] <= 2) & (rows["high"] >= 2)).mean()
        assert ax.get_title("left").endswith(f"{100 * covers:.3g} % cover")
        _inside, missing = ax.collections
        assert len(missing.get_paths()) == round((1 - covers) * len(rows))
    with pytest.raises(ValueError, match="leave out ax"):
        plot.zip_plot(estimates, truth=2.0, ax=axes[0])


def test_power_curves_are_named_at_their_ends_with_their_error(rates):
    exact = pd.DataFrame({"schools": [10, 20], "rejection": [0.21, 0.41]})
    ax = plot.power(rates, "schools", nominal=[0.05, 0.8], exact=exact, xlabel="schools in each arm")
    assert texts(ax) == ["OLS", "LMM", "exact"]
    assert len(ax.collections) == 2
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.26, 0.54))
    indexed = plot.power(rates.set_index(["schools", "analysis"]), "schools")
    assert texts(indexed) == ["OLS", "LMM"]


def test_a_power_curve_takes_exact_power_as_it_comes(rates):
    exact = pd.DataFrame({"schools": [10, 20], "power": [0.21, 0.41]})
    ax = plot.power(rates, "schools", exact=exact)
    assert texts(ax) == ["OLS", "LMM", "exact"]


def test_a_sweep_over_n_is_drawn_along_its_n_and_not_along_its_replicates(rates):
    table = rates.rename(columns={"schools": "n"}).set_index(["n", "analysis"]).assign(n=1000)
    ax = plot.power(table, "n")
    assert ax.lines[0].get_xdata().tolist() == [10, 20]


def test_a_curve_is_of_one_term(rates):
    both = pd.concat([rates.assign(term=term).set_index(["schools", "term", "analysis"]) for term in ("a", "b")])
    with pytest.raises(ValueError, match=r"more than one row for schools 10, analysis OLS, .* table.xs\(term, level="):
        plot.power(both, "schools")
    assert plot.power(both.xs("a", level="term"), "schools").lines
    grid = pd.concat({icc: both for icc in (0.1, 0.2)}, names=["icc"])
    with pytest.raises(ValueError, match=r"choose, as table.xs\(icc, level='icc'\).xs\(term, level='term'\)$"):
        plot.power(grid, "schools")
    with pytest.raises(ValueError, match=r"icc 0.1, .* choose, as table.xs\(analysis, level='analysis'\)$"):
        plot.power(grid.xs("a", level="term"), "schools", by="icc")


def test_names_at_the_ends_keep_their_distance_and_their_order():
    placed = spread(np.array([0.50, 0.10, 0.51, 0.52]), 0.1)
    assert list(np.argsort(placed)) == [1, 0, 2, 3]
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-12
    assert placed[1] == 0.1
    assert placed[[0, 2, 3]].mean() == pytest.approx(0.51)


def test_a_predictive_check_says_what_was_observed():
    ax = plot.predictive(1.25, np.linspace(0, 1, 50), "sd of the slopes (ms per day)")
    assert texts(ax) == ["observed 1.25"]
    assert ax.get_xlabel() == "sd of the slopes (ms per day)"
    assert sum(patch.get_height() for patch in ax.patches) == 50
    with pytest.raises(ValueError, match="no simulated value is a finite number"):
        plot.predictive(1.0, [np.nan])


def test_a_line_up_hides_the_real_data_at_its_place():
    frames = [pd.DataFrame({"x": [0.0, float(i)]}) for i in range(19)]
    real = pd.DataFrame({"x": [0.0, 99.0]})
    axes = plot.lineup(frames, lambda data, ax: ax.plot(data["x"]), observed=real, position=7)
    assert [ax.get_title("left") for ax in axes] == [str(i + 1) for i in range(20)]
    assert axes[6].lines[0].get_ydata()[1] == 99
    assert len({ax.spines["left"].get_linewidth() for ax in axes}) == 1
    shown = plot.lineup(frames, lambda data, ax: ax.plot(data["x"]), observed=real, position=7, reveal=True)
    assert shown[6].spines["left"].get_linewidth() > shown[5].spines["left"].get_linewidth()
    with pytest.raises(ValueError, match="position=21, but the panels are numbered 1 to 20"):
        plot.lineup(frames, print, observed=real, position=21)


# checks ---------------------------------------------------------------------------------------------------------------


def test_every_check_has_a_picture():
    """What `diagnose` answers can be drawn as it comes, and shows its own numbers."""
    made = simulate(*scenarios.plant_growth(plots=12), rng=1)
    diagnosis = diagnose(LMM("height ~ week * fertilizer + (1 | plot)")(made.data), rng=2, replicates=19)
    drawn = set()
    for name, check in diagnosis.checks.items():
        kind = name.split()[0]
        picture = plot.qq if "qq" in kind or kind == "least_confounded" else getattr(plot, kind)
        for given in (check, check.table):
            ax = picture(given)
            assert ax.lines and ax.get_xlabel() and ax.get_ylabel() is not None, name
            plt.close("all")
        drawn.add(kind)
    assert plot.scale_location(diagnosis.checks["scale_location fertilizer"]).get_xlabel() == "fertilizer"
    assert plot.scale_location(diagnosis.checks["scale_location fitted"]).get_xlabel() == "fitted value"
    assert len(drawn) == 9 and plot.residuals(diagnosis.residuals).lines and plot.variogram(check_of(diagnosis)).lines


def check_of(diagnosis):
    return diagnosis.checks["lag_correlation week"]


def test_values_along_a_covariate_are_drawn_in_their_band():
    table = checks()["linearity"]
    ax = plot.linearity(table)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), table[["at", "mean"]])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == -0.3 and band[:, 1].max() == 0.3


def test_levels_of_a_factor_stand_side_by_side_with_their_names():
    ax = plot.scale_location(checks()["scale_location"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["old", "new"]
    assert ax.lines[0].get_ydata().tolist() == [0.8, 1.2]


def test_the_most_influential_group_stands_at_the_top():
    ax = plot.influence(checks()["influence"])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a", "c"]
    with pytest.raises(ValueError, match="no column 'change week'; its columns are cooks_kept"):
        plot.influence(checks()["influence"], "change week")


def test_quantiles_of_two_kinds_are_not_mixed_in_one_picture():
    table = pd.DataFrame(
        {"group": "plot", "term": ["Intercept", "week"], "theoretical": [0.0, 0.0], "sample": [1.0, 2.0]}
    )
    with pytest.raises(ValueError, match="quantiles of plot Intercept, plot week, and a picture shows one: choose"):
        plot.qq(table)


def test_a_line_up_is_drawn_as_it_comes_and_frames_its_own_real_panel():
    made = simulate(*scenarios.plant_growth(plots=6), rng=1)
    hidden = lineup(LMM("height ~ week + (1 | plot)")(made.data), rng=3, n=6)
    axes = plot.lineup(hidden, lambda frame, ax: ax.plot(frame["week"], frame["height"], "o"), reveal=True)
    framed = [i + 1 for i, ax in enumerate(axes) if ax.spines["top"].get_visible()]
    assert len(axes) == 6 and framed == [hidden.reveal()]
