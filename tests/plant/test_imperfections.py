"""What an amplifier, a source and a fixture do that they should not, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from emgsim.plant.networks import loaded_input, notch
from emgsim.plant.physics import (
    AmplifierPhysics,
    FixturePhysics,
    RigPhysics,
    ScopePhysics,
    SourcePhysics,
    StatePhysics,
)
from emgsim.plant.shapes import Rail, bent
from emgsim.plant.world import GeneratorSettings, World

Floats = NDArray[np.float64]

RATE_HZ = 100_000.0
LSB_UV = 10_000.0 / 2**23
DIRECT, SHORTED, SHORTED_1M, SECOND, NODE = (frozenset({n}) for n in range(5))
JOINED = {"has_electrode": False, "input_ohm": 10_010}
STATES = {
    "direct": StatePhysics(relays=DIRECT, differential=1 / 1001, **JOINED),
    "shorted": StatePhysics(relays=SHORTED, **JOINED),
    "shorted_1m": StatePhysics(relays=SHORTED_1M, series_ohm=1e6, **JOINED),
    "only_2": StatePhysics(relays=SECOND, differential=1 / 1001, driven=(1,), **JOINED),
    "node_drive": StatePhysics(relays=NODE, common=0.28, differential=-1e-5, **JOINED),
}


def rig(source: dict[str, float] | None = None, **amplifier: object) -> RigPhysics:
    """Return a rig without noise whose amplifier has some imperfection."""
    return RigPhysics(
        source=SourcePhysics(**{"noise_mv_rms": 0, "clock_ppm": 0, **(source or {})}),
        fixture=FixturePhysics(states=STATES, temperature_k=1e-12),
        amplifier=AmplifierPhysics(
            **{"noise_uv_rms": 0, "gain": 1.0, "clock_ppm": 0, "highpass_order": 0, **amplifier}
        ),
        scope=ScopePhysics(noise_of_range=0),
    )


def sine_codes(f_hz: float, seconds: float) -> NDArray[np.int16]:
    """Return full-scale codes of a sine."""
    k = np.arange(round(seconds * RATE_HZ))
    return np.rint(32767 * np.sin(2 * np.pi * f_hz * k / RATE_HZ)).astype(np.int16)


def playing(
    physics: RigPhysics, codes: NDArray[np.int16], relays: frozenset[int], vpp_v: float = 10.0
) -> World:
    """Return a world in a state of its fixture, triggered, whose device streams."""
    world = World(physics, seed=3)
    world.set_relays(relays)
    world.generator.set_waveform(codes)
    world.generator.apply(GeneratorSettings(rate_hz=RATE_HZ, vpp_open_v=vpp_v, output_on=True))
    world.amplifier.start()
    world.generator.trigger()
    return world


def tones(
    physics: RigPhysics,
    f_hz: float,
    relays: frozenset[int],
    *,
    orders: int = 1,
    vpp_v: float = 10.0,
) -> NDArray[np.complex128]:
    """Return the sine and its harmonics in each channel, microvolts: ``(orders, n_channels)``."""
    world = playing(physics, sine_codes(f_hz, 0.3), relays)
    world.advance(0.35)
    seen_uv = world.amplifier.take() * LSB_UV
    times_s = np.arange(seen_uv.shape[0]) / 48_000.0
    steady = (times_s > 0.1) & (times_s < 0.3)
    waves = [np.exp(2j * np.pi * k * f_hz * times_s[steady]) for k in range(1, orders + 1)]
    basis = np.stack([np.ones(steady.sum()), *(f(w) for w in waves for f in (np.real, np.imag))], 1)
    fit = np.linalg.lstsq(basis, seen_uv[steady], rcond=None)[0]
    return np.asarray(fit[1::2] - 1j * fit[2::2])


def heard_uv(world: World, seconds: float) -> Floats:
    """Return what comes in some seconds, shape ``(n, n_channels)``."""
    world.advance(seconds)
    return np.asarray(world.amplifier.take() * LSB_UV)


# ---- the input


@pytest.mark.parametrize("electrode_nf", [0.0, 14.0])
@pytest.mark.parametrize(("ohm", "nf"), [(0.0, 0.0), (1e6, 0.0), (620e3, 4.7), (10e3, 47.0)])
def test_an_input_divides_with_its_capacitance_too(
    electrode_nf: float, ohm: float, nf: float
) -> None:
    """R || C over the sum of the impedances, written here one by one; the shunt carries no C."""
    network = loaded_input(
        series_ohm=ohm, series_nf=nf, electrode_ohm=12e3, electrode_nf=electrode_nf,
        shunt_ohm=10.0, input_ohm=5e7, input_pf=80.0,
    )  # fmt: skip
    f = np.array([0.5, 10.0, 50.0, 1e3, 1e4])
    s = 2j * np.pi * f
    series = ohm / (1 + s * ohm * nf * 1e-9)
    if electrode_nf:
        series = series + 12e3 + 1 / (s * electrode_nf * 1e-9)
    expected = 1 / (1 + (series + 10.0) / 5e7 + s * 80e-12 * series)
    np.testing.assert_allclose(network.response(f), expected, rtol=1e-7)


def test_the_bias_current_makes_a_voltage_at_a_resistance() -> None:
    """4 nA through 1 Mohm, parallel to the input's 9 Mohm: 3600 uV, and nothing at a short."""
    world = World(rig(bias_na=4.0, input_mohm=9.0, input_pf=50.0), seed=1)
    world.amplifier.start()
    seen = []
    for relays in (SHORTED, SHORTED_1M, SHORTED):
        world.set_relays(relays)
        seen.append(float(heard_uv(world, 0.1)[-100:].mean()))
    assert seen == pytest.approx([0.0, 3600.0, 0.0], abs=0.02)


