"""Sines of known frequencies on a device's clock, and how faint ones are told from noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import NotAnalysableError
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.reading import Component
from emgsim.metrology.setup import Known, Setup, State
from emgsim.metrology.stimulus import Floats, Segment, Stimulus, laid_out, sine

Complexes = NDArray[np.complex128]

DB = 20 / math.log(10)  # decibels for a relative change
FREEDOM = 80.0  # of a noise density: two for each bin of the residual that it is the mean of
AUDIBLE = 3.0  # standard uncertainties above which an amplitude is a value and no bound
BOUND = 2.0  # standard uncertainties that are added to make a bound
FAR = (1e-3, 1e3)  # of a corner, where R or C alone are what counts
RAMP_S = 0.05
SETTLED_TURNS = 2.0  # periods of the high-pass corner: 1e-4 of what it rang at first is left
SHARE_OF_ALLOWED = 0.95  # the source makes a little more than the waveform's peak
RAIL_SHARE = 0.03  # of all samples; a sine of 14 bits says its largest code half as often


def chord(
    rate_hz: float, frequencies_hz: Sequence[float], amplitudes_uv: Sequence[float], s: float
) -> Floats:
    """Return the sum of several sines of a common duration, with soft ends, shape ``(n,)``."""
    pairs = zip(frequencies_hz, amplitudes_uv, strict=True)
    return np.asarray(np.sum([sine(rate_hz, f, a, s, RAMP_S) for f, a in pairs], axis=0))


def chord_stimulus(
    setup: Setup,
    name: str,
    state: str,
    amplitudes_uv: dict[float, float],
    duration_s: float,
    *,
    has_marker: bool = True,
) -> Stimulus:
    """Make a playback of one chord, what a high-pass filter needs to settle put before it.

    Parameters
    ----------
    setup
        The bench as declared.
    name, state
        As in `Stimulus`.
    amplitudes_uv
        Of each sine, by its frequency in hertz.
    duration_s
        Of what can be looked at.
    has_marker
        Whether the device is sure to hear one.
    """
    rate_hz = setup.play_rate_hz
    whole_s = duration_s + RAMP_S + settling_s(setup)
    uv = chord(rate_hz, list(amplitudes_uv), list(amplitudes_uv.values()), whole_s)
    corner_hz = setup.device.band_hz[1]
    parts: list[tuple[str, Floats, dict[str, float]]] = [("chord", uv, {})]
    return laid_out(name, state, rate_hz, parts, corner_hz=corner_hz, has_marker=has_marker)


def most_uv(setup: Setup, state: State) -> float:
    """Return the largest peak that a state and the source allow, the source's own overshoot apart.

    Between the inputs, or in common in a state that drives both together.
    """
    transfer = state.load_factor * (state.common if state.is_common else state.differential)
    return SHARE_OF_ALLOWED * min(
        state.largest_uv, 1e6 * 0.5 * setup.source.max_vpp_open_v * transfer
    )


def settling_s(setup: Setup) -> float:
    """Return how long after a change the device's high-pass filter is left alone."""
    low_hz = setup.device.band_hz[0]
    return 2 * RAMP_S if low_hz <= 0 else max(2 * RAMP_S, min(3.0, SETTLED_TURNS / low_hz))


def heard(acquired: Acquired, setup: Setup) -> tuple[Floats, Floats]:
    """Cut the settled part of a playback's only segment.

    Without a marker it is what lies in the segment wherever in the recording the playback began.

    Returns
    -------
    times_s : ndarray
        Shape ``(n,)``.
    uv : ndarray
        Shape ``(n, n_channels)``.

    Raises
    ------
    NotAnalysableError
        If the recording is so much longer than the playback that nothing surely lies in it.
    """
    stimulus = acquired.stimulus
    if stimulus is None:
        raise NotAnalysableError(
            "a segment needs a playback", todo="play the stimulus instead of listening"
        )
    (segment,) = stimulus.segments
    times_s, n = acquired.times_s, acquired.uv.shape[0]
    spare_s = 0.0
    if np.isnan(acquired.begins_s):
        spare_s = n / acquired.rate_hz - stimulus.duration_s
    settled = Segment(
        name=segment.name,
        begins_s=segment.begins_s + settling_s(setup) + spare_s,
        ends_s=segment.ends_s - RAMP_S,
    )
    inside = (times_s >= settled.begins_s) & (times_s < settled.ends_s)
    if inside.sum() < 0.25 * acquired.rate_hz:
        raise NotAnalysableError(
            f"a playback without a marker must fill its recording, but it may lie anywhere within "
            f"{spare_s:.2f} s of it",
            where=stimulus.name,
            todo="begin to record at most 0.5 s before the trigger",
        )
    return times_s[inside], acquired.uv[inside]


