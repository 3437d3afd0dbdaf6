"""An examination end to end on the virtual rig, short as it can be, and ended early."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from emgsim.bench.rig import load_rig
from emgsim.cli import main
from emgsim.errors import InputError, InstrumentError
from emgsim.exam.examination import Examination, load_examination
from emgsim.records.difference import differences
from emgsim.records.examination import FINDERS
from emgsim.records.journal import JOURNAL, read_journal
from emgsim.running.exam_folder import conclude_examination, findings_of
from emgsim.running.examination import examine, resume_examination, tell_steps
from emgsim.running.run import REPORTS

SHORT = """
schema = "emgsim.examination/1"
id = "short"
title = "A short examination"
seed = 7

[[conditions]]
kind = "axonal_loss"
share = 0.5
months = 2

[protocol]
quadrants = 1
depths = [0.5, 0.9]
rest_s = 1.0
slight_sites = {slight}
slight_s = 3.0
strong_sites = {strong}
strong_s = 1.5

[acquisition]
rate_hz = 24000.0

[[muscles]]
muscle = "first_dorsal_interosseous"
shows = {{ active_denervation = "yes" }}

[lesion]
kind = "root"
name = "C8"
"""


def short(folder: Path, slight: int = 0, strong: int = 0) -> Path:
    """Write the file of an examination of two places."""
    path = folder / "short.toml"
    path.write_text(SHORT.format(slight=slight, strong=strong), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an examination of two places with two slight and a strong effort."""
    folder = tmp_path_factory.mktemp("done")
    code = main(["run", str(short(folder, 2, 1)), "--out", str(folder / "out")])
    assert code in (0, 1, 5)
    [made] = (folder / "out").iterdir()
    return made


def record_of(folder: Path) -> dict[str, Any]:
    """Return the examination's record."""
    return dict(json.loads((folder / "record.json").read_text("utf-8")))


@pytest.mark.slow
def test_an_examination_leaves_its_record_beside_those_of_its_muscles(
    done: Path, form_mistakes
) -> None:
    """Each muscle's folder is that of a run, with the truth as a perfect observer has it."""
    names = {"journal.jsonl", "record.json", "junit.xml", "report.html"}
    hand = done / "first_dorsal_interosseous"
    assert {path.name for path in done.iterdir()} == {*names, hand.name}
    assert names <= {path.name for path in hand.iterdir()}
    record = record_of(done)
    assert (record["schema"], record["status"]) == ("emgsim.exam_run/1", "completed")
    assert form_mistakes(record) == form_mistakes(record_of(hand)) == []
    [muscle] = record["muscles"]
    assert (muscle["holes"], muscle["moves"], muscle["seconds"]) == (1, 4, pytest.approx(15.5))
    assert set(muscle["row"]) == set(FINDERS)
    assert set(record["files"]) == {"first_dorsal_interosseous/record.json"}


@pytest.mark.slow
def test_the_truth_of_an_examination_shows_what_the_patient_has(done: Path) -> None:
    """After two months half of the axons' fibres fibrillate, and the needle answers for longer."""
    [muscle] = record_of(done)["muscles"]
    truth = muscle["row"]["observer"]
    assert truth["fibrillation"] in ("1+", "2+", "3+", "4+")
    assert truth["insertional"] == "increased"
    assert truth["rest_s"] > 4.0
    assert truth["n_muaps"] > 0
    [axis] = [a for a in muscle["axes"]["observer"] if a["axis"] == "active_denervation"]
    assert axis["value"] == "yes"


@pytest.mark.slow
def test_the_device_s_verdicts_are_those_of_the_muscle_and_of_its_chain(done: Path) -> None:
    """What the muscle shows, where the lesion is, and the limits of any chain."""
    judged = {m["id"]: m["verdict"] for m in record_of(done)["measurements"] if m["limit"]}
    hand = "first_dorsal_interosseous"
    assert set(judged) == {
        *(f"{hand}.active_denervation.yes.{path}" for path in ("truth", "device")),
        *(f"lesion.rank.{path}" for path in ("truth", "device")),
        *(f"{hand}.{id}" for id in (
            "amplitude.error_pct.loopback", "align.residual_us.device",
            "amplitude.error_pct.device", "amplitude.polarity.device",
            "link.lost_samples.device", "discharges.f1_loss.device",
        )),
    }  # fmt: skip
    assert judged[f"{hand}.link.lost_samples.device"] == "pass"
    assert judged[f"{hand}.amplitude.error_pct.device"] == "pass"


