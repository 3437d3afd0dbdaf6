"""Each measurement that did not pass outright has the picture that shows why."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgsim.recording import Channel, Findings, FoundUnit, Gap, MotorUnit, Recording, Truth
from emgsim.records.record import RunRecord
from emgsim.report.case import Case
from emgsim.report.material import Material, gather
from emgsim.report.misses import event_fates, fates, worst_start_s
from emgsim.report.page import write_page
from emgsim.report.why import PICTURES, WITHOUT, anchors, kind_of, reasons
from emgsim.report.why_chain import excursions, lags, lost
from emgsim.report.why_pictures import sharing
from emgsim.verdict import Limit, Measurement, judge

PACKAGE = Path(__file__).parents[2] / "emgsim"
# The modules whose measurements a run's page shows.
MAKERS = (
    "chain.py", "scoring/score.py", "scoring/events.py", "scoring/records.py",
    "running/stages.py", "running/agreement.py", "running/aligning.py", "running/playing_back.py",
)  # fmt: skip
ID = re.compile(r"[a-z_]+\.[a-z0-9_.*]*\*")


def ids_in(module: str) -> Iterator[str]:
    """Yield the ids of measurements that a module's source makes, ``*`` for what it fills in."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values
            )
            if ID.fullmatch(text):
                yield text


MADE = sorted({id for module in MAKERS for id in ids_in(module)})


def failing(id: str, value: float = 1.0, unit: str = "1") -> Measurement:
    """Return a measurement that fails its limit."""
    limit = Limit(measurement=id, high=value - 1.0, unit=unit)
    return judge(Measurement(id=id, value=value, unit=unit), limit)


def test_the_source_is_read_for_ids() -> None:
    """The makers are found to make what everybody knows, so the contract below is not empty."""
    assert {"units.*.*", "discharges.f1.*", "noise.added_uv.*", "agreement.f1.*"} <= set(MADE)
    assert len(MADE) > 25


@pytest.mark.parametrize("id", MADE)
def test_every_kind_of_measurement_has_a_picture_or_a_reason_to_have_none(id: str) -> None:
    """What a run can measure can be shown."""
    kind, _ = kind_of(id)
    assert fnmatch.filter(PICTURES, kind) or kind in WITHOUT, kind


def test_no_picture_is_kept_for_what_nobody_measures() -> None:
    """Each kind of the table is one that the source makes."""
    kinds = [kind_of(id)[0] for id in MADE]
    assert [k for k in PICTURES if not any(fnmatch.fnmatch(k, made) for made in kinds)] == []


@pytest.mark.parametrize("name", ["found", "missed", "false", "duplicate", "split", "merged",
                                  "detectable"])  # fmt: skip
def test_every_count_of_units_has_a_picture(name: str) -> None:
    """Their names are filled in, so the source does not say them."""
    assert PICTURES[f"units.{name}"]


@pytest.mark.slow
def test_every_picture_can_be_drawn_of_a_run(run) -> None:
    """With a whole folder nothing is left out, and every picture says what is seen."""
    folder, record = run
    ids = [f"{kind}.device" for kind in PICTURES]
    these = _reasons(folder, replace(record, measurements=tuple(failing(id) for id in ids)))
    assert {m.id for reason in these for m in reason.measurements} == set(ids)
    for reason in these:
        assert reason.shown is not None, reason.title
        assert reason.shown.picture.startswith("data:image/svg+xml;base64,")
        assert len(reason.shown.alt) > 20
        assert "device" in reason.shown.alt
        assert len(reason.shown.caption) > 20


def _reasons(folder: Path, record: RunRecord):
    return reasons(folder, record, gather(folder, record))


def test_what_passed_and_what_was_only_reported_needs_no_picture(run) -> None:
    """Of the run's eight measurements only the failed and the doubtful ones are explained."""
    folder, record = run
    explained = {m.id for reason in _reasons(folder, record) for m in reason.measurements}
    assert explained == {"discharges.f1.device", "noise.rms.loopback", "alignment.gain.loopback"}


