"""Which pads make which channel: montages as matrices, and what the channels are called.

A channel is a sum of weighted pads. Differences are those of the first pad minus the next along the
electrode's rows; a double differential is the difference of two, and weighs -1, 2, -1; a Laplacian
weighs its centre 4 and the four about it -1 (Reucher, Rau & Silny 1987, IEEE TBME 34:98 [M]).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.parameters.surface import (
    BellyTendon,
    SurfaceBipolar,
    SurfaceGrid,
    SurfaceKind,
    SurfacePads,
)
from emgsim.physiology.surface.lead_field import Pads
from emgsim.recording import Channel

Floats = NDArray[np.float64]

# Weights of the pads so many rows and columns on from the first, and which one the channel is named
# after and stands for
STENCILS = {
    "monopolar": {(0, 0): 1.0},
    "single_differential": {(0, 0): 1.0, (1, 0): -1.0},
    "double_differential": {(-1, 0): -1.0, (0, 0): 2.0, (1, 0): -1.0},
    "laplacian": {(0, 0): 4.0, (-1, 0): -1.0, (1, 0): -1.0, (0, -1): -1.0, (0, 1): -1.0},
}


class _Row(NamedTuple):
    """One channel: its name, its reference, and the weights of the pads, by their numbers."""

    name: str
    reference: str
    weights: dict[int, float]


def pads_of(electrode: SurfaceKind) -> Pads:
    """Return where an electrode's pads lie on the skin, in the order of the montage's columns."""
    return Pads(places_mm=np.array(electrode.places_mm), radius_mm=electrode.pad_mm / 2)


def montage_matrix(electrode: SurfaceKind) -> Floats:
    """Return the weights of the pads in each channel, shape ``(n_channels, n_pads)``.

    Raises
    ------
    ValueError
        If no channel has all its pads.
    """
    rows = _rows(electrode, "surface")
    matrix = np.zeros((len(rows), len(electrode.places_mm)))
    for weights, row in zip(matrix, rows, strict=True):
        weights[list(row.weights)] = list(row.weights.values())
    return matrix


def recording_channels(electrode: SurfaceKind, name: str = "surface") -> tuple[Channel, ...]:
    """Return the names, kinds and references of the channels that an electrode records.

    A single channel is called ``name``; those of a grid add the row and column, from 1, of their
    first or middle pad.
    """
    return tuple(
        Channel(name=row.name, kind=electrode.kind, reference=row.reference)
        for row in _rows(electrode, name)
    )


def channel_places_mm(electrode: SurfaceKind) -> Floats:
    """Return where each channel records on the skin, ``(n_channels, 2)``: along and across.

    It is the middle of its pads, each counting by the size of its weight; of belly and tendon, the
    belly.
    """
    if isinstance(electrode, BellyTendon):
        return np.array(electrode.places_mm[:1])
    share = np.abs(montage_matrix(electrode))
    return np.asarray(share @ np.array(electrode.places_mm) / share.sum(axis=1, keepdims=True))


def _rows(electrode: SurfaceKind, name: str) -> list[_Row]:
    """Return the channels of an electrode."""
    match electrode:
        case SurfaceBipolar():
            return [_Row(name, "second disc", {0: 1.0, 1: -1.0})]
        case BellyTendon():
            return [_Row(name, "tendon", {0: 1.0, 1: -1.0})]
        case SurfacePads():
            n_pads = len(electrode.pads_mm)
            return [_Row(f"{name} {k + 1}", "remote", {k: 1.0}) for k in range(n_pads)]
        case SurfaceGrid():
            return _grid_rows(electrode, name)


def _grid_rows(grid: SurfaceGrid, name: str) -> list[_Row]:
    """Return the channels of a grid whose pads are all there, row by row."""
    number = {place: k for k, place in enumerate(grid.pads)}
    stencil = STENCILS[grid.montage]
    rows = []
    for r, c in grid.pads:
        places = {(r + down, c + aside): weight for (down, aside), weight in stencil.items()}
        if places.keys() <= number.keys():
            weights = {number[place]: weight for place, weight in places.items()}
            rows.append(_Row(f"{name} {r + 1}.{c + 1}", _reference(grid, name, r, c), weights))
    if not rows:
        raise ValueError(
            f"montage must find all pads of a channel on a grid of {grid.rows} x {grid.columns}, "
            f"got {grid.montage}; add rows or columns, or use monopolar"
        )
    return rows


def _reference(grid: SurfaceGrid, name: str, row: int, column: int) -> str:
    """Return what a grid's channel records against."""
    match grid.montage:
        case "monopolar":
            return "remote"
        case "single_differential":
            return f"{name} {row + 2}.{column + 1}"
        case _:
            return "neighbours"
