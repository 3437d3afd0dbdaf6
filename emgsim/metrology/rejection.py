"""Common-mode rejection: with equal leads, and with an impedance in one of them.

A test of `cmrr.balanced` and `cmrr.imbalance` drives both inputs together and asks which voltage
between the inputs would make the device say the same. Its true value is ``-20 log10 |H_c / H_d|``
at the frequency, ``H_c`` from volts of both inputs against ground to the converter, ``H_d`` from
volts between the inputs to the converter, without what the fixture makes of common volts by itself.
What mains hum there is at the very frequency is not told from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from emgsim.estimators import fit_tones
from emgsim.metrology.clocks import clock
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Reading
from emgsim.metrology.setup import Setup, State
from emgsim.metrology.stimulus import Floats
from emgsim.metrology.tones import (
    AUDIBLE,
    FREEDOM,
    Complexes,
    certificates,
    chord_stimulus,
    code_step_uv,
    heard,
    lead_sd,
    level_db,
    most_uv,
    ratio_sd,
    staircase_sd,
    suffixed,
)

HEARD_S = 2.0
SHARE_OF_RANGE = 0.2  # of the chord between the inputs: far from where an amplifier bends
MAINS_HZ = {"50hz": 50.0, "60hz": 60.0}
FREQUENCIES_HZ = MAINS_HZ | {"1khz": 1000.0}
GAIN_STATE = "direct"


@dataclass(frozen=True, kw_only=True, eq=False)
class Gains:
    """What the channels make of sines between their inputs.

    Attributes
    ----------
    scale
        Frequency on the device's clock over that on the source's.
    frequencies_hz
        On the source's clock.
    tones
        Complex amplitudes over those between the inputs, shape ``(n_frequencies, n_channels)``.
    sds
        Standard deviations of their parts, likewise.
    code_steps_uv
        Of each channel's converter.
    """

    scale: float
    frequencies_hz: tuple[float, ...]
    tones: Complexes
    sds: Floats
    code_steps_uv: tuple[float, ...]

    def at(self, frequency_hz: float, channel: int) -> tuple[float, float]:
        """Return the size of the gain at one of the frequencies, and its standard deviation."""
        i = self.frequencies_hz.index(frequency_hz)
        return float(abs(self.tones[i, channel])), float(self.sds[i, channel])


def gains(measuring: Measuring) -> Gains:
    """Measure what the channels make of small sines between their inputs."""
    setup = measuring.setup
    state, frequencies_hz = (
        setup.states[GAIN_STATE],
        list(_in_reach(setup, FREQUENCIES_HZ).values()),
    )
    chord_uv = min(SHARE_OF_RANGE * setup.device.range_uv, most_uv(setup, state))
    each_uv = chord_uv / len(frequencies_hz)
    stimulus = chord_stimulus(
        setup, "rejection.gain", GAIN_STATE, dict.fromkeys(frequencies_hz, each_uv), HEARD_S
    )
    times_s, uv = heard(measuring.played(stimulus), setup)
    scale = clock(measuring)[0]
    given_uv = np.array([each_uv * state.transfer.at(f)[0] for f in frequencies_hz])
    fits = [fit_tones(times_s, x, [scale * f for f in frequencies_hz]) for x in uv.T]
    return Gains(
        scale=scale,
        frequencies_hz=tuple(frequencies_hz),
        tones=np.stack([tones for tones, _, _ in fits], axis=1) / given_uv[:, None],
        sds=np.stack([sds for _, sds, _ in fits], axis=1) / given_uv[:, None],
        code_steps_uv=tuple(code_step_uv(x) for x in uv.T),
    )


def rejections(
    measuring: Measuring, *, id: str, state: str, names: Mapping[str, float]
) -> list[Reading]:
    """Return the rejection at several frequencies and of all channels, in a state.

    Parameters
    ----------
    measuring
        The bench.
    id
        What the ids of the readings begin with.
    state
        That drives both inputs together.
    names
        Frequencies in hertz by the end of the reading's id.
    """
    setup, driving = measuring.setup, measuring.setup.states[state]
    gain, names = gains(measuring), _in_reach(setup, names)
    each_uv = most_uv(setup, driving) / len(names)
    amplitudes_uv = dict.fromkeys(names.values(), each_uv)
    stimulus = chord_stimulus(setup, id, state, amplitudes_uv, HEARD_S, has_marker=False)
    times_s, uv = heard(measuring.played(stimulus), setup)
    readings = []
    for channel, x in enumerate(uv.T):
        tones, sds, residual = fit_tones(times_s, x, [gain.scale * f for f in names.values()])
        stairs_uv = staircase_sd(gain.code_steps_uv[channel], float(np.nanmean(residual**2)))
        for (name, f), tone, sd in zip(names.items(), tones, sds, strict=True):
            output = _Output(abs(tone), sd, stairs_uv, each_uv * driving.transfer.at(f)[0])
            own_id = suffixed(f"{id}.{name}", channel)
            readings.append(_reading(own_id, setup, driving, f, output, gain.at(f, channel)))
    return readings


@dataclass(frozen=True)
class _Output:
    """What a channel says of a sine of both inputs together, in microvolts."""

    amplitude_uv: float
    sd_uv: float
    stairs_uv: float
    common_uv: float

    @property
    def common_v_rms(self) -> float:
        """The sine itself."""
        return 1e-6 * self.common_uv / math.sqrt(2)


def _reading(
    id: str,
    setup: Setup,
    driving: State,
    frequency_hz: float,
    output: _Output,
    gain: tuple[float, float],
) -> Reading:
    """Return the rejection from the gain between the inputs and what came of both together."""
    through = setup.states[GAIN_STATE]
    told = partial(
        Reading,
        id=id,
        unit="dB",
        method="least-squares sines at the frequencies of the source, over the gain between the "
        "inputs at each",
        conditions=f"{frequency_hz:g} Hz, {output.common_v_rms:.3g} V rms of both "
        f"inputs against ground, {driving.name}",
        rests_on=certificates(driving.transfer, driving.impedance, through.transfer),
    )
    if gain[0] < AUDIBLE * gain[1]:
        note = f"at {frequency_hz:g} Hz there is no gain to which the output could be referred"
        return told(value=math.nan, note=note)
    given_uv = output.common_uv * gain[0]
    ratio = output.amplitude_uv / given_uv
    level, components = level_db(
        ratio,
        {
            "noise": (output.sd_uv / given_uv, FREEDOM),
            "converter's steps": (output.stairs_uv / given_uv, math.inf),
            "fixture's null": (10 ** (driving.null_db / 20) / 2, math.inf),
            "common over divided volts": (
                ratio * ratio_sd(driving.transfer, through.transfer, frequency_hz),
                math.inf,
            ),
            "impedance": (ratio * lead_sd(driving, frequency_hz), math.inf),
            "gain": (ratio * gain[1] / gain[0], FREEDOM),
        },
    )
    if components:
        return told(value=-level, components=components)
    note = f">= {-level:.1f} dB: not told from noise and from the fixture's own null"
    return told(value=-level, bound=">=", note=note)


def _in_reach(setup: Setup, names: Mapping[str, float]) -> dict[str, float]:
    """Return the frequencies that the device can hear, by name."""
    return {name: f for name, f in names.items() if f < 0.45 * setup.device.rate_hz}


def _balanced(measuring: Measuring) -> list[Reading]:
    return rejections(measuring, id="cmrr.balanced", state="node_drive", names=FREQUENCIES_HZ)


def _imbalance(measuring: Measuring) -> list[Reading]:
    return rejections(measuring, id="cmrr.imbalance", state="imbalance", names=MAINS_HZ)


PROCEDURES = (
    Procedure(
        id="cmrr.balanced",
        title="Common-mode rejection, equal leads",
        states=(GAIN_STATE, "node_drive"),
        measure=_balanced,
    ),
    Procedure(
        id="cmrr.imbalance",
        title="Common-mode rejection, an impedance in one lead",
        states=(GAIN_STATE, "imbalance"),
        measure=_imbalance,
    ),
)
