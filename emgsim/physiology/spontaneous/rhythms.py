"""When a generator discharges: one renewal law, on a clock that may run fast and slow.

All times are drawn in their order, so that a longer recording begins as a shorter one does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Floats = NDArray[np.float64]

CHUNK = 128  # intervals drawn at once
EVEN = 1e-6  # a CoV below it: nothing scatters
CLOCK_S = 2e-3  # step of a clock with a changing rate


class Span(NamedTuple):
    """A stretch of time."""

    onset_s: float
    offset_s: float

    @property
    def length_s(self) -> float:
        """Its length."""
        return self.offset_s - self.onset_s

    def holds(self, times_s: Floats) -> NDArray[np.bool_]:
        """Return which times lie in it; its end does not."""
        return np.asarray((times_s >= self.onset_s) & (times_s < self.offset_s))


def renewals(
    rng: np.random.Generator, until: float, cov: float, *, shortest: float = 0.0, at_once: bool
) -> Floats:
    """Return the points of a renewal process of rate 1 in ``0 <= x < until``.

    Intervals are ``shortest`` and a gamma variate, of mean 1 in all and SD ``cov``. With ``cov`` 1
    and ``shortest`` 0 it is a Poisson process.

    Parameters
    ----------
    rng
        Draws them.
    until, cov, shortest
        End, coefficient of variation, and least interval, below 1.
    at_once
        Whether the first point is 0. If not, a share of the first interval is over: nothing is
        known of what was before.

    Raises
    ------
    ValueError
        If ``shortest`` leaves no room for chance.
    """
    if not 0 <= shortest < 1:
        raise ValueError(f"shortest must be in 0..1 of the mean interval, got {shortest:g}")
    free, over = 1.0 - shortest, rng.uniform()
    parts, last = [np.zeros(1)] if at_once else [np.zeros(0)], 0.0
    while last < until:
        intervals = shortest + free * scattered(rng, CHUNK, cov / free)
        if last == 0 and not at_once:
            intervals[0] *= over
        parts.append(last + np.cumsum(intervals))
        last = float(parts[-1][-1])
    points = np.concatenate(parts)
    return np.asarray(points[points < until])


def scattered(rng: np.random.Generator, n: int, cov: float) -> Floats:
    """Return gamma variates of mean 1, shape ``(n,)``; a CoV below 1e-6 is none."""
    if cov < EVEN:
        return np.ones(n)
    return np.asarray(cov**2 * rng.standard_gamma(cov**-2, n))


def train(
    rng: np.random.Generator,
    span: Span,
    rate_hz: float,
    cov: float,
    *,
    shortest_s: float = 0.0,
    at_once: bool = False,
) -> Floats:
    """Return discharge times at an even rate; arguments as of `renewals`."""
    until, shortest = span.length_s * rate_hz, shortest_s * rate_hz
    points = renewals(rng, until, cov, shortest=shortest, at_once=at_once)
    return span.onset_s + points / rate_hz


def changing_train(
    rng: np.random.Generator,
    clock_s: Floats,
    rate_hz: Floats,
    cov: float,
    *,
    shortest: float = 0.0,
    at_once: bool = False,
) -> Floats:
    """Return discharge times at a changing rate.

    The renewal process runs on a clock that goes as fast as the rate is high.

    Parameters
    ----------
    rng, cov, shortest, at_once
        As of `renewals`.
    clock_s, rate_hz
        Shape ``(n_times,)``: the rate at each time, straight lines between.
    """
    steps = np.diff(clock_s) * (rate_hz[1:] + rate_hz[:-1]) / 2
    count = np.concatenate([[0.0], np.cumsum(steps)])
    points = renewals(rng, float(count[-1]), cov, shortest=shortest, at_once=at_once)
    return np.asarray(np.interp(points, count, clock_s))


def clock(span: Span, step_s: float = CLOCK_S) -> Floats:
    """Return the times of a clock's steps, from the onset of a span to its end or just beyond."""
    n = int(np.ceil(span.length_s / step_s)) + 1
    return np.asarray(span.onset_s + step_s * np.arange(n), np.float64)


def drift(rng: np.random.Generator, n: int, sd: float, forgotten: float) -> Floats:
    """Return the logarithm of a rate that wanders, shape ``(n,)``: an Ornstein-Uhlenbeck process.

    ``forgotten`` is its time constant in steps.
    """
    keep = float(np.exp(-1.0 / forgotten))
    kicks = sd * rng.standard_normal(n)
    kicks[1:] *= np.sqrt(1 - keep**2)
    return np.asarray(signal.lfilter([1.0], [1.0, -keep], kicks))


def spells(
    rng: np.random.Generator, span: Span, on_s: float, off_s: float, *, begins_on: bool
) -> list[Span]:
    """Return stretches that are on, exponential with ``on_s`` on the average, ``off_s`` apart."""
    found: list[Span] = []
    begin_s, is_on = span.onset_s, begins_on
    while begin_s < span.offset_s:
        end_s = begin_s + rng.exponential(on_s if is_on else off_s)
        if is_on:
            found.append(Span(begin_s, min(end_s, span.offset_s)))
        begin_s, is_on = end_s, not is_on
    return found


def log_normal(rng: np.random.Generator, median: float, spread: float) -> float:
    """Return a log-normal variate; ``spread`` is the SD of its logarithm."""
    return float(median * np.exp(spread * rng.standard_normal()))
