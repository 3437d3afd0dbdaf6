"""CPU time and peak memory of the whole simulation, the peers' figures beside ours.

``python benchmarks/simulation.py [JOB]``: one thread, kernels compiled beforehand, the biceps of
the catalogue with a concentric needle at 48 kHz, jitter on, truth for every discharge and every
near fibre. Each job runs in a process of its own, so that its peak memory is its own.

Peer: the C++ program of Hamilton-Wright and Stashuk, 11 s at 31,250 Hz of 200 units and 29,000
fibres: 3.3 CPU s at 5 % MVC and 20 CPU s at 30 %, with truth for 7-23 % of its discharges.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

from emgsim.physiology.fibres import fibre_counts
from emgsim.recording import Truth
from emgsim.scenario import Scenario, load_scenario
from emgsim.simulation import patient_of, simulate

PEER = "Hamilton-Wright and Stashuk"


def biceps(level_mvc: float, duration_s: float) -> Scenario:
    """Return the healthy biceps holding an effort."""
    table = load_scenario("healthy_biceps").resolved()
    hold = {"kind": "hold", "duration_s": duration_s, "level_mvc": level_mvc, "ramp_s": 0.0}
    return Scenario.model_validate({**table, "phases": [hold]})


def told(truth: Truth) -> str:
    """Return how much truth there is."""
    n = sum(unit.discharge_times_s.size for unit in truth.units)
    near = sum(unit.fibres.fibre.size for unit in truth.units if unit.fibres is not None)
    fibres = sum(unit.n_fibres for unit in truth.units)
    return (
        f"{len(truth.units)} active units with {fibres} fibres, {near} of them near; "
        f"{n} discharges, 100 % in the truth"
    )


def whole(level_mvc: float, goal_s: float, peer_s: float) -> int:
    """Time ten seconds of a patient of whom nothing is built yet."""
    scenario = biceps(level_mvc, 10.0)
    counts = fibre_counts(scenario.muscle)
    began_s = time.process_time()
    _, truth = simulate(scenario, fibre_truth=True)
    used_s = time.process_time() - began_s
    print(f"whole job at {100 * level_mvc:g} % MVC: pool of {counts.size} units, "
          f"{counts.sum()} fibres; {told(truth)}")
    print(f"  {used_s:.2f} CPU s for 10 s (goal {goal_s:g}); {PEER}: {peer_s:g} for 11 s")
    return int(used_s > goal_s)


def slight() -> int:
    """Time the whole job at 5 % MVC."""
    return whole(0.05, 1.5, 3.3)


def moderate() -> int:
    """Time the whole job at 30 % MVC."""
    return whole(0.30, 4.0, 20.0)


def more() -> int:
    """Time ten seconds more of the same muscle."""
    patient = patient_of(biceps(0.05, 10.0))
    simulate(biceps(0.05, 10.0), fibre_truth=True, patient=patient)
    used_s = []
    for duration_s in (10.0, 20.0):
        began_s = time.process_time()
        simulate(biceps(0.05, duration_s), fibre_truth=True, patient=patient)
        used_s.append(time.process_time() - began_s)
    more_s = used_s[1] - used_s[0]
    print(f"ten seconds more at 5 % MVC: {more_s:.2f} CPU s (goal 0.3)")
    return int(more_s > 0.3)


JOBS: dict[str, Callable[[], int]] = {"slight": slight, "moderate": moderate, "more": more}


def main() -> int:
    """Run one job, or each in its own process; 1 if a goal is missed."""
    if len(sys.argv) > 1:
        simulate(biceps(0.05, 1.0))  # compiled, and imported
        missed = JOBS[sys.argv[1]]()
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  peak memory of the process: {peak_mib:.0f} MiB")
        return missed
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return max(
        subprocess.run([sys.executable, __file__, job], check=False, env=one_thread).returncode
        for job in JOBS
    )


if __name__ == "__main__":
    sys.exit(main())
