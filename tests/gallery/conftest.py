"""What the gallery shows at rest, its discharges found in its samples, and forms that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from emgsim.exhibits import Entry, entries, scenario_of
from emgsim.gallery import SEED
from emgsim.recording import Floats
from emgsim.simulation import simulate

AUDIBLE_UV = 15.0  # six times the noise of an exhibit at rest, 2.3 uV rms
BEFORE_S, AFTER_S = 4e-3, 36e-3  # of a sweep about a discharge
FINE_HZ = 96_000.0
PER_MS = FINE_HZ / 1e3
SPIKE_S = 1.5e-3  # about its peak


# ---- what is measured on -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Shown:
    """An exhibit's samples, shape ``(n,)``, and about when each source of its kind discharged."""

    entry: Entry
    samples_uv: Floats
    rate_hz: float
    trains_s: tuple[Floats, ...]

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples_uv.size / self.rate_hz

    def cut(self, start_s: float, stop_s: float) -> Floats:
        """Return the samples of a stretch."""
        first, last = (round(t * self.rate_hz) for t in (start_s, stop_s))
        return self.samples_uv[max(first, 0) : max(last, 0)]


class Train(NamedTuple):
    """The discharges of a source as found in the samples."""

    times_s: Floats  # (n,) of the peaks of the main spikes
    sizes_uv: Floats  # (n,) peak to peak about them
    sweeps_uv: Floats  # (n, m) from BEFORE_S before to AFTER_S after the discharges, at FINE_HZ
    wave_uv: Floats  # (m,) their median

    @property
    def noise_uv(self) -> float:
        """What is left of noise and of other sources in the wave, rms.

        It is half the difference between the waves of every other discharge.
        """
        halves = (np.median(self.sweeps_uv[k::2], axis=0) for k in (0, 1))
        return float(np.std(np.subtract(*halves)) / 2)

    @property
    def size_uv(self) -> float:
        """The wave from peak to peak."""
        return float(np.ptp(self.wave_uv))

    def body(self, share: float = 0.05) -> slice:
        """Return where the wave exceeds a share of its largest value, and all noise."""
        level = max(share * np.abs(self.wave_uv).max(), 4 * self.noise_uv)
        loud = np.flatnonzero(np.abs(self.wave_uv) > level)
        parts = np.split(loud, np.flatnonzero(np.diff(loud) > 2 * PER_MS) + 1)
        main = int(np.argmax(np.abs(self.wave_uv)))
        part = next(part for part in parts if part[0] <= main <= part[-1])
        return slice(int(part[0]), int(part[-1]) + 1)


def played(entry: Entry) -> Shown:
    """Simulate an exhibit as the gallery does."""
    recording, truth = simulate(scenario_of(entry, SEED))
    sources = [source for source in truth.spontaneous if source.kind == entry.kind]
    trains_s = [source.discharge_times_s + source.potential_start_s for source in sources]
    return Shown(entry, recording.samples_uv[:, 0], recording.rate_hz, tuple(trains_s))


@cache
def shown(name: str) -> Shown:
    """Return an exhibit by its id."""
    return played(next(entry for entry in entries() if entry.id == name))


@cache
def trains(heard: Shown) -> tuple[Train, ...]:
    """Return the sources that stand out of the noise, each with its discharges."""
    fine = CubicSpline(np.arange(heard.samples_uv.size) / heard.rate_hz, heard.samples_uv)
    lags_s = np.arange(-round(BEFORE_S * FINE_HZ), round(AFTER_S * FINE_HZ)) / FINE_HZ
    found = []
    for times_s in heard.trains_s:
        inside_s = times_s[(times_s > BEFORE_S) & (times_s < heard.seconds - AFTER_S)]
        if inside_s.size >= 2 and _coarse_size_uv(heard, inside_s) >= 0.7 * AUDIBLE_UV:
            found.append(_train(inside_s, fine(inside_s[:, None] + lags_s), lags_s))
    return tuple(train for train in found if train.size_uv >= max(AUDIBLE_UV, 15 * train.noise_uv))


