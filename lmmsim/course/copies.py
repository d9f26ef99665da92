"""Copies: numbers that fit another student's data, which happens when folders are mixed up, or answers passed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lmmsim.course.answers import Answer

TELLING = ("estimate", "se", "low", "high", "p", "sd", "corr")  # df are often the same for everybody
LEAST = 3  # numbers that have to fit, all of those that were answered
DIGITS = 5e-4  # relative: what rounding to four digits changes at most


class Others:
    """What all analyses of all students' data say, to look numbers up in.

    Parameters
    ----------
    key : mapping
        The key of the class.
    """

    def __init__(self, key: Mapping[str, Any]) -> None:
        self.questions = [question["id"] for question in key["questions"] if question["ask"] in TELLING]
        rows = [
            (student, [one["values"].get(name, np.nan) for name in self.questions])
            for student, record in key["students"].items()
            for one in record["analyses"]
        ]
        self.owners = np.array([student for student, _ in rows], dtype=object)
        self.values = np.array([values for _, values in rows], dtype=float).reshape(len(rows), len(self.questions))

    def whose(self, student: str, answers: Mapping[str, Answer]) -> str:
        """Whose data the numbers fit to the last of four digits; empty if the student's own, or nobody's.

        Fewer than three numbers say nothing, as somebody's numbers are often close to somebody else's.
        """
        given = [k for k, name in enumerate(self.questions) if isinstance(answers.get(name), float)]
        said = np.array([answers[self.questions[k]] for k in given], dtype=float)
        if len(set(said)) < LEAST:
            return ""
        values = self.values[:, given]
        fits = (np.abs(values - said) <= DIGITS * np.abs(values) + 1e-12).all(axis=1)
        owners = list(dict.fromkeys(self.owners[fits]))
        return "" if student in owners or not owners else str(owners[0])
