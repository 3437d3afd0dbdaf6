"""Measures of known waveforms: by pencil, and by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emgsim.measures import (
    DURATION_RULES,
    blocking_share,
    durations_ms,
    jitter_measures,
    mean_consecutive_difference_us,
    mean_sorted_difference_us,
    muap_measures,
    quiet_baseline_uv,
)

RATE_HZ = 48_000.0
LEVEL_RULES = ("dur_20uv", "dur_10uv", "dur_5uv", "dur_3uv")  # each below the one before

seeds = st.integers(0, 2**32 - 1)


def times_ms(length_ms: float = 40.0, rate_hz: float = RATE_HZ) -> np.ndarray:
    """Return the times of samples from 0 to a length, end included."""
    return np.arange(round(length_ms * rate_hz / 1000) + 1) * 1000 / rate_hz


def triangle(t_ms: np.ndarray, at_ms: float, height_uv: float, half_ms: float) -> np.ndarray:
    """Return a triangle: its peak at a time, its feet half a width away."""
    return height_uv * np.clip(1 - np.abs(t_ms - at_ms) / half_ms, 0, None)


def bump(t_ms: np.ndarray, at_ms: float, height_uv: float, sigma_ms: float) -> np.ndarray:
    """Return a Gaussian bump."""
    return height_uv * np.exp(-0.5 * ((t_ms - at_ms) / sigma_ms) ** 2)


def smooth_muap(seed: int, rate_hz: float = RATE_HZ) -> np.ndarray:
    """Return a random MUAP of bumps in 40 ms: positive, negative main spike, positive, notches."""
    rng = np.random.default_rng(seed)
    t = times_ms(rate_hz=rate_hz)
    wave = bump(t, 20, -rng.uniform(100, 2000), rng.uniform(0.12, 0.4))
    for _ in range(rng.integers(1, 6)):
        height = rng.uniform(-300, 300)
        wave += bump(t, rng.uniform(17, 23), height, rng.uniform(0.12, 1.5))
    return wave


def main_spike(height_uv: float = -500.0) -> np.ndarray:
    """Return a spike of one phase at 10 ms of 40 ms."""
    return triangle(times_ms(), 10, height_uv, 1.0)


# -- by pencil -------------------------------------------------------------------------------------


def test_a_triangle_is_measured_as_with_a_pencil() -> None:
    """400 uV high, 2 ms wide: above 20 uV for 1.9 ms, where its area is 399 uV ms.

    A corner is no band-limited signal: it comes out 0.2 % too high.
    """
    found = muap_measures(-triangle(times_ms(), 10, 400, 1.0), RATE_HZ, rule="dur_20uv")
    assert found.amplitude_uv == pytest.approx(400, rel=3e-3)
    assert found.duration_ms == pytest.approx(1.9, abs=0.011)
    assert found.start_ms == pytest.approx(9.05, abs=0.006)
    assert found.area_uv_ms == pytest.approx(400 - 2 * 0.5 * 0.05 * 20, rel=2e-3)
    assert found.thickness_ms == pytest.approx(399 / 400, rel=3e-3)
    assert found.size_index == pytest.approx(2 * np.log10(0.4) + 399 / 400, abs=0.003)
    assert (found.phases, found.turns, found.satellites) == (1, 1, 0)
    assert np.isnan(found.rise_time_us)
    assert np.isnan(found.spike_duration_ms)


def test_a_triphasic_spike_rises_and_lasts_from_peak_to_peak() -> None:
    """+100, -500, +80 uV at 9, 9.4 and 11 ms: it rises in 400 us, 320 us of them within 10-90 %."""
    knots = np.array([0, 8, 9, 9.4, 11, 13, 40])
    wave = np.interp(times_ms(), knots, [0, 0, 100, -500, 80, 0, 0])
    found = muap_measures(wave, RATE_HZ)
    assert found.rise_time_us == pytest.approx(400, abs=22)
    assert found.rise_time_10_90_us == pytest.approx(320, abs=11)
    assert found.spike_duration_ms == pytest.approx(2.0, abs=0.022)
    assert (found.phases, found.turns) == (3, 3)
    assert not found.is_polyphasic
    assert not found.is_serrated


@pytest.mark.parametrize("half_periods", [1, 2, 3, 4, 5, 6])
def test_every_half_period_of_a_sine_is_a_phase_and_a_turn(half_periods: int) -> None:
    """Area by pencil: 2 A / pi for each half period of 1 ms."""
    t = times_ms()
    wave = np.where((t > 10) & (t < 10 + half_periods), 200 * np.sin(np.pi * (t - 10)), 0)
    found = muap_measures(wave, RATE_HZ, rule="dur_3uv")
    assert found.phases == found.turns == half_periods
    assert found.area_uv_ms == pytest.approx(half_periods * 400 / np.pi, rel=2e-3)
    assert found.is_polyphasic == (half_periods > 4)
    assert found.is_serrated == (half_periods > 5)


@pytest.mark.parametrize(("depth_uv", "turns"), [(24, 1), (45, 1), (60, 3), (200, 3)])
def test_a_notch_is_two_more_turns_from_50_uv_on(depth_uv: float, turns: int) -> None:
    """A notch in the spike's flank makes turns but no phase."""
    knots = np.array([0, 9, 10, 10.5, 11, 12, 40])
    wave = np.interp(times_ms(), knots, [0, 0, -400, -400 + depth_uv, -390, 0, 0])
    found = muap_measures(wave, RATE_HZ)
    assert (found.turns, found.phases) == (turns, 1)
    assert muap_measures(wave, RATE_HZ, turn_uv=depth_uv + 10).turns == 1
    assert muap_measures(wave, RATE_HZ, turn_uv=depth_uv - 15).turns == 3


