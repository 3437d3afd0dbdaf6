"""The device's clocks: its rate, how evenly and how simultaneously it samples, what it loses.

True values. `fs.accuracy`: the true rate over the nominal one, minus 1. `fs.jitter`: rms deviation
of the sampling instants from even ones. `skew`: the largest difference between two channels'
sampling instants; between their phases at the higher of two sines, to be exact, over its angular
frequency. `samples.missing`: samples that are lost or sent twice, whether the device tells or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.sines import (
    PIECES,
    STATE,
    calm_chord,
    chord,
    folded_hz,
    heard,
    impossible,
    named,
    noise_power,
    played_tones,
    rooted,
    slack_s,
    spot_hz,
    stimulus_of,
)
from emgsim.metrology.stimulus import Stimulus

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

LONG_S = 3.0
LONG_SHARE = 0.35  # of the range, each of two sines
LONG_AT = (
    4.7,
    4.7 * (1 + math.sqrt(5)) / 2,
)  # of mid-band; golden, so that no jump is whole in both
WINDOW_TURNS = 10.0  # of the lower sine in one window
LONGEST_GAP = 2000  # samples that can be lost unnoticed and still be counted
PHASE_MARGIN = 0.25  # of one sample's phase: what a window's phase may be off
SLEW_DBFS = -1.0
SLEW_S = 0.8
SLOW_TIMES, FAST_OF_BAND = 1.135, 0.487
HARMONICS = np.arange(2.0, 10.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Two long sines, window by window, as one channel or several said them.

    Attributes
    ----------
    times_s
        Of the windows' middles on the device's nominal clock, shape ``(n_windows,)``.
    first_samples
        Of each window, counted from the recording's first.
    n_samples
        In a window.
    tones
        Phases turn against the played ones as the clocks differ and samples get lost, shape
        ``(2, n_windows, n_channels)``; NaN where a sample of the window is.
    """

    times_s: Floats
    first_samples: NDArray[np.int64]
    n_samples: int
    tones: Complexes


def long_stimulus(setup: Setup) -> Stimulus:
    """Return two long sines together, by which clocks, channels and samples are told."""
    share_uv = LONG_SHARE * setup.device.range_uv
    low_hz, high_hz = long_hz(setup)
    core_s = max(LONG_S, 300 / low_hz)
    return stimulus_of(
        setup, "long", [chord(setup, "long", {low_hz: share_uv, high_hz: share_uv}, core_s)]
    )


def long_hz(setup: Setup) -> tuple[float, float]:
    """Return the frequencies of the two long sines."""
    low_hz = min(LONG_AT[0] * setup.mid_hz, 0.45 * setup.device.band_hz[1])
    return low_hz, low_hz * LONG_AT[1] / LONG_AT[0]


@lru_cache(maxsize=2)
def windows_of(acquired: Acquired) -> Windows:
    """Fit both sines in every window of the long stimulus, all channels at once."""
    segment = named(acquired, "long")
    edge_s = segment.facts["ramp_s"] + slack_s(acquired.rate_hz)
    first = math.ceil((segment.begins_s + edge_s - acquired.begins_s) * acquired.rate_hz)
    last = math.floor((segment.ends_s - edge_s - acquired.begins_s) * acquired.rate_hz)
    uv = acquired.uv[max(0, first) : last]
    frequencies_hz = played_tones(segment)[0]
    n = max(16, round(WINDOW_TURNS / frequencies_hz[0] * acquired.rate_hz))
    n_windows = uv.shape[0] // n
    cut = uv[: n_windows * n].reshape(n_windows, n, -1)
    t = (np.arange(n) - 0.5 * (n - 1)) / acquired.rate_hz
    angles = 2 * np.pi * np.multiply.outer(t, frequencies_hz)
    basis = np.hstack([np.ones((n, 1)), np.cos(angles), np.sin(angles)])
    weights = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2  # Hann's, as harmonics lie between
    solver = np.linalg.solve((basis * weights[:, None]).T @ basis, (basis * weights[:, None]).T)
    solved = np.einsum("kn,wnc->kwc", solver, cut)
    tones = solved[1:3] - 1j * solved[3:5]
    firsts = max(0, first) + n * np.arange(n_windows)
    times_s = acquired.begins_s + (firsts + 0.5 * (n - 1)) / acquired.rate_hz
    turn = np.exp(-2j * np.pi * np.multiply.outer(frequencies_hz, times_s))
    return Windows(
        times_s=times_s, first_samples=firsts, n_samples=n, tones=tones * turn[:, :, None]
    )


