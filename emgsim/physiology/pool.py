"""The motor neuron pool: who is recruited at which effort, how fast, and with what force.

Equations: Fuglevand, Winter & Patla 1993, J Neurophysiol 70:2470 (thresholds eq. 1, rates eq. 3-4,
twitches eq. 12-14, force gain eq. 15-16); other laws at their functions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from emgsim.physiology.parameters import Pain, Pool

Floats = NDArray[np.float64]

TWITCH_TIME_LONGEST_S = 0.090  # T_L of the smallest unit
TWITCH_TIME_RANGE = 3.0  # RT: longest over shortest
ISI_FLOOR_S = 0.020
PAIN_BALANCED_AT = 0.15  # of MVC: pain was studied at 10 % and at some 15-20 %


class DeLucaHostage(NamedTuple):
    """The constants of ``D phi + (C - A exp(-phi / B)) tau + E``, pps; phi and tau in 0..1."""

    a: float
    b: float
    c: float
    d: float
    e: float


DE_LUCA_HOSTAGE = {  # De Luca & Hostage 2010, J Neurophysiol 104:1034 [R]
    "de_luca_hostage_fdi": DeLucaHostage(85.0, 0.32, -23.0, 6.93, 20.9),
    "de_luca_hostage_vl": DeLucaHostage(116.0, 0.15, -21.0, 8.03, 19.0),
    "de_luca_hostage_ta": DeLucaHostage(65.0, 0.30, -30.0, 6.54, 20.2),
}


def thresholds(pool: Pool) -> Floats:
    """Return the excitation at which each unit is recruited, shape ``(n_units,)``, rising.

    With x = i / n, i = 1 to n, and the last unit at RR = ``recruitment_range`` in every law; over
    the `maximal_excitation` they are fractions that can be compared:

    - fuglevand: ``exp(x ln RR)``;
    - de_luca_contessa: ``0.2 x exp(x ln(r / 0.2))`` of the maximal excitation, r the last unit's
      share of it (De Luca & Contessa 2012, J Neurophysiol 107:178);
    - caillet: ``58.1 x + 120^(x^1.83)``, scaled (Caillet 2023, tibialis anterior). What was
      measured are forces; their shape is taken over to the scale of excitation.
    """
    x = np.arange(1, pool.n_units + 1) / pool.n_units
    if pool.recruitment == "de_luca_contessa":
        shape = x * np.exp((x - 1) * np.log(pool.last_threshold / 0.2))
    elif pool.recruitment == "caillet":
        shape = (58.1 * x + 120.0 ** (x**1.83)) / (58.1 + 120.0)
    else:
        return np.asarray(np.exp(x * np.log(pool.recruitment_range)))
    return np.asarray(pool.recruitment_range * shape)


def minimal_rates_hz(pool: Pool) -> Floats:
    """Return the rate at which each unit begins, shape ``(n_units,)``; pain left aside."""
    size = thresholds(pool) / pool.recruitment_range
    return pool.minimal_rate_hz + pool.minimal_rate_rise_hz * size


def peak_rates_hz(pool: Pool) -> Floats:
    """Return the rate that each unit does not pass, shape ``(n_units,)``; pain left aside."""
    if pool.rate_law in DE_LUCA_HOSTAGE:
        return np.full(pool.n_units, 1 / ISI_FLOOR_S)
    size = thresholds(pool) / pool.recruitment_range
    return pool.peak_rate_first_hz - pool.peak_rate_drop_hz * size


def rates_hz(pool: Pool, excitation: Floats) -> Floats:
    """Return the mean discharge rates, shape ``(n_units, n_excitations)``; 0 if not recruited.

    Linear: from the unit's minimal rate upward by ``rate_gain`` until its peak. De Luca & Hostage:
    their plane of drive and threshold, which below a unit's minimal rate is left for that rate (in
    the tibialis anterior it falls below zero for high thresholds). Pain inhibits either; no rate
    passes the 50 pps that intervals of 20 ms allow. Fatigue and common inputs are not in here.
    """
    return _rates_hz(pool, excitation, thresholds_in_pain(pool))


def _rates_hz(pool: Pool, excitation: Floats, recruited_at: Floats) -> Floats:
    threshold, level = thresholds(pool)[:, None], excitation[None, :]
    lowest = minimal_rates_hz(pool)[:, None]
    if pool.rate_law in DE_LUCA_HOSTAGE:
        k = DE_LUCA_HOSTAGE[pool.rate_law]
        phi, tau = level / pool.maximal_excitation, threshold / pool.maximal_excitation
        rising = k.d * phi + (k.c - k.a * np.exp(-phi / k.b)) * tau + k.e
    else:
        rising = lowest + pool.rate_gain * (level - threshold)
    rate = np.clip(rising, lowest, peak_rates_hz(pool)[:, None])
    inhibited = (1 - pool.pain.rate_share) * rate - pool.pain.rate_drop_hz
    return np.where(level >= recruited_at[:, None], np.minimum(inhibited, 1 / ISI_FLOOR_S), 0.0)


def thresholds_in_pain(pool: Pool) -> Floats:
    """Return the excitation that recruits each unit when pain inhibits the pool; `thresholds` else.

    In pain the same force comes of slower units and of new ones (Tucker 2009, J Neurosci): all
    thresholds are lowered by one factor, such that an excitation makes the force it would without
    pain. The factor is found at 15 % MVC; elsewhere the balance is near, and force tracking makes
    up for the rest. Where all units are recruited none is left to help, and the force falls.
    """
    return thresholds(pool) / _facilitation(pool)


@lru_cache(maxsize=32)
def _facilitation(pool: Pool) -> float:
    """Return the factor by which pain lowers the thresholds."""
    if pool.pain == Pain():
        return 1.0
    painless = pool.model_copy(update={"pain": Pain()})
    level = excitation_for(painless, np.array([PAIN_BALANCED_AT]))
    wanted = mean_twitch_force(painless, level)

    def missing(factor: float) -> float:
        rates = _rates_hz(pool, level, thresholds(pool) / factor)
        return float((wanted - _force_of(pool, rates))[0])

    most = pool.maximal_excitation / level[0]
    return most if missing(most) > 0 else float(optimize.bisect(missing, 1.0, most))


def twitches(pool: Pool) -> tuple[Floats, Floats]:
    """Return each unit's twitch force (smallest = 1) and its contraction time in seconds."""
    order = np.arange(1, pool.n_units + 1)
    force = np.exp(order * np.log(pool.twitch_range) / pool.n_units)
    exponent = np.log(pool.twitch_range) / np.log(TWITCH_TIME_RANGE)
    return force, TWITCH_TIME_LONGEST_S * (1 / force) ** (1 / exponent)


