"""Templates from discharges: averages of what each unit leaves when the others are taken away."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.detection import TAPS, interpolator, snippets

Floats = NDArray[np.float64]

TRIMMED = 0.2  # of each end, per sample: superpositions that are not yet resolved
FEWEST_FOLLOWED = 8  # discharges that a piece of a course is learned from
AMPLITUDE_SD = (0.04, 0.15)  # bounds of what is believed of a unit's amplitude spread


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """How a template changes while the needle moves: one shape for each piece of the signal.

    ``templates`` is ``(n_pieces, length)``; piece ``k`` holds the positions from ``borders[k]`` up
    to ``borders[k + 1]``, in samples.
    """

    templates: Floats
    borders: Floats

    def piece_of(self, positions: Floats) -> NDArray[np.int64]:
        """Return the piece of each position; the first and the last go on for ever."""
        return np.searchsorted(self.borders[1:-1], positions, side="right")


@dataclass(frozen=True, kw_only=True, eq=False)
class Unit:
    """One motor unit in the working signal: its template and its discharges.

    Parameters
    ----------
    template
        Shape ``(length,)``; of several channels one after the other.
    amplitude_sd
        Spread of its amplitudes around 1.
    positions
        Of its discharges, in samples, fractional, ascending.
    amplitudes
        One per discharge.
    course
        The template in pieces of the signal; None where it stays as it is.
    """

    template: Floats
    amplitude_sd: float = 0.1
    positions: Floats = field(default_factory=lambda: np.zeros(0))
    amplitudes: Floats = field(default_factory=lambda: np.zeros(0))
    course: Course | None = None

    @property
    def energy(self) -> float:
        """Sum of squares of the template."""
        return float(self.template @ self.template)

    def steady_parts(self) -> list[Unit]:
        """Return the unit piece by piece of its course, each part with one template."""
        if self.course is None:
            return [self]
        piece = self.course.piece_of(self.positions)
        return [
            replace(
                self,
                template=template,
                positions=self.positions[piece == k],
                amplitudes=self.amplitudes[piece == k],
                course=None,
            )
            for k, template in enumerate(self.course.templates)
        ]


def unit_at(positions: Floats, length: int) -> Unit:
    """Return a unit known only by its discharges; its template is yet to be learned."""
    return Unit(
        template=np.zeros(length), positions=np.sort(positions), amplitudes=np.ones(positions.size)
    )


def add_discharges(samples: Floats, unit: Unit, before: int, sign: float = 1.0) -> None:
    """Add all discharges of a unit to samples at their exact positions, in place."""
    if samples.ndim > 1:
        for row, own in zip(samples, by_channel(unit, samples.shape[0]), strict=True):
            add_discharges(row, own, before, sign)
        return
    for part in unit.steady_parts():
        if part.positions.size == 0:
            continue
        waves = sign * part.amplitudes[:, None] * delayed(part.template, part.positions)
        start = np.floor(part.positions).astype(np.int64)[:, None] - before - TAPS
        index = start + np.arange(waves.shape[1])[None, :]
        inside = (index >= 0) & (index < samples.size)
        samples += np.bincount(index[inside], weights=waves[inside], minlength=samples.size)


def by_channel(unit: Unit, n_channels: int) -> list[Unit]:
    """Return a unit as each of several channels sees it."""
    templates = np.split(unit.template, n_channels)
    if unit.course is None:
        return [replace(unit, template=template) for template in templates]
    courses = np.split(unit.course.templates, n_channels, axis=1)
    return [
        replace(unit, template=template, course=replace(unit.course, templates=course))
        for template, course in zip(templates, courses, strict=True)
    ]


def delayed(template: Floats, positions: Floats) -> Floats:
    """Return the template delayed by each position's fraction, ``TAPS`` longer at both ends."""
    weights = interpolator(positions - np.floor(positions))
    size = template.size + 2 * TAPS
    padded = np.pad(template, 2 * TAPS)
    starts = 2 * TAPS - 1 - np.arange(2 * TAPS)
    return np.asarray(weights @ padded[starts[:, None] + np.arange(size)[None, :]])


def relearned(
    samples: Floats, units: tuple[Unit, ...], before: int, *, rounds: int = 2
) -> tuple[tuple[Unit, ...], Floats]:
    """Learn every unit anew, the others subtracted; return the units and the residual.

    Parameters
    ----------
    samples
        Shape ``(n,)`` or ``(n_channels, n)``.
    units
        With their discharges.
    before
        Column of the spike in each template.
    rounds
        Sweeps over all units; each sweep uses the newest template of every other unit.
    """
    learned, n_channels = list(units), np.atleast_2d(samples).shape[0]
    residual = samples.copy()
    for unit in units:
        add_discharges(residual, unit, before, -1.0)
    for _ in range(rounds):
        for k, unit in enumerate(learned):
            if unit.positions.size < 3:
                continue
            add_discharges(residual, unit, before)
            after = unit.template.size // n_channels - before
            shapes = snippets(residual, unit.positions, before, after)
            if unit.course is None:  # else it is the course that holds the amplitude
                shapes /= unit.amplitudes[:, None]
            learned[k] = replace(
                unit,
                template=tapered(average(shapes), before, n_channels),
                amplitude_sd=float(np.clip(np.std(unit.amplitudes), *AMPLITUDE_SD)),
                course=_followed(unit, shapes, before, n_channels),
            )
            add_discharges(residual, learned[k], before, -1.0)
    return tuple(learned), residual


def _followed(unit: Unit, shapes: Floats, before: int, n_channels: int) -> Course | None:
    """Learn a unit's course anew from windows of two pieces, which overlap by one.

    Pieces whose window holds too few discharges keep their templates. ``shapes`` are those of its
    discharges, ``(n_discharges, length)``.
    """
    course, positions = unit.course, unit.positions
    if course is None:
        return None
    templates = course.templates.copy()
    for k, (first, last) in enumerate(pairwise(course.borders)):
        half = (last - first) / 2
        near = (positions >= first - half) & (positions < last + half)
        if np.count_nonzero(near) >= FEWEST_FOLLOWED:
            templates[k] = tapered(average(shapes[near]), before, n_channels)
    return replace(course, templates=templates)


def average(pieces: Floats) -> Floats:
    """Return the trimmed mean of each column, shape ``(length,)``."""
    n = pieces.shape[0]
    if n < 5:
        return np.asarray(np.median(pieces, axis=0))
    cut = int(TRIMMED * n)
    ranked = np.sort(pieces, axis=0)[cut : n - cut]
    return np.asarray(np.mean(ranked, axis=0))


def tapered(shape: Floats, before: int, n_channels: int = 1) -> Floats:
    """Let a template end smoothly: a tenth of each side falls to zero, in each channel."""
    if n_channels > 1:
        return np.concatenate([tapered(one, before) for one in np.split(shape, n_channels)])
    window = np.ones(shape.size)
    left, right = max(2, before // 10), max(2, (shape.size - before) // 10)
    window[:left] = np.sin(np.pi / 2 * (np.arange(left) + 0.5) / left) ** 2
    window[-right:] = np.sin(np.pi / 2 * (np.arange(right) + 0.5) / right)[::-1] ** 2
    return np.asarray(shape * window)
