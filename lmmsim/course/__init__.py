"""For a course: data to hand out that mean the same when they come back.

Read `files` (written whole or not at all), `codebooks` (what a column means) and `tables` (to a file and back).
"""

from lmmsim.course.codebooks import codebook
from lmmsim.course.tables import read_table, write_table
from lmmsim.stories import portable

__all__ = ["codebook", "portable", "read_table", "write_table"]
