"""Simulate, fit and study linear mixed models: y = X beta + Z u + eps.

The names below are all that a reader needs; DataFrames, matrices and numbers
come back. Each is loaded when it is first used, so that the command `lmmsim`
answers at once and `lmmsim.plot` alone brings matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and mypy read; HOMES below says the same to Python
    from lmmsim import convert, course, covariance, draws, plot, scenarios, theory
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
    "course",
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

HOMES = {
    "lmmsim.design.allocation": "assign counterbalance",
    "lmmsim.design.covariates": "covariate",
    "lmmsim.design.crossing": "crossed nested repeated",
    "lmmsim.design.extend": "extend",
    "lmmsim.design.units": "check_units relabel",
    "lmmsim.diagnostics.diagnose": "Diagnosis diagnose",
    "lmmsim.diagnostics.lineup": "Lineup lineup",
    "lmmsim.estimators.fit": "Fit",
    "lmmsim.estimators.inference": "compare",
    "lmmsim.estimators.least_squares": "OLS GroupMeans Within",
    "lmmsim.estimators.lmm": "LMM",
    "lmmsim.estimators.mixedlm": "StatsmodelsLMM",
    "lmmsim.model.model": "Model",
    "lmmsim.model.random_effects": "Random",
    "lmmsim.model.residual": "IID",
    "lmmsim.model.units": "AR1 CompoundSymmetry",
    "lmmsim.model.unstructured": "Unstructured",
    "lmmsim.simulation.missing": "drop_out dropout_pattern knock_out",
    "lmmsim.simulation.simulate": "Simulation simulate simulate_many",
    "lmmsim.studies.effects": "Effect find_effect",
    "lmmsim.studies.frontier": "Frontier find_sizes",
    "lmmsim.studies.performance": "performance replicates_for",
    "lmmsim.studies.sizes": "Size exact_size find_size",
    "lmmsim.studies.study": "Study study",
    "lmmsim.studies.sweeps": "calibrate sweep",
    "lmmsim.theory.intervals": "exact_equivalence exact_precision",
    "lmmsim.theory.power": "exact_power",
}
_HOME = {name: home for home, names in HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load a name from its home, or a module such as `lmmsim.plot`, on first use."""
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in __all__:
        value = import_module(f"lmmsim.{name}")
    else:
        raise AttributeError(f"module 'lmmsim' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names for completion."""
    return sorted({*globals(), *__all__})
