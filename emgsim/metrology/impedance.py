"""Input impedance: a resistance and a capacitance, from what a known impedance in one lead costs.

The true values of `zin.resistance` and `zin.capacitance` are R and C in parallel between the
inputs, which with ``Zs`` in one lead leave ``Zi / (Zi + Zs)`` of a sine.

All sines are played at once, without ``Zs`` and with it. The ratio of the two at a frequency is::

    y = (1 + e) (1 + Zs (1 / R + 2 pi i f C)) exp(2 pi i f t)

with an unknown time ``t`` between the two recordings, and ``e`` of the divider, which is 0 if both
states rest on the same calibration. It is fitted to all sines by weighted least squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from emgsim.errors import NotAnalysableError
from emgsim.estimators import fit_tones
from emgsim.metrology.clocks import clock
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Component, Reading
from emgsim.metrology.setup import Setup, State
from emgsim.metrology.steps import PAIRS, bias_step
from emgsim.metrology.stimulus import Floats, Stimulus
from emgsim.metrology.tones import (
    AUDIBLE,
    BOUND,
    FAR,
    FREEDOM,
    Complexes,
    certificates,
    chord_stimulus,
    heard,
    is_clipped,
    most_uv,
    ratio_sd,
    suffixed,
)

HEARD_S = 4.0
SHARE_OF_RANGE = 0.5  # of the peak of all sines together
# Most of it low, where the series impedance is a resistance. All are multiples of 9 Hz, so that
# what two of them make together is neither one of them nor close enough to be taken for noise.
SHARES = {9.0: 0.25, 36.0: 0.25, 54.0: 0.25, 171.0: 0.1, 1008.0: 0.15}
HIGHEST_OF_BAND = 0.6  # of the upper corner
BIAS_SINE = 1  # of those, which says what sign the gain has
DIVIDER_HZ = 100.0
SAME_CALIBRATION = 1e-7  # relative, of a ratio that is in both of two playbacks
STEPS = 6  # of Gauss-Newton
STATES = ("direct", "series_z")


@dataclass(frozen=True, kw_only=True)
class Admittance:
    """What is between the inputs of a channel, as a conductance and a capacitance.

    Attributes
    ----------
    siemens, farad
        Their values.
    parts
        By name, how each is uncertain in siemens and in farad, and the degrees of freedom.
    curves
        Ratio of both states over frequency, measured and fitted.
    """

    siemens: float
    farad: float
    parts: dict[str, tuple[float, float, float]]
    curves: dict[str, Floats]

    @property
    def siemens_sd(self) -> float:
        """Combined standard uncertainty of the conductance."""
        return math.sqrt(sum(part[0] ** 2 for part in self.parts.values()))


@dataclass(frozen=True, eq=False)
class _Ratios:
    """Ratios without over with the series impedance: ``(n,)`` each."""

    frequencies_hz: Floats
    values: Complexes
    sds: Floats
    playing_sd: float


def admittances(measuring: Measuring) -> list[Admittance]:
    """Measure what is between the inputs of each channel.

    Raises
    ------
    NotAnalysableError
        If the device is out of its range with the series impedance in its lead.
    """
    state = measuring.setup.states["series_z"]
    return [_admittance(ratios, state) for ratios in _ratios(measuring)]


def _ratios(measuring: Measuring) -> list[_Ratios]:
    """Play the sines without and with the series impedance; return the ratios of each channel."""
    setup = measuring.setup
    states = [setup.states[name] for name in STATES]
    amplitudes_uv, frequencies_hz = _amplitudes_uv(setup), np.array(list(_shares(setup)))
    direct, series = (
        chord_stimulus(setup, f"impedance.{state.name}", state.name, amplitudes_uv, HEARD_S)
        for state in states
    )
    without = heard(measuring.played(direct), setup)
    scale = clock(measuring)[0]
    bias_uv = _bias_uv(measuring, direct, *without, scale)
    series = replace(series, uv=series.uv - bias_uv)
    within = heard(measuring.played(series), setup)
    if is_clipped(within[1][:, 0]):
        raise NotAnalysableError("the device is at its rail with the series impedance in its lead")
    given = [np.array([s.transfer.at(f)[0] for f in frequencies_hz]) for s in states]
    ways = (states[0].transfer, states[1].transfer)
    bent_sd = _bent_sd(setup, abs(bias_uv) / (abs(bias_uv) + direct.peak_uv))
    playing_sd = max(SAME_CALIBRATION, math.hypot(ratio_sd(*ways, DIVIDER_HZ), bent_sd))
    found = []
    for channel in range(setup.device.n_channels):
        (one, one_sd, _), (other, other_sd, _) = (
            fit_tones(t, uv[:, channel], list(scale * frequencies_hz))
            for t, uv in (without, within)
        )
        ratio = (one / given[0]) / (other / given[1])
        sds = np.abs(ratio) * np.hypot(one_sd / np.abs(one), other_sd / np.abs(other))
        found.append(_Ratios(frequencies_hz, ratio, sds, playing_sd))
    return found


def _amplitudes_uv(setup: Setup) -> dict[float, float]:
    """Return the peaks of the sines by their frequencies."""
    allowed_uv = (most_uv(setup, setup.states[name]) for name in STATES)
    chord_uv = min(SHARE_OF_RANGE * setup.device.range_uv, *allowed_uv)
    return {f: chord_uv * share for f, share in _shares(setup).items()}


def _bias_uv(
    measuring: Measuring, direct: Stimulus, times_s: Floats, uv: Floats, scale: float
) -> float:
    """Return what the input current makes of the series resistance, for a device coupled to DC.

    It is taken away again by the source, as a device that is far from its zero bends.
    """
    setup = measuring.setup
    if setup.device.band_hz[0] > 0 or not set(PAIRS[0]) <= set(setup.states):
        return 0.0
    f, given_uv = list(_amplitudes_uv(setup).items())[BIAS_SINE]
    (tone,), _, _ = fit_tones(times_s, uv[:, 0], [scale * f])
    begins_s = direct.segments[0].begins_s
    gain = (tone / (-1j * given_uv * np.exp(-2j * np.pi * f * begins_s))).real
    found, loaded = bias_step(measuring)
    return float(found.uv / gain * setup.states[STATES[1]].series_ohm / loaded.series_ohm)


def _bent_sd(setup: Setup, far: float) -> float:
    """Return how much a level that far up the source's swing may change its gain, relative.

    Harmonics ``h2`` and ``h3`` of a full swing come of ``v + 2 h2 v**2 + 4 h3 v**3``, whose slope
    is another one by ``4 h2 v + 12 h3 v**2``.
    """
    harmonic_sd = 0.5 * 10 ** (setup.source.distortion_db / 20)
    return harmonic_sd * math.hypot(4 * far, 12 * far**2)


def _shares(setup: Setup) -> dict[float, float]:
    """Return the share of each sine, those above the device's band put to its upper part."""
    highest_hz = HIGHEST_OF_BAND * setup.device.band_hz[1]
    return {f: share for f, share in SHARES.items() if f <= highest_hz}


