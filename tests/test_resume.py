"""A run that was interrupted, anywhere, is gone on with and ends as if nothing had happened.

The kills are those of ``benchmarks/resume.py``. The other tests cut the journal of a whole run at a
line, as a crash does.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.station import Station, open_station
from emgsim.cli import main
from emgsim.errors import EmgsimError, InputError, InstrumentError, LinkError, UsageError
from emgsim.records.difference import differences
from emgsim.records.journal import JOURNAL, Journal, Line, read_journal
from emgsim.records.record import RECORD, RunRecord, fold
from emgsim.running.resuming import STAGES, done_of
from emgsim.running.run import REPORTS, resume, run
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import lasting

PATH = Path(__file__).parents[1] / "benchmarks" / "resume.py"
SPEC = importlib.util.spec_from_file_location("resume_kills", PATH)
assert SPEC is not None
assert SPEC.loader is not None
kills = sys.modules["resume_kills"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(kills)

PLANS = kills.draw(6, seed=7)

pytestmark = pytest.mark.usefixtures("own_signals")


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """Make the run that nobody interrupts."""
    with kills.bench() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS, ids=lambda p: f"{p.number}")
def test_a_killed_run_loses_at_most_one_measurement_and_ends_like_the_whole_one(
    bench: Any, plan: Any
) -> None:
    """SIGKILL at a drawn point, once or twice; then it is gone on with."""
    outcome = bench.kill(plan)
    assert outcome.mistakes == []
    assert outcome.exit_code == kills.record_of(bench.whole)["exit_code"]


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """Half a second of rest and two of effort, with its limits."""
    scenario = load_scenario("healthy_biceps")
    rest, hold = scenario.phases
    phases = (rest.model_copy(update={"duration_s": 0.5}), hold)
    return lasting(scenario.model_copy(update={"phases": phases}), 2.5)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the command of a quick detector."""
    script = tmp_path_factory.mktemp("detector") / "detector.py"
    script.write_text(kills.DETECTOR, encoding="utf-8")
    return f"{sys.executable} {script}"


@pytest.fixture(autouse=True)
def _plain_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures out: they cost more than all else."""

    def write(folder: Path, record: RunRecord) -> Path:
        (folder / "report.html").write_text(record.run_id)
        return folder / "report.html"

    monkeypatch.setattr("emgsim.report.page.write_page", write)


class DeathError(BaseException):
    """Stands for the end of the process: whoever writes on afterwards dies as well."""


def die_after(monkeypatch: pytest.MonkeyPatch, is_last: Callable[[Line], bool]) -> None:
    """Let no line be journalled behind one of a kind."""
    append, dead = Journal.append, []

    def until(self: Journal, kind: str, **data: Any) -> None:
        if dead:
            raise DeathError
        append(self, kind, **data)
        if is_last({"kind": kind, **data}):
            dead.append(kind)

    monkeypatch.setattr(Journal, "append", until)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, scenario: Scenario, detector: str) -> Path:
    """Return the folder of a run that died when its playback was over and the output off."""
    out = tmp_path_factory.mktemp("played")
    with pytest.MonkeyPatch.context() as patch:
        die_after(patch, lambda line: line["kind"] == "safe_state")
        with pytest.raises(DeathError):
            run(scenario, load_rig("virtual"), out=out, detector=detector)
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="module")
def whole(played: Path, tmp_path_factory: pytest.TempPathFactory, scenario: Scenario,
          detector: str) -> Path:  # fmt: skip
    """Return the folder of the run that nobody interrupted."""
    folder, _ = run(
        scenario, load_rig("virtual"), out=tmp_path_factory.mktemp("whole"), detector=detector
    )
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[..., Path]:
    """Return a copier of a run's folder, its journal cut behind a line."""

    def copied(folder: Path, n_lines: int | None = None) -> Path:
        copy = tmp_path / "run"
        shutil.copytree(folder, copy)
        if n_lines is not None:
            rows = (copy / JOURNAL).read_bytes().splitlines(keepends=True)
            (copy / JOURNAL).write_bytes(b"".join(rows[:n_lines]) + rows[n_lines][:30])
            for name in REPORTS:
                (copy / name).unlink(missing_ok=True)
        return copy

    return copied


