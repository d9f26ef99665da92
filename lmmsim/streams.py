"""Streams of chance: what `rng` may be, and why replicate k of a study is the same whatever else is drawn.

Replicates come in blocks of 256. Each block, and within it each part of the
equation, has a random stream of its own, in which replicates follow one another.
So no replicate depends on how many are asked for, nor on who draws them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 256
Rng = np.random.Generator | np.random.SeedSequence | int | None


def generator(rng: Rng) -> np.random.Generator:
    """Turn what a user passes as `rng` into a Generator; one that is given is itself, and moves on."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise _not_rng(rng, error) from None


def root(rng: Rng) -> np.random.SeedSequence:
    """Turn what a user passes as `rng` into the root of all streams.

    An int is a seed, None is fresh entropy; a Generator is advanced, so that
    the next call with it draws something else.
    """
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if isinstance(rng, np.random.Generator):
        return np.random.SeedSequence(rng.integers(0, 2**32, size=4, dtype=np.uint32).tolist())
    try:
        return np.random.SeedSequence(rng)
    except (TypeError, ValueError) as error:
        raise _not_rng(rng, error) from None


def generators(seed: np.random.SeedSequence, block: int, parts: int) -> list[np.random.Generator]:
    """One generator for each part of the equation in one block of replicates."""
    keys = [(*seed.spawn_key, block, part) for part in range(parts)]
    return [np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=key)) for key in keys]


def blocks(first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Yield (block, begin, end): the replicates first .. last - 1, numbered inside their blocks."""
    for block in range(first // BLOCK, -(-last // BLOCK)):
        start = block * BLOCK
        yield block, max(first - start, 0), min(last - start, BLOCK)


def _not_rng(rng: object, error: Exception) -> Exception:
    """Say what `rng` may be, in an error of the same type."""
    return type(error)(f"rng is a Generator, a whole number of 0 or more, or None; got {rng!r}")