def _admittance(ratios: _Ratios, state: State) -> Admittance:
    """Fit a conductance and a capacitance to ratios, and say what is uncertain in them."""
    middle_hz = 1 / (2 * math.pi * state.series_ohm * state.series_nf * 1e-9)
    (r, r_sd), (c, c_sd) = (state.impedance.at(f * middle_hz) for f in FAR)
    ohm, farad = state.series_ohm * r, state.series_nf * 1e-9 * c
    found, by_noise, by_playing, fitted = _fit(ratios, ohm, farad)
    by_ohm = _fit(ratios, ohm * (1 + r_sd), farad)[0] - found
    by_farad = _fit(ratios, ohm, farad * (1 + c_sd))[0] - found
    return Admittance(
        siemens=float(found[0]),
        farad=float(found[1]),
        parts={
            "noise": (*by_noise, FREEDOM),
            "divider and source": (*by_playing, math.inf),
            "series resistance": (*by_ohm, math.inf),
            "series capacitance": (*by_farad, math.inf),
        },
        curves={
            "frequency_hz": ratios.frequencies_hz,
            "ratio": np.abs(ratios.values),
            "ratio_fitted": np.abs(fitted),
        },
    )


def _fit(ratios: _Ratios, ohm: float, farad: float) -> tuple[Floats, Floats, Floats, Complexes]:
    """Return siemens and farad, their sd by noise and by the divider, and the fitted ratios.

    The unknowns are ``e``, conductance, capacitance and time, each times a scale that makes them
    of one size; the divider's ``e`` has a row of its own: 0 to within its uncertainty.
    """
    w = 2j * np.pi * ratios.frequencies_hz
    series = ohm / (1 + w * ohm * farad)
    highest = float(np.max(ratios.frequencies_hz))
    scales = np.array([1.0, 1 / ohm, farad, 1 / (2 * np.pi * highest)])
    unknown = np.zeros(4)
    unknown[3] = np.angle(ratios.values[np.argmax(ratios.frequencies_hz)])
    weights = 1 / ratios.sds
    for _ in range(STEPS):
        e, g, c, t = unknown * scales
        turn = np.exp(w * t)
        loaded = (1 + series * (g + w * c)) * turn
        model = (1 + e) * loaded
        slopes = np.stack([loaded, (1 + e) * series * turn, (1 + e) * series * w * turn, w * model])
        rows = (slopes * scales[:, None] * weights).T
        design = np.vstack([rows.real, rows.imag, [1 / ratios.playing_sd, 0, 0, 0]])
        left = (ratios.values - model) * weights
        told = np.concatenate([left.real, left.imag, [-e / ratios.playing_sd]])
        estimator = np.linalg.pinv(design)
        unknown = unknown + estimator @ told
    by_noise = np.sqrt(np.sum(estimator[1:3, :-1] ** 2, axis=1)) * scales[1:3]
    by_playing = np.abs(estimator[1:3, -1]) * scales[1:3]
    return (unknown * scales)[1:3], by_noise, by_playing, model