def test_a_highpass_shows_the_bias_current_as_a_step_up_and_down() -> None:
    """A first-order 10 Hz filter 2 to 4 ms after either change of the fixture."""
    world = World(rig(bias_na=4.0, input_mohm=9.0, highpass_order=1), seed=1)
    world.amplifier.start()
    seen = []
    for relays in (SHORTED, SHORTED_1M, SHORTED):
        world.set_relays(relays)
        seen.append(float(heard_uv(world, 0.5)[96:192, 0].mean()))
    left = 3600.0 * np.exp(-2 * np.pi * 10 * 3e-3)
    assert seen == pytest.approx([0.0, left, -left], rel=5e-3, abs=0.1)


def test_both_ways_of_a_common_voltage_add_up() -> None:
    """A leak of -1e-5 volts between the inputs takes half of what a rejection of 82.9 dB leaves."""
    finite_db = -20 * np.log10(2e-5 / 0.28)
    loaded_uv = 5e6 * 10_010 / 10_060
    assert abs(tones(rig(cmrr_db=finite_db), 200.0, NODE)[0, 0]) == pytest.approx(
        1e-5 * loaded_uv, rel=2e-3
    )


# ---- between channels


def test_a_channel_hears_its_neighbours_and_no_others() -> None:
    """The second of four is driven: 0.01 of it in the first and the third, none in the fourth."""
    amplifier = {"channels": 4, "crosstalk_db": -40.0, "channel_gains": (1.0, 1.0, 0.5, 1.0)}
    heard = np.abs(tones(rig(**amplifier), 200.0, SECOND)[0])
    np.testing.assert_allclose(heard / heard[1], [0.01, 1.0, 0.005, 0.0], atol=1e-6)


def test_where_all_are_driven_crosstalk_adds() -> None:
    """The ends have one neighbour and the middle two."""
    heard = np.abs(tones(rig(channels=3, crosstalk_db=-40.0), 200.0, DIRECT)[0])
    np.testing.assert_allclose(heard / heard[0], [1.0, 1.02 / 1.01, 1.0], atol=1e-6)


