"""The likelihood engine: restricted and full maximum likelihood of many responses to one design.

Reading order: `theta` (coordinates), `problem` (standard form); the structures a design can have, `one_component`,
`strata`, and for everything else `blocks` with `moments`, `absorb` and `derivatives`; `scoring` (the first guess),
`newton` (the optimiser), `search` (start, zero variances, second try), `engine` (what users call); `satterthwaite`,
`kenward_roger` and `modes` for what comes after.
"""

from lmmsim.reml.engine import Engine
from lmmsim.reml.solution import Solution

__all__ = ["Engine", "Solution"]
