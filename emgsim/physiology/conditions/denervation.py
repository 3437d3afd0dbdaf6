"""Axons that are lost or blocked: at once, of one root or nerve, one by one; some grow back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.body import Body
from emgsim.physiology.conditions.reinnervation import (
    Lesion,
    given,
    innervated,
    reinnervated,
    struck,
    usual_ways_mm,
    without_orphans,
)
from emgsim.physiology.parameters.conditions import (
    WEEKS_PER_MONTH,
    AxonalLoss,
    ConductionBlock,
    Entrapment,
    MotorNeuronDisease,
    NascentReinnervation,
    Radiculopathy,
    reaches,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAYS_PER_MONTH = 365.25 / 12


def axonal_loss(condition: AxonalLoss, body: Body, rng: np.random.Generator) -> Body:
    """Return the body some time after axons were lost at once."""
    alive = innervated(body)
    lost = _some(alive, condition.share * alive.size, rng)
    return struck(body, _lesion(condition, lost, condition.months), rng)


def radiculopathy(condition: Radiculopathy, body: Body, rng: np.random.Generator) -> Body:
    """Return the body after a lesion of one root.

    Raises
    ------
    ValueError
        If the root does not supply the muscle.
    """
    roots = body.healthy.roots
    if not reaches(condition, body.healthy):
        raise ValueError(
            f"radiculopathy: root must supply {body.healthy.name} "
            f"({', '.join(roots) or 'no root is known'}), got {condition.root!r}"
        )
    of_root = np.flatnonzero(body.roots == condition.root)
    exposed = np.intersect1d(of_root, innervated(body))
    lost = _some(exposed, condition.share * exposed.size, rng)
    return struck(body, _lesion(condition, lost, condition.weeks / WEEKS_PER_MONTH), rng)


def entrapment(condition: Entrapment, body: Body, rng: np.random.Generator) -> Body:
    """Return the body after the compression of a nerve.

    Raises
    ------
    ValueError
        If the nerve does not supply the muscle, or supplies it above the place.
    """
    muscle, nerve = body.healthy, condition.nerve
    if not reaches(condition, muscle):
        raise ValueError(
            f"entrapment: nerve must supply {muscle.name} beyond the place "
            f"(its nerve: {muscle.nerve or 'not known'}), got {nerve!r}"
        )
    share = condition.share * condition.muscles.get(muscle.name, 1.0)
    alive = innervated(body)
    lost = _some(alive, share * alive.size, rng)
    return struck(body, _lesion(condition, lost, condition.weeks / WEEKS_PER_MONTH), rng)


def motor_neuron_disease(
    condition: MotorNeuronDisease, body: Body, rng: np.random.Generator
) -> Body:
    """Return the body after motor neurons have died at a constant rate for each that was left."""
    alive = innervated(body)
    share = 1.0 - 0.5 ** (condition.months / condition.half_life_months)
    lost = _some(alive, share * alive.size, rng)
    died_after = -condition.half_life_months * np.log2(1.0 - share * rng.uniform(size=lost.size))
    return struck(body, _lesion(condition, lost, condition.months - died_after), rng)


def conduction_block(condition: ConductionBlock, body: Body, rng: np.random.Generator) -> Body:
    """Return the body with units that cannot be reached, their fibres unharmed."""
    able = np.flatnonzero(~body.is_lost)
    is_lost = body.is_lost.copy()
    is_lost[_some(able, condition.share * able.size, rng)] = True
    return replace(body, is_lost=is_lost)


def nascent_reinnervation(
    condition: NascentReinnervation, body: Body, rng: np.random.Generator
) -> Body:
    """Return the body with some lost units back, each with a few of its old fibres.

    Raises
    ------
    ValueError
        If no lost unit has a fibre that nobody has adopted.
    """
    gone = np.setdiff1d(np.flatnonzero(body.is_lost), innervated(body))
    waiting = np.intersect1d(gone, body.orphan_units)
    if waiting.size == 0:
        raise ValueError(
            "nascent_reinnervation must follow a loss of axons that leaves orphaned fibres, "
            f"got {body.orphans.n_fibres} orphans of {gone.size} lost units"
        )
    back = _some(waiting, condition.share * gone.size, rng)
    chosen = [
        _some(np.flatnonzero(body.orphan_units == unit), condition.fibres, rng) for unit in back
    ]
    orphan = np.concatenate([*chosen, np.zeros(0, np.int64)])
    months = np.full(orphan.size, condition.months)
    way_mm = usual_ways_mm(orphan.size, rng)
    grown = reinnervated(body.orphans.subset(orphan), months, way_mm, body.muscle, rng)
    is_lost = body.is_lost.copy()
    is_lost[back] = False
    return replace(
        without_orphans(given(body, grown, body.orphan_units[orphan]), orphan), is_lost=is_lost
    )


def _some(items: Integers, number: float, rng: np.random.Generator) -> Integers:
    """Return so many of the items by chance, ascending; what is left of one by chance, too."""
    n = min(items.size, int(number + rng.uniform()))
    return np.sort(rng.permutation(items)[:n])


def _lesion(
    condition: AxonalLoss | Radiculopathy | Entrapment | MotorNeuronDisease,
    units: Integers,
    months: float | Floats,
) -> Lesion:
    return Lesion(
        units=units,
        months=np.broadcast_to(months, units.shape),
        reinnervation=condition.reinnervation,
        delay_months=condition.fibrillation_delay_days / DAYS_PER_MONTH,
    )
