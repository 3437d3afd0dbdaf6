"""The journal and the record folded from it: whatever happened last, what came before is kept."""

import fcntl
import json
import math
import os
import resource
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.errors import InputError, UsageError
from emgsim.records.journal import JOURNAL, Journal, digest, is_written, read_journal, write_whole
from emgsim.records.record import RunRecord, fold
from emgsim.verdict import Limit, Measurement, judge

LIMIT = Limit(measurement="amplitude.error_pct.device", low=-1.0, high=1.0, unit="%")
MEASUREMENT = judge(
    Measurement(id="amplitude.error_pct.device", value=0.2, unit="%", low=0.1, high=0.3), LIMIT
)


def whole_run(journal: Journal) -> None:
    """Write one line of every kind, as a run does."""
    journal.append("run_started", run_id="r1", started="2026-01-01T00:00:00+00:00", seed=7,
                   scenario={"id": "s"}, rig={"id": "virtual"}, versions={"numpy": "2"},
                   checkout={"commit": "c0ffee", "is_dirty": False}, host={"cores": 2},
                   digests={"scenario": "cd"}, previous={"run_id": "r0", "sha256": "ef"},
                   prepare={"command": "flash", "timeout_s": 9.0})
    journal.append("prepare", values={"command": "flash", "exit_status": 0})
    journal.append("arm", values={"by": "someone"})
    journal.append("stage", name="simulate", seconds=0.5)
    journal.append("identity", role="source", maker="K", model="33522B", serial="1", firmware="2")
    journal.append("plan", values={"vpp_open_v": np.float64(2.052), "n_points": np.int64(5)})
    journal.append("capture", path="device", file=Path("wave/device.npz"), n_samples=3, gaps=[])
    journal.append("file", name="wave/device.npz", sha256="ab")
    journal.append("alignment", path="device", values={"windows": np.zeros((2, 2))})
    journal.append("diagnosis", name="hang-up", path="device", part="link", start_s=None,
                   text="device: hang-up")
    journal.append("budget", path="device", rows=[{"name": "total", "uv_rms": 1.5}])
    journal.append("findings", path="device", file="findings-device.json", n_units=4)
    journal.append("score", path="device", rows=[{"unit": 1, "f1": 0.9}])
    journal.measurement(MEASUREMENT)
    journal.measurement(replace(MEASUREMENT, id="noise.added_uv.device", limit=None,
                                verdict="not_judged"))
    journal.append("safe_state", confirmed=True)
    journal.append("spool", name="wave/played.npz", sha256="cd")
    journal.append("error", what="w", where="here", todo="t", exit_code=4)
    journal.append("run_ended", status="aborted", exit_code=4, ended="2026-01-01T00:00:30+00:00")
    journal.append("resumed", when="2026-01-01T00:00:40+00:00", host={"cores": 2}, done=["play"])
    journal.measurement(replace(MEASUREMENT, id="noise.added_uv.device", value=0.3, limit=None,
                                verdict="not_judged"))
    journal.append("run_ended", status="completed", exit_code=0, ended="2026-01-01T00:01:00+00:00")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Return the lines of a whole run as they are read back."""
    folder = tmp_path_factory.mktemp("run")
    with Journal(folder) as journal:
        whole_run(journal)
    return read_journal(folder)


def test_a_diagnosis_stands_while_the_alignment_that_it_belongs_to_does(lines):
    """It is kept by a run that goes on behind the alignment, and else made anew."""
    told = next(n for n, line in enumerate(lines) if line["kind"] == "diagnosis")
    assert [row["name"] for row in fold(lines[: told + 1]).diagnoses] == ["hang-up"]
    resumed = next(line for line in lines if line["kind"] == "resumed")
    kept = [*lines[: told + 1], {**resumed, "done": ["play", "align"]}]
    assert [row["name"] for row in fold(kept).diagnoses] == ["hang-up"]
    assert fold([*kept, resumed]).diagnoses == ()


def test_every_kind_of_line_has_its_place_in_the_record(lines):
    """Nothing that was written is lost in the fold."""
    record = fold(lines)
    assert (record.run_id, record.seed) == ("r1", 7)
    assert (record.status, record.exit_code) == ("completed", 0)
    assert record.output_off is True
    assert record.scenario == {"id": "s"}
    assert record.identities["source"]["model"] == "33522B"
    assert record.plan == {"vpp_open_v": 2.052, "n_points": 5}
    assert record.captures["device"]["file"] == "wave/device.npz"
    assert record.files == {"wave/device.npz": "ab"}
    assert record.alignments["device"] == {"windows": [[0.0, 0.0], [0.0, 0.0]]}
    assert record.diagnoses == ()  # resumed behind its playback: it is diagnosed anew
    assert record.budgets["device"][-1]["uv_rms"] == 1.5
    assert record.findings["device"]["n_units"] == 4
    assert record.scores["device"] == [{"unit": 1, "f1": 0.9}]
    assert record.measurements[0] == MEASUREMENT
    assert [m.id for m in record.measurements] == [MEASUREMENT.id, "noise.added_uv.device"]
    assert record.stages == ({"name": "simulate", "seconds": 0.5},)
    assert record.errors[0]["exit_code"] == 4
    assert record.verdict == "pass"
    assert record.checkout["commit"] == "c0ffee"
    assert record.digests == {"scenario": "cd"}
    assert record.previous["run_id"] == "r0"
    assert record.prepare == {"command": "flash", "exit_status": 0}
    assert record.arm == {"by": "someone"}
    assert record.resumed[0]["done"] == ["play"]


def test_of_two_measurements_of_one_id_the_later_one_counts(lines):
    """It stands where the first one stood, so that the order is that of a run without repeats."""
    ids = [line["id"] for line in lines if line["kind"] == "measurement"]
    assert ids == [MEASUREMENT.id, "noise.added_uv.device", "noise.added_uv.device"]
    record = fold(lines)
    assert [(m.id, m.value) for m in record.measurements] == [
        (MEASUREMENT.id, 0.2), ("noise.added_uv.device", 0.3)]


@given(data=st.data())
def test_any_prefix_of_a_journal_folds(lines, data):
    """A run may die after any line: the record is aborted and holds all that came before."""
    n = data.draw(st.integers(0, len(lines)))
    record = fold(lines[:n])
    if record.exit_code is not None and n < len(lines):
        assert (lines[n - 1]["kind"], record.exit_code) == ("run_ended", 4)
    assert record.status == ("completed" if n == len(lines) else "aborted")
    assert record.verdict == ("pass" if n == len(lines) else "aborted")
    made = {row["id"]: row["value"] for row in lines[:n] if row["kind"] == "measurement"}
    assert {m.id: m.value for m in record.measurements} == made
    assert record.seed == (7 if n else 0)
    confirmed = any(row["kind"] == "safe_state" for row in lines[:n])
    assert record.output_off is (True if confirmed else None)  # never claimed, only recorded
    assert json.loads(record.to_json())["verdict"] == record.verdict


@given(data=st.data())
def test_a_journal_cut_anywhere_loses_at_most_its_last_line(lines, tmp_path_factory, data):
    """A disk that was full in mid-line costs that line and nothing else."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    cut = data.draw(st.integers(0, len(text)))
    folder = tmp_path_factory.mktemp("cut")
    (folder / JOURNAL).write_text(text[:cut], "utf-8")
    found = read_journal(folder)
    assert found == lines[: len(found)]
    assert text[:cut].count("\n") <= len(found) <= text[:cut].count("\n") + 1
    fold(found)


