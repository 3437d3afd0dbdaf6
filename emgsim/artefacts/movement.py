"""Moved leads, jerked needles and popping electrodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.chunks import CHUNK, Burst, Chunk, Grid, render
from emgsim.artefacts.edges import DECAYED, lead_s, rise_and_decay
from emgsim.artefacts.occurrence import ENDED, draw_sign, draw_size, event, poisson_times
from emgsim.artefacts.parameters import Movement, NeedleMovement, Pop

Floats = NDArray[np.float64]
Wave = Callable[[Floats], Floats]

STEP_RISE_SHARE = 0.05  # a needle's step rises in this share of its decay's time constant [P]
INSERTION_BAND_HZ = (50.0, 2_000.0)  # injured fibres' spikes beneath the tip [P]
INSERTION_TONES = 100  # enough that their sum is Gaussian
HANN_POWER = 3 / 8  # mean square of a Hann window


def movement(artefact: Movement, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield slow swings: a sine that begins at zero and dies away."""
    return render(_swings(artefact, rng), grid)


def _swings(artefact: Movement, rng: np.random.Generator) -> Iterator[Burst]:
    when, what = rng.spawn(2)
    tau_s = artefact.recovery_s
    for onset_s in poisson_times(artefact.per_min, when):
        f_hz = _log_uniform(artefact.lowest_hz, artefact.highest_hz, what)
        height_uv = draw_sign(what) * artefact.peak_to_peak_uv * draw_size(artefact.spread, what)
        scale_uv = height_uv / _swing_height(f_hz, tau_s)
        yield Burst(
            onset_s,
            onset_s + DECAYED * tau_s,
            partial(_swing, onset_s=onset_s, f_hz=f_hz, tau_s=tau_s, scale_uv=scale_uv),
            event(artefact, onset_s, onset_s + ENDED * tau_s),
        )


def _swing(times_s: Floats, onset_s: float, f_hz: float, tau_s: float, scale_uv: float) -> Floats:
    since_s = times_s - onset_s
    return np.asarray(scale_uv * np.sin(2 * np.pi * f_hz * since_s) * np.exp(-since_s / tau_s))


