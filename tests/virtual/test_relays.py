"""The relay box: its text protocol, its relays in the plant, and the lid's contact."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from emgsim.plant.physics import FixturePhysics, RigPhysics, StatePhysics
from emgsim.plant.world import World
from emgsim.virtual.relays import VirtualRelays

JOINED = StatePhysics(relays=frozenset({0, 2}), has_electrode=False)


@pytest.fixture
def world() -> World:
    """Give a world whose relays 0 and 2 join the inputs, and whose lid is at input 1."""
    fixture = FixturePhysics(states={"shorted": JOINED})
    return World(RigPhysics(fixture=fixture, lid_input=1), seed=1)


def test_relays_are_set_and_read_one_by_one_and_all_at_once(world: World) -> None:
    """Hexadecimal, the lowest bit is relay 0; what is set stands in the plant."""
    box = VirtualRelays(world)
    assert box.answer("relay readall") == "00"
    assert box.answer("relay on 0") is None
    assert box.answer("RELAY ON 7") is None
    assert box.answer("relay readall") == "81"
    assert (box.answer("relay read 7"), box.answer("relay read 1")) == ("on", "off")
    box.answer("relay off 7")
    box.answer("relay on 2")
    assert world.state == JOINED
    box.answer("relay writeall a0")
    assert (box.answer("relay readall"), world.state.differential) == ("a0", 0.0)
    box.answer("relay writeall 00")
    assert world.state == world.physics.fixture.through


def test_a_stuck_relay_is_said_to_be_on_and_is_not(world: World) -> None:
    """The box obeys in all that it says; the fixture stays in its state."""
    box = VirtualRelays(world)
    world.stick_relay(2)
    box.answer("relay writeall 05")
    assert box.answer("relay readall") == "05"
    assert world.state.relays == frozenset()


def test_only_the_lids_input_is_wired(world: World) -> None:
    """Closed is 1; an open lid, like an input that is wired to nothing, is 0."""
    box = VirtualRelays(world)
    assert [box.answer(f"gpio read {n}") for n in range(3)] == ["0", "1", "0"]
    world.open_lid()
    assert box.answer("gpio read 1") == "0"


@pytest.mark.parametrize(
    "line", ["", "relay", "relay on", "relay on 8", "relay writeall 1", "relay writeall xyz",
             "gpio read", "gpio read 9", "ver 1", "*IDN?", "relay on 0 0"]
)  # fmt: skip
def test_what_is_no_command_changes_nothing(world: World, line: str) -> None:
    """Echo and prompt come, and no answer."""
    box = VirtualRelays(world)
    assert box.answer(line) is None
    assert box.answer("relay readall") == "00"


WORDS = ["ver", "id", "get", "relay", "gpio", "on", "off", "read", "readall", "writeall", "0", "7",
         "8", "a", "ff", "0x1", "-1", "²"]  # fmt: skip
ORDERS = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(WORDS)).map(" ".join))


@given(lines=st.lists(ORDERS, max_size=8))
def test_no_line_breaks_it_and_reading_changes_nothing(lines: list[str]) -> None:
    """Whatever is typed, the answer is short text, and `readall` tells what each relay tells."""
    box = VirtualRelays(World(RigPhysics(), seed=1))
    for line in lines:
        before, answer = box.answer("relay readall"), box.answer(line)
        assert answer is None or 0 < len(answer) <= 8
        if answer is not None:
            assert box.answer("relay readall") == before
    ones = sum((box.answer(f"relay read {n}") == "on") << n for n in range(8))
    assert box.answer("relay readall") == f"{ones:02x}"


def served(tmp_path: Path, **tables: object) -> "subprocess.Popen[str]":
    """Start the servers of a rig in JSON."""
    path = tmp_path / "rig.json"
    path.write_text(json.dumps(tables), "utf-8")
    command = [sys.executable, "-m", "emgsim.virtual", str(path), "--seed", "1"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def exchange(port: serial.Serial, line: bytes) -> bytes:
    """Send a line and return what comes up to the prompt."""
    port.write(line)
    return port.read_until(b">")


def test_it_is_served_as_a_fourth_address_and_hears_of_the_lid(tmp_path: Path) -> None:
    """Echo, answer, prompt; the lid opens after 30 ms of the device's data."""
    faults = {"lid_opens_at_s": 0.03}
    with served(
        tmp_path, virtual={}, faults=faults, switch={"resource": "virtual:switch"}
    ) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert list(addresses) == ["source", "capture", "device", "switch"]
        with serial.Serial(addresses["switch"], timeout=5) as port:
            assert exchange(port, b"ver\r") == b"ver\n\r00000008\n\r>"
            assert exchange(port, b"relay on 3\r") == b"relay on 3\n\r>"
            assert exchange(port, b"relay readall\r") == b"relay readall\n\r08\n\r>"
            assert exchange(port, b"gpio read 0\r") == b"gpio read 0\n\r1\n\r>"
            with serial.Serial(addresses["device"], timeout=5) as device:
                device.write(b"START\n")
                assert len(device.read(200 * 54)) == 200 * 54  # 67 ms
            assert exchange(port, b"gpio read 0\r") == b"gpio read 0\n\r0\n\r>"
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_an_operator_is_not_served(tmp_path: Path) -> None:
    """A switch without a resource is a person: there is no fourth address."""
    with served(tmp_path, virtual={}, switch={"driver": "operator", "resource": ""}) as process:
        assert process.stdout is not None
        assert "switch" not in json.loads(process.stdout.readline())
        process.communicate(timeout=10)


def test_a_divider_that_never_was_in_is_seen_by_the_device(tmp_path: Path) -> None:
    """The fault of time 0: 0.2 V of noise-free output are far over the device's range."""
    from emgsim.virtual.server import Faults, RigFile, VirtualRig

    rig = VirtualRig(RigFile(RigPhysics(), Faults(divider_removed_at_s=0.0)), seed=1)
    assert rig.world.state.differential == 1.0
    late = VirtualRig(RigFile(RigPhysics(), Faults(divider_removed_at_s=0.05)), seed=1).world
    late.advance(0.04)
    assert late.state == late.physics.fixture.through
    late.advance(0.02)
    assert late.state.differential == 1.0
