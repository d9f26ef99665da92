"""Draw the logo, the static twin of the dial and the small pictures of the parts: `python book/pictures/make.py`.

With `social` it also takes the picture that is shown where a link to the book is shared (needs Playwright and a
Chromium; BROWSER_PATH says where it is). No build needs this. All pictures that show chance use the same seed.
"""

import os
import random
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
STATIC = HERE.parent / "_static"
INK, RUST, SOFT, PALE = "#1b4f80", "#b8491a", "#6b7280", "#c9ccd1"
SEED = 1


def svg(width, height, *parts, head=""):
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}{head}>{"".join(parts)}</svg>\n'


def text(x, y, words, size=15, color="#000000", anchor="start", weight=400):
    style = f"font-size:{size}px;text-anchor:{anchor};font-weight:{weight};fill:{color}"
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{words}</text>'


def path(points, color="#000000", width=1.0, extra=""):
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="{d}" style="fill:none;stroke:{color};stroke-width:{width}" {extra}/>'


def dot(x, y, r, color):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" style="fill:{color}"/>'


def ring(x, y, r, color, width, fill="none"):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" style="fill:{fill};stroke:{color};stroke-width:{width}"/>'


def filled(x, y, r, share):
    """A disc, filled from below."""
    if share >= 1:
        return dot(x, y, r, INK)
    level = y + r - 2 * r * share
    half = max(r**2 - (level - y) ** 2, 0) ** 0.5
    large = int(share > 0.5)
    d = f"M{x - half:.2f} {level:.2f}A{r} {r} 0 {large} 0 {x + half:.2f} {level:.2f}Z"
    return f'<path d="{d}" style="fill:{INK}"/>'


def worth(groups, m, rho):
    """How many independent observations `groups` of `m` are worth, for a comparison between groups."""
    return groups * m / (1 + (m - 1) * rho)


def dots(groups, m, rho, x=8, y=38, step=16):
    """A column of dots for each group, of which as much is filled as the group is worth."""
    each, parts = worth(groups, m, rho) / groups, []
    for group in range(groups):
        for k in range(m):
            place = x + group * step, y + (m - 1 - k) * step
            parts.append(ring(*place, 5.4, PALE, 1.1))
            if each > k:
                parts.append(filled(*place, 5.9, min(each - k, 1)))
    return parts


def dial(groups=30, m=5, rho=0.5):
    n, left, right, bottom, top = groups * m, 8, 472, 286, 148
    parts = [text(0, 14, f"{n} heights from {groups} plots …"), *dots(groups, m, rho)]

    def at(share):
        height = worth(groups, m, share) / n
        return left + share * (right - left), bottom - height * (bottom - top)

    x, y = at(rho)
    parts += [
        path([at(k / 100) for k in range(101)], width=1.4),
        path([(left, bottom), (right, bottom)], PALE, 3, 'stroke-linecap="round"'),
        path([(x, bottom), (x, y)], INK, 1.2),
        dot(x, y, 5, INK),
        ring(x, bottom, 9, INK, 3, fill="#ffffff"),
        text(x + 12, y - 10, f"… are worth {worth(groups, m, rho):.0f}", 24, INK, weight=600),
        text(left + 14, top + 5, n, color=SOFT),
        text(right, at(1)[1] - 9, groups, color=SOFT, anchor="end"),
        text(left, bottom + 28, "none", color=SOFT),
        text(x, bottom + 28, "half of the variance lies between plots", color=INK, anchor="middle"),
        text(right, bottom + 28, "all", color=SOFT, anchor="end"),
    ]
    return svg(480, 318, *parts)


def why(rng):
    """Nine groups whose levels differ, each with its mean."""
    parts = []
    for group in range(9):
        x, level, one = 10 + group * 17.5, min(max(48 + rng.gauss(0, 20), 22), 74), group == 6
        parts += [dot(x + rng.uniform(-4, 4), level + rng.gauss(0, 9), 2, RUST if one else PALE) for _ in range(12)]
        parts.append(path([(x - 6.5, level), (x + 6.5, level)], RUST if one else "#000000", 2))
    return svg(160, 96, *parts)


