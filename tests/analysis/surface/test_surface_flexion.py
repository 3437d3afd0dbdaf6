"""Flexion and relaxation: phases, ratios, the decision, and the heart taken away before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.analysis.surface.filtering import band_passed
from emgsim.analysis.surface.flexion import Phases, flexion_relaxation, phases_of
from emgsim.analysis.surface.heartbeat import heartbeats, without_heartbeat

RATE_HZ = 1024.0
PHASES = Phases(
    standing_s=(0, 4), flexion_s=(4, 8), full_flexion_s=(8, 12), re_extension_s=(12, 16)
)


def envelope(full_uv: float, rate_hz: float = 100.0, spread: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    levels = np.repeat([8.0, 40.0, full_uv, 100.0], round(4 * rate_hz))
    pieces = np.exp(spread * rng.standard_normal(64))
    return levels * np.repeat(pieces, round(rate_hz / 4))


def heart(seconds: float, peak_uv: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """QRS-like complexes, and when they are."""
    rng = np.random.default_rng(seed)
    beats_s = np.cumsum(0.86 + 0.04 * rng.standard_normal(int(seconds / 0.9)))
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    at = (time_s[:, None] - beats_s) / 0.012
    return peak_uv * np.sum((1 - at**2) * np.exp(-(at**2) / 2), axis=1), beats_s


def muscle(seconds: float, uv: float, seed: int = 2) -> np.ndarray:
    return uv * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def test_each_phase_has_its_level_and_ratios_to_full_flexion() -> None:
    """40 and 100 over 2 uV are 20 and 50; the peak is that of half a second."""
    bend = envelope(2.0)
    bend[500:550] = 60.0
    found = flexion_relaxation(bend, 100.0, PHASES)
    assert found.standing_uv.value == pytest.approx(8)
    assert found.full_flexion_uv.value == pytest.approx(2)
    assert found.flexion_peak_uv == pytest.approx(60, rel=0.01)
    assert found.flexion_ratio == pytest.approx(30, rel=0.01)
    assert found.re_extension_ratio == pytest.approx(50)


@pytest.mark.parametrize(
    ("full_uv", "least", "most"), [(2.0, 0.99, 1.0), (4.0, 0.4999, 0.5001), (20.0, 0.0, 0.01)]
)
def test_the_decision_is_open_at_the_cut_and_clear_far_from_it(
    full_uv: float, least: float, most: float
) -> None:
    """4 uV is in the middle, on a scale of logarithms, of 3.2 and 5 uV."""
    found = flexion_relaxation(envelope(full_uv), 100.0, PHASES)
    assert least <= found.relaxation_probability <= most
    assert found.relaxes == (found.relaxation_probability > 0.5)


def test_one_deviation_from_the_cut_has_its_probability() -> None:
    """At 3.2 uV, known well, 84 % of the cuts are above."""
    found = flexion_relaxation(envelope(3.2), 100.0, PHASES)
    assert found.relaxation_probability == pytest.approx(0.841, abs=0.001)


def test_doubt_about_the_level_makes_the_decision_less_sure() -> None:
    """Uneven pieces widen the interval, and the probability comes nearer to one half."""
    sure = flexion_relaxation(envelope(2.5), 100.0, PHASES)
    louder = flexion_relaxation(envelope(2.5, spread=0.8), 100.0, PHASES).full_flexion_uv.value
    unsure = flexion_relaxation(envelope(2.5 * 2.5 / louder, spread=0.8), 100.0, PHASES)
    assert unsure.full_flexion_uv.value == pytest.approx(sure.full_flexion_uv.value)
    assert unsure.full_flexion_uv.high / unsure.full_flexion_uv.low > 1.3
    assert unsure.relaxation_probability < sure.relaxation_probability - 0.005


@settings(max_examples=20)
@given(first=st.floats(0.5, 50), second=st.floats(0.5, 50))
def test_a_lower_level_is_never_less_likely_relaxed(first: float, second: float) -> None:
    """Of two, the lower one is at least as likely."""
    low, high = sorted((first, second))
    likely = [
        flexion_relaxation(envelope(uv), 100.0, PHASES).relaxation_probability for uv in (low, high)
    ]
    assert likely[0] >= likely[1]


def test_phases_are_found_in_an_angle() -> None:
    """Two bends of 3 s down, 2 s full, 3 s up; within 10 % of the angle one stands or is full."""
    at_s = [0, 4, 7, 9, 12, 16, 19, 21, 24, 26]
    degrees = [0, 0, 60, 60, 0, 0, 60, 60, 0, 0]
    time_s = np.arange(2600) / 100
    found = phases_of(np.interp(time_s, at_s, degrees), 100.0)
    assert len(found) == 2
    assert found[0].standing_s == pytest.approx((0, 4.3), abs=0.02)
    assert found[0].flexion_s == pytest.approx((4.3, 6.7), abs=0.02)
    assert found[0].full_flexion_s == pytest.approx((6.7, 9.3), abs=0.02)
    assert found[1].standing_s == pytest.approx((11.7, 16.3), abs=0.02)
    assert found[1].re_extension_s == pytest.approx((21.3, 23.7), abs=0.02)


def test_half_a_bend_and_a_bend_that_has_begun_do_not_count() -> None:
    """Neither has all phases."""
    time_s = np.arange(2600) / 100
    angle = np.interp(
        time_s, [0, 2, 6, 8, 10, 14, 16, 18, 21, 26], [60, 0, 0, 30, 0, 0, 60, 60, 0, 0]
    )
    (only,) = phases_of(angle, 100.0)
    assert only.full_flexion_s == pytest.approx((15.8, 18.3), abs=0.02)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: phases_of(np.zeros(100), 100.0), "change by 20"),
        (lambda: flexion_relaxation(envelope(2.0)[:1000], 100.0, PHASES), "0.75 s or more"),
        (lambda: band_passed(np.zeros(100), 150.0), "rate_hz must be above 200"),
        (lambda: band_passed(np.full(100, np.nan), 1000.0), "hold a number"),
    ],
)
def test_bad_input_is_refused(call, said: str) -> None:
    """Each with what the rule is."""
    with pytest.raises(ValueError, match=said):
        call()


def test_heartbeats_are_found_in_muscle() -> None:
    """All but those at the ends, within 10 ms, and no more."""
    beating, beats_s = heart(30.0, 100.0)
    found_s = heartbeats(beating + muscle(30.0, 10.0), RATE_HZ) / RATE_HZ
    inside = beats_s[(beats_s > 0.2) & (beats_s < 29.8)]
    assert found_s.size == inside.size
    assert np.abs(found_s - inside).max() < 0.01


def test_the_heart_is_taken_away_and_the_muscle_stays() -> None:
    """2 uV of muscle under a heart of 200 uV: within 15 %, where the filter alone has 100 %."""
    beating, _ = heart(40.0, 200.0)
    quiet = muscle(40.0, 2.0)
    true = np.std(band_passed(quiet, RATE_HZ, 30.0))
    clean = np.std(without_heartbeat(quiet + beating, RATE_HZ)[1000:-1000])
    assert clean == pytest.approx(true, rel=0.15)
    assert np.std(band_passed(quiet + beating, RATE_HZ, 30.0)) > 2 * true


def test_muscle_alone_is_left_as_it_is() -> None:
    """No heart, nothing taken away; neither from bursts."""
    bursts = muscle(30.0, 10.0) * np.where(np.arange(30 * 1024) % 4096 < 1024, 5.0, 1.0)
    for samples in (muscle(30.0, 10.0), bursts):
        filtered = band_passed(samples, RATE_HZ, 30.0)
        assert np.array_equal(without_heartbeat(samples, RATE_HZ), filtered)


def test_missing_samples_stay_missing() -> None:
    """And only those."""
    samples = muscle(4.0, 10.0)
    samples[1000:1100] = np.nan
    clean = without_heartbeat(samples, RATE_HZ)
    assert np.array_equal(np.isnan(clean), np.isnan(samples))
