"""Tests by steps and pulses: overshoot, rise, time constant, and what a pulse leaves behind.

The edge that is played is no ideal one: a step convolved with a Gaussian whose -3 dB point is 1.5
times the declared upper corner, behind the generator's own filter (NORM: Butterworth of the fifth
order at 27 % of its rate). No generator gives a steeper one that it gives alike each time.

True is what the test reads of the device without noise; for the time constant, that of the
high-pass's corner. Steps and pulses come from the same source and through the same divider as the
sine of the gain to which they are referred, so that no certificate makes them uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.shapes import Seen, expected, seen
from emgsim.metrology.silence import declared_band, referred
from emgsim.metrology.stimulus import Stimulus, laid_out
from emgsim.stages import BandResponse

Floats = NDArray[np.float64]

AMPLITUDE_UV = 1000.0  # of a step and of a pulse
PULSE_S = 1e-3
EDGE_OF_CORNER = 1.5  # -3 dB point of an edge over the declared upper corner
STEPS_S, PULSES_S = 2.0, 2.5  # of playing about so many
STEPS, PULSES = (8, 24), (10, 40)  # fewest and most
STRETCHES = 5  # of the time after a pulse
PHASES = 8  # of the edges in a device's sample
FINE = 50.0  # points of a curve in the time 1 / corner
CURVE = (-2.0, 5.0)  # of a step that is looked at, in 1 / corner
BASELINE = (-6.0, -2.0)  # before an edge, likewise
TOP = 0.15  # on either side of the highest point, in which it is a parabola
LOW_PASS_GONE = 3.0  # after an edge, likewise


def step_response(measuring: Measuring) -> Sequence[Reading]:
    """Measure overshoot and rise time of a step of 1 mV.

    The overshoot is the top of the response over ``gain at mid-band x step``, minus 1; the rise
    time goes from 10 to 90 % of that product. A high-pass's droop is in both.
    """
    setup, by = measuring.setup, referred(measuring)
    stimulus = steps_of(setup)
    times_s, curves = step_curves(seen(measuring, stimulus), stimulus, setup)
    curves = curves / (by.gain * AMPLITUDE_UV)
    plots = {"time_us": 1e6 * times_s, "response": curves.mean(axis=0)}
    readings = []
    for id, unit, scale, figure in (
        ("step.overshoot", "%", 100.0, _overshoot),
        ("step.rise", "us", 1e6, _rise_s),
    ):
        value, standard = jackknifed(curves, partial(figure, times_s))
        by_gain = abs(figure(times_s, plots["response"] * (1 + by.noise.standard)) - value)
        readings.append(
            Reading(
                id=id,
                value=scale * value,
                unit=unit,
                components=(
                    Component(
                        name="scatter of steps",
                        standard=scale * standard,
                        freedom=len(curves) - 1,
                    ),
                    Component(name=by.noise.name, standard=scale * by_gain),
                ),
                method=f"mean of {len(curves)} steps, their edges at {PHASES} phases of a sample",
                conditions="direct, 1 mV, Gaussian edge of 1.5 times the upper corner",
                rests_on=by.rests_on,
                curves=plots,
            )
        )
    return readings


def step_tau(measuring: Measuring) -> Sequence[Reading]:
    """Measure the time constant of the high-pass: ``1 / (2 pi f)`` of its corner.

    True is that of the corner of a Butterworth high-pass of the declared order. It is fitted to
    all that follows a step after the low-pass has settled.
    """
    setup = measuring.setup
    method = "fit of the declared filters with a free lower corner to the decay of steps"
    conditions = "direct, 1 mV"
    if not declared_band(setup).highpass_order:
        note = "the device is coupled down to DC: it has no time constant"
        return [
            Reading(
                id="step.tau", value=math.nan, unit="ms", method=method, note=note, applies=False
            )
        ]
    stimulus = steps_of(setup)
    corners_hz = _corners_hz(seen(measuring, stimulus), stimulus, setup)
    taus_ms = 1e3 / (2 * math.pi * corners_hz)
    standard = float(taus_ms.std(ddof=1)) / math.sqrt(taus_ms.size)
    scatter = Component(name="scatter of steps", standard=standard, freedom=taus_ms.size - 1)
    return [
        Reading(
            id="step.tau",
            value=float(taus_ms.mean()),
            unit="ms",
            components=(scatter,),
            method=method,
            conditions=conditions,
        )
    ]


def impulse_undershoot(measuring: Measuring) -> Sequence[Reading]:
    """Measure what a pulse of 1 mV and 1 ms leaves behind, against the declared filters.

    The value is the largest ``|response / gain - declared response / its gain|`` after the pulse,
    in per cent of its amplitude, of the means of some stretches of which each is longer than the
    one before. Which stretch it is, one half of the pulses says; how much it is, the other.
    """
    setup, by = measuring.setup, referred(measuring)
    stimulus = pulses_of(setup)
    times_s, off, response = _pulse_curves(seen(measuring, stimulus), stimulus, setup, by.gain)
    starts = np.unique(np.round(np.geomspace(1, times_s.size, STRETCHES)).astype(np.int64)) - 1
    lengths = np.diff(np.append(starts, times_s.size))
    off = np.add.reduceat(off, starts, axis=1) / lengths
    value, places = worst_of(off[::2].mean(axis=0), off[1::2].mean(axis=0))
    scatter = worst_sd(off.std(axis=0, ddof=1) / math.sqrt(off.shape[0]), places)
    left = abs(float(response[starts[places[0]]]))
    return [
        Reading(
            id="impulse.undershoot",
            value=100 * value,
            unit="%",
            components=(
                Component(
                    name="scatter of pulses",
                    standard=100 * scatter,
                    freedom=off.shape[0] - 1,
                ),
                Component(name=by.noise.name, standard=100 * by.noise.standard * left),
            ),
            method=f"worst deviation from the declared response, of {off.shape[0]} pulses",
            conditions=f"direct, 1 mV x 1 ms, to {1e3 * times_s[-1]:.3g} ms after the pulse",
            rests_on=by.rests_on,
            note=f"undershoot {100 * float(response.min()):.3g} %",
            curves={"time_ms": 1e3 * times_s, "response_pct": 100 * response},
        )
    ]


def steps_of(setup: Setup) -> Stimulus:
    """Return steps up and down, so far apart that the high-pass forgets."""
    low_hz, high_hz = setup.device.band_hz
    apart_s = max(40 / high_hz, 1 / low_hz if low_hz else 0.0)
    n = _number(STEPS_S / apart_s, STEPS)
    edges_s = _phased(apart_s, n, setup)
    return _edges("step", setup, edges_s, [AMPLITUDE_UV * (-1) ** k for k in range(n)])


def pulses_of(setup: Setup) -> Stimulus:
    """Return pulses of a millisecond, so far apart that what they leave behind is small."""
    low_hz, high_hz = setup.device.band_hz
    apart_s = PULSE_S + max(0.01 + 20 / high_hz, 0.5 / low_hz if low_hz else 0.0)
    n = _number(PULSES_S / apart_s, PULSES)
    begins_s = _phased(apart_s, n, setup)
    edges_s = np.stack([begins_s, begins_s + PULSE_S], axis=1).ravel()
    return _edges("pulse", setup, edges_s, [AMPLITUDE_UV, -AMPLITUDE_UV] * n)


def step_curves(saw: Seen, stimulus: Stimulus, setup: Setup) -> tuple[Floats, Floats]:
    """Return times after an edge, shape ``(n,)``, and all steps, upwards, ``(n_steps, n)``.

    Microvolts at the device's output, from the level before each edge.
    """
    unit_s = 1 / setup.device.band_hz[1]
    times_s = np.arange(CURVE[0], CURVE[1], 1 / FINE) * unit_s
    before_s = np.arange(BASELINE[0], BASELINE[1], 1 / FINE) * unit_s
    read, facts = saw.reader(), stimulus.segments[0].facts
    curves = []
    for k in range(int(facts["n_edges"])):
        edge_s = facts[f"edge_{k}_s"]
        curve = read(edge_s + times_s) - read(edge_s + before_s).mean()
        curves.append((-1) ** k * curve)
    return times_s, np.array(curves)


def worst_of(first: Floats, second: Floats) -> tuple[float, list[int]]:
    """Return the largest magnitude of values, shape ``(n,)``, that were measured twice, and where.

    The largest of many is also the one to which chance has added most. So which one it is, and
    its sign, comes from one of the two, and its value from the other; and the other way round.
    The two need not agree on the place: they are as uncertain as `worst_sd` says.
    """
    places = [int(np.argmax(np.abs(values))) for values in (first, second)]
    found = (
        math.copysign(1.0, chosen[place]) * other[place]
        for place, chosen, other in zip(places, (first, second), (second, first), strict=True)
    )
    return abs(float(np.mean(list(found)))), places


def worst_sd(deviations: Floats, places: Sequence[int]) -> float:
    """Return the deviation of `worst_of` from those of the means of both, shape ``(n,)``."""
    return float(np.sqrt(np.mean(deviations[list(places)] ** 2)))


def jackknifed(curves: Floats, figure: Callable[[Floats], float]) -> tuple[float, float]:
    """Return a figure of the mean of curves, shape ``(n_curves, n)``, and its deviation.

    What the noise adds to the figure of a mean, on average, is taken off (Quenouille 1956).
    """
    n = len(curves)
    whole = figure(curves.mean(axis=0))
    total = curves.sum(axis=0)
    without = np.array([figure((total - curve) / (n - 1)) for curve in curves])
    pseudo = n * whole - (n - 1) * without
    return float(pseudo.mean()), float(pseudo.std(ddof=1)) / math.sqrt(n)


def _overshoot(times_s: Floats, curve: Floats) -> float:
    """Return the top of a step of height 1, minus 1."""
    step_s = times_s[1] - times_s[0]
    half = round(TOP * FINE)
    top = int(np.clip(np.argmax(curve), half, curve.size - half - 1))
    part = curve[top - half : top + half + 1]
    a, b, c = np.polyfit(step_s * np.arange(-half, half + 1), part, 2)
    return float(c - b * b / (4 * a)) - 1 if a < 0 else float(part.max()) - 1


def _rise_s(times_s: Floats, curve: Floats) -> float:
    """Return the time from 10 to 90 % of a step of height 1."""
    low, high = (int(np.argmax(curve >= share)) for share in (0.1, 0.9))
    at_s = [
        np.interp(share, curve[i - 1 : i + 1], times_s[i - 1 : i + 1])
        for share, i in ((0.1, low), (0.9, high))
        if i > 0
    ]
    return float(at_s[1] - at_s[0]) if len(at_s) == 2 else math.nan


def _corners_hz(saw: Seen, stimulus: Stimulus, setup: Setup) -> Floats:
    """Return the lower corner as each step sees it, shape ``(n_steps,)``.

    Pseudo-values (Quenouille 1956): what all steps together say less what all but one do. A step
    alone can hardly tell late from large, as an exponential's slope is as its value.
    """
    declared, facts = declared_band(setup), stimulus.segments[0].facts
    n = int(facts["n_edges"])
    edges_s = np.array([facts[f"edge_{k}_s"] for k in range(n)])
    step = np.searchsorted(edges_s, saw.times_s) - 1
    since_s = saw.times_s - edges_s[np.maximum(step, 0)]
    apart_s = edges_s[1] - edges_s[0]
    gone = (step >= 0) & (since_s > LOW_PASS_GONE / declared.lowpass_hz) & (since_s < apart_s)
    times_s, uv, step = saw.times_s[gone], saw.uv[gone], step[gone]
    corner_hz = declared.highpass_hz
    for _ in range(4):
        rows = _sensitivities(stimulus, setup, times_s, corner_hz)
        change = np.linalg.solve(rows @ rows.T, rows @ uv)
        corner_hz *= math.exp(float(np.clip(change[1] / change[0], -0.5, 0.5)))
    rows = _sensitivities(stimulus, setup, times_s, corner_hz)
    parts = [(rows[:, step == k], uv[step == k]) for k in range(n)]
    normal = np.array([own @ own.T for own, _ in parts])
    right = np.array([own @ said for own, said in parts])
    changes = np.linalg.solve(
        np.concatenate([[normal.sum(axis=0)], normal.sum(axis=0) - normal]),
        np.concatenate([[right.sum(axis=0)], right.sum(axis=0) - right])[..., None],
    )[..., 0]
    by_all, *by_others = changes[:, 1] / changes[:, 0]
    return np.asarray(corner_hz * (1 + n * by_all - (n - 1) * np.array(by_others)))


def _sensitivities(stimulus: Stimulus, setup: Setup, times_s: Floats, corner_hz: float) -> Floats:
    """Return the model at a lower corner and what it changes with, shape ``(4, n)``.

    With its gain, with the logarithm of the corner, with the lag, and with the baseline.
    """
    declared, by = declared_band(setup), 1e-3
    lower, here, upper = (
        expected(
            stimulus,
            setup,
            BandResponse(
                highpass_hz=corner_hz * math.exp(change),
                highpass_order=declared.highpass_order,
                lowpass_hz=declared.lowpass_hz,
                lowpass_order=declared.lowpass_order,
            ),
        )
        for change in (-by, 0.0, by)
    )
    value, slope = here.at(times_s)
    by_corner = (upper.at(times_s)[0] - lower.at(times_s)[0]) / (2 * by)
    return np.stack([value, by_corner, slope, np.ones_like(value)])


def _pulse_curves(
    saw: Seen, stimulus: Stimulus, setup: Setup, gain: float
) -> tuple[Floats, Floats, Floats]:
    """Return times after a pulse, how far each is from declared, and the mean response.

    Shapes ``(n,)``, ``(n_pulses, n)`` and ``(n,)``, of the pulse's amplitude; each is the mean
    over the time 1 / corner about its instant.
    """
    high_hz, facts = setup.device.band_hz[1], stimulus.segments[0].facts
    starts_s = np.array([facts[f"edge_{k}_s"] for k in range(0, int(facts["n_edges"]), 2)])
    free_s = float(np.diff(starts_s).min()) - PULSE_S - 8 / high_hz
    n = int((free_s - LOW_PASS_GONE / high_hz) * high_hz)
    times_s = (LOW_PASS_GONE + 0.5 + np.arange(n)) / high_hz
    within_s = (np.arange(8) - 3.5) / 8 / high_hz
    before_s = np.arange(BASELINE[0], BASELINE[1], 1 / 8) / high_hz
    read, band = saw.reader(), declared_band(setup)
    declared = abs(complex(band.at(np.array([setup.mid_hz]))[0]))
    off, response = [], []
    for start_s in starts_s:
        at_s = start_s + PULSE_S + np.add.outer(times_s, within_s)
        heard = read(at_s.ravel()) - read(start_s + before_s).mean()
        should = saw.model.at(at_s.ravel())[0] - saw.model.at(start_s + before_s)[0].mean()
        heard, should = heard / (gain * AMPLITUDE_UV), should / (declared * AMPLITUDE_UV)
        response.append(heard.reshape(at_s.shape).mean(axis=1))
        off.append((heard - should).reshape(at_s.shape).mean(axis=1))
    return np.asarray(times_s), np.array(off), np.asarray(np.mean(response, axis=0))


def _number(wanted: float, bounds: tuple[int, int]) -> int:
    """Return an even number within bounds."""
    return 2 * (min(max(int(wanted), bounds[0]), bounds[1]) // 2)


def _phased(apart_s: float, n: int, setup: Setup) -> Floats:
    """Return ``n`` instants, of which 8 in turn lie at other phases of the device's samples."""
    sample_s = 1 / setup.device.rate_hz
    whole_s = math.ceil(apart_s / sample_s) * sample_s
    return np.asarray(whole_s * (np.arange(n) + 0.25) + sample_s / PHASES * (np.arange(n) % PHASES))


