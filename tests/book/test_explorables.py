"""Explorables, each on a page of its own: what a browser shows is what lmmsim, scipy and the equation say.

Every control is moved by keyboard. The browser is a Chromium (or the variable BROWSER_PATH).
"""

from __future__ import annotations

import gzip
import importlib
import inspect
import json
import os
import re
import shutil
import sys
from importlib.resources import files

import numpy as np
import pytest
import reader
from places import BOOK
from scipy.special import stdtr, stdtrit

from lmmsim import (
    LMM,
    OLS,
    GroupMeans,
    Model,
    Random,
    assign,
    crossed,
    exact_power,
    nested,
    performance,
    simulate,
    study,
    theory,
)
from lmmsim.theory.variances import beta_mean

sys.path[:0] = [str(BOOK / "_ext"), str(BOOK / "explorables")]
explorable = importlib.import_module("explorable")
numbers_of_explorables = importlib.import_module("numbers_of_explorables")
if os.environ.get("REQUIRE_BROWSER"):
    import quickjs
else:
    quickjs = pytest.importorskip("quickjs")

pytestmark = pytest.mark.slow

NAMES = sorted(path.stem for path in explorable.ASSETS.glob("*.js") if path.stem != "lmm")
BUDGET = 25_600  # bytes, gzipped: what one explorable and all that it needs may weigh
SHELL = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{name}</title>
<style>body {{ margin: 16px auto; max-width: 620px; padding: 0 16px; font: 18px/1.55 serif }}
html {{ background: light-dark(#fffefb, #16181b); color-scheme: light dark }}</style></head><body><main><h1>{name}</h1>
{figure}What the picture shows.</div></figcaption></figure></main></body></html>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with one page for each explorable, as the directive writes it."""
    top = tmp_path_factory.mktemp("explorables")
    shutil.copytree(explorable.ASSETS, top / "_static" / "explorables")
    for name in NAMES:
        figure = explorable.opening(name, 'A picture with "quotes" & signs', "Move a slider.")
        (top / f"{name}.html").write_text(SHELL.format(name=name, figure=figure), encoding="utf-8")
    explorable.finish_pages(top)
    return top


@pytest.fixture(scope="module")
def browser():
    path = reader.browser_path()
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no Chromium on this machine, and REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=reader.FLAGS)
        yield chromium
        chromium.close()


class Page:
    """One explorable in the browser, driven by keyboard."""

    def __init__(self, browser, site, name, width=652, motion="reduce", **context):
        self.name, self.wrong, self.asked = name, [], []
        self.tab = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion=motion, **context)
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("console", lambda message: message.type in ("error", "warning") and self.wrong.append(message.text))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto((site / f"{name}.html").as_uri())
        if context.get("java_script_enabled", True):
            self.tab.wait_for_function("document.querySelector('.explorable').state")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tab.close()

    def part(self, name):
        return re.sub(r"\s+", " ", self.tab.inner_text(f"[data-part={name}]")).strip()

    def picture(self):
        """The words of the picture, one string each."""
        return self.tab.evaluate("[...document.querySelectorAll('.stage text')].map(x => x.textContent)")

    def drawing(self):
        """The picture's marks."""
        return self.tab.inner_html(".stage")

    def code(self):
        """The Python of the page."""
        return self.tab.evaluate("document.querySelector('[data-part=python]').textContent")

    def state(self):
        return self.tab.evaluate("document.querySelector('.explorable').state()")

    def controls(self):
        return self.tab.evaluate(
            "[...document.querySelectorAll('[data-control]')].map(x => ({name: x.dataset.control, type: x.type,"
            " value: x.value, min: +x.min, max: +x.max, step: +x.step, id: x.id}))"
        )

    def move(self, **values):
        """Bring sliders to values: Home, then so many steps to the right; or choose one of several."""
        controls = {c["name"]: c for c in self.controls()}
        for name, value in values.items():
            control = controls[name]
            if control["type"] == "radio":
                self.tab.focus(f"[data-control={name}][value='{value}']")
                self.tab.keyboard.press("Space")
                continue
            self.tab.focus(f"[data-control={name}]")
            self.tab.keyboard.press("Home")
            for _ in range(round((value - control["min"]) / control["step"])):
                self.tab.keyboard.press("ArrowRight")

    def press(self, selector):
        self.tab.focus(selector)
        self.tab.keyboard.press("Enter")

    def guess(self, value):
        self.tab.focus("[data-part=guess]")
        self.tab.keyboard.type(str(value))
        self.tab.keyboard.press("Enter")

    def python(self, **replace):
        """Run the Python of the page; gives its names."""
        space: dict = {}
        code = self.code()
        for old, new in replace.items():
            code = re.sub(old, new, code)
        exec(code, space)
        return space


def shown(text, after):
    """The number that stands behind these words."""
    found = re.search(re.escape(after) + r"\s*([−-]?[\d,]*\.?\d+)", text)
    assert found, f"{after!r} is not in {text!r}"
    return float(found[1].replace("−", "-").replace(",", ""))


def in_script(expression):
    """What the shared script says, without a browser."""
    context = quickjs.Context()
    context.eval((explorable.ASSETS / "lmm.js").read_text(encoding="utf-8"))
    return json.loads(context.eval(f"JSON.stringify({expression})"))


# ---- the shared script ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [1, 2, 3, 7.5, 18, 158, 2398])
def test_t_probabilities_and_critical_values_are_scipys(df):
    t = [0.01, 0.5, 1.7, 2.3, 9.0]
    assert np.allclose(
        in_script(f"{t}.map(t => lmm.tTails(t, {df}))"), 2 * stdtr(df, -np.array(t)), rtol=1e-9, atol=1e-15
    )
    assert in_script(f"lmm.tCritical({df})") == pytest.approx(stdtrit(df, 0.975), rel=1e-9)


def test_normal_f_and_chi_square_values_are_scipys():
    from scipy.stats import chi2, f, norm

    z = np.array([-4, -1.3, 0, 0.2, 2.5, 4])
    assert np.allclose(in_script(f"{z.tolist()}.map(z => lmm.normalCdf(z))"), norm.cdf(z), atol=1e-14)
    assert in_script("lmm.fCdf(0.7, 5, 24)") == pytest.approx(f.cdf(0.7, 5, 24), abs=1e-12)
    for df in (1, 2, 5, 18, 99, 101, 2340):
        values = in_script(f"{z.tolist()}.map(lmm.chiSquareFromNormal({df}))")
        assert np.allclose(values[1:-1], chi2.ppf(norm.cdf(z), df)[1:-1], rtol=3e-3 if df < 3 else 3e-4)


def test_the_scripts_draws_are_normal_and_independent():
    z = np.array(in_script("(() => { const n = lmm.normals(1); return Array.from({length: 60000}, n); })()"))
    assert abs(z.mean()) < 4 / np.sqrt(len(z)) and abs(z.var() - 1) < 4 * np.sqrt(2 / len(z))
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96 / len(z))
    for lag in (1, 2, 3):
        assert abs(np.mean(z[lag:] * z[:-lag])) < 4 / np.sqrt(len(z))


def test_balanced_reml_is_lmmsims_also_where_the_variance_is_zero():
    design = assign(nested(school=8, pupil=4), to="school", sector=["public", "Catholic"])
    world = Model("y ~ sector + (1 | school)", {"Intercept": 0, "sector[T.Catholic]": 0}, {"school": 2}, residual=9)
    singular = set()
    for replicate in range(6):
        data = simulate(world, design, rng=1, replicate=replicate).data
        y = data["y"].to_numpy().reshape(8, 4)
        means, arm = y.mean(axis=1), np.arange(8) % 2
        center = np.array([means[arm == k].mean() for k in (0, 1)])[arm]
        between, within = 4 * ((means - center) ** 2).sum(), ((y - means[:, None]) ** 2).sum()
        ours = in_script(f"lmm.oneWay({{between: {between}, within: {within}, groups: 8, size: 4, terms: 2}})")
        fit = LMM(world.formula)(data)
        singular.add(bool(fit.singular))
        assert ours["zero"] == fit.singular
        assert ours["sigma"] == pytest.approx(fit.sigma, rel=1e-4)
        assert ours["tau"] == pytest.approx(fit.sd["sd"].iloc[0], rel=1e-3, abs=1e-3)
        assert np.sqrt(ours["scale"] * 4 / 32) == pytest.approx(fit.coef["se"].iloc[1], rel=1e-4)
        assert ours["df"] == pytest.approx(fit.coef["df"].iloc[1], rel=1e-3)
    assert singular == {True, False}


# ---- the directive -------------------------------------------------------------------------------------------------


CONF = """
extensions = ["myst_parser", "explorable"]
source_suffix = {".md": "markdown"}  # Sphinx keeps what an earlier application of the same process added
"""


def sphinx(folder, builder, page):
    """Build a site of a page without and one with an explorable; warnings are errors."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    (folder / "part").mkdir(exist_ok=True)
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    (folder / "index.md").write_text("# Top\n\n```{toctree}\npart/with\n```\n", encoding="utf-8")
    (folder / "part" / "with.md").write_text(f"# With\n\n{page}", encoding="utf-8")
    out = folder / "out" / builder
    with docutils_namespace():
        Sphinx(folder, folder, out, folder / "trees", builder, None, None, None, True, warningiserror=True).build()
    return out


def test_only_pages_with_an_explorable_load_one(tmp_path):
    figure = "```{explorable} ladder\n:alt: A ladder\n:howto: Move a slider.\nThe *caption* states the finding.\n```\n"
    html, text = (sphinx(tmp_path, builder, figure) for builder in ("html", "text"))
    assert "explorables/" not in (html / "index.html").read_text(encoding="utf-8")
    page = (html / "part" / "with.html").read_text(encoding="utf-8")
    places = [page.index(f"../_static/explorables/{name}") for name in ("explorables.css", "lmm.js", "ladder.js")]
    assert [*places, page.index("</head>")] == sorted([*places, page.index("</head>")])
    assert page.count("explorables/lmm.js") == 1 and "<script defer" not in page
    assert "<em>caption</em> states the finding" in page and 'aria-label="A ladder"' in page
    assert "caption* states the finding." in (text / "part" / "with.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("figure", "message"),
    [("ladders", "no explorable is called 'ladders': ladders.js is missing"), ("ladder", "'ladder' lacks :alt:")],
)
def test_what_does_not_exist_or_is_not_described_stops_the_build(tmp_path, figure, message):
    from sphinx.errors import SphinxWarning

    with pytest.raises(SphinxWarning, match=message):
        sphinx(tmp_path, "html", f"```{{explorable}} {figure}\nA caption.\n```\n")


# ---- every explorable ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_explorable_is_light(name):
    parts = [(explorable.ASSETS / f).read_bytes() for f in ("lmm.js", f"{name}.js", "explorables.css")]
    parts.append(explorable.numbers(name).encode())
    assert sum(len(gzip.compress(part)) for part in parts) < BUDGET


PLACES = ("sentence", "note", "verdict")


@pytest.mark.parametrize("name", NAMES)
def test_what_an_explorable_says_is_whole_sentences_before_and_after_the_guess(browser, site, name):
    with Page(browser, site, name) as page:
        asked = page.tab.query_selector("[data-part=prompt] label")
        assert asked, "the reader is asked for nothing"
        said = [re.sub(r"\s+", " ", asked.inner_text())]
        for key in ("", "Home", "End"):
            for control in page.controls() if key else ():
                if control["type"] == "range":
                    page.tab.focus(f"[data-control={control['name']}]")
                    page.tab.keyboard.press(key)
            said += [page.part(part) for part in PLACES if page.tab.query_selector(f"[data-part={part}]")]
        for words in filter(None, said):
            assert re.match(r"[A-Z]", words) and re.search(r"[.?]$", words), words
            assert "…" not in words and not re.search(r"NaN|undefined|Infinity| [.,;](?!\d)", words), words


@pytest.mark.parametrize(
    ("name", "guess", "hidden"),
    [
        ("matrix", 3, "the variance of y"),
        ("scorecard", 7, "the regression has"),
        ("two-slopes", 0, "so is that of the random intercept"),
        ("j-slider", 50, "This t test finds"),
    ],
)
def test_the_answer_is_hidden_until_the_reader_has_given_one(browser, site, name, guess, hidden):
    with Page(browser, site, name) as page:
        assert hidden not in page.part("sentence") + " ".join(page.picture())
        page.guess(guess)
        assert hidden in page.part("sentence") + " ".join(page.picture())
        assert re.match(rf"You said (week )?{guess}", page.part("verdict"))


def test_choosing_a_row_of_the_equation_does_not_answer_the_question_about_weeks(browser, site):
    with Page(browser, site, "matrix") as page:
        page.move(row=4)
        assert page.part("sentence").startswith("Row 4") and "?" in page.picture()
        page.move(sigma=2)
        assert "?" not in page.picture() and "differ most in week 3" in page.part("verdict")


@pytest.mark.parametrize("name", NAMES)
def test_every_control_moves_by_keyboard_and_the_page_follows(browser, site, name):
    with Page(browser, site, name) as page:
        for control in page.controls():
            slider = f"[data-control={control['name']}]"
            if control["type"] == "radio":
                page.move(**{control["name"]: control["value"]})
                continue
            label = page.tab.inner_text(f"label[for={control['id']}]")
            assert label.strip()
            said = []
            for key in ("Home", "End"):
                page.tab.focus(slider)
                page.tab.keyboard.press(key)
                line = page.tab.inner_text(f"[data-code={control['name']}]")
                said.append((line, page.drawing(), page.code()))
                assert not re.search(r"NaN|undefined|Infinity", page.tab.inner_text(".live") + "".join(said[-1]))
            assert all(low != high for low, high in zip(*said, strict=True))
            page.tab.keyboard.press("Home")
            for _ in range(round((float(control["value"]) - control["min"]) / control["step"])):
                page.tab.keyboard.press("ArrowRight")
        for button in page.tab.query_selector_all(".explorable button:enabled"):
            if button.is_visible():
                button.focus()
                page.tab.keyboard.press("Enter")
        page.tab.wait_for_timeout(700)
        assert page.part("status")
        assert page.wrong == []
        assert all(url.startswith("file:") and "/_static/explorables/" in url for url in page.asked[1:])


HANDS = {"mouse": {}, "finger": {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}}


class Hand:
    """A mouse or a finger: points at the middle of things, and draws a slider from one place to another."""

    def __init__(self, page, kind):
        self.tab, self.kind = page.tab, kind
        self.wire = page.tab.context.new_cdp_session(page.tab)

    def middle(self, element):
        element.evaluate("e => e.scrollIntoView({block: 'center'})")  # not under the controls that stay in sight
        box = element.bounding_box()
        assert box, "not to be seen"
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def point(self, element):
        (self.tab.mouse.click if self.kind == "mouse" else self.tab.touchscreen.tap)(*self.middle(element))

    def touch(self, kind, *places):
        points = [{"x": x, "y": y} for x, y in places]
        self.wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def draw(self, element, start, end, height=0.5):
        """From one share of an element's width to another, in eight moves, at a share of its height."""
        self.middle(element)
        box = element.bounding_box()
        y = box["y"] + box["height"] * height
        places = [(box["x"] + box["width"] * (start + (end - start) * k / 8), y) for k in range(9)]
        if self.kind == "mouse":
            self.tab.mouse.move(*places[0])
            self.tab.mouse.down()
            for place in places[1:]:
                self.tab.mouse.move(*place)
            self.tab.mouse.up()
        else:
            self.touch("touchStart", places[0])
            for place in places[1:]:
                self.touch("touchMove", place)
            self.touch("touchEnd")
        self.tab.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


@pytest.mark.parametrize("kind", HANDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_control_answers_to_a_mouse_and_to_a_finger(browser, site, name, kind):
    with Page(browser, site, name, width=390 if kind == "finger" else 652, **HANDS[kind]) as page:
        hand = Hand(page, kind)
        guess, answered = (
            page.tab.query_selector("[data-part=guess]"),
            "() => !document.querySelector('.prompt:not([inert])')",
        )
        if guess:
            hand.point(guess)
            assert page.tab.evaluate("document.activeElement.dataset.part") == "guess"
            page.tab.keyboard.type(guess.get_attribute("max"))
            hand.point(page.tab.query_selector(".prompt .main"))
            assert page.tab.evaluate(answered) and page.part("verdict")
        for control in {c["name"]: c for c in page.controls()}.values():
            label = f"[data-code={control['name']}]"
            if control["type"] == "radio":
                for choice in page.tab.query_selector_all(f"label:has([data-control={control['name']}])"):
                    hand.point(choice)
                    assert choice.query_selector("input").is_checked()
                continue
            slider = page.tab.query_selector(f"[data-control={control['name']}]")
            lines = []
            for end in (0.02, 0.98):
                value = (float(slider.input_value()) - control["min"]) / (control["max"] - control["min"])
                thumb = min(0.97, max(0.03, value))
                hand.draw(slider, thumb, end)
                lines.append((slider.input_value(), page.tab.inner_text(label), page.drawing()))
            values = [float(line[0]) for line in lines]
            assert values[0] < control["min"] + 0.15 * (control["max"] - control["min"]), control["name"]
            assert values[1] > control["max"] - 0.15 * (control["max"] - control["min"]), control["name"]
            assert all(low != high for low, high in zip(*lines, strict=True)), control["name"]
        for button in page.tab.query_selector_all(".explorable [data-repeat]:enabled"):
            before = page.state()["count"]
            hand.point(button)
            page.tab.wait_for_function("n => document.querySelector('.explorable').state().count > n", arg=before)
        again = page.tab.query_selector("[data-part=again]")
        if again:
            hand.point(again)
            assert again.is_disabled()
        hand.point(page.tab.query_selector("details.python summary"))
        assert page.tab.query_selector("details.python").get_attribute("open") is not None
        hand.point(page.tab.query_selector("[data-part=copy]"))
        assert page.tab.wait_for_function("document.querySelector('[data-part=copy]').textContent === 'Copied'")
        assert page.wrong == []


def test_a_finger_or_a_mouse_on_the_picture_chooses_what_it_stands_on(browser, site):
    """Where a picture answers to pointing (its script says `point`), the controls do the same for the keyboard."""
    pointing = [name for name in NAMES if "point(" in (explorable.ASSETS / f"{name}.js").read_text(encoding="utf-8")]
    assert pointing
    for name in pointing:
        for kind, device in HANDS.items():
            with Page(browser, site, name, width=390 if kind == "finger" else 652, **device) as page:
                hand, stage, seen = Hand(page, kind), page.tab.query_selector(".stage"), set()
                for share in (0.1, 0.2, 0.3, 0.4, 0.6):
                    hand.draw(stage, 0.2, 0.22, share)
                    seen.add(json.dumps(page.state()["s"]))
                assert len(seen) > 1, (name, kind)


FOCUS = """() => {
    const e = document.activeElement, ring = getComputedStyle(e), box = e.getBoundingClientRect()
    return e === document.body ? null : {
        name: e.dataset.control ?? e.dataset.part ?? e.dataset.repeat ?? e.localName, top: box.top + scrollY,
        slider: e.type === "range", ring: ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) > 0 }
}"""


@pytest.mark.parametrize("name", NAMES)
def test_the_keyboard_reaches_everything_in_reading_order_and_shows_where_it_is(browser, site, name):
    with Page(browser, site, name) as page:
        page.tab.keyboard.press("Tab")
        tops, names, sliders = [], [], {}
        for _ in range(40):
            here = page.tab.evaluate(FOCUS)
            if here is None:
                break
            if here["slider"]:  # the ring is around its thumb
                slider = page.tab.query_selector(f"[data-control={here['name']}]")
                sliders[here["name"]] = (slider, slider.screenshot())
            else:
                assert here["ring"], f"{here['name']} does not show that it has the focus"
            tops.append(here["top"])
            names.append(here["name"])
            page.tab.keyboard.press("Tab")
        page.tab.evaluate("document.activeElement.blur()")
        for slider_name, (slider, with_focus) in sliders.items():
            assert slider.screenshot() != with_focus, f"{slider_name} does not show that it has the focus"
        wanted = {control["name"] for control in page.controls()}
        assert wanted <= set(names), wanted - set(names)
        falls = [(names[i], names[i + 1]) for i in range(len(tops) - 1) if tops[i + 1] < tops[i] - 30]
        assert falls == [], falls


@pytest.mark.parametrize("name", NAMES)
def test_a_screen_reader_is_told_what_each_thing_is_and_what_it_says(browser, site, name):
    with Page(browser, site, name) as page:
        wire = page.tab.context.new_cdp_session(page.tab)
        nodes = wire.send("Accessibility.getFullAXTree")["nodes"]
        told = [
            (node["role"]["value"], node.get("name", {}).get("value", ""), node.get("value", {}).get("value"))
            for node in nodes
            if not node.get("ignored")
        ]
        for role, words, value in told:
            if role in ("slider", "radio", "button", "spinbutton", "image"):
                assert words.strip(), f"a {role} without a name"
            if role == "slider":
                assert str(value).strip(), words
        roles = [role for role, _, _ in told]
        controls = page.controls()
        assert roles.count("slider") == sum(control["type"] == "range" for control in controls)
        assert roles.count("status") >= 1  # what changes is said
        assert ("group", "Controls") in {(role, words) for role, words, _ in told}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_sticks_out_at_any_width(browser, site, name):
    with Page(browser, site, name) as page:
        for key in ("", "End", "Home"):
            for control in page.controls() if key else ():
                if control["type"] == "range":
                    page.tab.focus(f"[data-control={control['name']}]")
                    page.tab.keyboard.press(key)
            for width in (320, 358, 390, 652, 1000):
                page.tab.set_viewport_size({"width": width, "height": 900})
                page.tab.wait_for_function("document.querySelector('.stage').viewBox.baseVal.width <= innerWidth")
                assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
                out = page.tab.evaluate(
                    "[...document.querySelectorAll('.stage text')].filter(x => { const b = x.getBoundingClientRect();"
                    " return b.width && (b.left < 2 || b.right > innerWidth - 2); }).map(x => x.textContent)"
                )
                assert out == [], width


def seconds_of_scripts(session):
    """The page's processor time in scripts, which does not grow with what else the machine does."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(entry["value"] for entry in metrics if entry["name"] == "ScriptDuration")


@pytest.mark.parametrize("name", NAMES)
def test_a_move_is_answered_within_a_frame(browser, site, name):
    with Page(browser, site, name) as page:
        if page.tab.query_selector("[data-repeat='10000']"):
            page.tab.evaluate("document.querySelector('[data-part=skip]')?.click()")
            page.tab.click("[data-repeat='10000']")
        session = page.tab.context.new_cdp_session(page.tab)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        times = []
        for slider in page.tab.query_selector_all("input[type=range][data-control]"):
            for step in range(26):
                before = seconds_of_scripts(session)
                slider.evaluate(
                    """(slider, share) => {
                        slider.value = +slider.min + (slider.max - slider.min) * share;
                        slider.dispatchEvent(new Event("input", { bubbles: true })); }""",
                    step / 25,
                )
                times.append(1000 * (seconds_of_scripts(session) - before))
        print(
            f"\n{name}: ms for a move: median {np.median(times):.1f}, 95% {np.quantile(times, 0.95):.1f},"
            f" most {max(times):.1f}"
        )
        assert 0 < np.median(times) < 16


@pytest.mark.parametrize("name", NAMES)
def test_without_script_and_on_paper_the_picture_of_the_build_stands_in(browser, site, name):
    with Page(browser, site, name, java_script_enabled=False) as page:
        assert page.tab.is_visible(".twin svg") and not page.tab.is_visible(".live")
    with Page(browser, site, name) as page:
        assert not page.tab.is_visible(".twin") and page.tab.is_visible(".live")
        page.tab.emulate_media(media="print")
        assert page.tab.is_visible(".twin svg") and not page.tab.is_visible(".live")
        assert not re.search("NaN|undefined", page.tab.inner_html(".twin"))


@pytest.mark.parametrize("name", NAMES)
def test_accessible_in_light_and_dark(browser, site, name):
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    with Page(browser, site, name) as page:
        page.tab.evaluate(axe)
        for scheme in ("light", "dark"):
            page.tab.emulate_media(color_scheme=scheme)
            found = page.tab.evaluate("axe.run(document.querySelector('.explorable'))")["violations"]
            assert [(v["id"], v["impact"], v["nodes"][0]["html"][:120]) for v in found] == []
            page.tab.evaluate("document.querySelector('[data-part=skip]')?.click()")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_does_not_jump_when_the_script_begins(browser, site, name):
    with Page(browser, site, name, width=390) as page:
        shift = page.tab.evaluate(
            "new Promise(done => { let sum = 0; new PerformanceObserver(list => { for (const e of list.getEntries())"
            " sum += e.value; }).observe({ type: 'layout-shift', buffered: true });"
            " setTimeout(() => done(sum), 300); })"
        )
        assert shift < 0.02


@pytest.mark.parametrize("name", ["effective-n", "redraw"])
def test_with_motion_the_same_studies_are_counted(browser, site, name):
    with Page(browser, site, name, motion="no-preference") as moving, Page(browser, site, name) as still:
        for page in (moving, still):
            page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
            for count in (100, 1, 10_000):
                page.press(f"[data-repeat='{count}']")
            page.tab.wait_for_function(
                "(() => { const s = document.querySelector('.explorable').state(); return s.landed === s.count; })()"
            )
        assert moving.state()["count"] == still.state()["count"] > 10_100
        assert moving.state()["tally"] == still.state()["tally"]
        assert moving.wrong == []


# ---- effective-n ---------------------------------------------------------------------------------------------------


def mixed_rate(rho, m, J):
    """Exact false positives of lmmsim's LMM: t on J - 2 df, or where the variance is zero the pooled t on n - 2."""
    if m == 1:
        return 0.05
    n, small = J * m, (1 - rho) / (1 + (m - 1) * rho)
    ratio = (J - 2) / (n - J) * small
    kink = ratio / (1 + ratio)

    def rejects(B):
        free = stdtrit(J - 2, 0.975) * np.sqrt(B * (n - 2) / (J - 2))
        pooled = stdtrit(n - 2, 0.975) * np.sqrt(B + small * (1 - B))
        return 2 * stdtr(n - 2, -np.where(kink > B, pooled, free))

    return beta_mean(rejects, (J - 2) / 2, (n - J) / 2, kink)


def survey(draws, rho, m, J):
    """The data on view, as a reader would have them."""
    u, e = np.array(draws["school"]) / draws["per"], np.array(draws["pupil"]).reshape(60, 40) / draws["per"]
    y = 50 + 10 * (np.sqrt(rho) * u[:J, None] + np.sqrt(1 - rho) * e[:J, :m])
    return assign(nested(school=J, pupil=m), to="school", sector=["public", "Catholic"]).assign(score=y.ravel())


@pytest.mark.parametrize(
    ("rho", "m", "J"), [(0.2, 10, 20), (0.0, 10, 20), (0.05, 40, 60), (0.5, 40, 4), (0.3, 2, 6), (0.2, 1, 12)]
)
def test_effective_n_says_what_lmmsim_says(browser, site, rho, m, J):
    with Page(browser, site, "effective-n") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.press("[data-repeat='10000']")
        page.move(rho=rho, m=m, J=J)
        state, words = page.state(), " | ".join(page.picture())
        ols = 0.05 if m == 1 else theory.type1_between(J, m, rho)
        exact = (ols, mixed_rate(rho, m, J))
        assert state["f"]["rate"] == pytest.approx(exact[0], abs=1e-6)
        assert state["f"]["rateMixed"] == pytest.approx(exact[1], abs=1e-6)
        for name, rate in zip(("Ordinary regression", "Mixed model"), exact, strict=True):
            assert f"{name} {rate:.1%}".replace(".0%", "%") in words or f"{name} {rate:.0%}" in words
        worth = J * m / theory.design_effect(m, rho)
        assert f"worth {worth:,.0f} independent" in page.part("sentence")
        data = survey(numbers_of_explorables.effective_n(), rho, m, J)
        fits = [OLS("score ~ sector")(data)] + ([LMM("score ~ sector + (1 | school)")(data)] if m > 1 else [])
        for fit, ours in zip(fits, state["d"]["analyses"], strict=False):
            row = fit.coef.iloc[1]
            assert state["d"]["difference"] == pytest.approx(row["estimate"], abs=1e-6)
            assert ours["half"] == pytest.approx((row["high"] - row["low"]) / 2, rel=1e-3)
            assert ours["p"] == pytest.approx(row["p"], rel=1e-2, abs=1e-4)
        for simulated, rate in zip(state["tally"], exact, strict=True):
            assert abs(simulated / 10_000 - rate) < 4 * np.sqrt(rate * (1 - rate) / 10_000)


def test_the_first_survey_is_the_first_that_misleads():
    draws = [numbers_of_explorables.effective_n(k) for k in range(numbers_of_explorables.MISLEADING + 1)]
    assert [numbers_of_explorables.misleads(d) for d in draws] == [False] * numbers_of_explorables.MISLEADING + [True]


def test_effective_n_hides_the_answer_until_the_reader_has_given_one(browser, site):
    with Page(browser, site, "effective-n") as page:
        rate = f"{theory.type1_between(20, 10, 0.2):.0%}"
        everything = page.tab.inner_text(".live") + " ".join(page.picture())
        assert "How often does an ordinary regression" in page.part("sentence") and rate not in everything
        page.guess(10)
        assert f"You said 10%; it is {rate}" in page.part("verdict")
        assert "you said 10%" in page.picture()
        assert page.tab.evaluate("document.activeElement.dataset.repeat") == "1"


def test_one_more_survey_is_counted_as_it_is_drawn(browser, site):
    with Page(browser, site, "effective-n") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        for count in range(1, 31):
            page.press("[data-repeat='1']")
            state = page.state()
            assert state["count"] == count
        verdicts = [analysis["p"] < 0.05 for analysis in state["d"]["analyses"]]
        page.press("[data-part=again]")
        assert page.state()["count"] == 0
        # the last survey alone: what its picture announces is what the store counts
        page.press("[data-repeat='1']")
        state = page.state()
        assert [t == 1 for t in state["tally"]] == [a["p"] < 0.05 for a in state["d"]["analyses"]]
        assert len(verdicts) == 2


def test_the_python_of_effective_n_runs(browser, site):
    with Page(browser, site, "effective-n") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.move(rho=0.3, m=12, J=16)
        space = page.python(**{"replicates=100": "replicates=400, progress=False"})
        rates = space["performance"](space["surveys"]).loc["sector[T.Catholic]"]
        assert (
            abs(rates.loc["OLS", "rejection"] - theory.type1_between(16, 12, 0.3))
            < 4 * rates.loc["OLS", "rejection_mcse"]
        )


# ---- matrix --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "sd0", "sd1", "corr", "sigma"),
    [(10, 2.0, 0.5, 0.3, 1.0), (1, 4.0, 1.0, -0.9, 2.0), (12, 0.0, 0.35, 0.9, 0.3), (6, 1.5, 0.0, 0.0, 0.0)],
)
def test_the_matrix_explorer_shows_lmmsims_matrices(browser, site, row, sd0, sd1, corr, sigma):
    design = crossed(plot=3, week=[0, 1, 2, 3])
    random = {"plot": Random(sd={"Intercept": sd0, "week": sd1}, corr=corr)}
    growth = Model("height ~ week + (week | plot)", {"Intercept": 10, "week": 2}, random, residual=sigma)
    plants = simulate(growth, design, rng=1)
    with Page(browser, site, "matrix") as page:
        page.move(row=row, sd0=sd0, sd1=sd1, corr=corr, sigma=sigma)
        state, words = page.state(), page.picture()
        V = np.array(state["f"]["V"])
        assert np.allclose(V, np.asarray(growth.V(design)), atol=1e-12)
        assert np.allclose(state["d"]["y"], plants.y, atol=2e-3)
        assert np.allclose(state["d"]["u"], plants.u, atol=2e-3)
        assert np.allclose(state["d"]["eps"], plants.eps, atol=2e-3)
        i = row - 1
        assert f"V[{row}, {row}] = {growth.V(design)[i, i]:.2f} cm²" in " ".join(words)
        cells = [[word for word in words if re.fullmatch(r"[−\d.]+", word)]]
        assert len(cells[0]) > 12 * 9  # y, X, Z, eps, beta and u
        value = round(state["d"]["y"][i], 1)
        assert f"{value:.1f} cm = 10 + 2" in page.part("sentence").replace("\u00a0", " ").replace("−", "-")
        space = page.python()
        assert np.allclose(space["V"], V, atol=1e-12) and np.allclose(space["plants"].y, plants.y)


def test_pointing_at_a_row_chooses_it(browser, site):
    with Page(browser, site, "matrix") as page:
        box = page.tab.locator(".stage").bounding_box()
        page.tab.mouse.move(box["x"] + 100, box["y"] + 42 + 2.5 * 20)
        assert page.state()["s"]["row"] == 3 and page.part("sentence").startswith("Row 3")


# ---- ladder --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("school", "tau", "sigma", "times"),
    [(1, 5.0, 10.0, 1.0), (12, 0.0, 10.0, 0.5), (5, 15.0, 1.0, 4.0), (3, 2.5, 20.0, 2.0)],
)
def test_the_ladder_shrinks_as_the_mixed_model_equations_do(browser, site, school, tau, sigma, times):
    most, sizes = 4, numbers_of_explorables.SCHOOL_SIZES
    world = Model("score ~ 1 + (1 | school)", {"Intercept": 50}, {"school": tau}, residual=sigma)
    everyone = simulate(world, nested(school=12, pupil=[most * n for n in sizes]), rng=1)
    place = everyone.data.groupby("school", sort=False).cumcount()
    n = {name: int(k * times) for name, k in zip(everyone.data["school"].unique(), sizes, strict=True)}
    data = everyone.data[place < everyone.data["school"].map(n).astype(int)].reset_index(drop=True)
    design = data[["school", "pupil"]]
    X, Z, G, V = growth_matrices(world, design)
    y, inverse = data["score"].to_numpy(), np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
    u = G @ Z.T @ inverse @ (y - X @ beta)
    with Page(browser, site, "ladder") as page:
        page.move(school=school, tau=tau, sigma=sigma, times=times)
        state, j = page.state(), school - 1
        assert np.allclose(state["d"]["partial"], beta[0] + u, atol=0.02)
        own = data.groupby("school", sort=False)["score"].mean().to_numpy()
        assert np.allclose(state["d"]["own"], own, atol=0.02)
        assert np.allclose(state["d"]["truth"], 50 + everyone.u.to_numpy(), atol=0.02)
        assert state["d"]["all"] == pytest.approx(y.mean(), abs=0.02)
        mse = [theory.group_mean_mse(size, tau, sigma) for size in n.values()]
        for k, name in enumerate(("none", "partial", "complete")):
            rms = np.sqrt(np.mean([m[name] for m in mse]))
            assert state["f"]["expected"][k] == pytest.approx(rms, abs=1e-9)
            assert f"expected {rms:.1f}" in page.picture()[-3 + k] + " ".join(page.picture())
        assert state["f"]["weight"][j] == pytest.approx(mse[j]["shrinkage"], abs=1e-12)
        assert shown(page.part("sentence"), "it predicts") == pytest.approx(beta[0] + u[j], abs=0.07)
        space = page.python()
        assert np.allclose(space["own"], own) and len(space["survey"]) == len(data)


def growth_matrices(world, design):
    dense = [
        np.asarray(m.toarray() if hasattr(m, "toarray") else m)
        for m in (world.X(design), world.Z(design), world.G(design), world.V(design))
    ]
    return dense


def test_the_ladder_asks_before_it_tells(browser, site):
    with Page(browser, site, "ladder") as page:
        state = page.state()
        truth, own = state["d"]["truth"][0], state["d"]["own"][0]
        assert f"{own:.1f}" in page.part("prompt") and f"{truth:.1f}" not in page.tab.inner_text(".live")
        page.guess(45)
        assert f"You said 45.0; the mixed model says {state['d']['partial'][0]:.1f}" in page.part("verdict")
        assert f"the truth is {truth:.1f}" in page.part("verdict")


# ---- redraw --------------------------------------------------------------------------------------------------------


def coverages(tau, m, J, u):
    """Shares of intervals that contain their truth, by quadrature over both mean squares: fixed, random; same, new."""
    from scipy.stats import chi2, ncx2, norm

    n, large = J * m, 1 + m * tau**2 / 81
    slices = (np.arange(1500) + 0.5) / 1500
    within = chi2.ppf(slices, n - J)[None, :]
    shift = m * np.sum((u - u.mean()) ** 2) / 81

    def random(between, error):
        msb, msw = between[:, None] / (J - 1), within / (n - J)
        pooled = (between[:, None] + within) / (n - 1)
        half = np.where(msb > msw, stdtrit(J - 1, 0.975) * np.sqrt(msb), stdtrit(n - 1, 0.975) * np.sqrt(pooled))
        return np.mean(1 - 2 * norm.sf(half / np.sqrt(error)))

    same = random(ncx2.ppf(slices, J - 1, shift) if shift else chi2.ppf(slices, J - 1), 1)
    anew = random(large * chi2.ppf(slices, J - 1), large)
    return [[0.95, same], [1 - 2 * stdtr(n - J, -stdtrit(n - J, 0.975) / np.sqrt(large)), anew]]


@pytest.mark.parametrize(("tau", "m", "J"), [(4.5, 15, 8), (0.0, 10, 6), (10.0, 40, 20), (2.0, 2, 3)])
def test_redraw_shows_the_coverage_of_both_intervals(browser, site, tau, m, J):
    data = numbers_of_explorables.redraw()
    u = tau * np.array(data["school"][:J]) / data["per"]
    with Page(browser, site, "redraw") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.press("[data-repeat='10000']")
        page.move(tau=tau, m=m, J=J)
        state, exact = page.state(), coverages(tau, m, J, u)
        assert np.allclose(state["f"]["rates"], exact, atol=5e-4)
        assert state["f"]["these"] == pytest.approx(50 + u.mean())
        simulated = np.array(state["tally"]) / state["landed"]
        error = np.sqrt(np.maximum(np.multiply(exact, np.subtract(1, exact)), 1e-6) / state["landed"])
        assert np.all(np.abs(simulated - exact) < 4 * error + 5e-4)


def test_the_python_of_redraw_finds_the_same_coverage(browser, site):
    with Page(browser, site, "redraw") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.move(tau=6, m=10, J=6)
        rates = page.state()["f"]["rates"][1]
        space = page.python(**{r"replicates=\d+": "replicates=1000, progress=False"})
        found = space["performance"](space["anew"]).loc["Intercept"]
        for name, rate in zip(("fixed", "random"), rates, strict=True):
            assert abs(found.loc[name, "coverage"] - rate) < 4 * np.sqrt(rate * (1 - rate) / 1000)


# ---- analyses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "tau", "sigma", "effect"),
    [
        ("plots", 3.0, 3.0, 0),
        ("plots", 0.5, 8.0, 2),
        ("plots", 8.0, 0.5, 6),
        ("halves", 3.0, 3.0, 1),
        ("halves", 0.0, 5.0, 0),
        ("halves", 8.0, 2.0, 3),
    ],
)
def test_three_analyses_agree_with_scipy_and_lmmsim(browser, site, design, tau, sigma, effect):
    from scipy.stats import ttest_ind, ttest_rel

    draws = numbers_of_explorables.analyses()
    u, e = np.array(draws["plot"]) / draws["per"], np.array(draws["plant"]) / draws["per"]
    plot, plant = np.repeat(np.arange(12), 6), np.tile(np.arange(6), 12)
    new = plot % 2 if design == "plots" else plant % 2
    data = nested(plot=12, plant=6).assign(new=new, height=20 + tau * u[plot] + sigma * e + effect * new)
    means = data.groupby(["plot", "new"], sort=False)["height"].mean().unstack()
    icc = tau**2 / (tau**2 + sigma**2)
    with Page(browser, site, "analyses") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.press("[data-repeat='10000']")
        page.move(design=design, tau=tau, sigma=sigma, effect=effect)
        state = page.state()
        simple = ttest_ind(means[1].dropna(), means[0].dropna()) if design == "plots" else ttest_rel(means[1], means[0])
        fits = [OLS("height ~ new")(data), LMM("height ~ new + (1 | plot)")(data)]
        ours = state["d"]["analyses"]
        for fit, one in zip(fits, (ours[0], ours[2]), strict=True):
            row = fit.coef.loc["new"]
            assert state["d"]["difference"] == pytest.approx(row["estimate"], abs=1e-6)
            assert one["se"] == pytest.approx(row["se"], rel=1e-3)
            assert one["half"] == pytest.approx((row["high"] - row["low"]) / 2, rel=2e-3)
        assert ours[1]["p"] == pytest.approx(simple.pvalue, abs=1e-6)
        rates = state["f"]["rates"]
        theory_ols = (theory.type1_between if design == "plots" else theory.type1_within)(12, 6, icc)
        assert rates[0] == pytest.approx(theory_ols, abs=1e-6)
        if design == "plots":
            assert rates[2] == pytest.approx(mixed_rate(icc, 6, 12), abs=1e-5)
        for simulated, rate in zip(state["tally"], rates, strict=True):
            assert abs(simulated / state["landed"] - rate) < 4 * np.sqrt(rate * (1 - rate) / state["landed"])
        space = page.python(**{"replicates=1000": "replicates=300, progress=False"})
        found = space["performance"](space["results"]).loc["fertilizer[T.new]"]
        if effect == 0:
            for name, rate in (("OLS", rates[0]), ("LMM", rates[2])):
                assert abs(found.loc[name, "rejection"] - rate) < 4 * np.sqrt(rate * (1 - rate) / 300) + 1e-9


