"""The heartbeat in surface EMG of the trunk, found by its shape and taken away.

A high-pass of 30 Hz is the best compromise of filters (Drake & Callaghan 2006, J Electromyogr
Kinesiol 16:175), but leaves the QRS complex, which has power up to 50 Hz and beyond. Its shape
is learnt where it stands out, found everywhere by a filter matched to it, and subtracted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from emgsim.analysis.conditioning import bridged
from emgsim.analysis.quality import require_vector
from emgsim.analysis.surface.filtering import band_passed

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

HIGHPASS_HZ = 30.0
QRS_HZ = (8.0, 40.0)  # where a QRS complex is strongest beside muscle [M]
SHORTEST_BEAT_S = 0.35  # 170 per minute
LONGEST_BEAT_S = 1.5  # 40 per minute
HALF_S = 0.12  # of the shape: a QRS complex of 60 to 100 ms and what the filters add
FEWEST = 8  # beats a shape is learnt of; 8 leave a third of the muscle's amplitude in it
STANDS_OUT = 4.0  # robust SD of the matched filter's output; noise has one in 16 000 beyond
ROUNDS = 3  # of finding and learning
REGULAR = 0.25  # scatter of intervals over their median; a heart's is 0.1 or less


def without_heartbeat(samples_uv: Floats, rate_hz: float) -> Floats:
    """Return a signal from 30 to 450 Hz, without the heartbeats that were found in it.

    Parameters
    ----------
    samples_uv
        One channel, not high-passed above 5 Hz, shape ``(n_samples,)``; NaN where samples are
        missing, and so in what is returned.
    rate_hz
        Sampling rate.

    Raises
    ------
    ValueError
        If the samples are no vector or hold no number, or the rate is too low.
    """
    muscle_uv = band_passed(samples_uv, rate_hz, HIGHPASS_HZ)
    beats = heartbeats(samples_uv, rate_hz)
    if beats.size < FEWEST:
        return muscle_uv
    known = bridged(muscle_uv)
    half = round(HALF_S * rate_hz)
    shape = _shape(known, beats, half)
    heart_uv = np.zeros(known.size)
    for at in beats:
        heart_uv[at - half : at + half + 1] += shape
    return muscle_uv - heart_uv


def heartbeats(samples_uv: Floats, rate_hz: float) -> Indices:
    """Return at which samples the heart beats; none if nothing regular stands out.

    Parameters
    ----------
    samples_uv, rate_hz
        As of `without_heartbeat`.
    """
    require_vector(samples_uv, rate_hz)
    sos = signal.butter(2, QRS_HZ, "bandpass", fs=rate_hz, output="sos")
    slow_uv = signal.sosfiltfilt(sos, bridged(samples_uv))
    half = round(HALF_S * rate_hz)
    level = np.abs(slow_uv)
    beats = _peaks(level, rate_hz, half)
    for _ in range(ROUNDS):
        if beats.size < FEWEST:
            break
        shape = _shape(slow_uv, beats, half)
        beats = _peaks(np.correlate(slow_uv, shape, mode="same"), rate_hz, half)
    return beats if _is_regular(beats / rate_hz) else np.zeros(0, np.intp)


def _shape(samples_uv: Floats, beats: Indices, half: int) -> Floats:
    """Return the median around all beats, brought to 0 at both ends."""
    around = samples_uv[beats[:, None] + np.arange(-half, half + 1)]
    return np.asarray(np.median(around, axis=0) * signal.windows.tukey(2 * half + 1, 0.25))


def _peaks(height: Floats, rate_hz: float, half: int) -> Indices:
    """Return the peaks that stand out of what is around them, none near an end."""
    window = round(LONGEST_BEAT_S * rate_hz)
    coarse = max(1, round(0.01 * rate_hz))
    sd = 1.48 * ndimage.median_filter(np.abs(height[::coarse]), window // coarse, mode="nearest")
    local = np.interp(np.arange(height.size), np.arange(sd.size) * coarse, sd)
    relative = height / np.maximum(local, 1e-12 * max(float(np.abs(height).max()), 1e-300))
    at, _ = signal.find_peaks(
        relative, height=STANDS_OUT, distance=round(SHORTEST_BEAT_S * rate_hz)
    )
    return np.asarray(at[(at >= half) & (at < height.size - half)])


def _is_regular(times_s: Floats) -> bool:
    """Tell whether most intervals are alike, and as long as those of a heart."""
    if times_s.size < FEWEST:
        return False
    steps_s = np.diff(times_s)
    middle_s = float(np.median(steps_s))
    spread = 1.48 * float(np.median(np.abs(steps_s - middle_s)))
    return SHORTEST_BEAT_S <= middle_s <= LONGEST_BEAT_S and spread < REGULAR * middle_s