def test_measurements_of_one_picture_share_it(run) -> None:
    """Four failures of the same discharges are four rows and one picture."""
    folder, record = run
    ids = [f"discharges.{name}.device" for name in ("jaccard", "f1_loss")]
    ids += ["link.lost_samples.device", "discharges.jaccard.truth"]
    these = _reasons(folder, replace(record, measurements=tuple(failing(id) for id in ids)))
    assert [[m.id for m in reason.measurements] for reason in these] == [
        ["discharges.jaccard.device", "discharges.f1_loss.device"],
        ["link.lost_samples.device"],
        ["discharges.jaccard.truth"],
    ]
    assert len(anchors(these)["discharges.jaccard.device"]) == 1


def test_a_measurement_of_the_user_s_own_is_told_to_have_no_picture(run, tmp_path) -> None:
    """Its row leads to where its note stands."""
    folder, record = run
    own = replace(failing("my.own.device"), note="as I like it")
    (reason,) = _reasons(folder, replace(record, measurements=(own,)))
    assert reason.shown is None
    assert "no picture" in reason.absent


def test_without_the_files_the_page_says_that_it_cannot_show_why(tmp_path) -> None:
    """An empty folder gives reasons without pictures, and no error."""
    record = RunRecord(status="completed",
                       measurements=tuple(failing(f"{kind}.device") for kind in PICTURES))
    these = _reasons(tmp_path, record)
    assert all(reason.shown is None for reason in these)
    text = write_page(tmp_path, record).read_text("utf-8")
    assert text.count("the folder lacks what the picture is made of") == len(these)


def test_the_row_leads_to_the_picture_and_the_picture_to_the_row(run, tmp_path) -> None:
    """Both addresses exist, once."""
    record = replace(run[1], measurements=(failing("align.residual_us.device", unit="us"),))
    text = write_page(tmp_path, record).read_text("utf-8")
    for address in re.findall(r'href="#([^"]+)"', text):
        assert text.count(f'id="{address}"') == 1, address
    assert 'href="#why-1"' in text


# -- what became of the discharges ---------------------------------------------------------------


def unit(id: int, times_s: list[float]) -> MotorUnit:
    return MotorUnit(id=id, muscle="biceps", threshold=0.1, n_fibres=1, arrival_s=0.0,
                     discharge_times_s=np.array(times_s), muap_uv=np.ones((2, 1)),
                     muap_start_s=0.0)  # fmt: skip


def found(id: int, times_s: list[float]) -> FoundUnit:
    return FoundUnit(id=id, discharge_times_s=np.array(times_s), muap_uv=np.zeros((0, 1)),
                     muap_start_s=0.0)  # fmt: skip


def material(true: list[MotorUnit], seen: list[FoundUnit]) -> Material:
    return Material(truth=Truth(units=tuple(true), muap_rate_hz=1000.0),
                    findings={"device": Findings(units=tuple(seen))})  # fmt: skip


def test_the_fate_of_each_discharge_is_that_of_the_score() -> None:
    """By pencil: of five, found 2 ms late, the fourth is missed and one is invented."""
    true_s = [0.1, 0.2, 0.3, 0.4, 0.5]
    late_s = [t + 0.002 for t in (0.1, 0.2, 0.3, 0.35, 0.5)]
    (fate,) = fates(material([unit(1, true_s)], [found(7, late_s)]), RunRecord(), "device")
    assert (fate.unit, fate.found_id) == (1, 7)
    np.testing.assert_allclose(fate.missed_s, [0.4])
    np.testing.assert_allclose(fate.false_s, [0.35])
    np.testing.assert_allclose(fate.errors_s, 0.002)


def test_only_units_that_count_are_followed() -> None:
    """A unit that is not detectable takes part in the matching, and is not shown."""
    record = RunRecord(scores={"device": [{"truth_id": 1, "detectable": True},
                                          {"truth_id": 2, "detectable": False}]})  # fmt: skip
    both = material([unit(1, [0.1, 0.2]), unit(2, [0.15, 0.25])], [])
    assert [fate.unit for fate in fates(both, record, "device")] == [1]


