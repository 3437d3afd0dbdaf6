"""Upload of the longest waveform, and the time of a set-get pair, on every wire.

Usage::

    python benchmarks/wire.py [--points 16000000] [--pairs 2000]

Our link talks to the virtual 33522B in a process of its own. An upload ends when ``*OPC?`` is
answered; the SHA-256 of what was received is asked for and compared. A pair is one message,
``:VOLT x;:VOLT?``, and its median is of wall time, since that is what the goal says; CPU time is
given for client and server. A serial line has no goal: its bytes are slow on a real instrument.
Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil

from emgsim.instruments.transport import VisaLink

LAN = ("hislip", "socket", "vxi11")
UPLOADS = {"hislip": 1.0, "socket": 1.0, "vxi11": 1.0, "serial": 0.0625}  # share of the points
GOAL_PAIR_MS = 1.0
HEADER = ":SOUR1:DATA:ARB:DAC wave,"


def serve(wire: str) -> None:
    """Serve the generator until standard input ends; it also tells the digest of its last block."""
    from emgsim.plant.physics import RigPhysics
    from emgsim.plant.world import World
    from emgsim.virtual.firmware import Firmware
    from emgsim.virtual.generator import VirtualGenerator
    from emgsim.virtual.wires import SERVERS

    class Telling(Firmware):
        digest = b""

        async def run(self, message: bytes, *others: Any) -> bytes:
            if message.startswith(b"DIGEST?"):
                return self.digest + b"\n"
            at = message.find(b"#", 0, 80)
            if message.startswith(HEADER.encode()) and at >= 0:
                start = at + 2 + int(message[at + 1 : at + 2])
                end = start + int(message[at + 2 : start])
                self.digest = hashlib.sha256(message[start:end]).hexdigest().encode()
            return await super().run(message, *others)

    async def served() -> None:
        server = SERVERS[wire](Telling(VirtualGenerator(World(RigPhysics(), seed=1)).engine))
        print(json.dumps(await server.start()), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await server.close()

    asyncio.run(served())


@contextmanager
def serving(wire: str) -> Iterator[tuple[VisaLink, psutil.Process]]:
    """Start the server's process and open a link to it."""
    command = [sys.executable, __file__, "--serve", wire]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        try:
            with VisaLink(json.loads(job.stdout.readline()), upload_timeout_s=120.0) as link:
                yield link, psutil.Process(job.pid)
        finally:
            job.stdin.close()


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time that a process has used."""
    times = process.cpu_times()
    return times.user + times.system


def upload(wire: str, points: int) -> bool:
    """Upload a waveform, print how long it took, and return whether all of it arrived."""
    codes = np.random.default_rng(1).integers(-32767, 32768, points).astype("<i2")
    wanted = hashlib.sha256(codes.tobytes()).hexdigest()
    with serving(wire) as (link, process):
        link.tell("*RST;:FORM:BORD SWAP")
        before, began_s, own_s = cpu_s(process), time.perf_counter(), time.process_time()
        n_bytes = link.tell_block(HEADER, codes)
        sent_s = time.perf_counter() - began_s
        link.finish("the upload", timeout_s=120.0)
        done_s, own_s = time.perf_counter() - began_s, time.process_time() - own_s
        server_s = cpu_s(process) - before
        is_same = link.ask("DIGEST?") == wanted
    mb, verdict = n_bytes / 1e6, "equal" if is_same else "DIFFERS"
    print(f"{wire:8s} {points:9d} {mb:7.1f}   {sent_s:6.3f} {mb / sent_s:7.0f}   {done_s:6.3f}   "
          f"{own_s:6.3f} {server_s:7.3f}   {verdict}", flush=True)
    return is_same


def pairs(wire: str, n: int) -> bool:
    """Time set-get pairs, print them, and return whether the goal is reached."""
    with serving(wire) as (link, process):
        for _ in range(50):
            link.put("SOUR1:VOLT", 1.0)
        walls_s = np.empty(n)
        before, own_s = cpu_s(process), time.process_time()
        for k in range(n):
            began_s = time.perf_counter()
            link.put("SOUR1:VOLT", 1.0 + k / n)
            walls_s[k] = time.perf_counter() - began_s
        own_s, server_s = time.process_time() - own_s, cpu_s(process) - before
        queue = link.errors()
    median_ms, late_ms = 1e3 * np.percentile(walls_s, [50, 99])
    goal = f"goal {GOAL_PAIR_MS:g}" if wire in LAN else "no goal"
    print(f"{wire:8s} {median_ms:8.3f} ({goal})   {late_ms:8.3f}   {1e6 * own_s / n:7.0f} "
          f"{1e6 * server_s / n:7.0f}   {len(queue)}", flush=True)
    return not queue and (wire not in LAN or median_ms <= GOAL_PAIR_MS)


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=16_000_000)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--serve", choices=UPLOADS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    print("upload      points      MB   sent, s    MB/s   *OPC?, s   CPU s: link, server   SHA-256 "
          "(goal: equal)")
    is_whole = [upload(wire, round(share * options.points)) for wire, share in UPLOADS.items()]
    print("\nset-get   median, ms             99 %, ms   CPU us: link, server   errors (goal 0)")
    is_quick = [pairs(wire, options.pairs) for wire in UPLOADS]
    return 0 if all(is_whole) and all(is_quick) else 1


if __name__ == "__main__":
    sys.exit(main())
