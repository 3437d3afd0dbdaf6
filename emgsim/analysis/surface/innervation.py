"""Where the innervation zone is: potentials set out from it both ways, and turn over."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.surface.intervals import NAN, Estimate, jackknife, unknown
from emgsim.analysis.surface.travel import (
    Delay,
    Transforms,
    all_but_one,
    climbed,
    likeliest_delay,
)
from emgsim.analysis.surface.velocity import (
    LEAST_ALIKE,
    TOO_SHORT,
    neighbours,
    read_signal,
    require_array,
    rows_of,
)

Floats = NDArray[np.float64]


def innervation_zone(samples_uv: Floats, rate_hz: float, along_mm: Floats) -> Estimate:
    """Find where along an array the potentials set out.

    Below the zone they travel down, above it up. The last channel below and the first above hear
    the same potentials turned over, and the delay between the two tells how far from the middle
    between them the zone is.

    Parameters
    ----------
    samples_uv
        Single differential channels along the fibres, shape ``(n_samples, n_channels)``; NaN where
        samples are missing.
    rate_hz
        Sampling rate.
    along_mm
        Where the channels are along the fibres, ascending, shape ``(n_channels,)``.

    Returns
    -------
    Estimate
        Position in millimetres, with the interval of a jackknife over time; without a value, but
        with a reason, if no zone is seen.

    Raises
    ------
    ValueError
        If the shapes do not fit, the positions do not ascend, or the rate is not positive.
    """
    require_array(samples_uv, rate_hz, along_mm)
    read = read_signal(samples_uv, rate_hz)
    if read is None:
        return unknown(TOO_SHORT)
    delays = neighbours(read, along_mm)
    found = _between(delays)
    if found is None:
        return unknown("no channels that hear potentials come from between them")
    below, above = found
    if below == above:  # a channel over the zone that hears waves go both ways
        return Estimate(value=float(along_mm[below]), low=NAN, high=NAN)
    return _placed(read, along_mm, (below, above), _slowness_s_m(delays, along_mm))


def _between(delays: list[Delay]) -> tuple[int, int] | None:
    """Return the last channel that hears waves go down and the first that hears them go up."""
    rows = rows_of(delays)
    for (first, below), (above, _) in pairwise(rows):
        if delays[first].delay_s < 0 < delays[above].delay_s:
            return below, above
    return None


def _slowness_s_m(delays: list[Delay], along_mm: Floats) -> float:
    """Return the median slowness of the neighbours that hear a wave pass by."""
    steps_m = 1e-3 * np.diff(along_mm)
    return float(
        np.median(
            [
                abs(delay.delay_s) / step_m
                for delay, step_m in zip(delays, steps_m, strict=True)
                if delay.correlation >= LEAST_ALIKE
            ]
        )
    )


def _placed(
    read: Transforms, along_mm: Floats, ends: tuple[int, int], slowness_s_m: float
) -> Estimate:
    """Return the place from which both ends are reached with the delay between them."""
    below, above = ends
    low_mm, high_mm = float(along_mm[below]), float(along_mm[above])
    whole = likeliest_delay(read, below, above, 1e-3 * (high_mm - low_mm) * slowness_s_m)
    if whole.correlation > -LEAST_ALIKE:
        return unknown("channels on both sides do not hear the same potentials turned over")
    one = np.ones(1)
    delays_s = np.array(
        [
            climbed(-cross, one, read.frequencies_hz, whole.delay_s)
            for cross in all_but_one(read, [ends])
        ]
    )
    places_mm = 0.5 * (low_mm + high_mm - 1e3 * delays_s / slowness_s_m)
    if not np.isfinite(places_mm).all():
        return unknown("the delay between channels on both sides has no likeliest value")
    return jackknife(float(places_mm[0]), places_mm[1:])
