"""Our link on every wire, against our own servers: each trap of wire and client has its test."""

import gc
import hashlib
import logging
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial

from emgsim.bench.guard import Guard
from emgsim.errors import InstrumentError, LinkError
from emgsim.instruments.off import OffOrder
from emgsim.instruments.transport import VisaLink
from emgsim.instruments.visa_session import sockets_of

WIRES = ("hislip", "socket", "vxi11", "serial")
LAN = ("hislip", "socket", "vxi11")
MARKED = ("hislip", "vxi11")  # wires with a mark for the end of a message, and a device clear
MESSAGE_AVAILABLE = 16  # of the status byte
IDENTITY = "MAKER,MODEL,SN1,1.0"

every_wire = pytest.mark.parametrize("wire", WIRES)
OnWire = Callable[..., Any]


def linked(instrument: Any, timeout_s: float = 5.0, upload_timeout_s: float = 10.0) -> VisaLink:
    """Open our link; what is meant to time out is asked with a short time-out of its own."""
    return VisaLink(instrument.address, timeout_s=timeout_s, upload_timeout_s=upload_timeout_s)


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


@every_wire
def test_settings_queries_and_blocks_travel(wire: str, on_wire: OnWire) -> None:
    """A set-get pair, a block of every byte value both ways, and an empty error queue."""
    words = np.arange(-20_000, 20_000, dtype="<i2")
    with on_wire(wire) as instrument, linked(instrument) as link:
        assert link.put("LEV", 2.5) == 2.5
        assert link.tell_block(":DATA ", words) == words.nbytes
        link.finish("the upload")
        np.testing.assert_array_equal(link.ask_block("DATA?").view("<i2"), words)
        assert link.ask("NAME? 'x;y'") == "'x;y'"
        assert link.errors() == ()


@every_wire
def test_a_late_answer_is_never_taken_for_that_of_the_next_query(
    wire: str, on_wire: OnWire
) -> None:
    """Trap: a stale answer after a time-out. It comes while the next question is being asked."""
    with (
        on_wire(wire, late_answer_at_query=2, late_by_s=0.75) as instrument,
        linked(instrument) as link,
    ):
        assert link.ask("*IDN?") == IDENTITY
        with pytest.raises(LinkError, match=r"no complete answer to 'NAME\? ONE' within 0.3 s"):
            link.ask("NAME? ONE", timeout_s=0.3)
        # the answer to the first one comes 0.3 s after this question, unless it was cleared away
        assert link.ask("NAME? TWO") == "TWO"
        assert link.ask("NAME? THREE") == "THREE"


@every_wire
def test_an_answer_that_comes_just_after_the_time_out_is_thrown_away(
    wire: str, on_wire: OnWire
) -> None:
    """Trap: a stale answer that is there before the link is used again."""
    with (
        on_wire(wire, late_answer_at_query=1, late_by_s=0.5) as instrument,
        linked(instrument) as link,
    ):
        with pytest.raises(LinkError):
            link.ask("NAME? ONE", timeout_s=0.3)
        time.sleep(0.4)
        assert link.ask("NAME? TWO") == "TWO"


@every_wire
def test_an_answer_that_never_comes_costs_that_query_only(wire: str, on_wire: OnWire) -> None:
    """The next question is answered, and with its own answer."""
    with on_wire(wire, no_answer_at_query=2) as instrument, linked(instrument) as link:
        link.ask("*IDN?")
        with pytest.raises(LinkError, match="no complete answer"):
            link.ask("NAME? ONE", timeout_s=0.3)
        assert link.ask("NAME? TWO") == "TWO"


@every_wire
def test_a_connection_that_is_closed_in_a_read_is_told_at_once(wire: str, on_wire: OnWire) -> None:
    """Trap: the back end spins on a closed connection until the time-out, 30 s here."""
    with on_wire(wire, drop_at_message=2) as instrument, linked(instrument, 30.0) as link:
        link.ask("*IDN?")
        began_s = time.monotonic()
        with pytest.raises(LinkError, match="hung up") as told:
            link.ask("NAME? ONE")
        assert told.value.where == instrument.address
        assert time.monotonic() - began_s < 5


