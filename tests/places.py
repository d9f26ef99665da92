"""Where things are: the top of the repository, its book, and the reference numbers of the tests."""

from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
BOOK = TOP / "book"
REFERENCE = TOP / "tests" / "reference"
