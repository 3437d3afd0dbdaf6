"""Several generators in front of one device: what each input, the oscilloscope and chance see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from emgsim.plant.physics import (
    AmplifierPhysics,
    FixturePhysics,
    OtherPhysics,
    RigPhysics,
    ScopePhysics,
    SourcePhysics,
)
from emgsim.plant.signal_faults import SignalFaults
from emgsim.plant.world import GeneratorSettings, World

RATE_HZ = 40_000.0
LSB_UV = 10_000.0 / 2**23
TONES_HZ = (400.0, 700.0)
SILENT = SourcePhysics(noise_mv_rms=0, clock_ppm=0)
COLD = FixturePhysics(temperature_k=1e-12)
OTHER = OtherPhysics(source=SILENT, fixture=COLD, input=1)


def quiet(
    *others: OtherPhysics, clock: str = "free", channels: int = 4, **amplifier: Any
) -> RigPhysics:
    """Return a rig without noise; only converters round."""
    at = AmplifierPhysics(noise_uv_rms=0, clock_ppm=0, gain=1.0, channels=channels, **amplifier)
    scope = ScopePhysics(noise_of_range=0, clock_ppm=0, adc_bits=16)
    return RigPhysics.model_validate(
        {"source": SILENT, "fixture": COLD, "amplifier": at, "scope": scope, "clock": clock,
         "others": others}
    )  # fmt: skip


def noisy(*, has_other: bool = True) -> RigPhysics:
    """Return a rig with the noise of every part."""
    others = (OtherPhysics(input=1),) if has_other else ()
    amplifier = AmplifierPhysics(channels=3, channel_noise_uv_rms=0.5)
    return RigPhysics(amplifier=amplifier, others=others)


def load(world: World, number: int, seconds: float = 0.6, **changed: Any) -> None:
    """Let a generator hold its tone, and switch it on."""
    steps = np.arange(round(seconds * RATE_HZ))
    tone = np.sin(2 * np.pi * TONES_HZ[number] * steps / RATE_HZ)
    generator = world.feeds[number].generator
    generator.set_waveform(np.rint(32767 * tone).astype(np.int16))
    generator.apply(GeneratorSettings(**{"vpp_open_v": 2.0, "output_on": True, **changed}))


def codes_of(world: World, *triggered: int) -> Any:
    """Return 0.5 s of codes from the block of a trigger on, of those that are triggered at once."""
    for number in triggered:
        load(world, number)
    world.amplifier.start()
    for number in triggered:
        world.feeds[number].generator.trigger()
    world.advance(0.5)
    return world.amplifier.take()[:24_000]


def amplitudes(values: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Return the complex amplitudes of both tones, fitted together."""
    angles = 2 * np.pi * np.outer(times_s, TONES_HZ)
    columns = np.hstack([np.ones((times_s.size, 1)), np.cos(angles), np.sin(angles)])
    fit = np.linalg.lstsq(columns, values, rcond=None)[0]
    return np.asarray(fit[1:3] - 1j * fit[3:5])


def heard_uv(world: World, codes: np.ndarray, channel: int) -> np.ndarray:
    """Return how large both tones are in a channel, in mid-record."""
    times_s = world.sample_times_s(len(codes))
    middle = (times_s > 0.2) & (times_s < 0.45)
    return np.abs(amplitudes(codes[middle, channel] * LSB_UV, times_s[middle]))


def test_each_input_hears_its_own_generator_and_no_other() -> None:
    """1 V open is 993.8 uV behind 1/1001, at input 1 doubled by a shunt of twice the ohms."""
    twice = OTHER.model_copy(update={"fixture": FixturePhysics(shunt_ohm=20, temperature_k=1e-12)})
    world = World(quiet(twice), seed=1)
    codes = codes_of(world, 0, 1)
    expected_uv = 1e6 * 10_010 / 10_060 / 1001
    for channel in (0, 2, 3):
        own_uv, alien_uv = heard_uv(world, codes, channel)
        assert own_uv == pytest.approx(expected_uv, rel=2e-3)
        assert alien_uv < 1e-3
    alien_uv, own_uv = heard_uv(world, codes, 1)
    assert own_uv == pytest.approx(2 * expected_uv, rel=4e-3)
    assert alien_uv < 1e-3


def test_what_leaks_between_neighbours_is_the_sum_over_generators() -> None:
    """-40 dB of each neighbour: input 1 hears two neighbours of the first generator, 3 only one."""
    world = World(quiet(OTHER, crosstalk_db=-40.0), seed=1)
    codes = codes_of(world, 0, 1)
    at_0, at_1, at_3 = (heard_uv(world, codes, channel) for channel in (0, 1, 3))
    assert at_1[0] / at_3[0] == pytest.approx(0.02 / 1.01, rel=1e-3)
    assert at_0[1] / at_1[1] == pytest.approx(0.01, rel=1e-3)
    assert at_3[1] < 1e-3


