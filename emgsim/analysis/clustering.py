"""First templates: where many spikes look alike, there is a motor unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.detection import Counts, peak_offset, snippets

Floats = NDArray[np.float64]

MOST_SPIKES = 1500  # the distance matrix stays below 20 MB
SHAPE_VARIABILITY = 0.30  # of a spike's norm: jitter between fibres changes the shape that much
FLOOR_SHARE = 1.6  # two snippets of one unit differ by the floor of both


def aligned(samples: Floats, peaks: Counts) -> Floats:
    """Return the peaks' positions to a fraction of a sample."""
    inside = peaks[(peaks > 0) & (peaks < samples.shape[-1] - 1)]
    rows = np.atleast_2d(samples)
    loudest = np.abs(rows[:, inside]).argmax(axis=0)
    vertex = peak_offset(*(rows[loudest, inside + k] for k in (-1, 0, 1)))
    return np.asarray(inside + vertex)


def similar_spikes(
    samples: Floats, peaks: Counts, sd: float, reach: tuple[int, int], least: int
) -> list[Floats]:
    """Group spikes that look alike; return the positions of each group, the densest first.

    Parameters
    ----------
    samples
        Shape ``(n,)`` or ``(n_channels, n)``.
    peaks
        Indices of the spikes.
    sd
        Of the floor.
    reach
        Samples before and after the peak that are compared.
    least
        A group needs this many members.
    """
    positions = _spread(aligned(samples, peaks))
    if positions.size < least:
        return []
    shapes = snippets(samples, positions, *reach)
    square = np.sum(shapes**2, axis=1)
    distance = square[:, None] + square[None, :] - 2 * shapes @ shapes.T
    floor = 2 * FLOOR_SHARE * shapes.shape[1] * sd**2
    alike = distance < floor + SHAPE_VARIABILITY**2 * np.minimum(square[:, None], square[None, :])
    free = np.ones(positions.size, dtype=bool)
    groups: list[Floats] = []
    while True:
        votes = (alike & free[None, :]).sum(axis=1) * free
        # a large spike is rarer and clearer than a small one: it breaks near ties
        best = int(np.argmax(votes * square**0.25))
        if votes[best] < least:
            return groups
        members = _grown(shapes, alike[best] & free, free, floor)
        groups.append(positions[members])
        free &= ~members
        free[best] = False


def _grown(
    shapes: Floats, seed: NDArray[np.bool_], free: NDArray[np.bool_], floor: float
) -> NDArray[np.bool_]:
    """Take the free spikes near the group's median shape instead of near one noisy member."""
    centre = np.median(shapes[seed], axis=0)
    distance = np.sum((shapes - centre) ** 2, axis=1)
    allowed = 0.5 * floor + SHAPE_VARIABILITY**2 * float(centre @ centre)
    near = (distance < allowed) & free
    return near if near.sum() >= seed.sum() // 2 else seed


def _spread(positions: Floats) -> Floats:
    if positions.size <= MOST_SPIKES:
        return positions
    return np.asarray(positions[np.linspace(0, positions.size - 1, MOST_SPIKES).astype(int)])
