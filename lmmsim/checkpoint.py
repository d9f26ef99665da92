"""Checkpoints: what is done of a study, kept in a folder, so that an interrupted study goes on where it stopped.

Every finished task is a file of its own, written beside and moved into place when it is complete on disk. Whatever
interrupts the study, a file is there whole or not at all.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmmsim import fingerprint, streams
from lmmsim.answers import Answers
from lmmsim.collect import ARRAYS
from lmmsim.recipe import Recipe
from lmmsim.tasks import Task


class Checkpoint:
    """The folder of one study.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    recipe : Recipe
        What the study is.

    Raises
    ------
    ValueError
        If the folder belongs to another study; the message lists what differs. If it holds other things, or the file
        that says what it belongs to is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], recipe: Recipe) -> None:
        self.folder = _folder(folder)
        known, here = self.folder / "study.json", fingerprint.of_recipe(recipe)
        if not known.exists():
            _write(known, json.dumps(here, indent=1).encode())
            return
        differences = fingerprint.differences(_read(known, dict), here)
        if differences:
            raise ValueError(
                f"the checkpoint '{folder}' belongs to another study:\n  "
                + "\n  ".join(differences)
                + "\nName another folder, or delete this one to start anew."
            )

    def save(self, task: Task, answers: Mapping[str, Answers]) -> None:
        """Keep the answers of a task."""
        arrays: dict[str, Any] = {}
        notes = []
        for i, (name, one) in enumerate(answers.items()):
            fields = {field: getattr(one, field) for field in ARRAYS}
            fields |= {f"given.{key}": values for key, values in one.given.items()}
            fields |= {f"component.{j}": values for j, values in enumerate(one.components.values())}
            arrays |= {f"{i}.{field}": values for field, values in fields.items()}
            note = {"name": name, "terms": one.terms, "level": one.level, "components": list(one.components)}
            notes.append({**note, "given": list(one.given), "problems": one.problems})
        arrays["notes"] = np.frombuffer(json.dumps(notes).encode(), dtype=np.uint8)
        content = io.BytesIO()
        np.savez(content, **arrays)
        _write(self._path(task), content.getvalue())

    def load(self, task: Task) -> dict[str, Answers] | None:
        """Answers of a task that was done before, or None; a file that cannot be read is a task to do again."""
        try:
            with np.load(self._path(task), allow_pickle=False) as file:
                notes = json.loads(file["notes"].tobytes())
                return {note["name"]: _answers(file, i, note) for i, note in enumerate(notes)}
        except Exception:  # whatever a damaged file makes of its readers
            return None

    def _path(self, task: Task) -> Path:
        return self.folder / f"{task}.npz"


def root(folder: str | os.PathLike[str] | None, rng: streams.Rng) -> np.random.SeedSequence:
    """Root of all streams; without a seed, the one that a checkpoint has begun with."""
    if rng is not None or folder is None:
        return streams.root(rng)
    known = _folder(folder) / "seed.json"
    if known.exists():
        return np.random.SeedSequence(_read(known, int | list))
    seed = streams.root(None)
    _write(known, json.dumps(seed.entropy).encode())
    return seed


def _answers(file: Mapping[str, np.ndarray], i: int, note: Mapping) -> Answers:
    """Answers of the i-th analysis of a file."""
    return Answers(
        tuple(note["terms"]),
        **{field: file[f"{i}.{field}"] for field in ARRAYS},
        components={name: file[f"{i}.component.{j}"] for j, name in enumerate(note["components"])},
        problems={int(k): problem for k, problem in note["problems"].items()},
        given={name: file[f"{i}.given.{name}"] for name in note["given"]},
        level=note["level"],
    )


def _folder(folder: str | os.PathLike[str]) -> Path:
    """Make the folder of a checkpoint; refuse one that holds something else."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ValueError(f"the checkpoint '{folder}' is a file; a checkpoint is a folder, made if it is not there")
    path.mkdir(parents=True, exist_ok=True)
    ours = ("study.json", "seed.json")
    strange = [p.name for p in path.iterdir() if p.suffix != ".part"]
    if strange and not any((path / name).exists() for name in ours) and not any(path.glob("cell-*")):
        raise ValueError(f"the folder '{folder}' holds other things ({strange[0]}); name one for this checkpoint alone")
    return path


def _read(path: Path, kind: Any) -> Any:
    """What a small file says; refuse one that is damaged, rather than guess or overwrite it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, kind) or content in ([], {}):
        raise ValueError(
            f"'{path}' is damaged, so whose checkpoint this is cannot be told: put the file back from a copy, name "
            "another folder, or delete this one to start anew"
        )
    return content


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, even if the power fails."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    if os.name == "posix":  # the name, too, has to reach the disk
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
