"""CPU time and accuracy of what lies between muscle fibres and pads on the skin: plane and limb.

``python benchmarks/surface_conductors.py``: a table of 16 depths x 32 places aside x 256 along the
fibres, for a flat limb and for round ones; how much a round limb's changes along the fibres differ
from those of flat layers, by its radius; what the layers of a limb do to a pick-up; and how much of
it reaches pads that lie aside, over a neighbour muscle or round the limb. One thread. The peer is
MyoGen 0.12, whose layered cylinder needs 0.132-6.6 s per fibre on 64 channels: one table serves all
fibres of a muscle.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from emgsim.physiology.surface.conductor import Conductor, Layers
from emgsim.physiology.surface.cylinder import Cylinder
from emgsim.physiology.surface.planar import Plane

LAYERS = Layers(sigma_radial_s_m=0.1, sigma_axial_s_m=0.5, fat_mm=3.0)
MUSCLE_MM, PAD_MM = 14.0, 5.0
ARM = Cylinder(layers=LAYERS, limb_radius_mm=44.0, muscle_radius_mm=MUSCLE_MM, bone_radius_mm=10.0)
HAND = Cylinder(
    layers=replace(LAYERS, fat_mm=1.0), limb_radius_mm=30.0, muscle_radius_mm=8.0,
    bone_radius_mm=5.0,
)  # fmt: skip
THIGH = Cylinder(
    layers=replace(LAYERS, fat_mm=10.0), limb_radius_mm=85.0, muscle_radius_mm=25.0,
    bone_radius_mm=14.0,
)  # fmt: skip
FLAT = Plane(layers=LAYERS, muscle_radius_mm=MUSCLE_MM)
ACROSS_MM, Z_MM = np.linspace(0.0, 40.0, 32), np.linspace(0.0, 150.0, 256)
RADII_MM = (50.0, 100.0, 200.0, 500.0, 1000.0)
FLAT_DEPTHS_MM, FLAT_ACROSS_MM = np.array([13.0]), np.array([0.0, 10.0])
GOAL_S, GOAL_SHARE = 1.0, 0.01
PEER_S = (0.132, 6.6)  # MyoGen 0.12, per fibre on 64 channels
TRIES = 3


def cpu_s(conductor: Conductor, depth_mm: np.ndarray) -> float:
    """Return the CPU time of one table, the least of a few."""
    times = []
    for _ in range(TRIES):
        begun = time.process_time()
        conductor.pick_up(depth_mm, ACROSS_MM, Z_MM, PAD_MM)
        times.append(time.process_time() - begun)
    return min(times)


def slopes(conductor: Conductor, depth_mm: np.ndarray, across_mm: np.ndarray) -> np.ndarray:
    """Return the change of the pick-up per mm along the fibres."""
    z_mm = np.arange(0.0, 100.0)
    return np.diff(conductor.pick_up(depth_mm, across_mm, z_mm, PAD_MM), axis=2)


def heard(conductor: Conductor, depth_mm: float, across_mm: float = 0.0) -> float:
    """Return the pick-up's sharpest bend along a fibre so far aside: that hears a running wave."""
    found = slopes(conductor, np.array([depth_mm]), np.array([across_mm]))
    return float(np.abs(np.diff(found)).max())


def print_times() -> bool:
    """Print the time per table; return whether all are within the goal."""
    print(f"CPU s per table (goal {GOAL_S:g}; peer {PEER_S[0]:g}-{PEER_S[1]:g} per fibre)")
    slowest = 0.0
    for name, conductor, deepest_mm in (
        ("flat layers", FLAT, 28.0), ("hand, R 30", HAND, 16.0), ("arm, R 44", ARM, 28.0),
        ("thigh, R 85", THIGH, 50.0),
    ):  # fmt: skip
        for least_mm in (0.5, 2.0):
            seconds = cpu_s(conductor, np.linspace(least_mm, deepest_mm, 16))
            slowest = max(slowest, seconds)
            print(f"  {name:12} {least_mm:g}-{deepest_mm:g} mm deep: {seconds:.3f}")
    return slowest <= GOAL_S


def print_flatness() -> bool:
    """Print the difference of round limbs from flat ones; return whether it falls below 1 %."""
    print("round against flat, 13 mm deep: largest difference along z, over the steepest change")
    flat = slopes(FLAT, FLAT_DEPTHS_MM, FLAT_ACROSS_MM)
    share = 1.0
    for radius_mm in RADII_MM:
        limb = Cylinder(layers=LAYERS, limb_radius_mm=radius_mm, muscle_radius_mm=MUSCLE_MM)
        off = slopes(limb, FLAT_DEPTHS_MM, FLAT_ACROSS_MM) - flat
        share = float(np.abs(off).max() / np.abs(flat).max())
        print(f"  R {radius_mm:6g} mm: {100 * share:.2f} %")
    return share < GOAL_SHARE


def print_layers() -> None:
    """Print what bone, fat, skin and roundness do to what a pad hears of a running wave."""
    print("sharpest bend along a fibre right below the pad, over that of the arm")
    limbs = (
        ("no bone", replace(ARM, bone_radius_mm=0.0)),
        ("fat 1 mm", replace(ARM, layers=replace(LAYERS, fat_mm=1.0), limb_radius_mm=42.0)),
        ("fat 10 mm", replace(ARM, layers=replace(LAYERS, fat_mm=10.0), limb_radius_mm=51.0)),
        ("dry skin", replace(ARM, layers=replace(LAYERS, sigma_skin_s_m=4e-4))),
        ("flat", FLAT),
    )
    for name, conductor in limbs:
        ratios = [heard(conductor, depth) / heard(ARM, depth) for depth in (2.0, 10.0, 25.0)]
        print(f"  {name:10} 2, 10, 25 mm deep: {ratios[0]:.2f}, {ratios[1]:.2f}, {ratios[2]:.2f}")


def print_crosstalk() -> None:
    """Print what a pad hears of a running wave aside: over a neighbour, and across the limb."""
    print("sharpest bend along a fibre aside, over that of one right below the pad")
    half_turn_mm = np.pi * ARM.limb_radius_mm
    for name, conductor in (("flat layers", FLAT), ("arm, R 44", ARM)):
        for depth_mm in (3.0, 10.0):
            below = heard(conductor, depth_mm)
            shares = [
                f"{100 * heard(conductor, depth_mm, across_mm) / below:.1f} %"
                for across_mm in (20.0, 40.0, 60.0, half_turn_mm)
            ]
            print(
                f"  {name:12} {depth_mm:2.0f} mm deep: {', '.join(shares)} "
                f"at 20, 40, 60 and {half_turn_mm:.0f} mm"
            )


def main() -> int:
    """Print all; return 0 if the goals are met."""
    met = print_times()
    met = print_flatness() and met
    print_layers()
    print_crosstalk()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
