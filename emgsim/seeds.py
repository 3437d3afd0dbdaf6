"""One named random stream per physical role.

A role (``"discharges"``, ``"territories"``, ``"amplifier noise"``) always gets the same stream for
one seed, and adding a role moves no other one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from zlib import crc32

import numpy as np


def stream(seed: int, role: str, item: int = 0) -> np.random.Generator:
    """Return the random generator of one physical role.

    Parameters
    ----------
    seed
        The scenario's seed, an integer >= 0.
    role
        Name of the physical role that draws from the stream.
    item
        Number of the dataset item or of the repetition that the stream belongs to.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> a, b = stream(1, "discharges"), stream(1, "discharges")
    >>> bool(a.normal() == b.normal())
    True
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(item, crc32(role.encode())))
    return np.random.default_rng(sequence)


def occurrences(kinds: Iterable[str]) -> list[int]:
    """Return the number of each among those of its kind, from 0: the ``item`` of its stream.

    Examples
    --------
    >>> occurrences(["mains", "pop", "mains"])
    [0, 0, 1]
    """
    seen: Counter[str] = Counter()
    numbers = []
    for kind in kinds:
        numbers.append(seen[kind])
        seen[kind] += 1
    return numbers
