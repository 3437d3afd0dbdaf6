"""Energises a generator behind locks and guard, and waits to be killed, or dies as it is told.

It is started by ``benchmarks/kills.py``, with one JSON table as its argument, prints a JSON line at
every stage, and begins at a line on standard input. It imports neither scipy nor numba.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time

import numpy as np

from emgsim.bench.guard import Guard
from emgsim.bench.locks import hold
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.keysight_33500 import Keysight33500
from emgsim.instruments.off import OffOrder

RATE_HZ, PLAY_S, CYCLES = 48_000.0, 2.0, 3
HEAVY = ("scipy", "numba", "pydantic", "simpy")


def say(stage: str, **facts: object) -> None:
    """Tell the harness where we are; one write, so that no line is cut by a death."""
    line = json.dumps({"stage": stage, "monotonic_s": time.monotonic(), **facts}) + "\n"
    os.write(1, line.encode())


def exit_later(delay_s: float) -> None:
    """Leave without any clean-up after a while, whatever the main thread does by then."""

    def leave() -> None:
        say("exiting")
        os._exit(7)

    timer = threading.Timer(delay_s, leave)
    timer.daemon = True
    timer.start()


def play(job: dict) -> None:
    """Load, energise and trigger, and stay in the middle of the playback."""

    def reached(stage: str) -> None:
        say(stage)
        if job["exit_at"] == stage:
            exit_later(job["exit_after_s"])

    settings = SourceSettings(rate_hz=RATE_HZ, vpp_open_v=2.0, cycles=CYCLES)
    t_s = np.arange(round(RATE_HZ * PLAY_S)) / RATE_HZ
    order = OffOrder(job["address"], (":OUTP1 OFF",), ":OUTP1?", "0")
    reached("loading")
    with hold([job["key"]], run_id=job["run"]) as held:
        began_s = time.monotonic()
        with Guard([order], job["log"], pass_fds=held) as guard:
            say("guarded", guard_pid=guard.pid, start_s=time.monotonic() - began_s)
            with Keysight33500.open(job["address"]) as source:
                source.upload("emgsim", np.sin(2 * np.pi * 100 * t_s), settings)
                source.configure(settings)
                say("loaded")
                guard.lease(job["lease_s"])
                say("leased", lease_s=job["lease_s"])
                source.arm()
                say("on")
                source.trigger()
                reached("playing")
                if job["hang"]:
                    ctypes.PyDLL(None).sleep(60)  # one C call that keeps the interpreter
                time.sleep(60)
            guard.release()


def main() -> None:
    """Wait for the word, then play."""
    # Who starts the tests by nohup or in the background lets them ignore these, and us with them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    job = json.loads(sys.argv[1])
    if job["terminal"]:  # the first terminal that a session leader opens becomes its own
        os.close(os.open(job["terminal"], os.O_RDWR))
    say("ready", heavy=[name for name in HEAVY if name in sys.modules])
    sys.stdin.readline()
    play(job)


if __name__ == "__main__":
    main()
