"""The safety factor of every end plate, which jitter and block follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from emgsim.physiology.fibres import (
    SAFETY_FLUCTUATION,
    UnitFibres,
    block_probability,
    end_plate_jitter_s,
)
from emgsim.physiology.parameters import Muscle

Floats = NDArray[np.float64]


def safety_factors(fibres: UnitFibres) -> Floats:
    """Return the safety factor of each fibre's end plate, shape ``(n_fibres,)``.

    It is read from the probability of block, of which it is an exact function; where that is zero
    nothing ever fails, and the factor is infinite.
    """
    return np.asarray(1.0 - SAFETY_FLUCTUATION * ndtri(fibres.block_probability))


def with_safety(fibres: UnitFibres, factor: Floats, muscle: Muscle) -> UnitFibres:
    """Return the fibres with end plates of other safety factors, shape ``(n_fibres,)``."""
    jitter_s = end_plate_jitter_s(factor, muscle.junctions, muscle.temperature_c)
    return replace(fibres, jitter_s=jitter_s, block_probability=block_probability(factor))


def weakened(fibres: UnitFibres, share: Floats, muscle: Muscle) -> UnitFibres:
    """Return the fibres with a share of each end plate's safety factor left."""
    return with_safety(fibres, share * safety_factors(fibres), muscle)


def transmission(fibres: UnitFibres, factors: Floats) -> tuple[Floats, Floats]:
    """Return jitter and block at discharges with more or less transmitter than the body's own.

    Parameters
    ----------
    fibres
        With the jitter and block of the body.
    factors
        Shape ``(n_discharges,)``: on all safety factors.

    Returns
    -------
    jitter_s, block_probability : ndarray
        Shape ``(n_discharges, n_fibres)``.
    """
    own = safety_factors(fibres)
    now = factors[:, None] * own
    margins = (np.maximum(factor - 1.0, SAFETY_FLUCTUATION) for factor in (own, now))
    with np.errstate(invalid="ignore"):  # an end plate that nothing stops
        ratio = np.divide(*margins)
    sure = np.isinf(own)
    return fibres.jitter_s * np.where(sure, 1.0, ratio), block_probability(now)
