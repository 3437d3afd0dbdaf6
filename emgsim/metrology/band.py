"""The band of a device: corners, ripple, spread of the group delay, mains notches.

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
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.response import (
    BAND,
    DC_LOWEST,
    LOW_AT,
    LOW_BINS,
    MAINS_HZ,
    MAINS_SHARE,
    SHARE,
    Floats,
    Response,
    delay_band,
    is_high_passed,
    response,
)
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import declared_band
from emgsim.metrology.sines import STATE, impossible
from emgsim.metrology.tones import DB, FREEDOM
from emgsim.stages import BandResponse

DELAY_POWERS = (3, 2)  # of the frequency, and of its inverse
NEAR_CORNER = (0.05, 0.95)  # squares of a gain that tell where a corner is
MOVES = 3  # of the filters to the corners that were found
DELAY_GRID = 200
LOW_FREEDOM = 2.0 * (LOW_BINS - len(LOW_AT))  # of the noise density at the low corner


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where a gain is 3 dB below that at mid-band.

    ``per_gain`` are hertz for a relative change of a gain there, ``noise_hz`` is what the noise of
    the sines around it makes uncertain.
    """

    hz: float
    per_gain: float
    noise_hz: float


def low_corner(measuring: Measuring) -> Sequence[Reading]:
    """Measure where the gain has fallen by 3 dB towards low frequencies."""
    setup = measuring.setup
    if not is_high_passed(setup):
        return [impossible("freq.low_corner", "Hz", "the device is coupled down to DC")]
    found = response(measuring)
    low, _, _ = _crossings(setup, found)
    return [_of_corner("freq.low_corner", setup, found, low, LOW_FREEDOM)]


def high_corner(measuring: Measuring) -> Sequence[Reading]:
    """Measure where the gain has fallen by 3 dB towards high frequencies."""
    setup = measuring.setup
    if not setup.device.lowpass_order:
        return [impossible("freq.high_corner", "Hz", "the device declares no low-pass")]
    found = response(measuring)
    _, high, _ = _crossings(setup, found)
    return [_of_corner("freq.high_corner", setup, found, high, FREEDOM)]


def _of_corner(
    id: str, setup: Setup, found: Response, at: Crossing | None, freedom: float
) -> Reading:
    if at is None:
        why = "the gain does not pass -3 dB where the declared corner is"
        return impossible(id, "Hz", why, applies=True)
    jitter_sd = float(np.interp(at.hz, found.frequencies_hz, found.jitter_sds))
    return Reading(
        id=id,
        value=at.hz,
        unit="Hz",
        components=(
            Component(name="noise", standard=at.noise_hz, freedom=freedom),
            Component(
                name="noise at mid-band", standard=at.per_gain * found.mid_sd, freedom=FREEDOM
            ),
            Component(name="jitter", standard=at.per_gain * jitter_sd),
        ),
        method="gain of sines against mid-band, interpolated over the logarithm of frequency",
        conditions=_conditions(setup),
        rests_on=_rests_on(setup),
        curves=_curves(setup, found),
    )


def _crossings(
    setup: Setup, found: Response
) -> tuple[Crossing | None, Crossing | None, BandResponse]:
    """Return where the gain crosses -3 dB on either side of mid-band, and filters that do so.

    The declared filters tell how a gain bends between two sines. They are moved to where the
    corners were found until there is nothing left to move.
    """
    filters, low, high = declared_band(setup), None, None
    for _ in range(MOVES):
        if is_high_passed(setup):
            low = _crossing(setup, found, filters, is_low=True)
            filters = replace(filters, highpass_hz=low.hz) if low else filters
        if setup.device.lowpass_order:
            high = _crossing(setup, found, filters, is_low=False)
            filters = replace(filters, lowpass_hz=high.hz) if high else filters
    return low, high, filters


def _crossing(
    setup: Setup, found: Response, filters: BandResponse, *, is_low: bool
) -> Crossing | None:
    """Interpolate ``log(1 / |H|**2 - 1)``, of a Butterworth a line over the log of frequency.

    ``|H|`` is 1 on the plateau, which lies above mid-band by as much as the filters make. How far
    the measured line is from theirs is fitted by a parabola.
    """
    plateau = float(_squares(filters, np.array([setup.mid_hz]))[0])
    squares = np.abs(found.gains) ** 2 * plateau
    side = found.frequencies_hz < setup.mid_hz if is_low else found.frequencies_hz > setup.mid_hz
    near = side & (squares > NEAR_CORNER[0]) & (squares < NEAR_CORNER[1])
    f, q = found.frequencies_hz[near], squares[near]
    if f.size < 3 or q.min() > plateau / 2 or q.max() < plateau / 2:
        return None
    about_hz = filters.highpass_hz if is_low else filters.lowpass_hz

    def powers(hz: Floats) -> Floats:
        return np.vander(np.log(hz / about_hz), 3 if f.size > 4 else 2)

    basis, weights = powers(f), ((1 - q) / found.sds[near] / 2) ** 2
    normal = np.linalg.inv((basis * weights[:, None]).T @ basis)
    fitted = normal @ (basis.T @ (weights * (_level(q) - _level(_squares(filters, f)))))

    def above(hz: float) -> float:
        at = np.array([hz])
        level = _level(_squares(filters, at)) + powers(at) @ fitted
        return float(level[0] - _level(np.array([plateau / 2]))[0])

    hz = float(optimize.brentq(above, f.min(), f.max()))
    steepness = abs(above(1.001 * hz) - above(hz / 1.001)) / (2 * math.log(1.001))
    row = powers(np.array([hz]))[0]
    noise = math.sqrt(float(row @ normal @ row))
    return Crossing(
        hz=hz, per_gain=2 / (1 - plateau / 2) * hz / steepness, noise_hz=noise * hz / steepness
    )


