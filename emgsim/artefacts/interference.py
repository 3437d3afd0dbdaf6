"""Interference of machines: mains, switched supplies, phones, stimulators. It reaches all channels.

Frequencies and times are drawn in seconds, so the same interference stands at every rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.chunks import Burst, Chunk, Grid, render
from emgsim.artefacts.edges import DECAYED, edge, lead_s, rectangle
from emgsim.artefacts.occurrence import ENDED, event, poisson_times
from emgsim.artefacts.parameters import MAINS_HARMONICS, Mains, Pulses, RfBurst, Smps, Stimulus
from emgsim.artefacts.wander import Wander, bounded

Floats = NDArray[np.float64]

DRIFT_KNOT_S = 10.0  # the grid's frequency strays over tens of seconds [M]
MODULATION_KNOT_S = 0.5  # a lead moves with breath and hand, below 1 Hz [P]
SMPS_KNOT_S = 1.0  # a supply's load changes within seconds [P]


def mains(artefact: Mains, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield hum: ``peak_to_peak_uv`` is the fundamental's, before its modulation."""
    phases, drift, size = rng.spawn(3)
    begin = phases.uniform(0, 2 * np.pi, 1 + len(MAINS_HARMONICS))
    frequency = bounded(DRIFT_KNOT_S, artefact.drift_hz, drift)
    modulation = bounded(MODULATION_KNOT_S, artefact.modulation, size)
    orders = zip((1, *MAINS_HARMONICS), (1.0, *artefact.harmonics), begin, strict=True)
    heard = [(n, share, at) for n, share, at in orders if n * artefact.frequency_hz < _top(grid)]
    for times_s, cycles in _cycles(artefact.frequency_hz, frequency, grid):
        wave = np.zeros(times_s.size)
        for order, share, at in heard:
            wave += share * np.sin(2 * np.pi * order * cycles + at)
        size_uv = artefact.peak_to_peak_uv / 2 * (1 + modulation.at(times_s))
        yield Chunk((size_uv * wave)[:, None])


def smps(artefact: Smps, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield ripple as samples catch it: above half the rate it folds back, on purpose."""
    phase, drift = rng.spawn(2)
    begin = phase.uniform(0, 2 * np.pi)
    frequency = bounded(SMPS_KNOT_S, artefact.drift * artefact.frequency_hz, drift)
    for _, cycles in _cycles(artefact.frequency_hz, frequency, grid):
        wave_uv = artefact.peak_to_peak_uv / 2 * np.sin(2 * np.pi * cycles + begin)
        yield Chunk(wave_uv[:, None])


def _cycles(nominal_hz: float, stray_hz: Wander, grid: Grid) -> Iterator[tuple[Floats, Floats]]:
    """Yield times and the cycles passed since 0 s, a whole number of them left out."""
    passed, last = 0.0, float(stray_hz.at(np.zeros(1))[0])
    for times_s in grid.chunks():
        stray = stray_hz.at(times_s)
        steps = (stray + np.concatenate([[last], stray[:-1]])) / 2 / grid.rate_hz
        if times_s[0] == 0:
            steps[0] = 0.0
        strayed = passed + np.cumsum(steps)
        passed, last = float(strayed[-1]), float(stray[-1])
        yield times_s, np.mod(nominal_hz * times_s, 1.0) + strayed


def _top(grid: Grid) -> float:
    return 0.45 * grid.rate_hz


def rf_burst(artefact: RfBurst, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield the packets of a phone that now and then sends for a while."""
    return render(_packets(artefact, grid, rng), grid)


def _packets(artefact: RfBurst, grid: Grid, rng: np.random.Generator) -> Iterator[Burst]:
    width_s, lead = artefact.packet_ms / 1e3, lead_s(grid.rate_hz)
    n = max(1, round(artefact.burst_s * artefact.frame_hz))
    length_s = (n - 1) / artefact.frame_hz + width_s
    for onset_s in poisson_times(artefact.per_min, rng, apart_s=length_s):
        told = event(artefact, onset_s, onset_s + length_s)
        for k in range(n):
            at_s = onset_s + k / artefact.frame_hz
            wave = partial(_packet, at_s=at_s, artefact=artefact, grid=grid)
            yield Burst(at_s - lead, at_s + width_s + lead, wave, told if k == 0 else None)


def _packet(times_s: Floats, at_s: float, artefact: RfBurst, grid: Grid) -> Floats:
    return artefact.peak_uv * rectangle(times_s - at_s, grid.rate_hz, artefact.packet_ms / 1e3)


def stimulus(artefact: Stimulus, grid: Grid, _rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield the artefacts of a stimulator, which keeps its own exact time."""
    numbers = count() if artefact.n_stimuli is None else iter(range(artefact.n_stimuli))
    times_s = (artefact.first_s + k / artefact.rate_hz for k in numbers)
    return render((_stimulus(artefact, grid, onset_s) for onset_s in times_s), grid)


def _stimulus(artefact: Stimulus, grid: Grid, onset_s: float) -> Burst:
    width_s, lead = artefact.width_ms / 1e3, lead_s(grid.rate_hz)
    fast_s, slow_s = artefact.tail_fast_ms / 1e3, artefact.tail_slow_ms / 1e3
    longest_s = max(fast_s, slow_s) if artefact.tail_uv else 0.0

    def wave(times_s: Floats) -> Floats:
        since_s = times_s - onset_s
        tail_s = since_s - width_s
        tail = edge(tail_s, grid.rate_hz, fast_s) + edge(tail_s, grid.rate_hz, slow_s)
        spike = rectangle(since_s, grid.rate_hz, width_s)
        return artefact.peak_uv * spike + artefact.tail_uv / 2 * tail

    return Burst(
        onset_s - lead,
        onset_s + width_s + lead + DECAYED * longest_s,
        wave,
        event(artefact, onset_s, onset_s + width_s + ENDED * longest_s),
    )


def pulses(artefact: Pulses, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield pulses of another device, running since before the recording began."""
    first_s = rng.uniform(-1, 0) / artefact.rate_hz
    before = DECAYED * artefact.recharge_ms / 1e3 * artefact.rate_hz  # their tails reach into 0 s
    times_s = (first_s + k / artefact.rate_hz for k in count(-int(before) - 1))
    return render((_pulse(artefact, grid, onset_s) for onset_s in times_s), grid)


def _pulse(artefact: Pulses, grid: Grid, onset_s: float) -> Burst:
    width_s, recharge_s = artefact.width_ms / 1e3, artefact.recharge_ms / 1e3
    lead = lead_s(grid.rate_hz)
    back_uv = artefact.peak_uv * width_s / recharge_s  # the charge of pulse and recharge is zero

    def wave(times_s: Floats) -> Floats:
        since_s = times_s - onset_s
        pulse = rectangle(since_s, grid.rate_hz, width_s)
        recharge = edge(since_s - width_s, grid.rate_hz, recharge_s)
        return artefact.peak_uv * pulse - back_uv * recharge

    return Burst(
        onset_s - lead,
        onset_s + width_s + lead + DECAYED * recharge_s,
        wave,
        event(artefact, onset_s, onset_s + width_s + ENDED * recharge_s),
    )
