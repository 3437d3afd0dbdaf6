"""An examination is analysed stretch by stretch, and its findings are those of the stretches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from emgsim.analysis.contractions import effort_measures
from emgsim.analysis.core import analyse
from emgsim.analysis.effort import segments
from emgsim.analysis.plan import NeedlePlan, Stretch
from emgsim.analysis.resting.insertion import insertional_length_s
from emgsim.analysis.resting.runs import resting_runs
from emgsim.analysis.stretches import runs_at_rest
from emgsim.errors import InputError, NotAnalysableError
from emgsim.files.findings import read_findings, write_findings
from emgsim.recording import Channel, Event, Findings, FoundRun, FoundUnit, Recording
from tests.analysis.conftest import played, train

Floats = NDArray[np.float64]

RATE_HZ = 24_000.0
BEGAN_S = 50.0  # the recording's clock does not begin with it
STRETCHES = (
    Stretch(name="insertion", kind="insertion", onset_s=50.0, offset_s=51.0),
    Stretch(name="rest 1", kind="rest", onset_s=51.0, offset_s=53.0),
    Stretch(name="slight 1", kind="slight", onset_s=53.5, offset_s=57.0),
    Stretch(name="slight 2", kind="slight", onset_s=57.0, offset_s=60.5),
    Stretch(name="strong 1", kind="strong", onset_s=60.5, offset_s=62.5),
)
PLAN = NeedlePlan(stretches=STRETCHES)
ALONE = NeedlePlan()


def examined() -> Recording:
    """Return 12.5 s: insertion, a fibrillation at rest, two places of slight effort, a strong one.

    Two units are heard from the first place, one from the second.
    """
    rng = np.random.default_rng(4)
    trains = [train(rng, rate, a, b) for rate, a, b in ((8, 3, 7), (11, 3, 10.4), (10, 20, 21))]
    samples_uv = played(trains, RATE_HZ, 12.5, noise_uv=3.0).samples_uv[:, 0].copy()
    t_s = np.arange(samples_uv.size) / RATE_HZ
    loud = np.where((t_s < 0.15) | (t_s > 10.5), 60.0, 0.0)
    samples_uv += loud * rng.standard_normal(samples_uv.size)
    for at_s in np.arange(1.1, 2.9, 0.1) * (1 + 1e-3 * rng.standard_normal(18)):
        u = (t_s - at_s) / 0.0004
        samples_uv += 120 * (np.exp(-((u + 2) ** 2)) - 1.5 * np.exp(-(u**2)))
    return replace(played([], RATE_HZ, 12.5), samples_uv=samples_uv[:, None], start_s=BEGAN_S)


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Return the examination's recording."""
    return examined()


@pytest.fixture(scope="module")
def findings(recording: Recording) -> Findings:
    """Return what is found in it."""
    return analyse(recording, PLAN)


def cut(recording: Recording, name: str) -> Recording:
    """Return a stretch's part of the recording."""
    (stretch,) = (s for s in STRETCHES if s.name == name)
    return recording.cut(stretch.onset_s, stretch.offset_s)


def in_stretch(findings: Findings, name: str) -> Findings:
    """Return what was found in a stretch."""
    (stretch,) = (s for s in STRETCHES if s.name == name)
    return findings.within(stretch.onset_s, stretch.offset_s)


def times(units: tuple[FoundUnit, ...]) -> list[list[float]]:
    """Return the discharge times as lists, which compare exactly."""
    return [unit.discharge_times_s.tolist() for unit in units]


def without_span(rows: tuple[dict[str, object], ...]) -> list[dict[str, object]]:
    """Return rows of measures as they are of a recording of the stretch alone."""
    return [{k: v for k, v in row.items() if k not in ("onset_s", "offset_s")} for row in rows]


# -- joined equals single --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "n_units"), [("slight 1", 2), ("slight 2", 1)])
def test_a_slight_effort_is_analysed_as_a_recording_of_its_own(
    name: str, n_units: int, recording: Recording, findings: Findings
) -> None:
    """Units, events and rows are those of the stretch cut out and analysed alone."""
    alone, within = analyse(cut(recording, name), ALONE), in_stretch(findings, name)
    assert len(within.units) == n_units
    assert times(within.units) == times(alone.units)
    for found, single in zip(within.units, alone.units, strict=True):
        assert found.measures == pytest.approx(single.measures, rel=0, nan_ok=True)
        assert found.confidence is not None
        assert found.confidence.tolist() == single.confidence.tolist()
    assert within.events == alone.events
    assert without_span(within.measures) == list(alone.measures)
    assert findings.muap_rate_hz == alone.muap_rate_hz


