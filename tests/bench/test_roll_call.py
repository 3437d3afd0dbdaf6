"""Who answers is asked, told and compared before anything is driven or reset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from emgsim.bench.arming import STATEMENT, arm
from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.roll_call import Answer
from emgsim.bench.served import ServedRig
from emgsim.bench.station import open_station
from emgsim.errors import EmgsimError, InstrumentError, LinkError, SafetyError

from .tap import Tap, tapped

SOCKETS = ['virtual.wires.source="socket"', 'virtual.wires.capture="socket"']
TWINS = {"source": "33522B", "capture": "DSO-X 3012G", "device": "NA-1"}


@contextmanager
def lab(
    *overrides: str, base: str = "virtual", device: str = "SIM-0001"
) -> Iterator[tuple[Rig, dict[str, Tap]]]:
    """Give a real rig, armed, whose generator and scope are twins behind a tap."""
    with ExitStack() as stack:
        served = stack.enter_context(ServedRig(load_rig(base, overrides=SOCKETS), seed=3))
        taps = {
            role: stack.enter_context(tapped(served.addresses[role]))
            for role in ("source", "capture")
        }
        addresses = served.addresses | {role: tap.address for role, tap in taps.items()}
        resources = [f'{role}.resource="{at}"' for role, at in addresses.items()]
        rig = load_rig(base, overrides=['kind="bench"', "id=lab", *resources, *overrides])
        arm(rig, by="M. Curie", device_serial=device, statement=STATEMENT)
        yield rig, taps


def refused(rig: Rig) -> tuple[EmgsimError, dict[str, Answer]]:
    """Open a station that must not open, and return why, and who had answered."""
    answers: dict[str, Answer] = {}
    with pytest.raises(EmgsimError) as caught, open_station(
        rig, seed=0, told=lambda answer: answers.update({answer.role: answer})
    ):
        pytest.fail("opened")
    return caught.value, answers


@pytest.mark.parametrize(("role", "base", "scope"), [
    ("source", "virtual", "MY00000002"),
    ("capture", "virtual-siglent-scope", "SDS0SIM0000001"),
    ("device", "virtual", "MY00000002"),
])
def test_a_strangers_serial_number_is_refused_and_nobody_has_heard_more_than_the_question(
    role, base, scope
):
    """Not even a reset, a stop or an off: generator and scope were asked who they are."""
    with lab(f"{role}.expect.serial=OTHER", base=base) as (rig, taps):
        error, answers = refused(rig)
        said = {name: set(tap.messages) for name, tap in taps.items()}
    assert isinstance(error, InstrumentError)
    assert error.exit_code == 4
    assert f"the {role} must have the serial 'OTHER'" in error.what
    assert error.where == f"rig lab, {role}.expect.serial"
    assert said == {"source": {"*IDN?"}, "capture": {"*IDN?"}}
    identity = answers["capture"].identity
    assert identity is not None
    assert identity.serial == scope


def test_a_device_that_was_not_armed_for_is_refused_before_the_generator_hears_more():
    """The permit's own check of the serial number comes as early, with exit code 5."""
    with lab(device="SN-7") as (rig, taps):
        error, answers = refused(rig)
        said = {name: set(tap.messages) for name, tap in taps.items()}
    assert isinstance(error, SafetyError)
    assert "'SN-7', and 'SIM-0001' answers" in error.what
    assert answers["device"].verdict == "not the one that is meant"
    assert said == {"source": {"*IDN?"}, "capture": {"*IDN?"}}


def test_the_right_instruments_are_reset_after_all_were_asked():
    """Both tables of expectations hold; the first thing after the question is the reset."""
    with lab("source.expect.model=33522B", "capture.expect.serial=MY00000002") as (rig, taps):
        answers: list[Answer] = []
        with open_station(rig, seed=0, told=answers.append):
            pass
        for tap in taps.values():
            said = [message for message in tap.messages if message != "*IDN?"]
            assert said[0].startswith("*RST")
            assert tap.messages.index("*IDN?") == 0
    assert [(one.role, one.verdict) for one in answers] == [
        ("source", "as expected"),
        ("capture", "as expected"),
        ("device", "no identity in the rig file"),
    ]


def test_one_that_does_not_answer_keeps_nobody_from_being_heard():
    """The missing one is the error, a stranger among the others is a note on it."""
    with lab("capture.expect.model=DSO-X 4024A", "link_timeout_s=0.5") as (rig, taps):
        gone = load_rig("virtual", overrides=[
            'kind="bench"', "id=lab", 'source.resource="TCPIP::127.0.0.1::9::SOCKET"',
            f'capture.resource="{taps["capture"].address}"', "link_timeout_s=0.5",
            f'device.resource="{rig.device.resource}"', 'capture.expect.model="DSO-X 4024A"'])
        arm(gone, by="M. Curie", device_serial="SIM-0001", statement=STATEMENT)
        error, answers = refused(gone)
    assert isinstance(error, LinkError)
    assert "TCPIP::127.0.0.1::9::SOCKET" in error.where
    assert [one.verdict for one in answers.values()] == [
        "does not answer", "not the one that is meant", "no identity in the rig file"]
    assert re.search("and the capture: the capture must have the model 'DSO-X 4024A', and KEYSIGHT",
                     "".join(error.__notes__))


def test_every_role_of_a_virtual_rig_answers_with_the_drivers_name():
    """The answers carry role, driver and address as the rig file has them."""
    answers: list[Answer] = []
    with open_station(load_rig("virtual-states"), seed=0, told=answers.append):
        pass
    assert [(one.role, one.driver) for one in answers] == [
        ("source", "keysight.33500"), ("capture", "keysight.infiniivision"),
        ("device", "serial.frames"), ("switch", "numato.relays")]
    for one in answers[:3]:
        assert one.identity is not None
        assert one.identity.model == TWINS[one.role]
    assert all(one.address == f"virtual:{one.role}" for one in answers)
