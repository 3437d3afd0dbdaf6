"""The motor neurons in time, compiled: every unit advances by steps of 1 ms.

Each unit has a phase that grows by its rate of the moment and discharges when it meets a target,
``1 + cov z``, which is then drawn anew: at a constant rate the intervals are
``(1 + cov z) / rate``, and a rate that changes within an interval counts for the time that it
lasts. While a unit is not recruited its phase stands still. Discharge times lie between the steps,
and twitches are added to the force with the part of the step that is left: neither is bound to the
grid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.compiling import compiled
from emgsim.physiology.pool import DeLucaHostage

Floats = NDArray[np.float64]

STEP_S = 1e-3
FLOOR_S = 0.020  # between discharges that are no doublet; 50 pps
PAUSE_S = 0.5  # after it a discharge counts as one at recruitment [P]
GAMMA_FROM_S = 0.120  # longer mean intervals scatter by the gamma law
LOWEST = 0.5  # of a unit's minimal rate: the common drive takes no more [P]
FAINTEST = 1e-30  # of a twitch: less is none, lest its decay slow the processor down


class Neurons(NamedTuple):
    """The constants of each unit, every array ``(n_units,)``."""

    threshold: Floats  # that the rates go by
    recruited_at: Floats  # lower in pain
    offset_hz: Floats  # of the linear law: its rate at no excitation
    lowest_hz: Floats
    peak_hz: Floats
    twitch: Floats  # peak force, fraction of MVC
    twitch_time_s: Floats
    step_share: Floats  # of a step in the twitch's time
    decay: Floats  # of a twitch's exponential in a step


class Law(NamedTuple):
    """The constants that all units share; rates are those of `emgsim.physiology.pool.rates_hz`."""

    rate_gain: float  # 0 under the law of De Luca & Hostage
    hostage: DeLucaHostage  # adds nothing under the linear law
    maximal_excitation: float
    pain_share: float
    pain_drop_hz: float
    fatigue_fall: float
    fatigue_share: float  # of the way to the present drive in one step
    cov: float
    cov_excess: float  # at recruitment
    cov_range: float  # excitation over which the excess falls to 1/e
    serial_correlation: float
    doublet_share: float
    doublet_first: float
    doublet_s: tuple[float, float]
    common_sd_hz: float
    common_poles: tuple[float, float]
    common_scale: float  # makes the variance of the filtered noise one
    fast_poles: tuple[float, float]
    fast_scale: float  # makes it pps
    fast_variance: float  # that it adds to an interval, in squares of the mean interval
    is_tracked: bool
    feedback_share: float  # of the error that is corrected in one step


class State(NamedTuple):
    """What goes over from one step to the next; the arrays are written to."""

    phase: Floats  # (n_units,) each
    target: Floats
    latent: Floats
    last_s: Floats
    second_s: Floats  # when a doublet's second discharge is due
    pull: Floats  # twitches: the sum of exp(-t/T), and of t/T exp(-t/T)
    pulled: Floats
    common: Floats  # (2,) last outputs of the common drive's low-pass
    fast: Floats  # (2,) last outputs of the fast input's resonator
    loop: Floats  # (2,) correction of the effort, and fatigue
    errors: Floats  # (n_delay,) errors of the force that have not been seen yet


class Chance(NamedTuple):
    """The random numbers of an epoch; a unit's are its own, whatever the others do."""

    common: Floats  # (n_steps,) standard normal
    fast: Floats  # (n_steps,)
    interval: Floats  # (n_units, n_most)
    doublet: Floats  # (n_units, n_most, 2) uniform


class Course(NamedTuple):
    """What an epoch was; written to."""

    excitation: Floats  # (n_steps,)
    force: Floats  # (n_steps,) fraction of MVC at the beginning of each step
    times_s: Floats  # (n_units, room)
    counts: NDArray[np.int64]  # (n_units,) of times
    drawn: NDArray[np.int64]  # (n_units,) of random intervals


class Plan(NamedTuple):
    """The pool as the steps need it."""

    neurons: Neurons
    law: Law
    forces: Floats  # fractions of MVC, ascending, and the excitations that make them
    levels: Floats
    deviates: Floats  # the table of `emgsim.physiology.intervals`
    latent_to: float  # its last latent normal, and the steps of its two axes
    latent_step: float
    depth_step: float


class _Moment(NamedTuple):
    """What drives all units in one step."""

    drive: float  # the excitation
    common_hz: float
    fast_hz: float


