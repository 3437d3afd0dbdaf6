"""Mean and median frequency, and their lines along a contraction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.analysis.surface.fatigue import fatigue, trend
from emgsim.analysis.surface.spectrum import spectrum, without_mains

RATE_HZ = 2048.0
ALONG_MM = 5.0 * np.arange(8)


def sines(*frequencies_hz: float, seconds: float = 4.0) -> np.ndarray:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.sum([np.sin(2 * np.pi * hz * time_s + hz) for hz in frequencies_hz], axis=0)


def test_one_sine_is_mean_and_median() -> None:
    """Of 100 Hz both are 100 Hz, within a twentieth of what a piece resolves."""
    found = spectrum(sines(100.0), RATE_HZ)
    assert found.mean_hz.value == pytest.approx(100, abs=0.1)
    assert found.median_hz.value == pytest.approx(100, abs=0.1)


def test_the_mean_lies_between_two_sines_by_their_power() -> None:
    """60 Hz of power 1 and 180 Hz of power 3 have a mean of 150 Hz; the median is at 180."""
    found = spectrum(sines(60.0) + np.sqrt(3) * sines(180.0), RATE_HZ)
    assert found.mean_hz.value == pytest.approx(150, abs=0.5)
    assert found.median_hz.value == pytest.approx(180, abs=3)


def test_the_density_adds_up_to_the_power(waves) -> None:
    """In microvolts squared, over its frequencies."""
    samples = 5 * waves.band_noise(8.0)
    found = spectrum(samples, RATE_HZ)
    step_hz = found.frequencies_hz[1] - found.frequencies_hz[0]
    assert found.density_uv2_hz.sum() * step_hz == pytest.approx(np.mean(samples**2), rel=0.03)


def test_noise_around_a_frequency_has_it_in_both_intervals(waves) -> None:
    """And intervals of 4 s are narrower than 15 Hz."""
    found = spectrum(waves.band_noise(4.0, centre_hz=120.0), RATE_HZ)
    for middle in (found.mean_hz, found.median_hz):
        assert middle.low < 120 < middle.high
        assert middle.high - middle.low < 15


def test_the_mains_are_left_out(waves) -> None:
    """Mains of ten times the power, 0.1 Hz off, with a third harmonic, change nothing to speak of.

    Without the nominal frequency they do.
    """
    samples = waves.band_noise(4.0)
    mains = 4 * sines(50.1) + 2 * sines(150.3)
    alone = spectrum(samples, RATE_HZ).mean_hz.value
    found = spectrum(samples + mains, RATE_HZ, mains_hz=50.0).mean_hz.value
    assert found == pytest.approx(alone, rel=0.01)
    assert spectrum(samples + mains, RATE_HZ).mean_hz.value < 0.85 * alone
    assert np.std(without_mains(mains, RATE_HZ, 50.0)) < 1e-6 * np.std(mains)


@settings(max_examples=10)
@given(factor=st.floats(1e-3, 1e3))
def test_frequencies_do_not_depend_on_the_scale(waves, factor: float) -> None:
    """Nor do their intervals."""
    samples = waves.band_noise(1.0)
    one, other = spectrum(samples, RATE_HZ), spectrum(factor * samples, RATE_HZ)
    assert other.mean_hz.value == pytest.approx(one.mean_hz.value)
    assert other.median_hz.high == pytest.approx(one.median_hz.high)


def test_a_missing_sample_costs_its_piece_only(waves) -> None:
    """The frequencies stay near those of the whole."""
    samples = waves.band_noise(8.0)
    whole = spectrum(samples, RATE_HZ).mean_hz.value
    samples[5000] = np.nan
    assert spectrum(samples, RATE_HZ).mean_hz.value == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.ones(1000), "0.488 s of signal, 0.75 s are needed"),
        (np.ones(4000), "the signal is flat"),
        (np.full(4000, np.nan), "0 pieces without missing samples, 4 are needed"),
    ],
)
def test_no_frequency_comes_from_nothing(samples: np.ndarray, reason: str) -> None:
    """NaN, and why."""
    found = spectrum(samples, RATE_HZ).mean_hz
    assert np.isnan(found.value)
    assert found.reason == reason


def test_a_mains_frequency_below_zero_is_refused(waves) -> None:
    """The rule is told."""
    with pytest.raises(ValueError, match="mains_hz must be > 0, got -50"):
        spectrum(waves.band_noise(1.0), RATE_HZ, mains_hz=-50)


def test_a_line_has_its_slope_and_its_beginning() -> None:
    """100 less 2 per second, with and without a missing value: 120 % less per minute."""
    times_s = np.arange(5.0, 15.0)
    values = 110 - 2 * times_s
    values[3] = np.nan
    line = trend(times_s, values)
    assert line.initial == pytest.approx(100)
    assert line.slope_per_s.value == pytest.approx(-2)
    assert line.percent_per_minute == pytest.approx(-120)


def test_neighbours_that_err_alike_widen_the_interval_of_a_line() -> None:
    """Errors in runs of four count for fewer."""
    times_s = np.arange(48.0)
    errors = np.random.default_rng(1).standard_normal(48)
    plain = trend(times_s, errors).slope_per_s
    alike = trend(times_s, np.repeat(errors[:12], 4)).slope_per_s
    assert alike.high - alike.low > 1.5 * (plain.high - plain.low)


def test_few_windows_make_no_line() -> None:
    """Nor do values that are all missing."""
    found = trend(np.arange(5.0), np.arange(5.0))
    assert np.isnan(found.slope_per_s.value)
    assert found.slope_per_s.reason == "5 windows, 6 are needed"
    with pytest.raises(ValueError, match="alike"):
        trend(np.arange(5.0), np.arange(4.0))


def test_fatigue_shows_in_all_four_lines(waves) -> None:
    """Ten seconds, each slower, lower and louder than the one before."""
    seconds = [
        (1 + 0.05 * k)
        * waves.band_noise(1.0, k, 1e-3 * ALONG_MM / (4 - 0.08 * k), centre_hz=110 - 2 * k)
        for k in range(10)
    ]
    found = fatigue(np.concatenate(seconds), RATE_HZ, ALONG_MM)
    assert found.velocity_m_s.slope_per_s.value == pytest.approx(-0.08, rel=0.01)
    assert found.velocity_m_s.initial == pytest.approx(4, rel=0.01)
    assert found.mean_hz.slope_per_s.low < -2 < found.mean_hz.slope_per_s.high < 0
    assert found.median_hz.slope_per_s.low < -2 < found.median_hz.slope_per_s.high < 0
    assert found.rms_uv.slope_per_s.value == pytest.approx(0.05, rel=0.2)
