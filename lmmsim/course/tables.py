"""Tables: data to a file and back, with the same meaning.

Decimals are fixed before anything is computed, and whoever needs a number computes it from what the file holds.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from lmmsim.checks import check_whole, listed
from lmmsim.course import files
from lmmsim.course.codebooks import restored, types

NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
MISSING = ("", "NA", "NaN", "nan")
READ_AS_OTHER = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "<NA>", "#N/A", "True", "False", "-nan"}


def fixed(data: pd.DataFrame, decimals: int | None = None) -> pd.DataFrame:
    """Round the numbers with decimals, each column to a thousandth of its spread, or all to so many decimals.

    Examples
    --------
    >>> fixed(pd.DataFrame({"rt": [801.234, 650.7, 1034.0], "week": [0, 1, 2]}))["rt"].tolist()
    [801.2, 650.7, 1034.0]
    """
    if decimals is not None:
        check_whole("decimals", decimals)
    out = data.copy()
    for name, column in data.items():
        if column.dtype.kind == "f":
            spread = float(column.std()) if len(column) > 1 else 0.0
            usual = max(0, 3 - int(np.floor(np.log10(spread)))) if np.isfinite(spread) and spread > 0 else 6
            out[name] = column.round(usual if decimals is None else decimals) + 0.0  # no -0.0
    return out


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV: UTF-8, commas, \\n, numbers in full."""
    return table.to_csv(index=False, lineterminator="\n")


def as_parquet(table: pd.DataFrame) -> bytes:
    """A table as Parquet, nothing noted beside it; needs pyarrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ValueError("Parquet needs pyarrow: pip install pyarrow, or write CSV") from None
    plain, buffer = table.copy(), io.BytesIO()
    plain.attrs = {}
    plain.to_parquet(buffer, index=False)
    return buffer.getvalue()


def codebook_of(path: files.Place) -> Path:
    """Where the codebook of a file stands: data.codebook.csv beside data.csv."""
    path = Path(path)
    return path.with_name(f"{path.stem}.codebook.csv")


def write_table(
    data: pd.DataFrame, path: files.Place, book: pd.DataFrame | None = None, *, force: bool = False
) -> Path:
    """Write data as CSV or Parquet, by the ending of its name, and its codebook beside it.

    Parameters
    ----------
    data : DataFrame
    path : path
        Ends in .csv or .parquet.
    book : DataFrame, optional
        Its `codebook`, which goes to `<name>.codebook.csv`.
    force : bool
        Replace what is there.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        If one of the files is there; then none is written.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path.name} ends in neither .csv nor .parquet")
    beside = codebook_of(path)
    if not force:
        files.check_free(path, beside if book is not None else None)
    files.write(path, as_csv(data) if path.suffix == ".csv" else as_parquet(data), force=force)
    if book is not None:
        files.write(beside, as_csv(book), force=force)
    return path


def read_table(path: files.Place, book: files.Place | pd.DataFrame | None = None) -> pd.DataFrame:
    """Read data from CSV or Parquet; with a codebook, factors get their levels in their order.

    Parameters
    ----------
    path : path
    book : path or DataFrame, optional
        The codebook; without it the file `<name>.codebook.csv` beside it, if there is one.

    Returns
    -------
    DataFrame
        Its numbers are those that were written, to the last bit.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it can't be read, or data and codebook do not fit together.
    """
    path = files.check_there(path)
    if book is None and codebook_of(path).is_file():
        book = codebook_of(path)
    if book is not None and not isinstance(book, pd.DataFrame):
        book = pd.read_csv(book, dtype=str, keep_default_na=False)
    if path.suffix == ".parquet":
        data = pd.read_parquet(path)
        return data if book is None else restored(data, book)
    return read_csv(path, book)


def read_csv(source: files.Place | io.StringIO, book: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read CSV with exact numbers; words stay words where the codebook says so, as the level "NA"."""
    words = [name for name, kind in types(book).items() if kind in ("factor", "unit")] if book is not None else []
    try:
        text = pd.read_csv(source, dtype=str, keep_default_na=False, na_values=[], encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"this is no table in CSV: {error}") from None
    columns = {
        name: column.where(column != "", None) if name in words else _numbers(column) for name, column in text.items()
    }
    data = pd.DataFrame(columns, index=text.index)
    return data if book is None else restored(data, book)


def read_stream(stream: TextIO, book: files.Place | None = None) -> pd.DataFrame:
    """Read CSV from a stream such as standard input."""
    table = pd.read_csv(book, dtype=str, keep_default_na=False) if book is not None else None
    return read_csv(io.StringIO(stream.read()), table)


def _numbers(column: pd.Series) -> pd.Series:
    """A column of texts as whole numbers, numbers or truth values, where all of them are; else as it is.

    Python reads every number to its last bit, which pandas does on request only, or not.
    """
    column = column.fillna("")  # a row that ends too early
    there = column[~column.isin(MISSING)]
    if len(there) and there.isin(["True", "False"]).all() and len(there) == len(column):
        return column == "True"
    if not there.str.fullmatch(NUMBER).all() or (len(column) and not len(there)):
        return column.where(~column.isin(MISSING), None)
    if len(there) == len(column) and there.str.fullmatch(r"-?\d{1,18}").all():
        return column.map(int).astype("int64")
    return pd.Series(
        [np.nan if cell in MISSING else float(cell) for cell in column.tolist()], column.index, dtype=float
    )


def check_travels(data: pd.DataFrame) -> None:
    """Refuse level names that another reader of CSV takes for something else: NA, None, True, 12."""
    for name, column in data.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            wrong = [level for level in map(str, column.cat.categories) if level in READ_AS_OTHER or _is_number(level)]
            if wrong:
                raise ValueError(
                    f"'{name}' has the levels {listed(wrong)}, which come back from a CSV file as numbers, truth "
                    "values or nothing; name them in words"
                )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
