"""Crosstalk: what a channel says of a signal at the inputs of another one.

The fixture drives one channel at a time, the inputs of the others terminated. The true value of
`crosstalk` is ``20 log10`` of the largest ``(A_j / G_j) / A_i`` over the pairs and the frequencies:
``A_i`` between the inputs of the driven channel, ``A_j`` what another one says of it and ``G_j``
its own gain for small signals, driven alone. What the fixture itself leads from one channel to
another is in it.

The largest of many noisy values is too large. So the first half of each sine says which pair and
frequency is the worst, and the second half how large it is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emgsim.estimators import fit_tones
from emgsim.metrology.clocks import clock
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.reading import Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.stimulus import Floats, Stimulus, laid_out
from emgsim.metrology.tones import (
    FREEDOM,
    RAMP_S,
    certificates,
    chord,
    code_step_uv,
    level_db,
    most_uv,
    ratio_sd,
    staircase_sd,
)

LOUD_S = 0.8
QUIET_S = 0.6
LOUD, QUIET = 0.9, 0.1  # of full scale: the peak between the inputs of the driven channel
OF_BAND = (0.02, 0.1, 0.6)  # frequencies over the upper corner
LOWEST_OF_CORNER = 3.0  # over the lower one
FLOOR_DB = -160.0  # in plots, of what is nothing at all


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What one channel says of a sine at another one: of its first and of its second half.

    Shape ``(2,)`` each: microvolts of the sine, its sd, and the mean square of all the rest.
    """

    driven: int
    listening: int
    frequency: int
    amplitudes_uv: Floats
    sds_uv: Floats
    powers_uv2: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class _Driven:
    """What came of one playback: the driven channel's gain at each frequency, and the others.

    ``gains`` and ``gain_sds`` have the shape ``(n_frequencies,)``; ``code_step_uv`` is the driven
    channel's converter's.
    """

    gains: Floats
    gain_sds: Floats
    code_step_uv: float
    heard: tuple[_Heard, ...]


def frequencies(setup: Setup) -> list[float]:
    """Return the three frequencies in hertz: low, in the middle and high in the device's band."""
    low_hz, high_hz = setup.device.band_hz
    return [float(round(max(share * high_hz, LOWEST_OF_CORNER * low_hz))) for share in OF_BAND]


def _levels_uv(setup: Setup, channel: int) -> tuple[float, float]:
    """Return the peaks of a loud and of a quiet sine, in microvolts."""
    full_uv = min(setup.device.range_uv, most_uv(setup, setup.states[_state(channel)]))
    return LOUD * full_uv, QUIET * full_uv / len(OF_BAND)


def _state(channel: int) -> str:
    return f"only_{channel + 1}"


def _stimulus(setup: Setup, channel: int) -> Stimulus:
    """Make quiet sines together, and loud ones one after the other, to one channel."""
    rate_hz, f_hz = setup.play_rate_hz, frequencies(setup)
    loud_uv, quiet_uv = _levels_uv(setup, channel)
    quiet = chord(rate_hz, f_hz, [quiet_uv] * len(f_hz), QUIET_S + 2 * RAMP_S)
    loud = [chord(rate_hz, [f], [loud_uv], LOUD_S + 2 * RAMP_S) for f in f_hz]
    parts: list[tuple[str, Floats, dict[str, float]]] = [("quiet", quiet, {})]
    parts += [(f"{f:g} Hz", uv, {}) for f, uv in zip(f_hz, loud, strict=True)]
    state, corner_hz = _state(channel), setup.device.band_hz[1]
    return laid_out(f"crosstalk.{state}", state, rate_hz, parts, corner_hz=corner_hz)


def _driven(measuring: Measuring, channel: int) -> _Driven:
    """Drive one channel, and hear what it and the others say."""
    setup, f_hz = measuring.setup, np.array(frequencies(measuring.setup))
    known, (_, quiet_uv) = setup.states[_state(channel)].transfer, _levels_uv(setup, channel)
    stimulus = _stimulus(setup, channel)
    acquired = measuring.played(stimulus)
    quiet, *loud = stimulus.segments
    times_s, uv = acquired.within(quiet, RAMP_S)
    scale = clock(measuring)[0]
    tones, sds, _ = fit_tones(times_s, uv[:, channel], list(scale * f_hz))
    step_uv = code_step_uv(uv[:, channel])
    given_uv = quiet_uv * np.array([known.at(f)[0] for f in f_hz])
    heard = []
    for k, segment in enumerate(loud):
        times_s, uv = acquired.within(segment, RAMP_S)
        for other in range(uv.shape[1]):
            if other != channel:
                found = _halves(times_s, uv[:, other], scale * f_hz[k])
                heard.append(_Heard(driven=channel, listening=other, frequency=k, **found))
    return _Driven(
        gains=np.abs(tones) / given_uv,
        gain_sds=sds / given_uv,
        code_step_uv=step_uv,
        heard=tuple(heard),
    )


