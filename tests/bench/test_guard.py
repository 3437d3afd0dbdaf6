"""The guard process: no lease without it, off whenever its worker does not come back."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from emgsim.bench import guard as guard_module
from emgsim.bench.guard import Guard
from emgsim.errors import SafetyError
from emgsim.instruments.off import Job, OffOrder, read_job

if sys.platform != "linux":
    pytest.skip("pidfd as Linux has it", allow_module_level=True)


class Instrument:
    """Serves one output on a raw socket to one client at a time, the next one waiting in line.

    ``:OUTP1 LATE`` switches on 60 ms later, as a message does that waits in a queue of the
    instrument while its sender dies. A deaf one obeys, and never answers; a stuck one answers,
    and never obeys; a shy one hangs up on the second and the third client.
    """

    def __init__(self, kind=""):
        self.kind = kind
        self.heard = []
        self.changes = []  # (when it takes effect, on or off)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"TCPIP::127.0.0.1::{self._server.getsockname()[1]}::SOCKET"
        self._client = None
        self.n_clients = 0
        self._is_over = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def is_on(self):
        """Whether the output is on now."""
        now_s = time.monotonic()
        past = [change for change in self.changes if change[0] <= now_s]
        return max(past)[1] if past else False

    def switch(self, is_on, delay_s=0.0):
        """Switch the output."""
        if self.kind != "stuck" or is_on:
            self.changes.append((time.monotonic() + delay_s, is_on))

    def _serve(self):
        while not self._is_over:
            try:
                self._client, _ = self._server.accept()
            except OSError:
                return
            self.n_clients += 1
            with self._client:
                if self.kind != "shy" or self.n_clients not in (2, 3):
                    self._talk(self._client)

    def _talk(self, client):
        unread = b""
        while True:
            try:
                data = client.recv(4096)
            except OSError:
                return
            if not data:
                return
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                self._obey(client, line.decode().strip())

    def _obey(self, client, line):
        self.heard.append(line)
        if line == ":OUTP1?" and self.kind != "deaf":
            more = b",POWERON_STATE,OFF" if self.kind == "wordy" else b""
            client.sendall((b"1" if self.is_on else b"0") + more + b"\n")
        elif line == ":OUTP1 LATE":
            self.switch(True, 0.06)
        elif line in (":OUTP1 ON", ":OUTP1 OFF"):
            self.switch(line.endswith("ON"))

    def order(self, timeout_s=5.0):
        """Return how it is switched off."""
        return OffOrder(self.address, (":OUTP1 OFF",), ":OUTP1?", "0", timeout_s)

    def close(self):
        """Hang up."""
        self._is_over = True
        for end in (self._server, self._client):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._thread.join(5)


@pytest.fixture
def make():
    """Make instruments, and close them."""
    made = []

    def one(kind=""):
        made.append(Instrument(kind))
        return made[-1]

    yield one
    for instrument in made:
        instrument.close()


@pytest.fixture
def instrument(make):
    """Serve an honest instrument."""
    return make()


@pytest.fixture
def log(tmp_path):
    """Name the guard's log."""
    return tmp_path / "guard.jsonl"


def entries(log):
    """Return what a guard wrote."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def events(log):
    """Return the names of what a guard wrote."""
    return [entry["event"] for entry in entries(log)]


def until(condition, seconds=10.0):
    """Wait until something is so, and tell whether it became so."""
    ends_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_s:
            return False
        time.sleep(0.01)
    return True


WORKER = """
import json, os, socket, sys, time
from emgsim.bench.guard import Guard
from emgsim.instruments.off import OffOrder
job = json.loads(sys.argv[1])
orders = [OffOrder(**{**o, "commands": tuple(o["commands"])}) for o in job["orders"]]
with Guard(orders, job["log"]) as guard:
    link = socket.create_connection(("127.0.0.1", int(job["orders"][-1]["address"].split("::")[2])))
    guard.lease(job["lease_s"])
    link.sendall(job["on"].encode() + b"\\n:OUTP1?\\n")
    link.recv(10)
    print(guard.pid, flush=True)
    exec(job["then"])
    time.sleep(60)
