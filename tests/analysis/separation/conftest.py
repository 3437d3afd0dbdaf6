"""A small grid recording whose truth is known: four units with smooth random potentials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from emgsim.analysis.separation import SurfaceDecomposition, decompose_surface

Floats = NDArray[np.float64]

RATE_HZ = 2000.0
N_CHANNELS, N_UNITS, SECONDS = 16, 4, 6.0


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Samples ``(n, n_channels)`` and the discharges of each unit in seconds."""

    samples_uv: Floats
    trains_s: tuple[Floats, ...]


def made(seed: int, n_units: int = N_UNITS) -> Grid:
    """Make a recording; units discharge 9-13 times per second, noise is 1/20 of their power."""
    rng = np.random.default_rng(seed)
    samples_uv = np.zeros((round(SECONDS * RATE_HZ), N_CHANNELS))
    trains_s = []
    for main, rate in enumerate(np.linspace(9, 13, n_units)):
        rough = rng.standard_normal((60, N_CHANNELS))
        wave_uv = 300 * ndimage.gaussian_filter(rough, (2.5, 0.8)) * np.hanning(60)[:, None]
        wave_uv[:, 4 * main] += 150 * np.exp(-(((np.arange(60) - 30) / 3) ** 2))
        intervals_s = np.clip(rng.normal(1 / rate, 0.12 / rate, 200), 0.03, None)
        at = np.round((0.1 + np.cumsum(intervals_s)) * RATE_HZ).astype(int)
        at = at[at < len(samples_uv) - 80]
        for k in at:
            samples_uv[k : k + 60] += wave_uv
        trains_s.append(at / RATE_HZ)
    samples_uv += rng.standard_normal(samples_uv.shape) * max(samples_uv.std(), 1.0) / np.sqrt(20)
    return Grid(samples_uv=samples_uv, trains_s=tuple(trains_s))


@pytest.fixture(scope="session")
def grid() -> Grid:
    """The recording of four units."""
    return made(3)


@pytest.fixture(scope="session")
def found(grid: Grid) -> SurfaceDecomposition:
    """Its decomposition."""
    return decompose_surface(grid.samples_uv, RATE_HZ)
