"""What a device adds to sines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from emgsim.metrology import distortion
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Reading

BENT = {"second_order": 2e-3, "third_order": -1e-3}


def _readings(measure: Any, bench: Any) -> dict[str, Reading]:
    return {reading.id: reading for reading in measure(Measuring(bench))}


def _harmonics(bench: Any, level_dbfs: float) -> tuple[float, float]:
    """Return what the bend makes of a sine: second and third harmonic over the fundamental."""
    gain = abs(bench.response(np.array([1.135 * bench.setup.mid_hz]))[0])
    share = gain * 10 ** (level_dbfs / 20)
    first = 1 + 0.75 * bench.third_order * share**2
    return (
        bench.second_order * share / 2 / first,
        bench.third_order * share**2 / 4 / first,
    )


def test_thd_is_that_of_the_bend_at_every_level(synthetic: Any, declared: Any) -> None:
    """Harmonics fall with the level as their order says."""
    bench = synthetic(setup=declared(), **BENT)
    found = _readings(distortion.thd, bench)
    assert list(found) == [f"distortion.thd.{k}dbfs" for k in (1, 6, 20)]
    for reading, level_dbfs in zip(found.values(), (-1.0, -6.0, -20.0), strict=True):
        true = 100 * math.hypot(*_harmonics(bench, level_dbfs))
        assert abs(reading.value - true) < 1.5 * reading.expanded


def test_what_the_source_distorts_is_in_the_uncertainty(synthetic: Any, declared: Any) -> None:
    """A source at its limit of -100 dB makes 0.001 %, and as much is uncertain."""
    bench = synthetic(setup=declared(), noise_uv=0.1, source_tones=(2e-5, 0.0))
    reading = _readings(distortion.thd, bench)["distortion.thd.1dbfs"]
    assert reading.value == pytest.approx(1e-3, rel=0.3)
    assert 0.9e-3 < reading.expanded < 2e-3


def test_sfdr_is_down_to_the_largest_harmonic(synthetic: Any, declared: Any) -> None:
    """The second harmonic of 0.09 % is 61 dB below."""
    bench = synthetic(setup=declared(), **BENT)
    reading = _readings(distortion.sfdr, bench)["distortion.sfdr"]
    true = -20 * math.log10(_harmonics(bench, -1.0)[0])
    assert abs(reading.value - true) < 1.5 * reading.expanded
    assert reading.bound == ""


def test_sfdr_of_a_clean_device_is_a_bound(synthetic: Any, declared: Any) -> None:
    """Where nothing is heard, noise and source tell how far down one has looked."""
    reading = _readings(distortion.sfdr, synthetic(setup=declared()))["distortion.sfdr"]
    assert reading.bound == ">="
    assert 85 < reading.value < 105


def test_a_line_that_is_no_harmonic_counts(synthetic: Any, declared: Any) -> None:
    """Lost low bits make no harmonic of note; a bend at the rails does, up to high orders."""
    bench = synthetic(setup=declared(), clip_uv=8_000.0)
    found = _readings(distortion.sfdr, bench)["distortion.sfdr"]
    thd = _readings(distortion.thd, bench)["distortion.thd.1dbfs"]
    assert thd.value > 1
    assert found.value < 40


def test_imd_is_that_of_the_bend(synthetic: Any, declared: Any) -> None:
    """Sum, difference and both third-order products of two sines are what formulas say."""
    bench = synthetic(setup=declared(), **BENT)
    reading = _readings(distortion.imd, bench)["distortion.imd"]
    low, high = np.abs(bench.response(np.array([1.135, 5.3]) * bench.setup.mid_hz)) * (
        10 ** (-1 / 20) / 2
    )
    products = (
        bench.second_order * low * high * math.sqrt(2),
        0.75 * bench.third_order * low * high * math.hypot(low, high),
    )
    true = 100 * math.hypot(*products) / math.hypot(low, high)
    assert abs(reading.value - true) < 2 * reading.expanded + 0.01 * true


@pytest.mark.parametrize("bits", [12, 24])
def test_enob_is_that_of_noise_and_rounding(synthetic: Any, declared: Any, bits: int) -> None:
    """A converter of 12 bits has 11.8 of them a decibel below its range."""
    bench = synthetic(setup=declared(bits=bits, orders=(2, 8)), noise_uv=1.0)
    reading = _readings(distortion.enob, bench)["enob"]
    f = np.linspace(1.0, 24_000.0, 50_000)
    noise = np.trapezoid(np.abs(bench.response(f)) ** 2, f) / 10_000
    step = bench.setup.device.scale_uv_per_count
    size = 10_000 * 10 ** (-1 / 20) * abs(bench.response(np.array([227.0]))[0])
    true = (10 * math.log10(size**2 / 2 / (noise + step**2 / 12)) - 1.76) / 6.02
    assert abs(reading.value - true) < max(1.5 * reading.expanded, 0.01)
