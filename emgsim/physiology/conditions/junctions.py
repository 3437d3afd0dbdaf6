"""Disorders of the neuromuscular junction: myasthenia, Lambert-Eaton syndrome, botulinum toxin.

A body has the safety factors of a steady discharge; what rest and other rates make of them is the
law of `release_law`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from emgsim.physiology.body import Body
from emgsim.physiology.conditions.safety import weakened
from emgsim.physiology.fibres import UnitFibres, block_probability
from emgsim.physiology.parameters import Junctions
from emgsim.physiology.parameters.conditions import Botulinum, Condition, Lems, Myasthenia
from emgsim.physiology.release import Release

Floats = NDArray[np.float64]

PER_CM = 0.54  # of the toxin's effect: 46 % less for each cm; Lapatki 2011 [S]
ONSET_WEEKS = 0.7  # time constant; jitter is highest at days 15-30 [S]
FADING_FROM_WEEKS, FADING_WEEKS = 4.0, 8.0  # new end plates take over in some three months [P]
QUANTILES = (np.arange(400) + 0.5) / 400  # of the end plates' safety factors


def myasthenia(condition: Myasthenia, body: Body, rng: np.random.Generator) -> Body:
    """Return the body with fewer receptors at every end plate."""
    shares = [condition.safety_share] * len(body.units)
    return _weakened(body, shares, condition.spread, rng)


def lems(condition: Lems, body: Body, rng: np.random.Generator) -> Body:
    """Return the body with little transmitter, as it is at the rate of the examined effort."""
    share = condition.safety_share * _law(condition).at(condition.rate_hz)
    return _weakened(body, [share] * len(body.units), condition.spread, rng)


def release_law(conditions: Sequence[Condition]) -> Release | None:
    """Return how the patient's terminals release transmitter, if a disorder makes that visible.

    Of several disorders the last one says it.
    """
    found = [c for c in conditions if isinstance(c, Myasthenia | Lems | Botulinum)]
    return _law(found[-1]) if found else None


def _law(condition: Myasthenia | Lems | Botulinum) -> Release:
    return Release(
        depletion=condition.depletion,
        mobilisation=condition.mobilisation,
        refill_s=condition.refill_s,
        facilitation=condition.facilitation,
        reference_hz=condition.rate_hz,
    )


def botulinum(condition: Botulinum, body: Body, rng: np.random.Generator) -> Body:
    """Return the body with end plates poisoned, the less the farther from the injection."""
    effects, shares = _shares_by_effect(body.muscle.junctions, condition.spread)

    def share(unit: UnitFibres) -> Floats:
        away_cm = np.abs(unit.end_plate_mm - condition.z_mm) / 10.0
        effect = condition.effect * PER_CM**away_cm * _course(condition.weeks)
        return np.interp(effect, effects, shares)

    return _weakened(body, [share(unit) for unit in body.units], condition.spread, rng)


def _course(weeks: float) -> float:
    """Return the share of its peak that the toxin's effect has."""
    return float(
        -np.expm1(-weeks / ONSET_WEEKS)
        * np.exp(-max(0.0, weeks - FADING_FROM_WEEKS) / FADING_WEEKS)
    )


def _shares_by_effect(junctions: Junctions, spread: float) -> tuple[Floats, Floats]:
    """Return mean shares of block, rising, and the shares of the safety factor that make them.

    The first is that of healthy end plates, or of the spread alone.
    """
    whole = np.hypot(spread, junctions.safety_factor_spread)
    healthy = junctions.safety_factor * np.exp(whole * ndtri(QUANTILES))
    shares = np.geomspace(1.0, 0.01, 200)
    return block_probability(shares[:, None] * healthy).mean(axis=1), shares


def _weakened(
    body: Body,
    shares: Sequence[float | Floats],
    spread: float,
    rng: np.random.Generator,
) -> Body:
    """Return the body with a share of each safety factor left, log-normal about a median.

    Fibres of one end plate draw together.
    """
    units = []
    for unit, end_plate, share in zip(body.units, body.end_plates, shares, strict=True):
        scatter = np.exp(spread * rng.standard_normal(end_plate.max(initial=-1) + 1))
        units.append(weakened(unit, share * scatter[end_plate], body.muscle))
    return replace(body, units=tuple(units))
