"""Pictures of the equation y = Xβ + Zu + ε: the whole of it, and one row as a sum of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmsim.plot.appearance import DARK, MIDDLE, PARTS, canvas, ink, number
from lmmsim.plot.matrices import PRINTED, cells, entries_of, grid, labels_of, name_sides, paint, print_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNS = {"y": "=", "X": "", "β": "+", "Z": "", "u": "+", "ε": ""}  # what stands after each matrix


def equation(simulation: Any, rows: Any = None, *, values: bool | str = "auto") -> np.ndarray:
    """Draw y = Xβ + Zu + ε as a row of matrices with their dimensions below, in a new figure.

    Parameters
    ----------
    simulation : Simulation
        From `lmmsim.simulate`.
    rows : slice or sequence of int, optional
        Positions of the rows to show, `slice(6)` for the first six; the random effects that do not occur in them
        are left out, so the equation that is drawn still holds. All rows without it.
    values : bool or "auto"
        Print the numbers in the cells; "auto" does where there is room.

    Returns
    -------
    ndarray of Axes
        For y, X, β, Z, u and ε; without Z and u in a model without random effects.

    Examples
    --------
    >>> from lmmsim import Model, crossed, simulate
    >>> model = Model("height ~ 1 + (1 | plot)", {"Intercept": 10}, random={"plot": 2}, residual=1)
    >>> axes = equation(simulate(model, crossed(plot=3, week=[0, 1]), rng=1))
    >>> [ax.get_xlabel() for ax in axes]
    ['y\\n6 × 1', 'X\\n6 × 1', 'β\\n1 × 1', 'Z\\n6 × 3', 'u\\n3 × 1', 'ε\\n6 × 1']
    """
    import matplotlib.pyplot as plt

    panels = _panels(simulation, slice(None) if rows is None else rows)
    longest = max(max(entries.shape) for entries, _ in panels.values())
    printed = values is True or (values == "auto" and longest <= PRINTED)
    boxes, size = _places(panels, printed)
    figure = plt.figure(figsize=size, layout="none")
    axes = []
    for (letter, (entries, names)), box in zip(panels.items(), boxes, strict=True):
        ax = figure.add_axes(box)
        paint(ax, entries_of(entries)[0], entries.shape)
        if printed:
            grid(ax, *entries.shape)
            print_values(ax, entries)
            name_sides(ax, None, names)
            ax.tick_params(axis="x", rotation=90)
        ax.set_xlabel(f"{letter}\n{entries.shape[0]} × {entries.shape[1]}", color=DARK)
        ax.annotate(
            SIGNS[letter], (1, 0.5), (0.15 * 72, 0), xycoords="axes fraction", textcoords="offset points",
            ha="center", va="center", size=14, color=DARK, annotation_clip=False,
        )  # fmt: skip
        axes.append(ax)
    return np.array(axes)


def _panels(simulation: Any, rows: Any) -> dict[str, tuple[np.ndarray, pd.Index | None]]:
    """Entries and column names of y, X, β, Z, u and ε for the chosen rows."""
    chosen = np.arange(len(simulation.y))[rows]
    chosen = np.atleast_1d(chosen)
    if not len(chosen):
        raise ValueError(f"rows={rows!r} chooses none of the {len(simulation.y)} rows")
    Z = simulation.Z.tocsr()[chosen].toarray()
    used = np.flatnonzero((Z != 0).any(axis=0))
    fixed = {
        "y": (simulation.y[chosen, None], None),
        "X": (simulation.X.to_numpy()[chosen], simulation.X.columns),
        "β": (simulation.beta.to_numpy()[:, None], None),
    }
    random = {"Z": (Z[:, used], simulation.u.index[used]), "u": (simulation.u.to_numpy()[used, None], None)}
    return fixed | (random if len(used) else {}) | {"ε": (simulation.eps[chosen, None], None)}


def _places(panels: Any, printed: bool) -> tuple[list[Any], tuple[float, float]]:
    """Boxes of the panels in fractions of the figure, and the figure's size in inches."""
    import matplotlib.pyplot as plt

    width = plt.rcParams["figure.figsize"][0]
    shapes = [entries.shape for entries, _ in panels.values()]
    # cells of equal size where numbers are printed; elsewhere square roots, so that a vector is still seen
    side = (lambda k: float(k)) if printed else (lambda k: float(np.sqrt(k)))
    gaps = [0.3 if SIGNS[letter] else 0.06 for letter in panels]
    least = [_room_for(entries) if printed else 0.0 for entries, _ in panels.values()]
    slots = [max(0.08 * len(f"{n} × {k}"), need) for (n, k), need in zip(shapes, least, strict=True)]
    cell = _cell([side(k) for _, k in shapes], slots, width - sum(gaps) - 0.06)
    tallest = max(side(n) for n, _ in shapes)
    row = min(cell, 0.3) if printed else min(cell, 2.6 / tallest)
    names = [name for _, index in panels.values() if index is not None for name in labels_of(index)]
    top = 0.08 + (0.078 * max(map(len, names)) if printed and names else 0.0)
    bottom, body = 0.5, tallest * row
    height = top + body + bottom
    boxes, left = [], 0.06
    for (n, k), slot, need, gap in zip(shapes, slots, least, gaps, strict=True):
        wide, tall = max(side(k) * cell, need), side(n) * row
        start = left + max(slot - wide, 0.0) / 2
        boxes.append((start / width, (bottom + (body - tall) / 2) / height, wide / width, tall / height))
        left += max(slot, wide) + gap
    return boxes, (width, height)


