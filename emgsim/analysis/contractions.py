"""What is measured of a recording's contractions, in rows ready for findings.

The pattern is that of the contraction with the most turns; the recruitment that of the contraction
in which units were told apart. Only units that were seen often and surely enough are counted there,
as for their MUAPs: two neurons that were taken for one fire twice as fast as any, and a train that
was put together from remnants makes one unit too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from emgsim.analysis.interference import EPOCH_S, Interference, interference, peak_ratio
from emgsim.analysis.mixtures import is_told
from emgsim.analysis.patterns import evenness, pace_hz
from emgsim.analysis.recruitment import recruitment_onset, recruitment_order, recruitment_ratio
from emgsim.recording import Event, FoundUnit

Floats = NDArray[np.float64]
Row = dict[str, Any]  # "id", "value", "unit", "low", "high"

SETTLED_S = 0.5  # after the onset; an effort takes so long to become steady
SHORTEST_S = 0.75  # of a contraction whose pattern is measured
KINDS = ("rest", "contraction", "artefact")
PATTERN = {
    "turns_per_s": "1/s",
    "mean_amplitude_uv": "uV",
    "activity_ms_per_s": "ms/s",
    "upper_centile_uv": "uV",
    "small_segments_per_s": "1/s",
}


def effort_measures(
    samples_uv: Floats,
    rate_hz: float,
    *,
    start_s: float = 0.0,
    units: Sequence[FoundUnit] = (),
    events: Sequence[Event] = (),
) -> tuple[Row, ...]:
    """Measure the efforts of a recording: pattern, recruitment and discharges.

    Parameters
    ----------
    samples_uv
        One channel, unfiltered, shape ``(n_samples,)``; NaN where samples are missing.
    rate_hz, start_s
        Sampling rate, and time of the first sample.
    units
        What a decomposition found.
    events
        Rest, contraction and artefact, as of `emgsim.analysis.effort.segments`.

    Returns
    -------
    tuple of dict
        ``id``, ``value``, ``unit``, and ``low`` and ``high`` of a 95 % interval, None where none is
        known. What a recording does not show has no row.

    Raises
    ------
    ValueError
        If the samples are no vector, or the rate is not positive.
    """
    stretches = _steady(samples_uv, rate_hz, start_s, events)
    return (
        *_durations(events),
        *_pattern(stretches, rate_hz),
        *_recruitment([unit.discharge_times_s for unit in units if is_told(unit)], events),
        *_discharges(units),
    )


def _row(name: str, value: float, unit: str, around: Sequence[float] = ()) -> Row:
    """Return a row; the interval is that of the mean of the values ``around`` it (Student's t)."""
    low: float | None = None
    high: float | None = None
    if len(around) >= 3:
        error = float(np.std(around, ddof=1)) / len(around) ** 0.5
        reach = float(stats.t.ppf(0.975, len(around) - 1)) * error
        low, high = value - reach, value + reach
    return {"id": name, "value": float(value), "unit": unit, "low": low, "high": high}


def _durations(events: Sequence[Event]) -> Iterator[Row]:
    for kind in KINDS:
        spans_s = [event.offset_s - event.onset_s for event in events if event.kind == kind]
        yield _row(f"effort.{kind}_s", sum(spans_s), "s")


# -- pattern ---------------------------------------------------------------------------------------


def _steady(
    samples_uv: Floats, rate_hz: float, start_s: float, events: Sequence[Event]
) -> list[Floats]:
    """Return the samples of each contraction, once it has settled."""
    found = []
    for event in events:
        late_s = min(SETTLED_S, 0.4 * (event.offset_s - event.onset_s))
        first, stop = (
            max(0, round((at_s - start_s) * rate_hz))
            for at_s in (event.onset_s + late_s, event.offset_s)
        )
        if event.kind == "contraction" and event.offset_s - event.onset_s >= SHORTEST_S:
            found.append(samples_uv[first:stop])
    return found


def _pattern(stretches: Sequence[Floats], rate_hz: float) -> Iterator[Row]:
    """Yield the pattern of the contraction with the most turns, and the peak ratio of all."""
    efforts = [_epochs(stretch, rate_hz) for stretch in stretches]
    fullness = [_mean([epoch.turns_per_s for epoch in epochs]) for epochs in efforts]
    if not np.any(np.isfinite(fullness)):
        return
    fullest = int(np.nanargmax(fullness))
    for name, unit in PATTERN.items():
        values = [getattr(epoch, name) for epoch in efforts[fullest]]
        told = [value for value in values if np.isfinite(value)]
        if told:
            yield _row(f"interference.{name}", _mean(told), unit, told)
    told_efforts = [epochs for epochs in efforts if _has_amplitude(epochs)]
    if told_efforts:
        ratio = peak_ratio(told_efforts).ratio_per_uv_s
        yield _row("interference.peak_ratio_per_uv_s", ratio, "1/(uV s)")
    for name, value, unit in (
        ("evenness", evenness(stretches[fullest], rate_hz), "1"),
        ("pace_hz", pace_hz(stretches[fullest], rate_hz), "Hz"),
    ):
        if np.isfinite(value):
            yield _row(f"interference.{name}", value, unit)


def _epochs(samples_uv: Floats, rate_hz: float) -> tuple[Interference, ...]:
    seconds = samples_uv.size / rate_hz
    epoch_s = 0.5 if seconds >= 1.0 else EPOCH_S[0]
    return interference(samples_uv, rate_hz, epoch_s=epoch_s)


def _has_amplitude(epochs: Sequence[Interference]) -> bool:
    return any(np.isfinite(epoch.mean_amplitude_uv) for epoch in epochs)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


# -- recruitment and discharges --------------------------------------------------------------------


def _recruitment(trains_s: Sequence[Floats], events: Sequence[Event]) -> Iterator[Row]:
    """Yield onset and recruitment intervals of the first contraction, and the ratio of the best."""
    efforts = [event for event in events if event.kind == "contraction"]
    inside = [
        [train[(train >= event.onset_s) & (train <= event.offset_s)] for train in trains_s]
        for event in efforts
    ]
    starts = recruitment_order(inside[0]) if inside else ()
    if starts:
        yield _row("recruitment.onset_interval_ms", 1e3 * starts[0].interval_s, "ms")
    onset = recruitment_onset(inside[0]) if inside else None
    if onset is not None:
        yield _row("recruitment.interval_ms", 1e3 * onset.interval_s, "ms")
    ratios = [
        ratio
        for event in efforts
        if event.offset_s - event.onset_s > SETTLED_S
        and (ratio := recruitment_ratio(trains_s, event.onset_s + SETTLED_S, event.offset_s))
    ]
    if ratios:
        best = max(ratios, key=lambda ratio: ratio.active_units)
        yield _row("recruitment.ratio_hz", best.ratio_hz, "Hz")
        yield _row("recruitment.fastest_hz", best.fastest_hz, "Hz")
        yield _row("recruitment.active_units", best.active_units, "1")


def _discharges(units: Sequence[FoundUnit]) -> Iterator[Row]:
    for name, unit in (("rate_hz", "Hz"), ("interval_cov", "1")):
        values = [one.measures.get(name, float("nan")) for one in units]
        told = [value for value in values if np.isfinite(value)]
        if told:
            yield _row(f"discharges.mean_{name}", _mean(told), unit, told)
