"""The fixture's states, what falls out of it, and what the device's terminals have seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from emgsim.plant.analog import advance, modes, settled
from emgsim.plant.physics import (
    AmplifierPhysics,
    FixturePhysics,
    RigPhysics,
    ScopePhysics,
    SourcePhysics,
    StatePhysics,
)
from emgsim.plant.world import NOISE_STEPS, GeneratorSettings, World

LSB_UV = 10_000.0 / 2**23
RATE_HZ = 100_000.0
SERIES = {"series_ohm": 620_000.0, "series_nf": 4.7}
IMBALANCE = {"series_ohm": 10_000.0, "series_nf": 47.0}
SHORTED, DRIVEN, UNEQUAL, OFFSET = (frozenset({n}) for n in range(4))
STATES = {
    "shorted": StatePhysics(relays=SHORTED, input_ohm=10_010, has_electrode=False),
    "node_drive": StatePhysics(relays=DRIVEN, common=0.28, input_ohm=10_000),
    "imbalance": StatePhysics(relays=UNEQUAL, common=0.28, input_ohm=10_000, **IMBALANCE),
    "offset": StatePhysics(relays=OFFSET, differential=1 / 1001, input_ohm=10_010, offset_mv=300),
}


def rig(*, quiet: bool = True, clamp_v: float | None = None, **amplifier: object) -> RigPhysics:
    """Return a rig with all states, without noise if asked for."""
    silence = {"noise_uv_rms": 0} if quiet else {}
    return RigPhysics(
        source=SourcePhysics(noise_mv_rms=0) if quiet else SourcePhysics(),
        fixture=FixturePhysics(
            states=STATES, clamp_v=clamp_v, temperature_k=1e-12 if quiet else 295.0
        ),
        amplifier=AmplifierPhysics(**{**silence, **amplifier}),
        scope=ScopePhysics(noise_of_range=0),
    )


def sine_codes(f_hz: float, seconds: float) -> np.ndarray:
    """Return full-scale codes of a sine."""
    k = np.arange(round(seconds * RATE_HZ))
    return np.rint(32767 * np.sin(2 * np.pi * f_hz * k / RATE_HZ)).astype(np.int16)


def playing(
    physics: RigPhysics, codes: np.ndarray, relays: frozenset[int], **more: object
) -> World:
    """Return a world in a state of its fixture, triggered."""
    world = World(physics, seed=3)
    world.set_relays(relays)
    world.generator.set_waveform(codes)
    world.generator.apply(
        GeneratorSettings(**{"rate_hz": RATE_HZ, "vpp_open_v": 2.0, "output_on": True, **more})
    )
    world.amplifier.start()
    world.generator.trigger()
    return world


def amplitude_uv(world: World, f_hz: float) -> float:
    """Return the amplitude of a sine in the steady part of what was taken."""
    seen_uv = world.amplifier.take()[:, 0] * LSB_UV
    times_s = world.sample_times_s(seen_uv.size)
    steady = (times_s > 0.3) & (times_s < 0.59)
    f_hz *= 1 + world.physics.source.clock_ppm * 1e-6
    wave = np.exp(-2j * np.pi * f_hz * times_s[steady])
    basis = np.stack([wave.real, wave.imag, np.ones(wave.size)], axis=1)
    fit = np.linalg.lstsq(basis, seen_uv[steady], rcond=None)[0]
    return float(np.hypot(fit[0], fit[1]))


def heard_uv(relays: frozenset[int], f_hz: float, **amplifier: object) -> float:
    """Return the amplitude at the converter of a sine of 1 V at the open output."""
    world = playing(rig(**amplifier), sine_codes(f_hz, 0.6), relays)
    world.advance(0.6)
    return amplitude_uv(world, f_hz)


@pytest.mark.parametrize("has_electrode", [True, False])
@pytest.mark.parametrize(("ohm", "nf"), [(0.0, 0.0), (1e5, 0.0), (620e3, 4.7), (10e3, 47.0)])
def test_what_is_in_series_divides_with_the_input_resistance(
    has_electrode: bool, ohm: float, nf: float
) -> None:
    """Ri over the sum of the impedances, which are written here one by one."""
    physics = RigPhysics(amplifier=AmplifierPhysics(input_mohm=10.0))
    state = StatePhysics(has_electrode=has_electrode, series_ohm=ohm, series_nf=nf)
    f = np.array([0.5, 10.0, 50.0, 1e3, 1e4])
    s = 2j * np.pi * f
    series = 1e7 + physics.fixture.shunt_ohm + ohm / (1 + s * ohm * nf * 1e-9)
    if has_electrode:
        series = series + 12_000 + 1 / (s * 14e-9)
    np.testing.assert_allclose(physics.input_network_in(state).response(f), 1e7 / series)


def test_an_unequal_lead_converts_common_mode_by_its_divider() -> None:
    """Zs over Zs + Z of the input against ground, of 10 kohm || 47 nF and 1 Gohm || 20 pF."""
    f = np.array([1.0, 50.0, 1e3, 1e4])
    s = 2j * np.pi * f
    series, ground = (r / (1 + s * r * c) for r, c in ((1e4, 47e-9), (1e9, 20e-12)))
    network = RigPhysics().conversion_network_in(StatePhysics(**IMBALANCE))
    np.testing.assert_allclose(network.response(f), series / (series + ground))


@pytest.mark.parametrize("cmrr_db", [80.0, 100.0])
def test_common_mode_reaches_the_converter_by_the_finite_rejection(cmrr_db: float) -> None:
    """0.28 x 10 000 / 10 050 of 1 V, 100 or 80 dB down, times the amplifier's gain at 200 Hz."""
    gain = float(abs(RigPhysics().amplifier_network.response(np.array([200.0]))[0]))
    expected_uv = 1e6 * 0.28 * 10_000 / 10_050 * 10 ** (-cmrr_db / 20) * gain
    assert heard_uv(DRIVEN, 200.0, cmrr_db=cmrr_db) == pytest.approx(expected_uv, rel=2e-3)


