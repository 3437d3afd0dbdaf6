"""How straight a device is, and where it ends: ladder of amplitudes, rails, dynamic range.

True values. `linearity.inl`: the fundamental of the output for sines of `LADDER` times the declared
range, in declared microvolts; its largest departure from their best straight line, in per cent of
the declared range. `saturation.level`: what the device still shows of a voltage on the side where
it shows less, counted from where it rests, over the size of its gain at mid-band. `dynamic_range`:
``20 log10`` of that over root two and over the noise with shorted inputs, in the declared band.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.clocks import clock
from emgsim.metrology.noise import noise_rms
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import referred
from emgsim.metrology.sines import (
    STATE,
    chord,
    heard,
    impossible,
    slack_s,
    spot_hz,
    stimulus_of,
)
from emgsim.metrology.stimulus import LEAD_S, Stimulus, laid_out
from emgsim.metrology.tones import DB, FREEDOM

Floats = NDArray[np.float64]

LADDER = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
LADDER_TIMES = 5.3  # of mid-band
LADDER_S, LADDER_TURNS = 0.1, 30.0
CHANCE = 1e-4  # of the noise alone leaving more beside a cubic than what is then called a kink

OVERDRIVE = 1.6  # of the range: a device of 30 Hz and of 8 % too little gain is cut by that
PULSE_TIMES = 2.5  # of mid-band: a pulse is one turn of it, and slower ones would sink
FLAT = 2e-3  # of the range: samples so close to the largest are on the rail
FLAT_SHARE = 0.1  # of a pulse that is cut off, at least
PULSE_GAP_S = 0.1  # in which a device comes off one rail before it is sent to the other
MARKER_SHARE = 0.5  # of the range: the marker must not be cut


def inl(measuring: Measuring) -> Sequence[Reading]:
    """Measure how far the amplitude ladder departs from a straight line.

    A cubic is fitted beside the line. Where it leaves no more than noise, the departure is that of
    the cubic: its sign is free, so that noise makes it no larger on the average. Where it does not,
    a device has a kink, and the departure is the largest one found.
    """
    setup = measuring.setup
    acquired = measuring.played(ladder(setup))
    ratio = clock(measuring)[0]
    played_uv = np.array(LADDER) * _top_uv(setup)
    found = [heard(acquired, f"step {i}", ratio) for i in range(len(LADDER))]
    sizes_uv = np.array([float(np.abs(f.tones[0, 0])) for f in found])
    sds_uv = np.array([float(f.sds[0, 0]) for f in found])
    percent = 100 / setup.device.range_uv
    bend = (played_uv / played_uv[0]) ** 3 * played_uv[0]
    basis = np.column_stack([np.ones(played_uv.size), played_uv, bend])
    weighted = basis / sds_uv[:, None] ** 2
    normal = np.linalg.inv(weighted.T @ basis)
    fitted = normal @ (weighted.T @ sizes_uv)
    left = (sizes_uv - basis @ fitted) / sds_uv
    per_bend = float(np.max(np.abs(departures(played_uv, bend))))
    off_uv = departures(played_uv, sizes_uv)
    if special.chdtrc(played_uv.size - 3, float(left @ left)) > CHANCE:
        value, sd_uv = abs(fitted[2]) * per_bend, math.sqrt(normal[2, 2]) * per_bend
    else:
        value, sd_uv = float(np.max(np.abs(off_uv))), float(sds_uv[np.argmax(np.abs(off_uv))])
    # A third harmonic of h comes with a fundamental that is 3 h too large.
    source = 3 * 0.5 * 10 ** (setup.source.distortion_db / 20)
    return [
        Reading(
            id="linearity.inl",
            value=percent * value,
            unit="%",
            components=(
                Component(name="noise", standard=percent * sd_uv, freedom=FREEDOM),
                Component(name="distortion of the source", standard=percent * source * per_bend),
            ),
            method="amplitude ladder, descending, against its best straight line",
            conditions=f"{_ladder_hz(setup):.6g} Hz, {LADDER[-1]:.0%} to {LADDER[0]:.0%} of the "
            f"range, state {STATE}",
            curves={"level_uv": played_uv, "departure_percent": percent * off_uv},
        )
    ]


def departures(x: Floats, y: Floats) -> Floats:
    """Return how far values lie from their best straight line, shape ``(n,)``."""
    basis = np.column_stack([np.ones(x.size), x])
    return np.asarray(y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0])


def ladder(setup: Setup) -> Stimulus:
    """Return sines of falling amplitude."""
    hz = _ladder_hz(setup)
    core_s = max(LADDER_S, LADDER_TURNS / hz)
    return stimulus_of(
        setup,
        "ladder",
        [
            chord(setup, f"step {i}", {hz: share * _top_uv(setup)}, core_s)
            for i, share in enumerate(LADDER)
        ],
    )


def _ladder_hz(setup: Setup) -> float:
    return spot_hz(setup, LADDER_TIMES)


def _top_uv(setup: Setup) -> float:
    """Return what the ladder is a share of: the range, or what the rig allows of it."""
    return min(setup.device.range_uv, setup.states[STATE].largest_uv / LADDER[0])


@dataclass(frozen=True, kw_only=True)
class Rails:
    """How far the first channel goes to either side of where it rests, in declared microvolts.

    ``is_reached`` tells whether it was cut there; else it goes at least so far.
    """

    up_uv: float
    down_uv: float
    rest_sd_uv: float
    is_reached: bool

    @property
    def smaller_uv(self) -> float:
        """The side on which there is less."""
        return min(self.up_uv, self.down_uv)


def saturation(measuring: Measuring) -> Sequence[Reading]:
    """Measure the largest voltage that the device shows."""
    stimulus = pulses(measuring.setup)
    found = rails(measuring)
    reference = referred(measuring)
    value = found.smaller_uv / abs(reference.gain)
    return [
        Reading(
            id="saturation.level",
            value=1e-3 * value,
            unit="mV",
            components=tuple(
                Component(name=c.name, standard=1e-3 * c.standard, freedom=c.freedom)
                for c in (*reference.components(value), *_of_rails(measuring.setup, found))
            ),
            method="level at which a pulse of either sign is cut, over the gain at mid-band",
            conditions=f"pulses of {stimulus.segments[0].facts['amplitude_uv']:.4g} uV, "
            f"state {stimulus.state}",
            rests_on=reference.rests_on,
            bound="" if found.is_reached else ">=",
            note="" if found.is_reached else "the device shows all that was played",
        )
    ]


def dynamic_range(measuring: Measuring) -> Sequence[Reading]:
    """Measure the largest sine over the noise."""
    found = rails(measuring)
    reference = referred(measuring)
    noise = noise_rms(measuring)[0]
    if not noise.value > 0:
        return [impossible("dynamic_range", "dB", "no noise was found", applies=True)]
    # The gain that both are referred by is the same, and no part of their ratio.
    shared = {c.name for c in reference.relative}
    own = [c for c in noise.components if c.name not in shared]
    rail_uv = found.smaller_uv
    parts = [(c, c.standard / noise.value) for c in own]
    parts += [(c, c.standard / rail_uv) for c in _of_rails(measuring.setup, found)]
    return [
        Reading(
            id="dynamic_range",
            value=20 * math.log10(rail_uv / abs(reference.gain) / math.sqrt(2) / noise.value),
            unit="dB",
            components=tuple(
                Component(name=c.name, standard=DB * relative, freedom=c.freedom)
                for c, relative in parts
            ),
            method="saturation level over root two and over the noise with shorted inputs",
            conditions=noise.conditions,
            bound="" if found.is_reached else ">=",
            note="" if found.is_reached else "the device shows all that was played",
        )
    ]


def pulses(setup: Setup) -> Stimulus:
    """Return a pulse of either sign that is larger than the device's range.

    It is played where the rig allows that, else as large as it allows.
    """
    wanted_uv = OVERDRIVE * setup.device.range_uv
    state = next(
        (
            name
            for name in (STATE, "overload")
            if name in setup.states and setup.states[name].largest_uv >= wanted_uv
        ),
        STATE,
    )
    amplitude_uv = min(wanted_uv, setup.states[state].largest_uv)
    rate_hz = setup.play_rate_hz
    n = round(rate_hz / spot_hz(setup, PULSE_TIMES))
    pulse = amplitude_uv * np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
    quiet = np.zeros(round(slack_s(setup.device.rate_hz) * rate_hz))
    facts = {"amplitude_uv": amplitude_uv, "pulse_s": n / rate_hz}
    return laid_out(
        "pulses",
        state,
        rate_hz,
        [
            ("up", np.concatenate([quiet, pulse, quiet]), facts),
            ("down", np.concatenate([quiet, -pulse, quiet]), facts),
        ],
        corner_hz=setup.device.band_hz[1],
        gap_s=PULSE_GAP_S,
        marker_uv=MARKER_SHARE * setup.device.range_uv,
    )


def rails(measuring: Measuring) -> Rails:
    """Find how far the first channel goes to either side."""
    setup = measuring.setup
    stimulus = pulses(setup)
    acquired = measuring.played(stimulus)
    rest_uv, sd_uv = _rest(acquired)
    extremes, reached = [], []
    for segment in stimulus.segments:
        uv = acquired.within(segment, edge_s=0.0)[1][:, 0] - rest_uv
        uv = uv[np.isfinite(uv)]
        top = uv if uv.max() > -uv.min() else -uv
        flat = top[top >= top.max() - FLAT * setup.device.range_uv]
        n_pulse = segment.facts["pulse_s"] * acquired.rate_hz
        extremes.append(float(np.median(flat)))
        reached.append(flat.size >= FLAT_SHARE * n_pulse)
    return Rails(
        up_uv=extremes[0],
        down_uv=extremes[1],
        rest_sd_uv=sd_uv,
        is_reached=reached[int(np.argmin(extremes))],
    )


def _rest(acquired: Acquired) -> tuple[float, float]:
    """Return where the first channel rests before the marker, and how well that is known."""
    ends_s = LEAD_S - slack_s(acquired.rate_hz)
    uv = acquired.uv[acquired.times_s < ends_s, 0]
    pieces = np.array([np.nanmean(piece) for piece in np.array_split(uv, 8)])
    return float(np.nanmean(uv)), float(pieces.std(ddof=1) / math.sqrt(pieces.size))


def _of_rails(setup: Setup, found: Rails) -> tuple[Component, ...]:
    """Return what is uncertain in the level of a rail, in declared microvolts."""
    step_uv = float(setup.device.scales_uv_per_count[0])
    return (
        Component(name="noise where it rests", standard=found.rest_sd_uv, freedom=7.0),
        Component(name="size of a code", standard=step_uv / math.sqrt(12)),
    )


PROCEDURES = (
    Procedure(
        id="linearity.inl", title="Departure from a straight line", states=(STATE,), measure=inl
    ),
    Procedure(id="saturation.level", title="Saturation level", states=(STATE,), measure=saturation),
    Procedure(
        id="dynamic_range",
        title="Dynamic range",
        states=(STATE, "shorted"),
        measure=dynamic_range,
    ),
)
