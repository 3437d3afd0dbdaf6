"""A stream of 64 channels, 24 bits and 4 kHz over a pseudo-terminal: its cost and its speed.

    python benchmarks/stream.py

The twin runs in a process of its own, as on a virtual rig, and our driver reads it here. In the
paced clock (time is that of the wall) each side may cost 5 % of a core, and no byte may be lost. In
the free clock (as fast as it is read) the plant alone must make 200 s in a second of CPU, and the
whole way, from the plant to the decoded blocks, 20 s in a second of its slower side's CPU; on the
wall too, where the machine has two cores to itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from emgsim.instruments.profiles import DeviceProfile, load_profile
from emgsim.instruments.serial_frames import SerialFrames
from emgsim.plant.physics import AmplifierPhysics, RigPhysics
from emgsim.plant.world import GeneratorSettings, World

CHANNELS, RATE_HZ = 64, 4000.0
AMPLIFIER = {
    "rate_hz": RATE_HZ, "channels": CHANNELS, "channel_noise_uv_rms": 0.3, "noise_uv_rms": 0.3,
    "highpass_order": 1, "lowpass_hz": 1000.0, "lowpass_order": 2,
}  # fmt: skip
PACED_S, FREE_S, PLANT_S = 6.0, 20.0, 10.0
BLOCK_SAMPLES = 400
FIFO_BYTES = 400_000  # half a second: a busy machine may let a reader sleep for a quarter
MOST_OF_A_CORE = 0.05
PLANT_GOAL, WIRE_GOAL = 200.0, 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def profile() -> DeviceProfile:
    """Describe the reference amplifier with 64 channels at 4 kHz."""
    table = load_profile("na1").model_dump(by_alias=True)
    table["frame"]["channels"] = CHANNELS
    return DeviceProfile.model_validate(
        table | {"rate_hz": RATE_HZ, "band_hz": [10.0, 1000.0], "baud": 4_000_000}
    )


def cpu_s(process_id: int) -> float:
    """Return the processor time that a process has used, to 10 ms."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextmanager
def served(clock: str) -> Iterator[tuple[str, int]]:
    """Run a virtual rig, and give the address of its device and its process id."""
    line = {"fifo_bytes": FIFO_BYTES}
    rig = {"virtual": {"amplifier": AMPLIFIER, "clock": clock, "line": line}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rig.json"
        path.write_text(json.dumps(rig), encoding="utf-8")
        command = [sys.executable, "-m", "emgsim.virtual", str(path), "--seed", "1"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield json.loads(process.stdout.readline())["device"], process.pid
            finally:
                process.stdin.close()
                process.wait(10.0)


def streamed(clock: str, seconds: float) -> dict[str, float]:
    """Read so many seconds of signal, and return what they cost."""
    wanted = round(seconds * RATE_HZ)
    with (
        served(clock) as (address, process_id),
        SerialFrames.open(address, profile=profile(), timeout_s=5.0) as device,
    ):
        device.start()
        device.read_block(BLOCK_SAMPLES, 5.0)  # all is loaded and warm
        wall_s, twin_s, ours_s = time.monotonic(), cpu_s(process_id), time.process_time()
        n_read = n_lost = n_bad = 0
        while n_read < wanted:
            block = device.read_block(BLOCK_SAMPLES, 5.0)
            n_read += len(block.counts)
            n_lost += sum(n for _, n in block.gaps)
            n_bad = block.n_bad_frames + block.n_repeated_frames
        return {
            "signal_s": n_read / RATE_HZ,
            "wall_s": time.monotonic() - wall_s,
            "twin_s": cpu_s(process_id) - twin_s,
            "ours_s": time.process_time() - ours_s,
            "lost": n_lost + n_bad,
        }


def plant_speed(play_rate_hz: float) -> float:
    """Return how many seconds the plant makes in a second of CPU; rate 0: the output is off."""
    world = World(RigPhysics(amplifier=AmplifierPhysics(**AMPLIFIER)), seed=1)
    world.amplifier.start()
    if play_rate_hz:
        points = round(play_rate_hz)
        waveform = 20_000 * np.sin(2 * np.pi * 50 * np.arange(points) / points)
        world.generator.set_waveform(np.rint(waveform).astype(np.int16))
        world.generator.apply(
            GeneratorSettings(rate_hz=play_rate_hz, cycles=10_000, output_on=True)
        )
        world.generator.trigger()
    world.advance(1.0)
    best_s = np.inf
    for _ in range(3):
        began_s = time.process_time()
        world.advance(PLANT_S / 2)
        best_s = min(best_s, time.process_time() - began_s)
        world.amplifier.take()
    return PLANT_S / 2 / best_s


def main() -> int:
    """Print every figure with its goal, and return 1 if one is missed."""
    missed = 0

    def told(what: str, value: float, unit: str, goal: str, *, is_met: bool) -> None:
        nonlocal missed
        missed += not is_met
        print(f"{what:52} {value:9.3g} {unit:12} {goal:24} {'' if is_met else 'MISSED'}")

    paced = streamed("paced", PACED_S)
    for side, name in (("twin_s", "twin, with its plant"), ("ours_s", "driver and decoder")):
        share = paced[side] / paced["wall_s"]
        is_met = share <= MOST_OF_A_CORE
        told(f"paced: {name}", 100 * share, "% of a core", "goal: <= 5", is_met=is_met)
    told("paced: samples lost or bad", paced["lost"], "", "goal: 0", is_met=not paced["lost"])
    free = streamed("free", FREE_S)
    slower_s = max(free["twin_s"], free["ours_s"])
    speed = free["signal_s"] / slower_s
    told("free: the whole way, by CPU of the slower side", speed, "x real time", "goal: >= 20",
         is_met=speed >= WIRE_GOAL)  # fmt: skip
    told("free: the whole way, on the wall", free["signal_s"] / free["wall_s"], "x real time",
         "(depends on the load)", is_met=True)  # fmt: skip
    told("free: samples lost or bad", free["lost"], "", "goal: 0", is_met=not free["lost"])
    for rate_hz, note in ((0.0, "goal: >= 200"), (10_000.0, ""), (40_000.0, "")):
        speed = plant_speed(rate_hz)
        what = f"generator at {rate_hz / 1000:g} kSa/s" if rate_hz else "generator off"
        told(f"plant, {what}", speed, "x real time", note,
             is_met=not note or speed >= PLANT_GOAL)  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
