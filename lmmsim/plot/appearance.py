"""What all pictures share: colours by name, Axes to draw on, labels that do not collide.

The colours can be told apart by colour-blind readers; in grey print, markers and line patterns do that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK, MIDDLE, PALE = "#222222", "#6E6E6E", "#C8C8C8"
SMALL = 9.0  # points: the smallest text that is still read on a phone
NAMED = 35  # rows at most, for their names at the side


@dataclass(frozen=True)
class Style:
    """How one analysis is drawn in every picture.

    Attributes
    ----------
    colour, marker : str
    line : str or tuple
        A matplotlib line pattern.
    """

    colour: str
    marker: str
    line: Any


STYLES: dict[str, Style] = {
    "truth": Style(DARK, "D", "-"),
    "OLS": Style("#D55E00", "s", (0, (6, 2))),
    "OLS, cluster-robust": Style("#7F3300", "X", (0, (4, 1.5, 1, 1.5))),
    "group means": Style("#009E73", "^", (0, (1, 1))),
    "within": Style("#C2609A", "v", (0, (8, 2, 1, 2, 1, 2))),
    "LMM": Style("#0072B2", "o", "-"),
    "LMM, z": Style("#3C9BD6", "<", (0, (3, 1))),
    "LMM, Kenward–Roger": Style("#00344F", ">", (0, (8, 1.5))),
    "statsmodels": Style("#808080", "P", (0, (2, 2))),
}
SPARE = (
    Style("#6A3D9A", "p", (0, (5, 1, 1, 1))),
    Style("#00606B", "h", (0, (2, 1))),
    Style("#B8860B", "*", (0, (1, 2))),
)

# What a name that is not in STYLES says about its family; the first that fits counts.
FAMILIES = (
    (("truth", "theory", "exact"), "truth"),
    (("cluster", "robust"), "OLS, cluster-robust"),
    (("statsmodels", "mixedlm"), "statsmodels"),
    (("kenward",), "LMM, Kenward–Roger"),
    ((", z", "wald"), "LMM, z"),
    (("lmm", "mixed", "partial pooling"), "LMM"),
    (("means", "aggregat", "no pooling"), "group means"),
    (("within",), "within"),
    (("ols", "least squares", "complete pooling"), "OLS"),
)

COLOURS: dict[str, str] = {name: style.colour for name, style in STYLES.items()}
TREATMENTS: tuple[str, ...] = ("#949494", "#7A1552", "#1F8A7E", "#332288", "#999933", "#117733")
PATTERNS: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1, 1.5)))
PARTS: dict[str, str] = {"fixed": MIDDLE, "random": "#7A1552", "residual": "#1F8A7E"}


def style(name: str) -> Style:
    """Look up how an analysis is drawn, by its name or by what its name says.

    Parameters
    ----------
    name : str
        A key of `COLOURS`, or a name that tells its family: "school means", "LMM, random slopes".

    Returns
    -------
    Style

    Examples
    --------
    >>> style("school means") == style("group means")
    True
    """
    return styles([name])[name]


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Style of every analysis in one picture; two of a family do not look the same."""
    names = [str(name) for name in names]
    found = {name: STYLES[name] for name in names if name in STYLES}
    spare = [s for s in SPARE * len(names)]
    for name in names:
        if name not in found:
            family = next((of for words, of in FAMILIES if any(word in name.lower() for word in words)), None)
            taken = family is None or STYLES[family] in found.values()
            found[name] = spare.pop(0) if taken else STYLES[family or "truth"]
    return {name: found[name] for name in names}


def treatments(levels: Sequence[Any]) -> dict[Any, tuple[str, Any]]:
    """Colour and line pattern of every level of a factor; the first, the reference, is grey."""
    return {level: (TREATMENTS[i % len(TREATMENTS)], PATTERNS[i % len(PATTERNS)]) for i, level in enumerate(levels)}


def levels(column: pd.Series) -> list[Any]:
    """Levels of a column that occur: in the order of its categories, or as they appear (numbers sorted)."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        present = set(column.dropna())
        return [level for level in column.cat.categories if level in present]
    values = column.dropna().unique()
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else list(values)


def ink(colour: str) -> tuple[float, float, float]:
    """A colour dark enough to be read as text on white (contrast 4.5 : 1 at least)."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    while luminance(rgb) > 0.18:
        rgb = rgb * 0.95
    return float(rgb[0]), float(rgb[1]), float(rgb[2])


def luminance(rgb: np.ndarray) -> float:
    """Relative luminance of an sRGB colour, 0 (black) to 1 (white)."""
    rgb = np.asarray(rgb, dtype=float)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def canvas(ax: Axes | None, height: float | None = None) -> Axes:
    """The Axes to draw on: the given ones, else the current ones if empty, else new ones (`height` in inches)."""
    import matplotlib.pyplot as plt

    if ax is None:
        if plt.get_fignums() and not any(old.has_data() for old in plt.gcf().axes):
            ax = plt.gca()
        else:
            ax = new_figure(height).subplots()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def new_figure(height: float | None = None, width: float | None = None) -> Figure:
    """A figure of the reader's own size, or of another height or width (inches)."""
    import matplotlib.pyplot as plt

    own = plt.rcParams["figure.figsize"]
    return plt.figure(figsize=(width or own[0], height or own[1]), layout="constrained")


