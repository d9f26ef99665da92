"""A class of twelve with its exam, and a way to mark what some of them hand in."""

import pytest
from small_class import EXAM, STUDENTS, handed_in

from lmmsim import course
from lmmsim.course.handing_out import assign


@pytest.fixture(scope="session")
def exam(tmp_path_factory):
    path = tmp_path_factory.mktemp("exam") / "exam.toml"
    path.write_text(EXAM)
    return path


@pytest.fixture(scope="session")
def school(exam, tmp_path_factory):
    """The folder of a class of twelve."""
    return assign(exam, STUDENTS, tmp_path_factory.mktemp("school") / "class", course_secret="correct horse battery")


@pytest.fixture
def marked(school, tmp_path):
    """Mark what some students hand in: {student: answers}."""

    def mark(answers):
        for student, one in answers.items():
            handed_in(tmp_path / "in", student, one)
        (tmp_path / "in").mkdir(exist_ok=True)
        marks = course.mark(school, tmp_path / "in")
        return marks.table.set_index("student"), marks

    return mark
