"""The virtual rig against closed forms, and its promises about repeats, slices and states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from emgsim.plant.physics import (
    AmplifierPhysics,
    ElectrodePhysics,
    FixturePhysics,
    RigPhysics,
    ScopePhysics,
    SourcePhysics,
)
from emgsim.plant.world import NOISE_STEPS, GeneratorSettings, World

AWG_HZ = 40_000.0
LSB_UV = 10_000.0 / 2**23


def quiet(**amplifier: object) -> RigPhysics:
    """Return a rig without noise; only converters round."""
    return RigPhysics(
        source=SourcePhysics(noise_mv_rms=0),
        fixture=FixturePhysics(temperature_k=1e-12),
        amplifier=AmplifierPhysics(**{"noise_uv_rms": 0, **amplifier}),
        scope=ScopePhysics(noise_of_range=0),
    )


def sine_codes(frequency_hz: float, seconds: float, rate_hz: float = AWG_HZ) -> np.ndarray:
    """Return full-scale codes of a sine."""
    k = np.arange(round(seconds * rate_hz))
    return np.rint(32767 * np.sin(2 * np.pi * frequency_hz * k / rate_hz)).astype(np.int16)


def world_playing(
    physics: RigPhysics,
    codes: np.ndarray,
    *,
    seed: int = 1,
    before_s: float = 0.0,
    **settings: object,
) -> World:
    """Return a world whose generator was triggered and whose device streams; nothing taken yet."""
    world = World(physics, seed)
    world.generator.set_waveform(codes)
    if before_s:
        world.advance(before_s)
    world.generator.apply(GeneratorSettings(**{"output_on": True, "vpp_open_v": 2.0, **settings}))
    world.amplifier.start()
    world.generator.trigger()
    return world


def amplitude(values: np.ndarray, times_s: np.ndarray, *frequencies_hz: float) -> complex:
    """Return the complex amplitude of the first frequency, the others and a level fitted along."""
    columns = [np.ones(times_s.size)]
    for f in frequencies_hz:
        columns += [np.cos(2 * np.pi * f * times_s), np.sin(2 * np.pi * f * times_s)]
    fit = np.linalg.lstsq(np.stack(columns, axis=1), values, rcond=None)[0]
    return complex(fit[1], -fit[2])


def held_sine(codes: np.ndarray, volts: float, f_hz: float, period_s: float) -> complex:
    """Return the amplitude of the staircase at its fundamental: the codes' times sinc and delay."""
    k = np.arange(codes.size)
    sampled = amplitude(codes * (volts / 32767), k * period_s, f_hz)
    return sampled * np.sinc(f_hz * period_s) * np.exp(-1j * np.pi * f_hz * period_s)


@pytest.mark.parametrize("filter_kind", ["NORM", "STEP", "OFF"])
@pytest.mark.parametrize("f_nominal_hz", [50.0, 1_000.0, 5_000.0, 9_000.0])
def test_a_sine_passes_the_whole_network_as_its_formula_says(
    filter_kind: str, f_nominal_hz: float
) -> None:
    """Amplitude and phase at the codes, from hold, output filter, divider, electrode, amplifier."""
    physics = quiet(highpass_hz=20.0)
    codes = sine_codes(f_nominal_hz, 0.6)
    world = world_playing(physics, codes, filter=filter_kind)
    world.advance(0.6)
    seen_uv = world.amplifier.take()[:, 0] * LSB_UV
    times_s = world.sample_times_s(seen_uv.size)
    steady = (times_s > 0.3) & (times_s < 0.59)  # the high-pass has forgotten the onset
    clock = 1 + physics.source.clock_ppm * 1e-6
    f_hz, rate_hz = f_nominal_hz * clock, AWG_HZ * clock
    images = (rate_hz - f_hz, rate_hz + f_hz)
    seen = amplitude(seen_uv[steady], times_s[steady], f_hz, *images)
    at = np.array([f_hz])
    chain = (
        physics.source.reconstruction(filter_kind, rate_hz).response(at)
        * physics.source_load_factor
        * physics.fixture.ratio
        * physics.electrode_network.response(at)
        * physics.amplifier_network.response(at)
    )[0]
    expected = 1e6 * held_sine(codes, 1.0, f_hz, 1 / rate_hz) * chain
    assert abs(seen) == pytest.approx(abs(expected), rel=3e-5)
    assert abs(np.angle(seen / expected)) < 3e-5


