"""Conduction velocity and innervation zone: right, in the right direction, never from nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.analysis.surface.innervation import innervation_zone
from emgsim.analysis.surface.velocity import (
    Velocity,
    _estimate,
    differential,
    muap_velocity,
    velocity,
)

RATE_HZ = 2048.0
ALONG_MM = 5.0 * np.arange(8)


def sweeps(n: int, speed_m_s: float, noise: float, seed: int = 1) -> np.ndarray:
    """A biphasic wave of 50 ms past all channels, in white noise."""
    time_s = np.arange(102) / RATE_HZ - 0.02
    at = (time_s[:, None] - 1e-3 * ALONG_MM / speed_m_s) / 0.0025
    wave = -at * np.exp(-0.5 * at**2)
    return wave + noise * np.random.default_rng(seed).standard_normal((n, *wave.shape))


def reason_of(found: Velocity) -> str:
    assert np.isnan([found.velocity_m_s.value, found.velocity_m_s.low]).all()
    return found.velocity_m_s.reason


@pytest.mark.parametrize("speed", [2.0, 3.0, 4.0, 5.0, 6.0, -4.0])
def test_the_velocity_of_a_wave_is_measured(waves, speed: float) -> None:
    """Within 0.5 % without noise, within 2 % at 20 dB, all channels used, sign included."""
    wave = waves.travelling(speed)
    clean = velocity(wave, RATE_HZ, ALONG_MM)
    assert clean.velocity_m_s.value == pytest.approx(speed, rel=0.005)
    assert clean.channels == tuple(range(8))
    assert clean.left_out == ()
    found = velocity(waves.noisy(wave, 20.0), RATE_HZ, ALONG_MM).velocity_m_s
    assert found.value == pytest.approx(speed, rel=0.02)
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.02 * abs(speed)


def test_noise_widens_the_interval_and_does_not_bias(waves) -> None:
    """At 6 dB it is wider than at 20 dB, and still holds the truth."""
    wave = waves.travelling(4.0, 4.0)
    narrow = velocity(waves.noisy(wave, 20.0), RATE_HZ, ALONG_MM).velocity_m_s
    wide = velocity(waves.noisy(wave, 6.0), RATE_HZ, ALONG_MM).velocity_m_s
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert wide.low < 4 < wide.high


def test_the_interval_is_as_wide_as_velocities_scatter(waves) -> None:
    """Over 40 signals of 2 s, whose intervals reach 2.45 standard errors to either side."""
    found = [
        velocity(waves.noisy(waves.travelling(4.0, 2.0, k), 12.0, 100 + k), RATE_HZ, ALONG_MM)
        for k in range(40)
    ]
    scatter = np.std([one.velocity_m_s.value for one in found])
    reach = np.mean([one.velocity_m_s.high - one.velocity_m_s.low for one in found]) / 2
    assert 0.75 < reach / 2.45 / scatter < 1.33


@settings(max_examples=15)
@given(
    factor=st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-3),
    shift_mm=st.floats(-100, 100),
    offset_uv=st.floats(-1e3, 1e3),
)
def test_the_velocity_does_not_depend_on_scale_or_place(
    waves, factor: float, shift_mm: float, offset_uv: float
) -> None:
    """Nor on polarity, nor on an offset."""
    wave = waves.noisy(waves.travelling(4.0, 0.6), 15.0)
    one = velocity(wave, RATE_HZ, ALONG_MM).velocity_m_s
    other = velocity(factor * (wave + offset_uv), RATE_HZ, ALONG_MM + shift_mm).velocity_m_s
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert other.high == pytest.approx(one.high, rel=1e-6)


@settings(max_examples=10)
@given(speed=st.floats(2, 6), seed=st.integers(0, 99))
def test_a_mirrored_array_turns_the_sign(waves, speed: float, seed: int) -> None:
    """Ends of the interval change places."""
    wave = waves.noisy(waves.travelling(speed, 0.6, seed), 15.0, seed)
    one = velocity(wave, RATE_HZ, ALONG_MM).velocity_m_s
    other = velocity(wave[:, ::-1], RATE_HZ, ALONG_MM).velocity_m_s
    assert other.value == pytest.approx(-one.value, rel=1e-6)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), rel=1e-6)


def test_electrodes_need_not_be_evenly_spaced(waves) -> None:
    """Distances of 4 to 9 mm."""
    along_mm = np.array([0.0, 4.0, 13.0, 18.0, 26.0])
    wave = waves.band_noise(2.0, 1, 1e-3 * along_mm / 3.5)
    found = velocity(wave, RATE_HZ, along_mm)
    assert found.velocity_m_s.value == pytest.approx(3.5, rel=0.005)


def test_channels_beyond_the_zone_are_left_out_and_told(waves) -> None:
    """Five channels above a zone at 11 mm measure; the nearest below hears the wave turned over."""
    found = velocity(waves.noisy(waves.from_zone(11.0), 20.0), RATE_HZ, ALONG_MM)
    assert found.velocity_m_s.value == pytest.approx(4, rel=0.01)
    assert found.channels == (3, 4, 5, 6, 7)
    assert [channel for channel, _ in found.left_out] == [0, 1, 2]
    assert found.left_out[2][1] == "polarity reversed: the innervation zone is near"


def test_a_dead_channel_is_left_out(waves) -> None:
    """The longer row beside it measures."""
    wave = waves.noisy(waves.travelling(4.0), 20.0)
    wave[:, 2] = 0.0
    found = velocity(wave, RATE_HZ, ALONG_MM)
    assert found.channels == (3, 4, 5, 6, 7)
    assert found.velocity_m_s.value == pytest.approx(4, rel=0.01)
    assert "resembles its neighbour by 0.00" in found.left_out[2][1]


@pytest.mark.parametrize("zone_mm", [7.5, 11.0, 20.0, 24.0])
def test_the_innervation_zone_is_found_between_channels(waves, zone_mm: float) -> None:
    """Within a quarter of a millimetre, in its interval or next to it."""
    found = innervation_zone(waves.noisy(waves.from_zone(zone_mm), 20.0), RATE_HZ, ALONG_MM)
    assert found.value == pytest.approx(zone_mm, abs=0.25)
    assert found.low - 0.05 < zone_mm < found.high + 0.05
    assert found.high - found.low < 0.5


def test_a_wave_one_way_has_no_zone(waves) -> None:
    """Nor has noise, nor waves that come from outside to both ends."""
    inwards = waves.from_zone(17.0)[::-1]
    for samples in (
        waves.travelling(4.0),
        np.random.default_rng(1).standard_normal((4096, 8)),
        inwards,
    ):
        found = innervation_zone(samples, RATE_HZ, ALONG_MM)
        assert np.isnan(found.value)
        assert "no channels" in found.reason


def test_a_muap_has_its_velocity_and_an_interval() -> None:
    """Of 60 sweeps in noise as strong as the wave; of one sweep there is no interval."""
    found = muap_velocity(sweeps(60, -4.0, 0.3), RATE_HZ, ALONG_MM).velocity_m_s
    assert found.low < -4 < found.high < 0
    assert found.high - found.low < 0.5
    lifted = muap_velocity(100 + sweeps(60, -4.0, 0.3), RATE_HZ, ALONG_MM).velocity_m_s
    assert lifted.value == pytest.approx(found.value)
    one = muap_velocity(sweeps(1, 4.0, 0.0), RATE_HZ, ALONG_MM).velocity_m_s
    assert one.value == pytest.approx(4, rel=0.005)
    assert np.isnan(one.low)


def test_no_velocity_comes_from_nothing(waves) -> None:
    """Noise, a common signal, waves too fast, too few channels and too short a signal."""
    noise = np.random.default_rng(1).standard_normal((4096, 8))
    assert "0.7 is needed" in reason_of(velocity(noise, RATE_HZ, ALONG_MM))
    assert "two in a row are needed" in reason_of(
        velocity(waves.travelling(4.0)[:, :2], RATE_HZ, ALONG_MM[:2])
    )
    assert "travels at 13 m/s" in reason_of(velocity(waves.travelling(13.0), RATE_HZ, ALONG_MM))
    assert "less than half a second" in reason_of(velocity(noise[:900], RATE_HZ, ALONG_MM))
    assert "less than half a second" in reason_of(
        velocity(np.full((4096, 8), np.nan), RATE_HZ, ALONG_MM)
    )
    common = waves.noisy(np.repeat(waves.band_noise(2.0)[:, None], 8, axis=1), 10.0)
    assert reason_of(velocity(common, RATE_HZ, ALONG_MM))
    assert reason_of(velocity(np.zeros((4096, 8)), RATE_HZ, ALONG_MM))


def test_a_delay_that_may_be_none_gives_no_velocity() -> None:
    """0.2 s/m, but 0 to 0.4 without one block or another."""
    found = _estimate(0.2, np.array([0.0, 0.4, 0.2, 0.2]))
    assert np.isnan(found.value)
    assert found.reason == "the doubt about the delay is as large as the delay"
    assert _estimate(0.2, np.array([0.199, 0.201])).value == pytest.approx(5)


def test_missing_samples_cost_their_blocks_only(waves) -> None:
    """The velocity stays."""
    wave = waves.noisy(waves.travelling(4.0, 4.0), 20.0)
    wave[3000:3050, 2] = np.nan
    assert velocity(wave, RATE_HZ, ALONG_MM).velocity_m_s.value == pytest.approx(4, rel=0.005)


def test_differences_lie_between_their_channels() -> None:
    """Of 1, 4, 9 they are 3 and 5."""
    samples, along_mm = differential(np.array([[1.0, 4, 9]]), np.array([0.0, 10, 20]))
    assert samples.tolist() == [[3, 5]]
    assert along_mm.tolist() == [5, 15]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: velocity(np.zeros((9, 3)), RATE_HZ, ALONG_MM), r"along_mm \(n_channels,\)"),
        (lambda: velocity(np.zeros((9, 8)), RATE_HZ, ALONG_MM[::-1]), "along_mm must ascend"),
        (lambda: velocity(np.zeros((9, 8)), 0.0, ALONG_MM), "rate_hz must be finite and > 0"),
        (lambda: muap_velocity(np.zeros((9, 8)), RATE_HZ, ALONG_MM), "sweeps_uv must be"),
        (
            lambda: muap_velocity(np.full((2, 9, 8), np.nan), RATE_HZ, ALONG_MM),
            "sweeps_uv must be finite",
        ),
    ],
)
def test_bad_input_is_refused(call, said: str) -> None:
    """Each with what the rule is."""
    with pytest.raises(ValueError, match=said):
        call()
