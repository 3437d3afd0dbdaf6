"""Gain and phase over frequency: corners, ripple, spread of the group delay, mains notches.

True values, with ``H`` from the terminals to the converter and ``G = |H| / |H(mid-band)|`` at
`Setup.mid_hz`:

- `freq.low_corner`, `freq.high_corner`: where ``G`` is the root of a half.
- `freq.ripple`: the largest ``|20 log10(G / G_declared)|`` from 1.5 times the declared low corner
  (10 Hz, or a twentieth of mid-band, for a device coupled down to DC) to 0.7 of the high one.
- `phase.group_delay_spread`: largest minus smallest ``-d arg H / d omega`` from 100 Hz, or twice
  the low corner, to 3 kHz, or half the high corner.
- `notch.depth.50hz`, `.60hz`: ``-20 log10(G / G_declared)`` there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from emgsim.estimators import NEAR_BINS
from emgsim.metrology.clocks import clock, jitter_variance
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import declared_band
from emgsim.metrology.sines import (
    STATE,
    Part,
    chord,
    gains,
    heard,
    impossible,
    stimulus_of,
)
from emgsim.metrology.stimulus import Stimulus
from emgsim.metrology.tones import DB, FREEDOM

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

# Around and above the low corner all sines sound together, each so faint that what the device's
# nonlinearity makes of them together is nothing: there waiting is what costs.
LOW_AT = (0.52, 0.77, 1.0, 1.27, 1.5, 2.07, 2.93, 4.1, 5.8)
LOW_SHARE = 0.005  # of the range, each
LOW_BINS = 24  # of the residual's spectrum: below the corner noise is not what it is above
LOW_TURNS, LOW_SETTLING_TURNS = 8.0, 1.5  # of the low corner
STEPPED_FROM = 8.0  # times the low corner
STEPS_PER_DECADE = 6
HIGH_AT = (0.7, 0.8, 0.9, 1.0, 1.12, 1.26, 1.42)
SHARE = 0.1  # of the range, each of the stepped sines
STEP_S, STEP_TURNS, STEP_RAMP_S, STEP_RAMP_TURNS = 0.04, 6.0, 0.01, 3.0
MID_S = 0.3
MAINS_HZ = (50.0, 60.0)
MAINS_SHARE, MAINS_S, MAINS_RAMP_S = 0.05, 0.5, 0.25
HIGHEST_OF_RATE = 0.45  # of the device's: beyond it its own converter folds

DC_LOWEST = 0.05  # of mid-band: where the band of a device begins that is coupled down to DC
BAND = (1.5, 0.7)  # of the corners
DELAY_HZ, DELAY_BAND = (100.0, 3000.0), (2.0, 0.5)
DELAY_POINTS = 13
DELAY_POWERS = (4, 3)  # of the frequency, and of its inverse
NEAR_CORNER = (0.05, 0.95)  # squares of a gain that tell where a corner is


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """What the first channel makes of sines, over what it makes of one at mid-band.

    Attributes
    ----------
    frequencies_hz
        Rising, shape ``(n,)``.
    gains
        Complex, likewise; 1 at mid-band. They turn with a delay that nobody knows.
    sds
        Relative standard deviations of what was heard, and in radians of its phases, likewise.
    mid_sd
        That of mid-band, which all gains have in common.
    jitter_sds
        Relative ones of what jitter has taken from each, which was given back.
    """

    frequencies_hz: Floats
    gains: Complexes
    sds: Floats
    mid_sd: float
    jitter_sds: Floats


def response_stimulus(setup: Setup) -> Stimulus:
    """Return all sines by which the response is measured."""
    low_hz, high_hz = setup.device.band_hz
    range_uv = setup.device.range_uv
    parts: list[Part] = [chord(setup, "mid", {setup.mid_hz: SHARE * range_uv}, MID_S)]
    settling_s = LOW_SETTLING_TURNS / low_hz if _is_high_passed(setup) else 0.0
    if _is_high_passed(setup):
        together = {k * low_hz: LOW_SHARE * range_uv for k in LOW_AT if k * low_hz < 0.3 * high_hz}
        parts.append(chord(setup, "low", together, LOW_TURNS / low_hz, 1 / low_hz, settling_s))
    mains = {f: MAINS_SHARE * range_uv for f in MAINS_HZ if f < BAND[1] * high_hz}
    if mains:
        parts.append(chord(setup, "mains", mains, MAINS_S, MAINS_RAMP_S, settling_s))
    for i, frequency_hz in enumerate(_stepped_hz(setup)):
        core_s = max(STEP_S, STEP_TURNS / frequency_hz)
        ramp_s = max(STEP_RAMP_S, STEP_RAMP_TURNS / frequency_hz)
        parts.append(chord(setup, f"step {i}", {frequency_hz: SHARE * range_uv}, core_s, ramp_s))
    return stimulus_of(setup, "response", parts)


def response(measuring: Measuring) -> Response:
    """Measure gain and phase of the first channel at all frequencies of the stimulus."""
    setup = measuring.setup
    stimulus = response_stimulus(setup)
    acquired = measuring.played(stimulus)
    ratio = clock(measuring)[0]
    found: list[tuple[float, complex, float]] = []
    for segment in stimulus.segments:
        near_bins = LOW_BINS if segment.name == "low" else NEAR_BINS
        tones = heard(acquired, segment.name, ratio, near_bins=near_bins)
        sizes = gains(setup, tones, segment)[:, 0]
        relative = tones.sds[:, 0] / np.abs(tones.tones[:, 0])
        rows = zip(tones.frequencies_hz, sizes, relative, strict=True)
        found += [(float(f), complex(g), float(sd)) for f, g, sd in rows]
    mid_hz, mid, mid_sd = found[0]
    flat = _flatness(setup, mid_hz)
    found.sort(key=lambda row: row[0])
    f = np.array([row[0] for row in found])
    # What jitter smears of fast sines is no matter of the filters: Gaussian, as it mostly is, it
    # leaves exp(-(omega s)**2 / 2) of them.
    variance_s2, jitter_sd = jitter_variance(measuring)
    smeared = 0.5 * (2 * np.pi) ** 2 * (f**2 - mid_hz**2)
    sharp = np.exp(smeared * max(0.0, variance_s2))
    return Response(
        frequencies_hz=f,
        gains=np.array([g / abs(mid) / flat(f)[0] for f, g, _ in found]) * sharp,
        sds=np.array([math.hypot(sd, flat(f)[1]) for f, _, sd in found]),
        mid_sd=mid_sd,
        jitter_sds=np.abs(smeared) * jitter_sd,
    )


def low_corner(measuring: Measuring) -> Sequence[Reading]:
    """Measure where the gain has fallen by 3 dB towards low frequencies."""
    if not _is_high_passed(measuring.setup):
        return [impossible("freq.low_corner", "Hz", "the device is coupled down to DC")]
    return [_corner(measuring, "freq.low_corner", is_low=True)]


def high_corner(measuring: Measuring) -> Sequence[Reading]:
    """Measure where the gain has fallen by 3 dB towards high frequencies."""
    if not measuring.setup.device.lowpass_order:
        return [impossible("freq.high_corner", "Hz", "the device declares no low-pass")]
    return [_corner(measuring, "freq.high_corner", is_low=False)]


def _corner(measuring: Measuring, id: str, *, is_low: bool) -> Reading:
    """Interpolate ``log(1 / G**2 - 1)``, a straight line over log frequency for a Butterworth.

    How far it is from that of the declared response is interpolated, by a parabola: what is left
    of its curvature is then next to nothing.
    """
    setup, found = measuring.setup, response(measuring)
    squares = np.abs(found.gains) ** 2
    side = found.frequencies_hz < setup.mid_hz if is_low else found.frequencies_hz > setup.mid_hz
    near = side & (squares > NEAR_CORNER[0]) & (squares < NEAR_CORNER[1])
    f, q = found.frequencies_hz[near], squares[near]
    if f.size < 3 or q.min() > 0.5 or q.max() < 0.5:
        why = "the gain does not pass -3 dB where the declared corner is"
        return impossible(id, "Hz", why, applies=True)
    x = np.log(f / setup.device.band_hz[0 if is_low else 1])
    off = np.log(1 / q - 1) - _declared_level(setup, f)
    sds = 2 * found.sds[near] / (1 - q)
    basis = np.vander(x, 3 if f.size > 4 else 2)
    normal = np.linalg.inv((basis / sds[:, None] ** 2).T @ basis)
    fitted = normal @ ((basis / sds[:, None] ** 2).T @ off)

    def level(at: float) -> float:
        hz = np.array([at])
        row = np.vander(np.log(hz / setup.device.band_hz[0 if is_low else 1]), basis.shape[1])
        return float((_declared_level(setup, hz) + row @ fitted)[0])

    corner_hz = float(optimize.brentq(level, f.min(), f.max()))
    row = np.vander(
        [math.log(corner_hz / setup.device.band_hz[0 if is_low else 1])], basis.shape[1]
    )
    slope = (level(1.001 * corner_hz) - level(corner_hz / 1.001)) / (2 * math.log(1.001))
    hz = corner_hz / abs(slope)
    jitter_sd = float(np.interp(corner_hz, found.frequencies_hz, found.jitter_sds))
    noise = math.sqrt(float((row @ normal @ row.T)[0, 0]))
    return Reading(
        id=id,
        value=corner_hz,
        unit="Hz",
        components=(
            Component(name="noise", standard=hz * noise, freedom=FREEDOM),
            Component(name="noise at mid-band", standard=4 * hz * found.mid_sd, freedom=FREEDOM),
            Component(name="jitter", standard=4 * hz * jitter_sd),
        ),
        method="gain of sines against mid-band, interpolated over the logarithm of frequency",
        conditions=_conditions(setup),
        rests_on=_rests_on(setup),
        curves=_curves(setup, found),
    )


def _declared_level(setup: Setup, frequencies_hz: Floats) -> Floats:
    """Return ``log(1 / G**2 - 1)`` of the declared response against its mid-band."""
    squares = _declared_gain(setup, frequencies_hz) ** 2
    return np.asarray(np.log(np.maximum(1 / squares - 1, 1e-12)))


def ripple(measuring: Measuring) -> Sequence[Reading]:
    """Measure how far the gain is from what the declared corners make of it, within the band."""
    setup, found = measuring.setup, response(measuring)
    low_hz, high_hz = setup.device.band_hz
    first_hz = BAND[0] * low_hz if _is_high_passed(setup) else DC_LOWEST * setup.mid_hz
    inside = (found.frequencies_hz >= 0.999 * first_hz) & (
        found.frequencies_hz <= 1.001 * BAND[1] * high_hz
    )
    off_db = _departures_db(setup, found)[inside]
    worst = int(np.argmax(np.abs(off_db)))
    return [
        Reading(
            id="freq.ripple",
            value=abs(float(off_db[worst])),
            unit="dB",
            components=_noise_db(found, int(np.flatnonzero(inside)[worst])),
            method="gain of stepped sines against mid-band and the declared response",
            conditions=f"largest at {found.frequencies_hz[inside][worst]:.6g} Hz; "
            f"{_conditions(setup)}",
            rests_on=_rests_on(setup),
            curves=_curves(setup, found),
        )
    ]


def notch(measuring: Measuring) -> Sequence[Reading]:
    """Measure how much less a device shows at the mains' frequencies than it declares."""
    setup, found = measuring.setup, response(measuring)
    off_db = _departures_db(setup, found)
    readings = []
    for mains_hz in MAINS_HZ:
        at = np.flatnonzero(found.frequencies_hz == mains_hz)
        id = f"notch.depth.{mains_hz:.0f}hz"
        if not at.size:
            readings.append(impossible(id, "dB", "beyond the device's band"))
            continue
        readings.append(
            Reading(
                id=id,
                value=-float(off_db[at[0]]),
                unit="dB",
                components=_noise_db(found, int(at[0])),
                method="gain of a sine against mid-band and the declared response",
                conditions=f"{mains_hz:g} Hz, {MAINS_SHARE:.0%} of the range, state {STATE}",
                rests_on=_rests_on(setup),
            )
        )
    return readings


