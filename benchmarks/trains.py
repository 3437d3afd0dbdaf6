"""CPU time of the trains of a motor neuron pool, common drive and force tracking included.

``python benchmarks/trains.py``: 100 trains of 60 s against the goal, and the pool of the largest
muscle of the catalogue; one thread, compiled beforehand.
"""

from __future__ import annotations

import resource
import sys
import time

from emgsim.physiology.discharges import discharge_epochs
from emgsim.physiology.parameters import Hold, Pool
from emgsim.scenario import muscle_catalogue

SECONDS = 60.0
N_UNITS = 100
GOAL_S = 0.5
LEVELS = (0.05, 0.20, 1.00)


def cpu_s(pool: Pool, level: float, seconds: float) -> tuple[float, int]:
    """Return the CPU time of a hold, and how many discharges it had."""
    began_s = time.process_time()
    hold = Hold(duration_s=seconds, level_mvc=level)
    epochs = discharge_epochs(pool, [hold], seed=1)
    n_discharges = sum(train.size for epoch in epochs for train in epoch.trains)
    return time.process_time() - began_s, n_discharges


def main() -> int:
    """Print the figures; 1 if the trains take longer than the goal."""
    pool = Pool(n_units=N_UNITS)
    print(f"first call {cpu_s(pool, 0.2, 1.0)[0]:.2f} s")
    slowest_s = 0.0
    for level in LEVELS:
        took_s, n = cpu_s(pool, level, SECONDS)
        slowest_s = max(slowest_s, took_s)
        print(
            f"{N_UNITS} trains of {SECONDS:g} s at {100 * level:g} % MVC, {n} discharges: "
            f"{took_s:.3f} s (goal {GOAL_S:g})"
        )
    largest = Pool(**muscle_catalogue()["soleus"]["pool"])
    took_s, n = cpu_s(largest, 0.2, SECONDS)
    print(f"soleus, {largest.n_units} trains, {n} discharges: {took_s:.3f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return int(slowest_s > GOAL_S)


if __name__ == "__main__":
    sys.exit(main())
