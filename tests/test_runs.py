"""The folders of runs: listed, compared, and the oldest taken away; nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.cli import main
from emgsim.errors import InputError, UsageError
from emgsim.records.difference import comparable, differences
from emgsim.records.folders import Run, record_table, remove, runs_of, superfluous
from emgsim.records.journal import JOURNAL, Journal, is_written
from emgsim.records.record import RECORD
from emgsim.report.diff_table import diff_table
from emgsim.verdict import Limit, Measurement, judge

LIMIT = Limit(measurement="gain.device", low=-1.0, high=1.0, unit="%")


def measured(value: float = 0.5, id: str = "gain.device") -> Measurement:
    """Return a measurement, judged if it is the gain."""
    one = Measurement(id=id, value=value, unit="%")
    return judge(one, LIMIT) if id == LIMIT.measurement else one


def make_run(out: Path, day: int, *, n_bytes: int = 1000, ended: bool = True, **first: Any) -> Path:
    """Make the folder of a run of some size, begun on a day of January."""
    folder = out / f"202601{day:02d}T000000000Z-biceps-virtual"
    with Journal(folder) as journal:
        begin = {
            "run_id": folder.name, "started": f"2026-01-{day:02d}T00:00:00+00:00", "seed": 7,
            "scenario": {"id": "biceps", "phases": [{"duration_s": 2.0}]}, "rig": {"id": "virtual"},
            "versions": {"numpy": "2.0"}, "host": {"cores": day},
        }  # fmt: skip
        journal.append("run_started", **begin | first)
        journal.measurement(measured())
        journal.measurement(measured(3.0, "noise.device"))
        (folder / "wave").mkdir()
        (folder / "wave" / "truth.npz").write_bytes(bytes(n_bytes))
        if ended:
            journal.append("run_ended", status="completed", exit_code=0, ended="later")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a folder with four runs of four days, about 1, 2, 3 and 4 MB, and other things."""
    folder = tmp_path / "runs"
    for day in (3, 1, 4, 2):
        make_run(folder, day, n_bytes=1_000_000 * day)
    (folder / "notes.txt").write_text("mine")
    (folder / "20200101-mine").mkdir()
    (folder / "20200101-mine" / "thesis.tex").write_text("all of it")
    (folder / "20200102-journal").mkdir()
    (folder / "20200102-journal" / JOURNAL).write_text('{"kind": "diary"}\n')
    return folder


def days(runs: list[Run]) -> list[int]:
    """Return the days of runs."""
    return [int(run.started[8:10]) for run in runs]


