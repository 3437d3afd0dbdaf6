"""What each pad picks up of every place in a muscle, tabulated once and then looked up.

A lead field is smooth: the nearest fibre lies as far from a pad as fat, skin and its own depth. So
a table whose steps grow with that distance, read by cubics through four points in each direction,
errs by about 1e-4 of the largest difference along a fibre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.compiling import compiled
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.surface.conductor import Conductor

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST_DEPTH_MM = 0.5  # of a fibre under the muscle's surface; what lies nearer counts as there [P]
STEP = 0.1  # of the table, over the distance from the pad
STEEPEST_DEG = 20.0  # pennation in the muscles that surface electrodes hear [S]
SPARE = 3  # steps beyond the farthest place across and along, for the cubics


@dataclass(frozen=True, kw_only=True, eq=False)
class Pads:
    """Discs on the skin: where their centres are, and how large they are.

    ``places_mm`` is ``(n_pads, 2)``: along the fibres from the centre of the end-plate band, and
    across, from the line on the skin above the muscle's middle.
    """

    places_mm: Floats
    radius_mm: float

    def __post_init__(self) -> None:
        if self.places_mm.ndim != 2 or self.places_mm.shape[1:] != (2,):
            raise ValueError(f"places_mm: expected (n_pads, 2), got {self.places_mm.shape}")
        if not self.radius_mm >= 0:
            raise ValueError(f"radius_mm must be >= 0, got {self.radius_mm:g}")


@dataclass(frozen=True, kw_only=True, eq=False)
class LeadField:
    """What pads of one size pick up through a conductor, as a table over depth, across and along.

    ``table`` is ``(n_depths, n_across, n_z)``, 1/mm. Depths are even in the logarithm of the
    distance from the pad, places across in ``asinh`` of theirs over the nearest distance, and those
    along are even. Across and along, the first point lies one step before 0.
    """

    conductor: Conductor
    pads: Pads
    tilt_deg: float  # how steeply the fibres dive into the depth towards +z
    nearest_mm: float  # from a pad to the table's first depth
    depth_step: float  # of the logarithm
    z_step_mm: float
    table: Floats

    def along(self, fibres: UnitFibres, z_mm: Floats) -> Floats:
        """Return what every pad picks up of places along fibres.

        Parameters
        ----------
        fibres
            Where they lie in the cross-section.
        z_mm
            Shape ``(n_fibres, n_places)``: along each fibre from the end-plate band's centre.

        Returns
        -------
        ndarray
            Shape ``(n_fibres, n_places, n_pads)``, 1/mm.

        Raises
        ------
        ValueError
            If a place lies beyond the table.
        """
        depth_mm, aside_mm = self.conductor.places(fibres.x_mm, fibres.y_mm)
        depth_mm, z_mm = _tilted(depth_mm, z_mm, self.tilt_deg)
        distance_mm = depth_mm + self.conductor.layers.cover_mm
        depth_index = np.log(distance_mm / self.nearest_mm) / self.depth_step
        columns_mm, column = np.unique(self.pads.places_mm[:, 1], return_inverse=True)
        across_mm = np.abs(aside_mm[:, None] - columns_mm)
        across_index = np.arcsinh(across_mm / self.nearest_mm) / STEP + 1.0
        z_index, pad_index = z_mm / self.z_step_mm, self.pads.places_mm[:, 0] / self.z_step_mm
        farthest = np.abs(z_index).max() + np.abs(pad_index).max() + 1.0
        _must_be_inside("deep", depth_index, 0.0, self.table.shape[0] - 1.0)
        _must_be_inside("across", across_index, 0.0, self.table.shape[1] - 2.0)
        _must_be_inside("along", farthest, 0.0, self.table.shape[2] - 2.0)
        picked = np.empty((*z_mm.shape, column.size))
        _look_up(picked, self.table, _Places(depth_index, across_index, z_index, column, pad_index))
        return picked


def lead_field(
    conductor: Conductor, pads: Pads, units: Sequence[UnitFibres], tilt_deg: float = 0.0
) -> LeadField:
    """Return the lead field of pads over all fibres of a muscle.

    A fibre nearer to the muscle's surface than 0.5 mm counts as that deep; in a muscle of 10 mm
    radius these are less than 1 % of all.

    Parameters
    ----------
    conductor
        What lies between.
    pads
        What listens.
    units
        The motor units, whose fibres say how far the table reaches.
    tilt_deg
        How steeply the fibres dive into the depth towards +z, about the centre of the end-plate
        band: -20 to 20, pennation as a surface electrode sees it. The muscle's axial conductivity
        stays along the skin. A fibre that would rise above the least depth runs along it.

    Raises
    ------
    ValueError
        If there is no fibre or pad, the tilt is too steep, or a fibre lies where the conductor has
        no muscle.
    """
    n_fibres = sum(unit.n_fibres for unit in units)
    if n_fibres == 0 or pads.places_mm.size == 0:
        raise ValueError(
            "units and pads must not be empty, "
            f"got {n_fibres} fibres and {len(pads.places_mm)} pads"
        )
    if not abs(tilt_deg) <= STEEPEST_DEG:
        raise ValueError(
            f"tilt_deg must be in -{STEEPEST_DEG:g}..{STEEPEST_DEG:g}, got {tilt_deg:g}"
        )
    depth_mm, aside_mm, z_mm = (
        np.concatenate(part)
        for part in zip(*(_extent(conductor, unit, tilt_deg) for unit in units), strict=True)
    )
    cover_mm = conductor.layers.cover_mm
    deepest_mm = depth_mm.max() + cover_mm
    nearest_mm = min(depth_mm.min() + cover_mm, deepest_mm - LEAST_DEPTH_MM / 2)
    span = math.log(deepest_mm / nearest_mm)
    n_depths = max(4, math.ceil(span / STEP) + 1)
    along_mm, across_mm = np.abs(pads.places_mm).max(axis=0)
    farthest_across = math.asinh((np.abs(aside_mm).max() + across_mm) / nearest_mm) / STEP
    z_step_mm = STEP * nearest_mm
    table = conductor.pick_up(
        np.geomspace(nearest_mm, deepest_mm, n_depths) - cover_mm,
        nearest_mm * np.sinh(STEP * np.arange(-1.0, farthest_across + SPARE)),
        z_step_mm * np.arange(-1.0, (np.abs(z_mm).max() + along_mm) / z_step_mm + SPARE),
        pads.radius_mm,
    )
    return LeadField(
        conductor=conductor,
        pads=pads,
        tilt_deg=tilt_deg,
        nearest_mm=float(nearest_mm),
        depth_step=span / (n_depths - 1),
        z_step_mm=float(z_step_mm),
        table=table,
    )


def _extent(
    conductor: Conductor, unit: UnitFibres, tilt_deg: float
) -> tuple[Floats, Floats, Floats]:
    """Return depths, places aside and places along the skin of fibres' ends and end plates."""
    depth_mm, aside_mm = conductor.places(unit.x_mm, unit.y_mm)
    up_mm, down_mm = unit.half_lengths_mm
    z0 = unit.end_plate_mm
    depths_mm, z_mm = _tilted(depth_mm, np.column_stack([z0 - down_mm, z0, z0 + up_mm]), tilt_deg)
    return depths_mm.ravel(), aside_mm, z_mm.ravel()


