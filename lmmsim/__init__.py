"""Simulate, fit and study linear mixed models: y = X beta + Z u + eps.

The names below are all that a reader needs; DataFrames, matrices and numbers
come back. `lmmsim.plot` loads matplotlib when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from lmmsim import convert, covariance, draws, scenarios, theory
from lmmsim.allocation import assign, counterbalance
from lmmsim.design import covariate, crossed, nested, repeated
from lmmsim.diagnose import diagnose
from lmmsim.estimators import LMM, OLS, GroupMeans, StatsmodelsLMM, Within
from lmmsim.inference import compare
from lmmsim.lineup import lineup
from lmmsim.missing import drop_out, dropout_pattern, knock_out
from lmmsim.model import Model, Random
from lmmsim.performance import performance, replicates_for
from lmmsim.power import exact_power, exact_size
from lmmsim.residual import AR1, IID, CompoundSymmetry
from lmmsim.simulate import Simulation, simulate, simulate_many
from lmmsim.sizes import find_size
from lmmsim.study import Study, study
from lmmsim.sweeps import calibrate, sweep
from lmmsim.units import check_units, relabel

if TYPE_CHECKING:
    from lmmsim import plot

__version__ = "0.1.0"

__all__ = [
    "AR1",
    "IID",
    "LMM",
    "OLS",
    "CompoundSymmetry",
    "GroupMeans",
    "Model",
    "Random",
    "Simulation",
    "StatsmodelsLMM",
    "Study",
    "Within",
    "assign",
    "calibrate",
    "check_units",
    "compare",
    "convert",
    "counterbalance",
    "covariance",
    "covariate",
    "crossed",
    "diagnose",
    "draws",
    "drop_out",
    "dropout_pattern",
    "exact_power",
    "exact_size",
    "find_size",
    "knock_out",
    "lineup",
    "nested",
    "performance",
    "plot",
    "relabel",
    "repeated",
    "replicates_for",
    "scenarios",
    "simulate",
    "simulate_many",
    "study",
    "sweep",
    "theory",
]


def __getattr__(name: str) -> ModuleType:
    """Load `lmmsim.plot`, and with it matplotlib and seaborn, on first use."""
    if name == "plot":
        return import_module("lmmsim.plot")
    raise AttributeError(f"module 'lmmsim' has no attribute '{name}'")
