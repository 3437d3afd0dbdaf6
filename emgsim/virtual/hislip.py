"""Serve one SCPI instrument over HiSLIP 1.0 (IVI-6.1), synchronised mode, on loopback.

Locks are granted to everybody, service requests are never sent, and answers that nobody read are
dropped with error -410 when the next message comes. Any sub-address is welcome.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import IntEnum

from emgsim.virtual.firmware import Firmware
from emgsim.virtual.listener import Listener
from emgsim.virtual.parameters import ScpiError
from emgsim.virtual.program import MAX_MESSAGE_BYTES

PACKET_BYTES = 1 << 20
"""Largest packet that a client may send; longer messages come in several."""

_HEADER = struct.Struct("!2sBBIQ")
_PROTOCOL_1_0 = 0x0100
_LATEST = 0xFFFF_FFFF  # message number that belongs to any message


class Kind(IntEnum):
    """Message types of the protocol that this server knows."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    ASYNC_LOCK = 4
    ASYNC_LOCK_RESPONSE = 5
    DATA = 6
    DATA_END = 7
    DEVICE_CLEAR_COMPLETE = 8
    DEVICE_CLEAR_ACKNOWLEDGE = 9
    ASYNC_REMOTE_LOCAL_CONTROL = 10
    ASYNC_REMOTE_LOCAL_RESPONSE = 11
    TRIGGER = 12
    ASYNC_MAXIMUM_MESSAGE_SIZE = 15
    ASYNC_MAXIMUM_MESSAGE_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_DEVICE_CLEAR = 19
    ASYNC_STATUS_QUERY = 21
    ASYNC_STATUS_RESPONSE = 22
    ASYNC_DEVICE_CLEAR_ACKNOWLEDGE = 23
    ASYNC_LOCK_INFO = 24
    ASYNC_LOCK_INFO_RESPONSE = 25


BAD_HEADER, NO_ASYNC_CHANNEL, BAD_INITIALIZATION = 1, 2, 3  # codes of FatalError
UNKNOWN_TYPE, UNKNOWN_VENDOR_TYPE, TOO_LARGE = 1, 3, 4  # codes of Error