def _coarse_size_uv(heard: Shown, times_s: Floats) -> float:
    """Return the size of the mean of the samples after discharges, to leave out what is far."""
    firsts = np.round(times_s * heard.rate_hz).astype(int)
    return float(
        np.ptp(
            heard.samples_uv[
                firsts[:, None] + np.arange(round(0.8 * AFTER_S * heard.rate_hz))
            ].mean(axis=0)
        )
    )


def _train(times_s: Floats, sweeps_uv: Floats, lags_s: Floats) -> Train:
    wave_uv = np.median(sweeps_uv, axis=0)
    wave_uv = wave_uv - np.median(wave_uv)  # the others' mean
    main = int(np.argmax(np.abs(wave_uv)))
    near = np.clip(
        main + np.arange(-round(1e-3 * FINE_HZ), round(1e-3 * FINE_HZ)), 1, lags_s.size - 2
    )
    peaks = near[0] + np.argmax(np.sign(wave_uv[main]) * sweeps_uv[:, near], axis=1)
    peaks = np.clip(peaks, 1, lags_s.size - 2)
    rows = np.arange(times_s.size)
    a, b, c = (sweeps_uv[rows, peaks + step] for step in (-1, 0, 1))
    bend = np.where(a - 2 * b + c == 0, 1.0, a - 2 * b + c)
    found_s = times_s + lags_s[peaks] + np.clip(0.5 * (a - c) / bend, -1, 1) / FINE_HZ
    about = main + np.arange(-round(SPIKE_S * FINE_HZ), round(SPIKE_S * FINE_HZ))
    spikes_uv = sweeps_uv[:, np.clip(about, 0, lags_s.size - 1)]
    return Train(found_s, np.ptp(spikes_uv, axis=1), sweeps_uv, wave_uv)


# ---- wrong forms -------------------------------------------------------------------------------

Wrong = Callable[[Shown], Shown]
Law = Callable[[Floats, np.random.Generator], Floats]


def inverted(heard: Shown) -> Shown:
    """Positive is up."""
    return replace(heard, samples_uv=-heard.samples_uv)


def louder(times: float) -> Wrong:
    """All of it at a wrong gain."""
    return lambda heard: replace(heard, samples_uv=times * heard.samples_uv)


def slower(times: float, of_s: float | None = None) -> Wrong:
    """Waves and rhythm drawn out in time, those of the first seconds if it says how many."""

    def wrong(heard: Shown) -> Shown:
        kept = heard.samples_uv[: None if of_s is None else round(of_s * heard.rate_hz)]
        at = np.arange(round(kept.size * times)) / times
        samples_uv = np.interp(at, np.arange(kept.size), kept)
        trains_s = tuple(times * t[t * heard.rate_hz < kept.size] for t in heard.trains_s)
        return replace(heard, samples_uv=samples_uv, trains_s=trains_s)

    return wrong


def later(by_s: float) -> Wrong:
    """Moved in time, the end before the begin."""
    return lambda heard: replace(
        heard, samples_uv=np.roll(heard.samples_uv, round(by_s * heard.rate_hz))
    )


def backwards(heard: Shown) -> Shown:
    """From the end to the begin."""
    trains_s = tuple(np.sort(heard.seconds - t) - AFTER_S / 3 for t in heard.trains_s)
    return replace(heard, samples_uv=heard.samples_uv[::-1], trains_s=trains_s)


def beginning_at(begin_s: float) -> Wrong:
    """Without what was before."""

    def wrong(heard: Shown) -> Shown:
        is_late = np.arange(heard.samples_uv.size) >= begin_s * heard.rate_hz
        trains_s = tuple(t[t > begin_s] for t in heard.trains_s)
        return replace(heard, samples_uv=heard.samples_uv * is_late, trains_s=trains_s)

    return wrong


def restless(heard: Shown) -> Shown:
    """Hum on all of it."""
    at_s = np.arange(heard.samples_uv.size) / heard.rate_hz
    return replace(heard, samples_uv=heard.samples_uv + 40.0 * np.sin(2 * np.pi * 50 * at_s))


