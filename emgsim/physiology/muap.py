"""The motor unit action potential: the sum of a unit's fibres, each on its own way and time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import add_fibre_potentials
from emgsim.physiology.parameters import ElectrodeKind, Medium, TipPosition

Floats = NDArray[np.float64]

SLOWEST_M_S = 1.6  # the slowest fibre of the velocity line's range sets the length of the window


@dataclass(frozen=True, kw_only=True)
class MuapGrid:
    """Time grid of a MUAP: sample k lies ``k / rate_hz`` after the motor neuron's discharge."""

    rate_hz: float
    n_samples: int


def muap_grid(rate_hz: float, length_mm: float) -> MuapGrid:
    """Return a grid that holds the slowest fibre's whole run, a multiple of 4 samples long."""
    window_s = (length_mm + 20.0) * 1e-3 / SLOWEST_M_S
    return MuapGrid(rate_hz=rate_hz, n_samples=4 * int(np.ceil(window_s * rate_hz / 4)))


def unit_muaps_uv(
    fibres: UnitFibres,
    electrode: ElectrodeKind,
    tip: TipPosition,
    medium: Medium,
    grid: MuapGrid,
) -> Floats:
    """Return one unit's MUAP on each channel, shape ``(n_samples, n_channels)``, microvolts."""
    heard = channels(electrode, tip)
    total = np.zeros((len(heard), grid.n_samples))
    for row, channel in zip(total, heard, strict=True):
        add_fibre_potentials(row, grid.rate_hz, channel, medium, fibres)
    return np.ascontiguousarray(total.T)


def unit_muap_uv(
    fibres: UnitFibres,
    electrode: ElectrodeKind,
    tip: TipPosition,
    medium: Medium,
    grid: MuapGrid,
) -> Floats:
    """Return one unit's MUAP on the first channel, shape ``(n_samples,)``, microvolts."""
    total = np.zeros(grid.n_samples)
    add_fibre_potentials(total, grid.rate_hz, channels(electrode, tip)[0], medium, fibres)
    return total
