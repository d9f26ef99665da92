"""Theory: the small exact answers that a simulation should find, to be put beside its numbers.

Each function is one formula, with its source: `design_effect`, `dropout_means` and `ar1_design_effects` are about data
(`clusters`). The others average over the chance in an estimated variance (`averages`): `variance_of_variance`,
`variance_estimates`, `boundary_probability`, `p_boundary`, `forgotten_level` and `group_mean_mse` are about estimates
(`variances`), the `type1_` functions about the level that an analysis really has (`type1`). From generalised least
squares at known variances (`gls`), and what several tests make together (`joint`), follow the exact power of a test
(`power`) and what an interval will show (`intervals`).
"""

from lmmsim.theory.clusters import ar1_design_effects, design_effect, dropout_means
from lmmsim.theory.type1 import (
    type1_between,
    type1_items_ignored,
    type1_omitted_slope,
    type1_pooled_t,
    type1_wald_z,
    type1_within,
)
from lmmsim.theory.variances import (
    boundary_probability,
    forgotten_level,
    group_mean_mse,
    p_boundary,
    variance_estimates,
    variance_of_variance,
)

__all__ = [
    "ar1_design_effects",
    "boundary_probability",
    "design_effect",
    "dropout_means",
    "forgotten_level",
    "group_mean_mse",
    "p_boundary",
    "type1_between",
    "type1_items_ignored",
    "type1_omitted_slope",
    "type1_pooled_t",
    "type1_wald_z",
    "type1_within",
    "variance_estimates",
    "variance_of_variance",
]
