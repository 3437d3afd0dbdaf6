"""How late a device's filters are, told apart from how late its clock is.

True value. `phase.group_delay`: the group delay of the first channel in microseconds, from the
terminals to the converter, weighted over frequency by what tells time in the waveform that is
played: its power behind the device, times the frequency squared. A delay that is the same at all
frequencies (of a converter, a buffer, a wire) looks like a late clock and is none of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.align import Filtered, Waveform, fit_response, synchronise, with_gaps
from emgsim.bench.program import alignment_program
from emgsim.metrology.clocks import clock, jitter_variance
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import declared_band, source_filter
from emgsim.metrology.sines import STATE
from emgsim.metrology.stimulus import Stimulus, laid_out
from emgsim.stages import BandResponse, respond

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

SHARE = 0.1  # of the range: what a device bends of it is nothing
LOWEST_OF_BAND, HIGHEST_OF_BAND = 0.02, 0.8  # of the upper corner, in which the marks lie
BETWEEN_S, EVERY_S = 2.0, 0.5  # between the long marks, and from one short mark to the next


@dataclass(frozen=True)
class _Smeared:
    """The generator's filter, and what a recorder's jitter leaves of a mean waveform.

    Gaussian, as it mostly is, it leaves ``exp(-(omega s)**2 / 2)``.
    """

    source: BandResponse
    variance_s2: float

    def at(self, frequencies_hz: Floats) -> Complexes:
        """Return the response at each frequency."""
        smear = np.exp(-0.5 * (2 * np.pi * frequencies_hz) ** 2 * self.variance_s2)
        return np.asarray(self.source.at(frequencies_hz) * smear)


def delay_stimulus(setup: Setup) -> tuple[Stimulus, tuple[tuple[float, float], ...]]:
    """Return what is played, and when each of its marks begins and ends."""
    rate_hz, (low_hz, high_hz) = setup.play_rate_hz, setup.device.band_hz
    program = alignment_program(
        rate_hz,
        (max(low_hz, LOWEST_OF_BAND * high_hz), HIGHEST_OF_BAND * high_hz),
        BETWEEN_S,
        every_s=EVERY_S,
        peak_uv=min(SHARE * setup.device.range_uv, setup.states[STATE].largest_uv),
    )
    parts: list[tuple[str, Floats, dict[str, float]]] = [("marks", program.samples_uv, {})]
    stimulus = laid_out("alignment", STATE, rate_hz, parts, corner_hz=high_hz)
    begins_s = stimulus.segments[0].begins_s
    return stimulus, tuple((begins_s + a, begins_s + b) for a, b in program.marks_s)


def group_delay(measuring: Measuring) -> Sequence[Reading]:
    """Measure the group delay of the first channel's filters."""
    setup = measuring.setup
    stimulus, marks_s = delay_stimulus(setup)
    variance_s2, variance_sd = jitter_variance(measuring)
    variance_s2 = max(0.0, variance_s2)
    samples = measuring.played(stimulus).uv[:, 0]
    # By the long sines the clocks are known to a tenth of a ppm.
    rate_hz = setup.device.rate_hz / clock(measuring)[0]
    played, declared = _smeared(setup, stimulus, variance_s2), declared_band(setup)
    placed = synchronise(samples, rate_hz, Waveform(*played, declared), marks_s)
    whole = with_gaps(samples - np.nanmedian(samples), placed.losses)
    found = fit_response(whole, rate_hz, played, placed.alignment, declared)
    more = _smeared(setup, stimulus, variance_s2 + variance_sd)
    beside = fit_response(whole, rate_hz, more, placed.alignment, declared)
    noise_s = found.group_delay_sd_s * _louder(whole, rate_hz, played, found)
    n_lost = sum(loss.n_samples for loss in placed.losses)
    corners = found.response
    low = f"{corners.highpass_hz:.4g} Hz to " if corners.highpass_order else "up to "
    return [
        Reading(
            id="phase.group_delay",
            value=1e6 * found.group_delay_s,
            unit="us",
            components=(
                Component(name="noise", standard=1e6 * noise_s),
                Component(
                    name="jitter", standard=1e6 * abs(beside.group_delay_s - found.group_delay_s)
                ),
            ),
            method="joint fit of gain, clock and the declared filters' corners to marks in silence",
            conditions=f"{stimulus.duration_s:.3g} s, {stimulus.peak_uv:.4g} uV peak, "
            f"state {STATE}",
            note=f"corners {low}{corners.lowpass_hz:.5g} Hz; {n_lost} samples lost",
        )
    ]


def _smeared(setup: Setup, stimulus: Stimulus, variance_s2: float) -> tuple[Floats, float]:
    """Return what generator and jitter make of a stimulus, and its rate."""
    response = _Smeared(source_filter(setup), variance_s2)
    return respond(stimulus.uv, stimulus.rate_hz, response), stimulus.rate_hz


def _louder(
    samples: Floats, rate_hz: float, played: tuple[Floats, float], found: Filtered
) -> float:
    """Return the rms of what is left where the waveform tells time over that of all; at least 1.

    Jitter is loud where the waveform is steep, and there it matters most.
    """
    times_s = found.alignment.times_s(samples.size, rate_hz)
    expected, slope = Waveform(*played, found.response).at(times_s)
    square = (samples - found.alignment.gain * expected) ** 2
    known = np.isfinite(square)
    weight = slope[known] ** 2
    mean = float(square[known].mean())
    return max(1.0, math.sqrt(float(weight @ square[known] / weight.sum()) / mean)) if mean else 1.0


PROCEDURES = (
    Procedure(id="phase.group_delay", title="Group delay", states=(STATE,), measure=group_delay),
)