def test_what_all_channels_hear_each_hears_of_its_neighbours_too() -> None:
    """Noise of the inputs, once from each neighbour: 1.01 of it at the ends, 1.02 in the middle."""
    world = World(rig(channels=3, crosstalk_db=-40.0, noise_uv_rms=5.0), seed=1)
    world.set_relays(SHORTED)
    world.amplifier.start()
    loud = heard_uv(world, 0.2).std(axis=0)
    np.testing.assert_allclose(loud / loud[0], [1.0, 1.02 / 1.01, 1.0], rtol=1e-4)


def test_a_channel_that_is_sampled_late_sees_a_later_phase() -> None:
    """Up to two samples of 20.8 us each, exactly."""
    skews_us = (0.0, 3.7, 21.0, 40.0)
    seen = tones(rig(channels=4, skews_us=skews_us), 1000.0, DIRECT)[0]
    late_us = np.angle(seen / seen[0]) / (2 * np.pi * 1000.0) * 1e6
    np.testing.assert_allclose(late_us, skews_us, atol=2e-4)


@given(seconds=st.lists(st.sampled_from([0.01, 0.03, 0.17]), min_size=5, max_size=9))
@settings(max_examples=5, deadline=None)
def test_codes_do_not_depend_on_how_time_is_cut(seconds: list[float]) -> None:
    """Late channels look ahead of a block's end, and an overload lasts over it."""
    imperfect = {
        "channels": 3, "skews_us": (0.0, 30.0, 55.0), "clock_jitter_s": 1e-6, "recovery_s": 0.02,
        "crosstalk_db": -50.0, "noise_uv_rms": 1.0, "input_pf": 20.0, "third_order": 1e-3,
    }  # fmt: skip
    whole, cut = (playing(rig(**imperfect), sine_codes(90.0, 0.2), DIRECT, 20.0) for _ in range(2))
    for step_s in seconds:
        cut.advance(step_s)
    whole.advance(cut.now_s)
    np.testing.assert_array_equal(whole.amplifier.take(), cut.amplifier.take())


# ---- filters, bends and rails


def test_a_notch_takes_its_frequency_out() -> None:
    """Nothing at 50 Hz, -3 dB at the edges of a width of f / Q, all at 500 Hz."""
    f = np.array([50.0, 50 * (np.sqrt(1 + 1 / 400) + 1 / 20), 500.0])
    np.testing.assert_allclose(
        np.abs(notch(50.0, 10.0).response(f)), [0.0, np.sqrt(0.5), 1.0], atol=1e-4
    )
    heard = abs(tones(rig(notch_hz=200.0, notch_q=2.0), 200.0, DIRECT)[0, 0])
    assert heard < 1.0  # of 4.97 mV


def test_a_bent_amplifier_makes_the_harmonics_of_its_polynomial() -> None:
    """Of A = 4.97 mV in 10 mV: a2 A^2 / 2 FS and a3 A^3 / 4 FS^2; three of the last compress."""
    straight = abs(tones(rig(), 50.0, DIRECT)[0, 0])
    seen = np.abs(tones(rig(second_order=2e-3, third_order=-4e-3), 50.0, DIRECT, orders=3)[:, 0])
    share = straight / 10_000
    np.testing.assert_allclose(seen[1:] / straight, [1e-3 * share, 1e-3 * share**2], rtol=3e-3)
    assert seen[0] / straight == pytest.approx(1 - 3e-3 * share**2, rel=1e-6)


def test_an_overload_never_comes_back_on_the_other_side() -> None:
    """A cubic that falls again far beyond the range only goes on straight there."""
    volts = np.linspace(-1.0, 1.0, 2001)
    assert np.all(np.diff(bent(volts, 0.05, -0.1, 0.01, 0.01)) > 0)


def test_a_source_has_a_gain_and_harmonics_of_its_own() -> None:
    """Half a per cent more; -60 dB of the second harmonic at full swing is a2 = 2e-3."""
    plain = abs(tones(rig(), 50.0, DIRECT)[0, 0])
    bad = {"gain": 1.005, "second_order": 2e-3, "third_order": 4e-3}
    seen = np.abs(tones(rig(bad), 50.0, DIRECT, orders=3)[:, 0])
    np.testing.assert_allclose(seen[1:] / plain, [1.005e-3, 1.005e-3], rtol=1e-3)
    assert seen[0] / plain == pytest.approx(1.005 * 1.003, rel=1e-5)


