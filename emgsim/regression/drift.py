"""Has a measurement drifted? A chart that any distribution keeps, and how fast it goes.

Each new value is ranked among those before it that were made alike. The rank becomes a normal score
(Conover, Tercero-Gomez & Cordero-Franco 2017, arXiv:1705.03496): while nothing changes, these
scores are independent and nearly standard normal, whatever the values' distribution is, and nobody
has to know mean and scatter beforehand. They are summed by Page's two-sided CUSUM (Page 1954,
doi:10.1093/biomet/41.1-2.100); beyond its threshold the series has drifted, and stays so. The
threshold belongs to the mean number of runs between false alarms (Siegmund 1985, Sequential
Analysis; as in Montgomery, Introduction to Statistical Quality Control, on the CUSUM).

Values that were made otherwise, with other firmware for instance, are never ranked together, so
that a step between them is no drift; the sum goes on over all of them.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

ALLOWANCE = 0.25  # SD per run that the sum forgives: half the shift that it finds soonest
OVERSHOOT = 1.166  # by which a normal sum jumps past a threshold, both ends; Siegmund 1985
LEAST_RUNS = 10  # runs with another one alike before them; fewer cannot drift beyond the threshold
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The CUSUM of a series.

    Attributes
    ----------
    sums
        Of each run, the larger of the two sums, negative where it is the downward one.
    threshold
        Beyond which, on either side, the series has drifted.
    signal
        Index of the first run beyond it, None if there is none.
    since
        Index of the run with which that sum began: where the drift probably began.
    """

    sums: tuple[float, ...]
    threshold: float
    signal: int | None
    since: int | None


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A line through a series by the median of its slopes, with the slope's 95 % interval."""

    slope_per_day: float
    low_per_day: float
    high_per_day: float
    level: float  # median of the runs that were made as the newest one
    days_ago: float  # the median of their times, before the newest one

    @property
    def is_certain(self) -> bool:
        """Whether the interval tells which way it goes."""
        return self.low_per_day > 0 or self.high_per_day < 0


def scores(values: Sequence[float], alike: Sequence[Hashable]) -> list[float]:
    """Return the normal score of each value among those before it that were made alike.

    Parameters
    ----------
    values
        In the order of time, finite; equal ones share their rank.
    alike
        Of each value, how it was made; only equal ones are compared.

    Examples
    --------
    >>> [round(score, 3) for score in scores([1.0, 2.0, 0.5, 9.0], "aaab")]
    [0.0, 0.674, -0.967, 0.0]
    """
    normal, before = NormalDist(), dict[Hashable, list[float]]()
    found = []
    for value, how in zip(values, alike, strict=True):
        known = before.setdefault(how, [])
        below, not_above = bisect.bisect_left(known, value), bisect.bisect_right(known, value)
        rank = (below + not_above) / 2 + 1  # the middle one of those that are equal
        known.insert(below, value)
        found.append(normal.inv_cdf((rank - 0.5) / len(known)))
    return found


def threshold(runs_between_alarms: float) -> float:
    """Return the threshold at which an unchanged series has a false alarm so seldom.

    Parameters
    ----------
    runs_between_alarms
        Mean number of runs, at least 10.
    """
    if not runs_between_alarms >= 10:
        raise ValueError(f"runs_between_alarms must be >= 10, got {runs_between_alarms:g}")
    low, high = 0.0, 200.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if mean_runs(middle) < runs_between_alarms:
            low = middle
        else:
            high = middle
    return high


def mean_runs(limit: float) -> float:
    """Return the mean number of runs until an unchanged series crosses a threshold, either way."""
    twice = 2 * ALLOWANCE * (limit + OVERSHOOT)
    return float((math.expm1(twice) - twice) / (4 * ALLOWANCE**2))


