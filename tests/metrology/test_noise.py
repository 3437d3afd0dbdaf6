"""Noise, mains, offset and drift of a device that hears nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emgsim.metrology import noise
from emgsim.metrology.procedure import Measuring, Procedure
from emgsim.metrology.silence import band_rms, periodogram, referred

SMALL = {"rate_hz": 8_000.0, "band_hz": (20.0, 2_000.0)}


def _true_rms_uv(bench: Any, low_hz: float, high_hz: float) -> float:
    """White noise through the response and the rounding's, over the gain at mid-band."""
    f = np.linspace(low_hz, high_hz, 20_001)
    device = bench.setup.device
    rounding = device.scale_uv_per_count**2 / 12 / (device.rate_hz / 2)
    density = bench.noise_uv**2 / 10_000 * np.abs(bench.response(f)) ** 2 + rounding
    gain = abs(bench.response(np.array([bench.setup.mid_hz]))[0])
    return float(np.sqrt(np.trapezoid(density, f)) / gain)


def _with_mains(bench: Any, peak_uv: float, hz: float) -> Any:
    """Let the device hum when it is listened to."""
    listen = bench.listen

    def humming(state: str, duration_s: float) -> Any:
        heard = listen(state, duration_s)
        for k, share in ((1, 1.0), (3, 0.5)):
            wave = share * peak_uv * np.sin(2 * np.pi * k * hz * heard.times_s + k)
            heard.uv[:] += wave[:, None]
        return heard

    bench.listen = humming
    return bench


def test_noise_is_that_of_the_band_over_the_gain(synthetic: Any, declared: Any) -> None:
    """A gain of 1.07 is not taken for more noise, and coarse codes are in it."""
    bench = synthetic(setup=declared(**SMALL, bits=14), gain=1.07, noise_uv=2.0, seed=3)
    (reading,) = noise.noise_rms(Measuring(bench))
    assert abs(reading.value - _true_rms_uv(bench, 20.0, 2_000.0)) < 1.3 * reading.expanded
    assert reading.expanded < 0.02 * reading.value
    assert reading.rests_on == ("source-1", "divider-1")


def test_mains_are_no_noise(synthetic: Any, declared: Any) -> None:
    """A hum of ten times the noise leaves it as it is, and is reported by itself."""
    bench = synthetic(setup=declared(**SMALL), seed=4)
    measuring = Measuring(_with_mains(bench, 5.0, 50.003))
    (reading,) = noise.noise_rms(measuring)
    assert reading.value == pytest.approx(_true_rms_uv(bench, 20.0, 2_000.0), rel=0.02)
    fifty, sixty = noise.noise_mains(measuring)
    expected_uv = 5.0 * np.hypot(1.0, 0.5) / abs(bench.response(np.array([200.0]))[0])
    assert fifty.value == pytest.approx(expected_uv, abs=max(0.02, fifty.expanded))
    assert sixty.value < 0.1


def test_nothing_hums_where_nothing_does(synthetic: Any, declared: Any) -> None:
    """Noise alone is no mains: 0 lies within the uncertainty of nearly all of 20 devices."""
    setup, hits = declared(**SMALL), 0
    for seed in range(10):
        readings = noise.noise_mains(Measuring(synthetic(setup=setup, seed=seed)))
        hits += sum(reading.value <= reading.expanded for reading in readings)
    assert hits >= 17


def test_the_density_is_that_of_the_octave(synthetic: Any, declared: Any) -> None:
    """0.6 uV in 10 kHz are 6 nV in a hertz."""
    (reading,) = noise.noise_density(Measuring(synthetic(setup=declared(**SMALL), seed=1)))
    assert reading.value == pytest.approx(6.0, abs=1.3 * reading.expanded)
    assert set(reading.curves) == {"frequency_hz", "density_nv_sqrt_hz"}


@pytest.mark.slow
def test_the_range_scatters_as_it_says(synthetic: Any, declared: Any) -> None:
    """The highest minus the lowest sample of 24 records scatters by the stated deviation."""
    setup = declared(**SMALL)
    readings = [
        noise.noise_p2v(Measuring(synthetic(setup=setup, seed=seed)))[0] for seed in range(24)
    ]
    scatter = float(np.std([reading.value for reading in readings], ddof=1))
    stated = np.median([reading.components[0].standard for reading in readings])
    assert 0.65 < scatter / stated < 1.4


