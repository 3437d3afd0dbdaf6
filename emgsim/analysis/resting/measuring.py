"""What is measured of a run: its rhythm, its course, and the form of its potential."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from emgsim.analysis.conditioning import Floats

PHASE_SHARE = 0.08  # of peak to peak: smaller deflections are no phase
DURATION_SHARE = 0.05  # of the peak, beyond which the potential still lasts
QUIET_S = 0.0015  # below it for so long, and the potential is over
GROUPED = 2.5  # a pause between groups is so many times an interval within
LEAST_GROUP, LARGEST_GROUP = 1.6, 12.0  # mean discharges of a group
EVEN = 0.6  # CoV of the intervals between groups: beyond it they are chance
LEAST_INTERVALS = 3
SHORTEST_S = 1e-4
SMOOTHED = 7  # intervals, of the course of a rate


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of a mean potential; physical sign, so a passing wave's main spike is negative."""

    peak_to_peak_uv: float
    positive_share: float  # of peak to peak that the largest positive peak has
    first_share: float  # of peak to peak that stands before the largest negative peak, positive
    duration_ms: float
    spike_ms: float  # width of the largest peak at half its height
    phases: int
    steepness: float  # largest step between two samples over peak to peak
    tail_share: float  # mean size 5-15 ms after the main peak over the peak


def form_of(potential_uv: Floats, rate_hz: float, at: int, chance_uv: float = 0.0) -> Form:
    """Measure a potential.

    Parameters
    ----------
    potential_uv
        Shape ``(n,)``, on a baseline of zero.
    rate_hz
        Its rate.
    at
        Sample of its main peak.
    chance_uv
        SD of what chance leaves in the average.
    """
    wave = potential_uv
    size = float(np.ptp(wave)) or 1e-12
    peak = float(abs(wave[at])) or 1e-12
    low = int(np.argmin(wave[max(0, at - round(0.004 * rate_hz)) : at + round(0.004 * rate_hz)]))
    low += max(0, at - round(0.004 * rate_hz))
    before = wave[max(0, low - round(0.003 * rate_hz)) : low + 1]
    level = max(PHASE_SHARE * size, 3 * chance_uv)
    first, last = _extent(wave, rate_hz, at, max(DURATION_SHARE * peak, 2.5 * chance_uv))
    part = wave[first:last]
    signs = np.sign(part[np.abs(part) > level])
    tail = wave[at + round(0.005 * rate_hz) : at + round(0.015 * rate_hz)]
    half = np.flatnonzero(np.abs(wave) < 0.5 * peak)
    left, right = half[half < at], half[half > at]
    width = (right[0] if right.size else wave.size) - (left[-1] if left.size else 0)
    return Form(
        peak_to_peak_uv=size,
        positive_share=max(float(wave.max()), 0.0) / size,
        first_share=max(float(before.max(initial=0.0)), 0.0) / size,
        duration_ms=1e3 * (last - first) / rate_hz,
        spike_ms=1e3 * float(width) / rate_hz,
        phases=1 + int(np.count_nonzero(np.diff(signs))) if signs.size else 0,
        steepness=float(np.abs(np.diff(wave)).max(initial=0.0)) / size,
        tail_share=float(np.mean(tail)) * float(np.sign(wave[at])) / peak if tail.size else 0.0,
    )


