"""Which discharges of a path were found, missed or false, and where that is worst.

The matching is that of the scores (`emgsim.scoring.compare`), so that a picture shows what was
counted. Of a recording that was played there is no truth: what is found in it stands in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from emgsim.recording import Findings, Floats, MotorUnit, Recording, Truth
from emgsim.records.record import RunRecord
from emgsim.report.material import Material
from emgsim.scoring import MAX_LAG_S, best_lag_s, compare, match_discharges
from emgsim.scoring.events import TOLERANCE_S as EVENT_TOLERANCE_S
from emgsim.scoring.score import TOLERANCE_S, UnitScore

WINDOW_S = 0.5
PLAYED = "recording"  # the path whose findings stand in the truth's place


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of one true unit's discharges on a path, times in seconds.

    ``hits_s`` are true times and ``errors_s`` found minus true, shape ``(n_hits,)`` each;
    ``false_s`` were found and are not true, with the unit's lag taken off. ``found_id`` is None
    for a unit that nothing matched.
    """

    unit: int
    found_id: int | None
    hits_s: Floats
    errors_s: Floats
    missed_s: Floats
    false_s: Floats


def wanted(material: Material, record: RunRecord) -> Truth | None:
    """Return what a path should have found: the truth, or what was found in what was played."""
    if not record.is_playback:
        return material.truth
    found = material.findings.get(PLAYED)
    return None if found is None else _as_if_true(found)


def fates(material: Material, record: RunRecord, path: str) -> tuple[Fate, ...]:
    """Return the fate of every unit that counts on a path; none without truth or findings.

    These are the detectable units, or all where no score says which are.
    """
    truth, found = wanted(material, record), material.findings.get(path)
    if truth is None or found is None:
        return ()
    counted = detectable(record, path)
    scores: list[UnitScore] = []
    for span in _spans(material, record, path):
        there = truth.at(*span) if truth.stays else truth
        # All units take part in the matching: a found one may belong to one that does not count.
        units = tuple(unit.between(*span) for unit in there.units)
        scores += compare(found.within(*span), replace(there, units=units)).units
    if counted is not None:
        scores = [score for score in scores if score.truth_id in counted]
    return tuple(_fate(score, found) for score in scores if score.true_times_s.size)


def event_fates(material: Material, record: RunRecord, path: str) -> tuple[Fate, ...]:
    """Return the fates where all that was found is one line of events that tells no units apart.

    An event may stand for two units; the false ones are those that stand for none, given to the
    first unit.
    """
    truth, found = wanted(material, record), material.findings.get(path)
    if truth is None or found is None:
        return ()
    events_s = np.sort(np.concatenate([np.zeros(0), *(u.discharge_times_s for u in found.units)]))
    counted, explained, out = detectable(record, path), set[int](), []
    for unit in truth.units:
        if counted is not None and unit.id not in counted:
            continue
        true_s = unit.discharge_times_s
        lag_s = best_lag_s(true_s, events_s, EVENT_TOLERANCE_S, MAX_LAG_S)
        pairs = match_discharges(true_s, events_s, EVENT_TOLERANCE_S, lag_s)
        explained.update(event for _, event in pairs)
        out.append(_paired(unit.id, true_s, events_s, pairs))
    if out:
        false_s = np.delete(events_s, sorted(explained))
        out[0] = replace(out[0], false_s=false_s)
    return tuple(out)


def worst_start_s(these: Iterable[Fate], default_s: float) -> float:
    """Return where the half second with most missed and false discharges begins."""
    bad_s = np.sort(np.concatenate([np.zeros(0), *(t for f in these for t in _bad(f))]))
    if bad_s.size == 0:
        return default_s
    starts_s = bad_s - 0.04 * WINDOW_S  # the first of them clear of the edge
    ends = np.searchsorted(bad_s, starts_s + WINDOW_S)
    return max(0.0, float(starts_s[int(np.argmax(ends - np.arange(bad_s.size)))]))


def detectable(record: RunRecord, path: str) -> Collection[int] | None:
    """Return the ids of the units that count on a path; None: all, for no score tells."""
    rows = record.scores.get(path)
    return None if not rows else {int(r["truth_id"]) for r in rows if r.get("detectable")}


def _bad(fate: Fate) -> tuple[Floats, Floats]:
    return fate.missed_s, fate.false_s


def _spans(material: Material, record: RunRecord, path: str) -> list[tuple[float, float]]:
    """Return what was scored: the slight efforts of an examination, or the whole recording."""
    stretches = record.scenario.get("analysis", {}).get("stretches", [])
    slight = [(s["onset_s"], s["offset_s"]) for s in stretches if s.get("kind") == "slight"]
    return slight or [_whole(material.recordings.get(path))]


def _whole(recording: Recording | None) -> tuple[float, float]:
    if recording is None:
        return (-np.inf, np.inf)
    return recording.start_s, recording.start_s + recording.duration_s


def _fate(score: UnitScore, found: Findings) -> Fate:
    """Return a unit's fate from its score and the train that it was matched with."""
    hits_s = score.true_times_s[score.is_found]
    trains = {unit.id: np.sort(unit.discharge_times_s) for unit in found.units}
    errors_s = np.zeros(0)
    if score.found_id is not None:
        found_s, lag_s = trains[score.found_id], 1e-6 * score.lag_us
        pairs = match_discharges(score.true_times_s, found_s, TOLERANCE_S, lag_s)
        errors_s = np.array([found_s[j] - score.true_times_s[i] for i, j in pairs])
    return Fate(
        unit=score.truth_id,
        found_id=score.found_id,
        hits_s=hits_s,
        errors_s=errors_s,
        missed_s=score.true_times_s[~score.is_found],
        false_s=score.false_times_s,
    )


def _paired(unit: int, true_s: Floats, found_s: Floats, pairs: list[tuple[int, int]]) -> Fate:
    true, found = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Fate(
        unit=unit,
        found_id=None,
        hits_s=true_s[true],
        errors_s=found_s[found] - true_s[true],
        missed_s=np.delete(true_s, true),
        false_s=np.zeros(0),
    )


def _as_if_true(findings: Findings) -> Truth:
    return Truth(
        units=tuple(
            MotorUnit(
                id=unit.id, muscle="", threshold=float("nan"), n_fibres=0, arrival_s=0.0,
                discharge_times_s=unit.discharge_times_s, muap_uv=unit.muap_uv,
                muap_start_s=unit.muap_start_s,
            )
            for unit in findings.units
        ),
        muap_rate_hz=findings.muap_rate_hz,
    )  # fmt: skip