@pytest.mark.parametrize(("height_uv", "phases"), [(15, 1), (25, 2)])
def test_a_phase_counts_from_20_uv_on(height_uv: float, phases: int) -> None:
    """A small bump on the other side is no phase."""
    wave = main_spike() + triangle(times_ms(), 12.5, height_uv, 1.0)
    assert muap_measures(wave, RATE_HZ).phases == phases


@pytest.mark.parametrize(("notch_uv", "rise_us"), [(10, 1000), (60, 400)])
def test_the_rise_begins_at_the_last_positive_peak(notch_uv: float, rise_us: float) -> None:
    """A shoulder of less than 20 uV on the way down is no peak of its own."""
    wave = np.interp(
        times_ms(), [0, 8, 9, 9.5, 9.6, 10, 12, 40], [0, 0, 100, -50 - notch_uv, -50, -500, 0, 0]
    )
    assert muap_measures(wave, RATE_HZ).rise_time_us == pytest.approx(rise_us, abs=30)


@pytest.mark.parametrize("rule", ["dur_5_5", "dur_20uv", "dur_3uv"])
def test_a_late_bump_is_a_satellite_and_not_duration(rule: str) -> None:
    """50 uV, 8 ms after the spike: counted, timed, and outside of duration and area."""
    late = main_spike() + triangle(times_ms(), 20, 50, 1.0)
    alone, found = (muap_measures(w, RATE_HZ, rule=rule) for w in (main_spike(), late))
    assert found.satellites == 1
    assert found.satellite_starts_ms[0] == pytest.approx(19.2, abs=0.35)
    assert found.duration_ms == pytest.approx(alone.duration_ms, abs=1e-9)
    assert found.area_uv_ms == pytest.approx(alone.area_uv_ms, rel=1e-9)


@pytest.mark.parametrize(("gap_ms", "satellites"), [(1.8, 0), (2.2, 1)])
def test_two_bumps_are_one_muap_below_2_ms_of_quiet(gap_ms: float, satellites: int) -> None:
    """Between 20-uV crossings: the spike's at 10.96 ms, the bump's 0.8 ms before its peak."""
    wave = main_spike() + triangle(times_ms(), 10.96 + gap_ms + 0.8, 100, 1.0)
    found = muap_measures(wave, RATE_HZ, rule="dur_20uv")
    assert found.satellites == satellites
    assert found.duration_ms == pytest.approx(1.92 if satellites else 1.92 + gap_ms + 1.6, abs=0.02)