def _edges(name: str, setup: Setup, edges_s: Floats, heights_uv: Sequence[float]) -> Stimulus:
    """Return a stimulus of Gaussian edges; its facts tell where they are on the source's clock."""
    rate_hz, high_hz = setup.play_rate_hz, setup.device.band_hz[1]
    sigma_s = math.sqrt(math.log(2)) / (2 * math.pi * EDGE_OF_CORNER * high_hz)
    # As long behind the last edge as lies between others: what it leaves behind is looked at, too.
    n = round((edges_s[-1] + np.diff(edges_s).max()) * rate_hz)
    t, uv = np.arange(n) / rate_hz, np.zeros(n)
    for edge_s, height_uv in zip(edges_s, heights_uv, strict=True):
        uv += height_uv * special.ndtr((t - edge_s) / sigma_s)
    laid = laid_out(name, "direct", rate_hz, [("edges", uv, {})], corner_hz=high_hz)
    begins_s = laid.segments[0].begins_s
    facts = {f"edge_{k}_s": begins_s + float(edge_s) for k, edge_s in enumerate(edges_s)}
    facts["n_edges"] = float(edges_s.size)
    return laid_out(name, "direct", rate_hz, [("edges", uv, facts)], corner_hz=high_hz)


PROCEDURES: tuple[Procedure, ...] = (
    Procedure(id="step", title="Step response", states=("direct",), measure=step_response),
    Procedure(id="step.tau", title="Time constant", states=("direct",), measure=step_tau),
    Procedure(
        id="impulse.undershoot",
        title="Undershoot after a pulse",
        states=("direct",),
        measure=impulse_undershoot,
    ),
)
