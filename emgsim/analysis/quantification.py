"""MUAPs measured: each unit's potential freed from noise, its measures, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.muaps import FEWEST, Sweeps, sweeps_of
from emgsim.analysis.near_fibre import near_fibre_jiggle
from emgsim.analysis.shrinkage import (
    Octave,
    OctaveAverage,
    averaged_octave,
    octaves,
    plain,
    resampled_octave,
    shrunk,
    standard_error_uv,
)
from emgsim.measures import (
    JiggleMeasures,
    MuapMeasures,
    RuleName,
    jiggle_measures,
    muap_measures,
)
from emgsim.recording import Recording
from emgsim.seeds import stream

Floats = NDArray[np.float64]

BEFORE_S, AFTER_S = 0.012, 0.025  # the potential has gone on either side
RESAMPLES = 100
SURE = 1.96  # standard errors on either side: 95 %
MEASURES: dict[str, Callable[[MuapMeasures], float]] = {
    "amplitude_uv": lambda m: m.amplitude_uv,
    "duration_ms": lambda m: m.duration_ms,
    "start_ms": lambda m: m.start_ms,
    "end_ms": lambda m: m.end_ms,
    "area_uv_ms": lambda m: m.area_uv_ms,
    "thickness_ms": lambda m: m.thickness_ms,
    "size_index": lambda m: m.size_index,
    "phases": lambda m: float(m.phases),
    "turns": lambda m: float(m.turns),
    "satellites": lambda m: float(m.satellites),
    "rise_time_us": lambda m: m.rise_time_us,
    "spike_duration_ms": lambda m: m.spike_duration_ms,
}
COUNTS = ("phases", "turns", "satellites")
JIGGLES = ("near_fibre_jiggle_us", "widest_jiggle_us")


@dataclass(frozen=True, kw_only=True)
class QuantifiedMuap:
    """One unit's MUAP on one channel, measured.

    ``muap_uv`` is ``(n_samples,)``, freed from noise, its first sample ``start_s`` after the
    discharge's place. ``measures`` are those of `MEASURES`, and those of `JIGGLES` where near
    fibres can be told. ``intervals`` holds low and high of the 95 % interval of each of the former,
    NaN where it is not defined.
    """

    muap_uv: Floats
    start_s: float
    rate_hz: float
    n_sweeps: int
    n_rejected: int
    standard_error_uv: float  # of the average before noise was taken out
    measures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    duration_rule: RuleName
    jiggle: JiggleMeasures


def quantified(
    recording: Recording,
    trains_s: Sequence[Floats],
    channel: int = 0,
    *,
    rule: RuleName = "dur_5_5",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[QuantifiedMuap | None, ...]:
    """Measure the MUAP of every unit.

    Parameters
    ----------
    recording
        Unfiltered, 10 kHz or more; NaN where samples are missing.
    trains_s
        Discharge times of each unit on the recording's clock; each is aligned here.
    channel
        Column of the samples.
    rule
        For the duration, one of `emgsim.measures.DURATION_RULES`.
    resamples
        Of the bootstrap over sweeps; 0: no intervals.
    seed
        Of the bootstrap.

    Returns
    -------
    tuple of QuantifiedMuap or None
        One for each train; None where fewer than 5 sweeps are whole and alike.

    Raises
    ------
    ValueError
        If the channel does not exist, the rule is unknown, or the rate below 10 kHz.
    """
    if not 0 <= channel < len(recording.channels):
        raise ValueError(f"channel must be 0..{len(recording.channels) - 1}, got {channel}")
    found = sweeps_of(recording, trains_s, channel, before_s=BEFORE_S, after_s=AFTER_S)
    return tuple(
        quantified_sweeps(
            sweeps, rule=rule, resamples=resamples, rng=stream(seed, "muap resamples", number)
        )
        if np.count_nonzero(sweeps.kept) >= FEWEST
        else None
        for number, sweeps in enumerate(found)
    )


def quantified_sweeps(
    sweeps: Sweeps,
    *,
    rule: RuleName = "dur_5_5",
    resamples: int = RESAMPLES,
    rng: np.random.Generator,
) -> QuantifiedMuap:
    """Measure one unit's MUAP from its sweeps.

    Parameters
    ----------
    sweeps
        Aligned, the other units subtracted.
    rule, resamples
        As of `quantified`.
    rng
        For the bootstrap.
    """
    good = sweeps.good_uv
    parts = octaves(good, sweeps.rate_hz)
    averages = [averaged_octave(part) for part in parts]
    muap_uv = shrunk(averages, good.shape[1], sweeps.before, sweeps.rate_hz)
    measured = muap_measures(muap_uv, sweeps.rate_hz, rule=rule)
    values = _values(measured, sweeps)
    unshrunk_uv = plain(averages, good.shape[1], sweeps.rate_hz)
    unshrunk = _values(muap_measures(unshrunk_uv, sweeps.rate_hz, rule=rule), sweeps)
    tables = [
        _values(muap_measures(wave, sweeps.rate_hz, rule=rule), sweeps)
        for wave in _resampled(parts, averages, sweeps, resamples, rng)
    ]
    return QuantifiedMuap(
        muap_uv=muap_uv,
        start_s=-sweeps.before / sweeps.rate_hz,
        rate_hz=sweeps.rate_hz,
        n_sweeps=good.shape[0],
        n_rejected=sweeps.kept.size - good.shape[0],
        standard_error_uv=standard_error_uv(averages),
        measures=values | _near_fibre_jiggle(sweeps),
        intervals={name: _interval(name, values, unshrunk, tables) for name in MEASURES}
        if tables
        else {},
        duration_rule=rule,
        jiggle=_jiggle(sweeps, measured),
    )


def _values(measured: MuapMeasures, sweeps: Sweeps) -> dict[str, float]:
    """Return the measures by name; start and end count from the main spike's place."""
    values = {name: float(of(measured)) for name, of in MEASURES.items()}
    spike_ms = 1e3 * sweeps.before / sweeps.rate_hz
    return values | {name: values[name] - spike_ms for name in ("start_ms", "end_ms")}