def group_delay_spread(measuring: Measuring) -> Sequence[Reading]:
    """Measure by how much the group delay differs within the band of a MUAP.

    The phase against that of the declared response is fitted by odd powers of the frequency and of
    its inverse, as filters far from their corners make it; the line among them is what nobody
    knows of the latency.
    """
    setup, found = measuring.setup, response(measuring)
    low_hz, high_hz = _delay_band(setup)
    inside = (found.frequencies_hz >= 0.999 * low_hz) & (found.frequencies_hz <= 1.001 * high_hz)
    f = found.frequencies_hz[inside]
    declared = declared_band(setup)
    phases = np.unwrap(np.angle(found.gains[inside] / declared.at(f)))
    basis, slopes = _delay_terms(setup, f)
    weights = 1 / found.sds[inside] ** 2
    # An inverted device turns by half a turn at all frequencies.
    free = np.column_stack([np.ones(f.size), basis])
    constant = np.linalg.solve((free * weights[:, None]).T @ free, free.T @ (weights * phases))[0]
    phases -= np.pi * round(constant / np.pi)
    normal = np.linalg.inv((basis * weights[:, None]).T @ basis)
    fitted = normal @ (basis.T @ (weights * phases))
    fine_hz = np.geomspace(low_hz, high_hz, 400)
    slopes = _delay_terms(setup, fine_hz)[1]
    delays_us = 1e6 * (_delay_s(declared.at, fine_hz) - slopes @ fitted / (2 * np.pi))
    first, last = int(np.argmin(delays_us)), int(np.argmax(delays_us))
    row = 1e6 * (slopes[last] - slopes[first]) / (2 * np.pi)
    return [
        Reading(
            id="phase.group_delay_spread",
            value=float(delays_us[last] - delays_us[first]),
            unit="us",
            components=(
                Component(
                    name="noise",
                    standard=math.sqrt(float(row @ normal @ row)),
                    freedom=FREEDOM,
                ),
            ),
            method="phase of stepped sines, fitted by odd powers of frequency and of its inverse",
            conditions=f"{low_hz:.4g} to {high_hz:.5g} Hz, {SHARE:.0%} of the range, state {STATE}",
            curves={"frequency_hz": fine_hz, "delay_us": delays_us - delays_us.mean()},
        )
    ]


