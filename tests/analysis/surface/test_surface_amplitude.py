"""Amplitude: right by pencil, and as sure as the bandwidth allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.analysis.surface.amplitude import amplitudes, envelope_uv, mvc_rms_uv, normalised
from emgsim.analysis.surface.intervals import Estimate, difference, jackknife

RATE_HZ = 2000.0


def white(n: int = 4000, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def test_a_signal_of_one_size_has_that_rms_and_that_rectified_value() -> None:
    """Of -7 and 7 both are 7."""
    (found,) = amplitudes(7 * np.sign(white()), RATE_HZ, window_s=2.0)
    assert found.rms_uv.value == pytest.approx(7)
    assert found.arv_uv.value == pytest.approx(7)


def test_samples_that_repeat_count_for_fewer() -> None:
    """Each twice: rho is 1/2 at the lags -1 and 1, so that 1.5 samples count for one."""
    once = amplitudes(white(40_000), RATE_HZ, window_s=20.0)[0]
    twice = amplitudes(np.repeat(white(20_000), 2), RATE_HZ, window_s=20.0)[0]
    assert once.effective_samples == pytest.approx(40_000, rel=0.02)
    assert twice.effective_samples == pytest.approx(40_000 / 1.5, rel=0.02)


def test_the_interval_of_white_noise_is_that_of_chi_square() -> None:
    """An rms of n independent samples has a relative standard deviation of 1 / sqrt(2 n)."""
    (found,) = amplitudes(white(40_000), RATE_HZ, window_s=20.0)
    width = (found.rms_uv.high - found.rms_uv.low) / found.rms_uv.value
    assert width == pytest.approx(2 * 1.96 / np.sqrt(80_000), rel=0.03)
    rectified = (found.arv_uv.high - found.arv_uv.low) / found.arv_uv.value
    assert rectified == pytest.approx(2 * 1.96 * np.sqrt((np.pi / 2 - 1) / 40_000), rel=0.05)


def test_the_power_of_rest_is_taken_off_and_the_interval_says_so() -> None:
    """13 over a rest of 5 leaves 12; the doubt about the rest is added."""
    work, rest = 13 * np.sign(white()), 5 * np.sign(white(seed=2))
    (plain,) = amplitudes(work, RATE_HZ, window_s=2.0)
    (found,) = amplitudes(work, RATE_HZ, window_s=2.0, rest_uv=rest)
    assert found.rms_uv.value == pytest.approx(12)
    assert found.arv_uv.value == pytest.approx(12)
    plain_width = plain.rms_uv.high**2 - plain.rms_uv.low**2
    assert found.rms_uv.high**2 - found.rms_uv.low**2 > plain_width


def test_what_rest_explains_may_be_nothing() -> None:
    """A window as loud as rest has an interval from 0."""
    (found,) = amplitudes(white(), RATE_HZ, window_s=2.0, rest_uv=white(seed=3))
    assert found.rms_uv.low == 0.0
    assert 0 < found.rms_uv.high < 0.5


@settings(max_examples=20)
@given(factor=st.floats(1e-3, 1e3))
def test_amplitudes_scale_with_the_signal(factor: float) -> None:
    """So do both ends of the intervals."""
    (one,) = amplitudes(white(512), RATE_HZ, window_s=0.256)
    (other,) = amplitudes(factor * white(512), RATE_HZ, window_s=0.256)
    for name in ("value", "low", "high"):
        assert getattr(other.rms_uv, name) == pytest.approx(factor * getattr(one.rms_uv, name))
        assert getattr(other.arv_uv, name) == pytest.approx(factor * getattr(one.arv_uv, name))


def test_a_window_with_missing_samples_is_left_out() -> None:
    """The times of the others stay."""
    samples = white()
    samples[1500] = np.nan
    found = amplitudes(samples, RATE_HZ, window_s=0.5, start_s=10.0)
    assert [one.start_s for one in found] == [10.0, 11.0, 11.5]


def test_an_envelope_is_half_way_in_power_at_a_step() -> None:
    """The window around the step holds half of it; missing samples do not count."""
    step = np.where(np.arange(2000) < 1000, 0.0, 4.0)
    envelope = envelope_uv(step, RATE_HZ, 0.1)
    assert envelope[1000] == pytest.approx(np.sqrt(8), rel=0.01)
    assert envelope[0] == 0
    assert envelope[-1] == pytest.approx(4)
    step[1500:1900] = np.nan
    envelope = envelope_uv(step, RATE_HZ, 0.1)
    assert envelope[1495] == pytest.approx(4)
    assert np.isnan(envelope[1700])


def test_the_maximum_is_that_of_the_strongest_half_second() -> None:
    """Half a second of 9 in 1 is 9; a shorter peak is not."""
    size = np.ones(6000)
    size[2000:3000] = 9.0
    assert mvc_rms_uv(size * np.sign(white(6000)), RATE_HZ) == pytest.approx(9)
    size[2000:2500] = 1.0
    assert mvc_rms_uv(size * np.sign(white(6000)), RATE_HZ) == pytest.approx(np.sqrt(41))


def test_an_amplitude_in_percent_keeps_its_interval() -> None:
    """20 (16 to 24) of 400 is 5 (4 to 6) %."""
    found = normalised(Estimate(value=20, low=16, high=24), 400)
    assert (found.value, found.low, found.high) == (5, 4, 6)
    with pytest.raises(ValueError, match="mvc_uv must be finite and > 0, got 0"):
        normalised(found, 0)


def test_the_jackknife_of_a_mean_is_that_of_student() -> None:
    """Of 1, 2, 3, 6 the mean is 3, its error 1.08, and t 3.18."""
    values = np.array([1.0, 2, 3, 6])
    found = jackknife(3.0, (12 - values) / 3)
    error = np.std(values, ddof=1) / 2
    assert found.high - 3 == pytest.approx(3.1824 * error, rel=1e-4)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    with pytest.raises(ValueError, match="two or more"):
        jackknife(3.0, np.ones(1))


def test_a_difference_joins_the_sides_that_belong_together() -> None:
    """Least is the least of the whole without the most of the part: 3 and 4 make 5."""
    whole = Estimate(value=20, low=17, high=32)
    part = Estimate(value=10, low=5, high=14)
    found = difference(whole, part)
    assert (found.value, found.low, found.high) == (10, 5, 23)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: amplitudes(np.zeros((4, 2)), RATE_HZ, window_s=1.0), "samples_uv must be"),
        (lambda: amplitudes(white(), RATE_HZ, window_s=0.01), "32 samples or more, got 20"),
        (lambda: envelope_uv(white(), RATE_HZ, 0.0), "window_s must be > 0"),
        (lambda: mvc_rms_uv(white(500), RATE_HZ), "0.5 s without missing"),
    ],
)
def test_bad_input_is_refused(call, said: str) -> None:
    """Each with what the rule is."""
    with pytest.raises(ValueError, match=said):
        call()
