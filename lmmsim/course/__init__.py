"""For a course: data to hand out that mean the same when they come back.

Read `files` (written whole or not at all), `codebooks` (what a column means) and `tables` (to a file and back);
`toml`, `steps` and `worlds` (a model and its design as a file), `sources` (a world by its name) and `printed` (what the
command writes).
"""

from lmmsim.course.codebooks import codebook
from lmmsim.course.tables import read_table, write_table
from lmmsim.course.worlds import read_model, write_model
from lmmsim.stories import portable

__all__ = ["codebook", "portable", "read_model", "read_table", "write_model", "write_table"]
