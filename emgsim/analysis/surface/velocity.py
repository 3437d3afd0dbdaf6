"""Conduction velocity of muscle fibres, from channels along them.

Only channels that hear one wave pass by are used. Neighbours must resemble each other, shifted, by
0.7 or more, and all in one direction: over the innervation zone potentials set out both ways and
turn over, over a tendon they end where they are. The longest row of such neighbours gives the
velocity; the other channels are told with what was wrong there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.surface.intervals import NAN, Estimate, jackknife, unknown
from emgsim.analysis.surface.travel import (
    SLOWEST_M_S,
    Complexes,
    Delay,
    Pair,
    Transforms,
    all_but_one,
    climbed,
    cross_spectra,
    likeliest_delay,
    pairs_of,
    transforms,
    transforms_of_averages,
)

Floats = NDArray[np.float64]

FASTEST_M_S = 10.0  # muscle fibres conduct at 2 to 6 m/s: beyond it is what does not travel
LEAST_ALIKE = 0.7
TOO_SHORT = "less than half a second of signal without missing samples"
FEWEST_PAIRS = 2  # that agree; one delay alone is also what noise or mains may have
SHORTEST_S = 0.5  # of a signal
FEWEST_BLOCKS = 3  # that must be without missing samples


@dataclass(frozen=True, kw_only=True)
class Velocity:
    """A conduction velocity, positive towards larger positions, and the channels it comes from.

    Attributes
    ----------
    velocity_m_s
        NaN with a reason if there is none.
    correlation
        Of neighbours, mean over the channels that are used; NaN without any.
    channels
        Those that are used.
    left_out
        Each other channel, and why.
    """

    velocity_m_s: Estimate
    correlation: float
    channels: tuple[int, ...]
    left_out: tuple[tuple[int, str], ...]


def velocity(samples_uv: Floats, rate_hz: float, along_mm: Floats) -> Velocity:
    """Measure the conduction velocity of a contraction.

    Parameters
    ----------
    samples_uv
        Channels along the fibres, single or double differential (`differential`), shape
        ``(n_samples, n_channels)``; NaN where samples are missing. Half a second or more.
    rate_hz
        Sampling rate.
    along_mm
        Where the channels are along the fibres, ascending, shape ``(n_channels,)``.

    Returns
    -------
    Velocity
        Without a value, but with a reason, if fewer than two pairs of neighbours hear one wave, or
        it is slower than 1 or faster than 10 m/s.

    Raises
    ------
    ValueError
        If the shapes do not fit, the positions do not ascend, or the rate is not positive.

    Examples
    --------
    >>> source = np.random.default_rng(1).standard_normal(4096)
    >>> heard = np.convolve(source, np.hanning(12), "same")
    >>> waves = np.stack([np.roll(heard, 4 * k) for k in range(4)], axis=1)
    >>> found = velocity(waves, 2000.0, np.array([0.0, 8.0, 16.0, 24.0]))  # 8 mm in 2 ms
    >>> round(found.velocity_m_s.value, 2)
    4.0
    """
    require_array(samples_uv, rate_hz, along_mm)
    read = read_signal(samples_uv, rate_hz)
    if read is None:
        return _nothing(TOO_SHORT, ())
    return _measured(read, along_mm, partial(all_but_one, read))


def muap_velocity(sweeps_uv: Floats, rate_hz: float, along_mm: Floats) -> Velocity:
    """Measure the conduction velocity of one motor unit, from sweeps around its discharges.

    Parameters
    ----------
    sweeps_uv
        Shape ``(n_sweeps, n_samples, n_channels)``, without missing samples. One sweep may be an
        average; then there is no interval.
    rate_hz, along_mm
        As of `velocity`; so is what is returned and raised.
    """
    if sweeps_uv.ndim != 3 or not len(sweeps_uv):
        raise ValueError(
            f"sweeps_uv must be (n_sweeps, n_samples, n_channels), got {sweeps_uv.shape}"
        )
    require_array(sweeps_uv[0], rate_hz, along_mm)
    if not np.isfinite(sweeps_uv).all():
        raise ValueError("sweeps_uv must be finite; leave out sweeps with missing samples")
    read = transforms_of_averages(sweeps_uv, rate_hz)
    whole = Transforms(spectra=read.spectra[:1], frequencies_hz=read.frequencies_hz)
    return _measured(
        whole,
        along_mm,
        partial(_of_each, read),
    )


def read_signal(samples_uv: Floats, rate_hz: float) -> Transforms | None:
    """Return the spectra of a signal; None if too little of it can be read."""
    if len(samples_uv) < SHORTEST_S * rate_hz:
        return None
    read = transforms(samples_uv, rate_hz)
    return read if len(read.spectra) >= FEWEST_BLOCKS else None


def differential(samples_uv: Floats, along_mm: Floats) -> tuple[Floats, Floats]:
    """Return the differences of neighbouring channels, and the places midway between them.

    Of monopolar channels these are single differential, of those double differential ones. Where
    electrodes are not evenly spaced, the differences are not alike, and no velocity should be
    taken from them.

    Parameters
    ----------
    samples_uv, along_mm
        As of `velocity`.

    Returns
    -------
    samples_uv : ndarray
        Each channel minus the one before, shape ``(n_samples, n_channels - 1)``.
    along_mm : ndarray
        Shape ``(n_channels - 1,)``.
    """
    return np.diff(samples_uv, axis=1), 0.5 * (along_mm[1:] + along_mm[:-1])


def require_array(samples_uv: Floats, rate_hz: float, along_mm: Floats) -> None:
    """Refuse channels that do not fit their positions.

    Raises
    ------
    ValueError
        If the shapes do not fit, the positions do not ascend, or the rate is not positive.
    """
    if samples_uv.ndim != 2 or along_mm.shape != samples_uv.shape[1:]:
        raise ValueError(
            "samples_uv must be (n_samples, n_channels) and along_mm (n_channels,), got "
            f"{samples_uv.shape} and {along_mm.shape}"
        )
    if not np.all(np.diff(along_mm) > 0):
        raise ValueError(f"along_mm must ascend, got {along_mm.tolist()}")
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ValueError(f"rate_hz must be finite and > 0, got {rate_hz}")


def neighbours(read: Transforms, along_mm: Floats) -> list[Delay]:
    """Return the likeliest delay of each pair of neighbours."""
    return [
        likeliest_delay(read, k, k + 1, 1e-3 * step_mm / SLOWEST_M_S)
        for k, step_mm in enumerate(np.diff(along_mm).tolist())
    ]


def rows_of(delays: list[Delay]) -> list[tuple[int, int]]:
    """Return first and last channel of each row of neighbours that hear one wave pass by."""
    ways = [
        float(np.sign(delay.delay_s)) if delay.correlation >= LEAST_ALIKE else 0.0
        for delay in delays
    ]
    rows, at = [], 0
    for way, same in groupby(ways):
        n = len(list(same))
        if way:
            rows.append((at, at + n))
        at += n
    return rows


def _of_each(read: Transforms, pairs: list[Pair]) -> Complexes:
    return np.array([cross_spectra(one[None], pairs) for one in read.spectra])


def _measured(
    read: Transforms, along_mm: Floats, spectra_of: Callable[[list[Pair]], Complexes]
) -> Velocity:
    delays = neighbours(read, along_mm)
    rows = rows_of(delays)
    if not rows:
        best = max((delay.correlation for delay in delays), default=NAN)
        reason = f"neighbours resemble each other by {best:.2f} at most, {LEAST_ALIKE:g} is needed"
        return _nothing(reason, ())
    first, last = max(rows, key=lambda row: (row[1] - row[0], _alike(delays, row)))
    left_out = _left_out(delays, first, last)
    if last - first < FEWEST_PAIRS:
        return _nothing("one pair of channels hears a wave, two in a row are needed", left_out)
    channels = list(range(first, last + 1))
    pairs = pairs_of(channels)
    distances_m = np.array([1e-3 * (along_mm[b] - along_mm[a]) for a, b in pairs])
    steps_m = 1e-3 * np.diff(along_mm[first : last + 1])
    start = float(np.median([d.delay_s for d in delays[first:last]] / steps_m))
    crosses: Complexes = spectra_of(pairs)
    slowness = [climbed(cross, distances_m, read.frequencies_hz, start) for cross in crosses]
    found = _estimate(slowness[0], np.array(slowness[1:]))
    return Velocity(
        velocity_m_s=found,
        correlation=_alike(delays, (first, last)),
        channels=tuple(channels),
        left_out=left_out,
    )


def _estimate(slowness_s_m: float, left_out_s_m: Floats) -> Estimate:
    """Return the velocity; its interval ends are those of the slowness, turned over."""
    if not 1 / FASTEST_M_S <= abs(slowness_s_m) <= 1 / SLOWEST_M_S:
        speed = 1 / abs(slowness_s_m) if slowness_s_m else float("inf")
        return unknown(f"the wave travels at {speed:.3g} m/s, muscle fibres at 1 to 10")
    if left_out_s_m.size < 2:
        return Estimate(value=1 / slowness_s_m, low=NAN, high=NAN)
    ends = jackknife(slowness_s_m, left_out_s_m)
    if not ends.low * ends.high > 0:
        return unknown("the doubt about the delay is as large as the delay")
    return Estimate(value=1 / slowness_s_m, low=1 / ends.high, high=1 / ends.low)


def _alike(delays: list[Delay], row: tuple[int, int]) -> float:
    return float(np.mean([delay.correlation for delay in delays[row[0] : row[1]]]))


def _left_out(delays: list[Delay], first: int, last: int) -> tuple[tuple[int, str], ...]:
    """Return each channel beyond a row and what is wrong between it and its inner neighbour."""
    below = [(k, _fault(delays[k])) for k in range(first)]
    above = [(k, _fault(delays[k - 1])) for k in range(last + 1, len(delays) + 1)]
    return (*below, *above)


def _fault(delay: Delay) -> str:
    if delay.correlation >= LEAST_ALIKE:
        return "beyond a channel that is left out, or the wave goes the other way"
    if delay.correlation <= -LEAST_ALIKE:
        return "polarity reversed: the innervation zone is near"
    return f"resembles its neighbour by {delay.correlation:.2f}: innervation zone, tendon or noise"


def _nothing(reason: str, left_out: tuple[tuple[int, str], ...]) -> Velocity:
    return Velocity(velocity_m_s=unknown(reason), correlation=NAN, channels=(), left_out=left_out)
