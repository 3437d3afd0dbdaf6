"""Sines in noise: amplitude, phase, frequency, harmonics, each with its standard deviation.

The clocks of a generator and of a device are never coherent, so that no bin of a Fourier transform
lies on the sine: at 20 ppm it misreads the amplitude by 3 %. The sine is fitted instead, by least
squares with its frequency unknown (IEEE 1057-2017, four parameters). What an amplifier adds is not
white, so the deviations come from the spectrum of the residual near each frequency, not from its
rms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

STEPS = 12  # of Gauss-Newton at most
NEAR_BINS = 48  # of the residual's spectrum, whose mean is the noise at a frequency


@dataclass(frozen=True, kw_only=True, eq=False)
class SineFit:
    """A sine and its harmonics in noise.

    Attributes
    ----------
    frequency_hz, frequency_sd_hz
        On the clock of the times that were given.
    tones
        Complex amplitudes of the fundamental and its harmonics, shape ``(n_harmonics,)``: the
        k-th is the real part of ``tones[k - 1] exp(2 pi i k f t)``.
    tone_sds
        Standard deviation of the real, and of the imaginary part of each, shape
        ``(n_harmonics,)``.
    offset
        Mean of the samples without the sine.
    residual
        Samples minus fit, shape ``(n,)``; NaN where there was none.
    """

    frequency_hz: float
    frequency_sd_hz: float
    tones: Complexes
    tone_sds: Floats
    offset: float
    residual: Floats

    @property
    def amplitude(self) -> float:
        """Peak of the fundamental."""
        return float(abs(self.tones[0]))

    @property
    def amplitude_sd(self) -> float:
        """Standard deviation of `amplitude`."""
        return float(self.tone_sds[0])

    @property
    def phase_rad(self) -> float:
        """Phase of the fundamental at time 0, of a cosine."""
        return float(np.angle(self.tones[0]))

    @property
    def phase_sd_rad(self) -> float:
        """Standard deviation of `phase_rad` where the frequency is known."""
        return float(self.tone_sds[0]) / self.amplitude

    @property
    def residual_rms(self) -> float:
        """Rms of what is left."""
        return float(np.sqrt(np.nanmean(self.residual**2)))


def fit_sine(
    times_s: Floats,
    samples: Floats,
    frequency_hz: float,
    *,
    n_harmonics: int = 1,
    is_known: bool = False,
) -> SineFit:
    """Fit a sine of about a frequency, with its harmonics and the mean.

    Parameters
    ----------
    times_s, samples
        Shape ``(n,)``, evenly spaced; samples that are NaN are left out.
    frequency_hz
        To within half a cycle over the record.
    n_harmonics
        How many, the fundamental counted; those beyond half the rate must not be asked for.
    is_known
        Whether the frequency is exact and stays (three parameters); then its deviation is 0.

    Raises
    ------
    ValueError
        If there are fewer samples than unknowns, or less than one cycle of them.
    """
    known = np.isfinite(samples)
    t, x = times_s[known], samples[known]
    n_unknown = 2 * n_harmonics + 2 - is_known
    if x.size < n_unknown or (t[-1] - t[0]) * frequency_hz < 1:
        raise ValueError(
            f"a sine of {frequency_hz:g} Hz cannot be fitted to {x.size} samples: it needs "
            f"{n_unknown} and one cycle"
        )
    middle_s = 0.5 * (t[0] + t[-1])
    t = t - middle_s  # so that frequency and phase are nearly independent
    f = frequency_hz
    coefficients = _solved(t, x, f, n_harmonics)
    for _ in range(0 if is_known else STEPS):
        coefficients, step_hz = _stepped(t, x, f, coefficients, n_harmonics)
        f += step_hz
        if abs(step_hz) * (t[-1] - t[0]) < 1e-9:
            break
    coefficients = _solved(t, x, f, n_harmonics)
    residual = np.full(samples.shape, np.nan)
    residual[known] = x - _basis(t, f, n_harmonics) @ coefficients
    tones = coefficients[1::2] - 1j * coefficients[2::2]
    orders = np.arange(1.0, n_harmonics + 1)
    duration_s = float(x.size * np.median(np.diff(times_s)))
    density = noise_density(residual, times_s, np.asarray(orders * f))
    sds = np.sqrt(density / duration_s)
    amplitude = float(abs(tones[0]))
    frequency_sd_hz = 0.0
    if not is_known:
        frequency_sd_hz = (
            math.sqrt(3 * density[0] / duration_s**3) / (math.pi * amplitude)
            if amplitude
            else math.inf
        )
    return SineFit(
        frequency_hz=float(f),
        frequency_sd_hz=frequency_sd_hz,
        tones=tones * np.exp(-2j * np.pi * orders * f * middle_s),
        tone_sds=sds,
        offset=float(coefficients[0]),
        residual=residual,
    )


def fit_tones(
    times_s: Floats,
    samples: Floats,
    frequencies_hz: Sequence[float],
    near_bins: int = NEAR_BINS,
) -> tuple[Complexes, Floats, Floats]:
    """Fit several sines of known frequencies, and the mean.

    Parameters
    ----------
    times_s, samples
        As in `fit_sine`.
    frequencies_hz
        Apart from each other by more than one cycle over the record.
    near_bins
        As in `noise_density`.

    Returns
    -------
    tones : ndarray
        Complex amplitudes, shape ``(n_tones,)``, as in `SineFit`.
    tone_sds : ndarray
        Standard deviation of the real, and of the imaginary part of each, shape ``(n_tones,)``.
    residual : ndarray
        Shape ``(n,)``.
    """
    known = np.isfinite(samples)
    t, x = times_s[known], samples[known]
    frequencies = np.asarray(frequencies_hz, np.float64)
    angles = 2 * np.pi * np.multiply.outer(t, frequencies)
    basis = np.hstack([np.ones((t.size, 1)), np.cos(angles), np.sin(angles)])
    inverse = np.linalg.inv(basis.T @ basis)
    solved = inverse @ (basis.T @ x)
    residual = np.full(samples.shape, np.nan)
    residual[known] = x - basis @ solved
    n = frequencies.size
    density = noise_density(residual, times_s, frequencies, near_bins)
    # Sines close together know each other's noise: more of it than each alone has.
    spread = np.diag(inverse)
    own = 0.5 * (spread[1 : n + 1] + spread[n + 1 :])
    sds = np.sqrt(0.5 * density / float(np.median(np.diff(times_s))) * own)
    return solved[1 : n + 1] - 1j * solved[n + 1 :], sds, residual


def noise_density(
    residual: Floats, times_s: Floats, frequencies_hz: Floats, near_bins: int = NEAR_BINS
) -> Floats:
    """Return the one-sided power density of a residual near each frequency, per hertz.

    The mean of its periodogram over the nearest bins. Each sine that was fitted has taken the
    power of one bin with it, for which it makes up. Samples that are NaN count as 0.

    Parameters
    ----------
    residual, times_s
        Shape ``(n,)``, of evenly spaced samples.
    frequencies_hz
        Of all sines that were fitted, shape ``(n_tones,)``.
    near_bins
        How many bins, many more than there are sines among them: few where the noise is not flat.

    Returns
    -------
    ndarray
        Shape ``(n_tones,)``; NaN where there are no more bins than sines.
    """
    period_s = float(np.median(np.diff(times_s)))
    n = residual.size
    powers = np.abs(fft.rfft(np.nan_to_num(residual))) ** 2 * (2 * period_s / n)
    powers *= n / max(1, int(np.isfinite(residual).sum()))
    centres = np.asarray(frequencies_hz, np.float64) * n * period_s
    firsts = np.clip(np.rint(centres) - near_bins // 2, 1, max(1, powers.size - near_bins))
    densities = np.full(centres.size, np.nan)
    for i, first in enumerate(firsts.astype(int)):
        near = powers[first : first + near_bins]
        n_taken = int(np.sum((centres > first - 0.5) & (centres < first + near.size - 0.5)))
        if near.size > n_taken:
            densities[i] = near.sum() / (near.size - n_taken)
    return densities


def _basis(t: Floats, frequency_hz: float, n_harmonics: int) -> Floats:
    """Return the columns 1, cos, sin, cos 2, sin 2, ... at times, shape ``(n, 1 + 2 n_h)``."""
    turn = np.exp(2j * np.pi * frequency_hz * t)
    columns, power = [np.ones(t.size)], np.ones(t.size, np.complex128)
    for _ in range(n_harmonics):
        power = power * turn
        columns += [power.real, power.imag]
    return np.column_stack(columns)


def _solved(t: Floats, x: Floats, frequency_hz: float, n_harmonics: int) -> Floats:
    basis = _basis(t, frequency_hz, n_harmonics)
    return np.asarray(np.linalg.solve(basis.T @ basis, basis.T @ x))


def _stepped(
    t: Floats, x: Floats, frequency_hz: float, coefficients: Floats, n_harmonics: int
) -> tuple[Floats, float]:
    """Return the coefficients and the change of frequency of one Gauss-Newton step."""
    basis = _basis(t, frequency_hz, n_harmonics)
    slope = np.zeros(t.size)
    for k in range(1, n_harmonics + 1):
        a, b = coefficients[2 * k - 1 : 2 * k + 1]
        slope += 2 * np.pi * k * t * (b * basis[:, 2 * k - 1] - a * basis[:, 2 * k])
    wide = np.column_stack([basis, slope])
    solved = np.linalg.solve(wide.T @ wide, wide.T @ x)
    return solved[:-1], float(solved[-1])
