"""What a device does after it was driven far over its range."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emgsim.metrology import overload
from emgsim.metrology.procedure import Measuring

DIRECT = {"rate_hz": 12_000.0, "band_hz": (0.0, 2_500.0), "orders": (0, 3)}


def _slow(bench: Any, hold_s: float) -> Any:
    """Let the output stay at the rail for so long after it was there."""
    play, rail_uv = bench.play, 0.999 * bench.setup.device.range_uv

    def held(stimulus: Any) -> Any:
        acquired = play(stimulus)
        full = np.abs(acquired.uv[:, 0]) >= rail_uv
        latest = np.maximum.accumulate(np.where(full, np.arange(full.size), -(10**9)))
        is_held = np.arange(full.size) - latest < hold_s * acquired.rate_hz
        uv = acquired.uv.copy()
        uv[is_held, 0] = np.sign(uv[latest[is_held], 0]) * rail_uv
        return replace(acquired, uv=uv)

    bench.play = held
    return bench


def test_a_device_without_memory_is_back_at_once(synthetic: Any, declared: Any) -> None:
    """As soon as its low-pass has settled."""
    bench = synthetic(setup=declared(**DIRECT))
    for reading in overload.overload_recovery(Measuring(bench)):
        assert 0 < reading.value < 1.2


@pytest.mark.parametrize("hold_s", [0.004, 0.018])
def test_a_stuck_output_is_timed(synthetic: Any, declared: Any, hold_s: float) -> None:
    """To a sample and a half, of which six pulses leave a fraction uncertain."""
    bench = _slow(synthetic(setup=declared(**DIRECT)), hold_s)
    pulse, burst = overload.overload_recovery(Measuring(bench))
    sample_ms = 1e3 / 12_000.0
    falls_ms = 0.5 / 2.5  # behind the low-pass, from ten times the range to the rail
    assert pulse.value == pytest.approx(1e3 * hold_s + falls_ms, abs=1.5 * sample_ms)
    assert burst.value > 1e3 * hold_s - 6.0  # the sine left the rail before it ended
    assert pulse.expanded < sample_ms


def test_a_high_pass_swings_back(synthetic: Any, declared: Any) -> None:
    """Of order 1: ``ln(P (1 - exp(-w T)) / (0.1 of the range)) / w`` after the pulse."""
    setup = declared(rate_hz=12_000.0, band_hz=(20.0, 2_500.0), orders=(1, 3))
    bench = synthetic(setup=setup, noise_uv=1.0)
    reading = overload.overload_recovery(Measuring(bench))[0]
    peak_uv = overload.overloads_of(setup).segments[1].facts["peak_uv"]
    turn = 2 * math.pi * 20.0
    expected_s = math.log(peak_uv * (1 - math.exp(-turn * 1e-3)) / 1_000.0) / turn
    assert reading.value == pytest.approx(1e3 * expected_s, abs=0.3)


def test_a_device_that_stays_away_has_a_bound(synthetic: Any, declared: Any) -> None:
    """It is not back before the next overload: at least so long."""
    bench = _slow(synthetic(setup=declared(**DIRECT)), 0.3)
    for reading in overload.overload_recovery(Measuring(bench)):
        assert reading.bound == ">="
        assert reading.value == pytest.approx(100.0, abs=1.0)


def test_an_overload_is_no_more_than_fixture_and_source_allow(declared: Any) -> None:
    """Ten times the range, or the state's largest."""
    setup = declared(**DIRECT)
    state = replace(setup.states["overload"], largest_uv=50_000.0)
    small = replace(setup, states={**setup.states, "overload": state})
    assert overload.overloads_of(small).peak_uv <= 50_000.0
    peak_uv = overload.overloads_of(setup).segments[1].facts["peak_uv"]
    assert peak_uv == pytest.approx(10 * setup.device.range_uv)
