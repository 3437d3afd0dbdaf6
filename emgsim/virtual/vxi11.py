"""Serve one SCPI instrument over VXI-11 (TCP/IP Instrument Protocol 1.0) on loopback: core channel.

A client names the port in its host field, so no port mapper is asked. There is no abort channel and
no interrupt channel: service requests are never sent. What another link has locked is waited for
only with the flag ``waitlock``.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

from emgsim.virtual import xdr
from emgsim.virtual.firmware import Firmware
from emgsim.virtual.listener import Listener
from emgsim.virtual.vxi11_link import Link

PROGRAM, VERSION = 0x0607AF, 1
MAX_RECEIVE_BYTES = 1 << 20  # of one device_write
DEVICE_NAME = b"inst0"

NO_ERROR, NOT_ACCESSIBLE, INVALID_LINK, UNSUPPORTED = 0, 3, 4, 8  # Device_ErrorCode, table B.2
LOCKED, NOT_LOCKED, TIMED_OUT = 11, 12, 15
FLAG_WAIT_LOCK, FLAG_END, FLAG_TERMCHAR = 1, 8, 128  # Device_Flags

_LAST_FRAGMENT = 1 << 31
_LOOK_S = 0.005  # how often one looks whether a lock was given back


class Vxi11Server:
    """Serve a firmware to any number of clients.

    Parameters
    ----------
    firmware
        The instrument.
    """

    def __init__(self, firmware: Firmware) -> None:
        self.firmware = firmware
        self.locked_by = 0  # number of a link, or 0
        self._listener = Listener(self._serve)
        self._n_links = 0

    async def start(self) -> str:
        """Listen on loopback and return the VISA resource."""
        port = await self._listener.start()
        return f"TCPIP::127.0.0.1,{port}::{DEVICE_NAME.decode()}::INSTR"

    async def close(self) -> None:
        """Stop listening and hang up on every client."""
        await self._listener.close()

    def next_number(self) -> int:
        """Return the number of a new link."""
        self._n_links += 1
        return self._n_links

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer.close, reader.at_eof)
        try:
            while record := await _record(reader):
                answer = await connection.answer(record)
                writer.write((len(answer) | _LAST_FRAGMENT).to_bytes(4) + answer)
                await writer.drain()
        except xdr.XdrError:
            pass  # no client of this protocol: there is nothing to answer it with
        finally:
            connection.close()


class _Connection:
    """Answer the calls of one client; its links end with it."""

    def __init__(
        self, server: Vxi11Server, hang_up: Callable[[], None], is_gone: Callable[[], bool]
    ) -> None:
        self._server = server
        self._hang_up = hang_up
        self._is_gone = is_gone
        self._links: dict[int, Link] = {}
        self._procedures: dict[int, Callable[[xdr.Unpacker], Awaitable[bytes]]] = {
            0: self._do_nothing,
            10: self._create_link,
            11: self._write,
            12: self._read,
            13: self._read_status,
            14: self._trigger,
            15: self._clear,
            16: self._change_control,  # remote
            17: self._change_control,  # local
            18: self._lock,
            19: self._unlock,
            20: self._refuse,  # enable_srq
            22: self._refuse_data,  # docmd
            23: self._destroy_link,
            25: self._refuse,  # create_intr_chan
            26: self._refuse,  # destroy_intr_chan
        }

    def close(self) -> None:
        """End all links."""
        for number in list(self._links):
            self._end(number)

    async def answer(self, record: bytes) -> bytes:
        """Return the answer to a call; raise `XdrError` if it is none."""
        call = xdr.read_call(record)
        if call.program != PROGRAM:
            return xdr.unaccepted(call.number, xdr.PROGRAM_UNAVAILABLE)
        if call.version != VERSION:
            return xdr.unaccepted(call.number, xdr.PROGRAM_MISMATCH, VERSION)
        procedure = self._procedures.get(call.procedure)
        if procedure is None:
            return xdr.unaccepted(call.number, xdr.PROCEDURE_UNAVAILABLE)
        try:
            return xdr.accepted(call.number, await procedure(call.arguments))
        except xdr.XdrError:
            return xdr.unaccepted(call.number, xdr.GARBAGE_ARGUMENTS)

    # ---- links

    async def _create_link(self, arguments: xdr.Unpacker) -> bytes:
        _, wants_lock, lock_timeout_ms = arguments.integers(3)
        if arguments.opaque(256).lower() != DEVICE_NAME:
            return _integers(NOT_ACCESSIBLE, 0, 0, 0)
        number = self._server.next_number()
        if wants_lock:
            error = await self._wait_for_lock(number, FLAG_WAIT_LOCK, lock_timeout_ms)
            if error:
                return _integers(error, 0, 0, 0)
            self._server.locked_by = number
        self._links[number] = Link(number, self._server.firmware, self._hang_up, self._is_gone)
        return _integers(NO_ERROR, number, 0, MAX_RECEIVE_BYTES)

    async def _destroy_link(self, arguments: xdr.Unpacker) -> bytes:
        (number,) = arguments.integers(1)
        if number not in self._links:
            return _integers(INVALID_LINK)
        self._end(number)
        return _integers(NO_ERROR)

    def _end(self, number: int) -> None:
        self._links.pop(number).close()
        if self._server.locked_by == number:
            self._server.locked_by = 0

    async def _error(self, number: int, flags: int, lock_timeout_ms: int) -> int:
        """Return why a link may not be used now, or 0."""
        if number not in self._links:
            return INVALID_LINK
        return await self._wait_for_lock(number, flags, lock_timeout_ms)

    async def _wait_for_lock(self, number: int, flags: int, timeout_ms: int) -> int:
        """Return an error if another link holds the lock, and holds it long enough."""
        clock = asyncio.get_running_loop().time
        due_s = clock() + (timeout_ms / 1000 if flags & FLAG_WAIT_LOCK else 0)
        while self._server.locked_by not in (0, number):
            if clock() >= due_s or self._is_gone():
                return LOCKED
            await asyncio.sleep(_LOOK_S)
        return NO_ERROR

    async def _lock(self, arguments: xdr.Unpacker) -> bytes:
        number, flags, lock_timeout_ms = arguments.integers(3)
        error = await self._error(number, flags, lock_timeout_ms)
        if not error:
            self._server.locked_by = number
        return _integers(error)

    async def _unlock(self, arguments: xdr.Unpacker) -> bytes:
        (number,) = arguments.integers(1)
        if number not in self._links:
            return _integers(INVALID_LINK)
        if self._server.locked_by != number:
            return _integers(NOT_LOCKED)
        self._server.locked_by = 0
        return _integers(NO_ERROR)

    # ---- messages

    async def _write(self, arguments: xdr.Unpacker) -> bytes:
        number, _, lock_timeout_ms, flags = arguments.integers(4)
        data = arguments.opaque(MAX_RECEIVE_BYTES)
        error = await self._error(number, flags, lock_timeout_ms)
        if error:
            return _integers(error, 0)
        self._links[number].write(data, is_end=bool(flags & FLAG_END))
        return _integers(NO_ERROR, len(data))

    async def _read(self, arguments: xdr.Unpacker) -> bytes:
        number, n_bytes, timeout_ms, lock_timeout_ms, flags, char = arguments.integers(6)
        error = await self._error(number, flags, lock_timeout_ms)
        if error:
            return _integers(error, 0) + xdr.pack_opaque(b"")
        term = bytes([char & 0xFF]) if flags & FLAG_TERMCHAR else b""
        size = min(n_bytes, MAX_RECEIVE_BYTES)
        found = await self._links[number].read(size, timeout_ms / 1000, term)
        if found is None:
            return _integers(TIMED_OUT, 0) + xdr.pack_opaque(b"")
        reason, data = found
        return _integers(NO_ERROR, reason) + xdr.pack_opaque(data)

    async def _read_status(self, arguments: xdr.Unpacker) -> bytes:
        link, error = await self._generic(arguments)
        if link is None:
            return _integers(error, 0)
        engine = self._server.firmware.engine
        return _integers(NO_ERROR, engine.status_byte(has_message=link.has_message))

    async def _trigger(self, arguments: xdr.Unpacker) -> bytes:
        link, error = await self._generic(arguments)
        if link is not None:
            self._server.firmware.trigger()
        return _integers(error)

    async def _clear(self, arguments: xdr.Unpacker) -> bytes:
        link, error = await self._generic(arguments)
        if link is not None:
            link.clear()
        return _integers(error)

    async def _change_control(self, arguments: xdr.Unpacker) -> bytes:
        _, error = await self._generic(arguments)
        return _integers(error)

    async def _generic(self, arguments: xdr.Unpacker) -> tuple[Link | None, int]:
        """Return the link that a call without data of its own is for, or why it may not be used."""
        number, flags, lock_timeout_ms, _ = arguments.integers(4)
        error = await self._error(number, flags, lock_timeout_ms)
        return (None, error) if error else (self._links[number], NO_ERROR)

    # ---- what is not there

    async def _do_nothing(self, _: xdr.Unpacker) -> bytes:
        return b""

    async def _refuse(self, _: xdr.Unpacker) -> bytes:
        return _integers(UNSUPPORTED)

    async def _refuse_data(self, _: xdr.Unpacker) -> bytes:
        return _integers(UNSUPPORTED) + xdr.pack_opaque(b"")


def _integers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


async def _record(reader: asyncio.StreamReader) -> bytes:
    """Return the next record, joined from its fragments; raise `XdrError` if it is too long."""
    fragments: list[bytes] = []
    n_bytes = 0
    while True:
        mark = int.from_bytes(await reader.readexactly(4))
        length = mark & ~_LAST_FRAGMENT
        n_bytes += length
        if n_bytes > MAX_RECEIVE_BYTES + 1024 or not length:
            raise xdr.XdrError(f"a record may have {MAX_RECEIVE_BYTES + 1024} bytes")
        fragments.append(await reader.readexactly(length))
        if mark & _LAST_FRAGMENT:
            return b"".join(fragments)
