"""Every server against streams that are cut anywhere, and against bytes that mean nothing."""

import asyncio
import itertools
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emgsim.virtual.firmware import Firmware
from emgsim.virtual.hislip import HislipServer
from emgsim.virtual.parameters import Number
from emgsim.virtual.raw_socket import SocketServer
from emgsim.virtual.scpi import Command, Engine, setting
from emgsim.virtual.serial_scpi import SerialServer
from emgsim.virtual.vxi11 import PROGRAM, VERSION, Vxi11Server

N_BYTES = 1_000_000
DEADLINE_S = 60.0
ALPHABET = b'*?;:"#1 LEV\n'
IDENTITY = b"X,Y,Z,1\n"
STREAM = st.lists(
    st.sampled_from([b"LEV", b"?", b" ", b"1", b"\n", b";", b'"', b"#", b"#12", b"#213", b"NAME?"])
    | st.binary(max_size=4)
).map(b"".join)


class Idle:
    """A device that has nothing to do."""

    def reset(self) -> None:
        """Do nothing."""

    trigger = pass_time = reset

    def is_busy(self) -> bool:
        """Be idle."""
        return False

    def settle(self) -> Iterator[None]:
        """Be done at once."""
        yield from ()


def instrument() -> Firmware:
    """Return an instrument with a level and an echo."""
    level = {1: 0.0}
    rows = setting("LEVel", Number(-10, 10, 0, "V"), lambda _: level[1], level.__setitem__)
    echo = Command("NAME?", lambda call: call.arguments[0], 1, 9)
    return Firmware(Engine("X,Y,Z,1", [*rows, echo], Idle()))


class Sink:
    """A writer that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        """Keep bytes."""
        self.data += data

    async def drain(self) -> None:
        """Have room for everything."""

    def close(self) -> None:
        """Be closed."""


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a stream at these places."""
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


async def conversed(server: SocketServer | HislipServer | Vxi11Server, parts: list[bytes]) -> bytes:
    """Return all that a server says to a client that sends these parts and goes."""
    reader, sink = asyncio.StreamReader(), Sink()
    task = asyncio.create_task(server._serve(reader, sink))
    for part in parts:
        reader.feed_data(part)
        await asyncio.sleep(0)
    reader.feed_eof()
    with suppress(asyncio.IncompleteReadError):  # the client went in the middle of a packet
        await asyncio.wait_for(task, DEADLINE_S)
    return sink.data


async def heard_by_serial(parts: list[bytes], firmware: Firmware | None = None) -> bytes:
    """Return all that the serial server says to these parts."""
    server, said = SerialServer(firmware or instrument()), []
    server._line.send = said.append
    task = asyncio.create_task(server._answer())
    for part in parts:
        server._hear(part)
        await asyncio.sleep(0)
    while not server._messages.empty():
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    return b"".join(said)


@given(STREAM, st.lists(st.integers(0, 60)))
@example(b'NAME? #15a\nb;c\nNAME? "x\ny"\n*IDN?\n', [7, 8, 9, 10, 11, 12, 20, 24])
def test_any_cut_of_a_stream_gets_the_same_answers(stream: bytes, cuts: list[int]) -> None:
    """On a raw socket and on a serial line: what the wire does to the bytes changes nothing."""
    stream += b"\n*IDN?\n"

    async def compared() -> None:
        whole = await conversed(SocketServer(instrument()), [stream])
        assert await conversed(SocketServer(instrument()), pieces(stream, cuts)) == whole
        assert await heard_by_serial(pieces(stream, cuts)) == whole

    asyncio.run(compared())


def noise(seed: int, *, alphabet: bytes = b"") -> Iterator[bytes]:
    """Yield a million random bytes in pieces of many sizes; half of them of an alphabet."""
    rng = np.random.default_rng(seed)
    left = N_BYTES
    while left > 0:
        piece = rng.bytes(int(rng.integers(1, 5000)))
        if alphabet and rng.random() < 0.5:
            piece = bytes(rng.choice(list(alphabet), len(piece)).astype(np.uint8))
        left -= len(piece)
        yield piece


def hislip_packet(piece: bytes, rng: np.random.Generator) -> bytes:
    """Wrap bytes into a packet whose head is nearly right."""
    kind = int(rng.choice([0, 2, 3, 4, 6, 7, 7, 7, 8, 10, 12, 15, 19, 21, 24, 99, 200]))
    return struct.pack("!2sBBIQ", b"HS", kind, rng.integers(2), 1, len(piece)) + piece


