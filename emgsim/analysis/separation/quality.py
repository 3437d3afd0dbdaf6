"""How far a train and its source can be trusted, and whether two trains are one unit's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.separation.picking import peaks, two_means

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

PAUSE_S = 0.5  # [P] a longer interval is a pause, and says nothing of regularity
NEAR_S = 0.001  # of a discharge: its peak in the source is no wider
LAG_S = 0.05  # between two trains of one unit seen in different places
SAME = 0.3  # [S] agreement beyond which two trains are one unit (MUniverse, MUedit2)
FEWEST = 20  # [P] discharges of a unit
LEAST_SILHOUETTE = 0.85  # [S] SCD 0.85, MUedit2 0.88, openhdemg 0.90
HIGHEST_COV = 0.45  # [P] of intervals; voluntary trains have 0.1-0.3


def silhouette(source: Floats32, rate_hz: float) -> float:
    """Return the silhouette of a source (Negro et al. 2016, section 2.2).

    The squared peaks of the source fall into two groups. Over those of the upper one: sum of
    squared distances to the lower group's centre, less that to their own, over the greater.
    """
    at = peaks(source, rate_hz)
    power = np.square(source[at], dtype=np.float64)
    low, high = two_means(power)
    upper = power[power > 0.5 * (low + high)]
    own, other = np.sum((upper - high) ** 2), np.sum((upper - low) ** 2)
    return float((other - own) / max(own, other, 1e-30))


def pulse_to_noise_db(source: Floats32, positions: Floats, rate_hz: float) -> float:
    """Return the pulse-to-noise ratio (Holobar, Minetto & Farina 2014, J Neural Eng 11:016008).

    10 log10 of the mean squared source at the discharges over that elsewhere, where elsewhere is
    farther than 1 ms from any discharge.
    """
    at = np.clip(np.round(positions).astype(np.int64), 0, source.size - 1)
    elsewhere = np.ones(source.size, dtype=np.bool_)
    for shift in range(-round(NEAR_S * rate_hz), round(NEAR_S * rate_hz) + 1):
        elsewhere[np.clip(at + shift, 0, source.size - 1)] = False
    power = np.square(source, dtype=np.float64)
    return float(10 * np.log10(power[at].mean() / power[elsewhere].mean()))


def cov_isi(positions: Floats, rate_hz: float) -> float:
    """Return standard deviation over mean of the inter-spike intervals; infinite below five."""
    intervals_s = np.diff(positions) / rate_hz
    intervals_s = intervals_s[intervals_s < PAUSE_S]
    if intervals_s.size < 5:
        return float("inf")
    return float(intervals_s.std() / intervals_s.mean())


def agreement(one: Floats, other: Floats, rate_hz: float) -> float:
    """Return common over all discharges of two trains, at the lag within 50 ms that suits best."""
    reach = LAG_S * rate_hz
    first = np.searchsorted(other, one - reach)
    stop = np.searchsorted(other, one + reach)
    lags = np.concatenate([other[a:b] - x for a, b, x in zip(first, stop, one, strict=True)])
    if lags.size == 0:
        return 0.0
    counts, _ = np.histogram(lags, bins=np.arange(-reach - 1, reach + 2))
    width = max(1, round(2 * NEAR_S * rate_hz))
    common = int(np.convolve(counts, np.ones(width)).max())
    return float(common / max(one.size + other.size - common, common))


def distinct(trains: Sequence[Floats], irregularity: Sequence[float], rate_hz: float) -> list[int]:
    """Return the trains' numbers that are left when the more regular of any two alike is kept."""
    kept: list[int] = []
    for k in np.argsort(irregularity, kind="stable").tolist():
        if all(agreement(trains[k], trains[j], rate_hz) < SAME for j in kept):
            kept.append(k)
    return sorted(kept)
