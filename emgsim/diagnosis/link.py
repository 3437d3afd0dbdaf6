"""Faults of the link: what the counters of the frames say, as findings like all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.diagnosis.findings import Diagnosis

Floats = NDArray[np.float64]

OVERFLOW_S = 0.02  # lost in one piece: so long a queue is full; a radio may be silent as long
TODO = {
    "dropped frames": "look at the cable, the radio, and the load of the computer",
    "FIFO overflow": "read the device faster, or lower its rate: its queue is full",
    "corrupt frames": "look at the cable and the baud rate",
    "repeated frames": "look at the device's firmware or its radio: frames came twice",
    "hang-up": "plug the device in again and look at its supply",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Linked:
    """What came over a link: lost samples are NaN in ``counts``, shape ``(n,)``."""

    counts: Floats
    samples_per_frame: int = 1
    n_bad_frames: int = 0
    n_repeated_frames: int = 0


def link_diagnoses(linked: Linked, times_s: Floats | None) -> tuple[Diagnosis, ...]:
    """Name and locate what a link lost, spoilt or said twice.

    Parameters
    ----------
    linked
        What came.
    times_s
        Time of every sample on the scenario's clock, shape ``(n,)``; None if it is not known.
    """
    return tuple(_every(linked, times_s))


def hang_up(start_s: float | None, streamed_s: float) -> Diagnosis:
    """Return the diagnosis of a device that is gone, after so many seconds of streaming."""
    return _diagnosis("hang-up", streamed_s, "s of streaming", start_s)


def _every(linked: Linked, times_s: Floats | None) -> Iterator[Diagnosis]:
    edges = np.flatnonzero(np.diff(np.isnan(linked.counts).astype(np.int8), prepend=0, append=0))
    gaps = edges.reshape(-1, 2)
    n_lost = np.diff(gaps, axis=1).ravel()
    rate_hz = np.inf if times_s is None else 1 / float(times_s[1] - times_s[0])
    is_long = n_lost > OVERFLOW_S * rate_hz
    n_full = float(n_lost[is_long].sum()) / linked.samples_per_frame
    n_bad, n_twice = float(linked.n_bad_frames), float(linked.n_repeated_frames)
    n_dropped = float(n_lost[~is_long].sum()) / linked.samples_per_frame - n_bad
    if n_full:
        yield _of_gaps("FIFO overflow", n_full, gaps[is_long], times_s)
    if n_bad:
        yield _of_gaps("corrupt frames", n_bad, gaps[~is_long], times_s)
    if n_dropped > 0:
        yield _of_gaps("dropped frames", n_dropped, gaps[~is_long], times_s)
    if n_twice:
        yield _diagnosis("repeated frames", n_twice, "frames")


def _of_gaps(name: str, n: float, gaps: NDArray[np.intp], times_s: Floats | None) -> Diagnosis:
    """Return a diagnosis that holds from the first of some gaps to the last one."""
    start_s = stop_s = None
    if times_s is not None and gaps.size:
        last = min(int(gaps[-1, 1]), times_s.size - 1)
        start_s, stop_s = float(times_s[gaps[0, 0]]), float(times_s[last])
    return _diagnosis(name, n, "frames", start_s, stop_s)


def _diagnosis(
    name: str,
    value: float,
    unit: str,
    start_s: float | None = None,
    stop_s: float | None = None,
) -> Diagnosis:
    """Return what counters tell: one is enough."""
    return Diagnosis(
        name=name,
        path="device",
        part="link",
        start_s=start_s,
        stop_s=stop_s,
        within_s=0.0,
        value=value,
        unit=unit,
        statistic=value,
        threshold=0.0,
        todo=TODO[name],
    )
