"""A campaign from its first cell to its last: what breaks, what goes on, what is resumed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from emgsim.bench.rig import Rig
from emgsim.campaigns.campaign import load_campaign
from emgsim.campaigns.cells import cells_of
from emgsim.campaigns.expecting import Expected, earlier, guess_s
from emgsim.campaigns.folder import conclude_campaign
from emgsim.campaigns.running import resume_campaign, run_campaign
from emgsim.errors import (
    InputError,
    InstrumentError,
    NotAnalysableError,
    SafetyError,
    UsageError,
)
from emgsim.records.journal import JOURNAL, Journal, read_journal
from emgsim.records.record import RECORD
from emgsim.running.run import resume
from emgsim.shipped import find
from tests.campaigns.conftest import plain_page, row

FOUR = 'scenarios = ["healthy_biceps"]\nseeds = [1, 2, 3, 4]\n'
TWO_RIGS = (
    'scenarios = ["healthy_biceps"]\nrigs = ["virtual", "virtual-siglent"]\nseeds = [1, 2]\n'
)


def verdicts(record) -> list[str]:
    """Return what became of each cell."""
    return [cell["verdict"] for cell in record.cells]


def test_every_cell_is_run_and_kept_in_a_folder_of_its_own(carry_out, runs) -> None:
    """Journal, record and JUnit file of the campaign stand beside the folder of the runs."""
    folder, record = carry_out(FOUR)
    assert folder.name.endswith("Z-night")
    assert verdicts(record) == 4 * ["pass"]
    assert (record.verdict, record.run.exit_code, record.run.status) == ("pass", 0, "completed")
    assert sorted(p.name for p in folder.iterdir()) == [
        "campaign.json", "journal.jsonl", "junit.xml", "runs"]  # fmt: skip
    assert sorted(p.name for p in (folder / "runs").iterdir()) == runs.made
    assert json.loads((folder / "campaign.json").read_text())["schema"] == "emgsim.campaign_run/1"
    assert [r["verdict"] for r in record.requirements] == ["pass"]


def test_a_cell_that_breaks_keeps_its_error_and_the_others_go_on(carry_out, runs) -> None:
    """A detector that crashes and a mistake of our own are told; the worst exit code counts."""
    runs.breaks = {
        "002": NotAnalysableError("the detector ended with 1", where="its.log", todo="mend it"),
        "003": KeyError("mine"),
    }
    runs.verdicts = {"004": "fail"}
    folder, record = carry_out(FOUR)
    assert verdicts(record) == ["pass", "broken", "broken", "fail"]
    assert record.cells[1]["why"] == {
        "what": "the detector ended with 1", "where": "its.log", "todo": "mend it"}  # fmt: skip
    assert "internal error: KeyError: 'mine'" in record.cells[2]["why"]["what"]
    assert (record.run.exit_code, record.verdict) == (5, "broken")
    suites = ET.parse(folder / "junit.xml").getroot()  # noqa: S314 - a file of our own
    counts = [(s.attrib["failures"], s.attrib["errors"]) for s in suites]
    assert counts == [("0", "0"), ("0", "1"), ("0", "1"), ("1", "0")]
    assert "the detector ended with 1" in suites[1].find("testcase/error").attrib["message"]


@pytest.mark.parametrize(
    ("verdict", "code"), [("fail", 1), ("conditional_fail", 1), ("inconclusive", 5)]
)
def test_the_exit_code_is_that_of_the_worst_cell(carry_out, runs, verdict, code) -> None:
    """As of a run: 4 before 5 before 1 before 0."""
    runs.verdicts = {"002": "fail", "003": verdict}
    assert carry_out(FOUR)[1].run.exit_code == code


def test_where_a_rig_breaks_the_cells_left_on_it_are_skipped_with_the_reason(
    carry_out, runs
) -> None:
    """The other rig is not concerned."""
    runs.breaks = {"001": InstrumentError("the generator is gone")}
    _, record = carry_out(TWO_RIGS)
    assert verdicts(record) == ["broken", "skipped", "pass", "pass"]
    why = record.cells[1]["why"]["what"]
    assert "001-healthy_biceps-virtual-seed1: the generator is gone" in why
    assert len(runs.made) == 3
    assert record.run.exit_code == 4


def test_a_virtual_rig_that_breaks_at_one_value_is_tried_at_the_next(carry_out, runs) -> None:
    """With other physics it is another rig."""
    runs.breaks = {"001": InstrumentError("the device hangs")}
    sweep = '[[sweeps]]\nname = "gain"\nkey = "rig.virtual.amplifier.gain"\nvalues = [1.0, 1.1]\n'
    _, record = carry_out('scenarios = ["healthy_biceps"]\nseeds = [1, 2]\n' + sweep)
    assert verdicts(record) == ["broken", "skipped", "pass", "pass"]


def test_a_safety_stop_ends_a_real_rig_and_only_a_cell_of_a_virtual_one(
    carry_out, runs, monkeypatch
) -> None:
    """What was made safe on a real bench wants a person."""
    runs.breaks = {"001": SafetyError("over the limit")}
    assert verdicts(carry_out(FOUR)[1]) == ["broken", "pass", "pass", "pass"]

    def real(name: object, *, overrides: object = ()) -> Rig:
        return virtual(name, overrides=overrides).model_copy(update={"kind": "bench"})

    from emgsim.campaigns.cells import load_rig as virtual

    monkeypatch.setattr("emgsim.campaigns.cells.load_rig", real)
    assert verdicts(carry_out(FOUR)[1]) == ["broken", "skipped", "skipped", "skipped"]


def test_the_command_that_prepares_a_rig_gets_the_labels(carry_out, runs) -> None:
    """Before each cell, with that cell's value."""
    text = 'scenarios = ["healthy_biceps"]\nprepare = "true {firmware}"\n'
    carry_out(text + '[[sweeps]]\nname = "firmware"\nvalues = ["1.2", "2 beta"]\n')
    assert runs.prepared == ["true 1.2", "true '2 beta'"]


