"""What an input does at DC: the current that flows out of it, and what an offset does to it.

True values. `input.current`: the current in nA that flows from an input through a resistance in its
lead when no voltage is on it, its direction not told; the input's own resistance is parallel to the
other. `dc.offset_tolerance.gain`: by how many per cent the gain at mid-band of the first channel is
another one with +300 mV (``plus``) or -300 mV (``minus``) in series with the inputs than without;
`dc.offset_tolerance.noise`: the same of the noise in the declared band, nothing played. A device
that the offset puts to its rail has lost all of its gain, -100 %, and its noise is not seen.
"""

from __future__ import annotations

import math

import numpy as np

from emgsim.errors import NotAnalysableError
from emgsim.estimators import fit_tones
from emgsim.metrology.clocks import clock
from emgsim.metrology.impedance import STATES as IMPEDANCE_STATES
from emgsim.metrology.impedance import admittances
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import band_rms, declared_band, periodogram, referred
from emgsim.metrology.sines import impossible
from emgsim.metrology.steps import FREEDOM as STEP_FREEDOM
from emgsim.metrology.steps import PAIRS, Step, bias_step
from emgsim.metrology.stimulus import Floats
from emgsim.metrology.tones import (
    AUDIBLE,
    FREEDOM,
    certificates,
    chord_stimulus,
    heard,
    most_uv,
    ratio_sd,
    settling_s,
    staircase_sd,
)
from emgsim.stages import BandResponse

SHARE_OF_RANGE = 0.2  # of the sine on top of the offset
HEARD_S = 1.2
NOISE_S = 3.0
RAIL = 0.8  # of the range: a level beyond it is no offset of a device that still works
OFFSETS = {"plus": "offset_plus", "minus": "offset_minus"}
MAINS_HZ = np.array([50.0, 60.0, 100.0, 120.0, 150.0, 180.0])


def current(measuring: Measuring) -> list[Reading]:
    """Measure the current that flows out of the first channel's input."""
    setup = measuring.setup
    found, state = bias_step(measuring)
    gain = referred(measuring)
    ohm, ohm_sd = state.impedance.at(0.1)
    siemens = 1 / (state.series_ohm * ohm) + _siemens(measuring)
    # Microvolts by siemens are microamperes.
    scale = 1e3 * siemens / (gain.gain * _above_corner(setup, found))
    value = abs(found.uv) * scale
    components = (
        Component(name="noise", standard=found.sd_uv * scale, freedom=STEP_FREEDOM),
        Component(name="converter's steps", standard=found.stairs_uv * scale),
        Component(name="instant of the change", standard=found.late_uv * scale),
        Component(name="resistance", standard=value * ohm_sd),
        *gain.components(value),
    )
    note = ""
    if value < 2 * math.sqrt(sum(c.standard**2 for c in components)):
        note = "not told from none"
    return [
        Reading(
            id="input.current",
            value=value,
            unit="nA",
            components=components,
            method="step of the baseline when a resistance comes into one lead, over it and the "
            "input's own; behind a high-pass its response fitted",
            conditions=f"{state.series_ohm / 1e3:g} kohm, {state.name}",
            rests_on=tuple(sorted({*certificates(state.impedance), *gain.rests_on})),
            note=note,
            curves={
                "time_s": found.times_s,
                "baseline_uv": found.baseline_uv,
                "fitted_uv": found.fitted_uv,
            },
        )
    ]


def _siemens(measuring: Measuring) -> float:
    """Return the first input's own conductance, 0 where it is not told from none."""
    if not all(name in measuring.setup.states for name in IMPEDANCE_STATES):
        return 0.0
    try:
        return max(0.0, admittances(measuring)[0].siemens)
    except NotAnalysableError:
        return 0.0


def _above_corner(setup: Setup, found: Step) -> float:
    """Return the gain far above the high-pass corner over that at mid-band."""
    declared = declared_band(setup)
    band = BandResponse(
        highpass_hz=found.corner_hz,
        highpass_order=declared.highpass_order if found.corner_hz else 0,
        lowpass_hz=declared.lowpass_hz,
        lowpass_order=declared.lowpass_order,
    )
    return 1 / float(np.abs(band.at(np.array([setup.mid_hz])))[0])


def offset_gain(measuring: Measuring) -> list[Reading]:
    """Measure by how much an offset in series changes the gain at mid-band."""
    setup, f = measuring.setup, measuring.setup.mid_hz
    times_s, x = _sine(measuring, "direct")
    scale = clock(measuring)[0]
    without = _amplitude(setup, times_s, x, scale * f)
    readings = []
    for sign, name in OFFSETS.items():
        times_s, x = _sine(measuring, name)
        amplitude, sd = _amplitude(setup, times_s, x, scale * f)
        direct, offset = (setup.states[state].transfer for state in ("direct", name))
        ratio = amplitude / without[0] * direct.at(f)[0] / offset.at(f)[0]
        noise = 100 * math.hypot(sd / without[0], ratio * without[1] / without[0])
        readings.append(
            Reading(
                id=f"dc.offset_tolerance.gain.{sign}",
                value=100 * (ratio - 1),
                unit="%",
                components=(
                    Component(name="noise and steps", standard=noise, freedom=FREEDOM),
                    Component(name="divider", standard=100 * ratio * ratio_sd(direct, offset, f)),
                ),
                method="least-squares sines without and with the offset",
                conditions=f"{f:g} Hz, {_level_uv(setup):.4g} uV peak, "
                f"{setup.states[name].offset_mv:+g} mV in series",
                rests_on=certificates(direct, offset),
                note=_rail_note(amplitude, without[0]),
            )
        )
    return readings


