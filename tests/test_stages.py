"""Band responses: against scipy and by pencil."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from emgsim.stages import FLAT, BandResponse, respond

F_HZ = np.array([0.5, 7.0, 20.0, 333.0, 5e3, 2e4])


@pytest.mark.parametrize("order", range(1, 9))
def test_each_order_is_the_butterworth_of_scipy(order: int) -> None:
    """High-pass and low-pass in series equal the two analogue designs multiplied."""
    band = BandResponse(highpass_hz=20.0, highpass_order=order, lowpass_hz=5e3, lowpass_order=order)
    expected = np.ones(F_HZ.size, complex)
    for corner, kind in ((20.0, "highpass"), (5e3, "lowpass")):
        design = signal.butter(order, 2 * np.pi * corner, kind, analog=True, output="zpk")
        expected *= signal.freqs_zpk(*design, worN=2 * np.pi * F_HZ)[1]
    np.testing.assert_allclose(band.at(F_HZ), expected, rtol=1e-9)


def test_first_order_by_pencil() -> None:
    """At the corner 1 / (1 + i) and i / (1 + i)."""
    low = BandResponse(lowpass_hz=10.0, lowpass_order=1)
    high = BandResponse(highpass_hz=10.0, highpass_order=1)
    assert low.at(np.array([10.0]))[0] == pytest.approx(1 / (1 + 1j))
    assert high.at(np.array([10.0]))[0] == pytest.approx(1j / (1 + 1j))


@pytest.mark.parametrize("order", range(1, 9))
def test_a_high_pass_lets_no_level_through(order: int) -> None:
    """At 0 Hz the gain is 0 and finite, whatever the order."""
    gain = BandResponse(highpass_hz=10.0, highpass_order=order).at(np.array([0.0]))
    assert abs(gain[0]) < 1e-20


def test_a_mean_over_half_a_period_leaves_two_over_pi() -> None:
    """By pencil: the mean of a cosine from -90 to 90 degrees; over a whole period it is 0."""
    averaged = BandResponse(averaged_s=0.5e-3)
    gains = averaged.at(np.array([0.0, 1e3, 2e3]))
    assert gains == pytest.approx([1.0, 2 / np.pi, 0.0], abs=1e-12)


def test_order_zero_is_open() -> None:
    """A side without an order passes everything, and its corner is not looked at."""
    np.testing.assert_array_equal(FLAT.at(np.array([0.0, 1e6])), [1.0, 1.0])
    assert BandResponse(lowpass_hz=10.0).at(np.array([1e6]))[0] == 1.0


@given(f_hz=st.floats(1.0, 2e4), order=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_a_band_never_amplifies(f_hz: float, order: int) -> None:
    """A Butterworth's gain stays within 1 at every frequency."""
    band = BandResponse(highpass_hz=20, highpass_order=order, lowpass_hz=1e4, lowpass_order=order)
    assert np.abs(band.at(np.array([f_hz])))[0] <= 1 + 1e-12


def test_samples_come_out_with_the_gain_and_delay_of_the_band() -> None:
    """A quiet-ended tone burst: in its middle amplitude and phase are those of the response."""
    rate_hz, f_hz = 10_000.0, 200.0
    t = np.arange(20_000) / rate_hz
    envelope = np.hanning(t.size)
    band = BandResponse(highpass_hz=50.0, highpass_order=2, lowpass_hz=1e3, lowpass_order=3)
    out = respond(envelope * np.cos(2 * np.pi * f_hz * t), rate_hz, band)
    gain = band.at(np.array([f_hz]))[0]
    expected = envelope * np.real(gain * np.exp(2j * np.pi * f_hz * t))
    assert out.shape == t.shape
    np.testing.assert_allclose(out, expected, atol=5e-3)


def test_an_open_band_changes_nothing() -> None:
    """Any length comes back as it was."""
    for n in (1, 7, 1009):
        samples = np.random.default_rng(n).standard_normal(n)
        np.testing.assert_allclose(respond(samples, 1000.0, FLAT), samples, atol=1e-12)
