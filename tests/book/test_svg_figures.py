"""Figures that follow the page: its ink, its face, light and dark, a name for those who cannot see them."""

from __future__ import annotations

import io
import re
import sys

import matplotlib as mpl
import numpy as np
import pytest
from places import BOOK


@pytest.fixture
def cleaned(monkeypatch):
    """Draw something as the book does, and clean it as the build does."""
    monkeypatch.syspath_prepend(str(BOOK / "_ext"))
    pytest.importorskip("lxml")
    import svg_figures

    def run(draw, label="A line that rises from the left to the right."):
        from matplotlib.figure import Figure

        with mpl.rc_context(fname=str(BOOK / "matplotlibrc")):
            figure = Figure()
            draw(figure.add_subplot())
            file = io.BytesIO()
            figure.savefig(file, format="svg")
        return svg_figures.clean(file.getvalue(), "p7", label)

    yield run
    for name in ("svg_figures", "svg_paths", "ink"):
        sys.modules.pop(name, None)


def test_black_is_the_ink_of_the_page_and_colors_have_a_dark_twin(cleaned):
    html = cleaned(lambda ax: (ax.plot([0, 1], color="black"), ax.plot([1, 0], color="#b8491a")))
    assert "currentColor" in html and "#000000" not in html
    assert "var(--fb8491a,#b8491a)" in html
    import ink

    rules = ink.dark_rules(html)
    dark = re.search(r"--fb8491a:(#[0-9a-f]{6})", rules)[1]
    assert ink.oklab(dark)[0] > ink.oklab("#b8491a")[0] + 0.1


def test_a_picture_has_a_size_a_name_and_ids_of_its_own(cleaned):
    html = cleaned(lambda ax: ax.plot([0, 1], marker="o"))
    assert re.search(r'<svg[^>]* class="drawn" width="538" height="317"', html)
    assert 'role="img" aria-label="A line that rises from the left to the right."' in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert ids and all(name.startswith("p7-") for name in ids) and len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', html)) == set(ids)


def test_text_stays_text_without_a_face_of_its_own(cleaned):
    html = cleaned(lambda ax: ax.set_title("scores (points)"))
    assert ">scores (points)</text>" in html and "DejaVu" not in html


def test_numbers_on_a_heat_map_keep_the_color_that_was_chosen_for_their_cell(cleaned):
    def draw(ax):
        ax.imshow(np.array([[0.0, 1.0]]), cmap="Blues")
        ax.text(0, 0, "pale", color="black", ha="center")
        ax.text(1, 0, "dark", color="white", ha="center")

    html = cleaned(draw)
    pale, dark = (re.search(rf"<text[^>]*>{word}</text>", html)[0] for word in ("pale", "dark"))
    assert "fill:#000000" in pale and "fill:#ffffff" in dark


def test_words_among_the_dots_of_a_cloud_have_the_ink_of_the_page(cleaned):
    """Large clouds are drawn in pixels; the paper, which is dark in the dark, is seen between them."""

    def draw(ax):
        ax.scatter(*np.random.default_rng(1).normal(size=(2, 500)), s=4, rasterized=True)
        ax.text(-1, -1, "slope", color="black")
        ax.text(1, 1, "mean", color="#b8491a")

    html = cleaned(draw)
    assert "<image" in html
    slope, mean = (re.search(rf"<text[^>]*>{word}</text>", html)[0] for word in ("slope", "mean"))
    assert "fill:" not in slope or "fill:currentColor" in slope
    assert "var(--fb8491a,#b8491a)" in mean


def test_a_clip_stays_outside_of_what_is_turned_over(cleaned):
    """Matplotlib turns pixel images upside down; a clip on the image itself would be turned over with it."""
    html = cleaned(lambda ax: ax.imshow(np.eye(6), cmap="Blues"))
    image = re.search(r"<image[^>]*>", html)[0]
    assert "transform" in image and "clip-path" not in image
    assert re.search(r'<g clip-path="[^"]*"><image', html)


def drawn_alike(html, tag):
    """How many elements of this name a picture holds."""
    return len(re.findall(rf"<{tag}\b", html))


def test_many_dots_of_one_color_are_one_element(cleaned):
    points = np.random.default_rng(1).normal(size=(2, 400))
    empty = cleaned(lambda ax: ax.plot([], []))
    one_color = cleaned(lambda ax: ax.plot(*points, "o", color="#1f4e79"))
    assert drawn_alike(one_color, "path") < drawn_alike(empty, "path") + 40
    assert drawn_alike(one_color, "use") == 0 and len(one_color) < 25_000
    assert one_color.count(" 0 1 1") == 800  # and each is there: two arcs a dot


def test_dots_that_let_others_shine_through_stay_elements_in_their_order(cleaned):
    x = np.array([0.0, 1.0, 2.0, 3.0])
    html = cleaned(lambda ax: ax.scatter(x, x, s=16, color="#1f4e79", alpha=0.5))
    rings = [tuple(map(float, ring)) for ring in re.findall(r'<circle cx="([^"]*)" cy="([^"]*)" r="([^"]*)"/>', html)]
    assert len(rings) == 4
    (cx, cy, r) = np.array(rings).T
    assert np.allclose(np.diff(cx), np.diff(cx)[0], atol=0.02) and np.allclose(np.diff(cy), np.diff(cy)[0], atol=0.02)
    assert r == pytest.approx([2.0] * 4, abs=0.03)  # 16 square points have a diameter of 4


def test_a_path_with_relative_coordinates_leads_to_the_same_places(cleaned):
    import svg_paths

    d = "M 10 20.5 L 10 -3.25 L 12.004 -3.25 C 1 2 3 4 5 6 z M 0.5 -0.25 L 7 8 Q 1 1 -2.5 3"
    shape = svg_paths.parse(d)
    text = svg_paths.written([shape])
    assert len(text) < len(d)
    places, at, start, last = [], np.zeros(2), np.zeros(2), ""
    tokens = re.findall(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)", text)
    while tokens:
        letter = tokens.pop(0) if tokens[0].isalpha() else {"m": "l", "M": "L"}.get(last, last)
        last = letter
        if letter == "z":
            at = start
            continue
        take = {"h": 1, "v": 1, "c": 6, "q": 4}.get(letter, 2)
        values = [float(tokens.pop(0)) for _ in range(take)]
        values = {"h": [*values, 0.0], "v": [0.0, *values]}.get(letter, values)
        points = np.reshape(values, (-1, 2)) + (0 if letter.isupper() else at)
        places += [*points.ravel()]
        at = points[-1]
        start = at if letter in "mM" else start
    expected = [n / 100 for _, numbers in shape for n in numbers]
    assert places == pytest.approx(expected, abs=1e-9)
    assert svg_paths.parse("M 0 0 A 1 1 0 0 1 2 2") is None  # what matplotlib does not write stays as it is


def test_a_picture_without_description_is_hidden_from_screen_readers(cleaned):
    assert 'aria-hidden="true"' in cleaned(lambda ax: ax.plot([0, 1]), label="")
