"""Wall time, CPU time and peak memory of the main job.

``python benchmarks/main_job.py [SCENARIO]``. Memory is the largest sum of the resident sets of all
processes of the run, sampled every 50 ms.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time

import psutil


def peak_of(process: psutil.Process, peak: int) -> int:
    """Return the larger of ``peak`` and what the process and its children hold now."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        return peak
    return max(peak, total)


def main() -> int:
    """Run the job once and print its figures."""
    scenario = sys.argv[1] if len(sys.argv) > 1 else "healthy_biceps"
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "emgsim", "run", scenario, "--out", out]
        began_s, peak = time.perf_counter(), 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
            process = psutil.Process(run.pid)
            while run.poll() is None:
                peak = peak_of(process, peak)
                time.sleep(0.05)
        wall_s = time.perf_counter() - began_s
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{scenario}: exit {run.returncode}, wall {wall_s:.1f} s (goal 60), "
          f"CPU {usage.ru_utime + usage.ru_stime:.1f} s, peak {peak / 2**20:.0f} MiB (goal 1024)")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