def test_a_level_does_not_pass_and_does_not_ring() -> None:
    """A constant offset, on long before the trigger, leaves the codes at zero."""
    world = world_playing(quiet(), np.zeros(4000, np.int16), offset_open_v=1.0, before_s=0.0)
    world.advance(0.1)
    assert np.abs(world.amplifier.take()).max() * LSB_UV < 1e-3


def noise_power(physics: RigPhysics, low_hz: float, high_hz: float) -> float:
    """Return the noise power at the codes between two frequencies, uV2, by its formula."""
    f = np.linspace(low_hz, high_hz, 200_001)[1:]
    device = physics.electrode_network @ physics.amplifier_network
    hold = np.sinc(f / (NOISE_STEPS * physics.amplifier.rate_hz)) ** 2
    density = physics.noise_density_v2_hz * np.abs(device.response(f)) ** 2 * hold
    return 1e12 * float(np.trapezoid(density, f))


def test_noise_has_the_rms_and_the_spectrum_of_its_formula() -> None:
    """Density times the squared band, white in its middle: 5 s hold 1e5 values, so within 1 %."""
    physics = RigPhysics()
    world = World(physics, seed=2)
    world.amplifier.start()
    world.advance(5.0)
    seen_uv = world.amplifier.take()[:, 0] * LSB_UV
    assert seen_uv.std() == pytest.approx(np.sqrt(noise_power(physics, 0, 96_000)), rel=0.01)
    f, power = signal.welch(seen_uv, physics.amplifier.rate_hz, nperseg=4800)
    for low_hz, high_hz in ((100, 1_000), (1_000, 4_000), (4_000, 8_000)):
        band = (f >= low_hz) & (f < high_hz)
        expected = noise_power(physics, low_hz, high_hz)
        assert power[band].sum() * (f[1] - f[0]) == pytest.approx(expected, rel=0.04)


def test_noise_comes_from_where_physics_says() -> None:
    """A hundred times the electrode's resistance makes Johnson noise ten times as large."""
    rms = []
    for r_ohm in (1e4, 1e6):
        physics = quiet().model_copy(
            update={"electrode": ElectrodePhysics(r_ohm=r_ohm), "fixture": FixturePhysics()}
        )
        world = World(physics, seed=3)
        world.amplifier.start()
        world.advance(1.0)
        rms.append(world.amplifier.take().std())
    assert rms[1] / rms[0] == pytest.approx(10.0, rel=0.01)  # same draws: only sizes differ


def test_a_large_signal_is_clipped_where_the_stage_saturates() -> None:
    """20 V through 1:1001 are 10 mV; the stage before the converter gives way at 9 mV."""
    world = world_playing(quiet(), sine_codes(200.0, 0.2), vpp_open_v=20.0)
    world.advance(0.2)
    codes = world.amplifier.take()[:, 0]
    assert codes.max() == round(0.9 * 2**23)
    assert codes.min() == -round(0.9 * 2**23)


def test_beyond_its_range_the_converter_stands_at_full_scale() -> None:
    """A 12-bit converter of +- 5 mV has codes from -2048 to 2047, and no others."""
    physics = quiet(adc_bits=12, range_uv=5_000.0)
    world = world_playing(physics, sine_codes(200.0, 0.2), vpp_open_v=20.0)
    world.advance(0.2)
    codes = world.amplifier.take()[:, 0]
    assert (codes.min(), codes.max()) == (-2048, 2047)


