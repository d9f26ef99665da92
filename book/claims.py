"""Check what a sentence says, glue its number, keep a record: `claim("rate", 0.494, theory=0.491, mcse=0.005)`.

A chapter calls this in a cell that readers don't see (`remove-cell`). A claim that does not hold raises an error, and
so the book is not built. The record travels in the output that glues the number, hence it is kept with the executed
chapter; `_ext/claims_table.py` lists all of it on the page "How this book was built".
"""

from __future__ import annotations

from math import isclose, isfinite, sqrt
from numbers import Integral, Real
from typing import Any

from IPython.display import display

ERRORS = 4  # Monte-Carlo errors between simulation and theory; two are exceeded by chance in one of twenty


class FalseClaim(AssertionError):
    """What a sentence says does not hold."""


def claim(
    name: str,
    value: object,
    theory: object = None,
    mcse: object = None,
    *,
    replicates: int | None = None,
    within: float | None = None,
    above: object = None,
    below: object = None,
    says: str = "",
) -> None:
    """Glue `value` under `name` after checking it against theory, against bounds, or against nothing.

    Parameters
    ----------
    name
        Key of the glued number, unique on its page. With `theory`, `name_theory` and, where there is a Monte-Carlo
        error, `name_mcse` are glued too.
    value
        What was simulated or computed: a number, or a text (which can only be glued).
    theory
        What it must be. With `mcse` or `replicates` the two may be four Monte-Carlo errors apart; with `within` they
        may differ by that much; with none of these they must agree to nine digits.
    mcse
        Monte-Carlo standard error of `value`.
    replicates
        For a rate, instead of `mcse`: how many data sets it was counted in. The error is that of the theory's rate.
    above, below
        Bounds, for sentences that say "more than", "at most", or (both of them) "about".
    says
        What the sentence claims, in words, for the list of all claims.

    Raises
    ------
    FalseClaim
        When simulation and theory disagree, or a bound is broken.

    """
    if isinstance(value, str):
        if not (theory is mcse is replicates is within is above is below is None):
            raise TypeError(f"{name}: a text can be glued, not checked; give a number")
        return _glue(name, value)
    number = _number(name, value)
    low, high = _bound(name, above), _bound(name, below)
    record: dict[str, Any] = {"says": says or name.replace("_", " "), "value": number}
    if theory is not None:
        expected = _number(f"{name}, theory", theory)
        if replicates is not None:
            if mcse is not None or not 0 < expected < 1:
                raise TypeError(f"{name}: replicates= is for a rate between 0 and 1, and stands instead of mcse=")
            mcse = sqrt(expected * (1 - expected) / replicates)
        error = None if mcse is None else _number(f"{name}, mcse", mcse)
        _agree(name, number, expected, error, within)
        record |= {"theory": expected, "mcse": error, "within": within}
    elif mcse is not None or replicates is not None or within is not None:
        raise TypeError(f"{name}: an error without a theory checks nothing; give theory=")
    if low is not None and not number > low:
        raise FalseClaim(f"{name} is {number:.6g}, and the sentence says more than {low:.6g}")
    if high is not None and not number < high:
        raise FalseClaim(f"{name} is {number:.6g}, and the sentence says less than {high:.6g}")
    record |= {"above": low, "below": high}
    checked = theory is not None or low is not None or high is not None
    _glue(name, number, record if checked else None)
    if theory is not None:
        _glue(f"{name}_theory", record["theory"])
        if record["mcse"] is not None:
            _glue(f"{name}_mcse", record["mcse"])


def _number(name: str, value: object) -> int | float:
    """A plain number, also from numpy and from a Series of one."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}, which is no number")
    if not isfinite(value):
        raise FalseClaim(f"{name} is {value}")
    return int(value) if isinstance(value, Integral) else float(value)


def _bound(name: str, value: object) -> int | float | None:
    return None if value is None else _number(f"{name}, bound", value)


def _agree(name: str, value: float, theory: float, mcse: float | None, within: float | None) -> None:
    apart = abs(value - theory)
    if mcse is not None:
        if within is not None:
            raise TypeError(f"{name}: give mcse= or within=, not both")
        if not mcse > 0:
            raise TypeError(f"{name}: the Monte-Carlo error is {mcse:g}; for a rate of 0 or 1 give replicates=")
        if apart > ERRORS * mcse:
            raise FalseClaim(
                f"{name} is {value:.6g} ± {mcse:.2g} by simulation and {theory:.6g} by theory: "
                f"{apart / mcse:.1f} Monte-Carlo errors apart, and more than {ERRORS} are no chance"
            )
    elif within is not None:
        if apart > within:
            raise FalseClaim(f"{name} is {value:.6g}, theory says {theory:.6g}: further apart than {within:g}")
    elif not isclose(value, theory, rel_tol=1e-9, abs_tol=1e-12):
        raise FalseClaim(f"{name} is {value:.12g}, theory says {theory:.12g}, and no error is given that allows it")


def _glue(name: str, value: object, record: dict[str, Any] | None = None) -> None:
    """As `myst_nb.glue(name, value, display=False)`, with the record beside the number."""
    prefix = "application/papermill.record/"
    book = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    if record is not None:
        book["claim"] = record
    display({f"{prefix}text/plain": repr(value)}, raw=True, metadata=book)
