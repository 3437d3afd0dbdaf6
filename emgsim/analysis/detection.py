"""Where a spike stands out of the floor, and what it looks like there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

TAPS = 8  # of the interpolator on each side


def floor_sd(samples: Floats, usable: Flags) -> float:
    """Return the robust SD of the floor, spikes and silence left out.

    Silence is whatever stays below a twentieth of the loud half: a clean simulated rest would
    otherwise pull the floor of the contraction to zero.
    """
    size = _awake(samples, usable)
    return float(np.median(size)) / 0.6745 if size.size else 0.0


def mean_square(samples: Floats, usable: Flags) -> float:
    """Return the mean square of the samples, silence left out as in `floor_sd`."""
    size = _awake(samples, usable)
    return float(np.mean(size**2)) if size.size else 0.0


def _awake(samples: Floats, usable: Flags) -> Floats:
    if samples.ndim > 1:
        return np.concatenate([_awake(row, usable) for row in samples])
    size = np.abs(samples)
    loud = float(np.quantile(size[usable], 0.75)) if usable.any() else 0.0
    around = ndimage.uniform_filter1d(size, 801, mode="nearest")
    return np.asarray(size[usable & (around > 0.05 * loud)])


def spikes(samples: Floats, usable: Flags, threshold: float, apart: int) -> Counts:
    """Return the indices of peaks of either sign that top their neighbourhood.

    Parameters
    ----------
    samples
        Shape ``(n,)``, or ``(n_channels, n)``: the channel in which it is highest counts.
    usable
        Where detection is allowed.
    threshold
        Least absolute height.
    apart
        A peak is the highest within this many samples to either side.
    """
    size = np.where(usable, np.abs(np.atleast_2d(samples)).max(axis=0), 0.0)
    top = ndimage.maximum_filter1d(size, 2 * apart + 1, mode="constant")
    peaks = np.flatnonzero((size >= threshold) & (size == top) & (size > 0))
    return peaks.astype(np.int64)


def peak_offset(before: Floats, at: Floats, after: Floats) -> Floats:
    """Return how far beyond the middle sample the vertex of a parabola lies, within +-0.5."""
    bend = before - 2 * at + after
    safe = np.where(bend == 0, 1.0, bend)
    return np.asarray(np.clip(np.where(bend == 0, 0.0, 0.5 * (before - after) / safe), -0.5, 0.5))


def snippets(samples: Floats, positions: Floats, before: int, after: int) -> Floats:
    """Return the signal around fractional positions, shape ``(n_positions, before + after)``.

    Column ``before`` lies exactly on each position; band-limited interpolation in between. Beyond
    its ends the signal is silent. Of samples ``(n_channels, n)`` the channels stand one after the
    other in each row.
    """
    if samples.ndim > 1:
        return np.hstack([snippets(row, positions, before, after) for row in samples])
    whole = np.floor(positions).astype(np.int64)
    weights = interpolator(positions - whole)
    reach = before + after + 2 * TAPS
    whole = np.clip(whole, -after - TAPS, samples.size + before + TAPS)  # farther is as silent
    padded = np.pad(samples, reach)
    columns = np.arange(-before - TAPS + 1, after + TAPS)
    rough = padded[whole[:, None] + columns[None, :] + reach]
    out = np.zeros((positions.size, before + after))
    for tap in range(2 * TAPS):
        out += weights[:, tap, None] * rough[:, tap : tap + before + after]
    return out


def interpolator(fraction: Floats) -> Floats:
    """Return windowed-sinc weights for samples ``-TAPS + 1 .. TAPS``, shape ``(n, 2 TAPS)``."""
    offset = np.arange(-TAPS + 1, TAPS + 1)[None, :] - fraction[:, None]
    window = np.cos(np.pi * offset / (2 * TAPS + 1)) ** 2
    weights = np.sinc(offset) * window
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
