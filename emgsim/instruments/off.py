"""Switches outputs off when the process that energised them dies or hangs: the guard process.

Started by `emgsim.bench.guard` as ``python -m emgsim.instruments.off``, in a session of its own, so
that what a terminal does to the worker does not reach it. The first line on standard input is the
`Job`; then, a word a line::

    worker                    guard
                              ready             when nothing is left to import
    lease SECONDS             leased            before every energising call
    release                   released          when the output was confirmed off
    bye                       bye | off | on    the orderly end: nothing was leased, or the output
                                                was switched off here, or could not be

It acts when the worker dies, when its end of the pipe closes without ``bye``, and when a lease
ends: it kills the worker, which frees sockets and ports that take one client only, opens sessions
of its own, sends the off strings, asks whether the outputs are off, and ends. The worker is known
by a pidfd, so no process that was later given the same number is ever hit.

The module itself imports nothing but the standard library; PyVISA comes with `main`.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyvisa

BACKEND = "@py"
STDIN, STDOUT, STDERR = 0, 1, 2
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
KILL_WAIT_S = 1.0  # a process that is killed is gone within milliseconds, unless its disk hangs
PAUSE_S = 0.05  # between two attempts
SETTLE_S = 0.1  # a message that the dead worker left in the instrument's queue is obeyed by then
GRACE_S = 0.5  # past an order's time, for its thread to say so
LONGEST_POLL_S = 3600.0


@dataclass(frozen=True)
class OffOrder:
    """Tells how one instrument is switched off.

    Parameters
    ----------
    address
        VISA resource name.
    commands
        Messages that have no answer, sent in this order.
    query, answer
        Question, and the answer that says that the output is off.
    timeout_s
        How long it is tried.
    """

    address: str
    commands: tuple[str, ...]
    query: str
    answer: str
    timeout_s: float = 5.0


@dataclass(frozen=True)
class Job:
    """Names whom to watch, what to switch off, and the JSON-lines file that tells of it."""

    worker_pid: int
    orders: tuple[OffOrder, ...]
    log: str

    def line(self) -> str:
        """Return the job as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"


def read_job(line: str) -> Job:
    """Return the job that a line of JSON holds.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it holds none.
    """
    table = json.loads(line)
    orders = tuple(
        OffOrder(**{**order, "commands": tuple(order["commands"])}) for order in table["orders"]
    )
    return Job(int(table["worker_pid"]), orders, str(table["log"]))


class Diary:
    """Appends events to a JSON-lines file; a disk that is full must not keep an output on."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, event: str, **facts: Any) -> None:
        """Append one event with the time, on the wall and on the monotonic clock."""
        at = {"event": event, "unix_s": time.time(), "monotonic_s": time.monotonic()}
        with suppress(OSError):
            os.write(self._file, (json.dumps(at | facts) + "\n").encode())

    def settle(self) -> None:
        """Bring everything to the disk; slow, so never before an output is off."""
        with suppress(OSError):
            os.fsync(self._file)


class Watch:
    """Serves leases until there is a reason to act."""

    def __init__(self, worker: int, diary: Diary) -> None:
        self._worker = worker  # a pidfd: readable when the worker is dead
        self._diary = diary
        self._ends_s = math.inf
        self._unread = b""
        self._poll = select.poll()
        self._poll.register(STDIN, select.POLLIN)
        self._poll.register(worker, select.POLLIN)

    @property
    def is_leased(self) -> bool:
        """Whether an output may be on."""
        return self._ends_s < math.inf

    def reason(self) -> str:
        """Return why it ends: ``bye``, or what went wrong."""
        while True:
            left_s = min(self._ends_s - time.monotonic(), LONGEST_POLL_S)
            ready = {number for number, _ in self._poll.poll(1000 * max(left_s, 0.0))}
            if STDIN in ready:  # first: what the worker said before it died counts
                if (ending := self._heard()) is not None:
                    return ending
            elif self._worker in ready:
                return "the worker died"
            if time.monotonic() >= self._ends_s:
                return "the lease ended"

    def _heard(self) -> str | None:
        try:
            data = os.read(STDIN, 4096)
        except OSError:
            data = b""
        if not data:
            return "the pipe closed"
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode("ascii", "replace").partition(" ")
            if word == "bye":
                return "bye"
            answer(self._obeyed(word, rest))
        return None

    def _obeyed(self, word: str, rest: str) -> str:
        if word == "lease" and (seconds := _positive(rest)) is not None:
            self._ends_s = time.monotonic() + seconds
            self._diary.note("leased", seconds=seconds)
            return "leased"
        if word == "release":
            self._ends_s = math.inf
            self._diary.note("released")
            return "released"
        return "unknown"


def answer(word: str) -> None:
    """Tell the worker; one that has gone hears nothing, and the pipe tells of it."""
    with suppress(OSError):
        os.write(STDOUT, word.encode() + b"\n")


def kill(worker: int) -> bool:
    """Kill the process of a pidfd, wait until it is dead, and tell whether it is."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(worker, signal.SIGKILL)
    poll = select.poll()
    poll.register(worker, select.POLLIN)
    return bool(poll.poll(1000 * KILL_WAIT_S))