def _delay_band(setup: Setup) -> tuple[float, float]:
    """Return from where to where the group delay is looked at."""
    low_hz, high_hz = setup.device.band_hz
    last_hz = min(DELAY_HZ[1], DELAY_BAND[1] * high_hz)
    return max(min(DELAY_HZ[0], last_hz / 10), DELAY_BAND[0] * low_hz), last_hz


def _delay_terms(setup: Setup, frequencies_hz: Floats) -> tuple[Floats, Floats]:
    """Return odd powers of frequency and of its inverse, and their slopes, ``(n, n_terms)``."""
    low_hz, high_hz = _delay_band(setup)
    n_up, n_down = DELAY_POWERS
    up = 2.0 * np.arange(n_up) + 1
    down = up[:n_down] if _is_high_passed(setup) else up[:1]
    f = frequencies_hz[:, None]
    terms = np.hstack([(f / high_hz) ** up, (low_hz / f) ** down])
    return terms, np.hstack([up, -down]) * terms / f


def _delay_s(at: Callable[[Floats], Complexes], frequencies_hz: Floats) -> Floats:
    """Return the group delay of a response."""
    step = 1e-4 * frequencies_hz
    turned = np.angle(at(frequencies_hz + step) / at(frequencies_hz - step))
    return np.asarray(-turned / (4 * np.pi * step))