def test_a_command_that_is_none_is_refused_before_anything_runs(carry_out, runs) -> None:
    """A misspelt program would break every cell."""
    with pytest.raises(UsageError, match="begins with no program"):
        carry_out('scenarios = ["healthy_biceps"]\nprepare = "no-such-program-at-all"\n')
    assert runs.made == []


def test_progress_tells_what_is_done_and_how_much_time_is_left(carry_out) -> None:
    """One line per cell; the last has nothing left."""
    told: list[str] = []
    carry_out(FOUR, progress=told.append)
    assert told[0].startswith("[1/4] 001-healthy_biceps-virtual-seed1  pass, 0 s, about ")
    assert told[0].endswith("left")
    assert told[3].startswith("[4/4] ")
    assert "left" not in told[3]
    assert told[4].startswith("report ")


def test_an_interrupted_campaign_keeps_what_it_had_and_goes_on(carry_out, runs) -> None:
    """Cells that are done are not run again; the one under way is resumed."""
    runs.breaks = {"003": KeyboardInterrupt()}
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        carry_out(FOUR, progress=told.append)
    folder = Path(told[-1].rpartition(" ")[2])
    assert told[-1].startswith("go on with: emgsim campaign run --resume ")
    table = json.loads((folder / "campaign.json").read_text())
    assert (table["status"], table["exit_code"]) == ("aborted", 130)
    assert [c["verdict"] for c in table["cells"]] == ["pass", "pass", "interrupted", "not_run"]

    runs.breaks, runs.made = {}, []
    _, record = resume_campaign(folder)
    assert verdicts(record) == 4 * ["pass"]
    assert [name[:3] for name in runs.resumed] == ["003"]
    assert [name[:3] for name in runs.made] == ["004"]
    assert (record.run.status, record.run.exit_code) == ("completed", 0)


def test_a_campaign_killed_between_any_two_lines_of_its_journal_goes_on(carry_out, runs) -> None:
    """The journal is cut after each line in turn; the end is always the same."""
    folder, record = carry_out('scenarios = ["healthy_biceps"]\nseeds = [1, 2]\n')
    lines = (folder / JOURNAL).read_text("utf-8").splitlines(keepends=True)
    for n in range(1, len(lines)):
        (folder / JOURNAL).write_text("".join(lines[:n]) + '{"kind": "sta', encoding="utf-8")
        again = resume_campaign(folder)[1]
        assert verdicts(again) == verdicts(record)
        assert again.run.exit_code == 0


def test_a_record_that_was_edited_is_no_completed_cell(carry_out, runs) -> None:
    """It is written anew from the run's journal."""
    folder, record = carry_out(FOUR)
    edited = folder / record.cells[1]["folder"] / RECORD
    before = edited.read_text("utf-8")
    edited.write_text(before.replace("1.5", "0.5"), encoding="utf-8")
    assert verdicts(conclude_campaign(folder))[1] == "interrupted"
    resume_campaign(folder)
    assert [name[:3] for name in runs.resumed] == ["002"]
    assert edited.read_text("utf-8") == before


def test_what_broke_or_was_skipped_is_tried_again_on_resume(carry_out, runs) -> None:
    """The rig was mended meanwhile; what was done before stays."""
    runs.breaks = {"002": InstrumentError("the cable is out")}
    folder, record = carry_out(FOUR)
    assert verdicts(record) == ["pass", "broken", "skipped", "skipped"]
    runs.breaks = {}
    record = resume_campaign(folder)[1]
    assert verdicts(record) == 4 * ["pass"]
    assert record.run.exit_code == 0
    assert [name[:3] for name in runs.made] == ["001", "002", "003", "004"]
    assert [name[:3] for name in runs.resumed] == ["002"]