def test_rejection_collapses_with_unequal_leads() -> None:
    """At 50 Hz 10 kohm against 160 Mohm of 20 pF are 62 ppm: 76 dB remain of 100."""
    ratio = heard_uv(UNEQUAL, 50.0, common_mohm=1e6) / heard_uv(DRIVEN, 50.0)
    assert 20 * np.log10(ratio) == pytest.approx(15.7, abs=0.5)  # 10 ppm and 62 ppm, out of phase


def test_inputs_that_are_joined_hear_nothing() -> None:
    """The source plays a volt, and no code comes of it; nor with relays that nobody has wired."""
    for relays in (SHORTED, frozenset({0, 1})):
        world = playing(rig(), sine_codes(200.0, 0.2), relays)
        world.advance(0.2)
        assert np.abs(world.amplifier.take()).max() == 0
        assert (world.terminal_peak_v, world.terminal_common_peak_v) == (0.0, 0.0)


def test_the_scope_sees_the_source_loaded_by_the_state() -> None:
    """Into an open fixture the whole volt, through the divider 10 010 of 10 060 of it."""
    peaks = []
    for relays in (frozenset[int](), frozenset({0, 1})):
        world = playing(rig(), sine_codes(200.0, 0.2), relays)
        world.scope.arm(rate_hz=1e5, n_points=10_000, ranges_v={1: 4.0}, offsets_v={1: 0.0})
        world.advance(0.2)
        peaks.append(float(world.scope.codes(1).max()))
    assert peaks[0] / peaks[1] == pytest.approx(10_010 / 10_060, abs=1e-3)


