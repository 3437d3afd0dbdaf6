"""Small recordings with known discharges, made without the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.recording import Channel, Recording

Floats = NDArray[np.float64]


def potential(rate_hz: float, lobes: tuple[tuple[float, float, float], ...]) -> Floats:
    """Sum of second differences of Gaussians: (time ms, width ms, height uV) each, 20 ms long."""
    t_ms = np.arange(round(0.020 * rate_hz)) / rate_hz * 1e3
    out = np.zeros(t_ms.size)
    for at_ms, width_ms, height_uv in lobes:
        u = (t_ms - at_ms) / width_ms
        out += height_uv * (1 - u**2) * np.exp(-(u**2) / 2)
    return out


SHAPES = (
    ((8.0, 0.25, 300.0), (8.9, 0.3, -120.0), (10.2, 0.35, 60.0)),
    ((8.0, 0.35, -260.0), (7.0, 0.3, 90.0), (9.4, 0.4, 120.0)),
    ((8.0, 0.3, 180.0), (8.6, 0.25, 170.0), (7.2, 0.4, -80.0)),
)


def train(rng: np.random.Generator, rate_hz: float, start_s: float, stop_s: float) -> Floats:
    """Return regular discharges with a coefficient of variation of 0.15."""
    n = int((stop_s - start_s) * rate_hz * 1.5) + 10
    steps = np.maximum(0.03, (1 + 0.15 * rng.standard_normal(n)) / rate_hz)
    times = start_s + rng.uniform(0, 1 / rate_hz) + np.cumsum(steps) - steps[0]
    return times[times < stop_s]


def played(
    trains: list[Floats], rate_hz: float, seconds: float, *, noise_uv: float = 5.0, seed: int = 1
) -> Recording:
    """Return a recording of up to three units over white noise; a spike stands 8 ms into each."""
    rng = np.random.default_rng(seed)
    samples = noise_uv * rng.standard_normal(round(seconds * rate_hz))
    for lobes, times_s in zip(SHAPES, trains, strict=False):
        for time_s in times_s:
            first = int(np.floor((time_s - 0.008) * rate_hz))
            late_ms = ((time_s - 0.008) * rate_hz - first) / rate_hz * 1e3
            wave = potential(rate_hz, tuple((a + late_ms, w, h) for a, w, h in lobes))
            a, b = max(first, 0), min(first + wave.size, samples.size)
            samples[a:b] += wave[a - first : b - first]
    return Recording(
        samples_uv=samples[:, None], rate_hz=rate_hz, channels=(Channel(name="needle"),)
    )


@pytest.fixture(scope="session")
def three_trains() -> list[Floats]:
    """Three units of 8, 10 and 12 per second for 8 s."""
    rng = np.random.default_rng(5)
    return [train(rng, rate, 0.1, 7.9) for rate in (8.0, 10.0, 12.0)]


@pytest.fixture(scope="session")
def three_units(three_trains: list[Floats]) -> Recording:
    """Their recording at 24 kHz."""
    return played(three_trains, 24_000.0, 8.0)
