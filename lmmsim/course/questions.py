"""Questions: what students are asked for, and how close an answer has to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lmmsim.checks import listed
from lmmsim.course.toml import Document, Path

# What can be asked of a coefficient or a contrast, and of a component of the random part.
OF_TERM = {
    "estimate": "estimate",
    "se": "standard error",
    "df": "degrees of freedom",
    "t": "t statistic",
    "p": "p-value",
    "low": "lower end of the 95% interval",
    "high": "upper end of the 95% interval",
    "significant": 'answer "yes" or "no": is p below 0.05, for the',
}
OF_PART = {"sd": "standard deviation", "corr": "correlation"}
KEYS = ("id", "ask", "term", "contrast", "group", "points", "text", "tolerance")
WORDS = ("yes", "no")
RESERVED = ("student", "id", "student_id", "assignment", "answers", "points", "of", "recognized", "problems")

# How far an answer may be off: in standard errors, as a share of the value, or as it stands.
IN_SE = {"estimate": 0.1, "low": 0.05, "high": 0.05}
AS_SHARE = {"se": 0.03, "df": 0.1, "sd": 0.03, "t": 0.05}
AS_IS = {"p": 0.0005, "corr": 0.02}  # a p-value with three decimals is right
SHARE_OF_P = 0.1
LEAST_OF_SD = 0.01  # of the sd that units would have in the data, where the estimated one is next to zero


@dataclass(frozen=True)
class Question:
    """One number, or a yes or no, that is asked for.

    Attributes
    ----------
    id : str
        Its name in a submission.
    ask : str
        "estimate", "se", "df", "t", "p", "low", "high", "significant"; "sd", "corr".
    term : str
        The coefficient, or for "sd" and "corr" the term ("week"; "Intercept, week").
    contrast : mapping or None
        In place of a coefficient, as `Fit.contrast` takes it.
    group : str
        For "sd" and "corr": the grouping factor, or "residual".
    points : float
    text : str
    tolerance : float or None
        In place of the usual one, in its unit: standard errors, a share, or as it stands.
    """

    id: str
    ask: str
    term: str = ""
    contrast: Mapping[str, Any] | None = None
    group: str = ""
    points: float = 1.0
    text: str = ""
    tolerance: float | None = None

    @property
    def about(self) -> str:
        """What is asked about, in one word: the coefficient, the contrast, or the component."""
        if self.contrast is not None:
            return "; ".join(f"{column}={weights}" for column, weights in self.contrast.items())
        return self.term if not self.group else f"{self.group}, {self.term}" if self.term else self.group

    @property
    def words(self) -> str:
        """The question, in general words if it has none of its own."""
        what = (OF_TERM | OF_PART)[self.ask]
        of = "" if self.ask == "significant" else "of "
        return self.text or f"{what[0].upper()}{what[1:]} {of}{self.about}."

    def margin(self, value: float, se: float) -> float:
        """How far from a value an answer may be.

        `se` is the standard error of what the question is about; for "sd", how far the units' own estimates scatter.
        """
        if self.ask in IN_SE:
            return (self.tolerance or IN_SE[self.ask]) * se
        if self.ask == "sd":
            return max((self.tolerance or AS_SHARE["sd"]) * abs(value), LEAST_OF_SD * se)
        if self.ask in AS_SHARE:
            return (self.tolerance or AS_SHARE[self.ask]) * abs(value)
        return max(self.tolerance or AS_IS[self.ask], SHARE_OF_P * value if self.ask == "p" else 0.0)


def questions_of(
    document: Document, path: Path, told: Callable[[str], str], term: Callable[[str], str]
) -> list[Question]:
    """Read the questions of an assignment.

    Parameters
    ----------
    document, path
        Where a list of tables stands.
    told : callable
        Puts the words of the story into a text.
    term : callable
        A coefficient under the words of the story.
    """
    found = []
    for i, _ in enumerate(document.take(path, list)):
        here = (*path, i)
        document.take(here, dict)
        document.check_keys(here, KEYS)
        found.append(_question(document, here, told, term))
    ids = [question.id for question in found]
    if not ids:
        document.fail(path, "there is no question")
    plain = [one.casefold() for one in ids]
    if repeats := {one for one in ids if plain.count(one.casefold()) > 1}:
        document.fail(path, f"two questions have the id {listed(sorted(repeats))}")
    return found


def _question(document: Document, here: Path, told: Callable[[str], str], term: Callable[[str], str]) -> Question:
    take = document.take
    name, ask = take((*here, "id"), str), take((*here, "ask"), str)
    if not re.fullmatch(r"[A-Za-z]\w{0,39}", name, re.ASCII):
        document.fail((*here, "id"), f"'{name}' is no id; use letters, digits and _, at most 40, a letter first")
    if name.casefold() in RESERVED:
        document.fail((*here, "id"), f"'{name}' is the name of another column of the marks; take another id")
    if ask not in OF_TERM | OF_PART:
        document.fail((*here, "ask"), f"'{ask}' can't be asked; what can is {listed(OF_TERM | OF_PART)}")
    group, own = take((*here, "group"), str, ""), take((*here, "term"), str, "")
    contrast = take((*here, "contrast"), dict, {})
    if ask in OF_PART and not group:
        document.fail(here, f'a question for {ask} needs group, a grouping factor or "residual"')
    if ask in OF_TERM and (bool(own) == bool(contrast) or group):
        document.fail(here, f"a question for {ask} needs either term or contrast, and no group")
    points, tolerance = take((*here, "points"), float, 1.0), take((*here, "tolerance"), float, -1.0)
    if points <= 0:
        document.fail((*here, "points"), f"{points:g} points; a question has more than 0")
    if tolerance == 0 or (tolerance < 0 and tolerance != -1.0):
        document.fail((*here, "tolerance"), f"a tolerance of {tolerance:g}; it is above 0")
    try:
        text = told(take((*here, "text"), str, ""))
    except ValueError as error:
        document.fail((*here, "text"), error)
    terms = ", ".join(term(one) for one in own.split(", ")) if ask == "corr" else term(own) if own else ""
    group = group if group == "residual" else ":".join(term(one) for one in group.split(":")) if group else ""
    cells = {term(column): _cell(column, value, term) for column, value in contrast.items()} or None
    return Question(name, ask, terms, cells, group, points, text, None if tolerance == -1.0 else tolerance)


def _cell(column: str, value: Any, term: Callable[[str], str]) -> Any:
    """Weights of levels under their new words."""
    if not isinstance(value, dict):
        return value
    return {term(f"{column}[T.{level}]").partition("[T.")[2][:-1]: weight for level, weight in value.items()}