@every_wire
def test_an_instrument_that_is_gone_is_told_each_time(
    wire: str, on_wire: OnWire, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap: the first write to a dead peer succeeds, the second raises a bare BrokenPipeError."""
    caplog.set_level(logging.CRITICAL, "pyvisa")  # its record would keep the dead socket alive
    with on_wire(wire) as instrument, linked(instrument) as link, warnings.catch_warnings():
        # pyvisa-py leaves its unconnected socket to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        assert link.ask("*IDN?") == IDENTITY
        instrument.leave()
        for _ in range(3):
            with pytest.raises(LinkError, match=r"hung up|cannot open the link"):
                link.tell("LEV 1")
        gc.collect()


@pytest.mark.parametrize("wire", LAN)
def test_a_connection_that_broke_is_opened_anew_after_that_was_told(
    wire: str, on_wire: OnWire
) -> None:
    """The next message may be the one that switches an output off."""
    with on_wire(wire, drop_at_message=2) as instrument, linked(instrument) as link:
        link.ask("*IDN?")
        with pytest.raises(LinkError, match="hung up"):
            link.put("LEV", 3.0)
        assert link.put("LEV", 1.0) == 1.0


@pytest.mark.parametrize("wire", LAN)
def test_a_connection_is_not_opened_anew_to_another_instrument(
    wire: str, on_wire: OnWire
) -> None:
    """Who answers then is asked for, and another one gets no message."""
    with on_wire(wire, drop_at_message=2) as instrument, linked(instrument) as link:
        link.ask("*IDN?")
        with pytest.raises(LinkError, match="hung up"):
            link.put("LEV", 3.0)
        instrument.echo.engine.identity = "MAKER,MODEL,SN2,1.0"
        for _ in range(2):
            with pytest.raises(InstrumentError, match=r"SN2,1\.0 answers in place of MAKER,MODEL"):
                link.put("LEV", 3.0)
        assert instrument.echo.level == 0


@every_wire
def test_an_upload_that_nobody_takes_ends(wire: str, on_wire: OnWire) -> None:
    """Trap: writes ignore the time-out, and a peer that has stopped reading blocks for ever."""
    words = np.zeros(16_000_000, np.int16)
    with on_wire(wire) as instrument, linked(instrument, 5.0, 0.5) as link:
        link.ask("*IDN?")
        began_s = time.monotonic()
        with instrument.asleep(), pytest.raises(LinkError):
            link.tell_block(":DATA ", words)
        assert time.monotonic() - began_s < 10


@every_wire
def test_a_setting_and_its_read_back_are_one_message(wire: str, on_wire: OnWire) -> None:
    """Trap: a query that follows a command in a message of its own waits 44 ms on a raw socket."""
    with on_wire(wire) as instrument, linked(instrument) as link:
        link.put("LEV", 1.5)
        assert [message.strip() for message in instrument.heard] == [b":LEV 1.5;:LEV?"]
        for raw in sockets_of(link._session):
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@every_wire
@pytest.mark.parametrize("n_words", [1, 5, 2047, 2048, 10_240, 30_001])
def test_blocks_end_where_they_say_and_line_feeds_in_them_are_data(
    wire: str, n_words: int, on_wire: OnWire
) -> None:
    """Trap: a read that ends at line feeds, at 4096 bytes, or waits for more than there is."""
    with on_wire(wire) as instrument, linked(instrument) as link:
        instrument.echo.block = b"\n" * (2 * n_words)
        assert link.ask_bytes("DATA?") == instrument.echo.block
        assert link.ask("NAME? NEXT") == "NEXT"


@every_wire
def test_a_block_may_be_followed_by_two_line_feeds(wire: str, on_wire: OnWire) -> None:
    """Some oscilloscopes end a block by a line feed of its own, before that of the answer."""
    with on_wire(wire) as instrument, linked(instrument) as link:
        instrument.echo.block = b"1234"
        for _ in range(2):
            assert link.ask_bytes("DATA:LONG?") == b"1234"
        assert link.ask("NAME? NEXT") == "NEXT"


def test_a_serial_block_is_not_read_byte_by_byte(
    on_wire: OnWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap: 0.2 MB in 200,000 reads. Counted are the calls, not the time."""
    calls = []
    read = serial.Serial.read

    def counted(port: serial.Serial, size: int = 1) -> bytes:
        calls.append(size)
        return read(port, size)

    monkeypatch.setattr(serial.Serial, "read", counted)
    with on_wire("serial") as instrument, linked(instrument) as link:
        instrument.echo.block = bytes(range(256)) * 800
        assert link.ask_bytes("DATA?") == instrument.echo.block
    assert len(calls) == 3


@pytest.mark.parametrize("wire", LAN)
def test_messages_over_a_megabyte_are_joined(wire: str, on_wire: OnWire) -> None:
    """Trap: HiSLIP cuts messages at 1 MiB, VXI-11 where the server says, TCP anywhere."""
    words = np.random.default_rng(1).integers(-32768, 32768, 1_600_001).astype("<i2")
    with on_wire(wire) as instrument, linked(instrument) as link:
        link.tell_block(":DATA ", words)
        link.finish("the upload")
        assert digest(instrument.echo.block) == digest(words.tobytes())
        assert digest(link.ask_bytes("DATA?")) == digest(words.tobytes())


@every_wire
def test_a_block_that_is_cut_short_is_told_with_both_lengths(wire: str, on_wire: OnWire) -> None:
    """Trap: PyVISA's reader asks on for ever for what HiSLIP has already ended."""
    with on_wire(wire, truncated_block=True) as instrument, linked(instrument, 5.0, 1.0) as link:
        link.ask("*IDN?")
        instrument.echo.block = bytes(1000)
        with pytest.raises(InstrumentError, match=r"DATA\? is cut short: \d+ of 1000 bytes"):
            link.ask_bytes("DATA?")
        assert link.ask("NAME? NEXT") == "NEXT"


@every_wire
def test_bare_bytes_are_one_message(wire: str, on_wire: OnWire) -> None:
    """A payload without a header of its own ends with the message, line feed or mark."""
    with on_wire(wire) as instrument, linked(instrument) as link:
        assert link.tell_bytes("DATA #15", b"a\nb;c") == 5
        link.finish("the upload")
        assert instrument.echo.block == b"a\nb;c"
        assert instrument.heard[0] == b"DATA #15a\nb;c"


@pytest.mark.parametrize("wire", MARKED)
def test_a_clear_gives_up_what_was_under_way(wire: str, on_wire: OnWire) -> None:
    """After it the instrument answers the next question, and settings are what they were."""
    with (
        on_wire(wire, late_answer_at_query=1, late_by_s=20.0) as instrument,
        linked(instrument) as link,
    ):
        link.tell("LEV 3")
        with pytest.raises(LinkError):
            link.ask("NAME? ONE", timeout_s=0.3)
        assert link.ask_number("LEV?") == 3


@pytest.mark.parametrize("wire", MARKED)
def test_an_answer_that_comes_before_the_clear_does_not_spoil_it(
    wire: str, on_wire: OnWire
) -> None:
    """Trap: HiSLIP's client takes an answer on the wire for the acknowledgement, and raises."""
    with on_wire(wire) as instrument, linked(instrument) as link:
        link.tell("NAME? ONE")
        assert link._session is not None
        while not link._session.read_stb() & MESSAGE_AVAILABLE:
            pass
        link._is_out_of_step = True
        assert link.ask("NAME? TWO") == "TWO"
        assert link.ask("NAME? THREE") == "THREE"


@pytest.mark.parametrize("wire", LAN)
def test_a_client_that_leaves_while_it_waits_keeps_nobody_else_waiting(
    wire: str, on_wire: OnWire
) -> None:
    """What it waited for is given up; what it said before it left is obeyed."""
    with on_wire(wire) as instrument:
        instrument.echo.is_waited_for = True
        with linked(instrument) as link:
            assert link._session is not None
            link._session.write("LEV 3;*OPC?")
            while not instrument.heard:
                pass
        with linked(instrument) as link:
            assert link.ask_number("LEV?") == 3


@pytest.mark.parametrize("wire", LAN)
def test_what_was_said_just_before_leaving_is_obeyed(wire: str, on_wire: OnWire) -> None:
    """A command, perhaps one that switches off, and the connection is closed at once."""
    with on_wire(wire) as instrument:
        with linked(instrument) as link:
            link.tell("LEV 2")
        with linked(instrument) as link:
            assert link.ask_number("LEV?") == 2


@every_wire
def test_the_guard_switches_off_over_every_wire(
    wire: str, on_wire: OnWire, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The process that knows nothing of an instrument but its off strings."""
    with on_wire(wire) as instrument:
        with linked(instrument) as link:
            link.put("LEV", 5.0)
        order = OffOrder(instrument.address, ("LEV 0",), "LEV?", "+0.000000000000000E+00")
        with Guard([order], tmp_path / "guard.jsonl") as guard:
            guard.lease(30)
        assert instrument.echo.level == 0
    assert "confirmed twice" in capfd.readouterr().err


@every_wire
def test_a_closed_port_can_be_opened_again(wire: str, on_wire: OnWire) -> None:
    """A client that comes back finds the instrument, as it was left."""
    with on_wire(wire) as instrument:
        for level in (0.0, 1.0, 2.0):
            with linked(instrument) as link:
                assert link.ask_number("LEV?") == level
                link.put("LEV", level + 1)


def test_a_vxi11_instrument_that_is_not_there_is_a_link_error() -> None:
    """Nobody listens at the port: the constructor says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with warnings.catch_warnings():
        # pyvisa-py leaves its unconnected socket to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(LinkError, match="cannot open the link"):
            VisaLink(f"TCPIP::127.0.0.1,{port}::inst0::INSTR", timeout_s=0.5)
        gc.collect()
