"""How large a device says that a sine at mid-band is: its gain against what is declared.

True values. `gain.accuracy`: ``100 (|H| - 1)`` at `Setup.mid_hz`, ``H`` from the terminals to the
converter over the declared size of a code, all channels driven together by 1 mV peak to peak.
`gain.stability`: by how much that has changed from the first test to the last. `gain.polarity`: -1
where a device shows a voltage upside down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from emgsim.estimators import SineFit, fit_sine
from emgsim.metrology.acquisition import Acquired, dead_channels
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import gain_stimulus, played, settling_s
from emgsim.metrology.stimulus import Stimulus
from emgsim.metrology.tones import suffixed

FREEDOM = 94.0  # of the noise in a fit of a sine
METHOD = "four-parameter sine fit (IEEE 1057)"


def accuracy(measuring: Measuring) -> Sequence[Reading]:
    """Measure the gain of every channel at mid-band against what is declared."""
    setup = measuring.setup
    stimulus = gain_stimulus(setup)
    by_bench, certified, rests_on = played(setup, stimulus.state, setup.mid_hz)
    amplitude_uv = stimulus.segments[0].facts["amplitude_uv"]
    acquired = measuring.played(stimulus, may_be_dead=True)
    dead = dead_channels(acquired, setup.states[stimulus.state])
    readings = []
    for channel in range(setup.device.n_channels):
        relative, noise_sd, note = 0.0, 0.0, "the channel is dead: one code, whatever is played"
        if channel not in dead:
            fit, note = _fit(acquired, stimulus, channel, setup), ""
            relative = fit.amplitude / (amplitude_uv * by_bench)
            noise_sd = fit.amplitude_sd / (amplitude_uv * by_bench)
        noise = Component(name="noise", standard=100 * noise_sd, freedom=FREEDOM)
        readings.append(
            Reading(
                id=suffixed("gain.accuracy", channel),
                value=100 * (relative - 1),
                unit="%",
                components=(
                    *(replace(c, standard=100 * relative * c.standard) for c in certified),
                    noise,
                ),
                method=METHOD,
                conditions=_conditions(stimulus),
                rests_on=rests_on,
                note=note,
            )
        )
    return readings


def stability(measuring: Measuring) -> Sequence[Reading]:
    """Measure how much the gain of the first channel has changed since the first look at it."""
    stimulus = gain_stimulus(measuring.setup)
    first, last = (
        _fits(measuring, look)[0] for look in (stimulus, replace(stimulus, name="last look"))
    )
    noise = math.hypot(*(fit.amplitude_sd / fit.amplitude for fit in (first, last)))
    return [
        Reading(
            id="gain.stability",
            value=100 * (last.amplitude / first.amplitude - 1),
            unit="%",
            components=(Component(name="noise", standard=100 * noise, freedom=2 * FREEDOM),),
            method=f"{METHOD} at the beginning and at the end",
            conditions=_conditions(stimulus),
        )
    ]


def polarity(measuring: Measuring) -> Sequence[Reading]:
    """Tell whether a positive voltage is shown as one, in every channel."""
    stimulus = gain_stimulus(measuring.setup)
    begins_s = stimulus.segments[0].begins_s
    return [
        Reading(
            id=suffixed("gain.polarity", channel),
            # The sine begins upwards; what filters and marker turn it by is less than 90 degrees.
            value=math.copysign(
                1.0, -math.sin(fit.phase_rad + 2 * math.pi * fit.frequency_hz * begins_s)
            ),
            unit="1",
            method=f"phase of a {METHOD}",
            conditions=_conditions(stimulus),
        )
        for channel, fit in enumerate(_fits(measuring, stimulus))
    ]


def _fits(measuring: Measuring, stimulus: Stimulus) -> list[SineFit]:
    """Fit the sine in every channel."""
    acquired, setup = measuring.played(stimulus), measuring.setup
    return [_fit(acquired, stimulus, channel, setup) for channel in range(setup.device.n_channels)]


def _fit(acquired: Acquired, stimulus: Stimulus, channel: int, setup: Setup) -> SineFit:
    segment = stimulus.segments[0]
    times_s, uv = acquired.within(segment, settling_s(setup))
    return fit_sine(times_s, uv[:, channel], segment.facts["frequency_hz"])


def _conditions(stimulus: Stimulus) -> str:
    facts = stimulus.segments[0].facts
    return (
        f"{facts['frequency_hz']:.6g} Hz, {facts['amplitude_uv']:.4g} uV peak, "
        f"state {stimulus.state}"
    )


PROCEDURES = (
    Procedure(id="gain.accuracy", title="Gain at mid-band", states=("direct",), measure=accuracy),
    Procedure(id="gain.polarity", title="Polarity", states=("direct",), measure=polarity),
)
AT_THE_END = (
    Procedure(
        id="gain.stability", title="Change of the gain", states=("direct",), measure=stability
    ),
)
