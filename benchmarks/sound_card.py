"""Play through a sound card of software and see that every sample comes back, and how soon.

Usage::

    python benchmarks/sound_card.py [--seconds 10] [--runs 5] [--both-ways]

A PulseAudio null sink of its own, whose monitor hears what is played to it, is driven by the
drivers ``sound.card`` through PortAudio and ALSA's pulse plugin (programs and libraries:
docs/sound_card.md). Printed, each with its goal:

- a chirp and noise like that of a muscle: samples that differ from what was played by more than one
  step of the sink, losses told, CPU seconds of each second played;
- where the waveform begins in the record (`start_s`), over the runs;
- the process held up for so long, as a busy machine might: intact, or damaged and told;
- how long the sink goes on after the output was switched off, and after the process that plays was
  killed or stopped.

``--both-ways`` adds what one PortAudio stream in both directions does to the samples, which is why
the drivers open two. Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal as filters

from emgsim.errors import InstrumentError
from emgsim.instruments.base import ChannelSetup, SourceSettings
from emgsim.instruments.sound_blocks import FULL_SCALE_CODE
from emgsim.instruments.sound_capture import LONGEST_LAG_S, SoundCardCapture
from emgsim.instruments.sound_card import SoundCardSource

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.instruments.null_sink import (
    ADDRESS,
    FULL_V,
    RATE_HZ,
    heard_by_portaudio,
    serving,
    why_missing,
)

Floats = NDArray[np.float64]

STEP_V = FULL_V / FULL_SCALE_CODE
CPU_GOAL, SILENT_GOAL_S = 0.10, 2.0  # of a core; as of `kills.py`, on the wall clock
HELD_UP_S = (0.3, 0.45, 0.6, 0.75, 1.0, 1.5)
WORKER = f"""\
import sys, time
import numpy as np
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.sound_card import SoundCardSource
wanted = SourceSettings(rate_hz={RATE_HZ}, vpp_open_v=1.0)
source = SoundCardSource.open({ADDRESS!r})
source.upload("e1", np.full({60 * RATE_HZ}, 0.5), wanted)
source.configure(wanted)
source.arm()
source.trigger()
print("playing", flush=True)
sys.stdin.readline()
source.off()
print("off", flush=True)
time.sleep(60)
"""


def main() -> None:
    """Print each figure with its goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--both-ways", action="store_true")
    options = parser.parse_args()
    if why := why_missing():
        sys.exit(f"not run: {why}")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as environment:
        goals = [*ends(environment, options.runs)]
        with heard_by_portaudio(environment):
            goals += [goal for name, volts in waveforms(options.seconds).items()
                      for goal in faithful(name, volts)]  # fmt: skip
            goals += [constant_lag(options.runs), held_up()]
            if options.both_ways:
                both_ways(options.runs)
    sys.exit(0 if all(goals) else 1)


def goal(text: str, is_met: bool) -> bool:
    """Print a figure, and whether its goal is met."""
    print(f"{'met   ' if is_met else 'MISSED'}  {text}", flush=True)
    return is_met


def waveforms(seconds: float) -> dict[str, Floats]:
    """Return a chirp over the whole band, and noise of 20 to 500 Hz that swells and fades."""
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    chirp = filters.chirp(times_s, 1.0, seconds, 0.49 * RATE_HZ)
    noise = np.random.default_rng(1).standard_normal(times_s.size)
    band = filters.butter(2, [20, 500], "bandpass", fs=RATE_HZ, output="sos")
    emg = filters.sosfilt(band, noise) * (1.2 + np.sin(2 * np.pi * 0.5 * times_s))
    return {"chirp": 0.95 * FULL_V * chirp, "noise like EMG": 0.95 * FULL_V * emg / abs(emg).max()}


@contextmanager
def both() -> Iterator[tuple[SoundCardSource, SoundCardCapture]]:
    """Open both roles."""
    with SoundCardSource.open(ADDRESS) as source, SoundCardCapture.open(ADDRESS) as capture:
        yield source, capture


def begun(source: SoundCardSource, capture: SoundCardCapture, volts: Floats) -> None:
    """Play and record, up to the trigger."""
    settings = SourceSettings(rate_hz=RATE_HZ, vpp_open_v=2 * FULL_V)
    source.upload("e1", volts, settings)
    source.configure(settings)
    capture.configure({1: ChannelSetup(2 * FULL_V)}, volts.size / RATE_HZ)
    source.arm()
    capture.arm()
    source.trigger()


def faithful(name: str, volts: Floats) -> Iterator[bool]:
    """Compare every sample with what was played."""
    with both() as (source, capture):
        began_s = time.process_time()
        begun(source, capture, volts)
        try:
            capture.wait(volts.size / RATE_HZ + 10.0)
        except InstrumentError as error:
            yield goal(f"{name}: {error.what} (goal: nothing)", False)
            return
        cpu_s = time.process_time() - began_s
        told, heard = source.errors(), capture.read(1)
        first = round(-capture.start_s * RATE_HZ)
    wanted = np.zeros(heard.size)
    wanted[first : first + volts.size] = volts
    error = np.abs(heard - wanted) / STEP_V
    n_wrong = int(np.count_nonzero(error > 1))
    yield goal(
        f"{name}: {n_wrong} of {heard.size} samples differ by more than 1 step (goal 0), the worst "
        f"by {error.max():.3f}; losses told: {len(told)} (goal 0)",
        n_wrong == 0 and not told,
    )
    cpu = cpu_s / (volts.size / RATE_HZ)
    yield goal(f"{name}: {cpu:.3f} CPU s per second (goal {CPU_GOAL})", cpu <= CPU_GOAL)