def test_codes_are_within_half_a_step_of_the_voltage() -> None:
    """A converter of 12 bits tells what one of 24 bits tells, rounded."""
    fine, coarse = (
        world_playing(quiet(adc_bits=bits), sine_codes(333.0, 0.1)) for bits in (24, 12)
    )
    for world in (fine, coarse):
        world.advance(0.1)
    difference = coarse.amplifier.take() * 2.0**12 - fine.amplifier.take()
    assert np.abs(difference).max() <= 2**11 + 1


def test_inverted_polarity_inverts_the_codes() -> None:
    """A negative gain gives the same codes with the other sign."""
    plus, minus = (world_playing(quiet(gain=gain), sine_codes(333.0, 0.1)) for gain in (1.0, -1.0))
    for world in (plus, minus):
        world.advance(0.1)
    np.testing.assert_array_equal(plus.amplifier.take(), -minus.amplifier.take())


SLICES = st.lists(st.floats(0.001, 0.08), min_size=0, max_size=6)
CODES = sine_codes(700.0, 0.08)


def codes_after_trigger(before: list[float], after: list[float]) -> np.ndarray:
    """Return 0.1 s of codes after the first trigger of a noisy rig with seed 9."""
    world = World(RigPhysics(), seed=9)
    world.generator.set_waveform(CODES)
    world.generator.apply(GeneratorSettings(output_on=True))
    world.amplifier.start()
    for seconds in before:
        world.advance(seconds)
    world.amplifier.take()
    world.generator.trigger()
    for seconds in after:
        world.advance(seconds)
    world.advance(0.2)
    return world.amplifier.take()[:4800]


REFERENCE_CODES = codes_after_trigger([], [])


@given(before=SLICES, after=SLICES)
@settings(max_examples=25, deadline=None)
def test_codes_after_a_trigger_depend_on_nothing_before_it(
    before: list[float], after: list[float]
) -> None:
    """However long it streamed, and however simulated time was sliced: the same codes."""
    np.testing.assert_array_equal(codes_after_trigger(before, after), REFERENCE_CODES)


@given(pauses=st.tuples(st.floats(0.1, 0.4), st.floats(0.1, 0.4)))
@settings(max_examples=10, deadline=None)
def test_the_second_trigger_repeats_as_the_second(pauses: tuple[float, float]) -> None:
    """Each trigger has chances of its own: equal in two worlds, different from the first one's."""
    runs = []
    for pause_s in pauses:
        world = world_playing(RigPhysics(), CODES, seed=4)
        world.advance(pause_s)
        first = world.amplifier.take()[:4800]
        world.generator.trigger()
        world.advance(0.1)
        runs.append((first, world.amplifier.take()[:4800]))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert np.mean(runs[0][0] == runs[0][1]) < 0.5


def test_each_trigger_has_noise_of_its_own() -> None:
    """A silent waveform twice: 0.1 s of noise each, uncorrelated within 5 standard errors."""
    world = world_playing(RigPhysics(), np.zeros(100, np.int16))
    world.advance(0.1)
    first = world.amplifier.take()[:4800, 0].astype(float)
    world.generator.trigger()
    world.advance(0.1)
    second = world.amplifier.take()[:4800, 0].astype(float)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(2 * 10_000 * 0.1)


def test_another_seed_is_another_noise_and_another_phase() -> None:
    """Nothing of a run repeats under another seed but the signal."""
    a, b = (world_playing(RigPhysics(), CODES, seed=seed) for seed in (1, 2))
    for world in (a, b):
        world.advance(0.1)
    assert np.mean(a.amplifier.take() == b.amplifier.take()) < 0.5
    assert a.sample_times_s(1)[0] != b.sample_times_s(1)[0]


