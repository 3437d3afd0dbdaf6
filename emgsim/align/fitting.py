"""The joint least-squares fit of a recording to a known waveform, and how sure it is.

Unknown are gain, offset and drift, and whatever else shapes the waveform (`Shaped`). The standard
deviations come from the normal matrix and from the spectrum of what is left: noise that is not
white weighs as much as lies where the waveform tells the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.align.waveform import Waveform, blocks

Floats = NDArray[np.float64]

GAUSS_NEWTON_STEPS = 8
WINDOW_S = 0.5
WINDOW_SD_US = 1.0  # a window that cannot tell the lag better than this says nothing
BANDS = 64  # of the noise's spectrum, at most
FEWEST_BINS = 24  # of each band: its power is then known to a third at worst


@dataclass(frozen=True, kw_only=True)
class Deviations:
    """Standard deviations of what is fitted."""

    gain: float
    offset_s: float  # of the time of sample 0
    drift: float
    middle_s: float  # of the time of the sample in the middle of the recording
    others: tuple[float, ...] = ()  # of further unknowns


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
    middle_sd_s: float = float("nan")  # of the time of the sample in the middle
    bound: Deviations | None = None  # Cramer and Rao's, in white noise of the residual's rms

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

    @property
    def over_bound(self) -> float:
        """Standard deviation of the time in mid-record over its bound: 1 in white noise."""
        return float("nan") if self.bound is None else self.middle_sd_s / self.bound.middle_s

    def times_s(self, n_samples: int, rate_hz: float) -> Floats:
        """Return the player's time of every sample."""
        return self.offset_s + np.arange(n_samples, dtype=np.float64) * ((1 + self.drift) / rate_hz)


@dataclass(frozen=True, eq=False)
class Shaped:
    """A waveform whose shape has unknowns of its own, near their present values.

    ``by`` are its derivatives with respect to each.
    """

    waveform: Waveform
    by: tuple[Waveform, ...] = ()

    def at(self, times_s: Floats, others: Floats) -> tuple[Floats, Floats, Floats]:
        """Return values and slopes, shape ``(n,)``, and derivatives, shape ``(n_others, n)``."""
        value, slope = self.waveform.at(times_s)
        by = np.empty((len(self.by), times_s.size))
        for k, waveform in enumerate(self.by):
            by[k], slope_by = waveform.at(times_s)
            value, slope = value + others[k] * by[k], slope + others[k] * slope_by
        return value, slope, by


@dataclass(frozen=True, eq=False)
class Fit:
    """Unknowns in the order gain, offset, drift, others; and their covariance matrices."""

    unknowns: Floats
    covariance: Floats
    white_covariance: Floats
    residual_rms: float
    windows: tuple[tuple[float, float, float], ...]

    def deviations(self, middle_s: float, *, white: bool) -> Deviations:
        """Return standard deviations; the recorder's clock shows ``middle_s`` in mid-record."""
        return deviations_of(self.white_covariance if white else self.covariance, middle_s)


def deviations_of(covariance: Floats, middle_s: float) -> Deviations:
    """Return the standard deviations of unknowns in the order gain, offset, drift, others.

    Parameters
    ----------
    covariance
        Shape ``(n_unknowns, n_unknowns)``.
    middle_s
        Time in mid-record on the recorder's nominal clock, which begins at sample 0.
    """
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    at = np.zeros(sd.size)
    at[1:3] = 1.0, middle_s
    return Deviations(
        gain=float(sd[0]),
        offset_s=float(sd[1]),
        drift=float(sd[2]),
        middle_s=float(np.sqrt(max(0.0, float(at @ covariance @ at)))),
        others=tuple(float(x) for x in sd[3:]),
    )


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
    start = np.array([0.0, offset_s, drift])
    return alignment_of(fitted(samples, rate_hz, Shaped(waveform), start), samples.size / rate_hz)


def alignment_of(fit: Fit, duration_s: float) -> Alignment:
    """Return the alignment that a fit to a recording of such a length tells."""
    sd = fit.deviations(duration_s / 2, white=False)
    return Alignment(
        offset_s=float(fit.unknowns[1]),
        drift=float(fit.unknowns[2]),
        gain=float(fit.unknowns[0]),
        gain_sd=sd.gain,
        offset_sd_s=sd.offset_s,
        drift_sd=sd.drift,
        residual_rms=fit.residual_rms,
        windows=fit.windows,
        middle_sd_s=sd.middle_s,
        bound=fit.deviations(duration_s / 2, white=True),
    )


def fitted(samples: Floats, rate_hz: float, shaped: Shaped, start: Floats) -> Fit:
    """Fit gain, offset, drift and what else shapes a waveform.

    Parameters
    ----------
    samples, rate_hz
        As in `refine`.
    shaped
        What the recorder should have seen.
    start
        Gain, offset, drift, others to begin with; a gain of 0 stands for one that is not known.
    """
    unknowns, normal = stepped(samples, rate_hz, shaped, start, GAUSS_NEWTON_STEPS)
    return judged(samples, rate_hz, shaped, unknowns, normal)


def stepped(
    samples: Floats, rate_hz: float, shaped: Shaped, start: Floats, n_steps: int
) -> tuple[Floats, Floats]:
    """Return the unknowns after some Gauss-Newton steps, and the last normal matrix.

    Parameters
    ----------
    samples, rate_hz, shaped, start
        As in `fitted`.
    n_steps
        At most: fewer where they have become nothing.
    """
    unknowns = start.copy()
    for _ in range(n_steps):
        sums = products(samples, rate_hz, shaped, unknowns)
        unknowns[0] = unknowns[0] or sums[0, -1] / sums[0, 0]
        by = by_unknown(unknowns)
        normal = sums[:-1, :-1] * np.outer(by, by)
        change = solve(normal, by * (sums[:-1, -1] - unknowns[0] * sums[:-1, 0]))
        unknowns += change
        if abs(change[1]) < 1e-12 and abs(change[2]) < 1e-13 and np.all(np.abs(change[3:]) < 1e-9):
            break
    return unknowns, normal