HISLIP_START = struct.pack("!2sBBIQ", b"HS", 0, 0, 0x01000000, 7) + b"hislip0"
HISLIP_ASYNC_START = struct.pack("!2sBBIQ", b"HS", 17, 0, 1, 0)


def rpc_record(piece: bytes, rng: np.random.Generator) -> bytes:
    """Wrap bytes into a call whose head is right and whose arguments may be."""
    procedure = int(rng.choice([0, 10, 11, 11, 11, 13, 14, 15, 18, 19, 20, 22, 23, 25, 77]))
    head = struct.pack(">10I", 1, 0, 2, PROGRAM, VERSION, procedure, 0, 0, 0, 0)
    arguments = piece
    if rng.random() < 0.8:
        arguments = struct.pack(">5I", 1, 0, 0, 8, len(piece)) + piece + bytes(-len(piece) % 4)
    return (len(head + arguments) | 1 << 31).to_bytes(4) + head + arguments


RPC_CREATE_LINK = (
    (68 - 4 | 1 << 31).to_bytes(4)
    + struct.pack(">10I", 0, 0, 2, PROGRAM, VERSION, 10, 0, 0, 0, 0)
    + struct.pack(">4I", 0, 0, 0, 5)
    + b"inst0\0\0\0"
)


def batches(seed: int, wrap: Callable[[bytes, np.random.Generator], bytes]) -> list[list[bytes]]:
    """Return a million random bytes, in pieces that are wrapped, as connections of twenty each."""
    rng = np.random.default_rng(seed)
    parts = [wrap(piece, rng) for piece in noise(seed, alphabet=ALPHABET)]
    return [parts[start : start + 20] for start in range(0, len(parts), 20)]


def plain(piece: bytes, _: np.random.Generator) -> bytes:
    """Send bytes as they are."""
    return piece


@pytest.mark.parametrize("make", [SocketServer, HislipServer, Vxi11Server])
def test_a_million_random_bytes_neither_crash_nor_hang_a_server(make: Any) -> None:
    """Each connection lives as long as the server lets it; the instrument answers afterwards."""
    firmware = instrument()

    async def fuzzed() -> None:
        for parts in batches(7, plain):
            await conversed(make(firmware), parts)

    asyncio.run(asyncio.wait_for(fuzzed(), DEADLINE_S))
    assert firmware.engine.execute(b"*IDN?") == IDENTITY


def test_a_million_random_bytes_in_calls_neither_crash_nor_hang_vxi11() -> None:
    """Most calls come as far as the link, and some as far as the instrument."""
    firmware, said = instrument(), b""

    async def fuzzed() -> bytes:
        parts = [[RPC_CREATE_LINK, *batch] for batch in batches(9, rpc_record)]
        return b"".join([await conversed(Vxi11Server(firmware), batch) for batch in parts])

    said = asyncio.run(asyncio.wait_for(fuzzed(), DEADLINE_S))
    assert len(said) > 100 * 24  # an answer to each call of which the number could be read
    assert firmware.engine.execute(b"SYST:ERR?").startswith(b"-")
    assert firmware.engine.execute(b"*IDN?") == IDENTITY


def test_a_million_random_bytes_in_packets_neither_crash_nor_hang_hislip() -> None:
    """On both channels of a session at once."""
    firmware = instrument()

    async def fuzzed() -> None:
        for parts in batches(11, hislip_packet):
            server = HislipServer(firmware)
            half = len(parts) // 2
            first = asyncio.create_task(conversed(server, [HISLIP_START, *parts[:half]]))
            await asyncio.sleep(0)
            await conversed(server, [HISLIP_ASYNC_START, *parts[half:]])
            await first

    asyncio.run(asyncio.wait_for(fuzzed(), DEADLINE_S))
    assert firmware.engine.execute(b"SYST:ERR?").startswith(b"-")
    assert firmware.engine.execute(b"*IDN?") == IDENTITY


def test_a_million_random_bytes_neither_crash_nor_hang_a_serial_instrument() -> None:
    """Whatever quotation or block they leave open ends, and the instrument answers again."""
    firmware = instrument()

    async def fuzzed() -> None:
        for parts in batches(8, plain):
            await heard_by_serial(parts, firmware)

    asyncio.run(asyncio.wait_for(fuzzed(), DEADLINE_S))
    assert firmware.engine.execute(b"*IDN?") == IDENTITY
