"""95 % intervals: of proportions, and of whatever is computed from resampled recordings.

Discharges of one recording are no independent trials: where several recordings are at hand, what
varies is the recording, and whole recordings are drawn. ``benchmarks/interval_coverage.py``
measures how often each interval holds the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# How often each recording was drawn, (n_resamples, n_recordings) -> the values of each resample
Statistic = Callable[[Floats], Floats]

Z95 = 1.959963984540054
LEAST_RECORDINGS = 10  # of 5, resampling holds the mean in 86-92 % only, not in 95 %
N_RESAMPLES = 2000
CHUNK = 250  # resamples computed at once: bounds the memory
MOST_UNDEFINED = 0.05  # share of resamples without a value, beyond which there is no interval


class Interval(NamedTuple):
    """Bounds of a 95 % interval; NaN where the data hold none."""

    low: float
    high: float


NO_INTERVAL = Interval(math.nan, math.nan)


def wilson(successes: float, n: float) -> Interval:
    """Return the 95 % Wilson score interval of a proportion (Wilson 1927, JASA 22:209)."""
    if not _is_proportion(successes, n):
        return NO_INTERVAL
    p, z2 = successes / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # rounding must not put an end on the wrong side of the proportion itself
    return Interval(max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def clopper_pearson(successes: float, n: float) -> Interval:
    """Return the exact 95 % interval of a proportion (Clopper & Pearson 1934, Biometrika 26:404).

    It holds the true proportion at least 95 times in 100, whatever it is. For 0 of n its upper end
    is about 3.7 / n; the "rule of three", 3 / n, is its one-sided form.
    """
    if not _is_proportion(successes, n):
        return NO_INTERVAL
    k = successes
    low = special.betaincinv(k, n - k + 1, 0.025) if k > 0 else 0.0
    high = special.betaincinv(k + 1, n - k, 0.975) if k < n else 1.0
    return Interval(float(low), float(high))


def _is_proportion(successes: float, n: float) -> bool:
    """Say whether there is anything to divide by; a share beyond 0..1 is an error."""
    if n > 0 and not 0 <= successes <= n:
        raise ValueError(f"successes must be in 0..n = {n}, got {successes}")
    return n > 0


def bootstrap(
    statistic: Statistic,
    n_recordings: int,
    rng: np.random.Generator,
    *,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Return the BCa interval of a statistic over whole recordings drawn with replacement.

    Bias-corrected and accelerated after Efron 1987 (JASA 82:171), its normal quantile widened to
    ``sqrt(n / (n - 1))`` times Student's, which makes up for a resample's smaller spread
    (Hesterberg 2015, Am Stat 69:371). No interval of fewer than `LEAST_RECORDINGS`, nor where more
    than `MOST_UNDEFINED` of the resamples have no value.

    Parameters
    ----------
    statistic
        Gets how often each recording was drawn, shape ``(n_resamples, n_recordings)``, and returns
        one value of each resample, shape ``(n_resamples,)``.
    n_recordings
        How many there are.
    rng
        Draws them.
    n_resamples
        How often.

    Examples
    --------
    >>> f1 = np.array([0.90, 0.80, 0.95, 0.99, 0.70, 0.88, 0.93, 0.97, 0.91, 0.85])
    >>> mean = lambda drawn: drawn @ f1 / 10
    >>> low, high = bootstrap(mean, 10, np.random.default_rng(1))
    >>> bool(0.80 < low < f1.mean() < high < 0.95)
    True
    """
    n = n_recordings
    if n < LEAST_RECORDINGS:
        return NO_INTERVAL
    estimate = float(statistic(np.ones((1, n)))[0])
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)
    parts = [statistic(drawn[a : a + CHUNK]) for a in range(0, n_resamples, CHUNK)]
    wide = math.sqrt(n / (n - 1)) * float(special.stdtrit(n - 1, 0.975))
    return _bca(np.concatenate(parts), estimate, statistic(1 - np.eye(n)), wide)


def _bca(values: Floats, estimate: float, left_out: Floats, wide: float) -> Interval:
    """Return the interval of ``wide`` normal deviates, from resampled and left-out values."""
    known = np.sort(values[~np.isnan(values)])
    if math.isnan(estimate) or known.size < (1 - MOST_UNDEFINED) * values.size:
        return NO_INTERVAL
    bias, skew = _bias(known, estimate), _acceleration(left_out)
    levels = [_level(bias, skew, z) for z in (-wide, wide)]
    low, high = np.quantile(known, levels, method="inverted_cdf")
    return Interval(float(low), float(high))


def _bias(values: Floats, estimate: float) -> float:
    """Return the normal quantile of the estimate's place among the resampled values."""
    below = np.mean(values < estimate) + np.mean(values == estimate) / 2
    edge = 0.5 / values.size
    return float(special.ndtri(np.clip(below, edge, 1 - edge)))