def test_the_offset_of_a_converter_is_found(synthetic: Any, declared: Any) -> None:
    """It is referred to the input, sign and all."""
    bench = synthetic(setup=declared(**SMALL), gain=1.05, offset_uv=-120.0)
    (reading,) = noise.dc_offset(Measuring(bench))
    gain = abs(bench.response(np.array([bench.setup.mid_hz]))[0])
    assert reading.value == pytest.approx(-120.0 / gain, abs=0.01)


def test_rounding_without_noise_makes_an_offset_uncertain(synthetic: Any, declared: Any) -> None:
    """Where all samples are the same code, the mean may be a part of a code off, and says so."""
    bench = synthetic(setup=declared(**SMALL, bits=14), noise_uv=0.1, offset_uv=40.3)
    (reading,) = noise.dc_offset(Measuring(bench))
    assert abs(reading.value - 40.3) < 1.5 * reading.expanded
    assert reading.expanded > 0.1


def test_a_drift_is_a_drift(synthetic: Any, declared: Any) -> None:
    """A baseline that runs 1 uV in a second is found, one that stands still is 0."""
    bench = synthetic(setup=declared(**SMALL), seed=5)
    (still,) = noise.baseline_drift(Measuring(bench))
    assert abs(still.value) < 2 * still.expanded
    listen = bench.listen

    def running(state: str, duration_s: float) -> Any:
        heard = listen(state, duration_s)
        heard.uv[:] += heard.times_s[:, None]
        return heard

    bench.listen = running
    (reading,) = noise.baseline_drift(Measuring(bench))
    gain = abs(bench.response(np.array([bench.setup.mid_hz]))[0])
    assert reading.value == pytest.approx(1.0 / gain, abs=2 * reading.expanded)


def test_an_electrode_is_told_by_its_resistance(synthetic: Any, declared: Any) -> None:
    """The note says what 12 kohm make: 0.622 uV in 2 kHz."""
    (reading,) = noise.noise_electrode(Measuring(synthetic(setup=declared(**SMALL))))
    assert "12000 ohm make 0.622 uV" in reading.note


def test_the_power_of_a_periodogram_is_the_variance() -> None:
    """Parseval, also where samples are lost."""
    rng = np.random.default_rng(1)
    uv = 3.0 * rng.standard_normal(20_001) + 100.0
    f, density = periodogram(uv, 1_000.0)
    assert density.sum() * (f[1] - f[0]) == pytest.approx(uv.var(), rel=1e-3)
    uv[5_000:7_000] = np.nan
    f, density = periodogram(uv, 1_000.0)
    assert density.sum() * (f[1] - f[0]) == pytest.approx(9.0, rel=0.03)


def test_the_rms_of_a_band_scatters_as_it_says() -> None:
    """200 records of white noise: 1 / (2 sqrt(B T)) of the rms."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(200):
        f, density = periodogram(rng.standard_normal(4_000), 1_000.0)
        found.append(band_rms(f, density, (100.0, 200.0), np.array([150.0])))
    values, relative = np.array(found).T
    assert relative.mean() == pytest.approx(0.5 / np.sqrt(99.0 * 4.0), rel=0.05)
    assert values.std() / values.mean() == pytest.approx(relative.mean(), rel=0.2)
    assert values.mean() == pytest.approx(np.sqrt(0.2), rel=0.01)


def test_a_root_reaches_as_far_as_its_square() -> None:
    """Far out of the noise sd / (2 value); lost in it as far as twice the square's deviation."""
    assert noise.rooted(100.0, 1.0) == pytest.approx((10.0, 0.05), rel=0.02)
    assert noise.rooted(-3.0, 2.0) == pytest.approx((0.0, 1.0))
    value, standard = noise.rooted(4.0, 2.0)
    assert value - 2 * standard == pytest.approx(0.0)


def test_the_clock_comes_with_the_gain(synthetic: Any, declared: Any) -> None:
    """A device that runs 150 ppm fast hears the source that much slower."""
    bench = synthetic(setup=declared(**SMALL), device_ppm=150.0)
    assert (referred(Measuring(bench)).clock - 1) * 1e6 == pytest.approx(-150.0, abs=0.3)


@pytest.mark.parametrize("procedure", noise.PROCEDURES, ids=lambda procedure: procedure.id)
def test_every_reading_says_how_it_came_about(
    synthetic: Any, declared: Any, procedure: Procedure
) -> None:
    """Method, conditions, unit and certificates stand in each."""
    for reading in procedure.measure(Measuring(synthetic(setup=declared(**SMALL)))):
        assert reading.id.startswith(procedure.id)
        assert all((reading.method, reading.conditions, reading.unit, reading.rests_on))
