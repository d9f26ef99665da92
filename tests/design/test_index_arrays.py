"""Positions are counted in integers as wide as the machine's: a browser has 32 bits, and NumPy refuses 64 there."""

import re

import numpy as np
from places import TOP

from lmmsim import assign, counterbalance, crossed, nested
from lmmsim.design.allocation import _independent, _shared
from lmmsim.design.crossing import _sizes
from lmmsim.design.units import levels_of, units_of

# Where 64 bits are meant: numbers of pairs, of entries of a matrix, and whole numbers that were measured.
WIDE = {"course/tables.py": 1, "design/units.py": 1, "plot/matrices.py": 2, "reml/unit_sums.py": 1}


def test_positions_are_as_wide_as_the_machine_counts():
    design = crossed(subject=4, item=[3, 1, 2, 8])
    levels = {"arm": levels_of("arm", ["a", "b"])}
    arrays = [
        *units_of(design, ["subject", "item"]),
        *units_of(design, "item"),
        *units_of(design, None),
        _sizes("pupil", [3, 4], ["school1", "school2"], "school", None),
        _sizes("pupil", lambda rng, size: rng.integers(1, 5, size), ["a", "b"], "school", np.random.default_rng(1)),
        _shared(design, "subject", None, [1, 3], levels, None),
        _shared(design, "subject", None, None, levels, np.random.default_rng(1)),
        _independent(design, "subject", None, None, 2, np.random.default_rng(1)),
    ]
    assert {array.dtype for array in arrays} == {np.dtype(np.intp)}


def test_no_module_counts_positions_in_64_bits():
    """On this machine both widths are the same type, so that only the source can tell them apart."""
    found = {}
    for path in sorted((TOP / "lmmsim").rglob("*.py")):
        if n := len(re.findall(r"\bu?int64\b", path.read_text(encoding="utf-8"))):
            found[path.relative_to(TOP / "lmmsim").as_posix()] = n
    assert found == WIDE


def test_pairs_of_many_units_are_counted_without_overflow():
    """70,000 subjects and as many items make 4.9e9 pairs, of which each row has one of its own."""
    n = 70_000
    design = crossed(subject=np.arange(n)).assign(item=np.arange(n))
    codes, first = units_of(design, ["subject", "item"])
    assert np.array_equal(codes, np.arange(n)) and np.array_equal(first, np.arange(n))


def test_designs_of_every_kind_are_made_from_such_positions():
    design = assign(nested(school=2, pupil=[2, 3]), to="pupil", counts=[3, 2], arm=["a", "b"])
    assert len(design) == 5 and design["arm"].value_counts().tolist() == [3, 2]
    rotated = counterbalance(crossed(subject=2, item=2), subject="subject", item="item", context=["plain", "odd"])
    assert rotated["context"].tolist() == ["plain", "odd", "odd", "plain"]
