"""Sine fits: what they find, and how well they know how well they know it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.estimators import fit_sine, fit_tones, noise_density

RATE_HZ = 8000.0


def _times(duration_s: float) -> np.ndarray:
    return 0.3 + np.arange(round(duration_s * RATE_HZ)) / RATE_HZ


@given(
    frequency_hz=st.floats(20.0, 3000.0),
    phase_rad=st.floats(-3.0, 3.0),
    off_turns=st.floats(-0.3, 0.3),
    offset=st.floats(-5.0, 5.0),
)
def test_a_pure_sine_is_found_whatever_its_frequency(
    frequency_hz: float, phase_rad: float, off_turns: float, offset: float
) -> None:
    """A frequency that is known to a third of a cycle over the record is found to a millionth."""
    t = _times(0.5)
    samples = offset + 7.0 * np.cos(2 * np.pi * frequency_hz * t + phase_rad)
    fit = fit_sine(t, samples, frequency_hz + off_turns / 0.5)
    assert fit.frequency_hz == pytest.approx(frequency_hz, rel=1e-7)
    assert fit.amplitude == pytest.approx(7.0, rel=1e-6)
    assert fit.offset == pytest.approx(offset, abs=1e-5)
    assert abs(np.exp(1j * fit.phase_rad) - np.exp(1j * phase_rad)) < 1e-5


def test_harmonics_are_found_beside_the_fundamental() -> None:
    """Each harmonic has its own amplitude and phase."""
    t = _times(1.0)
    turn = 2 * np.pi * 201.3 * t
    samples = 5 * np.cos(turn) + 0.05 * np.cos(2 * turn + 1) + 0.02 * np.cos(3 * turn - 2)
    fit = fit_sine(t, samples, 201.0, n_harmonics=3)
    assert np.abs(fit.tones) == pytest.approx([5.0, 0.05, 0.02], rel=1e-6)
    assert np.angle(fit.tones)[1:] == pytest.approx([1.0, -2.0], abs=1e-6)


def test_lost_samples_are_left_out_and_stay_unknown() -> None:
    """The fit reads past a gap, and its residual has the gap too."""
    t = _times(0.5)
    samples = 3 * np.cos(2 * np.pi * 100 * t)
    samples[1000:1100] = np.nan
    fit = fit_sine(t, samples, 100.1)
    assert fit.amplitude == pytest.approx(3.0, rel=1e-9)
    assert np.isnan(fit.residual[1000:1100]).all()
    assert np.nanmax(np.abs(fit.residual)) < 1e-8


def test_too_few_samples_are_refused() -> None:
    """Less than a cycle is no sine."""
    t = _times(0.005)
    with pytest.raises(ValueError, match="cannot be fitted"):
        fit_sine(t, np.ones(t.size), 100.0)


def _coloured(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise through a resistor and a capacitor, and as much that is white."""
    out = np.zeros(n)
    white = rng.standard_normal(n)
    for k in range(1, n):
        out[k] = 0.9 * out[k - 1] + white[k]
    return out + rng.standard_normal(n)


def test_deviations_are_those_of_noise_that_is_not_white() -> None:
    """Amplitude, phase and frequency scatter as the fit says, 60 times over."""
    t, off = _times(0.25), []
    for seed in range(60):
        noise = 0.2 * _coloured(np.random.default_rng(seed), t.size)
        for frequency_hz in (150.0, 2900.0):
            samples = 4 * np.cos(2 * np.pi * frequency_hz * t + 0.5) + noise
            fit = fit_sine(t, samples, frequency_hz + 0.5)
            off.append(
                (
                    (fit.amplitude - 4) / fit.amplitude_sd,
                    (fit.frequency_hz - frequency_hz) / fit.frequency_sd_hz,
                )
            )
    rms = np.sqrt(np.mean(np.square(off), axis=0))
    assert rms == pytest.approx([1.0, 1.0], abs=0.2)


def test_sines_close_together_are_less_sure_than_each_alone() -> None:
    """Tones 1.2 cycles apart are found without bias, and scatter as much as they say."""
    t, frequencies_hz = _times(0.1), [200.0, 212.0, 224.0]
    off = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        samples = rng.standard_normal(t.size)
        samples += sum(2 * np.cos(2 * np.pi * f * t) for f in frequencies_hz)
        tones, sds, _ = fit_tones(t - t.mean(), samples, frequencies_hz)
        expected = 2 * np.exp(2j * np.pi * np.array(frequencies_hz) * t.mean())
        off.append((tones - expected) / sds)
    both = np.concatenate([np.real(off).ravel(), np.imag(off).ravel()])
    assert np.sqrt(np.mean(both**2)) == pytest.approx(1.0, abs=0.15)


def test_the_density_of_white_noise_is_its_variance_over_half_the_rate() -> None:
    """Whatever was fitted has taken no noise with it, even where sines are many."""
    t = _times(4.0)
    frequencies_hz = np.array([500.0, 501.0, 502.0, 503.0, 3000.0])
    found = []
    for seed in range(12):
        noise = 3 * np.random.default_rng(seed).standard_normal(t.size)
        residual = fit_tones(t, noise, list(frequencies_hz))[2]
        found.append(noise_density(residual, t, frequencies_hz))
    assert np.mean(found, axis=0) == pytest.approx(np.full(5, 9 / (RATE_HZ / 2)), rel=0.12)
