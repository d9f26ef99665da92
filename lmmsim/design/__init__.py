"""Design: who is measured, when, and what each unit is given.

Reading order: `units` (which rows belong together), `crossing` (every combination, units inside units), `covariates`
(what units bring along), `allocation` (what they are given), `extend` (more units of the same kind).
"""
