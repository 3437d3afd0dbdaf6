"""Units that begin later: looked for in what the known ones leave, a slice of work at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.clustering import similar_spikes
from emgsim.analysis.decomposition import (
    APART_S,
    COMPARED_S,
    DISTRUST,
    FEWEST,
    LEAST_CLEAR,
    REGULAR_AT_LAST,
)
from emgsim.analysis.detection import floor_sd, mean_square, snippets, spikes
from emgsim.analysis.identity import merged, without_followers
from emgsim.analysis.learning import Unit, average, tapered, unit_at
from emgsim.analysis.plan import NeedlePlan
from emgsim.analysis.resolution import PHASES, Dictionary, Discharge, Pursuit
from emgsim.analysis.streaming.tracking import Tracker
from emgsim.analysis.trains import checked, intervals_of, log_density

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_SPIKES = 500  # that are compared with each other: a tenth of a hop's time
MOST_GROUPS = 3  # that are tried in one search


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """A unit not known before, and its discharges as far as they are decided."""

    unit: Unit
    ticks: list[int]
    amplitudes: list[float]


def searched(tracker: Tracker, plan: NeedlePlan, window_s: float) -> Iterator[Newcomer | None]:
    """Look through the newest seconds of the residual; each step of the iterator is one slice.

    Parameters
    ----------
    tracker
        Knows the residual; it may move on between the slices.
    plan
        Threshold, window and limits.
    window_s
        Seconds looked through.

    Yields
    ------
    Newcomer or None
        None for a slice that decided nothing.
    """
    rate_hz = tracker.rate_hz
    start, residual, usable = _newest(tracker, window_s)
    sd = max(floor_sd(residual, usable), 0.5 * np.sqrt(mean_square(residual, usable)))
    yield None
    if sd == 0:
        return
    peaks = spikes(residual, usable, plan.threshold * sd, round(APART_S * rate_hz))
    reach = (round(COMPARED_S[0] * rate_hz), round(COMPARED_S[1] * rate_hz))
    groups = similar_spikes(residual, peaks[-MOST_SPIKES:], sd, reach, FEWEST)
    yield None
    for group in groups[:MOST_GROUPS]:
        if len(tracker.units) >= plan.max_units:
            return
        unit = _averaged(unit_at(group, _length(plan, rate_hz)), residual, tracker.before)
        yield None
        unit = _sought(unit, residual, usable, tracker)
        yield None
        unit = _averaged(unit, residual, tracker.before)
        yield None
        if not _is_train(unit, tracker, plan):
            continue
        start, residual, usable = _newest(tracker, window_s)
        unit = _sought(unit, residual, usable, tracker)
        unit = replace(unit, positions=unit.positions + start)
        yield None
        if _is_train(unit, tracker, plan) and _is_new(unit, tracker):
            ticks = np.rint(unit.positions * PHASES).astype(np.int64).tolist()
            yield Newcomer(unit=unit, ticks=ticks, amplitudes=unit.amplitudes.tolist())


def _newest(tracker: Tracker, window_s: float) -> tuple[int, Floats, Flags]:
    """Return the first sample, the residual and the usable samples of the decided part."""
    last = tracker.decided
    first = max(tracker.residual.first, last - round(window_s * tracker.rate_hz))
    usable = tracker.usable.cut(first, last).copy()
    usable[: tracker.before] = False  # whole potentials only
    return first, tracker.residual.cut(first, last).copy(), usable


def _length(plan: NeedlePlan, rate_hz: float) -> int:
    return round(sum(plan.window_ms) * 1e-3 * rate_hz)


def _averaged(unit: Unit, residual: Floats, before: int) -> Unit:
    """Learn a unit's template from the residual, which holds nobody else that is known."""
    if unit.positions.size < FEWEST:
        return unit
    pieces = snippets(residual, unit.positions, before, unit.template.size - before)
    return replace(unit, template=tapered(average(pieces / unit.amplitudes[:, None]), before))


def _sought(unit: Unit, residual: Floats, usable: Flags, tracker: Tracker) -> Unit:
    """Find all discharges of one template in the residual."""
    dictionary = Dictionary((unit,), tracker.before, max(DISTRUST * tracker.variance, 1e-12))
    table = log_density(intervals_of(unit.positions / tracker.rate_hz), tracker.rate_hz)
    pursuit = Pursuit(dictionary, residual, usable, [table])
    pursuit.fill()
    found: list[Discharge] = sorted(pursuit.discharges.values())
    return replace(
        unit,
        positions=np.array([d.position for d in found]),
        amplitudes=np.array([d.amplitude for d in found]),
    )


def _is_train(unit: Unit, tracker: Tracker, plan: NeedlePlan) -> bool:
    """Tell whether discharges are those of one whole unit that stands out clearly."""
    if unit.energy < LEAST_CLEAR * tracker.variance:
        return False
    train = checked(unit.positions / tracker.rate_hz)
    is_regular = train.expected >= REGULAR_AT_LAST and train.rate_hz >= plan.min_rate_hz
    return train.n >= FEWEST and is_regular


def _is_new(unit: Unit, tracker: Tracker) -> bool:
    """Tell whether a unit is neither a known one once more nor an echo of one."""
    first = float(unit.positions[0]) - tracker.rate_hz
    known = []
    for tracked in tracker.units:
        recent = tracked.positions >= first
        amplitudes = np.array(tracked.amplitudes)[recent]
        known.append(
            replace(tracked.unit, positions=tracked.positions[recent], amplitudes=amplitudes)
        )
    everyone = (*known, unit)
    if len(merged(everyone, tracker.rate_hz)) < len(everyone):
        return False
    return unit in without_followers(everyone, tracker.rate_hz)