def _extent(wave: Floats, rate_hz: float, at: int, level: float) -> tuple[int, int]:
    quiet = max(1, round(QUIET_S * rate_hz))
    loud = np.flatnonzero(np.abs(wave) > level)
    if loud.size == 0:
        return at, at + 1
    near = int(np.argmin(np.abs(loud - at)))
    gaps = np.diff(loud) > quiet
    left = np.flatnonzero(gaps[:near])
    right = np.flatnonzero(gaps[near:])
    first = loud[left[-1] + 1] if left.size else loud[0]
    last = loud[near + right[0]] if right.size else loud[-1]
    return int(first), int(last) + 1


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How a source discharges; NaN where there are too few intervals."""

    n: int
    rate_hz: float  # over the median interval within groups
    mean_hz: float  # discharges over the time from first to last
    interval_cov: float  # of intervals, all of them
    local_cov: float  # of each interval against the next: slow changes do not count
    group_size: float  # mean number of discharges in a group; 1 where nothing is grouped
    group_gap: float  # median pause between groups over median interval within
    group_cov: float  # CoV of the intervals between the groups' beginnings
    fastest_hz: float  # 95th percentile of the rate
    rate_ratio: float  # largest over smallest smoothed rate
    rate_slope: float  # of the logarithm of the rate, 1/s
    gain_ratio: float  # largest over smallest smoothed gain
    together: float  # correlation of rate and gain


def rhythm_of(times_s: Floats, gains: Floats) -> Rhythm:
    """Measure how a source discharges; ``gains`` are factors on its potential."""
    nan = float("nan")
    steps = np.maximum(np.diff(times_s), SHORTEST_S)
    if steps.size < LEAST_INTERVALS:
        rate = 1 / float(np.median(steps)) if steps.size else nan
        mean = steps.size / float(np.sum(steps)) if steps.size else nan
        return Rhythm(
            n=times_s.size, rate_hz=rate, mean_hz=mean, interval_cov=nan, local_cov=nan,
            group_size=1.0, group_gap=1.0, group_cov=nan, fastest_hz=rate, rate_ratio=nan,
            rate_slope=nan, gain_ratio=nan, together=nan,
        )  # fmt: skip
    border = _border(steps)
    starts = np.concatenate([[0], np.flatnonzero(steps >= border) + 1])
    between = np.diff(times_s[starts])
    scatter = float(np.std(between) / np.mean(between)) if between.size > 2 else 0.0
    if not (LEAST_GROUP <= times_s.size / starts.size <= LARGEST_GROUP and scatter < EVEN):
        border, starts, between = float("inf"), starts[:1], between[:0]
    inside, outside = steps[steps < border], steps[steps >= border]
    course = ndimage.median_filter(np.log(steps), SMOOTHED, mode="nearest")
    calm = course[steps < border] if inside.size >= 3 else course
    size = ndimage.median_filter(np.log(np.maximum(gains, 1e-3)), SMOOTHED, mode="nearest")
    slope = np.polyfit(times_s[1:], -np.log(steps), 1)[0] if np.ptp(times_s) > 0.3 else 0.0
    return Rhythm(
        n=times_s.size,
        rate_hz=1 / float(np.median(inside)),
        mean_hz=steps.size / float(np.sum(steps)),
        interval_cov=float(np.std(steps) / np.mean(steps)),
        local_cov=local_cov(inside if inside.size >= LEAST_INTERVALS else steps),
        group_size=times_s.size / starts.size if starts.size > 1 else 1.0,
        group_gap=float(np.median(outside) / np.median(inside)) if outside.size else 1.0,
        group_cov=scatter if between.size > 2 else nan,
        fastest_hz=1 / float(np.quantile(steps, 0.05)),
        rate_ratio=float(np.exp(np.quantile(calm, 0.95) - np.quantile(calm, 0.05))),
        rate_slope=float(slope),
        gain_ratio=float(np.exp(np.quantile(size, 0.95) - np.quantile(size, 0.05))),
        together=_correlation(-course, size[1:]),
    )


def local_cov(steps: Floats) -> float:
    """Return the CoV of intervals from each one's ratio to the next, robustly.

    A missed discharge doubles an interval; ratios near two are folded back.
    """
    ratio = np.diff(np.log(steps))
    folded = np.minimum(np.abs(ratio), np.abs(np.abs(ratio) - np.log(2)))
    ratio = np.where(folded < 0.15, folded, np.abs(ratio))
    return float(1.4826 * np.median(ratio) / np.sqrt(2)) if ratio.size else float("nan")


def _border(steps: Floats) -> float:
    """Return the interval that parts pauses from intervals within groups; infinite if none does."""
    ranked = np.sort(np.log(steps))
    if ranked.size < LEAST_INTERVALS + 1:
        return float("inf")
    jumps = np.diff(ranked)
    inner = jumps[max(1, ranked.size // 8) :]
    if inner.size == 0:
        return float("inf")
    at = int(np.argmax(inner)) + max(1, ranked.size // 8)
    below, above = np.median(ranked[: at + 1]), np.median(ranked[at + 1 :])
    if above - below < np.log(GROUPED) or jumps[at] < np.log(1.3):
        return float("inf")
    return float(np.exp(0.5 * (ranked[at] + ranked[at + 1])))


def _correlation(a: Floats, b: Floats) -> float:
    if a.size < 5 or np.std(a) < 1e-9 or np.std(b) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def detrended(wave: Floats, edge: int) -> Floats:
    """Take away the straight line through the medians of both ends of a mean potential."""
    first, last = np.median(wave[:edge]), np.median(wave[-edge:])
    return np.asarray(wave - np.linspace(first, last, wave.size))


def smoothed(wave: Floats, rate_hz: float, lowpass_hz: float) -> Floats:
    """Return a wave low-passed with zero phase."""
    if lowpass_hz >= 0.45 * rate_hz:
        return wave
    parts = signal.butter(2, lowpass_hz, fs=rate_hz, output="sos")
    return np.asarray(signal.sosfiltfilt(parts, wave))