class _ProtocolError(Exception):
    """The peer broke the protocol: it is told so, and the connection ends."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Packet:
    kind: int
    control: int
    parameter: int
    payload: bytes | None  # None: longer than any packet may be, and thrown away


@dataclass(slots=True)
class _Session:
    """What the two channels of one client share."""

    number: int
    sync: asyncio.StreamWriter
    async_: asyncio.StreamWriter | None = None
    parts: list[bytes] = field(default_factory=list)
    n_bytes: int = 0
    packet_bytes: int = PACKET_BYTES  # what the client takes
    is_clearing: bool = False
    has_message: bool = False  # an answer was sent, and the client has not said it was read


class HislipServer:
    """Serve a firmware to any number of clients.

    Parameters
    ----------
    firmware
        The instrument.
    """

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._engine = firmware.engine
        self._sessions: dict[int, _Session] = {}
        self._next_number = 1
        self._listener = Listener(self._serve)

    async def start(self) -> str:
        """Listen on loopback and return the VISA resource."""
        return f"TCPIP::127.0.0.1::hislip0,{await self._listener.start()}::INSTR"

    async def close(self) -> None:
        """Stop listening and hang up on every client."""
        await self._listener.close()

    # ---- connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Find out which channel a new connection is, and serve it until it ends."""
        try:
            async with aclosing(_packets(reader)) as packets:
                await self._dispatch(packets, writer)
        except _ProtocolError as error:
            _send(writer, Kind.FATAL_ERROR, error.code, payload=str(error).encode("ascii"))

    async def _dispatch(
        self, packets: AsyncIterator[_Packet], writer: asyncio.StreamWriter
    ) -> None:
        first = await anext(packets, None)
        if first is None:
            return
        if first.kind == Kind.INITIALIZE:
            await self._serve_sync(first, packets, writer)
        elif first.kind == Kind.ASYNC_INITIALIZE:
            await self._serve_async(first, packets, writer)
        else:
            raise _ProtocolError(BAD_INITIALIZATION, "Initialize must come first")

    async def _serve_sync(
        self, first: _Packet, packets: AsyncIterator[_Packet], writer: asyncio.StreamWriter
    ) -> None:
        session = _Session(self._next_number, writer)
        self._next_number = self._next_number % 0xFFFF + 1
        self._sessions[session.number] = session
        version = min(_PROTOCOL_1_0, first.parameter >> 16)
        _send(writer, Kind.INITIALIZE_RESPONSE, parameter=version << 16 | session.number)
        try:
            async for packet in packets:
                await self._on_sync(session, packet)
                await writer.drain()
        finally:
            del self._sessions[session.number]
            if session.async_ is not None:
                session.async_.close()

    async def _serve_async(
        self, first: _Packet, packets: AsyncIterator[_Packet], writer: asyncio.StreamWriter
    ) -> None:
        session = self._sessions.get(first.parameter)
        if session is None or session.async_ is not None:
            raise _ProtocolError(BAD_INITIALIZATION, "AsyncInitialize names no open session")
        session.async_ = writer
        _send(writer, Kind.ASYNC_INITIALIZE_RESPONSE, parameter=int.from_bytes(b"ES"))
        try:
            async for packet in packets:
                self._on_async(session, packet, writer)
                await writer.drain()
        finally:
            session.sync.close()

    # ---- the synchronous channel

    async def _on_sync(self, session: _Session, packet: _Packet) -> None:
        if session.async_ is None:
            raise _ProtocolError(NO_ASYNC_CHANNEL, "the asynchronous channel is missing")
        if packet.kind == Kind.DEVICE_CLEAR_COMPLETE:
            session.is_clearing = session.has_message = False
            _send(session.sync, Kind.DEVICE_CLEAR_ACKNOWLEDGE)
        elif session.is_clearing or packet.kind in (Kind.ERROR, Kind.FATAL_ERROR):
            return  # what was under way before the clear is thrown away
        elif packet.kind in (Kind.DATA, Kind.DATA_END):
            self._note_read(session, packet)
            await self._on_data(session, packet)
        elif packet.kind == Kind.TRIGGER:
            self._note_read(session, packet)
            self._firmware.trigger()
        else:
            _refuse(session.sync, packet.kind)

    def _note_read(self, session: _Session, packet: _Packet) -> None:
        """Take note of whether the last answer was read before this message was sent."""
        if session.has_message and not packet.control & 1:
            self._engine.queue(ScpiError(-410))
        session.has_message = False

    async def _on_data(self, session: _Session, packet: _Packet) -> None:
        """Join the parts of a message; run it when its end is there."""
        payload = packet.payload
        session.n_bytes += PACKET_BYTES + MAX_MESSAGE_BYTES if payload is None else len(payload)
        if session.n_bytes <= MAX_MESSAGE_BYTES and payload is not None:
            session.parts.append(payload)
        else:
            session.parts.clear()
        if packet.kind == Kind.DATA:
            return
        message, n_bytes = b"".join(session.parts), session.n_bytes
        session.parts.clear()
        session.n_bytes = 0
        if n_bytes > MAX_MESSAGE_BYTES:
            self._engine.queue(ScpiError(-223, "a message may have 36 MB"))
            _send(session.sync, Kind.ERROR, TOO_LARGE, payload=b"Message too large")
        else:
            await self._run(session, message, packet.parameter)

    async def _run(self, session: _Session, message: bytes, number: int) -> None:
        """Run a message and send the answer, unless the client clears meanwhile."""
        answer = await self._firmware.run(
            message, lambda: session.is_clearing or session.sync.is_closing()
        )
        if answer and not session.is_clearing:
            session.has_message = True
            self._answer(session, answer, number)

    def _answer(self, session: _Session, answer: bytes, number: int) -> None:
        size = max(1, session.packet_bytes - _HEADER.size)
        starts = range(0, len(answer), size)
        for start in starts:
            kind = Kind.DATA_END if start == starts[-1] else Kind.DATA
            _send(session.sync, kind, 0, number, answer[start : start + size])

    # ---- the asynchronous channel

    def _on_async(self, session: _Session, packet: _Packet, writer: asyncio.StreamWriter) -> None:
        answers: dict[int, Callable[[_Session, _Packet, asyncio.StreamWriter], None]] = {
            Kind.ASYNC_MAXIMUM_MESSAGE_SIZE: _on_maximum_size,
            Kind.ASYNC_DEVICE_CLEAR: self._on_clear,
            Kind.ASYNC_STATUS_QUERY: self._on_status,
            Kind.ASYNC_LOCK: lambda *_: _send(writer, Kind.ASYNC_LOCK_RESPONSE, 1),
            Kind.ASYNC_LOCK_INFO: lambda *_: _send(writer, Kind.ASYNC_LOCK_INFO_RESPONSE),
            Kind.ASYNC_REMOTE_LOCAL_CONTROL: lambda *_: _send(
                writer, Kind.ASYNC_REMOTE_LOCAL_RESPONSE
            ),
            Kind.ERROR: lambda *_: None,
            Kind.FATAL_ERROR: lambda *_: None,
        }
        answer = answers.get(packet.kind)
        if answer is None:
            _refuse(writer, packet.kind)
        else:
            answer(session, packet, writer)

    def _on_clear(self, session: _Session, _: _Packet, writer: asyncio.StreamWriter) -> None:
        session.is_clearing = True
        session.parts.clear()
        session.n_bytes = 0
        self._engine.clear()
        _send(writer, Kind.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE)

    def _on_status(self, session: _Session, packet: _Packet, writer: asyncio.StreamWriter) -> None:
        if packet.control & 1:
            session.has_message = False
        status = self._engine.status_byte(has_message=session.has_message)
        _send(writer, Kind.ASYNC_STATUS_RESPONSE, status)


