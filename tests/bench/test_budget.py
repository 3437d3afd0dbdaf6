"""The noise budget's rows, each checked with a pencil."""

import math

import pytest

from emgsim.bench.budget import device_budget, loopback_budget, total_uv
from emgsim.bench.levels import LevelPlan
from emgsim.bench.rig import Rig

PLAN = LevelPlan(
    source_rate_hz=100_000.0, n_points=100_000, vpp_open_v=2.052, peak_at_device_uv=1000.0,
    lsb_at_device_uv=0.03113, duration_s=1.0, ratio=1 / 1001, load_factor=10_010 / 10_060,
)


def device_rows(rig: Rig, plan: LevelPlan = PLAN) -> dict[str, float]:
    """Return the device's rows by name."""
    rows = device_budget(plan, rig, band_hz=10_000.0, noise_uv_rms=0.6, lsb_uv=0.00119)
    return {str(row["name"]): float(row["uv_rms"]) for row in rows}


def test_twelve_kilohm_give_one_point_four_microvolts(rig: Rig):
    """Johnson: sqrt(4 x 1.380649e-23 x 295 x 12 010 x 10 000) = 1.3987 uV, 1.40 rounded."""
    value = device_rows(rig)["thermal noise of electrode and divider"]
    assert value == pytest.approx(1e6 * math.sqrt(4 * 1.380649e-23 * 295 * 12_010 * 1e4), rel=1e-6)
    assert round(value, 2) == 1.40


def test_the_sources_noise_is_divided_like_its_signal(rig: Rig):
    """0.2 mV at the open output x 0.995 / 1001 = 0.199 uV at the device."""
    assert device_rows(rig)["noise of the source"] == pytest.approx(0.1988, abs=1e-4)


def test_quantisation_noise_counts_within_the_devices_band(rig: Rig):
    """0.03113 uV / sqrt(12), of which a 10 kHz band sees sqrt(20 / 100)."""
    expected = 0.03113 / math.sqrt(12) * math.sqrt(0.2)
    assert device_rows(rig)["quantisation of the source"] == pytest.approx(expected)


def test_a_slow_generator_has_all_its_quantisation_noise_in_the_band(rig: Rig):
    """The share of the band is never more than the whole."""
    slow = LevelPlan(**{**PLAN.table(), "source_rate_hz": 12_000.0})
    expected = 0.03113 / math.sqrt(12)
    assert device_rows(rig, slow)["quantisation of the source"] == pytest.approx(expected)


def test_the_total_is_the_root_of_the_squares(rig: Rig):
    """Independent noises add in power; the total is the last row."""
    rows = device_rows(rig)
    *parts, last = rows
    assert last == "total"
    assert rows["total"] == pytest.approx(math.hypot(*(rows[name] for name in parts)))
    assert rows["total"] == pytest.approx(1.535, abs=0.001)  # of 1.399, 0.6, 0.199 and less


def test_the_loopback_has_the_scopes_noise_and_no_electrode(rig: Rig):
    """2.5 V range: 2e-4 of it is 0.5 mV or 0.4995 uV at the device; an LSB of 12 bits 0.176 uV."""
    rows = loopback_budget(PLAN, rig, rate_hz=200_000.0, range_v=2.5)
    values = {str(row["name"]): float(row["uv_rms"]) for row in rows}
    assert values["scope noise"] == pytest.approx(0.4995, abs=1e-4)
    assert values["quantisation of the scope"] == pytest.approx(0.1760, abs=1e-4)
    assert values["noise of the source"] == pytest.approx(0.1988 * math.sqrt(10), abs=3e-4)
    assert not any("thermal" in name for name in values)
    assert total_uv(rows) == values["total"]
