"""The motor unit action potential: the sum of a unit's fibres, each on its own way and time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition
from emgsim.physiology.potential import concentric_electrode, fibre_potentials_uv

Floats = NDArray[np.float64]

SLOWEST_M_S = 1.6  # the slowest fibre of the velocity line's range sets the length of the window


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Fibres within one range of distances from the core, and how finely they are computed.

    A fibre's potential changes over about twice its distance, so a far fibre needs neither a fine
    grid nor many facets. A test holds the sum against the finest shell for all fibres.
    """

    to_mm: float
    step_mm: float
    facets: tuple[int, int]
    decimation: int  # of the MUAP's rate


SHELLS = (
    Shell(to_mm=1.2, step_mm=0.04, facets=(5, 13), decimation=1),
    Shell(to_mm=4.0, step_mm=0.10, facets=(2, 6), decimation=2),
    Shell(to_mm=np.inf, step_mm=0.25, facets=(1, 4), decimation=4),
)
CHUNK_FIBRES = 64  # keeps the arrays of one call in the cache


@dataclass(frozen=True, kw_only=True)
class MuapGrid:
    """Time grid of a MUAP: sample k lies ``k / rate_hz`` after the motor neuron's discharge."""

    rate_hz: float
    n_samples: int


def muap_grid(rate_hz: float, length_mm: float) -> MuapGrid:
    """Return a grid that holds the slowest fibre's whole run, a multiple of 4 samples long."""
    window_s = (length_mm + 20.0) * 1e-3 / SLOWEST_M_S
    return MuapGrid(rate_hz=rate_hz, n_samples=4 * int(np.ceil(window_s * rate_hz / 4)))


def unit_muap_uv(
    fibres: UnitFibres,
    needle: ConcentricNeedle,
    tip: TipPosition,
    medium: Medium,
    grid: MuapGrid,
    shells: tuple[Shell, ...] = SHELLS,
) -> Floats:
    """Return one unit's MUAP at a concentric needle, shape ``(n_samples,)``, microvolts."""
    distance_mm = np.hypot(fibres.x_mm - tip.x_mm, fibres.y_mm - tip.y_mm)
    total = np.zeros(grid.n_samples)
    nearest_mm = 0.0
    for shell in shells:
        inside = np.flatnonzero((distance_mm >= nearest_mm) & (distance_mm < shell.to_mm))
        nearest_mm = shell.to_mm
        part = np.zeros(grid.n_samples // shell.decimation)
        electrode = concentric_electrode(needle, tip, shell.facets)
        for first in range(0, inside.size, CHUNK_FIBRES):
            chosen = inside[first : first + CHUNK_FIBRES]
            waves = fibre_potentials_uv(
                electrode,
                medium,
                x_mm=fibres.x_mm[chosen],
                y_mm=fibres.y_mm[chosen],
                end_plate_mm=fibres.end_plate_mm[chosen],
                half_lengths_mm=(
                    fibres.half_lengths_mm[0][chosen],
                    fibres.half_lengths_mm[1][chosen],
                ),
                diameter_um=fibres.diameter_um[chosen],
                step_mm=shell.step_mm,
            )
            times_s = np.arange(part.size) * shell.decimation / grid.rate_hz
            part += _sum_in_time(waves, fibres, chosen, times_s, shell.step_mm)
        if shell.decimation > 1 and inside.size:
            part = signal.resample(part, grid.n_samples)
        total += part if inside.size else 0.0
    return total


def _sum_in_time(
    waves: Floats, fibres: UnitFibres, chosen: NDArray[np.int64], times_s: Floats, step_mm: float
) -> Floats:
    """Read every fibre's wave at ``v (t - delay)`` and add the fibres up."""
    velocity_mm_s = fibres.velocity_m_s[chosen] * 1e3
    total = np.zeros(times_s.size)
    run = np.arange(waves.shape[1]) * step_mm
    for wave, velocity, delay_s in zip(waves, velocity_mm_s, fibres.delay_s[chosen], strict=True):
        total += np.interp(velocity * (times_s - delay_s), run, wave, left=0.0, right=0.0)
    return total
