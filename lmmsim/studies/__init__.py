"""Studies: many data sets of one world, several analyses of each, and how good each analysis is.

Reading order: `recipe` (what decides the data of a replicate), `results` (what an analysis said), `tasks` (the pieces),
`fingerprint` (what a study is) and `checkpoint` (what is kept of it), `meaning` (whether cells have the same
coefficients), `run` (side by side), `tables` (how wide tables are printed), `performance`, `study`; then `question`
(what a plan is about), `sweeps`, `crossing` (where a power curve crosses the wanted power), `goals` (what the power is
of), `sizes`, `effects` and `frontier`.
"""