# ---- origin --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zero", "sd0", "sd1", "corr"), [(8, 8.0, 2.0, -0.3), (0, 3.5, 1.0, 0.5), (3, 0.0, 3.0, -0.9), (5, 12.0, 0.0, 0.9)]
)
def test_moving_the_origin_turns_G_and_leaves_the_lines(browser, site, zero, sd0, sd1, corr):
    random = Random(sd={"Intercept": sd0, "week": sd1}, corr=corr)
    move = np.array([[1, zero], [0, 1]])
    G = move @ random.covariance(["Intercept", "week"]) @ move.T
    world = Model("score ~ week + (week | child)", {"Intercept": 60, "week": 4}, {"child": random}, residual=3)
    children = simulate(world, crossed(child=16, week=list(range(9))), rng=1)
    with Page(browser, site, "origin") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.move(zero=zero, sd0=sd0, sd1=sd1, corr=corr)
        state = page.state()
        assert state["f"]["sd"] == pytest.approx(np.sqrt(G[0, 0]), abs=1e-9)
        both = np.sqrt(G[0, 0] * G[1, 1])
        assert state["f"]["corr"] == pytest.approx(G[0, 1] / both if both else 0, abs=1e-9)
        assert np.allclose(state["d"], children.u.to_numpy().reshape(16, 2), atol=2e-3)
        assert shown(page.part("sentence"), "standard deviation of") == pytest.approx(np.sqrt(G[0, 0]), abs=0.051)
        assert f"± {np.sqrt(G[0, 0]):.1f}" in page.picture()


