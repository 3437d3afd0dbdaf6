"""What the device may hear at which time of a playback, and how soon too much ends it."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.bench.arming import Permit
from emgsim.bench.guarded_source import GuardedSource
from emgsim.bench.levels import plan_levels
from emgsim.bench.playing import Catch, listen
from emgsim.bench.probing import probe
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig
from emgsim.bench.watch import Watch
from emgsim.errors import SafetyError
from emgsim.instruments.base import SourceSettings
from emgsim.instruments.profiles import load_profile
from emgsim.plant.world import World
from emgsim.recording import Channel, Recording

from .in_process import PlantDevice, PlantSource

RATE_HZ = 48_000.0
ARMED = Permit("armed")  # a word that does not expire
REMOVALS_S = [0.22, 0.31, 0.5, 0.9, 1.0, 1.4, 1.9, 2.35, 2.6]  # in markers, gaps, sine, silence
MARKER_S = 0.2  # begins then: before it nothing is played


def program() -> Program:
    """Return two seconds: one of a 1 mV sine, one of silence; the marker is as large."""
    t = np.arange(round(2 * RATE_HZ)) / RATE_HZ
    emg_uv = np.where(t < 1, 1000 * np.sin(2 * np.pi * 200 * t), 0.0)
    return program_for(Recording(
        samples_uv=emg_uv[:, None], rate_hz=RATE_HZ, channels=(Channel(name="needle"),)))


def watch(limit_mv: float = 8.0) -> Watch:
    """Return somebody who watches a device for the program."""
    return Watch(program(), RATE_HZ, limit_mv, "rig test")


def test_what_the_program_lets_expect_is_heard_in_peace():
    """The program itself, half as large again and late by 20 ms, with noise on top."""
    heard = np.concatenate([np.zeros(960), 1.5 * program().samples_uv])
    heard += np.random.default_rng(1).normal(0, 20, heard.size)
    ours = watch()
    for block in np.array_split(heard, 150):
        ours.see(block)


def test_more_than_three_times_what_is_played_is_too_much():
    """The sine is 1 mV: 2.9 mV may be a wrong gain, 3.1 mV may not."""
    watch().see(2.9 * program().samples_uv)
    with pytest.raises(SafetyError, match=r"reads 3\.\d+ mV where at most 3 mV") as caught:
        watch().see(3.1 * program().samples_uv)
    assert caught.value.exit_code == 5


def test_in_silence_a_twentieth_of_the_limit_is_too_much():
    """0.4 mV of 8 mV: heard in the second second, that cannot come of the program."""
    samples_uv = program().samples_uv.copy()
    silent = slice(round(1.8 * RATE_HZ), round(1.81 * RATE_HZ))  # recording: 0.55 .. 2.55 s
    samples_uv[silent] = 390.0
    watch().see(samples_uv)
    samples_uv[silent] = 410.0
    with pytest.raises(SafetyError, match=r"reads 0\.41 mV where at most 0\.4 mV"):
        watch().see(samples_uv)


def test_lost_samples_say_nothing():
    """NaN is neither too much nor the beginning."""
    ours = watch()
    ours.see(np.full(4800, np.nan))
    ours.see(program().samples_uv)


@pytest.fixture
def world(rig: Rig) -> World:
    """Give a plant with diodes across the device."""
    assert rig.virtual is not None
    return World(rig.virtual, 3)


def guarded(rig: Rig, world: World) -> GuardedSource:
    """Return a source whose fixture nobody has proved yet."""
    return GuardedSource(PlantSource(world), rig, ARMED)


def test_the_probe_measures_the_ratio_and_lets_the_source_play(rig, world):
    """1/1001 within a part in a hundred (the amplifier's gain is 0.2 % more), at 4 mV."""
    source = guarded(rig, world)
    assert not source.is_verified
    measured = probe(source, PlantDevice(world), load_profile("na1"))
    assert measured == pytest.approx(1 / 1001, rel=0.01)
    assert source.is_verified
    assert not source.is_on
    assert world.terminal_peak_v < 5e-6
    assert not world.generator.settings.output_on


def test_an_absent_divider_is_found_at_a_level_that_does_no_harm(rig, world):
    """The device sees 4 mV of its 8; then nothing larger is let through."""
    world.remove_divider()
    source = guarded(rig, world)
    with pytest.raises(SafetyError, match=r"lets 1\.\d+ of the source's volts .* says 0.000999"):
        probe(source, PlantDevice(world), load_profile("na1"))
    assert 3.9e-3 < world.terminal_peak_v < 4.5e-3
    assert not world.generator.settings.output_on
    settings = SourceSettings(rate_hz=1e4, vpp_open_v=2.0)
    with pytest.raises(SafetyError, match="as long as nobody has verified that the divider is"):
        source.load(np.sin(np.arange(100.0)), settings)


def test_a_wrong_divider_is_refused(rig, world):
    """The file says 1/850, and the one in place divides by 1001: 15 % off."""
    fixture = rig.fixture.model_copy(update={"ratio": 1 / 850})
    source = guarded(rig.model_copy(update={"fixture": fixture}), world)
    with pytest.raises(SafetyError, match=r"lets 0\.001 of"):
        probe(source, PlantDevice(world), load_profile("na1"))
    assert not source.is_verified


@pytest.mark.parametrize("removed_s", REMOVALS_S)
def test_a_divider_removed_in_mid_play_is_off_within_fifty_milliseconds(rig, world, removed_s):
    """Whenever it falls out, loud or silent, the output is off soon, by simulated time."""
    assert played_until(rig, world, removed_s) - removed_s < 0.050
    assert world.terminal_peak_v <= 0.45  # the diodes


def test_a_divider_removed_before_the_first_marker_is_off_soon_after_that_began(rig, world):
    """Until then the device hears no more than the generator's noise, of a tenth of its limit."""
    assert played_until(rig, world, 0.05) - MARKER_S < 0.050


def played_until(rig: Rig, world: World, removed_s: float) -> float:
    """Play, remove the divider so long after the trigger, and return when the output was off."""
    source, device = guarded(rig, world), PlantDevice(world)
    probe(source, device, load_profile("na1"))
    played = program()
    plan, volts = plan_levels(played, rig, source.caps, 10_000.0)
    source.load(volts, SourceSettings(rate_hz=plan.source_rate_hz, vpp_open_v=plan.vpp_open_v))
    source.energise()
    device.start()
    source.trigger()
    began_s = world.now_s
    world.at(began_s + removed_s, world.remove_divider)
    ours = Watch(played, device.rate_hz, 8.0, "rig test")

    def look(block):
        ours.see(block.counts[:, 0] * device.scale_uv_per_count)

    with pytest.raises(SafetyError, match="divider may have fallen out"), source:
        listen(device, round(4 * RATE_HZ), Catch(), look)
    assert not world.generator.settings.output_on
    return world.now_s - began_s
