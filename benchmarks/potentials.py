"""CPU time of the potentials of a muscle's fibres at a needle, and of all again after it moved.

``python benchmarks/potentials.py``: microseconds per fibre by distance from the core and by
electrode, then the 29,000 fibres of a biceps-like muscle as 200 motor units, once more after the
needle was moved by 0.1 mm; one thread, compiled beforehand. The peer is MyoGen 0.12, which needs
12-99 ms per fibre for a potential without unit.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import add_fibre_potentials
from emgsim.physiology.parameters import (
    ConcentricNeedle,
    ElectrodeKind,
    FineWire,
    Macro,
    Medium,
    Monopolar,
    SingleFibre,
    TipPosition,
)

RATES_HZ = (10_000.0, 48_000.0, 96_000.0)
LENGTH_MM = 120.0
WINDOW_S = (LENGTH_MM + 20.0) * 1e-3 / 1.6  # holds the slowest fibre's whole run
RADIUS_MM = 18.0
N_UNITS, N_FIBRES = 200, 29_000
GOAL_US, GOAL_MOVE_S = 50.0, 0.100
PEER_US = (12_000.0, 99_000.0)  # MyoGen 0.12, per fibre
SHELLS_MM = ((0.0, 0.3), (0.3, 1.2), (1.2, 4.0), (4.0, 8.0), (8.0, RADIUS_MM))
KINDS: tuple[ElectrodeKind, ...] = (Monopolar(), SingleFibre(), Macro(), FineWire())
TIP = TipPosition(z_mm=15.0)
TRIES = 5


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


def cpu_s(
    units: list[UnitFibres],
    rate_hz: float = 48_000.0,
    tip: TipPosition = TIP,
    electrode: ElectrodeKind | None = None,
) -> float:
    """Return the least CPU time of some rounds through all units, on all channels."""
    took_s = []
    for _ in range(TRIES):
        began_s = time.process_time()
        for fibres in units:
            for channel in channels(electrode or ConcentricNeedle(), tip):
                wave = np.zeros(int(WINDOW_S * rate_hz))
                add_fibre_potentials(wave, rate_hz, channel, Medium(), fibres)
        took_s.append(time.process_time() - began_s)
    return min(took_s)


def main() -> int:
    """Print the figures; 1 if a goal is missed at 48 kHz."""
    cpu_s([uniform_fibres(1, 0.0, 1.0)])
    print(f"microseconds per fibre, concentric needle, 48 kHz (goal {GOAL_US:g}; "
          f"peer MyoGen 0.12: {PEER_US[0]:,.0f}-{PEER_US[1]:,.0f})")
    slowest_us = 0.0
    for from_mm, to_mm in SHELLS_MM:
        each_us = 1e6 * cpu_s([uniform_fibres(2000, from_mm, to_mm)]) / 2000
        slowest_us = max(slowest_us, each_us)
        print(f"  {from_mm:4g} to {to_mm:4g} mm: {each_us:6.1f}")
    for kind in KINDS:
        each_us = 1e6 * cpu_s([uniform_fibres(2000, 0.0, RADIUS_MM)], electrode=kind) / 2000
        print(f"  whole muscle, all channels of {kind.kind}: {each_us:.1f}")
    units = [uniform_fibres(N_FIBRES // N_UNITS, 0.0, RADIUS_MM, seed) for seed in range(N_UNITS)]
    moved = TIP.model_copy(update={"x_mm": 0.1})
    took_s = {rate_hz: cpu_s(units, rate_hz, moved) for rate_hz in RATES_HZ}
    for rate_hz, each_s in took_s.items():
        print(f"needle moved by 0.1 mm, {N_UNITS} units, {N_FIBRES} fibres, {rate_hz / 1e3:g} kHz: "
              f"{1e3 * each_s:.0f} ms (goal {1e3 * GOAL_MOVE_S:g})")
    return int(slowest_us > GOAL_US or took_s[48_000.0] > GOAL_MOVE_S)


if __name__ == "__main__":
    sys.exit(main())
