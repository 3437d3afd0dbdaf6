"""What is not of the muscle: pulses with edges, swings of the baseline, the end of a range.

An edge of a stimulator, a phone or a popping electrode is as steep as the amplifier lets it be; no
fibre's potential is. Of the potentials of the simulator's resting activity (seeds 101-106) none has
more than 0.06 of its peak between 6 and 10 kHz, a rectangle or a jump has 0.15-0.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from emgsim.analysis.conditioning import Flags, Floats, bridged
from emgsim.analysis.detection import Counts, snippets, spikes
from emgsim.analysis.disturbances import disturbances
from emgsim.analysis.quality import runs_of, stands_still

EDGE_BAND_HZ, MUSCLE_BAND_HZ = (6_000.0, 10_000.0), (100.0, 4_500.0)
NYQUIST_SHARE = 0.84  # of half the rate: what is above an anti-alias filter takes away
LEAST_BAND_HZ = 2_000.0  # a narrower band of edges tells nothing
LEAST_FLOOR_UV = 0.2
EDGE = 7.0  # SD of the floor in the band of edges
BY_CHANCE, EDGE_BY_CHANCE = 2.5, 4.0  # SD of it that noise may add, at one place and near it
STEEP = 0.09  # of the muscle's band
BESIDE_S = 0.5e-3  # an edge's own size is looked for within it
APART_S = 0.1e-3
ALIGNED_S, SWEEPS = 0.7e-3, 3  # pulses of a flat top are placed anywhere on it
END_S = 2e-3  # of a stretch, where what is cut through looks like an edge
END_SWING_S = 0.05  # a potential that is cut through looks like a swing that ends in it
PULSE_S = 3e-3  # edges so near are of one pulse
BEFORE_S, AFTER_S = 0.6e-3, 1.0e-3  # of a pulse, where the filters of amplifiers ring
LEVEL_S = 1e-3  # over which the baseline beside a pulse is taken
FEWEST_PULSES = 8  # of which something common can be told
KINK_RATE = 266.0  # 1/s: so the analysis' high-pass at 60 Hz forgets a step (2 pi 60 / sqrt 2)
LONGEST_TAIL_S = 0.1
LOUD_TAIL, TAIL_CELL_S = 3.0, 4e-3  # of the muscle's band over its floor, mean over a cell
SWING = 0.6  # of slow swing over the muscle's loudest rms; of bursts of injured fibres up to 0.45
LOUDEST_S = 0.05
AROUND_SWING_S = 1.0  # what is beside gives the baseline
SWING_AROUND_S = 0.02
SLOW_HZ = 20.0
MOST_CLIPS_HZ = 10.0  # ends of the range, per second: it is too small for the hum, or the muscle
PAUSE_S = 3.0  # silence that ends a run of pulses: a stimulator below 0.33 Hz is taken apart


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """One artefact from its onset to its offset, in seconds after the first sample."""

    onset_s: float
    offset_s: float
    pulses_s: Floats  # of its pulses; none in a swing


def foreign(samples_uv: Floats, rate_hz: float) -> tuple[list[Foreign], Floats]:
    """Find artefacts with edges and swings of the baseline, and take them away.

    Parameters
    ----------
    samples_uv
        Shape ``(n,)``, unfiltered; NaN where samples are missing.
    rate_hz
        Its rate. Edges are looked for from 19 kHz up.

    Returns
    -------
    list of Foreign
        By onset.
    ndarray
        The samples without what pulses of one train have in common, shape ``(n,)``; NaN where the
        muscle cannot be heard: everywhere, if the range of the amplifier ends again and again.
    """
    samples = bridged(samples_uv)
    length_s = samples.size / rate_hz
    if len(runs_of(stands_still(samples))) > MOST_CLIPS_HZ * length_s:
        whole = Foreign(onset_s=0.0, offset_s=length_s, pulses_s=np.zeros(0))
        return [whole], np.full(samples.size, np.nan)
    bands = steepness_of(samples, rate_hz)
    hidden = ~np.isfinite(samples_uv)
    swings = _swings(samples, bands.muscle, rate_hz)
    for a_s, b_s in swings:
        hidden[_slice(a_s - SWING_AROUND_S, b_s + SWING_AROUND_S, rate_hz)] = True
    found = [Foreign(onset_s=a, offset_s=b, pulses_s=np.zeros(0)) for a, b in swings]
    pulses = _joined(_edges(bands), round(PULSE_S * rate_hz))
    free = np.array([pulse for pulse in pulses if not hidden[pulse[0]]]).reshape(-1, 2)
    for train in _trains(free, round(PAUSE_S * rate_hz)):
        samples = _without_tails(samples, train[:, 0], rate_hz)
        times_s = train[:, 0] / rate_hz
        found.append(
            Foreign(onset_s=float(times_s[0]), offset_s=float(times_s[-1]), pulses_s=times_s)
        )
    if pulses:
        _hide(hidden, samples, pulses, rate_hz)
    return sorted(found, key=lambda one: one.onset_s), np.where(hidden, np.nan, samples)


def _trains(pulses: Counts, pause: int) -> list[Counts]:
    """Return the pulses, rows of first and last edge, between long pauses."""
    if len(pulses) == 0:
        return []
    return np.split(pulses, np.flatnonzero(np.diff(pulses[:, 0]) > pause) + 1)


def _without_tails(samples: Floats, at: Counts, rate_hz: float) -> Floats:
    """Take away from each pulse of a train what is common to them until the next one."""
    if at.size < FEWEST_PULSES:
        return samples
    before = round(BEFORE_S * rate_hz)
    lengths = np.append(np.diff(at), at[-1] - at[-2])
    length = min(int(np.quantile(lengths, 0.9)) + 1, round(LONGEST_TAIL_S * rate_hz))
    padded = np.pad(samples, (before, length + 1), mode="edge")
    pieces = padded[at[:, None] + np.arange(length)[None, :]]
    level = np.median(pieces, axis=1, keepdims=True)
    common = np.median(pieces - level, axis=0)
    common -= np.median(common[-before:])
    out = padded.copy()
    for place, own in zip(at.tolist(), np.minimum(lengths, length).tolist(), strict=True):
        out[place : place + own] -= common[:own]
    return out[before : before + samples.size]


def _hide(hidden: Flags, samples: Floats, pulses: list[tuple[int, int]], rate_hz: float) -> None:
    """Mark in place what pulses hide: their edges, and what is left of their tails."""
    muscle = _band(samples, MUSCLE_BAND_HZ, rate_hz)
    floor_uv = _floor_uv(muscle)
    for first, last in pulses:
        before_s, after_s = _reach_s(samples, muscle, first, last, rate_hz, floor_uv)
        hidden[_slice(first / rate_hz - before_s, last / rate_hz + after_s, rate_hz)] = True


def _band(samples: Floats, band_hz: tuple[float, float], rate_hz: float) -> Floats:
    """Return a signal between two frequencies, with zero phase."""
    parts = signal.butter(2, band_hz, "bandpass", fs=rate_hz, output="sos")
    return np.asarray(signal.sosfiltfilt(parts, samples))


def _slice(first_s: float, last_s: float, rate_hz: float) -> slice:
    return slice(max(0, round(first_s * rate_hz)), max(0, round(last_s * rate_hz) + 1))


@dataclass(frozen=True, kw_only=True)
class Steepness:
    """A signal in the band of muscles and in that of edges; ``fast`` is None at a low rate."""

    muscle: Floats
    fast: Floats | None
    rate_hz: float

    def edge_share(self, at: Floats, *, are_placed: bool = True) -> float:
        """Return how much of a train's mean potential is steeper than a muscle can be.

        Parameters
        ----------
        at
            Discharges, in samples.
        are_placed
            Whether they are placed to a fraction of a sample; else they are aligned first.

        Returns
        -------
        float
            Peak in the band of edges, beyond what chance leaves of it, over the peak in the
            muscle's band. 0 where the rate is too low to tell.
        """
        reach = round(2 * BESIDE_S * self.rate_hz)
        at = at[(at > reach) & (at < self.muscle.size - reach)]
        if self.fast is None or at.size == 0:
            return 0.0
        if not are_placed:
            at = _aligned(self.muscle + self.fast, at, self.rate_hz)
        wave = np.mean(snippets(self.fast, at, reach, reach), axis=0)
        size = float(np.abs(np.mean(snippets(self.muscle, at, reach, reach), axis=0)).max())
        chance = _floor_uv(self.fast) / np.sqrt(at.size)
        steep = float(np.abs(wave).max()) - EDGE_BY_CHANCE * float(chance)
        return max(steep, 0.0) / max(size, 1e-9)


def steepness_of(samples: Floats, rate_hz: float) -> Steepness:
    """Return a signal, shape ``(n,)``, in the band of muscles and in that of edges."""
    top_hz = min(EDGE_BAND_HZ[1], NYQUIST_SHARE * rate_hz / 2)
    can_tell = top_hz >= EDGE_BAND_HZ[0] + LEAST_BAND_HZ
    fast = _band(samples, (EDGE_BAND_HZ[0], top_hz), rate_hz) if can_tell else None
    return Steepness(muscle=_band(samples, MUSCLE_BAND_HZ, rate_hz), fast=fast, rate_hz=rate_hz)


def _floor_uv(samples: Floats) -> float:
    return max(float(np.median(np.abs(samples))) / 0.6745, LEAST_FLOOR_UV)


def _aligned(samples: Floats, at: Floats, rate_hz: float) -> Floats:
    """Move discharges to where each is most like the mean of all."""
    shift, reach = round(ALIGNED_S * rate_hz), round(2 * BESIDE_S * rate_hz)
    whole = np.rint(at).astype(np.int64)
    for _ in range(SWEEPS):
        mean = np.mean(snippets(samples, whole.astype(np.float64), reach, reach), axis=0)
        wide = snippets(samples, whole.astype(np.float64), reach + shift, reach + shift)
        match = np.array([np.correlate(row, mean) for row in wide])
        whole = whole + np.argmax(match, axis=1) - shift
    return whole.astype(np.float64)


def _edges(bands: Steepness) -> Counts:
    """Return the samples at which something is steeper than a muscle can be."""
    if bands.fast is None:
        return np.zeros(0, dtype=np.int64)
    rate_hz, fast = bands.rate_hz, bands.fast
    floor = _floor_uv(fast)
    usable = np.ones(fast.size, dtype=np.bool_)
    usable[: round(END_S * rate_hz)] = usable[-round(END_S * rate_hz) :] = False
    at = spikes(fast, usable, EDGE * floor, round(APART_S * rate_hz))
    beside = 2 * round(BESIDE_S * rate_hz) + 1
    size = ndimage.maximum_filter1d(np.abs(bands.muscle), beside)[at]
    return at[np.abs(fast[at]) - BY_CHANCE * floor > STEEP * size]


def _joined(at: Counts, gap: int) -> list[tuple[int, int]]:
    """Return first and last of each crowd of ascending places that are at most a gap apart."""
    if at.size == 0:
        return []
    ends = np.flatnonzero(np.diff(at) > gap)
    firsts, lasts = at[np.append(0, ends + 1)], at[np.append(ends, at.size - 1)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _reach_s(
    samples: Floats, muscle: Floats, first: int, last: int, rate_hz: float, floor_uv: float
) -> tuple[float, float]:
    """Return how long before and after its edges a pulse hides the muscle.

    The straight line across a pulse bends where it begins and ends, and the high-pass rings at the
    bends in proportion to the step of the baseline; a tail may last longer.
    """
    level = round(LEVEL_S * rate_hz)
    a, b = max(0, first - round(BEFORE_S * rate_hz)), last + round(AFTER_S * rate_hz)
    step_uv = 0.0
    if a > level and b + level < samples.size:
        step_uv = abs(float(np.median(samples[b : b + level]) - np.median(samples[a - level : a])))
    ringing_s = np.log(max(step_uv / floor_uv, 1.0)) / KINK_RATE
    cell = round(TAIL_CELL_S * rate_hz)
    after = np.abs(muscle[b : b + round(LONGEST_TAIL_S * rate_hz)])
    n = after.size // cell
    quiet = after[: n * cell].reshape(n, cell).mean(axis=1) < LOUD_TAIL * floor_uv
    tail_s = (int(np.argmax(quiet)) if quiet.any() else n) * TAIL_CELL_S
    return BEFORE_S + ringing_s, AFTER_S + max(ringing_s, tail_s)


def _swings(samples: Floats, muscle: Floats, rate_hz: float) -> list[tuple[float, float]]:
    """Return when the baseline swings more than the potentials of many fibres let it."""
    found = []
    lowpass = signal.butter(2, SLOW_HZ, fs=rate_hz, output="sos")
    slow = signal.sosfiltfilt(lowpass, samples - np.median(samples))
    around = round(AROUND_SWING_S * rate_hz)
    power = ndimage.uniform_filter1d(muscle**2, round(LOUDEST_S * rate_hz))
    end_s = samples.size / rate_hz - END_SWING_S
    for a_s, b_s in disturbances(samples, muscle, rate_hz):
        if b_s < END_SWING_S or a_s > end_s:
            continue
        part = _slice(a_s, b_s, rate_hz)
        level = np.median(slow[max(0, part.start - around) : part.stop + around])
        swing = float(np.abs(slow[part] - level).max())
        if swing > SWING * np.sqrt(max(float(power[part].max()), 0.0)):
            found.append((a_s, b_s))
    return found