def test_the_first_point_comes_after_the_latency() -> None:
    """Sample 0 lies the latency, and less than one sample, before the first point."""
    world = world_playing(quiet(), CODES)
    world.advance(0.05)
    latency_s = world.physics.source.trigger_latency_s
    before_s = -world.sample_times_s(1)[0]
    assert latency_s - 1 / 48_000 <= before_s <= latency_s + 1.5 / 48_000


def test_two_clocks_are_seen_as_a_ratio_of_frequencies() -> None:
    """Generator +100 ppm, device -100 ppm: the tone looks 200.02 ppm too high."""
    physics = quiet(clock_ppm=-100.0).model_copy(
        update={"source": SourcePhysics(clock_ppm=100.0, noise_mv_rms=0)}
    )
    world = world_playing(physics, sine_codes(1_000.0, 2.0))
    world.advance(2.0)
    seen = world.amplifier.take()[:, 0]
    nominal_s = np.arange(seen.size) / 48_000.0
    phases = [
        np.angle(amplitude(seen[part], nominal_s[part] - middle_s, 1_000.0))
        for middle_s in (0.5, 1.7)
        for part in [np.abs(nominal_s - middle_s) <= 0.1]
    ]
    turn = (phases[1] - phases[0] + np.pi) % (2 * np.pi) - np.pi
    # 1.2 s hold 1200 nominal periods, so what is left of the phase is the excess.
    excess = turn / (2 * np.pi) / 1_200.0
    assert excess == pytest.approx((1 + 1e-4) / (1 - 1e-4) - 1, abs=2e-7)


def test_time_moves_in_whole_blocks_and_only_when_asked() -> None:
    """15 ms are two blocks of 10 ms of the device's own clock, 18 ppm longer than ours."""
    world = World(RigPhysics(), 1)
    assert world.now_s == 0.0
    world.amplifier.start()
    world.advance(0.015)
    assert world.now_s == pytest.approx(0.020 / (1 - 18e-6))
    assert world.amplifier.take().shape == (960, 1)
    assert world.amplifier.take().shape == (0, 1)
    assert world.amplifier.take().dtype == np.int32


def test_a_device_that_does_not_stream_keeps_nothing() -> None:
    """Codes exist only between start and stop, and stop forgets what was not taken."""
    world = World(RigPhysics(), 1)
    world.advance(0.02)
    assert world.amplifier.take().size == 0
    world.amplifier.start()
    world.advance(0.02)
    world.amplifier.stop()
    assert world.amplifier.take().size == 0


def rms_uv(world: World, seconds: float) -> float:
    """Return the rms of the next codes."""
    world.amplifier.take()
    world.advance(seconds)
    return float(world.amplifier.take().std()) * LSB_UV


def test_a_burst_ends_after_its_cycles() -> None:
    """Three cycles of 30 ms are 90 ms; then the line is at its first point."""
    world = world_playing(quiet(), sine_codes(1_000.0, 0.03), cycles=3)
    world.advance(0.08)
    assert world.generator.is_playing
    world.advance(0.03)
    assert not world.generator.is_playing
    world.advance(0.5)
    assert rms_uv(world, 0.1) < 0.01


def test_each_cycle_is_the_same() -> None:
    """A periodic waveform over three cycles is one uninterrupted tone."""
    once = world_playing(quiet(), sine_codes(1_000.0, 0.09))
    thrice = world_playing(quiet(), sine_codes(1_000.0, 0.03), cycles=3)
    for world in (once, thrice):
        world.advance(0.09)
    np.testing.assert_array_equal(once.amplifier.take(), thrice.amplifier.take())


def test_a_trigger_while_playing_is_ignored() -> None:
    """It counts as no trigger and changes no code."""
    undisturbed, disturbed = (world_playing(RigPhysics(), CODES) for _ in range(2))
    disturbed.generator.trigger()
    undisturbed.advance(0.03)
    disturbed.advance(0.03)
    disturbed.generator.trigger()
    assert disturbed.generator.n_triggers == 1
    undisturbed.advance(0.1)
    disturbed.advance(0.1)
    np.testing.assert_array_equal(undisturbed.amplifier.take(), disturbed.amplifier.take())


