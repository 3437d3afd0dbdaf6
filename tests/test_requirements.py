"""The traceability table: what has verified each requirement, and what has not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emgsim.cli import main
from emgsim.records.journal import Journal
from emgsim.records.record import RunRecord
from emgsim.records.requirements import traceability
from emgsim.report.page import write_page
from emgsim.report.sheet import write_sheet
from emgsim.verdict import Limit, Measurement, judge

F1 = "discharges.f1.device"


def measured(value: float, *ids: str, name: str = F1, low: float = 0.9) -> Measurement:
    """Return a measurement that has to be at least ``low`` for the requirements of the ids."""
    limit = Limit(measurement=name, low=low, unit="1", requirements=ids)
    return judge(Measurement(id=name, value=value, unit="1"), limit)


def record(*measurements: Measurement, **more: Any) -> RunRecord:
    """Return a completed run with what it has measured."""
    return RunRecord(run_id="r1", status="completed", measurements=measurements, **more)


def rows_of(*records: RunRecord) -> dict[str, Any]:
    """Return the table's rows by requirement."""
    return {row["requirement"]: row for row in traceability([one.table() for one in records])}


def test_a_requirement_has_the_worst_verdict_of_what_serves_it() -> None:
    """One measurement may serve several, and one requirement need several measurements."""
    one = record(
        measured(0.95, "SRS-1", "SRS-2"),
        measured(0.5, "SRS-2", name="discharges.f1.truth"),
        measured(0.5),  # it serves none
    )
    rows = rows_of(one)
    assert {id: row["verdict"] for id, row in rows.items()} == {"SRS-1": "pass", "SRS-2": "fail"}
    (evidence,) = rows["SRS-1"]["evidence"]
    assert evidence == {
        "run_id": "r1", "measurement": F1, "value": 0.95, "unit": "1", "low": 0.9, "high": None,
        "verdict": "pass", "note": "",
    }  # fmt: skip
    assert [e["measurement"] for e in rows["SRS-2"]["evidence"]] == [F1, "discharges.f1.truth"]


def test_what_could_not_be_told_is_not_verified() -> None:
    """A value that is none says nothing, whatever else has passed; a fail says more."""
    unknown = measured(float("nan"), "SRS-1", name="x")
    assert rows_of(record(measured(0.95, "SRS-1"), unknown))["SRS-1"]["verdict"] == "not_verified"
    assert rows_of(record(measured(0.1, "SRS-1"), unknown))["SRS-1"]["verdict"] == "fail"


def test_what_a_scenario_declares_and_its_run_never_measured_is_shown() -> None:
    """So a run that was cut short cannot hide what it owes."""
    limits = [{"measurement": F1, "low": 0.9, "requirement": ["SRS-1"]}]
    row = rows_of(RunRecord(status="aborted", scenario={"limits": limits}))["SRS-1"]
    assert row["verdict"] == "not_verified"
    assert row["evidence"][0]["verdict"] == "not_measured"
    whole = record(measured(0.95, "SRS-1"), scenario={"limits": limits})
    assert len(rows_of(whole)["SRS-1"]["evidence"]) == 1


def test_a_test_of_a_data_sheet_that_was_skipped_says_why() -> None:
    """A row of the sheet is served by any channel's reading; else it says why there is none."""
    sheet = {"gain.accuracy": {"requirement": ["SRS-1"]}, "cmrr.imbalance": {"requirement": ["A"]}}
    one = record(
        measured(1.0, "SRS-1", name="gain.accuracy.ch2"),
        device={"sheet": sheet},
        skipped=({"id": "cmrr", "why": "the fixture has no such state"},),
    )
    rows = rows_of(one)
    assert rows["SRS-1"]["verdict"] == "pass"
    assert rows["A"]["verdict"] == "not_verified"
    assert rows["A"]["evidence"][0]["note"] == "the fixture has no such state"


def test_an_examination_owes_what_its_muscles_are_to_show() -> None:
    """Under the muscle's name, whoever found it."""
    muscle = {
        "muscle": {"name": "deltoid"}, "shows": {"active_denervation": "yes"},
        "requirement": ["SRS-7"],
        "limits": [{"measurement": "runs.x.device", "requirement": ["B"]}],
    }  # fmt: skip
    shown = measured(0.9, "SRS-7", name="deltoid.active_denervation.yes.device", low=0.5)
    table = record(shown).table() | {"examination": {"muscles": [muscle]}}
    rows = {row["requirement"]: row for row in traceability([table])}
    assert (rows["SRS-7"]["verdict"], rows["B"]["verdict"]) == ("pass", "not_verified")
    assert rows["B"]["evidence"][0]["measurement"] == "deltoid.runs.x.device"


def test_many_runs_make_one_table() -> None:
    """In the order of the runs, each named; one that failed fails it."""
    good, bad = record(measured(0.95, "SRS-1")), record(measured(0.2, "SRS-1"))
    row = rows_of(good, replace(bad, run_id="r2"))["SRS-1"]
    assert [e["run_id"] for e in row["evidence"]] == ["r1", "r2"]
    assert [e["verdict"] for e in row["evidence"]] == ["pass", "fail"]
    assert row["verdict"] == "fail"


def test_the_record_has_the_table() -> None:
    """Readers of the JSON need not know the rules."""
    data = json.loads(record(measured(0.95, "SRS-1")).to_json())
    assert data["traceability"][0]["requirement"] == "SRS-1"


@pytest.mark.parametrize("write", [write_page, write_sheet])
def test_the_pages_show_the_table(write: Callable[..., Path], tmp_path: Path) -> None:
    """Of a run and of metrology, if there is a requirement; each beside its verdict."""
    limits = [{"measurement": "y", "low": 0.9, "requirement": ["SRS-9"]}]
    one = record(measured(0.95, "SRS-1"), scenario={"id": "s", "limits": limits})
    text = write(tmp_path, one).read_text("utf-8")
    rows = re.findall(r'rowgroup"[^>]*><code>(.*?)</code></th><td[^>]*>.*?>([a-z ]+)<', text)
    assert rows == [("SRS-1", "pass"), ("SRS-9", "not verified")]
    assert 'id="requirements"' not in write(tmp_path, record(measured(0.95))).read_text("utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Make a run's folder with its measurements."""

    def make(name: str, *measurements: Measurement) -> Path:
        with Journal(tmp_path / name) as journal:
            journal.append("run_started", run_id=name, scenario={"id": "s"})
            for one in measurements:
                journal.measurement(one)
            journal.append("run_ended", status="completed", exit_code=0)
        return tmp_path / name

    return make


@pytest.mark.parametrize(
    ("value", "code", "word"), [(0.95, 0, "pass"), (0.2, 1, "fail"), (float("nan"), 5, "verified")]
)
def test_the_command_tells_whether_all_are_verified(
    value: float, code: int, word: str, run: Callable[..., Path], capsys
) -> None:
    """By its exit code, so that a release waits for it; and in lines or as JSON."""
    folders = [run("a", measured(0.95, "SRS-1")), run("b", measured(value, "SRS-2"))]
    assert main(["requirements", *map(str, folders)]) == code
    assert word in capsys.readouterr().out.splitlines()[2]
    assert main(["requirements", *map(str, folders), "--json"]) == code
    rows = json.loads(capsys.readouterr().out)
    assert [row["requirement"] for row in rows] == ["SRS-1", "SRS-2"]


def test_runs_that_serve_no_requirement_verify_nothing(run: Callable[..., Path], capsys) -> None:
    """An empty table is no proof."""
    assert main(["requirements", str(run("a", measured(0.95)))]) == 5
    assert "names a requirement" in capsys.readouterr().err
