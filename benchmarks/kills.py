"""Kill the process that energises a generator, in every way, and see the output go off.

Usage::

    python benchmarks/kills.py [--kills 100] [--seed 1]

A virtual generator is served by a process of its own; a worker behind locks and guard loads a
waveform, energises and triggers, and dies at an instant drawn from the seed, from before the upload
to the middle of the playback. An independent session asks the generator until its output is off.
Each way of dying is printed with its worst times and the goals:

- the output is off 2 s after the death, or, for what hangs, after the lease's end, and not before;
- the locks are free 1 s after that, and never while the output is on.

``tests/bench/test_kills.py`` runs the same with fewer kills.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyvisa

from emgsim.bench.rig import load_rig
from emgsim.bench.served import ServedRig

WORKER = Path(__file__).parents[1] / "tests" / "bench" / "kill_worker.py"
KEY = "awg:MY00000001"
OFF_GOAL_S, FREE_GOAL_S, START_GOAL_S = 2.0, 1.0, 0.4
GIVE_UP_S = 10.0
HANG_LEASE_S = 0.5
LONG_LEASE_S = 60.0

DEATHS = ("SIGTERM", "SIGHUP", "SIGKILL", "Ctrl-C", "os._exit", "lost terminal")
HANGS = ("stopped", "long C call")
WAYS = (*DEATHS, *HANGS)


@dataclass(frozen=True)
class Plan:
    """One kill: how, and when: ``delay_s`` after the worker has told its ``stage``."""

    number: int
    way: str
    stage: str
    delay_s: float


@dataclass
class Outcome:
    """What a kill led to; times count from the death, or from the end of the lease."""

    plan: Plan
    was_on: bool  # as the worker read it back when it switched on
    off_s: float
    free_s: float  # from off to free
    free_while_on: bool = False
    start_s: float = 0.0  # on the wall, of the guard; 0 when the worker died before
    guard: list[dict[str, Any]] = field(default_factory=list)
    heavy: list[str] = field(default_factory=list)

    @property
    def mistakes(self) -> list[str]:
        """Name the goals that were missed."""
        found = []
        if not self.off_s <= OFF_GOAL_S:
            found.append(f"off after {self.off_s:.3f} s")
        if self.plan.way in HANGS and self.off_s < 0:
            found.append(f"off {-self.off_s:.3f} s before the lease ended")
        if not self.free_s <= FREE_GOAL_S:
            found.append(f"locks free {self.free_s:.3f} s later")
        if self.free_while_on:
            found.append("locks free while the output was on")
        if self.heavy:
            found.append(f"the worker imports {', '.join(self.heavy)}")
        if self.plan.stage == "playing" and not self.was_on:
            found.append("the output was not on when the worker died")
        return found


def draw(n: int, seed: int) -> list[Plan]:
    """Draw kills: all ways in turn, and instants from before the upload to the mid of the play."""
    rng = np.random.default_rng(seed)
    plans = []
    for number in range(n):
        way = WAYS[number % len(WAYS)]
        is_early = bool(rng.random() < 0.4) and way in DEATHS
        delay_s = float(rng.uniform(0, 0.6 if is_early else 0.2))
        plans.append(Plan(number, way, "loading" if is_early else "playing", delay_s))
    return plans


class Generator:
    """An independent session to the generator."""

    def __init__(self, address: str) -> None:
        self._manager = pyvisa.ResourceManager("@py")
        self._session: Any = self._manager.open_resource(address)
        self._session.timeout = 5000
        self._session.read_termination = self._session.write_termination = "\n"

    def ask(self, message: str) -> str:
        """Send a query and return the answer."""
        return str(self._session.query(message)).strip()

    def tell(self, message: str) -> None:
        """Send a command."""
        self._session.write(message)

    def close(self) -> None:
        """Hang up."""
        self._session.close()
        if not self._manager.list_opened_resources():
            self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Worker:
    """A worker that is started and waits for the word to begin."""

    def __init__(self, plan: Plan, address: str, folder: Path) -> None:
        self.plan = plan
        self.log = folder / f"guard-{plan.number}.jsonl"
        self.stages: dict[str, dict[str, Any]] = {}
        self._unread = b""
        self._master, slave = os.openpty() if plan.way in ("Ctrl-C", "lost terminal") else (-1, -1)
        job = {
            "address": address, "key": KEY, "run": f"kill-{plan.number}", "log": str(self.log),
            "lease_s": HANG_LEASE_S if plan.way in HANGS else LONG_LEASE_S,
            "hang": plan.way == "long C call",
            "exit_at": plan.stage if plan.way == "os._exit" else "", "exit_after_s": plan.delay_s,
            "terminal": os.ttyname(slave) if slave >= 0 else "",
        }  # fmt: skip
        self.errors = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the worker
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            bufsize=0, start_new_session=True, env=os.environ | {"EMGSIM_LOCK_DIR": str(folder)},
        )  # fmt: skip
        if slave >= 0:
            self.wait_for("ready")
            os.close(slave)

    def begin(self) -> None:
        """Give the word."""
        self.wait_for("ready")
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    def wait_for(self, stage: str) -> dict[str, Any]:
        """Return what the worker said at a stage, once it has."""
        ends_s = time.monotonic() + 30
        while stage not in self.stages:
            if time.monotonic() > ends_s or not self._hear(0.5):
                self.errors.seek(0)
                raise AssertionError(f"no {stage!r}; {self.stages}\n{self.errors.read().decode()}")
        return self.stages[stage]

    def _hear(self, seconds: float) -> bool:
        """Read what has come, and tell whether more may come."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return True
        chunk = os.read(self.process.stdout.fileno(), 65536)
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            table = json.loads(line)
            self.stages[table["stage"]] = table
        return bool(chunk)

    def hear_all(self) -> None:
        """Read what it said before it died."""
        ends_s = time.monotonic() + 1  # one that is not dead says nothing, and does not hang up
        while self._hear(0.1) and time.monotonic() < ends_s:
            pass

    def die(self) -> float:
        """Kill it as planned, and return when the output had a reason to go off."""
        way, number = self.plan.way, self.process.pid
        if way == "os._exit":
            return float(self.wait_for("exiting")["monotonic_s"])
        self.wait_for(self.plan.stage)
        time.sleep(self.plan.delay_s)
        died_s = time.monotonic()
        if way == "Ctrl-C":
            os.write(self._master, b"\x03")
        elif way == "lost terminal":
            os.close(self._master)
            self._master = -1
        elif way == "stopped":
            os.kill(number, signal.SIGSTOP)
        elif way != "long C call":
            os.kill(number, getattr(signal, way))
        if way not in HANGS:
            return died_s
        lease = self.wait_for("leased")
        return float(lease["monotonic_s"]) + float(lease["lease_s"])

    def close(self) -> None:
        """Reap it, and whatever it left open."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.errors):
            if pipe is not None:
                pipe.close()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def diary(self) -> list[dict[str, Any]]:
        """Return what the guard wrote."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


