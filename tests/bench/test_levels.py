"""The level plan's numbers, each checked with a pencil."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from emgsim.bench.levels import plan_levels, share_in_band
from emgsim.bench.program import Program
from emgsim.bench.rig import Rig
from emgsim.errors import SafetyError, UsageError

RATE_HZ = 48_000.0
RATIO, LOAD = 1 / 1001, 10_010 / 10_060


@dataclass(frozen=True)
class Generator:
    """Limits of a small generator."""

    max_points: int = 1_000_000
    max_rate_hz: float = 250e6
    max_vpp_open_v: float = 20.0
    min_rate_hz: float = 0.0
    holds: bool = True


def sine(peak_uv: float, duration_s: float = 1.0) -> Program:
    """Return a program that is one 100 Hz sine."""
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    silence = (0.0, np.zeros(1))
    return Program(samples_uv=peak_uv * np.sin(2 * np.pi * 100 * t), rate_hz=RATE_HZ,
                   recording_start_s=0.0, markers=(silence, silence))


def test_one_millivolt_becomes_a_volt_at_the_source(rig: Rig):
    """1000 uV need 1000 uV x 1001 x 10 060 / 10 010 = 1.006 V, so 2.052 Vpp with 2 % headroom.

    At 100 Hz of 100 kSa/s the lift against droop is (pi / 1000)^2 / 6 = 1.6 ppm more.
    """
    plan, volts = plan_levels(sine(1000.0), rig, Generator(), 10_000.0)
    assert plan.ratio == pytest.approx(RATIO, rel=1e-9)
    assert plan.load_factor == pytest.approx(LOAD, rel=1e-12)
    assert np.ptp(volts) / 2 == pytest.approx(1.006 * (1 + 1.645e-6), rel=1e-8)
    assert plan.vpp_open_v == 2.052  # 2 x 1.006 x 1.02 = 2.05224, four digits
    assert plan.peak_at_device_uv == pytest.approx(1000.001645, rel=1e-8)
    # 2.052 V / 65535 = 31.31 uV at the source, x 0.9990e-3 x 0.9950 at the device
    assert plan.lsb_at_device_uv == pytest.approx(2.052 / 65535 * RATIO * LOAD * 1e6, rel=1e-9)
    assert plan.lsb_at_device_uv == pytest.approx(0.03112, abs=1e-5)


def test_the_rate_is_ten_times_the_band_when_memory_allows(rig: Rig):
    """One second at 10 x 10 kHz is 100 000 points."""
    plan, volts = plan_levels(sine(1000.0), rig, Generator(), 10_000.0)
    assert (plan.source_rate_hz, plan.n_points, volts.size) == (100_000.0, 100_000, 100_000)
    assert plan.duration_s == 1.0


def test_a_long_program_takes_the_fastest_whole_kilohertz_that_fits(rig: Rig):
    """13 s in 1 000 000 points: 76 923 Sa/s, so 76 000."""
    plan, volts = plan_levels(sine(1000.0, 13.0), rig, Generator(), 10_000.0)
    assert (plan.source_rate_hz, volts.size) == (76_000.0, 988_000)


def test_a_slow_generator_gives_its_own_rate(rig: Rig):
    """The generator's clock is a bound of its own."""
    plan, _ = plan_levels(sine(1000.0), rig, Generator(max_rate_hz=40_500.0), 10_000.0)
    assert plan.source_rate_hz == 40_000.0


def test_silence_gets_the_smallest_swing(rig: Rig):
    """A generator cannot swing less than 20 mVpp, whatever is asked."""
    plan, _ = plan_levels(sine(1e-6), rig, Generator(), 10_000.0)
    assert plan.vpp_open_v == 0.02


def test_the_points_stay_inside_the_swing(rig: Rig):
    """No point is clipped by the rounding of the swing to four digits."""
    for peak_uv in (123.4, 999.9, 1234.56, 7654.3):
        plan, volts = plan_levels(sine(peak_uv), rig, Generator(), 10_000.0)
        assert np.max(np.abs(volts)) <= plan.vpp_open_v / 2


def test_a_playback_that_is_too_long_names_the_longest_possible(rig: Rig):
    """1 000 000 points at twice 10 kHz hold 50 s."""
    with pytest.raises(UsageError, match=r"51 s .* 1000000 points.* longest possible is 50 s") as e:
        plan_levels(sine(1000.0, 51.0), rig, Generator(), 10_000.0)
    assert e.value.exit_code == 2
    plan, _ = plan_levels(sine(1000.0, 50.0), rig, Generator(), 10_000.0)
    assert plan.source_rate_hz == 20_000.0


def test_a_program_over_the_devices_limit_is_refused(rig: Rig):
    """The virtual rig's device may see 8 mV peak and no more."""
    with pytest.raises(SafetyError, match=r"8\.1 mV peak, more than the limit of 8 mV") as caught:
        plan_levels(sine(8100.0), rig, Generator(), 10_000.0)
    assert "limits.device_differential_mv_pk" in caught.value.where
    assert plan_levels(sine(7900.0), rig, Generator(), 10_000.0)[0].vpp_open_v < 20


@pytest.mark.parametrize(
    ("source_v_pk", "most_v", "named"), [(1.0, 20.0, "2 Vpp"), (10.0, 1.5, "1.5 Vpp")]
)
def test_a_swing_over_the_sources_limit_is_refused(rig: Rig, source_v_pk, most_v, named):
    """Both the rig's limit and what the generator can do bound the swing."""
    limits = rig.limits.model_copy(update={"source_v_pk": source_v_pk})
    with pytest.raises(SafetyError, match=f"2.052 Vpp, more than {named}"):
        plan_levels(sine(1000.0), rig.model_copy(update={"limits": limits}),
                    replace(Generator(), max_vpp_open_v=most_v), 10_000.0)


def test_the_table_holds_every_number_of_the_plan(rig: Rig):
    """The journal gets the plan as plain values."""
    plan, _ = plan_levels(sine(1000.0), rig, Generator(), 10_000.0)
    table = plan.table()
    assert table["vpp_open_v"] == plan.vpp_open_v
    assert set(table) == set(plan.__dataclass_fields__)
    assert all(isinstance(value, float | int) for value in table.values())


def tones(*peaks_uv_at_hz: tuple[float, float]) -> Program:
    """Return one second of tones between two markers of silence."""
    t = np.arange(round(RATE_HZ)) / RATE_HZ
    total_uv = sum(peak * np.sin(2 * np.pi * hz * t) for peak, hz in peaks_uv_at_hz)
    nothing = np.zeros(1)
    return Program(samples_uv=np.asarray(total_uv), rate_hz=RATE_HZ, recording_start_s=0.0,
                   markers=((0.0, nothing), (1.0, nothing)))


def test_a_device_that_does_not_pass_the_recording_is_not_judged_by_it(rig: Rig):
    """Tones of 300 and 400 uV: 9 and 16 parts of the power; 36 % lie below 65 Hz."""
    program = tones((300.0, 20.0), (400.0, 500.0))
    assert share_in_band(program, 65.0) == pytest.approx(0.36)
    with pytest.raises(UsageError, match="up to 65 Hz, where 36 % of the recording's power lies"):
        plan_levels(program, rig, Generator(), 65.0)
    plan_levels(program, rig, Generator(), 600.0)


def test_silence_lies_in_every_band(rig: Rig):
    """A recording of nothing is no reason to refuse a device."""
    assert share_in_band(tones((0.0, 20.0)), 65.0) == 1.0