def test_the_fit_is_the_same_for_every_origin(browser, site):
    criteria = []
    with Page(browser, site, "origin") as page:
        for zero in (0, 8):
            page.move(zero=zero)
            space = page.python()
            criteria.append(space["fit"].criterion)
            model = space["world"].random["child"]
            assert dict(model.sd) == {"Intercept": 8.0, "week": 2.0}
    assert criteria[0] == pytest.approx(criteria[1], abs=1e-4)


# ---- two slopes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("within", "between", "spread", "tau"),
    [(-1.0, 2.0, 1.0, 1.0), (3.0, -3.0, 3.0, 4.0), (0.5, 0.5, 0.2, 0.0), (1.0, 1.0, 2.0, 0.0), (-2.0, 0.0, 0.5, 0.2)],
)
def test_two_slopes_are_those_of_lmmsims_analyses(browser, site, within, between, spread, tau):
    with Page(browser, site, "two-slopes") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.move(within=within, between=between, spread=spread, tau=tau)
        slopes, psi = page.state()["d"]["slopes"], page.state()["d"]["psi"]
        space = page.python()
        assert slopes["ols"] == pytest.approx(space["ols"].coef.loc["x", "estimate"], abs=5e-3)
        assert slopes["mixed"] == pytest.approx(space["mixed"].coef.loc["x", "estimate"], abs=5e-3)
        assert slopes["within"] == pytest.approx(space["both"].coef.loc["within", "estimate"], abs=5e-3)
        assert slopes["between"] == pytest.approx(space["both"].coef.loc["between", "estimate"], abs=2e-2)
        assert (psi == 1) == space["mixed"].singular
        assert f"{slopes['mixed']:.2f}".replace("-", "−") in page.part("sentence")