def fading(heard: Shown) -> Shown:
    """It swells from nothing and dies away to nothing, each over half a second."""
    at_s = np.arange(heard.samples_uv.size) / heard.rate_hz
    first_s, last_s = (f([f(t) for t in heard.trains_s]) for f in (min, max))
    ramps = np.minimum(at_s - first_s, last_s - at_s) / 0.5
    return replace(heard, samples_uv=heard.samples_uv * np.clip(ramps, 0.1, 1.0))


def blunted(heard: Shown) -> Shown:
    """Smoothed over 4 ms."""
    window = np.hanning(round(8e-3 * heard.rate_hz))
    return replace(heard, samples_uv=np.convolve(heard.samples_uv, window / window.sum(), "same"))


def echoing(by_s: float) -> Wrong:
    """All of it again, so much later."""
    return lambda heard: replace(heard, samples_uv=heard.samples_uv + later(by_s)(heard).samples_uv)


def repeating(heard: Shown) -> Shown:
    """One fifth of a second again and again."""
    piece = heard.cut(1.0, 1.2)
    return replace(heard, samples_uv=np.resize(piece, heard.samples_uv.size))


class Piece(NamedTuple):
    """A wave at FINE_HZ, when its peak comes, and how large each time."""

    wave_uv: Floats
    times_s: Floats
    gains: Floats

    @property
    def lead_s(self) -> float:
        """Time from the wave's begin to its peak."""
        return int(np.argmax(np.abs(self.wave_uv))) / FINE_HZ


def cut_out(one: Train) -> Piece:
    """Return a source's wave and its discharges."""
    return Piece(one.wave_uv[one.body(0.02)], one.times_s, one.sizes_uv / np.median(one.sizes_uv))


def composed(heard: Shown, pieces: list[Piece]) -> Shown:
    """Put waves into noise, each source's at its times."""
    samples_uv = 2.3 * np.random.default_rng(0).standard_normal(heard.samples_uv.size)
    for piece in pieces:
        length = piece.wave_uv.size / FINE_HZ
        begins_s = piece.times_s - piece.lead_s
        for begin_s, gain in zip(begins_s, piece.gains, strict=True):
            first, last = np.ceil(np.array([begin_s, begin_s + length]) * heard.rate_hz).astype(int)
            at = np.arange(max(first, 0), min(last, samples_uv.size))
            since = (at / heard.rate_hz - begin_s) * FINE_HZ
            samples_uv[at] += gain * np.interp(since, np.arange(piece.wave_uv.size), piece.wave_uv)
    trains_s = tuple(piece.times_s - piece.lead_s for piece in pieces)
    return replace(heard, samples_uv=samples_uv, trains_s=trains_s)


def retimed(law: Law) -> Wrong:
    """The same waves of the same sizes, at other times."""

    def wrong(heard: Shown) -> Shown:
        rng = np.random.default_rng(1)
        pieces = [cut_out(one) for one in trains(heard)]
        return composed(heard, [p._replace(times_s=law(p.times_s, rng)) for p in pieces])

    return wrong


def evenly(times_s: Floats, _: np.random.Generator) -> Floats:
    """As a clock."""
    return np.linspace(times_s[0], times_s[-1], times_s.size)


def by_chance(times_s: Floats, rng: np.random.Generator) -> Floats:
    """As a Poisson process."""
    return np.sort(rng.uniform(times_s[0], times_s[-1], times_s.size))


def loosely(times_s: Floats, rng: np.random.Generator) -> Floats:
    """Each a millisecond off."""
    return times_s + 1e-3 * rng.standard_normal(times_s.size)


def speeding(times_s: Floats, _: np.random.Generator) -> Floats:
    """Slow at first, and fast at last."""
    share = (times_s - times_s[0]) / np.ptp(times_s)
    return times_s[0] + np.ptp(times_s) * share**0.7


def squeezed(times: float) -> Law:
    """So many times as fast."""
    return lambda times_s, _: times_s[0] + (times_s - times_s[0]) / times