def test_a_rest_gives_what_discharges_by_itself_and_no_units(
    recording: Recording, findings: Findings
) -> None:
    """The runs are those of the rest alone; no row pretends to measure an effort."""
    within, piece = in_stretch(findings, "rest 1"), cut(recording, "rest 1")
    assert (within.units, within.measures) == ((), ())
    assert [event.kind for event in within.events] == ["rest"]
    (run,) = within.runs
    (alone,) = resting_runs(piece)
    assert run.kind == alone.kind == "fibrillation"
    assert run.discharge_times_s.tolist() == alone.discharge_times_s.tolist()
    assert STRETCHES[1].onset_s <= run.onset_s < run.offset_s <= STRETCHES[1].offset_s


def test_a_strong_effort_gives_its_pattern_and_no_units(
    recording: Recording, findings: Findings
) -> None:
    """The rows are those of the effort alone."""
    within, piece = in_stretch(findings, "strong 1"), cut(recording, "strong 1")
    samples_uv = piece.samples_uv[:, 0]
    events = segments(samples_uv, RATE_HZ, start_s=piece.start_s)
    rows = effort_measures(samples_uv, RATE_HZ, start_s=piece.start_s, events=events)
    assert within.units == ()
    assert without_span(within.measures) == list(rows)
    assert "interference.turns_per_s" in {row["id"] for row in within.measures}


def test_an_insertion_gives_its_length(recording: Recording, findings: Findings) -> None:
    """The burst of 150 ms counts from the onset of the stretch, when the needle came to rest."""
    (row,) = in_stretch(findings, "insertion").measures
    assert (row["id"], row["unit"]) == ("insertion.length_s", "s")
    assert row["value"] == insertional_length_s(cut(recording, "insertion"), BEGAN_S)
    assert row["value"] == pytest.approx(0.15, abs=0.02)


def test_units_are_numbered_through_in_the_plans_order(findings: Findings) -> None:
    """Two of the first place, one of the second; the first stretch comes first in everything."""
    assert [unit.id for unit in findings.units] == [1, 2, 3]
    onsets_s = [event.onset_s for event in findings.events]
    assert onsets_s == sorted(onsets_s)
    rows_s = [row["onset_s"] for row in findings.measures]
    assert rows_s == sorted(rows_s)
    assert all(row["offset_s"] > row["onset_s"] for row in findings.measures)


def test_rows_of_stretches_are_written_and_read_again(tmp_path: Path, findings: Findings) -> None:
    """A row keeps its stretch in findings.json, and the stretch its rows."""
    write_findings(tmp_path / "findings.json", findings)
    read = read_findings(tmp_path / "findings.json")
    assert read.measures == findings.measures
    assert in_stretch(read, "strong 1").measures == in_stretch(findings, "strong 1").measures


# -- what cannot be analysed -----------------------------------------------------------------------


def spoilt(recording: Recording, name: str, how: str) -> Recording:
    """Return the recording with one stretch clipped or missing."""
    (stretch,) = (s for s in STRETCHES if s.name == name)
    samples_uv = recording.samples_uv.copy()
    at = slice(*(round((t - BEGAN_S) * RATE_HZ) for t in (stretch.onset_s, stretch.offset_s)))
    samples_uv[at] = np.nan if how == "missing" else np.clip(samples_uv[at], -4.0, 4.0)
    return replace(recording, samples_uv=samples_uv)


@pytest.mark.parametrize("name", ["insertion", "rest 1", "slight 2", "strong 1"])
@pytest.mark.parametrize(("how", "words"), [("clipped", "clipped at -4 or 4"), ("missing", "")])
def test_a_stretch_that_cannot_be_analysed_says_why_and_gives_no_number(
    name: str, how: str, words: str, recording: Recording
) -> None:
    """It leaves one event over its whole length; another stretch is analysed all the same."""
    kept = ("rest 1", name) if name != "rest 1" else ("rest 1", "strong 1")
    plan = NeedlePlan(stretches=[s for s in STRETCHES if s.name in kept])
    found = analyse(spoilt(recording, name, how), plan)
    within = in_stretch(found, name)
    (event,) = within.events
    assert event.kind == "not_analysable"
    assert event.source.startswith(f"{name}: ")
    assert words in event.source
    assert (within.units, within.runs, within.measures) == ((), (), ())
    (other,) = {*kept} - {name}
    assert "not_analysable" not in {e.kind for e in in_stretch(found, other).events}


def test_a_slight_effort_too_short_for_trains_is_not_analysed(recording: Recording) -> None:
    """Regularity tells units apart, and a second shows none; a rest of a second is enough."""
    short = (
        Stretch(name="rest", kind="rest", onset_s=51.0, offset_s=52.0),
        Stretch(name="slight", kind="slight", onset_s=54.0, offset_s=55.0),
    )
    found = analyse(recording, NeedlePlan(stretches=short))
    assert [event.kind for event in found.events] == ["rest", "not_analysable"]
    assert "at least 2 s are needed" in found.events[1].source


