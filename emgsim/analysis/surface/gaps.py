"""How much rest a working muscle has: EMG gaps, and the distribution of its amplitude.

A gap is a stretch of more than 0.2 s with an rms below 0.5 % of the maximal voluntary electrical
activity, MVE (Veiersted, Westgaard & Andersen 1993, Scand J Work Environ Health 19:284) [M]. The
levels that the amplitude stays below for 10, 50 and 90 % of the time are the static, median and
peak load (Jonsson 1982, J Hum Ergol 11:73) [M].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from emgsim.analysis.quality import require_vector, runs_of
from emgsim.analysis.surface.amplitude import envelope_uv
from emgsim.analysis.surface.intervals import Estimate
from emgsim.errors import NotAnalysableError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

GAP_PERCENT = 0.5  # of the MVE
GAP_S = 0.2
SMOOTHED_S = 0.1  # rms; half the shortest gap, so that none is smoothed away
REST_S = 1.0  # the quietest so long is rest
LOADS_PERCENT = (10.0, 50.0, 90.0)


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load of a muscle over a stretch of work.

    ``gap_share`` is that of the time; the loads are in percent of the MVE. ``gaps_s`` holds begin
    and end of each gap.
    """

    gaps_per_minute: Estimate  # as of gaps that come by chance (Poisson)
    gap_share: float
    static_percent: float
    median_percent: float
    peak_percent: float
    rest_uv: float  # rms of the quietest second
    gaps_s: tuple[tuple[float, float], ...]


def muscle_load(
    samples_uv: Floats, rate_hz: float, *, mve_uv: float, noise_uv: float, start_s: float = 0.0
) -> Load:
    """Measure gaps and load of a stretch of work.

    Parameters
    ----------
    samples_uv
        One channel, band-passed and without heartbeat, shape ``(n_samples,)``; NaN where samples
        are missing. No gap reaches across them.
    rate_hz, start_s
        Sampling rate, and time of the first sample.
    mve_uv
        Rms of the maximal voluntary contraction.
    noise_uv
        Rms of the amplifier and electrodes in the same band, without muscle. Its power is taken
        off.

    Raises
    ------
    ValueError
        If the samples are no vector, or a number is out of its range.
    NotAnalysableError
        If the noise is not below the level of a gap, or a second without missing samples is not
        to be had.

    Examples
    --------
    >>> loud = np.where(np.arange(20_000) % 5000 < 1000, 0.5, 30.0)  # 0.5 s of rest in 2.5 s
    >>> work = loud * np.random.default_rng(1).standard_normal(20_000)
    >>> load = muscle_load(work, 2000.0, mve_uv=400.0, noise_uv=0.4)
    >>> len(load.gaps_s), round(load.gaps_per_minute.value)
    (4, 24)
    """
    require_vector(samples_uv, rate_hz)
    limit_uv = _limit_uv(mve_uv, noise_uv)
    power = envelope_uv(samples_uv, rate_hz, SMOOTHED_S) ** 2
    present = np.isfinite(samples_uv)
    level_uv = np.where(present, np.sqrt(np.maximum(power - noise_uv**2, 0.0)), np.nan)
    if not present.any():
        raise NotAnalysableError("not analysable: every sample is missing")
    quiet = present & (np.nan_to_num(level_uv) < limit_uv)
    gaps = [(a, b) for a, b in runs_of(quiet) if b - a > GAP_S * rate_hz]
    work_s = np.count_nonzero(present) / rate_hz
    static, median, peak = np.percentile(100 * level_uv[present] / mve_uv, LOADS_PERCENT)
    return Load(
        gaps_per_minute=_per_minute(len(gaps), work_s),
        gap_share=sum(b - a for a, b in gaps) / rate_hz / work_s,
        static_percent=float(static),
        median_percent=float(median),
        peak_percent=float(peak),
        rest_uv=_rest_uv(samples_uv, present, rate_hz, noise_uv),
        gaps_s=tuple((start_s + a / rate_hz, start_s + b / rate_hz) for a, b in gaps),
    )


def _limit_uv(mve_uv: float, noise_uv: float) -> float:
    """Return the level of a gap, if it can be heard."""
    for name, value in (("mve_uv", mve_uv), ("noise_uv", noise_uv)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be finite and > 0, got {value}")
    limit_uv = GAP_PERCENT / 100 * mve_uv
    if noise_uv >= limit_uv:
        raise NotAnalysableError(
            f"not analysable: the noise of {noise_uv:.3g} uV rms must be below {limit_uv:.3g} uV, "
            f"{GAP_PERCENT:g} % of the maximal activity",
            todo="prepare the skin, or use an amplifier of less noise",
        )
    return limit_uv


def _per_minute(n: int, work_s: float) -> Estimate:
    """Return a rate with its exact Poisson interval (Garwood 1936, Biometrika 28:437)."""
    low = float(stats.chi2.ppf(0.025, 2 * n)) / 2 if n else 0.0
    high = float(stats.chi2.ppf(0.975, 2 * n + 2)) / 2
    minutes = work_s / 60
    return Estimate(value=n / minutes, low=low / minutes, high=high / minutes)


def _rest_uv(samples_uv: Floats, present: Flags, rate_hz: float, noise_uv: float) -> float:
    length = round(REST_S * rate_hz)
    share = ndimage.uniform_filter1d(present.astype(np.float64), length, mode="constant")
    whole = share > 1 - 0.5 / length
    if not whole.any():
        raise NotAnalysableError(
            f"not analysable: {REST_S:g} s without missing samples is needed",
            todo="record for longer",
        )
    quietest = float(np.min(envelope_uv(samples_uv, rate_hz, REST_S)[whole]))
    return float(np.sqrt(max(quietest**2 - noise_uv**2, 0.0)))
