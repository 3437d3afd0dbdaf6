"""Motor units on the skin: CPU time and memory on 64 pads, and amplitudes beside published ones.

``OPENBLAS_NUM_THREADS=1 python benchmarks/surface_muaps.py``: the potentials of 7,349 fibres, whole
units of three muscles of the catalogue, on a grid of 8 x 8 pads through each conductor, compiled
beforehand; what usual rates leave out of them; then the amplitudes of 300 fibres by depth and by
fat, beside the published table, with each pair of conductivities and each action potential,
scattered as in a unit and alike; then the units of four muscles between belly and tendon. The peer
is MyoGen's layered cylinder: 132 ms to 6.6 s per fibre on 64 channels. Ends with 1 if a goal is
missed.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import UnitFibres, place_unit
from emgsim.physiology.parameters import Medium, Muscle
from emgsim.physiology.parameters.surface import BellyTendon, SurfaceGrid, SurfaceKind
from emgsim.physiology.surface.conductor import Layers
from emgsim.physiology.surface.lead_field import Pads, lead_field
from emgsim.physiology.surface.montage import montage_matrix, pads_of
from emgsim.physiology.surface.muaps import surface_muap_uv
from emgsim.physiology.surface.placement import conductor_of
from emgsim.physiology.surface.planar import Plane
from emgsim.scenario import muscle_catalogue

Floats = NDArray[np.float64]

N_FIBRES = 7_349
GOAL_S, GOAL_MIB = 5.0, 300.0
PEER = "MyoGen's layered cylinder: 132 ms to 6.6 s per fibre"
RATE_HZ, WINDOW_S = 2048.0, 0.060
LIMBS_MM = {"first_dorsal_interosseous": 25.0, "tibialis_anterior": 55.0, "biceps_brachii": 50.0}
# Mean size of surface potentials by MUNIX, Cao 2020, uV
MUSIX_UV = {"abductor_pollicis_brevis": 60.4, "abductor_digiti_minimi": 59.3,
            "biceps_brachii": 43.8, "tibialis_anterior": 41.3}
TABLE_RADIUS_MM = 30.0
DEPTHS_MM, FATS_MM = (2.0, 5.0, 10.0, 15.0), (1.0, 3.0, 6.0, 10.0, 20.0)
PUBLISHED_MONO = (32.0, 13.5, 6.0, 3.8)
PUBLISHED_DEPTH = (54.0, 19.0, 5.7, 2.6)
PUBLISHED_FAT = (34.0, 20.0, 12.0, 7.0, 2.6)


def catalogue_muscle(name: str) -> Muscle:
    """Return a muscle of the catalogue."""
    return Muscle(name=name, **muscle_catalogue()[name])


def some_units(muscle: Muscle, n_fibres: int) -> list[UnitFibres]:
    """Return units of all sizes until their fibres are as many; the last is cut short."""
    rng = np.random.default_rng(1)
    units: list[UnitFibres] = []
    left = n_fibres
    for order in rng.permutation(muscle.pool.n_units):
        unit = place_unit(muscle, int(order), rng)
        unit = unit.subset(np.arange(min(left, unit.n_fibres)))
        units.append(unit)
        left -= unit.n_fibres
        if left == 0:
            break
    return units


def potentials(
    muscle: Muscle, electrode: SurfaceKind, units: list[UnitFibres], rate_hz: float = RATE_HZ
) -> tuple[list[Floats], float, float]:
    """Return each unit's channels, and CPU seconds of the field and of the potentials."""
    began_s = time.process_time()
    field = lead_field(conductor_of(electrode, muscle), pads_of(electrode), units)
    ready_s = time.process_time()
    n = int(WINDOW_S * RATE_HZ) * round(rate_hz / RATE_HZ)
    montage = montage_matrix(electrode)
    waves = [
        montage @ surface_muap_uv(unit, field, muscle.medium, n_samples=n, rate_hz=rate_hz)
        for unit in units
    ]
    return waves, ready_s - began_s, time.process_time() - ready_s


