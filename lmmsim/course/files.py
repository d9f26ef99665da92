"""Files: written whole or not at all, and never over something that is there."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from lmmsim.checks import listed

Place = str | os.PathLike[str]
LARGEST = 10_000_000  # bytes of a text that anybody hands in

OF_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")  # files that appear in a folder when somebody looks at it

# Names that Windows keeps for devices, whatever stands behind the dot.
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(1, 10))}


def write(path: Place, content: str | bytes, *, force: bool = False, private: bool = False) -> Path:
    """Write a file whole: it appears under its name when all of it is on the disk.

    Parameters
    ----------
    path : path
    content : str or bytes
        Text is written as UTF-8 with the line ends that it has.
    force : bool
        Replace what is there.
    private : bool
        Only its owner may read it.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        If something of that name is there; it stays as it was.
    """
    path = Path(path)
    if not force:
        check_free(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        mode = 0o600 if private else 0o666  # less what new files of this user do not get
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        _put(part, path, force)
    finally:
        part.unlink(missing_ok=True)
    return path


def check_free(*paths: Place | None) -> None:
    """Refuse files that are there, before anything is computed; None and "-" are no files."""
    for path in paths:
        if path not in (None, "-") and os.path.lexists(str(path)):
            raise _there(Path(str(path)))


@contextmanager
def whole_folder(path: Place, *, force: bool = False, own: Collection[str] = ()) -> Iterator[Path]:
    """Give an empty folder to fill, which gets its name when everything is in it, and vanishes if something fails.

    Parameters
    ----------
    path : path
    force : bool
        Replace a folder that is there, if it holds nothing but what such a folder holds.
    own : collection of str
        The names of that.
    """
    path = Path(path)
    if not force:
        check_free(path)
    elif os.path.lexists(path):
        _check_own(path, own)
    place = Path(os.path.abspath(path))  # "." has a name, too
    part, old = (place.with_name(f".{place.name}.{secrets.token_hex(4)}.{what}") for what in ("part", "old"))
    part.mkdir(parents=True)
    try:
        yield part
        if not force:
            check_free(path)
        elif path.exists():
            _check_own(path, own)
            os.replace(path, old)
        try:
            os.replace(part, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_own(path: Path, own: Collection[str]) -> None:
    """Refuse to replace a folder that somebody else's work is in, or no folder."""
    if path.is_symlink() or not path.is_dir():
        raise FileExistsError(f"{path} is no folder, and was left as it is; choose another name")
    strange = sorted(one.name for one in path.iterdir() if one.name not in own and one.name not in OF_SYSTEMS)
    if strange:
        raise FileExistsError(
            f"{path} holds {listed(strange[:3])}, which would be lost with it, and was left as it is; choose another "
            "name"
        )


def check_there(path: Place) -> Path:
    """Refuse a path that is no file."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return Path(path)


def read_bytes(path: Place, most: int = LARGEST) -> bytes:
    """Read a file that is no larger than `most` bytes."""
    path = check_there(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path.name} has more than the {most:,} bytes that are read")
    return content


def read_text(path: Place, most: int = LARGEST) -> str:
    """Read a text of UTF-8 that is no larger than `most` bytes; anything else is refused in words."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{Path(path).name} is not a text in UTF-8: byte {error.start} can't be read; save it in UTF-8"
        ) from None


def safe_name(name: str) -> str:
    """Return a name that can be a file's on every system, or refuse it.

    Examples
    --------
    >>> safe_name("s4711")
    's4711'
    >>> safe_name("../key")
    Traceback (most recent call last):
    ...
    ValueError: '../key' can't name a folder: use letters, digits, - and _, and a dot or @ inside; at most 64
    """
    plain = unicodedata.normalize("NFC", name)
    fits = re.fullmatch(r"\w(?:[\w.@-]{0,62}[\w-])?", plain)
    if not fits or plain.split(".")[0].lower() in DEVICES:
        raise ValueError(
            f"{name[:80]!r} can't name a folder: use letters, digits, - and _, and a dot or @ inside; at most 64"
        )
    return plain


def harmless(cell: object) -> object:
    """A cell of a table that a spreadsheet takes as text: one that begins as a formula gets an apostrophe.

    Examples
    --------
    >>> harmless("=HYPERLINK(1)"), harmless("-2.5"), harmless("Ann")
    ("'=HYPERLINK(1)", '-2.5', 'Ann')
    """
    if not isinstance(cell, str):
        return cell
    text = "".join(c if c.isprintable() else " " for c in cell)
    risky = unicodedata.normalize("NFKC", text.lstrip()[:1]) in ("=", "+", "-", "@") and not re.fullmatch(
        r"\s*[+-]?\d+([.,]\d+)?\s*", text
    )
    return "'" + text if risky else text


def _put(part: Path, path: Path, force: bool) -> None:
    """Give a finished file its name; without force in one step that fails if the name is taken."""
    if force:
        os.replace(part, path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise _there(path) from None
    except (OSError, AttributeError):  # a disk without hard links, or a Python without them, as in a browser
        if os.path.lexists(path):
            raise _there(path) from None
        os.replace(part, path)


def _there(path: Path) -> FileExistsError:
    return FileExistsError(
        f"{path} is there already and was left as it is; choose another name, or replace it with --force (force=True)"
    )