# ---- j-slider -----------------------------------------------------------------------------------------------------


def chance_to_reject(J, m, rho, delta, critical):
    """P(|t| > critical(B)) on n - 2 df, noncentral: the share B of SSB is beta; by quantiles of B and scipy's nct."""
    from scipy.special import betaincinv
    from scipy.stats import nct

    n = J * m
    B = betaincinv((J - 2) / 2, (n - J) / 2, (np.arange(4000) + 0.5) / 4000)
    c = critical(B, (1 - rho) / (1 + (m - 1) * rho))
    return np.mean(nct.sf(c, n - 2, delta) + nct.cdf(-c, n - 2, delta))


@pytest.mark.parametrize(
    ("J", "m", "rho", "effect"), [(6, 10, 0.2, 6), (4, 2, 0.0, 1), (20, 40, 0.5, 15), (60, 5, 0.04, 3)]
)
def test_the_j_slider_has_the_exact_rates_and_power(browser, site, J, m, rho, effect):
    n, sd = J * m, np.sqrt(400 * (1 + (m - 1) * rho) / (J * m))

    def z(B, small):
        return stdtrit(np.inf, 0.975) * np.sqrt((n - 2) * np.maximum(B / (J - 2), (B + small * (1 - B)) / (n - 2)))

    with Page(browser, site, "j-slider") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.press("[data-repeat='10000']")
        page.move(J=J, m=m, rho=rho, effect=effect)
        state = page.state()
        exact = {
            "z": theory.type1_between(J, m, rho, "LMM z"),
            "lrt": theory.type1_between(J, m, rho, "LMM LRT, ML"),
            "t": mixed_rate(rho, m, J),
            "means": 0.05,
        }
        assert state["f"]["rate"] == pytest.approx(exact, abs=2e-4)
        for simulated, rate in zip(state["tally"], exact.values(), strict=True):
            assert abs(simulated / state["landed"] - rate) < 4 * np.sqrt(rate * (1 - rate) / state["landed"])
        assert state["f"]["power"]["z"] == pytest.approx(chance_to_reject(J, m, rho, effect / sd, z), abs=1e-3)
        design = assign(nested(clinic=J, patient=m), to="clinic", arm=["usual", "new"])
        tau, sigma = np.sqrt(100 * rho), np.sqrt(100 * (1 - rho))
        beta = {"Intercept": 50, "arm[T.new]": effect}
        world = Model("score ~ arm + (1 | clinic)", beta, {"clinic": tau}, residual=sigma)
        if rho > 0:
            power = exact_power(world, design).loc["arm[T.new]", "power"]
            assert state["f"]["power"]["means"] == pytest.approx(power, abs=2e-4)
        space = page.python(**{r"replicates=\d+": "replicates=300, progress=False", "unit=": means_take()})
        found = space["performance"](space["trials"]).loc["arm[T.new]", "rejection"]
        for name, rate in (("z", exact["z"]), ("t", exact["t"]), ("means", 0.05)):
            assert abs(found[name] - rate) < 4 * np.sqrt(rate * (1 - rate) / 300)


