"""What measuring an amplifier over the wires costs, and what it finds.

``python benchmarks/metrology.py [--rig NAME_OR_FILE] [--only ID ...]`` runs ``emgsim metrology``
once, all processes counted: CPU seconds with their goal, the tests by their wall time, how many
measurements were made, and those whose uncertainty is too large for their limit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GOAL_CPU_S = 120.0
GOAL_TESTS = 28
LONGEST = 8  # tests that are listed


def run(rig: str, only: list[str], out: Path) -> tuple[int, float, float]:
    """Measure once; return exit code, CPU seconds of all processes, and wall seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [word for id in only for word in ("--only", id)]
    command = [sys.executable, "-m", "emgsim", "metrology", "--rig", rig, "--out", str(out), *words]
    began_s = time.perf_counter()
    job = subprocess.run(
        command, stdout=subprocess.DEVNULL, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return job.returncode, cpu_s, time.perf_counter() - began_s


def show(record: dict[str, Any]) -> int:
    """Print what was found, and return how many tests found something."""
    made = [m for m in record["measurements"] if "test" in m]
    verdicts = [m["verdict"] for m in made]
    for verdict in sorted(set(verdicts)):
        print(f"  {verdict:<18}{verdicts.count(verdict):>4}")
    print(f"  {'skipped':<18}{len(record['skipped']):>4}")
    poor = {m["id"]: m["ratio"] for m in made if m["ratio"] is not None and m["ratio"] < 4}
    print("test-uncertainty ratio below 4:",
          ", ".join(f"{id} {ratio:.2g}" for id, ratio in poor.items()) or "none")  # fmt: skip
    slowest = sorted(record["stages"], key=lambda stage: -float(stage["seconds"]))[:LONGEST]
    print("longest on the wall:", ", ".join(f"{s['name']} {s['seconds']:.1f} s" for s in slowest))
    return len({m["id"].removesuffix(f".ch{m['id'][-1]}") for m in made})


def main() -> int:
    """Run the whole suite once and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rig", default="virtual-metrology", help="name or file")
    parser.add_argument("--only", nargs="*", default=[], help="ids of tests")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        code, cpu_s, wall_s = run(arguments.rig, arguments.only, Path(out))
        (path,) = Path(out).glob("*/record.json")
        record = json.loads(path.read_text("utf-8"))
    print(f"emgsim metrology --rig {arguments.rig}: exit {code}, {record['verdict']}")
    n = show(record)
    is_whole = not arguments.only
    print(f"values of the first channel or of all: {n} (goal {GOAL_TESTS} tests)")
    print(f"CPU {cpu_s:.1f} s of all processes (goal {GOAL_CPU_S:g}), wall {wall_s:.1f} s")
    is_reached = cpu_s <= GOAL_CPU_S and (n >= GOAL_TESTS or not is_whole)
    return 0 if is_reached and code in (0, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
