"""Steps and pulses: overshoot, rise, time constant, undershoot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import signal

from emgsim.metrology import transients
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.shapes import seen

DIRECT = {"rate_hz": 20_000.0, "band_hz": (0.0, 4_000.0)}


def _true_step(bench: Any) -> tuple[float, float]:
    """Overshoot and rise time of the played edge through a device coupled down to DC.

    By the integral of the impulse response, whose spectrum is written down.
    """
    setup = bench.setup
    high_hz, step_s = setup.device.band_hz[1], 1e-7
    n = round(40 / high_hz / step_s)
    f = np.fft.rfftfreq(n, step_s)
    sigma_s = math.sqrt(math.log(2)) / (2 * math.pi * 1.5 * high_hz)
    b, a = signal.butter(5, 0.27 * setup.play_rate_hz, analog=True)
    spectrum = np.exp(-((2 * np.pi * f * sigma_s) ** 2) / 2 - 2j * np.pi * f * 5 / high_hz)
    spectrum = spectrum * signal.freqs(b, a, np.maximum(f, 1e-9))[1] * bench.response(f)
    step = np.cumsum(np.fft.irfft(spectrum, n))
    step /= abs(bench.response(np.array([setup.mid_hz]))[0])
    low, high = (int(np.argmax(step > share)) for share in (0.1, 0.9))
    return 100 * (float(step.max()) - 1), 1e6 * (high - low) * step_s


@pytest.mark.parametrize("order", [2, 3, 4])
def test_overshoot_and_rise_are_those_of_the_response(
    synthetic: Any, declared: Any, order: int
) -> None:
    """Sampled at five times its corner, a device's step is known to 0.1 % and 0.3 us."""
    setup = declared(**DIRECT, orders=(0, order))
    bench = synthetic(
        setup=setup, corners_hz=(1.0, 3_800.0), device_ppm=120.0, gain=1.04, noise_uv=0.3
    )
    overshoot, rise = transients.step_response(Measuring(bench))
    expected, expected_us = _true_step(bench)
    assert overshoot.value == pytest.approx(expected, abs=0.1)
    assert rise.value == pytest.approx(expected_us, abs=0.3)
    assert overshoot.expanded < 0.1


def test_an_inverting_device_has_the_same_step(synthetic: Any, declared: Any) -> None:
    """Its polarity is a test of its own."""
    setup = declared(**DIRECT, orders=(0, 4))
    upright, inverted = (
        transients.step_response(Measuring(synthetic(setup=setup, gain=gain, noise_uv=0.1)))[0]
        for gain in (1.0, -1.0)
    )
    assert inverted.value == pytest.approx(upright.value, abs=0.03)


@pytest.mark.parametrize("order", [1, 2])
def test_the_time_constant_is_that_of_the_corner(
    synthetic: Any, declared: Any, order: int
) -> None:
    """A corner of 11 Hz that is declared as 10 Hz is 14.47 ms, whatever the other corner is."""
    setup = declared(rate_hz=10_000.0, band_hz=(10.0, 2_000.0), orders=(order, 3))
    bench = synthetic(setup=setup, corners_hz=(11.0, 1_850.0), noise_uv=0.5, device_ppm=-90.0)
    (reading,) = transients.step_tau(Measuring(bench))
    assert reading.value == pytest.approx(1e3 / (2 * math.pi * 11.0), rel=1e-3)
    assert reading.expanded < 0.01 * reading.value


def test_a_device_down_to_dc_has_no_time_constant(synthetic: Any, declared: Any) -> None:
    """It says so."""
    bench = synthetic(setup=declared(**DIRECT, orders=(0, 4)))
    (reading,) = transients.step_tau(Measuring(bench))
    assert math.isnan(reading.value)
    assert "DC" in reading.note


