"""Sines that are played one after the other or together, and what a device makes of each.

Every sine rises and falls softly, so that filters ring little, and is looked at only where it is
full. Times are put on the source's clock before a sine is fitted: its frequency is then known, and
phases of different segments belong together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgsim.estimators import NEAR_BINS, fit_tones
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.reading import Reading
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import source_filter
from emgsim.metrology.stimulus import Segment, Stimulus, laid_out, sine

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Part = tuple[str, Floats, dict[str, float]]

STATE = "direct"  # the divider without electrodes, in which the sines are played
RAMP_S = 0.02
CALM_RAMP_S, CALM_TURNS = 0.06, 0.5  # of the low corner
SLACK_S = 0.004  # by which the marker may misplace a segment, and clocks move it in a minute
SLACK_SAMPLES = 4.0
SEGMENT_GAP_S = 0.005
PIECES = 50  # of a residual, whose powers tell how sure their mean is


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """What each channel said of the sines of one segment.

    Attributes
    ----------
    frequencies_hz
        Of the source's clock, shape ``(n_tones,)``.
    tones
        Complex amplitudes in microvolts, their phases counted from the stimulus's first point,
        shape ``(n_tones, n_channels)``.
    sds
        Standard deviations of their real, and of their imaginary parts, likewise.
    times_s
        On the source's clock, shape ``(n,)``.
    residual_uv
        What is left, shape ``(n, n_channels)``.
    """

    frequencies_hz: Floats
    tones: Complexes
    sds: Floats
    times_s: Floats
    residual_uv: Floats


def spot_hz(setup: Setup, times: float) -> float:
    """Return a frequency by its multiple of the middle of the band, at most half the upper corner.

    The multiples that the tests use are odd ones, so that neither a sine nor its harmonics lie on
    those of the mains.
    """
    return min(times * setup.mid_hz, 0.53 * setup.device.band_hz[1])


def dbfs_uv(setup: Setup, level_dbfs: float) -> float:
    """Return the peak at the inputs that is so many decibels over the declared range."""
    return float(setup.device.range_uv * 10 ** (level_dbfs / 20))


def chord(
    setup: Setup,
    name: str,
    amplitudes_uv: dict[float, float],
    core_s: float,
    ramp_s: float = RAMP_S,
    settling_s: float = 0.0,
) -> Part:
    """Return a part of a stimulus: sines together, by their frequencies in hertz.

    Parameters
    ----------
    setup
        The bench as declared.
    name
        Of the segment.
    amplitudes_uv
        Peaks.
    core_s
        How long they are looked at.
    ramp_s
        How long they rise, and fall.
    settling_s
        How long they are full before they are looked at.
    """
    ramp_s = max(ramp_s, 2 * SLACK_SAMPLES / setup.device.rate_hz)
    edges_s = settling_s + 2 * (ramp_s + slack_s(setup.device.rate_hz))
    rate_hz, whole_s = setup.play_rate_hz, core_s + edges_s
    waves = [sine(rate_hz, f, a, whole_s, ramp_s) for f, a in amplitudes_uv.items()]
    facts = {"ramp_s": ramp_s, "settling_s": settling_s}
    for i, (frequency_hz, amplitude_uv) in enumerate(amplitudes_uv.items()):
        facts |= {f"frequency_{i}_hz": frequency_hz, f"amplitude_{i}_uv": amplitude_uv}
    return name, np.asarray(np.sum(waves, axis=0)), facts


def calm_chord(setup: Setup, name: str, amplitudes_uv: dict[float, float], core_s: float) -> Part:
    """Return a part as `chord` does, whose rise leaves nothing ringing beside it."""
    low_hz = setup.device.band_hz[0]
    settling_s = CALM_TURNS / low_hz if setup.device.highpass_order and low_hz > 0 else 0.0
    return chord(setup, name, amplitudes_uv, core_s, CALM_RAMP_S, settling_s)


def stimulus_of(setup: Setup, name: str, parts: Sequence[Part], state: str = STATE) -> Stimulus:
    """Lay parts one after the other behind a marker."""
    return laid_out(
        name,
        state,
        setup.play_rate_hz,
        parts,
        corner_hz=setup.device.band_hz[1],
        gap_s=SEGMENT_GAP_S,
    )


def slack_s(rate_hz: float) -> float:
    """Return how far a segment may lie from where the marker says, at a rate of a device."""
    return SLACK_S + SLACK_SAMPLES / rate_hz


def played_tones(segment: Segment) -> tuple[Floats, Floats]:
    """Return frequencies and peaks of what was played in a segment, shape ``(n_tones,)`` each."""
    facts = segment.facts
    n = sum(key.startswith("frequency_") for key in facts)
    return (
        np.array([facts[f"frequency_{i}_hz"] for i in range(n)]),
        np.array([facts[f"amplitude_{i}_uv"] for i in range(n)]),
    )


def core(acquired: Acquired, segment: Segment, ratio: float) -> tuple[Floats, Floats]:
    """Return times on the source's clock and samples where the sines of a segment are full.

    ``ratio`` is the source's time over the device's nominal one, as `clocks.clock` measures it.
    """
    edge_s = segment.facts["ramp_s"] + slack_s(acquired.rate_hz)
    settled = replace(segment, begins_s=segment.begins_s + segment.facts["settling_s"])
    times_s, uv = acquired.within(settled, edge_s)
    return acquired.begins_s + (times_s - acquired.begins_s) * ratio, uv


@lru_cache(maxsize=64)
def heard(
    acquired: Acquired,
    segment_name: str,
    ratio: float,
    further_hz: tuple[float, ...] = (),
    near_bins: int = NEAR_BINS,
) -> Heard:
    """Fit the sines of a segment in every channel.

    It is kept, as several tests look at the same segment.

    Parameters
    ----------
    acquired
        Samples around the playback.
    segment_name
        Of the segment.
    ratio
        As in `core`.
    further_hz
        Of sines that nobody has played: harmonics, and what two sines make together.
    near_bins
        As in `emgsim.estimators.noise_density`.
    """
    segment = named(acquired, segment_name)
    times_s, uv = core(acquired, segment, ratio)
    frequencies_hz = np.concatenate([played_tones(segment)[0], further_hz])
    middle_s = 0.5 * (times_s[0] + times_s[-1])  # so that phases are as sure as can be
    fits = [fit_tones(times_s - middle_s, x, list(frequencies_hz), near_bins) for x in uv.T]
    turn = np.exp(-2j * np.pi * frequencies_hz * middle_s)
    return Heard(
        frequencies_hz=frequencies_hz,
        tones=np.stack([turn * tones for tones, _, _ in fits], axis=1),
        sds=np.stack([sds for _, sds, _ in fits], axis=1),
        times_s=times_s,
        residual_uv=np.stack([residual for _, _, residual in fits], axis=1),
    )


def named(acquired: Acquired, segment_name: str) -> Segment:
    """Return a segment of what was played, by its name."""
    if acquired.stimulus is None:
        raise ValueError("nothing was played, so that it has no segments")
    return next(s for s in acquired.stimulus.segments if s.name == segment_name)


def gains(setup: Setup, found: Heard, segment: Segment) -> Complexes:
    """Return what each channel said over what was asked of the inputs, the source's filter undone.

    Shape ``(n_tones, n_channels)``. Phases have a delay in common, which the marker's place is
    uncertain by.
    """
    frequencies_hz, amplitudes_uv = played_tones(segment)
    begun = np.exp(-2j * np.pi * frequencies_hz * segment.begins_s)
    sent = -1j * amplitudes_uv * begun * source_filter(setup).at(frequencies_hz)
    return np.asarray(found.tones[: frequencies_hz.size] / sent[:, None])


def folded_hz(frequencies_hz: Floats, rate_hz: float) -> Floats:
    """Return where a converter of a rate shows frequencies that it cannot tell from lower ones."""
    return np.asarray(np.abs(frequencies_hz - rate_hz * np.round(frequencies_hz / rate_hz)))


def noise_power(residual_uv: Floats) -> tuple[float, float]:
    """Return the mean square of a residual and its standard deviation.

    That is what the scatter of the mean squares of pieces says, whatever the noise is like: that
    of jitter comes and goes with the slope. Samples that are NaN are left out.
    """
    squares = residual_uv[np.isfinite(residual_uv)] ** 2
    pieces = np.array([piece.mean() for piece in np.array_split(squares, PIECES)])
    return float(squares.mean()), float(pieces.std(ddof=1) / math.sqrt(PIECES))


def rooted(square: float, sds: Sequence[float]) -> tuple[float, tuple[float, ...]]:
    """Return the root of a sum of squares whose noise was taken off, and what is uncertain in it.

    Where noise is not much less than the square, the root's two standard deviations reach as far as
    the roots of the square's, to the side on which that is farther.
    """
    whole = math.hypot(*sds)
    value = math.sqrt(max(0.0, square))
    up = math.sqrt(value**2 + 2 * whole) - value
    down = value - math.sqrt(max(0.0, value**2 - 2 * whole))
    share = 0.5 * max(up, down) / whole if whole else 0.0
    return value, tuple(share * sd for sd in sds)


def impossible(id: str, unit: str, why: str, *, applies: bool = False) -> Reading:
    """Return the reading of a test that this device or bench does not allow."""
    return Reading(id=id, value=math.nan, unit=unit, note=why, applies=applies)