def test_an_aborted_run_says_so_with_what_it_had(lines):
    """A run that ended with an error folds to aborted, its measurements kept."""
    ended = {"kind": "run_ended", "status": "aborted", "exit_code": 4, "ended": "now"}
    record = fold([*lines[:-1], ended])
    assert (record.status, record.verdict, record.exit_code) == ("aborted", "aborted", 4)
    assert record.measurements[0].verdict == "pass"


def test_no_journal_at_all_is_an_aborted_run():
    """The fold of nothing is a record that claims nothing."""
    assert fold([]) == RunRecord(status="aborted")


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (["pass", "fail", "inconclusive"], "fail"),
        (["pass", "inconclusive", "conditional_fail"], "inconclusive"),
        (["conditional_pass", "conditional_fail"], "conditional_fail"),
        (["pass", "conditional_pass", "not_judged"], "conditional_pass"),
        (["pass", "not_judged"], "pass"),
        (["not_judged"], "not_judged"),
        ([], "not_judged"),
    ],
)
def test_the_verdict_is_the_worst_of_all(verdicts, worst):
    """One bad measurement is not outvoted by many good ones."""
    measurements = tuple(replace(MEASUREMENT, verdict=verdict) for verdict in verdicts)
    assert RunRecord(status="completed", measurements=measurements).verdict == worst


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_becomes_null_and_comes_back_as_nan(tmp_path, value):
    """JSON has neither NaN nor infinity; what could not be measured never passes."""
    missing = judge(Measurement(id=LIMIT.measurement, value=value, unit="%"), LIMIT)
    with Journal(tmp_path) as journal:
        journal.measurement(missing)
    text = (tmp_path / JOURNAL).read_text("utf-8")
    assert '"value": null' in text
    assert "NaN" not in text
    assert "Infinity" not in text
    (measurement,) = fold(read_journal(tmp_path)).measurements
    assert math.isnan(measurement.value)
    assert measurement.verdict != "pass"