def _acceleration(left_out: Floats) -> float:
    """Return Efron's acceleration from the values with one recording left out at a time."""
    if not np.all(np.isfinite(left_out)):
        return 0.0
    d = np.mean(left_out) - left_out
    spread = float(np.sum(d**2)) ** 1.5
    return float(np.sum(d**3)) / (6 * spread) if spread > 0 else 0.0


def _level(bias: float, skew: float, z: float) -> float:
    slope = 1 - skew * (bias + z)
    if slope <= 0:  # beyond the pole of the correction: the end of all values
        return float(z > 0)
    return float(special.ndtr(bias + (bias + z) / slope))


def pooled_interval(parts: Sequence[float] | Ints, wholes: Sequence[float] | Ints) -> Interval:
    """Return the interval of ``sum(parts) / sum(wholes)`` over recordings, each a part of a whole.

    The exact interval at the effective number of trials: as many independent ones as would vary as
    much as the share does from recording to recording (Korn & Graubard 1998, Surv Methodol 24:193).
    It needs no resampling, and holds the truth more often than resampling where errors are rare or
    recordings few.

    A variance that a few bad recordings make is badly known. Student's quantile makes up for that,
    its degrees of freedom from the recordings' kurtosis (Satterthwaite 1946, Biometrics Bull 2:110)
    and not from their number alone.

    Where all recordings are perfect, or all are void, nothing varies. Then each recording counts as
    one trial: right however alike the discharges within a recording are, and no narrower for many
    discharges. Of fewer than two recordings there is no interval.
    """
    part, whole = np.asarray(parts, float), np.asarray(wholes, float)
    part, whole = part[whole > 0], whole[whole > 0]
    return _effective(part, whole, float(np.sum(whole)))


def average_interval(parts: Sequence[float] | Ints, wholes: Sequence[float] | Ints) -> Interval:
    """Return the interval of the mean over recordings of ``part / whole``.

    As `pooled_interval`, each recording of the same weight; those without a whole are left out.
    """
    part, whole = np.asarray(parts, float), np.asarray(wholes, float)
    part, whole = part[whole > 0], whole[whole > 0]
    return _effective(part / whole, np.ones(part.size), float(np.sum(whole)))


def _effective(part: Floats, weight: Floats, most_trials: float) -> Interval:
    """Return the exact interval at the number of trials that the recordings' spread speaks for."""
    n = part.size
    if n < 2:
        return NO_INTERVAL
    if np.all(part == weight) or not part.any():
        return clopper_pearson(n if part.any() else 0, n)
    total = float(np.sum(weight))
    p = float(np.sum(part)) / total
    squares = (part - p * weight) ** 2
    if not squares.any():
        return clopper_pearson(p * most_trials, most_trials)
    variance = n / (n - 1) * float(np.sum(squares)) / total**2
    kurtosis = n * float(np.sum(squares**2)) / float(np.sum(squares)) ** 2
    freedom = min(n - 1, 2 * n / (kurtosis - 1)) if kurtosis > 1 else n - 1
    shrink = (Z95 / float(special.stdtrit(freedom, 0.975))) ** 2
    trials = min(p * (1 - p) * shrink / variance, most_trials)
    return clopper_pearson(p * trials, trials)


def median_interval(
    values: Sequence[float] | Floats,
    rng: np.random.Generator,
    *,
    recordings: Sequence[int] | Ints | None = None,
) -> Interval:
    """Return the BCa interval of a median.

    Parameters
    ----------
    values
        Shape ``(n,)``; NaN are left out.
    rng
        Draws the resamples.
    recordings
        Number of the recording that each value is of, shape ``(n,)``: values of one recording are
        drawn together. Without it the values are taken as independent.

    Raises
    ------
    ValueError
        If there are not as many recordings as values.
    """
    known = np.asarray(values, float)
    of = np.arange(known.size) if recordings is None else np.asarray(recordings)
    if of.shape != known.shape:
        raise ValueError(f"recordings: expected shape {known.shape}, got {of.shape}")
    order = np.argsort(known, kind="stable")[: np.count_nonzero(~np.isnan(known))]
    known = known[order]
    names, of = np.unique(of[order], return_inverse=True)

    def median(drawn: Floats) -> Floats:
        below = np.cumsum(drawn[:, of], axis=1)
        total = below[:, -1:]
        lower = np.sum(below <= np.floor((total - 1) / 2), axis=1)
        upper = np.sum(below <= np.floor(total / 2), axis=1)
        return np.asarray((known[lower] + known[upper]) / 2)

    return bootstrap(median, names.size, rng)
