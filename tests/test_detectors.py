"""Algorithms under test: each way to name one, scored on every path, and all that they do wrong."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emgsim.cli import main
from emgsim.detectors import Detector, detect, detector_names, find_detector
from emgsim.errors import EmgsimError, InputError, NotAnalysableError, UsageError
from emgsim.files.findings import read_findings
from emgsim.files.npz import read_npz
from emgsim.recording import Channel, Gap, Recording
from emgsim.scoring import compare

EXAMPLES = Path(__file__).parents[1] / "examples"
PYTHON = shlex.quote(sys.executable)
PHASES = "phases=[{kind='rest',duration_s=0.5},{kind='hold',duration_s=2.5,level_mvc=0.05}]"
FOUND = '{"units": [{"discharge_times_s": [0.25]}]}'


pytestmark = pytest.mark.usefixtures("own_signals")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of an installed package that offers detectors, for this and for new processes."""
    site = tmp_path / "site"
    (site / "offered-2.5.dist-info").mkdir(parents=True)
    (site / "offered-2.5.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: offered\nVersion: 2.5\n"
    )
    (site / "offered-2.5.dist-info" / "entry_points.txt").write_text(
        "[emgsim.detectors]\nscipy_peaks = scipy_peaks:detect\nlost = no_such_module:detect\n"
        "wrong = offered:wrong\nconstant = offered:constant\nemgsim = offered:wrong\n"
    )
    (site / "offered.py").write_text("constant = 3\ndef wrong(recording): return 'nothing'\n")
    (site / "scipy_peaks.py").write_text((EXAMPLES / "scipy_peaks.py").read_text())
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


@pytest.fixture
def recording() -> Recording:
    """A tenth of a second of noise with a gap."""
    samples = np.random.default_rng(1).standard_normal((800, 1))
    samples[50:60] = np.nan
    return Recording(
        samples_uv=samples,
        rate_hz=8000.0,
        channels=(Channel(name="needle"),),
        start_s=0.2,
        gaps=(Gap(first_sample=50, n_samples=10),),
    )


def program(folder: Path, text: str) -> str:
    """Write a program and return the command that runs it."""
    path = folder / "program.py"
    path.write_text("import sys, os, json, subprocess, time, signal\n" + text)
    return f"{PYTHON} {shlex.quote(str(path))}"