def _measure(measuring: Measuring) -> list[Reading]:
    setup = measuring.setup
    direct, series = (setup.states[name] for name in STATES)
    told = partial(
        Reading,
        method="complex ratios of sines without and with a known impedance in one lead, fitted by "
        "R parallel to C",
        conditions=f"{series.series_ohm / 1e3:g} kohm parallel to {series.series_nf:g} nF in one "
        f"lead, {', '.join(f'{f:g}' for f in _shares(setup))} Hz",
        rests_on=certificates(direct.transfer, series.transfer, series.impedance),
    )
    try:
        all_found = admittances(measuring)
    except NotAnalysableError as error:
        # The bias current through the series impedance has driven a DC-coupled device away.
        note = f"not heard through the series impedance: {error.what}"
        return [
            told(id=id, value=math.nan, unit=unit, note=note)
            for id, unit in (("zin.resistance", "Mohm"), ("zin.capacitance", "pF"))
        ]
    return [
        told(id=suffixed(id, channel), **value)
        for channel, found in enumerate(all_found)
        for id, value in (
            ("zin.resistance", _resistance(found)),
            ("zin.capacitance", _capacitance(found)),
        )
    ]


def _resistance(found: Admittance) -> dict[str, Any]:
    """Return value, uncertainty and curves of a resistance, or what it is at least."""
    if found.siemens < AUDIBLE * found.siemens_sd:
        mohm = 1e-6 / (max(0.0, found.siemens) + BOUND * found.siemens_sd)
        note = f">= {mohm:.3g} Mohm: not told from an open input"
        return {"value": mohm, "unit": "Mohm", "bound": ">=", "note": note}
    mohm = 1e-6 / found.siemens
    components = _components(found, 0, mohm / found.siemens)
    return {"value": mohm, "unit": "Mohm", "components": components, "curves": found.curves}


def _capacitance(found: Admittance) -> dict[str, Any]:
    """Return value and uncertainty of a capacitance."""
    return {"value": 1e12 * found.farad, "unit": "pF", "components": _components(found, 1, 1e12)}


def _components(found: Admittance, which: int, slope: float) -> tuple[Component, ...]:
    """Return what is uncertain in the conductance (0) or the capacitance (1), times a slope."""
    return tuple(
        Component(name=name, standard=abs(part[which]) * slope, freedom=part[2])
        for name, part in found.parts.items()
    )


PROCEDURES = (Procedure(id="zin", title="Input impedance", states=STATES, measure=_measure),)