def means_take():
    """The word by which GroupMeans is told the unit."""
    return "unit=" if "unit" in inspect.signature(GroupMeans).parameters else "by="


# ---- budget -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "rho", "clinic", "patient", "budget", "effect"),
    [(50, 0.05, 20, 1.0, 800, 5), (8, 0.2, 50, 5.0, 3000, 3), (20, 0.01, 0, 0.5, 200, 2), (10, 0.5, 5, 2.0, 1000, 15)],
)
def test_the_budget_buys_the_power_that_lmmsim_says(browser, site, m, rho, clinic, patient, budget, effect):
    with Page(browser, site, "budget") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.move(m=m, rho=rho, clinic=clinic, patient=patient, budget=budget, effect=effect)
        state, space = page.state()["f"], page.python()
        row = space["power"].loc["arm[T.new]"]
        assert state["chosen"]["J"] == space["J"] and space["J"] * (clinic + m * patient) <= budget
        assert state["chosen"]["power"] == pytest.approx(row["power"], abs=2e-4)
        assert state["chosen"]["se"] == pytest.approx(row["se"], rel=1e-6)
        assert state["chosen"]["worth"] == pytest.approx(space["J"] * m / theory.design_effect(m, rho))
        assert state["best"]["power"] == max(one["power"] for one in state["all"])
        assert state["rule"] == pytest.approx(np.sqrt(clinic / patient * (1 - rho) / rho))
        assert f"{space['J']:,} clinics with {m} patients" in page.part("sentence")