@compiled
def advance(
    first_step: int, effort: Floats, plan: Plan, state: State, chance: Chance, course: Course
) -> None:
    """Run the pool through the steps of ``effort``.

    Parameters
    ----------
    first_step
        Number of the first step since the beginning of the scenario.
    effort
        Shape ``(n_steps,)``, fraction of MVC.
    plan
        The pool.
    state, chance, course
        What goes over, what comes in, and what comes out.
    """
    law = plan.law
    for k in range(effort.size):
        force = math.e * state.pulled.sum()
        drive = _drive(effort[k], force, first_step + k, plan, state)
        course.force[k], course.excitation[k] = force, drive
        common_hz = law.common_sd_hz * _common(chance.common[k], law, state)
        moment = _Moment(drive, common_hz, _fast(chance.fast[k], law, state))
        _relax(plan.neurons, state)
        _advance_units(first_step + k, moment, plan, state, chance, course)


@compiled
def _advance_units(
    step: int, moment: _Moment, plan: Plan, state: State, chance: Chance, course: Course
) -> None:
    """Run all units through one step; what is rare stands in functions of its own."""
    begin_s, end_s = step * STEP_S, (step + 1) * STEP_S
    neurons, law = plan.neurons, plan.law
    slope, level = _plane(moment.drive, law)
    kept, rested = 1 - law.pain_share, 1 - law.fatigue_fall * state.loop[1]
    threshold, recruited_at = neurons.threshold, neurons.recruited_at
    offset_hz, lowest_hz, peak_hz = neurons.offset_hz, neurons.lowest_hz, neurons.peak_hz
    phase, target, last_s, second_s = state.phase, state.target, state.last_s, state.second_s
    for i in range(threshold.size):
        if second_s[i] < end_s:
            _discharge(i, second_s[i], end_s, neurons, state, course)
            second_s[i] = math.inf
        if moment.drive < recruited_at[i]:
            continue
        rising_hz = max(offset_hz[i] + level + slope * threshold[i], lowest_hz[i])
        rising_hz = max(rising_hz + moment.common_hz, LOWEST * lowest_hz[i])
        rate_hz = kept * min(rising_hz, peak_hz[i]) - law.pain_drop_hz
        rate_hz = min(rate_hz, 1 / FLOOR_S) * rested
        speed_hz = rate_hz + min(max(moment.fast_hz, -rate_hz), rate_hz)
        reached = phase[i] + speed_hz * STEP_S
        if reached < target[i]:
            phase[i] = reached
            continue
        met_s = (target[i] - phase[i]) / speed_hz if phase[i] < target[i] else 0.0
        time_s = max(begin_s + met_s, last_s[i] + FLOOR_S)
        if time_s >= end_s:
            phase[i] = target[i]  # it waits for the floor
            continue
        n = course.drawn[i]
        course.drawn[i] += 1
        _perhaps_twice(i, time_s, chance.doublet[i, n], law, state)
        _discharge(i, time_s, end_s, neurons, state, course)
        phase[i] = speed_hz * (end_s - time_s)
        common_cov = law.common_sd_hz / rate_hz if rising_hz < peak_hz[i] else 0.0
        cov = _own_cov(moment.drive - recruited_at[i], common_cov, law)
        target[i] = _target(i, rate_hz, cov, chance.interval[i, n], plan, state)


@compiled
def _drive(effort: float, force: float, step: int, plan: Plan, state: State) -> float:
    """Return the excitation for an effort, corrected by what the eye has seen of the force."""
    law = plan.law
    slot = step % state.errors.size
    seen = state.errors[slot]
    state.errors[slot] = effort - force
    drive = 0.0
    if effort <= 0.0:
        state.loop[0] = 0.0
    else:
        if law.is_tracked:
            wanted = state.loop[0] + law.feedback_share * seen
            state.loop[0] = min(max(wanted, -effort), 1.0 - effort)
        drive = _along(effort + state.loop[0], plan.forces, plan.levels)
    state.loop[1] += law.fatigue_share * (drive / law.maximal_excitation - state.loop[1])
    return drive


@compiled
def _along(force: float, forces: Floats, levels: Floats) -> float:
    """Return the excitation for a force, on straight lines between the points of the curve."""
    if force <= forces[0]:
        return 0.0
    above = np.searchsorted(forces, force)
    if above == forces.size:
        return float(levels[-1])
    share = (force - forces[above - 1]) / (forces[above] - forces[above - 1])
    return float(levels[above - 1] + share * (levels[above] - levels[above - 1]))


