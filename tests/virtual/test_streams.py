"""Instruments on a raw socket and on a serial line, and the firmware that all wires share."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import serial

from emgsim.bench.parts import Wires as DeclaredWires
from emgsim.plant.faults import ScpiFaults
from emgsim.virtual.firmware import Firmware, HungUpError
from emgsim.virtual.scpi import ERROR_QUEUE_DEPTH
from emgsim.virtual.wires import SERVERS, Wires

OnWire = Callable[..., Any]


def connected(instrument: Any) -> socket.socket:
    """Connect to the port in the resource."""
    return socket.create_connection(
        ("127.0.0.1", int(instrument.address.split("::")[2])), timeout=10
    )


def test_several_messages_in_one_packet_are_answered_one_by_one(on_wire: OnWire) -> None:
    """In their order, each with its line feed; carriage returns are white space."""
    with on_wire("socket") as instrument, connected(instrument) as client:
        client.sendall(b"*OPC?\r\nLEV 2\n\n*OPC?;LEV?\n")
        with client.makefile("rb") as answers:
            assert answers.readline() == b"1\n"
            assert answers.readline() == b"1;+2.000000000000000E+00\n"


def test_two_clients_share_one_instrument(on_wire: OnWire) -> None:
    """What one sets the other reads."""
    with (
        on_wire("socket") as instrument,
        connected(instrument) as one,
        connected(instrument) as two,
    ):
        one.sendall(b"LEV 4;*OPC?\n")
        assert one.recv(10) == b"1\n"
        two.sendall(b"LEV?\n")
        assert two.recv(100) == b"+4.000000000000000E+00\n"


def test_a_message_without_end_closes_a_socket(on_wire: OnWire) -> None:
    """Above 36 MB the connection ends, and the error is in the queue for the next client."""
    with on_wire("socket") as instrument:
        with connected(instrument) as client, pytest.raises(ConnectionError):
            client.sendall(bytes(80 << 20))
        with connected(instrument) as client:
            client.sendall(b"SYST:ERR?\n")
            assert client.recv(100).startswith(b"-223")


def test_a_port_that_was_closed_by_a_client_goes_on(on_wire: OnWire) -> None:
    """What was half said when it left is completed by the next one, as on a real line."""
    with on_wire("serial") as instrument:
        path = instrument.address.removeprefix("ASRL").removesuffix("::INSTR")
        with serial.Serial(path, timeout=5) as port:
            port.write(b"*OPC?\n")
            assert port.readline() == b"1\n"
        with serial.Serial(path, timeout=5) as port:
            port.write(b"*IDN?\n")
            assert port.readline().startswith(b"MAKER")


@pytest.fixture
def firmware(on_wire: OnWire) -> Callable[..., Firmware]:
    """Make a firmware with faults, on no wire."""
    from .conftest import Echo

    return lambda **faults: Firmware(Echo().engine, ScpiFaults(**faults))


def said(firmware: Firmware, *messages: bytes) -> list[bytes | None]:
    """Run messages and return the answers; None where the connection would be closed."""

    async def run() -> list[bytes | None]:
        answers: list[bytes | None] = []
        for message in messages:
            try:
                answers.append(await firmware.run(message))
            except HungUpError:
                answers.append(None)
        return answers

    return asyncio.run(run())


def test_only_messages_that_hold_the_words_count(firmware: Callable[..., Firmware]) -> None:
    """The second level, in whatever spelling, and not the second message."""
    spoilt = firmware(counted="lev?", no_answer_at_query=2)
    answers = said(spoilt, b"*OPC?", b":LEV?", b"*OPC?", b":lev?", b":LEV?")
    assert [bool(answer) for answer in answers] == [True, True, True, False, True]


def test_a_drop_is_one_message(firmware: Callable[..., Firmware]) -> None:
    """The message is not obeyed; the next one is."""
    answers = said(firmware(drop_at_message=2), b"LEV 1", b"LEV 2", b"LEV?")
    assert answers == [b"", None, b"+1.000000000000000E+00\n"]


def test_a_block_is_truncated_and_a_text_is_not(firmware: Callable[..., Firmware]) -> None:
    """Half of the bytes come, the header among them."""
    answers = said(firmware(truncated_block=True), b"DATA #14abcd", b"DATA?", b"*OPC?")
    assert answers == [b"", b"#800000", b"1\n"]


def test_an_error_queue_that_overflows_ends_in_350(firmware: Callable[..., Firmware]) -> None:
    """The queue holds what it can, and its last entry says that there were more."""
    full = firmware(error_queue_overflow_at_message=1)
    answers = said(full, *[b"SYST:ERR?"] * (ERROR_QUEUE_DEPTH + 1))
    numbers = [int((answer or b"").split(b",")[0]) for answer in answers]
    assert numbers == [-310] * (ERROR_QUEUE_DEPTH - 1) + [-350, 0]


def test_another_identity_is_told_and_nothing_else_changes(
    firmware: Callable[..., Firmware],
) -> None:
    """The instrument obeys as before."""
    answers = said(firmware(wrong_identity="A,B,C,D"), b"*IDN?", b"LEV 3;LEV?")
    assert answers == [b"A,B,C,D\n", b"+3.000000000000000E+00\n"]


def test_a_rig_file_may_name_each_wire_that_has_a_server() -> None:
    """The words of the rig file, of the server's process and of the table are the same."""
    declared = DeclaredWires.model_json_schema()["properties"]
    served = Wires.model_json_schema()["properties"]
    for role in ("source", "capture"):
        assert declared[role]["enum"] == served[role]["enum"] == list(SERVERS)
        assert declared[role]["default"] == served[role]["default"]