def test_both_together_are_the_sum_of_each_alone() -> None:
    """The amplifier is straight, so codes add up to within the rounding of all three."""
    physics = quiet(OTHER, crosstalk_db=-30.0, skews_us=(0.0, 1.0, 2.0, 3.0))
    both, first, second = (codes_of(World(physics, seed=1), *on) for on in ((0, 1), (0,), (1,)))
    assert np.abs(second).max() > 1e5
    assert np.abs(both - first - second).max() <= 1


def test_a_generator_that_is_off_changes_no_code_of_the_others_inputs() -> None:
    """Noise and all: the bytes are those of a rig that has one generator alone."""
    alone = codes_of(World(noisy(has_other=False), seed=5), 0)
    beside = codes_of(World(noisy(), seed=5), 0)
    np.testing.assert_array_equal(beside[:, [0, 2]], alone[:, [0, 2]])
    assert not np.array_equal(beside[:, 1], alone[:, 1])


def paced(n_blocks: int) -> tuple[World, np.ndarray]:
    """Return a world whose second generator was triggered so much after the first, and its codes.

    The clock of the wall, so that no trigger waits for another one.
    """
    world = World(quiet(OTHER, clock="paced"), seed=2)
    for number in (0, 1):
        load(world, number)
    world.amplifier.start()
    world.feeds[0].generator.trigger()
    world.keep_pace((n_blocks + 0.5) * world.block_s)
    world.feeds[1].generator.trigger()
    world.keep_pace(1.0)
    return world, world.amplifier.take()


AT_ONCE = paced(0)[1]


@given(n_blocks=st.integers(0, 30))
@settings(max_examples=5, deadline=None)
def test_a_second_trigger_begins_at_the_next_block_and_leaves_the_first_alone(
    n_blocks: int,
) -> None:
    """Its first point comes whole blocks of 10 ms later, where the tone has its phase by then."""
    world, codes = paced(n_blocks)
    np.testing.assert_array_equal(codes[:, 0], AT_ONCE[:, 0])
    first_s, second_s = (world.sample_times_s(len(codes), number) for number in (0, 1))
    later_s = first_s[0] - second_s[0]
    assert later_s == pytest.approx(0.01 * n_blocks, abs=1 / 48_000)
    middle = (second_s > 0.2) & (second_s < 0.5)
    own = amplitudes(codes[middle, 1] * LSB_UV, second_s[middle])[1]
    ways = quiet(OTHER).of(1)
    expected = np.angle(
        -1j * np.exp(-1j * np.pi * TONES_HZ[1] / RATE_HZ)
        * ways.source.reconstruction("NORM", RATE_HZ).response(np.array(TONES_HZ[1:]))
        * (ways.electrode_network @ ways.amplifier_network).response(np.array(TONES_HZ[1:]))
    )[0]  # fmt: skip
    assert np.angle(own) == pytest.approx(expected, abs=1e-3)


@given(between=st.lists(st.floats(0.001, 0.2), max_size=4))
@settings(max_examples=10, deadline=None)
def test_in_the_free_clock_triggers_in_turn_take_effect_together(between: list[float]) -> None:
    """However far the device ran ahead between the two messages, the codes are the same."""
    world = World(noisy(), seed=9)
    for number in (0, 1):
        load(world, number, 0.1)
    world.feeds[1].generator.trigger()
    for seconds in between:
        world.advance(seconds)
    world.amplifier.start()
    world.feeds[0].generator.trigger()
    world.advance(0.2)
    np.testing.assert_array_equal(world.amplifier.take()[:4800], TOGETHER)


def together() -> np.ndarray:
    """Return 0.1 s of codes of two generators that are triggered at once."""
    world = World(noisy(), seed=9)
    for number in (0, 1):
        load(world, number, 0.1)
        world.feeds[number].generator.trigger()
    world.amplifier.start()
    world.advance(0.2)
    return world.amplifier.take()[:4800]


TOGETHER = together()


@pytest.mark.parametrize("is_on", [True, False])
def test_a_trigger_waits_a_second_for_one_that_is_on_and_for_no_other(is_on: bool) -> None:
    """A generator that is off is not waited for."""
    world = World(quiet(OTHER), seed=1)
    load(world, 0)
    load(world, 1, output_on=is_on)
    world.feeds[0].generator.trigger()
    world.advance(0.02)
    assert world.generator.is_waiting == is_on
    world.advance(1.05)
    assert world.generator.is_playing == is_on  # 0.6 s of tone: the one that did not wait is over
    assert not world.generator.is_waiting


def test_a_wait_that_was_broken_off_is_not_counted_the_next_time() -> None:
    """The first one is switched off after 0.9 s, and triggered again: it waits a second anew."""
    world = World(quiet(OTHER), seed=1)
    load(world, 1)
    for _ in range(2):
        load(world, 0)
        world.generator.trigger()
        world.advance(0.9)
        assert world.generator.is_waiting
        world.generator.apply(GeneratorSettings())
        world.advance(0.05)