def test_a_campaign_whose_files_have_changed_is_not_gone_on_with(
    tmp_path, write, runs, monkeypatch
) -> None:
    """Cells of before and after could not be pooled."""
    plain_page(monkeypatch)
    own = tmp_path / "own.toml"
    own.write_text(find("scenarios", "healthy_biceps").read_text("utf-8"), encoding="utf-8")
    campaign = load_campaign(write('scenarios = ["own.toml"]\n'))
    folder, _ = run_campaign(campaign, out=tmp_path / "out")
    own.write_text(own.read_text("utf-8").replace("level_mvc = 0.", "level_mvc = 0.1"), "utf-8")
    with pytest.raises(InputError, match="have changed since it was begun"):
        resume_campaign(folder)


def test_another_folder_than_a_campaigns_is_refused(carry_out, tmp_path: Path) -> None:
    """A single run is not a campaign, and nothing is no campaign; no journal is made there."""
    folder, record = carry_out(FOUR)
    with pytest.raises(InputError, match="not the folder of a campaign"):
        resume_campaign(folder / record.cells[0]["folder"])
    with pytest.raises(InputError, match="cannot read the journal"):
        resume_campaign(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_campaign_that_is_going_on_cannot_be_resumed(carry_out) -> None:
    """Two processes would run the same cells."""
    folder, _ = carry_out(FOUR)
    with Journal(folder), pytest.raises(UsageError, match="still going on"):
        resume_campaign(folder)


def test_what_is_left_is_told_from_the_same_scenario_else_from_a_guess(load, tmp_path) -> None:
    """A guess grows and shrinks with how long the cells took that were done."""
    cells = cells_of(load('scenarios = ["healthy_biceps", "healthy_fdi"]\n'), "here")
    times = Expected()
    assert times.left_s(cells) == pytest.approx(guess_s(cells[0]) + guess_s(cells[1]))
    times.done(cells[0], 2 * guess_s(cells[0]))
    assert times.cell_s(cells[0]) == pytest.approx(2 * guess_s(cells[0]))
    assert times.cell_s(cells[1]) == pytest.approx(2 * guess_s(cells[1]))
    assert Expected({"healthy_fdi": [10.0, 20.0]}).cell_s(cells[1]) == 15.0
    damaged = tmp_path / "old" / "campaign.json"
    damaged.parent.mkdir()
    damaged.write_text('{"cells": [{"sta', encoding="utf-8")
    assert earlier(tmp_path) == {}


def test_earlier_campaigns_tell_how_long_a_scenario_takes(carry_out) -> None:
    """From the records in the folder of campaigns."""
    folder, record = carry_out(FOUR)
    assert earlier(folder.parent) == {
        "healthy_biceps": [c["seconds"] for c in record.cells if c["seconds"]]
    } or not any(c["seconds"] for c in record.cells)


def test_the_journal_says_what_was_planned_and_each_cell_as_it_ends(carry_out) -> None:
    """Each line is there before the next cell begins."""
    folder, _ = carry_out('scenarios = ["healthy_biceps"]\nseeds = [1, 2]\n')
    lines = read_journal(folder)
    assert [x["kind"] for x in lines] == [
        "run_started", "stage", "file", "stage", "file", "run_ended"]  # fmt: skip
    assert [c["id"] for c in lines[0]["planned"]] == [lines[1]["name"], lines[3]["name"]]




def test_an_examination_is_pooled_by_the_runs_of_its_muscles(carry_out, runs) -> None:
    """Each muscle is a recording of its own; the examination has the verdict."""
    runs.scores = lambda _scenario, _rig: {"truth": [row(1, 9, 1)], "device": [row(1, 6, 4)]}
    text = 'scenarios = ["healthy_fdi"]\n[[sweeps]]\nname = "clock"\n'
    text += 'key = "rig.virtual.amplifier.clock_ppm"\nvalues = [0, 50]\n'
    _, record = carry_out(text)
    assert verdicts(record) == 2 * ["not_judged"]
    device = [x for x in record.detection if (x["axis"], x["path"]) == ("clock", "device")]
    n_muscles = len([name for name in runs.made if not name.startswith("00")]) // 2
    assert [p["of"] for p in device[0]["points"]] == 2 * [10 * n_muscles]
    assert record.run.exit_code == 0


def test_a_campaigns_folder_is_not_resumed_as_a_run(carry_out) -> None:
    """The error names the command that does it."""
    folder, _ = carry_out(FOUR)
    with pytest.raises(InputError) as info:
        resume(folder)
    assert "emgsim campaign run --resume" in info.value.todo