def test_a_record_with_a_missing_measurement_can_be_written():
    """The record of a run with a measurement that was not made is JSON, with null in its place."""
    record = RunRecord(measurements=(replace(MEASUREMENT, value=math.nan),))
    assert json.loads(record.to_json())["measurements"][0]["value"] is None


def test_a_line_with_a_number_that_is_none_is_refused(tmp_path):
    """Other lines may not hold NaN: better a loud error than a file no reader takes."""
    with Journal(tmp_path) as journal, pytest.raises(ValueError, match="JSON compliant"):
        journal.append("plan", values={"vpp_open_v": math.nan})
    assert read_journal(tmp_path) == []


def test_a_line_that_is_no_data_is_refused(tmp_path):
    """An object of no known kind is a programming mistake, named with its type."""
    with Journal(tmp_path) as journal, pytest.raises(TypeError, match="cannot hold a set"):
        journal.append("plan", values={1})
    assert read_journal(tmp_path) == []


def test_the_record_is_the_same_text_every_time_and_in_any_order_of_keys(lines):
    """The record depends on what the journal says, not on the order of a dictionary."""
    backwards = [dict(reversed(line.items())) for line in lines]
    assert fold(lines).to_json() == fold(lines).to_json() == fold(backwards).to_json()
    assert fold(lines).to_json().endswith("}\n")


def test_the_records_json_holds_every_field(lines):
    """Nothing is left out of record.json, and it says which schema it follows."""
    record = fold(lines)
    table = json.loads(record.to_json())
    assert table["schema"] == "emgsim.run/1"
    in_measurements = {"readings"}
    assert set(table) == set(RunRecord.__dataclass_fields__) - in_measurements | {
        "schema", "verdict", "traceability"}
    assert table["measurements"][0]["limit"]["high"] == 1.0


def test_each_line_is_on_the_disk_before_append_returns(tmp_path):
    """Another reader sees the line while the journal is still open."""
    with Journal(tmp_path) as journal:
        for n in range(3):
            journal.append("stage", name=str(n), seconds=0.0)
            assert len(read_journal(tmp_path)) == n + 1


def test_a_journal_is_appended_to_and_never_rewritten(tmp_path):
    """Opening a folder again keeps what it holds."""
    for name in ("one", "two"):
        with Journal(tmp_path) as journal:
            journal.append("stage", name=name, seconds=0.0)
    assert [line["name"] for line in read_journal(tmp_path)] == ["one", "two"]


def test_a_journal_that_was_edited_names_the_line(tmp_path):
    """Only the last line may be broken; another one is no crash but a hand."""
    (tmp_path / JOURNAL).write_text('{"kind": "stage"}\nbroken\n{"kind": "stage"}\n', "utf-8")
    with pytest.raises(InputError, match="line 2 is no line of a journal") as caught:
        read_journal(tmp_path)
    assert caught.value.where == str(tmp_path / JOURNAL)


def test_a_folder_without_a_journal_is_an_input_error(tmp_path):
    """The message names the file that was looked for."""
    with pytest.raises(InputError, match="cannot read the journal") as caught:
        read_journal(tmp_path)
    assert caught.value.exit_code == 3
    assert JOURNAL in caught.value.where


