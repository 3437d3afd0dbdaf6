"""Tests of what a device does after it was driven far over its range.

A pulse of a millisecond and a sine of 0.2 s, ten times the declared range or as much as the state
of the fixture allows, on a small sine that goes on all the time. The device has recovered when its
baseline, the small sine taken off, is within 10 % of the declared range to stay, and when the small
sine is as large as it was, to 5 %. A high-pass that swings back counts: so long nobody can read the
trace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.estimators import fit_tones
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.shapes import Seen, seen
from emgsim.metrology.silence import played
from emgsim.metrology.stimulus import Segment, Stimulus, laid_out, sine

Floats = NDArray[np.float64]

STATE = "overload"
OVER = 10.0  # times the declared range
OF_SOURCE = 0.95  # of its largest voltage, as filters overshoot
PULSE_S, BURST_S, BURST_HZ = 1e-3, 0.2, 50.0
PULSES, BURSTS = 6, 3
PHASES = (0.17, 0.83, 0.42, 0.95, 0.58, 0.29)  # of a sample: no drift of a clock makes them alike
MARKER = 0.6  # of the range
SMALL = 0.05  # of the range: the sine that goes on
SMALL_HZ, SMALL_OF_CORNER = 2000.0, 0.3
QUIET_S = 0.3  # with the small sine alone, before anything
APART_S, APART_TURNS = 0.10, 1.2  # from one overload to the next; in periods of the low corner
EDGE_S = 0.1  # over the upper corner: sigma of the Gaussian edges of a pulse, in seconds x hertz
BASELINE = 0.10  # of the range
GAIN = 0.05
NEAR = (16, 64, 256)  # samples on either side of where the baseline comes back, as few as do
STANDS_OUT = 6.0  # times the noise, which the baseline falls by in them
PARABOLA = 1.5  # times a mean's deviation is that of a parabola's middle (Savitzky & Golay 1964)
STEPS_OF_PAIR = 16  # of two cycles of the small sine, in which its size is looked at again
QUIET_SAMPLES = 1000  # that tell the noise
AS_NOISE = 2.5  # times the noise: more is left over where the baseline jumps


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How long the device was out of its range after an overload.

    Attributes
    ----------
    time_s
        After the end of the overload; infinite if it did not come back before the next one.
    noise_s, sampling_s
        What noise, and samples that are apart, make uncertain in it.
    relative_s
        By how much it grows with the logarithm of the overload's size.
    """

    time_s: float
    noise_s: float = 0.0
    sampling_s: float = 0.0
    relative_s: float = 0.0


def overload_recovery(measuring: Measuring) -> Sequence[Reading]:
    """Measure how long a device needs after a pulse, and after a sine, far over its range.

    True is the mean, over all phases of the samples, of the time from the end of the overload as
    it is played to that at which the baseline comes back, or to the middle between the last sample
    that is out and the first that is not, where it jumps. To it comes what the small sine needs
    longer, of which two cycles are looked at together. Six pulses and three sines lie at other
    phases each.
    """
    setup = measuring.setup
    stimulus = overloads_of(setup)
    quiet = stimulus.segments[0]
    saw = seen(measuring, stimulus, until_s=quiet.ends_s)
    baseline_uv = _without_sine(saw, quiet, setup)
    _, certified, rests_on = played(setup, STATE, _small_hz(setup))
    readings = []
    for id, kind in (("overload.recovery", "pulse"), ("overload.recovery.sine", "burst")):
        segments = [s for s in stimulus.segments if s.name == kind]
        found = [_recovered(saw, baseline_uv, s, quiet, setup) for s in segments]
        times_ms = 1e3 * np.array([recovery.time_s for recovery in found])
        is_back = bool(np.isfinite(times_ms).all())
        longest_ms = 1e3 * (segments[0].ends_s - segments[0].facts["over_s"])
        noise_ms, sampling_ms = (
            1e3 * math.sqrt(sum(s**2 for s in each)) / len(found)
            for each in ([r.noise_s for r in found], [r.sampling_s for r in found])
        )
        relative_ms = 1e3 * float(np.mean([recovery.relative_s for recovery in found]))
        readings.append(
            Reading(
                id=id,
                value=float(times_ms.mean()) if is_back else longest_ms,
                unit="ms",
                bound="" if is_back else ">=",
                components=(
                    Component(name="sampling", standard=sampling_ms),
                    Component(name="noise", standard=noise_ms),
                    *(Component(name=c.name, standard=relative_ms * c.standard) for c in certified),
                ),
                method="baseline within 10 % of the range, and a small sine within 5 %",
                conditions=f"{STATE}, {segments[0].facts['peak_uv'] / 1e3:.3g} mV, {kind}",
                rests_on=rests_on,
                note="" if is_back else "it does not come back before the next overload",
                curves=_curve(saw.times_s, baseline_uv, segments[0]),
            )
        )
    return readings


