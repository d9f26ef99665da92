"""Feedback: marks of a class as a table, and a page for every student."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lmmsim.course.analyses import MISTAKES
from lmmsim.course.files import harmless
from lmmsim.course.marking import Marked

SAID = {
    "right": "right",
    "close": "close, but not the number of these data; was it rounded early?",
    "mistake": "what the analysis named above says",
    "not recognized": "not the number of these data, nor that of a usual mistake",
    "no answer": "no answer",
}


def table(marked: Sequence[Marked]) -> pd.DataFrame:
    """One row for every student: points, what was recognized, points by question, problems.

    No cell begins as a formula, so that a spreadsheet runs nothing.
    """
    rows = []
    for one in marked:
        points = {mark.question: mark.points for mark in one.marks}
        rows.append(
            {"student": one.student, "points": one.points, "of": one.most, "recognized": one.recognized}
            | points
            | {"problems": "; ".join(one.problems)[:500]}
        )
    return pd.DataFrame([{name: harmless(cell) for name, cell in row.items()} for row in rows])


def page(one: Marked, title: str, questions: Sequence[dict[str, Any]]) -> str:
    """The page that a student gets back, in Markdown; it tells no right number."""
    lines = [f"# {title}", "", f"Student {one.student}: {one.points:g} of {one.most:g} points.", ""]
    if not one.handed_in:
        lines += ["Nothing was handed in.", ""]
    if one.neighbour:
        lines += ["Your numbers fit another student's data, and not yours. Was it the right file?", ""]
    if one.mistakes:
        lines += [f"Your numbers come from {_told(one.mistakes)}.", ""]
    lines += [f"With your data, {_told(other)} gives the same numbers." for other in one.also]
    lines += [""] if one.also else []
    if one.mistakes and all(mark.verdict in ("right", "no answer") for mark in one.marks):
        lines += ["With your data this changes so little that the answers count as right.", ""]
    if one.recognized.startswith("right"):
        which = "Every answer" if one.recognized == "right" else "What you answered"
        lines += [f"{which} is what a right analysis of your data says.", ""]
    words = {question["id"]: str(question["words"]).replace("|", "\\|").replace("\n", " ") for question in questions}
    lines += ["| question | points | |", "|---|---|---|"]
    for mark in one.marks:
        unread = mark.verdict == "no answer" and any(told.startswith(f"{mark.question}: ") for told in one.problems)
        said = "could not be read, see below" if unread else SAID[mark.verdict]
        lines.append(f"| {words[mark.question]} | {mark.points:g} of {mark.most:g} | {said} |")
    if one.problems:
        lines += ["", "Not everything could be read:", "", *(f"- {problem}" for problem in one.problems)]
    return "\n".join(lines) + "\n"


def _told(mistakes: Sequence[str]) -> str:
    """Where numbers come from, in a sentence."""
    return "; and besides from ".join(MISTAKES[mistake][0] for mistake in mistakes)
