"""The smallest signals that stand out of the noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emgsim.metrology import minimum
from emgsim.metrology.procedure import Measuring

SMALL = {"rate_hz": 10_000.0, "band_hz": (20.0, 2_000.0)}


def test_a_sine_over_noise_is_what_both_are(synthetic: Any, declared: Any) -> None:
    """10 uV peak to peak over white noise in a known band."""
    bench = synthetic(setup=declared(**SMALL), noise_uv=2.0, device_ppm=-200.0, gain=1.05)
    (reading,) = minimum.sine_snr(Measuring(bench))
    f = np.linspace(20.0, 2_000.0, 20_001)
    noise_uv = np.sqrt(np.trapezoid(4.0 / 10_000 * np.abs(bench.response(f)) ** 2, f))
    expected = 5 / np.sqrt(2) * abs(bench.response(np.array([100.0]))[0]) / noise_uv
    assert reading.value == pytest.approx(expected, abs=1.5 * reading.expanded)
    assert reading.expanded < 0.03 * reading.value


def test_a_quiet_device_misses_no_spike(synthetic: Any, declared: Any) -> None:
    """20 uV in 0.6 uV of noise."""
    (reading,) = minimum.spike_detection(Measuring(synthetic(setup=declared(**SMALL))))
    assert reading.value == pytest.approx(1.0, abs=1e-9)


def test_a_loud_device_misses_some(synthetic: Any, declared: Any) -> None:
    """In 14 uV of noise a matched filter gives d = sqrt(2 E / S), Rice's height is about 4.5."""
    bench = synthetic(setup=declared(**SMALL), noise_uv=14.0, seed=1)
    (reading,) = minimum.spike_detection(Measuring(bench))
    energy = np.exp(1) * 100.0 * np.sqrt(np.pi) / 2 * 0.35e-3  # of 10 uV x exp((1 - x^2) / 2)
    over = np.sqrt(2 * energy / (14.0**2 / 10_000))
    found = float(reading.note.split()[3])
    asked = float(reading.note.split("; ")[1].split()[0])
    assert found == pytest.approx(over, rel=0.12)
    assert 4.2 < asked < 4.8
    assert 0.0 < reading.value < 1.0
    assert reading.expanded > 0