def line_of(folder: Path, **wanted: Any) -> int:
    """Return the number of the first line that has the wanted values, from 1 on."""
    for number, line in enumerate(read_journal(folder), start=1):
        if wanted.items() <= line.items():
            return number
    raise AssertionError(f"no line {wanted}")


def record_of(folder: Path) -> Line:
    """Return the record of a run's folder."""
    return dict(json.loads((folder / RECORD).read_text("utf-8")))


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let a run fail that does again what is done."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this was done already")

    for name in names:
        rooms = {"open_station": "opening", "load_program": "playback", "play_together": "playback"}
        monkeypatch.setattr(f"emgsim.running.{rooms.get(name, 'stages')}.{name}", refuse)


AFTER = {  # the line behind which the journal was cut: what is not done again
    "simulate": ("simulate",),
    "align": ("simulate", "open_station", "load_program", "play_together", "chain.path_of"),
    "analyse": ("simulate", "open_station", "load_program", "play_together", "chain.path_of",
                "detect"),
    "judge": ("simulate", "open_station", "load_program", "play_together", "chain.path_of",
              "detect", "compare", "judge"),
}  # fmt: skip


@pytest.mark.parametrize("stage", AFTER)
def test_what_is_done_is_not_done_again_and_the_end_is_the_same(
    stage: str, *, whole: Path, copy_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut behind a stage, with half a line more: only what follows is done."""
    folder = copy_of(whole, line_of(whole, kind="stage", name=stage))
    forbid(monkeypatch, *AFTER[stage])
    _, record = resume(folder)
    assert record.status == "completed"
    assert [row["done"] for row in record.resumed] == [list(STAGES[: STAGES.index(stage) + 1])]
    assert differences(record_of(whole), record_of(folder)).is_equal
    assert fold(read_journal(folder)).to_json() == (folder / RECORD).read_text("utf-8")


def test_a_playback_that_was_kept_is_not_played_again(
    played: Path, whole: Path, copy_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the device sent is on the disk to the last digit, until it is aligned."""
    folder = copy_of(played)
    assert (folder / "wave/played.npz").is_file()
    forbid(monkeypatch, "simulate", "open_station", "play_together")
    resume(folder)
    assert differences(record_of(whole), record_of(folder)).is_equal
    assert not (folder / "wave/played.npz").exists()


@pytest.mark.parametrize("id", ["noise.budget_uv.device", "units.found.loopback"])
def test_a_measurement_that_is_journalled_is_not_made_again(
    id: str, *, whole: Path, copy_of: Callable[..., Path]
) -> None:
    """Cut in the middle of a stage: each measurement has one line in the end, in the same order.

    Of the chain's the playback is made anew, as its samples are gone, and with it all of them.
    """
    cut = line_of(whole, kind="measurement", id=id)
    folder = copy_of(whole, cut)
    resume(folder)
    lines = [x["id"] for x in read_journal(folder) if x["kind"] == "measurement"]
    of_whole = [x["id"] for x in read_journal(whole) if x["kind"] == "measurement"]
    again = of_whole[: of_whole.index(id) + 1] if id.startswith("noise") else []
    assert lines == [*again, *of_whole]
    assert differences(record_of(whole), record_of(folder)).is_equal


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("wave/truth.npz", ()),
        ("wave/monitor.npz", ("simulate",)),
        ("findings-loopback.json", ("simulate", "play", "align")),
    ],
)
def test_a_file_that_is_not_what_the_journal_says_is_made_again(
    name: str, kept: tuple[str, ...], *, whole: Path, copy_of: Callable[..., Path]
) -> None:
    """One bit is enough, and all that comes after it falls with it."""
    folder = copy_of(whole, line_of(whole, kind="stage", name="compare"))
    lines = read_journal(folder)
    assert done_of(lines, folder).stages == STAGES[:5]
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    done = done_of(lines, folder)
    assert done.stages == kept
    parts = {m.split(".")[0] for m in done.measured}
    measured = {"align", "amplitude", "link", "noise", "signal"}
    assert parts == (measured if "align" in kept else set())


