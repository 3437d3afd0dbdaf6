"""What a device adds to sines: harmonics, products of two, everything together.

True values, of a device that is played pure sines, with the amplitudes that it says itself.
`distortion.thd.1dbfs`, `.6dbfs`, `.20dbfs`: root of the sum of the squared amplitudes of the second
to the fifth harmonic, over the fundamental, in per cent, for a peak of so many decibels below the
declared range. `distortion.sfdr`: fundamental over the largest of whatever else is periodic, in
decibels, 1 dB below the range. `distortion.imd`: root of the sum of the squared amplitudes at
``f2 - f1``, ``f1 + f2``, ``|2 f1 - f2|`` and ``2 f2 - f1``, over that of both sines, in per cent;
they are alike at the inputs, and their sum has its peak 1 dB below the range. `enob`: (SINAD - 1.76
dB) / 6.02 dB, 1 dB below the range; noise and distortion are all up to half the device's rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from emgsim.estimators import fit_sine
from emgsim.metrology.clocks import SLEW_DBFS, clock, full_scale, harmonics_hz
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import declared_band
from emgsim.metrology.sines import (
    STATE,
    Heard,
    calm_chord,
    dbfs_uv,
    folded_hz,
    heard,
    named,
    noise_power,
    played_tones,
    rooted,
    spot_hz,
    stimulus_of,
)
from emgsim.metrology.stimulus import Stimulus
from emgsim.metrology.tones import DB, FREEDOM, level_db

Floats = NDArray[np.float64]

THD_DBFS = (SLEW_DBFS, -6.0, -20.0)
N_HARMONICS = 4  # of `HARMONICS`, which begin with the second: what is called THD
TONES_AT = (1.135, 5.3)  # of mid-band
IMD_S, IMD_TURNS = 0.8, 60.0
SURE = 19.0  # times its neighbours' mean that a bin has not by chance, among 20 000
FLOOR_BINS = 101  # whose median is the floor around a bin


def thd(measuring: Measuring) -> Sequence[Reading]:
    """Measure the harmonics of a sine, at three levels."""
    return [_thd(measuring, level_dbfs) for level_dbfs in THD_DBFS]


def _thd(measuring: Measuring, level_dbfs: float) -> Reading:
    setup = measuring.setup
    found = _slow(measuring, level_dbfs)
    first = float(np.abs(found.tones[0, 0]))
    sizes, sds = _sizes(found, slice(1, 1 + N_HARMONICS))
    source = _source_harmonic(setup)
    noise = float(np.sqrt(np.sum(4 * sizes**2 * sds**2 + 4 * sds**4)))
    foreign = float(np.sqrt(np.sum(4 * (sizes * source * first) ** 2 + 2 * (source * first) ** 4)))
    value, (noise_sd, source_sd) = rooted(float(np.sum(sizes**2 - 2 * sds**2)), (noise, foreign))
    percent = 100 / first
    return Reading(
        id=f"distortion.thd.{-level_dbfs:.0f}dbfs",
        value=percent * value,
        unit="%",
        components=(
            Component(name="noise", standard=percent * noise_sd, freedom=FREEDOM),
            Component(name="distortion of the source", standard=percent * source_sd),
        ),
        method=f"least-squares fit of harmonics 2 to {N_HARMONICS + 1}, noise power taken off",
        conditions=_conditions(found, level_dbfs),
        curves=_spectrum(found, setup),
    )


def sfdr(measuring: Measuring) -> Sequence[Reading]:
    """Measure how far below the sine the largest thing lies that the device makes of it."""
    setup = measuring.setup
    found = _slow(measuring, SLEW_DBFS)
    first = float(np.abs(found.tones[0, 0]))
    sizes, sds = _sizes(found, slice(1, None))
    worst = int(np.argmax(sizes))
    size, sd, name = sizes[worst], sds[worst], f"{found.frequencies_hz[1 + worst]:.6g} Hz"
    other = _largest_line(found)
    if other is not None and other.size > size:
        size, sd, name = other.size, other.sd, f"{other.frequency_hz:.6g} Hz"
    sources = {
        "noise": (sd / first, FREEDOM),
        "distortion of the source": (_source_harmonic(setup), math.inf),
    }
    level, components = level_db(size / first, sources)
    return [
        Reading(
            id="distortion.sfdr",
            value=-level,
            unit="dB",
            components=components,
            method="least-squares fit of harmonics, and of whatever stands out of the residual's "
            "spectrum",
            conditions=f"largest at {name}; {_conditions(found, SLEW_DBFS)}",
            bound="" if components else ">=",
            note="" if components else f">= {-level:.1f} dB: not told from noise and source",
        )
    ]


def imd(measuring: Measuring) -> Sequence[Reading]:
    """Measure what the device makes of two sines together that neither makes alone."""
    setup = measuring.setup
    stimulus = two_tones(setup)
    low_hz, high_hz = played_tones(stimulus.segments[0])[0]
    second = np.array([high_hz - low_hz, high_hz + low_hz])
    third = np.array([abs(2 * low_hz - high_hz), 2 * high_hz - low_hz])
    beside = np.array([2 * low_hz, 2 * high_hz, 3 * low_hz, 3 * high_hz, 2 * low_hz + high_hz])
    wanted = folded_hz(np.concatenate([second, third, beside]), setup.device.rate_hz)
    acquired = measuring.played(stimulus)
    found = heard(acquired, "both", clock(measuring)[0], tuple(wanted.tolist()))
    total = float(np.linalg.norm(found.tones[:2, 0]))
    sizes, sds = _sizes(found, slice(2, 6))
    # A source with a second harmonic of h makes sums and differences of h of a sine, and of a
    # third one three quarters of it, for sines of half its peak; both have the same sign.
    source = _source_harmonic(setup) * total / math.sqrt(2)
    foreign = 2 * source * math.hypot(sizes[:2].sum(), 0.75 * sizes[2:].sum())
    noise = float(np.sqrt(np.sum(4 * sizes**2 * sds**2 + 4 * sds**4)))
    square = float(np.sum(sizes**2 - 2 * sds**2))
    value, (noise_sd, source_sd) = rooted(square, (noise, math.hypot(foreign, 3 * source**2)))
    percent = 100 / total
    return [
        Reading(
            id="distortion.imd",
            value=percent * value,
            unit="%",
            components=(
                Component(name="noise", standard=percent * noise_sd, freedom=FREEDOM),
                Component(name="distortion of the source", standard=percent * source_sd),
            ),
            method="least-squares fit of both sines and of their products",
            conditions=f"{low_hz:.6g} and {high_hz:.6g} Hz, together {SLEW_DBFS:g} dBFS, "
            f"state {STATE}",
            curves=_spectrum(found, setup),
        )
    ]


def enob(measuring: Measuring) -> Sequence[Reading]:
    """Measure how many bits an ideal converter would need to be as noisy."""
    setup = measuring.setup
    found = _slow(measuring, SLEW_DBFS)
    first = float(np.abs(found.tones[0, 0]))
    sizes, sds = _sizes(found, slice(1, None))
    noise, noise_sd = noise_power(found.residual_uv[:, 0])
    harmonics = float(np.sum(np.maximum(sizes**2 - 2 * sds**2, 0.0))) / 2
    power = noise + harmonics - _source_power(setup, first)
    foreign = first * _source_harmonic(setup) * float(np.linalg.norm(sizes[:2]))
    bits = 10 / math.log(10) / 6.02 / power
    return [
        Reading(
            id="enob",
            value=(10 * math.log10(first**2 / 2 / power) - 1.76) / 6.02,
            unit="bit",
            components=(
                Component(name="noise", standard=bits * noise_sd),
                Component(name="distortion of the source", standard=bits * foreign),
            ),
            method="residual of a sine fit, the source's own noise taken off",
            conditions=_conditions(found, SLEW_DBFS),
            curves=_spectrum(found, setup),
        )
    ]


def two_tones(setup: Setup) -> Stimulus:
    """Return two sines together whose sum has its peak 1 dB below the range."""
    peak_uv = min(dbfs_uv(setup, SLEW_DBFS), setup.states[STATE].largest_uv)
    low_hz, high_hz = (spot_hz(setup, times) for times in TONES_AT)
    core_s = max(IMD_S, IMD_TURNS / low_hz)
    part = calm_chord(setup, "both", {low_hz: peak_uv / 2, high_hz: peak_uv / 2}, core_s)
    return stimulus_of(setup, "two sines", [part])


def _slow(measuring: Measuring, level_dbfs: float) -> Heard:
    """Return a sine of a level and its harmonics."""
    setup = measuring.setup
    acquired = measuring.played(full_scale(setup, level_dbfs))
    frequency_hz = float(played_tones(named(acquired, "slow"))[0][0])
    return heard(acquired, "slow", clock(measuring)[0], harmonics_hz(setup, frequency_hz))


def _sizes(found: Heard, which: slice) -> tuple[Floats, Floats]:
    """Return amplitudes and their deviations in the first channel, microvolts."""
    return np.abs(found.tones[which, 0]), found.sds[which, 0]


def _source_harmonic(setup: Setup) -> float:
    """Return the standard deviation of each harmonic of the source, over its sine."""
    return float(0.5 * 10 ** (setup.source.distortion_db / 20))


def _source_power(setup: Setup, first_uv: float) -> float:
    """Return the power at the converter of the source's noise and of its codes' rounding."""
    state, source = setup.states[STATE], setup.source
    peak_uv = min(dbfs_uv(setup, SLEW_DBFS), state.largest_uv)
    density = source.noise_v2_hz * (1e6 * state.differential * state.load_factor) ** 2
    density += (peak_uv / 2 ** (source.code_bits - 1)) ** 2 / 12 / (setup.play_rate_hz / 2)
    f = np.linspace(1.0, setup.device.rate_hz, 4000)
    passed_hz = float(np.sum(np.abs(declared_band(setup).at(f)) ** 2) * (f[1] - f[0]))
    return float(density * passed_hz * (first_uv / peak_uv) ** 2)


@dataclass(frozen=True)
class _Line:
    """A sine in a residual, microvolts."""

    frequency_hz: float
    size: float
    sd: float


def _largest_line(found: Heard) -> _Line | None:
    """Return the largest sine in the residual, if any stands out of its noise."""
    x = np.nan_to_num(found.residual_uv[:, 0])
    powers = np.abs(fft.rfft(x * signal.windows.hann(x.size, sym=False))) ** 2
    floor = ndimage.median_filter(powers, FLOOR_BINS, mode="nearest") / math.log(2)
    powers[:4] = 0.0
    k = int(np.argmax(powers))
    if not powers[k] > SURE * floor[k] > 0:
        return None
    rate_hz = 1 / float(np.median(np.diff(found.times_s)))
    try:
        fit = fit_sine(found.times_s, found.residual_uv[:, 0], k * rate_hz / x.size)
    except ValueError:  # less than a cycle of it
        return None
    return _Line(fit.frequency_hz, fit.amplitude, fit.amplitude_sd)


def _spectrum(found: Heard, setup: Setup) -> dict[str, Floats]:
    """Return what was fitted, in decibels of the range."""
    full_uv = setup.device.range_uv
    order = np.argsort(found.frequencies_hz)
    sizes = np.abs(found.tones[order, 0])
    return {
        "frequency_hz": found.frequencies_hz[order],
        "level_dbfs": DB * np.log(np.maximum(sizes, 1e-9) / full_uv),
    }


def _conditions(found: Heard, level_dbfs: float) -> str:
    return f"{found.frequencies_hz[0]:.6g} Hz, {level_dbfs:g} dBFS, state {STATE}"


PROCEDURES = (
    Procedure(id="distortion.thd", title="Total harmonic distortion", states=(STATE,), measure=thd),
    Procedure(
        id="distortion.sfdr", title="Spurious-free dynamic range", states=(STATE,), measure=sfdr
    ),
    Procedure(
        id="distortion.imd", title="Intermodulation of two sines", states=(STATE,), measure=imd
    ),
    Procedure(id="enob", title="Effective number of bits", states=(STATE,), measure=enob),
)
