"""Notebooks: the one that everybody gets, and the model solution, as plain files in Jupyter's format."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from lmmsim.course.assignment import Assignment
from lmmsim.course.codebooks import types
from lmmsim.course.questions import OF_PART, Question
from lmmsim.model.residual import Residual

Cell = dict[str, Any]
ANSWERS = "answers"  # the tag of the cell that is read, never run, when a notebook is handed in


def text(content: str, **metadata: Any) -> Cell:
    """A cell of Markdown."""
    return {"cell_type": "markdown", "metadata": metadata, "source": content}


def code(content: str, **metadata: Any) -> Cell:
    """A cell of code that has not run."""
    return {"cell_type": "code", "metadata": metadata, "source": content, "execution_count": None, "outputs": []}


def notebook(cells: Sequence[Cell]) -> str:
    """A notebook of cells; the same cells always give the same text."""
    numbered = [{"id": f"cell-{k}", **cell} for k, cell in enumerate(cells, start=1)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": numbered, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def reading(book: pd.DataFrame) -> str:
    """The lines that read the data with pandas alone, and put the levels in their order."""
    lines = ["import pandas as pd", "", 'data = pd.read_csv("data.csv")']
    for name, kind in types(book).items():
        if kind == "factor":
            levels = book.loc[book["column"] == name, "levels"].iloc[0]
            lines.append(
                f"# the first level is the reference\ndata[{name!r}] = pd.Categorical(data[{name!r}], {levels})"
            )
    return "\n".join([*lines, "data.head()"])


def template(questions: Sequence[Question]) -> str:
    """The cell that students fill in."""
    lines = [f'    "{question.id}": None,' for question in questions]
    return "\n".join(["answers = {", *lines, "}"])


def asked(questions: Sequence[Question]) -> str:
    """The questions as a list, each with its name and its points."""
    lines = []
    for number, question in enumerate(questions, start=1):
        points = "1 point" if question.points == 1 else f"{question.points:g} points"
        lines.append(f"{number}. {question.words} *({points}; `{question.id}`)*")
    return "\n".join(lines)


def common(assignment: Assignment, book: pd.DataFrame) -> str:
    """The notebook that every student gets, the same for all: it knows nothing that is one student's own."""
    after = textwrap.dedent(
        """\
        import json
        from pathlib import Path

        place = Path("answers.json")
        handed_in = json.loads(place.read_text(encoding="utf-8"))
        handed_in["answers"] = answers
        text = json.dumps(handed_in, indent=2, default=lambda number: number.item())
        place.write_text(text, encoding="utf-8")
        """
    )
    rows = "\n".join(f"| `{r['column']}` | {r['meaning']} | {r['unit']} |" for _, r in book.iterrows())
    return notebook(
        [
            text(f"# {assignment.title}\n\n{assignment.text}".rstrip()),
            text(
                "Your data are in `data.csv`; nobody else has the same. The columns:\n\n"
                f"| column | meaning | unit |\n|---|---|---|\n{rows}"
            ),
            code(reading(book)),
            text(
                f"## Questions\n\n{asked(assignment.questions)}\n\n"
                "Give numbers with at least four significant digits; intervals are those of 95 %."
            ),
            code("# your analysis"),
            text(
                '## Answers\n\nReplace every `None` by your answer, a number or `"yes"` or `"no"`, and run both cells.'
            ),
            code(template(assignment.questions), tags=[ANSWERS]),
            code(after.rstrip()),
            text("Hand in `answers.json`, or this notebook."),
        ]
    )


def solution(assignment: Assignment) -> str:
    """A model solution that answers all questions from any student's folder."""
    analysis, _, answers = worked(assignment, 'course.read_table("data.csv")').partition("\nanswers = ")
    return notebook(
        [
            text(f"# {assignment.title}: a solution\n\nIt runs in any student's folder."),
            text("With the codebook beside the data, levels have their order: the first is the reference."),
            code(f"{analysis}\nfit"),
            text(f"## Questions\n\n{asked(assignment.questions)}"),
            code(f"answers = {answers}\nanswers", tags=[ANSWERS]),
        ]
    )


def worked(assignment: Assignment, read: str) -> str:
    """The right analysis of data that are read so, and its answers."""
    names, more = "LMM, course", ""
    if assignment.residual is not None:
        names, more = f"LMM, {type(assignment.residual).__name__}, course", f", residual={_spec(assignment.residual)}"
    lines = [
        f"from lmmsim import {names}",
        "",
        f"data = {read}",
        f"fit = LMM({assignment.formula!r}{more})(data)",
        "answers = {",
        *(f'    "{question.id}": {_worked(question)},' for question in assignment.questions),
        "}",
    ]
    return "\n".join(lines)


def _spec(residual: Residual) -> str:
    """A structure of residuals as it is written in Python, with what is estimated left out."""
    told = {name: getattr(residual, name, None) for name in ("unit", "time", "by", "weights")}
    return f"{type(residual).__name__}({', '.join(f'{name}={value!r}' for name, value in told.items() if value)})"


def _worked(question: Question) -> str:
    """The expression that answers a question."""
    if question.ask in OF_PART:
        return f"float(fit.components[{question.ask!r}, {question.group!r}, {question.term!r}])"
    row = (
        f"fit.coef.loc[{question.term!r}]"
        if question.contrast is None
        else f"fit.contrast({dict(question.contrast)!r}).iloc[0]"
    )
    if question.ask == "significant":
        return f'"yes" if {row}["p"] < 0.05 else "no"'
    return f"float({row}[{question.ask!r}])"
