"""Where and how fast a recorder's clock ran against the clock of what was played.

A recorder took its sample k at the player's time ``offset + k (1 + drift) / rate``. The coarse
place comes from correlation with the two markers, the fine one from a joint least-squares fit of
gain, offset and drift to the whole waveform, which is known: the EMG itself carries more timing
information than any marker. Nothing is resampled: the answer is a start time and a true rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.errors import NotAnalysableError
from emgsim.stages import BandResponse

Floats = NDArray[np.float64]

OVERSAMPLING = 4
GAUSS_NEWTON_STEPS = 8
WINDOW_S = 0.5
WINDOW_SD_US = 1.0  # a window that cannot tell the lag better than this says nothing
SLOWEST_CLOCK = 1e-3  # relative; a recorder's clock is closer than that to its nominal rate
MARKER_CORRELATION = 0.3  # below it a marker was not found


class Waveform:
    """A known, band-limited waveform that can be read at any time.

    It is put on a grid four times as fine by Fourier interpolation and read by cubic Lagrange
    interpolation from there; outside its span it is zero.
    """

    def __init__(
        self, samples: Floats, rate_hz: float, response: BandResponse | None = None
    ) -> None:
        n = fft.next_fast_len(samples.size, real=True)
        spectrum = fft.rfft(samples, n)
        if response is not None:
            spectrum = spectrum * response.at(fft.rfftfreq(n, 1 / rate_hz))
        fine = fft.irfft(spectrum, n * OVERSAMPLING) * OVERSAMPLING
        self._fine = fine[: samples.size * OVERSAMPLING]
        self.rate_hz = rate_hz
        self._fine_rate_hz = rate_hz * OVERSAMPLING

    def at(self, times_s: Floats) -> tuple[Floats, Floats]:
        """Return the values and the slopes (per second) at the given times."""
        position = times_s * self._fine_rate_hz
        index = np.floor(position).astype(np.int64)
        inside = (index >= 1) & (index < self._fine.size - 2)
        i = np.where(inside, index, 1)
        u = position - index
        a, b, c, d = (self._fine[i + k] for k in (-1, 0, 1, 2))
        c1 = -a / 3 - b / 2 + c - d / 6
        c2 = a / 2 - b + c / 2
        c3 = (d - a) / 6 + (b - c) / 2
        value = b + u * (c1 + u * (c2 + u * c3))
        slope = (c1 + u * (2 * c2 + 3 * u * c3)) * self._fine_rate_hz
        return np.where(inside, value, 0.0), np.where(inside, slope, 0.0)


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """How a recorder's samples lie on the player's clock, and what is left over."""

    offset_s: float  # player's time of sample 0
    drift: float  # relative length of the recorder's sample period
    gain: float  # recorded over expected; negative: inverted polarity
    offset_sd_s: float
    drift_sd: float
    gain_sd: float
    residual_rms: float  # of recorded minus fitted, in the recording's unit
    windows: tuple[tuple[float, float, float], ...]  # (player's time s, lag us, SD us)

    @property
    def clock_ppm(self) -> float:
        """The recorder's rate against the player's clock: true over nominal, minus 1, in ppm."""
        return (1 / (1 + self.drift) - 1) * 1e6

    @property
    def worst_lag_us(self) -> tuple[float, float]:
        """The largest local lag and its standard deviation, microseconds."""
        if not self.windows:
            return float("nan"), float("nan")
        _, lag, sd = max(self.windows, key=lambda window: abs(window[1]))
        return abs(lag), sd

    def times_s(self, n_samples: int, rate_hz: float) -> Floats:
        """Return the player's time of every sample."""
        return self.offset_s + np.arange(n_samples, dtype=np.float64) * ((1 + self.drift) / rate_hz)


def playback(
    samples: Floats, rate_hz: float, opening: tuple[float, Floats], duration_s: float
) -> slice:
    """Return which samples hold the playback, begun by its opening marker.

    A recorder runs for some time before it is triggered, and how long differs from run to run.
    Cut to the playback, the samples are the same every time, and so is all that follows.

    Raises
    ------
    NotAnalysableError
        If the marker is not in the recording.
    """
    start_s, shape = opening
    marker = round(_find(np.where(np.isfinite(samples), samples, 0.0), shape, 0))
    first = max(0, marker - round(start_s * rate_hz))
    return slice(first, first + round(duration_s * rate_hz))