def is_free(path: Path) -> bool:
    """Tell whether nobody holds a lock."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def lock_path(folder: Path) -> Path:
    """Return the lock file of the generator."""
    return folder / f"{KEY.replace(':', '%3A')}.lock"


def kill(worker: Worker, generator: Generator, folder: Path) -> Outcome:
    """Let a worker play and die, and watch output and lock."""
    worker.begin()
    since_s = worker.die()
    off_s = free_s = float("inf")
    free_while_on = False
    ends_s = max(since_s, time.monotonic()) + GIVE_UP_S
    while time.monotonic() < ends_s:
        # The lock is looked at first: what was free before the output was seen on, was free too
        # early.
        now_free, free_at_s = is_free(lock_path(folder)), time.monotonic()
        is_on = generator.ask(":OUTP1?") == "1"
        free_while_on |= now_free and is_on
        if is_on:
            off_s = float("inf")
        elif off_s == float("inf"):
            off_s = time.monotonic() - since_s
        if now_free and not is_on and worker.process.poll() is not None:
            free_s = max(0.0, free_at_s - since_s - off_s)
            break
        time.sleep(0.002)
    worker.hear_all()
    outcome = Outcome(worker.plan, "on" in worker.stages, off_s, free_s, free_while_on)
    outcome.start_s = worker.stages.get("guarded", {}).get("start_s", 0.0)
    outcome.heavy = worker.stages["ready"]["heavy"]
    return outcome


@contextmanager
def bench() -> Iterator[tuple[Generator, dict[str, str], Path]]:
    """Serve a rig, and give a session to its generator, all addresses and a folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emgsim-kills-")))
        served = stack.enter_context(ServedRig(load_rig("virtual"), 1))
        source = stack.enter_context(Generator(served.addresses["source"]))
        yield source, served.addresses, folder


