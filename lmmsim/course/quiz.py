"""Quizzes: an assignment as questions for Moodle, with the numbers of every student's own data.

Each student's data become one question with a gap for every number. In a category of their own, Moodle gives everybody
one of them at random.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from lmmsim.course import files, secret
from lmmsim.course.keys import read_key
from lmmsim.course.questions import WORDS


def write_moodle(folder: files.Place, path: files.Place, *, force: bool = False) -> Path:
    """Write the assignment of a class as Moodle XML.

    Parameters
    ----------
    folder : path
        What `assign` made.
    path : path
        The file, which Moodle imports into a bank of questions. It holds the right answers: keep it to yourself.
    force : bool
        Replace the file.

    Returns
    -------
    Path
    """
    teacher = Path(folder) / "teacher"
    key = read_key(teacher / "key.json", secret.read_secret(teacher / "secret"))
    questions = "\n".join(
        _question(key, student, Path(folder) / "students" / student / "data.csv") for student in key["students"]
    )
    place = _xml("$course$/top/" + key["title"].replace("/", "//"))  # one slash would begin a category within
    category = f'<question type="category"><category><text>{place}</text></category></question>'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<quiz>\n{category}\n{questions}\n</quiz>\n'
    return files.write(path, text, force=force, private=True)


def _question(key: Mapping[str, Any], student: str, data: Path) -> str:
    """One student's data as a question with a gap for every number."""
    analyses = key["students"][student]["analyses"]
    weights = weights_of([question["points"] for question in key["questions"]])
    gaps = "".join(
        f"<p>{html.escape(question['words'])} {gap(question, analyses, key['credit'], weight)}</p>"
        for question, weight in zip(key["questions"], weights, strict=True)
    )
    story = f'<p>{_xml(key["title"])}: your data are in <a href="@@PLUGINFILE@@/data.csv">data.csv</a>.</p>'
    content = base64.b64encode(data.read_bytes()).decode("ascii")
    return (
        f'<question type="cloze"><name><text>{_xml(key["title"])}, {_xml(student)}</text></name>\n'
        f'<questiontext format="html"><text>{_xml(story + gaps)}</text>\n'
        f'<file name="data.csv" path="/" encoding="base64">{content}</file></questiontext>\n'
        f"<penalty>0</penalty></question>"
    )


def weights_of(points: Sequence[float]) -> list[int]:
    """Whole numbers in the same proportions, as Moodle weighs gaps.

    Examples
    --------
    >>> weights_of([2, 1, 0.5]), weights_of([2, 4])
    ([4, 2, 1], [1, 2])
    """
    shares = [Fraction(one).limit_denominator(100) for one in points]
    whole = [int(share * math.lcm(*(one.denominator for one in shares))) for share in shares]
    return [max(1, one // max(1, math.gcd(*whole))) for one in whole]


def gap(
    question: Mapping[str, Any], analyses: list[Mapping[str, Any]], credit: Mapping[str, float], weight: int = 1
) -> str:
    """A gap in the notation of Moodle: right answers with their margins, and those of usual mistakes for a share.

    Moodle takes the first answer that fits, so those with more credit stand before those with less.

    Examples
    --------
    >>> right = {"mistakes": [], "values": {"se": 0.25}, "margins": {"se": 0.01}}
    >>> gap({"id": "se", "ask": "se"}, [right], {})
    '{1:NUMERICAL:=0.25:0.01}'
    """
    name = question["id"]
    there = [one for one in analyses if name in one["values"]]
    right = [one for one in there if not one["mistakes"]]
    if question["ask"] == "significant":
        good = {one["values"][name] for one in right}
        return f"{{{weight}:MULTICHOICE:{'~'.join(('=' if word in good else '') + word for word in WORDS)}}}"
    answers = [f"={_number(one['values'][name])}:{_number(one['margins'][name])}" for one in right]
    shared = []
    for one in there:
        share = min((credit[mistake] for mistake in one["mistakes"]), default=0.0)
        if share > 0 and not any(_inside(one, other, name) for other in right):
            said = _cloze(" + ".join(one["mistakes"]))
            shared.append(
                (
                    -share,
                    f"%{round(100 * share)}%{_number(one['values'][name])}:{_number(one['margins'][name])}#{said}",
                )
            )
    answers += [text for _, text in sorted(shared, key=lambda one: one[0])]
    return f"{{{weight}:NUMERICAL:{'~'.join(dict.fromkeys(answers))}}}"


def _inside(one: Mapping[str, Any], right: Mapping[str, Any], name: str) -> bool:
    """Whether what a wrong analysis says is right anyway."""
    return bool(abs(one["values"][name] - right["values"][name]) <= right["margins"][name])


def _number(value: float) -> str:
    return f"{value:.6g}"


def _cloze(text: str) -> str:
    """A text in which nothing ends a gap."""
    return re.sub(r'([}#~/"\\])', r"\\\1", text)


def _xml(text: str) -> str:
    return html.escape(text, quote=True)
