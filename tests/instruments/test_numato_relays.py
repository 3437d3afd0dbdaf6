"""The driver of the relay box, against its twin in this process and against boxes that fail."""

import asyncio
import os
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import serial

from emgsim.errors import InputError, InstrumentError, LinkError
from emgsim.instruments.drivers import load
from emgsim.instruments.numato_relays import NumatoRelays
from emgsim.plant.physics import FixturePhysics, RigPhysics, StatePhysics
from emgsim.plant.world import World
from emgsim.virtual.relays import VirtualRelays

TIMEOUT_S = 0.3
JOINED = StatePhysics(relays=frozenset({1, 4}))


class Twin:
    """Serves the twin in a thread of its own."""

    def __init__(self) -> None:
        self.world = World(RigPhysics(fixture=FixturePhysics(states={"shorted": JOINED})), 1)
        self.box = VirtualRelays(self.world)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.address = self.do(self.box.open)

    def do(self, action):
        """Run something in the thread of the twin."""

        async def run():
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(5)

    def end(self) -> None:
        """Hang up and leave nothing behind."""
        self.do(self.box.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


@pytest.fixture
def twin() -> Iterator[Twin]:
    """Serve the twin."""
    served = Twin()
    yield served
    served.end()


@contextmanager
def impostor(answer) -> Iterator[str]:
    """Serve a port whose every line is answered by a function of it."""
    master, slave = os.openpty()
    tty.setraw(slave)

    def run():
        line = b""
        while b"QUIT" not in line:
            line += os.read(master, 100)
            while b"\r" in line:
                command, _, line = line.partition(b"\r")
                os.write(master, answer(command))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        os.write(slave, b"QUIT")
        thread.join(5)
        os.close(master)
        os.close(slave)


def polite(**answers: bytes):
    """Return the answers of a box of 8 relays, some of them others."""
    known = {b"": b"", b"relay readall": b"00\n\r", b"relay writeall 00": b""}
    known |= {command.replace("_", " ").encode(): said for command, said in answers.items()}
    return lambda command: command + b"\n\r" + known.get(command, b"") + b">"


def test_relays_go_where_they_are_told_and_are_read_back(twin: Twin) -> None:
    """The plant's state follows; closing leaves the relays as they are."""
    with NumatoRelays.open(twin.address, timeout_s=5.0) as switch:
        assert str(switch.identify()) == "Numato Lab,USB relay module,SIMRELAY,00000008"
        assert switch.relays() == frozenset()
        switch.set_relays(frozenset({1, 4}))
        assert switch.relays() == {1, 4}
        assert twin.world.state == JOINED
    with load("switch", "numato.relays").open(twin.address, timeout_s=5.0) as switch:
        assert switch.relays() == {1, 4}
        switch.set_relays(frozenset())
    assert twin.world.state == twin.world.physics.fixture.through


def test_any_relays_are_set_by_one_command(twin: Twin) -> None:
    """Many settings of 8 relays, one after the other, as read back and as the plant has them."""
    with NumatoRelays.open(twin.address, timeout_s=5.0) as switch:
        for mask in range(0, 256, 7):
            relays = frozenset(n for n in range(8) if mask >> n & 1)
            switch.set_relays(relays)
            assert switch.relays() == relays
            assert twin.world.state == twin.world.physics.fixture.at(relays)


def test_a_contact_is_closed_while_its_input_is_high(twin: Twin) -> None:
    """The lid's contact, and an input that is wired to nothing."""
    with NumatoRelays.open(twin.address, timeout_s=5.0) as switch:
        assert switch.input_closed(0)
        assert not switch.input_closed(5)
        twin.do(twin.world.open_lid)
        assert not switch.input_closed(0)


def test_a_line_that_somebody_left_half_typed_does_no_harm(twin: Twin) -> None:
    """The driver ends it before it says anything of its own."""
    with serial.Serial(twin.address) as port:
        port.write(b"relay on")
    with NumatoRelays.open(twin.address, timeout_s=5.0) as switch:
        assert switch.relays() == frozenset()


@pytest.mark.parametrize("relays", [{8}, {-1}, {0, 99}])
def test_a_relay_that_is_not_there_is_refused(twin: Twin, relays: set[int]) -> None:
    """Eight of them, and nothing was switched."""
    with NumatoRelays.open(twin.address, timeout_s=5.0) as switch:
        with pytest.raises(InputError, match=r"relays must be in 0\.\.7, got"):
            switch.set_relays(frozenset(relays))
        assert switch.relays() == frozenset()


def test_relays_that_do_not_obey_are_an_error() -> None:
    """A box without supply takes the command and reads back what was."""
    answers = polite(relay_readall=b"04\n\r")
    with impostor(answers) as address, NumatoRelays.open(address, timeout_s=5.0) as switch:
        with pytest.raises(InstrumentError, match=r"must be \[0\], got \[2\]") as caught:
            switch.set_relays(frozenset({0}))
        assert caught.value.where == address


def test_a_box_of_sixteen_is_told_by_its_digits() -> None:
    """Four digits are sixteen relays."""
    seen = []
    answers = polite(relay_readall=b"8001\n\r")

    def answer(command: bytes) -> bytes:
        seen.append(command)
        return answers(command)

    with impostor(answer) as address, NumatoRelays.open(address, timeout_s=5.0) as switch:
        switch.set_relays(frozenset({0, 15}))
    assert b"relay writeall 8001" in seen


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        (lambda _: b"", LinkError, "no prompt after"),
        (lambda _: b"EMGSIM,NA-1,SIM-0001,1.0\n>", InstrumentError, "none of a relay module"),
        (polite(relay_readall=b"what\n\r"), InstrumentError, "none of a relay module: 'what'"),
        (polite(relay_readall=b""), InstrumentError, "none of a relay module: ''"),
    ],
)
def test_what_is_no_relay_box_is_told_at_the_opening(said, kind, told) -> None:
    """Silence, another device, nonsense: an error of ours that names the port, which is free."""
    with impostor(said) as address:
        with pytest.raises(kind, match=told) as caught:
            NumatoRelays.open(address, timeout_s=TIMEOUT_S)
        assert caught.value.where == address
        serial.Serial(address, exclusive=True).close()


def test_a_strange_level_is_no_closed_contact() -> None:
    """Only 0 and 1 are levels."""
    answers = polite(gpio_read_0=b"yes\n\r")
    with (
        impostor(answers) as address,
        NumatoRelays.open(address, timeout_s=5.0) as switch,
        pytest.raises(InstrumentError, match="'yes'"),
    ):
        switch.input_closed(0)


def test_a_hang_up_is_a_link_error_and_closing_goes_well(twin: Twin) -> None:
    """The plug is pulled between two commands; closing twice is allowed."""
    switch = NumatoRelays.open(twin.address, timeout_s=1.0)
    twin.do(twin.box.close)
    for _ in range(2):
        with pytest.raises(LinkError, match=r"relays broke|no prompt") as caught:
            switch.relays()
    assert caught.value.exit_code == 4
    switch.close()
    switch.close()


def test_a_port_that_is_missing_or_taken_cannot_be_opened(twin: Twin) -> None:
    """Both are told with the port's name."""
    with pytest.raises(LinkError, match="cannot be opened") as caught:
        NumatoRelays.open("/dev/no-such-port")
    assert caught.value.where == "/dev/no-such-port"
    with (
        NumatoRelays.open(twin.address, timeout_s=5.0),
        pytest.raises(LinkError, match="cannot be opened") as caught,
    ):
        NumatoRelays.open(twin.address)
    assert "other program" in caught.value.todo
