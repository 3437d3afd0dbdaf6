"""Cost of a dataset: per item, with two workers, and as the number of items grows.

``python benchmarks/dataset.py [--large]``: items of a small muscle, some tens of CPU milliseconds
each, written to a file system in memory, as the disk is not what is measured; ``--large`` adds
10,000 of them. Last, what an item of a whole muscle takes, from which larger sets follow.

Where other programs keep the processor busy two workers cannot be faster by the clock. Their gain
is then told by CPU seconds: what the work of an item takes beside another worker, and what handing
it out costs, against what it takes alone.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from emgsim.dataset.carrying_out import make_dataset
from emgsim.dataset.foreseeing import foresee
from emgsim.dataset.items import Items
from emgsim.dataset.plan import load_plan

SCENARIO = """
schema = "emgsim.scenario/1"
id = "small_muscle"
title = "A small muscle in a short contraction"
seed = 1
electrode = { kind = "concentric_needle", tip = { x_mm = 0.0, y_mm = 0.0, z_mm = 12.0 } }
phases = [{ kind = "hold", duration_s = DURATION, level_mvc = 0.3, ramp_s = 0.1 }]
acquisition = { rate_hz = 10000.0 }

[muscle]
name = "small_muscle"
radius_mm = 4.0
pool = { n_units = 12 }
fibres = { per_unit_smallest = 6, per_unit_largest = 30, length_mm = 60.0 }
"""
PLAN = """
schema = "emgsim.dataset/1"
id = "benchmark"
title = "Benchmark"
licence = "CC0-1.0"
authors = ["emgsim"]
seed = 1
scenarios = [SCENARIO]
subjects = SUBJECTS
"""
SPEED_UP, LINEAR, GROWTH_MB = 1.8, 1.15, 8.0
QUIET = 0.3  # load at which the clock can be believed
Figures = dict[str, float]


def main(words: list[str]) -> int:
    """Run all of it in processes of their own, and say what misses its goal."""
    if words[:1] == ["run"]:
        return run(int(words[1]), int(words[2]), Path(words[3]), float(words[4]))
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before")
    memory = Path("/dev/shm")  # noqa: S108 - a file system, not a file
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        missed = [two_workers(Path(folder), load), growth(Path(folder), "--large" in words)]
    missed += [whole_muscle()]
    return int(any(missed))


def run(n_items: int, n_workers: int, folder: Path, duration_s: float) -> int:
    """Make a dataset, and print what it took as JSON."""
    folder.mkdir(parents=True)
    (folder / "small.toml").write_text(SCENARIO.replace("DURATION", str(duration_s)))
    text = PLAN.replace("[SCENARIO]", '["small.toml"]').replace("SUBJECTS", str(n_items))
    (folder / "plan.toml").write_text(text)
    plan = load_plan(folder / "plan.toml")
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    progress = make_dataset(plan, folder / "set", n_workers=n_workers)
    here_s = time.process_time() - began_cpu_s
    print(json.dumps({
        "wall_s": time.perf_counter() - began_s,
        "items_s": progress.cpu_s,
        "here_s": here_s if n_workers > 1 else here_s - progress.cpu_s,
        "bytes": progress.n_bytes / n_items,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))  # fmt: skip
    return 0


def taken(n_items: int, n_workers: int, folder: Path, duration_s: float) -> Figures:
    """Return what a dataset takes in a process of its own."""
    where = folder / f"{n_items}-{n_workers}-{duration_s:g}"
    words = ["run", str(n_items), str(n_workers), str(where), str(duration_s)]
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, __file__, *words], capture_output=True, text=True, check=True,
        env=os.environ | one_thread,
    )  # fmt: skip
    shutil.rmtree(where)
    figures: Figures = json.loads(done.stdout)
    return figures


def per_item(few: Figures, many: Figures, n: int) -> Figures:
    """Return what each further item takes: starting workers and compiling is not in it."""
    return {key: (many[key] - few[key]) / n for key in ("wall_s", "items_s", "here_s")}


def two_workers(folder: Path, load: float) -> bool:
    """Compare two workers with one."""
    n_few, n_many, duration_s = 20, 120, 6.0
    costs = {}
    for n_workers in (1, 2):
        few, many = (taken(n, n_workers, folder, duration_s) for n in (n_few, n_many))
        costs[n_workers] = one = per_item(few, many, n_many - n_few)
        print(f"{n_workers} worker(s): {1e3 * one['items_s']:.1f} ms of CPU per item, "
              f"{1e3 * one['here_s']:.1f} ms in the process that hands out, "
              f"{1e3 * one['wall_s']:.1f} ms by the clock")  # fmt: skip
    alone = costs[1]["items_s"] + costs[1]["here_s"]
    by_clock = costs[1]["wall_s"] / costs[2]["wall_s"]
    by_cpu = 2 * alone / (costs[2]["items_s"] + costs[2]["here_s"])
    is_quiet = load < QUIET
    gain = by_clock if is_quiet else by_cpu
    how = "by the clock" if is_quiet else "by CPU, as the load is high"
    print(f"two workers against one: x {by_clock:.2f} by the clock, x {by_cpu:.2f} by CPU seconds "
          f"(goal {SPEED_UP:g} {how})")  # fmt: skip
    return gain < SPEED_UP


def growth(folder: Path, is_large: bool) -> bool:
    """Compare 100 with 1,000 items, and with 10,000."""
    sizes = [100, 1_000, *([10_000] if is_large else [])]
    found = [taken(n, 2, folder, 0.3) for n in sizes]
    # The first items of each worker load compiled code; beyond a hundred that is over.
    costs = [(f["items_s"] + f["here_s"]) / n for n, f in zip(sizes, found, strict=True)]
    for n, cost, figures in zip(sizes, costs, found, strict=True):
        print(f"{n:>6} items: {1e3 * cost:.1f} ms of CPU and {figures['bytes'] / 1e3:.1f} kB each, "
              f"peak of this process {figures['peak_mb']:.1f} MB")  # fmt: skip
    last = costs[-1] / costs[-2]
    grown_mb = found[-1]["peak_mb"] - found[0]["peak_mb"]
    print(f"an item of {sizes[-1]} costs x {last:.2f} of one of {sizes[-2]} (goal <= {LINEAR:g}); "
          f"memory grew by {grown_mb:.1f} MB (goal <= {GROWTH_MB:g})")  # fmt: skip
    return last > LINEAR or grown_mb > GROWTH_MB


def whole_muscle() -> bool:
    """Tell what an item of the example's dataset takes."""
    items = Items(load_plan(Path(__file__).parents[1] / "examples" / "dataset_needle.toml"))
    foreseen = foresee(items)
    n_bytes = sum(foreseen.format_bytes.values()) / foreseen.n_items
    seconds = 3600 * foreseen.hours / foreseen.n_items
    print(f"a biceps at 48 kHz with stems, {seconds:g} s: {foreseen.cpu_s:.2f} core-seconds and "
          f"{n_bytes / 1e6:.2f} MB an item; 1 TB is {1e12 / n_bytes:,.0f} items and "
          f"{1e12 / n_bytes * foreseen.cpu_s / 3600:,.0f} core-hours")  # fmt: skip
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