def test_a_trigger_with_the_output_off_is_ignored() -> None:
    """Nothing is played, and nothing is owed for later."""
    world = World(quiet(), 1)
    world.generator.set_waveform(CODES)
    world.generator.trigger()
    assert (world.generator.n_triggers, world.generator.is_waiting) == (0, False)


def test_nothing_is_played_without_a_trigger() -> None:
    """With the output on and a waveform in memory the line waits at its first point."""
    world = World(quiet(), 1)
    world.generator.set_waveform(CODES)
    world.generator.apply(GeneratorSettings(output_on=True, vpp_open_v=2.0))
    world.amplifier.start()
    assert rms_uv(world, 0.2) < 0.01
    assert not world.generator.is_playing


def test_switching_the_output_off_ends_the_playback() -> None:
    """The tone dies at once, and the generator is free for the next trigger."""
    world = world_playing(quiet(), sine_codes(1_000.0, 2.0))
    world.advance(0.1)
    assert rms_uv(world, 0.05) > 100
    world.generator.apply(GeneratorSettings(output_on=False))
    assert not world.generator.is_playing
    world.advance(0.5)
    assert rms_uv(world, 0.1) < 0.01


def test_an_ended_playback_does_not_come_back_with_the_output() -> None:
    """Off and on again within the burst: the line waits for the next trigger."""
    world = world_playing(quiet(), sine_codes(1_000.0, 2.0))
    world.advance(0.1)
    world.generator.apply(GeneratorSettings(output_on=False))
    world.advance(0.2)
    world.generator.apply(GeneratorSettings(output_on=True, vpp_open_v=2.0))
    world.advance(0.5)
    assert rms_uv(world, 0.1) < 0.01


@pytest.mark.parametrize("codes", [np.zeros((4, 2), np.int16), np.zeros(0, np.int16)])
def test_a_waveform_must_be_a_row_of_codes(codes: np.ndarray) -> None:
    """The message names the shape that was expected and the one that came."""
    with pytest.raises(ValueError, match=r"codes: expected \(n,\) with n >= 1, got") as info:
        World(RigPhysics(), 1).generator.set_waveform(codes)
    assert str(codes.shape) in str(info.value)


def arm(world: World, n_points: int = 2_000, rate_hz: float = 50_000.0) -> None:
    """Arm both channels over +- 2 V."""
    both = {1: 4.0, 2: 4.0}
    world.scope.arm(rate_hz=rate_hz, n_points=n_points, ranges_v=both, offsets_v={1: 0.0, 2: 0.0})


def scoped(physics: RigPhysics, codes: np.ndarray, **settings: object) -> World:
    """Return a world that is armed and triggered."""
    world = world_playing(physics, codes, **settings)
    arm(world)
    return world


def test_the_scope_goes_from_idle_to_done() -> None:
    """idle, armed until the trigger, running while it takes points, done with all of them."""
    world = World(RigPhysics(), 1)
    states = [world.scope.state]
    world.generator.set_waveform(CODES)
    world.generator.apply(GeneratorSettings(output_on=True))
    arm(world)
    world.advance(0.05)
    states.append(world.scope.state)
    world.generator.trigger()
    world.advance(0.02)
    states.append(world.scope.state)
    world.advance(0.05)
    states.append(world.scope.state)
    assert states == ["idle", "armed", "running", "done"]
    assert world.scope.codes(1).shape == world.scope.codes(2).shape == (2_000,)
    assert world.scope.codes(1).dtype == np.int16


