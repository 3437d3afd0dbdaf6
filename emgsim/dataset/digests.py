"""Digests: of an item's discharges, which are the same on every machine, and of its files.

Times become whole nanoseconds first. Their doubles are exact to far less, and two processors may
round the last bit of a waveform apart, never a nanosecond of a discharge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from emgsim.recording import Truth


def ticks_ns(times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return times as whole nanoseconds."""
    return np.rint(times_s * 1e9).astype("<i8")


def events_sha256(truth: Truth) -> str:
    """Return the SHA-256 of every discharge of every unit and source, in whole nanoseconds."""
    sha = hashlib.sha256()
    trains = [(f"unit {u.id}", u.discharge_times_s) for u in truth.units]
    trains += [(f"source {s.name} {s.kind}", s.discharge_times_s) for s in truth.spontaneous]
    for name, times_s in trains:
        sha.update(f"{name} {times_s.size}\n".encode())
        sha.update(ticks_ns(times_s).tobytes())
    return sha.hexdigest()


def dataset_sha256(items: Iterable[tuple[str, str]]) -> str:
    """Return one digest over the ids of items and the digests of their discharges, in order."""
    sha = hashlib.sha256()
    for id, events in items:
        sha.update(f"{id} {events}\n".encode())
    return sha.hexdigest()