@compiled
def _common(noise: float, law: Law, state: State) -> float:
    """Return the common drive in SDs: white noise through a low-pass of two poles."""
    now = law.common_poles[0] * state.common[0] + law.common_poles[1] * state.common[1] + noise
    state.common[1] = state.common[0]
    state.common[0] = now
    return float(law.common_scale * now)


@compiled
def _fast(noise: float, law: Law, state: State) -> float:
    """Return the fast input in pps: a resonator's output less that of two steps ago."""
    now = law.fast_poles[0] * state.fast[0] + law.fast_poles[1] * state.fast[1] + noise
    output = law.fast_scale * (now - state.fast[1])
    state.fast[1] = state.fast[0]
    state.fast[0] = now
    return float(output)


@compiled
def _plane(excitation: float, law: Law) -> tuple[float, float]:
    """Return the rates of the moment as a line over the threshold: its slope and its level."""
    a, b, c, d, e = law.hostage
    phi = excitation / law.maximal_excitation
    slope = (c - a * math.exp(-phi / b)) / law.maximal_excitation
    return slope, law.rate_gain * excitation + d * phi + e


@compiled
def _perhaps_twice(i: int, time_s: float, uniform: Floats, law: Law, state: State) -> None:
    """Let chance decide whether a discharge is the first of a doublet."""
    is_first = time_s - state.last_s[i] > PAUSE_S
    if uniform[0] < (law.doublet_first if is_first else law.doublet_share):
        shortest_s, longest_s = law.doublet_s
        state.second_s[i] = time_s + shortest_s + uniform[1] * (longest_s - shortest_s)


@compiled
def _discharge(
    i: int, time_s: float, end_s: float, neurons: Neurons, state: State, course: Course
) -> None:
    """Note a discharge, and add its twitch as it stands at the end of the step.

    The gain is `emgsim.physiology.pool.twitch_gain`.
    """
    course.times_s[i, course.counts[i]] = time_s
    course.counts[i] += 1
    contraction_s = neurons.twitch_time_s[i]
    x = contraction_s / (time_s - state.last_s[i])
    gain = 1.0
    if x >= 0.4:
        gain = (1 - math.exp(-2 * x**3)) / x / ((1 - math.exp(-2 * 0.4**3)) / 0.4)
    left = (end_s - time_s) / contraction_s
    started = neurons.twitch[i] * gain * math.exp(-left)
    state.pull[i] += started
    state.pulled[i] += started * left
    state.last_s[i] = time_s


@compiled
def _relax(neurons: Neurons, state: State) -> None:
    """Carry all twitches over one step: exact, since they are critically damped."""
    pull, pulled, share, decay = state.pull, state.pulled, neurons.step_share, neurons.decay
    for i in range(pull.size):
        if pull[i] + pulled[i] < FAINTEST:
            pull[i] = pulled[i] = 0.0
        pulled[i] = decay[i] * (pulled[i] + share[i] * pull[i])
        pull[i] *= decay[i]


@compiled
def _own_cov(above: float, common_cov: float, law: Law) -> float:
    """Return a unit's own scatter: what the common inputs leave of the whole, half at least."""
    whole = law.cov + law.cov_excess * math.exp(-above / law.cov_range)
    own = whole**2 - common_cov**2 - law.fast_variance
    return max(math.sqrt(max(own, 0.0)), whole / 2)


@compiled
def _target(i: int, rate_hz: float, cov: float, noise: float, plan: Plan, state: State) -> float:
    """Draw how far the phase has to run: one plus the scatter of the interval that begins."""
    rho = plan.law.serial_correlation
    state.latent[i] = rho * state.latent[i] + math.sqrt(1 - rho * rho) * noise
    free = max(0.0, 1 - FLOOR_S * rate_hz)  # of the mean interval, above the floor
    deepest = (plan.deviates.shape[1] - 1) * plan.depth_step
    cov = min(cov, deepest * free)
    row = cov / free / plan.depth_step if free > 0.0 else 0.0
    latent = min(max(state.latent[i], -plan.latent_to), plan.latent_to)
    page = plan.deviates[1 if rate_hz * GAMMA_FROM_S < 1.0 else 0]
    return 1.0 + cov * _between(page, row, (latent + plan.latent_to) / plan.latent_step)


@compiled
def _between(page: Floats, row: float, column: float) -> float:
    """Return a table's value between four of its entries."""
    r = min(int(row), page.shape[0] - 2)
    c = min(int(column), page.shape[1] - 2)
    p, q = row - r, column - c
    low = page[r, c] + q * (page[r, c + 1] - page[r, c])
    high = page[r + 1, c] + q * (page[r + 1, c + 1] - page[r + 1, c])
    return float(low + p * (high - low))
