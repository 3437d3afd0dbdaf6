"""From a white signal to sources: look for new shapes, explain, learn, split, join, look again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg, ndimage

from emgsim.analysis.conditioning import Conditioned, Flags, Floats
from emgsim.analysis.detection import snippets, spikes
from emgsim.analysis.learning import Unit, add_discharges, unit_at
from emgsim.analysis.resting.beats import on_the_beat
from emgsim.analysis.resting.families import strongest
from emgsim.analysis.resting.grouping import (
    DIMENSIONS,
    FEWEST,
    LONE_NORM,
    similar,
)
from emgsim.analysis.resting.joining import (
    follows,
    joined,
    parted,
    proportional,
    valley,
    without_parts,
)
from emgsim.analysis.resting.pursuit import pursue

WINDOW_S = (0.008, 0.016)  # of a template, before and after its discharge
FOUND_AT = 4.4  # SD of the floor, of an event that begins a new source
LEFT_OVER = 0.35  # of a known potential: below it what is left of it is no event
APART_S = 0.0015  # two events closer than this are one
LEFT_S = 0.006  # around a known discharge
ROUNDS = 5
BEAT_ROUNDS = 2
MOST_SOURCES = 10
SIGNIFICANT = 2.5  # of a learned template over what chance leaves in it
SMOOTH_S = 0.0006
BRIDGED_S = 0.0025  # quiet within a potential
TRIMMED = 0.15
WEAKEST_NORM = 4.2  # of a template; what is below cannot be told from the floor
BEYOND_CHANCE = 1.3
APART = 3.2  # Ashman's D of two sources that were taken for one
CERTAIN_NORM = 9.0  # of a template that chance cannot make


def sources_in(white: Conditioned, *, found_at: float = FOUND_AT) -> tuple[Unit, ...]:
    """Find the sources of a white signal and all their discharges.

    Parameters
    ----------
    white
        Floor of density one.
    found_at
        Least height of an event that begins a source, in SD of the floor.

    Returns
    -------
    tuple of Unit
        The clearest first; positions are in samples, templates begin ``WINDOW_S[0]`` before a
        discharge and are white as the signal is.
    """
    rate_hz, samples = white.rate_hz, white.samples
    before = round(WINDOW_S[0] * rate_hz)
    units: tuple[Unit, ...] = ()
    for _ in range(ROUNDS):
        residual = left(samples, units, before)
        fresh = _new(residual, white.usable, units, before, rate_hz, found_at)
        fresh = fresh[: max(0, MOST_SOURCES - len(units))]
        if not fresh:
            break
        n = len(units)
        units = learned(samples, (*units, *fresh), before, rate_hz)
        for divide in (False, True):
            units = _settled(white, units, before)
            if divide:
                units = _settled(white, _divided(samples, units, before, rate_hz), before)
            units = joined(units, rate_hz)
        units = _above_chance(white, without_parts(units, rate_hz), before)
        if len(units) == n:
            break
    units = _without_sums(white, _settled(white, units, before), before)
    units = parted(proportional(without_parts(units, rate_hz), rate_hz))
    units = _with_beats(white, units, before)
    return tuple(sorted(units, key=lambda unit: -unit.energy))


def _with_beats(white: Conditioned, units: tuple[Unit, ...], before: int) -> tuple[Unit, ...]:
    """Look for the weak and regular units anew where their beats are due, and learn them again."""
    for _ in range(BEAT_ROUNDS):
        residual = left(white.samples, units, before)
        out = []
        for unit in units:
            add(residual, unit, before)
            out.append(on_the_beat(white, residual, unit, before))
            add(residual, out[-1], before, -1.0)
        units = learned(white.samples, tuple(out), before, white.rate_hz)
    return units


def _settled(white: Conditioned, units: tuple[Unit, ...], before: int) -> tuple[Unit, ...]:
    """Return the units with discharges found and templates learned anew, the worthy ones."""
    if not units:
        return units
    units = _worthy(pursue(white.samples, white.usable, units, before, white.rate_hz))
    return _worthy(learned(white.samples, units, before, white.rate_hz))


def _above_chance(white: Conditioned, units: tuple[Unit, ...], before: int) -> tuple[Unit, ...]:
    """Drop weak units that discharge no oftener than their mirror image does in what is left.

    A template that was learned from the floor finds the floor again; turned round in time it finds
    just as much.
    """
    doubtful = [unit for unit in units if np.sqrt(unit.energy) < CERTAIN_NORM]
    if not doubtful:
        return units
    residual = left(white.samples, units, before)
    mirrored = tuple(replace(unit, template=_mirrored(unit.template)) for unit in doubtful)
    dropped = set()
    for unit, image in zip(doubtful, mirrored, strict=True):
        (by_chance,) = pursue(residual, white.usable, (image,), before, white.rate_hz)
        n = by_chance.positions.size
        if unit.positions.size < 2 * n + 3 * np.sqrt(n) + FEWEST:
            dropped.add(id(unit))
    return tuple(unit for unit in units if id(unit) not in dropped)


def _mirrored(template: Floats) -> Floats:
    out = np.zeros(template.size)
    loud = np.flatnonzero(template)
    if loud.size:
        first, last = int(loud[0]), int(loud[-1]) + 1
        out[first:last] = template[first:last][::-1]
    return out


def _without_sums(white: Conditioned, units: tuple[Unit, ...], before: int) -> tuple[Unit, ...]:
    """Drop rare units that are what two others make when they discharge together."""
    often = tuple(unit for unit in units if unit.positions.size >= FEWEST)
    if not often or len(often) == len(units):
        return units
    often = pursue(white.samples, white.usable, often, before, white.rate_hz)
    height = strongest(left(white.samples, often, before), white.rate_hz)
    reach = round(0.001 * white.rate_hz)
    high = ndimage.maximum_filter1d(height, 2 * reach + 1)
    rare = [
        unit
        for unit in units
        if unit.positions.size < FEWEST
        and np.max(high[np.clip(np.rint(unit.positions).astype(np.int64), 0, high.size - 1)])
        > max(LONE_NORM, 0.6 * np.sqrt(unit.energy))
    ]
    return _settled(white, (*often, *rare), before)


def left(samples: Floats, units: tuple[Unit, ...], before: int) -> Floats:
    """Return the signal without all discharges of the units."""
    out = samples.copy()
    for unit in units:
        add(out, unit, before, -1.0)
    return out


def add(samples: Floats, unit: Unit, before: int, sign: float = 1.0) -> None:
    """Add all discharges of a unit to samples in place; only what its template holds is added."""
    loud = np.flatnonzero(unit.template)
    if loud.size:
        first = int(loud[0])
        part = replace(unit, template=unit.template[first : int(loud[-1]) + 1])
        add_discharges(samples, part, before - first, sign)


def _new(
    residual: Floats,
    usable: Flags,
    units: tuple[Unit, ...],
    before: int,
    rate_hz: float,
    found_at: float,
) -> list[Unit]:
    """Return units for what no known one explains, the clearest first."""
    threshold = np.full(residual.size, found_at)
    reach = round(LEFT_S * rate_hz)
    for unit in units:
        size = np.zeros(residual.size)
        at = np.clip(np.rint(unit.positions).astype(np.int64), 0, residual.size - 1)
        size[at] = LEFT_OVER * np.sqrt(unit.energy) * unit.amplitudes
        np.maximum(threshold, ndimage.maximum_filter1d(size, 2 * reach + 1), out=threshold)
    height = strongest(residual, rate_hz)
    peaks = spikes(height / threshold, usable, 1.0, round(APART_S * rate_hz))
    strength = height[peaks]
    groups = similar(residual, peaks, strength, rate_hz)
    length = before + round(WINDOW_S[1] * rate_hz)
    groups.sort(key=lambda group: -group.norm * np.sqrt(group.positions.size))
    return [unit_at(group.positions, length) for group in groups]


def learned(
    samples: Floats, units: tuple[Unit, ...], before: int, rate_hz: float
) -> tuple[Unit, ...]:
    """Learn every template anew, the other units taken away; what is chance in it becomes zero."""
    residual = left(samples, units, before)
    out = list(units)
    for k, unit in enumerate(units):
        if unit.positions.size == 0:
            continue
        add(residual, unit, before)
        template = _mean_shape(residual, unit, before, rate_hz)
        out[k] = replace(unit, template=template)
        add(residual, out[k], before, -1.0)
    return tuple(unit for unit in out if unit.positions.size)


def _mean_shape(samples: Floats, unit: Unit, before: int, rate_hz: float) -> Floats:
    pieces = snippets(samples, unit.positions, before, unit.template.size - before)
    pieces = pieces / np.maximum(unit.amplitudes, 0.1)[:, None]
    n = pieces.shape[0]
    cut = int(TRIMMED * n)
    mean = np.mean(np.sort(pieces, axis=0)[cut : n - cut], axis=0) if n >= 5 else pieces.mean(0)
    chance = np.sqrt(DIMENSIONS / np.sum(unit.amplitudes**2))
    width = max(3, round(SMOOTH_S * rate_hz))
    loud = np.sqrt(np.maximum(ndimage.uniform_filter1d(mean**2, width), 0.0)) > SIGNIFICANT * chance
    bridged = round(BRIDGED_S * rate_hz)
    loud = ndimage.binary_closing(np.pad(loud, bridged), iterations=bridged // 2)[bridged:-bridged]
    window = _support(loud, mean, unit, before, rate_hz)
    return np.asarray(mean * window)


def _support(loud: Flags, mean: Floats, unit: Unit, before: int, rate_hz: float) -> Floats:
    """Return a window over the loud part about the discharge, not longer than an interval."""
    labels, _ = ndimage.label(loud)
    near = slice(max(0, before - round(0.002 * rate_hz)), before + round(0.003 * rate_hz))
    peak = near.start + int(np.argmax(np.abs(mean[near])))
    first, last = max(peak - round(0.001 * rate_hz), 0), peak + round(0.0015 * rate_hz)
    if labels[peak]:
        own = np.flatnonzero(labels == labels[peak])
        first, last = min(int(own[0]), first), max(int(own[-1]) + 1, last)
    if unit.positions.size > 4:
        interval = float(np.quantile(np.diff(unit.positions), 0.1))
        first = max(first, int(before - 0.4 * interval))
        last = min(last, int(before + 0.6 * interval) + 1)
    window = np.zeros(mean.size)
    window[first:last] = 1.0
    width = max(3, round(0.0004 * rate_hz))
    return np.asarray(ndimage.uniform_filter1d(window, width, mode="nearest"))


def _worthy(units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """Keep units that discharge often enough for how clear they are."""
    return tuple(
        unit
        for unit in units
        if np.sqrt(unit.energy) > WEAKEST_NORM
        and (unit.positions.size >= FEWEST or np.sqrt(unit.energy) > LONE_NORM)
        and unit.positions.size > 0
    )


def _divided(
    samples: Floats, units: tuple[Unit, ...], before: int, rate_hz: float
) -> tuple[Unit, ...]:
    """Divide units whose discharges fall into two crowds along the direction that differs most."""
    residual = left(samples, units, before)
    out: list[Unit] = []
    for unit in units:
        add(residual, unit, before)
        halves = _halves(residual, unit, before, rate_hz)
        # the first and the second of a set, each with the other beside it, are one source
        is_set = len(halves) == 2 and follows(halves[0], halves[1], rate_hz)
        out += [unit] if is_set else halves
        add(residual, unit, before, -1.0)
    return tuple(out)


def _halves(samples: Floats, unit: Unit, before: int, rate_hz: float) -> list[Unit]:
    n = unit.positions.size
    if n < 2 * FEWEST:
        return [unit]
    part = slice(max(0, before - round(0.002 * rate_hz)), before + round(0.003 * rate_hz))
    pieces = snippets(samples, unit.positions, before, unit.template.size - before)[:, part]
    rest = pieces - pieces.mean(axis=0)
    power, directions = linalg.eigh(rest.T @ rest, subset_by_index=[rest.shape[1] - 1] * 2)
    # chance alone reaches this along its most scattered direction (Marchenko & Pastur 1967)
    edge = DIMENSIONS * (1 + np.sqrt(pieces.shape[1] / n)) ** 2
    if power[0] / n < BEYOND_CHANCE * edge:
        return [unit]
    course = rest @ directions[:, 0]
    low = course < valley(course)
    if min(low.sum(), (~low).sum()) < FEWEST:
        return [unit]
    gap = abs(course[low].mean() - course[~low].mean())
    spread = np.sqrt(max(course[low].var() + course[~low].var(), 1e-9) / 2)
    if gap < APART * spread:
        return [unit]
    parts = []
    for chosen in (low, ~low):
        fresh = unit_at(unit.positions[chosen], unit.template.size)
        parts.append(replace(fresh, template=_mean_shape(samples, fresh, before, rate_hz)))
    return parts