def _level_uv(setup: Setup) -> float:
    """Return the peak of the sine on top of the offset."""
    states = (setup.states[name] for name in ("direct", *OFFSETS.values()))
    return min(SHARE_OF_RANGE * setup.device.range_uv, *(most_uv(setup, s) for s in states))


def _sine(measuring: Measuring, state: str) -> tuple[Floats, Floats]:
    """Play the sine in a state, without a marker: a device at its rail would not hear it."""
    setup = measuring.setup
    stimulus = chord_stimulus(
        setup,
        f"offset.{state}",
        state,
        {setup.mid_hz: _level_uv(setup)},
        HEARD_S + settling_s(setup),
        has_marker=False,
    )
    times_s, uv = heard(measuring.played(stimulus), setup)
    return times_s, uv[:, 0]


def _amplitude(
    setup: Setup, times_s: Floats, x: Floats, frequency_hz: float
) -> tuple[float, float]:
    """Return the amplitude of a sine and its deviation, where there is none that of its noise.

    A channel that says one code all the time may still hide a sine that is smaller than a code.
    """
    (tone,), (sd,), residual = fit_tones(times_s, x, [frequency_hz])
    power = float(abs(tone)) ** 2 - 2 * float(sd) ** 2
    is_heard = power > (AUDIBLE * sd) ** 2
    by_noise = float(sd) * (1.0 if is_heard else math.sqrt(2.0))
    stairs_uv = staircase_sd(setup.device.scale_uv_per_count, float(np.nanmean(residual**2)))
    return math.sqrt(max(0.0, power)), math.hypot(by_noise, stairs_uv)


def offset_noise(measuring: Measuring) -> list[Reading]:
    """Measure by how much an offset in series changes the noise in the declared band."""
    found = _noise(measuring, "direct")
    return [
        _changed_noise(measuring, f"dc.offset_tolerance.noise.{sign}", found, name)
        for sign, name in OFFSETS.items()
    ]


def _changed_noise(
    measuring: Measuring, id: str, without: tuple[float, float] | None, state: str
) -> Reading:
    """Return the change of the noise in a state against that without an offset."""
    found = _noise(measuring, state)
    if without is None or found is None:
        why = "the device is at its rail, where its noise is not seen"
        return impossible(id, "%", why, applies=True)
    if not without[0]:
        return impossible(id, "%", "the device's noise never changes a code", applies=True)
    ratio = found[0] / without[0]
    return Reading(
        id=id,
        value=100 * (ratio - 1),
        unit="%",
        components=(
            Component(name="noise without", standard=100 * ratio * without[1]),
            Component(name="noise with", standard=100 * ratio * found[1]),
        ),
        method="rms in the declared band from the periodogram, without and with the offset",
        conditions=f"{NOISE_S:g} s, {measuring.setup.states[state].offset_mv:+g} mV in series, "
        "mains lines left out",
    )


def _noise(measuring: Measuring, state: str) -> tuple[float, float] | None:
    """Return the rms of the first channel in the declared band, and its relative deviation.

    Nothing where the device is at its rail.
    """
    setup = measuring.setup
    settle_s = 2 * settling_s(setup)
    acquired = measuring.heard(state, NOISE_S + settle_s)
    x = acquired.uv[round(settle_s * acquired.rate_hz) :, 0]
    if abs(float(np.nanmean(x))) > RAIL * setup.device.range_uv:
        return None
    frequencies_hz, density = periodogram(x, acquired.rate_hz)
    return band_rms(frequencies_hz, density, setup.device.band_hz, MAINS_HZ)


def _rail_note(with_offset: float, without: float) -> str:
    """Say where a device has gone to its rail."""
    return "the offset puts the device to its rail" if with_offset < 0.01 * without else ""


PROCEDURES = (
    Procedure(
        id="input.current",
        title="Input current",
        states=(*PAIRS[0], "direct"),
        measure=current,
    ),
    Procedure(
        id="dc.offset_tolerance.gain",
        title="Gain with an offset in series",
        states=("direct", *OFFSETS.values()),
        measure=offset_gain,
    ),
    Procedure(
        id="dc.offset_tolerance.noise",
        title="Noise with an offset in series",
        states=("direct", *OFFSETS.values()),
        measure=offset_noise,
    ),
)