def test_each_burst_has_chances_of_its_own_whoever_begins_it() -> None:
    """Three bursts, of the second, the first, and the second generator: three noises."""
    world = World(noisy(), seed=4)
    records = []
    for number in (1, 0, 1):
        load(world, number, 0.05, vpp_open_v=0.0)
        world.feeds[number].generator.trigger()
        world.amplifier.start()
        world.advance(0.1)
        records.append(world.amplifier.take()[:4800, 0].astype(float))
        world.amplifier.stop()
        world.feeds[number].generator.apply(GeneratorSettings())
    found = np.corrcoef(records)[np.triu_indices(3, 1)]
    assert np.abs(found).max() < 5 / np.sqrt(2 * 10_000 * 0.1)


def test_the_noise_of_two_inputs_has_nothing_in_common() -> None:
    """Each generator's chances are its own; the inputs of one hear the same."""
    amplifier = AmplifierPhysics(channels=3)
    world = World(RigPhysics(amplifier=amplifier, others=(OtherPhysics(input=1),)), seed=4)
    world.amplifier.start()
    world.advance(0.5)
    a, b, c = world.amplifier.take().T.astype(float)
    np.testing.assert_array_equal(a, c)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(2 * 10_000 * 0.5)
    assert b.std() == pytest.approx(a.std(), rel=0.05)


def test_the_oscilloscope_hears_each_generator_on_a_channel_of_its_own() -> None:
    """1 V open is 0.995 V loaded; the first one on channel 1, the second on 3, nothing on 4."""
    world = World(quiet(OTHER), seed=1)
    for number in (0, 1):
        load(world, number)
    channels = (1, 2, 3, 4)
    world.scope.arm(rate_hz=50e3, n_points=20_000, ranges_v=dict.fromkeys(channels, 4.0),
                    offsets_v=dict.fromkeys(channels, 0.0))  # fmt: skip
    for number in (0, 1):
        world.feeds[number].generator.trigger()
    world.advance(0.6)
    assert world.scope.state == "done"
    seen = {k: np.abs(amplitudes(world.scope.codes(k) * 4.0 / 2**16, np.arange(20_000) / 50e3))
            for k in channels}  # fmt: skip
    loaded_v = 10_010 / 10_060
    assert seen[1] == pytest.approx([loaded_v, 0.0], abs=1e-3)
    assert seen[3] == pytest.approx([0.0, loaded_v], abs=1e-3)
    assert seen[2][0] > 0.1
    assert seen[2][1] < 1e-3
    assert not world.scope.codes(4).any()


def test_a_divider_that_falls_out_is_that_of_one_generator() -> None:
    """Input 1 is at its rail of 9 mV; the first generator's inputs hear what they heard."""
    world = World(quiet(OTHER), seed=1)
    world.remove_divider(1)
    codes = codes_of(world, 0, 1)
    untouched = codes_of(World(quiet(OTHER), seed=1), 0, 1)
    np.testing.assert_array_equal(codes[:, [0, 2, 3]], untouched[:, [0, 2, 3]])
    assert codes[:, 1].max() == round(0.9 * 2**23)
    assert world.terminal_peak_v == world.feeds[1].terminal_peak_v > 0.9
    assert world.feeds[0].terminal_peak_v < 2e-3


def test_a_lead_that_is_at_fault_is_the_first_generators() -> None:
    """Its inputs turn round, and the second's does not; the mains come in everywhere."""
    faults = SignalFaults.model_validate({"inverted_polarity": {}, "mains": {"uv_pk": 20.0}})
    codes = codes_of(World(quiet(OTHER), 1, SignalFaults(mains=faults.mains)), 0, 1)
    turned = codes_of(World(quiet(OTHER), 1, faults), 0, 1)
    clean = codes_of(World(quiet(OTHER), 1), 0, 1)
    np.testing.assert_array_equal(turned[:, 1], codes[:, 1])
    assert np.abs(turned[:, 0] - codes[:, 0]).max() * LSB_UV > 1900
    assert (codes - clean).std(axis=0) * LSB_UV == pytest.approx(20 / np.sqrt(2) * 1.05, rel=0.2)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([{"input": 0}], "greater than or equal to 1"),
        ([{"input": 4}], r"an input of its own, from 1 to 3, got \[4\]"),
        ([{"input": 2}, {"input": 2}], r"an input of its own, from 1 to 3, got \[2, 2\]"),
        (
            [{"input": 1, "fixture": {"states": {"direct": {"relays": [1]}}}}],
            "only the first generator reaches others than its divider, got direct",
        ),
    ],
)
def test_generators_that_cannot_be_wired_so_are_refused(
    others: list[dict[str, Any]], message: str
) -> None:
    """Each further generator has an input of its own, and its divider alone."""
    with pytest.raises(ValidationError, match=message):
        RigPhysics.model_validate({"amplifier": {"channels": 4}, "others": others})