def overloads_of(setup: Setup) -> Stimulus:
    """Return the overloads on a small sine; of each its segment begins and its facts tell the end.

    Facts: ``over_s``, when it is over on the source's clock, and ``peak_uv``.
    """
    stimulus, high_hz = without_overload(setup), setup.device.band_hz[1]
    peak_uv = _peak_uv(setup)
    t = np.arange(stimulus.uv.size) / stimulus.rate_hz
    uv, segments, n_seen = stimulus.uv.copy(), [], {"pulse": 0, "burst": 0, "quiet": 0}
    for segment in stimulus.segments:
        phase_s = PHASES[n_seen[segment.name]] / setup.device.rate_hz
        n_seen[segment.name] += 1
        first_s = segment.begins_s + phase_s
        over_s = first_s + {"pulse": PULSE_S, "burst": BURST_S, "quiet": 0.0}[segment.name]
        edges = [special.ndtr((t - at_s) * high_hz / EDGE_S) for at_s in (first_s, over_s)]
        wave = np.ones(t.size)
        if segment.name == "burst":
            wave = np.sin(2 * np.pi * BURST_HZ * (t - first_s))
        uv += peak_uv * wave * (edges[0] - edges[1])
        segments.append(replace(segment, facts={"over_s": over_s, "peak_uv": peak_uv}))
    return replace(stimulus, name="overload", uv=uv, segments=tuple(segments))


def without_overload(setup: Setup) -> Stimulus:
    """Return the small sine alone, in segments as long as those of the overloads."""
    rate_hz, low_hz = setup.play_rate_hz, setup.device.band_hz[0]
    apart_s = max(APART_S, APART_TURNS / low_hz if low_hz else 0.0)
    lengths_s = [("quiet", QUIET_S)]
    lengths_s += [("pulse", PULSE_S + apart_s)] * PULSES
    lengths_s += [("burst", BURST_S + apart_s)] * BURSTS
    whole_s = sum(length_s for _, length_s in lengths_s)
    wave = sine(rate_hz, _small_hz(setup), SMALL * setup.device.range_uv, whole_s, ramp_s=0.01)
    laid = laid_out(
        "small sine",
        STATE,
        rate_hz,
        [("all", wave, {})],
        corner_hz=setup.device.band_hz[1],
        marker_uv=MARKER * setup.device.range_uv,  # or an overload would be taken for it
    )
    begins_s, segments = laid.segments[0].begins_s, []
    for name, length_s in lengths_s:
        segments.append(Segment(name=name, begins_s=begins_s, ends_s=begins_s + length_s))
        begins_s += length_s
    return replace(laid, segments=tuple(segments))


def _peak_uv(setup: Setup) -> float:
    """Return how large an overload is: as large as source and fixture allow, and no larger."""
    state, sheet = setup.states[STATE], setup.source
    of_source_uv = 1e6 * 0.5 * sheet.max_vpp_open_v * state.load_factor * state.differential
    most_uv = OF_SOURCE * min(of_source_uv, state.largest_uv)
    return min(OVER * setup.device.range_uv, most_uv - SMALL * setup.device.range_uv)


def _small_hz(setup: Setup) -> float:
    return min(SMALL_HZ, SMALL_OF_CORNER * setup.device.band_hz[1])


def _without_sine(saw: Seen, quiet: Segment, setup: Setup) -> Floats:
    """Return the samples without the small sine, as it is before any overload."""
    first, end = np.searchsorted(saw.times_s, [quiet.begins_s + 0.5 * QUIET_S, quiet.ends_s])
    cut = slice(first, end)
    frequency_hz = _small_hz(setup)
    tones, _, _ = fit_tones(saw.times_s[cut], saw.uv[cut], [frequency_hz])
    sine_uv = (tones[0] * np.exp(2j * np.pi * frequency_hz * saw.times_s)).real
    return np.asarray(saw.uv - sine_uv - np.mean(saw.uv[cut] - sine_uv[cut]))