def constant_lag(n_runs: int) -> bool:
    """Start anew and see where the waveform begins in the record."""
    lags, n_told = [], 0
    for _ in range(n_runs):
        with both() as (source, capture):
            begun(source, capture, np.random.default_rng(2).uniform(-1, 1, RATE_HZ // 2))
            try:
                capture.wait(10.0)
            except InstrumentError:  # a machine too busy to play
                n_told += 1
                continue
            lags.append(round(-1e3 * capture.start_s, 3))
    return goal(
        f"from output to input: {lags} ms (goal: less than {1e3 * LONGEST_LAG_S:g} ms); refused "
        f"because samples were lost: {n_told}",
        bool(lags) and max(lags) < 1e3 * LONGEST_LAG_S,
    )


def held_up() -> bool:
    """Hold the interpreter's lock, and see whether damage is told."""
    n_silent = 0
    rows = []
    for seconds in HELD_UP_S:
        with both() as (source, capture):
            volts = np.random.default_rng(3).uniform(-1, 1, round((2 + seconds) * RATE_HZ))
            begun(source, capture, volts)
            time.sleep(0.3)
            ctypes.PyDLL(None).usleep(round(1e6 * seconds))
            try:
                capture.wait(10.0)
                heard = capture.read(1)
                first = round(-capture.start_s * RATE_HZ)
                is_intact = bool(np.all(np.abs(heard[first : first + volts.size] - volts) < STEP_V))
                rows.append(f"{seconds:g} s {'intact' if is_intact else 'DAMAGED'}")
                n_silent += not is_intact
            except InstrumentError:
                rows.append(f"{seconds:g} s told")
    return goal(f"held up: {', '.join(rows)}; damaged untold {n_silent} (goal 0)", n_silent == 0)


def ends(environment: dict[str, str], n_runs: int) -> Iterator[bool]:
    """End a playback in every way, and time how long the sink goes on."""
    ways = {"switched off": None, "killed": signal.SIGKILL, "terminated": signal.SIGTERM}
    for name, number in ways.items():
        worst_s = max(to_silence(environment, number) for _ in range(n_runs))
        yield goal(
            f"{name}: silent after {1e3 * worst_s:.0f} ms at worst of {n_runs} "
            f"(goal {1e3 * SILENT_GOAL_S:g} ms)",
            worst_s <= SILENT_GOAL_S,
        )
    stopped_s = max(to_silence(environment, signal.SIGSTOP) for _ in range(n_runs))
    print(f"        hung (SIGSTOP): silent after {1e3 * stopped_s:.0f} ms, its buffer being empty")


def to_silence(environment: dict[str, str], number: signal.Signals | None) -> float:
    """Return the seconds from the end of a playback to the first silent 10 ms at the monitor."""
    words = ["parec", "--raw", "--format=s32le", f"--rate={RATE_HZ}", "--channels=1",
             "--latency-msec=20", "--device=emg.monitor"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=os.environ | environment,
    ) as worker, subprocess.Popen(
        words, stdout=subprocess.PIPE, env=os.environ | environment
    ) as monitor:  # fmt: skip
        try:
            worker.stdout.readline()
            read_until(monitor, lambda block: bool(block.all()))
            began_s = time.monotonic()
            if number is None:
                worker.stdin.write(b"\n")
                worker.stdin.flush()
            else:
                worker.send_signal(number)
            read_until(monitor, lambda block: not block.any())
            return time.monotonic() - began_s
        finally:
            worker.kill()
            monitor.kill()


def read_until(monitor: subprocess.Popen[bytes], is_there) -> None:
    """Read 10 ms at a time until one is as wanted."""
    ends_s = time.monotonic() + 20.0
    while time.monotonic() < ends_s:
        select.select([monitor.stdout], [], [], 1.0)
        if is_there(np.frombuffer(monitor.stdout.read(4 * RATE_HZ // 100), "<i4")):
            return
    raise TimeoutError("not heard within 20 s")


def both_ways(n_runs: int) -> None:
    """Count the samples that one stream in both directions repeats or moves."""
    import sounddevice

    n = 3 * RATE_HZ
    for _ in range(n_runs):
        words = ((np.arange(n) + 1) << 8).astype(np.int32)
        heard, at, flags = np.zeros(n + 2 * RATE_HZ, np.int32), [0], []

        def callback(incoming, outgoing, n_frames, _times, status, *, w=words, h=heard, a=at,
                     f=flags):  # fmt: skip
            outgoing[:] = 0
            part = w[a[0] : a[0] + n_frames]
            outgoing[: part.size, 0] = part
            kept = h[a[0] : a[0] + n_frames]
            kept[:] = incoming[: kept.size, 0]
            a[0] += n_frames
            f += [status] if status else []

        with sounddevice.Stream(samplerate=RATE_HZ, blocksize=1024, device="pulse", channels=2,
                                dtype="int32", latency=0.2, callback=callback):  # fmt: skip
            while at[0] < heard.size:
                time.sleep(0.05)
        order = heard[heard > 0] >> 8
        n_jumps = int(np.count_nonzero(np.diff(order) != 1))
        print(
            f"        one stream both ways: {n_jumps} jumps in {order.size} samples, "
            f"{len(flags)} told"
        )


if __name__ == "__main__":
    main()