def is_clipped(samples: Floats) -> bool:
    """Tell whether a loud signal touched a rail: one and the same code says it again and again."""
    known = samples[np.isfinite(samples)]
    return any(np.mean(known == rail) > RAIL_SHARE for rail in (known.max(), known.min()))


def code_step_uv(samples: Floats) -> float:
    """Return the smallest distance of two codes that occur in a loud signal, in its unit."""
    values = np.unique(samples[np.isfinite(samples)])
    return float(np.min(np.diff(values))) if values.size > 1 else 0.0


def staircase_sd(step_uv: float, noise_power_uv2: float) -> float:
    """Return how far a converter's steps may put the amplitude of a faint sine off, one sd.

    Noise of sd ``s`` leaves ``q / pi exp(-2 (pi s / q)**2)`` of the first harmonic of the error of
    steps ``q``, of which a sine meets at most twice the Bessel function's 0.58, at an unknown phase
    (Widrow and Kollar, Quantization Noise, 2008, chapter 4). Above half a step of noise it is
    nothing.

    Parameters
    ----------
    step_uv
        Between codes.
    noise_power_uv2
        Mean square of all that the samples do beside the sine, their rounding counted.
    """
    if not step_uv:
        return 0.0
    dither = max(0.0, noise_power_uv2 / step_uv**2 - 1 / 12)
    return 0.58 * math.sqrt(2.0) / math.pi * step_uv * math.exp(-2 * math.pi**2 * dither)


def level_db(
    amplitude: float, sds: dict[str, tuple[float, float]]
) -> tuple[float, tuple[Component, ...]]:
    """Return a faint amplitude in decibels (of 1), or the largest that may be there.

    The logarithm of a complex number's size is harmonic, so that circular noise around it leaves
    its mean where it is: in decibels no noise power is subtracted.

    Parameters
    ----------
    amplitude
        Over that to which it is referred.
    sds
        By name, what is uncertain in it, likewise, and its degrees of freedom.

    Returns
    -------
    level_db : float
        Of the amplitude; where it is not heard, of the largest one that may be there.
    components : tuple of Component
        In decibels; none where the level is such a bound.
    """
    total = math.sqrt(sum(sd**2 for sd, _ in sds.values()))
    if amplitude < AUDIBLE * total:
        return DB * math.log(amplitude + BOUND * total), ()
    components = tuple(
        Component(name=name, standard=DB * sd / amplitude, freedom=freedom)
        for name, (sd, freedom) in sds.items()
    )
    return DB * math.log(amplitude), components


def ratio_sd(one: Known, other: Known, frequency_hz: float) -> float:
    """Return the relative standard uncertainty of the ratio of two calibrated values.

    What rests on one calibration errs alike, and drops out.
    """
    if one.certificate and one.certificate == other.certificate:
        return 0.0
    return math.hypot(one.at(frequency_hz)[1], other.at(frequency_hz)[1])


def lead_sd(state: State, frequency_hz: float) -> float:
    """Return how well the size of the impedance in a lead is known at a frequency, relative.

    Its certificate speaks of the resistance far below their corner, and of the capacitance parallel
    to it far above; in between each counts by its share.
    """
    if not state.series_nf:
        return state.impedance.at(frequency_hz)[1] if state.series_ohm else 0.0
    corner_hz = 1 / (2 * math.pi * state.series_ohm * state.series_nf * 1e-9)
    (_, ohm_sd), (_, farad_sd) = (state.impedance.at(f * corner_hz) for f in FAR)
    share = 1 / (1 + (frequency_hz / corner_hz) ** 2)
    return math.hypot(share * ohm_sd, (1 - share) * farad_sd)


def certificates(*known: Known) -> tuple[str, ...]:
    """Return the ids of the certificates of several values, each once."""
    return tuple(sorted({k.certificate for k in known} - {""}))


def suffixed(id: str, channel: int) -> str:
    """Return the id of a reading of a channel, counted from 0: the first has none of its own."""
    return id if channel == 0 else f"{id}.ch{channel + 1}"
