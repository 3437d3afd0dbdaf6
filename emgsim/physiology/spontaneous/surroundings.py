"""What lies about the needle: single fibres, those that lost their axons, and motor units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import DIAMETER_RANGE_UM, UnitFibres, conduction_velocity
from emgsim.physiology.parameters import Muscle, TipPosition

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CLEAR_MM = (
    2.0  # from the place of excitation: beyond 1.5 mm a wave begins positive (Nandedkar 2022)
)
AWAY_MM = 6.0  # farthest such place of a ring [P]
LEAST_RING = 3  # fibres (G)
SAME_PLACE_MM = 0.25  # SD along the fibres of the places where a ring is excited [P]
AT_END_PLATE_MM = 0.1  # farther along a near fibre its wave begins positive [C]
SHORTEST_MM = 0.5  # no end of a fibre lies closer to its end plate
NEIGHBOUR_MM = 0.06  # between the fibres of a muscle: 400 per mm2, with some fat between [R]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A muscle with the needle in it.

    Parameters
    ----------
    muscle
        Whose fibres are meant.
    tip
        Where the needle is when the activity is laid down. Sources stay there if it moves on.
    unit_fibres
        The fibres of each motor unit, by its order.
    orphans
        Fibres that lost their axons, of a body with a condition; None: the muscle is taken as
        healthy, and a denervated fibre is laid where one of its fibres may lie.
    """

    muscle: Muscle
    tip: TipPosition
    unit_fibres: Callable[[int], UnitFibres]
    orphans: UnitFibres | None = None

    def __post_init__(self) -> None:
        off_mm = float(np.hypot(self.tip.x_mm, self.tip.y_mm))
        if off_mm > self.muscle.radius_mm:
            raise ValueError(
                f"the tip must lie in the muscle, within {self.muscle.radius_mm:g} mm of its "
                f"axis, got {off_mm:.3g}"
            )


def away_from(end_plate_mm: Floats, tip: TipPosition) -> Floats:
    """Return places of excitation with those near the tip moved `CLEAR_MM` or more from it.

    A denervated fibre is excitable everywhere along its length.
    """
    off = end_plate_mm - tip.z_mm
    side = np.where(off < 0, -1.0, 1.0)
    far = np.where(np.abs(off) < CLEAR_MM, side * (CLEAR_MM + np.abs(off)), off)
    return np.asarray(tip.z_mm + far)


def fresh_fibres(
    site: Site, n: int, reach_mm: float, rng: np.random.Generator, *, at_end_plate: bool = False
) -> UnitFibres:
    """Return fibres of the muscle near the tip, evenly over the uptake area.

    Parameters
    ----------
    site
        Where.
    n, reach_mm
        How many, and how far from the tip at most in the cross-section.
    rng
        Draws them.
    at_end_plate
        Whether their end plates are at the tip, within `AT_END_PLATE_MM` along the fibres.
    """
    tip = site.tip
    xy = _places(site, (tip.x_mm, tip.y_mm), n, reach_mm, rng)
    f = site.muscle.fibres
    band_mm = f.end_plate_band_mm * (rng.uniform(size=n) - 0.5)
    end_plate_mm = band_mm + f.end_plate_sd_mm * rng.standard_normal(n)
    if at_end_plate:
        end_plate_mm = tip.z_mm + AT_END_PLATE_MM * rng.uniform(-1, 1, n)
    return fibres_at(site.muscle, xy, end_plate_mm, rng)


def fibres_at(
    muscle: Muscle, xy_mm: Floats, end_plate_mm: Floats, rng: np.random.Generator
) -> UnitFibres:
    """Return fibres of a muscle through given places, shapes ``(n, 2)`` and ``(n,)``."""
    f, n = muscle.fibres, end_plate_mm.size
    mean_um = rng.uniform(f.diameter_smallest_unit_um, f.diameter_largest_unit_um, n)
    diameter_um = np.clip(mean_um + f.diameter_sd_um * rng.standard_normal(n), *DIAMETER_RANGE_UM)
    ends_mm = f.length_mm * (0.5 + f.tendon_scatter * rng.standard_normal((2, n)))
    up, down = ends_mm[0] - end_plate_mm, ends_mm[1] + end_plate_mm
    return UnitFibres(
        x_mm=xy_mm[:, 0],
        y_mm=xy_mm[:, 1],
        end_plate_mm=end_plate_mm,
        half_lengths_mm=(np.maximum(up, SHORTEST_MM), np.maximum(down, SHORTEST_MM)),
        diameter_um=diameter_um,
        delay_s=np.zeros(n),
        velocity_m_s=conduction_velocity(diameter_um, muscle.temperature_c),
    )


def _places(
    site: Site, centre_mm: tuple[float, float], n: int, reach_mm: float, rng: np.random.Generator
) -> Floats:
    """Return places evenly in a disc, as far as it lies inside the muscle, shape ``(n, 2)``."""
    kept = np.zeros((0, 2))
    while len(kept) < n:
        r = reach_mm * np.sqrt(rng.uniform(size=n))
        angle = 2 * np.pi * rng.uniform(size=n)
        places = np.asarray(centre_mm) + np.column_stack([r * np.cos(angle), r * np.sin(angle)])
        inside = np.hypot(places[:, 0], places[:, 1]) <= site.muscle.radius_mm
        kept = np.vstack([kept, places[inside]])
    return kept[:n]


def orphans_near(site: Site, orphans: UnitFibres, reach_mm: float) -> Integers:
    """Return the numbers of the denervated fibres that pass the tip, its end plate elsewhere."""
    tip = site.tip
    off_mm = np.hypot(orphans.x_mm - tip.x_mm, orphans.y_mm - tip.y_mm)
    along_mm = tip.z_mm - orphans.end_plate_mm
    end_mm = np.where(along_mm >= 0, *orphans.half_lengths_mm)
    passes = (np.abs(along_mm) >= CLEAR_MM) & (np.abs(along_mm) < end_mm)
    return np.flatnonzero((off_mm <= reach_mm) & passes)


