"""Pictures of matrices: X, Z, G, R or V, with zeros white and dimensions below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import DARK, MIDDLE, PALE, SMALL, canvas, luminance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PRINTED = 12  # rows and columns at most, for numbers in the cells
NAMED = 24  # rows or columns at most, for names beside them
PIXELS = 600  # larger matrices are drawn by the largest entry of every patch


def matrix(
    M: Any,
    title: str | None = None,
    *,
    values: bool | str = "auto",
    names: bool | str = "auto",
    scale: str | None = None,
    limit: float | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a matrix: zeros white, positive entries blue, negative ones red, the dimensions below.

    Parameters
    ----------
    M : DataFrame, sparse matrix or array_like
        A large one shows its structure: no entry that is not zero is lost to the resolution of the screen.
    title : str, optional
        "Z", "V", ...
    values : bool or "auto"
        Print the numbers in the cells; "auto" does where there is room.
    names : bool or "auto"
        Write the names of rows and columns, where the matrix has them.
    scale : str, optional
        Name with units of a colour bar, such as "covariance (cm²)"; without it there is none.
    limit : float, optional
        Size of the entry with the full colour, to compare several matrices; else the largest of this one.
    xlabel, ylabel : str, optional
        Instead of the dimensions, and beside the rows.
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = matrix([[5.0, 4.0, 0.0], [4.0, 5.0, 0.0]], "V")
    >>> ax.get_xlabel()
    '2 × 3'
    """
    entries, rows, columns = entries_of(M)
    ax = canvas(ax)
    n, k = dimensions(M)
    image = paint(ax, entries, (n, k), limit)
    small = max(n, k) <= PRINTED
    if values is True or (values == "auto" and small):
        print_values(ax, entries, limit)
    if names is True or names == "auto":
        name_sides(ax, rows if n <= NAMED or names is True else None, columns if k <= NAMED or names is True else None)
    if small:
        grid(ax, n, k)
    ax.set_box_aspect(float(np.clip(n / k, 0.4, 1.6)))  # a long one is not drawn to scale
    if title is not None:
        ax.set_title(title, loc="center")
    ax.set_xlabel(xlabel if xlabel is not None else f"{n} × {k}", color=DARK if xlabel else MIDDLE)
    ax.set_ylabel(ylabel or "")
    if scale is not None:
        _colour_bar(ax, image, entries, limit, scale)
    return ax


def dimensions(M: Any) -> tuple[int, int]:
    """Rows and columns; a vector is a column."""
    shape = M.shape if hasattr(M, "shape") else np.shape(M)
    return shape[0], shape[1] if len(shape) > 1 else 1


def entries_of(M: Any) -> tuple[np.ndarray, pd.Index | None, pd.Index | None]:
    """Entries to paint, at most PIXELS a side, and the names of rows and columns where there are any."""
    rows = getattr(M, "index", getattr(M, "rows", None))
    columns = getattr(M, "columns", None)
    rows, columns = (names if isinstance(names, pd.Index) else None for names in (rows, columns))
    if not hasattr(M, "tocoo"):
        dense = np.asarray(M, dtype=float)
        if dense.ndim not in (1, 2) or dense.size == 0:
            raise ValueError(f"a matrix with at least one row and one column is needed, not one of shape {dense.shape}")
        dense = dense.reshape(len(dense), -1)
        if max(dense.shape) <= PIXELS:
            return dense, rows, columns
        i, j = np.nonzero(dense)
        return _patches(i, j, dense[i, j], dense.shape), None, None
    if max(M.shape) <= PIXELS and min(M.shape) > 0:
        return M.toarray().astype(float), rows, columns
    coo = M.tocoo()
    return _patches(coo.row, coo.col, coo.data, M.shape), None, None


