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
    for name in ("svg_figures", "ink"):
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


def test_a_picture_without_description_is_hidden_from_screen_readers(cleaned):
    assert 'aria-hidden="true"' in cleaned(lambda ax: ax.plot([0, 1]), label="")
