import base64
import json
import zlib

import numpy as np
import pytest

from emgsim.recording import Channel, Recording
from emgsim.report.material import Material
from emgsim.report.waveforms import LOST, packed, viewer_json


def recording(samples_uv: np.ndarray) -> Recording:
    return Recording(samples_uv=samples_uv[:, None], rate_hz=1000.0, channels=(Channel(name="a"),))


def unpacked(trace: dict) -> np.ndarray:
    """Decode as the page's script does: two planes of bytes, sums that wrap at 16 bits."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(trace["data"])), np.uint8)
    low, high = planes.reshape(2, -1).astype(np.int64)
    steps = np.cumsum(low | (high << 8)).astype(np.int16)
    return np.where(steps == LOST, np.nan, steps * trace["step_uv"])


@pytest.mark.parametrize("scale_uv", [0.0, 1.0, 300.0, 6e3, 2e6])
def test_packed_samples_come_back_within_half_a_step(scale_uv: float) -> None:
    """No sample is off by more than half a step, and the step is a 64000th of the range or fine."""
    samples_uv = scale_uv * np.random.default_rng(1).standard_normal(5000)
    samples_uv[100:120] = np.nan
    trace = packed(recording(samples_uv))
    assert trace["step_uv"] <= max(0.25, np.nanmax(np.abs(samples_uv)) / 31_999)
    assert trace["n"] == 5000
    assert np.nanmax(np.abs(unpacked(trace) - samples_uv)) <= trace["step_uv"] * 0.5001
    np.testing.assert_array_equal(np.isnan(unpacked(trace)), np.isnan(samples_uv))


def test_a_trace_past_the_budget_keeps_its_extremes() -> None:
    """Blocks keep their smallest and largest value, so no spike is lost from the picture."""
    samples_uv = 50 * np.random.default_rng(1).standard_normal(20_001)
    samples_uv[7_777], samples_uv[400:800] = 900.0, np.nan
    trace = packed(recording(samples_uv), budget=4_000)
    assert len(trace["data"]) <= 4_000
    assert trace["block"] > 1
    assert trace["rate_hz"] == 2000.0 / trace["block"]
    shown_uv = unpacked(trace)
    assert np.nanmax(shown_uv) == pytest.approx(900.0, abs=0.25)
    assert np.nanmin(shown_uv) == pytest.approx(np.nanmin(samples_uv), abs=0.25)
    assert np.isnan(shown_uv).any()


@pytest.mark.parametrize("n", [0, 1])
def test_a_recording_of_next_to_nothing_can_be_packed(n: int) -> None:
    """Empty and single-sample recordings are no error."""
    assert packed(recording(np.zeros(n)))["n"] == n


def test_a_recording_in_which_all_is_lost_can_be_packed() -> None:
    """A dead link leaves NaN only."""
    trace = packed(recording(np.full(5000, np.nan)), budget=10)
    assert np.isnan(unpacked(trace)).all()


def test_steps_become_coarse_before_samples_are_left_out() -> None:
    """Between the two budgets all samples stay, in steps of half a microvolt."""
    samples_uv = 50 * np.random.default_rng(1).standard_normal(20_000)
    n_fine = len(packed(recording(samples_uv))["data"])
    trace = packed(recording(samples_uv), budget=n_fine - 1)
    assert (trace["block"], trace["step_uv"]) == (1, 0.5)
    assert np.max(np.abs(unpacked(trace) - samples_uv)) <= 0.2501


def test_what_a_short_recording_leaves_goes_to_a_long_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A budget that fits both is not cut in halves."""
    monkeypatch.setattr("emgsim.report.waveforms.LEAST_BUDGET", 1)
    rng = np.random.default_rng(1)
    both = {"loopback": recording(50 * rng.standard_normal(40_000)),
            "truth": recording(50 * rng.standard_normal(5_000))}  # fmt: skip
    needed = sum(len(packed(one)["data"]) for one in both.values())
    data = json.loads(viewer_json(Material(recordings=both), budget=needed + 10))
    assert [(t["path"], t["block"], t["step_uv"]) for t in data["traces"]] == [
        ("loopback", 1, 0.25), ("truth", 1, 0.25)]  # fmt: skip
    assert sum(len(t["data"]) for t in data["traces"]) <= needed + 10