@pytest.mark.slow
def test_an_examination_can_be_concluded_again(done: Path) -> None:
    """From the folders alone comes the same record."""
    assert json.loads(conclude_examination(done).to_json()) == record_of(done)


@pytest.mark.slow
def test_what_was_found_can_be_read_stretch_by_stretch(done: Path) -> None:
    """To be judged by another examination of the same muscle."""
    examination = load_examination(short(done.parent, 2, 1))
    found = findings_of(done, examination, examination.muscles[0])
    assert list(found) == list(FINDERS)
    names = [one.stretch.name for one in found["device"]]
    assert names == ["insertion 1", "rest 1", "slight 1", "insertion 2", "rest 2", "slight 2",
                     "strong 2"]  # fmt: skip


def test_a_pulled_cable_ends_the_examination_and_what_was_is_kept(tmp_path: Path) -> None:
    """The muscle's own journal has the reason, the examination's too, and exit code 4."""
    rig = load_rig("virtual", overrides=["faults.hang_up_after_frames=200"])
    with pytest.raises(InstrumentError) as caught:
        examine(load_examination(short(tmp_path)), rig, out=tmp_path / "out")
    [folder] = (tmp_path / "out").iterdir()
    assert f"  kept: the muscles examined so far, in {folder}" in caught.value.__notes__
    goes_on = [note for note in caught.value.__notes__ if "--resume" in note]
    assert goes_on == [f"  go on with: emgsim run --resume {folder}"]
    record = record_of(folder)
    assert (record["status"], record["exit_code"], record["verdict"]) == ("aborted", 4, "aborted")
    assert record["muscles"][0]["verdict"] == "aborted"
    assert record["muscles"][0]["row"] == {}
    inconclusive = {m["id"] for m in record["measurements"] if m["verdict"] == "inconclusive"}
    assert "first_dorsal_interosseous.active_denervation.yes.device" in inconclusive
    assert (folder / "report.html").is_file()
    assert 'type="aborted"' in (folder / "junit.xml").read_text("utf-8")


def test_a_stranger_s_detector_is_examined_too(tmp_path: Path) -> None:
    """One that names nothing is inconclusive; without efforts no unit is to be told apart."""
    words = f"import sys; open(sys.argv[2], 'w').write('{json.dumps({'units': []})}')"
    script = tmp_path / "deaf.py"
    script.write_text(words, encoding="utf-8")
    folder, record = examine(
        load_examination(short(tmp_path), overrides=["protocol.depths=[0.5]"]),
        load_rig("virtual"),
        out=tmp_path / "out",
        detector=f"{sys.executable} {script}",
    )
    assert (record.run.status, record.run.exit_code) == ("completed", 5)
    verdicts = {m.id: m.verdict for m in record.run.measurements if m.limit}
    hand = "first_dorsal_interosseous"
    assert verdicts[f"{hand}.active_denervation.yes.device"] == "inconclusive"
    assert f"{hand}.discharges.f1_loss.device" not in verdicts
    [muscle] = record.muscles
    assert muscle["row"]["device"]["fibrillation"] == "–"
    assert muscle["row"]["observer"]["fibrillation"] != "–"
    assert json.loads((folder / hand / "record.json").read_text("utf-8"))["status"] == "completed"


