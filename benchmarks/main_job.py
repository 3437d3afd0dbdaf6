"""CPU time by stage and process, wall time and peak memory of one run of the whole chain.

``python benchmarks/main_job.py [--scenario NAME_OR_FILE]``. All processes of the run are
looked at every 50 ms: memory is the largest sum of their resident sets, and a stage's CPU time is
what they used until its line appeared. What ends between two looks counts in the total only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

LOOK_S = 0.05
GOAL_CPU_S, GOAL_FROM_S = 2.5, 50.0  # per simulated second, of an examination as long as this
GOAL_MIB = 1024
STAGES = ("simulate", "open", "load", "play", "align", "analyse", "compare", "judge", "report")
PROCESSES = {"run": "run", "emgsim.virtual": "rig", "analyse": "detectors"}


@dataclass
class Looks:
    """What was seen of a run's processes: CPU seconds by process, and the peak of memory."""

    cpu_s: dict[int, float] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    peak_mib: float = 0.0

    def look(self, process: psutil.Process) -> None:
        """Look at a process and its children once; what has ended keeps what it had used."""
        total = 0
        for each in [process, *process.children(recursive=True)]:
            try:
                self.names.setdefault(each.pid, named(each.cmdline()))
                times, total = each.cpu_times(), total + each.memory_info().rss
                self.cpu_s[each.pid] = times.user + times.system
            except psutil.Error:  # it has just ended
                continue
        self.peak_mib = max(self.peak_mib, total / 2**20)

    def by_name(self) -> dict[str, float]:
        """Return the CPU seconds so far by kind of process."""
        out = dict.fromkeys(PROCESSES.values(), 0.0)
        for pid, cpu_s in self.cpu_s.items():
            out[self.names[pid]] += cpu_s
        return out


def named(words: list[str]) -> str:
    """Return which kind of process has a command line; one being started counts to the run."""
    return next((name for word, name in PROCESSES.items() if word in words), "run")


@dataclass
class Job:
    """One run: its exit code, length, wall time, CPU time, peak memory, and rows by stage."""

    exit_code: int
    simulated_s: float
    wall_s: float
    cpu_s: float
    peak_mib: float
    rows: list[tuple[str, float, dict[str, float]]]  # stage, peak MiB, CPU seconds by process


def follow(stream: IO[str], looks: Looks, marks: list[tuple[str, dict[str, float]]]) -> None:
    """Note what had been used whenever a stage's line comes."""
    for line in stream:
        word = line.split(maxsplit=1)[0] if line.strip() else ""
        if word in STAGES:
            marks.append((word, looks.by_name()))


def run(scenario: str, out: Path) -> Job:
    """Run the job once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-u", "-m", "emgsim", "run", scenario, "--out", str(out)]
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    looks = Looks()
    marks: list[tuple[str, dict[str, float]]] = []
    peaks: list[tuple[int, float]] = []
    began_s = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as job:
        process = psutil.Process(job.pid)
        reader = threading.Thread(target=follow, args=(job.stdout, looks, marks))
        reader.start()
        while job.poll() is None:
            n, whole = len(marks), looks.peak_mib
            looks.peak_mib = 0.0
            try:
                looks.look(process)
            except psutil.NoSuchProcess:
                break
            finally:
                peaks.append((n, looks.peak_mib))
                looks.peak_mib = max(whole, looks.peak_mib)
            time.sleep(LOOK_S)
        reader.join()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
    rows, last = [], dict.fromkeys(PROCESSES.values(), 0.0)
    for number, (stage, used) in enumerate(marks):
        peak = max((mib for n, mib in peaks if n == number), default=0.0)
        rows.append((stage, peak, {name: used[name] - last[name] for name in used}))
        last = used
    wall_s = time.perf_counter() - began_s
    return Job(job.returncode, length_s(out), wall_s, used_s, looks.peak_mib, rows)


def length_s(out: Path) -> float:
    """Return how long the recording of the only run in a folder is."""
    for line in next(out.glob("*/journal.jsonl")).read_text("utf-8").splitlines():
        row = json.loads(line)
        if row.get("path") == "truth" and "n_samples" in row:
            return float(row["n_samples"] / row["rate_hz"])
    return float("nan")


def show(job: Job, scenario: str) -> bool:
    """Print the table, and return whether the goals are reached."""
    print(f"{scenario}: {job.simulated_s:.1f} s, exit {job.exit_code}; CPU s by process")
    names = list(PROCESSES.values())
    print(f"{'stage':<10}{''.join(f'{name:>11}' for name in names)}{'per sim. s':>12}{'MiB':>7}")
    for stage, peak, used in job.rows:
        cells = "".join(f"{used[name]:>11.1f}" for name in names)
        print(f"{stage:<10}{cells}{sum(used.values()) / job.simulated_s:>12.3f}{peak:>7.0f}")
    per_s = job.cpu_s / job.simulated_s
    is_examination = job.simulated_s >= GOAL_FROM_S
    goal = f"goal {GOAL_CPU_S:g}" if is_examination else f"goal {GOAL_CPU_S:g} from 50 s on"
    print(f"all: CPU {job.cpu_s:.1f} s, {per_s:.2f} per simulated second ({goal}), "
          f"wall {job.wall_s:.1f} s, peak {job.peak_mib:.0f} MiB (goal {GOAL_MIB})")
    return job.peak_mib <= GOAL_MIB and (per_s <= GOAL_CPU_S or not is_examination)


def main() -> int:
    """Run the job once and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="healthy_biceps", help="name or file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        job = run(arguments.scenario, Path(out))
    is_reached = show(job, arguments.scenario)
    return 0 if is_reached and job.exit_code in (0, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
