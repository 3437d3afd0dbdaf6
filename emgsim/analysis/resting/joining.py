"""Which units are one source: told apart by nothing, parts of another, or one of changing size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from emgsim.analysis.conditioning import Flags, Floats
from emgsim.analysis.learning import Unit
from emgsim.analysis.resting.grouping import DIMENSIONS, VARIES
from emgsim.analysis.resting.measuring import local_cov

TOLD_APART = 3.2  # distance of two templates of which single discharges can be told apart
APART_S = 0.003  # the discharges of one source may be placed so far apart in two templates
FOLLOWS_S = 0.02
CROWD = 0.5  # of the discharges of the rarer source
FOLLOWS = 0.7  # of a source's discharges at one lag of another: it is a part of it
SAME_SHAPE = 0.88  # correlation of two templates of one source whose size changes
LEAST_FEW = 0.08  # share of short intervals that two sources beside each other have at least
SHORT = 0.6  # of the mean interval about
ABOUT = 9  # intervals
REGULAR, LEAST_COV = 0.2, 0.05  # CoV from one interval to the next
LESS = 4.0
FEWEST_OF_TRAIN, LEAST_IRREGULAR = 8, 0.4


def joined(units: tuple[Unit, ...], rate_hz: float) -> tuple[Unit, ...]:
    """Join units that single discharges cannot tell apart."""
    left_over = sorted(units, key=lambda u: -u.positions.size)
    out: list[Unit] = []
    for unit in left_over:
        for k, other in enumerate(out):
            distance, lag = unlikeness(other, unit, round(APART_S * rate_hz))
            norm = np.sqrt(max(unit.energy, other.energy))
            if distance < max(TOLD_APART, VARIES * norm):
                out[k] = _union(other, unit, lag, rate_hz)
                break
        else:
            out.append(unit)
    return tuple(out)


def unlikeness(one: Unit, other: Unit, reach: int) -> tuple[float, int]:
    """Return the least distance of two templates, and how much later ``other`` then lies.

    What chance leaves in two averages is taken off.
    """
    cross = np.correlate(other.template, one.template, mode="full")
    middle = one.template.size - 1
    near = cross[middle - reach : middle + reach + 1]
    at = int(np.argmax(near))
    chance = sum(
        DIMENSIONS * np.count_nonzero(unit.template) / unit.positions.size for unit in (one, other)
    )
    return float(np.sqrt(max(one.energy + other.energy - 2 * near[at] - chance, 0.0))), at - reach


def _union(one: Unit, other: Unit, lag: int, rate_hz: float) -> Unit:
    positions = np.concatenate([one.positions, other.positions - lag])
    amplitudes = np.concatenate([one.amplitudes, other.amplitudes])
    order = np.argsort(positions, kind="stable")
    fresh = np.diff(positions[order], prepend=-np.inf) > 0.001 * rate_hz
    order = order[fresh]
    return replace(one, positions=positions[order], amplitudes=amplitudes[order])


def proportional(units: tuple[Unit, ...], rate_hz: float) -> tuple[Unit, ...]:
    """Join units of one shape and different sizes that never discharge beside each other.

    A source whose potential shrinks or grows was found once for each size. Two sources of one shape
    would discharge at all intervals of each other, many of them short.
    """
    out: list[Unit] = []
    for unit in sorted(units, key=lambda u: -u.energy):
        for k, other in enumerate(out):
            likeness, lag = _likeness(other, unit, round(APART_S * rate_hz))
            if likeness < SAME_SHAPE or min(unit.positions.size, other.positions.size) < 4:
                continue
            scaled = replace(unit, amplitudes=unit.amplitudes * np.sqrt(unit.energy / other.energy))
            both = _union(other, scaled, lag, rate_hz)
            if _short_share(both.positions) < LEAST_FEW and _keeps_time(other, unit, both):
                out[k] = both
                break
        else:
            out.append(unit)
    return tuple(out)


def _keeps_time(one: Unit, other: Unit, both: Unit) -> bool:
    """Tell whether what is joined is not much less regular than each of two regular trains."""
    own = max(local_cov(np.diff(unit.positions)) for unit in (one, other))
    return not (own < REGULAR and local_cov(np.diff(both.positions)) > LESS * max(own, LEAST_COV))


def parted(units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """Part units that are two regular trains of one shape and two sizes."""
    out: list[Unit] = []
    for unit in units:
        large = unit.amplitudes > valley(unit.amplitudes) if unit.positions.size > 1 else None
        if large is None or not _are_two(unit, large):
            out.append(unit)
            continue
        for chosen in (large, ~large):
            gain = float(np.mean(unit.amplitudes[chosen]))
            part = replace(
                unit,
                positions=unit.positions[chosen],
                amplitudes=unit.amplitudes[chosen] / gain,
                template=unit.template * gain,
            )
            out.append(part)
    return tuple(out)


def _are_two(unit: Unit, large: Flags) -> bool:
    """Tell whether large and small discharges are a regular train each, and no train together."""
    if min(np.count_nonzero(large), np.count_nonzero(~large)) < FEWEST_OF_TRAIN:
        return False
    trains = [np.diff(unit.positions[chosen]) for chosen in (large, ~large)]
    is_train = max(local_cov(steps) for steps in trains) < REGULAR
    return is_train and local_cov(np.diff(unit.positions)) > LEAST_IRREGULAR


def valley(course: Floats) -> float:
    """Return the border between two crowds that leaves least variance within them (Otsu)."""
    ranked = np.sort(course)
    n = ranked.size
    k = np.arange(1, n)
    below = np.cumsum(ranked)[:-1] / k
    above = (ranked.sum() - np.cumsum(ranked)[:-1]) / (n - k)
    cut = int(np.argmax(k * (n - k) * (above - below) ** 2))
    return float(0.5 * (ranked[cut] + ranked[cut + 1]))


def _likeness(one: Unit, other: Unit, reach: int) -> tuple[float, int]:
    cross = np.correlate(other.template, one.template, mode="full")
    middle = one.template.size - 1
    near = cross[middle - reach : middle + reach + 1]
    at = int(np.argmax(near))
    return float(near[at] / np.sqrt(one.energy * other.energy)), at - reach


def _short_share(positions: Floats) -> float:
    """Return the share of intervals much shorter than those about."""
    steps = np.diff(positions)
    about = ndimage.uniform_filter1d(steps, ABOUT, mode="nearest")
    return float(np.mean(steps < SHORT * about))


def without_parts(units: tuple[Unit, ...], rate_hz: float) -> tuple[Unit, ...]:
    """Drop units that mostly stand at one lag of a clearer unit: they are its parts."""
    kept: list[Unit] = []
    for unit in sorted(units, key=lambda u: -u.energy):
        if not any(follows(unit, other, rate_hz) for other in kept):
            kept.append(unit)
    return tuple(kept)


def follows(unit: Unit, other: Unit, rate_hz: float) -> bool:
    """Tell whether a unit mostly stands at one short lag of another, or at a few."""
    reach, window = FOLLOWS_S * rate_hz, 0.0008 * rate_hz
    first = np.searchsorted(other.positions, unit.positions - reach)
    last = np.searchsorted(other.positions, unit.positions + reach)
    lags = np.sort(
        np.concatenate(
            [other.positions[a:b] - p for p, a, b in zip(unit.positions, first, last, strict=True)]
            + [np.zeros(0)]
        )
    )
    if lags.size == 0:
        return False
    # each part of a cycle has its own lag, at which many of its discharges crowd
    after = np.searchsorted(lags, lags + window, "right")
    crowd = after - np.searchsorted(lags, lags - window)
    in_crowds = np.count_nonzero(crowd >= CROWD * min(unit.positions.size, other.positions.size))
    return bool(in_crowds >= max(FOLLOWS * unit.positions.size, 2))
