"""Verdicts in words: for every check a sentence that says what was looked at and whether chance makes as much."""

from __future__ import annotations

import pandas as pd

USUAL = 0.05  # a check with a smaller p is spoken of as more than chance makes

# pages of the book, by their topics
ASSUMPTIONS, TIME, SLOPES, NORMAL = "Checking assumptions", "Time", "Random slopes", "Not normal?"

# what is looked at, what it is when it is too much, and which page of the book says what to do
CHECKS: dict[str, tuple[str, str, str]] = {
    "random_qq": ("the predicted effects of {} against normal quantiles", "they bend away from the line", ASSUMPTIONS),
    "residual_qq": ("the residuals against normal quantiles", "they bend away from the line", NORMAL),
    "least_confounded": (
        "combinations of rows that hold nothing of the groups, against normal quantiles",
        "they bend away from the line",
        NORMAL,
    ),
    "linearity": ("the mean of the residuals along {}", "it bends, so a curve is missing", ASSUMPTIONS),
    "scale_location": ("the spread of the residuals along {}", "it changes", ASSUMPTIONS),
    "slopes": ("the slopes of the residuals, {}", "groups differ in them, so random slopes are missing", SLOPES),
    "lag_correlation": (
        "the correlation of residuals of one unit that are near in {}",
        "they are not as the model has them, so the residuals remember",
        TIME,
    ),
    "uniformity": ("the ranks of the responses among simulated ones", "they are not uniform", ASSUMPTIONS),
    "dispersion": ("the spread of the responses beside that of simulated ones", "it is another", ASSUMPTIONS),
    "outliers": ("responses beyond all simulated ones", "there are many", ASSUMPTIONS),
    "influence": ("how far the fit moves without one {}", "one of them moves it far", ASSUMPTIONS),
}


def verdicts(summary: pd.DataFrame) -> list[str]:
    """A sentence for every row of the summary of a diagnosis, with its number."""
    return [sentence(str(name), float(p)) for name, p in summary["p"].items()]


def sentence(check: str, p: float) -> str:
    """One check in words.

    Examples
    --------
    >>> sentence("linearity week", 0.4)
    'linearity week: the mean of the residuals along week; no more than chance makes (p = 0.4).'
    """
    kind, _, about = check.partition(" ")
    looked, wrong, page = CHECKS.get(kind, ("{}", "it is unusual", ASSUMPTIONS))
    what = looked.format({"fitted": "the fitted values"}.get(about, about))
    if pd.isna(p):
        return f"{check}: {what}; this could not be worked out."
    size = f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
    if p >= USUAL:
        return f"{check}: {what}; no more than chance makes ({size})."
    return f'{check}: {what}; more than chance makes ({size}): {wrong}. See the page "{page}".'


def opening(summary: pd.DataFrame) -> str:
    """How many checks there are, and how many of them chance alone would make small."""
    n, small = len(summary), int((summary["p"] < USUAL).sum())
    found = "none shows" if small == 0 else f"{small} show{'s' if small == 1 else ''}"
    return (
        f"{n} checks, of which {found} more than chance makes; where all assumptions hold, about {n * USUAL:.1f} of "
        f"{n} do so by chance. Small p need a look at the picture (plot.diagnosis), large ones do not prove the "
        "assumptions."
    )