def test_what_is_below_20_uv_or_before_the_spike_is_no_satellite() -> None:
    """A satellite is late and beyond 20 uV."""
    t = times_ms()
    small = main_spike() + triangle(t, 20, 15, 1.0)
    early = triangle(t, 25, -500, 1.0) + triangle(t, 15, 100, 1.0)
    assert muap_measures(small, RATE_HZ).satellites == 0
    assert muap_measures(early, RATE_HZ).satellites == 0
    assert muap_measures(early, RATE_HZ).start_ms > 23


def test_silence_has_no_duration() -> None:
    """Nothing is made up where nothing is: NaN, and counts of zero."""
    found = muap_measures(np.zeros(2000), RATE_HZ)
    assert found.amplitude_uv == 0
    assert (found.phases, found.turns, found.satellites) == (0, 0, 0)
    for name in ("duration_ms", "area_uv_ms", "thickness_ms", "size_index", "rise_time_us"):
        assert np.isnan(getattr(found, name)), name
    assert all(np.isnan(value) for value in durations_ms(np.zeros(2000), RATE_HZ).values())


def test_the_baseline_is_read_where_it_is_quietest() -> None:
    """A MUAP on an offset of 30 uV gives the offset."""
    rng = np.random.default_rng(1)
    wave = main_spike() + 30 + rng.normal(0, 0.5, times_ms().size)
    assert quiet_baseline_uv(wave, RATE_HZ) == pytest.approx(30, abs=0.2)


@pytest.mark.parametrize(
    ("wave", "arguments", "says"),
    [
        (np.zeros((9, 1)), {}, r"expected \(n_samples,\) with n >= 2, got \(9, 1\)"),
        (np.zeros(1), {}, r"got \(1,\)"),
        (np.array([0, 1, np.nan, 0]), {}, "must be finite, got nan at sample 2"),
        (np.zeros(9), {"rate_hz": 9_999.0}, "rate_hz must be finite and >= 10000, got 9999"),
        (np.zeros(9), {"rate_hz": np.nan}, "rate_hz must be"),
        (np.zeros(9), {"rule": "dur_7"}, "rule must be one of dur_5_5, .*, got 'dur_7'"),
        (np.zeros(9), {"turn_uv": 0.0}, "turn_uv must be finite and > 0, got 0"),
    ],
)
def test_bad_input_is_named(wave: np.ndarray, arguments: dict, says: str) -> None:
    """The thing, the rule and the value."""
    with pytest.raises(ValueError, match=says):
        muap_measures(wave, **{"rate_hz": RATE_HZ, **arguments})


def test_a_baseline_needs_5_ms() -> None:
    """The quietest 5 ms cannot be found in less."""
    with pytest.raises(ValueError, match=r"must be >= 5 ms long, got 2\.08 ms"):
        quiet_baseline_uv(np.zeros(100), RATE_HZ)


# -- properties ------------------------------------------------------------------------------------


def test_a_positive_wave_has_no_rise_time() -> None:
    """Rounding below zero in its tail is no negative peak."""
    t = np.arange(1920) / 48_000.0 - 0.02
    wave = 300 * np.exp(-0.5 * (t / 5e-4) ** 2) - 1e-9 * (t > 0.01)
    found = muap_measures(wave, 48_000.0)
    assert np.isnan(found.rise_time_us)
    assert np.isnan(found.rise_time_10_90_us)