def test_half_a_second_must_be_heard(recording: Recording) -> None:
    """Less of a rest tells nothing; the rest of its samples may be missing."""
    samples_uv = recording.samples_uv.copy()
    samples_uv[round(1.4 * RATE_HZ) : round(3.0 * RATE_HZ)] = np.nan
    with pytest.raises(NotAnalysableError, match=r"0\.4 s of samples, at least 0\.5 s"):
        analyse(replace(recording, samples_uv=samples_uv), NeedlePlan(stretches=STRETCHES[1:2]))


def test_events_end_with_their_stretch_also_between_two_samples(recording: Recording) -> None:
    """Else the end of one rest would be the beginning of the next."""
    border_s = 52.0 + 0.3 / RATE_HZ
    rests = (
        Stretch(name="rest 1", kind="rest", onset_s=51.0, offset_s=border_s),
        Stretch(name="rest 2", kind="rest", onset_s=border_s, offset_s=53.0),
    )
    found = analyse(recording, NeedlePlan(stretches=rests))
    first, second = found.events
    assert (first.onset_s, first.offset_s) == (51.0, border_s)
    assert border_s <= second.onset_s < border_s + 1 / RATE_HZ
    assert len(found.within(border_s, 53.0).events) == 1


def test_an_examination_without_an_analysable_stretch_is_refused(recording: Recording) -> None:
    """Nothing is found in samples that are all clipped, or all missing, or flat."""
    rest = NeedlePlan(stretches=STRETCHES[1:2])
    for how, words in (("clipped", "are clipped"), ("missing", "0 s of samples")):
        with pytest.raises(NotAnalysableError, match=words):
            analyse(spoilt(recording, "rest 1", how), rest)
    with pytest.raises(NotAnalysableError, match="flat"):
        analyse(replace(recording, samples_uv=0 * recording.samples_uv), PLAN)
    with pytest.raises(NotAnalysableError, match="rate must be >= 9500 Hz"):
        analyse(replace(recording, rate_hz=1_000.0), rest)


def test_a_silent_rest_is_a_rest(recording: Recording) -> None:
    """A clean simulation of a quiet muscle is zero from end to end, and that is no fault."""
    samples_uv = recording.samples_uv.copy()
    samples_uv[round(1.0 * RATE_HZ) : round(3.0 * RATE_HZ)] = 0.0
    plan = NeedlePlan(stretches=STRETCHES[1:2])
    found = analyse(replace(recording, samples_uv=samples_uv), plan)
    assert [event.kind for event in found.events] == ["rest"]
    assert found.runs == ()


def test_a_second_needle_is_heard_where_the_first_is_clipped(recording: Recording) -> None:
    """The first channel that can be analysed is taken, in each stretch for itself."""
    bad = spoilt(recording, "strong 1", "clipped").samples_uv[:, 0]
    both = replace(
        recording,
        samples_uv=np.column_stack([bad, recording.samples_uv[:, 0]]),
        channels=2 * recording.channels,
    )
    plan = NeedlePlan(stretches=STRETCHES[4:])
    assert analyse(both, plan).measures == analyse(recording, plan).measures


@pytest.mark.parametrize(("onset_s", "offset_s"), [(49.5, 51.0), (61.0, 63.0), (0.0, 2.0)])
def test_a_stretch_beyond_the_recording_is_refused(
    onset_s: float, offset_s: float, recording: Recording
) -> None:
    """The plan is of another recording, or on another clock."""
    stretch = Stretch(name="rest 9", kind="rest", onset_s=onset_s, offset_s=offset_s)
    with pytest.raises(InputError, match=r"within the recording \(50\.\.62\.5 s\)") as caught:
        analyse(recording, NeedlePlan(stretches=[stretch]))
    assert "rest 9" in caught.value.where


def test_a_last_sample_that_alignment_left_out_is_no_fault(recording: Recording) -> None:
    """A path that ends a sample early still holds the last stretch."""
    found = analyse(
        replace(recording, samples_uv=recording.samples_uv[:-1]),
        NeedlePlan(stretches=STRETCHES[4:]),
    )
    assert found.measures[0]["offset_s"] == 62.5


def test_the_first_discharge_of_an_effort_is_no_fasciculation() -> None:
    """What discharges within a quarter of a second before a contraction belongs to it."""
    rate_hz, at_s = 24000.0, 1.88
    time_s = np.arange(round(2.0 * rate_hz)) / rate_hz
    spike = np.gradient(np.exp(-0.5 * ((time_s - at_s) / 0.0006) ** 2))
    samples_uv = 400.0 * spike / np.abs(spike).max()
    samples_uv += np.random.default_rng(1).normal(0.0, 2.0, time_s.size)
    channel = Channel(name="needle", kind="concentric_needle")
    recording = Recording(samples_uv=samples_uv[:, None], rate_hz=rate_hz, channels=(channel,))
    rest = Event(kind="rest", onset_s=0.0, offset_s=2.0)
    effort = Event(kind="contraction", onset_s=2.0, offset_s=3.0)
    assert runs_at_rest(recording, 0, (rest,))
    assert not runs_at_rest(recording, 0, (rest, effort))


