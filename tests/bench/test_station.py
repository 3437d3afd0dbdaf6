"""Opening rigs: real ones are refused, virtual ones leave nothing behind however they end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emgsim.bench import served, station
from emgsim.bench.playing import Catch
from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.served import ServedRig
from emgsim.bench.station import open_station
from emgsim.errors import EmgsimError, InputError, LinkError, SafetyError

LEFT = "emgsim-rig-*"


def is_running(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(condition, seconds: float = 10.0) -> bool:
    """Wait until something is so, and tell whether it became so in time."""
    ends_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_s:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary folders be made where a test can see whether they went away."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_real_rig_is_refused_and_nothing_is_opened(monkeypatch):
    """Without a person's arm the answer is exit code 5, before any driver or port is touched."""
    bench = load_rig("virtual", overrides=[
        'kind="bench"', 'source.resource="A"', 'capture.resource="B"', 'device.resource="C"'])
    touched = []
    for name in ("ServedRig", "load_driver"):
        monkeypatch.setattr(station, name, lambda *_, n=name, **__: touched.append(n))
    with pytest.raises(SafetyError, match="real one and is not armed") as caught, \
            open_station(bench, seed=1):
        pytest.fail("opened")
    assert caught.value.exit_code == 5
    assert caught.value.todo
    assert touched == []


def test_a_served_rig_gives_three_addresses_on_loopback_and_ends_with_its_context(rig, scratch):
    """Two VISA addresses of 127.0.0.1 and a pty; afterwards neither process nor folder is left."""
    with ServedRig(rig, seed=1) as running:
        pid = running.pid
        assert sorted(running.addresses) == ["capture", "device", "source"]
        for role in ("source", "capture"):
            assert running.addresses[role].startswith("TCPIP::127.0.0.1::hislip0,")
        assert running.addresses["device"].startswith("/dev/pts/")
        assert is_running(pid)
        assert list(scratch.glob(LEFT))
    assert not is_running(pid)
    assert not list(scratch.glob(LEFT))


def test_a_rig_ends_when_its_body_fails(rig, scratch):
    """An exception inside goes on, and the server is gone."""
    pids = []

    def body():
        with ServedRig(rig, seed=1) as running:
            pids.append(running.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()
    assert not is_running(pids[0])
    assert not list(scratch.glob(LEFT))


def broken(rig: Rig) -> Rig:
    """Return a rig whose physics only the server finds impossible."""
    assert rig.virtual is not None
    source = rig.virtual.source.model_copy(update={"clock_ppm": 1e6})
    return rig.model_copy(update={"virtual": rig.virtual.model_copy(update={"source": source})})


def test_a_rig_that_the_server_refuses_is_an_input_error_and_leaves_nothing(rig, scratch, capfd):
    """Impossible physics: the child's own message is the error's, and told once."""
    with pytest.raises(InputError, match="clock_ppm") as caught, ServedRig(broken(rig), 1):
        pytest.fail("started")
    assert str(scratch) not in str(caught.value)
    assert not capfd.readouterr().err
    assert not list(scratch.glob(LEFT))


def test_a_server_that_says_nothing_is_given_up(rig, scratch, monkeypatch):
    """A server without an address within its time is ended, by force if it does not listen."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    real = subprocess.Popen
    monkeypatch.setattr(served, "START_TIMEOUT_S", 0.3)
    monkeypatch.setattr(served, "STOP_TIMEOUT_S", 0.2)
    monkeypatch.setattr(subprocess, "Popen",
                        lambda _, **options: real([sys.executable, "-c", deaf], **options))
    began_s = time.monotonic()
    with pytest.raises(LinkError, match=r"no address within 0.3 s"), ServedRig(rig, 1):
        pytest.fail("started")
    assert time.monotonic() - began_s < 20  # the deaf one would stay for a minute
    assert not list(scratch.glob(LEFT))


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
def test_a_server_does_not_outlive_a_killed_parent(rig, tmp_path, signal_name):
    """The kernel closes the server's input when the parent dies, and the server ends by itself."""
    (tmp_path / "rig.json").write_text(json.dumps(rig.resolved()), "utf-8")
    code = (
        "import sys, time\n"
        "from emgsim.bench.rig import load_rig\n"
        "from emgsim.bench.served import ServedRig\n"
        "with ServedRig(load_rig(sys.argv[1]), 1) as running:\n"
        "    print(running.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    import signal

    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "rig.json")], stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(getattr(signal, signal_name))
        parent.wait(10)
        assert until(lambda: not is_running(pid))


def test_a_station_knows_who_answers_and_leaves_the_output_off(rig):
    """All three instruments are asked for their names; the source comes out guarded."""
    with open_station(rig, seed=1) as opened:
        assert {role: who.model for role, who in opened.identities.items()}["device"] == "NA-1"
        assert set(opened.identities) == {"source", "capture", "device"}
        assert opened.profile == rig.profile
        guarded = opened.source
    with pytest.raises(SafetyError, match="latched"):
        guarded.energise()


@pytest.mark.parametrize(
    ("override", "kind", "said"),
    [
        ("source.driver=keysight.3350", InputError, "did you mean 'keysight.33500'?"),
        ("capture.driver=tektronix", InputError, "no capture driver is called 'tektronix'"),
    ],
)
def test_a_rig_that_names_what_is_not_there_is_an_input_error(override, kind, said, scratch):
    """Driver, profile and resource: each is named with the nearest one, and nothing is left."""
    named = load_rig("virtual", overrides=[override])
    with pytest.raises(kind, match=said.replace("?", r"\?")), open_station(named, seed=1):
        pytest.fail("opened")
    assert not list(scratch.glob(LEFT))


def test_a_silent_generator_is_a_link_error(scratch):
    """A generator that accepts and never answers is given up after the time-out, exit code 4."""
    silent = load_rig(
        "virtual", overrides=["faults.source_silent=true", "link_timeout_s=0.5"])
    with pytest.raises(EmgsimError) as caught, open_station(silent, seed=1):
        pytest.fail("opened")
    assert caught.value.exit_code == 4
    assert not list(scratch.glob(LEFT))


def test_a_catch_without_blocks_is_empty():
    """Nothing captured is no sample and no gap."""
    assert Catch().device_counts().shape == (0, 1)
    assert Catch().gaps() == []
