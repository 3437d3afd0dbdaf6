"""Several generators on one rig: its file, what each sees of it, and playing on all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emgsim.bench.arming import Permit
from emgsim.bench.guarded_source import GuardedSource
from emgsim.bench.playing import Catch, Loaded, load_program, play_together
from emgsim.bench.program import Program, program_for
from emgsim.bench.rig import Rig, load_rig, source_role
from emgsim.bench.roll_call import driver_role, wired_roles
from emgsim.bench.safe_steps import SafeStep, taken
from emgsim.bench.station import Station
from emgsim.errors import InputError, InstrumentError, SafetyError
from emgsim.instruments.base import CaptureSettings, DeviceBlock
from emgsim.recording import Channel, Recording

from .conftest import FakeSource

TWO = "virtual-two-generators"
RATE_HZ = 48_000.0


@pytest.fixture(scope="module")
def two() -> Rig:
    """Load the shipped rig with two generators."""
    return load_rig(TWO)


# -- its file ----------------------------------------------------------------------------------


def test_each_generator_sees_the_rig_as_if_it_were_the_only_one(two: Rig) -> None:
    """The other's output, its divider and its channel of the oscilloscope, and no monitor."""
    rig = two.model_copy(
        update={
            "others": (
                two.others[0].model_copy(
                    update={
                        "output_ohm": 600.0,
                        "fixture": two.others[0].fixture.model_copy(
                            update={"ratio": 0.01, "input_ohm": 5400.0}
                        ),
                    }
                ),
            )
        }
    )
    assert rig.n_sources == 2
    first, second = rig.of(0), rig.of(1)
    assert (first.source, first.fixture, first.capture) == (rig.source, rig.fixture, rig.capture)
    assert second.source.driver == "keysight.33500"
    assert second.load_factor == pytest.approx(0.9)
    assert second.device_volts_per_open_volt == pytest.approx(0.009)
    assert second.fixture.states == {}
    assert (second.capture.source_channel, second.capture.monitor_channel) == (3, None)
    assert second.limits == rig.limits
    assert first.n_sources == second.n_sources == 1
    assert second.virtual is not None
    assert second.virtual.source.clock_ppm == -11.0


def test_the_first_generator_drives_what_no_other_one_does(two: Rig, rig: Rig) -> None:
    """Of four inputs the second generator has number 1; a generator alone has all."""
    assert two.inputs_of(0, 4) == (0, 2, 3)
    assert two.inputs_of(1, 4) == (1,)
    assert rig.inputs_of(0, 3) == (0, 1, 2)
    assert rig.of(0) is rig


def test_roles_are_numbered_from_the_second_on(two: Rig) -> None:
    """All of them have drivers of sources."""
    assert [source_role(k) for k in range(3)] == ["source", "source_2", "source_3"]
    roles = {name: driver_role(part) for name, part in wired_roles(two).items()}
    assert roles == {
        "source": "source",
        "capture": "capture",
        "device": "device",
        "source_2": "source",
    }


THIRD = {
    "driver": "siglent.sdg", "resource": "virtual:source_3", "noise_mv_rms": 0.3,
    "input": 2, "capture_channel": 4, "fixture": {"ratio": 0.001, "input_ohm": 1e4, "clamp_v": 0.4},
}  # fmt: skip


@pytest.mark.parametrize(
    ("base", "overrides", "sentence"),
    [
        (TWO, ["others.0.input=0"], "others.0.input: input should be greater than or equal to 1"),
        (TWO, ["others.0.input=4", "virtual.amplifier.channels=8", "virtual.others.0.input=4"],
         "others.0.input: NA-4 has the inputs 0 to 3, got 4"),
        (TWO, ["others.0.capture_channel=1"], "got [1] beside 1 and 2"),
        (TWO, ["others.0.capture_channel=2"], "got [2] beside 1 and 2"),
        (TWO, ['others.0.resource="virtual:source"'], "source_2.resource of a virtual rig must be"),
        (TWO, ['others.0.resource="virtual:source"'], "must have an address of its own"),
        (TWO, ["virtual.others.0.input=2"], "same order [1], got [2]"),
        (TWO, ["virtual.others=[]"], "must be as many as [[others]]"),
        ("virtual", ["virtual.amplifier.channels=4", "virtual.others=[{input=1}]"],
         "must be as many as [[others]]"),
        (TWO, ["fixture.states.shorted={differential=0,input_ohm=50}"],
         "a fixture that is switched between states has one source"),
        (TWO, ['switch={driver="operator"}'],
         "a fixture that is switched between states has one source"),
        (TWO, ["others.0.fixture.states.shorted={differential=0,input_ohm=50}"],
         "others.0.fixture.states: unknown key"),
        (TWO, ["others.0.fixture.clamp_v=0.6"], "say so by others.0.fixture.clamp_v (got 0.6)"),
    ],
)  # fmt: skip
def test_what_cannot_be_of_several_generators_is_refused(
    base: str, overrides: list[str], sentence: str
) -> None:
    """Each mistake has its message."""
    with pytest.raises(InputError) as caught:
        load_rig(base, overrides=overrides)
    assert sentence in caught.value.what


