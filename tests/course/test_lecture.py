"""The lecture runs from top to bottom in an empty folder, and its pictures are files."""

import nbformat
import pytest

from lmmsim.course.lecture import lecture, write_figures, write_lecture


@pytest.mark.slow
def test_the_lecture_runs_in_an_empty_folder(tmp_path):
    from nbclient import NotebookClient

    path = write_lecture(tmp_path / "lecture.ipynb")
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    NotebookClient(book, resources={"metadata": {"path": str(tmp_path)}}, timeout=300).execute()
    text = "".join(o.get("text", "") for cell in book.cells for o in cell.get("outputs", []))
    assert "ICC 0.10: 500 pupils are worth 147 independent ones" in text  # 500 / (1 + 24 / 10)
    with pytest.raises(FileExistsError):
        write_lecture(path)


def test_the_lecture_takes_fifty_minutes():
    import re

    words = {"ten": 10, "fifteen": 15, "five": 5}
    assert sum(words[word] for word in re.findall(r"\((\w+) minutes\)", lecture())) == 50


@pytest.mark.slow
def test_the_pictures_are_files_for_slides(tmp_path):
    place = write_figures(tmp_path / "figures", form="png")
    found = sorted(path.name for path in place.iterdir())
    assert [name[0] for name in found] == list("123456")
    assert all((place / name).read_bytes()[:4] == b"\x89PNG" and (place / name).stat().st_size > 5000 for name in found)
    with pytest.raises(ValueError, match="ends in none of"):
        write_figures(tmp_path / "other", form="gif")