"""


@contextmanager
def worker(log, *orders, on=":OUTP1 ON", lease_s=60.0, then=""):
    """Run a process that has switched the last instrument on, and give it and its guard's pid."""
    job = {
        "orders": [vars(order) for order in orders], "log": str(log), "lease_s": lease_s,
        "on": on, "then": then,
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(job)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def is_running(pid):
    """Tell whether a process lives; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def fail_under_a_lease(guard):
    """Leave a guard by an error while the output may be on."""
    with guard:
        guard.lease(60)
        raise ZeroDivisionError


# ---- the orderly way


def test_a_lease_is_acknowledged_and_an_orderly_end_sends_nothing(instrument, log):
    """Lease, release, leave: all in the log, and the instrument has not heard of the guard."""
    with Guard([instrument.order()], log) as guard:
        guard.lease(60)
        assert events(log) == ["ready", "leased"]  # written when lease() returns, not later
        guard.check()
        guard.release()
        guard.lease(30)
        guard.release()
        pid = guard.pid
    assert events(log) == ["ready", "leased", "released", "leased", "released", "bye"]
    assert entries(log)[1]["seconds"] == 60
    assert instrument.heard == []
    assert not is_running(pid)


def test_a_lease_that_was_given_back_does_not_end(instrument, log):
    """A short lease, released at once, leaves us and the instrument alone."""
    with Guard([instrument.order()], log) as guard:
        guard.lease(0.2)
        guard.release()
        time.sleep(0.3)
        guard.check()
    assert instrument.heard == []


def test_a_new_lease_replaces_the_last_one(instrument, log):
    """The second lease is counted from its own beginning."""
    with Guard([instrument.order()], log) as guard:
        guard.lease(0.3)
        guard.lease(60)
        time.sleep(0.5)
        guard.release()
    assert "the lease ended" not in events(log)


def test_leaving_under_a_lease_switches_off_without_killing_us(instrument, log, capfd):
    """An error on the way past release(): the guard switches off itself, and says so."""
    instrument.switch(True)
    with pytest.raises(ZeroDivisionError):
        fail_under_a_lease(Guard([instrument.order()], log))
    assert not instrument.is_on
    assert events(log) == ["ready", "leased", "bye", "off", "end"]
    assert "confirmed twice" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["deaf", "stuck"])
def test_an_output_that_is_not_confirmed_off_is_an_error_and_loud(make, log, capfd, kind):
    """No answer or the wrong one: SafetyError, and shouting on standard error."""
    instrument = make(kind)
    instrument.switch(True)
    guard = Guard([instrument.order(timeout_s=0.4)], log)
    with pytest.raises(SafetyError, match="could not confirm") as caught, guard:
        guard.lease(60)
    assert "by hand" in caught.value.todo
    said = capfd.readouterr().err
    assert "NOT CONFIRMED OFF" in said
    assert "BY HAND" in said
    assert instrument.address in said
    assert events(log)[-2:] == ["NOT CONFIRMED OFF", "end"]


def test_an_error_on_the_way_keeps_its_place_before_the_guards_own(make, log):
    """What went wrong first is what is raised; that the output may be on is a note to it."""
    with pytest.raises(ZeroDivisionError) as caught:
        fail_under_a_lease(Guard([make("deaf").order(timeout_s=0.3)], log))
    assert any("could not confirm" in note for note in caught.value.__notes__)


# ---- no lease without a guard


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_a_lease_must_be_a_positive_time(instrument, log, seconds):
    """For ever is no lease, nor is nothing; the guard stays as it was."""
    with Guard([instrument.order()], log) as guard:
        with pytest.raises(ValueError, match="positive and finite"):
            guard.lease(seconds)
        guard.check()
    assert events(log) == ["ready", "bye"]


def test_an_answer_that_says_more_is_understood(make, log):
    """Newer firmwares add fields behind the one that is asked for."""
    wordy = make("wordy")
    with pytest.raises(ZeroDivisionError):
        fail_under_a_lease(Guard([wordy.order()], log))
    assert events(log) == ["ready", "leased", "bye", "off", "end"]


def test_a_guard_without_orders_ends_a_worker_that_hangs(log):
    """What plays by itself, as a sound card does, is silent when its process is dead."""
    code = (
        "import sys, time\n"
        "from emgsim.bench.guard import Guard\n"
        "with Guard([], sys.argv[1]) as guard:\n"
        "    guard.lease(0.3)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(log)], timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert until(lambda: events(log)[-1:] == ["end"])
    assert "killed" in events(log)


def test_a_guard_without_orders_ends_with_its_worker(log):
    """The orderly way: nothing was leased, and nothing is left to do."""
    with Guard([], log):
        pass
    assert events(log) == ["ready", "bye"]


def test_a_guard_that_was_killed_gives_no_lease(instrument, log):
    """lease, release and check refuse, each with what to do."""
    guard = Guard([instrument.order()], log)
    with guard:
        os.kill(guard.pid, signal.SIGKILL)
        assert until(lambda: guard._process.poll() is not None)
        for call in (guard.check, lambda: guard.lease(1), guard.release):
            with pytest.raises(SafetyError, match="nothing may be energised") as caught:
                call()
            assert caught.value.exit_code == 5
            assert caught.value.todo
            assert str(log) in caught.value.where
    with pytest.raises(SafetyError, match="nothing may be energised"):
        guard.lease(1)


def test_a_guard_that_dies_under_a_lease_is_no_confirmation(instrument, log):
    """Leaving says that nobody confirmed the output off."""
    guard = Guard([instrument.order()], log)
    guard.__enter__()
    guard.lease(60)
    os.kill(guard.pid, signal.SIGKILL)
    with pytest.raises(SafetyError, match="could not confirm"):
        guard.close()
    guard.close()  # the second time there is nothing left to say


def test_a_guard_that_does_not_answer_in_time_gives_no_lease_ever(instrument, log, monkeypatch):
    """A late answer is not taken for the answer to the next question."""
    monkeypatch.setattr(guard_module, "ANSWER_TIMEOUT_S", 0.2)
    guard = Guard([instrument.order()], log)
    with guard:
        os.kill(guard.pid, signal.SIGSTOP)
        with pytest.raises(SafetyError, match=r"did not answer within 0.2 s"):
            guard.lease(60)
        os.kill(guard.pid, signal.SIGCONT)
        assert until(lambda: "leased" in events(log))
        with pytest.raises(SafetyError, match="did not answer"):
            guard.lease(60)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(3)", "has ended"),
        ("print('hello', flush=True); input()", "said 'hello'"),
        ("import time; time.sleep(60)", r"did not answer within 0.5 s"),
        # A true one that is late must not take the closing pipe for our death.
        ("import time; time.sleep(1); from emgsim.instruments import off; off.main()",
         r"did not answer within 0.5 s"),
    ],
)
def test_a_guard_that_does_not_start_is_a_safety_error(log, monkeypatch, code, said):
    """One that ends, says something else or nothing is refused and gone, and we live on."""
    real, started = subprocess.Popen, []

    def popen(_, **options):
        started.append(real([sys.executable, "-c", code], **options))
        return started[0]

    monkeypatch.setattr(guard_module, "START_TIMEOUT_S", 0.5 if "sleep" in code else 15.0)
    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(SafetyError, match=said), \
            Guard([OffOrder("TCPIP::127.0.0.1::1::SOCKET", (), "?", "0")], log):
        pytest.fail("started")
    assert started[0].returncode is not None


def test_a_guard_that_cannot_be_started_is_a_safety_error(log, monkeypatch):
    """An interpreter that is not there, or a system that has no process left to give."""
    monkeypatch.setattr(sys, "executable", str(log))
    with pytest.raises(SafetyError, match="cannot be started"), \
            Guard([OffOrder("TCPIP::127.0.0.1::1::SOCKET", (), "?", "0")], log):
        pytest.fail("started")


def test_a_guard_that_cannot_write_its_log_is_a_safety_error(instrument, tmp_path, capfd):
    """What it would tell would be lost; its own message says why."""
    with pytest.raises(SafetyError, match="has ended"), \
            Guard([instrument.order()], tmp_path / "missing" / "guard.jsonl"):
        pytest.fail("started")
    assert "No such file" in capfd.readouterr().err


# ---- when the worker does not come back


def test_a_worker_that_is_killed_is_followed_by_off(instrument, log):
    """The instrument that takes one client only is free when the worker is dead."""
    with worker(log, instrument.order()) as (process, pid):
        assert instrument.is_on
        process.kill()
        assert until(lambda: not instrument.is_on, 2.0)
        assert until(lambda: not is_running(pid))
        assert process.stderr is not None
        assert b"off after" in process.communicate()[1]
    assert events(log)[-2:] == ["off", "end"]
    assert entries(log)[-1]["imported"] == []


def test_an_instrument_that_hangs_up_is_called_again(make, log):
    """A port that is not free at once after a death is tried until it is."""
    shy = make("shy")
    with worker(log, shy.order()) as (process, pid):
        process.kill()
        assert until(lambda: not shy.is_on, 4.0)
        assert until(lambda: not is_running(pid))
    assert entries(log)[-2]["event"] == "off"
    assert entries(log)[-2]["attempts"] == 3


def test_a_worker_that_outstays_its_lease_is_killed_and_then_its_output_goes_off(instrument, log):
    """While the worker holds the only place, nobody else is heard: it must be killed first."""
    with worker(log, instrument.order(), lease_s=0.5) as (process, pid):
        began_s = entries(log)[1]["monotonic_s"]
        assert until(lambda: not instrument.is_on, 4.0)
        assert 0.5 <= time.monotonic() - began_s < 2.5
        assert process.wait(5) == -signal.SIGKILL
        assert until(lambda: not is_running(pid))
    assert events(log) == ["ready", "leased", "the lease ended", "killed", "off", "end"]


def test_a_worker_that_hangs_up_without_good_bye_is_killed(instrument, log):
    """A pipe that closes means that nobody is in charge any more."""
    hang_up = "guard._process.stdin.close()"
    with worker(log, instrument.order(), then=hang_up) as (process, pid):
        assert until(lambda: not instrument.is_on, 4.0)
        assert process.wait(5) == -signal.SIGKILL
        assert until(lambda: not is_running(pid))
    assert "the pipe closed" in events(log)


def test_a_child_that_holds_the_pipe_open_does_not_hide_the_workers_death(instrument, log):
    """A forked child inherits the pipe's end; the death itself is watched too.

    It inherits the link as well, and would keep a port that takes one client only: it hangs up.
    """
    fork = "child = os.fork()\nif child: print(child, flush=True)\nelse: link.close()"
    with worker(log, instrument.order(), then=fork) as (process, pid):
        child = int(process.stdout.readline())
        process.kill()
        assert until(lambda: not instrument.is_on, 2.0)
        assert until(lambda: not is_running(pid))
        os.kill(child, signal.SIGKILL)
    assert "the worker died" in events(log)


def test_what_waits_in_the_instrument_cannot_switch_on_again(instrument, log):
    """A message of the dead worker that is obeyed late is undone."""
    kill = "link.sendall(b':OUTP1 LATE\\n'); os.kill(os.getpid(), 9)"
    with worker(log, instrument.order(), on=":OUTP1 OFF", then=kill) as (process, pid):
        process.wait(5)
        assert until(lambda: not is_running(pid))
        assert ":OUTP1 LATE" in instrument.heard
        time.sleep(0.1)
        assert not instrument.is_on


def test_an_instrument_that_hangs_keeps_no_other_one_on(make, log):
    """Orders are carried out side by side."""
    deaf, honest = make("deaf"), make()
    with worker(log, deaf.order(timeout_s=3.0), honest.order()) as (process, pid):
        process.kill()
        assert until(lambda: not honest.is_on, 2.0)
        assert until(lambda: not is_running(pid), 8.0)  # not for ever, either
    assert sorted(events(log)[-3:]) == ["NOT CONFIRMED OFF", "end", "off"]


def test_a_guard_hears_no_signal_of_the_terminal(instrument, log):
    """SIGINT, SIGTERM, SIGHUP and SIGQUIT leave it where it is, in a session of its own."""
    with Guard([instrument.order()], log) as guard:
        assert os.getsid(guard.pid) == guard.pid
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            os.kill(guard.pid, number)
        guard.lease(60)
        guard.release()


def test_a_process_with_the_number_of_a_dead_worker_is_not_killed(instrument, log):
    """A guard that is not the child of the process that it is told to watch leaves it alone."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with bystander:
        job = Job(bystander.pid, (instrument.order(),), str(log))
        done = subprocess.run(
            [sys.executable, "-m", "emgsim.instruments.off"], input=job.line(), text=True,
            capture_output=True, timeout=30, check=False)
        assert (done.returncode, done.stdout) == (0, "")
        assert bystander.poll() is None
        bystander.kill()
    assert instrument.heard == []


def test_a_guard_whose_worker_died_before_the_job_came_ends_quietly():
    """No job, no output, no guard."""
    done = subprocess.run([sys.executable, "-m", "emgsim.instruments.off"], input="", text=True,
                          capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_descriptors_are_handed_on_only_where_wanted(instrument, log):
    """The guard holds what it was given, until it has ended."""
    ours, theirs = os.pipe()
    other, hidden = os.pipe()
    try:
        with Guard([instrument.order()], log, pass_fds=[theirs]) as guard:
            held = {os.readlink(f"/proc/{guard.pid}/fd/{n}")
                    for n in os.listdir(f"/proc/{guard.pid}/fd")}
            assert os.readlink(f"/proc/self/fd/{theirs}") in held
            assert os.readlink(f"/proc/self/fd/{hidden}") not in held
            os.close(theirs)
            assert not select.select([ours], [], [], 0.1)[0]
        assert os.read(ours, 1) == b""
    finally:
        for descriptor in (ours, other, hidden):
            os.close(descriptor)


# ---- the process itself


def test_a_guard_is_light_and_ready_soon(instrument, log):
    """Neither scipy nor numba nor pydantic; 0.4 s of CPU at most until it is ready."""
    with Guard([instrument.order()], log) as guard:
        maps = Path(f"/proc/{guard.pid}/maps").read_text("utf-8")
    assert not [name for name in ("scipy", "numba", "llvmlite", "pydantic")
                if f"/{name}/" in maps]
    assert entries(log)[0]["cpu_s"] < 0.4


def test_a_job_comes_back_from_its_line(instrument):
    """What one process writes the other reads."""
    job = Job(17, (instrument.order(), instrument.order(0.5)), "log")
    assert read_job(job.line()) == job
