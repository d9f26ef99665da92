"""Where things are: the top of the repository, its book, and the reference numbers of the tests."""

from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[1]
BOOK = TOP / "book"
REFERENCE = TOP / "tests" / "reference"


def files_in_toc() -> list[str]:
    """The pages of the book in their order, sections after their page."""
    toc = yaml.safe_load((TOP / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *(page["file"] for chapter in chapters for page in [chapter, *chapter.get("sections", [])])]