def test_two_generators_on_one_input_are_refused(two: Rig) -> None:
    """Nor on one channel of the oscilloscope."""
    table = two.resolved()
    table["virtual"]["others"] = [{"input": 1}, {"input": 2}]
    table["others"] = [*table["others"], THIRD]
    assert Rig.model_validate(table).n_sources == 3
    table["others"][1] = THIRD | {"input": 1}
    with pytest.raises(ValueError, match=r"input of its own, got \[1, 1\]"):
        Rig.model_validate(table)
    table["others"][1] = THIRD | {"capture_channel": 3}
    with pytest.raises(ValueError, match=r"got \[3, 3\] beside 1 and 2"):
        Rig.model_validate(table)


# -- playing on all at once --------------------------------------------------------------------


@dataclass
class FakeCapture:
    """An oscilloscope that notes what it was asked for, and sees nothing."""

    diary: list[str]
    channels: dict[int, Any] = field(default_factory=dict)

    def configure(self, channels: dict[int, Any], duration_s: float, rate_hz: float) -> Any:
        """Take the channels."""
        self.channels = dict(channels)
        self.duration_s = duration_s
        return CaptureSettings(rate_hz=rate_hz, n_points=10, channels=self.channels)

    def arm(self) -> None:
        """Note it."""
        self.diary.append("scope armed")

    def wait(self, timeout_s: float) -> None:
        """Be ready."""

    def read(self, channel: int) -> np.ndarray:
        """Return the channel's number as volts."""
        return np.full(10, float(channel))


@dataclass
class FakeDevice:
    """A device that hears a constant on each of its inputs, in microvolts."""

    diary: list[str]
    heard_uv: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    n_channels = 4
    rate_hz = RATE_HZ
    scale_uv: float = 1.0
    n_read: int = 0

    def start(self) -> None:
        """Note it."""
        self.diary.append("device started")

    def read_block(self, n_samples: int, timeout_s: float) -> DeviceBlock:  # noqa: ARG002
        """Return so many samples."""
        counts = np.tile(np.rint(np.array(self.heard_uv) / self.scale_uv), (n_samples, 1))
        first, self.n_read = self.n_read, self.n_read + n_samples
        return DeviceBlock(counts.astype(np.int32), first, (), 0)

    def stop(self) -> None:
        """Note it."""
        self.diary.append("device stopped")


class Diarist(FakeSource):
    """A generator that writes into the rig's diary."""

    def __init__(self, name: str, diary: list[str]) -> None:
        super().__init__()
        self.name, self.diary = name, diary

    def _note(self, call: str) -> None:
        self.diary.append(f"{self.name} {call}")


@pytest.fixture
def diary() -> list[str]:
    """Give the list of all that is done on a rig, in its order."""
    return []


@pytest.fixture
def station(two: Rig, diary: list[str]) -> Station:
    """Give a station of which every part is fake, but for the guarded sources."""
    permit = Permit("virtual")
    sources = tuple(
        GuardedSource(Diarist(name, diary), two.of(k), permit, role=name)
        for k, name in enumerate(("source", "source_2"))
    )
    fixture = SimpleNamespace(switch=None, safe=lambda: None)
    return Station(
        rig=two, permit=permit, sources=sources, capture=FakeCapture(diary),
        device=FakeDevice(diary, scale_uv=two.profile.scale_uv_per_count), fixture=fixture,
        profile=two.profile, identities={},
    )  # fmt: skip


def program(peak_uv: float) -> Program:
    """Return the playback of a short sine; its markers are twice as loud at most."""
    t = np.arange(round(0.1 * RATE_HZ)) / RATE_HZ
    uv = peak_uv * np.sin(2 * np.pi * 500 * t)[:, None]
    recording = Recording(samples_uv=uv, rate_hz=RATE_HZ, channels=(Channel(name="sine"),))
    return program_for(recording, 10_000.0, marker_uv=peak_uv)


def loaded(station: Station, *peaks_uv: float) -> list[Loaded]:
    """Load a sine of each size, and let the diary begin after that."""
    found = []
    for k, peak_uv in enumerate(peaks_uv):
        one = program(peak_uv)
        plan, _ = load_program(station.of(k), one)
        found.append(Loaded(station.of(k), one, plan))
    station.capture.diary.clear()
    return found