def _recovered(
    saw: Seen, baseline_uv: Floats, segment: Segment, quiet: Segment, setup: Setup
) -> Recovery:
    """Return how long after the end of an overload the device is back."""
    over_s, limit_uv = segment.facts["over_s"], BASELINE * setup.device.range_uv
    first, end = np.searchsorted(saw.times_s, [over_s, segment.ends_s])
    out = np.flatnonzero(np.abs(baseline_uv[first:end]) > limit_uv)
    back = first + (int(out[-1]) + 1 if out.size else 0)
    pair = max(8, round(2 * setup.device.rate_hz / _small_hz(setup)))
    before = int(np.searchsorted(saw.times_s, quiet.ends_s)) - 2 * pair
    rest = back
    while rest + pair < end and not _is_as_large(saw, rest, before, pair, setup):
        rest += max(1, pair // STEPS_OF_PAIR)
    if rest + pair >= end:
        return Recovery(time_s=math.inf)
    found = _crossing(saw, baseline_uv, back, limit_uv, before)
    late_s = (rest - back) / setup.device.rate_hz
    return replace(found, time_s=found.time_s - over_s + late_s)


def _crossing(saw: Seen, baseline_uv: Floats, back: int, limit_uv: float, before: int) -> Recovery:
    """Return when the baseline comes back, on the source's clock.

    A slow swing is a parabola there, which crosses the limit; a jump lies between two samples.
    """
    noise_uv = float(np.std(baseline_uv[before - QUIET_SAMPLES : before]))
    for half in NEAR:
        near = slice(back - half, back + half)
        t, near_uv = saw.times_s[near] - saw.times_s[back], np.abs(baseline_uv[near])
        bend, slope, level = (float(c) for c in np.polyfit(t, near_uv, 2))
        rest_uv = float(np.std(near_uv - level - slope * t - bend * t**2))
        if rest_uv > AS_NOISE * noise_uv:
            break
        if slope * t[0] >= STANDS_OUT * noise_uv:
            off_s = (limit_uv - level) / slope
            off_s -= bend * off_s**2 / slope
            noise_s = PARABOLA * noise_uv / abs(slope) / math.sqrt(half)
            time_s = float(saw.times_s[back]) + off_s
            return Recovery(time_s=time_s, noise_s=noise_s, relative_s=-limit_uv / slope)
    last_s, first_s = saw.times_s[back - 1 : back + 1]
    jump_uv = max(float(np.abs(baseline_uv[back - 1]) - np.abs(baseline_uv[back])), 1e-9)
    sample_s = float(first_s - last_s)
    return Recovery(
        time_s=float(0.5 * (last_s + first_s)),
        noise_s=noise_uv * sample_s / jump_uv,
        sampling_s=sample_s / math.sqrt(12),
        relative_s=limit_uv * sample_s / jump_uv,
    )


def _is_as_large(saw: Seen, first: int, before: int, n: int, setup: Setup) -> bool:
    """Tell whether the small sine is as large in some samples as in some before any overload.

    A parabola goes with it: the baseline may still be on its way.
    """
    sizes = []
    for start in (first, before):
        t = saw.times_s[start : start + n] - saw.times_s[start]
        turn, x = 2 * np.pi * _small_hz(setup) * t, t / t[-1]
        rows = np.stack([np.cos(turn), np.sin(turn), np.ones(n), x, x**2])
        found = np.linalg.solve(rows @ rows.T, rows @ saw.uv[start : start + n])
        sizes.append(math.hypot(found[0], found[1]))
    return abs(sizes[0] / sizes[1] - 1) <= GAIN


def _curve(times_s: Floats, baseline_uv: Floats, segment: Segment) -> dict[str, Floats]:
    first, last = np.searchsorted(times_s, [segment.begins_s - 0.005, segment.ends_s])
    return {
        "time_ms": 1e3 * (times_s[first:last] - segment.facts["over_s"]),
        "baseline_uv": baseline_uv[first:last],
    }


PROCEDURES: tuple[Procedure, ...] = (
    Procedure(
        id="overload.recovery",
        title="Recovery from overload",
        states=(STATE, "direct"),
        measure=overload_recovery,
    ),
)
