"""The motor neuron pool: who is recruited at which effort, and when each unit discharges.

Equations: Fuglevand, Winter & Patla 1993, J Neurophysiol 70:2470 (thresholds eq. 1, rates eq. 3-4,
twitches eq. 12-14, force gain eq. 15-16).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.parameters import Pool

Floats = NDArray[np.float64]

TWITCH_TIME_LONGEST_S = 0.090  # T_L of the smallest unit
TWITCH_TIME_RANGE = 3.0  # RT: longest over shortest
ISI_FLOOR_S = 0.020
ISI_TRUNCATION_SD = 3.0


def thresholds(pool: Pool) -> Floats:
    """Return the excitation at which each unit is recruited, shape ``(n_units,)``, rising."""
    order = np.arange(1, pool.n_units + 1)
    return np.asarray(np.exp(order * np.log(pool.recruitment_range) / pool.n_units))


def maximal_excitation(pool: Pool) -> float:
    """Return the excitation at which the last unit reaches its peak rate."""
    last_hz = pool.peak_rate_first_hz - pool.peak_rate_drop_hz
    return pool.recruitment_range + (last_hz - pool.minimal_rate_hz) / pool.rate_gain


def rates_hz(pool: Pool, excitation: Floats) -> Floats:
    """Return the mean discharge rates, shape ``(n_units, n_excitations)``; 0 if not recruited."""
    threshold = thresholds(pool)[:, None]
    peak = pool.peak_rate_first_hz - pool.peak_rate_drop_hz * threshold / threshold[-1]
    rising = pool.minimal_rate_hz + pool.rate_gain * (excitation[None, :] - threshold)
    return np.where(excitation[None, :] >= threshold, np.minimum(peak, rising), 0.0)


def twitches(pool: Pool) -> tuple[Floats, Floats]:
    """Return each unit's twitch force (smallest = 1) and its contraction time in seconds."""
    order = np.arange(1, pool.n_units + 1)
    force = np.exp(order * np.log(pool.twitch_range) / pool.n_units)
    exponent = np.log(pool.twitch_range) / np.log(TWITCH_TIME_RANGE)
    return force, TWITCH_TIME_LONGEST_S * (1 / force) ** (1 / exponent)


def steady_force(pool: Pool, excitation: Floats) -> Floats:
    """Return the mean force at each excitation as a fraction of the maximal force.

    A twitch ``P t/T exp(1 - t/T)`` has the integral ``P T e``, so a train of rate f pulls with
    ``f P T e`` times the gain of eq. 15-16.
    """
    peak, time_s = twitches(pool)

    def total(level: Floats) -> Floats:
        rate = rates_hz(pool, level)
        x = np.maximum(time_s[:, None] * rate, 1e-9)
        sigmoid = (1 - np.exp(-2 * x**3)) / x
        gain = np.where(x < 0.4, 1.0, sigmoid / ((1 - np.exp(-2 * 0.4**3)) / 0.4))
        return np.asarray(np.sum(peak[:, None] * time_s[:, None] * np.e * rate * gain, axis=0))

    full = total(np.array([maximal_excitation(pool)]))
    return np.asarray(total(excitation) / full[0])


@lru_cache(maxsize=32)
def _force_curve(pool: Pool) -> tuple[Floats, Floats]:
    levels = np.linspace(0.0, maximal_excitation(pool), 4001)
    return steady_force(pool, levels), levels


def excitation_for(pool: Pool, effort: Floats) -> Floats:
    """Return the excitation that makes a steady force of ``effort`` (fraction of MVC).

    Raises
    ------
    ValueError
        If an effort lies outside 0..1.
    """
    if effort.size and (effort.min() < 0 or effort.max() > 1):
        raise ValueError(
            f"effort must be in 0..1 (fraction of MVC), got {effort.min():g}..{effort.max():g}"
        )
    force, levels = _force_curve(pool)
    forceless = int(np.flatnonzero(force > 0)[0]) - 1  # no force is no excitation
    return np.interp(effort, force[forceless:], levels[forceless:], left=0.0) * (effort > 0)


def discharge_times(
    pool: Pool, times_s: Floats, excitation: Floats, rng: np.random.Generator
) -> list[Floats]:
    """Draw the discharges of every unit for an excitation that changes with time.

    Intervals are Gaussian about the mean interval of the moment, cut at 3 SD and at 20 ms; their
    coefficient of variation is ``pool.isi_cov``.

    Parameters
    ----------
    pool
        The motor neurons.
    times_s, excitation
        Shape ``(n,)``: the excitation at each time, on an even grid.
    rng
        Stream of the role "discharges".

    Returns
    -------
    list of ndarray
        Discharge times of each unit, ascending, in seconds.
    """
    rates = rates_hz(pool, excitation)
    step_s = times_s[1] - times_s[0]
    return [
        _train(rate, times_s[0], step_s, pool.isi_cov, unit)
        for rate, unit in zip(rates, rng.spawn(pool.n_units), strict=True)
    ]


def _train(
    rate_hz: Floats, start_s: float, step_s: float, cov: float, rng: np.random.Generator
) -> Floats:
    active = np.flatnonzero(rate_hz > 0)
    out: list[float] = []
    if active.size == 0:
        return np.zeros(0)
    now_s = start_s + active[0] * step_s + rng.uniform() / rate_hz[active[0]]
    end_s = start_s + rate_hz.size * step_s
    while now_s < end_s:
        index = int((now_s - start_s) / step_s)
        if rate_hz[index] <= 0:
            later = active[np.searchsorted(active, index) :]
            if later.size == 0:
                break
            now_s = start_s + later[0] * step_s + rng.uniform() / rate_hz[later[0]]
            continue
        out.append(now_s)
        z = rng.standard_normal()
        while abs(z) > ISI_TRUNCATION_SD:
            z = rng.standard_normal()
        now_s += max(ISI_FLOOR_S, (1 + cov * z) / rate_hz[index])
    return np.array(out)
