"""For a course: data of their own for every student, and answers that are marked against their own file.

Read `files` (written whole or not at all), `codebooks` (what a column means) and `tables` (to a file and back with
the same meaning); `toml`, `steps` and `worlds` (a model and its design as a file), `sources` (a world by its name) and
`printed` (what the command writes). Then `secret` (where the chance of a student comes from), `spreadsheets`,
`roster`, `questions` (what is asked, and how close is close), `orders` (of levels) and `analyses` (the right ones, and
the typical wrong ones), `ready`, `ranges`, `losses`, `assignment`, `notebooks`, `keys` and `handing_out`; `answers` and
`submissions` (read, never run), `copies`, `marking`, `feedback` and `classes`; `nbgrader` and `quiz` (for those who use
them), and a `lecture`.
"""

from lmmsim.course.assignment import Assignment, read_assignment
from lmmsim.course.classes import Marks, mark
from lmmsim.course.codebooks import codebook
from lmmsim.course.handing_out import assign
from lmmsim.course.lecture import write_figures, write_lecture
from lmmsim.course.nbgrader import write_nbgrader
from lmmsim.course.quiz import write_moodle
from lmmsim.course.secret import new_secret, read_secret
from lmmsim.course.tables import read_table, write_table
from lmmsim.course.worlds import read_model, write_model
from lmmsim.stories import portable

__all__ = [
    "Assignment",
    "Marks",
    "assign",
    "codebook",
    "mark",
    "new_secret",
    "portable",
    "read_assignment",
    "read_model",
    "read_secret",
    "read_table",
    "write_figures",
    "write_lecture",
    "write_model",
    "write_moodle",
    "write_nbgrader",
    "write_table",
]
