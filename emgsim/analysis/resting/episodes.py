"""What is too dense to be taken apart: bursts of many sources, and the noise of end plates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from emgsim.analysis.clustering import aligned
from emgsim.analysis.conditioning import Conditioned, Flags, Floats, autocorrelation
from emgsim.analysis.detection import snippets, spikes

LOUD = 4.0  # of the white signal, in SD of a floor of density one
AROUND_S = 0.0015
DENSE, DENSE_WINDOW_S = 0.45, 0.06  # share of time that is loud
BRIDGED_S, SHORTEST_S = 0.12, 0.06
PIECE_S = 0.15  # in which a fast train is alike from cycle to cycle
CYCLES_S = (0.003, 0.1)
ONE_SOURCE = 0.5  # correlation of a cycle with the next; many sources have less
LARGE_PEAK, FEW_PEAKS = 0.2, 6  # of the largest; so many are needed to say anything
PEAKS_APART_S, MOST_PEAKS = 0.0024, 300
ONE_SHAPE = 0.6  # share of the large peaks; of cramps, tremor and bursts the first has 0.1-0.5
FEW_SHAPES, MOSTLY = 3, 0.89  # of cramp, tremor and bursts three have 0.2-0.84
SAME_SHAPE = 0.45  # distance over norm, jitter between fibres included
SLOWEST_HZ = 140.0  # of neuromyotonia: 150-300 (AANEM)
FAST_PIECE_S, FAST_CYCLES_S = 0.04, (0.003, 0.012)
ONE_RUN_S = 0.4  # silence that does not end a cramp or a burst
LONGEST_BURST_S = 1.6  # of insertional activity; what lasts longer is a cramp
CLEARLY_LOUD = 5.0
SILENCE_S = 0.1
CELL_OF_ENVELOPE_S = 0.005
SMOOTH_CELLS = 3.0  # a group lasts longer than a potential
LEAST_LOUD = 0.015  # share of samples; a train of single fibres has less
FIRST_BEAT = 0.7  # of the highest peak
MANY_SOURCES = 0.3  # correlation of a beat with the next; of one source it is more
TREMOR_HZ = (3.0, 18.0)  # Parkinson 4-6 to orthostatic 13-18
LEAST_TREMOR_S = 1.5
LEAST_SWING = 0.95  # of the envelope's correlation with itself, from half a beat to a whole one


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A stretch in samples ``first <= i < last``."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class DenseRun:
    """Activity too dense to be taken apart: what it is, and from when to when, in seconds."""

    kind: str
    onset_s: float
    offset_s: float
    rate_hz: float = float("nan")  # of tremor's groups, of neuromyotonia's discharges
    times_s: Floats = field(default_factory=lambda: np.zeros(0))  # of neuromyotonia's discharges


def dense_episodes(white: Conditioned, *, are_fast: bool = False) -> list[Episode]:
    """Return the stretches in which many sources discharge at once.

    A single source that is as dense is alike from cycle to cycle; ``are_fast`` asks for these.
    """
    rate_hz = white.rate_hz
    width = round(2 * AROUND_S * rate_hz)
    loud = ndimage.maximum_filter1d(np.abs(white.samples), width) > LOUD
    share = ndimage.uniform_filter1d(loud.astype(np.float64), round(DENSE_WINDOW_S * rate_hz))
    dense = share > DENSE
    dense = filled(dense, round(BRIDGED_S * rate_hz))
    labels, _ = ndimage.label(dense)
    found = []
    for (where,) in ndimage.find_objects(labels):
        if where.stop - where.start < SHORTEST_S * rate_hz:
            continue
        part = white.samples[where]
        is_one = likeness_of_cycles(part, rate_hz) >= ONE_SOURCE
        if is_one == are_fast and (is_one or share_of_shapes(part, rate_hz, 1) < ONE_SHAPE):
            found.append(Episode(first=int(where.start), last=int(where.stop)))
    return found


def share_of_shapes(part: Floats, rate_hz: float, most: int) -> float:
    """Return which share of the large peaks of a stretch the commonest shapes make.

    0 if there are too few peaks to say anything.
    """
    apart = round(PEAKS_APART_S * rate_hz)
    height = max(CLEARLY_LOUD, LARGE_PEAK * float(np.abs(part).max(initial=0.0)))
    peaks = spikes(part, np.ones(part.size, bool), height, apart)
    peaks = peaks[(peaks > apart) & (peaks < part.size - apart)]
    if peaks.size < FEW_PEAKS:
        return 0.0
    peaks = peaks[:: max(1, peaks.size // MOST_PEAKS)]
    pieces = snippets(part, aligned(part, peaks), apart // 2, apart // 2)
    energy = np.sum(pieces**2, axis=1)
    distance = energy[:, None] + energy[None, :] - 2 * pieces @ pieces.T
    alike = distance < SAME_SHAPE**2 * energy[:, None]
    free = np.ones(peaks.size, dtype=bool)
    for _ in range(most):
        commonest = int(np.argmax(np.sum(alike & free, axis=1)))
        free &= ~alike[commonest]
    return 1 - float(np.mean(free))


def _is_of_few(white: Conditioned) -> bool:
    """Tell whether all that is loud is made by a few sources, each with its shape.

    So it is where most is alike from cycle to cycle: a ring of fibres among fibrillations.
    """
    loud = np.flatnonzero((np.abs(white.samples) > CLEARLY_LOUD) & white.usable)
    if loud.size == 0:
        return True
    active = white.samples[loud[0] : loud[-1] + 1]
    if share_of_shapes(active, white.rate_hz, FEW_SHAPES) > MOSTLY:
        return True
    return likeness_of_cycles(active, white.rate_hz) >= ONE_SOURCE


def neuromyotonic(white: Conditioned) -> DenseRun | None:
    """Return the bursts of a single source that is faster than any other, as one run; or None."""
    fast = dense_episodes(white, are_fast=True)
    times, rates = [], []
    for burst in fast:
        part = white.samples[burst.first : burst.last]
        cycle_s = _cycle_s(part, white.rate_hz)
        if not cycle_s < 1 / SLOWEST_HZ:
            continue
        apart = round(0.6 * cycle_s * white.rate_hz)
        sign = -1.0 if -part.min() > part.max() else 1.0
        around = ndimage.maximum_filter1d(sign * part, 2 * apart + 1)
        peaks = np.flatnonzero((sign * part == around) & (around > LOUD))
        times.append(white.start_s + (burst.first + peaks) / white.rate_hz)
        rates.append(1 / cycle_s)
    if not times:
        return None
    times_s = np.concatenate(times)
    return DenseRun(
        kind="neuromyotonia",
        onset_s=float(times_s[0]),
        offset_s=float(times_s[-1]),
        rate_hz=float(np.median(rates)),
        times_s=times_s,
    )


def _cycle_s(part: Floats, rate_hz: float) -> float:
    """Return the median of the shortest lag at which a stretch is like itself, in short pieces."""
    length = min(part.size, round(FAST_PIECE_S * rate_hz))
    first, last = (round(s * rate_hz) for s in FAST_CYCLES_S)
    found = []
    for a in range(0, part.size - length + 1, length):
        piece = part[a : a + length]
        product = np.correlate(piece, piece, mode="full")[length - 1 :] / max(
            float(piece @ piece), 1e-12
        )
        lags = np.arange(first, min(last, length - 1))
        peaks = (product[lags] > product[lags - 1]) & (product[lags] >= product[lags + 1])
        high = lags[peaks & (product[lags] > 0.8 * product[lags].max(initial=0.0))]
        if high.size and product[high[0]] > ONE_SOURCE:
            found.append(int(high[0]) / rate_hz)
    return float(np.median(found)) if found else float("inf")


def filled(flags: Flags, gap: int) -> Flags:
    """Fill gaps of at most ``gap`` samples."""
    at = np.flatnonzero(flags)
    out = flags.copy()
    for a in np.flatnonzero((np.diff(at) > 1) & (np.diff(at) <= gap)).tolist():
        out[at[a] : at[a + 1]] = True
    return out


def likeness_of_cycles(
    samples: Floats,
    rate_hz: float,
    piece_s: float = PIECE_S,
    cycles_s: tuple[float, float] = CYCLES_S,
) -> float:
    """Return the median correlation of a stretch with itself a cycle later, in short pieces."""
    length = min(samples.size, round(piece_s * rate_hz))
    starts = range(0, max(1, samples.size - length + 1), length)
    return float(np.median([_likeness(samples[a : a + length], rate_hz, cycles_s) for a in starts]))


def _likeness(piece: Floats, rate_hz: float, cycles_s: tuple[float, float]) -> float:
    n = piece.size
    first, last = round(cycles_s[0] * rate_hz), min(round(cycles_s[1] * rate_hz), (2 * n) // 3)
    if last <= first + 2:
        return 0.0
    product = autocorrelation(piece)
    energy = np.concatenate([[0.0], np.cumsum(piece**2)])
    lag = np.arange(first, last)
    whole = np.sqrt(np.maximum(energy[n - lag] * (energy[n] - energy[lag]), 1e-12))
    return float(np.max(product[first:last] / whole))


def dense_runs(white: Conditioned, episodes: list[Episode]) -> list[DenseRun]:
    """Name dense stretches: rhythmic ones are tremor, long ones cramp, others insertional bursts.

    Parameters
    ----------
    white
        Floor of density one.
    episodes
        As of `dense_episodes`.
    """
    rate_hz = white.rate_hz
    fast = neuromyotonic(white)
    if _is_of_few(white):
        return [] if fast is None else [fast]
    beat_hz = tremor_hz(white.samples, rate_hz)
    if np.isfinite(beat_hz):
        loud = np.flatnonzero(np.abs(white.samples) > CLEARLY_LOUD)
        whole = Episode(first=int(loud[0]), last=int(loud[-1]) + 1)
        return [_dense_run("tremor", white, whole, beat_hz)]
    joined: list[Episode] = []
    for episode in episodes:
        first, last = grown(white, episode)
        if joined and first - joined[-1].last < ONE_RUN_S * rate_hz:
            joined[-1] = Episode(first=joined[-1].first, last=max(last, joined[-1].last))
        else:
            joined.append(Episode(first=first, last=last))
    found = [] if fast is None else [fast]
    for episode in joined:
        is_long = episode.last - episode.first > LONGEST_BURST_S * rate_hz
        found.append(_dense_run("cramp" if is_long else "insertional_burst", white, episode))
    return found


def _dense_run(
    kind: str, white: Conditioned, episode: Episode, beat_hz: float = float("nan")
) -> DenseRun:
    return DenseRun(
        kind=kind,
        onset_s=white.start_s + episode.first / white.rate_hz,
        offset_s=white.start_s + episode.last / white.rate_hz,
        rate_hz=beat_hz,
    )


def grown(white: Conditioned, episode: Episode) -> tuple[int, int]:
    """Return first and last sample of a stretch, with the events that are close on each side."""
    loud = np.flatnonzero((np.abs(white.samples) > CLEARLY_LOUD) & white.usable)
    silence = SILENCE_S * white.rate_hz
    after = np.concatenate([[episode.last], loud[loud > episode.last]])
    before = np.concatenate([[episode.first], loud[loud < episode.first][::-1]])
    last = after[np.append(np.diff(after) > silence, True).argmax()]
    first = before[np.append(-np.diff(before) > silence, True).argmax()]
    return int(first), int(last)


def tremor_hz(samples: Floats, rate_hz: float) -> float:
    """Return the rate at which discharges of many sources come in groups, NaN if they do not.

    A train of one source has a beat too, but is alike from beat to beat.
    """
    cell = round(CELL_OF_ENVELOPE_S * rate_hz)
    n = samples.size // cell
    if n * CELL_OF_ENVELOPE_S < LEAST_TREMOR_S:
        return float("nan")
    if np.mean(np.abs(samples) > LOUD) < LEAST_LOUD:
        return float("nan")
    size = np.abs(samples[: n * cell]).reshape(n, cell).max(axis=1)
    course = ndimage.gaussian_filter1d(np.log(np.maximum(size, LOUD)), SMOOTH_CELLS)
    course = course - ndimage.uniform_filter1d(course, round(0.6 / CELL_OF_ENVELOPE_S))
    product = autocorrelation(course) / np.arange(n, 0, -1)
    likeness = product / max(product[0], 1e-12)
    first, last = (round(1 / (hz * CELL_OF_ENVELOPE_S)) for hz in TREMOR_HZ[::-1])
    lags = np.arange(first, min(last + 1, n - 1))
    peaks = (likeness[lags] > likeness[lags - 1]) & (likeness[lags] >= likeness[lags + 1])
    if not np.any(likeness[lags[peaks]] > 0):
        return float("nan")
    high = lags[peaks & (likeness[lags] > FIRST_BEAT * likeness[lags[peaks]].max())]
    at = int(high[0])  # not every second beat
    if likeness[at] - likeness[: at + 1].min() < LEAST_SWING:
        return float("nan")
    beat_s = at * CELL_OF_ENVELOPE_S
    loud = np.flatnonzero(np.abs(samples) > CLEARLY_LOUD)
    active = samples[loud[0] : loud[-1] + 1] if loud.size else samples
    alike = likeness_of_cycles(active, rate_hz, 3 * beat_s, (0.6 * beat_s, 1.4 * beat_s))
    return 1 / beat_s if alike < MANY_SOURCES else float("nan")
