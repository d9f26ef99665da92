"""Colors of figures as a page writes them, and their twins on dark paper, computed in OKLab.

Formulas: Ottosson, B. (2020). A perceptual color space for image processing.
"""

import re


def linear(c):
    return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4


def encoded(c):
    c = min(max(c, 0.0), 1.0)
    return 12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055


def oklab(color):
    r, g, b = (linear(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
    long, medium, short = (
        (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3),
        (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3),
        (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3),
    )
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def hexcode(L, a, b):
    long, medium, short = (
        (L + 0.3963377774 * a + 0.2158037573 * b) ** 3,
        (L - 0.1055613458 * a - 0.0638541728 * b) ** 3,
        (L - 0.0894841775 * a - 1.2914855480 * b) ** 3,
    )
    rgb = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * encoded(c)):02x}" for c in rgb)


def in_the_dark(color):
    """The twin of a color on dark paper: grays are mirrored, hues are lifted until they stand out."""
    L, a, b = oklab(color)
    if (a * a + b * b) ** 0.5 < 0.035:
        return hexcode(0.30 + 0.86 * (1 - L), a, b)
    return hexcode(max(L, 0.72 + 0.1 * (L - 0.5)), a * 0.9, b * 0.9)


def ink(color):
    """A color of the figure as the page writes it."""
    color = color.lower()
    if len(color) == 4:
        color = "#" + "".join(2 * c for c in color[1:])
    if color == "#000000":
        return "currentColor"
    if color == "#ffffff":
        return "var(--paper,#fff)"
    return f"var(--f{color[1:]},{color})"


def dark_rules(html):
    """The variables of the colors that a page's pictures use, for dark pages."""
    found = sorted(set(re.findall(r"var\(--f([0-9a-f]{6}),", html)))
    if not found:
        return ""
    return "<style>html[data-theme=dark]{" + ";".join(f"--f{c}:{in_the_dark('#' + c)}" for c in found) + "}</style>"