def _swing_height(f_hz: float, tau_s: float) -> float:
    """Return the peak-to-peak of ``sin(2 pi f t) exp(-t / tau)``: first peak and first trough."""
    peak_s = np.arctan(2 * np.pi * f_hz * tau_s) / (2 * np.pi * f_hz)
    peak = np.sin(2 * np.pi * f_hz * peak_s) * np.exp(-peak_s / tau_s)
    return float(peak * (1 + np.exp(-0.5 / f_hz / tau_s)))


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def pop(artefact: Pop, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield pops of either sign: a quick rise, a slow decay."""
    return render(_pops(artefact, grid, rng), grid)


def _pops(artefact: Pop, grid: Grid, rng: np.random.Generator) -> Iterator[Burst]:
    when, what = rng.spawn(2)
    rise_s, decay_s = artefact.rise_ms / 1e3, artefact.decay_ms / 1e3
    for onset_s in poisson_times(artefact.per_min, when):
        peak_uv = draw_sign(what) * artefact.peak_uv * draw_size(artefact.spread, what)
        wave = _Jump(onset_s, peak_uv, rise_s, decay_s, grid.rate_hz)
        told = event(artefact, onset_s, onset_s + ENDED * decay_s)
        yield Burst(wave.first_s, wave.last_s, wave, told)


@dataclass(frozen=True)
class _Jump:
    """A potential that jumps and creeps back."""

    onset_s: float
    peak_uv: float
    rise_s: float
    decay_s: float
    rate_hz: float

    @property
    def first_s(self) -> float:
        return self.onset_s - lead_s(self.rate_hz)

    @property
    def last_s(self) -> float:
        return self.onset_s + lead_s(self.rate_hz) + DECAYED * self.decay_s

    def __call__(self, times_s: Floats) -> Floats:
        since_s = times_s - self.onset_s
        return self.peak_uv * rise_and_decay(since_s, self.rate_hz, self.rise_s, self.decay_s)


@dataclass(frozen=True)
class _Jerk:
    """One jerk of the needle: when, how long, and by how much the EMG's log size changes."""

    onset_s: float
    length_s: float
    change: float
    burst: Burst


def needle_movement(
    artefact: NeedleMovement, grid: Grid, rng: np.random.Generator
) -> Iterator[Chunk]:
    """Yield jerks of the needle; the EMG goes from one size to the next during each."""
    heard, felt = tee(_jerks(artefact, grid, rng))
    waves = render((jerk.burst for jerk in heard), grid)
    for wave, gain in zip(waves, _sizes(felt, grid), strict=False):
        yield Chunk(wave.added_uv, gain, wave.events)


def _jerks(artefact: NeedleMovement, grid: Grid, rng: np.random.Generator) -> Iterator[_Jerk]:
    """Yield jerks; the sizes after them are independent, so that they never stray far from 1."""
    when, what, tones = rng.spawn(3)
    decay_s, size = artefact.recovery_ms / 1e3, 0.0
    for onset_s in poisson_times(artefact.per_min, when):
        length_s = what.uniform(artefact.shortest_ms, artefact.longest_ms) / 1e3
        before, size = size, artefact.spread * what.standard_normal()
        step_uv = draw_sign(what) * artefact.step_uv * draw_size(artefact.spread, what)
        rms_uv = artefact.burst_uv_rms * draw_size(artefact.spread, what)
        step = _Jump(onset_s, step_uv, STEP_RISE_SHARE * decay_s, decay_s, grid.rate_hz)
        insertion = _insertion(onset_s, length_s, rms_uv, grid.rate_hz, tones)
        burst = Burst(
            step.first_s,
            max(step.last_s, onset_s + length_s),
            partial(_total, waves=(step, insertion)),
            event(artefact, onset_s, onset_s + length_s),
        )
        yield _Jerk(onset_s, length_s, size - before, burst)


def _total(times_s: Floats, waves: tuple[Wave, ...]) -> Floats:
    total = np.zeros(times_s.size)
    for wave in waves:
        total += wave(times_s)
    return total


def _insertion(
    onset_s: float, length_s: float, rms_uv: float, rate_hz: float, rng: np.random.Generator
) -> Wave:
    """Return a burst under a Hann window: tones spread evenly over the logarithm of frequency."""
    low, high = np.log(INSERTION_BAND_HZ)
    tones_hz = np.exp(rng.uniform(low, high, INSERTION_TONES))
    phases = rng.uniform(0, 2 * np.pi, INSERTION_TONES)
    is_kept = tones_hz < 0.45 * rate_hz
    height_uv = rms_uv * np.sqrt(2 / INSERTION_TONES / HANN_POWER)

    def wave(times_s: Floats) -> Floats:
        inside = np.clip((times_s - onset_s) / length_s, 0.0, 1.0)
        total = np.zeros(times_s.size)
        for f_hz, phase in zip(tones_hz[is_kept], phases[is_kept], strict=True):
            total += np.cos(2 * np.pi * f_hz * (times_s - onset_s) + phase)
        return np.asarray(height_uv * np.sin(np.pi * inside) ** 2 * total)

    return wave


def _sizes(jerks: Iterator[_Jerk], grid: Grid) -> Iterator[Floats]:
    """Yield the gain of the EMG, shape ``(CHUNK, 1)``: half a cosine of its log at each jerk."""
    settled = 0.0
    upcoming = next(jerks)
    active: list[_Jerk] = []
    for times_s in grid.chunks():
        while upcoming.onset_s <= times_s[-1]:
            active.append(upcoming)
            upcoming = next(jerks)
        size = np.full(CHUNK, settled)
        for jerk in active:
            done = np.clip((times_s - jerk.onset_s) / jerk.length_s, 0.0, 1.0)
            size += jerk.change * np.sin(np.pi / 2 * done) ** 2
        settled += sum(jerk.change for jerk in active if _ends(jerk) <= times_s[-1])
        active = [jerk for jerk in active if _ends(jerk) > times_s[-1]]
        yield np.exp(size)[:, None]


def _ends(jerk: _Jerk) -> float:
    return jerk.onset_s + jerk.length_s
