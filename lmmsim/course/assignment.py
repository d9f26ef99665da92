"""Assignments: a world whose numbers are drawn for every student, and the questions about its data, in a TOML file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.checks import listed
from lmmsim.course import files
from lmmsim.course.analyses import MISTAKES
from lmmsim.course.losses import losses_of, lost
from lmmsim.course.questions import OF_PART, Question, questions_of
from lmmsim.course.ranges import check_range, drawn
from lmmsim.course.ready import ready_text
from lmmsim.course.sources import Source
from lmmsim.course.tables import check_travels
from lmmsim.course.toml import Document, Path
from lmmsim.course.worlds import residual_of
from lmmsim.model.columns import build
from lmmsim.model.model import Model
from lmmsim.model.residual import Residual
from lmmsim.stories import Words, tell

KEYS = (
    "title", "text", "scenario", "model", "numbers", "ranges", "names", "missing", "analysis", "decimals", "credit",
    "question",
)  # fmt: skip


@dataclass(frozen=True)
class Assignment:
    """What every student is given and asked.

    Attributes
    ----------
    title, text : str
        What they read, in Markdown.
    source : Source
        Where the world comes from, with the numbers that are the same for everybody.
    ranges : dict
        The numbers that are drawn for each student.
    names : dict
        Other words, as for `lmmsim.stories.tell`.
    formula : str
        The right analysis, in the words of the story.
    residual : Residual or None
        How its residuals go together.
    questions : tuple of Question
    missing : dict
        "drop_out" or "knock_out" with its arguments.
    decimals : int or None
    credit : dict
        Share of the points for an answer with a mistake.
    digest : str
        Of the file, so that a key knows its assignment.
    texts : dict
        The files that it was read from, by name: assignment.toml, and its model file.
    """

    title: str
    text: str
    source: Source
    ranges: Mapping[str, Any]
    names: Mapping[str, str]
    formula: str
    residual: Residual | None
    questions: tuple[Question, ...]
    missing: Mapping[str, Mapping[str, Any]]
    decimals: int | None
    credit: Mapping[str, float]
    digest: str
    texts: Mapping[str, str]

    @property
    def id(self) -> str:
        """The title as a word, which is a part of every student's stream."""
        return id_of(self.title)

    def numbers(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw the numbers of one student's world."""
        return {name: drawn(one, rng) for name, one in self.ranges.items()}

    def world(self, numbers: Mapping[str, Any], rng: np.random.Generator) -> tuple[Model, pd.DataFrame]:
        """The world with these numbers, in the words of the story; `rng` is for what its design draws."""
        model, design = self.source.with_numbers(numbers).world(rng=rng)
        return tell(model, design, self.names, design.attrs.get("units"))

    def observed(self, data: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """The data with what gets lost."""
        return lost(data, self.missing, rng)


def id_of(title: str) -> str:
    """A title as a word, which can name a folder.

    Examples
    --------
    >>> id_of("Exam 3: plants, and more")
    'exam-3-plants-and-more'
    """
    return re.sub(r"\W+", "-", title.lower()).strip("-")[:64].strip("-")


def read_assignment(path: files.Place) -> Assignment:
    """Read an assignment from a TOML file, or a ready one by its name.

    Parameters
    ----------
    path : path
        A name without .toml is one of the ready assignments: "fertilizers", "words". In a file stand
        `title`, `text`; `scenario`, a name, or `model`, a model file beside it; `[numbers]`, the same for all;
        `[ranges]`: `effect = { from = 1, to = 3, step = 0.5 }` or `{ of = [18, 24] }`; `[names]`, other words;
        `[missing]`: `drop_out`, `knock_out`; `[analysis]`: `formula`, if it is not the model's; `[credit]`:
        shares of the points for typical mistakes; `decimals`; `[[question]]`: `id`, `ask`, `term`, `points`, `text`.

    Returns
    -------
    Assignment

    Raises
    ------
    ValueError
        With the line and the key of what is wrong.
    """
    if not str(path).endswith(".toml"):
        return assignment_of(Document.read(ready_text(str(path)), f"{path}.toml"))
    return assignment_of(Document.read(files.read_text(path), File(path).name), File(path).parent)


def assignment_of(document: Document, folder: File | None = None) -> Assignment:
    """The assignment that a document describes; a model file stands in `folder`."""
    document.check_keys((), KEYS)
    take = document.take
    title = take(("title",), str)
    try:
        files.safe_name(id_of(title))
    except ValueError:
        document.fail(("title",), f"{title!r} can't name a folder; use letters and digits")
    names, numbers, ranges = (dict(take((key,), dict, {})) for key in ("names", "numbers", "ranges"))
    source = _source(document, folder, numbers)
    for name in ranges:
        check_range(document, ("ranges", name))
    rng = np.random.default_rng(1)  # a world to hold the questions against
    try:
        plain, rows = source.with_numbers({name: drawn(one, rng) for name, one in ranges.items()}).world(rng=rng)
        words = Words.of(plain, rows, names)
        model, design = tell(plain, rows, names, rows.attrs.get("units"))
        check_travels(design)
    except (ValueError, TypeError) as error:
        document.fail(_guilty(str(error), names, numbers, ranges), error)

    columns = design.assign(**{model.response: 0.0})

    def told(path: Path, default: str) -> str:
        try:
            return words.text(take(path, str, default), columns)
        except ValueError as error:
            document.fail(path, error)

    document.check_keys(("analysis",), ("formula", "residual")) if "analysis" in document.values else None
    own = residual_of(document, ("analysis", "residual")) if take(("analysis", "residual"), dict, {}) else None
    formula = told(("analysis", "formula"), model.formula)
    questions = questions_of(document, ("question",), lambda text: words.text(text, columns), words.term)
    _check_terms(document, formula, design, questions)
    shares = take(("credit",), dict, {})
    document.check_keys(("credit",), MISTAKES) if shares else None
    for name in shares:
        if not 0 <= take(("credit", name), float) <= 1:
            document.fail(("credit", name), "a share of the points lies between 0 and 1")
    return Assignment(
        title=title,
        text=told(("text",), ""),
        source=source,
        ranges=ranges,
        names=names,
        formula=formula,
        residual=own,
        questions=tuple(questions),
        missing=losses_of(document, words),
        decimals=take(("decimals",), int) if "decimals" in document.values else None,
        credit={name: shares.get(name, share) for name, (_, share) in MISTAKES.items()},
        digest=hashlib.sha256(document.text.encode()).hexdigest(),
        texts={"assignment.toml": document.text} | _model_file(source),
    )


def _source(document: Document, folder: File | None, numbers: Mapping[str, Any]) -> Source:
    """The scenario or the model file that an assignment names."""
    named = [key for key in ("scenario", "model") if key in document.values]
    if len(named) != 1:
        document.fail((), "an assignment has either a scenario or a model, the name of a file")
    name = document.take((named[0],), str)
    try:
        if named == ["model"]:
            if not name.endswith(".toml") or name == "assignment.toml" or name != File(name).name:
                raise ValueError(f"'{name}' is no .toml file beside the assignment, with a name of its own")
            return Source.of(str((folder or File()) / name), numbers)
        return Source.of(name.removesuffix(".toml"), numbers)
    except (ValueError, OSError) as error:
        document.fail((named[0],), error)


def _model_file(source: Source) -> dict[str, str]:
    """The model file of an assignment by its name."""
    return {} if source.document is None else {source.document.name: source.document.text}


def _check_terms(document: Document, formula: str, design: pd.DataFrame, questions: list[Question]) -> None:
    """Refuse questions about what the right analysis does not have."""
    try:
        matrices = build(formula, design)
    except (ValueError, TypeError) as error:
        document.fail(("analysis", "formula"), error)
    parts = {("residual", "")}
    for term in matrices.terms:
        parts |= {(term.group, name) for name in term.names}
        parts |= {(term.group, f"{one}, {other}") for one in term.names for other in term.names}
    for i, question in enumerate(questions):
        if question.ask in OF_PART and (question.group, question.term) not in parts:
            document.fail(("question", i), f"the analysis has no {question.ask} of '{question.about}'")
        if question.term and not question.group and question.term not in matrices.X:
            known = listed(matrices.X.columns)
            document.fail(("question", i, "term"), f"'{question.term}' is no coefficient of {formula}: {known}")


def _guilty(message: str, *tables: Mapping[str, Any]) -> Path:
    """The key that a message is about: the first whose name it says."""
    for field, table in zip(("names", "numbers", "ranges"), tables, strict=True):
        for name, value in table.items():
            told = value if field == "names" else name
            if re.search(rf"(^|\W){re.escape(name)}(\W|$)", message) or f"'{told}'" in message:
                return (field, name)
    return ("title",)
