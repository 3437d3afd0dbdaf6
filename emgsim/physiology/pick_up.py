"""Electrodes and fibres as the arrays that the kernels read."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import Medium
from emgsim.physiology.potential import (
    ACTION_POTENTIALS,
    Electrode,
    Line,
    fibre_strength,
    heard_share,
    nearest_mm,
)

Floats = NDArray[np.float64]

FACETS_WITHIN = 20.0  # standard deviations of a surface: its far points err by 1e-5 there
FEW = 12  # points: not worth the error
FLAT = 1e-9  # of a flat surface: its least variance over its largest


class PickUp(NamedTuple):
    """What listens, as arrays.

    Points are ``(n, 4)``: x, y, z, weight. Those of positive and those of negative weight make a
    surface each, and far off four points with the same first and second moments stand for one of
    many. ``surfaces`` is ``(n_surfaces, 9)``: from and to which point, from and to which far point,
    the centre, the reach of the points as seen along the fibre, and their half span along it.
    ``lines`` is ``(n_lines, 10)``: start, its two directions in the cross-section, their share and
    that along the fibre, length, radius, weight.
    """

    points: Floats
    surfaces: Floats
    lines: Floats
    anisotropy: float
    amplitude: float
    decay_per_mm: float


def fibre_table(electrode: Electrode, medium: Medium, fibres: UnitFibres) -> Floats:
    """Return one row per fibre, as `_add_fibre` reads it."""
    return np.column_stack(
        [
            fibres.x_mm,
            fibres.y_mm,
            fibres.end_plate_mm,
            *fibres.half_lengths_mm,
            1e3 * fibres.velocity_m_s,
            fibres.delay_s,
            fibre_strength(medium, fibres.diameter_um),
            nearest_mm(fibres.diameter_um),
            heard_share(electrode, fibres.x_mm, fibres.y_mm),
        ]
    )


@lru_cache(maxsize=64)  # the units of a muscle listen to the same electrode in turn
def pick_up(electrode: Electrode, medium: Medium) -> PickUp:
    """Return the electrode and the medium as the kernel reads them."""
    facets = np.column_stack([electrode.points_mm, electrode.weights])
    surfaces, points = [], np.zeros((0, 4))
    for surface in (facets[electrode.weights > 0], facets[electrode.weights < 0]):
        if len(surface) == 0:
            continue
        few, reach_mm = _far_points(surface, medium.anisotropy)
        begin, end = len(points), len(points) + len(_in_fours(surface))
        points = np.concatenate([points, _in_fours(surface), _in_fours(few)])
        centre = _centre(surface)
        span_mm = np.abs(surface[:, 2] - centre[2]).max()
        surfaces.append([begin, end, end, len(points), *centre, reach_mm, span_mm])
    shape = ACTION_POTENTIALS[medium.action_potential]
    return PickUp(
        points=points,
        surfaces=np.array(surfaces, dtype=np.float64).reshape(-1, 9),
        lines=np.array([_line_row(line) for line in electrode.lines]).reshape(-1, 10),
        anisotropy=float(medium.anisotropy),
        amplitude=shape.amplitude_mv_mm3,
        decay_per_mm=shape.decay_per_mm,
    )


def _centre(surface: Floats) -> Floats:
    """Return the mean place of a surface's points."""
    return np.asarray(surface[:, 3] @ surface[:, :3] / surface[:, 3].sum())


def _far_points(surface: Floats, anisotropy: float) -> tuple[Floats, float]:
    """Return four points with the moments of many, and from how far they stand for them.

    A surface that is not flat keeps all its points, as four in a plane are not its likeness; and
    so does one that has few.
    """
    share = surface[:, 3] / surface[:, 3].sum()
    centre = _centre(surface)
    offset = surface[:, :3] - centre
    variance, axis = np.linalg.eigh(offset.T @ (offset * share[:, None]))
    if share.size <= FEW or variance[0] > FLAT * variance[2]:
        return surface, 0.0
    long, short = (axis[:, k] * np.sqrt(max(variance[k], 0.0)) for k in (2, 1))
    places = [centre + i * long + j * short for i in (-1, 1) for j in (-1, 1)]
    reach_mm = FACETS_WITHIN * float(np.sqrt(anisotropy * variance[2]))
    return np.column_stack([places, np.full(4, surface[:, 3].sum() / 4)]), reach_mm


def _in_fours(points: Floats) -> Floats:
    """Return points with silent ones added, so that they go in fours."""
    silent = np.repeat(points[-1:] * [1.0, 1.0, 1.0, 0.0], -len(points) % 4, axis=0)
    return np.concatenate([points, silent])


def _line_row(line: Line) -> list[float]:
    """Return a line as the kernel reads it; `potential._line_slope` explains the parts."""
    tx, ty, tz = (float(t) for t in line.direction)
    across = math.hypot(tx, ty)
    hx, hy = (tx / across, ty / across) if across > 0 else (1.0, 0.0)
    start = (float(s) for s in line.start_mm)
    return [*start, hx, hy, across, tz, line.length_mm, line.radius_mm, line.weight]