# ---- lineup -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "strength", "number"), [("bent", 6, 1), ("bent", 10, 4), ("fan", 10, 2), ("fan", 0, 9)]
)
def test_the_line_up_hides_the_data_that_its_python_makes(browser, site, kind, strength, number):
    with Page(browser, site, "lineup") as page:
        page.move(kind=kind, strength=strength, round=number)
        assert "Which one?" in page.part("sentence")
        page.move(mark="marked")
        state, space = page.state()["d"], page.python()
        height = space["data"]["height"].to_numpy().reshape(10, 8)
        weeks = np.arange(8)
        own = np.array([y - np.polyval(np.polyfit(weeks, y, 1), weeks) for y in height])
        assert np.allclose(state["panels"][state["real"] - 1], own.ravel(), atol=0.02)
        assert f"The data are in panel {state['real']}" in page.part("sentence")
        assert f"{state['real']}: data" in page.picture()
        nulls = np.delete(np.array(state["panels"]), state["real"] - 1, axis=0)
        assert len({tuple(panel) for panel in nulls.round(3)}) == 19
        # 10 plants lose two degrees of freedom each
        assert abs(nulls.var() * 80 / 60 - 1) < 4 * np.sqrt(2 / (19 * 60))


def test_the_places_of_a_line_up_are_as_good_as_random():
    data = numbers_of_explorables.lineup()
    assert all(sorted(order) == list(range(20)) for order in data["orders"])
    assert [order.index(0) + 1 for order in data["orders"]] == data["places"]
    assert len(set(data["places"])) > 4


