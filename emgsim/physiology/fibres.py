"""Where the fibres of each motor unit lie, how thick they are, and when they are excited."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from emgsim.physiology.compiling import compiled
from emgsim.physiology.parameters import Junctions, Muscle
from emgsim.physiology.parameters.muscle import GAUSSIAN_TERRITORY_SD

Floats = NDArray[np.float64]

DIAMETER_RANGE_UM = (15.0, 110.0)  # the line of `conduction_velocity` was fitted inside it
PER_DEGREE = 1.04  # velocity; 3-5 % per degree C, Stalberg 1966 [M]; nerve 1.5-2.5 of 55 m/s [S]
BODY_C = 37.0
COOL_C = 35.0  # below it jitter grows by 2-3 us of MCD per degree [M]
COOL_JITTER_US = 2.5 / 1.596  # the same as the SD of one end plate
REFERENCE_SAFETY = 4.0  # safety factor of an end plate that has the muscle's jitter
SAFETY_FLUCTUATION = 0.25  # SD of the safety factor from discharge to discharge [P]
LATE_SHAPE = 2.0  # of the gamma law of late delays [P]
SHORTEST_HALF_MM = 0.5  # no end plate lies closer to its fibre's end
ROUNDS = 1000  # of candidates for the places that are left


@dataclass(frozen=True, kw_only=True)
class UnitFibres:
    """The fibres of one motor unit; every array has the shape ``(n_fibres,)``.

    Left out, velocities are those of the diameters at 37 C, and the end plates transmit without
    jitter and block.
    """

    x_mm: Floats
    y_mm: Floats
    end_plate_mm: Floats  # position along the muscle, 0 = centre of the end-plate band
    half_lengths_mm: tuple[Floats, Floats]  # from the end plate to the +z and the -z tendon
    diameter_um: Floats
    delay_s: Floats  # from the discharge to the action potential at the end plate
    velocity_m_s: Floats = field(default_factory=lambda: np.empty(0))
    jitter_s: Floats = field(default_factory=lambda: np.empty(0))  # SD of the transmission time
    block_probability: Floats = field(default_factory=lambda: np.empty(0))  # at each discharge

    def __post_init__(self) -> None:
        """Fill in what was left out, and refuse arrays that do not belong together."""
        healthy = {
            "velocity_m_s": conduction_velocity(self.diameter_um),
            "jitter_s": np.zeros(self.n_fibres),
            "block_probability": np.zeros(self.n_fibres),
        }
        for name, value in healthy.items():
            if getattr(self, name).size == 0:
                object.__setattr__(self, name, value)
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            for part in value if name == "half_lengths_mm" else (value,):
                if part.shape != self.x_mm.shape:
                    raise ValueError(f"{name}: expected {self.x_mm.shape}, got {part.shape}")

    @property
    def n_fibres(self) -> int:
        """Number of fibres."""
        return int(self.x_mm.size)

    def subset(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> UnitFibres:
        """Return some of the fibres, chosen by their numbers or by a mask."""
        up, down = self.half_lengths_mm
        chosen = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if f.name != "half_lengths_mm"
        }
        return UnitFibres(half_lengths_mm=(up[index], down[index]), **chosen)


def conduction_velocity(diameter_um: Floats, temperature_c: float = BODY_C) -> Floats:
    """Return ``v = 3.7 + 0.05 (d - 55)`` m/s at 37 C, 4 % less for each degree below.

    The line: Nandedkar & Stalberg 1983; Blijham 2006.
    """
    return np.asarray((3.7 + 0.05 * (diameter_um - 55.0)) * PER_DEGREE ** (temperature_c - BODY_C))


def end_plate_jitter_s(
    safety_factor: Floats, junctions: Junctions, temperature_c: float = BODY_C
) -> Floats:
    """Return the SD of the transmission time of end plates, seconds.

    ``jitter_us (4 - 1) / (F - 1)`` [P]; a margin ``F - 1`` below its own fluctuation from
    discharge to discharge counts as that, since what is left then is mostly block.
    """
    sigma_us = junctions.jitter_us + COOL_JITTER_US * max(0.0, COOL_C - temperature_c)
    margin = np.maximum(safety_factor - 1.0, SAFETY_FLUCTUATION)
    return np.asarray(1e-6 * sigma_us * (REFERENCE_SAFETY - 1.0) / margin)


def block_probability(safety_factor: Floats) -> Floats:
    """Return the share of discharges at which end plates fail, ``Phi((1 - F) / 0.25)`` [P]."""
    return np.asarray(ndtr((1.0 - safety_factor) / SAFETY_FLUCTUATION))


def fibre_counts(muscle: Muscle) -> NDArray[np.int64]:
    """Return the number of fibres of each unit, growing exponentially with the unit's order."""
    f, n = muscle.fibres, muscle.pool.n_units
    growth = np.linspace(0.0, 1.0, n) if n > 1 else np.zeros(1)
    ratio = f.per_unit_largest / f.per_unit_smallest
    return np.rint(f.per_unit_smallest * ratio**growth).astype(np.int64)