def model(rng):
    """The line of the population among lines that differ in level and slope."""
    parts = [path([(8, 88), (152, 88)], PALE)]
    for _ in range(13):
        level, slope = rng.gauss(0, 5), rng.gauss(0, 15)
        parts.append(path([(12, 74 + level), (148, 40 + level + slope)], PALE, 1.2))
    return svg(160, 96, *parts, path([(12, 74), (148, 40)], INK, 2.6))


def trust(rng):
    """Intervals around a truth; those that miss it stand out."""
    parts = [path([(80, 4), (80, 92)])]
    for k in range(15):
        center, half, y = 80 + rng.gauss(0, 17), 24, 8 + k * 5.6
        parts.append(path([(center - half, y), (center + half, y)], RUST if abs(center - 80) > half else PALE, 2))
    return svg(160, 96, *parts)


def doing(rng):
    """A power curve and the size that reaches eighty percent."""
    curve = [(12 + 136 * k / 60, 88 - 80 * (1 - 2.718 ** (-((k / 60) ** 1.6) * 3.2))) for k in range(61)]
    enough = 88 - 80 * 0.8
    x = next(x for x, y in curve if y <= enough)
    dashes = 'stroke-dasharray="3 3"'
    parts = [path([(8, 88), (152, 88)], PALE), path([(8, enough), (x, enough), (x, 88)], SOFT, 1, dashes)]
    return svg(160, 96, *parts, path(curve, INK, 2.4), dot(x, enough, 4.2, INK))


def logo(side, r, color, dark):
    """Three groups of three observations that are worth three: the book's first question."""
    step, parts = side / 3, []
    for column in range(3):
        for row in range(3):
            kind = "w" if row == 2 else "p"
            parts.append(f'<circle cx="{step * (column + 0.5):g}" cy="{step * (row + 0.5):g}" r="{r}" class="{kind}"/>')
    style = (
        f"<style>.w,.p{{fill:{color}}}.p{{fill-opacity:.3}}"
        f"@media(prefers-color-scheme:dark){{.w,.p{{fill:{dark}}}}}</style>"
    )
    return svg(side, side, style, *parts)


def social(target):
    """1200 by 630 pixels: the title above the dial's dots."""
    from playwright.sync_api import sync_playwright

    fonts = "".join(
        f"@font-face{{font-family:S;font-weight:{weight};src:url({(STATIC / 'fonts' / name).as_uri()})}}"
        for weight, name in (
            (400, "source-serif-4-latin-400-normal.woff2"),
            (600, "source-serif-4-latin-600-normal.woff2"),
        )
    )
    page = HERE / "social.html"
    page.write_text(
        f"<meta charset=utf-8><style>{fonts}body{{margin:0;width:1200px;height:630px;background:#fffefb;color:#1c1b19;"
        "font-family:S}h1{font-weight:600;font-size:84px;line-height:1.05;letter-spacing:-.02em;margin:0;"
        "padding:72px 84px 0}p{font-size:36px;margin:0;padding:26px 84px 34px;color:#5f5c56}"
        "svg{padding-left:76px}</style><h1>Linear mixed models<br>by simulation</h1><p>A hundred and fifty heights "
        "from thirty plots can be worth fifty.</p>"
        + svg(490, 112, *dots(30, 5, 0.5, y=10)).replace('width="490" height="112"', 'width="1060" height="242"'),
        encoding="utf-8",
    )
    browser = os.environ.get("BROWSER_PATH") or shutil.which("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = chromium.new_page(viewport={"width": 1200, "height": 630})
        tab.goto(page.as_uri())
        tab.evaluate("document.fonts.ready")
        tab.screenshot(path=str(target))
        chromium.close()
    page.unlink()


if __name__ == "__main__":
    (HERE / "dial.svg").write_text(dial(), encoding="utf-8")
    for draw in (why, model, trust, doing):
        (HERE / f"{draw.__name__}.svg").write_text(draw(random.Random(SEED)), encoding="utf-8")
    (STATIC / "logo.svg").write_text(logo(120, 15.5, "#3f7cb8", "#3f7cb8"), encoding="utf-8")
    (STATIC / "favicon.svg").write_text(logo(32, 4.4, INK, "#8fbde9"), encoding="utf-8")
    if "social" in sys.argv[1:]:
        social(STATIC / "social.png")
