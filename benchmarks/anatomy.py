"""CPU time and memory of a muscle's anatomy: 100 motor units, 51,420 fibres.

``python benchmarks/anatomy.py``: places every fibre with its diameter, velocity, end plate, delay
and jitter, none beside another of its unit; one thread, compiled beforehand.
"""

from __future__ import annotations

import resource
import sys
import time

from emgsim.physiology.fibres import UnitFibres, fibre_counts, place_unit
from emgsim.physiology.parameters import Fibres, Muscle, Pool
from emgsim.seeds import stream

GOAL_S, GOAL_MIB = 2.0, 150.0
PEER = "MyoGen 0.12: about 450 CPU s for 100 units"
N_FIBRES = 51_420
MUSCLE = Muscle(
    name="benchmark",
    radius_mm=25.0,
    pool=Pool(n_units=100),
    fibres=Fibres(per_unit_smallest=169, per_unit_largest=1_154, length_mm=100.0),
)


def build() -> list[UnitFibres]:
    """Return all units of the muscle."""
    n_units = MUSCLE.pool.n_units
    return [place_unit(MUSCLE, order, stream(1, "muscle", order)) for order in range(n_units)]


def peak_mib() -> float:
    """Return the highest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Print the figures; 1 if they miss the goals."""
    place_unit(MUSCLE, 0, stream(1, "muscle"))
    before_mib, began_s = peak_mib(), time.process_time()
    units = build()
    used_s, used_mib = time.process_time() - began_s, peak_mib() - before_mib
    n_fibres = sum(unit.n_fibres for unit in units)
    assert n_fibres == fibre_counts(MUSCLE).sum() == N_FIBRES
    print(f"{len(units)} units, {n_fibres} fibres")
    print(f"build: {used_s:.3f} CPU s (goal {GOAL_S:g}); {PEER}")
    print(f"memory: {used_mib:.1f} MiB more at the peak (goal {GOAL_MIB:g})")
    return int(used_s > GOAL_S or used_mib > GOAL_MIB)


if __name__ == "__main__":
    sys.exit(main())
