"""The motor units of one muscle as flesh: their fibres, their strength, and who has lost whom.

A body is what conditions change. It is built whole, since a fibre that one unit loses is adopted by
another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import (
    DIAMETER_RANGE_UM,
    UnitFibres,
    conduction_velocity,
    place_unit,
)
from emgsim.physiology.parameters import Muscle
from emgsim.seeds import stream

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Body:
    """A muscle with all its motor units in order of size, ill or not.

    Parameters
    ----------
    muscle
        As the conditions have left it, its pool above all.
    healthy
        As it was before them. Its maximal force is the unit of effort.
    units
        The fibres of each unit; none if its axon is gone.
    end_plates
        Of each unit ``(n_fibres,)``: fibres of the same number share an end plate, and so jitter
        and block together; all numbers differ in health.
    is_lost
        Shape ``(n_units,)``: never discharges by will; the neuron is dead, or the axon cut or
        blocked.
    healthy_force
        Shape ``(n_units,)``: force of each unit's fibres before all conditions, arbitrary units.
    orphans
        Denervated fibres that belong to no unit.
    orphan_units
        Shape ``(n_orphans,)``: the unit that each came from.
    fibrillates
        Shape ``(n_orphans,)``: the probability that each fibrillates within a minute.
    roots
        Shape ``(n_units,)``: the root of each unit's axon; empty where the muscle's are not known.
    conditions
        Names of those that have been applied, in order.
    """

    muscle: Muscle
    healthy: Muscle
    units: tuple[UnitFibres, ...]
    end_plates: tuple[Integers, ...]
    is_lost: Bools
    healthy_force: Floats
    orphans: UnitFibres
    orphan_units: Integers
    fibrillates: Floats
    roots: NDArray[np.str_]
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n = self.muscle.pool.n_units
        if len(self.units) != n or len(self.end_plates) != n:
            raise ValueError(
                f"units, end_plates: expected {n}, got {len(self.units)}, {len(self.end_plates)}"
            )
        for name in ("is_lost", "healthy_force", "roots"):
            _check(name, getattr(self, name), (n,))
        for unit, end_plate in zip(self.units, self.end_plates, strict=True):
            _check("end_plates", end_plate, (unit.n_fibres,))
        for name in ("orphan_units", "fibrillates"):
            _check(name, getattr(self, name), (self.orphans.n_fibres,))

    @property
    def strength(self) -> Floats:
        """Twitch force of each unit's fibres over the healthy unit's, ``(n_units,)``.

        Force goes with the cross-section of the fibres that transmit.
        """
        return np.array([twitch_force(unit) for unit in self.units]) / self.healthy_force

    @property
    def twitch_share(self) -> Floats:
        """Twitch force that each unit can be recruited for: `strength`, 0 where it is lost."""
        return np.where(self.is_lost, 0.0, self.strength)

    @property
    def denervated_share(self) -> float:
        """Share of the present fibres that belong to no unit."""
        n_orphans = self.orphans.n_fibres
        return n_orphans / max(1, n_orphans + sum(unit.n_fibres for unit in self.units))


def _check(name: str, array: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: expected {shape}, got {array.shape}")


def healthy_body(muscle: Muscle, seed: int) -> Body:
    """Return the body of a healthy patient.

    Parameters
    ----------
    muscle
        The muscle.
    seed
        Of the patient; roles "muscle", one stream for each unit, and "roots".

    Raises
    ------
    ValueError
        If the fibres of a unit find no room.

    Examples
    --------
    >>> from emgsim.physiology.parameters import Fibres, Pool
    >>> fibres = Fibres(per_unit_smallest=20, per_unit_largest=80, length_mm=60)
    >>> body = healthy_body(Muscle(name="x", radius_mm=6, pool=Pool(n_units=9), fibres=fibres), 1)
    >>> len(body.units), bool(body.is_lost.any()), body.orphans.n_fibres
    (9, False, 0)
    """
    n = muscle.pool.n_units
    units = tuple(place_unit(muscle, order, stream(seed, "muscle", order)) for order in range(n))
    return Body(
        muscle=muscle,
        healthy=muscle,
        units=units,
        end_plates=tuple(np.arange(unit.n_fibres) for unit in units),
        is_lost=np.zeros(n, dtype=np.bool_),
        healthy_force=np.array([twitch_force(unit) for unit in units]),
        orphans=units[0].subset(np.zeros(0, dtype=np.int64)),
        orphan_units=np.zeros(0, dtype=np.int64),
        fibrillates=np.zeros(0),
        roots=_roots(muscle, stream(seed, "roots")),
    )


def _roots(muscle: Muscle, rng: np.random.Generator) -> NDArray[np.str_]:
    """Return the root of each unit, whatever its size, in the muscle's proportions."""
    n, names = muscle.pool.n_units, [*muscle.roots] or [""]
    borders = n * np.cumsum([*muscle.roots.values()] or [1.0])
    root = np.searchsorted(borders[:-1], np.arange(n), side="right")
    return np.asarray(rng.permutation(np.array(names)[root]))


def twitch_force(fibres: UnitFibres) -> float:
    """Return the mean force of a twitch: the cross-section that is excited, in square micrometres.

    Specific force is taken as the same for all fibres.
    """
    return float(np.sum(fibres.diameter_um**2 * (1.0 - fibres.block_probability)) * np.pi / 4)


def with_diameter(fibres: UnitFibres, diameter_um: Floats, muscle: Muscle) -> UnitFibres:
    """Return the fibres with other diameters, ``(n_fibres,)``, and their velocities.

    Diameters are brought into the range for which the velocity is known.
    """
    diameter_um = np.clip(diameter_um, *DIAMETER_RANGE_UM)
    velocity_m_s = conduction_velocity(diameter_um, muscle.temperature_c)
    return replace(fibres, diameter_um=diameter_um, velocity_m_s=velocity_m_s)


def joined(parts: Sequence[UnitFibres]) -> UnitFibres:
    """Return the fibres of several units as one, in order; there must be a part."""
    ups, downs = zip(*(part.half_lengths_mm for part in parts), strict=True)
    arrays = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(UnitFibres)
        if f.name != "half_lengths_mm"
    }
    return UnitFibres(half_lengths_mm=(np.concatenate(ups), np.concatenate(downs)), **arrays)
