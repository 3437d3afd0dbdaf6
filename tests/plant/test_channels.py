"""An amplifier of many channels, its ranges, its noise, and the jitter of its clock."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from emgsim.plant.analog import butterworth, drive, modes, settled
from emgsim.plant.physics import AmplifierPhysics, ElectrodePhysics, RigPhysics, SourcePhysics
from emgsim.plant.world import GeneratorSettings, World


def playing(amplifier: AmplifierPhysics, volts: "np.ndarray", rate_hz: float) -> World:
    """Make a quiet rig that plays a waveform of +-1 over and over, and let it settle."""
    physics = RigPhysics(
        amplifier=amplifier,
        source=SourcePhysics(noise_mv_rms=0.0, clock_ppm=0.0),
        electrode=ElectrodePhysics(r_ohm=0.0, c_nf=1e6),
    )
    world = World(physics, seed=3)
    world.generator.set_waveform(np.rint(32767 * volts).astype(np.int16))
    world.generator.apply(
        GeneratorSettings(rate_hz=rate_hz, vpp_open_v=1.0, cycles=1000, output_on=True)
    )
    world.generator.trigger()
    world.advance(0.5)
    world.amplifier.start()
    return world


def test_each_channel_has_its_gain_its_range_and_its_noise() -> None:
    """The same signal in all; codes by gain over range; noise of its own in each."""
    amplifier = AmplifierPhysics(
        rate_hz=4000.0, channels=3, channel_gains=(1.0, 0.5, 1.0), channel_noise_uv_rms=2.0,
        noise_uv_rms=0.0, highpass_hz=1.0, highpass_order=1, lowpass_hz=1500.0,
    )  # fmt: skip
    steps = np.arange(400)
    world = playing(amplifier, 0.9 * np.sin(2 * np.pi * steps / 400), 40_000.0)
    world.amplifier.ranges_uv[2] *= 4
    world.advance(2.0)
    codes = world.amplifier.take()
    assert codes.shape[1] == 3
    size = codes.std(axis=0) / codes[:, 0].std()
    np.testing.assert_allclose(size, [1.0, 0.5, 0.25], rtol=1e-2)
    uv_per_code = 10_000.0 / 2**23
    noise_uv = (codes[:, 0] - 4 * codes[:, 2]) * uv_per_code
    assert noise_uv.std() == pytest.approx(2.0 * np.sqrt(2), rel=0.05)


def test_a_channel_that_is_off_says_nothing() -> None:
    """Its codes are 0, noise and all."""
    world = playing(AmplifierPhysics(channels=2, channel_noise_uv_rms=2.0), np.ones(100), 40_000.0)
    world.amplifier.is_on[1] = False
    world.advance(0.1)
    codes = world.amplifier.take()
    assert codes[:, 0].any()
    assert not codes[:, 1].any()


def test_an_amplifier_without_a_highpass_keeps_a_level() -> None:
    """Order 0: 0.5 V open circuit through 50 ohm and 1/1001 are 497 uV, half a second later."""
    amplifier = AmplifierPhysics(highpass_order=0, noise_uv_rms=0.0, gain=1.0)
    step = np.concatenate([np.zeros(1), np.ones(80_000)])
    world = playing(amplifier, step, 40_000.0)
    world.advance(0.2)
    microvolts = world.amplifier.take()[:, 0] * 10_000.0 / 2**23
    expected_uv = 0.5e6 * 10_010 / 10_060 / 1001
    assert microvolts.mean() == pytest.approx(expected_uv, rel=2e-3)


def deviation(times_s: "np.ndarray", codes: "np.ndarray") -> float:
    """Return the rms of codes about their line over time."""
    return float(np.std(codes - np.polyval(np.polyfit(times_s, codes, 1), times_s)))


def test_jitter_moves_samples_by_what_the_truth_says() -> None:
    """A ramp read at jittered instants: its deviations from a line are those of the times."""
    jitter_s = 7.5e-6
    amplifier = AmplifierPhysics(
        rate_hz=4000.0, clock_ppm=0.0, clock_jitter_s=jitter_s, noise_uv_rms=0.0, highpass_order=0,
        lowpass_hz=1900.0, range_uv=10_000.0, clip_uv=9_999.0,
    )  # fmt: skip
    ramp = (np.arange(40_000) - 20_000) / 32767  # one code a step: nothing is rounded
    physics = RigPhysics(
        amplifier=amplifier, source=SourcePhysics(noise_mv_rms=0.0, clock_ppm=0.0),
        electrode=ElectrodePhysics(r_ohm=0.0, c_nf=1e6),
    )  # fmt: skip
    world = World(physics, seed=3)
    world.generator.set_waveform(np.rint(32767 * ramp).astype(np.int16))
    world.generator.apply(GeneratorSettings(rate_hz=40_000.0, vpp_open_v=14.0, output_on=True))
    world.amplifier.start()
    world.generator.trigger()
    world.advance(0.9)
    codes = world.amplifier.take()[:, 0]
    times_s = world.sample_times_s(codes.size)
    middle = (times_s > 0.2) & (times_s < 0.8)
    late_s = times_s[middle] - np.arange(codes.size)[middle] / 4000.0
    assert late_s.std() == pytest.approx(jitter_s, rel=0.05)
    assert deviation(times_s[middle], codes[middle]) < 0.3 * deviation(
        np.arange(middle.sum()) / 4000.0, codes[middle]
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": 2, "channel_gains": (1.0,)}, "one for each of the 2 channels"),
        ({"rate_hz": 1000.0, "clock_jitter_s": 2e-4}, "at most 0.000125 s, one part in 8 of"),
    ],
)
def test_an_impossible_amplifier_is_refused(changed: dict[str, object], message: str) -> None:
    """What contradicts itself is found when the rig is read."""
    with pytest.raises(ValidationError, match=message):
        AmplifierPhysics.model_validate(changed)


@pytest.mark.parametrize("n_steps", [2, 300, 5000])
def test_the_peak_is_that_of_the_output_at_those_instants(n_steps: int) -> None:
    """The quick product of matrices says what the formula says, in one piece and in several."""
    rng = np.random.default_rng(n_steps)
    held, fractions = rng.standard_normal(n_steps), np.array([0.1, 0.5, 0.9])
    line = modes(butterworth(5, 270.0, "lowpass") @ butterworth(1, 3.0, "highpass"))
    track = drive(line, settled(line, 0.3, 7), held, 1e-3)
    times_s = (7 + np.arange(n_steps - 1)[:, None] + fractions).ravel() * 1e-3
    assert track.peak(fractions) == pytest.approx(np.abs(track.at(times_s)).max(), rel=1e-9)


def test_relays_may_switch_after_the_output_filter_was_changed() -> None:
    """The filter of the last burst has other poles than the one that is set by then."""
    for before, after in (("NORM", "OFF"), ("OFF", "NORM"), ("STEP", "NORM")):
        world = World(RigPhysics(), seed=1)
        world.generator.set_waveform(np.full(1000, 20_000, np.int16))
        settings = GeneratorSettings(rate_hz=10_000.0, output_on=True, filter=before)
        world.generator.apply(settings)
        world.generator.trigger()
        world.advance(0.05)
        world.generator.apply(replace(settings, filter=after))
        world.set_relays(frozenset({5}))
        world.set_relays(frozenset())
        world.advance(0.05)
        assert world.terminal_peak_v > 0
