"""The VXI-11 server, spoken to in raw remote procedure calls."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CREATE, WRITE, READ, STATUS, TRIGGER, CLEAR, REMOTE, LOCAL = 10, 11, 12, 13, 14, 15, 16, 17
LOCK, UNLOCK, ENABLE_SRQ, DO_COMMAND, DESTROY, CREATE_INTERRUPT = 18, 19, 20, 22, 23, 25
OK, NOT_ACCESSIBLE, INVALID_LINK, UNSUPPORTED, LOCKED, NOT_LOCKED, TIMED_OUT = (
    0,
    3,
    4,
    8,
    11,
    12,
    15,
)
END, WAIT_LOCK, TERMCHAR = 8, 1, 128
BY_COUNT, BY_CHAR, BY_END = 1, 2, 4
PROGRAM = 0x0607AF
ANSWER = b"MAKER,MODEL,SN1,1.0\n"

OnWire = Callable[..., Any]


def opaque(data: bytes) -> bytes:
    """Return bytes as XDR has them."""
    return len(data).to_bytes(4) + data + bytes(-len(data) % 4)


class Caller:
    """One connection of a client."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.number = 100

    def send(
        self, procedure: int, arguments: bytes, program: int = PROGRAM, version: int = 1
    ) -> None:
        """Send a call in two fragments."""
        self.number += 1
        head = struct.pack(">10I", self.number, 0, 2, program, version, procedure, 0, 0, 0, 0)
        record = head + arguments
        first, rest = record[:24], record[24:]
        self.connection.sendall(len(first).to_bytes(4) + first)
        self.connection.sendall((len(rest) | 1 << 31).to_bytes(4) + rest)

    def receive(self) -> bytes:
        """Return the record of an answer."""
        mark = int.from_bytes(self.connection.recv(4, socket.MSG_WAITALL))
        assert mark & 1 << 31
        return self.connection.recv(mark & 0x7FFFFFFF, socket.MSG_WAITALL)

    def raw(self, *call: Any, **options: Any) -> tuple[int, ...]:
        """Make a call and return the integers after its number."""
        self.send(*call, **options)
        record = self.receive()
        assert struct.unpack(">2I", record[:8]) == (self.number, 1)
        return struct.unpack(f">{len(record) // 4 - 2}I", record[8:])

    def call(self, procedure: int, *integers: int, data: bytes | None = None) -> tuple[int, ...]:
        """Make a call that is accepted and return the integers of its results."""
        arguments = struct.pack(f">{len(integers)}I", *integers)
        results = self.raw(procedure, arguments + (b"" if data is None else opaque(data)))
        assert results[:4] == (0, 0, 0, 0)
        return results[4:]

    def create(self, name: bytes = b"inst0", *, lock: bool = False) -> tuple[int, ...]:
        """Create a link."""
        return self.call(CREATE, 1, int(lock), 0, data=name)

    def write(self, link: int, message: bytes, flags: int = END) -> tuple[int, ...]:
        """Write a message, or a part of it."""
        return self.call(WRITE, link, 1000, 0, flags, data=message)

    def read(
        self, link: int, n_bytes: int = 1000, *, flags: int = 0, char: int = 0, wait_ms: int = 5000
    ) -> tuple[int, int, bytes]:
        """Return error, reason and bytes of a read."""
        arguments = struct.pack(">6I", link, n_bytes, wait_ms, 0, flags, char)
        self.send(READ, arguments)
        error, reason, length = struct.unpack(">3I", (record := self.receive())[24:36])
        return error, reason, record[36 : 36 + length]

    def ask(self, link: int, message: bytes) -> bytes:
        """Write a query and read its answer."""
        assert self.write(link, message) == (OK, len(message))
        error, reason, data = self.read(link)
        assert (error, reason) == (OK, BY_END)
        return data

    def generic(self, procedure: int, link: int, flags: int = 0) -> tuple[int, ...]:
        """Make a call without data of its own."""
        return self.call(procedure, link, flags, 0, 1000)