def _on_maximum_size(session: _Session, packet: _Packet, writer: asyncio.StreamWriter) -> None:
    if packet.payload is not None and len(packet.payload) == 8:
        session.packet_bytes = min(int.from_bytes(packet.payload), PACKET_BYTES)
    size = PACKET_BYTES.to_bytes(8)
    _send(writer, Kind.ASYNC_MAXIMUM_MESSAGE_SIZE_RESPONSE, payload=size)


def _refuse(writer: asyncio.StreamWriter, kind: int) -> None:
    code = UNKNOWN_VENDOR_TYPE if kind >= 128 else UNKNOWN_TYPE
    _send(writer, Kind.ERROR, code, payload=b"Unrecognized message type")


def _send(
    writer: asyncio.StreamWriter,
    kind: Kind,
    control: int = 0,
    parameter: int = 0,
    payload: bytes = b"",
) -> None:
    writer.write(_HEADER.pack(b"HS", kind, control, parameter, len(payload)) + payload)


async def _packets(reader: asyncio.StreamReader) -> AsyncGenerator[_Packet, None]:
    """Yield packets until the peer hangs up; one that is too large comes without its payload."""
    while True:
        try:
            header = await reader.readexactly(_HEADER.size)
            prologue, kind, control, parameter, length = _HEADER.unpack(header)
            if prologue != b"HS":
                raise _ProtocolError(BAD_HEADER, "a header starts with HS")
            payload = await _payload(reader, length)
        except asyncio.IncompleteReadError:
            return
        yield _Packet(kind, control, parameter, payload)


async def _payload(reader: asyncio.StreamReader, length: int) -> bytes | None:
    if length <= PACKET_BYTES:
        return await reader.readexactly(length)
    while length > 0:
        length -= len(await reader.readexactly(min(length, 1 << 16)))
    return None
