"""Gain and phase over frequency."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from emgsim.metrology import band
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Reading


def _one(measure: Any, measuring: Measuring) -> Reading:
    (reading,) = measure(measuring)
    return reading


def _corner_hz(bench: Any, low_hz: float, high_hz: float) -> float:
    """Return where the true gain is 3 dB below that at mid-band."""
    mid = abs(bench.response(np.array([bench.setup.mid_hz]))[0])
    return float(
        optimize.brentq(
            lambda f: abs(bench.response(np.array([f]))[0]) / mid - math.sqrt(0.5), low_hz, high_hz
        )
    )


@pytest.mark.parametrize(
    ("orders", "declared_hz", "true_hz"),
    [
        ((2, 4), (10.0, 10_000.0), (11.3, 9_100.0)),
        ((1, 2), (30.0, 2_000.0), (27.0, 2_210.0)),
    ],
)
def test_both_corners_are_found_where_they_are(
    synthetic: Any,
    declared: Any,
    orders: tuple[int, int],
    declared_hz: tuple[float, float],
    true_hz: tuple[float, float],
) -> None:
    """Corners a tenth off are found to a few parts in ten thousand, as is said."""
    setup = declared(orders=orders, band_hz=declared_hz)
    bench = synthetic(setup=setup, corners_hz=true_hz, gain=-1.04, device_ppm=150.0, seed=3)
    measuring = Measuring(bench)
    low, high = _one(band.low_corner, measuring), _one(band.high_corner, measuring)
    mid_hz = setup.mid_hz
    assert abs(low.value - _corner_hz(bench, 5.0, mid_hz)) < 1.5 * low.expanded
    assert abs(high.value - _corner_hz(bench, mid_hz, 15_000.0)) < 1.5 * high.expanded
    assert low.expanded < 1e-3 * low.value
    assert high.expanded < 1e-3 * high.value


def test_a_device_coupled_down_to_dc_has_no_low_corner(synthetic: Any, declared: Any) -> None:
    """It is told so, and its high corner, ripple and delay are measured all the same."""
    setup = declared(orders=(0, 4), band_hz=(0.0, 5_000.0), rate_hz=24_000.0)
    bench = synthetic(setup=setup, corners_hz=(0.0, 5_300.0))
    measuring = Measuring(bench)
    low = _one(band.low_corner, measuring)
    assert math.isnan(low.value)
    assert "DC" in low.note
    high = _one(band.high_corner, measuring)
    assert abs(high.value - _corner_hz(bench, 200.0, 9_000.0)) < 1.5 * high.expanded
    spread = _one(band.group_delay_spread, measuring)
    assert abs(spread.value - _spread_us(bench, 100.0, 2_500.0)) < 1.5 * spread.expanded


def test_a_corner_that_is_nowhere_near_is_no_value(synthetic: Any, declared: Any) -> None:
    """A high-pass of 1 Hz where 10 Hz are declared is told as such."""
    bench = synthetic(setup=declared(), corners_hz=(1.0, 10_000.0))
    low = _one(band.low_corner, Measuring(bench))
    assert math.isnan(low.value)
    assert "-3 dB" in low.note


def test_a_mains_notch_is_found_with_its_depth(synthetic: Any, declared: Any) -> None:
    """A notch of 49.6 Hz takes what its formula says at 50 and at 60 Hz."""
    bench = synthetic(setup=declared(), notch_hz=49.6, notch_q=8.0, noise_uv=0.3)
    measuring = Measuring(bench)
    found = band.notch(measuring)
    assert [r.id for r in found] == ["notch.depth.50hz", "notch.depth.60hz"]
    clean = synthetic(setup=bench.setup)
    for reading, mains_hz in zip(found, (50.0, 60.0), strict=True):
        at = np.array([mains_hz, bench.setup.mid_hz])
        gains = np.abs(bench.response(at) / clean.response(at))
        true_db = -20 * math.log10(gains[0] / gains[1])
        assert abs(reading.value - true_db) < 2 * reading.expanded + 1e-3
    assert found[0].value > 10
    ripple = _one(band.ripple, measuring)
    assert ripple.value > 10


def test_ripple_is_what_the_declared_corners_do_not_explain(synthetic: Any, declared: Any) -> None:
    """A device as declared has none; one whose corner is off has what its formula says."""
    setup = declared()
    assert _one(band.ripple, Measuring(synthetic(setup=setup))).value < 0.01
    bench = synthetic(setup=setup, corners_hz=(12.0, 10_000.0), seed=2)
    f = np.array([15.0, setup.mid_hz])
    gains = np.abs(bench.response(f) / synthetic(setup=setup).response(f))
    reading = _one(band.ripple, Measuring(bench))
    assert abs(reading.value - abs(20 * math.log10(gains[0] / gains[1]))) < 1.5 * reading.expanded
    assert "15 Hz" in reading.conditions


def test_no_high_pass_rings_beside_a_sine(synthetic: Any, declared: Any) -> None:
    """Of a device without noise that is as declared the steps are right to 5 in 100 000."""
    setup = declared(band_hz=(30.0, 2_000.0), orders=(1, 2), rate_hz=10_000.0)
    reading = _one(band.ripple, Measuring(synthetic(setup=setup, noise_uv=0.01)))
    assert reading.value < 4e-4


def _spread_us(bench: Any, low_hz: float, high_hz: float) -> float:
    f = np.geomspace(low_hz, high_hz, 2000)
    step = 1e-4 * f
    turned = np.angle(bench.response(f + step) / bench.response(f - step))
    return float(1e6 * np.ptp(turned / (4 * np.pi * step)))


def test_the_spread_of_the_group_delay_is_that_of_the_filters(
    synthetic: Any, declared: Any
) -> None:
    """Neither a clock 200 ppm off nor an inverted output is taken for delay."""
    bench = synthetic(setup=declared(), gain=-1.0, device_ppm=-200.0, corners_hz=(13.0, 9_000.0))
    reading = _one(band.group_delay_spread, Measuring(bench))
    assert abs(reading.value - _spread_us(bench, 100.0, 3_000.0)) < 1.5 * reading.expanded
    assert reading.expanded < 5.0


@pytest.mark.slow
def test_the_uncertainty_of_the_response_is_that_of_its_noise(
    synthetic: Any, declared: Any
) -> None:
    """Over ten devices, corners and delays scatter as they say."""
    setup = declared(band_hz=(20.0, 4_000.0), rate_hz=20_000.0, bits=18)
    off = []
    for seed in range(10):
        bench = synthetic(setup=setup, corners_hz=(21.0, 3_900.0), noise_uv=1.0, seed=seed)
        measuring = Measuring(bench)
        for measure, true in (
            (band.low_corner, _corner_hz(bench, 5.0, 200.0)),
            (band.high_corner, _corner_hz(bench, 200.0, 8_000.0)),
            (band.group_delay_spread, _spread_us(bench, 100.0, 2_000.0)),
        ):
            reading = _one(measure, measuring)
            off.append((reading.value - true) / reading.standard)
    assert 0.7 < np.sqrt(np.mean(np.square(off))) < 1.35