def _stepped_hz(setup: Setup) -> list[float]:
    """Return the frequencies of the sines that are played one after the other."""
    low_hz, high_hz = setup.device.band_hz
    most_hz = HIGHEST_OF_RATE * min(setup.device.rate_hz, setup.play_rate_hz)
    first_hz = STEPPED_FROM * low_hz if _is_high_passed(setup) else DC_LOWEST * setup.mid_hz
    last_hz = HIGH_AT[0] * high_hz
    n = max(2, math.ceil(STEPS_PER_DECADE * math.log10(max(2.0, last_hz / first_hz))))
    spread = np.geomspace(min(first_hz, last_hz), last_hz, n)[:-1]
    delay = np.geomspace(*_delay_band(setup), DELAY_POINTS)
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


def _is_high_passed(setup: Setup) -> bool:
    return setup.device.highpass_order > 0 and setup.device.band_hz[0] > 0


def _declared_gain(setup: Setup, frequencies_hz: Floats) -> Floats:
    """Return the declared gain against that at mid-band."""
    band = declared_band(setup)
    mid = abs(complex(band.at(np.array([setup.mid_hz]))[0]))
    return np.asarray(np.abs(band.at(frequencies_hz)) / mid)


def _departures_db(setup: Setup, found: Response) -> Floats:
    gain = np.abs(found.gains) / _declared_gain(setup, found.frequencies_hz)
    return np.asarray(DB * np.log(gain))


def _noise_db(found: Response, at: int) -> tuple[Component, ...]:
    return (
        Component(name="noise", standard=DB * float(found.sds[at]), freedom=FREEDOM),
        Component(name="noise at mid-band", standard=DB * found.mid_sd, freedom=FREEDOM),
        Component(name="jitter", standard=DB * float(found.jitter_sds[at])),
    )


def _rests_on(setup: Setup) -> tuple[str, ...]:
    names = (setup.source.gain.certificate, setup.states[STATE].transfer.certificate)
    return tuple(name for name in names if name)


def _conditions(setup: Setup) -> str:
    return f"{SHARE:.0%} of the range, against {setup.mid_hz:.6g} Hz, state {STATE}"


def _curves(setup: Setup, found: Response) -> dict[str, Floats]:
    return {
        "frequency_hz": found.frequencies_hz,
        "gain_db": DB * np.log(np.abs(found.gains)),
        "declared_db": DB * np.log(_declared_gain(setup, found.frequencies_hz)),
    }


PROCEDURES = tuple(
    Procedure(id=id, title=title, states=(STATE,), measure=measure)
    for id, title, measure in (
        ("freq.low_corner", "Low corner", low_corner),
        ("freq.high_corner", "High corner", high_corner),
        ("freq.ripple", "Departure from the declared response", ripple),
        ("phase.group_delay_spread", "Spread of the group delay", group_delay_spread),
        ("notch.depth", "Notch at mains frequency", notch),
    )
)
