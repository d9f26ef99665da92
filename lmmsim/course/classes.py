"""Classes: mark everybody's submissions, write the marks and the feedback."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lmmsim.course import feedback, files, secret
from lmmsim.course.copies import Others
from lmmsim.course.keys import read_key
from lmmsim.course.marking import Marked, mark_one
from lmmsim.course.submissions import collect
from lmmsim.course.tables import as_csv


@dataclass(frozen=True, repr=False)
class Marks:
    """The marks of a class.

    Attributes
    ----------
    title : str
    marked : list of Marked
        Every student of the roster.
    strange : list of str
        What was handed in under names that are not on the roster, or could not be read at all.
    pages : dict
        The feedback of every student, in Markdown.
    """

    title: str
    marked: list[Marked]
    strange: list[str]
    pages: dict[str, str]

    @property
    def table(self) -> pd.DataFrame:
        """`student points of recognized`, the points of every question, `problems`."""
        return feedback.table(self.marked)

    def __repr__(self) -> str:
        counts = Counter(one.recognized for one in self.marked)
        lines = [f"{self.title}: {len(self.marked)} students"]
        lines += [f"  {count:4d}  {what}" for what, count in counts.most_common()]
        troubled = sum(bool(one.problems) for one in self.marked)
        lines += [f"  {troubled} with something that could not be read"] if troubled else []
        lines += [f"  not marked: {one}" for one in self.strange[:20]]
        return "\n".join(lines)

    def write(self, folder: files.Place, *, force: bool = False) -> Path:
        """Write marks.csv, and a page of feedback for every student, into a new folder."""
        with files.whole_folder(folder, force=force, own=("marks.csv", "feedback", "not-marked.txt")) as place:
            (place / "marks.csv").write_text(as_csv(self.table), encoding="utf-8", newline="\n")
            (place / "feedback").mkdir()
            for student, page in self.pages.items():
                (place / "feedback" / f"{files.safe_name(student)}.md").write_text(page, encoding="utf-8", newline="\n")
            if self.strange:
                (place / "not-marked.txt").write_text("\n".join(self.strange) + "\n", encoding="utf-8", newline="\n")
        return Path(folder)


def mark(folder: files.Place, submissions: files.Place) -> Marks:
    """Mark the submissions of a class.

    Parameters
    ----------
    folder : path
        What `assign` made; its `teacher/` holds the key and the secret.
    submissions : path
        A folder with `<id>.json`, `<id>.ipynb` or `<id>/answers.json` of each student, or a CSV file with a column
        `student` and one for each question. Nothing in it is run.

    Returns
    -------
    Marks
        Prints a summary; `.table`, `.write(folder)`.

    Raises
    ------
    ValueError
        If the key was changed.
    """
    teacher = Path(folder) / "teacher"
    key = read_key(teacher / "key.json", secret.read_secret(teacher / "secret"))
    asks = {question["id"]: question["ask"] for question in key["questions"]}
    found, strange = collect(submissions, key["students"], asks, key["id"])
    others = Others(key)
    marked = [mark_one(key, student, found.get(student), others) for student in key["students"]]
    pages = {one.student: feedback.page(one, key["title"], key["questions"]) for one in marked}
    return Marks(key["title"], marked, strange, pages)
