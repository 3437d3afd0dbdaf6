"""The command itself on a real rig that is killed while it plays: the output goes off, and stays.

The instruments are served by this test on loopback; to the command they are a lab of their own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import pyvisa

from emgsim.bench.arming import STATEMENT, arm
from emgsim.bench.rig import load_rig
from emgsim.bench.served import ServedRig
from emgsim.cli import main
from emgsim.files.npz import write_npz
from emgsim.recording import Channel, Recording
from emgsim.records.journal import read_journal
from emgsim.records.record import fold
from emgsim.running.played import Played, spool
from emgsim.seeds import stream

SCENARIO = ["healthy_biceps", "--set", "phases=[{kind='hold',duration_s=4.0,level_mvc=0.05}]"]
OFF_WITHIN_S = 2.0

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_signals")]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """Give the file of an armed rig, and the generator's address."""
    for name in ("EMGSIM_STATE_DIR", "EMGSIM_LOCK_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with ServedRig(load_rig("virtual"), seed=2) as served:
        tables = "".join(f'[{role}]\nresource = "{at}"\n' for role, at in served.addresses.items())
        path = tmp_path / "lab.toml"
        path.write_text(
            f'extends = "virtual"\nid = "lab"\nkind = "bench"\n{tables}'
            '[lock]\nkeys = ["awg:MY1"]\nwait_s = 10\n'
        )
        arm(load_rig(path), by="M. Curie", device_serial="SIM-0001", statement=STATEMENT)
        yield path, served.addresses["source"]


@contextmanager
def watched(*addresses: str) -> Iterator[Callable[[], list[bool]]]:
    """Give a function that asks each generator, over a session of one's own, whether it is on."""
    manager = pyvisa.ResourceManager("@py")
    with ExitStack() as stack:
        sessions = [stack.enter_context(manager.open_resource(address)) for address in addresses]
        for session in sessions:
            session.read_termination = session.write_termination = "\n"
        yield lambda: [session.query(":OUTP1?").strip() == "1" for session in sessions]


def started(*words: str | Path) -> subprocess.Popen[bytes]:
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "emgsim", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )


def kill(process: subprocess.Popen[bytes], are_on: Callable[[], list[bool]]) -> None:
    """Kill the command while all outputs are on, and see them go off in time."""
    until(lambda: all(are_on()), 120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert until(lambda: not any(are_on()), 10) < OFF_WITHIN_S


def grid(path: Path, n_channels: int) -> Path:
    """Write a recording of so many channels."""
    uv = 1000.0 * stream(1, "stand-in", 0).standard_normal((48_000, n_channels))
    channels = tuple(Channel(name=f"e{k}") for k in range(n_channels))
    write_npz(path, Recording(samples_uv=uv, rate_hz=8000.0, channels=channels))
    return path


def events(log: Path) -> list[str]:
    """Return what a guard logged."""
    return [json.loads(line)["event"] for line in log.read_text().splitlines()]


def until(condition, seconds: float) -> float:
    """Wait until something is so; return after how long, or fail."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < seconds, "it never became so"
        time.sleep(0.01)
    return time.monotonic() - began_s


def test_a_killed_run_leaves_the_output_off_and_is_gone_on_with(lab, tmp_path, capsys):
    """SIGKILL while the output is on; the guard switches off, logs it, and the run is resumed."""
    path, address = lab
    out = tmp_path / "runs"
    with watched(address) as are_on:
        with started("run", *SCENARIO, "--rig", path, "--out", out) as process:
            until(lambda: any(out.glob("*/wave/truth.npz")), 60)  # past the probe of the divider
            [folder] = out.iterdir()
            until(lambda: fold(read_journal(folder)).plan, 60)
            kill(process, are_on)
        assert fold(read_journal(folder)).status == "aborted"
        assert main(["run", "--resume", str(folder)]) in (0, 1, 5)
        assert not any(are_on())
    record = fold(read_journal(folder))
    assert record.status == "completed"
    assert record.output_off
    assert record.arm["arm"]["by"] == "M. Curie"
    assert record.arm["divider_ratio"] == pytest.approx(1 / 1001, rel=0.01)
    logged = events(folder / "guard.jsonl")
    died = logged.index("the pipe closed")
    assert logged[died : died + 4] == ["the pipe closed", "killed", "off", "end"]
    assert logged[-1] == "bye"  # of the run that went on
    assert "report:" in capsys.readouterr().out


def test_a_playback_of_channels_that_is_killed_leaves_the_output_off_and_what_it_had(lab, tmp_path):
    """SIGKILL in the second of three passes: off in time, and the first is there to be read."""
    path, address = lab
    out = tmp_path / "runs"
    words = ("play", grid(tmp_path / "grid.npz", 3), "--rig", path, "--out", out)
    with watched(address) as are_on, started(*words) as process:
        until(lambda: any(out.glob("*/wave/played_0.npz")), 120)
        [folder] = out.iterdir()
        until(lambda: "device_0" in fold(read_journal(folder)).alignments, 60)
        kill(process, are_on)
    record = fold(read_journal(folder))
    assert record.status == "aborted"
    assert record.alignments["device_0"]["channel"] == "e0"
    kept = Played.read(folder, spool(0))
    assert kept.counts.size > 6.0 * 48_000


def test_a_playback_on_two_generators_that_is_killed_leaves_both_outputs_off(tmp_path, monkeypatch):
    """SIGKILL while both play: each has a guard of its own, which logs what it did."""
    for name in ("EMGSIM_STATE_DIR", "EMGSIM_LOCK_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    path, out = tmp_path / "lab.json", tmp_path / "runs"
    rig = load_rig("virtual-two-generators")
    with ServedRig(rig, seed=2) as served:
        at = served.addresses
        table = rig.resolved() | {"kind": "bench", "id": "lab", "virtual": None}
        for role in ("source", "capture", "device"):
            table[role]["resource"] = at[role]
        table["others"][0]["resource"] = at["source_2"]
        path.write_text(json.dumps(table))
        arm(load_rig(path), by="M. Curie", device_serial="SIM-0004", statement=STATEMENT)
        words = ("play", grid(tmp_path / "grid.npz", 2), "--rig", path, "--out", out)
        with watched(at["source"], at["source_2"]) as are_on:
            with started(*words) as process:
                until(lambda: any(out.glob("*/wave/recording.npz")), 120)
                [folder] = out.iterdir()
                kill(process, are_on)
            logs = [folder / name for name in ("guard.jsonl", "guard-source_2.jsonl")]
            until(lambda: all('"end"' in log.read_text() for log in logs), 10)  # they ask twice
    assert fold(read_journal(folder)).status == "aborted"
    for log in logs:
        assert events(log)[-4:] == ["the pipe closed", "killed", "off", "end"]
