"""First shapes: events of a white signal that look alike, whatever makes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from emgsim.analysis.conditioning import Floats
from emgsim.analysis.detection import Counts, peak_offset

COMPARED_S = (0.0015, 0.0025)  # before and after an event
SHIFT_S = 0.0006  # two events of one source are found so far apart within it
DIMENSIONS = 0.57  # of a sample: share of the band that the low-pass leaves
SURE = 4.0  # SD of the distance between two events of one source
VARIES = 0.25  # of a shape's norm: jitter between the fibres of a unit
LONE_NORM = 7.0  # of an event that is believed though nothing is like it
FEWEST = 3
MOST_EVENTS = 800
MOST_SEEDS = 60
SWEEPS = 3


@dataclass(frozen=True, kw_only=True)
class Group:
    """Events that look alike: their positions in samples, aligned, and their mean shape's norm."""

    positions: Floats
    norm: float


def similar(samples: Floats, peaks: Counts, strength: Floats, rate_hz: float) -> list[Group]:
    """Group events that look alike, beginning with the strongest.

    Parameters
    ----------
    samples
        White, floor of density one.
    peaks
        Indices of the events, shape ``(n_events,)``.
    strength
        Of each event, in SD of the floor.
    rate_hz
        Of the samples.

    Returns
    -------
    list of Group
        Groups of `FEWEST` events or more, and single events that are clear by themselves.
    """
    shift = round(SHIFT_S * rate_hz)
    before, after = (round(s * rate_hz) for s in COMPARED_S)
    order = np.argsort(-strength, kind="stable")[:MOST_EVENTS]
    peaks = peaks[order]
    reach = max(before, after) + shift
    padded = np.pad(samples, reach + 1)
    columns = np.arange(-before - shift, after + shift)
    wide = padded[peaks[:, None] + columns[None, :] + reach + 1]
    windows = sliding_window_view(wide, before + after, axis=1)
    energy = np.sum(windows**2, axis=2)
    free = np.ones(peaks.size, dtype=bool)
    found: list[Group] = []
    tried = 0
    for seed in range(peaks.size):
        if not free[seed] or tried == MOST_SEEDS:
            continue
        tried += 1
        shape, n = windows[seed, shift], 1
        for _ in range(SWEEPS):
            near, lag, distance = _near(windows, energy, shape, free)
            floor = DIMENSIONS * shape.size * (1 + 1 / n)
            norm2 = max(float(shape @ shape) - DIMENSIONS * shape.size / n, 0.0)
            allowed = floor + SURE * np.sqrt(2 * floor) + VARIES**2 * norm2
            members = near[distance < allowed]
            if members.size == 0:
                break
            lags = np.rint(lag[distance < allowed]).astype(np.int64)
            shape, n = np.mean(windows[members, lags], axis=0), members.size
        if members.size == 0:
            free[seed] = False
            continue
        free[members] = False
        free[seed] = False
        norm = float(np.sqrt(max(shape @ shape - DIMENSIONS * shape.size / n, 0.0)))
        if n >= FEWEST or norm > LONE_NORM:
            at = peaks[members] + lag[distance < allowed] - shift
            found.append(Group(positions=np.sort(at), norm=norm))
    return found


def _near(
    windows: Floats, energy: Floats, shape: Floats, free: np.ndarray
) -> tuple[np.ndarray, Floats, Floats]:
    """Return the free events, the shift at which each is most like a shape, and its distance."""
    near = np.flatnonzero(free)
    cross = windows[near] @ shape
    distance = energy[near] - 2 * cross + float(shape @ shape)
    best = np.clip(np.argmin(distance, axis=1), 1, distance.shape[1] - 2)
    rows = np.arange(near.size)
    trio = [distance[rows, best + step] for step in (-1, 0, 1)]
    vertex = peak_offset(-trio[0], -trio[1], -trio[2])
    low = trio[1] - 0.25 * (trio[0] - trio[2]) * vertex
    return near, best + vertex, np.minimum(low, trio[1])