def test_runs_are_listed_the_newest_first(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each with its status, verdict and size; what is no run is none."""
    found = runs_of(out)
    assert days(found) == [4, 3, 2, 1]
    assert {(run.status, run.verdict) for run in found} == {("completed", "pass")}
    assert [round(run.n_bytes / 1e6) for run in found] == [4, 3, 2, 1]
    assert main(["runs", "list", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["20260104T000000000Z-biceps-virtual", "completed", "pass", "4.0",
                                "MB"]  # fmt: skip
    assert lines[-1] == "4 runs, 10.0 MB"


def test_a_run_without_an_end_is_aborted_or_still_running(out: Path) -> None:
    """Whoever writes it holds its journal; when he dies the kernel lets go of it."""
    folder = make_run(out, 5, ended=False)
    assert (runs_of(out)[0].status, runs_of(out)[0].verdict) == ("aborted", "aborted")
    with Journal(folder):
        assert is_written(folder)
        assert (runs_of(out)[0].status, runs_of(out)[0].verdict) == ("running", "–")
    assert not is_written(folder)


@pytest.mark.parametrize(
    ("keep", "max_gb", "gone"),
    [
        (1, None, [1, 2, 3]), (4, None, []), (9, None, []), (2, None, [1, 2]),
        (1, 0.0071, [1, 2]), (1, 0.0069, [1, 2, 3]), (1, 0.02, []), (3, 0.001, [1]),
        (1, 0.0091, [1]),
    ],
)  # fmt: skip
def test_the_newest_are_kept_and_those_that_fit(
    out: Path, keep: int, max_gb: float | None, gone: list[int]
) -> None:
    """So many in any case, older ones up to the quota; what is kept has no holes in time."""
    assert days(superfluous(runs_of(out), keep, max_gb)) == gone


@given(
    sizes=st.lists(st.integers(0, 3_000_000_000), max_size=12),
    keep=st.integers(1, 5),
    max_gb=st.none() | st.floats(0.001, 10),
    running=st.sets(st.integers(0, 11)),
)
def test_pruning_keeps_what_it_promises(
    sizes: list[int], keep: int, max_gb: float | None, running: set[int]
) -> None:
    """For any runs: the newest and the running are kept, and no more than fit are added."""
    runs = [
        Run(folder=Path(str(k)), run_id=str(k), started="", is_running=k in running, status="",
            verdict="", n_bytes=n) for k, n in enumerate(sizes)
    ]  # fmt: skip
    gone = superfluous(runs, keep, max_gb)
    kept = [run for run in runs if run not in gone]
    assert not [run for run in gone if run.is_running]
    assert runs[:keep] == [run for run in runs[:keep] if run in kept]
    free = [run for run in kept[keep:] if not run.is_running]
    if max_gb is None:
        assert not free
    elif free:
        last = runs.index(free[-1])
        assert sum(run.n_bytes for run in runs[: last + 1] if run in kept) <= 1e9 * max_gb
        assert all(run in kept for run in runs[:last])


@pytest.mark.parametrize(("keep", "max_gb"), [(0, None), (-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_a_quota_that_keeps_nothing_is_refused(
    out: Path, keep: int, max_gb: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong use, and everything is still there."""
    with pytest.raises(UsageError, match="must be"):
        superfluous(runs_of(out), keep, max_gb)
    quota = [] if max_gb is None else [f"--max-gb={max_gb}"]
    assert main(["runs", "prune", f"--keep={keep}", *quota, "--out", str(out)]) == 2
    assert "must be" in capsys.readouterr().err
    assert len(runs_of(out)) == 4


def test_pruning_tells_what_it_does_and_touches_nothing_else(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run says it all and does nothing; links are not followed, strangers not touched."""
    elsewhere = make_run(tmp_path / "elsewhere", 1)
    (out / "20200103-link").symlink_to(elsewhere)
    oldest = out / "20260101T000000000Z-biceps-virtual"
    (oldest / "wave" / "link").symlink_to(elsewhere)
    (oldest / "whole").symlink_to(elsewhere)
    (oldest / "link.npz").symlink_to(elsewhere / "wave" / "truth.npz")
    words = ["runs", "prune", "--keep", "1", "--max-gb", "0.0091", "--out", str(out)]
    assert main([*words, "--dry-run"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"would remove {oldest}        1.0 MB",
        "1 of 4 runs, 1.0 MB would be freed; 9.0 MB are kept",
    ]  # fmt: skip
    assert oldest.is_dir()
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 4 runs, 1.0 MB freed; 9.0 MB are kept"
    assert not oldest.exists()
    assert days(runs_of(out)) == [4, 3, 2]
    assert (elsewhere / "wave" / "truth.npz").is_file()
    assert (out / "20200103-link" / JOURNAL).is_file()
    for name in ("notes.txt", "20200101-mine/thesis.tex", f"20200102-journal/{JOURNAL}"):
        assert (out / name).is_file()


def test_a_run_that_goes_on_is_not_removed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither by the rule, nor if it began to go on in the meantime."""
    running = out / "20260101T000000000Z-biceps-virtual"
    with Journal(running):
        assert main(["runs", "prune", "--keep", "1", "--out", str(out)]) == 0
        assert days(runs_of(out)) == [4, 1]
        stale = Run(folder=running, run_id="", started="", is_running=False, status="",
                    verdict="", n_bytes=0)  # fmt: skip
        with pytest.raises(UsageError, match="still going on"):
            remove(stale)
        words = ["runs", "prune", "--keep", "1", "--max-gb", "0.001", "--out", str(out)]
        assert main(words) == 0
        assert "more than 0.001 GB are kept" in capsys.readouterr().err
    assert (running / "wave" / "truth.npz").is_file()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [("nowhere", InputError, "no such folder of runs"),
     ("runs/20260101T000000000Z-biceps-virtual", UsageError, "the folder of one run")],
)  # fmt: skip
def test_what_is_no_folder_of_runs_is_refused(
    out: Path, name: str, kind: type[Exception], said: str
) -> None:
    """An examination's folder holds runs too, and they are parts of it."""
    with pytest.raises(kind, match=said):
        runs_of(out.parent / name)


# -- differences -----------------------------------------------------------------------------------


def test_circumstances_are_no_difference(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two days, two machines: equal, exit code 0."""
    one, other = runs_of(out)[0].folder, runs_of(out)[1].folder
    assert main(["diff", str(one), str(other)]) == 0
    assert capsys.readouterr().out == "the runs are equal: 2 of 2 measurements are equal\n"


def test_what_an_interruption_leaves_is_no_difference(out: Path) -> None:
    """Errors, what a broken playback left, logs, and the time that it took."""
    table = record_table(runs_of(out)[0].folder)
    other = json.loads(json.dumps(table))
    other["errors"] = [{"what": "the cable was pulled"}]
    other["captures"]["device_raw_2"] = {"n_samples": 5}
    other["files"] |= {
        "wave/device_raw.npz": "ab",
        "detector-truth.log": "cd",
        "m/record.json": "e",
    }
    other["resumed"] = [{"done": []}]
    other["prepare"] = {"seconds": 3.0, "output": "flashed"}
    assert differences(table, other).is_equal
    assert comparable(table) == comparable(other)


CHANGES = [
    ({"seed": 8}, ["seed", "7 -> 8"]),
    ({"scenario": {"id": "biceps", "phases": [{"duration_s": 3.0}]}},
     ["scenario.phases[0].duration_s", "2.0 -> 3.0"]),
    ({"scenario": {"id": "biceps", "phases": []}},
     ["scenario.phases", '[{"duration_s": 2.0}] -> []']),
    ({"rig": {"id": "virtual", "limits": {"max_on_s": 9}}},
     ["rig.limits", '– -> {"max_on_s": 9}']),
    ({"versions": {"numpy": "2.1"}}, ["versions.numpy", "2.0 -> 2.1"]),
    ({"checkout": {"commit": "ab"}}, ["checkout.commit", "– -> ab"]),
    ({"detector": {"name": "mine"}}, ["detector.name", "– -> mine"]),
]  # fmt: skip


@pytest.mark.parametrize(("first", "row"), CHANGES)
def test_a_setting_that_differs_is_told_with_its_path(
    out: Path, first: dict[str, Any], row: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Old and new, and nothing of what is equal but its number; exit code 1."""
    other = make_run(out, 9, **first)
    assert main(["diff", str(runs_of(out)[1].folder), str(other)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  ".join(row), "", "2 of 2 measurements are equal"]


def test_a_measurement_that_differs_is_told_with_its_change(out: Path) -> None:
    """Value, change and verdict; one that is missing, and one that is no number."""
    table = record_table(runs_of(out)[0].folder)
    other = json.loads(json.dumps(table))
    gain, noise = other["measurements"]
    gain |= {"value": 2.0, "verdict": "fail"}
    noise["value"] = None
    table["measurements"].append({**noise, "id": "gone"})
    other["measurements"].append({**noise, "id": "new", "value": 1.0})
    other["verdict"], other["exit_code"] = "fail", 1
    found = differences(table, other)
    assert (found.is_equal, found.n_equal) == (False, 0)
    rows = [line.split("  ") for line in diff_table(found).splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["exit_code", "0 -> 1"], ["verdict", "pass -> fail"], [],
        ["measurement", "old", "new", "change", "unit", "verdict"],
        ["gain.device", "0.5", "2", "+1.5 (+3e+02 %)", "%", "pass -> fail"],
        ["noise.device", "3", "–", "%", "reported"],
        ["gone", "–", "–", "%", "reported -> –"],
        ["new", "–", "1", "%", "– -> reported"],
        [], ["0 of 4 measurements are equal"],
    ]  # fmt: skip


def test_another_order_of_measurements_is_a_difference(out: Path) -> None:
    """A run that is gone on with has them in the order of one that was not."""
    table = record_table(runs_of(out)[0].folder)
    found = differences(table, {**table, "measurements": table["measurements"][::-1]})
    assert found.others == {"order of measurements": 2}
    assert not found.is_equal


def test_what_differs_elsewhere_is_counted(out: Path) -> None:
    """No wall of text: scores, captures and files are numbers of values."""
    table = record_table(runs_of(out)[0].folder)
    old = {**table, "scores": {"device": [{"unit": 1, "f1": 0.9}, {"unit": 2, "f1": 0.8}]}}
    new = {**table, "scores": {"device": [{"unit": 1, "f1": 0.7}, {"unit": 2, "f1": 0.6}]}}
    found = differences(old, new)
    assert found.others == {"scores": 2}
    assert "values that differ elsewhere: 2 of scores\n" in diff_table(found)
    many = {**table, "scenario": {str(k): k for k in range(50)}}
    assert "scenario: 32 more values differ" in diff_table(differences(table, many))


def test_an_examination_is_compared_by_its_own_record(out: Path) -> None:
    """Its journal has no measurements; without a record it is not yet complete."""
    exam = {"schema": "emgsim.examination/1", "id": "x"}
    folder = make_run(out, 9, scenario=exam)
    with pytest.raises(InputError, match="no record yet"):
        record_table(folder)
    assert runs_of(out)[0].verdict == "–"
    (folder / RECORD).write_text('{"verdict": "fail"}')
    assert record_table(folder) == {"verdict": "fail"}
    assert runs_of(out)[0].verdict == "fail"
