"""Locks: one holder per instrument, told by name, and free as soon as nobody holds on.

And what a lock cannot stop: a second client of a network generator, on another host, that changes
settings between ours and the moment the output goes on.
"""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import pyvisa

from emgsim.bench import locks
from emgsim.bench.locks import hold, lock_folder
from emgsim.bench.rig import load_rig
from emgsim.bench.served import ServedRig
from emgsim.errors import InstrumentError, LinkError
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.keysight_33500 import Keysight33500

KEY, OTHER = "awg:MY00000000", "usb:A1B2"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Give every test a lock folder of its own."""
    path = tmp_path / "locks"
    monkeypatch.setenv("EMGSIM_LOCK_DIR", str(path))
    return path


def start(code, *arguments, **options):
    """Run code in another process that can say when it is ready and be told to go on."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        **options)


HOLDER = """
import sys
from emgsim.bench.locks import hold
with hold(sys.argv[1:], run_id="other-run"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def is_free(*keys):
    """Tell whether all keys can be held."""
    try:
        with hold(keys):
            return True
    except LinkError:
        return False


def test_a_lock_is_held_by_one_only_and_the_message_names_the_holder(folder):
    """User, process, host, run, since and until, what to do; exit code 4."""
    with start(HOLDER, KEY) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LinkError) as caught, hold([KEY]):
            pytest.fail("held twice")
        holder.communicate(b"\n")
    assert caught.value.exit_code == 4
    assert caught.value.todo
    note = json.loads((folder / "awg%3AMY00000000.lock").read_text())
    assert note["pid"] == holder.pid
    assert (note["key"], note["run_id"], note["host"]) == (KEY, "other-run", socket.gethostname())
    since, until = (datetime.fromisoformat(note[name]) for name in ("since", "until"))
    assert until - since == timedelta(hours=2)
    assert abs(datetime.now(UTC) - since) < timedelta(minutes=1)
    for told in (KEY, note["user"], str(holder.pid), note["host"], "other-run", note["since"],
                 note["until"]):
        assert told in caught.value.what
    assert is_free(KEY)


def test_a_lock_is_taken_even_from_the_same_process():
    """Two runs in one process are two runs."""
    with hold([KEY]), pytest.raises(LinkError, match=str(os.getpid())), hold([KEY]):
        pytest.fail("held twice")
    assert is_free(KEY)


def test_all_keys_are_held_or_none():
    """What was got before the busy one is given back at once."""
    with hold([OTHER]):
        with pytest.raises(LinkError, match=OTHER), hold([KEY, OTHER]):
            pytest.fail("held twice")
        assert is_free(KEY)
    with hold([OTHER, KEY, KEY]) as held:
        assert len(held) == 2
        assert not is_free(KEY)
        assert not is_free(OTHER)


def test_one_who_waits_gets_the_lock_when_it_is_free():
    """Within the waiting time, and the message of one who waited in vain says how long."""
    is_held, may_end = threading.Event(), threading.Event()

    def other():
        with hold([KEY]):
            is_held.set()
            may_end.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert is_held.wait(10)
    with pytest.raises(LinkError, match=r"waited 0.1 s"), hold([KEY], wait_s=0.1):
        pytest.fail("held twice")
    threading.Timer(0.2, may_end.set).start()
    with hold([KEY], wait_s=20):
        assert may_end.is_set()
    thread.join()


COUNTER = """
import pathlib, sys, time
from emgsim.bench.locks import hold
path = pathlib.Path(sys.argv[1])
for _ in range(20):
    with hold(sys.argv[2:], wait_s=60):
        number = int(path.read_text())
        time.sleep(0.001)
        path.write_text(str(number + 1))
