"""CPU time of the potentials of a muscle's fibres at a concentric needle.

``python benchmarks/potentials.py``: microseconds per fibre by distance from the core, and the
seconds of a biceps-like muscle of 29,000 fibres; one thread, compiled beforehand.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.muap import MuapGrid, muap_grid, unit_muap_uv
from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition

RATE_HZ = 48_000.0
LENGTH_MM = 120.0
RADIUS_MM = 18.0
N_FIBRES = 29_000
GOAL_US = 50.0
SHELLS_MM = ((0.0, 0.3), (0.3, 1.2), (1.2, 4.0), (4.0, 8.0), (8.0, RADIUS_MM))


def uniform_fibres(n: int, from_mm: float, to_mm: float, seed: int = 1) -> UnitFibres:
    """Return fibres of a ring, evenly over its area."""
    rng = np.random.default_rng(seed)
    distance_mm = np.sqrt(rng.uniform(from_mm**2, to_mm**2, n))
    angle = rng.uniform(0.0, 2 * np.pi, n)
    end_plate_mm = rng.normal(0.0, 3.0, n)
    return UnitFibres(
        x_mm=distance_mm * np.cos(angle),
        y_mm=distance_mm * np.sin(angle),
        end_plate_mm=end_plate_mm,
        half_lengths_mm=(LENGTH_MM / 2 - end_plate_mm, LENGTH_MM / 2 + end_plate_mm),
        diameter_um=np.clip(rng.normal(55.0, 6.0, n), 25.0, 90.0),
        delay_s=rng.uniform(0.0, 1e-3, n),
    )


def cpu_s(fibres: UnitFibres, grid: MuapGrid) -> float:
    """Return the CPU time of one sum over the fibres."""
    began_s = time.process_time()
    unit_muap_uv(fibres, ConcentricNeedle(), TipPosition(z_mm=15.0), Medium(), grid)
    return time.process_time() - began_s


def main() -> int:
    """Print the figures; 1 if a fibre of the muscle takes longer than the goal."""
    grid = muap_grid(RATE_HZ, LENGTH_MM)
    first_s = cpu_s(uniform_fibres(1, 0.0, 1.0), grid)
    print(f"{RATE_HZ:g} Hz, {grid.n_samples} samples; first call {first_s:.2f} s")
    for from_mm, to_mm in SHELLS_MM:
        each_us = 1e6 * cpu_s(uniform_fibres(2000, from_mm, to_mm), grid) / 2000
        print(f"{from_mm:4g} to {to_mm:4g} mm: {each_us:6.1f} us per fibre")
    whole_s = cpu_s(uniform_fibres(N_FIBRES, 0.0, RADIUS_MM), grid)
    each_us = 1e6 * whole_s / N_FIBRES
    print(f"muscle of {N_FIBRES} fibres: {whole_s:.3f} s, {each_us:.1f} us each (goal {GOAL_US:g})")
    return int(each_us > GOAL_US)


if __name__ == "__main__":
    sys.exit(main())
