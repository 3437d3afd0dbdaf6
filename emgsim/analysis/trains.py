"""When a motor unit discharges: a renewal model of its intervals, and whether a train is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHORTEST_S = 0.02  # no motor neuron of a voluntary contraction repeats sooner, doublets apart
LONGEST_S = 1.0  # of the interval table; longer ones say nothing
MISSED = 0.10  # share of discharges that may go unseen, so that intervals double
STRAY = 0.002  # share of intervals that follow no rule
TOO_SHORT = 1e-6  # how much likelier any other interval is than one below the shortest
LOCK_RANGE_S = 0.010
LOCK_WINDOW_S = 0.0006
LOCKED = 0.35  # share of the smaller train


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Mean and SD of a unit's inter-discharge intervals, in seconds; NaN when unknown."""

    mean_s: float
    sd_s: float

    @property
    def regularity(self) -> float:
        """Coefficient of variation of the intervals."""
        return self.sd_s / self.mean_s


UNKNOWN = Intervals(mean_s=np.nan, sd_s=np.nan)


def intervals_of(times_s: Floats) -> Intervals:
    """Estimate the interval model of a train, halves and doubles of an interval left out."""
    steps = np.diff(np.sort(times_s))
    steps = steps[(steps > SHORTEST_S) & (steps < 0.6)]
    if steps.size < 6:
        return UNKNOWN
    mean_s = _mode(steps)
    core = steps[(steps > 0.6 * mean_s) & (steps < 1.5 * mean_s)]
    if core.size < 5:
        return UNKNOWN
    mean_s = float(np.mean(core))
    spread = 1.4826 * float(np.median(np.abs(core - np.median(core))))
    return Intervals(mean_s=mean_s, sd_s=float(np.clip(spread, 0.1 * mean_s, 0.3 * mean_s)))


def train_measures(times_s: Floats) -> dict[str, float]:
    """Return number, rate and regularity of a train as measures of a found unit."""
    intervals = intervals_of(times_s)
    return {
        "n_discharges": float(times_s.size),
        "rate_hz": 1 / intervals.mean_s,
        "interval_cov": intervals.regularity,
    }


def _mode(steps: Floats) -> float:
    """Return the interval that most intervals lie within a fifth of."""
    log = np.sort(np.log(steps))
    inside = np.searchsorted(log, log + 0.2, "right") - np.searchsorted(log, log - 0.2, "left")
    # of equal crowds take the shorter interval: doubles come from missed discharges
    return float(np.exp(log[int(np.argmax(inside))]))


def log_density(intervals: Intervals, rate_hz: float) -> Floats:
    """Return the log density per sample of every interval in whole samples, the last for longer.

    Parameters
    ----------
    intervals
        The unit's model; an unknown one gives a flat density above the shortest interval.
    rate_hz
        Samples per second of the table.
    """
    gap_s = np.arange(int(LONGEST_S * rate_hz) + 1) / rate_hz
    if np.isfinite(intervals.mean_s):
        density = STRAY / LONGEST_S + (1 - STRAY) * _renewal(gap_s, intervals)
    else:
        density = np.full(gap_s.size, 5.0)
    density[gap_s < SHORTEST_S] *= TOO_SHORT
    return np.asarray(np.log(density / rate_hz))


def _renewal(gap_s: Floats, intervals: Intervals) -> Floats:
    out = np.zeros(gap_s.size)
    for step in range(1, 6):
        sd_s = intervals.sd_s * np.sqrt(step)
        z = (gap_s - step * intervals.mean_s) / sd_s
        share = (1 - MISSED) * MISSED ** (step - 1)
        out += share * np.exp(-0.5 * z**2) / (sd_s * np.sqrt(2 * np.pi))
    return out


@dataclass(frozen=True, kw_only=True)
class TrainCheck:
    """What speaks for a train being one whole motor unit."""

    n: int
    rate_hz: float
    regularity: float  # robust coefficient of variation
    expected: float  # share of intervals within 0.6 .. 1.5 of the mean
    short: float  # share of intervals below half the mean


def checked(times_s: Floats) -> TrainCheck:
    """Measure the regularity of a train."""
    steps = np.diff(np.sort(times_s))
    model = intervals_of(times_s)
    if steps.size == 0 or not np.isfinite(model.mean_s):
        return TrainCheck(n=times_s.size, rate_hz=0.0, regularity=1.0, expected=0.0, short=1.0)
    ratio = steps / model.mean_s
    core = ratio[(ratio > 0.6) & (ratio < 1.5)]
    return TrainCheck(
        n=times_s.size,
        rate_hz=1 / model.mean_s,
        regularity=float(np.std(core)),
        expected=core.size / steps.size,
        short=float(np.mean(ratio < 0.5)),
    )


def locked(one: Floats, other: Floats, rate_hz: float) -> bool:
    """Tell whether a large share of one train follows the other at a fixed lag.

    Parameters
    ----------
    one, other
        Positions in samples.
    rate_hz
        Samples per second.
    """
    if min(one.size, other.size) == 0:
        return False
    lags = lags_within(one, other, LOCK_RANGE_S * rate_hz)
    crowd = np.searchsorted(lags, lags + LOCK_WINDOW_S * rate_hz, "right") - np.arange(lags.size)
    return bool(lags.size and crowd.max() >= LOCKED * min(one.size, other.size))


def lags_within(one: Floats, other: Floats, reach: float) -> Floats:
    """Return every difference ``other - one`` within ``+-reach``, sorted."""
    first = np.searchsorted(other, one - reach)
    last = np.searchsorted(other, one + reach, "right")
    pairs = [other[a:b] - x for x, a, b in zip(one, first, last, strict=True)]
    return np.sort(np.concatenate(pairs)) if pairs else np.zeros(0)
