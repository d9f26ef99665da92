"""Secrets: one secret of the course, from which every student's chance is made and by which the key is sealed.

A stream is seeded by HMAC-SHA256 of the assignment, the student and the purpose under the secret. Who has the secret
can make everything again; who has not learns nothing from one stream about another, nor from a student's number.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmmsim.course import files

SHORTEST = 16  # characters; a shorter secret could be found by trying


def new_secret() -> str:
    """Make a secret: 256 bits, in 64 hexadecimal digits."""
    return secrets.token_hex(32)


def read_secret(path: files.Place) -> str:
    """Read the secret of a course from its file.

    Raises
    ------
    ValueError
        If it is shorter than 16 characters.
    """
    return checked(files.read_text(path, most=4096).strip(), Path(path).name)


def checked(secret: str, where: str = "the secret") -> str:
    """Refuse a secret that could be guessed because it is short."""
    if len(secret) < SHORTEST:
        raise ValueError(
            f"{where} has {len(secret)} characters; a secret that cannot be found by trying has {SHORTEST} or more, "
            "as course.new_secret() makes"
        )
    return secret


def stream(secret: str, assignment: str, student: str, purpose: str) -> np.random.SeedSequence:
    """The seed of one student's chance for one purpose.

    Examples
    --------
    >>> one, other = (stream("a secret of the course", "exam", name, "data") for name in ("ann", "ben"))
    >>> one.entropy == other.entropy
    False
    """
    told = [assignment, unicodedata.normalize("NFC", student), purpose]
    return np.random.SeedSequence(int(_mac(secret, "stream", told), 16))


def sealed(secret: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A key with its seal, which any change breaks."""
    return {**content, "seal": _mac(secret, "seal", content)}


def opened(secret: str, key: Mapping[str, Any]) -> dict[str, Any]:
    """A key without its seal.

    Raises
    ------
    ValueError
        If the seal is broken: the key was changed, or belongs to another secret.
    """
    content = {name: value for name, value in key.items() if name != "seal"}
    if not hmac.compare_digest(str(key.get("seal", "")).encode(), _mac(secret, "seal", content).encode()):
        raise ValueError("the seal of the key is broken: it was changed after it was made, or with another secret")
    return content


def _mac(secret: str, what: str, content: Any) -> str:
    """HMAC-SHA256 of a content in one agreed writing."""
    text = json.dumps([what, content], sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hmac.new(secret.encode("utf-8"), text.encode("ascii"), hashlib.sha256).hexdigest()