@dataclass
class Attempts:
    """Tells what came of one order so far."""

    order: OffOrder
    is_off: bool = False
    n: int = 0
    took_s: float | None = None  # until the output was first confirmed off
    last: str = "no attempt came to its end"

    def run(self, manager: pyvisa.ResourceManager) -> None:
        """Try until the output is off or the order's time is over."""
        began_s = time.monotonic()
        while (left_s := began_s + self.order.timeout_s - time.monotonic()) > 0:
            self.n += 1
            try:
                self._try(manager, left_s, began_s)
            except Exception as error:  # back ends raise anything, and the next attempt may work
                self.last = f"{type(error).__name__}: {error}"
            if self.is_off:
                return
            time.sleep(PAUSE_S)

    def _try(self, manager: pyvisa.ResourceManager, left_s: float, began_s: float) -> None:
        """Switch off and ask, and a little later once more, in a session of its own."""
        session: Any = manager.open_resource(self.order.address, open_timeout=int(1000 * left_s))
        try:
            session.timeout = 1000 * left_s
            session.read_termination = session.write_termination = "\n"
            first = self._is_off(session)
            if first and self.took_s is None:
                self.took_s = time.monotonic() - began_s
            time.sleep(SETTLE_S)
            self.is_off = self._is_off(session) and first
        finally:
            with suppress(Exception):
                session.close()

    def _is_off(self, session: Any) -> bool:
        for command in self.order.commands:
            session.write(command)
        heard = str(session.query(self.order.query)).strip()
        self.last = f"{self.order.query} was answered by {heard!r}"
        # Newer firmwares add fields to an answer: ``OUTP OFF,...,POWERON_STATE,OFF``.
        return heard == self.order.answer or heard.startswith(f"{self.order.answer},")


def switch_off(
    orders: Sequence[OffOrder], manager: pyvisa.ResourceManager, diary: Diary
) -> list[Attempts]:
    """Carry out all orders side by side, so that none waits for another that hangs."""
    every = [Attempts(order) for order in orders]
    threads = [threading.Thread(target=each.run, args=(manager,), daemon=True) for each in every]
    for each, thread in zip(every, threads, strict=True):
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had: one after the other, then
            each.run(manager)
    for each, thread in zip(every, threads, strict=True):
        if thread.ident is not None:
            thread.join(each.order.timeout_s + GRACE_S)
        diary.note(
            "off" if each.is_off else "NOT CONFIRMED OFF",
            address=each.order.address, attempts=each.n, took_s=each.took_s, last=each.last,
        )  # fmt: skip
    return every


def tell(worker_pid: int, why: str, every: Sequence[Attempts]) -> None:
    """Say on standard error what happened, but never wait for somebody to read it."""
    lines = [f"emgsim guard: {why} (worker {worker_pid})"]
    for each in every:
        where = each.order.address
        if each.is_off and each.took_s is not None:
            lines.append(f"  off after {1000 * each.took_s:.0f} ms, confirmed twice: {where}")
        else:
            lines += [
                f"  !!! NOT CONFIRMED OFF after {each.n} attempts: {where} !!!",
                f"  !!! ({each.last})",
                "  !!! switch this output off BY HAND, now",
            ]
    text = "\n".join(lines) + "\n"
    thread = threading.Thread(target=_write_error, args=(text,), daemon=True)
    with suppress(RuntimeError):  # no more threads to be had
        thread.start()
        thread.join(GRACE_S)


def main() -> int:
    """Guard one worker to its end; return 0 when nothing is left on, as far as is known."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if not (line := _first_line()):  # the worker died at once
        return 0
    job = read_job(line)
    diary = Diary(job.log)
    worker = _pidfd(job.worker_pid)
    if worker is None:  # it died before anything was leased
        return 0
    manager = _prepared()
    loaded = set(sys.modules)
    diary.note("ready", pid=os.getpid(), worker_pid=job.worker_pid, cpu_s=time.process_time())
    answer("ready")
    watch = Watch(worker, diary)
    why = _why(watch)
    diary.note(why, is_leased=watch.is_leased)
    if why == "bye" and not watch.is_leased:
        diary.settle()
        answer("bye")
        return 0
    is_dead = why != "bye" and kill(worker)
    if why != "bye":
        diary.note("killed" if is_dead else "could not be killed")
    every = switch_off(job.orders, manager, diary)
    is_off = all(each.is_off for each in every) if every else is_dead
    answer("off" if is_off else "on")
    diary.note("end", imported=sorted(set(sys.modules) - loaded))
    tell(job.worker_pid, why, every)
    diary.settle()
    return 0 if is_off else 1


def _pidfd(pid: int) -> int | None:
    """Return a hold on the parent process, or None when it is no longer the one of that number."""
    with suppress(ProcessLookupError):
        worker = os.pidfd_open(pid)
        if os.getppid() == pid:  # asked after: were it dead by then, another might have its number
            return worker
    return None


def _why(watch: Watch) -> str:
    """Return the reason to end; a guard that fails must act rather than leave."""
    try:
        return watch.reason()
    except Exception as error:
        return f"the guard failed: {type(error).__name__}: {error}"


def _prepared() -> pyvisa.ResourceManager:
    """Import all that switching off will need, and return the way to instruments."""
    import pyvisa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of discovery; nothing is discovered
        return pyvisa.ResourceManager(BACKEND)


def _first_line() -> str:
    """Read one line and not a byte more: what follows it is polled for."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(STDIN, 1)
        if not byte:
            return ""
        line += byte
    return line.decode()


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _write_error(text: str) -> None:
    with suppress(OSError):
        os.write(STDERR, text.encode())


if __name__ == "__main__":
    os._exit(main())  # a thread that hangs in a dead link must not keep the locks
