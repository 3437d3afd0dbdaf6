"""How full and how tall an interference pattern is.

A *turn* (Willison 1964, J Neurol Neurosurg Psychiatry 27:386) is a change of direction 100 uV or
more from the turn before. A *segment* is what lies between two successive turns. Turns and mean
amplitude are read together, with their ratio (Stalberg et al. 1983, EEG Clin Neurophysiol 56:672;
Liguori et al. 1992, Muscle Nerve 15:1314). Activity, upper centile amplitude and number of small
segments are those of Nandedkar, Sanders & Stalberg 1986 (Muscle Nerve 9:431). The limits of a small
segment are quoted from memory, and so is the 3 ms of an active one: see docs/interference.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.quality import require_vector

Floats = NDArray[np.float64]

TURN_UV = 100.0  # Willison 1964
EPOCH_S = (0.25, 1.0)  # shorter ones hold too few turns, longer ones no steady effort
SMALL_UV, SMALL_MS = 2_000.0, 3.0  # Nandedkar et al. 1986
SHORT_MS = 3.0  # longer from turn to turn is a baseline, not a potential
UPPER_CENTILE = 99.0


@dataclass(frozen=True, kw_only=True)
class Interference:
    """The interference pattern of one epoch; NaN where it has no segment to tell."""

    start_s: float
    epoch_s: float
    turns_per_s: float
    mean_amplitude_uv: float  # of the segments, from turn to turn
    activity_ms_per_s: float  # time in segments shorter than 3 ms
    upper_centile_uv: float  # the segment amplitude that 1 % exceed
    small_segments_per_s: float  # below 2 mV and 3 ms

    @property
    def ratio_per_uv_s(self) -> float:
        """Turns per second over mean amplitude."""
        return self.turns_per_s / self.mean_amplitude_uv


@dataclass(frozen=True, kw_only=True)
class PeakRatio:
    """The largest ratio of turns to amplitude over several efforts, and which effort has it."""

    ratio_per_uv_s: float
    effort: int
    turns_per_s: float
    mean_amplitude_uv: float


def interference(
    samples_uv: Floats,
    rate_hz: float,
    *,
    epoch_s: float = 0.5,
    start_s: float = 0.0,
    turn_uv: float = TURN_UV,
) -> tuple[Interference, ...]:
    """Measure the interference pattern, epoch by epoch.

    Parameters
    ----------
    samples_uv
        One channel of a needle recording, shape ``(n_samples,)``; NaN where samples are missing.
    rate_hz, start_s
        Sampling rate, and time of the first sample.
    epoch_s
        Length of an epoch, 0.25 to 1 s.
    turn_uv
        How far a turn is from the turn before.

    Returns
    -------
    tuple of Interference
        One for each whole epoch without missing samples.

    Raises
    ------
    ValueError
        If the samples are no vector, or a number is out of its range.

    Examples
    --------
    >>> saw = 400 * np.abs(np.arange(48_000) / 240 % 2 - 1)  # up or down by 400 uV every 5 ms
    >>> first, second = interference(saw, 48_000.0)
    >>> round(second.turns_per_s), round(second.mean_amplitude_uv)
    (198, 400)
    """
    require_vector(samples_uv, rate_hz)
    if not EPOCH_S[0] <= epoch_s <= EPOCH_S[1]:
        raise ValueError(f"epoch_s must be {EPOCH_S[0]:g} to {EPOCH_S[1]:g} s, got {epoch_s}")
    length = round(epoch_s * rate_hz)
    firsts = range(0, samples_uv.size - length + 1, length)
    return tuple(
        _measured(samples_uv[k : k + length], rate_hz, start_s + k / rate_hz, turn_uv)
        for k in firsts
        if np.isfinite(samples_uv[k : k + length]).all()
    )


def turns(samples_uv: Floats, turn_uv: float = TURN_UV) -> tuple[Floats, Floats]:
    """Return where a signal turns, in samples, and its value there, in microvolts.

    Extremes are found between the samples, by a parabola. The first turn is the first extreme from
    which the signal goes away by ``turn_uv``, the last one the farthest since the one before.

    Raises
    ------
    ValueError
        If ``turn_uv`` is not positive.
    """
    if not (np.isfinite(turn_uv) and turn_uv > 0):
        raise ValueError(f"turn_uv must be finite and > 0, got {turn_uv}")
    places, values = _extremes(samples_uv)
    kept = _far_apart(values.tolist(), turn_uv)
    return places[kept], values[kept]


def _extremes(samples_uv: Floats) -> tuple[Floats, Floats]:
    """Return all extremes; both ends of the signal are none."""
    moving = np.concatenate([[True], np.diff(samples_uv) != 0])
    places = np.flatnonzero(moving)
    wave = samples_uv[places]
    at = np.flatnonzero(np.diff(np.sign(np.diff(wave)))) + 1
    left, top, right = wave[at - 1], wave[at], wave[at + 1]
    lean = 0.5 * (left - right) / (left - 2 * top + right)
    return places[at] + lean, top - 0.25 * (left - right) * lean


def _far_apart(values: list[float], least: float) -> list[int]:
    """Return which of alternating extremes lie ``least`` or more from the one kept before."""
    if not values:
        return []
    kept: list[int] = []
    top = bottom = 0  # the extremes since the last turn; before it the side is open
    side = 0
    for k, value in enumerate(values):
        top = k if value > values[top] else top
        bottom = k if value < values[bottom] else bottom
        if side >= 0 and values[top] - value >= least:
            kept.append(top)
            side, bottom = -1, k
        elif side <= 0 and value - values[bottom] >= least:
            kept.append(bottom)
            side, top = 1, k
    if side:
        kept.append(bottom if side < 0 else top)
    return kept


def _measured(samples_uv: Floats, rate_hz: float, start_s: float, turn_uv: float) -> Interference:
    places, values = turns(samples_uv, turn_uv)
    epoch_s = samples_uv.size / rate_hz
    amplitude_uv, length_ms = np.abs(np.diff(values)), np.diff(places) / rate_hz * 1e3
    small = (amplitude_uv < SMALL_UV) & (length_ms < SMALL_MS)
    told = amplitude_uv.size > 0
    return Interference(
        start_s=start_s,
        epoch_s=epoch_s,
        turns_per_s=places.size / epoch_s,
        mean_amplitude_uv=float(amplitude_uv.mean()) if told else float("nan"),
        activity_ms_per_s=float(length_ms[length_ms < SHORT_MS].sum()) / epoch_s,
        upper_centile_uv=float(np.percentile(amplitude_uv, UPPER_CENTILE))
        if told
        else float("nan"),
        small_segments_per_s=float(np.count_nonzero(small)) / epoch_s,
    )


def peak_ratio(efforts: Sequence[Iterable[Interference]]) -> PeakRatio:
    """Return the largest ratio of turns to amplitude, each averaged over the epochs of an effort.

    Parameters
    ----------
    efforts
        The epochs of each effort. An epoch without a segment has no amplitude and does not count.

    Raises
    ------
    ValueError
        If no effort has an epoch with a segment.
    """
    found = []
    for number, epochs in enumerate(efforts):
        told = [e for e in epochs if np.isfinite(e.mean_amplitude_uv)]
        if told:
            rate = float(np.mean([e.turns_per_s for e in told]))
            amplitude_uv = float(np.mean([e.mean_amplitude_uv for e in told]))
            found.append((rate / amplitude_uv, number, rate, amplitude_uv))
    if not found:
        raise ValueError("efforts must hold an epoch with two turns or more, got none")
    ratio, effort, rate, amplitude_uv = max(found)
    return PeakRatio(
        ratio_per_uv_s=ratio, effort=effort, turns_per_s=rate, mean_amplitude_uv=amplitude_uv
    )
