"""How straight a device is, and where it ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from emgsim.metrology import linearity
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Reading


def _one(measure: Any, bench: Any) -> Reading:
    (reading,) = measure(Measuring(bench))
    return reading


def _true_inl(bench: Any) -> float:
    """Return what a cubic makes of the ladder's fundamentals, per cent of the range."""
    played = np.array(linearity.LADDER) * bench.setup.device.range_uv
    gain = abs(bench.response(np.array([linearity.LADDER_TIMES * bench.setup.mid_hz]))[0])
    sizes = gain * played
    sizes = sizes + 0.75 * bench.third_order * sizes**3 / bench.setup.device.range_uv**2
    off = np.abs(linearity.departures(played, sizes))
    return float(100 * off.max() / bench.setup.device.range_uv)


@pytest.mark.parametrize("third_order", [0.0, 2e-5, -3e-4, 8e-3])
def test_inl_is_that_of_the_bend(synthetic: Any, declared: Any, third_order: float) -> None:
    """From nothing to 1 % of cubic the departure is what its formula says."""
    bench = synthetic(setup=declared(), third_order=third_order, second_order=1e-3, gain=0.96)
    reading = _one(linearity.inl, bench)
    assert abs(reading.value - _true_inl(bench)) < 1.5 * reading.expanded
    assert reading.expanded < 0.005


def test_a_kink_is_not_smoothed_away(synthetic: Any, declared: Any) -> None:
    """A device that is cut at 83 % of its range departs by what the uppermost steps lack."""
    bench = synthetic(setup=declared(), clip_uv=8_300.0)
    reading = _one(linearity.inl, bench)
    top = 9_000.0 * abs(bench.response(np.array([1060.0]))[0])
    k = 8_300.0 / top
    cut = 2 / math.pi * (math.asin(k) + k * math.sqrt(1 - k**2))
    played = np.array(linearity.LADDER)
    sizes = played * abs(bench.response(np.array([1060.0]))[0])
    sizes[0] *= cut
    true = 100 * np.abs(linearity.departures(played, sizes)).max()
    assert true > 1
    assert reading.value == pytest.approx(true, rel=0.05)


def test_saturation_is_the_side_on_which_there_is_less(synthetic: Any, declared: Any) -> None:
    """An offset of the converter takes from one side what it gives to the other."""
    setup = declared(range_uv=5_000.0, bits=16)
    bench = synthetic(setup=setup, gain=1.05, offset_uv=150.0)
    reading = _one(linearity.saturation, bench)
    gain = abs(bench.response(np.array([setup.mid_hz]))[0])
    assert abs(reading.value - 1e-3 * (5_000.0 - 150.0) / gain) < 1.5 * reading.expanded
    assert reading.bound == ""


def test_saturation_of_the_stage_before_the_converter_is_found(
    synthetic: Any, declared: Any
) -> None:
    """A device that is cut before its converter ends is full there, high-pass or not."""
    setup = declared(band_hz=(30.0, 2_000.0), orders=(2, 2))
    bench = synthetic(setup=setup, gain=0.93, clip_uv=9_300.0)
    reading = _one(linearity.saturation, bench)
    gain = abs(bench.response(np.array([setup.mid_hz]))[0])
    assert abs(reading.value - 9.3 / gain) < 1.5 * reading.expanded


def test_what_cannot_be_driven_so_far_is_a_bound(synthetic: Any, declared: Any) -> None:
    """A bench that ends before the device says so."""
    setup = declared(range_uv=100_000.0)
    setup.states.pop("overload")  # type: ignore[attr-defined]
    reading = _one(linearity.saturation, synthetic(setup=setup))
    assert reading.bound == ">="
    assert 17.0 < reading.value < 20.5


def test_dynamic_range_is_range_over_noise(synthetic: Any, declared: Any) -> None:
    """10 mV over root two and 1 uV of noise in 10 kHz are 77 dB; no gain is in it."""
    bench = synthetic(setup=declared(orders=(2, 8)), noise_uv=1.0, gain=1.08)
    reading = _one(linearity.dynamic_range, bench)
    f = np.linspace(10.0, 10_000.0, 50_000)
    noise = math.sqrt(np.trapezoid(np.abs(bench.response(f)) ** 2, f) / 10_000)
    true = 20 * math.log10(10_000.0 / math.sqrt(2) / noise)
    assert abs(reading.value - true) < 1.5 * reading.expanded
    assert reading.expanded < 0.05