def test_a_schedule_is_printed_step_by_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Muscle, times and name of each step, in the order of the clock."""
    assert main(["schedule", str(short(tmp_path, 1))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [
        "insertion 1", "rest 1", "seek 1", "slight 1", "move 2", "rest 2"]  # fmt: skip
    assert lines[0] == "first_dorsal_interosseous      0.00 ..     0.30  insertion 1"


def test_a_paced_schedule_comes_when_it_is_due(tmp_path: Path) -> None:
    """A second for a second: the first movement takes 0.3 s, the first rest ends after 1.4 s."""
    told: list[tuple[str, float]] = []
    examination = load_examination(
        short(tmp_path), overrides=["protocol.depths=[0.5]", "protocol.settle_s=0.1"]
    )
    began_s = time.perf_counter()
    tell_steps(
        examination, lambda _, step: told.append((step.name, time.perf_counter() - began_s)),
        is_paced=True,
    )  # fmt: skip
    assert [name for name, _ in told] == ["insertion 1", "rest 1"]
    assert 0.25 < told[0][1] < told[1][1]
    assert told[1][1] >= 1.35


def test_a_needle_outside_the_muscle_is_refused_before_anything_moves(
    tmp_path: Path,
) -> None:
    """All muscles are compiled before the first one is played: mistakes cost no time."""
    examination: Examination = load_examination(short(tmp_path))
    deep = examination.protocol.model_copy(
        update={"quadrants": 4, "depths": (1.79,), "tilt_deg": 45.0}
    )
    with pytest.raises(InputError, match="place 1 lies outside the muscle"):
        examine(
            examination.model_copy(update={"protocol": deep}), load_rig("virtual"), out=tmp_path
        )
    assert [path.name for path in tmp_path.iterdir()] == ["short.toml"]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Examination, str]:
    """Return an examination of two muscles, a place each, and a quick detector."""
    words = f"import sys; open(sys.argv[2], 'w').write('{json.dumps({'units': []})}')"
    script = tmp_path / "deaf.py"
    script.write_text(words, encoding="utf-8")
    text = short(tmp_path).read_text("utf-8").replace("[lesion]", SECOND + "\n[lesion]")
    (tmp_path / "two.toml").write_text(text, encoding="utf-8")
    loaded = load_examination(tmp_path / "two.toml", overrides=["protocol.depths=[0.5]"])
    return loaded, f"{sys.executable} {script}"


SECOND = """
[[muscles]]
muscle = "deltoid"
shows = { active_denervation = "no" }
"""


@pytest.mark.slow
def test_an_interrupted_examination_is_gone_on_with_muscle_by_muscle(
    tmp_path: Path, two: tuple[Examination, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is done is skipped, the broken one is gone on with, the record is the same."""
    examination, detector = two
    whole, _ = examine(examination, load_rig("virtual"), out=tmp_path / "a", detector=detector)
    broken = Path(shutil.copytree(whole, tmp_path / "b" / whole.name))
    for folder, last in ((broken, {"kind": "file"}), (broken / "deltoid", {"name": "align"})):
        lines = read_journal(folder)
        n = next(k for k, line in enumerate(lines, 1) if last.items() <= line.items())
        rows = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
        (folder / JOURNAL).write_bytes(b"".join(rows[:n]) + b'{"kind": "sta')
        for name in REPORTS:
            (folder / name).unlink()
    monkeypatch.setattr("emgsim.running.examination.run", None)
    monkeypatch.setattr("emgsim.running.playback.play_together", None)
    told: list[str] = []
    _, record = resume_examination(broken, progress=told.append)
    assert told[:3] == [
        "kept        first_dorsal_interosseous", "-- deltoid", "kept        simulate, play, align"
    ]  # fmt: skip
    assert record.run.status == "completed"
    found = differences(record_of(whole), record_of(broken))
    assert found.is_equal
    assert found.n_equal == len(record.run.measurements) > 20
    assert main(["run", "--resume", str(broken)]) == record.run.exit_code == 5
    assert record_of(broken) == json.loads(record.to_json())


def test_an_examination_is_not_gone_on_with_by_other_code(
    tmp_path: Path, two: tuple[Examination, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A muscle of each would be no examination; and a muscle's folder is none."""
    examination, detector = two
    monkeypatch.setattr("emgsim.running.examination.run", stopped)
    with pytest.raises(KeyboardInterrupt):
        examine(examination, load_rig("virtual"), out=tmp_path / "a", detector=detector)
    (folder,) = (tmp_path / "a").iterdir()
    assert record_of(folder)["exit_code"] == 130
    monkeypatch.setattr("emgsim.records.provenance.version", lambda _: "0.0")
    with pytest.raises(InputError, match=r"numpy .*, now 0\.0"):
        resume_examination(folder)


def stopped(*_: object, **__: object) -> None:
    """Stand for a user who has seen enough."""
    raise KeyboardInterrupt