def run(out: Path, detector: str, *more: str) -> tuple[int, Path, dict[str, Any]]:
    """Run three seconds on the virtual rig; return exit code, folder and record."""
    words = ["run", "healthy_biceps", "--out", str(out), "--set", PHASES, "--set", "limits=[]"]
    code = main([*words, "--detector", detector, *more])
    (folder,) = out.iterdir()
    return code, folder, json.loads((folder / "record.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("which", ["command", "entry point"])
def test_an_example_is_scored_on_every_path_like_the_built_in_one(
    which: str, tmp_path: Path, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scores of the run are those of its findings, compared by hand with the truth."""
    names = {
        "command": f"{PYTHON} {shlex.quote(str(EXAMPLES / 'threshold.py'))}",
        "entry point": "scipy_peaks",
    }
    code, folder, record = run(tmp_path / "runs", names[which])
    assert code == 0, capsys.readouterr().err
    measured = {m["id"]: m["value"] for m in record["measurements"]}
    recording, truth = read_npz(folder / "wave" / "truth.npz")
    findings = read_findings(folder / "findings-truth.json")
    assert truth is not None
    score = compare(findings, truth, recording=recording)
    assert findings.units
    assert measured["discharges.f1_all.truth"] == pytest.approx(score.pooled_all.f1, abs=1e-12)
    for path in ("truth", "loopback", "device"):
        assert record["findings"][path]["n_units"] == len(
            read_findings(folder / f"findings-{path}.json").units
        )
        assert measured[f"units.found.{path}"] > 0
        assert f"discharges.jaccard.{path}" in measured  # of the score's details
        by_unit = [row for row in record["strata"][path] if row["by"] == "amplitude_uv"]
        assert sum(row["tp"] for row in by_unit) == sum(r["tp"] for r in record["scores"][path])
        assert f"findings-{path}.json" in record["files"]
    assert record["detector"]["name"] == names[which]
    if which == "command":
        assert set(record["detector"]["files"]) == {sys.executable, str(EXAMPLES / "threshold.py")}
    else:
        assert record["detector"]["version"] == "2.5"
    assert record["output_off"] is True


@pytest.mark.slow
def test_a_run_with_a_detector_that_fails_keeps_all_and_ends_safely(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One clear error, its exit code, every capture and word kept, and the output confirmed off."""
    text = "print('no licence'); open(sys.argv[2], 'wb').write(bytes(range(256)))"
    code, folder, record = run(tmp_path / "runs", program(tmp_path, text))
    told = capsys.readouterr().err
    assert code == 3
    assert "invalid findings" in told
    assert "to do: " in told
    assert "Traceback" not in told
    assert record["status"] == "aborted"
    assert record["exit_code"] == 3
    assert [error["exit_code"] for error in record["errors"]] == [3]
    assert record["output_off"] is True
    assert set(record["captures"]) == {"truth", "loopback", "device", "monitor"}
    kept = {name for name in record["files"] if name.startswith(("findings-", "detector-"))}
    assert any(name.startswith("findings-") for name in kept)
    assert any((folder / name).read_text("latin-1") == "no licence\n" for name in kept)


def test_a_detector_gets_the_samples_and_nothing_else(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No truth, no name of a path, one thread; its file has the gaps, the clock and the kind."""
    text = (
        "json.dump({'units': [], 'plan': json.dumps([sys.argv[1], dict(os.environ)])}, "
        "open(sys.argv[2], 'w'))\n"
        "import shutil; shutil.copy(sys.argv[1], os.environ['COPY'])"
    )
    copy = tmp_path / "copy.npz"
    monkeypatch.setenv("COPY", str(copy))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    found = detect(find_detector(program(tmp_path, text)), {"secret": recording}, tmp_path)
    given, environment = json.loads(found["secret"].plan)
    assert "secret" not in given
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    read, truth = read_npz(copy)
    assert truth is None
    assert (read.gaps, read.start_s, read.channels) == (
        recording.gaps, recording.start_s, recording.channels,
    )  # fmt: skip
    assert not Path(given).parent.exists()
    assert not (tmp_path / "detector-secret.log").exists()  # it said nothing


def test_places_are_filled_wherever_they_stand(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option --out={findings} works as well; paths keep their order, whichever ends last."""
    monkeypatch.setenv("TAKEN", str(tmp_path / "taken"))
    text = f"""
try:
    os.mkdir(os.environ['TAKEN'])
    time.sleep(0.5)
except FileExistsError:
    pass
options = dict(word.lstrip('-').split('=') for word in sys.argv[1:])
open(options['out'], 'w').write('{FOUND}' if options['in'].endswith('.npz') else '')
"""
    command = program(tmp_path, text) + " --out={findings} --in={recording}"
    found = detect(find_detector(command), dict.fromkeys("zya", recording), tmp_path)
    nothing = find_detector(program(tmp_path, "pass"))
    with pytest.raises(
        NotAnalysableError, match="wrote no findings"
    ):  # those of before are not its
        detect(nothing, {"a": recording}, tmp_path)
    assert list(found) == ["z", "y", "a"]
    assert found["a"].units[0].discharge_times_s.tolist() == [0.25]


def test_the_built_in_one_is_the_command_analyse(tmp_path: Path, recording: Recording) -> None:
    """It says by its exit code that nothing can be analysed in a tenth of a second."""
    with pytest.raises(NotAnalysableError, match="not analysable") as caught:
        detect(find_detector(), {"truth": recording}, tmp_path)
    assert caught.value.exit_code == 5
    assert (tmp_path / "detector-truth.log").is_file()


ENDINGS = {
    "os.kill(os.getpid(), signal.SIGSEGV)": (NotAnalysableError, "ended with SIGSEGV"),
    "sys.exit('first\\nsecond')": (NotAnalysableError, "exit code 1: first\nsecond"),
    "json.dump({}, open(sys.argv[2], 'w'))": (
        InputError, "invalid findings: the key 'units' is missing",
    ),
    "json.dump({'units': [{'discharge_times_s': ['a']}]}, open(sys.argv[2], 'w'))": (
        InputError, "could not convert",
    ),
    "open(sys.argv[2], 'w').write('{\"units\": [{\"discharge_times_s\": [NaN]}]}')": (
        InputError, "must be finite",
    ),
    "open(sys.argv[2], 'w').write('{}'); sys.exit(9)": (NotAnalysableError, "exit code 9"),
    "open(sys.argv[2], 'w')": (InputError, "invalid findings: the file is empty"),
    "open(sys.argv[2], 'wb').write(bytes(range(256)) * 4000)": (
        InputError, "byte 128 is no UTF-8; the file must be JSON",
    ),
    "open(sys.argv[2], 'w').write('[' * 100000)": (InputError, "invalid findings: RecursionError"),
    "json.dump({'units': [{'discharge_times_s': [[0.2], [0.25]]}]}, open(sys.argv[2], 'w'))": (
        InputError, "unit 1: discharge_times_s must be one list",
    ),
    "json.dump({'units': [{'discharge_times_s': [0.25, -3, 9600]}]}, open(sys.argv[2], 'w'))": (
        InputError, "from 0.2 to 0.3 s; unit 1 has 2 of 3 outside, one at -3 s",
    ),
    "json.dump({'units': [{'discharge_times_s': [0.25] * 20000}]}, open(sys.argv[2], 'w'))": (
        InputError, "got 1 units and 20000 discharges in 0.1 s",
    ),
    "json.dump({'units': [{'discharge_times_s': []}] * 2000}, open(sys.argv[2], 'w'))": (
        InputError, "at most 1000 units",
    ),
    "json.dump({'units': [{'id': 4, 'discharge_times_s': []}] * 2}, open(sys.argv[2], 'w'))": (
        InputError, "each unit needs an id of its own, got 4 twice",
    ),
    "open(sys.argv[2], 'wb').truncate(10**9); time.sleep(60)": (
        NotAnalysableError, "wrote 1000 MB, and may write 100",
    ),
    "[print('x' * 10**6, flush=True) for _ in range(10**6)]": (
        NotAnalysableError, "and may write 100",
    ),
    "os.mkdir(sys.argv[2])": (NotAnalysableError, "wrote no findings"),
}  # fmt: skip


@pytest.mark.parametrize("text", ENDINGS)
def test_a_detector_that_fails_is_one_clear_error(
    text: str, tmp_path: Path, recording: Recording
) -> None:
    """Which one, on which path, what it said, and where that is kept."""
    kind, said = ENDINGS[text]
    command = program(tmp_path, text)
    with pytest.raises(EmgsimError) as caught:
        detect(find_detector(command), {"device": recording}, tmp_path)
    assert type(caught.value) is kind
    assert said in caught.value.what
    assert "on the device path" in caught.value.what
    assert command in caught.value.what
    assert caught.value.where
    assert caught.value.todo
    assert len(str(caught.value)) < 1000 + len(command)
    assert all(file.stat().st_size <= 100_000_000 for file in tmp_path.iterdir())


def test_the_order_of_the_times_does_not_matter(tmp_path: Path, recording: Recording) -> None:
    """Nor does a spike whose crest lies just before the first sample."""
    text = f"open(sys.argv[2], 'w').write('{FOUND}'.replace('0.25', '0.25, 0.19, 0.21'))"
    found = detect(find_detector(program(tmp_path, text)), {"device": recording}, tmp_path)
    assert found["device"].units[0].discharge_times_s.tolist() == [0.19, 0.21, 0.25]


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path, recording: Recording) -> None:
    """After its time, program and grandchild are gone: the leak check sees that none is left."""
    text = "subprocess.Popen(['sleep', '60']); print('begun', flush=True); time.sleep(60)"
    hanging = find_detector(program(tmp_path, text), timeout_s=1.0)
    began_s = time.monotonic()
    with pytest.raises(NotAnalysableError, match="device path took longer than 1 s") as caught:
        detect(hanging, {"device": recording}, tmp_path)
    assert time.monotonic() - began_s < 20
    assert "--detector-timeout-s" in caught.value.todo
    assert (tmp_path / "detector-device.log").read_text() == "begun\n"


def test_a_child_that_outlives_its_detector_is_ended(tmp_path: Path, recording: Recording) -> None:
    """What a detector leaves running in the background does not run on after it."""
    text = f"subprocess.Popen(['sleep', '60']); open(sys.argv[2], 'w').write('{FOUND}')"
    found = detect(find_detector(program(tmp_path, text)), {"device": recording}, tmp_path)
    assert len(found["device"].units) == 1


def test_when_one_path_fails_the_others_are_ended(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of the one that failed, and nobody waits for the rest."""
    text = """
try:
    os.mkdir(os.environ['TAKEN'])
except FileExistsError:
    sys.exit('I am the second')
time.sleep(60)
"""
    monkeypatch.setenv("TAKEN", str(tmp_path / "taken"))
    began_s = time.monotonic()
    with pytest.raises(NotAnalysableError, match="I am the second"):
        detect(find_detector(program(tmp_path, text)), dict.fromkeys("ab", recording), tmp_path)
    assert time.monotonic() - began_s < 20


def test_an_interruption_ends_the_detector(tmp_path: Path, recording: Recording) -> None:
    """Ctrl-C reaches the user's program although it runs in a session of its own."""
    text = "print('begun', flush=True); time.sleep(60)"
    log = tmp_path / "detector-device.log"

    def interrupt() -> None:
        while not (log.is_file() and log.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        detect(find_detector(program(tmp_path, text)), {"device": recording}, tmp_path)
    thread.join()
    assert time.monotonic() - began_s < 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no_such_program", "neither a detector nor a program"),
        ("", "neither a detector nor a program"),
        ("'open", "is no command: No closing quotation"),
        ("cat {recording}", "must name both {recording} and {findings}, or neither"),
    ],
)
def test_a_wrong_name_is_found_before_anything_is_played(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong use, exit 2, and not even a folder is made."""
    out = tmp_path / "runs"
    assert main(["run", "healthy_biceps", "--out", str(out), "--detector", text]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_timeout_must_be_some_time() -> None:
    """From Python as well as on the command line."""
    with pytest.raises(UsageError, match="must be > 0 s, got 0"):
        find_detector(timeout_s=0.0)


def test_a_program_that_may_not_be_run_says_so(tmp_path: Path, recording: Recording) -> None:
    """An executable file that is no program is an error of its own, not of its findings."""
    path = tmp_path / "text"
    path.write_bytes(b"\x00\x01 no program")
    path.chmod(0o755)
    with pytest.raises(NotAnalysableError, match="cannot be started"):
        detect(find_detector(str(path)), {"device": recording}, tmp_path)


def test_installed_detectors_are_listed(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The built-in one first; nobody takes over its name."""
    assert main(["list", "detectors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "emgsim", "constant", "lost", "scipy_peaks", "wrong",
    ]  # fmt: skip
    assert detector_names()["emgsim"] == "the analysis of this package"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lost", "cannot be imported: No module named 'no_such_module'"),
        ("wrong", "must return Findings, got str"),
        ("constant", "must be a function of a Recording, got 3"),
    ],
)
def test_an_installed_detector_that_is_none_says_why(
    name: str, said: str, installed: Path, tmp_path: Path, recording: Recording
) -> None:
    """What is wrong with the package reaches the user."""
    with pytest.raises(NotAnalysableError) as caught:
        detect(find_detector(name), {"device": recording}, tmp_path)
    assert said in caught.value.what
    log = (tmp_path / "detector-device.log").read_text()
    assert said in log
    assert "Traceback" not in log


def test_a_detector_is_told_from_another_version_by_its_files(tmp_path: Path) -> None:
    """The digests of a command's files change with them."""
    command = program(tmp_path, "pass")
    before = find_detector(command).table()
    (tmp_path / "program.py").write_text("other")
    after = find_detector(command).table()
    assert before["files"].keys() == after["files"].keys()
    assert before["files"] != after["files"]
    assert Detector(name="emgsim", words=()).table()["files"] == {}