def test_all_are_energised_before_they_are_triggered_in_turn(
    station: Station, diary: list[str]
) -> None:
    """The oscilloscope and the device listen from before the first trigger."""
    play_together(loaded(station, 1000.0, 300.0), Catch(), is_last=False)
    assert diary == [
        "source arm", "source_2 arm", "scope armed", "device started", "source trigger",
        "source_2 trigger", "source off", "source_2 off", "device stopped",
    ]  # fmt: skip
    assert not any(source.is_on or source.is_latched for source in station.sources)


def test_each_generator_has_its_own_channel_of_the_oscilloscope(station: Station) -> None:
    """Ranges are of its own program; the analogue output is the first one's."""
    catch, both = Catch(), loaded(station, 1000.0, 250.0)
    play_together(both, catch)
    channels = station.capture.channels
    assert sorted(channels) == [1, 2, 3]
    assert channels[1].range_v == pytest.approx(4 * channels[3].range_v, rel=0.02)
    assert station.capture.duration_s > max(one.plan.duration_s for one in both)
    first, second = catch.scope_record(0), catch.scope_record(1)
    assert (first.source_v[0], second.source_v[0]) == (1.0, 3.0)
    assert first.monitor_v is not None
    assert first.monitor_v[0] == 2.0
    assert second.monitor_v is None
    assert all(source.is_latched for source in station.sources)


def test_what_is_too_much_for_the_second_one_ends_both(station: Station, diary: list[str]) -> None:
    """What the first program lets the device hear is too much on the second one's input."""
    both = loaded(station, 2000.0, 200.0)
    station.device.heard_uv = (900.0, 90.0, 900.0, 900.0)
    play_together(both, Catch(), is_last=False)
    station.device.heard_uv = (90.0, 900.0, 90.0, 90.0)
    with pytest.raises(SafetyError, match=r"reads 0\.9 mV .* the divider may have") as caught:
        play_together(both, Catch(), is_last=False)
    assert caught.value.where == f"rig {TWO}, source_2"
    assert all(source.is_latched and not source.is_on for source in station.sources)
    assert sorted(diary[-2:]) == ["source off", "source_2 off"]


@pytest.mark.parametrize("moment", ["arm", "trigger"])
def test_one_that_fails_switches_all_off_at_once(
    station: Station, diary: list[str], moment: str
) -> None:
    """Before the error has left the playback; nothing can be energised after that."""
    both = loaded(station, 1000.0, 1000.0)

    def fail(call: str, note: Callable[[str], None]) -> None:
        note(call)
        if call == moment:
            raise InstrumentError("it does not obey")

    broken = station.sources[1]._source
    note = broken._note
    broken._note = lambda call: fail(call, note)
    with pytest.raises(InstrumentError, match="it does not obey"):
        play_together(both, Catch())
    assert all(source.is_latched and not source.is_on for source in station.sources)
    assert sorted(diary[-2:]) == ["source off", "source_2 off"]
    assert ("source trigger" in diary) == (moment == "trigger")


def test_the_safe_state_says_which_output_could_not_be_confirmed(station: Station) -> None:
    """Each has a step of its own, and one that fails keeps no other from being taken."""

    def stuck() -> None:
        raise InstrumentError("the output is not off")

    station.sources[0]._source.off = stuck
    assert station.make_safe() == (
        SafeStep("source.off", confirmed=False, why="the output is not off"),
        SafeStep("source_2.off", confirmed=True),
        SafeStep("fixture.safe", confirmed=True),
        SafeStep("device.idle", confirmed=True),
    )


def test_steps_are_taken_side_by_side() -> None:
    """One that hangs is given up, and the other had been taken long before."""
    done, never = Event(), Event()
    try:
        found = taken({"hangs": lambda: never.wait(5) and None, "is done": done.set}, 0.1)
    finally:
        never.set()
    assert done.is_set()
    assert found == (
        SafeStep("hangs", confirmed=False, why="not done within 0.1 s"),
        SafeStep("is done", confirmed=True),
    )


def test_a_certificate_of_the_second_divider_that_is_over_refuses_it_alone(
    station: Station, two: Rig
) -> None:
    """The first one may be loaded; the message says whose it is."""
    fixture = two.others[0].fixture
    assert fixture.certificate is not None
    old = fixture.model_copy(
        update={"certificate": fixture.certificate.model_copy(update={"due": date(2026, 1, 2)})}
    )
    rig = two.model_copy(update={"others": (two.others[0].model_copy(update={"fixture": old}),)})
    sources = tuple(
        GuardedSource(source._source, rig.of(k), station.permit, role=source.role)
        for k, source in enumerate(station.sources)
    )
    changed = replace(station, rig=rig, sources=sources)
    load_program(changed.of(0), program(1000.0))
    with pytest.raises(SafetyError, match="SIM-DIVIDER-2 was due on 2026-01-02") as caught:
        load_program(changed.of(1), program(1000.0))
    assert caught.value.where == f"rig {TWO}, source_2, state through"
