"""Gain and phase over frequency, by one playback of many sines.

Those around the low corner, where waiting is what costs, sound together; the others one after the
other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.estimators import NEAR_BINS
from emgsim.metrology.clocks import clock, jitter_variance
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.setup import Setup
from emgsim.metrology.sines import (
    STATE,
    Part,
    chord,
    gains,
    heard,
    stimulus_of,
)
from emgsim.metrology.stimulus import Stimulus

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

# Sines together are so faint that what the device's nonlinearity makes of them is nothing.
LOW_AT = (0.52, 0.77, 1.0, 1.27, 1.5, 2.07, 2.93, 4.1, 5.8)
LOW_SHARE = 0.005  # of the range, each
LOW_BINS = 24  # of the residual's spectrum: below the corner noise is not what it is above
LOW_TURNS, LOW_SETTLING_TURNS = 8.0, 1.5  # of the low corner
STEPPED_FROM = 8.0  # times the low corner
STEPS_PER_DECADE = 6
HIGH_AT = (0.7, 0.8, 0.9, 1.0, 1.12, 1.26, 1.42)
SHARE = 0.1  # of the range, each of the stepped sines
STEP_S, STEP_TURNS, STEP_RAMP_S, STEP_RAMP_TURNS = 0.04, 6.0, 0.01, 3.0
CALM_FROM, CALM_TURNS = 30.0, 0.3  # of the low corner: below it a high-pass rings beside the sine
MID_S = 0.3
MAINS_HZ = (50.0, 60.0)
MAINS_SHARE, MAINS_S, MAINS_RAMP_S = 0.05, 0.5, 0.25
HIGHEST_OF_RATE = 0.45  # of the device's: beyond it its own converter folds

DC_LOWEST = 0.05  # of mid-band: where the band of a device begins that is coupled down to DC
BAND = (1.5, 0.7)  # of the corners
DELAY_HZ, DELAY_BAND = (100.0, 3000.0), (2.0, 0.5)
DELAY_POINTS = 13


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """What the first channel makes of sines, over what it makes of one at mid-band.

    Attributes
    ----------
    frequencies_hz
        Rising, shape ``(n,)``.
    gains
        Complex, likewise; 1 at mid-band. They turn with a delay that nobody knows.
    sds, phase_sds
        Standard deviations of what was heard: relative ones of sizes, those of phases in radians,
        likewise.
    mid_sd
        That of mid-band, which all gains have in common.
    jitter_sds
        Relative ones of what jitter has taken from each, which was given back.
    """

    frequencies_hz: Floats
    gains: Complexes
    sds: Floats
    phase_sds: Floats
    mid_sd: float
    jitter_sds: Floats


def response_stimulus(setup: Setup) -> Stimulus:
    """Return all sines by which the response is measured."""
    low_hz, high_hz = setup.device.band_hz
    range_uv = setup.device.range_uv
    parts: list[Part] = [chord(setup, "mid", {setup.mid_hz: SHARE * range_uv}, MID_S)]
    settling_s = LOW_SETTLING_TURNS / low_hz if is_high_passed(setup) else 0.0
    if is_high_passed(setup):
        together = {k * low_hz: LOW_SHARE * range_uv for k in LOW_AT if k * low_hz < 0.3 * high_hz}
        parts.append(chord(setup, "low", together, LOW_TURNS / low_hz, 1 / low_hz, settling_s))
    mains = {f: MAINS_SHARE * range_uv for f in MAINS_HZ if f < BAND[1] * high_hz}
    if mains:
        parts.append(chord(setup, "mains", mains, MAINS_S, MAINS_RAMP_S, settling_s))
    for i, frequency_hz in enumerate(_stepped_hz(setup)):
        core_s = max(STEP_S, STEP_TURNS / frequency_hz)
        ramp_s = max(STEP_RAMP_S, STEP_RAMP_TURNS / frequency_hz)
        is_calm = not is_high_passed(setup) or frequency_hz > CALM_FROM * low_hz
        calm_s = 0.0 if is_calm else CALM_TURNS / low_hz
        step = {frequency_hz: SHARE * range_uv}
        parts.append(chord(setup, f"step {i}", step, core_s, ramp_s, calm_s))
    return stimulus_of(setup, "response", parts)


def response(measuring: Measuring) -> Response:
    """Measure gain and phase of the first channel at all frequencies of the stimulus."""
    setup = measuring.setup
    stimulus = response_stimulus(setup)
    acquired = measuring.played(stimulus)
    ratio = clock(measuring)[0]
    variance_s2, jitter_sd = jitter_variance(measuring)
    found: list[tuple[float, complex, float, float]] = []
    for segment in stimulus.segments:
        near_bins = LOW_BINS if segment.name == "low" else NEAR_BINS
        tones = heard(acquired, segment.name, ratio, near_bins=near_bins)
        f, sizes = tones.frequencies_hz, gains(setup, tones, segment)[:, 0]
        variances = (tones.sds[:, 0] / np.abs(tones.tones[:, 0])) ** 2
        # Jitter is loud where a sine is steep: half of its power that a size seems to have is that
        # of the phase.
        moved = 0.5 * (2 * np.pi * f) ** 2 * max(0.0, variance_s2) / tones.times_s.size
        moved = np.minimum(moved, 0.5 * variances)
        rows = zip(f, sizes, np.sqrt(variances - moved), np.sqrt(variances + moved), strict=True)
        found += [(float(f), complex(g), float(sd), float(phase)) for f, g, sd, phase in rows]
    mid_hz, mid, mid_sd, _ = found[0]
    flat = _flatness(setup, mid_hz)
    found.sort(key=lambda row: row[0])
    frequencies_hz = np.array([row[0] for row in found])
    # What jitter smears of fast sines is no matter of the filters: Gaussian, as it mostly is, it
    # leaves exp(-(omega s)**2 / 2) of them.
    smeared = 0.5 * (2 * np.pi) ** 2 * (frequencies_hz**2 - mid_hz**2)
    sharp = np.exp(smeared * max(0.0, variance_s2))
    return Response(
        frequencies_hz=frequencies_hz,
        gains=np.array([g / abs(mid) / flat(f)[0] for f, g, _, _ in found]) * sharp,
        sds=np.array([math.hypot(sd, flat(f)[1]) for f, _, sd, _ in found]),
        phase_sds=np.array([phase for _, _, _, phase in found]),
        mid_sd=mid_sd,
        jitter_sds=np.abs(smeared) * jitter_sd,
    )


def delay_band(setup: Setup) -> tuple[float, float]:
    """Return from where to where the group delay is looked at."""
    low_hz, high_hz = setup.device.band_hz
    last_hz = min(DELAY_HZ[1], DELAY_BAND[1] * high_hz)
    return max(min(DELAY_HZ[0], last_hz / 10), DELAY_BAND[0] * low_hz), last_hz


def _stepped_hz(setup: Setup) -> list[float]:
    """Return the frequencies of the sines that are played one after the other."""
    low_hz, high_hz = setup.device.band_hz
    most_hz = HIGHEST_OF_RATE * min(setup.device.rate_hz, setup.play_rate_hz)
    first_hz = STEPPED_FROM * low_hz if is_high_passed(setup) else DC_LOWEST * setup.mid_hz
    last_hz = HIGH_AT[0] * high_hz
    n = max(2, math.ceil(STEPS_PER_DECADE * math.log10(max(2.0, last_hz / first_hz))))
    spread = np.geomspace(min(first_hz, last_hz), last_hz, n)[:-1]
    delay = np.geomspace(*delay_band(setup), DELAY_POINTS)
    wanted = [*spread, *(k * high_hz for k in HIGH_AT), *delay]
    return sorted({float(f) for f in wanted if f < most_hz})


def _flatness(setup: Setup, mid_hz: float) -> Callable[[float], tuple[float, float]]:
    """Return what of the bench's calibration differs from mid-band, and how well it is known.

    What a certificate says at one frequency for all of them is the same error everywhere.
    """
    parts = (setup.source.gain, setup.states[STATE].transfer)

    def flat(frequency_hz: float) -> tuple[float, float]:
        ratio, variance = 1.0, 0.0
        for part in parts:
            (here, sd), (mid, mid_sd) = part.at(frequency_hz), part.at(mid_hz)
            ratio *= here / mid
            if len(part.frequencies_hz) > 1 and frequency_hz != mid_hz:
                variance += sd**2 + mid_sd**2
        return ratio, math.sqrt(variance)

    return flat


def is_high_passed(setup: Setup) -> bool:
    """Return whether the device declares a high-pass."""
    return setup.device.highpass_order > 0 and setup.device.band_hz[0] > 0
