"""Regular trains in deep noise: where a beat is due, a weaker discharge is believed.

A single discharge that hardly tops the noise cannot be told from it. A fibre that discharges like a
clock tells when it will: the likeliest train is found by dynamic programming over all that looks
at all like its potential, with the likelihood of each interval.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from emgsim.analysis.conditioning import Conditioned, Floats
from emgsim.analysis.detection import Counts, peak_offset
from emgsim.analysis.learning import Unit
from emgsim.analysis.resting.families import correlations

WEAK_NORM = 9.0  # of a template: clearer ones need no help
FEWEST = 6
PERIODS_S = (0.03, 2.5)
MOST_MISSED = 3  # beats between two discharges that were found
REGULAR = 0.6  # share of intervals that fit a period
FITS = 0.12  # of a period
SCATTER = 0.07  # of an interval over its period, drift of the rate included
MISSED_NATS = -3.0  # a train that is there discharges
BEGINS_NATS = -6.0
LEAST_HEIGHT = 1.8  # SD of the floor
LEAST_NATS = 1.0  # for a discharge that is due: in a pause of the train chance has no more
RESOLVED_S = 0.0004  # two places nearer than this are one
EVERY_SECOND = 0.4  # of the nats of the discharges between: a period is taken for half of it
TRUST = 5.0  # nats a discharge must bring on the average, or the train is chance


def on_the_beat(white: Conditioned, residual: Floats, unit: Unit, before: int) -> Unit:
    """Return a weak, regular unit with its discharges found anew where beats are due.

    Parameters
    ----------
    white
        Gives rate and what is usable.
    residual
        The white signal with all other units taken away.
    unit
        Found by what is clear of it.
    before
        Column of a discharge in the template.

    Returns
    -------
    Unit
        The same unit if it is clear anyhow, or has no beat.
    """
    norm = np.sqrt(unit.energy)
    if norm > WEAK_NORM or unit.positions.size < FEWEST:
        return unit
    period = period_of(unit.positions / white.rate_hz)
    if not np.isfinite(period):
        return unit
    row = correlations(residual, unit.template[None], before)[0]
    at, nats = _places(row, unit.energy, white)
    if at.size == 0:
        return unit
    chosen = _likeliest(at / white.rate_hz, nats, period)
    if _every_second(nats[chosen]):
        chosen = _likeliest(at / white.rate_hz, nats, 2 * period)
    if chosen.size < unit.positions.size // 2 or np.mean(nats[chosen]) < -TRUST:
        return unit
    return replace(unit, positions=at[chosen], amplitudes=np.ones(chosen.size))


def period_of(times_s: Floats) -> float:
    """Return the period that most intervals are small multiples of; NaN if there is none."""
    steps = np.diff(times_s)
    steps = steps[steps > PERIODS_S[0] / 2]
    if steps.size < FEWEST - 1:
        return float("nan")
    tried = np.concatenate([steps / k for k in range(1, MOST_MISSED + 1)])
    tried = tried[(tried > PERIODS_S[0]) & (tried < PERIODS_S[1])]
    best, share = float("nan"), 0.0
    for period in np.sort(tried)[::-1].tolist():  # of equal ones the longest
        beats = np.clip(np.rint(steps / period), 1, MOST_MISSED)
        fits = np.abs(steps / period - beats) < FITS * np.sqrt(beats)
        own = float(np.mean(fits * 0.9 ** (beats - 1)))
        if own > share + 0.02:
            near = np.median(steps[fits] / beats[fits])
            best, share = float(near), own
    return best if share > REGULAR else float("nan")


def _places(row: Floats, energy: float, white: Conditioned) -> tuple[Floats, Floats]:
    """Return where a discharge could be, in samples, and its log likelihood against nothing."""
    height = np.where(white.usable, row, 0.0) / np.sqrt(energy)
    width = 2 * round(RESOLVED_S * white.rate_hz) + 1
    top = ndimage.maximum_filter1d(height, width, mode="constant")
    inside = np.flatnonzero((height == top) & (height > LEAST_HEIGHT))
    inside = inside[(inside > 0) & (inside < row.size - 1)]
    inside = inside[row[inside] - 0.5 * energy > LEAST_NATS]
    vertex = peak_offset(row[inside - 1], row[inside], row[inside + 1])
    return inside + vertex, row[inside] - 0.5 * energy


def _every_second(nats: Floats) -> bool:
    """Tell whether every second discharge is much less likely than those between."""
    if nats.size < 2:
        return False
    even, odd = float(np.mean(nats[::2])), float(np.mean(nats[1::2]))
    return min(even, odd) < EVERY_SECOND * max(even, odd)


def _likeliest(times_s: Floats, nats: Floats, period_s: float) -> Counts:
    """Return the places of the likeliest train of about a period."""
    n = times_s.size
    best = nats + BEGINS_NATS
    before = np.full(n, -1, dtype=np.int64)
    density = np.log(RESOLVED_S / (SCATTER * period_s * np.sqrt(2 * np.pi)))
    first = np.searchsorted(times_s, times_s - (MOST_MISSED + 1.5) * period_s)
    last = np.searchsorted(times_s, times_s - 0.6 * period_s)
    for k in range(n):
        a, b = int(first[k]), int(last[k])
        if b <= a:
            continue
        steps = (times_s[k] - times_s[a:b]) / period_s
        beats = np.maximum(np.rint(steps), 1.0)
        z = (steps - beats) / (SCATTER * np.sqrt(beats))
        value = best[a:b] + density - 0.5 * np.log(beats) - 0.5 * z**2 + MISSED_NATS * (beats - 1)
        at = int(np.argmax(value))
        if value[at] + nats[k] > best[k]:
            best[k] = value[at] + nats[k]
            before[k] = a + at
    chain = [int(np.argmax(best))]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return np.array(chain[::-1])
