"""A real rig, as far as the bench can tell: instruments that another process serves on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import pyvisa

from emgsim.bench.arming import STATEMENT, arm
from emgsim.bench.playing import Catch, load_program, play
from emgsim.bench.program import program_for
from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.served import ServedRig
from emgsim.bench.station import SafeStep, Station, open_station
from emgsim.errors import InstrumentError, LinkError, SafetyError
from emgsim.instruments.base import SourceSettings
from emgsim.recording import Channel, Recording

RATE_HZ = 48_000.0
SETTINGS = SourceSettings(rate_hz=100_000.0, vpp_open_v=2.0)
CALM = np.sin(np.arange(10_000) / 50)


@contextmanager
def lab(*overrides: str, base: str = "virtual", device: str = "SIM-0001") -> Iterator[Rig]:
    """Serve a rig in another process, and give a real rig of its addresses that is armed."""
    faults = [o for o in overrides if o.startswith("faults.")]
    with ServedRig(load_rig(base, overrides=faults), seed=3) as served:
        resources = [f'{role}.resource="{at}"' for role, at in served.addresses.items()]
        rig = load_rig(base, overrides=['kind="bench"', "id=lab", *resources, *overrides])
        arm(rig, by="M. Curie", device_serial=device, statement=STATEMENT)
        yield rig


def ask(rig: Rig, message: str) -> str:
    """Ask the generator over a session of one's own."""
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(rig.source.resource) as session:
        session.read_termination = session.write_termination = "\n"
        answer = session.query(message)
    return answer.strip()


def recording(seconds: float = 1.0) -> Recording:
    """Return a quiet recording with one large needle in it."""
    samples_uv = np.random.default_rng(1).normal(0, 5, (round(seconds * RATE_HZ), 1))
    samples_uv[1000:1010] += 900
    return Recording(samples_uv=samples_uv, rate_hz=RATE_HZ, channels=(Channel(name="needle"),))


def played(station: Station, seconds: float = 1.0) -> Catch:
    """Play a recording."""
    catch, program = Catch(), program_for(recording(seconds))
    plan, _ = load_program(station, program)
    play(station, program, plan, catch)
    return catch


def test_an_armed_rig_is_proved_played_and_left_off():
    """The probe finds 1/1001, the playback is heard, a guard stood by, and the output is off."""
    with lab() as rig:
        with open_station(rig, seed=0) as station:
            assert station.permit.kind == "armed"
            assert station.facts["divider_ratio"] == pytest.approx(1 / 1001, rel=0.01)
            assert ask(rig, "OUTP1?") == "0"
            catch = played(station)
        assert ask(rig, "OUTP1?") == "0"
    assert catch.device_counts().max() * station.profile.scale_uv_per_count > 800


def test_a_device_that_nobody_vouched_for_is_refused():
    """Armed for one serial number, and another one answers: nothing is driven."""
    with lab(device="SN-7") as rig:
        with pytest.raises(SafetyError, match="'SN-7', and 'SIM-0001' answers"), \
                open_station(rig, seed=0):
            pytest.fail("opened")
        assert ask(rig, "OUTP1?") == "0"


@pytest.mark.parametrize(("expect", "said"), [
    ("source.expect.model=33622A", "the source must have the model '33622A'"),
    ("capture.expect.serial=MY1", "the capture must have the serial 'MY1'"),
    ("device.expect.serial=SN-1", "the device must have the serial 'SN-1'"),
    ('device.expect.firmware="2"', "the device must have the firmware '2'"),
])
def test_another_instrument_than_the_rig_file_means_is_refused(expect, said):
    """Role, what was expected and who answers."""
    with lab(expect) as rig, pytest.raises(InstrumentError, match=said), \
            open_station(rig, seed=0):
        pytest.fail("opened")


def test_a_rig_without_its_divider_is_refused_before_it_is_driven():
    """The probe's 4 mV come through whole."""
    with lab("faults.divider_removed_at_s=0") as rig:
        with pytest.raises(SafetyError, match=r"lets 1\.0. of the source's volts through"), \
                open_station(rig, seed=0):
            pytest.fail("opened")
        assert ask(rig, "OUTP1?") == "0"


