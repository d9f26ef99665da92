"""Marking: hold one submission against the key: points, and which analysis its numbers are those of.

An answer gets all its points if a right analysis of that student's own file says so, within a margin that comes from
the standard error. If it is what a wrong analysis says, that one is named, and the answer gets a share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lmmsim.course.analyses import MISTAKES
from lmmsim.course.answers import Answer
from lmmsim.course.copies import DIGITS, Others
from lmmsim.course.submissions import Submission

CLOSE, FOR_CLOSE = 3.0, 0.5  # within three margins an answer is close: rounded, or from an optimizer that stopped early
AS_NEAR = 0.1  # margins by which two analyses may differ and pass for the same


@dataclass(frozen=True)
class Mark:
    """What one answer is worth, and why.

    Attributes
    ----------
    question : str
    points, most : float
    verdict : str
        "right", "close", "mistake", "not recognized" or "no answer".
    """

    question: str
    points: float
    most: float
    verdict: str


@dataclass(frozen=True)
class Marked:
    """A marked submission.

    Attributes
    ----------
    student : str
    marks : list of Mark
    mistakes : tuple of str
        Of the analysis that the numbers are those of; none if it is a right one, or none is recognized.
    problems : list of str
    handed_in : bool
    also : tuple of tuple of str
        Mistakes of other analyses that give the same numbers here.
    neighbour : str
        Another student whose data the numbers fit to the last digit; empty if there is none.
    """

    student: str
    marks: list[Mark]
    mistakes: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    handed_in: bool = True
    also: tuple[tuple[str, ...], ...] = ()
    neighbour: str = ""

    @property
    def points(self) -> float:
        return round(sum(mark.points for mark in self.marks), 4)

    @property
    def most(self) -> float:
        return round(sum(mark.most for mark in self.marks), 4)

    @property
    def recognized(self) -> str:
        """The analysis in a few words."""
        answered = [mark.verdict for mark in self.marks if mark.verdict != "no answer"]
        if not self.handed_in:
            return "nothing handed in"
        if self.neighbour:
            return f"data of {self.neighbour}"
        if self.mistakes:
            return " or ".join(" + ".join(one) for one in (self.mistakes, *self.also))
        if not answered:
            return "nothing readable" if self.problems else "no answers"
        good = sum(verdict in ("right", "close") for verdict in answered)
        if good < len(answered):
            return "partly right" if 2 * good >= len(answered) else "not recognized"
        how = "close" if "close" in answered else "right"
        return how if len(answered) == len(self.marks) else f"{how} (incomplete)"


def mark_one(
    key: Mapping[str, Any], student: str, submission: Submission | None, others: Others | None = None
) -> Marked:
    """Mark one student.

    Parameters
    ----------
    key : mapping
        The key of the class, from `read_key`.
    student : str
    submission : Submission or None
        None if nothing was handed in.
    others : Others, optional
        The class, so that the numbers of another student's data are seen.

    Returns
    -------
    Marked
    """
    answers = submission.answers if submission is not None else {}
    problems = list(submission.problems) if submission is not None else []
    analyses = key["students"][student]["analyses"]
    right = [one for one in analyses if not one["mistakes"]]
    wrong = recognized(analyses, answers)
    marks = [_mark(question, answers.get(question["id"]), right, wrong, key["credit"]) for question in key["questions"]]
    named, *also = [tuple(one["mistakes"]) for one in wrong] or [()]
    neighbour = others.whose(student, answers) if others is not None else ""
    return Marked(student, marks, named, problems, submission is not None, tuple(also), neighbour)


def recognized(analyses: Sequence[Mapping[str, Any]], answers: Mapping[str, Answer]) -> list[Mapping[str, Any]]:
    """The wrong analyses whose numbers these are, if they explain more answers than the right ones do.

    They have to explain more than half of what was answered, so that a lucky number is not taken for a mistake. Of
    those that explain as much, the ones that do so to the last digit are taken, then those with the fewest mistakes,
    then the nearest, and those as near. One that explains all answers to the last digit is also named where the right
    ones are close enough for all points, as p from z is in a large sample, but none of them says these digits.
    """
    given = [name for name, value in answers.items() if value is not None]

    def explained(one: Mapping[str, Any]) -> list[str]:
        return [name for name in given if agrees(one, name, answers[name])]

    def rank(one: Mapping[str, Any]) -> tuple[int, bool]:
        known = explained(one)
        return -len(known), len(known) < len(given) or not to_the_digit(one, answers)

    best_right = min((rank(one) for one in analyses if not one["mistakes"]), default=(0, True))
    wrong = [one for one in analyses if one["mistakes"]]
    ranks = [(*rank(one), len(one["mistakes"]), distance(one, answers)) for one in wrong]
    if not wrong or (best := min(ranks))[:2] >= best_right or -2 * best[0] <= len(given):
        return []
    first = wrong[ranks.index(best)]
    near = [
        one
        for one, own in zip(wrong, ranks, strict=True)
        if own[:3] == best[:3] and own[3] <= best[3] + AS_NEAR and explained(one) == explained(first)
    ]
    return list({tuple(one["mistakes"]): one for one in near}.values())


def agrees(one: Mapping[str, Any], question: str, value: Answer, factor: float = 1.0) -> bool:
    """Whether an answer is what an analysis says, within its margin."""
    said = one["values"].get(question)
    if said is None or value is None or isinstance(said, str) != isinstance(value, str):
        return False
    if isinstance(said, str):
        return bool(said == value)
    # a hair for numbers that were rounded to the last digit that counts
    return abs(float(value) - said) <= factor * one["margins"][question] + 1e-9 * abs(said)


def to_the_digit(one: Mapping[str, Any], answers: Mapping[str, Answer]) -> bool:
    """Whether the numbers that an analysis explains are its own, as far as they were written out."""
    pairs = [
        (float(value), float(one["values"][name]))
        for name, value in answers.items()
        if isinstance(value, float) and agrees(one, name, value)
    ]
    return bool(pairs) and all(
        abs(value - said) <= max(_half_a_digit(value), DIGITS * abs(said)) for value, said in pairs
    )


def _half_a_digit(value: float) -> float:
    """What rounding to the digits that a number has changes at most, and a hair.

    Examples
    --------
    >>> _half_a_digit(0.25), _half_a_digit(1200.0)
    (0.00505, 50.5)
    """
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return 0.505 * 10.0 ** int(exponent)


def distance(one: Mapping[str, Any], answers: Mapping[str, Answer]) -> float:
    """How far the answers are from what an analysis says, in margins, over those that it explains."""
    there = [name for name, value in answers.items() if agrees(one, name, value) and not isinstance(value, str)]
    return sum(abs(float(answers[name] or 0) - one["values"][name]) / (one["margins"][name] or 1.0) for name in there)


def _mark(
    question: Mapping[str, Any],
    value: Answer,
    right: Sequence[Mapping[str, Any]],
    wrong: Sequence[Mapping[str, Any]],
    credit: Mapping[str, float],
) -> Mark:
    name, most = question["id"], float(question["points"])
    if value is None:
        return Mark(name, 0.0, most, "no answer")
    if any(agrees(one, name, value) for one in right):
        return Mark(name, most, most, "right")
    if wrong and agrees(wrong[0], name, value):
        share = max(min(credit.get(mistake, MISTAKES[mistake][1]) for mistake in one["mistakes"]) for one in wrong)
        return Mark(name, share * most, most, "mistake")
    if not isinstance(value, str) and any(agrees(one, name, value, CLOSE) for one in right):
        return Mark(name, FOR_CLOSE * most, most, "close")
    return Mark(name, 0.0, most, "not recognized")