def run(plans: list[Plan], generator: Generator, address: str, folder: Path) -> Iterator[Outcome]:
    """Carry out kills one after the other; the next worker is started meanwhile."""
    with ExitStack() as stack:

        def start(plan: Plan) -> Worker:
            worker = Worker(plan, address, folder)
            stack.callback(worker.close)
            return worker

        following = start(plans[0])
        for after in [*plans[1:], None]:
            worker = following
            if after is not None:
                following = start(after)
            outcome = kill(worker, generator, folder)
            worker.close()
            outcome.guard = worker.diary()
            yield outcome


def main() -> None:
    """Print every way of dying with its worst times and the goals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with bench() as (generator, addresses, folder):
        plans = draw(options.kills, options.seed)
        outcomes = list(run(plans, generator, addresses["source"], folder))
    _print_ways(outcomes)
    is_late = not _print_times(outcomes)
    missed = [outcome for outcome in outcomes if outcome.mistakes]
    for outcome in missed:
        print(f"missed: {outcome.plan}: {'; '.join(outcome.mistakes)}")
    n = len(outcomes)
    print(f"{n - len(missed)} of {n} kills kept every goal (goal: {n})")
    sys.exit(bool(missed) or is_late)


def _print_ways(outcomes: list[Outcome]) -> None:
    print(f"{'way of dying':14s}  kills  output on  worst s to off (goal {OFF_GOAL_S:g})  "
          f"worst s from off to free (goal {FREE_GOAL_S:g})")  # fmt: skip
    for way in WAYS:
        mine = [o for o in outcomes if o.plan.way == way]
        if mine:
            print(f"{way:14s}  {len(mine):5d}  {sum(o.was_on for o in mine):9d}  "
                  f"{max(o.off_s for o in mine):23.3f}  "
                  f"{max(o.free_s for o in mine):23.3f}")  # fmt: skip


def _print_times(outcomes: list[Outcome]) -> bool:
    """Print how soon outputs went off and guards were ready; tell whether those were in time."""
    off_ms = [1000 * o.off_s for o in outcomes if o.was_on]
    print(f"ms to off, {len(off_ms)} with the output on: median {np.median(off_ms):.0f}, "
          f"p90 {np.quantile(off_ms, 0.9):.0f}, worst {max(off_ms):.0f}")  # fmt: skip
    cpu_s = [entry["cpu_s"] for o in outcomes for entry in o.guard if entry["event"] == "ready"]
    start_s = [o.start_s for o in outcomes if o.start_s > 0]
    print(f"s until a guard is ready: CPU median {np.median(cpu_s):.2f}, worst {max(cpu_s):.2f} "
          f"(goal {START_GOAL_S:g}); on the wall median {np.median(start_s):.2f}, "
          f"worst {max(start_s):.2f}")  # fmt: skip
    return max(cpu_s) <= START_GOAL_S


if __name__ == "__main__":
    main()
