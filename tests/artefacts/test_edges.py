"""Edges: right values, right times, and nothing folded back at any rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.artefacts.edges import HALF_WIDTH, edge, rectangle, rise_and_decay

RATES_HZ = (2_000.0, 10_000.0, 23_437.5, 48_000.0, 1_000_000.0)


def spectrum(samples: np.ndarray, rate_hz: float, f_hz: np.ndarray, first_s: float) -> np.ndarray:
    """Return the Fourier integral of samples, whose first stands at a time."""
    times_s = first_s + np.arange(samples.size) / rate_hz
    return np.exp(-2j * np.pi * f_hz[:, None] * times_s) @ samples / rate_hz


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@given(tau_ms=st.floats(0.05, 500.0))
@settings(max_examples=25, deadline=None)
def test_far_from_the_edge_the_formula_holds(rate_hz: float, tau_ms: float) -> None:
    """Before it nothing, after the ringing the exponential of the same time constant and scale.

    The scale is the low-pass's gain for that exponential, 1 within 1e-3 if it lasts ten samples.
    """
    x = np.arange(HALF_WIDTH + 1, HALF_WIDTH + 40) / rate_hz
    tau_s = tau_ms / 1e3
    assert np.all(edge(-x, rate_hz, tau_s) == 0.0)
    after = edge(x, rate_hz, tau_s)
    np.testing.assert_allclose(after, after[0] * np.exp(-(x - x[0]) / tau_s), rtol=1e-9)
    if tau_s * rate_hz >= 10:
        np.testing.assert_allclose(after, np.exp(-x / tau_s), rtol=1e-3)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("samples_long", [0.7, 3.3, 200.0])
@given(shift=st.floats(0.0, 1.0))
@settings(max_examples=10, deadline=None)
def test_the_spectrum_below_0_40_of_the_rate_is_the_ideal_edges(
    rate_hz: float, samples_long: float, shift: float
) -> None:
    """A decaying edge anywhere between the samples: its Fourier integral is tau / (1 + i w tau).

    Fold-back, a wrong time or a wrong shape would each show; the bound is 3e-4 of the largest.
    """
    tau_s = samples_long / rate_hz
    n = np.arange(-HALF_WIDTH - 1, round(14 * samples_long) + HALF_WIDTH + 2)
    samples = edge((n - shift) / rate_hz, rate_hz, tau_s)
    f_hz = np.linspace(0.0, 0.40, 41) * rate_hz
    omega = 2j * np.pi * f_hz
    ideal = tau_s / (1 + omega * tau_s) * np.exp(-omega * shift / rate_hz)
    seen = spectrum(samples, rate_hz, f_hz, n[0] / rate_hz)
    assert np.max(np.abs(seen - ideal)) < 3e-4 * tau_s


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_what_lies_above_half_the_rate_is_gone(rate_hz: float) -> None:
    """The edge's own spectrum, seen between the samples, ends by 80 dB at half the rate."""
    fine = 64
    x = np.arange(-30 * fine, 30 * fine) / fine
    slope = np.diff(edge(x / rate_hz, rate_hz)) * fine
    gain = np.abs(spectrum(slope, fine, np.linspace(0.50, 3.0, 251), 0.0))
    assert 20 * np.log10(gain.max()) < -80


def test_a_rectangle_keeps_its_area_and_centre() -> None:
    """A pulse shorter than a sample is not lost: its area stands, and its centre within 0.1 us."""
    rate_hz, width_s, onset_s = 10_000.0, 37e-6, 12.3e-6
    times_s = np.arange(-100, 100) / rate_hz
    samples = rectangle(times_s - onset_s, rate_hz, width_s)
    assert samples.sum() / rate_hz == pytest.approx(width_s, rel=1e-4)
    centre_s = (samples * times_s).sum() / samples.sum()
    assert centre_s == pytest.approx(onset_s + width_s / 2, abs=1e-7)


@given(rise_ms=st.floats(0.1, 1.0), decay_ms=st.floats(50.0, 500.0))
@settings(max_examples=25, deadline=None)
def test_a_pulse_that_rises_and_decays_has_peak_one(rise_ms: float, decay_ms: float) -> None:
    """The peak is exact wherever the rate resolves the rise."""
    rate_hz = 200_000.0
    times_s = np.arange(round(0.02 * rate_hz)) / rate_hz
    pulse = rise_and_decay(times_s, rate_hz, rise_ms / 1e3, decay_ms / 1e3)
    assert pulse.max() == pytest.approx(1.0, abs=1e-3)