def align(
    samples: Floats,
    rate_hz: float,
    waveform: Waveform,
    markers: tuple[tuple[float, Floats], tuple[float, Floats]],
) -> Alignment:
    """Find gain, offset and drift of a recording of a known waveform.

    Parameters
    ----------
    samples
        Shape ``(n,)``; NaN where samples were lost.
    rate_hz
        The recorder's nominal rate.
    waveform
        What the recorder should have seen, on the player's clock.
    markers
        Start time on the player's clock and shape ``(n_marker,)`` at ``rate_hz`` of the opening
        and of the closing marker. They must be unlike, or one is taken for the other.

    Raises
    ------
    NotAnalysableError
        If a marker is not in the recording.
    """
    known = np.isfinite(samples)
    clean = np.where(known, samples, 0.0)
    offset_s, drift = _coarse(clean, rate_hz, markers)
    index = np.flatnonzero(known)
    recorded = samples[index]
    run_s = index / rate_hz
    parameters = np.array([0.0, offset_s, drift])
    for _ in range(GAUSS_NEWTON_STEPS):
        value, slope = waveform.at(parameters[1] + run_s * (1 + parameters[2]))
        if parameters[0] == 0.0:
            parameters[0] = (recorded @ value) / (value @ value)
        columns = np.stack([value, parameters[0] * slope, parameters[0] * slope * run_s])
        left = recorded - parameters[0] * value
        normal = columns @ columns.T
        change = np.linalg.solve(normal, columns @ left)
        parameters = parameters + change
        if abs(change[1]) < 1e-12 and abs(change[2]) < 1e-13:
            break
    gain, offset_s, drift = (float(p) for p in parameters)
    value, slope = waveform.at(offset_s + run_s * (1 + drift))
    left = recorded - gain * value
    rms = float(np.sqrt(np.mean(left**2)))
    sd = rms * np.sqrt(np.diag(np.linalg.inv(normal)))
    return Alignment(
        offset_s=offset_s,
        drift=drift,
        gain=gain,
        gain_sd=float(sd[0]),
        offset_sd_s=float(sd[1]),
        drift_sd=float(sd[2]),
        residual_rms=rms,
        windows=_windows(left, gain * slope, offset_s + run_s * (1 + drift), rms),
    )


def _coarse(
    samples: Floats, rate_hz: float, markers: tuple[tuple[float, Floats], tuple[float, Floats]]
) -> tuple[float, float]:
    """Return offset and drift from where the first and the last marker were found."""
    (first_s, opening), (last_s, closing) = markers
    begin = _find(samples, opening, 0)
    span = (last_s - first_s) * rate_hz
    slack = SLOWEST_CLOCK * span + 2
    guess = max(0, int(begin + span - slack))
    window = samples[guess : int(begin + span + slack) + closing.size + 1]
    stretch = span / (_find(window, closing, guess) - begin)
    return first_s - begin / rate_hz * stretch, stretch - 1


def _find(samples: Floats, marker: Floats, begin: int) -> float:
    """Return the index, counted from ``begin``, at which a marker starts, with its fraction."""
    n = fft.next_fast_len(samples.size + marker.size, real=True)
    product = fft.rfft(samples, n) * np.conj(fft.rfft(marker, n))
    likeness = np.abs(fft.irfft(product, n)[: max(1, samples.size)])
    best = int(np.argmax(likeness))
    here = samples[best : best + marker.size]
    norm = float(np.linalg.norm(here) * np.linalg.norm(marker[: here.size]))
    if norm == 0 or likeness[best] < MARKER_CORRELATION * norm:
        raise NotAnalysableError(
            f"no marker found in the recording: best correlation "
            f"{likeness[best] / norm if norm else 0.0:.2f}, needed {MARKER_CORRELATION}",
            todo="check that the source was played and that the device is wired to the fixture",
        )
    if not 0 < best < likeness.size - 1:
        return float(begin + best)
    low, mid, high = likeness[best - 1 : best + 2]
    return float(begin + best + 0.5 * (low - high) / (low - 2 * mid + high))


def _windows(
    left: Floats, slope: Floats, times_s: Floats, rms: float
) -> tuple[tuple[float, float, float], ...]:
    """Return the lag that is left in each window: the residual projected on the slope."""
    out = []
    number = np.floor((times_s - times_s[0]) / WINDOW_S).astype(np.int64)
    edges = np.flatnonzero(np.diff(number, prepend=-1))
    for first, last in zip(edges, [*edges[1:], times_s.size], strict=True):
        energy = float(slope[first:last] @ slope[first:last])
        if energy <= 0 or 1e6 * rms / np.sqrt(energy) > WINDOW_SD_US:
            continue
        # The model is recorded(t) = waveform(t - lag): a late recorder lags behind the slope.
        lag_us = -1e6 * float(left[first:last] @ slope[first:last]) / energy
        out.append((float(times_s[first]), lag_us, float(1e6 * rms / np.sqrt(energy))))
    return tuple(out)