def chart(found: Sequence[float], limit: float) -> Chart:
    """Return the two-sided CUSUM of normal scores.

    Parameters
    ----------
    found
        As `scores` returns them.
    limit
        The threshold.
    """
    up = [*accumulate(found, lambda s, z: max(0.0, s + z - ALLOWANCE), initial=0.0)][1:]
    down = [*accumulate(found, lambda s, z: max(0.0, s - z - ALLOWANCE), initial=0.0)][1:]
    sums = [a if a >= b else -b for a, b in zip(up, down, strict=True)]
    signal = next((i for i, s in enumerate(sums) if abs(s) > limit), None)
    since = None
    if signal is not None:
        side = up if sums[signal] > 0 else down
        since = next((i + 1 for i in range(signal, -1, -1) if side[i] == 0), 0)
    return Chart(sums=tuple(sums), threshold=limit, signal=signal, since=since)


def trend(
    days: Sequence[float], values: Sequence[float], alike: Sequence[Hashable]
) -> Trend | None:
    """Return the line through a series, from pairs of values that were made alike.

    The slope is the median of the pairs' slopes (Theil 1950; Sen 1968,
    doi:10.1080/01621459.1968.10480934), its interval that of Kendall's statistic, summed over what
    was made alike as Hirsch, Slack & Smith 1982 (doi:10.1029/WR018i001p00107) do over seasons.

    Parameters
    ----------
    days
        When each value was measured, rising.
    values
        Finite.
    alike
        Of each value, how it was made.

    Returns
    -------
    Trend or None
        None if no two values alike were measured at different times.
    """
    x, y = np.asarray(days, np.float64), np.asarray(values, np.float64)
    groups = [np.flatnonzero([how == one for how in alike]) for one in dict.fromkeys(alike)]
    slopes = np.concatenate([_slopes(x[group], y[group]) for group in groups])
    if slopes.size == 0:
        return None
    slopes.sort()
    variance = sum(_variance_of_kendall(x[group], y[group]) for group in groups)
    apart = float(special.ndtri((1 + LEVEL) / 2)) * math.sqrt(variance)
    # Sen's order statistics, the lower rounded down and the upper up
    first = max(0, math.floor((slopes.size - apart) / 2) - 1)
    last = min(slopes.size - 1, math.ceil((slopes.size + apart) / 2))
    newest = next(group for group in groups if len(values) - 1 in group)
    return Trend(
        slope_per_day=float(np.median(slopes)),
        low_per_day=float(slopes[first]),
        high_per_day=float(slopes[last]),
        level=float(np.median(y[newest])),
        days_ago=float(x[-1] - np.median(x[newest])),
    )


def _slopes(x: Floats, y: Floats) -> Floats:
    i, j = np.triu_indices(x.size, 1)
    apart = x[j] - x[i]
    keep = apart > 0
    return np.asarray((y[j] - y[i])[keep] / apart[keep], np.float64)


def _variance_of_kendall(x: Floats, y: Floats) -> float:
    """Return the variance of Kendall's statistic; equal values lessen it (Kendall 1975)."""
    n = x.size
    less = [
        float((c * (c - 1) * (2 * c + 5)).sum())
        for c in (np.unique(v, return_counts=True)[1] for v in (x, y))
    ]
    return max(0.0, (n * (n - 1) * (2 * n + 5) - sum(less)) / 18)


def days_until(found: Trend, low: float | None, high: float | None) -> tuple[float, float, float]:
    """Return in how many days the line reaches its limit: at best, the soonest, the latest.

    Parameters
    ----------
    found
        A trend whose slope is certain; else it never reaches it.
    low, high
        The limits; None: there is none on that side.

    Returns
    -------
    tuple of float
        0 where it is beyond already, infinity where it goes away from it. The interval is that of
        the slope alone.
    """
    if not found.is_certain:
        return math.inf, 0.0, math.inf
    times = [
        _until(found, slope, low, high)
        for slope in (found.slope_per_day, found.low_per_day, found.high_per_day)
    ]
    return times[0], min(times), max(times)


def _until(found: Trend, slope: float, low: float | None, high: float | None) -> float:
    limit = high if slope > 0 else low
    if limit is None or slope == 0:
        return math.inf
    now = found.level + slope * found.days_ago
    return max(0.0, (limit - now) / slope)
