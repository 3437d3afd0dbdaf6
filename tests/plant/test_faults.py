"""The faults of the signal's way as the plant acts them out: each from its instant on, as physics.

A rig with a fault is compared with the same rig, of the same seed, without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import constants

from emgsim.plant.faults import Faults
from emgsim.plant.physics import AmplifierPhysics, FixturePhysics, RigPhysics, SourcePhysics
from emgsim.plant.signal_faults import GainDrift, SignalFaults
from emgsim.plant.world import GeneratorSettings, World

AWG_HZ = 40_000.0
LSB_UV = 10_000.0 / 2**23
PLAYED_S = 0.5
SINE = np.rint(32767 * np.sin(2 * np.pi * 400 * np.arange(AWG_HZ * PLAYED_S) / AWG_HZ))
AT = {"playback": 1, "at_s": 0.2}

Record = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def played(physics: RigPhysics | None = None, *, times: int = 1, **faults: Any) -> Record:
    """Play a sine, and return times (s), codes ``(n, n_channels)``, loopback and monitor (V).

    Times count from the last of so many playbacks; the oscilloscope has 12 bits.
    """
    physics = RigPhysics() if physics is None else physics
    world = World(physics, 3, SignalFaults.model_validate(faults))
    world.generator.set_waveform(SINE.astype(np.int16))
    world.generator.apply(GeneratorSettings(rate_hz=AWG_HZ, vpp_open_v=1.0, output_on=True))
    for _ in range(times - 1):
        world.generator.trigger()
        world.advance(PLAYED_S + 0.05)
    n = round(AWG_HZ * PLAYED_S)
    world.scope.arm(
        rate_hz=AWG_HZ, n_points=n, ranges_v={1: 2.0, 2: 1.0}, offsets_v={1: 0.0, 2: 0.0}
    )
    world.generator.trigger()
    world.amplifier.start()
    world.advance(PLAYED_S + 0.05)
    codes = world.amplifier.take()
    loopback, monitor = (world.scope.codes(c) / 4096 * v for c, v in ((1, 2.0), (2, 1.0)))
    return world.sample_times_s(len(codes)), codes, loopback, monitor


@pytest.fixture(scope="module")
def sound() -> Record:
    """The record of a rig without faults."""
    return played()


def quiet(**amplifier: Any) -> RigPhysics:
    """Return a rig without noise, but for what an open input makes."""
    return RigPhysics(
        source=SourcePhysics(noise_mv_rms=0),
        fixture=FixturePhysics(temperature_k=295),
        amplifier=AmplifierPhysics(**{"noise_uv_rms": 0, **amplifier}),
    )


def test_a_rig_has_no_fault_that_nobody_asked_for() -> None:
    """By default every fault is absent, and unknown names are mistakes."""
    assert all(fault is None for _, fault in Faults().signal)
    with pytest.raises(ValidationError, match="broken_leed"):
        Faults.model_validate({"signal": {"broken_leed": {}}})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gain_drift", {"per_cent": 5, "over_s": 0.2}),
        ("inverted_polarity", {}),
        ("saturation", {"at_uv": 100}),
        ("broken_lead", {}),
        ("mains", {"uv_pk": 50}),
        ("stuck_channel", {"code": 5}),
        ("missing_codes", {"every": 4}),
        ("clock_step", {"samples": 7}),
    ],
)
def test_a_fault_changes_nothing_before_its_instant(
    sound: Record, name: str, values: dict[str, Any]
) -> None:
    """Bit for bit the same codes until then, and others afterwards."""
    times_s, codes, *_ = played(**{name: AT | values})
    n = int(np.argmax(times_s >= AT["at_s"] - 1e-3))  # its filters remember no future
    assert np.array_equal(codes[:n], sound[1][:n])
    m = min(len(codes), len(sound[1]))
    assert not np.array_equal(codes[:m], sound[1][:m])


def test_an_inverted_sign_of_the_converter_is_just_that(sound: Record) -> None:
    """The codes are those of the sound rig with the other sign; the analogue side is as before."""
    times_s, codes, loopback, monitor = played(inverted_polarity=AT | {"part": "converter"})
    after = times_s >= AT["at_s"]
    assert np.array_equal(codes[after], -sound[1][after])
    assert np.array_equal(loopback, sound[2])
    assert np.array_equal(monitor, sound[3])


@pytest.mark.parametrize(
    ("part", "loopback_turns", "monitor_turns"),
    [("source", True, True), ("lead", False, True), ("amplifier", False, True)],
)
def test_a_fault_shows_behind_its_part_and_not_in_front_of_it(
    sound: Record, part: str, loopback_turns: bool, monitor_turns: bool
) -> None:
    """The loopback sees what left the generator, the monitor what left the amplifier."""
    _, codes, loopback, monitor = played(inverted_polarity={"part": part})
    late = slice(4000, 16_000)  # the high-pass has forgotten the beginning

    def turns(heard: np.ndarray, before: np.ndarray) -> bool:
        return float(heard[late] @ before[late]) < 0

    assert turns(loopback, sound[2]) == loopback_turns
    assert turns(monitor, sound[3]) == monitor_turns
    assert turns(codes[:, 0].astype(float), sound[1][:, 0].astype(float))


def test_a_gain_drifts_in_a_straight_line_and_then_stays() -> None:
    """1 at its instant, half-way in the middle, all of it at the end and in later playbacks."""
    drift = GainDrift(playback=1, at_s=0.2, per_cent=-6, over_s=0.2)
    times_s = np.array([0.0, 0.2, 0.3, 0.4, 9.0])
    assert drift.gain(1, times_s) == pytest.approx([1, 1, 0.97, 0.94, 0.94])
    assert drift.gain(0, times_s) == pytest.approx(np.ones(5))
    assert drift.gain(2, times_s) == pytest.approx(np.full(5, 0.94))


def test_a_drifting_converter_scales_its_codes(sound: Record) -> None:
    """At the end of the drift every code is 10 % larger, to a rounding."""
    drift = AT | {"per_cent": 10, "over_s": 0.1, "part": "converter"}
    times_s, codes, *_ = played(gain_drift=drift)
    end = times_s >= AT["at_s"] + 0.1
    assert np.max(np.abs(codes[end] - 1.1 * sound[1][end])) <= 1.1


@pytest.mark.parametrize("part", ["amplifier", "converter"])
def test_what_is_full_says_its_level_and_no_more(sound: Record, part: str) -> None:
    """Samples inside the level are untouched, the others are the level; the monitor tells where."""
    times_s, codes, _, monitor = played(saturation=AT | {"at_uv": 200, "part": part})
    after = times_s >= AT["at_s"]
    level = 200 / LSB_UV
    expected = np.clip(sound[1][after], -level, level)
    assert np.max(np.abs(codes[after] - expected)) <= 1
    assert np.array_equal(monitor, sound[3]) == (part == "converter")


def test_a_stopped_clock_takes_so_many_samples_less(sound: Record) -> None:
    """The codes are those of the sound rig with a piece cut out, and the times tell so."""
    times_s, codes, *_ = played(clock_step=AT | {"samples": 7})
    first = int(np.argmax(sound[0] >= AT["at_s"]))
    cut = np.delete(sound[1], np.arange(first, first + 7), axis=0)
    assert np.array_equal(codes, cut)
    assert times_s == pytest.approx(np.delete(sound[0], np.arange(first, first + 7)), abs=1e-12)


def test_a_stuck_converter_says_one_code() -> None:
    """From its instant on, into every later playback."""
    times_s, codes, *_ = played(stuck_channel=AT | {"code": -9})
    assert set(codes[times_s >= AT["at_s"], 0]) == {-9}
    _, codes, *_ = played(times=2, stuck_channel=AT | {"code": -9})
    assert set(codes[:, 0]) == {-9}


def test_missing_codes_are_never_said_and_others_are_as_before(sound: Record) -> None:
    """One code in eight reads as the next one up; stuck bits are always 0."""
    _, codes, *_ = played(missing_codes={"every": 8})
    lacks = sound[1] % 8 == 0
    assert not np.any(codes % 8 == 0)
    assert np.array_equal(codes[lacks], sound[1][lacks] + 1)
    assert np.array_equal(codes[~lacks], sound[1][~lacks])
    _, codes, *_ = played(missing_codes={"stuck_bits": 3})
    assert np.array_equal(codes, sound[1] // 8 * 8)


def test_swapped_channels_change_places() -> None:
    """Of three inputs, of which one hears less: the two columns are exchanged, the third is not."""
    physics = RigPhysics(amplifier=AmplifierPhysics(channels=3, channel_gains=(1.0, 0.5, 0.25)))
    _, before, *_ = played(physics)
    times_s, codes, *_ = played(physics, swapped_channels=AT | {"channels": (0, 2)})
    after = times_s >= AT["at_s"]
    assert np.array_equal(codes[~after], before[~after])
    assert np.array_equal(codes[after], before[after][:, [2, 1, 0]])


def test_mains_come_in_at_the_input_with_their_harmonics(sound: Record) -> None:
    """The difference to the sound rig is three sines, as large as the amplifier lets them be."""
    times_s, codes, *_ = played(mains={"uv_pk": 50.0, "harmonics": (0.0, 0.3)})
    late = times_s > 0.3
    left_uv = (codes - sound[1])[late, 0] * LSB_UV
    physics = RigPhysics()
    for hz, uv in ((50.0, 50.0), (100.0, 0.0), (150.0, 15.0)):
        network = physics.electrode_network @ physics.amplifier_network
        expected = uv * abs(network.response(np.array([hz]))[0])
        # 0.2 s are whole periods of 50 Hz and of its harmonics.
        whole = times_s[late] < 0.5
        phase = np.exp(-2j * np.pi * hz * times_s[late][whole])
        assert 2 * abs(np.mean(left_uv[whole] * phase)) == pytest.approx(expected, abs=0.2)


def test_an_open_input_has_the_noise_of_its_own_resistance() -> None:
    """Without mains nothing is left but 4 k T R of 1 Gohm, rolled off by 20 pF, in the band."""
    physics = quiet()
    _, codes, *_ = played(physics, times=6, broken_lead={"mains_uv_pk": 0.0})
    heard_uv = float(np.std(codes[:, 0])) * LSB_UV
    a, f_hz = physics.amplifier, np.geomspace(0.1, 48_000, 4000)
    r_ohm, c_f = a.input_mohm * 1e6, a.common_pf * 1e-12
    density = 4 * constants.k * 295 * r_ohm / (1 + (2 * np.pi * f_hz * r_ohm * c_f) ** 2)
    seen = density * np.abs(physics.amplifier_network.response(f_hz)) ** 2
    expected_uv = 1e6 * float(np.sqrt(np.trapezoid(seen, f_hz)))
    assert expected_uv == pytest.approx(9.5, abs=1.0)
    assert heard_uv == pytest.approx(expected_uv, rel=0.25)  # few periods of its slowest part


def test_a_broken_lead_lets_hum_in_and_no_signal(sound: Record) -> None:
    """50 Hz of the size that was asked for, and nothing at the frequency that is played."""
    times_s, codes, loopback, _ = played(broken_lead={"mains_uv_pk": 200.0})
    late = (times_s > 0.28) & (times_s < 0.48)
    heard_uv = codes[late, 0] * LSB_UV

    def amplitude_uv(hz: float) -> float:
        return float(2 * abs(np.mean(heard_uv * np.exp(-2j * np.pi * hz * times_s[late]))))

    assert amplitude_uv(50.0) == pytest.approx(200, rel=0.05)
    assert amplitude_uv(400.0) < 1.0
    assert np.array_equal(loopback, sound[2])


def test_with_faults_too_the_codes_do_not_depend_on_how_time_is_cut() -> None:
    """All at once or block by block: the same codes."""
    faults = {"broken_lead": AT, "clock_step": AT | {"samples": 30}, "mains": {"uv_pk": 9.0}}

    def codes_of(step_s: float) -> np.ndarray:
        world = World(RigPhysics(), 3, SignalFaults.model_validate(faults))
        world.generator.set_waveform(SINE.astype(np.int16))
        world.generator.apply(GeneratorSettings(rate_hz=AWG_HZ, vpp_open_v=1.0, output_on=True))
        world.amplifier.start()
        world.generator.trigger()
        while world.now_s < 0.4:
            world.advance(min(step_s, 0.4 - world.now_s))
        return world.amplifier.take()

    whole, pieces = codes_of(1.0), codes_of(0.01)
    n = min(len(whole), len(pieces))
    assert np.array_equal(whole[:n], pieces[:n])
