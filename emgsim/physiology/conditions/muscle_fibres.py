"""Diseases of the muscle fibres: loss, atrophy, hypertrophy, splitting, necrosis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.body import Body, joined, with_diameter
from emgsim.physiology.conditions.drive import with_pool
from emgsim.physiology.conditions.safety import safety_factors, with_safety
from emgsim.physiology.fibres import (
    BODY_C,
    PER_DEGREE,
    SHORTEST_HALF_MM,
    UnitFibres,
)
from emgsim.physiology.parameters import Muscle
from emgsim.physiology.parameters.conditions import Myopathy, Myositis

Integers = NDArray[np.int64]

SPLIT_MM = (0.020, 0.060)  # between twins [M]
SPLIT_SHARE = (0.3, 0.7)  # of the cross-section that one twin keeps [P]
SEPARATED_FIBRILLATE = 0.12  # of the cut ends in a minute, as denervated fibres 0.05-0.2 [P]
TREATMENT_WEEKS = 6.0  # in which treatment stills all but 1/e of them [P]


def myopathy(condition: Myopathy, body: Body, rng: np.random.Generator) -> Body:
    """Return the body with a share of every unit's fibres gone, and the rest uneven.

    Weak units must be driven harder for the same force, so that more are recruited. Motor neurons
    help: their thresholds move together, and the next unit comes before the last is much faster.
    """
    pool = body.muscle.pool
    narrower = {"recruitment_range": pool.recruitment_range**condition.recruitment_share}
    body = with_pool(body, narrower)
    changed = [
        _diseased(condition, unit, end_plate, body.muscle, rng)
        for unit, end_plate in zip(body.units, body.end_plates, strict=True)
    ]
    return replace(
        body,
        units=tuple(unit for unit, _ in changed),
        end_plates=tuple(end_plate for _, end_plate in changed),
    )


def myositis(condition: Myositis, body: Body, rng: np.random.Generator) -> Body:
    """Return the body as of a myopathy, with ends cut off that fibrillate.

    A necrotic segment somewhere in one half of a fibre leaves its innervated part, now shorter,
    and an end without a nerve, whose action potentials begin where it is cut.
    """
    fibres = Myopathy.model_validate(
        condition.model_dump(exclude={"kind", "separated", "treatment_weeks"})
    )
    body = myopathy(fibres, body, rng)
    parts = [_separated(unit, condition.separated, rng) for unit in body.units]
    ends = joined([body.orphans, *(end for _, end in parts)])
    n_new = ends.n_fibres - body.orphans.n_fibres
    stilled = np.exp(-condition.treatment_weeks / TREATMENT_WEEKS)
    counts = [end.n_fibres for _, end in parts]
    return replace(
        body,
        units=tuple(unit for unit, _ in parts),
        orphans=ends,
        orphan_units=np.concatenate([body.orphan_units, np.repeat(np.arange(len(parts)), counts)]),
        fibrillates=np.concatenate(
            [body.fibrillates, np.full(n_new, stilled * SEPARATED_FIBRILLATE)]
        ),
    )


def _diseased(
    condition: Myopathy,
    unit: UnitFibres,
    end_plate: Integers,
    muscle: Muscle,
    rng: np.random.Generator,
) -> tuple[UnitFibres, Integers]:
    """Return what is left of a unit, and its end plates; one fibre stays at least."""
    n = unit.n_fibres
    if n == 0:
        return unit, end_plate
    n_left = max(1, round((1.0 - condition.loss) * n))
    left = np.sort(rng.permutation(n)[:n_left])
    unit, end_plate = unit.subset(left), end_plate[left]
    unit = _displaced(unit, end_plate, condition.end_plate_sd_mm, muscle, rng)
    factor = condition.safety_share * safety_factors(unit)
    diameter_um = condition.diameter_um * (
        1.0 + condition.diameter_cov * rng.standard_normal(n_left)
    )
    unit = with_diameter(with_safety(unit, factor, muscle), diameter_um, muscle)
    return _split(unit, end_plate, condition.splitting, muscle, rng)


def _displaced(
    unit: UnitFibres,
    end_plate: Integers,
    sd_mm: float,
    muscle: Muscle,
    rng: np.random.Generator,
) -> UnitFibres:
    """Return the unit with end plates scattered more; the fibres' own ends stay where they are."""
    more_mm = np.sqrt(max(0.0, sd_mm**2 - muscle.fibres.end_plate_sd_mm**2))
    by_mm = more_mm * rng.standard_normal(end_plate.max() + 1)[end_plate]
    up, down = unit.half_lengths_mm
    branch_m_s = muscle.fibres.branch_velocity_m_s * PER_DEGREE ** (muscle.temperature_c - BODY_C)
    return replace(
        unit,
        end_plate_mm=unit.end_plate_mm + by_mm,
        half_lengths_mm=(
            np.maximum(up - by_mm, SHORTEST_HALF_MM),
            np.maximum(down + by_mm, SHORTEST_HALF_MM),
        ),
        delay_s=unit.delay_s + 1e-3 * np.abs(by_mm) / branch_m_s,
    )


def _split(
    unit: UnitFibres,
    end_plate: Integers,
    share: float,
    muscle: Muscle,
    rng: np.random.Generator,
) -> tuple[UnitFibres, Integers]:
    """Return the unit with twins: they divide the cross-section and share the end plate."""
    twin = np.flatnonzero(rng.uniform(size=unit.n_fibres) < share)
    apart_mm = rng.uniform(*SPLIT_MM, twin.size)
    angle = rng.uniform(0.0, 2 * np.pi, twin.size)
    kept = rng.uniform(*SPLIT_SHARE, twin.size)
    diameter_um = unit.diameter_um.copy()
    diameter_um[twin] *= np.sqrt(kept)
    twins = unit.subset(twin)
    twins = replace(
        twins,
        x_mm=twins.x_mm + apart_mm * np.cos(angle),
        y_mm=twins.y_mm + apart_mm * np.sin(angle),
    )
    twins = with_diameter(twins, np.sqrt(1.0 - kept) * twins.diameter_um, muscle)
    whole = joined([with_diameter(unit, diameter_um, muscle), twins])
    return whole, np.concatenate([end_plate, end_plate[twin]])


def _separated(
    unit: UnitFibres, share: float, rng: np.random.Generator
) -> tuple[UnitFibres, UnitFibres]:
    """Return the unit with some halves cut short, and the ends that were cut off."""
    cut = np.flatnonzero(rng.uniform(size=unit.n_fibres) < share)
    side = np.where(rng.uniform(size=cut.size) < 0.5, 1.0, -1.0)
    up, down = (half.copy() for half in unit.half_lengths_mm)
    whole_mm = np.where(side > 0, up[cut], down[cut])
    at_mm = np.maximum(SHORTEST_HALF_MM, rng.uniform(0.1, 0.9, cut.size) * whole_mm)
    rest_mm = np.maximum(SHORTEST_HALF_MM, whole_mm - at_mm)
    stump_mm = np.full(cut.size, SHORTEST_HALF_MM)
    up[cut] = np.where(side > 0, at_mm, up[cut])
    down[cut] = np.where(side > 0, down[cut], at_mm)
    ends = unit.subset(cut)
    ends = replace(
        ends,
        end_plate_mm=ends.end_plate_mm + side * at_mm,
        half_lengths_mm=(
            np.where(side > 0, rest_mm, stump_mm),
            np.where(side > 0, stump_mm, rest_mm),
        ),
    )
    return replace(unit, half_lengths_mm=(up, down)), ends