def test_the_scope_sees_the_generator_and_the_monitor() -> None:
    """Channel 1 the loaded output, channel 2 five hundred times what the device makes of it."""
    physics = quiet()
    codes = sine_codes(1_000.0, 0.6)
    world = world_playing(physics, codes)
    arm(world, n_points=25_000)
    world.advance(0.6)
    clock = 1 + physics.source.clock_ppm * 1e-6
    f_hz, rate_hz = 1_000.0 * clock, AWG_HZ * clock
    taken_s = np.arange(25_000) / (50_000 * (1 + physics.scope.clock_ppm * 1e-6))
    late = taken_s > 0.3
    source, monitor = (
        amplitude(world.scope.codes(channel)[late] * 4.0 / 4096, taken_s[late], f_hz)
        for channel in (1, 2)
    )
    at = np.array([f_hz])
    out = held_sine(codes, 1.0, f_hz, 1 / rate_hz) * physics.source_load_factor
    out *= physics.source.reconstruction("NORM", rate_hz).response(at)[0]
    device = physics.electrode_network @ physics.amplifier_network
    heard = physics.fixture.ratio * device.response(at)[0] * 500.0
    assert abs(source) == pytest.approx(abs(out), rel=3e-4)  # 12 bits
    assert abs(np.angle(source / out)) < 2 * np.pi * 1_000 / 50_000  # its phase in a sample is free
    assert monitor / source == pytest.approx(heard, rel=1e-3)


def test_the_scope_clips_at_its_range() -> None:
    """12 bits: -2048 to 2047; an offset moves the window."""
    world = world_playing(quiet(), sine_codes(1_000.0, 0.1), vpp_open_v=10.0)
    world.scope.arm(
        rate_hz=50_000.0, n_points=2_000, ranges_v={1: 2.0, 2: 2.0}, offsets_v={1: 3.0, 2: 0.0}
    )
    world.advance(0.1)
    codes = world.scope.codes(1)
    assert (codes.min(), codes.max()) == (-2048, 2047)
    assert np.mean(codes == -2048) > 0.5  # a 5-V sine is below 2 V for most of its time


def test_the_scope_sees_the_same_however_time_is_sliced() -> None:
    """Its points are keyed to the trigger as the device's codes are."""
    at_once, sliced = (scoped(RigPhysics(), CODES) for _ in range(2))
    at_once.advance(0.1)
    for _ in range(10):
        sliced.advance(0.01)
    for channel in (1, 2):
        np.testing.assert_array_equal(at_once.scope.codes(channel), sliced.scope.codes(channel))


def test_stopping_the_scope_keeps_what_it_has() -> None:
    """The points taken so far stay readable; no more are added."""
    world = scoped(RigPhysics(), CODES)
    world.advance(0.02)
    n = world.scope.codes(1).size
    assert 0 < n < 2_000
    world.scope.stop()
    world.advance(0.05)
    assert world.scope.state == "idle"
    assert world.scope.codes(1).size == n


def test_arming_anew_forgets_the_last_acquisition() -> None:
    """Old points are gone, and the next trigger fills it again."""
    world = scoped(RigPhysics(), CODES)
    world.advance(0.2)
    assert world.scope.state == "done"
    arm(world)
    assert world.scope.codes(1).size == 0
    world.generator.trigger()
    world.advance(0.1)
    assert world.scope.state == "done"


def test_a_scope_armed_in_the_middle_of_a_burst_waits_for_the_next_trigger() -> None:
    """The sync edge has passed, so there is nothing to start from."""
    world = world_playing(RigPhysics(), sine_codes(1_000.0, 0.3))
    world.advance(0.1)
    arm(world)
    world.advance(0.05)
    assert world.scope.state == "armed"
    world.advance(0.3)
    world.generator.trigger()
    world.advance(0.1)
    assert world.scope.state == "done"
    assert world.scope.codes(1).size == 2_000


def test_listening_in_changes_no_code() -> None:
    """The device's codes are the same with and without a scope on the line."""
    alone, watched = world_playing(RigPhysics(), CODES), scoped(RigPhysics(), CODES)
    for world in (alone, watched):
        world.advance(0.1)
    np.testing.assert_array_equal(alone.amplifier.take(), watched.amplifier.take())
