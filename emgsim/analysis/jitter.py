"""Jitter and blocking: pairs of fibres within the discharges of one unit, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from emgsim.analysis.single_fibres import FEWEST, Spike, fibre_spikes
from emgsim.measures import mean_consecutive_difference_us, mean_sorted_difference_us
from emgsim.recording import Recording
from emgsim.seeds import stream

Floats = NDArray[np.float64]

RESAMPLES = 200
NEAREST_S = 0.00076  # of two spikes: nearer ones stand on each other's slopes
BLOCK = 5  # successive differences are drawn together, since they share a discharge


@dataclass(frozen=True, kw_only=True)
class FibrePair:
    """Two fibres of one unit: the largest spike, and another one.

    ``intervals_s`` is ``(n_discharges,)``, NaN where one of the two is missing or cannot be seen.
    ``raw_mcd_us`` is measured of them as they are; from ``mcd_us`` and ``msd_us`` the recording's
    noise is taken away, which alone would give ``noise_us``. ``blocking_share`` is of the
    discharges at which the largest spike is there and the other can be seen. Those named ``_95``
    are low and high of the 95 % interval.
    """

    mean_interval_s: float
    intervals_s: Floats
    raw_mcd_us: float
    noise_us: float
    mcd_us: float
    msd_us: float
    mcd_95_us: tuple[float, float]
    blocking_share: float
    blocking_95: tuple[float, float]

    @property
    def n_intervals(self) -> int:
        """Discharges at which both fibres were there."""
        return int(np.count_nonzero(np.isfinite(self.intervals_s)))


def jitter_pairs(
    recording: Recording,
    train_s: Floats,
    channel: int = 0,
    *,
    others_s: Sequence[Floats] = (),
    highpass_hz: float | None = None,
    seed: int = 0,
) -> tuple[FibrePair, ...]:
    """Measure jitter and blocking of every pair of fibres with the unit's largest spike.

    Parameters
    ----------
    recording
        Unfiltered, 10 kHz or more; NaN where samples are missing.
    train_s
        Discharge times of the unit on the recording's clock, within 0.4 ms.
    channel
        Column of the samples.
    others_s
        Discharge times of the other units, which are subtracted.
    highpass_hz
        None: 500 Hz for a single-fibre electrode, otherwise 2 kHz.
    seed
        Of the bootstrap for the interval.

    Returns
    -------
    tuple of FibrePair
        In the order of their intervals. Empty if fewer than two spikes are clear, or all others are
        of more than one fibre, or nearer than 0.76 ms.

    Raises
    ------
    ValueError
        If the rate is below 10 kHz, the channel does not exist, or the high-pass is not positive.
    """
    spikes = fibre_spikes(recording, train_s, channel, others_s=others_s, highpass_hz=highpass_hz)
    if not spikes:
        return ()
    first = spikes[0]
    rest = [spike for spike in spikes[1:] if _apart_s(first, spike) >= NEAREST_S]
    order = np.argsort(train_s, kind="stable")
    preceding = np.concatenate([[np.nan], np.diff(np.asarray(train_s)[order])])
    rng = stream(seed, "jitter resamples", 0)
    pairs = [_pair(first, other, np.where(preceding > 0, preceding, np.nan), rng) for other in rest]
    kept = [pair for pair in pairs if pair.n_intervals >= FEWEST]
    return tuple(sorted(kept, key=lambda pair: pair.mean_interval_s))


def _apart_s(first: Spike, other: Spike) -> float:
    intervals = other.at_s - first.at_s
    return abs(float(np.nanmedian(intervals))) if np.isfinite(intervals).any() else 0.0


def _pair(first: Spike, other: Spike, preceding_s: Floats, rng: np.random.Generator) -> FibrePair:
    intervals = other.at_s - first.at_s
    raw_mcd_us = mean_consecutive_difference_us(intervals)
    raw_msd_us = mean_sorted_difference_us(intervals, preceding_s)
    # For a Gaussian the mean |difference| of two is 2 / sqrt(pi) of the SD of one.
    noise_us = 2e6 / np.sqrt(np.pi) * float(np.hypot(first.noise_s, other.noise_s))
    drawn = _resampled_mcd_us(intervals, rng)
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    seen = np.isfinite(first.at_s) & (np.isfinite(other.at_s) | other.is_blocked)
    n, k = int(np.count_nonzero(seen)), int(np.count_nonzero(seen & other.is_blocked))
    return FibrePair(
        mean_interval_s=float(np.nanmean(intervals)) if np.isfinite(intervals).any() else np.nan,
        intervals_s=intervals,
        raw_mcd_us=raw_mcd_us,
        noise_us=noise_us,
        mcd_us=_without(raw_mcd_us, noise_us),
        msd_us=_without(raw_msd_us, noise_us),
        mcd_95_us=(_without(float(low), noise_us), _without(float(high), noise_us)),
        blocking_share=k / n if n else np.nan,
        blocking_95=_wilson(k, n),
    )


def _without(measured_us: float, noise_us: float) -> float:
    """Take the noise away as variances subtract."""
    return float(np.sqrt(max(measured_us**2 - noise_us**2, 0.0)))


def _resampled_mcd_us(intervals_s: Floats, rng: np.random.Generator) -> Floats:
    """Return the MCD of successive differences drawn anew in blocks."""
    differences = np.abs(np.diff(intervals_s))
    differences = 1e6 * differences[np.isfinite(differences)]
    if differences.size < FEWEST:
        return np.zeros(0)
    n_blocks = int(np.ceil(differences.size / BLOCK))
    first = rng.integers(0, differences.size, (RESAMPLES, n_blocks, 1))
    index = (first + np.arange(BLOCK)) % differences.size
    return np.asarray(differences[index].mean(axis=(1, 2)))


def _wilson(k: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (Wilson 1927, JASA 22:209)."""
    if n == 0:
        return float("nan"), float("nan")
    interval = stats.binomtest(k, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