def denervated_fibres(
    site: Site, n: int, reach_mm: float, diameter_share: float, rng: np.random.Generator
) -> UnitFibres:
    """Return up to ``n`` denervated fibres near the tip: a body's own, or some that are laid."""
    if site.orphans is None:
        return thinner(excited_away(fresh_fibres(site, n, reach_mm, rng), site.tip), diameter_share)
    near = orphans_near(site, site.orphans, reach_mm)
    return _without_junctions(site.orphans.subset(rng.permutation(near)[:n]))


def _without_junctions(fibres: UnitFibres) -> UnitFibres:
    """Return fibres as they are when nothing has to cross their end plates."""
    none = np.zeros(fibres.n_fibres)
    return replace(fibres, delay_s=none, jitter_s=none, block_probability=none)


def excited_away(fibres: UnitFibres, tip: TipPosition) -> UnitFibres:
    """Return fibres whose place of excitation is clear of the tip; their ends stay."""
    return moved(fibres, away_from(fibres.end_plate_mm, tip))


def moved(fibres: UnitFibres, end_plate_mm: Floats) -> UnitFibres:
    """Return fibres that are excited elsewhere; their ends stay."""
    step_mm = end_plate_mm - fibres.end_plate_mm
    up, down = fibres.half_lengths_mm
    halves = np.maximum(up - step_mm, SHORTEST_MM), np.maximum(down + step_mm, SHORTEST_MM)
    return replace(fibres, end_plate_mm=end_plate_mm, half_lengths_mm=halves)


def thinner(fibres: UnitFibres, share: float) -> UnitFibres:
    """Return fibres of a share of their diameters, which conduct slower by the line's law."""
    thin_um = np.maximum(share * fibres.diameter_um, DIAMETER_RANGE_UM[0])
    slower = conduction_velocity(thin_um) / conduction_velocity(fibres.diameter_um)
    return replace(fibres, diameter_um=thin_um, velocity_m_s=slower * fibres.velocity_m_s)


def blocked_at(fibres: UnitFibres, tip: TipPosition, past_mm: Floats) -> UnitFibres:
    """Return fibres whose waves end ``past_mm`` beyond the tip, on its far side."""
    along_mm = tip.z_mm - fibres.end_plate_mm
    up, down = fibres.half_lengths_mm
    end_mm = np.abs(along_mm) + past_mm
    halves = (
        np.where(along_mm >= 0, np.minimum(up, end_mm), up),
        np.where(along_mm < 0, np.minimum(down, end_mm), down),
    )
    return replace(fibres, half_lengths_mm=halves)


def neighbours(
    site: Site, n: int, reach_mm: float, diameter_share: float, rng: np.random.Generator
) -> UnitFibres:
    """Return up to ``n`` fibres side by side near the tip, excited together away from it.

    They are a body's denervated fibres if it has `LEAST_RING` there, or some that are laid.
    """
    side = rng.choice((-1.0, 1.0))
    z_mm = site.tip.z_mm + side * rng.uniform(CLEAR_MM + 3 * SAME_PLACE_MM, AWAY_MM)
    own_mm = z_mm + SAME_PLACE_MM * np.clip(rng.standard_normal(n), -3, 3)
    near = np.zeros(0, np.int64)
    if site.orphans is not None:
        near = rng.permutation(orphans_near(site, site.orphans, reach_mm))
    if site.orphans is None or near.size < LEAST_RING:
        centre = _places(site, (site.tip.x_mm, site.tip.y_mm), 1, reach_mm, rng)[0]
        xy = _places(site, (centre[0], centre[1]), n, NEIGHBOUR_MM * np.sqrt(n), rng)
        return thinner(fibres_at(site.muscle, xy, own_mm, rng), diameter_share)
    there = _without_junctions(site.orphans.subset(near))
    off_mm = np.hypot(there.x_mm - there.x_mm[0], there.y_mm - there.y_mm[0])
    beside = there.subset(np.argsort(off_mm, kind="stable")[:n])
    return moved(beside, own_mm[: beside.n_fibres])


def units_near(site: Site, n: int, reach_mm: float, rng: np.random.Generator) -> list[int]:
    """Return the orders of up to ``n`` motor units at the tip, in random order.

    A unit is there if one of its fibres lies within ``reach_mm``.

    Raises
    ------
    ValueError
        If there is none.
    """
    found: list[int] = []
    for order in rng.permutation(site.muscle.pool.n_units).tolist():
        fibres = site.unit_fibres(order)
        off_mm = np.hypot(fibres.x_mm - site.tip.x_mm, fibres.y_mm - site.tip.y_mm)
        if off_mm.min(initial=np.inf) <= reach_mm:
            found.append(order)
        if len(found) == n:
            break
    if not found:
        raise ValueError(
            f"a motor unit must have a fibre within {reach_mm:g} mm of the tip, got none"
        )
    return found


def require_end_plates(site: Site, z_mm: float) -> None:
    """Refuse a place along the muscle where it has no end plates.

    Raises
    ------
    ValueError
        If the place is farther from the zone's centre than half the band and three SD.
    """
    f = site.muscle.fibres
    half_mm = f.end_plate_band_mm / 2 + 3 * f.end_plate_sd_mm
    if abs(z_mm) > half_mm:
        raise ValueError(
            f"z_mm of end-plate activity must be within the end-plate zone, -+{half_mm:.3g} mm, "
            f"got {z_mm:g}"
        )
