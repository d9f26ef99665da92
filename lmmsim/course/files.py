"""Files: written whole or not at all, and never over something that is there."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Place = str | os.PathLike[str]
LARGEST = 10_000_000  # bytes of a text that anybody hands in

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
    if not force and os.path.lexists(path):
        raise _there(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if not private:
            os.chmod(part, 0o666 & ~_umask())
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
def whole_folder(path: Place, *, force: bool = False) -> Iterator[Path]:
    """Give an empty folder to fill, which gets its name when everything is in it, and vanishes if something fails."""
    path = Path(path)
    if not force and os.path.lexists(path):
        raise _there(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.mkdir(parents=True)
    try:
        yield part
        old = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
        if force and path.exists():
            os.replace(path, old)
        elif os.path.lexists(path):
            raise _there(path)
        os.replace(part, path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def read_text(path: Place, most: int = LARGEST) -> str:
    """Read a text of UTF-8 that is no larger than `most` bytes; anything else is refused in words."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{path.name} has {size:,} bytes, more than the {most:,} that are read")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not a text in UTF-8: byte {error.start} can't be read") from None


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
    risky = text.lstrip()[:1] in ("=", "+", "-", "@") and not re.fullmatch(r"\s*[+-]?\d+([.,]\d+)?\s*", text)
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
    except OSError:  # a disk without hard links
        if os.path.lexists(path):
            raise _there(path) from None
        os.replace(part, path)


def _there(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} is there already and was left as it is; choose another name, or say force")


def _umask() -> int:
    """The permissions that new files of this user do not get."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
