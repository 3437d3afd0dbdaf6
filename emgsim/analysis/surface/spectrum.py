"""Mean and median frequency of surface EMG, with intervals and without the mains.

The signal is cut into pieces of half a second, or eight shorter ones. Each gives a spectrum by two
sine tapers (Riedel & Sidorenko 1995, IEEE Trans Signal Process 43:188): they lose no part of the
piece, as one window would, and let little leak from one frequency to another. The frequencies are
those of the sum of all pieces; the intervals come from leaving each out in turn, so that what
changes slowly in a contraction widens them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.analysis.quality import require_vector
from emgsim.analysis.surface.filtering import BAND_HZ
from emgsim.analysis.surface.intervals import Estimate, jackknife, unknown
from emgsim.estimators import fit_sine

Floats = NDArray[np.float64]

PIECE_S = 0.5  # at most
FEWEST = 8  # pieces; a jackknife of fewer has wide intervals
SHORTEST_S = 0.75  # of a signal, whose pieces then resolve 16 Hz
TAPERS = 2  # more are steadier, but spread what is narrow: the mean frequency rises with them
MAINS_OFF_HZ = 0.5  # from its nominal frequency, at most; a grid stays within 0.2 Hz
FINE = 8  # points of the search for the mains, in a bin of the spectrum


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Power density and its two middles, each with its 95 % interval."""

    frequencies_hz: Floats
    density_uv2_hz: Floats  # one-sided
    mean_hz: Estimate
    median_hz: Estimate


def spectrum(samples_uv: Floats, rate_hz: float, *, mains_hz: float | None = None) -> Spectrum:
    """Measure the spectrum of a steady contraction from 20 to 450 Hz.

    Parameters
    ----------
    samples_uv
        One channel, shape ``(n_samples,)``; pieces with NaN are left out.
    rate_hz
        Sampling rate.
    mains_hz
        50 or 60: the mains and its harmonics are fitted and taken away before. None where there
        are none to be heard.

    Returns
    -------
    Spectrum
        Without values, but with a reason, if less than three quarters of a second can be read.

    Raises
    ------
    ValueError
        If the samples are no vector, or a rate is not positive.

    Examples
    --------
    >>> white = np.random.default_rng(1).standard_normal(20_000)
    >>> found = spectrum(white, 2000.0)  # flat from 20 to 450 Hz: both in the middle
    >>> abs(found.median_hz.value - 235) < 10
    True
    """
    require_vector(samples_uv, rate_hz)
    if mains_hz is not None and not mains_hz > 0:
        raise ValueError(f"mains_hz must be > 0, got {mains_hz}")
    if samples_uv.size < SHORTEST_S * rate_hz:
        return _unknown(f"{samples_uv.size / rate_hz:.3g} s of signal, {SHORTEST_S:g} s are needed")
    clean = samples_uv if mains_hz is None else without_mains(samples_uv, rate_hz, mains_hz)
    length = min(round(PIECE_S * rate_hz), samples_uv.size // FEWEST)
    pieces = clean[: clean.size // length * length].reshape(-1, length)
    whole = pieces[np.isfinite(pieces).all(axis=1)]
    if len(whole) < FEWEST // 2:
        return _unknown(f"{len(whole)} pieces without missing samples, {FEWEST // 2} are needed")
    return _measured(whole, rate_hz)


def without_mains(samples_uv: Floats, rate_hz: float, mains_hz: float) -> Floats:
    """Return a signal without the mains and its harmonics up to 450 Hz.

    Its frequency is searched within 0.5 Hz of the nominal one, then fitted with the amplitudes of
    all harmonics; the mains must be steady for as long as the signal lasts.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples,)``; NaN where samples are missing.
    rate_hz, mains_hz
        Sampling rate, and nominal frequency of the mains.
    """
    present = np.isfinite(samples_uv)
    times_s = np.arange(samples_uv.size) / rate_hz
    at_hz = _strongest(np.where(present, samples_uv, 0.0), times_s, mains_hz)
    highest = int(min(BAND_HZ[1], 0.45 * rate_hz) / mains_hz)
    return fit_sine(times_s, samples_uv, at_hz, n_harmonics=max(1, highest)).residual


def _strongest(samples_uv: Floats, times_s: Floats, mains_hz: float) -> float:
    step_hz = 1 / (FINE * float(times_s[-1]))
    tried = np.arange(mains_hz - MAINS_OFF_HZ, mains_hz + MAINS_OFF_HZ + step_hz, step_hz)
    power = [abs(np.exp(-2j * np.pi * hz * times_s) @ samples_uv) for hz in tried]
    return float(tried[int(np.argmax(power))])


def _unknown(reason: str) -> Spectrum:
    nothing = unknown(reason)
    empty = np.zeros(0)
    return Spectrum(frequencies_hz=empty, density_uv2_hz=empty, mean_hz=nothing, median_hz=nothing)


def _measured(pieces: Floats, rate_hz: float) -> Spectrum:
    frequencies, densities = _densities(pieces, rate_hz)
    total = densities.sum(axis=0)
    if not total.sum() > 0:
        return _unknown("the signal is flat")
    each = np.vstack([total, total - densities])  # all, then all but one
    means_hz, medians_hz = _mean_hz(frequencies, each), _median_hz(frequencies, each)
    return Spectrum(
        frequencies_hz=frequencies,
        density_uv2_hz=total / len(pieces),
        mean_hz=jackknife(float(means_hz[0]), means_hz[1:]),
        median_hz=jackknife(float(medians_hz[0]), medians_hz[1:]),
    )


def _densities(pieces: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    """Return the frequencies of the band and each piece's density there."""
    n = pieces.shape[1]
    at = np.arange(1, n + 1) / (n + 1)
    order = np.arange(1, TAPERS + 1)[:, None]
    tapers = np.sqrt(2 / (n + 1)) * np.sin(np.pi * order * at)
    n_fft = fft.next_fast_len(2 * n, real=True)
    centred = pieces - pieces.mean(axis=1, keepdims=True)
    power = np.zeros((len(pieces), n_fft // 2 + 1))
    for taper in tapers:
        power += np.abs(fft.rfft(centred * taper, n_fft)) ** 2
    frequencies = fft.rfftfreq(n_fft, 1 / rate_hz)
    kept = (frequencies >= BAND_HZ[0]) & (frequencies <= min(BAND_HZ[1], 0.5 * rate_hz))
    return frequencies[kept], 2 / (rate_hz * TAPERS) * power[:, kept]


def _mean_hz(frequencies_hz: Floats, densities: Floats) -> Floats:
    """Return the mean frequency of each density, shape ``(n,)`` of ``(n, n_frequencies)``."""
    return np.asarray(densities @ frequencies_hz / densities.sum(axis=1))


def _median_hz(frequencies_hz: Floats, densities: Floats) -> Floats:
    """Return the frequency that halves the power; each bin's lies evenly across it."""
    step_hz = frequencies_hz[1] - frequencies_hz[0]
    edges_hz = np.append(frequencies_hz - step_hz / 2, frequencies_hz[-1] + step_hz / 2)
    below = np.cumsum(densities, axis=1) / densities.sum(axis=1, keepdims=True)
    below = np.hstack([np.zeros((len(below), 1)), below])
    return np.array([np.interp(0.5, row, edges_hz) for row in below])
