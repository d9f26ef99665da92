"""Pictures of means, predictions and a diagnosis show the numbers that they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lmmsim import LMM, OLS, crossed, diagnose, plot, scenarios, simulate


@pytest.fixture(scope="module")
def plants():
    return simulate(*scenarios.plant_growth(plots=12), rng=1)


@pytest.fixture(scope="module")
def fit(plants):
    return LMM(plants.model.formula)(plants.data)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def segments(ax):
    """Lengths of all intervals that are drawn."""
    paths = [path.vertices for collection in ax.collections for path in collection.get_paths()]
    return np.array([np.ptp(ends, axis=0).max() for ends in paths if len(ends) == 2])


def test_means_are_drawn_with_their_intervals(fit):
    table = fit.means("fertilizer", by="week")
    ax = plot.means(table, ax=Figure().subplots())
    assert ax.get_xlabel() == "week"
    assert len(ax.lines) == 3  # one line for each fertilizer
    drawn = np.concatenate([line.get_ydata() for line in ax.lines])
    np.testing.assert_allclose(np.sort(drawn), np.sort(table["estimate"]))
    np.testing.assert_allclose(np.sort(segments(ax)), np.sort(table["high"] - table["low"]))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Control", "A", "B"]


def test_levels_stand_side_by_side_and_are_not_joined(fit):
    ax = plot.means(fit.means("fertilizer"), ylabel="height (cm)", ax=Figure().subplots())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Control", "A", "B"]
    assert ax.lines[0].get_linestyle() == "None" and ax.get_ylabel() == "height (cm)"


def test_differences_are_rows_with_a_line_at_zero(fit):
    table = fit.means("fertilizer", by="week", at={"week": [0, 4]}, pairs=True)
    ax = plot.means(table, ax=Figure().subplots())
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[0] == "Control - A, week 0" and len(names) == 6
    np.testing.assert_allclose(ax.lines[1].get_xdata(), table["estimate"])
    assert list(ax.lines[0].get_xdata()) == [0, 0]


def test_a_table_with_too_much_in_it_is_refused(fit):
    table = fit.means("fertilizer", by="week")
    with pytest.raises(ValueError, match="the table also differs by week"):
        plot.means(table, x="fertilizer", hue="fertilizer", ax=Figure().subplots())
    with pytest.raises(ValueError, match="'arm' is not in the index of the table, which has fertilizer, week"):
        plot.means(table, x="arm", ax=Figure().subplots())
    with pytest.raises(ValueError, match="the table has no column 'low'"):
        plot.means(table.drop(columns="low"), ax=Figure().subplots())


def test_a_prediction_is_a_line_in_its_band_before_the_data(fit, plants):
    rows = crossed(week=[0, 2, 4], fertilizer=["Control", "A", "B"])
    predicted = fit.predict(rows)
    ax = plot.prediction(predicted, rows, "week", "fertilizer", data=plants.data, y="height", ax=Figure().subplots())
    points, lines = ax.lines[:3], ax.lines[3:]
    assert sum(len(line.get_ydata()) for line in points) == len(plants.data)
    here = rows["fertilizer"] == "A"
    np.testing.assert_allclose(lines[1].get_ydata(), predicted["mean"][here])
    assert len(ax.collections) == 3
    bottom = ax.collections[1].get_paths()[0].vertices[:, 1].min()
    np.testing.assert_allclose(bottom, predicted["low"][here].min())


def test_a_fit_draws_its_means_of_the_population(fit):
    rows = pd.DataFrame({"week": [0, 4], "fertilizer": "A"})
    line = plot.prediction(fit, rows, "week", ax=Figure().subplots()).lines[0]
    np.testing.assert_allclose(line.get_ydata(), fit.predict(rows)["mean"])


def test_every_unit_has_a_line_of_its_own(fit, plants):
    some = plants.data[plants.data["plot"].isin(plants.data["plot"].unique()[:4])]
    predicted = fit.predict(some, kind="conditional")
    ax = plot.prediction(predicted, some, "week", unit="plot", ax=Figure().subplots())
    assert len(ax.lines) == 4
    with pytest.raises(ValueError, match="a line has several predictions at one 'week': say hue= or unit="):
        plot.prediction(predicted, some, "week", ax=Figure().subplots())
    with pytest.raises(ValueError, match="predictions of 2 rows"):
        plot.prediction(predicted, some.iloc[:2], "week", ax=Figure().subplots())
    with pytest.raises(ValueError, match="y= names the response"):
        plot.prediction(predicted, some, "week", unit="plot", data=some, ax=Figure().subplots())


def test_a_diagnosis_is_drawn_in_one_call(fit):
    found = diagnose(fit, rng=1, replicates=19)
    axes = plot.diagnosis(found)
    titles = [ax.get_title("left") for ax in axes]
    assert titles[:3] == [
        "residuals along fitted values",
        "residuals: quantiles",
        "plot: Intercept",
    ]
    assert {"residuals by plot", "mean residuals along week", "residuals of one unit, by lag"} <= set(titles)
    drawn = axes[0].lines[-1]
    np.testing.assert_allclose(drawn.get_ydata(), found.residuals["conditional"])
    by_plot = axes[titles.index("residuals by plot")].lines[-1]
    assert len(np.unique(by_plot.get_xdata())) == 12
    with pytest.raises(TypeError, match="a diagnosis is drawn, as"):
        plot.diagnosis(fit)


def test_the_titles_of_a_diagnosis_have_room_side_by_side():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"laboratory": np.repeat(np.arange(12), 6), "concentration": np.tile(np.arange(6.0), 12)})
    data["y"] = rng.normal(size=(12, 2))[data["laboratory"], 0] + rng.normal(size=72) + 0.3 * data["concentration"]
    data["y"] += rng.normal(size=12)[data["laboratory"]] * data["concentration"]
    fit = LMM("y ~ concentration + (concentration | laboratory)")(data)
    axes = plot.diagnosis(diagnose(fit, time="concentration", rng=1, replicates=19))
    assert axes[3].get_title("left").split() == ["laboratory:", "concentration"]
    figure = axes[0].figure
    figure.canvas.draw()
    boxes = [ax._left_title.get_window_extent() for ax in axes]
    for i, box in enumerate(boxes):
        assert box.x1 <= figure.bbox.x1 and not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert not any(box.overlaps(ax.get_window_extent()) for ax in axes)


def test_the_picture_of_least_squares_has_no_groups(plants):
    found = diagnose(OLS("height ~ week")(plants.data), rng=1, replicates=19)
    assert [ax.get_title("left") for ax in plot.diagnosis(found)][:2] == [
        "residuals along fitted values",
        "residuals: quantiles",
    ]
    assert pd.isna(found.group) or found.group is None