def test_a_wrong_corner_undershoots_otherwise_than_declared(synthetic: Any, declared: Any) -> None:
    """Of order 1, ``1 - exp(-w T)`` is left after a pulse: 11.8 % at 20 Hz, 9.0 % at 15 Hz."""
    setup = declared(rate_hz=20_000.0, band_hz=(15.0, 4_000.0), orders=(1, 3))
    sound = synthetic(setup=setup, noise_uv=0.3)
    wrong = synthetic(setup=setup, noise_uv=0.3, corners_hz=(20.0, 4_000.0))
    (good,) = transients.impulse_undershoot(Measuring(sound))
    (bad,) = transients.impulse_undershoot(Measuring(wrong))
    assert good.value < 0.05
    after_s = 0.75e-3  # three periods of the upper corner
    left = [
        (1 - math.exp(-2 * math.pi * f * 1e-3)) * math.exp(-2 * math.pi * f * after_s)
        for f in (15.0, 20.0)
    ]
    assert bad.value == pytest.approx(100 * (left[1] - left[0]), abs=0.1)


def test_the_worst_of_noise_is_noise() -> None:
    """The largest of 30 values that are 0, measured twice, is off by the deviation that is said."""
    rng = np.random.default_rng(4)
    found, stated = [], []
    for _ in range(300):
        first, second = rng.standard_normal((2, 30))
        value, places = transients.worst_of(first, second)
        found.append(value)
        stated.append(transients.worst_sd(np.full(30, math.sqrt(0.5)), places))
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(np.mean(stated), rel=0.15)


def test_the_worst_that_stands_out_is_found_with_its_size() -> None:
    """It is not what noise has made of it."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(200):
        noise = rng.standard_normal((2, 30))
        noise[:, 7] -= 8.0
        found.append(transients.worst_of(*noise)[0])
    assert np.mean(found) == pytest.approx(8.0, abs=0.15)


def test_a_jackknife_takes_off_what_noise_adds() -> None:
    """The square of a mean of noise is 0, with the deviation that it has."""
    rng = np.random.default_rng(6)
    pairs = [
        transients.jackknifed(rng.normal(3.0, 1.0, (12, 1)), lambda curve: float(curve[0] ** 2))
        for _ in range(300)
    ]
    values, deviations = np.array(pairs).T
    assert values.mean() == pytest.approx(9.0, abs=0.2)
    assert np.sqrt(np.mean(deviations**2)) == pytest.approx(values.std(), rel=0.15)


def test_what_was_seen_lies_on_the_clock_of_the_source(synthetic: Any, declared: Any) -> None:
    """Of a device 180 ppm fast whose response is as declared, nothing is left but noise."""
    setup = declared(**DIRECT, orders=(0, 4))
    bench = synthetic(setup=setup, device_ppm=180.0, gain=0.95, noise_uv=0.3, offset_uv=50.0)
    measuring = Measuring(bench)
    saw = seen(measuring, transients.steps_of(setup))
    left = saw.uv - saw.gain * saw.model.at(saw.times_s)[0]
    assert saw.gain == pytest.approx(0.95, rel=1e-4)
    assert left.std() < 0.4


def test_what_the_last_pulse_leaves_behind_is_played_to_its_end(
    synthetic: Any, declared: Any
) -> None:
    """Also before a high-pass of 2.5 Hz, which forgets slowly: none is read beyond the record."""
    bench = synthetic(setup=declared(band_hz=(2.5, 5_000.0)))
    (reading,) = transients.impulse_undershoot(Measuring(bench))
    assert reading.value < 0.1
    assert reading.expanded < 0.2


def test_no_single_step_makes_a_time_constant_stray(synthetic: Any, declared: Any) -> None:
    """In loud noise a step alone takes late for large; all of them together do not."""
    setup = declared(rate_hz=5_000.0, band_hz=(20.0, 1_000.0), orders=(1, 2))
    for seed in range(6):
        bench = synthetic(setup=setup, noise_uv=5.0, seed=seed)
        (reading,) = transients.step_tau(Measuring(bench))
        assert reading.value == pytest.approx(1e3 / (2 * math.pi * 20), abs=2 * reading.expanded)
        assert reading.expanded < 0.02