"""


def test_two_processes_never_hold_the_same_and_never_wait_for_each_other_for_ever(tmp_path):
    """Three processes, keys in any order: every one of 60 turns is counted."""
    path = tmp_path / "number"
    path.write_text("0")
    others = [start(COUNTER, str(path), *keys)
              for keys in ([KEY, OTHER], [OTHER, KEY], [OTHER, "x", KEY])]
    for other in others:
        with other:
            other.communicate(timeout=60)
        assert other.returncode == 0
    assert path.read_text() == "60"


def test_a_lock_is_free_at_once_when_its_holder_is_killed():
    """The kernel drops it: no stale lock, nothing to clear up, no time-out."""
    with start(HOLDER, KEY, OTHER) as holder:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        began_s = time.monotonic()
        with hold([KEY, OTHER], wait_s=5):
            assert time.monotonic() - began_s < 1.0
        holder.communicate()


def test_a_lock_outlives_its_holder_in_the_process_that_it_was_handed_to():
    """Who inherited the descriptor holds on; others that were started hold nothing."""
    with hold([KEY]) as held:
        assert not any(os.get_inheritable(descriptor) for descriptor in held)
        heir = start("input()", pass_fds=held)
        stranger = start("input()")
    with heir, stranger:
        assert not is_free(KEY)
        heir.communicate(b"\n")
        assert is_free(KEY)
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_dead_holder_whose_guard_holds_on_is_told_so():
    """The message does not send anybody looking for a process that is gone."""
    with start(HOLDER, KEY) as other:
        assert other.stdout.readline() == b"held\n"
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        path = locks._path(lock_folder(), KEY)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": gone.pid}))
        with pytest.raises(LinkError, match="its guard holds on until"), hold([KEY]):
            pytest.fail("held twice")
        other.communicate(b"\n")


def test_a_time_that_is_over_throws_nobody_out():
    """The expiry is told, not enforced: the instrument may still be in use."""
    with hold([KEY], expires_s=-5), pytest.raises(LinkError, match="that time is over"), \
            hold([KEY]):
        pytest.fail("held twice")


@pytest.mark.parametrize("written", ["", "{", "[1]", "{}", '{"user": 1}', "\xff"])
def test_a_note_that_says_nothing_is_no_reason_to_fail(folder, written):
    """Somebody holds it, whoever it is: a LinkError, not a traceback."""
    with hold([KEY]):
        (folder / "awg%3AMY00000000.lock").write_bytes(written.encode("latin-1"))
        with pytest.raises(LinkError, match="not yet said who"), hold([KEY]):
            pytest.fail("held twice")


def test_every_user_can_open_the_lock_files(folder):
    """Whatever the umask of the one who came first; the folder is sticky."""
    before = os.umask(0o077)
    try:
        with hold([KEY]):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o666]


@pytest.mark.parametrize("key", ["usb:A/../../B", ".", "a b", "größe", "awg:MY%2F"])
def test_any_key_is_a_file_in_the_folder(folder, key):
    """No key leads out of the folder, and each is told from the others."""
    with hold([key]):
        assert not is_free(key)
        assert is_free(f"{key}x")
    assert len(list(folder.iterdir())) == 2


def test_a_link_in_the_place_of_a_lock_is_not_followed(folder, tmp_path):
    """In a folder that is open to all, somebody could have put it there."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with hold([OTHER]):
        pass
    (folder / "awg%3AMY00000000.lock").symlink_to(victim)
    with pytest.raises(LinkError, match="cannot be used"), hold([KEY]):
        pytest.fail("held")
    assert victim.read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_a_link_error(monkeypatch, tmp_path):
    """The message names the folder and the variable."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMGSIM_LOCK_DIR", str(tmp_path / "file" / "locks"))
    with pytest.raises(LinkError, match="cannot be used") as caught, hold([KEY]):
        pytest.fail("held")
    assert "EMGSIM_LOCK_DIR" in caught.value.todo
    assert caught.value.exit_code == 4


def test_all_users_look_in_the_same_place(monkeypatch, tmp_path):
    """The first shared folder that is open to all, whoever asks and whatever TMPDIR says."""
    monkeypatch.delenv("EMGSIM_LOCK_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "mine"))
    closed, shared = tmp_path / "closed", tmp_path / "shared"
    for path, mode in ((closed, 0o755), (shared, 0o1777)):
        path.mkdir()
        path.chmod(mode)
    monkeypatch.setattr(locks, "SHARED", (tmp_path / "missing", closed, shared))
    assert lock_folder() == shared / "emgsim-locks"


# ---- two clients on one network generator: no lock of this host keeps the other one away

SETTINGS = SourceSettings(rate_hz=48_000.0, vpp_open_v=1.0, cycles=3)
VOLTS = 0.5 * np.sin(2 * np.pi * np.arange(4800) / 48)


@pytest.fixture(scope="module")
def address():
    """Serve a generator."""
    with ServedRig(load_rig("virtual"), 1) as served:
        yield served.addresses["source"]


@pytest.fixture
def intruder(address):
    """Open a second session to the generator, in plain PyVISA."""
    manager = pyvisa.ResourceManager("@py")
    session = manager.open_resource(address, read_termination="\n", write_termination="\n")
    yield session
    session.write(":OUTP1 OFF")
    session.close()


@pytest.mark.parametrize("message", [
    ":SOUR1:VOLT 5", ":SOUR1:VOLT:OFFS 0.2", ":SOUR1:VOLT:UNIT VRMS", ":SOUR1:FUNC:ARB:SRAT 96000",
    ":SOUR1:FUNC:ARB:FILT OFF", ":SOUR1:BURS:NCYC 4", ":OUTP1:LOAD 50", ":SOUR1:DATA:VOL:CLE",
    "*RST", "*RST;:SOUR1:DATA:VOL:CLE",
    # These make the playback endless, or another one altogether:
    ":SOUR1:BURS:STAT OFF", ":SOUR1:BURS:NCYC INF", ":SOUR1:BURS:MODE GAT", ":TRIG1:SOUR IMM",
    ":SOUR1:FUNC SIN", ":OUTP1:POL INV",
    ":SOUR1:DATA:VOL:CLE;:SOUR1:DATA:ARB emgsim,0,0.5,1,0,0,0,0,0;:SOUR1:FUNC:ARB emgsim",
])
def test_a_setting_that_somebody_changed_is_refused_before_the_output_goes_on(
    address, intruder, message
):
    """arm() reads back, and the output stays off."""
    with Keysight33500.open(address) as source:
        source.upload("emgsim", VOLTS, SETTINGS)
        source.configure(SETTINGS)
        intruder.write(message)
        assert intruder.query(":SYST:ERR?").startswith("+0")
        with pytest.raises(InstrumentError):
            source.arm()
        assert intruder.query(":OUTP1?") == "0"


def test_another_selected_waveform_is_undone(address, intruder):
    """arm() selects the uploaded one again, by name."""
    with Keysight33500.open(address) as source:
        source.upload("emgsim", VOLTS, SETTINGS)
        source.configure(SETTINGS)
        intruder.write(':SOUR1:DATA:ARB other, 0, 0.5, 1, 0, 0, 0, 0, 0')
        intruder.write(":SOUR1:FUNC:ARB other")
        assert intruder.query(":SOUR1:FUNC:ARB?").strip('"').lower() == "other"
        source.arm()
        assert intruder.query(":SOUR1:FUNC:ARB?").strip('"').lower() == "emgsim"