def _resampled(
    parts: Sequence[Octave],
    averages: Sequence[OctaveAverage],
    sweeps: Sweeps,
    resamples: int,
    rng: np.random.Generator,
) -> list[Floats]:
    """Return MUAPs from sweeps drawn anew with replacement."""
    if not resamples:
        return []
    n = np.count_nonzero(sweeps.kept)
    drawn = rng.integers(0, n, (resamples, n))
    counts = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(np.float64)
    by_octave = [
        resampled_octave(part, average, counts)
        for part, average in zip(parts, averages, strict=True)
    ]
    length = sweeps.samples_uv.shape[1]
    return [
        shrunk(drawn_anew, length, sweeps.before, sweeps.rate_hz)
        for drawn_anew in zip(*by_octave, strict=True)
    ]


def _interval(
    name: str,
    values: dict[str, float],
    unshrunk: dict[str, float],
    tables: Sequence[dict[str, float]],
) -> tuple[float, float]:
    """Return the 95 % interval of a measure.

    A resample is noisier than the average that it is drawn from, so that its durations are longer:
    the interval stands about the value itself, and is widened by the distance between the two. No
    resample shows what the shrinking takes off the potential itself: it is widened by the distance
    to the unshrunk average, too.
    """
    value = values[name]
    drawn = np.array([table[name] for table in tables])
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or drawn.size < 2:
        return float("nan"), float("nan")
    if name in COUNTS:
        low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
        return float(min(low, value)), float(max(high, value))
    shrinking = unshrunk[name] - value if np.isfinite(unshrunk[name]) else 0.0
    parts = [np.std(drawn, ddof=1), np.mean(drawn) - value, shrinking]
    half = SURE * float(np.linalg.norm(parts))
    return value - half, value + half


def _near_fibre_jiggle(sweeps: Sweeps) -> dict[str, float]:
    found = near_fibre_jiggle(sweeps)
    if found is None:
        return {}
    return dict(zip(JIGGLES, (found.overall_us, found.widest_us), strict=True))


def _jiggle(sweeps: Sweeps, measured: MuapMeasures) -> JiggleMeasures:
    """Return the jiggle within the duration, the noise taken from beyond it."""
    good, per_ms = sweeps.good_uv, sweeps.rate_hz / 1e3
    if not np.isfinite(measured.start_ms):
        return JiggleMeasures(cad=float("nan"), ccc=float("nan"))
    first, last = round(measured.start_ms * per_ms), round(measured.end_ms * per_ms) + 1
    quiet = np.ones(good.shape[1], dtype=np.bool_)
    quiet[max(0, first - round(2 * per_ms)) : last + round(5 * per_ms)] = False
    noise = good[:, quiet] if np.count_nonzero(quiet) > per_ms else None
    return jiggle_measures(good[:, first:last], noise)
