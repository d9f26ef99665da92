"""Checkpoints: what is done of a study, kept in a folder, so that an interrupted study goes on where it stopped.

Every finished task is a file of its own, written beside and moved into place when it is complete on disk. Whatever
interrupts the study, a file is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmmsim import streams
from lmmsim.estimators.estimates import BY_TERM, FLAGS, NUMBERS, Estimates
from lmmsim.studies.fingerprint import differences, fingerprint
from lmmsim.studies.recipe import Recipe
from lmmsim.studies.tasks import Task

ARRAYS = (*BY_TERM, *NUMBERS, *FLAGS)


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
        known, here = self.folder / "study.json", fingerprint(recipe)
        _clear(self.folder)
        if not known.exists() and (pieces := sorted(self.folder.glob("*.npz"))):
            raise ValueError(
                f"the checkpoint '{folder}' has pieces ({pieces[0].name}) but no study.json, so whose they are cannot "
                "be told: put study.json back, name another folder, or delete this one to start anew"
            )
        if not known.exists():
            _write(known, json.dumps(here, indent=1).encode())
            return
        differing = differences(_read(known, dict), here)
        if differing:
            raise ValueError(
                f"the checkpoint '{folder}' belongs to another study:\n  "
                + "\n  ".join(differing)
                + "\nName another folder, or delete this one to start anew."
            )

    def save(self, task: Task, results: Mapping[str, Estimates]) -> None:
        """Keep the results of a task."""
        arrays: dict[str, Any] = {}
        notes = []
        for i, (name, one) in enumerate(results.items()):
            fields = {field: getattr(one, field) for field in ARRAYS}
            fields |= {f"given.{key}": values for key, values in one.given.items()}
            fields |= {f"covariance.{j}": G for j, G in enumerate(one.covariances)}
            fields |= {f"residual.{j}": values for j, values in enumerate(one.residual.values())}
            arrays |= {f"{i}.{field}": values for field, values in fields.items()}
            messages = {int(k): one.message[k] for k in np.flatnonzero(one.message != "")}
            notes.append(
                {"task": str(task), "name": name, "terms": one.terms, "effects": one.effects}
                | {"level": one.level, "given": list(one.given), "residual": list(one.residual), "messages": messages}
            )
        notes[0]["digest"] = _digest(arrays)
        arrays["notes"] = np.frombuffer(json.dumps(notes).encode(), dtype=np.uint8)
        content = io.BytesIO()
        np.savez(content, **arrays)
        _write(self._path(task), content.getvalue())

    def load(self, task: Task) -> dict[str, Estimates] | None:
        """Results of a task that was done before, or None; a file that cannot be read is a task to do again.

        Raises
        ------
        ValueError
            If the file can be read but belongs to another task, or has not a row for each of its replicates.
        """
        path = self._path(task)
        try:
            with np.load(path, allow_pickle=False) as file:
                notes = json.loads(file["notes"].tobytes())
                whole = notes[0].get("digest") == _digest({name: file[name] for name in file.files if name != "notes"})
                results = {note["name"]: _estimates(file, i, note) for i, note in enumerate(notes)}
        except Exception:  # whatever a damaged file makes of its readers
            return None
        strange = [note["task"] for note in notes if note["task"] != str(task)]
        wrong = [name for name, one in results.items() if _lengths(one) != {task.last - task.first}]
        if strange or wrong or not whole:
            what = f"holds the task {strange[0]}" if strange else "has not the numbers that were saved"
            what = f"has not a row of '{wrong[0]}' for each replicate" if wrong and not strange else what
            raise ValueError(f"'{path}' {what}: it was changed by hand; delete it, and its replicates are done again")
        return results

    def _path(self, task: Task) -> Path:
        return self.folder / f"{task}.npz"


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """What tells the numbers of a piece from any others."""
    content = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        content.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
    return content.hexdigest()


def _clear(folder: Path) -> None:
    """Remove what interrupted writes have left, unless the process that writes it is alive."""
    for beside in folder.glob("*.part"):
        writer = beside.name.split(".")[-2]
        if not (writer.isdigit() and _alive(int(writer))):
            beside.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    """Whether another process of this machine runs, as far as the system says."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return process != os.getpid()


def seed_of(folder: str | os.PathLike[str] | None, rng: streams.Rng) -> np.random.SeedSequence:
    """Root of all streams; without a seed, the one that a checkpoint has begun with."""
    if rng is not None or folder is None:
        return streams.root(rng)
    known = _folder(folder) / "seed.json"
    if known.exists():
        return np.random.SeedSequence(_read(known, int | list))
    seed = streams.root(None)
    _write(known, json.dumps(seed.entropy).encode())
    return seed


def _estimates(file: Mapping[str, np.ndarray], i: int, note: Mapping) -> Estimates:
    """Results of the i-th analysis of a file."""
    arrays: dict[str, Any] = {field: file[f"{i}.{field}"] for field in ARRAYS}
    message = np.full(len(arrays["converged"]), "", dtype=object)
    for k, text in note["messages"].items():
        message[int(k)] = text
    effects = tuple((group, tuple(names)) for group, names in note["effects"])
    return Estimates(
        tuple(note["terms"]),
        **arrays,
        message=message,
        effects=effects,
        covariances=tuple(file[f"{i}.covariance.{j}"] for j in range(len(effects))),
        given={name: file[f"{i}.given.{name}"] for name in note["given"]},
        level=note["level"],
        residual={(c[0], c[1], c[2]): file[f"{i}.residual.{j}"] for j, c in enumerate(note["residual"])},
    )


def _lengths(one: Estimates) -> set[int]:
    """How many replicates the arrays have."""
    return {len(values) for values in (*(getattr(one, field) for field in ARRAYS), *one.covariances)}


def _folder(folder: str | os.PathLike[str]) -> Path:
    """Make the folder of a checkpoint; refuse one that holds something else."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise ValueError(f"the checkpoint '{folder}' is a file; a checkpoint is a folder, made if it is not there")
    path.mkdir(parents=True, exist_ok=True)
    ours = ("study.json", "seed.json")
    strange = [p.name for p in path.iterdir() if p.suffix not in (".part", ".npz")]
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