def place_unit(muscle: Muscle, order: int, rng: np.random.Generator) -> UnitFibres:
    """Place the fibres of unit number ``order`` (0 = smallest) in a circular territory.

    The territory's area is the number of fibres over the unit's fibre density, and it lies inside
    the muscle; in it no two fibres of the unit are neighbours. End plates scatter about the unit's
    own place in the muscle's end-plate band; a fibre whose end plate lies farther along is reached
    later by its axon branch, and some by a sprout much later.

    Raises
    ------
    ValueError
        If there is no such unit, or its fibres find no room.
    """
    f, j = muscle.fibres, muscle.junctions
    if not 0 <= order < muscle.pool.n_units:
        raise ValueError(f"order must be in 0..{muscle.pool.n_units - 1}, got {order}")
    n = int(fibre_counts(muscle)[order])
    territory_mm = float(np.sqrt(n / f.density_per_mm2 / np.pi))
    centre = _in_disc(1, muscle.radius_mm - territory_mm, rng)
    own_mm = f.end_plate_band_mm * (rng.uniform() - 0.5)
    scatter_mm = f.end_plate_sd_mm * rng.standard_normal(n)
    diameter_um = _diameters_um(muscle, order, n, rng)
    branch_m_s = f.branch_velocity_m_s * PER_DEGREE ** (muscle.temperature_c - BODY_C)
    delay_s = np.abs(scatter_mm) * 1e-3 / branch_m_s + _late_s(j, n, rng)
    safety = j.safety_factor * np.exp(j.safety_factor_spread * rng.standard_normal(n))
    end_plate_mm = own_mm + scatter_mm
    half_lengths_mm = _half_lengths_mm(muscle, end_plate_mm, rng)
    xy = centre + _mosaic(n, territory_mm, muscle, rng)  # last: it draws as often as it must
    return UnitFibres(
        x_mm=xy[:, 0],
        y_mm=xy[:, 1],
        end_plate_mm=end_plate_mm,
        half_lengths_mm=half_lengths_mm,
        diameter_um=diameter_um,
        delay_s=delay_s,
        velocity_m_s=conduction_velocity(diameter_um, muscle.temperature_c),
        jitter_s=end_plate_jitter_s(safety, j, muscle.temperature_c),
        block_probability=block_probability(safety),
    )


def _diameters_um(muscle: Muscle, order: int, n: int, rng: np.random.Generator) -> Floats:
    """Return the diameters of a unit's fibres, in the mean thicker in a larger unit."""
    f = muscle.fibres
    size = order / max(1, muscle.pool.n_units - 1)
    thin_um, thick_um = f.diameter_smallest_unit_um, f.diameter_largest_unit_um
    scatter_um = f.diameter_sd_um * rng.standard_normal(n)
    return np.clip(thin_um + size * (thick_um - thin_um) + scatter_um, *DIAMETER_RANGE_UM)


def _late_s(junctions: Junctions, n: int, rng: np.random.Generator) -> Floats:
    """Return the delay of the fibres that a sprout reaches, zero for all others."""
    is_late = rng.uniform(size=n) < junctions.late_share
    delay_s = rng.gamma(LATE_SHAPE, junctions.late_delay_s / LATE_SHAPE, n)
    return np.asarray(np.where(is_late, delay_s, 0.0))


def _half_lengths_mm(
    muscle: Muscle, end_plate_mm: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return how far each fibre reaches from its end plate; its ends scatter at the tendons."""
    f = muscle.fibres
    up, down = (
        f.length_mm * (0.5 + f.tendon_scatter * rng.standard_normal(end_plate_mm.size))
        for _ in range(2)
    )
    return (
        np.maximum(up - end_plate_mm, SHORTEST_HALF_MM),
        np.maximum(down + end_plate_mm, SHORTEST_HALF_MM),
    )


def _mosaic(n: int, radius_mm: float, muscle: Muscle, rng: np.random.Generator) -> Floats:
    """Return ``n`` random places in a territory, one by one, none too close to one before."""
    f = muscle.fibres
    draw = _in_disc if f.territory == "disc" else _in_gaussian
    places = np.empty((0, 2))
    for _ in range(ROUNDS):
        places = thinned(np.vstack([places, draw(n, radius_mm, rng)]), f.spacing_mm)[:n]
        if len(places) == n:
            return places
    raise ValueError(
        f"fibres: spacing_mm must leave room for {n} in a territory of {radius_mm:.3g} mm, "
        f"got {f.spacing_mm:g}"
    )


def thinned(places_mm: Floats, spacing_mm: float) -> Floats:
    """Return the places, in order, without those too close to a place that was kept before.

    Parameters
    ----------
    places_mm
        Shape ``(n, 2)``.
    spacing_mm
        The least distance; 0 keeps all.

    Returns
    -------
    ndarray
        Shape ``(n_kept, 2)``.
    """
    return places_mm[_keeps_clear(np.ascontiguousarray(places_mm), float(spacing_mm))]


@compiled
def _keeps_clear(places_mm: Floats, spacing_mm: float) -> NDArray[np.bool_]:
    """Return for each place whether it is ``spacing_mm`` or more from all before that are."""
    n = places_mm.shape[0]
    is_kept = np.ones(n, dtype=np.bool_)
    for i in range(n):
        x, y = places_mm[i]
        for j in range(i):
            dx, dy = x - places_mm[j, 0], y - places_mm[j, 1]
            if is_kept[j] and dx * dx + dy * dy < spacing_mm * spacing_mm:
                is_kept[i] = False
                break
    return is_kept


def _in_disc(n: int, radius_mm: float, rng: np.random.Generator) -> Floats:
    return _polar(radius_mm * np.sqrt(rng.uniform(size=n)), rng)


def _in_gaussian(n: int, radius_mm: float, rng: np.random.Generator) -> Floats:
    """Return Gaussian places, the outer 0.1 % drawn into the territory."""
    sd_mm = GAUSSIAN_TERRITORY_SD * radius_mm
    return _polar(sd_mm * np.sqrt(-2 * np.log1p(-0.999 * rng.uniform(size=n))), rng)


def _polar(r: Floats, rng: np.random.Generator) -> Floats:
    angle = 2 * np.pi * rng.uniform(size=r.size)
    return np.column_stack([r * np.cos(angle), r * np.sin(angle)])