def clock(measuring: Measuring) -> tuple[float, float, float]:
    """Return the source's time over the device's nominal one, its deviation, and its freedom.

    From the slope of the phases of the long sines in the first channel, jumps taken out.
    """
    return _clock(measuring.played(long_stimulus(measuring.setup)))


@lru_cache(maxsize=2)
def _clock(acquired: Acquired) -> tuple[float, float, float]:
    windows, track = windows_of(acquired), track_of(acquired)
    frequencies_hz = played_tones(named(acquired, "long"))[0]
    t = windows.times_s[track.windows]
    t = t - t.mean()
    tones = windows.tones[:, track.windows, 0] * np.exp(-2j * np.pi * track.turns_lost)
    found = []
    for tone, frequency_hz in zip(tones, frequencies_hz, strict=True):
        scale = 2 * np.pi * frequency_hz
        phases = np.unwrap(np.angle(tone))
        slope = float(t @ phases / (t @ t))
        left = phases - phases.mean() - slope * t
        sd = math.sqrt(float(left @ left) / (t.size - 2) / float(t @ t))
        found.append((sd / scale, 1 + slope / scale))
    sd, ratio = min(found)
    return ratio, sd, t.size - 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """Which windows of the long sines are whole, and what got lost between them unnoticed.

    Attributes
    ----------
    windows
        Their numbers, shape ``(n,)``.
    turns_lost
        Turns of both sines in what got lost before each of them, shape ``(2, n)``.
    jumps
        First sample after each place, counted from the recording's first, and how many were lost
        there; negative: sent twice.
    """

    windows: NDArray[np.int64]
    turns_lost: Floats
    jumps: tuple[tuple[int, int], ...]


@lru_cache(maxsize=2)
def track_of(acquired: Acquired) -> Track:
    """Follow the phases of the long sines in the first channel from window to window."""
    windows = windows_of(acquired)
    frequencies_hz = played_tones(named(acquired, "long"))[0]
    tones = windows.tones[:, :, 0]
    usable = np.flatnonzero(np.isfinite(tones).all(axis=0))
    steps = np.angle(tones[:, 1:] * np.conj(tones[:, :-1]))
    steady = np.nanmedian(steps, axis=1)
    turns = frequencies_hz / acquired.rate_hz + steady / (2 * np.pi * windows.n_samples)
    scatter = 1.5 * np.nanmedian(np.abs(steps - steady[:, None]), axis=1)
    margin = np.minimum(PHASE_MARGIN * 2 * np.pi * turns, 6 * scatter + 1e-4)
    kept, counts, jumps = [int(usable[0])], [0], []
    for here, following in zip(usable[1:], [*usable[2:], usable[-1]], strict=True):
        n = [
            _samples_in(
                np.angle(tones[:, k] * np.conj(tones[:, kept[-1]])) - steady * (k - kept[-1]),
                turns,
                margin,
            )
            for k in (here, following)
        ]
        if n[0] is None or (n[0] and n[0] != n[1]):
            continue  # a jump lies within it
        if n[0]:
            jumps.append((_place(acquired, windows, kept[-1], int(here)), n[0]))
        kept.append(int(here))
        counts.append(counts[-1] + n[0])
    return Track(
        windows=np.array(kept), turns_lost=np.multiply.outer(turns, counts), jumps=tuple(jumps)
    )


