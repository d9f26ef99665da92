"""Pictures: one function for each, a table in and matplotlib Axes out.

Nothing statistical is computed here, no style is set for other pictures, nothing is shown: that is left to the
notebook. Every function takes `ax=`. Without it, the current Axes are used if they are still empty, a new figure
otherwise, so that two pictures never end up on top of each other. An analysis has one colour, marker and line in all
pictures, by its name (`COLOURS`); treatments have others (`TREATMENTS`), of which the reference level's is grey.
"""

from lmmsim.plot.answers import means, prediction
from lmmsim.plot.appearance import COLOURS, PARTS, TREATMENTS, Style, style
from lmmsim.plot.checks import (
    influence,
    lag_correlation,
    linearity,
    residuals,
    scale_location,
    simulated_residuals,
    slopes,
    variogram,
)
from lmmsim.plot.coverage import zip_plot
from lmmsim.plot.data import layout, trajectories
from lmmsim.plot.effects import caterpillar, qq, shrinkage
from lmmsim.plot.equations import equation, parts
from lmmsim.plot.estimates import intervals, sampling
from lmmsim.plot.matrices import matrix
from lmmsim.plot.panels import diagnosis
from lmmsim.plot.studies import lineup, power, predictive

__all__ = [
    "COLOURS",
    "PARTS",
    "TREATMENTS",
    "Style",
    "caterpillar",
    "diagnosis",
    "equation",
    "influence",
    "intervals",
    "lag_correlation",
    "layout",
    "linearity",
    "lineup",
    "matrix",
    "means",
    "parts",
    "power",
    "prediction",
    "predictive",
    "qq",
    "residuals",
    "sampling",
    "scale_location",
    "shrinkage",
    "simulated_residuals",
    "slopes",
    "style",
    "trajectories",
    "variogram",
    "zip_plot",
]
