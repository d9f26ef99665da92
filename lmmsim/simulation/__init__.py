"""Simulation: draw u and eps, add up y, lose some of it.

Reading order: `simulate` (one data set, thousands of responses), `occasions` (the order of time), `rules` (how probable
a loss is), `mechanisms` (who loses which values), `missing` (the functions that a user calls).
"""