def _squares(filters: BandResponse, frequencies_hz: Floats) -> Floats:
    return np.asarray(np.abs(filters.at(frequencies_hz)) ** 2)


def _level(squares: Floats) -> Floats:
    """Return ``log(1 / |H|**2 - 1)``."""
    return np.asarray(np.log(np.maximum(1 / squares - 1, 1e-12)))


def ripple(measuring: Measuring) -> Sequence[Reading]:
    """Measure how far the gain is from what the declared corners make of it, within the band."""
    setup, found = measuring.setup, response(measuring)
    low_hz, high_hz = setup.device.band_hz
    first_hz = BAND[0] * low_hz if is_high_passed(setup) else DC_LOWEST * setup.mid_hz
    inside = (found.frequencies_hz >= 0.999 * first_hz) & (
        found.frequencies_hz <= 1.001 * BAND[1] * high_hz
    )
    f, sds = found.frequencies_hz[inside], found.sds[inside]
    sizes_db = np.abs(_departures_db(setup, found)[inside])
    worst = int(np.argmax(sizes_db))
    # Whatever may be the largest may be it: the one that is least sure tells how sure that is.
    rivals = np.flatnonzero(sizes_db + 2 * DB * sds >= sizes_db[worst])
    least_sure = int(rivals[np.argmax(sds[rivals])])
    return [
        Reading(
            id="freq.ripple",
            value=float(sizes_db[worst]),
            unit="dB",
            components=_noise_db(found, int(np.flatnonzero(inside)[least_sure])),
            method="gain of stepped sines against mid-band and the declared response",
            conditions=f"largest at {f[worst]:.6g} Hz; {_conditions(setup)}",
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

    The phase against that of the declared filters, moved to the corners that were found, is fitted
    by odd powers of the frequency and of its inverse, as filters far from their corners make it;
    the line among them is what nobody knows of the latency.
    """
    setup, found = measuring.setup, response(measuring)
    low_hz, high_hz = delay_band(setup)
    inside = (found.frequencies_hz >= 0.999 * low_hz) & (found.frequencies_hz <= 1.001 * high_hz)
    f = found.frequencies_hz[inside]
    filters = _crossings(setup, found)[2]
    phases = np.unwrap(np.angle(found.gains[inside] / filters.at(f)))
    basis, slopes = _delay_terms(setup, f)
    weights = 1 / found.phase_sds[inside] ** 2
    # An inverted device turns by half a turn at all frequencies.
    free = np.column_stack([np.ones(f.size), basis])
    constant = np.linalg.solve((free * weights[:, None]).T @ free, free.T @ (weights * phases))[0]
    phases -= np.pi * round(constant / np.pi)
    normal = np.linalg.inv((basis * weights[:, None]).T @ basis)
    fitted = normal @ (basis.T @ (weights * phases))
    fine_hz = np.geomspace(low_hz, high_hz, DELAY_GRID)
    slopes = _delay_terms(setup, fine_hz)[1]
    delays_us = 1e6 * (_delay_s(filters, fine_hz) - slopes @ fitted / (2 * np.pi))
    rows = 1e6 * slopes / (2 * np.pi)
    covariance = rows @ normal @ rows.T
    return [
        Reading(
            id="phase.group_delay_spread",
            value=float(np.ptp(delays_us)),
            unit="us",
            components=(
                Component(
                    name="noise", standard=_sd_of_range(delays_us, covariance), freedom=FREEDOM
                ),
            ),
            method="phase of stepped sines, fitted by odd powers of frequency and of its inverse",
            conditions=f"{low_hz:.4g} to {high_hz:.5g} Hz, {SHARE:.0%} of the range, state {STATE}",
            curves={"frequency_hz": fine_hz, "delay_us": delays_us - delays_us.mean()},
        )
    ]


def _sd_of_range(values: Floats, covariance: Floats) -> float:
    """Return how uncertain largest minus smallest value is, shape ``(n,)`` and ``(n, n)``.

    Whatever may be the largest or the smallest may be it: the pair that is least sure tells.
    """
    own = np.diag(covariance)
    variances = own[:, None] + own - 2 * covariance
    sds = np.sqrt(np.maximum(variances, 0.0))
    low, high = int(np.argmin(values)), int(np.argmax(values))
    highest = values + 2 * sds[high] >= values[high]
    lowest = values - 2 * sds[low] <= values[low]
    return float(sds[np.ix_(highest, lowest)].max())


def _delay_terms(setup: Setup, frequencies_hz: Floats) -> tuple[Floats, Floats]:
    """Return odd powers of frequency and of its inverse, and their slopes, ``(n, n_terms)``."""
    low_hz, high_hz = delay_band(setup)
    n_up, n_down = DELAY_POWERS
    up = 2.0 * np.arange(n_up) + 1
    down = up[:n_down] if is_high_passed(setup) else up[:1]
    f = frequencies_hz[:, None]
    terms = np.hstack([(f / high_hz) ** up, (low_hz / f) ** down])
    return terms, np.hstack([up, -down]) * terms / f


def _delay_s(filters: BandResponse, frequencies_hz: Floats) -> Floats:
    """Return the group delay of filters."""
    step = 1e-4 * frequencies_hz
    turned = np.angle(filters.at(frequencies_hz + step) / filters.at(frequencies_hz - step))
    return np.asarray(-turned / (4 * np.pi * step))


def _declared_gain(setup: Setup, frequencies_hz: Floats) -> Floats:
    """Return the declared gain against that at mid-band."""
    filters = declared_band(setup)
    mid = _squares(filters, np.array([setup.mid_hz]))
    return np.asarray(np.sqrt(_squares(filters, frequencies_hz) / mid))


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