# ---- scorecard ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "icc", "slope"), [(2, 2, 2), (0, 1, 1), (3, 2, 0), (1, 0, 2)])
def test_the_scorecard_is_exact_or_simulated_as_it_says(browser, site, groups, icc, slope):
    scores = numbers_of_explorables.SCORES
    J, rho, sd = scores["groups"][groups], scores["icc"][icc], scores["slope"][slope]
    data = json.loads(explorable.numbers("scorecard"))
    with Page(browser, site, "scorecard") as page:
        page.tab.evaluate("document.querySelector('[data-part=skip]').click()")
        page.move(groups=groups, icc=icc, slope=slope)
        state = page.state()["f"]
        table, words = state["table"], page.picture()
        assert (state["J"], state["rho"], state["s"]) == (J, rho, sd)
        assert table["whole"]["ols"][0] == pytest.approx(theory.type1_between(J, 10, rho), abs=1e-6)
        assert table["whole"]["robust"][0] == pytest.approx(theory.type1_between(J, 10, rho, "CR1 t"), abs=1e-9)
        assert table["whole"]["intercept"][0] == pytest.approx(mixed_rate(rho, 10, J), abs=1e-5)
        assert table["same"]["ols"][0] == pytest.approx(theory.type1_within(J, 10, rho), abs=1e-6)
        for k, name in enumerate(("ols", "intercept")):  # the grid agrees with what is exact
            rate = table["same"][name][0]
            error = np.sqrt(rate * (1 - rate) / data["replicates"])
            assert abs(data["grid"][groups][icc][0][k] / data["replicates"] - rate) < 4 * error
        if sd:
            assert [table["differ"][name][0] for name in ("ols", "intercept", "slope")] == [
                count / data["replicates"] for count in data["grid"][groups][icc][slope]
            ]
            if rho >= 0.3:
                exact = theory.type1_omitted_slope(J, np.repeat([-0.5, 0.5], 5), sd, 1.0)
                assert abs(table["differ"]["intercept"][0] - exact) < 4 * table["differ"]["intercept"][1]
        for column in table.values():
            for cell in column.values():
                assert cell is None or f"{100 * cell[0]:.1f}%" in words