def test_what_was_measured_before_something_was_made_anew_does_not_stand(tmp_path: Path) -> None:
    """A measurement falls with the stage before its own, and stands again when it is repeated."""

    def measured(id: str) -> Line:
        return {"kind": "measurement", "id": id, "value": 1.0, "unit": "1", "limit": None}

    def stage(name: str) -> Line:
        return {"kind": "stage", "name": name}

    (tmp_path / "wave").mkdir()
    for name in ("truth", "loopback", "device", "monitor", "played"):
        (tmp_path / f"wave/{name}.npz").write_bytes(b"x")
    with Journal(tmp_path / "made") as journal:
        for name in ("truth", "loopback", "device", "monitor"):
            journal.append("file", name=f"wave/{name}.npz", sha256=kills_digest(b"x"))
        journal.append("spool", name="wave/played.npz", sha256=kills_digest(b"x"))
    files = read_journal(tmp_path / "made")
    lines = [*files, stage("simulate"), stage("play"), measured("a"), measured("b")]
    assert set(done_of(lines, tmp_path).measured) == {"a", "b"}
    lines += [{"kind": "resumed", "done": ["simulate"]}]
    assert set(done_of(lines, tmp_path).measured) == set()
    lines += [stage("play"), measured("b")]
    assert set(done_of(lines, tmp_path).measured) == {"b"}
    lines += [stage("align"), measured("c")]
    assert set(done_of(lines, tmp_path).measured) == {"b", "c"}
    lines += [{"kind": "resumed", "done": ["simulate", "play", "align"]}]
    assert set(done_of(lines, tmp_path).measured) == {"b", "c"}


