"""How even a full pattern is, and how fast its largest units fire.

Both say what recruitment is where a decomposition sees nothing but overlap. Neither depends on the
size of the potentials, so that diseased and healthy units are judged alike.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from emgsim.analysis.conditioning import autocorrelation
from emgsim.analysis.quality import require_vector

Floats = NDArray[np.float64]

PIECE_S = 0.005  # as long as a spike, shorter than the gaps between spikes
QUIET_CENTILE = 10.0
SHORTEST_S = 0.4  # some intervals of a unit
LAGS_MS = (12, 150)  # beyond a potential's own length; one interval of a slow unit
BAND_HZ = (100.0, 5_000.0)  # in it potentials are short enough to be told apart
BLUR_MS = 3  # of the power; a potential's own length
LOUDEST_CENTILE = 98.0  # the power is cut there: one giant spike must not tell all
RATES_HZ = np.geomspace(6.0, 45.0, 60)  # of motor units that go on
INTERVAL_COV = 0.15  # of their intervals; Clamann 1969, Biophys J 9:1233: 0.1-0.25


def evenness(samples_uv: Floats, rate_hz: float) -> float:
    """Return how even a pattern is: the tenth centile of its level over the mean.

    The level is the rms of pieces of 5 ms. Noise without end has 0.9; where few units fire there
    are gaps, and it goes to zero. NaN if less than 50 ms is there, or nothing sounds.

    Raises
    ------
    ValueError
        If the samples are no vector, or the rate is not positive.

    Examples
    --------
    >>> noise = np.random.default_rng(1).standard_normal(24_000)
    >>> gaps = np.arange(24_000) % 2400 < 1800
    >>> round(evenness(noise, 24_000.0), 1), round(evenness(noise * gaps, 24_000.0), 1)
    (0.9, 0.0)
    """
    require_vector(samples_uv, rate_hz)
    length = max(1, round(PIECE_S * rate_hz))
    pieces = samples_uv[: samples_uv.size // length * length].reshape(-1, length)
    levels = np.sqrt(np.mean(pieces**2, axis=1))
    levels = levels[np.isfinite(levels)]
    if levels.size < 10 or not levels.any():
        return float("nan")
    return float(np.percentile(levels, QUIET_CENTILE) / levels.mean())


def pace_hz(samples_uv: Floats, rate_hz: float) -> float:
    """Return the rate at which the largest units of a pattern fire.

    A unit that comes again after its intervals makes the power of the signal like itself so much
    later. The autocorrelation between 12 and 150 ms is compared with that of trains of 6 to 45
    discharges per second; the likest one's rate is taken. Grouped discharges give that of the
    groups.

    Parameters
    ----------
    samples_uv
        A stretch of steady effort, shape ``(n_samples,)``, without missing samples.
    rate_hz
        Sampling rate.

    Returns
    -------
    float
        Discharges per second; NaN if the stretch is shorter than 0.4 s or has missing samples.

    Raises
    ------
    ValueError
        If the samples are no vector, or the rate is not positive.
    """
    require_vector(samples_uv, rate_hz)
    if samples_uv.size < SHORTEST_S * rate_hz or not np.isfinite(samples_uv).all():
        return float("nan")
    alike = _alike(samples_uv, rate_hz)[slice(*LAGS_MS)]
    return float(RATES_HZ[np.argmax(_trains() @ (alike - alike.mean()))])


@cache
def _trains() -> Floats:
    """Return what the power of one train of each rate is like, shape ``(n_rates, n_lags)``.

    The k-th next discharge comes k intervals later, with the scatter of their sum.
    """
    lag_ms, times = np.arange(*LAGS_MS), np.arange(1, 9)[:, None, None]
    interval_ms = 1e3 / RATES_HZ[:, None]
    spread_ms = INTERVAL_COV * interval_ms * np.sqrt(times) + BLUR_MS / 2
    density = np.exp(-0.5 * ((lag_ms - times * interval_ms) / spread_ms) ** 2) / spread_ms
    rows = density.sum(axis=0)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _alike(samples_uv: Floats, rate_hz: float) -> Floats:
    """Return the autocorrelation of the signal's power at lags in whole milliseconds."""
    band_hz = (BAND_HZ[0], min(BAND_HZ[1], 0.45 * rate_hz))
    sos = signal.butter(2, band_hz, "bandpass", fs=rate_hz, output="sos")
    power = signal.sosfiltfilt(sos, samples_uv) ** 2
    power = ndimage.uniform_filter1d(power, max(1, round(BLUR_MS * 1e-3 * rate_hz)))
    at = np.arange(0, samples_uv.size - 1, 1e-3 * rate_hz).astype(np.int64)
    power = np.minimum(power[at], np.percentile(power[at], LOUDEST_CENTILE))
    power -= power.mean()
    n, lags = at.size, np.arange(LAGS_MS[1])
    alike = autocorrelation(power)[: lags.size]
    return np.asarray(alike * n / (n - lags) / max(float(alike[0]), 1e-300))
