"""Where and how fast a recorder's clock ran against the clock of what was played.

A recorder took its sample k at the player's time ``offset + k (1 + drift) / rate``. The coarse
place comes from correlation with the two markers, the fine one from a joint least-squares fit of
gain, offset and drift to the whole waveform, which is known: the EMG itself carries more timing
information than any marker. Nothing is resampled: the answer is a start time and a true rate.
"""

from __future__ import annotations

from collections.abc import Iterator
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
BLOCK = 32_768  # samples worked on at a time: memory does not grow, and it stays in the cache


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
            _respond(spectrum, n / rate_hz, response)
        spectrum *= OVERSAMPLING
        fine = fft.irfft(spectrum, n * OVERSAMPLING)
        self._fine = fine[: samples.size * OVERSAMPLING]
        self.rate_hz = rate_hz
        self._fine_rate_hz = rate_hz * OVERSAMPLING

    def at(self, times_s: Floats) -> tuple[Floats, Floats]:
        """Return the values and the slopes (per second) at the given times."""
        value, slope = np.empty(times_s.size), np.empty(times_s.size)
        for block in _blocks(times_s.size):
            value[block], slope[block] = self._at(times_s[block])
        return value, slope

    def _at(self, times_s: Floats) -> tuple[Floats, Floats]:
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


def _respond(spectrum: NDArray[np.complex128], duration_s: float, response: BandResponse) -> None:
    """Multiply a spectrum, whose bins are ``1 / duration_s`` apart, by a response, in place."""
    for block in _blocks(spectrum.size):
        spectrum[block] *= response.at(np.arange(block.start, block.stop) / duration_s)


def _blocks(n: int) -> Iterator[slice]:
    """Cut ``n`` samples into blocks."""
    return (slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK))


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
    offset_s, drift = _coarse(np.nan_to_num(samples, nan=0.0), rate_hz, markers)
    return refine(samples, rate_hz, waveform, offset_s, drift)


def refine(
    samples: Floats, rate_hz: float, waveform: Waveform, offset_s: float, drift: float
) -> Alignment:
    """Find gain, offset and drift of a recording that is known to lie about there.

    Parameters
    ----------
    samples
        Shape ``(n,)``; NaN where samples were lost, or are to be left out.
    rate_hz
        The recorder's nominal rate.
    waveform
        What the recorder should have seen, on the player's clock.
    offset_s, drift
        As `Alignment` has them, to within a quarter of the waveform's shortest period.
    """
    gain = 0.0
    for _ in range(GAUSS_NEWTON_STEPS):
        products = np.zeros((4, 4))
        for read in _read(samples, rate_hz, waveform, offset_s, drift):
            rows = np.stack([read.value, read.slope, read.slope * read.run_s, read.recorded])
            products += rows @ rows.T
        gain = gain or products[0, 3] / products[0, 0]
        by = np.array([1.0, gain, gain])
        normal = products[:3, :3] * np.outer(by, by)
        change = np.linalg.solve(normal, by * (products[:3, 3] - gain * products[:3, 0]))
        gain, offset_s, drift = gain + change[0], offset_s + change[1], drift + change[2]
        if abs(change[1]) < 1e-12 and abs(change[2]) < 1e-13:
            break
    rms, windows = _left_over(_read(samples, rate_hz, waveform, offset_s, drift), gain)
    sd = rms * np.sqrt(np.diag(np.linalg.inv(normal)))
    return Alignment(
        offset_s=float(offset_s),
        drift=float(drift),
        gain=float(gain),
        gain_sd=float(sd[0]),
        offset_sd_s=float(sd[1]),
        drift_sd=float(sd[2]),
        residual_rms=rms,
        windows=windows,
    )


@dataclass(frozen=True)
class _Read:
    """A block of a recording beside the waveform; lost samples are left out."""

    recorded: Floats
    run_s: Floats  # on the recorder's nominal clock, from its sample 0
    times_s: Floats  # on the player's clock
    value: Floats
    slope: Floats


def _read(
    samples: Floats, rate_hz: float, waveform: Waveform, offset_s: float, drift: float
) -> Iterator[_Read]:
    """Read a recording and the waveform side by side, block by block."""
    for block in _blocks(samples.size):
        known = block.start + np.flatnonzero(np.isfinite(samples[block]))
        run_s = known / rate_hz
        times_s = offset_s + run_s * (1 + drift)
        yield _Read(samples[known], run_s, times_s, *waveform.at(times_s))


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
    best = _likest(samples, marker)
    here = samples[best : best + marker.size]
    norm = float(np.linalg.norm(here) * np.linalg.norm(marker[: here.size]))
    low, mid, high = (_likeness(samples, marker, best + k) for k in (-1, 0, 1))
    if norm == 0 or mid < MARKER_CORRELATION * norm:
        raise NotAnalysableError(
            f"no marker found in the recording: best correlation "
            f"{mid / norm if norm else 0.0:.2f}, needed {MARKER_CORRELATION}",
            todo="check that the source was played and that the device is wired to the fixture",
        )
    if not 0 < best < samples.size - 1:
        return float(begin + best)
    return float(begin + best + 0.5 * (low - high) / (low - 2 * mid + high))


def _likest(samples: Floats, marker: Floats) -> int:
    """Return where a marker correlates most with the samples, whatever its sign."""
    size = int(fft.next_fast_len(marker.size + max(BLOCK, 8 * marker.size), real=True))
    step = size - marker.size + 1
    spectrum = np.conj(fft.rfft(marker, size))
    best, highest = 0, -1.0
    for first in range(0, samples.size, step):
        heard = fft.rfft(samples[first : first + size], size)
        likeness = np.abs(fft.irfft(heard * spectrum, size)[: min(step, samples.size - first)])
        here = int(np.argmax(likeness))
        if likeness[here] > highest:
            best, highest = first + here, float(likeness[here])
    return best


def _likeness(samples: Floats, marker: Floats, first: int) -> float:
    """Return the correlation of a marker that starts at a sample, without its sign."""
    here = samples[max(first, 0) : max(first + marker.size, 0)]
    return abs(float(here @ marker[max(-first, 0) :][: here.size]))


def _left_over(
    reads: Iterator[_Read], gain: float
) -> tuple[float, tuple[tuple[float, float, float], ...]]:
    """Return the rms of the residual, and the lag that is left in each window.

    The lag is the residual projected on the slope. A window is as in `Alignment`.
    """
    square, n, start_s = 0.0, 0, np.nan
    found: dict[int, list[float]] = {}  # by number: its first time, energy and product
    for read in reads:
        left, slope = read.recorded - gain * read.value, gain * read.slope
        square, n = square + float(left @ left), n + left.size
        if not n:
            continue
        start_s = read.times_s[0] if np.isnan(start_s) else start_s
        number = np.floor((read.times_s - start_s) / WINDOW_S).astype(np.int64)
        edges = np.flatnonzero(np.diff(number, prepend=-1))
        energy = np.add.reduceat(slope**2, edges)
        product = np.add.reduceat(left * slope, edges)
        for k, edge in enumerate(edges.tolist()):
            window = found.setdefault(int(number[edge]), [float(read.times_s[edge]), 0.0, 0.0])
            window[1] += energy[k]
            window[2] += product[k]
    rms = float(np.sqrt(square / n))
    # The model is recorded(t) = waveform(t - lag): a late recorder lags behind the slope.
    return rms, tuple(
        (first_s, float(-1e6 * product / energy), float(1e6 * rms / np.sqrt(energy)))
        for first_s, energy, product in found.values()
        if energy > 0 and 1e6 * rms / np.sqrt(energy) <= WINDOW_SD_US
    )