def _halves(times_s: Floats, samples: Floats, frequency_hz: float) -> dict[str, Floats]:
    """Fit a sine to each half of a segment."""
    rows = []
    for half in (slice(0, times_s.size // 2), slice(times_s.size // 2, None)):
        (tone,), (sd,), residual = fit_tones(times_s[half], samples[half], [frequency_hz])
        rows.append((abs(tone), sd, float(np.nanmean(residual**2))))
    return dict(zip(("amplitudes_uv", "sds_uv", "powers_uv2"), np.array(rows).T, strict=True))


def _measure(measuring: Measuring) -> list[Reading]:
    setup = measuring.setup
    channels = [c for c in range(setup.device.n_channels) if _state(c) in setup.states]
    if len(channels) < 2 or len(channels) < setup.device.n_channels:
        note = "the device has one channel, or the fixture cannot drive each of them alone"
        return [Reading(id="crosstalk", value=math.nan, unit="dB", note=note, applies=False)]
    driven = [_driven(measuring, channel) for channel in channels]
    heard = [pair for each in driven for pair in each.heard]
    # Over the sine that would make the listening channel say the same, first halves alone.
    powers = [
        (h.amplitudes_uv[0] ** 2 - 2 * h.sds_uv[0] ** 2) / _full_uv(setup, driven, h) ** 2
        for h in heard
    ]
    return [_reading(setup, driven, heard[int(np.argmax(powers))], _matrix(setup, driven, heard))]


def _full_uv(setup: Setup, driven: list[_Driven], pair: _Heard) -> float:
    """Return what the listening channel would say if it heard all of the other one's sine."""
    f_hz = frequencies(setup)[pair.frequency]
    given_uv = _levels_uv(setup, pair.driven)[0]
    relative = setup.states[_state(pair.driven)].transfer.at(f_hz)[0]
    return float(given_uv * relative * driven[pair.listening].gains[pair.frequency])


def _matrix(setup: Setup, driven: list[_Driven], heard: list[_Heard]) -> dict[str, Floats]:
    """Return the level of every pair at every frequency, for a plot."""
    shares = [np.sqrt(np.mean(h.amplitudes_uv**2)) / _full_uv(setup, driven, h) for h in heard]
    f_hz = frequencies(setup)
    return {
        "driven_channel": np.array([h.driven + 1.0 for h in heard]),
        "listening_channel": np.array([h.listening + 1.0 for h in heard]),
        "frequency_hz": np.array([f_hz[h.frequency] for h in heard]),
        "level_db": np.maximum(FLOOR_DB, 20 * np.log10(np.maximum(shares, 1e-12))),
    }


def _reading(
    setup: Setup, driven: list[_Driven], pair: _Heard, curves: dict[str, Floats]
) -> Reading:
    """Return the level of the worst pair, of its second half."""
    f_hz, full_uv = frequencies(setup)[pair.frequency], _full_uv(setup, driven, pair)
    one, other = (setup.states[_state(c)].transfer for c in (pair.driven, pair.listening))
    share, own = pair.amplitudes_uv[1] / full_uv, driven[pair.listening]
    stairs_uv = staircase_sd(own.code_step_uv, pair.powers_uv2[1])
    gain_sd = own.gain_sds[pair.frequency] / own.gains[pair.frequency]
    level, components = level_db(
        share,
        {
            "noise": (pair.sds_uv[1] / full_uv, FREEDOM),
            "converter's steps": (stairs_uv / full_uv, math.inf),
            "divider": (share * ratio_sd(one, other, f_hz), math.inf),
            "gain": (share * gain_sd, FREEDOM),
        },
    )
    return Reading(
        id="crosstalk",
        value=level,
        unit="dB",
        components=components,
        method="least-squares sines at the frequencies of the source, over the channel's own gain",
        conditions=f"{f_hz:g} Hz, {_levels_uv(setup, pair.driven)[0] / 1e3:.3g} mV peak at channel "
        f"{pair.driven + 1}, heard by channel {pair.listening + 1}; each channel driven alone",
        rests_on=certificates(one, other),
        bound="" if components else "<=",
        note="" if components else f"<= {level:.1f} dB: not told from noise",
        curves=curves,
    )


PROCEDURES = (
    Procedure(
        id="crosstalk",
        title="Crosstalk between channels",
        states=("direct", "only_1", "only_2"),
        measure=_measure,
    ),
)
