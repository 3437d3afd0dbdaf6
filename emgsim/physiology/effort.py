"""The effort over time, from the phases that a patient goes through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.physiology.parameters import (
    Hold,
    LowLoad,
    Phase,
    Points,
    Ramp,
    Rest,
    Sinusoid,
    Trapezoid,
    Tremor,
)

Floats = NDArray[np.float64]

SAME_TIME_S = 1e-9  # sums of durations are exact to far less, and no phase is as short


def effort_at(phases: Sequence[Phase], times_s: Floats) -> Floats:
    """Return the effort at each time, shape ``(n,)``, fraction of MVC.

    A border belongs to the phase that begins there, however the durations before it round; before
    the first phase and after the last there is no effort.

    Examples
    --------
    >>> from emgsim.physiology.parameters import Hold, Rest
    >>> effort_at((Rest(duration_s=1), Hold(duration_s=2, level_mvc=0.2)), np.array([0.5, 1.25]))
    array([0. , 0.1])
    """
    effort = np.zeros(times_s.shape)
    begin_s = 0.0
    for phase in phases:
        end_s = begin_s + phase.duration_s
        inside = (times_s >= begin_s - SAME_TIME_S) & (times_s < end_s - SAME_TIME_S)
        effort[inside] = _level(phase, np.maximum(0.0, times_s[inside] - begin_s))
        begin_s = end_s
    return effort


def _level(phase: Phase, since_s: Floats) -> Floats:
    """Return the effort within a phase: a swing about a mean, or straight lines."""
    if isinstance(phase, Sinusoid | Tremor):
        mean, amplitude = _swing(phase)
        swing = np.sin(2 * np.pi * phase.frequency_hz * since_s)
        return np.asarray(np.clip(mean + amplitude * swing, 0.0, 1.0))
    times_s, levels = _knots(phase)
    return np.asarray(np.interp(since_s, times_s, levels))


def _swing(phase: Sinusoid | Tremor) -> tuple[float, float]:
    if isinstance(phase, Sinusoid):
        return phase.mean_mvc, phase.amplitude_mvc
    return phase.level_mvc, phase.level_mvc * phase.depth


def _knots(phase: Rest | Hold | Ramp | Trapezoid | LowLoad | Points) -> tuple[Sequence[float], ...]:
    """Return the times and levels of the corners; of two at one time, a step, the later counts."""
    match phase:
        case Hold():
            return (0.0, phase.ramp_s), (0.0, phase.level_mvc)
        case Ramp():
            return (0.0, phase.duration_s), (phase.from_mvc, phase.to_mvc)
        case Trapezoid():
            times_s = (0.0, phase.rise_s, phase.duration_s - phase.fall_s, phase.duration_s)
            return times_s, (0.0, phase.level_mvc, phase.level_mvc, 0.0)
        case LowLoad():
            return _gapped(phase)
        case Points():
            return phase.times_s, phase.levels_mvc
        case _:
            return (0.0,), (0.0,)


def _gapped(phase: LowLoad) -> tuple[Sequence[float], ...]:
    """Return the corners of light work: its level, left for each gap and taken up again.

    Gaps come at random, the work between two of them never shorter than its ramps. They are drawn
    one after the other, so a longer phase has the same gaps and more.
    """
    rng = np.random.default_rng(phase.pattern)
    times_s, levels = [0.0, phase.ramp_s], [0.0, phase.level_mvc]
    if phase.gaps_per_min == 0:
        return times_s, levels
    mean_work_s = 60.0 / phase.gaps_per_min - phase.gap_s - 2 * phase.ramp_s
    while times_s[-1] < phase.duration_s:
        begin_s = times_s[-1] + rng.exponential(mean_work_s)
        end_s = begin_s + 2 * phase.ramp_s + phase.gap_s * rng.uniform(0.5, 1.5)
        times_s += [begin_s, begin_s + phase.ramp_s, end_s - phase.ramp_s, end_s]
        levels += [phase.level_mvc, 0.0, 0.0, phase.level_mvc]
    return times_s, levels


def lasting(phases: Sequence[Phase], duration_s: float, *, where: str = "") -> tuple[Phase, ...]:
    """Return the phases with the last ones cut, or the last one stretched, to a length.

    What is held can be cut and stretched: rest, hold, trapezoid (its plateau), sinusoid, tremor,
    light work.

    Parameters
    ----------
    phases
        At least one.
    duration_s
        The length of them all that is wanted.
    where
        Named in an error.

    Raises
    ------
    InputError
        If the length is not positive, or cuts a contraction within its ramps, or a ramp or points
        would have to change.
    """
    if not duration_s > 0:
        raise InputError(f"duration_s must be > 0, got {duration_s:g}")
    kept: list[Phase] = []
    left_s = duration_s
    for index, phase in enumerate(phases):
        is_last = index == len(phases) - 1
        length_s = left_s if is_last else min(phase.duration_s, left_s)
        if broken := _broken_by(phase, length_s):
            raise InputError(
                f"duration_s = {duration_s:g} ends phase {index + 1} {broken}",
                where=where,
                todo="take a longer one" if length_s < phase.duration_s else "add a phase after it",
            )
        kept.append(_with_length(phase, length_s))
        left_s -= length_s
        if left_s <= SAME_TIME_S:
            break
    return tuple(kept)


def _with_length(phase: Phase, length_s: float) -> Phase:
    if isinstance(phase, Ramp | Points):  # neither cut nor stretched
        return phase
    return phase.model_copy(update={"duration_s": length_s})


def _broken_by(phase: Phase, length_s: float) -> str:
    """Return what of a phase would be broken by another length, or nothing."""
    match phase:
        case Hold() if length_s <= phase.ramp_s:
            return f"within its ramp of {phase.ramp_s:g} s"
        case Trapezoid() if length_s < phase.rise_s + phase.fall_s:
            return f"within its ramps of {phase.rise_s + phase.fall_s:g} s"
        case Ramp() | Points() if abs(length_s - phase.duration_s) > SAME_TIME_S:
            return f"otherwise than after its {phase.duration_s:g} s: {phase.kind} keeps its length"
    return ""
