"""The average of many sweeps, robust and with its noise shrunk away, octave by octave.

Each sweep is cut into octaves as analytic signals. In each octave the average gives little weight
to what lies far off (superpositions, the murmur's larger potentials), and its variance is measured
from the sweeps themselves. Then every octave is multiplied, at each time, by the share of its power
that is the potential's (Wiener). That power is taken to fall away from the main spike on both sides
(isotonic regression), which lets a few discharges tell a potential's tail from the murmur.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.optimize import isotonic_regression

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

LOWEST_HZ, HIGHEST_HZ = 40.0, 10_000.0  # the first octave holds all below, the last all above
EDGE_S = 0.016  # by which a sweep is prolonged with its end values
PER_PERIOD = 8.0  # samples of an octave's signal per period of its centre
DEGREES = 2.0  # of freedom of Student's t, whose weights the average has
TURNS = 5  # of weighting anew
PEAK_S = 0.004  # around the spike, where an octave's power has its peak
STEADY_S = 0.004  # the average's variance is even over as long
INFLATION = 1.9  # of that variance: what weights made from the same sweeps hide of it
NEIGHBOURS = 0.1  # how far power in an octave speaks for that in the next ones


@dataclass(frozen=True, kw_only=True)
class Octave:
    """One octave of some sweeps.

    ``values`` is ``(n_sweeps, n)``, at ``rate_hz``; ``weights`` of the same shape are those of the
    robust average.
    """

    centre_hz: float
    rate_hz: float
    values: Complexes
    weights: Floats


@dataclass(frozen=True, kw_only=True)
class OctaveAverage:
    """The average of an octave, ``(n,)``, and the variance of it at each time, smoothed."""

    centre_hz: float
    rate_hz: float
    mean: Complexes
    noise: Floats


def octaves(sweeps_uv: Floats, rate_hz: float) -> tuple[Octave, ...]:
    """Cut sweeps into octaves and weigh them.

    Parameters
    ----------
    sweeps_uv
        Shape ``(n_sweeps, n_samples)``.
    rate_hz
        Their sampling rate.
    """
    edge = round(EDGE_S * rate_hz)
    padded = np.pad(sweeps_uv, ((0, 0), (edge, edge)), mode="edge")
    spectrum = np.asarray(fft.rfft(padded, _length(sweeps_uv.shape[1], rate_hz), axis=1))
    out = []
    for centre_hz, gain in _shares(_length(sweeps_uv.shape[1], rate_hz), rate_hz):
        values, own_hz = _analytic(spectrum * gain, centre_hz, rate_hz)
        weights = _robust_weights(values)
        out.append(Octave(centre_hz=centre_hz, rate_hz=own_hz, values=values, weights=weights))
    return tuple(out)


def averaged_octave(octave: Octave) -> OctaveAverage:
    """Average an octave with its weights, and measure how far the average may be off."""
    n = octave.values.shape[0]
    total = octave.weights.sum(axis=0)
    mean = (octave.weights * octave.values).sum(axis=0) / total
    apart = np.sum((octave.weights * np.abs(octave.values - mean)) ** 2, axis=0)
    variance = INFLATION * apart / total**2 * (n / max(1, n - 1))
    width = round(max(4 * PER_PERIOD, STEADY_S * octave.rate_hz))
    noise = ndimage.uniform_filter1d(variance, width, mode="nearest")
    noise = np.maximum(np.maximum(noise, np.median(variance)), 1e-30)
    return OctaveAverage(centre_hz=octave.centre_hz, rate_hz=octave.rate_hz, mean=mean, noise=noise)


def resampled_octave(
    octave: Octave, average: OctaveAverage, counts: Floats
) -> tuple[OctaveAverage, ...]:
    """Average an octave with each sweep as often as ``counts`` ``(n_resamples, n_sweeps)`` says.

    The weights stay as they are, and hide from the resamples what they hide from the variance:
    each is moved as much farther from the average.
    """
    total = np.maximum(counts @ octave.weights, 1e-12)
    means = counts @ (octave.weights * octave.values) / total
    return tuple(
        replace(average, mean=average.mean + np.sqrt(INFLATION) * (mean - average.mean))
        for mean in means
    )


def shrunk(averages: Iterable[OctaveAverage], n: int, before: int, rate_hz: float) -> Floats:
    """Add octaves to a waveform, each weakened where it may be noise.

    Parameters
    ----------
    averages
        Of all octaves.
    n
        Samples of the waveform, as many as the sweeps had.
    before
        Sample of the main spike.
    rate_hz
        Of the waveform.

    Returns
    -------
    ndarray
        Shape ``(n,)``.
    """
    parts = list(averages)
    spike_s = EDGE_S + before / rate_hz
    ratios = [_power_ratio(part, spike_s) for part in parts]
    gains = []
    for j, (part, own) in enumerate(zip(parts, ratios, strict=True)):
        beside = [
            _resampled(ratios[k], parts[k].rate_hz, part.rate_hz, own.size)
            for k in (j - 1, j + 1)
            if 0 <= k < len(parts)
        ]
        evidence = own + NEIGHBOURS * np.sum(beside, axis=0)
        gains.append(own / (1 + own) * evidence / (1 + evidence))
    return _joined(parts, gains, n, rate_hz)


def plain(averages: Iterable[OctaveAverage], n: int, rate_hz: float) -> Floats:
    """Add octaves to a waveform ``(n,)`` as they are."""
    parts = list(averages)
    return _joined(parts, [np.ones(part.mean.size) for part in parts], n, rate_hz)


def standard_error_uv(averages: Iterable[OctaveAverage]) -> float:
    """Return the standard error of the plain average, microvolts, as it is at most times."""
    return float(np.sqrt(sum(0.5 * float(np.median(part.noise)) for part in averages)))


def _length(n: int, rate_hz: float) -> int:
    return 2 * int(fft.next_fast_len((n + 1) // 2 + round(EDGE_S * rate_hz), real=True))


def _shares(length: int, rate_hz: float) -> list[tuple[float, Floats]]:
    """Return centre and gain of each octave over the frequencies; the gains sum to one."""
    f_hz = fft.rfftfreq(length, 1 / rate_hz)
    number = np.log2(np.maximum(f_hz, 1e-9) / LOWEST_HZ)
    last = int(np.ceil(np.log2(min(HIGHEST_HZ, 0.4 * rate_hz) / LOWEST_HZ)))
    number = np.clip(number, 0, last)
    return [
        (LOWEST_HZ * 2.0**j, np.cos(np.pi / 2 * np.clip(number - j, -1, 1)) ** 2)
        for j in range(last + 1)
    ]


def _analytic(spectrum: Complexes, centre_hz: float, rate_hz: float) -> tuple[Complexes, float]:
    """Return analytic signals at no more samples than their octave needs, and their rate."""
    n_bins = spectrum.shape[1]
    length = 2 * (n_bins - 1)
    wanted = int(fft.next_fast_len(int(PER_PERIOD * centre_hz / rate_hz * length)))
    size = length if 2 * wanted >= length else wanted
    held = np.zeros((spectrum.shape[0], size), complex)
    kept = min(size, n_bins)
    held[:, :kept] = 2 * spectrum[:, :kept]
    held[:, 0] /= 2
    return np.asarray(fft.ifft(held, axis=1)) * (size / length), rate_hz * size / length


def _robust_weights(values: Complexes) -> Floats:
    """Return weights by Student's t of the power in which a sweep differs, about a period long."""
    if values.shape[0] < 5:
        return np.ones(values.shape)
    mean = _middle(values.real) + 1j * _middle(values.imag)
    weights = np.ones(values.shape)
    for _ in range(TURNS):
        apart = np.abs(values - mean) ** 2
        power = ndimage.gaussian_filter1d(apart, PER_PERIOD / 2, axis=1, mode="nearest")
        usual = ndimage.gaussian_filter1d(_middle(power), PER_PERIOD, mode="nearest")
        weights = (DEGREES + 2) / (DEGREES + 2 * power / np.maximum(usual, 1e-30))
        mean = (weights * values).sum(axis=0) / weights.sum(axis=0)
    return np.asarray(weights)