def all_at_once(times_s: Floats, _: np.random.Generator) -> Floats:
    """Every source begins when the first does."""
    return times_s - times_s[0] + 1.0


def in_haste(times_s: Floats, rng: np.random.Generator) -> Floats:
    """Bursts when they were, in a quarter of their time."""
    begins_s = _burst_begins_s(times_s)
    return begins_s + (times_s - begins_s) / 4


def in_step(times_s: Floats, rng: np.random.Generator) -> Floats:
    """Bursts as they were, at even intervals."""
    begins_s = _burst_begins_s(times_s)
    which = np.unique(begins_s, return_inverse=True)[1]
    return begins_s[0] + which * np.ptp(begins_s) / which[-1] + times_s - begins_s


def _burst_begins_s(times_s: Floats) -> Floats:
    is_first = np.diff(times_s, prepend=-np.inf) > 0.25
    return times_s[is_first][np.cumsum(is_first) - 1]


def reshaped(shape: Callable[[Floats], Floats]) -> Wrong:
    """Waves of another shape, of the same size, when they were."""

    def wrong(heard: Shown) -> Shown:
        pieces = [cut_out(one) for one in trains(heard)]
        waves = [shape(piece.wave_uv) for piece in pieces]
        sized = [w * np.ptp(p.wave_uv) / np.ptp(w) for p, w in zip(pieces, waves, strict=True)]
        return composed(heard, [p._replace(wave_uv=w) for p, w in zip(pieces, sized, strict=True)])

    return wrong


sharpened = reshaped(np.gradient)
one_sided = reshaped(np.abs)


def of_one_size(heard: Shown) -> Shown:
    """A run whose size does not change."""
    pieces = [cut_out(one) for one in trains(heard)]
    return composed(heard, [p._replace(gains=np.ones(p.gains.size)) for p in pieces])


def of_changing_shape(heard: Shown) -> Shown:
    """Every third discharge upside down."""
    pieces = [cut_out(one) for one in trains(heard)]
    signs = [np.where(np.arange(p.gains.size) % 3 == 1, -1.0, 1.0) for p in pieces]
    return composed(
        heard, [p._replace(gains=p.gains * sign) for p, sign in zip(pieces, signs, strict=True)]
    )


def of_one_shape(heard: Shown) -> Shown:
    """Every source sounds as the first one."""
    first, *others = (cut_out(one) for one in trains(heard))
    return composed(heard, [first, *(p._replace(wave_uv=first.wave_uv) for p in others)])


def one_clock(heard: Shown) -> Shown:
    """Sources that take turns, at even intervals."""
    pieces = [cut_out(one) for one in trains(heard)]
    n = sum(piece.times_s.size for piece in pieces)
    beats_s = np.linspace(0.5, heard.seconds - 0.5, n)
    order = np.argsort(np.concatenate([p.times_s for p in pieces])).argsort()
    taken = np.split(beats_s[order], np.cumsum([p.times_s.size for p in pieces])[:-1])
    return composed(heard, [p._replace(times_s=t) for p, t in zip(pieces, taken, strict=True)])


def alone(heard: Shown) -> Shown:
    """Of all sources but one."""
    return composed(heard, [cut_out(trains(heard)[0])])


def trembling(heard: Shown) -> Shown:
    """The second half of each cycle comes 20 us early or late, at random."""
    rng = np.random.default_rng(2)
    pieces = []
    for piece in (cut_out(one) for one in trains(heard)):
        middle = piece.wave_uv.size // 2
        first, second = piece.wave_uv.copy(), piece.wave_uv.copy()
        first[middle:], second[:middle] = 0.0, 0.0
        begins_s = piece.times_s - piece.lead_s
        for wave_uv, sd_s in ((first, 0.0), (second, 20e-6)):
            part = piece._replace(wave_uv=wave_uv)
            late_s = sd_s * rng.standard_normal(begins_s.size)
            pieces.append(part._replace(times_s=begins_s + part.lead_s + late_s))
    wrong = composed(heard, pieces)
    return replace(wrong, trains_s=wrong.trains_s[::2])
