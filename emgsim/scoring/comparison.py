"""Findings against the truth of one recording."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.recording import Findings, MotorUnit, Recording, Truth
from emgsim.scoring.counts import Counts
from emgsim.scoring.detectability import Render, detectability
from emgsim.scoring.matching import (
    MATCHED_JACCARD,
    Pair,
    match_discharges,
    matched_pairs,
    merged_units,
    related_pairs,
    split_units,
)
from emgsim.scoring.score import TOLERANCE_S, TOLERANCES_S, Score, UnitScore, pooled_score

Floats = NDArray[np.float64]

MAX_LAG_S = 0.006


def compare(
    findings: Findings,
    truth: Truth,
    *,
    recording: Recording | None = None,
    render: Render | None = None,
    tolerance_s: float = TOLERANCE_S,
    max_lag_s: float = MAX_LAG_S,
) -> Score:
    """Score findings against the truth.

    Parameters
    ----------
    findings, truth
        What was found and what is true, on one clock.
    recording
        What the analysis read. It decides which units are detectable and which discharges lie
        inside it; without it every unit counts as detectable.
    render
        Returns one unit's contribution to the recording, shape ``(n_samples,)``. By default that
        of a clean recording; a device's must be rendered through its response.
    tolerance_s
        Two discharges within it may be one; it also decides which unit is which.
    max_lag_s
        Largest constant delay between a unit's true and found times.

    Raises
    ------
    ValueError
        If a tolerance or a lag is negative or no number, a time is not finite, or the recording's
        rate is not that of the truth's MUAPs and no render is given.

    Examples
    --------
    >>> from emgsim.recording import FoundUnit
    >>> times_s, flat = np.array([0.1, 0.2, 0.3, 0.4]), np.zeros((1, 1))
    >>> unit = MotorUnit(id=1, muscle="biceps", threshold=0.0, n_fibres=1, muap_uv=flat,
    ...                  discharge_times_s=times_s, muap_start_s=0.0, arrival_s=0.001)
    >>> late = FoundUnit(id=7, discharge_times_s=times_s[1:] + 0.003, muap_uv=flat,
    ...                  muap_start_s=0.0)
    >>> score = compare(Findings(units=(late,)), Truth(units=(unit,), muap_rate_hz=48_000.0))
    >>> score.units[0].counts, round(score.units[0].lag_us), round(score.f1, 3)
    (Counts(tp=3, fp=0, fn=1), 2000, 0.857)
    """
    for name, value in (("tolerance_s", tolerance_s), ("max_lag_s", max_lag_s)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and >= 0, got {value}")
    span = (
        None if recording is None else (recording.start_s, recording.start_s + recording.duration_s)
    )
    true_trains = [_inside(_ascending(u.id, u.spike_times_s), span) for u in truth.units]
    found_trains = [_ascending(unit.id, unit.discharge_times_s) for unit in findings.units]
    pairs = related_pairs(true_trains, found_trains, tolerance_s, max_lag_s)
    matched = matched_pairs(pairs, len(true_trains), len(found_trains))
    ratios = {} if recording is None else detectability(recording, truth, render)
    true_ids = [unit.id for unit in truth.units]
    found_ids = [unit.id for unit in findings.units]
    units = []
    for i, unit in enumerate(truth.units):
        score = _missed(unit, true_trains[i], ratios.get(unit.id, math.inf), tolerance_s)
        if i in matched:
            j = matched[i].found
            score = _found(score, matched[i], found_ids[j], found_trains[j])
        units.append(score)
    loose = set(range(len(found_ids))) - {pair.found for pair in matched.values()}
    doubles = {p.found for p in pairs if p.counts.jaccard >= MATCHED_JACCARD} & loose
    return Score(
        units=tuple(units),
        n_found=len(found_ids),
        n_false=len(loose) - len(doubles),
        n_duplicates=len(doubles),
        n_false_discharges=sum(found_trains[j].size for j in loose),
        tolerance_s=tolerance_s,
        splits=_named(split_units(pairs), true_ids, found_ids),
        merges=_named(merged_units(pairs), found_ids, true_ids),
    )


def compare_stretches(
    findings: Findings,
    truth: Truth,
    spans: Mapping[str, tuple[float, float]],
    *,
    recording: Recording,
    render_in: Callable[[Recording], Render] | None = None,
    tolerance_s: float = TOLERANCE_S,
    max_lag_s: float = MAX_LAG_S,
) -> Score:
    """Score what was found in each stretch of a recording, and pool the scores.

    The needle may move between the stretches. A unit that is heard in two of them is two units, and
    in each it has the MUAP that the needle hears from there.

    Parameters
    ----------
    findings, truth, recording, tolerance_s, max_lag_s
        As of `compare`, of the whole recording.
    spans
        Onset and offset of each stretch in seconds, by its name.
    render_in
        Returns the ``render`` of `compare` for the recording of one stretch.

    Raises
    ------
    ValueError
        As `compare`; if there is no stretch, or the needle moved in one.
    """
    scores = {}
    for name, span in spans.items():
        piece = recording.cut(*span)
        scores[name] = compare(
            findings.within(*span),
            truth.at(*span),
            recording=piece,
            render=None if render_in is None else render_in(piece),
            tolerance_s=tolerance_s,
            max_lag_s=max_lag_s,
        )
    return pooled_score(scores)


def _missed(unit: MotorUnit, train: Floats, ratio: float, tolerance_s: float) -> UnitScore:
    """Return the score of a unit that nothing matches."""
    counts = Counts(fn=train.size)
    return UnitScore(
        truth_id=unit.id,
        found_id=None,
        amplitude_uv=unit.peak_to_peak_uv,
        peak_uv=float(np.max(np.abs(unit.muap_uv[:, 0]), initial=0.0)),
        ratio=ratio,
        counts=counts,
        counts_at=dict.fromkeys(sorted({tolerance_s, *TOLERANCES_S}), counts),
        lag_us=math.nan,
        timing_us=math.nan,
        true_times_s=train,
        is_found=np.zeros(train.size, bool),
    )


def _found(missed: UnitScore, pair: Pair, found_id: int, found_s: Floats) -> UnitScore:
    """Return the score of a unit with what was found of it."""
    train, shifted = missed.true_times_s, found_s - pair.lag_s
    places = np.array(pair.matches).reshape(-1, 2).T
    errors = np.abs(shifted[places[1]] - train[places[0]])
    is_found = missed.is_found.copy()
    is_found[places[0]] = True
    counts_at = {
        t: _counts(len(match_discharges(train, found_s, t, pair.lag_s)), train, found_s)
        for t in missed.counts_at
    }
    return replace(
        missed,
        found_id=found_id,
        counts=pair.counts,
        counts_at=counts_at,
        lag_us=1e6 * pair.lag_s,
        timing_us=1e6 * float(np.median(errors)),
        is_found=is_found,
        false_times_s=np.delete(shifted, places[1]),
    )


def _counts(tp: int, true_s: Floats, found_s: Floats) -> Counts:
    return Counts(tp=tp, fp=found_s.size - tp, fn=true_s.size - tp)


def _named(
    held: Mapping[int, tuple[int, ...]], wholes: Sequence[int], parts: Sequence[int]
) -> dict[int, tuple[int, ...]]:
    """Put ids in the place of places."""
    return {wholes[i]: tuple(parts[j] for j in held[i]) for i in held}


def _ascending(id: int, times_s: Floats) -> Floats:
    if not np.all(np.isfinite(times_s)):
        raise ValueError(f"unit {id}: discharge times must be finite, got {times_s}")
    return np.sort(times_s)


def _inside(times_s: Floats, span: tuple[float, float] | None) -> Floats:
    return times_s if span is None else times_s[(times_s >= span[0]) & (times_s < span[1])]
