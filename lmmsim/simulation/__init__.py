"""Simulation: draw u and eps, add up y, lose some of it.

Reading order: `simulate` (one data set, thousands of responses), `occasions` (the order of time), `mechanisms` (which
values are at risk), `missing` (the functions that a user calls).
"""