def noise_uv(state: StatePhysics, **parts: object) -> tuple[float, float]:
    """Return the rms of 4 s of codes in a state, and what the formulas say."""
    base = rig(quiet=False)
    fixture = FixturePhysics(states={"it": state.model_copy(update={"relays": SHORTED})})
    physics = base.model_copy(update={"fixture": fixture, **parts})
    world = World(physics, seed=5)
    world.set_relays(SHORTED)
    world.generator.apply(GeneratorSettings(output_on=True, vpp_open_v=1e-9))
    world.generator.trigger()
    world.amplifier.start()
    world.advance(4.0)
    f = np.linspace(0.01, 96_000, 400_001)
    amplifier = np.abs(physics.amplifier_network.response(f)) ** 2
    hold = np.sinc(f / (NOISE_STEPS * 48_000)) ** 2
    into = np.abs(physics.input_network_in(state).response(f)) ** 2
    four_k_t = 4 * 1.380649e-23 * 295.0
    white_ohm = 12_000.0 * state.has_electrode + 10.0 + state.series_ohm * (not state.series_nf)
    source_uv = 200.0 * state.differential  # 0.2 mV in 10 kHz, into an open fixture
    white = four_k_t * white_ohm + 1e-12 * (source_uv**2 + 0.05**2) / 1e4
    delay_s = state.series_ohm * state.series_nf * 1e-9
    coloured = four_k_t * state.series_ohm * bool(delay_s) / (1 + (2 * np.pi * f * delay_s) ** 2)
    power = (white * into + coloured) * amplifier
    expected = 1e6 * np.sqrt(np.trapezoid(power * hold, f))
    return float(world.amplifier.take().std()) * LSB_UV, float(expected)


@pytest.mark.parametrize(
    "state",
    [
        StatePhysics(has_electrode=False),
        StatePhysics(),
        StatePhysics(series_ohm=1e5),
        StatePhysics(**SERIES),
        StatePhysics(differential=1.0),
    ],
    ids=["joined", "electrode", "series R", "series RC", "no divider"],
)
def test_each_state_has_the_noise_of_its_formula(state: StatePhysics) -> None:
    """4 s hold 8e4 values of the band, so within 1 %; low noise of the capacitor within 3 %."""
    amplifier = AmplifierPhysics(noise_uv_rms=0.05)
    found, expected = noise_uv(state, amplifier=amplifier)
    assert found == pytest.approx(expected, rel=0.03 if state.series_nf else 0.01)


def test_an_offset_is_heard_when_it_comes_and_not_when_it_stays() -> None:
    """300 mV saturate the device for a moment; the high-pass then forgets them."""
    world = World(rig(), 1)
    world.amplifier.start()
    world.advance(0.1)
    world.amplifier.take()
    world.set_relays(OFFSET)
    world.advance(0.02)
    heard_uv = np.abs(world.amplifier.take()) * LSB_UV
    assert np.mean(heard_uv > 8_999) > 0.8  # of the 20 ms after it came
    world.advance(1.0)
    world.amplifier.take()
    world.advance(0.1)
    assert np.abs(world.amplifier.take()).max() * LSB_UV < 2.0
    assert world.terminal_peak_v == pytest.approx(0.3)


def test_an_offset_that_was_always_there_is_not_heard_after_a_trigger() -> None:
    """The device has settled on it: a silent waveform gives silence."""
    world = playing(rig(), np.zeros(1000, np.int16), OFFSET)
    world.advance(0.1)
    assert np.abs(world.amplifier.take()).max() * LSB_UV < 2.0


def codes_of(world: World) -> np.ndarray:
    """Return 0.1 s of codes."""
    world.advance(0.1)
    return world.amplifier.take()


