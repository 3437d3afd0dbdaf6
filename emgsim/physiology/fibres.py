"""Where the fibres of each motor unit lie, how thick they are, and when they are excited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.parameters import Muscle

Floats = NDArray[np.float64]

DIAMETER_RANGE_UM = (15.0, 110.0)  # the line of `conduction_velocity` was fitted inside it


@dataclass(frozen=True, kw_only=True)
class UnitFibres:
    """The fibres of one motor unit; every array has the shape ``(n_fibres,)``."""

    x_mm: Floats
    y_mm: Floats
    end_plate_mm: Floats  # position along the muscle, 0 = centre of the end-plate band
    half_lengths_mm: tuple[Floats, Floats]  # from the end plate to the +z and the -z tendon
    diameter_um: Floats
    delay_s: Floats  # from the discharge to the action potential at the end plate

    @property
    def n_fibres(self) -> int:
        """Number of fibres."""
        return int(self.x_mm.size)

    @property
    def velocity_m_s(self) -> Floats:
        """Conduction velocity of each fibre."""
        return conduction_velocity(self.diameter_um)


def conduction_velocity(diameter_um: Floats) -> Floats:
    """Return ``v = 3.7 + 0.05 (d - 55)`` m/s (Nandedkar & Stalberg 1983; Blijham 2006)."""
    return np.asarray(3.7 + 0.05 * (diameter_um - 55.0))


def fibre_counts(muscle: Muscle) -> NDArray[np.int64]:
    """Return the number of fibres of each unit, growing exponentially with the unit's order."""
    f, n = muscle.fibres, muscle.pool.n_units
    growth = np.linspace(0.0, 1.0, n) if n > 1 else np.zeros(1)
    ratio = f.per_unit_largest / f.per_unit_smallest
    return np.rint(f.per_unit_smallest * ratio**growth).astype(np.int64)


def place_unit(muscle: Muscle, order: int, rng: np.random.Generator) -> UnitFibres:
    """Place the fibres of unit number ``order`` (0 = smallest) in a circular territory.

    The territory's area is the number of fibres over the unit's fibre density, and it lies inside
    the muscle. End plates scatter about the unit's own place in the muscle's end-plate band; a
    fibre whose end plate lies farther along is reached later by its axon branch.
    """
    f = muscle.fibres
    n = int(fibre_counts(muscle)[order])
    territory_mm = np.sqrt(n / f.density_per_mm2 / np.pi)
    centre = _in_disc(1, muscle.radius_mm - territory_mm, rng)
    xy = centre + _in_disc(n, territory_mm, rng)
    unit_z_mm = f.end_plate_band_mm * (rng.uniform() - 0.5)
    scatter_mm = f.end_plate_sd_mm * rng.standard_normal(n)
    end_plate_mm = unit_z_mm + scatter_mm
    size = order / max(1, muscle.pool.n_units - 1)
    mean_um = f.diameter_smallest_unit_um + size * (
        f.diameter_largest_unit_um - f.diameter_smallest_unit_um
    )
    diameter_um = np.clip(mean_um + f.diameter_sd_um * rng.standard_normal(n), *DIAMETER_RANGE_UM)
    return UnitFibres(
        x_mm=xy[:, 0],
        y_mm=xy[:, 1],
        end_plate_mm=end_plate_mm,
        half_lengths_mm=(f.length_mm / 2 - end_plate_mm, f.length_mm / 2 + end_plate_mm),
        diameter_um=diameter_um,
        delay_s=np.abs(scatter_mm) * 1e-3 / f.branch_velocity_m_s,
    )


def _in_disc(n: int, radius_mm: float, rng: np.random.Generator) -> Floats:
    r = radius_mm * np.sqrt(rng.uniform(size=n))
    angle = 2 * np.pi * rng.uniform(size=n)
    return np.column_stack([r * np.cos(angle), r * np.sin(angle)])
