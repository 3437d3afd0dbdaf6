"""The device's clocks: its rate, how evenly and how simultaneously it samples, what it loses.

True values. `fs.accuracy`: the true rate over the nominal one, minus 1. `fs.jitter`: rms deviation
of the sampling instants from even ones. `skew`: the largest difference between two channels'
sampling instants; between their phases at the higher of two sines, to be exact, over its angular
frequency. `samples.missing`: samples that are lost or sent twice, whether the device tells or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.long_sines import (
    LONG_S,
    long_hz,
    long_stimulus,
    track_of,
    windows_of,
)
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.sines import (
    PIECES,
    STATE,
    calm_chord,
    folded_hz,
    heard,
    impossible,
    named,
    noise_power,
    played_tones,
    rooted,
    spot_hz,
    stimulus_of,
)
from emgsim.metrology.stimulus import Stimulus

SLEW_DBFS = -1.0
SLEW_S = 0.8
SLOW_TIMES, FAST_OF_BAND = 1.135, 0.487
HARMONICS = np.arange(2.0, 10.0)


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
