"""From a source, which is high where its unit discharges, to discharges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Integers = NDArray[np.int64]

APART_S = 0.02  # [S] of two discharges: openhdemg, MUedit2; units rarely pass 50 per second


def peaks(source: Floats32, rate_hz: float) -> Integers:
    """Return the samples of positive peaks, the higher of any two that are too near each other."""
    distance = max(1, round(APART_S * rate_hz))
    return np.asarray(signal.find_peaks(source, height=0.0, distance=distance)[0], dtype=np.int64)


def two_means(values: Floats) -> tuple[float, float]:
    """Return the centres of the two groups of least squares, exactly: groups of sorted values."""
    ordered = np.sort(values)
    total = np.cumsum(ordered)
    n = np.arange(1, values.size)
    low = total[:-1] / n
    high = (total[-1] - total[:-1]) / (values.size - n)
    best = int(np.argmax(n * (values.size - n) * (high - low) ** 2))
    return float(low[best]), float(high[best])


def grouped(source: Floats32, rate_hz: float) -> tuple[Integers, float]:
    """Return a source's discharges, the upper group of its squared peaks, and their silhouette.

    Returns
    -------
    samples : numpy.ndarray
        Samples of the discharges; none if there are fewer than ten peaks.
    silhouette : float
        As of `emgsim.analysis.separation.quality.silhouette`.
    """
    at = peaks(source, rate_hz)
    if at.size < 10:
        return at[:0], 0.0
    power = np.square(source[at], dtype=np.float64)
    low, high = two_means(power)
    upper = power > 0.5 * (low + high)
    within = np.sum((power[upper] - high) ** 2)
    between = np.sum((power[upper] - low) ** 2)
    return at[upper], float((between - within) / max(between, within, 1e-30))


def between_samples(source: Floats32, at: Integers) -> Floats:
    """Return the peaks' positions in samples, at the top of a parabola through three of them."""
    inside = np.clip(at, 1, source.size - 2)
    before, here, after = (source[inside + k].astype(np.float64) for k in (-1, 0, 1))
    bend = np.minimum(before - 2 * here + after, -1e-12)
    return np.asarray(at + np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