def table_with(table: pd.DataFrame, *names: str | None) -> pd.DataFrame:
    """The table, with its index among its columns; refuse it if it is empty or lacks one of the names."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"a DataFrame is needed to draw from, not {type(table).__name__}")
    wanted = [name for name in names if name is not None]
    if any(name in table.index.names for name in wanted):
        twice = table.columns.intersection(table.index.names)  # a sweep over "n" also counts its replicates in "n"
        table = table.drop(columns=twice).reset_index()
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        lacks = ", ".join(f"'{name}'" for name in missing)
        raise ValueError(f"the table has no column {lacks}; its columns are {', '.join(map(str, table.columns))}")
    if table.empty:
        raise ValueError("the table has no rows: there is nothing to draw")
    return table


def name_axes(ax: Axes, xlabel: str | None, ylabel: str | None) -> None:
    """Write the names of both axes; None leaves what is there."""
    if xlabel is not None:
        ax.set_xlabel(xlabel)
    if ylabel is not None:
        ax.set_ylabel(ylabel)


def rows_only(ax: Axes) -> None:
    """Leave out the vertical axis where names of rows stand at the left."""
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def height_of(rows: int) -> float:
    """Inches that so many rows need."""
    return float(np.clip(1.0 + 0.16 * rows, 2.2, 6.5))


def name_rows(ax: Axes, names: pd.Index) -> None:
    """A row for each name, from the top; too many go without."""
    shown = len(names) <= NAMED
    ax.set_yticks(np.arange(len(names)) if shown else [], [str(name) for name in names] if shown else [])
    ax.set_ylim(len(names) - 0.2, -0.8)
    rows_only(ax)


def spread(positions: np.ndarray, gap: float) -> np.ndarray:
    """Move positions apart until neighbours are at least `gap` from each other, each group about its centre."""
    order = np.argsort(positions, kind="stable")
    blocks: list[list[float]] = []  # sum of (position - place in the block), count
    for value in np.asarray(positions, dtype=float)[order]:
        blocks.append([value, 1])
        while len(blocks) > 1:
            (low, a), (high, b) = blocks[-2], blocks[-1]
            if high / b - (b - 1) * gap / 2 - (low / a + (a - 1) * gap / 2) >= gap:
                break
            blocks[-2:] = [[low + high, a + b]]
    placed = [total / n + (i - (n - 1) / 2) * gap for total, n in blocks for i in range(int(n))]
    result = np.empty(len(order))
    result[order] = placed
    return result


def label_ends(ax: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write names at the right edge beside the heights where their lines end: (height, text, colour) each."""
    data_to_axes = ax.transData + ax.transAxes.inverted()
    heights = np.array([data_to_axes.transform((ax.get_xlim()[1], y))[1] for y, _, _ in labels])
    points = ax.get_window_extent().height / ax.figure.dpi * 72
    for height, (_, text, colour) in zip(spread(heights, 13 / points), labels, strict=True):
        ax.annotate(
            text, (1, height), (4, 0), xycoords="axes fraction", textcoords="offset points",
            va="center", color=ink(colour), annotation_clip=False,
        )  # fmt: skip


def legend_above(ax: Axes, handles: Sequence[Any], side: Literal["left", "right"] = "left") -> None:
    """A legend above the Axes, where it hides nothing; at the right where names of rows would push it."""
    inches = 1.29 * ax.get_window_extent().width / ax.figure.dpi  # the Axes and what stands at their left
    characters = sum(len(handle.get_label()) + 6 for handle in handles)
    lines = int(np.ceil(0.085 * characters / inches))
    ax.legend(
        handles=list(handles), loc="lower left" if side == "left" else "lower right",
        bbox_to_anchor=(0 if side == "left" else 1, 1.0), ncols=-(-len(handles) // lines), frameon=False,
        borderaxespad=0.2, columnspacing=1.4, handletextpad=0.5,
    )  # fmt: skip


def whole_ticks(ax: Axes, values: pd.Series, most: int = 12) -> None:
    """Ticks at the values themselves, where they are few and whole: weeks 0, 1, 2, not 0.5."""
    from matplotlib.ticker import MaxNLocator

    if pd.api.types.is_numeric_dtype(values):
        shown = np.unique(values.dropna().to_numpy(float))
        if (shown == np.round(shown)).all():
            regular = len(shown) <= most and len(np.unique(np.diff(shown))) <= 1
            ax.set_xticks(shown) if regular else ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def number(value: float) -> str:
    """A number as a reader writes it: 3 digits, a true minus sign."""
    return f"{value:.3g}".replace("-", "−")
