"""Noise: the densities of their formulas at every rate, and the rms that was set."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from emgsim.artefacts.composition import stages
from emgsim.artefacts.parameters import Amplifier, Baseline, SkinElectrode, Thermal


def band_power(samples: np.ndarray, rate_hz: float, low_hz: float, high_hz: float) -> float:
    """Return the power (uV^2) between two frequencies, from the periodogram."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2 * 2 / samples.size**2
    f_hz = np.fft.rfftfreq(samples.size, 1 / rate_hz)
    return float(spectrum[(f_hz >= low_hz) & (f_hz < high_hz)].sum())


def test_ten_kilohms_make_1_31_uv_in_10_khz(made) -> None:
    """Johnson noise at 310 K, all of the band of 20 kHz: +-2 %; closed form +-0.1 %."""
    samples, events = made(Thermal(resistance_ohm=10e3), 20_000.0, 20.0)
    assert samples.std() == pytest.approx(1.31, rel=0.02)
    density = Thermal(resistance_ohm=10e3).density_uv_rthz
    assert density * np.sqrt(10e3) == pytest.approx(1.3084, rel=1e-3)
    assert events == ()


@pytest.mark.parametrize("rate_hz", [2_000.0, 23_437.5, 48_000.0])
def test_the_thermal_density_is_the_same_at_every_rate(made, rate_hz: float) -> None:
    """Power in 100-800 Hz is 4kTR times 700 Hz, and the spectrum is flat."""
    artefact = Thermal(resistance_ohm=12e3)
    samples, _ = made(artefact, rate_hz, 30.0)
    expected = artefact.density_uv_rthz**2 * 700
    assert band_power(samples, rate_hz, 100, 800) == pytest.approx(expected, rel=0.05)
    low, high = (band_power(samples, rate_hz, a, a + 400) for a in (0.01 * rate_hz, 0.25 * rate_hz))
    assert low == pytest.approx(high, rel=0.08)


@pytest.mark.parametrize("rate_hz", [20_000.0, 48_000.0])
def test_the_amplifier_has_the_rms_that_was_set(made, rate_hz: float) -> None:
    """From 2 Hz to 10 kHz, +-2 %, where the rate leaves room for the band."""
    samples, _ = made(Amplifier(rms_uv=1.5, corner_hz=100.0), rate_hz, 20.0)
    assert np.sqrt(band_power(samples, rate_hz, 2, 1e4)) == pytest.approx(1.5, rel=0.02)


@pytest.mark.parametrize("corner_hz", [10.0, 100.0])
@pytest.mark.parametrize("rate_hz", [2_000.0, 48_000.0])
def test_the_amplifiers_noise_doubles_at_its_corner(made, corner_hz: float, rate_hz: float) -> None:
    """In bands from 2 Hz to 0.4 of the rate the power is that of d^2 (1 + corner / f)."""
    samples, _ = made(Amplifier(corner_hz=corner_hz), rate_hz, 60.0)
    width = 1e4 - 2 + corner_hz * np.log(1e4 / 2)
    d2 = 0.7**2 / width
    for low, high in [(2, 8), (8, 30), (30, 120), (120, 500), (500, 800), (0.3 * rate_hz,
                                                                          0.4 * rate_hz)]:
        expected = d2 * (high - low + corner_hz * np.log(high / low))
        tolerance = 0.02 + 4 / np.sqrt((high - low) * 60)  # four standard errors of a power
        assert band_power(samples, rate_hz, low, high) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("rate_hz", [10_000.0, 48_000.0])
def test_the_skin_has_the_rms_that_was_set(made, rate_hz: float) -> None:
    """From 0.5 to 500 Hz, +-5 %; at full band and for a minute about 1.4 times that."""
    samples, _ = made(SkinElectrode(rms_uv=5.0), rate_hz, 60.0)
    rms_uv = np.sqrt(band_power(samples, rate_hz, 0.5, 500))
    assert rms_uv == pytest.approx(5.0, rel=0.05)
    assert samples.std() < 1.7 * rms_uv


def test_the_skins_noise_falls_by_20_db_per_decade(made) -> None:
    """Below its corner of 200 Hz the slope of the power is -2, fitted from 2 to 30 Hz, +-0.1."""
    rate_hz = 4_000.0
    samples, _ = made(SkinElectrode(corner_hz=200.0), rate_hz, 120.0)
    f_hz, density = signal.welch(samples, rate_hz, nperseg=8192)
    used = (f_hz >= 2) & (f_hz <= 30)
    slope = np.polyfit(np.log(f_hz[used]), np.log(density[used]), 1)[0]
    assert slope == pytest.approx(-2.0, abs=0.1)


def test_noise_is_stationary_from_the_first_sample() -> None:
    """The first sample of many recordings has the variance of the thousandth, 1/f and all."""
    blocks = [
        stages([Amplifier(corner_hz=1000.0)], 2_000.0, seed).step(np.zeros((1000, 1)), 0)[0]
        for seed in range(300)
    ]
    first, last = np.stack(blocks)[:, [0, -1], 0].std(axis=0)
    assert first == pytest.approx(last, rel=0.2)


def test_each_channel_has_its_own_noise_and_another_moves_none() -> None:
    """Channels are not correlated, and channel 0 is the same with one channel or three."""
    for artefact in (Thermal(), Amplifier(), SkinElectrode(), Baseline()):
        one, three = (
            stages([artefact], 4_000.0, 1, n_channels=n).step(np.zeros((20_000, n)), 0)[0]
            for n in (1, 3)
        )
        assert one[:, 0].tobytes() == three[:, 0].tobytes()
        assert len({three[:, k].tobytes() for k in range(3)}) == 3
        if isinstance(artefact, Thermal):
            assert np.abs(np.corrcoef(three.T) - np.eye(3)).max() < 0.05


def test_the_baseline_wanders_below_its_highest_frequency(made) -> None:
    """The rms that was set +-10 %, 98 % of the power below 0.5 Hz, about its offset."""
    artefact = Baseline(rms_uv=300.0, highest_hz=0.5, offset_uv=100e3)
    samples, _ = made(artefact, 2_000.0, 1_000.0)
    assert samples.mean() == pytest.approx(100e3, abs=60)
    wander = samples - samples.mean()
    assert wander.std() == pytest.approx(300.0, rel=0.1)
    low = band_power(wander, 2_000.0, 0.0, 0.5)
    assert low > 0.98 * wander.var()


def test_the_baseline_is_the_same_at_every_rate(made) -> None:
    """Slow things are drawn in seconds: 2 kHz and 48 kHz see one course."""
    slow, _ = made(Baseline(), 2_000.0, 5.0)
    fast, _ = made(Baseline(), 48_000.0, 5.0)
    np.testing.assert_allclose(fast[::24], slow, atol=1e-9)
