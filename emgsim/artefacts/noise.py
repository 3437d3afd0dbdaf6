"""Noise of resistance, amplifier and skin: another on each channel, by spectral density.

A density holds at every rate, so a stated rms is reached where the rate leaves room for its band.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.artefacts.chunks import CHUNK, Chunk, Grid
from emgsim.artefacts.parameters import (
    AMPLIFIER_BAND_HZ,
    SKIN_BAND_HZ,
    Amplifier,
    Baseline,
    SkinElectrode,
    Thermal,
)
from emgsim.artefacts.wander import gaussian

Floats = NDArray[np.float64]

FLICKER_LOWEST_HZ = 0.02  # 1/f goes on down to here: 0.6 % of it lacks at 2 Hz
FLICKER_SPACING = 4.0  # ratio of neighbouring corners; 1/f is met within 0.2 %


def thermal(artefact: Thermal, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield Johnson noise, 4kTR per hertz (Nyquist 1928, Phys Rev 32:110)."""
    white = _White(rng, grid)
    sd_uv = artefact.density_uv_rthz * np.sqrt(grid.rate_hz / 2)
    while True:
        yield Chunk(sd_uv * white.draw())


def amplifier(artefact: Amplifier, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield noise of the power density ``d^2 (1 + corner / f)``; d follows from the rms."""
    low_hz, high_hz = AMPLIFIER_BAND_HZ
    width_hz = high_hz - low_hz + artefact.corner_hz * np.log(high_hz / low_hz)
    density = artefact.rms_uv / np.sqrt(width_hz)
    n = 1 + int(np.log(grid.rate_hz / 2 / FLICKER_LOWEST_HZ) / np.log(FLICKER_SPACING))
    corners_hz = FLICKER_LOWEST_HZ * FLICKER_SPACING ** np.arange(n)
    flicker_uv = density * np.sqrt(artefact.corner_hz * np.log(FLICKER_SPACING))
    white_rng, flicker_rng = rng.spawn(2)
    white, white_uv = _White(white_rng, grid), density * np.sqrt(grid.rate_hz / 2)
    for slow_uv in _relaxations([(f_hz, flicker_uv) for f_hz in corners_hz], grid, flicker_rng):
        yield Chunk(white_uv * white.draw() + slow_uv)


def skin_electrode(
    artefact: SkinElectrode, grid: Grid, rng: np.random.Generator
) -> Iterator[Chunk]:
    """Yield noise of the power density ``d^2 (corner^2 / (f^2 + low^2) + 1 / (1 + f^2 / high^2))``.

    White without an end, as it is mostly modelled, would give five times the stated rms at 48 kHz:
    the resistance of a megohm that so much noise amounts to is shunted by the skin's capacitance.
    """
    low_hz, high_hz = SKIN_BAND_HZ
    slow_hz = artefact.corner_hz**2 / low_hz
    width_hz = high_hz * np.pi / 4 + slow_hz * (np.arctan(high_hz / low_hz) - np.pi / 4)
    density = artefact.rms_uv / np.sqrt(width_hz)
    slow_uv = density * np.sqrt(slow_hz * np.pi / 2)
    # Sampled, the white part keeps its density at 0 Hz, not its variance: no rate makes it louder.
    white_uv = density * np.sqrt(grid.rate_hz / 2 * np.tanh(np.pi * high_hz / grid.rate_hz))
    for total_uv in _relaxations([(low_hz, slow_uv), (high_hz, white_uv)], grid, rng):
        yield Chunk(total_uv)


def baseline(artefact: Baseline, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield an offset and the slow course about it, another on each channel."""
    knot_s = 0.5 / artefact.highest_hz
    courses = [gaussian(knot_s, artefact.rms_uv, child) for child in rng.spawn(grid.n_channels)]
    for times_s in grid.chunks():
        columns = [artefact.offset_uv + course.at(times_s) for course in courses]
        yield Chunk(np.stack(columns, axis=1))


class _White:
    """White noise of variance 1, one stream per channel: another channel moves no other one."""

    def __init__(self, rng: np.random.Generator, grid: Grid) -> None:
        self._streams = rng.spawn(grid.n_channels)

    def draw(self, n: int = CHUNK) -> Floats:
        """Return the next samples, shape ``(n, n_channels)``."""
        return np.stack([stream.standard_normal(n) for stream in self._streams], axis=1)


class _Relaxation:
    """Noise of variance 1 with a first-order spectrum, stationary from its first sample on.

    The sampled Ornstein-Uhlenbeck process: power density ``2 / (pi f0) / (1 + (f / f0)^2)``.
    """

    def __init__(self, corner_hz: float, grid: Grid, rng: np.random.Generator) -> None:
        self._kept = np.exp(-2 * np.pi * corner_hz / grid.rate_hz)
        self._fresh = np.sqrt(-np.expm1(-4 * np.pi * corner_hz / grid.rate_hz))
        self._white = _White(rng, grid)
        self._state = self._kept * self._white.draw(1)

    def draw(self) -> Floats:
        """Return the next `CHUNK` samples, shape ``(CHUNK, n_channels)``."""
        out, self._state = signal.lfilter(
            [self._fresh], [1, -self._kept], self._white.draw(), axis=0, zi=self._state
        )
        return np.asarray(out, dtype=np.float64)


def _relaxations(
    parts: list[tuple[float, float]], grid: Grid, rng: np.random.Generator
) -> Iterator[Floats]:
    """Yield the sum of relaxations of given corner (Hz) and SD (uV)."""
    slow = [
        (sd_uv, _Relaxation(corner_hz, grid, child))
        for (corner_hz, sd_uv), child in zip(parts, rng.spawn(len(parts)), strict=True)
    ]
    while True:
        total_uv = np.zeros((CHUNK, grid.n_channels))
        for sd_uv, relaxation in slow:
            total_uv += sd_uv * relaxation.draw()
        yield total_uv