def test_one_event_may_stand_for_two_units_that_discharge_at_once() -> None:
    """Of a single line: heard is heard, and what stands for nothing is false."""
    both = material([unit(1, [0.1, 0.2]), unit(2, [0.1, 0.3])], [found(1, [0.1, 0.2, 0.3, 0.45])])
    one, other = event_fates(both, RunRecord(), "device")
    assert (one.missed_s.size, other.missed_s.size) == (0, 0)
    np.testing.assert_allclose(one.false_s, [0.45])


def test_the_worst_half_second_has_most_misses() -> None:
    """Three misses within half a second outweigh two elsewhere."""
    lonely = material([unit(1, [1.0, 1.1, 3.0, 3.2, 3.4, 5.0])], [])
    start_s = worst_start_s(fates(lonely, RunRecord(), "device"), 0.0)
    assert start_s < 3.0
    assert start_s + 0.5 > 3.4


def test_in_a_playback_what_is_found_in_the_recording_is_wanted() -> None:
    """There is no truth; the recording's findings stand in its place."""
    played = Material(findings={"recording": Findings(units=(found(1, [0.1, 0.2, 0.3]),)),
                                "device": Findings(units=(found(4, [0.1, 0.3]),))})  # fmt: skip
    record = RunRecord(scenario={"schema": "emgsim.playback/1"})
    (fate,) = fates(played, record, "device")
    np.testing.assert_allclose(fate.missed_s, [0.2])


# -- pictures with figures in their words ----------------------------------------------------------


def case(of: Material, *these: Measurement, **changes: object) -> Case:
    return Case(folder=Path(), record=RunRecord(**changes), material=of, path="device",  # type: ignore[arg-type]
                measurements=these)  # fmt: skip


def test_the_bias_that_is_shown_is_that_of_the_chain(run) -> None:
    """A device that records 2 % too much is shown with a bias of 2 %."""
    folder, record = run
    whole = gather(folder, record)
    truth = whole.recordings["truth"]
    louder = Material(recordings={
        "truth": truth, "device": replace(truth, samples_uv=1.02 * truth.samples_uv)})
    shown = excursions(case(louder))
    assert shown is not None
    assert "bias +2.00 per cent" in shown.alt


def test_lost_samples_are_counted_in_words() -> None:
    """Two gaps of 3 and 5 samples are 8 samples in 2 gaps."""
    samples_uv = np.zeros((1000, 1))
    gaps = (Gap(first_sample=100, n_samples=3), Gap(first_sample=500, n_samples=5))
    for gap in gaps:
        samples_uv[gap.first_sample : gap.first_sample + gap.n_samples] = np.nan
    recording = Recording(samples_uv=samples_uv, rate_hz=1000.0, gaps=gaps,
                          channels=(Channel(name="a"),))  # fmt: skip
    shown = lost(case(Material(recordings={"device": recording})))
    assert shown is not None
    assert "8 in 2 gaps" in shown.alt


def test_the_largest_lag_is_told() -> None:
    """The worst window stands in the words with its time."""
    windows = [[0.5, 0.1], [1.0, -4.0], [1.5, 0.2]]
    shown = lags(case(Material(), alignments={"device": {"windows": windows}}))
    assert shown is not None
    assert "largest -4 microseconds at 1.00 s" in shown.alt


def test_a_split_unit_fills_two_cells_of_its_row() -> None:
    """Half of the discharges in one found unit, half in another."""
    train = [0.1, 0.23, 0.31, 0.44, 0.52, 0.67, 0.73, 0.88]
    halves = material([unit(1, train)], [found(1, train[:4]), found(2, train[4:])])
    shown = sharing(case(halves))
    assert shown is not None
    assert "1 true and 2 found units" in shown.alt