def _room_for(entries: np.ndarray) -> float:
    """Inches that the numbers of a matrix need."""
    return 0.076 * entries.shape[1] * max((len(text) for row in cells(entries) for text in row), default=0)


def _cell(sides: list[float], slots: list[float], room: float) -> float:
    """The width of a cell with which all panels, or their slots where these are wider, fill the room."""
    low, high = 0.0, room
    for _ in range(40):
        middle = (low + high) / 2
        fits = sum(max(k * middle, slot) for k, slot in zip(sides, slots, strict=True)) <= room
        low, high = (middle, high) if fits else (low, middle)
    return max(low, 0.02)


def parts(
    simulation: Any, row: int = 0, *, xlabel: str | None = None, ylabel: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw one row of the data as the sum of its parts: fixed, random, residual.

    Parameters
    ----------
    simulation : Simulation
    row : int
        Position of the row.
    xlabel : str, optional
        Name with units of the response: "height (cm)".
    ylabel : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from lmmsim import Model, crossed, simulate
    >>> model = Model("height ~ week + (1 | plot)", {"Intercept": 10, "week": 2}, random={"plot": 2}, residual=1)
    >>> ax = parts(simulate(model, crossed(plot=3, week=[0, 1]), rng=1), row=1, xlabel="height (cm)")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Intercept', 'week: 2 × 1', 'plot1', 'ε', 'height']
    """
    steps = _steps(simulation, row)
    total = float(simulation.y[row])
    ax = canvas(ax, height=0.9 + 0.36 * (len(steps) + 1))
    ends = np.cumsum([value for _, value, _ in steps])
    for i, ((_, value, kind), end) in enumerate(zip(steps, ends, strict=True)):
        begin = end - value
        if i == 0 and kind == "fixed":  # the start: where the sum begins, not how far it moves
            ax.plot(end, i, "o", color=PARTS[kind], ms=8)
        else:
            ax.barh(i, value, left=begin, height=0.55, color=PARTS[kind])
        ax.plot([end, end], [i, i + 1], color=MIDDLE, lw=0.8, ls=(0, (2, 2)), zorder=0)
        text = number(value) if i == 0 else f"{value:+.2f}".replace("-", "−")
        ax.annotate(
            text, (max(begin, end) if i else end, i), (8 if i == 0 else 4, 0), textcoords="offset points",
            va="center", color=ink(PARTS[kind]),
        )  # fmt: skip
    ax.plot(total, len(steps), "D", color=DARK, ms=7)
    ax.annotate(f"{total:.2f}", (total, len(steps)), (8, 0), textcoords="offset points", va="center", weight="bold")
    response = simulation.model.response
    ax.set_yticks(range(len(steps) + 1), [text for text, _, _ in steps] + [response])
    for label, kind in zip(ax.get_yticklabels(), [kind for *_, kind in steps] + ["truth"], strict=True):
        label.set_color(ink(PARTS.get(kind, DARK)))
    low, high = min(ends.min(), total), max(ends.max(), total)
    span = high - low or 1.0
    ax.set(xlim=(low - 0.06 * span, high + 0.3 * span), ylim=(len(steps) + 0.6, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=6)
    ax.set_xlabel(xlabel or response)
    ax.set_ylabel(ylabel or "")
    ax.set_title(_what(simulation, row), loc="left", size="medium")
    return ax


def _steps(simulation: Any, row: int) -> list[tuple[str, float, str]]:
    """Name, value and kind of every part of a row that is not zero (the intercept always)."""
    if not -len(simulation.y) <= row < len(simulation.y):
        raise ValueError(f"row={row}, but the data have rows 0 to {len(simulation.y) - 1}")
    steps = []
    for name, x in simulation.X.iloc[row].items():
        beta = simulation.beta[name]
        if name == "Intercept":
            steps.append((name, float(beta), "fixed"))
        elif x != 0:
            dummy = x == 1 and "[" in str(name)
            text = str(name) if dummy else f"{name}: {number(beta)} × {number(x)}"
            steps.append((text, float(beta * x), "fixed"))
    Z = simulation.Z.tocsr()[[row % len(simulation.y)]].toarray()[0]
    for j in np.flatnonzero(Z):
        _, level, term = simulation.u.index[j]
        u, z = float(simulation.u.iloc[j]), float(Z[j])
        steps.append((_named(level, term, u, z), u * z, "random"))
    return [*steps, ("ε", float(simulation.eps[row]), "residual")]


def _named(level: Any, term: str, u: float, z: float) -> str:
    """The name of a random part; with the product where it is one."""
    if term == "Intercept":
        return str(level)
    return f"{level}, {term}" if z == 1 and "[" in term else f"{level}, {term}: {number(u)} × {number(z)}"


def _what(simulation: Any, row: int) -> str:
    """Which row it is, in the words of the design."""
    design = simulation.design.iloc[row]
    return ", ".join(str(v) if isinstance(v, str) else f"{name} {number(v)}" for name, v in design.items())
