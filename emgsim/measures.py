"""Measures of a known waveform: a MUAP, and the jitter of its fibres.

Definitions after Stalberg, Andreassen, Falck, Lang, Rosenfalck & Trojaborg 1986 (J Clin
Neurophysiol 3:313) unless said otherwise; docs/measures.md has them for users. The duration of one
and the same MUAP depends on its rule by half of its value: it never goes without its rule's name.

A waveform comes in physical sign (the main spike is negative) and stands on zero. It is measured
on a grid of 5 us or finer, to which it is brought as the samples of a band-limited signal: so the
result is the signal's, and not its sampling rate's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
RuleName = Literal[
    "dur_5_5", "dur_10_10", "dur_slope_20", "dur_20uv", "dur_10uv", "dur_5uv", "dur_3uv"
]

SLOWEST_RATE_HZ = 10_000.0  # a spike rises in 0.1 to 0.5 ms
FINE_RATE_HZ = 200_000.0
SINC_REACH = 16  # samples on either side; exact to 1e-4 below 0.4 of the rate
QUIET_MS = 2.0  # so long must it be quiet before a duration is over
PHASE_UV = 20.0  # a phase reaches beyond it on its own side
TURN_UV = 50.0
SPIKE_TURN_UV = 20.0  # the peaks of rise time and spike duration
LEAST_SHARE = 0.01  # of the amplitude: below it neither a positive nor a negative peak is one
SATELLITE_UV = 20.0
BASELINE_MS = 5.0
MCD_OVER_MSD = 1.25  # above it the discharge rate, not the end plate, made the difference


@dataclass(frozen=True, kw_only=True)
class DurationRule:
    """What makes a sample part of a MUAP; a threshold of 0 asks nothing."""

    level_uv: float = 0.0  # |v| is larger
    slope_uv_ms: float = 0.0  # |dv/dt| is larger
    smoothing_ms: float = 0.0  # moving mean before both


DURATION_RULES: dict[RuleName, DurationRule] = {
    "dur_5_5": DurationRule(level_uv=5.0, slope_uv_ms=5.0, smoothing_ms=0.5),
    "dur_10_10": DurationRule(level_uv=10.0, slope_uv_ms=10.0),
    "dur_slope_20": DurationRule(slope_uv_ms=20.0),
    "dur_20uv": DurationRule(level_uv=20.0),
    "dur_10uv": DurationRule(level_uv=10.0),
    "dur_5uv": DurationRule(level_uv=5.0),
    "dur_3uv": DurationRule(level_uv=3.0),
}


@dataclass(frozen=True, kw_only=True)
class MuapMeasures:
    """The measures of one MUAP; NaN where the waveform has no such thing."""

    amplitude_uv: float  # peak to peak
    duration_rule: RuleName
    start_ms: float  # of the duration, from the first sample
    end_ms: float
    area_uv_ms: float  # of |v| over the duration
    phases: int
    turns: int
    rise_time_us: float  # positive peak before the main negative peak, to that peak
    rise_time_10_90_us: float
    spike_duration_ms: float  # first to last positive peak
    satellite_starts_ms: tuple[float, ...]  # from the first sample

    @property
    def duration_ms(self) -> float:
        """Length of the main part by ``duration_rule``, satellites excluded."""
        return self.end_ms - self.start_ms

    @property
    def thickness_ms(self) -> float:
        """Area over amplitude."""
        return self.area_uv_ms / self.amplitude_uv if self.amplitude_uv > 0 else float("nan")

    @property
    def size_index(self) -> float:
        """``2 log10(amplitude in mV) + thickness in ms`` (Sonoo & Stalberg 1993, EEG CN 89:291)."""
        if not self.amplitude_uv > 0:
            return float("nan")
        return 2 * float(np.log10(self.amplitude_uv / 1000)) + self.thickness_ms

    @property
    def satellites(self) -> int:
        """Number of satellites."""
        return len(self.satellite_starts_ms)

    @property
    def is_polyphasic(self) -> bool:
        """More than four phases."""
        return self.phases > 4

    @property
    def is_serrated(self) -> bool:
        """More than five turns."""
        return self.turns > 5


def muap_measures(
    muap_uv: Floats, rate_hz: float, *, rule: RuleName = "dur_5_5", turn_uv: float = TURN_UV
) -> MuapMeasures:
    """Measure one MUAP.

    Parameters
    ----------
    muap_uv
        Shape ``(n_samples,)``, on a baseline of zero, the main spike negative.
    rate_hz
        Its sampling rate, 10 kHz or more.
    rule
        Name of the rule for the duration, one of `DURATION_RULES`.
    turn_uv
        How far a turn must be from the turn before; 25-100 uV are in use.

    Raises
    ------
    ValueError
        If the waveform is no vector of finite numbers, the rate is too low, the rule unknown, or
        ``turn_uv`` not positive.

    Examples
    --------
    >>> spike = -400 * np.exp(-0.5 * (np.arange(-240, 241) / 24) ** 2)  # sigma 0.5 ms
    >>> found = muap_measures(spike, 48_000.0, rule="dur_20uv")
    >>> f"{found.amplitude_uv:.0f} uV, {found.duration_ms:.1f} ms, {found.phases} phase"
    '400 uV, 2.4 ms, 1 phase'
    """
    if not (np.isfinite(turn_uv) and turn_uv > 0):
        raise ValueError(f"turn_uv must be finite and > 0, got {turn_uv}")
    wave, rate = _fine(_checked(muap_uv, rate_hz), rate_hz)
    stretches, main = _loud_stretches(wave, rate, rule)
    first, last = stretches[main] if stretches else (0, -1)
    part = wave[first : last + 1]
    per_ms = rate / 1000.0
    tops = _tops(part, SPIKE_TURN_UV)
    rise_us, rise_10_90_us = _rise_times_us(wave, rate)
    nan = float("nan")
    return MuapMeasures(
        amplitude_uv=float(np.ptp(wave)),
        duration_rule=rule,
        start_ms=first / per_ms if stretches else nan,
        end_ms=last / per_ms if stretches else nan,
        area_uv_ms=float(np.sum(np.abs(part))) / per_ms if stretches else nan,
        phases=_n_phases(part),
        turns=_turns(part, turn_uv)[0].size,
        rise_time_us=rise_us,
        rise_time_10_90_us=rise_10_90_us,
        spike_duration_ms=(tops[-1] - tops[0]) / per_ms if tops.size > 1 else nan,
        satellite_starts_ms=tuple(
            a / per_ms
            for a, b in stretches[main + 1 :]
            if np.abs(wave[a : b + 1]).max() > SATELLITE_UV
        ),
    )


def durations_ms(muap_uv: Floats, rate_hz: float) -> dict[RuleName, float]:
    """Return the duration of one MUAP by every rule; arguments as for `muap_measures`."""
    wave, rate = _fine(_checked(muap_uv, rate_hz), rate_hz)
    found: dict[RuleName, float] = {}
    for rule in DURATION_RULES:
        stretches, main = _loud_stretches(wave, rate, rule)
        first, last = stretches[main] if stretches else (float("nan"), float("nan"))
        found[rule] = (last - first) * 1000.0 / rate
    return found


def quiet_baseline_uv(wave_uv: Floats, rate_hz: float) -> float:
    """Return the median of the quietest 5 ms: what to take off a recorded MUAP first.

    Raises
    ------
    ValueError
        As `muap_measures`, or if the waveform is shorter than 5 ms.
    """
    wave = _checked(wave_uv, rate_hz)
    width = round(BASELINE_MS * 1e-3 * rate_hz)
    if wave.size < width:
        raise ValueError(
            f"wave_uv must be >= {BASELINE_MS:g} ms long, got {wave.size / rate_hz * 1e3:.3g} ms"
        )
    windows = np.lib.stride_tricks.sliding_window_view(wave, width)[:: max(1, width // 8)]
    return float(np.median(windows[np.argmin(np.ptp(windows, axis=1))]))


def _checked(wave_uv: Floats, rate_hz: float) -> Floats:
    wave = np.asarray(wave_uv, dtype=np.float64)
    if wave.ndim != 1 or wave.size < 2:
        raise ValueError(f"waveform: expected (n_samples,) with n >= 2, got {wave.shape}")
    if not np.all(np.isfinite(wave)):
        bad = int(np.flatnonzero(~np.isfinite(wave))[0])
        raise ValueError(f"waveform must be finite, got {wave[bad]} at sample {bad}")
    if not (np.isfinite(rate_hz) and rate_hz >= SLOWEST_RATE_HZ):
        raise ValueError(f"rate_hz must be finite and >= {SLOWEST_RATE_HZ:g}, got {rate_hz}")
    return wave


def _fine(wave: Floats, rate_hz: float) -> tuple[Floats, float]:
    """Interpolate to 200 kHz or more; the given samples stay among the new ones."""
    factor = int(np.ceil(FINE_RATE_HZ / rate_hz))
    if factor == 1:
        return wave, rate_hz
    offset = np.arange(-SINC_REACH * factor, SINC_REACH * factor)
    kernel = np.sinc(offset / factor) * np.kaiser(offset.size + 1, 8.0)[:-1]
    by_phase = kernel.reshape(-1, factor)
    kernel = (by_phase / by_phase.sum(axis=0)).ravel()  # a constant stays one
    spread = np.zeros((wave.size + 2 * SINC_REACH, factor))
    spread[:, 0] = np.pad(wave, SINC_REACH, mode="edge")
    fine = np.convolve(spread.ravel(), kernel)
    begin = 2 * SINC_REACH * factor
    return fine[begin : begin + (wave.size - 1) * factor + 1], rate_hz * factor


def _loud_stretches(
    wave: Floats, rate_hz: float, rule: RuleName
) -> tuple[list[tuple[int, int]], int]:
    """Return first and last sample of all that is loud by the rule, and which is the main part.

    Two stretches are two if it is quiet for 2 ms between; the main one is at the main peak.
    """
    loud = np.flatnonzero(_is_loud(wave, rate_hz, rule))
    if loud.size == 0:
        return [], 0
    breaks = np.flatnonzero(np.diff(loud) >= QUIET_MS * 1e-3 * rate_hz)
    firsts = loud[np.concatenate([[0], breaks + 1])]
    lasts = loud[np.concatenate([breaks, [loud.size - 1]])]
    peak = int(np.argmax(np.abs(wave)))
    main = int(np.argmin(np.maximum(firsts - peak, peak - lasts).clip(0)))
    return [(int(a), int(b)) for a, b in zip(firsts, lasts, strict=True)], main


def _is_loud(wave: Floats, rate_hz: float, rule: RuleName) -> Bools:
    if rule not in DURATION_RULES:
        raise ValueError(f"rule must be one of {', '.join(get_args(RuleName))}, got {rule!r}")
    asked = DURATION_RULES[rule]
    half = round(asked.smoothing_ms * 0.5e-3 * rate_hz)
    padded = np.pad(wave, half, mode="edge")
    smooth = np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), "valid")
    loud = np.ones(wave.size, dtype=np.bool_)
    if asked.level_uv:
        loud &= np.abs(smooth) > asked.level_uv
    if asked.slope_uv_ms:
        loud &= np.abs(np.gradient(smooth)) * rate_hz / 1000.0 > asked.slope_uv_ms
    return loud


def _n_phases(part: Floats) -> int:
    """Count the baseline crossings plus one, of phases that reach 20 uV on their side."""
    sides = np.sign(part[np.abs(part) > PHASE_UV])
    return int(np.count_nonzero(np.diff(sides)) + 1) if sides.size else 0


def _turns(part: Floats, least_uv: float) -> tuple[NDArray[np.int64], Bools]:
    """Return where the direction changes, and which of these turns are positive tops.

    Each turn is ``least_uv`` or more from the extremes before and after it; the baseline on either
    side of the part stands for what lies beyond.
    """
    wave = np.concatenate([[0.0], part, [0.0]])
    bends = np.flatnonzero(np.diff(np.sign(np.diff(wave)))) + 1
    found: list[tuple[int, bool]] = []
    top = bottom = 0  # since the last turn; before the first one its side is open
    side = 0
    for i in [*bends.tolist(), wave.size - 1]:
        top = i if wave[i] > wave[top] else top
        bottom = i if wave[i] < wave[bottom] else bottom
        if side >= 0 and wave[top] - wave[i] >= least_uv:
            found += [(top, True)] if side else []
            side, bottom = -1, i
        elif side <= 0 and wave[i] - wave[bottom] >= least_uv:
            found += [(bottom, False)] if side else []
            side, top = 1, i
    where = np.array([i for i, _ in found], dtype=np.int64) - 1
    return where, np.array([is_top for _, is_top in found], dtype=np.bool_)


def _tops(part: Floats, least_uv: float) -> NDArray[np.int64]:
    where, is_top = _turns(part, least_uv)
    return where[is_top]


def _rise_times_us(wave: Floats, rate_hz: float) -> tuple[float, float]:
    """Return the main spike's rise time in full, and from 10 to 90 % of its height.

    Walking back from the negative peak, the positive peak is the highest point before the wave
    has gone down by 20 uV again, or has come back to the baseline.
    """
    low = int(np.argmin(wave))
    back = wave[: low + 1][::-1]
    highest = np.maximum.accumulate(back)
    least_uv = LEAST_SHARE * float(np.ptp(wave))
    if -wave[low] <= least_uv:  # nothing negative to rise to
        return float("nan"), float("nan")
    past = (highest - back >= SPIKE_TURN_UV) | ((highest > least_uv) & (back <= 0))
    stop = int(np.argmax(past)) if past.any() else back.size
    before = int(np.argmax(back[:stop]))
    if not past.any() and back[before] <= least_uv:  # nothing positive leads the spike
        return float("nan"), float("nan")
    done = (back[before] - back[before::-1]) / (back[before] - back[0])
    us = 1e6 / rate_hz
    return before * us, float(np.argmax(done >= 0.9) - np.argmax(done >= 0.1)) * us


# -- jitter ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JitterMeasures:
    """Jitter and blocking of one pair of fibres, or of one stimulated fibre."""

    n_discharges: int
    mcd_us: float
    msd_us: float
    blocking_share: float

    @property
    def rule(self) -> Literal["MCD", "MSD"]:
        """Which of the two is the jitter: the MSD where MCD / MSD exceeds 1.25."""
        return "MSD" if self.mcd_us > MCD_OVER_MSD * self.msd_us else "MCD"

    @property
    def jitter_us(self) -> float:
        """The jitter by ``rule``."""
        return self.msd_us if self.rule == "MSD" else self.mcd_us


def jitter_measures(intervals_s: Floats, preceding_isi_s: Floats) -> JitterMeasures:
    """Measure the jitter of a pair of fibres, or of one fibre against its stimulus.

    Parameters
    ----------
    intervals_s
        Shape ``(n_discharges,)``: between the two potentials; NaN where one of them was blocked.
    preceding_isi_s
        Shape ``(n_discharges,)``: time since the discharge before; NaN where it is not known.

    Raises
    ------
    ValueError
        If the shapes differ, an interval is infinite, or an inter-spike interval not positive.
    """
    return JitterMeasures(
        n_discharges=_intervals(intervals_s).size,
        mcd_us=mean_consecutive_difference_us(intervals_s),
        msd_us=mean_sorted_difference_us(intervals_s, preceding_isi_s),
        blocking_share=blocking_share(intervals_s),
    )


def mean_consecutive_difference_us(intervals_s: Floats) -> float:
    """Return the MCD, microseconds (Ekstedt, Nilsson & Stalberg 1974, JNNP 37:526).

    For independent Gaussian end plates of SD sigma it is 1.596 sigma for a pair of fibres and
    1.128 sigma for one fibre against its stimulus. Differences across a blocked discharge (NaN)
    do not count; NaN if none is left.
    """
    differences = np.abs(np.diff(_intervals(intervals_s)))
    differences = differences[np.isfinite(differences)]
    return 1e6 * float(np.mean(differences)) if differences.size else float("nan")


def mean_sorted_difference_us(intervals_s: Floats, preceding_isi_s: Floats) -> float:
    """Return the MSD, microseconds: the MCD in the order of the preceding inter-spike intervals.

    So sorted, the slow influence of the discharge rate on velocity drops out. Discharges that are
    blocked or have no known preceding interval (NaN) are left out.
    """
    intervals = _intervals(intervals_s)
    preceding = np.asarray(preceding_isi_s, dtype=np.float64)
    if preceding.shape != intervals.shape:
        raise ValueError(f"preceding_isi_s: expected {intervals.shape}, got {preceding.shape}")
    if np.any(preceding <= 0) or np.any(np.isinf(preceding)):
        raise ValueError("preceding_isi_s must be finite and > 0, or NaN where not known")
    known = np.isfinite(intervals) & np.isfinite(preceding)
    order = np.argsort(preceding[known], kind="stable")
    return mean_consecutive_difference_us(intervals[known][order])


def blocking_share(intervals_s: Floats) -> float:
    """Return the share of discharges that were blocked (NaN); NaN if there is no discharge."""
    intervals = _intervals(intervals_s)
    return float(np.mean(np.isnan(intervals))) if intervals.size else float("nan")


def _intervals(intervals_s: Floats) -> Floats:
    intervals = np.asarray(intervals_s, dtype=np.float64)
    if intervals.ndim != 1:
        raise ValueError(f"intervals_s: expected (n_discharges,), got {intervals.shape}")
    if np.any(np.isinf(intervals)):
        raise ValueError("intervals_s must be finite, or NaN where a potential was blocked")
    return intervals


# -- shape from discharge to discharge -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JiggleMeasures:
    """How much a MUAP changes from discharge to discharge; NaN where it cannot be said."""

    cad: float  # consecutive amplitude differences over the potential's size
    ccc: float  # correlation coefficient of consecutive discharges


def jiggle_measures(sweeps_uv: Floats, noise_uv: Floats | None = None) -> JiggleMeasures:
    """Measure the jiggle of a MUAP (Stalberg & Sonoo 1994, Muscle Nerve 17:1135).

    The CAD is the sum over time of the median |difference| of consecutive discharges, over the sum
    of the median potential's |v|. The CCC is the median of the correlation coefficients.

    Parameters
    ----------
    sweeps_uv
        Shape ``(n_discharges, n_samples)``: consecutive discharges within the duration, aligned.
    noise_uv
        Shape ``(n_discharges, n_noise)``: the same sweeps where the potential has gone. What noise
        adds to the CAD and takes off the CCC is then removed; that of the CAD as a square, sample
        by sample.

    Raises
    ------
    ValueError
        If the sweeps are no matrix, or the noise has another number of discharges.
    """
    sweeps = np.asarray(sweeps_uv, dtype=np.float64)
    if sweeps.ndim != 2:
        raise ValueError(f"sweeps_uv: expected (n_discharges, n_samples), got {sweeps.shape}")
    if noise_uv is not None and np.shape(noise_uv)[:1] != sweeps.shape[:1]:
        raise ValueError(
            f"noise_uv: expected ({sweeps.shape[0]}, n_noise), got {np.shape(noise_uv)}"
        )
    if sweeps.shape[0] < 3 or sweeps.shape[1] < 2:
        return JiggleMeasures(cad=float("nan"), ccc=float("nan"))
    differences = np.median(np.abs(np.diff(sweeps, axis=0)), axis=0)
    by_noise, noise_power = 0.0, 0.0
    if noise_uv is not None:
        by_noise = float(np.mean(np.median(np.abs(np.diff(noise_uv, axis=0)), axis=0)))
        noise_power = float(np.median(np.var(noise_uv, axis=1)))
    own = differences**2 - by_noise**2
    # With its sign, so that where nothing changes chance does not add up.
    changed = max(0.0, float(np.sum(np.sign(own) * np.sqrt(np.abs(own)))))
    size = float(np.sum(np.abs(np.median(sweeps, axis=0))))
    cad = changed / size if size > 0 else float("nan")
    return JiggleMeasures(cad=cad, ccc=_consecutive_correlation(sweeps, noise_power))


def _consecutive_correlation(sweeps: Floats, noise_power: float) -> float:
    """Return the median correlation of each sweep with the next, their noise left out."""
    centred = sweeps - sweeps.mean(axis=1, keepdims=True)
    power = np.mean(centred**2, axis=1) - noise_power
    common = np.mean(centred[1:] * centred[:-1], axis=1)
    size = np.sqrt(np.maximum(power[1:], 0.0) * np.maximum(power[:-1], 0.0))
    known = size > 0
    return float(min(1.0, np.median(common[known] / size[known]))) if known.any() else float("nan")