def twitch_gain(x: Floats) -> Floats:
    """Return the gain of a twitch's force by the contraction time over the interval before it.

    Fuglevand 1993, eq. 15-16: 1 below 0.4, some 2.9 near 1, and falling as twitches fuse.
    """
    x = np.maximum(x, 1e-9)
    sigmoid = (1 - np.exp(-2 * x**3)) / x
    return np.where(x < 0.4, 1.0, sigmoid / ((1 - np.exp(-2 * 0.4**3)) / 0.4))


def mean_twitch_force(pool: Pool, excitation: Floats) -> Floats:
    """Return the mean force at each excitation in units of the smallest unit's twitch.

    A twitch ``P t/T exp(1 - t/T)`` has the integral ``P T e``, so a train of rate f pulls with
    ``f P T e`` times the mean gain of its intervals, whose scatter is ``isi_cov``: the mean over
    the normal density by three points, exact for a polynomial of fifth order.
    """
    return _force_of(pool, rates_hz(pool, excitation))


def _force_of(pool: Pool, rate_hz: Floats) -> Floats:
    peak, time_s = (column[:, None] for column in twitches(pool))
    gain = np.zeros_like(rate_hz)
    for z, weight in ((-np.sqrt(3), 1 / 6), (0.0, 2 / 3), (np.sqrt(3), 1 / 6)):
        gain += weight * twitch_gain(time_s * rate_hz / (1 + pool.isi_cov * z))
    return np.asarray(np.sum(peak * time_s * np.e * rate_hz * gain, axis=0))


@lru_cache(maxsize=32)
def maximal_force(pool: Pool) -> float:
    """Return the force of a maximal effort without pain, in twitches of the smallest unit."""
    painless = pool.model_copy(update={"pain": Pain()})
    return float(mean_twitch_force(painless, np.array([pool.maximal_excitation]))[0])


def steady_force(pool: Pool, excitation: Floats) -> Floats:
    """Return the mean force at each excitation as a fraction of the maximal force."""
    return mean_twitch_force(pool, excitation) / maximal_force(pool)


@lru_cache(maxsize=32)
def force_curve(pool: Pool) -> tuple[Floats, Floats]:
    """Return steady forces (fraction of MVC), rising, and the excitations that make them.

    The first point is the highest excitation of the table that makes no force yet. Where a law of
    rates lets the force fall for a moment, the curve goes on level.
    """
    levels = np.linspace(0.0, pool.maximal_excitation, 4001)
    force = np.maximum.accumulate(steady_force(pool, levels))
    forceless = int(np.flatnonzero(force > 0)[0]) - 1  # no force is no excitation
    return force[forceless:], levels[forceless:]


def excitation_for(pool: Pool, effort: Floats) -> Floats:
    """Return the excitation that makes a steady force of ``effort`` (fraction of MVC).

    A force that pain puts out of reach gets the maximal excitation.

    Raises
    ------
    ValueError
        If an effort lies outside 0..1.
    """
    if effort.size and (effort.min() < 0 or effort.max() > 1):
        raise ValueError(
            f"effort must be in 0..1 (fraction of MVC), got {effort.min():g}..{effort.max():g}"
        )
    return np.interp(effort, *force_curve(pool), left=0.0) * (effort > 0)
