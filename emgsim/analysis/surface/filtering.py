"""The band of surface EMG, with zero phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.analysis.conditioning import bridged
from emgsim.analysis.quality import require_vector

Floats = NDArray[np.float64]

BAND_HZ = (20.0, 450.0)  # below it cables move (De Luca 2010, J Biomech 43:1573), above is noise
ORDER = 2  # of each run of the filter, of two


def band_passed(samples_uv: Floats, rate_hz: float, highpass_hz: float = BAND_HZ[0]) -> Floats:
    """Return the part of a signal that muscles make, up to 450 Hz.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples,)``; NaN where samples are missing, and so in what is returned.
    rate_hz
        Sampling rate, above 200 Hz.
    highpass_hz
        Lower edge. 30 Hz takes most of an ECG away (Drake & Callaghan 2006, J Electromyogr
        Kinesiol 16:175).

    Raises
    ------
    ValueError
        If the samples are no vector or hold no number, or the rate is too low.
    """
    require_vector(samples_uv, rate_hz)
    if rate_hz <= 200:
        raise ValueError(f"rate_hz must be above 200 Hz for surface EMG, got {rate_hz:g}")
    present = np.isfinite(samples_uv)
    if not present.any():
        raise ValueError("samples_uv must hold a number, got none")
    edges_hz = (highpass_hz, min(BAND_HZ[1], 0.45 * rate_hz))
    sos = signal.butter(ORDER, edges_hz, "bandpass", fs=rate_hz, output="sos")
    known = bridged(samples_uv)
    padding = min(round(rate_hz / highpass_hz), samples_uv.size - 1)
    filtered = signal.sosfiltfilt(sos, known - known.mean(), padlen=padding)
    return np.where(present, filtered, np.nan)
