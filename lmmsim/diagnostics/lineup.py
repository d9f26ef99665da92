"""Line-ups: the real data hidden among simulated data. Who cannot find it has no case against the model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lmmsim.checks import is_whole
from lmmsim.diagnostics.refits import refits, rows_of
from lmmsim.estimators.fit import Fit
from lmmsim.streams import Rng, generator


@dataclass(frozen=True, eq=False)
class Lineup:
    """Data sets in random order, one of them real.

    Attributes
    ----------
    frames : tuple of DataFrame
        One for each panel: the columns of the data with this panel's response, and its `fitted`, `marginal` and
        `conditional`, from a fit of its own.
    """

    frames: tuple[pd.DataFrame, ...] = field(repr=False)
    _sealed: bytes = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """All panels below each other, with a column `panel` that counts from 1."""
        return pd.concat([frame.assign(panel=i + 1) for i, frame in enumerate(self.frames)], ignore_index=True)

    def reveal(self) -> int:
        """Open the seal: the number of the panel that is real, counted from 1."""
        return int.from_bytes(self._sealed, "big") % 1000

    def __repr__(self) -> str:
        return f"Lineup of {len(self.frames)} panels; reveal() says which is real"

    def __len__(self) -> int:
        return len(self.frames)


def lineup(fit: Fit, data: pd.DataFrame | None = None, rng: Rng = None, n: int = 20) -> Lineup:
    """Hide the real data among n - 1 data sets simulated from the fit, each analysed like the real one.

    Parameters
    ----------
    fit : Fit
        From LMM or OLS.
    data : DataFrame, optional
        Rows of the fit with the columns wanted in the panels; its own data by default.
    rng : Generator, int or None
        Draws the data sets and the place of the real one.
    n : int
        Panels. If the model is true, a viewer picks the real one with probability 1 / n.

    Returns
    -------
    Lineup

    Raises
    ------
    ValueError
        For fewer than two panels, or data with other rows than the fit.

    References
    ----------
    Buja, Cook, Hofmann et al. (2009), Philosophical Transactions of the Royal Society A 367:4361. Loy, Hofmann & Cook
    (2017), Journal of Computational and Graphical Statistics 26:478.

    Examples
    --------
    >>> from lmmsim import scenarios, simulate
    >>> from lmmsim.estimators.lmm import LMM
    >>> plants = simulate(*scenarios.plant_growth(), rng=1)
    >>> hidden = lineup(LMM(plants.model.formula)(plants.data), rng=2)
    >>> hidden
    Lineup of 20 panels; reveal() says which is real
    >>> real = hidden.frames[hidden.reveal() - 1]
    >>> bool((real["height"] == plants.y).all())
    True
    """
    if not is_whole(n) or n < 2:
        raise ValueError(f"a line-up needs at least 2 panels, got {n}")
    if data is not None and not isinstance(data, pd.DataFrame):
        raise TypeError(
            f"data is a {type(data).__name__}; a line-up takes the rows of the fit, lineup(fit, data, n=20)"
        )
    data = rows_of(fit, data)
    rng = generator(rng)
    refit = refits(fit, n - 1, rng)
    if refit.replicates < n - 1:
        raise ValueError(f"{n - 1 - refit.replicates} of {n - 1} simulated data sets cannot be analysed")
    place = int(rng.integers(n))
    order = np.insert(1 + rng.permutation(n - 1), place, 0)
    frames = []
    for i in order:
        columns = {fit.matrices.response: refit.Y[:, i], "fitted": refit.fitted[:, i]}
        columns |= {"marginal": refit.marginal[:, i], "conditional": refit.conditional[:, i]}
        frames.append(data.assign(**columns))
    # a number that does not show the place at a glance
    sealed = (int(rng.integers(10**6, 10**9)) * 1000 + place + 1).to_bytes(8, "big")
    return Lineup(tuple(frames), sealed)