@contextmanager
def calling(instrument: Any) -> Iterator[Caller]:
    """Connect to the port in the resource."""
    port = int(instrument.address.split("::")[1].split(",")[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield Caller(connection)


@pytest.fixture
def instrument(on_wire: OnWire) -> Iterator[Any]:
    """Serve an instrument."""
    with on_wire("vxi11") as instrument:
        yield instrument


@pytest.fixture
def caller(instrument: Any) -> Iterator[Caller]:
    """Connect a client."""
    with calling(instrument) as caller:
        yield caller


def test_a_link_says_how_much_it_takes_at_once(caller: Caller) -> None:
    """A megabyte; each link has a number of its own."""
    assert caller.create() == (OK, 1, 0, 1 << 20)
    assert caller.create(b"INST0") == (OK, 2, 0, 1 << 20)
    assert caller.create(b"inst1")[0] == NOT_ACCESSIBLE


def test_a_message_may_come_in_parts_and_be_read_in_parts(caller: Caller) -> None:
    """Only the last part has the END flag; only the last bytes have the END reason."""
    link = caller.create()[1]
    assert caller.write(link, b"*I", flags=0) == (OK, 2)
    assert caller.write(link, b"DN?") == (OK, 3)
    assert caller.read(link, 6) == (OK, BY_COUNT, ANSWER[:6])
    assert caller.read(link, len(ANSWER) - 6) == (OK, BY_COUNT | BY_END, ANSWER[6:])


def test_a_read_may_end_at_a_character(caller: Caller) -> None:
    """The comma is read, and the rest waits."""
    link = caller.create()[1]
    caller.write(link, b"*IDN?")
    assert caller.read(link, flags=TERMCHAR, char=ord(",")) == (OK, BY_CHAR, b"MAKER,")
    assert caller.read(link) == (OK, BY_END, ANSWER[6:])


def test_a_read_without_an_answer_times_out(caller: Caller) -> None:
    """Error 15 after the client's own time."""
    link = caller.create()[1]
    assert caller.read(link, wait_ms=50) == (TIMED_OUT, 0, b"")


def test_an_answer_that_was_not_read_is_an_interrupted_query(caller: Caller) -> None:
    """The next message drops it, and -410 stands in the queue."""
    link = caller.create()[1]
    caller.write(link, b"*IDN?")
    while not caller.generic(STATUS, link)[1] & 16:
        pass
    assert caller.ask(link, b"SYST:ERR?").startswith(b"-410")


def test_an_answer_that_comes_after_the_next_message_is_dropped(on_wire: OnWire) -> None:
    """The client asks on without a clear: it gets the answer to its last question only."""
    with (
        on_wire("vxi11", late_answer_at_query=1, late_by_s=0.3) as instrument,
        calling(instrument) as caller,
    ):
        link = caller.create()[1]
        caller.write(link, b"*IDN?")
        assert caller.ask(link, b"LEV?") == b"+0.000000000000000E+00\n"
        assert caller.ask(link, b"SYST:ERR?").startswith(b"-410")


def test_the_status_byte_knows_of_unread_answers(caller: Caller) -> None:
    """Message available is set until the answer was read."""
    link = caller.create()[1]
    assert caller.generic(STATUS, link) == (OK, 0)
    caller.write(link, b"*OPC?")
    while caller.generic(STATUS, link) != (OK, 16):
        pass
    caller.read(link)
    assert caller.generic(STATUS, link) == (OK, 0)


def test_a_clear_forgets_what_was_written_and_what_was_answered(caller: Caller) -> None:
    """Settings stay."""
    link = caller.create()[1]
    caller.write(link, b"LEV 2")
    caller.write(link, b"*IDN?")
    caller.write(link, b"LEV 3;", flags=0)
    assert caller.generic(CLEAR, link) == (OK,)
    assert caller.ask(link, b"LEV?") == b"+2.000000000000000E+00\n"
    assert caller.ask(link, b"SYST:ERR?").startswith(b"+0")


def test_a_trigger_reaches_the_instrument(caller: Caller, instrument: Any) -> None:
    """It is the bus trigger."""
    link = caller.create()[1]
    assert caller.generic(TRIGGER, link) == (OK,)
    assert instrument.echo.n_triggers == 1


def test_a_lock_keeps_other_links_out(caller: Caller, instrument: Any) -> None:
    """Until it is given back, or its client goes."""
    link = caller.create()[1]
    with calling(instrument) as other:
        theirs = other.create()[1]
        assert caller.call(LOCK, link, 0, 0) == (OK,)
        assert other.call(LOCK, theirs, 0, 0) == (LOCKED,)
        assert other.write(theirs, b"*IDN?") == (LOCKED, 0)
        assert other.read(theirs)[0] == LOCKED
        assert other.generic(STATUS, theirs)[0] == LOCKED
        assert other.call(CREATE, 1, 1, 10, data=b"inst0")[0] == LOCKED
        assert other.call(UNLOCK, theirs) == (NOT_LOCKED,)
        assert caller.call(UNLOCK, link) == (OK,)
        assert other.ask(theirs, b"*IDN?") == ANSWER
        assert other.call(LOCK, theirs, 0, 0) == (OK,)
    assert caller.call(LOCK, link, WAIT_LOCK, 5000) == (OK,)


def test_links_that_do_not_exist_are_refused(caller: Caller) -> None:
    """Every call names its link; one that was destroyed is none."""
    link = caller.create()[1]
    assert caller.call(DESTROY, link) == (OK,)
    assert caller.call(DESTROY, link) == (INVALID_LINK,)
    assert caller.write(link, b"x") == (INVALID_LINK, 0)
    assert caller.read(link) == (INVALID_LINK, 0, b"")
    assert caller.generic(CLEAR, link) == (INVALID_LINK,)
    assert caller.call(LOCK, link, 0, 0) == (INVALID_LINK,)
    assert caller.call(UNLOCK, link) == (INVALID_LINK,)


def test_remote_and_local_are_granted_and_the_rest_is_not_there(caller: Caller) -> None:
    """Service requests and commands of the bus are operations that are not supported."""
    link = caller.create()[1]
    assert caller.generic(REMOTE, link) == caller.generic(LOCAL, link) == (OK,)
    assert caller.raw(0, b"") == (0, 0, 0, 0)
    for procedure in (ENABLE_SRQ, CREATE_INTERRUPT, 26):
        assert caller.call(procedure, link) == (UNSUPPORTED,)
    assert caller.call(DO_COMMAND, link) == (UNSUPPORTED, 0)


def test_calls_that_nobody_knows_are_answered_with_the_reason(caller: Caller) -> None:
    """Program, version, procedure and arguments each have their status."""
    assert caller.raw(0, b"", program=PROGRAM + 1) == (0, 0, 0, 1)
    assert caller.raw(0, b"", version=2) == (0, 0, 0, 2, 1, 1)
    assert caller.raw(99, b"") == (0, 0, 0, 3)
    assert caller.raw(WRITE, b"abc") == (0, 0, 0, 4)


def test_a_record_that_is_too_long_ends_the_connection(caller: Caller) -> None:
    """No gigabyte is waited for."""
    caller.connection.sendall((0x7FFFFFFF | 1 << 31).to_bytes(4))
    assert caller.connection.recv(1) == b""


def test_a_message_over_the_cap_is_an_error_and_the_link_lives(caller: Caller) -> None:
    """37 writes of 1 MB queue -223."""
    link = caller.create()[1]
    for _ in range(37):
        caller.write(link, bytes(1 << 20), flags=0)
    caller.write(link, b"x")
    assert caller.ask(link, b"SYST:ERR?").startswith(b"-223")
