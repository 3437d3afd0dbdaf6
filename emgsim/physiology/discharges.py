"""When each motor unit discharges, and the force that comes of it, epoch by epoch.

An effort sets a force. The excitation is what makes that force steadily, corrected by what the
patient sees of it: a slow integral of the error, as with visual feedback. Common drive, short-term
synchrony, doublets, fatigue and pain are those of the pool's parameters. The steps themselves are
compiled, in `emgsim.physiology.neurons`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.physiology.effort import effort_at
from emgsim.physiology.intervals import (
    DEPTH_STEP,
    LATENT_STEP,
    LATENT_TO,
    deviate_table,
)
from emgsim.physiology.neurons import (
    FAINTEST,
    FLOOR_S,
    STEP_S,
    Chance,
    Course,
    Law,
    Neurons,
    Plan,
    State,
    advance,
)
from emgsim.physiology.parameters import Phase, Pool
from emgsim.physiology.parameters.effort import total_s
from emgsim.physiology.pool import (
    DE_LUCA_HOSTAGE,
    DeLucaHostage,
    force_curve,
    maximal_force,
    mean_twitch_force,
    minimal_rates_hz,
    peak_rates_hz,
    rates_hz,
    thresholds,
    thresholds_in_pain,
    twitch_gain,
    twitches,
)
from emgsim.seeds import stream

Floats = NDArray[np.float64]

__all__ = ["STEP_S", "Epoch", "discharge_epochs", "low_pass", "resonator"]

NO_HOSTAGE = DeLucaHostage(0.0, 1.0, 0.0, 0.0, 0.0)  # adds nothing to the linear law
FEEDBACK_DELAY_S = 0.15  # visual reaction 0.15-0.2 s [M]
FEEDBACK_TIME_S = 0.75  # of the correction, 0.5-1 s [P]
FAST_DECAY_S = 1 / 60  # of the fast input's oscillation: one trough beside the peak [P]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """A stretch of the scenario on the grid of 1 ms; step k begins at ``start_s + k / 1000``."""

    start_s: float
    n_steps: int
    effort: Floats  # (n_steps,) what is wanted, fraction of MVC
    excitation: Floats  # (n_steps,) of all units; common inputs act on their rates
    force: Floats  # (n_steps,) fraction of MVC
    trains: list[Floats]  # of each unit: discharge times in seconds, ascending

    @property
    def end_s(self) -> float:
        """Time of the first step of the next stretch."""
        return self.start_s + self.n_steps * STEP_S


def discharge_epochs(
    pool: Pool,
    phases: Sequence[Phase],
    seed: int,
    *,
    epoch_s: float = 1.0,
    twitch_share: Floats | None = None,
    healthy: Pool | None = None,
) -> Iterator[Epoch]:
    """Run a pool through the phases of an effort.

    Trains, force and common inputs go on from epoch to epoch. What happens in an epoch does not
    depend on what comes after it. Chance is drawn epoch by epoch, from a stream for each role and
    for each unit's place in the pool: other epochs are other draws.

    Parameters
    ----------
    pool
        The motor neurons.
    phases
        What the patient does.
    seed
        Of the scenario; roles "discharges", "first discharges", "common drive", "synchrony" and
        "doublets".
    epoch_s
        Length of an epoch, whole milliseconds; the last one is what is left.
    twitch_share
        Shape ``(n_units,)``: twitch force of each unit over the healthy one's; a unit of 0 never
        discharges. All 1 if not given.
    healthy
        The pool whose maximal force is the unit of effort and force; this one if not given. An
        effort beyond what is left of it gets the maximal excitation.

    Yields
    ------
    Epoch

    Raises
    ------
    ValueError
        If there is no phase, an epoch is shorter than 1 ms, or shares are negative or not one for
        each unit.

    Examples
    --------
    >>> from emgsim.physiology.parameters import Hold
    >>> epochs = discharge_epochs(Pool(n_units=10), [Hold(duration_s=2, level_mvc=0.1)], seed=1)
    >>> [(epoch.start_s, epoch.n_steps) for epoch in epochs]
    [(0.0, 1000), (1.0, 1000)]
    """
    per_epoch = round(epoch_s / STEP_S)
    if per_epoch < 1:
        raise ValueError(f"epoch_s must be >= {STEP_S:g}, got {epoch_s:g}")
    if not phases:
        raise ValueError("phases must have at least one phase, got none")
    return _epochs(pool, phases, seed, per_epoch, _plan(pool, twitch_share, healthy))


def recruited(
    pool: Pool,
    effort: float,
    *,
    twitch_share: Floats | None = None,
    healthy: Pool | None = None,
) -> NDArray[np.int64]:
    """Return the units that a steady effort recruits, 0 = smallest.

    Parameters
    ----------
    pool, twitch_share, healthy
        As of `discharge_epochs`.
    effort
        Fraction of the healthy pool's maximal force.

    Examples
    --------
    >>> recruited(Pool(n_units=10), 0.05).tolist()
    [0, 1, 2]
    """
    plan = _plan(pool, twitch_share, healthy)
    excitation = np.interp(effort, plan.forces, plan.levels) if effort > 0 else 0.0
    return np.flatnonzero(plan.neurons.recruited_at <= excitation)


def _epochs(
    pool: Pool, phases: Sequence[Phase], seed: int, per_epoch: int, plan: Plan
) -> Iterator[Epoch]:
    state = _beginning(pool, seed)
    n_all = max(1, round(total_s(phases) / STEP_S))
    for number, first in enumerate(range(0, n_all, per_epoch)):
        n = min(per_epoch, n_all - first)
        times_s = np.arange(first, first + n, dtype=np.float64) * STEP_S
        effort = effort_at(phases, times_s)
        chance = _chance(pool, seed, number, per_epoch)
        course = _course(pool, n, chance.interval.shape[1])
        advance(first, effort, plan, state, chance, course)
        trains = [
            unit_s[:count].copy()
            for unit_s, count in zip(course.times_s, course.counts, strict=True)
        ]
        yield Epoch(
            start_s=first * STEP_S,
            n_steps=n,
            effort=effort,
            excitation=course.excitation,
            force=course.force,
            trains=trains,
        )


def _plan(pool: Pool, twitch_share: Floats | None, healthy: Pool | None) -> Plan:
    share = np.ones(pool.n_units) if twitch_share is None else twitch_share
    if share.shape != (pool.n_units,) or not np.all(share >= 0):
        raise ValueError(
            f"twitch_share: expected ({pool.n_units},), all >= 0, got {share.shape}, "
            f"least {share.min(initial=np.inf):g}"
        )
    full_force = maximal_force(pool if healthy is None else healthy)
    forces, levels = _force_curve(pool, share, full_force)
    return Plan(
        neurons=_neurons(pool, share, full_force),
        law=_law(pool),
        forces=forces,
        levels=levels,
        deviates=deviate_table(pool.intervals.law),
        latent_to=LATENT_TO,
        latent_step=LATENT_STEP,
        depth_step=DEPTH_STEP,
    )


def _force_curve(pool: Pool, share: Floats, full_force: float) -> tuple[Floats, Floats]:
    """Return `force_curve` with units that are weaker or lost, over another full force.

    What the units' shares take from each force is weighed at their mean rates: how the scatter of
    intervals changes it cancels but for a hundredth.
    """
    if np.all(share == 1) and full_force == maximal_force(pool):
        return force_curve(pool)
    levels = np.linspace(0.0, pool.maximal_excitation, 4001)
    rate_hz = rates_hz(pool, levels)
    peak, time_s = (column[:, None] for column in twitches(pool))
    pull = peak * time_s * rate_hz * twitch_gain(time_s * rate_hz)
    left = (share @ pull) / np.maximum(pull.sum(axis=0), FAINTEST)
    force = np.maximum.accumulate(left * mean_twitch_force(pool, levels) / full_force)
    if force[-1] == 0:  # whatever is wanted, all that can be done is to try one's utmost
        return force[-1:], levels[-1:]
    forceless = max(0, int(np.flatnonzero(force > 0)[0]) - 1)
    return force[forceless:], levels[forceless:]


def _neurons(pool: Pool, share: Floats, full_force: float) -> Neurons:
    threshold, lowest_hz = thresholds(pool), minimal_rates_hz(pool)
    is_linear = pool.rate_law not in DE_LUCA_HOSTAGE
    twitch, time_s = twitches(pool)
    return Neurons(
        threshold=threshold,
        recruited_at=np.where(share > 0, thresholds_in_pain(pool), np.inf),
        offset_hz=(lowest_hz - pool.rate_gain * threshold) * is_linear,
        lowest_hz=lowest_hz,
        peak_hz=peak_rates_hz(pool),
        twitch=share * twitch / full_force,
        twitch_time_s=time_s,
        step_share=STEP_S / time_s,
        decay=np.exp(-STEP_S / time_s),
    )


def _law(pool: Pool) -> Law:
    at_first = pool.intervals.cov_at_recruitment
    common_poles, common_scale = low_pass(pool.common_drive.cutoff_hz)
    fast_poles, fast_scale, fast_variance = resonator(
        pool.synchrony.frequency_hz, pool.synchrony.pairs_per_s
    )
    is_linear = pool.rate_law not in DE_LUCA_HOSTAGE
    return Law(
        rate_gain=pool.rate_gain if is_linear else 0.0,
        hostage=NO_HOSTAGE if is_linear else DE_LUCA_HOSTAGE[pool.rate_law],
        maximal_excitation=pool.maximal_excitation,
        pain_share=pool.pain.rate_share,
        pain_drop_hz=pool.pain.rate_drop_hz,
        fatigue_fall=pool.fatigue.rate_fall,
        fatigue_share=1 - np.exp(-STEP_S / pool.fatigue.time_constant_s),
        cov=pool.isi_cov,
        cov_excess=0.0 if at_first is None else at_first - pool.isi_cov,
        cov_range=pool.intervals.cov_falls_over * pool.maximal_excitation,
        serial_correlation=pool.intervals.serial_correlation,
        doublet_share=pool.doublets.share,
        doublet_first=pool.doublets.share_at_recruitment,
        doublet_s=(pool.doublets.shortest_s, pool.doublets.longest_s),
        common_sd_hz=pool.common_drive.strength * pool.minimal_rate_hz,
        common_poles=common_poles,
        common_scale=common_scale,
        fast_poles=fast_poles,
        fast_scale=fast_scale,
        fast_variance=fast_variance,
        is_tracked=pool.tracking == "force",
        feedback_share=STEP_S / FEEDBACK_TIME_S,
    )


def low_pass(cutoff_hz: float) -> tuple[tuple[float, float], float]:
    """Return the poles of the common drive's filter, and the factor that makes white noise SD 1.

    The two poles are a Butterworth filter's, which has lost 3 dB at the cut-off.
    """
    pole = np.exp(2 * np.pi * cutoff_hz * STEP_S * np.exp(0.75j * np.pi))
    first, second = 2 * pole.real, -(abs(pole) ** 2)
    variance = (1 - second) / ((1 + second) * ((1 - second) ** 2 - first**2))
    return (float(first), float(second)), float(variance**-0.5)


def resonator(frequency_hz: float, pairs_per_s: float) -> tuple[tuple[float, float], float, float]:
    """Return the fast input's poles, the factor that makes it pps, and the scatter it adds.

    Units whose rates share an input of covariance C discharge together beyond chance by the
    integral of C over its central peak, in pairs per second. The input has no slow part: what it
    adds to a phase stays within bounds, and its variance counts at both ends of an interval.
    """
    radius = np.exp(-STEP_S / FAST_DECAY_S)
    first, second = 2 * radius * np.cos(2 * np.pi * frequency_hz * STEP_S), -(radius**2)
    output = np.zeros(400)
    output[0], output[1] = 1.0, first
    for k in range(2, output.size):
        output[k] = first * output[k - 1] + second * output[k - 2]
    rate = output - np.concatenate([[0.0, 0.0], output[:-2]])
    covariance = np.correlate(rate, rate, "full")[rate.size - 1 :]
    peak = covariance[: int(np.argmax(covariance < 0))]
    scale = np.sqrt(pairs_per_s / (STEP_S * (2 * peak.sum() - peak[0])))
    phase = scale * STEP_S * np.cumsum(rate)
    return (float(first), float(second)), float(scale), float(2 * np.sum(phase**2))


def _beginning(pool: Pool, seed: int) -> State:
    """Return the state before the first step: units anywhere in an interval, at rest."""
    n = pool.n_units
    chance = stream(seed, "first discharges").uniform(size=(n, 2))
    return State(
        phase=np.zeros(n),
        target=chance[:, 0].copy(),
        latent=special.ndtri(chance[:, 1]),
        last_s=np.full(n, -np.inf),
        second_s=np.full(n, np.inf),
        pull=np.zeros(n),
        pulled=np.zeros(n),
        common=_settled(pool, stream(seed, "common drive").standard_normal(2)),
        fast=np.zeros(2),  # forgets within 50 ms
        loop=np.zeros(2),
        errors=np.zeros(round(FEEDBACK_DELAY_S / STEP_S)),
    )


def _settled(pool: Pool, noise: Floats) -> Floats:
    """Return a state of the low-pass as if white noise had run through it for ever."""
    poles, scale = low_pass(pool.common_drive.cutoff_hz)
    neighbours = poles[0] / (1 - poles[1])  # their correlation
    before = neighbours * noise[0] + np.sqrt(1 - neighbours**2) * noise[1]
    return np.array([noise[0], before]) / scale


def _chance(pool: Pool, seed: int, number: int, n_steps: int) -> Chance:
    """Draw an epoch's random numbers: as many as could be needed, so that none depends on use."""
    n_most = int(np.ceil(n_steps * STEP_S / FLOOR_S)) + 2
    item = number + 1  # 0 was the beginning's
    shape = (pool.n_units, n_most)
    return Chance(
        common=stream(seed, "common drive", item).standard_normal(n_steps),
        fast=stream(seed, "synchrony", item).standard_normal(n_steps),
        interval=stream(seed, "discharges", item).standard_normal(shape),
        doublet=stream(seed, "doublets", item).uniform(size=(*shape, 2)),
    )


def _course(pool: Pool, n_steps: int, n_most: int) -> Course:
    """Return the empty course of an epoch, with room for a doublet at every discharge."""
    return Course(
        excitation=np.zeros(n_steps),
        force=np.zeros(n_steps),
        times_s=np.zeros((pool.n_units, 2 * n_most)),
        counts=np.zeros(pool.n_units, dtype=np.int64),
        drawn=np.zeros(pool.n_units, dtype=np.int64),
    )
