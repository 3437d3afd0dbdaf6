"""How far the generator's output filter swings beyond the points that it smooths.

A filter rings after a jump: a staircase within +-1 V leaves a 5th-order Butterworth with up to
1.39 V. What the device truly sees is bounded here, whatever is played and whenever the output is
switched on or off in it.

With ``s`` the filter's step response in units of one point, the output ``t`` after the start of
point ``k`` is ``sum u[k - m] (s(m + t) - s(m + t - 1))``: a sum over the last points, exact.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Filter = Literal["NORM", "STEP", "OFF"]
Floats = NDArray[np.float64]

BUTTERWORTH: dict[Filter, tuple[int, float]] = {"NORM": (5, 0.27), "STEP": (3, 0.13)}
"""Order, and corner over sample rate: those of the Keysight 33500 series (its user's guide)."""

L1_NORM: dict[Filter, float] = {"NORM": 1.39201, "STEP": 1.19805, "OFF": 1.0}
"""Integral of the magnitude of the impulse response: no input within +-1 comes out as more."""

CURVATURE: dict[Filter, float] = {"NORM": 2.65034, "STEP": 0.71808}
"""The same of the impulse response's second derivative, over the square of the sample rate."""

N_TAPS = 64  # points that the output still remembers: exp(-0.4 * 64) is 1e-11
PHASES = 32  # instants per point; between two of them the curvature bounds what is missed
CHUNK = 4096  # points rendered at a time: they stay in the processor's cache


def peak_after_filter_v(
    volts: Floats, filter: Filter, rate_hz: float, limit_v: float, *, cycles: int = 1
) -> float:
    """Bound the magnitude of what leaves the output filter while a waveform is played.

    Where a cheap bound stays within the limit it is enough; what may exceed the limit is computed
    to within 0.1 % of the largest point. The bound holds before the trigger (the line waits at the
    first point), after the last cycle (it returns there), and when the output goes on or off at
    any time.

    Parameters
    ----------
    volts
        Shape ``(n_points,)``, at the open output, offset included.
    filter
        The generator's: its corner goes with the sample rate, so the peak is the same at any rate.
    rate_hz
        Sample rate.
    limit_v
        What the peak will be compared with.
    cycles
        How often the waveform is played without a pause.

    Raises
    ------
    ValueError
        If there are no points, one is not finite, or rate, limit or cycles are not positive.
    """
    if volts.ndim != 1 or not volts.size or not np.isfinite([volts.min(), volts.max()]).all():
        raise ValueError(f"volts: expected finite (n_points,) with n >= 1, got {volts.shape}")
    if not (rate_hz > 0 and limit_v > 0 and cycles > 0):
        raise ValueError(
            f"rate_hz, limit_v and cycles must be above 0, got {rate_hz}, {limit_v}, {cycles}"
        )
    peak_v = max(float(volts.max()), -float(volts.min()))
    rough_v = peak_v * L1_NORM[filter]
    if filter == "OFF" or rough_v <= limit_v:
        return rough_v
    played = _played(volts, cycles)
    taps = _taps(filter)
    # Rough again, but for each point by its own neighbours; only what may exceed is rendered.
    each_v = np.convolve(np.abs(played), np.max(np.abs(taps), axis=1))[: played.size]
    missed_v = peak_v * CURVATURE[filter] / (8 * PHASES**2)  # between two instants, at most
    is_suspect = each_v + missed_v > limit_v
    found_v = float(np.max(each_v, where=~is_suspect, initial=0.0))
    for points in _parts(np.flatnonzero(is_suspect)):
        found_v = max(found_v, _rendered(played, points, taps))
    return min(rough_v, found_v + missed_v)


def step_response(filter: Filter, points: Floats) -> Floats:
    """Return the filter's answer to a unit step, ``points`` sample periods after it."""
    order, corner = BUTTERWORTH[filter]
    angles = math.pi * (2 * np.arange(order) + order + 1) / (2 * order)
    poles = 2 * math.pi * corner * np.exp(1j * angles)
    apart = poles[:, None] - poles[None, :] + np.eye(order)
    residues = np.prod(-poles) / np.prod(apart, axis=1)  # partial fractions: the gain at 0 is 1
    after = np.maximum(points, 0.0)[..., None]
    return np.asarray((residues / poles * np.expm1(poles * after)).real.sum(-1))


def _taps(filter: Filter) -> Floats:
    """Return the weight of each of the last points, ``(N_TAPS, PHASES)``."""
    at = np.arange(N_TAPS)[:, None] + np.arange(PHASES) / PHASES
    return step_response(filter, at) - step_response(filter, at - 1)


def _played(volts: Floats, cycles: int) -> Floats:
    """Return all that differs in a playback: off, waiting, as many cycles as matter, waiting."""
    waiting = np.full(N_TAPS, volts[0])
    enough = min(cycles, 2 + N_TAPS // volts.size)
    return np.concatenate([np.zeros(N_TAPS), waiting, np.tile(volts, enough), waiting])


def _parts(suspects: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(suspects, max(1, math.ceil(suspects.size / CHUNK)))


def _rendered(played: Floats, points: NDArray[np.int64], taps: Floats) -> float:
    """Return the peak during some points, if the output stays on or went off before any of them.

    An output that went off ``j`` points ago leaves the sum without its last ``j`` terms, so the
    sums that build up from the oldest point are all these cases.
    """
    sums = np.zeros((points.size, PHASES))
    peak_v = 0.0
    for m in reversed(range(N_TAPS)):
        sums += np.where(points >= m, played[points - m], 0.0)[:, None] * taps[m]
        peak_v = max(peak_v, float(np.max(np.abs(sums), initial=0.0)))
    return peak_v
