"""The floor of a muscle at rest: hum taken away, and the rest made white."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, ndimage

from emgsim.analysis.conditioning import Conditioned, Flags, Floats, band, condition
from emgsim.analysis.plan import NeedlePlan

Complex = NDArray[np.complex128]

HIGHPASS_HZ, LOWPASS_HZ = 60.0, 6000.0  # movement and heart lie below, half of a spike above 500
MAINS_HZ = (50.0, 60.0)
HARMONICS = (1, 2, 3, 4, 5, 6, 7, 9, 11, 13)
HUM_WINDOW_S = 1.0  # hum strays within it by less than a tenth of a period
# how far from a line its neighbourhood is, and where a train of which it is a harmonic has others
BESIDE_HZ = (-7.0, 7.0, -10.0, 10.0, 12.5, -50 / 3, 50 / 3, -25.0, 25.0)
STANDS_OUT = 4.0  # a line over its neighbourhood
PIECE_S, SHORT_PIECE_S = 0.016, 0.004
MUCH_QUIETER = 0.6
QUIET_SHARE = 0.2  # of the pieces at each frequency: activity may fill most of the time
LOUDEST_UV = 14.0  # rms in the band; relaxed 2-5, with end-plate noise up to 10
QUIETEST, PEAKED = 0.25, 3.4  # Gaussian noise has 2.8-3.1, cramps 3.7 and more
# rms in the band: the least that electrode and amplifier have. A clean simulation has no floor at
# all, and what is smaller than any noise must not be named.
LEAST_UV = 1.0


def conditioned(samples_uv: Floats, rate_hz: float, start_s: float) -> Conditioned:
    """Band-pass a stretch of rest to 60 Hz - 6 kHz, and take the mains hum away.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples,)``; NaN where samples are missing.
    rate_hz, start_s
        Rate and time of the first sample.
    """
    plan = NeedlePlan(highpass_hz=HIGHPASS_HZ, lowpass_hz=LOWPASS_HZ)
    signal = condition(samples_uv, rate_hz, start_s, plan)
    return replace(signal, samples=signal.samples - hum(signal.samples, signal.rate_hz))


def hum(samples: Floats, rate_hz: float) -> Floats:
    """Return the mains hum in a signal, shape ``(n,)``: lines that stand out of what is beside.

    Each line's size and phase are followed in windows of one second. A train of discharges has
    lines too: if one falls on the mains, those beside it tell.
    """
    out = np.zeros(samples.size)
    length = 2 * round(HUM_WINDOW_S * rate_hz / 2)
    if samples.size < length:
        return out
    for mains_hz in MAINS_HZ:
        for order in HARMONICS:
            line_hz = order * mains_hz
            if line_hz > 0.45 * rate_hz:
                break
            size = _sizes(samples, line_hz, rate_hz, length)
            beside = [
                float(np.median(np.abs(_sizes(samples, line_hz + side, rate_hz, length))))
                for side in (BESIDE_HZ if order == 1 else BESIDE_HZ[:2])
            ]
            if np.median(np.abs(size)) > STANDS_OUT * max(beside):
                out += _line(size, line_hz, rate_hz, length, samples.size)
            elif order == 1:
                break
    return out


def _sizes(samples: Floats, line_hz: float, rate_hz: float, length: int) -> Complex:
    """Return the complex size of a line in windows that overlap by half."""
    turns = np.exp(-2j * np.pi * line_hz / rate_hz * np.arange(samples.size))
    half = length // 2
    padded = np.pad(samples * turns, (half, length))
    held = np.pad(np.ones(samples.size), (half, length))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(length) + 0.5) / length)
    n = samples.size // half + 1
    real, imaginary, weight = (
        sliding_window_view(part, length)[::half][:n] @ window
        for part in (padded.real.copy(), padded.imag.copy(), held)
    )
    return np.asarray(2 * (real + 1j * imaginary) / np.maximum(weight, 1.0))


def _line(size: Complex, line_hz: float, rate_hz: float, length: int, n: int) -> Floats:
    """Return a line from its complex sizes at every half window, straight lines between."""
    at = np.arange(n)
    middle = (length // 2) * np.arange(size.size)
    course = np.interp(at, middle, size.real) + 1j * np.interp(at, middle, size.imag)
    return np.asarray(np.real(course * np.exp(2j * np.pi * line_hz / rate_hz * at)))


def quiet_density(samples: Floats, usable: Flags, rate_hz: float) -> tuple[Floats, Floats]:
    """Return frequencies and the power density of the floor alone, in uV^2 per bin.

    Where fast activity leaves no quiet piece of 16 ms, pieces of 4 ms are asked; they resolve
    less, and count only if they are much quieter. Infinite if there is no piece without a gap.
    """
    frequency, density = _low_density(samples, usable, rate_hz, PIECE_S)
    short_hz, short = _low_density(samples, usable, rate_hz, SHORT_PIECE_S)
    fine = np.interp(frequency, short_hz, short)
    heard = (frequency > 1000) & (frequency < LOWPASS_HZ)
    if np.sum(fine[heard]) < MUCH_QUIETER * np.sum(density[heard]):
        density = np.minimum(density, fine)
    return frequency, density


def has_long_piece(signal: Conditioned) -> bool:
    """Tell whether a piece of 16 ms without a gap is there to tell the floor."""
    return bool(_whole_pieces(signal.usable, signal.rate_hz, PIECE_S).any())


def _whole_pieces(usable: Flags, rate_hz: float, piece_s: float) -> Flags:
    """Return which pieces of a stretch, each after the one before, have no gap."""
    length = max(32, int(piece_s * rate_hz))
    n = usable.size // length
    return np.asarray(usable[: n * length].reshape(n, length).all(axis=1))


def _low_density(
    samples: Floats, usable: Flags, rate_hz: float, piece_s: float
) -> tuple[Floats, Floats]:
    """Return frequencies and a low quantile over pieces, raised to the mean of Gaussian noise."""
    length = max(32, int(piece_s * rate_hz))
    n = samples.size // length
    pieces = samples[: n * length].reshape(n, length)
    good = _whole_pieces(usable, rate_hz, piece_s) & (np.ptp(pieces, axis=1) > 0)
    frequency = fft.rfftfreq(length, 1 / rate_hz)
    if not good.any():
        return frequency, np.full(frequency.size, np.inf)
    window = np.hanning(length)
    power = np.abs(fft.rfft(pieces[good] * window, axis=1)) ** 2 / np.sum(window**2)
    low = np.quantile(power, QUIET_SHARE, axis=0) / -np.log(1 - QUIET_SHARE)
    width = max(1, round(5 * piece_s / PIECE_S))
    return frequency, np.asarray(ndimage.uniform_filter1d(low, width, mode="nearest"))


def _believable(density: Floats, inside: Flags, signal: Conditioned) -> Floats:
    """Return a density that a relaxed muscle may have: less, where activity is never quiet.

    Noise of a bad electrode may be as loud, but is Gaussian where it is quietest.
    """
    power = float(np.sum(density[inside])) / density.size
    if power < LOUDEST_UV**2 or _peakedness(signal) < PEAKED:
        return density
    return density * LOUDEST_UV**2 / power


def _peakedness(signal: Conditioned) -> float:
    """Return the fourth moment over the squared second, of the quietest quarter of all pieces."""
    length = max(32, int(PIECE_S * signal.rate_hz))
    n = signal.samples.size // length
    good = _whole_pieces(signal.usable, signal.rate_hz, PIECE_S)
    pieces = signal.samples[: n * length].reshape(n, length)[good]
    if len(pieces) == 0:
        return 0.0
    power = np.mean(pieces**2, axis=1)
    quiet = pieces[power <= np.quantile(power, QUIETEST)]
    return float(np.mean(quiet**4) / max(float(np.mean(quiet**2)) ** 2, 1e-30))


def white(signal: Conditioned) -> Conditioned:
    """Return the signal with its floor flat up to the low-pass.

    Silence if there is no stretch without gaps that could tell its floor. The floor's density is
    one: its correlation with any shape of unit energy in the band has an SD
    of one. The samples' own SD is less, as there is nothing above the low-pass.
    """
    density_hz, density = quiet_density(signal.samples, signal.usable, signal.rate_hz)
    inside = (density_hz > HIGHPASS_HZ) & (density_hz < 0.9 * LOWPASS_HZ)
    density = _believable(density, inside, signal)
    least = max(0.02 * float(density[inside].max(initial=0.0)), LEAST_UV**2)
    frequency = fft.rfftfreq(signal.samples.size, 1 / signal.rate_hz)
    gain = 1 / np.sqrt(np.maximum(np.interp(frequency, density_hz, density), least))
    gain *= np.sqrt(band(frequency, HIGHPASS_HZ, 0.9 * LOWPASS_HZ))
    return replace(signal, samples=fft.irfft(fft.rfft(signal.samples) * gain, signal.samples.size))