@given(seed=seeds, before=st.integers(0, 500), after=st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_time_shift_and_added_zeros_move_the_start_alone(
    seed: int, before: int, after: int
) -> None:
    """All measures stay; start and end move with the wave."""
    wave = smooth_muap(seed)
    one = muap_measures(wave, RATE_HZ)
    other = muap_measures(np.pad(wave, (before, after)), RATE_HZ)
    assert (one.phases, one.turns, one.satellites) == (other.phases, other.turns, other.satellites)
    for name in ("amplitude_uv", "duration_ms", "area_uv_ms", "rise_time_us", "spike_duration_ms"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9, nan_ok=True)
    assert other.start_ms - one.start_ms == pytest.approx(before * 1000 / RATE_HZ, abs=1e-9)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_size_phases_and_turns_know_no_polarity(seed: int) -> None:
    """Only rise time and spike duration ask which side is negative."""
    wave = smooth_muap(seed)
    one, other = muap_measures(wave, RATE_HZ), muap_measures(-wave, RATE_HZ)
    assert (one.phases, one.turns, one.satellites) == (other.phases, other.turns, other.satellites)
    for name in ("amplitude_uv", "duration_ms", "area_uv_ms", "size_index"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)


@given(seed=seeds, gain=st.floats(1.0, 20.0))
@settings(max_examples=60, deadline=None)
def test_gain_scales_size_and_never_shortens(seed: int, gain: float) -> None:
    """Amplitude goes with the gain; thresholds stay, so a larger MUAP lasts longer if anything."""
    wave = smooth_muap(seed)
    one, other = (muap_measures(w, RATE_HZ, rule="dur_10uv") for w in (wave, gain * wave))
    assert other.amplitude_uv == pytest.approx(gain * one.amplitude_uv, rel=1e-9)
    assert other.duration_ms >= one.duration_ms - 1e-9
    assert other.area_uv_ms >= gain * one.area_uv_ms * (1 - 1e-9)


@given(gain=st.floats(0.5, 10.0))
@settings(max_examples=30, deadline=None)
def test_area_goes_with_the_gain_where_the_thresholds_do_not_matter(gain: float) -> None:
    """A steep wave whose feet hold next to nothing of its area."""
    t = times_ms()
    wave = np.where((t > 10) & (t < 12), 2000 * np.sin(np.pi * (t - 10)), 0)
    one, other = (muap_measures(w, RATE_HZ, rule="dur_3uv") for w in (wave, gain * wave))
    assert other.area_uv_ms == pytest.approx(gain * one.area_uv_ms, rel=1e-3)
    assert other.thickness_ms == pytest.approx(one.thickness_ms, rel=1e-3)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_a_lower_threshold_never_gives_a_shorter_duration(seed: int) -> None:
    """Level rules in falling order, and each rule gives what `muap_measures` gives."""
    wave = smooth_muap(seed)
    found = durations_ms(wave, RATE_HZ)
    levels = [found[rule] for rule in LEVEL_RULES]
    assert levels == sorted(levels)
    for rule in DURATION_RULES:
        assert found[rule] == pytest.approx(muap_measures(wave, RATE_HZ, rule=rule).duration_ms)


@given(seed=seeds, rate_hz=st.sampled_from([12_000.0, 23_437.5, 24_000.0, 96_000.0, 250_000.0]))
@settings(max_examples=60, deadline=None)
def test_the_rate_does_not_matter(seed: int, rate_hz: float) -> None:
    """The same wave at another rate: amplitude within 1 %, durations within 0.1 ms.

    A wave that only grazes both thresholds, one in some 400, has no duration to that precision at
    any rate: one per cent of gain decides whether a bump of it counts.
    """
    one, other = smooth_muap(seed), smooth_muap(seed, rate_hz)
    assume(np.ptp([muap_measures(g * one, RATE_HZ).duration_ms for g in (0.99, 1, 1.01)]) < 0.1)
    a, b = muap_measures(one, RATE_HZ), muap_measures(other, rate_hz)
    assert b.amplitude_uv == pytest.approx(a.amplitude_uv, rel=0.01)
    assert b.duration_ms == pytest.approx(a.duration_ms, abs=0.1)
    assert b.area_uv_ms == pytest.approx(a.area_uv_ms, rel=0.01)


def test_a_peak_between_samples_is_found() -> None:
    """A sharp spike at 10 kHz, a third of a sample off the grid: 1 % of its height and 10 us."""
    t = times_ms(rate_hz=10_000.0) - 100 / 3000
    wave = bump(t, 10, -1000, 0.12) + bump(t, 9.5, 150, 0.15)
    found = muap_measures(wave, 10_000.0)
    fine = times_ms(rate_hz=1e6)
    exact = muap_measures(bump(fine, 10, -1000, 0.12) + bump(fine, 9.5, 150, 0.15), 1e6)
    assert found.amplitude_uv == pytest.approx(exact.amplitude_uv, rel=0.01)
    assert found.rise_time_us == pytest.approx(exact.rise_time_us, abs=10)


def test_a_wave_that_is_cut_off_rings_at_no_end() -> None:
    """A flat 100 uV at its start and 0 at its end: what lies beyond is taken as the end's value."""
    wave = np.interp(np.arange(480), [0, 100, 380, 480], [100, 100, 0, 0])
    assert muap_measures(wave, RATE_HZ).amplitude_uv == pytest.approx(100, rel=1e-3)


# -- jitter ----------------------------------------------------------------------------------------


def test_constant_intervals_have_no_jitter() -> None:
    """The same interval at every discharge: MCD 0, MSD 0."""
    found = jitter_measures(np.full(50, 0.8e-3), np.full(50, 0.1))
    assert (found.mcd_us, found.msd_us, found.jitter_us, found.blocking_share) == (0, 0, 0, 0)
    assert found.rule == "MCD"


def test_jitter_by_pencil() -> None:
    """Differences of 10, 20 and 30 us: 20 us; a block takes its two differences with it."""
    whole = np.array([500, 510, 490, 520]) * 1e-6
    assert mean_consecutive_difference_us(whole) == pytest.approx(20)
    blocked = np.array([500, 510, np.nan, 490, 520]) * 1e-6
    assert mean_consecutive_difference_us(blocked) == pytest.approx((10 + 30) / 2)
    assert blocking_share(blocked) == pytest.approx(0.2)
    assert np.isnan(mean_consecutive_difference_us(np.array([5e-4, np.nan, 5e-4])))
    isi = np.array([0.1, 0.3, 0.2, 0.4])  # sorted: 500, 490, 510, 520
    assert mean_sorted_difference_us(whole, isi) == pytest.approx((10 + 20 + 10) / 3)


@given(seed=seeds, shift_s=st.floats(-0.01, 0.01), gain=st.floats(0.1, 10))
@settings(max_examples=50, deadline=None)
def test_mcd_knows_no_offset_and_goes_with_the_gain(seed: int, shift_s: float, gain: float) -> None:
    """A constant delay is no jitter."""
    intervals = np.random.default_rng(seed).normal(0, 2e-5, 60)
    jitter_us = mean_consecutive_difference_us(intervals)
    moved = mean_consecutive_difference_us(gain * intervals + shift_s)
    assert moved == pytest.approx(gain * jitter_us, rel=1e-6)


def test_the_sorted_difference_takes_over_where_the_rate_rules() -> None:
    """Intervals that follow an alternating rate: MCD 100 us, of which the end plate made none."""
    isi = np.where(np.arange(100) % 2, 0.08, 0.12)
    by_rate = jitter_measures(1e-3 + (isi - 0.1) * 2.5e-3, isi)
    assert by_rate.mcd_us == pytest.approx(100)
    assert (by_rate.rule, by_rate.jitter_us) == ("MSD", by_rate.msd_us)
    assert by_rate.msd_us < 2
    rng = np.random.default_rng(2)
    by_end_plate = jitter_measures(rng.normal(1e-3, 2e-5, 400), rng.uniform(0.08, 0.12, 400))
    assert (by_end_plate.rule, by_end_plate.jitter_us) == ("MCD", by_end_plate.mcd_us)


@pytest.mark.parametrize(
    ("intervals", "isi", "says"),
    [
        (np.zeros((2, 2)), np.ones(2), r"intervals_s: expected \(n_discharges,\), got \(2, 2\)"),
        (np.array([0, np.inf]), np.ones(2), "intervals_s must be finite, or NaN"),
        (np.zeros(3), np.ones(2), r"preceding_isi_s: expected \(3,\), got \(2,\)"),
        (np.zeros(2), np.array([0.1, 0.0]), "preceding_isi_s must be finite and > 0"),
    ],
)
def test_bad_intervals_are_named(intervals: np.ndarray, isi: np.ndarray, says: str) -> None:
    """The thing, the rule and the value."""
    with pytest.raises(ValueError, match=says):
        jitter_measures(intervals, isi)
