"""The HiSLIP server, spoken to in raw packets."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.firmware import Firmware
from emgsim.virtual.generator import VirtualGenerator
from emgsim.virtual.hislip import PACKET_BYTES, HislipServer
from emgsim.virtual.scpi import Engine

INITIALIZE, FATAL_ERROR, ERROR, DATA, DATA_END, TRIGGER = 0, 2, 3, 6, 7, 12
ASYNC_INITIALIZE, ASYNC_CLEAR, ASYNC_STATUS = 17, 19, 21


class Channel:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, kind: int, control: int = 0, parameter: int = 0, payload: bytes = b"") -> None:
        """Send a packet."""
        self.writer.write(
            struct.pack("!2sBBIQ", b"HS", kind, control, parameter, len(payload)) + payload
        )

    async def receive(self) -> tuple[int, int, int, bytes]:
        """Return type, control code, parameter and payload of the next packet."""
        head = await asyncio.wait_for(self.reader.readexactly(16), 5)
        _, kind, control, parameter, length = struct.unpack("!2sBBIQ", head)
        return kind, control, parameter, await self.reader.readexactly(length)

    async def ask(self, *packet: Any) -> tuple[int, int, int, bytes]:
        """Send a packet and return the next one that comes."""
        self.send(*packet)
        return await self.receive()


class Client:
    """Both channels of a client."""

    sync: Channel
    async_: Channel

    def __init__(self, engine: Engine, port: int) -> None:
        self.engine, self.port = engine, port

    async def connect(self) -> Channel:
        """Open a connection that has said nothing yet."""
        return Channel(*await asyncio.open_connection("127.0.0.1", self.port))

    async def open(self) -> None:
        """Open both channels."""
        self.sync, self.async_ = await self.connect(), await self.connect()
        answer = await self.sync.ask(INITIALIZE, 0, 0x0100 << 16, b"hislip0")
        assert (answer[0], answer[2] >> 16) == (1, 0x0100)
        answer = await self.async_.ask(ASYNC_INITIALIZE, 0, answer[2] & 0xFFFF)
        assert answer[0] == 18


def talk(test: Callable[[Client], Awaitable[None]], *, is_silent: bool = False) -> None:
    """Run a conversation with a fresh server, and see it close."""

    async def run() -> None:
        engine = VirtualGenerator(World(RigPhysics(), seed=1)).engine
        server = HislipServer(Firmware(engine, is_silent=is_silent))
        resource = await server.start()
        client = Client(engine, int(resource.split("::")[2].split(",")[1]))
        try:
            await client.open()
            await test(client)
        finally:
            await server.close()
            for channel in (client.sync, client.async_):
                channel.writer.close()

    asyncio.run(run())


def test_an_answer_carries_the_number_of_its_question() -> None:
    """The client drops answers of another number as stale."""

    async def test(client: Client) -> None:
        answer = await client.sync.ask(DATA_END, 0, 0xFFFFFF00, b"*OPC?\n")
        assert answer == (DATA_END, 0, 0xFFFFFF00, b"1\n")

    talk(test)


def test_parts_of_a_message_are_joined_up_to_the_end() -> None:
    """Packets may be cut anywhere, even in the middle of a word."""

    async def test(client: Client) -> None:
        for number, part in enumerate((b"*O", b"", b"PC?;*I")):
            client.sync.send(DATA, 0, 2 * number, part)
        answer = await client.sync.ask(DATA_END, 0, 6, b"DN?")
        assert answer[2:] == (6, b"1;" + client.engine.execute(b"*IDN?"))

    talk(test)


def test_a_small_client_gets_its_answer_in_parts() -> None:
    """No packet is longer than the client said it takes, header included."""

    async def test(client: Client) -> None:
        answer = await client.async_.ask(15, 0, 0, (26).to_bytes(8))
        assert answer == (16, 0, 0, PACKET_BYTES.to_bytes(8))
        client.sync.send(DATA_END, 0, 2, b"*IDN?\n")
        parts = [await client.sync.receive()]
        while parts[-1][0] == DATA:
            parts.append(await client.sync.receive())
        assert max(len(part[3]) for part in parts) == 10
        assert b"".join(part[3] for part in parts) == client.engine.execute(b"*IDN?")

    talk(test)


def test_a_message_over_the_cap_is_refused_and_the_session_lives() -> None:
    """37 packets of 1 MB get an error, not a crash, and -223 stands in the queue."""

    async def test(client: Client) -> None:
        for number in range(37):
            client.sync.send(DATA, 0, 2 * number, bytes(PACKET_BYTES))
            await client.sync.writer.drain()
        assert (await client.sync.ask(DATA_END, 0, 80, b"x"))[:2] == (ERROR, 4)
        answer = await client.sync.ask(DATA_END, 0, 82, b"SYST:ERR?\n")
        assert answer[3].startswith(b"-223")

    talk(test)


def test_a_packet_over_the_agreed_size_is_refused() -> None:
    """The payload is thrown away as it comes."""

    async def test(client: Client) -> None:
        answer = await client.sync.ask(DATA_END, 0, 0, bytes(PACKET_BYTES + 1))
        assert answer[:2] == (ERROR, 4)
        assert (await client.sync.ask(DATA_END, 0, 2, b"*OPC?"))[3] == b"1\n"

    talk(test)


def test_the_status_byte_knows_of_unread_answers() -> None:
    """Message available is set until the client says that it has read the answer."""

    async def test(client: Client) -> None:
        await client.sync.ask(DATA_END, 0, 0, b"*OPC?")
        assert (await client.async_.ask(ASYNC_STATUS, 0, 0))[:2] == (22, 16)
        assert (await client.async_.ask(ASYNC_STATUS, 1, 0))[:2] == (22, 0)

    talk(test)


def test_an_answer_that_was_not_read_is_an_interrupted_query() -> None:
    """The next message queues -410."""

    async def test(client: Client) -> None:
        await client.sync.ask(DATA_END, 0, 0, b"*OPC?")
        answer = await client.sync.ask(DATA_END, 0, 2, b"SYST:ERR?")
        assert answer[3].startswith(b"-410")

    talk(test)


def test_a_clear_ends_a_wait_that_would_never_end() -> None:
    """What is under way is given up; settings stay, and the next question is answered."""

    async def test(client: Client) -> None:
        client.sync.send(
            DATA_END, 0, 0, b"FREQ 1e-6;:BURS:NCYC 1e6;STAT ON;:TRIG:SOUR BUS;:OUTP ON;*TRG;*OPC?"
        )
        client.sync.send(DATA_END, 0, 2, b"*IDN?")
        assert (await client.async_.ask(ASYNC_STATUS))[0] == 22
        assert (await client.async_.ask(ASYNC_CLEAR))[0] == 23
        assert await client.sync.ask(8) == (9, 0, 0, b"")
        assert (await client.sync.ask(DATA_END, 0, 0, b"BURS:STAT?"))[3] == b"1\n"

    talk(test)


def test_a_trigger_message_is_a_bus_trigger() -> None:
    """It is ignored, with -211, when nothing is armed."""

    async def test(client: Client) -> None:
        client.sync.send(TRIGGER, 0, 0)
        answer = await client.sync.ask(DATA_END, 0, 2, b"SYST:ERR?")
        assert answer[3].startswith(b"-211")

    talk(test)


@pytest.mark.parametrize(("kind", "code"), [(99, 1), (200, 3)])
def test_unknown_packets_are_refused_on_both_channels(kind: int, code: int) -> None:
    """The session goes on."""

    async def test(client: Client) -> None:
        assert (await client.sync.ask(kind, 0, 0, b"payload"))[:2] == (ERROR, code)
        assert (await client.async_.ask(kind))[:2] == (ERROR, code)
        assert (await client.sync.ask(DATA_END, 0, 0, b"*OPC?"))[3] == b"1\n"

    talk(test)


def test_locks_and_remote_control_are_granted() -> None:
    """Lock, lock information and remote control have their answers."""

    async def test(client: Client) -> None:
        assert (await client.async_.ask(4, 1, 1000))[:2] == (5, 1)
        assert (await client.async_.ask(24))[0] == 25
        assert (await client.async_.ask(10, 1))[0] == 11

    talk(test)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (b"GET / HTTP/1.1\r\n", 1),
        (struct.pack("!2sBBIQ", b"HS", DATA_END, 0, 0, 0), 3),
        (struct.pack("!2sBBIQ", b"HS", ASYNC_INITIALIZE, 0, 999, 0), 3),
    ],
)
def test_a_connection_that_starts_wrongly_is_told_and_closed(packet: bytes, code: int) -> None:
    """Other protocols and other beginnings get a fatal error."""

    async def test(client: Client) -> None:
        stranger = await client.connect()
        stranger.writer.write(packet)
        assert (await stranger.receive())[:2] == (FATAL_ERROR, code)
        assert await stranger.reader.read() == b""
        stranger.writer.close()

    talk(test)


def test_data_without_the_second_channel_are_refused() -> None:
    """Both channels must be there before the first message."""

    async def test(client: Client) -> None:
        half = await client.connect()
        await half.ask(INITIALIZE, 0, 0x0100 << 16, b"hislip0")
        assert (await half.ask(DATA_END, 0, 0, b"*OPC?"))[:2] == (FATAL_ERROR, 2)
        half.writer.close()

    talk(test)


@pytest.mark.parametrize(("gone", "other"), [("async_", "sync"), ("sync", "async_")])
def test_when_one_channel_goes_the_other_is_closed(gone: str, other: str) -> None:
    """A client that died leaves no half session."""

    async def test(client: Client) -> None:
        getattr(client, gone).writer.close()
        assert await asyncio.wait_for(getattr(client, other).reader.read(), 5) == b""

    talk(test)


def test_a_silent_instrument_takes_everything_and_answers_nothing() -> None:
    """Its network side lives, its firmware hangs."""

    async def test(client: Client) -> None:
        client.sync.send(DATA_END, 0, 0, b"*IDN?;:OUTP ON")
        assert (await client.async_.ask(ASYNC_STATUS))[:2] == (22, 0)
        assert (await client.async_.ask(ASYNC_CLEAR))[0] == 23
        assert (await client.sync.ask(8))[0] == 9
        assert client.engine.execute(b"OUTP?") == b"0\n"

    talk(test, is_silent=True)