def test_a_divider_that_falls_out_while_playing_ends_the_playback():
    """Over the real wire: refused in the middle, output off."""
    with lab("faults.divider_removed_at_s=4") as rig, open_station(rig, seed=0) as station:
        with pytest.raises(SafetyError, match="the divider may have fallen out"):
            played(station, 5.0)
        assert ask(rig, "OUTP1?") == "0"
        with pytest.raises(SafetyError, match="latched"):
            station.source.energise()


def test_nobody_else_gets_a_rig_that_is_held():
    """The second one is told who holds it; afterwards it is free."""
    with lab("lock.wait_s=0", 'lock.keys=["awg:MY1"]') as rig:
        with open_station(rig, seed=0, run_id="first"):
            held = r"awg:MY1 is held by .* run first, since"
            with pytest.raises(LinkError, match=held) as busy, \
                    open_station(rig, seed=0):
                pytest.fail("opened")
            assert busy.value.exit_code == 4
        with open_station(rig, seed=0):
            pass


@pytest.mark.parametrize("change", [
    ":SOUR1:VOLT 9", ":SOUR1:FUNC:ARB:SRAT 200000", ":OUTP1:LOAD 50", ":SOUR1:BURS:NCYC 7",
    ":SOUR1:VOLT:OFFS 0.5",
])
def test_settings_that_another_client_changed_are_noticed(change):
    """A file lock stops no second host: what it sets is read back before the output goes on."""
    with lab() as rig, open_station(rig, seed=0) as station:
        station.source.load(CALM, SETTINGS)
        ask(rig, f"{change};*OPC?")
        with pytest.raises(InstrumentError, match=r"reads back .* later"):
            station.source.energise()
        assert ask(rig, "OUTP1?") == "0"


def unattended(*overrides: str):
    """Serve the rig with relays and a lid, unarmed but watched."""
    return lab("interlock.unattended=true", *overrides, base="virtual-states")


def test_an_unattended_rig_plays_while_its_lid_is_closed():
    """Nobody vouches for it; its fixture is left in its safe state."""
    with unattended() as rig:
        with open_station(rig, seed=0) as station:
            assert station.permit.kind == "unattended"
            played(station)
            steps = station.make_safe()
            assert [step.confirmed for step in steps] == [True, True, True]
            assert station.fixture.name == "shorted"
        assert ask(rig, "OUTP1?") == "0"


def test_an_open_lid_keeps_a_rig_from_being_opened():
    """The input is looked at before anything is driven."""
    with unattended("faults.lid_opens_at_s=0") as rig, \
            pytest.raises(SafetyError, match="input 0 is open: the lid"), \
            open_station(rig, seed=0):
        pytest.fail("opened")


def test_a_lid_that_opens_in_mid_run_switches_off():
    """Within a look at the input; the station is latched."""
    with unattended("faults.lid_opens_at_s=4") as rig:
        with open_station(rig, seed=0) as station:
            with pytest.raises(SafetyError, match="input 0 is open"):
                played(station, 5.0)
            assert ask(rig, "OUTP1?") == "0"
        assert ask(rig, "OUTP1?") == "0"


def test_a_step_that_hangs_does_not_keep_the_next_from_being_taken(rig):
    """Each has its own deadline, and each failure is told."""
    quick = rig.model_copy(update={"safe_state": rig.safe_state.model_copy(
        update={"deadline_s": 0.2})})
    with open_station(quick, seed=1) as station:
        slow = replace(station, device=Slow(station.device), fixture=Broken())
        steps = slow.make_safe()
    assert steps == (
        SafeStep("source.off", confirmed=True),
        SafeStep("fixture.safe", confirmed=False, why="no relay obeys"),
        SafeStep("device.idle", confirmed=False, why="not done within 0.2 s"),
    )


class Slow:
    """A device that takes its time to stop."""

    def __init__(self, device):
        self.device = device

    def stop(self):
        """Stop at last."""
        time.sleep(0.5)


class Broken:
    """A fixture whose relays are stuck."""

    def safe(self):
        """Fail."""
        raise InstrumentError("no relay obeys")