def test_states_that_are_not_used_change_no_code() -> None:
    """A rig with states and diodes, one that came back from one, one without any: equal codes."""
    codes = sine_codes(700.0, 0.08)
    plain = playing(RigPhysics(), codes, frozenset())
    rich = playing(rig(quiet=False, clamp_v=0.45), codes, frozenset())
    back = World(rig(quiet=False), 3)
    back.amplifier.start()
    back.set_relays(UNEQUAL)
    back.advance(0.05)
    back.set_relays(frozenset())
    back.amplifier.take()
    back.generator.set_waveform(codes)
    back.generator.apply(plain.generator.settings)
    back.generator.trigger()
    expected = codes_of(plain)
    np.testing.assert_array_equal(codes_of(rich), expected)
    np.testing.assert_array_equal(codes_of(back), expected)


def test_relays_that_make_two_states_are_refused() -> None:
    """Each state needs its own, and all off is the divider."""
    for relays in ({0}, set()):
        with pytest.raises(ValidationError, match="each must have relays of its own"):
            FixturePhysics(
                states={
                    "a": StatePhysics(relays=frozenset({0})),
                    "b": StatePhysics(relays=frozenset(relays)),
                }
            )


def test_the_generators_filter_goes_on_when_the_fixture_changes() -> None:
    """With equal loads the scope's record of the source is the same, changed in mid-play or not."""
    records = []
    for is_changed in (False, True):
        world = playing(rig(), sine_codes(9_000.0, 0.1), SHORTED)
        world.scope.arm(rate_hz=1e5, n_points=8_000, ranges_v={1: 4.0}, offsets_v={1: 0.0})
        world.advance(0.035)
        if is_changed:
            world.set_relays(frozenset())
        world.advance(0.1)
        records.append(world.scope.codes(1))
    np.testing.assert_array_equal(*records)


def test_the_diodes_cut_what_the_device_hears() -> None:
    """5 mV between the inputs and diodes of 2 mV: the converter sees 2 mV and what rings."""
    free = playing(rig(), sine_codes(200.0, 0.6), frozenset(), vpp_open_v=10.0)
    free.advance(0.6)
    assert amplitude_uv(free, 200.0) == pytest.approx(5_000, rel=0.01)
    world = playing(rig(clamp_v=2e-3), sine_codes(200.0, 0.6), frozenset(), vpp_open_v=10.0)
    world.advance(0.6)
    # a sine cut at 2 of 5: its fundamental is 2 / pi (5 asin(0.4) + 2 sqrt(1 - 0.16)) mV
    cut_mv = 2 / np.pi * (4.975 * np.arcsin(2 / 4.975) + 2 * np.sqrt(1 - (2 / 4.975) ** 2))
    assert amplitude_uv(world, 200.0) == pytest.approx(1e3 * cut_mv, rel=0.01)
    assert world.terminal_peak_v == 2e-3


# ---- what the terminals see


@pytest.mark.parametrize("kind", ["NORM", "STEP", "OFF"])
def test_the_terminals_remember_the_peak_with_its_overshoot(kind: str) -> None:
    """A step of 1 V rings to 1.1278 V (order 5) or 1.0815 V (order 3) before the divider."""
    step = np.concatenate([np.zeros(500), np.full(500, 32767)]).astype(np.int16)
    world = playing(rig(), step, frozenset(), filter=kind)
    world.advance(0.1)
    overshoot = {"NORM": 1.1278, "STEP": 1.0815, "OFF": 1.0}[kind]
    assert world.terminal_peak_v * 1001 * 10_060 / 10_010 == pytest.approx(overshoot, rel=1e-3)
    assert world.terminal_common_peak_v == 0.0


@given(seed=st.integers(0, 99), rate_hz=st.sampled_from([2e3, 48e3, 1e5]))
@settings(max_examples=15, deadline=None)
def test_no_peak_is_missed(seed: int, rate_hz: float) -> None:
    """Random points: the terminals' peak is that of the closed form, to a part in a thousand."""
    from emgsim.bench.overshoot import peak_after_filter_v

    volts = np.random.default_rng(seed).uniform(-1, 1, 400)
    world = playing(rig(), np.rint(32767 * volts).astype(np.int16), frozenset(), rate_hz=rate_hz)
    world.advance(400 / rate_hz + 0.2)
    seen_v = world.terminal_peak_v * 1001 * 10_060 / 10_010
    bound_v = peak_after_filter_v(volts, "NORM", rate_hz, 0.01)
    assert seen_v <= bound_v * (1 + 1e-4)
    assert seen_v > 0.85 * bound_v  # the bound holds for an output that goes off too