def _samples_in(jumps_rad: Floats, turns_per_sample: Floats, margin: Floats) -> int | None:
    """Return how many samples make both phases jump so; None if no number of them does."""
    n = np.arange(-LONGEST_GAP, LONGEST_GAP + 1)
    expected = 2 * np.pi * np.multiply.outer(n, turns_per_sample)
    off = np.max(np.abs(np.angle(np.exp(1j * (jumps_rad - expected)))) / margin, axis=1)
    if off[LONGEST_GAP] <= 1:
        return 0
    best = int(np.argmin(off))
    return int(n[best]) if off[best] <= 1 else None


def _place(acquired: Acquired, windows: Windows, before: int, after: int) -> int:
    """Return at which sample the sines of two whole windows meet best."""
    frequencies_hz = played_tones(named(acquired, "long"))[0]
    first, end = windows.first_samples[before], windows.first_samples[after] + windows.n_samples
    samples = acquired.uv[first:end, 0]
    times_s = acquired.begins_s + np.arange(first, end) / acquired.rate_hz
    turns = np.exp(2j * np.pi * np.multiply.outer(frequencies_hz, times_s))
    sums = []
    for window in (before, after):
        left = samples - (windows.tones[:, window, :1] * turns).real.sum(axis=0)
        left = left - np.nanmedian(left)
        sums.append(np.concatenate([[0.0], np.cumsum(np.nan_to_num(left) ** 2)]))
    return int(first + np.argmin(sums[0] - sums[1]))


def accuracy(measuring: Measuring) -> Sequence[Reading]:
    """Measure the device's true sampling rate over the nominal one."""
    setup = measuring.setup
    ratio, sd, freedom = clock(measuring)
    frequency_hz = long_hz(setup)[0]
    by_source, source_sd = setup.source.clock.at(frequency_hz)
    certificate = setup.source.clock.certificate
    return [
        Reading(
            id="fs.accuracy",
            value=1e6 * (by_source / ratio - 1),
            unit="ppm",
            components=(
                Component(name="clock of the source", standard=1e6 * source_sd),
                Component(name="noise", standard=1e6 * sd, freedom=freedom),
            ),
            method="slope of the phase of a long sine, window by window",
            conditions=f"{frequency_hz:.6g} Hz, {LONG_S:g} s, state {STATE}",
            rests_on=(certificate,) if certificate else (),
        )
    ]


def skew(measuring: Measuring) -> Sequence[Reading]:
    """Measure how far apart in time the channels of one sample are taken: the worst pair."""
    setup = measuring.setup
    if setup.device.n_channels < 2:
        return [impossible("skew", "us", "one channel alone has no skew")]
    acquired = measuring.played(long_stimulus(setup))
    tones = windows_of(acquired).tones[1]
    frequency_hz = long_hz(setup)[1]
    us = 1e6 / (2 * np.pi * frequency_hz)
    turned = tones * np.conj(tones[:, :1])
    turned = turned[np.isfinite(turned).all(axis=1)]
    late = us * np.angle(turned.sum(axis=0) * np.sign(turned.sum(axis=0).real))
    early, latest = int(np.argmin(late)), int(np.argmax(late))
    pair = turned[:, latest] * np.conj(turned[:, early])
    angles = np.angle(pair * np.conj(pair.sum()))
    n = angles.size
    sd = us * math.sqrt(float(angles @ angles) / (n - 1) / n)
    return [
        Reading(
            id="skew",
            value=float(late[latest] - late[early]),
            unit="us",
            components=(Component(name="noise", standard=sd, freedom=n - 1.0),),
            method="difference of the phases of a sine that all channels hear",
            conditions=f"{frequency_hz:.6g} Hz, channels {early + 1} and {latest + 1}, "
            f"state {STATE}",
            curves={"channel": np.arange(1.0, late.size + 1), "late_us": late},
        )
    ]