def _middle(values: Floats) -> Floats:
    """Return the median of each column; sorting rows takes a twentieth of `np.median`'s time."""
    ordered = np.ascontiguousarray(values.T)
    ordered.sort(axis=1)
    half = ordered.shape[1] // 2
    if ordered.shape[1] % 2:
        return ordered[:, half]
    return np.asarray(0.5 * (ordered[:, half - 1] + ordered[:, half]))


def _power_ratio(part: OctaveAverage, spike_s: float) -> Floats:
    """Return the power of the potential over that of the noise, falling away from the spike."""
    power = ndimage.gaussian_filter1d(np.abs(part.mean) ** 2, PER_PERIOD / 4, mode="nearest")
    first = max(0, round((spike_s - PEAK_S) * part.rate_hz))
    last = round((spike_s + PEAK_S) * part.rate_hz) + 1
    peak = first + int(np.argmax(power[first:last]))
    falling = np.concatenate(
        [
            isotonic_regression(power[: peak + 1]).x[:-1],
            isotonic_regression(power[peak:], increasing=False).x,
        ]
    )
    return np.asarray(np.maximum(falling / part.noise - 1, 0.0))


def _resampled(values: Floats, from_hz: float, to_hz: float, n: int) -> Floats:
    if from_hz == to_hz:
        return values
    return np.asarray(np.interp(np.arange(n) / to_hz, np.arange(values.size) / from_hz, values))


def _joined(parts: list[OctaveAverage], gains: list[Floats], n: int, rate_hz: float) -> Floats:
    length = _length(n, rate_hz)
    total = np.zeros(length // 2 + 1, complex)
    for part, gain in zip(parts, gains, strict=True):
        spectrum = np.asarray(fft.fft(gain * part.mean)) * (length / part.mean.size)
        kept = min(spectrum.size // 2, total.size)
        total[:kept] += spectrum[:kept] / 2
        total[0] += spectrum[0].real / 2
        # What the gain moved below 0 Hz belongs to the positive side's conjugate.
        mirrored = np.conj(spectrum[:-kept:-1])
        total[1 : 1 + mirrored.size][: kept - 1] += mirrored[: kept - 1] / 2
    edge = round(EDGE_S * rate_hz)
    return np.asarray(fft.irfft(total, length)[edge : edge + n])