def test_the_converter_has_an_offset() -> None:
    """Whatever comes before it, and whatever a high-pass forgets."""
    world = World(rig(offset_uv=-12.5, highpass_order=2, channels=2), seed=1)
    world.amplifier.start()
    np.testing.assert_allclose(heard_uv(world, 0.1).mean(axis=0), -12.5, atol=LSB_UV)


def test_the_converters_offset_drifts_from_the_beginning_of_a_playback() -> None:
    """12 uV/s of 0.5 s are 6 uV, and the next playback begins anew."""
    world = playing(rig(drift_uv_s=12.0), np.zeros(40_000, np.int16), SHORTED)
    for _ in range(2):
        uv = heard_uv(world, 0.5)[:, 0]
        assert uv[-1] - uv[0] == pytest.approx(6.0, abs=0.15)
        world.generator.trigger()


def test_an_output_stays_at_its_rail_until_it_has_recovered() -> None:
    """20 ms beyond the last sample that was cut, then at once back in the signal."""
    pulse = np.zeros(20_000, np.int16)
    pulse[5_000:5_500] = 32767
    world = playing(rig(recovery_s=0.02), pulse, DIRECT, 20.0)
    uv = heard_uv(world, 0.25)[:, 0]
    full = np.flatnonzero(uv > 8_999)
    assert np.all(np.diff(full) == 1)
    assert full.size / 48_000.0 == pytest.approx(0.005 + 0.02, abs=1e-4)
    assert np.abs(uv[full[-1] + 1]) < 1.0


def test_a_rail_is_left_by_each_side_and_by_each_channel_alone() -> None:
    """Cut below after it was cut above it stays below; the channel that was never cut is free."""
    times_s = np.arange(12.0)
    volts = np.zeros((12, 2))
    volts[1, 0], volts[3, 0], volts[:, 1] = 2.0, -2.0, 0.25
    cut = Rail(1.0, 4.0).cut(times_s, volts)
    np.testing.assert_array_equal(cut[:, 0], [0, 1, 1, -1, -1, -1, -1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(cut[:, 1], 0.25)


def test_the_monitor_shows_the_rail_too() -> None:
    """The analogue output of the stage that is full, seen by the oscilloscope."""
    pulse = np.zeros(20_000, np.int16)
    pulse[5_000:5_500] = 32767
    world = World(rig(recovery_s=0.02), seed=3)
    world.set_relays(DIRECT)
    world.generator.set_waveform(pulse)
    world.generator.apply(GeneratorSettings(rate_hz=RATE_HZ, vpp_open_v=20.0, output_on=True))
    world.scope.arm(rate_hz=50e3, n_points=10_000, ranges_v={2: 20.0}, offsets_v={2: 0.0})
    world.generator.trigger()
    world.advance(0.25)
    codes = world.scope.codes(2)
    assert np.mean(codes > 0.98 * codes.max()) == pytest.approx(0.025 / 0.2, abs=0.002)


# ---- the fixture


def test_a_stuck_relay_obeys_nobody() -> None:
    """It stays off, and the state is that of the others."""
    world = World(rig(), seed=1)
    world.stick_relay(1)
    for relays, expected in ((SHORTED, frozenset[int]()), (DIRECT | SHORTED, DIRECT)):
        world.set_relays(relays)
        assert world.state.relays == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": 2, "skews_us": (1.0,)}, "skews_us: one for each of the 2 channels"),
        ({"channels": 1, "skews_us": (-1.0,)}, "no sample is early"),
        ({"crosstalk_db": 3.0}, "less than or equal to 0"),
        ({"second_order": 0.5}, "less than or equal to 0.1"),
    ],
)
def test_an_imperfection_that_cannot_be_is_refused(
    changed: dict[str, object], message: str
) -> None:
    """What contradicts itself is found when the rig is read."""
    with pytest.raises(ValidationError, match=message):
        AmplifierPhysics.model_validate(changed)