def judged(
    samples: Floats, rate_hz: float, shaped: Shaped, unknowns: Floats, normal: Floats
) -> Fit:
    """Return how sure unknowns are, and what they leave over; arguments as `stepped` has them."""
    rms, windows = _left_over(_read(samples, rate_hz, shaped, unknowns), unknowns[0])
    inverse, by = solve(normal, np.eye(unknowns.size)), by_unknown(unknowns)
    spread = np.outer(by, by) * _scatter(samples, rate_hz, shaped, unknowns)
    return Fit(unknowns, inverse @ spread @ inverse, rms**2 * inverse, rms, windows)


def squares_left(samples: Floats, rate_hz: float, shaped: Shaped, unknowns: Floats) -> float:
    """Return the sum of the squares of samples minus what they should be."""
    sums = products(samples, rate_hz, shaped, unknowns)
    gain = unknowns[0]
    return float(sums[-1, -1] - 2 * gain * sums[0, -1] + gain**2 * sums[0, 0])


def by_unknown(unknowns: Floats) -> Floats:
    """Return what the columns of `products` are multiplied with to be derivatives."""
    by = np.full(unknowns.size, unknowns[0])
    by[0] = 1.0
    return by


def solve(normal: Floats, right: Floats) -> Floats:
    """Solve normal equations whose unknowns differ by many orders of size."""
    scale = 1 / np.sqrt(np.diag(normal))
    if not np.all(np.isfinite(scale)):
        raise np.linalg.LinAlgError("the waveform tells nothing of an unknown")
    side = scale if right.ndim == 1 else scale[:, None]
    return np.asarray(side * np.linalg.solve(normal * np.outer(scale, scale), side * right))


@dataclass(frozen=True)
class _Read:
    """A block of a recording beside the waveform; lost samples are left out."""

    known: NDArray[np.int64]  # which samples
    recorded: Floats
    times_s: Floats  # on the player's clock
    value: Floats
    columns: Floats  # derivatives by gain, offset, drift, others, over the gain but for the first


def _read(samples: Floats, rate_hz: float, shaped: Shaped, unknowns: Floats) -> Iterator[_Read]:
    """Read a recording and the waveform side by side, block by block."""
    for block in blocks(samples.size):
        known = block.start + np.flatnonzero(np.isfinite(samples[block]))
        run_s = known / rate_hz
        times_s = unknowns[1] + run_s * (1 + unknowns[2])
        value, slope, by = shaped.at(times_s, unknowns[3:])
        columns = np.stack([value, slope, slope * run_s, *by])
        yield _Read(known, samples[known], times_s, value, columns)


def products(samples: Floats, rate_hz: float, shaped: Shaped, unknowns: Floats) -> Floats:
    """Return the products of all columns, and of the samples, with each other.

    The columns are waveform, slope, slope times the recorder's time, and the waveform's other
    derivatives: shape ``(n_unknowns + 1, n_unknowns + 1)``.
    """
    sums = np.zeros((unknowns.size + 1, unknowns.size + 1))
    for read in _read(samples, rate_hz, shaped, unknowns):
        rows = np.vstack([read.columns, read.recorded])
        sums += rows @ rows.T
    return sums


def _scatter(samples: Floats, rate_hz: float, shaped: Shaped, unknowns: Floats) -> Floats:
    """Return the covariance of the columns' products with the noise, of any spectrum.

    The columns' cross power in each band of frequency times the residual's mean power there. The
    residual is tapered, so that a hum does not leak into the bands beside it.
    """
    size = min(samples.size, next(blocks(samples.size)).stop)
    n_bands = int(np.clip(size // 2 // FEWEST_BINS, 1, BANDS))
    edges = np.linspace(0, size // 2 + 1, n_bands + 1).astype(np.int64)
    weight = np.full(size // 2 + 1, 2.0)  # bins stand for their mirror images too
    weight[0], weight[-1] = 1.0, 1.0 if size % 2 == 0 else 2.0
    taper = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    power, n_known = np.zeros(n_bands), 0.0
    cross = np.zeros((n_bands, unknowns.size, unknowns.size))
    for read in _read(samples, rate_hz, shaped, unknowns):
        first = read.known[0] // size * size if read.known.size else 0
        rows = np.zeros((unknowns.size + 1, size))
        rows[:-1, read.known - first] = read.columns
        part = taper[read.known - first]
        rows[-1, read.known - first] = part * (read.recorded - unknowns[0] * read.value)
        spectra = fft.rfft(rows, axis=1)
        power += np.add.reduceat(weight * np.abs(spectra[-1]) ** 2, edges[:-1])
        n_known += float(part @ part)
        for k, (a, b) in enumerate(pairwise(edges.tolist())):
            band = spectra[:-1, a:b]
            cross[k] += np.real((weight[a:b] * band) @ band.conj().T) / size
    density = power / np.add.reduceat(weight, edges[:-1]) / max(1e-9, n_known)
    return np.asarray(np.tensordot(density, cross, axes=1))


def _left_over(
    reads: Iterator[_Read], gain: float
) -> tuple[float, tuple[tuple[float, float, float], ...]]:
    """Return the rms of the residual, and the lag that is left in each window.

    The lag is the residual projected on the slope. A window is as in `Alignment`.
    """
    square, n, start_s = 0.0, 0, np.nan
    found: dict[int, list[float]] = {}  # by number: its first time, energy and product
    for read in reads:
        left, slope = read.recorded - gain * read.value, gain * read.columns[1]
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
