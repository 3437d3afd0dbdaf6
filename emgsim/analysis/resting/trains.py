"""Trains: the discharges of one source from its onset to its offset, and its mean potential."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emgsim.analysis.conditioning import Conditioned, Floats, bridged
from emgsim.analysis.detection import snippets
from emgsim.analysis.learning import Unit
from emgsim.analysis.resting.cycles import one_of_each_cycle
from emgsim.analysis.resting.measuring import Form, Rhythm, detrended, form_of, rhythm_of, smoothed
from emgsim.recording import Recording

BEFORE_S, AFTER_S = 0.012, 0.035  # of a mean potential
EDGE_S = 0.002
LOWPASS_HZ = 5000.0
PAUSE_S = 3.0  # a longer one ends a run,
PAUSE_INTERVALS = 8.0  # if it is so many times the median interval
ECHO_S = 0.015  # around a potential, where what the template does not explain of it lies
ECHOES = 0.6  # of a train's discharges
LARGER = 2.5
FAST_HZ = 100.0  # such a source leaves what it does not explain everywhere


@dataclass(frozen=True, kw_only=True)
class Train:
    """One source from its onset to its offset, and its mean potential."""

    times_s: Floats
    gains: Floats
    potential_uv: Floats  # (n, n_channels)
    start_s: float  # of the potential, from the main spike
    form: Form
    rhythm: Rhythm
    snr_db: float
    norm: float  # of the white template: how clear one discharge is


def trains_of(
    recording: Recording, channel: int, flat: Conditioned, units: tuple[Unit, ...]
) -> list[Train]:
    """Return the trains of all sources, measured on the recording itself."""
    found = []
    for unit in units:
        all_s = flat.start_s + unit.positions / flat.rate_hz
        for part in _parts(all_s):
            chosen = one_of_each_cycle(all_s[part])
            times_s, gains = all_s[part][chosen], unit.amplitudes[part][chosen]
            found.append(measured(recording, channel, times_s, gains, unit.energy))
    return found


def _parts(times_s: Floats) -> list[slice]:
    """Return the stretches between long pauses."""
    steps = np.diff(times_s)
    if steps.size < 4:
        return [slice(0, times_s.size)]
    longest = max(PAUSE_S, PAUSE_INTERVALS * float(np.median(steps)))
    edges = [0, *(np.flatnonzero(steps > longest) + 1).tolist(), times_s.size]
    return [slice(a, b) for a, b in pairwise(edges)]


def measured(
    recording: Recording, channel: int, times_s: Floats, gains: Floats, energy: float
) -> Train:
    """Measure a train on the recording itself; ``energy`` is that of its white template."""
    rate_hz = recording.rate_hz
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    if times_s.size > 2:
        interval = float(np.quantile(np.diff(times_s), 0.1)) * rate_hz
        before = min(before, max(round(0.4 * interval), round(0.002 * rate_hz)))
        after = min(after, max(round(0.6 * interval), round(0.002 * rate_hz)))
    at = (times_s - recording.start_s) * rate_hz
    columns = []
    for k in range(len(recording.channels)):
        samples = bridged(np.asarray(recording.samples_uv[:, k], dtype=np.float64))
        columns.append(_mean(samples, at, gains, before, after, rate_hz))
    potential = np.column_stack([wave for wave, _ in columns])
    wave, chance = columns[channel]
    near = slice(max(0, before - round(0.003 * rate_hz)), before + round(0.003 * rate_hz))
    peak = near.start + int(np.argmax(np.abs(wave[near])))
    form = form_of(wave, rate_hz, peak, chance)
    floor = chance * np.sqrt(times_s.size)
    return Train(
        times_s=times_s + (peak - before) / rate_hz,
        gains=gains,
        potential_uv=potential,
        start_s=-peak / rate_hz,
        form=form,
        rhythm=rhythm_of(times_s, gains),
        snr_db=20 * float(np.log10(max(abs(wave[peak]), 1e-9) / max(floor, 1e-9))),
        norm=float(np.sqrt(energy)),
    )


def _mean(
    samples: Floats, at: Floats, gains: Floats, before: int, after: int, rate_hz: float
) -> tuple[Floats, float]:
    """Return the mean potential of a source and the SD that chance leaves in it."""
    pieces = snippets(samples, at, before, after)
    n = at.size
    weight = gains / np.sum(gains**2)
    if n >= 8:
        mean = np.median(pieces / np.maximum(gains, 0.1)[:, None], axis=0) * 1.0
    else:
        mean = weight @ pieces
    mean = smoothed(mean, rate_hz, LOWPASS_HZ)
    edge = max(4, min(round(EDGE_S * rate_hz), before // 3))
    mean = detrended(mean, edge)
    rest = smoothed_floor(samples, rate_hz)
    return mean, rest * float(np.sqrt(np.sum(weight**2)))


def smoothed_floor(samples: Floats, rate_hz: float) -> float:
    """Return the robust SD of the samples about a slow course."""
    step = max(1, round(rate_hz * 0.005))
    n = samples.size // step
    pieces = samples[: n * step].reshape(n, step)
    return float(np.median(np.std(pieces, axis=1)))


def without_echoes(trains: list[Train]) -> list[Train]:
    """Drop trains that stand beside much larger potentials: what was left of these."""
    kept: list[Train] = []
    for train in sorted(trains, key=lambda t: -t.norm):
        if not any(_is_echo(train, other) for other in kept):
            kept.append(train)
    return kept


def _is_echo(train: Train, other: Train) -> bool:
    """Tell whether a train stands beside another's discharges more than chance would have it."""
    apart = np.abs(train.times_s[:, None] - other.times_s[None, :]).min(axis=1)
    near = float(np.mean(apart < ECHO_S))
    if other.rhythm.rate_hz > FAST_HZ:
        return near > ECHOES
    if other.norm < LARGER * train.norm:
        return False
    first, last = train.times_s[0] - 0.5, train.times_s[-1] + 0.5
    inside = np.count_nonzero((other.times_s > first) & (other.times_s < last))
    by_chance = min(1.0, 2 * ECHO_S * inside / float(last - first))
    return near > max(ECHOES, 1.5 * by_chance)