def test_a_digest_is_the_sha_256_of_the_bytes(tmp_path):
    """The well-known digest of three letters."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert digest(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_torn_last_line_is_cut_off_before_the_next_one(tmp_path):
    """Half a line would spoil the whole one behind it; all that came before it stays."""
    whole = '{"kind": "stage", "name": "one", "seconds": 0.0}\n'
    for torn in ('{"kind": "sta', "\0\0\0", '{"kind"', "\xff"):
        (tmp_path / JOURNAL).write_bytes(whole.encode() + torn.encode("latin-1"))
        with Journal(tmp_path) as journal:
            journal.append("stage", name="two", seconds=0.0)
        assert [line["name"] for line in read_journal(tmp_path)] == ["one", "two"]
        assert (tmp_path / JOURNAL).read_text("utf-8").startswith(whole)


def test_a_whole_last_line_that_lacks_its_end_is_kept(tmp_path):
    """It was written, all but its last byte: nothing is lost."""
    (tmp_path / JOURNAL).write_text('{"kind": "stage", "name": "one", "seconds": 0.0}', "utf-8")
    with Journal(tmp_path) as journal:
        journal.append("stage", name="two", seconds=0.0)
    assert [line["name"] for line in read_journal(tmp_path)] == ["one", "two"]


def test_a_kind_that_nobody_knows_is_not_written_and_is_passed_over(tmp_path, lines):
    """Strict on writing, tolerant on reading: a journal of a later version still folds."""
    with Journal(tmp_path) as journal, pytest.raises(ValueError, match="got 'measurment'"):
        journal.append("measurment", id="x")
    assert read_journal(tmp_path) == []
    strange = [{**lines[0], "weather": "fine"}, {"kind": "omen", "values": 1}, *lines[1:]]
    assert fold(strange) == fold(lines)


@pytest.mark.parametrize("row", ["[]", "7", '{"name": "x"}', '{"kind": 3}', "\xff"])
def test_a_line_that_is_no_journals_is_refused(tmp_path, row):
    """Whatever stands there, one clear error names the line."""
    text = f'{{"kind": "stage"}}\n{row}\n'
    (tmp_path / JOURNAL).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="line 2 is no line of a journal"):
        read_journal(tmp_path)


def test_a_journal_has_one_writer(tmp_path):
    """A second one is refused while the first is open, and may write when it is closed."""
    with Journal(tmp_path) as journal:
        with pytest.raises(UsageError, match="still going on") as caught:
            Journal(tmp_path)
        journal.append("stage", name="one", seconds=0.0)
        assert is_written(tmp_path)
    assert caught.value.todo
    assert not is_written(tmp_path)
    assert not is_written(tmp_path / "nowhere")
    Journal(tmp_path).close()


def test_a_look_at_a_journal_keeps_nobody_from_writing_it(tmp_path):
    """Whoever lists the runs at the moment when one begins holds its journal for an instant."""
    (tmp_path / JOURNAL).touch()
    with (tmp_path / JOURNAL).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        leave = threading.Timer(0.03, fcntl.flock, (file, fcntl.LOCK_UN))
        leave.start()
        Journal(tmp_path).close()
        leave.join()


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path):
    """The line is refused with what to do, and the next one does not stand behind half of it."""
    with Journal(tmp_path) as journal:
        journal.append("stage", name="one", seconds=0.0)
        size = (tmp_path / JOURNAL).stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
        try:
            with pytest.raises(UsageError, match="the journal: File too large") as told:
                journal.append("stage", name="two", seconds=0.0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "emgsim runs prune" in told.value.todo
        journal.append("stage", name="three", seconds=0.0)
    assert [line["name"] for line in read_journal(tmp_path)] == ["one", "three"]


def test_the_disk_has_line_file_and_folder_before_the_run_goes_on(tmp_path, monkeypatch):
    """The journal's lines, what they name, and the entries in the folders."""
    synced = []

    def fsync(number):
        synced.append(os.readlink(f"/proc/self/fd/{number}"))

    monkeypatch.setattr("os.fsync", fsync)
    folder = tmp_path / "run"
    with Journal(folder) as journal:
        assert synced == [str(folder), str(tmp_path)]
        journal.append("stage", name="one", seconds=0.0)
        assert synced[2:] == [str(folder / JOURNAL)]
        (folder / "a.npz").write_bytes(b"abc")
        journal.file("a.npz")
        assert synced[3:] == [str(folder / "a.npz"), str(folder / JOURNAL)]
    assert fold(read_journal(folder)).files == {"a.npz": digest(folder / "a.npz")}


def test_a_report_is_there_whole_or_not_at_all(tmp_path):
    """Its name is given to it when it is finished."""
    (tmp_path / "record.json").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "record.json", "new \ud800")
    assert (tmp_path / "record.json").read_text() == "old"
    write_whole(tmp_path / "record.json", "new")
    assert (tmp_path / "record.json").read_text() == "new"


def test_requirements_are_kept_and_a_journal_without_them_is_read(tmp_path: Path):
    """Also one with keys that a later version may write."""
    limit = replace(LIMIT, requirements=("SRS-1", "SRS-2"))
    with Journal(tmp_path) as journal:
        journal.measurement(judge(MEASUREMENT, limit))
    (line,) = read_journal(tmp_path)
    assert fold([line]).measurements[0].limit == limit
    assert json.loads(fold([line]).to_json())["measurements"][0]["limit"]["requirements"] == [
        "SRS-1", "SRS-2"]
    del line["limit"]["requirements"]
    later = {**line, "later": 1, "limit": {**line["limit"], "later": 2}}
    assert fold([later]).measurements[0].limit == LIMIT