def peak_mib() -> float:
    """Return the most memory that this process has held, libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def speed() -> bool:
    """Print the CPU time of 64 pads; true if a goal is missed."""
    warm = catalogue_muscle("first_dorsal_interosseous")
    potentials(warm, SurfaceGrid(), some_units(warm, 20))
    print(f"{N_FIBRES} fibres on 64 pads at {RATE_HZ:g} Hz (goal {GOAL_S:g} CPU s, "
          f"{GOAL_MIB:g} MiB; {PEER}); libraries alone hold {peak_mib():.0f} MiB")
    is_missed = False
    for name, limb_mm in LIMBS_MM.items():
        muscle = catalogue_muscle(name)
        units = some_units(muscle, N_FIBRES)
        for conductor in ("plane", "cylinder"):
            for pitch_mm in (4.0, 8.0):
                grid = SurfaceGrid(pitch_mm=pitch_mm, conductor=conductor, limb_radius_mm=limb_mm)
                _, field_s, took_s = potentials(muscle, grid, units)
                total_s = field_s + took_s
                is_missed |= total_s > GOAL_S or peak_mib() > GOAL_MIB
                print(f"  {name}, {len(units)} units, {conductor}, {pitch_mm:g} mm: {total_s:.2f} s"
                      f" (field {field_s:.2f} s), {1e3 * took_s / N_FIBRES:.3f} ms per fibre, "
                      f"{peak_mib():.0f} MiB")
    return is_missed


def table_unit(is_scattered: bool) -> UnitFibres:
    """Return 300 fibres of 50 um and 120 mm: alike, or with the scatter of a motor unit."""
    rng, n = np.random.default_rng(1), 300
    share = float(is_scattered)
    plate_mm = share * rng.normal(0, 1.5, n)
    diameter_um = 50.0 + share * rng.normal(0, 6.0, n)
    up_mm, down_mm = (60.0 + share * 6.0 * rng.standard_normal(n) for _ in range(2))
    return UnitFibres(
        x_mm=np.zeros(n), y_mm=np.zeros(n), end_plate_mm=plate_mm,
        half_lengths_mm=(up_mm - plate_mm, down_mm + plate_mm),
        diameter_um=diameter_um, delay_s=np.zeros(n),
    )


def table_uv(medium: Medium, unit: UnitFibres, depth_mm: float, fat_mm: float) -> Floats:
    """Return peak to peak amplitudes 20 mm from the zone: alone, and against 40 mm."""
    layers = Layers(
        sigma_radial_s_m=medium.sigma_radial_s_m, sigma_axial_s_m=medium.sigma_axial_s_m,
        fat_mm=fat_mm,
    )
    plane = Plane(layers=layers, muscle_radius_mm=TABLE_RADIUS_MM)
    deep = replace(unit, y_mm=np.full(unit.n_fibres, TABLE_RADIUS_MM - depth_mm))
    pads = Pads(places_mm=np.array([[20.0, 0.0], [40.0, 0.0]]), radius_mm=5.0)
    field = lead_field(plane, pads, [deep])
    waves = surface_muap_uv(deep, field, medium, n_samples=256, rate_hz=4096.0)
    return np.ptp([waves[0], waves[0] - waves[1]], axis=1)


def in_a_row(values: tuple[float, ...] | list[float]) -> str:
    """Return amplitudes as in the published table."""
    return "/".join(f"{value:.1f}" for value in values)


def amplitudes() -> None:
    """Print the published table's amplitudes."""
    print(f"microvolts, depths {in_a_row(DEPTHS_MM)} mm: alone, against 40 mm; fat "
          f"{in_a_row(FATS_MM)} mm: against 40 mm")
    print(f"  published: {in_a_row(PUBLISHED_MONO)}, {in_a_row(PUBLISHED_DEPTH)}; "
          f"{in_a_row(PUBLISHED_FAT)}")
    for radial, axial in ((0.1, 0.5), (0.063, 0.33)):
        for shape in ("nandedkar_stalberg", "rosenfalck"):
            medium = Medium(sigma_radial_s_m=radial, sigma_axial_s_m=axial, source_gain=0.45,
                            action_potential=shape)
            for is_scattered in (True, False):
                unit = table_unit(is_scattered)
                mono, depth = np.transpose([table_uv(medium, unit, d, 3.0) for d in DEPTHS_MM])
                fat = [table_uv(medium, unit, 5.0, f)[1] for f in FATS_MM]
                how = "scattered" if is_scattered else "alike"
                print(f"  {radial:g}/{axial:g} S/m, {shape}, {how}: {in_a_row(mono)}, "
                      f"{in_a_row(depth)}; {in_a_row(fat)}")


def left_out() -> None:
    """Print what lies above the band of usual rates."""
    print("left out above 0.9 of half the rate, of the loudest channel's peak to peak: median and "
          "largest unit")
    for name in LIMBS_MM:
        muscle = catalogue_muscle(name)
        units = some_units(muscle, N_FIBRES // 4)
        whole, *rest = (
            potentials(muscle, SurfaceGrid(), units, rate_hz)[0]
            for rate_hz in (8 * RATE_HZ, RATE_HZ, 2 * RATE_HZ)
        )
        shares = [
            [np.abs(w[:, :: w.shape[1] // p.shape[1]] - p).max() / np.ptp(w, axis=1).max()
             for w, p in zip(whole, part, strict=True)]
            for part in rest
        ]
        print(f"  {name}: " + ", ".join(
            f"{rate_hz:g} Hz {100 * np.median(share):.1f} and {100 * max(share):.1f} %"
            for rate_hz, share in zip((RATE_HZ, 2 * RATE_HZ), shares, strict=True)))


def typical() -> None:
    """Print the amplitudes of motor units between belly and tendon, beside published ones."""
    print("units between belly and tendon, peak to peak uV: mean, median, 10-90 %; all at once")
    for name, index_uv in MUSIX_UV.items():
        muscle = catalogue_muscle(name)
        electrode = BellyTendon(apart_mm=muscle.fibres.length_mm / 2 + 15.0)
        units = some_units(muscle, N_FIBRES)
        waves, _, _ = potentials(muscle, electrode, units)
        sizes_uv = [np.ptp(wave) for wave in waves]
        low, middle, high = np.percentile(sizes_uv, [10, 50, 90])
        all_mv = 1e-3 * np.ptp(np.sum(waves, axis=0)) * muscle.pool.n_units / len(units)
        print(f"  {name} (MUSIX {index_uv:g}), {len(waves)} units: {np.mean(sizes_uv):.0f}, "
              f"{middle:.0f}, {low:.0f}-{high:.0f}; {all_mv:.1f} mV")


def main() -> int:
    """Print the figures."""
    is_missed = speed()
    left_out()
    amplitudes()
    typical()
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())