def missing(measuring: Measuring) -> Sequence[Reading]:
    """Count samples that got lost: those that the device tells, and those that phases tell."""
    acquired = measuring.played(long_stimulus(measuring.setup))
    told = int(np.isnan(acquired.uv[:, 0]).sum())
    jumps = track_of(acquired).jumps
    untold = sum(abs(n) for _, n in jumps)
    return [
        Reading(
            id="samples.missing",
            value=float(told + untold),
            unit="1",
            method="gaps that the device tells, and jumps of the phases of two long sines",
            conditions=f"{LONG_S:g} s, state {STATE}",
            note=f"{told} told by the device, {untold} not",
            curves={
                "sample": np.array([float(sample) for sample, _ in jumps]),
                "n_lost": np.array([float(n) for _, n in jumps]),
            },
        )
    ]


def jitter(measuring: Measuring) -> Sequence[Reading]:
    """Measure how unevenly the device samples: what a steep sine is noisier by than a flat one."""
    variance_s2, sd_s2 = jitter_variance(measuring)
    value, (sd,) = rooted(1e12 * variance_s2, (1e12 * sd_s2,))
    stimulus = full_scale(measuring.setup, SLEW_DBFS)
    return [
        Reading(
            id="fs.jitter",
            value=value,
            unit="us",
            components=(Component(name="noise", standard=sd, freedom=2.0 * PIECES - 2),),
            method="residual power of a steep sine less that of a flat one as large, over its "
            "mean square slope",
            conditions=f"{played_tones(stimulus.segments[1])[0][0]:.6g} Hz, {SLEW_DBFS:g} dBFS, "
            f"state {STATE}",
        )
    ]


def jitter_variance(measuring: Measuring) -> tuple[float, float]:
    """Return the variance of the sampling instants, s2, and its standard deviation."""
    setup = measuring.setup
    acquired = measuring.played(full_scale(setup, SLEW_DBFS))
    ratio = clock(measuring)[0]
    powers, slopes = [], []
    for name in ("slow", "fast"):
        frequency_hz = float(played_tones(named(acquired, name))[0][0])
        found = heard(acquired, name, ratio, harmonics_hz(setup, frequency_hz))
        powers.append(noise_power(found.residual_uv[:, 0]))
        slopes.append(0.5 * (2 * np.pi * frequency_hz * abs(found.tones[0, 0])) ** 2)
    (slow, slow_sd), (fast, fast_sd) = powers
    steeper = float(slopes[1] - slopes[0])
    return (fast - slow) / steeper, math.hypot(fast_sd, slow_sd) / steeper


def full_scale(setup: Setup, level_dbfs: float) -> Stimulus:
    """Return a slow sine of a level, and at the highest level a fast one behind it."""
    peak_uv = min(10 ** (level_dbfs / 20) * setup.device.range_uv, setup.states[STATE].largest_uv)
    slow_hz = spot_hz(setup, SLOW_TIMES)
    core_s = max(SLEW_S, 60 / slow_hz)
    parts = [calm_chord(setup, "slow", {slow_hz: peak_uv}, core_s)]
    if level_dbfs == SLEW_DBFS:
        fast_hz = FAST_OF_BAND * setup.device.band_hz[1]
        parts.append(calm_chord(setup, "fast", {fast_hz: peak_uv}, core_s))
    return stimulus_of(setup, f"sine at {level_dbfs:g} dBFS", parts)


def harmonics_hz(setup: Setup, frequency_hz: float) -> tuple[float, ...]:
    """Return where a device shows the harmonics of a sine, those beyond half its rate folded."""
    rate_hz = setup.device.rate_hz
    return tuple(folded_hz(HARMONICS * frequency_hz, rate_hz).tolist())


PROCEDURES = (
    Procedure(
        id="fs.accuracy", title="Accuracy of the sampling rate", states=(STATE,), measure=accuracy
    ),
    Procedure(
        id="fs.jitter", title="Jitter of the sampling instants", states=(STATE,), measure=jitter
    ),
    Procedure(id="skew", title="Skew between channels", states=(STATE,), measure=skew),
    Procedure(id="samples.missing", title="Lost samples", states=(STATE,), measure=missing),
)