def _patches(i: np.ndarray, j: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The largest entry, by size, of every patch of a large matrix."""
    if min(shape) == 0:
        raise ValueError(f"a matrix with at least one row and one column is needed, not one of shape {shape}")
    n, k = (min(side, PIXELS) for side in shape)
    largest = np.zeros((n, k))
    order = np.argsort(np.abs(values), kind="stable")
    i, j = i.astype(np.int64) * n // shape[0], j.astype(np.int64) * k // shape[1]
    largest[i[order], j[order]] = values[order]  # the last one written is the largest
    return largest


def shades(entries: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Colours of the entries: white for zero only, the smallest other entry already visible."""
    from matplotlib import colormaps

    size = np.abs(entries)
    largest = limit or float(np.nanmax(size, initial=0.0)) or 1.0
    strength = np.where(entries == 0, 0.0, 0.22 + 0.78 * np.minimum(size / largest, 1.0)) * np.sign(entries)
    rgba = colormaps["RdBu"](0.5 + 0.42 * strength)
    rgba[entries == 0] = 1.0
    rgba[np.isnan(entries)] = (0.85, 0.85, 0.85, 1.0)
    return rgba


def paint(ax: Axes, entries: np.ndarray, shape: tuple[int, int], limit: float | None = None) -> Any:
    """Fill the Axes with the entries, one unit for each row and column."""
    n, k = shape
    image = ax.imshow(
        shades(entries, limit), extent=(-0.5, k - 0.5, n - 0.5, -0.5), interpolation="nearest", aspect="auto"
    )
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=MIDDLE, linewidth=0.8)
    return image


def grid(ax: Axes, n: int, k: int) -> None:
    """Thin lines between the cells."""
    ax.hlines(np.arange(n - 1) + 0.5, -0.5, k - 0.5, color=PALE, lw=0.6)
    ax.vlines(np.arange(k - 1) + 0.5, -0.5, n - 0.5, color=PALE, lw=0.6)


def print_values(ax: Axes, entries: np.ndarray, limit: float | None = None) -> None:
    """Numbers in the cells: zeros faint, dark on light and light on dark."""
    colours, texts = shades(entries, limit), cells(entries)
    for (i, j), value in np.ndenumerate(entries):
        hue = "white" if luminance(colours[i, j]) < 0.21 else DARK  # the better contrast
        ax.text(j, i, texts[i][j], ha="center", va="center", size=SMALL, color="#767676" if value == 0 else hue)


def cells(entries: np.ndarray) -> list[list[str]]:
    """The entries as short texts: all whole, or two decimals for those but zeros, the very small and the large."""
    whole = bool((entries == np.round(entries)).all())

    def text(value: float) -> str:
        plain = value == 0 or (whole and abs(value) < 1e5)
        form = ".0f" if plain else ".2f" if 0.005 <= abs(value) < 100 else ".3g"
        return format(value, form).replace("-", "−")

    return [[text(value) for value in row] for row in entries.tolist()]


def name_sides(ax: Axes, rows: pd.Index | None, columns: pd.Index | None) -> None:
    """Names of the rows at the left and of the columns on top, upright only where they fit."""
    if rows is not None and not isinstance(rows, pd.RangeIndex):
        ax.set_yticks(range(len(rows)), labels_of(rows))
    if columns is not None and not isinstance(columns, pd.RangeIndex):
        texts = labels_of(columns)
        ax.set_xticks(range(len(texts)), texts)
        wide = max(map(len, texts)) * len(texts) > 40
        ax.xaxis.tick_top()
        ax.tick_params(axis="x", rotation=90 if wide else 0)
    ax.tick_params(length=0, pad=2, labelsize=SMALL)


def labels_of(names: pd.Index) -> list[str]:
    """Names as one text each: "plot1: week" for a random effect."""
    if isinstance(names, pd.MultiIndex):
        kept = [level for level in range(names.nlevels) if names.get_level_values(level).nunique() > 1] or [0]
        return [": ".join(str(name[level]) for level in kept) for name in names]
    return [str(name) for name in names]


def _colour_bar(ax: Axes, image: Any, entries: np.ndarray, limit: float | None, label: str) -> None:
    """A colour bar of the shades, from the smallest entry (or zero) to the largest."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    largest = limit or float(np.nanmax(np.abs(entries), initial=0.0)) or 1.0
    low = -largest if (entries < 0).any() else 0.0
    steps = np.linspace(low, largest, 257)
    mappable = ScalarMappable(Normalize(low, largest), ListedColormap(shades(steps[None], largest)[0]))
    bar = ax.figure.colorbar(mappable, ax=ax, label=label, shrink=0.8, aspect=25)
    bar.outline.set(edgecolor=MIDDLE, linewidth=0.8)
