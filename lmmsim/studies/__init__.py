"""Studies: many data sets of one world, several analyses of each, and how good each analysis is.

Reading order: `recipe` (what decides the data of a replicate), `results` (what an analysis said), `tasks` (the pieces),
`checkpoint` (what is kept of them), `run` (side by side), `tables` (how wide tables are printed), `performance`,
`study`; then `question` (what a plan is about), `sweeps`, `crossing` (where a simulated power curve crosses the wanted
power) and `sizes`.
"""
