"""Keys: for every student the truth, what the right and the wrong analyses of the file say, and how close is close.

Everything is computed from what the student's file holds, after rounding, so a correct analysis is never wrong.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.course import files, secret
from lmmsim.course.analyses import Reading, readings
from lmmsim.course.assignment import Assignment
from lmmsim.course.codebooks import codebook
from lmmsim.course.printed import as_json, numbers_of
from lmmsim.course.questions import Question
from lmmsim.course.tables import as_csv, fixed, read_csv
from lmmsim.simulation.simulate import simulate

FORMAT = 1
LARGEST = 500_000_000  # bytes of a key


@dataclass(frozen=True)
class Handout:
    """What one student gets, and what the teacher keeps.

    Attributes
    ----------
    data, book : str
        The contents of data.csv and of its codebook.
    record : dict
        The student's part of the key.
    """

    data: str
    book: str
    record: dict[str, Any]


def handout(assignment: Assignment, course_secret: str, student: str) -> Handout:
    """Make one student's data and their part of the key.

    Three streams that owe each other nothing draw the numbers of the world, its design, and the data.
    """
    world, design, data = (
        secret.stream(course_secret, assignment.id, student, purpose) for purpose in ("world", "design", "data")
    )
    numbers = assignment.numbers(np.random.default_rng(world))
    model, rows = assignment.world(numbers, np.random.default_rng(design))
    made = simulate(model, rows, rng=data).data
    lost = assignment.observed(
        made, np.random.default_rng(secret.stream(course_secret, assignment.id, student, "lost"))
    )
    observed = fixed(lost, assignment.decimals)
    table = codebook(observed, model.formula)
    text = as_csv(observed)
    found = readings(
        read_csv(io.StringIO(text), table), assignment.formula, assignment.questions, residual=assignment.residual
    )
    record = {
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "numbers": numbers,
        "truth": numbers_of(model),
        "singular": found[0].singular,
        "analyses": [_analysis(one, assignment.questions) for one in found],
    }
    return Handout(text, as_csv(table), json.loads(json.dumps(record)))


def _analysis(one: Reading, questions: tuple[Question, ...]) -> dict[str, Any]:
    """A reading as the key holds it, with the margin of every answer."""
    margins = {
        question.id: question.margin(float(one.values[question.id]), one.estimates[question.id][1])
        for question in questions
        if question.id in one.values and not isinstance(one.values[question.id], str)
    }
    return {"name": one.name, "mistakes": list(one.mistakes), "values": dict(one.values), "margins": margins}


def key_of(assignment: Assignment, records: Mapping[str, Any], course_secret: str) -> str:
    """The sealed key of a class, as JSON."""
    content = {
        "format": FORMAT,
        "title": assignment.title,
        "id": assignment.id,
        "digest": assignment.digest,
        "credit": dict(assignment.credit),
        "questions": [
            {"id": one.id, "ask": one.ask, "points": one.points, "words": one.words} for one in assignment.questions
        ],
        "students": dict(records),
    }
    return as_json(secret.sealed(course_secret, json.loads(json.dumps(content))))


def read_key(path: files.Place, course_secret: str) -> dict[str, Any]:
    """Read a key, and check its seal.

    Raises
    ------
    ValueError
        If it is no key, or its seal is broken.
    """
    try:
        key = json.loads(files.read_text(path, most=LARGEST))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the key is no JSON: {error}") from None
    if not isinstance(key, dict) or key.get("format") != FORMAT:
        raise ValueError(f"this is no key of format {FORMAT}")
    return secret.opened(course_secret, key)


def overview(key_records: Mapping[str, Any], questions: tuple[Question, ...]) -> pd.DataFrame:
    """For the teacher to read: the right answers of every student, and the numbers of their world."""
    rows = []
    for student, record in key_records.items():
        right = record["analyses"][0]["values"]
        rows.append(
            {"student": student, **{one.id: right.get(one.id) for one in questions}}
            | {f"true {name}": str(value) for name, value in record["numbers"].items()}
            | {"singular": record["singular"]}
        )
    return pd.DataFrame(rows)