def kills_digest(data: bytes) -> str:
    """Return the SHA-256 of bytes."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_a_completed_run_stays_as_it_is(whole: Path, copy_of: Callable[..., Path]) -> None:
    """It says so, ends with its own exit code, and changes no byte."""
    folder = copy_of(whole)
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    said: list[str] = []
    _, record = resume(folder, progress=said.append)
    assert said == [f"completed   nothing is left to do in {folder}"]
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before
    assert main(["run", "--resume", str(folder)]) == record.exit_code == 1


def test_a_run_that_died_before_its_reports_gets_them(
    whole: Path, copy_of: Callable[..., Path]
) -> None:
    """It was completed; only what is written of it is missing."""
    folder = copy_of(whole)
    for name in REPORTS:
        (folder / name).unlink()
    resume(folder)
    assert (folder / RECORD).read_bytes() == (whole / RECORD).read_bytes()
    assert all((folder / name).is_file() for name in REPORTS)


def edit(folder: Path, **changes: Any) -> None:
    """Change values of the first line of a journal."""
    first, *rest = read_journal(folder)
    rows = [{**first, **changes}, *rest]
    (folder / JOURNAL).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("versions", {"numpy": "1.0"}, "numpy 1.0, now "),
        ("versions", {"gone": "2.0"}, "gone 2.0, now not there"),
        ("checkout", {"commit": "a" * 40}, "commit aaaaaaaaaaaa, now "),
        ("detector", {"files": {"x": "ab"}}, "another version of the detector"),
        ("scenario", {"title": None}, "title"),
        ("scenario", {"seed": "5"}, "reads the run's scenario or rig otherwise"),
    ],
)
def test_other_code_or_another_algorithm_does_not_go_on(
    key: str, values: Line, said: str, *, played: Path, copy_of: Callable[..., Path]
) -> None:
    """Half a run of each would be neither: refused, with what differs, and nothing is written."""
    folder = copy_of(played)
    edit(folder, **{key: {**read_journal(folder)[0][key], **values}})
    before = (folder / JOURNAL).read_bytes()
    with pytest.raises(InputError, match=said) as caught:
        resume(folder)
    assert str(folder) in caught.value.where
    assert caught.value.todo
    assert (folder / JOURNAL).read_bytes() == before


def test_another_machine_may_go_on(played: Path, copy_of: Callable[..., Path]) -> None:
    """Operating system and processor are told, and refuse nothing."""
    folder = copy_of(played)
    edit(folder, host={"system": "Plan 9", "cores": 1})
    _, record = resume(folder)
    assert record.status == "completed"
    assert record.host["system"] == "Plan 9"
    assert record.resumed[0]["host"]["system"] != "Plan 9"


def test_a_run_that_is_going_on_is_not_gone_on_with(
    played: Path, copy_of: Callable[..., Path]
) -> None:
    """Two writers would spoil one journal."""
    folder = copy_of(played)
    with Journal(folder), pytest.raises(UsageError, match="the run is still going on") as caught:
        resume(folder)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "run needs a scenario, or --resume"),
        (["healthy_biceps", "--resume", "{run}"], 2, "it cannot take SCENARIO"),
        (["--resume", "{run}", "--seed", "1", "--rig", "x"], 2, "it cannot take --rig, --seed"),
        (["--resume", "{run}", "--prepare", "true"], 2, "it cannot take --prepare"),
        (["--resume", "{tmp}/nothing"], 3, "cannot read the journal: No such file"),
        (["--resume", "{tmp}/empty"], 3, "it ended before its first line"),
    ],
)
def test_what_cannot_be_gone_on_with_is_told(
    words: list[str], code: int, said: str, *, whole: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One clear error, the right exit code, and no folder is made."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / JOURNAL).write_text('{"kind": "run_sta')
    filled = [word.format(run=whole, tmp=tmp_path) for word in words]
    assert main(["run", *filled]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "to do: " in told
    assert not (tmp_path / "nothing").exists()


@contextmanager
def another_device(rig: Rig, seed: int, **how: Any) -> Iterator[Station]:
    """Open a station in which somebody has changed the device."""
    with open_station(rig, seed, **how) as station:
        found = station.identities
        other = replace(found["device"], serial="SIM-0002")
        yield replace(station, identities={**found, "device": other})


def test_another_device_does_not_go_on(
    whole: Path, copy_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is connected must be what was; nothing is played into it."""
    folder = copy_of(whole, line_of(whole, kind="stage", name="load"))
    monkeypatch.setattr("emgsim.running.opening.open_station", another_device)
    forbid(monkeypatch, "load_program", "play_together")
    with pytest.raises(InstrumentError, match="serial 'SIM-0001', now 'SIM-0002'"):
        resume(folder)
    assert record_of(folder)["errors"][0]["exit_code"] == 4


def test_an_output_that_nobody_saw_off_is_switched_off_first(
    played: Path, whole: Path, copy_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died between playback and query: the query is made now, and nothing is played."""
    folder = copy_of(played, line_of(played, kind="stage", name="play"))
    assert fold(read_journal(folder)).output_off is None
    forbid(monkeypatch, "simulate", "play_together")
    _, record = resume(folder)
    assert record.output_off is True
    assert differences(record_of(whole), record_of(folder)).is_equal


def test_what_broken_playbacks_left_stays_listed(
    tmp_path: Path, scenario: Scenario, detector: str, monkeypatch: pytest.MonkeyPatch, whole: Path
) -> None:
    """The cable is pulled twice, then it holds: both remnants are in the record, which is equal."""
    from emgsim.bench.playing import play_together

    def pulled(*arguments: Any, **options: Any) -> None:
        play_together(*arguments, **options)
        raise LinkError("the cable was pulled")

    with monkeypatch.context() as patch:
        patch.setattr("emgsim.running.playback.play_together", pulled)
        with pytest.raises(EmgsimError) as caught:
            run(scenario, load_rig("virtual"), out=tmp_path, detector=detector)
        (folder,) = tmp_path.iterdir()
        assert f"  go on with: emgsim run --resume {folder}" in caught.value.__notes__
        with pytest.raises(EmgsimError):
            resume(folder)
    _, record = resume(folder)
    assert (record.status, record.exit_code) == ("completed", 1)
    assert [error["what"] for error in record.errors] == ["the cable was pulled"] * 2
    assert {"device_raw", "device_raw_2"} <= set(record.captures)
    assert differences(record_of(whole), record_of(folder)).is_equal
