"""The mains in a record of noise: found where they are, measured, and taken out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emgsim.estimators import fit_sine, fit_tones
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import SILENCE_S, periodogram

Floats = NDArray[np.float64]

MAINS_HZ = (50.0, 60.0)
HARMONICS = 5  # of the mains, the fundamental counted
MAINS_OFF = 0.005  # by which the mains' frequency, or the device's clock, may be off
SURE = 12.0  # powers of the noise at which a line is one, and no chance, among all that are tried


def lines_hz(high_hz: float) -> Floats:
    """Return the mains and their harmonics, as many as are looked for, below a frequency."""
    lines = np.multiply.outer(MAINS_HZ, np.arange(1.0, HARMONICS + 1)).ravel()
    return np.asarray(lines[lines < high_hz])


def without_mains(acquired: Acquired) -> Floats:
    """Return the first channel without the mains, if there are any.

    A line that stands far out of the noise leaks into bins that are not left out.
    """
    uv = acquired.uv[:, 0]
    for nominal_hz in MAINS_HZ:
        found_hz = _line_near(acquired, nominal_hz)
        if found_hz:
            n_lines = _lines_of(nominal_hz, acquired.rate_hz)
            fit = fit_sine(acquired.times_s, uv, found_hz, n_harmonics=n_lines)
            uv = fit.residual + fit.offset
    return uv


def mains_power(acquired: Acquired, nominal_hz: float, setup: Setup) -> tuple[float, float]:
    """Return the summed squares of the peaks of the mains, and its standard deviation."""
    uv, times_s = acquired.uv[:, 0], acquired.times_s
    n_lines = _lines_of(nominal_hz, acquired.rate_hz)
    at_hz = nominal_hz * np.arange(1.0, n_lines + 1)
    tones, sds, _ = fit_tones(times_s, uv, list(at_hz))
    found_hz = _line_near(acquired, nominal_hz)
    if found_hz:
        fit = fit_sine(times_s, uv, found_hz, n_harmonics=n_lines)
        tones, sds = fit.tones, fit.tone_sds
    inside = at_hz <= max(setup.device.band_hz[1], nominal_hz)
    squares, variances = np.abs(tones[inside]) ** 2, sds[inside] ** 2
    power = float(np.sum(squares - 2 * variances))
    # Of |A + noise|^2: 4 sd^2 times what is there and the half of what the noise makes of it.
    spread = np.sum(4 * variances * np.maximum(squares - 2 * variances, 0.0) + 4 * variances**2)
    return power, math.sqrt(float(spread))


def _lines_of(nominal_hz: float, rate_hz: float) -> int:
    """Return how many harmonics are looked for, the fundamental counted."""
    return max(1, min(HARMONICS, int(0.45 * rate_hz / nominal_hz)))


def _line_near(acquired: Acquired, nominal_hz: float) -> float:
    """Return the frequency of a line near one that stands out of the noise, or 0."""
    frequencies_hz, density = periodogram(acquired.uv[:, 0], acquired.rate_hz)
    near = np.abs(frequencies_hz - nominal_hz) <= MAINS_OFF * nominal_hz + 2 / SILENCE_S
    beside = ~near & (np.abs(frequencies_hz - nominal_hz) < 5.0)
    best = int(np.argmax(np.where(near, density, 0.0)))
    is_sure = density[best] > SURE * density[beside].mean()
    return float(frequencies_hz[best]) if is_sure else 0.0