def _must_be_inside(direction: str, index: Floats, least: float, most: float) -> None:
    """Raise if a place lies beyond the table, but for rounding."""
    if np.min(index) < least - 1e-6 or np.max(index) > most + 1e-6:
        raise ValueError(
            "fibres: must lie within those that the lead field was made for, "
            f"got one too far {direction}"
        )


def _tilted(depth_mm: Floats, z_mm: Floats, tilt_deg: float) -> tuple[Floats, Floats]:
    """Return how deep places along fibres lie, and where along the skin, each ``(n, n_places)``."""
    tilt = math.radians(tilt_deg)
    depths_mm = np.maximum(depth_mm[:, None] + math.sin(tilt) * z_mm, LEAST_DEPTH_MM)
    return depths_mm, np.ascontiguousarray(math.cos(tilt) * z_mm)


class _Places(NamedTuple):
    """Where fibres and pads lie, as fractional indices of the table.

    Depths and places along are ``(n_fibres, n_places)``, those across ``(n_fibres, n_columns)``;
    pads of a column lie equally far across. Of each pad, its column and where it lies along.
    """

    depth: Floats
    across: Floats
    z: Floats
    column: Integers
    pad: Floats


@compiled
def _look_up(out: Floats, table: Floats, at: _Places) -> None:
    """Fill ``out``, fibre by place by pad, from the table.

    At one depth, the pads of a column share a row.
    """
    rows = np.empty((at.across.shape[1], table.shape[2]))
    for f in range(out.shape[0]):
        depth = -1.0
        for j in range(out.shape[1]):
            if at.depth[f, j] != depth:
                depth = at.depth[f, j]
                _fill_rows(rows, table, depth, at.across[f])
            for p in range(out.shape[2]):
                z = abs(at.z[f, j] - at.pad[p]) + 1.0
                row, k = rows[at.column[p]], int(z)
                a, b, c, d = _cubic(z - k)
                out[f, j, p] = a * row[k - 1] + b * row[k] + c * row[k + 1] + d * row[k + 2]


@compiled
def _fill_rows(rows: Floats, table: Floats, depth_index: float, across_index: Floats) -> None:
    """Fill with what each column of pads picks up along z, at one depth."""
    first = min(max(int(depth_index) - 1, 0), table.shape[0] - 4)
    depth_weights = _cubic(depth_index - first - 1)
    for c in range(rows.shape[0]):
        i = int(across_index[c])
        across_weights = _cubic(across_index[c] - i)
        rows[c] = 0.0
        for d in range(4):
            for a in range(4):
                weight = depth_weights[d] * across_weights[a]
                for k in range(rows.shape[1]):
                    rows[c, k] += weight * table[first + d, i - 1 + a, k]


@compiled
def _cubic(x: float) -> tuple[float, float, float, float]:
    """Return the weights, at x, of the points at -1, 0, 1 and 2 in the cubic through them."""
    return (
        -x * (x - 1) * (x - 2) / 6,
        (x + 1) * (x - 1) * (x - 2) / 2,
        -(x + 1) * x * (x - 2) / 2,
        (x + 1) * x * (x - 1) / 6,
    )
