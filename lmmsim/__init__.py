"""Simulate, fit and study linear mixed models: y = X beta + Z u + eps.

The names below are all that a reader needs; DataFrames, matrices and numbers
come back. `lmmsim.plot` loads matplotlib when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from lmmsim import convert, covariance, draws, scenarios, theory
from lmmsim.design.allocation import assign, counterbalance
from lmmsim.design.covariates import covariate
from lmmsim.design.crossing import crossed, nested, repeated
from lmmsim.design.extend import extend
from lmmsim.design.units import check_units, relabel
from lmmsim.diagnostics.diagnose import Diagnosis, diagnose
from lmmsim.diagnostics.lineup import Lineup, lineup
from lmmsim.estimators.fit import Fit
from lmmsim.estimators.inference import compare
from lmmsim.estimators.least_squares import OLS, GroupMeans, Within
from lmmsim.estimators.lmm import LMM
from lmmsim.estimators.mixedlm import StatsmodelsLMM
from lmmsim.model.model import Model
from lmmsim.model.random_effects import Random
from lmmsim.model.residual import IID
from lmmsim.model.units import AR1, CompoundSymmetry
from lmmsim.model.unstructured import Unstructured
from lmmsim.simulation.missing import drop_out, dropout_pattern, knock_out
from lmmsim.simulation.simulate import Simulation, simulate, simulate_many
from lmmsim.studies.effects import Effect, find_effect
from lmmsim.studies.frontier import Frontier, find_sizes
from lmmsim.studies.performance import performance, replicates_for
from lmmsim.studies.sizes import Size, exact_size, find_size
from lmmsim.studies.study import Study, study
from lmmsim.studies.sweeps import calibrate, sweep
from lmmsim.theory.intervals import exact_equivalence, exact_precision
from lmmsim.theory.power import exact_power

if TYPE_CHECKING:
    from lmmsim import plot

__version__ = "0.1.0"

__all__ = [
    "AR1",
    "IID",
    "LMM",
    "OLS",
    "CompoundSymmetry",
    "Diagnosis",
    "Effect",
    "Fit",
    "Frontier",
    "GroupMeans",
    "Lineup",
    "Model",
    "Random",
    "Simulation",
    "Size",
    "StatsmodelsLMM",
    "Study",
    "Unstructured",
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
    "exact_equivalence",
    "exact_power",
    "exact_precision",
    "exact_size",
    "extend",
    "find_effect",
    "find_size",
    "find_sizes",
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
