"""The plant's oscilloscope: bits, noise, and the box of a point that is an average."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.plant.parts import Scope
from emgsim.plant.physics import RigPhysics, ScopePhysics, SourcePhysics
from emgsim.plant.world import GeneratorSettings, World

RATE_HZ = 50e3


@pytest.mark.parametrize(("averaged", "bits"), [(1, 8), (3, 8), (4, 9), (16, 10), (256, 12),
                                                (10_000, 12)])  # fmt: skip
def test_four_conversions_gain_a_bit_up_to_the_most(averaged: int, bits: int) -> None:
    """8 bits: 4 make 9, 256 make 12, and no more."""
    assert ScopePhysics(adc_bits=8, most_bits=12).point_bits(averaged) == bits


def test_averaging_never_takes_bits_away() -> None:
    """A converter of 14 bits keeps them, whatever the most of an average is."""
    assert ScopePhysics(adc_bits=14, most_bits=12).point_bits(1) == 14


def test_the_noise_of_an_average_by_pencil() -> None:
    """sqrt(2e-4^2 + (2e-3^2 + (1/256)^2 / 12) / 100) = 3.04e-4 of the range; single: 2.01e-3."""
    scope = ScopePhysics(adc_bits=8, noise_of_range=2e-4, conversion_noise_of_range=2e-3)
    assert scope.point_noise_of_range(100) == pytest.approx(3.04493e-4, rel=1e-4)
    assert scope.point_noise_of_range(1) == pytest.approx(2.00998e-3, rel=1e-4)


def test_so_many_conversions_lie_between_two_points() -> None:
    """1 GSa/s at 40 kSa/s are 25 000; a point is never made of less than one."""
    assert ScopePhysics(conversion_rate_hz=1e9).averaged_at(40e3) == 25_000
    assert ScopePhysics(conversion_rate_hz=1e9).averaged_at(2e9) == 1


def recorded(averaged: int, frequency_hz: float, **scope: float) -> np.ndarray:
    """Return the volts of a sine of 1 V that the scope hears over 0.1 s."""
    physics = RigPhysics(
        source=SourcePhysics(noise_mv_rms=0),
        scope=ScopePhysics(**({"noise_of_range": 0, "adc_bits": 16} | scope)),
    )
    world = World(physics, seed=3)
    sine = np.sin(2 * np.pi * frequency_hz * np.arange(50_000) / 500e3)
    world.generator.set_waveform(np.rint(32767 * sine).astype(np.int16))
    world.generator.apply(GeneratorSettings(rate_hz=500e3, vpp_open_v=2.0, output_on=True))
    world.scope.arm(rate_hz=RATE_HZ, n_points=5000, ranges_v={1: 4.0}, offsets_v={1: 0.0},
                    averaged=averaged)  # fmt: skip
    world.generator.trigger()
    world.advance(0.2)
    assert world.scope.state == "done"
    return world.scope.codes(1) * 4.0 / 2**world.scope.bits


def amplitude(volts: np.ndarray, frequency_hz: float) -> float:
    """Return the amplitude of a sine, clear of both ends."""
    times_s = np.arange(volts.size) / (RATE_HZ * (1 + 7e-6))
    inside = slice(500, 4500)
    angle = 2 * np.pi * frequency_hz * times_s[inside] * (1 + 3e-6)
    basis = np.column_stack([np.sin(angle), np.cos(angle)])
    return float(np.hypot(*np.linalg.lstsq(basis, volts[inside], rcond=None)[0]))


@pytest.mark.parametrize("frequency_hz", [1e3, 5e3, 10e3])
def test_an_average_droops_as_the_box_of_its_length_does(frequency_hz: float) -> None:
    """A mean over 1/50 kHz lets sin(x)/x through, x = pi f / 50 kHz: 0.935 at 10 kHz."""
    single, averaged = recorded(1, frequency_hz), recorded(400, frequency_hz)
    ratio = amplitude(averaged, frequency_hz) / amplitude(single, frequency_hz)
    assert ratio == pytest.approx(np.sinc(frequency_hz / RATE_HZ), abs=1e-3)


def test_an_average_is_centred_where_the_single_point_stands() -> None:
    """No shift in time: the difference of the two is far below that of one sample."""
    single, averaged = recorded(1, 1e3), recorded(400, 1e3)
    droop = np.sinc(1e3 / RATE_HZ)
    shift = np.abs(averaged[100:4900] - droop * single[100:4900]).max()
    assert shift < 0.01 * np.abs(np.diff(single)).max()


def test_noise_of_an_average_falls_with_the_root() -> None:
    """In the record too: 100 conversions leave a tenth of the white part."""
    one, hundred = (
        recorded(n, 1e3, conversion_noise_of_range=2e-3) - recorded(n, 1e3) for n in (1, 100)
    )
    assert one.std() == pytest.approx(4.0 * 2e-3, rel=0.05)
    assert hundred.std() == pytest.approx(one.std() / 10, rel=0.05)


@pytest.mark.parametrize("averaged", [1, 7])
@pytest.mark.parametrize("block_s", [3e-5, 1e-3, 0.02])
def test_any_blocks_take_the_same_instants(averaged: int, block_s: float) -> None:
    """However the time is cut, each instant is taken once, in order, to the last point."""
    scope = Scope(RigPhysics())
    scope.arm(rate_hz=RATE_HZ, n_points=500, ranges_v={1: 1.0}, offsets_v={1: 0.0},
              averaged=averaged)  # fmt: skip
    taken, end_s, rng = [], 0.0, np.random.default_rng(1)
    while scope.state != "done":
        end_s += block_s
        times_s = scope.times_s(0.3, end_s)
        assert (times_s < end_s).all()
        taken.append(times_s)
        scope.put({1: times_s}, rng)
    instants = np.concatenate(taken)
    assert instants.size == 500 * scope.n_instants
    assert (np.diff(instants) > 0).all()
    points = instants.reshape(500, -1).mean(axis=1)
    np.testing.assert_allclose(points[1:], (np.arange(1, 500) + 0.3) / RATE_HZ / (1 + 7e-6))
    assert scope.codes(1).size == 500
