"""Potentials that change slowly as the needle moves: seen, followed, and their halves joined."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.conditioning import Conditioned
from emgsim.analysis.detection import snippets
from emgsim.analysis.identity import similarity, united
from emgsim.analysis.learning import Course, Unit, add_discharges, average
from emgsim.analysis.trains import checked

Floats = NDArray[np.float64]

PIECE_S = 4.0  # in which a template is taken for constant: 30 % in 30 s are 4 % in one
MARGIN_S = 0.4  # resolved on either side of a piece, so that trains do not begin at its border
FEWEST = 24  # discharges from which a change can be told
LEAST_CHANGE = 0.12  # of the norm, between first and last third: 18 % from end to end
SURELY = 4.0  # times the power that chance makes of two averages' difference
ALIKE = 0.75  # templates where one train ends and the other begins
SAME_ENERGY = 2.5
MOST_SHARED = 0.35  # of the shorter train's time


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of the signal with steady units; discharges from ``first`` to ``last`` are its own.

    ``start`` is the sample at which ``work`` and the units' positions begin.
    """

    first: float
    last: float
    start: int
    work: Conditioned
    units: tuple[Unit, ...]

    def own(self, unit: Unit) -> Unit:
        """Return a unit of the piece with those discharges only that lie between its borders."""
        at = unit.positions + self.start
        mine = (at >= self.first) & (at < self.last)
        return replace(unit, positions=unit.positions[mine], amplitudes=unit.amplitudes[mine])


def pieces(work: Conditioned, units: tuple[Unit, ...]) -> list[Piece]:
    """Return the pieces in which no unit changes: the whole signal if none has a course."""
    course = next((unit.course for unit in units if unit.course), None)
    if course is None:
        return [Piece(first=-np.inf, last=np.inf, start=0, work=work, units=units)]
    margin, out = round(MARGIN_S * work.rate_hz), []
    borders = course.borders.astype(int).tolist()
    for k in range(len(borders) - 1):
        first, last = borders[k], borders[k + 1]
        a, b = max(first - margin, 0), min(last + margin, work.n_samples)
        out.append(
            Piece(
                first=first if k else -np.inf,
                last=last if k + 2 < len(borders) else np.inf,
                start=a,
                work=replace(
                    work,
                    samples=work.samples[..., a:b],
                    usable=work.usable[a:b],
                    start_s=work.start_s + a / work.rate_hz,
                ),
                units=tuple(_within(unit, k, a, b) for unit in units),
            )
        )
    return out


def _within(unit: Unit, piece: int, a: int, b: int) -> Unit:
    """Return a unit as it is in a piece, its positions counted from sample ``a``."""
    inside = (unit.positions >= a) & (unit.positions < b)
    template = unit.template if unit.course is None else unit.course.templates[piece]
    return replace(
        unit,
        template=template,
        positions=unit.positions[inside] - a,
        amplitudes=unit.amplitudes[inside],
        course=None,
    )


def drifts(work: Conditioned, units: tuple[Unit, ...], residual: Floats, before: int) -> bool:
    """Tell whether a unit's potential at the end differs from that at the beginning.

    Parameters
    ----------
    work, units
        The signal and what was found in it with steady templates.
    residual
        The signal without any of their discharges.
    before
        Column of the spike in the templates.
    """
    if work.n_samples < 2 * PIECE_S * work.rate_hz:
        return False
    return any(_has_changed(unit, residual, before, work.rate_hz) for unit in units)


def _has_changed(unit: Unit, residual: Floats, before: int, rate_hz: float) -> bool:
    n = unit.positions.size
    if n < FEWEST or np.ptp(unit.positions) < PIECE_S * rate_hz:
        return False
    shapes = _shapes(unit, residual, before)
    early, late = shapes[: n // 3], shapes[n - n // 3 :]
    change = average(late) - average(early)
    chance = float(np.sum(np.var(early, axis=0) + np.var(late, axis=0))) / (n // 3)
    power = float(change @ change)
    return power > SURELY * chance and power - chance > LEAST_CHANGE**2 * unit.energy


def _shapes(unit: Unit, residual: Floats, before: int) -> Floats:
    """Return what the signal holds at a unit's discharges when the others are taken away."""
    alone = residual.copy()
    add_discharges(alone, unit, before)
    each = unit.template.size // np.atleast_2d(residual).shape[0]
    return snippets(alone, unit.positions, before, each - before)


def with_courses(work: Conditioned, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """Give every unit that has none a course, which is yet to be learned."""
    n = max(2, round(work.n_samples / (PIECE_S * work.rate_hz)))
    borders = np.linspace(0, work.n_samples, n + 1).round()
    return tuple(
        unit
        if unit.course
        else replace(unit, course=Course(templates=np.tile(unit.template, (n, 1)), borders=borders))
        for unit in units
    )


def rejoined(units: tuple[Unit, ...], rate_hz: float, n_channels: int = 1) -> tuple[Unit, ...]:
    """Join trains of which one begins where the other ends, with potentials alike there."""
    left = sorted(units, key=lambda u: -u.positions.size)
    out: list[Unit] = []
    while left:
        unit = left.pop(0)
        for other in list(left):
            joined = _rejoined(unit, other, rate_hz, n_channels)
            if joined is not None:
                left.remove(other)
                unit = joined
        out.append(unit)
    return tuple(out)


def _rejoined(one: Unit, other: Unit, rate_hz: float, n_channels: int) -> Unit | None:
    early, late = sorted((one, other), key=lambda u: float(np.median(u.positions)))
    if (
        early.course is None
        or late.course is None
        or not min(one.positions.size, other.positions.size)
    ):
        return None
    shared = np.quantile(early.positions, 0.95) - np.quantile(late.positions, 0.05)
    shorter = min(np.ptp(early.positions), np.ptp(late.positions))
    if shared > MOST_SHARED * shorter:
        return None
    end, begin = (
        early.course.piece_of(np.quantile(early.positions, [0.9])),
        late.course.piece_of(np.quantile(late.positions, [0.1])),
    )
    before, after = early.course.templates[end[0]], late.course.templates[begin[0]]
    likeness, lag = similarity(before, after, n_channels)
    energies = sorted((float(before @ before), float(after @ after)))
    if likeness < ALIKE or energies[1] > SAME_ENERGY * energies[0]:
        return None
    union = united(early, late, lag, rate_hz)
    train = checked(union.positions / rate_hz)
    if train.short > 0.05 or train.expected < 0.85:
        return None
    templates = early.course.templates.copy()
    middle = (end[0] + begin[0]) // 2 + 1
    templates[middle:] = np.roll(late.course.templates[middle:], lag, axis=1)
    course = replace(early.course, templates=templates)
    return replace(union, course=course)