@pytest.mark.parametrize("n", range(400, 410))
def test_a_peak_is_not_missed_where_a_block_ends(n: int) -> None:
    """What rings louder than all before it, after the points have stopped, wherever that is.

    Points that alternate hardly pass the filter; their end does. Blocks here are 10 points long.
    """
    volts = np.concatenate([np.linspace(0, 1, n) * (-1.0) ** np.arange(n), np.zeros(40)])
    codes = np.rint(32767 * volts).astype(np.int16)
    world = playing(rig(), codes, frozenset(), rate_hz=1e3)
    world.advance(0.6)
    line = modes(world.physics.source.reconstruction("NORM", 1.0))
    at = (np.arange(100 * codes.size) + 0.5) / 100
    _, out = advance(line, settled(line, 0.0), codes / 32767, 1.0, at)
    seen_v = world.terminal_peak_v * 1001 * 10_060 / 10_010
    assert seen_v == pytest.approx(np.abs(out).max(), rel=3e-3)


def test_common_mode_at_the_terminals_is_remembered_apart() -> None:
    """0.28 of the loaded volt, on both inputs."""
    world = playing(rig(), sine_codes(200.0, 0.1), DRIVEN)
    world.advance(0.1)
    assert world.terminal_common_peak_v == pytest.approx(0.28 * 10_000 / 10_050, rel=1e-3)
    assert world.terminal_peak_v == 0.0


@pytest.mark.parametrize(("clamp_v", "peak_v"), [(None, 1.0), (0.43, 0.43)])
def test_without_the_divider_the_whole_voltage_is_at_the_terminals(
    clamp_v: float | None, peak_v: float
) -> None:
    """In mid-play the peak goes from a millivolt to the generator's volt, or the diodes' 0.43."""
    world = playing(rig(clamp_v=clamp_v), sine_codes(200.0, 1.0), frozenset())
    world.advance(0.2)
    assert world.terminal_peak_v == pytest.approx(1e-3, rel=0.01)
    before = np.abs(world.amplifier.take()).max() * LSB_UV
    world.remove_divider()
    world.advance(0.1)
    assert before == pytest.approx(1000, rel=0.1)  # the onset rings
    assert np.abs(world.amplifier.take()).max() * LSB_UV == pytest.approx(9_000, rel=1e-3)
    assert world.terminal_peak_v == pytest.approx(peak_v, rel=1e-3)
    world.set_relays(SHORTED)
    assert world.state.differential == 1.0  # no relay brings it back


@pytest.mark.parametrize("seconds", [0.0, 0.123])
def test_the_divider_falls_out_at_its_time(seconds: float) -> None:
    """From the block on in which that time lies; at 0 it never was in."""
    world = playing(rig(), sine_codes(200.0, 1.0), frozenset())
    world.at(seconds, world.remove_divider)
    history = []
    for _ in range(20):
        world.advance(0.01)
        history.append(world.terminal_peak_v > 0.5)
    assert history.index(True) == int(seconds / world.block_s)


def test_the_lid_opens_at_its_time_and_stays_open() -> None:
    """Closed before, open after, whatever else happens."""
    world = World(rig(), 1)
    world.at(0.05, world.open_lid)
    closed = []
    for _ in range(10):
        world.advance(0.01)
        closed.append(world.lid_is_closed)
    assert closed.index(False) == 4  # the block of 0.04 to 0.05 s is a little longer than 10 ms
    assert not any(closed[4:])
