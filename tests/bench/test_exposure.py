"""What a playback does at worst, by pencil."""

from dataclasses import replace

import numpy as np
import pytest

from emgsim.bench.exposure import ABSENT, exposure, playback_s, refuse_harm, rules
from emgsim.bench.parts import FixtureState
from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import SafetyError
from emgsim.instruments.base import SourceSettings

PLAIN = SourceSettings(rate_hz=1000.0, vpp_open_v=4.0, filter="OFF")
RAMP = np.array([0.0, 1.0, 2.0, 1.0])  # mean 1 V, steepest 1 V a point
COMMON = FixtureState(differential=0.0, common=0.5, input_ohm=9950.0)


def test_every_figure_of_a_ramp_is_as_the_pencil_says(rig: Rig):
    """2 V open, x 10010/10060 / 1001 = 0.994 mV/V, and 0.1 % of uncertainty on top."""
    found = exposure(RAMP, PLAIN, rig, rig.fixture.through)
    per_volt_mv = 10_010 / 10_060 / 1001 * 1.001 * 1e3
    assert found.source_peak_v == 2.0
    assert found.device_peak_mv == pytest.approx(2 * per_volt_mv, rel=1e-6)
    assert found.device_dc_mv == pytest.approx(per_volt_mv, rel=1e-6)
    assert found.device_slew_v_per_s == pytest.approx(per_volt_mv, rel=1e-6)  # mV/V x 1000 points/s
    assert found.common_mode_peak_v == 0.0
    assert found.on_s == 0.004


def test_the_offset_counts_and_the_scale_does_not_scale_it(rig: Rig):
    """Half of 2 V, and -3 V: 4 V at worst, as signs are not relied upon."""
    found = exposure(RAMP, replace(PLAIN, offset_open_v=-3.0), rig, rig.fixture.through, scale=0.5)
    assert found.source_peak_v == 4.0
    assert found.device_dc_mv == pytest.approx(2.5 * 0.99503 / 1001 * 1.001 * 1e3, rel=1e-5)


def test_a_state_that_drives_both_inputs_is_limited_by_its_common_mode(rig: Rig):
    """2 V x 9950/10000 x 0.5 = 0.995 V of common mode under the limit of 1 V; no differential."""
    found = exposure(RAMP, PLAIN, rig, COMMON)
    assert found.common_mode_peak_v == pytest.approx(0.995)
    assert found.device_peak_mv == 0.0
    refuse_harm(found, rig, COMMON)
    more = exposure(1.01 * RAMP, PLAIN, rig, COMMON)
    with pytest.raises(SafetyError, match=r"refused 1.005 V of common mode at the device"):
        refuse_harm(more, rig, COMMON)


def test_the_worst_point_of_a_certificate_counts(rig: Rig):
    """One that found a hundredth more at some frequency: 1.01 x 1.002, and not 1.001."""
    declared = rig.fixture.through
    assert declared.certificate is not None
    points = ({"frequency_hz": 10.0, "relative": 1.01, "expanded_uncertainty": 0.002},)
    certified = type(declared.certificate).model_validate(
        declared.certificate.model_dump() | {"points": points}
    )
    state = declared.model_copy(update={"certificate": certified})
    plain, worst = (exposure(RAMP, PLAIN, rig, each).device_peak_mv for each in (declared, state))
    assert worst / plain == pytest.approx(1.01 * 1.002 / 1.001)


def test_beside_an_offset_a_waveform_is_counted_exactly(rig: Rig):
    """A sine of 0.99 of what 300 mV leave of the limit is allowed: its overshoot is worked out."""
    state = FixtureState(
        differential=0.01, input_ohm=10_000.0, offset_mv=300.0, device_differential_mv_pk=308.0
    )
    sine = np.sin(2 * np.pi * np.arange(4000) / 100)
    peak_v = 0.99 * 8e-3 / (0.01 * 10_000 / 10_050)
    settings = SourceSettings(rate_hz=100_000.0, vpp_open_v=2.1 * peak_v)
    found = exposure(peak_v * sine, settings, rig, state)
    assert found.device_peak_mv == pytest.approx(300 + 0.99 * 8, abs=0.05)
    refuse_harm(found, rig, state)


def test_a_jump_counts_with_the_overshoot_of_the_filter(rig: Rig):
    """7.9 mV on points that jump are more than 8 mV behind the filter, and 7.9 without it."""
    jump = np.repeat([0.0, 7.9 * 1.0050], 200) / 0.999 / 1.001
    plain = exposure(jump, replace(PLAIN, vpp_open_v=20.0), rig, rig.fixture.through)
    assert plain.device_peak_mv == pytest.approx(7.9, abs=0.01)
    rings = exposure(jump, replace(PLAIN, vpp_open_v=20.0, filter="NORM"), rig, rig.fixture.through)
    assert rings.device_peak_mv == pytest.approx(7.9 * 1.128, abs=0.1)  # 5th-order Butterworth


def test_without_a_divider_the_device_sees_all_of_it(rig: Rig):
    """2 V open are 2000 mV; the refusal says that nobody has verified the divider."""
    found = exposure(RAMP, PLAIN, rig, ABSENT)
    assert found.device_peak_mv == pytest.approx(2000.0)
    with pytest.raises(SafetyError, match="as long as nobody has verified") as caught:
        refuse_harm(found, rig, ABSENT)
    assert "probe" in caught.value.todo


def test_an_offset_of_the_fixture_adds_to_the_peak(rig: Rig):
    """+-300 mV in series with the input are 300 mV, whatever is played."""
    state = FixtureState(differential=0.001, input_ohm=1e4, offset_mv=-300.0,
                         device_differential_mv_pk=310.0)
    found = exposure(RAMP, PLAIN, rig, state)
    assert found.device_peak_mv == pytest.approx(302, abs=0.1)
    refuse_harm(found, rig, state)


def test_the_optional_limits_hold_when_they_are_set():
    """Slew 1 V/s at the device and 0.5 mV of direct voltage: the ramp breaks the second."""
    rig = load_rig("virtual", overrides=[
        "limits.device_slew_v_per_s=1", "limits.device_dc_mv=0.5"])
    found = exposure(RAMP, PLAIN, rig, rig.fixture.through)
    assert [rule.name for rule in rules(found, rig, rig.fixture.through) if not rule.is_kept] == [
        "device_dc_mv"]
    with pytest.raises(SafetyError, match=r"0.995\d* mV of direct voltage"):
        refuse_harm(found, rig, rig.fixture.through)


@pytest.mark.parametrize(("rate_hz", "cycles"), [
    (0.0, 1), (float("nan"), 1), (-1.0, 1), (1000.0, float("inf")), (1000.0, -1)])
def test_a_playback_of_no_length_is_refused(rig: Rig, rate_hz, cycles):
    """What has no finite, positive length breaks the limit of the time."""
    settings = replace(PLAIN, rate_hz=rate_hz, cycles=cycles)
    assert not 0 <= playback_s(RAMP, settings) <= rig.limits.max_on_s
    with pytest.raises(SafetyError, match=r"max_on_s|of playback"):
        refuse_harm(exposure(RAMP, settings, rig, rig.fixture.through), rig, rig.fixture.through)
