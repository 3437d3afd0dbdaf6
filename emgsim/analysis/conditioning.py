"""The signal in which discharges are looked for: band-passed, at a working rate, gaps marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from emgsim.analysis.plan import NeedlePlan

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

RATE_PER_LOWPASS = 3.2  # working rate; parabolas through samples then find peaks to 1 % of one
EDGE_S = 0.02  # mirrored at both ends before the filter
AROUND_GAP_S = 0.002  # what the filter smears into a gap's neighbourhood
WHITEST = 0.05  # of the floor's largest density: no frequency is raised beyond its inverse


@dataclass(frozen=True, kw_only=True)
class Conditioned:
    """A filtered signal, and where it may be trusted.

    ``samples`` are ``(n,)`` of one channel or ``(n_channels, n)`` of several, ``usable`` ``(n,)``.
    """

    samples: Floats
    usable: Flags
    rate_hz: float
    start_s: float

    @property
    def n_samples(self) -> int:
        """Number of samples of each channel."""
        return int(self.samples.shape[-1])

    @property
    def n_channels(self) -> int:
        """Number of channels that are looked at together."""
        return int(np.atleast_2d(self.samples).shape[0])

    @property
    def usable_s(self) -> float:
        """Seconds of signal outside gaps."""
        return float(np.count_nonzero(self.usable)) / self.rate_hz


def condition(samples_uv: Floats, rate_hz: float, start_s: float, plan: NeedlePlan) -> Conditioned:
    """Band-pass one channel with zero phase and bring it to the working rate.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples,)``; NaN where samples are missing.
    rate_hz, start_s
        Rate and time of the first sample.
    plan
        Gives the band.
    """
    missing = ~np.isfinite(samples_uv)
    edge = min(int(EDGE_S * rate_hz), samples_uv.size - 1)
    padded = np.pad(bridged(samples_uv), edge, mode="reflect", reflect_type="odd")
    n = padded.size
    lowpass_hz = min(plan.lowpass_hz, 0.42 * rate_hz)
    target_hz = min(rate_hz, RATE_PER_LOWPASS * lowpass_hz)
    n_out = fft.next_fast_len(int(np.ceil(n * target_hz / rate_hz)), real=True)
    n_out = min(n, n_out)
    frequency = fft.rfftfreq(n, 1 / rate_hz)
    spectrum = fft.rfft(padded) * band(frequency, plan.highpass_hz, lowpass_hz)
    filtered = fft.irfft(spectrum[: n_out // 2 + 1], n_out) * (n_out / n)
    work_hz = rate_hz * n_out / n
    first = int(np.ceil(edge * work_hz / rate_hz))
    count = int((n - 2 * edge) * work_hz / rate_hz)
    kept = filtered[first : first + count]
    time_s = first / work_hz - edge / rate_hz + np.arange(kept.size) / work_hz
    wide = ndimage.binary_dilation(missing, iterations=max(1, int(AROUND_GAP_S * rate_hz)))
    at = np.minimum(np.rint(time_s * rate_hz).astype(np.int64), samples_uv.size - 1)
    return Conditioned(
        samples=kept, usable=~wide[at], rate_hz=work_hz, start_s=start_s + float(time_s[0])
    )


def stacked(signals: Sequence[Conditioned]) -> Conditioned:
    """Return signals of one recording as one of several channels, each over its own rms.

    What is missing in one channel is usable in none: a discharge is looked for in all of them.

    Raises
    ------
    ValueError
        If there is no signal, or they do not have one rate, start and length.
    """
    if not signals:
        raise ValueError("signals: expected at least one, got none")
    if len({(s.rate_hz, s.start_s, s.n_samples) for s in signals}) > 1:
        raise ValueError("signals must share rate_hz, start_s and length")
    if len(signals) == 1:
        return signals[0]
    rows = [s.samples / max(float(np.std(s.samples)), 1e-30) for s in signals]
    usable = np.logical_and.reduce([s.usable for s in signals])
    return replace(signals[0], samples=np.array(rows), usable=usable)


def band(frequency_hz: Floats, highpass_hz: float, lowpass_hz: float) -> Floats:
    """Return the gain of a second-order high-pass and of a half-cosine low-pass edge."""
    ratio = np.divide(
        highpass_hz, frequency_hz, out=np.full(frequency_hz.shape, np.inf), where=frequency_hz > 0
    )
    high = 1 / (1 + ratio**4)
    fall = np.clip((frequency_hz - 0.9 * lowpass_hz) / (0.2 * lowpass_hz), 0, 1)
    return np.asarray(high * np.cos(np.pi / 2 * fall) ** 2)


def bridged(samples: Floats) -> Floats:
    """Return the samples with straight lines across what is missing."""
    missing = ~np.isfinite(samples)
    if not missing.any():
        return samples
    at = np.arange(samples.size)
    return np.asarray(np.interp(at, at[~missing], samples[~missing]))


def whitened(signal: Conditioned, floor: Floats, lowpass_hz: float) -> Conditioned:
    """Flatten the spectrum of the floor, so that equal errors count equally.

    Parameters
    ----------
    signal
        What is to be whitened.
    floor
        Shape of the signal's samples, what is left when all known discharges are taken away.
    lowpass_hz
        Upper edge of the band; nothing above it is raised.
    """
    if signal.samples.ndim > 1:
        rows = [
            whitened(replace(signal, samples=row), rest, lowpass_hz).samples
            for row, rest in zip(signal.samples, floor, strict=True)
        ]
        return replace(signal, samples=np.array(rows))
    density_hz, density = spectrum_of(floor, signal.usable, signal.rate_hz)
    frequency = fft.rfftfreq(signal.samples.size, 1 / signal.rate_hz)
    inside = density[density_hz < lowpass_hz]
    lowest = WHITEST * float(inside.max()) if inside.size else 1.0
    gain = 1 / np.sqrt(np.maximum(np.interp(frequency, density_hz, density), max(lowest, 1e-30)))
    gain *= np.sqrt(band(frequency, 1e-9, lowpass_hz))
    samples = fft.irfft(fft.rfft(signal.samples) * gain, signal.samples.size)
    return replace(signal, samples=samples)


def autocorrelation(values: Floats) -> Floats:
    """Return the sums of products of values with themselves so many places later.

    Parameters
    ----------
    values
        Shape ``(..., n)``; each row by itself.

    Returns
    -------
    ndarray
        Shape ``(..., n)``: lags 0 to ``n - 1``, each of as many products as there are.
    """
    n = values.shape[-1]
    return np.asarray(np.fft.irfft(np.abs(np.fft.rfft(values, 2 * n)) ** 2)[..., :n])


def spectrum_of(samples: Floats, usable: Flags, rate_hz: float) -> tuple[Floats, Floats]:
    """Return frequencies and a robust power density (median over stretches of 16 ms)."""
    length = max(64, int(0.016 * rate_hz))
    n = samples.size // length
    pieces = samples[: n * length].reshape(n, length)
    good = usable[: n * length].reshape(n, length).all(axis=1)
    power = np.abs(fft.rfft(pieces[good] * np.hanning(length), axis=1)) ** 2
    awake = power.sum(axis=1) > 0.05 * np.median(power.sum(axis=1))
    density = np.median(power[awake], axis=0)
    smooth = ndimage.uniform_filter1d(density, 5, mode="nearest")
    return fft.rfftfreq(length, 1 / rate_hz), np.asarray(smooth)
