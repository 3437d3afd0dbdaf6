"""Artefacts that hide the muscle: moved needles and leads, popping electrodes, the end of a range.

They swing the baseline below 20 Hz, where a needle hears next to nothing of a muscle, or let the
samples stand still at the largest or smallest value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from emgsim.analysis.quality import runs_of, stands_still

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Spans = list[tuple[float, float]]

# All were set on seeds that benchmarks/effort.py does not report.
BLOCK_S = 0.02
SLOW_HZ = 20.0  # De Luca 2010, J Biomech 43:1573
BASELINE_S = 3.0  # the median over it is the baseline: longer than an artefact, shorter than wander
SWING_UV, SWING_SHARE = 25.0, 0.3  # an artefact's slow swing, and over the muscle's rms about it
SWING_FLOORS = 12.0  # and over the usual slow swing of the recording
TAIL_SHARE, TAIL_UV = 0.05, 6.0  # of its peak: there it is over
TAIL_GAP_S = 0.25  # a swing passes through zero
AROUND_S = 0.3  # over which the muscle's loudness is taken


def disturbances(samples_uv: Floats, muscle_uv: Floats, rate_hz: float) -> Spans:
    """Find when the baseline swings or the range of the amplifier ends.

    Parameters
    ----------
    samples_uv
        One channel, unfiltered and without missing samples, shape ``(n_samples,)``.
    muscle_uv
        The same in the band of muscles: its loudness says how much swing is a muscle's own.
    rate_hz
        Sampling rate.

    Returns
    -------
    list of tuple
        Begin and end of each, in seconds after the first sample.
    """
    length = max(1, round(BLOCK_S * rate_hz))
    swing = blocks(np.abs(_slow(samples_uv, rate_hz)), length).max(axis=1)
    loud = np.sqrt(blocks(muscle_uv**2, length).mean(axis=1))
    around = ndimage.uniform_filter1d(loud, max(3, round(AROUND_S / BLOCK_S)), mode="nearest")
    floor = float(np.median(swing))
    high = np.maximum(max(SWING_UV, SWING_FLOORS * floor), SWING_SHARE * around)
    low = np.maximum(max(TAIL_UV, 3 * floor), SWING_SHARE / 2 * around)
    clipped = blocks(stands_still(samples_uv).astype(np.float64), length).max(axis=1) > 0
    found = _grown(swing, low, high) | ndimage.binary_dilation(clipped)
    return [(a * length / rate_hz, b * length / rate_hz) for a, b in runs_of(found)]


def blocks(values: Floats, length: int) -> Floats:
    """Return rows of ``length`` samples; the last one is filled up with the last value."""
    n = -(-values.size // length)
    return np.pad(values, (0, n * length - values.size), mode="edge").reshape(n, length)


def _slow(samples_uv: Floats, rate_hz: float) -> Floats:
    """Return the signal below 20 Hz, on a baseline that follows wander."""
    lowpass = signal.butter(2, SLOW_HZ, fs=rate_hz, output="sos")
    slow = signal.sosfiltfilt(lowpass, samples_uv)
    step = max(1, round(rate_hz / (10 * SLOW_HZ)))
    coarse = slow[::step]
    width = max(3, round(BASELINE_S * rate_hz / step))
    level = ndimage.median_filter(coarse, width, mode="nearest")
    at = np.arange(samples_uv.size)
    return np.asarray(slow - np.interp(at, at[::step], level))


def _grown(swing: Floats, low: Floats, high: Floats) -> Flags:
    """Return the stretches that rise beyond ``high``, as far as they are beyond ``low``.

    Each ends where it has fallen to 5 % of its peak.
    """
    found = np.zeros(swing.size, dtype=np.bool_)
    for a, b in runs_of(_closed(swing > low)):
        peak = float(swing[a:b].max())
        if np.any(swing[a:b] > high[a:b]):
            beyond = a + np.flatnonzero(swing[a:b] > TAIL_SHARE * peak)
            found[beyond[0] : beyond[-1] + 1] = True
    return found


def _closed(flags: Flags) -> Flags:
    n = max(1, round(TAIL_GAP_S / BLOCK_S / 2))
    padded = np.pad(flags, n)
    return np.asarray(ndimage.binary_closing(padded, iterations=n)[n:-n])