@pytest.mark.parametrize(("size_uv", "is_heard"), [(3.0, False), (60.0, True)])
def test_what_no_amplifier_could_show_is_not_heard(size_uv: float, is_heard: bool) -> None:
    """A train far below any noise is not named, though a clean simulation has none."""
    rate_hz = 24000.0
    time_s = np.arange(round(2.0 * rate_hz)) / rate_hz
    samples_uv = np.zeros(time_s.size)
    for at_s in np.arange(0.1, 1.9, 0.1):
        samples_uv -= np.gradient(np.gradient(np.exp(-0.5 * ((time_s - at_s) / 0.0003) ** 2)))
    samples_uv *= size_uv / np.ptp(samples_uv)
    channel = Channel(name="needle", kind="concentric_needle")
    recording = Recording(samples_uv=samples_uv[:, None], rate_hz=rate_hz, channels=(channel,))
    rest = Event(kind="rest", onset_s=0.0, offset_s=2.0)
    assert bool(runs_at_rest(recording, 0, (rest,))) is is_heard


def test_stretches_follow_each_other() -> None:
    """A time cannot be two things; sums of durations may be off by their rounding."""
    a = Stretch(name="a", kind="rest", onset_s=0.0, offset_s=0.1 + 0.2)
    with pytest.raises(ValidationError, match=r"onset_s of 'b' must be >= the end of 'a' \(0.3\)"):
        NeedlePlan(stretches=[a, Stretch(name="b", kind="rest", onset_s=0.29, offset_s=1.0)])
    NeedlePlan(stretches=[a, Stretch(name="b", kind="rest", onset_s=0.3, offset_s=1.0)])


# -- within ----------------------------------------------------------------------------------------


def foreign() -> Findings:
    """Return what a detector found that knows of no stretches."""
    flat = np.zeros((1, 1))
    units = tuple(
        FoundUnit(
            id=k,
            discharge_times_s=np.array(times_s),
            muap_uv=flat,
            muap_start_s=0.0,
            confidence=np.linspace(0.1, 1.0, len(times_s)),
        )
        for k, times_s in ((4, [1.0, 2.0, 3.0, 4.0]), (9, [3.5]))
    )
    run = FoundRun(
        kind="fibrillation",
        onset_s=2.5,
        offset_s=2.5,
        discharge_times_s=np.array([2.5]),
        potential_uv=flat,
        potential_start_s=0.0,
    )
    events = (
        Event(kind="rest", onset_s=0.0, offset_s=2.0),
        Event(kind="contraction", onset_s=2.0, offset_s=5.0),
    )
    rows = (
        {"id": "whole", "value": 1.0, "unit": "1"},
        {"id": "part", "value": 2.0, "unit": "1", "onset_s": 2.0, "offset_s": 3.0},
    )
    return Findings(units=units, runs=(run,), events=events, measures=rows)


def test_within_keeps_what_was_found_in_the_stretch() -> None:
    """From 2 to 3.5 s: two discharges of unit 4 with how sure they are, none of unit 9."""
    found = foreign().within(2.0, 3.5)
    (unit,) = found.units
    assert unit.id == 4
    assert unit.discharge_times_s.tolist() == [2.0, 3.0]
    assert unit.confidence is not None
    assert unit.confidence.tolist() == pytest.approx([0.4, 0.7])
    assert [event.kind for event in found.events] == ["contraction"]
    assert len(found.runs) == 1, "a run of one discharge lasts no time, and is there"
    assert [row["id"] for row in found.measures] == ["part"]


def test_what_is_said_of_the_whole_is_kept_only_of_the_whole() -> None:
    """Rows without times stay if nothing was found outside the stretch, else they go."""
    assert [row["id"] for row in foreign().within(0.0, 5.0).measures] == ["whole", "part"]
    assert [row["id"] for row in foreign().within(0.5, 5.0).measures] == ["part"]
    assert [row["id"] for row in foreign().within(0.0, 2.9).measures] == []


def test_neighbouring_stretches_share_the_discharges_between_them() -> None:
    """Each is in one of them, whatever the border."""
    found = foreign()
    for border_s in (1.0, 2.0, 2.5, 3.2, 4.0):
        halves = found.within(0.0, border_s), found.within(border_s, 5.0)
        n = sum(u.discharge_times_s.size for half in halves for u in half.units)
        assert n == 5
        assert sum(len(half.runs) for half in halves) == 1