def test_the_scorecards_other_exact_cells_agree_with_a_study():
    design = crossed(group=6, x=[-0.5, 0.5], row=5)
    effects = Random(sd={"Intercept": 0.65, "x": 0.5})
    world = Model("y ~ x + (x | group)", {"Intercept": 0, "x": 0}, {"group": effects}, residual=1.0)
    robust = study(world, design, {"robust": OLS("y ~ x", cluster="group")}, replicates=2000, rng=1, progress=False)
    rate = performance(robust).loc[("x", "robust"), "rejection"]
    exact = 2 * stdtr(5, stdtrit(5, 0.025) * np.sqrt(59 / 58))
    assert abs(rate - exact) < 4 * np.sqrt(exact * (1 - exact) / 2000)
    shown = in_script("lmm.tTails(lmm.tCritical(5) * Math.sqrt(59 / 58), 5)")
    assert shown == pytest.approx(exact, abs=1e-12)


def test_the_python_of_the_scorecard_makes_the_grid(browser, site):
    with Page(browser, site, "scorecard") as page:
        page.move(groups=0, icc=1, slope=2)
        space = page.python(**{"replicates=1000": "replicates=1000, progress=False"})
        found = space["performance"](space["studies"]).loc["x", "rejection"]
        table = page.state()["f"]["table"]["differ"]
        for name, key in (("OLS", "ols"), ("(1 | group)", "intercept"), ("(x | group)", "slope")):
            assert found[name] == pytest.approx(table[key][0], abs=1e-9)
